//! [`Hours`]: times of day.

use crate::os::localtime;
use std::fmt;
use std::time::SystemTime;

/// The minutes of a day.
const DAY: u16 = 24 * 60;

/// Spans of the local day. Without a span, the hours include every time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hours {
    /// The first minute of the day and the end, which is excluded. A span whose end is not later than its beginning
    /// goes over midnight.
    spans: Vec<(u16, u16)>,
}

impl Hours {
    /// Reads `07:00-12:00, 13:00-22:00`.
    pub(crate) fn parse(text: &str) -> Option<Hours> {
        let minute = |clock: &str, most: u16| {
            let (hour, minute) = clock.trim().split_once(':')?;
            let is_plain = |digits: &str| (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
            let (hour, minute) = (is_plain(hour).then_some(hour)?, is_plain(minute).then_some(minute)?);
            let (hour, minute) = (hour.parse::<u16>().ok()?, minute.parse::<u16>().ok().filter(|minute| *minute < 60)?);
            Some(hour * 60 + minute).filter(|minute| *minute <= most)
        };
        let span = |text: &str| {
            let (from, to) = text.split_once('-')?;
            let (from, to) = (minute(from, DAY - 1)?, minute(to, DAY)?);
            (from != to).then_some((from, to))
        };
        let parts = text.split(',').filter(|_| !text.trim().is_empty());
        Some(Hours { spans: parts.map(span).collect::<Option<Vec<_>>>()? })
    }

    /// True when this minute of the day is in one of the spans.
    fn include(&self, minute: u16) -> bool {
        let is_in = |&(from, to): &(u16, u16)| {
            if from < to { (from..to).contains(&minute) } else { minute >= from || minute < to }
        };
        self.spans.is_empty() || self.spans.iter().any(is_in)
    }

    /// True when this time is in one of the spans, by the current local clock.
    pub fn include_time(&self, at: SystemTime) -> bool {
        self.spans.is_empty() || self.include(minute_of_day(at))
    }

    /// The next time after `at` when the result of [`Hours::include_time`] changes, as `07:00`; `None` when it never
    /// changes.
    pub fn next_change(&self, at: SystemTime) -> Option<String> {
        self.next_change_after(minute_of_day(at)).map(clock)
    }

    fn next_change_after(&self, minute: u16) -> Option<u16> {
        let is_in = self.include(minute);
        let edges = self.spans.iter().flat_map(|&(from, to)| [from, to % DAY]);
        edges.filter(|edge| self.include(*edge) != is_in).min_by_key(|edge| (edge + DAY - minute) % DAY)
    }
}

/// As the config has it: `07:00-12:00, 13:00-22:00`.
impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spans = self.spans.iter().map(|&(from, to)| format!("{}-{}", clock(from), clock(to)));
        f.write_str(&spans.collect::<Vec<_>>().join(", "))
    }
}

/// A minute of the day as `07:00`.
fn clock(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

fn minute_of_day(at: SystemTime) -> u16 {
    let [hour, minute, _] = localtime::time_of_day(at);
    u16::try_from(hour * 60 + minute).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_include_their_begin_and_not_their_end_over_midnight_too() {
        let hours = |text: &str| Hours::parse(text).unwrap();
        let at = |hour: u16, minute: u16| hour * 60 + minute;
        let day = hours("7:00-22:30");
        for (minute, is_in) in
            [(at(6, 59), false), (at(7, 0), true), (at(22, 29), true), (at(22, 30), false), (0, false)]
        {
            assert_eq!(day.include(minute), is_in, "{minute}");
        }
        assert_eq!(
            (day.next_change_after(at(6, 59)), day.next_change_after(at(7, 0))),
            (Some(at(7, 0)), Some(at(22, 30)))
        );
        assert_eq!(day.next_change_after(at(23, 0)), Some(at(7, 0)));
        let night = hours(" 22:00 - 06:00 ,12:00-13:00");
        for (minute, is_in) in [(at(23, 59), true), (0, true), (at(5, 59), true), (at(6, 0), false), (at(12, 30), true)]
        {
            assert_eq!(night.include(minute), is_in, "{minute}");
        }
        assert_eq!(
            (night.next_change_after(at(23, 0)), night.next_change_after(at(6, 0))),
            (Some(at(6, 0)), Some(at(12, 0)))
        );
        let whole = hours("00:00-24:00");
        assert!(whole.include(0) && whole.include(DAY - 1) && whole.next_change_after(5).is_none());
        let joined = hours("08:00-12:00,12:00-24:00");
        assert_eq!((joined.next_change_after(at(9, 0)), joined.next_change_after(0)), (Some(0), Some(at(8, 0))));
        let always = hours("");
        assert!(always.include_time(SystemTime::now()) && always.next_change(SystemTime::now()).is_none());
    }

    #[test]
    fn hours_are_written_as_they_are_read() {
        for text in ["", "07:00-22:30", "22:00-06:05, 12:00-24:00"] {
            assert_eq!(Hours::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Hours::parse(" 7:00 - 9:30,12:00-13:00").unwrap().to_string(), "07:00-09:30, 12:00-13:00");
    }

    #[test]
    fn the_local_clock_decides() {
        let now = SystemTime::now();
        let [hour, ..] = localtime::time_of_day(now);
        let (this, other) =
            (format!("{hour:02}:00-{hour:02}:59"), format!("{:02}:00-{:02}:59", (hour + 12) % 24, (hour + 12) % 24));
        let minute = minute_of_day(now) % 60;
        assert_eq!(Hours::parse(&this).unwrap().include_time(now), minute < 59);
        assert!(!Hours::parse(&other).unwrap().include_time(now));
        assert_eq!(Hours::parse(&other).unwrap().next_change(now), Some(format!("{:02}:00", (hour + 12) % 24)));
    }

    #[test]
    fn an_invalid_time_of_day_is_refused() {
        for wrong in [
            "7-22",
            "07:00",
            "07:00-07:00",
            "24:00-07:00",
            "07:00-24:01",
            "07:60-08:00",
            "+7:00-8:00",
            "07:00-22:00,",
            "a:b-c:d",
            "007:00-8:00",
            "-",
        ] {
            assert_eq!(Hours::parse(wrong), None, "{wrong}");
        }
    }
}
