//! Tests of `overlay.unknown = blur` and `overlay.blur_for_viewers` with dlib's models and photos of people. They run
//! the detector on each picture that a viewer got.

use crate::config::{Overlay, UnknownFaces};
use crate::frame::{Frame, Moment};
use crate::image::jpeg::{Codec, Compressor};
use crate::image::{Format, Raw, Rect, Rgb, Turn};
use crate::recognition::{Stage, Steps, stage};
use crate::stream::encoder;
use crate::stream::renditions::{RenditionSpec, Renditions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const SIZE: (u32, u32) = (320, 240);
/// The change per frame of a fade of 30 s at 10 frames per second.
const FADE: f64 = 1.0 / 300.0;

/// A camera, recognition and a viewer, step by step.
struct Film<'a> {
    worker: Steps<'a>,
    stage: &'a Stage,
    renditions: Renditions,
    /// The frames are 100 ms apart, and ahead of the clock: no look is stale, however slow the machine is.
    start: Moment,
    frames: u64,
    shown: u64,
    /// The frame that recognition is processing.
    in_work: Option<Arc<Frame>>,
    /// The frames of the camera and the pictures of the viewer.
    pictures: Vec<(Rgb, Rgb)>,
}

fn repo(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn photo(name: &str) -> Rgb {
    let path = repo("target/pictures").join(name);
    let photo = image::open(&path).unwrap_or_else(|error| panic!("{}: {error}; run make setup", path.display()));
    let photo = photo.to_rgb8();
    Rgb { width: photo.width(), height: photo.height(), data: photo.into_raw() }
}

/// A photo with much detail in which the detector finds no face, because it is upside down.
fn room() -> Rgb {
    let photo = Turn { degrees: 180, mirror: false }.apply(photo("astronaut.png"));
    photo.cropped(Rect { x: 0, y: 0, w: 512, h: 384 }).shrunk(SIZE.0)
}

/// A person with a face of about 55 pixels.
fn stranger() -> Rgb {
    photo("obama.jpg").cropped(Rect { x: 230, y: 120, w: 460, h: 560 }).shrunk(110)
}

/// The picture blended with a `share` of `over` at `x`, `y`, which may be fractions of pixels.
fn with(mut rgb: Rgb, over: &Rgb, [x, y]: [f64; 2], share: f64) -> Rgb {
    for (left, top) in (0..rgb.width).flat_map(|x| (0..rgb.height).map(move |y| (x, y))) {
        let (from_x, from_y) = (f64::from(left) - x, f64::from(top) - y);
        if !(0.0..f64::from(over.width - 1)).contains(&from_x) || !(0.0..f64::from(over.height - 1)).contains(&from_y) {
            continue;
        }
        let (px, py, dx, dy) = (from_x as u32, from_y as u32, from_x.fract(), from_y.fract());
        let at = rgb.offset(left, top);
        let corners = [over.pixel(px, py), over.pixel(px + 1, py), over.pixel(px, py + 1), over.pixel(px + 1, py + 1)];
        for i in 0..3 {
            let [a, b, c, d] = corners.map(|corner| f64::from(corner[i]));
            let value = (a * (1.0 - dx) + b * dx) * (1.0 - dy) + (c * (1.0 - dx) + d * dx) * dy;
            let old = f64::from(rgb.data[at + i]);
            rgb.data[at + i] = (old + (value - old) * share).round() as u8;
        }
    }
    rgb
}

fn private_stage(root: &Path) -> Stage {
    stage_with(root, |overlay| overlay.unknown = UnknownFaces::Blur)
}

fn stage_with(root: &Path, change: impl FnOnce(&mut Overlay)) -> Stage {
    let stage = stage(root);
    let mut config = (*stage.config.newest().unwrap().1).clone();
    config.models.path = repo("models");
    config.recognition.detect_width = SIZE.0;
    change(&mut config.overlay);
    stage.config.publish(Arc::new(config));
    stage.health.camera_is_online("test", "MJPG", SIZE.0, SIZE.1);
    stage
}

impl<'a> Film<'a> {
    fn new(stage: &'a Stage, spec: RenditionSpec) -> Film<'a> {
        let worker = Steps::new(stage);
        let renditions = Renditions::new(encoder::Stage {
            config: Arc::clone(&stage.config),
            frames: Arc::clone(&stage.frames),
            sightings: Arc::clone(&stage.sightings),
            health: Arc::clone(&stage.health),
            stop: Arc::clone(&stage.stop),
        });
        // A permanent subscription.
        std::mem::forget(renditions.subscribe(spec));
        let start = Moment::now().after(Duration::from_secs(600));
        Film { worker, stage, renditions, start, frames: 0, shown: 0, in_work: None, pictures: Vec::new() }
    }

    /// The camera delivers a frame and the viewer gets a picture of it. Recognition processes every other frame, and
    /// that look ends when the viewer has got the picture of the next frame too.
    fn show(&mut self, rgb: Rgb) {
        let mut bytes = Vec::new();
        Compressor::new(Codec::default(), 92).compress(&rgb, &mut bytes).unwrap();
        let raw = Raw { bytes, width: rgb.width, height: rgb.height, stride: 0 };
        self.frames += 1;
        let captured_at = self.start.after(Duration::from_millis(100) * self.frames as u32);
        let frame = Arc::new(Frame::new(self.frames, captured_at, Format::mjpg(), raw, Turn::default()));
        self.stage.frames.publish(Arc::clone(&frame));
        let (rendition, _) = self.renditions.wanted().pop().unwrap();
        let (shown, jpeg) = rendition.next(self.shown, Duration::from_secs(30)).expect("a picture");
        self.shown = shown;
        self.pictures.push((rgb, crate::image::jpeg::decode(jpeg.picture()).unwrap()));
        match self.in_work.take() {
            None => self.in_work = Some(frame),
            Some(frame) => self.worker.look(&frame),
        }
    }

    /// Shows `rgb` until the whole picture is clear.
    fn settle(&mut self, rgb: &Rgb) {
        (0..10).for_each(|_| self.show(rgb.clone()));
        // A box and a label may be drawn.
        for _ in 0..40 {
            if self.clear_share(self.pictures.len() - 1) > 0.9 {
                return;
            }
            self.show(rgb.clone());
        }
        panic!("an idle room is blurred");
    }

    /// The numbers of the viewer's pictures in which the detector finds a face outside `named`.
    fn seen_beside(&mut self, named: Rect) -> Vec<usize> {
        let pictures = std::mem::take(&mut self.pictures);
        let mut sees = |shown: &Rgb| self.worker.detect(shown).iter().any(|face| face.iou(named) < 0.3);
        let seen =
            pictures.iter().enumerate().filter(|(_, (_, shown))| sees(shown)).map(|(number, _)| number).collect();
        self.pictures = pictures;
        seen
    }

    /// The box of the only face on the last frame.
    fn last_face(&mut self) -> Rect {
        let last = self.pictures.last().unwrap().0.clone();
        let faces = self.worker.detect(&last);
        assert_eq!(faces.len(), 1, "the frame has a face that the detector finds");
        faces[0]
    }

    /// The share of a picture's pixels that the viewer got unchanged.
    fn clear_share(&self, number: usize) -> f64 {
        let (given, shown) = &self.pictures[number];
        let alike = |(a, b): &(&[u8; 3], &[u8; 3])| (0..3).all(|i| a[i].abs_diff(b[i]) < 24);
        let (given, shown) = (given.data.as_chunks::<3>().0, shown.data.as_chunks::<3>().0);
        given.iter().zip(shown).filter(alike).count() as f64 / given.len() as f64
    }

    /// Checks that the detector finds no face in any picture of the viewer, although it finds one in the last frame,
    /// and that most of each picture is clear.
    fn hides_the_stranger(&mut self) {
        self.last_face();
        assert_eq!(self.seen_beside(Rect::default()), [0; 0], "of {} pictures", self.pictures.len());
        let clear: Vec<f64> = (0..self.pictures.len()).map(|number| self.clear_share(number)).collect();
        let least = clear.iter().copied().min_by(f64::total_cmp).unwrap();
        assert!(least > 0.4, "only {least} of a picture is clear: it was blurred for another reason");
    }
}

/// Shows a film of the room with frames made by `frame`, and checks that no picture of the viewer shows the stranger.
fn film_of_a_stranger(spec: RenditionSpec, frames: std::ops::Range<u32>, frame: impl Fn(Rgb, &Rgb, f64) -> Rgb) {
    let root = tempfile::tempdir().unwrap();
    let stage = private_stage(root.path());
    let mut film = Film::new(&stage, spec);
    let (room, stranger) = (room(), stranger());
    film.settle(&frame(room.clone(), &stranger, f64::from(frames.start)));
    film.pictures.clear();
    for number in frames {
        film.show(frame(room.clone(), &stranger, f64::from(number)));
    }
    film.hides_the_stranger();
}

const PLACE: [f64; 2] = [130.0, 50.0];

#[test]
fn a_stranger_who_fades_into_a_still_scene_is_in_no_picture_of_a_viewer() {
    film_of_a_stranger(RenditionSpec::USUAL, 30..240, |room, stranger, number| {
        with(room, stranger, PLACE, number * FADE)
    });
}

#[test]
fn a_stranger_who_fades_in_while_something_moves_elsewhere_is_in_no_picture_of_a_viewer() {
    let plain = RenditionSpec { overlay: false, ..RenditionSpec::USUAL };
    film_of_a_stranger(plain, 30..240, |room, stranger, number| {
        let room = with(room, stranger, PLACE, number * FADE);
        with(room, &Rgb::filled(20, 20, [250; 3]), [10.0 + 7.0 * (number % 5.0), 10.0], 1.0)
    });
}

#[test]
fn a_stranger_who_slides_in_by_a_fraction_of_a_pixel_a_frame_is_in_no_picture_of_a_viewer() {
    film_of_a_stranger(RenditionSpec::USUAL, 0..200, |room, stranger, number| {
        with(room, stranger, [-75.0 + 0.4 * number, 50.0], 1.0)
    });
}

#[test]
fn a_stranger_in_flickering_light_is_in_no_picture_of_a_viewer() {
    film_of_a_stranger(RenditionSpec::USUAL, 0..120, |room, stranger, number| {
        let mut rgb = with(room, stranger, PLACE, 1.0);
        let light = (1.0 - (number / 80.0 * std::f64::consts::TAU).cos()) / 2.0;
        rgb.data.iter_mut().for_each(|value| *value = (f64::from(*value) * light) as u8);
        rgb
    });
}

#[test]
fn with_blur_for_viewers_viewers_see_no_stranger_and_admins_do() {
    let root = tempfile::tempdir().unwrap();
    let stage = stage_with(root.path(), |overlay| overlay.blur_for_viewers = true);
    let mut film = Film::new(&stage, RenditionSpec { blur: true, ..RenditionSpec::USUAL });
    let (room, stranger) = (room(), stranger());
    film.settle(&room);
    film.pictures.clear();
    // The stranger fades in and then stands in a still scene.
    for number in 0..60 {
        film.show(with(room.clone(), &stranger, PLACE, (f64::from(number) / 40.0).min(1.0)));
    }
    film.hides_the_stranger();
    let face = film.last_face();
    let admin = film.renditions.subscribe(RenditionSpec::USUAL).unwrap();
    let (_, jpeg) = admin.next(0, Duration::from_secs(30)).expect("a picture");
    let shown = crate::image::jpeg::decode(jpeg.picture()).unwrap();
    let seen = film.worker.detect(&shown);
    assert!(seen.len() == 1 && seen[0].iou(face) > 0.5, "{seen:?} is not {face:?}");
    assert!(!jpeg.hides_strangers);
}

/// A gallery with a picture of the person in [`stranger`].
fn gallery_of_alice() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("Alice")).unwrap();
    let picture = root.path().join("Alice/1.jpg");
    std::fs::copy(repo("target/pictures/obama2.jpg"), &picture).unwrap();
    // A new file would count as still being copied.
    let yesterday = SystemTime::now() - Duration::from_secs(86_400);
    std::fs::File::options().append(true).open(picture).unwrap().set_modified(yesterday).unwrap();
    root
}

#[test]
fn a_known_person_who_moves_stays_clear_beside_a_stranger_who_fades_in() {
    let root = gallery_of_alice();
    let stage = private_stage(root.path());
    let mut film = Film::new(&stage, RenditionSpec::USUAL);
    let (room, alice) = (room(), stranger());
    let biden = photo("biden.jpg").shrunk(220);
    let mut sees = |photo: &Rgb| film.worker.detect(&photo.cropped(Rect { x: 0, y: 0, w: SIZE.0, h: 300 }))[0];
    let face = sees(&biden);
    let biden = biden.cropped(face.grown(face.w / 2));
    let frame = |number: f64, share: f64| {
        let room = with(room.clone(), &alice, [20.0 + 5.0 * (number / 5.0).sin(), 60.0], 1.0);
        with(room, &biden, [190.0, 60.0], share)
    };
    film.settle(&frame(0.0, 0.0));
    let face = film.last_face();
    film.pictures.clear();
    (30..240).for_each(|number| film.show(frame(f64::from(number), f64::from(number) * FADE)));
    assert_eq!(film.seen_beside(face), [0; 0]);
    let pictures = std::mem::take(&mut film.pictures);
    let clear =
        pictures.iter().filter(|(_, shown)| film.worker.detect(shown).iter().any(|at| at.iou(face) > 0.3)).count();
    assert!(clear * 10 > pictures.len() * 9, "Alice is clear in {clear} of {}", pictures.len());
}

#[test]
fn another_face_in_the_hair_and_collar_of_a_known_person_is_in_no_picture_of_a_viewer() {
    let root = gallery_of_alice();
    let stage = private_stage(root.path());
    let mut film = Film::new(&stage, RenditionSpec { overlay: false, ..RenditionSpec::USUAL });
    let alice = with(room(), &stranger(), PLACE, 1.0);
    let biden = photo("biden.jpg");
    let other = film.worker.detect(&biden)[0];
    // A look takes two frames: the face changes just before the processed frame, and just after it.
    for wait in [0, 1] {
        film.settle(&alice);
        let face = film.last_face();
        let shown = film.pictures.last().unwrap().1.clone();
        assert_eq!(film.worker.detect(&shown).len(), 1, "Alice is clear");
        (0..wait).for_each(|_| film.show(alice.clone()));
        let mut swapped = alice.clone();
        swapped.put(&biden.cropped(other).shrunk(face.w), face.x as u32, face.y as u32);
        film.pictures.clear();
        (0..10).for_each(|_| film.show(swapped.clone()));
        film.last_face();
        assert_eq!(film.seen_beside(Rect::default()), [0; 0], "the frame before was of {wait} more");
    }
}
