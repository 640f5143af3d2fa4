//! [`Tracks`]: follows faces from look to look. A track gathers evidence: the mean of its looks is compared with the
//! gallery, and a name stays until looks speak against it. No two tracks have the same name. Between looks, boxes are
//! extrapolated.
//!
//! There is no neural tracker: faces a fifth of a second apart overlap, and descriptors decide in doubt.

mod album;
mod path;
mod state;
mod track;

use crate::detection::chips::Chips;
use crate::detection::{Evidence, Sighting};
use crate::image::{Rect, Rgb};
use crate::recognition::descriptor::Descriptor;
use crate::recognition::detect::quality::Quality;
use crate::recognition::detect::scan::Expected;
use crate::recognition::engine::Engine;
use crate::recognition::identify::matcher::{Match, Matcher};
use crate::recognition::identify::rule::{Decision, OF_A_VISIT};
use crate::recognition::identify::strangers::Unnamed;
use album::Album;
use state::Shows;
use std::sync::Arc;
use std::time::{Duration, Instant};
use track::Track;

/// The overlap with the expected box of a track from which a face belongs to the track.
const MIN_IOU: f32 = 0.25;
/// The absence after which a track ends, if at least two looks missed its face. Where a look takes seconds, a longer
/// absence does not mean that the face was searched.
const MAX_ABSENCE: Duration = Duration::from_secs(2);
/// The absence after which a track ends in any case, and the same in intervals where looks are rarer: one look may miss
/// a face.
const MAX_GAP: Duration = Duration::from_secs(30);
const MAX_GAP_INTERVALS: u32 = 3;
/// The absence after which a track ends without a look, while the camera gives no frames.
const MAX_GAP_WITHOUT_LOOKS: Duration = Duration::from_secs(60);
/// How long a face that the detector misses is shown if its place still looks like it: people turn their heads and
/// blink.
const COAST: Duration = Duration::from_millis(700);
/// A track that has a name loses it to another track only if the score of that track is smaller by this much.
const HOLDS: f32 = 1.0;

/// The most ended tracks without a name that are kept until [`Tracks::take_unnamed`].
const UNNAMED: usize = 16;

/// The inputs of a look beside the picture.
pub struct Scene<'a> {
    /// The gallery; `None` when faces cannot be identified yet.
    pub matcher: Option<&'a Matcher>,
    /// True when every track is to be compared with the gallery, whether or not it has a new look.
    pub judges_all: bool,
    /// The number of jittered copies of a face whose descriptors are averaged.
    pub jitters: u32,
    /// The interval between looks by the config. It says when a face is unknown: a slower pace must not say so at the
    /// first look.
    pub configured_interval: Duration,
    /// When the frame was captured.
    pub at: Instant,
}

/// A face that a look has described.
#[derive(Debug)]
struct Described {
    track: u64,
    face: Rect,
    description: (Descriptor, Quality),
    at: Instant,
}

/// The faces that are followed.
#[derive(Debug, Default)]
pub struct Tracks {
    /// True when a face has a name only while no look speaks against it, see [`Track::is_doubted`].
    pub are_private: bool,
    /// The track of a person who is enrolling before the camera. It is described at every look, so that its chips are
    /// soon complete.
    pub posing: Option<u64>,
    /// The interval between looks in effect, which is longer than that of the config while the board is hot or slow.
    pub interval: Duration,
    last: u64,
    tracks: Vec<Track>,
    /// Of tracks that have ended, the newest last.
    unnamed: Vec<Unnamed>,
    /// The faces that the last look has described. Their chips are taken after the names of the look are published.
    described: Vec<Described>,
    album: Album,
}

impl Tracks {
    /// For a change of the whole picture: a followed person may be anywhere, and is recognised only by the face.
    pub fn scatter(&mut self) {
        self.tracks.iter_mut().for_each(|track| track.path.scatter());
    }

    /// The expected places of faces at `at`, including faces that were missed lately.
    pub fn expected(&self, at: Instant) -> Vec<Expected> {
        let known = self.tracks.iter().filter(|track| !is_lost(track, at, self.interval) && !track.path.is_scattered());
        known.map(|track| Expected { place: track.path.rect_at(at), was_seen: !track.is_missed() }).collect()
    }

    /// True when there is no track.
    pub fn is_empty(&self) -> bool {
        self.tracks.is_empty()
    }

    /// The boxes of faces without a name that the look at `at` found.
    pub fn nameless(&self, at: Instant) -> impl Iterator<Item = Rect> {
        let found = self.tracks.iter().filter(move |track| track.seen_at == at && !track.is_missed());
        found
            .filter(|track| !track.naming.bears() || (self.are_private && track.is_doubted()))
            .map(|track| track.detected)
    }

    /// True when a face needs another look soon, although nothing moves.
    pub fn are_unsettled(&self, at: Instant) -> bool {
        let is_unsettled = |track: &Track| track.is_missed() || self.wants_description(track, at);
        self.tracks.iter().any(|track| !is_lost(track, at, self.interval) && is_unsettled(track))
    }

    fn wants_description(&self, track: &Track, at: Instant) -> bool {
        self.posing == Some(track.number) || track.wants_description(at)
    }

    /// Assigns the `faces` on a picture to tracks, and returns the sightings from left to right.
    pub fn look(&mut self, engine: &mut dyn Engine, rgb: &Rgb, faces: &[Rect], scene: &Scene) -> Vec<Sighting> {
        let interval = self.interval;
        self.end(|track| is_lost(track, scene.at, interval));
        self.assign(rgb, faces, scene.at);
        self.describe(engine, rgb, scene);
        if let Some(matcher) = scene.matcher {
            for track in &mut self.tracks {
                let new_look = self.described.iter().any(|described| described.track == track.number);
                // The same looks and the same gallery give the same name.
                if new_look || scene.judges_all {
                    track.judge(matcher, new_look);
                }
            }
        }
        self.sightings(rgb, scene)
    }

    /// The people who are followed and have not had a name.
    pub fn unnamed(&self) -> impl Iterator<Item = Unnamed> {
        self.tracks.iter().filter_map(Track::unnamed)
    }

    /// True while a track is followed.
    pub fn follow(&self, number: u64) -> bool {
        self.tracks.iter().any(|track| track.number == number)
    }

    /// The people whose tracks have ended without a name since the last call, the newest of them.
    pub fn take_unnamed(&mut self) -> Vec<Unnamed> {
        std::mem::take(&mut self.unnamed)
    }

    /// Takes the chips of the faces that the last look has described. `rgb` is the picture of that look. The check that each
    /// chip shows a face takes longer than the description, so it comes after the names of the look are published.
    pub fn take_chips(&mut self, engine: &mut dyn Engine, rgb: &Rgb) {
        for Described { track, face, description, at } in std::mem::take(&mut self.described) {
            self.album.take(engine, track, rgb, face, description, at);
        }
    }

    /// The chips, when they have changed since the last call. Ends the tracks that no look has ended for long.
    pub fn chips(&mut self, now: Instant) -> Option<Chips> {
        let longest = MAX_GAP_WITHOUT_LOOKS.max(self.interval * MAX_GAP_INTERVALS);
        self.end(|track| now.saturating_duration_since(track.seen_at) > longest);
        self.album.keep(|number| self.tracks.iter().any(|track| track.number == number), now);
        self.album.changed()
    }

    /// Forgets the chips.
    pub fn forget_chips(&mut self) {
        self.described.clear();
        self.album.clear();
    }

    /// Makes all faces be described again, because another gallery is in use and may not confirm their names.
    pub fn describe_again(&mut self) {
        self.tracks.iter_mut().for_each(Track::describe_again);
    }

    /// Forgets all tracks. Later tracks have other numbers.
    pub fn forget_all(&mut self) {
        self.forget_chips();
        (self.tracks, self.unnamed) = (Vec::new(), Vec::new());
    }

    fn end(&mut self, is_over: impl Fn(&Track) -> bool) {
        self.unnamed.extend(self.tracks.iter().filter(|track| is_over(track)).filter_map(Track::unnamed));
        self.unnamed.drain(..self.unnamed.len().saturating_sub(UNNAMED));
        self.tracks.retain(|track| !is_over(track));
    }

    /// Forgets the descriptors of all tracks, because another engine is used from now on.
    pub fn forget_looks(&mut self) {
        self.tracks.iter_mut().for_each(Track::forget_looks);
    }

    fn assign(&mut self, rgb: &Rgb, faces: &[Rect], at: Instant) {
        let mut pairs: Vec<(f32, usize, usize)> = Vec::new();
        for (track, known) in self.tracks.iter().enumerate().filter(|(_, known)| !known.path.is_scattered()) {
            let expected = known.path.rect_at(at);
            for (face, rect) in faces.iter().enumerate() {
                let iou = rect.iou(expected).max(rect.iou(known.detected));
                if iou >= MIN_IOU {
                    pairs.push((iou, face, track));
                }
            }
        }
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (mut free, mut missed) = (vec![true; faces.len()], vec![true; self.tracks.len()]);
        for (_, face, track) in pairs {
            if free[face] && missed[track] {
                (free[face], missed[track]) = (false, false);
                self.tracks[track].see(rgb, faces[face], at, self.are_private);
            }
        }
        for (track, _) in self.tracks.iter_mut().zip(missed).filter(|(_, missed)| *missed) {
            track.misses = track.misses.saturating_add(1);
        }
        for (_, &rect) in free.iter().zip(faces).filter(|(free, _)| **free) {
            self.begin(rgb, rect, at);
        }
    }

    fn begin(&mut self, rgb: &Rgb, rect: Rect, at: Instant) -> &mut Track {
        self.last += 1;
        let at_end = self.tracks.len();
        self.tracks.push(Track::new(self.last, rgb, rect, at));
        &mut self.tracks[at_end]
    }

    /// Describes the faces that need it.
    fn describe(&mut self, engine: &mut dyn Engine, rgb: &Rgb, scene: &Scene) {
        let wanted = |track: &Track| !track.is_missed() && self.wants_description(track, scene.at);
        let which: Vec<usize> = (0..self.tracks.len()).filter(|&at| wanted(&self.tracks[at])).collect();
        let rects: Vec<Rect> = which.iter().map(|&at| self.tracks[at].detected).collect();
        let descriptors = engine.describe(rgb, &rects, scene.jitters);
        self.album.posing = self.posing;
        self.described.clear();
        let (mut over, interval) = (Vec::new(), self.interval);
        for ((at, rect), descriptor) in which.into_iter().zip(rects).zip(descriptors) {
            let alone = scene.matcher.and_then(|matcher| matcher.find(&descriptor, 1.0, OF_A_VISIT));
            let barred = alone.as_ref().is_some_and(|alone| alone.decision == Decision::Barred);
            let alone = alone.as_ref().and_then(Match::name);
            let may_be = |old: &Track| old.may_be(&descriptor, alone, barred);
            let missed = self.missed(at, &descriptor, may_be, scene.at);
            if let Some(old) = missed {
                // The old track is where a new one began, which ends.
                over.push(self.tracks[at].number);
                self.tracks[old].see(rgb, rect, scene.at, self.are_private);
            }
            let track = &mut self.tracks[missed.unwrap_or(at)];
            let track = match track.shows(&descriptor, alone) {
                Shows::Same => track,
                Shows::Doubtful => {
                    track.pass_over();
                    continue;
                }
                Shows::SomebodyElse => {
                    // The old track ends here: its name is not for the person who took its place.
                    over.push(track.number);
                    self.begin(rgb, rect, scene.at)
                }
            };
            let (number, quality) = (track.number, Quality::of(rgb, rect));
            track.describe(descriptor, quality, scene.at);
            let (description, at) = ((descriptor, quality), scene.at);
            self.described.push(Described { track: number, face: rect, description, at });
        }
        self.end(|track| over.contains(&track.number) || is_lost(track, scene.at, interval));
    }

    /// The missed track that a new one continues, if the face is like that of the track and can have moved there.
    fn missed(
        &self,
        new: usize,
        descriptor: &Descriptor,
        may_be: impl Fn(&Track) -> bool,
        at: Instant,
    ) -> Option<usize> {
        let new = &self.tracks[new];
        if !new.is_new() {
            return None;
        }
        let missed =
            self.tracks.iter().enumerate().filter(|(_, old)| old.is_missed() && !is_lost(old, at, self.interval));
        let near = missed.filter(|(_, old)| old.path.can_reach(new.detected, at) && may_be(old));
        let distance = |old: &Track| old.looks.distance(descriptor).unwrap_or(f32::INFINITY);
        near.min_by(|(_, a), (_, b)| distance(a).total_cmp(&distance(b))).map(|(old, _)| old)
    }

    /// The track that has a name: the nearest one that claims it. A missed track yields to a present one, which is
    /// probably the same person who moved too fast to be followed.
    fn bearer(&self, matcher: &Matcher, name: &Arc<str>) -> Option<u64> {
        let claims = self.tracks.iter().filter(|track| track.naming.claim() == Some(name));
        let there = claims.clone().any(|track| !track.is_missed());
        let claims = claims.filter(|track| !track.is_missed() || !there);
        let rank = |track: &&Track| {
            let rank = track.compared(matcher, name).map_or(f32::INFINITY, |compared| compared.rank);
            rank - if track.naming.bears() { HOLDS } else { 0.0 }
        };
        claims.min_by(|a, b| rank(a).total_cmp(&rank(b))).map(|track| track.number)
    }

    fn sightings(&mut self, rgb: &Rgb, scene: &Scene) -> Vec<Sighting> {
        let bearers: Vec<Option<u64>> = match scene.matcher {
            Some(matcher) => self.tracks.iter().map(|track| self.bearer(matcher, track.naming.claim()?)).collect(),
            None => vec![None; self.tracks.len()],
        };
        let mut shown = Vec::new();
        let are_private = self.are_private;
        for (track, bearer) in self.tracks.iter_mut().zip(bearers) {
            track.naming.settle(bearer == Some(track.number));
            let coasting =
                || scene.at.saturating_duration_since(track.seen_at) <= COAST && track.is_there(rgb, scene.at);
            // When another track has the name that this one claims, the person is there and not here.
            let elsewhere = track.naming.claim().is_some() && !track.naming.bears();
            if !track.is_missed() || (!elsewhere && coasting()) {
                shown.push(sighting(track, bearer, scene, are_private && track.is_doubted()));
            }
        }
        shown.sort_by_key(|face: &Sighting| face.rect.x);
        shown
    }
}

fn is_lost(track: &Track, at: Instant, interval: Duration) -> bool {
    let absence = at.saturating_duration_since(track.seen_at);
    (track.misses > 1 && absence > MAX_ABSENCE) || absence > MAX_GAP.max(interval * MAX_GAP_INTERVALS)
}

fn sighting(track: &Track, bearer: Option<u64>, scene: &Scene, withholds_name: bool) -> Sighting {
    let claim = track.naming.claim();
    let name = claim.filter(|_| track.naming.bears() && !withholds_name).cloned();
    let found = track.found.as_ref();
    let state = track.state(name.as_ref(), scene.at, scene.configured_interval);
    let reason = track.reason(state, bearer);
    let runner_up = found.and_then(|found| match &name {
        // The second person is the nearest one, whose name the face does not have.
        Some(name) if *name != found.best.what => Some(found.best.clone()),
        _ => found.runner_up.clone(),
    });
    // The scores of another person do not say why the face has its name.
    let best = found.filter(|found| name.as_ref().is_none_or(|name| *name == found.best.what));
    Sighting {
        track: track.number,
        since: track.first_at,
        state,
        name,
        distance: reason.distance,
        runner_up,
        nearest: found.and_then(|found| found.pictures.first().cloned()),
        rect: track.path.rect_at(scene.at),
        velocity: track.path.velocity(),
        view: Some(Arc::clone(&track.view)),
        stranger: None,
        evidence: Arc::new(Evidence {
            reason,
            score: best.and_then(|found| found.score),
            margin: best.and_then(|found| found.margin),
            pictures: found.map(|found| found.pictures.clone()).unwrap_or_default(),
            looks: track.looks.total(),
            effective_looks: scene.matcher.map_or(0.0, |matcher| track.effective_looks(matcher)),
            width_px: track.quality.width_px,
            sharpness: track.quality.sharpness,
            flaw: track.flaw(),
        }),
    }
}

#[cfg(test)]
mod tests;
