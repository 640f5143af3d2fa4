//! Tests of the camera routes, with a simulated camera thread.

use super::*;
use crate::config::CameraSource;
use crate::tuning::{Answer as Found, Ask, Equipment, Mode, Trouble};

const LOCAL: &str = "127.0.0.1";
const OWN: &str = "http://127.0.0.1:5000";

fn post(json: &str) -> Request {
    let mut request = with(request("POST", "/api/camera/try", LOCAL), "Content-Type", "application/json");
    request = with(request, "Origin", OWN);
    request.body = json.as_bytes().to_vec();
    request
}

fn put_back() -> Request {
    with(request("DELETE", "/api/camera/try", LOCAL), "Origin", OWN)
}

fn get() -> Request {
    request("GET", "/api/camera", LOCAL)
}

/// A site whose camera answers each question with `answer`; returns the answer to `request` and what was asked.
fn asked(request: &Request, answer: Result<Found, Trouble>) -> (Whole, Option<Ask>) {
    let site = site(|_| {});
    site.stage.health.camera_is_online("/dev/video0", "MJPG", 640, 480);
    let both = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        let tuning = &site.stage.tuning;
        let camera = scope.spawn(|| {
            both.wait();
            for _ in 0..10_000 {
                if let Some((ticket, ask)) = tuning.next() {
                    tuning.answer(ticket, answer);
                    return Some(ask);
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            None
        });
        both.wait();
        (whole(&site, request), camera.join().unwrap())
    })
}

#[test]
fn the_camera_is_asked_and_its_answer_is_shown_with_the_source() {
    let equipment = Equipment { camera: "C920".to_owned(), width: 640, ..Equipment::default() };
    let (answer, ask) = asked(&get(), Ok(Found { equipment, ..Found::default() }));
    let json = parsed(&answer);
    assert_eq!(
        (ask, json["source"].as_str(), json["kind"].as_str()),
        (Some(Ask::List), Some("/dev/video0"), Some("device"))
    );
    assert_eq!((json["camera"].as_str(), json["width"].as_u64()), (Some("C920"), Some(640)));
    assert!(json["trial"].is_null() && json["why"].is_null() && json["refused"] == json!([]));
    let (answer, ask) = asked(&post(r#"{"controls": {"Gain": 3, "auto_exposure": 1}}"#), Ok(Found::default()));
    let wanted = vec![("gain".to_owned(), 3), ("auto_exposure".to_owned(), 1)];
    assert_eq!((answer.status, ask), (200, Some(Ask::Controls(wanted))));
    let mode = r#"{"mode": {"format": "mjpg", "width": 640, "height": 480, "fps": 30}}"#;
    let (answer, ask) = asked(&post(mode), Err(Trouble::Unfit("no good picture within 5 s".to_owned())));
    let wanted = Mode { format: "mjpg".to_owned(), width: 640, height: 480, fps: 30 };
    assert_eq!((answer.status, ask), (422, Some(Ask::Mode(wanted))));
    assert!(body(&answer).contains("no good picture within 5 s. What was before is put back."));
    let (answer, ask) = asked(&put_back(), Ok(Found::default()));
    assert_eq!((answer.status, ask), (200, Some(Ask::PutBack)));
}

#[test]
fn a_camera_that_is_away_or_does_not_answer_is_an_error_within_a_second_or_two() {
    let site = site(|_| {});
    site.stage.health.camera_is_away("/dev/video0", "it was unplugged");
    for request in [get(), put_back(), post(r#"{"controls": {"gain": 3}}"#)] {
        let away = whole(&site, &request);
        assert_eq!((away.status, header(&away, "Retry-After")), (503, Some("2")));
        assert!(body(&away).contains("it was unplugged"));
    }
    site.stage.health.camera_is_online("/dev/video0", "MJPG", 640, 480);
    let begun = Instant::now();
    assert_eq!(whole(&site, &get()).status, 504);
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_eq!(asked(&get(), Err(Trouble::Busy)).0.status, 503);
}

#[test]
fn a_source_that_is_not_a_device_gives_the_reason_why_it_has_no_controls() {
    for (source, kind) in [
        (CameraSource::Pipe(vec!["ffmpeg".into(), "secret".into()]), "pipe"),
        (CameraSource::Stills("/x".into()), "stills"),
    ] {
        let site = site(|config| config.camera.source = source.clone());
        let answer = whole(&site, &get());
        let json = parsed(&answer);
        assert_eq!((answer.status, json["kind"].as_str()), (200, Some(kind)));
        assert!(json["why"].as_str().unwrap().len() > 20 && !body(&answer).contains("secret"));
        assert_eq!(whole(&site, &post(r#"{"controls": {"gain": 3}}"#)).status, 409);
    }
}

#[test]
fn only_valid_trials_reach_the_camera_thread() {
    let site = site(|_| {});
    site.stage.health.camera_is_online("/dev/video0", "MJPG", 640, 480);
    let many: Vec<String> = (0..65).map(|number| format!("\"c{number}\": 1")).collect();
    let many = format!("{{\"controls\": {{{}}}}}", many.join(","));
    for wrong in [
        "{}",
        "[]",
        r#"{"controls": {}}"#,
        r#"{"controls": {"gain": "3"}}"#,
        r#"{"controls": {"gain": 1e30}}"#,
        r#"{"controls": {"gain": 3}, "mode": {"format": "mjpg", "width": 640, "height": 480, "fps": 30}}"#,
        r#"{"mode": {"format": "h264", "width": 640, "height": 480, "fps": 30}}"#,
        r#"{"mode": {"format": "mjpg", "width": 0, "height": 480, "fps": 30}}"#,
        r#"{"mode": {"format": "mjpg", "width": 640, "height": 480, "fps": 0}}"#,
        r#"{"mode": {"format": "mjpg", "width": 640, "height": 480, "fps": 30, "more": 1}}"#,
        &many,
    ] {
        assert_eq!(whole(&site, &post(wrong)).status, 400, "{wrong}");
    }
    assert!(site.stage.tuning.next().is_none());
}

#[test]
fn the_korean_page_has_words_for_each_kind_of_source_without_controls() {
    let words = include_str!("../page/words.js").split_once("noControls: { ").unwrap().1;
    let words = words.split_once('}').unwrap().0;
    let file = "/nowhere".into();
    for source in [
        CameraSource::Pipe(vec!["ffmpeg".to_owned()]),
        CameraSource::Stills("/nowhere".into()),
        CameraSource::Replay { file, begins_again: false },
        CameraSource::None,
    ] {
        let site = site(|config| config.camera.source = source);
        let camera = parsed(&whole(&site, &get()));
        let kind = camera["kind"].as_str().unwrap();
        assert!(camera["why"].is_string() && words.contains(&format!("{kind}: \"")), "{kind}");
    }
}
