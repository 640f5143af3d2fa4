//! Tests signals, the notifications to systemd, and the end of the program.

use crate::support::{Home, PATIENCE, Running, read_part};
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

fn busy_home() -> Home {
    let home = Home::new("");
    let camera = home.still_camera("obama2.jpg");
    home.enrol("Barack Obama", "obama.jpg");
    home.write_config(&format!("[camera]\nsource = {camera}\n[recognition]\ninterval_ms = 0\n"));
    home
}

#[test]
fn sigterm_ends_the_program_within_a_second_during_streams_and_recognition() {
    let home = busy_home();
    let mut running = home.run();
    let mut viewers: Vec<_> = (0..10).map(|_| running.view()).collect();
    let _never_reads = running.view();
    running.until("Obama is named", |r| r.names() == ["Barack Obama"]);
    for viewer in &mut viewers {
        read_part(viewer);
    }
    let (status, took, most) = running.end(libc::SIGTERM);
    assert!(status.success(), "{status}; {}", running.log());
    assert!(took < most, "{took:?} of {most:?}");
}

#[test]
fn sigterm_ends_the_program_while_the_gallery_is_being_enrolled() {
    let home = busy_home();
    for i in 0..40 {
        let bytes = [std::fs::read(crate::support::picture("obama3.jpg")).unwrap(), vec![i]].concat();
        home.put(format!("gallery/Many {i}/1.jpg"), &bytes);
    }
    let mut running = home.run();
    std::thread::sleep(Duration::from_millis(700));
    let (status, took, most) = running.end(libc::SIGINT);
    assert!(status.success() && took < most, "{status} {took:?} of {most:?}");
}

/// Replaces `file` by a FIFO without a writer. Opening it for reading blocks for ever, as on a disk that hangs.
fn hang(file: &std::path::Path) {
    std::fs::remove_file(file).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(file).status().unwrap().success());
}

#[test]
fn sigterm_ends_the_program_within_a_second_while_the_config_cannot_be_read() {
    let home = busy_home();
    let mut running = home.run();
    running.until("pictures come", |r| r.get("/snapshot.jpg").status == 200);
    hang(&home.path("namecam.ini"));
    running.signal(libc::SIGHUP);
    running.until("the reload begins", |r| r.log().contains("reloading config"));
    std::thread::sleep(Duration::from_millis(50));
    let (status, took, most) = running.end(libc::SIGTERM);
    assert!(status.success() && took < most, "{status} {took:?} of {most:?}");
}

/// Drops what the socket has heard, and returns what waits until the watchdog is fed.
fn fed(socket: &UnixDatagram) -> impl FnMut() {
    let mut buffer = [0; 4096];
    socket.set_nonblocking(true).unwrap();
    while socket.recv(&mut buffer).is_ok() {}
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    move || loop {
        let length = socket.recv(&mut buffer).expect("the watchdog is fed");
        if buffer[..length].starts_with(b"WATCHDOG=1") {
            return;
        }
    }
}

#[test]
fn a_password_file_that_cannot_be_read_delays_neither_http_nor_the_watchdog_nor_the_end() {
    let home = busy_home();
    let passwords = home.put("users", b"");
    let socket = UnixDatagram::bind(home.path("notify")).unwrap();
    let bind = "http.bind=127.0.0.1:0";
    let file = format!("http.password_file={}", passwords.display());
    let mut command = home.command();
    command.args(["run", "--set", bind, "--set", &file]);
    command.env("NOTIFY_SOCKET", home.path("notify")).env("WATCHDOG_USEC", "200000").env_remove("WATCHDOG_PID");
    let mut running = Running::start(&mut command);
    hang(&passwords);
    running.signal(libc::SIGHUP);
    running.until("the config is taken up", |r| r.log().contains("reloading config"));
    // The watchdog checks the port about ten times meanwhile; a check that hangs for 700 ms does not feed it.
    let (begun, mut fed) = (Instant::now(), fed(&socket));
    while begun.elapsed() < Duration::from_secs(2) {
        assert_eq!((running.get("/healthz").status, running.get("/api/state").status), (200, 401));
    }
    (0..3).for_each(|_| fed());
    let (status, took, most) = running.end(libc::SIGTERM);
    assert!(status.success() && took < most, "{status} {took:?} of {most:?}");
}

#[test]
fn sigterm_ends_the_program_during_a_pass_that_takes_seconds_and_gigabytes() {
    let home = busy_home();
    let folder = home.path("gallery");
    home.write_config(&format!(
        "[camera]\nsource = stills:{}\nwidth = 1280\n[recognition]\ndetector = cnn\ndetect_width = 1280\n\
         upsample = 1\ninterval_ms = 0\n",
        folder.display()
    ));
    let mut running = home.run();
    // Pictures are enrolled one after the other; each one takes as long as a recognition pass.
    running.until("dlib is at work", |r| resident_mb(r) > 500);
    let (status, took, most) = running.end(libc::SIGTERM);
    assert!(status.success() && took < most, "{status} {took:?} of {most:?}");
}

fn resident_mb(running: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) / 1024
}

#[test]
fn systemd_is_told_ready_reloading_status_watchdog_and_stopping() {
    let home = busy_home();
    let socket = UnixDatagram::bind(home.path("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = home.command();
    command
        .arg("run")
        .env("NOTIFY_SOCKET", home.path("notify"))
        .env("WATCHDOG_USEC", "1000000")
        .env_remove("WATCHDOG_PID");
    let mut running = Running::start(&mut command);
    let mut told = String::new();
    let mut until = |word: &str| {
        let mut buffer = [0; 4096];
        while !told.contains(word) {
            let n = socket.recv(&mut buffer).unwrap_or_else(|e| panic!("{e}: no {word} in {told}"));
            told += &String::from_utf8_lossy(&buffer[..n]);
            told.push('\n');
        }
        told.clear();
    };
    until("READY=1");
    until("WATCHDOG=1");
    running.signal(libc::SIGHUP);
    until("RELOADING=1");
    until("READY=1");
    until("STATUS=");
    running.signal(libc::SIGTERM);
    until("STOPPING=1");
    running.wait(PATIENCE);
}

#[test]
fn the_watchdog_is_fed_while_clients_hold_all_connections() {
    let home = busy_home();
    let socket = UnixDatagram::bind(home.path("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = home.command();
    command
        .arg("run")
        .env("NOTIFY_SOCKET", home.path("notify"))
        .env("WATCHDOG_USEC", "1000000")
        .env_remove("WATCHDOG_PID");
    let mut running = Running::start(&mut command);
    let flood: Vec<TcpStream> = (0..400).map(|_| TcpStream::connect(running.address).unwrap()).collect();
    flood.iter().for_each(|mut stream| drop(stream.write_all(b"GET / HTTP/1.1\r\n")));
    // Notifications before the flood was complete do not count.
    socket.set_nonblocking(true).unwrap();
    let mut buffer = [0; 4096];
    while socket.recv(&mut buffer).is_ok() {}
    socket.set_nonblocking(false).unwrap();
    let (begun, mut fed) = (Instant::now(), 0);
    while fed < 4 {
        // Less than the 30 s after which the server closes connections without a request.
        assert!(begun.elapsed() < Duration::from_secs(20), "fed {fed} times: {}", running.log());
        let length = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{error}: fed {fed} times"));
        fed += String::from_utf8_lossy(&buffer[..length]).lines().filter(|line| *line == "WATCHDOG=1").count();
    }
    drop(flood);
    running.signal(libc::SIGTERM);
    running.wait(PATIENCE);
}

#[test]
fn a_port_in_use_is_named() {
    let home = busy_home();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = home.command().args(["run", "--set", &format!("http.bind={address}")]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains(&address), "{said}");
}

#[test]
fn a_blocked_stderr_does_not_end_the_program() {
    let home = busy_home();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let socket = UnixDatagram::bind(home.path("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = home.command();
    let mut child = command.arg("run").env("NOTIFY_SOCKET", home.path("notify")).stderr(full).spawn().unwrap();
    let (mut told, mut buffer) = (String::new(), [0; 4096]);
    while !told.contains("READY=1") {
        let length = socket.recv(&mut buffer).expect("it gets ready");
        told += &String::from_utf8_lossy(&buffer[..length]);
    }
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(child.try_wait().unwrap(), None);
    // SAFETY: kill accepts any numbers; the child has not been reaped, so the number is still its own.
    unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
    assert!(child.wait().unwrap().success());
}
