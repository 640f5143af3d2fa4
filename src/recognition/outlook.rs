//! The threshold at work, why it is that, and what rates are to be expected of it: for `check`, the page and `/api/state`.

use super::hygiene::Usable;
use super::matcher::{Match, Matcher};
use super::rule::OF_A_PICTURE;
use crate::roster::Threshold;
use crate::sighting::Near;
use std::sync::Arc;

/// So many pairs of people who are hard to tell apart are named.
const PAIRS: usize = 20;
/// So many pictures in `.not` are compared with everybody: each costs what a look does.
const COMPARED: usize = 1000;
/// The variance share of a single picture.
const OF_ONE_PICTURE: f32 = 1.0;

/// What to expect of a gallery.
pub fn threshold(matcher: &Matcher) -> Threshold {
    let rule = matcher.rule();
    let variance_share = 1.0 + middle(matcher.variances());
    let distance = matcher.limit(variance_share, OF_A_PICTURE);
    let (metric, templates) = (rule.metric(), matcher.templates());
    let (rates, expected) = (rule.rates(), rule.is_measured() && templates > 0);
    Threshold {
        metric: metric.as_str(),
        distance,
        outermost: rule.outermost(),
        false_name_budget: rule.budget(),
        strangers_named: expected.then(|| rates.stranger_share(metric, distance, templates, variance_share)),
        known_named: expected.then(|| rates.named_share(metric, distance, variance_share)),
        rates: rule.is_measured().then(|| rates.name.clone()),
        why: why(matcher, distance),
    }
}

fn why(matcher: &Matcher, distance: f32) -> String {
    let rule = matcher.rule();
    let budget = rule.budget();
    if !rule.is_measured() {
        return "no rates are known of this recognizer: whoever has the nearest picture within the threshold is named"
            .to_owned();
    }
    if budget <= 0.0 {
        return "false_name_budget is 0: whoever has the nearest picture within the threshold is named".to_owned();
    }
    let people = match matcher.people() {
        1 => "1 person".to_owned(),
        more => format!("{more} people"),
    };
    let promise = format!("{} % of strangers may get a name (false_name_budget), with {people}", percent(budget));
    if distance < rule.outermost() {
        format!("at most {promise} in the gallery; more looks and more pictures of a person change it")
    } else {
        format!("the outermost that is allowed; {promise}, it could be further")
    }
}

fn percent(share: f32) -> String {
    let text = format!("{:.3}", share * 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A warning a pair of people who are nearer to each other than the threshold.
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

/// A warning a picture in `.not` that is nearer to a person than the threshold; of `matcher` without what is in `.not`.
pub fn near_never(matcher: &Matcher, never: &[Usable]) -> Vec<String> {
    let near = |picture: &Usable| {
        // As for two people: a look at her is as far from that picture as her mean, and by its own noise further.
        let found = matcher.find(&picture.face.descriptor, OF_ONE_PICTURE, 1.0)?;
        let Match { best, limit, .. } = found;
        (best.distance <= limit).then(|| (best, Arc::clone(&picture.file)))
    };
    let mut pairs: Vec<_> = never.iter().take(COMPARED).filter_map(near).collect();
    pairs.sort_by(|a, b| a.0.distance.total_cmp(&b.0.distance));
    pairs.truncate(PAIRS);
    let told = pairs.into_iter().map(|(Near { what: name, distance }, file)| {
        format!(
            "{name} and {file} are {distance:.2} apart: whoever looks more like that picture stays unknown. Take it out if \
             it shows {name}; else more pictures of {name} help"
        )
    });
    told.collect()
}

fn middle(values: impl Iterator<Item = f32>) -> f32 {
    let mut values: Vec<f32> = values.collect();
    values.sort_by(f32::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Recognition};
    use crate::recognition::DESCRIPTOR_LEN;
    use crate::recognition::rates::Rates;
    use std::sync::Arc;

    fn gallery(people: usize, budget: f32, rates: Option<Arc<Rates>>) -> Threshold {
        let defaults = Config::defaults("/".as_ref()).recognition;
        let mut matcher = Matcher::new(&Recognition { false_name_budget: budget, ..defaults }, rates);
        for person in 0..people {
            matcher.add(&person.to_string(), [("".into(), [person as f32; DESCRIPTOR_LEN])]);
        }
        threshold(&matcher)
    }

    #[test]
    fn the_promise_is_what_the_table_says_of_the_threshold() {
        let ten = gallery(10, 0.005, Some(Arc::default()));
        assert!(ten.strangers_named.is_some_and(|share| (0.003..=0.005).contains(&share)), "{ten:?}");
        assert!(ten.known_named.is_some_and(|share| (0.8..0.95).contains(&share)), "{ten:?}");
        assert!(ten.why.starts_with("at most 0.5 % of strangers may get a name"), "{}", ten.why);
    }

    #[test]
    fn the_seeds_rule_names_one_stranger_in_twenty_or_more_with_ten_people() {
        let seed = gallery(10, 0.0, Some(Arc::default()));
        assert_eq!((seed.distance, seed.false_name_budget), (0.6, 0.0));
        assert!(seed.strangers_named.is_some_and(|share| share > 0.04), "{seed:?}");
        let nobody = gallery(0, 0.005, Some(Arc::default()));
        assert_eq!((nobody.strangers_named, nobody.known_named), (None, None));
    }
    #[test]
    fn of_a_model_that_was_not_measured_nothing_is_promised() {
        let unmeasured = gallery(10, 0.005, None);
        assert_eq!((unmeasured.distance, unmeasured.false_name_budget, &unmeasured.rates), (0.6, 0.0, &None));
        assert_eq!((unmeasured.strangers_named, unmeasured.known_named), (None, None));
        assert!(unmeasured.why.starts_with("no rates are known of this recognizer"), "{}", unmeasured.why);
        let own = Rates { name: "mine.dat.rates".into(), ..Rates::default() };
        assert_eq!(gallery(10, 0.005, Some(Arc::new(own))).rates.as_deref(), Some("mine.dat.rates"));
    }
}
