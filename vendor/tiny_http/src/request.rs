use std::io::{self, IoSlice, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::Sender;
use std::sync::Arc;

use crate::{HTTPVersion, Header, StatusCode};

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
    pub(crate) http_version: HTTPVersion,
    pub(crate) headers: Vec<Header>,
    pub(crate) writer: AnswerWriter,
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
        let goes_on = self.may_go_on && self.is_whole;
        self.sender.send(Progress::Ended { goes_on }).ok();
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

    /// Returns the HTTP version of the request.
    pub fn http_version(&self) -> &HTTPVersion {
        &self.http_version
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
