//! The gallery: its files, how they are read and described, and what is wrong with them.

pub(crate) mod cache;
pub(super) mod curate;
pub mod enrol;
pub(super) mod progress;
