//! [`Pipeline`]: decides whether a frame needs a look, and performs a look: finds faces, assigns them to tracks and
//! identifies them.

use super::tracks::{Scene, Tracks};
use crate::config::Recognition;
use crate::detection::Sighting;
use crate::detection::chips::Chips;
use crate::image::{Luma, Rect, Rgb};
use crate::recognition::detect::motion::{Motion, MotionGate};
use crate::recognition::detect::scan::Scanner;
use crate::recognition::engine::Engine;
use crate::recognition::identify::matcher::Matcher;
use crate::recognition::identify::strangers::Unnamed;
use std::time::{Duration, Instant};

/// The interval of looks at faces when nothing moves: a person may be still for a moment.
const STILL_FACE_EVERY: Duration = Duration::from_millis(1500);

/// The state of recognition between looks.
#[derive(Debug, Default)]
pub struct Pipeline {
    gate: MotionGate,
    scanner: Scanner,
    tracks: Tracks,
    /// When the last look was; `None` when its result does not hold for the next frame.
    looked_at: Option<Instant>,
}

impl Pipeline {
    /// The motion since the last look, on a frame of `size` pixels. Without a luma plane it is unknown.
    pub fn motion(&mut self, luma: Option<&Luma>, size: (u32, u32)) -> Motion {
        luma.map_or(Motion::Unknown, |luma| self.gate.compare(luma, size))
    }

    /// True when a frame with this motion, captured at `at`, needs a look.
    pub fn need(&self, motion: &Motion, at: Instant) -> bool {
        let since = self.looked_at.map(|last| at.saturating_duration_since(last));
        !motion.is_none()
            || since.is_none_or(|since| !self.tracks.is_empty() && since >= STILL_FACE_EVERY)
            || self.tracks.are_unsettled(at)
            || self.scanner.is_due(at)
    }

    /// The faces on a picture that was captured at `at`, from left to right. Without a `matcher` they are not
    /// identified.
    pub fn look(
        &mut self,
        engine: &mut dyn Engine,
        rgb: &Rgb,
        motion: &Motion,
        matcher: Option<&Matcher>,
        config: &Recognition,
        at: Instant,
    ) -> Vec<Sighting> {
        if *motion == Motion::Everywhere {
            self.tracks.scatter();
        }
        let expected = self.tracks.expected(at);
        // Without known motion, the scanner examines the whole frame.
        let motion = if self.tracks.are_private { &Motion::Unknown } else { motion };
        let faces = self.scanner.find(engine, rgb, &expected, motion, config, at);
        let configured_interval = Duration::from_millis(u64::from(config.interval_ms));
        let judges_all = self.looked_at.is_none();
        let scene = Scene { matcher, judges_all, jitters: config.num_jitters, configured_interval, at };
        self.looked_at = Some(at);
        self.tracks.look(engine, rgb, &faces, &scene)
    }

    /// With `true`, as for `overlay.unknown = blur`, each look examines the whole frame, and a face has a name only
    /// while no look speaks against it.
    pub fn keep_private(&mut self, private: bool) {
        self.tracks.are_private = private;
    }

    /// Sets the interval between looks in effect.
    pub fn set_interval(&mut self, interval: Duration) {
        self.tracks.interval = interval;
    }

    /// The track of a person who is enrolling before the camera.
    pub fn set_posing(&mut self, track: Option<u64>) {
        self.tracks.posing = track;
    }

    /// The boxes of possible faces without a name, as of the last look, which was at `at`.
    pub fn nameless(&self, at: Instant) -> Vec<Rect> {
        self.scanner.doubted().iter().copied().chain(self.tracks.nameless(at)).collect()
    }

    /// The people who are followed and have not had a name.
    pub fn unnamed(&self) -> impl Iterator<Item = Unnamed> {
        self.tracks.unnamed()
    }

    /// True while a track is followed.
    pub fn follows(&self, track: u64) -> bool {
        self.tracks.follow(track)
    }

    /// The people whose tracks have ended without a name since the last call.
    pub fn take_unnamed(&mut self) -> Vec<Unnamed> {
        self.tracks.take_unnamed()
    }

    /// Takes the chips of the faces that the last look, at `rgb`, has described.
    pub fn take_chips(&mut self, engine: &mut dyn Engine, rgb: &Rgb) {
        self.tracks.take_chips(engine, rgb);
    }

    /// The chips, when they have changed since the last call.
    pub fn chips(&mut self, now: Instant) -> Option<Chips> {
        let were_followed = !self.tracks.is_empty();
        let chips = self.tracks.chips(now);
        if were_followed && self.tracks.is_empty() {
            // The faces of the last look are no longer followed, so its result does not hold for the next frame.
            self.looked_at = None;
        }
        chips
    }

    /// Forgets the chips.
    pub fn forget_chips(&mut self) {
        self.tracks.forget_chips();
    }

    /// Forgets all tracks and frames: the next look examines the whole frame.
    pub fn forget_all(&mut self) {
        self.tracks.forget_all();
        (self.gate, self.scanner, self.looked_at) = (MotionGate::default(), Scanner::default(), None);
    }

    /// Stores the luma of a frame that was looked at, for comparison with later frames.
    pub fn remember(&mut self, luma: Option<Luma>) {
        self.gate.remember(luma);
    }

    /// Requests a new look and new descriptions of all faces, because another gallery is in use.
    pub fn look_again(&mut self) {
        self.looked_at = None;
        self.tracks.describe_again();
    }

    /// Forgets all descriptors, because another engine is used from now on; descriptors of two engines must not be
    /// compared.
    pub fn forget_looks(&mut self) {
        self.tracks.forget_looks();
    }
}
