//! The log: one write per line to stderr, with the journal's priorities when stderr is the journal.

use crate::os::localtime;
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::time::SystemTime;

/// The most bytes of a message. Longer messages are cut, because a client may send long texts.
const MAX_MESSAGE: usize = 4000;

/// The style of a line, which depends on the kind of stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineStyle {
    /// The journal: a line has a priority, and no time, because the journal adds the time.
    Journal,
    /// A terminal: a line has the time of day and colours.
    Colored,
    /// Any other stderr: a line has the time of day.
    Plain,
}

struct Logger {
    style: LineStyle,
}

/// Starts the log. A second call only changes the level.
pub fn start(level: LevelFilter) {
    // An error means that a logger is installed already, as in tests. That logger stays.
    let _ = log::set_boxed_logger(Box::new(Logger { style: style() }));
    set_level(level);
}

/// Prints a message to stderr, independent of the log level. `eprintln!` would end the program when stderr is a closed
/// pipe or a file on a full disk.
pub fn tell(text: &str) {
    let _ = std::io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}

/// Sets the log level. Other crates log only warnings and errors, unless the level is `debug` or `trace`.
pub fn set_level(level: LevelFilter) {
    log::set_max_level(level);
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let max = log::max_level();
        let ours = metadata.target().split("::").next() == Some(env!("CARGO_PKG_NAME"));
        metadata.level() <= if ours || max >= LevelFilter::Debug { max } else { max.min(LevelFilter::Warn) }
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line =
            line(self.style, record.level(), &record.args().to_string(), || localtime::time_of_day(SystemTime::now()));
        // stderr is unbuffered: this is one write, so that lines of two threads never mix.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}

fn line(style: LineStyle, level: Level, message: &str, clock: impl FnOnce() -> [i32; 3]) -> String {
    let mut line = String::with_capacity(message.len() + 32);
    if style == LineStyle::Journal {
        let priority = match level {
            Level::Error => 3,
            Level::Warn => 4,
            Level::Info => 6,
            Level::Debug | Level::Trace => 7,
        };
        let _ = write!(line, "<{priority}>");
    } else {
        let [hour, minute, second] = clock();
        let word = level.as_str().to_ascii_lowercase();
        let (on, off) = match (style, level) {
            (LineStyle::Colored, Level::Error) => ("\x1b[1;31m", "\x1b[0m"),
            (LineStyle::Colored, Level::Warn) => ("\x1b[33m", "\x1b[0m"),
            (LineStyle::Colored, Level::Debug | Level::Trace) => ("\x1b[2m", "\x1b[0m"),
            _ => ("", ""),
        };
        let _ = write!(line, "{hour:02}:{minute:02}:{second:02} {on}{word:5}{off} ");
    }
    escape_into(&mut line, message);
    line.push('\n');
    line
}

/// Appends `message`. Characters that could begin another line, control the terminal or reverse the text are escaped:
/// messages contain names from folders and from HTTP.
fn escape_into(line: &mut String, message: &str) {
    for (at, c) in message.char_indices() {
        if at >= MAX_MESSAGE {
            line.push('…');
            break;
        }
        let turns_text =
            matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || turns_text {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
}

fn style() -> LineStyle {
    let stderr = std::io::stderr();
    let journal = std::env::var("JOURNAL_STREAM").is_ok_and(|stream| is_journal(&stream, &stderr));
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match (journal, stderr.is_terminal() && !set("NO_COLOR")) {
        (true, _) => LineStyle::Journal,
        (false, true) => LineStyle::Colored,
        (false, false) => LineStyle::Plain,
    }
}

/// True when `stream`, systemd's `device:inode`, names this stderr. Child processes inherit the environment variable,
/// although their stderr may be another file.
fn is_journal(stream: &str, stderr: &impl AsFd) -> bool {
    let metadata = stderr.as_fd().try_clone_to_owned().map(std::fs::File::from).and_then(|file| file.metadata());
    metadata.is_ok_and(|m| stream == format!("{}:{}", m.dev(), m.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> [i32; 3] {
        [12, 3, 4]
    }

    #[test]
    fn the_journal_gets_a_priority_and_others_a_time() {
        assert_eq!(line(LineStyle::Journal, Level::Error, "no model", noon), "<3>no model\n");
        assert_eq!(line(LineStyle::Journal, Level::Info, "listening", noon), "<6>listening\n");
        assert_eq!(line(LineStyle::Plain, Level::Warn, "no model", noon), "12:03:04 warn  no model\n");
        assert_eq!(line(LineStyle::Colored, Level::Warn, "x", noon), "12:03:04 \u{1b}[33mwarn \u{1b}[0m x\n");
    }

    #[test]
    fn a_message_cannot_forge_a_line_nor_command_the_terminal() {
        let told = line(LineStyle::Journal, Level::Info, "민호\n<3>fire\u{1b}[2J\u{85}\u{202e}gpj", noon);
        assert_eq!(told, "<6>민호\\n<3>fire\\u{1b}[2J\\u{85}\\u{202e}gpj\n");
    }

    #[test]
    fn an_endless_message_is_cut() {
        let told = line(LineStyle::Journal, Level::Info, &"ü".repeat(100_000), noon);
        assert!(told.len() < MAX_MESSAGE + 20 && told.ends_with("…\n"), "{}", told.len());
    }

    #[test]
    fn only_the_stream_that_systemd_named_is_the_journal() {
        let file = tempfile::tempfile().unwrap();
        let metadata = file.metadata().unwrap();
        let stream = format!("{}:{}", metadata.dev(), metadata.ino());
        assert!(is_journal(&stream, &file));
        assert!(!is_journal(&stream, &tempfile::tempfile().unwrap()));
        assert!(!is_journal("nonsense", &file));
    }

    #[test]
    fn other_crates_log_only_warnings() {
        let logger = Logger { style: LineStyle::Plain };
        let heard = |target: &str, level| logger.enabled(&Metadata::builder().target(target).level(level).build());
        set_level(LevelFilter::Info);
        assert!(heard("namecam::camera", Level::Info) && !heard("namecam", Level::Debug));
        assert!(
            heard("tiny_http", Level::Warn) && !heard("tiny_http", Level::Info) && !heard("namecameo", Level::Info)
        );
        set_level(LevelFilter::Debug);
        assert!(heard("tiny_http", Level::Debug) && !heard("tiny_http", Level::Trace));
        set_level(LevelFilter::Error);
        assert!(!heard("tiny_http", Level::Warn));
    }
}
