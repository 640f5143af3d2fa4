//! The socket side of HTTP: the only file that knows tiny_http.

use super::accounts::Accounts;
use super::checks;
use super::client::network;
use super::listener::{SEND_TIMEOUT, listen};
use super::message::{Answer, Request, Stream, Whole, Wire};
use crate::config::Config;
use crate::health::Connections;
use crate::stop::{POLL, Stop};
use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A client may be behind [`LEAST_RATE`] by so long, and no further write is begun then.
const SEND_LIMIT: Duration = Duration::from_secs(5);
/// Bytes a second that a client must take on the whole: a byte now and then would hold a thread and a viewer's place for
/// ever.
const LEAST_RATE: u64 = 16 * 1024;
// Who takes nothing any more is cut off below 10 s: by the end of the second write, the first one that gets nothing away;
// and so is who never takes more than a little.
const _: () = assert!(2 * SEND_TIMEOUT.as_secs() < 10 && SEND_LIMIT.as_secs() + SEND_TIMEOUT.as_secs() < 10);
/// Connections that a viewer needs: the picture, what the page asks beside it, and one that is being closed.
const PER_VIEWER: usize = 3;
/// Connections that one client may have beside: those on which passwords wait, and a few. Behind a proxy or a router all
/// viewers have one address.
const FURTHER: usize = checks::MOST + 32;
/// Connections that are left to other clients when one has all of its own.
const LEFT_TO_OTHERS: usize = 128;
/// How long answers under way are waited for at the end.
const FAREWELL: Duration = Duration::from_millis(300);

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// The answer to `request`. It may take its time: it holds up nobody else.
    fn answer<'a>(&'a self, request: &'a Request) -> Answer<'a>;
}

/// A server that listens already; requests wait until [`Server::serve`] takes them.
pub struct Server {
    tiny: tiny_http::Server,
    address: SocketAddr,
}

impl Server {
    /// Listens on `http.bind`.
    ///
    /// # Errors
    /// When that address cannot be listened on or the password file is bad; says why.
    pub fn bind(config: &Config) -> Result<Server> {
        if let Some(path) = &config.http.password_file {
            Accounts::load(path).map_err(|problems| anyhow::anyhow!(problems.join("\n")))?;
        }
        let address = config.bind_address().with_context(|| format!("not an address: {}", config.http.bind))?;
        Server::with_limits(address, limits(config.stream.max_viewers))
    }

    /// Like [`Server::bind`], with another time that a client has for its request.
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

    /// Where it listens; the port is the real one when 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Where the watchdog puts the address from which it asks; a connection from there is let in beyond every limit.
    pub fn own_question(&self) -> Arc<Mutex<Option<SocketAddr>>> {
        self.tiny.own_question()
    }

    /// How many connections are open.
    pub fn connections(&self) -> Connections {
        let tiny_http::Count { waiting, idle, answering, streaming, refused, closed_early, most } =
            self.tiny.count_connections();
        Connections { waiting, idle, answering, streaming, refused, closed_early, most }
    }

    /// Answers requests until the program ends; `tick` is called at least every [`POLL`] and says how many may watch.
    ///
    /// Each answer has a thread of its own, so that a slow client, a password check or a stream holds up nobody. There
    /// are never more than connections, which the server bounds: a connection's next request is read after the answer.
    pub fn serve(&self, handler: &Arc<impl Handler>, stop: &Stop, tick: impl Fn() -> u32) {
        let under_way = Arc::new(AtomicUsize::new(0));
        let mut viewers = None;
        while !stop.is_set() {
            let max_viewers = tick();
            if viewers.replace(max_viewers) != Some(max_viewers) {
                let limits = limits(max_viewers);
                self.tiny.limit_connections(limits.max_connections, limits.max_connections_per_client);
            }
            match self.tiny.recv_timeout(POLL) {
                Ok(Some(request)) => {
                    let (handler, guard) = (Arc::clone(handler), UnderWay::one_more(&under_way));
                    let thread = std::thread::Builder::new().name("http-answer".to_owned());
                    // Without a thread the request is dropped, which answers 500 and closes.
                    let spawned = thread.spawn(move || {
                        let _guard = guard;
                        respond(&*handler, request);
                    });
                    if let Err(error) = spawned {
                        log::warn!("http: no thread for an answer: {error}");
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
        while under_way.load(Relaxed) > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Room for so many viewers, wherever they are, and for what they ask beside.
fn limits(max_viewers: u32) -> tiny_http::Limits {
    let max_connections_per_client = PER_VIEWER * max_viewers as usize + FURTHER;
    let max_connections = max_connections_per_client + LEFT_TO_OTHERS;
    let client = network;
    tiny_http::Limits { max_connections, max_connections_per_client, client, ..tiny_http::Limits::default() }
}

/// Counts an answer for as long as it is under way.
struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    fn one_more(count: &Arc<AtomicUsize>) -> UnderWay {
        count.fetch_add(1, Relaxed);
        UnderWay(Arc::clone(count))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

fn respond(handler: &impl Handler, tiny: tiny_http::Request) {
    let mut request = Request::new(tiny.method().as_str(), tiny.url());
    let headers = tiny.headers().iter();
    request.headers = headers.map(|h| (h.field.as_str().to_string(), h.value.to_string())).collect();
    request.peer = tiny.remote_addr().map(|address| address.ip().to_canonical());
    let head_only = request.method == "HEAD";
    let keeps_alive = keeps_alive(&request, *tiny.http_version() >= (1, 1));
    let answer = handler.answer(&request);
    let mut wire = Outgoing(tiny.into_writer());
    let goes_on = match answer {
        Answer::Whole(whole) => send_whole(&mut wire, &whole, keeps_alive, head_only).is_ok() && keeps_alive,
        Answer::Stream(stream) => {
            wire.0.streams();
            // A client that has gone, or is cut off, is nothing to report: the closed connection says it.
            let _ = send_stream(&mut wire, stream, head_only);
            false
        }
    };
    if goes_on {
        wire.0.finish();
    }
}

/// True when the client may ask again on this connection; nothing here reads a body, so one with a body may not.
fn keeps_alive(request: &Request, http_1_1: bool) -> bool {
    let says = |word: &str| request.header("Connection").is_some_and(|v| v.to_ascii_lowercase().contains(word));
    let body =
        request.header("Transfer-Encoding").is_some() || request.header("Content-Length").is_some_and(|v| v != "0");
    !body && !says("close") && !says("upgrade") && (http_1_1 || says("keep-alive"))
}

fn send_whole(wire: &mut impl Wire, whole: &Whole, keeps_alive: bool, head_only: bool) -> io::Result<()> {
    let body = whole.body.bytes();
    let mut head = head(whole.status, whole.content_type, &whole.headers);
    let connection = if keeps_alive { "keep-alive" } else { "close" };
    let _ = write!(head, "Content-Length: {}\r\nConnection: {connection}\r\n\r\n", body.len());
    wire.send(&[head.as_bytes(), if head_only { b"" } else { body }])
}

fn send_stream(wire: &mut impl Wire, stream: Stream<'_>, head_only: bool) -> io::Result<()> {
    // No chunks and no keep-alive: the end of the connection is the end of the body, for HTTP/1.0 clients too.
    let mut head = head(200, stream.content_type, &stream.headers).into_bytes();
    head.extend_from_slice(b"Connection: close\r\n\r\n");
    if head_only {
        return wire.send(&[&head]);
    }
    wire.send(&[&head, stream.first])?;
    (stream.run)(wire)
}

/// Status line and headers, without the empty line behind them.
fn head(status: u16, content_type: &str, headers: &[(&str, String)]) -> String {
    let reason = tiny_http::StatusCode(status).default_reason_phrase();
    let mut head = format!("HTTP/1.1 {status} {reason}\r\nServer: namecam\r\nContent-Type: {content_type}\r\n");
    let usual = [
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'self'"),
    ];
    let own = |name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    let usual = usual.into_iter().filter(|(name, _)| !own(name));
    for (name, value) in headers.iter().map(|(n, v)| (*n, v.as_str())).chain(usual) {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head
}

/// The way to a client, with an end to patience.
struct Outgoing<W>(W);

impl<W: Write> Wire for Outgoing<W> {
    fn send(&mut self, pieces: &[&[u8]]) -> io::Result<()> {
        let begun = Instant::now();
        let mut pieces: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let mut left = &mut pieces[..];
        IoSlice::advance_slices(&mut left, 0);
        let mut patience = SEND_LIMIT;
        // Not write_all: a client that takes a byte now and then would hold it for ever.
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

    /// Takes the first `at_once` bytes when they come and so many every 100 ms after that.
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
    fn who_takes_all_of_it_at_a_decent_rate_gets_it_and_who_dribbles_is_cut_off() {
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
            assert!(result == Err(ErrorKind::TimedOut) && (4.9..6.5).contains(&seconds), "{result:?} {seconds} s");
            let (result, seconds) = stalling.join().unwrap();
            assert!(result == Err(ErrorKind::TimedOut) && (6.9..8.5).contains(&seconds), "{result:?} {seconds} s");
        });
    }

    /// Answers when it may, and counts.
    struct Slow {
        may_answer: Stop,
        answers: AtomicUsize,
    }

    impl Handler for Slow {
        fn answer<'a>(&'a self, _: &'a Request) -> Answer<'a> {
            self.may_answer.wait(Duration::from_secs(10));
            self.answers.fetch_add(1, Relaxed);
            Whole::text(200, "an answer").into()
        }
    }

    fn within(reached: impl Fn() -> bool) -> bool {
        let begun = Instant::now();
        while !reached() && begun.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(20));
        }
        reached()
    }

    #[test]
    fn a_client_that_has_gone_is_not_answered_further() {
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
    fn as_many_connections_as_there_can_be_fit_into_what_the_unit_allows() {
        let unit = include_str!("../../systemd/namecam.service");
        let allowed = |name: &str| {
            let value = unit.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            value.parse::<usize>().unwrap()
        };
        let key = keys::find("stream", "max_viewers").unwrap();
        let keys::Kind::Whole(_, most) = key.kind else { panic!("not a number") };
        // The watchdog's question has no place among them.
        let connections = limits(most).max_connections + 1;
        // A thread for a connection and one for its answer. A connection that was closed for another one is a file until
        // its thread wakes. The rest is for the other stages.
        assert!(2 * connections + 100 <= allowed("TasksMax="), "{connections}");
        assert!(2 * connections + 100 <= allowed("LimitNOFILE="), "{connections}");
    }

    #[test]
    fn connections_are_counted_by_the_clients_that_penalties_are_counted_by() {
        let client = |address: &str| (limits(32).client)(address.parse().unwrap());
        assert_eq!(client("2001:db8:1:2::1"), client("2001:db8:1:2:ffff::9"));
        assert_ne!(client("2001:db8:1:2::1"), client("2001:db8:1:3::1"));
        assert_eq!(client("192.0.2.1"), client("::ffff:192.0.2.1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
    }
}
