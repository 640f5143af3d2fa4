//! Where on a frame to look for faces. Small faces cost four times as much per doubling (`upsample`), so the whole frame is
//! swept for them once a second only; in between, it is looked at one doubling less, and small faces that are known are
//! followed where they were.

use super::{Detect, Engine};
use crate::config::{Detector, Recognition};
use crate::pixels::Rgb;
use crate::sighting::Rect;
use std::time::{Duration, Instant};

/// How long a small face may stay unseen at most when it is new.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Boxes that overlap more are of the same face.
const SAME_FACE_IOU: f32 = 0.3;

/// Remembers where faces are between two sweeps.
#[derive(Debug, Default)]
pub struct Scanner {
    swept_at: Option<Instant>,
    frame_size: (u32, u32),
    known: Vec<Rect>,
}

impl Scanner {
    /// The faces on a frame, left to right, in pixels of the frame.
    pub fn find(&mut self, engine: &mut dyn Engine, rgb: &Rgb, config: &Recognition, now: Instant) -> Vec<Rect> {
        let how = Detect::Live { width: config.detect_width, upsample: config.upsample };
        let scale = how.scale(rgb.width, rgb.height);
        let recent = self.swept_at.is_some_and(|at| now.saturating_duration_since(at) < SWEEP_EVERY);
        let same_size = self.frame_size == (rgb.width, rgb.height);
        // The CNN sees faces of all sizes at one price, and without upsampling there is nothing to save.
        if config.upsample == 0 || config.detector == Detector::Cnn || !recent || !same_size {
            (self.swept_at, self.frame_size) = (Some(now), (rgb.width, rgb.height));
            self.known = engine.detect(rgb, scale);
            return self.known.clone();
        }
        let mut found = engine.detect(rgb, scale / 2.0);
        let mut missed = Vec::new();
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
        found.sort_by_key(|face| face.x);
        self.known = found.iter().copied().chain(missed).collect();
        found
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

    /// Sees its faces where they are, if they lie in the picture and are at least 80 pixels wide once scaled. It knows
    /// the place of a crop by the colour of its first pixel: red is x / 10, green is y / 10.
    struct Fake {
        faces: Vec<Rect>,
        pixels_looked_at: f64,
    }

    impl Engine for Fake {
        fn detect(&mut self, picture: &Rgb, scale: f64) -> Vec<Rect> {
            self.pixels_looked_at += f64::from(picture.width * picture.height) * scale * scale;
            let [x, y, _] = picture.pixel(0, 0).map(|v| i32::from(v) * 10);
            let visible = |face: &&Rect| {
                let inside = face.x >= x && face.y >= y && face.x + face.w as i32 <= x + picture.width as i32;
                inside && f64::from(face.w) * scale >= 80.0
            };
            self.faces.iter().filter(visible).map(|face| Rect { x: face.x - x, y: face.y - y, ..*face }).collect()
        }

        fn describe(&mut self, _: &Rgb, _: &[Rect], _: u32) -> Vec<Descriptor> {
            Vec::new()
        }
    }

    fn frame() -> Rgb {
        let pixel = |i: u32| [(i % 640 / 10) as u8, (i / 640 / 10) as u8, 0];
        Rgb { width: 640, height: 480, data: (0..640 * 480).flat_map(pixel).collect() }
    }

    const LARGE: Rect = Rect { x: 400, y: 100, w: 100, h: 100 };
    const SMALL: Rect = Rect { x: 100, y: 100, w: 60, h: 60 };

    fn recognition() -> Recognition {
        crate::config::Config::defaults("/".as_ref()).recognition
    }

    #[test]
    fn a_small_face_is_followed_between_sweeps_at_less_than_a_third_of_the_price() {
        let (mut engine, mut scanner) = (Fake { faces: vec![SMALL, LARGE], pixels_looked_at: 0.0 }, Scanner::default());
        let start = Instant::now();
        assert_eq!(scanner.find(&mut engine, &frame(), &recognition(), start), [SMALL, LARGE]);
        let sweep = std::mem::take(&mut engine.pixels_looked_at);
        engine.faces = vec![Rect { x: SMALL.x + 20, ..SMALL }, LARGE];
        let found = scanner.find(&mut engine, &frame(), &recognition(), start + Duration::from_millis(200));
        assert_eq!(found, [Rect { x: SMALL.x + 20, ..SMALL }, LARGE]);
        assert!(engine.pixels_looked_at < sweep / 3.0, "{} of {sweep}", engine.pixels_looked_at);
    }

    #[test]
    fn a_new_large_face_is_seen_at_once_and_a_new_small_one_within_a_second() {
        let (mut engine, mut scanner) = (Fake { faces: vec![], pixels_looked_at: 0.0 }, Scanner::default());
        let start = Instant::now();
        let mut look = |ms: u64, faces: &[Rect]| {
            engine.faces = faces.to_vec();
            scanner.find(&mut engine, &frame(), &recognition(), start + Duration::from_millis(ms))
        };
        assert_eq!(look(0, &[]), []);
        assert_eq!(look(200, &[SMALL, LARGE]), [LARGE]);
        assert_eq!(look(1000, &[SMALL, LARGE]), [SMALL, LARGE]);
    }

    #[test]
    fn a_small_face_that_turned_away_is_found_again_before_the_next_sweep() {
        let (mut engine, mut scanner) = (Fake { faces: vec![], pixels_looked_at: 0.0 }, Scanner::default());
        let start = Instant::now();
        let mut look = |ms: u64, faces: &[Rect]| {
            engine.faces = faces.to_vec();
            scanner.find(&mut engine, &frame(), &recognition(), start + Duration::from_millis(ms)).len()
        };
        assert_eq!([look(0, &[SMALL]), look(200, &[]), look(400, &[SMALL])], [1, 0, 1]);
    }

    #[test]
    fn without_upsampling_the_whole_frame_is_looked_at_every_time() {
        let (mut engine, mut scanner) = (Fake { faces: vec![LARGE], pixels_looked_at: 0.0 }, Scanner::default());
        let config = Recognition { upsample: 0, ..recognition() };
        for _ in 0..3 {
            assert_eq!(scanner.find(&mut engine, &frame(), &config, Instant::now()), [LARGE]);
        }
        assert_eq!(engine.pixels_looked_at, 3.0 * 640.0 * 480.0);
    }
}
