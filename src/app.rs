//! The wiring: creates the hand-offs between stages, starts and joins the threads, and handles reload, watchdog and
//! stop.

use crate::cli::FAULT;
use crate::config::{Config, Origin};
use crate::detection::Sightings;
use crate::detection::chips::Chips;
use crate::events::mqtt::{self, Order};
use crate::events::{self, exec, lines, webhook};
use crate::frame::Frame;
use crate::gallery::desk::Desk;
use crate::gallery::slugs::Slugs;
use crate::http::auth::accounts::Accounts;
use crate::memory::{self, Machine};
use crate::os::logging;
use crate::os::process::{self, exit_now};
use crate::os::signals::{self, Event};
use crate::os::systemd::{self, Notify};
use crate::presence::{self, bus::Bus, day::Day, visits::Present};
use crate::roster::Roster;
use crate::settings::{Refused, Settings};
use crate::stream::encoder;
use crate::stream::renditions::Renditions;
use crate::sync::{Latest, Stop};
use crate::telemetry::faults::Cause;
use crate::telemetry::health::Health;
use crate::tuning::Tuning;
use crate::{camera, commands, http, recognition};
use anyhow::Context;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long threads have to end after SIGTERM. The camera thread needs most of it when the program of a pipe does not
/// end on request. The rest of the promised second is for the kernel, which frees up to gigabytes of recognition's
/// memory.
const STOP_WITHIN: Duration = Duration::from_millis(600);
/// The name of the thread that uses dlib.
const RECOGNITION: &str = "recognition";
/// How often the status line of `systemctl status` is updated.
const STATUS_EVERY: Duration = Duration::from_secs(10);
/// How long the program's own port may take to answer; less than the second within which a signal ends the program.
const PORT_PATIENCE: Duration = Duration::from_millis(700);
/// How soon a failed watchdog check is repeated, so that a short overload does not cause a restart.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// The most MQTT orders that wait for the main thread.
const MAX_ORDERS: usize = 4;

/// All hand-offs between the stages.
struct Wires {
    config: Arc<Latest<Config>>,
    settings: Arc<Settings>,
    frames: Arc<Latest<Frame>>,
    sightings: Arc<Latest<Sightings>>,
    roster: Arc<Latest<Roster>>,
    chips: Arc<Latest<Chips>>,
    desk: Arc<Desk>,
    tuning: Arc<Tuning>,
    events: Arc<Bus>,
    day: Arc<Day>,
    present: Arc<Latest<Present>>,
    slugs: Arc<Slugs>,
    renditions: Arc<Renditions>,
    health: Arc<Health>,
    stop: Arc<Stop>,
}

/// Runs the program until a signal ends it. `accounts` are the users and tokens of `http.password_file`. With
/// `says_events` the program writes events to the standard output.
///
/// # Errors
/// The program cannot start, for instance because the port is taken. Once the threads have started, this function
/// does not return but ends the process.
pub fn run(origin: &Origin, config: Config, accounts: Option<Accounts>, says_events: bool) -> anyhow::Result<()> {
    // A reload reads the file that was found at the start. Searching again could fall back to the defaults while an
    // editor replaces the file.
    let origin = Origin { file: config.file.clone(), state_folder: config.state_folder.clone(), ..origin.clone() };
    process::share_one_heap();
    let stop = Arc::<Stop>::default();
    let signals = signals::handle_signals(Arc::clone(&stop), STOP_WITHIN)?;
    let notify = Notify::new();
    let server = http::Server::bind(&config)?;
    let (address, own_question) = (server.local_addr(), server.own_question());
    config.warnings.iter().for_each(|warning| log::warn!("{warning}"));
    log::info!("encoder: {}", config.stream.encoder.as_str());
    if config.recognition.enabled
        && let Ok(plan) = memory::plan(&config, &Machine::this())
    {
        log::info!("memory: {plan}");
    }
    let wires = Wires::new(origin, config, stop);
    // From here on the process ends by `_exit` only: a started thread may be inside a library.
    let (orders, ordered) = sync_channel(MAX_ORDERS);
    let threads = wires.start(server, accounts, orders, says_events).unwrap_or_else(|error| {
        logging::tell(&format!("namecam: {error:#}"));
        exit_now(1)
    });
    logging::tell(&format!("listening on http://{address}/"));
    notify.ready(&wires.status());
    let (mut watchdog, mut reported) = (Watchdog::new(), None);
    let mut next_status = Instant::now() + STATUS_EVERY;
    loop {
        match signals.wait(Duration::from_millis(500)) {
            Some(Event::Stop) => break,
            Some(Event::Reload) => wires.reload(&notify),
            None => {}
        }
        wires.carry_out(&ordered, &notify);
        leave_if_one_has_ended(&threads, &wires.stop, &notify);
        wires.report_hangs(&mut reported);
        watchdog.feed_when_due(&wires.health, address, &own_question, &notify);
        if Instant::now() >= next_status {
            next_status = Instant::now() + STATUS_EVERY;
            notify.status(&wires.status());
        }
    }
    log::info!("stopping");
    notify.stopping();
    // The recognition thread is not joined: dlib cannot be interrupted, and an unfinished look leaves nothing behind.
    // After STOP_WITHIN the signal thread ends the process, whatever the other threads do.
    let joined = |thread: &&JoinHandle<()>| thread.thread().name() != Some(RECOGNITION);
    while threads.iter().filter(joined).any(|thread| !thread.is_finished()) {
        std::thread::sleep(Duration::from_millis(5));
    }
    exit_now(0)
}

/// Ends the process when a thread has ended without a stop, which is a fault. The process does not end through `main`:
/// the exit handlers would destroy dlib's globals while another thread uses them.
fn leave_if_one_has_ended(threads: &[JoinHandle<()>], stop: &Stop, notify: &Notify) {
    let Some(ended) = threads.iter().find(|thread| thread.is_finished()) else { return };
    // Checked after the search: a thread that ends because of a stop ends after the stop is set.
    if stop.is_set() {
        return;
    }
    let what = format!("the {} thread ended unexpectedly", ended.thread().name().unwrap_or("?"));
    log::error!("{what}; this is a bug in namecam, please report it");
    notify.status(&what);
    notify.stopping();
    exit_now(FAULT.into())
}

impl Wires {
    fn new(origin: Origin, config: Config, stop: Arc<Stop>) -> Wires {
        let slugs = Arc::new(Slugs::open(config.state_folder.as_deref()));
        let encoder = encoder::Stage {
            config: Arc::new(Latest::with(config)),
            frames: Arc::default(),
            sightings: Arc::default(),
            health: Arc::default(),
            stop,
        };
        Wires {
            config: Arc::clone(&encoder.config),
            settings: Arc::new(Settings::new(origin, Arc::clone(&encoder.config))),
            frames: Arc::clone(&encoder.frames),
            sightings: Arc::clone(&encoder.sightings),
            roster: Arc::default(),
            chips: Arc::default(),
            desk: Arc::default(),
            tuning: Arc::default(),
            events: Arc::default(),
            day: Arc::default(),
            present: Arc::default(),
            slugs,
            health: Arc::clone(&encoder.health),
            stop: Arc::clone(&encoder.stop),
            renditions: Arc::new(Renditions::new(encoder)),
        }
    }

    fn start(
        &self,
        server: http::Server,
        accounts: Option<Accounts>,
        orders: SyncSender<Order>,
        says_events: bool,
    ) -> anyhow::Result<Vec<JoinHandle<()>>> {
        let (config, health, stop) = (&self.config, &self.health, &self.stop);
        let state_folder = config.newest().and_then(|(_, config)| config.state_folder.clone());
        let http = http::Stage {
            config: Arc::clone(config),
            settings: Arc::clone(&self.settings),
            sightings: Arc::clone(&self.sightings),
            roster: Arc::clone(&self.roster),
            chips: Arc::clone(&self.chips),
            desk: Arc::clone(&self.desk),
            slugs: Arc::clone(&self.slugs),
            tuning: Arc::clone(&self.tuning),
            events: Arc::clone(&self.events),
            day: Arc::clone(&self.day),
            renditions: Arc::clone(&self.renditions),
            health: Arc::clone(health),
            stop: Arc::clone(stop),
            versions: commands::version(),
            state_folder: state_folder.clone(),
        };
        let camera = camera::Stage {
            config: Arc::clone(config),
            frames: Arc::clone(&self.frames),
            tuning: Arc::clone(&self.tuning),
            health: Arc::clone(health),
            stop: Arc::clone(stop),
        };
        let recognition = recognition::Stage {
            config: Arc::clone(config),
            frames: Arc::clone(&self.frames),
            sightings: Arc::clone(&self.sightings),
            roster: Arc::clone(&self.roster),
            chips: Arc::clone(&self.chips),
            desk: Arc::clone(&self.desk),
            health: Arc::clone(health),
            stop: Arc::clone(stop),
        };
        let presence = presence::Stage {
            config: Arc::clone(config),
            sightings: Arc::clone(&self.sightings),
            roster: Arc::clone(&self.roster),
            health: Arc::clone(health),
            bus: Arc::clone(&self.events),
            day: Arc::clone(&self.day),
            present: Arc::clone(&self.present),
            stop: Arc::clone(stop),
            state_folder: state_folder.clone(),
        };
        let mqtt = mqtt::Stage {
            config: Arc::clone(config),
            roster: Arc::clone(&self.roster),
            present: Arc::clone(&self.present),
            bus: Arc::clone(&self.events),
            slugs: Arc::clone(&self.slugs),
            chips: Arc::clone(&self.chips),
            health: Arc::clone(health),
            orders,
            stop: Arc::clone(stop),
            state_folder,
        };
        let sink = events::Stage {
            config: Arc::clone(config),
            bus: Arc::clone(&self.events),
            health: Arc::clone(health),
            stop: Arc::clone(stop),
        };
        let (hook, programs) = (sink.clone(), sink.clone());
        // HTTP starts first, so that the page is served while the camera or the models are still opening.
        let mut threads = vec![
            thread("http", move || http::run(server, http, accounts))?,
            thread("presence", move || presence::run(&presence))?,
            thread("mqtt", move || mqtt::run(&mqtt))?,
            thread("camera", move || camera::run(&camera))?,
            thread(RECOGNITION, move || {
                process::yield_to_others();
                recognition::run(&recognition);
            })?,
            thread("webhook", move || webhook::run(&hook))?,
            thread("exec", move || exec::run(&programs))?,
        ];
        if says_events {
            threads.push(thread("events", move || lines::run(&sink, &mut std::io::stdout()))?);
        }
        Ok(threads)
    }

    /// Carries out the orders that were received by MQTT.
    fn carry_out(&self, ordered: &Receiver<Order>, notify: &Notify) {
        for order in ordered.try_iter() {
            log::info!("by MQTT: {order:?}");
            let Order::Recognize(enabled) = order else {
                self.reload(notify);
                continue;
            };
            if let Err(refused) = self.settings.recognize(enabled) {
                refused.problems().iter().for_each(|problem| log::error!("recognition stays off: {}", problem.what));
            }
        }
    }

    /// Reads the config again and publishes it to the stages.
    fn reload(&self, notify: &Notify) {
        log::info!("reloading config and gallery");
        notify.reloading();
        match self.settings.reload() {
            Ok(()) => {}
            Err(Refused::Wrong(problems)) => {
                for problem in &problems.0 {
                    log::error!("{}: {}", problem.place, problem.what);
                }
                // Viewers see this message, and a value may be a secret, so the details are only in the log.
                let count = problems.0.len();
                let many = if count == 1 { "an error".to_owned() } else { format!("{count} errors") };
                self.refuse(format!("the config has {many}"));
            }
            Err(Refused::TooLarge(problem)) => {
                log::error!("{problem}");
                self.refuse("the config needs more memory than is available".to_owned());
            }
            Err(Refused::File(problem)) => {
                log::error!("{problem}");
                self.refuse("the settings file cannot be used".to_owned());
            }
        }
        notify.ready(&self.status());
    }

    /// Records a reload that changes nothing.
    fn refuse(&self, why: String) {
        self.health.reloads.refused(format!("{why} (see the log); nothing was reloaded"));
        log::error!("nothing was reloaded; the previous config and gallery stay in use");
    }

    /// Reports a part that hangs, or models that take too long to open, once for as long as the trouble lasts.
    /// `reported` is the cause that the last call found.
    fn report_hangs(&self, reported: &mut Option<Cause>) {
        let late = self.health.models_late().map(|age| {
            let (machine, config) = (Machine::this(), self.config.newest().map(|(_, config)| config));
            let now = machine.available().map(|bytes| format!("; {} are available now", memory::mb(bytes)));
            let plan = config.map(|config| match memory::plan(&config, &machine) {
                Ok(plan) => format!("; recognition {plan}"),
                Err(problem) => format!("; {problem}"),
            });
            let detail = [Some(format!("{} s so far", age.as_secs())), now, plan];
            (Cause::ModelsLate, detail.into_iter().flatten().collect())
        });
        let hang = || {
            self.health.hang().map(|(hang, age)| (Cause::Hang, format!("{} for {} s", hang.as_str(), age.as_secs())))
        };
        let found = late.or_else(hang);
        let cause = found.as_ref().map(|(cause, _)| *cause);
        if let Some((cause, detail)) = found.filter(|_| cause != *reported) {
            self.health.faults.report(cause, &detail);
        }
        *reported = cause;
    }

    /// A line for `systemctl status`.
    fn status(&self) -> String {
        let camera = self.health.camera();
        let picture = match camera.error {
            Some(error) => format!("no camera: {error}"),
            None => format!(
                "{} {}x{}, {:.0} fps",
                camera.format,
                camera.width,
                camera.height,
                self.health.capture_fps.per_second()
            ),
        };
        let people = self.roster.newest().map_or(0, |(_, roster)| roster.known());
        format!("{picture}; {people} people in the gallery; {} viewers", self.renditions.viewers())
    }
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> anyhow::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .with_context(|| format!("cannot start the thread {name}"))
}

/// Feeds systemd's watchdog while no loop hangs and the program's own port answers.
struct Watchdog {
    interval: Option<Duration>,
    next: Instant,
}

impl Watchdog {
    fn new() -> Watchdog {
        Watchdog { interval: systemd::watchdog_interval(), next: Instant::now() }
    }

    /// `own_question` tells the server the local address of the check's connection, which it must accept.
    fn feed_when_due(
        &mut self,
        health: &Health,
        address: SocketAddr,
        own_question: &Mutex<Option<SocketAddr>>,
        notify: &Notify,
    ) {
        let Some(interval) = self.interval.filter(|_| Instant::now() >= self.next) else { return };
        self.next = Instant::now() + interval;
        if let Some((hang, age)) = health.hang() {
            let (what, seconds) = (hang.as_str(), age.as_secs());
            log::error!("{what} for {seconds} s; systemd will restart namecam unless it recovers");
        } else if !systemd::probe_port(address, PORT_PATIENCE, own_question) {
            log::error!("http://{address}/ does not answer; systemd will restart namecam unless it recovers");
        } else {
            notify.watchdog();
            return;
        }
        self.next = Instant::now() + TRY_AGAIN.min(interval);
    }
}

#[cfg(test)]
mod blur_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::tests::child::{again, is_child};
    use crate::telemetry::health::MODELS_LATE;
    use std::process::Command;

    /// Set in the child process whose stop is set before the thread ends.
    const STOPPED: &str = "NAMECAM_TEST_STOPPED";

    #[test]
    fn a_hang_and_late_models_are_reported_once_while_they_last_with_the_memory_for_the_models() {
        let wires = Wires::new(Origin::default(), Config::defaults("/".as_ref()), Arc::default());
        let (faults, mut reported) = (&wires.health.faults, None);
        let mut report = |times: usize| {
            (0..times).for_each(|_| wires.report_hangs(&mut reported));
            faults.all().into_iter().map(|fault| (fault.cause, fault.count)).collect::<Vec<_>>()
        };
        let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        let in_time = wires.health.opening.begin_at(ago(MODELS_LATE.as_secs() - 30));
        assert_eq!(report(3), []);
        drop(in_time);
        for count in 1..3 {
            let late = wires.health.opening.begin_at(ago(MODELS_LATE.as_secs() + 1));
            assert_eq!(report(3), [(Cause::ModelsLate, count)]);
            let detail = faults.all().remove(0).detail;
            let seconds = detail.split_once(" s so far; ").and_then(|(seconds, _)| seconds.parse::<u64>().ok());
            let (begins, need) = (
                seconds.is_some_and(|seconds| (61..100).contains(&seconds)),
                "MB are available now; recognition needs up to 267 MB",
            );
            assert!(begins && detail.contains(need), "{detail}");
            drop(late);
            assert_eq!(report(1), [(Cause::ModelsLate, count)]);
        }
        let _picture = wires.health.encoding.begin_at(ago(40));
        assert_eq!(report(3), [(Cause::ModelsLate, 2), (Cause::Hang, 1)]);
        assert!(faults.all()[1].detail.starts_with("the encoder does not respond for 4"), "{:?}", faults.all());
    }

    #[test]
    fn a_thread_that_ends_unexpectedly_ends_the_process_with_70_while_others_run() {
        const THIS: &str = "a_thread_that_ends_unexpectedly_ends_the_process_with_70_while_others_run";
        if !is_child() {
            let status = |child: &mut Command| child.output().unwrap().status.code();
            assert_eq!(status(&mut again(module_path!(), THIS)), Some(70));
            assert_eq!(status(again(module_path!(), THIS).env(STOPPED, "1")), Some(0), "a stop is no fault");
            return;
        }
        let stop = Arc::<Stop>::default();
        if std::env::var_os(STOPPED).is_some() {
            stop.set();
        }
        let hangs = thread(RECOGNITION, || std::thread::sleep(Duration::from_secs(60))).unwrap();
        let ends = thread("camera", || ()).unwrap();
        while !ends.is_finished() {
            std::thread::sleep(Duration::from_millis(1));
        }
        leave_if_one_has_ended(&[hangs, ends], &stop, &Notify::new());
        exit_now(0)
    }
}
