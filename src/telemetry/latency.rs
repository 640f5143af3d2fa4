//! [`Ages`]: the age of pictures at each stage, in lock-free histograms.

use crate::frame::{Frame, Jpeg};
use crate::sync::lock;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The buckets per doubling: a figure is at most a sixteenth too high.
const STEPS: usize = 16;
/// Times of 2^24 microseconds (17 s) or longer are counted in one bucket.
const DOUBLINGS: usize = 24;
/// One bucket per microsecond up to [`STEPS`], then [`STEPS`] per doubling, then one for the rest.
const BUCKETS: usize = STEPS + (DOUBLINGS - 4) * STEPS + 1;
const _: () = assert!(STEPS == 1 << 4);
/// Percentiles cover the last one to two of these periods.
const TURN: Duration = Duration::from_secs(30);

/// The latency of each step of a picture. A repeated picture counts once; a notice that the camera is unavailable does
/// not count.
#[derive(Debug)]
pub struct Ages {
    /// From the capture to the publication of the frame.
    pub published: Histogram,
    /// From there until its JPEG is ready.
    pub encoded: Histogram,
    /// From there until the kernel has accepted its last byte, for each viewer.
    pub written: Histogram,
    /// From the capture until then.
    pub total: Histogram,
}

impl Ages {
    /// Empty histograms.
    pub fn new(now: Instant) -> Ages {
        let empty = || Histogram::new(now);
        Ages { published: empty(), encoded: empty(), written: empty(), total: empty() }
    }

    /// Counts a frame that is about to be published.
    pub fn frame_published(&self, frame: &Frame) {
        self.published.record(frame.published_at.saturating_duration_since(frame.captured_at.instant));
    }

    /// Counts a picture that is about to be published.
    pub fn picture_encoded(&self, jpeg: &Jpeg) {
        if let Some(published_at) = jpeg.frame_published_at {
            self.encoded.record(jpeg.made_at.saturating_duration_since(published_at));
        }
    }

    /// Counts a picture that was written to a viewer's connection.
    pub fn picture_written(&self, jpeg: &Jpeg) {
        if jpeg.frame_published_at.is_some() {
            let now = Instant::now();
            self.written.record(now.saturating_duration_since(jpeg.made_at));
            self.total.record(now.saturating_duration_since(jpeg.captured_at.instant));
        }
    }

    /// Begins a new period when the current one is over. To be called at least every few seconds.
    pub fn turn(&self) {
        let now = Instant::now();
        for (_, ages) in self.named() {
            ages.turn(now);
        }
    }

    /// The histograms with their names in the API.
    pub fn named(&self) -> [(&'static str, &Histogram); 4] {
        [("published", &self.published), ("encoded", &self.encoded), ("written", &self.written), ("total", &self.total)]
    }
}

type Counts = [u64; BUCKETS];

/// A histogram of times. Recording takes two additions and no lock.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
    past: Mutex<Past>,
}

/// The counts at the beginning of the current period and of the one before; figures cover the counts since then.
#[derive(Debug)]
struct Past {
    turned: Instant,
    newer: Box<Counts>,
    older: Box<Counts>,
}

/// The figures of the last one to two periods of [`TURN`], in milliseconds; each is an upper bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percentiles {
    /// The median.
    pub p50: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The maximum.
    pub max: f64,
}

impl Histogram {
    fn new(now: Instant) -> Histogram {
        let empty = || Box::new([0; BUCKETS]);
        Histogram {
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
            sum_us: AtomicU64::new(0),
            past: Mutex::new(Past { turned: now, newer: empty(), older: empty() }),
        }
    }

    /// Counts a time.
    pub fn record(&self, took: Duration) {
        let micros = took.as_micros() as u64;
        if let Some(bucket) = self.buckets.get(bucket_of(micros)) {
            bucket.fetch_add(1, Relaxed);
            self.sum_us.fetch_add(micros, Relaxed);
        }
    }

    fn counts(&self) -> Counts {
        self.buckets.each_ref().map(|bucket| bucket.load(Relaxed))
    }

    fn turn(&self, now: Instant) {
        let mut past = lock(&self.past);
        if now.saturating_duration_since(past.turned) >= TURN {
            past.turned = now;
            past.older = std::mem::replace(&mut past.newer, Box::new(self.counts()));
        }
    }

    /// The recent figures; `None` without recent times.
    pub fn lately(&self) -> Option<Percentiles> {
        let mut counts = self.counts();
        for (count, before) in counts.iter_mut().zip(lock(&self.past).older.iter()) {
            // The snapshot may be newer than the counts that were read.
            *count = count.saturating_sub(*before);
        }
        let all: u64 = counts.iter().sum();
        if all == 0 {
            return None;
        }
        let share = |of_100: u64| {
            let rank = (all * of_100).div_ceil(100);
            let mut so_far = 0;
            let found = counts.iter().position(|count| {
                so_far += count;
                so_far >= rank
            });
            end_us(found.unwrap_or(BUCKETS - 1)) as f64 / 1000.0
        };
        Some(Percentiles { p50: share(50), p95: share(95), p99: share(99), max: share(100) })
    }

    /// The counts since the start: the number of times below each power of two of microseconds from 2^7 on, their total
    /// number and their sum.
    pub fn since_start(&self) -> SinceStart {
        let counts = self.counts();
        let up_to = |power: usize| counts[..=bucket_of((1 << power) - 1)].iter().sum();
        let below = (7..=DOUBLINGS).map(|power| (Duration::from_micros(1 << power), up_to(power))).collect();
        SinceStart { below, count: counts.iter().sum(), sum: Duration::from_micros(self.sum_us.load(Relaxed)) }
    }
}

/// See [`Histogram::since_start`].
#[derive(Debug)]
pub struct SinceStart {
    /// A time, and the number of times below it.
    pub below: Vec<(Duration, u64)>,
    /// The number of times.
    pub count: u64,
    /// The sum of the times.
    pub sum: Duration,
}

/// The bucket of a time.
fn bucket_of(micros: u64) -> usize {
    let Some(power) = micros.checked_ilog2().map(|power| power as usize).filter(|&power| power >= 4) else {
        return micros as usize;
    };
    if power >= DOUBLINGS {
        return BUCKETS - 1;
    }
    (power - 3) * STEPS + (micros >> (power - 4)) as usize % STEPS
}

/// The end of a bucket; for the last one, its beginning.
fn end_us(bucket: usize) -> u64 {
    match bucket {
        0..STEPS => bucket as u64 + 1,
        STEPS.. if bucket == BUCKETS - 1 => 1 << DOUBLINGS,
        _ => ((STEPS + bucket % STEPS + 1) as u64) << (bucket / STEPS - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Moment;

    #[test]
    fn every_time_has_a_bucket_that_ends_at_most_a_sixteenth_later() {
        let mut last = 0;
        for micros in (0..5000).chain((5000..20_000_000).step_by(997)).chain([u64::MAX]) {
            let bucket = bucket_of(micros);
            assert!((last..BUCKETS).contains(&bucket), "{micros}: {bucket} after {last}");
            last = bucket;
            if micros < 1 << DOUBLINGS {
                let end = end_us(bucket);
                assert!(micros < end && end <= micros + micros / 16 + 1, "{micros}: ends at {end}");
            }
        }
        assert_eq!((last, end_us(last)), (BUCKETS - 1, 1 << DOUBLINGS));
    }

    #[test]
    fn figures_match_the_values_and_cover_the_last_minute_only() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let ages = Histogram::new(start);
        assert_eq!(ages.lately(), None);
        (1..=1000).for_each(|ms| ages.record(Duration::from_millis(ms)));
        let figures = ages.lately().unwrap();
        for (figure, value) in [(figures.p50, 500.0), (figures.p95, 950.0), (figures.p99, 990.0), (figures.max, 1000.0)]
        {
            assert!(figure >= value && figure <= value * 17.0 / 16.0 + 0.001, "{figure} for {value}");
        }
        ages.turn(at(31));
        assert_eq!(ages.lately(), Some(figures), "half a minute later they still count");
        ages.record(Duration::from_millis(4));
        ages.turn(at(45));
        ages.turn(at(62));
        assert!(ages.lately().unwrap().max < 4.3);
        ages.turn(at(93));
        assert_eq!(ages.lately(), None);
        let all = ages.since_start();
        assert_eq!((all.count, all.sum), (1001, Duration::from_millis(500_504)));
        assert_eq!(all.below.iter().find(|(end, _)| *end > Duration::from_millis(100)).unwrap().1, 132);
        assert_eq!(all.below.last().unwrap().1, 1001);
    }

    #[test]
    fn a_picture_counts_at_each_stage_by_its_own_times_and_one_without_a_frame_does_not() {
        let (ages, captured_at) = (Ages::new(Instant::now()), Moment::ago(Duration::from_millis(300)));
        let count = |ages: &Ages| ages.named().map(|(_, histogram)| histogram.since_start().count);
        let mut jpeg = Jpeg::new(b"JPEG".to_vec().into(), captured_at, true);
        ages.picture_encoded(&jpeg);
        ages.picture_written(&jpeg);
        assert_eq!(count(&ages), [0; 4]);
        jpeg.frame_published_at = Some(captured_at.instant + Duration::from_millis(100));
        ages.picture_encoded(&jpeg);
        ages.picture_written(&jpeg);
        ages.picture_written(&jpeg);
        assert_eq!(count(&ages), [0, 1, 2, 2]);
        assert!((200.0..290.0).contains(&ages.encoded.lately().unwrap().p50));
        assert!(ages.total.lately().unwrap().p50 >= 300.0 && ages.written.lately().unwrap().p50 < 200.0);
    }
}
