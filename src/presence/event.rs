//! [`Event`], as it is sent.

use crate::frame::Moment;
use crate::rounding::decimals;
use serde::{Serialize, Serializer};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// What has happened. In JSON in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A visit has begun.
    Appeared,
    /// The person of the visit has a name.
    Named,
    /// They have another name.
    Renamed,
    /// They no longer have a name.
    Withdrawn,
    /// The visit has ended.
    Left,
    /// So many looks did not find the person in the gallery.
    Stranger,
    /// Another gallery is at work.
    Gallery,
    /// Frames arrive, or no longer.
    Camera,
}

impl Kind {
    /// Its name in JSON.
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

/// Something that happened. Its JSON has every field, with null where it means nothing. docs/API.md says what each is.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// Counts up; 0 until the bus has it.
    pub id: u64,
    /// What has happened.
    pub kind: Kind,
    /// The number of the visit.
    pub visit: Option<u64>,
    /// The track that shows the person.
    pub track: Option<u64>,
    /// The name now; with `Left`, the last one.
    pub name: Option<Arc<str>>,
    /// The name before, of `Renamed` and `Withdrawn`.
    pub former: Option<Arc<str>>,
    /// The distance by which the look decided.
    #[serde(serialize_with = "decimals::<3, _>")]
    pub distance: Option<f32>,
    /// The score of the nearest person.
    #[serde(serialize_with = "decimals::<3, _>")]
    pub score: Option<f32>,
    /// When the visit began.
    #[serde(serialize_with = "unix_seconds_or_null")]
    pub since: Option<Moment>,
    /// When the frame was captured that led to it; with `Left`, when the face was last seen; with `Camera`, when that state began.
    #[serde(serialize_with = "unix_seconds")]
    pub captured_at: Moment,
    /// When it was decided.
    #[serde(serialize_with = "unix_seconds")]
    pub decided_at: Moment,
    /// From `captured_at` to `decided_at`.
    pub latency_ms: u64,
    /// True while the person is still present after it.
    pub still_present: Option<bool>,
    /// How many people are present after it.
    pub present: usize,
    /// Why the visit ended, as a word; why no frames arrive, as text.
    pub reason: Option<Arc<str>>,
    /// True when frames arrive.
    pub online: Option<bool>,
    /// The number of the gallery since the start.
    pub generation: Option<u64>,
    /// How many people it has.
    pub people: Option<usize>,
}

impl Event {
    /// An event of nobody.
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

    /// True when it has the name, as that of now or that of before.
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
