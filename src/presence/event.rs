//! [`Event`], in the form in which it is sent.

use crate::frame::Moment;
use crate::rounding::decimals;
use serde::{Serialize, Serializer};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// The kind of an event. In JSON in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A visit has begun.
    Appeared,
    /// The person of the visit got a name.
    Named,
    /// The visit got another name.
    Renamed,
    /// The visit lost its name.
    Withdrawn,
    /// The visit has ended.
    Left,
    /// The person has been unknown for `events.stranger_looks` comparisons in a row and `events.stranger_s` seconds.
    Stranger,
    /// Another gallery came into use.
    Gallery,
    /// Frames began or ceased to arrive.
    Camera,
}

impl Kind {
    /// The name of the kind in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Appeared => "appeared",
            Kind::Named => "named",
            Kind::Renamed => "renamed",
            Kind::Withdrawn => "withdrawn",
            Kind::Left => "left",
            Kind::Stranger => "stranger",
            Kind::Gallery => "gallery",
            Kind::Camera => "camera",
        }
    }
}

/// A change of who is present, of the gallery or of the camera. Its JSON has every field, with null
/// where a field does not apply; docs/API.md describes the fields.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// Increases by one with each event; 0 until the event is on the bus.
    pub id: u64,
    /// What has happened.
    pub kind: Kind,
    /// The number of the visit.
    pub visit: Option<u64>,
    /// The track that shows the person.
    pub track: Option<u64>,
    /// The name after the event; with `Left`, the last one.
    pub name: Option<Arc<str>>,
    /// The name before the event, with `Renamed` and `Withdrawn`.
    pub former: Option<Arc<str>>,
    /// The distance that the look compared with the limit.
    #[serde(serialize_with = "decimals::<3, _>")]
    pub distance: Option<f32>,
    /// The score of the nearest person.
    #[serde(serialize_with = "decimals::<3, _>")]
    pub score: Option<f32>,
    /// When the visit began.
    #[serde(serialize_with = "unix_seconds_or_null")]
    pub since: Option<Moment>,
    /// When the frame that led to the event was captured; with `Left`, when the face was last seen; with `Camera`, when
    /// that state began.
    #[serde(serialize_with = "unix_seconds")]
    pub captured_at: Moment,
    /// When the event was decided.
    #[serde(serialize_with = "unix_seconds")]
    pub decided_at: Moment,
    /// The time from `captured_at` to `decided_at`.
    pub latency_ms: u64,
    /// True while the person is still present after the event.
    pub still_present: Option<bool>,
    /// How many people are present after the event.
    pub present: usize,
    /// With `Left`, why the visit ended, as a word; with `Camera`, why no frames arrive, as text.
    pub reason: Option<Arc<str>>,
    /// True when frames arrive.
    pub online: Option<bool>,
    /// The number of the gallery since the start.
    pub generation: Option<u64>,
    /// How many people the gallery has.
    pub people: Option<usize>,
}

impl Event {
    /// An event that concerns no person.
    pub fn new(kind: Kind, captured_at: Moment, decided_at: Moment, present: usize) -> Event {
        let latency = decided_at.instant.saturating_duration_since(captured_at.instant);
        Event {
            id: 0,
            kind,
            visit: None,
            track: None,
            name: None,
            former: None,
            distance: None,
            score: None,
            since: None,
            captured_at,
            decided_at,
            latency_ms: latency.as_millis() as u64,
            still_present: None,
            present,
            reason: None,
            online: None,
            generation: None,
            people: None,
        }
    }

    /// True when `is_meant` is true for the name or the former name.
    pub fn names(&self, is_meant: impl Fn(&str) -> bool) -> bool {
        self.name.iter().chain(&self.former).any(|name| is_meant(name))
    }
}

fn unix_seconds<S: Serializer>(at: &Moment, to: S) -> Result<S::Ok, S::Error> {
    let since = at.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    to.serialize_f64(since.as_millis() as f64 / 1000.0)
}

fn unix_seconds_or_null<S: Serializer>(at: &Option<Moment>, to: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => unix_seconds(at, to),
        None => to.serialize_none(),
    }
}
