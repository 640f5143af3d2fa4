//! The gallery: its files, how they are read and described, and what is wrong with them.

pub mod cache;
pub mod curate;
pub mod enrol;
pub mod list;
pub mod progress;
