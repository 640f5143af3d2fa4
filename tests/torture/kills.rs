//! The program is ended in the middle of everything.

use crate::shim::{Order, Shim};
use crate::support::{Home, PATIENCE, Running, picture, post};
use crate::watch::{Random, Watch, free_port};
use crate::{Fault, Figures};
use serde_json::json;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The longest gap of a viewer when the program is started again at once.
const START_WITHIN: Duration = Duration::from_secs(3);

pub const KILL_9: Fault = Fault {
    name: "kill-9",
    wrong: "the process is killed while it loads, reloads, writes and streams",
    does: "starts clean; what was acknowledged is there; the gap is without the unit's RestartSec",
    within: Some(START_WITHIN),
    waits: false,
    run: kill_9,
};

/// What must be there after a kill.
#[derive(Default)]
struct Known {
    /// `stream.quality`: the number that was acknowledged last, and the one that was asked for last.
    quality: (u64, u64),
    /// Pictures that were acknowledged.
    files: Vec<PathBuf>,
}

fn kill_9(full: bool) -> Figures {
    let (homes, rounds) = if full { (4, 50) } else { (1, 5) };
    let all = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..homes).map(|at| scope.spawn(move || killed_again_and_again(at, rounds, full))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no loss")).collect::<Vec<_>>()
    });
    let (tried, gap) = (homes * rounds, all.iter().map(|(gap, ..)| *gap).max());
    let acknowledged: usize = all.iter().map(|(_, acknowledged, ..)| acknowledged).sum();
    let left: usize = all.iter().map(|(_, _, left, _)| left).sum();
    let lost = all.iter().map(|(.., lost)| lost).sum();
    let remark = format!("{acknowledged} changes acknowledged; {left} unfinished files left");
    Figures { tried, survived: tried, lost, gap, remark, ..Figures::default() }
}

/// The longest gap, how many changes were acknowledged, how many unfinished files are left, and how many changes are lost.
fn killed_again_and_again(at: u64, rounds: u64, full: bool) -> (Duration, usize, usize, u64) {
    let mut random = Random(0x9e37_79b9 + at);
    let home = Home::new("");
    let (camera, port) = (home.still_camera("obama2.jpg"), free_port());
    home.write_config(&format!("[camera]\nsource = {camera}\n[http]\nbind = 127.0.0.1:{port}\n"));
    home.enrol("Barack Obama", "obama.jpg");
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let known = Mutex::new(Known { quality: (80, 80), files: Vec::new() });
    let mut running = home.run();
    running.until("the gallery", |running| running.generation() > 0);
    let watch = Watch::of(address);
    let (mut acknowledged, mut lost) = (0, 0);
    for round in 0..rounds {
        match round % 4 {
            0 => random.pause(800),
            1 => {
                running.until("the gallery", |running| running.generation() > 0);
                running.signal(libc::SIGHUP);
                random.pause(150);
            }
            2 => {
                let over = AtomicBool::new(false);
                std::thread::scope(|scope| {
                    let settings = scope.spawn(|| change_settings(address, &known, &over));
                    let pictures = full
                        .then(|| scope.spawn(|| add_pictures(address, round, &home.path("gallery"), &known, &over)));
                    // A picture is judged for a second or two.
                    std::thread::sleep(Duration::from_millis(if full { 500 } else { 0 }));
                    random.pause(2500);
                    running.signal(libc::SIGKILL);
                    over.store(true, Relaxed);
                    acknowledged += settings.join().unwrap() + pictures.map_or(0, |thread| thread.join().unwrap());
                });
            }
            _ => {
                let viewers: Vec<_> = (0..5).filter_map(|_| crate::watch::view(address).ok()).collect();
                random.pause(400);
                drop(viewers);
            }
        }
        if round % 4 != 2 {
            running.signal(libc::SIGKILL);
        }
        running.wait(PATIENCE);
        running = home.run();
        lost += check(&home, &running, &mut known.lock().unwrap());
    }
    let seen = watch.end();
    assert!(seen.breaks >= rounds, "{seen:?}");
    (seen.gap, acknowledged, left_behind(&home.path("")), lost)
}

/// Sets the quality to one number after the other until the program is gone; returns how many were acknowledged.
fn change_settings(address: SocketAddr, known: &Mutex<Known>, over: &AtomicBool) -> usize {
    let mut acknowledged = 0;
    while !over.load(Relaxed) {
        let quality = 50 + (known.lock().unwrap().quality.0 - 50 + 1) % 50;
        known.lock().unwrap().quality.1 = quality;
        let body = json!({"set": {"stream.quality": quality.to_string()}}).to_string();
        if post(address, "/api/settings", "application/json", body.as_bytes()).is_ok_and(|answer| answer.status == 200)
        {
            known.lock().unwrap().quality.0 = quality;
            acknowledged += 1;
        }
    }
    acknowledged
}

/// Adds pictures, each another file of the same person.
fn add_pictures(address: SocketAddr, round: u64, gallery: &Path, known: &Mutex<Known>, over: &AtomicBool) -> usize {
    let mut acknowledged = 0;
    while !over.load(Relaxed) {
        let mut bytes = std::fs::read(picture("obama3.jpg")).unwrap();
        bytes.extend(format!("{round} {acknowledged}").bytes());
        let answer = post(address, "/api/gallery/picture?person=Barack%20Obama", "image/jpeg", &bytes);
        let Ok(answer) = answer else { continue };
        let told: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if let (200, Some(file)) = (answer.status, told["files"][0].as_str()) {
            assert_eq!(std::fs::metadata(gallery.join(file)).unwrap().len(), bytes.len() as u64, "{file}");
            known.lock().unwrap().files.push(gallery.join(file));
            acknowledged += 1;
        } else {
            // Recognition may not be there yet.
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    acknowledged
}

/// Nothing is half there. Returns how much is lost that was acknowledged.
fn check(home: &Home, running: &Running, known: &mut Known) -> u64 {
    let settings = std::fs::read_to_string(home.path("state/namecam/settings.ini")).unwrap_or_default();
    let number = settings.lines().find_map(|line| line.strip_prefix("quality = ")?.parse().ok()).unwrap_or(80);
    let mut lost = Vec::new();
    if ![known.quality.0, known.quality.1].contains(&number) {
        lost.push(format!("a quality of {number}, not {:?}: {settings}", known.quality));
    }
    known.quality = (number, number);
    known.files.retain(|file| {
        if !file.is_file() {
            lost.push(file.display().to_string());
        }
        file.is_file()
    });
    lost.iter().for_each(|lost| println!("lost: {lost}"));
    for entry in std::fs::read_dir(home.path("gallery/Barack Obama")).unwrap().flatten() {
        if !entry.file_name().to_string_lossy().starts_with('.') {
            image::open(entry.path()).unwrap_or_else(|error| panic!("{}: {error}", entry.path().display()));
        }
    }
    assert!(!running.log().contains("damaged"), "{}", running.log());
    lost.len() as u64
}

/// How many files that a killed program had not finished are below a folder.
fn left_behind(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    let is_unfinished = |name: &str| name.starts_with(".namecam-") || name.ends_with(".new");
    entries
        .map(|entry| match entry.file_type().unwrap().is_dir() {
            true => left_behind(&entry.path()),
            false => usize::from(is_unfinished(&entry.file_name().to_string_lossy())),
        })
        .sum()
}

pub const AT_EACH_WRITE: Fault = Fault {
    name: "each-write",
    wrong: "the process is killed at the first, second, third ... change of a file, in the middle of a write too",
    does: "each file is as before or as after; what was acknowledged is there; the change can be made again",
    within: None,
    waits: false,
    run: at_each_write,
};

/// A change that an admin makes.
pub struct Act {
    pub name: &'static str,
    pub path: &'static str,
    pub body: &'static str,
    /// Before and after it: true in the home.
    pub before: fn(&Home) -> bool,
    pub after: fn(&Home) -> bool,
}

fn is_whole(home: &Home, person: &str) -> bool {
    std::fs::read(home.path(format!("gallery/{person}/obama.jpg")))
        .is_ok_and(|bytes| bytes == std::fs::read(picture("obama.jpg")).unwrap())
}

fn settings(home: &Home) -> String {
    std::fs::read_to_string(home.path("state/namecam/settings.ini")).unwrap_or_default()
}

pub const ACTS: &[Act] = &[
    Act {
        name: "settings",
        path: "/api/settings",
        body: r#"{"set": {"stream.quality": "61", "overlay.unknown": "blur"}}"#,
        before: |home| settings(home).is_empty(),
        after: |home| settings(home).contains("quality = 61") && settings(home).contains("unknown = blur"),
    },
    Act {
        name: "rename",
        path: "/api/gallery/rename",
        body: r#"{"person": "Barack Obama", "to": "Barack"}"#,
        before: |home| is_whole(home, "Barack Obama"),
        after: |home| is_whole(home, "Barack") && !home.path("gallery/Barack Obama").exists(),
    },
    Act {
        name: "move",
        path: "/api/gallery/move",
        body: r#"{"file": "Barack Obama/obama.jpg", "person": "Barack"}"#,
        before: |home| is_whole(home, "Barack Obama"),
        after: |home| is_whole(home, "Barack"),
    },
    Act {
        name: "forget",
        path: "/api/gallery/forget",
        body: r#"{"person": "Barack Obama"}"#,
        before: |home| home.path("gallery/Barack Obama").exists(),
        after: |home| !home.path("gallery/Barack Obama").exists(),
    },
];

fn at_each_write(full: bool) -> Figures {
    // Side by side, since each waits for disks and starts.
    let all: Vec<(String, u64, u64)> = std::thread::scope(|scope| {
        let acts = ACTS.iter().map(|act| scope.spawn(move || kills_of(act.name, full, |n| is_killed_at(act, n))));
        let mut threads: Vec<_> = acts.collect();
        // dlib is slow on a busy machine.
        if full {
            threads.push(scope.spawn(|| kills_of("start", full, start_is_killed_at)));
            threads.push(scope.spawn(|| kills_of("picture", full, picture_is_killed_at)));
        }
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|why| std::panic::resume_unwind(why))).collect()
    });
    let (tried, lost) = (all.iter().map(|(_, kills, _)| kills).sum(), all.iter().map(|(.., lost)| lost).sum());
    let told: Vec<String> = all.iter().map(|(name, kills, _)| format!("{name} {kills}")).collect();
    Figures { tried, survived: tried, lost, remark: told.join(", "), ..Figures::default() }
}

/// Kills at each change of files in turn: the name, how often that was, and how often something was lost.
fn kills_of(name: &str, full: bool, is_killed_at: impl Fn(u64) -> Option<bool>) -> (String, u64, u64) {
    const MOST: u64 = 100;
    let kills: Vec<bool> = (1..=if full { MOST } else { 3 }).map_while(is_killed_at).collect();
    assert!(!kills.is_empty() && kills.len() < MOST as usize, "{name}: {} changes", kills.len());
    (name.to_owned(), kills.len() as u64, kills.iter().filter(|is_lost| **is_lost).count() as u64)
}

/// Makes a change in a home of its own, where the program ends at the `n`-th change of a file: whether it was acknowledged and is
/// lost. `None` when there are fewer changes.
fn is_killed_at(act: &Act, n: u64) -> Option<bool> {
    let home = Home::new("[camera]\nsource = stills:gallery\n[recognition]\nenabled = no\n");
    home.enrol("Barack Obama", "obama.jpg");
    let (mut command, shim) = Shim::of(&home);
    let mut running = Running::start(command.arg("run"));
    running.until("a picture", |running| running.get("/snapshot.jpg").status == 200);
    shim.set(Order::Countdown, n as i64);
    let answer = post(running.address, act.path, "application/json", act.body.as_bytes());
    let is_acknowledged = answer.is_ok_and(|answer| answer.status == 200);
    if shim.get(Order::Reached) == 0 {
        assert!(is_acknowledged && (act.after)(&home), "{}: {}", act.name, running.log());
        return None;
    }
    running.wait(PATIENCE);
    let (before, after) = ((act.before)(&home), (act.after)(&home));
    assert!(after || before, "{} at {n}: neither before nor after, {is_acknowledged}", act.name);
    let again = home.run();
    if !after {
        let (status, told) = again.teach(act.path, &serde_json::from_str(act.body).unwrap());
        assert!(status == 200 && (act.after)(&home), "{} after {n}: {status} {told}", act.name);
    }
    Some(is_acknowledged && !after)
}

fn with_a_gallery() -> Home {
    let home = Home::new("[camera]\nsource = stills:gallery\n");
    home.enrol("Barack Obama", "obama.jpg");
    home
}

/// Starts the program, which ends at the `n`-th change; it starts again then, with files that are whole. `None` when there are fewer.
/// A start acknowledges nothing.
fn start_is_killed_at(n: u64) -> Option<bool> {
    let home = with_a_gallery();
    let (mut command, shim) = Shim::of(&home);
    shim.set(Order::Countdown, n as i64);
    let mut child = command.arg("run").stderr(Stdio::null()).spawn().unwrap();
    let has_cache = || {
        let caches = std::fs::read_dir(home.path("cache/namecam")).into_iter().flatten().flatten();
        caches.into_iter().any(|cache| cache.path().extension().is_none())
    };
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if has_cache() {
            // The folder is synced after that.
            std::thread::sleep(Duration::from_millis(500));
            if shim.get(Order::Reached) == 0 {
                child.kill().unwrap();
                child.wait().unwrap();
                return None;
            }
        }
        assert!(begun.elapsed() < 2 * PATIENCE, "the start at {n}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let again = home.run();
    again.until("the gallery", |running| running.generation() > 0);
    assert!(!again.log().contains("damaged"), "the start at {n}: {}", again.log());
    Some(false)
}

/// Adds a picture, where the program ends at the `n`-th change: whether it was acknowledged and is lost. `None` when there are
/// fewer changes.
fn picture_is_killed_at(n: u64) -> Option<bool> {
    let home = with_a_gallery();
    let (mut command, shim) = Shim::of(&home);
    let mut running = Running::start(command.arg("run"));
    running.until("the gallery", |running| running.generation() > 0);
    shim.set(Order::Countdown, n as i64);
    let bytes = std::fs::read(picture("obama3.jpg")).unwrap();
    let answer = post(running.address, "/api/gallery/picture?person=Barack%20Obama", "image/jpeg", &bytes);
    let is_acknowledged = answer.is_ok_and(|answer| answer.status == 200);
    if shim.get(Order::Reached) == 0 {
        assert!(is_acknowledged, "{}", running.log());
        return None;
    }
    running.wait(PATIENCE);
    let files = std::fs::read_dir(home.path("gallery/Barack Obama")).unwrap().flatten();
    let files = files.filter(|file| !file.file_name().to_string_lossy().starts_with('.'));
    let added: Vec<_> = files.filter(|file| file.file_name() != "obama.jpg").collect();
    assert!(added.len() <= 1, "a picture at {n}: {added:?}");
    assert!(added.iter().all(|file| std::fs::read(file.path()).unwrap() == bytes), "a picture at {n} is not whole");
    let again = home.run();
    again.until("the gallery", |running| running.generation() > 0);
    Some(is_acknowledged && added.is_empty())
}
