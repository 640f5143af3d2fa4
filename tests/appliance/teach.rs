//! Tests teaching on the page with real models and pictures: naming faces, rejecting names, and adding pictures of a
//! person.

use crate::support::{Home, Running, picture};
use serde_json::{Value, json};
use std::time::Instant;

impl Running {
    /// The track of the only face.
    fn track(&self) -> u64 {
        self.state()["faces"][0]["track"].as_u64().expect("a face")
    }

    fn people(&self) -> Vec<String> {
        let gallery: Value = serde_json::from_slice(&self.get("/api/gallery").body).expect("JSON");
        gallery["people"].as_array().expect("people").iter().map(|p| p["name"].as_str().unwrap().to_owned()).collect()
    }
}

/// A camera that shows an unknown person, with another person in the gallery.
fn with_a_stranger() -> (Home, Running) {
    let home = Home::new("");
    home.enrol("Barack Obama", "obama.jpg");
    let camera = home.still_camera("biden.jpg");
    let running = Running::start(home.command().args(["run", "--set", &format!("camera.source={camera}")]));
    running.until("a stranger with pictures", |running| {
        running.names() == ["?"] && running.state()["faces"][0]["state"] == "unknown" && {
            let chips = running.get(&format!("/api/chips/{}", running.track()));
            serde_json::from_slice::<Value>(&chips.body).is_ok_and(|chips| chips["chips"][0].is_object())
        }
    });
    (home, running)
}

#[test]
fn a_face_named_on_the_page_has_the_name_at_the_next_look_and_loses_it_by_a_correction() {
    let (home, running) = with_a_stranger();
    let track = running.track();
    let chip = running.get(&format!("/chip.jpg?track={track}&number=0"));
    let chip = image::load_from_memory(&chip.body).expect("a JPEG");
    assert!(chip.width() > 60 && chip.width() < 640, "{}", chip.width());
    let begun = Instant::now();
    let (status, taught) = running.teach("/api/faces/name", &json!({"track": track, "name": " 민호 "}));
    let took = begun.elapsed();
    assert_eq!(status, 200, "{taught}");
    assert_eq!((&taught["at_work"], &taught["face"]["name"]), (&json!(true), &json!("민호")), "{taught}");
    assert!(took.as_secs() < 25, "{took:?}");
    assert_eq!(running.names(), ["민호"]);
    assert!(taught["pictures"].as_array().unwrap().iter().any(|picture| picture["skipped"].is_null()), "{taught}");
    let file = taught["files"][0].as_str().unwrap().to_owned();
    assert!(home.path("gallery").join(&file).is_file());
    // Another name for the same face: the pictures move to the new name.
    let (status, told) = running.teach("/api/faces/name", &json!({"track": track, "name": "지우"}));
    assert_eq!((status, &told["face"]["name"]), (200, &json!("지우")), "{told}");
    assert!(
        !home.path("gallery").join(&file).exists() && told["files"][0].as_str().unwrap().starts_with("지우/"),
        "{told}"
    );
    let (status, told) = running.teach("/api/faces/name", &json!({"track": track, "name": "민호"}));
    assert_eq!((status, &told["face"]["name"]), (200, &json!("민호")), "{told}");
    // Not this person: the pictures move to .not, and the face loses the name.
    let (status, told) = running.teach("/api/faces/not", &json!({"track": track}));
    assert_eq!((status, &told["face"]["name"]), (200, &Value::Null), "{told}");
    assert!(told["files"][0].as_str().unwrap().starts_with(".not/never-"), "{told}");
    // Undone: the files of the correction are deleted, and the name is back.
    for file in told["files"].as_array().unwrap() {
        assert_eq!(running.teach("/api/gallery/delete", &json!({"file": file})).0, 200);
    }
    running.until("the name again", |running| running.names() == ["민호"]);
    // Renamed and then forgotten: the folder, the page's lists and the cache have nothing of this person.
    let cache = || {
        std::fs::metadata(std::fs::read_dir(home.path("cache/namecam")).unwrap().next().unwrap().unwrap().path())
            .unwrap()
            .len()
    };
    let before = cache();
    assert_eq!(running.teach("/api/gallery/rename", &json!({"person": "민호", "to": "Barack Obama"})).0, 409);
    assert_eq!(running.teach("/api/gallery/rename", &json!({"person": "민호", "to": "Joe"})).0, 200);
    running.until("the new name", |running| running.names() == ["Joe"]);
    assert_eq!(running.people(), ["Barack Obama", "Joe"]);
    let (status, receipt) = running.teach("/api/gallery/forget", &json!({"person": "Joe"}));
    assert_eq!(status, 200, "{receipt}");
    assert!(receipt["files"].as_u64() >= Some(1) && receipt["descriptors"].as_u64() >= Some(1), "{receipt}");
    assert!(receipt["chips"].as_u64() >= Some(1) && receipt["at_work"] == true, "{receipt}");
    running.until("no name", |running| running.names() == ["?"]);
    assert!(!home.path("gallery/Joe").exists());
    assert_eq!(running.people(), ["Barack Obama"]);
    assert!(cache() < before, "the descriptors are gone");
}

#[test]
fn an_uploaded_picture_is_checked_before_it_is_stored() {
    let (home, running) = with_a_stranger();
    let send = |person: &str, kind: &str, bytes: &[u8]| {
        let answer = running.post(&format!("/api/gallery/picture?person={person}"), kind, bytes);
        (answer.status, answer.text())
    };
    let read = |name: &str| std::fs::read(picture(name)).unwrap();
    let (status, told) = send("Barack%20Obama", "image/jpeg", &read("obama2.jpg"));
    assert_eq!(status, 200, "{told}");
    assert!(
        told.contains("\"skipped\":null") && home.path("gallery/Barack Obama").read_dir().unwrap().count() == 2,
        "{told}"
    );
    let (status, told) = send("Joe%20Biden", "image/jpeg", &read("biden.jpg"));
    assert_eq!(status, 200, "{told}");
    running.until("the name", |running| running.names() == ["Joe Biden"]);
    let both = [picture("obama.jpg"), picture("biden.jpg")].map(|file| image::open(file).unwrap().into_rgb8());
    let mut two = image::RgbImage::new(both[0].width() + both[1].width(), both[0].height().max(both[1].height()));
    image::imageops::replace(&mut two, &both[0], 0, 0);
    image::imageops::replace(&mut two, &both[1], both[0].width().into(), 0);
    let mut group = std::io::Cursor::new(Vec::new());
    two.write_to(&mut group, image::ImageFormat::Png).unwrap();
    let group = group.into_inner();
    for (person, kind, bytes, status, why) in [
        ("Nobody", "image/jpeg", &b"no picture"[..], 422, "skipped"),
        ("Nobody", "image/jpeg", &read("biden.jpg")[..5000], 422, "incomplete"),
        ("a%2Fb", "image/jpeg", &read("biden.jpg"), 400, "contains /"),
        ("", "image/jpeg", &read("biden.jpg"), 400, "empty"),
        ("Nobody", "image/png", &group[..], 422, "2 faces"),
        ("Nobody", "image/heic", &read("biden.jpg"), 415, "image/jpeg or image/png"),
    ] {
        let (is, told) = send(person, kind, bytes);
        assert_eq!(is, status, "{told}");
        assert!(told.contains(why), "{told}");
    }
    // For a group picture, the answer lists the faces, so that the user can choose one.
    let (_, told) = send("Nobody", "image/png", &group);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["faces"].as_array().unwrap().len(), 2, "{told}");
    assert!(told["faces"][1][0].as_f64().unwrap() > told["faces"][0][0].as_f64().unwrap());
    assert!(!home.path("gallery/Nobody").exists());
    let thumbnail = running.get("/picture.jpg?file=Barack%20Obama/obama.jpg&width=64");
    assert_eq!((thumbnail.status, image::load_from_memory(&thumbnail.body).unwrap().width()), (200, 64));
    assert_eq!(running.get("/picture.jpg?file=..%2Fnamecam.ini").status, 404);
}
