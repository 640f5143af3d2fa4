//! Where on a frame to look for faces. Small faces cost four times as much per doubling (`upsample`), so the whole frame is
//! swept for them once a second only; in between, it is looked at one doubling less, and small faces that are known are
//! followed where they were. HOG's false faces (a collar, a flag) are found out by a closer look at each new one.

use super::{Detect, Engine, is_found_again};
use crate::config::{Detector, Recognition};
use crate::pixels::Rgb;
use crate::sighting::Rect;
use std::time::{Duration, Instant};

/// From the end of one sweep to the next: where a sweep takes a second itself, there are still cheap looks in between.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Boxes that overlap more are of the same face.
const SAME_FACE_IOU: f32 = 0.3;

/// Remembers where faces are between two sweeps.
#[derive(Debug, Default)]
pub struct Scanner {
    swept_at: Option<Instant>,
    frame_size: (u32, u32),
    known: Vec<Rect>,
    /// What looked like faces and was none, since the last sweep.
    rejected: Vec<Rect>,
}

impl Scanner {
    /// The faces on a frame, left to right, in pixels of the frame.
    pub fn find(&mut self, engine: &mut dyn Engine, rgb: &Rgb, config: &Recognition, now: Instant) -> Vec<Rect> {
        let how = Detect::Live { width: config.detect_width, upsample: config.upsample };
        let scale = how.scale(rgb.width, rgb.height);
        // The CNN sees faces of all sizes at one price, gives no false ones to speak of, and is not asked twice.
        if config.detector == Detector::Cnn {
            return engine.detect(rgb, scale);
        }
        if self.frame_size != (rgb.width, rgb.height) {
            *self = Scanner { frame_size: (rgb.width, rgb.height), ..Scanner::default() };
        }
        let due = self.swept_at.is_none_or(|at| now.saturating_duration_since(at) >= SWEEP_EVERY);
        let mut missed = Vec::new();
        let mut found = if due || config.upsample == 0 {
            self.sweep(engine, rgb, scale, due, now)
        } else {
            let mut found = self.believed(engine, rgb, scale / 2.0);
            for &place in &self.known {
                if is_among(place, &found) {
                    continue;
                }
                match follow(engine, rgb, place, scale) {
                    Some(face) if !is_among(face, &found) => found.push(face),
                    Some(_) => {}
                    // It may have turned away for a moment: it is looked for until the next sweep.
                    None => missed.push(place),
                }
            }
            found
        };
        found.sort_by_key(|face| face.x);
        self.known = found.iter().copied().chain(missed).collect();
        found
    }

    /// Looks at the whole frame; `anew`: what was rejected gets another chance.
    fn sweep(&mut self, engine: &mut dyn Engine, rgb: &Rgb, scale: f64, anew: bool, now: Instant) -> Vec<Rect> {
        let started = Instant::now();
        if anew {
            self.rejected.clear();
        }
        let found = self.believed(engine, rgb, scale);
        if anew {
            self.swept_at = Some(now + started.elapsed());
        }
        found
    }

    /// The faces on a whole frame: those that are where one was, and new ones that are found again when looked at closely.
    fn believed(&mut self, engine: &mut dyn Engine, rgb: &Rgb, scale: f64) -> Vec<Rect> {
        let mut faces = engine.detect(rgb, scale);
        faces.retain(|&face| {
            if is_among(face, &self.known) {
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

fn is_among(face: Rect, others: &[Rect]) -> bool {
    others.iter().any(|other| face.iou(*other) > SAME_FACE_IOU)
}

/// Looks for a face around the place where it was, half of its width to each side.
fn follow(engine: &mut dyn Engine, rgb: &Rgb, place: Rect, scale: f64) -> Option<Rect> {
    let around = place.grown(place.w / 2).clipped(rgb.width, rgb.height);
    let faces = engine.detect(&rgb.cropped(around), scale);
    let in_frame = faces.into_iter().map(|face| Rect { x: face.x + around.x, y: face.y + around.y, ..face });
    in_frame.max_by(|a, b| a.iou(place).total_cmp(&b.iou(place)))
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

    fn recognition() -> Recognition {
        crate::config::Config::defaults("/".as_ref()).recognition
    }

    /// Looks at `faces` so many milliseconds after the first look.
    fn looker(start: Instant) -> impl FnMut(u64, &[Rect]) -> Vec<Rect> {
        let (mut engine, mut scanner) = (Fake::default(), Scanner::default());
        move |ms, faces| scanner.find(&mut engine, &frame(faces), &recognition(), start + Duration::from_millis(ms))
    }

    #[test]
    fn a_small_face_is_followed_between_sweeps_at_less_than_half_of_the_price() {
        let (mut engine, mut scanner, start) = (Fake::default(), Scanner::default(), Instant::now());
        let mut look = |ms: u64, faces: &[Rect]| {
            engine.pixels_looked_at = 0.0;
            let found = scanner.find(&mut engine, &frame(faces), &recognition(), start + Duration::from_millis(ms));
            (found, engine.pixels_looked_at)
        };
        assert_eq!(look(0, &[SMALL, LARGE]).0, [SMALL, LARGE]);
        let (_, sweep) = look(3000, &[SMALL, LARGE]);
        let moved = Rect { x: SMALL.x + 20, ..SMALL };
        let (found, price) = look(3200, &[moved, LARGE]);
        assert_eq!(found, [moved, LARGE]);
        assert!(price < sweep / 2.0, "{price} of {sweep}");
    }

    #[test]
    fn a_new_large_face_is_seen_at_once_and_a_new_small_one_at_the_next_sweep() {
        let mut look = looker(Instant::now());
        assert_eq!(look(0, &[]), []);
        assert_eq!(look(200, &[SMALL, LARGE]), [LARGE]);
        assert_eq!(look(3000, &[SMALL, LARGE]), [SMALL, LARGE]);
    }

    #[test]
    fn a_small_face_that_turned_away_is_found_again_before_the_next_sweep() {
        let mut look = looker(Instant::now());
        assert_eq!([look(0, &[SMALL]).len(), look(200, &[]).len(), look(400, &[SMALL]).len()], [1, 0, 1]);
    }

    #[test]
    fn what_is_a_face_on_the_whole_frame_only_is_not_believed_and_not_asked_again_before_the_next_sweep() {
        let (mut engine, mut scanner, start) = (Fake::default(), Scanner::default(), Instant::now());
        let mut price_of = |ms: u64, picture: &Rgb| {
            engine.pixels_looked_at = 0.0;
            assert_eq!(scanner.find(&mut engine, picture, &recognition(), start + Duration::from_millis(ms)), []);
            engine.pixels_looked_at
        };
        let (empty, flag) = (frame(&[]), with_red(&[LARGE], 1));
        price_of(0, &empty);
        let alone = price_of(100, &empty);
        assert!(price_of(200, &flag) > alone);
        assert_eq!(price_of(300, &flag), alone);
    }

    #[test]
    fn where_a_sweep_takes_longer_than_the_pause_between_sweeps_there_are_cheap_looks_too() {
        let (mut engine, mut scanner, start) = (Fake::default(), Scanner::default(), Instant::now());
        scanner.find(&mut engine, &frame(&[]), &recognition(), start);
        // As if the sweep had taken 1.2 s.
        scanner.swept_at = Some(start + Duration::from_millis(1200));
        engine.pixels_looked_at = 0.0;
        scanner.find(&mut engine, &frame(&[]), &recognition(), start + Duration::from_millis(1300));
        assert_eq!(engine.pixels_looked_at, 640.0 * 480.0);
    }

    #[test]
    fn without_upsampling_the_whole_frame_is_looked_at_every_time() {
        let (mut engine, mut scanner) = (Fake::default(), Scanner::default());
        let config = Recognition { upsample: 0, ..recognition() };
        assert_eq!(scanner.find(&mut engine, &frame(&[LARGE]), &config, Instant::now()), [LARGE]);
        engine.pixels_looked_at = 0.0;
        assert_eq!(scanner.find(&mut engine, &frame(&[LARGE]), &config, Instant::now()), [LARGE]);
        assert_eq!(engine.pixels_looked_at, 640.0 * 480.0);
    }
}
