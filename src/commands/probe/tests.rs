use super::*;
use crate::tuning::Control;

fn mode(width: u32, height: u32, fps: u32) -> Mode {
    Mode { size: Size::One { width, height }, rates: vec![FrameRate::One(Interval::of_fps(fps))] }
}

fn device(kind: NodeKind, offers: Vec<Offer>) -> Device {
    let control = Control {
        id: 1,
        name: "brightness".into(),
        kind: "integer",
        min: 0,
        max: 255,
        step: 1,
        default: 128,
        value: Some(90),
        menu: vec![],
        locked: false,
        read_only: false,
    };
    let (card, driver, bus) = ("C920".into(), "uvcvideo".into(), "usb-1".into());
    let survey = Survey { card, driver, bus, kind, offers, controls: vec![control] };
    let choice = choose(&survey, &request());
    let lasting = Some("/dev/v4l/by-id/usb-C920".into());
    let (measured, not_measured) = (vec![], None);
    Device { path: "/dev/video0".into(), lasting, used_by: vec![], survey: Ok(survey), choice, measured, not_measured }
}

fn webcam() -> Device {
    let raw = Offer { fourcc: *b"YUYV", modes: vec![mode(640, 480, 30), mode(800, 600, 30), mode(1280, 720, 10)] };
    let jpeg = Offer { fourcc: *b"MJPG", modes: vec![mode(1280, 720, 30)] };
    device(NodeKind::Capture, vec![raw, jpeg])
}

fn request() -> ModeRequest {
    ModeRequest { format: None, width: 1280, height: 720, fps: 30 }
}

#[test]
fn a_webcam_is_described_with_its_modes_controls_and_the_lines_for_the_config() {
    let expected = "\
/dev/video0  C920 (uvcvideo, usb-1)
  /dev/v4l/by-id/usb-C920
  kind: capture
  formats:
    YUYV (4:2:2 packed)
      640x480 800x600: 30 fps
      1280x720: 10 fps
    MJPG (JPEG pictures)
      1280x720: 30 fps
  controls:
    brightness (integer): 0 to 255; default 128, now 90
  namecam would use MJPG: the requested size, the requested rate; YUYV has 10 fps
      [camera]
      source = /dev/v4l/by-id/usb-C920
      format = mjpg
      width = 1280
      height = 720
      fps = 30
";
    assert_eq!(as_text(&webcam()), expected);
}

#[test]
fn the_json_has_the_same_content_as_the_text() {
    let json = as_json(&webcam());
    assert_eq!(json["formats"][0]["modes"][2], json!({ "size": [1280, 720], "fps": [10.0] }));
    assert_eq!(json["choice"]["format"], "MJPG");
    assert_eq!(json["controls"][0]["type"], "integer");
    assert_eq!(json["kind"], "capture");
    assert_eq!(json["problem"], Value::Null);
}

/// The webcam with a measured first mode and a second mode that delivers nothing.
fn measured_webcam() -> Device {
    let mut webcam = webcam();
    let mut modes = measure::modes(&webcam.survey.as_ref().unwrap().offers, &request()).into_iter();
    let mut next = |figures| Measured { mode: modes.next().unwrap(), figures };
    let hint = Some("more light helps".to_owned());
    let figures = measure::FrameCounts { fps: 14.96, corrupt: 0.004, dropped: 0.0, hint };
    webcam.measured = vec![next(Ok(figures)), next(Err("delivers no picture within 3 s".to_owned()))];
    webcam.choice = Ok(measure::best(&webcam.measured).unwrap());
    webcam
}

#[test]
fn the_measurements_are_in_the_text_and_in_the_json() {
    let webcam = measured_webcam();
    let text = as_text(&webcam);
    let expected = "\
  measured:
    MJPG 1280x720: 15.0 of 30 fps, 0.4 % damaged
      more light helps
    YUYV 1280x720: delivers no picture within 3 s
  namecam would use MJPG: ";
    assert!(text.contains(expected), "{text}");
    let json = as_json(&webcam);
    let expected = json!({
        "format": "MJPG", "width": 1280, "height": 720, "fps_promised": 30.0, "fps": 14.96, "corrupt": 0.004,
        "dropped": 0.0, "hint": "more light helps", "problem": null,
    });
    assert_eq!(json["measured"][0], expected);
    assert_eq!((&json["measured"][1]["fps"], &json["not_measured"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_device_in_use_is_not_measured_and_a_device_without_pictures_still_has_a_choice() {
    let camera = config::Camera { format: "auto".into(), width: 1280, height: 720, fps: 30, ..Default::default() };
    let mut device = webcam();
    (device.path, device.used_by) = ("/dev/null".into(), vec!["cheese (pid 8)".to_owned()]);
    device.measure(&camera, &request());
    assert!(device.measured.is_empty());
    assert!(as_text(&device).contains("not measured: it is in use by cheese (pid 8)\n  namecam would use MJPG"));
    device.used_by.clear();
    device.measure(&camera, &request());
    let text = as_text(&device);
    assert!(text.contains("MJPG 1280x720: /dev/null is not a camera"), "{text}");
    assert!(text.contains("not measured: /dev/null is not a camera") && text.contains("would use MJPG"), "{text}");
}

#[test]
fn a_metadata_node_says_that_the_pictures_are_elsewhere() {
    let node = device(NodeKind::Metadata, vec![]);
    let text = as_text(&node);
    assert!(text.contains("kind: metadata\n") && text.contains("the pictures are at another node"), "{text}");
    assert!(!text.contains("brightness"), "{text}");
    assert!(hint(&[node], &request()).unwrap().contains("None of these"));
}

#[test]
fn a_bare_sensor_is_described_as_a_bare_sensor() {
    let bayer = Offer { fourcc: *b"pRAA", modes: vec![] };
    let text = as_text(&device(NodeKind::Capture, vec![bayer]));
    assert!(text.contains("raw Bayer only") && text.contains("pipe:rpicam-vid"), "{text}");
}

#[test]
fn the_lines_for_the_config_are_a_config() {
    let webcam = webcam();
    let ini = webcam.ini(webcam.choice.as_ref().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("namecam.ini");
    fs::write(&file, ini).unwrap();
    let config =
        config::Origin { file: Some(file), state_folder: Some("/nowhere".into()), ..config::Origin::default() }
            .load()
            .unwrap();
    assert_eq!(config.camera.source, config::CameraSource::Device("/dev/v4l/by-id/usb-C920".into()));
    assert_eq!((config.camera.format.as_str(), config.camera.width), ("mjpg", 1280));
}

#[test]
fn cameras_that_share_a_name_in_by_id_are_named_by_their_sockets() {
    let root = tempfile::tempdir().unwrap();
    let (dev, sys) = (root.path().join("dev"), root.path().join("sys"));
    for folder in ["by-id", "by-path"] {
        fs::create_dir_all(dev.join("v4l").join(folder)).unwrap();
    }
    let plug = |node: &str, serial: Option<&str>| {
        fs::write(dev.join(node), "").unwrap();
        let folder = sys.join("class/video4linux").join(node);
        // In sysfs `device` is a link.
        let device = sys.join("devices").join(node);
        fs::create_dir_all(device.join("1.0")).unwrap();
        fs::create_dir_all(&folder).unwrap();
        std::os::unix::fs::symlink(device.join("1.0"), folder.join("device")).unwrap();
        fs::write(folder.join("index"), "0\n").unwrap();
        let serial = serial.map(|serial| ("serial", serial));
        for (file, value) in [("idVendor", "1234"), ("idProduct", "5678")].into_iter().chain(serial) {
            fs::write(device.join(file), format!("{value}\n")).unwrap();
        }
        std::os::unix::fs::symlink(dev.join(node), dev.join("v4l/by-path").join(node)).unwrap();
    };
    let name = |node: &str| lasting_name(&dev.join(node), &dev, &sys).unwrap().strip_prefix(&dev).unwrap().to_owned();
    plug("video0", None);
    std::os::unix::fs::symlink(dev.join("video0"), dev.join("v4l/by-id/usb-cheap")).unwrap();
    plug("video1", Some("ABC"));
    assert_eq!(name("video0"), Path::new("v4l/by-id/usb-cheap"), "the other one has a serial number");
    plug("video2", None);
    assert_eq!([name("video0"), name("video2")], ["v4l/by-path/video0", "v4l/by-path/video2"].map(PathBuf::from));
}

#[test]
fn a_missing_device_is_reported() {
    let camera = config::Camera { format: "auto".into(), width: 1280, height: 720, fps: 30, ..Default::default() };
    let text = probe(Some(Path::new("/dev/no-such-camera")), &camera, true, false);
    assert!(text.contains("no camera at /dev/no-such-camera"), "{text}");
    let text = probe(Some(Path::new("/dev/null")), &camera, true, false);
    assert!(text.contains("/dev/null is not a camera"), "{text}");
}

#[test]
fn programs_that_use_a_node_that_is_no_camera_are_not_listed() {
    let mut child = std::process::Command::new("sleep").arg("30").stdin(std::process::Stdio::null()).spawn().unwrap();
    let users = v4l2::users_of(Path::new("/dev/null"));
    let device = ask("/dev/null".into(), &request());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!users.is_empty() && device.used_by.is_empty(), "{:?}", device.used_by);
}

#[test]
fn a_source_that_cannot_work_is_reported_without_taking_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let stills = || config::CameraSource::Stills(folder.path().into());
    let trouble = |source| trouble(&config::Camera { source, format: "auto".into(), ..Default::default() });
    let device = |path: &str| trouble(config::CameraSource::Device(path.into())).unwrap();
    assert_eq!(device("/dev/no-camera"), "no camera at /dev/no-camera; run namecam probe to list the cameras");
    assert!(device("/dev/null").starts_with("/dev/null is not a camera"));
    let pipe = |program: &str| trouble(config::CameraSource::Pipe(vec![program.to_owned()]));
    assert_eq!(pipe("namecam-no-such-program").unwrap(), "pipe: there is no program named 'namecam-no-such-program'");
    assert_eq!(pipe("true"), None);
    assert!(trouble(stills()).unwrap().ends_with("has no picture files"));
    fs::write(folder.path().join("1.jpg"), "not looked at").unwrap();
    assert_eq!(trouble(stills()), None);
}

#[test]
fn without_a_camera_the_user_is_told_what_to_do() {
    let hint = hint(&[], &request()).unwrap();
    assert!(hint.starts_with("No camera found") && hint.contains("namecam demo"), "{hint}");
}
