//! What is watched while a fault lasts: a viewer that is connected all the time, and what the program holds.

use crate::support::PATIENCE;
use std::fmt;
use std::io::{BufRead, BufReader, Error, ErrorKind, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A viewer that connects again at once when its stream ends, and measures the time between two pictures.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
    machine: JoinHandle<Duration>,
}

/// What a viewer has seen.
#[derive(Debug, Default, Clone, Copy)]
pub struct Seen {
    /// The longest time from one picture to the next.
    pub gap: Duration,
    pub pictures: u64,
    /// How often its stream ended.
    pub breaks: u64,
    /// How late this machine woke a thread at most that slept for a moment.
    pub late: Duration,
}

impl Watch {
    /// Returns once the first picture is there.
    pub fn of(address: SocketAddr) -> Watch {
        Watch::with(address, "")
    }

    /// The same with more header lines.
    pub fn with(address: SocketAddr, headers: &'static str) -> Watch {
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, begun) = std::sync::mpsc::channel();
        let ends = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (mut seen, mut last) = (Seen::default(), None);
            while !ends.load(Relaxed) {
                let result = view_with(address, headers).and_then(|mut stream| {
                    while !ends.load(Relaxed) {
                        part(&mut stream)?;
                        let now = Instant::now();
                        seen.gap = seen.gap.max(last.map_or(Duration::ZERO, |last| now - last));
                        last = Some(now);
                        seen.pictures += 1;
                        let _ = sender.send(());
                    }
                    Ok(())
                });
                seen.breaks += u64::from(result.is_err() && last.is_some());
                std::thread::sleep(Duration::from_millis(20));
            }
            seen.gap = seen.gap.max(last.map_or(Duration::MAX, |last| last.elapsed()));
            seen
        });
        begun.recv_timeout(PATIENCE).expect("a first picture");
        let ends = Arc::clone(&stop);
        let machine = std::thread::spawn(move || {
            let (moment, mut late) = (Duration::from_millis(20), Duration::ZERO);
            while !ends.load(Relaxed) {
                let begun = Instant::now();
                std::thread::sleep(moment);
                late = late.max(begun.elapsed().saturating_sub(moment));
            }
            late
        });
        Watch { stop, thread, machine }
    }

    pub fn end(self) -> Seen {
        self.stop.store(true, Relaxed);
        Seen { late: self.machine.join().unwrap(), ..self.thread.join().unwrap() }
    }
}

/// A viewer past the head of the answer.
pub fn view(address: SocketAddr) -> Result<BufReader<TcpStream>> {
    view_with(address, "")
}

fn view_with(address: SocketAddr, headers: &str) -> Result<BufReader<TcpStream>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(format!("GET /video_feed HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").as_bytes())?;
    let mut reader = BufReader::new(stream);
    let head = head(&mut reader)?;
    if head.starts_with("HTTP/1.1 200") { Ok(reader) } else { Err(Error::other(head)) }
}

/// The next picture of a stream.
pub fn part(reader: &mut impl BufRead) -> Result<Vec<u8>> {
    let head = head(reader)?;
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok());
    let mut jpeg = vec![0; length.ok_or(ErrorKind::InvalidData)?];
    reader.read_exact(&mut jpeg)?;
    reader.read_exact(&mut [0; 2])?;
    Ok(jpeg)
}

fn head(reader: &mut impl BufRead) -> Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

/// A number that the kernel tells of a process; sizes are in kB, whatever the size of a page.
pub fn status_of(pid: i32, key: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    line.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// What a process holds.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Usage {
    pub memory_kib: u64,
    pub descriptors: u64,
    pub threads: u64,
}

impl Usage {
    pub fn of(pid: i32) -> Usage {
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count) as u64;
        Usage { memory_kib: status_of(pid, "VmRSS:"), descriptors, threads: status_of(pid, "Threads:") }
    }

    /// What is held once it is no more than before plus two parts in a hundred, or after a while.
    pub fn after(pid: i32, before: Usage, full: bool) -> Usage {
        let (begun, patience) = (Instant::now(), Duration::from_secs(if full { 15 } else { 2 }));
        loop {
            let now = Usage::of(pid);
            if now.is_within(before) || begun.elapsed() > patience {
                return now;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    pub fn is_within(self, before: Usage) -> bool {
        self.memory_kib <= before.memory_kib * 102 / 100
            && self.descriptors <= before.descriptors
            && self.threads <= before.threads
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} MB, {}, {}", self.memory_kib as f64 * 1024.0 / 1e6, self.descriptors, self.threads)
    }
}

/// A port that is free, for a program that is started again on the same one. It is none of those that the system gives to connections.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = (std::process::id() % 10_000) as u16;
    let mut ports = (0..10_000).map(|_| 20_000 + (first + NEXT.fetch_add(1, Relaxed) % 10_000) % 10_000);
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

/// Random numbers that are the same each time (xorshift, Marsaglia 2003).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end.max(1)
    }

    pub fn pause(&mut self, most_ms: u64) {
        std::thread::sleep(Duration::from_millis(self.below(most_ms)));
    }
}
