//! [`Ages`]: the age of pictures at each stage, in histograms.

use crate::frame::{Frame, Jpeg};
use crate::rounding::decimals;
use crate::sync::lock;
use serde::Serialize;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The bits of an `f32` mantissa that select the bucket of a time. 4 bits give 16 buckets per doubling, so a figure is
/// at most a sixteenth too high.
const MANTISSA_BITS: u32 = 4;
/// The number of the other mantissa bits.
const SHIFT: u32 = f32::MANTISSA_DIGITS - 1 - MANTISSA_BITS;
/// Times of 2^24 microseconds (17 s) or longer are counted in the last bucket.
const DOUBLINGS: usize = 24;
const BUCKETS: usize = (DOUBLINGS << MANTISSA_BITS) + 1;
/// Percentiles cover the last one to two of these periods.
const TURN: Duration = Duration::from_secs(30);

/// The latency of each step of a picture. A repeated picture counts once; a notice that the camera is unavailable does
/// not count.
#[derive(Debug, Default)]
pub struct Ages {
    /// From the capture to the publication of the frame.
    pub published: Histogram,
    /// From the publication of the frame until its JPEG is ready.
    pub encoded: Histogram,
    /// From the moment at which the JPEG is ready until the kernel has accepted its last byte, for each viewer.
    pub written: Histogram,
    /// From the capture until the kernel has accepted the last byte of the JPEG, for each viewer.
    pub total: Histogram,
}

impl Ages {
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

    /// Begins a new period when the current one is over. It must be called at least every few seconds.
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

#[derive(Debug)]
pub struct Histogram(Mutex<Counts>);

#[derive(Debug)]
struct Counts {
    /// The number of times in each bucket since the start. `sum` is the sum of the times.
    all: Vec<u64>,
    sum: Duration,
    /// When the current period began. `newer` holds the counts at that moment, and `older` the counts at the beginning
    /// of the period before. Figures cover the counts since `older`.
    turned: Instant,
    newer: Vec<u64>,
    older: Vec<u64>,
}

/// The percentiles of the times of the last one to two periods of [`TURN`], in milliseconds. `max` is the longest time.
/// `None` without recent times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Percentiles {
    #[serde(serialize_with = "decimals::<2, _>")]
    p50: Option<f32>,
    #[serde(serialize_with = "decimals::<2, _>")]
    p95: Option<f32>,
    #[serde(serialize_with = "decimals::<2, _>")]
    p99: Option<f32>,
    #[serde(serialize_with = "decimals::<2, _>")]
    max: Option<f32>,
}

impl Default for Histogram {
    fn default() -> Histogram {
        let empty = || vec![0; BUCKETS];
        let counts =
            Counts { all: empty(), sum: Duration::ZERO, turned: Instant::now(), newer: empty(), older: empty() };
        Histogram(Mutex::new(counts))
    }
}

impl Histogram {
    pub fn record(&self, took: Duration) {
        let mut counts = lock(&self.0);
        if let Some(count) = counts.all.get_mut(bucket_of(took.as_micros() as u64)) {
            *count += 1;
            counts.sum += took;
        }
    }

    fn turn(&self, now: Instant) {
        let mut counts = lock(&self.0);
        if now.saturating_duration_since(counts.turned) >= TURN {
            counts.turned = now;
            let all = counts.all.clone();
            counts.older = std::mem::replace(&mut counts.newer, all);
        }
    }

    pub fn lately(&self) -> Percentiles {
        let recent: Vec<u64> = {
            let counts = lock(&self.0);
            counts.all.iter().zip(&counts.older).map(|(all, older)| all - older).collect()
        };
        let number: u64 = recent.iter().sum();
        let share = |of_100: u64| {
            let mut left = (number * of_100).div_ceil(100);
            let reaches = |count: &u64| {
                left = left.saturating_sub(*count);
                left == 0
            };
            recent.iter().position(reaches).filter(|_| number > 0).map(|bucket| end_us(bucket) / 1000.0)
        };
        Percentiles { p50: share(50), p95: share(95), p99: share(99), max: share(100) }
    }

    pub fn since_start(&self) -> SinceStart {
        let counts = lock(&self.0);
        let below =
            |power: usize| (Duration::from_micros(1 << power), counts.all[..power << MANTISSA_BITS].iter().sum());
        SinceStart { below: (7..=DOUBLINGS).map(below).collect(), count: counts.all.iter().sum(), sum: counts.sum }
    }
}

/// The times since the start, as [`Histogram::since_start`] returns them.
#[derive(Debug)]
pub struct SinceStart {
    /// The powers of two of microseconds from 2^7 on, each with the number of times below it.
    pub below: Vec<(Duration, u64)>,
    pub count: u64,
    pub sum: Duration,
}

/// The bucket of a time: the upper bits of the time as a floating-point number, which grow with the logarithm of the
/// time.
fn bucket_of(micros: u64) -> usize {
    let micros = micros.clamp(1, 1 << DOUBLINGS) as f32;
    ((micros.to_bits() - 1f32.to_bits()) >> SHIFT) as usize
}

/// The end of a bucket in microseconds; for the last bucket, its beginning.
fn end_us(bucket: usize) -> f32 {
    let end = (bucket + 1).min(BUCKETS - 1) as u32;
    f32::from_bits(1f32.to_bits() + (end << SHIFT))
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
                let micros = micros.max(1) as f32;
                assert!(micros < end && end <= micros * 17.0 / 16.0, "{micros}: ends at {end}");
            }
        }
        assert_eq!((last, end_us(last)), (BUCKETS - 1, 2f32.powi(24)));
    }

    #[test]
    fn figures_match_the_values_and_cover_the_last_minute_only() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let ages = Histogram::default();
        assert_eq!(ages.lately(), Percentiles::default());
        (1..=1000).for_each(|ms| ages.record(Duration::from_millis(ms)));
        let figures = ages.lately();
        for (figure, value) in [(figures.p50, 500.0), (figures.p95, 950.0), (figures.p99, 990.0), (figures.max, 1000.0)]
        {
            let figure = figure.unwrap();
            assert!(figure >= value && figure <= value * 17.0 / 16.0, "{figure} for {value}");
        }
        ages.turn(at(31));
        assert_eq!(ages.lately(), figures, "half a minute later they still count");
        ages.record(Duration::from_millis(4));
        ages.turn(at(45));
        ages.turn(at(62));
        assert!(ages.lately().max.unwrap() < 4.3);
        ages.turn(at(93));
        assert_eq!(ages.lately(), Percentiles::default());
        let all = ages.since_start();
        assert_eq!((all.count, all.sum), (1001, Duration::from_millis(500_504)));
        assert_eq!(all.below.iter().find(|(end, _)| *end > Duration::from_millis(100)).unwrap().1, 132);
        assert_eq!(all.below.last().unwrap().1, 1001);
    }

    #[test]
    fn a_picture_of_a_frame_counts_at_each_stage_and_a_notice_does_not() {
        let (ages, captured_at) = (Ages::default(), Moment::ago(Duration::from_millis(300)));
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
        assert!((200.0..290.0).contains(&ages.encoded.lately().p50.unwrap()));
        assert!(ages.total.lately().p50.unwrap() >= 300.0 && ages.written.lately().p50.unwrap() < 200.0);
    }
}
