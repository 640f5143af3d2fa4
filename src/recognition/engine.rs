//! [`Engine`]: the interface of dlib for the other parts of recognition.

use super::descriptor::Descriptor;
use crate::image::{Rect, Rgb};
use crate::memory::STILL_SIDE;
use crate::telemetry::health::Health;
use std::sync::Arc;

/// The scale at which faces are detected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detect {
    /// For a frame: scaled to `width` pixels, then doubled `upsample` times.
    Live {
        /// The width in pixels to which a wider frame is scaled.
        width: u32,
        /// How many times it is doubled.
        upsample: u32,
    },
    /// For a still picture: doubled when it is small, so that a face of 40 pixels is found.
    Still {
        /// The longest side to which a larger picture is scaled; see [`Engine::still_side`].
        side: u32,
    },
}

impl Detect {
    /// The factor by which a picture of `width` x `height` pixels is scaled before detection.
    pub fn scale(self, width: u32, height: u32) -> f64 {
        match self {
            Detect::Live { width: wanted, upsample } => {
                let shrink = (f64::from(wanted) / f64::from(width.max(1))).min(1.0);
                shrink * f64::from(1 << upsample)
            }
            Detect::Still { side } => (f64::from(side) / f64::from(width.max(height).max(1))).min(2.0),
        }
    }
}

/// Detects faces and computes descriptors. One thread owns it, because dlib's detectors cannot be shared.
pub trait Engine {
    /// The faces on a picture from left to right, in pixels of the picture; they may extend beyond its edges. The
    /// picture is first scaled by `scale`: dlib's HOG detector finds faces from 80 pixels.
    fn detect(&mut self, picture: &Rgb, scale: f64) -> Vec<Rect>;

    /// A descriptor for each of `faces`, computed from `picture` at its full size, as the mean of `jitters` jittered
    /// copies.
    fn describe(&mut self, picture: &Rgb, faces: &[Rect], jitters: u32) -> Vec<Descriptor>;

    /// The landmarks of a face, in pixels of the picture; empty for an engine without landmarks.
    fn landmarks(&mut self, _picture: &Rgb, _face: Rect) -> Vec<[f32; 2]> {
        Vec::new()
    }

    /// Makes a look that consists of several calls beat `health.recognition_beat` for each of them, so that a slow look
    /// does not count as a hang.
    fn beat(&mut self, _health: &Arc<Health>) {}

    /// Sets the most pixels that the detector gets at once, after a change of the config; see
    /// [`crate::memory::Plan::most_px`].
    fn set_most_px(&mut self, _most_px: u64) {}

    /// The longest side in pixels to which still pictures are scaled.
    fn still_side(&self) -> u32 {
        STILL_SIDE
    }
}
