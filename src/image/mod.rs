//! Pictures: RGB, luma, pixel formats and their conversion, JPEG, and the decoder of picture files.

mod convert;
pub(crate) mod formats;
pub mod jpeg;
mod luma;
mod mask;
mod rect;
mod rgb;
pub mod still;
mod turn;

pub use formats::{FORMATS, Format};
pub use luma::Luma;
pub use mask::{Mask, Zone};
pub use rect::Rect;
pub use rgb::{MAX_PIXELS, MAX_SIDE, Raw, Rgb, check_size};
pub use turn::Turn;

#[cfg(test)]
mod tests;
