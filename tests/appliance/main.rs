//! Black-box tests of the built program over real sockets, with real models and pictures. They need the files of `make
//! setup`, and fail without them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#[allow(dead_code)] // the tests of src/events use all of it
mod broker;
mod support;
mod teach;

mod camera;
mod commands;
mod events;
mod gallery;
mod mask;
mod memory;
mod mqtt;
mod names;
mod pixels;
mod recognizer;
mod service;
mod sinks;
mod stream;
