//! [`Rendition`]: one form of the stream, such as the usual one or `?width=320`. A picture of it is encoded at most once a
//! frame, however many viewers get it, and not at all while nobody watches. A frame or an overlay that shows nothing new is
//! not encoded again.
//!
//! A rendition has no thread of its own: of those who wait for its next picture one makes it, so that one viewer needs no
//! other thread. That viewer has let go of the encoder before it writes to its client, so that a slow client holds up nobody.
//! Each rendition has an encoder of its own, and no lock is held while a picture is made: renditions work side by side, on
//! as many cores as there are. They share what costs the same for all: the decoded frame ([`Frame::rgb`]), the fonts, and a
//! picture where two wishes come to the same.
//!
//! What `overlay.unknown = blur` promises: no picture goes out past it; without a recent look at the whole frame (at start,
//! without models, with recognition off, before the first look after a reload) the whole picture is blurred; what a frame
//! shows and the last look has not seen is blurred, but for faces with a name ([`crate::sighting::Looked`]); and a face
//! without a name stays blurred where it was last seen until that look is stale. What the detector does not see is clear
//! after two looks.

mod renderer;

use crate::config::{self, Config};
use crate::frame::{Frame, Jpeg, Moment};
use crate::health::{Cause, Health, lock};
use crate::latest::Latest;
use crate::localtime;
use crate::overlay::{Away, Painter};
use crate::sighting::Sightings;
use crate::stop::Stop;
use renderer::{Look, Renderer, Unrenderable};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Without a frame for so long, a camera that reports an error is away; before, it may just have stumbled.
const AWAY_AFTER: Duration = Duration::from_secs(1);
/// The picture of a camera that is away comes so often.
const AWAY_EVERY: Duration = Duration::from_secs(1);
/// Without a frame for so long, the last one is shown again if there is something new to draw on it.
const PATIENCE: Duration = Duration::from_millis(150);

/// What the encoders read, and where they count.
pub struct Stage {
    /// The config at work.
    pub config: Arc<Latest<Config>>,
    /// Frames of the camera.
    pub frames: Arc<Latest<Frame>>,
    /// What recognition says.
    pub sightings: Arc<Latest<Sightings>>,
    /// Counters and heartbeats.
    pub health: Arc<Health>,
    /// Ends every wait.
    pub stop: Arc<Stop>,
}

/// What somebody wants to see. The usual: everything as the config says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// False: without boxes and names. What is blurred stays blurred.
    pub overlay: bool,
    /// No wider than that, in pixels; 0: as the config says.
    pub width: u32,
    /// No more pictures a second than that; 0: as the config says.
    pub fps: u32,
}

impl Wish {
    /// Everything as the config says.
    pub const USUAL: Wish = Wish { overlay: true, width: 0, fps: 0 };
}

/// One form of the stream: its newest picture, and the encoder that makes the next one.
pub struct Rendition {
    /// What its pictures are.
    pub wish: Wish,
    shared: Arc<Shared>,
    newest: Mutex<Newest>,
    changed: Condvar,
    /// How many want them. Written under the lock of the table only.
    pub(crate) seats: AtomicUsize,
}

#[derive(Default)]
struct Newest {
    /// Counts the pictures.
    version: u64,
    jpeg: Option<Arc<Jpeg>>,
    /// Taken while a picture is made; made itself when the first picture is wanted.
    encoder: Option<Encoder>,
    /// True while somebody makes a picture.
    in_work: bool,
    /// How many wait for that picture.
    waiting: usize,
}

impl Rendition {
    /// The usual one. Nobody wants it yet.
    pub fn usual(stage: Stage) -> Arc<Rendition> {
        Self::new(Wish::USUAL, Arc::new(Shared::new(stage)))
    }

    /// Another one of the same stream.
    pub fn another(&self, wish: Wish) -> Arc<Rendition> {
        Self::new(wish, Arc::clone(&self.shared))
    }

    fn new(wish: Wish, shared: Arc<Shared>) -> Arc<Rendition> {
        let (newest, seats) = (Mutex::default(), AtomicUsize::new(0));
        Arc::new(Rendition { wish, shared, newest, changed: Condvar::new(), seats })
    }

    /// How many want its pictures.
    pub fn seats(&self) -> usize {
        self.seats.load(Relaxed)
    }

    /// The newest picture, if there has been one, and its counter (from 1).
    pub fn newest(&self) -> Option<(u64, Arc<Jpeg>)> {
        let newest = lock(&self.newest);
        newest.jpeg.clone().map(|jpeg| (newest.version, jpeg))
    }

    /// A picture newer than the one with counter `seen` (0: any), made here or by somebody else; waits for it for
    /// `timeout` at most, and as long as it takes to make it.
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
                newest = self.wait(newest, left);
                continue;
            }
            let made = self.make(newest, left);
            if made.is_some() {
                return made;
            }
            newest = lock(&self.newest);
        }
    }

    fn wait<'a>(&self, mut newest: MutexGuard<'a, Newest>, timeout: Duration) -> MutexGuard<'a, Newest> {
        newest.waiting += 1;
        let mut newest = self.changed.wait_timeout(newest, timeout).unwrap_or_else(PoisonError::into_inner).0;
        newest.waiting -= 1;
        newest
    }

    /// Makes the next picture, outside the lock. All who wait get it; when there is none, the first of them tries next.
    fn make(&self, mut newest: MutexGuard<'_, Newest>, patience: Duration) -> Option<(u64, Arc<Jpeg>)> {
        newest.in_work = true;
        let encoder = newest.encoder.take();
        drop(newest);
        let mut encoder = encoder.unwrap_or_else(|| Encoder::new(&self.shared, self.wish));
        let jpeg = encoder.next(patience);
        let mut newest = lock(&self.newest);
        (newest.in_work, newest.encoder) = (false, Some(encoder));
        let old = jpeg.as_ref().and_then(|jpeg| newest.put(jpeg));
        let (version, waiting) = (newest.version, newest.waiting);
        drop(newest);
        if waiting > 0 {
            self.changed.notify_all();
        }
        // What may be hundreds of kilobytes is freed outside the lock, and after the others are on their way.
        drop(old);
        jpeg.map(|jpeg| (version, jpeg))
    }

    /// Gives the encoder away, to be dropped while nobody wants pictures; the newest picture stays.
    pub(crate) fn take_encoder(&self) -> Option<Encoder> {
        lock(&self.newest).encoder.take()
    }

    /// Shows viewers a picture that somebody else made.
    #[cfg(test)]
    pub(crate) fn publish(&self, jpeg: &Arc<Jpeg>) {
        lock(&self.newest).put(jpeg);
        self.changed.notify_all();
        // A thread that waits for a frame sees that there is a picture.
        let (format, raw) =
            (crate::pixels::Format::mjpg(), crate::pixels::Raw { bytes: Vec::new(), width: 1, height: 1, stride: 0 });
        self.shared.stage.frames.publish(Arc::new(Frame::new(0, Moment::now(), format, raw, Default::default())));
    }
}

impl Newest {
    /// Returns the picture that was the newest so far.
    fn put(&mut self, jpeg: &Arc<Jpeg>) -> Option<Arc<Jpeg>> {
        self.version += 1;
        self.jpeg.replace(Arc::clone(jpeg))
    }
}

/// What all renditions share. No lock is held while a picture is made.
struct Shared {
    stage: Stage,
    /// The pictures that some rendition still has, and those in the making.
    pictures: Mutex<Vec<Weak<Picture>>>,
    /// Has read the fonts; each renderer draws with a clone.
    painter: Mutex<Option<Painter>>,
    /// The counter of the newest frame that was shown.
    shown_frame: AtomicU64,
    /// The counter of the newest frame that could not be decoded.
    bad_frame: AtomicU64,
}

/// A picture of a frame. Two renditions whose wishes come to the same, such as `?fps=5` and one that is wider than the
/// frame, share it.
struct Picture {
    /// The counter of the frame.
    number: u64,
    /// Without its decoded picture, which later ones are not compared with.
    frame: Frame,
    look: Look,
    /// The rendition that asks first makes it; another one that asks meanwhile waits for it.
    jpeg: OnceLock<Result<Arc<Jpeg>, Unrenderable>>,
}

impl Shared {
    fn new(stage: Stage) -> Shared {
        let (pictures, painter, shown_frame, bad_frame) = Default::default();
        Shared { stage, pictures, painter, shown_frame, bad_frame }
    }

    /// The picture of the frame with this counter that looks so, made already or to be made.
    fn picture(&self, number: u64, frame: &Frame, look: Look) -> Arc<Picture> {
        let mut pictures = lock(&self.pictures);
        pictures.retain(|picture| picture.strong_count() > 0);
        let mut known = pictures.iter().filter_map(Weak::upgrade);
        if let Some(picture) = known.find(|picture| picture.number == number && picture.look == look) {
            return picture;
        }
        let picture = Arc::new(Picture { number, frame: frame.undecoded(), look, jpeg: OnceLock::new() });
        pictures.push(Arc::downgrade(&picture));
        picture
    }

    /// A painter for this `[overlay]`. The first one reads the fonts; a renderer that wants another one meanwhile waits.
    fn painter(&self, overlay: &config::Overlay) -> Painter {
        let mut slot = lock(&self.painter);
        match &*slot {
            Some(painter) if painter.config() == overlay => painter.clone(),
            _ => slot.insert(Painter::new(overlay)).clone(),
        }
    }

    /// Counts a picture that was made of the frame with this counter; several of one frame are one of the stream.
    fn count(&self, number: u64, jpeg: &Jpeg) {
        if self.shown_frame.fetch_max(number, Relaxed) < number {
            self.stage.health.stream_fps.tick();
        }
        self.stage.health.ages.picture_encoded(jpeg);
    }
}

/// Makes the pictures of one rendition, one after the other.
pub(crate) struct Encoder {
    shared: Arc<Shared>,
    wish: Wish,
    renderer: Renderer,
    /// No picture before this, for `max_fps`.
    due: Instant,
    /// Nor one that says that the camera is away.
    away_due: Instant,
    /// The counter of the last frame that was worked on.
    seen: u64,
    /// The last picture of the camera.
    last: Option<Arc<Picture>>,
    /// Since when no frame could be decoded.
    undecodable_since: Option<Instant>,
}

impl Encoder {
    fn new(shared: &Arc<Shared>, wish: Wish) -> Encoder {
        let (shared, renderer, now) = (Arc::clone(shared), Renderer::new(Arc::clone(shared)), Instant::now());
        Encoder { shared, wish, renderer, due: now, away_due: now, seen: 0, last: None, undecodable_since: None }
    }

    /// Makes a picture of what is newer than the last one; waits for it no longer than `patience`.
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
            self.show_away(stage, &config, &away_words(stage))
        } else {
            self.show(&shared, &config, version)
        };
        drop(working);
        let now = Instant::now();
        let limits = [config.stream.max_fps, self.wish.fps];
        let limit = limits.into_iter().filter(|fps| *fps > 0).min();
        if let (Some(_), Some(fps)) = (&jpeg, limit) {
            self.due = next_due(self.due, now, Duration::from_secs(1) / fps);
        }
        jpeg
    }

    /// A picture of the newest frame, if it has something new to show.
    fn show(&mut self, shared: &Shared, config: &Config, version: u64) -> Option<Arc<Jpeg>> {
        let (number, frame) = shared.stage.frames.newest()?;
        self.renderer.update(config, Instant::now());
        let look = self.renderer.look(config, version, &frame, self.wish);
        let is_new = std::mem::replace(&mut self.seen, number) != number;
        let again = self.last.as_ref().filter(|last| last.look == look && frame.shows_the_same(&last.frame));
        if !is_new && (again.is_some() || self.last.is_none()) {
            return None;
        }
        let again = again.and_then(|last| last.jpeg.get()?.as_ref().ok());
        let picture = shared.picture(number, &frame, look);
        let made = picture.jpeg.get_or_init(|| {
            let bytes = match again {
                Some(jpeg) => {
                    shared.stage.health.repeated.add();
                    Arc::clone(jpeg.picture())
                }
                None => self.renderer.render(config, &frame, &picture.look)?,
            };
            let jpeg = Jpeg::of_frame(bytes, &frame, is_new);
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
                // It is not tried again: it would fail again.
                self.last = None;
                self.cannot_show(shared, config, error)
            }
        }
    }

    /// One bad frame is passed over; when none is good, viewers are told rather than shown an old one.
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
            let why = format!("a frame cannot be decoded: {why}");
            return self.show_away(&shared.stage, config, &Away { starting: false, why, since });
        }
        None
    }

    /// Says once a second that there is no picture of the camera, why, and since when.
    fn show_away(&mut self, stage: &Stage, config: &Config, says: &Away) -> Option<Arc<Jpeg>> {
        let now = Instant::now();
        if self.away_due > now {
            return None;
        }
        (self.away_due, self.last) = (now + AWAY_EVERY, None);
        match self.renderer.away(config, says, self.wish) {
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
    last.unwrap_or(stage.health.started).elapsed() > AWAY_AFTER
}

/// What is to be said of a camera that gives nothing.
fn away_words(stage: &Stage) -> Away {
    let camera = stage.health.camera();
    let why = camera.error.unwrap_or_default();
    let starting = stage.frames.newest().is_none() && why == "starting";
    Away { starting, why, since: localtime::clock_since(camera.since) }
}

/// The next time on a grid of `interval`, which starts anew when a time was missed altogether.
fn next_due(due: Instant, now: Instant, interval: Duration) -> Instant {
    let next = due + interval;
    if next > now { next } else { now + interval }
}

#[cfg(test)]
mod tests;
