//! The recognition thread: takes frames, performs looks, and enrols the gallery between looks.

use super::pace::Pacer;
use super::pipeline::Pipeline;
use super::{Opened, open};
use crate::config::{Config, Detector, Landmarks, Recognition};
use crate::detection::chips::Chips;
use crate::detection::{Examined, Sightings};
use crate::frame::{Frame, Moment};
use crate::gallery::desk::{Change, Desk, Unfit};
use crate::gallery::list;
use crate::image::{Mask, Turn};
use crate::memory::{Machine, plan, shortage};
use crate::os::process;
use crate::recognition::dlib;
use crate::recognition::gallery::cache::{self, Cache};
use crate::recognition::gallery::enrol::arrivals::EnrolmentCause;
use crate::recognition::gallery::enrol::{self, COMING, Enrolment, EnrolmentMemory, Library};
use crate::recognition::gallery::progress::Progress;
use crate::recognition::identify::expected;
use crate::recognition::identify::matcher::Matcher;
use crate::recognition::identify::strangers::Strangers;
use crate::roster::{Person, Roster};
use crate::sync::{Latest, POLL, Stop};
use crate::telemetry::faults::Cause;
use crate::telemetry::health::{Health, LookPace};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// The inputs and outputs of the recognition thread.
pub struct Stage {
    /// The config; a newer one causes a reload.
    pub config: Arc<Latest<Config>>,
    /// The source of frames.
    pub frames: Arc<Latest<Frame>>,
    /// Receives the result of each look.
    pub sightings: Arc<Latest<Sightings>>,
    /// Receives the state of the gallery.
    pub roster: Arc<Latest<Roster>>,
    /// Receives the chips.
    pub chips: Arc<Latest<Chips>>,
    /// The source of changes of the gallery.
    pub desk: Arc<Desk>,
    /// The counters and the heartbeat.
    pub health: Arc<Health>,
    /// Tells the thread to end.
    pub stop: Arc<Stop>,
}

/// How often files that are still being copied are checked.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// How often a gallery that could not be read at the start is tried again; its disk may be mounted later.
const UNREAD_EVERY: Duration = Duration::from_secs(5);

/// How long pictures are enrolled before the next look may run. Pictures in the cache take microseconds: with only one
/// between two looks, a gallery of thousands would take an hour where looks are slow.
const ENROL_FOR: Duration = Duration::from_millis(50);
/// How often the results of an enrolment are saved, so that the end of the program loses no more than that.
const SAVE_EVERY: Duration = Duration::from_secs(60);
/// The shortest interval between normalisations of the gallery by the strangers; each takes a scan of the cohort per
/// template.
const NORMALISE_EVERY: Duration = Duration::from_secs(30);
/// The interval is also at least this many times the duration of a normalisation.
const NORMALISE_PART: u32 = 20;
/// How often models that could not be opened are tried again, while there are no others: memory may be short for a
/// while, or a disk may be mounted later.
const REOPEN_EVERY: Duration = Duration::from_secs(60);
/// The most remarks about files and people in the log, for a reload and the scans that follow it.
const REMARKS: usize = 50;

/// The body of the recognition thread. Returns on [`Stop`].
pub fn run(stage: &Stage) {
    let mut worker = Worker::new(stage, open);
    worker.caches = cache::folder();
    while !stage.stop.is_set() {
        stage.health.recognition_beat.beat();
        worker.reload_if_asked(Moment::now());
        worker.take_change(Moment::now());
        worker.answer_one();
        worker.enrol(Moment::now());
        worker.look_if_due();
        worker.keep_strangers(Instant::now());
        worker.show_chips(Instant::now());
    }
}

struct Worker<'a> {
    stage: &'a Stage,
    config: Arc<Config>,
    config_seen: u64,
    /// Whether recognition runs, by the config and the time of day.
    is_on: bool,
    open: fn(&Config) -> anyhow::Result<Opened>,
    engines: Engines,
    memory: EnrolmentMemory,
    /// The folder of the caches; `None` keeps descriptors in memory only.
    caches: Option<PathBuf>,
    /// The gallery in use and the tag of the engine that enrolled it; `None` before the first.
    library: Option<(String, Matcher)>,
    /// Why the gallery could not be read when it was to be enrolled last.
    unread: Option<String>,
    generation: u64,
    /// The running enrolment, its cause, and its progress display, which only a reload has.
    enrolment: Option<(Enrolment, EnrolmentCause, Option<Progress>)>,
    /// The lines that were logged since the reload.
    told: HashSet<String>,
    /// The newest change of the gallery's files whose enrolment has begun.
    change: Change,
    /// The part of the newest config that cannot be applied; reported when its gallery is in use.
    undone: Option<String>,
    next_retry: Instant,
    /// When the models that could not be opened are tried again.
    reopen_at: Option<Instant>,
    next_save: Instant,
    pipeline: Pipeline,
    strangers: Strangers,
    /// When a change of the strangers may take effect.
    next_normalise: Instant,
    pacer: Pacer,
    /// The pace since the last look.
    pace: LookPace,
    frame_seen: u64,
    /// The picture of the last look, with blur.
    last_picture: Option<PictureKey>,
    /// The mask of the last frame.
    mask: Mask,
    next_look: Instant,
}

/// The bytes, size and turn of a frame, which are equal for two frames with the same picture.
type PictureKey = (Arc<Vec<u8>>, (u32, u32), Turn);

/// The options of `[recognition]` that an open engine cannot change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct EngineOptions {
    detector: Detector,
    landmarks: Landmarks,
    num_jitters: u32,
}

impl EngineOptions {
    fn of(config: &Recognition) -> EngineOptions {
        let Recognition { detector, landmarks, num_jitters, .. } = *config;
        EngineOptions { detector, landmarks, num_jitters }
    }

    /// `config` with these options.
    fn put_into(self, config: &Recognition) -> Recognition {
        let EngineOptions { detector, landmarks, num_jitters } = self;
        Recognition { detector, landmarks, num_jitters, ..config.clone() }
    }
}

/// An engine and the options with which it was opened.
struct Loaded {
    opened: Opened,
    options: EngineOptions,
}

/// The open engines.
#[derive(Default)]
struct Engines {
    /// The engine that performs looks.
    looking: Option<Loaded>,
    /// The engine that enrols the gallery, when it is another one. It performs looks as soon as that gallery is used,
    /// because descriptors of two engines must not be compared.
    coming: Option<Loaded>,
}

impl Engines {
    /// The engine that enrols the gallery.
    fn enrolling(&self) -> Option<&Loaded> {
        self.coming.as_ref().or(self.looking.as_ref())
    }

    fn enrolling_mut(&mut self) -> Option<&mut Loaded> {
        self.coming.as_mut().or(self.looking.as_mut())
    }
}

impl<'a> Worker<'a> {
    fn new(stage: &'a Stage, open: fn(&Config) -> anyhow::Result<Opened>) -> Worker<'a> {
        let (_, config) = stage.config.newest().unwrap_or_else(|| (0, Arc::new(Config::defaults("/".as_ref()))));
        Worker {
            stage,
            config,
            config_seen: 0,
            is_on: false,
            open,
            engines: Engines::default(),
            memory: EnrolmentMemory::new(Cache::in_memory()),
            caches: None,
            library: None,
            unread: None,
            generation: 0,
            enrolment: None,
            told: HashSet::new(),
            change: Change::default(),
            undone: None,
            next_retry: Instant::now(),
            reopen_at: None,
            next_save: Instant::now(),
            pipeline: Pipeline::default(),
            strangers: Strangers::default(),
            next_normalise: Instant::now(),
            pacer: Pacer::default(),
            pace: LookPace::default(),
            frame_seen: 0,
            last_picture: None,
            mask: Mask::default(),
            next_look: Instant::now(),
        }
    }

    /// Reloads after a change of the config (at the start or SIGHUP), or of the time of day: opens the models if they
    /// differ, and enrols the gallery in any case. Models that could not be opened are tried again after a while.
    fn reload_if_asked(&mut self, now: Moment) {
        let Some((seen, config)) = self.stage.config.newest() else { return };
        let is_on = config.recognition.is_on(now.wall);
        let is_retry = seen == self.config_seen && is_on == self.is_on;
        if is_retry && self.reopen_at.is_none_or(|at| now.instant < at) {
            return;
        }
        if seen == self.config_seen && !is_retry {
            log::info!("recognition: {} by recognition.hours", if is_on { "on" } else { "off" });
        }
        (self.config_seen, self.config, self.is_on, self.undone) = (seen, config, is_on, None);
        (self.reopen_at, self.unread) = (None, None);
        self.next_look = self.next_look.min(now.instant + self.wanted());
        if !is_on {
            self.save();
            (self.engines, self.enrolment) = (Engines::default(), None);
            self.memory.arrivals.stop();
            self.pipeline.forget_all();
            self.stage.health.set_recognition_error(None);
            self.at_work();
            return;
        }
        if let Err(error) = self.open_engine(is_retry) {
            let error = format!("{error:#}");
            if !is_retry || self.stage.health.recognition_error().as_ref() != Some(&error) {
                log::error!("recognition: {error}");
            }
            let Some(Loaded { options, .. }) = self.engines.enrolling() else {
                self.stage.health.set_recognition_error(Some(error.clone()));
                self.reopen_at = Some(now.instant + REOPEN_EVERY);
                self.undone = Some(error);
                self.at_work();
                return;
            };
            self.undone = Some(error);
            // The engine in use stays, with its options. The gallery is enrolled all the same.
            let recognition = options.put_into(&self.config.recognition);
            self.config = Arc::new(Config { recognition, ..(*self.config).clone() });
        }
        self.stage.health.set_recognition_error(None);
        self.begin_enrolment(EnrolmentCause::Reload, now);
    }

    /// Reports that the newest config is at work, as far as possible.
    fn at_work(&self) {
        self.stage.health.taking_in.store(self.enrolment.is_some(), Relaxed);
        self.stage.health.reloads.at_work(self.config_seen, self.undone.clone().or_else(|| self.unread.clone()));
        self.stage.desk.at_work(self.change);
    }

    /// Enrols the gallery again after its files were changed over HTTP.
    fn take_change(&mut self, now: Moment) {
        let Some((change, news)) = self.stage.desk.take_change(self.change) else { return };
        self.change = change;
        if news.forgets {
            self.pipeline.forget_chips();
            self.show_chips(now.instant);
        }
        if self.engines.looking.is_none() {
            // The change is at work when the models are open and the gallery is enrolled. People who were forgotten are
            // removed at once, and all descriptors: without an engine nobody knows which pictures they belong to. The
            // pictures that stay are described again.
            if news.forgets {
                self.memory = EnrolmentMemory::new(Cache::in_memory());
                let deleted =
                    self.caches.as_deref().map_or(Ok(()), |folder| cache::forget(folder, &self.config.gallery.path));
                self.report_unsaved(deleted);
                self.forget_who_is_gone();
            }
            return;
        }
        self.memory.arrivals.vouch_for(news.written);
        self.begin_enrolment(EnrolmentCause::Reload, now);
    }

    /// Removes people without a folder, and warnings that may name them, from the roster, while no engine can enrol the
    /// gallery. A folder that the roster does not know, such as that of a renamed person, is a person without pictures.
    fn forget_who_is_gone(&mut self) {
        self.library = None;
        let known = self.stage.roster.newest().filter(|(_, roster)| roster.generation > 0);
        let (Some((_, roster)), Ok(listing)) = (known, list::list(&self.config.gallery.path)) else { return };
        let mut roster = (*roster).clone();
        let mut known: HashMap<String, Person> =
            roster.people.drain(..).map(|person| (person.name.clone(), person)).collect();
        let person = |name: String| {
            let without_pictures = |name| Person { name, pictures: Vec::new(), spread: None, hint: None };
            known.remove(&name).unwrap_or_else(|| without_pictures(name))
        };
        roster.people = listing.people.into_keys().map(person).collect();
        roster.warnings.clear();
        self.generation += 1;
        roster.generation = self.generation;
        self.stage.roster.publish(Arc::new(roster));
    }

    /// Judges one picture that a user would like to add.
    fn answer_one(&mut self) {
        let Some(mut question) = self.stage.desk.next_question() else { return };
        let jitters = self.config.recognition.num_jitters;
        let worth = match &mut self.engines.looking {
            Some(Loaded { opened, .. }) => enrol::worth(question.take_bytes(), jitters, opened.engine.as_mut()),
            None => {
                let why = "recognition does not run, so no one can say what it is worth".to_owned();
                Err(Unfit { why, faces: Vec::new() })
            }
        };
        self.stage.desk.answer(&question, worth);
    }

    fn show_chips(&mut self, now: Instant) {
        if let Some(chips) = self.pipeline.chips(now) {
            self.stage.chips.publish(Arc::new(Chips { mask: self.mask.clone(), ..chips }));
        }
    }

    /// Opens another engine when the options differ from those of the engine that enrols the gallery.
    fn open_engine(&mut self, is_retry: bool) -> anyhow::Result<()> {
        let wanted = EngineOptions::of(&self.config.recognition);
        let is_wanted = |engine: &Loaded| engine.options == wanted;
        let Engines { looking, coming } = &self.engines;
        if coming.as_ref().is_some_and(|coming| !is_wanted(coming)) && looking.as_ref().is_some_and(is_wanted) {
            // The engine that performs looks is to stay after all.
            self.save();
            (self.engines.coming, self.enrolment) = (None, None);
            self.memory = EnrolmentMemory::new(Cache::in_memory());
        }
        if self.engines.enrolling().is_some_and(is_wanted) {
            // The size of frames and that of what the detector is given may have changed all the same.
            let plan = plan(&self.config, &Machine::this()).map_err(anyhow::Error::msg)?;
            let engines = self.engines.coming.iter_mut().chain(&mut self.engines.looking);
            engines.for_each(|engine| engine.opened.engine.set_most_px(plan.most_px));
            return Ok(());
        }
        if let Some(shortage) = shortage(&self.config, &Machine::this()).filter(|_| !is_retry) {
            log::warn!("recognition: {shortage}");
        }
        let opening = self.stage.health.opening.begin();
        let mut opened = (self.open)(&self.config)?;
        opened.engine.beat(&self.stage.health);
        let (dlib, blas, took) = (dlib::DLIB, dlib::blas(), opening.elapsed().as_secs_f64());
        log::info!("recognition: dlib {dlib}, {blas}; the models were opened in {took:.1} s");
        drop(opening);
        self.save();
        self.memory = EnrolmentMemory::new(Cache::in_memory());
        if self.library.as_ref().is_some_and(|(tag, _)| *tag != opened.tag) && self.engines.looking.is_none() {
            self.library = None;
        }
        // A running enrolment of the old engine cannot be continued with the new one.
        self.enrolment = None;
        let Engines { looking, coming } = &mut self.engines;
        let place = if looking.is_some() { coming } else { looking };
        *place = Some(Loaded { opened, options: wanted });
        Ok(())
    }

    /// Writes the results of the enrolment so far.
    fn save(&mut self) {
        self.next_save = Instant::now() + SAVE_EVERY;
        let written = self.memory.cache.write();
        self.report_unsaved(written);
    }

    fn report_unsaved(&self, written: std::io::Result<()>) {
        if let Err(error) = written {
            self.stage.health.faults.report(Cause::CacheUnwritable, &error.to_string());
        }
    }

    /// Opens the cache of the gallery of the config, unless it is open. After a reload, the path of the gallery may be
    /// another one or lead to another folder.
    fn open_cache(&mut self) {
        let Some(Loaded { opened, .. }) = self.engines.enrolling() else { return };
        let tag = opened.tag.clone();
        if !self.memory.cache.is_of(&self.config.gallery.path, &tag) {
            self.save();
            self.memory.cache = Cache::open(self.caches.as_deref(), &self.config.gallery.path, &tag);
        }
    }

    fn begin_enrolment(&mut self, cause: EnrolmentCause, now: Moment) {
        self.open_cache();
        let rates = self.engines.enrolling().and_then(|engine| engine.opened.rates.clone());
        match Enrolment::begin(&self.config, rates, &mut self.memory, cause, now) {
            Ok(enrolment) => {
                let progress = (cause == EnrolmentCause::Reload).then(|| {
                    self.told.clear();
                    Progress::new()
                });
                self.enrolment = Some((enrolment, cause, progress));
                self.unread = None;
                self.stage.health.taking_in.store(true, Relaxed);
            }
            Err(error) => self.stays_as_it_was(&error),
        }
    }

    /// Reports that the gallery cannot be read.
    fn stays_as_it_was(&mut self, error: &anyhow::Error) {
        let error = format!("{error:#}");
        log::error!("{error}; the gallery stays as it was");
        let mut roster = self.stage.roster.newest().map(|(_, r)| (*r).clone()).unwrap_or_default();
        roster.warnings = vec![error.clone()];
        self.stage.roster.publish(Arc::new(roster));
        self.unread = Some(error);
        self.at_work();
    }

    /// Enrols some pictures; replaces the gallery after the last one.
    fn enrol(&mut self, now: Moment) {
        let Some(Loaded { opened, .. }) = self.engines.enrolling_mut() else { return };
        let Some((enrolment, _, progress)) = &mut self.enrolment else {
            if self.next_retry <= now.instant {
                self.next_retry = now.instant + RETRY_EVERY;
                if let Some(cause) = self.memory.arrivals.due(now.instant) {
                    self.begin_enrolment(cause, now);
                } else if self.unread.is_some() && self.library.is_none() {
                    self.next_retry = now.instant + UNREAD_EVERY;
                    if list::list(&self.config.gallery.path).is_ok() {
                        self.begin_enrolment(EnrolmentCause::Reload, now);
                    }
                }
            }
            return;
        };
        let started = Instant::now();
        while enrolment.step(opened.engine.as_mut(), &mut self.memory, now) {
            if let Some(progress) = progress {
                progress.show(enrolment.progress());
            }
            if started.elapsed() >= ENROL_FOR {
                if Instant::now() >= self.next_save {
                    self.save();
                }
                return;
            }
        }
        let Some((enrolment, cause, progress)) = self.enrolment.take() else { return };
        if let Some(mut progress) = progress {
            progress.done();
        }
        // When the gallery disappears while it is read, its files are missing and it would count as empty.
        if let Err(error) = list::list(&self.config.gallery.path) {
            self.memory.arrivals.stop();
            return self.stays_as_it_was(&error);
        }
        if cause == EnrolmentCause::Last {
            log::warn!(
                "gallery: files were still being copied long after the reload; what comes now needs another reload"
            );
        }
        if self.memory.arrivals.put_to_work(enrolment.digest(), now.instant) {
            self.generation += 1;
            self.swap(enrolment.finish(self.generation));
        } else {
            self.at_work();
        }
    }

    /// Logs what was not logged since the reload, up to a bound.
    fn tell(&mut self, roster: &Roster) {
        let coming = roster.files().filter(|picture| picture.skipped.as_deref() == Some(COMING)).count();
        let (people, used, skipped) = (roster.known(), roster.used(), roster.skipped() - coming);
        let coming = if coming > 0 { format!(", {coming} still being copied") } else { String::new() };
        log::info!("gallery {}: {people} people, {used} pictures, {skipped} skipped{coming}", self.generation);
        let warnings = roster.warnings.iter().map(|warning| (log::Level::Warn, warning.clone()));
        let remarks = roster.remarks().filter(|remark| !remark.ends_with(COMING));
        for (level, line) in warnings.chain(remarks.map(|remark| (log::Level::Info, remark))) {
            if self.told.len() > REMARKS {
                break;
            }
            if !self.told.contains(&line) {
                if self.told.len() < REMARKS {
                    log::log!(level, "gallery: {line}");
                } else {
                    log::info!("gallery: and more, which `namecam check` and the page show");
                }
                self.told.insert(line);
            }
        }
    }

    fn swap(&mut self, library: Library) {
        let Library { mut matcher, mut roster } = library;
        if let Some(coming) = self.engines.coming.take() {
            self.engines.looking = Some(coming);
            self.pipeline.forget_looks();
            self.strangers.forget_all();
        }
        self.strangers.forget_known(&matcher);
        self.normalise(&mut matcher, &mut roster, Instant::now());
        self.tell(&roster);
        let tag = self.engines.looking.as_ref().map(|engine| engine.opened.tag.clone()).unwrap_or_default();
        self.library = Some((tag, matcher));
        self.stage.roster.publish(Arc::new(roster));
        self.at_work();
        self.pipeline.look_again();
        let written = self.memory.settle();
        self.report_unsaved(written);
        // The descriptors and decoded pictures of a gallery lie between blocks that stay.
        process::give_back_memory();
    }

    /// Remembers people who have left without a name, and forgets strangers after their time.
    fn keep_strangers(&mut self, now: Instant) {
        let hours = self.config.recognition.remember_strangers_h;
        let unnamed = self.pipeline.take_unnamed();
        match &self.library {
            Some((_, matcher)) if hours > 0 && self.is_on => {
                unnamed.iter().for_each(|unnamed| self.strangers.remember(matcher, unnamed));
                self.strangers.forget_old(hours, now);
            }
            _ => self.strangers.forget_all(),
        }
        self.strangers.keep_followed(|track| self.pipeline.follows(track));
        self.stage.health.strangers_remembered.store(self.strangers.count(), Relaxed);
        // When all strangers are forgotten, that takes effect at once.
        let is_due = now >= self.next_normalise || self.strangers.count() == 0;
        if !is_due || !self.strangers.is_changed() {
            return;
        }
        let Some((_, before)) = self.stage.roster.newest() else { return };
        let Some((tag, mut matcher)) = self.library.take() else { return };
        let mut roster = (*before).clone();
        self.normalise(&mut matcher, &mut roster, now);
        self.library = Some((tag, matcher));
        if roster != *before {
            self.stage.roster.publish(Arc::new(roster));
        }
        self.pipeline.look_again();
    }

    /// Normalises scores by the strangers of the camera too, and updates the expected rates of the gallery.
    fn normalise(&mut self, matcher: &mut Matcher, roster: &mut Roster, now: Instant) {
        let started = Instant::now();
        self.strangers.take_change();
        if self.strangers.members().next().is_none() && matcher.strangers() == 0 {
            return;
        }
        matcher.set_strangers(self.strangers.members());
        let before = roster.threshold.as_ref().and_then(expected::doubts);
        roster.warnings.retain(|warning| Some(warning) != before.as_ref());
        let threshold = expected::threshold(matcher);
        roster.warnings.extend(expected::doubts(&threshold));
        roster.threshold = Some(threshold);
        self.next_normalise = now + NORMALISE_EVERY.max(NORMALISE_PART * started.elapsed());
    }

    /// Looks at the newest frame when the interval is over. Otherwise it waits, unless pictures are to be enrolled.
    fn look_if_due(&mut self) {
        let busy = self.enrolment.is_some();
        let wait = self.next_look.saturating_duration_since(Instant::now()).min(POLL);
        let is_closed = self.engines.looking.is_none();
        if is_closed || !wait.is_zero() {
            if !busy {
                self.stage.stop.wait(if is_closed { POLL } else { wait });
            }
            return;
        }
        let patience = if busy { Duration::ZERO } else { POLL };
        let Some((seen, frame)) = self.stage.frames.wait_newer(self.frame_seen, patience) else { return };
        self.frame_seen = seen;
        let started = Instant::now();
        self.look(&frame);
        self.pace = self.pacer.interval(self.wanted(), started.elapsed(), started);
        self.next_look = started + self.pace.interval;
        self.stage.health.set_pace(self.pace.clone());
    }

    /// The interval between looks by the config.
    fn wanted(&self) -> Duration {
        Duration::from_millis(u64::from(self.config.recognition.interval_ms))
    }

    /// The interval until the next look: that of the config, or that of the last look while looks are slowed down.
    fn interval(&self) -> Duration {
        let wanted = self.wanted();
        if self.pace.slowed.is_some() { self.pace.interval.max(wanted) } else { wanted }
    }

    /// Publishes the last result for another frame, because nothing moved.
    fn say_again(&self, frame: &Frame) {
        self.stage.health.nothing_moved();
        if let Some((_, seen)) = self.stage.sightings.newest() {
            let (frame, captured_at, interval) = (frame.seq, frame.captured_at, self.interval());
            let mut again = Sightings { frame, captured_at, interval, ..(*seen).clone() };
            again.faces.iter_mut().for_each(|face| face.velocity = [0.0; 2]);
            self.stage.sightings.publish(Arc::new(again));
        }
    }

    fn look(&mut self, frame: &Frame) {
        let started = Instant::now();
        let captured_at = frame.captured_at.instant;
        if frame.mask != self.mask {
            // Earlier results may show areas that are hidden now.
            self.mask = frame.mask.clone();
            self.pipeline.forget_all();
            self.pipeline.forget_chips();
            self.last_picture = None;
        }
        let luma = frame.luma().ok();
        let motion = self.pipeline.motion(luma.as_ref(), frame.upright_size());
        // A look serves every rendition, so it examines the whole frame when only viewers get blurred pictures, too.
        let private = self.config.overlay.blurs_for(false);
        let before = self.stage.sightings.newest().map(|(_, before)| before);
        // With blur, a change that is too small to count as motion needs a look as well.
        let picture: PictureKey = (Arc::clone(&frame.bytes), frame.upright_size(), frame.turn);
        let examined = before.as_ref().and_then(|before| before.examined.as_deref());
        let is_known = examined.is_some_and(Examined::is_settled) && self.last_picture.as_ref() == Some(&picture);
        if (is_known || !private) && !self.pipeline.need(&motion, captured_at) {
            self.say_again(frame);
            return;
        }
        let rgb = match frame.rgb() {
            Ok(rgb) => rgb,
            Err(error) => {
                self.stage.health.faults.report(Cause::LookUndecodable, &error);
                return;
            }
        };
        let interval = self.interval();
        let Some(Loaded { opened, options }) = &mut self.engines.looking else { return };
        let config = options.put_into(&self.config.recognition);
        let engine = opened.engine.as_mut();
        self.pipeline.set_interval(interval);
        // Before the first gallery, and while it cannot be read, no face can be said to be unknown.
        let matcher = self.library.as_ref().map(|(_, matcher)| matcher);
        self.pipeline.keep_private(private);
        self.pipeline.set_posing(self.stage.desk.posing(Instant::now()));
        let mut faces = self.pipeline.look(engine, &rgb, &motion, matcher, &config, captured_at);
        if let Some((_, matcher)) = self.library.as_ref().filter(|_| config.remember_strangers_h > 0) {
            for unnamed in self.pipeline.unnamed() {
                let number = self.strangers.number(matcher, &unnamed);
                faces.iter_mut().filter(|face| face.track == unnamed.track).for_each(|face| face.stranger = number);
            }
        }
        self.pipeline.remember(luma);
        self.last_picture = private.then_some(picture);
        let examined = private.then(|| Arc::new(Examined::new(&rgb, self.pipeline.nameless(captured_at), examined)));
        let took = started.elapsed();
        self.stage.health.look_done(took);
        let (width, height) = (rgb.width, rgb.height);
        let blurred_areas = Vec::new();
        let (captured_at, mask) = (frame.captured_at, frame.mask.clone());
        let mut sightings = Sightings {
            frame: frame.seq,
            captured_at,
            took,
            interval,
            width,
            height,
            faces,
            blurred_areas,
            examined,
            mask,
        };
        if let Some(before) = before {
            sightings.keep_blurred_areas_of(&before);
        }
        self.stage.sightings.publish(Arc::new(sightings));
        if let Some(Loaded { opened, .. }) = &mut self.engines.looking {
            self.pipeline.take_chips(opened.engine.as_mut(), &rgb);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
