//! Tests of enrolment and of the recognition stage, with a fake engine that reads the "face" from the picture's colour:
//! reloads, and pictures that are incomplete or damaged. Tests with the real engine and real pictures are in `tests/`.

use super::*;
use crate::frame::{Frame, Moment};
use crate::image::{Format, Raw, Turn};
use crate::recognition::descriptor::{DESCRIPTOR_LEN, Descriptor};
use crate::recognition::engine::Detect;
use crate::recognition::gallery::cache::Cache;
use crate::roster::Roster;
use crate::sync::Latest;
use crate::telemetry::health::Health;
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Detects one face on a picture, none on a black one, two on a white one; the descriptor is the red of the first
/// pixel.
struct Fake {
    described: usize,
}

impl Engine for Fake {
    fn detect(&mut self, picture: &Rgb, _: f64) -> Vec<Rect> {
        let face = Rect { x: 0, y: 0, w: 10, h: 10 };
        match picture.pixel(0, 0) {
            [0, 0, 0] => vec![],
            // On a crop of one of them, at the edge of the picture, mirrored or not.
            [255, 255, 255] if picture.width < 30 => vec![face, Rect { x: 5, ..face }],
            [255, 255, 255] => vec![face, Rect { x: 20, ..face }],
            _ => vec![face],
        }
    }

    fn describe(&mut self, picture: &Rgb, faces: &[Rect], _: u32) -> Vec<Descriptor> {
        self.described += faces.len();
        faces.iter().map(|_| [f32::from(picture.pixel(0, 0)[0]) / 255.0; DESCRIPTOR_LEN]).collect()
    }
}

fn png(color: [u8; 3]) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(30, 30, image::Rgb(color)).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Writes a file with yesterday's time stamp.
fn put(root: &Path, file: &str, bytes: &[u8]) {
    put_aged(root, file, bytes, Duration::from_secs(86_400));
}

fn put_aged(root: &Path, file: &str, bytes: &[u8], age: Duration) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    let file = File::options().append(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
}

fn config(root: &Path) -> Config {
    let mut config = Config::defaults(root);
    config.gallery.path = root.to_owned();
    config
}

fn enrol(config: &Config, fake: &mut Fake, memory: &mut EnrolmentMemory) -> Library {
    let now = Moment::now();
    let mut enrolment = Enrolment::begin(config, Some(Arc::default()), memory, EnrolmentCause::Reload, now).unwrap();
    while enrolment.step(fake, memory, now) {}
    enrolment.finish(1)
}

fn memory() -> EnrolmentMemory {
    EnrolmentMemory::new(Cache::in_memory())
}

fn reason(library: &Library, file: &str) -> String {
    let mut pictures = library.roster.people.iter().flat_map(|p| &p.pictures);
    pictures.find(|p| p.file == file).unwrap().skipped.clone().unwrap_or_else(|| "used".into())
}

#[test]
fn each_picture_is_used_or_skipped_with_its_own_reason() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "Alice/1.png", &png([200, 0, 0]));
    put(root.path(), "Alice/2.png", &png([0, 0, 0]));
    put(root.path(), "Alice/3.png", &png([255, 255, 255]));
    put(root.path(), "Alice/4.jpg", b"");
    put(root.path(), "Alice/5.jpg", b"Dear diary");
    put(root.path(), "Alice/6.jpg", &png([210, 0, 0]));
    let library = enrol(&config(root.path()), &mut Fake { described: 0 }, &mut memory());
    for (file, expected) in [
        ("Alice/1.png", "used"),
        ("Alice/2.png", "no face found"),
        ("Alice/3.png", "2 faces"),
        ("Alice/4.jpg", "incomplete"),
        ("Alice/5.jpg", "not a JPEG or PNG picture"),
        ("Alice/6.jpg", "used"),
    ] {
        assert!(reason(&library, file).starts_with(expected), "{file}: {}", reason(&library, file));
    }
    assert_eq!((library.matcher.people(), library.roster.used(), library.roster.skipped()), (1, 2, 4));
}

#[test]
fn the_first_usable_pictures_of_a_person_are_used_up_to_the_limit() {
    let root = tempfile::tempdir().unwrap();
    for (name, color) in [("1", 0), ("2", 60), ("3", 70), ("4", 80)] {
        put(root.path(), &format!("Bob/{name}.png"), &png([color, 0, 0]));
    }
    let mut config = config(root.path());
    config.gallery.max_images_per_person = 2;
    let library = enrol(&config, &mut Fake { described: 0 }, &mut memory());
    assert_eq!(reason(&library, "Bob/3.png"), "used");
    assert!(reason(&library, "Bob/4.png").contains("max_images_per_person"));
}

#[test]
fn a_descriptor_is_computed_once_while_the_picture_is_unchanged() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "Alice/1.png", &png([200, 0, 0]));
    let (mut fake, mut memory) = (Fake { described: 0 }, memory());
    enrol(&config(root.path()), &mut fake, &mut memory);
    memory.cache.save().unwrap();
    fs::rename(root.path().join("Alice"), root.path().join("Alicia")).unwrap();
    let library = enrol(&config(root.path()), &mut fake, &mut memory);
    assert_eq!((fake.described, library.roster.people[0].name.as_str()), (1, "Alicia"));
    put(root.path(), "Alicia/1.png", &png([100, 0, 0]));
    enrol(&config(root.path()), &mut fake, &mut memory);
    assert_eq!(fake.described, 2);
}

#[test]
fn a_recently_written_file_is_awaited_but_not_one_from_the_future() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "Alice/1.png", &png([200, 0, 0]));
    let touch = |at: SystemTime| {
        File::options().append(true).open(root.path().join("Alice/1.png")).unwrap().set_modified(at).unwrap();
        let library = enrol(&config(root.path()), &mut Fake { described: 0 }, &mut memory());
        reason(&library, "Alice/1.png")
    };
    assert!(touch(SystemTime::now()).starts_with("still being copied"));
    let coming = enrol(&config(root.path()), &mut Fake { described: 0 }, &mut memory());
    assert_eq!(coming.roster.warnings, [""; 0], "they would soon be wrong");
    let once =
        enrol(&config(root.path()), &mut Fake { described: 0 }, &mut EnrolmentMemory::for_once(Cache::in_memory()));
    assert_eq!(reason(&once, "Alice/1.png"), "used", "check enrols only once");
    assert_eq!(touch(SystemTime::now() + Duration::from_secs(5000)), "used");
}

#[test]
fn a_face_gets_the_name_of_the_closest_person_within_the_threshold_of_the_budget() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "Alice/1.png", &png([200, 0, 0]));
    let (mut fake, config) = (Fake { described: 0 }, config(root.path()));
    let library = enrol(&config, &mut fake, &mut memory());
    let mut look = |red: u8| {
        let picture = Rgb::filled(30, 30, [red, 1, 1]);
        let faces = fake.detect(&picture, 1.0);
        identify_faces(&mut fake, &library.matcher, 1, &picture, &faces).remove(0)
    };
    let near = look(192);
    assert_eq!((near.name.as_deref(), near.state), (Some("Alice"), State::Named));
    assert_eq!(near.nearest.unwrap().what.as_ref(), "Alice/1.png");
    // 20/255 * sqrt(128) is beyond 0.6.
    let far = look(180);
    assert_eq!((far.name, far.state), (None, State::Unknown));
    assert!(far.distance.is_some_and(|d| d > 0.6));
    let limit = far.evidence.reason.limit.unwrap();
    assert!(limit > 0.55 && limit <= 0.6, "{limit} for a gallery of one");
    let reason = &far.evidence.reason.text;
    assert!(
        reason.starts_with("No match. Closest: Alice 0.8")
            && reason.ends_with(&format!("{limit:.2} or less was needed (1 look).")),
        "{reason}"
    );
}

#[test]
fn the_scale_of_detection_follows_detect_width_and_upsample() {
    let live = Detect::Live { width: 640, upsample: 1 };
    assert_eq!((live.scale(640, 480), live.scale(1280, 720), live.scale(320, 240)), (2.0, 1.0, 2.0));
    let still = Detect::Still { side: 1600 };
    assert_eq!((still.scale(250, 250), still.scale(3200, 100)), (2.0, 0.5));
}

#[test]
fn without_models_the_stage_says_why_and_ends_at_a_stop() {
    let root = tempfile::tempdir().unwrap();
    let stage = Arc::new(Stage {
        config: Arc::new(Latest::with(config(root.path()))),
        frames: Arc::default(),
        sightings: Arc::default(),
        roster: Arc::<Latest<Roster>>::default(),
        chips: Arc::default(),
        desk: Arc::default(),
        health: Arc::<Health>::default(),
        stop: Arc::default(),
    });
    let raw = Raw { bytes: vec![0; 64], width: 8, height: 8, stride: 8 };
    let grey = Format::by_fourcc(b"GREY").unwrap();
    stage.frames.publish(Arc::new(Frame::new(1, Moment::now(), grey, raw, Turn::default())));
    let thread = std::thread::spawn({
        let stage = Arc::clone(&stage);
        move || run(&stage)
    });
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while stage.health.trouble().is_none() && std::time::Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(stage.health.recognition_error().unwrap().contains("shape_predictor_5_face_landmarks.dat"));
    stage.stop.set();
    thread.join().unwrap();
    assert!(stage.sightings.newest().is_none());
}

#[test]
fn a_file_from_the_year_2400_is_a_normal_picture() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "Alice/1.png", &png([200, 0, 0]));
    let file = File::options().append(true).open(root.path().join("Alice/1.png")).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(13_569_465_600)).unwrap();
    let library = enrol(&config(root.path()), &mut Fake { described: 0 }, &mut memory());
    assert_eq!(reason(&library, "Alice/1.png"), "used");
}
