//! Tests that a replay of a recording of the simulated driver gives the same pictures and errors as the driver.

use super::driver::Driver;
use super::record::{Recorder, record_with};
use super::replay::{play, trouble};
use super::*;
use crate::camera::checked;
use crate::camera::recording::{Entry, Head, Kind, Writer};
use crate::sync::POLL;
use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Instant;

/// The path of a recording of a camera with faults, in tests/data.
fn strange(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// The result of `next` as text.
fn told(stream: &mut CaptureStream, timeout: Duration) -> String {
    match stream.next(timeout) {
        Err(error) => format!("error: {error:#}"),
        Ok(Shot::Nothing) => "nothing".to_owned(),
        Ok(Shot::Corrupt(why)) => format!("corrupt: {why}"),
        Ok(Shot::Picture(captured)) => {
            let (dropped, bytes) = (captured.dropped, captured.bytes.clone());
            let is_good = checked(captured, None).map_or_else(|why| why, |_| "good".to_owned());
            format!("{} bytes of {:?}, {dropped} dropped, {is_good}", bytes.len(), bytes.first())
        }
    }
}

type Step = dyn Fn(&Driver);

/// Records the driver into a new file while the steps are taken. Returns the results of `next` as text.
fn recorded(driver: &Rc<Driver>, file: &Path, steps: &[&Step]) -> Vec<String> {
    let recorder = Recorder::new(driver.clone());
    let mut stream = start(recorder.clone(), Path::new("/dev/video9"), &camera()).unwrap();
    recorder.begin(&stream, std::fs::File::create(file).unwrap()).unwrap();
    let came = steps.iter().map(|step| {
        step(driver);
        told(&mut stream, PATIENCE)
    });
    let came = came.collect();
    recorder.finish().unwrap();
    came
}

fn fill(bytes: &'static [u8], sequence: u32, change: fn(&mut sys::v4l2_buffer)) -> impl Fn(&Driver) {
    move |driver| assert!(driver.fill(bytes, sequence, change))
}

#[test]
fn a_recording_gives_the_same_frames_errors_and_pauses_in_the_same_order() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x");
    let driver = Driver::webcam(RAW);
    let steps: Vec<Box<Step>> = vec![
        Box::new(fill(&[1; 64], 0, |_| {})),
        Box::new(|_| {}),
        Box::new(fill(&[2; 64], 1, |buffer| buffer.flags = sys::V4L2_BUF_FLAG_ERROR)),
        Box::new(fill(&[3; 63], 2, |_| {})),
        Box::new(fill(&[], 3, |_| {})),
        Box::new(fill(&[4; 64], 4, |buffer| buffer.bytesused = BUFFER_LENGTH + 1)),
        Box::new(|driver| (7..10).for_each(|n| assert!(driver.fill(&[n as u8; 64], n, |_| {})))),
        Box::new(|driver| driver.state().failures = vec![("DQBUF", libc::EINTR), ("poll", libc::EINTR)]),
        Box::new(|driver| driver.state().revents = Some(libc::POLLERR)),
        Box::new(|driver| {
            driver.state().revents = None;
            driver.state().failures = vec![("poll", libc::EIO)];
        }),
        Box::new(|driver| {
            assert!(driver.fill(&[5; 64], 20, |_| {}));
            driver.state().failures = vec![("QBUF", libc::EIO)];
        }),
        Box::new(|driver| driver.fill(&[6; 64], 21, |_| {}).then_some(()).unwrap()),
        Box::new(|driver| {
            driver.fill(&[6; 64], 22, |_| {});
            driver.state().unplugged = true;
        }),
    ];
    let steps: Vec<&Step> = steps.iter().map(|step| &**step).collect();
    // poll fails before the queue asks an unplugged driver for a buffer.
    let came = recorded(&driver, &file, &steps);
    let pictures = came.iter().filter(|what| what.ends_with("good")).count();
    assert!(pictures >= 3 && came[1] == "nothing" && came[6].contains("Some(9)"), "{came:#?}");
    let mut stream = play(&file, false, &camera()).unwrap();
    let again: Vec<String> = came.iter().map(|_| told(&mut stream, PATIENCE)).collect();
    assert_eq!(again, came);
    assert_eq!(told(&mut stream, PATIENCE), "error: the camera stopped: the recording has ended");
    drop(stream);
    // With ?loop the recording begins again.
    let mut stream = play(&file, true, &camera()).unwrap();
    for _ in 0..2 {
        let again: Vec<String> = came.iter().map(|_| told(&mut stream, POLL)).collect();
        assert_eq!(again[1..6], came[1..6]);
    }
}

#[test]
fn a_recording_takes_as_long_as_the_camera_and_its_time_stamps_move_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x");
    let head = Head {
        fourcc: *b"YUYV",
        width: 8,
        height: 4,
        stride: 16,
        interval: (1, 20),
        buffer_bytes: 64,
        started_us: 5_000_000,
        card: "x".to_owned(),
        driver: "y".to_owned(),
    };
    let mut writer = Writer::new(std::fs::File::create(&file).unwrap(), &head).unwrap();
    let times = [30_000, 80_000, 430_000];
    for (sequence, at_us) in (0..).zip(times) {
        let monotonic = sys::V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
        // The time stamp is 10 ms before the buffer came.
        let (seconds, micros) = (5, at_us as i64 - 10_000);
        let buffer =
            Entry { bytes: 64, sequence, flags: monotonic, seconds, micros, ..Entry::other(Kind::Buffer, at_us, 64) };
        assert!(writer.add(buffer, &[sequence as u8; 64]).unwrap());
        assert!(writer.add(Entry::other(Kind::Empty, at_us, 0), &[]).unwrap());
    }
    writer.finish().unwrap();
    let begun = Instant::now();
    let mut stream = play(&file, false, &camera()).unwrap();
    let opened = begun.elapsed();
    for (number, at_us) in (0..).zip(times) {
        let captured = loop {
            match stream.next(POLL).unwrap() {
                Shot::Picture(captured) => break captured,
                Shot::Nothing => assert!(at_us > 400_000, "only the last pause is longer than a wait"),
                Shot::Corrupt(why) => panic!("{why}"),
            }
        };
        assert_eq!(captured.bytes[0], number);
        assert!(begun.elapsed() >= Duration::from_micros(at_us), "{:?} for {at_us} us", begun.elapsed());
        // The capture time is 10 ms before the entry is due, however late this test runs.
        let taken = captured.captured_at.instant.saturating_duration_since(begun);
        let due = Duration::from_micros(at_us - 10_000);
        assert!(taken >= due && taken <= due + opened + Duration::from_millis(20), "{taken:?} for {due:?}");
    }
}

#[test]
fn probe_record_overwrites_no_file_and_reports_the_size_and_why_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x");
    let (said, driver) = (RefCell::new(Vec::new()), Driver::webcam(RAW));
    let mask = crate::image::Zone::of_percent([0.0, 0.0, 50.0, 100.0]).into_iter().collect();
    let config = config::Camera { mask, ..camera() };
    let record = |driver: &Rc<Driver>| {
        let kernel: Rc<dyn Kernel> = driver.clone();
        let tell = |line: &str| said.borrow_mut().push(line.to_owned());
        record_with(kernel, Path::new("/dev/video9"), &config, &file, Duration::from_millis(50), tell)
    };
    let told = record(&driver).unwrap();
    assert!(
        told.starts_with("recorded 0 buffers, ")
            && said.borrow()[0]
                .ends_with(", at most 1 MB; it holds pictures of people, and also shows the zones of camera.mask"),
        "{told} {said:?}"
    );
    let refused = record(&driver).err().unwrap().to_string();
    assert!(refused.ends_with("exists and is not overwritten; name another file"), "{refused}");
    assert!(trouble(&file).is_none());
    std::fs::remove_file(&file).unwrap();
    // The camera is unplugged at its first poll.
    let driver = Driver::webcam(RAW);
    driver.state().failures = vec![("poll", libc::ENODEV)];
    let told = record(&driver).unwrap();
    assert!(told.contains("; it ends early: the camera was unplugged"), "{told}");
    let mut stream = play(&file, false, &camera()).unwrap();
    while stream.next(POLL).is_ok() {}
    std::fs::remove_file(&file).unwrap();
    let driver = Driver::webcam(RAW);
    let recorder = Recorder::new(driver.clone());
    let stream = start(recorder.clone(), Path::new("/dev/video9"), &camera()).unwrap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    assert_eq!(recorder.begin(&stream, full).unwrap_err().kind(), io::ErrorKind::StorageFull);
}

/// Writes the files of tests/data: `WRITE_DATA=1 cargo test`.
fn write_strange() {
    let jpeg = |shade: u8| {
        let pixels: Vec<u8> = (0..64 * 48 * 3_u32).map(|n| (n % 191) as u8 ^ shade).collect();
        let mut jpeg = Vec::new();
        jpeg_encoder::Encoder::new(&mut jpeg, 60).encode(&pixels, 64, 48, jpeg_encoder::ColorType::Rgb).unwrap();
        jpeg
    };
    let write = |name: &str, fourcc: &[u8; 4], stride: u32, buffers: &[(u64, Kind, u32, u32, Vec<u8>)]| {
        let head = Head {
            fourcc: *fourcc,
            width: 64,
            height: 48,
            stride,
            interval: (1, 30),
            buffer_bytes: 64 * 48 * 2,
            started_us: 1_000_000,
            card: "Strange camera".to_owned(),
            driver: "uvcvideo".to_owned(),
        };
        let mut writer = Writer::new(std::fs::File::create(strange(name)).unwrap(), &head).unwrap();
        for (number, (at_ms, kind, flags, value, bytes)) in (0..).zip(buffers) {
            let (at_us, stored) = (at_ms * 1000, bytes.len() as u32);
            let entry = Entry { bytes: stored, sequence: number, flags: *flags, ..Entry::other(*kind, at_us, *value) };
            assert!(writer.add(entry, bytes).unwrap());
            if *kind == Kind::Buffer {
                assert!(writer.add(Entry::other(Kind::Empty, at_us, 0), &[]).unwrap());
            }
        }
        writer.finish().unwrap();
    };
    let whole = |at_ms: u64, flags: u32, bytes: Vec<u8>| (at_ms, Kind::Buffer, flags, bytes.len() as u32, bytes);
    let damaged = sys::V4L2_BUF_FLAG_ERROR;
    let cut = |jpeg: Vec<u8>, at: usize| jpeg[..at].to_vec();
    write(
        "strange-mjpg.rec",
        b"MJPG",
        0,
        &[
            whole(0, 0, cut(jpeg(0), 300)),
            whole(33, 0, jpeg(1)),
            whole(66, 0, vec![]),
            whole(100, damaged, jpeg(2)),
            whole(133, 0, [vec![0; 16], jpeg(3)].concat()),
            whole(166, 0, [jpeg(4), vec![0; 64]].concat()),
            whole(200, 0, vec![0x55; 500]),
            (400, Kind::TimeOut, 0, 0, vec![]),
            whole(433, 0, jpeg(5)),
            (466, Kind::DequeueError, 0, libc::EIO as u32, vec![]),
        ],
    );
    write(
        "strange-yuyv.rec",
        b"YUYV",
        128,
        &[
            whole(0, 0, vec![1; 64 * 48 * 2 - 1]),
            whole(33, 0, vec![2; 64 * 48 * 2]),
            whole(66, 0, vec![]),
            (100, Kind::Buffer, 0, u32::MAX, vec![3; 64 * 48 * 2]),
            whole(133, 0, vec![4; 4]),
            whole(166, 0, vec![5; 64 * 48 * 2]),
            (200, Kind::PollError, 0, libc::ENODEV as u32, vec![]),
        ],
    );
}

#[test]
fn recordings_of_faulty_cameras_give_the_expected_results() {
    if std::env::var_os("WRITE_DATA").is_some() {
        write_strange();
    }
    let met = |name: &str| {
        let mut stream = play(&strange(name), false, &camera()).unwrap();
        let mut came = Vec::new();
        while came.last().is_none_or(|last: &String| !last.starts_with("error")) {
            came.push(told(&mut stream, Duration::from_secs(1)));
        }
        came
    };
    let came = met("strange-mjpg.rec");
    let kinds: Vec<&str> = came.iter().map(|what| what.split(" dropped, ").last().unwrap()).collect();
    assert_eq!(kinds, STRANGE_MJPG);
    let came = met("strange-yuyv.rec");
    assert_eq!(
        came,
        [
            "corrupt: YUYV 64x48: shorter than the 6144 bytes of a whole picture",
            "6144 bytes of Some(2), 0 dropped, good",
            "corrupt: YUYV 64x48: its length is invalid",
            "corrupt: YUYV 64x48: its length is invalid",
            "corrupt: YUYV 64x48: shorter than the 6144 bytes of a whole picture",
            "6144 bytes of Some(5), 0 dropped, good",
            "error: the camera was unplugged",
        ]
    );
}

const STRANGE_MJPG: [&str; 10] = [
    "it is truncated in its header",
    "good",
    "corrupt: MJPG 64x48: its length is invalid",
    "corrupt: MJPG 64x48: the driver flags it as damaged",
    "good",
    "good",
    "it has no start (SOI)",
    "nothing",
    "good",
    "error: the camera stopped: Input/output error (os error 5); check its cable and power supply",
];
