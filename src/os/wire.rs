//! [`Wire`]: a connection to another machine, in the clear or with TLS. Every wait has a time-out, except the
//! resolution of a host name by the system.

use super::tls::Tls;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::{Duration, Instant};

/// The most addresses of a host that are tried.
const ADDRESSES: usize = 4;
/// The shortest time-out. The system takes a time-out of 0 as no time-out.
const LEAST: Duration = Duration::from_millis(1);

/// The certificates that a TLS connection accepts.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "tls"), allow(dead_code))]
pub struct Trust<'a> {
    /// The PEM file of the CAs; `None` for the CAs of the system.
    pub ca_file: Option<&'a Path>,
    /// The config key that names `ca_file`, for error messages.
    pub key: &'static str,
}

/// A connection. A read fails with `WouldBlock` or `TimedOut` when its time-out passes, and with TLS also when only a
/// part of a record has arrived.
pub struct Wire {
    socket: TcpStream,
    tls: Option<Tls>,
}

impl Wire {
    /// Connects until `deadline`. With `trust` the connection uses TLS, and nothing but the handshake is sent before
    /// the certificate of the other side has been verified.
    ///
    /// # Errors
    /// The message tells the user why there is no connection.
    pub fn open(host: &str, port: u16, trust: Option<Trust>, deadline: Instant) -> Result<Wire, String> {
        let found = (host, port).to_socket_addrs().map_err(|error| format!("there is no such machine ({error})"))?;
        let found: Vec<_> = found.take(ADDRESSES).collect();
        let mut last = "there is no such machine".to_owned();
        // Each address gets a share of the time, so that an address that does not answer leaves time for the next ones.
        let connected = (1..=found.len() as u32).rev().zip(&found).find_map(|(to_try, address)| {
            let connected = TcpStream::connect_timeout(address, left(deadline) / to_try);
            connected.map_err(|error| last = format!("cannot connect: {error}")).ok()
        });
        let mut socket = connected.ok_or(last)?;
        let set = socket.set_nodelay(true).and_then(|()| socket.set_write_timeout(Some(left(deadline))));
        set.map_err(|error| error.to_string())?;
        let tls = trust.map(|trust| Tls::shake_hands(&mut socket, host, port, trust, deadline)).transpose()?;
        Ok(Wire { socket, tls })
    }

    pub fn set_timeouts(&self, read: Duration, write: Duration) -> io::Result<()> {
        self.socket.set_read_timeout(Some(read.max(LEAST)))?;
        self.socket.set_write_timeout(Some(write.max(LEAST)))
    }
}

/// The time until `deadline`, at least [`LEAST`], for a time-out.
pub fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(LEAST)
}

/// True when a read or write ended without an effect, because of its time-out or a signal.
pub fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

impl Read for Wire {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => tls.read(&mut self.socket, bytes),
            None => self.socket.read(bytes),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => tls.write(&mut self.socket, bytes),
            None => self.socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[cfg(feature = "tls")]
pub(crate) mod tests;
