//! Where faces are: what moved, where a look searches, and how good a face is to see.

pub(crate) mod motion;
pub(crate) mod pose;
pub(crate) mod quality;
pub(crate) mod scan;
pub(crate) mod tiles;
pub(crate) mod tilt;
pub mod verify;
