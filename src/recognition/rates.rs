//! How often namecam gives a stranger a name, and a known person hers, at a threshold: measured tables, and the way from
//! a share of strangers to a threshold.
//!
//! What is compared is the mean of `k` looks with the mean of `g` pictures. A mean is nearer to everybody, because the
//! noise of single pictures cancels out, so the same distance says something else for each `g` and `k`. The squared
//! distance of two strangers grows nearly linearly with `1/g + 1/k`, the *variance share* here: the columns of the tables.

mod table;

use crate::config::Metric;
use table::{COSINE, EUCLIDEAN, LOG_SHARES, NAMED_SHARES, Table, VARIANCE_SHARES};

/// Squared distance of two independent pictures of one person, halved: what `1/g` and `1/k` are shares of. Measured with
/// the tables.
pub use table::WITHIN_VARIANCE;

/// People in a gallery have more neighbours than the average of the tables: galleries of people with 3 to 5 pictures on
/// LFW let in 1.0 to 1.4 times as many strangers as the tables say. So that much less is allowed.
const CAUTION: f32 = 1.25;

fn of(metric: Metric) -> &'static Table {
    match metric {
        Metric::Euclidean => &EUCLIDEAN,
        Metric::Cosine => &COSINE,
    }
}

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

/// The distance within which a share `share` of strangers comes to one of `templates` people (or pictures), where
/// `variance_share` is `1/g + 1/k`.
pub fn threshold(metric: Metric, share: f32, templates: usize, variance_share: f32) -> f32 {
    // A stranger comes near to one or the other: the shares add up.
    let each = share / CAUTION / templates.max(1) as f32;
    let row = column(&of(metric).strangers, variance_share);
    shown(metric, interpolate(&LOG_SHARES, &row, each.max(f32::MIN_POSITIVE).log10()))
}

/// The share of strangers that come within `distance` of one of `templates` people: what [`threshold`] limits, without its
/// caution.
pub fn stranger_share(metric: Metric, distance: f32, templates: usize, variance_share: f32) -> f32 {
    let row = column(&of(metric).strangers, variance_share);
    let each = 10f32.powf(interpolate(&row, &LOG_SHARES, entry(metric, distance)));
    (each * templates as f32).min(1.0)
}

/// The share of looks at a known person that come within `distance` of her template.
pub fn named_share(metric: Metric, distance: f32, variance_share: f32) -> f32 {
    let row = column(&of(metric).known, variance_share);
    interpolate(&row, &NAMED_SHARES, entry(metric, distance)).clamp(0.0, 1.0)
}

/// How many independent pictures `count` of them are worth whose mean squared distance from their mean is `spread`.
/// Photographs taken apart spread by [`WITHIN_VARIANCE`] `(1 - 1/count)`, and few by less than half of that; looks of one
/// video are nearly copies, and nine copies tell no more than one.
pub fn effective_count(count: usize, spread: f32) -> f32 {
    if count < 2 {
        return 1.0;
    }
    let others = (count - 1) as f32;
    let independent = WITHIN_VARIANCE * others / count as f32;
    1.0 + others * (spread / (independent / 2.0)).min(1.0)
}

/// The rows of a table at one variance share, between its columns.
fn column<const ROWS: usize>(table: &[[f32; VARIANCE_SHARES.len()]; ROWS], variance_share: f32) -> [f32; ROWS] {
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
        for table in [&EUCLIDEAN, &COSINE] {
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
        let threshold = |people, looks: f32| threshold(Metric::Euclidean, 0.005, people, 0.2 + 1.0 / looks);
        assert!((threshold(10, 1.0) - 0.478).abs() < 0.015, "{}", threshold(10, 1.0));
        assert!((threshold(100, 1.0) - 0.417).abs() < 0.015, "{}", threshold(100, 1.0));
        assert!((threshold(10, 3.0) - 0.423).abs() < 0.015, "{}", threshold(10, 3.0));
    }

    #[test]
    fn a_share_within_a_distance_is_found_again() {
        for share in [0.4, 0.9, 0.98] {
            let row = NAMED_SHARES.iter().position(|known| *known == share).unwrap();
            let distance = EUCLIDEAN.known[row][4].sqrt();
            assert!((named_share(Metric::Euclidean, distance, VARIANCE_SHARES[4]) - share).abs() < 1e-3);
        }
        assert_eq!(named_share(Metric::Cosine, 1.0, 2.0), 1.0);
        assert_eq!(named_share(Metric::Cosine, 0.0, 2.0), 0.0);
    }

    #[test]
    fn beyond_the_table_the_threshold_goes_on_falling_and_stays_a_number() {
        let far = |people| threshold(Metric::Euclidean, 0.0001, people, 2.0);
        assert!(far(100_000) < far(1000) && far(100_000) >= 0.0);
        assert_eq!(threshold(Metric::Cosine, 0.0, usize::MAX, 0.1), 0.0);
    }

    #[test]
    fn copies_are_worth_one_and_independent_looks_what_they_are() {
        assert_eq!([effective_count(1, 0.0), effective_count(9, 0.0)], [1.0, 1.0]);
        assert_eq!(effective_count(3, WITHIN_VARIANCE), 3.0);
    }
}
