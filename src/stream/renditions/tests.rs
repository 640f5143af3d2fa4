use super::*;
use crate::config::Config;
use crate::frame::{Frame, Jpeg, Moment};
use crate::image::{Format, Raw, Turn};
use crate::shares::tests::at;
use crate::sync::{Latest, Stop};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

const SMALL: RenditionSpec = RenditionSpec { width: 320, ..RenditionSpec::USUAL };
const LONG: Duration = Duration::from_secs(60);

/// A camera whose pictures are numbers and are passed through unchanged.
struct Camera {
    frames: Arc<Latest<Frame>>,
    stop: Arc<Stop>,
}

impl Camera {
    fn new() -> (Camera, Renditions) {
        let camera = Camera { frames: Arc::default(), stop: Arc::default() };
        let stage = Stage {
            config: Arc::new(Latest::with(Config::defaults(Path::new("/")))),
            frames: Arc::clone(&camera.frames),
            sightings: Arc::default(),
            health: Arc::default(),
            stop: Arc::clone(&camera.stop),
        };
        stage.health.camera_is_online("test", "MJPG", 4, 4);
        (camera, Renditions::new(stage))
    }

    fn show(&self, number: u64) {
        let raw = Raw { bytes: number.to_be_bytes().to_vec(), width: 4, height: 4, stride: 0 };
        let frame = Frame::new(number, Moment::now(), Format::mjpg(), raw, Turn::default());
        self.frames.publish(Arc::new(frame));
    }
}

fn specs(renditions: &Renditions) -> Vec<(RenditionSpec, usize)> {
    renditions.wanted().iter().map(|(rendition, wanted_by)| (rendition.spec, *wanted_by)).collect()
}

#[test]
fn a_viewer_beyond_the_limit_is_refused_and_a_place_is_freed_on_drop() {
    let renditions = Renditions::idle();
    let one = renditions.subscribe_viewer(&at(2), RenditionSpec::USUAL, 1);
    let refused = |host, spec| renditions.subscribe_viewer(&at(host), spec, 1).err();
    assert_eq!((one.is_ok(), refused(3, SMALL)), (true, Some(Full::Viewers(Refusal::Full))));
    drop(one);
    assert!(specs(&renditions).is_empty());
    assert_eq!(refused(3, RenditionSpec::USUAL), None, "any client may take the only place");
}

#[test]
fn equal_requests_share_a_rendition_and_a_client_that_requests_all_leaves_the_last_to_others() {
    let renditions = Renditions::idle();
    let (one, two) = (
        renditions.subscribe_for(&at(2), SMALL).unwrap(),
        renditions.subscribe_viewer(&at(2), SMALL, 99).ok().unwrap(),
    );
    one.publish(&Arc::new(Jpeg::new(Arc::new(b"x".to_vec()), Moment::now(), true)));
    assert!(two.newest().is_some());
    let more: Vec<_> = (1..9)
        .map(|fps| renditions.subscribe_viewer(&at(2), RenditionSpec { fps, ..SMALL }, 99).ok().unwrap())
        .collect();
    let got: Vec<u32> = more.iter().map(|subscription| subscription.spec.fps).collect();
    assert_eq!(got, [1, 2, 0, 0, 0, 0, 0, 0], "three renditions with the first one, which also serves the others");
    assert_eq!(renditions.viewers(), 9);
    let wide = RenditionSpec { width: 640, ..RenditionSpec::USUAL };
    let other = renditions.subscribe_for(&at(3), wide).unwrap();
    assert_eq!(
        (other.spec, renditions.subscribe_for(&at(4), RenditionSpec { width: 100, ..wide }).err()),
        (wide, Some(Full::Kinds))
    );
    assert_eq!(renditions.subscribe_for(&at(4), SMALL).unwrap().spec, SMALL, "any client may join an existing one");
    let usual = renditions.subscribe_for(&at(2), RenditionSpec::USUAL).unwrap();
    assert_eq!(specs(&renditions)[..2], [(RenditionSpec::USUAL, 1), (SMALL, 8)]);
    drop((more, one, two, other));
    assert_eq!(specs(&renditions), [(RenditionSpec::USUAL, 1)]);
    drop(usual);
    let again = renditions.subscribe_for(&at(2), SMALL).unwrap();
    assert!(again.newest().is_none(), "a removed rendition keeps no picture");
}

#[test]
fn a_rendition_counts_for_its_oldest_client_until_that_client_leaves() {
    let renditions = Renditions::idle();
    let kind = |fps| RenditionSpec { fps, ..SMALL };
    let got = |host, fps| renditions.subscribe_for(&at(host), kind(fps)).map(|subscription| subscription.spec.fps);
    let first: Vec<_> = (1..4).map(|fps| renditions.subscribe_for(&at(2), kind(fps)).unwrap()).collect();
    let joined: Vec<_> = (1..4).map(|fps| renditions.subscribe_for(&at(3), kind(fps)).unwrap()).collect();
    // A client that subscribes again before it leaves still owns the rendition, so the client cannot pass the rendition
    // on and keep using it.
    let again: Vec<_> = (1..4).map(|fps| renditions.subscribe_for(&at(2), kind(fps)).unwrap()).collect();
    drop(first);
    assert_eq!((got(2, 9), got(3, 9)), (Ok(3), Ok(9)), "joined renditions do not count for the other one");
    drop(again);
    assert_eq!((got(2, 9), got(3, 9)), (Ok(9), Ok(3)), "now all three count for it");
    drop(joined);
    assert!(specs(&renditions).is_empty());
}

#[test]
fn a_refused_rendition_is_replaced_by_the_closest_existing_rendition_and_never_by_a_wider_one() {
    let spec = |overlay: u32, width, fps| RenditionSpec { overlay: overlay == 1, width, fps, blur: false };
    let blur = |spec| RenditionSpec { blur: true, ..spec };
    // The request, the existing renditions besides the default one, and the result.
    let usual = Some(RenditionSpec::USUAL);
    let table = [
        (spec(1, 0, 5), vec![], usual),
        (spec(1, 0, 5), vec![spec(1, 0, 4), spec(1, 0, 6), spec(1, 0, 9)], Some(spec(1, 0, 6))),
        (spec(1, 0, 5), vec![spec(1, 640, 5), spec(0, 0, 5)], usual),
        (spec(0, 0, 0), vec![spec(1, 320, 0)], usual),
        (spec(0, 0, 0), vec![spec(0, 320, 0), spec(1, 640, 0)], Some(spec(0, 320, 0))),
        (spec(0, 0, 0), vec![spec(0, 320, 0), spec(0, 640, 5)], Some(spec(0, 640, 5))),
        (spec(1, 640, 0), vec![spec(1, 641, 0), spec(1, 320, 0), spec(1, 100, 0)], Some(spec(1, 320, 0))),
        (spec(1, 640, 0), vec![spec(0, 640, 0), spec(1, 320, 0)], Some(spec(1, 320, 0))),
        (spec(1, 640, 0), vec![spec(0, 640, 0), spec(1, 1280, 0)], Some(spec(0, 640, 0))),
        (spec(0, 640, 0), vec![spec(1, 320, 0), spec(0, 1280, 0)], Some(spec(1, 320, 0))),
        (spec(1, 640, 10), vec![spec(1, 640, 5), spec(1, 640, 8)], Some(spec(1, 640, 8))),
        (spec(1, 640, 10), vec![spec(1, 640, 9), spec(1, 640, 0), spec(1, 640, 60)], Some(spec(1, 640, 60))),
        (spec(1, 320, 0), vec![spec(1, 640, 0), spec(0, 321, 1)], None),
        (spec(1, 320, 0), vec![], None),
        // No result is less blurred than the request, and a rendition that is more blurred is the last choice.
        (blur(spec(1, 0, 5)), vec![], Some(blur(RenditionSpec::USUAL))),
        (blur(spec(1, 0, 5)), vec![spec(1, 0, 5), blur(spec(0, 100, 1))], Some(blur(RenditionSpec::USUAL))),
        (blur(spec(1, 640, 5)), vec![spec(1, 640, 5), blur(spec(0, 100, 1))], Some(blur(spec(0, 100, 1)))),
        (blur(spec(1, 640, 5)), vec![spec(1, 640, 5), spec(1, 320, 5)], None),
        (spec(1, 640, 5), vec![blur(spec(1, 640, 5)), spec(0, 100, 1)], Some(spec(0, 100, 1))),
        (spec(1, 640, 5), vec![blur(spec(1, 640, 5))], Some(blur(spec(1, 640, 5)))),
        (spec(0, 0, 5), vec![blur(spec(0, 0, 5))], usual),
    ];
    for (asked, made, comes) in table {
        assert_eq!(nearest(asked, made.iter().copied()), comes, "{asked:?} of {made:?}");
        assert_eq!(nearest(asked, made.iter().rev().copied()), comes, "in reverse order: {asked:?} of {made:?}");
    }
}

#[test]
fn the_default_renditions_are_always_available_and_take_no_place() {
    let renditions = Renditions::idle();
    let blurred = RenditionSpec { blur: true, ..RenditionSpec::USUAL };
    let usual = [RenditionSpec::USUAL, blurred].map(|spec| renditions.subscribe(spec).unwrap());
    let small = |fps| RenditionSpec { fps, ..SMALL };
    let all: Vec<_> = (1..=4).map(|fps| renditions.subscribe_for(&at(fps as u8), small(fps)).unwrap()).collect();
    assert_eq!(all.iter().map(|one| one.spec.fps).collect::<Vec<_>>(), [1, 2, 3, 4], "{MAX_SPECIAL} have room");
    drop(usual);
    let got = |spec| renditions.subscribe_for(&at(9), spec).map(|subscription| subscription.spec);
    assert_eq!((got(blurred), got(RenditionSpec::USUAL)), (Ok(blurred), Ok(RenditionSpec::USUAL)));
    assert_eq!(got(RenditionSpec { overlay: false, ..blurred }), Ok(blurred));
    assert_eq!(got(RenditionSpec { blur: true, ..SMALL }), Err(Full::Kinds), "only clear ones are narrow enough");
}

#[test]
fn each_picture_is_encoded_once_for_all_waiting_viewers_although_one_of_them_writes_slowly() {
    let (camera, renditions) = Camera::new();
    // Until this one has `most`, which it never has for 0, and the slow one is done.
    let is_done = AtomicBool::new(false);
    let take = |most: usize, pause: Duration| {
        let subscription = renditions.subscribe(RenditionSpec::USUAL).unwrap();
        let (mut seen, mut numbers) = (0, Vec::new());
        while if most > 0 { numbers.len() < most } else { !is_done.load(Relaxed) } {
            let (version, jpeg) = subscription.next(seen, LONG).expect("a picture");
            assert!(version > seen);
            seen = version;
            numbers.push((version, jpeg.picture().to_vec()));
            thread::sleep(pause);
        }
        numbers
    };
    let taken: Vec<_> = thread::scope(|scope| {
        let slow = scope.spawn(|| {
            let taken = take(4, Duration::from_millis(400));
            is_done.store(true, Relaxed);
            taken
        });
        let quick: Vec<_> = (0..4).map(|_| scope.spawn(|| take(0, Duration::ZERO))).collect();
        scope.spawn(|| (1..).take_while(|_| !camera.stop.wait(Duration::from_millis(10))).for_each(|n| camera.show(n)));
        let taken = quick.into_iter().chain([slow]).map(|viewer| viewer.join().unwrap()).collect();
        camera.stop.set();
        taken
    });
    for numbers in &taken[..4] {
        // Every frame is shown once: the numbers rise, and each picture is the same for all viewers.
        assert!(numbers.is_sorted_by(|one, next| one.1 < next.1) && numbers.len() > 6, "{}", numbers.len());
        assert!(numbers.iter().all(|one| taken[0].iter().all(|other| (one.0 == other.0) == (one.1 == other.1))));
    }
    // In its three pauses it would miss none if the others waited for it; on a machine without other work it misses over 100.
    let passed = taken[4][3].0 - taken[4][0].0;
    assert!(passed > 6, "{passed} pictures in three pauses");
}

#[test]
fn the_encoder_is_dropped_with_the_last_viewer_and_the_newest_picture_stays() {
    let (camera, renditions) = Camera::new();
    for number in 1..4 {
        let subscriptions =
            [renditions.subscribe(RenditionSpec::USUAL).unwrap(), renditions.subscribe(RenditionSpec::USUAL).unwrap()];
        let seen = subscriptions[0].newest().map_or(0, |(version, _)| version);
        camera.show(number);
        assert!(subscriptions[1].next(seen, LONG).is_some());
        let [one, other] = subscriptions;
        drop(one);
        camera.show(number + 10);
        assert!(other.next(seen + 1, LONG).is_some());
        drop(other);
        assert!(renditions.usual().take_encoder().is_none());
    }
    assert!(renditions.usual().newest().is_some());
}

#[test]
fn waiting_for_a_picture_that_does_not_come_ends_at_the_timeout() {
    let renditions = Renditions::idle();
    let begun = Instant::now();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| assert!(renditions.subscribe(SMALL).unwrap().next(0, Duration::from_millis(100)).is_none()));
        }
    });
    assert!(begun.elapsed() >= Duration::from_millis(100) && begun.elapsed() < Duration::from_secs(30));
}
