use super::*;
use crate::camera::Captured;
use crate::camera::negotiate::{FrameRate, Interval, Mode, Size};
use crate::frame::Moment;
use crate::image::Format;

/// A source with a picture every `every_ms`. Each `broken_every`th picture is damaged.
struct Clockwork {
    every_ms: u64,
    broken_every: u64,
    given: u64,
    /// When the first good one was given, and the last one.
    first: Option<Instant>,
    last: Instant,
}

impl Clockwork {
    fn new(every_ms: u64, broken_every: u64) -> Clockwork {
        Clockwork { every_ms, broken_every, given: 0, first: None, last: Instant::now() }
    }

    fn is_broken(&self, number: u64) -> bool {
        self.broken_every > 0 && number.is_multiple_of(self.broken_every)
    }
}

impl Source for Clockwork {
    fn next(&mut self, timeout: Duration) -> Result<Shot> {
        if self.every_ms == 0 {
            std::thread::sleep(timeout.min(Duration::from_millis(10)));
            return Ok(Shot::Nothing);
        }
        std::thread::sleep(Duration::from_millis(self.every_ms));
        (self.given, self.last) = (self.given + 1, Instant::now());
        if self.is_broken(self.given) {
            return Ok(Shot::Corrupt("flagged".to_owned()));
        }
        self.first.get_or_insert(self.last);
        let format = Format::by_fourcc(b"GREY").unwrap();
        let (bytes, captured_at) = (vec![7; 256], Moment::now());
        Ok(Shot::Picture(Captured { format, width: 16, height: 16, stride: 16, bytes, captured_at, dropped: 1 }))
    }

    fn describe(&self) -> String {
        "clockwork".to_owned()
    }
}

fn counted(source: &mut Clockwork) -> Result<FrameCounts> {
    count(source, Duration::from_millis(200), Duration::from_millis(400))
}

#[test]
fn pictures_are_counted_from_the_first_good_one_on() {
    let mut source = Clockwork::new(20, 4);
    let figures = counted(&mut source).unwrap();
    // A busy machine delivers fewer pictures, so they are counted here, too.
    let corrupt = (1..=source.given).filter(|number| source.is_broken(*number)).count() as f64;
    let good = source.given as f64 - corrupt;
    let fps = (good - 1.0) / (source.last - source.first.unwrap()).as_secs_f64();
    assert!(figures.fps > 0.5 * fps && figures.fps < 1.5 * fps, "{figures:?} for {fps}");
    // Each good one but the first reports one dropped picture.
    let all = corrupt + good + (good - 1.0);
    let apart = [figures.corrupt - corrupt / all, figures.dropped - (good - 1.0) / all];
    assert!(apart.iter().all(|apart| apart.abs() < 1e-9), "{figures:?} of {good} good ones and {corrupt} others");
}

#[test]
fn measuring_a_mode_without_a_good_picture_ends_in_time() {
    let begun = Instant::now();
    assert!(counted(&mut Clockwork::new(0, 0)).unwrap_err().to_string().starts_with("delivers no picture within"));
    assert!(
        counted(&mut Clockwork::new(10, 1))
            .unwrap_err()
            .to_string()
            .starts_with("delivers only damaged pictures within")
    );
    assert!(begun.elapsed() < Duration::from_secs(30));
}

fn mode(width: u32, height: u32, fps: u32) -> Mode {
    Mode { size: Size::One { width, height }, rates: vec![FrameRate::One(Interval::of_fps(fps))] }
}

fn offers() -> Vec<Offer> {
    let raw = Offer { fourcc: *b"YUYV", modes: vec![mode(640, 480, 30), mode(1280, 720, 10), mode(1920, 1080, 5)] };
    let jpeg = Offer { fourcc: *b"MJPG", modes: vec![mode(640, 480, 30), mode(1280, 720, 30), mode(1920, 1080, 30)] };
    vec![raw, jpeg]
}

fn request(width: u32, height: u32) -> ModeRequest {
    ModeRequest { format: None, width, height, fps: 30 }
}

fn names(modes: &[Choice]) -> Vec<String> {
    modes.iter().map(name).collect()
}

#[test]
fn the_configured_mode_is_measured_first_and_the_number_of_modes_is_bounded() {
    let expected =
        ["MJPG 1920x1080", "YUYV 1920x1080", "MJPG 1280x720", "YUYV 1280x720", "YUYV 640x480", "MJPG 640x480"];
    assert_eq!(names(&modes(&offers(), &request(1920, 1080))), expected);
    assert_eq!(
        names(&modes(&offers(), &ModeRequest { format: Some(*b"YUYV"), ..request(640, 480) }))[..2],
        expected[4..]
    );
    let many = |fourcc: &[u8; 4]| Offer { fourcc: *fourcc, modes: offers()[1].modes.clone() };
    let many: Vec<Offer> = [b"YUYV", b"MJPG", b"NV12", b"YU12", b"GREY"].map(many).into();
    assert_eq!(modes(&many, &request(1920, 1080)).len(), MAX_MODES);
}

/// The modes for a request of 1280x720, MJPG 1280x720 first, with these rates and shares of damaged pictures.
fn measured(figures: [Option<(f64, f64)>; 4]) -> Vec<Measured> {
    let figures = figures.map(|figures| {
        let (fps, corrupt) = figures.ok_or("delivers no picture within 3 s")?;
        Ok(FrameCounts { fps, corrupt, dropped: 0.0, hint: None })
    });
    let modes = modes(&offers(), &request(1280, 720));
    assert_eq!(names(&modes), ["MJPG 1280x720", "YUYV 1280x720", "YUYV 640x480", "MJPG 640x480"]);
    modes.into_iter().zip(figures).map(|(mode, figures)| Measured { mode, figures }).collect()
}

#[test]
fn the_mode_that_reaches_its_rate_is_recommended_with_the_reason() {
    let best = |figures| best(&measured(figures)).map(|best| (name(&best), best.why));
    let good = Some((29.5, 0.0));
    let (mode, why) = best([good, Some((10.0, 0.0)), good, good]).unwrap();
    assert_eq!(mode, "MJPG 1280x720");
    assert!(why.starts_with("the requested size"), "{why}");
    let (mode, why) = best([Some((12.0, 0.0)), Some((9.0, 0.0)), good, good]).unwrap();
    assert_eq!(mode, "YUYV 640x480", "faster than the slow one, which the other 1280x720 is not");
    assert_eq!(why, "MJPG 1280x720: 12.0 of 30 fps");
    let (mode, why) = best([Some((30.0, 0.02)), Some((10.0, 0.0)), None, None]).unwrap();
    assert_eq!(mode, "YUYV 1280x720", "slow, but whole");
    assert_eq!(why, "MJPG 1280x720: 30.0 of 30 fps, 2.0 % damaged");
    let (mode, _) = best([Some((15.0, 0.0)), Some((10.0, 0.0)), Some((15.0, 0.0)), None]).unwrap();
    assert_eq!(mode, "MJPG 1280x720", "in dim light all are slow, and ten of ten are not better");
    let (mode, why) = best([None, Some((10.0, 0.0)), None, None]).unwrap();
    assert!(mode == "YUYV 1280x720" && why == "MJPG 1280x720: delivers no picture within 3 s", "{why}");
    assert!(best([None; 4]).is_none());
}

#[test]
fn damaged_and_dropped_pictures_do_not_make_a_camera_slow() {
    let [mode, ..] = &modes(&offers(), &request(1280, 720))[..] else { panic!() };
    let is_slow = |fps, corrupt, dropped| FrameCounts { fps, corrupt, dropped, hint: None }.is_slow(mode);
    assert_eq!((mode.fps(), is_slow(20.0, 0.33, 0.0), is_slow(20.0, 0.0, 0.33)), (30.0, false, false));
    assert!(is_slow(20.0, 0.0, 0.0) && is_slow(10.0, 0.33, 0.0));
}

#[test]
fn other_programs_that_use_the_device_are_named_unless_they_feed_it() {
    let users = ["ffmpeg (pid 7)".to_owned(), "cheese (pid 8)".to_owned()];
    assert_eq!(busy("uvcvideo", &users[..1]).unwrap(), "it is in use by ffmpeg (pid 7)");
    assert_eq!((busy("uvcvideo", &[]), busy(LOOPBACK, &users[..1])), (None, None));
    assert!(busy(LOOPBACK, &users).is_some());
}
