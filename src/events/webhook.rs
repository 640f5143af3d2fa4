//! `[webhook]`: sends each event as a POST of JSON to a URL.

use super::{Reader, Stage};
use crate::config::{Url, Webhook};
use crate::os::files::hex;
use crate::os::wire::{Trust, Wire, is_late, left};
use crate::presence::event::Event;
use crate::sync::{Backoff, POLL};
use crate::telemetry::faults::Cause;
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long an attempt may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The shortest and the longest pause after a failed attempt at an event.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The most bytes of an answer that are read, with the interim answers before it; only its first line is used.
const MOST_ANSWER: usize = 8192;

/// Why an event was not delivered.
#[derive(Debug, PartialEq)]
struct Failure {
    why: String,
    /// False when the receiver has refused the event for good.
    is_worth_another: bool,
}

fn failed(why: String) -> Failure {
    Failure { why, is_worth_another: true }
}

/// The body of the thread. Returns on [`crate::sync::Stop`].
pub fn run(stage: &Stage) {
    let sink = &stage.health.webhook;
    let mut reader = Reader::new(stage, sink);
    while !stage.stop.is_set() {
        let config = stage.config.newest().map(|(_, config)| config);
        let Some((hook, url)) =
            config.as_ref().and_then(|config| Some((&config.webhook, config.webhook.url.as_ref()?)))
        else {
            reader.skip();
            stage.stop.wait(POLL);
            continue;
        };
        let (mut event, mut backoff) = (reader.next(&hook.events, POLL), Backoff::new(SHORTEST_PAUSE, LONGEST_PAUSE));
        while let Some(found) = event {
            let Err(failure) = post(hook, url, &found) else {
                sink.sent.add();
                break;
            };
            stage.health.faults.report(Cause::Webhook, &failure.why);
            let is_same = || stage.config.newest().is_some_and(|(_, config)| config.webhook == *hook);
            if !failure.is_worth_another {
                sink.dropped.add();
                break;
            }
            if !wait(stage, backoff.pause(), is_same) {
                // With the new config the event is tried again at once.
                reader.put_back();
                break;
            }
            event = reader.again();
        }
    }
}

/// Waits for `pause`; false when the program ends or the config changes.
fn wait(stage: &Stage, pause: Duration, is_same: impl Fn() -> bool) -> bool {
    let until = Instant::now() + pause;
    while Instant::now() < until {
        if stage.stop.wait(POLL.min(until.saturating_duration_since(Instant::now()))) || !is_same() {
            return false;
        }
    }
    true
}

/// Makes one attempt to send an event.
fn post(hook: &Webhook, url: &Url, event: &Event) -> Result<(), Failure> {
    let body = serde_json::to_string(event).map_err(|error| failed(error.to_string()))?;
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let signature = match &hook.secret_file {
        Some(file) => {
            format!("X-Namecam-Signature: t={at},v1={}\r\n", signature(&secret(file).map_err(failed)?, at, &body))
        }
        None => String::new(),
    };
    let (path, authority, version) = (&url.path, url.authority(), env!("CARGO_PKG_VERSION"));
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: namecam/{version}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nX-Namecam-Event: {}\r\n{signature}Connection: close\r\n\r\n{body}",
        body.len(),
        event.kind.as_str()
    );
    let status = ask(hook, url, request.as_bytes()).map_err(|error| failed(format!("{authority}: {error}")))?;
    // Too many requests and time-outs are worth another attempt. Any other 4xx status says that the request is wrong.
    let is_worth_another = !(300..500).contains(&status) || [408, 425, 429].contains(&status);
    let why = || format!("{authority} answers {status}");
    if (200..300).contains(&status) { Ok(()) } else { Err(Failure { why: why(), is_worth_another }) }
}

/// Connects, at the latest until `deadline`.
fn open(hook: &Webhook, url: &Url, deadline: Instant) -> Result<Wire, String> {
    let trust = url.is_https.then_some(Trust { ca_file: hook.ca_file.as_deref(), key: "webhook.ca_file" });
    Wire::open(&url.host, url.port, trust, deadline)
}

/// Sends a request, and returns the status of the answer.
fn ask(hook: &Webhook, url: &Url, request: &[u8]) -> Result<u16, String> {
    let deadline = Instant::now() + PATIENCE;
    let mut wire = open(hook, url, deadline)?;
    let text = |error: std::io::Error| error.to_string();
    wire.set_timeouts(left(deadline), left(deadline)).and_then(|()| wire.write_all(request)).map_err(text)?;
    let (mut answer, mut bytes) = (Vec::new(), [0; 256]);
    while !without_interim(&answer).contains(&b'\n') && answer.len() < MOST_ANSWER {
        if Instant::now() >= deadline {
            return Err(format!("no answer within {} s", PATIENCE.as_secs()));
        }
        wire.set_timeouts(left(deadline), left(deadline)).map_err(text)?;
        match wire.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => answer.extend(&bytes[..count]),
            Err(error) if is_late(&error) => {}
            Err(error) => return Err(text(error)),
        }
    }
    let first = String::from_utf8_lossy(without_interim(&answer));
    let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|code| code.parse().ok());
    status.ok_or_else(|| "the answer is not HTTP".to_owned())
}

/// The part of `answer` after its interim answers, which have a status of 1xx and end with an empty line. Nothing while
/// such an answer has not ended.
fn without_interim(mut answer: &[u8]) -> &[u8] {
    while answer.starts_with(b"HTTP/1.") && answer.get(8..10) == Some(b" 1") {
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
        answer = &answer[end..];
    }
    answer
}

/// The secret in a file, without white space around it.
fn secret(file: &Path) -> Result<Vec<u8>, String> {
    let bytes = std::fs::read(file).map_err(|error| format!("secret_file {}: {error}", file.display()))?;
    let secret = bytes.trim_ascii().to_vec();
    if secret.is_empty() { Err(format!("secret_file {} is empty", file.display())) } else { Ok(secret) }
}

/// What is wrong with the secret file or with the TLS of the receiver, for `check`. Only the TLS handshake is sent.
pub fn trouble(hook: &Webhook) -> Option<String> {
    let url = hook.url.as_ref()?;
    let signed = hook.secret_file.as_ref().map_or(Ok(()), |file| secret(file).map(drop));
    let reached = || match url.is_https {
        true => {
            open(hook, url, Instant::now() + PATIENCE).map(drop).map_err(|why| format!("{}: {why}", url.authority()))
        }
        false => Ok(()),
    };
    signed.and_then(|()| reached()).err()
}

/// HMAC-SHA256 of `TIME.BODY`, in hexadecimal digits.
fn signature(secret: &[u8], at: u64, body: &str) -> String {
    hex(&hmac(secret, format!("{at}.{body}").as_bytes()))
}

/// RFC 2104 with SHA-256.
fn hmac(secret: &[u8], text: &[u8]) -> [u8; 32] {
    let mut key = [0; 64];
    if secret.len() > key.len() {
        key[..32].copy_from_slice(&Sha256::digest(secret));
    } else {
        key[..secret.len()].copy_from_slice(secret);
    }
    let hash =
        |pad: u8, text: &[u8]| Sha256::new().chain_update(key.map(|byte| byte ^ pad)).chain_update(text).finalize();
    hash(0x5c, &hash(0x36, text)).into()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{event, stage};
    use super::*;
    use crate::presence::event::Kind;
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::sync::Arc;

    #[test]
    fn the_signature_is_that_of_rfc_4231() {
        let told = |secret: &[u8], text: &[u8]| hex(&hmac(secret, text));
        assert_eq!(
            told(b"Jefe", b"what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        let long = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54";
        assert_eq!(told(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First"), long);
    }

    /// Reads a request, and gives that answer: the lines of its head and its body.
    fn take(listener: &TcpListener, answer: &str) -> (Vec<String>, String) {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream);
        let head: Vec<String> =
            reader.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
        let length = head.iter().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap().parse().unwrap();
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        reader.get_mut().write_all(answer.as_bytes()).unwrap();
        (head, String::from_utf8(body).unwrap())
    }

    #[test]
    fn an_event_is_posted_with_a_signature_and_again_after_a_temporary_failure() {
        let (folder, listener) = (tempfile::tempdir().unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let (port, file) = (listener.local_addr().unwrap().port(), folder.path().join("secret"));
        std::fs::write(&file, "a long secret\n").unwrap();
        let stage = Arc::new(stage(|config| {
            let url = Url::parse(&format!("http://127.0.0.1:{port}/hook?a=1"));
            config.webhook = Webhook {
                url,
                secret_file: Some(file.clone()),
                events: vec!["named".to_owned()],
                ..Webhook::default()
            };
        }));
        stage.bus.publish(vec![event(Kind::Appeared, "Alice"), event(Kind::Named, "Al\"ice\u{a0}")]);
        let running = {
            let stage = Arc::clone(&stage);
            std::thread::spawn(move || run(&stage))
        };
        let (first, body) = take(&listener, "HTTP/1.1 503 no\r\n\r\n");
        assert_eq!(first[0], "POST /hook?a=1 HTTP/1.1");
        for line in [&format!("Host: 127.0.0.1:{port}"), "X-Namecam-Event: named", "Content-Type: application/json"] {
            assert!(first.iter().any(|header| header == line), "{first:?}");
        }
        let (again, same) = take(&listener, "HTTP/1.1 204 fine\r\n\r\n");
        assert_eq!(body, same);
        let json: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((&json["id"], &json["name"]), (&2.into(), &"Al\"ice\u{a0}".into()));
        let signed = again.iter().find_map(|line| line.strip_prefix("X-Namecam-Signature: t=")).unwrap();
        let (at, signed) = signed.split_once(",v1=").unwrap();
        assert_eq!(signed, signature(b"a long secret", at.parse().unwrap(), &body));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert!(now - at.parse::<u64>().unwrap() < 60);
        // A refused event is not sent again.
        stage.bus.publish(vec![event(Kind::Named, "Bob"), event(Kind::Named, "Carol")]);
        assert!(take(&listener, "HTTP/1.1 400 never\r\n\r\n").1.contains("Bob"));
        // Interim answers come before the one that counts.
        let hints = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 yes\r\n\r\n";
        assert!(take(&listener, hints).1.contains("Carol"));
        // Without its secret, no event is sent.
        std::fs::remove_file(&file).unwrap();
        stage.bus.publish(vec![event(Kind::Named, "Dora")]);
        // It is tried again and again, so the count may be larger.
        for _ in 0..6000 {
            if stage.health.faults.all().iter().any(|fault| fault.detail.contains("secret_file")) {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let faults = stage.health.faults.all();
        assert!(faults.len() == 1 && faults[0].detail.contains("secret_file") && faults[0].count >= 3, "{faults:?}");
        assert_eq!((stage.health.webhook.sent.get(), stage.health.webhook.dropped.get()), (2, 1));
        stage.stop.set();
        running.join().unwrap();
    }

    #[test]
    fn an_event_that_failed_goes_to_the_receiver_of_a_new_config() {
        let [wrong, right] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let url = |listener: &TcpListener| Url::parse(&format!("http://{}/", listener.local_addr().unwrap()));
        let stage = Arc::new(stage(|config| config.webhook.url = url(&wrong)));
        stage.bus.publish(vec![event(Kind::Named, "Alice")]);
        let running = {
            let stage = Arc::clone(&stage);
            std::thread::spawn(move || run(&stage))
        };
        take(&wrong, "HTTP/1.1 503 no\r\n\r\n");
        let mut config = (*stage.config.newest().unwrap().1).clone();
        config.webhook.url = url(&right);
        stage.config.publish(Arc::new(config));
        assert!(take(&right, "HTTP/1.1 200 yes\r\n\r\n").1.contains("Alice"));
        stage.stop.set();
        running.join().unwrap();
        assert_eq!((stage.health.webhook.sent.get(), stage.health.webhook.dropped.get()), (1, 0));
    }

    #[test]
    fn a_receiver_that_hangs_lies_or_is_missing_is_reported_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = Url::parse(&format!("http://127.0.0.1:{port}/")).unwrap();
        let hook = Webhook { url: Some(url.clone()), ..Webhook::default() };
        let ask = || post(&hook, &url, &event(Kind::Named, "Alice")).unwrap_err();
        let answers = |answer: &'static str| {
            std::thread::scope(|scope| {
                scope.spawn(|| take(&listener, answer));
                ask()
            })
        };
        assert_eq!(answers("SSH-2.0-x\r\n").why, format!("127.0.0.1:{port}: the answer is not HTTP"));
        assert_eq!(answers(""), failed(format!("127.0.0.1:{port}: the answer is not HTTP")));
        let moved = Failure { why: format!("127.0.0.1:{port} answers 301"), is_worth_another: false };
        assert_eq!(answers("HTTP/1.1 301 there\r\n\r\n"), moved);
        assert!(answers("HTTP/1.1 429 later\r\n\r\n").is_worth_another);
        // The receiver accepts the connection and says nothing.
        let begun = Instant::now();
        assert_eq!(ask().why, format!("127.0.0.1:{port}: no answer within 5 s"));
        assert!(begun.elapsed() < Duration::from_secs(30));
        drop(listener);
        assert!(ask().why.contains("refused"));
    }

    #[cfg(feature = "tls")]
    #[test]
    fn by_https_an_event_reaches_only_a_receiver_whose_certificate_is_good() {
        use crate::os::wire::tests::{GOOD, tls_front};
        let (folder, listener) = (tempfile::tempdir().unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let [secret, cas] = ["secret", "ca.pem"].map(|name| folder.path().join(name));
        let ca = tls_front::Ca::new("ours");
        std::fs::write(&secret, "hush").unwrap();
        std::fs::write(&cas, ca.pem()).unwrap();
        let port = tls_front::front(ca.certificate(&["localhost"], GOOD), listener.local_addr().unwrap().port());
        let hook = |host: &str, ca_file| {
            let url = Url::parse(&format!("https://{host}:{port}/door"));
            Webhook { url, ca_file, secret_file: Some(secret.clone()), ..Webhook::default() }
        };
        let good = hook("localhost", Some(cas.clone()));
        assert_eq!(trouble(&good), None);
        let (head, body) = std::thread::scope(|scope| {
            // The connection of `trouble` brought no request.
            let _ = listener.accept().unwrap();
            let took = scope.spawn(|| take(&listener, "HTTP/1.1 204 fine\r\n\r\n"));
            assert_eq!(post(&good, good.url.as_ref().unwrap(), &event(Kind::Named, "Alice")), Ok(()));
            took.join().unwrap()
        });
        let signed = head.iter().find_map(|line| line.strip_prefix("X-Namecam-Signature: t=")).unwrap();
        let (at, signed) = signed.split_once(",v1=").unwrap();
        assert_eq!((signed, &*head[0]), (&*signature(b"hush", at.parse().unwrap(), &body), "POST /door HTTP/1.1"));
        for (hook, words) in [
            (hook("127.0.0.1", Some(cas)), "its certificate is for localhost, not for 127.0.0.1"),
            (hook("localhost", None), "webhook.ca_file"),
        ] {
            let failure = post(&hook, hook.url.as_ref().unwrap(), &event(Kind::Named, "Alice")).unwrap_err();
            assert!(failure.why.contains(words) && failure.is_worth_another, "{failure:?}");
            assert_eq!(trouble(&hook), Some(failure.why));
        }
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "nothing has come");
    }
}
