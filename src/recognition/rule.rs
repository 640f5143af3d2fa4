//! The name rule: from `false_name_budget`, the gallery and the number of looks to the distance within which a face gets a
//! name.

use super::Descriptor;
use super::matcher::unit;
use super::rates::Rates;
use crate::config::{Metric, Recognition, Templates};
use std::sync::Arc;

/// The share of the budget that one look of a track may use up. A visit gives a stranger several chances: on LFW, 1.7
/// times as many strangers had got a name within five looks as at the first one (`make accuracy`).
pub const OF_A_VISIT: f32 = 0.4;
/// A single picture has but one chance.
pub const OF_A_PICTURE: f32 = 1.0;
/// A name that a track has is kept up to the distance at which so many times as many strangers would get it: what speaks
/// for the name has been seen, and one bad look does not unsay it.
pub const TO_KEEP: f32 = 20.0 * OF_A_VISIT;

/// Nearer than this to a second person as well, a face gets neither name. Of dlib's model; euclidean distances of another
/// one are as much longer or shorter as its pictures of one person are apart, and cosine distances know no length.
const MARGIN: f32 = 0.02;
const COSINE_MARGIN: f32 = 0.004;

/// Whether a match gives a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Named,
    /// Nobody is near enough.
    TooFar,
    /// Two people are equally near.
    Between,
    /// What is nearest lies in `.not`.
    Barred,
}

/// What `[recognition]` says about names.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    metric: Metric,
    /// No name beyond this distance, whatever the budget allows.
    outermost: f32,
    /// The share of strangers' visits that may get a name; 0: `outermost` alone decides, as in the seed.
    budget: f32,
    templates: Templates,
    /// What was measured of the recognition model; of one of which nothing was, dlib's.
    rates: Arc<Rates>,
    measured: bool,
}

impl Rule {
    /// The rule of a config, with the rates of the recognition model. Without any, no budget can be kept.
    pub fn new(config: &Recognition, rates: Option<Arc<Rates>>) -> Rule {
        let measured = rates.is_some();
        let budget = if measured { config.false_name_budget } else { 0.0 };
        let templates = if budget > 0.0 { config.templates } else { Templates::Exemplars };
        let (metric, outermost) = (config.metric, config.outermost());
        Rule { metric, outermost, budget, templates, rates: rates.unwrap_or_default(), measured }
    }

    /// The rates that it judges by.
    pub fn rates(&self) -> &Rates {
        &self.rates
    }

    /// False when those are not of the recognition model, of which nothing is known.
    pub fn is_measured(&self) -> bool {
        self.measured
    }

    /// What distances are measured in.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// The share of strangers that may get a name; 0: no such promise.
    pub fn budget(&self) -> f32 {
        self.budget
    }

    /// The distance beyond which nobody is named.
    pub fn outermost(&self) -> f32 {
        self.outermost
    }

    /// True when every picture is a template by itself.
    pub fn separates(&self) -> bool {
        self.templates == Templates::Exemplars
    }

    /// Within which distance one of `templates` templates gives a name, for `share` of the budget.
    pub fn limit(&self, templates: usize, variance_share: f32, share: f32) -> f32 {
        if self.budget <= 0.0 {
            return self.outermost;
        }
        self.rates.threshold(self.metric, self.budget * share, templates, variance_share).min(self.outermost)
    }

    /// Whether the nearest person may be named.
    pub(super) fn standing(&self, distance: f32, limit: f32, runner_up: Option<f32>, barred: bool) -> Standing {
        let margin = match self.metric {
            Metric::Euclidean => MARGIN * self.rates.scale(),
            Metric::Cosine => COSINE_MARGIN,
        };
        if barred {
            Standing::Barred
        } else if distance > limit {
            Standing::TooFar
        } else if self.budget > 0.0 && runner_up.is_some_and(|second| second - distance < margin) {
            Standing::Between
        } else {
            Standing::Named
        }
    }

    /// A descriptor as the scan compares it.
    pub(super) fn prepared(&self, descriptor: &Descriptor) -> Descriptor {
        match self.metric {
            Metric::Euclidean => *descriptor,
            Metric::Cosine => unit(descriptor),
        }
    }

    /// From the squared distance that the scan compares to the distance that people see. For unit vectors
    /// |a - b|² = 2 (1 - cos), so the cosine distance 1 - cos is half of it.
    pub(super) fn distance(&self, squared: f32) -> f32 {
        match self.metric {
            Metric::Euclidean => squared.sqrt(),
            Metric::Cosine => squared / 2.0,
        }
    }
}
