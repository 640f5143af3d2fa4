//! namecam: a camera that recognises people and shows their names. docs/ARCHITECTURE.md describes the modules and the
//! reasons for the design.
//!
//! The library serves the program, the benches and the tests in `tests/`; it has no other users.

pub mod app;
mod camera;
pub mod cli;
pub mod commands;
pub mod config;
pub mod detection;
mod events;
pub mod frame;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod gallery;
pub mod http;
pub mod image;
pub mod memory;
pub mod os;
mod presence;
pub mod recognition;
mod report;
mod roster;
mod rounding;
pub mod settings;
mod shares;
pub mod stream;
pub mod sync;
mod telemetry;
mod tuning;
