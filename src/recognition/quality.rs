//! How well a face can be seen.

use crate::pixels::Rgb;
use crate::sighting::Rect;

/// How well a face can be seen.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Quality {
    /// Width of the face, pixels.
    pub width_px: u32,
    /// Sharpness.
    pub sharpness: f32,
    /// Mean luma.
    pub brightness: f32,
}

impl Quality {
    /// Of a face on a picture.
    pub fn of(_: &Rgb, face: Rect) -> Quality {
        Quality { width_px: face.w, sharpness: 1.0, brightness: 128.0 }
    }
}
