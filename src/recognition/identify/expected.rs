//! The expected threshold and error rates of a gallery, with reasons: for `check`, the page and `/api/state`.

use crate::detection::Near;
use crate::recognition::descriptor::Descriptor;
use crate::recognition::identify::cohort::Normal;
use crate::recognition::identify::matcher::{Match, Matcher};
use crate::recognition::identify::rule::OF_A_PICTURE;
use crate::roster::Threshold;
use std::sync::Arc;

/// The most pairs of similar people that warnings name.
const PAIRS: usize = 20;
/// The most pictures of `.not` that are compared with all people; each comparison costs as much as one of a look.
const COMPARED: usize = 1000;
/// The variance share of a single picture.
const OF_ONE_PICTURE: f32 = 1.0;
/// With fewer people than this, it cannot be told whether they are of a group that the cohort covers.
const TELLING: usize = 5;
/// The most templates of a gallery that are compared with each other: the number of pairs grows with the square.
const PAIRED: usize = 200;
/// The upper bound of the share of named strangers, as a multiple of the budget. For nine of ten groups of adults in
/// the cohort, strangers get a name up to twice as often as the budget with a gallery of ten people, and up to three
/// times with thirty (docs/ACCURACY.md; more often with a gallery of Indian men: 1.7 and 2.4 %).
const AT_MOST: f32 = 3.0;
/// A gallery is denser than the cohort when its people, compared with each other, lead to an expected share of named
/// strangers of more than this multiple of the budget. That holds for 4 to 6 of 100 galleries of groups that the cohort
/// has. With a cohort without East and Southeast Asian people, it holds for 98 to 100 of 100 galleries of ten East
/// Asian people, and for 62 to 76 of Southeast Asian people (`make groups`, with one picture per person).
const DENSER: f32 = 6.0;
/// The median of the scores between two people of a gallery, and the deviation below the median, in groups that the
/// cohort has (`make groups`). The estimates for a gallery include as many pairs with these values, which matters for
/// small galleries.
const USUAL_MEDIAN: f32 = 6.0;
const USUAL_BELOW: f32 = 3.2;
const PAIRS_OF_MEDIAN: f32 = 3.0;
const PAIRS_OF_BELOW: f32 = 20.0;
/// The most that one pair adds to the deviation below the median. One person in two folders, or twins, are a pair much
/// further below, which says nothing about strangers: without this bound it makes nearly each gallery denser.
const FARTHEST: f32 = 3.0 * USUAL_BELOW;
/// The most people of a gallery in the measurements of groups (docs/ACCURACY.md).
const MEASURED_PEOPLE: usize = 30;

/// The threshold of a gallery, with the expected error rates.
pub fn threshold(matcher: &Matcher) -> Threshold {
    let rule = matcher.rule();
    let variance_share = 1.0 + middle(matcher.variances()).unwrap_or(1.0);
    let (metric, templates, rates) = (rule.metric, matcher.templates(), &rule.rates);
    let usual = usual(rates.cohort.own_normals(metric));
    let distance = middle(matcher.limits(Some(usual), OF_ONE_PICTURE, OF_A_PICTURE)).unwrap_or(rule.outermost);
    let limit = matcher.score_limit(variance_share, OF_A_PICTURE);
    let at_outermost = middle(matcher.scores_at(usual, rule.outermost)).unwrap_or(usual.score(usual, rule.outermost));
    let score = limit.unwrap_or(f32::INFINITY).min(at_outermost);
    let expected = rule.is_measured && templates > 0;
    let share = |score| rates.stranger_share(metric, score, templates.max(1), variance_share);
    // A threshold that is nearer than the score limit leaves a part of the budget unused.
    let by_tables = limit.map_or(share(score), |limit| rule.budget * share(score) / share(limit));
    let by_pairs = named_by_pairs(matcher, at_outermost);
    let is_denser = by_pairs.filter(|_| rule.budget > 0.0).map(|(share, _)| share > DENSER * rule.budget);
    let (named, most) = match by_pairs {
        Some((share, most)) if is_denser == Some(true) => (share, most),
        // Without a budget, the distance decides alone, whatever the share of named strangers is.
        Some((share, most)) if rule.budget <= 0.0 => (share.max(by_tables), most.max(AT_MOST * by_tables).min(1.0)),
        _ => (by_tables, (AT_MOST * by_tables).min(1.0)),
    };
    Threshold {
        metric: metric.as_str(),
        distance,
        outermost: rule.outermost,
        false_name_budget: rule.budget,
        strangers_named: expected.then_some(named),
        strangers_named_at_most: expected.then_some(most),
        denser_than_cohort: is_denser.filter(|_| expected),
        known_named: expected.then(|| rates.named_share(metric, score, variance_share)),
        rates: rule.is_measured.then(|| rates.name.clone()),
        why: why(matcher, distance, named, most),
    }
}

/// The expected share of named strangers among people like those of the gallery, and its upper bound. They are
/// estimated from the scores between people of the gallery, with the tail of a normal distribution. `at_outermost` is
/// the score at the threshold. `None` for fewer than [`TELLING`] people.
fn named_by_pairs(matcher: &Matcher, at_outermost: f32) -> Option<(f32, f32)> {
    let rule = matcher.rule();
    let mut pairs = matcher.between_people(PAIRED);
    if matcher.people() < TELLING || pairs.is_empty() {
        return None;
    }
    pairs.sort_by(f32::total_cmp);
    let (count, mut median) = (pairs.len() as f32, pairs[pairs.len() / 2]);
    let below = &pairs[..=pairs.len() / 2];
    let mut variance = below.iter().map(|pair| (median - pair).min(FARTHEST).powi(2)).sum::<f32>() / below.len() as f32;
    // Both descriptors of a pair are templates.
    let variance_share = 2.0 * middle(matcher.variances())?;
    let limit = matcher.score_limit(variance_share, OF_A_PICTURE);
    if limit.is_some() {
        median = (count * median + PAIRS_OF_MEDIAN * USUAL_MEDIAN) / (count + PAIRS_OF_MEDIAN);
        variance = (count * variance + PAIRS_OF_BELOW * USUAL_BELOW.powi(2)) / (count + PAIRS_OF_BELOW);
    }
    let limit = limit.map_or(rule.outermost, |limit| limit.min(at_outermost));
    let each = below_deviations((limit - median) / variance.sqrt());
    let share = 1.0 - (1.0 - each).powi(matcher.templates() as i32);
    let most = (share * (1.0 + 3.0 / count.sqrt())).min(1.0);
    share.is_finite().then_some((share, most))
}

/// The share of a normal distribution below `x` deviations from its mean (Abramowitz and Stegun, 26.2.17).
fn below_deviations(x: f32) -> f32 {
    const FACTORS: [f32; 5] = [0.319_381_53, -0.356_563_78, 1.781_477_9, -1.821_255_9, 1.330_274_4];
    let t = 1.0 / (1.0 + 0.231_641_9 * x.abs());
    let sum = FACTORS.iter().rev().fold(0.0, |sum, factor| (sum + factor) * t);
    let tail = (-x * x / 2.0).exp() / (2.0 * std::f32::consts::PI).sqrt() * sum;
    if x > 0.0 { 1.0 - tail } else { tail }
}

/// The warning about a gallery that is denser than the cohort.
pub fn doubts(threshold: &Threshold) -> Option<String> {
    let (named, most) = (percent(threshold.strangers_named?), percent(threshold.strangers_named_at_most?));
    let budget = percent(threshold.false_name_budget);
    (threshold.denser_than_cohort == Some(true)).then(|| {
        format!(
            "the faces of these people are nearer to each other than in the groups that were measured (a family, or a group of \
             people that the measurement lacks): about {named} % of strangers like them, {most} % at most, may get a name, \
             not {budget} % (false_name_budget)"
        )
    })
}

fn why(matcher: &Matcher, distance: f32, named: f32, most: f32) -> String {
    let rule = matcher.rule();
    let budget = rule.budget;
    if !rule.is_measured {
        return "no rates are known of this recognizer: a face gets the name of the nearest picture within the threshold"
            .to_owned();
    }
    if budget <= 0.0 {
        return "false_name_budget is 0: a face gets the name of the nearest picture within the threshold".to_owned();
    }
    let people = match matcher.people() {
        1 => "1 person".to_owned(),
        more => format!("{more} people"),
    };
    let [named, most] = [named, most].map(percent);
    let promise = format!(
        "about {named} % of strangers, {most} % at most, may get a name, with {people} in the gallery and \
         false_name_budget = {budget}"
    );
    let few = if matcher.people() < TELLING {
        "; so few people do not tell whether they are of a group that was measured"
    } else {
        ""
    };
    let many = if matcher.people() > MEASURED_PEOPLE {
        format!("; galleries of more than {MEASURED_PEOPLE} people of one group were not measured")
    } else {
        String::new()
    };
    let unlike = if rule.is_as_measured {
        ""
    } else {
        "; these rates were measured with detector = hog, landmarks = 5 and num_jitters = 1"
    };
    let promise = format!("{promise}{few}{many}{unlike}");
    if distance < rule.outermost {
        format!("{promise}; each face has a threshold of its own, and this is the middle one")
    } else {
        format!("the outermost that is allowed; {promise}; it could be further")
    }
}

/// A share in percent, to tenths; a share of less than a percent to two digits.
fn percent(share: f32) -> String {
    let percent = share * 100.0;
    let decimals = (1.0 - percent.log10().floor()).clamp(1.0, 4.0) as usize;
    let text = format!("{percent:.decimals$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A warning for each pair of people who are nearer to each other than the threshold.
pub fn near_pairs(matcher: &Matcher) -> Vec<String> {
    let pairs = matcher.near_pairs(PAIRS).into_iter();
    let told = pairs.map(|(one, other)| {
        format!(
            "{one} and {} are {:.2} apart: they may be taken for each other. If they are one person, put the pictures into \
             one folder; else more pictures of both help",
            other.what, other.distance
        )
    });
    told.collect()
}

/// A warning for each picture of `.not` that is nearer to a person than the threshold. `matcher` does not contain
/// `.not`.
pub fn near_never(matcher: &Matcher, never: impl Iterator<Item = (Arc<str>, Descriptor)>) -> Vec<String> {
    let near = |(file, descriptor)| {
        // As in `near_pairs`: a look at the person is as far from that picture as the person's mean, or further because
        // of noise.
        let Match { best, limit, .. } = matcher.find(&descriptor, OF_ONE_PICTURE, 1.0)?;
        (best.distance <= limit).then_some((best, file))
    };
    let mut pairs: Vec<_> = never.take(COMPARED).filter_map(near).collect();
    pairs.sort_by(|a, b| a.0.distance.total_cmp(&b.0.distance));
    pairs.truncate(PAIRS);
    let told = pairs.into_iter().map(|(Near { what: name, distance }, file)| {
        format!(
            "{name} and {file} are {distance:.2} apart: a face that looks more like that picture stays unknown. Take it out if \
             it shows {name}; else more pictures of {name} help"
        )
    });
    told.collect()
}

/// The normal of a typical stranger: the median mean and the median deviation.
fn usual(normals: &[Normal]) -> Normal {
    let of = |part: fn(&Normal) -> f32| middle(normals.iter().map(part)).unwrap_or(f32::NAN);
    Normal { mean: of(|normal| normal.mean), deviation: of(|normal| normal.deviation) }
}

fn middle(values: impl Iterator<Item = f32>) -> Option<f32> {
    let mut values: Vec<f32> = values.collect();
    values.sort_by(f32::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Detector, Landmarks, Metric, Recognition};
    use crate::recognition::identify::cohort::Cohort;
    use crate::recognition::identify::rates::Rates;
    use std::sync::Arc;

    /// A gallery of members of the cohort, moved together so that their distances are divided by `nearer`.
    fn gallery(people: usize, budget: f32, nearer: f32, rates: Option<Arc<Rates>>) -> Threshold {
        let defaults = Config::defaults("/".as_ref()).recognition;
        of(&Recognition { false_name_budget: budget, ..defaults }, people, nearer, rates)
    }

    fn of(config: &Recognition, people: usize, nearer: f32, rates: Option<Arc<Rates>>) -> Threshold {
        let mut matcher = Matcher::new(config, rates);
        let members = Cohort::built_in();
        let members = members.members(Metric::Euclidean);
        for person in 0..people {
            let descriptor = std::array::from_fn(|at| {
                let center = members[0][at];
                center + (members[person * 97 % members.len()][at] - center) / nearer
            });
            matcher.add(&person.to_string(), [("".into(), descriptor)]);
        }
        threshold(&matcher)
    }

    #[test]
    fn for_people_like_the_measured_ones_the_budget_and_its_bound_are_stated() {
        let ten = gallery(10, 0.005, 1.0, Some(Arc::default()));
        assert_eq!((ten.strangers_named, ten.strangers_named_at_most), (Some(0.005), Some(0.015)));
        assert_eq!((ten.denser_than_cohort, doubts(&ten)), (Some(false), None));
        assert!(ten.known_named.is_some_and(|share| (0.8..0.95).contains(&share)), "{ten:?}");
        assert!(ten.why.starts_with("about 0.5 % of strangers, 1.5 % at most, may get a name"), "{}", ten.why);
        let two = gallery(2, 0.005, 1.0, Some(Arc::default()));
        assert!(two.denser_than_cohort.is_none() && two.why.contains("do not tell"), "{two:?}");
    }

    #[test]
    fn a_small_share_is_not_stated_as_none() {
        let few = gallery(10, 0.0001, 1.0, Some(Arc::default()));
        assert!(few.why.starts_with("about 0.01 % of strangers, 0.03 % at most, may get a name"), "{}", few.why);
        for (share, text) in [(0.000_001, "0.0001"), (0.0078, "0.78"), (0.015, "1.5"), (0.2096, "21"), (1.0, "100")] {
            assert_eq!(percent(share), text);
        }
        assert_eq!(percent(0.0), "0");
    }

    #[test]
    fn for_people_more_alike_than_any_group_a_higher_rate_is_stated() {
        let family = gallery(10, 0.005, 1.6, Some(Arc::default()));
        assert_eq!(family.denser_than_cohort, Some(true));
        assert!(family.strangers_named.is_some_and(|share| share > 0.03), "{family:?}");
        assert!(family.strangers_named < family.strangers_named_at_most);
        assert!(!family.why.contains("about 0.5 %"), "{}", family.why);
        assert!(doubts(&family).is_some_and(|doubt| doubt.contains("nearer to each other than in the groups")));
    }

    #[test]
    fn one_person_in_two_folders_does_not_make_a_gallery_dense() {
        let members = Cohort::built_in();
        let members = members.members(Metric::Euclidean);
        let mut matcher = Matcher::new(&Config::defaults("/".as_ref()).recognition, Some(Arc::default()));
        for person in 0..10 {
            matcher.add(&person.to_string(), [("".into(), members[person % 9 * 97])]);
        }
        let threshold = threshold(&matcher);
        assert_eq!((threshold.strangers_named, threshold.denser_than_cohort), (Some(0.005), Some(false)));
        assert_eq!(near_pairs(&matcher).len(), 1);
    }

    #[test]
    fn a_nearer_threshold_leaves_a_part_of_the_budget_unused() {
        let recognition = |threshold| Recognition { threshold, ..Config::defaults("/".as_ref()).recognition };
        let [usual, near] = [0.6, 0.25].map(|threshold| of(&recognition(threshold), 10, 1.0, Some(Arc::default())));
        assert_eq!((usual.strangers_named, usual.strangers_named_at_most), (Some(0.005), Some(0.015)));
        assert!(near.strangers_named.is_some_and(|share| share > 0.0 && share < 0.003), "{near:?}");
        assert_eq!(near.strangers_named_at_most, near.strangers_named.map(|share| AT_MOST * share));
        // People more alike than any group have a smaller share, too.
        let [usual, near] = [0.6, 0.15].map(|threshold| of(&recognition(threshold), 10, 1.6, Some(Arc::default())));
        assert!(near.strangers_named < usual.strangers_named, "{near:?}");
    }

    #[test]
    fn what_was_not_measured_is_said() {
        let large = gallery(31, 0.005, 1.0, Some(Arc::default()));
        assert!(large.why.contains("galleries of more than 30 people of one group were not measured"), "{}", large.why);
        let defaults = Config::defaults("/".as_ref()).recognition;
        assert!(!gallery(30, 0.005, 1.0, Some(Arc::default())).why.contains("measured"));
        for other in [
            Recognition { detector: Detector::Cnn, ..defaults.clone() },
            Recognition { landmarks: Landmarks::SixtyEight, ..defaults.clone() },
            Recognition { num_jitters: 2, ..defaults.clone() },
        ] {
            let why = of(&other, 10, 1.0, Some(Arc::default())).why;
            assert!(why.contains("were measured with detector = hog, landmarks = 5 and num_jitters = 1"), "{why}");
        }
    }

    #[test]
    fn the_normal_distribution_agrees_with_published_tables() {
        for (x, share) in [(-3.0, 0.001_349_9), (-1.0, 0.158_655_3), (0.0, 0.5), (1.96, 0.975_002_1)] {
            assert!((below_deviations(x) - share).abs() < 1e-6, "{x}: {}", below_deviations(x));
        }
    }

    #[test]
    fn with_ten_people_the_rule_of_the_seed_names_at_least_one_stranger_in_twenty() {
        let seed = gallery(10, 0.0, 1.0, Some(Arc::default()));
        assert_eq!((seed.distance, seed.false_name_budget), (0.6, 0.0));
        assert!(seed.strangers_named.is_some_and(|share| share > 0.03), "{seed:?}");
        // Without a budget, a family is no denser than the budget allows.
        let family = gallery(10, 0.0, 1.6, Some(Arc::default()));
        assert_eq!((seed.denser_than_cohort, family.denser_than_cohort, doubts(&family)), (None, None, None));
        let nobody = gallery(0, 0.005, 1.0, Some(Arc::default()));
        assert_eq!((nobody.strangers_named, nobody.known_named), (None, None));
    }

    #[test]
    fn a_model_without_rates_has_no_expected_rates() {
        let unmeasured = gallery(10, 0.005, 1.0, None);
        assert_eq!((unmeasured.distance, unmeasured.false_name_budget, &unmeasured.rates), (0.6, 0.0, &None));
        assert_eq!((unmeasured.strangers_named, unmeasured.known_named), (None, None));
        assert!(unmeasured.why.starts_with("no rates are known of this recognizer"), "{}", unmeasured.why);
        let own = Rates { name: "mine.dat.rates".into(), ..Rates::default() };
        assert_eq!(gallery(10, 0.005, 1.0, Some(Arc::new(own))).rates.as_deref(), Some("mine.dat.rates"));
    }
}
