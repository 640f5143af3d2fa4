//! Compares remedies against wrong names: the share of LFW's people who get their own name, and the share of strangers
//! who get a name, with distances alone, with scores, and with scores and remembered strangers. The rates are
//! cross-fitted.

use crate::groups::{Distances, Fit, defaults, remember};
use crate::people::{Draw, Person};
use crate::plot::{Curve, plot};
use crate::visits::Rate;
use namecam::config::Metric;
use namecam::recognition::descriptor::Descriptor;
use namecam::recognition::identify::matcher::Matcher;
use namecam::recognition::identify::rule::OF_A_PICTURE;
use namecam::recognition::identify::strangers::TIMES_BUDGET;
use std::path::Path;
use std::sync::Arc;

/// People in the gallery, with one picture each.
const IN_GALLERY: usize = 10;
/// The number of galleries that are drawn from a half of LFW.
const GALLERIES: usize = 60;
/// The number of people who pass the camera before the measurement.
const PASSERS_BY: usize = 100;
/// With [`Remedy::Poisoned`], the number of them who are people of the gallery.
const SEEN_BADLY: usize = 30;
/// The number of strangers of LFW per gallery.
const STRANGERS: usize = 40;
const BUDGETS: [f32; 9] = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1];

/// The rule that names people.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Remedy {
    /// The former rule, see [`crate::groups::Distances`].
    Distances,
    Scores,
    /// Scores with remembered passers-by, who are of the same group as the gallery.
    Remembered,
    /// The same, with people of the gallery among the passers-by, of whom the looks are bad.
    Poisoned,
}

/// Right names, named strangers, and the sum of the remembered people over all galleries.
#[derive(Default)]
struct Outcome {
    right: Rate,
    strangers: Rate,
    remembered: usize,
    galleries: usize,
}

/// Prints the table and draws the plot.
pub fn write(fit: &Fit, svg: &Path) -> anyhow::Result<()> {
    let remedies = [
        ("distances alone", Remedy::Distances),
        ("scores", Remedy::Scores),
        ("scores, strangers remembered", Remedy::Remembered),
        ("the same, 30 of 100 people of the gallery, seen badly", Remedy::Poisoned),
    ];
    println!("| remedy | people | named rightly | strangers named | remembered |");
    println!("| :--- | :--- | ---: | ---: | ---: |");
    let mut curves = Vec::new();
    for (name, remedy) in remedies {
        let at_defaults = of_lfw(fit, remedy, 0.005);
        row(name, "LFW", &at_defaults);
        for group in ["EA_F", "EA_M"] {
            row(name, group, &of_group(fit, group, remedy, 0.005));
        }
        if remedy == Remedy::Poisoned {
            continue;
        }
        let right = BUDGETS.map(|budget| of_lfw(fit, remedy, budget));
        for (people, strangers) in [
            ("LFW", BUDGETS.map(|_| None)),
            ("EA_F", BUDGETS.map(|budget| Some(of_group(fit, "EA_F", remedy, budget)))),
        ] {
            let points = BUDGETS.iter().zip(&right).zip(&strangers);
            let point = |((budget, right), strangers): ((&f32, &Outcome), &Option<Outcome>)| {
                let strangers = strangers.as_ref().unwrap_or(right);
                (strangers.strangers.share(), right.right.share(), *budget == 0.005)
            };
            curves.push(Curve { name: format!("{name}: {people}"), points: points.map(point).collect() });
        }
    }
    std::fs::write(svg, plot(&curves, 1.0))?;
    Ok(())
}

fn row(name: &str, people: &str, outcome: &Outcome) {
    let cell = |rate: &Rate| match rate.counts() {
        (_, 0) => String::new(),
        (hits, tries) => format!("{:.2} % ({hits}/{tries})", rate.share() * 100.0),
    };
    println!(
        "| {name} | {people} | {} | {} | {:.0} |",
        cell(&outcome.right),
        cell(&outcome.strangers),
        outcome.remembered as f64 / outcome.galleries.max(1) as f64
    );
}

/// The outcome for galleries of LFW's people, with another picture of each known person, and strangers of LFW.
fn of_lfw(fit: &Fit, remedy: Remedy, budget: f32) -> Outcome {
    let mut outcome = Outcome::default();
    for half in [0, 1] {
        let (people, asked) = (&fit.lfw[half], Asked::of(fit, half, remedy, budget));
        let known: Vec<usize> = (0..people.len()).filter(|&at| people[at].pictures.len() > 2).collect();
        let mut draw = Draw(7);
        for _ in 0..GALLERIES {
            let chosen: Vec<usize> = draw.some(IN_GALLERY, known.len()).iter().map(|&at| known[at]).collect();
            let looks: Vec<Descriptor> = chosen.iter().map(|&at| people[at].pictures[1].1).collect();
            let others: Vec<Descriptor> = chosen.iter().map(|&at| people[at].pictures[2].1).collect();
            let strangers: Vec<usize> = draw.some(STRANGERS, people.len());
            let passers_by = draw.some(PASSERS_BY, fit.lfw[1 - half].len());
            let passers_by = passers_by.iter().map(|&at| fit.lfw[1 - half][at].pictures[0].1).collect();
            let gallery: Vec<&Person> = chosen.iter().map(|&at| &people[at]).collect();
            let judge = Judge::new(&asked, &gallery, passers_by, &others, &mut outcome);
            for (number, (&at, look)) in chosen.iter().zip(&looks).enumerate() {
                outcome.right.count(half * 10_000 + at, judge.name(look) == Some(number));
            }
            for &at in strangers.iter().filter(|at| !chosen.contains(at)) {
                outcome.strangers.count(half * 10_000 + at, judge.name(&people[at].pictures[0].1).is_some());
            }
        }
    }
    outcome
}

/// The outcome for galleries with people of one group, and strangers of that group.
fn of_group(fit: &Fit, group: &str, remedy: Remedy, budget: f32) -> Outcome {
    let mut outcome = Outcome::default();
    let Some((_, halves)) = fit.groups.iter().find(|(name, _)| name == group) else { return outcome };
    for half in [0, 1] {
        let (people, asked) = (&halves[half], Asked::of(fit, half, remedy, budget));
        let mut draw = Draw(8);
        for _ in 0..GALLERIES / 3 {
            let chosen = draw.some(IN_GALLERY, people.len());
            let gallery: Vec<&Person> = chosen.iter().map(|&at| &people[at]).collect();
            let looks: Vec<Descriptor> = gallery.iter().map(|person| person.pictures[0].1).collect();
            let passers_by = halves[1 - half].iter().map(|person| person.pictures[0].1).collect();
            let judge = Judge::new(&asked, &gallery, passers_by, &looks, &mut outcome);
            for (at, person) in people.iter().enumerate().filter(|(at, _)| !chosen.contains(at)) {
                outcome.strangers.count(half * 10_000 + at, judge.name(&person.pictures[0].1).is_some());
            }
        }
    }
    outcome
}

/// The parameters of the measurement of a half.
struct Asked<'a> {
    fit: &'a Fit,
    half: usize,
    remedy: Remedy,
    budget: f32,
    before: Distances,
}

impl<'a> Asked<'a> {
    fn of(fit: &'a Fit, half: usize, remedy: Remedy, budget: f32) -> Asked<'a> {
        let before = Distances::of(&fit.lfw[1 - half], Metric::Euclidean);
        Asked { fit, half, remedy, budget, before }
    }
}

/// Names people by one gallery.
enum Judge<'a> {
    Distances { before: &'a Distances, people: Vec<Descriptor>, budget: f32 },
    Scores(Box<Matcher>),
}

impl<'a> Judge<'a> {
    fn new(
        asked: &'a Asked,
        gallery: &[&Person],
        mut passers_by: Vec<Descriptor>,
        looks: &[Descriptor],
        outcome: &mut Outcome,
    ) -> Judge<'a> {
        let Asked { fit, half, remedy, budget, ref before } = *asked;
        outcome.galleries += 1;
        if remedy == Remedy::Distances {
            let people = gallery.iter().map(|person| person.pictures[0].1).collect();
            return Judge::Distances { before, people, budget };
        }
        let mut config = defaults(Metric::Euclidean);
        config.false_name_budget = budget;
        let mut matcher = Matcher::new(&config, Some(Arc::clone(&fit.rates[1 - half])));
        for (number, person) in gallery.iter().enumerate() {
            matcher.add(&number.to_string(), [("".into(), person.pictures[0].1)]);
        }
        passers_by.truncate(PASSERS_BY);
        if remedy == Remedy::Poisoned {
            for at in 0..SEEN_BADLY.min(passers_by.len()) {
                passers_by[at] = seen_badly(&matcher, &looks[at % looks.len()], &passers_by[at]);
            }
        }
        if matches!(remedy, Remedy::Remembered | Remedy::Poisoned) {
            outcome.remembered += remember(&mut matcher, &passers_by);
        }
        Judge::Scores(Box::new(matcher))
    }

    /// The number of the person in the gallery whose name the look gets.
    fn name(&self, look: &Descriptor) -> Option<usize> {
        match self {
            Judge::Distances { before, people, budget } => before.name(people, *budget, look),
            Judge::Scores(matcher) => {
                let found = matcher.find(look, 1.0, OF_A_PICTURE)?;
                found.name().and_then(|name| name.parse().ok())
            }
        }
    }
}

/// A look at a person that is bad enough to be remembered as a stranger: a mixture of the descriptor of this person and
/// of another one, with the least share of the other one that suffices.
fn seen_badly(matcher: &Matcher, look: &Descriptor, other: &Descriptor) -> Descriptor {
    let mixtures =
        (0..=100).map(|part| std::array::from_fn(|at| look[at] + (other[at] - look[at]) * part as f32 / 100.0));
    let is_refused = |look: &Descriptor| !matcher.is_near_anybody(look, 1.0, TIMES_BUDGET);
    mixtures.into_iter().find(is_refused).unwrap_or(*other)
}
