//! The encoder: each kind of picture that somebody wants once per frame, however many viewers, and none while nobody
//! watches. A frame or an overlay that shows nothing new is not encoded again. It has no thread of its own: those who wait
//! for a picture make it ([`crate::tiers`]).
//!
//! What `overlay.unknown = blur` promises: no picture goes out past it; without a recent look at the whole frame (at start,
//! without models, with recognition off, before the first look after a reload) the whole picture is blurred; what a frame
//! shows and the last look has not seen is blurred, but for faces with a name ([`crate::sighting::Looked`]); and a face
//! without a name stays blurred where it was last seen until that look is stale. What the detector does not see is clear
//! after two looks.

mod press;

use crate::config::Config;
use crate::frame::{Frame, Jpeg, Moment};
use crate::health::{Cause, Health, lock};
use crate::latest::Latest;
use crate::localtime;
use crate::overlay::Away;
use crate::sighting::Sightings;
use crate::stop::Stop;
use crate::tiers::{MAX_SPECIAL, Maker, Pictures, Wish};
use press::{Look, Press, Unprintable};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Without a frame for so long, a camera that reports an error is away; before, it may just have stumbled.
const AWAY_AFTER: Duration = Duration::from_secs(1);
/// The picture of a camera that is away comes so often.
const AWAY_EVERY: Duration = Duration::from_secs(1);
/// Without a frame for so long, the last one is shown again if there is something new to draw on it.
const PATIENCE: Duration = Duration::from_millis(150);

/// What the encoder reads, and where it counts.
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

/// Makes pictures in the threads of those who want them, one at a time.
#[derive(Clone)]
pub struct Encoder {
    stage: Arc<Stage>,
    workshop: Arc<Mutex<Workshop>>,
}

/// What all kinds of picture share.
struct Workshop {
    press: Press,
    /// The counter of the frame that was worked on last.
    frame: u64,
    /// Its pictures: what was made for one kind does for another that looks the same.
    made: Vec<(Look, Arc<Jpeg>)>,
    /// The counter of the last frame that could not be decoded.
    bad_frame: u64,
}

/// Where one kind of picture is made.
struct Desk {
    encoder: Encoder,
    wish: Wish,
    /// No picture before this, for `max_fps`.
    due: Instant,
    /// Nor one that says that the camera is away.
    away_due: Instant,
    /// The counter of the last frame that was worked on.
    seen: u64,
    last: Option<Made>,
    /// Since when no frame could be decoded.
    undecodable_since: Option<Instant>,
}

/// The last picture, and what it was made of.
struct Made {
    frame: Arc<Frame>,
    look: Look,
    jpeg: Arc<Jpeg>,
}

impl Encoder {
    /// An encoder that has made nothing yet.
    pub fn new(stage: Stage) -> Encoder {
        let stage = Arc::new(stage);
        let press = Press::new(Arc::clone(&stage));
        Encoder { stage, workshop: Arc::new(Mutex::new(Workshop { press, frame: 0, made: Vec::new(), bad_frame: 0 })) }
    }
}

impl Maker for Encoder {
    fn pictures(&self, wish: Wish) -> Box<dyn Pictures> {
        let now = Instant::now();
        let encoder = self.clone();
        Box::new(Desk { encoder, wish, due: now, away_due: now, seen: 0, last: None, undecodable_since: None })
    }
}

impl Pictures for Desk {
    fn next(&mut self, patience: Duration) -> Option<Arc<Jpeg>> {
        let Encoder { stage, workshop } = self.encoder.clone();
        let is_away = camera_is_away(&stage);
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
        let mut workshop = lock(&workshop);
        stage.health.encoder_beat.beat();
        let jpeg = if camera_is_away(&stage) {
            self.show_away(&stage, &mut workshop, &config, &away_words(&stage))
        } else {
            self.show(&stage, &mut workshop, &config, version)
        };
        stage.health.encoder_beat.rest();
        drop(workshop);
        let now = Instant::now();
        let limits = [config.stream.max_fps, self.wish.fps];
        let limit = limits.into_iter().filter(|fps| *fps > 0).min();
        if let (Some(_), Some(fps)) = (&jpeg, limit) {
            self.due = next_due(self.due, now, Duration::from_secs(1) / fps);
        }
        jpeg
    }
}

impl Desk {
    /// A picture of the newest frame, if it has something new to show.
    fn show(&mut self, stage: &Stage, workshop: &mut Workshop, config: &Config, version: u64) -> Option<Arc<Jpeg>> {
        let (number, frame) = stage.frames.newest()?;
        let look = workshop.look(config, version, (number, &frame), self.wish);
        let is_new = std::mem::replace(&mut self.seen, number) != number;
        let again = self.last.as_ref().filter(|last| last.look == look && frame.shows_the_same(&last.frame));
        if !is_new && (again.is_some() || self.last.is_none()) {
            return None;
        }
        let ready = workshop.made.iter().find(|(known, _)| *known == look).map(|(_, jpeg)| Arc::clone(jpeg));
        let jpeg = match (ready, again) {
            (Some(jpeg), _) => jpeg,
            (None, Some(last)) => {
                stage.health.repeated.add();
                workshop.keep(stage, &look, Jpeg::of_frame(Arc::clone(last.jpeg.picture()), &frame, is_new))
            }
            (None, None) => match workshop.press.print(config, &frame, &look) {
                Ok(picture) => {
                    let jpeg = Jpeg::of_frame(picture, &frame, is_new);
                    workshop.keep(stage, &look, jpeg)
                }
                Err(error) => {
                    // It is not tried again: it would fail again.
                    self.last = None;
                    return self.cannot_show(stage, workshop, config, error);
                }
            },
        };
        self.undecodable_since = None;
        self.last = Some(Made { frame, look, jpeg: Arc::clone(&jpeg) });
        Some(jpeg)
    }

    /// One bad frame is passed over; when none is good, viewers are told rather than shown an old one.
    fn cannot_show(
        &mut self,
        stage: &Stage,
        workshop: &mut Workshop,
        config: &Config,
        error: Unprintable,
    ) -> Option<Arc<Jpeg>> {
        let why = match error {
            Unprintable::Picture(why) => {
                stage.health.faults.report(Cause::PictureUnencodable, &why);
                return None;
            }
            Unprintable::Frame(why) => why,
        };
        if std::mem::replace(&mut workshop.bad_frame, self.seen) != self.seen {
            stage.health.corrupt.add();
            stage.health.faults.report(Cause::FrameUndecodable, &why);
        }
        let since = *self.undecodable_since.get_or_insert_with(Instant::now);
        if since.elapsed() > AWAY_AFTER {
            let since = localtime::clock_since(since);
            let why = format!("a frame cannot be decoded: {why}");
            return self.show_away(stage, workshop, config, &Away { starting: false, why, since });
        }
        None
    }

    /// Says once a second that there is no picture of the camera, why, and since when.
    fn show_away(&mut self, stage: &Stage, workshop: &mut Workshop, config: &Config, says: &Away) -> Option<Arc<Jpeg>> {
        let now = Instant::now();
        if self.away_due > now {
            return None;
        }
        (self.away_due, self.last) = (now + AWAY_EVERY, None);
        match workshop.press.print_away(config, says, self.wish) {
            Ok(picture) => Some(Arc::new(Jpeg::new(picture, Moment::now(), false))),
            Err(error) => {
                stage.health.faults.report(Cause::PictureUnencodable, &error);
                None
            }
        }
    }
}

impl Workshop {
    /// What the frame with this counter should look like for those who wish so.
    fn look(&mut self, config: &Config, version: u64, (number, frame): (u64, &Frame), wish: Wish) -> Look {
        if std::mem::replace(&mut self.frame, number) != number {
            self.made.clear();
        }
        self.press.update(config, Instant::now());
        self.press.look(config, version, frame, wish)
    }

    /// Keeps a picture of the frame for others, and counts it.
    fn keep(&mut self, stage: &Stage, look: &Look, jpeg: Jpeg) -> Arc<Jpeg> {
        if self.made.is_empty() {
            stage.health.stream_fps.tick();
        }
        stage.health.ages.picture_encoded(&jpeg);
        let jpeg = Arc::new(jpeg);
        self.made.truncate(MAX_SPECIAL);
        self.made.push((look.clone(), Arc::clone(&jpeg)));
        jpeg
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
