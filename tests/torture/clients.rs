//! Clients: too many of them, slow ones, rude ones.

use crate::support::{Home, PATIENCE, Running};
use crate::watch::{Random, Usage, Watch, part};
use crate::{Fault, Figures};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

const SECOND: Option<Duration> = Some(Duration::from_millis(1100));

fn quiet() -> (Home, Running) {
    let home = Home::new("");
    let camera = home.still_camera("obama.jpg");
    home.write_config(&format!(
        "[camera]\nsource = {camera}\n[recognition]\nenabled = no\n[stream]\nmax_viewers = 250\n"
    ));
    let running = home.run();
    running.until("pictures", |running| running.get("/snapshot.jpg").status == 200);
    (home, running)
}

/// A connection from another address of this machine.
fn from(host: u8, to: SocketAddr) -> std::io::Result<TcpStream> {
    let SocketAddr::V4(to) = to else { panic!("{to} is not IPv4") };
    let raw = |ip: u32, port: u16| libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: ip.to_be() },
        sin_zero: [0; 8],
    };
    let length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    let (here, there) = (raw(0x7f00_0100 + u32::from(host), 0), raw((*to.ip()).into(), to.port()));
    // SAFETY: a new socket that `stream` closes, and addresses of `length` bytes that live through the calls.
    unsafe {
        let stream = TcpStream::from_raw_fd(libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0));
        let is_bound = libc::bind(stream.as_raw_fd(), std::ptr::from_ref(&here).cast(), length) == 0;
        if !is_bound || libc::connect(stream.as_raw_fd(), std::ptr::from_ref(&there).cast(), length) != 0 {
            return Err(std::io::Error::last_os_error());
        }
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(stream)
    }
}

const GET_STREAM: &[u8] = b"GET /video_feed HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

pub const VIEWERS: Fault = Fault {
    name: "viewers",
    wrong: "500 viewers come at once from 100 addresses, watch, and leave, some without a word",
    does: "187 of 250 places (max_viewers) are taken, the last quarter is kept for addresses without one; the others get 503 and when to try again",
    within: SECOND,
    waits: false,
    run: viewers,
};

fn viewers(full: bool) -> Figures {
    let (_home, running) = quiet();
    let watch = Watch::of(running.address);
    let (tried, lasts_s) = if full { (500, 30) } else { (300, 8) };
    // What the first crowd left is what the second one must not add to.
    let mut before = Usage::default();
    if full {
        crowd(&running, tried, 5);
        before = Usage::after(running.pid(), before, full);
    }
    let (served, refused) = crowd(&running, tried, lasts_s);
    let after = Usage::after(running.pid(), before, full);
    let seen = watch.end();
    assert_eq!(seen.breaks, 0);
    let remark = format!("{served} watched, {refused} refused with 503");
    Figures { tried, survived: served + refused, remark, ..Figures::default() }.seen(seen).held(before, after)
}

/// Viewers who come at once and watch for so long: how many watched, and how many were refused.
fn crowd(running: &Running, tried: u64, lasts_s: u64) -> (u64, u64) {
    let (served, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    let until = Instant::now() + Duration::from_secs(lasts_s);
    std::thread::scope(|scope| {
        for number in 0..tried {
            let (served, refused, address) = (&served, &refused, running.address);
            let view = move || -> std::io::Result<()> {
                let mut stream = from((number % 100) as u8 + 1, address)?;
                stream.write_all(GET_STREAM)?;
                let mut reader = BufReader::new(stream);
                let mut line = String::new();
                reader.read_line(&mut line)?;
                if line.starts_with("HTTP/1.1 503") {
                    let mut rest = String::new();
                    reader.read_to_string(&mut rest)?;
                    refused.fetch_add(u64::from(rest.contains("Retry-After: ")), Relaxed);
                    return Ok(());
                }
                assert!(line.starts_with("HTTP/1.1 200"), "{line}");
                while line != "\r\n" {
                    line.clear();
                    reader.read_line(&mut line)?;
                }
                part(&mut reader)?;
                while Instant::now() < until {
                    part(&mut reader)?;
                }
                served.fetch_add(1, Relaxed);
                Ok(())
            };
            std::thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, move || drop(view())).unwrap();
        }
    });
    let (served, refused) = (served.into_inner(), refused.into_inner());
    assert!(
        served >= 187 && served + refused >= tried * 98 / 100,
        "{served} watched, {refused} were refused of {tried}"
    );
    running.until("they are gone", |running| running.state()["stream"]["viewers"].as_u64() <= Some(1));
    (served, refused)
}

pub const HALF_OPEN: Fault = Fault {
    name: "half-open",
    wrong: "1,000 connections from 50 addresses stay half open, dribble a byte a second, or are reset, and come again",
    does: "closes the oldest of the client with the most; other clients are answered; viewers go on",
    within: SECOND,
    waits: false,
    run: half_open,
};

fn half_open(full: bool) -> Figures {
    let (_home, running) = quiet();
    let watch = Watch::of(running.address);
    let (count, lasts_s) = if full { (1000, 60) } else { (300, 2) };
    let mut before = Usage::default();
    if full {
        rude(&running, count, 10);
        before = Usage::after(running.pid(), before, full);
    }
    let (tried, asked, slowest) = rude(&running, count, lasts_s);
    let after = Usage::after(running.pid(), before, full);
    let seen = watch.end();
    assert_eq!(seen.breaks, 0);
    let slowest = slowest.as_secs_f64();
    let remark = format!("another client asked {asked} times meanwhile, all answered, within {slowest:.2} s");
    Figures { tried, survived: tried, remark, ..Figures::default() }.seen(seen).held(before, after)
}

/// Keeps so many connections without a request for so long: how many it opened, how often another client asked, and how long it
/// waited at most.
fn rude(running: &Running, count: usize, lasts_s: u64) -> (u64, u64, Duration) {
    let over = AtomicBool::new(false);
    let opened = AtomicU64::new(0);
    let mut answered = (0, Duration::ZERO);
    std::thread::scope(|scope| {
        for lane in 0..10_u64 {
            let (over, opened, address) = (&over, &opened, running.address);
            scope.spawn(move || {
                let mut random = Random(0xabcd_0001 + lane);
                let mut open: Vec<TcpStream> = Vec::new();
                while !over.load(Relaxed) {
                    if open.len() < count / 10 {
                        let Ok(stream) = from((lane * 5 + random.below(5)) as u8 + 110, address) else { continue };
                        let _ = (&stream).write_all(&b"GET / HTTP/1.1\r\nHost: loc"[..random.below(25) as usize]);
                        opened.fetch_add(1, Relaxed);
                        open.push(stream);
                    } else {
                        std::thread::sleep(Duration::from_millis(1000));
                        // A byte each; those that are closed come again.
                        open.retain(|mut stream| stream.write_all(b"x").is_ok());
                        for _ in 0..open.len().min(5) {
                            let one = open.swap_remove(random.below(open.len() as u64) as usize);
                            reset_on_close(&one);
                        }
                    }
                }
            });
        }
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(lasts_s) {
            let asked = Instant::now();
            assert_eq!(running.get("/healthz").status, 200, "{}", running.log());
            answered = (answered.0 + 1, answered.1.max(asked.elapsed()));
            std::thread::sleep(Duration::from_millis(100));
        }
        over.store(true, Relaxed);
    });
    running.until("they are gone", |running| running.state()["connections"]["waiting"].as_u64() <= Some(2));
    (opened.into_inner(), answered.0, answered.1)
}

fn reset_on_close(stream: &TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let length = size_of::<libc::linger>() as libc::socklen_t;
    // SAFETY: an open socket, and an option of `length` bytes that lives through the call.
    unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            std::ptr::from_ref(&linger).cast(),
            length,
        );
    }
}

pub const SHAPES: Fault = Fault {
    name: "smuggling",
    wrong: "requests that a proxy and a server may split differently, and pipelines",
    does: "answers once and closes, or refuses; what is hidden in a body is never a request",
    within: SECOND,
    waits: true,
    run: shapes,
};

/// The request that is hidden in another one.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn shapes(full: bool) -> Figures {
    let (_home, running) = quiet();
    let watch = Watch::of(running.address);
    let length = HIDDEN.len();
    let post = "POST /api/settings HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/json\r\n";
    let heads = [
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n\r\n0\r\n\r\n"),
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "Transfer-Encoding: xchunked\r\n\r\n".to_owned(),
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n".to_owned(),
        "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        format!("Content-Length: {length}\r\nContent-Length: 0\r\n\r\n"),
        format!("Content-Length: 0\r\nContent-Length: {length}\r\n\r\n"),
        format!("Content-Length: {length}, {length}\r\n\r\n"),
        format!("Content-Length: 0, {length}\r\n\r\n"),
        format!("Content-Length: +{length}\r\n\r\n"),
        format!("Content-Length: -{length}\r\n\r\n"),
        format!("Content-Length: 0x{length:x}\r\n\r\n"),
        format!("Content-Length: {length}.0\r\n\r\n"),
        format!("Content-Length:{length}\r\n\r\n"),
        format!("Content-Length : {length}\r\n\r\n"),
        format!("Content-Length\0: {length}\r\n\r\n"),
        format!("Content-Length: {length}\0\r\n\r\n"),
        format!("Content-Length: {length}\n\n"),
        format!("Content-Length: {length}\r\r\n\r\n"),
        "Content-Length: 99999999999999999999\r\n\r\n".to_owned(),
        "Content-Length:\r\n\r\n".to_owned(),
        format!("Connection: Content-Length\r\nContent-Length: {length}\r\n\r\n"),
        format!("Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n"),
        format!("Content-Length: {length}\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"),
    ];
    let mut open = Vec::new();
    for head in &heads {
        let (answers, said) = answers(&running, &format!("{post}{head}{HIDDEN}"), Duration::from_secs(3));
        assert!(answers <= 2, "{answers} answers to {head:?}: {said}");
        if said.contains("404") || answers > 1 {
            open.push(format!("{head:?}: {said}"));
        }
    }
    // Without a body there is nothing to hide: what follows is a request, and is answered in its turn.
    let mut tried = heads.len() as u64;
    let deep = if full { 500 } else { 50 };
    let line = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let last = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(answers(&running, &(line.repeat(deep - 1) + last), PATIENCE).0, deep);
    tried += 1;
    let seen = watch.end();
    assert_eq!(seen.breaks, 0);
    assert!(open.is_empty(), "a hidden request is answered:\n{}", open.join("\n"));
    Figures { tried, survived: tried, ..Figures::default() }.seen(seen)
}

/// How many answers come to these bytes until none comes for so long, and their status lines.
fn answers(running: &Running, request: &str, patience: Duration) -> (usize, String) {
    let mut stream = running.connect();
    stream.set_read_timeout(Some(patience)).unwrap();
    let _ = stream.write_all(request.as_bytes());
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("HTTP/1.1 ")).collect();
    (lines.len(), lines.join("; "))
}
