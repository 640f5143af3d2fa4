//! Several renditions of a frame, and repeated frames.

use super::*;

fn size_of(subscription: &Rendition) -> (u32, bool) {
    let rgb = crate::image::jpeg::decode(subscription.newest().expect("a picture").1.picture()).expect("a JPEG");
    (rgb.width, rgb.data.as_chunks::<3>().0.iter().any(|pixel| is_green(*pixel)))
}

#[test]
fn each_rendition_is_encoded_once_per_frame_and_those_with_equal_pictures_share_one() {
    let stage = watched(|_| ());
    let subscription = |spec| stage.renditions.subscribe(spec).unwrap();
    let small = RenditionSpec { width: 160, ..RenditionSpec::USUAL };
    let plain = subscription(RenditionSpec { overlay: false, ..RenditionSpec::USUAL });
    let (small, as_large) = (
        [subscription(small), subscription(small)],
        subscription(RenditionSpec { width: 320, ..RenditionSpec::USUAL }),
    );
    stage.frames.publish(grey_frame(1));
    stage.sightings.publish(seen(1, Some("Alice"), Duration::ZERO));
    stage.round();
    let all = [&plain, &small[0], &small[1], &as_large].map(|subscription| size_of(subscription));
    assert_eq!(all, [(320, false), (160, true), (160, true), (320, true)]);
    let health = &stage.health;
    assert_eq!(
        (health.encoded.get(), health.passed_through.get()),
        (2, 1),
        "of the whole picture, and of the small one"
    );
    drop((plain, small, as_large));
    stage.frames.publish(grey_frame(2));
    stage.round();
    assert_eq!(
        (health.encoded.get(), stage.renditions.wanted().len()),
        (2, 1),
        "a frame that shows what the last one showed"
    );
}

#[test]
fn a_repeated_frame_is_sent_again_but_not_encoded_again_unless_the_overlay_has_changed() {
    let stage = watched(|_| ());
    let counts = |seq: u64, sightings: Arc<Sightings>| {
        stage.sightings.publish(sightings);
        stage.frames.publish(grey_frame(seq));
        stage.round();
        (shown(&stage).0, stage.health.encoded.get(), stage.health.repeated.get())
    };
    let alice = || seen(1, Some("Alice"), Duration::ZERO);
    assert_eq!(counts(1, alice()), (1, 1, 0));
    let first = shown(&stage).1;
    assert_eq!(counts(2, alice()), (2, 1, 1));
    let second = shown(&stage).1;
    assert_eq!(first.picture(), second.picture());
    assert!(second.captured_at.instant > first.captured_at.instant, "it has the time of its own frame");
    assert_eq!(counts(3, seen(1, Some("Bob"), Duration::ZERO)), (3, 2, 1));
    let mut config = (*stage.config.newest().unwrap().1).clone();
    config.overlay.box_color = [255, 0, 0];
    stage.config.publish(Arc::new(config));
    assert_eq!(counts(4, seen(1, Some("Bob"), Duration::ZERO)), (4, 3, 1));
    // A look between two frames that finds the same changes nothing.
    stage.sightings.publish(seen(1, Some("Bob"), Duration::ZERO));
    stage.round();
    assert_eq!((shown(&stage).0, stage.health.encoded.get()), (4, 3));
}

#[test]
fn a_viewer_with_a_lower_fps_gets_fewer_pictures_and_the_others_all() {
    let stage = watched(|_| ());
    let seldom = stage.renditions.subscribe(RenditionSpec { fps: 10, ..RenditionSpec::USUAL }).unwrap();
    let end = Instant::now() + Duration::from_millis(600);
    let mut seq = 0;
    while Instant::now() < end {
        seq += 1;
        stage.frames.publish(grey_frame(seq));
        stage.round();
        thread::sleep(Duration::from_millis(5));
    }
    let count = |rendition: &Rendition| rendition.newest().map_or(0, |(version, _)| version);
    assert_eq!(count(stage.renditions.usual()), seq);
    assert!((3..=8).contains(&count(&seldom)), "{} of {seq} in 0.6 s", count(&seldom));
}

#[test]
fn without_an_overlay_blurred_faces_stay_blurred() {
    let stage = rig(|config| config.overlay.unknown = UnknownFaces::Blur);
    let subscription = stage.renditions.subscribe(RenditionSpec { overlay: false, ..RenditionSpec::USUAL }).unwrap();
    stage.sightings.publish(Arc::new(examined(&seen(1, None, Duration::ZERO), &checkers())));
    stage.frames.publish(Arc::new(frame(1, &checkers(), Turn::default())));
    stage.round();
    let rgb = crate::image::jpeg::decode(subscription.newest().unwrap().1.picture()).unwrap();
    let contrast = |y: u32| {
        let line: Vec<u8> = (110..170).map(|x| rgb.pixel(x, y)[0]).collect();
        line.iter().max().unwrap() - line.iter().min().unwrap()
    };
    assert!(contrast(120) < 100 && contrast(220) > 150);
}
