//! Tests of the recognition thread, with an engine that detects every picture as a face.

mod arrivals;
mod strangers;

use super::*;
use crate::config::UnknownFaces;
use crate::detection::State;
use crate::image::{Format, Raw, Rect, Rgb, Turn};
use crate::recognition::descriptor::{DESCRIPTOR_LEN, Descriptor};
use crate::recognition::engine::{Detect, Engine};
use std::path::Path;

/// Detects every picture as a face. With 68 landmarks its descriptors are quite different.
struct Fake {
    landmarks: Landmarks,
    slow: Duration,
}

std::thread_local! {
    /// The last limit that an engine of this thread was given.
    static MOST_PX: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
    /// How many faces an engine of this thread has described.
    static DESCRIBED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    /// How often an engine of this thread was opened by [`counted`] or [`late`].
    static OPENED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

impl Engine for Fake {
    fn set_most_px(&mut self, most_px: u64) {
        MOST_PX.set(most_px);
    }

    fn detect(&mut self, picture: &Rgb, _: f64) -> Vec<Rect> {
        std::thread::sleep(self.slow);
        vec![Rect { x: 0, y: 0, w: picture.width, h: picture.height }]
    }

    fn describe(&mut self, _: &Rgb, faces: &[Rect], _: u32) -> Vec<Descriptor> {
        DESCRIBED.set(DESCRIBED.get() + faces.len());
        let value = if self.landmarks == Landmarks::Five { 0.0 } else { 1.0 };
        faces.iter().map(|_| [value; DESCRIPTOR_LEN]).collect()
    }
}

fn opened(config: &Config, slow: u64) -> Opened {
    let landmarks = config.recognition.landmarks;
    let engine = Box::new(Fake { landmarks, slow: Duration::from_millis(slow) });
    Opened { engine, tag: landmarks.as_str().to_owned(), rates: Some(Arc::default()) }
}

fn quick(config: &Config) -> anyhow::Result<Opened> {
    Ok(opened(config, 0))
}

fn counted(config: &Config) -> anyhow::Result<Opened> {
    OPENED.set(OPENED.get() + 1);
    quick(config)
}

/// Models that can be opened only at the third attempt.
fn late(config: &Config) -> anyhow::Result<Opened> {
    let opened = counted(config);
    if OPENED.get() < 3 { anyhow::bail!("no such disk") } else { opened }
}

/// The model of 68 landmarks is missing.
fn five_only(config: &Config) -> anyhow::Result<Opened> {
    if config.recognition.landmarks == Landmarks::Five { quick(config) } else { anyhow::bail!("no such model") }
}

fn put(root: &Path, file: &str, red: u8) {
    let path = root.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    image::RgbImage::from_pixel(30, 30, image::Rgb([red, 0, 0])).save(&path).unwrap();
    let yesterday = std::time::SystemTime::now() - Duration::from_secs(86_400);
    std::fs::File::options().append(true).open(path).unwrap().set_modified(yesterday).unwrap();
}

/// A stage whose gallery is `root` and that looks as often as possible.
pub(crate) fn stage(root: &Path) -> Stage {
    let mut config = Config::defaults(root);
    config.gallery.path = root.to_owned();
    config.recognition.interval_ms = 0;
    Stage {
        config: Arc::new(Latest::with(config)),
        frames: Arc::default(),
        sightings: Arc::default(),
        roster: Arc::default(),
        chips: Arc::default(),
        desk: Arc::default(),
        health: Arc::default(),
        stop: Arc::default(),
    }
}

/// The worker with dlib's models and an enrolled gallery, driven step by step.
pub(crate) struct Steps<'a>(Worker<'a>);

impl<'a> Steps<'a> {
    pub(crate) fn new(stage: &'a Stage) -> Steps<'a> {
        let mut worker = Worker::new(stage, open);
        worker.reload_if_asked(Moment::now());
        assert_eq!(stage.health.recognition_error(), None);
        take_all_in(&mut worker);
        Steps(worker)
    }

    pub(crate) fn look(&mut self, frame: &Frame) {
        self.0.look(frame);
    }

    /// The detections on a frame.
    pub(crate) fn detect(&mut self, rgb: &Rgb) -> Vec<Rect> {
        let Recognition { detect_width, upsample, .. } = self.0.config.recognition;
        let how = Detect::Live { width: detect_width, upsample };
        let Loaded { opened, .. } = self.0.engines.looking.as_mut().unwrap();
        opened.engine.detect(rgb, how.scale(rgb.width, rgb.height))
    }
}

fn reload(worker: &mut Worker, set: impl Fn(&mut Config)) {
    let mut config = (*worker.stage.config.newest().unwrap().1).clone();
    set(&mut config);
    worker.stage.config.publish(Arc::new(config));
    worker.reload_if_asked(Moment::now());
}

fn grey() -> Frame {
    let raw = Raw { bytes: vec![9; 900], width: 30, height: 30, stride: 30 };
    Frame::new(1, Moment::now(), Format::by_fourcc(b"GREY").unwrap(), raw, Turn::default())
}

/// Performs a look at a new frame; returns the name and the state.
fn look(worker: &mut Worker) -> (Option<String>, State) {
    worker.look(&grey());
    let face = worker.stage.sightings.newest().unwrap().1.faces[0].clone();
    (face.name.map(|name| name.to_string()), face.state)
}

fn take_all_in(worker: &mut Worker) {
    while worker.enrolment.is_some() {
        worker.enrol(Moment::now());
    }
}

fn alice() -> (Option<String>, State) {
    (Some("Alice".to_owned()), State::Named)
}

#[test]
fn faces_keep_their_names_while_another_engine_enrols_the_gallery() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "Alice/1.png", 200);
    let stage = stage(root.path());
    let mut worker = Worker::new(&stage, quick);
    reload(&mut worker, |_| ());
    assert_eq!(look(&mut worker), (None, State::Seen));
    take_all_in(&mut worker);
    assert_eq!(look(&mut worker), alice());
    reload(&mut worker, |config| config.recognition.landmarks = Landmarks::SixtyEight);
    assert_eq!(look(&mut worker), alice(), "a face of one engine was compared with a gallery of another one");
    take_all_in(&mut worker);
    assert_eq!(look(&mut worker), alice());
    assert_eq!((worker.generation, worker.engines.coming.is_none()), (2, true));
}

#[test]
fn an_engine_that_is_wanted_again_before_the_next_one_is_at_work_is_not_opened_twice() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "Alice/1.png", 200);
    let stage = stage(root.path());
    let mut worker = Worker::new(&stage, counted);
    reload(&mut worker, |_| ());
    take_all_in(&mut worker);
    reload(&mut worker, |config| config.recognition.landmarks = Landmarks::SixtyEight);
    assert!(worker.engines.coming.is_some() && OPENED.get() == 2);
    reload(&mut worker, |config| config.recognition.landmarks = Landmarks::Five);
    assert!(worker.engines.coming.is_none() && worker.enrolment.is_some() && OPENED.get() == 2);
    take_all_in(&mut worker);
    assert_eq!((look(&mut worker), stage.health.reloads.ended()), (alice(), 3));
    reload(&mut worker, |config| config.recognition.landmarks = Landmarks::SixtyEight);
    reload(&mut worker, |_| ());
    assert_eq!(OPENED.get(), 3, "the engine that enrols stays");
}

#[test]
fn models_that_could_not_be_opened_are_tried_again_every_minute() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "Alice/1.png", 200);
    let stage = stage(root.path());
    let mut worker = Worker::new(&stage, late);
    let start = Moment::now();
    for (seconds, opened, error) in [(0, 1, true), (59, 1, true), (60, 2, true), (119, 2, true), (121, 3, false)] {
        worker.reload_if_asked(start.after(Duration::from_secs(seconds)));
        assert_eq!((OPENED.get(), stage.health.recognition_error().is_some()), (opened, error), "{seconds} s");
    }
    take_all_in(&mut worker);
    assert_eq!(look(&mut worker), alice());
    worker.reload_if_asked(start.after(Duration::from_secs(300)));
    assert_eq!((OPENED.get(), stage.health.reloads.ended(), stage.health.reloads.error()), (3, 0, None));
}

#[test]
fn an_interval_of_a_new_config_holds_from_its_first_look() {
    let root = tempfile::tempdir().unwrap();
    let stage = stage(root.path());
    let mut worker = Worker::new(&stage, quick);
    let told = |worker: &mut Worker, interval_ms| {
        worker.next_look = Instant::now() + Duration::from_secs(60);
        reload(worker, |config| config.recognition.interval_ms = interval_ms);
        assert!(worker.next_look <= Instant::now() + Duration::from_millis(interval_ms.into()));
        take_all_in(worker);
        look(worker);
        worker.pace = LookPace { interval: worker.wanted(), slowed: None };
        stage.sightings.newest().unwrap().1.interval.as_millis()
    };
    assert_eq!([15_000, 200, 30_000].map(|interval_ms| told(&mut worker, interval_ms)), [15_000, 200, 30_000]);
    reload(&mut worker, |config| config.recognition.interval_ms = 40_000);
    worker.say_again(&grey());
    assert_eq!(stage.sightings.newest().unwrap().1.interval.as_millis(), 40_000);
}

#[test]
fn a_face_on_a_frame_without_motion_stands_still() {
    let root = tempfile::tempdir().unwrap();
    let stage = stage(root.path());
    let mut worker = Worker::new(&stage, quick);
    reload(&mut worker, |_| ());
    take_all_in(&mut worker);
    look(&mut worker);
    let mut seen = (*stage.sightings.newest().unwrap().1).clone();
    seen.faces[0].velocity = [300.0, 0.0];
    stage.sightings.publish(Arc::new(seen.clone()));
    worker.say_again(&grey());
    let again = stage.sightings.newest().unwrap().1.faces[0].clone();
    assert_eq!((again.rect, again.velocity), (seen.faces[0].rect, [0.0; 2]));
}

#[test]
fn after_recognition_was_off_a_gallery_of_another_engine_is_not_used() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "Alice/1.png", 200);
    let stage = stage(root.path());
    let mut worker = Worker::new(&stage, quick);
    reload(&mut worker, |_| ());
    take_all_in(&mut worker);
    reload(&mut worker, |config| config.recognition.enabled = false);
    reload(&mut worker, |config| config.recognition.enabled = true);
    assert_eq!(look(&mut worker), alice());
    take_all_in(&mut worker);
    reload(&mut worker, |config| config.recognition.enabled = false);
    let other = |config: &mut Config| {
        (config.recognition.enabled, config.recognition.landmarks) = (true, Landmarks::SixtyEight);
    };
    reload(&mut worker, other);
    assert_eq!(look(&mut worker), (None, State::Seen));
}

#[test]
fn a_person_who_is_forgotten_while_recognition_is_off_leaves_no_descriptor() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "gallery/Alice/1.png", 200);
    put(root.path(), "gallery/Bob/1.png", 100);
    let stage = stage(&root.path().join("gallery"));
    let mut worker = Worker::new(&stage, quick);
    worker.caches = Some(root.path().join("caches"));
    let caches = || std::fs::read_dir(root.path().join("caches")).unwrap().count();
    let alice =
        crate::recognition::gallery::cache::key_of(&std::fs::read(root.path().join("gallery/Alice/1.png")).unwrap());
    reload(&mut worker, |_| ());
    take_all_in(&mut worker);
    reload(&mut worker, |config| config.recognition.enabled = false);
    let mut roster = (*stage.roster.newest().unwrap().1).clone();
    roster.warnings = vec!["Alice and Bob are alike".to_owned()];
    stage.roster.publish(Arc::new(roster));
    assert_eq!((caches(), worker.memory.cache.get(&alice).is_some()), (1, true));
    // Before Alice is forgotten, Bob gets another name, which the roster must have: a name that it lacks counts as gone.
    std::fs::rename(root.path().join("gallery/Bob"), root.path().join("gallery/Robert")).unwrap();
    std::fs::remove_dir_all(root.path().join("gallery/Alice")).unwrap();
    stage.desk.changed([], true);
    worker.take_change(Moment::now());
    assert_eq!((caches(), worker.memory.cache.get(&alice)), (0, None));
    let roster = stage.roster.newest().unwrap().1;
    let people: Vec<_> = roster.people.iter().map(|person| person.name.as_str()).collect();
    assert_eq!((people, roster.used(), roster.warnings.len()), (vec!["Robert"], 0, 0));
    // The picture is described again.
    reload(&mut worker, |config| config.recognition.enabled = true);
    take_all_in(&mut worker);
    assert_eq!((caches(), stage.roster.newest().unwrap().1.used()), (1, 1));
}

#[test]
fn recognition_is_off_outside_its_hours_whatever_the_clock_does() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "Alice/1.png", 200);
    let stage = stage(root.path());
    let mut worker = Worker::new(&stage, quick);
    let now = Moment::now();
    // Noon and midnight by the local clock, today or tomorrow.
    let [hour, minute, _] = crate::os::localtime::time_of_day(now.wall);
    let till = |clock: i32| {
        now.after(Duration::from_secs(((clock + 24 - hour) % 24 * 3600 + 3600 - minute * 60) as u64 % 86_400))
    };
    let (day, night) = (till(11), till(23));
    let hours = crate::config::Hours::parse("07:00-22:00").unwrap();
    let mut config = (*stage.config.newest().unwrap().1).clone();
    config.recognition.hours = hours;
    stage.config.publish(Arc::new(config.clone()));
    worker.reload_if_asked(day);
    take_all_in(&mut worker);
    assert_eq!(look(&mut worker), alice());
    // The clock is set forward to the night and back to the day, then the night begins.
    for (at, is_on) in [(night, false), (day, true), (night, false), (day, true)] {
        worker.reload_if_asked(at);
        take_all_in(&mut worker);
        assert_eq!(worker.engines.looking.is_some(), is_on, "the models are closed");
        assert_eq!(config.recognition.off_until(at.wall), (!is_on).then(|| "07:00".to_owned()));
    }
    assert_eq!(look(&mut worker), alice());
    assert_eq!(stage.health.reloads.ended(), 1, "the time of day is no reload");
    config.recognition.enabled = false;
    assert_eq!((config.recognition.is_on(day.wall), config.recognition.off_until(night.wall)), (false, None));
}

#[test]
fn with_a_missing_model_the_engine_stays_and_the_gallery_is_read() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "Bob/1.png", 200);
    let stage = stage(root.path());
    let mut worker = Worker::new(&stage, five_only);
    reload(&mut worker, |_| ());
    take_all_in(&mut worker);
    std::fs::remove_dir_all(root.path().join("Bob")).unwrap();
    put(root.path(), "Alice/1.png", 200);
    reload(&mut worker, |config| config.recognition.landmarks = Landmarks::SixtyEight);
    assert_eq!(stage.health.recognition_error(), None);
    take_all_in(&mut worker);
    assert_eq!((worker.generation, look(&mut worker)), (2, alice()));
    assert_eq!(worker.config.recognition.landmarks, Landmarks::Five);
}

#[test]
fn a_cached_gallery_is_enrolled_without_a_look_between_any_two_pictures() {
    let root = tempfile::tempdir().unwrap();
    for i in 0..100 {
        put(root.path(), &format!("Person {i}/1.png"), i);
    }
    let stage = stage(root.path());
    let mut worker = Worker::new(&stage, quick);
    reload(&mut worker, |_| ());
    take_all_in(&mut worker);
    worker.begin_enrolment(EnrolmentCause::Reload, Moment::now());
    let mut rounds = 0;
    while worker.enrolment.is_some() {
        worker.enrol(Moment::now());
        rounds += 1;
    }
    assert!(rounds < 20, "{rounds} rounds for 100 pictures");
}

#[test]
fn enrolled_pictures_are_saved_before_the_enrolment_ends() {
    let root = tempfile::tempdir().unwrap();
    for i in 0..20 {
        put(root.path(), &format!("gallery/Person {i}/1.png"), i);
    }
    let stage = stage(&root.path().join("gallery"));
    let mut worker = Worker::new(&stage, |config| Ok(opened(config, 60)));
    worker.caches = Some(root.path().join("caches"));
    reload(&mut worker, |_| ());
    worker.next_save = Instant::now();
    worker.enrol(Moment::now());
    assert!(worker.enrolment.is_some());
    assert_eq!(std::fs::read_dir(root.path().join("caches")).unwrap().count(), 1);
}

#[test]
fn a_replaced_gallery_is_not_described_again_and_its_deleted_people_are_forgotten() {
    use crate::recognition::gallery::cache::key_of;
    let root = tempfile::tempdir().unwrap();
    let galleries = ["ours", "theirs", "nobody"].map(|name| root.path().join(name));
    let [ours, theirs, nobody] = &galleries;
    put(ours, "Alice/1.png", 200);
    put(ours, "Bob/1.png", 100);
    put(theirs, "Eve/1.png", 50);
    std::fs::create_dir(nobody).unwrap();
    let bob = key_of(&std::fs::read(ours.join("Bob/1.png")).unwrap());
    let stage = stage(ours);
    let mut worker = Worker::new(&stage, quick);
    worker.caches = Some(root.path().join("caches"));
    let mut described = |gallery: &Path| {
        let before = DESCRIBED.get();
        reload(&mut worker, |config| config.gallery.path = gallery.to_owned());
        take_all_in(&mut worker);
        (DESCRIBED.get() - before, worker.memory.cache.get(&bob).is_some())
    };
    assert_eq!([ours, theirs, nobody].map(|gallery| described(gallery)), [(2, true), (1, false), (0, false)]);
    assert_eq!([ours, theirs, nobody].map(|gallery| described(gallery)), [(0, true), (0, false), (0, false)]);
    // A picture that moves to another person is the same picture.
    std::fs::rename(ours.join("Alice/1.png"), ours.join("Bob/2.png")).unwrap();
    assert_eq!(described(ours), (0, true));
    std::fs::remove_file(ours.join("Bob/1.png")).unwrap();
    assert_eq!((described(ours), described(theirs), described(ours)), ((0, false), (0, false), (0, false)));
    // A new worker reads the files; no file has Bob's row.
    let mut another = Worker::new(&stage, quick);
    another.caches = Some(root.path().join("caches"));
    reload(&mut another, |config| config.gallery.path = ours.to_owned());
    assert!(another.memory.cache.get(&bob).is_none());
    // A deleted gallery leaves no cache.
    std::fs::remove_dir_all(ours).unwrap();
    assert_eq!(described(theirs), (0, false));
    assert_eq!(std::fs::read_dir(root.path().join("caches")).unwrap().count(), 1);
}

#[test]
fn every_reload_ends_and_reports_what_went_wrong() {
    let root = tempfile::tempdir().unwrap();
    let gallery = root.path().join("gallery");
    put(&gallery, "Alice/1.png", 200);
    let stage = stage(&gallery);
    let so_far = || {
        let health = &stage.health;
        (health.reloads.ended(), health.reloads.error().unwrap_or_default(), health.taking_in.load(Relaxed))
    };
    let mut worker = Worker::new(&stage, five_only);
    reload(&mut worker, |_| ());
    assert_eq!(so_far(), (0, String::new(), true));
    reload(&mut worker, |_| ());
    assert_eq!(so_far().0, 0, "not before the gallery is at work");
    take_all_in(&mut worker);
    assert_eq!(so_far(), (2, String::new(), false), "the first of the two was overtaken");
    reload(&mut worker, |config| config.recognition.landmarks = Landmarks::SixtyEight);
    take_all_in(&mut worker);
    assert_eq!(so_far(), (3, "no such model".to_owned(), false));
    std::fs::rename(&gallery, root.path().join("gone")).unwrap();
    let version = || stage.roster.newest().unwrap().0;
    let before = version();
    reload(&mut worker, |config| config.recognition.landmarks = Landmarks::Five);
    let (ended, error, taking_in) = so_far();
    assert!(ended == 4 && error.contains("cannot be read") && !taking_in, "{ended} {error}");
    assert_eq!((version(), stage.roster.newest().unwrap().1.warnings.clone()), (before + 1, vec![error]));
    reload(&mut worker, |config| config.recognition.enabled = false);
    assert_eq!(so_far(), (5, String::new(), false));
}

#[test]
fn a_gallery_that_comes_after_the_start_is_enrolled_and_until_then_nobody_is_a_stranger() {
    let root = tempfile::tempdir().unwrap();
    let gallery = root.path().join("gallery");
    let stage = stage(&gallery);
    let mut worker = Worker::new(&stage, quick);
    reload(&mut worker, |_| ());
    let roster = || stage.roster.newest().unwrap().1;
    assert!(worker.enrolment.is_none() && roster().generation == 0 && roster().warnings.len() == 1);
    assert_eq!(look(&mut worker), (None, State::Seen));
    let now = Moment::now();
    worker.enrol(now);
    assert!(worker.enrolment.is_none());
    put(&gallery, "Alice/1.png", 200);
    worker.enrol(Moment { instant: now.instant + UNREAD_EVERY, ..now });
    take_all_in(&mut worker);
    assert_eq!((roster().generation, roster().known(), roster().warnings.clone()), (1, 1, Vec::new()));
    assert_eq!((look(&mut worker), stage.health.reloads.error()), (alice(), None));
}

#[test]
fn the_models_count_as_opening_until_they_are_open_or_refused() {
    thread_local! {
        static STAGE: std::cell::OnceCell<Arc<Health>> = const { std::cell::OnceCell::new() };
    }
    fn is_opening() -> bool {
        STAGE.with(|health| !health.get().unwrap().opening.age().is_zero())
    }
    let root = tempfile::tempdir().unwrap();
    let stage = stage(root.path());
    STAGE.with(|health| health.set(Arc::clone(&stage.health)).unwrap());
    let mut worker = Worker::new(&stage, |config| {
        assert!(is_opening());
        five_only(config)
    });
    for landmarks in [Landmarks::Five, Landmarks::SixtyEight] {
        reload(&mut worker, |config| config.recognition.landmarks = landmarks);
        assert!(!is_opening());
    }
}

#[test]
fn a_reload_without_any_engine_ends_with_the_reason() {
    let root = tempfile::tempdir().unwrap();
    let stage = stage(root.path());
    let mut worker = Worker::new(&stage, |_| anyhow::bail!("no model"));
    for ended in 0..3 {
        reload(&mut worker, |_| ());
        // A second config replaced the first one before the worker read it.
        assert_eq!(
            (stage.health.reloads.ended(), stage.health.reloads.error()),
            (ended + 1, Some("no model".to_owned()))
        );
    }
}

#[test]
fn with_blur_every_changed_frame_is_looked_at_and_the_same_frame_is_not() {
    let root = tempfile::tempdir().unwrap();
    let stage = stage(root.path());
    let mut worker = Worker::new(&stage, quick);
    let start = Moment::now();
    let mut frames = 0;
    let mut looks = |worker: &mut Worker, greys: &[u8]| {
        let before = stage.health.looks.get();
        for grey in greys {
            let mut bytes = vec![100; 900];
            bytes[0] = *grey;
            let raw = Raw { bytes, width: 30, height: 30, stride: 30 };
            frames += 1;
            let at = Moment { instant: start.instant + Duration::from_millis(frames), ..start };
            worker.look(&Frame::new(frames, at, Format::by_fourcc(b"GREY").unwrap(), raw, Turn::default()));
        }
        stage.health.looks.get() - before
    };
    for mode in [(UnknownFaces::Blur, false), (UnknownFaces::Show, true), (UnknownFaces::Hide, true)] {
        reload(&mut worker, |config| (config.overlay.unknown, config.overlay.blur_for_viewers) = mode);
        take_all_in(&mut worker);
        // By then the face of the fake engine has had enough looks.
        looks(&mut worker, &[100; 10]);
        let settled =
            stage.sightings.newest().unwrap().1.examined.as_ref().is_some_and(|examined| examined.is_settled());
        assert!(settled, "{mode:?}");
        assert_eq!(looks(&mut worker, &[100; 3]), 0, "{mode:?}");
        assert_eq!(looks(&mut worker, &[101, 102]), 2, "{mode:?}");
        reload(&mut worker, |config| {
            (config.overlay.unknown, config.overlay.blur_for_viewers) = (UnknownFaces::Show, false);
        });
        take_all_in(&mut worker);
        looks(&mut worker, &[100; 10]);
        assert!(stage.sightings.newest().unwrap().1.examined.is_none());
        assert_eq!(looks(&mut worker, &[101, 102]), 0, "that is no motion");
    }
}

#[test]
fn an_engine_that_stays_gets_the_detector_limit_of_the_new_config() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "Alice/1.png", 10);
    let stage = stage(root.path());
    let mut worker = Worker::new(&stage, quick);
    for width in [640, 1920] {
        reload(&mut worker, |config| config.recognition.detect_width = width);
        let planned = plan(&worker.config, &Machine::this()).unwrap().most_px;
        assert!(MOST_PX.get() == planned || width == 640, "{width}: {} is not {planned}", MOST_PX.get());
    }
}

/// Notes who has been said to be there when the landmarks of a face are looked for, which chips alone need.
struct NotesNames {
    engine: Box<dyn Engine>,
    sightings: Arc<Latest<Sightings>>,
    noted: std::rc::Rc<std::cell::RefCell<Vec<Option<Arc<str>>>>>,
}

impl Engine for NotesNames {
    fn detect(&mut self, picture: &Rgb, scale: f64) -> Vec<Rect> {
        self.engine.detect(picture, scale)
    }

    fn describe(&mut self, picture: &Rgb, faces: &[Rect], jitters: u32) -> Vec<Descriptor> {
        self.engine.describe(picture, faces, jitters)
    }

    fn landmarks(&mut self, _: &Rgb, _: Rect) -> Vec<[f32; 2]> {
        let seen = self.sightings.newest();
        self.noted.borrow_mut().push(seen.and_then(|(_, seen)| seen.faces.first()?.name.clone()));
        Vec::new()
    }
}

#[test]
fn names_are_published_before_chips_are_taken() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "Alice/1.png", 200);
    let stage = stage(root.path());
    let mut worker = Worker::new(&stage, quick);
    reload(&mut worker, |_| ());
    take_all_in(&mut worker);
    let noted = std::rc::Rc::default();
    let Loaded { opened: Opened { engine, tag, rates }, options } = worker.engines.looking.take().unwrap();
    let (sightings, all) = (Arc::clone(&stage.sightings), std::rc::Rc::clone(&noted));
    let engine = Box::new(NotesNames { engine, sightings, noted: all });
    worker.engines.looking = Some(Loaded { opened: Opened { engine, tag, rates }, options });
    assert_eq!(look(&mut worker), alice());
    assert_eq!(*noted.borrow(), [Some("Alice".into())]);
    worker.show_chips(Instant::now());
    assert_eq!(stage.chips.newest().unwrap().1.tracks.len(), 1);
}
