//! LFW's own test: do two pictures show one person? There are ten folds, and the threshold of each is the best one for
//! the nine others.

use crate::people::Person;
use anyhow::{Context, ensure};
use namecam::config::Metric;
use namecam::recognition::descriptor::{Descriptor, distance};
use std::collections::HashMap;
use std::path::Path;

/// The distance of a pair of pictures, and whether both show one person.
type Pair = (f32, bool);

/// The folds of a pairs.txt, without the pairs that lack a picture, and the number of these.
pub fn read(file: &Path, people: &[Person], metric: Metric) -> anyhow::Result<(Vec<Vec<Pair>>, usize)> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let mut pictures: HashMap<(&str, u32), &Descriptor> = HashMap::new();
    for person in people {
        for (file, descriptor) in &person.pictures {
            let number = file.rsplit('_').next().and_then(|end| end.split('.').next()?.parse().ok());
            pictures.insert((&person.name, number.unwrap_or_default()), descriptor);
        }
    }
    let mut lines = text.lines();
    let head: Vec<usize> = lines.next().unwrap_or_default().split_whitespace().flat_map(str::parse).collect();
    let [folds, each] = head[..] else { anyhow::bail!("{}: folds and pairs in the first line", file.display()) };
    let (mut all, mut missing) = (vec![Vec::new(); folds], 0);
    for (at, line) in lines.enumerate() {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let (a, b, same) = match cells[..] {
            [name, a, b] => ((name, a.parse()?), (name, b.parse()?), true),
            [one, a, other, b] => ((one, a.parse()?), (other, b.parse()?), false),
            _ => continue,
        };
        match (pictures.get(&a), pictures.get(&b)) {
            (Some(a), Some(b)) => all[(at / (2 * each)).min(folds - 1)].push((distance(metric, a, b), same)),
            _ => missing += 1,
        }
    }
    ensure!(all.iter().all(|fold| !fold.is_empty()), "hardly any picture of {} is there", file.display());
    Ok((all, missing))
}

/// The accuracy of each fold at the threshold that is best for the other folds.
pub fn accuracies(folds: &[Vec<Pair>]) -> Vec<f64> {
    let accuracy = |pairs: &[&Pair], threshold: f32| {
        let right = pairs.iter().filter(|(distance, same)| (*distance <= threshold) == *same).count();
        right as f64 / pairs.len() as f64
    };
    let of_fold = |test: usize| {
        let others: Vec<&Pair> = (0..folds.len()).filter(|&fold| fold != test).flat_map(|fold| &folds[fold]).collect();
        let thresholds = (0..2000).map(|step| step as f32 / 2000.0);
        let best = thresholds.max_by(|a, b| accuracy(&others, *a).total_cmp(&accuracy(&others, *b)));
        accuracy(&folds[test].iter().collect::<Vec<_>>(), best.unwrap_or_default())
    };
    (0..folds.len()).map(of_fold).collect()
}
