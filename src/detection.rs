//! The result of recognition for a frame, as plain data: [`Sightings`], with a [`Sighting`] per face.

mod blurred_areas;
pub mod chips;
mod examined;
pub mod view;

use crate::frame::Moment;
use crate::image::{Mask, Rect, Rgb};
use crate::rounding::rounded;
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};
use view::View;

pub use blurred_areas::BlurredArea;
pub use examined::Examined;

/// The state of identification of a face.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not yet compared with the gallery.
    Seen,
    /// Has the name of a person in the gallery.
    Named,
    /// Not close enough to any person in the gallery.
    Unknown,
}

/// A person or a picture, and its distance from a face; smaller is more similar.
#[derive(Debug, Clone, PartialEq)]
pub struct Near {
    /// The name of the person, or the file of the picture.
    pub what: Arc<str>,
    /// The distance in the configured metric.
    pub distance: f32,
}

/// Why a face has its name or none. In JSON in lower case with underscores.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// There were too few looks so far.
    #[default]
    Deciding,
    /// The person is close enough.
    Named,
    /// Earlier looks gave the name, and the person is still close enough to keep it.
    Kept,
    /// Earlier looks gave the name, and the last one speaks against it.
    Doubted,
    /// The closest person is too far, but so close that it may be them.
    Near,
    /// Nobody is close.
    Far,
    /// Two people are equally close.
    Between,
    /// The closest picture is one of `.not`.
    Barred,
    /// The looks speak against the name that the face had.
    Withdrawn,
    /// The person whose name the face had has left the gallery.
    LeftGallery,
    /// Another face has the name with better reason.
    BorneByAnother,
    /// There is nobody to compare with.
    EmptyGallery,
}

/// What makes a face hard to recognise. In JSON in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Flaw {
    /// It has too few pixels.
    Small,
    /// The last look did not find it: it is turned away or covered.
    Turned,
    /// It is out of focus, or it moved.
    Blurred,
    /// There is too little light on it.
    Dark,
    /// There is too much light on it.
    Bright,
}

/// The reason why a face has a name or none. All numbers that users see of a face are those of its reason.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reason {
    /// The reason as a word.
    pub because: Because,
    /// The person to whose pictures `distance` was measured; `None` for a picture of `.not`.
    pub person: Option<Arc<str>>,
    /// The distance that was compared with `limit`; `None` with an empty gallery.
    pub distance: Option<f32>,
    /// The distance up to which the face gets or keeps the name of the person.
    pub limit: Option<f32>,
    /// The reason as text.
    pub text: String,
}

/// The evidence for or against a name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence {
    /// The reason.
    pub reason: Reason,
    /// The normalised score of the closest person, and the score up to which the face gets a name; `None` without a
    /// budget, or when the face keeps the name of another person than the closest one.
    pub score: Option<(f32, f32)>,
    /// The difference between the scores of the second closest person and the closest one; without a budget, between
    /// their distances. `None` without a second person, or when the face keeps the name of another person than the
    /// closest one.
    pub margin: Option<f32>,
    /// The closest pictures of the gallery, at most three, the closest first.
    pub pictures: Vec<Near>,
    /// The number of looks whose descriptors were compared with the gallery.
    pub looks: u32,
    /// The number of independent descriptors to which `looks` is equivalent.
    pub effective_looks: f32,
    /// The width of the face in pixels of the frame, at the last comparison.
    pub width_px: u32,
    /// The sharpness of the face at that comparison; see `recognition::quality`.
    pub sharpness: f32,
    /// What made the face hard to recognise at that comparison.
    pub flaw: Option<Flaw>,
}

/// A face on a frame.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// The number of its track.
    pub track: u64,
    /// The name, if it is close enough to a person.
    pub name: Option<Arc<str>>,
    /// When its track began.
    pub since: Instant,
    /// The distance of [`Reason`].
    pub distance: Option<f32>,
    /// The second closest person.
    pub runner_up: Option<Near>,
    /// The closest picture of the gallery.
    pub nearest: Option<Near>,
    /// The box in pixels of the frame after rotate and mirror.
    pub rect: Rect,
    /// The velocity in pixels per second to the right and down.
    pub velocity: [f32; 2],
    /// The state of identification.
    pub state: State,
    /// The evidence.
    pub evidence: Arc<Evidence>,
    /// The appearance of the face on the frame of the look; `None` when it was not kept.
    pub view: Option<Arc<View>>,
    /// The number of a remembered stranger (`recognition.remember_strangers_h`), by which they are recognised when they
    /// return.
    pub stranger: Option<u64>,
}

/// The similarity below which a later frame shows something else at the place of a face. In a real clip, the same
/// people had 0.74 or more after a third of a second, and others after a cut 0.47 or less, except one pair (0.77).
const STILL_ALIKE: f32 = 0.6;

/// The similarity from which the person at a place is the same beyond doubt. Of 13110 pairs of photos of two people
/// each, the faces of 13 reached 0.78. In three clips the same face reached it a twenty-fifth of a second later in 62
/// of 64 cases, and in a fourth one, in which a head turns fast, in 4 of 4.
const SURELY_ALIKE: f32 = 0.78;

/// The longest time for which the motion of a face is extrapolated; after that its box stays in place. page/boxes.js
/// and docs/API.md state the same value.
const LONGEST_WAY: Duration = Duration::from_millis(400);

impl Sighting {
    /// The expected box, `age` after the capture of the look's frame.
    pub fn rect_after(&self, age: Duration) -> Rect {
        let seconds = age.min(LONGEST_WAY).as_secs_f32();
        let [x, y] = self.velocity.map(|v| (v * seconds).round() as i32);
        Rect { x: self.rect.x.saturating_add(x), y: self.rect.y.saturating_add(y), ..self.rect }
    }

    /// True when a later frame still shows the same scene at the place of the face.
    pub fn is_there(&self, rgb: &Rgb) -> bool {
        let Some(view) = &self.view else { return true };
        view.likeness_at(rgb, self.rect, STILL_ALIKE) >= STILL_ALIKE
    }

    /// True when a later frame shows the same person at the place of the face beyond doubt: both the surroundings and
    /// the face itself are similar, because another face may appear in the same surroundings.
    pub fn is_surely_there(&self, rgb: &Rgb) -> bool {
        self.view.as_ref().is_some_and(|view| {
            view.likeness_at(rgb, self.rect, SURELY_ALIKE) >= SURELY_ALIKE
                && view.likeness_of_face_at(rgb, self.rect, SURELY_ALIKE) >= SURELY_ALIKE
        })
    }

    /// True when both have the same box and label.
    pub fn is_drawn_like(&self, other: &Sighting) -> bool {
        let shown = |face: &Sighting| (face.rect, face.state, face.distance.map(|distance| rounded(distance, 3)));
        shown(self) == shown(other) && self.name == other.name
    }
}

/// The result of a look at a frame.
#[derive(Debug, Clone)]
pub struct Sightings {
    /// The number of the frame.
    pub frame: u64,
    /// The time of capture of the frame.
    pub captured_at: Moment,
    /// The duration of the look.
    pub took: Duration,
    /// The interval between looks.
    pub interval: Duration,
    /// The width of the frame after rotate, in pixels.
    pub width: u32,
    /// The height of the frame after rotate, in pixels.
    pub height: u32,
    /// The faces from left to right.
    pub faces: Vec<Sighting>,
    /// Faces without a name that earlier looks found and this one did not.
    pub blurred_areas: Vec<BlurredArea>,
    /// The content of the whole frame, with `overlay.unknown = blur`; `None` when this look has not examined all of it.
    pub examined: Option<Arc<Examined>>,
    /// The areas of the frame that the look could not see.
    pub mask: Mask,
}

/// The shortest time for which sightings are shown; see [`Sightings::is_stale`].
pub const STALE: Duration = Duration::from_millis(1500);
/// The longest time, beyond the duration of a look, for which boxes are shown however long the interval is.
const LONGEST_INTERVAL: Duration = Duration::from_secs(3);

impl Sightings {
    /// The faces with their expected boxes on a frame captured at `captured_at`.
    pub fn faces_at(&self, captured_at: Instant) -> Vec<Sighting> {
        let age = captured_at.saturating_duration_since(self.captured_at.instant);
        self.faces.iter().map(|face| Sighting { rect: face.rect_after(age), ..face.clone() }).collect()
    }

    /// True when the frame is so old at `now` that boxes and names are no longer shown. When looks are rare or slow,
    /// they are shown until the end of the look after the next one.
    pub fn is_stale(&self, now: Instant) -> bool {
        now > self.stale_at().instant
    }

    /// The time from which they are stale.
    pub fn stale_at(&self) -> Moment {
        let next = self.interval.min(LONGEST_INTERVAL).max(self.took) + self.took * 2 + Duration::from_secs(1);
        self.captured_at.after(STALE.max(next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_beyond_the_picture_is_clipped() {
        let rect = Rect { x: -10, y: 90, w: 30, h: 30 };
        assert_eq!(rect.clipped(100, 100), Rect { x: 0, y: 90, w: 20, h: 10 });
        assert_eq!(Rect { x: 200, y: 0, w: 5, h: 5 }.clipped(100, 100).w, 0);
    }

    #[test]
    fn boxes_disappear_after_a_while_and_later_when_looks_are_rare_or_slow() {
        let stale_after = |took_ms, interval_ms, age_ms| {
            let captured_at = Moment::now();
            let (took, interval) = (Duration::from_millis(took_ms), Duration::from_millis(interval_ms));
            let seen = Sightings {
                frame: 1,
                captured_at,
                took,
                interval,
                width: 1,
                height: 1,
                faces: Vec::new(),
                blurred_areas: Vec::new(),
                examined: None,
                mask: Default::default(),
            };
            seen.is_stale(captured_at.instant + Duration::from_millis(age_ms))
        };
        assert!(!stale_after(50, 200, 1400) && stale_after(50, 200, 1600));
        assert!(!stale_after(2000, 0, 6900) && stale_after(2000, 0, 7100));
        assert!(!stale_after(50, 2000, 3000) && stale_after(50, 60_000, 4200));
    }

    #[test]
    fn iou_is_one_for_the_same_box_and_zero_for_boxes_apart() {
        let rect = Rect { x: 5, y: 5, w: 10, h: 10 };
        assert_eq!(rect.iou(rect), 1.0);
        assert_eq!(rect.iou(Rect { x: 15, ..rect }), 0.0);
        assert!((rect.iou(Rect { x: 10, ..rect }) - 1.0 / 3.0).abs() < 1e-6);
    }
}
