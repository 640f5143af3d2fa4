//! What holds for any faces at any places and times.

use super::*;
use crate::fuzz::{Random, holds};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A face that the detector found: whose it is, what spoils its descriptor, and where it is.
#[derive(Debug, Clone, Copy)]
struct Face {
    person: u8,
    noise: u8,
    rect: Rect,
}

/// So many milliseconds after the last look, and the faces that were found.
type Look = (u64, Vec<Face>);

/// Two are in the gallery.
const PEOPLE: u8 = 5;

fn descriptor(person: u8, noise: u8) -> Descriptor {
    let mut d = center();
    // Apart by 0.85; a noise of 9 is 0.3.
    d[usize::from(person)] += 0.6;
    d[16 + usize::from(noise)] += 0.033 * f32::from(noise);
    d
}

/// Says of each place whose face is there.
struct Told(HashMap<[i64; 4], Descriptor>);

fn place(rect: Rect) -> [i64; 4] {
    [rect.x.into(), rect.y.into(), rect.w.into(), rect.h.into()]
}

impl Engine for Told {
    fn detect(&mut self, _: &Rgb, _: f64) -> Vec<Rect> {
        Vec::new()
    }

    fn describe(&mut self, _: &Rgb, faces: &[Rect], _: u32) -> Vec<Descriptor> {
        faces.iter().map(|face| self.0[&place(*face)]).collect()
    }
}

struct Hall {
    tracks: Tracks,
    matcher: Matcher,
    at: Instant,
}

impl Hall {
    fn new(are_private: bool) -> Hall {
        let mut matcher = Matcher::new(&Config::defaults(Path::new("/")).recognition, Some(Arc::default()));
        matcher.add("Alice", [("a".into(), descriptor(0, 0))]);
        matcher.add("Bob", [("b".into(), descriptor(1, 0))]);
        let tracks = Tracks { are_private, interval: Duration::from_millis(200), ..Tracks::default() };
        Hall { tracks, matcher, at: Instant::now() }
    }

    fn look(&mut self, (ms, faces): &Look) -> Vec<Sighting> {
        self.at += Duration::from_millis(*ms);
        // Each person has stripes of their own.
        let mut rgb = Rgb::filled(240, 120, [60; 3]);
        for face in faces {
            let part = face.rect.clipped(rgb.width, rgb.height);
            let mut random = Random(u64::from(face.person) + 77);
            let colors: Vec<u8> = (0..24).map(|_| (random.next() >> 32) as u8).collect();
            for y in part.y as u32..part.y as u32 + part.h {
                let line = rgb.offset(part.x as u32, y);
                let color: [u8; 3] = std::array::from_fn(|i| colors[(y as usize / 8 % 8) * 3 + i]);
                rgb.data[line..line + part.w as usize * 3].as_chunks_mut().0.fill(color);
            }
        }
        let told = faces.iter().rev().map(|face| (place(face.rect), descriptor(face.person, face.noise)));
        let rects: Vec<Rect> = faces.iter().map(|face| face.rect).collect();
        let (matcher, configured_interval) = (Some(&self.matcher), self.tracks.interval);
        let scene = Scene { matcher, judges_all: false, jitters: 1, configured_interval, at: self.at };
        self.tracks.look(&mut Told(told.collect()), &rgb, &rects, &scene)
    }
}

fn times() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 30..400_u64, 1 => Just(0_u64), 2 => 400..4000_u64, 1 => 25_000..40_000_u64]
}

/// Any faces: on each other, beyond the edges, without a pixel, of a size that no picture has.
fn any_looks() -> impl Strategy<Value = Vec<Look>> {
    let side = || prop_oneof![4 => -30..230_i32, 1 => -100_000..100_000_i32];
    let size = || prop_oneof![4 => 20..80_u32, 1 => 0..4_u32, 1 => 0..100_000_u32];
    let face = (0..PEOPLE, 0..10_u8, side(), side(), size(), size()).prop_map(|(person, noise, x, y, w, h)| Face {
        person,
        noise,
        rect: Rect { x, y, w, h },
    });
    // Some come again where they were.
    let again = prop::collection::vec((times(), 0..3_usize), 1..6);
    prop::collection::vec((prop::collection::vec(face, 0..6), again), 1..5).prop_map(|scenes| {
        let looks = |(faces, again): (Vec<Face>, Vec<(u64, usize)>)| {
            again.into_iter().map(move |(ms, without)| (ms, faces.iter().skip(without).copied().collect()))
        };
        scenes.into_iter().flat_map(looks).collect()
    })
}

#[test]
fn each_face_has_one_track_whose_number_is_never_used_again_and_each_track_ends_in_time() {
    holds(120, (any_looks(), any::<bool>()), |(looks, are_private)| {
        let mut hall = Hall::new(are_private);
        let (mut ended, mut known) = (BTreeSet::new(), BTreeMap::<u64, (Instant, u32)>::new());
        for look in &looks {
            let seen = hall.look(look);
            let at = hall.at;
            let present: Vec<&Track> = hall.tracks.tracks.iter().filter(|track| !track.is_missed()).collect();
            assert_eq!(present.len(), look.1.len(), "tracks of faces that are there");
            let mut detected: Vec<_> = present.iter().map(|track| place(track.detected)).collect();
            let mut faces: Vec<_> = look.1.iter().map(|face| place(face.rect)).collect();
            detected.sort();
            faces.sort();
            assert_eq!(detected, faces);
            // Sightings are of tracks, each once, from left to right, and each name once.
            let numbers: BTreeSet<u64> = seen.iter().map(|face| face.track).collect();
            assert!(numbers.len() == seen.len() && numbers.iter().all(|&number| hall.tracks.follow(number)));
            assert!(present.iter().all(|track| numbers.contains(&track.number)));
            assert!(seen.is_sorted_by_key(|face| face.rect.x));
            let names: Vec<_> = seen.iter().filter_map(|face| face.name.as_deref()).collect();
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
            // A number is new and larger than all before, or is followed since.
            let newest = known.keys().chain(&ended).max().copied().unwrap_or(0);
            for track in &hall.tracks.tracks {
                assert!(!ended.contains(&track.number) && (known.contains_key(&track.number) || track.number > newest));
            }
            known.retain(|&number, _| hall.tracks.follow(number) || !ended.insert(number));
            for track in &hall.tracks.tracks {
                let since = known.entry(track.number).or_insert((at, 0));
                *since = if !track.is_missed() { (at, 0) } else { (since.0, since.1 + 1) };
                let (seen_at, misses) = *since;
                let away = at - seen_at;
                assert!(away <= MAX_GAP && (misses < 2 || away <= MAX_ABSENCE), "{misses} misses in {away:?}");
            }
        }
        let unnamed = hall.tracks.take_unnamed();
        assert!(unnamed.len() <= UNNAMED && unnamed.iter().all(|person| ended.contains(&person.track)));
    });
}

/// People at places of their own, who come and go: no two of them are taken for each other.
fn walks() -> impl Strategy<Value = Vec<Look>> {
    let there = prop::collection::vec((any::<bool>(), 0..10_u8, -2..=2_i32), usize::from(PEOPLE));
    prop::collection::vec((100..900_u64, there), 2..14).prop_map(|looks| {
        let face = |(person, (there, noise, off)): (u8, (bool, u8, i32))| {
            let rect = Rect { x: 48 * i32::from(person) + off, y: 30 + off, w: 40, h: 40 };
            there.then_some(Face { person, noise, rect })
        };
        let look = |(ms, there): (u64, Vec<_>)| (ms, (0..PEOPLE).zip(there).filter_map(face).collect());
        looks.into_iter().map(look).collect()
    })
}

#[test]
fn the_order_in_which_the_detector_tells_faces_does_not_matter() {
    let named = std::cell::Cell::new(0);
    holds(60, (walks(), any::<u64>(), any::<bool>()), |(looks, seed, are_private)| {
        let (mut one, mut other, mut random) = (Hall::new(are_private), Hall::new(are_private), Random(seed | 1));
        other.at = one.at;
        let mut same = BTreeMap::new();
        for (ms, faces) in looks {
            let mut mixed = faces.clone();
            (1..mixed.len()).for_each(|at| mixed.swap(at, random.below(at + 1)));
            let (one, other) = (one.look(&(ms, faces)), other.look(&(ms, mixed)));
            let said = |faces: &[Sighting]| -> Vec<_> {
                faces.iter().map(|face| (face.rect, face.name.clone(), face.state, face.since)).collect()
            };
            assert_eq!(said(&one), said(&other));
            for (one, other) in one.iter().zip(&other) {
                assert_eq!(*same.entry(one.track).or_insert(other.track), other.track, "the same track goes on");
                named.set(named.get() + u32::from(one.name.is_some()));
            }
        }
    });
    assert!(named.get() > 100, "only {} had names", named.get());
}

#[test]
fn a_person_whose_face_is_found_at_each_look_keeps_track_and_name() {
    holds(60, walks(), |looks| {
        let mut hall = Hall::new(false);
        for (ms, faces) in looks {
            let alice = faces.iter().find(|face| face.person == 0).copied();
            let alice = alice.unwrap_or(Face { person: 0, noise: 0, rect: Rect { x: 0, y: 30, w: 40, h: 40 } });
            let others = faces.into_iter().filter(|face| face.person != 0);
            let look = (ms, std::iter::once(alice).chain(others).collect());
            assert_eq!(names(&hall.look(&look))[0], (1, Some("Alice")));
        }
    });
}
