//! The stream: which renditions have viewers, and how a frame with its overlay becomes the JPEG of each.

pub(crate) mod encoder;
pub mod overlay;
pub(crate) mod renditions;
