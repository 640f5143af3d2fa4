//! A look at a picture: where faces are, whose tracks they belong to, who they are. And whether a look is needed at all.

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

/// A face that does not move is looked at again so often: it is easy to be still for a moment.
const STILL_FACE_EVERY: Duration = Duration::from_millis(1500);

/// What is remembered from look to look.
#[derive(Debug, Default)]
pub struct Pipeline {
    gate: MotionGate,
    scanner: Scanner,
    tracks: Tracks,
    looked_at: Option<Instant>,
}

impl Pipeline {
    /// What moved since the last look on a frame of `size` pixels. With `None`, nobody can tell.
    pub fn motion(&mut self, luma: Option<&Luma>, size: (u32, u32)) -> Motion {
        luma.map_or(Motion::Unknown, |luma| self.gate.compare(luma, size))
    }

    /// True when a frame that was captured at `at` and on which that moved has to be looked at.
    pub fn need(&self, motion: &Motion, at: Instant) -> bool {
        let since = self.looked_at.map(|last| at.saturating_duration_since(last));
        !motion.is_none()
            || since.is_none_or(|since| !self.tracks.is_empty() && since >= STILL_FACE_EVERY)
            || self.tracks.are_unsettled(at)
            || self.scanner.is_due(at)
    }

    /// The faces on a picture that was captured at `at`, left to right. Without a `matcher` nobody can say who they are.
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
        // Without word of what moved, the scanner looks at the whole frame.
        let motion = if self.tracks.are_private { &Motion::Unknown } else { motion };
        let faces = self.scanner.find(engine, rgb, &expected, motion, config, at);
        let interval = Duration::from_millis(u64::from(config.interval_ms));
        let is_new = self.looked_at.is_none();
        let scene = Scene { matcher, is_new, jitters: config.num_jitters, interval, at };
        self.looked_at = Some(at);
        self.tracks.look(engine, rgb, &faces, &scene)
    }

    /// With `true`, as for `overlay.unknown = blur`: each look covers the whole frame, and a face has a name only while
    /// nothing speaks against it.
    pub fn keep_private(&mut self, private: bool) {
        self.tracks.are_private = private;
    }

    /// The track of a person who is enrolling before the camera.
    pub fn set_posing(&mut self, track: Option<u64>) {
        self.tracks.posing = track;
    }

    /// Where the last look, at `at`, saw what looks like a face and bears no name.
    pub fn nameless(&self, at: Instant) -> Vec<Rect> {
        self.scanner.doubted().iter().copied().chain(self.tracks.nameless(at)).collect()
    }

    /// Those who are followed and never had a name.
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
        self.tracks.chips(now)
    }

    /// Forgets the chips.
    pub fn forget_chips(&mut self) {
        self.tracks.forget_chips();
    }

    /// Forgets everybody who was followed, and all frames: the whole of the next one is looked at.
    pub fn forget_all(&mut self) {
        self.tracks.forget_all();
        (self.gate, self.scanner, self.looked_at) = (MotionGate::default(), Scanner::default(), None);
    }

    /// Later frames are compared with this one, which was looked at.
    pub fn remember(&mut self, luma: Option<Luma>) {
        self.gate.remember(luma);
    }

    /// Another gallery is at work: faces are looked at again, whether they move or not.
    pub fn look_again(&mut self) {
        self.looked_at = None;
        self.tracks.describe_again();
    }

    /// Another engine looks from now on: what two engines make of a face must not be compared.
    pub fn forget_looks(&mut self) {
        self.tracks.forget_looks();
    }
}
