//! The stream: the subscriptions to renditions, and the encoding of a frame with its overlay for each rendition.

pub(crate) mod encoder;
pub mod overlay;
pub(crate) mod renditions;
