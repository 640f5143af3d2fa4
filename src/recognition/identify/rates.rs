//! How often a stranger, and a known person, has a score below a limit: measured tables, and the conversion from a
//! share of strangers to a limit. A score is a distance normalised by the cohort (`cohort.rs`); a smaller one is
//! nearer.
//!
//! The mean of `k` looks is compared with the mean of `g` pictures. A mean is nearer to everybody than a single
//! picture, because the noise cancels out, so the meaning of a score depends on `g` and `k`. The *variance share* is
//! `1/g + 1/k`; it selects a column of the tables.

pub(crate) mod file;
mod table;

pub use file::{parse, read, text};

use crate::config::Metric;
use crate::recognition::identify::cohort::Cohort;
use std::sync::Arc;

/// The columns of the tables: `1/g + 1/k` for 5 pictures per person and 5 looks per visit, 3 and 3, 2 and 2, 5 and 1, 3
/// and 1, 2 and 1, 1 and 1.
pub const VARIANCE_SHARES: [f32; 7] = [0.400, 0.667, 1.000, 1.200, 1.333, 1.500, 2.000];
/// The rows for strangers: logarithms (base 10) of the share of strangers with at most this score.
pub const LOG_SHARES: [f32; 11] = [-6.0, -5.5, -5.0, -4.5, -4.0, -3.5, -3.0, -2.5, -2.0, -1.5, -1.0];
/// The rows for known people: the share of looks at known people with at most this score.
pub const NAMED_SHARES: [f32; 10] = [0.05, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99, 0.998];

/// A row of a table: a value for each of [`VARIANCE_SHARES`].
pub type Row = [f32; VARIANCE_SHARES.len()];

/// The largest score, or distance, of a given share of people.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The scores of strangers; rows: [`LOG_SHARES`].
    pub strangers: [Row; LOG_SHARES.len()],
    /// The scores of looks at known people; rows: [`NAMED_SHARES`].
    pub known: [Row; NAMED_SHARES.len()],
    /// The distances of strangers; rows: [`LOG_SHARES`].
    pub distances: [Row; LOG_SHARES.len()],
}

/// The measurements of a recognition model. The default is dlib's own model.
#[derive(Debug, Clone, PartialEq)]
pub struct Rates {
    /// The origin of the rates, as text for users.
    pub name: String,
    /// Half the squared distance of two independent pictures of one person; `1/g` and `1/k` are shares of it.
    pub within_variance: f32,
    /// The table for euclidean distances.
    pub euclidean: Table,
    /// The table for cosine distances.
    pub cosine: Table,
    /// The cohort that normalises the scores.
    pub cohort: Arc<Cohort>,
}

impl Default for Rates {
    fn default() -> Rates {
        Rates {
            name: "the rates of dlib's own model, which are built in".to_owned(),
            within_variance: table::WITHIN_VARIANCE,
            euclidean: table::EUCLIDEAN,
            cosine: table::COSINE,
            cohort: Cohort::built_in(),
        }
    }
}

/// The budget is divided by this. The scores of people of groups that the tables lack are distributed differently, and
/// up to this many times as many strangers would get a name (docs/ACCURACY.md).
const CAUTION: f32 = 1.75;
/// No name is given at a distance that is larger than that of this multiple of the budget of the strangers in the
/// tables. A score alone allows longer distances between people who are far from the whole cohort, such as old people.
/// Of the values from 1 to 8, measured on LFW, this is the smallest that costs no correct names.
const BY_DISTANCE: f32 = 4.0;

impl Rates {
    fn of(&self, metric: Metric) -> &Table {
        match metric {
            Metric::Euclidean => &self.euclidean,
            Metric::Cosine => &self.cosine,
        }
    }

    /// The ratio of the model's euclidean distances to those of dlib's own model, estimated from the distances of
    /// pictures of one person. A distance that was measured with dlib's model is multiplied by it.
    pub fn scale(&self) -> f32 {
        (self.within_variance / table::WITHIN_VARIANCE).sqrt()
    }

    /// The score that a `share` of strangers has or falls below for one of `templates` templates of people, where
    /// `variance_share` is `1/g + 1/k`.
    pub fn limit(&self, metric: Metric, share: f32, templates: usize, variance_share: f32) -> f32 {
        // A stranger may be near to any of the templates, so the shares add up.
        let each = share / CAUTION / templates.max(1) as f32;
        let row = column(&self.of(metric).strangers, variance_share);
        interpolate(&LOG_SHARES, &row, each.max(f32::MIN_POSITIVE).log10())
    }

    /// The distance beyond which no name is given, whatever the score; the rest as in [`Rates::limit`].
    pub fn distance_limit(&self, metric: Metric, share: f32, templates: usize, variance_share: f32) -> f32 {
        let each = share * BY_DISTANCE / templates.max(1) as f32;
        let row = column(&self.of(metric).distances, variance_share);
        interpolate(&LOG_SHARES, &row, each.max(f32::MIN_POSITIVE).log10()).max(0.0)
    }

    /// The share of strangers whose score for one of `templates` templates is at most `score`: the inverse of
    /// [`Rates::limit`], without its factor of caution.
    pub fn stranger_share(&self, metric: Metric, score: f32, templates: usize, variance_share: f32) -> f32 {
        let row = column(&self.of(metric).strangers, variance_share);
        let each = 10f32.powf(interpolate(&row, &LOG_SHARES, score));
        (each * templates as f32).min(1.0)
    }

    /// The share of looks at a known person whose score is at most `score`.
    pub fn named_share(&self, metric: Metric, score: f32, variance_share: f32) -> f32 {
        let row = column(&self.of(metric).known, variance_share);
        interpolate(&row, &NAMED_SHARES, score).clamp(0.0, 1.0)
    }

    /// The number of independent pictures to which `count` pictures are equivalent, whose mean squared distance from
    /// their mean is `spread`. Photographs that were taken apart have a spread of `within_variance (1 - 1/count)`,
    /// rarely less than half of that. Looks of one video are nearly copies, and nine copies tell no more than one.
    pub fn effective_count(&self, count: usize, spread: f32) -> f32 {
        if count < 2 {
            return 1.0;
        }
        let others = (count - 1) as f32;
        let independent = self.within_variance * others / count as f32;
        1.0 + others * (spread / (independent / 2.0)).min(1.0)
    }
}

/// The rows of a table at one variance share, interpolated between its columns.
fn column<const ROWS: usize>(table: &[Row; ROWS], variance_share: f32) -> [f32; ROWS] {
    table.map(|row| interpolate(&VARIANCE_SHARES, &row, variance_share.clamp(VARIANCE_SHARES[0], 2.0)))
}

/// The value at `x` of the line through the points (`xs`, `ys`), with increasing `xs`; extrapolated beyond the ends.
fn interpolate(xs: &[f32], ys: &[f32], x: f32) -> f32 {
    let right = xs.iter().position(|&known| known >= x).unwrap_or(xs.len()).clamp(1, xs.len() - 1);
    let (from, to) = (right - 1, right);
    let step = xs[to] - xs[from];
    // Equal neighbours are a step in the table, not a slope.
    let part = if step > 0.0 { (x - xs[from]) / step } else { 0.0 };
    ys[from] + (ys[to] - ys[from]) * part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_and_column_of_the_tables_rises() {
        let rates = Rates::default();
        for table in [&rates.euclidean, &rates.cosine] {
            for rows in [&table.strangers[..], &table.known[..], &table.distances[..]] {
                for pair in rows.windows(2) {
                    assert!(pair[0].iter().zip(&pair[1]).all(|(low, high)| low < high), "{pair:?}");
                }
                for row in rows {
                    assert!(row.windows(2).all(|pair| pair[0] <= pair[1]), "{row:?}");
                }
            }
        }
    }

    #[test]
    fn a_share_below_a_score_is_found_again() {
        let rates = Rates::default();
        for (at, share) in NAMED_SHARES.iter().enumerate().filter(|(_, share)| **share < 0.99) {
            let named = rates.named_share(Metric::Euclidean, rates.euclidean.known[at][4], VARIANCE_SHARES[4]);
            assert!((named - share).abs() < 1e-3);
        }
        assert_eq!(rates.named_share(Metric::Cosine, 100.0, 2.0), 1.0);
        assert_eq!(rates.named_share(Metric::Cosine, -100.0, 2.0), 0.0);
        let limit = rates.limit(Metric::Cosine, 0.005, 10, 1.5);
        assert!((rates.stranger_share(Metric::Cosine, limit, 10, 1.5) * CAUTION - 0.005).abs() < 1e-5);
    }

    #[test]
    fn more_people_and_smaller_shares_draw_the_limit_nearer_beyond_the_table_too() {
        let rates = Rates::default();
        let limit = |share, people| rates.limit(Metric::Euclidean, share, people, 2.0);
        assert!(limit(0.005, 10) < limit(0.005, 1) && limit(0.0001, 100_000) < limit(0.0001, 1000));
        assert!(rates.limit(Metric::Cosine, 0.0, usize::MAX, 0.1).is_finite());
        let distance = |share, people| rates.distance_limit(Metric::Euclidean, share, people, 2.0);
        assert!(distance(0.005, 10) < distance(0.005, 1) && distance(0.0001, 100_000) < distance(0.0001, 1000));
        assert_eq!(rates.distance_limit(Metric::Cosine, 0.0, usize::MAX, 0.1), 0.0);
    }

    #[test]
    fn copies_count_as_one_picture_and_independent_pictures_in_full() {
        let rates = Rates::default();
        assert_eq!([rates.effective_count(1, 0.0), rates.effective_count(9, 0.0)], [1.0, 1.0]);
        assert_eq!(rates.effective_count(3, rates.within_variance), 3.0);
        let longer = Rates { within_variance: rates.within_variance * 4.0, ..rates.clone() };
        assert_eq!((rates.scale(), longer.scale(), longer.effective_count(3, rates.within_variance)), (1.0, 2.0, 2.5));
    }
}
