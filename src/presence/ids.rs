//! [`Ids`]: the ids of events. They increase across restarts.
//!
//! A file in the state folder holds the end of the ids that are taken. Each start takes the next million with one
//! write, and does not depend on the clock.

use crate::os::files;
use crate::telemetry::faults::{Cause, Faults};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// How many ids are taken at a time.
const BLOCK: u64 = 1_000_000;
/// When fewer than this many ids are left, more are taken.
const FEW: u64 = 10_000;
/// A larger number in the file is not valid: a browser cannot represent integers above 2^53 exactly.
const MOST: u64 = 1 << 52;

/// The range of ids that this run has taken.
#[derive(Debug)]
pub struct Ids {
    file: Option<PathBuf>,
    /// The ids begin after this one.
    pub begin: u64,
    end: u64,
}

impl Ids {
    /// Takes ids that no earlier run has used. When the file cannot be read or written, a fault is reported, and the
    /// ids begin at the current time in microseconds.
    pub fn take(folder: Option<&Path>, now: SystemTime, faults: &Faults) -> Ids {
        let file = folder.map(|folder| folder.join("events"));
        let found = file.as_deref().map_or_else(|| Err("there is no state folder".to_owned()), read);
        let begin = *found.as_ref().unwrap_or(&0);
        let mut ids = Ids { file, begin, end: begin + BLOCK };
        if let Err(why) = found.and_then(|_| ids.write()) {
            // One id per microsecond: more than any run uses.
            let time = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
            ids.begin = u64::try_from(time).unwrap_or_default().max(begin).min(MOST);
            ids.end = ids.begin + BLOCK;
            faults.report(Cause::EventIds, &format!("{why}; the ids of events begin at the time"));
            let _ = ids.write();
        }
        ids
    }

    /// Takes more ids when fewer than [`FEW`] are left after `newest`.
    pub fn take_more(&mut self, newest: u64, faults: &Faults) {
        if newest + FEW < self.end {
            return;
        }
        self.end += BLOCK;
        if let Err(why) = self.write() {
            faults.report(Cause::EventIds, &why);
        }
    }

    fn write(&self) -> Result<(), String> {
        let Some(file) = &self.file else { return Ok(()) };
        let written =
            files::make_folder_of(file).and_then(|()| files::replace(file, format!("{}\n", self.end).as_bytes()));
        written.map_err(|error| format!("{}: {error}", file.display()))
    }
}

/// The end of the taken ids according to the file; 0 without a file.
fn read(file: &Path) -> Result<u64, String> {
    let told = |what: &str| format!("{}: {what}", file.display());
    match std::fs::read_to_string(file) {
        Ok(text) => text.trim().parse().ok().filter(|id| *id <= MOST).ok_or_else(|| told("it holds no id")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(told(&error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn ids_grow_across_restarts_with_one_write_each_whatever_the_clock_says() {
        let (folder, faults) = (tempfile::tempdir().unwrap(), Faults::default());
        let state = folder.path().join("state");
        let begins = [1_800_000_000, 5, 0].map(|seconds| Ids::take(Some(&state), at(seconds), &faults).begin);
        assert_eq!(begins, [0, 1_000_000, 2_000_000]);
        let mut ids = Ids::take(Some(&state), at(0), &faults);
        ids.take_more(3_000_007, &faults);
        let written = || std::fs::read_to_string(state.join("events")).unwrap();
        assert_eq!(written(), "4000000\n");
        ids.take_more(3_999_000, &faults);
        assert_eq!(written(), "5000000\n");
        assert_eq!(faults.all(), []);
    }

    #[test]
    fn an_unwritable_folder_is_reported_and_ids_begin_at_the_current_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("events");
        // A file where the folder should be, and a file that holds no id.
        for (state, content) in
            [(file.as_path(), "a file"), (folder.path(), "a file"), (folder.path(), "99999999999999999999")]
        {
            std::fs::write(&file, content).unwrap();
            let faults = Faults::default();
            assert_eq!(Ids::take(Some(state), at(1_800_000_000), &faults).begin, 1_800_000_000_000_000);
            let all = faults.all();
            assert!(all.len() == 1 && all[0].detail.ends_with("the ids of events begin at the time"), "{all:?}");
        }
        // The file that held no id has one now.
        assert_eq!(Ids::take(Some(folder.path()), at(0), &Faults::default()).begin, 1_800_000_001_000_000);
        assert_eq!(Ids::take(None, at(7), &Faults::default()).begin, 7_000_000);
    }
}
