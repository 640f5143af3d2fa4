//! Tests against real TLS servers, which use rustls.

#[path = "../../../tests/appliance/tls_front.rs"]
pub mod tls_front;

use super::*;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tls_front::{Ca, Identity, front};

/// The first and the last year of a certificate that is valid now.
pub const GOOD: [i32; 2] = [1975, 4000];

/// A server that sends back the bytes it receives. Returns its port and the number of received bytes.
fn echo() -> (u16, Arc<AtomicUsize>) {
    let (listener, came) = (TcpListener::bind("127.0.0.1:0").unwrap(), Arc::new(AtomicUsize::new(0)));
    let (port, counted) = (listener.local_addr().unwrap().port(), Arc::clone(&came));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut bytes) {
                counted.fetch_add(count, Relaxed);
                stream.write_all(&bytes[..count]).unwrap();
            }
        }
    });
    (port, came)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// Sends bytes and receives the same bytes.
fn talk(wire: &mut Wire, bytes: &[u8]) {
    wire.set_timeouts(Duration::from_millis(50), Duration::from_secs(10)).unwrap();
    let (mut back, mut some, until) = (Vec::<u8>::new(), [0; 1000], soon());
    for part in bytes.chunks(10_000) {
        wire.write_all(part).unwrap();
        while back.len() < bytes.len() && Instant::now() < until {
            match wire.read(&mut some) {
                Ok(count) => back.extend(&some[..count]),
                Err(error) if is_late(&error) => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
    while back.len() < bytes.len() && Instant::now() < until {
        match wire.read(&mut some) {
            Err(error) if is_late(&error) => {}
            read => back.extend(&some[..read.unwrap()]),
        }
    }
    assert!(back == bytes, "{} bytes of {}", back.len(), bytes.len());
}

#[test]
fn bytes_sent_with_tls_1_2_and_1_3_arrive_whole() {
    let (ca, (behind, _)) = (Ca::new("ours"), echo());
    let cas = file(&format!("a comment\n{}{}", Ca::new("another").pem(), ca.pem()));
    let trust = Trust { ca_file: Some(cas.path()), key: "mqtt.ca_file" };
    let bytes: Vec<u8> = (0..200_000_u64).map(|at| ((at * at) >> 8) as u8).collect();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for host in ["127.0.0.1", "localhost"] {
            let identity = Identity { versions: vec![version], ..ca.certificate(&["localhost", "127.0.0.1"], GOOD) };
            let mut wire = Wire::open(host, front(identity, behind), Some(trust), soon()).unwrap();
            talk(&mut wire, &bytes);
        }
    }
    let mut plain = Wire::open("localhost", behind, None, soon()).unwrap();
    talk(&mut plain, &bytes);
}

#[test]
fn a_bad_certificate_is_reported_with_a_remedy_before_any_bytes_are_sent() {
    let (ca, (behind, came)) = (Ca::new("ours"), echo());
    let (cas, another) = (file(&ca.pem()), file(&Ca::new("another").pem()));
    let trust = Trust { ca_file: Some(cas.path()), key: "mqtt.ca_file" };
    let of_another = Trust { ca_file: Some(another.path()), ..trust };
    let of_system = Trust { ca_file: None, ..trust };
    let names = &["localhost", "10.0.0.1"][..];
    let cases = [
        (
            ca.certificate(&["127.0.0.1"], GOOD),
            of_another,
            "is of a CA that FILE does not have; put the certificate of that CA",
        ),
        (ca.certificate(&["127.0.0.1"], GOOD), of_system, "and name it in mqtt.ca_file"),
        (ca.certificate(names, GOOD), trust, "is for localhost, 10.0.0.1, not for 127.0.0.1"),
        (ca.certificate(&[], GOOD), trust, "make it with 127.0.0.1 as subjectAltName"),
        (
            ca.certificate(&["127.0.0.1"], [2010, 2020]),
            trust,
            "good until 2020-01-01T00:00:00+00:00, and the clock of this machine says 20",
        ),
        (
            ca.certificate(&["127.0.0.1"], [3000, 4000]),
            trust,
            "good from 3000-01-01T00:00:00+00:00 on, and the clock of this machine says 20",
        ),
        (ca.itself(), trust, "is that of a CA; make one for the machine"),
    ];
    for (identity, trust, words) in cases {
        let (port, words) = (front(identity, behind), words.replace("FILE", &another.path().display().to_string()));
        // On a system without a bundle of CAs, the message says so.
        let is_missing = trust.ca_file.is_none() && !Path::new("/etc/ssl/certs/ca-certificates.crt").exists();
        let words = if is_missing { "install ca-certificates" } else { words.as_str() };
        let why = Wire::open("127.0.0.1", port, Some(trust), soon()).err().unwrap();
        assert!(why.contains(words), "{why}\n{words}");
    }
    assert_eq!(came.load(Relaxed), 0);
}

#[test]
fn a_server_without_tls_or_with_client_certificates_or_that_hangs_is_reported_in_time() {
    let (ca, (behind, _)) = (Ca::new("ours"), echo());
    let cas = file(&ca.pem());
    let trust = Trust { ca_file: Some(cas.path()), key: "mqtt.ca_file" };
    let open = |port| Wire::open("127.0.0.1", port, Some(trust), soon()).err().unwrap();
    // A server without TLS.
    let server = |answer: &'static [u8]| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = (stream.read(&mut [0; 4096]), stream.write_all(answer));
            // Reading to the end avoids a reset, by which the sent bytes could be lost.
            let _ = (stream.shutdown(std::net::Shutdown::Write), stream.read_to_end(&mut Vec::new()));
        });
        port
    };
    assert!(open(server(b"HTTP/1.1 400 Bad Request\r\n\r\n")).contains("does not speak TLS; is "));
    assert!(open(server(b"")).contains("closes the connection in the handshake of TLS; is "));
    // A server that accepts the connection and sends nothing, and one that sends too few bytes without end.
    let (silent, begun) = (TcpListener::bind("127.0.0.1:0").unwrap(), Instant::now());
    let port = silent.local_addr().unwrap().port();
    let second = || Instant::now() + Duration::from_secs(1);
    let why = Wire::open("127.0.0.1", port, Some(trust), second()).err().unwrap();
    assert_eq!(why, format!("no answer in the handshake of TLS; is {port} its port for TLS?"));
    let slow = std::thread::spawn(move || {
        let (mut stream, _) = [silent.accept().unwrap(), silent.accept().unwrap()].into_iter().next_back().unwrap();
        let record = [0x16, 3, 3, 0x40, 0, 2, 0, 0x3f, 0xf0].into_iter().chain(std::iter::repeat(0));
        record
            .take_while(|byte| stream.write_all(&[*byte]).is_ok())
            .for_each(|_| std::thread::sleep(Duration::from_millis(20)));
    });
    let why = Wire::open("127.0.0.1", port, Some(trust), second()).err().unwrap();
    assert!(why.starts_with("no answer in the handshake"), "{why}");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    slow.join().unwrap();
    // With TLS 1.3 the client's handshake ends before the server rejects the missing client certificate.
    let identity = Identity { clients_of: Some(ca.der()), ..ca.certificate(&["127.0.0.1"], GOOD) };
    let mut wire = Wire::open("127.0.0.1", front(identity, behind), Some(trust), soon()).unwrap();
    wire.set_timeouts(Duration::from_secs(5), Duration::from_secs(5)).unwrap();
    let why =
        std::iter::repeat_with(|| wire.read(&mut [0; 10])).find_map(|read| read.err().filter(|why| !is_late(why)));
    assert!(why.unwrap().to_string().contains("asks for a certificate of its clients"));
    // Files of CAs that cannot be used.
    let (port, empty) = (front(ca.certificate(&["127.0.0.1"], GOOD), behind), file("hello\n"));
    let with = |path: &Path| {
        Wire::open("127.0.0.1", port, Some(Trust { ca_file: Some(path), ..trust }), soon()).err().unwrap()
    };
    assert!(with(empty.path()).contains("has no certificate of a CA that begins with -----BEGIN"));
    assert_eq!(
        with(Path::new("/nowhere/ca.pem")),
        "mqtt.ca_file: /nowhere/ca.pem: No such file or directory (os error 2)"
    );
}
