//! MQTT: publishes states and events to a broker, and announces the device to Home Assistant.
//!
//! The thread compares the payloads that retained topics should have with the payloads that this connection has sent,
//! and sends the difference. After any interruption the newest states are sent, and nothing queues up. Events are read
//! from the bus, after the last one that the broker has acknowledged; the bus keeps the newest ones.
//!
//! The packets are implemented in [`packet`]: namecam needs seven kinds of them. docs/MQTT.md has the comparison with
//! libraries.

mod former;
mod home;
mod link;
pub(crate) mod packet;
mod picture;

use crate::config::{Config, Mqtt};
use crate::detection::chips::Chips;
use crate::gallery::slugs::{Known, Slugs};
use crate::presence::bus::Bus;
use crate::presence::visits::Present;
use crate::roster::Roster;
use crate::sync::{Backoff, Latest, POLL, Stop};
use crate::telemetry::faults::Cause;
use crate::telemetry::health::Health;
use former::{Former, Place};
use home::{Device, OFFLINE, ONLINE, diagnostics};
use link::{Link, Message};
use picture::Picture;
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The shortest and the longest pause before a new attempt to connect. Each is prolonged by up to its own length.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A connection that lasts longer than this resets the pause to the first one.
const GOOD: Duration = Duration::from_secs(2);
/// The longest wait between reads while the broker has messages to acknowledge.
const SOON: Duration = Duration::from_millis(20);
/// How long after its subscription namecam waits for the retained status of cameras at its former topics.
const QUIET: Duration = Duration::from_secs(2);
/// After this time, the broker has published the last will of a connection that was lost without its notice.
const WILL_IS_SAID: Duration =
    if cfg!(test) { Duration::from_secs(4) } else { Duration::from_secs(2 * link::KEEP_ALIVE.as_secs()) };
/// How often `diagnostics` is published.
const DIAGNOSTICS_EVERY: Duration = Duration::from_secs(60);

/// A command from a client of the broker, with `mqtt.control`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Reload,
    /// Switch recognition on or off, until the next reload.
    Recognize(bool),
}

/// What the thread reads, and the channel of its orders.
pub struct Stage {
    pub config: Arc<Latest<Config>>,
    pub roster: Arc<Latest<Roster>>,
    pub present: Arc<Latest<Present>>,
    pub bus: Arc<Bus>,
    pub slugs: Arc<Slugs>,
    pub chips: Arc<Latest<Chips>>,
    pub health: Arc<Health>,
    /// Receives the orders. An order is dropped while the channel is full.
    pub orders: SyncSender<Order>,
    pub stop: Arc<Stop>,
    /// The folder of the file that records former topics.
    pub state_folder: Option<PathBuf>,
}

/// The state that outlasts a connection.
struct Kept {
    picture: Picture,
    former: Former,
    /// True once the log says that the broker refuses the subscription to the start of Home Assistant.
    says_birth_is_refused: bool,
}

/// The body of the thread. Returns on [`Stop`].
pub fn run(stage: &Stage) {
    let (mut seen, mut backoff) = (stage.bus.begin_after(Some(0)), Backoff::new(SHORTEST_PAUSE, LONGEST_PAUSE));
    let former = Former::open(stage.state_folder.as_ref().map(|folder| folder.join("mqtt")));
    let mut kept = Kept { picture: Picture::new(), former, says_birth_is_refused: false };
    while !stage.stop.is_set() {
        let Some((_, config)) = stage.config.newest().filter(|(_, config)| !config.mqtt.host.is_empty()) else {
            // Events that occur while no broker is configured are never sent.
            seen = stage.bus.newest();
            stage.stop.wait(POLL);
            continue;
        };
        let mut was_good = false;
        let ended = Session::open(stage, &config, seen, &mut kept).and_then(|mut session| {
            let opened = Instant::now();
            let ended = session.run();
            was_good = opened.elapsed() > GOOD;
            seen = session.acknowledged_up_to();
            ended.map_err(|why| session.explain(why, was_good))
        });
        stage.health.mqtt.connected.store(false, Relaxed);
        let Err(why) = ended else { continue };
        stage.health.faults.report(Cause::Broker, &why);
        if was_good {
            backoff.reset();
        }
        wait(stage, &config.mqtt, jittered(backoff.pause()));
    }
}

/// Checks whether the broker of the config can be used, for `check`.
///
/// # Errors
/// The reason why it cannot be used.
pub fn try_out(config: &Config) -> Result<(), String> {
    let id = format!("{}-check", Device::of(config).id);
    Link::open(&config.mqtt, &id, None).map(|mut link| link.say_goodbye())
}

/// Waits for `pause`, or until the config names another broker.
fn wait(stage: &Stage, mqtt: &Mqtt, pause: Duration) {
    let until = Instant::now() + pause;
    while Instant::now() < until && stage.config.newest().is_none_or(|(_, config)| config.mqtt == *mqtt) {
        if stage.stop.wait(POLL.min(until.saturating_duration_since(Instant::now()))) {
            return;
        }
    }
}

/// A pause of `pause` to twice `pause`, so that many cameras do not reconnect at the same moment.
fn jittered(pause: Duration) -> Duration {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos();
    pause + pause.mul_f64(f64::from(nanos % 1000) / 1000.0)
}

/// A connection and what was sent over it.
struct Session<'a> {
    stage: &'a Stage,
    kept: &'a mut Kept,
    mqtt: Mqtt,
    device: Device,
    link: Link,
    /// The payload of each retained topic that this connection has sent.
    told: HashMap<String, String>,
    /// The payloads that the retained topics should have, in order, and what they were made of; `None` when they are to
    /// be made again.
    should: Vec<(String, String)>,
    made_of: Option<Sources>,
    known: Vec<Known>,
    /// The slugs of people who have left the gallery and whose topics are being deleted.
    gone: BTreeSet<String>,
    /// The former topics at this broker. Their retained messages are to be deleted.
    former: Vec<Place>,
    /// The status topics of those former places where a camera is online according to the broker. `taking_back` has the
    /// places whose messages are being deleted.
    online: BTreeSet<String>,
    taking_back: Vec<Place>,
    /// The generation of the gallery from which `known` was made.
    generation: Option<u64>,
    diagnostics: Diagnostics,
    /// The id of the newest event that was sent.
    sent: u64,
}

/// The versions of what the retained topics are made of, and the former places whose messages are to be deleted.
#[derive(PartialEq, Eq)]
struct Sources {
    config: u64,
    present: u64,
    roster: u64,
    due: Vec<Place>,
}

/// The payload of `diagnostics`, when it was made, and the number of looks at that time.
#[derive(Default)]
struct Diagnostics {
    text: String,
    made_at: Option<Instant>,
    looks: u64,
}

impl<'a> Session<'a> {
    fn open(stage: &'a Stage, config: &Config, sent: u64, kept: &'a mut Kept) -> Result<Session<'a>, String> {
        let device = Device::of(config);
        let mut link = Link::open(&config.mqtt, &device.id, Some((&device.topic("status"), OFFLINE)))?;
        stage.health.mqtt.connected.store(true, Relaxed);
        stage.health.mqtt.connections.add();
        let (former, remembered) = kept.former.begin(&Place::of(&config.mqtt, &device));
        if let Err(why) = remembered {
            stage.health.faults.report(Cause::Slugs, &why);
        }
        kept.picture.begin();
        let elsewhere = former.iter().filter(|place| place.status() != device.topic("status")).map(Place::status);
        // Each in a packet of its own: a broker may refuse the first and the last of these subscriptions.
        link.subscribe(link::BIRTH, device.birth.as_slice())?;
        link.subscribe(link::COMMANDS, &device.commands())?;
        link.subscribe(link::FORMER, &elsewhere.collect::<Vec<_>>())?;
        Ok(Session {
            stage,
            kept,
            mqtt: config.mqtt.clone(),
            device,
            link,
            told: HashMap::new(),
            should: Vec::new(),
            made_of: None,
            known: Vec::new(),
            gone: BTreeSet::new(),
            former,
            online: BTreeSet::new(),
            taking_back: Vec::new(),
            generation: None,
            diagnostics: Diagnostics::default(),
            sent,
        })
    }

    /// Serves the connection until the program stops or the config of the broker changes. The connection ends without
    /// DISCONNECT, so that the broker publishes the last will.
    fn run(&mut self) -> Result<(), String> {
        loop {
            let Some((_, config)) = self.stage.config.newest() else { return Ok(()) };
            if self.stage.stop.is_set() || config.mqtt != self.mqtt || Device::of(&config) != self.device {
                return Ok(());
            }
            if self.link.is_full() {
                std::thread::sleep(SOON / 4);
            } else {
                self.stage.bus.wait_after(self.sent, if self.link.waits() { SOON } else { POLL });
            }
            self.compute_states();
            self.say_picture(&config)?;
            self.say_what_differs()?;
            self.say_events()?;
            let (acknowledged, skipped) = (self.link.acknowledged, self.link.skipped);
            let messages = self.link.read()?;
            self.stage.health.mqtt.published.add_many(self.link.acknowledged - acknowledged);
            self.stage.health.mqtt.skipped.add_many(self.link.skipped - skipped);
            if self.link.skipped > skipped {
                self.stage.health.faults.report(Cause::Broker, "a message for namecam is too large and was not read");
            }
            if self.link.is_birth_refused && !self.kept.says_birth_is_refused {
                self.kept.says_birth_is_refused = true;
                let birth = self.device.birth.as_deref().unwrap_or_default();
                log::warn!("mqtt: the broker does not let namecam listen to {birth}; all else works");
            }
            messages.iter().for_each(|message| self.obey(message));
            self.finish_taking_back();
        }
    }

    /// Computes the payloads that the retained topics should have.
    fn compute_states(&mut self) {
        if self.diagnostics.made_at.is_none_or(|at| at.elapsed() >= DIAGNOSTICS_EVERY) {
            self.make_diagnostics();
        }
        let (config_version, config) = self.stage.config.newest().unzip();
        let (present_version, present) = self.stage.present.newest().unzip();
        let (roster_version, roster) = self.stage.roster.newest().unzip();
        let due = self.due();
        let sources = Sources {
            config: config_version.unwrap_or_default(),
            present: present_version.unwrap_or_default(),
            roster: roster_version.unwrap_or_default(),
            due: due.clone(),
        };
        if self.made_of.as_ref() == Some(&sources) {
            return;
        }
        self.made_of = Some(sources);
        self.follow_gallery(roster.as_deref());
        let recognizes = config.is_some_and(|config| config.recognition.enabled);
        let present = present.unwrap_or_default();
        self.should.clear();
        if let Some(topic) = &self.device.announced_at {
            self.should.push((topic.clone(), self.device.announcement(&self.known, &self.gone)));
        }
        self.should.extend(self.device.states(&self.known, &self.gone, &present, recognizes));
        self.should.push((self.device.topic("diagnostics"), self.diagnostics.text.clone()));
        self.take_back(due);
        // Last, so that the states before it are up to date when a client receives it.
        self.should.push((self.device.topic("status"), ONLINE.to_owned()));
    }

    /// The former places whose messages are to be deleted now. Where a camera is online, that may be this camera before
    /// a loss of power, for which the broker has not published the last will yet.
    fn due(&mut self) -> Vec<Place> {
        match self.link.former {
            Some(Ok(since)) if since.elapsed() > WILL_IS_SAID => {
                // The last will is overdue, so another camera uses the topics.
                let others: Vec<Place> =
                    self.former.iter().filter(|place| self.online.contains(&place.status())).cloned().collect();
                others.iter().for_each(|place| self.leave(place));
            }
            Some(Ok(since)) if since.elapsed() > QUIET => {}
            Some(Err(())) if !self.former.is_empty() => {
                self.former.clear();
                let what = "the broker does not let namecam listen to its former topics, which stay there; delete them with a tool of the broker";
                self.stage.health.faults.report(Cause::Broker, what);
            }
            // At the same root only the topic of the announcement differed, and no status topic was subscribed to.
            None if self.former.iter().all(|place| place.root == self.device.root) => {}
            _ => return Vec::new(),
        }
        self.former.iter().filter(|place| !self.online.contains(&place.status())).cloned().collect()
    }

    /// Deletes the retained messages at former places, including those of every person.
    fn take_back(&mut self, places: Vec<Place>) {
        self.taking_back = places;
        let mut slugs: BTreeSet<String> = self.stage.slugs.gone();
        slugs.extend(self.stage.slugs.all().into_iter().map(|known| known.slug));
        for place in &self.taking_back {
            for topic in former::topics(place, &self.device, &slugs) {
                self.should.push((topic, String::new()));
            }
        }
    }

    /// Publishes the picture of the newest event, or its deletion.
    fn say_picture(&mut self, config: &Config) -> Result<(), String> {
        let picture = &mut self.kept.picture;
        if !self.gone.is_empty() {
            picture.delete();
        }
        picture.follow(config, &self.stage.chips.newest().map(|(_, chips)| chips).unwrap_or_default());
        if self.link.is_full() {
            return Ok(());
        }
        picture.next().map_or(Ok(()), |bytes| self.link.publish(&self.device.topic("picture"), bytes, true, None))
    }

    fn make_diagnostics(&mut self) {
        let health = &self.stage.health;
        let (_, roster) = self.stage.roster.newest().unwrap_or_default();
        let looks = health.looks.get() + health.still.get();
        let before = &self.diagnostics;
        let seconds = before.made_at.map_or(health.started.elapsed(), |at| at.elapsed()).as_secs_f64();
        let text = diagnostics(health, &roster, looks - before.looks, seconds);
        self.diagnostics = Diagnostics { text, made_at: Some(Instant::now()), looks };
        self.made_of = None;
    }

    /// Follows the gallery. Before the first gallery, and while it cannot be read or has no person, the people who were
    /// known before stay: the folder of a disk that is not mounted is empty. People who are forgotten go all the same,
    /// and so does the picture.
    fn follow_gallery(&mut self, roster: Option<&Roster>) {
        let roster = roster.filter(|roster| roster.generation > 0);
        let generation = roster.map(|roster| roster.generation);
        if self.generation.is_some() && self.generation == generation {
            return;
        }
        self.generation = generation;
        match roster {
            None => self.known = self.stage.slugs.all(),
            Some(roster) if roster.people.is_empty() => {
                self.known = self.stage.slugs.all();
                self.kept.picture.delete();
            }
            Some(roster) => {
                let people: Vec<&str> = roster.people.iter().map(|person| person.name.as_str()).collect();
                let (known, kept) = self.stage.slugs.follow(&people);
                self.known = known;
                if let Err(why) = kept {
                    self.stage.health.faults.report(Cause::Slugs, &why);
                }
            }
        }
        self.gone = self.stage.slugs.gone();
    }

    fn say_what_differs(&mut self) -> Result<(), String> {
        for (topic, payload) in &self.should {
            if self.told.get(topic) == Some(payload) {
                continue;
            }
            if self.link.is_full() {
                break;
            }
            self.link.publish(topic, payload.as_bytes(), true, None)?;
            self.told.insert(topic.clone(), payload.clone());
        }
        Ok(())
    }

    fn say_events(&mut self) -> Result<(), String> {
        if self.link.is_full() {
            return Ok(());
        }
        let batch = self.stage.bus.wait_after(self.sent, Duration::ZERO);
        if let (true, Some(first)) = (batch.missed > 0, batch.events.first()) {
            self.sent = first.id - 1;
            self.stage.health.mqtt.missed.add_many(batch.missed);
            let missed = format!("{{\"kind\":\"missed\",\"missed\":{}}}", batch.missed);
            self.link.publish(&self.device.topic("events"), missed.as_bytes(), false, None)?;
        }
        for event in &batch.events {
            if self.link.is_full() {
                break;
            }
            for (topic, payload) in self.device.event(event) {
                self.link.publish(&topic, payload.as_bytes(), false, Some(event.id))?;
            }
            self.kept.picture.hear(event);
            self.sent = event.id;
        }
        Ok(())
    }

    /// The id up to which the broker has acknowledged all events.
    fn acknowledged_up_to(&self) -> u64 {
        self.link.oldest_mark().map_or(self.sent, |oldest| oldest - 1)
    }

    fn obey(&mut self, message: &Message) {
        if self.former.iter().any(|place| place.status() == message.topic) {
            if message.payload == ONLINE.as_bytes() {
                self.online.insert(message.topic.clone());
            } else {
                self.online.remove(&message.topic);
            }
            self.made_of = None;
            return;
        }
        let order = match std::str::from_utf8(&message.payload).unwrap_or_default() {
            "online" if Some(&message.topic) == self.device.birth.as_ref() => {
                // Home Assistant has started. It needs the announcement again.
                if let Some(topic) = &self.device.announced_at {
                    self.told.remove(topic);
                }
                return;
            }
            // A retained order is an old one.
            _ if message.retained => return,
            "ON" if message.topic == self.device.topic("recognition/set") => Order::Recognize(true),
            "OFF" if message.topic == self.device.topic("recognition/set") => Order::Recognize(false),
            "PRESS" if message.topic == self.device.topic("reload/set") => Order::Reload,
            _ => return,
        };
        if self.mqtt.control && self.stage.orders.try_send(order).is_err() {
            log::warn!("mqtt: {order:?} comes too soon after others and is dropped");
        }
    }

    fn leave(&mut self, place: &Place) {
        self.former.retain(|former| former != place);
        if let Err(why) = self.kept.former.forget(place) {
            self.stage.health.faults.report(Cause::Slugs, &why);
        }
        self.made_of = None;
    }

    /// When the broker has acknowledged all deletions, the deleted people and places are dropped from the lists.
    fn finish_taking_back(&mut self) {
        if self.link.waits() {
            return;
        }
        self.kept.picture.is_acknowledged();
        if self.gone.is_empty() && self.taking_back.is_empty() {
            return;
        }
        if self.should.iter().all(|(topic, payload)| self.told.get(topic) == Some(payload)) {
            self.stage.slugs.are_taken_back(&self.gone);
            self.gone.clear();
            // What is deleted needs no entry; otherwise the people who left would fill the memory over the years.
            self.told.retain(|_, payload| !payload.is_empty());
            self.made_of = None;
            for place in std::mem::take(&mut self.taking_back) {
                self.leave(&place);
            }
        }
    }

    /// Why a connection ended, with a hint at a cause that is easy to miss.
    fn explain(&self, why: String, was_good: bool) -> String {
        let is_closed = !was_good && (why.contains("closed the connection") || why.contains("is lost"));
        let hint = format!("; if another client has the id {} too, set mqtt.client_id to another name", self.device.id);
        format!("{}:{}: {why}{}", self.mqtt.host, self.mqtt.port(), if is_closed { hint.as_str() } else { "" })
    }
}

#[cfg(test)]
mod tests;
