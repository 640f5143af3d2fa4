//! An MQTT 3.1.1 broker for tests, which can also misbehave. It shares no code with the program.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The behaviour of the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manners {
    Good,
    /// It refuses the connection with this code.
    Refuses(u8),
    /// It reads requests and answers nothing to a connection request.
    Silent,
    /// It is an HTTP server and no broker.
    Http,
    /// It accepts the connection and acknowledges no message.
    Forgetful,
    /// It acknowledges a picture after seven seconds, as over a slow network.
    Slow,
    /// It sends endless messages.
    Floods,
    /// It closes the connection after accepting it.
    Closes,
    /// It refuses subscriptions to topics with this word.
    Keeps(&'static str),
}

/// What the broker has received.
#[derive(Debug, Default, Clone)]
pub struct Heard {
    /// The client id, the user and the password of each connection.
    pub clients: Vec<(String, String, String)>,
    /// The retained messages by topic, including the last wills of ended connections.
    pub retained: BTreeMap<String, String>,
    /// The topic and the payload of each message, in order.
    pub said: Vec<(String, String)>,
    pub subscribed: Vec<String>,
}

pub struct Broker {
    pub port: u16,
    pub heard: Arc<Mutex<Heard>>,
    clients: Arc<Mutex<Vec<TcpStream>>>,
    dead: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Broker {
    /// Starts a broker on a port; with 0, on a free port that the system chooses.
    pub fn start(port: u16, manners: Manners) -> Broker {
        let deadline = Instant::now() + Duration::from_secs(60);
        let listener = loop {
            match TcpListener::bind(("127.0.0.1", port)) {
                Ok(listener) => break listener,
                Err(error) => assert!(Instant::now() < deadline, "port {port}: {error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        listener.set_nonblocking(true).unwrap();
        let mut broker = Broker {
            port: listener.local_addr().unwrap().port(),
            heard: Arc::default(),
            clients: Arc::default(),
            dead: Arc::default(),
            thread: None,
        };
        let (heard, clients, dead) = (Arc::clone(&broker.heard), Arc::clone(&broker.clients), Arc::clone(&broker.dead));
        broker.thread = Some(std::thread::spawn(move || {
            while !dead.load(Relaxed) {
                let Ok((stream, _)) = listener.accept() else {
                    std::thread::sleep(Duration::from_millis(2));
                    continue;
                };
                stream.set_nonblocking(false).unwrap();
                clients.lock().unwrap().push(stream.try_clone().unwrap());
                let heard = Arc::clone(&heard);
                std::thread::spawn(move || serve(stream, manners, &heard));
            }
        }));
        broker
    }

    /// Waits until `so` is true of the received data, and returns a copy of this data.
    pub fn until(&self, what: &str, so: impl Fn(&Heard) -> bool) -> Heard {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let heard = self.heard.lock().unwrap().clone();
            if so(&heard) {
                return heard;
            }
            assert!(Instant::now() < deadline, "never: {what}\n{heard:#?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sends a message to all clients.
    pub fn say(&self, topic: &str, payload: &[u8], retained: bool) {
        let bytes = message(topic, payload, retained);
        for mut client in self.clients.lock().unwrap().iter() {
            let _ = client.write_all(&bytes);
        }
    }
}

impl Drop for Broker {
    /// Closes all connections, as when a broker is killed.
    fn drop(&mut self) {
        self.dead.store(true, Relaxed);
        self.thread.take().unwrap().join().unwrap();
        for client in self.clients.lock().unwrap().iter() {
            let _ = client.shutdown(std::net::Shutdown::Both);
        }
    }
}

fn message(topic: &str, payload: &[u8], retained: bool) -> Vec<u8> {
    let mut left = 2 + topic.len() + payload.len();
    let mut bytes = vec![if retained { 0x31 } else { 0x30 }];
    while left >= 128 {
        bytes.push((left % 128) as u8 | 0x80);
        left /= 128;
    }
    bytes.push(left as u8);
    bytes.extend((topic.len() as u16).to_be_bytes());
    bytes.extend(topic.as_bytes());
    bytes.extend(payload);
    bytes
}

/// Reads a packet: its first byte and its body.
fn packet(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut byte = [0];
    stream.read_exact(&mut byte).ok()?;
    let (kind, mut length, mut at) = (byte[0], 0, 0);
    loop {
        stream.read_exact(&mut byte).ok()?;
        length |= usize::from(byte[0] & 0x7f) << at;
        at += 7;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((kind, body))
}

/// Removes a field from the beginning of the body and returns it.
fn field(body: &mut &[u8]) -> String {
    let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
    let text = String::from_utf8(body[2..2 + length].to_vec()).unwrap();
    *body = &body[2 + length..];
    text
}

fn serve(mut stream: TcpStream, manners: Manners, heard: &Mutex<Heard>) {
    let mut will = None;
    while let Some((kind, body)) = packet(&mut stream) {
        let mut rest = &body[..];
        let answer = match kind & 0xf0 {
            0x10 => {
                assert_eq!(field(&mut rest), "MQTT");
                let flags = rest[1];
                assert_eq!((rest[0], flags & 0x02), (4, 2), "MQTT 3.1.1, a clean session");
                rest = &rest[4..];
                let id = field(&mut rest);
                if flags & 0x04 != 0 {
                    assert_eq!(flags & 0x38, 0x28, "a last will with QoS 1 that is kept");
                    will = Some((field(&mut rest), field(&mut rest)));
                }
                let user = if flags & 0x80 != 0 { field(&mut rest) } else { String::new() };
                let password = if flags & 0x40 != 0 { field(&mut rest) } else { String::new() };
                heard.lock().unwrap().clients.push((id, user, password));
                match manners {
                    Manners::Refuses(code) => vec![0x20, 2, 0, code],
                    Manners::Silent => Vec::new(),
                    Manners::Http => b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
                    _ => vec![0x20, 2, 0, 0],
                }
            }
            0x30 => {
                assert_eq!(kind & 0x06, 0x02, "QoS 1");
                let topic = field(&mut rest);
                let (id, payload) = rest.split_at(2);
                // The payload may be a picture, which is not UTF-8.
                let payload = String::from_utf8_lossy(payload).into_owned();
                let mut heard = heard.lock().unwrap();
                if kind & 1 == 1 {
                    keep(&mut heard, &topic, &payload);
                }
                let is_picture = payload.len() > 64 << 10;
                heard.said.push((topic, payload));
                drop(heard);
                if manners == Manners::Slow && is_picture {
                    std::thread::sleep(Duration::from_secs(7));
                }
                if manners == Manners::Forgetful { Vec::new() } else { vec![0x40, 2, id[0], id[1]] }
            }
            0x80 => {
                let (id, mut topics) = rest.split_at(2);
                let (mut answer, mut kept) = (vec![0x90, 2, id[0], id[1]], Vec::new());
                while !topics.is_empty() {
                    let mut heard = heard.lock().unwrap();
                    let topic = field(&mut topics);
                    topics = &topics[1..];
                    answer[1] += 1;
                    if matches!(manners, Manners::Keeps(word) if topic.contains(word)) {
                        answer.push(0x80);
                        continue;
                    }
                    answer.push(0);
                    kept.extend(heard.retained.get(&topic).map(|payload| message(&topic, payload.as_bytes(), true)));
                    heard.subscribed.push(topic);
                }
                answer.extend(kept.concat());
                answer
            }
            0xc0 => vec![0xd0, 0],
            0xe0 => return,
            _ => panic!("{kind:x}"),
        };
        let _ = stream.write_all(&answer);
        match manners {
            Manners::Floods => while stream.write_all(&message("x", b"y", false)).is_ok() {},
            Manners::Closes | Manners::Refuses(_) => break,
            _ => {}
        }
    }
    let _ = stream.shutdown(std::net::Shutdown::Both);
    if let Some((topic, payload)) = will {
        keep(&mut heard.lock().unwrap(), &topic, &payload);
    }
}

fn keep(heard: &mut Heard, topic: &str, payload: &str) {
    if payload.is_empty() {
        heard.retained.remove(topic);
    } else {
        heard.retained.insert(topic.to_owned(), payload.to_owned());
    }
}
