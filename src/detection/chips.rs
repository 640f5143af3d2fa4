//! [`Chips`]: the best pictures of the faces that were followed lately, for admins who say who they are.

use crate::frame::Moment;
use crate::image::Mask;
use std::sync::Arc;

/// A part of a frame with one face and half its width around it.
#[derive(Debug)]
pub struct Chip {
    /// As JPEG.
    pub jpeg: Vec<u8>,
    /// When the frame was captured.
    pub captured_at: Moment,
    /// The width of the face in pixels of the frame.
    pub width_px: u32,
    /// Its sharpness; see `recognition::quality`.
    pub sharpness: f32,
    /// Its mean luma, 0 to 255.
    pub brightness: f32,
}

/// The chips of a track.
#[derive(Debug, Clone)]
pub struct TrackChips {
    /// The number of the track.
    pub track: u64,
    /// The best first.
    pub chips: Vec<Arc<Chip>>,
}

/// The chips of all tracks that have some.
#[derive(Debug, Clone, Default)]
pub struct Chips {
    /// Those of each track.
    pub tracks: Vec<TrackChips>,
    /// What of the camera's picture they hide.
    pub mask: Mask,
}

impl Chips {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.tracks.iter().map(|of| of.chips.len()).sum()
    }

    /// Those of a track.
    pub fn of(&self, track: u64) -> &[Arc<Chip>] {
        self.tracks.iter().find(|of| of.track == track).map_or(&[], |of| &of.chips)
    }
}
