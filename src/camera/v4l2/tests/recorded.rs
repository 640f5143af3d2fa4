//! Tests with the responses of real drivers, which are in drivers/*.txt with their origin: the node kind and the mode
//! that namecam chooses.

use super::driver::Driver;
use super::*;

/// Reads a file of drivers/: a word and its values per line.
fn load(text: &str) -> Rc<Driver> {
    let driver = Driver::webcam(&[]);
    let hex = |value: &str| u32::from_str_radix(value.trim_start_matches("0x"), 16).unwrap();
    let size = |value: &str| {
        let (width, height) = value.split_once('x').unwrap();
        (width.parse::<u32>().unwrap(), height.parse::<u32>().unwrap())
    };
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (word, value) = line.split_once(' ').unwrap();
        let values: Vec<&str> = value.split(' ').collect();
        let state = &mut *driver.state();
        let fourcc = state.formats.last().copied().unwrap_or_default();
        match word {
            "driver" => state.driver = value.into(),
            "card" => state.card = value.into(),
            "bus" => state.bus = value.into(),
            "capabilities" => state.capabilities = hex(value),
            "device_caps" => state.device_caps = hex(value),
            "format" => state.formats.push(value.as_bytes().try_into().unwrap()),
            "range" => state.ranges.push((fourcc, [size(values[0]), size(values[1]), size(values[2])])),
            "size" => {
                let (width, height) = size(values[0]);
                let tenths = values[1..].iter().map(|fps| (fps.parse::<f64>().unwrap() * 10.0) as u32);
                // A size without rates is still a size.
                let tenths = if values.len() == 1 { vec![0] } else { tenths.collect() };
                state.modes.extend(tenths.into_iter().map(|tenths| (fourcc, width, height, tenths)));
            }
            "control" => {
                let [id, kind, min, max, now] = values[..5] else { panic!("{line}") };
                let kind = ["integer", "boolean", "menu"].iter().position(|name| *name == kind).unwrap() as u32 + 1;
                let range = min.parse().unwrap()..=max.parse().unwrap();
                state.controls.push(control(hex(id), &values[5..].join(" "), kind, range));
                state.values.push((hex(id), now.parse().unwrap()));
            }
            _ => panic!("{line}"),
        }
    }
    driver
}

macro_rules! recorded {
    ($name:literal) => {
        load(include_str!(concat!("drivers/", $name, ".txt")))
    };
}

fn hd() -> config::Camera {
    config::Camera { width: 1280, height: 720, ..camera() }
}

/// The kind of node, and the chosen mode with its reason, or the error.
fn verdict(driver: &Rc<Driver>) -> (NodeKind, String) {
    let request = ModeRequest::of(&hd());
    let kind = identify(&**driver).unwrap().kind;
    let words = match begin(driver, &hd()) {
        Ok(stream) => {
            let why = negotiate::rank(&offers(&**driver, &request), &request).unwrap().remove(0).why;
            format!("{}: {why}", stream.describe())
        }
        Err(error) => error.to_string(),
    };
    (kind, words)
}

#[test]
fn each_driver_is_used_or_refused_for_the_right_reason() {
    let loopback = "Dummy video device (0x0000)";
    let rpicam =
        "source = pipe:rpicam-vid --timeout 0 --nopreview --codec mjpeg --width 1280 --height 720 --framerate 30";
    let argus = "source = pipe:gst-launch-1.0 -q nvarguscamerasrc ! \
                 video/x-raw(memory:NVMM),width=1280,height=720,framerate=30/1 ! nvvidconv ! ";
    let cases: [(Rc<Driver>, NodeKind, &[&str]); 13] = [
        (
            recorded!("uvc-c920"),
            NodeKind::Capture,
            &["HD Pro Webcam C920, MJPG 1280x720 at 30 fps", "the requested rate; YUYV has 10 fps"],
        ),
        (recorded!("uvc-c920-metadata"), NodeKind::Metadata, &["metadata of a camera", "at another node"]),
        (recorded!("pi-unicam"), NodeKind::MediaController, &["this node is a CSI camera", rpicam]),
        (recorded!("pi-unicam-imx219"), NodeKind::Capture, &["only raw Bayer data", rpicam]),
        (recorded!("pi-isp-capture"), NodeKind::Codec, &["a codec or a scaler, not a camera"]),
        (recorded!("pi-codec-decode"), NodeKind::Codec, &["a codec or a scaler, not a camera"]),
        (recorded!("pi5-pispbe"), NodeKind::MultiPlanar, &["multi-planar only", rpicam]),
        (recorded!("jetson-imx219"), NodeKind::Capture, &["only raw Bayer data", argus]),
        (
            recorded!("loopback-exclusive-fed"),
            NodeKind::Capture,
            &[loopback, "MJPG 1280x720 at 30 fps", "the requested size"],
        ),
        (recorded!("loopback-exclusive-idle"), NodeKind::Output, &["until a program writes to it"]),
        (
            recorded!("loopback-fed"),
            NodeKind::Capture,
            &[loopback, "YUYV 640x480 at 30 fps", "the size closest to 1280x720"],
        ),
        (
            recorded!("loopback-idle"),
            NodeKind::Capture,
            &[loopback, "no pixel format; check that a camera is connected"],
        ),
        (recorded!("vivid-webcam"), NodeKind::Capture, &["NV12 1280x720 at 12.5 fps", "the rate closest to 30 fps"]),
    ];
    for (driver, expected, parts) in cases {
        let (kind, words) = verdict(&driver);
        assert_eq!(kind, expected, "{words}");
        assert!(parts.iter().all(|part| words.contains(part)), "{words}");
    }
}

#[test]
fn for_a_multi_planar_jetson_the_user_is_referred_to_its_own_program() {
    let driver = recorded!("jetson-imx219");
    driver.state().device_caps = sys::V4L2_CAP_VIDEO_CAPTURE_MPLANE | sys::V4L2_CAP_STREAMING;
    let (kind, words) = verdict(&driver);
    assert!(kind == NodeKind::MultiPlanar && words.contains("nvarguscamerasrc"), "{words}");
}

#[test]
fn the_effect_of_exposure_on_the_rate_of_a_webcam_is_known_from_its_controls() {
    let driver = recorded!("uvc-c920");
    assert_eq!(controls::faster(&*driver, &ids()), Some("exposure_dynamic_framerate=0"));
    let set = |name: &str, value| assert!(controls::set(&*driver, &ids(), &[(name.into(), value)]).is_empty());
    set("exposure_dynamic_framerate", 0);
    assert_eq!(controls::faster(&*driver, &ids()), None, "it may not take longer");
    set("exposure_dynamic_framerate", 1);
    set("auto_exposure", 1);
    assert_eq!(controls::faster(&*driver, &ids()), None, "it is not automatic");
    driver.state().controls.retain(|control| control.id == 0x009a_0901);
    set("auto_exposure", 3);
    assert_eq!(controls::faster(&*driver, &ids()), Some("auto_exposure=1"));
    assert_eq!(controls::faster(&*recorded!("vivid-webcam"), &ids()), None);
}

#[test]
fn a_control_that_does_not_answer_hides_no_other_one_and_is_asked_only_at_first() {
    let driver = recorded!("uvc-c920");
    driver.state().silent = vec![0x0098_091a];
    let ids = ids();
    assert_eq!(controls::faster(&*driver, &ids), Some("exposure_dynamic_framerate=0"));
    driver.state().log.clear();
    let names: Vec<String> = controls::list(&*driver, &ids).into_iter().map(|control| control.name).collect();
    assert_eq!(names, ["brightness", "auto_exposure", "exposure_time_absolute", "exposure_dynamic_framerate"]);
    assert_eq!(driver.names().iter().filter(|name| *name == "QUERY_EXT_CTRL").count(), names.len());
}

#[test]
fn damaged_pictures_are_no_dim_light() {
    let driver = recorded!("uvc-c920");
    let mut stream = begin(&driver, &hd()).unwrap();
    // 30 fps by the clock, for longer than the rate is counted; frames for which this test is late count as dropped.
    let (begun, mut last) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_millis(5500) {
        let number = (begun.elapsed().as_secs_f64() * 30.0) as u32 + 1;
        if number > std::mem::replace(&mut last, number) {
            let flag = if number.is_multiple_of(3) { sys::V4L2_BUF_FLAG_ERROR } else { 0 };
            assert!(driver.fill(&[1; 64], number, |buffer| buffer.flags = flag));
            let shot = stream.next(PATIENCE).unwrap();
            assert_eq!(matches!(shot, Shot::Corrupt(_)), flag != 0);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(stream.hints().is_empty(), "{:?}", stream.hints());
}

#[test]
fn a_camera_that_is_slow_in_dim_light_gets_a_hint_with_a_remedy() {
    let stream = begin(&recorded!("uvc-c920"), &hd()).unwrap();
    let words = stream.slowed_by().unwrap();
    assert!(words.contains("fewer than the 30 fps") && words.contains("exposure_dynamic_framerate=0"), "{words}");
}

#[test]
fn a_mode_is_measured_as_requested_or_not_at_all() {
    let driver = recorded!("uvc-c920");
    let request = ModeRequest::of(&hd());
    let choice = negotiate::rank(&offers(&*driver, &request), &request).unwrap().remove(0);
    let start = || {
        let kernel: Rc<dyn Kernel> = driver.clone();
        start_mode(kernel, Path::new("/dev/video9"), &hd(), &choice)
    };
    assert_eq!(start().unwrap().fps, Some(30.0));
    driver.state().answers = [(*b"YUYV", 0)].into();
    assert_eq!(refusal(start()), "the driver chose YUYV 1280x720 instead");
    driver.state().failures = vec![("REQBUFS", libc::EBUSY)];
    assert!(refusal(start()).contains("/dev/video9 is in use by"));
}
