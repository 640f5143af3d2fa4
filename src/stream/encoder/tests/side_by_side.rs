//! Tests of several renditions at the same time: no rendition waits for another one, and shared data is not changed.

use super::*;
use std::sync::Barrier;

/// The size of a picture whose encoding takes long enough to detect waiting threads.
const LARGE: (u32, u32) = (4000, 3000);
const LONG: Duration = Duration::from_secs(60);
/// A time shorter than the scaling or encoding of a large picture on any machine.
const TAKES_LONGER: Duration = Duration::from_millis(10);

fn large_frame(seq: u64) -> Arc<Frame> {
    let noise = |i: u32| (i.wrapping_add(seq as u32).wrapping_mul(2_654_435_761) >> 25) as u8;
    let data = (0..LARGE.0 * LARGE.1 * 3).map(noise).collect();
    Arc::new(frame(seq, &Rgb { width: LARGE.0, height: LARGE.1, data }, Turn::default()))
}

/// Sightings on a large frame.
fn seen_on_large(name: &str) -> Arc<Sightings> {
    Arc::new(Sightings { width: LARGE.0, height: LARGE.1, ..(*seen(1, Some(name), Duration::ZERO)).clone() })
}

/// The number of tries. On a busy machine the thread that should not wait may be late for another reason.
const TRIES: u64 = 5;

#[test]
fn a_slow_rendition_does_not_delay_another_one() {
    let stage = rig(|_| ());
    let subscription = |spec| stage.renditions.subscribe(spec).unwrap();
    let (usual, nearly_as_large) = (
        subscription(RenditionSpec::USUAL),
        subscription(RenditionSpec { width: LARGE.0 - 1, ..RenditionSpec::USUAL }),
    );
    let was_early = |tried: u64| {
        let frame = large_frame(tried + 1);
        stage.frames.publish(Arc::clone(&frame));
        thread::scope(|scope| {
            let slow = scope.spawn(|| nearly_as_large.next(tried, LONG).unwrap().1);
            while stage.health.encoding.age().is_zero() && !slow.is_finished() {
                thread::yield_now();
            }
            // At this point the other picture still has to be scaled and encoded, and the default picture is passed
            // through.
            frame.rgb().unwrap();
            usual.next(tried, LONG).unwrap();
            let got = Instant::now();
            got + TAKES_LONGER < slow.join().unwrap().made_at
        })
    };
    assert!((0..TRIES).any(was_early), "the default rendition waited for the other one");
    assert_eq!(stage.health.passed_through.get(), stage.health.encoded.get());
}

#[test]
fn recognition_gets_a_frame_while_pictures_of_it_are_encoded_and_it_is_unchanged() {
    let stage = rig(|_| ());
    let subscription = |spec| stage.renditions.subscribe(spec).unwrap();
    let (usual, small) = (
        subscription(RenditionSpec::USUAL),
        subscription(RenditionSpec { width: LARGE.0 / 2, ..RenditionSpec::USUAL }),
    );
    let was_early = |tried: u64| {
        let frame = large_frame(tried + 1);
        stage.sightings.publish(seen_on_large("Alice"));
        stage.frames.publish(Arc::clone(&frame));
        thread::scope(|scope| {
            let drawn = scope.spawn(|| usual.next(tried, LONG).unwrap().1);
            while stage.health.encoding.age().is_zero() && !drawn.is_finished() {
                thread::yield_now();
            }
            // The encoder has begun to decode the frame, which takes longer than this.
            thread::sleep(Duration::from_millis(20));
            let rgb = frame.rgb().unwrap();
            let got = Instant::now();
            let drawn = drawn.join().unwrap();
            for picture in [&drawn, &small.next(tried, LONG).unwrap().1] {
                let shown = crate::image::jpeg::decode(picture.picture()).unwrap();
                assert!(shown.data.as_chunks::<3>().0.iter().any(|pixel| is_green(*pixel)));
            }
            let decoded = crate::image::jpeg::decode(&frame.bytes).unwrap();
            assert!(*rgb == decoded && Arc::ptr_eq(&rgb, &frame.rgb().unwrap()), "the overlay was drawn on it");
            got + TAKES_LONGER < drawn.made_at
        })
    };
    assert!((0..TRIES).any(was_early), "recognition waited for an encoder");
}

#[test]
fn renditions_with_equal_pictures_encode_once_even_when_they_begin_at_the_same_time() {
    let stage = rig(|config| config.camera.mirror = true);
    let specs = [
        RenditionSpec::USUAL,
        RenditionSpec { width: 8000, ..RenditionSpec::USUAL },
        RenditionSpec { fps: 240, ..RenditionSpec::USUAL },
    ];
    let subscriptions = specs.map(|spec| stage.renditions.subscribe(spec).unwrap());
    let other = stage.renditions.subscribe(RenditionSpec { width: 64, ..RenditionSpec::USUAL }).unwrap();
    for round in 1..=20 {
        let rgb = Rgb::filled(SIZE.0, SIZE.1, [round as u8 * 10; 3]);
        stage.frames.publish(Arc::new(frame(round, &rgb, Turn { degrees: 0, mirror: true })));
        let together = Barrier::new(subscriptions.len() + 1);
        let pictures: Vec<_> = thread::scope(|scope| {
            let all = subscriptions.iter().chain([&other]).map(|subscription| {
                let together = &together;
                scope.spawn(move || {
                    let seen = subscription.newest().map_or(0, |(version, _)| version);
                    together.wait();
                    subscription.next(seen, LONG).unwrap().1
                })
            });
            all.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(pictures[..3].iter().all(|picture| Arc::ptr_eq(picture, &pictures[0])));
        assert!(!Arc::ptr_eq(&pictures[3], &pictures[0]));
        assert_eq!(stage.health.encoded.get(), 2 * round);
    }
    assert_eq!(stage.health.ages.encoded.since_start().count, 40);
}

#[test]
fn a_fault_of_a_frame_is_counted_once_for_all_renditions() {
    let stage = rig(|config| config.camera.mirror = true);
    let subscriptions: Vec<_> = (0..4)
        .map(|i| stage.renditions.subscribe(RenditionSpec { width: 64 * i, ..RenditionSpec::USUAL }).unwrap())
        .collect();
    for seq in 1..=3 {
        let broken = Raw { bytes: b"\xff\xd8 not a JPEG".to_vec(), width: 320, height: 240, stride: 0 };
        let turn = Turn { degrees: 0, mirror: true };
        stage.frames.publish(Arc::new(Frame::new(seq, Moment::now(), Format::mjpg(), broken, turn)));
        thread::scope(|scope| {
            for subscription in &subscriptions {
                scope.spawn(|| assert!(subscription.next(0, Duration::from_millis(20)).is_none()));
            }
        });
    }
    assert_eq!(stage.health.corrupt.get(), 3);
    let faults = stage.health.faults.all();
    assert!(faults.len() == 1 && faults[0].count == 3, "{faults:?}");
}

#[test]
fn the_fonts_are_loaded_once_and_a_rendition_without_subscriptions_keeps_nothing() {
    let stage = rig(|_| ());
    stage.frames.publish(grey_frame(1));
    stage.sightings.publish(seen(1, Some("Alice"), Duration::ZERO));
    let shared = &stage.renditions.usual().shared;
    for width in [64, 128] {
        let subscription = stage.renditions.subscribe(RenditionSpec { width, ..RenditionSpec::USUAL }).unwrap();
        assert!(subscription.next(0, LONG).is_some());
        let overlay = &stage.config.newest().unwrap().1.overlay;
        assert!(shared.painter(overlay).shares_fonts_with(&shared.painter(overlay)));
        assert_eq!(shared.pictures.lock().unwrap().iter().filter(|picture| picture.strong_count() > 0).count(), 1);
        let kept = Arc::downgrade(&subscription.newest().unwrap().1);
        drop(subscription);
        assert!(kept.upgrade().is_none());
        assert_eq!(Arc::strong_count(shared), 1, "no encoder is left");
    }
}

#[test]
fn a_picture_being_encoded_counts_as_ongoing_until_it_is_done_whatever_others_do() {
    let stage = rig(|_| ());
    let stuck = stage.health.encoding.begin();
    let subscription = stage.renditions.subscribe(RenditionSpec { width: 64, ..RenditionSpec::USUAL }).unwrap();
    stage.frames.publish(grey_frame(1));
    thread::sleep(Duration::from_millis(5));
    assert!(subscription.next(0, LONG).is_some());
    assert!(stage.health.encoding.age() >= Duration::from_millis(5), "another rendition hides one that hangs");
    drop(stuck);
    assert!(stage.health.encoding.age().is_zero());
}
