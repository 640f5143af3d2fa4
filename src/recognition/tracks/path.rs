//! [`Path`]: the position, speed and predicted position of a face: an alpha-beta filter over the boxes of looks.

use crate::image::Rect;
use std::time::{Duration, Instant};

/// The part of the difference between the predicted and the detected position that corrects the position. HOG's boxes
/// jump by a twentieth of their width, because its windows come in steps.
const ALPHA: f32 = 0.7;
/// The same for the width, which HOG determines only to a fifth, and which changes slowly.
const SIZE_ALPHA: f32 = 0.4;
/// The part of the difference that corrects the speed while the difference may be such a jump. Beyond JUMP widths the
/// part grows with the difference, so that a person who sets off or stops is followed at once. With 0.1, a signing head
/// in a real clip at 10 looks per second was lost.
const BETA: f32 = 0.35;
const JUMP: f32 = 0.2;
/// A slower face, in widths per second, counts as standing still: jumps of boxes cause such speeds.
const STANDS_STILL: f32 = 0.15;
/// A face that is further from its predicted position, in widths, has changed its motion. Then its speed is computed
/// from its last position, if a person can walk that fast.
const SURPRISE: f32 = 0.5;
/// The highest speed of a person who walks past a camera, in widths of the face per second: with 16 cm, 1.3 m/s.
const FASTEST: f32 = 8.0;
/// The largest ratio of two widths of one face within two seconds: HOG determines widths to a fifth, and a person may
/// come nearer by as much.
const WIDER: f32 = 1.5;
/// The longest time for which motion is extrapolated.
const HORIZON: Duration = Duration::from_millis(500);

/// The path of a face: centre and size in pixels of the frame, speed in pixels per second.
#[derive(Debug, Clone, Copy)]
pub struct Path {
    center: [f32; 2],
    size: [f32; 2],
    velocity: [f32; 2],
    at: Instant,
    /// True when the face may be anywhere.
    scattered: bool,
}

impl Path {
    pub fn new(rect: Rect, at: Instant) -> Path {
        let (center, size) = split(rect);
        Path { center, size, velocity: [0.0; 2], at, scattered: false }
    }

    /// Makes the next box begin a new path, wherever it is.
    pub fn scatter(&mut self) {
        self.scattered = true;
    }

    /// True when the position of the face is unknown.
    pub fn is_scattered(&self) -> bool {
        self.scattered
    }

    pub fn update(&mut self, rect: Rect, at: Instant) {
        if self.scattered {
            *self = Path::new(rect, at);
            return;
        }
        let seconds = at.saturating_duration_since(self.at).as_secs_f32();
        let (center, size) = split(rect);
        let expected = self.center_at(at);
        let off = |i: usize| (center[i] - expected[i]) / size[0].max(1.0);
        let surprise = (0..2).any(|i| off(i).abs() > SURPRISE);
        let walked: [f32; 2] = std::array::from_fn(|i| (center[i] - self.center[i]) / seconds.max(1e-3));
        let walks = (walked[0] * walked[0] + walked[1] * walked[1]).sqrt() <= FASTEST * size[0];
        for i in 0..2 {
            if surprise || seconds <= 0.0 {
                (self.center[i], self.velocity[i]) = (center[i], if walks { walked[i] } else { 0.0 });
            } else {
                let sure = ((off(i).abs() - JUMP) / (SURPRISE - JUMP)).max(0.0);
                self.velocity[i] += (BETA + (1.0 - BETA) * sure) * (center[i] - expected[i]) / seconds;
                self.center[i] = expected[i] + ALPHA * (center[i] - expected[i]);
            }
            self.size[i] += (size[i] - self.size[i]) * if surprise { 1.0 } else { SIZE_ALPHA };
        }
        self.at = at;
    }

    /// The predicted box at `at`.
    pub fn rect_at(&self, at: Instant) -> Rect {
        let [x, y] = self.center_at(at);
        let [w, h] = self.size;
        let side = |v: f32| v.round().max(1.0) as u32;
        Rect { x: (x - w / 2.0).round() as i32, y: (y - h / 2.0).round() as i32, w: side(w), h: side(h) }
    }

    /// True when the face can have moved to `rect` by `at`, while it was hidden or missed.
    pub fn can_reach(&self, rect: Rect, at: Instant) -> bool {
        if self.scattered {
            return true;
        }
        let (center, size) = split(rect);
        let seconds = at.saturating_duration_since(self.at).as_secs_f32();
        let way = (0..2).map(|i| (center[i] - self.center[i]).powi(2)).sum::<f32>().sqrt();
        let wider = size[0].max(self.size[0]) / size[0].min(self.size[0]).max(1.0);
        wider <= WIDER && way <= (SURPRISE + FASTEST * seconds) * self.size[0]
    }

    /// The speed in pixels per second; 0 for a face that stands still.
    pub fn velocity(&self) -> [f32; 2] {
        let [x, y] = self.velocity;
        if (x * x + y * y).sqrt() < STANDS_STILL * self.size[0] { [0.0; 2] } else { self.velocity }
    }

    fn center_at(&self, at: Instant) -> [f32; 2] {
        let ahead = at.saturating_duration_since(self.at).min(HORIZON).as_secs_f32();
        let [vx, vy] = self.velocity();
        [self.center[0] + vx * ahead, self.center[1] + vy * ahead]
    }
}

fn split(rect: Rect) -> ([f32; 2], [f32; 2]) {
    let (w, h) = (rect.w as f32, rect.h as f32);
    ([rect.x as f32 + w / 2.0, rect.y as f32 + h / 2.0], [w, h])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(step: i32, looks: u32) -> (Path, Instant) {
        let start = Instant::now();
        let rect = |look: u32| Rect { x: step * look as i32, y: 50, w: 100, h: 100 };
        let mut path = Path::new(rect(0), start);
        for look in 1..looks {
            path.update(rect(look), start + Duration::from_millis(200) * look);
        }
        (path, start + Duration::from_millis(200) * (looks - 1))
    }

    #[test]
    fn the_box_of_a_walking_face_is_where_the_face_is_between_two_looks() {
        let (path, last) = walk(30, 8);
        let between = path.rect_at(last + Duration::from_millis(100));
        let truth = 30 * 7 + 15;
        assert!((between.x - truth).abs() <= 4, "{} for {truth}", between.x);
        // Two seconds later the face may be anywhere.
        assert!(path.rect_at(last + Duration::from_secs(2)).x < 30 * 7 + 30 * 3);
    }

    #[test]
    fn a_person_who_sets_off_briskly_or_stops_is_followed_from_the_second_look_on() {
        let step = 90;
        let (mut path, last) = walk(step, 2);
        let next = last + Duration::from_millis(200);
        assert_eq!(path.rect_at(next).x, 2 * step);
        path.update(Rect { x: step, y: 50, w: 100, h: 100 }, next);
        assert_eq!(path.rect_at(next + Duration::from_millis(200)).x, step);
    }

    #[test]
    fn the_jumps_of_a_detector_do_not_move_a_still_face() {
        let start = Instant::now();
        let mut path = Path::new(Rect { x: 0, y: 0, w: 100, h: 100 }, start);
        for look in 1..20 {
            let x = [0, 2][look as usize % 2];
            path.update(Rect { x, y: 0, w: 100, h: 100 }, start + Duration::from_millis(200) * look);
        }
        assert_eq!(path.velocity(), [0.0; 2]);
    }

    #[test]
    fn a_jump_is_followed_at_once() {
        let (mut path, last) = walk(0, 5);
        path.update(Rect { x: 300, y: 50, w: 80, h: 80 }, last + Duration::from_millis(200));
        assert_eq!(path.rect_at(last + Duration::from_millis(300)), Rect { x: 300, y: 50, w: 80, h: 80 });
    }
}
