//! Tests of clients that read slowly, but steadily.

use super::hostile::narrow;
use super::sockets::{CLOSE, Running};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const PICTURE: usize = 1_200_000;
/// Bytes per second: a picture takes 10 s, in which the time-out of a write passes twice.
const RATE: usize = 120_000;

/// Reads `length` bytes at [`RATE`]; returns how many arrived.
fn read_slowly(stream: &mut TcpStream, length: usize) -> usize {
    let (begun, mut bytes, mut read) = (Instant::now(), vec![0; 6_000], 0);
    while read < length {
        match stream.read(&mut bytes) {
            Ok(0) | Err(_) => break,
            Ok(n) => read += n,
        }
        let due = Duration::from_secs_f64(read as f64 / RATE as f64);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    read
}

#[test]
fn a_client_that_reads_slowly_but_steadily_gets_the_whole_picture() {
    let running = Running::start(PICTURE, 32, Duration::from_secs(30));
    let ask = |request: String| {
        let stream = running.ask("");
        narrow(&stream);
        (&stream).write_all(request.as_bytes()).unwrap();
        stream
    };
    let mut snapshot = ask(format!("GET /snapshot.jpg HTTP/1.1\r\n{CLOSE}"));
    let mut viewer = ask(format!("GET /video_feed HTTP/1.1\r\n{CLOSE}"));
    std::thread::scope(|scope| {
        // More than the heads contain, and for the viewer the beginning of a second picture.
        let watched = scope.spawn(|| read_slowly(&mut viewer, PICTURE + 100_000));
        let got = read_slowly(&mut snapshot, PICTURE + 10_000);
        assert!((PICTURE..PICTURE + 1_000).contains(&got), "{got} bytes of a snapshot");
        let watched = watched.join().unwrap();
        assert!(watched >= PICTURE + 100_000, "{watched} bytes of a stream");
    });
}
