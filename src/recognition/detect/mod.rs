//! Face detection: motion, the choice of areas to search, and the quality of faces.

pub(crate) mod motion;
pub(crate) mod pose;
pub(crate) mod quality;
pub(crate) mod scan;
pub(crate) mod tiles;
pub(crate) mod tilt;
pub mod verify;
