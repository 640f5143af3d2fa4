//! Tests of the server over real sockets, with pictures from a fake encoder.

use super::{faces, stage};
use crate::detection::Sightings;
use crate::frame::{Jpeg, Moment};
use crate::http::auth::access::Access;
use crate::http::server::Server;
use crate::http::{PLACE_WAIT, ROUTES, Site, Stage, serve};
use crate::sync::lock;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, Once};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A server with a thread that publishes pictures, ended on drop.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) stage: Arc<Stage>,
    pub(super) own_question: Arc<Mutex<Option<SocketAddr>>>,
    threads: Vec<JoinHandle<()>>,
    _alone: MutexGuard<'static, ()>,
}

/// Allows one server at a time, so that threads can be counted.
static ALONE: Mutex<()> = Mutex::new(());

/// Panics outside of test threads. A test program unwinds; the real one would have ended.
static PANICS: AtomicUsize = AtomicUsize::new(0);
static WATCH: Once = Once::new();

fn watch_for_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().name().is_none_or(|name| name.starts_with("http-")) {
            PANICS.fetch_add(1, Relaxed);
        }
        usual(info);
    }));
}

impl Running {
    /// `size`: bytes of a picture; 25 of them a second.
    pub(super) fn start(size: usize, max_viewers: u32, read_timeout: Duration) -> Running {
        Running::with_pace(size, Duration::from_millis(40), max_viewers, read_timeout)
    }

    pub(super) fn with_pace(size: usize, every: Duration, max_viewers: u32, read_timeout: Duration) -> Running {
        let alone = lock(&ALONE);
        WATCH.call_once(watch_for_panics);
        let built = stage(|config| config.stream.max_viewers = max_viewers);
        Running::of(built, size, every, read_timeout, PLACE_WAIT, alone)
    }

    /// A server on which requests wait long for a place, so that one that becomes free late is still in time.
    pub(super) fn patient(every: Duration, max_viewers: u32) -> Running {
        let alone = lock(&ALONE);
        WATCH.call_once(watch_for_panics);
        let built = stage(|config| config.stream.max_viewers = max_viewers);
        Running::of(built, 100, every, Duration::from_secs(30), Duration::from_secs(12), alone)
    }

    /// A server that requires a password of `file`.
    pub(super) fn guarded(file: &Path) -> Running {
        let alone = lock(&ALONE);
        WATCH.call_once(watch_for_panics);
        let built = stage(|config| config.http.password_file = Some(file.to_owned()));
        Running::of(built, 100, Duration::from_millis(40), Duration::from_secs(30), PLACE_WAIT, alone)
    }

    fn of(
        built: Stage,
        size: usize,
        every: Duration,
        read_timeout: Duration,
        place_wait: Duration,
        alone: MutexGuard<'static, ()>,
    ) -> Running {
        let config = built.config.newest().unwrap().1;
        let server = Server::impatient(&config, read_timeout).unwrap();
        let (address, own_question) = (server.local_addr(), server.own_question());
        built.health.camera_is_online("test", "MJPG", 4, 4);
        let shared = Arc::new(share(&built));
        let site = Arc::new(Site { place_wait, ..Site::new(built, None).unwrap() });
        let serving = std::thread::spawn(move || serve(&server, &site));
        let publishing = {
            let stage = Arc::clone(&shared);
            let publish = move || {
                let mut jpeg = Jpeg::new(Arc::new(vec![b'J'; size]), Moment::now(), true);
                jpeg.frame_published_at = Some(jpeg.captured_at.instant);
                stage.renditions.usual().publish(&Arc::new(jpeg));
            };
            publish();
            let stage = Arc::clone(&shared);
            std::thread::spawn(move || {
                while !stage.stop.wait(every) {
                    publish();
                }
            })
        };
        Running { address, stage: shared, own_question, threads: vec![serving, publishing], _alone: alone }
    }

    pub(super) fn small() -> Running {
        Running::start(100, 32, Duration::from_secs(30))
    }

    pub(super) fn ask(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    /// The whole response, up to the end of the connection.
    pub(super) fn answer(&self, request: &str) -> String {
        let mut text = String::new();
        self.ask(request).read_to_string(&mut text).unwrap();
        text
    }

    pub(super) fn until(&self, what: &str, reached: impl Fn() -> bool) {
        let begun = Instant::now();
        while !reached() {
            assert!(begun.elapsed() < Duration::from_secs(60), "in vain: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn share(stage: &Stage) -> Stage {
    Stage {
        config: Arc::clone(&stage.config),
        settings: Arc::clone(&stage.settings),
        sightings: Arc::clone(&stage.sightings),
        roster: Arc::clone(&stage.roster),
        chips: Arc::clone(&stage.chips),
        tuning: Arc::clone(&stage.tuning),
        desk: Arc::clone(&stage.desk),
        slugs: Arc::clone(&stage.slugs),
        events: Arc::clone(&stage.events),
        day: Arc::clone(&stage.day),
        renditions: Arc::clone(&stage.renditions),
        health: Arc::clone(&stage.health),
        stop: Arc::clone(&stage.stop),
        versions: stage.versions.clone(),
        state_folder: stage.state_folder.clone(),
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stage.stop.set();
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        if !std::thread::panicking() {
            assert_eq!(PANICS.load(Relaxed), 0, "a panic in the server would have ended the program");
        }
    }
}

pub(super) const CLOSE: &str = "Host: localhost\r\nConnection: close\r\n\r\n";

pub(super) fn read_head(stream: &mut impl BufRead) -> Vec<String> {
    let lines = stream.lines().map(Result::unwrap).take_while(|line| !line.is_empty());
    lines.collect()
}

#[test]
fn parts_are_laid_out_to_the_byte_and_each_ends_with_the_next_boundary() {
    let running = Running::small();
    for target in ["/video_feed", "/stream.mjpg", "/?action=stream"] {
        let mut stream = BufReader::new(running.ask(&format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")));
        let head = read_head(&mut stream);
        assert_eq!(head[0], "HTTP/1.1 200 OK");
        assert!(head.contains(&"Content-Type: multipart/x-mixed-replace; boundary=frame".to_owned()), "{head:?}");
        assert!(!head.iter().any(|line| line.starts_with("Transfer-Encoding") || line.starts_with("Content-Length")));
        let mut boundary = [0; 9];
        stream.read_exact(&mut boundary).unwrap();
        assert_eq!(&boundary, b"--frame\r\n");
        for _ in 0..3 {
            let part = read_head(&mut stream);
            assert_eq!(part[..2], ["Content-Type: image/jpeg", "Content-Length: 100"]);
            assert!(part[2].starts_with("X-Timestamp: ") && part.len() == 3, "{part:?}");
            let mut rest = [0; 111];
            stream.read_exact(&mut rest).unwrap();
            assert_eq!(rest[..100], [b'J'; 100]);
            assert_eq!(&rest[100..], b"\r\n--frame\r\n");
        }
    }
}

#[test]
fn an_http_1_0_client_gets_pictures_and_whole_answers() {
    let running = Running::small();
    let mut stream = running.ask("GET /video_feed HTTP/1.0\r\n\r\n");
    let mut bytes = vec![0; 2000];
    stream.read_exact(&mut bytes).unwrap();
    assert!(String::from_utf8_lossy(&bytes).matches("X-Timestamp").count() >= 5);
    let answer = running.answer("GET /healthz HTTP/1.0\r\n\r\n");
    assert!(answer.ends_with("\r\n\r\nok\n") && answer.contains("\r\nConnection: close\r\n"), "{answer}");
}

#[test]
fn the_last_picture_comes_again_after_a_second_without_a_new_one() {
    let running = Running::with_pace(4, Duration::from_secs(60), 32, Duration::from_secs(30));
    let stream = BufReader::new(running.ask("GET /video_feed HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    let begun = Instant::now();
    let mut lines = stream.lines().map(Result::unwrap);
    let mut next = || assert!(lines.by_ref().any(|line| line == "JJJJ"));
    next();
    let mut newer = Jpeg::new(Arc::new(b"JJJJ".to_vec()), Moment::now(), true);
    newer.frame_published_at = Some(newer.made_at);
    running.stage.renditions.usual().publish(&Arc::new(newer));
    (0..3).for_each(|_| next());
    let took = begun.elapsed();
    assert_eq!(running.stage.health.ages.written.since_start().count, 1, "a repeated picture does not count");
    assert!(took > Duration::from_millis(1900), "{took:?}");
}

#[test]
fn the_ages_of_written_pictures_are_in_the_state_and_in_the_metrics() {
    let running = Running::small();
    let mut stream = BufReader::new(running.ask("GET /video_feed HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    let mut lines = stream.by_ref().lines().map(Result::unwrap).filter(|line| line.starts_with("X-Timestamp"));
    assert_eq!(lines.by_ref().take(10).count(), 10);
    // A picture is counted after it is written.
    let written = || running.stage.health.ages.written.since_start().count;
    running.until("the pictures are counted", || written() >= 9);
    let state = running.answer(&format!("GET /api/state HTTP/1.1\r\n{CLOSE}"));
    let state: serde_json::Value = serde_json::from_str(state.split_once("\r\n\r\n").unwrap().1).unwrap();
    let total = |figure: &str| state["stream"]["age_ms"]["total"][figure].as_f64().unwrap();
    assert!(0.0 < total("p50") && total("p50") <= total("p95") && total("p99") <= total("max"), "{state}");
    assert!(total("p50") < 1000.0, "{state}");
    let metrics = running.answer(&format!("GET /metrics HTTP/1.1\r\n{CLOSE}"));
    let value = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("namecam_picture_age_seconds_{name} ")));
        line.unwrap_or_else(|| panic!("{name}: {metrics}")).parse::<f64>().unwrap()
    };
    let (all, sum) = (value("count{step=\"total\"}"), value("sum{step=\"total\"}"));
    assert!(all >= 9.0 && sum > 0.0 && sum < all, "{all} {sum}");
    assert_eq!(value("bucket{step=\"total\",le=\"+Inf\"}"), all);
    assert_eq!(value("bucket{step=\"total\",le=\"16.777216\"}"), all);
    assert!(value("bucket{step=\"total\",le=\"0.000128\"}") <= value("bucket{step=\"total\",le=\"1.048576\"}"));
    assert!(metrics.contains("# TYPE namecam_picture_age_seconds histogram\n"), "{metrics}");
}

#[test]
fn a_viewer_beyond_the_limit_gets_503_and_retry_after() {
    let running = Running::small();
    let ask = "GET /video_feed HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let viewers: Vec<TcpStream> = (0..24).map(|_| running.ask(ask)).collect();
    running.until("24 viewers", || running.stage.renditions.viewers() == 24);
    let refused = running.answer(&format!("GET /video_feed HTTP/1.1\r\n{CLOSE}"));
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("\r\nRetry-After: 10\r\n"), "{refused}");
    assert!(refused.contains("max_viewers"));
    let head = running.answer(&format!("HEAD /video_feed HTTP/1.1\r\n{CLOSE}"));
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    drop(viewers);
    running.until("no viewer", || running.stage.renditions.viewers() == 0);
    let mut again = running.ask(ask);
    let mut bytes = [0; 500];
    again.read_exact(&mut bytes).unwrap();
    assert!(bytes.starts_with(b"HTTP/1.1 200 "));
}

#[test]
fn a_page_learns_whether_its_own_stream_is_sent() {
    let running = Running::small();
    let watching = |key: &str| {
        let answer = running.answer(&format!("GET /api/state?t={key} HTTP/1.1\r\n{CLOSE}"));
        let state: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        state["stream"]["watching"].as_bool()
    };
    let long = "k".repeat(33);
    let view = |key: &str| running.ask(&format!("GET /video_feed?t={key} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    let (one, same, _other, _long) = (view("1-2"), view("1-2"), view("3"), view(&long));
    running.until("4 viewers", || running.stage.renditions.viewers() == 4);
    assert_eq!((watching("1-2"), watching("3"), watching("1")), (Some(true), Some(true), Some(false)));
    assert_eq!((watching(""), watching(&long)), (None, None), "without a key there is no answer");
    drop(one);
    running.until("one has disconnected", || running.stage.renditions.viewers() == 3);
    assert_eq!(watching("1-2"), Some(true), "the same key watches once more");
    drop(same);
    running.until("both have disconnected", || watching("1-2") == Some(false));
    assert_eq!(watching("3"), Some(true));
    running.answer(&format!("HEAD /video_feed?t=4 HTTP/1.1\r\n{CLOSE}"));
    assert_eq!(watching("4"), Some(false));
}

#[test]
fn head_has_the_head_of_get_and_no_body() {
    let running = Running::small();
    for target in ["/", "/healthz", "/api/state", "/snapshot.jpg", "/nowhere"] {
        let answer = running.answer(&format!("HEAD {target} HTTP/1.1\r\n{CLOSE}"));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(body.is_empty(), "{target}: {body}");
        assert!(head.contains("\r\nContent-Length: ") && !head.contains("\r\nContent-Length: 0"), "{head}");
    }
    let stream = running.answer(&format!("HEAD /video_feed HTTP/1.1\r\n{CLOSE}"));
    assert!(stream.starts_with("HTTP/1.1 200 ") && stream.ends_with("\r\n\r\n"), "{stream}");
    running.until("no viewer", || running.stage.renditions.viewers() == 0);
}

#[test]
fn a_wrong_method_gets_405_with_allow_and_the_usual_headers_are_there() {
    let running = Running::small();
    let answer = running.answer(&format!("PUT /api/state HTTP/1.1\r\n{CLOSE}"));
    assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("\r\nAllow: GET, HEAD\r\n"), "{answer}");
    for line in ["X-Content-Type-Options: nosniff", "Cache-Control: no-store", "Referrer-Policy: no-referrer"] {
        assert!(answer.contains(&format!("\r\n{line}\r\n")), "{answer}");
    }
    assert!(!answer.contains("Access-Control"));
}

#[test]
fn pages_of_other_origins_may_embed_streams_and_snapshots_and_nothing_else() {
    let running = Running::small();
    for route in ROUTES {
        let path = route.path.replace("{track}", "7").replace("{id}", "0");
        let target = route.action.map_or(path.clone(), |action| format!("{path}?action={action}"));
        // A route that changes something refuses a request from no page.
        let method = if route.method.changes() { route.method.as_str() } else { "HEAD" };
        let answer = running.answer(&format!("{method} {target} HTTP/1.1\r\n{CLOSE}"));
        let policy = if route.access == Access::Picture { "cross-origin" } else { "same-origin" };
        assert!(answer.contains(&format!("\r\nCross-Origin-Resource-Policy: {policy}\r\n")), "{target}: {answer}");
    }
    let raw = running.answer(&format!("HEAD /video_feed?raw=1 HTTP/1.1\r\n{CLOSE}"));
    assert!(raw.contains("\r\nCross-Origin-Resource-Policy: cross-origin\r\n"), "{raw}");
}

#[test]
fn one_connection_carries_many_requests() {
    let running = Running::small();
    let mut stream = BufReader::new(running.ask(&"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(50)));
    for _ in 0..50 {
        let head = read_head(&mut stream);
        assert_eq!(head[0], "HTTP/1.1 200 OK");
        let mut body = [0; 3];
        stream.read_exact(&mut body).unwrap();
        assert_eq!(&body, b"ok\n");
    }
}

/// Threads of this process with this name.
fn threads(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|comm| comm.trim() == name).count()
}

#[test]
fn fifty_viewers_connect_and_disconnect_and_leave_nothing_behind() {
    let running = Running::start(5_000, 100, Duration::from_secs(30));
    let viewers: Vec<TcpStream> =
        (0..50).map(|_| running.ask("GET /video_feed HTTP/1.1\r\nHost: localhost\r\n\r\n")).collect();
    running.until("50 viewers", || running.stage.renditions.viewers() == 50);
    assert!(threads("http-answer") >= 50);
    drop(viewers);
    running.until("no viewer", || running.stage.renditions.viewers() == 0);
    assert!(running.stage.renditions.wanted().is_empty(), "nothing is to be encoded");
    // Requests of an earlier test's server may wait for a password check, for 20 s at most.
    running.until("no threads", || threads("http-answer") + threads("http-connection") == 0);
}

#[test]
fn events_report_faces_that_appear_or_leave_and_nothing_else() {
    let running = Running::small();
    let mut stream = BufReader::new(running.ask("GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    let head = read_head(&mut stream);
    assert!(head.contains(&"Content-Type: text/event-stream".to_owned()), "{head:?}");
    assert_eq!(read_head(&mut stream), ["retry: 2000"]);
    assert_eq!(read_head(&mut stream)[0], "event: camera");
    assert_eq!(read_head(&mut stream), ["event: faces", "data: []"]);
    // Looks that are not stale before the end of the test.
    for _ in 0..3 {
        running.stage.sightings.publish(Arc::new(faces()));
        std::thread::sleep(Duration::from_millis(50));
    }
    let came = read_head(&mut stream);
    assert!(came[0] == "event: faces" && came[1].contains("\"name\":\"Alice\""), "{came:?}");
    running.stage.sightings.publish(Arc::new(Sightings { faces: Vec::new(), ..faces() }));
    assert_eq!(read_head(&mut stream), ["event: faces", "data: []"], "one event for three passes with the same people");
}

#[test]
fn the_end_takes_a_third_of_a_second_even_with_viewers() {
    let mut running = Running::start(100_000, 32, Duration::from_secs(30));
    let viewers: Vec<TcpStream> =
        (0..8).map(|_| running.ask("GET /video_feed HTTP/1.1\r\nHost: localhost\r\n\r\n")).collect();
    running.until("8 viewers", || running.stage.renditions.viewers() == 8);
    std::thread::sleep(Duration::from_secs(1));
    let begun = Instant::now();
    running.stage.stop.set();
    running.threads.drain(..).for_each(|thread| thread.join().unwrap());
    // However late this thread is: the server has not waited for the viewers, whose pictures are still being sent.
    let (took, still_sent) = (begun.elapsed(), threads("http-answer"));
    assert!(took < Duration::from_millis(900) || still_sent > 0, "{took:?}");
    drop(viewers);
}
