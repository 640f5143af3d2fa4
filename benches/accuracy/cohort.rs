//! Makes a cohort: `make cohort DESCRIPTORS=FILE`. A member is a mixture of several people of one group, and so
//! describes no real person: the mean of the group plus the sum of the deviations of these people from it, divided by
//! the square root of their number.

use crate::people::{Draw, Person, mean};
use anyhow::{Context, ensure};
use namecam::config::Metric;
use namecam::recognition::descriptor::{DESCRIPTOR_LEN, Descriptor, distance};
use namecam::recognition::identify::cohort::{self, Cohort};
use std::collections::BTreeMap;
use std::path::Path;

/// The number of people in a mixture.
const MIXED: usize = 8;
/// The least number of people in a group; the mixtures of a smaller group are too similar.
const LEAST: usize = 2 * MIXED;
/// The number of members from all groups together: 200 KB.
const MEMBERS: usize = 1548;
/// The seed of the draw, so that the same descriptors give the same bytes.
const SEED: u64 = 20_261_129;

/// The first picture of each person, by group.
pub fn groups(people: &[Person]) -> BTreeMap<&str, Vec<&Descriptor>> {
    let mut groups: BTreeMap<&str, Vec<&Descriptor>> = BTreeMap::new();
    for person in people {
        groups
            .entry(person.group().unwrap_or(&person.name))
            .or_default()
            .extend(person.pictures.first().map(|(_, descriptor)| descriptor));
    }
    groups.retain(|_, people| people.len() >= LEAST);
    groups
}

/// A cohort with the same number of members from each group, and the distance of each member from the nearest person in
/// its mixture.
pub fn mixed(groups: &BTreeMap<&str, Vec<&Descriptor>>, source: String) -> (Cohort, Vec<f32>) {
    let (mut draw, mut members, mut nearest) = (Draw(SEED), Vec::new(), Vec::new());
    for people in groups.values() {
        let center = mean(people.iter().copied());
        for _ in 0..MEMBERS / groups.len().max(1) {
            let some = draw.some(MIXED, people.len());
            let mut member = center;
            for &at in &some {
                let part = |(to, (v, c)): (&mut f32, (&f32, &f32))| *to += (v - c) / (MIXED as f32).sqrt();
                member.iter_mut().zip(people[at].iter().zip(&center)).for_each(part);
            }
            let apart = some.iter().map(|&at| distance(Metric::Euclidean, &member, people[at]));
            nearest.extend(apart.min_by(f32::total_cmp));
            members.push(member);
        }
    }
    (Cohort::new(source, members), nearest)
}

/// Writes the cohort of `people` to `file`.
pub fn make(people: &[Person], model_sha256: &str, source: &str, file: &Path) -> anyhow::Result<()> {
    let groups = groups(people);
    ensure!(groups.len() > 1, "there must be groups of {LEAST} people or more, named GROUP_NUMBER");
    let count = groups.values().map(Vec::len).sum::<usize>();
    let names: Vec<&str> = groups.keys().copied().collect();
    let source = format!("mixtures of {MIXED} of {count} people of {}: {}", source, names.join(", "));
    let (cohort, mut nearest) = mixed(&groups, source);
    let file_bytes = cohort::bytes(&cohort, model_sha256)?;
    std::fs::write(file, &file_bytes).with_context(|| format!("{} cannot be written", file.display()))?;
    nearest.sort_by(f32::total_cmp);
    let mut between: Vec<f32> = Vec::new();
    for people in groups.values() {
        let pairs = people.iter().enumerate().flat_map(|(at, one)| people[..at].iter().map(move |two| (one, two)));
        between.extend(pairs.map(|(one, two)| distance(Metric::Euclidean, one, two)));
    }
    between.sort_by(f32::total_cmp);
    tell!(
        "{}: {} bytes, {} members of {} groups, {DESCRIPTOR_LEN} numbers each. From the nearest of its people a member is \
         {:.2} at least, {:.2} in the middle; two people of a group are {:.2} in the middle.",
        file.display(),
        file_bytes.len(),
        nearest.len(),
        groups.len(),
        nearest[0],
        nearest[nearest.len() / 2],
        between[between.len() / 2]
    );
    Ok(())
}
