//! The encoder: each kind of picture that somebody wants once per frame, however many viewers, and none while nobody
//! watches. A frame or an overlay that shows nothing new is not encoded again.
//!
//! What `overlay.unknown = blur` can promise: no picture goes out past it; without a recent look (at start, without
//! models, with recognition off) the whole picture is blurred; and a face without a name stays blurred where it was last
//! seen until that look is stale. A face is clear until the first look that finds it has ended, and one that moves fast
//! is ahead of its blur by as much.

mod press;

use crate::config::Config;
use crate::frame::{Frame, Jpeg, Moment};
use crate::health::Health;
use crate::latest::Latest;
use crate::localtime;
use crate::overlay::Away;
use crate::sighting::Sightings;
use crate::stop::{POLL, Stop};
use crate::tiers::{Tier, Tiers};
use press::{Look, Press, Unprintable};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

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
    /// Who wants which pictures, and gets them.
    pub tiers: Arc<Tiers>,
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
        if stage.tiers.wait(POLL) {
            encoder.round();
        } else {
            encoder.desks.clear();
        }
    }
}

struct Encoder<'a> {
    stage: &'a Stage,
    press: Press<'a>,
    /// One for each kind of picture that somebody wants.
    desks: Vec<Desk>,
    /// Those who had come when the desks were set up.
    arrivals: u64,
    away_due: Instant,
    /// The counter of the last frame that counts in `stream_fps`.
    ticked: u64,
    /// Since when no frame could be decoded.
    undecodable_since: Option<SystemTime>,
}

/// Where one kind of picture is made.
struct Desk {
    tier: Arc<Tier>,
    /// No picture before this, for `max_fps`.
    due: Instant,
    /// The counter of the last frame that was worked on.
    seen: u64,
    made: Option<Made>,
}

/// The last picture, and what it was made of.
struct Made {
    frame: Arc<Frame>,
    look: Look,
    jpeg: Arc<Jpeg>,
}

impl Desk {
    fn new(tier: Arc<Tier>) -> Desk {
        Desk { tier, due: Instant::now(), seen: 0, made: None }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.due <= now
    }

    fn publish(&mut self, jpeg: Arc<Jpeg>, config: &Config) {
        self.tier.jpegs.publish(jpeg);
        let now = Instant::now();
        let limits = [config.stream.max_fps, self.tier.wish.fps];
        self.due = match limits.into_iter().filter(|fps| *fps > 0).min() {
            None => now,
            Some(fps) => next_due(self.due, now, Duration::from_secs(1) / fps),
        };
    }
}

impl<'a> Encoder<'a> {
    fn new(stage: &'a Stage) -> Encoder<'a> {
        Encoder {
            stage,
            press: Press::new(stage),
            desks: Vec::new(),
            arrivals: 0,
            away_due: Instant::now(),
            ticked: 0,
            undecodable_since: None,
        }
    }

    /// Waits for something to show, not for long, and shows it.
    fn round(&mut self) {
        let stage = self.stage;
        let Some((config_version, config)) = stage.config.newest() else {
            stage.stop.wait(POLL);
            return;
        };
        self.set_up_desks();
        let now = Instant::now();
        let Some(due) = self.desks.iter().map(|desk| desk.due).min() else { return };
        if due > now {
            stage.tiers.wait_arrival(self.arrivals, due.saturating_duration_since(now).min(POLL));
            return;
        }
        let seen = self.desks.iter().filter(|desk| desk.is_due(now)).map(|desk| desk.seen).min();
        let newer = stage.frames.wait_newer(seen.unwrap_or(0), PATIENCE);
        if self.camera_is_away() {
            let says = self.away_words();
            self.show_away(&config, &says);
        } else if let Some((version, frame)) = newer.or_else(|| stage.frames.newest()) {
            self.show(&config, config_version, version, &frame);
        }
    }

    /// A desk for each kind of picture that is wanted now, the usual one first.
    fn set_up_desks(&mut self) {
        let (wanted, arrivals) = self.stage.tiers.wanted();
        self.arrivals = arrivals;
        let mut old = std::mem::take(&mut self.desks);
        let desk = |tier: Arc<Tier>| match old.iter().position(|desk| Arc::ptr_eq(&desk.tier, &tier)) {
            Some(at) => old.swap_remove(at),
            None => Desk::new(tier),
        };
        self.desks = wanted.into_iter().map(desk).collect();
    }

    fn camera_is_away(&self) -> bool {
        if self.stage.health.camera_online() {
            return false;
        }
        let last = self.stage.frames.newest().map(|(_, frame)| frame.captured_at.instant);
        last.unwrap_or(self.stage.health.started).elapsed() > AWAY_AFTER
    }

    /// Shows a frame at each desk that is due and has something new to show.
    fn show(&mut self, config: &Config, config_version: u64, version: u64, frame: &Arc<Frame>) {
        let now = Instant::now();
        self.press.update(config, now);
        // What was made for one desk does for another that looks the same.
        let mut made: Vec<(Look, Arc<Jpeg>)> = Vec::new();
        let (mut shown, mut failure) = (false, None);
        for desk in self.desks.iter_mut().filter(|desk| desk.is_due(now)) {
            let look = self.press.look(config, config_version, frame, desk.tier.wish);
            let is_new = std::mem::replace(&mut desk.seen, version) != version;
            let again = desk.made.as_ref().filter(|old| old.look == look && frame.shows_the_same(&old.frame));
            let ready = made.iter().find(|(known, _)| *known == look).map(|(_, jpeg)| Arc::clone(jpeg));
            let jpeg = match (again, ready) {
                (Some(_), _) if !is_new => continue,
                (None, _) if !is_new && desk.made.is_none() => continue,
                (_, Some(jpeg)) => jpeg,
                (Some(old), None) => {
                    self.stage.health.repeated.add();
                    Arc::new(Jpeg::of_frame(old.jpeg.picture(), frame, is_new))
                }
                (None, None) => match self.press.print(config, frame, &look) {
                    Ok(picture) => Arc::new(Jpeg::of_frame(picture, frame, is_new)),
                    Err(error) => {
                        // It is not tried again at this desk: it would fail again.
                        (desk.made, failure) = (None, Some(error));
                        continue;
                    }
                },
            };
            shown |= is_new;
            if made.iter().all(|(known, _)| *known != look) {
                self.stage.health.ages.picture_encoded(&jpeg);
                made.push((look.clone(), Arc::clone(&jpeg)));
            }
            desk.publish(Arc::clone(&jpeg), config);
            desk.made = Some(Made { frame: Arc::clone(frame), look, jpeg });
        }
        let nobody_was_served = made.is_empty();
        if !nobody_was_served {
            self.undecodable_since = None;
        }
        if shown && std::mem::replace(&mut self.ticked, version) != version {
            self.stage.health.stream_fps.tick();
        }
        if let Some(error) = failure {
            self.cannot_show(config, error, nobody_was_served);
        }
    }

    /// One bad frame is passed over; when none is good, viewers are told rather than shown an old one.
    fn cannot_show(&mut self, config: &Config, error: Unprintable, nobody_was_served: bool) {
        let health = &self.stage.health;
        let why = match error {
            Unprintable::Picture(why) => return health.faults.report("encoder", &why),
            Unprintable::Frame(why) => format!("a frame cannot be decoded: {why}"),
        };
        health.corrupt.add();
        health.faults.report("encoder", &why);
        if !nobody_was_served {
            return;
        }
        let since = *self.undecodable_since.get_or_insert_with(SystemTime::now);
        if since.elapsed().is_ok_and(|bad| bad > AWAY_AFTER) {
            let since = localtime::clock(since, SystemTime::now());
            self.show_away(config, &Away { starting: false, why, since });
        }
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
    fn show_away(&mut self, config: &Config, says: &Away) {
        let early = self.away_due.saturating_duration_since(Instant::now());
        if !early.is_zero() {
            self.stage.tiers.wait_arrival(self.arrivals, early.min(PATIENCE));
            return;
        }
        self.away_due = Instant::now() + AWAY_EVERY;
        for desk in &mut self.desks {
            match self.press.print_away(config, says, desk.tier.wish) {
                Ok(picture) => desk.publish(Arc::new(Jpeg::new(picture, Moment::now(), false)), config),
                Err(error) => self.stage.health.faults.report("encoder", &error),
            }
            desk.made = None;
        }
        self.stage.health.stream_fps.tick();
    }
}

/// The next time on a grid of `interval`, which starts anew when a time was missed altogether.
fn next_due(due: Instant, now: Instant, interval: Duration) -> Instant {
    let next = due + interval;
    if next > now { next } else { now + interval }
}

#[cfg(test)]
mod tests;
