//! The recognition stage: a worker thread with the only engine looks at the newest frame every `interval_ms` and says
//! who is on it. It also takes the gallery in, a picture between two looks, and swaps it when it is ready.

pub mod cache;
pub mod cohort;
pub mod engine;
pub mod enrol;
pub mod eyes;
pub mod gallery;
pub mod hygiene;
pub mod matcher;
mod misplaced;
pub mod models;
pub mod motion;
pub mod outlook;
mod pace;
pub mod picture;
pub mod progress;
pub mod quality;
pub mod rates;
pub mod rule;
pub mod scan;
pub mod strangers;
mod template;
pub mod tiles;
mod tilt;
pub mod tracks;
mod words;
mod worker;

#[cfg(test)]
pub(crate) use worker::tests::{Steps, stage};
pub use worker::{Stage, run};

use crate::config::Config;
use crate::evidence::Evidence;
use crate::frame::Moment;
use crate::health::Health;
use crate::memory::{Machine, STILL_SIDE, plan};
use crate::pixels::{Rgb, Turn};
use crate::sighting::{Rect, Sighting, State};
use enrol::arrivals::Pass;
use enrol::{Enrolment, Library, Memory};
use matcher::Matcher;
use quality::Quality;
use rates::Rates;
use rule::OF_A_PICTURE;
use std::sync::Arc;

/// How many numbers dlib's network makes of a face.
pub const DESCRIPTOR_LEN: usize = 128;
/// What dlib's network makes of a face: near for the same person, far for others.
pub type Descriptor = [f32; DESCRIPTOR_LEN];

/// How hard to look for faces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detect {
    /// On a frame: scaled to `width` pixels, then doubled `upsample` times.
    Live {
        /// Width to scale a wider frame to, pixels.
        width: u32,
        /// How often to double that.
        upsample: u32,
    },
    /// On a picture that somebody chose: doubled where it is small, so that a face of 40 pixels is found.
    Still {
        /// The longest side to scale a larger one to, see [`Engine::still_side`].
        side: u32,
    },
}

impl Detect {
    /// By how much a picture of `width` x `height` pixels is scaled before faces are looked for.
    pub fn scale(self, width: u32, height: u32) -> f64 {
        match self {
            Detect::Live { width: wanted, upsample } => {
                let shrink = (f64::from(wanted) / f64::from(width.max(1))).min(1.0);
                shrink * f64::from(1 << upsample)
            }
            Detect::Still { side } => (f64::from(side) / f64::from(width.max(height).max(1))).min(2.0),
        }
    }
}

/// Finds faces and describes them. One thread owns it: dlib's detectors are not to be shared.
pub trait Engine {
    /// The faces on a picture, left to right, in pixels of the picture; they may reach beyond its edges. The picture is
    /// scaled by `scale` first: dlib's HOG detector sees faces from 80 pixels.
    fn detect(&mut self, picture: &Rgb, scale: f64) -> Vec<Rect>;

    /// A descriptor for each of `faces`, cut from `picture` in its full size. `jitters` shaken copies are averaged.
    fn describe(&mut self, picture: &Rgb, faces: &[Rect], jitters: u32) -> Vec<Descriptor>;

    /// From now on, a look that consists of several calls beats `health.recognition_beat` after each of them: it is slow, and
    /// does not hang.
    fn beat(&mut self, _health: &Arc<Health>) {}

    /// Another config is at work: the detector may be given so many pixels at once now, see [`crate::memory::Plan::most_px`].
    fn set_most_px(&mut self, _most_px: u64) {}

    /// The longest side in pixels of a still picture that it can afford to look at.
    fn still_side(&self) -> u32 {
        STILL_SIDE
    }
}

/// Counts the ways in which stills have been judged: a cache of another one is made anew.
const ENROLMENT: u32 = 5;

/// An engine and what tells its descriptors from those of another one.
pub struct Opened {
    /// The engine.
    pub engine: Box<dyn Engine>,
    /// Model and options, for the cache.
    pub tag: String,
    /// What was measured of its recognition model; `None`: nothing.
    pub rates: Option<Arc<Rates>>,
}

/// Checks and loads the models that the config asks for, and the rates of its recognizer.
///
/// # Errors
/// Names the file that is missing or not what it should be, or the keys for which there is not enough memory.
pub fn open(config: &Config) -> anyhow::Result<Opened> {
    let plan = plan(config, &Machine::this()).map_err(anyhow::Error::msg)?;
    let files = models::check(config)?;
    let rates = models::rates(&files)?;
    engine::set_blas_threads(config.recognition.blas_threads);
    let detector = config.recognition.detector.as_str();
    let tag = format!("{ENROLMENT} {} {detector} {}", files.tag, config.recognition.num_jitters);
    Ok(Opened { engine: Box::new(engine::Dlib::open(&files, plan.most_px)?), tag, rates })
}

/// The faces on a still picture, left to right. HOG now and then takes a collar or a flag for a face, and gives no score
/// through the crate; so where there are several, each must be found again on a cut-out at other scales.
pub fn faces_on_still(engine: &mut dyn Engine, rgb: &Rgb) -> Vec<Rect> {
    let mut faces = engine.detect(rgb, Detect::Still { side: engine.still_side() }.scale(rgb.width, rgb.height));
    if faces.len() > 1 {
        faces.retain(|&face| is_found_again(engine, rgb, face));
    }
    faces
}

/// Widths in pixels that a face on a cut-out is scaled to, a little above the detector's 80. On pictures of groups, real
/// faces were found at 7 or 8 of these 8 cut-outs (as it is and mirrored), false ones at 2, 3 and 5.
const AGAIN_WIDTHS: [f64; 4] = [84.0, 92.0, 97.0, 105.0];
const AGAIN_AT_LEAST: usize = 6;

pub(crate) fn is_found_again(engine: &mut dyn Engine, rgb: &Rgb, face: Rect) -> bool {
    let around = face.grown(face.w / 2).clipped(rgb.width, rgb.height);
    let as_it_is = rgb.cropped(around);
    let here = Rect { x: face.x - around.x, y: face.y - around.y, ..face };
    let mirrored = Turn { degrees: 0, mirror: true }.apply(as_it_is.clone());
    let there = Rect { x: around.w as i32 - here.x - here.w as i32, ..here };
    let mut times = 0;
    for (cut, place) in [(&as_it_is, here), (&mirrored, there)] {
        for width in AGAIN_WIDTHS {
            let found = engine.detect(cut, width / f64::from(face.w.max(1)));
            times += usize::from(found.iter().any(|again| again.iou(place) > 0.4));
        }
    }
    times >= AGAIN_AT_LEAST
}

/// Who the faces on a single picture are.
pub fn identify(engine: &mut dyn Engine, matcher: &Matcher, jitters: u32, rgb: &Rgb, faces: &[Rect]) -> Vec<Sighting> {
    let descriptors = engine.describe(rgb, faces, jitters);
    let sightings = faces.iter().zip(&descriptors).map(|(&rect, descriptor)| {
        let found = matcher.find(descriptor, 1.0, OF_A_PICTURE);
        let name = found.as_ref().and_then(|found| found.name()).cloned();
        let quality = Quality::of(rgb, rect);
        Sighting {
            track: 0,
            state: if name.is_some() { State::Named } else { State::Unknown },
            name,
            distance: found.as_ref().map(|found| found.best.distance),
            runner_up: found.as_ref().and_then(|found| found.runner_up.clone()),
            nearest: found.as_ref().and_then(|found| found.pictures.first().cloned()),
            rect,
            velocity: [0.0; 2],
            view: None,
            evidence: Arc::new(Evidence {
                limit: found.as_ref().map(|found| found.limit),
                score: found.as_ref().and_then(|found| found.score),
                margin: found.as_ref().and_then(|found| found.margin),
                pictures: found.as_ref().map(|found| found.pictures.clone()).unwrap_or_default(),
                looks: 1,
                effective_looks: 1.0,
                width_px: quality.width_px,
                sharpness: quality.sharpness,
                reason: words::of_match(found.as_ref(), "1 look"),
            }),
        }
    });
    sightings.collect()
}

/// Takes the whole gallery in at once, for the subcommands that end when they are done.
///
/// # Errors
/// When the folder is missing or cannot be read.
pub fn load(config: &Config, opened: &mut Opened) -> anyhow::Result<Library> {
    let mut memory = Memory::for_once(cache::Cache::open(cache::folder().as_deref(), &opened.tag));
    let now = Moment::now();
    let mut enrolment = Enrolment::begin(config, opened.rates.clone(), &mut memory, Pass::Reload, now)?;
    let mut shown = progress::Progress::new();
    while enrolment.step(opened.engine.as_mut(), &mut memory, now) {
        shown.show(enrolment.progress());
    }
    shown.done();
    // Not `save`: the rows of a gallery that a running namecam has are not this command's to forget.
    if let Err(error) = memory.cache.write() {
        log::warn!("the cache of descriptors cannot be written: {error}");
    }
    Ok(enrolment.finish(1))
}

#[cfg(test)]
mod tests;
