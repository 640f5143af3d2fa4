mod properties;

use super::*;
use crate::config::{Config, Metric, Templates};
use crate::recognition::descriptor::{DESCRIPTOR_LEN, distance};
use crate::recognition::identify::cohort::tests::center;
use std::path::Path;

/// A descriptor near the middle of the cohort, where real descriptors are.
fn descriptor(x: f32, y: f32) -> Descriptor {
    let mut d = center();
    (d[0], d[127]) = (d[0] + x, d[127] + y);
    d
}

fn plain(x: f32, y: f32) -> Descriptor {
    let mut d = [0.0; DESCRIPTOR_LEN];
    (d[0], d[127]) = (x, y);
    d
}

fn config(metric: Metric, budget: f32) -> Recognition {
    Recognition { metric, false_name_budget: budget, ..Config::defaults(Path::new("/")).recognition }
}

fn gallery(config: &Recognition) -> Matcher {
    let mut matcher = Matcher::new(config, Some(Arc::default()));
    matcher.add("Alice", [("a1".into(), descriptor(1.0, 0.0)), ("a2".into(), descriptor(0.6, 0.0))]);
    matcher.add("Nobody", []);
    matcher.add("Bob", [("b1".into(), descriptor(0.0, 1.0))]);
    matcher
}

fn near(what: &str, distance: f32) -> Near {
    Near { what: what.into(), distance }
}

fn rounded(found: Near) -> Near {
    Near { distance: (found.distance * 1000.0).round() / 1000.0, ..found }
}

#[test]
fn with_a_budget_the_mean_decides_and_the_nearest_picture_explains() {
    let mut matcher = Matcher::new(&config(Metric::Euclidean, 0.005), Some(Arc::default()));
    matcher.add("Alice", [("a1".into(), descriptor(0.3, 0.0)), ("a2".into(), descriptor(0.1, 0.0))]);
    matcher.add("Bob", [("b1".into(), descriptor(0.0, 0.4))]);
    let found = matcher.find(&descriptor(0.3, 0.0), 1.0, 1.0).unwrap();
    assert_eq!(rounded(found.best), near("Alice", 0.1));
    assert_eq!(found.pictures.iter().map(|p| &*p.what).collect::<Vec<_>>(), ["a1", "a2", "b1"]);
    assert_eq!(found.pictures[0].distance, 0.0);
    assert!(found.limit < 0.6 && found.decision == Decision::Named, "{}", found.limit);
    let (score, limit) = found.score.unwrap();
    assert!(score < limit, "{score} {limit}");
}

#[test]
fn without_a_budget_the_nearest_picture_decides_within_the_threshold_as_in_the_seed() {
    for templates in [Templates::Means, Templates::Exemplars] {
        let matcher = gallery(&Recognition { templates, ..config(Metric::Euclidean, 0.0) });
        let found = matcher.find(&descriptor(0.0, 0.0), 1.0, 1.0).unwrap();
        assert_eq!((rounded(found.best), found.limit), (near("Alice", 0.6), 0.6));
        assert_eq!(found.decision, Decision::Named);
        assert_eq!(matcher.find(&descriptor(-0.01, 0.0), 1.0, 1.0).unwrap().decision, Decision::TooFar);
    }
}

#[test]
fn the_runner_up_is_another_person_not_another_picture() {
    let found = gallery(&config(Metric::Euclidean, 0.0)).find(&descriptor(0.8, 0.0), 1.0, 1.0).unwrap();
    assert_eq!(found.name().map(|name| &**name), Some("Alice"));
    assert_eq!(rounded(found.runner_up.unwrap()), near("Bob", 1.281));
}

#[test]
fn a_face_between_two_people_gets_neither_name() {
    let mut matcher = Matcher::new(&config(Metric::Euclidean, 0.005), Some(Arc::default()));
    matcher.add("Minho", [("m".into(), descriptor(0.0, 0.0))]);
    matcher.add("Jiho", [("j".into(), descriptor(0.3, 0.0))]);
    let mut told: Vec<String> = (50..250)
        .map(|step| matcher.find(&descriptor(step as f32 / 1000.0, 0.0), 1.0, 1.0).unwrap())
        .map(|found| found.name().map_or_else(|| format!("{:?}", found.decision), |name| name.to_string()))
        .collect();
    told.dedup();
    assert_eq!(told, ["Minho", "Between", "Jiho"]);
    let pairs = matcher.near_pairs(10);
    assert_eq!((pairs.len(), &*pairs[0].0), (1, "Minho"));
    assert_eq!(rounded(pairs[0].1.clone()), near("Jiho", 0.3));
}

#[test]
fn two_people_with_several_templates_are_one_pair() {
    let exemplars = Recognition { templates: Templates::Exemplars, ..config(Metric::Euclidean, 0.005) };
    let mut matcher = Matcher::new(&exemplars, Some(Arc::default()));
    let pictures = |y: f32| (0..5).map(move |at| ("".into(), descriptor(at as f32 * 0.01, y)));
    matcher.add("Alice", pictures(0.0));
    matcher.add("Alice again", pictures(0.02));
    matcher.add("Minho", [("m".into(), descriptor(0.3, 0.0))]);
    let pairs = matcher.near_pairs(2);
    let names: Vec<_> = pairs.iter().map(|(one, other)| (&**one, &*other.what)).collect();
    assert_eq!((names[0], names.len(), names[1].1), (("Alice", "Alice again"), 2, "Minho"));
    assert_eq!(rounded(pairs[0].1.clone()).distance, 0.02);
}

#[test]
fn a_face_nearest_to_the_blocklist_gets_no_name_and_other_faces_are_not_affected() {
    let mut matcher = gallery(&config(Metric::Euclidean, 0.005));
    let (people, pictures) = (matcher.people(), matcher.pictures());
    matcher.add_not([(".not/poster.jpg".into(), descriptor(0.9, 0.0))]);
    let found = matcher.find(&descriptor(0.92, 0.0), 1.0, 1.0).unwrap();
    assert_eq!((found.decision, &*found.best.what), (Decision::Barred, ".not/poster.jpg"));
    assert_eq!((found.name(), &*found.runner_up.clone().unwrap().what), (None, "Alice"));
    assert_eq!(matcher.find(&descriptor(0.7, 0.0), 1.0, 1.0).unwrap().name().map(|n| &**n), Some("Alice"));
    assert_eq!((matcher.people(), matcher.pictures()), (people, pictures));
}

#[test]
fn best_and_runner_up_do_not_depend_on_the_order_of_people_and_blocklist() {
    // The distances from the probe. Carol and `.not` have two pictures each.
    let all: [(&str, &[f32]); 4] = [("Alice", &[0.2]), ("Bob", &[0.4]), ("Carol", &[0.5, 0.1]), (".not", &[0.3, 0.35])];
    let found = |order: &[usize], leave_out: Option<usize>| {
        let exemplars = Recognition { templates: Templates::Exemplars, ..config(Metric::Euclidean, 0.005) };
        let mut matcher = Matcher::new(&exemplars, Some(Arc::default()));
        for &at in order.iter().filter(|at| Some(**at) != leave_out) {
            let (name, places) = all[at];
            let pictures = places.iter().map(|&x| (format!("{name}/{x}").into(), descriptor(x, 0.0)));
            if name == ".not" { matcher.add_not(pictures) } else { matcher.add(name, pictures) }
        }
        let found = matcher.find(&descriptor(0.0, 0.0), 1.0, 1.0).unwrap();
        (rounded(found.best), found.runner_up.map(rounded), found.decision == Decision::Barred)
    };
    let mut orders = 0;
    for number in 0..256 {
        let order: Vec<usize> = (0..4).map(|place| number >> (2 * place) & 3).collect();
        if (0..4).any(|at| !order.contains(&at)) {
            continue;
        }
        orders += 1;
        let everybody = found(&order, None);
        assert_eq!(everybody, (near("Carol", 0.1), Some(near("Alice", 0.2)), false), "{order:?}");
        let (best, runner_up, barred) = found(&order, Some(2));
        assert_eq!((best, runner_up, barred), (near("Alice", 0.2), Some(near("Bob", 0.4)), false), "{order:?}");
        let only_far = order.iter().copied().filter(|&at| at != 0).collect::<Vec<_>>();
        let (best, runner_up, barred) = found(&only_far, Some(2));
        assert_eq!((best, runner_up, barred), (near(".not/0.3", 0.3), Some(near("Bob", 0.4)), true), "{order:?}");
    }
    assert_eq!(orders, 24);
}

#[test]
fn a_person_as_near_as_the_blocklist_may_be_named_in_any_order() {
    for barred_first in [true, false] {
        let mut matcher = Matcher::new(&config(Metric::Euclidean, 0.005), Some(Arc::default()));
        let poster = || [(".not/poster.jpg".into(), descriptor(0.1, 0.0))];
        if barred_first {
            matcher.add_not(poster());
        }
        matcher.add("Alice", [("a".into(), descriptor(0.1, 0.0))]);
        if !barred_first {
            matcher.add_not(poster());
        }
        let found = matcher.find(&descriptor(0.0, 0.0), 1.0, 1.0).unwrap();
        assert_eq!((found.name().map(|name| &**name), found.runner_up.as_ref()), (Some("Alice"), None));
    }
}

#[test]
fn more_people_draw_the_threshold_nearer_and_more_pictures_do_too() {
    let limit = |people: usize, pictures: usize, metric| {
        let mut matcher = Matcher::new(&config(metric, 0.005), Some(Arc::default()));
        for person in 0..people {
            // Far enough apart to be independent, near enough to be one person.
            let own = (0..pictures).map(|at| ("".into(), descriptor(at as f32 * 0.35, person as f32 * 1e-5)));
            matcher.add(&person.to_string(), own.collect::<Vec<_>>());
        }
        let found = matcher.find(&descriptor(0.1, 0.1), 1.0, 1.0).unwrap();
        (found.limit, found.score.unwrap().1)
    };
    for metric in [Metric::Euclidean, Metric::Cosine] {
        let (many, ten) = (limit(100, 1, metric), limit(10, 1, metric));
        assert!(many.0 < ten.0 && many.1 < ten.1, "{many:?} {ten:?}");
        assert!(ten.0 < if metric == Metric::Euclidean { 0.6 } else { 0.07 });
        // A mean of more pictures is nearer to everybody, which its normal says already; less noise, a lower limit too.
        assert!(limit(10, 2, metric).1 < ten.1);
    }
}

#[test]
fn the_cosine_distance_is_one_less_the_cosine_whatever_the_lengths() {
    let mut matcher = Matcher::new(&config(Metric::Cosine, 0.0), Some(Arc::default()));
    matcher.add("Alice", [("a1".into(), plain(1.0, 0.0))]);
    let found = matcher.find(&plain(3.0, 3.0), 1.0, 1.0).unwrap();
    assert!((found.best.distance - (1.0 - 0.5f32.sqrt())).abs() < 1e-6);
    let direct = distance(Metric::Cosine, &plain(3.0, 3.0), &plain(0.0, 0.2));
    assert!((direct - (1.0 - 0.5f32.sqrt())).abs() < 1e-6);
}

#[test]
fn the_limit_of_a_pair_is_the_distance_that_has_the_score_limit_in_both_metrics() {
    for metric in [Metric::Euclidean, Metric::Cosine] {
        let wide = Recognition { threshold: 2.0, cosine_threshold: 2.0, ..config(metric, 0.005) };
        let mut matcher = Matcher::new(&wide, Some(Arc::default()));
        matcher.add("Alice", [("a".into(), descriptor(0.0, 0.1))]);
        let beyond: Vec<bool> = (1..80)
            .map(|step| matcher.find(&descriptor(step as f32 / 100.0, 0.0), 1.0, 1.0).unwrap())
            .map(|found| {
                let (score, limit) = found.score.unwrap();
                assert_eq!(score > limit, found.best.distance > found.limit, "{found:?}");
                score > limit
            })
            .collect();
        assert!(!beyond[0] && beyond[78], "{metric:?}");
    }
}

#[test]
fn an_empty_gallery_and_a_probe_of_nan_match_nobody() {
    let config = config(Metric::Euclidean, 0.005);
    assert_eq!(Matcher::new(&config, Some(Arc::default())).find(&descriptor(0.0, 0.0), 1.0, 1.0), None);
    assert_eq!(gallery(&config).find(&[f32::NAN; DESCRIPTOR_LEN], 1.0, 1.0), None);
    assert_eq!(gallery(&config).people(), 2);
}
