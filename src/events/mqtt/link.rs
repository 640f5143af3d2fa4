//! [`Link`]: a connection to a broker. No call waits without a bound, as with [`Wire`].

use super::packet::{self, Hello, Reader, Said};
use crate::config::Mqtt;
use crate::os::wire::{Trust, Wire, is_late};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

/// The time limit of connecting, of a write and of an answer. A large message has more ([`Link::due`]).
const PATIENCE: Duration = Duration::from_secs(5);
/// The bytes a second of the slowest network over which a picture reaches the broker.
const SLOWEST_BYTES_PER_S: f64 = 16_000.0;
/// The time limit of one message when the broker accepts it in small pieces.
const SLOWEST: Duration = Duration::from_secs(20);
/// The keep-alive interval. A broker publishes the last will after one and a half intervals without a packet.
pub const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// The packet identifiers of the SUBSCRIBEs of a connection. The identifiers of messages are smaller.
pub const COMMANDS: u16 = u16::MAX;
pub const FORMER: u16 = u16::MAX - 1;
pub const BIRTH: u16 = u16::MAX - 2;
/// The read time-out: the shortest one that the system accepts.
const NO_WAIT: Duration = Duration::from_millis(1);
/// The most messages that wait for an acknowledgement.
const WINDOW: usize = 64;
/// The most reads for a packet in one call.
const READS: usize = 256;
/// The most packets, other than acknowledgements, that a broker may send within [`PATIENCE`].
const FLOOD: u32 = 500;

/// A message from the broker.
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    /// True when the broker had stored the message.
    pub retained: bool,
}

pub struct Link {
    wire: Wire,
    reader: Reader,
    /// The unacknowledged messages: packet identifier, when the acknowledgement must have come, and mark of the sender.
    waiting: VecDeque<(u16, Instant, Option<u64>)>,
    last_number: u16,
    wrote: Instant,
    /// When the answer to a ping or a subscription must have come.
    asked: Option<Instant>,
    /// The start of the period in which packets are counted, and their number.
    counted: (Instant, u32),
    /// When the broker accepted the subscription to [`FORMER`] topics; `Err` when it refused.
    pub former: Option<Result<Instant, ()>>,
    /// True when the broker has refused the subscription to [`BIRTH`].
    pub is_birth_refused: bool,
    /// The numbers of acknowledged messages, and of packets that were skipped because they were too large.
    pub acknowledged: u64,
    pub skipped: u64,
}

impl Link {
    /// Connects. `last_will` has topic and payload.
    ///
    /// # Errors
    /// Why there is no connection, as text for users.
    pub fn open(mqtt: &Mqtt, client_id: &str, last_will: Option<(&str, &str)>) -> Result<Link, String> {
        let opened = Link::connect(mqtt, client_id, last_will);
        opened.map_err(|why| format!("{}:{}: {why}", mqtt.host, mqtt.port()))
    }

    fn connect(mqtt: &Mqtt, client_id: &str, last_will: Option<(&str, &str)>) -> Result<Link, String> {
        let password = mqtt.password_file.as_ref().map(|file| {
            let text = std::fs::read_to_string(file);
            let text = text.map_err(|error| format!("mqtt.password_file: {}: {error}", file.display()))?;
            Ok::<_, String>(text.lines().next().unwrap_or_default().to_owned())
        });
        let password = password.transpose()?;
        let trust = mqtt.tls.then_some(Trust { ca_file: mqtt.ca_file.as_deref(), key: "mqtt.ca_file" });
        let wire = Wire::open(&mqtt.host, mqtt.port(), trust, Instant::now() + PATIENCE)?;
        wire.set_timeouts(NO_WAIT, PATIENCE).map_err(|error| error.to_string())?;
        let now = Instant::now();
        let mut link = Link {
            wire,
            reader: Reader::default(),
            waiting: VecDeque::new(),
            last_number: 0,
            wrote: now,
            asked: None,
            counted: (now, 0),
            former: None,
            is_birth_refused: false,
            acknowledged: 0,
            skipped: 0,
        };
        let (user, password) = (mqtt.user.as_str(), password.as_deref());
        let keep_alive_s = KEEP_ALIVE.as_secs() as u16;
        link.write(&packet::connect(&Hello { client_id, user, password, keep_alive_s, last_will }))?;
        let without_tls = |why| if mqtt.tls { why } else { format!("{why}; does it ask for mqtt.tls = yes?") };
        loop {
            match link.next().map_err(without_tls)? {
                Some(Said::Welcome(0)) => return Ok(link),
                Some(Said::Welcome(code)) => return Err(format!("the broker refuses: {}", refusal(code))),
                Some(_) => {
                    return Err("the broker says something else before it answers the connection".to_owned());
                }
                None if now.elapsed() > PATIENCE => {
                    return Err(format!("no answer within {} s; is it a broker of MQTT 3.1.1?", PATIENCE.as_secs()));
                }
                None => {}
            }
        }
    }

    /// Subscribes to `topics`; `number` is [`COMMANDS`], [`FORMER`] or [`BIRTH`].
    pub fn subscribe(&mut self, number: u16, topics: &[String]) -> Result<(), String> {
        if topics.is_empty() {
            return Ok(());
        }
        self.asked = Some(self.due(&[]));
        self.write(&packet::subscribe(number, topics))
    }

    /// When the answer to a packet with this payload must have come. The packet also waits for the messages before it.
    fn due(&self, payload: &[u8]) -> Instant {
        let on_its_way = Duration::from_secs_f64(payload.len() as f64 / SLOWEST_BYTES_PER_S);
        let soonest = Instant::now() + PATIENCE;
        self.waiting.back().map_or(soonest, |(_, due, _)| soonest.max(*due)) + on_its_way
    }

    /// True when the number of unacknowledged messages has reached its limit.
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= WINDOW
    }

    /// True while a message is unacknowledged.
    pub fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Sends a message. `mark` identifies it for the sender.
    pub fn publish(&mut self, topic: &str, payload: &[u8], retain: bool, mark: Option<u64>) -> Result<(), String> {
        if topic.len() + payload.len() + 4 > packet::MAX_SENT {
            return Err(format!("a message of {} bytes is too large for MQTT", payload.len()));
        }
        self.last_number = if self.last_number + 1 >= BIRTH { 1 } else { self.last_number + 1 };
        self.waiting.push_back((self.last_number, self.due(payload), mark));
        self.write(&packet::publish(self.last_number, topic, payload, retain))
    }

    /// The mark of the oldest marked message that is not acknowledged.
    pub fn oldest_mark(&self) -> Option<u64> {
        self.waiting.iter().find_map(|(_, _, mark)| *mark)
    }

    /// Processes what the broker has sent, without waiting.
    ///
    /// # Errors
    /// Why the connection cannot be used any more.
    pub fn read(&mut self) -> Result<Vec<Message>, String> {
        let mut messages = Vec::new();
        // The number is bounded; the next call continues, so that a broker that sends much delays nothing else.
        for _ in 0..WINDOW * 2 {
            match self.next()? {
                None => break,
                Some(Said::Acknowledged(number)) => {
                    let before = self.waiting.len();
                    self.waiting.retain(|(waiting, ..)| *waiting != number);
                    if self.waiting.len() < before {
                        self.acknowledged += 1;
                    } else {
                        self.count()?;
                    }
                }
                Some(Said::Pong) => {
                    self.asked = None;
                    self.count()?;
                }
                Some(Said::Subscribed(FORMER, is_heard)) => {
                    self.asked = None;
                    self.former = Some(if is_heard { Ok(Instant::now()) } else { Err(()) });
                }
                Some(Said::Subscribed(BIRTH, is_heard)) => {
                    self.asked = None;
                    self.is_birth_refused = !is_heard;
                }
                Some(Said::Subscribed(_, true)) => self.asked = None,
                Some(Said::Subscribed(_, false)) => {
                    return Err("the broker refuses the subscription to commands".to_owned());
                }
                Some(Said::Message { topic, payload, retained }) => {
                    self.count()?;
                    messages.push(Message { topic, payload, retained });
                }
                Some(Said::TooLarge) => {
                    self.count()?;
                    self.skipped += 1;
                }
                Some(Said::Welcome(_)) => return Err("the broker answers the connection twice".to_owned()),
            }
        }
        self.keep_alive()?;
        Ok(messages)
    }

    fn keep_alive(&mut self) -> Result<(), String> {
        let due = self.waiting.front().map(|(_, due, _)| *due).into_iter().chain(self.asked).min();
        if due.is_some_and(|due| Instant::now() > due) {
            return Err("the broker has not answered in time".to_owned());
        }
        // While a message waits, its acknowledgement says that the broker is there, and a ping would wait behind it.
        if self.wrote.elapsed() > KEEP_ALIVE / 2 && self.asked.is_none() && self.waiting.is_empty() {
            self.asked = Some(self.due(&[]));
            self.write(&packet::PING)?;
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), String> {
        if self.counted.0.elapsed() > PATIENCE {
            self.counted = (Instant::now(), 0);
        }
        self.counted.1 += 1;
        if self.counted.1 > FLOOD {
            return Err(format!("the broker sends more than {FLOOD} packets in {} s", PATIENCE.as_secs()));
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Said>, String> {
        let mut bytes = [0; 4096];
        // The reads are bounded; an oversized packet is skipped in several calls, so that it delays nothing else.
        for _ in 0..READS {
            let said = self.reader.next().map_err(|what| format!("what answers is no broker of MQTT 3.1.1: {what}"))?;
            if said.is_some() {
                return Ok(said);
            }
            match self.wire.read(&mut bytes) {
                Ok(0) => return Err("the broker has closed the connection".to_owned()),
                Ok(count) => self.reader.feed(&bytes[..count]),
                Err(error) if is_late(&error) => return Ok(None),
                Err(error) => return Err(format!("the connection to the broker is lost: {error}")),
            }
        }
        Ok(None)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.wrote = Instant::now();
        let (begun, mut rest) = (self.wrote, bytes);
        while !rest.is_empty() {
            match self.wire.write(rest) {
                Ok(taken) if taken > 0 && begun.elapsed() < SLOWEST => rest = &rest[taken..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if !is_late(&error) => return Err(format!("the connection to the broker is lost: {error}")),
                _ => return Err("the broker does not take what is sent".to_owned()),
            }
        }
        Ok(())
    }

    /// Disconnects without the last will.
    pub fn say_goodbye(&mut self) {
        let _ = self.write(&packet::GOODBYE);
    }
}

/// The meaning of a return code of CONNACK.
fn refusal(code: u8) -> &'static str {
    match code {
        1 => "it does not speak MQTT 3.1.1",
        2 => "it does not take this mqtt.client_id",
        3 => "it is not ready",
        4 => "wrong user name or password; see mqtt.user and mqtt.password_file",
        5 => "it allows this user nothing; see mqtt.user and mqtt.password_file",
        _ => "it gives no reason that MQTT 3.1.1 knows",
    }
}
