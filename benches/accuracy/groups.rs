//! Measures the share of strangers who get a name when they and the people in the gallery are of one group, and
//! compares it with the share that namecam states for such a gallery. There are two ways to measure: [`of_set`] uses
//! the built-in cohort and tables. [`cross_fit`] makes the cohort from one half of the people of each group and the
//! tables from one half of LFW, and measures the other halves.

use crate::cohort::mixed;
use crate::people::{Draw, Person};
use crate::plot::Stated;
use crate::tables;
use crate::visits::{Rate, Setting, measure};
use namecam::config::{Config, Metric, Recognition};
use namecam::recognition::descriptor::{Descriptor, distance};
use namecam::recognition::identify::expected;
use namecam::recognition::identify::matcher::Matcher;
use namecam::recognition::identify::rates::Rates;
use namecam::recognition::identify::rule::{OF_A_PICTURE, OF_A_VISIT};
use namecam::recognition::identify::strangers::{Strangers, Unnamed};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// People in the gallery, with one picture each.
const PEOPLE: [usize; 4] = [1, 5, 10, 30];
/// The least number of strangers besides the people in the gallery; fewer strangers give no useful rate.
const STRANGERS: usize = 15;
/// The number of galleries that are drawn from the people of a group.
const GALLERIES: usize = 25;
/// The number of times that each of the people of a left-out group passes the camera.
const PASSES: usize = 3;
/// The numbers of the people in each half of a group begin at a multiple of this, so that no two people share a number.
const OF_A_HALF: usize = 100_000;
/// Indices into [`crate::plot::KINDS`].
const BEFORE: usize = 0;
const GROUPS_THAT_IT_HAS: usize = 1;
const GROUPS_THAT_IT_LACKS: usize = 2;
const REMEMBERED: usize = 3;
/// The matcher gets the remembered strangers, which change its scores, after this number of people.
const NORMALISED_AFTER: usize = 10;
/// The divisor of the budget in the former rule, see [`Distances`].
const CAUTION_BEFORE: f32 = 1.25;
/// The least euclidean difference between the distances of the two nearest people in the former rule.
const MARGIN_BEFORE: f32 = 0.02;

/// The results of galleries of one size, with people of one group.
#[derive(Default, Clone)]
pub struct Outcome {
    pub group: String,
    /// People of the group.
    pub people: usize,
    /// People in each gallery.
    pub in_gallery: usize,
    /// Strangers who get a name, of all strangers.
    pub strangers: Rate,
    /// The same for the former rule, see [`Distances`].
    pub before: Rate,
    galleries: usize,
    denser: usize,
    stated: f32,
    at_most: f32,
    remembered: usize,
}

impl Outcome {
    /// The share of strangers who get a name according to namecam, averaged over the galleries.
    pub fn stated(&self) -> f64 {
        f64::from(self.stated) / self.galleries.max(1) as f64
    }

    /// The upper bound of that share according to namecam, averaged over the galleries.
    pub fn at_most(&self) -> f64 {
        f64::from(self.at_most) / self.galleries.max(1) as f64
    }

    /// The point of the plot.
    fn point(&self, kind: usize) -> Option<Stated> {
        let measured = (self.strangers.share(), self.strangers.interval());
        (self.galleries > 0).then(|| Stated { stated: (self.stated(), self.at_most()), measured, kind })
    }

    /// The point of the former rule, for which the stated share was the budget.
    fn point_before(&self) -> Option<Stated> {
        let budget = f64::from(defaults(Metric::Euclidean).false_name_budget);
        let measured = (self.before.share(), self.before.interval());
        (self.before.people() > 0).then_some(Stated { stated: (budget, budget), measured, kind: BEFORE })
    }

    /// Draws galleries from `people` and counts the named strangers among the others. Too few people add nothing.
    fn count(&mut self, people: &[Person], terms: &Terms, offset: usize) {
        if people.len() < self.in_gallery + STRANGERS {
            return;
        }
        self.people += people.len();
        let mut draw = Draw(77);
        for _ in 0..GALLERIES {
            let chosen = draw.some(self.in_gallery, people.len());
            let gallery: Vec<Descriptor> = chosen.iter().map(|&at| people[at].pictures[0].1).collect();
            let mut matcher = Matcher::new(&terms.config, Some(Arc::clone(&terms.rates)));
            for (number, descriptor) in gallery.iter().enumerate() {
                matcher.add(&number.to_string(), [("".into(), *descriptor)]);
            }
            self.remembered += remember(&mut matcher, &terms.passers_by);
            let threshold = expected::threshold(&matcher);
            self.galleries += 1;
            self.stated += threshold.strangers_named.unwrap_or(f32::NAN);
            self.at_most += threshold.strangers_named_at_most.unwrap_or(f32::NAN);
            self.denser += usize::from(threshold.denser_than_cohort == Some(true));
            for (at, person) in people.iter().enumerate().filter(|(at, _)| !chosen.contains(at)) {
                let probe = &person.pictures[0].1;
                let found = matcher.find(probe, 1.0, OF_A_PICTURE);
                self.strangers.count(offset + at, found.is_some_and(|found| found.name().is_some()));
                if let Some(before) = &terms.before {
                    let is_named = before.name(&gallery, terms.config.false_name_budget, probe).is_some();
                    self.before.count(offset + at, is_named);
                }
            }
        }
    }
}

/// The parameters of a measurement.
struct Terms {
    config: Recognition,
    rates: Arc<Rates>,
    passers_by: Vec<Descriptor>,
    before: Option<Arc<Distances>>,
}

/// Lets people pass a camera one after the other, with one look each. The matcher remembers unnamed people as the
/// program does. Returns the number of remembered strangers.
pub fn remember(matcher: &mut Matcher, passers_by: &[Descriptor]) -> usize {
    let (mut strangers, now) = (Strangers::default(), Instant::now());
    for some in passers_by.repeat(PASSES).chunks(NORMALISED_AFTER) {
        for &look in
            some.iter().filter(|look| matcher.find(look, 1.0, OF_A_VISIT).is_none_or(|found| found.name().is_none()))
        {
            strangers.remember(matcher, &Unnamed::of_looks(look, &[], now));
        }
        if strangers.take_change() {
            matcher.set_strangers(strangers.members());
        }
    }
    strangers.count()
}

/// The former rule, before scores were normalised: a look gets the name of the nearest person if the distance is within
/// a limit and the second person is not nearly as near. The limit is a quantile of the distances between strangers of
/// LFW: the budget, divided by [`CAUTION_BEFORE`] and by the number of people in the gallery.
pub struct Distances {
    metric: Metric,
    /// The distances between strangers of LFW, sorted.
    of_strangers: Vec<f32>,
}

impl Distances {
    /// Compares the first pictures of all people.
    pub fn of(lfw: &[Person], metric: Metric) -> Distances {
        let pictures: Vec<&Descriptor> = lfw.iter().map(|person| &person.pictures[0].1).collect();
        let pairs = pictures.iter().enumerate();
        let pairs = pairs.flat_map(|(at, one)| pictures[..at].iter().map(move |two| distance(metric, one, two)));
        let mut of_strangers: Vec<f32> = pairs.collect();
        of_strangers.sort_by(f32::total_cmp);
        Distances { metric, of_strangers }
    }

    /// The number of the person in the gallery whose name the look gets.
    pub fn name(&self, gallery: &[Descriptor], budget: f32, look: &Descriptor) -> Option<usize> {
        let share = budget / CAUTION_BEFORE / gallery.len() as f32;
        let outermost = defaults(self.metric).outermost();
        let limit = self.of_strangers[(share * self.of_strangers.len() as f32) as usize].min(outermost);
        let margin = MARGIN_BEFORE * if self.metric == Metric::Cosine { 0.2 } else { 1.0 };
        let mut distances: Vec<(f32, usize)> =
            gallery.iter().enumerate().map(|(number, person)| (distance(self.metric, person, look), number)).collect();
        distances.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (nearest, number) = *distances.first()?;
        let is_between = distances.get(1).is_some_and(|(second, _)| second - nearest < margin);
        (nearest <= limit && !is_between).then_some(number)
    }
}

/// The defaults of `[recognition]`, with this metric.
pub fn defaults(metric: Metric) -> Recognition {
    Recognition { metric, ..Config::defaults(Path::new("/")).recognition }
}

/// The people by group, see [`Person::group`]. People without a group belong to the group `set`.
fn groups(people: Vec<Person>, set: &str) -> BTreeMap<String, Vec<Person>> {
    let mut groups: BTreeMap<String, Vec<Person>> = BTreeMap::new();
    for person in people {
        let group = person.group().unwrap_or(set).to_owned();
        groups.entry(group).or_default().push(person);
    }
    groups
}

/// Prints the stated and the measured shares for each group of a set, with `rates`, which has the cohort and the
/// tables.
pub fn of_set(people: Vec<Person>, set: &str, rates: &Arc<Rates>) -> Vec<Stated> {
    let terms =
        Terms { config: defaults(Metric::Euclidean), rates: Arc::clone(rates), passers_by: Vec::new(), before: None };
    let mut outcomes = Vec::new();
    for (number, (group, people)) in groups(people, set).into_iter().enumerate() {
        for in_gallery in PEOPLE {
            let mut outcome = Outcome { group: group.clone(), in_gallery, ..Outcome::default() };
            outcome.count(&people, &terms, number * OF_A_HALF);
            outcomes.push(outcome);
        }
    }
    print(&outcomes);
    outcomes.iter().flat_map(|outcome| outcome.point(GROUPS_THAT_IT_HAS)).collect()
}

/// Two halves of all people, and the rates that are made from each half.
pub struct Fit {
    /// The groups by name, each in two halves.
    pub groups: Vec<(String, [Vec<Person>; 2])>,
    /// The people of LFW in two halves.
    pub lfw: [Vec<Person>; 2],
    /// The cohort of a half of the groups with the tables of a half of LFW.
    pub rates: [Arc<Rates>; 2],
}

impl Fit {
    /// Splits all groups. The cohorts have no members of groups that are left out.
    pub fn new(people: Vec<Person>, lfw: Vec<Person>, is_left_out: impl Fn(&str) -> bool) -> Fit {
        let mut draw = Draw(1);
        let mut halves = |people: Vec<Person>| {
            let first = draw.some(people.len() / 2, people.len());
            let (one, two): (Vec<_>, Vec<_>) = people.into_iter().enumerate().partition(|(at, _)| first.contains(at));
            [one, two].map(|half| half.into_iter().map(|(_, person)| person).collect::<Vec<Person>>())
        };
        let groups = groups(people, "people").into_iter().map(|(name, all)| (name, halves(all))).collect::<Vec<_>>();
        let lfw = halves(lfw);
        let rates = [0, 1].map(|half| {
            let members = groups.iter().filter(|(name, _)| !is_left_out(name)).map(|(name, halves)| {
                (name.as_str(), halves[half].iter().map(|person| &person.pictures[0].1).collect())
            });
            let (cohort, _) = mixed(&members.collect(), String::new());
            Arc::new(tables::rates(&lfw[half], &Arc::new(cohort)))
        });
        Fit { groups, lfw, rates }
    }
}

/// Prints the cross-fitted tables. With `left_out`, the cohort lacks the groups whose names begin with one of these
/// words, and only these groups are measured: without and with remembered strangers of the same group.
pub fn cross_fit(people: Vec<Person>, lfw: Vec<Person>, left_out: &[&str]) -> Vec<Stated> {
    let is_left_out = |group: &str| left_out.iter().any(|word| group.split('_').next() == Some(*word));
    let Fit { groups, lfw, rates } = Fit::new(people, lfw, is_left_out);
    // The people of this half of a group, in random order.
    let passers_by = |half: usize, group: &str| {
        let word = group.split('_').next();
        let of_word = groups.iter().filter(|(name, _)| name.split('_').next() == word && !name.ends_with("child"));
        let all: Vec<Descriptor> =
            of_word.flat_map(|(_, halves)| halves[half].iter().map(|person| person.pictures[0].1)).collect();
        Draw(5).some(all.len(), all.len()).iter().map(|&at| all[at]).collect::<Vec<Descriptor>>()
    };
    let mut all = Vec::new();
    for metric in [Metric::Euclidean, Metric::Cosine] {
        let distances = [0, 1].map(|half| Arc::new(Distances::of(&lfw[half], metric)));
        for remembers in [false, true].into_iter().take(if left_out.is_empty() { 1 } else { 2 }) {
            let mut outcomes = Vec::new();
            let tested = groups.iter().enumerate().filter(|(_, (name, _))| left_out.is_empty() || is_left_out(name));
            for (number, (group, halves)) in tested {
                for in_gallery in PEOPLE {
                    let mut outcome = Outcome { group: group.clone(), in_gallery, ..Outcome::default() };
                    for half in [0, 1] {
                        let terms = Terms {
                            config: defaults(metric),
                            rates: Arc::clone(&rates[1 - half]),
                            passers_by: if remembers { passers_by(1 - half, group) } else { Vec::new() },
                            before: Some(Arc::clone(&distances[1 - half])),
                        };
                        outcome.count(&halves[half], &terms, (number * 2 + half) * OF_A_HALF);
                    }
                    outcomes.push(outcome);
                }
            }
            let kind = match (left_out.is_empty(), remembers) {
                (true, _) => GROUPS_THAT_IT_HAS,
                (false, false) => GROUPS_THAT_IT_LACKS,
                (false, true) => REMEMBERED,
            };
            let remembers = if remembers { ", with strangers of the group remembered" } else { "" };
            println!("### {}{remembers}\n", metric.as_str());
            print(&outcomes);
            if metric == Metric::Euclidean {
                all.extend(outcomes.iter().flat_map(|outcome| outcome.point(kind)));
                let before = outcomes.iter().filter(|_| kind == GROUPS_THAT_IT_HAS);
                all.extend(before.flat_map(Outcome::point_before));
            }
        }
        if left_out.is_empty() {
            print_right_names(&lfw, &rates, metric);
        }
    }
    all
}

/// Prints a row per group and size of the gallery, and a row per size for all adults.
fn print(outcomes: &[Outcome]) {
    println!(
        "| group | people | in the gallery | remembered | stated | at most | called denser | measured | 95 % | before |"
    );
    println!("| :--- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | :--- | ---: |");
    let mut adults = PEOPLE.map(|in_gallery| Outcome { group: "all adults".into(), in_gallery, ..Outcome::default() });
    for outcome in outcomes.iter().filter(|outcome| !outcome.group.ends_with("child") && outcome.galleries > 0) {
        for all in adults.iter_mut().filter(|all| all.in_gallery == outcome.in_gallery) {
            all.people += outcome.people;
            all.galleries += outcome.galleries;
            all.denser += outcome.denser;
            all.remembered += outcome.remembered;
            all.stated += outcome.stated;
            all.at_most += outcome.at_most;
            all.strangers.add(&outcome.strangers);
            all.before.add(&outcome.before);
        }
    }
    let several = outcomes.iter().any(|outcome| outcome.group != outcomes[0].group);
    for outcome in outcomes.iter().chain(adults.iter().filter(|_| several)) {
        let (group, people, in_gallery) = (&outcome.group, outcome.people, outcome.in_gallery);
        if outcome.galleries == 0 {
            println!("| {group} | too few | {in_gallery} | | | | | | | |");
            continue;
        }
        let ((named, searches), (from, to)) = (outcome.strangers.counts(), outcome.strangers.interval());
        println!(
            "| {group} | {people} | {in_gallery} | {:.0} | {:.2} % | {:.2} % | {:.0} % | {:.2} % ({named}/{searches}) | {:.2} - {:.2} % | {} |",
            outcome.remembered as f64 / outcome.galleries as f64,
            outcome.stated() * 100.0,
            outcome.at_most() * 100.0,
            outcome.denser as f64 / outcome.galleries as f64 * 100.0,
            outcome.strangers.share() * 100.0,
            from * 100.0,
            to * 100.0,
            if outcome.before.people() > 0 {
                format!("{:.1} %", outcome.before.share() * 100.0)
            } else {
                String::new()
            }
        );
    }
    println!();
}

fn print_right_names(lfw: &[Vec<Person>; 2], rates: &[Arc<Rates>; 2], metric: Metric) {
    for (pictures, looks) in [(1, 0), (3, 0), (3, 3)] {
        let setting = Setting { people: 10, pictures, looks };
        for tested in [0, 1] {
            let outcome = measure(&lfw[tested], &rates[1 - tested], setting, &defaults(metric), 2000);
            let Some(outcome) = outcome else { continue };
            let ((right, known), (named, seen)) = (outcome.right.counts(), outcome.strangers.counts());
            println!(
                "LFW half {tested}, 10 people, {pictures} pictures, {looks} looks: right {:.2} % ({right}/{known}), strangers {:.2} % ({named}/{seen})",
                outcome.right.share() * 100.0,
                outcome.strangers.share() * 100.0
            );
        }
    }
    println!();
}
