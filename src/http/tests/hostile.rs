//! Clients that mean harm, or are broken in the same way.

use super::sockets::{CLOSE, Running};
use crate::config::Config;
use std::io::{BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::Arc;
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
    running.within(Duration::from_secs(5), "an answer", answered);
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
            while slow.write_all(b"a").is_ok() && begun.elapsed() < Duration::from_secs(10) {
                std::thread::sleep(Duration::from_millis(50));
            }
        })
    };
    let mut text = Vec::new();
    let _ = slow.read_to_end(&mut text);
    assert!(text.is_empty() || text.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&text));
    let mut idle = idle;
    assert_eq!(idle.read_to_end(&mut Vec::new()).unwrap(), 0, "an idle connection is closed without a word");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    writer.join().unwrap();
}

#[test]
fn heads_without_measure_and_bodies_that_never_come_do_no_harm() {
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
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn requests_behind_a_stream_on_the_same_connection_hold_up_nobody() {
    let running = Running::small();
    let request =
        "GET /video_feed HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2) + &"GET / HTTP/1.1\r\n\r\n".repeat(50);
    let viewers: Vec<TcpStream> = (0..20).map(|_| running.ask(&request)).collect();
    running.within(Duration::from_secs(5), "20 viewers", || running.stage.tiers.viewers() == 20);
    let begun = Instant::now();
    assert!(running.answer(&format!("GET /healthz HTTP/1.1\r\n{CLOSE}")).ends_with("ok\n"));
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert_eq!(running.stage.tiers.viewers(), viewers.len());
}

#[test]
fn connections_beyond_the_limit_are_closed_and_places_are_given_back() {
    let running = Running::small();
    let open: Vec<TcpStream> = (0..288).map(|_| running.ask("")).collect();
    let shut_out = || {
        let mut stream = TcpStream::connect(running.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let _ = stream.write_all(format!("GET /healthz HTTP/1.1\r\n{CLOSE}").as_bytes());
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        text.is_empty()
    };
    running.within(Duration::from_secs(5), "refusal", shut_out);
    drop(open);
    running.within(Duration::from_secs(5), "an answer", || !shut_out());
}

/// A connection that comes from 127.0.0.`host`.
fn from(host: u8, to: SocketAddr) -> TcpStream {
    let SocketAddr::V4(to) = to else { panic!("{to} is not IPv4") };
    let raw = |ip: Ipv4Addr, port: u16| libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) },
        sin_zero: [0; 8],
    };
    let (here, there) = (raw(Ipv4Addr::new(127, 0, 0, host), 0), raw(*to.ip(), to.port()));
    let len = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    // SAFETY: a socket of ours, and addresses of `len` bytes that live through the calls.
    unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
        assert!(fd >= 0 && libc::bind(fd, std::ptr::from_ref(&here).cast(), len) == 0);
        assert_eq!(libc::connect(fd, std::ptr::from_ref(&there).cast(), len), 0);
        TcpStream::from_raw_fd(fd)
    }
}

#[test]
fn one_machine_that_takes_every_connection_shuts_out_neither_others_nor_the_watchdog() {
    let running = Running::small();
    let ask = |mut stream: TcpStream| {
        stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let _ = stream.write_all(format!("GET /healthz HTTP/1.1\r\n{CLOSE}").as_bytes());
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        text.ends_with("ok\n")
    };
    let greedy: Vec<TcpStream> = (0..256).map(|_| from(2, running.address)).collect();
    running.within(Duration::from_secs(5), "another machine", || ask(from(3, running.address)));
    assert!(!ask(from(2, running.address)));
    let others: Vec<TcpStream> =
        (3..8).flat_map(|host| (0..64).map(move |_| host)).map(|h| from(h, running.address)).collect();
    assert!(!ask(from(9, running.address)), "all places are taken");
    assert!(ask(TcpStream::connect(running.address).unwrap()), "the watchdog comes through");
    drop((greedy, others));
    running.within(Duration::from_secs(5), "an answer", || ask(from(2, running.address)));
}

#[test]
fn every_viewer_may_come_from_one_address_and_the_next_one_is_told_so() {
    let running = Running::start(100, 99, Duration::from_secs(30));
    let ask = || {
        let mut stream = from(2, running.address);
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(b"GET /video_feed HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut line = [0; 13];
        stream.read_exact(&mut line).map(|()| (stream, String::from_utf8_lossy(&line).into_owned()))
    };
    // What else a page asks has a place as well.
    let _pages: Vec<TcpStream> = (0..99).map(|_| from(2, running.address)).collect();
    let viewers: Vec<_> = (0..99).map(|_| ask().unwrap()).collect();
    assert!(viewers.iter().all(|(_, line)| line == "HTTP/1.1 200 "));
    assert_eq!(ask().unwrap().1, "HTTP/1.1 503 ");
    let mut more = Config::clone(&running.stage.config.newest().unwrap().1);
    more.stream.max_viewers = 250;
    running.stage.config.publish(Arc::new(more));
    let further: Vec<_> = (0..120).map(|_| ask().unwrap()).collect();
    assert!(further.iter().all(|(_, line)| line == "HTTP/1.1 200 "), "a reload lets more in");
}

#[test]
fn viewers_that_do_not_read_are_cut_off_and_cost_the_others_nothing() {
    let running = Running::start(200_000, 32, Duration::from_secs(30));
    let ask = || running.ask("GET /video_feed HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let stuck: Vec<TcpStream> = (0..8).map(|_| ask()).collect();
    let mut good = BufReader::new(ask());
    running.within(Duration::from_secs(5), "nine viewers", || running.stage.tiers.viewers() == 9);
    let begun = Instant::now();
    let mut pictures = 0;
    let mut bytes = vec![0; 200_000];
    while running.stage.tiers.viewers() > 1 {
        good.read_exact(&mut bytes).unwrap();
        pictures += 1;
        assert!(begun.elapsed() < Duration::from_secs(10), "they still hold places");
    }
    let rate = f64::from(pictures) / begun.elapsed().as_secs_f64();
    assert!(rate > 15.0, "the other one got {rate:.1} pictures a second of 25");
    for mut stuck in stuck {
        // What was sent before can still be read; then the connection has ended.
        let mut rest = Vec::new();
        let _ = stuck.read_to_end(&mut rest);
        assert!(rest.len() < 1_000_000, "{} bytes were waiting for it", rest.len());
    }
}

/// Lets little wait in the kernel on the client's side.
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
    let (begun, mut read, mut text, mut ages) = (Instant::now(), 0, Vec::new(), Vec::new());
    let mut bytes = vec![0; 5_000];
    while begun.elapsed() < Duration::from_secs(5) {
        (&stream).read_exact(&mut bytes).unwrap();
        read += bytes.len();
        // Half a megabyte a second: a fifth of what is offered.
        std::thread::sleep(Duration::from_micros(2 * read as u64).saturating_sub(begun.elapsed()));
        text.extend(bytes.iter().filter(|&&byte| byte != b'J'));
        let so_far = String::from_utf8_lossy(&text).into_owned();
        let Some((before, rest)) = so_far.split_once("\r\n\r\n\r\n--frame") else { continue };
        text = rest.as_bytes().to_vec();
        let (_, captured) = before.rsplit_once("X-Timestamp: ").unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        ages.push(now - captured.parse::<f64>().unwrap());
    }
    let mut late = ages.split_off(5);
    late.sort_by(f64::total_cmp);
    assert!((10..25).contains(&late.len()), "{late:?}");
    // A picture takes 0.2 s to come; two more of them waited in the kernel before TCP_NOTSENT_LOWAT was set.
    assert!(late[late.len() / 2] < 0.5, "{late:?}");
}
