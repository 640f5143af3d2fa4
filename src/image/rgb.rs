//! Pictures in memory: [`Rgb`], and [`Raw`] in the pixel format of a camera.

/// The most pixels per side. No camera exceeds this, but an invalid header may.
pub const MAX_SIDE: u32 = 16_384;
/// The most pixels of a picture; more would need over 300 MB as RGB.
pub const MAX_PIXELS: u64 = 100_000_000;

/// An upright picture with 8 bits per channel in the order red, green, blue, without padding between lines.
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
    /// A picture of one colour.
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

/// A picture in the pixel format of a camera.
#[derive(Debug, Clone, Copy)]
pub struct Raw<B> {
    /// The bytes.
    pub bytes: B,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The stride of the first plane in bytes; 0 for JPEG.
    pub stride: u32,
}

/// Refuses impossible sizes before memory is allocated for them.
///
/// # Errors
/// The limit that is exceeded.
pub fn check_size(width: u32, height: u32) -> Result<(), String> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(format!("a picture of {width}x{height} has no pixels"));
    }
    // A strip of 65500x20 is unusual but harmless, so each side may be as long as JPEG allows.
    if width > 4 * MAX_SIDE || height > 4 * MAX_SIDE || pixels > MAX_PIXELS {
        return Err(format!(
            "a picture of {width}x{height} is too large ({} megapixels at most)",
            MAX_PIXELS / 1_000_000
        ));
    }
    Ok(())
}
