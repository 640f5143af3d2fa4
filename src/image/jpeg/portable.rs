//! The crate jpeg-encoder, which needs no C compiler. On ARM it executes three times the instructions of libjpeg-turbo.

use crate::image::Rgb;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

/// Encodes `rgb` as baseline JFIF, 4:2:0, and appends it to `jpeg`; `quality` is 1 to 100.
///
/// # Errors
/// The error of the library.
pub(super) fn compress(rgb: &Rgb, quality: u32, jpeg: &mut Vec<u8>) -> Result<(), String> {
    let side = |pixels: u32| u16::try_from(pixels).map_err(|_| format!("a side of {pixels} pixels is too long"));
    let mut encoder = Encoder::new(jpeg, quality.clamp(1, 100) as u8);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.encode(&rgb.data, side(rgb.width)?, side(rgb.height)?, ColorType::Rgb).map_err(|error| error.to_string())
}
