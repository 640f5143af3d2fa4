//! Access control: the Host check against DNS rebinding, and the passwords.

use crate::config::Config;
use crate::http::auth::accounts::{Accounts, Role};
use crate::http::auth::checks::{Checks, Mark, Unchecked};
use crate::http::auth::penalties::Penalties;
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
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone.
    Open,
    /// Viewers and admins.
    Viewer,
    /// Admins.
    Admin,
}

/// The user of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// The role of the user.
    pub role: Role,
    /// The name of the user who logged in; `None` when no password is needed.
    pub user: Option<String>,
}

/// How long a request may wait while the passwords of other requests are checked.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long requests wait for a new password file to be read. When a disk hangs longer, the previous accounts stay in
/// use.
const READ_PATIENCE: Duration = Duration::from_secs(1);

/// Decides whether a request is allowed.
pub struct AccessCheck {
    health: Arc<Health>,
    machine: String,
    /// A random key of this process, without which the remembered marks are useless.
    key: [u8; 32],
    known: Mutex<KnownLogin>,
    /// Signals that a password file was read.
    read: Condvar,
    /// The [`AccessCheck::mark`] of each password that was verified. A mark belongs to a line of the password file: it stays
    /// valid across a reload, and does not match another hash.
    proven: Mutex<HashMap<String, Mark>>,
    checks: Checks,
    penalties: Mutex<Penalties>,
}

/// The accounts of a version of the config; `None` when no password is needed.
#[derive(Clone, Default)]
struct KnownLogin {
    version: u64,
    /// When reading the password file of that config began.
    reading: Option<Instant>,
    accounts: Option<Arc<Accounts>>,
}

impl AccessCheck {
    /// A gate with the `accounts` of the first config, when they have been read; [`AccessCheck::refresh`] reads others.
    ///
    /// # Errors
    /// When the system provides no random numbers.
    pub fn new(health: Arc<Health>, accounts: Option<Accounts>) -> anyhow::Result<AccessCheck> {
        let mut key = [0; 32];
        for half in key.chunks_exact_mut(16) {
            let random = argon2::password_hash::try_generate_salt();
            half.copy_from_slice(
                &random.map_err(|error| anyhow::anyhow!("the system provides no random numbers: {error}"))?,
            );
        }
        let machine = machine_name().to_lowercase();
        let first = |accounts| KnownLogin { version: 1, reading: None, accounts: Some(Arc::new(accounts)) };
        let known = Mutex::new(accounts.inspect(Accounts::warn).map(first).unwrap_or_default());
        let (read, proven, checks, penalties) = Default::default();
        Ok(AccessCheck { health, machine, key, known, read, proven, checks, penalties })
    }

    /// Reads the password file of a new config in a separate thread, so that neither the HTTP loop nor a request waits
    /// for a disk that hangs. A bad file is reported, and the previous accounts stay in use; at first there are none.
    pub fn refresh(self: &Arc<AccessCheck>, version: u64, config: &Config) {
        let mut known = lock(&self.known);
        // A late request with an older config does not restore that config's accounts.
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
        let read = Accounts::load(path);
        match &read {
            Ok(accounts) => accounts.warn(),
            Err(problems) => {
                problems.iter().for_each(|problem| self.health.faults.report(Cause::PasswordFile, problem));
            }
        }
        let mut known = lock(&self.known);
        // A newer config may have replaced the one that named this file.
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
    /// The response that refuses the request.
    pub fn admit(&self, request: &Request, config: &Config, access: Access) -> Result<Who, Whole> {
        if access == Access::Open {
            return Ok(Who { role: Role::Viewer, user: None });
        }
        let who = match self.accounts() {
            Some(accounts) => self.log_in(request, &accounts)?,
            None => Who { role: without_password(request, config)?, user: None },
        };
        if access == Access::Admin && who.role != Role::Admin {
            let how = "This needs an admin: a user with that role in http.password_file";
            let here = if config.http.password_file.is_none() {
                ", or a browser on the same machine that opens http://localhost"
            } else {
                ""
            };
            return Err(Whole::text(403, &format!("{how}{here}.")));
        }
        Ok(who)
    }

    fn log_in(&self, request: &Request, accounts: &Accounts) -> Result<Who, Whole> {
        let Some((user, password)) = request.header("Authorization").and_then(basic) else {
            return Err(unauthorized("Please log in with a user name and a password."));
        };
        let mark = self.mark(accounts, &user, &password);
        let proven = || accounts.role(&user).filter(|_| lock(&self.proven).get(&user) == Some(&mark));
        if let Some(role) = proven() {
            return Ok(Who { role, user: Some(user) });
        }
        let from = client(request);
        self.may_try(from)?;
        let deadline = Instant::now() + PATIENCE;
        // While this request waits, another one may verify the same password, or others of this client may fail.
        let settled = || proven().is_some() || self.may_try(from).is_err();
        let turn = self.checks.wait(from.map(network), mark, deadline, settled);
        if let Some(role) = proven() {
            return Ok(Who { role, user: Some(user) });
        }
        self.may_try(from)?;
        let turn = turn.map_err(|why| match why {
            Unchecked::TooMany => Whole::later(
                429,
                5,
                "Too many passwords from your network are being checked; please try again in a few seconds.",
            ),
            _ => Whole::later(503, 5, "Too many passwords are being checked; please try again in a few seconds."),
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
        lock(&self.proven).insert(user.clone(), mark);
        Ok(Who { role, user: Some(user) })
    }

    /// The mark by which a verified password is remembered: a keyed hash over it and its line of the password file. The
    /// time of a look-up reveals nothing without the key.
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
            log::warn!("http: wrong user name or password from {from}; further ones from there are not logged");
        }
    }
}

/// The role without a password file: a client on this machine is an admin; with `open` or a loopback address, any other
/// client is a viewer.
fn without_password(request: &Request, config: &Config) -> Result<Role, Whole> {
    let loopback = request.peer.is_some_and(|peer| peer.to_canonical().is_loopback());
    match (loopback, config.http.open) {
        (true, _) if asks_for_itself(request) => Ok(Role::Admin),
        (true, _) | (_, true) => Ok(Role::Viewer),
        _ => Err(Whole::text(
            403,
            "Access from this address is not allowed. Set http.password_file, or http.open = yes, in namecam.ini.",
        )),
    }
}

/// False when a proxy on this machine forwards another client's request, as far as the request shows it: by a
/// forwarding header or by the host name. A proxy that shows neither looks like a local client.
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

/// The address, or else the name in lower case, of a host that may have a port. What is neither stays whole, so that it is no
/// known name.
fn address_or_name(host: &str) -> Result<IpAddr, String> {
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((ip, rest)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let ends = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
        // The zone, the link of a link-local address, says nothing about whose address it is.
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

fn unauthorized(text: &str) -> Whole {
    Whole::text(401, text).with("WWW-Authenticate", "Basic realm=\"namecam\", charset=\"UTF-8\"")
}

/// The user and the password of an `Authorization: Basic` header.
fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, code) = header.split_once(' ')?;
    let plain = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(code.trim()).ok())??;
    // Some libraries send Latin-1, of which each byte is the character with that number.
    let text = String::from_utf8(plain)
        .unwrap_or_else(|error| error.as_bytes().iter().map(|&byte| char::from(byte)).collect());
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}
