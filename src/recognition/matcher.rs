//! Who a probe is: the nearest person within the threshold. Exact scans over flat matrices of descriptors; at 100,000
//! pictures they take milliseconds (`make bench`), so there is no index that could be wrong.

use super::rates::Rates;
use super::rule::{Rule, Standing};
use super::template::templates_of;
use super::{DESCRIPTOR_LEN, Descriptor};
use crate::config::{Metric, Recognition};
use crate::sighting::Near;
use std::sync::Arc;

/// How many pictures are named to explain a match.
const EXPLAINING: usize = 3;
/// Among more templates, pairs are not looked for: their number grows with the square.
const COMPARED: usize = 5000;
/// Owner of what shall never be named: the pictures in `.not`.
const BARRED: u32 = u32::MAX;

/// The people of a gallery: what they are compared by, and their pictures, which explain.
#[derive(Debug, Clone)]
pub struct Matcher {
    rule: Rule,
    people: Vec<Arc<str>>,
    templates: Rows,
    /// `1/g`, the variance share of each template.
    variances: Vec<f32>,
    pictures: Rows,
    files: Vec<Arc<str>>,
    barred: usize,
}

/// A matrix of descriptors, and whose each row is, as an index into the people.
#[derive(Debug, Clone, Default)]
struct Rows {
    values: Vec<f32>,
    owners: Vec<u32>,
}

/// A squared distance, and the row that it is to.
type Scored = (f32, usize);

/// The nearest row of each kind.
#[derive(Debug, Default)]
struct Nearest {
    /// Of the nearest person.
    person: Option<Scored>,
    /// Of the second nearest person.
    second: Option<Scored>,
    /// Of what shall never be named.
    barred: Option<Scored>,
}

/// Who a probe looks like.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// The nearest person; of what is in `.not`, the file.
    pub best: Near,
    /// Within which distance of that person a name is given.
    pub limit: f32,
    /// The second nearest person.
    pub runner_up: Option<Near>,
    /// The nearest pictures, three at most, the nearest first.
    pub pictures: Vec<Near>,
    /// Whether she may be named, and if not, why.
    pub standing: Standing,
}

impl Match {
    /// The name that it gives.
    pub fn name(&self) -> Option<&Arc<str>> {
        (self.standing == Standing::Named).then_some(&self.best.what)
    }
}

impl Matcher {
    /// An empty gallery, with what `[recognition]` says about thresholds and what was measured of the recognition model.
    pub fn new(config: &Recognition, rates: Option<Arc<Rates>>) -> Matcher {
        Matcher {
            rule: Rule::new(config, rates),
            people: Vec::new(),
            templates: Rows::default(),
            variances: Vec::new(),
            pictures: Rows::default(),
            files: Vec::new(),
            barred: 0,
        }
    }

    /// Adds a person with the files and descriptors of her pictures.
    pub fn add(&mut self, name: &str, pictures: impl IntoIterator<Item = (Arc<str>, Descriptor)>) {
        let owner = self.people.len() as u32;
        let own = self.add_pictures(owner, pictures);
        if own.is_empty() {
            return;
        }
        self.people.push(name.into());
        for template in templates_of(&own, self.rule.separates(), self.rule.rates()) {
            self.templates.push(owner, &self.rule.prepared(&template.mean));
            self.variances.push(1.0 / template.effective);
        }
    }

    /// Adds pictures of what shall never be named: whoever is nearer to one of them than to a person stays unknown.
    pub fn add_not(&mut self, pictures: impl IntoIterator<Item = (Arc<str>, Descriptor)>) {
        let barred = self.add_pictures(BARRED, pictures);
        self.barred += barred.len();
        for descriptor in barred {
            self.templates.push(BARRED, &self.rule.prepared(&descriptor));
            self.variances.push(1.0);
        }
    }

    fn add_pictures(
        &mut self,
        owner: u32,
        pictures: impl IntoIterator<Item = (Arc<str>, Descriptor)>,
    ) -> Vec<Descriptor> {
        let mut added = Vec::new();
        for (file, descriptor) in pictures {
            self.pictures.push(owner, &self.rule.prepared(&descriptor));
            self.files.push(file);
            added.push(descriptor);
        }
        added
    }

    /// The rule that decides about names.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// How many people there are.
    pub fn people(&self) -> usize {
        self.people.len()
    }

    /// How many pictures of people there are.
    pub fn pictures(&self) -> usize {
        self.pictures.owners.len() - self.barred
    }

    /// How many templates of people there are: a stranger may come near to each of them.
    pub fn templates(&self) -> usize {
        self.templates.owners.len() - self.barred
    }

    /// The variance shares `1/g` of the people's templates.
    pub fn variances(&self) -> impl Iterator<Item = f32> {
        let of = self.templates.owners.iter().zip(&self.variances);
        of.filter(|(owner, _)| **owner != BARRED).map(|(_, variance)| *variance)
    }

    /// Who is nearest to `probe`, the mean of looks that are worth `1/looks_variance` independent ones, and whether she
    /// may be named within `share` of the budget. `None` when the gallery is empty or the probe is not a number.
    pub fn find(&self, probe: &Descriptor, looks_variance: f32, share: f32) -> Option<Match> {
        let probe = self.rule.prepared(probe);
        let Nearest { person, second, barred } = self.templates.nearest(&probe);
        // Of a person and a picture in `.not` that are equally near, the person counts.
        let is_barred = barred.is_some_and(|(barred, _)| person.is_none_or(|(person, _)| barred < person));
        let (best, second) = if is_barred { (barred?, person) } else { (person?, second) };
        let named = |(score, row): (f32, usize)| {
            let what = match self.templates.owners[row] {
                BARRED => self.nearest_barred(&probe),
                owner => Arc::clone(&self.people[owner as usize]),
            };
            Near { what, distance: self.rule.distance(score) }
        };
        let limit = self.limit(self.variances[best.1] + looks_variance, share);
        let (nearest, runner_up) = (named(best), second.map(named));
        let standing = self.rule.standing(nearest.distance, limit, runner_up.as_ref().map(|n| n.distance), is_barred);
        Some(Match { best: nearest, limit, runner_up, pictures: self.explain(&probe), standing })
    }

    /// Within which distance a template is near enough, where `1/g + 1/k` is `variance_share`.
    pub fn limit(&self, variance_share: f32, share: f32) -> f32 {
        self.rule.limit(self.templates(), variance_share, share)
    }

    /// How far `probe` is from the nearest template of `name`, and the limit there.
    pub fn of_person(&self, name: &str, probe: &Descriptor, looks_variance: f32, share: f32) -> Option<(f32, f32)> {
        let owner = self.people.iter().position(|person| **person == *name)? as u32;
        let probe = self.rule.prepared(probe);
        let (score, row) = self.templates.scores(&probe, |of| of == owner).min_by(|a, b| a.0.total_cmp(&b.0))?;
        Some((self.rule.distance(score), self.limit(self.variances[row] + looks_variance, share)))
    }

    /// The pairs of people who are nearer to each other than a stranger's look may be, the nearest first, `most` at most.
    pub fn near_pairs(&self, most: usize) -> Vec<(Arc<str>, Near)> {
        let mut pairs = Vec::new();
        if self.templates.owners.len() > COMPARED {
            return pairs;
        }
        let templates = self.templates.owners.iter().zip(self.templates.values.as_chunks::<DESCRIPTOR_LEN>().0);
        for (at, (&owner, row)) in templates.enumerate().filter(|(_, (owner, _))| **owner != BARRED) {
            let earlier = self.templates.scores(row, |of| of < owner);
            for (score, other) in earlier {
                let distance = self.rule.distance(score);
                // A look at one of them is as far from the other as her mean, and by its own noise further.
                if distance <= self.limit(self.variances[at] + self.variances[other], 1.0) {
                    let second = Near { what: Arc::clone(&self.people[owner as usize]), distance };
                    pairs.push((Arc::clone(&self.people[self.templates.owners[other] as usize]), second));
                }
            }
        }
        pairs.sort_by(|a, b| a.1.distance.total_cmp(&b.1.distance));
        pairs.truncate(most);
        pairs
    }

    fn explain(&self, probe: &Descriptor) -> Vec<Near> {
        let mut nearest: Vec<(f32, usize)> = Vec::with_capacity(EXPLAINING + 1);
        for (score, row) in self.pictures.scores(probe, |_| true) {
            if nearest.len() < EXPLAINING || nearest.last().is_some_and(|last| score < last.0) {
                let at = nearest.partition_point(|known| known.0 <= score);
                nearest.insert(at, (score, row));
                nearest.truncate(EXPLAINING);
            }
        }
        let near = |(score, row): (f32, usize)| Near {
            what: Arc::clone(&self.files[row]),
            distance: self.rule.distance(score),
        };
        nearest.into_iter().map(near).collect()
    }

    fn nearest_barred(&self, probe: &Descriptor) -> Arc<str> {
        let nearest = self.pictures.scores(probe, |of| of == BARRED).min_by(|a, b| a.0.total_cmp(&b.0));
        nearest.map_or_else(|| ".not".into(), |(_, row)| Arc::clone(&self.files[row]))
    }
}

impl Rows {
    fn push(&mut self, owner: u32, row: &Descriptor) {
        self.values.extend_from_slice(row);
        self.owners.push(owner);
    }

    /// Squared distance and index of the rows whose owner passes.
    fn scores<'a>(
        &'a self,
        probe: &'a Descriptor,
        passes: impl Fn(u32) -> bool + 'a,
    ) -> impl Iterator<Item = (f32, usize)> + 'a {
        let rows = self.values.as_chunks::<DESCRIPTOR_LEN>().0.iter().zip(&self.owners).enumerate();
        rows.filter(move |(_, (_, owner))| passes(**owner)).map(|(at, (row, _))| (squared_distance(probe, row), at))
    }

    /// The rows that are nearest to `probe`, whatever the order of the rows.
    fn nearest(&self, probe: &Descriptor) -> Nearest {
        let mut found = Nearest::default();
        let nearer = |score: f32, than: Option<Scored>| than.is_none_or(|(known, _)| score < known);
        for (score, row) in self.scores(probe, |_| true).filter(|(score, _)| !score.is_nan()) {
            let owner = self.owners[row];
            let known = |of: Option<Scored>| of.is_some_and(|(_, known)| self.owners[known] == owner);
            let place = if owner == BARRED {
                &mut found.barred
            } else if known(found.person) {
                &mut found.person
            } else if nearer(score, found.person) {
                found.second = found.person;
                &mut found.person
            } else {
                &mut found.second
            };
            if nearer(score, *place) {
                *place = Some((score, row));
            }
        }
        found
    }
}

/// The distance of two descriptors: euclidean, or one less the cosine of their angle.
pub fn distance(metric: Metric, a: &Descriptor, b: &Descriptor) -> f32 {
    match metric {
        Metric::Euclidean => squared_distance(a, b).sqrt(),
        Metric::Cosine => squared_distance(&unit(a), &unit(b)) / 2.0,
    }
}

/// The descriptor at length 1.
pub(super) fn unit(descriptor: &Descriptor) -> Descriptor {
    let length = descriptor.iter().map(|v| v * v).sum::<f32>().sqrt();
    descriptor.map(|v| v / length)
}

/// Eight sums side by side: the compiler makes one vector register of them.
pub(super) fn squared_distance(a: &Descriptor, b: &Descriptor) -> f32 {
    let mut sums = [0.0f32; 8];
    for (a, b) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
        for lane in 0..8 {
            let difference = a[lane] - b[lane];
            sums[lane] += difference * difference;
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests;
