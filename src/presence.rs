//! Who is present. [`Presence`] derives visits from the looks of recognition, and [`event::Event`]s from changes of
//! visits. The [`Bus`] passes the events on.
//!
//! Presence has its own thread. A look may take seconds and recognition may be off, and visits must end in time all the
//! same.

pub mod bus;
pub mod day;
pub mod event;
mod ids;
pub mod visits;

use crate::config::Config;
use crate::detection::Sightings;
use crate::frame::Moment;
use crate::roster::Roster;
use crate::sync::{Latest, POLL, Stop};
use crate::telemetry::health::Health;
use bus::Bus;
use day::Day;
use ids::Ids;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use visits::{Presence, Present, Surroundings};

/// How long the event `withdrawn` keeps the name of a person who left the gallery, so that listeners can read it.
const TOLD_WITHIN: Duration = Duration::from_secs(2);

/// What the thread `presence` reads and writes.
pub struct Stage {
    /// The config; a newer one takes effect at once.
    pub config: Arc<Latest<Config>>,
    /// The faces of the newest look.
    pub sightings: Arc<Latest<Sightings>>,
    /// The gallery in use.
    pub roster: Arc<Latest<Roster>>,
    /// The state of the camera and of recognition.
    pub health: Arc<Health>,
    /// Receives the events.
    pub bus: Arc<Bus>,
    /// Receives the list of visits.
    pub day: Arc<Day>,
    /// Receives who is present. It is published before the events that lead to it.
    pub present: Arc<Latest<Present>>,
    /// Tells the thread to end.
    pub stop: Arc<Stop>,
    /// The folder of the file that records which event ids are used.
    pub state_folder: Option<PathBuf>,
}

/// The body of the thread. Returns on [`Stop`].
pub fn run(stage: &Stage) {
    let faults = &stage.health.faults;
    let mut ids = Ids::take(stage.state_folder.as_deref(), SystemTime::now(), faults);
    stage.bus.begin_at(ids.begin);
    let (mut presence, mut seen, mut generation) = (Presence::default(), 0, 0);
    // Names that left the gallery are removed from the kept events at once, and again `TOLD_WITHIN` after each event that
    // still has such a name, as `withdrawn` has, when listeners have received it.
    let mut forget_again: Option<Instant> = None;
    while !stage.stop.is_set() {
        let newer = stage.sightings.wait_newer(seen, POLL);
        let sightings = newer.map(|(version, sightings)| {
            seen = version;
            sightings
        });
        // Read after the sightings, so that the gallery is not older than the names in them.
        let Some(around) = surroundings(stage) else { continue };
        let now = Moment::now();
        let events = presence.update(sightings.as_deref(), &around, now);
        if events.iter().any(|event| event.names(|name| !around.has(name))) {
            forget_again = Some(Instant::now() + TOLD_WITHIN);
        }
        if around.roster.generation != generation {
            generation = around.roster.generation;
            stage.bus.forget(|name| !around.has(name));
            stage.day.gallery_is(|name| around.called(name));
            forget_again = Some(Instant::now() + TOLD_WITHIN);
        }
        let present = presence.present(&events, &around, now.instant);
        if stage.present.newest().is_none_or(|(_, told)| *told != present) {
            stage.present.publish(Arc::new(present));
        }
        stage.bus.publish(events);
        // Updated after the events, so that a listener that begins with this list misses no event and gets none twice.
        let (left, newest, hours) = (presence.take_left(), stage.bus.newest(), around.config.visits_h);
        stage.day.take(left, presence.stays(), newest, hours, now.instant);
        ids.take_more(stage.bus.newest(), faults);
        if forget_again.is_some_and(|at| Instant::now() >= at) {
            stage.bus.forget(|name| !around.has(name));
            forget_again = None;
        }
    }
}

fn surroundings(stage: &Stage) -> Option<Surroundings> {
    let (_, config) = stage.config.newest()?;
    Some(Surroundings {
        camera: stage.health.camera(),
        roster: stage.roster.newest().map(|(_, roster)| roster).unwrap_or_default(),
        recognizes: config.recognition.is_on(SystemTime::now()) && stage.health.recognition_error().is_none(),
        config: config.events.clone(),
        renames: stage.day.renames(),
    })
}

#[cfg(test)]
mod tests;
