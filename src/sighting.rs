//! What recognition has to say about a frame: [`Sightings`], a [`Sighting`] a face.

mod looked;
mod veils;

use crate::evidence::Evidence;
use crate::pixels::Rgb;
use crate::view::View;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use looked::Looked;
pub use veils::Veil;

/// A rectangle in pixels: left, top, width and height. It may reach beyond the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rect {
    /// Left edge, pixels from the left of the picture.
    pub x: i32,
    /// Top edge, pixels from the top of the picture.
    pub y: i32,
    /// Width in pixels.
    pub w: u32,
    /// Height in pixels.
    pub h: u32,
}

impl Rect {
    /// The part of the rectangle that lies within a picture of `width` x `height` pixels; empty where they do not meet.
    pub fn clipped(self, width: u32, height: u32) -> Rect {
        let cut = |start: i32, len: u32, limit: u32| {
            let limit = i64::from(limit);
            let from = i64::from(start).clamp(0, limit);
            let to = (i64::from(start) + i64::from(len)).clamp(from, limit);
            (from as i32, (to - from) as u32)
        };
        let ((x, w), (y, h)) = (cut(self.x, self.w, width), cut(self.y, self.h, height));
        Rect { x, y, w, h }
    }

    /// Intersection over union of two rectangles: 0 where they do not touch, 1 where they are the same.
    pub fn iou(self, other: Rect) -> f32 {
        let overlap = |a: i32, a_len: u32, b: i32, b_len: u32| {
            let end = (i64::from(a) + i64::from(a_len)).min(i64::from(b) + i64::from(b_len));
            (end - i64::from(a.max(b))).max(0)
        };
        let shared = overlap(self.x, self.w, other.x, other.w) * overlap(self.y, self.h, other.y, other.h);
        let area = |r: Rect| i64::from(r.w) * i64::from(r.h);
        let union = area(self) + area(other) - shared;
        if union == 0 { 0.0 } else { shared as f32 / union as f32 }
    }

    /// The rectangle with a margin of `by` pixels on each side.
    pub fn grown(self, by: u32) -> Rect {
        let side = |start: i32| start.saturating_sub_unsigned(by);
        Rect { x: side(self.x), y: side(self.y), w: self.w + 2 * by, h: self.h + 2 * by }
    }

    /// The smallest rectangle around both.
    pub fn around(self, other: Rect) -> Rect {
        let end = |start: i32, length: u32| i64::from(start) + i64::from(length);
        let span = |a: i32, a_len: u32, b: i32, b_len: u32| {
            let start = a.min(b);
            (start, (end(a, a_len).max(end(b, b_len)) - i64::from(start)) as u32)
        };
        let ((x, w), (y, h)) = (span(self.x, self.w, other.x, other.w), span(self.y, self.h, other.y, other.h));
        Rect { x, y, w, h }
    }

    /// The rectangle in a picture that is `factor` times as large.
    pub fn scaled(self, factor: f64) -> Rect {
        let scale = |v: f64| (v * factor).round();
        let (x, y) = (scale(f64::from(self.x)), scale(f64::from(self.y)));
        Rect { x: x as i32, y: y as i32, w: scale(f64::from(self.w)) as u32, h: scale(f64::from(self.h)) as u32 }
    }
}

/// How sure namecam is of who a face is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// A face, not yet compared with anybody.
    Seen,
    /// A face that carries the name of somebody in the gallery.
    Named,
    /// A face that is not near enough to anybody in the gallery.
    Unknown,
}

impl State {
    /// The word for it in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Seen => "seen",
            State::Named => "named",
            State::Unknown => "unknown",
        }
    }
}

/// A person and how far a face is from her; smaller is nearer.
#[derive(Debug, Clone, PartialEq)]
pub struct Near {
    /// The person's name, or the file of a picture.
    pub what: Arc<str>,
    /// The distance in the metric at work.
    pub distance: f32,
}

/// One face on one frame.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// The same number as long as it is taken for the same face from look to look.
    pub track: u64,
    /// Who it is, when near enough to somebody.
    pub name: Option<Arc<str>>,
    /// The distance that the threshold judged; `None` when there is nobody to compare with.
    pub distance: Option<f32>,
    /// The second nearest person.
    pub runner_up: Option<Near>,
    /// The nearest picture of the gallery.
    pub nearest: Option<Near>,
    /// Where the face is, in pixels of the frame after rotate and mirror.
    pub rect: Rect,
    /// How fast it moves, pixels a second to the right and down.
    pub velocity: [f32; 2],
    /// How sure it is.
    pub state: State,
    /// Why.
    pub evidence: Arc<Evidence>,
    /// What its place looked like on the frame that was looked at; `None`: nobody kept that.
    pub view: Option<Arc<View>>,
}

/// What is at the place of a face on a later frame is less alike when something else is there: of a real clip, the same
/// people were 0.74 and more after a third of a second, and others after a cut 0.47 and less, but for one pair (0.77).
const STILL_ALIKE: f32 = 0.6;

/// Where one person takes the place of another, their views are less alike, or at least their faces alone are: of 13110 pairs
/// of photos of two people each, the faces of 13 were 0.78 alike and more. Of three clips the same face was so alike a
/// twenty-fifth of a second later in 62 of 64 cases, and of a fourth one, in which a head turns fast, in 4 of 4.
const SURELY_ALIKE: f32 = 0.78;

/// Nobody knows where a face is so long after the frame that it was seen on: its box stays where it had got to.
const LONGEST_WAY: Duration = Duration::from_millis(400);

impl Sighting {
    /// Where the face should be so long after the frame that it was seen on.
    pub fn rect_after(&self, age: Duration) -> Rect {
        let seconds = age.min(LONGEST_WAY).as_secs_f32();
        let [x, y] = self.velocity.map(|v| (v * seconds).round() as i32);
        Rect { x: self.rect.x.saturating_add(x), y: self.rect.y.saturating_add(y), ..self.rect }
    }

    /// True when a later frame still shows at the face's place what was seen there, and not another scene.
    pub fn is_there(&self, rgb: &Rgb) -> bool {
        let Some(view) = &self.view else { return true };
        view.likeness_at(rgb, self.rect, STILL_ALIKE) >= STILL_ALIKE
    }

    /// True when what a later frame shows at the face's place is the same person beyond doubt: what is around the face is the
    /// same, and so is the face alone, since another one may come into the same surroundings.
    pub fn is_surely_there(&self, rgb: &Rgb) -> bool {
        self.view.as_ref().is_some_and(|view| {
            view.likeness_at(rgb, self.rect, SURELY_ALIKE) >= SURELY_ALIKE
                && view.likeness_of_face_at(rgb, self.rect, SURELY_ALIKE) >= SURELY_ALIKE
        })
    }

    /// True when boxes and labels of both are the same.
    pub fn is_drawn_like(&self, other: &Sighting) -> bool {
        let shown = |face: &Sighting| (face.rect, face.state, face.distance.map(|distance| round3(distance).to_bits()));
        shown(self) == shown(other) && self.name == other.name
    }

    /// Why the face has its name or none, as `/api/faces/TRACK` shows it.
    pub fn evidence_json(&self, admin: bool) -> Value {
        self.evidence.json(admin)
    }

    /// The face as `identify --json` and, with what a track adds, `/api/state` show it.
    /// `width` and `height` clip the box; `admin` says whether file names of the gallery may be shown.
    pub fn json(&self, width: u32, height: u32, admin: bool) -> Value {
        let rect = self.rect.clipped(width, height);
        json!({
            "name": self.name,
            "distance": self.distance.map(round3),
            "runner_up": self.runner_up.as_ref().map(|n| json!({"name": n.what, "distance": round3(n.distance)})),
            "nearest": self.nearest.as_ref().map(|n| {
                let file = admin.then(|| Arc::clone(&n.what));
                json!({"file": file, "distance": round3(n.distance)})
            }),
            "box": [rect.x, rect.y, rect.w, rect.h],
        })
    }
}

/// Distances are shown with three decimals, like the seed's labels.
pub fn round3(distance: f32) -> f64 {
    (f64::from(distance) * 1000.0).round() / 1000.0
}

/// The result of one look at one frame.
#[derive(Debug, Clone)]
pub struct Sightings {
    /// Number of the frame that was looked at.
    pub frame: u64,
    /// When that frame was captured.
    pub captured_at: Instant,
    /// How long the look took, from taking the frame to this result.
    pub took: Duration,
    /// How often it is looked.
    pub interval: Duration,
    /// Width of the frame after rotate, pixels.
    pub width: u32,
    /// Height of the frame after rotate, pixels.
    pub height: u32,
    /// The faces, left to right.
    pub faces: Vec<Sighting>,
    /// Faces without a name that earlier looks found and this one does not.
    pub veils: Vec<Veil>,
    /// What the whole frame showed, with `overlay.unknown = blur`; `None`: this look has not examined the whole of it.
    pub looked: Option<Arc<Looked>>,
}

/// What was seen is shown for so long at least; see [`Sightings::is_stale`].
pub const STALE: Duration = Duration::from_millis(1500);
/// However seldom it is looked, boxes do not stand for longer than this behind the time of a look.
const LONGEST_INTERVAL: Duration = Duration::from_secs(3);

impl Sightings {
    /// The faces where they should be on a frame captured at `captured_at`.
    pub fn faces_at(&self, captured_at: Instant) -> Vec<Sighting> {
        let age = captured_at.saturating_duration_since(self.captured_at);
        self.faces.iter().map(|face| Sighting { rect: face.rect_after(age), ..face.clone() }).collect()
    }

    /// True when the frame is so long ago at `now` that people may have moved on: boxes and names go then. Where looks
    /// are seldom or take long, they stay until the next but one should have come.
    pub fn is_stale(&self, now: Instant) -> bool {
        now > self.stale_at()
    }

    /// When that will be.
    pub fn stale_at(&self) -> Instant {
        let next = self.interval.min(LONGEST_INTERVAL).max(self.took) + self.took * 2 + Duration::from_secs(1);
        self.captured_at + STALE.max(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_beyond_the_picture_is_cut_at_its_edges() {
        let rect = Rect { x: -10, y: 90, w: 30, h: 30 };
        assert_eq!(rect.clipped(100, 100), Rect { x: 0, y: 90, w: 20, h: 10 });
        assert_eq!(Rect { x: 200, y: 0, w: 5, h: 5 }.clipped(100, 100).w, 0);
    }

    #[test]
    fn boxes_go_after_a_while_and_later_where_looks_are_seldom_or_slow() {
        let stale_after = |took_ms, interval_ms, age_ms| {
            let captured_at = Instant::now();
            let (took, interval) = (Duration::from_millis(took_ms), Duration::from_millis(interval_ms));
            let seen = Sightings {
                frame: 1,
                captured_at,
                took,
                interval,
                width: 1,
                height: 1,
                faces: Vec::new(),
                veils: Vec::new(),
                looked: None,
            };
            seen.is_stale(captured_at + Duration::from_millis(age_ms))
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
