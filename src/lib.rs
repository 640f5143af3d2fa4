//! namecam: a camera that recognises people and shows their names.
//!
//! Each stage of a frame runs in its own thread. Stages are connected by a [`sync::Latest`], which holds only the
//! newest value:
//!
//! ```text
//! camera       dequeue -> Frame                                          -> Latest<Frame>
//! recognition  newest Frame, every interval_ms -> detect, embed, match   -> Latest<Sightings>
//! encoder      newest Frame + Sightings, while there are viewers -> JPEG -> one Latest<Jpeg> per rendition
//! viewers      newest Jpeg -> one write per viewer
//! ```
//!
//! Imports go `main -> app -> {camera, recognition, encoder, http, service} -> vocabulary`. Stages never import each
//! other (one exception: encoder -> overlay), and each foreign library is used by one file only; `tests/house.rs`
//! checks both.

pub mod app;
pub mod camera;
pub mod cli;
pub mod commands;
pub mod config;
pub mod detection;
pub mod frame;
pub mod http;
pub mod image;
pub mod memory;
pub mod os;
pub mod recognition;
mod roster;
mod rounding;
mod shares;
pub mod stream;
pub mod sync;
mod telemetry;
