//! The camera stage: a [`Source`] of pictures, and the thread that turns them into frames.

pub mod negotiate;
pub mod pipe;
pub mod probe;
mod scene;
mod splitter;
pub mod stills;
pub mod v4l2;

use crate::config::{Camera, Config, Source as Place};
use crate::frame::{Frame, Moment};
use crate::health::{Cause, Health};
use crate::jpeg;
use crate::latest::Latest;
use crate::memory::{self, Machine, Plan};
use crate::pixels::{Format, Raw, check_size};
use crate::stop::{POLL, Stop};
use anyhow::{Result, bail};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a source gives: one picture.
#[derive(Debug)]
pub struct Captured {
    /// Its pixel format.
    pub format: &'static Format,
    /// Width in pixels; a source of JPEGs may leave it 0.
    pub width: u32,
    /// Height in pixels; a source of JPEGs may leave it 0.
    pub height: u32,
    /// Bytes from one line of the first plane to the next; 0 for JPEG.
    pub stride: u32,
    /// The picture, exactly as it was sent.
    pub bytes: Vec<u8>,
    /// When it was captured.
    pub captured_at: Moment,
    /// Frames that the device or the source gave up before this one because a newer one was there.
    pub dropped: u64,
}

/// The answer of a source: a picture, or the news that none came in time.
#[derive(Debug)]
pub enum Shot {
    /// A picture.
    Picture(Captured),
    /// A picture came but is broken: why.
    Corrupt(String),
    /// Nothing came.
    Nothing,
}

/// Something that gives pictures.
pub trait Source {
    /// Waits for the newest picture, `timeout` at most (<= 200 ms).
    ///
    /// # Errors
    /// This source is done for: drop it and open it again.
    fn next(&mut self, timeout: Duration) -> Result<Shot>;

    /// What it is, for the log: "HD Pro Webcam C920, MJPG 1280x720 at 30 fps".
    fn describe(&self) -> String;

    /// Why no picture comes, where it can be told.
    fn why_nothing(&self) -> Option<String> {
        None
    }

    /// What the user should know although pictures come, one text a matter.
    fn hints(&self) -> Vec<&str> {
        Vec::new()
    }
}

/// What the camera thread works with.
pub struct Stage {
    /// The config at work; a changed `[camera]` opens the source again.
    pub config: Arc<Latest<Config>>,
    /// Where frames go.
    pub frames: Arc<Latest<Frame>>,
    /// What is counted and told.
    pub health: Arc<Health>,
    /// When to end.
    pub stop: Arc<Stop>,
}

/// An opened source that gives nothing for so long is done for.
const SILENCE: Duration = Duration::from_secs(5);
/// The first picture may take longer: a program that connects to a network camera needs its time.
const FIRST_SILENCE: Duration = Duration::from_secs(15);
/// The pause before the source is opened again: the first, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(3)];
/// After so long a time of pictures a failure counts as the first one.
const STEADY: Duration = Duration::from_secs(30);

/// The camera thread: opens the source that the config names, publishes its pictures, and begins again when it fails,
/// until [`Stop`].
pub fn run(stage: &Stage) {
    let (said, mut memory) = (Rc::default(), v4l2::Memory::default());
    run_with(stage, &mut |camera| open(camera, &said, &mut memory));
}

type Open<'a> = dyn FnMut(&Camera) -> Result<Box<dyn Source>> + 'a;

fn open(camera: &Camera, said: &Rc<RefCell<pipe::Said>>, memory: &mut v4l2::Memory) -> Result<Box<dyn Source>> {
    match &camera.source {
        Place::Device(_) => v4l2::open(camera, memory),
        Place::Pipe(words) => pipe::open(words, said),
        Place::Stills(folder) => stills::open(camera, folder),
        Place::None => bail!("no camera.source"),
    }
}

/// The devices that are there, for a source that is one.
fn devices(camera: &Camera) -> Vec<v4l2::Seen> {
    if let Place::Device(path) = &camera.source { v4l2::seen(path) } else { Vec::new() }
}

fn run_with(stage: &Stage, open: &mut Open) {
    let mut thread = Thread { stage, seq: 0, news: News::default(), told: None };
    let mut pause = PAUSES[0];
    let mut named = false;
    while !stage.stop.is_set() {
        stage.health.capture_beat.beat();
        let Some((_, config)) = stage.config.newest() else {
            stage.stop.wait(POLL);
            continue;
        };
        let camera = &config.camera;
        if !named {
            named = true;
            stage.health.camera_is_away(&camera.source.public(), "starting");
        }
        // Before the attempt: what comes while it fails must not be missed.
        let before = devices(camera);
        let mut first = None;
        match thread.watch(camera, open, &mut first) {
            Ok(()) => pause = PAUSES[0],
            Err(error) => {
                if first.is_some_and(|first: Instant| first.elapsed() >= STEADY) {
                    pause = PAUSES[0];
                }
                thread.away(camera, &error);
                pause = if thread.rest(camera, pause, &before) { (pause * 2).min(PAUSES[1]) } else { PAUSES[0] };
            }
        }
    }
}

/// True when what is captured stays the same. How frames are turned needs no other source.
fn same_source(a: &Camera, b: &Camera) -> bool {
    Camera { rotate: b.rotate, mirror: b.mirror, ..a.clone() } == *b
}

/// So many lines about what a camera gives are logged an hour: one may come and go, or change its size, all the time.
const NEWS_AN_HOUR: u32 = 20;

/// How much of [`NEWS_AN_HOUR`] is spent, and since when.
#[derive(Default)]
struct News {
    since: Option<Instant>,
    lines: u32,
}

impl News {
    /// `line` as it is to be logged; `None`: not at all.
    fn of(&mut self, line: String, now: Instant) -> Option<String> {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= Duration::from_secs(3600)) {
            (self.since, self.lines) = (Some(now), 0);
        }
        self.lines = self.lines.saturating_add(1);
        match self.lines {
            ..NEWS_AN_HOUR => Some(line),
            NEWS_AN_HOUR => Some(format!("{line} (and no more of this for an hour)")),
            _ => None,
        }
    }
}

/// A source that has ended, whose last words differ from time to time: they are for the status, and no fault of their own.
#[derive(Debug)]
struct Ended {
    how: String,
    last_words: String,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Ended { how, last_words } = self;
        if last_words.is_empty() { write!(f, "{how}") } else { write!(f, "{how}: {last_words}") }
    }
}

impl std::error::Error for Ended {}

struct Thread<'a> {
    stage: &'a Stage,
    seq: u64,
    news: News,
    /// The fault of this outage that was reported.
    told: Option<String>,
}

impl Thread<'_> {
    /// Opens the source and publishes its pictures until the config names another one or the program ends. `first` is
    /// when the first picture came.
    fn watch(&mut self, camera: &Camera, open: &mut Open, first: &mut Option<Instant>) -> Result<()> {
        let Stage { config, health, stop, .. } = self.stage;
        let mut source = open(camera)?;
        let mut last = Instant::now();
        let mut shape = None;
        let mut turn = camera.turn();
        let mut version = 0;
        let mut plan = None;
        let mut hints = Vec::new();
        while !stop.is_set() {
            health.capture_beat.beat();
            if let Some((newest, config)) = config.newest().filter(|(newest, _)| *newest != version) {
                if !same_source(camera, &config.camera) {
                    // Until the new one gives pictures, those of the old one must not pass for its.
                    health.camera_is_away(&config.camera.source.public(), "starting");
                    return Ok(());
                }
                (version, turn) = (newest, config.camera.turn());
                // Without recognition nothing is planned. A config that does not fit is refused elsewhere.
                plan = config.recognition.enabled.then(|| memory::plan(&config, &Machine::this()).ok()).flatten();
            }
            let picture = match source.next(POLL)? {
                Shot::Picture(captured) => {
                    health.dropped.add_many(captured.dropped);
                    checked(captured, plan.as_ref())
                }
                Shot::Corrupt(why) => Err(why),
                Shot::Nothing => {
                    let patience = if first.is_some() { SILENCE } else { FIRST_SILENCE };
                    if last.elapsed() >= patience {
                        let nothing = || format!("no picture for {} s", patience.as_secs());
                        bail!(source.why_nothing().unwrap_or_else(nothing));
                    }
                    continue;
                }
            };
            match picture {
                Ok(captured) => {
                    last = Instant::now();
                    first.get_or_insert(last);
                    let new_shape = Some((captured.format.fourcc, captured.width, captured.height));
                    if shape != new_shape {
                        shape = new_shape;
                        self.online(camera, &captured, &source.describe());
                        hints.clear();
                    }
                    self.publish(captured, turn);
                    self.hint(&*source, &mut hints);
                }
                Err(why) => {
                    health.corrupt.add();
                    // What will be told for the whole of it is not told for its parts.
                    if source.why_nothing().is_none() {
                        health.faults.report(Cause::BrokenPicture, &why);
                    }
                    if last.elapsed() >= SILENCE {
                        let broken = || format!("only broken pictures for {} s: {why}", SILENCE.as_secs());
                        bail!(source.why_nothing().unwrap_or_else(broken));
                    }
                }
            }
        }
        Ok(())
    }

    fn publish(&mut self, captured: Captured, turn: crate::pixels::Turn) {
        let Captured { format, width, height, stride, bytes, captured_at, .. } = captured;
        self.seq += 1;
        let frame = Frame::new(self.seq, captured_at, format, Raw { bytes, width, height, stride }, turn);
        self.stage.health.ages.frame_published(&frame);
        self.stage.frames.publish(Arc::new(frame));
        self.stage.health.frame_came();
    }

    fn online(&mut self, camera: &Camera, captured: &Captured, what: &str) {
        let Captured { format, width, height, .. } = captured;
        self.stage.health.camera_is_online(&camera.source.public(), &format.name(), *width, *height);
        let news = format!("camera: {what}; pictures are {} {width}x{height}", format.name());
        if let Some(line) = self.news.of(news, Instant::now()) {
            log::info!("{line}");
        }
        self.told = None;
    }

    /// Tells what the source wants known, when that is news.
    fn hint(&self, source: &dyn Source, told: &mut Vec<String>) {
        let hints = source.hints();
        if *told == hints {
            return;
        }
        for news in hints.iter().filter(|hint| !told.iter().any(|old| old == *hint)) {
            self.stage.health.faults.report(Cause::CameraHint, news);
        }
        self.stage.health.set_camera_hint((!hints.is_empty()).then(|| hints.join("; ")));
        *told = hints.into_iter().map(str::to_owned).collect();
    }

    fn away(&mut self, camera: &Camera, error: &anyhow::Error) {
        let text = format!("{error:#}");
        self.stage.health.camera_is_away(&camera.source.public(), &text);
        let cause = error.downcast_ref::<Ended>().map_or(text, |ended| ended.how.clone());
        if self.told.as_ref() != Some(&cause) {
            self.stage.health.faults.report(Cause::CameraAway, &cause);
            self.told = Some(cause);
        }
    }

    /// Waits for `pause`; false when the config has come to name another source or a device has come that was not there
    /// `before`, which are reasons to wait no longer.
    fn rest(&self, camera: &Camera, pause: Duration, before: &[v4l2::Seen]) -> bool {
        let until = Instant::now() + pause;
        loop {
            self.stage.health.capture_beat.beat();
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stage.stop.wait(left.min(POLL)) {
                return true;
            }
            if self.stage.config.newest().is_some_and(|(_, config)| !same_source(camera, &config.camera)) {
                return false;
            }
            if devices(camera).iter().any(|device| !before.contains(device)) {
                return false;
            }
        }
    }
}

/// The picture, made whole; or why nobody can use it.
fn checked(mut captured: Captured, plan: Option<&Plan>) -> Result<Captured, String> {
    if captured.format.jpeg {
        captured.bytes = jpeg::tidy(captured.bytes)?;
        (captured.width, captured.height) = jpeg::size(&captured.bytes).ok_or("it has no size")?;
    }
    let Captured { format, width, height, stride, .. } = captured;
    check_size(width, height)?;
    plan.map_or(Ok(()), |plan| plan.check_frame(width, height))?;
    if captured.bytes.len() < format.min_size(width, height, stride) {
        return Err(format!("{} {width}x{height} cut short", format.name()));
    }
    Ok(captured)
}

#[cfg(test)]
mod tests;
