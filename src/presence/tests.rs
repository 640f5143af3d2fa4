//! Tests of visits and events by tables of looks, with a simulated clock; of the bus; of the thread.

use super::bus::Batch;
use super::day::Stay;
use super::event::{Event, Kind};
use super::*;
use crate::config::{Events, Hours};
use crate::detection::{Because, Evidence, Flaw, Reason, Sighting, State};
use crate::fuzz::{while_stressed, woken};
use crate::image::Rect;
use crate::os::localtime;
use crate::roster::{Person, PictureReport, Roster};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A face of a look: its track, its name, and its place. `?` is unknown, `?7` a stranger with a number, `.` not
/// compared yet. In `Alice~` the name is withheld, and `Alice^` was missed by the detector.
type Face = (u64, &'static str, i32);

/// A face at the place of its track.
fn f(track: u64, who: &'static str) -> Face {
    (track, who, track as i32 * 100)
}

enum Step {
    Look(Vec<Face>),
    /// Nothing moved: the last look holds for another frame.
    Still,
    Tick,
    Camera(Option<&'static str>),
    Recognition(bool),
    Gallery(&'static [&'static str]),
    /// Changes the wall clock by this many seconds.
    Clock(i64),
}
use Step::*;

struct Play {
    start: Moment,
    presence: Presence,
    around: Surroundings,
    newest: Vec<Face>,
    looks: u32,
    began: HashMap<u64, Instant>,
    interval: Duration,
    clock: i64,
    /// The visits that have appeared and not left.
    open: Vec<u64>,
    last: u64,
    day: Day,
}

impl Play {
    fn new() -> Play {
        let camera = crate::telemetry::health::CameraStatus { error: None, ..Default::default() };
        let config = Events { presence_s: 10, stranger_looks: 4, visits_h: 24, ..Events::default() };
        let around = Surroundings { camera, roster: Arc::default(), recognizes: true, config, renames: Vec::new() };
        let mut play = Play {
            start: Moment::now(),
            presence: Presence::default(),
            around,
            newest: Vec::new(),
            looks: 0,
            began: HashMap::new(),
            interval: Duration::from_millis(200),
            clock: 0,
            open: Vec::new(),
            last: 0,
            day: Day::default(),
        };
        assert_eq!(play.step(0, Gallery(&["Alice", "Bob"])), "camera online, gallery 1 of 2");
        play
    }

    fn step(&mut self, ms: u64, step: Step) -> String {
        let (mut sees, before) = (false, self.around.roster.generation);
        match step {
            Look(faces) => (self.newest, self.looks, sees) = (faces, self.looks + 1, true),
            Still => sees = true,
            Tick => {}
            Camera(error) => self.around.camera.error = error.map(Into::into),
            Recognition(on) => self.around.recognizes = on,
            Gallery(names) => {
                let picture = PictureReport { skipped: None, ..PictureReport::skipped("1.jpg", "") };
                let person = |name: &&str| Person {
                    name: (*name).to_owned(),
                    pictures: vec![picture.clone()],
                    spread: None,
                    hint: None,
                };
                let (generation, people) = (self.around.roster.generation + 1, names.iter().map(person).collect());
                self.around.roster = Arc::new(Roster { generation, people, ..Roster::default() });
            }
            Clock(seconds) => self.clock += seconds,
        }
        let captured_at = self.start.instant + Duration::from_millis(ms);
        let sightings = sees.then(|| self.sightings(captured_at));
        // A look takes 50 ms.
        let now = captured_at + Duration::from_millis(if sees { 50 } else { 0 });
        let wall = self.start.wall + (now - self.start.instant);
        let shift = Duration::from_secs(self.clock.unsigned_abs());
        let wall = if self.clock < 0 { wall - shift } else { wall + shift };
        let generation = self.around.roster.generation;
        self.around.renames = self.day.renames();
        let events = self.presence.update(sightings.as_ref(), &self.around, Moment { instant: now, wall });
        if before != generation {
            self.day.gallery_is(|name| self.around.called(name));
        }
        self.day.take(self.presence.take_left(), self.presence.stays(), 0, self.around.config.visits_h, now);
        events.iter().map(|event| self.check(event, now)).collect::<Vec<_>>().join(", ")
    }

    fn sightings(&mut self, captured_at: Instant) -> Sightings {
        let faces = self.newest.iter().map(|&(track, who, x)| {
            let since = *self.began.entry(track).or_insert(captured_at);
            let (person, mark) = match who.char_indices().next_back() {
                Some((at, mark @ ('~' | '^'))) => (&who[..at], Some(mark)),
                _ => (who, None),
            };
            let (person, stranger) = match person.strip_prefix('?') {
                Some(number) => ("?", number.parse().ok()),
                None => (person, None),
            };
            let name = Some(person).filter(|name| !["?", "."].contains(name) && mark != Some('~')).map(Arc::from);
            let reason = match mark {
                Some('~') => Reason { because: Because::Doubted, person: Some(person.into()), ..Reason::default() },
                _ => Reason { because: Because::Far, ..Reason::default() },
            };
            let state = match &name {
                Some(_) => State::Named,
                None if who == "." => State::Seen,
                None => State::Unknown,
            };
            let flaw = (mark == Some('^')).then_some(Flaw::Turned);
            let evidence =
                Evidence { reason, looks: self.looks, flaw, score: Some((-7.5, -4.0)), ..Evidence::default() };
            Sighting {
                track,
                since,
                name,
                distance: Some(0.3),
                runner_up: None,
                nearest: None,
                rect: Rect { x, y: 50, w: 60, h: 60 },
                velocity: [0.0; 2],
                state,
                evidence: Arc::new(evidence),
                view: None,
                stranger,
            }
        });
        Sightings {
            frame: 1,
            faces: faces.collect(),
            captured_at: Moment { instant: captured_at, ..self.start },
            took: Duration::from_millis(50),
            interval: self.interval,
            width: 1280,
            height: 720,
            blurred_areas: Vec::new(),
            examined: None,
            mask: Default::default(),
        }
    }

    /// The event as a word, after checks that apply to every event.
    fn check(&mut self, event: &Event, now: Instant) -> String {
        let latency = event.decided_at.instant - event.captured_at.instant;
        assert_eq!((event.decided_at.instant, u128::from(event.latency_ms)), (now, latency.as_millis()));
        let kind = event.kind.as_str();
        if let Some(visit) = event.visit {
            if event.kind == Kind::Appeared {
                assert!(visit > self.last, "a visit appears once, and numbers count up: {event:?}");
                self.last = visit;
                self.open.push(visit);
            }
            assert!(self.open.contains(&visit), "nothing is said of a visit before and after it: {event:?}");
            if event.kind == Kind::Left {
                self.open.retain(|open| *open != visit);
            }
        }
        assert_eq!(event.present, self.open.len(), "{event:?}");
        let name = event.name.as_deref().unwrap_or_default();
        let names = event.former.as_ref().map_or(name.to_owned(), |former| format!("{former}>{name}"));
        let reason = event.reason.as_deref().unwrap_or_default();
        let rest = match (event.visit, event.online, event.generation) {
            (Some(visit), ..) => format!("{visit}/{} {names} {reason}", event.track.unwrap()),
            (_, Some(online), _) => format!("{}{reason}", if online { "online" } else { "away: " }),
            (_, _, generation) => format!("{} of {}", generation.unwrap(), event.people.unwrap()),
        };
        format!("{kind} {}", rest.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// The list of visits: name, arrival and departure in milliseconds, `now` for present people.
    fn list(&self) -> Vec<String> {
        let ms = |at: Instant| (at - self.start.instant).as_millis();
        let (_, stays) = self.day.stays();
        let line = |stay: &Stay| {
            let stranger = || stay.stranger.map(|number| number.to_string()).unwrap_or_default();
            let name = stay.name.as_deref().map_or_else(|| format!("?{}", stranger()), str::to_owned);
            let until = if stay.is_present { "now".to_owned() } else { ms(stay.until).to_string() };
            format!("{name} {}-{until}", ms(stay.since))
        };
        stays.iter().map(line).collect()
    }

    /// True when namecam watches after this step.
    fn watches(&mut self, ms: u64, step: Step) -> bool {
        self.step(ms, step);
        self.presence.present(&[], &self.around, self.start.instant + Duration::from_millis(ms)).is_watching
    }

    fn table(mut self, steps: Vec<(u64, Step, &str)>) -> Play {
        for (ms, step, expected) in steps {
            assert_eq!(self.step(ms, step), expected, "at {ms} ms");
        }
        self
    }
}

fn table(steps: Vec<(u64, Step, &str)>) {
    Play::new().table(steps);
}

#[test]
fn a_person_comes_is_named_once_and_leaves_once_at_the_time_their_face_was_last_seen() {
    let mut play = Play::new().table(vec![
        (1000, Look(vec![]), ""),
        (2000, Look(vec![f(1, ".")]), "appeared 1/1"),
        (2200, Look(vec![f(1, "Alice")]), "named 1/1 Alice"),
        (2400, Look(vec![f(1, "Alice")]), ""),
        (9000, Still, ""),
        (9200, Look(vec![f(1, "Alice^")]), ""),
        (9400, Look(vec![]), ""),
        (18_900, Look(vec![]), ""),
    ]);
    // The last frame with the face was captured at 9.0 s; at 9.2 s the detector missed the face.
    let captured_at = play.start.instant + Duration::from_millis(19_001);
    let events = play.presence.update(None, &play.around, Moment { instant: captured_at, ..play.start });
    assert_eq!(play.check(&events[0], captured_at), "left 1/1 Alice unseen");
    assert_eq!((events[0].latency_ms, events[0].still_present, events.len()), (10_001, Some(false), 1));
    play.table(vec![(20_000, Tick, ""), (30_000, Look(vec![f(2, "Alice")]), "appeared 2/2, named 2/2 Alice")]);
}

#[test]
fn a_visit_outlasts_a_turned_head_and_goes_on_under_another_track() {
    table(vec![
        (1000, Look(vec![f(1, "Alice")]), "appeared 1/1, named 1/1 Alice"),
        // Lost for 3 s, then back under another track, which has no name at first.
        (1200, Look(vec![f(1, "Alice^")]), ""),
        (2000, Look(vec![]), ""),
        (4200, Look(vec![f(2, ".")]), ""),
        (4400, Look(vec![f(2, "?")]), ""),
        (4600, Look(vec![f(2, "Alice")]), ""),
        // Later events are about track 2. Track 1 is another face now.
        (5000, Look(vec![f(1, "?"), f(2, "Alice")]), "appeared 2/1"),
        (5200, Look(vec![f(2, "?")]), "withdrawn 1/2 Alice>"),
        (14_900, Look(vec![f(2, "?")]), ""),
        (15_300, Look(vec![f(2, "?")]), "left 2/1 unseen"),
    ]);
}

#[test]
fn a_new_face_waits_while_it_may_be_a_missed_person_and_then_begins_its_own_visit() {
    table(vec![
        (1000, Look(vec![f(1, "Alice")]), "appeared 1/1, named 1/1 Alice"),
        (1200, Look(vec![]), ""),
        (2000, Look(vec![f(2, ".")]), ""),
        (2600, Look(vec![f(2, "?")]), ""),
        (4000, Look(vec![f(2, "?")]), "appeared 2/2"),
        // Another name does not wait.
        (4200, Look(vec![f(2, "?"), f(3, "Bob")]), "appeared 3/3, named 3/3 Bob"),
        // The second face was Alice: the old visit ends, so that only one visit has the name.
        (4400, Look(vec![f(2, "Alice"), f(3, "Bob")]), "left 1/1 Alice elsewhere, named 2/2 Alice"),
    ]);
    // While nobody is missed, a new face is reported at once.
    table(vec![
        (1000, Look(vec![f(1, "Alice")]), "appeared 1/1, named 1/1 Alice"),
        (1200, Look(vec![f(1, "Alice"), f(2, ".")]), "appeared 2/2"),
        // The person whom the detector misses may be the new face.
        (1400, Look(vec![f(1, "Alice^"), f(2, "."), f(3, ".")]), ""),
        (1600, Look(vec![f(2, "."), f(3, "Alice")]), ""),
    ]);
}

#[test]
fn two_tracks_with_one_name_are_one_visit() {
    table(vec![
        (1000, Look(vec![f(1, "Alice"), f(2, "Alice")]), "appeared 1/1, named 1/1 Alice"),
        (1200, Look(vec![f(1, "Alice"), f(2, "Alice")]), ""),
        (1400, Look(vec![f(2, "Alice")]), ""),
        (1600, Look(vec![f(2, "Alice"), f(3, "Alice")]), ""),
        (1800, Look(vec![f(2, "Alice"), f(3, "?")]), "appeared 2/3"),
        // Another face has the name with better reason.
        (2000, Look(vec![f(2, "?"), f(3, "Alice")]), "withdrawn 1/2 Alice>, named 2/3 Alice"),
    ]);
}

#[test]
fn a_stranger_is_reported_once_per_visit_and_only_comparisons_count() {
    table(vec![
        (1000, Look(vec![f(1, ".")]), "appeared 1/1"),
        (1200, Look(vec![f(1, "?")]), ""),
        (1400, Look(vec![f(1, "?")]), ""),
        (1600, Look(vec![f(1, "?")]), ""),
        (1800, Still, ""),
        (2000, Still, ""),
        (2200, Look(vec![f(1, "?")]), "stranger 1/1"),
        (2400, Look(vec![f(1, "?")]), ""),
        // Back after 3 s at the same place, under another track: the same visit.
        (2600, Look(vec![]), ""),
        (5400, Look(vec![(2, ".", 120)]), ""),
        (5600, Look(vec![(2, "?", 120)]), ""),
        (5800, Look(vec![(2, "?", 120), f(3, "?")]), "appeared 2/3"),
        // The person gets a name late and loses it. No second event `stranger` follows.
        (6000, Look(vec![(2, "Bob", 120), f(3, "?")]), "named 1/2 Bob"),
        (6200, Look(vec![(2, "?", 120), f(3, "?")]), "withdrawn 1/2 Bob>"),
        (6400, Look(vec![(2, "?", 120), f(3, "?")]), "stranger 2/3"),
        (6600, Look(vec![(2, "?", 120)]), ""),
        (6800, Look(vec![(2, "?", 120)]), ""),
        (7000, Look(vec![(2, "?", 120)]), ""),
    ]);
}

#[test]
fn a_stranger_is_reported_after_a_stay_and_only_within_the_configured_hours() {
    let mut play = Play::new();
    play.around.config = Events { stranger_looks: 2, stranger_s: 3, ..play.around.config };
    play = play.table(vec![
        (1000, Look(vec![f(1, "?")]), "appeared 1/1"),
        (1200, Look(vec![f(1, "?")]), ""),
        (3900, Look(vec![f(1, "?")]), ""),
        (4000, Still, "stranger 1/1"),
        (4200, Still, ""),
    ]);
    // From a minute ago until an hour ago is now; from in two hours until in three is not.
    let at = |hours: u64, minutes: u64| {
        let [hour, minute, _] =
            localtime::time_of_day(play.start.wall + Duration::from_secs(hours * 3600 + minutes * 60));
        format!("{hour:02}:{minute:02}")
    };
    let [now, later] = [(23, 59, 23, 0), (2, 0, 3, 0)]
        .map(|(h, m, until_h, until_m)| Hours::parse(&format!("{}-{}", at(h, m), at(until_h, until_m))));
    play.around.config.stranger_hours = later.unwrap();
    play = play.table(vec![
        (5000, Look(vec![f(1, "?"), f(2, "?")]), "appeared 2/2"),
        (9000, Look(vec![f(1, "?"), f(2, "?")]), ""),
    ]);
    // A stranger who is present when the hours begin is reported then.
    play.around.config.stranger_hours = now.unwrap();
    play.table(vec![(9200, Still, "stranger 2/2")]);
}

#[test]
fn names_change_and_a_withheld_name_stays() {
    table(vec![
        (1000, Look(vec![f(1, "Alice")]), "appeared 1/1, named 1/1 Alice"),
        (1200, Look(vec![f(1, "Alice~")]), ""),
        (1400, Look(vec![f(1, "Alice")]), ""),
        (1600, Look(vec![f(1, "Bob")]), "renamed 1/1 Alice>Bob"),
        (1800, Look(vec![f(1, "Alice~")]), "withdrawn 1/1 Bob>"),
        (2000, Look(vec![f(1, "Bob")]), "named 1/1 Bob"),
        // Two people swap their names.
        (2200, Look(vec![f(1, "Bob"), f(2, "Alice")]), "appeared 2/2, named 2/2 Alice"),
        (2400, Look(vec![f(1, "Alice"), f(2, "Bob")]), "renamed 1/1 Bob>Alice, renamed 2/2 Alice>Bob"),
    ]);
}

#[test]
fn a_person_who_leaves_the_gallery_loses_their_name_in_view_or_not() {
    table(vec![
        (1000, Look(vec![f(1, "Alice"), f(2, "Bob")]), "appeared 1/1, named 1/1 Alice, appeared 2/2, named 2/2 Bob"),
        (1200, Look(vec![f(1, "Alice")]), ""),
        (1300, Gallery(&["Carol"]), "gallery 2 of 1, withdrawn 2/2 Bob>"),
        (1350, Tick, ""),
        (1400, Look(vec![f(1, "?")]), "withdrawn 1/1 Alice>"),
        (1500, Gallery(&["Carol", "Alice"]), "gallery 3 of 2"),
        (1600, Look(vec![f(1, "Alice")]), "named 1/1 Alice"),
        // No further look arrives.
        (1700, Gallery(&[]), "gallery 4 of 0"),
        (3200, Tick, "withdrawn 1/1 Alice>"),
        (11_700, Tick, "left 1/1 no_look, left 2/2 no_look"),
    ]);
}

#[test]
fn visits_end_after_their_usual_time_without_a_camera_and_at_once_without_recognition() {
    table(vec![
        (1000, Look(vec![f(1, "Alice")]), "appeared 1/1, named 1/1 Alice"),
        (1100, Camera(Some("unplugged")), "camera away: unplugged"),
        (1200, Camera(Some("still unplugged")), ""),
        // The camera is opened again, and Alice is still there.
        (6000, Camera(None), "camera online"),
        (6200, Look(vec![f(2, "Alice")]), ""),
        (7000, Camera(Some("starting")), ""),
        (7100, Camera(Some("unplugged")), "camera away: unplugged"),
        (16_200, Tick, ""),
        (16_201, Tick, "left 1/2 Alice camera"),
        (20_000, Camera(None), "camera online"),
        (20_200, Look(vec![f(3, "Alice"), f(4, "?")]), "appeared 2/3, named 2/3 Alice, appeared 3/4"),
        (20_300, Recognition(false), "left 2/3 Alice recognition, left 3/4 recognition"),
        // A look that was under way when recognition was switched off.
        (20_400, Look(vec![f(3, "Alice")]), ""),
        (25_000, Recognition(true), ""),
        (25_200, Look(vec![f(5, "Alice")]), "appeared 4/5, named 4/5 Alice"),
    ]);
}

#[test]
fn namecam_watches_while_looks_can_name_people_and_until_visits_end_without_a_look() {
    let mut play = Play::new();
    let gallery = std::mem::take(&mut play.around.roster);
    // The models are open, and the gallery is being described or cannot be read.
    assert!(!play.watches(500, Tick));
    assert!(!play.watches(1000, Look(vec![f(1, ".")])));
    play.around.roster = gallery;
    assert!(!play.watches(1100, Tick));
    assert!(play.watches(1200, Look(vec![f(1, "Alice")])));
    // Nothing moves.
    assert!(play.watches(9000, Still));
    // The next look hangs: the visit ends at the same moment.
    assert!(play.watches(19_000, Tick) && play.open.len() == 1);
    assert!(!play.watches(19_001, Tick) && play.open.is_empty());
    assert!(play.watches(20_000, Look(vec![])));
    assert!(!play.watches(20_100, Camera(Some("unplugged"))));
    assert!(play.watches(20_200, Camera(None)));
    assert!(!play.watches(20_300, Recognition(false)) && !play.watches(20_400, Recognition(true)));
    assert!(play.watches(20_600, Look(vec![])));
}

#[test]
fn the_clock_may_be_set_and_slow_looks_end_no_visit() {
    let mut play = Play::new().table(vec![
        (1000, Look(vec![f(1, "Alice")]), "appeared 1/1, named 1/1 Alice"),
        (1100, Clock(-86_400), ""),
        (9000, Look(vec![f(1, "Alice")]), ""),
        (9100, Clock(200_000), ""),
    ]);
    let now = play.start.instant + Duration::from_secs(20);
    let wall = play.start.wall + Duration::from_secs(113_620);
    let events = play.presence.update(None, &play.around, Moment { instant: now, wall });
    // All times are on the new clock.
    let before = |ms| wall - Duration::from_millis(ms);
    assert_eq!((events[0].kind, events[0].captured_at.wall), (Kind::Left, before(11_000)));
    assert_eq!((events[0].since.unwrap().wall, events[0].decided_at.wall), (before(19_000), wall));
    // With a look every 8 s that takes 8 s, a person whom one look misses is still present.
    let mut play = Play::new();
    let mut slow = |at: u64, faces| {
        play.newest = faces;
        let captured_at = play.start.instant + Duration::from_secs(at);
        let took = Duration::from_secs(8);
        let seen = Sightings { took, interval: took, ..play.sightings(captured_at) };
        let events =
            play.presence.update(Some(&seen), &play.around, Moment { instant: captured_at + took, ..play.start });
        events.iter().map(|event| event.kind).collect::<Vec<_>>()
    };
    assert_eq!(slow(0, vec![f(1, "Alice")]), [Kind::Appeared, Kind::Named]);
    assert_eq!(slow(8, vec![]), []);
    assert_eq!(slow(16, vec![f(1, "Alice")]), []);
    assert_eq!([slow(24, vec![]), slow(32, vec![]), slow(40, vec![])].concat(), [Kind::Left]);
}

#[test]
fn with_rare_looks_an_unknown_person_under_another_track_goes_on_with_their_visit() {
    let play = Play { interval: Duration::from_secs(60), ..Play::new() };
    play.table(vec![
        (0, Look(vec![(1, "?", 100)]), "appeared 1/1"),
        (60_000, Look(vec![(2, "?", 110)]), ""),
        (120_000, Look(vec![(3, "?", 100)]), ""),
        (180_000, Look(vec![(4, "?", 100)]), "stranger 1/4"),
        (240_000, Look(vec![(5, "?", 900)]), "appeared 2/5"),
    ]);
}

#[test]
fn the_number_of_visits_is_bounded() {
    let mut play = Play::new();
    let mut left = 0;
    for track in 0..1000 {
        left += play.step(1000 + track, Look(vec![f(track, "?")])).matches("left").count();
    }
    assert_eq!((play.open.len(), left), (256, 744));
}

#[test]
fn the_list_has_each_visit_once_from_arrival_to_departure() {
    let mut play =
        Play::new().table(vec![(1000, Look(vec![f(1, ".")]), "appeared 1/1"), (1200, Look(vec![f(1, "?7")]), "")]);
    assert_eq!(play.list(), ["?7 1000-now"]);
    let version = play.day.version();
    // Named during the visit: one visit, and not a stranger's.
    play = play.table(vec![
        (1400, Look(vec![f(1, "Alice"), f(2, "?")]), "named 1/1 Alice, appeared 2/2"),
        (1600, Look(vec![f(1, "Alice"), f(2, "?8")]), ""),
    ]);
    assert_eq!(play.list(), ["Alice 1000-now", "?8 1400-now"]);
    assert!(play.day.version() > version);
    let (_, stays) = play.day.stays();
    assert_eq!([stays[0].looks, stays[1].looks], [4, 2]);
    assert_eq!([stays[0].distance, stays[1].distance], [Some(0.3), None]);
    let version = play.day.version();
    play = play.table(vec![(1800, Still, ""), (2000, Tick, "")]);
    assert_eq!(play.day.version(), version, "nothing has changed but the time");
    play = play.table(vec![
        (2200, Look(vec![f(2, "?8")]), ""),
        (11_000, Look(vec![f(2, "?8")]), "stranger 2/2"),
        (11_900, Look(vec![f(2, "?8")]), "left 1/1 Alice unseen"),
        // A return is another visit. The event `stranger` stays in the list.
        (12_100, Look(vec![f(3, "Alice")]), "appeared 3/3, named 3/3 Alice"),
        (30_000, Tick, "left 2/2 no_look, left 3/3 Alice no_look"),
    ]);
    assert_eq!(play.list(), ["Alice 1000-1800", "?8 1400-11900", "Alice 12100-12100"]);
    let (_, stays) = play.day.stays();
    assert_eq!(stays[1].stranger_at, Some(play.start.instant + Duration::from_millis(11_050)));
    assert_eq!([stays[0].stranger_at, stays[2].stranger_at], [None; 2]);
}

#[test]
fn a_missed_person_who_turns_up_in_another_visit_is_listed_once() {
    let play = Play::new().table(vec![
        (1000, Look(vec![f(1, "Alice")]), "appeared 1/1, named 1/1 Alice"),
        (1200, Look(vec![]), ""),
        (2000, Look(vec![f(2, "?")]), ""),
        (4000, Look(vec![f(2, "?")]), "appeared 2/2"),
        (4400, Look(vec![f(2, "Alice")]), "left 1/1 Alice elsewhere, named 2/2 Alice"),
    ]);
    assert_eq!(play.list(), ["Alice 1000-now"]);
}

#[test]
fn a_rename_applies_to_visits_and_people_who_left_the_gallery_lose_their_names() {
    let both = "appeared 1/1, named 1/1 Alice, appeared 2/2, named 2/2 Bob";
    let mut play = Play::new().table(vec![
        (1000, Look(vec![f(1, "Alice"), f(2, "Bob")]), both),
        (1200, Look(vec![]), ""),
        (11_900, Tick, "left 1/1 Alice no_look, left 2/2 Bob no_look"),
        (12_000, Look(vec![f(3, "Alice"), f(4, "Bob")]), "appeared 3/3, named 3/3 Alice, appeared 4/4, named 4/4 Bob"),
        (12_200, Look(vec![f(4, "Bob")]), ""),
    ]);
    // Alice was renamed twice before a gallery is in use, to a person whom the gallery already has.
    play.day.rename("Alice", "Anna");
    play.day.rename("Anna", "Carol");
    assert_eq!(play.list(), ["Alice 1000-1000", "Bob 1000-1000", "Alice 12000-now", "Bob 12000-now"]);
    // A person in view gets their name from the next look.
    play = play.table(vec![(12_300, Gallery(&["Bob", "Carol"]), "gallery 2 of 2, renamed 3/3 Alice>Carol")]);
    assert_eq!(play.list(), ["Carol 1000-1000", "Bob 1000-1000", "Carol 12000-now", "Bob 12000-now"]);
    play = play.table(vec![
        (12_400, Gallery(&["Bob", "Carol", "Alice"]), "gallery 3 of 3"),
        (12_600, Look(vec![f(5, "Alice"), f(3, "Carol")]), "appeared 5/5, named 5/5 Alice"),
        (22_000, Look(vec![f(3, "Carol")]), ""),
        (23_000, Look(vec![f(3, "Carol")]), "left 4/4 Bob unseen, left 5/5 Alice unseen"),
        // The folders of the new Alice, who was not renamed, and of Bob were deleted.
        (23_100, Gallery(&["Carol"]), "gallery 4 of 1"),
    ]);
    assert_eq!(play.list(), ["Carol 1000-1000", "? 1000-1000", "Carol 12000-now", "? 12000-12200", "? 12600-12600"]);
}

#[test]
fn visits_of_a_forgotten_person_are_removed() {
    let mut play = Play::new().table(vec![
        (1000, Look(vec![f(1, "Alice")]), "appeared 1/1, named 1/1 Alice"),
        (9000, Look(vec![f(2, "Alice")]), ""),
        (9200, Look(vec![f(2, "Alice"), f(3, "Bob")]), "appeared 2/3, named 2/3 Bob"),
        (23_000, Tick, "left 1/2 Alice no_look, left 2/3 Bob no_look"),
        (24_000, Look(vec![f(4, "Alice"), f(5, "Bob")]), "appeared 3/4, named 3/4 Alice, appeared 4/5, named 4/5 Bob"),
        (24_200, Look(vec![]), ""),
    ]);
    play.day.forget("Alice");
    play = play.table(vec![
        (24_400, Gallery(&["Bob"]), "gallery 2 of 1, withdrawn 3/4 Alice>"),
        (40_000, Tick, "left 3/4 no_look, left 4/5 Bob no_look"),
    ]);
    assert_eq!(play.list(), ["Bob 9200-9200", "Bob 24000-24000"], "not even a visit without a name stays");
}

#[test]
fn naming_a_face_names_its_visits_and_those_of_the_same_stranger() {
    let mut play = Play::new().table(vec![
        (1000, Look(vec![f(1, "?7")]), "appeared 1/1"),
        (12_000, Look(vec![(2, "?7", 900), f(3, "?8")]), "left 1/1 no_look, appeared 2/2, appeared 3/3"),
        (23_000, Tick, "left 2/2 no_look, left 3/3 no_look"),
        (24_000, Look(vec![f(4, "?9"), f(5, "?7")]), "appeared 4/4, appeared 5/5"),
        (24_200, Look(vec![f(5, "Alice")]), "named 5/5 Alice"),
    ]);
    let list = ["?7 1000-1000", "?7 12000-12000", "?8 12000-12000", "?9 24000-now", "Alice 24000-now"];
    assert_eq!(play.list(), list);
    play.day.name(5, "Alice");
    assert_eq!(play.list()[..3], ["Alice 1000-1000", "Alice 12000-12000", "?8 12000-12000"]);
    play.day.name(3, "Carol");
    // The visit has not ended yet, but its face is no longer in view.
    play.day.name(4, "Bob");
    play = play.table(vec![(40_000, Tick, "left 4/4 no_look, left 5/5 Alice no_look")]);
    assert_eq!(play.list()[2..], ["Carol 12000-12000", "Bob 24000-24000", "Alice 24000-24200"]);
    // Taken back, also of a face that was named twice.
    play.day.name(4, "Ann");
    play.day.unname(4);
    play.day.unname(5);
    let list = ["?7 1000-1000", "?7 12000-12000", "Carol 12000-12000", "?9 24000-24000", "?7 24000-24200"];
    assert_eq!(play.list(), list);
    // A person who leaves the gallery before the visit ends is not named either, and a renamed one has the new name.
    play = play.table(vec![(41_000, Look(vec![f(6, "?"), f(7, "?")]), "appeared 6/6, appeared 7/7")]);
    play.day.name(6, "Alice");
    play.day.name(7, "Bob");
    play.day.rename("Bob", "Bo");
    let play = play.table(vec![
        (42_000, Gallery(&["Bo"]), "gallery 2 of 1"),
        (43_000, Gallery(&["Alice", "Bo"]), "gallery 3 of 2"),
        (60_000, Tick, "left 6/6 no_look, left 7/7 no_look"),
    ]);
    assert_eq!(play.list()[5..], ["? 41000-41000", "Bo 41000-41000"]);
}

#[test]
fn naming_a_face_at_the_place_of_a_stranger_does_not_name_the_strangers_other_visits() {
    let mut play = Play::new().table(vec![
        (1000, Look(vec![f(1, "?7")]), "appeared 1/1"),
        (12_000, Look(vec![f(2, "?7")]), "left 1/1 no_look, appeared 2/2"),
        // Another person, for whom looks have no number yet, continues the visit.
        (14_000, Look(vec![(3, "?", 200)]), ""),
    ]);
    play.day.name(3, "Alice");
    assert_eq!(play.list()[0], "?7 1000-1000");
    // It was the same person after all.
    play = play.table(vec![(14_200, Look(vec![(3, "?7", 200)]), "")]);
    assert_eq!(play.list(), ["?7 1000-1000", "?7 12000-now"]);
}

#[test]
fn visits_are_listed_for_some_hours_and_up_to_a_bound() {
    let hour = 3_600_000;
    let play = Play::new().table(vec![
        (1000, Look(vec![f(1, "Alice")]), "appeared 1/1, named 1/1 Alice"),
        (12_000, Look(vec![f(2, "Bob")]), "left 1/1 Alice no_look, appeared 2/2, named 2/2 Bob"),
        (24_000, Tick, "left 2/2 Bob no_look"),
        (24 * hour + 999, Tick, ""),
    ]);
    assert_eq!(play.list(), ["Alice 1000-1000", "Bob 12000-12000"]);
    let version = play.day.version();
    let mut play = play.table(vec![(24 * hour + 1000, Tick, "")]);
    assert_eq!((play.list(), play.day.version()), (vec!["Bob 12000-12000".to_owned()], version + 1));
    play.around.config.visits_h = 0;
    let play = play.table(vec![(24 * hour + 2000, Tick, "")]);
    assert!(play.list().is_empty());
    let mut play = Play::new();
    for track in 0..1000 {
        play.step(1000 + track, Look(vec![f(track, "?")]));
        assert!(play.list().len() <= 500);
    }
    assert_eq!(play.list().len(), 500);
    assert!(play.list()[0].starts_with("? 1500"), "the oldest go: {}", play.list()[0]);
}

fn event(name: Option<&str>) -> Event {
    Event { name: name.map(Into::into), ..Event::new(Kind::Named, Moment::now(), Moment::now(), 1) }
}

#[test]
fn the_bus_keeps_256_events_and_a_slow_reader_learns_how_many_it_missed() {
    let bus = Bus::default();
    let ids = |batch: &Batch| batch.events.iter().map(|event| event.id).collect::<Vec<_>>();
    assert_eq!(bus.begin_after(None), 0);
    assert!(bus.wait_after(0, Duration::from_millis(5)).events.is_empty());
    bus.publish(vec![event(None), event(None)]);
    bus.publish(Vec::new());
    let batch = bus.wait_after(0, Duration::ZERO);
    assert_eq!((ids(&batch), batch.missed), (vec![1, 2], 0));
    (0..300).for_each(|_| bus.publish(vec![event(None)]));
    let batch = bus.wait_after(2, Duration::ZERO);
    assert_eq!((ids(&batch), batch.missed), ((47..=302).collect(), 44));
    assert_eq!(ids(&bus.wait_after(300, Duration::ZERO)), [301, 302]);
    assert!(bus.wait_after(302, Duration::ZERO).events.is_empty());
    // After an id of an earlier run, no event of this run is missed.
    assert_eq!([None, Some(300), Some(0), Some(9000)].map(|last| bus.begin_after(last)), [302, 300, 0, 0]);
    let bus = Bus::default();
    bus.begin_at(1_000_000);
    bus.publish(vec![event(None), event(None)]);
    let batch = bus.wait_after(302, Duration::ZERO);
    assert_eq!((ids(&batch), batch.missed), (vec![1_000_001, 1_000_002], 0), "nothing was missed since the restart");
    let (newest, begin) = (1_000_002, 1_000_000);
    assert_eq!(
        [None, Some(302), Some(newest), Some(9 * begin)].map(|last| bus.begin_after(last)),
        [newest, begin, newest, begin]
    );
}

#[test]
fn a_waiting_reader_is_woken_and_names_can_be_taken_away() {
    let bus = Arc::new(Bus::default());
    let reader = {
        let bus = Arc::clone(&bus);
        std::thread::spawn(move || woken(|long| bus.wait_after(0, long)).events.len())
    };
    // The reader waits by now.
    std::thread::sleep(Duration::from_millis(50));
    bus.publish(vec![event(Some("Alice")), event(Some("Bob"))]);
    assert_eq!(reader.join().unwrap(), 2);
    bus.publish(vec![Event { former: Some("Alice".into()), ..event(Some("Bob")) }]);
    bus.forget(|name| name == "Alice");
    let kept = bus.wait_after(0, Duration::ZERO).events;
    let names: Vec<_> = kept.iter().map(|event| (event.id, event.name.as_deref(), event.former.as_deref())).collect();
    assert_eq!(names, [(1, None, None), (2, Some("Bob"), None), (3, Some("Bob"), None)]);
}

#[test]
fn of_events_that_many_threads_publish_each_reader_gets_each_one_or_learns_that_it_missed_it() {
    let (bus, goes_on) = (Bus::default(), while_stressed());
    let read = |bus: &Bus| {
        let (mut seen, mut missed, mut got) = (0, 0, 0);
        loop {
            let batch = woken(|long| bus.wait_after(seen, long));
            assert!(!batch.events.is_empty());
            (missed, got) = (missed + batch.missed, got + batch.events.len() as u64);
            let first = seen + batch.missed + 1;
            assert!(batch.events.iter().map(|event| event.id).eq(first..first + batch.events.len() as u64));
            seen = batch.events.last().unwrap().id;
            if batch.events.last().unwrap().name.as_deref() == Some("the last one") {
                assert_eq!(missed + got, seen, "each was got or missed");
                return seen;
            }
        }
    };
    std::thread::scope(|scope| {
        let readers = [(); 3].map(|()| scope.spawn(|| read(&bus)));
        let writers = [1, 2, 3].map(|at_once| {
            let bus = &bus;
            scope.spawn(move || {
                let mut published = 0;
                while published < 10 || goes_on() {
                    bus.publish((0..at_once).map(|_| event(None)).collect());
                    published += at_once;
                }
                published
            })
        });
        let published: u64 = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
        bus.publish(vec![event(Some("the last one"))]);
        readers.into_iter().for_each(|reader| assert_eq!(reader.join().unwrap(), published + 1));
    });
}

#[test]
fn the_json_has_every_field_and_rounded_numbers() {
    let mut play = Play::new();
    play.start.wall = std::time::UNIX_EPOCH + Duration::from_millis(1_000_500);
    let seen = {
        play.newest = vec![f(7, "Alice")];
        play.sightings(play.start.instant)
    };
    let later = Duration::from_millis(62);
    let now = Moment { instant: play.start.instant + later, wall: play.start.wall + later };
    let events = play.presence.update(Some(&seen), &play.around, now);
    let json: Vec<_> = events.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
    let named = r#"{"id":0,"kind":"named","visit":1,"track":7,"name":"Alice","former":null,"distance":0.3,"score":-7.5,"since":1000.5,"captured_at":1000.5,"decided_at":1000.562,"latency_ms":62,"still_present":true,"present":1,"reason":null,"online":null,"generation":null,"people":null}"#;
    assert_eq!(json[1], named);
    for event in events {
        assert_eq!(serde_json::to_value(event.kind).unwrap(), event.kind.as_str());
    }
}

#[test]
fn the_thread_publishes_changes_by_looks_camera_and_reloads_and_removes_forgotten_names() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Arc::new(Stage {
        config: Arc::new(Latest::with(Config::defaults("/".as_ref()))),
        sightings: Arc::default(),
        roster: Arc::default(),
        health: Arc::default(),
        bus: Arc::default(),
        day: Arc::default(),
        present: Arc::default(),
        stop: Arc::default(),
        state_folder: Some(folder.path().to_owned()),
    });
    let running = {
        let stage = Arc::clone(&stage);
        std::thread::spawn(move || run(&stage))
    };
    let mut seen = 0;
    let mut next = |expected: &[Kind]| {
        let mut told = Vec::new();
        while told.len() < expected.len() {
            let events = stage.bus.wait_after(seen, Duration::from_secs(10)).events;
            assert!(!events.is_empty(), "only {told:?} of {expected:?}");
            seen = events[events.len() - 1].id;
            told.extend(events.iter().map(|event| event.kind));
        }
        assert_eq!(told, expected);
    };
    stage.health.camera_is_online("test", "MJPG", 4, 4);
    next(&[Kind::Camera]);
    let mut play = Play::new();
    stage.roster.publish(Arc::clone(&play.around.roster));
    next(&[Kind::Gallery]);
    play.newest = vec![f(1, "Alice")];
    stage.sightings.publish(Arc::new(play.sightings(Instant::now())));
    next(&[Kind::Appeared, Kind::Named]);
    play.step(0, Gallery(&[]));
    stage.roster.publish(Arc::clone(&play.around.roster));
    next(&[Kind::Gallery]);
    // The next look is a slow one.
    std::thread::sleep(TOLD_WITHIN + Duration::from_millis(500));
    play.newest = vec![f(1, "?")];
    stage.sightings.publish(Arc::new(play.sightings(Instant::now())));
    next(&[Kind::Withdrawn]);
    let with_names = || {
        let kept = stage.bus.wait_after(0, Duration::ZERO).events;
        kept.iter().filter(|event| event.names(|_| true)).map(|event| event.kind).collect::<Vec<_>>()
    };
    let only = "the replay names nobody who has left the gallery, except where it says so";
    assert_eq!(with_names(), [Kind::Withdrawn], "{only}");
    let told_at = Instant::now();
    while !with_names().is_empty() {
        assert!(told_at.elapsed() < Duration::from_secs(10), "the name stays in the events");
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut config = (*stage.config.newest().unwrap().1).clone();
    config.recognition.enabled = false;
    stage.config.publish(Arc::new(config));
    next(&[Kind::Left]);
    stage.stop.set();
    running.join().unwrap();
}
