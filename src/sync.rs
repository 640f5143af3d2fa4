//! What threads share: [`Latest`], the hand-off between two stages, and [`Stop`], which tells threads to end.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Locks a mutex and ignores poisoning: the values are plain numbers that are always valid.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A slot for the newest value, with a version number.
///
/// The writer never waits, and values do not queue up. Each reader keeps the version of its last value to detect a
/// newer one. Values are shared, not copied.
#[derive(Debug)]
pub struct Latest<T> {
    slot: Mutex<Slot<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Slot<T> {
    version: u64,
    value: Option<Arc<T>>,
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        let slot = Slot { version: 0, value: None };
        Self { slot: Mutex::new(slot), changed: Condvar::new() }
    }
}

impl<T> Latest<T> {
    /// A slot that holds `value`.
    pub fn with(value: T) -> Self {
        let latest = Self::default();
        latest.publish(Arc::new(value));
        latest
    }

    /// Replaces the value and wakes the waiting readers.
    pub fn publish(&self, value: Arc<T>) {
        let mut slot = self.lock();
        slot.version += 1;
        let old = slot.value.replace(value);
        drop(slot);
        self.changed.notify_all();
        // The old value may have megabytes, so it is freed without the lock.
        drop(old);
    }

    /// The newest value, if any, and its version (from 1).
    pub fn newest(&self) -> Option<(u64, Arc<T>)> {
        let slot = self.lock();
        slot.value.clone().map(|value| (slot.version, value))
    }

    /// Waits for a value newer than version `seen` (0: any), at most `timeout`.
    pub fn wait_newer(&self, seen: u64, timeout: Duration) -> Option<(u64, Arc<T>)> {
        let deadline = Instant::now() + timeout;
        let mut slot = self.lock();
        loop {
            if slot.version > seen {
                return slot.value.clone().map(|value| (slot.version, value));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            slot = match self.changed.wait_timeout(slot, left) {
                Ok((slot, _)) => slot,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slot<T>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Set once, when the program ends; every loop checks it at least every quarter of a second.
#[derive(Debug, Default)]
pub struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

/// The longest wait of a loop before it checks [`Stop`] again.
pub const POLL: Duration = Duration::from_millis(200);

impl Stop {
    /// Tells every thread to end.
    pub fn set(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// True when the program ends.
    pub fn is_set(&self) -> bool {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps for `pause`, or until the program ends; true in the latter case.
    pub fn wait(&self, pause: Duration) -> bool {
        let deadline = Instant::now() + pause;
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        while !*stopped {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            stopped = self.changed.wait_timeout(stopped, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_gets_only_the_newest_value_and_each_once() {
        let latest = Latest::default();
        assert!(latest.wait_newer(0, Duration::ZERO).is_none());
        latest.publish(Arc::new("old"));
        latest.publish(Arc::new("new"));
        let (seen, value) = latest.wait_newer(0, Duration::ZERO).unwrap();
        assert_eq!((seen, *value), (2, "new"));
        assert!(latest.wait_newer(seen, Duration::from_millis(5)).is_none());
    }

    #[test]
    fn a_waiting_reader_is_woken_by_the_next_value() {
        let latest = Arc::new(Latest::default());
        let reader = {
            let latest = Arc::clone(&latest);
            std::thread::spawn(move || latest.wait_newer(0, Duration::from_secs(10)))
        };
        latest.publish(Arc::new(7));
        assert_eq!(*reader.join().unwrap().unwrap().1, 7);
    }
}
