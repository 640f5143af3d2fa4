//! One face from look to look: where it is, what it looks like, and whose it is.

use super::path::Path;
use super::state::{DOUBTS, Naming, Outcome, Place, Shows};
use crate::detection::view::View;
use crate::detection::{Because, Flaw, Reason, State};
use crate::image::{Rect, Rgb};
use crate::recognition::descriptor::Descriptor;
use crate::recognition::detect::quality::Quality;
use crate::recognition::identify::explain;
use crate::recognition::identify::looks::Looks;
use crate::recognition::identify::matcher::{Compared, Match, Matcher};
use crate::recognition::identify::rule::{Decision, OF_A_VISIT, TO_KEEP};
use crate::recognition::identify::strangers::Unnamed;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So many looks are compared with the gallery before a face is called unknown, unless that takes too long.
const ENOUGH_LOOKS: u32 = 3;
const LONG_ENOUGH: Duration = Duration::from_millis(600);
/// An unknown face is looked at closely at each look at first, then so often: the person may have turned towards the camera.
const UNKNOWN_LOOKS: u32 = 5;
const UNKNOWN_EVERY: Duration = Duration::from_millis(400);
/// A face with a name is compared anew so often, and each time half as often as before, down to the other.
const NAMED_EVERY: Duration = Duration::from_secs(1);
const NAMED_AT_LEAST_EVERY: Duration = Duration::from_secs(8);
/// Views of one face at two looks are less alike when it turns or somebody else is there: at one look in seven at people
/// who sign with their hands.
const ALIKE: f32 = 0.85;
/// Less alike, or less overlapping, it is quite possible that somebody else is there: where one of those people takes the
/// place of another, it is 0.44 to 0.77.
const DOUBTFULLY_ALIKE: f32 = 0.78;
const DOUBTFUL_IOU: f32 = 0.5;
/// Looks at one person in one video are nearer to the mean of those before (median 0.24, nine of ten within 0.39); to
/// that of few looks they are less near.
const SAME_PERSON: f32 = 0.45;
const SAME_PERSON_AT_FIRST: f32 = 0.5;
const FIRST_LOOKS: u32 = 3;

/// So many looks must be good for what a track shows to be remembered.
const GOOD_LOOKS: u32 = 3;

/// A face that is followed.
#[derive(Debug)]
pub struct Track {
    pub number: u64,
    pub path: Path,
    pub seen_at: Instant,
    /// The box that the detector gave last.
    pub detected: Rect,
    /// How many looks have missed it since it was seen.
    pub misses: u32,
    /// Whose it is.
    pub naming: Naming,
    /// The nearest person when it was compared last.
    pub found: Option<Match>,
    /// How well the face could be seen then.
    pub quality: Quality,
    pub(super) looks: Looks,
    /// When the track began.
    pub first_at: Instant,
    /// What it looked like when it was detected last.
    pub view: Arc<View>,
    place: Place,
    described_at: Option<Instant>,
    /// What it looked like then.
    described_view: Arc<View>,
    good_looks: u32,
    /// The best look, by the weight of the look and the sharpness of the face.
    best_look: Option<((f32, f32), Descriptor)>,
    reason: Reason,
}

impl Track {
    /// A face that was not there before.
    pub fn new(number: u64, rgb: &Rgb, rect: Rect, at: Instant) -> Track {
        let view = Arc::new(View::of(rgb, rect));
        Track {
            number,
            path: Path::new(rect, at),
            seen_at: at,
            detected: rect,
            misses: 0,
            naming: Naming::NotCompared,
            found: None,
            quality: Quality::default(),
            looks: Looks::default(),
            first_at: at,
            view: Arc::clone(&view),
            place: Place::AsDescribed,
            described_at: None,
            described_view: view,
            good_looks: 0,
            best_look: None,
            reason: Reason::default(),
        }
    }

    /// It is seen again. `from_description`: the face may have become another one step by step since its last description,
    /// each of which is too small to be told.
    pub fn see(&mut self, rgb: &Rgb, rect: Rect, at: Instant, from_description: bool) {
        let iou = rect.iou(self.path.rect_at(at));
        self.path.update(rect, at);
        // Of the place that the path says, which jumps less than the detector's boxes.
        let place = self.path.rect_at(at);
        let (view, likeness) = (Arc::new(View::of(rgb, place)), self.view.likeness_at(rgb, place, ALIKE));
        // Another face may come into the same hair and collar, so the face alone is compared too.
        let described = &self.described_view;
        let is_like_then = || {
            described.likeness_at(rgb, place, ALIKE) >= ALIKE
                && described.likeness_of_face_at(rgb, place, ALIKE) >= ALIKE
        };
        self.place.see(if likeness < DOUBTFULLY_ALIKE || iou < DOUBTFUL_IOU {
            Place::Displaced
        } else if self.is_missed() || likeness < ALIKE || (from_description && !is_like_then()) {
            Place::Changed
        } else {
            Place::AsDescribed
        });
        (self.seen_at, self.detected, self.view, self.misses) = (at, rect, view, 0);
    }

    /// True while the detector misses it.
    pub fn is_missed(&self) -> bool {
        self.misses > 0
    }

    /// True when what is at its place still looks like it.
    pub fn is_there(&self, rgb: &Rgb, at: Instant) -> bool {
        self.view.likeness_at(rgb, self.path.rect_at(at), DOUBTFULLY_ALIKE) >= DOUBTFULLY_ALIKE
    }

    /// True when the face should be compared with the gallery at this look.
    pub fn wants_description(&self, at: Instant) -> bool {
        let Some(described_at) = self.described_at else { return true };
        let since = at.saturating_duration_since(described_at);
        self.place != Place::AsDescribed
            || self.naming.is_doubted()
            || match self.naming.claim() {
                Some(_) => self.looks.total() < ENOUGH_LOOKS || since >= self.named_every(),
                None => self.looks.total() < UNKNOWN_LOOKS || since >= UNKNOWN_EVERY,
            }
    }

    fn named_every(&self) -> Duration {
        let doublings = self.looks.total().saturating_sub(ENOUGH_LOOKS).min(8);
        (NAMED_EVERY * (1 << doublings)).min(NAMED_AT_LEAST_EVERY)
    }

    pub fn is_new(&self) -> bool {
        self.looks.total() == 0
    }

    /// True when the person who is missed here may be the one who has come elsewhere, with that descriptor and, by it, that name;
    /// `barred`: by it, somebody who shall never be named.
    pub fn may_be(&self, descriptor: &Descriptor, name: Option<&Arc<str>>, barred: bool) -> bool {
        let claim = self.naming.claim();
        let another = claim.is_some() && (barred || (name.is_some() && name != claim));
        !self.is_new() && !another && self.looks_like(descriptor, name)
    }

    /// True when a descriptor, which by itself is of `name`, is near enough to be of the track's person.
    fn looks_like(&self, descriptor: &Descriptor, name: Option<&Arc<str>>) -> bool {
        let near = if self.looks.total() < FIRST_LOOKS { SAME_PERSON_AT_FIRST } else { SAME_PERSON };
        let is_near = self.looks.distance(descriptor).is_none_or(|distance| distance <= near);
        is_near || (name.is_some() && name == self.naming.claim())
    }

    /// Whether a descriptor is of the track's person; `name` is whose it is by itself.
    pub fn shows(&self, descriptor: &Descriptor, name: Option<&Arc<str>>) -> Shows {
        if self.looks_like(descriptor, name) {
            Shows::Same
        } else if name.is_some() {
            Shows::SomebodyElse
        } else {
            self.place.shows()
        }
    }

    /// True when the last look speaks against the name that it bears, or has shown somebody who may be another person.
    pub fn is_doubted(&self) -> bool {
        self.naming.is_doubted() || self.place == Place::PassedOver
    }

    pub fn pass_over(&mut self) {
        self.place = Place::PassedOver;
    }

    pub fn describe(&mut self, descriptor: Descriptor, quality: Quality, at: Instant) {
        self.looks.add(descriptor, weight(quality));
        if quality.poor().is_none() {
            self.good_looks += 1;
            let rank = (weight(quality), quality.sharpness);
            if self.best_look.is_none_or(|(best, _)| rank > best) {
                self.best_look = Some((rank, descriptor));
            }
        }
        (self.quality, self.described_at, self.described_view) = (quality, Some(at), Arc::clone(&self.view));
        self.place = Place::AsDescribed;
    }

    /// The next look describes it again.
    pub fn describe_again(&mut self) {
        self.described_at = None;
    }

    /// Forgets whose descriptors it has: another engine makes others.
    pub fn forget_looks(&mut self) {
        (self.looks, self.described_at) = (Looks::default(), None);
        (self.good_looks, self.best_look) = (0, None);
    }

    /// What is left of a track that has been compared with the gallery and never had a name; `None` where it had, or where too few
    /// looks were good.
    pub fn unnamed(&self) -> Option<Unnamed> {
        let (_, best) = self.best_look?;
        let is_unnamed = self.naming == Naming::NeverNamed && self.good_looks >= GOOD_LOOKS;
        let (track, seen_at) = (self.number, self.seen_at);
        is_unnamed.then(|| Unnamed { track, best, seen_at, looks: self.looks.clone() })
    }

    /// Compares it with the gallery. `new_look`: there has been a description since the last time.
    pub fn judge(&mut self, matcher: &Matcher, new_look: bool) {
        let Some(mean) = self.looks.mean() else { return };
        let variance = 1.0 / self.looks.effective(&mean, &matcher.rule().rates);
        self.found = matcher.find(&mean, variance, OF_A_VISIT);
        let wanted = self.found.as_ref().and_then(Match::name);
        let is_barred = self.found.as_ref().is_some_and(|found| found.decision == Decision::Barred);
        let own = |name: &str| matcher.of_person(name, &mean, variance, TO_KEEP);
        match self.naming.compare(wanted, own, is_barred, new_look) {
            Outcome::Found => self.reason = explain::of_match(self.found.as_ref(), self.looks.total()),
            Outcome::Kept(name, own) => self.reason = explain::kept(&name, own),
            Outcome::Doubted(name, own) => self.reason = explain::doubted(&name, own),
            Outcome::Withdrawn(name, own) => {
                self.reason = match self.naming.claim() {
                    // Another name takes its place at once.
                    Some(_) => explain::of_match(self.found.as_ref(), self.looks.total()),
                    None => explain::withdrawn(&name, own),
                };
                // What spoke for the old name is not to speak against the new one.
                self.looks.keep_newest(DOUBTS as usize);
            }
        }
    }

    /// What it is called: nothing is said of a face before it has been looked at enough.
    pub fn state(&self, name: Option<&Arc<str>>, at: Instant, interval: Duration) -> State {
        let nobody_to_compare_with = self.found.is_none();
        let long_enough = at.saturating_duration_since(self.first_at) + interval >= LONG_ENOUGH;
        match name {
            Some(_) => State::Named,
            None if self.naming == Naming::NotCompared => State::Seen,
            None if nobody_to_compare_with || long_enough || self.looks.total() >= ENOUGH_LOOKS => State::Unknown,
            None => State::Seen,
        }
    }

    /// How its looks compare with a person.
    pub fn compared(&self, matcher: &Matcher, name: &str) -> Option<Compared> {
        matcher.of_person(name, &self.looks.mean()?, 1.0, OF_A_VISIT)
    }

    /// How many independent looks it has been compared by.
    pub fn effective_looks(&self, matcher: &Matcher) -> f32 {
        self.looks.mean().map_or(0.0, |mean| self.looks.effective(&mean, &matcher.rule().rates))
    }

    /// Why it has its name or none in that state. `bearer` is the track that bears the name that this one claims.
    pub fn reason(&self, state: State, bearer: Option<u64>) -> Reason {
        let lost_its_name = matches!(self.reason.because, Because::Withdrawn | Because::LeftGallery);
        match (self.naming.claim(), bearer) {
            (Some(claim), Some(other)) if !self.naming.bears() => explain::borne_by_another(&self.reason, claim, other),
            _ if state == State::Seen && !lost_its_name => explain::deciding(&self.reason, self.looks.total()),
            _ => self.reason.clone(),
        }
    }

    /// What makes it hard to recognise.
    pub fn flaw(&self) -> Option<Flaw> {
        if self.is_missed() { Some(Flaw::Turned) } else { self.described_at.and_then(|_| self.quality.flaw()) }
    }
}

/// What a look counts: a small face says less.
fn weight(quality: Quality) -> f32 {
    (quality.width_px as f32 / 80.0).clamp(0.25, 1.0)
}
