//! A small plane of luma, on which motion is detected without decoding the whole picture.

use super::{Raw, Rgb};

/// A plane of luma.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Luma {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// One byte per pixel, line by line.
    pub data: Vec<u8>,
}

/// The position of luma in the first plane of raw pixels: the bytes from one value to the next, and the offset of the
/// first value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Samples {
    pub step: u32,
    pub first: u32,
}

/// The divisor for a picture of this width: 8, the side of a JPEG block, or less for a small picture.
pub(super) fn divisor(width: u32) -> u32 {
    match width {
        640.. => 8,
        320.. => 4,
        160.. => 2,
        _ => 1,
    }
}

/// The mean of each square with a side of `divisor` pixels. An incomplete square at an edge is left out, unless it is
/// the only one.
pub(super) fn shrunk(raw: Raw<&[u8]>, samples: Samples, divisor: u32) -> Luma {
    let (width, height) = ((raw.width / divisor).max(1), (raw.height / divisor).max(1));
    let mut data = Vec::with_capacity((width * height) as usize);
    for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
        let columns = (x * divisor..(x + 1) * divisor).take_while(|x| *x < raw.width);
        let mut sum = 0;
        let mut count = 0;
        // Every other line suffices, at half the cost.
        for line in (y * divisor..(y + 1) * divisor).step_by(2).take_while(|y| *y < raw.height) {
            let line = &raw.bytes[line as usize * raw.stride as usize..];
            for column in columns.clone() {
                sum += u32::from(line[(column * samples.step + samples.first) as usize]);
                count += 1;
            }
        }
        data.push((sum / count.max(1)) as u8);
    }
    Luma { width, height, data }
}

impl Rgb {
    /// A small plane of the green channel, which is close enough to luma.
    pub fn luma(&self) -> Luma {
        self.luma_as_of(self.width)
    }

    /// Like [`Rgb::luma`], with the divisor for a picture of `width` pixels, the width of this picture before rotation.
    pub fn luma_as_of(&self, width: u32) -> Luma {
        let divisor = divisor(width);
        let raw = Raw { bytes: &self.data[..], width: self.width, height: self.height, stride: self.width * 3 };
        shrunk(raw, Samples { step: 3, first: 1 }, divisor)
    }
}
