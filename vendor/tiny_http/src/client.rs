use ascii::AsciiString;

use std::io::Error as IoError;
use std::io::Result as IoResult;
use std::io::{BufRead, BufReader, ErrorKind, Read};

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::str::FromStr;
use std::sync::mpsc::Sender;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::{HTTPVersion, Header, StatusCode};
use crate::request::{refuse, AnswerWriter, Body, Progress};
use crate::{Limits, Request};

/// The largest body that is read before the request is handed on.
const MAX_READ_WITH_HEAD: usize = 1024;

/// A ClientConnection is an object that will store a socket to a client
/// and return Request objects.
pub(crate) struct ClientConnection {
    socket: Arc<TcpStream>,

    // address of the client
    remote_addr: SocketAddr,

    source: BufReader<Incoming>,

    // set to true if we know that the previous request is the last one
    no_more_requests: bool,

    limits: Limits,

    // how long the next request may take
    patience: Duration,

    // bytes of the request's head so far
    head_bytes: usize,
}

/// What a client sends.
struct Incoming {
    socket: Arc<TcpStream>,
    // until when the request that is being read must be there
    until: Instant,
}

impl Read for Incoming {
    fn read(&mut self, buf: &mut [u8]) -> IoResult<usize> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left == Duration::from_secs(0) {
            return Err(IoError::from(ErrorKind::TimedOut));
        }
        self.socket.set_read_timeout(Some(left))?;
        (&*self.socket).read(buf).map_err(|e| match e.kind() {
            // this is what a blocking socket says when SO_RCVTIMEO has passed
            ErrorKind::WouldBlock => IoError::from(ErrorKind::TimedOut),
            _ => e,
        })
    }
}

/// Error that can happen when reading a request.
#[derive(Debug)]
enum ReadError {
    WrongRequestLine,
    WrongHeader,
    /// the head is longer than `Limits` allow
    HeadTooLarge,
    /// the client sent an unrecognized `Expect` header
    ExpectationFailed,
    /// the request is of HTTP 2 or 3
    VersionNotSupported,
    ReadIoError(IoError),
}

impl From<IoError> for ReadError {
    fn from(e: IoError) -> ReadError {
        match e.kind() {
            ErrorKind::InvalidInput => ReadError::WrongRequestLine,
            _ => ReadError::ReadIoError(e),
        }
    }
}

impl ClientConnection {
    /// Creates a new `ClientConnection` that takes ownership of the socket.
    ///
    /// It is an error when the client has gone already.
    /// `patience` is how long the first request may take.
    pub(crate) fn new(socket: Arc<TcpStream>, limits: Limits, patience: Duration) -> IoResult<ClientConnection> {
        let remote_addr = socket.peer_addr()?;
        let incoming = Incoming { socket: socket.clone(), until: Instant::now() };
        Ok(ClientConnection {
            socket,
            remote_addr,
            source: BufReader::with_capacity(1024, incoming),
            no_more_requests: false,
            limits,
            patience,
            head_bytes: 0,
        })
    }

    /// Reads the next line.
    ///
    /// Reads until `CRLF` is reached. The next read will start
    ///  at the first byte of the new line.
    fn read_next_line(&mut self, in_headers: bool) -> Result<AsciiString, ReadError> {
        let mut buf: Vec<u8> = Vec::new();
        let mut prev_byte_was_cr = false;

        loop {
            let byte = self.source.by_ref().bytes().next();

            let byte = match byte {
                Some(b) => b?,
                None => {
                    return Err(IoError::new(ErrorKind::ConnectionAborted, "Unexpected EOF").into())
                }
            };

            self.head_bytes += 1;
            if self.head_bytes > self.limits.max_head_bytes {
                return Err(ReadError::HeadTooLarge);
            }

            if byte == b'\n' && prev_byte_was_cr {
                buf.pop(); // removing the '\r'
                // a lone CR or LF ends a line for some programs
                if buf.iter().any(|b| b.is_ascii_control() && *b != b'\t') {
                    return Err(if in_headers { ReadError::WrongHeader } else { ReadError::WrongRequestLine });
                }
                if in_headers {
                    // browsers send what other programs on this host put into cookies, UTF-8 too
                    buf.iter_mut().filter(|b| !b.is_ascii()).for_each(|b| *b = b'?');
                }
                return AsciiString::from_ascii(buf).map_err(|_| {
                    IoError::new(ErrorKind::InvalidInput, "Header is not in ASCII").into()
                });
            }

            prev_byte_was_cr = byte == b'\r';

            buf.push(byte);
        }
    }

    /// Reads a request from the stream.
    /// Blocks until the header has been read.
    fn read(&mut self, sender: &Sender<Progress>) -> Result<Request, ReadError> {
        self.source.get_mut().until = Instant::now() + self.patience;
        self.patience = self.limits.read_timeout;
        self.head_bytes = 0;

        let line = self.read_next_line(false)?;
        let (method, path, http_version) = parse_request_line(line.as_str().trim())?;

        let mut headers: Vec<Header> = Vec::new();
        loop {
            let line = self.read_next_line(true)?;
            if line.is_empty() {
                break;
            };
            if headers.len() >= self.limits.max_headers {
                return Err(ReadError::HeadTooLarge);
            }
            // a folded line belongs to the header before it for some programs, and is one of its own for others
            if line.as_str().starts_with([' ', '\t']) {
                return Err(ReadError::WrongHeader);
            }
            headers.push(FromStr::from_str(line.as_str().trim()).map_err(|()| ReadError::WrongHeader)?);
        }
        if http_version > (1, 1) {
            return Err(ReadError::VersionNotSupported);
        }

        let value = |field| headers.iter().find(|h| h.field.equiv(field)).map(|h| h.value.as_str());
        let connection = value("Connection").map(str::to_ascii_lowercase);
        let says = |word| connection.as_ref().map_or(false, |val| val.contains(word));
        // the client sent a "connection: close" header in this request
        //  or is using HTTP 1.0, meaning that no new request will come
        let is_last = says("close") || says("upgrade") || (http_version == (1, 0) && !says("keep-alive"));
        let expects_continue = match value("Expect") {
            None => false,
            Some(v) if v.eq_ignore_ascii_case("100-continue") => true,
            Some(_) => return Err(ReadError::ExpectationFailed),
        };
        // a request that a proxy may end elsewhere than we do is refused (RFC 9112, 6.3)
        let is_chunked = value("Transfer-Encoding").is_some();
        let lengths: Vec<&str> = headers.iter().filter(|h| h.field.equiv("Content-Length")).map(|h| h.value.as_str()).collect();
        let length = match lengths[..] {
            [] => 0,
            [length] if !is_chunked && !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit()) => {
                length.parse().unwrap_or(usize::MAX)
            }
            _ => return Err(ReadError::WrongHeader),
        };
        let is_whole = !is_chunked && (length == 0 || (length <= MAX_READ_WITH_HEAD && !expects_continue));
        let mut body = Body { start: Vec::new(), left: if is_chunked { None } else { Some(length) }, expects_continue };
        if is_whole && !says("upgrade") {
            body.start = vec![0; length];
            self.source.read_exact(&mut body.start)?;
            body.left = Some(0);
        } else {
            // what came with the head; the program reads the rest, and the connection ends with this request
            let come = self.source.buffer().len().min(length);
            body.start = self.source.buffer()[..come].to_vec();
            self.source.consume(come);
            body.left = body.left.map(|left| left - come);
        }
        self.no_more_requests = is_last || !is_whole;

        let writer = AnswerWriter {
            socket: self.socket.clone(),
            sender: sender.clone(),
            may_go_on: !self.no_more_requests,
            has_unread_body: !is_whole,
            is_taken: false,
            is_whole: false,
        };
        Ok(Request { remote_addr: self.remote_addr, method, path, headers, body, writer })
    }

    /// Blocks until the next Request is available.
    /// Returns None when no new Requests will come from the client.
    pub(crate) fn next(&mut self, sender: &Sender<Progress>) -> Option<Request> {
        if self.no_more_requests {
            return None;
        }
        // we don't know where the next request would start, so we have to close
        let status = match self.read(sender) {
            Ok(rq) => return Some(rq),
            Err(ReadError::WrongRequestLine) | Err(ReadError::WrongHeader) => 400,
            Err(ReadError::HeadTooLarge) => 431,
            Err(ReadError::ExpectationFailed) => 417,
            Err(ReadError::VersionNotSupported) => 505,
            // nothing was asked: an idle connection is closed without a word
            Err(ReadError::ReadIoError(ref err)) if err.kind() == ErrorKind::TimedOut && self.head_bytes > 0 => 408,
            Err(ReadError::ReadIoError(_)) => return None,
        };
        refuse(&self.socket, StatusCode(status));
        None
    }
}

impl Drop for ClientConnection {
    fn drop(&mut self) {
        self.socket.shutdown(Shutdown::Both).ok();
    }
}

/// Parses a "HTTP/1.1" string.
fn parse_http_version(version: &str) -> Result<HTTPVersion, ReadError> {
    let (major, minor) = match version {
        "HTTP/0.9" => (0, 9),
        "HTTP/1.0" => (1, 0),
        "HTTP/1.1" => (1, 1),
        "HTTP/2.0" => (2, 0),
        "HTTP/3.0" => (3, 0),
        _ => return Err(ReadError::WrongRequestLine),
    };

    Ok(HTTPVersion(major, minor))
}

/// Parses the request line of the request.
/// eg. GET / HTTP/1.1
fn parse_request_line(line: &str) -> Result<(String, String, HTTPVersion), ReadError> {
    let mut parts = line.split(' ');

    let method = parts.next().map(ToOwned::to_owned);
    let path = parts.next().map(ToOwned::to_owned);
    let version = parts.next().and_then(|w| parse_http_version(w).ok());

    method
        .and_then(|method| Some((method, path?, version?)))
        .ok_or(ReadError::WrongRequestLine)
}

#[cfg(test)]
mod test {
    #[test]
    fn test_parse_request_line() {
        let (method, path, ver) = super::parse_request_line("GET /hello HTTP/1.1").unwrap();

        assert!(method == "GET");
        assert!(path == "/hello");
        assert!(ver == crate::common::HTTPVersion(1, 1));

        assert!(super::parse_request_line("GET /hello").is_err());
        assert!(super::parse_request_line("qsd qsd qsd").is_err());
    }
}
