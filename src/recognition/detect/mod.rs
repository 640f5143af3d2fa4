//! Where faces are: what moved, where a look searches, and how good a face is to see.

pub mod motion;
pub mod quality;
pub mod scan;
pub mod tiles;
pub(super) mod tilt;
pub mod verify;
