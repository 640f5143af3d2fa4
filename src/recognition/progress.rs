//! How far the gallery has been taken in, on stderr: a bar on a terminal, a line now and then in a journal.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// Nothing is shown of what is done sooner than this.
const PATIENCE: Duration = Duration::from_millis(500);
/// In a journal, a line so often.
const LINE_EVERY: Duration = Duration::from_secs(10);
const BAR_WIDTH: usize = 30;

/// Shows how far it is.
#[derive(Debug)]
pub struct Progress {
    next: Instant,
    terminal: bool,
    drawn: bool,
}

impl Progress {
    /// Begins now.
    pub fn new() -> Progress {
        let terminal = stderr().is_terminal();
        let first = if terminal { PATIENCE } else { LINE_EVERY / 5 };
        Progress { next: Instant::now() + first, terminal, drawn: false }
    }

    /// So many pictures of so many are done.
    pub fn show(&mut self, (done, total): (usize, usize)) {
        if Instant::now() < self.next || total == 0 {
            return;
        }
        if self.terminal {
            let filled = BAR_WIDTH * done / total;
            let bar = "#".repeat(filled) + &"-".repeat(BAR_WIDTH - filled);
            // A terminal that is gone is no reason to stop.
            let _ = write!(stderr(), "\rgallery [{bar}] {done}/{total} ");
            self.drawn = true;
            self.next = Instant::now() + PATIENCE / 5;
        } else {
            log::info!("gallery: {done} of {total} pictures");
            self.next = Instant::now() + LINE_EVERY;
        }
    }

    /// Takes the bar away.
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
