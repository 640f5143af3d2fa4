use std::io::Result as IoResult;
use std::io::{Error as IoError, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::connection::Connection;

/// Until when a connection may go on sending the request that is being read.
#[derive(Clone)]
pub struct Deadline(Arc<Mutex<Instant>>);

impl Deadline {
    pub fn after(limit: Duration) -> Deadline {
        Deadline(Arc::new(Mutex::new(Instant::now() + limit)))
    }

    pub fn restart(&self, limit: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + limit;
    }

    fn left(&self) -> Duration {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.saturating_duration_since(Instant::now())
    }
}

pub struct RefinedTcpStream {
    stream: Arc<Connection>,
    // Some for the half that is read
    read_until: Option<Deadline>,
}

impl RefinedTcpStream {
    /// The half that is read and the half that is written.
    pub(crate) fn new(
        stream: Arc<Connection>,
        read_until: Deadline,
    ) -> (RefinedTcpStream, RefinedTcpStream) {
        let read = RefinedTcpStream {
            stream: stream.clone(),
            read_until: Some(read_until),
        };
        let write = RefinedTcpStream {
            stream,
            read_until: None,
        };
        (read, write)
    }

    pub(crate) fn peer_addr(&self) -> IoResult<Option<SocketAddr>> {
        self.stream.peer_addr()
    }
}

impl Drop for RefinedTcpStream {
    fn drop(&mut self) {
        let half = match self.read_until {
            Some(_) => Shutdown::Read,
            None => Shutdown::Write,
        };
        self.stream.shutdown(half).ok();
    }
}

impl Read for RefinedTcpStream {
    fn read(&mut self, buf: &mut [u8]) -> IoResult<usize> {
        if let Some(until) = &self.read_until {
            let left = until.left();
            if left == Duration::from_secs(0) {
                return Err(IoError::from(ErrorKind::TimedOut));
            }
            self.stream.set_read_timeout(left)?;
        }
        self.stream.read(buf).map_err(|e| match e.kind() {
            // this is what a blocking socket says when SO_RCVTIMEO has passed
            ErrorKind::WouldBlock => IoError::from(ErrorKind::TimedOut),
            _ => e,
        })
    }
}

impl Write for RefinedTcpStream {
    fn write(&mut self, buf: &[u8]) -> IoResult<usize> {
        self.stream.write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> IoResult<usize> {
        self.stream.write_vectored(bufs)
    }

    fn flush(&mut self) -> IoResult<()> {
        self.stream.flush()
    }
}
