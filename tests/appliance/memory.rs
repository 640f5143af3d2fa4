//! Tests that recognition fits into the available memory, or that namecam refuses to start and names the keys that need
//! too much.

use crate::support::{Home, Running, picture, repo};
use namecam::config::{Config, Detector};
use namecam::image::{Rect, Rgb, still};
use namecam::memory::CNN_LEAST_PYRAMID_PX;
use namecam::recognition::dlib::Dlib;
use namecam::recognition::engine::Engine;
use namecam::recognition::models;
use std::io::{Read, Write};
use std::process::Command;
use std::time::Duration;

/// The memory limit of the unit in bytes.
fn unit_max() -> u64 {
    let unit = std::fs::read_to_string(repo().join("systemd/namecam.service")).unwrap();
    let max = unit.lines().find_map(|line| line.strip_prefix("MemoryMax=")).expect("the unit has a limit");
    max.strip_suffix('G').expect("in gigabytes").parse::<u64>().unwrap() << 30
}

/// The peak memory of the process in bytes.
fn peak(running: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Runs namecam with `words` in a shell with a limited address space.
fn limited(home: &Home, kilobytes: u64, words: &str) -> Command {
    let mut inside = Command::new("sh");
    let outside = home.command();
    inside.current_dir(home.path("")).arg("-c");
    inside.arg(format!("ulimit -v {kilobytes} && exec '{}' {words}", outside.get_program().to_str().unwrap()));
    for (key, value) in outside.get_envs() {
        match value {
            Some(value) => inside.env(key, value),
            None => inside.env_remove(key),
        };
    }
    inside
}

#[test]
fn the_cnn_at_the_defaults_stays_well_below_the_limit_of_the_unit() {
    let home = Home::new("");
    home.enrol("Barack Obama", "obama.jpg");
    home.enrol("Joe Biden", "biden.jpg");
    let camera = format!("[camera]\nsource = stills:{}\n", repo().join("target/pictures").display());
    home.write_config(&format!("{camera}[recognition]\ndetector = cnn\ninterval_ms = 0\n"));
    let running = home.run();
    let _viewers: Vec<_> = (0..4).map(|_| running.view()).collect();
    let looks = |running: &Running| running.state()["recognition"]["looks"].as_u64().unwrap();
    // A pass over 1280x720 takes seconds.
    let deadline = std::time::Instant::now() + Duration::from_secs(600);
    while looks(&running) < 3 {
        assert!(std::time::Instant::now() < deadline, "{} looks: {}", looks(&running), running.log());
        std::thread::sleep(Duration::from_millis(200));
    }
    let (had, max) = (peak(&running), unit_max());
    println!("the CNN at the defaults took {} MB at most", had / 1_000_000);
    assert!(had < max / 4 * 3, "{} of {} MB", had / 1_000_000, max / 1_000_000);
    let said = running.log();
    let line = said.lines().find(|line| line.contains("memory: needs up to ")).expect(&said);
    let says = line.split("up to ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap().parse::<u64>().unwrap();
    assert!(had <= says * 1_000_000, "it said {says} MB and took {} MB", had / 1_000_000);
}

#[test]
fn a_config_that_does_not_fit_into_memory_ends_with_78_and_names_values_that_fit() {
    let home = Home::new(
        "[camera]\nsource = 9\nwidth = 4096\nheight = 2304\n[recognition]\ndetect_width = 4096\nupsample = 2\n",
    );
    let obama = picture("obama.jpg");
    let identify = format!("identify {}", obama.display());
    for words in ["run", "check", "check --json", "demo", &identify] {
        let output = limited(&home, 1_700_000, words).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(78), 0), "{words}: {said}");
        for told in [
            "detector = hog, detect_width = 4096, upsample = 2",
            "RLIMIT_AS is 1741 MB",
            "detect_width = ",
            "upsample = 0 fits",
        ] {
            assert!(said.contains(told), "{told} not in {said}");
        }
    }
    // Without recognition nothing is allocated, and namecam runs.
    let probe = limited(&home, 1_700_000, "probe --no-measure").output().unwrap();
    assert_eq!(probe.status.code(), Some(0), "{}", String::from_utf8_lossy(&probe.stderr));
}

#[test]
fn too_small_a_data_limit_for_openblas_ends_with_78_and_does_not_hang() {
    let home = Home::new("");
    home.enrol("Barack Obama", "obama.jpg");
    let limited = |kilobytes: u64, words: &str| {
        let command = limited(&home, kilobytes, words);
        let program = command.get_args().last().unwrap().to_str().unwrap().replace("ulimit -v", "ulimit -d");
        let mut data = Command::new("timeout");
        data.args(["300", "sh", "-c", &program]).current_dir(home.path(""));
        data.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
        // OpenBLAS takes a buffer for each further processor before `main`.
        data.env("OPENBLAS_NUM_THREADS", "2");
        data
    };
    for kilobytes in [280_000, 300_000, 320_000, 500_000, 800_000] {
        for words in ["run", "check"] {
            let output = limited(kilobytes, words).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(78), "{words} with {kilobytes} KB: {said}");
            assert!(said.contains("RLIMIT_DATA is"), "{said}");
        }
    }
    // A limit of 900 MB is enough.
    let output = limited(900_000, "check").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_reload_that_would_not_fit_changes_nothing_and_is_reported() {
    let home = Home::new("");
    home.enrol("Barack Obama", "obama.jpg");
    let camera = format!("[camera]\nsource = {}\n", home.still_camera("obama2.jpg"));
    home.write_config(&camera);
    let running = Running::start(&mut limited(&home, 2_200_000, "run"));
    running.until("Obama is named", |running| running.names() == ["Barack Obama"]);
    let reloads = |running: &Running| running.state()["reloads"].as_u64().unwrap();
    let (before, generation) = (reloads(&running), running.generation());
    home.write_config(&format!("{camera}[recognition]\ndetect_width = 4096\nupsample = 2\n"));
    running.signal(libc::SIGHUP);
    running.until("the reload has ended", |running| reloads(running) > before);
    let state = running.state();
    let error = state["reload_error"].as_str().unwrap_or_default().to_owned();
    assert!(error.contains("more memory than is available"), "{state:#}");
    running.until("the log says what fits", |r| {
        r.log().contains("detect_width = 4096, upsample = 2") && r.log().contains("upsample = 1 fits")
    });
    assert_eq!(running.generation(), generation);
    home.write_config(&camera);
    running.reload();
    running.until("the reload succeeds", |running| running.state()["reload_error"].is_null());
}

fn cnn(most_px: u64) -> Dlib {
    let mut config = Config::defaults(repo());
    config.recognition.detector = Detector::Cnn;
    Dlib::open(&models::check(&config).expect("the models are here: make setup"), most_px).unwrap()
}

/// Copies `part` to `canvas` with its corner at `x`, `y`.
fn paste(canvas: &mut Rgb, part: &Rgb, x: u32, y: u32) {
    let line = part.width as usize * 3;
    for row in 0..part.height {
        let (to, from) = (canvas.offset(x, y + row), part.offset(0, row));
        canvas.data[to..to + line].copy_from_slice(&part.data[from..from + line]);
    }
}

/// A picture of 1280x720 pixels with faces of these widths centred at these places.
fn wall(cnn: &mut Dlib, faces: &[(u32, u32, u32)]) -> Rgb {
    let people = ["obama.jpg", "biden.jpg", "astronaut.png"];
    let people: Vec<(Rgb, Rect)> = people
        .iter()
        .map(|name| {
            let rgb = still::decode(&std::fs::read(picture(name)).unwrap()).unwrap();
            let face = cnn.detect(&rgb, 500.0 / f64::from(rgb.width))[0];
            (rgb, face)
        })
        .collect();
    let mut wall = Rgb::filled(1280, 720, [110, 120, 130]);
    for (at, &(width, x, y)) in faces.iter().enumerate() {
        let (rgb, face) = &people[at % people.len()];
        let around = face.grown(face.w / 4).clipped(rgb.width, rgb.height);
        let part = rgb.cropped(around).shrunk(around.w * width / face.w);
        paste(&mut wall, &part, x - part.width / 2, y - part.height / 2);
    }
    wall
}

#[test]
fn the_cnn_finds_the_same_faces_in_tiles_as_on_the_whole_picture_and_none_twice() {
    let mut whole = cnn(u64::MAX);
    // Faces on the borders of the tiles and in corners, small and large.
    let wall = wall(
        &mut whole,
        &[
            (90, 640, 90),
            (85, 427, 240),
            (100, 853, 360),
            (130, 640, 330),
            (150, 200, 290),
            (170, 1100, 180),
            (240, 1060, 530),
            (200, 200, 560),
            (88, 640, 620),
            (95, 90, 100),
        ],
    );
    let expected = whole.detect(&wall, 1.0);
    assert!(expected.len() >= 9, "{expected:?}");
    for most in [2_040_000, CNN_LEAST_PYRAMID_PX] {
        let found = cnn(most).detect(&wall, 1.0);
        assert_eq!(found.len(), expected.len(), "{most}: {found:?} {expected:?}");
        for face in &expected {
            let same = found.iter().filter(|other| other.iou(*face) > 0.5).count();
            assert_eq!(same, 1, "{most}: {face:?} in {found:?}");
        }
    }
}

#[test]
fn a_face_on_a_large_picture_has_the_same_descriptor_as_on_a_small_one() {
    let mut config = Config::defaults(repo());
    config.recognition.detector = Detector::Hog;
    let mut dlib = Dlib::open(&models::check(&config).unwrap(), u64::MAX).unwrap();
    let rgb = still::decode(&std::fs::read(picture("obama2.jpg")).unwrap()).unwrap();
    let face = dlib.detect(&rgb, 1.0)[0];
    let small = dlib.describe(&rgb, &[face], 1)[0];
    // The same pixels at another position in a large picture, of which only a crop is used for the descriptor.
    let mut large = Rgb::filled(3000, 2000, [0; 3]);
    paste(&mut large, &rgb, 1024, 512);
    let there = Rect { x: face.x + 1024, y: face.y + 512, ..face };
    let described = dlib.describe(&large, &[there, there], 1);
    assert_eq!(described.len(), 2);
    let off = |a: &[f32; 128]| a.iter().zip(&small).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
    assert!(off(&described[0]) < 0.02 && described[0] == described[1], "{}", off(&described[0]));
}

#[test]
fn wrong_passwords_with_held_responses_use_no_memory() {
    let home = Home::new("");
    let users = home.path("users");
    namecam::http::auth::accounts::passwd(&users, "mom", namecam::http::auth::accounts::Role::Viewer, "right").unwrap();
    let http = format!("[http]\nbind = 127.0.0.1:0\npassword_file = {}\n", users.display());
    home.put(
        "namecam.ini",
        format!("[camera]\nsource = /dev/does-not-exist\n[recognition]\nenabled = no\n{http}").as_bytes(),
    );
    let running = home.run();
    // mom:wrong
    let login = "Authorization: Basic bW9tOndyb25n";
    let wrong: Vec<_> = (0..60)
        .map(|client| {
            let mut stream = running.connect();
            let head =
                format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 203.0.113.{client}\r\n{login}\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    for mut stream in wrong {
        assert!(stream.read(&mut [0; 12]).unwrap() > 0, "each client gets an answer");
    }
    // The check of a password needs 19 MiB, and only one check runs at a time.
    assert!(peak(&running) < 150 << 20, "{} MB", peak(&running) / 1_000_000);
}
