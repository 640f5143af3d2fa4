//! Measures the time of the exact scan and of the scores: `cargo bench --bench matcher`. The exact scan is so fast that
//! the matcher needs no index over descriptors.

use namecam::config::{Config, Recognition};
use namecam::recognition::descriptor::{DESCRIPTOR_LEN, Descriptor};
use namecam::recognition::identify::matcher::Matcher;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Random descriptors from a xorshift generator.
fn descriptors() -> impl Iterator<Item = Descriptor> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(move || {
        [(); DESCRIPTOR_LEN].map(|()| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 24) as f32 - 0.5
        })
    })
}

/// The median time of 101 calls.
fn median(mut of: impl FnMut(&Descriptor)) -> Duration {
    let mut times: Vec<Duration> = descriptors()
        .take(101)
        .map(|probe| {
            let start = Instant::now();
            of(black_box(&probe));
            start.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

fn gallery(recognition: &Recognition, people: u32, pictures: usize) -> Matcher {
    let mut source = descriptors();
    let mut matcher = Matcher::new(recognition, Some(Arc::default()));
    for person in 0..people {
        matcher.add(&person.to_string(), source.by_ref().take(pictures).map(|d| ("".into(), d)));
    }
    matcher
}

fn main() {
    let recognition = Config::defaults("/".as_ref()).recognition;
    let by_distance = Recognition { false_name_budget: 0.0, ..recognition.clone() };
    println!("{:>9}  {:>12}  {:>14}", "pictures", "median", "per picture");
    for pictures in [1_000, 10_000, 100_000] {
        let matcher = gallery(&recognition, pictures / 5, 5);
        let median = median(|probe| drop(black_box(matcher.find(probe, 1.0, 1.0))));
        println!(
            "{pictures:>9}  {:>9.3} ms  {:>11.1} ns",
            median.as_secs_f64() * 1e3,
            median.as_nanos() as f64 / f64::from(pictures)
        );
    }
    println!("\na look at a gallery of 10 people");
    let mut scored = gallery(&recognition, 10, 1);
    let distances = gallery(&by_distance, 10, 1);
    let by_distances = median(|probe| drop(black_box(distances.find(probe, 1.0, 1.0))));
    let by_scores = median(|probe| drop(black_box(scored.find(probe, 1.0, 1.0))));
    let strangers: Vec<Descriptor> = descriptors().skip(1000).take(300).collect();
    let start = Instant::now();
    scored.set_strangers(&strangers);
    let anew = start.elapsed();
    let with_strangers = median(|probe| drop(black_box(scored.find(probe, 1.0, 1.0))));
    for (name, time) in [
        ("by distances", by_distances),
        ("by scores", by_scores),
        ("by scores, with 300 strangers remembered", with_strangers),
        ("those strangers taken into account, once", anew),
    ] {
        println!("{name:<42} {:>9.3} ms", time.as_secs_f64() * 1e3);
    }
    let start = Instant::now();
    black_box(gallery(&recognition, 1000, 1));
    println!("{:<42} {:>9.3} ms", "a gallery of 1000 people made", start.elapsed().as_secs_f64() * 1e3);
}
