//! [`Chips`]: the best pictures of the faces that were followed lately. An admin names faces by these pictures.

use super::Flaw;
use crate::frame::Moment;
use crate::image::Mask;
use std::sync::Arc;

/// A part of a frame with one face and half its width around it.
#[derive(Debug)]
pub struct Chip {
    /// The JPEG.
    pub jpeg: Vec<u8>,
    /// When the frame was captured.
    pub captured_at: Moment,
    /// The width of the face in pixels of the frame.
    pub width_px: u32,
    /// The sharpness of the face; see `recognition::quality`.
    pub sharpness: f32,
    /// The mean luma of the face, 0 to 255.
    pub brightness: f32,
    /// What makes the face hard to recognise.
    pub flaw: Option<Flaw>,
    /// The direction of the face; `None` without landmarks.
    pub pose: Option<Pose>,
}

/// The direction of a face: the offset of the lower end of the nose from the middle between the outer corners of the
/// eyes, in units of the distance between these corners.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pose {
    /// The offset along the line of the eyes, to the right of the picture; 0 for a frontal face.
    pub turn: f32,
    /// The offset down from that line; smaller when the chin is raised.
    pub nod: f32,
}

/// The chips of a track.
#[derive(Debug, Clone)]
pub struct TrackChips {
    /// The number of the track.
    pub track: u64,
    /// The chips, the best first.
    pub chips: Vec<Arc<Chip>>,
    /// The direction of the face at its last description.
    pub pose: Option<Pose>,
}

/// The chips of all tracks that have some.
#[derive(Debug, Clone, Default)]
pub struct Chips {
    /// The chips of each track.
    pub tracks: Vec<TrackChips>,
    /// The areas of the camera's picture that are hidden in the chips.
    pub mask: Mask,
}

impl Chips {
    /// The number of chips.
    pub fn count(&self) -> usize {
        self.tracks.iter().map(|of| of.chips.len()).sum()
    }

    /// The chips of a track.
    pub fn of(&self, track: u64) -> &[Arc<Chip>] {
        self.of_track(track).map_or(&[], |of| &of.chips)
    }

    /// The direction of the face of a track.
    pub fn pose(&self, track: u64) -> Option<Pose> {
        self.of_track(track).and_then(|of| of.pose)
    }

    fn of_track(&self, track: u64) -> Option<&TrackChips> {
        self.tracks.iter().find(|of| of.track == track)
    }
}
