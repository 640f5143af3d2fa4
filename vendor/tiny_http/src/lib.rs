//! # Simple usage
//!
//! ## Creating the server
//!
//! The easiest way to create a server is to call `Server::http()`.
//!
//! The `http()` function returns an `IoResult<Server>` which will return an error
//! in the case where the server creation fails (for example if the listening port is already
//! occupied).
//!
//! ```no_run
//! let server = tiny_http::Server::http("0.0.0.0:0").unwrap();
//! ```
//!
//! A newly-created `Server` will immediately start listening for incoming connections and HTTP
//! requests.
//!
//! ## Receiving requests
//!
//! Calling `server.recv()` will block until the next request is available.
//! This function returns an `IoResult<Request>`, so you need to handle the possible errors.
//!
//! ```no_run
//! # let server = tiny_http::Server::http("0.0.0.0:0").unwrap();
//!
//! loop {
//!     // blocks until the next request is received
//!     let request = match server.recv() {
//!         Ok(rq) => rq,
//!         Err(e) => { println!("error: {}", e); break }
//!     };
//!
//!     // do something with the request
//!     // ...
//! }
//! ```
//!
//! In a real-case scenario, you will probably want to spawn multiple worker tasks and call
//! `server.recv()` on all of them. Like this:
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use std::thread;
//! # let server = tiny_http::Server::http("0.0.0.0:0").unwrap();
//! let server = Arc::new(server);
//! let mut guards = Vec::with_capacity(4);
//!
//! for _ in (0 .. 4) {
//!     let server = server.clone();
//!
//!     let guard = thread::spawn(move || {
//!         loop {
//!             let rq = server.recv().unwrap();
//!
//!             // ...
//!         }
//!     });
//!
//!     guards.push(guard);
//! }
//! ```
//!
//! If you don't want to block, you can call `server.try_recv()` instead.
//!
//! ## Handling requests
//!
//! The `Request` object returned by `server.recv()` contains informations about the client's request.
//! The most useful methods are probably `request.method()` and `request.url()` which return
//! the requested method (`GET`, `POST`, etc.) and url.
//!
//! To handle a request, you need to create a `Response` object. See the docs of this object for
//! more infos. Here is an example of creating a `Response` from a file:
//!
//! ```no_run
//! # use std::fs::File;
//! # use std::path::Path;
//! let response = tiny_http::Response::from_file(File::open(&Path::new("image.png")).unwrap());
//! ```
//!
//! All that remains to do is call `request.respond()`:
//!
//! ```no_run
//! # use std::fs::File;
//! # use std::path::Path;
//! # let server = tiny_http::Server::http("0.0.0.0:0").unwrap();
//! # let request = server.recv().unwrap();
//! # let response = tiny_http::Response::from_file(File::open(&Path::new("image.png")).unwrap());
//! let _ = request.respond(response);
//! ```
#![forbid(unsafe_code)]
#![deny(rust_2018_idioms)]
#![allow(clippy::match_like_matches_macro)]

use std::error::Error;
use std::io::Error as IoError;
use std::io::ErrorKind as IoErrorKind;
use std::io::Result as IoResult;
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use client::ClientConnection;
use connection::Connection;
use connections::{Connections, Place};
use request::Progress;
use util::MessagesQueue;

pub use common::{HTTPVersion, Header, HeaderField, Method, StatusCode};
pub use connection::{ConfigListenAddr, ListenAddr, Listener};
pub use connections::{Count, Limits};
pub use request::{AnswerWriter, ReadWrite, Request};
pub use response::{Response, ResponseBox};

mod client;
mod common;
mod connection;
mod connections;
mod request;
mod response;
mod util;

/// The main class of this library.
///
/// Destroying this object will immediately close the listening socket and the reading
///  part of all the client's connections. Requests that have already been returned by
///  the `recv()` function will not close and the responses will be transferred to the client.
pub struct Server {
    // should be false as long as the server exists
    // when set to true, all the subtasks will close within a few hundreds ms
    close: Arc<AtomicBool>,

    // queue for messages received by child threads
    messages: Arc<MessagesQueue<Message>>,

    // result of TcpListener::local_addr()
    listening_addr: ListenAddr,

    // connections that are open, and how many may be
    connections: Arc<Connections>,
}

enum Message {
    Error(IoError),
    NewRequest(Request),
}

impl From<IoError> for Message {
    fn from(e: IoError) -> Message {
        Message::Error(e)
    }
}

impl From<Request> for Message {
    fn from(rq: Request) -> Message {
        Message::NewRequest(rq)
    }
}

pub struct IncomingRequests<'a> {
    server: &'a Server,
}

/// Represents the parameters required to create a server.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The addresses to try to listen to.
    pub addr: ConfigListenAddr,
}

impl Server {
    /// Shortcut for a simple server on a specific address.
    #[inline]
    pub fn http<A>(addr: A) -> Result<Server, Box<dyn Error + Send + Sync + 'static>>
    where
        A: ToSocketAddrs,
    {
        Server::new(ServerConfig {
            addr: ConfigListenAddr::from_socket_addrs(addr)?,
        })
    }

    #[cfg(unix)]
    #[inline]
    /// Shortcut for a UNIX socket server at a specific path
    pub fn http_unix(
        path: &std::path::Path,
    ) -> Result<Server, Box<dyn Error + Send + Sync + 'static>> {
        Server::new(ServerConfig {
            addr: ConfigListenAddr::unix_from_path(path),
        })
    }

    /// Builds a new server that listens on the specified address.
    pub fn new(config: ServerConfig) -> Result<Server, Box<dyn Error + Send + Sync + 'static>> {
        let listener = config.addr.bind()?;
        Self::from_listener(listener, Limits::default())
    }

    /// Builds a new server using the specified TCP listener.
    ///
    /// This is useful if you've constructed TcpListener using some less usual method
    /// such as from systemd. For other cases, you probably want the `new()` function.
    pub fn from_listener<L: Into<Listener>>(
        listener: L,
        limits: Limits,
    ) -> Result<Server, Box<dyn Error + Send + Sync + 'static>> {
        let listener = listener.into();
        // building the "close" variable
        let close_trigger = Arc::new(AtomicBool::new(false));

        // building the TcpListener
        let (server, local_addr) = {
            let local_addr = listener.local_addr()?;
            log::debug!("Server listening on {}", local_addr);
            (listener, local_addr)
        };

        // creating a task where server.accept() is continuously called
        // and each connection gets a thread that pushes its requests in the messages queue
        let messages = MessagesQueue::with_capacity(8);

        let inside_close_trigger = close_trigger.clone();
        let inside_messages = messages.clone();
        let connections = Connections::new(limits.clone());
        let inside_connections = connections.clone();
        thread::Builder::new().name("http-accept".into()).spawn(move || {
            let mut said: Option<Instant> = None;

            log::debug!("Running accept thread");
            while !inside_close_trigger.load(Relaxed) {
                let (sock, peer) = match server.accept() {
                    Ok((sock, peer)) => (Arc::new(sock), peer),
                    // a client that has gone
                    Err(e) if e.kind() == IoErrorKind::ConnectionAborted => continue,
                    Err(e) => {
                        // out of file descriptors: it passes
                        if said.map_or(true, |at| at.elapsed() > Duration::from_secs(60)) {
                            log::warn!("Error accepting new client: {}", e);
                            said = Some(Instant::now());
                        }
                        thread::sleep(Duration::from_millis(100));
                        continue;
                    }
                };
                let mut place = match inside_connections.enter(peer, sock) {
                    Some(place) => place,
                    None => continue,
                };
                let (messages, limits) = (inside_messages.clone(), limits.clone());
                // without a thread or with a client that has gone the connection is closed
                let spawned = thread::Builder::new()
                    .name("http-connection".into())
                    .spawn(move || {
                        while let Some((sock, patience)) = place.next() {
                            if let Ok(client) = ClientConnection::new(sock, limits.clone(), patience) {
                                serve(client, &messages, &place);
                            }
                        }
                    });
                if spawned.is_err() {
                    inside_connections.no_thread();
                }
            }
            log::debug!("Terminating accept thread");
        })?;

        // result
        Ok(Server {
            messages,
            close: close_trigger,
            listening_addr: local_addr,
            connections,
        })
    }

    /// Other limits on how many connections may be open. Those that are open stay.
    pub fn limit_connections(&self, max_connections: usize, max_connections_per_client: usize) {
        self.connections.limit(max_connections, max_connections_per_client);
    }

    /// How many connections are open.
    pub fn count_connections(&self) -> Count {
        self.connections.count()
    }

    /// Where the program puts the address from which it asks itself: a connection from there is let in beyond every limit,
    /// and makes room for none.
    pub fn own_question(&self) -> Arc<Mutex<Option<SocketAddr>>> {
        self.connections.own_question()
    }

    /// Returns an iterator for all the incoming requests.
    ///
    /// The iterator will return `None` if the server socket is shutdown.
    #[inline]
    pub fn incoming_requests(&self) -> IncomingRequests<'_> {
        IncomingRequests { server: self }
    }

    /// Returns the address the server is listening to.
    #[inline]
    pub fn server_addr(&self) -> ListenAddr {
        self.listening_addr.clone()
    }

    /// Blocks until an HTTP request has been submitted and returns it.
    pub fn recv(&self) -> IoResult<Request> {
        match self.messages.pop() {
            Some(Message::Error(err)) => Err(err),
            Some(Message::NewRequest(rq)) => Ok(rq),
            None => Err(IoError::new(IoErrorKind::Other, "thread unblocked")),
        }
    }

    /// Same as `recv()` but doesn't block longer than timeout
    pub fn recv_timeout(&self, timeout: Duration) -> IoResult<Option<Request>> {
        match self.messages.pop_timeout(timeout) {
            Some(Message::Error(err)) => Err(err),
            Some(Message::NewRequest(rq)) => Ok(Some(rq)),
            None => Ok(None),
        }
    }

    /// Same as `recv()` but doesn't block.
    pub fn try_recv(&self) -> IoResult<Option<Request>> {
        match self.messages.try_pop() {
            Some(Message::Error(err)) => Err(err),
            Some(Message::NewRequest(rq)) => Ok(Some(rq)),
            None => Ok(None),
        }
    }

    /// Unblock thread stuck in recv() or incoming_requests().
    /// If there are several such threads, only one is unblocked.
    /// This method allows graceful shutdown of server.
    pub fn unblock(&self) {
        self.messages.unblock();
    }
}

/// Hands on the requests of a connection, one after the other: each waits until the one before it is answered.
fn serve(mut client: ClientConnection, messages: &MessagesQueue<Message>, place: &Place) {
    let (sender, receiver) = mpsc::channel();
    while let Some(rq) = client.next() {
        if !place.answering() {
            return;
        }
        messages.push(rq.with_notify_sender(sender.clone()).into());
        let goes_on = loop {
            match receiver.recv() {
                Ok(Progress::Streaming) => place.streaming(),
                Ok(Progress::Ended { goes_on }) => break goes_on,
                Err(_) => break false,
            }
        };
        if !goes_on {
            client.no_more_requests();
        } else if !place.idle() {
            return;
        }
    }
}

impl Iterator for IncomingRequests<'_> {
    type Item = Request;
    fn next(&mut self) -> Option<Request> {
        self.server.recv().ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.close.store(true, Relaxed);
        // Connect briefly to ourselves to unblock the accept thread
        let maybe_stream = match &self.listening_addr {
            ListenAddr::IP(addr) => {
                TcpStream::connect_timeout(addr, Duration::from_millis(100)).map(Connection::from)
            }
            #[cfg(unix)]
            ListenAddr::Unix(addr) => {
                // TODO: use connect_addr when its stabilized.
                let path = addr.as_pathname().unwrap();
                std::os::unix::net::UnixStream::connect(path).map(Connection::from)
            }
        };
        if let Ok(stream) = maybe_stream {
            let _ = stream.shutdown(Shutdown::Both);
        }

        #[cfg(unix)]
        if let ListenAddr::Unix(addr) = &self.listening_addr {
            if let Some(path) = addr.as_pathname() {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::Shutdown;

    const WAIT: Duration = Duration::from_secs(10);

    /// What a client gets that asks twice at once, and how many of its requests are handed on.
    fn answers(mut answer: impl FnMut(Request)) -> (String, usize) {
        let server = Server::http("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(server.server_addr().to_ip().unwrap()).unwrap();
        client.write_all(&b"GET / HTTP/1.1\r\n\r\n".repeat(2)).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        client.set_read_timeout(Some(WAIT)).unwrap();
        let mut count = 0;
        let begun = Instant::now();
        while count == 0 || server.count_connections().answering + server.count_connections().idle > 0 {
            assert!(begun.elapsed() < WAIT, "the connection ends");
            if let Some(request) = server.recv_timeout(Duration::from_millis(50)).unwrap() {
                count += 1;
                answer(request);
            }
        }
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        (text, count)
    }

    #[test]
    fn the_next_request_is_read_only_after_an_answer_that_was_written_whole() {
        let whole = answers(|request| {
            let mut writer = request.into_writer();
            writer.write_all(b"whole;").unwrap();
            writer.flush().unwrap();
            writer.finish();
        });
        assert_eq!(whole, ("whole;whole;".to_owned(), 2));
        let part = answers(|request| {
            let mut writer = request.into_writer();
            writer.write_all(b"par").unwrap();
            writer.flush().unwrap();
        });
        assert_eq!(part, ("par".to_owned(), 1));
    }

    #[test]
    fn an_answer_whose_body_cannot_be_read_ends_the_connection() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> IoResult<usize> {
                Err(IoErrorKind::BrokenPipe.into())
            }
        }
        let (_, count) = answers(|request| {
            let _ = request.respond(Response::new(StatusCode(200), Vec::new(), Broken, Some(9), None));
        });
        assert_eq!(count, 1);
        let (text, count) = answers(|request| request.respond(Response::from_string("whole")).unwrap());
        assert!(count == 2 && text.matches("\r\n\r\nwhole").count() == 2, "{}", text);
    }
}
