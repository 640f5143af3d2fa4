//! Black-box tests of the built program over real sockets, with real models and pictures. They need the files of `make
//! setup`, and fail without them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
mod support;
mod teach;

mod camera;
mod commands;
mod events;
mod gallery;
mod mask;
mod memory;
mod names;
mod pixels;
mod recognizer;
mod service;
mod stream;
