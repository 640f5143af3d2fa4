//! [`Faults`]: counts faults by cause. The list of causes is closed. Text from a decoder, a driver or a file is the
//! detail of a fault, not its cause.

use crate::sync::lock;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The most different details per cause that are logged at their first occurrence.
const MAX_KINDS: usize = 16;
/// A cause that was not logged for this time is logged again, whatever its count.
const SILENCE: Duration = Duration::from_secs(3600);
/// The most characters of a detail that are kept.
const MAX_DETAIL: usize = 300;

/// The cause of a fault that does not end the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The camera delivers no frames; the detail says why.
    CameraAway,
    BrokenPicture,
    /// Advice about a camera that delivers frames.
    CameraHint,
    LookUndecodable,
    RecognitionBehind,
    RecognitionHot,
    /// The models take too long to open; the detail says how much memory is available.
    ModelsLate,
    CacheUnwritable,
    FrameUndecodable,
    PictureUnencodable,
    /// A loop makes no progress; the detail says which.
    Hang,
    PasswordFile,
    /// The sessions cannot be read or written.
    Sessions,
    WrongPassword,
    ConnectionsRefused,
    ConnectionsClosedEarly,
    /// A client gets no place as a viewer or listener, or no rendition; the detail names the client and the reason.
    NoPlace,
    /// The ids of events cannot be kept.
    EventIds,
    /// The MQTT broker does not do what it should; the detail says what.
    Broker,
    /// The ASCII names of people cannot be kept.
    Slugs,
    /// The output of `run --events` is gone.
    Lines,
    /// The receiver of a webhook does not take an event; the detail says why.
    Webhook,
    /// The program of an event cannot be started, fails or takes too long.
    Exec,
}

/// Every cause.
pub const CAUSES: [Cause; 23] = [
    Cause::CameraAway,
    Cause::BrokenPicture,
    Cause::CameraHint,
    Cause::LookUndecodable,
    Cause::RecognitionBehind,
    Cause::RecognitionHot,
    Cause::ModelsLate,
    Cause::CacheUnwritable,
    Cause::FrameUndecodable,
    Cause::PictureUnencodable,
    Cause::Hang,
    Cause::PasswordFile,
    Cause::Sessions,
    Cause::WrongPassword,
    Cause::ConnectionsRefused,
    Cause::ConnectionsClosedEarly,
    Cause::NoPlace,
    Cause::EventIds,
    Cause::Broker,
    Cause::Slugs,
    Cause::Lines,
    Cause::Webhook,
    Cause::Exec,
];

impl Cause {
    /// The stage and the problem in constant words, which are also the label of the metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::CameraAway => "camera: no pictures",
            Cause::BrokenPicture => "camera: a damaged picture",
            Cause::CameraHint => "camera: a hint",
            Cause::LookUndecodable => "recognition: a frame cannot be decoded",
            Cause::RecognitionBehind => "recognition: slowed down, cannot keep up",
            Cause::RecognitionHot => "recognition: slowed down, the processor is hot",
            Cause::ModelsLate => "recognition: opening the models takes too long",
            Cause::CacheUnwritable => "gallery: the cache of descriptors cannot be written",
            Cause::FrameUndecodable => "encoder: a frame cannot be decoded",
            Cause::PictureUnencodable => "encoder: a picture cannot be encoded",
            Cause::Hang => "namecam: a part of it does not respond",
            Cause::PasswordFile => "http: the password file cannot be used",
            Cause::Sessions => "http: the file of sessions cannot be used",
            Cause::WrongPassword => "http: wrong user name or password",
            Cause::ConnectionsRefused => "http: connections refused, all are in use",
            Cause::ConnectionsClosedEarly => "http: connections closed for newer ones",
            Cause::NoPlace => "http: no free place for a client",
            Cause::EventIds => "events: their ids cannot be kept",
            Cause::Broker => "mqtt: the broker cannot be used",
            Cause::Slugs => "mqtt: the names of topics cannot be kept",
            Cause::Lines => "events: the output of --events cannot be written",
            Cause::Webhook => "webhook: an event is not taken",
            Cause::Exec => "exec: the program of an event fails",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub cause: Cause,
    /// The number of faults since the start.
    pub count: u64,
    /// The detail of the newest fault; may be empty.
    pub detail: String,
    /// The time of the newest fault.
    pub last: Instant,
}

#[derive(Debug)]
struct FaultRecord {
    fault: Fault,
    logged: Instant,
    /// The details that were logged, without their numbers.
    kinds: Vec<String>,
}

/// The faults since the start. A fault is always counted. It is logged at the first occurrence of its cause, with each
/// new detail, when the count reaches a power of ten, and after an hour without a log line. The memory is bounded by
/// the list of causes.
#[derive(Debug, Default)]
pub struct Faults(Mutex<BTreeMap<Cause, FaultRecord>>);

impl Faults {
    /// Counts a fault, and logs it when it is new. `detail` may be empty.
    pub fn report(&self, cause: Cause, detail: &str) {
        if let Some(line) = self.count(cause, detail, Instant::now()) {
            log::warn!("{line}");
        }
    }

    /// Counts a fault at `now`, and returns the line to log, if any.
    fn count(&self, cause: Cause, detail: &str, now: Instant) -> Option<String> {
        let detail: String = detail.chars().take(MAX_DETAIL).collect();
        let kind = kind(&detail);
        let mut records = lock(&self.0);
        let new = || FaultRecord {
            fault: Fault { cause, count: 0, detail: String::new(), last: now },
            logged: now,
            kinds: Vec::new(),
        };
        let record = records.entry(cause).or_insert_with(new);
        record.fault.count += 1;
        (record.fault.detail, record.fault.last) = (detail.clone(), now);
        let count = record.fault.count;
        let is_new_kind = record.kinds.len() < MAX_KINDS && !record.kinds.contains(&kind);
        let is_power = count.checked_ilog10().is_some_and(|digits| 10u64.pow(digits) == count);
        if !is_new_kind && !is_power && now.saturating_duration_since(record.logged) < SILENCE {
            return None;
        }
        record.logged = now;
        if is_new_kind {
            record.kinds.push(kind);
        }
        let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
        let times = if count == 1 { String::new() } else { format!(" ({count} times so far)") };
        Some(format!("{}{detail}{times}", cause.as_str()))
    }

    /// Every cause that occurred.
    pub fn all(&self) -> Vec<Fault> {
        lock(&self.0).values().map(|record| record.fault.clone()).collect()
    }
}

/// A detail without its decimal and hexadecimal numbers, so that damaged pictures with different sizes and offsets have
/// the same kind.
fn kind(detail: &str) -> String {
    let words = detail.split(|c: char| !c.is_alphanumeric());
    words.filter(|word| !word.contains(|c: char| c.is_ascii_digit())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_from_a_decoder_make_no_new_detail_and_hide_no_other_cause() {
        let (faults, now) = (Faults::default(), Instant::now());
        let lines = (0..100_000).filter_map(|i| {
            let detail = format!("{i} of {} bytes, marker 0x{i:x} at 3.{i}", 2 * i);
            faults.count(Cause::BrokenPicture, &detail, now)
        });
        assert_eq!(lines.count(), 6, "the first one, and 10, 100, 1,000, 10,000 and 100,000");
        for cause in CAUSES {
            let line = faults.count(cause, "news", now);
            assert!(line.is_some_and(|line| line.starts_with(&format!("{}: news", cause.as_str()))), "{cause:?}");
        }
        let all = faults.all();
        assert_eq!((all.len(), all.iter().map(|fault| fault.count).sum::<u64>()), (23, 100_023));
    }

    #[test]
    fn a_new_detail_of_a_known_cause_is_logged_once_and_the_number_of_details_is_bounded() {
        let (faults, now) = (Faults::default(), Instant::now());
        let tell = |detail: &str| faults.count(Cause::CameraAway, detail, now);
        assert_eq!(tell("no such device").as_deref(), Some("camera: no pictures: no such device"));
        let second = tell("permission denied");
        assert_eq!(second.as_deref(), Some("camera: no pictures: permission denied (2 times so far)"));
        assert_eq!((tell("no such device"), tell("permission denied")), (None, None));
        let words = (0..1000_u32).map(|i| i.to_string().chars().map(|c| (b'a' + c as u8 - b'0') as char).collect());
        assert!(words.filter_map(|word: String| tell(&word)).count() < MAX_KINDS + 4);
        tell(&"é".repeat(2 * MAX_DETAIL));
        assert_eq!(faults.all()[0].detail, "é".repeat(MAX_DETAIL));
    }

    #[test]
    fn a_fault_that_recurs_after_an_hour_is_logged_again() {
        let (faults, start) = (Faults::default(), Instant::now());
        let lines = (0..10 * 60).filter_map(|minute| {
            let now = start + Duration::from_secs(60 * minute);
            faults.count(Cause::CacheUnwritable, "no space left on device", now)
        });
        assert_eq!(lines.count(), 12, "counts 1, 10 and 100, and nine hours without a line between and after them");
    }

    #[test]
    fn each_cause_has_its_own_words() {
        let words: std::collections::BTreeSet<&str> = CAUSES.iter().map(|cause| cause.as_str()).collect();
        assert_eq!(words.len(), CAUSES.len());
    }
}
