//! Tests the names of faces, and the overlay of the picture.

use crate::support::{Home, Running, age, decode, picture, read_head, read_part};
use std::io::{BufReader, Read, Write};
use std::time::Duration;

fn seeing(picture_name: &str, more: &str) -> Home {
    let home = Home::new("");
    let camera = home.still_camera(picture_name);
    home.write_config(&format!("[camera]\nsource = {camera}\n[recognition]\ninterval_ms = 100\n{more}"));
    home
}

#[test]
fn a_known_person_is_named_and_the_box_is_drawn_at_their_face() {
    let home = seeing("obama2.jpg", "");
    home.enrol("Barack Obama", "obama.jpg");
    home.enrol("Joe Biden", "biden.jpg");
    let running = home.run();
    running.until("Obama is named", |r| r.names() == ["Barack Obama"]);
    let state = running.state();
    let face = &state["faces"][0];
    assert_eq!(face["state"], "named");
    assert!(face["distance"].as_f64().unwrap() < 0.6 && face["runner_up"]["name"] == "Joe Biden", "{face}");
    assert!(face["runner_up"]["distance"].as_f64().unwrap() > 0.6, "{face}");
    assert_eq!(face["nearest"]["file"], "Barack Obama/obama.jpg", "an admin on this machine sees the file: {face}");
    let [x, y, w, h] = [0, 1, 2, 3].map(|i| face["box"][i].as_i64().unwrap());
    let shown = decode(&running.get("/snapshot.jpg").body);
    assert_eq!(shown.dimensions(), (640, 480));
    let green = |x: i64, y: i64| {
        let [r, g, b] = shown.get_pixel(x as u32, y as u32).0.map(i32::from);
        g > 150 && g - r > 80 && g - b > 80
    };
    for (what, x, y) in [
        ("top", x + w / 2, y),
        ("left", x, y + h / 2),
        ("right", x + w - 1, y + h / 2),
        ("bottom", x + w / 2, y + h - 1),
    ] {
        let near = (-2..=2).flat_map(|dx| (-2..=2).map(move |dy| (x + dx, y + dy)));
        assert!(near.clone().any(|(x, y)| green(x, y)), "no green at the {what} edge of {face}");
    }
    assert!(!green(x + w / 2, y + h / 2), "the face itself is not painted over");
    assert!(green(x + 4, y - 4), "the label stands above the box");
}

#[test]
fn strangers_are_unknown_and_with_an_empty_gallery_all_people_are_unknown() {
    let home = seeing("biden.jpg", "");
    let running = home.run();
    running.until("a face without a name", |r| r.names() == ["?"] && r.state()["faces"][0]["state"] == "unknown");
    assert!(running.state()["faces"][0]["distance"].is_null());
    home.enrol("Barack Obama", "obama.jpg");
    running.reload();
    running.until("a distance to the only person", |r| {
        r.state()["faces"][0]["distance"].as_f64().is_some_and(|d| d > 0.6)
    });
    assert_eq!(running.names(), ["?"]);
}

#[test]
fn a_person_copied_in_is_named_after_sighup_and_no_longer_named_when_removed() {
    let home = seeing("obama2.jpg", "");
    let running = home.run();
    running.until("the first gallery", |r| r.generation() == 1);
    // The folder name in decomposed form, as after a copy from a Mac.
    home.enrol("버락", "obama.jpg");
    std::fs::rename(home.path("gallery/버락"), home.path("gallery/\u{1107}\u{1165}\u{1105}\u{1161}\u{11a8}")).unwrap();
    running.reload();
    running.until("Obama is named", |r| r.names() == ["버락"]);
    std::fs::remove_dir_all(home.path("gallery/\u{1107}\u{1165}\u{1105}\u{1161}\u{11a8}")).unwrap();
    running.reload();
    running.until("Obama is no longer named", |r| r.names() == ["?"]);
    assert_eq!(running.state()["recognition"]["people"], 0);
}

#[test]
fn an_incomplete_picture_does_not_delay_the_reload_and_is_enrolled_when_complete() {
    let home = seeing("obama2.jpg", "");
    home.enrol("Joe Biden", "biden.jpg");
    let running = home.run();
    running.until("the first gallery", |r| r.generation() == 1);
    let whole = std::fs::read(picture("obama.jpg")).unwrap();
    let file = home.put("gallery/Barack Obama/obama.jpg", &whole[..whole.len() / 2]);
    running.reload();
    assert_eq!(running.names(), ["?"]);
    assert_eq!(running.state()["recognition"]["skipped"], 1);
    std::fs::write(&file, &whole).unwrap();
    running.until("Obama is named without another SIGHUP", |r| r.names() == ["Barack Obama"]);
}

#[test]
fn a_missing_gallery_keeps_the_old_one_and_a_bad_config_changes_nothing() {
    let home = seeing("obama2.jpg", "");
    home.enrol("Barack Obama", "obama.jpg");
    let running = home.run();
    running.until("Obama is named", |r| r.names() == ["Barack Obama"]);
    std::fs::rename(home.path("gallery"), home.path("elsewhere")).unwrap();
    running.signal(libc::SIGHUP);
    let ended = |r: &Running, count: u64, why: &str| {
        let state = r.state();
        state["reloads"] == count && state["reload_error"].as_str().is_some_and(|error| error.contains(why))
    };
    running.until("the state says so", |r| ended(r, 1, "cannot be read"));
    running.until("the log says so", |r| r.log().contains("the gallery stays as it was"));
    let config = std::fs::read_to_string(home.path("namecam.ini")).unwrap();
    std::fs::write(home.path("namecam.ini"), format!("{config}\n[overlay]\nenabled = perhaps\n")).unwrap();
    running.signal(libc::SIGHUP);
    running.until("the log names the line", |r| {
        r.log().contains("enabled = perhaps") && r.log().contains("nothing was reloaded")
    });
    running.until("the state has the error of the config", |r| ended(r, 2, "the config has an error"));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!((running.names(), running.generation()), (vec!["Barack Obama".to_owned()], 1));
    std::fs::write(home.path("namecam.ini"), format!("{config}\n[overlay]\nenabled = no\n")).unwrap();
    std::fs::rename(home.path("elsewhere"), home.path("gallery")).unwrap();
    running.reload();
    running.until("the whole reload is applied", |r| r.state()["reloads"] == 3 && r.state()["reload_error"].is_null());
}

#[test]
fn a_reload_takes_a_new_threshold_and_unknown_faces_can_be_hidden() {
    let home = seeing("obama2.jpg", "threshold = 0.1\n[overlay]\nunknown = hide\n");
    home.enrol("Barack Obama", "obama.jpg");
    let running = home.run();
    running.until("the face is too far from the gallery for this threshold", |r| {
        r.names() == ["?"] && r.generation() == 1
    });
    let is_green = |p: &image::Rgb<u8>| p.0[1] > 200 && p.0[0] < 90 && p.0[2] < 90;
    let hidden = decode(&running.get("/snapshot.jpg").body);
    assert_eq!(hidden.pixels().filter(|p| is_green(p)).count(), 0);
    let camera = home.still_camera("obama2.jpg");
    home.write_config(&format!("[camera]\nsource = {camera}\n[recognition]\nthreshold = 0.6\n"));
    running.reload();
    running.until("Obama is named", |r| r.names() == ["Barack Obama"]);
    running.until("Obama's label is drawn", |r| {
        let shown = decode(&r.get("/snapshot.jpg").body);
        shown.pixels().filter(|p| is_green(p)).count() > 500
    });
}

/// The headers of a client behind a proxy on this machine. Such a client has the rights of a viewer.
const AS_VIEWER: &str = "Host: localhost\r\nX-Forwarded-For: 203.0.113.9\r\n";

#[test]
fn a_reload_hides_a_stranger_from_viewers_at_once_and_an_admin_goes_on_seeing_them() {
    let home = seeing("biden.jpg", "");
    home.enrol("Barack Obama", "obama.jpg");
    let running = home.run();
    running.until("a stranger is seen", |r| r.generation() == 1 && r.state()["faces"][0]["state"] == "unknown");
    let viewers = |query: &str| {
        running.ask(&format!("GET /snapshot.jpg{query} HTTP/1.1\r\n{AS_VIEWER}Connection: close\r\n\r\n"))
    };
    let is_seen = |jpeg: &[u8]| {
        let file = home.put("shown.jpg", jpeg);
        let said = home.command().args(["identify", "--json"]).arg(&file).output().unwrap();
        let said: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
        !said["faces"].as_array().unwrap().is_empty()
    };
    assert!(is_seen(&viewers("").body), "blur_for_viewers is off");
    let mut stream = BufReader::new(running.connect());
    stream.get_mut().write_all(format!("GET /video_feed HTTP/1.1\r\n{AS_VIEWER}\r\n").as_bytes()).unwrap();
    read_head(&mut stream);
    read_part(&mut stream);
    let camera = home.looping_camera(&home.path("camera.jpg"));
    let blur = "[overlay]\nblur_for_viewers = yes\n";
    home.write_config(&format!("[camera]\nsource = {camera}\n[recognition]\ninterval_ms = 100\n{blur}"));
    running.signal(libc::SIGHUP);
    // The stream without blur ends, although the client reads every picture.
    stream.read_to_end(&mut Vec::new()).unwrap();
    let (clear, mut all) = (decode(&std::fs::read(home.path("camera.jpg")).unwrap()), Vec::new());
    let share_of_clear = |jpeg: &[u8]| {
        let shown = decode(jpeg);
        let alike = clear.pixels().zip(shown.pixels()).filter(|(a, b)| (0..3).all(|i| a.0[i].abs_diff(b.0[i]) < 24));
        alike.count() as f64 / f64::from(clear.width() * clear.height())
    };
    running.until("the blur has ended", |_| {
        let shown = viewers("");
        assert!(shown.head.contains("X-Namecam-Rendition: overlay=1; width=0; fps=0; blur=1\r\n"), "{}", shown.head);
        all.push(shown.body);
        share_of_clear(&all[all.len() - 1]) > 0.8
    });
    all.extend(["?overlay=0", "?width=600", "?strict=1"].map(|query| viewers(query).body));
    all.dedup();
    let seen = all.iter().filter(|jpeg| is_seen(jpeg)).count();
    assert_eq!(seen, 0, "of {} pictures", all.len());
    let admins = running.get("/snapshot.jpg");
    assert!(is_seen(&admins.body) && !admins.head.contains("blur"), "{}", admins.head);
}

#[test]
fn outside_the_hours_of_recognition_no_face_is_named_and_blur_covers_everything() {
    let now = local_hour();
    let span = |from: u32, to: u32| format!("{:02}:00-{:02}:00", (now + from) % 24, (now + to) % 24);
    let home = seeing("obama2.jpg", &format!("hours = {}\n[overlay]\nunknown = blur\n", span(3, 5)));
    home.enrol("Barack Obama", "obama.jpg");
    let running = home.run();
    running.until("a picture", |running| running.state()["camera"]["frames"].as_u64() > Some(20));
    let recognition = || running.state()["recognition"].clone();
    assert_eq!((&recognition()["enabled"], &recognition()["looks"]), (&true.into(), &0.into()));
    assert_eq!(recognition()["off_until"], format!("{:02}:00", (now + 3) % 24));
    let clear = decode(&std::fs::read(home.path("camera.jpg")).unwrap());
    // The share of the edges of the camera's picture that the shown picture still has.
    let detail = |jpeg: &[u8]| {
        let (shown, mut kept, mut all) = (decode(jpeg), 0, 0);
        for (x, y) in (0..clear.width() - 1).flat_map(|x| (0..clear.height()).map(move |y| (x, y))) {
            let edge = |of: &image::RgbImage| i32::from(of.get_pixel(x + 1, y)[1]) - i32::from(of.get_pixel(x, y)[1]);
            if edge(&clear).abs() > 24 {
                all += 1;
                kept += u32::from((edge(&clear) - edge(&shown)).abs() < 12);
            }
        }
        f64::from(kept) / f64::from(all)
    };
    let blurred = detail(&running.get("/snapshot.jpg").body);
    assert!(blurred < 0.2, "of the edges, {blurred} are seen");
    // The hours of recognition begin, and then end again.
    let set = |hours: &str| running.change_settings(&format!(r#"{{"set": {{"recognition.hours": "{hours}"}}}}"#)).0;
    assert_eq!(set(&span(0, 2)), 200);
    running.until("Obama is named", |running| running.names() == ["Barack Obama"]);
    running.until("the blur has ended", |running| detail(&running.get("/snapshot.jpg").body) > 0.5);
    assert_eq!((set(&span(3, 5)), &recognition()["enabled"]), (200, &true.into()));
    running.until("nobody is named", |running| running.names().is_empty());
    let blurred = detail(&running.get("/snapshot.jpg").body);
    assert!(blurred < 0.2, "of the edges, {blurred} are seen");
}

/// The hour of the local clock.
fn local_hour() -> u32 {
    let said = std::process::Command::new("date").arg("+%H").output().unwrap().stdout;
    String::from_utf8(said).unwrap().trim().parse().unwrap()
}

#[test]
fn descriptors_survive_a_restart_and_those_of_removed_pictures_are_deleted() {
    let home = seeing("obama2.jpg", "");
    home.enrol("Barack Obama", "obama.jpg");
    home.enrol("Joe Biden", "biden.jpg");
    // Version 0.1.0 had one cache for all galleries.
    let old = home.put("cache/namecam/descriptors", b"namecam descriptors 3\n");
    let caches = || {
        let files = std::fs::read_dir(home.path("cache/namecam")).into_iter().flatten();
        files.map(|file| file.unwrap().path()).filter(|file| file.extension().is_none()).collect::<Vec<_>>()
    };
    let running = home.run();
    running.until("the first gallery", |r| r.generation() == 1);
    running.until("the cache is written", |_| caches().len() == 1 && !old.exists());
    let cache = caches().remove(0);
    drop(running);
    let two = std::fs::metadata(&cache).unwrap().len();
    age(&cache);
    let touched = std::fs::metadata(&cache).unwrap().modified().unwrap();
    let running = home.run();
    running.until("Obama is named", |r| r.names() == ["Barack Obama"]);
    assert_eq!(std::fs::metadata(&cache).unwrap().modified().unwrap(), touched, "nothing was embedded again");
    // The cache of another gallery, used by another process of the same user, is a file of its own.
    std::fs::create_dir_all(home.path("theirs/Joe Biden")).unwrap();
    std::fs::copy(home.path("gallery/Joe Biden/biden.jpg"), home.path("theirs/Joe Biden/1.jpg")).unwrap();
    let check = |gallery: &str| {
        let mut command = home.command();
        command.args(["check", "--set", &format!("gallery.path={}", home.path(gallery).display())]).output().unwrap()
    };
    assert!(check("theirs").status.success());
    std::fs::create_dir(home.path("nobody")).unwrap();
    check("nobody");
    assert_eq!((caches().len(), std::fs::metadata(&cache).unwrap().len()), (2, two));
    assert_eq!(std::fs::metadata(&cache).unwrap().modified().unwrap(), touched);
    std::fs::remove_dir_all(home.path("theirs")).unwrap();
    check("gallery");
    assert_eq!(caches(), std::slice::from_ref(&cache), "the cache of the other gallery is deleted");
    std::fs::remove_dir_all(home.path("gallery/Joe Biden")).unwrap();
    running.reload();
    running.until("the descriptor is deleted from the cache", |_| std::fs::metadata(&cache).unwrap().len() < two);
}
