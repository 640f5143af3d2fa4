//! The time of the exact scan: `cargo bench --bench matcher`. It shows why there is no index over descriptors.

use namecam::config::Config;
use namecam::recognition::matcher::Matcher;
use namecam::recognition::{DESCRIPTOR_LEN, Descriptor};
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

fn main() {
    let recognition = Config::defaults("/".as_ref()).recognition;
    println!("{:>9}  {:>12}  {:>14}", "pictures", "median", "per picture");
    for pictures in [1_000, 10_000, 100_000] {
        let mut source = descriptors();
        let mut matcher = Matcher::new(&recognition, Some(Arc::default()));
        for person in 0..pictures / 5 {
            matcher.add(&person.to_string(), source.by_ref().take(5).map(|d| ("".into(), d)));
        }
        let mut times: Vec<Duration> = source
            .take(101)
            .map(|probe| {
                let start = Instant::now();
                black_box(matcher.find(black_box(&probe), 1.0, 1.0));
                start.elapsed()
            })
            .collect();
        times.sort();
        let median = times[times.len() / 2];
        println!(
            "{pictures:>9}  {:>9.3} ms  {:>11.1} ns",
            median.as_secs_f64() * 1e3,
            median.as_nanos() as f64 / f64::from(pictures)
        );
    }
}
