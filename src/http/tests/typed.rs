//! Tests of `/api/events?typed=1`.

use super::sockets::{Running, read_head};
use crate::frame::Moment;
use crate::presence::day::Stay;
use crate::presence::event::{Event, Kind};
use serde_json::Value;
use std::io::BufReader;
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn listen(running: &Running, headers: &str) -> BufReader<TcpStream> {
    let request = format!("GET /api/events?typed=1 HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    let mut stream = BufReader::new(running.ask(&request));
    assert!(read_head(&mut stream).contains(&"Content-Type: text/event-stream".to_owned()));
    assert_eq!(read_head(&mut stream), ["retry: 2000"]);
    stream
}

/// The next event: its id, kind and data. Comments are passed over.
fn next(stream: &mut BufReader<TcpStream>) -> (String, String, Value) {
    let lines = loop {
        let lines = read_head(stream);
        assert!(!lines.is_empty(), "the stream has ended");
        if !lines[0].starts_with(':') {
            break lines;
        }
    };
    let field = |name: &str| lines.iter().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
    (field("id: "), field("event: "), serde_json::from_str(&field("data: ")).unwrap())
}

fn event(kind: Kind) -> Event {
    let now = Moment::now();
    Event { visit: Some(3), track: Some(7), name: Some("Alice\n".into()), ..Event::new(kind, now, now, 1) }
}

#[test]
fn typed_events_are_sent_once_with_ids_after_the_last_event_of_the_client() {
    let running = Running::small();
    let bus = &running.stage.events;
    bus.publish(vec![event(Kind::Appeared)]);
    let mut stream = listen(&running, "");
    assert_eq!(next(&mut stream).1, "present");
    // The comment shows that the client listens, so that the next event is new to it.
    assert_eq!(read_head(&mut stream), [": still here"]);
    bus.publish(vec![event(Kind::Named), event(Kind::Left)]);
    let (id, kind, data) = next(&mut stream);
    assert_eq!((id.as_str(), kind.as_str()), ("2", "named"));
    assert_eq!((&data["id"], &data["kind"], &data["name"]), (&2.into(), &"named".into(), &"Alice\n".into()));
    assert_eq!(next(&mut stream).1, "left");
    let mut again = listen(&running, "Last-Event-ID: 1\r\n");
    assert_eq!([next(&mut again).0, next(&mut again).0], ["2", "3"]);
    assert_eq!(next(&mut again).1, "present");
    for kind in [Kind::Stranger; 300] {
        bus.publish(vec![event(kind)]);
    }
    let mut late = listen(&running, "Last-Event-ID: 3\r\n");
    let (id, kind, data) = next(&mut late);
    assert_eq!((id.as_str(), kind.as_str(), &data["missed"]), ("", "missed", &44.into()));
    assert_eq!(next(&mut late).0, "48");
}

fn stay(visit: u64, name: Option<&str>) -> Stay {
    let at = Instant::now();
    let name = name.map(Into::into);
    let (since, until) = (at.checked_sub(Duration::from_secs(60)).unwrap(), at);
    let (stranger, distance) = (Some(7), Some(0.3));
    Stay {
        visit,
        track: visit + 4,
        name,
        stranger,
        since,
        until,
        is_present: true,
        distance,
        looks: 5,
        stranger_at: None,
    }
}

#[test]
fn the_list_of_those_present_is_sent_once_between_missed_and_new_events() {
    let running = Running::small();
    let (bus, day) = (&running.stage.events, &running.stage.day);
    running.stage.health.camera_is_online("test", "MJPG", 4, 4);
    bus.publish(vec![event(Kind::Appeared), event(Kind::Named)]);
    day.take(Vec::new(), vec![stay(3, Some("Alice")), stay(4, None)], bus.newest(), 0, Instant::now());
    // The event has happened, and the list of those present does not include it yet.
    bus.publish(vec![event(Kind::Left)]);
    for (headers, expected) in [("", &["", "3"][..]), ("Last-Event-ID: 0\r\n", &["1", "2", "", "3"])] {
        let mut stream = listen(&running, headers);
        let told: Vec<_> = expected.iter().map(|_| next(&mut stream)).collect();
        assert_eq!(told.iter().map(|(id, ..)| id.as_str()).collect::<Vec<_>>(), expected);
        let (_, kind, data) = told.iter().find(|(id, ..)| id.is_empty()).unwrap();
        assert_eq!((kind.as_str(), &data["present"], &data["online"]), ("present", &2.into(), &true.into()));
        let visits = data["visits"].as_array().unwrap();
        assert_eq!(
            (&visits[0]["visit"], &visits[0]["name"], &visits[0]["track"]),
            (&3.into(), &"Alice".into(), &7.into())
        );
        assert_eq!((&visits[1]["name"], &visits[1]["stranger"], visits.len()), (&Value::Null, &7.into(), 2));
    }
}

#[test]
fn without_the_parameter_no_typed_event_is_sent() {
    let running = Running::small();
    for query in ["", "?typed=0"] {
        let request = format!("GET /api/events{query} HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 0\r\n\r\n");
        let mut stream = BufReader::new(running.ask(&request));
        read_head(&mut stream);
        running.stage.events.publish(vec![event(Kind::Named)]);
        let shown: Vec<Vec<String>> = (0..4).map(|_| read_head(&mut stream)).collect();
        assert_eq!(shown[1][0], "event: camera");
        assert_eq!(shown[2], ["event: faces", "data: []"]);
        assert_eq!((&shown[0][0][..], &shown[3][0][..]), ("retry: 2000", ": still here"), "{query}");
    }
}
