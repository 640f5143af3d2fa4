//! The sinks of events: where events leave the machine. Each sink has its own thread and reads the bus at its own pace,
//! so it delays no frame and no other sink. The bus tells a slow sink how many events it has missed.

pub mod exec;
pub mod lines;
pub mod mqtt;
pub mod webhook;

use crate::config::Config;
use crate::presence::bus::Bus;
use crate::presence::event::Event;
use crate::sync::{Latest, Stop};
use crate::telemetry::health::{Health, Sink};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The inputs of a sink.
#[derive(Clone)]
pub struct Stage {
    /// The config; a newer one takes effect with the next event.
    pub config: Arc<Latest<Config>>,
    /// The source of the events.
    pub bus: Arc<Bus>,
    /// The counters of the sink.
    pub health: Arc<Health>,
    /// Tells the thread to end.
    pub stop: Arc<Stop>,
}

/// An event that has not left the machine within this time is dropped as outdated.
const NEWS_FOR: Duration = Duration::from_secs(300);

/// Reads the events of a sink from the bus, one at a time.
struct Reader<'a> {
    stage: &'a Stage,
    sink: &'a Sink,
    /// The id of the event that was read last.
    seen: u64,
}

impl<'a> Reader<'a> {
    fn new(stage: &'a Stage, sink: &'a Sink) -> Reader<'a> {
        Reader { stage, sink, seen: 0 }
    }

    /// Skips all events so far.
    fn skip(&mut self) {
        self.seen = self.stage.bus.newest();
    }

    /// The next event, if its kind is one of `kinds`. Events that the bus no longer has are counted as dropped.
    fn next(&mut self, kinds: &[String], timeout: Duration) -> Option<Arc<Event>> {
        let batch = self.stage.bus.wait_after(self.seen, timeout);
        self.sink.dropped.add_many(batch.missed);
        let event = batch.events.first()?;
        self.seen = event.id;
        let is_wanted = kinds.is_empty() || kinds.iter().any(|kind| kind == event.kind.as_str());
        is_wanted.then(|| Arc::clone(event)).filter(|event| self.is_news(event))
    }

    /// The last event again, as the bus has it now: meanwhile, the name of a person may have been removed from it.
    fn again(&self) -> Option<Arc<Event>> {
        let batch = self.stage.bus.wait_after(self.seen.saturating_sub(1), Duration::ZERO);
        let event = batch.events.first().filter(|event| event.id == self.seen).cloned();
        if event.is_none() {
            self.sink.dropped.add();
        }
        event.filter(|event| self.is_news(event))
    }

    /// Makes the last event the next one again.
    fn put_back(&mut self) {
        self.seen = self.seen.saturating_sub(1);
    }

    fn is_news(&self, event: &Event) -> bool {
        let is_news = Instant::now().saturating_duration_since(event.decided_at.instant) < NEWS_FOR;
        if !is_news {
            self.sink.dropped.add();
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Moment;
    use crate::presence::event::Kind;

    #[test]
    fn the_config_knows_every_kind_of_event() {
        use Kind::*;
        let kinds = [Appeared, Named, Renamed, Withdrawn, Left, Stranger, Gallery, Camera].map(Kind::as_str);
        assert_eq!(crate::config::EVENT_WORDS, kinds);
    }

    pub fn stage(change: impl FnOnce(&mut Config)) -> Stage {
        let mut config = Config::defaults("/".as_ref());
        change(&mut config);
        Stage {
            config: Arc::new(Latest::with(config)),
            bus: Arc::default(),
            health: Arc::default(),
            stop: Arc::default(),
        }
    }

    pub fn event(kind: Kind, name: &str) -> Event {
        let now = Moment::now();
        Event { visit: Some(3), track: Some(7), name: Some(name.into()), ..Event::new(kind, now, now, 1) }
    }

    #[test]
    fn a_reader_takes_each_event_once_and_counts_outdated_and_lost_ones() {
        let stage = stage(|_| {});
        let sink = Sink::default();
        let mut reader = Reader::new(&stage, &sink);
        let Some(earlier) = Instant::now().checked_sub(NEWS_FOR) else { return };
        let old = Moment { instant: earlier, ..Moment::now() };
        let of_old = Event { decided_at: old, ..event(Kind::Named, "Alice") };
        stage.bus.publish(vec![of_old, event(Kind::Appeared, "Bob"), event(Kind::Left, "Carol")]);
        let left = ["left".to_owned()];
        let mut next = || reader.next(&left, Duration::ZERO).map(|event| event.id);
        assert_eq!([next(), next(), next(), next()], [None, None, Some(3), None]);
        stage.bus.forget(|name| name == "Carol");
        assert_eq!(reader.again().unwrap().name, None);
        assert_eq!(sink.dropped.get(), 0, "events of other kinds are not dropped");
        let mut reader = Reader::new(&stage, &sink);
        assert_eq!((reader.next(&[], Duration::ZERO).is_none(), sink.dropped.get()), (true, 1));
        stage.bus.publish((0..300).map(|_| event(Kind::Named, "Bob")).collect());
        assert!(reader.again().is_none());
        assert_eq!(sink.dropped.get(), 2);
        assert_eq!((reader.next(&[], Duration::ZERO).unwrap().id, sink.dropped.get()), (48, 48));
        reader.skip();
        assert!(reader.next(&[], Duration::ZERO).is_none());
    }
}
