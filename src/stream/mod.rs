//! The stream: which renditions have viewers, and how a frame with its overlay becomes the JPEG of each.

pub mod encoder;
pub mod overlay;
pub mod renditions;
