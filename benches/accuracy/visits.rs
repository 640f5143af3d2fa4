//! Simulates visits of known people and of strangers to a camera with a gallery, and counts the names that the
//! program's own matcher and tracks give.

use crate::people::{Draw, Person};
use namecam::config::Recognition;
use namecam::image::{Rect, Rgb};
use namecam::recognition::descriptor::Descriptor;
use namecam::recognition::engine::Engine;
use namecam::recognition::identify::matcher::Matcher;
use namecam::recognition::identify::rates::Rates;
use namecam::recognition::identify::rule::OF_A_PICTURE;
use namecam::recognition::tracks::{Scene, Tracks};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The parameters of a simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// People in the gallery.
    pub people: usize,
    /// Pictures per person in the gallery.
    pub pictures: usize,
    /// Looks per visit; 0 for a single picture, which is judged as by `identify`.
    pub looks: usize,
}

/// Hits and tries of each person.
#[derive(Debug, Default, Clone)]
pub struct Rate(BTreeMap<usize, (u32, u32)>);

impl Rate {
    /// Counts a try of a person.
    pub fn count(&mut self, person: usize, hit: bool) {
        let entry = self.0.entry(person).or_default();
        entry.0 += u32::from(hit);
        entry.1 += 1;
    }

    /// Adds the counts of other people.
    pub fn add(&mut self, other: &Rate) {
        self.0.extend(&other.0);
    }

    /// Hits and tries.
    pub fn counts(&self) -> (u32, u32) {
        self.0.values().fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1))
    }

    /// The number of people.
    pub fn people(&self) -> usize {
        self.0.len()
    }

    /// Hits per try.
    pub fn share(&self) -> f64 {
        let (hits, tries) = self.counts();
        f64::from(hits) / f64::from(tries.max(1))
    }

    /// The 95 % interval of the share, from 1000 bootstrap samples of the people. When nobody has a hit, or nobody a
    /// miss, all samples are equal. Then the other end is the share at which so many people have none with 2.5 %.
    pub fn interval(&self) -> (f64, f64) {
        let (hits, tries) = self.counts();
        let other_end = 1.0 - 0.025_f64.powf(1.0 / self.people().max(1) as f64);
        if hits == 0 {
            return (0.0, other_end);
        }
        if hits == tries {
            return (1.0 - other_end, 1.0);
        }
        let people: Vec<&(u32, u32)> = self.0.values().collect();
        let mut draw = Draw(12345);
        let mut shares: Vec<f64> = (0..1000)
            .map(|_| {
                let drawn = (0..people.len()).map(|_| people[draw.below(people.len())]);
                let (hits, tries) = drawn.fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
                f64::from(hits) / f64::from(tries.max(1))
            })
            .collect();
        shares.sort_by(f64::total_cmp);
        (shares[25], shares[974])
    }
}

/// The results of a setting.
#[derive(Debug, Default, Clone)]
pub struct Outcome {
    /// Known people who had the right name at the end of the visit.
    pub right: Rate,
    /// Known people who had the name of another person at any time.
    pub wrong: Rate,
    /// Strangers who had a name at any time.
    pub strangers: Rate,
}

/// Draws galleries and visits until there are `visits` visits of known people. `None` if there are too few people.
pub fn measure(
    people: &[Person],
    rates: &Arc<Rates>,
    setting: Setting,
    config: &Recognition,
    visits: usize,
) -> Option<Outcome> {
    let looks = setting.looks.max(1);
    let with = |count: usize| -> Vec<usize> {
        (0..people.len()).filter(|&person| people[person].pictures.len() >= count).collect()
    };
    let (residents, everybody) = (with(setting.pictures + looks), with(looks));
    if residents.len() < setting.people || everybody.len() <= setting.people {
        return None;
    }
    let (mut outcome, mut draw, mut done) = (Outcome::default(), Draw(77), 0);
    while done < visits {
        let chosen: Vec<usize> = draw.some(setting.people, residents.len()).iter().map(|&at| residents[at]).collect();
        let mut matcher = Matcher::new(config, Some(Arc::clone(rates)));
        let mut probes = Vec::new();
        for &person in &chosen {
            let Person { name, pictures } = &people[person];
            let order = draw.some(setting.pictures + looks, pictures.len());
            let enrolled = order[..setting.pictures].iter().map(|&at| &pictures[at]);
            matcher.add(name, enrolled.map(|(file, descriptor)| (file.as_str().into(), *descriptor)));
            probes.push(order[setting.pictures..].iter().map(|&at| pictures[at].1).collect::<Vec<Descriptor>>());
        }
        for (&person, probe) in chosen.iter().zip(&probes) {
            let names = visit(&matcher, config, setting, probe);
            let own = Some(people[person].name.clone());
            outcome.right.count(person, names.last() == Some(&own));
            outcome.wrong.count(person, names.iter().any(|name| name.is_some() && *name != own));
            done += 1;
        }
        for _ in 0..setting.people * 4 {
            let person = everybody[draw.below(everybody.len())];
            if chosen.contains(&person) {
                continue;
            }
            let pictures = &people[person].pictures;
            let probe: Vec<Descriptor> = draw.some(looks, pictures.len()).iter().map(|&at| pictures[at].1).collect();
            let named = visit(&matcher, config, setting, &probe).iter().any(Option::is_some);
            outcome.strangers.count(person, named);
        }
    }
    Some(outcome)
}

/// The names of a face after each look.
fn visit(matcher: &Matcher, config: &Recognition, setting: Setting, probe: &[Descriptor]) -> Vec<Option<String>> {
    if setting.looks == 0 {
        let found = matcher.find(&probe[0], 1.0, OF_A_PICTURE);
        return vec![found.and_then(|found| found.name().map(|name| name.to_string()))];
    }
    let configured_interval = Duration::from_millis(u64::from(config.interval_ms));
    let (mut engine, mut tracks) = (Replay(Vec::new()), Tracks::default());
    tracks.interval = configured_interval;
    // The picture lets the tracks see that the face does not move, so a small one suffices. Each look has the
    // descriptor of another photograph.
    let mut rgb = Rgb::filled(40, 40, [90; 3]);
    rgb.data[1600..3200].fill(200);
    let face = Rect { x: 10, y: 10, w: 20, h: 20 };
    let start = Instant::now();
    let names = probe.iter().enumerate().map(|(look, descriptor)| {
        engine.0 = vec![*descriptor];
        // Enough time between looks for each look to be compared with the gallery.
        let at = start + Duration::from_millis(1001) * look as u32;
        let scene = Scene { matcher: Some(matcher), judges_all: false, jitters: 1, configured_interval, at };
        let faces = tracks.look(&mut engine, &rgb, &[face], &scene);
        faces.first().and_then(|face| face.name.as_ref()).map(|name| name.to_string())
    });
    names.collect()
}

/// An engine that returns given descriptors.
struct Replay(Vec<Descriptor>);

impl Engine for Replay {
    fn detect(&mut self, _: &Rgb, _: f64) -> Vec<Rect> {
        Vec::new()
    }

    fn describe(&mut self, _: &Rgb, faces: &[Rect], _: u32) -> Vec<Descriptor> {
        self.0.iter().take(faces.len()).copied().collect()
    }
}
