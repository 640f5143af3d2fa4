//! Responses of real drivers, as data.

use super::*;

fn one(width: u32, height: u32, rates: &[u32]) -> Mode {
    let rates = rates.iter().map(|&fps| FrameRate::One(Interval::of_fps(fps))).collect();
    Mode { size: Size::One { width, height }, rates }
}

fn offer(fourcc: &[u8; 4], modes: Vec<Mode>) -> Offer {
    Offer { fourcc: *fourcc, modes }
}

fn request(format: &str, width: u32, height: u32, fps: u32) -> ModeRequest {
    let camera = config::Camera { format: format.to_owned(), width, height, fps, ..Default::default() };
    ModeRequest::of(&camera)
}

/// The rate of raw formats falls with the size because of the bandwidth of USB 2; MJPG has 30 at every size.
fn c920() -> Vec<Offer> {
    let small = [30, 24, 20, 15, 10, 5];
    vec![
        offer(
            b"YUYV",
            vec![
                one(640, 480, &small),
                one(160, 120, &small),
                one(320, 240, &small),
                one(800, 448, &small),
                one(800, 600, &[24, 20, 15, 10, 5]),
                one(1280, 720, &[10, 5]),
                one(1600, 896, &[5]),
                one(1920, 1080, &[5]),
                Mode {
                    size: Size::One { width: 2304, height: 1536 },
                    rates: vec![FrameRate::One(Interval { numerator: 1, denominator: 2 })],
                },
            ],
        ),
        offer(b"H264", vec![one(1280, 720, &small), one(1920, 1080, &small)]),
        offer(
            b"MJPG",
            [(640, 480), (320, 240), (800, 600), (1280, 720), (1600, 896), (1920, 1080)]
                .map(|(w, h)| one(w, h, &small))
                .to_vec(),
        ),
    ]
}

fn unicam() -> Vec<Offer> {
    let all = Size::Steps { min: (16, 16), max: (16376, 16376), step: (1, 1) };
    [b"pRAA", b"RG10", b"pBAA", b"BA81"].map(|fourcc| offer(fourcc, vec![Mode { size: all, rates: vec![] }])).to_vec()
}

fn vivid() -> Vec<Offer> {
    let size = Size::Steps { min: (320, 180), max: (3840, 2160), step: (2, 2) };
    let rates = vec![FrameRate::Steps {
        shortest: Interval { numerator: 1, denominator: 60 },
        longest: Interval { numerator: 1, denominator: 1 },
    }];
    [b"GREY", b"BGR3", b"RGB3", b"YV12", b"YU12", b"NV21", b"NV12", b"YVYU", b"UYVY", b"YUYV", b"BA81"]
        .map(|fourcc| offer(fourcc, vec![Mode { size, rates: rates.clone() }]))
        .to_vec()
}

fn taken(offers: &[Offer], request: &ModeRequest) -> (String, u32, u32, String) {
    let best = rank(offers, request).unwrap().remove(0);
    (best.format.name().into_owned(), best.width, best.height, show_fps(best.fps()))
}

fn expect(format: &str, width: u32, height: u32, fps: &str) -> (String, u32, u32, String) {
    (format.to_owned(), width, height, fps.to_owned())
}

#[test]
fn jpeg_comes_first_when_raw_cannot_reach_the_rate() {
    let request = request("auto", 1280, 720, 30);
    assert_eq!(taken(&c920(), &request), expect("MJPG", 1280, 720, "30"));
    let ranked = rank(&c920(), &request).unwrap();
    assert_eq!(ranked[0].why, "the requested size, the requested rate; YUYV has 10 fps");
}

#[test]
fn raw_comes_first_where_it_reaches_the_rate() {
    assert_eq!(taken(&c920(), &request("auto", 640, 480, 30)), expect("YUYV", 640, 480, "30"));
    assert_eq!(taken(&c920(), &request("auto", 1280, 720, 10)), expect("YUYV", 1280, 720, "10"));
    let ranked = rank(&c920(), &request("auto", 640, 480, 30)).unwrap();
    assert_eq!(ranked[0].why, "the requested size, the requested rate; MJPG must be decoded");
}

#[test]
fn the_format_jpeg_is_treated_and_named_like_mjpg() {
    let mut offers = c920();
    offers[2].fourcc = *b"JPEG";
    let ranked = rank(&offers, &request("auto", 1280, 720, 30)).unwrap();
    assert_eq!(taken(&offers, &request("auto", 1280, 720, 30)), expect("JPEG", 1280, 720, "30"));
    assert_eq!(ranked[0].format.name(), "JPEG");
    let ranked = rank(&offers, &request("auto", 640, 480, 30)).unwrap();
    assert!(ranked[0].why.ends_with("JPEG must be decoded"), "{}", ranked[0].why);
    assert_eq!(taken(&offers, &request("jpeg", 640, 480, 30)), expect("JPEG", 640, 480, "30"));
}

#[test]
fn the_first_of_many_formats_has_a_true_reason() {
    let reason = |offers: &[Offer]| rank(offers, &request("auto", 640, 480, 30)).unwrap().remove(0).why;
    let (large, small) = (|| vec![one(640, 480, &[30])], || vec![one(320, 240, &[30])]);
    let fits = "the requested size, the requested rate";
    assert_eq!(reason(&[offer(b"UYVY", large()), offer(b"NV12", large())]), fits);
    assert_eq!(reason(&[offer(b"GREY", large()), offer(b"NV12", large())]), format!("{fits}; GREY has no colour"));
    assert_eq!(reason(&[offer(b"MJPG", large()), offer(b"NV12", small())]), format!("{fits}; NV12 has 320x240"));
    let unlisted = offer(b"YUYV", vec![one(640, 480, &[])]);
    assert_eq!(reason(&[unlisted.clone(), offer(b"JPEG", large())]), format!("{fits}; YUYV lists no rates"));
    assert_eq!(reason(&[unlisted]), "the requested size, no rates are listed");
}

#[test]
fn a_configured_format_is_used_whatever_its_rate() {
    assert_eq!(taken(&c920(), &request("yuyv", 1920, 1080, 30)), expect("YUYV", 1920, 1080, "5"));
    assert_eq!(rank(&c920(), &request("yuyv", 1920, 1080, 30)).unwrap().len(), 1);
}

#[test]
fn a_configured_format_that_the_camera_lacks_is_refused_with_a_list_of_its_formats() {
    let refusal = rank(&c920(), &request("nv12", 640, 480, 30)).unwrap_err();
    assert_eq!(refusal, "it has no NV12; it has YUYV, H264, MJPG (format = auto uses the best one)");
}

#[test]
fn for_a_sensor_without_an_image_processor_the_user_is_referred_to_rpicam_vid() {
    for format in ["auto", "yuyv"] {
        let refusal = rank(&unicam(), &request(format, 1280, 720, 25)).unwrap_err();
        assert!(
            refusal.starts_with("it sends only raw Bayer data (pRAA, RG10, pBAA, BA81); use source = pipe:rpicam-vid")
        );
        assert!(refusal.contains("--width 1280 --height 720 --framerate 25 --flush --output -"), "{refusal}");
    }
    assert!(bayer_only(&unicam()) && !bayer_only(&c920()));
}

#[test]
fn unsupported_formats_are_listed_with_the_formats_that_namecam_reads() {
    let refusal = rank(&[offer(b"H264", vec![])], &request("auto", 640, 480, 30)).unwrap_err();
    assert_eq!(
        refusal,
        "it sends only H264; namecam reads MJPG, JPEG, NV12, NV21, YU12, YV12, RGB3, BGR3, YUYV, UYVY, YVYU, GREY"
    );
    assert!(rank(&[], &request("auto", 640, 480, 30)).unwrap_err().contains("no pixel format"));
}

#[test]
fn the_only_size_of_a_loopback_is_used() {
    let loopback = [offer(b"YU12", vec![one(1920, 1080, &[25])])];
    let ranked = rank(&loopback, &request("auto", 640, 480, 30)).unwrap();
    assert_eq!(taken(&loopback, &request("auto", 640, 480, 30)), expect("YU12", 1920, 1080, "25"));
    assert_eq!(ranked[0].why, "the size closest to 640x480, the rate closest to 30 fps");
}

#[test]
fn a_range_of_sizes_includes_the_requested_one_and_grey_ranks_last() {
    let ranked = rank(&vivid(), &request("auto", 1280, 720, 30)).unwrap();
    let order: Vec<_> = ranked.iter().map(|choice| choice.format.name().into_owned()).collect();
    assert_eq!(order, ["NV12", "NV21", "YU12", "YV12", "RGB3", "BGR3", "YUYV", "UYVY", "YVYU", "GREY"]);
    assert!(ranked.iter().all(|choice| (choice.width, choice.height, choice.fps()) == (1280, 720, 30.0)));
}

#[test]
fn grey_does_not_win_by_size_or_rate_over_a_picture_with_colour() {
    let offers = [offer(b"GREY", vec![one(640, 480, &[30])]), offer(b"MJPG", vec![one(320, 240, &[15])])];
    assert_eq!(taken(&offers, &request("auto", 640, 480, 30)).0, "MJPG");
    assert_eq!(taken(&offers[..1], &request("auto", 640, 480, 30)).0, "GREY");
}

#[test]
fn the_configured_rate_is_requested_from_a_device_that_lists_no_rates() {
    let silent = [offer(b"YUYV", vec![one(720, 576, &[])])];
    let ranked = rank(&silent, &request("auto", 720, 576, 25)).unwrap();
    assert_eq!(ranked[0].interval, Interval::of_fps(25));
    assert!(ranked[0].why.ends_with(", no rates are listed"), "{}", ranked[0].why);
    let none = [offer(b"YUYV", vec![])];
    assert_eq!(taken(&none, &request("auto", 640, 480, 30)), expect("YUYV", 640, 480, "30"));
}

#[test]
fn of_two_equally_close_sizes_the_larger_is_used() {
    let offers = [offer(b"YUYV", vec![one(640, 360, &[30]), one(2560, 1440, &[30])])];
    assert_eq!(taken(&offers, &request("auto", 1280, 720, 30)), expect("YUYV", 2560, 1440, "30"));
}

#[test]
fn a_size_of_the_same_aspect_ratio_beats_a_size_that_is_a_little_closer_in_area() {
    let offers = [offer(b"YUYV", vec![one(1280, 960, &[30]), one(1024, 576, &[30])])];
    assert_eq!(taken(&offers, &request("auto", 1280, 720, 30)), expect("YUYV", 1024, 576, "30"));
}

#[test]
fn a_size_beyond_a_range_keeps_its_aspect_ratio_and_its_steps() {
    let range = Size::Steps { min: (160, 120), max: (640, 480), step: (16, 8) };
    assert_eq!(range.nearest(1280, 720), (640, 360));
    assert_eq!(range.nearest(100, 100), (160, 160));
    assert_eq!(range.nearest(333, 241), (336, 240));
    let broken = Size::Steps { min: (640, 480), max: (0, 0), step: (0, 0) };
    assert_eq!(broken.nearest(1280, 720), (640, 480));
}

#[test]
fn a_rate_of_29_97_counts_as_30_and_an_invalid_fraction_is_skipped() {
    let ntsc = FrameRate::One(Interval { numerator: 1001, denominator: 30000 });
    let broken = FrameRate::One(Interval { numerator: 0, denominator: 30 });
    let size = Size::One { width: 640, height: 480 };
    let offers = [offer(b"YUYV", vec![Mode { size, rates: vec![broken, ntsc] }])];
    let ranked = rank(&offers, &request("auto", 640, 480, 30)).unwrap();
    assert_eq!(show_fps(ranked[0].fps()), "29.97");
    assert!(ranked[0].why.contains("the requested rate"), "{}", ranked[0].why);
}

#[test]
fn a_rate_outside_a_range_becomes_its_end() {
    let size = Size::One { width: 640, height: 480 };
    let range = FrameRate::Steps { shortest: Interval::of_fps(60), longest: Interval::of_fps(5) };
    let offers = [offer(b"YUYV", vec![Mode { size, rates: vec![range] }])];
    let fps = |wished| rank(&offers, &request("auto", 640, 480, wished)).unwrap()[0].fps();
    assert_eq!((fps(120), fps(1), fps(24)), (60.0, 5.0, 24.0));
}
