//! [`Tls`]: TLS 1.2 and 1.3 over a socket, with rustls and ring. Only this file uses these two crates.

use super::localtime;
use super::wire::{Trust, is_late, left};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{AlertDescription, CertificateError, ClientConfig, ClientConnection, Error, RootCertStore};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The CAs of the system, in the file where Debian and its derivatives have them.
const SYSTEM: &str = "/etc/ssl/certs/ca-certificates.crt";
/// The most bytes of a file of CAs that are read.
const MAX_CA_FILE: u64 = 8 << 20;

/// The client side of a TLS connection.
pub struct Tls {
    state: Box<ClientConnection>,
    /// The host, for error messages.
    host: String,
    port: u16,
}

impl Tls {
    /// Performs the handshake, until `deadline`.
    ///
    /// # Errors
    /// The message tells the user the problem and what to do.
    pub fn shake_hands(
        socket: &mut TcpStream,
        host: &str,
        port: u16,
        trust: Trust,
        deadline: Instant,
    ) -> Result<Tls, String> {
        let name =
            ServerName::try_from(host.to_owned()).map_err(|_| format!("no certificate can be for the name {host}"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|error| error.to_string())?;
        let config = config.with_root_certificates(roots(trust)?).with_no_client_auth();
        let state = ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())?;
        let mut tls = Tls { state: Box::new(state), host: host.to_owned(), port };
        while tls.state.is_handshaking() {
            if Instant::now() >= deadline {
                return Err(format!("no answer in the handshake of TLS; is {port} its port for TLS?"));
            }
            let step = socket.set_read_timeout(Some(left(deadline))).and_then(|()| tls.exchange(socket));
            match step {
                Ok(true) => {}
                Ok(false) => {
                    return Err(format!(
                        "it closes the connection in the handshake of TLS; is {port} its port for TLS?"
                    ));
                }
                Err(error) if is_late(&error) => {}
                Err(error) => match error.get_ref().and_then(|inner| inner.downcast_ref()) {
                    Some(error) => return Err(tls.explain(error, Some(trust))),
                    None => return Err(format!("the handshake of TLS breaks off: {error}")),
                },
            }
        }
        // The client sends the last message of the handshake of TLS 1.3.
        tls.send(socket).map_err(|error| format!("the handshake of TLS breaks off: {error}"))?;
        Ok(tls)
    }

    /// Sends the pending bytes, then reads and processes the next bytes. Returns false when the other side has closed
    /// the connection.
    fn exchange(&mut self, socket: &mut TcpStream) -> io::Result<bool> {
        self.send(socket)?;
        if self.state.read_tls(socket)? == 0 {
            return Ok(false);
        }
        let taken = self.state.process_new_packets();
        if taken.is_err() {
            // An alert tells the other side the reason. A failure to send it is ignored.
            let _ = self.send(socket);
        }
        taken.map(|_| true).map_err(io::Error::other)
    }

    fn send(&mut self, socket: &mut TcpStream) -> io::Result<()> {
        while self.state.wants_write() {
            // The send is repeated after an interruption: rustls has taken the bytes, and after an error the caller
            // would pass the same bytes again.
            if let Err(error) = self.state.write_tls(socket)
                && error.kind() != io::ErrorKind::Interrupted
            {
                return Err(error);
            }
        }
        Ok(())
    }

    pub fn read(&mut self, socket: &mut TcpStream, bytes: &mut [u8]) -> io::Result<usize> {
        let read = |state: &mut ClientConnection, bytes: &mut [u8]| state.reader().read(bytes);
        match read(&mut self.state, bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
        match self.exchange(socket) {
            Ok(true) => read(&mut self.state, bytes),
            Ok(false) => Ok(0),
            Err(error) => Err(match error.get_ref().and_then(|inner| inner.downcast_ref()) {
                Some(inner) => io::Error::other(self.explain(inner, None)),
                None => error,
            }),
        }
    }

    pub fn write(&mut self, socket: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.state.writer().write(bytes)?;
        self.send(socket)?;
        Ok(taken)
    }

    /// The message for an error: its meaning and what to do.
    fn explain(&self, error: &Error, trust: Option<Trust>) -> String {
        let (host, port) = (&self.host, self.port);
        let (key, cas) = trust.map_or(("ca_file", SYSTEM.into()), |trust| {
            (trust.key, trust.ca_file.unwrap_or(Path::new(SYSTEM)).display().to_string())
        });
        match error {
            Error::InvalidCertificate(CertificateError::UnknownIssuer) => format!(
                "its certificate is of a CA that {cas} does not have; put the certificate of that CA (PEM) into a file, and name it in {key}"
            ),
            Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. }) => {
                match names(presented).as_slice() {
                    [] => format!(
                        "its certificate has no name that counts; make it with {host} as subjectAltName, the common name does not count"
                    ),
                    names => {
                        format!("its certificate is for {}, not for {host}; use one of its names", names.join(", "))
                    }
                }
            }
            Error::InvalidCertificate(CertificateError::ExpiredContext { time, not_after }) => format!(
                "its certificate is too old: it was good until {}, and the clock of this machine says {}",
                utc(*not_after),
                utc(*time)
            ),
            Error::InvalidCertificate(CertificateError::NotValidYetContext { time, not_before }) => format!(
                "its certificate is good from {} on, and the clock of this machine says {}; is the clock right?",
                utc(*not_before),
                utc(*time)
            ),
            Error::InvalidCertificate(CertificateError::Other(why))
                if why.to_string().contains("CaUsedAsEndEntity") =>
            {
                "its certificate is that of a CA; make one for the machine, and let the CA sign it".to_owned()
            }
            Error::InvalidMessage(_) => format!("what answers does not speak TLS; is {port} its port for TLS?"),
            Error::AlertReceived(AlertDescription::CertificateRequired) => {
                "it asks for a certificate of its clients, which namecam has not".to_owned()
            }
            Error::AlertReceived(AlertDescription::ProtocolVersion) | Error::PeerIncompatible(_) => {
                format!("it does not speak TLS 1.2 or 1.3 as namecam does ({error})")
            }
            Error::AlertReceived(why) => format!("it breaks TLS off: {why:?}"),
            error => error.to_string(),
        }
    }
}

/// The trusted CAs.
fn roots(trust: Trust) -> Result<RootCertStore, String> {
    let (key, file) = (trust.key, trust.ca_file.unwrap_or(Path::new(SYSTEM)));
    let mut pem = Vec::new();
    let read = File::open(file).and_then(|open| open.take(MAX_CA_FILE).read_to_end(&mut pem));
    read.map_err(|error| match trust.ca_file {
        Some(_) => format!("{key}: {}: {error}", file.display()),
        None => format!("{SYSTEM}: {error}; install ca-certificates, or name the file of a CA in {key}"),
    })?;
    let mut roots = RootCertStore::empty();
    // A bundle may contain CAs that rustls does not support. These are skipped.
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).flatten());
    if roots.is_empty() {
        return Err(format!(
            "{key}: {} has no certificate of a CA that begins with -----BEGIN CERTIFICATE-----",
            file.display()
        ));
    }
    Ok(roots)
}

/// The names of a certificate, taken out of the text of rustls: `DnsName("a.lan")`, `IpAddress(10.0.0.1)`.
fn names(presented: &[String]) -> Vec<&str> {
    let bare = |name: &'_ String| name.find('(').map_or(0, |at| at + 1);
    presented.iter().map(|name| name[bare(name)..].trim_matches(['(', ')', '"'])).collect()
}

fn utc(at: UnixTime) -> String {
    localtime::utc(UNIX_EPOCH.checked_add(std::time::Duration::from_secs(at.as_secs())).unwrap_or(SystemTime::now()))
}
