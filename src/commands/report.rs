//! `namecam report`: one text file to attach to an issue.

use super::{probe, version};
use crate::config::{Config, Origin};
use crate::os::files;
use crate::report::{self, Subject};
use anyhow::{Context, bail};
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// The file name of the report when the user gives none.
const USUAL: &str = "namecam-report.txt";
/// The reason when no running namecam can be asked.
const NOWHERE: &str = "the config does not say where namecam listens";
/// How long a running namecam may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// The most bytes of the answer that are read.
const MAX_ANSWER: u64 = 512 << 10;

/// Writes the report to `file`, or prints it for `-`.
///
/// # Errors
/// The file exists, or cannot be written.
pub fn report(origin: &Origin, file: Option<&Path>) -> anyhow::Result<()> {
    let text = text(origin);
    let file = file.unwrap_or(Path::new(USUAL));
    if file == Path::new("-") {
        super::print(&text);
        return Ok(());
    }
    match files::create_private(file).and_then(|mut new| new.write_all(text.as_bytes()).and_then(|()| new.sync_all())) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{} exists and is not overwritten; name another file: namecam report FILE", file.display())
        }
        Err(error) => return Err(error).with_context(|| format!("cannot write {}", file.display())),
    }
    super::print(&format!("wrote {}; please read it before you attach it to an issue\n", file.display()));
    Ok(())
}

fn text(origin: &Origin) -> String {
    let config = origin.load();
    let usual = Config::defaults(Path::new(""));
    // The cameras are described also when the config has errors. A report does not run them.
    let camera = probe::probe(None, &config.as_ref().unwrap_or(&usual).camera, false, false);
    let (state, metrics) = match &config {
        Ok(config) => (state(config), ask(config, "/metrics")),
        Err(_) => (Err(NOWHERE.to_owned()), Err(NOWHERE.to_owned())),
    };
    report::text(Subject { versions: version(), config: config.as_ref(), camera: Ok(camera), state, metrics })
}

fn state(config: &Config) -> Result<Value, String> {
    serde_json::from_str(&ask(config, "/api/state")?).map_err(|error| format!("the answer is no JSON: {error}"))
}

/// The answer of the running namecam of this config to a request for `path`, or why there is no answer.
fn ask(config: &Config, path: &str) -> Result<String, String> {
    let mut address = config.bind_address().ok_or(NOWHERE)?;
    if address.ip().is_unspecified() {
        let is_v4 = address.is_ipv4();
        address.set_ip(if is_v4 { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    let answer =
        request(address, path).map_err(|error| format!("no namecam answers at {}: {error}", config.http.bind))?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("the answer is not HTTP")?;
    match head.split_whitespace().nth(1) {
        Some("200") => Ok(body.to_owned()),
        Some("401") => Err(
            "namecam runs and asks for a password; an admin can download a report with it on the page, under Health"
                .to_owned(),
        ),
        status => Err(format!("namecam answers with {}", status.unwrap_or("no status"))),
    }
}

fn request(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let deadline = Instant::now() + PATIENCE;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // With HTTP/1.0 the body comes without chunks and ends with the connection.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let (mut bytes, mut part) = (Vec::new(), [0; 16 << 10]);
    while (bytes.len() as u64) < MAX_ANSWER {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        // The time-out is set before each read, so that single late bytes do not extend the total time.
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut part)? {
            0 => break,
            read => bytes.extend_from_slice(&part[..read]),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
