//! Black-box tests: the built program, over real sockets, with real models on real pictures.
//! They need what `make setup` brings, and fail without it.

mod support;

mod camera;
mod commands;
mod gallery;
mod names;
mod service;
mod stream;
