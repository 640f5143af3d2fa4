//! Tests of tracks, with an engine that derives a face's descriptor from its colour.

mod properties;

use super::*;
use crate::config::{Config, Recognition};
use crate::detection::{Because, Flaw, State};
use crate::recognition::descriptor::Descriptor;
use crate::recognition::identify::cohort::tests::center;
use std::path::Path;

/// The descriptor of a face: near the middle of the cohort, with red and green of its first pixel, divided by 255, in
/// two dimensions.
#[derive(Default)]
struct Fake {
    described: usize,
}

impl Engine for Fake {
    fn detect(&mut self, _: &Rgb, _: f64) -> Vec<Rect> {
        Vec::new()
    }

    fn describe(&mut self, rgb: &Rgb, faces: &[Rect], _: u32) -> Vec<Descriptor> {
        self.described += faces.len();
        faces.iter().map(|face| of(rgb.pixel(face.x as u32, face.y as u32))).collect()
    }
}

fn of([red, green, _]: [u8; 3]) -> Descriptor {
    let mut descriptor = center();
    descriptor[0] += f32::from(red) / 255.0;
    descriptor[1] += f32::from(green) / 255.0;
    descriptor
}

const ALICE: [u8; 3] = [0, 0, 200];
const BOB: [u8; 3] = [0, 255, 0];
const STRANGER: [u8; 3] = [255, 0, 100];
/// A look at Alice with a hand before the face: near to nobody.
const HIDDEN: [u8; 3] = [150, 0, 60];

struct Room {
    engine: Fake,
    tracks: Tracks,
    matcher: Matcher,
    judges_all: bool,
    start: Instant,
}

impl Room {
    fn new() -> Room {
        let config: Recognition = Config::defaults(Path::new("/")).recognition;
        let mut matcher = Matcher::new(&config, Some(Arc::default()));
        matcher.add("Alice", [("a".into(), of(ALICE))]);
        matcher.add("Bob", [("b".into(), of(BOB))]);
        Room { engine: Fake::default(), tracks: Tracks::default(), matcher, judges_all: true, start: Instant::now() }
    }

    /// A look at faces of a colour at a place, 100 pixels wide.
    fn look(&mut self, ms: u64, faces: &[([u8; 3], i32)]) -> Vec<Sighting> {
        let rects: Vec<Rect> = faces.iter().map(|&(_, x)| Rect { x, y: 50, w: 100, h: 100 }).collect();
        self.look_at(ms, &paint(faces), &rects)
    }

    fn look_at(&mut self, ms: u64, rgb: &Rgb, rects: &[Rect]) -> Vec<Sighting> {
        let scene = Scene {
            matcher: Some(&self.matcher),
            judges_all: std::mem::take(&mut self.judges_all),
            jitters: 1,
            configured_interval: Duration::from_millis(200),
            at: self.start + Duration::from_millis(ms),
        };
        self.tracks.look(&mut self.engine, rgb, rects, &scene)
    }
}

/// People: the colour of the first pixel identifies the person, the rest is the appearance. A hand hides a part.
fn paint(faces: &[([u8; 3], i32)]) -> Rgb {
    let mut rgb = Rgb::filled(800, 200, [60; 3]);
    for &(color, x) in faces {
        let (skin, across) = match color {
            BOB => ([60, 130, 60], false),
            STRANGER => ([170, 60, 130], false),
            _ => ([140, 100, 80], true),
        };
        for (dx, dy) in (0..100).flat_map(|dy| (0..100).map(move |dx| (dx, dy))) {
            let at = rgb.offset(x as u32 + dx, 50 + dy);
            let dark = (if across { dx } else { dy }) / 25 % 2 == 0;
            let shade = if dark { skin.map(|v| v / 2) } else { skin };
            let hand = color == HIDDEN && dx > 30 && dy > 60;
            rgb.data[at..at + 3].copy_from_slice(if hand { &[150, 110, 90] } else { &shade });
        }
        let at = rgb.offset(x as u32, 50);
        rgb.data[at..at + 3].copy_from_slice(&color);
    }
    rgb
}

fn names(faces: &[Sighting]) -> Vec<(u64, Option<&str>)> {
    faces.iter().map(|face| (face.track, face.name.as_deref())).collect()
}

#[test]
fn a_face_keeps_its_number_while_it_moves_and_a_new_one_gets_the_next() {
    let mut room = Room::new();
    assert_eq!(names(&room.look(0, &[(ALICE, 0), (BOB, 300)])), [(1, Some("Alice")), (2, Some("Bob"))]);
    assert_eq!(names(&room.look(200, &[(ALICE, 30), (BOB, 340)])), [(1, Some("Alice")), (2, Some("Bob"))]);
    let third = room.look(400, &[(ALICE, 60), (STRANGER, 600)]);
    assert_eq!((third[0].track, third.last().unwrap().track), (1, 3));
}

#[test]
fn on_two_frames_with_one_time_stamp_a_face_is_one_face() {
    let mut room = Room::new();
    let seen: Vec<_> = [0, 200, 200, 200].map(|ms| room.look(ms, &[(ALICE, 0)])).iter().map(|f| f.len()).collect();
    assert_eq!((seen, room.tracks.tracks.len()), (vec![1; 4], 1));
    room.look(200, &[]);
    assert_eq!(room.tracks.tracks[0].misses, 1, "it is missed like any other");
}

#[test]
fn a_stranger_is_seen_first_and_called_unknown_only_after_some_looks() {
    let mut room = Room::new();
    let states: Vec<State> = (0..3).map(|look| room.look(look * 200, &[(STRANGER, 100)])[0].state).collect();
    assert_eq!(states, [State::Seen, State::Seen, State::Unknown]);
    let face = room.look(600, &[(STRANGER, 100)]).remove(0);
    assert!(face.evidence.reason.text.starts_with("No match. Closest: "), "{:?}", face.evidence.reason);
    assert_eq!(face.evidence.pictures.len(), 2);
}

#[test]
fn a_face_with_a_name_that_stands_still_is_compared_less_and_less_often_and_a_stranger_more_often() {
    let looks = |color: [u8; 3]| {
        let mut room = Room::new();
        (0..50).for_each(|look| drop(room.look(look * 200, &[(color, 100)])));
        room.engine.described
    };
    let (known, unknown) = (looks(ALICE), looks(STRANGER));
    assert!((6..=7).contains(&known), "{known} in 10 s");
    assert!(unknown > 2 * known && unknown < 32, "{unknown} in 10 s");
}

#[test]
fn one_look_at_a_hand_before_the_face_takes_no_name_away() {
    let mut room = Room::new();
    for look in 0..7 {
        room.look(look * 200, &[(ALICE, 100)]);
    }
    assert_eq!(names(&room.look(1400, &[(HIDDEN, 100)])), [(1, Some("Alice"))]);
    assert_eq!(names(&room.look(1600, &[(ALICE, 100)])), [(1, Some("Alice"))]);
}

#[test]
fn with_blur_a_doubtful_look_withholds_the_name() {
    let mut room = Room::new();
    room.tracks.are_private = true;
    for look in 0..7 {
        assert_eq!(names(&room.look(look * 200, &[(ALICE, 100)])), [(1, Some("Alice"))]);
    }
    let nameless = |room: &Room, ms| room.tracks.nameless(room.start + Duration::from_millis(ms)).count();
    assert_eq!(nameless(&room, 1200), 0);
    assert_eq!(names(&room.look(1400, &[(HIDDEN, 100)])), [(1, None)]);
    assert_eq!(nameless(&room, 1400), 1);
    assert_eq!(names(&room.look(1600, &[(ALICE, 100)])), [(1, Some("Alice"))]);
}

#[test]
fn with_blur_a_face_that_becomes_another_one_step_by_step_gets_no_name() {
    let mut room = Room::new();
    room.tracks.are_private = true;
    // At this point an unchanged face is described every 8 s.
    (0..50).for_each(|look| drop(room.look(look * 200, &[(ALICE, 100)])));
    let (alice, stranger) = (paint(&[(ALICE, 100)]), paint(&[(STRANGER, 100)]));
    let place = Rect { x: 100, y: 50, w: 100, h: 100 };
    let mut name_at = |step: u64| {
        let mix = |(old, new): (&u8, &u8)| ((u64::from(*old) * (30 - step) + u64::from(*new) * step) / 30) as u8;
        let data = alice.data.iter().zip(&stranger.data).map(mix).collect();
        room.look_at(10_000 + step * 200, &Rgb { data, ..alice }, &[place])[0].name.clone()
    };
    let named: Vec<bool> = (0..=30).map(&mut name_at).map(|name| name.is_some()).collect();
    assert!(named[..5].iter().all(|named| *named) && !named[25..].contains(&true), "{named:?}");
}

#[test]
fn somebody_else_at_the_same_place_does_not_inherit_the_name() {
    let mut room = Room::new();
    for look in 0..6 {
        room.look(look * 200, &[(ALICE, 100)]);
    }
    assert_eq!(names(&room.look(1200, &[(BOB, 100)])), [(2, Some("Bob"))]);
    assert_eq!(names(&room.look(1400, &[(STRANGER, 180)])), [(3, None)]);
}

#[test]
fn two_faces_never_have_the_same_name() {
    let mut room = Room::new();
    let copy = [8, 8, 200];
    for look in 0..5 {
        let faces = room.look(look * 200, &[(copy, 100), (ALICE, 400)]);
        let bearers = faces.iter().filter(|face| face.name.is_some()).count();
        assert_eq!(bearers, 1, "{:?}", names(&faces));
        let (other, bearer) = (&faces[0], &faces[1]);
        assert_eq!(bearer.name.as_deref(), Some("Alice"));
        assert!(other.evidence.reason.text.contains(&format!("track {} looks more like", bearer.track)));
    }
}

#[test]
fn a_person_who_moved_too_fast_to_be_followed_keeps_track_and_name() {
    let mut room = Room::new();
    for look in 0..4 {
        room.look(look * 200, &[(ALICE, 100)]);
    }
    let described = room.engine.described;
    for ms in [800, 1000, 1200] {
        assert_eq!(names(&room.look(ms, &[(ALICE, 300)])), [(1, Some("Alice"))], "{ms}");
    }
    assert_eq!(room.engine.described, described + 1, "one look says who it is");
    assert_eq!(names(&room.look(1400, &[(STRANGER, 100)])), [(3, None)], "another person does not go on with it");
}

#[test]
fn after_a_cut_a_person_keeps_their_track_anywhere_and_nobody_inherits_the_name_of_a_place() {
    let mut room = Room::new();
    for look in 0..4 {
        room.look(look * 200, &[(ALICE, 100)]);
    }
    room.tracks.scatter();
    assert!(room.tracks.expected(room.start + Duration::from_millis(800)).is_empty());
    assert_eq!(names(&room.look(800, &[(STRANGER, 100), (ALICE, 600)])), [(2, None), (1, Some("Alice"))]);
    // Alice is still at this place and cannot have moved that far.
    let next = room.start + Duration::from_millis(1000);
    assert!(room.tracks.expected(next).iter().any(|face| face.place == Rect { x: 600, y: 50, w: 100, h: 100 }));
}

#[test]
fn a_face_of_the_blocklist_does_not_continue_the_track_of_a_missed_person() {
    let poster = [30, 0, 200];
    let mut room = Room::new();
    room.matcher.add_not([(".not/poster.jpg".into(), of(poster))]);
    for look in 0..5 {
        room.look(look * 200, &[(ALICE, 100)]);
    }
    assert_eq!(names(&room.look(1000, &[(poster, 300)])).last(), Some(&(2, None)));
}

#[test]
fn an_unnamed_person_who_walks_briskly_stays_one_track() {
    let mut room = Room::new();
    let tracks = (0..8).map(|look| room.look(look * 200, &[(STRANGER, 75 * look as i32)])[0].track);
    assert!(tracks.collect::<Vec<_>>().iter().all(|&track| track == 1));
}

#[test]
fn a_person_who_comes_out_from_behind_another_continues_their_own_track() {
    for (comes_out, expected) in [(STRANGER, 1), (BOB, 3)] {
        let mut room = Room::new();
        (0..3).for_each(|look| drop(room.look(look * 200, &[(STRANGER, 100)])));
        (3..7).for_each(|look| drop(room.look(look * 200, &[(ALICE, 200)])));
        let faces = room.look(1400, &[(ALICE, 200), (comes_out, 350)]);
        assert_eq!((faces[0].track, faces[1].track), (2, expected), "{comes_out:?}");
    }
}

#[test]
fn a_face_that_the_detector_misses_is_shown_briefly_and_continues_its_track() {
    let mut room = Room::new();
    for look in 0..3 {
        room.look(look * 200, &[(ALICE, 100)]);
    }
    // The detector misses Alice, who is still there.
    let mut missed = |ms: u64| {
        let at = room.start + Duration::from_millis(ms);
        let (matcher, configured_interval) = (Some(&room.matcher), Duration::ZERO);
        let scene = Scene { matcher, judges_all: false, jitters: 1, configured_interval, at };
        room.tracks.look(&mut room.engine, &paint(&[(ALICE, 100)]), &[], &scene)
    };
    assert_eq!(names(&missed(600)), [(1, Some("Alice"))]);
    assert_eq!(names(&missed(1900)), []);
    assert_eq!(names(&room.look(2200, &[(ALICE, 100)])), [(1, Some("Alice"))]);
    assert_eq!(names(&room.look(2400, &[])), [], "the place is empty");
    room.look(2600, &[]);
    assert_eq!(names(&room.look(6000, &[(ALICE, 100)])), [(2, Some("Alice"))]);
}

#[test]
fn a_person_who_leaves_the_gallery_loses_the_name_at_once() {
    let mut room = Room::new();
    room.look(0, &[(ALICE, 100)]);
    room.matcher = Matcher::new(&Config::defaults(Path::new("/")).recognition, Some(Arc::default()));
    room.matcher.add("Bob", [("b".into(), of(BOB))]);
    room.judges_all = true;
    let face = room.look(200, &[(ALICE, 100)]).remove(0);
    assert_eq!((face.name, face.evidence.reason.text.as_str()), (None, "Alice is no longer in the gallery."));
}

#[test]
fn the_box_of_a_walking_face_is_extrapolated() {
    let mut room = Room::new();
    let mut faces = Vec::new();
    for look in 0..8 {
        faces = room.look(look * 200, &[(ALICE, 20 * look as i32)]);
    }
    let ahead = faces[0].rect_after(Duration::from_millis(100)).x - faces[0].rect.x;
    assert!((8..=12).contains(&ahead), "{ahead} pixels in half an interval, at 20 an interval");
    assert_eq!(faces[0].rect_after(Duration::from_secs(9)), faces[0].rect_after(Duration::from_millis(400)));
}

#[test]
fn a_face_is_followed_although_looks_take_seconds() {
    let mut room = Room::new();
    let first = room.look(0, &[(ALICE, 100)])[0].track;
    for s in [7, 14, 30] {
        let at = room.start + Duration::from_secs(s);
        assert_eq!(room.tracks.expected(at).len(), 1, "nobody has looked since");
        assert_eq!(room.look(s * 1000, &[(ALICE, 100)])[0].track, first);
    }
    room.look(37_000, &[]);
    assert_eq!(room.look(44_000, &[(ALICE, 100)])[0].track, first, "one look may miss a face");
    room.look(51_000, &[]);
    room.look(58_000, &[]);
    assert_ne!(room.look(65_000, &[(ALICE, 100)])[0].track, first);
    let last = room.look(66_000, &[(ALICE, 100)])[0].track;
    assert_ne!(room.look(100_000, &[(ALICE, 100)])[0].track, last, "nobody looked for half a minute");
}

#[test]
fn a_face_is_one_track_at_the_longest_interval_although_one_look_misses_it() {
    let mut room = Room::new();
    room.tracks.interval = Duration::from_secs(60);
    let is_expected = |room: &Room, s: u64| !room.tracks.expected(room.start + Duration::from_secs(s)).is_empty();
    for s in [0, 60, 121] {
        assert_eq!((is_expected(&room, s), room.look(s * 1000, &[(STRANGER, 100)])[0].track), (s > 0, 1), "{s}");
    }
    room.look(181_000, &[]);
    assert_eq!((is_expected(&room, 242), room.look(242_000, &[(STRANGER, 100)])[0].track), (true, 1));
    assert_eq!(room.look(302_000, &[(STRANGER, 100)])[0].state, State::Unknown);
    [362, 422].iter().for_each(|s| drop(room.look(s * 1000, &[])));
    assert_eq!((is_expected(&room, 482), room.look(482_000, &[(STRANGER, 100)])[0].track), (false, 2));
}

#[test]
fn a_person_who_leaves_unnamed_after_three_good_looks_is_reported_once() {
    let mut room = Room::new();
    for look in 0..3 {
        room.look(look * 200, &[(ALICE, 0), (STRANGER, 300)]);
    }
    assert!(room.tracks.take_unnamed().is_empty());
    for look in 0..3 {
        room.look(5000 + look * 2000, &[]);
    }
    let unnamed = room.tracks.take_unnamed();
    assert_eq!(unnamed.iter().map(|person| person.best).collect::<Vec<_>>(), [of(STRANGER)]);
    assert_eq!(unnamed[0].seen_at, room.start + Duration::from_millis(400));
    assert!((unnamed[0].variance(&crate::recognition::identify::rates::Rates::default()) - 1.0).abs() < 1e-6);
    assert!(room.tracks.take_unnamed().is_empty());
    // Two looks are too few.
    room.look(20_000, &[(STRANGER, 300)]);
    room.look(20_200, &[(STRANGER, 300)]);
    for look in 0..3 {
        room.look(25_000 + look * 2000, &[]);
    }
    assert!(room.tracks.take_unnamed().is_empty());
}

/// Finds a face in the middle of each crop.
struct Sure;

impl Engine for Sure {
    fn detect(&mut self, rgb: &Rgb, _: f64) -> Vec<Rect> {
        let (w, h) = (rgb.width / 2, rgb.height / 2);
        vec![Rect { x: (w / 2) as i32, y: (h / 2) as i32, w, h }]
    }

    fn describe(&mut self, _: &Rgb, _: &[Rect], _: u32) -> Vec<Descriptor> {
        Vec::new()
    }
}

#[test]
fn without_frames_tracks_end_after_a_minute_and_their_chips_a_minute_later() {
    let mut room = Room::new();
    let (picture, after) = (paint(&[(STRANGER, 300)]), Duration::from_secs);
    room.tracks.interval = Duration::from_millis(200);
    room.look(0, &[(STRANGER, 300)]);
    room.tracks.take_chips(&mut Sure, &picture);
    let mut chips = |s| {
        let chips = room.tracks.chips(room.start + after(s)).map(|chips| chips.count());
        (chips, room.tracks.tracks.len())
    };
    assert_eq!([0, 59, 61, 122].map(&mut chips), [(Some(1), 1), (None, 1), (None, 0), (Some(0), 0)]);
    // Where looks are rare, a track ends later.
    room.tracks.interval = Duration::from_secs(60);
    room.look(200_000, &[(STRANGER, 300)]);
    assert_eq!([379, 381].map(|s| (room.tracks.chips(room.start + after(s)), room.tracks.tracks.len()).1), [1, 0]);
}

#[test]
fn a_sighting_has_the_start_of_its_track_and_consistent_evidence() {
    let mut room = Room::new();
    let began = room.start;
    let mut said = Vec::new();
    // A stranger as near to Alice as a poor picture of Alice, then a stranger who is near to nobody.
    for (from_ms, color) in [(0, ALICE), (10_000, [150, 0, 200]), (20_000, [250, 255, 100])] {
        if from_ms > 0 {
            // The first stranger has left.
            [3000, 2000].iter().for_each(|ago| drop(room.look(from_ms - ago, &[])));
        }
        for look in 0..4 {
            let face = room.look(from_ms + look * 200, &[(color, 100)]).remove(0);
            assert_eq!(face.since, began + Duration::from_millis(from_ms), "the track began with its first look");
            let reason = &face.evidence.reason;
            assert_eq!(face.distance, reason.distance);
            let named = face.distance <= reason.limit && reason.because == Because::Named;
            assert_eq!((face.name.is_some(), face.state == State::Seen), (named, reason.because == Because::Deciding));
            if look == 3 {
                said.push((reason.because, reason.person.clone().unwrap().to_string()));
            }
        }
    }
    let (alice, bob) = ("Alice".to_owned(), "Bob".to_owned());
    assert_eq!(said, [(Because::Named, alice.clone()), (Because::Near, alice), (Because::Far, bob)]);
}

#[test]
fn a_doubted_name_is_shown_with_the_numbers_of_that_person() {
    let mut room = Room::new();
    (0..3).for_each(|look| drop(room.look(look * 200, &[(ALICE, 100)])));
    // The mean of the looks drifts away from Alice until the name is withdrawn.
    let mut seen = Vec::new();
    for look in 0..60 {
        let red = (4 * look).min(200) as u8;
        let Some(face) = room.look(1000 + look * 1000, &[([red, 0, 200], 100)]).pop() else { continue };
        let reason = face.evidence.reason.clone();
        if face.name.is_some() {
            assert_eq!(reason.person.as_deref(), Some("Alice"), "{reason:?}");
            let within = reason.distance <= reason.limit;
            assert!(within || reason.because == Because::Doubted, "a name beyond its limit: {reason:?}");
        }
        if seen.last() != Some(&reason.because) {
            seen.push(reason.because);
        }
    }
    assert_eq!(seen, [Because::Named, Because::Doubted, Because::Withdrawn, Because::Far]);
}

#[test]
fn a_name_of_another_person_than_the_nearest_has_no_score_beside_it() {
    let mut room = Room::new();
    let named = (0..3).map(|look| room.look(look * 200, &[(ALICE, 100)])).last().unwrap().remove(0);
    assert!(named.evidence.score.is_some() && named.evidence.margin.is_some());
    // The looks are now more like Bob, who is not near enough for a name.
    let track = &mut room.tracks.tracks[0];
    track.found.as_mut().unwrap().best.what = "Bob".into();
    let (matcher, configured_interval) = (Some(&room.matcher), Duration::ZERO);
    let scene = Scene { matcher, judges_all: false, jitters: 1, configured_interval, at: room.start };
    let kept = sighting(track, None, &scene, false);
    assert_eq!((kept.name.as_deref(), kept.evidence.score, kept.evidence.margin), (Some("Alice"), None, None));
}

#[test]
fn a_face_that_the_last_look_missed_has_the_flaw_turned() {
    let mut room = Room::new();
    (0..3).for_each(|look| drop(room.look(look * 200, &[(ALICE, 100)])));
    let at = room.start + Duration::from_millis(600);
    let (matcher, configured_interval) = (Some(&room.matcher), Duration::ZERO);
    let scene = Scene { matcher, judges_all: false, jitters: 1, configured_interval, at };
    let missed = room.tracks.look(&mut room.engine, &paint(&[(ALICE, 100)]), &[], &scene);
    assert_eq!(missed[0].evidence.flaw, Some(Flaw::Turned));
    assert_ne!(room.look(800, &[(ALICE, 100)])[0].evidence.flaw, Some(Flaw::Turned));
}
