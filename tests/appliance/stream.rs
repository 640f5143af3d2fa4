//! Tests the stream and the other routes with all kinds of viewers.

use crate::support::{Home, PATIENCE, Running, decode, read_head, read_part};
use std::io::{BufReader, Read, Write};
use std::process::Command;
use std::time::{Duration, Instant};

/// A running program with a camera and without recognition.
fn streaming(more: &str) -> (Home, Running) {
    let home = Home::new("");
    let camera = home.still_camera("obama.jpg");
    home.write_config(&format!("[camera]\nsource = {camera}\n[recognition]\nenabled = no\n{more}"));
    let running = home.run();
    running.until("pictures come", |r| r.state()["camera"]["online"] == true);
    (home, running)
}

#[test]
fn ffmpeg_reads_sixty_frames_of_the_video_feed() {
    let (_home, running) = streaming("");
    let url = format!("http://{}/video_feed", running.address);
    let output = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-f", "mpjpeg", "-i", &url, "-frames:v", "60", "-f", "framecrc", "-"])
        .output()
        .expect("ffmpeg is there: make setup");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let frames = String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.starts_with("0,")).count();
    assert_eq!(frames, 60);
}

/// ffmpeg and OpenCV keep the size of the first picture. The camera delivers 640x480, but later than the notice usually
/// comes.
#[test]
fn the_first_picture_of_a_slow_camera_has_the_size_of_the_camera_and_not_of_the_config() {
    let home = Home::new("");
    let go = home.path("go");
    let waits = format!("sh -c 'until [ -e {} ]; do sleep 0.02; done; ", go.display());
    let camera = home.still_camera("obama.jpg").replace("sh -c '", &waits);
    home.write_config(&format!(
        "[camera]\nsource = {camera}\nwidth = 1280\nheight = 720\n[recognition]\nenabled = no\n"
    ));
    let running = home.run();
    // From now on there is a notice for those who do not wait.
    std::thread::sleep(Duration::from_millis(1200));
    let mut viewer = running.view();
    std::thread::sleep(Duration::from_millis(300));
    std::fs::write(go, "").unwrap();
    let (jpeg, _) = read_part(&mut viewer);
    assert_eq!(decode(&jpeg).dimensions(), (640, 480));
}

#[test]
fn an_http_1_0_client_gets_frames_as_they_come() {
    let (_home, running) = streaming("");
    let mut stream = running.connect();
    stream.write_all(b"GET /video_feed HTTP/1.0\r\n\r\n").unwrap();
    let mut reader = BufReader::new(stream);
    let head = read_head(&mut reader).to_lowercase();
    assert!(
        head.contains(" 200 ") && head.contains("multipart/x-mixed-replace") && !head.contains("chunked"),
        "{head}"
    );
    for _ in 0..5 {
        let (jpeg, _) = read_part(&mut reader);
        assert_eq!(decode(&jpeg).dimensions(), (640, 480));
    }
}

#[test]
fn without_an_overlay_the_bytes_of_the_camera_arrive_unchanged() {
    let (home, running) = streaming("");
    let camera = std::fs::read(home.path("camera.jpg")).unwrap();
    let (jpeg, head) = read_part(&mut running.view());
    assert!(jpeg == camera, "{} bytes in, {} out", camera.len(), jpeg.len());
    assert!(head.starts_with("--frame\r\nContent-Type: image/jpeg\r\nContent-Length: "), "{head}");
    assert!(head.contains("\r\nX-Timestamp: "), "{head}");
    assert!(running.get("/snapshot.jpg").body == camera);
    assert!(running.state()["stream"]["passed_through"].as_u64().unwrap() > 0);
    assert_eq!(running.state()["stream"]["encoded"], 0);
}

#[test]
fn a_viewer_gets_the_requested_rendition_from_the_configured_encoder() {
    let (home, running) = streaming("");
    let camera = home.still_camera("obama.jpg");
    for encoder in ["turbojpeg", "jpeg-encoder"] {
        let lines =
            format!("[camera]\nsource = {camera}\n[recognition]\nenabled = no\n[stream]\nencoder = {encoder}\n");
        home.write_config(&lines);
        running.signal(libc::SIGHUP);
        running.until("the encoder changes", |r| r.state()["stream"]["encoder"] == encoder);
        let jpeg = running.get("/snapshot.jpg?width=200&overlay=0").body;
        assert!(decode(&jpeg).dimensions() == (200, 150) && jpeg[6..10] == *b"JFIF", "{encoder}");
    }
    let mut viewer = BufReader::new(running.connect());
    let started = Instant::now();
    viewer.get_mut().write_all(b"GET /video_feed?width=100&fps=4 HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    read_head(&mut viewer);
    for _ in 0..5 {
        assert_eq!(decode(&read_part(&mut viewer).0).dimensions(), (100, 75));
    }
    assert!(started.elapsed() > Duration::from_millis(900), "four a second: {:?}", started.elapsed());
    let renditions = &running.state()["stream"]["tiers"];
    assert_eq!(
        *renditions,
        serde_json::json!([{ "overlay": true, "width": 100, "fps": 4, "blur": false, "wanted_by": 1 }])
    );
    assert_eq!(running.get("/video_feed?fps=none").status, 400);
}

#[test]
fn a_rotated_and_scaled_picture_is_encoded_once_for_all_viewers() {
    let (_home, running) = streaming("[stream]\nwidth = 160\nmax_fps = 10\n[camera]\n".trim_end_matches("[camera]\n"));
    let mut viewers: Vec<_> = (0..8).map(|_| running.view()).collect();
    let started = Instant::now();
    let before = running.state()["stream"]["encoded"].as_u64().unwrap();
    for _ in 0..10 {
        for viewer in &mut viewers {
            let (jpeg, _) = read_part(viewer);
            assert_eq!(decode(&jpeg).dimensions(), (160, 120));
        }
    }
    let encoded = running.state()["stream"]["encoded"].as_u64().unwrap() - before;
    let seconds = started.elapsed().as_secs_f64();
    assert!(encoded as f64 <= seconds * 10.0 + 3.0, "{encoded} pictures in {seconds} s for 8 viewers");
    assert_eq!(running.state()["stream"]["viewers"], 8);
}

#[test]
fn a_viewer_beyond_the_limit_is_told_to_try_again_later() {
    let (_home, running) = streaming("[stream]\nmax_viewers = 3\n");
    let (_one, two) = (running.view(), running.view());
    let answer = running.get("/video_feed");
    assert_eq!(answer.status, 503);
    assert!(answer.head.to_lowercase().contains("retry-after:") && answer.text().contains("viewers"), "{answer:?}");
    drop(two);
    running.until("the place is free again", |r| r.state()["stream"]["viewers"] == 1);
    drop(running.view());
}

#[test]
fn fifty_viewers_connect_and_disconnect_and_leave_nothing_behind() {
    let (_home, running) = streaming("[stream]\nmax_viewers = 80\n");
    let threads = || std::fs::read_dir(format!("/proc/{}/task", running.pid())).unwrap().count();
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", running.pid())).unwrap().count();
    drop(running.view());
    running.until("the first viewer is gone", |r| r.state()["stream"]["viewers"] == 0);
    let before = descriptors();
    let mut viewers: Vec<_> = (0..50).map(|_| running.view()).collect();
    for viewer in &mut viewers {
        read_part(viewer);
    }
    assert_eq!(running.state()["stream"]["viewers"], 50);
    drop(viewers);
    running.until("all viewers are gone", |r| r.state()["stream"]["viewers"] == 0);
    running.until("their descriptors are closed", |_| descriptors() <= before + 2);
    running.until("their threads have ended", |_| threads() < 40);
}

#[test]
fn a_viewer_that_never_reads_is_disconnected_and_does_not_slow_the_others() {
    // Noise does not compress, so such frames fill a socket quickly.
    let home = Home::new("");
    let noise = image::RgbImage::from_fn(1280, 720, |x, y| {
        let v = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503).wrapping_mul(x + 7)).to_le_bytes();
        image::Rgb([v[0], v[1], v[2]])
    });
    let jpeg = home.path("noise.jpg");
    noise.save(&jpeg).unwrap();
    home.write_config(&format!("[camera]\nsource = {}\n[recognition]\nenabled = no\n", home.looping_camera(&jpeg)));
    let running = home.run();
    let mut stalled = running.connect();
    stalled.write_all(b"GET /video_feed HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut reader = running.view();
    running.until("both watch", |r| r.state()["stream"]["viewers"] == 2);
    let started = Instant::now();
    let mut slowest = Duration::ZERO;
    while running.state()["stream"]["viewers"] == 2 {
        let before = Instant::now();
        read_part(&mut reader);
        slowest = slowest.max(before.elapsed());
        assert!(started.elapsed() < Duration::from_secs(60), "it is never cut off");
    }
    // A write to the one that does not read takes 4 s before it is given up.
    assert!(slowest < Duration::from_millis(3900), "the other one waited {slowest:?} for a picture");
}

#[test]
fn routes_check_methods_and_hosts() {
    let (_home, running) = streaming("");
    let page = running.get("/");
    assert!(page.status == 200 && page.text().contains("<html") && page.head.to_lowercase().contains("text/html"));
    assert_eq!(running.get("/nowhere").status, 404);
    let post =
        running.ask("POST /api/state HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert!(post.status == 405 && post.head.contains("GET"), "{post:?}");
    let head = running.ask("HEAD /snapshot.jpg HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(head.status == 200 && head.body.is_empty(), "{head:?}");
    let evil = running.ask("GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    assert_eq!(evil.status, 421, "{evil:?}");
    assert_eq!(running.get("/?action=snapshot&cachebust=1").body, running.get("/snapshot.jpg").body);
    assert_eq!(running.get("/healthz").status, 200);
    let metrics = running.get("/metrics").text();
    assert!(metrics.lines().any(|line| line.starts_with("namecam_")), "{metrics}");
}

#[test]
fn with_a_password_file_only_its_users_may_watch() {
    let home = Home::new("");
    let mut passwd = home.command();
    passwd.args(["passwd", "--file", "users", "mom"]).stdin(std::process::Stdio::piped());
    let mut child = passwd.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"correct horse\n").unwrap();
    assert!(child.wait().unwrap().success());
    let camera = home.still_camera("obama.jpg");
    let config = "[recognition]\nenabled = no\n[http]\nbind = 127.0.0.1:0\npassword_file = users\n";
    home.write_config(&format!("[camera]\nsource = {camera}\n{config}"));
    let running = home.run();
    // base64 of mom:correct horse and mom:wrong
    let ask = |path: &str, credentials: &str| {
        let line = format!("Authorization: Basic {credentials}\r\n");
        running.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{line}Connection: close\r\n\r\n"))
    };
    let anonymous = running.get("/api/state");
    assert!(
        anonymous.status == 401 && anonymous.head.to_lowercase().contains("www-authenticate: basic"),
        "{anonymous:?}"
    );
    assert_eq!(ask("/api/state", "bW9tOndyb25n").status, 401);
    assert_eq!(ask("/api/state", "bW9tOmNvcnJlY3QgaG9yc2U=").status, 200);
    assert_eq!(ask("/api/gallery", "bW9tOmNvcnJlY3QgaG9yc2U=").status, 403, "a viewer is no admin");
    assert_eq!(running.get("/healthz").status, 200, "health needs no password");
}

#[test]
fn while_the_camera_is_unavailable_a_notice_is_sent_every_second() {
    let home = Home::new("[camera]\nsource = /dev/does-not-exist\n[recognition]\nenabled = no\n");
    let running = home.run();
    let mut viewer = running.view();
    let started = Instant::now();
    for _ in 0..3 {
        decode(&read_part(&mut viewer).0);
    }
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    let state = running.state();
    assert_eq!(state["camera"]["online"], false);
    assert!(state["camera"]["error"].as_str().unwrap().contains("does-not-exist"), "{state}");
    assert_eq!(running.get("/snapshot.jpg?strict=1").status, 503);
    assert_eq!(running.get("/snapshot.jpg").status, 200);
    assert_eq!(running.get("/healthz").status, 200, "an unavailable camera does not make the program unhealthy");
}

#[test]
fn an_event_stream_reports_a_face() {
    let home = Home::new("");
    let camera = home.still_camera("obama.jpg");
    home.write_config(&format!("[camera]\nsource = {camera}\n"));
    let running = home.run();
    let mut stream = running.connect();
    stream.write_all(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut seen, mut buffer) = (String::new(), [0; 4096]);
    while !seen.contains("\"unknown\"") {
        let n = stream.read(&mut buffer).unwrap();
        assert!(n > 0, "closed: {seen}");
        seen += &String::from_utf8_lossy(&buffer[..n]);
    }
    assert!(seen.contains("text/event-stream"), "{seen}");
}
