//! How well a face can be seen: its size, how sharp it is, how light.

use crate::pixels::Rgb;
use crate::sighting::Rect;

/// Faces are measured at this width, pixels, so that sharpness does not depend on how near the camera is.
const SIDE: u32 = 64;

/// How well a face can be seen.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Quality {
    /// Width of the face, pixels of the picture.
    pub width_px: u32,
    /// Variance of the second derivative of the luma over the variance of the luma, on the face at 64 pixels: 0 for a
    /// smooth slope, about 1 for fine detail.
    pub sharpness: f32,
    /// Mean luma, 0 to 255.
    pub brightness: f32,
}

impl Quality {
    /// Of the face in `face`.
    pub fn of(rgb: &Rgb, face: Rect) -> Quality {
        let small = rgb.cropped(face).shrunk(SIDE.min(face.w.max(1)));
        let (width, height) = (small.width as usize, small.height as usize);
        let luma: Vec<f32> = small.data.as_chunks::<3>().0.iter().map(|[r, g, b]| luma(*r, *g, *b)).collect();
        if width < 3 || height < 3 {
            return Quality { width_px: face.w, sharpness: 0.0, brightness: mean(&luma) };
        }
        let inner = (1..height - 1).flat_map(|y| (1..width - 1).map(move |x| y * width + x));
        let second: Vec<f32> = inner
            .map(|at| luma[at - 1] + luma[at + 1] + luma[at - width] + luma[at + width] - 4.0 * luma[at])
            .collect();
        // Of a face without any contrast nothing is said.
        let sharpness = variance(&second) / variance(&luma).max(1.0);
        Quality { width_px: face.w, sharpness, brightness: mean(&luma) }
    }

    /// What a look at it counts beside others: a small or blurred face says less.
    pub fn weight(&self) -> f32 {
        let size = (self.width_px as f32 / FULL_WIDTH_PX).clamp(LEAST_WEIGHT, 1.0);
        let sharp = (self.sharpness / SHARP).clamp(LEAST_WEIGHT, 1.0);
        size * sharp
    }
}

/// A face of that width loses nothing: dlib's network looks at 150 pixels, of which the face is about half.
const FULL_WIDTH_PX: f32 = 80.0;
/// Faces that are sharper are sharp: 9 of 10 of LFW are.
const SHARP: f32 = 0.1;
const LEAST_WEIGHT: f32 = 0.25;

/// ITU-R BT.601.
fn luma(r: u8, g: u8, b: u8) -> f32 {
    0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b)
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len().max(1) as f32
}

fn variance(values: &[f32]) -> f32 {
    let mean = mean(values);
    values.iter().map(|value| (value - mean) * (value - mean)).sum::<f32>() / values.len().max(1) as f32
}
