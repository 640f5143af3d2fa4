//! Who may ask what: the Host check against DNS rebinding, and the passwords.

use super::accounts::{Accounts, Role};
use super::checks::{Checks, Mark, Unchecked};
use super::client::{client, network};
use super::listener::machine_name;
use super::message::{Request, Whole};
use super::penalties::Penalties;
use crate::config::Config;
use crate::health::{Cause, Health, lock};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Whom a route is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Open,
    /// Who may watch.
    Viewer,
    /// Who may see the gallery.
    Admin,
}

/// The user of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// What they may do.
    pub role: Role,
    /// The user who logged in; `None` where no password is needed.
    pub user: Option<String>,
}

/// How long a request may wait while others' passwords are checked.
const PATIENCE: Duration = Duration::from_secs(20);

/// For so long requests wait for a new password file to be read. A disk that hangs longer leaves the accounts as they were.
const READ_PATIENCE: Duration = Duration::from_secs(1);

/// Decides who may ask what.
pub struct Gate {
    health: Arc<Health>,
    machine: String,
    /// Random, of this process: what is remembered is worth nothing elsewhere.
    key: [u8; 32],
    known: Mutex<Known>,
    /// A password file was read.
    read: Condvar,
    /// The right password of each user who gave it, as [`Gate::mark`] has it. A mark is of a line of the password file: it
    /// outlives a reload, and fits no other hash.
    proven: Mutex<HashMap<String, Mark>>,
    checks: Checks,
    penalties: Mutex<Penalties>,
}

/// The accounts of a version of the config; `None` when nobody needs a password.
#[derive(Clone, Default)]
struct Known {
    version: u64,
    /// Since when the password file of that config is read.
    reading: Option<Instant>,
    accounts: Option<Arc<Accounts>>,
}

impl Gate {
    /// A gate that knows nobody yet; [`Gate::refresh`] tells it.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn new(health: Arc<Health>) -> anyhow::Result<Gate> {
        let mut key = [0; 32];
        for half in key.chunks_exact_mut(16) {
            let random = argon2::password_hash::try_generate_salt();
            half.copy_from_slice(&random.map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?);
        }
        let machine = machine_name().to_lowercase();
        let (known, read, proven, checks, penalties) = Default::default();
        Ok(Gate { health, machine, key, known, read, proven, checks, penalties })
    }

    /// Reads the password file when the config is a new one, in a thread of its own: neither the HTTP loop nor an answer
    /// waits for a disk that hangs. A bad file is reported, and the accounts stay as they were; at the start that is nobody.
    pub fn refresh(self: &Arc<Gate>, version: u64, config: &Config) {
        let mut known = lock(&self.known);
        // A request that comes late with an older config brings nothing back.
        if version <= known.version {
            return;
        }
        let Some(path) = config.http.password_file.clone() else {
            *known = Known { version, ..Known::default() };
            lock(&self.proven).clear();
            return;
        };
        // From now on nobody is let in without a password.
        known.accounts.get_or_insert_default();
        let gate = Arc::clone(self);
        let thread = std::thread::Builder::new().name("http-accounts".to_owned());
        match thread.spawn(move || gate.read_accounts(version, &path)) {
            Ok(_) => (known.version, known.reading) = (version, Some(Instant::now())),
            // The next request tries again.
            Err(error) => {
                self.health.faults.report(Cause::PasswordFile, &format!("no thread to read it: {error}"));
            }
        }
    }

    fn read_accounts(&self, version: u64, path: &Path) {
        let read = Accounts::load(path);
        match &read {
            Ok(accounts) => accounts.warnings.iter().for_each(|warning| log::warn!("{warning}")),
            Err(problems) => {
                problems.iter().for_each(|problem| self.health.faults.report(Cause::PasswordFile, problem));
            }
        }
        let mut known = lock(&self.known);
        // The config that named this file may be an old one by now.
        if known.version != version {
            return;
        }
        known.reading = None;
        if let Ok(accounts) = read {
            lock(&self.proven).retain(|user, _| accounts.hash(user).is_some());
            known.accounts = Some(Arc::new(accounts));
        }
        drop(known);
        self.read.notify_all();
    }

    /// The accounts of the newest config, or the ones before while its password file cannot be read; `None` when nobody needs
    /// a password.
    fn accounts(&self) -> Option<Arc<Accounts>> {
        let known = lock(&self.known);
        let left = known.reading.map_or(Duration::ZERO, |since| READ_PATIENCE.saturating_sub(since.elapsed()));
        let known = self.read.wait_timeout_while(known, left, |known| known.reading.is_some());
        known.unwrap_or_else(PoisonError::into_inner).0.accounts.clone()
    }

    /// Lets a request pass that comes under a name of this machine.
    ///
    /// # Errors
    /// The answer that says which name is not among them.
    pub fn check_host(&self, request: &Request, config: &Config) -> Result<(), Whole> {
        let stranger = hosts(request).find(|host| !self.is_mine(host, config));
        let Some(host) = stranger else { return Ok(()) };
        let host: String = host.chars().filter(|c| c.is_ascii_graphic()).take(100).collect();
        Err(Whole::text(
            421,
            &format!(
                "This is a namecam, but not one that is called {host}.\nIf that is its name, add it to http.hosts in \
                 namecam.ini and reload; its address as a number always works."
            ),
        ))
    }

    fn is_mine(&self, host: &str, config: &Config) -> bool {
        if let Some(rest) = host.strip_prefix('[') {
            return rest.split_once(']').is_some_and(|(ip, _)| ip.parse::<Ipv6Addr>().is_ok());
        }
        let name = host.split(':').next().unwrap_or_default().trim_end_matches('.').to_lowercase();
        let short = self.machine.split('.').next().unwrap_or_default();
        let machine = !short.is_empty()
            && (name == self.machine || name == short || name.strip_suffix(".local").is_some_and(|n| n == short));
        name.parse::<IpAddr>().is_ok() || name == "localhost" || machine || config.http.hosts.contains(&name)
    }

    /// The user of a request, and what they may do.
    ///
    /// # Errors
    /// The answer that refuses.
    pub fn admit(&self, request: &Request, config: &Config, access: Access) -> Result<Who, Whole> {
        if access == Access::Open {
            return Ok(Who { role: Role::Viewer, user: None });
        }
        let (role, user) = match self.accounts() {
            Some(accounts) => {
                let role = self.log_in(request, &accounts)?;
                (role, request.header("Authorization").and_then(basic).map(|(user, _)| user))
            }
            None => (without_password(request, config)?, None),
        };
        if access == Access::Admin && role != Role::Admin {
            let how = "This is for an admin: a user with that role in http.password_file";
            let here = if config.http.password_file.is_none() {
                ", or anybody who asks on the machine itself for localhost"
            } else {
                ""
            };
            return Err(Whole::text(403, &format!("{how}{here}.")));
        }
        Ok(Who { role, user })
    }

    fn log_in(&self, request: &Request, accounts: &Accounts) -> Result<Role, Whole> {
        let Some((user, password)) = request.header("Authorization").and_then(basic) else {
            return Err(unauthorized("A user name and a password are needed."));
        };
        let mark = self.mark(accounts, &user, &password);
        let proven = || accounts.role(&user).filter(|_| lock(&self.proven).get(&user) == Some(&mark));
        if let Some(role) = proven() {
            return Ok(role);
        }
        let from = client(request);
        self.may_try(from)?;
        let deadline = Instant::now() + PATIENCE;
        // While this one waits the same password may prove right, or others from there may fail.
        let settled = || proven().is_some() || self.may_try(from).is_err();
        let turn = self.checks.wait(from.map(network), mark, deadline, settled);
        if let Some(role) = proven() {
            return Ok(role);
        }
        self.may_try(from)?;
        let turn = turn.map_err(|why| match why {
            Unchecked::TooMany => {
                Whole::later(429, 5, "Many passwords from there are being checked; please try again.")
            }
            _ => Whole::later(503, 5, "Many passwords are being checked; please try again."),
        })?;
        let Some(role) = accounts.verify(&user, &password) else {
            self.failed(from);
            drop(turn);
            self.checks.hold_back(deadline);
            return Err(unauthorized("The user name or the password is wrong."));
        };
        if let Some(from) = from {
            lock(&self.penalties).forgive(from);
        }
        lock(&self.proven).insert(user, mark);
        Ok(role)
    }

    /// What a password is remembered by: of the line that it was checked against. To look it up takes a time that says
    /// nothing without the key.
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

    fn failed(&self, from: Option<IpAddr>) {
        self.health.faults.report(Cause::WrongPassword, "");
        let Some(from) = from else { return };
        if lock(&self.penalties).note(from, Instant::now()) {
            log::warn!("http: a wrong user name or password from {from}; from there no more of them are told");
        }
    }
}

/// Without a password file who asks on the machine itself is admin, and `open` or loopback makes a viewer.
fn without_password(request: &Request, config: &Config) -> Result<Role, Whole> {
    let loopback = request.peer.is_some_and(|peer| peer.to_canonical().is_loopback());
    match (loopback, config.http.open) {
        (true, _) if asks_for_itself(request) => Ok(Role::Admin),
        (true, _) | (_, true) => Ok(Role::Viewer),
        _ => Err(Whole::text(403, "Not from here: set http.password_file, or http.open = yes, in namecam.ini.")),
    }
}

/// False when a proxy on this machine asks for somebody else, as far as it lets that be seen: it says so, or passes on
/// the name that the other one asked for. One that does neither looks like a person at this machine.
fn asks_for_itself(request: &Request) -> bool {
    let proxied = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.starts_with("x-forwarded-") || ["forwarded", "x-real-ip", "via"].contains(&&*name)
    };
    let named = hosts(request).next().is_some() && hosts(request).all(is_loopback);
    named && !request.headers.iter().any(|(name, _)| proxied(name))
}

/// Every name that a request has for this machine; more than one is unusual.
fn hosts(request: &Request) -> impl Iterator<Item = &str> {
    let headers = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Host"));
    headers.map(|(_, host)| host.as_str()).chain(request.authority.as_deref())
}

/// True when `host`, with or without a port, is this machine as it calls itself.
fn is_loopback(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        let ip = rest.split(']').next().and_then(|ip| ip.parse::<Ipv6Addr>().ok());
        return ip.is_some_and(|ip| ip.to_canonical().is_loopback());
    }
    let name = host.split(':').next().unwrap_or_default().trim_end_matches('.');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn unauthorized(text: &str) -> Whole {
    Whole::text(401, text).with("WWW-Authenticate", "Basic realm=\"namecam\", charset=\"UTF-8\"")
}

/// User and password of an `Authorization: Basic` header.
fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, code) = header.split_once(' ')?;
    let plain = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(code.trim()).ok())??;
    let (user, password) = std::str::from_utf8(&plain).ok()?.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}
