mod kinds;
mod side_by_side;

use super::*;
use crate::config::UnknownFaces;
use crate::detection::view::View;
use crate::detection::{Examined, Sighting, State};
use crate::image::jpeg::{Codec, Compressor};
use crate::image::{FORMATS, Format, Raw, Rect, Rgb, Turn};
use crate::stream::renditions::Renditions;
use std::ops::Deref;
use std::path::Path;
use std::thread;

const SIZE: (u32, u32) = (320, 240);
const GREY: [u8; 3] = [120; 3];

/// Renditions with their subscriptions.
struct Rig {
    renditions: Renditions,
}

impl Deref for Rig {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.renditions.usual().shared.stage
    }
}

impl Rig {
    /// Encodes the next picture of each rendition with subscriptions.
    fn round(&self) {
        for (rendition, _) in self.renditions.wanted() {
            let seen = rendition.newest().map_or(0, |(version, _)| version);
            rendition.next(seen, Duration::from_millis(50));
        }
    }
}

fn rig(change: impl FnOnce(&mut Config)) -> Rig {
    let mut config = Config::defaults(Path::new("/"));
    change(&mut config);
    let stage = Stage {
        config: Arc::new(Latest::with(config)),
        frames: Arc::default(),
        sightings: Arc::default(),
        health: Arc::default(),
        stop: Arc::default(),
    };
    stage.health.camera_is_online("test", "MJPG", SIZE.0, SIZE.1);
    Rig { renditions: Renditions::new(stage) }
}

/// A rig with a permanent subscription to the default rendition.
fn watched(change: impl FnOnce(&mut Config)) -> Rig {
    let rig = rig(change);
    std::mem::forget(rig.renditions.subscribe(RenditionSpec::USUAL));
    rig
}

fn jpeg_of(rgb: &Rgb) -> Vec<u8> {
    let mut jpeg = Vec::new();
    Compressor::new(Codec::default(), 90).compress(rgb, &mut jpeg).unwrap();
    jpeg
}

fn frame(seq: u64, rgb: &Rgb, turn: Turn) -> Frame {
    let raw = Raw { bytes: jpeg_of(rgb), width: rgb.width, height: rgb.height, stride: 0 };
    Frame::new(seq, Moment::now(), Format::mjpg(), raw, turn)
}

fn grey_frame(seq: u64) -> Arc<Frame> {
    Arc::new(frame(seq, &Rgb::filled(SIZE.0, SIZE.1, GREY), Turn::default()))
}

/// A picture in which neighbouring pixels differ, so that a mosaic is visible.
fn checkers() -> Rgb {
    let data =
        (0..SIZE.0 * SIZE.1).flat_map(|i| [if (i % SIZE.0 / 8 + i / SIZE.0 / 8) & 1 == 0 { 20 } else { 230 }; 3]);
    Rgb { width: SIZE.0, height: SIZE.1, data: data.collect() }
}

/// How far ahead of the clock the looks of these tests are, so that they are not stale however slow the machine is.
const AHEAD: Duration = Duration::from_secs(60);

/// A face that a look of this age found; of age zero, a look that does not become stale during the test.
fn seen(track: u64, name: Option<&str>, age: Duration) -> Arc<Sightings> {
    let face = Sighting {
        track,
        since: Instant::now(),
        name: name.map(Arc::from),
        distance: Some(0.4),
        runner_up: None,
        nearest: None,
        rect: Rect { x: 100, y: 80, w: 80, h: 80 },
        velocity: [0.0; 2],
        state: if name.is_some() { State::Named } else { State::Unknown },
        evidence: Default::default(),
        view: None,
        stranger: None,
    };
    let captured_at = if age.is_zero() { Moment::now().after(AHEAD) } else { Moment::ago(age) };
    let took = Duration::from_millis(50);
    Arc::new(Sightings {
        frame: 1,
        captured_at,
        took,
        interval: took,
        width: SIZE.0,
        height: SIZE.1,
        faces: vec![face],
        blurred_areas: Vec::new(),
        examined: None,
        mask: Default::default(),
    })
}

fn nobody() -> Arc<Sightings> {
    Arc::new(Sightings { faces: Vec::new(), ..(*seen(0, None, Duration::ZERO)).clone() })
}

/// `sightings` as if the look had examined the whole of a frame like `rgb`.
fn examined(sightings: &Sightings, rgb: &Rgb) -> Sightings {
    let rgb = crate::image::jpeg::decode(&jpeg_of(rgb)).unwrap();
    let first = Examined::new(&rgb, Vec::new(), None);
    Sightings { examined: Some(Arc::new(Examined::new(&rgb, Vec::new(), Some(&first)))), ..sightings.clone() }
}

/// The newest picture of the default rendition.
fn shown(stage: &Rig) -> (u64, Arc<Jpeg>, Rgb) {
    let (version, jpeg) = stage.renditions.usual().newest().expect("a picture");
    let rgb = crate::image::jpeg::decode(jpeg.picture()).expect("a JPEG");
    (version, jpeg, rgb)
}

fn is_green([r, g, b]: [u8; 3]) -> bool {
    g > 150 && r < 110 && b < 110
}

#[test]
fn a_camera_jpeg_without_an_overlay_is_sent_byte_for_byte() {
    for format in FORMATS.iter().filter(|format| format.jpeg) {
        let stage = watched(|_| ());
        let sent = jpeg_of(&Rgb::filled(SIZE.0, SIZE.1, GREY));
        let raw = Raw { bytes: sent.clone(), width: SIZE.0, height: SIZE.1, stride: 0 };
        let frame = Arc::new(Frame::new(1, Moment::now(), format, raw, Turn::default()));
        stage.frames.publish(Arc::clone(&frame));
        stage.sightings.publish(nobody());
        stage.round();
        let (_, jpeg, _) = shown(&stage);
        assert_eq!(**jpeg.picture(), sent);
        assert!(Arc::ptr_eq(jpeg.picture(), &frame.bytes), "nor copied");
        assert!(jpeg.live);
        assert_eq!((stage.health.passed_through.get(), stage.health.encoded.get()), (1, 0), "{}", format.name());
    }
}

#[test]
fn the_box_is_at_the_face_and_the_frame_is_unchanged() {
    let stage = watched(|_| ());
    let frame = grey_frame(1);
    stage.frames.publish(Arc::clone(&frame));
    stage.sightings.publish(seen(1, Some("Alice"), Duration::ZERO));
    stage.round();
    let (_, _, rgb) = shown(&stage);
    for (x, y) in [(100, 120), (179, 120), (140, 159), (102, 66)] {
        assert!(is_green(rgb.pixel(x, y)), "at {x},{y}: {:?}", rgb.pixel(x, y));
    }
    assert!(!is_green(rgb.pixel(140, 120)) && !is_green(rgb.pixel(60, 120)));
    assert!(frame.rgb().unwrap().pixel(100, 120)[1].abs_diff(GREY[1]) < 6, "others share it");
    assert!(stage.health.encode_took.ms().is_some());
}

#[test]
fn a_smaller_stream_has_a_smaller_box_and_is_never_larger_than_the_frame() {
    let stage = watched(|config| config.stream.width = 160);
    stage.frames.publish(grey_frame(1));
    stage.sightings.publish(seen(1, Some("Alice"), Duration::ZERO));
    stage.round();
    let (_, _, rgb) = shown(&stage);
    assert_eq!((rgb.width, rgb.height), (160, 120));
    assert!(is_green(rgb.pixel(51, 60)) && is_green(rgb.pixel(88, 60)) && !is_green(rgb.pixel(70, 60)));
    let mut config = (*stage.config.newest().unwrap().1).clone();
    config.stream.width = 5000;
    stage.config.publish(Arc::new(config));
    stage.frames.publish(grey_frame(2));
    stage.round();
    assert_eq!(shown(&stage).2.width, 320);
}

#[test]
fn a_turned_frame_is_never_passed_through() {
    let stage = watched(|_| ());
    let turn = Turn { degrees: 90, mirror: false };
    stage.frames.publish(Arc::new(frame(1, &Rgb::filled(320, 240, GREY), turn)));
    stage.round();
    let (_, _, rgb) = shown(&stage);
    assert_eq!((rgb.width, rgb.height), (240, 320));
    assert_eq!(stage.health.passed_through.get(), 0);
}

#[test]
fn stale_boxes_disappear_and_the_same_frame_is_not_encoded_twice() {
    let stage = watched(|_| ());
    stage.frames.publish(grey_frame(1));
    stage.sightings.publish(seen(1, Some("Alice"), Duration::from_millis(1600)));
    stage.round();
    assert_eq!(stage.health.passed_through.get(), 1, "a stale box is not drawn");
    stage.round();
    stage.sightings.publish(nobody());
    stage.round();
    assert_eq!(shown(&stage).0, 1, "nothing new is encoded");
    // A name appears although a slow camera has delivered no new frame.
    stage.sightings.publish(seen(1, Some("Alice"), Duration::ZERO));
    stage.round();
    stage.round();
    assert_eq!((shown(&stage).0, stage.health.encoded.get()), (2, 1));
    assert_eq!(
        stage.health.ages.encoded.since_start().count,
        1,
        "an old frame with a new overlay does not count as late"
    );
}

#[test]
fn sightings_of_a_picture_of_another_size_are_not_drawn() {
    let stage = watched(|_| ());
    stage.frames.publish(Arc::new(frame(1, &Rgb::filled(200, 200, GREY), Turn::default())));
    stage.sightings.publish(seen(1, Some("Alice"), Duration::ZERO));
    stage.round();
    let (_, _, rgb) = shown(&stage);
    assert!(rgb.data.iter().all(|value| value.abs_diff(120) < 6));
}

#[test]
fn after_a_change_of_scene_names_are_left_out_and_blurred_faces_stay_blurred() {
    let stage = watched(|_| ());
    let show = |seq: u64, rgb: &Rgb| {
        stage.frames.publish(Arc::new(frame(seq, rgb, Turn::default())));
        stage.round();
        shown(&stage).2.data.as_chunks::<3>().0.iter().any(|pixel| is_green(*pixel))
    };
    let mut sightings = (*seen(1, Some("Alice"), Duration::ZERO)).clone();
    sightings.faces[0].view = Some(Arc::new(View::of(&checkers(), sightings.faces[0].rect)));
    stage.sightings.publish(Arc::new(sightings.clone()));
    assert!(show(1, &checkers()));
    assert!(!show(2, &Rgb::filled(SIZE.0, SIZE.1, GREY)) && show(3, &checkers()));

    let stage = rig(|config| config.overlay.unknown = UnknownFaces::Blur);
    let _subscription = stage.renditions.subscribe(RenditionSpec::USUAL).unwrap();
    sightings.faces[0].name = None;
    sightings.faces[0].view = Some(Arc::new(View::of(&Rgb::filled(SIZE.0, SIZE.1, GREY), sightings.faces[0].rect)));
    stage.sightings.publish(Arc::new(examined(&sightings, &checkers())));
    stage.frames.publish(Arc::new(frame(1, &checkers(), Turn::default())));
    stage.round();
    let line: Vec<u8> = (110..170).map(|x| shown(&stage).2.pixel(x, 120)[0]).collect();
    assert!(line.iter().max().unwrap() - line.iter().min().unwrap() < 100);
}

#[test]
fn with_blur_and_no_recent_look_the_whole_picture_is_blurred() {
    let stage = watched(|config| config.overlay.unknown = UnknownFaces::Blur);
    // Neighbouring black and white pixels anywhere would make a person recognisable.
    let sharp = |rgb: &Rgb| rgb.data.windows(6).any(|pair| pair[0].abs_diff(pair[3]) > 100);
    let shows_sharply = |seq: u64, sightings: Option<Arc<Sightings>>| {
        if let Some(sightings) = sightings {
            stage.sightings.publish(sightings);
        }
        stage.frames.publish(Arc::new(frame(seq, &checkers(), Turn::default())));
        stage.round();
        sharp(&shown(&stage).2)
    };
    assert!(!shows_sharply(1, None), "before the first look");
    assert!(!shows_sharply(2, Some(nobody())), "a look that has not examined all of it, as before a reload");
    let nobody = examined(&nobody(), &checkers());
    assert!(shows_sharply(2, Some(Arc::new(nobody.clone()))), "no one is there");
    let of_another_size = Sightings { width: 64, ..nobody.clone() };
    assert!(!shows_sharply(3, Some(Arc::new(of_another_size))), "another camera");
    let long_ago = Moment::ago(Duration::from_secs(9));
    let old = Sightings { captured_at: long_ago, ..nobody };
    assert!(!shows_sharply(4, Some(Arc::new(old))), "recognition has stopped");
}

#[test]
fn when_no_frame_can_be_decoded_viewers_see_a_notice() {
    let stage = watched(|config| config.camera.mirror = true);
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut seq = 0;
    while stage.renditions.usual().newest().is_none() {
        assert!(Instant::now() < deadline, "nothing is shown");
        seq += 1;
        let raw = Raw { bytes: b"\xff\xd8\xff\xd9".to_vec(), width: SIZE.0, height: SIZE.1, stride: 0 };
        let turn = Turn { degrees: 0, mirror: true };
        stage.frames.publish(Arc::new(Frame::new(seq, Moment::now(), Format::mjpg(), raw, turn)));
        stage.round();
        thread::sleep(Duration::from_millis(30));
    }
    assert!(!shown(&stage).1.live);
}

#[test]
fn a_frame_that_cannot_be_decoded_after_an_outage_gives_no_notice_of_the_time_before_it() {
    let stage = watched(|config| config.camera.mirror = true);
    let broken = |seq, at| {
        let raw = Raw { bytes: b"\xff\xd8\xff\xd9".to_vec(), width: SIZE.0, height: SIZE.1, stride: 0 };
        stage.frames.publish(Arc::new(Frame::new(seq, at, Format::mjpg(), raw, Turn { degrees: 0, mirror: true })));
    };
    broken(1, Moment::now());
    stage.round();
    assert!(stage.renditions.usual().newest().is_none());
    stage.health.camera_is_away("test", "it was unplugged");
    broken(2, Moment::ago(2 * AWAY_AFTER));
    stage.round();
    assert_eq!(shown(&stage).0, 1, "the notice of the outage");
    // A notice is made at most this often.
    thread::sleep(AWAY_AFTER.max(AWAY_EVERY) + Duration::from_millis(50));
    stage.health.camera_is_online("test", "MJPG", SIZE.0, SIZE.1);
    broken(3, Moment::now());
    stage.round();
    assert_eq!((shown(&stage).0, stage.health.corrupt.get()), (1, 2));
}

#[test]
fn with_blur_nothing_is_passed_through_and_a_missed_face_stays_blurred() {
    let stage = watched(|config| config.overlay.unknown = UnknownFaces::Blur);
    let contrast = |rgb: &Rgb| {
        let line: Vec<u8> = (110..170).map(|x| rgb.pixel(x, 120)[0]).collect();
        line.iter().max().unwrap() - line.iter().min().unwrap()
    };
    let look = |sightings: Arc<Sightings>| {
        let mut sightings = examined(&sightings, &checkers());
        if let Some((_, before)) = stage.sightings.newest() {
            sightings.keep_blurred_areas_of(&before);
        }
        stage.sightings.publish(Arc::new(sightings));
    };
    let show = |seq, sightings| {
        stage.frames.publish(Arc::new(frame(seq, &checkers(), Turn::default())));
        look(sightings);
        stage.round();
        contrast(&shown(&stage).2)
    };
    assert!(show(1, nobody()) > 150);
    assert!(show(2, seen(1, None, Duration::ZERO)) < 100);
    assert!(show(3, nobody()) < 100, "one look missed it");
    assert!(show(4, seen(2, Some("Alice"), Duration::ZERO)) > 150, "it was Alice");
    // A look that is stale in some seconds, and the next one before that time.
    let of = |captured_at, sightings: Arc<Sightings>| Arc::new(Sightings { captured_at, ..(*sightings).clone() });
    let found = of(Moment::now().after(Duration::from_millis(2500)), seen(3, None, Duration::ZERO));
    let stale_at = found.stale_at().instant;
    assert!(show(5, found) < 100);
    assert!(show(6, of(Moment::now(), nobody())) < 100);
    thread::sleep(stale_at.saturating_duration_since(Instant::now()));
    assert!(show(7, nobody()) > 150, "the look that found it is stale");
    // A look for which no picture was encoded counts too.
    look(seen(4, None, Duration::ZERO));
    assert!(show(8, nobody()) < 100);
    assert_eq!(stage.health.passed_through.get(), 0);
}

#[test]
fn with_blur_changed_areas_are_blurred_at_once_except_a_face_with_a_name() {
    let room = Rgb::filled(SIZE.0, SIZE.1, GREY);
    let contrast = |rgb: &Rgb, columns: std::ops::Range<u32>, y: u32| {
        let line: Vec<u8> = columns.map(|x| rgb.pixel(x * rgb.width / SIZE.0, y * rgb.height / SIZE.1)[0]).collect();
        line.iter().max().unwrap() - line.iter().min().unwrap()
    };
    // Since the look, a person has appeared in the left half of the frame.
    let mut come = room.clone();
    let checkers = checkers();
    come.put(&checkers.cropped(Rect { x: 0, y: 0, w: 160, h: SIZE.1 }), 0, 0);
    // A known person, whose face the look has found, moves a little.
    let mut alice = (*seen(1, Some("Alice"), Duration::ZERO)).clone();
    alice.faces[0].rect = Rect { x: 30, y: 80, w: 80, h: 80 };
    let usual = RenditionSpec::USUAL;
    let specs = [usual, RenditionSpec { overlay: false, ..usual }, RenditionSpec { width: 160, ..usual }];
    let for_all = specs.map(|spec| (spec, UnknownFaces::Blur));
    let for_viewers = specs.map(|spec| (RenditionSpec { blur: true, ..spec }, UnknownFaces::Show));
    for (spec, unknown) in for_all.into_iter().chain(for_viewers) {
        let stage = rig(|config| (config.overlay.unknown, config.overlay.blur_for_viewers) = (unknown, spec.blur));
        let _subscription = stage.renditions.subscribe(spec).unwrap();
        let show = |seq: u64, rgb: &Rgb, sightings: Sightings| {
            stage.frames.publish(Arc::new(frame(seq, rgb, Turn::default())));
            stage.sightings.publish(Arc::new(sightings));
            stage.round();
            crate::image::jpeg::decode(stage.renditions.wanted()[0].0.newest().unwrap().1.picture()).unwrap()
        };
        let shown = show(1, &come, examined(&nobody(), &room));
        assert!(contrast(&shown, 4..156, 120) < 60 && contrast(&shown, 4..156, 20) < 60, "{spec:?}");
        let shown = show(2, &come, examined(&nobody(), &come));
        assert!(contrast(&shown, 4..156, 120) > 150, "{spec:?}: examined");
        alice.faces[0].view = Some(Arc::new(View::of(&come, alice.faces[0].rect)));
        let shown = show(3, &come, examined(&alice, &room));
        assert!(contrast(&shown, 40..100, 120) > 150 && contrast(&shown, 4..156, 20) < 60, "{spec:?}: Alice");
        alice.faces[0].view = Some(Arc::new(View::of(&room, alice.faces[0].rect)));
        let shown = show(4, &come, examined(&alice, &room));
        assert!(contrast(&shown, 40..100, 120) < 60, "{spec:?}: another person in the same place");
    }
}

#[test]
fn a_frame_that_cannot_be_decoded_is_counted_and_the_old_picture_stays() {
    let stage = watched(|config| config.camera.mirror = true);
    let mirror = Turn { degrees: 0, mirror: true };
    let _small = stage.renditions.subscribe(RenditionSpec { width: 16, ..RenditionSpec::USUAL });
    stage.frames.publish(Arc::new(frame(1, &Rgb::filled(32, 32, GREY), mirror)));
    stage.round();
    let begun = Instant::now();
    for seq in 2..4 {
        let broken = Raw { bytes: b"\xff\xd8 not a JPEG".to_vec(), width: 32, height: 32, stride: 0 };
        stage.frames.publish(Arc::new(Frame::new(seq, Moment::now(), Format::mjpg(), broken, mirror)));
        stage.round();
    }
    // The frame is not decoded again, which would keep a processor busy.
    stage.round();
    // Once there has been none but such frames for a second, a notice comes.
    let stays = shown(&stage).0 == 1 || begun.elapsed() > AWAY_AFTER;
    assert!(stays && stage.health.corrupt.get() == 2, "{} {}", shown(&stage).0, stage.health.corrupt.get());
    assert_eq!(stage.health.faults.all().len(), 1);
}

#[test]
fn an_unavailable_camera_gives_a_notice_each_second_and_its_old_frame_is_not_shown() {
    let stage = watched(|_| ());
    let old = Raw { bytes: jpeg_of(&Rgb::filled(640, 480, GREY)), width: 640, height: 480, stride: 0 };
    let old = Frame::new(1, Moment::ago(Duration::from_secs(60)), Format::mjpg(), old, Turn::default());
    stage.frames.publish(Arc::new(old));
    stage.health.camera_is_away("/dev/video0", "/dev/video0: No such device");
    let begun = Instant::now();
    let notices = || stage.renditions.usual().newest().map_or(0, |(version, _)| version);
    while notices() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(60), "no second notice");
        stage.round();
    }
    let (version, jpeg, rgb) = shown(&stage);
    assert_eq!((version, stage.health.encoded.get()), (2, 2));
    assert!(jpeg.made_at - begun >= Duration::from_secs(1), "it comes a second later");
    assert!(!jpeg.live);
    assert_eq!((rgb.width, rgb.height), (640, 480));
    assert!(rgb.data.iter().any(|value| *value > 200) && rgb.pixel(5, 5)[0] < 40, "light text on a dark ground");
    // When the camera delivers frames again, its picture is shown at once.
    stage.health.camera_is_online("/dev/video0", "MJPG", 320, 240);
    stage.frames.publish(grey_frame(2));
    stage.round();
    assert!(shown(&stage).1.live);
}

#[test]
fn nothing_is_kept_without_viewers_and_the_first_viewer_gets_the_newest_frame_at_once() {
    let stage = rig(|config| config.stream.width = 160);
    let frame = grey_frame(1);
    stage.frames.publish(Arc::clone(&frame));
    let subscription = stage.renditions.subscribe(RenditionSpec::USUAL).unwrap();
    assert!(subscription.next(0, Duration::from_secs(60)).is_some());
    assert!(stage.health.encoding.age().is_zero(), "at rest");
    stage.frames.publish(grey_frame(2));
    assert_eq!(
        (Arc::strong_count(&frame), Arc::strong_count(&frame.bytes)),
        (1, 2),
        "its bytes are compared with the next one"
    );
    drop(subscription);
    assert_eq!((Arc::strong_count(&frame.bytes), stage.health.encoded.get()), (1, 1));
}

#[test]
fn max_fps_spaces_pictures_evenly_and_starts_again_after_a_pause() {
    let start = Instant::now();
    let (at, interval) = (|ms| start + Duration::from_millis(ms), Duration::from_millis(100));
    assert_eq!(next_due(at(0), at(3), interval), at(100));
    assert_eq!(next_due(at(100), at(107), interval), at(200));
    assert_eq!(next_due(at(200), at(950), interval), at(1050));

    let stage = watched(|config| config.stream.max_fps = 20);
    let (begun, mut seq, mut pictures) = (Instant::now(), 0, 0);
    while pictures < 10 {
        assert!(begun.elapsed() < Duration::from_secs(60), "{pictures} pictures");
        seq += 1;
        stage.frames.publish(grey_frame(seq));
        stage.round();
        pictures = shown(&stage).0;
    }
    // The first one comes at once, and a machine without other work needs 450 ms for the others.
    assert!(begun.elapsed() >= Duration::from_millis(440), "{:?}", begun.elapsed());
}
