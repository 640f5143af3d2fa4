//! How often strangers get a name where all people are of one group, cross-fitted: the cohort is made of one half of the
//! people of each group and the tables of one half of LFW, and the other halves are measured; then the other way round.

use crate::cohort::mixed;
use crate::people::{Draw, Person};
use crate::tables;
use crate::visits::{Rate, Setting, measure};
use namecam::config::{Config, Metric, Recognition};
use namecam::recognition::matcher::Matcher;
use namecam::recognition::rates::Rates;
use namecam::recognition::rule::OF_A_PICTURE;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// People in the gallery, with one picture each.
const PEOPLE: [usize; 4] = [1, 5, 10, 30];
/// A half with fewer strangers beside a gallery says little.
const STRANGERS: usize = 15;
/// So many galleries are drawn of each half.
const GALLERIES: usize = 25;

/// Prints a table: a row a group, a column a size of the gallery; and a row for LFW.
pub fn write(people: Vec<Person>, lfw: Vec<Person>) {
    let mut groups: BTreeMap<String, Vec<Person>> = BTreeMap::new();
    for person in people {
        let group = person.name.rsplit_once('_').map_or(person.name.as_str(), |(group, _)| group).to_owned();
        groups.entry(group).or_default().push(person);
    }
    let mut draw = Draw(1);
    let mut halves = |people: Vec<Person>| {
        let first = draw.some(people.len() / 2, people.len());
        let (one, two): (Vec<_>, Vec<_>) = people.into_iter().enumerate().partition(|(at, _)| first.contains(at));
        [one, two].map(|half| half.into_iter().map(|(_, person)| person).collect::<Vec<Person>>())
    };
    let groups: Vec<(String, [Vec<Person>; 2])> = groups.into_iter().map(|(name, all)| (name, halves(all))).collect();
    let lfw = halves(lfw);
    let rates = [0, 1].map(|half| {
        let members = groups
            .iter()
            .map(|(name, halves)| (name.as_str(), halves[half].iter().map(|person| &person.pictures[0].1).collect()));
        let (cohort, _) = mixed(&members.collect(), String::new());
        Arc::new(tables::rates(&lfw[half], &Arc::new(cohort)))
    });
    for metric in [Metric::Euclidean, Metric::Cosine] {
        let config = Recognition { metric, ..Config::defaults(Path::new("/")).recognition };
        println!(
            "| {}, strangers named | people | {} |",
            metric.as_str(),
            PEOPLE.map(|n| format!("{n} in the gallery")).join(" | ")
        );
        println!("| :--- | ---: | {} |", PEOPLE.map(|_| ":---").join(" | "));
        let mut adults = PEOPLE.map(|_| Rate::default());
        for (number, (name, halves)) in groups.iter().enumerate() {
            let cells = PEOPLE.map(|n| {
                let mut rate = Rate::default();
                for tested in [0, 1] {
                    let offset = (number * 2 + tested) * 1000;
                    strangers(&halves[tested], &rates[1 - tested], &config, n, offset, &mut rate);
                }
                rate
            });
            if !name.ends_with("child") {
                adults.iter_mut().zip(&cells).for_each(|(all, of)| all.add(of));
            }
            println!("| {name} | {} | {} |", halves[0].len() + halves[1].len(), cells.map(cell).join(" | "));
        }
        println!("| all adults | | {} |", adults.map(cell).join(" | "));
        println!();
        for (pictures, looks) in [(1, 0), (3, 0), (3, 3)] {
            let setting = Setting { people: 10, pictures, looks };
            for tested in [0, 1] {
                let Some(outcome) = measure(&lfw[tested], &rates[1 - tested], setting, &config, 2000) else { continue };
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
}

/// Strangers of a half before galleries of `n` people of the same half.
fn strangers(half: &[Person], rates: &Arc<Rates>, config: &Recognition, n: usize, offset: usize, rate: &mut Rate) {
    if half.len() < n + STRANGERS {
        return;
    }
    let mut draw = Draw(77);
    for _ in 0..GALLERIES {
        let chosen = draw.some(n, half.len());
        let mut matcher = Matcher::new(config, Some(Arc::clone(rates)));
        for &at in &chosen {
            matcher.add(&half[at].name, [("".into(), half[at].pictures[0].1)]);
        }
        for (at, person) in half.iter().enumerate().filter(|(at, _)| !chosen.contains(at)) {
            let found = matcher.find(&person.pictures[0].1, 1.0, OF_A_PICTURE);
            rate.count(offset + at, found.is_some_and(|found| found.name().is_some()));
        }
    }
}

fn cell(rate: Rate) -> String {
    if rate.people() == 0 {
        return "too few".to_owned();
    }
    let (from, to) = rate.interval();
    format!("{:.2} % ({:.2} - {:.2})", rate.share() * 100.0, from * 100.0, to * 100.0)
}
