//! namecam: a camera that knows who it sees.
//!
//! The life of a frame, a thread a stage; between two stages stands a [`latest::Latest`], which holds the newest value only:
//!
//! ```text
//! camera       dequeue -> Frame                                          -> Latest<Frame>
//! recognition  newest Frame, every interval_ms -> detect, embed, match   -> Latest<Sightings>
//! encoder      newest Frame + Sightings, while somebody watches -> JPEG  -> Latest<Jpeg> a kind
//! viewers      newest Jpeg -> one write each
//! ```
//!
//! Imports go `main -> app -> {camera, recognition, encoder, http, service} -> vocabulary`. Stages never import each
//! other (one exception: encoder -> overlay), and one file alone knows each foreign library; `tests/house.rs` holds both.

pub mod ages;
pub mod app;
pub mod camera;
pub mod cli;
pub mod commands;
pub mod config;
pub mod encoder;
pub mod evidence;
pub mod frame;
pub mod health;
pub mod http;
pub mod jpeg;
pub mod latest;
pub mod localtime;
pub mod logging;
pub mod manual;
pub mod memory;
pub mod overlay;
pub mod pixels;
pub mod recognition;
pub mod roster;
pub mod service;
pub mod shares;
pub mod sighting;
pub mod sockaddr;
pub mod stop;
pub mod tiers;
pub mod view;
