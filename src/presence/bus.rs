//! [`Bus`]: the newest events, for any number of readers.

use super::event::Event;
use crate::sync::{lock, wait_while};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// How many events are kept.
const KEPT: usize = 256;

/// The newest events. The writer never waits; a reader that is too slow misses the oldest events and learns how many.
#[derive(Debug, Default)]
pub struct Bus {
    kept: Mutex<Kept>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Kept {
    /// The events of this run have ids greater than this.
    begin: u64,
    /// The id of the newest event; `begin` before the first.
    last: u64,
    /// The newest events, without a gap in their ids.
    events: VecDeque<Arc<Event>>,
}

/// The events that a reader gets at a time.
#[derive(Debug, Default)]
pub struct Batch {
    /// How many events before these the reader has missed, because they are no longer kept.
    pub missed: u64,
    /// The events after the last one that the reader has seen.
    pub events: Vec<Arc<Event>>,
}

impl Bus {
    /// Sets the id after which the events of this run begin. Called before the first event.
    pub fn begin_at(&self, begin: u64) {
        let mut kept = lock(&self.kept);
        (kept.begin, kept.last) = (begin, begin);
    }

    /// The id of the newest event.
    pub fn newest(&self) -> u64 {
        lock(&self.kept).last
    }

    /// Numbers the events and wakes the waiting readers.
    pub fn publish(&self, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let mut kept = lock(&self.kept);
        for mut event in events {
            kept.last += 1;
            event.id = kept.last;
            kept.events.push_back(Arc::new(event));
        }
        let surplus = kept.events.len().saturating_sub(KEPT);
        let old: Vec<_> = kept.events.drain(..surplus).collect();
        drop(kept);
        self.changed.notify_all();
        drop(old);
    }

    /// The id after which a reader begins to read. `last` is the id of the last event that it received. Without one,
    /// the reader begins after the newest event. With an id of an earlier run, or an id that no event has yet, it
    /// begins with the oldest kept event.
    pub fn begin_after(&self, last: Option<u64>) -> u64 {
        let kept = lock(&self.kept);
        last.map_or(kept.last, |last| if last <= kept.last { last.max(kept.begin) } else { kept.begin })
    }

    /// Waits for events after `seen`, at most `timeout`.
    pub fn wait_after(&self, seen: u64, timeout: Duration) -> Batch {
        let kept = wait_while(&self.changed, lock(&self.kept), timeout, |kept| kept.last <= seen);
        let events: Vec<_> = kept.events.iter().filter(|event| event.id > seen).cloned().collect();
        let all = kept.last.saturating_sub(seen.max(kept.begin));
        Batch { missed: all - events.len() as u64, events }
    }

    /// Removes the names for which `is_meant` is true from the kept events.
    pub fn forget(&self, is_meant: impl Fn(&str) -> bool) {
        for event in &mut lock(&self.kept).events {
            if event.names(&is_meant) {
                let hide = |name: &Option<Arc<str>>| name.clone().filter(|name| !is_meant(name));
                let (name, former) = (hide(&event.name), hide(&event.former));
                *event = Arc::new(Event { name, former, ..(**event).clone() });
            }
        }
    }
}
