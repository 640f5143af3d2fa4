//! Detects a frame rate below the confirmed one.

use std::time::{Duration, Instant};

/// The time over which frames are counted: long enough to ignore a hand in front of the lens.
const WINDOW: Duration = Duration::from_secs(5);
/// Shares of the confirmed rate. Below the first share the camera is slow; from the second share on its rate is normal
/// again. Between them nothing changes, so that a rate near the limit does not fill the log.
const SLOW: f64 = 0.8;
const WELL: f64 = 0.9;

/// Counts frames over time.
pub(super) struct FramePace {
    fps: Option<f64>,
    begun: Option<Instant>,
    frames: u64,
    slow: bool,
}

impl FramePace {
    /// A counter for a camera with this confirmed rate, in frames per second. Without a confirmed rate no rate is too
    /// low.
    pub fn of(fps: Option<f64>) -> FramePace {
        FramePace { fps, begun: None, frames: 0, slow: false }
    }

    /// Counts `frames` further frames. Returns true when the rate has become too low, and false when it is normal
    /// again.
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

    /// The results of `seconds` at a rate.
    fn verdicts(pace: &mut FramePace, from: Instant, seconds: u64, fps: u64) -> Vec<bool> {
        let times = (0..=seconds * fps).map(|i| from + Duration::from_millis(i * 1000 / fps));
        times.filter_map(|now| pace.count(1, now)).collect()
    }

    #[test]
    fn a_camera_is_slow_below_four_fifths_and_normal_again_at_nine_tenths() {
        let (mut pace, start) = (FramePace::of(Some(30.0)), Instant::now());
        let mut after = |seconds: u64, fps| verdicts(&mut pace, start + Duration::from_secs(seconds), 10, fps);
        assert!(after(0, 25).is_empty(), "not slow yet");
        assert_eq!(after(10, 15), [true], "told once");
        assert!(after(20, 25).is_empty(), "still slow");
        assert_eq!(after(30, 29), [false]);
    }

    #[test]
    fn dropped_frames_count() {
        let (mut pace, start) = (FramePace::of(Some(30.0)), Instant::now());
        let mut verdict = |from: u64, frames| {
            (from..from + 100).find_map(|i| pace.count(frames, start + Duration::from_millis(i * 100)))
        };
        assert_eq!((verdict(0, 3), verdict(100, 1)), (None, Some(true)));
    }

    #[test]
    fn without_a_confirmed_rate_nothing_is_slow() {
        assert!(verdicts(&mut FramePace::of(None), Instant::now(), 20, 1).is_empty());
    }
}
