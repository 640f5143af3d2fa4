//! Tests of the thread against a broker over real sockets, with simulated visits.

#[path = "../../../tests/appliance/broker.rs"]
#[allow(dead_code)] // the tests of the appliance use more of it
mod broker;

use super::*;
use crate::config::UnknownFaces;
use crate::detection::chips::{Chip, TrackChips};
use crate::frame::Moment;
use crate::presence::event::{Event, Kind};
use crate::roster::Person;
use broker::{Broker, Heard, Manners};
use serde_json::Value;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(30);

struct Camera {
    stage: Arc<Stage>,
    orders: Receiver<Order>,
    thread: Option<JoinHandle<()>>,
    generation: u64,
}

impl Camera {
    fn start(port: u16, change: impl FnOnce(&mut Mqtt)) -> Camera {
        Camera::with(port, None, |config| change(&mut config.mqtt))
    }

    fn with(port: u16, state_folder: Option<&Path>, change: impl FnOnce(&mut Config)) -> Camera {
        let mut config = Config::defaults("/".as_ref());
        config.mqtt = Mqtt { host: "127.0.0.1".into(), port, client_id: "door".into(), ..config.mqtt };
        change(&mut config);
        let (sender, orders) = sync_channel(2);
        let stage = Arc::new(Stage {
            config: Arc::new(Latest::with(config)),
            roster: Arc::default(),
            present: Arc::default(),
            bus: Arc::default(),
            slugs: Arc::new(Slugs::open(state_folder)),
            chips: Arc::default(),
            health: Arc::default(),
            orders: sender,
            stop: Arc::default(),
            state_folder: state_folder.map(Path::to_owned),
        });
        let thread = {
            let stage = Arc::clone(&stage);
            std::thread::spawn(move || run(&stage))
        };
        Camera { stage, orders, thread: Some(thread), generation: 0 }
    }

    fn gallery(&mut self, people: &[&str]) {
        self.generation += 1;
        let person = |name: &&str| Person { name: (*name).into(), pictures: Vec::new(), spread: None, hint: None };
        let people = people.iter().map(person).collect();
        self.stage.roster.publish(Arc::new(Roster { generation: self.generation, people, ..Roster::default() }));
    }

    fn present(&self, names: &[Option<&str>]) {
        let visits: Vec<Option<Arc<str>>> = names.iter().map(|name| name.map(Into::into)).collect();
        let strangers = names.iter().filter(|name| name.is_none()).count();
        let seen = visits.iter().flatten().map(|name| (Arc::clone(name), UNIX_EPOCH)).collect();
        self.stage.present.publish(Arc::new(Present { is_watching: true, visits, strangers, seen }));
    }

    fn event(&self, kind: Kind, name: Option<&str>) {
        let event = Event::new(kind, Moment::now(), Moment::now(), 1);
        self.stage.bus.publish(vec![Event { name: name.map(Into::into), ..event }]);
    }

    /// The chips of the track 7, the best first.
    fn chips(&self, jpegs: &[&[u8]]) {
        let chip = |jpeg: &&[u8]| {
            let (captured_at, width_px, sharpness, brightness) = (Moment::now(), 100, 1.0, 100.0);
            Arc::new(Chip { jpeg: jpeg.to_vec(), captured_at, width_px, sharpness, brightness, flaw: None, pose: None })
        };
        let tracks = vec![TrackChips { track: 7, chips: jpegs.iter().map(chip).collect(), pose: None }];
        self.stage.chips.publish(Arc::new(Chips { tracks, ..Chips::default() }));
    }

    fn event_of_track(&self, kind: Kind) {
        let event = Event::new(kind, Moment::now(), Moment::now(), 1);
        self.stage.bus.publish(vec![Event { track: Some(7), ..event }]);
    }

    fn change(&self, change: impl FnOnce(&mut Config)) {
        let mut config = (*self.stage.config.newest().unwrap().1).clone();
        change(&mut config);
        self.stage.config.publish(Arc::new(config));
    }

    fn fault(&self) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let all = self.stage.health.faults.all();
            if let Some(fault) = all.into_iter().find(|fault| fault.cause == Cause::Broker) {
                return fault.detail;
            }
            assert!(Instant::now() < deadline, "no fault");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.stage.stop.set();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn says(heard: &Heard, topic: &str, payload: &str) -> bool {
    heard.retained.get(topic).map(String::as_str) == Some(payload)
}

fn announced(heard: &Heard) -> Value {
    let text = heard.retained.get("homeassistant/device/namecam_door/config");
    text.map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
}

#[test]
fn presence_is_published_as_states_an_announcement_and_events() {
    let broker = Broker::start(0, Manners::Good);
    let password = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(password.path(), "secret\nno more\n").unwrap();
    let mut camera = Camera::start(broker.port, |mqtt| {
        (mqtt.user, mqtt.password_file) = ("camera".into(), Some(password.path().into()));
    });
    camera.gallery(&["Alice", "민호"]);
    camera.present(&[Some("Alice"), None]);
    let heard = broker.until("Alice is there", |heard| says(heard, "namecam/door/person/alice", "ON"));
    assert_eq!(heard.clients, [("door".into(), "camera".into(), "secret".into())]);
    let heard = broker.until("it is online", |heard| says(heard, "namecam/door/status", "online"));
    assert!(says(&heard, "namecam/door/stranger", "ON") && says(&heard, "namecam/door/watching", "online"));
    assert!(says(&heard, "namecam/door/person/alice/last_seen", "1970-01-01T00:00:00+00:00"));
    let people: Value = serde_json::from_str(&heard.retained["namecam/door/people"]).unwrap();
    assert_eq!(people.to_string(), r#"{"count":2,"names":["Alice"],"unnamed":1,"strangers":1}"#);
    let announced = announced(&heard);
    let parts = announced["cmps"].as_object().unwrap();
    let minho = parts.iter().find(|(_, part)| part["name"] == "민호").unwrap();
    assert!(minho.0.starts_with("person_p_") && minho.0.is_ascii(), "{}", minho.0);
    let topic = minho.1["stat_t"].as_str().unwrap();
    assert!(says(&heard, topic, "OFF") && !heard.retained.contains_key(&format!("{topic}/last_seen")));
    // Keys at the root that Home Assistant 2025.4 knew.
    let root: Vec<&str> = announced.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(root, ["dev", "o", "avty", "qos", "cmps"]);
    assert!(!heard.retained.keys().any(|topic| topic.contains("face") || topic.contains("events")));
    camera.event(Kind::Named, Some("Alice"));
    camera.event(Kind::Gallery, None);
    let heard = broker.until("both events", |heard| {
        heard.said.iter().filter(|(topic, _)| topic == "namecam/door/events").count() == 2
    });
    let face: Vec<Value> = heard
        .said
        .iter()
        .filter(|(topic, _)| topic.ends_with("/face"))
        .map(|(_, face)| serde_json::from_str(face).unwrap())
        .collect();
    assert_eq!(
        (face.len(), &face[0]["event_type"], &face[0]["name"], &face[0]["id"]),
        (1, &"named".into(), &"Alice".into(), &1.into())
    );
    assert!(face[0]["latency_ms"].is_u64() && face[0]["present"] == 1);
    camera.present(&[]);
    let heard = broker.until("nobody is there", |heard| says(heard, "namecam/door/person/alice", "OFF"));
    assert!(says(&heard, "namecam/door/person/alice/last_seen", "1970-01-01T00:00:00+00:00"), "it stays");
    // The connection ends without DISCONNECT, so the broker publishes the last will.
    drop(camera);
    broker.until("it is offline", |heard| says(heard, "namecam/door/status", "offline"));
}

#[test]
fn a_renamed_person_keeps_their_topics_and_those_of_a_deleted_person_are_deleted() {
    let broker = Broker::start(0, Manners::Good);
    let mut camera = Camera::start(broker.port, |_| {});
    camera.gallery(&["Alice", "Bob"]);
    camera.present(&[Some("Bob")]);
    broker.until("Bob is there", |heard| says(heard, "namecam/door/person/bob", "ON"));
    camera.stage.slugs.rename("Alice", "Alicia");
    camera.gallery(&["Alicia", "Bob"]);
    let heard = broker.until("the new name", |heard| announced(heard)["cmps"]["person_alice"]["name"] == "Alicia");
    assert_eq!(announced(&heard)["cmps"]["person_alice"]["uniq_id"], "namecam_door_person_alice");
    camera.stage.slugs.forget("Bob");
    camera.gallery(&["Alicia"]);
    let heard = broker.until("Bob is left out", |heard| announced(heard)["cmps"].get("person_bob").is_none());
    let config = "homeassistant/device/namecam_door/config";
    let taken_back = heard
        .said
        .iter()
        .any(|(topic, text)| topic == config && text.contains(r#""person_bob":{"p":"binary_sensor"}"#));
    assert!(taken_back && !heard.retained.keys().any(|topic| topic.contains("bob")), "{:#?}", heard.retained);
    assert!(says(&heard, "namecam/door/person/alice", "OFF"));
}

/// Runs a camera that announces Alice. Returns how many messages the broker has when the camera is offline.
fn alice_was_announced(broker: &Broker, folder: &Path) -> usize {
    let mut camera = Camera::with(broker.port, Some(folder), |_| {});
    camera.gallery(&["Alice"]);
    broker.until("Alice is announced", |heard| says(heard, "namecam/door/person/alice", "OFF"));
    drop(camera);
    broker.until("it is offline", |heard| says(heard, "namecam/door/status", "offline")).said.len()
}

#[test]
fn a_gallery_that_cannot_be_read_at_the_start_deletes_nobody() {
    let broker = Broker::start(0, Manners::Good);
    let folder = tempfile::tempdir().unwrap();
    let before = alice_was_announced(&broker, folder.path());
    let mut camera = Camera::with(broker.port, Some(folder.path()), |_| {});
    camera.stage.roster.publish(Arc::new(Roster { warnings: vec!["no disk".into()], ..Roster::default() }));
    let heard = broker.until("it is online", |heard| says(heard, "namecam/door/status", "online"));
    assert!(announced(&heard)["cmps"].get("person_alice").is_some(), "{:#?}", heard.retained);
    camera.gallery(&["Alice", "Bob"]);
    let heard = broker.until("Bob is announced", |heard| says(heard, "namecam/door/person/bob", "OFF"));
    let config = "homeassistant/device/namecam_door/config";
    let deleted = |(topic, text): &(String, String)| {
        topic.contains("person/alice") && text.is_empty() || topic == config && !text.contains("person_alice")
    };
    assert!(!heard.said[before..].iter().any(deleted), "{:#?}", heard.said);
}

#[test]
fn a_gallery_without_people_deletes_nobody_and_the_last_person_who_is_forgotten_goes() {
    let broker = Broker::start(0, Manners::Good);
    let folder = tempfile::tempdir().unwrap();
    let before = alice_was_announced(&broker, folder.path());
    // The disk of the gallery is not mounted.
    let mut camera = Camera::with(broker.port, Some(folder.path()), |_| {});
    camera.gallery(&[]);
    broker.until("it is online", |heard| says(heard, "namecam/door/status", "online"));
    camera.gallery(&["Alice", "Bob"]);
    broker.until("Bob is announced", |heard| says(heard, "namecam/door/person/bob", "OFF"));
    camera.gallery(&[]);
    camera.present(&[None]);
    let heard = broker.until("a stranger", |heard| says(heard, "namecam/door/stranger", "ON"));
    let is_deleted = |(topic, text): &(String, String)| topic.contains("person/") && text.is_empty();
    assert!(!heard.said[before..].iter().any(is_deleted), "{:#?}", heard.said);
    assert_eq!(announced(&heard)["cmps"]["person_bob"]["name"], "Bob");
    for name in ["Alice", "Bob"] {
        camera.stage.slugs.forget(name);
    }
    camera.gallery(&[]);
    broker.until("both go", |heard| {
        let parts = announced(heard);
        let is_listed = |part: &str| parts["cmps"].get(part).is_some();
        !heard.retained.keys().any(|topic| topic.contains("person/"))
            && !is_listed("person_alice")
            && !is_listed("person_bob")
    });
}

#[test]
fn a_broker_that_refuses_the_subscription_to_home_assistants_start_still_gets_states_and_gives_orders() {
    let broker = Broker::start(0, Manners::Keeps("homeassistant"));
    let mut camera = Camera::start(broker.port, |mqtt| mqtt.control = true);
    camera.gallery(&["Alice"]);
    broker.until("the commands", |heard| heard.subscribed.len() == 2);
    broker.until("it is online", |heard| says(heard, "namecam/door/status", "online"));
    broker.say("namecam/door/reload/set", b"PRESS", false);
    assert_eq!(camera.orders.recv_timeout(PATIENCE), Ok(Order::Reload));
    camera.present(&[Some("Alice")]);
    let heard = broker.until("Alice is there", |heard| says(heard, "namecam/door/person/alice", "ON"));
    assert_eq!((heard.clients.len(), camera.stage.health.faults.all()), (1, vec![]), "no connection was lost");
}

#[test]
fn a_start_of_home_assistant_repeats_the_announcement_and_only_new_allowed_orders_count() {
    let broker = Broker::start(0, Manners::Good);
    let mut camera = Camera::start(broker.port, |mqtt| mqtt.control = true);
    camera.gallery(&["Alice"]);
    broker.until("it is online", |heard| says(heard, "namecam/door/status", "online"));
    let config = "homeassistant/device/namecam_door/config";
    let times = |heard: &Heard| heard.said.iter().filter(|(topic, _)| topic == config).count();
    // There may be one before the gallery is known.
    let is_known = |heard: &Heard| announced(heard)["cmps"]["person_alice"].is_object();
    let before = times(&broker.until("an announcement of the gallery", is_known));
    broker.say("homeassistant/status", b"online", false);
    let heard = broker.until("another announcement", |heard| times(heard) > before);
    assert_eq!(heard.subscribed, ["homeassistant/status", "namecam/door/recognition/set", "namecam/door/reload/set"]);
    broker.say("namecam/door/recognition/set", b"OFF", true);
    broker.say("namecam/door/recognition/set", &vec![b'x'; 10 << 20], false);
    broker.say("namecam/door/recognition/set", b"perhaps", false);
    broker.say("namecam/door/reload/set", b"PRESS", false);
    broker.say("namecam/door/recognition/set", b"OFF", false);
    let orders = [(); 2].map(|()| camera.orders.recv_timeout(PATIENCE).unwrap());
    assert_eq!(orders, [Order::Reload, Order::Recognize(false)]);
    assert_eq!((camera.stage.health.mqtt.skipped.get(), camera.fault().contains("too large")), (1, true));
    assert!(announced(&heard)["cmps"]["recognition"]["cmd_t"].is_string());
    drop(camera);
    let mut camera = Camera::start(broker.port, |_| {});
    camera.gallery(&["Alice"]);
    broker.until("it cannot be ordered", |heard| announced(heard)["cmps"]["recognition"].get("cmd_t").is_none());
    broker.say("namecam/door/reload/set", b"PRESS", false);
    assert!(camera.orders.recv_timeout(Duration::from_millis(300)).is_err());
}

#[test]
fn a_restarted_broker_gets_the_newest_states_and_every_kept_event() {
    let broker = Broker::start(0, Manners::Good);
    let mut camera = Camera::start(broker.port, |_| {});
    camera.gallery(&["Alice", "Bob"]);
    camera.present(&[Some("Alice")]);
    camera.event(Kind::Named, Some("Alice"));
    broker.until("an event", |heard| heard.said.iter().any(|(topic, _)| topic.ends_with("/face")));
    let port = broker.port;
    drop(broker);
    assert!(camera.fault().starts_with(&format!("127.0.0.1:{port}: the ")), "{}", camera.fault());
    for round in 0..300 {
        camera.present(&[Some(if round % 2 == 0 { "Alice" } else { "Bob" })]);
        camera.event(Kind::Left, Some("Alice"));
    }
    let broker = Broker::start(port, Manners::Good);
    let heard = broker.until("Bob is there", |heard| says(heard, "namecam/door/person/bob", "ON"));
    assert!(!heard.said.contains(&("namecam/door/person/alice".into(), "ON".into())), "what is old is not told");
    let ids = |heard: &Heard| -> Vec<Value> {
        let events = heard.said.iter().filter(|(topic, _)| topic.ends_with("/events"));
        events.map(|(_, text)| serde_json::from_str::<Value>(text).unwrap()).collect()
    };
    let heard = broker.until("all events", |heard| ids(heard).len() >= 257);
    let ids = ids(&heard);
    assert_eq!((&ids[0]["missed"], &ids[1]["id"], &ids[256]["id"]), (&44.into(), &46.into(), &301.into()));
    assert_eq!(camera.stage.health.mqtt.missed.get(), 44);
}

#[test]
fn a_broker_that_does_not_behave_is_told_in_clear_words_and_nothing_else_changes() {
    // The port of a connection: no other program gets it meanwhile.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let connection = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let nobody = connection.local_addr().unwrap().port();
    assert!(Camera::start(nobody, |_| {}).fault().contains("cannot connect: Connection refused"));
    let no_file = Camera::start(nobody, |mqtt| mqtt.password_file = Some("/nowhere/password".into())).fault();
    assert!(no_file.contains("mqtt.password_file: /nowhere/password: No such file"), "{no_file}");
    let cases = [
        (Manners::Refuses(4), "the broker refuses: wrong user name or password; see mqtt.user"),
        (Manners::Refuses(5), "it allows this user nothing"),
        (Manners::Silent, "no answer within 5 s; is it a broker of MQTT 3.1.1?"),
        (Manners::Http, "what answers is no broker of MQTT 3.1.1: a packet that no broker sends"),
        (Manners::Forgetful, "the broker has not answered in time"),
        (Manners::Floods, "the broker sends more than 500 packets in 5 s"),
        (Manners::Closes, "if another client has the id door too, set mqtt.client_id to another name"),
    ];
    // In parallel: some cases take their time.
    let running = cases.map(|(manners, words)| {
        let broker = Broker::start(0, manners);
        let mut camera = Camera::start(broker.port, |_| {});
        camera.gallery(&["Alice"]);
        (broker, camera, words)
    });
    for (broker, camera, words) in running {
        let fault = camera.fault();
        assert!(fault.starts_with(&format!("127.0.0.1:{}", broker.port)) && fault.contains(words), "{fault}");
        assert!(camera.stage.health.mqtt.missed.get() == 0);
    }
}

#[test]
fn a_changed_broker_is_used_at_once_and_without_a_broker_nothing_is_sent() {
    let [first, second] = [(); 2].map(|()| Broker::start(0, Manners::Good));
    let mut camera = Camera::start(first.port, |_| {});
    camera.gallery(&["Alice"]);
    first.until("it is online", |heard| says(heard, "namecam/door/status", "online"));
    let to = |change: &dyn Fn(&mut Mqtt)| camera.change(|config| change(&mut config.mqtt));
    to(&|mqtt| (mqtt.port, mqtt.discovery_prefix) = (second.port, String::new()));
    let heard = second.until("it is online", |heard| says(heard, "namecam/door/status", "online"));
    assert!(heard.retained.keys().all(|topic| topic.starts_with("namecam/door/")) && heard.subscribed.is_empty());
    first.until("it is offline", |heard| says(heard, "namecam/door/status", "offline"));
    to(&|mqtt| mqtt.host.clear());
    second.until("it is offline", |heard| says(heard, "namecam/door/status", "offline"));
    let said = second.heard.lock().unwrap().said.len();
    camera.event(Kind::Named, Some("Alice"));
    // The thread takes note of it within POLL, on a machine without other work.
    std::thread::sleep(15 * POLL);
    to(&|mqtt| mqtt.host = "127.0.0.1".into());
    let heard = second.until("it is online again", |heard| says(heard, "namecam/door/status", "online"));
    assert!(
        heard.said[said..].iter().all(|(topic, _)| !topic.ends_with("events")),
        "what happened meanwhile is not told"
    );
}

#[test]
fn a_slow_network_gets_a_large_picture_without_another_connection() {
    let broker = Broker::start(0, Manners::Slow);
    let mut camera = Camera::with(broker.port, None, |config| config.events.pictures = true);
    camera.gallery(&["Alice"]);
    camera.chips(&[&vec![b'x'; 200 << 10]]);
    broker.until("it is online", |heard| says(heard, "namecam/door/status", "online"));
    camera.event_of_track(Kind::Named);
    let pictures = |heard: &Heard| heard.said.iter().filter(|(_, text)| text.len() == 200 << 10).count();
    broker.until("the picture", |heard| pictures(heard) == 1);
    // The broker takes this message only after it has acknowledged the picture.
    camera.event(Kind::Left, Some("Bob"));
    let heard = broker.until("the next event", |heard| heard.said.iter().any(|(_, text)| text.contains("Bob")));
    assert_eq!((heard.clients.len(), pictures(&heard)), (1, 1));
}

#[test]
fn a_picture_follows_an_event_only_where_allowed_and_is_deleted_when_a_person_is_forgotten() {
    const PICTURE: &str = "namecam/door/picture";
    let broker = Broker::start(0, Manners::Good);
    broker.heard.lock().unwrap().retained.insert(PICTURE.into(), "of a former run".into());
    let mut camera = Camera::start(broker.port, |_| {});
    camera.gallery(&["Alice", "Bob"]);
    camera.chips(&[b"one"]);
    camera.event_of_track(Kind::Named);
    let told = |heard: &Heard| heard.said.iter().filter(|(topic, text)| topic == PICTURE && !text.is_empty()).count();
    let heard = broker.until("it is online", |heard| says(heard, "namecam/door/status", "online"));
    assert_eq!(announced(&heard)["cmps"]["picture"], serde_json::json!({"p": "image"}), "it is off");
    broker.until("that of a former run goes", |heard| !heard.retained.contains_key(PICTURE));
    let events = |heard: &Heard| heard.said.iter().filter(|(topic, _)| topic.ends_with("/events")).count();
    broker.until("the event", |heard| events(heard) == 1);
    std::thread::sleep(15 * POLL);
    camera.change(|config| config.events.pictures = true);
    let heard = broker.until("an image", |heard| announced(heard)["cmps"]["picture"]["img_t"] == PICTURE);
    assert_eq!((told(&heard), &announced(&heard)["cmps"]["picture"]["cont_type"]), (0, &"image/jpeg".into()));
    // The chip arrives after the event. A chip that is too large is skipped.
    camera.chips(&[]);
    camera.event_of_track(Kind::Stranger);
    std::thread::sleep(2 * POLL);
    camera.chips(&[&vec![b'x'; 300 << 10], b"two"]);
    broker.until("the picture", |heard| says(heard, PICTURE, "two"));
    // One picture per event. An event that is not about a face, or whose track has no chip, has no picture.
    camera.chips(&[b"three"]);
    camera.event_of_track(Kind::Left);
    std::thread::sleep(2 * POLL);
    camera.event_of_track(Kind::Renamed);
    let heard = broker.until("another", |heard| says(heard, PICTURE, "three"));
    assert_eq!(told(&heard), 2);
    camera.stage.slugs.forget("Bob");
    camera.gallery(&["Alice"]);
    broker.until("it goes", |heard| !heard.retained.contains_key(PICTURE));
    broker.until("Bob is left out", |heard| announced(heard)["cmps"].get("person_bob").is_none());
    camera.event_of_track(Kind::Named);
    broker.until("the next one", |heard| says(heard, PICTURE, "three"));
    // Strangers are blurred, at least for viewers.
    camera.change(|config| config.overlay.blur_for_viewers = true);
    broker.until("it goes", |heard| !heard.retained.contains_key(PICTURE));
    let before = told(&broker.until("no image", |heard| announced(heard)["cmps"]["picture"].get("img_t").is_none()));
    camera.event_of_track(Kind::Named);
    camera.event_of_track(Kind::Stranger);
    camera.change(|config| (config.overlay.blur_for_viewers, config.overlay.unknown) = (false, UnknownFaces::Blur));
    camera.event_of_track(Kind::Stranger);
    broker.until("all events", |heard| events(heard) == 8);
    std::thread::sleep(2 * POLL);
    assert_eq!(told(&broker.heard.lock().unwrap()), before);
}

#[test]
fn the_picture_of_the_last_person_goes_when_their_folder_is_deleted() {
    let broker = Broker::start(0, Manners::Good);
    let mut camera = Camera::with(broker.port, None, |config| config.events.pictures = true);
    camera.gallery(&["Alice"]);
    broker.until("it is online", |heard| says(heard, "namecam/door/status", "online"));
    camera.chips(&[b"Alice"]);
    camera.event_of_track(Kind::Named);
    broker.until("the picture", |heard| says(heard, "namecam/door/picture", "Alice"));
    camera.gallery(&[]);
    broker.until("it goes", |heard| !heard.retained.contains_key("namecam/door/picture"));
}

#[test]
fn retained_messages_at_former_topics_are_deleted_unless_another_camera_uses_them() {
    let (broker, folder) = (Broker::start(0, Manners::Good), tempfile::tempdir().unwrap());
    let start = |prefix: &str, client_id: &str| {
        let mut camera = Camera::with(broker.port, Some(folder.path()), |config| {
            (config.mqtt.prefix, config.mqtt.client_id) = (prefix.into(), client_id.into());
        });
        camera.gallery(&["Alice"]);
        camera.present(&[Some("Alice")]);
        broker.until("it is online", |heard| says(heard, &format!("{prefix}/{client_id}/status"), "online"));
        camera
    };
    let under = |heard: &Heard, root: &str| heard.retained.keys().filter(|topic| topic.starts_with(root)).count();
    drop(start("old", "door"));
    let heard = broker.until("it is offline", |heard| says(heard, "old/door/status", "offline"));
    assert_eq!(under(&heard, "old/door/"), 8);
    // The power failed: the broker publishes the last will only later.
    broker.heard.lock().unwrap().retained.insert("old/door/status".into(), "online".into());
    let camera = start("new", "door");
    std::thread::sleep(QUIET / 2);
    broker.say("old/door/status", b"offline", false);
    let heard = broker.until("the old ones go", |heard| under(heard, "old/") == 0);
    assert_eq!(under(&heard, "new/door/"), 8);
    assert_eq!(announced(&heard)["cmps"]["people"]["stat_t"], "new/door/people", "the announcement is where it was");
    // With another id the camera is another device.
    camera.change(|config| config.mqtt.client_id = "garden".into());
    broker.until("the old ones go", |heard| under(heard, "new/door/") == 0 && announced(heard).is_null());
    broker.until("the new ones are there", |heard| says(heard, "new/garden/person/alice", "ON"));
    drop(camera);
    // Another camera takes the topics while this one is away.
    broker.until("it is offline", |heard| says(heard, "new/garden/status", "offline"));
    broker.heard.lock().unwrap().retained.insert("new/garden/status".into(), "online".into());
    let camera = start("third", "garden");
    let kept = || std::fs::read_to_string(folder.path().join("mqtt")).unwrap();
    broker.until("the place is that of another camera", |_| !kept().contains("new/garden"));
    assert!(kept().contains("third/garden"));
    assert_eq!(under(&broker.heard.lock().unwrap(), "new/garden/"), 8);
    drop(camera);
}

#[test]
fn a_broker_that_refuses_the_subscription_to_former_topics_still_gets_states() {
    let (broker, folder) = (Broker::start(0, Manners::Keeps("old")), tempfile::tempdir().unwrap());
    for prefix in ["old", "new"] {
        let camera = Camera::with(broker.port, Some(folder.path()), |config| config.mqtt.prefix = prefix.into());
        broker.until("it is online", |heard| says(heard, &format!("{prefix}/door/status"), "online"));
        if prefix == "new" {
            let fault = camera.fault();
            assert!(fault.contains("does not let namecam listen to its former topics"), "{fault}");
            assert!(says(&broker.heard.lock().unwrap(), "old/door/status", "offline"));
        }
    }
    assert_eq!(broker.heard.lock().unwrap().clients.len(), 2, "no connection was lost");
}

#[cfg(feature = "tls")]
#[test]
fn by_tls_a_broker_gets_the_password_only_when_its_certificate_is_good() {
    use crate::os::wire::tests::{GOOD, tls_front};
    let broker = Broker::start(0, Manners::Good);
    let ca = tls_front::Ca::new("ours");
    let port = tls_front::front(ca.certificate(&["127.0.0.1"], GOOD), broker.port);
    let [password, cas, another] = ["secret".to_owned(), ca.pem(), tls_front::Ca::new("another").pem()].map(|text| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    });
    let by_tls = |ca_file: &std::path::Path| {
        let (ca_file, password_file) = (Some(ca_file.to_owned()), Some(password.path().to_owned()));
        move |mqtt: &mut Mqtt| {
            (mqtt.tls, mqtt.user) = (true, "camera".into());
            (mqtt.ca_file, mqtt.password_file) = (ca_file, password_file);
        }
    };
    let fault = Camera::start(port, by_tls(another.path())).fault();
    assert!(fault.starts_with(&format!("127.0.0.1:{port}: its certificate is of a CA that ")), "{fault}");
    let in_the_clear = Camera::start(port, |_| {}).fault();
    assert!(in_the_clear.ends_with("; does it ask for mqtt.tls = yes?"), "{in_the_clear}");
    assert!(broker.heard.lock().unwrap().clients.is_empty());
    let mut camera = Camera::start(port, by_tls(cas.path()));
    let people: Vec<String> = (0..300).map(|number| format!("Person {number}")).collect();
    camera.gallery(&people.iter().map(String::as_str).collect::<Vec<_>>());
    camera.present(&[Some("Person 7")]);
    let heard = broker.until("it is online", |heard| says(heard, "namecam/door/status", "online"));
    assert!(says(&heard, "namecam/door/person/person_7", "ON"));
    assert_eq!(heard.clients, [("door".into(), "camera".into(), "secret".into())]);
    assert_eq!(announced(&heard)["cmps"]["person_person_299"]["name"], "Person 299");
    broker.say("homeassistant/status", b"online", false);
    let config = "homeassistant/device/namecam_door/config";
    broker.until("another announcement", |heard| heard.said.iter().filter(|(topic, _)| topic == config).count() > 1);
    drop(camera);
    broker.until("it is offline", |heard| says(heard, "namecam/door/status", "offline"));
}

/// Set in the child process in which the memory test runs, because other tests use memory, too.
const ALONE: &str = "NAMECAM_TEST_ALONE";

#[test]
fn memory_stays_flat_at_10_000_events_a_minute_with_a_broker_and_without() {
    const THIS: &str = "events::mqtt::tests::memory_stays_flat_at_10_000_events_a_minute_with_a_broker_and_without";
    if std::env::var_os(ALONE).is_none() {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        let output = command.args([THIS, "--exact", "--nocapture"]).env(ALONE, "1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    // Ten seconds of that rate.
    const EVENTS: usize = 1700;
    let resident_kb = || -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let broker = Broker::start(0, Manners::Good);
    let mut camera = Camera::start(broker.port, |_| {});
    camera.gallery(&["Alice"]);
    let mut sizes = Vec::new();
    for at in 0..EVENTS {
        // The broker of the test must not be the part that grows.
        broker.heard.lock().unwrap().said.clear();
        camera.present(&[Some("Alice")][..at % 2]);
        camera.event(Kind::Named, Some("Alice"));
        std::thread::sleep(Duration::from_millis(6));
        // Each event is two messages. On a machine with other work the thread may be late for a moment.
        let (begun, published) = (Instant::now(), &camera.stage.health.mqtt.published);
        while published.get() + 200 < 2 * at as u64 && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
        if at % 170 == 169 {
            sizes.push(resident_kb());
        }
    }
    assert_eq!(camera.stage.health.mqtt.missed.get(), 0);
    assert!(
        camera.stage.health.mqtt.published.get() >= 2 * EVENTS as u64 - 200,
        "{}",
        camera.stage.health.mqtt.published.get()
    );
    drop(broker);
    for at in 0..10_000 {
        camera.event(Kind::Named, Some("Alice"));
        std::thread::sleep(Duration::from_micros(if at % 10 == 0 { 1000 } else { 0 }));
    }
    sizes.push(resident_kb());
    println!("resident kB each second, and without a broker: {sizes:?}");
    assert!(sizes.iter().skip(1).all(|size| size.abs_diff(sizes[1]) < 2000), "{sizes:?}");
}
