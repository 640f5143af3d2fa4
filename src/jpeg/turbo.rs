//! libjpeg-turbo: the only file that knows it. Its errors are errors here: what it warns about (a picture cut short) too.

use crate::pixels::{Luma, Rgb, check_size};
use turbojpeg::{Compressor, DecompressHeader, Decompressor, Image, PixelFormat, ScalingFactor, Subsamp};

/// Decodes to RGB.
///
/// # Errors
/// Says in the library's words what is wrong.
pub fn decode(jpeg: &[u8]) -> Result<Rgb, String> {
    let (mut decoder, header) = open(jpeg, ScalingFactor::ONE)?;
    let mut rgb = Rgb { width: header.width as u32, height: header.height as u32, data: Vec::new() };
    rgb.data.resize(header.width * header.height * 3, 0);
    read(&mut decoder, jpeg, &header, PixelFormat::RGB, &mut rgb.data)?;
    Ok(rgb)
}

/// Decodes the luma alone, at one `divisor`-th of the size: 1, 2, 4 or 8. At 8, a pixel is the mean of 64 and costs no
/// transform at all.
///
/// # Errors
/// Says in the library's words what is wrong.
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

/// The decoder and the size of what it will give.
fn open(jpeg: &[u8], scale: ScalingFactor) -> Result<(Decompressor, DecompressHeader), String> {
    let mut decoder = Decompressor::new().map_err(|e| e.to_string())?;
    let header = decoder.read_header(jpeg).map_err(|e| e.to_string())?;
    check_size(u32::try_from(header.width).unwrap_or(u32::MAX), u32::try_from(header.height).unwrap_or(u32::MAX))?;
    decoder.set_scaling_factor(scale).map_err(|e| e.to_string())?;
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

/// Encodes `rgb` as baseline JFIF, 4:2:0, into `jpeg`; `quality` is 1 to 100.
///
/// # Errors
/// Says in the library's words what is wrong.
pub fn compress(rgb: &Rgb, quality: u32, jpeg: &mut Vec<u8>) -> Result<(), String> {
    let mut encoder = Compressor::new().map_err(|e| e.to_string())?;
    encoder.set_quality(quality.clamp(1, 100) as i32).map_err(|e| e.to_string())?;
    encoder.set_subsamp(Subsamp::Sub2x2).map_err(|e| e.to_string())?;
    let (width, height) = (rgb.width as usize, rgb.height as usize);
    let image = Image { pixels: &rgb.data[..], width, pitch: width * 3, height, format: PixelFormat::RGB };
    let room = encoder.buf_len(width, height).map_err(|e| e.to_string())?;
    jpeg.resize(room, 0);
    let length = encoder.compress_to_slice(image, jpeg).map_err(|e| e.to_string())?;
    jpeg.truncate(length);
    Ok(())
}
