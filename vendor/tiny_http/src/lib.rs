//! A low level HTTP server: the part of tiny_http that namecam uses, with mends. See README.namecam.md.
#![forbid(unsafe_code)]
#![deny(rust_2018_idioms)]
#![allow(clippy::match_like_matches_macro)]

use std::collections::VecDeque;
use std::error::Error;
use std::io::ErrorKind as IoErrorKind;
use std::io::Result as IoResult;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use client::ClientConnection;
use connections::{Connections, Place};
use request::Progress;

pub use common::{HTTPVersion, Header, HeaderField, StatusCode};
pub use connections::{Count, Limits};
pub use request::{AnswerWriter, Request};

mod client;
mod common;
mod connections;
mod request;

/// The main class of this library.
///
/// Destroying this object will immediately close the listening socket and the reading
///  part of all the client's connections. Requests that have already been returned by
///  the `recv()` function will not close and the responses will be transferred to the client.
pub struct Server {
    // should be false as long as the server exists
    // when set to true, all the subtasks will close within a few hundreds ms
    close: Arc<AtomicBool>,

    // requests that were read, and not yet taken
    messages: Arc<MessagesQueue>,

    // result of TcpListener::local_addr()
    listening_addr: SocketAddr,

    // connections that are open, and how many may be
    connections: Arc<Connections>,
}

#[derive(Default)]
struct MessagesQueue {
    queue: Mutex<VecDeque<Request>>,
    condvar: Condvar,
}

impl MessagesQueue {
    fn push(&self, rq: Request) {
        self.queue.lock().unwrap().push_back(rq);
        self.condvar.notify_one();
    }

    fn pop_timeout(&self, timeout: Duration) -> Option<Request> {
        let queue = self.queue.lock().unwrap();
        self.condvar.wait_timeout_while(queue, timeout, |queue| queue.is_empty()).unwrap().0.pop_front()
    }
}

impl Server {
    /// Builds a new server using the specified TCP listener.
    pub fn from_listener(
        server: TcpListener,
        limits: Limits,
    ) -> Result<Server, Box<dyn Error + Send + Sync + 'static>> {
        // building the "close" variable
        let close_trigger = Arc::new(AtomicBool::new(false));

        let local_addr = server.local_addr()?;
        log::debug!("Server listening on {}", local_addr);

        // creating a task where server.accept() is continuously called
        // and each connection gets a thread that pushes its requests in the messages queue
        let messages = Arc::<MessagesQueue>::default();

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

    /// Blocks until an HTTP request has been submitted, but not longer than timeout, and returns it.
    pub fn recv_timeout(&self, timeout: Duration) -> IoResult<Option<Request>> {
        Ok(self.messages.pop_timeout(timeout))
    }
}

/// Hands on the requests of a connection, one after the other: each waits until the one before it is answered.
fn serve(mut client: ClientConnection, messages: &MessagesQueue, place: &Place) {
    let (sender, receiver) = mpsc::channel();
    while let Some(rq) = client.next(&sender) {
        if !place.answering() {
            return;
        }
        messages.push(rq);
        let goes_on = loop {
            match receiver.recv() {
                Ok(Progress::Streaming) => place.streaming(),
                Ok(Progress::Ended { goes_on }) => break goes_on,
                Err(_) => break false,
            }
        };
        if !goes_on || !place.idle() {
            return;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.close.store(true, Relaxed);
        // Connect briefly to ourselves to unblock the accept thread
        if let Ok(stream) = TcpStream::connect_timeout(&self.listening_addr, Duration::from_millis(100)) {
            let _ = stream.shutdown(Shutdown::Both);
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
    fn answers(answer: impl FnMut(Request)) -> (String, usize) {
        answers_to(&"GET / HTTP/1.1\r\n\r\n".repeat(2), answer)
    }

    fn answers_to(asked: &str, mut answer: impl FnMut(Request)) -> (String, usize) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server::from_listener(listener, Limits::default()).unwrap();
        let mut client = TcpStream::connect(server.listening_addr).unwrap();
        client.write_all(asked.as_bytes()).unwrap();
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
    fn a_request_that_is_dropped_gets_500_and_ends_the_connection() {
        let (text, count) = answers(drop);
        assert!(count == 1 && text.starts_with("HTTP/1.1 500 Internal Server Error\r\n"), "{}", text);
    }

    fn whole(request: Request) {
        let mut writer = request.into_writer();
        writer.write_all(b"whole;").unwrap();
        writer.finish();
    }

    #[test]
    fn after_a_body_that_did_not_come_with_the_head_the_connection_ends() {
        let after = |headers: &str, body: &str| {
            let asked = format!("POST / HTTP/1.1\r\n{}\r\n\r\n{}GET / HTTP/1.1\r\n\r\n", headers, body);
            answers_to(&asked, whole)
        };
        assert_eq!(after("Content-Length: 5", "GET /"), ("whole;whole;".to_owned(), 2));
        assert_eq!(after("Content-Length: 1024", &"x".repeat(1024)).1, 2);
        assert_eq!(after("Content-Length: 1025", &"x".repeat(1025)).1, 1);
        assert_eq!(after("Content-Length: 5\r\nExpect: 100-continue", "").1, 1);
        assert_eq!(after("Content-Length: 18446744073709551615", "").1, 1);
        assert_eq!(after("Transfer-Encoding: chunked", "0\r\n\r\n").1, 1);
        assert_eq!(after("Connection: close", "").1, 1);
        assert_eq!(after("Connection: upgrade", "").1, 1);
    }

    #[test]
    fn a_body_is_read_when_the_program_wants_it_and_has_a_time() {
        let read = |headers: &str, body: &str, until: Duration| {
            let mut bodies = Vec::new();
            let asked = format!("POST / HTTP/1.1\r\n{}\r\n\r\n{}", headers, body);
            let (text, _) = answers_to(&asked, |mut request| {
                let length = request.body_length();
                let body = request.read_body(Instant::now() + until).map_err(|e| e.kind());
                bodies.push((length, body.map(|b| String::from_utf8(b).unwrap())));
                whole(request);
            });
            (text, bodies.remove(0))
        };
        let long = "x".repeat(100_000);
        for body in ["", "short", &long[..1024], &long[..1025], &long] {
            let (text, read) = read(&format!("Content-Length: {}", body.len()), body, WAIT);
            assert_eq!((text.as_str(), read), ("whole;", (Some(body.len()), Ok(body.to_owned()))));
        }
        let text = read("Content-Length: 2000\r\nExpect: 100-continue", &long[..2000], WAIT).0;
        assert_eq!(text, "HTTP/1.1 100 Continue\r\n\r\nwhole;");
        let ends_early = read("Content-Length: 2000", "short", WAIT).1;
        assert_eq!(ends_early, (Some(2000), Err(IoErrorKind::UnexpectedEof)));
        let chunked = read("Transfer-Encoding: chunked", "0\r\n\r\n", WAIT).1;
        assert_eq!(chunked, (None, Err(IoErrorKind::InvalidInput)));
        assert_eq!(read("Content-Length: 2000", "short", Duration::default()).1 .1, Err(IoErrorKind::TimedOut));
    }

    #[test]
    fn a_client_whose_body_is_not_wanted_gets_its_answer_though_it_still_sends() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server::from_listener(listener, Limits::default()).unwrap();
        let mut client = TcpStream::connect(server.listening_addr).unwrap();
        client.write_all(b"POST / HTTP/1.1\r\nContent-Length: 500000\r\n\r\n").unwrap();
        client.write_all(&vec![b'x'; 100_000]).unwrap();
        whole(server.recv_timeout(WAIT).unwrap().unwrap());
        client.write_all(&vec![b'x'; 100_000]).unwrap();
        client.set_read_timeout(Some(WAIT)).unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        assert_eq!(text, "whole;");
    }

    #[test]
    fn a_head_that_cannot_be_used_is_refused_with_the_reason_and_ends_the_connection() {
        for (head, status) in [
            ("GET /\r\n", 400),
            ("G\u{e9}T / HTTP/1.1\r\n", 400),
            ("GET / HTTP/1.1\r\nno colon\r\n", 400),
            ("GET / HTTP/1.1\r\nA: b\r\n folded\r\n", 400),
            ("GET / HTTP/1.1\r\n A: b\r\n", 400),
            ("GET / HTTP/1.1\r\nA: b\nContent-Length: 5\r\n", 400),
            ("GET / HTTP/1.1\r\nA: b\rC: d\r\n", 400),
            ("GET / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n", 400),
            ("GET / HTTP/1.1\r\nContent-Length: 5\r\ncontent-length: 5\r\n", 400),
            ("GET / HTTP/1.1\r\nContent-Length: 5, 5\r\n", 400),
            ("GET / HTTP/1.1\r\nContent-Length: +5\r\n", 400),
            ("GET / HTTP/1.1\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n", 400),
            ("GET / HTTP/1.1\r\nExpect: a miracle\r\n", 417),
            ("GET / HTTP/2.0\r\n", 505),
            (&format!("GET / HTTP/1.1\r\n{}", "A: b\r\n".repeat(101)), 431),
            (&format!("GET /{} HTTP/1.1\r\n", "a".repeat(16 * 1024)), 431),
        ] {
            // what follows is not read
            let asked = format!("GET / HTTP/1.1\r\n\r\n{}\r\n", head);
            let (text, count) = answers_to(&asked, whole);
            assert!(count == 1 && text.starts_with(&format!("whole;HTTP/1.1 {} ", status)), "{}: {}", status, text);
            assert!(text.ends_with("Connection: close\r\n\r\n"), "{}", text);
        }
    }
}
