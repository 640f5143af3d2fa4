//! Faults of cameras and of programs that replace them.

use crate::support::{Home, PATIENCE, read_part};
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
    assert!(running.log().contains("exit") && running.log().contains("lens cap on"), "{}", running.log());
    let started = Instant::now();
    let before = running.state()["camera"]["frames"].as_u64().unwrap();
    running.until("it comes back", |r| r.state()["camera"]["frames"].as_u64().unwrap() > before);
    assert!(started.elapsed() < Duration::from_secs(5));
    let zombies = children(running.pid()).into_iter().filter(|stat| stat.contains(") Z ")).count();
    assert_eq!(zombies, 0);
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
    running.until("the first picture", |r| r.state()["camera"]["frames"] == 1);
    running.until("it is away", |r| r.state()["camera"]["online"] == false);
    assert!(running.state()["camera"]["error"].as_str().unwrap().contains("no picture for"), "{}", running.state());
    running.until("the second start", |r| r.state()["camera"]["frames"].as_u64().unwrap() >= 2);
    running.until("the first child is gone", |r| children(r.pid()).len() <= 2);
}

#[test]
fn an_unknown_program_and_an_empty_folder_of_stills_are_named() {
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
    running.until("the picture stands on its side", |r| {
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
