//! The recognition stage: a worker thread with the only engine processes the newest frame every `interval_ms` and
//! identifies the people on it. Between two passes it enrols the gallery, one picture at a time, and replaces the old
//! one when it is ready.

pub mod cache;
pub mod cohort;
pub mod curate;
pub mod engine;
pub mod enrol;
pub mod expected;
mod explain;
pub mod gallery;
pub mod matcher;
mod misplaced;
pub mod models;
pub mod motion;
mod pace;
pub mod picture;
pub mod pipeline;
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

/// The length of a descriptor of dlib's network.
pub const DESCRIPTOR_LEN: usize = 128;
/// The descriptor of a face from dlib's network: descriptors of the same person are close, those of others are far
/// apart.
pub type Descriptor = [f32; DESCRIPTOR_LEN];

/// The scale at which faces are detected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detect {
    /// For a frame: scaled to `width` pixels, then doubled `upsample` times.
    Live {
        /// The width in pixels to which a wider frame is scaled.
        width: u32,
        /// How many times it is doubled.
        upsample: u32,
    },
    /// For a still picture: doubled when it is small, so that a face of 40 pixels is found.
    Still {
        /// The longest side to which a larger picture is scaled; see [`Engine::still_side`].
        side: u32,
    },
}

impl Detect {
    /// The factor by which a picture of `width` x `height` pixels is scaled before detection.
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

/// Detects faces and computes descriptors. One thread owns it, because dlib's detectors cannot be shared.
pub trait Engine {
    /// The faces on a picture from left to right, in pixels of the picture; they may extend beyond its edges. The
    /// picture is first scaled by `scale`: dlib's HOG detector finds faces from 80 pixels.
    fn detect(&mut self, picture: &Rgb, scale: f64) -> Vec<Rect>;

    /// A descriptor for each of `faces`, computed from `picture` at its full size, as the mean of `jitters` jittered
    /// copies.
    fn describe(&mut self, picture: &Rgb, faces: &[Rect], jitters: u32) -> Vec<Descriptor>;

    /// Makes a pass of several calls beat `health.recognition_beat` after each of them, so that a slow pass is not
    /// taken for a hang.
    fn beat(&mut self, _health: &Arc<Health>) {}

    /// Sets the most pixels that the detector gets at once, after a change of the config; see
    /// [`crate::memory::Plan::most_px`].
    fn set_most_px(&mut self, _most_px: u64) {}

    /// The longest side in pixels to which still pictures are scaled.
    fn still_side(&self) -> u32 {
        STILL_SIDE
    }
}

/// The version of the checks of still pictures; a cache of another version is rebuilt.
const ENROLMENT: u32 = 5;

/// An engine, and the identity of its descriptors.
pub struct Opened {
    /// The engine.
    pub engine: Box<dyn Engine>,
    /// The model and the options, for the cache.
    pub tag: String,
    /// The measured rates of its recognition model; `None` when there are none.
    pub rates: Option<Arc<Rates>>,
}

/// Checks and loads the models of the config, and the rates of its recognizer.
///
/// # Errors
/// The file that is missing or invalid, or the keys that need too much memory.
pub fn open(config: &Config) -> anyhow::Result<Opened> {
    let plan = plan(config, &Machine::this()).map_err(anyhow::Error::msg)?;
    let files = models::check(config)?;
    let rates = models::rates(&files)?;
    engine::set_blas_threads(config.recognition.blas_threads);
    let detector = config.recognition.detector.as_str();
    let tag = format!("{ENROLMENT} {} {detector} {}", files.tag, config.recognition.num_jitters);
    Ok(Opened { engine: Box::new(engine::Dlib::open(&files, plan.most_px)?), tag, rates })
}

/// The faces on a still picture from left to right. HOG occasionally finds a face in a collar or a flag, and the crate
/// does not provide its score. So when there are several, each must be found again on a crop at other scales.
pub fn faces_on_still(engine: &mut dyn Engine, rgb: &Rgb) -> Vec<Rect> {
    let mut faces = engine.detect(rgb, Detect::Still { side: engine.still_side() }.scale(rgb.width, rgb.height));
    if faces.len() > 1 {
        faces.retain(|&face| is_found_again(engine, rgb, face));
    }
    faces
}

/// The widths in pixels to which a face on a crop is scaled, slightly above the detector's 80. On pictures of groups,
/// real faces were found in 7 or 8 of these 8 crops (plain and mirrored), false ones in 2, 3 and 5.
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

/// Identifies the faces on a single picture.
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
                reason: explain::of_match(found.as_ref(), "1 look"),
            }),
        }
    });
    sightings.collect()
}

/// Enrols the whole gallery at once, for the subcommands that end by themselves.
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
    // `write` rather than `save`, because a running namecam may need rows that this gallery does not use.
    if let Err(error) = memory.cache.write() {
        log::warn!("cannot write the cache of descriptors: {error}");
    }
    Ok(enrolment.finish(1))
}

#[cfg(test)]
mod tests;
