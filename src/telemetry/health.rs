//! [`Health`]: the counters and states that the stages report, for `/api/state`, `/metrics` and the watchdog.

use super::faults::{Cause, Faults};
use super::latency::Ages;
use super::reloads::Reloads;
use crate::sync::lock;
use serde::Serialize;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self) {
        self.add_many(1);
    }

    pub fn add_many(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The duration of an operation's last run; none before the first run.
#[derive(Debug, Default)]
pub struct Took(Mutex<Option<Duration>>);

impl Took {
    pub fn set(&self, took: Duration) {
        *lock(&self.0) = Some(took);
    }

    /// The duration in milliseconds.
    pub fn ms(&self) -> Option<f64> {
        lock(&self.0).map(|took| took.as_micros() as f64 / 1000.0)
    }
}

/// Events per second, measured over the last whole second.
#[derive(Debug, Default)]
pub struct EventRate(Mutex<Option<RateWindow>>);

#[derive(Debug)]
struct RateWindow {
    since: Instant,
    count: u32,
    last: f32,
}

impl EventRate {
    pub fn tick(&self) {
        self.at(Instant::now(), 1);
    }

    /// Events per second; 0 after two seconds without an event.
    pub fn per_second(&self) -> f32 {
        self.at(Instant::now(), 0)
    }

    fn at(&self, now: Instant, events: u32) -> f32 {
        let mut slot = lock(&self.0);
        let window = slot.get_or_insert(RateWindow { since: now, count: 0, last: 0.0 });
        let elapsed = now.saturating_duration_since(window.since);
        if elapsed >= Duration::from_secs(1) {
            let stale = elapsed >= Duration::from_secs(2);
            window.last = if stale { 0.0 } else { window.count as f32 / elapsed.as_secs_f32() };
            (window.since, window.count) = (now, 0);
        }
        window.count += events;
        window.last
    }
}

/// The time of a loop's last round. A loop whose last round is too long ago hangs.
#[derive(Debug)]
pub struct Heartbeat(Mutex<Instant>);

impl Default for Heartbeat {
    fn default() -> Heartbeat {
        Heartbeat(Mutex::new(Instant::now()))
    }
}

impl Heartbeat {
    pub fn beat(&self) {
        *lock(&self.0) = Instant::now();
    }

    /// The time since the last round; before the first round, the time since the start.
    pub fn age(&self) -> Duration {
        lock(&self.0).elapsed()
    }
}

/// The start times of the operations that threads are executing.
#[derive(Debug, Default)]
pub struct Ongoing(Mutex<Vec<Weak<Instant>>>);

impl Ongoing {
    /// Begins an operation, which ends when the result is dropped.
    pub fn begin(&self) -> Arc<Instant> {
        self.begin_at(Instant::now())
    }

    /// Begins an operation that started at `at`.
    pub fn begin_at(&self, at: Instant) -> Arc<Instant> {
        let begun = Arc::new(at);
        let mut all = lock(&self.0);
        all.retain(|one| one.strong_count() > 0);
        all.push(Arc::downgrade(&begun));
        begun
    }

    /// The age of the oldest operation; 0 without an operation.
    pub fn age(&self) -> Duration {
        lock(&self.0).iter().filter_map(Weak::upgrade).min().map_or(Duration::ZERO, |oldest| oldest.elapsed())
    }
}

/// The error of a camera that is being opened.
pub const STARTING: &str = "starting";

#[derive(Debug, Clone)]
pub struct CameraStatus {
    /// The source as in the config.
    pub source: String,
    /// The pixel format of the frames; empty before the first frame.
    pub format: String,
    /// The width of the frames in pixels.
    pub width: u32,
    /// The height of the frames in pixels.
    pub height: u32,
    /// Why no frames arrive; `None` while they do.
    pub error: Option<String>,
    /// Advice for the user about a camera that delivers frames.
    pub hint: Option<String>,
    /// When `error` began, or when frames began to arrive. This is not a time of day, because a board without a clock
    /// learns the time of day only later.
    pub since: Instant,
}

impl Default for CameraStatus {
    fn default() -> CameraStatus {
        CameraStatus {
            source: String::new(),
            format: String::new(),
            width: 0,
            height: 0,
            error: Some(STARTING.to_owned()),
            hint: None,
            since: Instant::now(),
        }
    }
}

/// The connections of clients, and how many were refused or closed early.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Connections {
    /// Connections that have not yet sent a complete request.
    pub waiting: usize,
    /// Connections whose requests were answered and that may send more.
    pub idle: usize,
    /// Connections on which a request is being answered.
    pub answering: usize,
    pub streaming: usize,
    /// Connections refused since the start.
    pub refused: u64,
    /// Connections closed for a newer one since the start.
    pub closed_early: u64,
    /// The client with the most connections, and their number. For an IPv6 client this is the first address of its
    /// network.
    #[serde(skip)]
    pub most: Option<(IpAddr, usize)>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LookPace {
    /// The time from the start of one look to the next.
    pub interval: Duration,
    /// Why recognition is slower than the config says; `None` when it is not.
    pub slowed: Option<(Cause, String)>,
}

#[derive(Debug)]
pub struct Started(Instant);

impl Default for Started {
    fn default() -> Started {
        Started(Instant::now())
    }
}

impl Started {
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The counters of a sink of events.
#[derive(Debug, Default)]
pub struct Sink {
    /// Events that the receiver has taken.
    pub sent: Counter,
    /// Events that the receiver has not taken and that are not sent again.
    pub dropped: Counter,
}

/// The state and the counters of MQTT.
#[derive(Debug, Default)]
pub struct Mqtt {
    /// True while namecam is connected and the broker has accepted the connection.
    pub connected: AtomicBool,
    pub connections: Counter,
    /// Messages that the broker has acknowledged.
    pub published: Counter,
    /// Events that were not sent, because the bus no longer kept them when the broker could be reached.
    pub missed: Counter,
    /// Messages from the broker that were skipped because they were too large.
    pub skipped: Counter,
}

/// Every counter, state and heartbeat of the program. The stages write them; HTTP and the watchdog read them.
#[derive(Debug, Default)]
pub struct Health {
    pub started: Started,
    camera: Mutex<CameraStatus>,
    pub frames: Counter,
    /// Frames that were replaced by a newer one before use.
    pub dropped: Counter,
    /// Damaged frames: truncated, flagged by the driver, or not a JPEG.
    pub corrupt: Counter,
    pub capture_fps: EventRate,
    last_frame: Mutex<Option<Instant>>,
    /// Looks of recognition.
    pub looks: Counter,
    /// Frames without motion, for which the look was skipped.
    pub still: Counter,
    /// The duration of the last look.
    pub look_took: Took,
    pace: Mutex<LookPace>,
    last_look: Mutex<Option<Instant>>,
    /// Why recognition cannot run, such as a missing model; `None` while it can.
    recognition_error: Mutex<Option<String>>,
    /// True while a gallery is being enrolled.
    pub taking_in: AtomicBool,
    /// How many strangers of this camera are remembered.
    pub strangers_remembered: AtomicUsize,
    pub reloads: Reloads,
    pub encoded: Counter,
    /// Pictures that were sent again because frame and overlay had not changed.
    pub repeated: Counter,
    /// Pictures that were sent as the camera encoded them.
    pub passed_through: Counter,
    /// The duration of the last encoding, including the overlay.
    pub encode_took: Took,
    /// Pictures per second that are offered to viewers.
    pub stream_fps: EventRate,
    connections: Mutex<Connections>,
    pub ages: Ages,
    pub capture_beat: Heartbeat,
    pub recognition_beat: Heartbeat,
    /// Pictures that are being encoded.
    pub encoding: Ongoing,
    /// The opening of the models.
    pub opening: Ongoing,
    pub http_beat: Heartbeat,
    pub mqtt: Mqtt,
    /// The sink of `run --events`.
    pub lines: Sink,
    pub webhook: Sink,
    pub exec: Sink,
    pub faults: Faults,
}

/// A loop that makes no progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hang {
    Capture,
    Recognition,
    Encoder,
}

impl Hang {
    pub fn as_str(self) -> &'static str {
        match self {
            Hang::Capture => "the camera thread does not respond",
            Hang::Recognition => "recognition does not respond",
            Hang::Encoder => "the encoder does not respond",
        }
    }
}

/// How long a round of the capture loop may take before the loop counts as hung. Opening some devices takes seconds.
pub const CAPTURE_HANG: Duration = Duration::from_secs(20);
/// How long a step of recognition may take before recognition counts as hung. The CNN takes many seconds for a large
/// picture on a small board.
pub const RECOGNITION_HANG: Duration = Duration::from_secs(120);
/// How long a picture may take to encode before the encoder counts as hung. A picture of the largest size takes less
/// than a second.
pub const ENCODER_HANG: Duration = Duration::from_secs(30);
/// How long the models may take to open before the delay is a fault. 32 MB are read, hashed and decoded. 1.0 s was
/// measured on x86-64, and 8.4 s with a tenth of that processor. An SD card with 5 MB per second adds 6 s.
pub const MODELS_LATE: Duration = Duration::from_secs(60);

impl Health {
    pub fn camera(&self) -> CameraStatus {
        lock(&self.camera).clone()
    }

    /// True while frames arrive.
    pub fn camera_online(&self) -> bool {
        lock(&self.camera).error.is_none()
    }

    /// True before the first frame of a source, while it may still open.
    pub fn camera_is_starting(&self) -> bool {
        lock(&self.camera).error.as_deref() == Some(STARTING)
    }

    /// Records that frames arrive, in this format and size.
    pub fn camera_is_online(&self, source: &str, format: &str, width: u32, height: u32) {
        let mut camera = lock(&self.camera);
        if camera.error.is_some() {
            camera.since = Instant::now();
        }
        let since = camera.since;
        let (source, format) = (source.into(), format.into());
        *camera = CameraStatus { source, format, width, height, error: None, hint: None, since };
    }

    /// Sets the advice about a camera that delivers frames. The advice ends when the camera fails or is opened again.
    pub fn set_camera_hint(&self, hint: Option<String>) {
        lock(&self.camera).hint = hint;
    }

    /// Records that no frames arrive because of `error`. `since` does not change until frames arrive again.
    pub fn camera_is_away(&self, source: &str, error: &str) {
        let mut camera = lock(&self.camera);
        if camera.error.is_none() || camera.source.is_empty() {
            camera.since = Instant::now();
        }
        camera.source = source.to_owned();
        (camera.error, camera.hint) = (Some(error.to_owned()), None);
    }

    /// Records a published frame.
    pub fn frame_came(&self) {
        self.frames.add();
        self.capture_fps.tick();
        *lock(&self.last_frame) = Some(Instant::now());
    }

    pub fn frame_age(&self) -> Option<Duration> {
        lock(&self.last_frame).map(|at| at.elapsed())
    }

    /// Records the end of a look.
    pub fn look_done(&self, took: Duration) {
        self.looks.add();
        self.look_took.set(took);
        *lock(&self.last_look) = Some(Instant::now());
    }

    /// Records a frame without motion since the last look.
    pub fn nothing_moved(&self) {
        self.still.add();
        *lock(&self.last_look) = Some(Instant::now());
    }

    /// Sets the pace of recognition. A pace slower than the config's is a fault. On a busy board the pace changes by
    /// the second, so only a new cause is reported.
    pub fn set_pace(&self, pace: LookPace) {
        let before = std::mem::replace(&mut *lock(&self.pace), pace.clone());
        let news = pace.slowed.filter(|(cause, _)| before.slowed.is_none_or(|(old, _)| old != *cause));
        if let Some((cause, why)) = news {
            self.faults.report(cause, &why);
        }
    }

    /// Sets the number of open connections. Connections that were refused or closed early since the last call are a
    /// fault.
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

    pub fn connections(&self) -> Connections {
        lock(&self.connections).clone()
    }

    pub fn pace(&self) -> LookPace {
        lock(&self.pace).clone()
    }

    /// The time since the end of the last look, or since the last frame without motion if that is later.
    pub fn look_age(&self) -> Option<Duration> {
        lock(&self.last_look).map(|at| at.elapsed())
    }

    /// Sets why recognition cannot run; `None` when it can.
    pub fn set_recognition_error(&self, error: Option<String>) {
        *lock(&self.recognition_error) = error;
    }

    /// Why recognition cannot run.
    pub fn recognition_error(&self) -> Option<String> {
        lock(&self.recognition_error).clone()
    }

    /// The loop that hangs, if any, and for how long it has made no progress.
    pub fn hang(&self) -> Option<(Hang, Duration)> {
        let ages = [
            (Hang::Capture, self.capture_beat.age(), CAPTURE_HANG),
            (Hang::Recognition, self.recognition_beat.age(), RECOGNITION_HANG),
            (Hang::Encoder, self.encoding.age(), ENCODER_HANG),
        ];
        ages.into_iter().find(|(_, age, limit)| age > limit).map(|(hang, age, _)| (hang, age))
    }

    /// How long the models have been opening, if that is longer than [`MODELS_LATE`].
    pub fn models_late(&self) -> Option<Duration> {
        Some(self.opening.age()).filter(|age| *age > MODELS_LATE)
    }

    /// Why the program is not healthy: a loop hangs, or no model can be used. A camera without frames does not count.
    /// Anybody may read this text, so it names no file and no value. The log has the details.
    pub fn trouble(&self) -> Option<&'static str> {
        let hang = self.hang().map(|(hang, _)| hang);
        if self.models_late().is_some() && hang.is_none_or(|hang| hang == Hang::Recognition) {
            return Some("opening the models takes too long: too little memory, or a slow disk");
        }
        let recognition = || self.recognition_error().map(|_| "recognition cannot run; the log and /api/state say why");
        hang.map(Hang::as_str).or_else(recognition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_covers_the_last_whole_second_and_falls_to_zero() {
        let (rate, start) = (EventRate::default(), Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        for i in 0..30 {
            rate.at(at(i * 33), 1);
        }
        assert!((rate.at(at(1000), 1) - 30.0).abs() < 0.1);
        assert!((rate.at(at(1500), 0) - 30.0).abs() < 0.1);
        assert_eq!(rate.at(at(5000), 0), 0.0);
    }

    #[test]
    fn the_age_is_that_of_the_oldest_operation_however_many_others_end() {
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
    fn a_slow_pace_that_comes_and_goes_is_one_fault_however_long_looks_take() {
        let health = Health::default();
        for look in 0..20 {
            let why = (Cause::RecognitionBehind, format!("a look takes {look} ms"));
            let slowed = Some(why).filter(|_| look % 2 == 0);
            health.set_pace(LookPace { interval: Duration::from_millis(300), slowed });
        }
        let faults = health.faults.all();
        assert_eq!((faults.len(), faults[0].count, faults[0].cause), (1, 10, Cause::RecognitionBehind));
        assert_eq!(faults[0].detail, "a look takes 18 ms");
    }
}
