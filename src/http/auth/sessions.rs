//! [`Sessions`]: the sessions that began on the login page, with their users, browsers and end.
//!
//! The browser has a secret of 128 random bits in a cookie. The program has its SHA-256, in memory and in the file
//! `sessions` of the state folder, so the file lets nobody in. The use of a session changes only memory; times of last
//! use are written once a day.

use crate::http::auth::secret;
use crate::os::files;
use crate::sync::lock;
use crate::telemetry::faults::Cause;
use crate::telemetry::health::Health;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// The longest life of a session.
pub const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);
/// The longest life without use.
const UNUSED: Duration = Duration::from_secs(7 * 24 * 3600);
/// The longest life without use of a session that stays: the longest time for which browsers keep a cookie (RFC
/// 6265bis, 5.5).
pub const STAYS_UNUSED: Duration = Duration::from_secs(400 * 24 * 3600);
/// The most sessions. One more ends, of the user with the most sessions, the one that was unused for longest.
const MOST: usize = 1000;
/// The most sessions of one user.
const MOST_OF_A_USER: usize = 100;
/// The largest file that is read; a session takes about 250 bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The SHA-256 of a session's secret, or of a line of the password file.
pub type Fingerprint = [u8; 32];

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub user: Arc<str>,
    /// The fingerprint of the user's line in the password file; another password ends the session.
    pub account: Fingerprint,
    /// True when a viewer stays signed in on this device.
    pub stays: bool,
    /// The address from which the user logged in.
    pub from: String,
    pub begun: SystemTime,
    pub used: SystemTime,
    /// The time of last use in the file.
    written: SystemTime,
}

impl Session {
    /// The time without use after which the session ends.
    fn unused(&self) -> Duration {
        if self.stays { STAYS_UNUSED } else { UNUSED }
    }

    /// True for a session that has expired. A board without a real-time clock may be back in the past after a start; a
    /// session from the future counts as one that has just begun.
    fn is_over(&self, now: SystemTime) -> bool {
        let age = |since| now.duration_since(since).unwrap_or_default();
        age(self.used) >= self.unused() || (!self.stays && age(self.begun) >= LONGEST)
    }
}

/// The sessions.
pub struct Sessions {
    health: Arc<Health>,
    /// The file; with `None` the sessions end with the program.
    file: Option<PathBuf>,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    sessions: HashMap<Fingerprint, Session>,
    /// Increased by each change that must be written.
    version: u64,
    /// True while a thread writes the file.
    is_writing: bool,
}

/// The result of a search for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundSession {
    pub key: Fingerprint,
    pub session: Session,
    /// True when the browser should keep the cookie for longer; that happens at most once a day.
    pub is_renewed: bool,
}

impl Sessions {
    /// The sessions of the file in `folder`; none when there is no file or it cannot be read.
    pub fn open(folder: Option<&Path>, health: Arc<Health>) -> Sessions {
        let file = folder.map(|folder| folder.join("sessions"));
        let sessions = file.as_deref().map_or_else(HashMap::new, |file| {
            read(file).unwrap_or_else(|why| {
                health
                    .faults
                    .report(Cause::Sessions, &format!("{}: {why}; everybody must log in again", file.display()));
                HashMap::new()
            })
        });
        Sessions { health, file, table: Mutex::new(Table { sessions, ..Table::default() }) }
    }

    /// Begins a session, and returns its secret.
    ///
    /// # Errors
    /// When the system provides no random numbers.
    pub fn begin(
        self: &Arc<Self>,
        (user, account): (&str, Fingerprint),
        stays: bool,
        from: String,
    ) -> anyhow::Result<String> {
        let secret = files::hex(&secret::random_128()?);
        let now = SystemTime::now();
        let session = Session { user: user.into(), account, stays, from, begun: now, used: now, written: now };
        self.change(|table| {
            table.sessions.retain(|_, session| !session.is_over(now));
            table.make_room(user);
            table.sessions.insert(fingerprint(&secret), session);
        });
        Ok(secret)
    }

    /// The session of a secret. This counts as a use.
    pub fn find(self: &Arc<Self>, secret: &str, now: SystemTime) -> Option<FoundSession> {
        let key = fingerprint(secret);
        let mut table = lock(&self.table);
        let session = table.sessions.get_mut(&key).filter(|session| !session.is_over(now))?;
        // A board without a real-time clock is in the past after a start, until it gets the time. That use must not make
        // the session look unused afterwards.
        session.used = session.used.max(now);
        let is_renewed = now.duration_since(session.written).is_ok_and(|since| since >= DAY);
        if is_renewed {
            session.written = now;
        }
        let found = FoundSession { key, session: session.clone(), is_renewed };
        drop(table);
        if is_renewed {
            self.change(|_| ());
        }
        Some(found)
    }

    /// The session of a key, as in [`Sessions::list`]. This does not count as a use.
    pub fn get(&self, key: &Fingerprint) -> Option<Session> {
        lock(&self.table).sessions.get(key).filter(|session| !session.is_over(SystemTime::now())).cloned()
    }

    /// Ends the sessions for which `ends` is true; returns their number.
    pub fn end(self: &Arc<Self>, ends: impl Fn(&Fingerprint, &Session) -> bool) -> usize {
        let mut ended = 0;
        let any = lock(&self.table).sessions.iter().any(|(key, session)| ends(key, session));
        if any {
            self.change(|table| {
                let before = table.sessions.len();
                table.sessions.retain(|key, session| !ends(key, session));
                ended = before - table.sessions.len();
            });
        }
        ended
    }

    /// The sessions, the newest first.
    pub fn list(&self) -> Vec<(Fingerprint, Session)> {
        let now = SystemTime::now();
        let table = lock(&self.table);
        let mut list: Vec<_> = table.sessions.iter().map(|(key, session)| (*key, session.clone())).collect();
        drop(table);
        list.retain(|(_, session)| !session.is_over(now));
        list.sort_by_key(|(_, session)| std::cmp::Reverse(session.begun));
        list
    }

    /// Changes the table. A thread writes the file, so that no request waits for the disk.
    fn change(self: &Arc<Self>, change: impl FnOnce(&mut Table)) {
        let mut table = lock(&self.table);
        change(&mut table);
        table.version += 1;
        if table.is_writing || self.file.is_none() {
            return;
        }
        let this = Arc::clone(self);
        let thread = std::thread::Builder::new().name("http-sessions".to_owned());
        match thread.spawn(move || this.write_until_done()) {
            Ok(_) => table.is_writing = true,
            // The next change tries again.
            Err(error) => {
                self.health.faults.report(Cause::Sessions, &format!("cannot start a thread to write them: {error}"))
            }
        }
    }

    fn write_until_done(&self) {
        let Some(file) = &self.file else { return };
        loop {
            let table = lock(&self.table);
            let (version, text) = (table.version, text(&table.sessions));
            drop(table);
            if let Err(error) = files::make_folder_of(file).and_then(|()| files::replace(file, text.as_bytes())) {
                let what = format!("{} cannot be written: {error}; sessions end when namecam does", file.display());
                self.health.faults.report(Cause::Sessions, &what);
            }
            let mut table = lock(&self.table);
            if table.version == version {
                table.is_writing = false;
                return;
            }
        }
    }
}

impl Table {
    /// Ends sessions until `user` may have one more.
    fn make_room(&mut self, user: &str) {
        let mut counts: HashMap<&Arc<str>, usize> = HashMap::new();
        for session in self.sessions.values() {
            *counts.entry(&session.user).or_default() += 1;
        }
        let own = counts.iter().find(|(name, _)| &****name == user).map(|(name, count)| (Arc::clone(name), *count));
        let most = counts.into_iter().max_by_key(|(_, count)| *count).map(|(name, _)| Arc::clone(name));
        let whose = match own {
            Some((own, count)) if count >= MOST_OF_A_USER => Some(own),
            _ => most.filter(|_| self.sessions.len() >= MOST),
        };
        let theirs = self.sessions.iter().filter(|(_, session)| Some(&session.user) == whose.as_ref());
        if let Some(oldest) = theirs.min_by_key(|(_, session)| session.used).map(|(key, _)| *key) {
            self.sessions.remove(&oldest);
        }
    }
}

/// The SHA-256 of a text.
pub fn fingerprint(text: &str) -> Fingerprint {
    Sha256::digest(text).into()
}

/// The format of a line of the file.
#[derive(Serialize, Deserialize)]
struct SessionLine {
    key: String,
    user: String,
    account: String,
    stays: bool,
    from: String,
    begun_unix_s: u64,
    used_unix_s: u64,
}

fn text(sessions: &HashMap<Fingerprint, Session>) -> String {
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let line = |(key, session): (&Fingerprint, &Session)| {
        let line = SessionLine {
            key: files::hex(key),
            user: session.user.to_string(),
            account: files::hex(&session.account),
            stays: session.stays,
            from: session.from.clone(),
            begun_unix_s: seconds(session.begun),
            used_unix_s: seconds(session.used),
        };
        serde_json::to_string(&line).unwrap_or_default() + "\n"
    };
    sessions.iter().map(line).collect()
}

fn read(file: &Path) -> Result<HashMap<Fingerprint, Session>, String> {
    let size = match std::fs::metadata(file) {
        Ok(meta) => meta.len(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(format!("cannot be read: {error}")),
    };
    if size > MAX_BYTES {
        return Err(format!("is damaged: {size} bytes are too many"));
    }
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot be read: {error}"))?;
    let lines = (1..).zip(text.lines());
    let read = |(number, line): (usize, &str)| parsed(line).ok_or(format!("line {number} is damaged"));
    lines.take(MOST).map(read).collect()
}

fn parsed(line: &str) -> Option<(Fingerprint, Session)> {
    let line: SessionLine = serde_json::from_str(line).ok()?;
    let time = |seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    let used = time(line.used_unix_s)?;
    let session = Session {
        user: line.user.into(),
        account: files::from_hex(&line.account)?,
        stays: line.stays,
        from: line.from,
        begun: time(line.begun_unix_s)?,
        used,
        written: used,
    };
    Some((files::from_hex(&line.key)?, session))
}

/// Parses any bytes as lines of a file of sessions.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let sessions: HashMap<Fingerprint, Session> = String::from_utf8_lossy(bytes).lines().filter_map(parsed).collect();
    for session in sessions.values() {
        session.is_over(SystemTime::now());
    }
    assert_eq!(text(&sessions).lines().filter_map(parsed).count(), sessions.len());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;
    use std::time::Instant;

    fn opened(folder: &Path) -> Arc<Sessions> {
        Arc::new(Sessions::open(Some(folder), Arc::default()))
    }

    fn begin(sessions: &Arc<Sessions>, user: &str, stays: bool) -> String {
        sessions.begin((user, fingerprint(user)), stays, "192.0.2.1".to_owned()).unwrap()
    }

    fn find(sessions: &Arc<Sessions>, secret: &str, after: Duration) -> Option<FoundSession> {
        sessions.find(secret, SystemTime::now() + after)
    }

    /// Waits until no thread writes the file.
    fn settle(sessions: &Sessions) {
        let begun = Instant::now();
        while lock(&sessions.table).is_writing {
            assert!(begun.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn a_session_survives_a_restart_and_the_file_holds_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = opened(folder.path());
        // A name may hold what JSON escapes.
        let secrets = ["anna", "민호\"\\"].map(|user| begin(&sessions, user, false));
        settle(&sessions);
        let file = folder.path().join("sessions");
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(secrets.iter().all(|secret| secret.len() == 32 && !text.contains(secret)) && secrets[0] != secrets[1]);
        let again = opened(folder.path());
        assert_eq!(&*find(&again, &secrets[1], Duration::ZERO).unwrap().session.user, "민호\"\\");
        assert_eq!(again.list().len(), 2);
        assert_eq!(again.end(|_, session| &*session.user == "anna"), 1);
        settle(&again);
        let third = opened(folder.path());
        assert_eq!(find(&third, &secrets[0], Duration::ZERO), None);
        assert!(find(&third, &secrets[1], Duration::ZERO).is_some());
        for wrong in ["", "0", &secrets[0], &files::hex(&fingerprint(&secrets[1]))] {
            assert_eq!(find(&third, wrong, Duration::ZERO), None);
        }
    }

    #[test]
    fn a_session_ends_after_7_days_without_use_and_after_30_and_one_that_stays_after_400_without() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = opened(folder.path());
        let (usual, stays) = (begin(&sessions, "anna", false), begin(&sessions, "anna", true));
        for day in (0..30).step_by(6) {
            assert!(find(&sessions, &usual, DAY * day).is_some(), "{day}");
        }
        assert!(find(&sessions, &usual, DAY * 30 - Duration::from_secs(60)).is_some());
        assert_eq!(find(&sessions, &usual, DAY * 30), None);
        assert!(find(&sessions, &stays, DAY * 399).is_some());
        assert!(find(&sessions, &stays, DAY * (399 + 399)).is_some());
        assert_eq!(find(&sessions, &stays, DAY * (399 + 399 + 400)), None);
        let unused = begin(&sessions, "anna", false);
        assert_eq!(find(&sessions, &unused, DAY * 7), None);
        assert!(find(&sessions, &unused, DAY * 7 - Duration::from_secs(60)).is_some());
        // The clock of a board without one goes back at a start.
        let now = SystemTime::now() - 300 * DAY;
        assert!(sessions.find(&unused, now).is_some());
        assert!(find(&sessions, &unused, Duration::ZERO).is_some(), "the clock has the right time again");
    }

    #[test]
    fn a_use_is_written_once_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = opened(folder.path());
        let secret = begin(&sessions, "anna", true);
        settle(&sessions);
        let version = lock(&sessions.table).version;
        let renewed = (0..48 * 60).filter(|minutes| {
            find(&sessions, &secret, Duration::from_secs(minutes * 60)).is_some_and(|found| found.is_renewed)
        });
        // The times of the days are counted from the login.
        assert_eq!(renewed.count(), 1);
        settle(&sessions);
        assert_eq!(lock(&sessions.table).version - version, 1);
    }

    #[test]
    fn many_logins_end_the_users_own_oldest_session_and_the_file_stays_below_a_megabyte() {
        let sessions = Arc::new(Sessions::open(None, Arc::default()));
        let owner = begin(&sessions, "owner", false);
        for login in 0..3 * MOST {
            begin(&sessions, &format!("user {}", login % 40), false);
        }
        assert_eq!(sessions.list().len(), MOST);
        assert!(find(&sessions, &owner, Duration::ZERO).is_some());
        let few = Arc::new(Sessions::open(None, Arc::default()));
        let first = begin(&few, "anna", false);
        for _ in 0..MOST_OF_A_USER {
            begin(&few, "anna", false);
        }
        assert_eq!((few.list().len(), find(&few, &first, Duration::ZERO)), (MOST_OF_A_USER, None));
        let table = lock(&sessions.table);
        let each = size_of::<(Fingerprint, Session)>() + 1;
        let texts: usize =
            table.sessions.values().map(|session| session.user.len() + 16 + session.from.len() + 32).sum();
        assert!(table.sessions.capacity() * 8 / 7 * each + texts < 1 << 20);
    }

    #[test]
    fn a_damaged_file_is_reported_and_replaced() {
        for damage in ["{", "not JSON\n", "{\"key\":\"00\"}\n", &"x".repeat(2 << 20)] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("sessions");
            std::fs::write(&file, damage).unwrap();
            let sessions = opened(folder.path());
            assert_eq!((sessions.health.faults.all().len(), sessions.list().len()), (1, 0));
            let secret = begin(&sessions, "anna", false);
            settle(&sessions);
            assert!(find(&opened(folder.path()), &secret, Duration::ZERO).is_some());
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_a_fault_and_the_session_is_valid_meanwhile() {
        let sessions = opened(Path::new("/proc/absent"));
        let secret = begin(&sessions, "anna", false);
        settle(&sessions);
        assert!(find(&sessions, &secret, Duration::ZERO).is_some());
        assert_eq!(sessions.health.faults.all()[0].cause, Cause::Sessions);
    }
}
