//! Encodes pixels as JPEG, with the configured library.

use crate::image::Rgb;
use crate::image::jpeg::portable;
#[cfg(feature = "turbojpeg")]
use crate::image::jpeg::turbo;

/// The encoding libraries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Codec {
    /// libjpeg-turbo, which uses the vector units.
    #[cfg(feature = "turbojpeg")]
    #[default]
    Turbojpeg,
    /// jpeg-encoder, which is written in Rust.
    #[cfg_attr(not(feature = "turbojpeg"), default)]
    JpegEncoder,
}

impl Codec {
    /// The words of `stream.encoder`, in every build.
    pub const WORDS: &'static [&'static str] = &["auto", "turbojpeg", "jpeg-encoder"];

    /// The library of a word of `stream.encoder`; `None` when this build does not have it.
    pub fn from_word(word: &str) -> Option<Codec> {
        match word {
            "auto" => Some(Codec::default()),
            #[cfg(feature = "turbojpeg")]
            "turbojpeg" => Some(Codec::Turbojpeg),
            "jpeg-encoder" => Some(Codec::JpegEncoder),
            _ => None,
        }
    }

    /// The word of this library in `stream.encoder`.
    pub fn as_str(self) -> &'static str {
        match self {
            #[cfg(feature = "turbojpeg")]
            Codec::Turbojpeg => "turbojpeg",
            Codec::JpegEncoder => "jpeg-encoder",
        }
    }
}

/// The largest width and height of libjpeg-turbo. jpeg-encoder allows 35 pixels more.
const MAX_SIDE: u32 = 65_500;

/// Encodes baseline JFIF, 4:2:0. The state of the library is kept between pictures, also when their sizes differ.
#[derive(Debug)]
pub struct Compressor {
    codec: Codec,
    quality: u32,
    #[cfg(feature = "turbojpeg")]
    turbo: Option<turbo::TurboEncoder>,
}

impl Default for Compressor {
    fn default() -> Compressor {
        Compressor::new(Codec::default(), 80)
    }
}

impl Compressor {
    /// An encoder that uses `codec` with a `quality` of 1 to 100.
    pub fn new(codec: Codec, quality: u32) -> Compressor {
        Compressor {
            codec,
            quality,
            #[cfg(feature = "turbojpeg")]
            turbo: None,
        }
    }

    /// Changes the library and the quality for the following pictures.
    pub fn set(&mut self, codec: Codec, quality: u32) {
        (self.codec, self.quality) = (codec, quality);
    }

    /// Encodes `rgb` into `jpeg`, whose old content is replaced.
    ///
    /// # Errors
    /// The picture is too large for JPEG, or the library fails.
    pub fn compress(&mut self, rgb: &Rgb, jpeg: &mut Vec<u8>) -> Result<(), String> {
        let Rgb { width, height, .. } = *rgb;
        if width > MAX_SIDE || height > MAX_SIDE {
            return Err(format!("a picture of {width}x{height} is too large for JPEG; set a smaller stream.width"));
        }
        jpeg.clear();
        let quality = self.quality.clamp(1, 100);
        let done = match self.codec {
            #[cfg(feature = "turbojpeg")]
            Codec::Turbojpeg => {
                let made = match self.turbo.take() {
                    Some(encoder) => Ok(encoder),
                    None => turbo::TurboEncoder::new(),
                };
                // An encoder that has failed is not used again.
                made.and_then(|mut encoder| {
                    encoder.compress(rgb, quality, jpeg)?;
                    self.turbo = Some(encoder);
                    Ok(())
                })
            }
            Codec::JpegEncoder => portable::compress(rgb, quality, jpeg),
        };
        done.map_err(|error| format!("encoding failed: {error}"))
    }
}

#[cfg(test)]
mod tests;
