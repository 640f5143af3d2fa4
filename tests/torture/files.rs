//! Files that are cut, and disks that take nothing.

use crate::changes::{add_admin, log_in};
use crate::kills::{ACTS, Act};
use crate::shim::{Order, Shim};
use crate::support::{Home, PATIENCE, Running};
use crate::watch::{Seen, Usage, Watch};
use crate::{Fault, Figures};
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

pub const CUT: Fault = Fault {
    name: "files-cut",
    wrong: "a file of ours ends after any of its bytes: settings.ini, sessions, ids of events, names for topics, users",
    does: "starts, or ends with status 78 and the file's name; the other files stay as they are",
    within: None,
    waits: false,
    run: cut,
};

/// The files of a state folder, each whole.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let home = Home::new("");
    add_admin(&home);
    home.write_config(&config(&home));
    let running = home.run();
    log_in(running.address).expect("a login");
    running.until("a session", |_| home.path("state/namecam/sessions").exists());
    let settings = b"[overlay]\nunknown = blur\n\n[stream]\nquality = 61\n";
    let people = "[\n  {\n    \"slug\": \"alice\",\n    \"name\": \"Alice\"\n  },\n  {\n    \"slug\": \"p_1\",\n    \"name\": \"민호\"\n  }\n]";
    home.put("state/namecam/settings.ini", settings);
    home.put("state/namecam/people", people.as_bytes());
    let read = |name| (name, std::fs::read(home.path(name)).unwrap());
    let of_state =
        ["state/namecam/settings.ini", "state/namecam/sessions", "state/namecam/events", "state/namecam/people"];
    of_state.into_iter().chain(["users"]).map(read).collect()
}

fn config(home: &Home) -> String {
    let users = home.path("users");
    format!(
        "[camera]\nsource = stills:gallery\n[recognition]\nenabled = no\n[http]\nbind = 127.0.0.1:0\npassword_file = {}\n",
        users.display()
    )
}

fn cut(full: bool) -> Figures {
    let whole = files();
    let step = if full { 1 } else { 97 };
    let lengths = |bytes: &[u8]| (0..bytes.len()).step_by(step).collect::<Vec<_>>();
    let cuts: Vec<(usize, usize)> = (0..)
        .zip(&whole)
        .flat_map(|(at, (_, bytes))| lengths(bytes).into_iter().map(move |length| (at, length)))
        .collect();
    let (next, refused) = (AtomicU64::new(0), Mutex::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let home = Home::new("");
                home.write_config(&config(&home));
                while let Some((at, length)) = cuts.get(next.fetch_add(1, Relaxed) as usize) {
                    *refused.lock().unwrap() += u64::from(starts_with(&home, &whole, *at, *length));
                }
            });
        }
    });
    let (tried, refused) = (cuts.len() as u64, refused.into_inner().unwrap());
    let remark = format!("{refused} ended with 78");
    Figures { tried, survived: tried, remark, ..Figures::default() }
}

/// Starts the program where one of the files is cut; true when it ends with status 78 and says which file it was.
fn starts_with(home: &Home, whole: &[(&str, Vec<u8>)], at: usize, length: usize) -> bool {
    for (name, bytes) in whole {
        home.put(name, bytes);
    }
    let (name, bytes) = &whole[at];
    home.put(name, &bytes[..length]);
    let mut command = home.command();
    let mut child = command.arg("run").stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
    let mut said = String::new();
    let mut listens = false;
    for line in BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok) {
        said += &format!("{line}\n");
        if let Some(address) = line.strip_prefix("listening on http://") {
            listens = true;
            let mut stream = std::net::TcpStream::connect(address.trim_end_matches('/')).unwrap();
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
            let mut answer = String::new();
            BufReader::new(stream).read_line(&mut answer).unwrap();
            assert!(
                answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.1 503"),
                "{name} {length}: {answer}"
            );
            child.kill().unwrap();
        }
    }
    let status = child.wait().unwrap();
    let file = name.rsplit('/').next().unwrap();
    assert!(
        listens || (status.code() == Some(78) && said.contains(file)),
        "{name}, cut after {length} bytes: {status}: {said}"
    );
    for (other, bytes) in whole.iter().filter(|(other, _)| other != name && !other.ends_with("events")) {
        assert_eq!(std::fs::read(home.path(other)).unwrap(), *bytes, "{other} is another one: {name}, {length}");
    }
    !listens
}

pub const DISK: Fault = Fault {
    name: "disk",
    wrong: "the disk is full, or read-only, from the first, second, third ... change of a file on",
    does: "says why, changes nothing, streams on; the change can be made when there is room again",
    within: Some(Duration::from_millis(1100)),
    waits: false,
    run: disk,
};

fn disk(full: bool) -> Figures {
    let (mut figures, mut refused, mut lost) = (Figures::default(), 0, 0);
    for act in ACTS.iter().take(if full { ACTS.len() } else { 2 }) {
        for errno in [libc::ENOSPC, libc::EROFS] {
            for n in 1.. {
                let Some((seen, was_refused, is_lost)) = refuses_at(act, errno, n) else { break };
                figures.tried += 1;
                refused += u64::from(was_refused);
                lost += u64::from(is_lost);
                figures = figures.seen(seen);
                if !full && n == 1 {
                    break;
                }
            }
        }
    }
    assert!(refused > 0, "nothing was ever refused");
    Figures { survived: figures.tried, lost, remark: format!("{refused} changes refused"), ..figures }
}

/// Makes a change where the disk takes nothing from the `n`-th change of a file on: what a viewer saw, whether the change was
/// refused, and whether it was acknowledged and is lost. `None` when there are fewer.
fn refuses_at(act: &Act, errno: i32, n: i64) -> Option<(Seen, bool, bool)> {
    let home = Home::new("[camera]\nsource = stills:gallery\n[recognition]\nenabled = no\n");
    home.enrol("Barack Obama", "obama.jpg");
    let (mut command, shim) = Shim::of(&home);
    let running = Running::start(command.arg("run"));
    let watch = Watch::of(running.address);
    let body = serde_json::from_str(act.body).unwrap();
    shim.set(Order::How, errno.into());
    shim.set(Order::Countdown, n);
    let (status, told) = running.teach(act.path, &body);
    let reached = shim.get(Order::Reached) != 0;
    if !reached {
        assert!(status == 200 && (act.after)(&home), "{}: {status} {told}", act.name);
        watch.end();
        return None;
    }
    let is_whole = (act.before)(&home) || (act.after)(&home);
    assert!(is_whole, "{} at {n}, errno {errno}: {status} {told}: neither before nor after", act.name);
    let is_lost = status == 200 && !(act.after)(&home);
    if status != 200 {
        let why = if errno == libc::ENOSPC { "full" } else { "read-only" };
        assert!(status == 500 && told.to_string().contains(why), "{} at {n}: {status} {told}", act.name);
    }
    for order in [Order::Countdown, Order::How, Order::Refusing] {
        shim.set(order, 0);
    }
    if !(act.after)(&home) {
        let (status, told) = running.teach(act.path, &body);
        assert!(status == 200 && (act.after)(&home), "{} after {n}: {status} {told}", act.name);
    }
    let begun = Instant::now();
    while running.get("/healthz").status != 200 {
        assert!(begun.elapsed() < PATIENCE, "{}", running.log());
    }
    let seen = watch.end();
    assert_eq!(seen.breaks, 0);
    Some((seen, status != 200, is_lost))
}

pub const IDLE: Fault = Fault {
    name: "idle",
    wrong: "nothing: viewers watch a person who is known, for so many seconds, and nothing changes",
    does: "writes nothing to the disk",
    within: Some(Duration::from_millis(1100)),
    waits: true,
    run: idle,
};

fn idle(full: bool) -> Figures {
    let home = Home::new("");
    let camera = home.still_camera("obama2.jpg");
    home.enrol("Barack Obama", "obama.jpg");
    home.write_config(&format!("[camera]\nsource = {camera}\n"));
    let (mut command, shim) = Shim::of(&home);
    let running = Running::start(command.arg("run"));
    running.until("the name", |running| running.names() == ["Barack Obama"]);
    let watch = Watch::of(running.address);
    // What belongs to the name may be written after it is shown.
    let (begun, mut changes) = (Instant::now(), 0);
    while shim.get(Order::Changes) != changes {
        assert!(begun.elapsed() < PATIENCE, "{changes} changes, and no end");
        changes = shim.get(Order::Changes);
        std::thread::sleep(Duration::from_secs(2));
    }
    // namecam gives free memory back when the gallery is at work. The next search of the whole frame, which comes within
    // a minute, takes it again.
    std::thread::sleep(Duration::from_secs(if full { 75 } else { 0 }));
    let before = Usage::of(running.pid());
    assert!(changes > 0, "the start writes the ids of events and the cache");
    let tried = if full { 120 } else { 3 };
    std::thread::sleep(Duration::from_secs(tried));
    assert_eq!(shim.get(Order::Changes), changes, "files were changed");
    let after = Usage::after(running.pid(), before, full);
    Figures { tried, survived: tried, ..Figures::default() }.seen(watch.end()).held(before, after)
}
