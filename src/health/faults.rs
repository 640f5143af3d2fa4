//! [`Faults`]: what went wrong, told once and counted always.

use super::lock;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// How many different causes are kept; more than that are counted together.
const MAX_CAUSES: usize = 64;

/// What went wrong, by cause: each is logged when it comes first and at every tenth power, and counted always.
#[derive(Debug, Default)]
pub struct Faults(Mutex<BTreeMap<String, u64>>);

impl Faults {
    /// Counts a fault of `stage`, and logs it when it is news.
    pub fn report(&self, stage: &str, cause: &str) {
        let mut causes = lock(&self.0);
        let mut key = format!("{stage}: {cause}");
        if causes.len() >= MAX_CAUSES && !causes.contains_key(&key) {
            key = format!("{stage}: other");
        }
        let count = causes.entry(key).or_insert(0);
        *count += 1;
        let count = *count;
        drop(causes);
        if count == 1 {
            log::warn!("{stage}: {cause}");
        } else if count.checked_ilog10().is_some_and(|digits| 10u64.pow(digits) == count) {
            log::warn!("{stage}: {cause} ({count} times so far)");
        }
    }

    /// Every cause and how often it came.
    pub fn all(&self) -> Vec<(String, u64)> {
        lock(&self.0).iter().map(|(cause, count)| (cause.clone(), *count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_counted_each_and_bounded_in_number() {
        let faults = Faults::default();
        for i in 0..200 {
            faults.report("camera", &format!("cause {i}"));
        }
        assert!(faults.all().len() <= MAX_CAUSES + 1);
        assert_eq!(faults.all().iter().map(|(_, count)| count).sum::<u64>(), 200);
    }
}
