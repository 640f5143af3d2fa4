//! Where on a frame to look for faces. Most of a frame shows what it showed before: faces that are known are followed where
//! they should be, at the size at which the detector just sees them; newcomers are looked for where something moved; the
//! whole frame only now and then. HOG's false faces (a collar, a flag) are found out by a closer look at each new one.

use super::motion::Motion;
use super::{Detect, Engine, is_found_again};
use crate::config::{Detector, Recognition};
use crate::pixels::Rgb;
use crate::sighting::Rect;
use std::time::{Duration, Instant};

/// From the end of one look at the whole frame to the next: newcomers move, so that it hardly ever finds anybody.
const SWEEP_EVERY: Duration = Duration::from_secs(20);
/// And where nothing at all moves.
const STILL_SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Where so much of the frame moves, the whole of it is looked at instead, one doubling less; and as it is, so often.
const MOST_OF_THE_FRAME: f32 = 0.6;
const MOVING_SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Where a face that is followed moves, a newcomer beside it is looked for so often, one doubling less.
const BESIDE_EVERY: Duration = Duration::from_secs(2);
/// What moves is looked at with so much around it, in pixels: a head may be still at first, and HOG wants its margins.
const MARGIN: u32 = 40;
/// The least width in pixels at which a face is followed: HOG sees faces from 80, at once and for little.
const FOLLOWED_WIDTH: f64 = 90.0;
/// HOG scales a picture down in steps of this. Faces are followed at a size on the same ladder, or their boxes, and the
/// descriptors that depend on them, would change from look to look.
const STEP: f64 = 5.0 / 6.0;
/// Boxes that overlap more are of the same face.
const SAME_FACE_IOU: f32 = 0.3;

/// Where a face that is known should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Its box, in pixels of the frame.
    pub place: Rect,
    /// False when the last look missed it.
    pub was_seen: bool,
}

/// Remembers when what was looked at.
#[derive(Debug, Default)]
pub struct Scanner {
    swept_at: Option<Instant>,
    beside_at: Option<Instant>,
    frame_size: (u32, u32),
    /// What looked like faces and was none, since the last sweep.
    rejected: Vec<Rect>,
}

impl Scanner {
    /// The faces on a frame, left to right, in pixels of the frame. `expected` is where known faces should be.
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
        // The CNN sees faces of all sizes at one price, gives no false ones to speak of, and is not asked twice.
        if config.detector == Detector::Cnn {
            return engine.detect(rgb, scale);
        }
        if self.frame_size != (rgb.width, rgb.height) {
            *self = Scanner { frame_size: (rgb.width, rgb.height), ..Scanner::default() };
        }
        let mut found = Vec::new();
        for &known in expected {
            if let Some(face) = follow(engine, rgb, known, scale)
                && !is_among(face, &found)
            {
                found.push(face);
            }
        }
        for face in self.newcomers(engine, rgb, expected, motion, scale, now) {
            if !is_among(face, &found) {
                found.push(face);
            }
        }
        found.sort_by_key(|face| face.x);
        found
    }

    /// True when it is time to look at the whole frame although nothing moves.
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
            return self.sweep(engine, rgb, expected, scale, now);
        }
        let frame = rgb.width as f32 * rgb.height as f32;
        let moving: Vec<Rect> =
            joined(places.iter().map(|place| place.grown(MARGIN).clipped(rgb.width, rgb.height)).collect());
        let (besides, moving): (Vec<Rect>, Vec<Rect>) =
            moving.into_iter().partition(|place| expected.iter().any(|face| is_within(face.place, *place)));
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

    /// Looks at the whole frame; what was rejected gets another chance.
    fn sweep(
        &mut self,
        engine: &mut dyn Engine,
        rgb: &Rgb,
        expected: &[Expected],
        scale: f64,
        now: Instant,
    ) -> Vec<Rect> {
        let started = Instant::now();
        self.rejected.clear();
        let found = self.believed(engine, rgb, expected, Rect { x: 0, y: 0, w: rgb.width, h: rgb.height }, scale);
        // From its end on: where a sweep takes a second itself, there are still cheap looks in between.
        let ended = now + started.elapsed();
        (self.swept_at, self.beside_at) = (Some(ended), Some(ended));
        found
    }

    /// The faces in a part of a frame: those that are where one was, and new ones that are found again when looked at closely.
    fn believed(
        &mut self,
        engine: &mut dyn Engine,
        rgb: &Rgb,
        expected: &[Expected],
        place: Rect,
        scale: f64,
    ) -> Vec<Rect> {
        let mut faces = detect_in(engine, rgb, place, scale);
        faces.retain(|&face| {
            if expected.iter().any(|known| face.iou(known.place) > SAME_FACE_IOU) {
                return true;
            }
            if is_among(face, &self.rejected) {
                return false;
            }
            let real = is_found_again(engine, rgb, face);
            if !real {
                self.rejected.push(face);
            }
            real
        });
        faces
    }
}

fn is_past(at: Option<Instant>, every: Duration, now: Instant) -> bool {
    at.is_none_or(|at| now.saturating_duration_since(at) >= every)
}

fn is_among(face: Rect, others: &[Rect]) -> bool {
    others.iter().any(|other| face.iou(*other) > SAME_FACE_IOU)
}

/// True when the middle of `face` is in `place`.
fn is_within(face: Rect, place: Rect) -> bool {
    let inside = |at: i32, half: u32, from: i32, length: u32| {
        let middle = i64::from(at) + i64::from(half / 2);
        (i64::from(from)..i64::from(from) + i64::from(length)).contains(&middle)
    };
    inside(face.x, face.w, place.x, place.w) && inside(face.y, face.h, place.y, place.h)
}

/// Places that overlap become one.
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

/// Looks for a face around the place where it should be, three tenths of its width to each side; if it is not there, all
/// of it, and for a smaller face too. One that was missed at the last look as well has gone, or has turned away: then what
/// moves leads to it, and its place is looked at for little.
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
mod tests {
    use super::*;
    use crate::recognition::Descriptor;

    /// Sees squares of one shade of blue, each a face, if they are whole and at least 80 pixels wide once scaled. A square
    /// with red in it looks like a face on a whole frame only.
    #[derive(Default)]
    struct Fake {
        pixels_looked_at: f64,
    }

    impl Engine for Fake {
        fn detect(&mut self, picture: &Rgb, scale: f64) -> Vec<Rect> {
            self.pixels_looked_at += f64::from(picture.width * picture.height) * scale * scale;
            let whole_frame = picture.width == 640;
            let square = |blue: u8| {
                let all = (0..picture.height).flat_map(|y| (0..picture.width).map(move |x| (x, y)));
                let mut of_it = all.filter(|&(x, y)| picture.pixel(x, y)[2] == blue);
                let (x, y) = of_it.next()?;
                let (right, bottom) = of_it.next_back()?;
                let face = Rect { x: x as i32, y: y as i32, w: right + 1 - x, h: bottom + 1 - y };
                let real = whole_frame || picture.pixel(x, y)[0] == 0;
                (face.w == face.h && real && f64::from(face.w) * scale >= 80.0).then_some(face)
            };
            (1..=3).filter_map(square).collect()
        }

        fn describe(&mut self, _: &Rgb, _: &[Rect], _: u32) -> Vec<Descriptor> {
            Vec::new()
        }
    }

    fn frame(faces: &[Rect]) -> Rgb {
        with_red(faces, 0)
    }

    fn with_red(faces: &[Rect], red: u8) -> Rgb {
        let mut rgb = Rgb::filled(640, 480, [0; 3]);
        for (shade, face) in (1..).zip(faces) {
            for (x, y) in (0..face.h).flat_map(|y| (0..face.w).map(move |x| (x, y))) {
                let at = rgb.offset(face.x as u32 + x, face.y as u32 + y);
                rgb.data[at..at + 3].copy_from_slice(&[red, 0, shade]);
            }
        }
        rgb
    }

    const LARGE: Rect = Rect { x: 400, y: 100, w: 100, h: 100 };
    const SMALL: Rect = Rect { x: 100, y: 100, w: 60, h: 60 };
    const STILL: Motion = Motion::At(Vec::new());

    fn recognition() -> Recognition {
        crate::config::Config::defaults("/".as_ref()).recognition
    }

    fn moved(place: Rect) -> Motion {
        Motion::At(vec![place])
    }

    /// Looks so many milliseconds after the first look; gives what it finds, and how many pixels it looked at.
    struct Looker {
        engine: Fake,
        scanner: Scanner,
        start: Instant,
        was_seen: bool,
    }

    impl Looker {
        fn new() -> Looker {
            Looker { engine: Fake::default(), scanner: Scanner::default(), start: Instant::now(), was_seen: true }
        }

        fn look(&mut self, ms: u64, rgb: &Rgb, expected: &[Rect], motion: &Motion) -> (Vec<Rect>, f64) {
            self.engine.pixels_looked_at = 0.0;
            let at = self.start + Duration::from_millis(ms);
            let expected: Vec<Expected> =
                expected.iter().map(|&place| Expected { place, was_seen: self.was_seen }).collect();
            let found = self.scanner.find(&mut self.engine, rgb, &expected, motion, &recognition(), at);
            (found, self.engine.pixels_looked_at)
        }
    }

    #[test]
    fn faces_are_followed_at_a_twentieth_of_the_price_of_the_whole_frame() {
        let mut looker = Looker::new();
        let (found, sweep) = looker.look(0, &frame(&[SMALL, LARGE]), &[], &Motion::Unknown);
        assert_eq!(found, [SMALL, LARGE]);
        let moved = Rect { x: SMALL.x + 10, ..SMALL };
        let (found, price) = looker.look(200, &frame(&[moved, LARGE]), &[SMALL, LARGE], &STILL);
        assert_eq!(found, [moved, LARGE]);
        assert!(price < sweep / 12.0, "{price} of {sweep}");
    }

    #[test]
    fn a_newcomer_is_found_at_once_where_something_moved_and_else_at_the_next_sweep() {
        let mut looker = Looker::new();
        looker.look(0, &frame(&[]), &[], &Motion::Unknown);
        let body = Rect { x: 60, y: 80, w: 140, h: 300 };
        assert_eq!(looker.look(200, &frame(&[SMALL]), &[], &moved(body)).0, [SMALL]);
        assert_eq!(looker.look(400, &frame(&[SMALL]), &[], &moved(Rect { x: 400, ..body })).0, []);
        assert_eq!(looker.look(19_000, &frame(&[SMALL]), &[], &STILL).0, []);
        let due = |s: u64| looker.scanner.is_due(looker.start + Duration::from_secs(s));
        assert_eq!([due(59), due(62)], [false, true], "where nobody looks, because nothing moves");
        assert_eq!(looker.look(21_000, &frame(&[SMALL]), &[], &STILL).0, [SMALL]);
    }

    #[test]
    fn beside_a_face_that_moves_a_newcomer_is_found_within_two_seconds() {
        let mut looker = Looker::new();
        looker.look(0, &frame(&[LARGE]), &[], &Motion::Unknown);
        let beside = Rect { x: LARGE.x - 110, w: 90, h: 90, ..SMALL };
        let both = frame(&[beside, LARGE]);
        let place = moved(Rect { x: 280, y: 60, w: 260, h: 300 });
        assert_eq!(looker.look(200, &both, &[LARGE], &place).0, [LARGE]);
        assert_eq!(looker.look(2300, &both, &[LARGE], &place).0, [beside, LARGE]);
    }

    #[test]
    fn a_face_that_went_further_than_expected_is_found_in_a_larger_place() {
        let mut looker = Looker::new();
        looker.look(0, &frame(&[SMALL]), &[], &Motion::Unknown);
        let far = Rect { x: SMALL.x + 55, ..SMALL };
        assert_eq!(looker.look(200, &frame(&[far]), &[SMALL], &STILL).0, [far]);
    }

    #[test]
    fn the_place_of_a_face_that_was_missed_twice_is_looked_at_for_little() {
        let mut looker = Looker::new();
        looker.look(0, &frame(&[]), &[], &Motion::Unknown);
        let (found, first) = looker.look(200, &frame(&[]), &[LARGE], &STILL);
        looker.was_seen = false;
        let (again, then) = looker.look(400, &frame(&[]), &[LARGE], &STILL);
        assert!(found.is_empty() && again.is_empty() && then < first / 3.0, "{then} of {first}");
        assert_eq!(looker.look(600, &frame(&[LARGE]), &[LARGE], &STILL).0, [LARGE], "she turns round again");
    }

    #[test]
    fn what_is_a_face_on_the_whole_frame_only_is_not_believed_and_not_asked_again_before_the_next_sweep() {
        let mut looker = Looker::new();
        let (empty, flag) = (frame(&[]), with_red(&[LARGE], 1));
        let everywhere = moved(Rect { x: 0, y: 0, w: 640, h: 480 });
        looker.look(0, &empty, &[], &Motion::Unknown);
        let alone = looker.look(100, &empty, &[], &everywhere).1;
        let (found, asked) = looker.look(200, &flag, &[], &everywhere);
        assert!(found.is_empty() && asked > alone);
        assert_eq!(looker.look(300, &flag, &[], &everywhere), (vec![], alone));
    }

    #[test]
    fn where_everything_moves_the_whole_frame_is_looked_at_one_doubling_less_and_once_a_second_as_it_is() {
        let mut looker = Looker::new();
        let everywhere = moved(Rect { x: 0, y: 0, w: 640, h: 480 });
        looker.look(0, &frame(&[]), &[], &Motion::Unknown);
        assert_eq!(looker.look(900, &frame(&[]), &[], &everywhere).1, 640.0 * 480.0);
        assert_eq!(looker.look(1200, &frame(&[]), &[], &everywhere).1, 640.0 * 480.0 * 4.0);
        // As if the sweep had taken 1.2 s: there are cheap looks in between all the same.
        looker.scanner.swept_at = Some(looker.start + Duration::from_millis(2400));
        assert_eq!(looker.look(2500, &frame(&[]), &[], &everywhere).1, 640.0 * 480.0);
    }
}
