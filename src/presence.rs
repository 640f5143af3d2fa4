//! Who is there: [`Presence`] makes visits of what each look says, and [`event::Event`]s of what changes; the [`Bus`] passes them on.
//!
//! A thread of its own drives it. Recognition may be in one look for seconds or be off, and a visit ends in time all the same.

pub mod bus;
pub mod event;
pub mod visits;

use crate::config::Config;
use crate::detection::Sightings;
use crate::frame::Moment;
use crate::roster::Roster;
use crate::sync::{Latest, POLL, Stop};
use crate::telemetry::health::Health;
use bus::Bus;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use visits::{Presence, Surroundings};

/// How long a listener may take to be told that a name is withdrawn, before the name goes from the kept event.
const TOLD_WITHIN: Duration = Duration::from_secs(2);

/// What the thread reads, and where events go.
pub struct Stage {
    /// The config; a newer one takes effect at once.
    pub config: Arc<Latest<Config>>,
    /// What recognition says.
    pub sightings: Arc<Latest<Sightings>>,
    /// The gallery at work.
    pub roster: Arc<Latest<Roster>>,
    /// The state of the camera and of recognition.
    pub health: Arc<Health>,
    /// Where events go.
    pub bus: Arc<Bus>,
    /// When to end.
    pub stop: Arc<Stop>,
}

/// The body of the thread: until [`Stop`].
pub fn run(stage: &Stage) {
    let (mut presence, mut seen, mut generation) = (Presence::default(), 0, 0);
    // When names that have left the gallery go from the kept events: once at once, and once more after the listeners have been
    // told that such a name is withdrawn.
    let mut forget_again: Option<Instant> = None;
    while !stage.stop.is_set() {
        let newer = stage.sightings.wait_newer(seen, POLL);
        let sightings = newer.map(|(version, sightings)| {
            seen = version;
            sightings
        });
        // Read after the sightings, so that the gallery is not older than the names that they have.
        let Some(around) = surroundings(stage) else { continue };
        let events = presence.update(sightings.as_deref(), &around, Moment::now());
        if around.roster.generation != generation {
            generation = around.roster.generation;
            stage.bus.forget(|name| !around.has(name));
            forget_again = Some(Instant::now() + TOLD_WITHIN);
        }
        stage.bus.publish(events);
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
    })
}

#[cfg(test)]
mod tests;
