//! How often namecam gives a stranger a name, and a known person hers, at a threshold: measured tables, and the way from
//! a share of strangers to a threshold.
//!
//! What is compared is the mean of `k` looks with the mean of `g` pictures. A mean is nearer to everybody, because the
//! noise of single pictures cancels out, so the same distance says something else for each `g` and `k`. The squared
//! distance of two strangers grows nearly linearly with `1/g + 1/k`, the *variance share* here: the columns of the tables.

mod file;
mod table;

pub use file::{parse, read, text};

use crate::config::Metric;

/// `1/g + 1/k` for 5 pictures a person and 5 looks a visit, 3 and 3, 2 and 2, 5 and 1, 3 and 1, 2 and 1, 1 and 1.
pub const VARIANCE_SHARES: [f32; 7] = [0.400, 0.667, 1.000, 1.200, 1.333, 1.500, 2.000];
/// Logarithms (base 10) of the share of strangers that come as near.
pub const LOG_SHARES: [f32; 11] = [-6.0, -5.5, -5.0, -4.5, -4.0, -3.5, -3.0, -2.5, -2.0, -1.5, -1.0];
/// Share of looks at known people that come as near.
pub const NAMED_SHARES: [f32; 10] = [0.05, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99, 0.998];

/// A row of a table: a value for each of [`VARIANCE_SHARES`].
pub type Row = [f32; VARIANCE_SHARES.len()];

/// Within which distance a share comes: squares of euclidean distances, cosine distances as they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Of strangers; rows: [`LOG_SHARES`].
    pub strangers: [Row; LOG_SHARES.len()],
    /// Of looks at known people; rows: [`NAMED_SHARES`].
    pub known: [Row; NAMED_SHARES.len()],
}

/// What was measured with one recognition model. The default: dlib's own.
#[derive(Debug, Clone, PartialEq)]
pub struct Rates {
    /// Where they come from, for people.
    pub name: String,
    /// Squared distance of two independent pictures of one person, halved: what `1/g` and `1/k` are shares of.
    pub within_variance: f32,
    /// By euclidean distances.
    pub euclidean: Table,
    /// By cosine distances.
    pub cosine: Table,
}

impl Default for Rates {
    fn default() -> Rates {
        Rates {
            name: "the rates of dlib's own model, which are built in".to_owned(),
            within_variance: table::WITHIN_VARIANCE,
            euclidean: table::EUCLIDEAN,
            cosine: table::COSINE,
        }
    }
}

/// People in a gallery have more neighbours than the average of the tables: galleries of people with 3 to 5 pictures on
/// LFW let in 1.0 to 1.4 times as many strangers as the tables say. So that much less is allowed.
const CAUTION: f32 = 1.25;

/// The tables hold what is nearly linear in the variance share: the square of euclidean distances.
fn shown(metric: Metric, entry: f32) -> f32 {
    match metric {
        Metric::Euclidean => entry.max(0.0).sqrt(),
        Metric::Cosine => entry.max(0.0),
    }
}

fn entry(metric: Metric, distance: f32) -> f32 {
    match metric {
        Metric::Euclidean => distance * distance,
        Metric::Cosine => distance,
    }
}

impl Rates {
    fn of(&self, metric: Metric) -> &Table {
        match metric {
            Metric::Euclidean => &self.euclidean,
            Metric::Cosine => &self.cosine,
        }
    }

    /// How many times as long the model's euclidean distances are as those of dlib's own, by how far pictures of one person
    /// are apart: what to multiply a distance by that was found with that one.
    pub fn scale(&self) -> f32 {
        (self.within_variance / table::WITHIN_VARIANCE).sqrt()
    }

    /// The distance within which a share `share` of strangers comes to one of `templates` people (or pictures), where
    /// `variance_share` is `1/g + 1/k`.
    pub fn threshold(&self, metric: Metric, share: f32, templates: usize, variance_share: f32) -> f32 {
        // A stranger comes near to one or the other: the shares add up.
        let each = share / CAUTION / templates.max(1) as f32;
        let row = column(&self.of(metric).strangers, variance_share);
        shown(metric, interpolate(&LOG_SHARES, &row, each.max(f32::MIN_POSITIVE).log10()))
    }

    /// The share of strangers that come within `distance` of one of `templates` people: what [`Rates::threshold`] limits,
    /// without its caution.
    pub fn stranger_share(&self, metric: Metric, distance: f32, templates: usize, variance_share: f32) -> f32 {
        let row = column(&self.of(metric).strangers, variance_share);
        let each = 10f32.powf(interpolate(&row, &LOG_SHARES, entry(metric, distance)));
        (each * templates as f32).min(1.0)
    }

    /// The share of looks at a known person that come within `distance` of her template.
    pub fn named_share(&self, metric: Metric, distance: f32, variance_share: f32) -> f32 {
        let row = column(&self.of(metric).known, variance_share);
        interpolate(&row, &NAMED_SHARES, entry(metric, distance)).clamp(0.0, 1.0)
    }

    /// How many independent pictures `count` of them are worth whose mean squared distance from their mean is `spread`.
    /// Photographs taken apart spread by `within_variance (1 - 1/count)`, and few by less than half of that; looks of one
    /// video are nearly copies, and nine copies tell no more than one.
    pub fn effective_count(&self, count: usize, spread: f32) -> f32 {
        if count < 2 {
            return 1.0;
        }
        let others = (count - 1) as f32;
        let independent = self.within_variance * others / count as f32;
        1.0 + others * (spread / (independent / 2.0)).min(1.0)
    }
}

/// The rows of a table at one variance share, between its columns.
fn column<const ROWS: usize>(table: &[Row; ROWS], variance_share: f32) -> [f32; ROWS] {
    table.map(|row| interpolate(&VARIANCE_SHARES, &row, variance_share.clamp(VARIANCE_SHARES[0], 2.0)))
}

/// The value at `x` of the line through the points (`xs`, `ys`), `xs` rising; beyond the ends, the last piece goes on.
fn interpolate(xs: &[f32], ys: &[f32], x: f32) -> f32 {
    let right = xs.iter().position(|&known| known >= x).unwrap_or(xs.len()).clamp(1, xs.len() - 1);
    let (from, to) = (right - 1, right);
    let step = xs[to] - xs[from];
    // Equal neighbours: a step in the table, not a slope.
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
            for rows in [&table.strangers[..], &table.known[..]] {
                for pair in rows.windows(2) {
                    assert!(pair[0].iter().zip(&pair[1]).all(|(low, high)| low < high), "{pair:?}");
                }
                for row in rows {
                    assert!(row.windows(2).all(|pair| pair[0] <= pair[1]), "{row:?}");
                }
            }
        }
    }

    /// The rates that DESIGN measured on LFW, one look against the mean of five pictures: 0.478 for 10 people.
    #[test]
    fn the_threshold_of_ten_people_is_what_was_measured_for_them() {
        let rates = Rates::default();
        let threshold = |people, looks: f32| rates.threshold(Metric::Euclidean, 0.005, people, 0.2 + 1.0 / looks);
        assert!((threshold(10, 1.0) - 0.478).abs() < 0.015, "{}", threshold(10, 1.0));
        assert!((threshold(100, 1.0) - 0.417).abs() < 0.015, "{}", threshold(100, 1.0));
        assert!((threshold(10, 3.0) - 0.423).abs() < 0.015, "{}", threshold(10, 3.0));
    }

    #[test]
    fn a_share_within_a_distance_is_found_again() {
        let rates = Rates::default();
        for share in [0.4, 0.9, 0.98] {
            let row = NAMED_SHARES.iter().position(|known| *known == share).unwrap();
            let distance = rates.euclidean.known[row][4].sqrt();
            assert!((rates.named_share(Metric::Euclidean, distance, VARIANCE_SHARES[4]) - share).abs() < 1e-3);
        }
        assert_eq!(rates.named_share(Metric::Cosine, 1.0, 2.0), 1.0);
        assert_eq!(rates.named_share(Metric::Cosine, 0.0, 2.0), 0.0);
    }

    #[test]
    fn beyond_the_table_the_threshold_goes_on_falling_and_stays_a_number() {
        let rates = Rates::default();
        let far = |people| rates.threshold(Metric::Euclidean, 0.0001, people, 2.0);
        assert!(far(100_000) < far(1000) && far(100_000) >= 0.0);
        assert_eq!(rates.threshold(Metric::Cosine, 0.0, usize::MAX, 0.1), 0.0);
    }

    #[test]
    fn copies_are_worth_one_and_independent_looks_what_they_are() {
        let rates = Rates::default();
        assert_eq!([rates.effective_count(1, 0.0), rates.effective_count(9, 0.0)], [1.0, 1.0]);
        assert_eq!(rates.effective_count(3, rates.within_variance), 3.0);
        let longer = Rates { within_variance: rates.within_variance * 4.0, ..rates.clone() };
        assert_eq!((rates.scale(), longer.scale(), longer.effective_count(3, rates.within_variance)), (1.0, 2.0, 2.5));
    }
}
