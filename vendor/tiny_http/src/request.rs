use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::Sender;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::{Header, StatusCode};

/// How long, and for how many bytes, what a refused client still sends is read: a connection that is closed with unread bytes
/// is reset, and the client may lose the answer.
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELL_BYTES: usize = 1 << 20;

/// Represents an HTTP request made by a client.
///
/// A `Request` object is what is produced by the server, and is your what
/// your code must analyse and answer.
///
/// # Pipelining
///
/// The next request of a connection is read when this one has been answered.
///
/// # Automatic cleanup
///
/// If a `Request` object is destroyed without `into_writer` being called, an empty response with
/// a 500 status code (internal server error) is sent back to the client, and the connection closes.
pub struct Request {
    pub(crate) remote_addr: SocketAddr,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<Header>,
    pub(crate) body: Body,
    pub(crate) writer: AnswerWriter,
}

/// The body of a request.
pub(crate) struct Body {
    /// What has been read.
    pub(crate) start: Vec<u8>,
    /// How many bytes are still to come; None when the client does not say.
    pub(crate) left: Option<usize>,
    pub(crate) expects_continue: bool,
}

/// What happens to an answer.
pub(crate) enum Progress {
    /// It is a stream.
    Streaming,
    /// It has ended: whether the connection goes on.
    Ended { goes_on: bool },
}

/// Writes the answer to a request. When it is dropped, the connection is closed; see `finish`.
pub struct AnswerWriter {
    pub(crate) socket: Arc<TcpStream>,
    pub(crate) sender: Sender<Progress>,
    // false when a body may be left unread: the start of a next request is unknown
    pub(crate) may_go_on: bool,
    pub(crate) has_unread_body: bool,
    // false until the program takes it: a request that is dropped gets 500
    pub(crate) is_taken: bool,
    pub(crate) is_whole: bool,
}

impl AnswerWriter {
    /// Says that the answer is a stream, which is not broken off to make room for a new connection.
    pub fn streams(&self) {
        self.sender.send(Progress::Streaming).ok();
    }

    /// Says that the whole answer has been written: the client may ask again on this connection. Without that a client
    /// that has gone, or that got a part of its answer, would be answered further.
    pub fn finish(mut self) {
        self.is_whole = true;
    }
}

impl Write for AnswerWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self.socket).write(buf)
    }
    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self.socket).write_vectored(bufs)
    }
    fn flush(&mut self) -> io::Result<()> {
        (&*self.socket).flush()
    }
}

impl Drop for AnswerWriter {
    fn drop(&mut self) {
        if !self.is_taken {
            refuse(&self.socket, StatusCode(500));
        }
        if self.has_unread_body {
            dismiss(&self.socket);
        }
        let goes_on = self.may_go_on && self.is_whole;
        self.sender.send(Progress::Ended { goes_on }).ok();
    }
}

/// Reads what a client still sends to whom no more is said.
fn dismiss(mut socket: &TcpStream) {
    let (until, mut bytes) = (Instant::now() + FAREWELL, 0);
    socket.shutdown(Shutdown::Write).ok();
    while bytes < FAREWELL_BYTES {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || socket.set_read_timeout(Some(left)).is_err() {
            return;
        }
        match socket.read(&mut [0; 4096]) {
            Ok(count) if count > 0 => bytes += count,
            _ => return,
        }
    }
}

/// Sends an answer without a body, after which the connection is closed.
pub(crate) fn refuse(mut socket: &TcpStream, status: StatusCode) {
    let reason = status.default_reason_phrase();
    let answer = format!("HTTP/1.1 {} {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status.0, reason);
    socket.write_all(answer.as_bytes()).ok();
}

impl Request {
    /// Returns the method requested by the client (eg. `GET`, `POST`, etc.).
    pub fn method(&self) -> &String {
        &self.method
    }

    /// Returns the resource requested by the client.
    pub fn url(&self) -> &str {
        &self.path
    }

    /// Returns a list of all headers sent by the client.
    pub fn headers(&self) -> &[Header] {
        &self.headers
    }

    /// The length of the body; None when the client does not say before it sends it.
    pub fn body_length(&self) -> Option<usize> {
        self.body.left.map(|left| left + self.body.start.len())
    }

    /// Reads the body, whose length the program has found good. Memory grows as it comes.
    ///
    /// It is an error when it has not come by `until`, or has no length.
    pub fn read_body(&mut self, until: Instant) -> io::Result<Vec<u8>> {
        let mut left = self.body.left.ok_or(io::ErrorKind::InvalidInput)?;
        let mut body = std::mem::take(&mut self.body.start);
        let mut socket = &*self.writer.socket;
        if left > 0 && self.body.expects_continue {
            socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let mut piece = [0; 16 * 1024];
        while left > 0 {
            let time = until.saturating_duration_since(Instant::now());
            if time.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            socket.set_read_timeout(Some(time))?;
            let most = left.min(piece.len());
            match socket.read(&mut piece[..most]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    body.extend_from_slice(&piece[..count]);
                    left -= count;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // this is what a blocking socket says when SO_RCVTIMEO has passed
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
                Err(e) => return Err(e),
            }
        }
        self.body.left = Some(0);
        self.writer.has_unread_body = false;
        Ok(body)
    }

    /// Says whether the client may ask again on this connection after a whole answer.
    pub fn may_go_on(&self) -> bool {
        self.writer.may_go_on
    }

    /// Returns the address of the client that sent this request.
    ///
    /// Note that this is gathered from the socket. If you receive the request from a proxy,
    /// this function will return the address of the proxy and not the address of the actual
    /// user.
    pub fn remote_addr(&self) -> Option<&SocketAddr> {
        Some(&self.remote_addr)
    }

    /// Turns the `Request` into a writer, which has a raw access to the stream to the user.
    ///
    /// When the answer is written whole, call `AnswerWriter::finish`: otherwise the connection is closed.
    pub fn into_writer(self) -> AnswerWriter {
        let mut writer = self.writer;
        writer.is_taken = true;
        writer
    }
}
