//! Tests faults of cameras and of programs that stand in for cameras.

use crate::support::{Home, PATIENCE, read_part, repo};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

fn with_pipe(script: &str) -> Home {
    let home = Home::new("");
    home.still_camera("obama.jpg");
    let script = script.replace("JPEG", &home.path("camera.jpg").display().to_string());
    home.write_config(&format!(
        "[camera]\nsource = pipe:sh -c '{script}'\naway_after_s = 5\n[recognition]\nenabled = no\n"
    ));
    home
}

#[test]
fn a_program_that_ends_is_restarted_within_three_seconds_and_leaves_no_zombie() {
    let home = with_pipe("for i in 1 2 3; do cat JPEG; sleep 0.05; done; echo lens cap on >&2; exit 3");
    let running = home.run();
    running.until("it was started at least three times", |r| r.state()["camera"]["frames"].as_u64().unwrap() >= 9);
    running.until("its end is told", |r| r.log().contains("exit") && r.log().contains("lens cap on"));
    let started = Instant::now();
    let before = running.state()["camera"]["frames"].as_u64().unwrap();
    running.until("it comes back", |r| r.state()["camera"]["frames"].as_u64().unwrap() > before);
    // The longest pause is 3 s.
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    // One that has just ended is a zombie for a moment; one that is left stays.
    running.until("no zombie is left", |r| !children(r.pid()).iter().any(|stat| stat.contains(") Z ")));
}

/// The config for a recording of a camera with errors; `end` is the end of its URL.
fn strange(end: &str) -> String {
    let file = repo().join("tests/data/strange-mjpg.rec");
    format!("[camera]\nsource = replay:{}{end}\n[recognition]\nenabled = no\n", file.display())
}

#[test]
fn a_replayed_recording_has_the_pictures_and_errors_of_the_camera_and_the_report_lists_them() {
    let home = Home::new(&strange("?loop"));
    let checked = home.command().args(["check", "--json"]).output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!((checked.status.code(), &json["camera"]["problem"]), (Some(2), &serde_json::Value::Null), "no gallery");
    let running = home.run();
    let camera = |name: &str| running.state()["camera"][name].clone();
    running.until("damaged pictures and good ones are counted", |_| {
        camera("corrupt").as_u64().unwrap() >= 3 && camera("frames").as_u64().unwrap() >= 3
    });
    assert_eq!((camera("width"), camera("format")), (64.into(), "MJPG".into()));
    // Each round ends with an error of the driver.
    running.until("the camera is lost", |r| r.log().contains("check its cable and power supply"));
    let lost = camera("frames").as_u64().unwrap();
    running.until("the camera is back", |_| camera("frames").as_u64().unwrap() > lost);

    let bind = format!("http.bind={}", running.address);
    let report = |file: &str| home.command().args(["report", file, "--set", &bind]).output().unwrap();
    let (file, first) = (home.path("report.txt"), report("report.txt"));
    assert!(first.status.success(), "{first:?}");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let cause = "\"cause\": \"camera: no pictures\"";
    for told in ["\"height\": 48", "\nnamecam_camera_corrupt_total ", cause, "== kernel ==\n"] {
        assert!(text.contains(told), "{told}:\n{text}");
    }
    let again = report("report.txt");
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(!again.status.success() && said.contains("report.txt exists and is not overwritten"), "{said}");
    assert!(String::from_utf8_lossy(&report("-").stdout).starts_with("namecam report of "));
}

#[test]
fn check_reports_a_recording_that_cannot_be_played() {
    let home = Home::new("[camera]\nsource = replay:cut.rec\n[recognition]\nenabled = no\n");
    let check = || {
        let said = String::from_utf8(home.command().arg("check").output().unwrap().stdout).unwrap();
        said.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(check().contains("cut.rec: No such file"), "{}", check());
    let bytes = std::fs::read(repo().join("tests/data/strange-yuyv.rec")).unwrap();
    home.put("cut.rec", &bytes[..50]);
    assert!(check().contains("the file is cut at 50 bytes"), "{}", check());
}

#[test]
fn garbage_between_pictures_is_counted_and_the_pictures_are_shown() {
    let home = with_pipe("while true; do echo garbage garbage; cat JPEG; head -c 3000 JPEG; sleep 0.05; done");
    let running = home.run();
    let camera = std::fs::read(home.path("camera.jpg")).unwrap();
    let mut viewer = running.view();
    let mut whole = 0;
    let deadline = Instant::now() + PATIENCE;
    while whole < 3 && Instant::now() < deadline {
        whole += usize::from(read_part(&mut viewer).0 == camera);
    }
    assert_eq!(whole, 3);
    running.until("garbage is counted", |r| r.state()["camera"]["corrupt"].as_u64().unwrap() > 0);
}

#[test]
fn a_program_that_hangs_is_ended_and_restarted() {
    let home = with_pipe("cat JPEG; sleep 1000");
    let running = home.run();
    running.until("the first picture", |r| r.state()["camera"]["frames"].as_u64().unwrap() >= 1);
    // For half a second, each time.
    running.until("it is away", |r| {
        let camera = &r.state()["camera"];
        camera["online"] == false && camera["error"].as_str().is_some_and(|error| error.contains("no picture for"))
    });
    running.until("the second start", |r| r.state()["camera"]["frames"].as_u64().unwrap() >= 2);
    running.until("the first child is gone", |r| children(r.pid()).len() <= 2);
}

#[test]
fn the_error_names_an_unknown_program_or_an_empty_folder_of_stills() {
    for (source, word) in [("pipe:no-such-program -x", "no-such-program"), ("stills:nothing", "nothing")] {
        let home = Home::new(&format!("[camera]\nsource = {source}\n[recognition]\nenabled = no\n"));
        let running = home.run();
        running
            .until("the error names it", |r| r.state()["camera"]["error"].as_str().is_some_and(|e| e.contains(word)));
    }
}

#[test]
fn the_camera_changes_with_a_reload_and_other_changes_lose_no_frame() {
    let home = Home::new("");
    home.still_camera("obama.jpg");
    let camera = home.looping_camera(&home.path("camera.jpg"));
    let config = |more: &str| format!("[camera]\nsource = {camera}\n{more}\n[recognition]\nenabled = no\n");
    home.write_config(&config(""));
    let running = home.run();
    running.until("pictures come", |r| r.state()["camera"]["online"] == true);
    home.write_config(&config("rotate = 90"));
    running.signal(libc::SIGHUP);
    running.until("the picture is rotated", |r| {
        let shown = r.get("/snapshot.jpg");
        crate::support::decode(&shown.body).dimensions() == (480, 640)
    });
    home.write_config("[camera]\nsource = stills:nothing\n[recognition]\nenabled = no\n");
    running.signal(libc::SIGHUP);
    running
        .until("the other source is tried", |r| r.state()["camera"]["source"].as_str().unwrap().starts_with("stills:"));
}

/// `/proc/PID/stat` of every child.
fn children(parent: i32) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let stats = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    let of_parent = |stat: &String| {
        let behind = stat.rsplit(") ").next().unwrap_or_default();
        behind.split(' ').nth(1).is_some_and(|word| word == parent.to_string())
    };
    stats.filter(of_parent).collect()
}
