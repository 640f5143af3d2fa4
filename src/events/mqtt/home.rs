//! The topics and payloads of MQTT: states, events, and the announcement of the device to Home Assistant.
//!
//! Home Assistant rejects an announcement with an unknown key at its root, so only keys that version 2025.4 knew are
//! used.

use super::picture::Picture;
use crate::config::Config;
use crate::gallery::slugs::Known;
use crate::os::{board, localtime, net};
use crate::presence::event::{Event, Kind};
use crate::presence::visits::Present;
use crate::roster::Roster;
use crate::rounding::rounded;
use crate::telemetry::health::Health;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// The most people with topics; the other people of a larger gallery have none.
const MAX_PEOPLE: usize = 500;
/// An older event is not sent to automations: the person may have left since.
const FRESH: Duration = Duration::from_secs(10);
/// The kinds of events that are about people.
const OF_PEOPLE: [Kind; 6] = [Kind::Appeared, Kind::Named, Kind::Renamed, Kind::Withdrawn, Kind::Stranger, Kind::Left];

/// The retained topics other than those of people.
pub const RETAINED: [&str; 7] = ["status", "watching", "people", "stranger", "recognition", "diagnostics", "picture"];

pub const ONLINE: &str = "online";
pub const OFFLINE: &str = "offline";

/// This camera and its topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The name of the camera for the broker and in topics.
    pub id: String,
    /// The prefix of every topic.
    pub root: String,
    /// The topic of the announcement; `None` when the camera is not announced.
    pub announced_at: Option<String>,
    /// The topic on which Home Assistant says that it has started.
    pub birth: Option<String>,
    /// The address of the page, if it is known.
    page: Option<String>,
    /// Whether the camera takes commands.
    control: bool,
    /// Whether pictures of faces may be sent.
    pictures: bool,
}

impl Device {
    pub fn of(config: &Config) -> Device {
        let mqtt = &config.mqtt;
        let machine = net::machine_name();
        let id = if mqtt.client_id.is_empty() { plain(&machine) } else { mqtt.client_id.clone() };
        let discovery = Some(&mqtt.discovery_prefix).filter(|prefix| !prefix.is_empty());
        let bind = config.bind_address().filter(|address| !address.ip().is_loopback());
        Device {
            root: format!("{}/{id}", mqtt.prefix),
            announced_at: discovery.map(|prefix| format!("{prefix}/device/namecam_{id}/config")),
            birth: discovery.map(|prefix| format!("{prefix}/status")),
            page: bind.map(|address| format!("http://{}.local:{}/", plain(&machine), address.port())),
            control: mqtt.control,
            pictures: Picture::is_allowed(config),
            id,
        }
    }

    pub fn topic(&self, rest: &str) -> String {
        format!("{}/{rest}", self.root)
    }

    /// The topics of commands that the camera takes.
    pub fn commands(&self) -> Vec<String> {
        let of_control = ["recognition/set", "reload/set"].map(|rest| self.topic(rest));
        of_control.into_iter().filter(|_| self.control).collect()
    }

    /// The announcement, with the entities of the people in `known`. The entities of `gone` are removed.
    pub fn announcement(&self, known: &[Known], gone: &BTreeSet<String>) -> String {
        let mut parts = Map::new();
        for Known { slug, name } in known.iter().take(MAX_PEOPLE) {
            let topic = self.topic(&format!("person/{slug}"));
            let is_there = json!({"p": "binary_sensor", "name": name, "stat_t": topic, "dev_cla": "occupancy"});
            self.add(&mut parts, &person_part(slug), true, is_there);
            let seen = json!({"p": "sensor", "name": format!("{name} last seen"), "stat_t": format!("{topic}/last_seen"),
                              "dev_cla": "timestamp", "ic": "mdi:clock-outline"});
            self.add(&mut parts, &format!("{}_last_seen", person_part(slug)), false, seen);
        }
        for slug in gone {
            parts.insert(person_part(slug), json!({"p": "binary_sensor"}));
            parts.insert(format!("{}_last_seen", person_part(slug)), json!({"p": "sensor"}));
        }
        let people = self.topic("people");
        let count = json!({"p": "sensor", "name": "People", "stat_t": people, "val_tpl": "{{ value_json.count }}",
                           "json_attr_t": people, "stat_cla": "measurement", "ic": "mdi:account-multiple"});
        self.add(&mut parts, "people", true, count);
        let stranger =
            json!({"p": "binary_sensor", "name": "Stranger", "stat_t": self.topic("stranger"), "dev_cla": "occupancy"});
        self.add(&mut parts, "stranger", true, stranger);
        let kinds = OF_PEOPLE.map(Kind::as_str);
        let face = json!({"p": "event", "name": "Face", "stat_t": self.topic("face"), "evt_typ": kinds, "ic": "mdi:face-recognition"});
        self.add(&mut parts, "face", false, face);
        for (name, field, unit, class) in [
            ("Camera", "fps", "fps", None),
            ("Looks", "looks_per_second", "looks/s", None),
            ("Processor", "temperature", "\u{b0}C", Some("temperature")),
            ("Age of the picture", "age", "ms", Some("duration")),
            ("Strangers named wrongly at most", "false_names", "%", None),
        ] {
            let mut sensor = json!({"p": "sensor", "name": name, "stat_t": self.topic("diagnostics"),
                "val_tpl": format!("{{{{ value_json.{field} }}}}"), "unit_of_meas": unit, "stat_cla": "measurement",
                "ent_cat": "diagnostic"});
            if let Some(class) = class {
                sensor["dev_cla"] = class.into();
            }
            self.add(&mut parts, field, false, sensor);
        }
        if self.control {
            let (at, set) = (self.topic("recognition"), self.topic("recognition/set"));
            self.add(
                &mut parts,
                "recognition",
                false,
                json!({"p": "switch", "name": "Recognition", "stat_t": at, "cmd_t": set,
                "ent_cat": "config"}),
            );
            let set = self.topic("reload/set");
            self.add(
                &mut parts,
                "reload",
                false,
                json!({"p": "button", "name": "Reload", "cmd_t": set, "ent_cat": "config"}),
            );
        } else {
            parts.insert("recognition".into(), json!({"p": "switch"}));
            parts.insert("reload".into(), json!({"p": "button"}));
        }
        if self.pictures {
            let picture = json!({"p": "image", "name": "Picture", "img_t": self.topic("picture"), "cont_type": "image/jpeg",
                                 "ic": "mdi:account-box"});
            self.add(&mut parts, "picture", false, picture);
        } else {
            parts.insert("picture".into(), json!({"p": "image"}));
        }
        let version = env!("CARGO_PKG_VERSION");
        let mut device = json!({"ids": [format!("namecam_{}", self.id)], "name": self.id, "mf": "namecam", "mdl": "namecam", "sw": version});
        if let Some(page) = &self.page {
            device["cu"] = page.as_str().into();
        }
        let status = [json!({"t": self.topic("status")})];
        json!({"dev": device, "o": {"name": "namecam", "sw": version}, "avty": status, "qos": 1, "cmps": parts})
            .to_string()
    }

    /// Adds an entity. An entity that `needs_looks` is unavailable while recognition does not watch, because its state
    /// would wrongly say that nobody is there.
    fn add(&self, parts: &mut Map<String, Value>, part: &str, needs_looks: bool, mut entity: Value) {
        let domain = entity["p"].as_str().unwrap_or_default();
        let own = format!("{}_{part}", plain(&self.id).replace('-', "_").to_lowercase());
        entity["def_ent_id"] = format!("{domain}.{own}").into();
        entity["uniq_id"] = format!("namecam_{}_{part}", self.id).into();
        if needs_looks {
            entity["avty"] = json!([{"t": self.topic("status")}, {"t": self.topic("watching")}]);
            entity["avty_mode"] = "all".into();
        }
        parts.insert(part.to_owned(), entity);
    }

    /// The retained states, in the order in which they are sent. An empty payload deletes the retained message.
    pub fn states(
        &self,
        known: &[Known],
        gone: &BTreeSet<String>,
        present: &Present,
        recognizes: bool,
    ) -> Vec<(String, String)> {
        let on_off = |is_on: bool| if is_on { "ON" } else { "OFF" }.to_owned();
        let mut states = Vec::new();
        for Known { slug, name } in known.iter().take(MAX_PEOPLE) {
            let is_there = present.visits.iter().any(|visit| visit.as_deref() == Some(name));
            let topic = self.topic(&format!("person/{slug}"));
            if let Some(seen) = present.seen.get(name.as_str()) {
                states.push((format!("{topic}/last_seen"), localtime::utc(*seen)));
            }
            states.push((topic, on_off(is_there)));
        }
        for slug in gone {
            let topic = self.topic(&format!("person/{slug}"));
            states.push((format!("{topic}/last_seen"), String::new()));
            states.push((topic, String::new()));
        }
        let names: BTreeSet<&str> = present.visits.iter().flatten().map(|name| &**name).collect();
        let unnamed = present.visits.iter().filter(|visit| visit.is_none()).count();
        let people =
            json!({"count": present.visits.len(), "names": names, "unnamed": unnamed, "strangers": present.strangers});
        states.push((self.topic("people"), people.to_string()));
        states.push((self.topic("stranger"), on_off(present.strangers > 0)));
        states.push((self.topic("recognition"), on_off(recognizes)));
        states.push((self.topic("watching"), if present.is_watching { ONLINE } else { OFFLINE }.to_owned()));
        states
    }

    /// The topics and payloads of an event, not retained. An event about people that is fresh is also sent to `face`,
    /// for automations of Home Assistant.
    pub fn event(&self, event: &Event) -> Vec<(String, String)> {
        let Ok(mut value) = serde_json::to_value(event) else { return Vec::new() };
        let mut said = vec![(self.topic("events"), value.to_string())];
        if OF_PEOPLE.contains(&event.kind) && event.decided_at.instant.elapsed() < FRESH {
            value["event_type"] = event.kind.as_str().into();
            said.push((self.topic("face"), value.to_string()));
        }
        said
    }
}

/// The payload of `diagnostics`. `looks` is the number of looks in the last `seconds`.
pub fn diagnostics(health: &Health, roster: &Roster, looks: u64, seconds: f64) -> String {
    let celsius = board::temperature(Path::new(board::ZONES));
    let wrong = roster.threshold.as_ref().and_then(|threshold| threshold.strangers_named_at_most);
    let numbers = json!({
        "fps": rounded(health.capture_fps.per_second(), 1),
        "looks_per_second": if seconds > 0.0 { rounded(looks as f64 / seconds, 1) } else { 0.0 },
        "temperature": celsius.map(|celsius| rounded(celsius, 1)),
        "age": health.frame_age().map(|age| age.as_millis() as u64),
        "false_names": wrong.map(|share| rounded(share * 100.0, 4)),
    });
    numbers.to_string()
}

fn person_part(slug: &str) -> String {
    format!("person_{slug}")
}

/// A name in the characters that are valid in topics and ids.
fn plain(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).take(64).collect();
    if plain.is_empty() { "namecam".to_owned() } else { plain }
}
