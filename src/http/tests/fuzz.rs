//! Requests with random changes: none ends the program, hangs or is admitted. Each test takes a second, or
//! `NAMECAM_FUZZ_S` seconds.

use super::sockets::{CLOSE, Running};
use super::*;
use crate::fuzz::Random;
use crate::http::auth::accounts::{new_token, passwd};
use crate::http::message::form;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

fn fuzzed(name: &str, mut step: impl FnMut(&mut Random)) {
    let seconds = std::env::var("NAMECAM_FUZZ_S").ok().map_or(1, |seconds| seconds.parse().unwrap());
    let seed = 0x6e61_6d65_6361_6d00 | u64::from(std::process::id() & 0xff);
    let (mut random, begun, mut steps) = (Random(seed), Instant::now(), 0_u64);
    while begun.elapsed() < Duration::from_secs(seconds) {
        step(&mut random);
        steps += 1;
    }
    println!("{name}: {steps} requests from seed {seed:#x} in {seconds} s");
    assert!(steps > 0);
}

struct Target {
    _folder: tempfile::TempDir,
    site: Site,
}

fn target() -> Target {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users");
    passwd(&file, "anna", Role::Viewer, "a").unwrap();
    new_token(&file, "ha", Role::Admin).unwrap();
    Target { site: site(|config| config.http.password_file = Some(file)), _folder: folder }
}

/// No request without a right credential is admitted to anything but what is open.
fn is_refused(site: &Site, request: &Request) {
    let status = status(site, request);
    let is_open = ["/healthz", "/login", "/logout"].contains(&request.path.as_str());
    assert!(is_open || [303, 401, 404, 405, 421, 429].contains(&status), "{status} {request:?}");
}

#[test]
fn random_targets_and_headers_are_refused() {
    let Target { site, _folder } = target();
    let targets: &[&[u8]] = &[
        b"/",
        b"/?action=stream",
        b"/video_feed?token=namecam_0123456789abcdef0123456789abcdef&width=640",
        b"/api/faces/7",
        b"/api/sessions/0123456789abcdef",
        b"/api/password",
        b"/login?next=%2Fapi%2Fstate",
        b"http://127.0.0.1:5000/api/state",
        b"/snapshot.jpg?strict=1&overlay=0?169",
    ];
    let values: &[&[u8]] = &[
        b"namecam_5000=0123456789abcdef0123456789abcdef; a=b",
        b"Bearer namecam_0123456789abcdef",
        b"bearer ",
        b"Basic !",
        b"http://127.0.0.1:5000",
        b"same-origin",
        b"text/html,application/xhtml+xml,*/*",
        b"127.0.0.1:5000",
        b"[fe80::1%eth0]:5000",
        b"https",
        b"203.0.113.9, 198.51.100.7",
        b"application/json; charset=utf-8",
    ];
    let names = [
        "Cookie",
        "Authorization",
        "Origin",
        "Sec-Fetch-Site",
        "Accept",
        "Host",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "Content-Type",
        "Accept-Language",
        "X-Namecam",
    ];
    fuzzed("heads and cookies", |random| {
        let mut text = |seeds: &[&[u8]]| String::from_utf8_lossy(&random.changed(seeds)).into_owned();
        let (target, method) = (text(targets), text(&[b"GET", b"HEAD", b"POST", b"DELETE"]));
        let mut request = request(&method, &target, "127.0.0.1");
        for _ in 0..random.below(5) {
            let value = String::from_utf8_lossy(&random.changed(values)).into_owned();
            request.headers.push(((*random.one(&names)).to_owned(), value));
        }
        is_refused(&site, &request);
    });
}

#[test]
fn random_bodies_log_nobody_in_and_change_nothing() {
    let Target { site, _folder } = target();
    let forms: &[&[u8]] = &[
        b"user=anna&password=%61b&stay=1&next=%2F",
        b"user=%EB%AF%BC%ED%98%B8&password=x",
        b"next=//evil&user=anna&password=",
    ];
    let bodies: &[&[u8]] =
        &[br#"{"old": "x", "new": "y"}"#, br#"{"old": "\ud83d\ude00", "new": "\u0000"}"#, br#"[[[[{"old": 1e9}]]]]"#];
    let users = site.config().http.password_file.clone().unwrap();
    let before = std::fs::read(&users).unwrap();
    let (mut number, mut peer) = (0_u32, String::new());
    fuzzed("forms and JSON", |random| {
        // Password checks are slow, and each address may try five passwords.
        number += 1;
        if number % 4 == 1 {
            peer = std::net::Ipv4Addr::from_bits(10 << 24 | number).to_string();
        }
        let post = |target: &str, kind: &str, body: Vec<u8>| {
            let request = with(request("POST", target, &peer), "Content-Type", kind);
            Request { body, ..with(request, "Origin", "http://127.0.0.1:5000") }
        };
        let body = random.changed(forms);
        let fields = form(&body);
        let has_right_one = fields.iter().any(|(_, value)| value == "a");
        let answer = whole(&site, &post("/login", "application/x-www-form-urlencoded", body));
        assert!(has_right_one || header(&answer, "Set-Cookie").is_none(), "{fields:?}");
        for _ in 0..200 {
            form(&random.changed(forms));
            let mut change = post("/api/password", "application/json", random.changed(bodies));
            let who = if random.below(2) == 0 { "anna:a" } else { "anna:b" };
            change
                .headers
                .push(("Authorization".to_owned(), login("/", LAN, who).header("Authorization").unwrap().to_owned()));
            let status = status(&site, &change);
            assert!([400, 401, 403, 429].contains(&status), "{status} {}", String::from_utf8_lossy(&change.body));
        }
    });
    assert_eq!(std::fs::read(&users).unwrap(), before);
}

#[test]
fn random_bytes_on_a_connection_end_in_an_answer_or_a_close() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users");
    passwd(&file, "anna", Role::Viewer, "a").unwrap();
    let running = Running::guarded(&file);
    let heads: &[&[u8]] = &[
        b"GET /api/state HTTP/1.1\r\nHost: localhost\r\nCookie: namecam=0123456789abcdef0123456789abcdef\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nContent-Type: \
          application/x-www-form-urlencoded\r\nContent-Length: 17\r\n\r\nuser=b&password=c",
        b"DELETE /api/sessions/0 HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\nContent-Length: 2000\r\n\r\n",
        b"GET http://localhost/video_feed HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ];
    fuzzed("connections", |random| {
        let bytes = random.changed(heads);
        let mut stream = TcpStream::connect(running.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        // The server may have refused it before the end.
        let _ = stream.write_all(&bytes).and_then(|()| stream.shutdown(Shutdown::Write));
        let mut answer = Vec::new();
        let ended = stream.read_to_end(&mut answer);
        let is_reset = ended.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset);
        assert!(ended.is_ok() || is_reset, "{ended:?} {}", String::from_utf8_lossy(&bytes));
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "), "{}", String::from_utf8_lossy(&answer));
        assert!(!answer.windows(9).any(|window| window == b"--frame\r\n"), "{}", String::from_utf8_lossy(&bytes));
    });
    // After ten minutes without a camera, /healthz says so.
    assert!(running.answer(&format!("GET /login HTTP/1.1\r\n{CLOSE}")).starts_with("HTTP/1.1 200 "));
}
