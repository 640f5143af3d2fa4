//! Makes the tables of src/recognition/rates/table.rs: `make tables DESCRIPTORS=FILE`.

use crate::people::{Draw, Person, mean};
use namecam::config::Metric;
use namecam::recognition::Descriptor;
use namecam::recognition::matcher::distance;

/// Pictures a person and looks a visit, a column each, by rising 1/g + 1/k.
const COLUMNS: [(usize, usize); 7] = [(5, 5), (3, 3), (2, 2), (5, 1), (3, 1), (2, 1), (1, 1)];
/// Logarithms of the shares of strangers, a row each.
const LOG_SHARES: [f64; 11] = [-6.0, -5.5, -5.0, -4.5, -4.0, -3.5, -3.0, -2.5, -2.0, -1.5, -1.0];
/// Shares of looks at known people, a row each.
const NAMED_SHARES: [f64; 10] = [0.05, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99, 0.998];
/// A quantile that fewer pairs than that lie below is not measured, but as far below the row beside it as in the column to
/// the right, which has more pairs.
const ENOUGH: f64 = 10.0;
/// How often pictures are drawn anew, where there are more than a template takes.
const DRAWS: u64 = 8;

pub fn print(people: &[Person]) {
    println!("//! Made by `make tables DESCRIPTORS=FILE`; where the descriptors come from stands in docs/ACCURACY.md.");
    println!(
        "//! Rows: shares; columns: `VARIANCE_SHARES`. Squares of euclidean distances; cosine distances as they are."
    );
    println!("\n/// Thresholds at [`LOG_SHARES`] and [`NAMED_SHARES`].");
    println!("pub struct Table {{\n    pub strangers: [[f32; {0}]; {1}],", COLUMNS.len(), LOG_SHARES.len());
    println!("    pub known: [[f32; {}]; {}],\n}}\n", COLUMNS.len(), NAMED_SHARES.len());
    println!("/// Mean squared distance of a picture from the mean of all pictures of the same person.");
    println!("pub const WITHIN_VARIANCE: f32 = {:.4};", within_variance(people));
    let shares = COLUMNS.map(|(g, k)| 1.0 / g as f64 + 1.0 / k as f64);
    println!("/// 1/g + 1/k for g pictures a person and k looks a visit of {COLUMNS:?}.");
    println!("pub const VARIANCE_SHARES: [f32; {}] = {shares:.3?};", COLUMNS.len());
    println!("/// Logarithms (base 10) of the share of strangers that come as near.");
    println!("pub const LOG_SHARES: [f32; {}] = {LOG_SHARES:?};", LOG_SHARES.len());
    println!("/// Share of looks at known people that come as near.");
    println!("pub const NAMED_SHARES: [f32; {}] = {NAMED_SHARES:?};", NAMED_SHARES.len());
    for (name, metric) in [("EUCLIDEAN", Metric::Euclidean), ("COSINE", Metric::Cosine)] {
        let measured = COLUMNS.map(|(g, k)| column(people, metric, g, k));
        let strangers = continued(&measured.each_ref().map(|column| &column.0[..]));
        println!("\n#[rustfmt::skip]\npub static {name}: Table = Table {{");
        rows("strangers", LOG_SHARES.len(), |row| strangers.iter().map(|column| column[row]).collect());
        rows("known", NAMED_SHARES.len(), |row| measured.iter().map(|column| column.1[row]).collect());
        println!("}};");
    }
}

fn rows(name: &str, count: usize, row: impl Fn(usize) -> Vec<f64>) {
    println!("    {name}: [");
    for at in 0..count {
        let cells: Vec<String> = row(at).iter().map(|v| format!("{v:.4}")).collect();
        println!("        [{}],", cells.join(", "));
    }
    println!("    ],");
}

/// Thresholds for strangers and for known people, `g` pictures a person and `k` looks a visit.
fn column(people: &[Person], metric: Metric, g: usize, k: usize) -> (Vec<Option<f64>>, Vec<f64>) {
    let (mut strangers, mut known) = (Vec::new(), Vec::new());
    let draws = if g == 1 && k == 1 { 1 } else { DRAWS };
    for seed in 1..=draws {
        let mut draw = Draw(seed);
        let templates = means(people, g, &mut draw);
        let probes = means(people, k, &mut draw);
        for (owner, template) in &templates {
            for (who, probe) in &probes {
                if who != owner {
                    strangers.push(entry(metric, template, probe));
                }
            }
        }
        for person in people.iter().filter(|person| person.pictures.len() >= g + k) {
            let order = draw.some(g + k, person.pictures.len());
            let of = |part: &[usize]| mean(part.iter().map(|&at| &person.pictures[at].1));
            known.push(entry(metric, &of(&order[..g]), &of(&order[g..])));
        }
    }
    strangers.sort_unstable_by(f32::total_cmp);
    known.sort_unstable_by(f32::total_cmp);
    let independent = strangers.len() as f64 / draws as f64;
    tell!("g = {g}, k = {k}: {independent} pairs of strangers, {} known, {draws} draws", known.len());
    let shares = LOG_SHARES.iter().map(|share| 10f64.powf(*share));
    let far = shares.map(|share| (share * independent >= ENOUGH).then(|| quantile(&strangers, share)));
    (far.collect(), NAMED_SHARES.iter().map(|&share| quantile(&known, share)).collect())
}

/// Fills in what too few pairs were there for, and lets no column say that more noise brings strangers nearer.
fn continued(columns: &[&[Option<f64>]]) -> Vec<Vec<f64>> {
    let mut done: Vec<Vec<f64>> = Vec::new();
    for column in columns.iter().rev() {
        let mut whole = vec![0.0; column.len()];
        for row in (0..column.len()).rev() {
            let below = |of: &[f64]| of[row + 1] - of[row];
            whole[row] = column[row].unwrap_or_else(|| match done.last() {
                Some(right) => whole[row + 1] - below(right),
                None => 2.0 * whole[row + 1] - whole[row + 2],
            });
            whole[row] = done.last().map_or(whole[row], |right| whole[row].min(right[row]));
        }
        done.push(whole);
    }
    done.reverse();
    done
}

fn quantile(sorted: &[f32], share: f64) -> f64 {
    sorted.get((share * sorted.len() as f64) as usize).map_or(f64::NAN, |&v| f64::from(v))
}

fn entry(metric: Metric, a: &Descriptor, b: &Descriptor) -> f32 {
    let distance = distance(metric, a, b);
    if metric == Metric::Euclidean { distance * distance } else { distance }
}

/// A mean of `count` pictures of each person who has so many.
fn means(people: &[Person], count: usize, draw: &mut Draw) -> Vec<(usize, Descriptor)> {
    let enough = people.iter().enumerate().filter(|(_, person)| person.pictures.len() >= count);
    let drawn = enough.map(|(at, person)| {
        let some = draw.some(count, person.pictures.len());
        (at, mean(some.iter().map(|&picture| &person.pictures[picture].1)))
    });
    drawn.collect()
}

fn within_variance(people: &[Person]) -> f64 {
    let spreads = people.iter().filter(|person| person.pictures.len() >= 5).map(|person| {
        let mean = mean(person.pictures.iter().map(|(_, d)| d));
        let squares = person.pictures.iter().map(|(_, d)| f64::from(entry(Metric::Euclidean, d, &mean)));
        squares.sum::<f64>() / (person.pictures.len() - 1) as f64
    });
    let spreads: Vec<f64> = spreads.collect();
    spreads.iter().sum::<f64>() / spreads.len() as f64
}
