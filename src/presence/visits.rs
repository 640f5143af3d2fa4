//! [`Presence`]: assigns faces to visits and derives events from changes. It has no clock, thread or lock.

use super::day::Stay;
use super::event::{Event, Kind};
use crate::config::Events;
use crate::detection::{Because, Flaw, Sighting, Sightings, State};
use crate::frame::Moment;
use crate::image::Rect;
use crate::roster::Roster;
use crate::telemetry::health::{CameraStatus, STARTING};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// While a person of a visit is missed, a face without a name waits for this long before it begins a visit of its own:
/// it may be the missed person under a new track.
const MAY_BE_KNOWN: Duration = Duration::from_secs(2);
/// A person without a name who reappears at the same place within this time, or by the look after the next one where
/// looks are rarer, continues the visit.
const SAME_PLACE_WITHIN: Duration = Duration::from_secs(10);
/// The overlap (intersection over union) from which two boxes are at the same place; the tracks use the same value.
const SAME_PLACE: f32 = 0.25;
/// The most visits at a time. When there would be more, the visit that was not seen for longest ends.
const MAX_VISITS: usize = 256;

/// The inputs of [`Presence`] beside the looks.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The state of the camera.
    pub camera: CameraStatus,
    /// The gallery in use.
    pub roster: Arc<Roster>,
    /// False while recognition is off or cannot run.
    pub recognizes: bool,
    /// `[events]`
    pub config: Events,
    /// The old and new names of people whom an admin has renamed, the latest rename last.
    pub renames: Vec<(Arc<str>, Arc<str>)>,
}

impl Surroundings {
    /// True when a person of this name can be recognised.
    pub fn has(&self, name: &str) -> bool {
        self.roster.people.iter().any(|person| person.name == name && person.used() > 0)
    }

    /// The current name of the person who has, or had, this name. Pictures of the person need not be usable: just after
    /// a rename they are still being enrolled.
    pub fn called(&self, name: &str) -> Option<Arc<str>> {
        let is_there = |name: &str| self.roster.people.iter().any(|person| person.name == name);
        if is_there(name) {
            return Some(name.into());
        }
        let renamed = self.renames.iter().fold(name, |name, (from, to)| if **from == *name { to } else { name });
        is_there(renamed).then(|| renamed.into())
    }
}

/// Who is present, for readers that need the state rather than events.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Present {
    /// True while frames arrive and looks compare faces with the gallery. While it is false, an unlisted person may be
    /// there.
    pub is_watching: bool,
    /// The name of each visit; `None` for a visit without a name.
    pub visits: Vec<Option<Arc<str>>>,
    /// How many visits are of strangers: the event `stranger` was published, and the visit has no name.
    pub strangers: usize,
    /// For each person of the gallery, the time of their newest event `named`, `renamed` or `left` since the start. For
    /// `left`, that is when their face was last seen.
    pub seen: BTreeMap<Arc<str>, SystemTime>,
}

/// The visits that have not ended.
#[derive(Debug, Default)]
pub struct Presence {
    visits: Vec<Visit>,
    /// The number of the newest visit.
    last: u64,
    /// When the newest look becomes stale, and how long a person may be unseen only because looks are far apart.
    looks: Option<(Instant, Duration)>,
    /// The time of the newest look since recognition was switched on that could name people.
    looked_at: Option<Instant>,
    /// Whether frames arrive, according to the last event `camera`; `None` before the first one.
    online: Option<bool>,
    generation: u64,
    /// The visits that have ended since the last [`Presence::take_left`].
    left: Vec<Stay>,
    seen: BTreeMap<Arc<str>, SystemTime>,
}

/// A person's stay.
#[derive(Debug)]
struct Visit {
    number: u64,
    /// The track that shows the person, or showed them last.
    track: u64,
    name: Option<Arc<str>>,
    since: Instant,
    /// When the person came. Earlier than `since` when another visit turned out to be of the same person.
    came_at: Instant,
    seen_at: Instant,
    rect: Rect,
    distance: Option<f32>,
    /// The smallest distance while the visit had its present name.
    best: Option<f32>,
    /// The number of a remembered stranger.
    stranger: Option<u64>,
    score: Option<f32>,
    /// The index of the visit's face in the newest look; `None` when that look does not show the person.
    face: Option<usize>,
    /// The number of looks in the track's evidence at the last comparison with the gallery.
    compared: u32,
    /// The number of comparisons with the gallery.
    looks: u32,
    /// The number of latest comparisons in a row that left the person unknown.
    unknown: u32,
    stranger_at: Option<Instant>,
    /// True when the person left the gallery while they were not in view. Such a visit is not listed after its end.
    is_forgotten: bool,
}

impl Presence {
    /// Processes the newest look, if there is one, and the changes of time and surroundings. Returns the resulting
    /// events in order.
    pub fn update(&mut self, seen: Option<&Sightings>, around: &Surroundings, now: Moment) -> Vec<Event> {
        let mut told = Vec::new();
        self.tell_surroundings(around, now, &mut told);
        if !around.recognizes {
            self.looked_at = None;
            while !self.visits.is_empty() {
                self.end(0, "recognition", now, &mut told);
            }
            return told;
        }
        self.end_old(around, now, &mut told);
        if let Some(seen) = seen {
            self.look(seen, around, now, &mut told);
        }
        self.forget(around, now, &mut told);
        told
    }

    /// The visits of people who are present.
    pub fn stays(&self) -> Vec<Stay> {
        self.visits.iter().map(Visit::stay).collect()
    }

    /// The visits that have ended since the last call.
    pub fn take_left(&mut self) -> Vec<Stay> {
        std::mem::take(&mut self.left)
    }

    /// Who is present after `events`.
    pub fn present(&mut self, events: &[Event], around: &Surroundings, now: Instant) -> Present {
        for event in events {
            match (event.kind, &event.name) {
                (Kind::Named | Kind::Renamed | Kind::Left, Some(name)) => {
                    self.seen.insert(Arc::clone(name), event.captured_at.wall);
                }
                (Kind::Gallery, _) => self.seen.retain(|name, _| around.has(name)),
                _ => {}
            }
        }
        // While no look is possible, the visits end and this becomes false at the same moment.
        let looks = self.looked_at.is_some_and(|at| now.saturating_duration_since(at) <= self.hold(around));
        Present {
            is_watching: around.camera.error.is_none() && looks,
            visits: self.visits.iter().map(|visit| visit.name.clone()).collect(),
            strangers: self.visits.iter().filter(|visit| visit.stranger_at.is_some() && visit.name.is_none()).count(),
            seen: self.seen.clone(),
        }
    }

    fn tell_surroundings(&mut self, around: &Surroundings, now: Moment, told: &mut Vec<Event>) {
        let (camera, roster) = (&around.camera, &around.roster);
        let online = camera.error.is_none();
        // The state "camera is being opened" is not reported.
        if self.online != Some(online) && camera.error.as_deref() != Some(STARTING) {
            self.online = Some(online);
            let reason = camera.error.as_deref().map(Into::into);
            let event = Event::new(Kind::Camera, at(camera.since, now), now, self.visits.len());
            told.push(Event { online: Some(online), reason, ..event });
        }
        if self.generation != roster.generation {
            self.generation = roster.generation;
            let (generation, people) = (Some(roster.generation), Some(roster.known()));
            told.push(Event { generation, people, ..Event::new(Kind::Gallery, now, now, self.visits.len()) });
        }
    }

    /// How long a person may be unseen in a visit.
    fn hold(&self, around: &Surroundings) -> Duration {
        let between_looks = self.looks.map_or(Duration::ZERO, |(_, between_looks)| between_looks);
        seconds(around.config.presence_s).max(between_looks)
    }

    /// Ends the visits of people who were not seen for too long.
    fn end_old(&mut self, around: &Surroundings, now: Moment, told: &mut Vec<Event>) {
        let stale_at = self.looks.map_or(now.instant, |(stale_at, _)| stale_at);
        let hold = self.hold(around);
        let reason = match &around.camera.error {
            Some(_) => "camera",
            None if now.instant > stale_at => "no_look",
            None => "unseen",
        };
        let is_over = |visit: &Visit| now.instant.saturating_duration_since(visit.seen_at) > hold;
        while let Some(which) = self.visits.iter().position(is_over) {
            self.end(which, reason, now, told);
        }
    }

    /// Updates the names that are no longer in the gallery: a renamed person gets the new name, and others lose their
    /// name. A visit that the newest look shows is left out while that look is not stale; the next look gives its name.
    fn forget(&mut self, around: &Surroundings, now: Moment, told: &mut Vec<Event>) {
        let is_stale = self.looks.is_none_or(|(stale_at, _)| now.instant > stale_at);
        for which in 0..self.visits.len() {
            let visit = &mut self.visits[which];
            let is_gone = visit.name.as_deref().is_some_and(|name| around.called(name).as_deref() != Some(name));
            if is_gone && (visit.face.is_none() || is_stale) {
                let former = visit.name.take();
                visit.name = former.as_deref().and_then(|name| around.called(name));
                let kind = if visit.name.is_some() { Kind::Renamed } else { Kind::Withdrawn };
                if visit.name.is_none() {
                    (visit.distance, visit.score, visit.best, visit.is_forgotten) = (None, None, None, true);
                }
                told.push(Event { former, ..self.event(kind, which, now) });
            }
        }
    }

    fn look(&mut self, seen: &Sightings, around: &Surroundings, now: Moment, told: &mut Vec<Event>) {
        let captured_at = seen.captured_at.instant;
        self.looks = Some((seen.stale_at().instant, seen.interval.max(seen.took) * 2 + seen.took));
        if around.roster.generation > 0 {
            self.looked_at = Some(captured_at);
        }
        let newcomers = self.assign(&seen.faces, captured_at);
        for visit in &mut self.visits {
            let face = visit.face.and_then(|face| seen.faces.get(face));
            if let Some(face) = face {
                visit.see(face, captured_at);
            }
        }
        self.change_names(&seen.faces, now, told);
        for face in newcomers {
            self.begin(face, &seen.faces[face], captured_at, now, told);
        }
        for which in 0..self.visits.len() {
            let visit = &mut self.visits[which];
            let face = visit.face.and_then(|face| seen.faces.get(face));
            if let Some(face) = face {
                visit.compare(face);
                visit.is_forgotten = false;
                if visit.is_now_a_stranger(&around.config, captured_at, now) {
                    told.push(self.event(Kind::Stranger, which, now));
                }
            }
        }
    }

    /// Assigns faces to visits, and returns the faces that begin a new visit.
    fn assign(&mut self, faces: &[Sighting], captured_at: Instant) -> Vec<usize> {
        self.visits.iter_mut().for_each(|visit| visit.face = None);
        let mut others = Vec::new();
        for (index, face) in faces.iter().enumerate() {
            match self.visits.iter_mut().find(|visit| visit.track == face.track) {
                Some(visit) => visit.face = Some(index),
                None => others.push(index),
            }
        }
        // Named faces first: a named face continues the visit of that name under another track.
        let within = self.looks.map_or(SAME_PLACE_WITHIN, |(_, between_looks)| between_looks.max(SAME_PLACE_WITHIN));
        let (named, unnamed): (Vec<_>, Vec<_>) = others.into_iter().partition(|&index| faces[index].name.is_some());
        let mut newcomers: Vec<usize> = Vec::new();
        for index in named {
            let face = &faces[index];
            let has_the_name = |other: usize| faces[other].name == face.name;
            match self.visits.iter_mut().find(|visit| visit.name == face.name) {
                Some(visit) if visit.face.is_none() => visit.go_on(index, face),
                // Two tracks with the same name are one person.
                Some(visit) if visit.face.is_some_and(has_the_name) => {}
                _ if newcomers.iter().any(|&other| has_the_name(other)) => {}
                _ => newcomers.push(index),
            }
        }
        for index in unnamed {
            let face = &faces[index];
            let is_new = captured_at.saturating_duration_since(face.since) < MAY_BE_KNOWN;
            let missed = || self.visits.iter().filter(|visit| visit.face.is_none_or(|face| !is_found(&faces[face])));
            if is_new
                && (missed().any(|visit| visit.name.is_some()) || (face.state == State::Seen && missed().count() > 0))
            {
                continue;
            }
            let is_back = |visit: &&mut Visit| {
                let absence = captured_at.saturating_duration_since(visit.seen_at);
                let was_here = absence <= within && visit.rect.iou(face.rect) >= SAME_PLACE;
                visit.face.is_none() && visit.name.is_none() && was_here
            };
            match self.visits.iter_mut().find(is_back) {
                Some(visit) => {
                    visit.go_on(index, face);
                    // The same place does not prove the same person. The number returns when looks prove it.
                    visit.stranger = None;
                }
                None => newcomers.push(index),
            }
        }
        newcomers
    }

    /// Gives each visit the name of its face. Withdrawn names come first.
    fn change_names(&mut self, faces: &[Sighting], now: Moment, told: &mut Vec<Event>) {
        let mut changes: Vec<(u64, Option<Arc<str>>)> = Vec::new();
        for visit in &self.visits {
            let Some(face) = visit.face.and_then(|face| faces.get(face)) else { continue };
            let name = face.name.clone().or_else(|| visit.name.clone().filter(|name| is_withheld(face, name)));
            if name != visit.name {
                changes.push((visit.number, name));
            }
        }
        changes.sort_by_key(|(_, name)| name.is_some());
        for (number, name) in changes {
            // When a visit that is not in view has the same name, it ends: its person is the one in view.
            let had_it = |visit: &Visit| visit.number != number && name.is_some() && visit.name == name;
            let mut came_at = None;
            if let Some(which) = self.visits.iter().position(|visit| had_it(visit) && visit.face.is_none()) {
                let at = told.len();
                came_at = Some(self.visits[which].came_at);
                self.end(which, "elsewhere", now, told);
                told[at].still_present = Some(true);
            }
            let Some(which) = self.visits.iter().position(|visit| visit.number == number) else { continue };
            let visit = &mut self.visits[which];
            (visit.came_at, visit.best) = (came_at.map_or(visit.came_at, |at| at.min(visit.came_at)), None);
            let former = std::mem::replace(&mut visit.name, name.clone());
            let kind = match (&former, name) {
                (_, None) => Kind::Withdrawn,
                (None, Some(_)) => Kind::Named,
                (Some(_), Some(_)) => Kind::Renamed,
            };
            told.push(Event { former, ..self.event(kind, which, now) });
        }
    }

    fn begin(&mut self, index: usize, face: &Sighting, captured_at: Instant, now: Moment, told: &mut Vec<Event>) {
        if self.visits.len() >= MAX_VISITS {
            let missed = (0..self.visits.len()).filter(|&which| self.visits[which].face.is_none());
            let Some(oldest) = missed.min_by_key(|&which| self.visits[which].seen_at) else { return };
            self.end(oldest, "unseen", now, told);
        }
        self.last += 1;
        let mut visit = Visit {
            number: self.last,
            track: face.track,
            name: None,
            since: face.since,
            came_at: face.since,
            seen_at: captured_at,
            rect: face.rect,
            distance: None,
            best: None,
            stranger: None,
            score: None,
            face: Some(index),
            compared: 0,
            looks: 0,
            unknown: 0,
            stranger_at: None,
            is_forgotten: false,
        };
        visit.see(face, captured_at);
        let which = self.visits.len();
        self.visits.push(visit);
        told.push(self.event(Kind::Appeared, which, now));
        if face.name.is_some() {
            self.visits[which].name.clone_from(&face.name);
            told.push(self.event(Kind::Named, which, now));
        }
    }

    fn end(&mut self, which: usize, reason: &str, now: Moment, told: &mut Vec<Event>) {
        let left = Event { distance: None, score: None, ..self.event(Kind::Left, which, now) };
        let visit = self.visits.remove(which);
        // With `elsewhere`, the visit that continues lists the person.
        if reason != "elsewhere" && !visit.is_forgotten {
            self.left.push(Stay { is_present: false, ..visit.stay() });
        }
        let (still_present, reason) = (Some(false), Some(reason.into()));
        told.push(Event { still_present, present: self.visits.len(), reason, ..left });
    }

    fn event(&self, kind: Kind, which: usize, now: Moment) -> Event {
        let visit = &self.visits[which];
        Event {
            visit: Some(visit.number),
            track: Some(visit.track),
            name: visit.name.clone(),
            distance: visit.distance,
            score: visit.score,
            since: Some(at(visit.since, now)),
            still_present: Some(true),
            ..Event::new(kind, at(visit.seen_at, now), now, self.visits.len())
        }
    }
}

impl Visit {
    /// Continues the visit with a face of another track.
    fn go_on(&mut self, index: usize, face: &Sighting) {
        (self.face, self.track, self.compared) = (Some(index), face.track, 0);
    }

    fn see(&mut self, face: &Sighting, captured_at: Instant) {
        if is_found(face) {
            (self.seen_at, self.rect) = (captured_at, face.rect);
        }
        (self.distance, self.score) = (face.distance, face.evidence.score.map(|(score, _)| score));
        self.stranger = face.stranger.or(self.stranger);
    }

    fn stay(&self) -> Stay {
        Stay {
            visit: self.number,
            track: self.track,
            name: self.name.clone(),
            stranger: self.stranger,
            since: self.came_at,
            until: self.seen_at,
            is_present: true,
            distance: self.best,
            looks: self.looks,
            stranger_at: self.stranger_at,
        }
    }

    /// Counts comparisons with the gallery and those that leave the person unknown, and keeps the smallest distance to
    /// the named person.
    fn compare(&mut self, face: &Sighting) {
        let is_compared = std::mem::replace(&mut self.compared, face.evidence.looks) != face.evidence.looks;
        self.looks = self.looks.saturating_add(is_compared.into());
        if self.name.is_some() && self.name == face.name {
            self.best = [self.best, face.distance].into_iter().flatten().reduce(f32::min);
        }
        if self.name.is_some() {
            self.unknown = 0;
        } else if is_compared && face.state == State::Unknown {
            self.unknown += 1;
        }
    }

    /// True once per visit: when the person has been unknown for enough comparisons in a row, has stayed long enough,
    /// and the time is within `stranger_hours`.
    fn is_now_a_stranger(&mut self, config: &Events, captured_at: Instant, now: Moment) -> bool {
        let has_stayed = captured_at.saturating_duration_since(self.since) >= seconds(config.stranger_s);
        let is_unknown = self.name.is_none() && self.unknown >= config.stranger_looks && has_stayed;
        let is_news = is_unknown && self.stranger_at.is_none() && config.stranger_hours.include_time(now.wall);
        if is_news {
            self.stranger_at = Some(now.instant);
        }
        is_news
    }
}

fn seconds(count: u32) -> Duration {
    Duration::from_secs(count.into())
}

/// False for a face that is kept at its place although the detector missed it.
fn is_found(face: &Sighting) -> bool {
    face.evidence.flaw != Some(Flaw::Turned)
}

/// True when the face still belongs to the person, and its name is withheld only because the last look speaks against
/// it.
fn is_withheld(face: &Sighting, name: &Arc<str>) -> bool {
    let reason = &face.evidence.reason;
    matches!(reason.because, Because::Named | Because::Kept | Because::Doubted) && reason.person.as_ref() == Some(name)
}

/// The moment of `instant`, with the wall clock as it is set now.
fn at(instant: Instant, now: Moment) -> Moment {
    let age = now.instant.saturating_duration_since(instant);
    Moment { instant, wall: now.wall.checked_sub(age).unwrap_or(now.wall) }
}
