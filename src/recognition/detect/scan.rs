//! Chooses the parts of a frame in which faces are detected. Most of a frame does not change: known faces are searched
//! at their expected places, at the smallest size at which the detector finds them; new faces are searched where
//! something moved; the whole frame is scanned only now and then. Each new face, and each one beside the expected place
//! of a known face, is verified by a second detection on a crop, which rejects most false detections of HOG (a collar, a flag).

use crate::config::{Detector, Recognition};
use crate::image::{Rect, Rgb};
use crate::recognition::detect::motion::Motion;
use crate::recognition::detect::verify::is_found_again;
use crate::recognition::engine::{Detect, Engine};
use std::time::{Duration, Instant};

/// The interval between scans of the whole frame, which rarely find a new face, because new people move.
const SWEEP_EVERY: Duration = Duration::from_secs(20);
/// How long a scan of the whole frame is put off while something moves. A newcomer is found sooner by a search where
/// something moves, because the scan takes several times as long.
const PUT_OFF: Duration = Duration::from_secs(2);
/// The interval between scans of the whole frame without any motion.
const STILL_SWEEP_EVERY: Duration = Duration::from_secs(60);
/// The share of motion from which the whole frame is scanned at half the scale, and the interval of its scans at full
/// scale.
const MOST_OF_THE_FRAME: f32 = 0.6;
const MOVING_SWEEP_EVERY: Duration = Duration::from_secs(1);
/// These intervals begin with the frame after a scan of the whole frame, if it arrives within this time, so that there
/// are cheap looks in between even when such a scan takes a second.
const SWEEP_TAKES_UP_TO: Duration = Duration::from_secs(2);
/// The interval at which a new face is searched, at half the scale, beside a known face that moves.
const BESIDE_EVERY: Duration = Duration::from_secs(2);
/// The margin in pixels around a moving place: the head may not move at first, and HOG needs a margin.
const MARGIN: u32 = 40;
/// The width in pixels to which a known face is scaled: HOG finds faces from 80.
const FOLLOWED_WIDTH: f64 = 90.0;
/// The ratio of HOG's scale pyramid. Known faces are searched at a scale of the same pyramid; otherwise their boxes,
/// and the descriptors that depend on them, would change from look to look.
const STEP: f64 = 5.0 / 6.0;
/// The overlap from which two boxes show the same face.
const SAME_FACE_IOU: f32 = 0.3;

/// The expected place of a known face.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    pub place: Rect,
    /// False when the last look missed the face. When this look misses it too, motion at its place is searched like any
    /// other.
    pub was_seen: bool,
}

#[derive(Debug, Default)]
pub struct Scanner {
    swept_at: Option<Instant>,
    /// True until the look after a scan of the whole frame.
    has_just_swept: bool,
    beside_at: Option<Instant>,
    /// Since when a scan of the whole frame has been put off.
    put_off_since: Option<Instant>,
    frame_size: (u32, u32),
    /// The rejected detections since the last scan of the whole frame, except those at the edge of the picture.
    rejected: Vec<Rect>,
    /// The rejected detections of the last look.
    doubted: Vec<Rect>,
}

impl Scanner {
    /// The faces on a frame from left to right, in pixels of the frame. `expected` are the places of known faces.
    pub fn find(
        &mut self,
        engine: &mut dyn Engine,
        rgb: &Rgb,
        expected: &[Expected],
        motion: &Motion,
        config: &Recognition,
        now: Instant,
    ) -> Vec<Rect> {
        let how = Detect::Live { width: config.detect_width, upsample: config.upsample };
        let scale = how.scale(rgb.width, rgb.height);
        self.doubted.clear();
        // The CNN finds faces of all sizes at the same cost and has hardly any false detections, so they are not
        // verified.
        if config.detector == Detector::Cnn {
            self.swept_at = Some(now);
            return engine.detect(rgb, scale);
        }
        if self.frame_size != (rgb.width, rgb.height) {
            *self = Scanner { frame_size: (rgb.width, rgb.height), ..Scanner::default() };
        }
        if let Some(at) = self.swept_at.filter(|_| std::mem::take(&mut self.has_just_swept)) {
            let ended = now.min(at + SWEEP_TAKES_UP_TO);
            (self.swept_at, self.beside_at) = (Some(ended), Some(ended));
        }
        let (mut found, mut followed) = (Vec::new(), expected.to_vec());
        for known in &mut followed {
            // What is rejected here is looked at again: at the next look, a face that moves may be sharp.
            let face = follow(engine, rgb, *known, scale).filter(|face| {
                let is_face = is_expected(*face, expected) || is_found_again(engine, rgb, *face);
                if !is_face {
                    self.doubted.push(*face);
                }
                is_face
            });
            known.was_seen |= face.is_some();
            found.extend(face.filter(|face| !is_among(*face, &found)));
        }
        for face in self.newcomers(engine, rgb, &followed, motion, scale, now) {
            if !is_among(face, &found) {
                found.push(face);
            }
        }
        found.sort_by_key(|face| face.x);
        found
    }

    /// The detections of the last look that the verification rejected.
    pub fn doubted(&self) -> &[Rect] {
        &self.doubted
    }

    /// True when a scan of the whole frame is due although nothing moves.
    pub fn is_due(&self, now: Instant) -> bool {
        is_past(self.swept_at, STILL_SWEEP_EVERY, now)
    }

    fn newcomers(
        &mut self,
        engine: &mut dyn Engine,
        rgb: &Rgb,
        expected: &[Expected],
        motion: &Motion,
        scale: f64,
        now: Instant,
    ) -> Vec<Rect> {
        let Motion::At(places) = motion else { return self.sweep(engine, rgb, expected, scale, now) };
        if is_past(self.swept_at, SWEEP_EVERY, now) {
            let since = *self.put_off_since.get_or_insert(now);
            if places.is_empty() || is_past(Some(since), PUT_OFF, now) {
                return self.sweep(engine, rgb, expected, scale, now);
            }
        }
        let frame = rgb.width as f32 * rgb.height as f32;
        let moving: Vec<Rect> =
            joined(places.iter().map(|place| place.grown(MARGIN).clipped(rgb.width, rgb.height)).collect());
        let (besides, moving): (Vec<Rect>, Vec<Rect>) = moving
            .into_iter()
            .partition(|place| expected.iter().any(|face| face.was_seen && is_within(face.place, *place)));
        if moving.iter().map(|place| place.w as f32 * place.h as f32).sum::<f32>() > MOST_OF_THE_FRAME * frame {
            if is_past(self.swept_at, MOVING_SWEEP_EVERY, now) {
                return self.sweep(engine, rgb, expected, scale, now);
            }
            return self.believed(engine, rgb, expected, Rect { x: 0, y: 0, w: rgb.width, h: rgb.height }, scale / 2.0);
        }
        let mut places: Vec<(Rect, f64)> = moving.into_iter().map(|place| (place, scale)).collect();
        if is_past(self.beside_at, BESIDE_EVERY, now) {
            self.beside_at = Some(now);
            places.extend(besides.into_iter().map(|place| (place, scale / 2.0)));
        }
        places.into_iter().flat_map(|(place, scale)| self.believed(engine, rgb, expected, place, scale)).collect()
    }

    /// Scans the whole frame; rejected detections are verified again.
    fn sweep(
        &mut self,
        engine: &mut dyn Engine,
        rgb: &Rgb,
        expected: &[Expected],
        scale: f64,
        now: Instant,
    ) -> Vec<Rect> {
        self.rejected.clear();
        self.put_off_since = None;
        (self.swept_at, self.beside_at, self.has_just_swept) = (Some(now), Some(now), true);
        self.believed(engine, rgb, expected, Rect { x: 0, y: 0, w: rgb.width, h: rgb.height }, scale)
    }

    /// The faces in a part of a frame: those at the place of a known face, and new ones that are verified.
    fn believed(
        &mut self,
        engine: &mut dyn Engine,
        rgb: &Rgb,
        expected: &[Expected],
        place: Rect,
        scale: f64,
    ) -> Vec<Rect> {
        let mut faces = detect_in(engine, rgb, place, scale);
        faces.retain(|&face| self.believe(engine, rgb, expected, face));
        faces
    }

    /// True for a face at the expected place of a known one, and for another one that is verified.
    fn believe(&mut self, engine: &mut dyn Engine, rgb: &Rgb, expected: &[Expected], face: Rect) -> bool {
        if is_expected(face, expected) {
            return true;
        }
        if is_among(face, &self.rejected) {
            self.doubted.push(face);
            return false;
        }
        let real = is_found_again(engine, rgb, face);
        if !real {
            self.doubted.push(face);
            // The edge of the picture may cut a real face, which the next look sees more of.
            if !is_at_edge(face, rgb) {
                self.rejected.push(face);
            }
        }
        real
    }
}

/// True for a face at the expected place of a known one.
fn is_expected(face: Rect, expected: &[Expected]) -> bool {
    expected.iter().any(|known| face.iou(known.place) > SAME_FACE_IOU)
}

fn is_past(at: Option<Instant>, every: Duration, now: Instant) -> bool {
    at.is_none_or(|at| now.saturating_duration_since(at) >= every)
}

/// True for a face that the edge of the picture may cut: one that is at most an eighth of its width away from it.
fn is_at_edge(face: Rect, rgb: &Rgb) -> bool {
    let around = face.grown(face.w / 8);
    around.clipped(rgb.width, rgb.height) != around
}

fn is_among(face: Rect, others: &[Rect]) -> bool {
    others.iter().any(|other| face.iou(*other) > SAME_FACE_IOU)
}

/// True when the centre of `face` is in `place`.
fn is_within(face: Rect, place: Rect) -> bool {
    let inside = |at: i32, half: u32, from: i32, length: u32| {
        let middle = i64::from(at) + i64::from(half / 2);
        (i64::from(from)..i64::from(from) + i64::from(length)).contains(&middle)
    };
    inside(face.x, face.w, place.x, place.w) && inside(face.y, face.h, place.y, place.h)
}

/// Merges overlapping places.
fn joined(mut places: Vec<Rect>) -> Vec<Rect> {
    let mut at = 0;
    while at < places.len() {
        match (at + 1..places.len()).find(|&other| places[at].iou(places[other]) > 0.0) {
            Some(other) => {
                let other = places.swap_remove(other);
                places[at] = places[at].around(other);
                at = 0;
            }
            None => at += 1,
        }
    }
    places
}

/// The faces in a part of a frame, in pixels of the frame.
fn detect_in(engine: &mut dyn Engine, rgb: &Rgb, place: Rect, scale: f64) -> Vec<Rect> {
    if (place.w, place.h) == (rgb.width, rgb.height) {
        return engine.detect(rgb, scale);
    }
    let faces = engine.detect(&rgb.cropped(place), scale);
    faces.into_iter().map(|face| Rect { x: face.x + place.x, y: face.y + place.y, ..face }).collect()
}

/// Searches a known face at its expected place with a margin of three tenths of its width; if it is not found, in a
/// larger area and also for a smaller face. A face that the last look missed too has left or turned away: motion will
/// lead to it, so its place is searched at low cost only.
fn follow(engine: &mut dyn Engine, rgb: &Rgb, expected: Expected, scale: f64) -> Option<Rect> {
    let place = expected.place;
    let mut at_scale = scale;
    while f64::from(place.w) * at_scale * STEP >= FOLLOWED_WIDTH {
        at_scale *= STEP;
    }
    let near = (place.w * 3 / 10, at_scale);
    let far = (place.w, scale.min(at_scale / STEP));
    for (margin, at_scale) in std::iter::once(near).chain(expected.was_seen.then_some(far)) {
        let around = place.grown(margin).clipped(rgb.width, rgb.height);
        let faces = detect_in(engine, rgb, around, at_scale);
        if let Some(face) = faces.into_iter().max_by(|a, b| a.iou(place).total_cmp(&b.iou(place))) {
            return Some(face);
        }
    }
    None
}

#[cfg(test)]
mod tests;
