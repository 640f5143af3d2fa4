//! Tests of the queue and the negotiation with a simulated driver, so that no camera is needed.

mod driver;
mod recorded;
mod replayed;
mod replug;

use super::*;
use driver::{BUFFER_LENGTH, Driver};
use std::mem::offset_of;

const PATIENCE: Duration = Duration::from_millis(1);
/// 8x4 YUYV: 64 bytes.
const RAW: &[(&[u8; 4], u32, u32, u32)] = &[(b"YUYV", 8, 4, 30)];
const JPEG: &[(&[u8; 4], u32, u32, u32)] = &[(b"MJPG", 8, 4, 30)];

fn camera() -> config::Camera {
    let source = config::CameraSource::Device("/dev/video9".into());
    config::Camera { source, format: "auto".into(), width: 8, height: 4, fps: 30, ..Default::default() }
}

fn begin(driver: &Rc<Driver>, camera: &config::Camera) -> Result<CaptureStream> {
    let kernel: Rc<dyn Kernel> = driver.clone();
    start(kernel, Path::new("/dev/video9"), camera)
}

fn running(modes: &[(&[u8; 4], u32, u32, u32)]) -> (Rc<Driver>, CaptureStream) {
    let driver = Driver::webcam(modes);
    let stream = begin(&driver, &camera()).unwrap();
    (driver, stream)
}

fn picture(stream: &mut CaptureStream) -> Captured {
    match stream.next(PATIENCE).unwrap() {
        Shot::Picture(captured) => captured,
        Shot::Corrupt(why) => panic!("corrupt: {why}"),
        Shot::Nothing => panic!("nothing"),
    }
}

fn corrupt(stream: &mut CaptureStream) -> String {
    match stream.next(PATIENCE).unwrap() {
        Shot::Corrupt(why) => why,
        _ => panic!("not corrupt"),
    }
}

fn refusal(result: Result<CaptureStream>) -> String {
    result.err().unwrap().to_string()
}

fn ids() -> controls::Ids {
    controls::Ids::default()
}

fn control(id: u32, title: &str, kind: u32, range: std::ops::RangeInclusive<i64>) -> sys::v4l2_query_ext_ctrl {
    let mut query =
        sys::v4l2_query_ext_ctrl { id, type_: kind, minimum: *range.start(), maximum: *range.end(), ..zeroed() };
    for (to, from) in query.name.iter_mut().zip(title.bytes()) {
        *to = from as std::ffi::c_char;
    }
    query
}

#[test]
fn ioctl_numbers_and_layouts_are_those_of_a_64_bit_kernel() {
    let numbers = [
        (vidioc::VIDIOC_QUERYCAP, 0x8068_5600),
        (vidioc::VIDIOC_ENUM_FMT, 0xc040_5602),
        (vidioc::VIDIOC_S_FMT, 0xc0d0_5605),
        (vidioc::VIDIOC_REQBUFS, 0xc014_5608),
        (vidioc::VIDIOC_QUERYBUF, 0xc058_5609),
        (vidioc::VIDIOC_QBUF, 0xc058_560f),
        (vidioc::VIDIOC_DQBUF, 0xc058_5611),
        (vidioc::VIDIOC_STREAMON, 0x4004_5612),
        (vidioc::VIDIOC_STREAMOFF, 0x4004_5613),
        (vidioc::VIDIOC_G_PARM, 0xc0cc_5615),
        (vidioc::VIDIOC_S_PARM, 0xc0cc_5616),
        (vidioc::VIDIOC_G_CTRL, 0xc008_561b),
        (vidioc::VIDIOC_S_CTRL, 0xc008_561c),
        (vidioc::VIDIOC_QUERYMENU, 0xc02c_5625),
        (vidioc::VIDIOC_ENUM_FRAMESIZES, 0xc02c_564a),
        (vidioc::VIDIOC_ENUM_FRAMEINTERVALS, 0xc034_564b),
        (vidioc::VIDIOC_QUERY_EXT_CTRL, 0xc0e8_5667),
    ];
    for (ours, kernels) in numbers {
        assert_eq!(ours, kernels, "{kernels:x}");
    }
    type Buffer = sys::v4l2_buffer;
    let offsets = [offset_of!(Buffer, timestamp), offset_of!(Buffer, sequence), offset_of!(Buffer, m)];
    assert_eq!((offsets, offset_of!(Buffer, length)), ([24, 56, 64], 72));
    assert_eq!(offset_of!(sys::v4l2_format, fmt), 8);
}

#[test]
fn a_request_with_a_struct_of_another_size_never_reaches_the_kernel() {
    let driver = Driver::webcam(RAW);
    assert!(call(&*driver, vidioc::VIDIOC_QUERYCAP, &mut zeroed::<sys::v4l2_buffer>()).is_err());
    assert!(driver.names().is_empty());
}

#[test]
fn the_queue_starts_in_order_and_frees_everything() {
    let (driver, stream) = running(RAW);
    let names = driver.names();
    let from = names.iter().position(|name| name == "S_FMT").unwrap();
    let mut expected = vec!["S_FMT", "G_PARM", "S_PARM", "REQBUFS"];
    expected.extend(["QUERYBUF", "mmap", "QBUF"].repeat(4));
    expected.push("STREAMON");
    assert_eq!(names[from..], expected);
    driver.state().log.clear();
    drop(stream);
    assert_eq!(driver.names(), ["STREAMOFF", "munmap", "munmap", "munmap", "munmap", "REQBUFS"]);
    assert!(driver.state().mapped.is_empty());
}

#[test]
fn the_newest_picture_is_returned_and_the_older_ones_count_as_dropped() {
    let (driver, mut stream) = running(RAW);
    for sequence in 0..3 {
        assert!(driver.fill(&[sequence as u8; 64], sequence, |_| {}));
    }
    let captured = picture(&mut stream);
    assert_eq!((captured.bytes, captured.dropped), (vec![2; 64], 2));
    assert!(matches!(stream.next(PATIENCE).unwrap(), Shot::Nothing));
    // The driver has all four buffers again.
    assert!((3..7).all(|sequence| driver.fill(&[0; 64], sequence, |_| {})));
    assert_eq!(picture(&mut stream).dropped, 3);
}

#[test]
fn frames_that_the_driver_lost_count_as_dropped_once() {
    let (driver, mut stream) = running(RAW);
    let mut dropped_at = |sequences: &[u32]| {
        sequences.iter().for_each(|&sequence| assert!(driver.fill(&[0; 64], sequence, |_| {})));
        picture(&mut stream).dropped
    };
    assert_eq!(dropped_at(&[u32::MAX - 1]), 0);
    assert_eq!(dropped_at(&[1]), 2, "across the wrap of the counter");
    assert_eq!(dropped_at(&[4, 5]), 3);
    assert_eq!(dropped_at(&[0]), 0, "a restarted driver has lost nothing");
    assert_eq!(dropped_at(&[0]), 0, "a driver that does not count");
}

#[test]
fn damaged_pictures_are_reported_and_the_stream_goes_on() {
    let (driver, mut stream) = running(RAW);
    driver.fill(&[0; 64], 0, |buffer| buffer.flags = sys::V4L2_BUF_FLAG_ERROR);
    assert_eq!(corrupt(&mut stream), "YUYV 8x4: the driver flags it as damaged");
    driver.fill(&[0; 63], 1, |_| {});
    assert_eq!(corrupt(&mut stream), "YUYV 8x4: shorter than the 64 bytes of a whole picture");
    driver.fill(&[0; 64], 2, |buffer| buffer.bytesused = 0);
    assert_eq!(corrupt(&mut stream), "YUYV 8x4: its length is invalid");
    driver.fill(&[0; 64], 3, |buffer| buffer.bytesused = BUFFER_LENGTH + 1);
    assert_eq!(corrupt(&mut stream), "YUYV 8x4: its length is invalid");
    driver.fill(&[9; 64], 4, |_| {});
    assert_eq!(picture(&mut stream).bytes, [9; 64]);
}

#[test]
fn a_jpeg_is_exactly_as_long_as_the_driver_says() {
    let (driver, mut stream) = running(JPEG);
    driver.fill(&[7; 1000], 0, |_| {});
    picture(&mut stream);
    driver.fill(&[8; 10], 1, |_| {});
    let captured = picture(&mut stream);
    assert_eq!((captured.bytes, captured.stride, captured.format.jpeg), (vec![8; 10], 0, true));
}

#[test]
fn a_signal_changes_nothing() {
    let (driver, mut stream) = running(RAW);
    driver.fill(&[1; 64], 0, |_| {});
    driver.state().failures = vec![("poll", libc::EINTR), ("DQBUF", libc::EINTR), ("QBUF", libc::EINTR)];
    assert_eq!(picture(&mut stream).bytes, [1; 64]);
    assert!(driver.state().failures.is_empty());
}

#[test]
fn a_buffer_that_is_not_ready_is_no_picture() {
    let (driver, mut stream) = running(RAW);
    driver.state().revents = Some(libc::POLLIN);
    assert!(matches!(stream.next(PATIENCE).unwrap(), Shot::Nothing));
    driver.state().revents = Some(libc::POLLERR);
    assert!(stream.next(PATIENCE).is_err(), "an error state must not become a busy loop");
}

#[test]
fn an_unplugged_camera_is_an_error_and_everything_is_freed() {
    let (driver, mut stream) = running(RAW);
    driver.fill(&[0; 64], 0, |_| {});
    driver.state().failures = vec![("QBUF", libc::ENODEV)];
    assert!(stream.next(PATIENCE).is_err(), "unplugged between dequeue and queue");
    driver.state().revents = Some(libc::POLLERR | libc::POLLHUP);
    driver.state().unplugged = true;
    assert_eq!(stream.next(PATIENCE).err().unwrap().to_string(), "the camera was unplugged");
    drop(stream);
    assert!(driver.state().mapped.is_empty());
}

#[test]
fn a_start_that_fails_unmaps_what_it_mapped() {
    let driver = Driver::webcam(RAW);
    driver.state().failures = vec![("STREAMON", libc::EIO)];
    assert!(refusal(begin(&driver, &camera())).starts_with("/dev/video9: cannot start: "));
    let names = driver.names();
    assert!(driver.state().mapped.is_empty() && !names.contains(&"STREAMOFF".to_owned()));
    assert_eq!(names.last().unwrap(), "REQBUFS");
    driver.state().failures = vec![("mmap", libc::ENOMEM)];
    assert!(refusal(begin(&driver, &camera())).starts_with("/dev/video9: cannot map a buffer: "));
}

#[test]
fn the_format_that_the_driver_chose_is_used_with_its_stride() {
    let driver = Driver::webcam(RAW);
    driver.state().answers = [(*b"GREY", 32)].into();
    let mut stream = begin(&driver, &camera()).unwrap();
    driver.fill(&[0; 127], 0, |_| {});
    assert!(corrupt(&mut stream).contains("128 bytes"));
    driver.fill(&[0; 128], 1, |_| {});
    let captured = picture(&mut stream);
    assert_eq!((captured.format.fourcc, captured.stride), (*b"GREY", 32));
}

#[test]
fn when_the_driver_chooses_an_unsupported_format_the_next_candidate_is_tried() {
    let driver = Driver::webcam(&[RAW[0], JPEG[0]]);
    driver.state().answers = [(*b"H264", 0)].into();
    let stream = begin(&driver, &camera()).unwrap();
    assert_eq!(stream.describe(), "Café \u{fffd}, MJPG 8x4 at 30 fps (fake, usb-1)");
    drop(stream);
    driver.state().answers = [(*b"H264", 0), (*b"H264", 0)].into();
    assert!(refusal(begin(&driver, &camera())).contains("the driver chose H264, which namecam does not read"));
}

#[test]
fn without_usb_bandwidth_jpeg_is_tried_and_otherwise_it_is_explained() {
    let driver = Driver::webcam(&[RAW[0], JPEG[0]]);
    driver.state().failures = vec![("STREAMON", libc::ENOSPC)];
    assert_eq!(begin(&driver, &camera()).unwrap().format.fourcc, *b"MJPG");
    let driver = Driver::webcam(RAW);
    driver.state().failures = vec![("STREAMON", libc::ENOSPC)];
    assert!(refusal(begin(&driver, &camera())).ends_with("use format = mjpg, a smaller size, or another port"));
    // uvcvideo, when no setting of the camera is fast enough.
    let driver = Driver::webcam(&[RAW[0], JPEG[0]]);
    driver.state().failures = vec![("STREAMON", libc::EIO)];
    assert_eq!(begin(&driver, &camera()).unwrap().format.fourcc, *b"MJPG");
    let driver = Driver::webcam(RAW);
    driver.state().failures = vec![("STREAMON", libc::EIO)];
    assert!(refusal(begin(&driver, &camera())).ends_with("try format = mjpg, a smaller size, or another port"));
}

#[test]
fn when_jpeg_was_refused_too_it_is_not_advised() {
    for (modes, errno) in [([JPEG[0], RAW[0]], libc::ENOSPC), ([RAW[0], JPEG[0]], libc::EIO)] {
        let driver = Driver::webcam(&modes);
        driver.state().failures = vec![("STREAMON", errno); 2];
        let why = refusal(begin(&driver, &camera()));
        assert!(
            driver.state().failures.is_empty() && why.ends_with(" a smaller size or rate, or another USB controller"),
            "{why}"
        );
    }
}

#[test]
fn a_camera_in_use_is_not_tried_with_every_format() {
    let driver = Driver::webcam(&[RAW[0], JPEG[0]]);
    driver.state().failures = vec![("REQBUFS", libc::EBUSY)];
    assert!(refusal(begin(&driver, &camera())).contains("/dev/video9 is in use by"));
    assert_eq!(driver.names().iter().filter(|name| *name == "S_FMT").count(), 1);
}

#[test]
fn the_capabilities_of_the_node_decide_its_kind() {
    let driver = Driver::webcam(RAW);
    driver.state().device_caps = sys::V4L2_CAP_META_CAPTURE | sys::V4L2_CAP_STREAMING;
    assert!(refusal(begin(&driver, &camera())).contains("the pictures are at another node"));
    driver.state().device_caps = sys::V4L2_CAP_VIDEO_CAPTURE_MPLANE | sys::V4L2_CAP_STREAMING;
    assert!(refusal(begin(&driver, &camera())).contains("pipe:rpicam-vid"));
    driver.state().device_caps = sys::V4L2_CAP_VIDEO_OUTPUT | sys::V4L2_CAP_STREAMING;
    assert!(refusal(begin(&driver, &camera())).contains("only outputs pictures"));
    let capabilities = sys::V4L2_CAP_VIDEO_CAPTURE | sys::V4L2_CAP_STREAMING;
    driver.state().capabilities = capabilities;
    assert!(begin(&driver, &camera()).is_ok(), "an old driver without device_caps");
}

#[test]
fn time_stamps_count_when_they_are_monotonic_and_plausible() {
    let (driver, mut stream) = running(RAW);
    let mut age_at = |flags: u32, seconds: i64| {
        driver.fill(&[0; 64], 0, |buffer| {
            buffer.flags = flags;
            buffer.timestamp.tv_sec = seconds;
        });
        picture(&mut stream).captured_at.instant.elapsed().as_secs()
    };
    let monotonic = sys::V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    assert_eq!(age_at(monotonic, 998), 2);
    assert_eq!(age_at(monotonic, 990), 0, "too old to be true");
    assert_eq!(age_at(monotonic, 1001), 0, "from the future");
    assert_eq!(age_at(monotonic, -1), 0);
    assert_eq!(age_at(sys::V4L2_BUF_FLAG_TIMESTAMP_UNKNOWN, 998), 0);
}

#[test]
fn controls_are_set_before_and_after_the_start_and_bad_ones_only_give_hints() {
    let driver = Driver::webcam(RAW);
    driver.state().controls = vec![control(5, "White Balance, Auto", 2, 0..=1), control(9, "Gain", 1, 0..=100)];
    let mut camera = camera();
    camera.controls = vec![("white_balance_auto".into(), 0), ("gain".into(), 500), ("zoom".into(), 1)];
    begin(&driver, &camera).unwrap();
    let names: Vec<String> = driver.names().into_iter().filter(|name| name.starts_with('S')).collect();
    let expected = ["S_FMT", "S_PARM", "S_CTRL", "S_CTRL", "STREAMON", "S_CTRL", "S_CTRL", "STREAMOFF"];
    assert_eq!(names, expected);
    assert_eq!(driver.state().set, [(5, 0), (5, 0)]);
    let warnings: Vec<String> =
        controls::set(&*driver, &ids(), &camera.controls).into_iter().map(|unset| unset.why).collect();
    let expected = [
        "gain = 500 was refused: allowed values are 0 to 100",
        "the camera has no control zoom; it has white_balance_auto, gain",
    ];
    assert_eq!(warnings, expected);
}

/// A camera whose automatic exposure (1: manual, 3: automatic) locks the exposure time. The id of the exposure time is
/// the lower one, as with focus, so setting controls in the order of the driver's list would fail.
fn with_automatic_exposure() -> Rc<Driver> {
    let driver = Driver::webcam(RAW);
    driver.state().controls =
        vec![control(4, "Exposure Time, Absolute", 1, 3..=2047), control(5, "Auto Exposure", 3, 0..=3)];
    driver.state().locks = vec![(5, 3, 4)];
    driver.state().values = vec![(5, 3), (4, 156)];
    driver
}

fn values(driver: &Driver) -> [Option<i64>; 2] {
    let has = controls::list(driver, &ids());
    ["exposure_time_absolute", "auto_exposure"].map(|name| has.iter().find(|c| c.name == name).unwrap().value)
}

#[test]
fn an_automatic_mode_is_turned_off_before_its_number_is_set_and_put_back_after_the_number() {
    let driver = with_automatic_exposure();
    assert!(controls::list(&*driver, &ids())[0].locked && !controls::list(&*driver, &ids())[0].read_only);
    let named = |list: [(&str, i64); 2]| list.map(|(name, value)| (name.to_owned(), value));
    let manual = named([("exposure_time_absolute", 500), ("auto_exposure", 1)]);
    assert_eq!(controls::set(&*driver, &ids(), &manual), []);
    assert_eq!(values(&driver), [Some(500), Some(1)]);
    let automatic = named([("exposure_time_absolute", 156), ("auto_exposure", 3)]);
    controls::put_back(&*driver, &ids(), &automatic);
    assert_eq!(values(&driver), [Some(156), Some(3)]);
    assert_eq!(controls::put_back(&*driver, &ids(), &manual), []);
    assert_eq!(values(&driver), [Some(500), Some(1)], "locked in the first pass, set in the second");
}

#[test]
fn formats_and_controls_are_listed_while_the_camera_runs() {
    let driver = with_automatic_exposure();
    let mut stream = begin(&driver, &camera()).unwrap();
    driver.state().log.clear();
    let has = stream.equipment().unwrap();
    assert_eq!((has.format.as_str(), has.width, has.height, has.fps), ("YUYV", 8, 4, Some(30.0)));
    let formats = r#"[{"format":"YUYV","read":true,"modes":[{"size":[8,4],"fps":[30.0]}]}]"#;
    assert_eq!(serde_json::to_string(&has.formats).unwrap(), formats);
    assert_eq!(has.controls.len(), 2);
    let unset = stream.set_controls(&[("exposure_time_absolute".to_owned(), 9)]);
    assert!(unset[0].name == "exposure_time_absolute" && unset[0].why.contains("automatic mode"), "{unset:?}");
    assert!(driver.names().iter().all(|name| name.contains("CTRL") || name == "QUERYMENU"), "{:?}", driver.names());
}

#[test]
fn the_hint_about_a_refused_control_is_there_until_the_control_is_set_and_again_when_it_is_put_back() {
    let driver = with_automatic_exposure();
    let named = |name: &str, value| vec![(name.to_owned(), value)];
    let config = named("exposure_time_absolute", 500);
    let mut stream = begin(&driver, &config::Camera { controls: config.clone(), ..camera() }).unwrap();
    let hints = |stream: &CaptureStream| stream.hints().len();
    assert_eq!(hints(&stream), 1);
    assert_eq!(stream.set_controls(&config).len(), 1);
    assert_eq!(hints(&stream), 1, "it is still locked");
    assert_eq!(stream.set_controls(&[named("auto_exposure", 1), config.clone()].concat()), []);
    assert_eq!(hints(&stream), 0);
    stream.put_back(&named("auto_exposure", 3), &config);
    assert_eq!(hints(&stream), 1);
}

#[test]
fn a_menu_of_step_0_lists_the_items_that_it_really_has() {
    let driver = Driver::webcam(RAW);
    driver.state().controls = vec![control(3, "Power Line Frequency", 3, 0..=3), control(4, "Unknown", 0x300, 0..=1)];
    let list = controls::list(&*driver, &ids());
    assert_eq!(list.len(), 1);
    assert_eq!((list[0].name.as_str(), list[0].kind, list[0].value), ("power_line_frequency", "menu", Some(7)));
    assert_eq!(list[0].range(), "0 Item, 1 Item, 3 Item");
}

#[test]
fn a_device_that_cannot_be_opened_is_explained() {
    let mut camera = camera();
    let mut refused = |path: &str| {
        camera.source = config::CameraSource::Device(path.into());
        open(&camera, &mut LastCamera::default()).err().unwrap().to_string()
    };
    assert_eq!(refused("/dev/no-camera"), "no camera at /dev/no-camera; run namecam probe to list the cameras");
    assert_eq!(refused("/dev/null"), "/dev/null is not a camera: it is not a V4L2 device");
    assert!(refused("/dev/nul\0l").contains("cannot open"));
}

#[test]
fn a_program_that_has_a_node_open_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let node = folder.path().join("video0");
    let file = std::fs::File::create(&node).unwrap();
    let mut child = std::process::Command::new("sleep").arg("99").stdin(file).spawn().unwrap();
    // Until exec, the child has the name of the test program.
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    let expected = format!("sleep (pid {})", child.id());
    let mut users = users_of(&node);
    while users != [expected.as_str()] && std::time::Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
        users = users_of(&node);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(users, [expected]);
}
