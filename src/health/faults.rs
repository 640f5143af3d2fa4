//! [`Faults`]: what goes wrong, by cause. The list of causes is closed; what a decoder, a driver or a file adds is the
//! detail beside it.

use super::lock;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How many kinds of detail of one cause are logged when they come first.
const MAX_KINDS: usize = 16;
/// A cause that the log was silent about for so long is logged again, whatever its count.
const SILENCE: Duration = Duration::from_secs(3600);
/// Characters of a detail that are kept.
const MAX_DETAIL: usize = 300;

/// What can go wrong while the program goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The camera gives no pictures; the detail is why.
    CameraAway,
    /// A picture of the camera is broken.
    BrokenPicture,
    /// Something about the camera that the user should know although pictures come.
    CameraHint,
    /// Recognition cannot decode a frame.
    LookUndecodable,
    /// Recognition slows down because a look takes too long.
    RecognitionBehind,
    /// Recognition slows down because the processor is hot.
    RecognitionHot,
    /// The cache of descriptors cannot be written.
    CacheUnwritable,
    /// A frame cannot be decoded for viewers.
    FrameUndecodable,
    /// A picture cannot be encoded.
    PictureUnencodable,
    /// The password file cannot be used.
    PasswordFile,
    /// A user name or password is wrong.
    WrongPassword,
    /// A connection is refused because every place is taken by an answer.
    ConnectionsRefused,
    /// A connection is closed for a newer one.
    ConnectionsClosedEarly,
    /// A client gets no place among viewers, kinds of picture or listeners; the detail says who and why.
    NoPlace,
}

impl Cause {
    /// The stage and what is wrong, in constant words: the label of the metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::CameraAway => "camera: no pictures",
            Cause::BrokenPicture => "camera: a broken picture",
            Cause::CameraHint => "camera: a hint",
            Cause::LookUndecodable => "recognition: a frame cannot be decoded",
            Cause::RecognitionBehind => "recognition: slowed down, a look takes longer than interval_ms",
            Cause::RecognitionHot => "recognition: slowed down, the processor is hot",
            Cause::CacheUnwritable => "gallery: the cache of descriptors cannot be written",
            Cause::FrameUndecodable => "encoder: a frame cannot be decoded",
            Cause::PictureUnencodable => "encoder: a picture cannot be encoded",
            Cause::PasswordFile => "http: the password file cannot be used",
            Cause::WrongPassword => "http: a wrong user name or password",
            Cause::ConnectionsRefused => "http: connections are refused, there are as many as may be",
            Cause::ConnectionsClosedEarly => "http: connections are closed for newer ones",
            Cause::NoPlace => "http: no place for a client",
        }
    }
}

/// One cause, and how often it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What went wrong.
    pub cause: Cause,
    /// How often since the start.
    pub count: u64,
    /// What the newest one said beside its cause; may be empty.
    pub detail: String,
    /// When the newest one came.
    pub last: Instant,
}

#[derive(Debug)]
struct Record {
    fault: Fault,
    logged: Instant,
    /// The details that were logged, without what differs each time.
    kinds: Vec<String>,
}

/// What went wrong since the start. A cause is logged when it comes first, with each new kind of detail, at every tenth
/// power of its count, and after an hour of silence; it is counted always. Nothing here grows beyond the list of causes.
#[derive(Debug, Default)]
pub struct Faults(Mutex<BTreeMap<Cause, Record>>);

impl Faults {
    /// Counts a fault, and logs it when it is news. `detail` may be empty.
    pub fn report(&self, cause: Cause, detail: &str) {
        if let Some(line) = self.count(cause, detail, Instant::now()) {
            log::warn!("{line}");
        }
    }

    /// Counts a fault that came at `now`; the line for the log when it is news.
    fn count(&self, cause: Cause, detail: &str, now: Instant) -> Option<String> {
        let detail: String = detail.chars().take(MAX_DETAIL).collect();
        let kind = kind(&detail);
        let mut records = lock(&self.0);
        let new = || Record {
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

    /// Every cause that came at least once.
    pub fn all(&self) -> Vec<Fault> {
        lock(&self.0).values().map(|record| record.fault.clone()).collect()
    }
}

/// A detail without its numbers, plain or hexadecimal: two broken pictures differ in their sizes and offsets alone.
fn kind(detail: &str) -> String {
    let words = detail.split(|c: char| !c.is_alphanumeric());
    words.filter(|word| !word.contains(|c: char| c.is_ascii_digit())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAUSES: [Cause; 14] = [
        Cause::CameraAway,
        Cause::BrokenPicture,
        Cause::CameraHint,
        Cause::LookUndecodable,
        Cause::RecognitionBehind,
        Cause::RecognitionHot,
        Cause::CacheUnwritable,
        Cause::FrameUndecodable,
        Cause::PictureUnencodable,
        Cause::PasswordFile,
        Cause::WrongPassword,
        Cause::ConnectionsRefused,
        Cause::ConnectionsClosedEarly,
        Cause::NoPlace,
    ];

    #[test]
    fn numbers_from_a_decoder_make_no_new_cause_and_hide_no_other_one() {
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
        assert_eq!((all.len(), all.iter().map(|fault| fault.count).sum::<u64>()), (14, 100_014));
    }

    #[test]
    fn another_reason_of_a_known_cause_is_logged_once_and_reasons_without_end_are_not() {
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
    fn a_fault_that_comes_back_after_an_hour_is_logged_again() {
        let (faults, start) = (Faults::default(), Instant::now());
        let lines = (0..10 * 60).filter_map(|minute| {
            let now = start + Duration::from_secs(60 * minute);
            faults.count(Cause::CacheUnwritable, "no space left on device", now)
        });
        assert_eq!(lines.count(), 12, "counts 1, 10 and 100, and nine hours of silence between and after them");
    }

    #[test]
    fn each_cause_has_words_of_its_own() {
        let words: std::collections::BTreeSet<&str> = CAUSES.iter().map(|cause| cause.as_str()).collect();
        assert_eq!(words.len(), CAUSES.len());
    }
}
