//! libjpeg-turbo; only this file uses it. Its warnings, such as the one about a truncated picture, are errors here.

use crate::image::{Luma, Rgb, check_size};
use turbojpeg::{Compressor, DecompressHeader, Decompressor, Image, PixelFormat, ScalingFactor, Subsamp};

/// The most scans of a progressive picture. Each scan takes as much work as a whole picture. Programs write about 10
/// scans.
const MAX_SCANS: u32 = 100;

/// Decodes to RGB.
///
/// # Errors
/// The error of the library.
pub fn decode(jpeg: &[u8]) -> Result<Rgb, String> {
    let (mut decoder, header) = open(jpeg, ScalingFactor::ONE)?;
    let mut data = vec![0; header.width * header.height * 3];
    read(&mut decoder, jpeg, &header, PixelFormat::RGB, &mut data)?;
    Ok(Rgb { width: header.width as u32, height: header.height as u32, data })
}

/// Decodes only the luma, scaled down by `divisor`: 1, 2, 4 or 8. With 8, a pixel is the mean of 64 pixels and needs no
/// transform.
///
/// # Errors
/// The error of the library.
pub fn luma(jpeg: &[u8], divisor: u32) -> Result<Luma, String> {
    let scale = match divisor {
        8 => ScalingFactor::ONE_EIGHTH,
        4 => ScalingFactor::ONE_QUARTER,
        2 => ScalingFactor::ONE_HALF,
        _ => ScalingFactor::ONE,
    };
    let (mut decoder, header) = open(jpeg, scale)?;
    let mut data = vec![0; header.width * header.height];
    read(&mut decoder, jpeg, &header, PixelFormat::GRAY, &mut data)?;
    Ok(Luma { width: header.width as u32, height: header.height as u32, data })
}

/// The decoder, and the size of its output.
fn open(jpeg: &[u8], scale: ScalingFactor) -> Result<(Decompressor, DecompressHeader), String> {
    let mut decoder = Decompressor::new().map_err(|e| e.to_string())?;
    let header = decoder.read_header(jpeg).map_err(|e| e.to_string())?;
    check_size(u32::try_from(header.width).unwrap_or(u32::MAX), u32::try_from(header.height).unwrap_or(u32::MAX))?;
    decoder.set_scaling_factor(scale).map_err(|e| e.to_string())?;
    decoder.set_scan_limit(MAX_SCANS).map_err(|e| e.to_string())?;
    Ok((decoder, header.scaled(scale)))
}

fn read(
    decoder: &mut Decompressor,
    jpeg: &[u8],
    header: &DecompressHeader,
    format: PixelFormat,
    pixels: &mut [u8],
) -> Result<(), String> {
    let pitch = header.width * format.size();
    let image = Image { pixels, width: header.width, pitch, height: header.height, format };
    decoder.decompress(jpeg, image).map_err(|e| e.to_string())
}

/// An encoder with its output buffer, which is most of the cost of an encoder and is used again.
#[derive(Debug)]
pub struct TurboEncoder {
    compressor: Compressor,
    room: Vec<u8>,
}

impl TurboEncoder {
    /// A new encoder.
    ///
    /// # Errors
    /// The error of the library.
    pub fn new() -> Result<TurboEncoder, String> {
        let mut compressor = Compressor::new().map_err(|e| e.to_string())?;
        compressor.set_subsamp(Subsamp::Sub2x2).map_err(|e| e.to_string())?;
        Ok(TurboEncoder { compressor, room: Vec::new() })
    }

    /// Encodes `rgb` as baseline JFIF, 4:2:0, and appends it to `jpeg`; `quality` is 1 to 100.
    ///
    /// # Errors
    /// The error of the library.
    pub fn compress(&mut self, rgb: &Rgb, quality: u32, jpeg: &mut Vec<u8>) -> Result<(), String> {
        let (width, height) = (rgb.width as usize, rgb.height as usize);
        self.compressor.set_quality(quality.clamp(1, 100) as i32).map_err(|e| e.to_string())?;
        let needed = self.compressor.buf_len(width, height).map_err(|e| e.to_string())?;
        if self.room.len() < needed {
            // Zeroed memory is not allocated until it is written, and most of the buffer never is.
            self.room = vec![0; needed];
        }
        let image = Image { pixels: &rgb.data[..], width, pitch: width * 3, height, format: PixelFormat::RGB };
        let length = self.compressor.compress_to_slice(image, &mut self.room).map_err(|e| e.to_string())?;
        jpeg.extend_from_slice(&self.room[..length]);
        Ok(())
    }
}
