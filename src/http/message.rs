//! [`Request`] and [`Answer`]: what handlers see of HTTP, so that they can be tested without a socket.

use crate::frame::Jpeg;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

/// What somebody asks for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `GET`, `HEAD`, ...
    pub method: String,
    /// The part of the target before `?`.
    pub path: String,
    /// The part of the target behind `?`.
    pub query: String,
    /// Host and port of a target that is a whole address, as proxies send it.
    pub authority: Option<String>,
    /// Names and values in the order they came.
    pub headers: Vec<(String, String)>,
    /// Who asks.
    pub peer: Option<IpAddr>,
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

    /// The value of a parameter of the query.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find(|(n, _)| *n == name)
            .map(|(_, value)| value)
    }
}

/// What is sent back.
pub enum Answer<'a> {
    /// A body of known length.
    Whole(Whole),
    /// A body without an end.
    Stream(Stream<'a>),
}

impl Answer<'_> {
    /// The status code.
    #[cfg(test)]
    pub fn status(&self) -> u16 {
        match self {
            Answer::Whole(whole) => whole.status,
            Answer::Stream(_) => 200,
        }
    }
}

impl From<Whole> for Answer<'_> {
    fn from(whole: Whole) -> Self {
        Answer::Whole(whole)
    }
}

/// An answer with a body of known length.
#[derive(Debug)]
pub struct Whole {
    /// The status code.
    pub status: u16,
    /// The media type of the body.
    pub content_type: &'static str,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Body,
}

impl Whole {
    /// A body with a media type.
    pub fn new(content_type: &'static str, body: Body) -> Whole {
        Whole { status: 200, content_type, headers: Vec::new(), body }
    }

    /// A line of text for a person.
    pub fn text(status: u16, text: &str) -> Whole {
        let body = Body::Bytes(format!("{text}\n").into_bytes());
        Whole { status, ..Whole::new("text/plain; charset=utf-8", body) }
    }

    /// A refusal that may be asked again in `seconds`.
    pub fn later(status: u16, seconds: u32, text: &str) -> Whole {
        Whole::text(status, text).with("Retry-After", seconds.to_string())
    }

    /// JSON.
    pub fn json(value: &serde_json::Value) -> Whole {
        Whole::new("application/json", Body::Bytes(value.to_string().into_bytes()))
    }

    /// One more header.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Whole {
        self.headers.push((name, value.into()));
        self
    }
}

/// The body of a [`Whole`] answer.
#[derive(Debug)]
pub enum Body {
    /// Made for this answer.
    Bytes(Vec<u8>),
    /// Part of the program.
    Static(&'static [u8]),
    /// The picture in it, shared with every viewer.
    Picture(Arc<Jpeg>),
}

impl Body {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Body::Bytes(bytes) => bytes,
            Body::Static(bytes) => bytes,
            Body::Picture(jpeg) => jpeg.picture(),
        }
    }
}

/// An answer without an end.
pub struct Stream<'a> {
    /// The media type of the body.
    pub content_type: &'static str,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// What is sent in the same write as the head.
    pub first: &'static [u8],
    /// Sends the rest, until the client or the program ends.
    pub run: Run<'a>,
}

/// What sends a stream.
pub type Run<'a> = Box<dyn FnOnce(&mut dyn Wire) -> io::Result<()> + 'a>;

/// The way to a client.
pub trait Wire {
    /// Sends all of `pieces`, one behind the other, now.
    ///
    /// # Errors
    /// When the client has gone, takes nothing for some seconds, or is slower than 16 KiB a second on the whole.
    fn send(&mut self, pieces: &[&[u8]]) -> io::Result<()>;
}

impl Wire for Vec<u8> {
    fn send(&mut self, pieces: &[&[u8]]) -> io::Result<()> {
        self.extend(pieces.concat());
        Ok(())
    }
}
