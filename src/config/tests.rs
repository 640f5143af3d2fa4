use super::keys::{KEYS, sample};
use super::*;

fn load(text: &str) -> Result<Config, Problems> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("namecam.ini");
    std::fs::write(&file, text).unwrap();
    Origin { file: Some(file), sets: Vec::new() }.load()
}

fn complaints(text: &str) -> Vec<String> {
    let problems = load(text).unwrap_err().0;
    let short = |p: &Problem| format!("{}: {}", p.place.rsplit('/').next().unwrap(), p.what);
    problems.iter().map(short).collect()
}

#[test]
fn an_empty_file_means_the_defaults_of_the_contract() {
    let config = load("").unwrap();
    assert_eq!(config.camera.source, Source::Device("/dev/video0".into()));
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
fn the_sample_ini_is_generated_from_the_table_and_loads_as_the_defaults() {
    let example = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/namecam.ini.example")).unwrap();
    assert_eq!(example, sample(), "make it again: cargo run -- --sample-ini > namecam.ini.example");
    let mut config = load(&example).unwrap();
    let folder = config.gallery.path.parent().unwrap().to_owned();
    config.file = None;
    assert_eq!(config, Config::defaults(&folder));
}

#[test]
fn all_problems_are_told_at_once_with_line_key_and_range() {
    let text = "fps = 3\n[camera]\nfps = 9000\nfsp = 1\nwidth = wide\nwidth = 640\njust words\n[kamera]\nfps = 1\n";
    let told = complaints(text);
    assert_eq!(told.len(), 7, "{told:#?}");
    assert!(told.is_sorted(), "in the order of lines: {told:#?}");
    for (line, word) in [
        ("namecam.ini:1: ", "before the first [section]"),
        ("namecam.ini:3: ", "a whole number from 1 to 240"),
        ("namecam.ini:4: ", "no such key; there are source"),
        ("namecam.ini:5: ", "a whole number from 16 to 16384"),
        ("namecam.ini:6: ", "stands twice, first at"),
        ("namecam.ini:7: ", "nor a comment"),
        ("namecam.ini:8: ", "no such section; there are camera, recognition"),
    ] {
        assert!(told.iter().any(|t| t.starts_with(line) && t.contains(word)), "{line}{word} not in {told:#?}");
    }
}

#[test]
fn values_are_verbatim_and_a_byte_order_mark_is_accepted() {
    let config = load("\u{feff}[camera]\r\nsource = pipe:ffmpeg -i 'a b' -vf \"x=1;y\" =z\r\n").unwrap();
    let words = ["ffmpeg", "-i", "a b", "-vf", "x=1;y", "=z"];
    assert_eq!(config.camera.source, Source::Pipe(words.map(str::to_owned).to_vec()));
    assert_eq!(complaints("[overlay]\nenabled = no ; not a comment\n").len(), 1);
    assert!(load("[overlay]\nenabled = OFF\n").is_ok_and(|c| !c.overlay.enabled));
    let controls = load("[camera]\ncontrols = brightness=10, focus_auto = -1\n").unwrap().camera.controls;
    assert_eq!(controls, [("brightness".to_owned(), 10), ("focus_auto".to_owned(), -1)]);
}

#[test]
fn a_bind_beyond_loopback_needs_a_password_or_the_word_open() {
    let told = complaints("[http]\nbind = 0.0.0.0:5000\n");
    assert!(told[0].starts_with("namecam.ini:2: ") && told[0].contains("password_file"), "{told:?}");
    assert!(load("[http]\nbind = 0.0.0.0:5000\nopen = yes\n").is_ok());
    assert!(load("[http]\nbind = 0.0.0.0:5000\npassword_file = users\n").is_ok());
    assert!(load("[http]\nbind = [::1]:0\n").is_ok());
}

#[test]
fn an_encoder_that_this_build_has_not_is_a_problem_that_says_so() {
    let of = |word: &str| load(&format!("[stream]\nencoder = {word}\n")).map(|config| config.stream.encoder);
    assert_eq!(of("auto"), Ok(Codec::default()));
    assert_eq!(of("jpeg-encoder"), Ok(Codec::JpegEncoder));
    let turbojpeg = of("turbojpeg").map(Codec::as_str);
    if cfg!(feature = "turbojpeg") {
        assert_eq!(turbojpeg, Ok("turbojpeg"));
    } else {
        let told = turbojpeg.unwrap_err().to_string();
        assert!(told.contains("auto or jpeg-encoder; this build is without turbojpeg"), "{told}");
    }
    assert!(complaints("[stream]\nencoder = mozjpeg\n")[0].contains("auto or "));
}

#[test]
fn set_on_the_command_line_wins_over_the_file_and_is_checked_like_it() {
    let with = |set: &str| Origin { file: None, sets: vec![set.to_owned()] }.load();
    assert_eq!(with("camera.fps=15").unwrap().camera.fps, 15);
    assert_eq!(with("camera.fps=0").unwrap_err().0[0].place, "--set");
    assert!(with("camera.zoom=1").is_err() && with("fps").is_err());
}

#[test]
fn relative_paths_start_at_the_files_folder() {
    let config = load("[camera]\nsource = stills:pictures\n[gallery]\npath = people\n").unwrap();
    let folder = config.file.as_deref().and_then(Path::parent).unwrap();
    assert_eq!(config.gallery.path, folder.join("people"));
    assert_eq!(config.camera.source, Source::Stills(folder.join("pictures")));
}

#[test]
fn a_missing_file_is_a_problem_that_names_it() {
    let origin = Origin { file: Some("/nowhere/namecam.ini".into()), sets: Vec::new() };
    assert!(origin.load().unwrap_err().to_string().starts_with("/nowhere/namecam.ini: cannot be read"));
}

#[test]
fn what_needs_a_restart_is_kept_and_named() {
    let old = Config::defaults(Path::new("/a"));
    let mut new = Config::defaults(Path::new("/a"));
    new.http.bind = "127.0.0.1:1".into();
    new.camera.fps = 5;
    assert_eq!(new.keep_what_needs_a_restart(&old), ["http.bind"]);
    assert_eq!((new.http.bind.as_str(), new.camera.fps), ("127.0.0.1:5000", 5));
}
