//! [`Matcher`]: finds the person who is nearest to a probe by score, within the limit. It scans flat matrices of
//! descriptors completely. With 100,000 pictures that takes milliseconds (`make bench`), so an approximate index is not
//! needed.

use crate::config::Recognition;
use crate::detection::Near;
use crate::recognition::descriptor::{DESCRIPTOR_LEN, Descriptor, prepared, shown, squared_distance};
use crate::recognition::identify::cohort::Normal;
use crate::recognition::identify::rates::Rates;
use crate::recognition::identify::rule::{Decision, Rule};
use crate::recognition::identify::template::templates_of;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many pictures explain a match.
const EXPLAINING: usize = 3;
/// With more templates than this, similar pairs are not searched: their number grows with the square.
const COMPARED: usize = 5000;
/// The owner of the pictures in `.not`.
const BARRED: u32 = u32::MAX;

/// The people of a gallery: their templates, which decide, and their pictures, which explain.
#[derive(Debug, Clone)]
pub struct Matcher {
    rule: Rule,
    people: Vec<Arc<str>>,
    templates: Rows,
    /// The variance share `1/g` of each template.
    variances: Vec<f32>,
    /// The normal of each template; empty without a budget.
    normals: Vec<Normal>,
    /// Prepared descriptors of people who are not in the gallery; they count as members of the cohort.
    strangers: Vec<Descriptor>,
    pictures: Rows,
    files: Vec<Arc<str>>,
    barred: usize,
}

/// A matrix of descriptors with the owner of each row, as an index into the people.
#[derive(Debug, Clone, Default)]
struct Rows {
    values: Vec<f32>,
    owners: Vec<u32>,
}

/// A template compared with a probe.
#[derive(Debug, Clone, Copy)]
struct Scored {
    /// The value by which the nearest template is chosen: the score, or without a budget the distance.
    rank: f32,
    row: usize,
    distance: f32,
}

/// The comparison of one person with a probe.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compared {
    /// The distance of the nearest template by score.
    pub distance: f32,
    /// The distance up to which a name is given.
    pub limit: f32,
    /// The value by which tracks that claim the same name are ranked: the score, or without a budget the distance.
    pub rank: f32,
}

/// The nearest row of each kind.
#[derive(Debug, Default)]
struct Nearest {
    person: Option<Scored>,
    second: Option<Scored>,
    /// The nearest row of `.not`.
    barred: Option<Scored>,
}

/// The result of comparing a probe with the gallery.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// The nearest person, or the file of the nearest picture of `.not`.
    pub best: Near,
    /// The distance up to which that person's name is given: the distance with the score `score_limit`, and at most the
    /// threshold.
    pub limit: f32,
    /// True when the probe may well show that person, whether or not the distance is within the limit.
    pub is_near: bool,
    /// The normalised score of that distance, and the score up to which a name is given; `None` without a budget.
    pub score: Option<(f32, f32)>,
    /// The second nearest person.
    pub runner_up: Option<Near>,
    /// The difference between the scores of the second person and of the nearest one; without a budget, between the
    /// distances.
    pub margin: Option<f32>,
    /// The nearest pictures, three at most, the nearest first.
    pub pictures: Vec<Near>,
    /// Whether that person may be named, and if not, why.
    pub decision: Decision,
}

impl Match {
    /// The name that the match gives.
    pub fn name(&self) -> Option<&Arc<str>> {
        (self.decision == Decision::Named).then_some(&self.best.what)
    }
}

impl Matcher {
    /// An empty gallery, with the thresholds of `[recognition]` and the measured rates of the recognition model.
    pub fn new(config: &Recognition, rates: Option<Arc<Rates>>) -> Matcher {
        Matcher {
            rule: Rule::new(config, rates),
            people: Vec::new(),
            templates: Rows::default(),
            variances: Vec::new(),
            normals: Vec::new(),
            strangers: Vec::new(),
            pictures: Rows::default(),
            files: Vec::new(),
            barred: 0,
        }
    }

    /// Adds a person with the files and descriptors of their pictures.
    pub fn add(&mut self, name: &str, pictures: impl IntoIterator<Item = (Arc<str>, Descriptor)>) {
        let owner = self.people.len() as u32;
        let own = self.add_pictures(owner, pictures);
        if own.is_empty() {
            return;
        }
        self.people.push(name.into());
        for template in templates_of(&own, self.rule.separates, &self.rule.rates) {
            self.add_template(owner, &template.mean, 1.0 / template.effective);
        }
    }

    /// Adds the pictures of `.not`: a probe that is nearer to one of them than to a person stays unknown.
    pub fn add_not(&mut self, pictures: impl IntoIterator<Item = (Arc<str>, Descriptor)>) {
        let barred = self.add_pictures(BARRED, pictures);
        self.barred += barred.len();
        for descriptor in barred {
            self.add_template(BARRED, &descriptor, 1.0);
        }
    }

    fn add_template(&mut self, owner: u32, descriptor: &Descriptor, variance: f32) {
        let row = self.prepared(descriptor);
        self.templates.push(owner, &row);
        self.variances.push(variance);
        self.normals.extend(self.normal(&row));
    }

    fn prepared(&self, descriptor: &Descriptor) -> Descriptor {
        prepared(self.rule.metric, descriptor)
    }

    /// The normal of a prepared descriptor; `None` without a budget.
    fn normal(&self, prepared: &Descriptor) -> Option<Normal> {
        let rule = &self.rule;
        (rule.budget > 0.0).then(|| rule.rates.cohort.normal(rule.metric, prepared, &self.strangers))
    }

    /// The number of people outside the gallery who count as members of the cohort.
    pub(in crate::recognition) fn strangers(&self) -> usize {
        self.strangers.len()
    }

    /// Replaces the people outside the gallery who count as members of the cohort.
    pub fn set_strangers<'a>(&mut self, strangers: impl IntoIterator<Item = &'a Descriptor>) {
        self.strangers = strangers.into_iter().map(|stranger| self.prepared(stranger)).collect();
        let templates = self.templates.values.as_chunks::<DESCRIPTOR_LEN>().0;
        self.normals = templates.iter().filter_map(|template| self.normal(template)).collect();
    }

    fn add_pictures(
        &mut self,
        owner: u32,
        pictures: impl IntoIterator<Item = (Arc<str>, Descriptor)>,
    ) -> Vec<Descriptor> {
        let mut added = Vec::new();
        for (file, descriptor) in pictures {
            self.pictures.push(owner, &self.prepared(&descriptor));
            self.files.push(file);
            added.push(descriptor);
        }
        added
    }

    /// The rule that decides about names.
    pub(in crate::recognition) fn rule(&self) -> &Rule {
        &self.rule
    }

    /// The number of people.
    pub fn people(&self) -> usize {
        self.people.len()
    }

    /// The number of pictures of people.
    pub fn pictures(&self) -> usize {
        self.pictures.owners.len() - self.barred
    }

    /// The number of templates of people. A stranger may be near to each of them.
    pub fn templates(&self) -> usize {
        self.templates.owners.len() - self.barred
    }

    /// The variance shares `1/g` of the people's templates.
    pub fn variances(&self) -> impl Iterator<Item = f32> {
        let of = self.templates.owners.iter().zip(&self.variances);
        of.filter(|(owner, _)| **owner != BARRED).map(|(_, variance)| *variance)
    }

    /// The person who is nearest to `probe`, and whether they may be named within `share` of the budget. `probe` is the
    /// mean of looks that are equivalent to `1/looks_variance` independent ones. `None` when the gallery is empty or
    /// the probe is NaN.
    pub fn find(&self, probe: &Descriptor, looks_variance: f32, share: f32) -> Option<Match> {
        let probe = self.prepared(probe);
        let normal = self.normal(&probe);
        let Nearest { person, second, barred } = self.nearest(&probe, normal);
        // When a person and a picture in `.not` are equally near, the person counts.
        let is_barred = barred.is_some_and(|barred| person.is_none_or(|person| barred.rank < person.rank));
        let (best, runner_up) = if is_barred { (barred?, person) } else { (person?, second) };
        let named = |scored: Scored| {
            let what = match self.templates.owners[scored.row] {
                BARRED => self.nearest_barred(&probe),
                owner => Arc::clone(&self.people[owner as usize]),
            };
            Near { what, distance: scored.distance }
        };
        let variance_share = self.variances[best.row] + looks_variance;
        let limit = self.limit(best.row, normal, variance_share, share);
        let margin = runner_up.map(|second| second.rank - best.rank);
        Some(Match {
            best: named(best),
            limit,
            is_near: self.rule.is_near(best.distance),
            score: self.score_limit(variance_share, share).map(|limit| (best.rank, limit)),
            runner_up: runner_up.map(named),
            margin,
            pictures: self.explain(&probe),
            decision: self.rule.decision(best.distance, limit, margin, is_barred),
        })
    }

    /// The score up to which a template gives a name, where `1/g + 1/k` is `variance_share`; `None` without a budget.
    pub fn score_limit(&self, variance_share: f32, share: f32) -> Option<f32> {
        self.rule.score_limit(self.templates(), variance_share, share)
    }

    /// The distance up to which a probe with that normal is near enough to the template in `row`.
    fn limit(&self, row: usize, probe: Option<Normal>, variance_share: f32, share: f32) -> f32 {
        let outermost = self.rule.distance_limit(self.templates(), variance_share, share);
        let Some((probe, score)) = probe.zip(self.score_limit(variance_share, share)) else { return outermost };
        let distance = self.normals[row].distance_at(probe, score);
        // For a probe without a normal: `f32::min` would return the other value.
        if distance.is_nan() { distance } else { distance.clamp(0.0, outermost) }
    }

    /// For each person's template, the distance up to which a probe with that normal is near enough.
    pub fn limits(&self, probe: Option<Normal>, looks_variance: f32, share: f32) -> impl Iterator<Item = f32> {
        let people = self.templates.owners.iter().enumerate().filter(|(_, owner)| **owner != BARRED);
        people.map(move |(row, _)| self.limit(row, probe, self.variances[row] + looks_variance, share))
    }

    /// For each person's template, the score of a probe with that normal at `distance`; nothing without a budget.
    pub fn scores_at(&self, probe: Normal, distance: f32) -> impl Iterator<Item = f32> {
        let people = self.normals.iter().zip(&self.templates.owners).filter(|(_, owner)| **owner != BARRED);
        people.map(move |(normal, _)| probe.score(*normal, distance))
    }

    /// The comparison of `probe` with the person `name`.
    pub fn of_person(&self, name: &str, probe: &Descriptor, looks_variance: f32, share: f32) -> Option<Compared> {
        let owner = self.people.iter().position(|person| **person == *name)? as u32;
        let probe = self.prepared(probe);
        let normal = self.normal(&probe);
        let nearest = self.scored(&probe, normal, |of| of == owner).min_by(|a, b| a.rank.total_cmp(&b.rank))?;
        let limit = self.limit(nearest.row, normal, self.variances[nearest.row] + looks_variance, share);
        Some(Compared { distance: nearest.distance, limit, rank: nearest.rank })
    }

    /// True when the score of `probe` for a template, or for a picture in `.not`, is within the limit for `share` of
    /// the budget. The threshold does not matter. Never true without a budget.
    pub fn is_near_anybody(&self, probe: &Descriptor, looks_variance: f32, share: f32) -> bool {
        let probe = self.prepared(probe);
        let Some(normal) = self.normal(&probe) else { return false };
        let limit = |row: usize| self.score_limit(self.variances[row] + looks_variance, share);
        self.scored(&probe, Some(normal), |_| true)
            .any(|scored| limit(scored.row).is_some_and(|limit| scored.rank <= limit))
    }

    /// For each of `strangers`: the result of [`Matcher::is_near_anybody`] when all other strangers count as members of
    /// the cohort.
    pub fn are_near_anybody(&self, strangers: &[Descriptor], share: f32) -> Vec<bool> {
        if strangers.is_empty() {
            return Vec::new();
        }
        let (metric, cohort) = (self.rule.metric, &self.rule.rates.cohort);
        let members = cohort.members(metric).len();
        let prepared: Vec<Descriptor> = strangers.iter().map(|stranger| self.prepared(stranger)).collect();
        let normal_without = |mut distances: Vec<f32>, stranger: usize| {
            distances.swap_remove(members + stranger);
            Normal::of(distances)
        };
        let own: Vec<Normal> = (0..prepared.len())
            .map(|at| normal_without(cohort.distances(metric, &prepared[at], &prepared), at))
            .collect();
        let mut near = vec![false; prepared.len()];
        let templates = self.templates.values.as_chunks::<DESCRIPTOR_LEN>().0;
        for (template, variance) in templates.iter().zip(&self.variances) {
            let Some(limit) = self.score_limit(variance + 1.0, share) else { break };
            let distances = cohort.distances(metric, template, &prepared);
            let (with_all, reach) = Normal::and_reach(distances.clone());
            for (at, near) in near.iter_mut().enumerate().filter(|(_, near)| !**near) {
                let distance = distances[members + at];
                // A stranger beyond the nearest members does not affect the normal of the template.
                let normal = if distance > reach { with_all } else { normal_without(distances.clone(), at) };
                *near = own[at].score(normal, distance) <= limit;
            }
        }
        near
    }

    /// The templates whose owner passes, compared with a probe with that normal.
    fn scored<'a>(
        &'a self,
        probe: &'a Descriptor,
        normal: Option<Normal>,
        passes: impl Fn(u32) -> bool + 'a,
    ) -> impl Iterator<Item = Scored> + 'a {
        self.templates.scores(probe, passes).map(move |(squared, row)| {
            let distance = shown(self.rule.metric, squared);
            let rank = normal.map_or(distance, |normal| self.normals[row].score(normal, distance));
            Scored { rank, row, distance }
        })
    }

    /// The templates that are nearest to `probe`. The result does not depend on the order of templates.
    fn nearest(&self, probe: &Descriptor, normal: Option<Normal>) -> Nearest {
        let mut found = Nearest::default();
        let nearer = |one: Scored, than: Option<Scored>| than.is_none_or(|known| one.rank < known.rank);
        let owner = |of: Scored| self.templates.owners[of.row];
        for scored in self.scored(probe, normal, |_| true).filter(|scored| !scored.rank.is_nan()) {
            let known = |of: Option<Scored>| of.is_some_and(|known| owner(known) == owner(scored));
            let place = if owner(scored) == BARRED {
                &mut found.barred
            } else if known(found.person) {
                &mut found.person
            } else if nearer(scored, found.person) {
                found.second = found.person;
                &mut found.person
            } else {
                &mut found.second
            };
            if nearer(scored, *place) {
                *place = Some(scored);
            }
        }
        found
    }

    /// The pairs of people who are nearer to each other than the limit for a stranger's look, each pair once with its
    /// shortest distance; the nearest first, at most `most`.
    pub fn near_pairs(&self, most: usize) -> Vec<(Arc<str>, Near)> {
        if self.templates.owners.len() > COMPARED {
            return Vec::new();
        }
        let mut nearest = BTreeMap::<(u32, u32), f32>::new();
        let templates = self.templates.owners.iter().zip(self.templates.values.as_chunks::<DESCRIPTOR_LEN>().0);
        for (at, (&owner, row)) in templates.enumerate().filter(|(_, (owner, _))| **owner != BARRED) {
            let normal = self.normals.get(at).copied();
            for other in self.scored(row, normal, |of| of < owner) {
                // A look at one of the two is as far from the other as the mean, or further because of noise.
                let variance_share = self.variances[at] + self.variances[other.row];
                if other.distance <= self.limit(other.row, normal, variance_share, 1.0) {
                    let known = nearest.entry((self.templates.owners[other.row], owner)).or_insert(f32::INFINITY);
                    *known = known.min(other.distance);
                }
            }
        }
        let mut pairs: Vec<_> = nearest.into_iter().collect();
        pairs.sort_by(|a, b| a.1.total_cmp(&b.1));
        pairs.truncate(most);
        let name = |person: u32| Arc::clone(&self.people[person as usize]);
        pairs.into_iter().map(|((one, other), distance)| (name(one), Near { what: name(other), distance })).collect()
    }

    /// The ranks between the first `most` templates, for each pair of different people: scores, or without a budget
    /// distances.
    pub fn between_people(&self, most: usize) -> Vec<f32> {
        let rows = self.templates.values.as_chunks::<DESCRIPTOR_LEN>().0;
        let people = (0..rows.len()).filter(|&row| self.templates.owners[row] != BARRED).take(most);
        let of_one = |row: usize| {
            let owner = self.templates.owners[row];
            let earlier = self.scored(&rows[row], self.normals.get(row).copied(), move |of| of < owner);
            earlier.filter(move |other| other.row < row).map(|other| other.rank)
        };
        people.flat_map(of_one).collect()
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
            distance: shown(self.rule.metric, score),
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

    /// The squared distance and the index of each row whose owner passes.
    fn scores<'a>(
        &'a self,
        probe: &'a Descriptor,
        passes: impl Fn(u32) -> bool + 'a,
    ) -> impl Iterator<Item = (f32, usize)> + 'a {
        let rows = self.values.as_chunks::<DESCRIPTOR_LEN>().0.iter().zip(&self.owners).enumerate();
        rows.filter(move |(_, (_, owner))| passes(**owner)).map(|(at, (row, _))| (squared_distance(probe, row), at))
    }
}

#[cfg(test)]
mod tests;
