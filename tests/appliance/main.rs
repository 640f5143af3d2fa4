//! Black-box tests: the built program, over real sockets, with real models on real pictures.
//! They need what `make setup` brings, and fail without it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
mod support;

mod camera;
mod commands;
mod gallery;
mod memory;
mod names;
mod pixels;
mod recognizer;
mod service;
mod stream;
