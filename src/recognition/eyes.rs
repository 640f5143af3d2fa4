//! A look at a picture: where faces are, whose tracks they belong to, who they are.

use super::Engine;
use super::matcher::Matcher;
use super::scan::Scanner;
use super::tracks::{Scene, Tracks};
use crate::config::Recognition;
use crate::pixels::Rgb;
use crate::sighting::Sighting;
use std::time::{Duration, Instant};

/// What is remembered from look to look.
#[derive(Debug, Default)]
pub struct Eyes {
    scanner: Scanner,
    tracks: Tracks,
}

impl Eyes {
    /// The faces on a picture that was captured at `at`, left to right. Without a `matcher` nobody can say who they are.
    pub fn look(
        &mut self,
        engine: &mut dyn Engine,
        rgb: &Rgb,
        matcher: Option<&Matcher>,
        config: &Recognition,
        at: Instant,
    ) -> Vec<Sighting> {
        let faces = self.scanner.find(engine, rgb, config, at);
        let interval = Duration::from_millis(u64::from(config.interval_ms));
        let scene = Scene { matcher, jitters: config.num_jitters, interval, at };
        self.tracks.look(engine, rgb, &faces, &scene)
    }

    /// Another engine looks from now on: what two engines make of a face must not be compared.
    pub fn forget_looks(&mut self) {
        self.tracks.forget_looks();
    }
}
