//! What holds for any gallery and any probe.

use super::*;
use crate::fuzz::{Random, holds};
use proptest::prelude::*;

/// How far two sums of the same numbers in another order may be apart.
const ROUNDING: f32 = 1e-4;

/// A gallery: the picture numbers of each person and of `.not`, and a probe. A picture is a descriptor that follows from its number.
#[derive(Debug, Clone)]
struct Made {
    metric: Metric,
    budget: bool,
    people: Vec<Vec<u16>>,
    barred: Vec<u16>,
    probe: u16,
}

/// So many people look alike that there are names, doubts between two, and strangers: pictures of one group of sixteen are up to 0.6 apart.
fn picture(number: u16) -> Descriptor {
    let mut d = center();
    let mut add = |seed: u64, size: f32| {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        (0..8).for_each(|_| _ = random.next());
        d.iter_mut().for_each(|v| *v += (random.next() as u16 as f32 / 65_536.0 - 0.5) * size);
    };
    add(u64::from(number / 16) + 1, 0.18);
    add(u64::from(number) + 100_000, 0.09);
    d
}

fn name(person: usize) -> String {
    format!("person {person}")
}

fn file(number: u16) -> Arc<str> {
    format!("{number}.jpg").into()
}

fn pictures(numbers: &[u16]) -> Vec<(Arc<str>, Descriptor)> {
    numbers.iter().map(|&number| (file(number), picture(number))).collect()
}

impl Made {
    fn config(&self) -> Recognition {
        config(self.metric, if self.budget { 0.005 } else { 0.0 })
    }

    /// The gallery, with everything added in the order of `keys`; each picture a template where `exemplars`.
    fn matcher(&self, templates: Templates, keys: &[u16]) -> Matcher {
        let mut matcher = Matcher::new(&Recognition { templates, ..self.config() }, Some(Arc::default()));
        let mut order: Vec<usize> = (0..=self.people.len()).collect();
        order.sort_by_key(|&at| keys.get(at).copied());
        for at in order {
            let numbers = self.people.get(at).unwrap_or(&self.barred);
            let mut numbers = numbers.clone();
            if let Some(key) = keys.get(at) {
                let turn = usize::from(*key) % numbers.len().max(1);
                numbers.rotate_left(turn);
            }
            match self.people.get(at) {
                Some(_) => matcher.add(&name(at), pictures(&numbers)),
                None => matcher.add_not(pictures(&numbers)),
            }
        }
        matcher
    }
}

/// No picture is in two places, and no two pictures are equal: of those that are equally near either may count.
fn galleries() -> impl Strategy<Value = Made> {
    let numbers = prop::collection::btree_set(0..200_u16, 2..24).prop_map(Vec::from_iter).prop_shuffle();
    let metric = prop::sample::select(vec![Metric::Euclidean, Metric::Cosine]);
    (numbers, prop::collection::vec(1..5_usize, 1..6), 0..4_usize, metric, any::<bool>()).prop_map(
        |(mut numbers, sizes, barred, metric, budget)| {
            let probe = numbers.pop().unwrap();
            let mut take = |count: usize| numbers.split_off(numbers.len().saturating_sub(count));
            let people = sizes.into_iter().map(&mut take).filter(|own| !own.is_empty()).collect();
            Made { metric, budget, people, barred: take(barred), probe }
        },
    )
}

fn plain_distance(metric: Metric, a: &Descriptor, b: &Descriptor) -> f64 {
    let pairs = || a.iter().zip(b).map(|(a, b)| (f64::from(*a), f64::from(*b)));
    let dot = |of: &Descriptor| of.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
    match metric {
        Metric::Euclidean => pairs().map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt(),
        Metric::Cosine => 1.0 - pairs().map(|(a, b)| a * b).sum::<f64>() / (dot(a) * dot(b)),
    }
}

/// Mean and deviation of the sixty nearest members of the cohort.
fn plain_normal(metric: Metric, of: &Descriptor) -> (f64, f64) {
    let cohort = crate::recognition::identify::cohort::Cohort::built_in();
    let mut distances: Vec<f64> =
        cohort.members(Metric::Euclidean).iter().map(|member| plain_distance(metric, of, member)).collect();
    distances.sort_by(f64::total_cmp);
    distances.truncate(60);
    let mean = distances.iter().sum::<f64>() / 60.0;
    let variance = distances.iter().map(|d| (d - mean) * (d - mean)).sum::<f64>() / 60.0;
    (mean, variance.sqrt().max(0.01 * mean))
}

#[test]
fn the_nearest_people_and_pictures_are_those_of_a_plain_loop() {
    let decisions = std::cell::RefCell::new(std::collections::BTreeSet::new());
    holds(150, galleries(), |made| {
        let matcher = made.matcher(Templates::Exemplars, &[]);
        let probe = picture(made.probe);
        let found = matcher.find(&probe, 1.0, 1.0);
        let normal = plain_normal(made.metric, &probe);
        // Rank, distance, whose, file.
        let compared = |whose: Option<usize>, number: u16| {
            let distance = plain_distance(made.metric, &probe, &picture(number));
            let own = plain_normal(made.metric, &picture(number));
            let score = 0.5 * ((distance - normal.0) / normal.1 + (distance - own.0) / own.1);
            (if made.budget { score } else { distance }, distance, whose, number)
        };
        let people = made.people.iter().enumerate();
        let mut all: Vec<_> = people.flat_map(|(at, own)| own.iter().map(move |&number| (Some(at), number))).collect();
        all.extend(made.barred.iter().map(|&number| (None, number)));
        let mut all: Vec<_> = all.into_iter().map(|(whose, number)| compared(whose, number)).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        let Some(&(rank, distance, best, _)) = all.first() else {
            assert_eq!(found, None);
            return;
        };
        let found = found.unwrap();
        decisions.borrow_mut().insert(format!("{:?}", found.decision));
        let near = |a: f32, b: f64| (f64::from(a) - b).abs() < 1e-3;
        let next = all.iter().find(|of| of.2.is_some() && of.2 != best);
        // Where two are as near as rounding, either is right.
        let is_clear = all.iter().find(|of| of.2 != best).is_none_or(|of| of.0 - rank > 1e-3);
        assert!(near(found.best.distance, distance), "{found:?} for {distance}");
        if is_clear {
            assert_eq!(found.decision == Decision::Barred, best.is_none());
            if let Some(best) = best {
                assert_eq!(*found.best.what, *name(best));
            }
        }
        assert_eq!(found.runner_up.is_some(), next.is_some());
        if let (Some(runner_up), Some(next), Some(margin)) = (&found.runner_up, next, found.margin) {
            assert!(near(runner_up.distance, next.1) && near(margin, next.0 - rank), "{found:?} for {next:?}");
        }
        all.sort_by(|a, b| a.1.total_cmp(&b.1));
        assert_eq!(found.pictures.len(), all.len().min(3));
        for (got, expected) in found.pictures.iter().zip(&all) {
            assert!(near(got.distance, expected.1), "{:?} for {all:?}", found.pictures);
        }
    });
    assert_eq!(decisions.into_inner().len(), 4, "each decision comes up");
}

#[test]
fn the_order_of_people_and_of_their_pictures_does_not_matter() {
    let keys = prop::collection::vec(any::<u16>(), 8);
    holds(200, (galleries(), keys), |(made, keys)| {
        let found = |keys: &[u16]| made.matcher(Templates::Means, keys).find(&picture(made.probe), 1.0, 1.0);
        let (one, other) = (found(&[]), found(&keys));
        assert_eq!(one.is_some(), other.is_some());
        let (Some(one), Some(other)) = (one, other) else { return };
        let alike = |a: f32, b: f32| (a - b).abs() < ROUNDING;
        assert_eq!((&one.best.what, one.decision), (&other.best.what, other.decision));
        assert!(alike(one.best.distance, other.best.distance) && alike(one.limit, other.limit), "{one:?} {other:?}");
        assert_eq!(one.runner_up.map(|near| near.what), other.runner_up.map(|near| near.what));
        assert_eq!(one.pictures, other.pictures);
    });
}

#[test]
fn pictures_of_somebody_else_bring_no_name_nearer() {
    let named = std::cell::Cell::new(0);
    let new = prop::collection::vec(200..400_u16, 1..5);
    holds(200, (galleries(), new, any::<bool>()), |(made, new, barred)| {
        let before = made.matcher(Templates::Means, &[]);
        let mut after = before.clone();
        if barred {
            after.add_not(pictures(&new))
        } else {
            after.add("somebody else", pictures(&new))
        }
        let probe = picture(made.probe);
        for person in 0..made.people.len() {
            let of = |matcher: &Matcher| matcher.of_person(&name(person), &probe, 1.0, 1.0).unwrap();
            let (before, after) = (of(&before), of(&after));
            assert_eq!((before.distance, before.rank), (after.distance, after.rank));
            assert!(after.limit <= before.limit, "{before:?} {after:?}");
        }
        let given = |matcher: &Matcher| matcher.find(&probe, 1.0, 1.0).as_ref().and_then(Match::name).cloned();
        let (before, after) = (given(&before), given(&after));
        assert!(
            after.is_none() || after == before || after.as_deref() == Some("somebody else"),
            "{before:?} {after:?}"
        );
        named.set(named.get() + u32::from(before.is_some()));
    });
    assert!(named.get() > 20, "only {} had a name", named.get());
}

#[test]
fn a_copy_of_a_picture_is_at_distance_0_and_alone_gives_the_name_of_its_person() {
    holds(200, (galleries(), any::<prop::sample::Index>()), |(made, which)| {
        let all: Vec<(usize, u16)> =
            made.people.iter().enumerate().flat_map(|(at, own)| own.iter().map(move |&number| (at, number))).collect();
        if all.is_empty() {
            return;
        }
        let (person, number) = *which.get(&all);
        let compared = made.matcher(Templates::Exemplars, &[]).of_person(&name(person), &picture(number), 1.0, 1.0);
        let found = made.matcher(Templates::Exemplars, &[]).find(&picture(number), 1.0, 1.0).unwrap();
        assert_eq!((&*found.pictures[0].what, found.pictures[0].distance), (&*file(number), 0.0));
        let mut alone = Matcher::new(&made.config(), Some(Arc::default()));
        alone.add(&name(person), pictures(&[number]));
        let found = alone.find(&picture(number), 1.0, 1.0).unwrap();
        assert_eq!((found.best.distance, found.name().map(|name| &**name)), (0.0, Some(&*name(person))));
        if !made.budget {
            assert_eq!(compared.unwrap().distance, 0.0);
        }
    });
}

#[test]
fn strangers_are_near_somebody_as_if_each_were_asked_alone() {
    let strangers = prop::collection::btree_set(0..200_u16, 1..8).prop_map(Vec::from_iter);
    let near = std::cell::Cell::new([0; 2]);
    holds(40, (galleries(), strangers), |(made, strangers)| {
        let mut matcher = made.matcher(Templates::Means, &[]);
        let strangers: Vec<Descriptor> = strangers.into_iter().map(picture).collect();
        let together = matcher.are_near_anybody(&strangers, 1.0);
        for (at, stranger) in strangers.iter().enumerate() {
            matcher.set_strangers(strangers.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, of)| of));
            let alone = matcher.is_near_anybody(stranger, 1.0, 1.0);
            assert_eq!(together[at], alone, "{at}");
            let [no, yes] = near.get();
            near.set([no + u32::from(!alone), yes + u32::from(alone)]);
        }
    });
    assert!(near.get().into_iter().all(|count| count > 10), "{near:?}");
}
