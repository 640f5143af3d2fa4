//! Tests of HTTP: the dispatcher without sockets here, the server with them in [`sockets`] and [`hostile`].

mod blurred;
mod boxes;
mod cors;
mod credentials;
mod doors;
mod fuzz;
mod hostile;
mod shares;
mod slow;
mod snapshots;
mod sockets;
mod specs;
mod tuning;
mod typed;
mod visits;

use super::*;
use crate::config::Origin;
use crate::detection::{Because, Evidence, Flaw, Near, Reason, Sighting, State};
use crate::frame::Jpeg;
use crate::http::auth::accounts::Role;
use crate::image::Rect;
use crate::roster::{Person, PictureReport};
use crate::telemetry::faults::Cause;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

pub(super) fn stage(change: impl FnOnce(&mut Config)) -> Stage {
    let mut config = Config::defaults(Path::new("/nowhere"));
    config.http.bind = "127.0.0.1:0".to_owned();
    change(&mut config);
    let config = Arc::new(Latest::with(config));
    let nowhere = Origin { state_folder: Some("/nowhere/else".into()), ..Origin::default() };
    Stage {
        settings: Arc::new(Settings::new(nowhere, Arc::clone(&config))),
        config,
        sightings: Arc::default(),
        roster: Arc::default(),
        chips: Arc::default(),
        desk: Arc::default(),
        slugs: Arc::default(),
        tuning: Arc::default(),
        events: Arc::default(),
        day: Arc::default(),
        renditions: Arc::new(Renditions::idle()),
        health: Arc::default(),
        stop: Arc::default(),
        versions: "namecam of a test\n".to_owned(),
        state_folder: None,
    }
}

impl Site {
    /// The response to a request whose body, if any, has been read.
    fn respond<'a>(&'a self, request: &'a Request) -> Answer<'a> {
        match self.admit(request) {
            Ok((admitted, _)) => self.answer(request, admitted),
            Err(refusal) => refusal.into(),
        }
    }
}

fn site(change: impl FnOnce(&mut Config)) -> Site {
    Site { place_wait: Duration::ZERO, ..Site::new(stage(change), None).unwrap() }
}

fn request(method: &str, target: &str, peer: &str) -> Request {
    let headers = vec![("Host".to_owned(), "127.0.0.1:5000".to_owned())];
    Request { headers, peer: Some(peer.parse::<IpAddr>().unwrap()), ..Request::new(method, target) }
}

fn with(mut request: Request, name: &str, value: &str) -> Request {
    request.headers.retain(|(n, _)| n != name);
    request.headers.push((name.to_owned(), value.to_owned()));
    request
}

fn whole(site: &Site, request: &Request) -> Whole {
    match site.respond(request) {
        Answer::Whole(whole) => whole,
        Answer::Stream(_) => panic!("{request:?} is a stream"),
    }
}

fn status(site: &Site, request: &Request) -> u16 {
    site.respond(request).status()
}

fn body(whole: &Whole) -> String {
    String::from_utf8_lossy(whole.body.bytes()).into_owned()
}

fn parsed(whole: &Whole) -> Value {
    serde_json::from_str(&body(whole)).unwrap()
}

fn header<'a>(whole: &'a Whole, name: &str) -> Option<&'a str> {
    whole.headers.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str())
}

fn faces() -> Sightings {
    let near = |what: &str, distance| Near { what: what.into(), distance };
    let rect = Rect { x: -4, y: 10, w: 50, h: 60 };
    let alice = Sighting {
        track: 7,
        since: Instant::now().checked_sub(Duration::from_secs(90)).unwrap(),
        name: Some("Alice".into()),
        distance: Some(0.4123),
        runner_up: Some(near("Bob", 0.81)),
        nearest: Some(near("Alice/1.jpg", 0.39)),
        rect,
        state: State::Named,
        velocity: [0.0; 2],
        evidence: Default::default(),
        view: None,
        stranger: None,
    };
    let stranger = Sighting {
        track: 8,
        name: None,
        distance: None,
        runner_up: None,
        nearest: None,
        state: State::Seen,
        ..alice.clone()
    };
    // They are not stale before the end of a test, however slow the machine is.
    let captured_at = crate::frame::Moment::now().after(Duration::from_secs(60));
    Sightings {
        frame: 1,
        captured_at,
        took: Duration::ZERO,
        interval: Duration::ZERO,
        width: 640,
        height: 360,
        faces: vec![alice, stranger],
        blurred_areas: Vec::new(),
        examined: None,
        mask: Default::default(),
    }
}

const LAN: &str = "192.168.1.9";

#[test]
fn every_route_answers_get_and_refuses_other_methods_with_allow() {
    let site = site(|_| {});
    site.stage.renditions.usual().publish(&Arc::new(Jpeg::new(
        Arc::new(b"JPEG".to_vec()),
        crate::frame::Moment::now(),
        false,
    )));
    site.stage.health.camera_is_away("test", "unplugged");
    site.stage.sightings.publish(Arc::new(faces()));
    for route in ROUTES {
        if route.method.changes() || route.path.starts_with("/login") {
            continue;
        }
        let path = route.path.replace("{track}", "7");
        let target = route.action.map_or(path.clone(), |action| format!("{path}?x=1&action={action}"));
        let good = status(&site, &request("GET", &target, "127.0.0.1"));
        let wanted = match route.path {
            // The address has to name a picture.
            "/chip.jpg" | "/picture.jpg" => 400,
            // The camera is away.
            "/api/camera" => 503,
            _ => 200,
        };
        assert_eq!(good, wanted, "GET {target}");
        for method in ["POST", "DELETE", "OPTIONS", "get", "BREW"] {
            let refused = whole(&site, &request(method, &target, "127.0.0.1"));
            assert_eq!((refused.status, header(&refused, "Allow")), (405, Some("GET, HEAD")), "{method} {target}");
        }
    }
    for nowhere in ["/nothing", "/video_feed/", "//", "/%2e%2e/", "*"] {
        assert_eq!(status(&site, &request("GET", nowhere, "127.0.0.1")), 404, "{nowhere}");
    }
    let unknown = whole(&site, &request("GET", "/?action=other", "127.0.0.1"));
    assert!(unknown.status == 404 && body(&unknown).contains("/?action=stream"), "{}", body(&unknown));
    // A dashboard has appended the time.
    let stream = request("GET", "/?action=stream?1699", "127.0.0.1");
    assert!(matches!(site.respond(&stream), Answer::Stream(_)));
    let page = whole(&site, &request("GET", "/?lang=ko", "127.0.0.1"));
    assert_eq!((page.status, page.content_type), (200, "text/html; charset=utf-8"));
}

#[test]
fn only_names_of_this_machine_pass_the_host_check() {
    let site = site(|config| config.http.hosts = vec!["cam.home.arpa".to_owned()]);
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned();
    let short = machine.split('.').next().unwrap();
    let (local, shouted) = (format!("{short}.local"), format!("{}:80", short.to_uppercase()));
    let good = [
        "10.0.0.7",
        "10.0.0.7:5000",
        "[::1]:5000",
        "[fe80::1]",
        "[fe80::1%eth0]:5000",
        "[fe80::1%25eth0]",
        "localhost",
        "LocalHost.:5000",
        "cam.home.arpa:80",
    ];
    for host in good.into_iter().chain([&machine[..], &local, &shouted]) {
        assert_eq!(status(&site, &with(request("GET", "/healthz", LAN), "Host", host)), 200, "{host}");
    }
    for host in [
        "evil.example",
        "10.0.0.7.evil.example",
        "localhost.evil.example",
        "[::1",
        "",
        "1.2.3",
        "local",
        "localhost:5000.evil.example",
        "[::1].evil.example",
        "[::1]:5000.evil",
        "10.0.0.7:80:x",
    ] {
        let refused = whole(&site, &with(request("GET", "/api/state", "127.0.0.1"), "Host", host));
        assert_eq!(refused.status, 421, "{host}");
        assert!(body(&refused).contains("http.hosts"));
    }
    let absolute = Request { peer: None, ..request("GET", "http://evil.example/healthz", LAN) };
    assert_eq!(status(&site, &absolute), 421);
    let twice = {
        let mut request = request("GET", "/healthz", LAN);
        request.headers.push(("host".to_owned(), "evil.example".to_owned()));
        request
    };
    assert_eq!(status(&site, &twice), 421);
}

#[test]
fn without_a_password_file_loopback_is_admin_and_others_need_open() {
    let shut = site(|_| {});
    assert_eq!(status(&shut, &request("GET", "/api/gallery", "127.0.0.1")), 200);
    assert_eq!(status(&shut, &request("GET", "/api/gallery", "::ffff:127.0.0.1")), 200);
    assert_eq!(status(&shut, &request("GET", "/api/state", LAN)), 403);
    assert_eq!(status(&shut, &request("GET", "/healthz", LAN)), 200);
    let open = site(|config| config.http.open = true);
    assert_eq!(status(&open, &request("GET", "/api/state", LAN)), 200);
    assert_eq!(status(&open, &request("GET", "/api/gallery", LAN)), 403);
    let proxied = with(request("GET", "/api/gallery", "127.0.0.1"), "X-Forwarded-For", LAN);
    assert_eq!(status(&open, &proxied), 403);
}

fn login(target: &str, peer: &str, credentials: &str) -> Request {
    use base64::Engine;
    let code = base64::engine::general_purpose::STANDARD.encode(credentials);
    with(request("GET", target, peer), "Authorization", &format!("Basic {code}"))
}

#[test]
fn credentials_in_utf_8_and_in_latin_1_are_the_same() {
    use base64::Engine as _;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passwords");
    auth::accounts::passwd(&file, "zo\u{eb}", Role::Viewer, "caf\u{e9} \u{bbfc}").unwrap();
    auth::accounts::passwd(&file, "ren\u{e9}", Role::Viewer, "stra\u{df}e").unwrap();
    let site = site(|config| config.http.password_file = Some(file.clone()));
    let bytes = |credentials: &[u8]| {
        let code = base64::engine::general_purpose::STANDARD.encode(credentials);
        status(&site, &with(request("GET", "/api/state", LAN), "Authorization", &format!("Basic {code}")))
    };
    assert_eq!(bytes("zo\u{eb}:caf\u{e9} \u{bbfc}".as_bytes()), 200);
    assert_eq!(bytes("ren\u{e9}:stra\u{df}e".as_bytes()), 200);
    assert_eq!(bytes(b"ren\xe9:stra\xdfe"), 200);
    assert_eq!(bytes(b"ren\xe9:strasse"), 401);
}

#[test]
fn a_password_is_required_and_the_role_of_its_user_decides() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passwords");
    auth::accounts::passwd(&file, "anna", Role::Viewer, "a").unwrap();
    auth::accounts::passwd(&file, "root", Role::Admin, "r:oot").unwrap();
    let site = site(|config| config.http.password_file = Some(file.clone()));
    let asked = whole(&site, &request("GET", "/video_feed", "127.0.0.1"));
    assert_eq!(asked.status, 401);
    assert!(header(&asked, "WWW-Authenticate").unwrap().starts_with("Basic realm=\"namecam\""));
    assert_eq!(status(&site, &request("GET", "/healthz", LAN)), 200);
    assert_eq!(status(&site, &login("/api/state", LAN, "anna:a")), 200);
    assert_eq!(status(&site, &login("/api/gallery", "127.0.0.1", "anna:a")), 403);
    assert_eq!(status(&site, &login("/api/gallery", LAN, "root:r:oot")), 200);
    for (credentials, role) in [("anna:a", "viewer"), ("root:r:oot", "admin")] {
        let state: Value = serde_json::from_str(&body(&whole(&site, &login("/api/state", LAN, credentials)))).unwrap();
        assert_eq!(state["role"], role);
    }
    let begun = Instant::now();
    assert_eq!(status(&site, &login("/api/state", LAN, "anna:b")), 401);
    let check = begun.elapsed();
    assert_eq!(status(&site, &with(request("GET", "/", LAN), "Authorization", "Basic %%%")), 401);

    let begun = Instant::now();
    for _ in 0..1000 {
        assert_eq!(status(&site, &login("/api/state", LAN, "anna:a")), 200);
    }
    assert!(begun.elapsed() < 500 * check, "a right password is checked once only: {:?} {check:?}", begun.elapsed());
}

#[test]
fn an_admin_gets_the_report_as_a_file_and_one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passwords");
    auth::accounts::passwd(&file, "quentin", Role::Viewer, "a").unwrap();
    auth::accounts::passwd(&file, "quimby", Role::Admin, "b").unwrap();
    let site = site(|config| config.http.password_file = Some(file.clone()));
    let ask = |credentials| whole(&site, &login("/api/report", LAN, credentials));
    assert_eq!(ask("quentin:a").status, 403);
    let report = ask("quimby:b");
    assert_eq!((report.status, report.content_type), (200, "text/plain; charset=utf-8"));
    assert_eq!(header(&report, "Content-Disposition"), Some("attachment; filename=\"namecam-report.txt\""));
    let text = body(&report);
    for told in [
        "== versions ==\nnamecam of a test\n",
        "== state ==\n{\n",
        "\nnamecam_uptime_seconds ",
        "not there: The camera",
    ] {
        assert!(text.contains(told), "{told}:\n{text}");
    }
    assert!(!text.contains("quimby") && !text.contains("quentin"), "{text}");
    let held = site.reporting.lock().unwrap();
    assert_eq!(ask("quimby:b").status, 503);
    drop(held);
    assert_eq!(ask("quimby:b").status, 200);
}

#[test]
fn after_too_many_wrong_passwords_only_that_address_must_wait() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passwords");
    auth::accounts::passwd(&file, "anna", Role::Viewer, "a").unwrap();
    let site = site(|config| config.http.password_file = Some(file.clone()));
    assert_eq!(status(&site, &login("/", LAN, "anna:a")), 200);
    for i in 0..5 {
        assert_eq!(status(&site, &login("/", LAN, &format!("nobody:a{i}"))), 401);
    }
    let refused = whole(&site, &login("/", LAN, "anna:x"));
    assert_eq!(refused.status, 429);
    assert!(header(&refused, "Retry-After").is_some());
    assert_eq!(status(&site, &login("/", LAN, "anna:a")), 200, "a verified user is not delayed");
    assert_eq!(status(&site, &login("/", "192.168.1.10", "anna:x")), 401);
}

#[test]
fn a_reload_takes_new_passwords_and_a_bad_file_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passwords");
    auth::accounts::passwd(&file, "anna", Role::Viewer, "old").unwrap();
    let site = site(|config| config.http.password_file = Some(file.clone()));
    let reload = || site.stage.config.publish(site.config());
    assert_eq!(status(&site, &login("/", LAN, "anna:old")), 200);
    auth::accounts::passwd(&file, "anna", Role::Viewer, "new").unwrap();
    reload();
    assert_eq!(status(&site, &login("/", LAN, "anna:old")), 401);
    assert_eq!(status(&site, &login("/", LAN, "anna:new")), 200);
    std::fs::write(&file, "rubbish\n").unwrap();
    reload();
    assert_eq!(status(&site, &login("/", LAN, "anna:new")), 200);
    assert!(site.stage.health.faults.all().iter().any(|fault| fault.detail.contains("line 1")));
}

#[test]
fn a_reload_forgets_a_verified_password_only_when_its_line_has_changed_or_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passwords");
    for (user, role) in [("anna", Role::Viewer), ("boris", Role::Viewer), ("carla", Role::Admin)] {
        auth::accounts::passwd(&file, user, role, "a").unwrap();
    }
    let site = site(|config| config.http.password_file = Some(file.clone()));
    let ask = |user: &str| status(&site, &login("/api/gallery", LAN, &format!("{user}:a")));
    assert_eq!([ask("anna"), ask("boris"), ask("carla")], [403, 403, 200]);
    // From now on no password of this address is checked: only users with verified passwords get access.
    for i in 0..5 {
        assert_eq!(status(&site, &login("/", LAN, &format!("anna:x{i}"))), 401);
    }
    let rewrite = |change: &dyn Fn(String) -> String| {
        std::fs::write(&file, change(std::fs::read_to_string(&file).unwrap())).unwrap();
        site.stage.config.publish(site.config());
        [ask("anna"), ask("boris"), ask("carla")]
    };
    let before = std::fs::read_to_string(&file).unwrap();
    assert_eq!(rewrite(&|text| text), [403, 403, 200], "nothing has changed");
    assert_eq!(rewrite(&|text| format!("# the family\n{text}")), [403, 403, 200]);
    assert_eq!(rewrite(&|_| "rubbish\n".to_owned()), [403, 403, 200], "a bad file changes nothing");
    let swapped = before.replace(":viewer:", ":ADMIN:").replace(":admin:", ":viewer:").replace(":ADMIN:", ":admin:");
    assert_eq!(rewrite(&|_| swapped.clone()), [200, 200, 403], "another role takes effect at once");
    let without_anna = swapped.lines().filter(|line| !line.starts_with("anna")).collect::<Vec<_>>().join("\n");
    assert_eq!(rewrite(&|_| without_anna.clone()), [429, 200, 403], "anna's line was removed");
    assert_eq!(rewrite(&|_| swapped.clone()), [429, 200, 403], "and is a new one when it comes back");
    auth::accounts::passwd(&file, "boris", Role::Viewer, "a").unwrap();
    assert_eq!(rewrite(&|text| text), [429, 429, 403], "boris has another hash, though of the same password");
}

#[test]
fn right_passwords_of_a_hundred_users_are_all_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passwords");
    auth::accounts::passwd(&file, "u0", Role::Viewer, "a").unwrap();
    let line = std::fs::read_to_string(&file).unwrap();
    let lines: String = (0..100).map(|i| line.replace("u0:", &format!("u{i}:"))).collect();
    std::fs::write(&file, lines).unwrap();
    let site = site(|config| config.http.password_file = Some(file.clone()));
    let ask = |i: u32| status(&site, &login("/", LAN, &format!("u{i}:a")));
    assert!((0..100).all(|i| ask(i) == 200));
    for i in 0..5 {
        assert_eq!(status(&site, &login("/", LAN, &format!("u0:x{i}"))), 401);
    }
    assert!((0..100).all(|i| ask(i) == 200), "each gets access without a check");
    assert_eq!(status(&site, &login("/", LAN, "u100:a")), 429);
}

#[test]
fn a_bad_password_file_at_the_start_admits_no_user() {
    let folder = tempfile::tempdir().unwrap();
    let site = site(|config| config.http.password_file = Some(folder.path().join("absent")));
    assert_eq!(status(&site, &request("GET", "/", "127.0.0.1")), 401);
    assert_eq!(status(&site, &login("/", "127.0.0.1", "anna:a")), 401);
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn state_has_the_shape_that_scripts_rely_on() {
    let site = site(|config| config.http.open = true);
    site.stage.sightings.publish(Arc::new(faces()));
    site.stage.health.faults.report(Cause::CameraAway, "/dev/video0 is gone");
    let ask = |peer| serde_json::from_str::<Value>(&body(&whole(&site, &request("GET", "/api/state", peer)))).unwrap();
    let state = ask(LAN);
    assert_eq!(
        keys(&state),
        [
            "version",
            "role",
            "user",
            "uptime_s",
            "now",
            "camera",
            "recognition",
            "overlay",
            "stream",
            "connections",
            "faces",
            "visits_version",
            "reloads",
            "reload_error",
            "faults"
        ]
    );
    let connections = ["waiting", "idle", "answering", "streaming", "refused", "closed_early"];
    assert_eq!(keys(&state["connections"]), connections);
    let camera = [
        "source", "online", "format", "width", "height", "fps", "frames", "dropped", "corrupt", "age_ms", "error",
        "hint",
    ];
    assert_eq!(keys(&state["camera"]), camera);
    let recognition = [
        "interval_ms",
        "looks",
        "last_ms",
        "age_ms",
        "threshold",
        "people",
        "pictures",
        "skipped",
        "generation",
        "still",
        "pace_ms",
        "pace_why",
        "threshold_why",
        "expected",
        "strangers_remembered",
        "rates",
        "enabled",
        "off_until",
        "taking_in",
        "gallery_version",
    ];
    assert_eq!(keys(&state["recognition"]), recognition);
    assert_eq!(
        keys(&state["stream"]),
        [
            "viewers",
            "fps",
            "encoded",
            "passed_through",
            "repeated",
            "encode_ms",
            "encoder",
            "age_ms",
            "tiers",
            "watching"
        ]
    );
    let last_s = state["faults"][0]["last_s"].as_u64().unwrap();
    assert!(last_s < 60, "{last_s}");
    let fault = json!({"cause": "camera: no pictures", "count": 1, "last_s": last_s, "detail": null});
    assert_eq!(state["faults"], json!([fault]));
    assert_eq!(ask("127.0.0.1")["faults"][0]["detail"], json!("/dev/video0 is gone"));
    let ages = &state["stream"]["age_ms"];
    assert_eq!(keys(ages), ["published", "encoded", "written", "total"]);
    assert_eq!(ages["total"], json!({"p50": null, "p95": null, "p99": null, "max": null}));
    let face = ["track", "since", "name", "distance", "threshold", "runner_up", "nearest", "box", "state", "age_ms"];
    assert_eq!(keys(&state["faces"][0]), face);
    assert_eq!((&state["camera"]["age_ms"], &state["recognition"]["last_ms"]), (&Value::Null, &Value::Null));
    assert_eq!(state["recognition"]["threshold"], json!(0.6));
    assert_eq!(state["faces"][0]["box"], json!([0, 10, 46, 60]));
    assert_eq!(state["faces"][0]["runner_up"], json!({"name": "Bob", "distance": 0.81}));
    assert_eq!(state["faces"][0]["nearest"], json!({"file": null, "distance": 0.39}), "files are for admins");
    assert_eq!(ask("127.0.0.1")["faces"][0]["nearest"]["file"], json!("Alice/1.jpg"));
    assert_eq!((&state["faces"][1]["name"], &state["faces"][1]["state"]), (&Value::Null, &json!("seen")));
}

#[test]
fn a_face_comes_with_its_evidence_and_only_an_admin_gets_file_names() {
    let site = site(|config| config.http.open = true);
    let mut seen = faces();
    let pictures = vec![Near { what: "Alice/1.jpg".into(), distance: 0.39 }];
    let reason = Reason {
        because: Because::Kept,
        person: Some("Alice".into()),
        distance: Some(0.4123),
        limit: Some(0.45),
        text: "1 look at 0.412 from Alice".to_owned(),
    };
    let flaw = Some(Flaw::Small);
    seen.faces[0].evidence =
        Arc::new(Evidence { reason, flaw, margin: Some(3.25), pictures, looks: 1, ..Evidence::default() });
    site.stage.sightings.publish(Arc::new(seen));
    let ask = |track: &str, peer| whole(&site, &request("GET", &format!("/api/faces/{track}"), peer));
    let face: Value = serde_json::from_str(&body(&ask("7", LAN))).unwrap();
    assert_eq!((&face["name"], &face["threshold"], &face["margin"]), (&json!("Alice"), &json!(0.45), &json!(3.25)));
    assert_eq!(face["why"], json!("1 look at 0.412 from Alice"));
    assert_eq!([&face["because"], &face["person"], &face["flaw"]], ["kept", "Alice", "small"]);
    assert_eq!(face["nearest_pictures"], json!([{"file": null, "distance": 0.39}]));
    let admin: Value = serde_json::from_str(&body(&ask("7", "127.0.0.1"))).unwrap();
    assert_eq!(admin["nearest_pictures"][0]["file"], json!("Alice/1.jpg"));
    for nobody in ["9", "", "-1", "7/x", "99999999999999999999999"] {
        assert_eq!(ask(nobody, LAN).status, 404, "{nobody}");
    }
}

/// The card and its explanation show one distance and one threshold, and both clocks are the server's.
#[test]
fn a_face_has_its_own_threshold_and_its_beginning_by_the_clock_of_the_server() {
    let site = site(|_| {});
    let mut seen = faces();
    seen.faces[0].evidence =
        Arc::new(Evidence { reason: Reason { limit: Some(0.4184), ..Reason::default() }, ..Evidence::default() });
    site.stage.sightings.publish(Arc::new(seen));
    let ask = |path: &str| parsed(&whole(&site, &request("GET", path, "127.0.0.1")));
    let (state, face) = (ask("/api/state"), ask("/api/faces/7"));
    let here = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let [now, since] = [&state["now"], &state["faces"][0]["since"]].map(|at| at.as_f64().unwrap());
    assert!((here - now).abs() < 5.0, "{now} is not the time of day, {here}");
    assert!((now - since - 90.0).abs() < 5.0, "the track began 90 s ago, at {since}, and it is {now}");
    for shown in [&state["faces"][0], &face] {
        assert_eq!((&shown["distance"], &shown["threshold"]), (&json!(0.412), &json!(0.418)));
    }
    assert_eq!(state["faces"][1]["threshold"], Value::Null);
}

#[test]
fn stale_faces_are_left_out() {
    let site = site(|_| {});
    let old = Sightings { captured_at: crate::frame::Moment::ago(Duration::from_secs(2)), ..faces() };
    site.stage.sightings.publish(Arc::new(old));
    assert_eq!(parsed(&whole(&site, &request("GET", "/api/state", "127.0.0.1")))["faces"], json!([]));
}

#[test]
fn a_gallery_is_being_enrolled_until_it_is_ready_or_has_failed() {
    let state = |site: &Site| parsed(&whole(site, &request("GET", "/api/state", "127.0.0.1")));
    let taking_in = |site: &Site| state(site)["recognition"]["taking_in"] == true;
    let (on, off) = (site(|_| {}), site(|config| config.recognition.enabled = false));
    assert_eq!((taking_in(&on), taking_in(&off)), (true, false));
    on.stage.health.set_recognition_error(Some("no model".to_owned()));
    assert!(!taking_in(&on));
    on.stage.health.set_recognition_error(None);
    on.stage.roster.publish(Arc::default());
    assert!(!taking_in(&on), "a gallery that cannot be read publishes a roster that says so");
    on.stage.health.taking_in.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(taking_in(&on));
}

#[test]
fn an_exact_path_takes_precedence_over_a_path_with_a_name() {
    let site = site(|_| {});
    for (method, path, allowed) in [
        ("GET", "/api/faces/name", "POST"),
        ("DELETE", "/api/faces/not", "POST"),
        ("HEAD", "/api/faces/enrol", "POST"),
        ("POST", "/api/faces/7", "GET, HEAD"),
        ("POST", "/api/faces/names", "GET, HEAD"),
        ("GET", "/api/sessions/7", "DELETE"),
        ("DELETE", "/login", "GET, HEAD, POST"),
        ("GET", "/api/camera/try", "POST, DELETE"),
    ] {
        let refused = whole(&site, &request(method, path, "127.0.0.1"));
        assert_eq!((refused.status, header(&refused, "Allow")), (405, Some(allowed)), "{method} {path}");
    }
}

#[test]
fn a_body_of_json_is_an_object_with_its_fields_by_name() {
    let site = site(|_| {});
    let ask = |path: &str, body: &str| {
        let typed = with(request("POST", path, "127.0.0.1"), "Content-Type", "application/json");
        let body = body.as_bytes().to_vec();
        status(&site, &Request { body, ..with(typed, "Origin", "http://127.0.0.1:5000") })
    };
    for (path, fields) in [
        ("/api/settings", "{}, []"),
        ("/api/camera/try", "{\"gain\": 1}, null"),
        ("/api/faces/name", "7, \"Alice\""),
        ("/api/faces/not", "7, null"),
        ("/api/faces/enrol", ""),
        ("/api/gallery/move", "\"a/1.jpg\", null"),
        ("/api/gallery/delete", "\"a/1.jpg\""),
        ("/api/gallery/rename", "\"a\", \"b\", false"),
        ("/api/gallery/forget", "\"a\""),
        ("/api/password", "\"a\", \"b\""),
    ] {
        for body in [format!("[{fields}]"), " [] ".to_owned(), "null".to_owned(), "7".to_owned(), String::new()] {
            assert_eq!(ask(path, &body), 400, "{path} {body}");
        }
    }
    assert_eq!(ask("/api/faces/enrol", " {}"), 200);
    // A valid body is accepted, and then the camera is unavailable.
    let mode = r#"{"mode": {"format": "mjpg", "width": 640, "height": 480, "fps": 30}}"#;
    site.stage.health.camera_is_away("test", "unplugged");
    assert_eq!(ask("/api/camera/try", mode), 503);
    assert_eq!(ask("/api/camera/try", r#"{"mode": ["mjpg", 640, 480, 30]}"#), 400);
    assert_eq!(ask("/api/camera/try", r#"{"mode": null}"#), 400);
}

#[test]
fn a_person_is_forgotten_without_a_look_while_recognition_is_off() {
    let folder = tempfile::tempdir().unwrap();
    let person = folder.path().join("Alice");
    std::fs::create_dir(&person).unwrap();
    std::fs::write(person.join("1.jpg"), b"JPEG").unwrap();
    let site = site(|config| {
        config.gallery.path = folder.path().to_owned();
        config.recognition.enabled = false;
    });
    site.stage.health.camera_is_online("test", "MJPG", 4, 4);
    site.stage.sightings.publish(Arc::new(faces()));
    let typed = with(request("POST", "/api/gallery/forget", "127.0.0.1"), "Content-Type", "application/json");
    let body = br#"{"person": "Alice"}"#.to_vec();
    let begun = Instant::now();
    let answer = whole(&site, &Request { body, ..with(typed, "Origin", "http://127.0.0.1:5000") });
    assert_eq!((answer.status, parsed(&answer)["at_work"].as_bool()), (200, Some(false)));
    assert!(begun.elapsed() < Duration::from_secs(5) && !person.exists());
}

#[test]
fn a_track_must_be_a_number_and_may_have_no_chips() {
    let site = site(|_| {});
    for (track, wanted) in [("7", 200), ("18446744073709551615", 200), ("", 404), ("-1", 404), ("x", 404), ("7/8", 404)]
    {
        let asked = request("GET", &format!("/api/chips/{track}"), "127.0.0.1");
        assert_eq!(status(&site, &asked), wanted, "{track}");
    }
}

#[test]
fn the_gallery_says_which_pictures_are_skipped_and_why() {
    let site = site(|_| {});
    let picture = PictureReport::skipped("Alice/2.jpg", "no face");
    let people = vec![Person { name: "Alice".into(), pictures: vec![picture], spread: None, hint: None }];
    site.stage.roster.publish(Arc::new(Roster { generation: 3, people, ..Roster::default() }));
    let gallery: Value = serde_json::from_str(&body(&whole(&site, &request("GET", "/api/gallery", "::1")))).unwrap();
    assert_eq!(keys(&gallery), ["generation", "people", "never", "ignored", "warnings", "threshold"]);
    assert_eq!(
        gallery["people"][0]["pictures"][0],
        json!({"file": "Alice/2.jpg", "skipped": "no face", "note": null, "face": null})
    );
}

#[test]
fn healthz_names_the_part_that_hangs_and_an_unavailable_camera_is_healthy() {
    let site = site(|_| {});
    site.stage.health.camera_is_away("/dev/video0", "no such device");
    assert_eq!(status(&site, &request("GET", "/healthz", LAN)), 200);
    site.stage.health.set_recognition_error(Some("no model".to_owned()));
    let sick = whole(&site, &request("GET", "/healthz", LAN));
    // The route needs no credential, so the response names no file.
    assert_eq!((sick.status, body(&sick).as_str()), (503, "recognition cannot run; the log and /api/state say why\n"));
    site.stage.health.set_recognition_error(None);
    let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
    let answer = || {
        let answer = whole(&site, &request("GET", "/healthz", LAN));
        (answer.status, body(&answer))
    };
    let late = "opening the models takes too long: too little memory, or a slow disk\n".to_owned();
    for (seconds, expected) in [(30, (200, "ok\n".to_owned())), (61, (503, late))] {
        let opening = site.stage.health.opening.begin_at(ago(seconds));
        assert_eq!(answer(), expected, "{seconds} s");
        drop(opening);
    }
    assert_eq!(answer(), (200, "ok\n".to_owned()), "the models are open");
    let _picture = site.stage.health.encoding.begin_at(ago(40));
    assert_eq!(answer(), (503, "the encoder does not respond\n".to_owned()));
}

#[test]
fn every_line_of_the_metrics_is_valid_for_prometheus() {
    let site = site(|_| {});
    site.stage.health.faults.report(Cause::CameraAway, "said \"no\" \\ and\nleft");
    let text = body(&whole(&site, &request("GET", "/metrics", "127.0.0.1")));
    assert!(text.contains("namecam_faults_total{cause=\"camera: no pictures\"} 1\n"), "{text}");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("namecam_") || name.starts_with("process_"), "{line}");
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("process_{name} ")));
        line.unwrap_or_else(|| panic!("{name}: {text}")).parse::<f64>().unwrap()
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    assert!(now - value("start_time_seconds") < 600.0 && value("start_time_seconds") < now + 1.0, "{text}");
    assert!(value("open_fds") >= 3.0 && value("max_fds") >= value("open_fds"), "{text}");
    assert!(value("virtual_memory_bytes") > value("resident_memory_bytes"), "{text}");
    assert!(value("resident_memory_bytes") > 1e6 && value("cpu_seconds_total") > 0.0, "{text}");
}
