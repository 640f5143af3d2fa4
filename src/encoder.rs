//! The encoder: one JPEG per frame, however many viewers, and none while nobody watches.
//!
//! What `overlay.unknown = blur` can promise: no picture goes out past it; without a recent look (at start, without
//! models, with recognition off) the whole picture is blurred; and a face without a name stays blurred where it was last
//! seen until that look is stale. A face is clear until the first look that finds it has ended, and one that moves fast
//! is ahead of its blur by as much.

mod veils;

use crate::config::{self, Config, UnknownFaces};
use crate::demand::Demand;
use crate::frame::{Frame, Jpeg, Moment};
use crate::health::Health;
use crate::jpeg::Compressor;
use crate::latest::Latest;
use crate::localtime;
use crate::overlay::{Away, Painter, pixelate};
use crate::pixels::Rgb;
use crate::sighting::{Rect, Sightings};
use crate::stop::{POLL, Stop};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use veils::Veils;

/// Without a frame for so long, a camera that reports an error is away; before, it may just have stumbled.
const AWAY_AFTER: Duration = Duration::from_secs(1);
/// The picture of a camera that is away comes so often.
const AWAY_EVERY: Duration = Duration::from_secs(1);
/// Without a frame for so long, the last one is shown again if there is something new to draw on it.
const PATIENCE: Duration = Duration::from_millis(150);

/// What the encoder reads and writes.
pub struct Stage {
    /// The config at work.
    pub config: Arc<Latest<Config>>,
    /// Frames of the camera.
    pub frames: Arc<Latest<Frame>>,
    /// What recognition says.
    pub sightings: Arc<Latest<Sightings>>,
    /// Pictures for viewers.
    pub jpegs: Arc<Latest<Jpeg>>,
    /// Who watches.
    pub demand: Arc<Demand>,
    /// Counters and heartbeats.
    pub health: Arc<Health>,
    /// Ends the stage.
    pub stop: Arc<Stop>,
}

/// Encodes until the program ends.
pub fn run(stage: &Stage) {
    let mut encoder = Encoder::new(stage);
    while !stage.stop.is_set() {
        stage.health.encoder_beat.beat();
        if stage.demand.wait(POLL) {
            encoder.round();
        }
    }
}

/// What a picture was made of, by the counters of the hand-offs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Made {
    frame: u64,
    /// 0 when nothing of the sightings was drawn.
    sightings: u64,
}

struct Encoder<'a> {
    stage: &'a Stage,
    painter: Option<Painter>,
    veils: Veils,
    made: Made,
    /// When the frame that is shown for the first time was published.
    published_at: Option<Instant>,
    /// No picture before this, for `stream.max_fps`.
    due: Instant,
    away_due: Instant,
    /// Since when no frame could be decoded.
    undecodable_since: Option<SystemTime>,
    /// The last picture of a camera that is away, and what it says.
    away: Option<(Away, (u32, u32), Vec<u8>)>,
    /// What is drawn on, and what the encoder writes to: kept, because they are large.
    canvas: Rgb,
    jpeg: Vec<u8>,
    compressor: Compressor,
}

impl<'a> Encoder<'a> {
    fn new(stage: &'a Stage) -> Encoder<'a> {
        Encoder {
            stage,
            painter: None,
            veils: Veils::default(),
            made: Made::default(),
            published_at: None,
            due: Instant::now(),
            away_due: Instant::now(),
            undecodable_since: None,
            away: None,
            canvas: Rgb { width: 0, height: 0, data: Vec::new() },
            jpeg: Vec::new(),
            compressor: Compressor::default(),
        }
    }

    /// Waits for something to show, not for long, and shows it.
    fn round(&mut self) {
        let stage = self.stage;
        let Some((_, config)) = stage.config.newest() else {
            stage.stop.wait(POLL);
            return;
        };
        self.compressor.set(config.stream.encoder, config.stream.quality);
        let early = self.due.saturating_duration_since(Instant::now());
        if !early.is_zero() {
            stage.stop.wait(early.min(POLL));
            return;
        }
        let newer = stage.frames.wait_newer(self.made.frame, PATIENCE);
        if self.camera_is_away() {
            let says = self.away_words();
            self.show_away(&config, says);
        } else if let Some((version, frame)) = newer {
            self.show(&config, version, &frame);
        } else if let Some((version, frame)) = stage.frames.newest() {
            let drawn = self.drawable(&config.overlay).map_or(0, |(version, _)| version);
            if self.made != (Made { frame: version, sightings: drawn }) {
                self.show(&config, version, &frame);
            }
        }
    }

    fn camera_is_away(&self) -> bool {
        if self.stage.health.camera_online() {
            return false;
        }
        let last = self.stage.frames.newest().map(|(_, frame)| frame.captured_at.instant);
        last.unwrap_or(self.stage.health.started).elapsed() > AWAY_AFTER
    }

    /// The newest sightings with their counter, when there is something of them to draw.
    fn drawable(&mut self, overlay: &config::Overlay) -> Option<(u64, Arc<Sightings>)> {
        let (version, sightings) = self.stage.sightings.newest()?;
        if sightings.is_stale(Instant::now()) {
            return None;
        }
        let painter = painter(&mut self.painter, overlay);
        sightings.faces.iter().any(|face| painter.draws(face)).then_some((version, sightings))
    }

    fn show(&mut self, config: &Config, version: u64, frame: &Frame) {
        let started = Instant::now();
        let drawable = self.drawable(&config.overlay);
        self.published_at = (self.made.frame != version).then_some(frame.published_at);
        self.made = Made { frame: version, sightings: drawable.as_ref().map_or(0, |(version, _)| *version) };
        let private = config.overlay.unknown == UnknownFaces::Blur;
        self.veils.update(if private { self.stage.sightings.newest() } else { None }, started);

        let as_captured = frame.format.jpeg && frame.turn.is_none() && config.stream.width == 0 && !private;
        if as_captured && drawable.is_none() {
            self.stage.health.passed_through.add();
            self.publish(Jpeg::new(&frame.bytes, frame.captured_at, true), config);
            return;
        }
        let rgb = match frame.rgb() {
            Ok(rgb) => rgb,
            Err(error) => {
                self.stage.health.corrupt.add();
                let error = format!("a frame cannot be decoded: {error}");
                self.stage.health.faults.report("encoder", &error);
                // One bad frame is passed over; when none is good, viewers are told rather than shown an old one.
                let since = self.undecodable_since.get_or_insert_with(SystemTime::now);
                if since.elapsed().is_ok_and(|bad| bad > AWAY_AFTER) {
                    let says = Away { starting: false, why: error, since: localtime::clock(*since, SystemTime::now()) };
                    self.show_away(config, says);
                }
                return;
            }
        };
        self.undecodable_since = None;
        let picture = self.paint(config, &rgb, drawable.as_ref().map(|(_, seen)| &**seen), frame.captured_at.instant);
        let encoded = match picture {
            Picture::Canvas => self.compressor.compress(&self.canvas, &mut self.jpeg),
            Picture::Frame => self.compressor.compress(&rgb, &mut self.jpeg),
        };
        self.publish_encoded(encoded, config, frame.captured_at, started);
    }

    /// Puts the picture on the canvas, as large as viewers get it and with what is to be drawn; or, when nothing
    /// changes it, leaves it where it is.
    fn paint(&mut self, config: &Config, rgb: &Rgb, sightings: Option<&Sightings>, captured_at: Instant) -> Picture {
        let size = (rgb.width, rgb.height);
        // What was seen on a picture of another size (the camera was exchanged) says nothing about this one.
        let sightings = sightings.filter(|sightings| (sightings.width, sightings.height) == size);
        if config.overlay.unknown == UnknownFaces::Blur && self.is_blind(size) {
            rgb.shrink_into(config.stream.width, &mut self.canvas);
            let everything = Rect { x: 0, y: 0, w: self.canvas.width, h: self.canvas.height };
            pixelate(&mut self.canvas, everything);
            return Picture::Canvas;
        }
        let veiled = self.veils.places(size).next().is_some();
        let shrinks = (1..rgb.width).contains(&config.stream.width);
        if !shrinks && !veiled && sightings.is_none() {
            return Picture::Frame;
        }
        rgb.shrink_into(config.stream.width, &mut self.canvas);
        let scale = f64::from(self.canvas.width) / f64::from(rgb.width);
        for place in self.veils.places(size) {
            pixelate(&mut self.canvas, place.scaled(scale));
        }
        if let Some(sightings) = sightings {
            // Boxes stand where faces have got to since the look.
            let faces = sightings.faces_at(captured_at);
            painter(&mut self.painter, &config.overlay).draw(&mut self.canvas, &faces, scale);
        }
        Picture::Canvas
    }

    /// True when there is no recent look at pictures of this size: nobody knows where faces are.
    fn is_blind(&self, size: (u32, u32)) -> bool {
        let newest = self.stage.sightings.newest();
        newest.is_none_or(|(_, seen)| seen.is_stale(Instant::now()) || (seen.width, seen.height) != size)
    }

    fn publish_encoded(&mut self, encoded: Result<(), String>, config: &Config, captured_at: Moment, started: Instant) {
        if let Err(error) = encoded {
            self.stage.health.faults.report("encoder", &error);
            return;
        }
        self.stage.health.encode_took.set(started.elapsed());
        self.stage.health.encoded.add();
        self.publish(Jpeg::new(&self.jpeg, captured_at, true), config);
    }

    fn publish(&mut self, mut jpeg: Jpeg, config: &Config) {
        jpeg.frame_published_at = self.published_at.take().filter(|_| jpeg.live);
        self.stage.health.ages.picture_encoded(&jpeg);
        self.stage.jpegs.publish(Arc::new(jpeg));
        self.stage.health.stream_fps.tick();
        let now = Instant::now();
        self.due = match config.stream.max_fps {
            0 => now,
            fps => next_due(self.due, now, Duration::from_secs(1) / fps),
        };
    }

    /// What is to be said of a camera that gives nothing.
    fn away_words(&self) -> Away {
        let camera = self.stage.health.camera();
        let why = camera.error.unwrap_or_default();
        let never = self.stage.frames.newest().is_none();
        let starting = never && why == "starting";
        Away { starting, why, since: localtime::clock(camera.since, SystemTime::now()) }
    }

    /// Shows once a second that there is no picture of the camera, why, and since when.
    fn show_away(&mut self, config: &Config, says: Away) {
        let early = self.away_due.saturating_duration_since(Instant::now());
        if !early.is_zero() {
            self.stage.stop.wait(early.min(PATIENCE));
            return;
        }
        self.away_due = Instant::now() + AWAY_EVERY;
        let size = self.away_size(config);
        let known = self.away.as_ref().is_some_and(|(said, drawn, _)| (said, *drawn) == (&says, size));
        if !known {
            let mut jpeg = Vec::new();
            (self.canvas.width, self.canvas.height) = size;
            self.canvas.data.resize(size.0 as usize * size.1 as usize * 3, 0);
            painter(&mut self.painter, &config.overlay).away(&mut self.canvas, &says);
            if let Err(error) = self.compressor.compress(&self.canvas, &mut jpeg) {
                self.stage.health.faults.report("encoder", &error);
                return;
            }
            self.stage.health.encoded.add();
            self.away = Some((says, size, jpeg));
        }
        if let Some((_, _, jpeg)) = &self.away {
            let jpeg = Jpeg::new(jpeg, Moment::now(), false);
            self.publish(jpeg, config);
        }
    }

    /// As large as the last frame was for viewers; before the first, as the config wants it.
    fn away_size(&self, config: &Config) -> (u32, u32) {
        let wanted = || config.camera.turn().size(config.camera.width, config.camera.height);
        let (width, height) = self.stage.frames.newest().map_or_else(wanted, |(_, frame)| frame.upright_size());
        let shown = if config.stream.width == 0 { width } else { config.stream.width.min(width) };
        let height = u64::from(height) * u64::from(shown) / u64::from(width.max(1));
        (shown.clamp(1, 8192), (height as u32).clamp(1, 8192))
    }
}

/// Where the picture is that shall be encoded.
enum Picture {
    Canvas,
    Frame,
}

/// The painter for this `[overlay]`; made anew when that has changed.
fn painter<'p>(slot: &'p mut Option<Painter>, overlay: &config::Overlay) -> &'p mut Painter {
    if slot.as_ref().is_some_and(|painter| painter.config() != overlay) {
        *slot = None;
    }
    slot.get_or_insert_with(|| Painter::new(overlay))
}

/// The next time on a grid of `interval`, which starts anew when a time was missed altogether.
fn next_due(due: Instant, now: Instant, interval: Duration) -> Instant {
    let next = due + interval;
    if next > now { next } else { now + interval }
}

#[cfg(test)]
mod tests;
