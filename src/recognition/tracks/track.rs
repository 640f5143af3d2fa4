//! [`Track`]: one face from look to look: its place, its appearance and its name.

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

/// How many looks are compared with the gallery before a face counts as unknown, unless that takes longer than
/// `LONG_ENOUGH`.
const ENOUGH_LOOKS: u32 = 3;
const LONG_ENOUGH: Duration = Duration::from_millis(600);
/// An unknown face is described at this many first looks, and then at this interval, because the person may turn to the
/// camera.
const UNKNOWN_LOOKS: u32 = 5;
const UNKNOWN_EVERY: Duration = Duration::from_millis(400);
/// A named face is described at this interval, which doubles with each description up to the second value.
const NAMED_EVERY: Duration = Duration::from_secs(1);
const NAMED_AT_LEAST_EVERY: Duration = Duration::from_secs(8);
/// Views of one face at two looks are less similar when the face turns or another person has come. For people who sign
/// with their hands, that is one look in seven.
const ALIKE: f32 = 0.85;
/// Below these values of similarity and overlap, another person may well have come: where one of those people takes the
/// place of another, the similarity is 0.44 to 0.77.
const DOUBTFULLY_ALIKE: f32 = 0.78;
const DOUBTFUL_IOU: f32 = 0.5;
/// The largest distance of a look from the mean of earlier looks at the same person in one video (median 0.24, nine of
/// ten within 0.39). With few looks in the mean, distances are larger.
const SAME_PERSON: f32 = 0.45;
const SAME_PERSON_AT_FIRST: f32 = 0.5;
const FIRST_LOOKS: u32 = 3;

/// How many good looks a track needs for its person to be remembered as a stranger.
const GOOD_LOOKS: u32 = 3;

/// A face that is followed.
#[derive(Debug)]
pub struct Track {
    pub number: u64,
    pub path: Path,
    pub seen_at: Instant,
    /// The box of the last detection.
    pub detected: Rect,
    /// How many looks have missed the face since the last detection.
    pub misses: u32,
    /// The state of the name.
    pub naming: Naming,
    /// The result of the last comparison.
    pub found: Option<Match>,
    /// The quality of the face at the last description.
    pub quality: Quality,
    pub(super) looks: Looks,
    /// When the track began.
    pub first_at: Instant,
    /// The appearance of the face at the last detection.
    pub view: Arc<View>,
    place: Place,
    described_at: Option<Instant>,
    /// The appearance of the face at the last description.
    described_view: Arc<View>,
    good_looks: u32,
    /// The best look, by the weight of the look and the sharpness of the face.
    best_look: Option<((f32, f32), Descriptor)>,
    reason: Reason,
}

impl Track {
    /// A track of a new face.
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

    /// Records a detection. With `from_description`, the view is also compared with that of the last description,
    /// because a face may become another one in steps that are too small to be noticed singly.
    pub fn see(&mut self, rgb: &Rgb, rect: Rect, at: Instant, from_description: bool) {
        let iou = rect.iou(self.path.rect_at(at));
        self.path.update(rect, at);
        // The view is taken at the predicted place, which jumps less than the detector's boxes.
        let place = self.path.rect_at(at);
        let (view, likeness) = (Arc::new(View::of(rgb, place)), self.view.likeness_at(rgb, place, ALIKE));
        // Another face may have similar hair and collar, so the face alone is compared too.
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

    /// True while the detector misses the face.
    pub fn is_missed(&self) -> bool {
        self.misses > 0
    }

    /// True when the place of the face still looks like it.
    pub fn is_there(&self, rgb: &Rgb, at: Instant) -> bool {
        self.view.likeness_at(rgb, self.path.rect_at(at), DOUBTFULLY_ALIKE) >= DOUBTFULLY_ALIKE
    }

    /// True when the face should be described at this look.
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

    /// True when the missed person of this track may be the one who has appeared elsewhere with `descriptor`. `name` is
    /// the name that this descriptor alone gives; `barred` is true when it is nearest to a picture of `.not`.
    pub fn may_be(&self, descriptor: &Descriptor, name: Option<&Arc<str>>, barred: bool) -> bool {
        let claim = self.naming.claim();
        let another = claim.is_some() && (barred || (name.is_some() && name != claim));
        !self.is_new() && !another && self.looks_like(descriptor, name)
    }

    /// True when a descriptor is near enough to show the track's person. `name` is the name that it gives by itself.
    fn looks_like(&self, descriptor: &Descriptor, name: Option<&Arc<str>>) -> bool {
        let near = if self.looks.total() < FIRST_LOOKS { SAME_PERSON_AT_FIRST } else { SAME_PERSON };
        let is_near = self.looks.distance(descriptor).is_none_or(|distance| distance <= near);
        is_near || (name.is_some() && name == self.naming.claim())
    }

    /// Whether a descriptor shows the track's person. `name` is the name that it gives by itself.
    pub fn shows(&self, descriptor: &Descriptor, name: Option<&Arc<str>>) -> Shows {
        if self.looks_like(descriptor, name) {
            Shows::Same
        } else if name.is_some() {
            Shows::SomebodyElse
        } else {
            self.place.shows()
        }
    }

    /// True when the last look speaks against the name, or may show another person.
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

    /// Makes the next look describe the face.
    pub fn describe_again(&mut self) {
        self.described_at = None;
    }

    /// Forgets the descriptors, because those of another engine must not be compared with them.
    pub fn forget_looks(&mut self) {
        (self.looks, self.described_at) = (Looks::default(), None);
        (self.good_looks, self.best_look) = (0, None);
    }

    /// The stranger of a track that was compared with the gallery and has never had a name; `None` when it had a name
    /// or too few good looks.
    pub fn unnamed(&self) -> Option<Unnamed> {
        let (_, best) = self.best_look?;
        let is_unnamed = self.naming == Naming::NeverNamed && self.good_looks >= GOOD_LOOKS;
        let (track, seen_at) = (self.number, self.seen_at);
        is_unnamed.then(|| Unnamed { track, best, seen_at, looks: self.looks.clone() })
    }

    /// Compares the track with the gallery. `new_look` is true when there was a description since the last comparison.
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
                    // Another name has replaced the old one at once.
                    Some(_) => explain::of_match(self.found.as_ref(), self.looks.total()),
                    None => explain::withdrawn(&name, own),
                };
                // Looks that led to the old name must not count against the new one.
                self.looks.keep_newest(DOUBTS as usize);
            }
        }
    }

    /// The state of the face. It is `Seen` until there were enough looks, by the interval of the config.
    pub fn state(&self, name: Option<&Arc<str>>, at: Instant, configured_interval: Duration) -> State {
        let nobody_to_compare_with = self.found.is_none();
        let long_enough = at.saturating_duration_since(self.first_at) + configured_interval >= LONG_ENOUGH;
        match name {
            Some(_) => State::Named,
            None if self.naming == Naming::NotCompared => State::Seen,
            None if nobody_to_compare_with || long_enough || self.looks.total() >= ENOUGH_LOOKS => State::Unknown,
            None => State::Seen,
        }
    }

    /// The comparison of the looks with a person.
    pub fn compared(&self, matcher: &Matcher, name: &str) -> Option<Compared> {
        matcher.of_person(name, &self.looks.mean()?, 1.0, OF_A_VISIT)
    }

    /// The number of independent looks to which the looks are equivalent.
    pub fn effective_looks(&self, matcher: &Matcher) -> f32 {
        self.looks.mean().map_or(0.0, |mean| self.looks.effective(&mean, &matcher.rule().rates))
    }

    /// The reason for the name, or for none, in that state. `bearer` is the track that has the name that this track
    /// claims.
    pub fn reason(&self, state: State, bearer: Option<u64>) -> Reason {
        let lost_its_name = matches!(self.reason.because, Because::Withdrawn | Because::LeftGallery);
        match (self.naming.claim(), bearer) {
            (Some(claim), Some(other)) if !self.naming.bears() => explain::borne_by_another(&self.reason, claim, other),
            _ if state == State::Seen && !lost_its_name => explain::deciding(&self.reason, self.looks.total()),
            _ => self.reason.clone(),
        }
    }

    /// What makes the face hard to recognise.
    pub fn flaw(&self) -> Option<Flaw> {
        if self.is_missed() { Some(Flaw::Turned) } else { self.described_at.and_then(|_| self.quality.flaw()) }
    }
}

/// The weight of a look: a small face tells less.
fn weight(quality: Quality) -> f32 {
    (quality.width_px as f32 / 80.0).clamp(0.25, 1.0)
}
