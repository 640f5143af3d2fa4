//! Tests that pictures, chips and data about faces contain nothing of the zones that `camera.mask` hides.

use crate::support::{Answer, Home, Running, decode, picture, read_head, read_part};
use image::RgbImage;
use serde_json::Value;
use std::io::{BufReader, Read, Write};
use std::process::Command;

/// A zone in percent that covers the face.
const ZONE: &str = "15,0,70,90";
/// The same zone as shares of the picture: left, top, right, bottom.
const HIDDEN: [f64; 4] = [0.15, 0.0, 0.85, 0.9];
/// The largest value of a black pixel after JPEG.
const BLACK: u8 = 16;

/// The share of the pixels within `part` (left, top, right, bottom) that are not black.
fn seen_in(shown: &RgbImage, [left, top, right, bottom]: [f64; 4]) -> f64 {
    let (width, height) = (f64::from(shown.width()), f64::from(shown.height()));
    let (mut seen, mut all) = (0, 0);
    // The outermost pixels do not count, because scaling mixes the pixels on both sides of the edge.
    for y in (top * height) as u32 + 1..(bottom * height) as u32 - 1 {
        for x in (left * width) as u32 + 1..(right * width) as u32 - 1 {
            all += 1;
            seen += u32::from(shown.get_pixel(x, y).0.iter().any(|value| *value > BLACK));
        }
    }
    f64::from(seen) / f64::from(all)
}

/// One picture from each route, with several queries.
fn pictures(running: &Running) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for query in [
        "/snapshot.jpg",
        "/snapshot.jpg?overlay=0",
        "/snapshot.jpg?width=320",
        "/snapshot.jpg?strict=1",
        "/?action=snapshot",
    ] {
        let Answer { status, body, .. } = running.get(query);
        assert_eq!(status, 200, "{query}");
        all.push((query.to_owned(), body));
    }
    for query in
        ["/video_feed", "/stream.mjpg?overlay=0", "/video_feed?raw=1", "/video_feed?width=320&fps=5", "/?action=stream"]
    {
        let mut stream = BufReader::new(running.connect());
        stream.get_mut().write_all(format!("GET {query} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).unwrap();
        read_head(&mut stream);
        let mut boundary = [0; 9];
        stream.read_exact(&mut boundary).unwrap();
        all.push((query.to_owned(), read_part(&mut stream).0));
    }
    all
}

/// Starts the program and waits until it has chips of a face; returns the track of the face, too.
fn with_a_face(more: &str) -> (Home, Running, u64) {
    let home = Home::new("");
    home.enrol("Joe Biden", "biden.jpg");
    // A picture without black parts.
    let jpeg = home.path("camera.jpg");
    let (size, mut ffmpeg) =
        ("scale=640:480:force_original_aspect_ratio=increase,crop=640:480:0:0", Command::new("ffmpeg"));
    let made =
        ffmpeg.args(["-loglevel", "error", "-y", "-i"]).arg(picture("obama.jpg")).args(["-vf", size, "-q:v", "2"]);
    assert!(made.args(["-pix_fmt", "yuvj420p"]).arg(&jpeg).status().unwrap().success());
    let camera = home.looping_camera(&jpeg);
    home.write_config(&format!("[camera]\nsource = {camera}\n{more}[recognition]\ninterval_ms = 100\n"));
    let running = home.run();
    running.until("a face with pictures", |running| {
        running.state()["faces"][0]["track"].as_u64().is_some_and(|track| {
            let chips = running.get(&format!("/api/chips/{track}"));
            serde_json::from_slice::<Value>(&chips.body).is_ok_and(|chips| chips["chips"][0].is_object())
        })
    });
    let track = running.state()["faces"][0]["track"].as_u64().unwrap();
    (home, running, track)
}

#[test]
fn a_zone_is_black_on_every_route_from_the_moment_at_which_it_is_set() {
    let (_home, running, track) = with_a_face("");
    for (query, jpeg) in pictures(&running) {
        let shown = decode(&jpeg);
        assert!(seen_in(&shown, HIDDEN) > 0.9, "{query} shows the face before");
    }
    let passed_on = || running.state()["stream"]["passed_through"].as_u64().unwrap();
    assert!(passed_on() > 0, "the camera's own JPEG was passed on before");
    let mut boxes = BufReader::new(running.connect());
    boxes.get_mut().write_all(b"GET /api/events?boxes=1 HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let (status, told) = running.change_settings(&format!(r#"{{"set": {{"camera.mask": "{ZONE}"}}}}"#));
    assert_eq!(status, 200, "{told}");
    // Neither immediately nor later does any route send a picture from before the change.
    let chip = running.get(&format!("/chip.jpg?track={track}&number=0"));
    assert_eq!(chip.status, 404, "the pictures of the face are gone");
    assert_eq!(running.state()["faces"].as_array().unwrap().len(), 0);
    let mut before = None;
    for round in 0..3 {
        for (query, jpeg) in pictures(&running) {
            let shown = decode(&jpeg);
            assert_eq!(seen_in(&shown, HIDDEN), 0.0, "{query} in round {round}");
            // The part of the picture beside the zone is shown.
            assert!(seen_in(&shown, [0.0, 0.0, 0.14, 1.0]) > 0.9, "{query}");
        }
        before = before.or_else(|| Some(passed_on()));
        std::thread::sleep(std::time::Duration::from_millis(400));
    }
    assert_eq!(before, Some(passed_on()), "a masked stream is not passed on");
    let state = running.state();
    assert!(state["recognition"]["looks"].as_u64().unwrap() > 0 && state["faces"].as_array().unwrap().is_empty());
    assert_eq!(running.get(&format!("/chip.jpg?track={track}&number=0")).status, 404);
    // Without the zone, the face comes back.
    assert_eq!(running.change_settings(r#"{"unset": ["camera.mask"]}"#).0, 200);
    running.until("the face is seen again", |running| running.state()["faces"][0].is_object());
    assert!(seen_in(&decode(&running.get("/snapshot.jpg").body), HIDDEN) > 0.9);
}

#[test]
fn a_zone_refers_to_the_shown_picture_at_every_rotation() {
    let (_home, running, _) = with_a_face("");
    for turn in [r#""camera.rotate": "90""#, r#""camera.rotate": "180", "camera.mirror": "yes""#] {
        // The upper left corner of the shown picture, which is not black without the zone.
        let corner = [0.0, 0.0, 0.3, 0.205];
        assert_eq!(running.change_settings(&format!(r#"{{"set": {{{turn}}}, "unset": ["camera.mask"]}}"#)).0, 200);
        std::thread::sleep(std::time::Duration::from_millis(500));
        assert!(seen_in(&decode(&running.get("/snapshot.jpg").body), corner) > 0.9, "{turn}");
        let body = format!(r#"{{"set": {{"camera.mask": "0,0,30,20.5", {turn}}}}}"#);
        assert_eq!(running.change_settings(&body).0, 200);
        for (query, jpeg) in pictures(&running) {
            let shown = decode(&jpeg);
            assert_eq!(shown.width() < shown.height(), turn.contains("90"), "{query} {turn}");
            assert_eq!(seen_in(&shown, corner), 0.0, "{query} {turn}");
            assert!(seen_in(&shown, [0.35, 0.0, 1.0, 1.0]) > 0.8, "{query} {turn}");
        }
    }
    let told = running.change_settings(r#"{"set": {"camera.mask": "0,0,101,5"}}"#);
    assert_eq!(told.0, 400);
    assert!(told.1["problems"][0]["what"].as_str().unwrap().contains("in percent of the picture"), "{}", told.1);
}
