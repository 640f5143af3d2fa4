//! The camera stage: a [`Source`] of pictures, and the thread that publishes them as frames.

pub mod negotiate;
pub mod pipe;
pub(crate) mod recording;
pub(crate) mod splitter;
pub mod stills;
mod trial;
pub mod v4l2;

use crate::config::{Camera, CameraSource, Config};
use crate::frame::{Frame, Moment};
use crate::image::{Format, Mask, Raw, Turn, check_size, jpeg};
use crate::memory::{self, Machine, Plan};
use crate::sync::{Backoff, Latest, POLL, Stop};
use crate::telemetry::faults::Cause;
use crate::telemetry::health::{Health, STARTING};
use crate::tuning::{Answer, Ask, Equipment, Trouble, Tuning, Unset};
use anyhow::{Result, bail};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trial::Trial;

/// A captured picture.
#[derive(Debug)]
pub struct Captured {
    pub format: &'static Format,
    /// The width in pixels; may be 0 for JPEG.
    pub width: u32,
    /// The height in pixels; may be 0 for JPEG.
    pub height: u32,
    /// The stride of the first plane in bytes; 0 for JPEG.
    pub stride: u32,
    /// The bytes exactly as the source delivered them.
    pub bytes: Vec<u8>,
    pub captured_at: Moment,
    /// How many frames the device or the source dropped between the last picture and this one.
    pub dropped: u64,
}

/// The result of [`Source::next`].
#[derive(Debug)]
pub enum Shot {
    Picture(Captured),
    /// A damaged picture, with the reason.
    Corrupt(String),
    /// No picture within the time-out.
    Nothing,
}

pub trait Source {
    /// Waits for the newest picture, at most `timeout` (<= 200 ms).
    ///
    /// # Errors
    /// The source has failed; it must be dropped and opened again.
    fn next(&mut self, timeout: Duration) -> Result<Shot>;

    /// A description for the log: "HD Pro Webcam C920, MJPG 1280x720 at 30 fps".
    fn describe(&self) -> String;

    /// Why no picture arrives, when the source knows the reason.
    fn why_nothing(&self) -> Option<String> {
        None
    }

    /// Advice for the user while pictures arrive, one text for each subject.
    fn hints(&self) -> Vec<&str> {
        Vec::new()
    }

    /// The mode, formats and controls of the source. `None` for a source whose modes and controls namecam does not set.
    fn equipment(&self) -> Option<Equipment> {
        None
    }

    /// Sets controls of the running source, and returns the controls that were not set.
    fn set_controls(&mut self, _wanted: &[(String, i64)]) -> Vec<Unset> {
        Vec::new()
    }

    /// Sets controls to the values in `_before`, in an order in which no automatic mode locks a control that is still
    /// to be set, and then the controls of the config. Returns the controls of `_before` that were not set.
    fn put_back(&mut self, _before: &[(String, i64)], _config: &[(String, i64)]) -> Vec<Unset> {
        Vec::new()
    }
}

pub struct Stage {
    /// The config. When `[camera]` changes, the source is opened again.
    pub config: Arc<Latest<Config>>,
    pub frames: Arc<Latest<Frame>>,
    /// The questions of an admin to the camera.
    pub tuning: Arc<Tuning>,
    pub health: Arc<Health>,
    pub stop: Arc<Stop>,
}

/// The shortest time without a picture after which a running source counts as failed.
const SILENCE: Duration = Duration::from_secs(5);
/// A source counts as failed after this many times its longest pause between two pictures.
const PAUSES_OF_SILENCE: u32 = 3;
/// A pause counts for this long, and up to twice this long, and for at least this many pauses: a camera may deliver one
/// picture an hour.
const PAUSE_COUNTS_FOR: Duration = Duration::from_secs(600);
const LEAST_PAUSES: u32 = 20;
/// The shortest and the longest rest before the source is opened again.
const SHORTEST_REST: Duration = Duration::from_millis(200);
const LONGEST_REST: Duration = Duration::from_secs(3);
/// When a source has delivered pictures for this long, the rests begin again with the shortest.
const STEADY: Duration = Duration::from_secs(30);

/// The camera thread: opens the source of the config, publishes the pictures of the source, and opens the source again
/// when it fails, until [`Stop`].
pub fn run(stage: &Stage) {
    let (said, mut memory) = (Rc::default(), v4l2::LastCamera::default());
    run_with(stage, &mut |camera| open(camera, &said, &mut memory));
}

type Open<'a> = dyn FnMut(&Camera) -> Result<Box<dyn Source>> + 'a;

fn open(camera: &Camera, said: &Rc<RefCell<pipe::Said>>, memory: &mut v4l2::LastCamera) -> Result<Box<dyn Source>> {
    match &camera.source {
        CameraSource::Device(_) => v4l2::open(camera, memory),
        CameraSource::Pipe(words) => pipe::open(words, said),
        CameraSource::Stills(folder) => stills::open(camera, folder),
        CameraSource::Replay { file, begins_again } => v4l2::replay::open(file, *begins_again, camera),
        CameraSource::None => bail!("camera.source is not set"),
    }
}

/// The devices that exist, when the source is a device.
fn devices(camera: &Camera) -> Vec<v4l2::Seen> {
    if let CameraSource::Device(path) = &camera.source { v4l2::seen(path) } else { Vec::new() }
}

fn run_with(stage: &Stage, open: &mut Open) {
    let mut thread = Thread { stage, seq: 0, news: News::default(), told: None, trial: Trial::default() };
    let mut backoff = Backoff::new(SHORTEST_REST, LONGEST_REST);
    let mut named = false;
    while !stage.stop.is_set() {
        stage.health.capture_beat.beat();
        let Some((_, config)) = stage.config.newest() else {
            stage.stop.wait(POLL);
            continue;
        };
        let camera = &thread.trial.camera(&config.camera);
        if !named {
            named = true;
            stage.health.camera_is_away(&camera.source.public(), STARTING);
        }
        // Taken before the attempt, so that a device that appears while the attempt fails is noticed.
        let before = devices(camera);
        let mut first = None;
        match thread.watch(camera, open, &mut first) {
            Ok(()) => backoff.reset(),
            Err(error) if thread.give_up_mode(&error) => backoff.reset(),
            Err(error) => {
                if first.is_some_and(|first: Instant| first.elapsed() >= STEADY) {
                    backoff.reset();
                }
                thread.away(camera, &error);
                if !thread.rest(camera, backoff.pause(), &before) {
                    backoff.reset();
                }
            }
        }
    }
}

/// True when both configs need the same source in the same mode. Rotation, mirroring and the mask do not need the
/// source to be opened again.
fn same_source(a: &Camera, b: &Camera) -> bool {
    Camera { rotate: b.rotate, mirror: b.mirror, mask: b.mask.clone(), ..a.clone() } == *b
}

/// The most log lines per hour about the format of a camera. A camera may be lost and found, or change its size,
/// without end.
const NEWS_AN_HOUR: u32 = 20;

/// The use of [`NEWS_AN_HOUR`] in the current hour.
#[derive(Default)]
struct News {
    since: Option<Instant>,
    lines: u32,
}

impl News {
    /// The text to log for `line`; `None` when nothing is to be logged.
    fn of(&mut self, line: String, now: Instant) -> Option<String> {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= Duration::from_secs(3600)) {
            (self.since, self.lines) = (Some(now), 0);
        }
        self.lines = self.lines.saturating_add(1);
        match self.lines {
            ..NEWS_AN_HOUR => Some(line),
            NEWS_AN_HOUR => Some(format!("{line} (further changes are not logged for an hour)")),
            _ => None,
        }
    }
}

/// Checks the sizes of a source's frames. A damaged header may contain any size, and a JPEG of 100 megapixels takes the
/// decoder seconds. So a frame with far more pixels than the last one is refused, unless a frame about as large was
/// refused just before.
#[derive(Default)]
struct Sizes {
    last: Option<(u32, u32)>,
    odd: Option<(u32, u32)>,
}

impl Sizes {
    /// A frame with at most this many pixels is accepted, whatever the size of the last frame.
    const QUICK_PX: u64 = 4 << 20;

    fn plausible(&mut self, captured: Captured) -> Result<Captured, String> {
        let (width, height) = (captured.width, captured.height);
        let pixels = |(width, height): (u32, u32)| u64::from(width) * u64::from(height);
        let known = self.last.into_iter().chain(self.odd).map(|size| 4 * pixels(size)).max();
        if known.is_some_and(|known| pixels((width, height)) > known.max(Self::QUICK_PX)) {
            self.odd = Some((width, height));
            return Err(format!("its size of {width}x{height} is far from that of the frame before"));
        }
        (self.last, self.odd) = (Some((width, height)), None);
        Ok(captured)
    }
}

/// The end of a source. The last message of a program differs from run to run, so the message is shown in the state but
/// makes no fault of its own.
#[derive(Debug)]
struct SourceEnd {
    how: String,
    last_words: String,
}

impl std::fmt::Display for SourceEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let SourceEnd { how, last_words } = self;
        if last_words.is_empty() { write!(f, "{how}") } else { write!(f, "{how}: {last_words}") }
    }
}

impl std::error::Error for SourceEnd {}

struct Thread<'a> {
    stage: &'a Stage,
    seq: u64,
    news: News,
    /// The fault that was reported for this outage.
    told: Option<String>,
    trial: Trial,
}

impl Thread<'_> {
    /// Opens the source and publishes its pictures until the config names another source or the program ends. `first`
    /// is set to the time of the first picture.
    fn watch(&mut self, camera: &Camera, open: &mut Open, first: &mut Option<Instant>) -> Result<()> {
        let Stage { config, health, stop, .. } = self.stage;
        let opened = Instant::now();
        let mut source = open(camera)?;
        let mut camera = camera.clone();
        let mut last = Instant::now();
        let mut pauses = LongestPause::default();
        let mut shape = None;
        let (mut turn, mut mask) = (camera.turn(), camera.mask());
        let mut version = 0;
        let mut known = None;
        let mut plan = None;
        let mut hints = Vec::new();
        let mut sizes = Sizes::default();
        while !stop.is_set() {
            health.capture_beat.beat();
            let tried = self.tune(&mut *source, &camera);
            // The trial has set its controls on the source already, so `camera` gets the same values. `known` is the
            // config that the source has; the newest config may differ.
            if let Some(known) = known.as_ref().filter(|_| tried) {
                camera.controls.clone_from(&self.trial.camera(known).controls);
            }
            if let Some((newest, config)) = config.newest().filter(|(newest, _)| tried || *newest != version) {
                if camera.source != config.camera.source {
                    self.trial.end(&config.camera, &mut *source);
                }
                self.trial.settle(&config.camera);
                let wanted = self.trial.camera(&config.camera);
                if self.trial.needs_newer(opened) || !same_source(&camera, &wanted) {
                    // The old source's pictures must not be shown as those of the new one.
                    health.camera_is_away(&config.camera.source.public(), STARTING);
                    return Ok(());
                }
                if newest != version {
                    (version, turn, mask) = (newest, config.camera.turn(), config.camera.mask());
                    known = Some(config.camera.clone());
                    // Without recognition there is no memory plan. A config that does not fit is refused elsewhere.
                    plan = config.recognition.enabled.then(|| memory::plan(&config, &Machine::this()).ok()).flatten();
                }
            }
            let shot = source.next(POLL)?;
            self.trial.check_silence()?;
            let picture = match shot {
                Shot::Picture(captured) => {
                    health.dropped.add_many(captured.dropped);
                    checked(captured, plan.as_ref()).and_then(|captured| sizes.plausible(captured))
                }
                Shot::Corrupt(why) => Err(why),
                Shot::Nothing => {
                    let (why, patience) = (source.why_nothing(), patience(pauses.longest(), camera.away_after_s));
                    if last.elapsed() >= patience || (why.is_some() && last.elapsed() >= SILENCE) {
                        bail!(why.unwrap_or_else(|| nothing_for(patience, pauses.longest().is_zero())));
                    }
                    continue;
                }
            };
            match picture {
                Ok(captured) => {
                    let now = Instant::now();
                    if first.is_some() {
                        pauses.add(now - last, now);
                    }
                    last = now;
                    first.get_or_insert(last);
                    let new_shape = Some((captured.format.fourcc, captured.width, captured.height));
                    if shape != new_shape {
                        shape = new_shape;
                        self.online(&camera, &captured, &source.describe());
                        hints.clear();
                    }
                    self.measure(&captured, &*source)?;
                    self.publish(captured, turn, mask.clone());
                    self.hint(&*source, &mut hints);
                }
                Err(why) => {
                    health.corrupt.add();
                    self.trial.is_broken(&why);
                    // A source that knows the reason reports that reason once instead.
                    if source.why_nothing().is_none() {
                        health.faults.report(Cause::BrokenPicture, &why);
                    }
                    let patience = patience(pauses.longest(), camera.away_after_s);
                    if last.elapsed() >= patience {
                        let broken = || format!("only damaged pictures for {} s: {why}", patience.as_secs());
                        bail!(source.why_nothing().unwrap_or_else(broken));
                    }
                }
            }
        }
        self.trial.end(&self.config(), &mut *source);
        Ok(())
    }

    /// Answers a question of an admin, and ends a trial whose time has passed. Returns true when the trial may have
    /// changed.
    fn tune(&mut self, source: &mut dyn Source, camera: &Camera) -> bool {
        self.trial.belongs_to(&camera.source);
        let is_over = self.trial.is_over();
        if is_over {
            log::info!("camera: what was tried is not saved and is put back");
            self.trial.end(&self.config(), source);
        }
        let Some((ticket, ask)) = self.stage.tuning.next() else { return is_over };
        let (mut refused, mut changed) = Default::default();
        match ask {
            Ask::List => {}
            Ask::Controls(wanted) => (refused, changed) = self.trial.controls(&camera.source, &wanted, source),
            Ask::PutBack => self.trial.end(&self.config(), source),
            Ask::Mode(mode) => {
                self.trial.mode(&camera.source, mode, ticket);
                return true;
            }
        }
        let answer = self.answer(source).map(|answer| Answer { refused, changed, ..answer });
        self.stage.tuning.answer(ticket, answer);
        true
    }

    /// The newest config of the camera.
    fn config(&self) -> Camera {
        self.stage.config.newest().map(|(_, config)| config.camera.clone()).unwrap_or_default()
    }

    fn answer(&self, source: &dyn Source) -> Result<Answer, Trouble> {
        let answer = self.trial.answer(&self.config(), source);
        answer.ok_or_else(|| Trouble::Unfit("this camera has no controls and modes that namecam can set".to_owned()))
    }

    /// Counts a picture of a mode that is being measured, and answers the admin when the measurement is complete.
    fn measure(&mut self, captured: &Captured, source: &dyn Source) -> Result<()> {
        if let Some((ticket, measured)) = self.trial.count(captured)? {
            let answer = self.answer(source).map(|answer| Answer { measured: Some(measured), ..answer });
            self.stage.tuning.answer(ticket, answer);
        }
        Ok(())
    }

    /// Gives up the mode that is being measured. Returns false when no mode is being measured.
    fn give_up_mode(&mut self, error: &anyhow::Error) -> bool {
        let Some(ticket) = self.trial.give_up_mode() else { return false };
        log::info!("camera: the mode that was tried is put back: {error:#}");
        self.stage.tuning.answer(ticket, Err(Trouble::Unfit(format!("{error:#}"))));
        true
    }

    fn publish(&mut self, captured: Captured, turn: Turn, mask: Mask) {
        let Captured { format, width, height, stride, mut bytes, captured_at, .. } = captured;
        self.seq += 1;
        // The orientation is removed from the JPEG's metadata and becomes part of the turn, so that the picture looks
        // the same with and without an overlay.
        let turn = if format.jpeg { jpeg::take_orientation(&mut bytes).then(turn) } else { turn };
        let frame = Frame::new(self.seq, captured_at, format, Raw { bytes, width, height, stride }, turn).masked(mask);
        self.stage.health.ages.frame_published(&frame);
        self.stage.frames.publish(Arc::new(frame));
        self.stage.health.frame_came();
    }

    fn online(&mut self, camera: &Camera, captured: &Captured, what: &str) {
        let Captured { format, width, height, .. } = captured;
        self.stage.health.camera_is_online(&camera.source.public(), &format.name(), *width, *height);
        let news = format!("camera: {what}; delivers {} {width}x{height}", format.name());
        if let Some(line) = self.news.of(news, Instant::now()) {
            log::info!("{line}");
        }
        self.told = None;
    }

    /// Reports the hints of the source when they have changed.
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
        let cause = error.downcast_ref::<SourceEnd>().map_or(text, |ended| ended.how.clone());
        if self.told.as_ref() != Some(&cause) {
            self.stage.health.faults.report(Cause::CameraAway, &cause);
            self.told = Some(cause);
        }
    }

    /// Waits for `rest`. Returns false early when the config names another source, or when a device appears that was
    /// not in `before`.
    fn rest(&self, camera: &Camera, rest: Duration, before: &[v4l2::Seen]) -> bool {
        let until = Instant::now() + rest;
        loop {
            self.stage.health.capture_beat.beat();
            if let Some((ticket, _)) = self.stage.tuning.next() {
                let why = self.stage.health.camera().error.unwrap_or_default();
                self.stage.tuning.answer(ticket, Err(Trouble::Away(why)));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stage.stop.wait(left.min(POLL)) {
                return true;
            }
            if self
                .stage
                .config
                .newest()
                .is_some_and(|(_, config)| !same_source(camera, &self.trial.camera(&config.camera)))
            {
                return false;
            }
            if devices(camera).iter().any(|device| !before.contains(device)) {
                return false;
            }
        }
    }
}

/// The longest pause between two pictures of a running source within the last one or two spans of [`PAUSE_COUNTS_FOR`],
/// so that one long pause does not count for as long as the source runs.
#[derive(Default)]
struct LongestPause {
    newer: Duration,
    older: Duration,
    /// The number of pauses in the newer span, and its beginning.
    count: u32,
    since: Option<Instant>,
}

impl LongestPause {
    fn add(&mut self, pause: Duration, now: Instant) {
        let since = *self.since.get_or_insert(now);
        (self.newer, self.count) = (self.newer.max(pause), self.count.saturating_add(1));
        if self.count >= LEAST_PAUSES && now.saturating_duration_since(since) >= PAUSE_COUNTS_FOR {
            *self = LongestPause { older: self.newer, since: Some(now), ..LongestPause::default() };
        }
    }

    fn longest(&self) -> Duration {
        self.newer.max(self.older)
    }
}

/// How long a source may deliver nothing. Until two pictures have come, `camera.away_after_s` sets this time.
fn patience(longest_pause: Duration, away_after_s: u32) -> Duration {
    if longest_pause.is_zero() {
        Duration::from_secs(away_after_s.into())
    } else {
        (longest_pause * PAUSES_OF_SILENCE).max(SILENCE)
    }
}

/// The error that no picture came. `by_the_key` is true when `camera.away_after_s` sets the time.
fn nothing_for(patience: Duration, by_the_key: bool) -> String {
    let remedy = if by_the_key { "; a slower camera needs a larger camera.away_after_s" } else { "" };
    format!("no picture for {} s{remedy}", patience.as_secs())
}

/// Completes and checks a picture.
///
/// # Errors
/// Why the picture cannot be used.
pub(crate) fn checked(mut captured: Captured, plan: Option<&Plan>) -> Result<Captured, String> {
    if captured.format.jpeg {
        captured.bytes = jpeg::tidy(captured.bytes)?;
        let (width, height) = jpeg::size(&captured.bytes).ok_or("it has no size")?;
        if (captured.bytes.len() as u64) < jpeg::least_bytes(width, height) {
            return Err(format!("it is too short for its size of {width}x{height}"));
        }
        (captured.width, captured.height) = (width, height);
    }
    let Captured { format, width, height, stride, .. } = captured;
    check_size(width, height)?;
    plan.map_or(Ok(()), |plan| plan.check_frame(width, height))?;
    if captured.bytes.len() < format.min_size(width, height, stride) {
        return Err(format!("{} {width}x{height} is incomplete", format.name()));
    }
    Ok(captured)
}

#[cfg(test)]
mod tests;
