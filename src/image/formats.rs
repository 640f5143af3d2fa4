//! Pixel formats: the table [`FORMATS`], and the conversion of each format to [`Rgb`].

use super::convert::{self, Converter};
use super::luma::{self, Luma, Samples};
use super::rgb::{Raw, Rgb, check_size};
use std::borrow::Cow;

/// A pixel format that namecam reads.
#[derive(Debug)]
pub struct Format {
    /// V4L2's FourCC.
    pub fourcc: [u8; 4],
    /// A description for the user.
    pub what: &'static str,
    /// True for JPEG, which can be sent to viewers unchanged.
    pub jpeg: bool,
    /// The bytes per line of the first plane for a width in pixels, without padding.
    min_stride: fn(u32) -> u32,
    /// The bytes of a whole picture for a stride and a height.
    size: fn(u32, u32) -> usize,
    /// The position of the luma, in raw formats.
    luma: Samples,
    convert: Converter,
}

/// All pixel formats that namecam reads, in the order of preference between formats that are equal otherwise: the raw
/// format that is cheapest to copy and convert comes first. (Chroma of full height is no advantage, because the stream
/// is 4:2:0.)
pub const FORMATS: &[Format] = &[
    jpeg(b"MJPG", "JPEG pictures"),
    jpeg(b"JPEG", "JPEG pictures"),
    planar(b"NV12", "4:2:0, two planes", convert::nv12),
    planar(b"NV21", "4:2:0, two planes, V before U", convert::nv21),
    planar(b"YU12", "4:2:0, three planes", convert::yu12),
    planar(b"YV12", "4:2:0, three planes, V before U", convert::yv12),
    packed(b"RGB3", "24-bit red, green, blue", |width| width * 3, (3, 1), convert::rgb3),
    packed(b"BGR3", "24-bit blue, green, red", |width| width * 3, (3, 1), convert::bgr3),
    packed(b"YUYV", "4:2:2 packed", pair_stride, (2, 0), convert::yuyv),
    packed(b"UYVY", "4:2:2 packed, chroma first", pair_stride, (2, 1), convert::uyvy),
    packed(b"YVYU", "4:2:2 packed, V before U", pair_stride, (2, 0), convert::yvyu),
    packed(b"GREY", "8-bit grey", |width| width, (1, 0), convert::grey),
];

const fn jpeg(fourcc: &[u8; 4], what: &'static str) -> Format {
    let luma = Samples { step: 0, first: 0 };
    Format { fourcc: *fourcc, what, jpeg: true, min_stride: |_| 0, size: |_, _| 0, luma, convert: convert::jpeg }
}

/// A format with one plane. In formats of red, green and blue, green is close enough to luma.
const fn packed(
    fourcc: &[u8; 4],
    what: &'static str,
    min_stride: fn(u32) -> u32,
    (step, first): (u32, u32),
    convert: Converter,
) -> Format {
    let luma = Samples { step, first };
    let size = |stride: u32, height: u32| stride as usize * height as usize;
    Format { fourcc: *fourcc, what, jpeg: false, min_stride, size, luma, convert }
}

/// A format with a plane of luma, followed by chroma at half its width and height.
const fn planar(fourcc: &[u8; 4], what: &'static str, convert: Converter) -> Format {
    let luma = Samples { step: 1, first: 0 };
    Format { fourcc: *fourcc, what, jpeg: false, min_stride: |width| width, size: planes_420, luma, convert }
}

fn pair_stride(width: u32) -> u32 {
    width.div_ceil(2) * 4
}

fn planes_420(stride: u32, height: u32) -> usize {
    let luma = stride as usize * height as usize;
    luma + stride.div_ceil(2) as usize * 2 * height.div_ceil(2) as usize
}

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

    /// The bytes per line of the first plane for a width in pixels, without padding; 0 for JPEG.
    pub fn min_stride(&self, width: u32) -> u32 {
        (self.min_stride)(width)
    }

    /// The fewest bytes of a picture; 0 for JPEG, whose size varies.
    pub fn min_size(&self, width: u32, height: u32, stride: u32) -> usize {
        (self.size)(stride.max((self.min_stride)(width)), height)
    }

    /// Converts a picture to RGB.
    ///
    /// # Errors
    /// The picture is too short, too large, or a JPEG that cannot be decoded.
    pub fn to_rgb(&self, raw: Raw<&[u8]>) -> Result<Rgb, String> {
        (self.convert)(self.checked(raw)?)
    }

    /// A small plane of the picture's luma, at a fraction of the cost of converting the whole picture.
    ///
    /// # Errors
    /// As [`Format::to_rgb`].
    pub fn to_luma(&self, raw: Raw<&[u8]>) -> Result<Luma, String> {
        let raw = self.checked(raw)?;
        let divisor = luma::divisor(raw.width);
        if self.jpeg { super::jpeg::luma(raw.bytes, divisor) } else { Ok(luma::shrunk(raw, self.luma, divisor)) }
    }

    fn checked<'a>(&self, raw: Raw<&'a [u8]>) -> Result<Raw<&'a [u8]>, String> {
        let Raw { bytes, width, height, stride } = raw;
        check_size(width, height)?;
        if !self.jpeg && stride < (self.min_stride)(width) {
            return Err(format!("{} of {width} pixels a line cannot have a stride of {stride}", self.name()));
        }
        let needed = self.min_size(width, height, stride);
        if bytes.len() < needed {
            return Err(format!("{} {width}x{height} needs {needed} bytes, got {}", self.name(), bytes.len()));
        }
        // Some drivers send whole memory pages, with unused bytes at the end.
        let bytes = if self.jpeg { bytes } else { &bytes[..needed] };
        Ok(Raw { bytes, ..raw })
    }
}

/// Converts any bytes as a picture of any format, size and stride: the picture is refused, or the result has the size
/// of the picture.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let Some((head, bytes)) = bytes.split_first_chunk::<7>() else { return };
    let [format, rest @ ..] = head;
    let two = |at: usize| u32::from(u16::from_le_bytes([rest[at], rest[at + 1]]));
    let format = &FORMATS[usize::from(*format) % FORMATS.len()];
    // The size is limited, because large pictures take long and run the same code.
    let raw = Raw { bytes, width: two(0) % 2048, height: two(2) % 64, stride: two(4) };
    if let Ok(rgb) = format.to_rgb(raw) {
        assert_eq!(rgb.data.len(), (rgb.width * rgb.height * 3) as usize);
        assert!(format.jpeg || (rgb.width, rgb.height) == (raw.width, raw.height));
    }
    if let Ok(luma) = format.to_luma(raw) {
        assert_eq!(luma.data.len(), (luma.width * luma.height) as usize);
    }
}
