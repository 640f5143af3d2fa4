//! The descriptors of a track's last looks, and what their mean is worth.

use crate::recognition::descriptor::{Descriptor, euclidean, mean, spread};
use crate::recognition::identify::rates::Rates;
use std::collections::VecDeque;

/// Older looks are forgotten: light and pose of a minute ago do not matter, and the looks at a person who took the place
/// of another are soon the only ones.
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

    /// How many there were in all.
    pub fn total(&self) -> u32 {
        self.total
    }

    /// The mean of those that are kept; `None` before the first.
    pub fn mean(&self) -> Option<Descriptor> {
        (!self.kept.is_empty()).then(|| mean(self.kept.iter().copied()))
    }

    /// How many independent looks they are worth.
    pub fn effective(&self, mean: &Descriptor, rates: &Rates) -> f32 {
        rates.effective_count(self.kept.len(), spread(self.kept.iter().copied(), mean))
    }

    /// How far a new look is from those that are kept; `None` before the first.
    pub fn distance(&self, descriptor: &Descriptor) -> Option<f32> {
        self.mean().map(|mean| euclidean(&mean, descriptor))
    }

    /// Forgets all but the newest `count`.
    pub fn keep_newest(&mut self, count: usize) {
        while self.kept.len() > count {
            self.kept.pop_front();
        }
    }
}
