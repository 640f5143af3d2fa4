//! Enrolment of the gallery: reading and describing the files, and judging the pictures.

pub(crate) mod cache;
pub(super) mod curate;
pub mod enrol;
pub(super) mod progress;
