//! Logs the stderr of a program. While a camera is unavailable, its program is started every few seconds and complains
//! each time, so each message is logged once a day. URLs are logged without their passwords.

use crate::config::without_secrets;
use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The most bytes of a message that are logged.
pub(super) const MAX_LINE: usize = 300;
/// The most lines per second that are logged.
pub(super) const LINES_A_SECOND: u32 = 10;
/// The time within which the same message is not logged again.
const SAY_AGAIN: Duration = Duration::from_secs(86_400);
/// The most different messages that are logged within [`SAY_AGAIN`].
const MAX_SAID: usize = 200;

/// The greatest age of a message that counts as the reason why the program ended.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The recent messages of all runs of the program, without digits.
#[derive(Debug, Default)]
pub struct Said {
    since: Option<Instant>,
    lines: HashSet<String>,
}

impl Said {
    /// True when `line` is a new message.
    pub(super) fn is_news(&mut self, line: &str) -> bool {
        if self.since.is_none_or(|since| since.elapsed() >= SAY_AGAIN) {
            (self.since, self.lines) = (Some(Instant::now()), HashSet::new());
        }
        // Times, counters and memory addresses are removed, so that messages that differ only in them are the same.
        let gist = line.replace(|c: char| c.is_ascii_hexdigit(), "");
        self.lines.len() < MAX_SAID && self.lines.insert(gist)
    }
}

/// The messages of one run of the program.
#[derive(Default)]
pub(super) struct Messages {
    line: Vec<u8>,
    last: String,
    /// The time of the last message.
    heard: Option<Instant>,
    said: Rc<RefCell<Said>>,
    second: Option<Instant>,
    pub(super) logged: u32,
    pub(super) passed_over: u64,
}

impl Messages {
    pub(super) fn new(said: &Rc<RefCell<Said>>) -> Messages {
        Messages { said: Rc::clone(said), ..Messages::default() }
    }

    pub(super) fn take(&mut self, program: &str, bytes: &[u8]) {
        for &byte in bytes {
            match byte {
                // ffmpeg ends its progress lines with CR.
                b'\n' | b'\r' => self.end_line(program),
                _ if self.line.len() < MAX_LINE => self.line.push(byte),
                _ => {}
            }
        }
        if !bytes.is_empty() {
            self.heard = Some(Instant::now());
        }
    }

    /// The last message, when it is recent at `now`.
    pub(super) fn last_words(&self, now: Instant) -> &str {
        let lately = self.heard.is_some_and(|heard| now.saturating_duration_since(heard) < LAST_WORDS);
        if lately { &self.last } else { "" }
    }

    fn end_line(&mut self, program: &str) {
        if self.line.is_empty() {
            return;
        }
        self.last = without_secrets(String::from_utf8_lossy(&self.line).trim()).replace(char::is_control, "?");
        self.line.clear();
        if self.second.is_none_or(|since| since.elapsed() >= Duration::from_secs(1)) {
            self.sum_up(program);
            self.second = Some(Instant::now());
        }
        if self.logged >= LINES_A_SECOND {
            self.passed_over += 1;
        } else if self.said.borrow_mut().is_news(&self.last) {
            log::info!("{program}: {}", self.last);
            self.logged += 1;
        } else {
            log::debug!("{program}: {}", self.last);
        }
    }

    /// Logs the number of lines that were left out, and begins another second.
    fn sum_up(&mut self, program: &str) {
        if self.passed_over > 0 {
            log::info!("{program}: {} more lines were not logged", self.passed_over);
        }
        (self.logged, self.passed_over) = (0, 0);
    }

    pub(super) fn finish(&mut self, program: &str) {
        self.end_line(program);
        self.sum_up(program);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_each_start_is_new_once() {
        let mut said = Said::default();
        assert!(said.is_news("[rtsp @ 0x55d1c0] Connection refused"));
        assert!(!said.is_news("[rtsp @ 0x7f0a9e] Connection refused"));
        assert!(said.is_news("[rtsp @ 0x7f0a9e] No route to host"));
        let news = (0..1000).filter(|n| said.is_news(&"x".repeat(*n))).count();
        assert!(news < MAX_SAID);
    }

    #[test]
    fn messages_are_cut_and_limited_in_number() {
        let mut messages = Messages::default();
        messages.take("p", &b"x".repeat(5000));
        messages.take("p", b"\rbar\x07\n\n");
        assert_eq!(messages.last_words(Instant::now()), "bar?");
        let lines: String = (0..100).map(|n| "z".repeat(n + 2) + "\n").collect();
        messages.take("p", lines.as_bytes());
        assert_eq!((messages.logged, messages.passed_over), (LINES_A_SECOND, 92));
        messages.take("p", &b"y".repeat(5000));
        messages.finish("p");
        assert_eq!((messages.last.len(), messages.passed_over), (MAX_LINE, 0));
    }

    #[test]
    fn a_message_long_before_the_end_is_not_its_reason() {
        let mut messages = Messages::default();
        let begun = Instant::now();
        assert_eq!(messages.last_words(begun), "");
        messages.take("p", b"150 31725\n");
        assert_eq!(messages.last_words(begun + Duration::from_secs(1)), "150 31725");
        assert_eq!(messages.last_words(begun + Duration::from_secs(60)), "");
        messages.take("p", b"no such camera");
        messages.finish("p");
        assert_eq!(messages.last_words(Instant::now()), "no such camera");
    }
}
