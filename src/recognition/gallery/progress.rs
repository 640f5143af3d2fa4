//! The progress of enrolment on stderr: a bar on a terminal, occasional lines in the journal.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// The time before progress is shown; shorter enrolments show none.
const PATIENCE: Duration = Duration::from_millis(500);
/// The interval of lines in the journal.
const LINE_EVERY: Duration = Duration::from_secs(10);
const BAR_WIDTH: usize = 30;

#[derive(Debug)]
pub struct Progress {
    next: Instant,
    terminal: bool,
    drawn: bool,
}

impl Progress {
    pub fn new() -> Progress {
        let terminal = stderr().is_terminal();
        let first = if terminal { PATIENCE } else { LINE_EVERY / 5 };
        Progress { next: Instant::now() + first, terminal, drawn: false }
    }

    pub fn show(&mut self, (done, total): (usize, usize)) {
        if Instant::now() < self.next || total == 0 {
            return;
        }
        if self.terminal {
            let filled = BAR_WIDTH * done / total;
            let bar = "#".repeat(filled) + &"-".repeat(BAR_WIDTH - filled);
            // A failure to write to the terminal is ignored.
            let _ = write!(stderr(), "\rgallery [{bar}] {done}/{total} ");
            self.drawn = true;
            self.next = Instant::now() + PATIENCE / 5;
        } else {
            log::info!("gallery: {done} of {total} pictures");
            self.next = Instant::now() + LINE_EVERY;
        }
    }

    /// Removes the bar.
    pub fn done(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let _ = write!(stderr(), "\r{:width$}\r", "", width = BAR_WIDTH + 30);
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Progress::new()
    }
}
