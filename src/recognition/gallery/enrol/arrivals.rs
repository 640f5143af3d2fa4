//! Tracks the files of the gallery that are still being copied, and when the gallery is scanned again for them.
//!
//! A reload enrols complete files at once. After that the gallery is followed until nothing in it has changed for
//! [`PATIENCE`]: scans find new files and read those that have not changed for a while. The result is applied when
//! nothing has changed for [`QUIET`], or every [`AT_MOST`] during changes. Waiting for a file costs one `stat` per
//! second and no read. A scan costs a `stat` of each file, and reads each version of a file once.
//!
//! The age of a file is the time since the program first saw its current version, by the monotonic clock. The wall
//! clock is used only at a reload, for files that are new to the program, because their age is not known otherwise.

use crate::frame::Moment;
use std::collections::{HashMap, HashSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The age below which a file may still be growing.
const YOUNG: Duration = Duration::from_secs(2);
/// The age from which an incomplete file is given up, and the time without changes after which a gallery is complete.
const PATIENCE: Duration = Duration::from_secs(30);
/// The time without changes after which new files are applied. It doubles each time, so that pictures that arrive one
/// by one do not each cause a new gallery.
const QUIET: Duration = Duration::from_secs(3);
/// The longest time between two applications while files arrive.
const AT_MOST: Duration = Duration::from_secs(60);
/// The longest time for which the gallery is followed after a reload.
const FOLLOWED: Duration = Duration::from_secs(3600);

/// Identifies a version of a file: device, inode, length and times of change.
pub type Stamp = [i64; 7];

pub fn stamp(m: &Metadata) -> Stamp {
    let [dev, ino, len] = [m.dev(), m.ino(), m.len()].map(u64::cast_signed);
    [dev, ino, len, m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec()]
}

/// Why the gallery is scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnrolmentCause {
    /// The start or a reload.
    Reload,
    /// A scan for files that were incomplete or arrived later.
    Again,
    /// The last scan of that kind: each file is used as it is.
    Last,
}

/// The files that are still being copied.
#[derive(Debug)]
pub struct Arrivals {
    /// Files that are not enrolled, because they may still change or cannot be read.
    files: HashMap<PathBuf, Arriving>,
    /// The current scan, or the last one.
    cause: EnrolmentCause,
    /// True from a reload until the gallery is complete.
    following: bool,
    /// True when an awaited file was deleted.
    gone: bool,
    /// The time without changes after which new files are applied.
    quiet: Duration,
    /// The longest time between two scans. It doubles while nothing new is found.
    pause: Duration,
    /// When the last scan began.
    scanned_at: Instant,
    /// When something last changed.
    changed: Instant,
    /// When everything that had been found was last applied.
    complete: Instant,
    /// When the files that the reload found were applied.
    reloaded: Instant,
    /// A digest of the result of the last scan, and of the applied one.
    found: Option<u64>,
    at_work: Option<u64>,
    /// Files that are known to be complete, whatever their age.
    complete_files: HashSet<PathBuf>,
}

#[derive(Debug)]
struct Arriving {
    stamp: Stamp,
    /// When the current version was first seen.
    seen: Instant,
    /// The age of that version at that time.
    before: Duration,
    state: FileState,
    /// How often the file was read and was incomplete. From the second time on, the required age doubles.
    incomplete: u32,
    /// True when the last scan found the file.
    listed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileState {
    /// The current version has not been read.
    Unread,
    /// The file was read and is incomplete. `told` is true while the roster lists it as still being copied.
    Incomplete {
        told: bool,
    },
    Refused,
}

impl Arriving {
    fn new(stamp: Stamp, now: Instant, before: Duration) -> Arriving {
        Arriving { stamp, seen: now, before, state: FileState::Unread, incomplete: 0, listed: true }
    }

    fn update(&mut self, stamp: Stamp, now: Instant) -> bool {
        let changed = self.stamp != stamp;
        if changed {
            *self = Arriving {
                incomplete: self.incomplete,
                listed: self.listed,
                ..Arriving::new(stamp, now, Duration::ZERO)
            };
        }
        changed
    }

    /// How long the current version has been observed.
    fn watched(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.seen)
    }

    /// The age of the current version.
    fn still(&self, now: Instant) -> Duration {
        self.watched(now) + self.before
    }

    fn may_be_read(&self, now: Instant) -> bool {
        let needed = YOUNG.saturating_mul(1 << self.incomplete.saturating_sub(1).min(4)).min(PATIENCE);
        self.still(now) >= needed
    }

    /// True when a scan would have another result for the file than the last one.
    fn is_news(&self, now: Instant) -> bool {
        match self.state {
            FileState::Unread => self.may_be_read(now),
            FileState::Incomplete { told } => told && self.still(now) >= PATIENCE,
            FileState::Refused => false,
        }
    }

    /// True while the file may become a picture. An incomplete file that seems old may have the time stamp of a wrong
    /// clock.
    fn is_awaited(&self, now: Instant) -> bool {
        match self.state {
            FileState::Unread => true,
            FileState::Incomplete { told } => told || self.watched(now) < PATIENCE,
            FileState::Refused => false,
        }
    }
}

impl Default for Arrivals {
    /// The state in which no file is awaited.
    fn default() -> Arrivals {
        let now = Instant::now();
        Arrivals {
            files: HashMap::new(),
            cause: EnrolmentCause::Reload,
            following: false,
            gone: false,
            quiet: QUIET,
            pause: QUIET,
            scanned_at: now,
            changed: now,
            complete: now,
            reloaded: now,
            found: None,
            at_work: None,
            complete_files: HashSet::new(),
        }
    }
}

impl Arrivals {
    /// Checks each awaited file; `Some` when the gallery must be scanned again. Called once a second.
    pub fn due(&mut self, now: Instant) -> Option<EnrolmentCause> {
        if !self.following {
            return None;
        }
        if now.saturating_duration_since(self.reloaded) >= FOLLOWED {
            return Some(EnrolmentCause::Last);
        }
        let mut changed = false;
        self.files.retain(|path, file| match std::fs::symlink_metadata(path) {
            Ok(metadata) => {
                changed |= file.update(stamp(&metadata), now);
                true
            }
            Err(_) => {
                (changed, self.gone) = (true, true);
                false
            }
        });
        if changed {
            self.changed = now;
        }
        let news = self.gone || self.found != self.at_work || self.files.values().any(|file| file.is_news(now));
        let long_since_change = |at: Instant| at.saturating_duration_since(self.changed) >= PATIENCE;
        let (is_over, was_over) = (long_since_change(now), long_since_change(self.scanned_at));
        if was_over && !news && !self.files.values().any(|file| file.is_awaited(now)) {
            self.stop();
            return None;
        }
        // The final scan runs at the end, for files that arrived since the one before.
        let is_time = now.saturating_duration_since(self.scanned_at) >= self.pause || (is_over && !was_over);
        (is_time || (news && (self.is_quiet(now) || self.is_late(now)))).then_some(EnrolmentCause::Again)
    }

    fn is_quiet(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.changed) >= self.quiet
    }

    fn is_late(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.complete) >= AT_MOST
    }

    /// Records that files are complete: the next scan reads them, however young they are.
    pub fn vouch_for(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        self.complete_files.extend(files);
    }

    /// Stops waiting for files.
    pub fn stop(&mut self) {
        self.following = false;
        self.files.clear();
    }

    pub fn begin(&mut self, cause: EnrolmentCause, now: Instant) {
        (self.cause, self.scanned_at, self.gone) = (cause, now, false);
        self.files.values_mut().for_each(|file| file.listed = false);
        if cause == EnrolmentCause::Reload {
            (self.following, self.quiet, self.changed, self.complete) = (true, QUIET, now, now);
        }
    }

    /// Called by a scan for each file; true when the current version is old enough to be read.
    pub fn meet(&mut self, path: &Path, metadata: &Metadata, now: Moment) -> bool {
        if self.complete_files.contains(path) {
            return true;
        }
        let (stamp, reload) = (stamp(metadata), self.cause == EnrolmentCause::Reload);
        let file = self.files.entry(path.to_owned()).or_insert_with(|| {
            // A file that only a later scan finds has arrived since the scan before. A time stamp in the future shows
            // only that a clock was changed; such a file was probably not written just now.
            let age = || metadata.modified().map(|at| now.wall.duration_since(at).unwrap_or(PATIENCE));
            let before = if reload { age().unwrap_or(PATIENCE) } else { Duration::ZERO };
            if !reload {
                self.changed = now.instant;
            }
            Arriving::new(stamp, now.instant, before)
        });
        if file.update(stamp, now.instant) {
            self.changed = now.instant;
        }
        file.listed = true;
        file.may_be_read(now.instant) || self.cause == EnrolmentCause::Last
    }

    /// True for a file that was read, was incomplete, has not changed since, and is not given up.
    pub fn waits_for(&mut self, path: &Path, stamp: Stamp, now: Moment) -> bool {
        let Some(file) = self.files.get_mut(path).filter(|file| file.stamp == stamp) else { return false };
        file.listed = true;
        if file.state != (FileState::Incomplete { told: true }) {
            return false;
        }
        let told = self.cause != EnrolmentCause::Last && file.still(now.instant) < PATIENCE;
        file.state = FileState::Incomplete { told };
        told
    }

    /// Records that a file was read and is incomplete; true while it may still be completed.
    pub fn lacks_its_end(&mut self, path: &Path, now: Moment) -> bool {
        let Some(file) = self.files.get_mut(path) else { return false };
        let told = self.cause != EnrolmentCause::Last && file.still(now.instant) < PATIENCE;
        (file.state, file.incomplete) = (FileState::Incomplete { told }, file.incomplete.saturating_add(1));
        told
    }

    /// Records that a file cannot be read. It is read again when it changes while other files are awaited.
    pub fn refused(&mut self, path: &Path) {
        if let Some(file) = self.files.get_mut(path) {
            file.state = FileState::Refused;
        }
    }

    /// Records that a file was read and is complete.
    pub fn has_come(&mut self, path: &Path) {
        self.files.remove(path);
    }

    /// Ends a scan; `found` is the digest of its result. True when the result must be applied now.
    pub fn put_to_work(&mut self, found: u64, now: Instant) -> bool {
        self.files.retain(|_, file| file.listed);
        self.complete_files.clear();
        self.pause = if self.found == Some(found) { (self.pause * 2).min(PATIENCE) } else { QUIET };
        self.found = Some(found);
        let news = self.cause == EnrolmentCause::Reload || self.found != self.at_work;
        if news && self.cause == EnrolmentCause::Again {
            if self.is_quiet(now) {
                self.quiet = (self.quiet * 2).min(AT_MOST);
            } else if !self.is_late(now) {
                return false;
            }
        }
        (self.at_work, self.complete) = (self.found, now);
        match self.cause {
            EnrolmentCause::Reload => self.reloaded = now,
            EnrolmentCause::Again => {}
            EnrolmentCause::Last => self.stop(),
        }
        news
    }

    /// True until the gallery is complete.
    #[cfg(test)]
    pub fn is_following(&self) -> bool {
        self.following
    }
}
