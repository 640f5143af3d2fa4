//! The same face from look to look: faces that overlap the most are taken for the same, and keep their number.

use crate::sighting::Rect;
use std::time::{Duration, Instant};

/// Faces that overlap less than this are not the same. Between two looks a fifth of a second apart a walking person
/// moves by less than half of her face's width.
const MIN_IOU: f32 = 0.25;
/// A face that nobody saw for so long is a new one when it comes back.
const MAX_ABSENCE: Duration = Duration::from_secs(2);

/// Numbers faces.
#[derive(Debug, Default)]
pub struct Tracker {
    last: u64,
    tracks: Vec<Track>,
}

#[derive(Debug)]
struct Track {
    number: u64,
    rect: Rect,
    seen_at: Instant,
}

impl Tracker {
    /// The number of each face of a look made at `now`.
    pub fn number(&mut self, faces: &[Rect], now: Instant) -> Vec<u64> {
        self.tracks.retain(|track| now.saturating_duration_since(track.seen_at) <= MAX_ABSENCE);
        let mut pairs: Vec<(f32, usize, usize)> = Vec::new();
        for (face, rect) in faces.iter().enumerate() {
            for (track, known) in self.tracks.iter().enumerate() {
                let iou = rect.iou(known.rect);
                if iou >= MIN_IOU {
                    pairs.push((iou, face, track));
                }
            }
        }
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut of_face: Vec<Option<usize>> = vec![None; faces.len()];
        let mut taken = vec![false; self.tracks.len()];
        for (_, face, track) in pairs {
            if of_face[face].is_none() && !taken[track] {
                (of_face[face], taken[track]) = (Some(track), true);
            }
        }
        let assigned = of_face.into_iter().zip(faces).map(|(track, &rect)| match track {
            Some(track) => {
                let known = &mut self.tracks[track];
                (known.rect, known.seen_at) = (rect, now);
                known.number
            }
            None => {
                self.last += 1;
                self.tracks.push(Track { number: self.last, rect, seen_at: now });
                self.last
            }
        });
        assigned.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(x: i32) -> Rect {
        Rect { x, y: 0, w: 100, h: 100 }
    }

    #[test]
    fn a_face_keeps_its_number_while_it_moves_and_a_new_one_gets_the_next() {
        let (mut tracker, now) = (Tracker::default(), Instant::now());
        assert_eq!(tracker.number(&[face(0), face(300)], now), [1, 2]);
        assert_eq!(tracker.number(&[face(340), face(30)], now), [2, 1]);
        assert_eq!(tracker.number(&[face(60), face(600)], now), [1, 3]);
    }

    #[test]
    fn two_faces_never_share_a_number() {
        let (mut tracker, now) = (Tracker::default(), Instant::now());
        tracker.number(&[face(0)], now);
        assert_eq!(tracker.number(&[face(40), face(10)], now), [2, 1]);
    }

    #[test]
    fn a_face_that_was_away_too_long_is_a_new_one() {
        let (mut tracker, now) = (Tracker::default(), Instant::now());
        tracker.number(&[face(0)], now);
        assert_eq!(tracker.number(&[face(0)], now + Duration::from_secs(3)), [2]);
    }
}
