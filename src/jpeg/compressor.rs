//! From pixels to JPEG, by the library that the config names.

use super::portable;
#[cfg(feature = "turbojpeg")]
use super::turbo;
use crate::pixels::Rgb;

/// What can encode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Codec {
    /// libjpeg-turbo, which has code for every vector unit.
    #[cfg(feature = "turbojpeg")]
    #[default]
    Turbojpeg,
    /// jpeg-encoder, which is Rust throughout.
    #[cfg_attr(not(feature = "turbojpeg"), default)]
    JpegEncoder,
}

impl Codec {
    /// Words of `stream.encoder`, those of every build.
    pub const WORDS: &'static [&'static str] = &["auto", "turbojpeg", "jpeg-encoder"];

    /// What a word of `stream.encoder` means; `None` when this build has it not.
    pub fn from_word(word: &str) -> Option<Codec> {
        match word {
            "auto" => Some(Codec::default()),
            #[cfg(feature = "turbojpeg")]
            "turbojpeg" => Some(Codec::Turbojpeg),
            "jpeg-encoder" => Some(Codec::JpegEncoder),
            _ => None,
        }
    }

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            #[cfg(feature = "turbojpeg")]
            Codec::Turbojpeg => "turbojpeg",
            Codec::JpegEncoder => "jpeg-encoder",
        }
    }
}

/// What libjpeg-turbo can say of a picture's width and height; the other library could say 35 more.
const MAX_SIDE: u32 = 65_500;

/// Makes baseline JFIF, 4:2:0. Keeps what is costly to make between pictures: one a thread is enough, whatever their sizes.
#[derive(Debug)]
pub struct Compressor {
    codec: Codec,
    quality: u32,
    #[cfg(feature = "turbojpeg")]
    turbo: Option<turbo::Encoder>,
}

impl Default for Compressor {
    fn default() -> Compressor {
        Compressor::new(Codec::default(), 80)
    }
}

impl Compressor {
    /// One that encodes by `codec`, in `quality`: 1 to 100.
    pub fn new(codec: Codec, quality: u32) -> Compressor {
        Compressor {
            codec,
            quality,
            #[cfg(feature = "turbojpeg")]
            turbo: None,
        }
    }

    /// Takes another library and quality for the pictures that follow.
    pub fn set(&mut self, codec: Codec, quality: u32) {
        (self.codec, self.quality) = (codec, quality);
    }

    /// Encodes `rgb` into `jpeg`, whose old contents go.
    ///
    /// # Errors
    /// Says that the picture is too large for JPEG, or what the library says.
    pub fn compress(&mut self, rgb: &Rgb, jpeg: &mut Vec<u8>) -> Result<(), String> {
        let Rgb { width, height, .. } = *rgb;
        if width > MAX_SIDE || height > MAX_SIDE {
            return Err(format!("a picture of {width}x{height} is too large for JPEG; set stream.width"));
        }
        jpeg.clear();
        let quality = self.quality.clamp(1, 100);
        let done = match self.codec {
            #[cfg(feature = "turbojpeg")]
            Codec::Turbojpeg => {
                let made = match self.turbo.take() {
                    Some(encoder) => Ok(encoder),
                    None => turbo::Encoder::new(),
                };
                // One that has failed is not used again.
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
