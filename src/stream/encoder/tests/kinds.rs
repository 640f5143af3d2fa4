//! Tests of several renditions of a frame, and of repeated frames.

use super::*;

fn size_of(subscription: &Rendition) -> (u32, bool) {
    let rgb = crate::image::jpeg::decode(subscription.newest().expect("a picture").1.picture()).expect("a JPEG");
    (rgb.width, rgb.data.as_chunks::<3>().0.iter().any(|pixel| is_green(*pixel)))
}

#[test]
fn each_rendition_is_encoded_once_per_frame_and_renditions_with_equal_pictures_share_one_picture() {
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
    // A look between two frames that finds the same faces changes nothing.
    stage.sightings.publish(seen(1, Some("Bob"), Duration::ZERO));
    stage.round();
    assert_eq!((shown(&stage).0, stage.health.encoded.get()), (4, 3));
}

#[test]
fn a_viewer_with_a_lower_fps_gets_fewer_pictures_and_other_viewers_get_all() {
    let stage = watched(|_| ());
    let seldom = stage.renditions.subscribe(RenditionSpec { fps: 10, ..RenditionSpec::USUAL }).unwrap();
    let count = |rendition: &Rendition| rendition.newest().map_or(0, |(version, _)| version);
    let (begun, mut seq) = (Instant::now(), 0);
    while count(&seldom) < 6 {
        assert!(begun.elapsed() < Duration::from_secs(60), "{} of {seq}", count(&seldom));
        seq += 1;
        stage.frames.publish(grey_frame(seq));
        stage.round();
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(count(stage.renditions.usual()), seq);
    // The first one comes at once, and the others each 100 ms or later.
    assert!(begun.elapsed() >= Duration::from_millis(490), "{:?}", begun.elapsed());
}

/// True when the checkers are sharp in the newest picture, in the line `y` of 240 and in the columns of the face of
/// [`seen`].
fn is_clear(rendition: &Rendition, y: u32) -> bool {
    let rgb = crate::image::jpeg::decode(rendition.newest().expect("a picture").1.picture()).unwrap();
    let at = |x: u32| rgb.pixel(x * rgb.width / SIZE.0, y * rgb.height / SIZE.1)[2];
    let line: Vec<u8> = (110..170).map(at).collect();
    line.iter().max().unwrap() - line.iter().min().unwrap() > 150
}

/// A line through the face of [`seen`]. [`ELSEWHERE`] is a line without a face.
const FACE: u32 = 120;
const ELSEWHERE: u32 = 220;

#[test]
fn without_an_overlay_blurred_faces_stay_blurred() {
    let plain = RenditionSpec { overlay: false, ..RenditionSpec::USUAL };
    for (unknown, blur) in [(UnknownFaces::Blur, false), (UnknownFaces::Show, true)] {
        let stage = rig(|config| config.overlay.unknown = unknown);
        let subscription = stage.renditions.subscribe(RenditionSpec { blur, ..plain }).unwrap();
        stage.sightings.publish(Arc::new(examined(&seen(1, None, Duration::ZERO), &checkers())));
        stage.frames.publish(Arc::new(frame(1, &checkers(), Turn::default())));
        stage.round();
        assert!(!is_clear(&subscription, FACE) && is_clear(&subscription, ELSEWHERE), "{unknown:?}");
    }
}

#[test]
fn viewers_see_strangers_blurred_and_admins_see_them_and_each_kind_is_encoded_once() {
    let mut seq = 0;
    let blurred = RenditionSpec { blur: true, ..RenditionSpec::USUAL };
    let small = RenditionSpec { width: 160, ..blurred };
    // The watched renditions, and how many pictures are encoded and passed through: of a frame with nobody, and of a
    // frame with a stranger.
    let table = [
        (vec![RenditionSpec::USUAL], (0, 1), (1, 0)),
        (vec![blurred], (1, 0), (1, 0)),
        (vec![blurred, blurred, RenditionSpec { fps: 200, ..blurred }], (1, 0), (1, 0)),
        (vec![RenditionSpec::USUAL, blurred], (1, 1), (2, 0)),
        (vec![RenditionSpec::USUAL, blurred, small], (2, 1), (3, 0)),
    ];
    for (unknown, enabled) in [(UnknownFaces::Show, true), (UnknownFaces::Hide, true), (UnknownFaces::Show, false)] {
        for (specs, nobodys, strangers) in &table {
            let stage = rig(|config| {
                let overlay = &mut config.overlay;
                (overlay.unknown, overlay.enabled, overlay.blur_for_viewers) = (unknown, enabled, true);
            });
            let watched: Vec<_> = specs.iter().map(|spec| stage.renditions.subscribe(*spec).unwrap()).collect();
            let mut show = |sightings: &Sightings| {
                let before = [stage.health.encoded.get(), stage.health.passed_through.get()];
                seq += 1;
                // The frame differs from the last one, so that no picture is repeated.
                let mut rgb = checkers();
                rgb.data[..30].fill(seq as u8 * 5);
                stage.sightings.publish(Arc::new(examined(sightings, &rgb)));
                stage.frames.publish(Arc::new(frame(seq, &rgb, Turn::default())));
                stage.round();
                (stage.health.encoded.get() - before[0], stage.health.passed_through.get() - before[1])
            };
            let what = format!("{unknown:?}, boxes: {enabled}, {specs:?}");
            assert_eq!(show(&nobody()), *nobodys, "{what}");
            assert!(watched.iter().all(|one| is_clear(one, FACE)), "{what}: nobody is there");
            let boxed = enabled && unknown == UnknownFaces::Show;
            // Without a box, an admin gets the camera's JPEG.
            let clear = specs.iter().filter(|spec| !spec.blur).count() as u64;
            let (encoded, passed) = *strangers;
            let without_box = (encoded - clear, passed + clear);
            let counts = show(&seen(1, None, Duration::ZERO));
            assert_eq!(counts, if boxed { *strangers } else { without_box }, "{what}");
            for one in &watched {
                let jpeg = one.newest().unwrap().1;
                let shows = (is_clear(one, FACE), is_clear(one, ELSEWHERE), size_of(one).1, jpeg.hides_strangers);
                let expected = if one.spec.blur { (false, true, false, true) } else { (true, true, boxed, false) };
                assert_eq!(shows, expected, "{what}: {:?}", one.spec);
            }
            show(&seen(2, Some("Alice"), Duration::ZERO));
            for one in &watched {
                assert_eq!((is_clear(one, FACE), size_of(one).1), (true, enabled), "{what}: Alice, {:?}", one.spec);
            }
        }
    }
}

#[test]
fn without_a_look_at_the_whole_frame_everything_is_blurred_for_viewers_and_nothing_for_admins() {
    let stage = rig(|config| config.overlay.blur_for_viewers = true);
    let blurred = RenditionSpec { blur: true, ..RenditionSpec::USUAL };
    let (admin, viewer) =
        (stage.renditions.subscribe(RenditionSpec::USUAL).unwrap(), stage.renditions.subscribe(blurred).unwrap());
    let shows = |seq, sightings: Option<Sightings>| {
        sightings.into_iter().for_each(|sightings| stage.sightings.publish(Arc::new(sightings)));
        stage.frames.publish(Arc::new(frame(seq, &checkers(), Turn::default())));
        stage.round();
        [&admin, &viewer].map(|one| is_clear(one, FACE) && is_clear(one, ELSEWHERE))
    };
    let known = || (*seen(1, Some("Alice"), Duration::ZERO)).clone();
    assert_eq!(shows(1, None), [true, false], "before the first look");
    assert_eq!(shows(2, Some(known())), [true, false], "a look of before the reload");
    assert_eq!(shows(3, Some(examined(&known(), &checkers()))), [true, true]);
    let long_ago = Moment::ago(Duration::from_secs(9));
    let old = Sightings { captured_at: long_ago, ..examined(&known(), &checkers()) };
    assert_eq!(shows(4, Some(old)), [true, false], "recognition has stopped");
}
