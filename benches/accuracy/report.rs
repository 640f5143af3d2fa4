//! Prints the measured rates as Markdown tables, and draws them as a plot.

use crate::pairs;
use crate::people::{Draw, Person, mean};
use crate::plot::{Curve, plot};
use crate::visits::{Outcome, Rate, Setting, measure};
use namecam::config::{Config, Metric, Recognition, Templates};
use namecam::recognition::descriptor::distance;
use namecam::recognition::identify::rates::Rates;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The values of [`Setting::people`], [`Setting::pictures`] and [`Setting::looks`] in the tables.
const PEOPLE: [usize; 5] = [5, 10, 20, 50, 100];
const PICTURES: [usize; 3] = [1, 3, 5];
const LOOKS: [usize; 4] = [0, 1, 3, 5];
/// The number of visits of known people per row.
const VISITS: usize = 3000;
/// The least number of strangers for a point of a curve.
const STRANGERS: usize = 20;
/// The budgets of the points of a curve.
const BUDGETS: [f32; 9] = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1];

fn defaults(metric: Metric) -> Recognition {
    Recognition { metric, ..Config::defaults(Path::new("/")).recognition }
}

/// Prints all tables for `people` to stdout, and writes the plot to `svg`.
pub fn write(people: &[Person], tables: &Arc<Rates>, pairs_file: Option<&Path>, svg: &Path) -> anyhow::Result<()> {
    let pictures: usize = people.iter().map(|person| person.pictures.len()).sum();
    println!("{} people, {pictures} pictures; by {}.\n", people.len(), tables.name);
    for metric in [Metric::Euclidean, Metric::Cosine] {
        if let Some(file) = pairs_file {
            let (folds, missing) = pairs::read(file, people, metric)?;
            let accuracies = pairs::accuracies(&folds);
            let average = accuracies.iter().sum::<f64>() / accuracies.len() as f64;
            let deviation = accuracies.iter().map(|a| (a - average).powi(2)).sum::<f64>() / accuracies.len() as f64;
            let (count, error) =
                (folds.iter().map(Vec::len).sum::<usize>(), (deviation / accuracies.len() as f64).sqrt());
            println!(
                "Verification, {}: {average:.4} +- {error:.4} ({count} pairs in {} folds; {missing} lack a picture).\n",
                metric.as_str(),
                folds.len()
            );
        }
        rates(people, metric);
    }
    let mut settings = Vec::new();
    for people in PEOPLE {
        for pictures in PICTURES {
            settings.extend(LOOKS.map(|looks| Setting { people, pictures, looks }));
        }
    }
    for metric in [Metric::Euclidean, Metric::Cosine] {
        println!("### {}, at the defaults\n", metric.as_str());
        println!("| people | pictures | looks | named rightly | 95 % | another's name | strangers named | 95 % |");
        println!("| ---: | ---: | :--- | ---: | :--- | ---: | ---: | :--- |");
        let config = defaults(metric);
        let lines = in_parallel(&settings, |&setting| {
            measure(people, tables, setting, &config, VISITS).map(|outcome| row(setting, &outcome))
        });
        lines.iter().flatten().for_each(|line| println!("{line}"));
        println!();
    }
    frontier(people, tables, svg)
}

/// Does the jobs on all cores, and returns their results in order. The results do not depend on the number of cores.
fn in_parallel<Job: Sync, Done: Send>(jobs: &[Job], work: impl Fn(&Job) -> Done + Sync) -> Vec<Done> {
    let next = AtomicUsize::new(0);
    let some = || {
        let mine = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        mine.map_while(|at| Some((at, work(jobs.get(at)?)))).collect::<Vec<_>>()
    };
    let mut done: Vec<(usize, Done)> = std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let started: Vec<_> = (0..threads).map(|_| scope.spawn(some)).collect();
        let ended = started.into_iter().map(|thread| thread.join());
        ended.flat_map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, done)| done).collect()
}

fn row(setting: Setting, outcome: &Outcome) -> String {
    let looks = if setting.looks == 0 { "picture".to_owned() } else { format!("visit of {}", setting.looks) };
    let interval = |rate: &Rate| {
        let (from, to) = rate.interval();
        format!("{:.2} - {:.2} %", from * 100.0, to * 100.0)
    };
    let ((right, known), (wrong, _)) = (outcome.right.counts(), outcome.wrong.counts());
    let (named, strangers) = outcome.strangers.counts();
    format!(
        "| {} | {} | {looks} | {:.2} % ({right}/{known}) | {} | {wrong} | {:.2} % ({named}/{strangers}) | {} |",
        setting.people,
        setting.pictures,
        outcome.right.share() * 100.0,
        interval(&outcome.right),
        outcome.strangers.share() * 100.0,
        interval(&outcome.strangers)
    )
}

/// Prints the false accepts and false rejects of pairs of single pictures, and of single pictures with means of three.
fn rates(people: &[Person], metric: Metric) {
    let thresholds: &[f32] = match metric {
        Metric::Euclidean => &[0.35, 0.40, 0.45, 0.50, 0.55, 0.60],
        Metric::Cosine => &[0.03, 0.04, 0.05, 0.06, 0.07, 0.08],
    };
    println!(
        "| {} | one against one: false accepts | false rejects | one against the mean of 3: false accepts | false rejects |",
        metric.as_str()
    );
    println!("| ---: | ---: | ---: | ---: | ---: |");
    let [one, three] = [1, 3].map(|g| {
        let mut draw = Draw(5);
        let (mut strangers, mut own) = (Vec::new(), Vec::new());
        let drawn: Vec<_> = (0..people.len())
            .filter(|&at| people[at].pictures.len() >= g)
            .map(|at| {
                let order = draw.some(g + 1, people[at].pictures.len());
                let picture = |at_picture: &usize| &people[at].pictures[*at_picture].1;
                (mean(order[..g].iter().map(picture)), order.get(g).map(picture), picture(&order[0]))
            })
            .collect();
        for (at, (template, other, _)) in drawn.iter().enumerate() {
            own.extend(other.map(|probe| distance(metric, template, probe)));
            let strange = drawn.iter().enumerate().filter(|(probe, _)| *probe != at);
            strangers.extend(strange.map(|(_, (.., probe))| distance(metric, template, probe)));
        }
        (strangers, own)
    });
    let cell = |distances: &[f32], hit: &dyn Fn(f32) -> bool| {
        let hits = distances.iter().filter(|d| hit(**d)).count();
        format!("{:.2e} ({hits}/{})", hits as f64 / distances.len().max(1) as f64, distances.len())
    };
    for &threshold in thresholds {
        let within = |d: f32| d <= threshold;
        let beyond = |d: f32| d > threshold;
        println!(
            "| {threshold:.2} | {} | {} | {} | {} |",
            cell(&one.0, &within),
            cell(&one.1, &beyond),
            cell(&three.0, &within),
            cell(&three.1, &beyond)
        );
    }
    println!();
}

/// Draws the share of right names over the share of named strangers, for varying budgets.
fn frontier(people: &[Person], tables: &Arc<Rates>, svg: &Path) -> anyhow::Result<()> {
    let setting = |people, looks| Setting { people, pictures: 3, looks };
    let (euclidean, cosine) = (defaults(Metric::Euclidean), defaults(Metric::Cosine));
    let exemplars = Recognition { templates: Templates::Exemplars, ..euclidean.clone() };
    let curves = [
        ("10 people, a single picture", setting(10, 0), &euclidean),
        ("10 people, a single picture, cosine", setting(10, 0), &cosine),
        ("10 people, visit of 3 looks", setting(10, 3), &euclidean),
        ("50 people, a single picture", setting(50, 0), &euclidean),
        ("50 people, a single picture, cosine", setting(50, 0), &cosine),
        ("50 people, a single picture, exemplars", setting(50, 0), &exemplars),
        ("50 people, visit of 3 looks", setting(50, 3), &euclidean),
    ];
    let jobs: Vec<_> = curves.iter().flat_map(|curve| BUDGETS.map(|budget| (curve, budget))).collect();
    let points = in_parallel(&jobs, |&((_, setting, config), budget)| {
        let config = Recognition { false_name_budget: budget, ..(*config).clone() };
        let outcome = measure(people, tables, *setting, &config, VISITS)?;
        let enough = outcome.strangers.people() >= STRANGERS;
        enough.then(|| (outcome.strangers.share(), outcome.right.share(), budget == 0.005))
    });
    let drawn = curves.iter().zip(points.chunks(BUDGETS.len())).map(|((name, ..), points)| Curve {
        name: (*name).to_owned(),
        points: points.iter().flatten().copied().collect(),
    });
    let drawn: Vec<Curve> = drawn.filter(|curve| !curve.points.is_empty()).collect();
    std::fs::write(svg, plot(&drawn, 0.1))?;
    Ok(())
}
