//! [`Rendition`]: a form of the stream, such as the default one or `?width=320`. Each frame is encoded at most once per
//! rendition, for any number of viewers, and not at all without subscriptions. A frame that equals the last one, with
//! the same overlay, is not encoded again.
//!
//! A rendition has no thread of its own: one of the threads that wait for its next picture encodes that picture, so a
//! single viewer needs no further thread. The thread returns the encoder before it writes to its client, so a slow
//! client delays no other viewer. Each rendition has its own encoder, and no lock is held during encoding, so
//! renditions are encoded in parallel. Renditions share the decoded frame ([`Frame::rgb`]), the fonts, and the encoded
//! picture when two renditions have equal pictures.
//!
//! `overlay.unknown = blur` applies to every picture, and `overlay.blur_for_viewers` to the renditions for viewers
//! ([`RenditionSpec::blur`]). Both guarantee the following. Without a recent look at the whole frame (at the start,
//! without models, with recognition off, before the first look after a reload) the whole picture is blurred. Areas that
//! have changed since the last look are blurred, except faces with a name ([`crate::detection::Examined`]). A face
//! without a name stays blurred where it was last seen until that look is stale. An area in which the detector finds no
//! face is clear after two looks.

mod renderer;

use crate::config::{self, Config};
use crate::detection::Sightings;
use crate::frame::{Frame, Jpeg, Moment};
use crate::os::localtime;
use crate::stream::overlay::{Away, Painter};
use crate::sync::{Latest, Stop, lock, wait};
use crate::telemetry::faults::Cause;
use crate::telemetry::health::Health;
use renderer::{Appearance, Renderer, Unrenderable};
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, Weak};
use std::time::{Duration, Instant};

/// How long a camera with an error must deliver no frame before it counts as unavailable. Shorter failures are ignored.
const AWAY_AFTER: Duration = Duration::from_secs(1);
/// The interval of the notice pictures while the camera is unavailable.
const AWAY_EVERY: Duration = Duration::from_secs(1);
/// When no frame comes for this time, the last frame is encoded again if its overlay has changed.
const PATIENCE: Duration = Duration::from_millis(150);

/// The inputs and the counters of the encoders.
pub struct Stage {
    pub config: Arc<Latest<Config>>,
    pub frames: Arc<Latest<Frame>>,
    pub sightings: Arc<Latest<Sightings>>,
    pub health: Arc<Health>,
    pub stop: Arc<Stop>,
}

/// The properties of a rendition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RenditionSpec {
    /// False for a rendition without boxes and names. Blurred areas stay blurred.
    pub overlay: bool,
    /// The largest width in pixels; 0: as in the config.
    pub width: u32,
    /// The most pictures per second; 0: as in the config.
    pub fps: u32,
    /// True when faces without a name are blurred, whatever `overlay.unknown` says: a rendition for viewers with
    /// `overlay.blur_for_viewers`.
    pub blur: bool,
}

impl RenditionSpec {
    pub const USUAL: RenditionSpec = RenditionSpec { overlay: true, width: 0, fps: 0, blur: false };

    /// True for the two default renditions: the unblurred one, and the one in which strangers are blurred.
    pub fn is_usual(self) -> bool {
        RenditionSpec { blur: false, ..self } == Self::USUAL
    }
}

/// A form of the stream: its newest picture, and the encoder of the next one.
pub struct Rendition {
    pub spec: RenditionSpec,
    shared: Arc<Shared>,
    newest: Mutex<Newest>,
    changed: Condvar,
}

#[derive(Default)]
struct Newest {
    version: u64,
    jpeg: Option<Arc<Jpeg>>,
    /// The encoder. It is created for the first picture, and absent while a thread encodes a picture.
    encoder: Option<Encoder>,
    /// True while a thread encodes a picture.
    in_work: bool,
}

impl Rendition {
    pub fn usual(stage: Stage) -> Arc<Rendition> {
        let (pictures, painter, shown_frame, bad_frame) = Default::default();
        Self::new(RenditionSpec::USUAL, Arc::new(Shared { stage, pictures, painter, shown_frame, bad_frame }))
    }

    /// Another rendition of the same stream.
    pub fn another(&self, spec: RenditionSpec) -> Arc<Rendition> {
        Self::new(spec, Arc::clone(&self.shared))
    }

    fn new(spec: RenditionSpec, shared: Arc<Shared>) -> Arc<Rendition> {
        Arc::new(Rendition { spec, shared, newest: Mutex::default(), changed: Condvar::new() })
    }

    /// The newest picture, if any, and its number (from 1).
    pub fn newest(&self) -> Option<(u64, Arc<Jpeg>)> {
        let newest = lock(&self.newest);
        newest.jpeg.clone().map(|jpeg| (newest.version, jpeg))
    }

    /// A picture newer than number `seen` (0: any), encoded by this thread or by another one. Waits at most `timeout`
    /// plus the time to encode the picture.
    pub fn next(&self, seen: u64, timeout: Duration) -> Option<(u64, Arc<Jpeg>)> {
        let deadline = Instant::now() + timeout;
        let mut newest = lock(&self.newest);
        loop {
            if newest.version > seen {
                return newest.jpeg.clone().map(|jpeg| (newest.version, jpeg));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            if newest.in_work {
                newest = wait(&self.changed, newest, left);
                continue;
            }
            let made = self.make(newest, left);
            if made.is_some() {
                return made;
            }
            newest = lock(&self.newest);
        }
    }

    /// Encodes the next picture without the lock. All waiting threads get the picture. When there is no new picture,
    /// one of the waiting threads tries next.
    fn make(&self, mut newest: MutexGuard<'_, Newest>, patience: Duration) -> Option<(u64, Arc<Jpeg>)> {
        newest.in_work = true;
        let encoder = newest.encoder.take();
        drop(newest);
        let mut encoder = encoder.unwrap_or_else(|| Encoder::new(&self.shared, self.spec));
        let jpeg = encoder.next(patience);
        let mut newest = lock(&self.newest);
        (newest.in_work, newest.encoder) = (false, Some(encoder));
        let old = jpeg.as_ref().and_then(|jpeg| newest.put(jpeg));
        let version = newest.version;
        drop(newest);
        self.changed.notify_all();
        // The old picture, of up to hundreds of kilobytes, is freed without the lock, after the waiting threads were
        // notified.
        drop(old);
        jpeg.map(|jpeg| (version, jpeg))
    }

    /// Takes the encoder out, so that the caller can drop it when there are no subscriptions. The newest picture stays.
    pub(crate) fn take_encoder(&self) -> Option<Encoder> {
        lock(&self.newest).encoder.take()
    }

    /// Publishes a picture that was made elsewhere.
    #[cfg(test)]
    pub(crate) fn publish(&self, jpeg: &Arc<Jpeg>) {
        lock(&self.newest).put(jpeg);
        self.changed.notify_all();
        // Wakes a thread that waits for a frame, so that it sees the picture.
        let (format, raw) =
            (crate::image::Format::mjpg(), crate::image::Raw { bytes: Vec::new(), width: 1, height: 1, stride: 0 });
        self.shared.stage.frames.publish(Arc::new(Frame::new(0, Moment::now(), format, raw, Default::default())));
    }
}

impl Newest {
    /// Stores a picture, and returns the previous picture.
    fn put(&mut self, jpeg: &Arc<Jpeg>) -> Option<Arc<Jpeg>> {
        self.version += 1;
        self.jpeg.replace(Arc::clone(jpeg))
    }
}

/// The state that all renditions share. No lock is held during encoding.
struct Shared {
    stage: Stage,
    /// The pictures that are being encoded or are still in use by a rendition.
    pictures: Mutex<Vec<Weak<EncodedPicture>>>,
    /// The painter with the loaded fonts. Each renderer uses a clone of it.
    painter: Mutex<Option<Painter>>,
    /// The number of the newest frame that was shown.
    shown_frame: AtomicU64,
    /// The number of the newest frame that could not be decoded.
    bad_frame: AtomicU64,
}

/// A picture of a frame. Renditions with equal pictures share it, for example `?fps=5` and a rendition with a width
/// beyond the frame's width.
struct EncodedPicture {
    /// The number of the frame.
    number: u64,
    /// The frame without its decoded picture, for comparison with later frames.
    frame: Frame,
    appearance: Appearance,
    /// The encoded picture. The first rendition that needs the picture encodes it; other renditions wait for the
    /// result.
    jpeg: OnceLock<Result<Arc<Jpeg>, Unrenderable>>,
}

impl Shared {
    /// The picture of the frame with this number and appearance, encoded or to be encoded.
    fn picture(&self, number: u64, frame: &Frame, appearance: Appearance) -> Arc<EncodedPicture> {
        let mut pictures = lock(&self.pictures);
        pictures.retain(|picture| picture.strong_count() > 0);
        let mut known = pictures.iter().filter_map(Weak::upgrade);
        if let Some(picture) = known.find(|picture| picture.number == number && picture.appearance == appearance) {
            return picture;
        }
        let picture = Arc::new(EncodedPicture { number, frame: frame.undecoded(), appearance, jpeg: OnceLock::new() });
        pictures.push(Arc::downgrade(&picture));
        picture
    }

    /// A painter for this `[overlay]`. The first call loads the fonts; other renderers wait until they are loaded.
    fn painter(&self, overlay: &config::Overlay) -> Painter {
        let mut slot = lock(&self.painter);
        match &*slot {
            Some(painter) if painter.config() == overlay => painter.clone(),
            _ => slot.insert(Painter::new(overlay)).clone(),
        }
    }

    /// Counts a picture of the frame with this number. In the rate of the stream several pictures of a frame count
    /// once.
    fn count(&self, number: u64, jpeg: &Jpeg) {
        if self.shown_frame.fetch_max(number, Relaxed) < number {
            self.stage.health.stream_fps.tick();
        }
        self.stage.health.ages.picture_encoded(jpeg);
    }
}

/// Encodes the pictures of a rendition, one after the other.
pub(crate) struct Encoder {
    shared: Arc<Shared>,
    spec: RenditionSpec,
    renderer: Renderer,
    /// The earliest time of the next picture, for `max_fps`.
    due: Instant,
    /// The earliest time of the next notice that the camera is unavailable.
    away_due: Instant,
    /// The number of the last frame that was processed.
    seen: u64,
    last: Option<Arc<EncodedPicture>>,
    /// Since when no frame could be decoded.
    undecodable_since: Option<Instant>,
}

impl Encoder {
    fn new(shared: &Arc<Shared>, spec: RenditionSpec) -> Encoder {
        let (shared, renderer, now) = (Arc::clone(shared), Renderer::new(Arc::clone(shared)), Instant::now());
        Encoder { shared, spec, renderer, due: now, away_due: now, seen: 0, last: None, undecodable_since: None }
    }

    /// Encodes the next picture. Waits at most `patience` for a new frame.
    fn next(&mut self, patience: Duration) -> Option<Arc<Jpeg>> {
        let shared = Arc::clone(&self.shared);
        let stage = &shared.stage;
        let is_away = camera_is_away(stage);
        let due = if is_away { self.due.max(self.away_due) } else { self.due };
        let early = due.saturating_duration_since(Instant::now());
        if !early.is_zero() {
            stage.stop.wait(early.min(patience));
            return None;
        }
        if !is_away {
            stage.frames.wait_newer(self.seen, patience.min(PATIENCE));
        }
        let (version, config) = stage.config.newest()?;
        let working = stage.health.encoding.begin();
        let jpeg = if camera_is_away(stage) {
            self.undecodable_since = None;
            self.show_away(stage, &config, &away_words(stage))
        } else {
            self.show(&shared, &config, version)
        };
        drop(working);
        let now = Instant::now();
        let limits = [config.stream.max_fps, self.spec.fps];
        let limit = limits.into_iter().filter(|fps| *fps > 0).min();
        if let (Some(_), Some(fps)) = (&jpeg, limit) {
            self.due = next_due(self.due, now, Duration::from_secs(1) / fps);
        }
        jpeg
    }

    /// A picture of the newest frame, if the frame or its overlay is new.
    fn show(&mut self, shared: &Shared, config: &Config, version: u64) -> Option<Arc<Jpeg>> {
        let (number, frame) = shared.stage.frames.newest()?;
        let appearance = self.renderer.appearance(config, version, &frame, self.spec);
        let is_new = std::mem::replace(&mut self.seen, number) != number;
        let again =
            self.last.as_ref().filter(|last| last.appearance == appearance && frame.shows_the_same(&last.frame));
        if !is_new && (again.is_some() || self.last.is_none()) {
            return None;
        }
        let again = again.and_then(|last| last.jpeg.get()?.as_ref().ok());
        let picture = shared.picture(number, &frame, appearance);
        let made = picture.jpeg.get_or_init(|| {
            let bytes = match again {
                Some(jpeg) => {
                    shared.stage.health.repeated.add();
                    Arc::clone(jpeg.picture())
                }
                None => self.renderer.render(config, &frame, &picture.appearance)?,
            };
            let jpeg = Jpeg::of_frame(bytes, &frame, is_new, picture.appearance.hides_strangers());
            shared.count(number, &jpeg);
            Ok(Arc::new(jpeg))
        });
        match made {
            Ok(jpeg) => {
                let jpeg = Arc::clone(jpeg);
                (self.undecodable_since, self.last) = (None, Some(picture));
                Some(jpeg)
            }
            Err(error) => {
                // The frame is not decoded again, because that would fail again.
                self.last = None;
                self.cannot_show(shared, config, error)
            }
        }
    }

    /// Handles an undecodable frame. A single undecodable frame is skipped. When all frames are undecodable for
    /// [`AWAY_AFTER`], viewers see a notice instead of an old picture.
    fn cannot_show(&mut self, shared: &Shared, config: &Config, error: &Unrenderable) -> Option<Arc<Jpeg>> {
        let health = &shared.stage.health;
        let why = match error {
            Unrenderable::Picture(why) => {
                health.faults.report(Cause::PictureUnencodable, why);
                return None;
            }
            Unrenderable::Frame(why) => why,
        };
        if shared.bad_frame.fetch_max(self.seen, Relaxed) < self.seen {
            health.corrupt.add();
            health.faults.report(Cause::FrameUndecodable, why);
        }
        let since = *self.undecodable_since.get_or_insert_with(Instant::now);
        if since.elapsed() > AWAY_AFTER {
            let since = localtime::clock_since(since);
            let why = format!("frames cannot be decoded: {why}");
            return self.show_away(&shared.stage, config, &Away { starting: false, why, since });
        }
        None
    }

    /// Encodes the notice that the camera is unavailable, at most once per [`AWAY_EVERY`].
    fn show_away(&mut self, stage: &Stage, config: &Config, says: &Away) -> Option<Arc<Jpeg>> {
        let now = Instant::now();
        if self.away_due > now {
            return None;
        }
        (self.away_due, self.last) = (now + AWAY_EVERY, None);
        match self.renderer.away(config, says, self.spec) {
            Ok(picture) => Some(Arc::new(Jpeg::new(picture, Moment::now(), false))),
            Err(error) => {
                stage.health.faults.report(Cause::PictureUnencodable, &error);
                None
            }
        }
    }
}

fn camera_is_away(stage: &Stage) -> bool {
    if stage.health.camera_online() {
        return false;
    }
    let last = stage.frames.newest().map(|(_, frame)| frame.captured_at.instant);
    last.map_or_else(|| stage.health.started.elapsed(), |at| at.elapsed()) > AWAY_AFTER
}

fn away_words(stage: &Stage) -> Away {
    let camera = stage.health.camera();
    let why = camera.error.unwrap_or_default();
    let starting = stage.frames.newest().is_none() && stage.health.camera_is_starting();
    Away { starting, why, since: localtime::clock_since(camera.since) }
}

/// The next time in steps of `interval`. When a step was missed, the steps start again at `now`.
fn next_due(due: Instant, now: Instant, interval: Duration) -> Instant {
    let next = due + interval;
    if next > now { next } else { now + interval }
}

#[cfg(test)]
mod tests;
