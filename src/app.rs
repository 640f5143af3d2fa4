//! The wiring: makes the hand-offs, starts, names and joins the threads, owns reload, watchdog and stop.

use crate::config::{Config, Origin};
use crate::encoder::{self, Encoder};
use crate::frame::Frame;
use crate::health::{CAPTURE_HANG, Health, RECOGNITION_HANG};
use crate::latest::Latest;
use crate::roster::Roster;
use crate::service::{self, Event, Notify};
use crate::sighting::Sightings;
use crate::stop::Stop;
use crate::tiers::Tiers;
use crate::{camera, http, logging, recognition};
use anyhow::Context;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long threads have to end: less than the second that is promised, and a look at a frame may take longer.
const STOP_WITHIN: Duration = Duration::from_millis(600);
/// How often the status that `systemctl status` shows is renewed.
const STATUS_EVERY: Duration = Duration::from_secs(10);
/// How long the own port may take to answer: less than the second within which a signal ends the program.
const PORT_PATIENCE: Duration = Duration::from_millis(700);
/// When the watchdog could not be fed, it is tried again so soon: a busy moment must not cost a restart.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// How long a picture may take to make; one of the largest size takes less than a second.
const ENCODER_HANG: Duration = Duration::from_secs(30);

/// The hand-offs between the stages: all of them, in one place.
struct Wires {
    config: Arc<Latest<Config>>,
    frames: Arc<Latest<Frame>>,
    sightings: Arc<Latest<Sightings>>,
    roster: Arc<Latest<Roster>>,
    tiers: Arc<Tiers>,
    health: Arc<Health>,
    stop: Arc<Stop>,
}

/// Runs until a signal says stop.
///
/// # Errors
/// When it cannot start: the port is taken, the accounts are unreadable, a thread cannot be made.
pub fn run(origin: &Origin, config: Config) -> anyhow::Result<()> {
    // The file that was found; where nobody named one, a reload must not fall back to defaults while it is being edited.
    let origin = &Origin { file: config.file.clone(), ..origin.clone() };
    service::share_one_heap();
    // Before any thread starts, so that none is ever interrupted.
    let signals = service::block_signals()?;
    let notify = Notify::new();
    let server = http::Server::bind(&config)?;
    let address = server.local_addr();
    log::info!("encoder: {}", config.stream.encoder.as_str());
    let wires = Wires::new(config);
    let threads = wires.start(server)?;
    logging::tell(&format!("listening on http://{address}/"));
    notify.ready(&wires.status());
    let mut watchdog = Watchdog::new();
    let mut next_status = Instant::now() + STATUS_EVERY;
    loop {
        match signals.wait(Duration::from_millis(500)) {
            Some(Event::Stop) => break,
            Some(Event::Reload) => wires.reload(origin, &notify),
            None => {}
        }
        if let Some(thread) = threads.iter().find(|thread| thread.is_finished()) {
            let name = thread.thread().name().unwrap_or("?").to_owned();
            anyhow::bail!("the {name} thread has ended by itself; that is a fault in namecam");
        }
        watchdog.feed_when_due(&wires.health, address, &notify);
        if Instant::now() >= next_status {
            next_status = Instant::now() + STATUS_EVERY;
            notify.status(&wires.status());
        }
    }
    log::info!("stopping");
    notify.stopping();
    wires.stop.set();
    let deadline = Instant::now() + STOP_WITHIN;
    while threads.iter().any(|thread| !thread.is_finished()) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    // dlib cannot be interrupted and destructors of a hung thread never run: the process is what ends.
    service::exit_now(0)
}

impl Wires {
    fn new(config: Config) -> Wires {
        let encoder = encoder::Stage {
            config: Arc::new(Latest::with(config)),
            frames: Arc::default(),
            sightings: Arc::default(),
            health: Arc::default(),
            stop: Arc::default(),
        };
        Wires {
            config: Arc::clone(&encoder.config),
            frames: Arc::clone(&encoder.frames),
            sightings: Arc::clone(&encoder.sightings),
            roster: Arc::default(),
            health: Arc::clone(&encoder.health),
            stop: Arc::clone(&encoder.stop),
            tiers: Arc::new(Tiers::new(Encoder::new(encoder))),
        }
    }

    fn start(&self, server: http::Server) -> anyhow::Result<Vec<JoinHandle<()>>> {
        let (config, health, stop) = (&self.config, &self.health, &self.stop);
        let http = http::Stage {
            config: Arc::clone(config),
            sightings: Arc::clone(&self.sightings),
            roster: Arc::clone(&self.roster),
            tiers: Arc::clone(&self.tiers),
            health: Arc::clone(health),
            stop: Arc::clone(stop),
        };
        let camera = camera::Stage {
            config: Arc::clone(config),
            frames: Arc::clone(&self.frames),
            health: Arc::clone(health),
            stop: Arc::clone(stop),
        };
        let recognition = recognition::Stage {
            config: Arc::clone(config),
            frames: Arc::clone(&self.frames),
            sightings: Arc::clone(&self.sightings),
            roster: Arc::clone(&self.roster),
            health: Arc::clone(health),
            stop: Arc::clone(stop),
        };
        // HTTP first: whoever opens the page while the camera or the models are slow is told so.
        Ok(vec![
            thread("http", move || http::run(server, http))?,
            thread("camera", move || camera::run(&camera))?,
            thread("recognition", move || {
                service::yield_to_others();
                recognition::run(&recognition);
            })?,
        ])
    }

    /// Reads the config again; the stages see that there is a newer one and take from it what is theirs.
    fn reload(&self, origin: &Origin, notify: &Notify) {
        log::info!("reloading config and gallery");
        notify.reloading();
        match origin.load() {
            Ok(mut new) => {
                if let Some((_, old)) = self.config.newest() {
                    for key in new.keep_what_needs_a_restart(&old) {
                        log::warn!("{key} has changed: that needs a restart (systemctl restart namecam)");
                    }
                }
                logging::set_level(new.log.level);
                self.config.publish(Arc::new(new));
            }
            Err(problems) => {
                for problem in &problems.0 {
                    log::error!("{}: {}", problem.place, problem.what);
                }
                // Everybody who watches may read it, and a value may be a secret: what is wrong stands in the log.
                let count = problems.0.len();
                let many = if count == 1 { "a problem".to_owned() } else { format!("{count} problems") };
                self.health.reloads.refused(format!("the config has {many}, see the log; nothing was reloaded"));
                log::error!("nothing was reloaded: config and gallery stay as they were");
            }
        }
        notify.ready(&self.status());
    }

    /// A line for `systemctl status`.
    fn status(&self) -> String {
        let camera = self.health.camera();
        let picture = match camera.error {
            Some(error) => format!("camera away: {error}"),
            None => format!(
                "{} {}x{}, {:.0} fps",
                camera.format,
                camera.width,
                camera.height,
                self.health.capture_fps.per_second()
            ),
        };
        let people = self.roster.newest().map_or(0, |(_, roster)| roster.known());
        format!("{picture}; {people} people in the gallery; {} viewers", self.tiers.viewers())
    }
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> anyhow::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body).with_context(|| format!("no thread for {name}"))
}

/// Feeds systemd's watchdog as long as every loop goes round and the own port answers.
struct Watchdog {
    interval: Option<Duration>,
    next: Instant,
}

impl Watchdog {
    fn new() -> Watchdog {
        Watchdog { interval: service::watchdog_interval(), next: Instant::now() }
    }

    fn feed_when_due(&mut self, health: &Health, address: SocketAddr, notify: &Notify) {
        let Some(interval) = self.interval.filter(|_| Instant::now() >= self.next) else { return };
        self.next = Instant::now() + interval;
        let hung = [
            ("capture", health.capture_beat.age(), CAPTURE_HANG),
            ("recognition", health.recognition_beat.age(), RECOGNITION_HANG),
            ("encoder", health.encoder_beat.age(), ENCODER_HANG),
        ];
        if let Some((stage, age, _)) = hung.into_iter().find(|(_, age, limit)| age > limit) {
            log::error!("{stage} has hung for {} s: the watchdog is not fed", age.as_secs());
        } else if !service::probe_port(address, PORT_PATIENCE) {
            log::error!("http://{address}/ does not answer: the watchdog is not fed");
        } else {
            notify.watchdog();
            return;
        }
        self.next = Instant::now() + TRY_AGAIN.min(interval);
    }
}
