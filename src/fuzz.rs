//! The table of the parsers of foreign bytes. `make fuzz` runs each parser on inputs from libFuzzer; the test here runs
//! it on the seeds in `fuzz/seeds` and on random changes of them. Each `fuzz` function stands beside its parser and
//! asserts what holds for any bytes.

use crate::{camera, config, events, http, image, recognition};
#[cfg(test)]
use std::time::{Duration, Instant};

/// A parser with the name of the folder of its seeds.
pub type Parser = (&'static str, fn(&[u8]));

/// All parsers of foreign bytes.
pub const PARSERS: &[Parser] = &[
    ("accounts", http::auth::accounts::fuzz),
    ("cache", recognition::gallery::cache::fuzz),
    ("change", config::change::fuzz),
    ("cohort", recognition::identify::cohort::fuzz),
    ("config", config::text::fuzz),
    ("jpeg", image::jpeg::fuzz),
    ("mqtt", events::mqtt::packet::fuzz),
    ("pixels", image::formats::fuzz),
    ("rates", recognition::identify::rates::file::fuzz),
    ("recording", camera::recording::fuzz),
    ("request", http::auth::access::fuzz),
    ("sessions", http::auth::sessions::fuzz),
    ("splitter", camera::splitter::fuzz),
    ("still", image::still::fuzz),
];

/// A generator of random numbers (xorshift, Marsaglia 2003), so that a failure can be repeated from its seed.
#[cfg(test)]
pub(crate) struct Random(pub u64);

#[cfg(test)]
impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub(crate) fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// One of `seeds` with up to five changes: bytes replaced, inserted or removed, pieces repeated or exchanged for
    /// pieces of another seed.
    pub(crate) fn changed(&mut self, seeds: &[&[u8]]) -> Vec<u8> {
        const MARKS: &[&[u8]] = &[
            b"%",
            b"%0",
            b"%00",
            b"=",
            b";",
            b"&",
            b"?",
            b"/",
            b"//",
            b":",
            b",",
            b"\"",
            b"\\",
            b"{",
            b"[",
            b"\r\n",
            b"\n",
            b"\t",
            b" ",
            b"\0",
            b"\xff",
            b"\xed\xa0\x80",
            b"18446744073709551616",
            b"-1",
            b"1e999",
            b"\\u0000",
            b"\\ud800",
        ];
        let mut bytes = self.one(seeds).to_vec();
        for _ in 0..self.below(6) {
            let (at, length) = (self.below(bytes.len() + 1), self.below(24));
            let end = (at + length).min(bytes.len());
            match self.below(6) {
                0 if at < bytes.len() => bytes[at] = self.next() as u8,
                1 => drop(bytes.splice(at..at, self.one(MARKS).iter().copied())),
                2 => drop(bytes.drain(at..end)),
                3 => {
                    let piece = bytes[at..end].repeat(1 + self.below(300));
                    bytes.splice(at..at, piece);
                }
                4 => {
                    let other = self.one(seeds);
                    let from = self.below(other.len());
                    bytes.splice(at..end, other[from..].iter().copied());
                }
                _ => drop(bytes.splice(at..end, self.one(MARKS).iter().copied())),
            }
        }
        bytes
    }
}

/// Returns a function that is true for as long as a stress test of threads runs: half a second, or `NAMECAM_FUZZ_S` seconds.
#[cfg(test)]
pub(crate) fn while_stressed() -> impl Fn() -> bool + Copy {
    let seconds = std::env::var("NAMECAM_FUZZ_S").ok().map_or(0.5, |seconds| seconds.parse().unwrap());
    let begun = Instant::now();
    move || begun.elapsed().as_secs_f64() < seconds
}

/// The result of `wait`, which gets a minute. Fails when the minute has passed: a thread that nobody woke finds its
/// value at the time-out, too.
#[cfg(test)]
pub(crate) fn woken<T>(wait: impl FnOnce(Duration) -> T) -> T {
    const LONG: Duration = Duration::from_secs(60);
    let begun = Instant::now();
    let found = wait(LONG);
    assert!(begun.elapsed() < LONG, "nobody woke this thread");
    found
}

/// Tests `property` with `cases` values of `strategy`, from a fixed seed, so that no test fails by chance. With
/// `NAMECAM_FUZZ_S`, tests it with further values for this number of seconds, and prints the seed of each run. A value that
/// fails is reduced to a simple one that fails too, and the panic shows it.
#[cfg(test)]
pub(crate) fn holds<S: proptest::strategy::Strategy>(cases: u32, strategy: S, property: impl Fn(S::Value)) {
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
    let run = |seed: u64, cases: u32| {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let config = Config { cases, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
        let result = runner.run(&strategy, |value| {
            property(value);
            Ok(())
        });
        result.unwrap_or_else(|failure| panic!("from seed {seed:#x}: {failure}"));
    };
    run(0, cases);
    let seconds = std::env::var("NAMECAM_FUZZ_S").ok().map_or(0.0, |seconds| seconds.parse().unwrap());
    let (mut seed, begun) = (u64::from(std::process::id()) << 32, Instant::now());
    while begun.elapsed() < Duration::from_secs_f64(seconds) {
        seed += 1;
        println!("from seed {seed:#x}");
        run(seed, cases);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The environment variable `NAMECAM_FUZZ_S` sets the seconds for each parser; half a second is the default.
    #[test]
    fn each_parser_takes_its_seeds_and_random_changes_of_them() {
        let seconds = std::env::var("NAMECAM_FUZZ_S").ok().map_or(0.5, |seconds| seconds.parse().unwrap());
        for (name, parse) in PARSERS {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
            let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
            let seeds: Vec<Vec<u8>> = files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
            assert!(!seeds.is_empty(), "{name} has no seeds");
            let seeds: Vec<&[u8]> = seeds.iter().map(|seed| &seed[..]).collect();
            for seed in &seeds {
                parse(seed);
                // Each prefix of the seed, up to 2000 bytes.
                (0..seed.len().min(2000)).for_each(|end| parse(&seed[..end]));
            }
            let seed = 0x6675_7a7a_0000_0000 | u64::from(std::process::id());
            let (mut random, begun, mut steps) = (Random(seed), Instant::now(), 0_u64);
            while begun.elapsed() < Duration::from_secs_f64(seconds) {
                parse(&random.changed(&seeds));
                steps += 1;
            }
            println!("{name}: {steps} changes of {} seeds, from {seed:#x}", seeds.len());
            assert!(steps > 0);
        }
    }
}
