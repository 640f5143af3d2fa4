//! The trial of an admin: controls that are set on the running source, and a mode in which the source is opened and
//! measured. The former controls and mode are put back unless the config gets the same values within [`KEPT_FOR`].

use super::{Captured, Source};
use crate::config::{Camera, CameraSource};
use crate::os::process::cpu_time;
use crate::rounding::rounded;
use crate::tuning::{Answer, Changed, Control, Measured, Mode, Ticket, TrialState, Unset, ctl_name};
use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// How long a trial lasts after its last change, unless it is saved.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// How long a mode may take to its first picture, including the opening of the source.
const FIRST_WITHIN: Duration = Duration::from_secs(5);
/// How long pictures are counted after the first picture.
const SPAN: Duration = Duration::from_secs(2);

type Values = Vec<(String, i64)>;

/// The controls and the mode that an admin tries. The default is no trial.
#[derive(Default)]
pub(super) struct Trial {
    source: CameraSource,
    controls: Values,
    /// The former values of the controls that the trial has changed or locked.
    before: Values,
    /// True when a button was pressed, whose effects belong to no control that can be kept.
    is_pressed: bool,
    mode: Option<Mode>,
    measurement: Option<Measurement>,
    ends: Option<Instant>,
}

/// A mode that is being measured.
struct Measurement {
    ticket: Ticket,
    begun: Instant,
    /// The time of the first picture, and the processor time of the program until then.
    first: Option<(Instant, Duration)>,
    frames: u32,
    /// Why the last picture could not be used.
    broken: Option<String>,
    /// The mode on trial before this one.
    former: Option<Mode>,
}

impl Trial {
    /// True when the time of the trial has passed. A trial is not over while its mode is being measured: the
    /// measurement ends by itself.
    pub fn is_over(&self) -> bool {
        self.measurement.is_none() && self.ends.is_some_and(|ends| Instant::now() >= ends)
    }

    /// `config` with the controls and the mode of the trial.
    pub fn camera(&self, config: &Camera) -> Camera {
        let mut camera = config.clone();
        if self.source != config.source || self.is_over() {
            return camera;
        }
        if let Some(Mode { format, width, height, fps }) = &self.mode {
            (camera.width, camera.height, camera.fps) = (*width, *height, *fps);
            camera.format.clone_from(format);
        }
        for (name, value) in &self.controls {
            camera.controls.retain(|(given, _)| ctl_name(given) != *name);
            camera.controls.push((name.clone(), *value));
        }
        camera
    }

    /// True when nothing is tried and there is nothing to put back.
    fn is_empty(&self) -> bool {
        self.controls.is_empty() && self.before.is_empty() && self.mode.is_none() && self.measurement.is_none()
    }

    /// Ends the trial of controls and of a mode that a newer config contains, and the trial of another source.
    pub fn settle(&mut self, config: &Camera) {
        self.belongs_to(&config.source);
        let is_kept = |(name, value): &(String, i64)| {
            config.controls.iter().any(|(given, kept)| ctl_name(given) == *name && kept == value)
        };
        let (kept, tried): (Values, Values) = std::mem::take(&mut self.controls).into_iter().partition(is_kept);
        self.controls = tried;
        self.before.retain(|(name, _)| !kept.iter().any(|(of, _)| of == name));
        if !kept.is_empty() && self.controls.is_empty() && !self.is_pressed {
            // The rest are controls that the kept ones have changed or locked.
            self.before.clear();
        }
        let Camera { format, width, height, fps, .. } = config.clone();
        // The mode of the config may be measured, too.
        let is_measured = self.measurement.is_some();
        self.mode = self.mode.take().filter(|mode| is_measured || *mode != Mode { format, width, height, fps });
        if self.is_empty() {
            *self = Trial::default();
        }
    }

    /// Ends the trial of another source, without putting back its controls on this source.
    pub fn belongs_to(&mut self, source: &CameraSource) {
        if self.source != *source {
            *self = Trial::default();
        }
    }

    fn goes_on(&mut self, of: &CameraSource) {
        self.source = of.clone();
        self.ends = Some(Instant::now() + KEPT_FOR);
    }

    /// Sets controls of the running source. Returns the controls that were not set, and the ones that the driver set to
    /// another value.
    pub fn controls(
        &mut self,
        of: &CameraSource,
        wanted: &Values,
        source: &mut dyn Source,
    ) -> (Vec<Unset>, Vec<Changed>) {
        let list = |source: &dyn Source| source.equipment().map(|has| has.controls).unwrap_or_default();
        let was = list(source);
        let refused = source.set_controls(wanted);
        let now = list(source);
        let find = |name: &str| now.iter().find(|control: &&Control| control.name == name);
        let is_set = |name: &String| !refused.iter().any(|refused| refused.name == *name);
        for control in &was {
            let name = &control.name;
            let is_wanted = wanted.iter().any(|(wanted, _)| wanted == name) && is_set(name);
            // A control also counts as changed when setting another one locks it: an automatic mode locks the number
            // that it controls.
            let is_hit = find(name).is_some_and(|now| !control.locked && (now.locked || now.value != control.value));
            if let Some(value) = control.value.filter(|_| is_wanted || is_hit)
                && !self.before.iter().any(|(known, _)| known == name)
            {
                self.before.push((name.clone(), value));
            }
        }
        let mut changed = Vec::new();
        for (name, asked) in wanted.iter().filter(|(name, _)| is_set(name)) {
            // A button has no value, so only what it changes is part of the trial.
            let Some(value) = find(name).and_then(|control| control.value) else {
                self.is_pressed = true;
                continue;
            };
            if value != *asked {
                changed.push(Changed { name: name.clone(), asked: *asked, value });
            }
            self.controls.retain(|(known, _)| known != name);
            self.controls.push((name.clone(), value));
        }
        // Without a mode on trial, refused controls and a button that changes nothing are no trial.
        if !self.is_empty() {
            self.goes_on(of);
        }
        (refused, changed)
    }

    /// Begins the trial of a mode. The source has to be opened again in this mode.
    pub fn mode(&mut self, of: &CameraSource, mode: Mode, ticket: Ticket) {
        self.goes_on(of);
        let before = self.mode.replace(mode);
        // A mode whose measurement is not complete is not put back.
        let former = self.measurement.take().map_or(before, |unmeasured| unmeasured.former);
        let begun = Instant::now();
        self.measurement = Some(Measurement { ticket, begun, first: None, frames: 0, broken: None, former });
    }

    /// True when a mode is to be measured that was requested after the source was `opened`.
    pub fn needs_newer(&self, opened: Instant) -> bool {
        self.measurement.as_ref().is_some_and(|measurement| measurement.begun > opened)
    }

    /// Counts a picture. Returns the figures of the mode when the measurement is complete.
    ///
    /// # Errors
    /// The first picture has not the format or the size of the mode.
    pub fn count(&mut self, captured: &Captured) -> Result<Option<(Ticket, Measured)>> {
        let (Some(measurement), Some(mode)) = (&mut self.measurement, &self.mode) else { return Ok(None) };
        let Captured { format, width, height, .. } = captured;
        let Some((first, cpu)) = measurement.first else {
            let is_format = mode.format == "auto" || mode.format == format.name().to_lowercase();
            if !is_format || (mode.width, mode.height) != (*width, *height) {
                bail!("the camera gives {} {width}x{height} instead", format.name());
            }
            measurement.first = Some((Instant::now(), cpu_time()));
            return Ok(None);
        };
        measurement.frames += 1;
        let took = first.elapsed();
        if took < SPAN {
            return Ok(None);
        }
        let frames = f64::from(measurement.frames);
        let cpu_ms = cpu_time().saturating_sub(cpu).as_secs_f64() * 1000.0 / frames;
        let first_ms = (first - measurement.begun).as_millis() as u64;
        let measured = Measured { fps: rounded(frames / took.as_secs_f64(), 1), first_ms, cpu_ms: rounded(cpu_ms, 1) };
        let ticket = measurement.ticket;
        self.measurement = None;
        self.ends = Some(Instant::now() + KEPT_FOR);
        Ok(Some((ticket, measured)))
    }

    /// Records why a picture could not be used.
    pub fn is_broken(&mut self, why: &str) {
        if let Some(measurement) = &mut self.measurement {
            measurement.broken = Some(why.to_owned());
        }
    }

    /// Checks that the mode that is being measured delivers a good picture in time.
    ///
    /// # Errors
    /// No good picture came within [`FIRST_WITHIN`], or none that completes the measurement within that time after
    /// [`SPAN`].
    pub fn check_silence(&self) -> Result<()> {
        let Some(measurement) = &self.measurement else { return Ok(()) };
        let due = measurement.first.map_or(measurement.begun, |(first, _)| first + SPAN);
        if due.elapsed() >= FIRST_WITHIN {
            let why = measurement.broken.as_ref().map_or_else(String::new, |why| format!("; the last one: {why}"));
            bail!("no good picture within {} s{why}", FIRST_WITHIN.as_secs());
        }
        Ok(())
    }

    /// Ends the trial of a mode that failed, and returns the ticket of the question that waits for it. The mode on trial
    /// before it is on trial again.
    pub fn give_up_mode(&mut self) -> Option<Ticket> {
        let Measurement { ticket, former, .. } = self.measurement.take()?;
        self.mode = former;
        if self.is_empty() {
            *self = Trial::default();
        }
        Some(ticket)
    }

    /// Ends the trial and puts back the controls of the running source. The config may have got other values for them
    /// during the trial; they then get these. The former mode is used when the source is opened the next time.
    pub fn end(&mut self, config: &Camera, source: &mut dyn Source) {
        if !self.before.is_empty() {
            let kept = if config.source == self.source { &config.controls[..] } else { &[] };
            for refused in source.put_back(&self.before, kept) {
                log::warn!("camera: not put back: {}", refused.why);
            }
        }
        *self = Trial::default();
    }

    /// The equipment of the source and the state of the trial. `None` when the source does not describe its equipment.
    pub fn answer(&self, config: &Camera, source: &dyn Source) -> Option<Answer> {
        let equipment = source.equipment()?;
        let trial = self.ends.map(|ends| TrialState {
            controls: self.controls.iter().cloned().collect(),
            before: self.before.iter().cloned().collect(),
            mode: self.mode.clone(),
            ends_in_s: ends.saturating_duration_since(Instant::now()).as_secs(),
            settings: self.settings(config),
        });
        Some(Answer { equipment, trial, ..Answer::default() })
    }

    /// The config keys and values that make the trial permanent.
    fn settings(&self, config: &Camera) -> std::collections::BTreeMap<&'static str, String> {
        let mut settings = std::collections::BTreeMap::new();
        if !self.controls.is_empty() {
            let controls = self.camera(config).controls.into_iter().map(|(name, value)| format!("{name}={value}"));
            settings.insert("camera.controls", controls.collect::<Vec<_>>().join(", "));
        }
        if let Some(Mode { format, width, height, fps }) = &self.mode {
            settings.insert("camera.format", format.clone());
            settings.insert("camera.width", width.to_string());
            settings.insert("camera.height", height.to_string());
            settings.insert("camera.fps", fps.to_string());
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::{Equipment, Shot};

    /// A source that records the values that are put back, and those of the config.
    struct Spy(Vec<Values>);

    impl Source for Spy {
        fn next(&mut self, _: Duration) -> Result<Shot> {
            Ok(Shot::Nothing)
        }

        fn describe(&self) -> String {
            "spy".to_owned()
        }

        fn put_back(&mut self, before: &[(String, i64)], config: &[(String, i64)]) -> Vec<Unset> {
            self.0.extend([before.to_vec(), config.to_vec()]);
            Vec::new()
        }

        fn equipment(&self) -> Option<Equipment> {
            Some(Equipment::default())
        }
    }

    fn trial(ends_in: Duration) -> (Trial, Camera) {
        let source = CameraSource::Device("/dev/video9".into());
        let config = Camera { source: source.clone(), width: 640, ..Camera::default() };
        let trial = Trial {
            source,
            controls: vec![("gain".to_owned(), 9)],
            before: vec![("gain".to_owned(), 1)],
            mode: Some(Mode { format: "auto".to_owned(), width: 320, height: 240, fps: 30 }),
            ends: Instant::now().checked_add(ends_in),
            ..Trial::default()
        };
        (trial, config)
    }

    #[test]
    fn a_trial_applies_until_its_time_has_passed_and_then_the_former_values_are_put_back() {
        let (running, config) = trial(Duration::from_secs(9));
        let camera = running.camera(&config);
        assert_eq!((camera.width, camera.controls), (320, vec![("gain".to_owned(), 9)]));
        assert!(!running.is_over());
        let (mut over, config) = trial(Duration::ZERO);
        assert!(over.is_over());
        assert_eq!(over.camera(&config), config);
        let mut spy = Spy(Vec::new());
        over.end(&config, &mut spy);
        assert_eq!(spy.0, [vec![("gain".to_owned(), 1)], vec![]]);
        assert!(!over.is_over() && over.answer(&config, &spy).unwrap().trial.is_none());
    }

    #[test]
    fn a_mode_with_a_single_picture_is_given_up_and_the_mode_on_trial_before_it_is_back() {
        let (mut running, config) = trial(Duration::from_secs(60));
        let before = running.mode.clone();
        running.mode(
            &config.source,
            Mode { format: "auto".to_owned(), width: 8, height: 8, fps: 1 },
            Ticket::default(),
        );
        assert!(running.check_silence().is_ok());
        let mut first_was = |ago| {
            running.measurement.as_mut().unwrap().first = Some((Instant::now() - ago, Duration::ZERO));
            running.check_silence().map_err(|error| error.to_string())
        };
        assert_eq!(first_was(SPAN), Ok(()));
        assert_eq!(first_was(SPAN + FIRST_WITHIN), Err("no good picture within 5 s".to_owned()));
        assert!(running.give_up_mode().is_some() && before.is_some());
        assert_eq!(running.mode, before);
    }

    #[test]
    fn a_trial_applies_to_one_source_only() {
        let (mut running, config) = trial(Duration::from_secs(9));
        let other = Camera { source: CameraSource::Device("/dev/video8".into()), ..config.clone() };
        assert_eq!(running.camera(&other), other);
        running.settle(&other);
        assert_eq!(running.camera(&config), config);
    }
}
