use super::*;
use std::collections::VecDeque;
use std::path::Path;

/// A source that returns scripted results, and then nothing.
struct Fake(VecDeque<Result<Shot>>);

impl Source for Fake {
    fn next(&mut self, timeout: Duration) -> Result<Shot> {
        let shot = self.0.pop_front().unwrap_or(Ok(Shot::Nothing));
        if !matches!(shot, Ok(Shot::Corrupt(_))) {
            std::thread::sleep(timeout.min(Duration::from_millis(20)));
        }
        shot
    }

    fn describe(&self) -> String {
        "fake".to_owned()
    }
}

fn grey(length: usize) -> Result<Shot> {
    let format = Format::by_fourcc(b"GREY").unwrap();
    let (bytes, captured_at) = (vec![7; length], Moment::now());
    Ok(Shot::Picture(Captured { format, width: 16, height: 16, stride: 16, bytes, captured_at, dropped: 2 }))
}

fn fake(shots: Vec<Result<Shot>>) -> Result<Box<dyn Source>> {
    Ok(Box::new(Fake(shots.into())))
}

/// An endless source that fails as unplugged once the test takes the step `unplugged`.
struct Pluggable {
    hints: Vec<&'static str>,
    unplugged: Arc<Step>,
}

impl Source for Pluggable {
    fn next(&mut self, timeout: Duration) -> Result<Shot> {
        if self.unplugged.is_taken() {
            bail!("it was unplugged");
        }
        Fake([grey(256)].into()).next(timeout)
    }

    fn describe(&self) -> String {
        "pluggable".to_owned()
    }

    fn hints(&self) -> Vec<&str> {
        self.hints.clone()
    }
}

/// A step of a test that the camera thread waits for, so that a state lasts until the test has seen it.
#[derive(Default)]
struct Step(std::sync::atomic::AtomicBool);

impl Step {
    fn take(&self) {
        self.0.store(true, std::sync::atomic::Ordering::SeqCst);
    }

    fn is_taken(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }

    fn wait(&self) {
        wait_for("the next step of the test", || self.is_taken());
    }
}

fn config(set: impl Fn(&mut Camera)) -> Arc<Config> {
    let mut config = Config::defaults(Path::new("/"));
    config.camera.source = CameraSource::Device("/dev/test".into());
    config.camera.away_after_s = 5;
    set(&mut config.camera);
    Arc::new(config)
}

/// Runs the camera thread with `open` during `check`.
fn with_thread(mut open: impl FnMut(&Camera) -> Result<Box<dyn Source>> + Send, check: impl FnOnce(&Stage)) {
    let stage = Stage {
        config: Arc::default(),
        frames: Arc::default(),
        tuning: Arc::default(),
        health: Arc::default(),
        stop: Arc::default(),
    };
    stage.config.publish(config(|_| {}));
    std::thread::scope(|scope| {
        scope.spawn(|| run_with(&stage, &mut open));
        // Stops the thread even when the check panics; otherwise the scope would wait for the thread for ever.
        let _end = EndAtDrop(&stage);
        check(&stage);
    });
}

struct EndAtDrop<'a>(&'a Stage);

impl Drop for EndAtDrop<'_> {
    fn drop(&mut self) {
        self.0.stop.set();
    }
}

fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(30), "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Shorter than the longest pause, even on a busy machine.
const IN_A_PAUSE: Duration = Duration::from_millis(2500);

fn faults(stage: &Stage) -> Vec<(Cause, u64, String)> {
    stage.health.faults.all().into_iter().map(|fault| (fault.cause, fault.count, fault.detail)).collect()
}

#[test]
fn a_camera_that_fails_is_reported_and_is_back_within_three_seconds() {
    let (plugged, unplugged, plugged_again) = (Step::default(), Arc::new(Step::default()), Step::default());
    let mut opened = 0;
    let open = |_: &Camera| {
        opened += 1;
        match opened {
            1 => bail!("there is no such device"),
            2 => {
                plugged.wait();
                let unplugged = Arc::clone(&unplugged);
                Ok(Box::new(Pluggable { hints: vec![], unplugged }) as Box<dyn Source>)
            }
            _ => {
                plugged_again.wait();
                fake(vec![grey(256)])
            }
        }
    };
    with_thread(open, |stage| {
        let health = &stage.health;
        let error = || health.camera().error;
        wait_for("the first error", || error().as_deref() == Some("there is no such device"));
        plugged.take();
        wait_for("pictures", || health.camera_online() && health.frames.get() >= 2);
        let camera = health.camera();
        assert_eq!((camera.source.as_str(), camera.format.as_str(), camera.width), ("/dev/test", "GREY", 16));
        unplugged.take();
        wait_for("the second error", || error().as_deref() == Some("it was unplugged"));
        let before = health.frames.get();
        plugged_again.take();
        // The next attempt, which comes after the longest rest at the latest, brings it back.
        wait_for("pictures again", || health.camera_online());
        assert!(LONGEST_REST <= Duration::from_secs(3));
        wait_for("the third picture is counted", || health.ages.published.since_start().count == before + 1);
        assert_eq!((health.frames.get(), health.dropped.get()), (before + 1, 2 * (before + 1)));
        assert_eq!(stage.frames.newest().unwrap().1.seq, before + 1);
        assert_eq!(faults(stage), [(Cause::CameraAway, 2, "it was unplugged".to_owned())]);
    });
}

#[test]
fn pauses_grow_to_three_seconds_and_end_at_once_for_a_new_source() {
    let times = std::sync::Mutex::new(Vec::new());
    let open = |camera: &Camera| {
        times.lock().unwrap().push(Instant::now());
        if camera.width == 64 { fake(vec![grey(256)]) } else { bail!("there is no such device") }
    };
    with_thread(open, |stage| {
        let count = || times.lock().unwrap().len();
        wait_for("five tries", || count() >= 5);
        let pauses: Vec<u128> = times.lock().unwrap().windows(2).map(|w| (w[1] - w[0]).as_millis()).collect();
        let least = [180, 380, 780, 1580];
        assert!(pauses.iter().zip(least).all(|(pause, least)| *pause >= least), "{pauses:?}");
        stage.config.publish(config(|camera| camera.width = 64));
        let (changed, tried) = (Instant::now(), count());
        wait_for("the new source", || stage.health.camera_online());
        let took = times.lock().unwrap()[tried] - changed;
        assert!(took < IN_A_PAUSE, "{took:?}");
        // All attempts together are one fault.
        assert_eq!(faults(stage), [(Cause::CameraAway, 1, "there is no such device".to_owned())]);
    });
}

#[test]
fn a_device_that_returns_is_opened_at_once_during_a_long_pause() {
    let folder = tempfile::tempdir().unwrap();
    let node = folder.path().join("video0");
    let tries = std::sync::Mutex::new(Vec::new());
    let open = |camera: &Camera| {
        tries.lock().unwrap().push(Instant::now());
        let CameraSource::Device(path) = &camera.source else { bail!("another source") };
        if path.exists() { fake(vec![grey(256)]) } else { bail!("there is no such device") }
    };
    with_thread(open, |stage| {
        stage.config.publish(config(|camera| camera.source = CameraSource::Device(node.clone())));
        wait_for("long pauses", || tries.lock().unwrap().len() >= 5);
        let (come, before) = (Instant::now(), tries.lock().unwrap().len());
        std::fs::write(&node, "").unwrap();
        wait_for("pictures", || stage.health.camera_online());
        let took = tries.lock().unwrap()[before] - come;
        assert!(took < IN_A_PAUSE, "{took:?}");
    });
}

#[test]
fn a_hint_of_a_source_is_reported_once_and_ends_with_the_source() {
    let unplugged = Arc::new(Step::default());
    let open = |_: &Camera| {
        let unplugged = Arc::clone(&unplugged);
        Ok(Box::new(Pluggable { hints: vec!["it has moved", "it is dark"], unplugged }) as Box<dyn Source>)
    };
    with_thread(open, |stage| {
        let hint = || stage.health.camera().hint;
        wait_for("the hint", || hint().as_deref() == Some("it has moved; it is dark"));
        unplugged.take();
        wait_for("the end", || !stage.health.camera_online());
        assert_eq!(hint(), None);
        assert!(faults(stage).contains(&(Cause::CameraHint, 2, "it is dark".to_owned())), "{:?}", faults(stage));
    });
}

#[test]
fn a_reload_opens_the_source_again_only_when_the_camera_changed() {
    let opened = std::sync::atomic::AtomicU32::new(0);
    let open = |_: &Camera| {
        opened.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        fake((0..500).map(|_| grey(256)).collect())
    };
    let opened = || opened.load(std::sync::atomic::Ordering::Relaxed);
    with_thread(open, |stage| {
        wait_for("pictures", || stage.health.frames.get() > 2);
        stage.config.publish(config(|camera| (camera.rotate, camera.mirror) = (90, true)));
        let turned = || stage.frames.newest().unwrap().1.turn.degrees == 90;
        wait_for("a turned frame", turned);
        assert_eq!(opened(), 1);
        let seq = stage.frames.newest().unwrap().1.seq;
        stage.config.publish(config(|camera| camera.fps = 15));
        wait_for("the second opening", || opened() == 2);
        wait_for("more frames", || stage.frames.newest().unwrap().1.seq > seq + 2);
        assert!(stage.health.camera_online());
    });
}

/// An endless source with controls, whose values outlive the source.
struct Tunable {
    side: u32,
    values: Arc<std::sync::Mutex<Vec<i64>>>,
}

/// The controls with a value. `auto` is a button, which sets the brightness to 77.
const TUNABLE: [&str; 2] = ["brightness", "gain"];

impl Source for Tunable {
    fn next(&mut self, timeout: Duration) -> Result<Shot> {
        std::thread::sleep(timeout.min(Duration::from_millis(20)));
        if self.side == 0 {
            return Ok(Shot::Nothing);
        }
        let Shot::Picture(picture) = grey((self.side * self.side) as usize)? else { bail!("no picture") };
        Ok(Shot::Picture(Captured { width: self.side, height: self.side, stride: self.side, ..picture }))
    }

    fn describe(&self) -> String {
        "tunable".to_owned()
    }

    fn equipment(&self) -> Option<Equipment> {
        let values = self.values.lock().unwrap();
        let control = |(name, value): (&str, &i64)| crate::tuning::Control {
            id: 0,
            name: name.to_owned(),
            kind: "integer",
            min: 0,
            max: 255,
            step: 1,
            default: 0,
            value: Some(*value),
            menu: Vec::new(),
            locked: false,
            read_only: false,
        };
        let controls = TUNABLE.into_iter().zip(values.iter()).map(control).collect();
        Some(Equipment { width: self.side, height: self.side, controls, ..Equipment::default() })
    }

    /// Clamps values from 201 to 255 to 200, and refuses greater ones.
    fn set_controls(&mut self, wanted: &[(String, i64)]) -> Vec<Unset> {
        let mut unset = Vec::new();
        for (name, value) in wanted {
            match TUNABLE.iter().position(|known| known == name) {
                None if name == "auto" => self.values.lock().unwrap()[0] = 77,
                Some(at) if *value <= 255 => self.values.lock().unwrap()[at] = (*value).min(200),
                _ => unset.push(Unset { name: name.clone(), why: "no".to_owned() }),
            }
        }
        unset
    }

    fn put_back(&mut self, before: &[(String, i64)], config: &[(String, i64)]) -> Vec<Unset> {
        let unset = self.set_controls(before);
        self.set_controls(config);
        unset
    }
}

const PATIENT: Duration = Duration::from_secs(60);

fn controls(list: &[(&str, i64)]) -> Vec<(String, i64)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

#[test]
fn controls_on_trial_are_put_back_unless_they_are_saved() {
    let values = Arc::new(std::sync::Mutex::new(vec![10, 20]));
    let now = || values.lock().unwrap().clone();
    let mut opened = 0;
    let open = |camera: &Camera| {
        opened += 1;
        let mut source = Tunable { side: 16, values: Arc::clone(&values) };
        source.set_controls(&camera.controls);
        Ok(Box::new(source) as Box<dyn Source>)
    };
    with_thread(open, |stage| {
        let tried = |list: &[(&str, i64)]| stage.tuning.ask(Ask::Controls(controls(list)), PATIENT).unwrap();
        wait_for("pictures", || stage.health.camera_online());
        let answer = tried(&[("brightness", 250), ("gain", 300), ("zoom", 1)]);
        assert_eq!(now(), [200, 20]);
        let unset: Vec<&str> = answer.refused.iter().map(|unset| unset.name.as_str()).collect();
        assert_eq!(unset, ["gain", "zoom"]);
        assert_eq!(answer.changed, [crate::tuning::Changed { name: "brightness".to_owned(), asked: 250, value: 200 }]);
        assert_eq!(answer.equipment.controls[0].value, Some(200));
        let trial = answer.trial.unwrap();
        assert_eq!(serde_json::to_string(&trial.before).unwrap(), r#"{"brightness":10}"#);
        assert_eq!(trial.settings["camera.controls"], "brightness=200");
        // The trial keeps the values from before its first change.
        let trial = tried(&[("brightness", 90), ("gain", 40)]).trial.unwrap();
        assert_eq!(serde_json::to_string(&trial.before).unwrap(), r#"{"brightness":10,"gain":20}"#);
        assert!((30..=60).contains(&trial.ends_in_s));
        assert_eq!(stage.tuning.ask(Ask::PutBack, PATIENT).unwrap().trial, None);
        assert_eq!(now(), [10, 20]);
        assert_eq!(tried(&[("gain", 300)]).trial, None, "nothing is set");
        assert_eq!(now(), [10, 20]);
        let trial = tried(&[("auto", 1)]).trial.unwrap();
        assert_eq!(serde_json::to_string(&(trial.controls, trial.before)).unwrap(), r#"[{},{"brightness":10}]"#);
        assert!(stage.tuning.ask(Ask::List, PATIENT).unwrap().trial.is_some());
        assert_eq!((now()[0], stage.tuning.ask(Ask::PutBack, PATIENT).unwrap().trial, now()[0]), (77, None, 10));
        tried(&[("brightness", 90), ("gain", 40)]);
        stage.config.publish(config(|camera| camera.controls = controls(&[("brightness", 90)])));
        wait_for("half of it is saved", || {
            let trial = stage.tuning.ask(Ask::List, PATIENT).unwrap().trial.unwrap();
            trial.controls.len() == 1 && trial.settings["camera.controls"] == "brightness=90, gain=40"
        });
    });
    assert_eq!(now(), [90, 20], "the end of the program puts back what was not saved");
    assert_eq!(opened, 1);
}

#[test]
fn a_long_pause_counts_for_twenty_minutes_at_most_unless_pictures_are_rare() {
    let start = Instant::now();
    let after = |every_s: u64, pictures: u64| {
        let mut pauses = LongestPause::default();
        pauses.add(Duration::from_secs(600), start);
        for picture in 1..=pictures {
            pauses.add(Duration::from_secs(every_s), start + Duration::from_secs(every_s * picture));
        }
        patience(pauses.longest(), 15).as_secs()
    };
    assert_eq!([0, 500, 1190, 1210].map(|pictures| after(1, pictures)), [1800, 1800, 1800, 5]);
    assert_eq!([10, 30, 45].map(|pictures| after(3600, pictures)), [10_800; 3]);
}

#[test]
fn what_a_button_changed_is_put_back_although_another_control_is_saved() {
    let values = Arc::new(std::sync::Mutex::new(vec![10, 20]));
    let now = || values.lock().unwrap().clone();
    let open = |_: &Camera| Ok(Box::new(Tunable { side: 16, values: Arc::clone(&values) }) as Box<dyn Source>);
    with_thread(open, |stage| {
        let ask = |ask| stage.tuning.ask(ask, PATIENT).unwrap().trial;
        wait_for("pictures", || stage.health.camera_online());
        ask(Ask::Controls(controls(&[("auto", 1)])));
        ask(Ask::Controls(controls(&[("gain", 40)])));
        stage.config.publish(config(|camera| camera.controls = controls(&[("gain", 40)])));
        wait_for("the gain is saved", || ask(Ask::List).unwrap().controls.is_empty());
        assert_eq!((now(), ask(Ask::PutBack), now()), (vec![77, 40], None, vec![10, 40]));
    });
}

#[test]
fn a_control_that_is_saved_with_another_value_during_its_trial_gets_that_value_at_the_end() {
    let values = Arc::new(std::sync::Mutex::new(vec![10, 20]));
    let now = || values.lock().unwrap().clone();
    let open = |_: &Camera| Ok(Box::new(Tunable { side: 16, values: Arc::clone(&values) }) as Box<dyn Source>);
    with_thread(open, |stage| {
        wait_for("pictures", || stage.health.camera_online());
        stage.tuning.ask(Ask::Controls(controls(&[("brightness", 90), ("gain", 40)])), PATIENT).unwrap();
        stage.config.publish(config(|camera| camera.controls = controls(&[("gain", 30)])));
        // Two answers: the thread has seen the new config between them.
        for _ in 0..2 {
            assert!(stage.tuning.ask(Ask::List, PATIENT).unwrap().trial.is_some());
        }
        assert_eq!(now(), [90, 40]);
        assert_eq!(stage.tuning.ask(Ask::PutBack, PATIENT).unwrap().trial, None);
        assert_eq!(now(), [10, 30]);
    });
    assert_eq!(now(), [10, 30]);
}

#[test]
fn a_mode_on_trial_is_put_back_unless_it_is_saved_and_a_mode_that_fails_is_put_back_at_once() {
    let opened = std::sync::Mutex::new(Vec::new());
    let open = |camera: &Camera| {
        opened.lock().unwrap().push(camera.width);
        // This camera delivers no picture at a width of 32, and pictures 16 pixels wide instead of 64.
        let side = match camera.width {
            32 => 0,
            64 | 1280 => 16,
            width => width,
        };
        let values = Arc::new(std::sync::Mutex::new(vec![0, 0]));
        Ok(Box::new(Tunable { side, values }) as Box<dyn Source>)
    };
    let opened = || opened.lock().unwrap().clone();
    with_thread(open, |stage| {
        let mode = |side| crate::tuning::Mode { format: "auto".to_owned(), width: side, height: side, fps: 30 };
        let tried = |side| stage.tuning.ask(Ask::Mode(mode(side)), PATIENT);
        wait_for("pictures", || stage.health.camera_online());
        let wrong = tried(64).unwrap_err();
        assert_eq!(wrong, Trouble::Unfit("the camera gives GREY 16x16 instead".to_owned()));
        wait_for("pictures of the mode before", || stage.health.camera_online());
        let (begun, silent) = (Instant::now(), tried(32).unwrap_err());
        assert_eq!(silent, Trouble::Unfit("no good picture within 5 s".to_owned()));
        assert!(begun.elapsed() >= Duration::from_secs(5));
        wait_for("pictures of the mode before", || stage.health.camera_online());
        assert_eq!(opened(), [1280, 64, 1280, 32, 1280]);
        let answer = tried(48).unwrap();
        let measured = answer.measured.unwrap();
        // A busy machine has fewer, and never more than one each 20 ms.
        assert!(measured.fps > 0.0 && measured.fps < 51.0 && measured.first_ms < 5500, "{measured:?}");
        assert!(measured.cpu_ms > 0.0, "{measured:?}");
        let trial = answer.trial.unwrap();
        assert_eq!((trial.settings["camera.width"].as_str(), trial.mode), ("48", Some(mode(48))));
        stage.config.publish(config(|camera| (camera.width, camera.height) = (48, 48)));
        wait_for("the end of the trial", || stage.tuning.ask(Ask::List, PATIENT).unwrap().trial.is_none());
        assert_eq!(opened().len(), 6, "the camera is not opened again to keep the mode");
        let answer = tried(96).unwrap();
        assert!(tried(64).is_err());
        wait_for("the mode on trial before", || stage.health.camera_online() && stage.health.camera().width == 96);
        assert!(answer.trial.is_some() && stage.tuning.ask(Ask::PutBack, PATIENT).unwrap().trial.is_none());
        wait_for("the mode before", || stage.health.camera().width == 48);
        assert!(faults(stage).is_empty(), "a trial is no fault: {:?}", faults(stage));
    });
}

#[test]
fn tuning_an_unavailable_camera_returns_the_error_of_the_camera() {
    with_thread(
        |_: &Camera| bail!("there is no such device"),
        |stage| {
            wait_for("the reason", || stage.health.camera().error.as_deref() == Some("there is no such device"));
            let away = Trouble::Away("there is no such device".to_owned());
            assert_eq!(stage.tuning.ask(Ask::List, PATIENT), Err(away));
        },
    );
}

#[test]
fn tuning_a_source_without_controls_is_refused() {
    with_thread(
        |_: &Camera| fake((0..500).map(|_| grey(256)).collect()),
        |stage| {
            wait_for("pictures", || stage.health.camera_online());
            let why = stage.tuning.ask(Ask::List, PATIENT).unwrap_err();
            assert!(matches!(why, Trouble::Unfit(why) if why.contains("no controls")));
        },
    );
}

#[test]
fn damaged_pictures_are_counted_and_never_published() {
    let jpeg = || {
        let (bytes, captured_at) = (b"\xFF\xD8\xFF\xE0 is no JPEG".to_vec(), Moment::now());
        let format = Format::mjpg();
        Ok(Shot::Picture(Captured { format, width: 0, height: 0, stride: 0, bytes, captured_at, dropped: 0 }))
    };
    let script = move || vec![grey(255), jpeg(), Ok(Shot::Corrupt("flagged by the driver".to_owned())), grey(256)];
    with_thread(
        |_: &Camera| fake(script()),
        |stage| {
            wait_for("the good one", || stage.health.frames.get() == 1);
            assert_eq!(stage.health.corrupt.get(), 3);
            let told = faults(stage);
            assert!(told.contains(&(Cause::BrokenPicture, 3, "flagged by the driver".to_owned())), "{told:?}");
        },
    );
}

#[test]
fn the_time_limit_for_a_picture_follows_the_config_first_and_the_pace_of_the_camera_later() {
    let seconds = Duration::from_secs;
    assert_eq!(patience(Duration::ZERO, 15), seconds(15));
    assert_eq!(patience(Duration::from_millis(33), 15), seconds(5));
    assert_eq!(patience(seconds(8), 15), seconds(24));
}

#[test]
fn a_source_that_delivers_nothing_for_five_seconds_is_opened_again() {
    let (mut opened, seen) = (0, Step::default());
    let open = |_: &Camera| {
        opened += 1;
        if opened == 2 {
            seen.wait();
        }
        fake(vec![grey(256)])
    };
    let start = Instant::now();
    with_thread(open, |stage| {
        wait_for("a picture", || stage.health.camera_online());
        wait_for("the error", || {
            stage.health.camera().error.as_deref()
                == Some("no picture for 5 s; a slower camera needs a larger camera.away_after_s")
        });
        assert!(start.elapsed() >= Duration::from_secs(5));
        seen.take();
        wait_for("the second opening", || stage.health.frames.get() == 2);
    });
}

#[test]
fn a_new_camera_without_pictures_is_not_online_because_of_pictures_of_the_old_camera() {
    let open = |camera: &Camera| fake(if camera.width == 64 { vec![] } else { vec![grey(256)] });
    with_thread(open, |stage| {
        wait_for("pictures", || stage.health.camera_online());
        stage
            .config
            .publish(config(|camera| (camera.width, camera.source) = (64, CameraSource::Device("/dev/other".into()))));
        wait_for("the other camera's name", || stage.health.camera().source == "/dev/other");
        assert_eq!(stage.health.camera().error.as_deref(), Some("starting"));
    });
}

#[test]
fn a_source_has_its_name_before_its_first_picture() {
    with_thread(
        |_: &Camera| fake(vec![]),
        |stage| {
            wait_for("the name", || stage.health.camera().source == "/dev/test");
            assert_eq!(stage.health.camera().error.as_deref(), Some("starting"));
        },
    );
}

/// A source of damaged pictures that tells the reason.
struct Wrong;

impl Source for Wrong {
    fn next(&mut self, timeout: Duration) -> Result<Shot> {
        std::thread::sleep(timeout);
        Ok(Shot::Corrupt("bytes that are no picture".to_owned()))
    }

    fn describe(&self) -> String {
        "wrong".to_owned()
    }

    fn why_nothing(&self) -> Option<String> {
        Some("it writes something other than JPEGs".to_owned())
    }
}

#[test]
fn a_reason_from_the_source_is_reported_when_no_picture_arrives() {
    with_thread(
        |_: &Camera| Ok(Box::new(Wrong) as Box<dyn Source>),
        |stage| {
            let error = || stage.health.camera().error;
            wait_for("the reason", || error().as_deref() == Some("it writes something other than JPEGs"));
            let told = || faults(stage);
            wait_for("the fault", || {
                told() == [(Cause::CameraAway, 1, "it writes something other than JPEGs".to_owned())]
            });
        },
    );
}

#[test]
fn a_camera_that_comes_and_goes_all_day_is_logged_a_few_times_an_hour() {
    let (mut news, begun) = (News::default(), Instant::now());
    let mut lines_after = |s: u64| news.of("it is back".to_owned(), begun + Duration::from_secs(s));
    let lines: Vec<String> = (0..3600).filter_map(&mut lines_after).collect();
    assert_eq!(lines.len(), NEWS_AN_HOUR as usize);
    assert!(lines[0] == "it is back" && lines[19].ends_with("(further changes are not logged for an hour)"));
    assert!(lines_after(3600).is_some());
}

#[test]
fn errors_that_differ_only_in_their_last_message_are_one_fault() {
    let (mut times, seen) = (0, Step::default());
    let open = |_: &Camera| {
        times += 1;
        if times == 3 {
            seen.wait();
        }
        Err(SourceEnd { how: "ffmpeg ended".to_owned(), last_words: format!("port {times}: refused") }.into())
    };
    with_thread(open, |stage| {
        wait_for("a second try", || {
            stage.health.camera().error.is_some_and(|error| error == "ffmpeg ended: port 2: refused")
        });
        assert_eq!(faults(stage), [(Cause::CameraAway, 1, "ffmpeg ended".to_owned())]);
        seen.take();
    });
}

#[test]
fn a_frame_that_does_not_fit_into_memory_is_a_fault_that_says_what_to_change() {
    let plan = |most_frame_px| Plan { most_px: 1, most_frame_px, takes: 0, limit: None };
    let of = |plan: &Plan| {
        let Shot::Picture(captured) = grey(256).unwrap() else { panic!("a picture") };
        checked(captured, Some(plan)).map(|_| ())
    };
    assert_eq!(of(&plan(256)), Ok(()));
    let why = of(&plan(255)).unwrap_err();
    assert!(why.contains("16x16") && why.contains("[camera] width and height"), "{why}");
}

#[test]
fn a_jpeg_that_is_too_short_for_the_size_in_its_header_is_damaged_and_not_decoded() {
    let mut jpeg = Vec::new();
    let grey = crate::image::Rgb::filled(2048, 2048, [120; 3]);
    crate::image::jpeg::Compressor::default().compress(&grey, &mut jpeg).unwrap();
    let of = |bytes: Vec<u8>| {
        let (format, captured_at) = (Format::mjpg(), Moment::now());
        checked(Captured { format, width: 0, height: 0, stride: 0, bytes, captured_at, dropped: 0 }, None).map(|_| ())
    };
    // A picture of one colour is the shortest that there is.
    assert_eq!(of(jpeg.clone()), Ok(()));
    let frame = jpeg.windows(2).position(|marker| matches!(marker, [0xFF, 0xC0..=0xC2])).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0x27, 0x10, 0x27, 0x10]);
    assert_eq!(of(jpeg), Err("it is too short for its size of 10000x10000".to_owned()));
}

#[test]
fn a_suddenly_huge_frame_is_accepted_only_after_another_huge_frame() {
    let mut sizes = Sizes::default();
    let mut of = |width: u32, height: u32| {
        let (format, captured_at) = (Format::mjpg(), Moment::now());
        let captured = Captured { format, width, height, stride: 0, bytes: Vec::new(), captured_at, dropped: 0 };
        sizes.plausible(captured).is_ok()
    };
    assert!(of(1280, 720) && of(16, 16) && of(1920, 1080), "as cameras change their sizes");
    assert!(!of(10_000, 10_000) && of(640, 480) && !of(9000, 10_000) && of(640, 480), "a damaged head now and then");
    assert!(!of(4096, 3072) && of(4000, 3000) && of(8000, 6000), "the camera has larger ones from now on");
}
