//! zune-jpeg: a decoder in Rust that decodes damaged pictures as far as possible. It panics on some pictures, which
//! [`crate::image::jpeg::check`] refuses and which must not reach it.

use crate::image::{Rgb, check_size};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Decodes to RGB.
///
/// # Errors
/// The error of the library.
pub fn decode(jpeg: &[u8]) -> Result<Rgb, String> {
    let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(jpeg), options);
    decoder.decode_headers().map_err(|e| e.to_string())?;
    let (width, height) = decoder.dimensions().ok_or("a JPEG without a size")?;
    let (width, height) = (width as u32, height as u32);
    check_size(width, height)?;
    let data = decoder.decode().map_err(|e| e.to_string())?;
    if data.len() != width as usize * height as usize * 3 {
        return Err(format!("a JPEG of {width}x{height} was decoded to {} bytes", data.len()));
    }
    Ok(Rgb { width, height, data })
}
