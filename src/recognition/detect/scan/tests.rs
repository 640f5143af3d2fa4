//! Tests of scans of frames, with an engine that detects squares.

use super::*;
use crate::recognition::descriptor::Descriptor;

/// Detects squares of a shade of blue as faces, if they are complete and at least 80 pixels wide after scaling. A
/// square with red in it is detected only on a whole frame.
#[derive(Default)]
struct Fake {
    pixels_looked_at: f64,
}

impl Engine for Fake {
    fn detect(&mut self, picture: &Rgb, scale: f64) -> Vec<Rect> {
        self.pixels_looked_at += f64::from(picture.width * picture.height) * scale * scale;
        let whole_frame = picture.width == 640;
        let square = |blue: u8| {
            let all = (0..picture.height).flat_map(|y| (0..picture.width).map(move |x| (x, y)));
            let mut of_it = all.filter(|&(x, y)| picture.pixel(x, y)[2] == blue);
            let (x, y) = of_it.next()?;
            let (right, bottom) = of_it.next_back()?;
            let face = Rect { x: x as i32, y: y as i32, w: right + 1 - x, h: bottom + 1 - y };
            let real = whole_frame || picture.pixel(x, y)[0] == 0;
            (face.w == face.h && real && f64::from(face.w) * scale >= 80.0).then_some(face)
        };
        (1..=3).filter_map(square).collect()
    }

    fn describe(&mut self, _: &Rgb, _: &[Rect], _: u32) -> Vec<Descriptor> {
        Vec::new()
    }
}

fn frame(faces: &[Rect]) -> Rgb {
    with_red(faces, 0)
}

fn with_red(faces: &[Rect], red: u8) -> Rgb {
    let mut rgb = Rgb::filled(640, 480, [0; 3]);
    for (shade, face) in (1..).zip(faces) {
        for (x, y) in (0..face.h).flat_map(|y| (0..face.w).map(move |x| (x, y))) {
            let at = rgb.offset(face.x as u32 + x, face.y as u32 + y);
            rgb.data[at..at + 3].copy_from_slice(&[red, 0, shade]);
        }
    }
    rgb
}

const LARGE: Rect = Rect { x: 400, y: 100, w: 100, h: 100 };
const SMALL: Rect = Rect { x: 100, y: 100, w: 60, h: 60 };
const STILL: Motion = Motion::At(Vec::new());

fn recognition() -> Recognition {
    crate::config::Config::defaults("/".as_ref()).recognition
}

fn moved(place: Rect) -> Motion {
    Motion::At(vec![place])
}

/// Runs a look at a time in milliseconds after the first one; returns the faces, and the number of examined pixels.
struct Looker {
    engine: Fake,
    scanner: Scanner,
    start: Instant,
    was_seen: bool,
}

impl Looker {
    fn new() -> Looker {
        Looker { engine: Fake::default(), scanner: Scanner::default(), start: Instant::now(), was_seen: true }
    }

    fn look(&mut self, ms: u64, rgb: &Rgb, expected: &[Rect], motion: &Motion) -> (Vec<Rect>, f64) {
        self.engine.pixels_looked_at = 0.0;
        let at = self.start + Duration::from_millis(ms);
        let expected: Vec<Expected> =
            expected.iter().map(|&place| Expected { place, was_seen: self.was_seen }).collect();
        let found = self.scanner.find(&mut self.engine, rgb, &expected, motion, &recognition(), at);
        (found, self.engine.pixels_looked_at)
    }
}

#[test]
fn known_faces_cost_a_twentieth_of_a_scan_of_the_whole_frame() {
    let mut looker = Looker::new();
    let (found, sweep) = looker.look(0, &frame(&[SMALL, LARGE]), &[], &Motion::Unknown);
    assert_eq!(found, [SMALL, LARGE]);
    let moved = Rect { x: SMALL.x + 10, ..SMALL };
    let (found, price) = looker.look(200, &frame(&[moved, LARGE]), &[SMALL, LARGE], &STILL);
    assert_eq!(found, [moved, LARGE]);
    assert!(price < sweep / 12.0, "{price} of {sweep}");
}

#[test]
fn a_new_face_is_found_at_once_where_something_moved_and_otherwise_at_the_next_full_scan() {
    let mut looker = Looker::new();
    looker.look(0, &frame(&[]), &[], &Motion::Unknown);
    let body = Rect { x: 60, y: 80, w: 140, h: 300 };
    assert_eq!(looker.look(200, &frame(&[SMALL]), &[], &moved(body)).0, [SMALL]);
    assert_eq!(looker.look(400, &frame(&[SMALL]), &[], &moved(Rect { x: 400, ..body })).0, []);
    assert_eq!(looker.look(19_000, &frame(&[SMALL]), &[], &STILL).0, []);
    let due = |s: u64| looker.scanner.is_due(looker.start + Duration::from_secs(s));
    assert_eq!([due(59), due(62)], [false, true], "without looks, because nothing moves");
    assert_eq!(looker.look(21_000, &frame(&[SMALL]), &[], &STILL).0, [SMALL]);
}

#[test]
fn beside_a_moving_face_a_new_one_is_found_within_two_seconds() {
    let mut looker = Looker::new();
    looker.look(0, &frame(&[LARGE]), &[], &Motion::Unknown);
    let beside = Rect { x: LARGE.x - 110, w: 90, h: 90, ..SMALL };
    let both = frame(&[beside, LARGE]);
    let place = moved(Rect { x: 280, y: 60, w: 260, h: 300 });
    assert_eq!(looker.look(200, &both, &[LARGE], &place).0, [LARGE]);
    assert_eq!(looker.look(2300, &both, &[LARGE], &place).0, [beside, LARGE]);
}

#[test]
fn a_face_that_moved_further_than_expected_is_found_in_a_larger_area() {
    let mut looker = Looker::new();
    looker.look(0, &frame(&[SMALL]), &[], &Motion::Unknown);
    let far = Rect { x: SMALL.x + 55, ..SMALL };
    assert_eq!(looker.look(200, &frame(&[far]), &[SMALL], &STILL).0, [far]);
}

#[test]
fn the_place_of_a_face_that_was_missed_twice_is_searched_at_low_cost() {
    let mut looker = Looker::new();
    looker.look(0, &frame(&[]), &[], &Motion::Unknown);
    let (found, first) = looker.look(200, &frame(&[]), &[LARGE], &STILL);
    looker.was_seen = false;
    let (again, then) = looker.look(400, &frame(&[]), &[LARGE], &STILL);
    assert!(found.is_empty() && again.is_empty() && then < first / 3.0, "{then} of {first}");
    assert_eq!(looker.look(600, &frame(&[LARGE]), &[LARGE], &STILL).0, [LARGE], "the person turns back");
}

#[test]
fn a_false_detection_is_rejected_and_not_verified_again_before_the_next_full_scan() {
    let mut looker = Looker::new();
    let (empty, flag) = (frame(&[]), with_red(&[LARGE], 1));
    let everywhere = moved(Rect { x: 0, y: 0, w: 640, h: 480 });
    looker.look(0, &empty, &[], &Motion::Unknown);
    let alone = looker.look(100, &empty, &[], &everywhere).1;
    let (found, asked) = looker.look(200, &flag, &[], &everywhere);
    assert!(found.is_empty() && asked > alone);
    assert_eq!(looker.look(300, &flag, &[], &everywhere), (vec![], alone));
}

#[test]
fn when_everything_moves_the_whole_frame_is_scanned_at_half_scale_and_once_a_second_at_full_scale() {
    let mut looker = Looker::new();
    let everywhere = moved(Rect { x: 0, y: 0, w: 640, h: 480 });
    let (cheap, sweep) = (640.0 * 480.0, 640.0 * 480.0 * 4.0);
    let mut price = |ms| looker.look(ms, &frame(&[]), &[], &everywhere).1;
    assert_eq!([0, 200, 900, 1200].map(&mut price), [sweep, cheap, cheap, sweep]);
    // As if that scan had taken 1.2 s: there are still cheap looks in between.
    assert_eq!([2400, 2600, 3400].map(&mut price), [cheap, cheap, sweep]);
}

#[test]
fn a_change_of_scene_causes_a_full_scan_however_recent_the_last_one_is() {
    let mut looker = Looker::new();
    looker.look(0, &frame(&[]), &[], &Motion::Unknown);
    assert_eq!(looker.look(100, &frame(&[SMALL, LARGE]), &[], &Motion::Everywhere).0, [SMALL, LARGE]);
}

#[test]
fn where_a_face_is_missing_another_one_that_moves_is_found_at_once() {
    let mut looker = Looker::new();
    looker.look(0, &frame(&[LARGE]), &[], &Motion::Unknown);
    let before = Rect { x: LARGE.x - 130, w: 60, h: 60, ..LARGE };
    let place = moved(Rect { x: 240, y: 60, w: 270, h: 300 });
    assert_eq!(looker.look(200, &frame(&[before]), &[LARGE], &place).0, [], "it may be the known face");
    looker.was_seen = false;
    assert_eq!(looker.look(400, &frame(&[before]), &[LARGE], &place).0, [before]);
}

#[test]
fn a_full_scan_that_is_due_during_motion_waits_two_seconds_and_a_newcomer_is_found_meanwhile() {
    let mut looker = Looker::new();
    let (_, sweep) = looker.look(0, &frame(&[]), &[], &Motion::Unknown);
    let body = Rect { x: 60, y: 80, w: 140, h: 300 };
    let (found, price) = looker.look(25_000, &frame(&[SMALL]), &[], &moved(body));
    assert!(found == [SMALL] && price < sweep / 2.0, "{found:?}, {price} of {sweep}");
    // Another one, who does not move, is found by the scan.
    let both = frame(&[SMALL, LARGE]);
    assert_eq!(looker.look(26_900, &both, &[SMALL], &moved(body)).0, [SMALL]);
    assert_eq!(looker.look(27_000, &both, &[SMALL], &moved(body)).0, [SMALL, LARGE]);
    // It is not put off for longer because nobody looked.
    looker.look(50_000, &frame(&[]), &[], &moved(body));
    assert_eq!(looker.look(55_000, &frame(&[SMALL]), &[], &moved(Rect { x: 400, ..body })).0, [SMALL]);
}

#[test]
fn a_face_that_was_rejected_at_the_edge_of_the_picture_is_verified_at_each_look() {
    let mut looker = Looker::new();
    let everywhere = moved(Rect { x: 0, y: 0, w: 640, h: 480 });
    looker.look(0, &frame(&[]), &[], &Motion::Unknown);
    for (place, is_found) in [(Rect { x: 540, ..LARGE }, true), (LARGE, false)] {
        assert_eq!(looker.look(200, &with_red(&[place], 1), &[], &everywhere).0, []);
        assert_eq!(looker.scanner.doubted(), [place]);
        let found = looker.look(400, &frame(&[place]), &[], &everywhere).0;
        assert_eq!(found.contains(&place), is_found, "at {place:?}");
    }
}

#[test]
fn the_cnn_searches_a_still_frame_once_a_minute_and_leaves_nothing_in_doubt() {
    let mut looker = Looker::new();
    looker.look(0, &with_red(&[LARGE], 1), &[], &Motion::Unknown);
    assert_eq!(looker.scanner.doubted(), [LARGE]);
    let (cnn, at) = (Recognition { detector: Detector::Cnn, ..recognition() }, looker.start + STILL_SWEEP_EVERY * 2);
    assert!(looker.scanner.is_due(at));
    let found = looker.scanner.find(&mut looker.engine, &frame(&[SMALL]), &[], &STILL, &cnn, at);
    assert_eq!((found.as_slice(), looker.scanner.doubted()), (&[SMALL][..], &[][..]));
    let due = |seconds| looker.scanner.is_due(at + Duration::from_secs(seconds));
    assert_eq!([1, 59, 60].map(due), [false, false, true]);
}

#[test]
fn a_false_detection_beside_a_known_face_does_not_take_its_place() {
    let mut looker = Looker::new();
    looker.look(0, &frame(&[LARGE]), &[], &Motion::Unknown);
    let beside = Rect { x: LARGE.x + 70, ..LARGE };
    let mut collar = frame(&[beside]);
    // The right half is red, so the square is detected on no mirrored crop.
    for (x, y) in (0..100).flat_map(|y| (50..100).map(move |x| (x, y))) {
        let at = collar.offset(beside.x as u32 + x, beside.y as u32 + y);
        collar.data[at] = 1;
    }
    assert_eq!(looker.look(200, &collar, &[LARGE], &STILL).0, []);
    assert_eq!(looker.scanner.doubted(), [beside]);
    assert_eq!(looker.look(400, &frame(&[beside]), &[LARGE], &STILL).0, [beside], "a face there that is sharp now");
}
