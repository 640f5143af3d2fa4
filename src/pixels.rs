//! Pixel formats: one table, [`FORMATS`], and the way from each of them to [`Rgb`].

mod shape;

use std::borrow::Cow;
use yuv::{
    YuvBiPlanarImage, YuvConversionMode, YuvPackedImage, YuvPlanarImage, YuvRange, YuvStandardMatrix, yuv_nv12_to_rgb,
    yuv420_to_rgb, yuyv422_to_rgb,
};

pub use shape::Turn;

/// Pictures above this many pixels a side are refused: no camera has them, and a lying header may claim them.
pub const MAX_SIDE: u32 = 16_384;
/// Pictures above this many pixels in all are refused: as RGB they would take 300 MB.
pub const MAX_PIXELS: u64 = 100_000_000;

/// An upright picture, 8 bits a channel, red, green, blue, lines back to back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rgb {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `width * height * 3` bytes.
    pub data: Vec<u8>,
}

impl Rgb {
    /// A picture filled with one colour.
    pub fn filled(width: u32, height: u32, color: [u8; 3]) -> Rgb {
        Rgb { width, height, data: color.repeat(width as usize * height as usize) }
    }

    /// The byte offset of a pixel.
    pub fn offset(&self, x: u32, y: u32) -> usize {
        (y as usize * self.width as usize + x as usize) * 3
    }

    /// The colour of a pixel.
    pub fn pixel(&self, x: u32, y: u32) -> [u8; 3] {
        let at = self.offset(x, y);
        [self.data[at], self.data[at + 1], self.data[at + 2]]
    }
}

/// A picture in some pixel format, as a camera delivers it.
#[derive(Debug, Clone, Copy)]
pub struct Raw<B> {
    /// The bytes.
    pub bytes: B,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Bytes from one line of the first plane to the next; 0 for JPEG.
    pub stride: u32,
}

type Converter = fn(Raw<&[u8]>) -> Result<Rgb, String>;

/// One line of the table: a pixel format that namecam reads.
#[derive(Debug)]
pub struct Format {
    /// V4L2's FourCC.
    pub fourcc: [u8; 4],
    /// What it is, for people.
    pub what: &'static str,
    /// True for JPEG: it can be passed to viewers as it is.
    pub jpeg: bool,
    /// Bytes of a line of the first plane for a width in pixels, without padding.
    min_stride: fn(u32) -> u32,
    /// Bytes of a whole picture for a stride and a height.
    size: fn(u32, u32) -> usize,
    convert: Converter,
}

/// All pixel formats that namecam reads, the cheapest to show first.
pub const FORMATS: &[Format] = &[
    Format {
        fourcc: *b"MJPG",
        what: "JPEG pictures",
        jpeg: true,
        min_stride: |_| 0,
        size: |_, _| 0,
        convert: decode_jpeg,
    },
    Format {
        fourcc: *b"YUYV",
        what: "4:2:2 packed",
        jpeg: false,
        min_stride: |width| width.div_ceil(2) * 4,
        size: |stride, height| stride as usize * height as usize,
        convert: yuyv,
    },
    Format {
        fourcc: *b"NV12",
        what: "4:2:0, two planes",
        jpeg: false,
        min_stride: |w| w,
        size: planes_420,
        convert: nv12,
    },
    Format {
        fourcc: *b"YU12",
        what: "4:2:0, three planes",
        jpeg: false,
        min_stride: |w| w,
        size: planes_420,
        convert: yu12,
    },
    Format {
        fourcc: *b"GREY",
        what: "8-bit grey",
        jpeg: false,
        min_stride: |width| width,
        size: |stride, height| stride as usize * height as usize,
        convert: grey,
    },
];

impl Format {
    /// The format with this FourCC, if namecam reads it.
    pub fn by_fourcc(fourcc: &[u8; 4]) -> Option<&'static Format> {
        FORMATS.iter().find(|format| format.fourcc == *fourcc)
    }

    /// Motion JPEG.
    pub fn mjpg() -> &'static Format {
        &FORMATS[0]
    }

    /// The FourCC as text.
    pub fn name(&self) -> Cow<'static, str> {
        String::from_utf8_lossy(&self.fourcc).into_owned().into()
    }

    /// Bytes of a line of the first plane of so many pixels, without padding; 0 for JPEG.
    pub fn min_stride(&self, width: u32) -> u32 {
        (self.min_stride)(width)
    }

    /// How many bytes a picture must have at least; 0 for JPEG, whose size nobody knows beforehand.
    pub fn min_size(&self, width: u32, height: u32, stride: u32) -> usize {
        (self.size)(stride.max((self.min_stride)(width)), height)
    }

    /// Converts a picture to RGB.
    ///
    /// # Errors
    /// Says what is wrong with the picture: too short, too large, or a JPEG that cannot be decoded.
    pub fn to_rgb(&self, raw: Raw<&[u8]>) -> Result<Rgb, String> {
        let Raw { bytes, width, height, stride } = raw;
        check_size(width, height)?;
        if !self.jpeg && stride < (self.min_stride)(width) {
            return Err(format!("{} of {width} pixels a line cannot have a stride of {stride}", self.name()));
        }
        let needed = self.min_size(width, height, stride);
        if bytes.len() < needed {
            return Err(format!("{} {width}x{height} needs {needed} bytes, got {}", self.name(), bytes.len()));
        }
        (self.convert)(raw)
    }
}

/// Refuses sizes that no picture has, before anything is allocated for them.
///
/// # Errors
/// Says which limit was exceeded.
pub fn check_size(width: u32, height: u32) -> Result<(), String> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(format!("a picture of {width}x{height} has no pixels"));
    }
    // A strip of 65500x20 is odd but harmless: the sides alone are limited by what JPEG can say.
    if width > 4 * MAX_SIDE || height > 4 * MAX_SIDE || pixels > MAX_PIXELS {
        return Err(format!(
            "a picture of {width}x{height} is too large ({} megapixels at most)",
            MAX_PIXELS / 1_000_000
        ));
    }
    Ok(())
}

fn planes_420(stride: u32, height: u32) -> usize {
    let luma = stride as usize * height as usize;
    luma + stride.div_ceil(2) as usize * 2 * height.div_ceil(2) as usize
}

fn blank(raw: &Raw<&[u8]>) -> Rgb {
    Rgb::filled(raw.width, raw.height, [0; 3])
}

// BT.601 with limited range: what UVC cameras send when they do not say otherwise.
const RANGE: YuvRange = YuvRange::Limited;
const MATRIX: YuvStandardMatrix = YuvStandardMatrix::Bt601;

fn yuyv(raw: Raw<&[u8]>) -> Result<Rgb, String> {
    let mut rgb = blank(&raw);
    let image = YuvPackedImage { yuy: raw.bytes, yuy_stride: raw.stride, width: raw.width, height: raw.height };
    yuyv422_to_rgb(&image, &mut rgb.data, raw.width * 3, RANGE, MATRIX).map_err(|e| e.to_string())?;
    Ok(rgb)
}

fn nv12(raw: Raw<&[u8]>) -> Result<Rgb, String> {
    let mut rgb = blank(&raw);
    let (luma, chroma) = raw.bytes.split_at(raw.stride as usize * raw.height as usize);
    let image = YuvBiPlanarImage {
        y_plane: luma,
        y_stride: raw.stride,
        uv_plane: chroma,
        // A pair of chroma never straddles two lines, so an odd stride is rounded up (see planes_420).
        uv_stride: raw.stride.next_multiple_of(2),
        width: raw.width,
        height: raw.height,
    };
    yuv_nv12_to_rgb(&image, &mut rgb.data, raw.width * 3, RANGE, MATRIX, YuvConversionMode::Balanced)
        .map_err(|e| e.to_string())?;
    Ok(rgb)
}

fn yu12(raw: Raw<&[u8]>) -> Result<Rgb, String> {
    let mut rgb = blank(&raw);
    let (luma, chroma) = raw.bytes.split_at(raw.stride as usize * raw.height as usize);
    let half = raw.stride.div_ceil(2);
    let (u_plane, v_plane) = chroma.split_at(half as usize * raw.height.div_ceil(2) as usize);
    let image = YuvPlanarImage {
        y_plane: luma,
        y_stride: raw.stride,
        u_plane,
        u_stride: half,
        v_plane,
        v_stride: half,
        width: raw.width,
        height: raw.height,
    };
    yuv420_to_rgb(&image, &mut rgb.data, raw.width * 3, RANGE, MATRIX).map_err(|e| e.to_string())?;
    Ok(rgb)
}

fn grey(raw: Raw<&[u8]>) -> Result<Rgb, String> {
    let mut rgb = blank(&raw);
    let lines = rgb.data.chunks_exact_mut(raw.width as usize * 3);
    for (to, from) in lines.zip(raw.bytes.chunks(raw.stride as usize)) {
        for (pixel, &grey) in to.as_chunks_mut().0.iter_mut().zip(from) {
            *pixel = [grey; 3];
        }
    }
    Ok(rgb)
}

fn decode_jpeg(raw: Raw<&[u8]>) -> Result<Rgb, String> {
    crate::jpeg::decode(raw.bytes)
}

#[cfg(test)]
mod tests;
