//! People who log in, add pictures, rename and forget, while dlib throws or hangs, or the program is killed.

use crate::shim::{Order, Shim};
use crate::support::{Answer, Home, PATIENCE, Running, picture};
use crate::watch::{Random, Watch, free_port};
use crate::{Fault, Figures};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// The header of the admin who makes the changes, anna with the password "correct horse".
const ADMIN: &str = "Authorization: Basic YW5uYTpjb3JyZWN0IGhvcnNl\r\n";

/// A POST of `body`, or a GET when that is empty. An answer that is cut off has the status 0.
fn ask(address: SocketAddr, path: &str, headers: &str, body: &[u8]) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let method = if body.is_empty() { "GET" } else { "POST" };
    let (length, end) = (body.len(), "Connection: close\r\n\r\n");
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n{end}");
    stream.write_all(&[head.as_bytes(), body].concat())?;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    Ok(Answer::from(answer))
}

/// A change by the admin: the status and the answer; 0 when there is none.
fn change(address: SocketAddr, path: &str, body: &Value) -> (u16, String) {
    let headers = format!("{ADMIN}X-Namecam: 1\r\nContent-Type: application/json\r\n");
    let answer = ask(address, path, &headers, body.to_string().as_bytes());
    answer.map_or((0, String::new()), |answer| (answer.status, answer.text()))
}

/// Adds a picture to Barack Obama, whose bytes end with `mark`: the status and the answer, and the bytes.
fn add_picture(address: SocketAddr, mark: &str) -> (u16, String, Vec<u8>) {
    let bytes = [std::fs::read(picture("obama3.jpg")).unwrap(), mark.as_bytes().to_vec()].concat();
    let headers = format!("{ADMIN}X-Namecam: 1\r\nContent-Type: image/jpeg\r\n");
    let answer = ask(address, "/api/gallery/picture?person=Barack%20Obama", &headers, &bytes);
    answer.map_or((0, String::new(), Vec::new()), |answer| (answer.status, answer.text(), bytes))
}

/// Logs in on the login page: the cookie of the session. `None` when that was not acknowledged.
pub fn log_in(address: SocketAddr) -> Option<String> {
    let headers = "Sec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let answer = ask(address, "/login", headers, b"user=anna&password=correct+horse&next=/").ok()?;
    let cookie = answer.head.lines().find_map(|line| line.strip_prefix("Set-Cookie: "))?;
    (answer.status == 303).then(|| cookie.split(';').next().unwrap_or_default().to_owned())
}

/// Whether a session is good; else its user is asked to log in again.
fn is_good(running: &Running, cookie: &str) -> bool {
    let headers = format!("Cookie: {cookie}\r\nX-Namecam: 1\r\n");
    let status = ask(running.address, "/api/state", &headers, b"").unwrap().status;
    assert!([200, 401].contains(&status), "{status} with a session: {}", running.log());
    status == 200
}

/// The state as the admin sees it.
fn state(running: &Running) -> Value {
    let answer = ask(running.address, "/api/state", &format!("{ADMIN}X-Namecam: 1\r\n"), b"").unwrap();
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
}

fn names(running: &Running) -> Vec<String> {
    let faces = state(running)["faces"].as_array().unwrap().clone();
    faces.iter().map(|face| face["name"].as_str().unwrap_or("?").to_owned()).collect()
}

/// Whether the file of sessions holds a session, by the fingerprint of its secret.
fn is_in_file(home: &Home, cookie: &str) -> bool {
    let (_, secret) = cookie.split_once('=').unwrap();
    let key: String = Sha256::digest(secret).iter().map(|byte| format!("{byte:02x}")).collect();
    std::fs::read_to_string(home.path("state/namecam/sessions")).is_ok_and(|text| text.contains(&key))
}

/// Writes the file `users`, with anna.
pub fn add_admin(home: &Home) {
    let mut passwd = home.command();
    passwd.args(["passwd", "--file", "users", "--admin", "anna"]).stdin(Stdio::piped());
    passwd.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = passwd.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"correct horse\n").unwrap();
    assert!(child.wait().unwrap().success());
}

/// A home with accounts and a port that stays, and what else is in its config.
fn home_with_accounts(more: &str) -> (Home, SocketAddr) {
    let (home, port) = (Home::new(""), free_port());
    add_admin(&home);
    let (camera, users) = (home.still_camera("obama2.jpg"), home.path("users"));
    let http = format!("[http]\nbind = 127.0.0.1:{port}\npassword_file = {}\n", users.display());
    home.write_config(&format!("[camera]\nsource = {camera}\n{more}{http}"));
    home.enrol("Barack Obama", "obama.jpg");
    (home, SocketAddr::from(([127, 0, 0, 1], port)))
}

/// The names between which a person of the gallery is renamed to and fro.
const TO_AND_FRO: [&str; 2] = ["One", "Two"];

fn is_whole(home: &Home, person: &str) -> bool {
    let file = std::fs::read(home.path(format!("gallery/{person}/biden.jpg")));
    file.is_ok_and(|bytes| bytes == std::fs::read(picture("biden.jpg")).unwrap())
}

/// What was acknowledged, and was asked for and not acknowledged.
#[derive(Default)]
struct Known {
    /// The name of the person who is renamed: the one that was acknowledged last, and the one that was asked for last.
    name: (usize, usize),
    /// How often that was acknowledged.
    renamed: u64,
    /// People who were forgotten, each acknowledged.
    forgotten: Vec<String>,
    /// Pictures that were acknowledged: their file and their bytes.
    pictures: Vec<(String, Vec<u8>)>,
    /// The cookies of logins that were acknowledged.
    sessions: Vec<String>,
    refused: u64,
}

impl Known {
    /// A change that was not acknowledged says why, unless the program ended.
    fn refused(&mut self, status: u16, told: &str) {
        assert!(status == 0 || ([409, 422, 503].contains(&status) && told.len() > 20), "{status} {told}");
        self.refused += 1;
    }

    fn acknowledged(&self) -> u64 {
        self.renamed + (self.forgotten.len() + self.pictures.len()) as u64
    }

    /// How much of what was acknowledged is gone.
    fn lost(&mut self, home: &Home) -> u64 {
        let mut lost = Vec::new();
        let there = [0, 1].map(|at| is_whole(home, TO_AND_FRO[at]));
        assert!(there[0] != there[1], "{TO_AND_FRO:?}: {there:?}");
        let is = usize::from(there[1]);
        if ![self.name.0, self.name.1].contains(&is) {
            lost.push(format!("the name {}", TO_AND_FRO[self.name.0]));
        }
        self.name = (is, is);
        let are_there = self.forgotten.iter().filter(|person| home.path(format!("gallery/{person}")).exists());
        lost.extend(are_there.map(|person| format!("that {person} was forgotten")));
        let are_gone =
            self.pictures.iter().filter(|(file, bytes)| std::fs::read(home.path(file)).ok().as_ref() != Some(bytes));
        lost.extend(are_gone.map(|(file, _)| file.clone()));
        lost.iter().for_each(|lost| println!("lost: {lost}"));
        lost.len() as u64
    }
}

/// The changes that people make side by side until it is over.
fn change_all(home: &Home, address: SocketAddr, round: u64, known: &Mutex<Known>, over: &AtomicBool) {
    let goes_on = || !over.load(Relaxed);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while goes_on() {
                let is = known.lock().unwrap().name.0;
                known.lock().unwrap().name.1 = 1 - is;
                let body = json!({"person": TO_AND_FRO[is], "to": TO_AND_FRO[1 - is]});
                let (status, told) = change(address, "/api/gallery/rename", &body);
                let mut known = known.lock().unwrap();
                if status != 200 {
                    return known.refused(status, &told);
                }
                (known.name.0, known.renamed) = (1 - is, known.renamed + 1);
            }
        });
        scope.spawn(move || {
            for number in 0.. {
                if !goes_on() {
                    break;
                }
                let person = format!("P{round}.{number}");
                home.enrol(&person, "biden.jpg");
                match change(address, "/api/gallery/forget", &json!({"person": person})) {
                    (200, _) => known.lock().unwrap().forgotten.push(person),
                    (status, told) => known.lock().unwrap().refused(status, &told),
                }
            }
        });
        scope.spawn(move || {
            for number in 0.. {
                if !goes_on() {
                    break;
                }
                let (status, told, bytes) = add_picture(address, &format!("{round} {number}"));
                let told_file = serde_json::from_str::<Value>(&told).unwrap_or_default()["files"][0].clone();
                let mut known = known.lock().unwrap();
                match (status, told_file.as_str()) {
                    (200, Some(file)) => known.pictures.push((format!("gallery/{file}"), bytes)),
                    _ => known.refused(status, &told),
                }
            }
        });
        scope.spawn(move || {
            for _ in 0..3 {
                if goes_on()
                    && let Some(cookie) = log_in(address)
                {
                    known.lock().unwrap().sessions.push(cookie);
                }
            }
        });
    });
}

/// How many sessions of a program that has ended are good after its start. None that its file holds may be lost.
fn good_sessions(running: &Running, known: &mut Known, in_file: &[bool]) -> (u64, u64) {
    assert!(!running.log().contains("must log in again"), "{}", running.log());
    let good: Vec<bool> = known.sessions.iter().map(|cookie| is_good(running, cookie)).collect();
    let lost = good.iter().zip(in_file).filter(|(is_good, was_in_file)| **was_in_file && !**is_good).count();
    known.sessions.clear();
    (good.into_iter().filter(|is_good| *is_good).count() as u64, lost as u64)
}

pub const WHILE_DLIB_THROWS: Fault = Fault {
    name: "dlib-throws-changes",
    wrong: "dlib throws while people add pictures, log in, rename and forget",
    does: "what was acknowledged is done and stays so; what was not is done as a whole or not at all; the gap is without RestartSec",
    within: Some(Duration::from_secs(3)),
    waits: false,
    run: while_dlib_throws,
};

fn while_dlib_throws(full: bool) -> Figures {
    let tried = if full { 10 } else { 1 };
    let (home, address) = home_with_accounts("");
    home.enrol(TO_AND_FRO[0], "biden.jpg");
    let (known, mut random) = (Mutex::new(Known::default()), Random(0x2b99_2ddf));
    let (mut watch, mut lost, mut logins, mut good) = (None, 0, 0, 0);
    for round in 0..tried {
        let (mut command, shim) = Shim::of(&home);
        let mut running = Running::start(command.arg("run"));
        running.until("the gallery", |running| state(running)["recognition"]["generation"].as_u64() > Some(0));
        watch.get_or_insert_with(|| Watch::with(address, ADMIN));
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let changes = scope.spawn(|| change_all(&home, address, round, &known, &over));
            let before = known.lock().unwrap().acknowledged();
            running.until("a change is acknowledged", |_| known.lock().unwrap().acknowledged() > before);
            random.pause(3000);
            shim.set(Order::Dlib, 2);
            let (status, _) = running.wait(PATIENCE);
            assert!(!status.success(), "{status}");
            over.store(true, Relaxed);
            changes.join().unwrap();
        });
        let known = &mut known.lock().unwrap();
        let in_file: Vec<bool> = known.sessions.iter().map(|cookie| is_in_file(&home, cookie)).collect();
        // Without the library that made dlib throw; the next round starts the program again.
        let running = home.run();
        logins += known.sessions.len() as u64;
        let (are_good, are_lost) = good_sessions(&running, known, &in_file);
        (good, lost) = (good + are_good, lost + are_lost + known.lost(&home));
    }
    let running = home.run();
    running.until("the name again", |running| names(running) == ["Barack Obama"]);
    let (seen, known) = (watch.unwrap().end(), known.into_inner().unwrap());
    let (acknowledged, refused) = (known.acknowledged(), known.refused);
    let remark = format!(
        "{acknowledged} changes acknowledged, {refused} refused or cut off; {good} of {logins} logins still good, the others are asked \
         to log in again"
    );
    Figures { tried, survived: tried, lost, remark, ..Figures::default() }.seen(seen)
}

pub const WHILE_DLIB_HANGS: Fault = Fault {
    name: "dlib-hangs-changes",
    wrong: "dlib hangs while people add pictures, log in, rename and forget",
    does: "logs in; renames and forgets on disk, and says that it is not at work yet; says that a picture was not judged in time, and keeps none of it; all stays so, and is at work when dlib goes on",
    within: Some(Duration::from_millis(1100)),
    waits: true,
    run: while_dlib_hangs,
};

fn while_dlib_hangs(full: bool) -> Figures {
    let tried = if full { 5 } else { 1 };
    let (home, address) = home_with_accounts("");
    home.enrol(TO_AND_FRO[0], "biden.jpg");
    let (mut command, shim) = Shim::of(&home);
    let mut running = Running::start(command.arg("run"));
    running.until("the name", |running| names(running) == ["Barack Obama"]);
    let watch = Watch::with(address, ADMIN);
    let (mut known, mut lost) = (Known::default(), 0);
    for round in 0..tried as usize {
        let (person, is) = (format!("P{round}"), round % 2);
        home.enrol(&person, "biden.jpg");
        shim.set(Order::Dlib, 1);
        // A picture that is being judged: dlib hangs by then.
        std::thread::scope(|scope| {
            let judged = scope.spawn(|| add_picture(address, &format!("{round}")));
            std::thread::sleep(Duration::from_millis(500));
            known.sessions.push(log_in(address).expect("a login while dlib hangs"));
            let names = json!({"person": TO_AND_FRO[is], "to": TO_AND_FRO[1 - is]});
            let renamed = scope.spawn(move || change(address, "/api/gallery/rename", &names));
            let forgotten = change(address, "/api/gallery/forget", &json!({"person": person}));
            for (status, told) in [renamed.join().unwrap(), forgotten] {
                assert!(status == 200 && told.contains("\"at_work\":false"), "{status} {told}");
            }
            (known.name, known.renamed) = ((1 - is, 1 - is), known.renamed + 1);
            known.forgotten.push(person);
            let (status, told, _) = judged.join().unwrap();
            assert!(status == 503 && told.contains("was not judged in time"), "{status} {told}");
        });
        known.refused += 1;
        lost += known.lost(&home);
        assert!(known.sessions.iter().all(|cookie| is_good(&running, cookie)), "{}", running.log());
        shim.set(Order::Dlib, 0);
        running.until("what was changed is at work", |running| {
            let answer = ask(running.address, "/api/gallery", &format!("{ADMIN}X-Namecam: 1\r\n"), b"").unwrap();
            let told: Value = serde_json::from_slice(&answer.body).unwrap();
            let people: Vec<&str> =
                told["people"].as_array().unwrap().iter().map(|person| person["name"].as_str().unwrap()).collect();
            people == ["Barack Obama", TO_AND_FRO[1 - is]]
        });
        let (status, told, bytes) = add_picture(address, &format!("again {round}"));
        // The person has enough pictures like this one after a while.
        match serde_json::from_str::<Value>(&told).unwrap_or_default()["files"][0].as_str() {
            Some(file) if status == 200 => known.pictures.push((format!("gallery/{file}"), bytes)),
            _ => known.refused(status, &told),
        }
    }
    let seen = watch.end();
    assert_eq!(seen.breaks, 0, "{}", running.log());
    let pictures = known.pictures.len();
    assert!(pictures > 0, "no picture was added");
    // As systemd ends it when dlib does not come back.
    shim.set(Order::Dlib, 1);
    running.until("the sessions on disk", |_| known.sessions.iter().all(|cookie| is_in_file(&home, cookie)));
    running.signal(libc::SIGKILL);
    running.wait(PATIENCE);
    let running = home.run();
    lost += known.lost(&home) + known.sessions.iter().filter(|cookie| !is_good(&running, cookie)).count() as u64;
    let (acknowledged, logins) = (known.acknowledged(), known.sessions.len());
    let remark = format!(
        "{acknowledged} changes and {logins} logins acknowledged; {} pictures refused with 503; then killed while it hung",
        known.refused
    );
    Figures { tried, survived: tried, lost, remark, ..Figures::default() }.seen(seen)
}

pub const LOGINS_KILLED: Fault = Fault {
    name: "kill-9-logins",
    wrong: "the process is killed while people log in: at each change of the file of sessions, in the middle of its write too, and at any time",
    does: "the file is as before or as after; each session in it is good; who has none is asked to log in again",
    within: Some(Duration::from_secs(3)),
    waits: true,
    run: logins_killed,
};

fn logins_killed(full: bool) -> Figures {
    let (home, address) = home_with_accounts("[recognition]\nenabled = no\n");
    let mut random = Random(0x51ed_270b);
    let (mut watch, mut figures) = (None, Figures::default());
    let (mut logins, mut good) = (0, 0);
    let mut known = Known::default();
    // The sessions that were good after a start: they stay so.
    let mut lasting: Vec<String> = Vec::new();
    // At the first, second, third ... change of a file by a login, and then at any time.
    let (mut at, any_time) = (Some(1), if full { 40 } else { 3 });
    let mut left = any_time;
    while left > 0 {
        let (mut command, shim) = Shim::of(&home);
        let mut running = Running::start(command.arg("run"));
        running.until("pictures", |running| state(running)["camera"]["online"] == true);
        watch.get_or_insert_with(|| Watch::with(address, ADMIN));
        if let Some(n) = at {
            shim.set(Order::Countdown, n);
            let cookie = log_in(address);
            known.sessions.extend(cookie.clone());
            let is_over = || shim.get(Order::Reached) != 0 || cookie.as_ref().is_some_and(|c| is_in_file(&home, c));
            running.until("the file is written, or the program has ended", |_| is_over());
            // The folder is synced after that.
            std::thread::sleep(Duration::from_millis(500));
            at = (shim.get(Order::Reached) != 0).then_some(n + 1);
            assert!(n > 3 || at.is_some(), "a login changes files {n} times only");
            if at.is_none() {
                running.signal(libc::SIGKILL);
            }
        } else {
            left -= 1;
            std::thread::scope(|scope| {
                let people: Vec<_> = (0..2).map(|_| scope.spawn(move || log_in(address))).collect();
                random.pause(250);
                running.signal(libc::SIGKILL);
                known.sessions.extend(people.into_iter().filter_map(|person| person.join().unwrap()));
            });
        }
        running.wait(PATIENCE);
        figures.tried += 1;
        logins += known.sessions.len() as u64;
        known.sessions.extend(lasting.iter().cloned());
        let in_file: Vec<bool> = known.sessions.iter().map(|cookie| is_in_file(&home, cookie)).collect();
        figures.lost += lasting.iter().filter(|cookie| !is_in_file(&home, cookie)).count() as u64;
        let running = home.run();
        let cookies = known.sessions.clone();
        let (are_good, lost) = good_sessions(&running, &mut known, &in_file);
        good += are_good - (lasting.len() as u64).min(are_good);
        figures.lost += lost;
        // A user has at most 100 sessions; the oldest of more ends.
        lasting = cookies.into_iter().zip(in_file).filter(|(_, is)| *is).map(|(cookie, _)| cookie).take(20).collect();
    }
    let seen = watch.unwrap().end();
    let remark =
        format!("{good} of {logins} logins that were acknowledged are good, the others are asked to log in again");
    Figures { survived: figures.tried, remark, ..figures }.seen(seen)
}
