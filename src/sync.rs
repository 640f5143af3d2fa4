//! Synchronization of threads: [`Latest`], the hand-off between two stages, and [`Stop`], which tells threads to end.
//! [`Backoff`] has the pauses of threads that try again.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Locks a mutex. No mutex of the program is ever poisoned, because a panic ends the process.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a notification of `changed`, at most `timeout`. It may return without one.
pub(crate) fn wait<'a, T>(changed: &Condvar, guard: MutexGuard<'a, T>, timeout: Duration) -> MutexGuard<'a, T> {
    changed.wait_timeout(guard, timeout).unwrap_or_else(PoisonError::into_inner).0
}

/// Waits while `waits` returns true for the value, at most `timeout`.
pub(crate) fn wait_while<'a, T>(
    changed: &Condvar,
    guard: MutexGuard<'a, T>,
    timeout: Duration,
    waits: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    changed.wait_timeout_while(guard, timeout, waits).unwrap_or_else(PoisonError::into_inner).0
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
        let mut slot = lock(&self.slot);
        slot.version += 1;
        let old = slot.value.replace(value);
        drop(slot);
        self.changed.notify_all();
        // The old value may have megabytes, so it is freed without the lock.
        drop(old);
    }

    /// The newest value, if any, and its version (from 1).
    pub fn newest(&self) -> Option<(u64, Arc<T>)> {
        let slot = lock(&self.slot);
        slot.value.clone().map(|value| (slot.version, value))
    }

    /// Waits for a value newer than version `seen` (0: any), at most `timeout`.
    pub fn wait_newer(&self, seen: u64, timeout: Duration) -> Option<(u64, Arc<T>)> {
        let slot = wait_while(&self.changed, lock(&self.slot), timeout, |slot| slot.version <= seen);
        slot.value.clone().filter(|_| slot.version > seen).map(|value| (slot.version, value))
    }
}

/// A flag that is set once, when the program ends. Every loop checks it at least every quarter of a second.
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
        *lock(&self.stopped) = true;
        self.changed.notify_all();
    }

    /// True when the program ends.
    pub fn is_set(&self) -> bool {
        *lock(&self.stopped)
    }

    /// Sleeps for `pause`, or until the program ends; true in the latter case.
    pub fn wait(&self, pause: Duration) -> bool {
        *wait_while(&self.changed, lock(&self.stopped), pause, |stopped| !*stopped)
    }
}

/// The pauses between failed attempts. Each is twice as long as the one before, up to the longest.
#[derive(Debug)]
pub struct Backoff {
    shortest: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// The first pause is the shortest one.
    pub fn new(shortest: Duration, longest: Duration) -> Backoff {
        Backoff { shortest, longest, next: shortest }
    }

    /// After a success, the pauses begin again with the shortest.
    pub fn reset(&mut self) {
        self.next = self.shortest;
    }

    /// The pause after another failure.
    pub fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::{while_stressed, woken};

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_again_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        let mut pauses = || [(); 5].map(|()| backoff.pause().as_secs());
        assert_eq!(pauses(), [1, 2, 4, 5, 5]);
        backoff.reset();
        assert_eq!(backoff.pause(), Duration::from_secs(1));
    }

    #[test]
    fn a_reader_gets_only_the_newest_value_and_gets_it_once() {
        let latest = Latest::default();
        assert!(latest.wait_newer(0, Duration::ZERO).is_none());
        latest.publish(Arc::new("old"));
        latest.publish(Arc::new("new"));
        let (seen, value) = latest.wait_newer(0, Duration::ZERO).unwrap();
        assert_eq!((seen, *value), (2, "new"));
        assert!(latest.wait_newer(seen, Duration::from_millis(5)).is_none());
    }

    #[test]
    fn of_values_that_many_threads_publish_each_reader_gets_newer_and_newer_ones_and_the_last_one() {
        let (latest, goes_on) = (Latest::default(), while_stressed());
        let published: u64 = std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let (mut seen, mut newest) = (0, [0; 3]);
                    loop {
                        let (version, value) = woken(|long| latest.wait_newer(seen, long)).unwrap();
                        assert!(version > seen, "{version} after {seen}");
                        seen = version;
                        let Some((writer, number)) = *value else { break };
                        assert!(number > newest[writer], "{number} of {writer} after {newest:?}");
                        newest[writer] = number;
                    }
                    assert_eq!(latest.newest().map(|(version, _)| version), Some(seen), "the last one");
                });
            }
            let write = |writer: usize| {
                let latest = &latest;
                move || {
                    let mut number = 0_u64;
                    while number == 0 || goes_on() {
                        number += 1;
                        latest.publish(Arc::new(Some((writer, number))));
                    }
                    number
                }
            };
            let writers = [0, 1, 2].map(|writer| scope.spawn(write(writer)));
            let published = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
            latest.publish(Arc::new(None));
            published
        });
        assert_eq!(latest.newest().map(|(version, _)| version), Some(published + 1), "each has a version");
    }

    #[test]
    fn two_threads_that_wait_for_each_others_values_never_miss_one() {
        let (there, back, goes_on) = (Latest::default(), Latest::default(), while_stressed());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1.. {
                    let (version, ended) = woken(|long| there.wait_newer(round - 1, long)).unwrap();
                    assert_eq!(version, round);
                    back.publish(Arc::new(round));
                    if *ended {
                        break;
                    }
                }
            });
            for round in 1.. {
                let ends = round > 10 && !goes_on();
                there.publish(Arc::new(ends));
                let (version, value) = woken(|long| back.wait_newer(round - 1, long)).unwrap();
                assert_eq!((version, *value), (round, round));
                if ends {
                    break;
                }
            }
        });
    }

    #[test]
    fn every_thread_that_sleeps_learns_of_the_stop_whenever_it_comes() {
        let (goes_on, mut round) = (while_stressed(), 0_u32);
        while round < 10 || goes_on() {
            let stop = Stop::default();
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| assert!(woken(|long| stop.wait(long)) && stop.is_set() && stop.wait(POLL)));
                }
                // Now all of them sleep, now none does yet.
                std::thread::sleep(Duration::from_micros(u64::from(round % 7) * 50));
                stop.set();
            });
            round += 1;
        }
    }

    #[test]
    fn a_waiting_reader_is_woken_by_the_next_value() {
        let latest = Arc::new(Latest::default());
        let reader = {
            let latest = Arc::clone(&latest);
            std::thread::spawn(move || woken(|long| latest.wait_newer(0, long)))
        };
        // The reader waits by now.
        std::thread::sleep(Duration::from_millis(50));
        latest.publish(Arc::new(7));
        assert_eq!(*reader.join().unwrap().unwrap().1, 7);
    }
}
