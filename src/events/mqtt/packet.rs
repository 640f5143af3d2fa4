//! The packets of MQTT 3.1.1 that namecam sends and receives.

/// The most bytes of a received packet that are kept. Commands are single words.
pub const MAX_TAKEN: usize = 1024;
/// The largest size of a packet in MQTT.
pub const MAX_SENT: usize = 0x0fff_ffff;

const CONNECT: u8 = 0x10;
const PUBLISH: u8 = 0x30;
const SUBSCRIBE: u8 = 0x82;

/// The fields of CONNECT.
pub struct Hello<'a> {
    pub client_id: &'a str,
    pub user: &'a str,
    pub password: Option<&'a str>,
    pub keep_alive_s: u16,
    /// The last will: topic and payload of the retained message that the broker publishes when the connection ends
    /// without DISCONNECT.
    pub last_will: Option<(&'a str, &'a str)>,
}

/// CONNECT, with a clean session.
pub fn connect(hello: &Hello) -> Vec<u8> {
    let mut flags = 0x02;
    let mut body = field(b"MQTT");
    let mut payload = field(hello.client_id.as_bytes());
    if let Some((topic, will)) = hello.last_will {
        // Retained, QoS 1.
        flags |= 0x04 | 0x08 | 0x20;
        payload.extend(field(topic.as_bytes()));
        payload.extend(field(will.as_bytes()));
    }
    if !hello.user.is_empty() {
        flags |= 0x80;
        payload.extend(field(hello.user.as_bytes()));
        if let Some(password) = hello.password {
            flags |= 0x40;
            payload.extend(field(password.as_bytes()));
        }
    }
    body.extend([4, flags]);
    body.extend(hello.keep_alive_s.to_be_bytes());
    body.extend(payload);
    packet(CONNECT, &body)
}

/// PUBLISH with QoS 1.
pub fn publish(id: u16, topic: &str, payload: &[u8], retain: bool) -> Vec<u8> {
    let mut body = field(topic.as_bytes());
    body.extend(id.to_be_bytes());
    body.extend(payload);
    packet(PUBLISH | 0x02 | u8::from(retain), &body)
}

/// SUBSCRIBE with QoS 0, so that received messages need no acknowledgement.
pub fn subscribe(id: u16, topics: &[String]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    for topic in topics {
        body.extend(field(topic.as_bytes()));
        body.push(0);
    }
    packet(SUBSCRIBE, &body)
}

/// PINGREQ.
pub const PING: [u8; 2] = [0xc0, 0];
/// DISCONNECT.
pub const GOODBYE: [u8; 2] = [0xe0, 0];

/// Bytes after their length. More bytes than the length can express are cut off.
fn field(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    let mut field = length.to_be_bytes().to_vec();
    field.extend(&bytes[..usize::from(length)]);
    field
}

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind];
    let mut left = body.len().min(MAX_SENT);
    loop {
        let digit = (left % 128) as u8;
        left /= 128;
        packet.push(digit | if left > 0 { 0x80 } else { 0 });
        if left == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}

/// A packet from a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// CONNACK with its code.
    Welcome(u8),
    /// PUBACK of a packet.
    Acknowledged(u16),
    /// SUBACK of a SUBSCRIBE: whether each subscription was accepted.
    Subscribed(u16, bool),
    /// PINGRESP.
    Pong,
    /// PUBLISH.
    Message { topic: String, payload: Vec<u8>, retained: bool },
    /// A packet of more than [`MAX_TAKEN`] bytes, which is skipped.
    TooLarge,
}

/// Splits the bytes from a broker into packets.
#[derive(Debug, Default)]
pub struct Reader {
    bytes: Vec<u8>,
    /// How many of the next bytes belong to an oversized packet.
    skip: usize,
}

impl Reader {
    /// Adds received bytes.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        bytes = &bytes[skipped..];
        self.bytes.extend(bytes);
    }

    /// The next packet, if it is complete.
    ///
    /// # Errors
    /// When the bytes are not a packet of MQTT 3.1.1 that a broker may send.
    pub fn next(&mut self) -> Result<Option<Said>, &'static str> {
        let Some((head, length)) = self.length()? else { return Ok(None) };
        if length > MAX_TAKEN {
            let here = self.bytes.len().min(head + length);
            self.skip = head + length - here;
            self.bytes.drain(..here);
            return Ok(Some(Said::TooLarge));
        }
        if self.bytes.len() < head + length {
            return Ok(None);
        }
        let packet: Vec<u8> = self.bytes.drain(..head + length).collect();
        said(packet[0], &packet[head..]).map(Some)
    }

    /// The length of the fixed header and that of the body, once the header is complete.
    fn length(&self) -> Result<Option<(usize, usize)>, &'static str> {
        if !matches!(self.bytes.first(), None | Some(0x20 | 0x30..=0x40 | 0x90 | 0xd0)) {
            return Err("a packet that no broker sends");
        }
        let mut length = 0;
        for at in 0..4 {
            let Some(digit) = self.bytes.get(1 + at) else { return Ok(None) };
            length |= usize::from(digit & 0x7f) << (7 * at);
            if digit & 0x80 == 0 {
                return Ok(Some((2 + at, length)));
            }
        }
        Err("a length of more than four bytes")
    }
}

fn said(kind: u8, body: &[u8]) -> Result<Said, &'static str> {
    let number = |at: usize| Some(u16::from_be_bytes([*body.get(at)?, *body.get(at + 1)?]));
    match (kind, body.len()) {
        (0x20, 2) => Ok(Said::Welcome(body[1])),
        (0x40, 2) => number(0).map(Said::Acknowledged).ok_or("no number"),
        (0x90, 3..) => Ok(Said::Subscribed(number(0).unwrap_or(0), body[2..].iter().all(|code| *code <= 2))),
        (0xd0, 0) => Ok(Said::Pong),
        (0x30..=0x3f, _) if kind & 0x06 != 0 => Err("a message with a QoS that was not asked for"),
        (0x30..=0x3f, _) => {
            let length = number(0).ok_or("a message without a topic")?;
            let (topic, payload) = body[2..].split_at_checked(length.into()).ok_or("a topic that is cut")?;
            let topic = std::str::from_utf8(topic).map_err(|_| "a topic that is not UTF-8")?;
            Ok(Said::Message { topic: topic.to_owned(), payload: payload.to_vec(), retained: kind & 1 == 1 })
        }
        _ => Err("a packet that no broker sends"),
    }
}

/// Parses any bytes as if from a broker, in pieces of any size.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    let mut reader = Reader::default();
    for piece in bytes.chunks(usize::from(*piece).max(1)) {
        reader.feed(piece);
        loop {
            match reader.next() {
                Ok(Some(said)) => assert!(!matches!(said, Said::Message { payload, .. } if payload.len() > MAX_TAKEN)),
                Ok(None) => break,
                // An error ends the connection.
                Err(_) => return,
            }
        }
        assert!(reader.bytes.len() <= MAX_TAKEN + 5);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_have_the_format_of_the_standard() {
        let hello = Hello {
            client_id: "door",
            user: "u",
            password: Some("p"),
            keep_alive_s: 30,
            last_will: Some(("a/b", "off")),
        };
        let expected = b"\x10\x20\0\x04MQTT\x04\xee\0\x1e\0\x04door\0\x03a/b\0\x03off\0\x01u\0\x01p";
        assert_eq!(connect(&hello), expected);
        let hello = Hello { user: "", last_will: None, ..hello };
        assert_eq!(connect(&hello), b"\x10\x10\0\x04MQTT\x04\x02\0\x1e\0\x04door");
        assert_eq!(publish(7, "a/b", b"ON", true), b"\x33\x09\0\x03a/b\0\x07ON");
        assert_eq!(subscribe(1, &["a".into(), "b".into()]), b"\x82\x0a\0\x01\0\x01a\0\0\x01b\0");
        let long = publish(1, "a", &[7; 300], false);
        assert_eq!((&long[..3], long.len()), (&[0x32, 0xb1, 0x02][..], 308));
    }

    #[test]
    fn packets_of_a_broker_are_parsed_however_they_are_split() {
        let bytes = b"\x20\x02\0\x05\x40\x02\x01\x02\x90\x04\0\x01\0\x80\xd0\0\x31\x05\0\x01aON\x30\x03\0\x01b";
        let message = |topic: &str, payload: &[u8], retained| Said::Message {
            topic: topic.into(),
            payload: payload.into(),
            retained,
        };
        let expected = [
            Said::Welcome(5),
            Said::Acknowledged(0x102),
            Said::Subscribed(1, false),
            Said::Pong,
            message("a", b"ON", true),
            message("b", b"", false),
        ];
        for piece in 1..bytes.len() {
            let (mut reader, mut said) = (Reader::default(), Vec::new());
            for bytes in bytes.chunks(piece) {
                reader.feed(bytes);
                while let Some(packet) = reader.next().unwrap() {
                    said.push(packet);
                }
            }
            assert_eq!(said, expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_packet_of_10_mb_is_skipped_in_little_memory_and_the_next_one_is_read() {
        let mut bytes = publish(1, "a", &vec![b'x'; 10 << 20], false);
        bytes[0] = 0x30;
        bytes.extend(b"\xd0\0");
        let (mut reader, mut said) = (Reader::default(), Vec::new());
        for bytes in bytes.chunks(4096) {
            reader.feed(bytes);
            while let Some(packet) = reader.next().unwrap() {
                said.push(packet);
            }
            assert!(reader.bytes.capacity() <= 3 * 4096);
        }
        assert_eq!(said, [Said::TooLarge, Said::Pong]);
    }

    #[test]
    fn bytes_that_are_not_mqtt_are_an_error_and_no_panic() {
        let wrong: [&[u8]; 8] = [
            b"HTTP/1.1 400 Bad Request\r\n",
            b"\x20\xff\xff\xff\xff\x01",
            b"\x32\x05\0\x01a\0\x01",
            b"\x30\x03\0\x09a",
            b"\x30\x01\0",
            b"\x30\x03\0\x01\xff",
            b"\x40\x01\0",
            b"\x00\x00",
        ];
        for bytes in wrong {
            let mut reader = Reader::default();
            reader.feed(bytes);
            assert!(reader.next().is_err(), "{bytes:?}");
        }
        // Any bytes, cut at any place.
        let mut seed = 1_u64;
        for _ in 0..20_000 {
            let mut reader = Reader::default();
            for _ in 0..12 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                reader.feed(&seed.to_be_bytes()[..(seed % 8) as usize]);
                if reader.next().is_err() {
                    break;
                }
            }
        }
    }
}
