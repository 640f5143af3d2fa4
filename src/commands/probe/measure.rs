//! Measures the pictures that a camera really delivers: each candidate mode runs for a second.

use crate::camera::negotiate::{self, Choice, ModeRequest, Offer};
use crate::camera::v4l2::{self, LOOPBACK};
use crate::camera::{Shot, Source, checked};
use crate::config;
use crate::rounding::rounded;
use crate::sync::POLL;
use anyhow::{Result, bail};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// Further sizes to measure besides the configured one.
const SIZES: [(u32, u32); 2] = [(1280, 720), (640, 480)];
/// The most modes to measure, to bound the time.
const MAX_MODES: usize = 8;
/// After this many modes in a row without a picture, the others are skipped.
const MAX_SILENT: usize = 3;
/// How long the first picture may take.
const FIRST: Duration = Duration::from_secs(3);
/// How long pictures are counted after the first picture.
const SPAN: Duration = Duration::from_secs(1);
/// The share of its advertised rate that a mode must reach. [`BROKEN`] is the share of damaged pictures that a mode may
/// have.
const KEPT: f64 = 0.9;
const BROKEN: f64 = 0.01;

/// A mode and its measurement.
pub(super) struct Measured {
    pub mode: Choice,
    /// The figures, or why the measurement failed.
    pub figures: Result<FrameCounts, String>,
}

/// The result of a measurement.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FrameCounts {
    /// Good pictures per second.
    pub fps: f64,
    /// The share of damaged pictures. `dropped` is the share of dropped pictures.
    pub corrupt: f64,
    pub dropped: f64,
    /// A possible reason why the mode is slow.
    pub hint: Option<String>,
}

/// The modes to measure: the configured mode, the configured size in other formats, and a few common sizes.
pub(super) fn modes(offers: &[Offer], request: &ModeRequest) -> Vec<Choice> {
    let any = ModeRequest { format: None, ..*request };
    let ranked = |request: &ModeRequest| negotiate::rank(offers, request).unwrap_or_default();
    let mut modes: Vec<Choice> = Vec::new();
    let others = SIZES.iter().flat_map(|&(width, height)| {
        let fits = move |mode: &Choice| (mode.width, mode.height) == (width, height);
        ranked(&ModeRequest { width, height, ..any }).into_iter().filter(fits)
    });
    for mode in ranked(request).into_iter().chain(ranked(&any)).chain(others) {
        let key = |mode: &Choice| (mode.format.fourcc, mode.width, mode.height);
        if modes.len() < MAX_MODES && !modes.iter().any(|known| key(known) == key(&mode)) {
            modes.push(mode);
        }
    }
    modes
}

/// The other programs that use the device, as text. The program that feeds a loopback camera does not count.
pub(super) fn busy(driver: &str, users: &[String]) -> Option<String> {
    let writer = usize::from(driver == LOOPBACK);
    (users.len() > writer).then(|| format!("it is in use by {}", users.join(", ")))
}

/// Measures each mode.
pub(super) fn measure(path: &Path, camera: &config::Camera, modes: Vec<Choice>) -> Vec<Measured> {
    let (mut all, mut silent) = (Vec::new(), 0);
    for mode in modes {
        let figures = figures(path, camera, &mode).map_err(|error| error.to_string());
        silent = if figures.is_ok() { 0 } else { silent + 1 };
        all.push(Measured { mode, figures });
        if silent == MAX_SILENT {
            break;
        }
    }
    all
}

fn figures(path: &Path, camera: &config::Camera, mode: &Choice) -> Result<FrameCounts> {
    let mut stream = v4l2::open_mode(path, camera, mode)?;
    let mut figures = count(&mut stream, FIRST, SPAN)?;
    if figures.is_slow(mode) {
        figures.hint = stream.slowed_by();
    }
    Ok(figures)
}

/// Counts pictures for `span` after the first good picture, which may take `patience`.
pub(super) fn count(source: &mut dyn Source, patience: Duration, span: Duration) -> Result<FrameCounts> {
    let begun = Instant::now();
    let (mut first, mut broken_before) = (None::<Instant>, false);
    let (mut good, mut corrupt, mut dropped) = (0u64, 0u64, 0u64);
    loop {
        let shot = match source.next(POLL)? {
            Shot::Picture(captured) => {
                dropped += if first.is_some() { captured.dropped } else { 0 };
                Some(checked(captured, None).is_ok())
            }
            Shot::Corrupt(_) => Some(false),
            Shot::Nothing => None,
        };
        match (shot, first) {
            (Some(true), _) => good += 1,
            // Many cameras begin in the middle of a picture.
            (Some(false), None) => broken_before = true,
            (Some(false), Some(_)) => corrupt += 1,
            (None, _) => {}
        }
        if good == 1 {
            first.get_or_insert_with(Instant::now);
        }
        let elapsed = first.map(|first| first.elapsed());
        if let Some(elapsed) = elapsed.filter(|&elapsed| elapsed >= span) {
            let share = |count: u64| count as f64 / (good + corrupt + dropped) as f64;
            // The first picture only starts the clock.
            let fps = (good - 1) as f64 / elapsed.as_secs_f64();
            return Ok(FrameCounts { fps, corrupt: share(corrupt), dropped: share(dropped), hint: None });
        }
        if first.is_none() && begun.elapsed() >= patience {
            let what = if broken_before { "delivers only damaged pictures" } else { "delivers no picture" };
            bail!("{what} within {} s", patience.as_secs());
        }
    }
}

/// The recommended mode, with the reason in `why`: the first mode that reaches its advertised rate. A mode that misses
/// its rate is preferred to slower modes that reach theirs: fifteen of thirty frames are more than ten of ten. `None`
/// when no mode works.
pub(super) fn best(measured: &[Measured]) -> Option<Choice> {
    let works = || measured.iter().filter_map(|one| Some((&one.mode, one.figures.as_ref().ok()?)));
    let (first, figures) = works().next()?;
    let better = |(mode, other): &(&Choice, &FrameCounts)| {
        other.kept(mode) && (figures.corrupt > BROKEN || other.fps >= figures.fps)
    };
    let mut best = works().find(better).map_or(first, |(best, _)| best).clone();
    let wished = measured.first()?;
    if name(&best) != name(&wished.mode) {
        best.why = format!("{}: {}", name(&wished.mode), wished.verdict());
    }
    Some(best)
}

fn name(mode: &Choice) -> String {
    format!("{} {}x{}", mode.format.name(), mode.width, mode.height)
}

impl FrameCounts {
    fn kept(&self, mode: &Choice) -> bool {
        self.fps >= KEPT * mode.fps() && self.corrupt <= BROKEN
    }

    /// True when the camera delivers too few pictures, damaged and dropped ones included.
    fn is_slow(&self, mode: &Choice) -> bool {
        self.fps < KEPT * mode.fps() * (1.0 - self.corrupt - self.dropped)
    }

    fn in_words(&self, mode: &Choice) -> String {
        let mut words = format!("{:.1} of {} fps", self.fps, negotiate::show_fps(mode.fps()));
        for (share, what) in [(self.corrupt, "damaged"), (self.dropped, "dropped")] {
            if share > 0.0 {
                words += &format!(", {:.1} % {what}", share * 100.0);
            }
        }
        words
    }
}

impl Measured {
    fn verdict(&self) -> String {
        match &self.figures {
            Ok(figures) => figures.in_words(&self.mode),
            Err(why) => why.clone(),
        }
    }

    /// A line with the result, and a second line with a possible reason why the mode is slow.
    pub fn text(&self) -> String {
        let hint = self.figures.as_ref().ok().and_then(|figures| figures.hint.as_ref());
        let hint = hint.map_or(String::new(), |hint| format!("      {hint}\n"));
        format!("    {}: {}\n{hint}", name(&self.mode), self.verdict())
    }

    pub fn json(&self) -> Value {
        let Choice { format, width, height, .. } = &self.mode;
        let figures = self.figures.as_ref().ok();
        json!({
            "format": format.name(),
            "width": width,
            "height": height,
            "fps_promised": rounded(self.mode.fps(), 3),
            "fps": figures.map(|figures| rounded(figures.fps, 3)),
            "corrupt": figures.map(|figures| rounded(figures.corrupt, 3)),
            "dropped": figures.map(|figures| rounded(figures.dropped, 3)),
            "hint": figures.and_then(|figures| figures.hint.as_ref()),
            "problem": self.figures.as_ref().err(),
        })
    }
}

#[cfg(test)]
mod tests;
