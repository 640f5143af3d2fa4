//! Makes tables of rates: `make tables DESCRIPTORS=FILE` makes src/recognition/identify/rates/table.rs; with `RECOGNIZER=FILE`
//! it makes the tables of that model, in a file beside it.

use crate::people::{Draw, Person, mean};
use anyhow::{Context, ensure};
use namecam::config::Metric;
use namecam::recognition::descriptor::{Descriptor, distance, unit};
use namecam::recognition::identify::cohort::{Cohort, Normal};
use namecam::recognition::identify::rates as file;
use namecam::recognition::identify::rates::{LOG_SHARES, NAMED_SHARES, Rates, Row, Table, VARIANCE_SHARES};
use std::path::Path;
use std::sync::Arc;

/// The pictures per person (g) and the looks per visit (k) of each column. `VARIANCE_SHARES` are the values of 1/g +
/// 1/k.
const COLUMNS: [(usize, usize); VARIANCE_SHARES.len()] = [(5, 5), (3, 3), (2, 2), (5, 1), (3, 1), (2, 1), (1, 1)];
/// The least number of pairs below a quantile. With fewer pairs the quantile is extrapolated: its distance from the
/// next row is that of the column to the right, which has more pairs.
const ENOUGH: f64 = 10.0;
/// The number of random draws of pictures per column. The column of single pictures has one draw.
const DRAWS: u64 = 8;
/// The least number of people.
const PEOPLE: usize = 40;
/// The least number of people with [`PICTURES`] pictures or more.
const PEOPLE_WITH_PICTURES: usize = 20;
const PICTURES: usize = 6;

/// The quantiles of one column; `None` where there were too few pairs.
struct Column {
    strangers: Vec<Option<f64>>,
    distances: Vec<Option<f64>>,
    known: Option<Vec<f64>>,
}

/// Prints the built-in tables as Rust code. With `file`, writes the tables of another model there.
pub fn make(people: &[Person], model_sha256: &str, cohort: &Arc<Cohort>, file: Option<&Path>) -> anyhow::Result<()> {
    let with_pictures = people.iter().filter(|person| person.pictures.len() >= PICTURES).count();
    ensure!(
        people.len() >= PEOPLE && with_pictures >= PEOPLE_WITH_PICTURES,
        "too few pictures: {} people, {with_pictures} of them with {PICTURES} or more; {PEOPLE} and \
         {PEOPLE_WITH_PICTURES} it must be at least, and for a budget below 1 % some hundreds",
        people.len()
    );
    let rates = rates(people, cohort);
    let Some(file) = file else {
        print(&rates);
        return Ok(());
    };
    let pictures: usize = people.iter().map(|person| person.pictures.len()).sum();
    let source = format!("Made by `make tables` from {pictures} pictures of {} people.", people.len());
    let text = file::text(&rates, model_sha256, &source);
    // Fails before writing a file that the program would refuse.
    file::parse(&text, "", model_sha256, Arc::clone(cohort)).context("the pictures give no table")?;
    std::fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))?;
    tell!("{} is written", file.display());
    Ok(())
}

/// The rates of `people`, with scores that are normalised by `cohort`.
pub fn rates(people: &[Person], cohort: &Arc<Cohort>) -> Rates {
    Rates {
        name: String::new(),
        within_variance: within_variance(people) as f32,
        euclidean: table(people, Metric::Euclidean, cohort),
        cosine: table(people, Metric::Cosine, cohort),
        cohort: Arc::clone(cohort),
    }
}

fn print(rates: &Rates) {
    println!("//! Made by `make tables DESCRIPTORS=FILE`; where the descriptors come from stands in docs/ACCURACY.md.");
    println!("//! Rows: shares; columns: `VARIANCE_SHARES`. Scores are distances that are normalised by the cohort.");
    println!("\nuse super::Table;\n");
    println!("/// Mean squared distance of a picture from the mean of all pictures of the same person.");
    println!("pub const WITHIN_VARIANCE: f32 = {:.4};", rates.within_variance);
    for (name, Table { strangers, known, distances }) in [("EUCLIDEAN", &rates.euclidean), ("COSINE", &rates.cosine)] {
        println!("\n#[rustfmt::skip]\npub const {name}: Table = Table {{");
        rows("strangers", strangers);
        rows("known", known);
        rows("distances", distances);
        println!("}};");
    }
}

fn rows(name: &str, rows: &[Row]) {
    println!("    {name}: [");
    for row in rows {
        let cells: Vec<String> = row.iter().map(|v| format!("{v:.4}")).collect();
        println!("        [{}],", cells.join(", "));
    }
    println!("    ],");
}

fn table(people: &[Person], metric: Metric, cohort: &Cohort) -> Table {
    let columns = COLUMNS.map(|(g, k)| column(people, metric, cohort, g, k));
    let strangers = continued(&columns.each_ref().map(|column| &column.strangers[..]));
    let distances = continued(&columns.each_ref().map(|column| &column.distances[..]));
    let known = extended(columns.each_ref().map(|column| column.known.as_deref()));
    let row = |columns: &[Vec<f64>], at: usize| std::array::from_fn(|column| columns[column][at] as f32);
    Table {
        strangers: std::array::from_fn(|at| row(&strangers, at)),
        known: std::array::from_fn(|at| row(&known, at)),
        distances: std::array::from_fn(|at| row(&distances, at)),
    }
}

/// The quantiles for `g` pictures per person and `k` looks per visit.
fn column(people: &[Person], metric: Metric, cohort: &Cohort, g: usize, k: usize) -> Column {
    let normal = |descriptor: &Descriptor| {
        let prepared = if metric == Metric::Cosine { unit(descriptor) } else { *descriptor };
        (*descriptor, cohort.normal(metric, &prepared, &[]))
    };
    let score =
        |(a, of_a): &(Descriptor, Normal), (b, of_b): &(Descriptor, Normal)| of_a.score(*of_b, distance(metric, a, b));
    let (mut strangers, mut known, mut distances) = (Vec::new(), Vec::new(), Vec::new());
    let draws = if g == 1 && k == 1 { 1 } else { DRAWS };
    for seed in 1..=draws {
        let mut draw = Draw(seed);
        let templates: Vec<_> = means(people, g, &mut draw).iter().map(|(who, mean)| (*who, normal(mean))).collect();
        let probes: Vec<_> = means(people, k, &mut draw).iter().map(|(who, mean)| (*who, normal(mean))).collect();
        for (owner, template) in &templates {
            for (who, probe) in &probes {
                if who != owner {
                    strangers.push(score(template, probe));
                    distances.push(distance(metric, &template.0, &probe.0));
                }
            }
        }
        for person in people.iter().filter(|person| person.pictures.len() >= g + k) {
            let order = draw.some(g + k, person.pictures.len());
            let of = |part: &[usize]| mean(part.iter().map(|&at| &person.pictures[at].1));
            known.push(score(&normal(&of(&order[..g])), &normal(&of(&order[g..]))));
        }
    }
    strangers.sort_unstable_by(f32::total_cmp);
    distances.sort_unstable_by(f32::total_cmp);
    known.sort_unstable_by(f32::total_cmp);
    let independent = strangers.len() as f64 / draws as f64;
    tell!("g = {g}, k = {k}: {independent} pairs of strangers, {} known, {draws} draws", known.len());
    let of_strangers = |sorted: &[f32]| -> Vec<Option<f64>> {
        let shares = LOG_SHARES.iter().map(|share| 10f64.powf(f64::from(*share)));
        shares.map(|share| (share * independent >= ENOUGH).then(|| quantile(sorted, share))).collect()
    };
    let enough = known.len() as u64 >= draws * PEOPLE_WITH_PICTURES as u64;
    let quantiles = || NAMED_SHARES.iter().map(|&share| quantile(&known, decimal(share))).collect();
    Column { strangers: of_strangers(&strangers), distances: of_strangers(&distances), known: enough.then(quantiles) }
}

/// Fills in the columns for which too few people have enough pictures with the column to the right, which is for fewer
/// pictures. Limits all values by the column to the right, because more pictures do not raise the scores of known
/// people.
fn extended(columns: [Option<&[f64]>; VARIANCE_SHARES.len()]) -> Vec<Vec<f64>> {
    let mut done: Vec<Vec<f64>> = Vec::new();
    for column in columns.iter().rev() {
        let right = done.last();
        let mut whole = column.map(<[f64]>::to_vec).or_else(|| right.cloned()).unwrap_or_default();
        for (score, right) in whole.iter_mut().zip(right.into_iter().flatten()) {
            *score = score.min(*right);
        }
        done.push(whole);
    }
    done.reverse();
    done
}

/// Extrapolates the quantiles with too few pairs, see [`ENOUGH`]. Limits all values by the column to the right, because
/// more noise does not bring strangers nearer.
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

/// The share, rounded to three decimals: as f32, 0.95 is slightly less than 0.95.
fn decimal(share: f32) -> f64 {
    (f64::from(share) * 1000.0).round() / 1000.0
}

fn quantile(sorted: &[f32], share: f64) -> f64 {
    sorted.get((share * sorted.len() as f64) as usize).map_or(f64::NAN, |&v| f64::from(v))
}

/// The mean of `count` random pictures of each person who has as many.
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
        let squares = person.pictures.iter().map(|(_, d)| f64::from(distance(Metric::Euclidean, d, &mean)).powi(2));
        squares.sum::<f64>() / (person.pictures.len() - 1) as f64
    });
    let spreads: Vec<f64> = spreads.collect();
    spreads.iter().sum::<f64>() / spreads.len() as f64
}
