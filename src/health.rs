//! [`Health`]: what every stage counts and says about itself, for `/api/state`, `/metrics` and the watchdog.

use crate::ages::Ages;
mod faults;
mod reloads;

pub use faults::{Cause, Fault, Faults};
pub use reloads::Reloads;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn add(&self) {
        self.add_many(1);
    }

    /// Adds `n`.
    pub fn add_many(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A time that something took, or nothing when it never happened.
#[derive(Debug, Default)]
pub struct Took(AtomicU64);

impl Took {
    /// Sets it.
    pub fn set(&self, took: Duration) {
        self.0.store(took.as_micros().max(1) as u64, Relaxed);
    }

    /// In milliseconds.
    pub fn ms(&self) -> Option<f64> {
        let micros = self.0.load(Relaxed);
        (micros > 0).then_some(micros as f64 / 1000.0)
    }
}

/// Events a second, over the last whole second.
#[derive(Debug, Default)]
pub struct Rate(Mutex<Option<RateWindow>>);

#[derive(Debug)]
struct RateWindow {
    since: Instant,
    count: u32,
    last: f64,
}

impl Rate {
    /// Something happened.
    pub fn tick(&self) {
        self.at(Instant::now(), 1);
    }

    /// Events a second; 0 when none came for two seconds.
    pub fn per_second(&self) -> f64 {
        self.at(Instant::now(), 0)
    }

    fn at(&self, now: Instant, events: u32) -> f64 {
        let mut slot = lock(&self.0);
        let window = slot.get_or_insert(RateWindow { since: now, count: 0, last: 0.0 });
        let elapsed = now.saturating_duration_since(window.since);
        if elapsed >= Duration::from_secs(1) {
            let stale = elapsed >= Duration::from_secs(2);
            window.last = if stale { 0.0 } else { f64::from(window.count) / elapsed.as_secs_f64() };
            (window.since, window.count) = (now, 0);
        }
        window.count += events;
        window.last
    }
}

/// Shows that a loop goes round. A beat that stays away too long is a hang.
#[derive(Debug)]
pub struct Heartbeat {
    born: Instant,
    millis: AtomicU64,
}

impl Heartbeat {
    fn new(born: Instant) -> Heartbeat {
        Heartbeat { born, millis: AtomicU64::new(0) }
    }

    /// The loop has gone round.
    pub fn beat(&self) {
        self.millis.store(self.born.elapsed().as_millis() as u64, Relaxed);
    }

    /// How long ago it beat last.
    pub fn age(&self) -> Duration {
        self.born.elapsed().saturating_sub(Duration::from_millis(self.millis.load(Relaxed)))
    }
}

/// What several threads are at, and since when.
#[derive(Debug, Default)]
pub struct Ongoing(Mutex<Vec<Instant>>);

/// A piece of work, which ends on drop.
pub struct Begun<'a> {
    ongoing: &'a Ongoing,
    at: Instant,
}

impl Ongoing {
    /// A piece of work begins.
    pub fn begin(&self) -> Begun<'_> {
        let at = Instant::now();
        lock(&self.0).push(at);
        Begun { ongoing: self, at }
    }

    /// How long the oldest one has taken so far; 0 when there is none.
    pub fn age(&self) -> Duration {
        lock(&self.0).iter().min().map_or(Duration::ZERO, Instant::elapsed)
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        let mut all = lock(&self.ongoing.0);
        if let Some(place) = all.iter().position(|at| *at == self.at) {
            all.swap_remove(place);
        }
    }
}

/// What the camera is and does.
#[derive(Debug, Clone)]
pub struct CameraStatus {
    /// The source as the config names it.
    pub source: String,
    /// FourCC of what it sends, empty before the first frame.
    pub format: String,
    /// Width of what it sends, pixels.
    pub width: u32,
    /// Height of what it sends, pixels.
    pub height: u32,
    /// `None` while pictures come; else why not.
    pub error: Option<String>,
    /// What the user should know although pictures come.
    pub hint: Option<String>,
    /// Since when `error` stands, or since when pictures come. No time of day: a board without a clock learns that later.
    pub since: Instant,
}

/// The connections of clients, and how many had to go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connections {
    /// Connections that have never sent a whole request.
    pub waiting: usize,
    /// Connections whose requests were answered, and that may bring more.
    pub idle: usize,
    /// Connections on which a request is being answered.
    pub answering: usize,
    /// Connections on which a stream is sent.
    pub streaming: usize,
    /// Connections that were closed as soon as they came, since the start.
    pub refused: u64,
    /// Connections that were closed for a newer one, since the start.
    pub closed_early: u64,
    /// The client that has the most connections, and how many; of IPv6 the first address of its network.
    pub most: Option<(IpAddr, usize)>,
}

/// How often recognition looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pace {
    /// From the start of one look to the next.
    pub interval: Duration,
    /// `None`: as the config says; else why it is less often.
    pub slowed: Option<(Cause, String)>,
}

/// Every number and heartbeat of the program. Stages write, HTTP and the watchdog read.
#[derive(Debug)]
pub struct Health {
    /// When the program started.
    pub started: Instant,
    camera: Mutex<CameraStatus>,
    /// Frames that the camera gave.
    pub frames: Counter,
    /// Frames that never reached anybody because a newer one was there already.
    pub dropped: Counter,
    /// Frames that were broken: cut short, flagged by the driver, not a JPEG.
    pub corrupt: Counter,
    /// Frames a second of the camera.
    pub capture_fps: Rate,
    last_frame: Mutex<Option<Instant>>,
    /// Looks of the recognition.
    pub looks: Counter,
    /// Frames on which nothing had moved, so that there was nothing to look at.
    pub still: Counter,
    /// How long the last look took.
    pub look_took: Took,
    pace: Mutex<Pace>,
    last_look: Mutex<Option<Instant>>,
    /// `None` while recognition can work; else why not (no model, ...).
    recognition_error: Mutex<Option<String>>,
    /// True while a gallery is taken in.
    pub taking_in: AtomicBool,
    /// How many strangers of this camera are remembered.
    pub strangers_remembered: AtomicUsize,
    /// How far reloads have come.
    pub reloads: Reloads,
    /// Pictures that were encoded.
    pub encoded: Counter,
    /// Pictures that went out once more, because frame and overlay were as before.
    pub repeated: Counter,
    /// Pictures that went out as the camera made them.
    pub passed_through: Counter,
    /// How long the last encoding took, blending included.
    pub encode_took: Took,
    /// Pictures a second that are offered to viewers.
    pub stream_fps: Rate,
    connections: Mutex<Connections>,
    /// How old pictures are at each stage.
    pub ages: Ages,
    /// The capture loop.
    pub capture_beat: Heartbeat,
    /// The recognition loop.
    pub recognition_beat: Heartbeat,
    /// Pictures that are being made now.
    pub encoding: Ongoing,
    /// The HTTP loop.
    pub http_beat: Heartbeat,
    /// What went wrong.
    pub faults: Faults,
}

/// How long capture may be silent before it counts as hung. Opening a stubborn device takes seconds.
pub const CAPTURE_HANG: Duration = Duration::from_secs(20);
/// How long one step of recognition may take: the CNN on a large picture takes many seconds on a small board.
pub const RECOGNITION_HANG: Duration = Duration::from_secs(120);

impl Default for Health {
    fn default() -> Self {
        let started = Instant::now();
        let beat = || Heartbeat::new(started);
        let camera = CameraStatus {
            source: String::new(),
            format: String::new(),
            width: 0,
            height: 0,
            error: Some("starting".to_owned()),
            hint: None,
            since: started,
        };
        Health {
            started,
            camera: Mutex::new(camera),
            frames: Counter::default(),
            dropped: Counter::default(),
            corrupt: Counter::default(),
            capture_fps: Rate::default(),
            last_frame: Mutex::default(),
            looks: Counter::default(),
            still: Counter::default(),
            look_took: Took::default(),
            pace: Mutex::default(),
            last_look: Mutex::default(),
            recognition_error: Mutex::default(),
            taking_in: AtomicBool::default(),
            strangers_remembered: AtomicUsize::default(),
            reloads: Reloads::default(),
            encoded: Counter::default(),
            repeated: Counter::default(),
            passed_through: Counter::default(),
            encode_took: Took::default(),
            stream_fps: Rate::default(),
            connections: Mutex::default(),
            ages: Ages::new(started),
            capture_beat: beat(),
            recognition_beat: beat(),
            encoding: Ongoing::default(),
            http_beat: beat(),
            faults: Faults::default(),
        }
    }
}

impl Health {
    /// The camera's state now.
    pub fn camera(&self) -> CameraStatus {
        lock(&self.camera).clone()
    }

    /// True while pictures come.
    pub fn camera_online(&self) -> bool {
        lock(&self.camera).error.is_none()
    }

    /// Pictures come (again), in this format and size.
    pub fn camera_is_online(&self, source: &str, format: &str, width: u32, height: u32) {
        let mut camera = lock(&self.camera);
        if camera.error.is_some() {
            camera.since = Instant::now();
        }
        let since = camera.since;
        let (source, format) = (source.into(), format.into());
        *camera = CameraStatus { source, format, width, height, error: None, hint: None, since };
    }

    /// What the user should know about a camera that gives pictures; nothing more when it is away or begins anew.
    pub fn set_camera_hint(&self, hint: Option<String>) {
        lock(&self.camera).hint = hint;
    }

    /// No picture comes, because of `error`. `since` stays as long as the camera is away.
    pub fn camera_is_away(&self, source: &str, error: &str) {
        let mut camera = lock(&self.camera);
        if camera.error.is_none() || camera.source.is_empty() {
            camera.since = Instant::now();
        }
        camera.source = source.to_owned();
        (camera.error, camera.hint) = (Some(error.to_owned()), None);
    }

    /// A frame was published.
    pub fn frame_came(&self) {
        self.frames.add();
        self.capture_fps.tick();
        *lock(&self.last_frame) = Some(Instant::now());
    }

    /// How old the newest frame is.
    pub fn frame_age(&self) -> Option<Duration> {
        lock(&self.last_frame).map(|at| at.elapsed())
    }

    /// A look has ended.
    pub fn look_done(&self, took: Duration) {
        self.looks.add();
        self.look_took.set(took);
        *lock(&self.last_look) = Some(Instant::now());
    }

    /// A frame was found to show what the last one that was looked at shows.
    pub fn nothing_moved(&self) {
        self.still.add();
        *lock(&self.last_look) = Some(Instant::now());
    }

    /// Recognition looks so often now. Looking less often than the config says is a fault: on a busy board it comes and
    /// goes by the second.
    pub fn set_pace(&self, pace: Pace) {
        let before = std::mem::replace(&mut *lock(&self.pace), pace.clone());
        let news = pace.slowed.filter(|(cause, _)| before.slowed.is_none_or(|(old, _)| old != *cause));
        if let Some((cause, why)) = news {
            self.faults.report(cause, &why);
        }
    }

    /// So many connections are open now. That some had to go since the last call is a fault.
    pub fn set_connections(&self, now: Connections) {
        let before = std::mem::replace(&mut *lock(&self.connections), now.clone());
        let most = now.most.map_or_else(String::new, |(client, open)| {
            let all = now.waiting + now.idle + now.answering + now.streaming;
            format!("; {client} has {open} of {all} connections")
        });
        if now.refused > before.refused {
            self.faults.report(Cause::ConnectionsRefused, &format!("{} so far{most}", now.refused));
        }
        if now.closed_early > before.closed_early {
            self.faults.report(Cause::ConnectionsClosedEarly, &format!("{} so far{most}", now.closed_early));
        }
    }

    /// The connections of clients.
    pub fn connections(&self) -> Connections {
        lock(&self.connections).clone()
    }

    /// How often recognition looks.
    pub fn pace(&self) -> Pace {
        lock(&self.pace).clone()
    }

    /// How long ago the last look ended.
    pub fn look_age(&self) -> Option<Duration> {
        lock(&self.last_look).map(|at| at.elapsed())
    }

    /// Recognition cannot work, because of this; `None`: it can.
    pub fn set_recognition_error(&self, error: Option<String>) {
        *lock(&self.recognition_error) = error;
    }

    /// Why recognition cannot work.
    pub fn recognition_error(&self) -> Option<String> {
        lock(&self.recognition_error).clone()
    }

    /// Why the program is not healthy: a loop that hangs, or no usable model. A camera that is away is not among it.
    pub fn trouble(&self) -> Option<String> {
        let capture = self.capture_beat.age();
        if capture > CAPTURE_HANG {
            return Some(format!("capture has hung for {} s", capture.as_secs()));
        }
        let recognition = self.recognition_beat.age();
        if recognition > RECOGNITION_HANG {
            return Some(format!("recognition has hung for {} s", recognition.as_secs()));
        }
        self.recognition_error()
    }
}

/// Locks, whatever happened to another holder: these are numbers, and each is whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_last_whole_second_and_falls_to_zero() {
        let (rate, start) = (Rate::default(), Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        for i in 0..30 {
            rate.at(at(i * 33), 1);
        }
        assert!((rate.at(at(1000), 1) - 30.0).abs() < 0.1);
        assert!((rate.at(at(1500), 0) - 30.0).abs() < 0.1);
        assert_eq!(rate.at(at(5000), 0), 0.0);
    }

    #[test]
    fn of_several_pieces_of_work_the_oldest_counts_however_many_others_end() {
        let ongoing = Ongoing::default();
        assert!(ongoing.age().is_zero());
        let oldest = ongoing.begin();
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(2));
            drop(ongoing.begin());
        }
        assert!(ongoing.age() >= Duration::from_millis(6));
        drop(oldest);
        assert!(ongoing.age().is_zero());
    }

    #[test]
    fn a_pace_that_comes_and_goes_is_one_fault_however_long_looks_take() {
        let health = Health::default();
        for look in 0..20 {
            let why = (Cause::RecognitionBehind, format!("a look takes {look} ms"));
            let slowed = Some(why).filter(|_| look % 2 == 0);
            health.set_pace(Pace { interval: Duration::from_millis(300), slowed });
        }
        let faults = health.faults.all();
        assert_eq!((faults.len(), faults[0].count, faults[0].cause), (1, 10, Cause::RecognitionBehind));
        assert_eq!(faults[0].detail, "a look takes 18 ms");
    }
}
