//! Visits and events by tables of looks, with a clock of their own; the bus; the thread.

use super::bus::Batch;
use super::event::{Event, Kind};
use super::*;
use crate::config::Events;
use crate::detection::{Because, Evidence, Flaw, Reason, Sighting, State};
use crate::image::Rect;
use crate::roster::{Person, PictureReport, Roster};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A face of a look: its track, who it is, and where. `?` is unknown, `.` not compared yet, `Alice~` has the name of Alice withheld, and
/// `Alice^` was missed by the detector.
type Face = (u64, &'static str, i32);

/// A face at a place of its track's own.
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
    /// The clock of the board is set, by so many seconds.
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
    clock: i64,
    /// The visits that have appeared and not left.
    open: Vec<u64>,
    last: u64,
}

impl Play {
    fn new() -> Play {
        let camera = crate::telemetry::health::CameraStatus { error: None, ..Default::default() };
        let config = Events { presence_s: 10, stranger_looks: 4 };
        let around = Surroundings { camera, roster: Arc::default(), recognizes: true, config };
        let mut play = Play {
            start: Moment::now(),
            presence: Presence::default(),
            around,
            newest: Vec::new(),
            looks: 0,
            began: HashMap::new(),
            clock: 0,
            open: Vec::new(),
            last: 0,
        };
        assert_eq!(play.step(0, Gallery(&["Alice", "Bob"])), "camera online, gallery 1 of 2");
        play
    }

    fn step(&mut self, ms: u64, step: Step) -> String {
        let mut sees = false;
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
        let events = self.presence.update(sightings.as_ref(), &self.around, Moment { instant: now, wall });
        events.iter().map(|event| self.check(event, now)).collect::<Vec<_>>().join(", ")
    }

    fn sightings(&mut self, captured_at: Instant) -> Sightings {
        let faces = self.newest.iter().map(|&(track, who, x)| {
            let since = *self.began.entry(track).or_insert(captured_at);
            let (person, mark) = match who.char_indices().next_back() {
                Some((at, mark @ ('~' | '^'))) => (&who[..at], Some(mark)),
                _ => (who, None),
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
            }
        });
        Sightings {
            frame: 1,
            faces: faces.collect(),
            captured_at: Moment { instant: captured_at, ..self.start },
            took: Duration::from_millis(50),
            interval: Duration::from_millis(200),
            width: 1280,
            height: 720,
            blurred_areas: Vec::new(),
            examined: None,
            mask: Default::default(),
        }
    }

    /// The event as a word, after a check of what holds for each.
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
    // The last frame with the face was captured at 9.0 s; what was shown at 9.2 s was missed by the detector.
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
        // Lost for 3 s, and back under another track, which has no name at first.
        (1200, Look(vec![f(1, "Alice^")]), ""),
        (2000, Look(vec![]), ""),
        (4200, Look(vec![f(2, ".")]), ""),
        (4400, Look(vec![f(2, "?")]), ""),
        (4600, Look(vec![f(2, "Alice")]), ""),
        // Events of later are of the new track; the old one is another face.
        (5000, Look(vec![f(1, "?"), f(2, "Alice")]), "appeared 2/1"),
        (5200, Look(vec![f(2, "?")]), "withdrawn 1/2 Alice>"),
        (14_900, Look(vec![f(2, "?")]), ""),
        (15_300, Look(vec![f(2, "?")]), "left 2/1 unseen"),
    ]);
}

#[test]
fn a_newcomer_waits_while_somebody_is_missed_who_they_may_be_and_then_is_somebody_else() {
    table(vec![
        (1000, Look(vec![f(1, "Alice")]), "appeared 1/1, named 1/1 Alice"),
        (1200, Look(vec![]), ""),
        (2000, Look(vec![f(2, ".")]), ""),
        (2600, Look(vec![f(2, "?")]), ""),
        (4000, Look(vec![f(2, "?")]), "appeared 2/2"),
        // Another name does not wait.
        (4200, Look(vec![f(2, "?"), f(3, "Bob")]), "appeared 3/3, named 3/3 Bob"),
        // It was Alice after all: the old visit ends, and the name is on one visit at a time.
        (4400, Look(vec![f(2, "Alice"), f(3, "Bob")]), "left 1/1 Alice elsewhere, named 2/2 Alice"),
    ]);
    // While nobody is missed, a newcomer is told at once.
    table(vec![
        (1000, Look(vec![f(1, "Alice")]), "appeared 1/1, named 1/1 Alice"),
        (1200, Look(vec![f(1, "Alice"), f(2, ".")]), "appeared 2/2"),
        // Somebody whom the detector misses may be the one who has come elsewhere.
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
fn a_stranger_is_told_once_a_visit_and_only_comparisons_count() {
    table(vec![
        (1000, Look(vec![f(1, ".")]), "appeared 1/1"),
        (1200, Look(vec![f(1, "?")]), ""),
        (1400, Look(vec![f(1, "?")]), ""),
        (1600, Look(vec![f(1, "?")]), ""),
        (1800, Still, ""),
        (2000, Still, ""),
        (2200, Look(vec![f(1, "?")]), "stranger 1/1"),
        (2400, Look(vec![f(1, "?")]), ""),
        // Back after 3 s where they were, under another track: the same visit.
        (2600, Look(vec![]), ""),
        (5400, Look(vec![(2, ".", 120)]), ""),
        (5600, Look(vec![(2, "?", 120)]), ""),
        (5800, Look(vec![(2, "?", 120), f(3, "?")]), "appeared 2/3"),
        // They have a name late, lose it, and are no stranger for the second time.
        (6000, Look(vec![(2, "Bob", 120), f(3, "?")]), "named 1/2 Bob"),
        (6200, Look(vec![(2, "?", 120), f(3, "?")]), "withdrawn 1/2 Bob>"),
        (6400, Look(vec![(2, "?", 120), f(3, "?")]), "stranger 2/3"),
        (6600, Look(vec![(2, "?", 120)]), ""),
        (6800, Look(vec![(2, "?", 120)]), ""),
        (7000, Look(vec![(2, "?", 120)]), ""),
    ]);
}

#[test]
fn names_change_go_and_come_and_a_withheld_name_stays() {
    table(vec![
        (1000, Look(vec![f(1, "Alice")]), "appeared 1/1, named 1/1 Alice"),
        (1200, Look(vec![f(1, "Alice~")]), ""),
        (1400, Look(vec![f(1, "Alice")]), ""),
        (1600, Look(vec![f(1, "Bob")]), "renamed 1/1 Alice>Bob"),
        (1800, Look(vec![f(1, "Alice~")]), "withdrawn 1/1 Bob>"),
        (2000, Look(vec![f(1, "Bob")]), "named 1/1 Bob"),
        // Two swap their names.
        (2200, Look(vec![f(1, "Bob"), f(2, "Alice")]), "appeared 2/2, named 2/2 Alice"),
        (2400, Look(vec![f(1, "Alice"), f(2, "Bob")]), "renamed 1/1 Bob>Alice, renamed 2/2 Alice>Bob"),
    ]);
}

#[test]
fn whom_the_gallery_forgets_has_no_name_in_view_or_not() {
    table(vec![
        (1000, Look(vec![f(1, "Alice"), f(2, "Bob")]), "appeared 1/1, named 1/1 Alice, appeared 2/2, named 2/2 Bob"),
        (1200, Look(vec![f(1, "Alice")]), ""),
        (1300, Gallery(&["Carol"]), "gallery 2 of 1, withdrawn 2/2 Bob>"),
        (1350, Tick, ""),
        (1400, Look(vec![f(1, "?")]), "withdrawn 1/1 Alice>"),
        (1500, Gallery(&["Carol", "Alice"]), "gallery 3 of 2"),
        (1600, Look(vec![f(1, "Alice")]), "named 1/1 Alice"),
        // No look comes any more.
        (1700, Gallery(&[]), "gallery 4 of 0"),
        (3200, Tick, "withdrawn 1/1 Alice>"),
        (11_700, Tick, "left 1/1 no_look, left 2/2 no_look"),
    ]);
}

#[test]
fn when_the_camera_goes_away_visits_end_in_their_time_and_when_recognition_stops_at_once() {
    table(vec![
        (1000, Look(vec![f(1, "Alice")]), "appeared 1/1, named 1/1 Alice"),
        (1100, Camera(Some("unplugged")), "camera away: unplugged"),
        (1200, Camera(Some("still unplugged")), ""),
        // It is opened again, and Alice is still there.
        (6000, Camera(None), "camera online"),
        (6200, Look(vec![f(2, "Alice")]), ""),
        (7000, Camera(Some("starting")), ""),
        (7100, Camera(Some("unplugged")), "camera away: unplugged"),
        (16_200, Tick, ""),
        (16_201, Tick, "left 1/2 Alice camera"),
        (20_000, Camera(None), "camera online"),
        (20_200, Look(vec![f(3, "Alice"), f(4, "?")]), "appeared 2/3, named 2/3 Alice, appeared 3/4"),
        (20_300, Recognition(false), "left 2/3 Alice recognition, left 3/4 recognition"),
        // A look that was under way when it was switched off.
        (20_400, Look(vec![f(3, "Alice")]), ""),
        (25_000, Recognition(true), ""),
        (25_200, Look(vec![f(5, "Alice")]), "appeared 4/5, named 4/5 Alice"),
    ]);
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
    // All times are of the clock as it is now.
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
fn visits_have_a_bound() {
    let mut play = Play::new();
    let mut left = 0;
    for track in 0..1000 {
        left += play.step(1000 + track, Look(vec![f(track, "?")])).matches("left").count();
    }
    assert_eq!((play.open.len(), left), (256, 744));
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
    // An id of before a restart is no reason to miss what came since.
    assert_eq!([None, Some(300), Some(0), Some(9000)].map(|last| bus.begin_after(last)), [302, 300, 0, 0]);
}

#[test]
fn a_waiting_reader_is_woken_and_names_can_be_taken_away() {
    let bus = Arc::new(Bus::default());
    let reader = {
        let bus = Arc::clone(&bus);
        std::thread::spawn(move || bus.wait_after(0, Duration::from_secs(10)).events.len())
    };
    bus.publish(vec![event(Some("Alice")), event(Some("Bob"))]);
    assert_eq!(reader.join().unwrap(), 2);
    bus.publish(vec![Event { former: Some("Alice".into()), ..event(Some("Bob")) }]);
    bus.forget(|name| name == "Alice");
    let kept = bus.wait_after(0, Duration::ZERO).events;
    let names: Vec<_> = kept.iter().map(|event| (event.id, event.name.as_deref(), event.former.as_deref())).collect();
    assert_eq!(names, [(1, None, None), (2, Some("Bob"), None), (3, Some("Bob"), None)]);
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
fn the_thread_tells_what_looks_camera_and_reloads_change_and_takes_forgotten_names_away() {
    let stage = Arc::new(Stage {
        config: Arc::new(Latest::with(Config::defaults("/".as_ref()))),
        sightings: Arc::default(),
        roster: Arc::default(),
        health: Arc::default(),
        bus: Arc::default(),
        stop: Arc::default(),
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
    play.newest = vec![f(1, "?")];
    stage.sightings.publish(Arc::new(play.sightings(Instant::now())));
    next(&[Kind::Withdrawn]);
    let kept = stage.bus.wait_after(0, Duration::ZERO).events;
    let names: Vec<_> = kept.iter().filter(|event| event.names(|_| true)).map(|event| event.kind).collect();
    assert_eq!(names, [Kind::Withdrawn], "the replay names nobody who has left the gallery, except where it says so");
    let mut config = (*stage.config.newest().unwrap().1).clone();
    config.recognition.enabled = false;
    stage.config.publish(Arc::new(config));
    next(&[Kind::Left]);
    stage.stop.set();
    running.join().unwrap();
}
