//! The rule of names: computes the score up to which a face gets a name, from `false_name_budget`, the gallery and the
//! looks.

use crate::config::{Detector, Landmarks, Metric, Recognition, Templates};
use crate::recognition::identify::rates::Rates;
use std::sync::Arc;

/// The share of the budget for one look of a track. A visit gives a stranger several chances: on LFW, 2.2 times as many
/// strangers got a name within five looks as at one look (`make accuracy`, euclidean, all rows together).
pub const OF_A_VISIT: f32 = 0.4;
/// The share of the budget for a single picture, which has only one chance.
pub const OF_A_PICTURE: f32 = 1.0;
/// The share of the budget for keeping a name that a track has. It is larger, because evidence for the name was seen
/// before, and one bad look does not outweigh it.
pub const TO_KEEP: f32 = 20.0 * OF_A_VISIT;

/// When the scores for two people differ by less than this, a face gets neither name.
const MARGIN: f32 = 0.7;
/// The multiple of the outermost distance up to which a face may show a person: a poor picture of the camera adds to
/// the distance.
const NEAR: f32 = 1.1;

/// Whether a match gives a name, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The match gives a name.
    Named,
    /// The nearest person is too far.
    TooFar,
    /// Two people are equally near.
    Between,
    /// The nearest picture is in `.not`.
    Barred,
}

/// The settings of `[recognition]` about names, and the measurements of the recognition model.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The metric of distances.
    pub metric: Metric,
    /// The distance beyond which nobody is named, whatever the budget allows.
    pub outermost: f32,
    /// The share of visits of strangers that may get a name. With 0 there is no such limit, and `outermost` alone
    /// decides, as in the seed.
    pub budget: f32,
    /// True when each picture is a template of its own.
    pub separates: bool,
    /// The rates of the recognition model, or of dlib's own model when there are none.
    pub rates: Arc<Rates>,
    /// False when there are no rates of the recognition model.
    pub is_measured: bool,
    /// True when faces are found and described as in the measurements.
    pub is_as_measured: bool,
}

impl Rule {
    /// The rule of a config. Without rates, the budget is 0, because none can be kept.
    pub fn new(config: &Recognition, rates: Option<Arc<Rates>>) -> Rule {
        let is_measured = rates.is_some();
        let budget = if is_measured { config.false_name_budget } else { 0.0 };
        let separates = budget <= 0.0 || config.templates == Templates::Exemplars;
        let (metric, outermost) = (config.metric, config.outermost());
        let how = (config.detector, config.landmarks, config.num_jitters);
        let is_as_measured = how == (Detector::Hog, Landmarks::Five, 1);
        Rule { metric, outermost, budget, separates, rates: rates.unwrap_or_default(), is_measured, is_as_measured }
    }

    /// The score up to which one of `templates` templates gives a name, for `share` of the budget; `None` without a
    /// budget, where the distance alone decides.
    pub fn score_limit(&self, templates: usize, variance_share: f32, share: f32) -> Option<f32> {
        let limit = || self.rates.limit(self.metric, self.budget * share, templates, variance_share);
        (self.budget > 0.0).then(limit)
    }

    /// The distance beyond which no name is given, whatever the score, for `share` of the budget.
    pub fn distance_limit(&self, templates: usize, variance_share: f32, share: f32) -> f32 {
        let limit = || self.rates.distance_limit(self.metric, self.budget * share, templates, variance_share);
        if self.budget > 0.0 { self.outermost.min(limit()) } else { self.outermost }
    }

    /// True when a face at `distance` may well show the person: two pictures of one person are seldom farther apart.
    pub fn is_near(&self, distance: f32) -> bool {
        distance <= self.outermost * NEAR
    }

    /// Decides whether the nearest person may be named: at `distance`, within `limit`, when the score of the second
    /// person is greater by `margin`. `barred` is true when a picture of `.not` is nearest.
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
