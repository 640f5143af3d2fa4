//! Tests of malicious clients, and of broken ones with the same effect.

use super::sockets::{CLOSE, Running};
use crate::config::Config;
use crate::telemetry::faults::Cause;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[test]
fn clients_that_reset_at_once_do_no_harm() {
    let running = Running::small();
    let address = running.address;
    let storm = (0..4).map(|_| {
        std::thread::spawn(move || {
            for _ in 0..500 {
                let Ok(mut stream) = TcpStream::connect(address) else { continue };
                let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
                reset_on_close(&stream);
            }
        })
    });
    let storm: Vec<JoinHandle<()>> = storm.collect();
    storm.into_iter().for_each(|thread| thread.join().unwrap());
    let answered = || {
        let mut text = String::new();
        let stream = TcpStream::connect(address).and_then(|mut stream| {
            stream.write_all(format!("GET /healthz HTTP/1.1\r\n{CLOSE}").as_bytes())?;
            stream.read_to_string(&mut text)
        });
        stream.is_ok() && text.ends_with("ok\n")
    };
    running.until("an answer", answered);
}

fn reset_on_close(stream: &TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let (value, len) = (std::ptr::from_ref(&linger).cast(), size_of::<libc::linger>() as libc::socklen_t);
    // SAFETY: `value` points to a `linger` of `len` bytes that lives through the call.
    let result = unsafe { libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, value, len) };
    assert_eq!(result, 0);
}

#[test]
fn a_client_that_dribbles_its_request_is_closed() {
    let running = Running::start(100, 32, Duration::from_millis(700));
    let mut slow = running.ask("GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
    let idle = running.ask("");
    let begun = Instant::now();
    let writer = {
        let mut slow = slow.try_clone().unwrap();
        std::thread::spawn(move || {
            while slow.write_all(b"a").is_ok() && begun.elapsed() < Duration::from_secs(60) {
                std::thread::sleep(Duration::from_millis(50));
            }
        })
    };
    let mut text = Vec::new();
    let _ = slow.read_to_end(&mut text);
    assert!(text.is_empty() || text.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&text));
    let mut idle = idle;
    assert_eq!(idle.read_to_end(&mut Vec::new()).unwrap(), 0, "an idle connection is closed without a response");
    // The bytes go on for a minute.
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    writer.join().unwrap();
}

#[test]
fn endless_heads_and_bodies_that_never_arrive_do_no_harm() {
    let running = Running::small();
    let long = format!("GET /{} HTTP/1.1\r\n{CLOSE}", "x".repeat(20_000));
    let many = format!("GET / HTTP/1.1\r\n{}{CLOSE}", "A: b\r\n".repeat(200));
    for request in [long, many] {
        let mut stream = running.ask(&request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&answer));
    }
    let begun = Instant::now();
    for hostile in [
        "Content-Length: 18446744073709551615\r\n",
        "Content-Length: 1000000\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Content-Length: 2000\r\nExpect: 100-continue\r\n",
        "TE: a;q=NaN, b;q=1, c;q=NaN, chunked;q=0.5\r\n",
        "Connection: upgrade\r\n",
    ] {
        let answer = running.answer(&format!("GET /healthz HTTP/1.1\r\n{hostile}{CLOSE}"));
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("ok\n"), "{hostile}: {answer}");
    }
    let future = running.answer("PRI * HTTP/2.0\r\n\r\n");
    assert!(future.starts_with("HTTP/1.1 505 ") || future.starts_with("HTTP/2.0 505 "), "{future}");
    assert!(running.answer("GET /\u{e9} HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400 "));
    let cookie = running.answer(&format!("GET /healthz HTTP/1.1\r\nCookie: name=\u{bbfc}\u{d638}\r\n{CLOSE}"));
    assert!(cookie.starts_with("HTTP/1.1 200 "), "another program's cookie: {cookie}");
    // A body that does not come is waited for for 20 s.
    assert!(begun.elapsed() < Duration::from_secs(18), "{:?}", begun.elapsed());
}

#[test]
fn requests_after_a_stream_on_the_same_connection_delay_no_other_client() {
    let running = Running::small();
    let request =
        "GET /video_feed HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2) + &"GET / HTTP/1.1\r\n\r\n".repeat(50);
    let viewers: Vec<TcpStream> = (0..20).map(|_| running.ask(&request)).collect();
    running.until("20 viewers", || running.stage.renditions.viewers() == 20);
    assert!(running.answer(&format!("GET /healthz HTTP/1.1\r\n{CLOSE}")).ends_with("ok\n"));
    assert_eq!(running.stage.renditions.viewers(), viewers.len());
}

/// A socket that is bound to a port of 127.0.0.`host`, and not connected.
fn bound(host: u8) -> TcpStream {
    // SAFETY: an open socket, and an address of `len` bytes that lives through the calls.
    unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
        let (here, len) = raw(SocketAddr::from(([127, 0, 0, host], 0)));
        assert!(fd >= 0 && libc::bind(fd, std::ptr::from_ref(&here).cast(), len) == 0);
        TcpStream::from_raw_fd(fd)
    }
}

fn raw(address: SocketAddr) -> (libc::sockaddr_in, libc::socklen_t) {
    let SocketAddr::V4(v4) = address else { panic!("{address} is not IPv4") };
    let raw = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: v4.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
        sin_zero: [0; 8],
    };
    (raw, size_of::<libc::sockaddr_in>() as libc::socklen_t)
}

fn connect(stream: TcpStream, to: SocketAddr) -> TcpStream {
    let (there, len) = raw(to);
    // SAFETY: an open socket, and an address of `len` bytes that lives through the call.
    let result = unsafe { libc::connect(stream.as_raw_fd(), std::ptr::from_ref(&there).cast(), len) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    stream
}

/// A connection that comes from 127.0.0.`host`.
pub(super) fn from(host: u8, to: SocketAddr) -> TcpStream {
    connect(bound(host), to)
}

/// Requests `/healthz`. False when the connection is closed without a response.
fn is_answered(mut stream: &TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let _ = stream.write_all(format!("GET /healthz HTTP/1.1\r\n{CLOSE}").as_bytes());
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    text.ends_with("ok\n")
}

#[test]
fn clients_that_hold_connections_without_a_request_do_not_block_others() {
    // One client may have 172 connections, and all together 300.
    let running = Running::start(100, 4, Duration::from_secs(30));
    for hosts in [&[1][..], &[2, 3], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]] {
        let connections = hosts.iter().cycle().take(400).map(|&host| from(host, running.address));
        let flood: Vec<TcpStream> = connections.collect();
        // A first byte is not a request.
        flood.iter().for_each(|mut stream| drop(stream.write_all(b"G")));
        for host in [1, 2, 11, 12] {
            assert!(is_answered(&from(host, running.address)), "127.0.0.{host} beside {hosts:?}");
        }
        let open = || running.stage.health.connections().waiting;
        running.until("most are open", || open() > 120);
        drop(flood);
        running.until("the places are free again", || open() == 0);
    }
    let connections = running.stage.health.connections();
    assert!(connections.closed_early > 3 * (400 - 300), "{connections:?}");
    let causes = running.stage.health.faults.all();
    assert!(causes.iter().any(|fault| fault.cause == Cause::ConnectionsClosedEarly), "{causes:?}");
    running.until("no response is under way", || running.stage.health.connections().answering == 0);
    let metrics = running.answer(&format!("GET /metrics HTTP/1.1\r\n{CLOSE}"));
    for line in [
        format!("namecam_connections_closed_early_total {}\n", connections.closed_early),
        "namecam_connections_refused_total 0\n".to_owned(),
        "namecam_connections{state=\"answering\"} 1\n".to_owned(),
    ] {
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
}

#[test]
fn a_flood_leaves_the_idle_connection_of_another_client_open() {
    let running = Running::small();
    let mut browser = from(2, running.address);
    let mut ask = || {
        browser.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        browser.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let (mut text, mut bytes) = (Vec::new(), [0; 1024]);
        while !text.ends_with(b"ok\n") {
            let n = browser.read(&mut bytes).unwrap();
            assert!(n > 0, "it was closed: {}", String::from_utf8_lossy(&text));
            text.extend(&bytes[..n]);
        }
    };
    ask();
    let flood: Vec<TcpStream> = (0..600).map(|i| from(3 + i as u8 % 3, running.address)).collect();
    running.until("pushed out", || running.stage.health.connections().closed_early > 100);
    ask();
    drop(flood);
}

#[test]
fn when_every_connection_is_busy_clients_with_fewer_get_responses_and_a_viewer_goes_on() {
    // A client that reads a little now and then keeps its response open for minutes.
    let running = Running::start(4_000_000, 1, Duration::from_secs(60));
    let greedy = |host| {
        let mut stream = from(host, running.address);
        narrow(&stream);
        stream.write_all(b"GET /snapshot.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        stream
    };
    let viewer = from(1, running.address);
    (&viewer).write_all(b"GET /video_feed HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let (all, is_over) = (std::sync::OnceLock::<Vec<TcpStream>>::new(), AtomicBool::new(false));
    let until = Instant::now() + Duration::from_secs(90);
    let goes_on = || !is_over.load(Relaxed) && Instant::now() < until;
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let (mut bytes, mut all) = (vec![0; 65_536], 0);
            while goes_on() || all <= 4_000_000 {
                match (&viewer).read(&mut bytes).unwrap() {
                    0 => return None,
                    n => all += n,
                }
            }
            Some(all)
        });
        scope.spawn(|| {
            while goes_on() {
                for mut stream in all.get().into_iter().flatten() {
                    // Those that were closed for others read nothing.
                    let _ = stream.read(&mut [0; 4096]);
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        running.until("a stream", || running.stage.health.connections().streaming == 1);
        let greedy: Vec<TcpStream> = (2..7).flat_map(|host| (0..60).map(move |_| host)).map(greedy).collect();
        greedy.iter().for_each(|stream| stream.set_nonblocking(true).unwrap());
        all.set(greedy).unwrap();
        let answering = || running.stage.health.connections().answering;
        running.until("290 answers", || answering() == 290);
        let own = bound(1);
        *running.own_question.lock().unwrap() = Some(own.local_addr().unwrap());
        assert!(is_answered(&connect(own, running.address)), "the watchdog's check");
        assert!(!is_answered(&from(2, running.address)), "no client has many more connections than this one");
        running.until("a refusal", || running.stage.health.connections().refused >= 1);
        let causes = running.stage.health.faults.all();
        let refused = causes.iter().find(|fault| fault.cause == Cause::ConnectionsRefused).unwrap();
        assert!(refused.detail.contains(" of 291 connections"), "{refused:?}");
        for host in [9, 1] {
            assert!(is_answered(&from(host, running.address)), "127.0.0.{host}");
        }
        assert!(running.stage.health.connections().closed_early > 0, "no response was aborted");
        assert_eq!(running.stage.health.connections().streaming, 1, "the viewer still watches");
        is_over.store(true, Relaxed);
        let seen = watching.join().unwrap();
        assert!(seen.is_some_and(|bytes| bytes > 4_000_000), "{seen:?} bytes of pictures");
    });
    drop(all);
    running.until("an answer", || is_answered(&from(9, running.address)));
}

#[test]
fn while_ten_addresses_keep_a_thousand_connections_open_others_get_responses_and_a_viewer_goes_on() {
    const ATTACKERS: u8 = 10;
    let running = Running::with_pace(5_000, Duration::from_millis(33), 32, Duration::from_secs(30));
    let address = running.address;
    let viewer = running.ask("GET /video_feed HTTP/1.1\r\nHost: localhost\r\n\r\n");
    // Until enough was asked and seen.
    let (until, is_over) = (Instant::now() + Duration::from_secs(90), AtomicBool::new(false));
    let goes_on = || !is_over.load(Relaxed) && Instant::now() < until;
    std::thread::scope(|scope| {
        for host in 2..2 + ATTACKERS {
            let goes_on = &goes_on;
            scope.spawn(move || {
                let mut held: Vec<TcpStream> = (0..100).map(|_| from(host, address)).collect();
                while goes_on() {
                    for stream in &mut held {
                        stream.set_nonblocking(true).unwrap();
                        let closed = !matches!(stream.read(&mut [0]), Err(e) if e.kind() == ErrorKind::WouldBlock);
                        if closed {
                            *stream = from(host, address);
                        }
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
        }
        let watching = scope.spawn(move || {
            let (mut lines, mut last, mut pauses) = (BufReader::new(viewer), Instant::now(), Vec::new());
            let mut line = Vec::new();
            while pauses.len() < 100 {
                line.clear();
                assert!(lines.read_until(b'\n', &mut line).unwrap() > 0, "the stream has ended");
                if line.starts_with(b"X-Timestamp") {
                    pauses.push(last.elapsed());
                    last = Instant::now();
                }
            }
            pauses
        });
        let mut took = Vec::new();
        while took.len() < 25 || !watching.is_finished() {
            let begun = Instant::now();
            assert!(is_answered(&from(100, address)) && begun < until, "question {}", took.len());
            took.push(begun.elapsed());
            std::thread::sleep(Duration::from_millis(100));
        }
        is_over.store(true, Relaxed);
        let mut pauses = watching.join().unwrap();
        // The usual ones: a busy machine stops each of these threads now and then.
        let usual = [&mut took, &mut pauses].map(|times| {
            times.sort_unstable();
            times[times.len() * 3 / 4]
        });
        assert!(usual[0] < Duration::from_secs(2) && usual[1] < Duration::from_secs(1), "{took:?} {pauses:?}");
    });
    assert!(running.stage.health.connections().closed_early > 500, "{:?}", running.stage.health.connections());
}

#[test]
fn three_quarters_of_the_viewers_may_come_from_one_address_and_the_next_one_is_refused() {
    let running = Running::start(100, 99, Duration::from_secs(30));
    let ask = |host| {
        let mut stream = from(host, running.address);
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(b"GET /video_feed HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut line = [0; 13];
        stream.read_exact(&mut line).map(|()| (stream, String::from_utf8_lossy(&line).into_owned()))
    };
    // The page's other requests have connections as well.
    let _pages: Vec<TcpStream> = (0..99).map(|_| from(2, running.address)).collect();
    let viewers: Vec<_> = (0..75).map(|_| ask(2).unwrap()).collect();
    assert!(viewers.iter().all(|(_, line)| line == "HTTP/1.1 200 "));
    assert_eq!((ask(2).unwrap().1, ask(3).unwrap().1), ("HTTP/1.1 503 ".to_owned(), "HTTP/1.1 200 ".to_owned()));
    let mut more = Config::clone(&running.stage.config.newest().unwrap().1);
    more.stream.max_viewers = 250;
    running.stage.config.publish(Arc::new(more));
    let further: Vec<_> = (0..112).map(|_| ask(2).unwrap()).collect();
    assert!(further.iter().all(|(_, line)| line == "HTTP/1.1 200 "), "a reload lets more in");
}

#[test]
fn viewers_that_do_not_read_are_disconnected_and_do_not_slow_the_others() {
    let running = Running::start(200_000, 32, Duration::from_secs(30));
    let ask = || running.ask("GET /video_feed HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let stuck: Vec<TcpStream> = (0..8).map(|_| ask()).collect();
    let mut good = BufReader::new(ask());
    running.until("nine viewers", || running.stage.renditions.viewers() == 9);
    let (begun, before) = (Instant::now(), running.stage.renditions.usual().newest().unwrap().0);
    let mut pictures = 0;
    let mut bytes = vec![0; 200_000];
    while running.stage.renditions.viewers() > 1 {
        good.read_exact(&mut bytes).unwrap();
        pictures += 1;
        assert!(begun.elapsed() < Duration::from_secs(60), "they still hold places");
    }
    // A busy machine publishes fewer than 25 a second.
    let published = running.stage.renditions.usual().newest().unwrap().0 - before;
    assert!(pictures * 5 > published * 2, "the other one got {pictures} of {published} pictures");
    for mut stuck in stuck {
        // Data that was sent before can still be read; then the connection ends.
        let mut rest = Vec::new();
        let _ = stuck.read_to_end(&mut rest);
        assert!(rest.len() < 1_000_000, "{} bytes were waiting for it", rest.len());
    }
}

/// Makes the receive buffer of the client small.
pub(super) fn narrow(stream: &TcpStream) {
    let size: libc::c_int = 16 * 1024;
    let (value, len) = (std::ptr::from_ref(&size).cast(), size_of::<libc::c_int>() as libc::socklen_t);
    // SAFETY: `value` points to an int of `len` bytes that lives through the call.
    let result = unsafe { libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, value, len) };
    assert_eq!(result, 0);
}

#[test]
fn a_viewer_with_a_slow_link_misses_pictures_and_gets_no_old_ones() {
    const PICTURE: usize = 100_000;
    let running = Running::start(PICTURE, 32, Duration::from_secs(30));
    let stream = running.ask("");
    narrow(&stream);
    (&stream).write_all(b"GET /video_feed HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let (mut text, mut ages) = (Vec::new(), Vec::new());
    let (mut bytes, mut last, mut pauses) = (vec![0; 5_000], Instant::now(), Vec::new());
    while ages.len() < 25 {
        (&stream).read_exact(&mut bytes).unwrap();
        // At most half a megabyte a second: a fifth of what is offered. After a pause it is not made up for.
        std::thread::sleep(Duration::from_millis(10));
        text.extend(bytes.iter().filter(|&&byte| byte != b'J'));
        let so_far = String::from_utf8_lossy(&text).into_owned();
        let Some((before, rest)) = so_far.split_once("\r\n\r\n\r\n--frame") else { continue };
        text = rest.as_bytes().to_vec();
        let (_, captured) = before.rsplit_once("X-Timestamp: ").unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        ages.push(now - captured.parse::<f64>().unwrap());
        pauses.push(last.elapsed().as_secs_f64());
        last = Instant::now();
    }
    let [late, pause] = [ages, pauses].map(|mut times| {
        let mut times = times.split_off(5);
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    // A picture takes 0.2 s to arrive, on a machine without other work. Without TCP_NOTSENT_LOWAT two more would wait in the kernel.
    assert!(pause > 0.15 && late < 2.5 * pause, "{late} s old, each {pause} s");
}
