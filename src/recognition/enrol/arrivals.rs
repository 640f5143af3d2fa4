//! Which files of the gallery are still being written, and when the gallery is gone through again for them.
//!
//! A reload takes what is whole at once. It is then followed until nothing in the gallery has changed for [`PATIENCE`]:
//! passes find what has come since, read what has stood still, and put all of it to work once nothing has changed for
//! [`QUIET`], or every [`AT_MOST`] while something does. A file that is waited for costs one `stat` a second and no read. A
//! pass costs a `stat` of each file, and reads each state of a file once.
//!
//! Time is that of the monotonic clock since this program first saw a file as it is. The wall clock counts only at a
//! reload, for files that were not waited for before: there, nothing else says how long a file has stood still.

use crate::frame::Moment;
use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A file that was written to so recently may still be growing.
const YOUNG: Duration = Duration::from_secs(2);
/// A file without its end that nobody has written to for so long is given up. A gallery in which nothing has changed for so
/// long is complete.
const PATIENCE: Duration = Duration::from_secs(30);
/// What has come is put to work when nothing has changed for so long. It doubles each time, or pictures that come one by
/// one would each make a gallery.
const QUIET: Duration = Duration::from_secs(3);
/// What has come is put to work at least so often while more is coming.
const AT_MOST: Duration = Duration::from_secs(60);
/// A reload is followed no longer than this.
const FOLLOWED: Duration = Duration::from_secs(3600);

/// Changes whenever a file's content does: device, inode, length, times of change.
pub type Stamp = [i64; 7];

/// The stamp of a file.
pub fn stamp(m: &Metadata) -> Stamp {
    let [dev, ino, len] = [m.dev(), m.ino(), m.len()].map(u64::cast_signed);
    [dev, ino, len, m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec()]
}

/// Why the gallery is gone through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// At the start and at a reload.
    Reload,
    /// For files that had not come whole.
    Again,
    /// As `Again`, for the last time: each file is judged as it is.
    Last,
}

/// What of the gallery is still coming.
#[derive(Debug)]
pub struct Arrivals {
    /// Files that have not been taken in, because they may still change or cannot be read.
    files: HashMap<PathBuf, Arriving>,
    /// The pass that is at work, or the last one.
    pass: Pass,
    /// True from a reload until nothing has changed for long.
    following: bool,
    /// True when a file that was waited for is gone.
    gone: bool,
    /// How long nothing must have changed for what has come to be put to work.
    quiet: Duration,
    /// How long after a pass the next one begins at the latest. It doubles while nothing new is found.
    pause: Duration,
    /// When the last pass began.
    passed: Instant,
    /// When something last changed.
    changed: Instant,
    /// When everything that had been found was last at work.
    complete: Instant,
    /// When what the reload found was put to work.
    reloaded: Instant,
    /// A digest of what the last pass found, and of what is at work.
    found: Option<u64>,
    at_work: Option<u64>,
}

#[derive(Debug)]
struct Arriving {
    stamp: Stamp,
    /// When it was first seen as it is now.
    seen: Instant,
    /// How long it had stood still by then.
    before: Duration,
    state: State,
    /// How often it has been read and had no end: from the second time on, it must stand still for twice as long.
    incomplete: u32,
    /// Whether the last pass came by it.
    listed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not read as it is now.
    Unread,
    /// Read, and its end is missing. `told`: the roster says that it is still being copied.
    Incomplete { told: bool },
    /// It cannot be read.
    Refused,
}

impl Arriving {
    fn new(stamp: Stamp, now: Instant, before: Duration) -> Arriving {
        Arriving { stamp, seen: now, before, state: State::Unread, incomplete: 0, listed: true }
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

    /// How long it has been seen to stand still.
    fn watched(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.seen)
    }

    /// How long it has stood still.
    fn still(&self, now: Instant) -> Duration {
        self.watched(now) + self.before
    }

    fn may_be_read(&self, now: Instant) -> bool {
        let needed = YOUNG.saturating_mul(1 << self.incomplete.saturating_sub(1).min(4)).min(PATIENCE);
        self.still(now) >= needed
    }

    /// True when a pass would say something else of it than the last one did.
    fn is_news(&self, now: Instant) -> bool {
        match self.state {
            State::Unread => self.may_be_read(now),
            State::Incomplete { told } => told && self.still(now) >= PATIENCE,
            State::Refused => false,
        }
    }

    /// True while it may become a picture. A file without its end that looks old may be one from a clock that is wrong.
    fn is_awaited(&self, now: Instant) -> bool {
        match self.state {
            State::Unread => true,
            State::Incomplete { told } => told || self.watched(now) < PATIENCE,
            State::Refused => false,
        }
    }
}

impl Default for Arrivals {
    /// Nothing is on its way.
    fn default() -> Arrivals {
        let now = Instant::now();
        Arrivals {
            files: HashMap::new(),
            pass: Pass::Reload,
            following: false,
            gone: false,
            quiet: QUIET,
            pause: QUIET,
            passed: now,
            changed: now,
            complete: now,
            reloaded: now,
            found: None,
            at_work: None,
        }
    }
}

impl Arrivals {
    /// Looks at each file that is waited for; `Some` when the gallery is to be gone through again. Once a second is enough.
    pub fn due(&mut self, now: Instant) -> Option<Pass> {
        if !self.following {
            return None;
        }
        if now.saturating_duration_since(self.reloaded) >= FOLLOWED {
            return Some(Pass::Last);
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
        let (is_over, was_over) = (long_since_change(now), long_since_change(self.passed));
        if was_over && !news && !self.files.values().any(|file| file.is_awaited(now)) {
            self.stop();
            return None;
        }
        // The last pass of all comes at the end, for what came since the one before.
        let is_time = now.saturating_duration_since(self.passed) >= self.pause || (is_over && !was_over);
        (is_time || (news && (self.is_quiet(now) || self.is_late(now)))).then_some(Pass::Again)
    }

    fn is_quiet(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.changed) >= self.quiet
    }

    fn is_late(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.complete) >= AT_MOST
    }

    /// Nothing is waited for any longer.
    pub fn stop(&mut self) {
        self.following = false;
        self.files.clear();
    }

    /// The gallery has been listed and is gone through.
    pub fn begin(&mut self, pass: Pass, now: Instant) {
        (self.pass, self.passed, self.gone) = (pass, now, false);
        self.files.values_mut().for_each(|file| file.listed = false);
        if pass == Pass::Reload {
            (self.following, self.quiet, self.changed, self.complete) = (true, QUIET, now, now);
        }
    }

    /// A pass has come to a file; true when it has stood still for long enough to be read.
    pub fn meet(&mut self, path: &Path, metadata: &Metadata, now: Moment) -> bool {
        let (stamp, reload) = (stamp(metadata), self.pass == Pass::Reload);
        let file = self.files.entry(path.to_owned()).or_insert_with(|| {
            // What a later pass finds came after the one before it. A time in the future says nothing but that a clock was
            // set: such a file was hardly written this moment.
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
        file.may_be_read(now.instant) || self.pass == Pass::Last
    }

    /// True for a file that was read without its end, has not changed since, and is not given up.
    pub fn waits_for(&mut self, path: &Path, stamp: Stamp, now: Moment) -> bool {
        let Some(file) = self.files.get_mut(path).filter(|file| file.stamp == stamp) else { return false };
        file.listed = true;
        if file.state != (State::Incomplete { told: true }) {
            return false;
        }
        let told = self.pass != Pass::Last && file.still(now.instant) < PATIENCE;
        file.state = State::Incomplete { told };
        told
    }

    /// A file was read and has no end; true while that may still come.
    pub fn lacks_its_end(&mut self, path: &Path, now: Moment) -> bool {
        let Some(file) = self.files.get_mut(path) else { return false };
        let told = self.pass != Pass::Last && file.still(now.instant) < PATIENCE;
        (file.state, file.incomplete) = (State::Incomplete { told }, file.incomplete.saturating_add(1));
        told
    }

    /// A file cannot be read. Should that change while others are waited for, it is tried again.
    pub fn refused(&mut self, path: &Path) {
        if let Some(file) = self.files.get_mut(path) {
            file.state = State::Refused;
        }
    }

    /// A file was read and is whole.
    pub fn has_come(&mut self, path: &Path) {
        self.files.remove(path);
    }

    /// A pass is over and has found what `found` is a digest of; true when that is to be put to work now.
    pub fn put_to_work(&mut self, found: u64, now: Instant) -> bool {
        self.files.retain(|_, file| file.listed);
        self.pause = if self.found == Some(found) { (self.pause * 2).min(PATIENCE) } else { QUIET };
        self.found = Some(found);
        let news = self.pass == Pass::Reload || self.found != self.at_work;
        if news && self.pass == Pass::Again {
            if self.is_quiet(now) {
                self.quiet = (self.quiet * 2).min(AT_MOST);
            } else if !self.is_late(now) {
                return false;
            }
        }
        (self.at_work, self.complete) = (self.found, now);
        match self.pass {
            Pass::Reload => self.reloaded = now,
            Pass::Again => {}
            Pass::Last => self.stop(),
        }
        news
    }

    /// True until nothing has changed for long.
    #[cfg(test)]
    pub fn is_following(&self) -> bool {
        self.following
    }
}
