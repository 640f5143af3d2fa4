//! [`Wire`]: a connection to another machine, in the clear or by TLS. Its waits end, but for that of the system for the address of a name.

use super::tls::Tls;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::{Duration, Instant};

/// The most addresses of a host that are tried.
const ADDRESSES: usize = 4;
/// The least time for a wait: the system takes none as for ever.
const LEAST: Duration = Duration::from_millis(1);

/// Which certificates a connection by TLS takes.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "tls"), allow(dead_code))]
pub struct Trust<'a> {
    /// The CAs, PEM; `None`: those of the system.
    pub ca_file: Option<&'a Path>,
    /// The key of the config that names it.
    pub key: &'static str,
}

/// A connection. A read that has to wait longer than its time-out, and one by TLS that got a part of what it needs, say `WouldBlock` or
/// `TimedOut`.
pub struct Wire {
    socket: TcpStream,
    tls: Option<Tls>,
}

impl Wire {
    /// Connects until `deadline`; with `trust` by TLS, and then nothing but the handshake is sent before the certificate of the other side
    /// is found good.
    ///
    /// # Errors
    /// Why there is no connection, for people.
    pub fn open(host: &str, port: u16, trust: Option<Trust>, deadline: Instant) -> Result<Wire, String> {
        let found = (host, port).to_socket_addrs().map_err(|error| format!("there is no such machine ({error})"))?;
        let found: Vec<_> = found.take(ADDRESSES).collect();
        let mut last = "there is no such machine".to_owned();
        // Each address gets its share of the time: one that does not answer leaves some to the next.
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

/// The time until `deadline`, for a time-out.
pub fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(LEAST)
}

/// True when a read or write found nothing to do in its time.
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
