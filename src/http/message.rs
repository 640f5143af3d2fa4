//! [`Request`] and [`Answer`]: the HTTP types of handlers. They can be tested without a socket.

use crate::frame::Jpeg;
use serde::Serialize;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `GET`, `HEAD`, ...
    pub method: String,
    /// The part of the target before `?`.
    pub path: String,
    /// The part of the target after `?`.
    pub query: String,
    /// The host and port of an absolute target, as proxies send it.
    pub authority: Option<String>,
    /// Header names and values in the order received.
    pub headers: Vec<(String, String)>,
    /// The address of the client.
    pub peer: Option<IpAddr>,
    /// The body, once the request has been admitted; empty for a route that takes none.
    pub body: Vec<u8>,
}

impl Request {
    /// A request of `method` for `target`: `/path?query` or `http://host/path?query`.
    pub fn new(method: &str, target: &str) -> Request {
        let (authority, target) = match target.split_once("://") {
            Some((scheme, rest)) if !scheme.contains(['/', '?']) => {
                let end = rest.find(['/', '?']).unwrap_or(rest.len());
                let (authority, rest) = rest.split_at(end);
                (Some(authority.to_owned()), rest)
            }
            _ => (None, target),
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = if path.is_empty() { "/" } else { path };
        Request {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            authority,
            ..Request::default()
        }
    }

    /// The value of the first header with this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// True when Korean is the first language of the browser.
    pub fn is_in_korean(&self) -> bool {
        self.header("Accept-Language").is_some_and(|languages| languages.trim().to_ascii_lowercase().starts_with("ko"))
    }

    /// The value of a parameter. A further `?` separates parameters like `&`: dashboards append `?TIME` to addresses
    /// with a query.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.query
            .split(['&', '?'])
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find(|(n, _)| *n == name)
            .map(|(_, value)| value)
    }

    /// The value of a parameter that is 0 or 1; `without` is the value of an absent one.
    pub fn flag(&self, name: &str, without: bool) -> Result<bool, Whole> {
        match self.param(name) {
            None => Ok(without),
            Some("1") => Ok(true),
            Some("0") => Ok(false),
            Some(_) => Err(Whole::text(400, &format!("{name} must be 0 or 1."))),
        }
    }
}

/// The fields of an HTML form or of a query, in `application/x-www-form-urlencoded`.
pub fn form(text: &[u8]) -> Vec<(String, String)> {
    let decoded = |text: &[u8]| {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text;
        while let [first, after @ ..] = rest {
            let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
            let byte = digits.filter(|digits| *first == b'%' && digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
            match byte.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                Some(byte) => {
                    bytes.push(byte);
                    rest = &after[2..];
                }
                None => {
                    bytes.push(if *first == b'+' { b' ' } else { *first });
                    rest = after;
                }
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let pairs = text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    let halves = pairs.map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=');
        at.map_or((pair, &b""[..]), |at| (&pair[..at], &pair[at + 1..]))
    });
    halves.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

pub enum Answer<'a> {
    Whole(Whole),
    Stream(StreamAnswer<'a>),
}

impl Answer<'_> {
    #[cfg(test)]
    pub fn status(&self) -> u16 {
        match self {
            Answer::Whole(whole) => whole.status,
            Answer::Stream(_) => 200,
        }
    }
}

impl Answer<'_> {
    /// Adds a header.
    pub fn with(mut self, name: &'static str, value: String) -> Self {
        let (Answer::Whole(Whole { headers, .. }) | Answer::Stream(StreamAnswer { headers, .. })) = &mut self;
        headers.push((name, value));
        self
    }
}

impl From<Whole> for Answer<'_> {
    fn from(whole: Whole) -> Self {
        Answer::Whole(whole)
    }
}

/// A response with a body of known length.
#[derive(Debug)]
pub struct Whole {
    pub status: u16,
    pub content_type: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: Body,
}

impl Whole {
    pub fn new(content_type: &'static str, body: Body) -> Whole {
        Whole { status: 200, content_type, headers: Vec::new(), body }
    }

    pub fn text(status: u16, text: &str) -> Whole {
        let body = Body::Bytes(format!("{text}\n").into_bytes());
        Whole { status, ..Whole::new("text/plain; charset=utf-8", body) }
    }

    /// The same response with another status.
    pub fn with_status(self, status: u16) -> Whole {
        Whole { status, ..self }
    }

    /// A refusal that tells the client to retry after `seconds`.
    pub fn later(status: u16, seconds: u32, text: &str) -> Whole {
        Whole::text(status, text).with("Retry-After", seconds.to_string())
    }

    pub fn json(value: &impl Serialize) -> Whole {
        match serde_json::to_vec(value) {
            Ok(json) => Whole::new("application/json", Body::Bytes(json)),
            Err(error) => Whole::text(500, &error.to_string()),
        }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Whole {
        self.headers.push((name, value.into()));
        self
    }
}

#[derive(Debug)]
pub enum Body {
    /// Created for this response.
    Bytes(Vec<u8>),
    /// Part of the program file.
    Static(&'static [u8]),
    /// An encoded picture, shared by its viewers.
    Picture(Arc<Jpeg>),
}

impl Body {
    pub fn bytes(&self) -> &[u8] {
        match self {
            Body::Bytes(bytes) => bytes,
            Body::Static(bytes) => bytes,
            Body::Picture(jpeg) => jpeg.picture(),
        }
    }
}

/// A response with an endless body.
pub struct StreamAnswer<'a> {
    pub content_type: &'static str,
    pub headers: Vec<(&'static str, String)>,
    /// The beginning of the body, sent in the same write as the head.
    pub first: &'static [u8],
    /// Sends the rest of the body until the client disconnects or the program ends.
    pub run: Run<'a>,
}

pub type Run<'a> = Box<dyn FnOnce(&mut dyn Wire) -> io::Result<()> + 'a>;

pub trait Wire {
    /// Sends all of `pieces` in order.
    ///
    /// # Errors
    /// When the client has disconnected, receives nothing for some seconds, or receives less than 16 KiB a second on
    /// average.
    fn send(&mut self, pieces: &[&[u8]]) -> io::Result<()>;
}

impl Wire for Vec<u8> {
    fn send(&mut self, pieces: &[&[u8]]) -> io::Result<()> {
        self.extend(pieces.concat());
        Ok(())
    }
}

/// A request with any bytes as its target, headers and body: `METHOD TARGET`, lines `Name: value`, an empty line, the
/// body.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) -> Request {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap_or(bytes.len());
    let head = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = head.lines();
    let (method, target) = lines.next().and_then(|line| line.split_once(' ')).unwrap_or_default();
    let mut request = Request::new(method, target);
    let pairs = lines.filter_map(|line| line.split_once(": "));
    request.headers = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    request.body = bytes.get(end + 2..).unwrap_or_default().to_vec();
    form(&request.body);
    for name in ["width", "overlay", "token", "next"] {
        request.param(name);
        let _ = request.flag(name, false);
    }
    request.is_in_korean();
    request
}
