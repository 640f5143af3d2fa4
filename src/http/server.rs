//! The socket side of HTTP: the only file that uses tiny_http.

use super::client::network;
use super::listener::{SEND_TIMEOUT, listen};
use super::message::{Answer, Request, StreamAnswer, Whole, Wire};
use crate::config::Config;
use crate::http::auth::checks;
use crate::sync::{POLL, Stop};
use crate::telemetry::health::Connections;
use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How far a client may fall behind [`LEAST_RATE`] before no further write is begun.
const SEND_LIMIT: Duration = Duration::from_secs(5);
/// The average rate, in bytes per second, at which a client must receive. A client that reads a byte now and then would
/// otherwise occupy a thread and a viewer's place for ever.
const LEAST_RATE: u64 = 16 * 1024;
// A client that stops reading is disconnected within 10 s: at the end of the second write, the first one that cannot
// send anything. The same holds for a client that always reads slowly.
const _: () = assert!(2 * SEND_TIMEOUT.as_secs() < 10 && SEND_LIMIT.as_secs() + SEND_TIMEOUT.as_secs() < 10);
/// Connections per viewer: the stream, the page's other requests, and one that is being closed.
const PER_VIEWER: usize = 3;
/// Further connections per client: those whose passwords wait to be checked, and a few more. Behind a proxy or a
/// router, all viewers have one address.
const FURTHER: usize = checks::MOST + 32;
/// The connections that are left for other clients when one client has its maximum.
const LEFT_TO_OTHERS: usize = 128;
/// How long the body of a request may take, not counting a second for each [`BODY_PER_SECOND`] bytes of it.
const BODY_WITHIN: Duration = Duration::from_secs(20);
/// The rate at which a large body must arrive: a phone at the edge of a network sends pictures of several MB.
const BODY_PER_SECOND: usize = 256 << 10;
/// How long the server waits for unfinished responses when the program ends.
const FAREWELL: Duration = Duration::from_millis(300);

pub trait Handler: Send + Sync + 'static {
    /// The state of an admitted request.
    type Admitted;

    /// Checks the head of a request. Then the body is read, if it is not larger than the returned number of bytes.
    ///
    /// # Errors
    /// The response for which the body is not read, usually a refusal.
    fn admit(&self, request: &Request) -> Result<(Self::Admitted, Option<usize>), Whole>;

    /// The response to `request`. A slow response does not delay other requests.
    fn answer<'a>(&'a self, request: &'a Request, admitted: Self::Admitted) -> Answer<'a>;
}

/// A listening server. Requests wait until [`Server::serve`] runs.
pub struct Server {
    tiny: tiny_http::Server,
    address: SocketAddr,
}

impl Server {
    /// Listens on `http.bind`.
    ///
    /// # Errors
    /// When it cannot listen on that address.
    pub fn bind(config: &Config) -> Result<Server> {
        let address =
            config.bind_address().with_context(|| format!("http.bind is not an address: {}", config.http.bind))?;
        Server::with_limits(address, limits(config.stream.max_viewers))
    }

    /// Like [`Server::bind`], with another time-out for reading a request.
    #[cfg(test)]
    pub(super) fn impatient(config: &Config, read_timeout: Duration) -> Result<Server> {
        let address = config.bind_address().context("not an address")?;
        Server::with_limits(address, tiny_http::Limits { read_timeout, ..limits(config.stream.max_viewers) })
    }

    fn with_limits(address: SocketAddr, limits: tiny_http::Limits) -> Result<Server> {
        let listener = listen(address)?;
        let address = listener.local_addr()?;
        let tiny = tiny_http::Server::from_listener(listener, limits).map_err(|error| anyhow::anyhow!(error))?;
        Ok(Server { tiny, address })
    }

    /// The address on which the server listens; for port 0, with the port that the system chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The place where the watchdog stores the local address of its check; a connection from there is exempt from all
    /// limits.
    pub fn own_question(&self) -> Arc<Mutex<Option<SocketAddr>>> {
        self.tiny.own_question()
    }

    pub fn connections(&self) -> Connections {
        let tiny_http::Count { waiting, idle, answering, streaming, refused, closed_early, most } =
            self.tiny.count_connections();
        Connections { waiting, idle, answering, streaming, refused, closed_early, most }
    }

    /// Handles requests until the program ends. `tick` is called at least every [`POLL`] and returns the most viewers.
    ///
    /// Each response has its own thread, so that a slow client, a password check or a stream delays no other request.
    /// There are never more threads than connections, whose number is limited: a connection's next request is read
    /// after the response.
    pub fn serve(&self, handler: &Arc<impl Handler>, stop: &Stop, tick: impl Fn() -> u32) {
        // Each running response holds a clone.
        let under_way = Arc::new(());
        let mut viewers = None;
        while !stop.is_set() {
            let max_viewers = tick();
            if viewers.replace(max_viewers) != Some(max_viewers) {
                let limits = limits(max_viewers);
                self.tiny.limit_connections(limits.max_connections, limits.max_connections_per_client);
            }
            match self.tiny.recv_timeout(POLL) {
                Ok(Some(request)) => {
                    let (handler, one_of_them) = (Arc::clone(handler), Arc::clone(&under_way));
                    let thread = std::thread::Builder::new().name("http-answer".to_owned());
                    // Without a thread the request is dropped, which sends status 500 and closes the connection.
                    let spawned = thread.spawn(move || {
                        respond(&*handler, request);
                        drop(one_of_them);
                    });
                    if let Err(error) = spawned {
                        log::warn!("http: cannot start a thread for a request: {error}");
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    log::warn!("http: {error}");
                    stop.wait(POLL);
                }
            }
        }
        let deadline = Instant::now() + FAREWELL;
        while Arc::strong_count(&under_way) > 1 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The connection limits for `max_viewers` viewers, from any addresses, with their further requests.
fn limits(max_viewers: u32) -> tiny_http::Limits {
    let max_connections_per_client = PER_VIEWER * max_viewers as usize + FURTHER;
    let max_connections = max_connections_per_client + LEFT_TO_OTHERS;
    let client = network;
    tiny_http::Limits { max_connections, max_connections_per_client, client, ..tiny_http::Limits::default() }
}

fn respond(handler: &impl Handler, mut tiny: tiny_http::Request) {
    let mut request = Request::new(tiny.method().as_str(), tiny.url());
    let headers = tiny.headers().iter();
    request.headers = headers.map(|h| (h.field.as_str().to_string(), h.value.to_string())).collect();
    request.peer = tiny.remote_addr().map(|address| address.ip().to_canonical());
    let head_only = request.method == "HEAD";
    let admitted = handler.admit(&request).and_then(|(admitted, most)| {
        if let Some(most) = most {
            request.body = body(&mut tiny, most)?;
        }
        Ok(admitted)
    });
    let keeps_alive = tiny.may_go_on();
    let answer = admitted.map_or_else(Answer::Whole, |admitted| handler.answer(&request, admitted));
    let mut wire = Outgoing(tiny.into_writer());
    let goes_on = match answer {
        Answer::Whole(whole) => send_whole(&mut wire, &whole, keeps_alive, head_only).is_ok() && keeps_alive,
        Answer::Stream(stream) => {
            wire.0.streams();
            // A client that disconnected, or was disconnected, is not a fault.
            let _ = send_stream(&mut wire, stream, head_only);
            false
        }
    };
    if goes_on {
        wire.0.finish();
    }
}

/// The body of a request, of at most `most` bytes.
fn body(tiny: &mut tiny_http::Request, most: usize) -> Result<Vec<u8>, Whole> {
    let length = match tiny.body_length() {
        None => return Err(Whole::text(411, "Please send the body with a Content-Length, not in chunks.")),
        Some(length) if length > most => {
            return Err(Whole::text(413, &format!("The body has {length} bytes; at most {most} are taken here.")));
        }
        Some(length) => length,
    };
    let within = body_within(length);
    tiny.read_body(Instant::now() + within)
        .map_err(|error| Whole::text(408, &format!("The body did not arrive within {} s: {error}", within.as_secs())))
}

/// How long a body of `length` bytes may take.
fn body_within(length: usize) -> Duration {
    BODY_WITHIN + Duration::from_secs((length / BODY_PER_SECOND) as u64)
}

fn send_whole(wire: &mut impl Wire, whole: &Whole, keeps_alive: bool, head_only: bool) -> io::Result<()> {
    let body = whole.body.bytes();
    let mut head = head(whole.status, whole.content_type, &whole.headers);
    let connection = if keeps_alive { "keep-alive" } else { "close" };
    let _ = write!(head, "Content-Length: {}\r\nConnection: {connection}\r\n\r\n", body.len());
    wire.send(&[head.as_bytes(), if head_only { b"" } else { body }])
}

fn send_stream(wire: &mut impl Wire, stream: StreamAnswer<'_>, head_only: bool) -> io::Result<()> {
    // Without chunks and keep-alive, the end of the connection ends the body, for HTTP/1.0 clients too.
    let mut head = head(200, stream.content_type, &stream.headers).into_bytes();
    // nginx would collect an endless answer before it passes it on.
    head.extend_from_slice(b"X-Accel-Buffering: no\r\nConnection: close\r\n\r\n");
    if head_only {
        return wire.send(&[&head]);
    }
    wire.send(&[&head, stream.first])?;
    (stream.run)(wire)
}

/// The status line and the headers, without the empty line after them.
fn head(status: u16, content_type: &str, headers: &[(&str, String)]) -> String {
    let reason = tiny_http::StatusCode(status).default_reason_phrase();
    let mut head = format!("HTTP/1.1 {status} {reason}\r\nServer: namecam\r\nContent-Type: {content_type}\r\n");
    let usual = [
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'self'"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
    ];
    let own = |name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    let usual = usual.into_iter().filter(|(name, _)| !own(name));
    for (name, value) in headers.iter().map(|(n, v)| (*n, v.as_str())).chain(usual) {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head
}

/// A connection to a client, with the limits on time and rate.
struct Outgoing<W>(W);

impl<W: Write> Wire for Outgoing<W> {
    fn send(&mut self, pieces: &[&[u8]]) -> io::Result<()> {
        let begun = Instant::now();
        let mut pieces: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let mut left = &mut pieces[..];
        IoSlice::advance_slices(&mut left, 0);
        let mut patience = SEND_LIMIT;
        // write_all has no time-out: a client that reads a byte now and then would block it for ever.
        while !left.is_empty() {
            match self.0.write_vectored(left) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(length) => {
                    IoSlice::advance_slices(&mut left, length);
                    patience += Duration::from_micros(length as u64 * 1_000_000 / LEAST_RATE);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if !left.is_empty() && begun.elapsed() >= patience {
                return Err(ErrorKind::TimedOut.into());
            }
        }
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys;
    use crate::http::PLACE_WAIT;
    use crate::http::teach::{AT_WORK_WITHIN, JUDGED_WITHIN};
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    /// Accepts the first `at_once` bytes at once, and a fixed number every 100 ms after that.
    struct Link {
        at_once: usize,
        every_100_ms: usize,
    }

    impl Write for Link {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.at_once > 0 {
                return Ok(std::mem::take(&mut self.at_once).min(bytes.len()));
            }
            std::thread::sleep(Duration::from_millis(100));
            Ok(bytes.len().min(self.every_100_ms))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_client_that_reads_at_a_decent_rate_gets_everything_and_a_slower_one_is_disconnected() {
        let send = |at_once, every_100_ms| {
            let begun = Instant::now();
            let result = Outgoing(Link { at_once, every_100_ms }).send(&[&[b'J'; 100_000], &[b'-'; 68_000]]);
            (result.map_err(|error| error.kind()), begun.elapsed().as_secs_f64())
        };
        std::thread::scope(|scope| {
            let steady = scope.spawn(|| send(0, 2_400));
            let dribbling = scope.spawn(|| send(0, 1));
            let stalling = scope.spawn(|| send(32 * 1024, 1));
            let (result, seconds) = steady.join().unwrap();
            assert!(result == Ok(()) && seconds > 6.9, "{result:?} after {seconds} s");
            let (result, seconds) = dribbling.join().unwrap();
            assert!(result == Err(ErrorKind::TimedOut) && (4.9..30.0).contains(&seconds), "{result:?} {seconds} s");
            let (result, seconds) = stalling.join().unwrap();
            assert!(result == Err(ErrorKind::TimedOut) && (6.9..30.0).contains(&seconds), "{result:?} {seconds} s");
        });
    }

    /// A handler that waits for permission to respond, and counts.
    struct Slow {
        may_answer: Stop,
        answers: AtomicUsize,
    }

    impl Handler for Slow {
        type Admitted = ();

        fn admit(&self, _: &Request) -> Result<((), Option<usize>), Whole> {
            Ok(((), None))
        }

        fn answer<'a>(&'a self, _: &'a Request, (): ()) -> Answer<'a> {
            self.may_answer.wait(Duration::from_secs(60));
            self.answers.fetch_add(1, Relaxed);
            Whole::text(200, "an answer").into()
        }
    }

    fn within(reached: impl Fn() -> bool) -> bool {
        let begun = Instant::now();
        while !reached() && begun.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(20));
        }
        reached()
    }

    #[test]
    fn a_large_body_may_take_longer_and_the_page_waits_for_the_answer() {
        let seconds = |length| body_within(length).as_secs();
        assert_eq!([0, 16 << 10, 8 << 20, 20 << 20].map(seconds), [20, 20, 52, 100]);
        let script = include_str!("page/gallery.js");
        let page_ms = script.split("PICTURE_WITHIN_MS = ").nth(1).unwrap().split(';').next().unwrap();
        let longest = PLACE_WAIT + body_within(20 << 20) + JUDGED_WITHIN + AT_WORK_WITHIN;
        assert!(Duration::from_millis(page_ms.parse().unwrap()) > longest, "{longest:?}");
    }

    #[test]
    fn a_client_that_has_disconnected_gets_no_further_responses() {
        const REQUESTS: usize = 1000;
        let server = Server::with_limits(([127, 0, 0, 1], 0).into(), limits(1)).unwrap();
        let slow = Arc::new(Slow { may_answer: Stop::default(), answers: AtomicUsize::new(0) });
        let stop = Stop::default();
        std::thread::scope(|scope| {
            scope.spawn(|| server.serve(&slow, &stop, || 1));
            let mut client = std::net::TcpStream::connect(server.local_addr()).unwrap();
            client.write_all(&b"GET / HTTP/1.1\r\n\r\n".repeat(REQUESTS)).unwrap();
            let came = within(|| server.connections().answering == 1);
            drop(client);
            slow.may_answer.set();
            let ended = within(|| server.connections().answering + server.connections().idle == 0);
            stop.set();
            assert!(came && ended, "{came} {ended}");
        });
        let answers = slow.answers.load(Relaxed);
        assert!(answers < REQUESTS / 10, "{answers} answers to a client that has gone");
    }

    #[test]
    fn the_most_connections_fit_into_the_limits_of_the_unit() {
        let unit = include_str!("../../systemd/namecam.service");
        let allowed = |name: &str| {
            let value = unit.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            value.parse::<usize>().unwrap()
        };
        let key = keys::find("stream", "max_viewers").unwrap();
        let keys::ValueKind::Whole(_, most) = key.kind else { panic!("not a number") };
        // The watchdog's connection is not counted among them.
        let connections = limits(most).max_connections + 1;
        // Each connection has a thread, and its response another. A connection that was closed for a newer one keeps
        // its file descriptor until its thread wakes. The rest is for the other stages.
        assert!(2 * connections + 100 <= allowed("TasksMax="), "{connections}");
        assert!(2 * connections + 100 <= allowed("LimitNOFILE="), "{connections}");
    }

    #[test]
    fn connections_and_penalties_are_counted_by_the_same_clients() {
        let client = |address: &str| (limits(32).client)(address.parse().unwrap());
        assert_eq!(client("2001:db8:1:2::1"), client("2001:db8:1:2:ffff::9"));
        assert_ne!(client("2001:db8:1:2::1"), client("2001:db8:1:3::1"));
        assert_eq!(client("192.0.2.1"), client("::ffff:192.0.2.1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
    }
}
