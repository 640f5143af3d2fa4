use super::keys::{KEYS, Value, ValueKind, sample};
use super::*;

fn load(text: &str) -> Result<Config, Problems> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("namecam.ini");
    std::fs::write(&file, text).unwrap();
    Origin { file: Some(file), state_folder: Some(folder.path().join("state")), ..Origin::default() }.load()
}

/// An origin whose state folder is not the one of the user who runs the tests.
fn nothing_kept() -> Origin {
    Origin { state_folder: Some("/nowhere".into()), ..Origin::default() }
}

fn complaints(text: &str) -> Vec<String> {
    let problems = load(text).unwrap_err().0;
    let short = |p: &Problem| format!("{}: {}", p.place.rsplit('/').next().unwrap(), p.what);
    problems.iter().map(short).collect()
}

#[test]
fn an_empty_file_means_the_defaults_of_the_contract() {
    let config = load("").unwrap();
    assert_eq!(config.camera.source, CameraSource::Device("/dev/video0".into()));
    assert_eq!((config.camera.width, config.camera.height, config.camera.fps), (1280, 720, 30));
    assert_eq!(config.recognition.threshold, 0.6);
    assert_eq!(config.http.bind, "127.0.0.1:5000");
    assert!(config.gallery.path.is_absolute() && config.gallery.path.ends_with("gallery"));
}

#[test]
fn every_default_is_allowed_by_its_own_key() {
    for key in KEYS {
        let value = key.kind.parse(key.default, Path::new("/base"));
        assert!(value.is_some_and(|v| key.put(&mut Config::defaults(Path::new("/")), v).is_some()), "{}", key.path());
    }
}

#[test]
fn a_webhook_has_an_address_without_secrets_and_tls() {
    let url = |text: &str| Url::parse(text).map(|url| (url.authority(), url.path));
    let is = |authority: &str, path: &str| Some((authority.to_owned(), path.to_owned()));
    assert_eq!(url("http://ntfy.lan/door?tpl=1&m={{.name}}"), is("ntfy.lan:80", "/door?tpl=1&m={{.name}}"));
    assert_eq!(url("http://[fe80::1%25eth0]:8080"), is("[fe80::1%25eth0]:8080", "/"));
    assert_eq!(url("http://10.0.0.7:5?x"), is("10.0.0.7:5", "/?x"));
    for wrong in [
        "ftp://a/",
        "http://",
        "http:///x",
        "a:5",
        "http://u:p@a/",
        "http://a/#b",
        "http://a:x/",
        "http://a/ b",
        "http://a:99999/",
    ] {
        assert_eq!(url(wrong), None, "{wrong}");
    }
    let told =
        complaints("[webhook]\nurl = ftp://ntfy.lan/door\nevents = named, gone\n[exec]\ncommand = aplay x | cat\n");
    for (line, word) in told.iter().zip(["http://HOST", "appeared, named", "no shell"]) {
        assert!(line.contains(word), "{line}");
    }
    assert_eq!(told.len(), 3);
    let config = load("[webhook]\nurl = http://a/\nevents = Named,left\n[exec]\ncommand = aplay 'a b.wav'\n").unwrap();
    assert_eq!(
        (config.webhook.events.join(" "), config.exec.command.join("|")),
        ("named left".into(), "aplay|a b.wav".into())
    );
}

#[test]
fn tls_has_its_own_ports_and_a_build_without_tls_refuses_the_keys() {
    let text = "[mqtt]\ntls = yes\nca_file = ca.pem\n[webhook]\nurl = https://ntfy.lan/door\n";
    if !cfg!(feature = "tls") {
        let told = complaints(text);
        assert!(told.len() == 2 && told.iter().all(|line| line.contains("this build has no TLS")), "{told:?}");
        return;
    }
    let config = load(text).unwrap();
    let url = config.webhook.url.unwrap();
    assert_eq!((config.mqtt.port(), url.authority(), url.is_https), (8883, "ntfy.lan:443".into(), true));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let config = load("[mqtt]\nca_file = ca.pem\n[webhook]\nurl = http://a/\nca_file = ca.pem\n").unwrap();
    assert_eq!((config.mqtt.port(), config.warnings.len()), (1883, 2));
    assert!(config.warnings[0].contains("nothing is encrypted, without tls = yes"), "{:?}", config.warnings);
    assert_eq!(load("[mqtt]\nport = 5\ntls = yes\n").unwrap().mqtt.port(), 5);
    let config = load("[mqtt]\nhost = broker.lan\nport = 8883\n").unwrap();
    assert!(config.warnings[0].contains("sends user and password in the clear"), "{:?}", config.warnings);
}

#[test]
fn the_words_of_camera_format_are_the_formats_in_small_letters() {
    let formats = crate::image::FORMATS.iter().map(|format| format.name().to_lowercase());
    let words: Vec<String> = std::iter::once("auto".to_owned()).chain(formats).collect();
    assert_eq!(FORMAT_WORDS, words);
}

#[test]
fn the_sample_ini_is_generated_from_the_table_and_loads_as_the_defaults() {
    let example = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/namecam.ini.example")).unwrap();
    let printed = sample();
    let differs = example.lines().zip(printed.lines()).find(|(is, should)| is != should);
    assert_eq!(differs, None, "namecam.ini.example is old: make sample-ini");
    assert!(example == printed, "namecam.ini.example is old: make sample-ini");
    let mut config = load(&example).unwrap();
    let folder = config.gallery.path.parent().unwrap().to_owned();
    (config.file, config.state_folder) = (None, None);
    config.given.clear();
    assert_eq!(config, Config::defaults(&folder));
}

/// Values in which some ini parsers see escapes, quotes, comments or separators.
const ODD: &[&str] = &[
    "",
    "\\",
    "x \\",
    "x \\\\",
    "x \\\\\\",
    "\\n",
    "C:\\Windows",
    "\"",
    "'",
    "\"a",
    "a\"",
    "'a' b",
    "\"a\"",
    "a = b",
    "=",
    "==",
    "a == b",
    "a : b",
    ":",
    "x # y",
    "x ; y",
    "x;y#z",
    "[http]",
    "a [b]",
    "]",
    "a]",
    "%s ${x} $x",
    "\\x41",
    "a\tb",
    "\u{a0}x",
    "값 \\",
    "x\u{2028}y",
    "=\\",
    "\"\\",
    "'\\",
    "#\\",
    "; \\",
];

#[test]
fn no_value_changes_the_next_key_and_each_value_is_the_text_on_its_line() {
    let read = |text: &str| {
        let mut problems = Problems::default();
        let settings = text::read(Path::new("/x/namecam.ini"), text.as_bytes(), &mut problems);
        assert_eq!(problems, Problems::default(), "{text:?}");
        settings.into_iter().map(|s| (s.key.path(), s.value)).collect::<Vec<_>>()
    };
    for odd in ODD {
        for key in KEYS {
            for next in KEYS.iter().filter(|next| !std::ptr::eq(*next, key)) {
                for end in ["\n", "\r\n"] {
                    let lines = [format!("[{}]", key.section), format!("{} = {odd}", key.name)];
                    let next_lines = [format!("[{}]", next.section), format!("{} = value", next.name), String::new()];
                    let text = lines.into_iter().chain(next_lines).collect::<Vec<_>>().join(end);
                    let expected = [(key.path(), odd.trim().to_owned()), (next.path(), "value".to_owned())];
                    assert_eq!(read(&text), expected, "{text:?}");
                }
            }
        }
    }
}

#[test]
fn a_host_that_no_browser_sends_and_a_path_with_quotes_or_a_comment_are_problems() {
    let told = |section: &str, line: &str| complaints(&format!("[{section}]\n{line}\n"));
    for host in
        ["\u{ce74}\u{ba54}\u{b77c}.example", "*", "*.example.org", "cam:5000", "http://cam", "cam, b\u{fc}ro.example"]
    {
        let told = told("http", &format!("hosts = {host}"));
        assert!(told.len() == 1 && told[0].contains("xn--"), "{host}: {told:?}");
    }
    load("[http]\nhosts = cam.example.org, xn--9l4b4xi9r.example, My_Cam.\n").unwrap();
    for (line, remedy) in [
        ("path = \"/srv/gallery\"", "leave the quotes out"),
        ("path = '/srv/gallery'", "leave the quotes out"),
        ("path = /srv/gallery ; the family", "a line of its own"),
        ("path = /srv/gallery # the family", "a line of its own"),
    ] {
        let told = told("gallery", line);
        assert!(told.len() == 1 && told[0].contains(remedy), "{line}: {told:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join("My #1 and ' friends");
    std::fs::create_dir(&odd).unwrap();
    load(&format!("[gallery]\npath = {}\n", odd.display())).unwrap();
}

#[test]
fn an_origin_has_the_form_that_browsers_send_and_any_other_form_is_explained() {
    for odd in [
        "*",
        "null",
        "mainsail.local",
        "http://",
        "http://a/b",
        "http://a?b",
        "http://a:b",
        "http://a:",
        "http://a:99999",
        "http://*.a",
        "http://user@a",
        "ftp://a",
        "http://a http://b",
        "http://a, b",
        "http://b\u{fc}ro",
        "http://[::1",
    ] {
        let told = complaints(&format!("[http]\nopen = no\ncors = {odd}\n"));
        assert_eq!(told.len(), 1, "{odd}: {told:?}");
        assert!(told[0].starts_with("namecam.ini:3: "), "{odd}: {told:?}");
        assert!(told[0].contains("[http] cors") && told[0].contains("http://mainsail.local"), "{odd}: {told:?}");
    }
    let given = "HTTP://Mainsail.local/, https://a:443,http://a:80 , http://b:8080,, http://[::1]:80, https://a:80";
    let config = load(&format!("[http]\ncors = {given}\n")).unwrap();
    let sent = ["http://mainsail.local", "https://a", "http://a", "http://b:8080", "http://[::1]", "https://a:80"];
    assert_eq!(config.http.cors, sent);
    assert!(load("[http]\ncors =\n").unwrap().http.cors.is_empty());
}

#[test]
fn a_colon_separates_as_an_equals_sign_does_and_a_line_without_either_is_a_problem() {
    let config = load("[camera]\nsource: pipe:cat a=b: c\n  fps : 3\n").unwrap().camera;
    assert_eq!(config.source, CameraSource::Pipe(["cat", "a=b:", "c"].map(str::to_owned).into()));
    assert_eq!(config.fps, 3);
    for line in ["fps", "= 3", ": 3", "[camera", "[camera] x", "[camera]]"] {
        let told = complaints(&format!("[camera]\nfps = 3\n{line}\nwidth = 640\n"));
        assert!(told.len() == 1 && told[0].starts_with("namecam.ini:3: "), "{line}: {told:?}");
    }
}

#[test]
fn a_value_that_ends_in_a_backslash_leaves_the_password_on() {
    let text = "[camera]\nsource = pipe:cat x \\\n[http]\npassword_file = users\nbind = 0.0.0.0:5000\n";
    let config = load(text).unwrap();
    assert!(config.http.password_file.is_some_and(|file| file.ends_with("users")));
    assert_eq!(
        (config.camera.source, config.http.open),
        (CameraSource::Pipe(["cat", "x", "\\"].map(str::to_owned).into()), false)
    );
}

#[test]
fn a_control_character_is_a_problem_and_starts_no_other_key() {
    let told = complaints("[camera]\nsource = pipe:cat x\rfps = 3\n[http]\nopen = no\u{b}\u{85}x\n; bell \u{7}\n");
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(told[0].starts_with("namecam.ini:2: contains the control character \\u{d}"), "{told:#?}");
    assert!(load("[camera]\r\nfps\t=\t3\r\n").is_ok_and(|config| config.camera.fps == 3));
}

#[test]
fn all_problems_are_reported_together_with_line_key_and_range() {
    let text = "fps = 3\n[camera]\nfps = 9000\nfsp = 1\nwidth = wide\nwidth = 640\njust words\n[kamera]\nfps = 1\n";
    let told = complaints(text);
    assert_eq!(told.len(), 7, "{told:#?}");
    assert!(told.is_sorted(), "sorted by line: {told:#?}");
    for (line, word) in [
        ("namecam.ini:1: ", "before the first [section]"),
        ("namecam.ini:3: ", "a whole number from 1 to 240"),
        ("namecam.ini:4: ", "no such key; did you mean fps? the keys are source"),
        ("namecam.ini:5: ", "a whole number from 16 to 16384"),
        ("namecam.ini:6: ", "is given twice; the first is at"),
        ("namecam.ini:7: ", "or a comment"),
        ("namecam.ini:8: ", "no such section; did you mean camera? the sections are camera, recognition"),
    ] {
        assert!(told.iter().any(|t| t.starts_with(line) && t.contains(word)), "{line}{word} not in {told:#?}");
    }
}

#[test]
fn values_are_verbatim_and_a_byte_order_mark_is_accepted() {
    let config = load("\u{feff}[camera]\r\nsource = pipe:ffmpeg -i 'a b' -vf \"x=1;y\" =z\r\n").unwrap();
    let words = ["ffmpeg", "-i", "a b", "-vf", "x=1;y", "=z"];
    assert_eq!(config.camera.source, CameraSource::Pipe(words.map(str::to_owned).to_vec()));
    assert_eq!(complaints("[overlay]\nenabled = no ; not a comment\n").len(), 1);
    assert!(load("[overlay]\nenabled = OFF\n").is_ok_and(|c| !c.overlay.enabled));
    let controls = load("[camera]\ncontrols = brightness=10, focus_auto = -1\n").unwrap().camera.controls;
    assert_eq!(controls, [("brightness".to_owned(), 10), ("focus_auto".to_owned(), -1)]);
}

#[test]
fn a_word_close_to_a_key_gets_a_suggestion_and_other_words_do_not() {
    for (section, typed, meant) in [
        ("camera", "widht", Some("width")),
        ("camera", "hight", Some("height")),
        ("recognition", "tresholt", Some("threshold")),
        ("http", "opne", Some("open")),
        ("log", "x", None),
        ("camera", "zoom", None),
    ] {
        let told = complaints(&format!("[{section}]\n{typed} = 1\n")).remove(0);
        let asked = told.split_once("did you mean ").and_then(|(_, rest)| rest.split_once('?'));
        assert_eq!(asked.map(|(name, _)| name), meant, "{told}");
    }
    let set = Origin { sets: vec!["camera.widht=640".to_owned()], ..nothing_kept() }.load().unwrap_err().to_string();
    assert!(set.contains("did you mean camera.width?"), "{set}");
    // A very long name also gets an answer.
    assert!(complaints(&format!("[camera]\n{} = 1\n", "x".repeat(100_000)))[0].contains("no such key; the keys are"));
}

#[test]
fn a_comment_after_a_value_is_reported_as_needing_a_line_of_its_own() {
    for (line, behind) in
        [("fps = 9 ; few", true), ("fps = 9\t# few", true), ("fps = 9000", false), ("fps = 9;", false)]
    {
        let told = complaints(&format!("[camera]\n{line}\n")).remove(0);
        assert!(told.contains("must be a whole number from 1 to 240"), "{told}");
        assert_eq!(told.contains("put a comment on a line of its own"), behind, "{told}");
    }
}

#[test]
fn a_url_is_no_source_and_the_suggested_command_leaves_out_its_password() {
    for (source, line) in [
        ("rtsp://foo/video", "pipe:ffmpeg -loglevel error -rtsp_transport tcp -i rtsp://foo/video -f mjpeg -q:v 4 -"),
        ("http://u:s3?cret@foo/v?key=s3cret", "pipe:ffmpeg -loglevel error -i http://foo/v?... -f mjpeg -q:v 4 -"),
    ] {
        let told = complaints(&format!("[camera]\nsource = {source}\n")).remove(0);
        assert!(told.starts_with("namecam.ini:2: ") && told.ends_with(line), "{told}");
        assert!(!told.contains("s3"), "{told}");
        assert!(load(&format!("[camera]\nsource = {line}\n")).is_ok(), "{line}");
    }
    assert!(!complaints("[camera]\nsource = pipe:ffmpeg -i rtsp://u:s3cret@foo 2>/dev/null\n")[0].contains("s3cret"));
    assert!(!complaints("[camera]\nsource: rtsp://u:s3cret@foo\n")[0].contains("s3cret"));
}

#[test]
fn shell_syntax_is_refused_in_a_pipe_unless_it_is_quoted() {
    let loads = |command: &str| load(&format!("[camera]\nsource = pipe:{command}\n")).map(|_| ());
    for (command, word) in [
        ("a -x | b -", "so | would"),
        ("a > f", "so > would"),
        ("a 2>/dev/null", "so 2>/dev/null would"),
        ("a 'x | y' && b", "so && would"),
        ("a ; b", "so ; would"),
        ("a - &", "so & would"),
    ] {
        let told = loads(command).unwrap_err().to_string();
        assert!(told.contains(word) && told.contains("pipe:sh /path/to/script"), "{command}: {told}");
    }
    for command in [
        "sh -c 'a 2>/dev/null | b && c ; d'",
        "a \"x ; y\" '|'",
        "curl http://foo/?a=1&b=2",
        "gst-launch-1.0 a ! b",
        "a x;y",
    ] {
        assert_eq!(loads(command), Ok(()), "{command}");
    }
}

#[test]
fn a_url_is_shown_without_user_password_and_query() {
    for (said, shown) in [
        ("Error opening rtsp://admin:s3cret@cam/h264.", "Error opening rtsp://cam/h264."),
        ("'http://u:p@s/s@cam:80/x?pwd=1' and https://cam/y", "'http://cam:80/x?...' and https://cam/y"),
        ("rtsp://u:what?@cam/x", "rtsp://cam/x"),
        ("no address at all: a@b", "no address at all: a@b"),
    ] {
        assert_eq!(without_secrets(said), shown);
    }
}

#[test]
fn a_bind_beyond_loopback_needs_a_password_file_or_open() {
    let told = complaints("[http]\nbind = 0.0.0.0:5000\n");
    assert!(told[0].starts_with("namecam.ini:2: ") && told[0].contains("password_file"), "{told:?}");
    assert!(load("[http]\nbind = 0.0.0.0:5000\nopen = yes\n").is_ok());
    assert!(load("[http]\nbind = 0.0.0.0:5000\npassword_file = users\n").is_ok());
    assert!(load("[http]\nbind = [::1]:0\n").is_ok());
}

#[test]
fn an_encoder_that_this_build_lacks_is_a_problem_that_says_so() {
    let of = |word: &str| load(&format!("[stream]\nencoder = {word}\n")).map(|config| config.stream.encoder);
    assert_eq!(of("auto"), Ok(Codec::default()));
    assert_eq!(of("jpeg-encoder"), Ok(Codec::JpegEncoder));
    let turbojpeg = of("turbojpeg").map(Codec::as_str);
    if cfg!(feature = "turbojpeg") {
        assert_eq!(turbojpeg, Ok("turbojpeg"));
    } else {
        let told = turbojpeg.unwrap_err().to_string();
        assert!(told.contains("auto or jpeg-encoder; this build has no turbojpeg"), "{told}");
    }
    assert!(complaints("[stream]\nencoder = mozjpeg\n")[0].contains(" or jpeg-encoder"));
    assert!(complaints("[recognition]\ndetector = x\n")[0].ends_with("must be hog or cnn"));
    assert!(complaints("[camera]\nrotate = 1\n")[0].ends_with("must be 0, 90, 180 or 270"));
}

#[test]
fn set_on_the_command_line_overrides_the_file_and_is_checked_like_it() {
    let with = |set: &str| Origin { sets: vec![set.to_owned()], ..nothing_kept() }.load();
    assert_eq!(with("camera.fps=15").unwrap().camera.fps, 15);
    assert_eq!(with("camera.fps=0").unwrap_err().0[0].place, "--set");
    assert!(with("camera.zoom=1").is_err() && with("fps").is_err());
}

#[test]
fn relative_paths_start_at_the_files_folder() {
    let config = load("[camera]\nsource = stills:pictures\n[gallery]\npath = people\n").unwrap();
    let folder = config.file.as_deref().and_then(Path::parent).unwrap();
    assert_eq!(config.gallery.path, folder.join("people"));
    assert_eq!(config.camera.source, CameraSource::Stills(folder.join("pictures")));
}

#[test]
fn the_commands_of_a_shell_find_the_state_folder_of_each_service() {
    let of = |file: &str| super::origin::of_service(Path::new(file));
    assert_eq!(of("/etc/namecam/namecam.ini"), Some("/var/lib/namecam".into()));
    assert_eq!(of("/etc/namecam/garden.ini"), Some("/var/lib/namecam-garden".into()));
    for other in ["namecam.ini", "/home/pi/namecam.ini", "/etc/namecam/users", "/etc/namecam/old/garden.ini"] {
        assert_eq!(of(other), None, "{other}");
    }
}

#[test]
fn the_credential_of_the_first_package_means_the_accounts_in_the_state_folder() {
    let config = load("[http]\nbind = 0.0.0.0:5000\npassword_file = /run/credentials/namecam.service/users\n").unwrap();
    assert_eq!(config.http.password_file.as_deref(), Some(Path::new("/var/lib/namecam/users")));
    assert!(config.warnings.len() == 1 && config.warnings[0].contains("write password_file = /var/lib/namecam/users"));
    // Another credential is used as it is given.
    let own = "/run/credentials/camera.service/users";
    let config = load(&format!("[http]\npassword_file = {own}\n")).unwrap();
    assert_eq!((config.http.password_file.as_deref(), config.warnings.len()), (Some(Path::new(own)), 0));
}

/// Runs `test` where `folder` is the root, in a thread with a root and a current folder of its own. Only root may
/// change the root: without that right, the path of the package must not be found from here.
fn on_a_board(folder: &Path, current: &str, test: impl FnOnce() + Send) {
    std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // SAFETY: no pointers.
            assert_eq!(unsafe { libc::unshare(libc::CLONE_FS) }, 0);
            match std::os::unix::fs::chroot(folder) {
                Ok(()) => {
                    std::env::set_current_dir(current).unwrap();
                    test();
                }
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
                    std::env::set_current_dir(folder.join(current.trim_start_matches('/'))).unwrap();
                    assert_eq!(super::of_service(Path::new("namecam.ini")), None);
                }
            }
        });
    });
}

#[test]
fn the_former_credential_is_replaced_where_the_unit_may_not_look_for_it() {
    let root = tempfile::tempdir().unwrap();
    for folder in ["etc/namecam", "run/credentials"] {
        std::fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    let text = "[http]\npassword_file = /run/credentials/namecam.service/users\n";
    std::fs::write(root.path().join("etc/namecam/namecam.ini"), text).unwrap();
    let hidden = std::os::unix::fs::PermissionsExt::from_mode(0o000);
    std::fs::set_permissions(root.path().join("run/credentials"), hidden).unwrap();
    on_a_board(root.path(), "/etc/namecam", || {
        // SAFETY: no pointers. The thread ends as nobody.
        unsafe { libc::setfsuid(65534) };
        assert!(Path::new("/run/credentials/namecam.service/users").try_exists().is_err());
        let config = Origin { file: Some("/etc/namecam/namecam.ini".into()), ..Origin::default() }.load().unwrap();
        assert_eq!(config.http.password_file.as_deref(), Some(Path::new("/var/lib/namecam/users")));
        assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    });
}

#[test]
fn in_the_folder_of_the_package_its_configs_are_those_of_the_services() {
    let root = tempfile::tempdir().unwrap();
    for (file, text) in
        [("etc/namecam/namecam.ini", ""), ("var/lib/namecam/settings.ini", "[overlay]\nunknown = blur\n")]
    {
        std::fs::create_dir_all(root.path().join(file).parent().unwrap()).unwrap();
        std::fs::write(root.path().join(file), text).unwrap();
    }
    on_a_board(root.path(), "/etc/namecam", || {
        let config = Origin::default().load().unwrap();
        assert_eq!(config.file.as_deref(), Some(Path::new("namecam.ini")));
        assert_eq!(config.state_folder.as_deref(), Some(Path::new("/var/lib/namecam")));
        assert_eq!(config.given.len(), 1, "the settings of the service count");
        assert_eq!(instance(Path::new("./garden.ini")).as_deref(), Some("garden"));
    });
}

#[test]
fn a_missing_file_is_a_problem_that_names_it() {
    let origin = Origin { file: Some("/nowhere/namecam.ini".into()), ..nothing_kept() };
    assert!(origin.load().unwrap_err().to_string().starts_with("/nowhere/namecam.ini: cannot be read"));
}

#[test]
fn keys_that_need_a_restart_keep_their_values_and_are_named() {
    let restart: Vec<_> = KEYS.iter().filter(|key| key.restart).collect();
    assert!(!restart.is_empty());
    for key in restart {
        let old = Config::defaults(Path::new("/a"));
        let mut new = old.clone();
        new.camera.fps = 5;
        let other = match key.kind {
            ValueKind::Text => Value::Text("other".to_owned()),
            ValueKind::Address => Value::Text("127.0.0.1:1".to_owned()),
            ValueKind::Path | ValueKind::PathOrNone => Value::Path(Some("/other".into())),
            ValueKind::Whole(_, most) => Value::Whole(most),
            kind => panic!("give a value of {}", kind.word()),
        };
        key.put(&mut new, other).unwrap();
        assert_eq!(new.keep_what_needs_a_restart(&old), [key.path()]);
        let fps = new.camera.fps;
        new.camera.fps = old.camera.fps;
        assert!(fps == 5 && new == old, "{} keeps its value, and only this key does", key.path());
    }
}

/// Loads a config and a settings file. In the result the folder of both is replaced by FOLDER.
fn load_with_settings(config: &str, settings: &str, sets: &[&str]) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let (file, state) = (folder.path().join("namecam.ini"), folder.path().join("kept"));
    std::fs::create_dir(&state).unwrap();
    std::fs::write(state.join("settings.ini"), settings).unwrap();
    std::fs::write(&file, config).unwrap();
    let sets = sets.iter().map(|set| (*set).to_owned()).collect();
    let shown = |text: &str| text.replace(folder.path().to_str().unwrap(), "FOLDER");
    let loaded = Origin { file: Some(file), sets, state_folder: None }.load();
    let shown_given = |mut config: Config| {
        config.given.iter_mut().for_each(|given| given.place = shown(&given.place));
        config
    };
    loaded.map(shown_given).map_err(|problems| shown(&problems.to_string()))
}

#[test]
fn settings_override_the_config_file_and_set_overrides_both_and_each_value_has_its_source() {
    let config =
        "[state]\npath = kept\n[camera]\nsource = pipe:ffmpeg -i rtsp://me:hush@cam/ -\nfps = 5\nwidth = 640\n";
    let config = &format!("{config}[exec]\ncommand = notify --key hush\n[webhook]\nurl = http://a/door?key=hush\n");
    let settings = "[camera]\nwidth = 800\nheight = 600\n[overlay]\nunknown = Blur\n";
    let config = load_with_settings(config, settings, &["camera.height=480"]).unwrap();
    let camera = &config.camera;
    assert_eq!((camera.fps, camera.width, camera.height), (5, 800, 480));
    assert_eq!(config.overlay.unknown, UnknownFaces::Blur);
    assert!(config.state_folder.as_ref().unwrap().ends_with("kept"));
    let values = config.in_use();
    let source = |key: &str| {
        let value = values.iter().find(|value| value.key == key).unwrap();
        (value.value.clone(), value.source.clone())
    };
    for (key, value, from) in [
        ("camera.source", "pipe:ffmpeg", "FOLDER/namecam.ini:4"),
        ("camera.fps", "5", "FOLDER/namecam.ini:5"),
        ("camera.width", "800", "FOLDER/kept/settings.ini:2"),
        ("camera.height", "480", "--set"),
        ("overlay.unknown", "blur", "FOLDER/kept/settings.ini:5"),
        ("camera.mirror", "no", "default"),
    ] {
        assert_eq!(source(key), (value.to_owned(), from.to_owned()), "{key}");
    }
    assert_eq!(values.len(), KEYS.len());
    assert!(!format!("{values:?}").contains("hush"));
}

#[test]
fn a_settings_file_that_cannot_be_used_is_a_problem_and_never_skipped() {
    let config = "[state]\npath = kept\n";
    for (settings, told) in [
        (
            "[overlay]\nunknown = blurr\n",
            "FOLDER/kept/settings.ini:2: [overlay] unknown = blurr: must be show, hide or blur",
        ),
        ("[overlay]\nunknown = bl\0r\n", "FOLDER/kept/settings.ini:2: contains the control character"),
        ("unknown = blur\n", "FOLDER/kept/settings.ini:1: unknown: is before the first [section]"),
    ] {
        let problems = load_with_settings(config, settings, &[]).unwrap_err();
        assert!(problems.starts_with(told), "{problems}");
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("settings.ini")).unwrap();
    let origin = Origin { state_folder: Some(folder.path().to_owned()), ..Origin::default() };
    assert!(origin.load().unwrap_err().to_string().contains("settings.ini: cannot be read"));
    // The problems of both files come with their lines, and the problems that are in no file come last.
    let all = load_with_settings(
        "[camera]\nfps = 0\n[state]\npath = kept\n[log]\nlevel = x\n",
        "[log]\nlevel = y\n",
        &["log.level=z"],
    );
    let all = all.unwrap_err();
    let places: Vec<&str> = all.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["FOLDER/kept/settings.ini:2", "FOLDER/namecam.ini:2", "FOLDER/namecam.ini:6", "--set"]);
}

#[test]
fn no_path_command_address_or_password_can_come_from_the_settings_file() {
    for key in KEYS {
        let settings = format!("[{}]\n{} = {}\n", key.section, key.name, key.default);
        let loaded = load_with_settings("[state]\npath = kept\n", &settings, &[]);
        match key.in_settings {
            true => assert!(loaded.is_ok(), "{}", key.path()),
            false => assert!(loaded.unwrap_err().contains("may only be in the config file"), "{}", key.path()),
        }
        let is_path = matches!(key.kind, ValueKind::Path | ValueKind::PathOrNone | ValueKind::Address);
        let is_outside = is_path || ["http", "models", "state"].contains(&key.section);
        let is_outside = is_outside || ["camera.source", "overlay.font"].contains(&key.path().as_str());
        assert!(!(key.in_settings && (is_outside || key.restart)), "{}", key.path());
    }
}
