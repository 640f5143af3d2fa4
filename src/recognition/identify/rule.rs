//! The name rule: from `false_name_budget`, the gallery and the number of looks to the score up to which a face gets a name.

use crate::config::{Metric, Recognition, Templates};
use crate::recognition::identify::rates::Rates;
use std::sync::Arc;

/// The share of the budget that one look of a track may use up. A visit gives a stranger several chances: on LFW, 1.7
/// times as many strangers had got a name within five looks as at the first one (`make accuracy`).
pub const OF_A_VISIT: f32 = 0.4;
/// A single picture has but one chance.
pub const OF_A_PICTURE: f32 = 1.0;
/// A name that a track has is kept up to the score at which so many times as many strangers would get it: what speaks
/// for the name has been seen, and one bad look does not unsay it.
pub const TO_KEEP: f32 = 20.0 * OF_A_VISIT;

/// A face whose score for a second person is greater by less than this gets neither name.
const MARGIN: f32 = 0.7;
/// A face may be of a person up to so many times the outermost distance: a camera's poor picture adds to it.
const NEAR: f32 = 1.1;

/// Whether a match gives a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It does.
    Named,
    /// Nobody is near enough.
    TooFar,
    /// Two people are equally near.
    Between,
    /// What is nearest lies in `.not`.
    Barred,
}

/// What `[recognition]` says about names, and what was measured of the recognition model.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// What distances are measured in.
    pub metric: Metric,
    /// The distance beyond which nobody is named, whatever the budget allows.
    pub outermost: f32,
    /// The share of strangers' visits that may get a name; 0: no such promise, `outermost` alone decides, as in the seed.
    pub budget: f32,
    /// True when every picture is a template by itself.
    pub separates: bool,
    /// What was measured of the recognition model; of one of which nothing was, dlib's.
    pub rates: Arc<Rates>,
    /// False when nothing was measured of it.
    pub is_measured: bool,
}

impl Rule {
    /// The rule of a config. Without rates, no budget can be kept.
    pub fn new(config: &Recognition, rates: Option<Arc<Rates>>) -> Rule {
        let is_measured = rates.is_some();
        let budget = if is_measured { config.false_name_budget } else { 0.0 };
        let separates = budget <= 0.0 || config.templates == Templates::Exemplars;
        let (metric, outermost) = (config.metric, config.outermost());
        Rule { metric, outermost, budget, separates, rates: rates.unwrap_or_default(), is_measured }
    }

    /// Up to which score one of `templates` templates gives a name, for `share` of the budget; `None` without a budget, where
    /// the distance alone decides.
    pub fn score_limit(&self, templates: usize, variance_share: f32, share: f32) -> Option<f32> {
        let limit = || self.rates.limit(self.metric, self.budget * share, templates, variance_share);
        (self.budget > 0.0).then(limit)
    }

    /// Beyond which distance no name is given, whatever the score, for `share` of the budget.
    pub fn distance_limit(&self, templates: usize, variance_share: f32, share: f32) -> f32 {
        let limit = || self.rates.distance_limit(self.metric, self.budget * share, templates, variance_share);
        if self.budget > 0.0 { self.outermost.min(limit()) } else { self.outermost }
    }

    /// True when a face at `distance` may well be of that person: two pictures of one person are seldom farther apart.
    pub fn is_near(&self, distance: f32) -> bool {
        distance <= self.outermost * NEAR
    }

    /// Whether the nearest person may be named: at `distance`, within `limit`, with a second person whose score is greater by
    /// `margin`.
    pub fn decision(&self, distance: f32, limit: f32, margin: Option<f32>, barred: bool) -> Decision {
        if barred {
            Decision::Barred
        } else if distance > limit || limit.is_nan() {
            Decision::TooFar
        } else if self.budget > 0.0 && margin.is_some_and(|margin| margin < MARGIN) {
            Decision::Between
        } else {
            Decision::Named
        }
    }
}
