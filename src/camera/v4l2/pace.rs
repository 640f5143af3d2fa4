//! Whether pictures come as often as was agreed.

use std::time::{Duration, Instant};

/// Long enough that a hand before the lens is no news.
const WINDOW: Duration = Duration::from_secs(5);
/// Shares of the agreed rate: below the first it is slow, from the second on it is well again. What lies between them
/// changes nothing, so that dusk does not fill the log.
const SLOW: f64 = 0.8;
const WELL: f64 = 0.9;

/// Counts frames against the clock.
pub(super) struct Pace {
    fps: Option<f64>,
    begun: Option<Instant>,
    frames: u64,
    slow: bool,
}

impl Pace {
    /// For a camera that agreed to so many frames a second; without that nothing is too slow.
    pub fn of(fps: Option<f64>) -> Pace {
        Pace { fps, begun: None, frames: 0, slow: false }
    }

    /// `frames` more have come; true when they have become too few, and false when they have become enough again.
    pub fn count(&mut self, frames: u64, now: Instant) -> Option<bool> {
        let fps = self.fps?;
        // The first frame only starts the clock.
        let begun = *self.begun.get_or_insert(now);
        self.frames = if begun == now { 0 } else { self.frames.saturating_add(frames) };
        let elapsed = now.saturating_duration_since(begun);
        if elapsed < WINDOW {
            return None;
        }
        let share = self.frames as f64 / elapsed.as_secs_f64() / fps;
        (self.begun, self.frames) = (Some(now), 0);
        let slow = share < if self.slow { WELL } else { SLOW };
        (slow != std::mem::replace(&mut self.slow, slow)).then_some(slow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdicts of so many seconds at a rate.
    fn verdicts(pace: &mut Pace, from: Instant, seconds: u64, fps: u64) -> Vec<bool> {
        let times = (0..=seconds * fps).map(|i| from + Duration::from_millis(i * 1000 / fps));
        times.filter_map(|now| pace.count(1, now)).collect()
    }

    #[test]
    fn a_camera_is_slow_below_four_fifths_and_well_again_at_nine_tenths() {
        let (mut pace, start) = (Pace::of(Some(30.0)), Instant::now());
        let mut after = |seconds: u64, fps| verdicts(&mut pace, start + Duration::from_secs(seconds), 10, fps);
        assert!(after(0, 25).is_empty(), "not slow yet");
        assert_eq!(after(10, 15), [true], "told once");
        assert!(after(20, 25).is_empty(), "still slow");
        assert_eq!(after(30, 29), [false]);
    }

    #[test]
    fn frames_that_were_passed_over_have_come_all_the_same() {
        let (mut pace, start) = (Pace::of(Some(30.0)), Instant::now());
        let mut verdict = |from: u64, frames| {
            (from..from + 100).find_map(|i| pace.count(frames, start + Duration::from_millis(i * 100)))
        };
        assert_eq!((verdict(0, 3), verdict(100, 1)), (None, Some(true)));
    }

    #[test]
    fn without_an_agreement_nothing_is_slow() {
        assert!(verdicts(&mut Pace::of(None), Instant::now(), 20, 1).is_empty());
    }
}
