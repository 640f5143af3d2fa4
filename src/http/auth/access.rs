//! Access control: the Host check against DNS rebinding, and the credentials of requests.

use crate::config::Config;
use crate::http::auth::accounts::{self, Accounts, Role};
use crate::http::auth::checks::{Checks, Mark, Unchecked};
use crate::http::auth::penalties::Penalties;
use crate::http::auth::sessions::{Fingerprint, FoundSession, LONGEST, STAYS_UNUSED, Sessions, fingerprint};
use crate::http::auth::{cookies, origin, secret};
use crate::http::client::{client, network};
use crate::http::message::{Request, Whole};
use crate::os::net::machine_name;
use crate::sync::{lock, wait_while};
use crate::telemetry::faults::Cause;
use crate::telemetry::health::Health;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone.
    Open,
    /// Viewers and admins.
    Viewer,
    /// Viewers and admins, and also a viewer's token in the address, because a dashboard shows the picture in an
    /// `<img>`, which sends no other credential.
    Picture,
    /// Admins.
    Admin,
}

/// The credential of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// None, because no password is needed.
    None,
    /// A user name and a password.
    Password,
    /// A token.
    Token,
    /// The cookie of the session with this key.
    Session(Fingerprint),
}

/// The user of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// The role of the user.
    pub role: Role,
    /// The name of the user or token; `None` when no password is needed.
    pub user: Option<String>,
    /// The credential of the request.
    pub credential: Credential,
    /// True when the connection comes from this machine.
    is_local: bool,
    /// The fingerprint of the user's line in the password file.
    account: Option<Fingerprint>,
    /// The cookie that the response sets, so that the browser keeps the session for longer.
    pub renewed_cookie: Option<String>,
}

/// Why a request is refused.
#[derive(Debug)]
pub enum Refused {
    /// A credential is missing or wrong.
    LogIn(&'static str),
    /// The response with the reason.
    Because(Whole),
    /// Too many passwords wait for a check. The response says so.
    Busy(Whole),
}

impl From<Whole> for Refused {
    fn from(whole: Whole) -> Refused {
        Refused::Because(whole)
    }
}

/// How long a request may wait while the passwords of other requests are checked.
const PATIENCE: Duration = Duration::from_secs(20);

const WRONG: &str = "The user name or the password is wrong.";

/// The mark of all wrong tokens of an address, which count as one wrong password. Nobody guesses a token of 128 random
/// bits, but a page of another site can make a browser request pictures with many wrong ones.
const WRONG_TOKENS: Mark = [0; 32];

/// How often a request checks whether another change of a password has ended.
const CHANGE_POLL: Duration = Duration::from_millis(20);

/// How long requests wait for a new password file to be read. When a disk hangs longer, the previous accounts stay in
/// use. On a machine that runs many tests, the thread that reads the file may start late.
const READ_PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 6 } else { 1 });

/// Decides whether a request is allowed.
pub struct AccessCheck {
    health: Arc<Health>,
    machine: String,
    /// A random key of this process. Without it, the marks in `proven` are useless.
    key: [u8; 32],
    known: Mutex<KnownLogin>,
    /// Signals that a password file was read.
    read: Condvar,
    /// The [`AccessCheck::mark`] of each verified password. A mark belongs to a line of the password file: it stays
    /// valid across a reload, and does not match another hash.
    proven: Mutex<HashMap<String, Mark>>,
    checks: Checks,
    penalties: Mutex<Penalties>,
    sessions: Arc<Sessions>,
    /// Locked while a user's password is changed, from the reading of the password file to the use of the new accounts,
    /// so that no change is lost when two come at once.
    changing: Mutex<()>,
}

/// The accounts of a version of the config; `None` when no password is needed.
#[derive(Clone, Default)]
struct KnownLogin {
    version: u64,
    /// When reading the password file of that config began.
    reading: Option<Instant>,
    /// The number of readings of a password file that have begun, and that of the reading from which the accounts are.
    begun: u64,
    read: u64,
    accounts: Option<Arc<Accounts>>,
}

impl AccessCheck {
    /// An access check with the `accounts` of the first config, if they have been read; [`AccessCheck::refresh`] reads
    /// those of later configs. The sessions are stored in `folder`.
    ///
    /// # Errors
    /// When the system provides no random numbers.
    pub fn new(health: Arc<Health>, accounts: Option<Accounts>, folder: Option<&Path>) -> anyhow::Result<AccessCheck> {
        let mut key = [0; 32];
        for half in key.chunks_exact_mut(16) {
            half.copy_from_slice(&secret::random_128()?);
        }
        let sessions = Arc::new(Sessions::open(folder, Arc::clone(&health)));
        let machine = machine_name().to_lowercase();
        let first = |accounts| KnownLogin { version: 1, accounts: Some(Arc::new(accounts)), ..KnownLogin::default() };
        let known = Mutex::new(accounts.inspect(Accounts::warn).map(first).unwrap_or_default());
        let (read, proven, checks, penalties, changing) = Default::default();
        Ok(AccessCheck { health, machine, key, known, read, proven, checks, penalties, sessions, changing })
    }

    /// Reads the password file of a new config in a separate thread, so that neither the HTTP loop nor a request waits
    /// for a disk that hangs. A bad file is reported, and the previous accounts stay in use; at first there are none.
    pub fn refresh(self: &Arc<AccessCheck>, version: u64, config: &Config) {
        let mut known = lock(&self.known);
        // An old config from a late request does not restore its accounts.
        if version <= known.version {
            return;
        }
        let Some(path) = config.http.password_file.clone() else {
            *known = KnownLogin { version, ..KnownLogin::default() };
            lock(&self.proven).clear();
            return;
        };
        // From now on every request needs a password.
        known.accounts.get_or_insert_default();
        let gate = Arc::clone(self);
        let thread = std::thread::Builder::new().name("http-accounts".to_owned());
        match thread.spawn(move || gate.read_accounts(version, &path)) {
            Ok(_) => (known.version, known.reading) = (version, Some(Instant::now())),
            // The next request tries again.
            Err(error) => {
                self.health.faults.report(Cause::PasswordFile, &format!("cannot start a thread to read it: {error}"));
            }
        }
    }

    fn read_accounts(&self, version: u64, path: &Path) {
        match self.load(version, path) {
            Ok(accounts) => accounts.warn(),
            Err(problems) => {
                problems.iter().for_each(|problem| self.health.faults.report(Cause::PasswordFile, problem));
            }
        }
        let mut known = lock(&self.known);
        // A newer config may have replaced the one that named this file.
        if known.version == version {
            known.reading = None;
            self.read.notify_all();
        }
    }

    /// Reads the password file of the config of this version, and puts its accounts into use, unless a newer config or a
    /// reading that began later was faster.
    fn load(&self, version: u64, path: &Path) -> Result<Arc<Accounts>, Vec<String>> {
        let mut known = lock(&self.known);
        known.begun += 1;
        let number = known.begun;
        drop(known);
        let accounts = Arc::new(Accounts::load(path)?);
        let mut known = lock(&self.known);
        if known.version == version && known.read < number {
            lock(&self.proven).retain(|user, _| accounts.hash(user).is_some());
            (known.read, known.accounts) = (number, Some(Arc::clone(&accounts)));
            drop(known);
            self.end_sessions_of_other(&accounts);
        }
        Ok(accounts)
    }

    /// Ends the sessions of users whose password has changed or who were removed.
    fn end_sessions_of_other(&self, accounts: &Accounts) {
        self.sessions.end(|_, session| account_of(accounts, &session.user) != Some(session.account));
    }

    /// The accounts of the newest config, or the previous ones while its password file cannot be read; `None` when no
    /// password is needed.
    fn accounts(&self) -> Option<Arc<Accounts>> {
        let known = lock(&self.known);
        let left = known.reading.map_or(Duration::ZERO, |since| READ_PATIENCE.saturating_sub(since.elapsed()));
        wait_while(&self.read, known, left, |known| known.reading.is_some()).accounts.clone()
    }

    /// Accepts a request whose Host header names this machine.
    ///
    /// # Errors
    /// The response that names the unknown host.
    pub fn check_host(&self, request: &Request, config: &Config) -> Result<(), Whole> {
        let stranger = hosts(request).find(|host| !self.is_mine(host, config));
        let Some(host) = stranger else { return Ok(()) };
        let host: String = host.chars().filter(|c| c.is_ascii_graphic()).take(100).collect();
        Err(Whole::text(
            421,
            &format!(
                "This namecam is not known as {host}.\nIf the name is right, add it to http.hosts in namecam.ini and reload \
                 namecam. Its IP address always works."
            ),
        ))
    }

    fn is_mine(&self, host: &str, config: &Config) -> bool {
        let Err(name) = address_or_name(host) else { return true };
        let short = self.machine.split('.').next().unwrap_or_default();
        let machine = !short.is_empty()
            && (name == self.machine || name == short || name.strip_suffix(".local").is_some_and(|n| n == short));
        name == "localhost" || machine || config.http.hosts.contains(&name)
    }

    /// The user of a request and their role.
    ///
    /// # Errors
    /// Why the request is refused.
    pub fn admit(&self, request: &Request, config: &Config, access: Access) -> Result<Who, Refused> {
        if access == Access::Open {
            return Ok(nobody(Role::Viewer));
        }
        let mut who = match self.accounts() {
            Some(accounts) => self.identify(request, &accounts, access)?,
            None => nobody(without_password(request, config)?),
        };
        who.is_local = is_local(request);
        if access == Access::Admin && who.role != Role::Admin {
            let how = "This needs an admin: a user with that role in http.password_file";
            let here = if config.http.password_file.is_none() {
                ", or a browser on the same machine that opens http://localhost"
            } else {
                ""
            };
            return Err(Whole::text(403, &format!("{how}{here}.")).into());
        }
        Ok(who)
    }

    /// True while `who` may still see what they were admitted to: their password has not changed and their session has
    /// not ended; without a password file, access from their address is still allowed.
    pub fn is_still_admitted(&self, who: &Who, config: &Config) -> bool {
        let accounts = lock(&self.known).accounts.clone();
        let (accounts, user) = match (accounts, &who.user) {
            // Who logged in before the password file was removed asks again: their role may be another one now.
            (None, user) => return user.is_none() && (config.http.open || who.is_local),
            (Some(_), None) => return false,
            (Some(accounts), Some(user)) => (accounts, user),
        };
        let same = accounts.role(user) == Some(who.role) && account_of(&accounts, user) == who.account;
        let lasts = |key| self.sessions.get(&key).is_some();
        same && if let Credential::Session(key) = who.credential { lasts(key) } else { true }
    }

    /// Accepts a change unless a page of another origin may have sent the request.
    ///
    /// # Errors
    /// The response that says what is missing.
    pub fn check_origin(request: &Request, credential: Credential) -> Result<(), Whole> {
        // A browser does not send a token on its own, and a request with a password but without an origin is not from a
        // browser.
        let allowed = match (credential, origin::is_own(request)) {
            (Credential::Token, _) | (_, Some(true)) => true,
            (_, Some(false)) => false,
            (credential, None) => credential == Credential::Password,
        };
        if allowed {
            return Ok(());
        }
        Err(Whole::text(
            403,
            "A change must come from namecam's own page. A program sends a token (Authorization: Bearer ...), or a user name \
             and a password.",
        ))
    }

    fn identify(&self, request: &Request, accounts: &Accounts, access: Access) -> Result<Who, Refused> {
        let header = request.header("Authorization");
        let is_bearer = |header: &&str| header.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer "));
        if let Some(bearer) = header.filter(is_bearer) {
            return self.of_token(request, accounts, bearer[7..].trim());
        }
        if let Some(token) = request.param("token").filter(|_| access == Access::Picture) {
            let who = self.of_token(request, accounts, token)?;
            if who.role == Role::Admin {
                let what = "An admin's token must not be in an address, where others see it. Make a viewer's: namecam passwd --token NAME.";
                return Err(Whole::text(403, what).into());
            }
            return Ok(who);
        }
        if let Some(found) = self.session(request) {
            if let Some(who) = of_session(request, accounts, &found) {
                return Ok(who);
            }
            self.sessions.end(|key, _| *key == found.key);
        }
        let Some((user, password)) = header.and_then(basic) else {
            return Err(Refused::LogIn("Please log in with a user name and a password."));
        };
        let role = self.check_password(client(request), accounts, &user, &password)?;
        let account = account_of(accounts, &user);
        Ok(Who { user: Some(user), credential: Credential::Password, account, ..nobody(role) })
    }

    fn of_token(&self, request: &Request, accounts: &Accounts, token: &str) -> Result<Who, Refused> {
        let Some((name, role)) = accounts.of_token(token) else {
            let from = client(request);
            self.may_try(from)?;
            self.failed(from, WRONG_TOKENS);
            return Err(Refused::LogIn("The token is wrong, or has been replaced or removed."));
        };
        let account = account_of(accounts, name);
        let user = Some(name.to_owned());
        Ok(Who { user, credential: Credential::Token, account, ..nobody(role) })
    }

    /// The session of the cookie of a request.
    fn session(&self, request: &Request) -> Option<FoundSession> {
        self.sessions.find(cookies::secret(request)?, SystemTime::now())
    }

    /// True when a browser needs no login, because no password is needed or the browser has a session.
    pub fn needs_no_login(&self, request: &Request) -> bool {
        let Some(accounts) = self.accounts() else { return true };
        self.session(request).is_some_and(|found| of_session(request, &accounts, &found).is_some())
    }

    /// Begins a session for the user of a login page, and returns the cookie.
    ///
    /// # Errors
    /// Why the user is refused.
    pub fn log_in(&self, request: &Request, user: &str, password: &str, stays: bool) -> Result<String, Refused> {
        let Some(accounts) = self.accounts() else {
            return Err(Whole::text(409, "No password is needed here; http.password_file is not set.").into());
        };
        let from = client(request);
        let role = self.check_password(from, &accounts, user, password)?;
        let from = from.map_or_else(String::new, |from| from.to_string());
        log::info!("http: {user} has logged in from {from}");
        let account = account_of(&accounts, user).unwrap_or_default();
        self.begin_session(request, (user, account), stays && role == Role::Viewer, from)
    }

    fn begin_session(
        &self,
        request: &Request,
        user: (&str, Fingerprint),
        stays: bool,
        from: String,
    ) -> Result<String, Refused> {
        // A browser has at most one session.
        if let Some(old) = self.session(request) {
            self.sessions.end(|key, _| *key == old.key);
        }
        let secret = self.sessions.begin(user, stays, from).map_err(|error| Whole::text(500, &error.to_string()))?;
        let longest = if stays { STAYS_UNUSED } else { LONGEST };
        Ok(cookies::set(request, &secret, longest))
    }

    /// Ends the session of a request, and returns the cookie that deletes the browser's.
    pub fn log_out(&self, request: &Request) -> String {
        if let Some(found) = self.session(request) {
            self.sessions.end(|key, _| *key == found.key);
        }
        cookies::set(request, "", Duration::ZERO)
    }

    /// The sessions.
    pub fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// Changes the password of the user of a request, which ends all their sessions. For a browser, a new session
    /// begins; its cookie is returned. `newest` is the newest config with its version.
    ///
    /// # Errors
    /// Why nothing is changed.
    pub fn change_password(
        &self,
        request: &Request,
        newest: impl Fn() -> (u64, Arc<Config>),
        who: &Who,
        old: &str,
        new: &str,
    ) -> Result<Option<String>, Refused> {
        let (version, config) = newest();
        let (Some(accounts), Some(file)) = (self.accounts(), &config.http.password_file) else {
            return Err(Whole::text(409, "There are no passwords here; http.password_file is not set.").into());
        };
        let Some(user) = who.user.as_deref().filter(|_| who.credential != Credential::Token) else {
            return Err(Whole::text(403, "A token cannot change a password.").into());
        };
        let from = client(request);
        let stays = self.session(request).is_some_and(|found| found.session.stays);
        let role = match self.check_password(from, &accounts, user, old) {
            Err(Refused::LogIn(_)) => return Err(Whole::text(403, "The old password is wrong.").into()),
            role => role?,
        };
        let _changing = self.begin_change()?;
        let failed = |why: String| {
            let remedy = format!("on the board, run: sudo namecam passwd {user}");
            Whole::text(409, &format!("The password was not changed: {why}; {remedy}"))
        };
        let line = accounts::line(user, role, new).map_err(|error| failed(format!("{error:#}")))?;
        // Another request, or `namecam passwd`, may have changed or removed the user meanwhile.
        let now = self.load(version, file).map_err(|problems| failed(problems.join("; ")))?;
        if (now.role(user), now.hash(user)) != (Some(role), accounts.hash(user)) {
            return Err(Whole::text(409, "The account has changed meanwhile; please log in again.").into());
        }
        accounts::set_line(file, user, &line).map_err(|error| failed(format!("{error:#}")))?;
        // A config that was published meanwhile may have read the file before the change.
        let (version, config) = newest();
        let version = if config.http.password_file.as_ref() == Some(file) { version } else { 0 };
        let accounts = self.load(version, file).map_err(|problems| Whole::text(500, &problems.join("; ")))?;
        log::info!("http: {user} has changed their password");
        let Credential::Session(_) = who.credential else { return Ok(None) };
        let account = account_of(&accounts, user).unwrap_or_default();
        let from = from.map_or_else(String::new, |from| from.to_string());
        self.begin_session(request, (user, account), stays, from).map(Some)
    }

    /// Waits until no other password is being changed. The disk of the password file may hang.
    fn begin_change(&self) -> Result<MutexGuard<'_, ()>, Whole> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(changing) = self.changing.try_lock() {
                return Ok(changing);
            }
            if Instant::now() >= deadline {
                return Err(Whole::later(
                    503,
                    5,
                    "Another password is being changed; please try again in a few seconds.",
                ));
            }
            std::thread::sleep(CHANGE_POLL);
        }
    }

    /// The role of `user` when `password` is right.
    fn check_password(
        &self,
        from: Option<IpAddr>,
        accounts: &Accounts,
        user: &str,
        password: &str,
    ) -> Result<Role, Refused> {
        let mark = self.mark(accounts, user, password);
        let settled = || self.without_check(from, accounts.role(user), user, &mark);
        let count = |refused: &Refused| match refused {
            Refused::LogIn(_) => self.failed(from, mark),
            Refused::Because(_) | Refused::Busy(_) => {}
        };
        if let Some(result) = settled() {
            return result.inspect_err(count);
        }
        let deadline = Instant::now() + PATIENCE;
        // While this request waits, the same password may be checked for another one, or others of this client may fail.
        let turn = self.checks.wait(from.map(network), mark, deadline, || settled().is_some());
        if let Some(result) = settled() {
            return result.inspect_err(count);
        }
        let turn = turn.map_err(|why| {
            Refused::Busy(match why {
                Unchecked::TooMany => Whole::later(
                    429,
                    5,
                    "Too many passwords from your network are being checked; please try again in a few seconds.",
                ),
                _ => Whole::later(503, 5, "Too many passwords are being checked; please try again in a few seconds."),
            })
        })?;
        let Some(role) = accounts.verify(user, password) else {
            self.failed(from, mark);
            drop(turn);
            self.checks.hold_back(deadline);
            return Err(Refused::LogIn(WRONG));
        };
        if let Some(from) = from {
            lock(&self.penalties).forgive(from);
        }
        lock(&self.proven).insert(user.to_owned(), mark);
        Ok(role)
    }

    /// The result for a password with this mark that needs no check: the password was right before, the client must
    /// wait, or the same password of this client was wrong before. `role` is that of `user`.
    fn without_check(
        &self,
        from: Option<IpAddr>,
        role: Option<Role>,
        user: &str,
        mark: &Mark,
    ) -> Option<Result<Role, Refused>> {
        if let Some(role) = role.filter(|_| lock(&self.proven).get(user) == Some(mark)) {
            return Some(Ok(role));
        }
        if let Err(wait) = self.may_try(from) {
            return Some(Err(wait.into()));
        }
        let is_wrong = from.is_some_and(|from| lock(&self.penalties).is_known(from, mark));
        is_wrong.then_some(Err(Refused::LogIn(WRONG)))
    }

    /// The mark by which a verified password is remembered: a keyed hash of the password and its line of the password
    /// file. Without the key, the time of a look-up reveals nothing.
    fn mark(&self, accounts: &Accounts, user: &str, password: &str) -> Mark {
        let mut hash = Sha256::new();
        hash.update(self.key);
        for text in [user, accounts.hash(user).unwrap_or_default(), password] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        hash.finalize().into()
    }

    fn may_try(&self, from: Option<IpAddr>) -> Result<(), Whole> {
        let left = from.and_then(|from| lock(&self.penalties).left(from, Instant::now()));
        let Some(left) = left else { return Ok(()) };
        Err(Whole::later(429, left.as_secs() as u32 + 1, "Too many wrong passwords; please wait a few seconds."))
    }

    fn failed(&self, from: Option<IpAddr>, mark: Mark) {
        self.health.faults.report(Cause::WrongPassword, "");
        let Some(from) = from else { return };
        match lock(&self.penalties).note(from, mark, Instant::now()) {
            None => {}
            Some(1) => log::warn!("http: a wrong user name, password or token from {from}"),
            Some(count) => log::warn!("http: {count} wrong user names, passwords or tokens from {from} so far"),
        }
    }
}

/// The role without a password file: a client on this machine is an admin; with `open` or a loopback address, any other
/// client is a viewer.
fn without_password(request: &Request, config: &Config) -> Result<Role, Whole> {
    match (is_local(request), config.http.open) {
        (true, _) if asks_for_itself(request) => Ok(Role::Admin),
        (true, _) | (_, true) => Ok(Role::Viewer),
        _ => Err(Whole::text(
            403,
            "Access from this address is not allowed. Set http.password_file, or http.open = yes, in namecam.ini.",
        )),
    }
}

/// True for a connection from this machine.
fn is_local(request: &Request) -> bool {
    request.peer.is_some_and(|peer| peer.to_canonical().is_loopback())
}

/// False when a proxy on this machine forwards the request of another client, as far as a forwarding header or the host
/// name shows that. A proxy that shows neither looks like a local client.
fn asks_for_itself(request: &Request) -> bool {
    let proxied = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.starts_with("x-forwarded-") || ["forwarded", "x-real-ip", "via"].contains(&&*name)
    };
    let named = hosts(request).next().is_some()
        && hosts(request).all(|host| match address_or_name(host) {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(name) => name == "localhost",
        });
    named && !request.headers.iter().any(|(name, _)| proxied(name))
}

/// Every host name in a request: those of the Host headers and of an absolute target.
fn hosts(request: &Request) -> impl Iterator<Item = &str> {
    let headers = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Host"));
    headers.map(|(_, host)| host.as_str()).chain(request.authority.as_deref())
}

/// The address, or else the name in lower case, of a host that may have a port. A malformed host is returned whole, so
/// that it is not a known name.
fn address_or_name(host: &str) -> Result<IpAddr, String> {
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((ip, rest)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let ends = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
        // The zone of a link-local address is ignored.
        let ip = ip.split('%').next().filter(|_| ends).and_then(|ip| ip.parse::<Ipv6Addr>().ok());
        return ip.map(IpAddr::V6).ok_or_else(|| host.to_lowercase());
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) => name,
        _ => host,
    };
    let name = name.trim_end_matches('.').to_lowercase();
    name.parse().map_err(|_| name)
}

/// Parses any bytes as the parts of a request that identify its sender.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let request = crate::http::message::fuzz(bytes);
    cookies::secret(&request);
    cookies::set(&request, "secret", Duration::from_secs(60));
    let _ = AccessCheck::check_origin(&request, Credential::None);
    asks_for_itself(&request);
    for host in hosts(&request) {
        let _ = address_or_name(host);
    }
    request.header("Authorization").and_then(basic);
}

/// The user of a request without a credential.
fn nobody(role: Role) -> Who {
    Who { role, user: None, credential: Credential::None, is_local: false, account: None, renewed_cookie: None }
}

/// The fingerprint of the line of `user` in the password file.
fn account_of(accounts: &Accounts, user: &str) -> Option<Fingerprint> {
    accounts.hash(user).map(fingerprint)
}

/// The user of a session; `None` when the session has ended because the account has changed.
fn of_session(request: &Request, accounts: &Accounts, found: &FoundSession) -> Option<Who> {
    let session = &found.session;
    let role = accounts.role(&session.user)?;
    let account = account_of(accounts, &session.user);
    // A viewer who has become an admin logs in again: only viewers stay signed in.
    if account != Some(session.account) || (session.stays && role == Role::Admin) {
        return None;
    }
    let is_renewed = session.stays && found.is_renewed;
    let renewed_cookie = cookies::secret(request).filter(|_| is_renewed);
    Some(Who {
        user: Some(session.user.to_string()),
        credential: Credential::Session(found.key),
        account,
        renewed_cookie: renewed_cookie.map(|secret| cookies::set(request, secret, STAYS_UNUSED)),
        ..nobody(role)
    })
}

/// The user and the password of an `Authorization: Basic` header.
fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, code) = header.split_once(' ')?;
    let plain = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(code.trim()).ok())??;
    // Some libraries send Latin-1, in which each byte is the code point of its character.
    let text = String::from_utf8(plain)
        .unwrap_or_else(|error| error.as_bytes().iter().map(|&byte| char::from(byte)).collect());
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}
