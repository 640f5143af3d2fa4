//! [`Demand`]: who wants pictures. While nobody does, nothing is decoded and nothing encoded.

use crate::health::lock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many want pictures now. Nobody: the encoder rests.
#[derive(Debug, Default)]
pub struct Demand {
    count: Mutex<usize>,
    viewers: AtomicUsize,
    changed: Condvar,
}

impl Demand {
    /// Wants pictures for as long as the guard lives.
    pub fn hold(&self) -> Hold<'_> {
        *lock(&self.count) += 1;
        self.changed.notify_all();
        Hold { demand: self, viewer: false }
    }

    /// The same for a viewer of the stream; `None` when there are `max` already.
    pub fn hold_as_viewer(&self, max: usize) -> Option<Hold<'_>> {
        let taken = self.viewers.fetch_update(Relaxed, Relaxed, |n| (n < max).then_some(n + 1));
        taken.ok()?;
        let mut hold = self.hold();
        hold.viewer = true;
        Some(hold)
    }

    /// How many watch the stream.
    pub fn viewers(&self) -> usize {
        self.viewers.load(Relaxed)
    }

    /// Waits until somebody wants pictures, `timeout` at most; true when somebody does.
    pub fn wait(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut count = lock(&self.count);
        while *count == 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            count = self.changed.wait_timeout(count, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

/// Somebody wants pictures, see [`Demand::hold`].
#[derive(Debug)]
pub struct Hold<'a> {
    demand: &'a Demand,
    viewer: bool,
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        *lock(&self.demand.count) -= 1;
        if self.viewer {
            self.demand.viewers.fetch_sub(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_viewer_beyond_the_limit_is_refused_and_a_place_is_given_back() {
        let demand = Demand::default();
        let one = demand.hold_as_viewer(1);
        assert!(one.is_some() && demand.hold_as_viewer(1).is_none());
        drop(one);
        assert!(!demand.wait(Duration::ZERO));
        assert!(demand.hold_as_viewer(1).is_some());
    }
}
