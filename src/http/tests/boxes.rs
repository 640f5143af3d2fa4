//! Tests of the data with which a client draws boxes itself: `/api/events?boxes=1` and `/video_feed?raw=1`.

use super::*;
use crate::config::UnknownFaces;
use crate::detection::view::View;
use crate::frame::Moment;
use crate::http::message::Wire;
use base64::Engine;
use std::io;

/// A client that takes a step of the test after each event.
struct Client<F>(Vec<u8>, F);

impl<F: FnMut(usize)> Wire for Client<F> {
    fn send(&mut self, pieces: &[&[u8]]) -> io::Result<()> {
        let said = pieces.concat();
        // A comment says only that the server is still there.
        let is_event = !said.starts_with(b":");
        self.0.extend(said);
        if is_event {
            (self.1)(self.0.len());
        }
        Ok(())
    }
}

/// The events that a client of `target` gets, until the last of `steps` has been taken.
fn heard(site: &Site, target: &str, mut steps: Vec<Box<dyn FnMut() + '_>>) -> Vec<(String, Value)> {
    let asked = request("GET", target, "127.0.0.1");
    let Answer::Stream(stream) = site.respond(&asked) else { panic!("no events") };
    steps.reverse();
    let mut client = Client(Vec::new(), |_| {
        if let Some(mut step) = steps.pop() {
            step()
        }
    });
    (stream.run)(&mut client).unwrap();
    let text = String::from_utf8(client.0).unwrap();
    let events = text.split("\n\n").filter_map(|event| event.strip_prefix("event: ")?.split_once("\ndata: "));
    events.map(|(name, data)| (name.to_owned(), serde_json::from_str(data).unwrap())).collect()
}

/// A face that moves, so that the frame of its look is `age` old.
fn moving(age: Duration) -> Sightings {
    let mut seen = Sightings { captured_at: Moment::ago(age), ..faces() };
    seen.faces[0].velocity = [-312.34, 47.91];
    seen.faces[1].velocity = [900.06, 0.0];
    seen
}

#[test]
fn boxes_come_after_each_look_and_go_when_it_is_stale_and_other_clients_hear_nothing_of_it() {
    let events = |target: &str| {
        let site = site(|_| {});
        let publish = |later| {
            let captured_at = Moment::now().after(Duration::from_secs(later));
            site.stage.sightings.publish(Arc::new(Sightings { captured_at, ..moving(Duration::ZERO) }));
        };
        // The last look is stale after 4.5 s. One that shows the same faces is no event without boxes.
        let steps: Vec<Box<dyn FnMut() + '_>> = if target.contains("boxes") {
            vec![
                Box::new(|| publish(60)),
                Box::new(|| publish(60)),
                Box::new(|| publish(3)),
                Box::new(|| ()),
                Box::new(|| site.stage.stop.set()),
            ]
        } else {
            vec![Box::new(|| publish(60)), Box::new(|| publish(3)), Box::new(|| site.stage.stop.set())]
        };
        heard(&site, target, steps)
    };
    let told = events("/api/events?boxes=1");
    let names: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["camera", "faces", "boxes", "faces", "boxes", "boxes", "boxes", "faces", "boxes"]);
    let nothing = json!({"width": null, "height": null, "captured_at": null, "stale_at": null, "faces": []});
    assert_eq!([&told[2].1, &told[8].1], [&nothing, &nothing]);
    let boxes = &told[4].1;
    assert_eq!((&boxes["width"], &boxes["height"]), (&json!(640), &json!(360)));
    let [captured, stale] = ["captured_at", "stale_at"].map(|field| boxes[field].as_f64().unwrap());
    assert!((stale - captured - 1.5).abs() < 1e-5, "{boxes}");
    let alice = json!({"track": 7, "name": "Alice", "state": "named", "distance": 0.412, "box": [-4, 10, 50, 60],
                       "velocity": [-312.3, 47.9], "view": null});
    let stranger = json!({"track": 8, "name": null, "state": "seen", "distance": null, "box": [-4, 10, 50, 60],
                          "velocity": [900.1, 0.0], "view": null});
    assert_eq!(boxes["faces"], json!([alice, stranger]));

    let told = events("/api/events");
    let names: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["camera", "faces", "faces", "faces"]);
    let site = site(|_| {});
    for odd in ["boxes=yes", "typed=2", "typed", "boxes=1&typed="] {
        assert_eq!(status(&site, &request("GET", &format!("/api/events?{odd}"), "127.0.0.1")), 400, "{odd}");
    }
}

#[test]
fn the_time_of_a_look_is_the_x_timestamp_of_its_frame() {
    let seen = moving(Duration::from_millis(7));
    let jpeg = Jpeg::new(Arc::new(b"JPEG".to_vec()), seen.captured_at, true);
    let head = String::from_utf8_lossy(jpeg.part()[0]).into_owned();
    let stamp = head.split_once("X-Timestamp: ").unwrap().1.split("\r\n").next().unwrap();
    let boxes = serde_json::to_string(&api::BoxesEvent::of(&seen, false)).unwrap();
    let boxes: Value = serde_json::from_str(&boxes).unwrap();
    assert_eq!(boxes["captured_at"].as_f64(), stamp.parse().ok(), "{boxes}");
}

/// Extrapolated as in page/boxes.js.
#[test]
fn boxes_that_a_client_extrapolates_agree_with_the_drawn_overlay() {
    let seen = moving(Duration::ZERO);
    let boxes = serde_json::to_value(api::BoxesEvent::of(&seen, false)).unwrap();
    for age_ms in (0..2000).step_by(7) {
        let drawn = seen.faces_at(seen.captured_at.instant + Duration::from_millis(age_ms));
        let way = (age_ms as f64 / 1000.0).clamp(0.0, 0.4);
        for (at, face) in drawn.iter().enumerate() {
            let moved = [0, 1].map(|i| {
                let number = |field: &str| boxes["faces"][at][field][i].as_f64().unwrap();
                number("box") + (number("velocity") * way).round()
            });
            let apart = [moved[0] - f64::from(face.rect.x), moved[1] - f64::from(face.rect.y)];
            assert!(apart.iter().all(|pixels| pixels.abs() <= 1.0), "{apart:?} after {age_ms} ms");
        }
    }
}

#[test]
fn no_boxes_come_where_the_whole_picture_is_blurred() {
    for (unknown, expected) in [(UnknownFaces::Blur, 0), (UnknownFaces::Hide, 2)] {
        let site = site(|config| config.overlay.unknown = unknown);
        // A look that has not examined the whole frame, as of before a reload.
        let captured_at = Moment::now().after(Duration::from_secs(60));
        site.stage.sightings.publish(Arc::new(Sightings { captured_at, ..moving(Duration::ZERO) }));
        let told = heard(&site, "/api/events?boxes=1", vec![Box::new(|| site.stage.stop.set())]);
        assert_eq!(told[2].1["faces"].as_array().map(Vec::len), Some(expected), "{unknown:?}");
    }
}

/// The views of strangers are not sent to a viewer who must not see them.
#[test]
fn every_face_that_is_not_blurred_has_a_view() {
    let mut seen = moving(Duration::ZERO);
    let rgb = crate::image::Rgb::filled(640, 360, [10, 200, 30]);
    seen.faces.iter_mut().for_each(|face| face.view = Some(Arc::new(View::of(&rgb, face.rect))));
    seen.examined = Some(Arc::new(crate::detection::Examined::new(&rgb, Vec::new(), None)));
    let views = |blurs| serde_json::to_value(api::BoxesEvent::of(&seen, blurs)).unwrap()["faces"].clone();
    let colors = base64::engine::general_purpose::STANDARD.encode([10, 200, 30].repeat(256));
    assert_eq!([&views(false)[0]["view"], &views(false)[1]["view"]], [&json!(colors), &json!(colors)]);
    assert_eq!([&views(true)[0]["view"], &views(true)[1]["view"]], [&json!(colors), &Value::Null]);
}

#[test]
fn a_raw_stream_has_the_same_bytes_and_another_type() {
    let site = site(|_| {});
    site.stage.health.camera_is_online("test", "MJPG", 4, 4);
    let jpeg = Arc::new(Jpeg::new(Arc::new(b"JPEG".to_vec()), Moment::now(), true));
    let sent = [("", "multipart/x-mixed-replace; boundary=frame"), ("&raw=1", "application/octet-stream")].map(
        |(raw, content_type)| {
            let asked = request("GET", &format!("/video_feed?overlay=0{raw}"), "127.0.0.1");
            let Answer::Stream(stream) = site.respond(&asked) else { panic!("no stream") };
            assert_eq!(stream.content_type, content_type);
            let [(rendition, _)] = &site.stage.renditions.wanted()[..] else { panic!("not one rendition") };
            rendition.publish(&jpeg);
            struct Once(Vec<u8>);
            impl Wire for Once {
                fn send(&mut self, pieces: &[&[u8]]) -> io::Result<()> {
                    self.0 = pieces.concat();
                    Err(io::ErrorKind::BrokenPipe.into())
                }
            }
            let mut client = Once(Vec::new());
            (stream.run)(&mut client).unwrap_err();
            [stream.first, &client.0].concat()
        },
    );
    assert!(sent[0].starts_with(b"--frame\r\nContent-Type: image/jpeg\r\n"), "{}", String::from_utf8_lossy(&sent[0]));
    assert_eq!(sent[0], sent[1]);
    assert_eq!(status(&site, &request("GET", "/video_feed?raw=yes", "127.0.0.1")), 400);
}

#[test]
fn state_has_the_overlay_settings_for_the_role() {
    let overlay = |change: fn(&mut Config), peer: &str| {
        let site = site(|config| {
            config.http.open = true;
            change(config);
        });
        parsed(&whole(&site, &request("GET", "/api/state", peer)))["overlay"].clone()
    };
    let usual = json!({"enabled": true, "show_distance": true, "unknown": "show", "box_color": "#00ff00", "text_color": "#000000"});
    assert_eq!(keys(&overlay(|_| {}, LAN)), keys(&usual));
    let colors =
        |config: &mut Config| (config.overlay.box_color, config.overlay.text_color) = ([1, 2, 255], [0, 16, 0]);
    let told = overlay(colors, LAN);
    assert_eq!((&told["box_color"], &told["text_color"]), (&json!("#0102ff"), &json!("#001000")));
    let hides = |config: &mut Config| config.overlay.unknown = UnknownFaces::Hide;
    assert_eq!(overlay(hides, "127.0.0.1")["unknown"], "hide");
    let blurs = |config: &mut Config| config.overlay.blur_for_viewers = true;
    assert_eq!(
        [overlay(blurs, LAN)["unknown"].clone(), overlay(blurs, "127.0.0.1")["unknown"].clone()],
        ["blur", "show"]
    );
    assert_eq!(overlay(|config| config.overlay.enabled = false, LAN)["enabled"], false);
}
