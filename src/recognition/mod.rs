//! The recognition stage: a worker thread with the only engine processes the newest frame every `interval_ms` and
//! identifies the people on it. Between two looks it enrols the gallery, one picture at a time, and replaces the old
//! one when it is ready.

pub mod descriptor;
pub mod detect;
pub mod dlib;
pub mod engine;
pub mod gallery;
pub mod identify;
pub mod models;
mod pace;
pub mod pipeline;
pub mod tracks;
mod worker;

#[cfg(test)]
pub(crate) use worker::tests::{Steps, stage};
pub use worker::{Stage, run};

use crate::config::Config;
use crate::detection::{Evidence, Sighting, State};
use crate::frame::Moment;
use crate::image::{Rect, Rgb};
use crate::memory::{Machine, check_opening, plan};
use detect::quality::Quality;
use engine::Engine;
use gallery::cache::{self, Cache};
use gallery::enrol::arrivals::EnrolmentCause;
use gallery::enrol::{Enrolment, EnrolmentMemory, Library};
use gallery::progress::Progress;
use identify::matcher::Matcher;
use identify::rates::Rates;
use identify::rule::OF_A_PICTURE;
use std::sync::Arc;
use std::time::Instant;

/// The version of the checks of still pictures; a cache of another version is rebuilt.
const ENROLMENT: u32 = 6;

/// An engine and the identity of its descriptors.
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
    check_opening(config).map_err(anyhow::Error::msg)?;
    dlib::set_blas_threads(config.recognition.blas_threads);
    let detector = config.recognition.detector.as_str();
    let tag = format!("{ENROLMENT} {} {detector} {}", files.tag, config.recognition.num_jitters);
    Ok(Opened { engine: Box::new(dlib::Dlib::open(&files, plan.most_px)?), tag, rates })
}

/// Identifies the faces on a single picture.
pub fn identify_faces(
    engine: &mut dyn Engine,
    matcher: &Matcher,
    jitters: u32,
    rgb: &Rgb,
    faces: &[Rect],
) -> Vec<Sighting> {
    let (descriptors, since) = (engine.describe(rgb, faces, jitters), Instant::now());
    let sightings = faces.iter().zip(&descriptors).map(|(&rect, descriptor)| {
        let found = matcher.find(descriptor, 1.0, OF_A_PICTURE);
        let name = found.as_ref().and_then(|found| found.name()).cloned();
        let quality = Quality::of(rgb, rect);
        let reason = identify::explain::of_match(found.as_ref(), 1);
        Sighting {
            track: 0,
            since,
            state: if name.is_some() { State::Named } else { State::Unknown },
            name,
            distance: reason.distance,
            runner_up: found.as_ref().and_then(|found| found.runner_up.clone()),
            nearest: found.as_ref().and_then(|found| found.pictures.first().cloned()),
            rect,
            velocity: [0.0; 2],
            view: None,
            stranger: None,
            evidence: Arc::new(Evidence {
                reason,
                score: found.as_ref().and_then(|found| found.score),
                margin: found.as_ref().and_then(|found| found.margin),
                pictures: found.as_ref().map(|found| found.pictures.clone()).unwrap_or_default(),
                looks: 1,
                effective_looks: 1.0,
                width_px: quality.width_px,
                sharpness: quality.sharpness,
                flaw: quality.flaw(),
            }),
        }
    });
    sightings.collect()
}

/// Enrols the whole gallery at once, for subcommands that end by themselves.
///
/// # Errors
/// When the folder is missing or cannot be read.
pub fn load(config: &Config, opened: &mut Opened) -> anyhow::Result<Library> {
    let cache = Cache::open(cache::folder().as_deref(), &config.gallery.path, &opened.tag);
    let mut memory = EnrolmentMemory::for_once(cache);
    let now = Moment::now();
    let mut enrolment = Enrolment::begin(config, opened.rates.clone(), &mut memory, EnrolmentCause::Reload, now)?;
    let mut shown = Progress::new();
    while enrolment.step(opened.engine.as_mut(), &mut memory, now) {
        shown.show(enrolment.progress());
    }
    shown.done();
    if let Err(error) = memory.settle() {
        log::warn!("cannot write the cache of descriptors: {error}");
    }
    Ok(enrolment.finish(1))
}

#[cfg(test)]
mod tests;
