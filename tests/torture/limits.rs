//! What the system does not give, a clock that is wrong, and dlib that throws or hangs.

use crate::shim::{Order, Shim};
use crate::support::{Home, PATIENCE, Running};
use crate::watch::{Usage, Watch, free_port, status_of, view};
use crate::{Fault, Figures};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

const SECOND: Option<Duration> = Some(Duration::from_millis(1100));

/// A home whose camera shows a person of its gallery, and what to call them.
fn with_a_person(more: &str) -> Home {
    let home = Home::new("");
    let camera = home.still_camera("obama2.jpg");
    home.enrol("Barack Obama", "obama.jpg");
    home.write_config(&format!("[camera]\nsource = {camera}\n{more}"));
    home
}

fn quiet_home() -> Home {
    let home = Home::new("");
    let camera = home.still_camera("obama.jpg");
    home.write_config(&format!("[camera]\nsource = {camera}\n[recognition]\nenabled = no\n"));
    home
}

/// Sets a limit of a running process.
fn limit(running: &Running, which: libc::__rlimit_resource_t, value: u64) {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: `limit` lives through the call, which writes nothing here.
    let result = unsafe { libc::prlimit(running.pid(), which, &limit, std::ptr::null_mut()) };
    if result != 0 {
        // Without rights to raise the hard limit: it stays.
        let mut now = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: as above; `now` is written to.
        unsafe { libc::prlimit(running.pid(), which, std::ptr::null(), &mut now) };
        let limit = libc::rlimit { rlim_cur: value.min(now.rlim_max), ..now };
        // SAFETY: as above.
        assert_eq!(unsafe { libc::prlimit(running.pid(), which, &limit, std::ptr::null_mut()) }, 0);
    }
}

/// Many short requests and new viewers; returns how many were answered.
fn requests(address: SocketAddr, count: usize) -> usize {
    let held: Vec<_> = (0..count).filter_map(|_| TcpStream::connect(address).ok()).collect();
    let viewers: Vec<_> = (0..count / 4).filter_map(|_| view(address).ok()).collect();
    drop(held);
    viewers.len()
}

fn rounds(full: bool) -> u64 {
    if full { 20 } else { 1 }
}

pub const DESCRIPTORS: Fault = Fault {
    name: "descriptors",
    wrong: "no file descriptor is left (EMFILE), while clients connect",
    does: "viewers go on; new clients wait or are refused; everything comes back",
    within: SECOND,
    waits: true,
    run: |full| {
        let home = quiet_home();
        shortage(&Running::start(home.command().arg("run")), full, |running, is_short| {
            let descriptors = Usage::of(running.pid()).descriptors;
            limit(running, libc::RLIMIT_NOFILE, if is_short { descriptors } else { 8192 });
        })
    },
};

pub const THREADS: Fault = Fault {
    name: "threads",
    wrong: "no thread can be started (EAGAIN), while clients connect",
    does: "viewers go on; new clients are refused; everything comes back",
    within: SECOND,
    waits: true,
    run: |full| {
        let home = quiet_home();
        let (mut command, shim) = Shim::of(&home);
        shortage(&Running::start(command.arg("run")), full, |_, is_short| {
            shim.set(Order::Threads, i64::from(is_short));
        })
    },
};

pub const MEMORY: Fault = Fault {
    name: "memory",
    wrong: "the address space may grow by 1 MB more (RLIMIT_AS), while clients connect",
    does: "viewers go on; new clients are refused; everything comes back",
    within: SECOND,
    waits: true,
    run: |full| {
        let home = quiet_home();
        shortage(&Running::start(home.command().arg("run")), full, |running, is_short| {
            let now = status_of(running.pid(), "VmSize:") << 10;
            limit(running, libc::RLIMIT_AS, if is_short { now + (1 << 20) } else { libc::RLIM_INFINITY });
        })
    },
};

/// Requests while something is short, and after that; with a viewer from before.
fn shortage(running: &Running, full: bool, set: impl Fn(&Running, bool)) -> Figures {
    let watch = Watch::of(running.address);
    // What the first requests leave in memory is what later ones must not add to.
    let quiet = Usage { memory_kib: u64::MAX / 200, ..Usage::of(running.pid()) };
    requests(running.address, 40);
    let before = Usage::after(running.pid(), quiet, full);
    for _ in 0..rounds(full) {
        set(running, true);
        // No answer is an answer here: each request ends with its connection, or waits in the queue of the system.
        let address = running.address;
        let tried = std::thread::spawn(move || requests(address, 40));
        std::thread::sleep(Duration::from_millis(1500));
        set(running, false);
        tried.join().unwrap();
        running.until("requests are answered again", |running| running.get("/healthz").status == 200);
        running.until("viewers are let in again", |running| view(running.address).is_ok());
    }
    let seen = watch.end();
    assert_eq!(seen.breaks, 0, "{}", running.log());
    let after = Usage::after(running.pid(), before, full);
    Figures { tried: rounds(full), survived: rounds(full), ..Figures::default() }.seen(seen).held(before, after)
}

pub const CLOCK: Fault = Fault {
    name: "clock",
    wrong: "the clock jumps by a year, forward and back, and to 1970",
    does: "names, stream and visits go on; times that are told follow the clock",
    within: SECOND,
    waits: true,
    run: clock,
};

fn clock(full: bool) -> Figures {
    const YEAR_S: i64 = 365 * 24 * 3600;
    // A look takes long on a busy machine.
    let name = || if full { vec!["Barack Obama"] } else { Vec::new() };
    let home = with_a_person(if full { "" } else { "[recognition]\nenabled = no\n" });
    let (mut command, shim) = Shim::of(&home);
    let running = Running::start(command.arg("run"));
    running.until("the name", |running| running.names() == name());
    let watch = Watch::of(running.address);
    let before = Usage::of(running.pid());
    let now = running.state()["now"].as_f64().unwrap();
    let mut tried = 0;
    for _ in 0..rounds(full) {
        for jump in [YEAR_S, 0, -YEAR_S, 0, -(now as i64), 0] {
            shim.set(Order::ClockS, jump);
            let looks = |running: &Running| running.state()["recognition"]["looks"].as_u64().unwrap();
            let (told, had) = (running.state()["now"].as_f64().unwrap(), looks(&running));
            assert!((told - now - jump as f64).abs() < 600.0, "{told}");
            running.until("two more looks", |running| !full || looks(running) > had + 1);
            assert_eq!(running.names(), name());
            let uptime = running.state()["uptime_s"].as_u64().unwrap();
            assert!(uptime < 3600, "{uptime}");
            let reloads = |running: &Running| running.state()["reloads"].as_u64().unwrap();
            let before = reloads(&running);
            running.signal(libc::SIGHUP);
            running.until("a reload", |running| reloads(running) > before);
            let (status, told) = running.change_settings(r#"{"set": {"stream.quality": "70"}}"#);
            assert_eq!(status, 200, "{told}");
            tried += 1;
        }
    }
    let seen = watch.end();
    assert_eq!(seen.breaks, 0);
    let log = running.log();
    assert!(!log.contains(" error "), "{log}");
    Figures { tried, survived: tried, ..Figures::default() }
        .seen(seen)
        .held(before, Usage::after(running.pid(), before, full))
}

pub const DLIB_THROWS: Fault = Fault {
    name: "dlib-throws",
    wrong: "dlib throws in the middle of a look",
    does: "the process ends, and is started again with the same gallery; the gap is without the unit's RestartSec",
    within: Some(Duration::from_secs(3)),
    waits: false,
    run: dlib_throws,
};

fn dlib_throws(full: bool) -> Figures {
    let tried = if full { 10 } else { 1 };
    let port = free_port();
    let home = with_a_person(&format!("[http]\nbind = 127.0.0.1:{port}\n"));
    let mut watch = None;
    for _ in 0..tried {
        let (mut command, shim) = Shim::of(&home);
        let mut running = Running::start(command.arg("run"));
        running.until("the name", |running| running.names() == ["Barack Obama"]);
        watch.get_or_insert_with(|| Watch::of(running.address));
        shim.set(Order::Dlib, 2);
        let (status, _) = running.wait(PATIENCE);
        assert!(!status.success(), "{status}");
    }
    // Without the library that made dlib throw.
    let running = home.run();
    running.until("the name again", |running| running.names() == ["Barack Obama"]);
    let seen = watch.unwrap().end();
    Figures { tried, survived: tried, ..Figures::default() }.seen(seen)
}

pub const DLIB_HANGS: Fault = Fault {
    name: "dlib-hangs",
    wrong: "dlib hangs in a look (at the short scale, for 3 s)",
    does: "streams on without names; after 120 s the watchdog is not fed, and systemd starts it again; the gap is without RestartSec",
    within: Some(Duration::from_secs(3)),
    waits: true,
    run: |full| {
        let port = free_port();
        let home = with_a_person(&format!("[http]\nbind = 127.0.0.1:{port}\n"));
        hangs(&home, Order::Dlib, full, |running| running.names() == ["Barack Obama"])
    },
};

pub const DEVICE_HANGS: Fault = Fault {
    name: "device-hangs",
    wrong: "a V4L2 device hangs in DQBUF, which no time-out ends (at the short scale, for 3 s)",
    does: "sends the last picture every second; after 20 s the watchdog is not fed, and systemd starts it again; the gap is without RestartSec",
    within: Some(Duration::from_secs(3)),
    waits: true,
    run: |full| {
        let (home, port) = (Home::new(""), free_port());
        home.still_camera("obama.jpg");
        let (jpeg, device) = (std::fs::read(home.path("camera.jpg")).unwrap(), home.path("video77"));
        // Four buffers, each with the JPEG.
        let buffer = [&jpeg[..], &vec![0; (1 << 18) - jpeg.len()]].concat();
        home.put("video77", &buffer.repeat(4));
        home.put("jpeg_bytes", jpeg.len().to_string().as_bytes());
        home.write_config(&format!(
            "[camera]\nsource = {}\n[recognition]\nenabled = no\n[http]\nbind = 127.0.0.1:{port}\n",
            device.display()
        ));
        hangs(&home, Order::Device, full, |running| {
            let state = running.state();
            state["camera"]["online"] == true && state["camera"]["age_ms"].as_u64() < Some(1000)
        })
    },
};

/// Lets what `order` names hang, until systemd would end the process; `is_well` before, and after the start.
fn hangs(home: &Home, order: Order, full: bool, is_well: fn(&Running) -> bool) -> Figures {
    /// As in the test of the unit; the unit has 60 s.
    const WATCHDOG: Duration = Duration::from_secs(10);
    let socket = UnixDatagram::bind(home.path("notify")).unwrap();
    socket.set_read_timeout(Some(WATCHDOG)).unwrap();
    let start = || {
        let (mut command, shim) = Shim::of(home);
        let jpeg_bytes = std::fs::read_to_string(home.path("jpeg_bytes"));
        shim.set(Order::JpegBytes, jpeg_bytes.map_or(0, |text| text.parse().unwrap()));
        command.env("NOTIFY_SOCKET", home.path("notify")).env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string());
        command.env_remove("WATCHDOG_PID");
        (Running::start(command.arg("run")), shim)
    };
    let (mut running, shim) = start();
    running.until("all is well", is_well);
    let watch = Watch::of(running.address);
    shim.set(order, 1);
    let begun = Instant::now();
    if !full {
        std::thread::sleep(Duration::from_secs(3));
        shim.set(order, 0);
        running.until("all is well again", is_well);
        let seen = watch.end();
        assert_eq!(seen.breaks, 0);
        return Figures { tried: 1, survived: 1, ..Figures::default() }.seen(seen);
    }
    // systemd ends the process when it has not heard of it for so long.
    let mut last = Instant::now();
    let mut buffer = [0; 4096];
    while last.elapsed() < WATCHDOG {
        assert!(begun.elapsed() < Duration::from_secs(240), "the watchdog is still fed");
        if let Ok(length) = socket.recv(&mut buffer)
            && String::from_utf8_lossy(&buffer[..length]).contains("WATCHDOG=1")
        {
            last = Instant::now();
        }
    }
    let after_s = begun.elapsed().as_secs();
    let hung = watch.end();
    assert_eq!(hung.breaks, 0, "{}", running.log());
    let watch = Watch::of(running.address);
    running.signal(libc::SIGKILL);
    running.wait(PATIENCE);
    let (running, _shim) = start();
    running.until("all is well again", is_well);
    let remark = format!(
        "viewers' longest gap while it hung: {:.2} s; ended {after_s} s after it began, with a WatchdogSec of {} s",
        hung.gap.as_secs_f64(),
        WATCHDOG.as_secs()
    );
    Figures { tried: 1, survived: 1, remark, ..Figures::default() }.seen(watch.end())
}
