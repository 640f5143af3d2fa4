//! [`Pacer`]: the interval between looks. It is that of the config, or longer while the board is hot or cannot keep up.

use crate::os::board::{ZONES, is_processor, thousandths};
use crate::telemetry::faults::Cause;
use crate::telemetry::health::LookPace;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The interval at which temperatures are read.
const READ_EVERY: Duration = Duration::from_secs(5);
/// The temperature in degrees Celsius from which a processor without a trip point is hot: a Raspberry Pi reduces its
/// clock at 80.
const HOT_C: f32 = 78.0;
/// How many degrees below the temperature at which the kernel slows the processor down the interval is doubled.
const NEAR_C: f32 = 3.0;
/// The hysteresis in degrees: how far the temperature must fall before the processor no longer counts as hot.
const RELIEF_C: f32 = 3.0;
/// The share of time that looks may take, so that looks longer than the interval do not use a whole core.
const SHARE: f32 = 0.7;

/// The weight of a look in the moving average of the duration: single looks may take longer (a scan of the whole
/// frame, a new face).
const FOLLOWS: f32 = 0.2;

#[derive(Debug)]
pub struct Pacer {
    /// The average duration of looks.
    usual: Duration,
    zones: PathBuf,
    read_at: Option<Instant>,
    hot: Option<Heat>,
}

#[derive(Debug, Clone, PartialEq)]
struct Heat {
    zone: String,
    celsius: f32,
    /// The factor by which intervals are prolonged.
    times: u32,
}

impl Default for Pacer {
    fn default() -> Pacer {
        Pacer::new(Path::new(ZONES))
    }
}

impl Pacer {
    fn new(zones: &Path) -> Pacer {
        Pacer { usual: Duration::ZERO, zones: zones.to_owned(), read_at: None, hot: None }
    }

    /// The time from the start of one look to the next, for the interval `wanted` of the config and a last look of
    /// `took`.
    pub fn interval(&mut self, wanted: Duration, took: Duration, now: Instant) -> LookPace {
        if self.read_at.is_none_or(|at| now.saturating_duration_since(at) >= READ_EVERY) {
            self.read_at = Some(now);
            self.hot = hottest(&self.zones, self.hot.is_some());
        }
        let usual = self.usual.mul_f32(1.0 - FOLLOWS) + took.mul_f32(FOLLOWS);
        self.usual = usual;
        // With an interval of 0, only heat slows looks down.
        let least = if wanted.is_zero() { Duration::ZERO } else { usual.div_f32(SHARE) };
        if let Some(Heat { zone, celsius, times }) = &self.hot {
            let interval = wanted.max(usual) * *times;
            let why = format!("{zone} is at {celsius:.0} \u{b0}C");
            return LookPace { interval, slowed: Some((Cause::RecognitionHot, why)) };
        }
        if least > wanted {
            let why = format!("a look takes {} ms", usual.as_millis());
            return LookPace { interval: least, slowed: Some((Cause::RecognitionBehind, why)) };
        }
        LookPace { interval: wanted, slowed: None }
    }
}

/// The zone that is closest to the temperature at which the kernel slows it down, or beyond it.
fn hottest(zones: &Path, was_hot: bool) -> Option<Heat> {
    let mut worst: Option<(f32, Heat)> = None;
    for entry in std::fs::read_dir(zones).ok()?.flatten() {
        let path = entry.path();
        let text = |name: &str| std::fs::read_to_string(path.join(name)).map(|text| text.trim().to_owned()).ok();
        let Some(zone) = text("type").filter(|zone| is_processor(zone)) else { continue };
        let Some(celsius) = text("temp").and_then(|text| thousandths(&text)) else { continue };
        let over = celsius - passive_trip(&path).unwrap_or(HOT_C) + if was_hot { RELIEF_C } else { 0.0 };
        let times = match over {
            0.0.. => 4,
            over if over >= -NEAR_C => 2,
            _ => continue,
        };
        if worst.as_ref().is_none_or(|(known, _)| over > *known) {
            worst = Some((over, Heat { zone, celsius, times }));
        }
    }
    worst.map(|(_, heat)| heat)
}

/// The lowest temperature at which the kernel slows the processor down.
fn passive_trip(zone: &Path) -> Option<f32> {
    let trips = (0..12).filter_map(|number| {
        let read = |what: &str| std::fs::read_to_string(zone.join(format!("trip_point_{number}_{what}"))).ok();
        (read("type")?.trim() == "passive").then(|| thousandths(read("temp")?.trim()))?
    });
    trips.filter(|celsius| *celsius > 40.0).min_by(f32::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Duration = Duration::from_millis(200);
    const QUICK: Duration = Duration::from_millis(20);

    fn board(zone: &str, temp: &str, trip: Option<&str>) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            std::fs::create_dir_all(root.path().join("thermal_zone0")).unwrap();
            std::fs::write(root.path().join("thermal_zone0").join(name), format!("{text}\n")).unwrap();
        };
        put("type", zone);
        put("temp", temp);
        if let Some(trip) = trip {
            put("trip_point_0_type", "critical");
            put("trip_point_0_temp", "110000");
            put("trip_point_1_type", "passive");
            put("trip_point_1_temp", trip);
        }
        root
    }

    fn pace(zone: &str, temp: &str, trip: Option<&str>) -> LookPace {
        Pacer::new(board(zone, temp, trip).path()).interval(WANTED, QUICK, Instant::now())
    }

    #[test]
    fn a_cool_board_keeps_the_interval_and_a_hot_one_lengthens_it() {
        assert_eq!(pace("cpu-thermal", "65000", None), LookPace { interval: WANTED, slowed: None });
        assert_eq!(pace("cpu-thermal", "76000", None).interval, WANTED * 2);
        let hot = pace("CPU-therm", "91000", Some("90500"));
        assert_eq!(
            hot,
            LookPace {
                interval: WANTED * 4,
                slowed: Some((Cause::RecognitionHot, "CPU-therm is at 91 \u{b0}C".into()))
            }
        );
        assert_eq!(pace("iwlwifi_1", "99000", None).slowed, None, "the wireless card is not the processor");
        assert_eq!(pace("cpu-thermal", "rubbish", Some("x")).slowed, None);
    }

    #[test]
    fn it_counts_as_hot_until_it_has_cooled_down_a_little() {
        let board = board("cpu-thermal", "75200", None);
        let mut pacer = Pacer::new(board.path());
        let start = Instant::now();
        assert!(pacer.interval(WANTED, QUICK, start).slowed.is_some());
        let temp = board.path().join("thermal_zone0/temp");
        std::fs::write(&temp, "74000").unwrap();
        assert!(pacer.interval(WANTED, QUICK, start + READ_EVERY).slowed.is_some());
        std::fs::write(&temp, "71000").unwrap();
        assert_eq!(pacer.interval(WANTED, QUICK, start + READ_EVERY * 2).slowed, None);
    }

    #[test]
    fn looks_longer_than_the_interval_leave_time_for_other_threads() {
        let mut pacer = Pacer::new(Path::new("/nowhere"));
        let slow = Duration::from_millis(350);
        assert_eq!(pacer.interval(WANTED, slow, Instant::now()).slowed, None, "a single slow look does not count");
        let behind = (0..40).map(|_| pacer.interval(WANTED, slow, Instant::now())).last().unwrap();
        assert!((495..=500).contains(&behind.interval.as_millis()), "{behind:?}");
        assert!(behind.slowed.is_some_and(|(_, why)| why.starts_with("a look takes 3")));
        let flat_out = pacer.interval(Duration::ZERO, Duration::from_millis(350), Instant::now());
        assert_eq!(flat_out, LookPace { interval: Duration::ZERO, slowed: None });
    }
}
