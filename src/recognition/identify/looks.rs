//! [`Looks`]: the descriptors of the last looks of a track, and the number of independent looks to which their mean is
//! equivalent.

use crate::recognition::descriptor::{Descriptor, euclidean, mean, spread};
use crate::recognition::identify::rates::Rates;
use std::collections::VecDeque;

/// The number of looks that are kept. Light and pose of earlier looks do not matter, and after another person has taken
/// the place, the kept looks are soon all of that person.
const KEPT: usize = 8;

/// The last looks at a face.
#[derive(Debug, Clone, Default)]
pub struct Looks {
    kept: VecDeque<(Descriptor, f32)>,
    total: u32,
}

impl Looks {
    /// Adds a look of some weight.
    pub fn add(&mut self, descriptor: Descriptor, weight: f32) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back((descriptor, weight));
        self.total = self.total.saturating_add(1);
    }

    /// The number of all looks.
    pub fn total(&self) -> u32 {
        self.total
    }

    /// The mean of the kept looks; `None` before the first.
    pub fn mean(&self) -> Option<Descriptor> {
        (!self.kept.is_empty()).then(|| mean(self.kept.iter().copied()))
    }

    /// The number of independent looks to which the kept ones are equivalent.
    pub fn effective(&self, mean: &Descriptor, rates: &Rates) -> f32 {
        rates.effective_count(self.kept.len(), spread(self.kept.iter().copied(), mean))
    }

    /// The distance from a new look to the mean of the kept ones; `None` before the first.
    pub fn distance(&self, descriptor: &Descriptor) -> Option<f32> {
        self.mean().map(|mean| euclidean(&mean, descriptor))
    }

    /// Forgets all looks but the newest `count`.
    pub fn keep_newest(&mut self, count: usize) {
        while self.kept.len() > count {
            self.kept.pop_front();
        }
    }
}
