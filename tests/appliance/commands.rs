//! Tests the subcommands that end by themselves, and the errors for a wrong command line or config.

use crate::support::{Home, Running, picture, repo};
use serde_json::Value;
use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn output(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    (status.code().expect("an exit status"), text(&stdout), text(&stderr))
}

#[test]
fn identify_names_the_people_on_each_picture() {
    let home = Home::new("");
    home.enrol("Barack Obama", "obama.jpg");
    home.enrol("Joe Biden", "biden.jpg");
    let mut command = home.command();
    command.arg("identify").args(["obama2.jpg", "biden.jpg", "astronaut.png"].map(picture)).arg("no-such.jpg");
    let (status, stdout, _) = output(&mut command);
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(status, 1, "one file is unreadable");
    assert!(lines[0].contains("obama2.jpg: Barack Obama 0."), "{stdout}");
    assert!(lines[1].contains("biden.jpg: Joe Biden 0.000"), "{stdout}");
    assert!(lines[2].contains("astronaut.png: Unknown 0."), "{stdout}");
    assert!(lines[3].contains("no-such.jpg: unreadable"), "{stdout}");
}

#[test]
fn names_boxes_and_distances_are_the_same_on_every_processor() {
    let reference: Value = serde_json::from_str(include_str!("../reference.json")).unwrap();
    let home = Home::new("");
    for (name, pictures) in reference["gallery"].as_object().unwrap() {
        pictures.as_array().unwrap().iter().for_each(|file| home.enrol(name, file.as_str().unwrap()));
    }
    let probes = reference["probes"].as_array().unwrap();
    let pictures = probes.iter().map(|probe| picture(probe["picture"].as_str().unwrap()));
    let (_, stdout, _) = output(home.command().args(["identify", "--json"]).args(pictures));
    for (line, probe) in stdout.lines().zip(probes) {
        let found: Value = serde_json::from_str(line).unwrap();
        let same = |a: &Value, b: &Value| {
            let off = (a["distance"].as_f64().unwrap() - b["distance"].as_f64().unwrap()).abs();
            a["name"] == b["name"] && a["box"] == b["box"] && off <= reference["tolerance"].as_f64().unwrap()
        };
        let [found, wanted] = [&found["faces"], &probe["faces"]].map(|faces| faces.as_array().unwrap());
        assert_eq!(found.len(), wanted.len(), "{line}");
        assert!(found.iter().zip(wanted).all(|(a, b)| same(a, b)), "{line} is not {probe}");
    }
    assert_eq!(stdout.lines().count(), probes.len());
}

/// Writes a program that prints `with` if its arguments contain `word`, and otherwise `without`.
fn fake(home: &Home, name: &str, word: &str, [without, with]: [&str; 2]) {
    let [without, with] =
        [("without", without), ("with", with)].map(|(end, text)| home.put(format!("{name}.{end}"), text.as_bytes()));
    let script =
        format!("#!/bin/sh\ncase \"$*\" in *{word}*) cat {};; *) cat {};; esac\n", with.display(), without.display());
    let file = home.put(format!("bin/{name}"), script.as_bytes());
    std::fs::set_permissions(file, Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_report_has_no_name_and_no_secret_of_the_journal_the_kernel_and_systemd() {
    let home = Home::new("");
    // "김민호" in decomposed form, as macOS writes it.
    let decomposed = "\u{1100}\u{1175}\u{11b7}\u{1106}\u{1175}\u{11ab}\u{1112}\u{1169}";
    for person in [decomposed, "Zoe Quimby"] {
        home.put(format!("gallery/{person}/1.jpg"), b"");
    }
    home.put("users", b"quentin:admin:$argon2id$SALTYSALT\n");
    home.put("broker", b"brokerpass7\n");
    home.write_config(
        "[camera]\nsource = /dev/v4l/by-id/usb-046d_C920_0F1E2D3C-video-index0\n[mqtt]\npassword_file = broker\n\
         [http]\nbind = 127.0.0.1:1\npassword_file = users\n",
    );
    let line = |from: &str, message: &str| {
        let time = "1700000000000000";
        serde_json::json!({"__REALTIME_TIMESTAMP": time, "SYSLOG_IDENTIFIER": from, "MESSAGE": message}).to_string()
            + "\n"
    };
    let journal = [
        line("systemd", "Started namecam.service of quentin."),
        line("namecam", "http: quentin has logged in from 203.0.113.9"),
        line("namecam", "gallery: forgottenperson/1.jpg: no face"),
        line("namecam", &format!("camera: no pictures: 김민호 {decomposed} zoe brokerpass7 fd12::9")),
        line("namecam", "http: wrong user name or password: forgottenperson"),
        line("ffmpeg", "rtsp://cam:rtsppass7@cam/"),
    ];
    let kernel = [
        line("kernel", "usb 1-1: SerialNumber: 0F1E2D3C"),
        line("kernel", "uvcvideo 1-1:1.0: Failed to query (GET_CUR) UVC control"),
        line("kernel", "asix 1-2:1.0 eth1: register at usb-1, a0:36:9f:00:12:ab"),
        line("kernel", "wlan0: associated"),
    ];
    fake(&home, "journalctl", "--dmesg", [&journal.concat(), &kernel.concat()]);
    fake(&home, "systemctl", "show", ["", "ActiveState=active\nStatusText=no camera: 김민호 quentin\n"]);
    let path = format!("{}:{}", home.path("bin").display(), std::env::var("PATH").unwrap());
    let (status, report, said) = output(home.command().args(["report", "-"]).env("PATH", path));
    assert_eq!(status, 0, "{said}");
    let small = report.to_lowercase();
    let secrets =
        ["김민호", decomposed, "zoe", "quimby", "quentin", "saltysalt", "brokerpass7", "0f1e2d3c", "203.0.113.9"];
    for secret in secrets.into_iter().chain(["fd12::9", "a0:36:9f", "forgottenperson", "rtsppass7", "wlan0"]) {
        assert!(!small.contains(secret), "{secret}:\n{report}");
    }
    for told in [
        "camera.source = /dev/v4l/by-id/(hidden)-video-index0  (",
        " systemd: Started namecam.service of (user).\n",
        " namecam: camera: no pictures: person-2 person-2 person-1 (secret) (address)\n",
        " namecam: http: wrong user name or password (details are left out)\n",
        "(3 lines are left out, ",
        "StatusText=no camera: person-2 (user)\n",
        " usb 1-1: SerialNumber: (hidden)\n",
        "Failed to query (GET_CUR) UVC control\n",
        " eth1: register at usb-1, (address)\n",
        "== state ==\nnot there: no namecam answers at 127.0.0.1:1: ",
    ] {
        assert!(report.contains(told), "{told}:\n{report}");
    }
}

#[test]
fn identify_json_has_the_documented_fields() {
    let home = Home::new("");
    home.enrol("Barack Obama", "obama.jpg");
    home.enrol("Joe Biden", "biden.jpg");
    let (status, stdout, _) = output(home.command().args(["identify", "--json"]).arg(picture("obama2.jpg")));
    let value: Value = serde_json::from_str(stdout.trim()).unwrap();
    assert_eq!(status, 0);
    assert_eq!(value["error"], Value::Null);
    let face = &value["faces"][0];
    let keys: Vec<&String> = face.as_object().unwrap().keys().collect();
    assert_eq!(keys[..6], ["name", "distance", "threshold", "runner_up", "nearest", "box"]);
    let evidence = [
        "because",
        "person",
        "flaw",
        "score",
        "score_limit",
        "margin",
        "nearest_pictures",
        "looks",
        "effective_looks",
        "width_px",
        "sharpness",
        "why",
    ];
    assert_eq!(keys[6..], evidence);
    assert_eq!(face["nearest"]["file"], "Barack Obama/obama.jpg");
    assert_eq!(face["nearest_pictures"][0]["file"], "Barack Obama/obama.jpg");
    assert!(face["why"].as_str().unwrap().starts_with("Barack Obama 0."), "{}", face["why"]);
    let cosine = ["identify", "--json", "--set", "recognition.metric=cosine"];
    let (_, stdout, _) = output(home.command().args(cosine).arg(picture("obama2.jpg")));
    let value: Value = serde_json::from_str(stdout.trim()).unwrap();
    assert_eq!(value["faces"][0]["name"], "Barack Obama", "{value}");
    assert!(value["faces"][0]["distance"].as_f64().unwrap() < 0.07, "{value}");
}

#[test]
fn without_models_identify_and_check_end_with_2_and_name_the_file() {
    let home = Home::new("");
    let set = format!("models.path={}", home.path("empty").display());
    let (status, _, stderr) = output(home.command().args(["identify", "--set", &set]).arg(picture("obama.jpg")));
    assert!(status == 2 && stderr.contains("shape_predictor_5_face_landmarks.dat"), "{stderr}");
    let (status, stdout, _) = output(home.command().args(["check", "--set", &set]));
    assert!(status == 2 && stdout.contains("shape_predictor_5_face_landmarks.dat"), "{stdout}");
}

#[test]
fn a_truncated_model_is_refused_before_dlib_reads_it() {
    let home = Home::new("");
    for name in ["shape_predictor_5_face_landmarks.dat", "dlib_face_recognition_resnet_model_v1.dat"] {
        let bytes = std::fs::read(repo().join("models").join(name)).expect("models are there: make setup");
        home.put(format!("models/{name}"), if name.starts_with("dlib") { &bytes[..bytes.len() / 2] } else { &bytes });
    }
    let set = format!("models.path={}", home.path("models").display());
    let (status, _, stderr) = output(home.command().args(["identify", "--set", &set]).arg(picture("obama.jpg")));
    assert!(status == 2 && stderr.contains("dlib_face_recognition_resnet_model_v1.dat is damaged"), "{stderr}");
}

#[test]
fn the_cnn_detector_finds_the_face_too() {
    let home = Home::new("");
    home.enrol("Joe Biden", "biden.jpg");
    let cnn = ["identify", "--set", "recognition.detector=cnn"];
    let (status, stdout, stderr) = output(home.command().args(cnn).arg(picture("biden.jpg")));
    assert!(status == 0 && stdout.contains("Joe Biden 0.000"), "{stdout}{stderr}");
}

#[test]
fn every_subcommand_ends_with_78_and_all_problems_of_a_bad_config() {
    let home = Home::new("");
    home.put("bad.ini", b"[camera]\nfps = 0\nzoom = 2\n[http]\nbind = 0.0.0.0:80\nnonsense\n");
    for subcommand in [&["run"][..], &["check"], &["probe"], &["demo"], &["identify", "x.jpg"]] {
        let (status, stdout, stderr) = output(home.command().args(subcommand).args(["--config", "bad.ini"]));
        assert_eq!((status, stdout.as_str()), (78, ""), "{subcommand:?}: {stderr}");
        for told in [
            "bad.ini:2: [camera] fps = 0: must be a whole number from 1 to 240",
            "bad.ini:3: ",
            "bad.ini:5: ",
            "bad.ini:6: ",
        ] {
            assert!(stderr.contains(told), "{told} not in {stderr}");
        }
    }
    let (status, _, stderr) = output(home.command().args(["check", "--set", "camera.fps=fast"]));
    assert!(status == 78 && stderr.contains("--set"), "{stderr}");
    let (status, _, stderr) = output(home.command().args(["check", "--set", "camera.source=rtsp://u:s3cret@camera/x"]));
    assert!(status == 78 && stderr.contains("-i rtsp://camera/x -f mjpeg") && !stderr.contains("s3cret"), "{stderr}");
}

#[test]
fn check_finds_the_problems_that_run_would_have() {
    let home = Home::new("");
    home.put("gallery/Barack Obama/1.jpg", &std::fs::read(picture("obama.jpg")).unwrap());
    let check = |set: &str| output(home.command().args(["check", "--set", set]));
    let (status, stdout, _) = check("overlay.enabled=yes");
    assert!(status == 0 && stdout.contains("1 of 1 used"), "copied a moment ago: {stdout}");
    for subcommand in ["check", "run"] {
        let (status, _, stderr) = output(home.command().args([subcommand, "--set", "http.password_file=nobody"]));
        assert!(status == 78 && stderr.contains("nobody: cannot be read"), "{subcommand}: {status} {stderr}");
    }
    for (set, word) in [
        ("overlay.font=no.ttf", "font cannot be read"),
        ("camera.source=stills:no", "no cannot be read"),
        ("camera.source=/dev/video99", "no camera at /dev/video99"),
        ("camera.source=/dev/null", "/dev/null is not a camera"),
        ("camera.source=pipe:no-such-program -x", "no program named 'no-such-program'"),
    ] {
        let (status, stdout, _) = check(set);
        assert!(status == 1 && stdout.contains(word), "{set}: {stdout}");
        assert_eq!(stdout.contains("see the warning below"), set.starts_with("camera"), "{set}: {stdout}");
    }
    let (status, stdout, _) =
        output(home.command().args(["check", "--json", "--set", "camera.source=pipe:sh -c false"]));
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (status, &report["camera"]),
        (0, &serde_json::json!({"source": "pipe:sh", "problem": null})),
        "{stdout}"
    );
    // `identify` does not read the password file.
    let identify = ["identify", "--set", "http.password_file=nobody"];
    let (status, _, stderr) = output(home.command().args(identify).arg(picture("obama.jpg")));
    assert_eq!(status, 0, "{stderr}");
}

#[test]
fn settings_override_the_config_and_damaged_settings_change_nothing() {
    let home = Home::new("[overlay]\nunknown = show\n[stream]\nquality = 70\n");
    home.enrol("Barack Obama", "obama.jpg");
    let camera = home.still_camera("astronaut.png");
    let settings = home.put("state/namecam/settings.ini", b"[overlay]\nunknown = blur\n");
    let running = Running::start(home.command().args(["run", "--set", &format!("camera.source={camera}")]));
    let value = |name: &str| {
        let answer: Value = serde_json::from_slice(&running.get("/api/config").body).expect("JSON");
        let values = answer["values"].as_array().expect("values");
        let value = values.iter().find(|value| value["key"] == name).expect("the key");
        (value["value"].clone(), value["source"].as_str().expect("a source").to_owned())
    };
    let (unknown, source) = value("overlay.unknown");
    assert_eq!((unknown, source), ("blur".into(), format!("{}:2", settings.display())));
    assert!(value("stream.quality").1.ends_with("namecam.ini:4"));
    assert_eq!(value("camera.source"), ("pipe:sh".into(), "--set".to_owned()));
    // A reload with a damaged line changes nothing, and a start is refused.
    std::fs::write(&settings, "[overlay]\nunknown = bl\n[stream]\nquality = 50\n").expect("settings");
    running.signal(libc::SIGHUP);
    running.until("the refusal", |running| running.state()["reload_error"].is_string());
    assert_eq!((value("overlay.unknown").0, value("stream.quality").0), ("blur".into(), "70".into()));
    let (status, _, told) = output(home.command().arg("run"));
    assert_eq!(status, 78);
    let place = format!("{}:2: [overlay] unknown = bl: must be show, hide or blur", settings.display());
    assert!(told.starts_with(&place), "{told}");
    // `check` prints the values that come from the settings file.
    std::fs::write(&settings, "[stream]\nquality = 50\n").expect("settings");
    running.reload();
    assert_eq!((value("overlay.unknown").0, value("stream.quality").0), ("show".into(), "50".into()));
    let (_, told, _) = output(home.command().arg("check"));
    assert!(told.contains("stream.quality = 50 (") && !told.contains("overlay.unknown"), "{told}");
}

#[test]
fn changes_from_the_page_apply_at_once_and_after_a_restart() {
    let home = Home::new("[recognition]\nenabled = no\n[overlay]\nunknown = show\n[stream]\nquality = 70\n");
    let camera = home.still_camera("astronaut.png");
    let start = || Running::start(home.command().args(["run", "--set", &format!("camera.source={camera}")]));
    let running = start();
    let value = |running: &Running, name: &str| {
        let answer: Value = serde_json::from_slice(&running.get("/api/config").body).expect("JSON");
        let values = answer["values"].as_array().expect("values").clone();
        values.into_iter().find(|value| value["key"] == name).expect("the key")["value"].clone()
    };
    let (status, answer) = running.change_settings(r#"{"set": {"overlay.unknown": "blur", "stream.quality": "40"}}"#);
    assert_eq!((status, &answer["applied"]), (200, &serde_json::json!(["overlay.unknown", "stream.quality"])));
    assert_eq!((value(&running, "overlay.unknown"), value(&running, "stream.quality")), ("blur".into(), "40".into()));
    let (status, answer) = running.change_settings(r#"{"set": {"stream.quality": "400", "overlay.unknown": "show"}}"#);
    assert_eq!((status, &answer["problems"][0]["place"]), (400, &"stream.quality".into()));
    let (status, _) = running.change_settings(r#"{"unset": ["stream.quality"]}"#);
    assert_eq!(status, 200);
    drop(running);
    let running = start();
    assert_eq!((value(&running, "overlay.unknown"), value(&running, "stream.quality")), ("blur".into(), "70".into()));
}

#[test]
fn a_demo_without_pictures_ends_with_the_reason() {
    let home = Home::new("");
    let mut command = Command::new("timeout");
    command.arg("300").arg(home.command().get_program()).arg("demo").current_dir(home.path(""));
    let (status, _, stderr) = output(&mut command);
    assert!(
        status == 1 && stderr.contains("nothing to show") && stderr.contains("gallery has no picture files"),
        "{stderr}"
    );
}

#[test]
fn a_credential_of_the_service_is_not_required_of_other_users() {
    let home = Home::new("");
    home.put("gallery/Barack Obama/1.jpg", &std::fs::read(picture("obama.jpg")).unwrap());
    let set = "http.password_file=/run/credentials/camera.service/users";
    let (status, stdout, stderr) = output(home.command().args(["check", "--set", set]));
    assert_eq!(status, 0, "{stdout}{stderr}");
    let (status, _, stderr) = output(home.command().args(["passwd", "--set", set, "anna"]));
    assert!(status == 1 && stderr.contains("LoadCredential"), "{status} {stderr}");
}

/// The uid of the folder's owner. Makes `nobody` the owner if the tests run as root; only root can change the owner.
fn as_nobodys(folder: &Path) -> u32 {
    let me = std::fs::metadata(folder).unwrap().uid();
    if me != 0 {
        return me;
    }
    std::os::unix::fs::chown(folder, Some(65534), Some(65534)).unwrap();
    65534
}

fn passwd(home: &Home, words: &[&str], file: &Path, password: &str) -> (i32, String) {
    let mut command = home.command();
    command.arg("passwd").args(words).arg("--file").arg(file).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    (done.status.code().unwrap(), text(&done.stderr))
}

#[test]
fn passwd_as_root_writes_with_the_rights_of_the_folders_owner() {
    let home = Home::new("");
    let state = home.path("state");
    std::fs::create_dir(&state).unwrap();
    std::fs::set_permissions(home.path(""), Permissions::from_mode(0o755)).unwrap();
    let owner = as_nobodys(&state);
    let users = state.join("users");
    for password in ["a first long password\n", "another long password\n"] {
        let (status, stderr) = passwd(&home, &["--admin", "anna"], &users, password);
        assert_eq!(status, 0, "{stderr}");
        let meta = std::fs::metadata(&users).unwrap();
        assert_eq!((meta.uid(), meta.mode() & 0o777), (owner, 0o600));
    }
    assert_eq!(std::fs::read_to_string(&users).unwrap().lines().count(), 1);
    // A file that root has made in the folder, as an editor with sudo does: its owner may replace it, and the group of
    // the owner gets the rights that it had as one of the others.
    std::fs::set_permissions(&users, Permissions::from_mode(0o664)).unwrap();
    let group = std::fs::metadata(&users).unwrap().gid();
    let by_root = std::os::unix::fs::chown(&users, Some(0), Some(0)).is_ok();
    let (status, stderr) = passwd(&home, &["anna"], &users, "a second long password\n");
    assert_eq!(status, 0, "{stderr}");
    let meta = std::fs::metadata(&users).unwrap();
    let mode = if by_root { 0o644 } else { 0o664 };
    assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o777), (owner, group, mode));
    // A symbolic link of root to the file of the service is followed with the rights of the owner, too.
    std::os::unix::fs::symlink(&users, home.path("link")).unwrap();
    assert_eq!(passwd(&home, &["anna"], &home.path("link"), "a third long password\n").0, 0);
    assert_eq!(std::fs::metadata(&users).unwrap().uid(), owner);
    // Root does not read or write a file that the owner of the folder may not read.
    let secret = home.put("secret", b"root:admin:x\n");
    std::fs::set_permissions(&secret, Permissions::from_mode(0o000)).unwrap();
    std::fs::remove_file(&users).unwrap();
    std::os::unix::fs::symlink(&secret, &users).unwrap();
    let (status, stderr) = passwd(&home, &["anna"], &users, "a first long password\n");
    assert!(status == 1 && stderr.contains("permission denied"), "{status} {stderr}");
    std::fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(std::fs::read(&secret).unwrap(), b"root:admin:x\n");
}

#[test]
fn a_new_password_or_token_keeps_the_role_and_the_removal_of_the_last_admin_is_said() {
    let home = Home::new("");
    let users = home.path("users");
    let run = |words: &[&str], password: &str| {
        let (status, stderr) = passwd(&home, words, &users, password);
        assert_eq!(status, 0, "{words:?} {stderr}");
        stderr
    };
    let roles = || -> Vec<String> {
        let text = std::fs::read_to_string(&users).unwrap();
        text.lines().map(|line| line.split(':').take(2).collect::<Vec<_>>().join(" ")).collect()
    };
    run(&["--admin", "anna"], "a first long password\n");
    assert!(run(&["anna"], "another long password\n").contains("saved the admin anna in "));
    assert!(run(&["bob"], "a third long password\n").contains("saved the viewer bob in "));
    run(&["--admin", "--token", "script"], "");
    assert!(run(&["--token", "script"], "").contains("saved the admin token script in "));
    assert_eq!(roles(), ["anna admin", "bob viewer", "script admin"]);
    // A person with the name of a token would become what the token is.
    let (status, stderr) = passwd(&home, &["script"], &users, "a fourth long password\n");
    assert!(status == 1 && stderr.contains("script is a token; choose another name"), "{status} {stderr}");
    assert_eq!(roles(), ["anna admin", "bob viewer", "script admin"]);
    run(&["--admin", "bob"], "a third long password\n");
    assert!(!run(&["--remove", "anna"], "").contains("warning"));
    assert!(run(&["--remove", "bob"], "").contains("warning: no user is an admin any more"));
    assert_eq!(roles(), ["script admin"]);
}

/// Runs the package's postinst in `root`; `previous` is the version before an upgrade.
fn configured(root: &Path, previous: &str) {
    maintained(root, "postinst", &["configure", previous]);
}

/// Runs a script of the package in `root` without changing this machine. `ROOT/invoked` has the orders to systemd.
fn maintained(root: &Path, script: &str, words: &[&str]) {
    let bin = root.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    for folder in ["var/lib/namecam", "etc/namecam"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    // systemd-tmpfiles makes an empty file of accounts.
    std::fs::OpenOptions::new().create(true).append(true).open(root.join("var/lib/namecam/users")).unwrap();
    let program = format!("#!/bin/sh\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_namecam"));
    let setpriv = "#!/bin/sh\n[ \"$1 $2\" = '--reuid=namecam --regid=namecam' ] || exit 1\nshift 3\nexec \"$@\"\n";
    let nothing = "#!/bin/sh\n";
    let invoked = "#!/bin/sh\necho \"$@\" >>\"$DPKG_ROOT/invoked\"\n";
    for (name, script) in [
        ("namecam", program.as_str()),
        ("setpriv", setpriv),
        ("systemd-sysusers", nothing),
        ("systemd-tmpfiles", nothing),
        ("deb-systemd-helper", nothing),
        ("deb-systemd-invoke", invoked),
        ("systemctl", nothing),
    ] {
        std::fs::write(bin.join(name), script).unwrap();
        std::fs::set_permissions(bin.join(name), Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.arg(repo().join("packaging/namecam").join(script)).args(words);
    let (status, stdout, stderr) = output(command.env("DPKG_ROOT", root).env("PATH", path));
    assert_eq!(status, 0, "{stdout}{stderr}");
}

#[test]
fn the_package_makes_the_user_admin_once_and_moves_the_accounts_of_its_first_version_once() {
    let home = Home::new("");
    let fresh = home.path("fresh");
    configured(&fresh, "");
    let users = |root: &Path| std::fs::read_to_string(root.join("var/lib/namecam/users")).unwrap();
    let first = users(&fresh);
    assert!(first.starts_with("admin:admin:$argon2id$") && first.lines().count() == 1, "{first}");
    assert!(!fresh.join("etc/namecam/users").exists());
    configured(&fresh, "0.1.0");
    assert_eq!(users(&fresh), first);

    let upgraded = home.path("upgraded");
    std::fs::create_dir_all(upgraded.join("etc/namecam")).unwrap();
    let old = upgraded.join("etc/namecam/users");
    std::fs::write(&old, &first).unwrap();
    std::fs::set_permissions(&old, Permissions::from_mode(0o640)).unwrap();
    configured(&upgraded, "0.1.0");
    assert_eq!(users(&upgraded), first);
    let kept = std::fs::read_to_string(&old).unwrap();
    let (note, lines) = kept.split_once('\n').unwrap();
    assert!(note.starts_with("# Copied to /var/lib/namecam/users") && lines == first, "{kept}");
    assert_eq!(std::fs::metadata(&old).unwrap().mode() & 0o777, 0o640);
    // The next upgrade does not bring back an account that was removed, even if no account is left.
    for now in ["", "anna:viewer:x\n"] {
        std::fs::write(upgraded.join("var/lib/namecam/users"), now).unwrap();
        configured(&upgraded, "0.1.1");
        assert_eq!(users(&upgraded), now);
        assert_eq!(std::fs::read_to_string(&old).unwrap(), kept);
    }
    // The next upgrade completes an upgrade that stopped after copying the accounts and before writing the note.
    std::fs::write(&old, &first).unwrap();
    configured(&upgraded, "0.1.1");
    assert_eq!((users(&upgraded).as_str(), std::fs::read_to_string(&old).unwrap()), ("anna:viewer:x\n", kept));
}

#[test]
fn a_new_installation_starts_cameras_that_a_removal_stopped_and_a_purge_deletes_no_other_folders() {
    let home = Home::new("");
    let root = home.path("root");
    let links = root.join("etc/systemd/system/multi-user.target.wants");
    for folder in [&links, &root.join("run/systemd/system")] {
        std::fs::create_dir_all(folder).unwrap();
    }
    std::os::unix::fs::symlink("/lib/systemd/system/namecam@.service", links.join("namecam@garden.service")).unwrap();
    let started = || {
        let invoked = std::fs::read_to_string(root.join("invoked")).unwrap();
        invoked.lines().filter(|line| *line == "start namecam@garden.service").count()
    };
    configured(&root, "");
    assert_eq!(started(), 0, "the administrator may have stopped it");
    maintained(&root, "prerm", &["remove"]);
    configured(&root, "0.1.0");
    assert_eq!(started(), 1);
    configured(&root, "0.1.0");
    assert_eq!(started(), 1, "an upgrade does not start it");

    std::fs::write(root.join("etc/namecam/garden.ini"), "").unwrap();
    for folder in ["namecam-garden", "namecam-backup"] {
        std::fs::create_dir(root.join("var/lib").join(folder)).unwrap();
    }
    maintained(&root, "postrm", &["purge"]);
    let left = std::fs::read_dir(root.join("var/lib")).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["namecam-backup"]);
    assert!(!root.join("etc/namecam").exists() && !links.join("namecam@garden.service").exists());
}

#[test]
fn wrong_usage_ends_with_64_and_help_and_version_end_with_0() {
    let home = Home::new("");
    for words in [&["fly"][..], &[], &["run", "--fast"], &["identify"]] {
        let (status, _, stderr) = output(home.command().args(words));
        assert!(status == 64 && stderr.contains("--help"), "{words:?}: {stderr}");
    }
    let (status, stdout, _) = output(home.command().arg("--help"));
    assert!(status == 0 && ["run", "check", "probe", "identify", "demo"].iter().all(|s| stdout.contains(s)));
    let (status, stdout, _) = output(home.command().arg("--man"));
    assert!(status == 0 && stdout.contains("\n.TH NAMECAM 1 "), "{stdout}");
    let (status, stdout, _) = output(home.command().arg("-V"));
    assert!(
        status == 0 && ["namecam", "dlib 19", "OpenBLAS", "SIMD", "JPEG: turbojpeg"].iter().all(|s| stdout.contains(s)),
        "{stdout}"
    );
}

#[test]
fn probe_succeeds_on_a_machine_without_a_camera() {
    let home = Home::new("");
    let (status, stdout, stderr) = output(home.command().arg("probe"));
    assert_eq!(status, 0, "{stdout}{stderr}");
    assert!(stdout.contains("camera"), "{stdout}{stderr}");
    let (status, stdout, stderr) = output(home.command().args(["probe", "--json"]));
    assert!(status == 0 && serde_json::from_str::<Value>(&stdout).is_ok(), "{stdout}{stderr}");
}

#[test]
fn output_that_cannot_be_written_is_an_error_unless_the_pipe_was_closed() {
    let home = Home::new("");
    let to = |sink: Stdio| home.command().args(["--sample-ini"]).stdout(sink).output().expect("the program starts");
    let full = to(std::fs::File::options().write(true).open("/dev/full").unwrap().into());
    assert!(full.status.code() == Some(74) && text(&full.stderr).contains("No space left"), "{full:?}");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let gone = to(writer.into());
    assert!(gone.status.code() == Some(0) && gone.stderr.is_empty(), "{gone:?}");
}
