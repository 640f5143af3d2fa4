//! Tests the events of visits that a client of `/api/events?typed=1` gets.

use crate::support::{Home, PATIENCE, Running, picture, read_head};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Instant;

/// A client that gets the events since the start, and then new events.
struct Listener(BufReader<TcpStream>);

impl Listener {
    fn of(running: &Running) -> Listener {
        let mut stream = BufReader::new(running.connect());
        let request = "GET /api/events?typed=1 HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 0\r\n\r\n";
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        read_head(&mut stream);
        Listener(stream)
    }

    /// The next event with a visit. Checks that the ids of the events have no gap.
    fn next(&mut self, id: &mut u64) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "no event came after {id}");
            let lines = self.0.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty());
            let event: Vec<String> = lines.collect();
            let Some(data) = event.iter().find_map(|line| line.strip_prefix("data: ")) else { continue };
            let data: Value = serde_json::from_str(data).unwrap();
            if event[0] == "event: present" {
                continue;
            }
            *id += 1;
            let head = [format!("id: {id}"), format!("event: {}", data["kind"].as_str().unwrap())];
            assert_eq!((&event[..2], &data["id"]), (&head[..], &Value::from(*id)));
            if !data["visit"].is_null() {
                return data;
            }
        }
    }
}

/// Lets the camera show another picture from now on.
fn show(home: &Home, input: &[&str]) {
    let next = home.path("next.jpg");
    let size = "scale=640:480:force_original_aspect_ratio=decrease,pad=640:480:-1:-1";
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-loglevel", "error", "-y"]).args(input).args(["-frames:v", "1", "-vf", size]);
    assert!(ffmpeg.args(["-q:v", "2", "-pix_fmt", "yuvj420p"]).arg(&next).status().unwrap().success());
    std::fs::rename(next, home.path("camera.jpg")).unwrap();
}

#[test]
fn visits_of_a_known_person_and_of_a_stranger_have_one_event_of_each_kind() {
    let home = Home::new("");
    let nobody: &[&str] = &["-f", "lavfi", "-i", "color=gray:s=640x480"];
    show(&home, nobody);
    let camera = home.looping_camera(&home.path("camera.jpg"));
    let (strangers, events) = ("remember_strangers_h = 1\n", "[events]\npresence_s = 10\nstranger_looks = 5\n");
    home.write_config(&format!("[camera]\nsource = {camera}\n[recognition]\ninterval_ms = 100\n{strangers}{events}"));
    home.enrol("Barack Obama", "obama.jpg");
    let running = home.run();
    running.until("the first gallery", |r| r.generation() == 1);
    let (mut listener, mut id) = (Listener::of(&running), 0);
    let [obama, biden] = ["obama2.jpg", "biden.jpg"].map(|name| picture(name).display().to_string());
    show(&home, &["-i", &obama]);
    let mut events = vec![listener.next(&mut id), listener.next(&mut id)];
    show(&home, nobody);
    events.push(listener.next(&mut id));
    show(&home, &["-i", &biden]);
    events.extend([listener.next(&mut id), listener.next(&mut id)]);
    show(&home, nobody);
    events.push(listener.next(&mut id));
    let told: Vec<_> = events
        .iter()
        .map(|e| (e["kind"].as_str().unwrap(), e["visit"].as_u64().unwrap(), e["name"].as_str()))
        .collect();
    let he = Some("Barack Obama");
    let expected = [
        ("appeared", 1, None),
        ("named", 1, he),
        ("left", 1, he),
        ("appeared", 2, None),
        ("stranger", 2, None),
        ("left", 2, None),
    ];
    assert_eq!(told, expected, "{events:#?}");
    let number = |at: usize, field: &str| events[at][field].as_f64().unwrap();
    let present: Vec<_> = (0..6).map(|at| number(at, "present")).collect();
    assert_eq!(present, [1.0, 1.0, 0.0, 1.0, 1.0, 0.0]);
    assert!(number(1, "distance") < 0.6 && number(1, "score") < 0.0, "{}", events[1]);
    for at in [2, 5] {
        // The visit ends when the face was not seen for 10 s and for the time of a look; the event has the time at which the
        // face was last seen.
        let (after, since) = (number(at, "decided_at") - number(at, "captured_at"), number(at, "since"));
        assert!(after > 10.0 && after < 60.0 && since < number(at, "captured_at"), "{}", events[at]);
        assert_eq!((&events[at]["reason"], &events[at]["still_present"]), (&"unseen".into(), &false.into()));
    }
    // The stranger comes again and keeps their number. Once a person has a name, all visits of the person have it.
    show(&home, &["-i", &biden]);
    let again = [listener.next(&mut id), listener.next(&mut id)];
    assert_eq!([&again[0]["kind"], &again[1]["kind"]], ["appeared", "stranger"]);
    let visits = || {
        serde_json::from_slice::<Value>(&running.get("/api/visits").body).unwrap()["visits"].as_array().unwrap().clone()
    };
    let fields = |visit: &Value| {
        (
            visit["name"].as_str().map(str::to_owned),
            visit["stranger"].as_u64(),
            visit["still_present"].as_bool().unwrap(),
        )
    };
    let listed: Vec<_> = visits().iter().map(fields).collect();
    let he = he.map(str::to_owned);
    assert_eq!(listed, [(he, None, false), (None, Some(1), false), (None, Some(1), true)]);
    for (visit, at) in visits().iter().zip([2, 5]) {
        let is_near = |field: &str, number: f64| (visit[field].as_f64().unwrap() - number).abs() < 0.1;
        assert!(is_near("since", number(at, "since")) && is_near("until", number(at, "captured_at")), "{visit}");
        assert!(visit["looks"].as_u64().unwrap() > 0 && visit["stranger_at"].is_number() == (at == 5), "{visit}");
    }
    // A wrong name that is taken back: the ended visit of the face loses it, and the one of its true owner keeps it.
    let name = |visit: &Value| visit["name"].as_str().unwrap_or_default().to_owned();
    let (_, wrong) = running.teach("/api/faces/name", &json!({"track": again[0]["track"], "name": "Barack Obama"}));
    assert_eq!((wrong["at_work"].as_bool(), name(&visits()[1])), (Some(true), "Barack Obama".into()), "{wrong}");
    for file in wrong["files"].as_array().unwrap() {
        assert_eq!(running.teach("/api/gallery/delete", &json!({"file": file})).0, 200);
    }
    running.until("the visits without the wrong name", |_| visits().iter().map(name).eq(["Barack Obama", "", ""]));
    let (_, taught) = running.teach("/api/faces/name", &json!({"track": again[0]["track"], "name": "Joe"}));
    assert_eq!(taught["at_work"], true, "{taught}");
    running.until("both visits have the name", |_| visits().iter().map(name).eq(["Barack Obama", "Joe", "Joe"]));
    running.teach("/api/gallery/rename", &json!({"person": "Joe", "to": "Joe Biden"}));
    running.until("the new name", |_| visits().iter().map(name).eq(["Barack Obama", "Joe Biden", "Joe Biden"]));
    running.teach("/api/gallery/forget", &json!({"person": "Barack Obama"}));
    running.until("the forgotten person is gone", |_| visits().iter().map(name).eq(["Joe Biden", "Joe Biden"]));
}
