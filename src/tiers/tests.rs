use super::*;
use crate::config::Config;
use crate::frame::{Frame, Jpeg, Moment};
use crate::latest::Latest;
use crate::pixels::{Format, Raw, Turn};
use crate::shares::tests::at;
use crate::stop::Stop;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const SMALL: Wish = Wish { width: 320, ..Wish::USUAL };
const LONG: Duration = Duration::from_secs(10);

/// A camera whose pictures are numbers and are passed through unchanged.
struct Camera {
    frames: Arc<Latest<Frame>>,
    stop: Arc<Stop>,
}

impl Camera {
    fn new() -> (Camera, Tiers) {
        let camera = Camera { frames: Arc::default(), stop: Arc::default() };
        let stage = Stage {
            config: Arc::new(Latest::with(Config::defaults(Path::new("/")))),
            frames: Arc::clone(&camera.frames),
            sightings: Arc::default(),
            health: Arc::default(),
            stop: Arc::clone(&camera.stop),
        };
        stage.health.camera_is_online("test", "MJPG", 4, 4);
        (camera, Tiers::new(stage))
    }

    fn show(&self, number: u64) {
        let raw = Raw { bytes: number.to_be_bytes().to_vec(), width: 4, height: 4, stride: 0 };
        let frame = Frame::new(number, Moment::now(), Format::mjpg(), raw, Turn::default());
        self.frames.publish(Arc::new(frame));
    }
}

fn wishes(tiers: &Tiers) -> Vec<(Wish, usize)> {
    tiers.wanted().iter().map(|tier| (tier.wish, tier.seats())).collect()
}

#[test]
fn a_viewer_beyond_the_limit_is_refused_and_a_place_is_freed_on_drop() {
    let tiers = Tiers::idle();
    let one = tiers.seat_viewer(&at(2), Wish::USUAL, 1);
    let refused = |host, wish| tiers.seat_viewer(&at(host), wish, 1).err();
    assert_eq!((one.is_ok(), refused(3, SMALL)), (true, Some(Full::Viewers(Refusal::Full))));
    drop(one);
    assert!(wishes(&tiers).is_empty());
    assert_eq!(refused(3, Wish::USUAL), None, "any client may take the only place");
}

#[test]
fn equal_requests_share_a_rendition_and_a_client_that_requests_all_leaves_the_last_to_others() {
    let tiers = Tiers::idle();
    let (one, two) = (tiers.seat_for(&at(2), SMALL).unwrap(), tiers.seat_viewer(&at(2), SMALL, 99).ok().unwrap());
    one.publish(&Arc::new(Jpeg::new(Arc::new(b"x".to_vec()), Moment::now(), true)));
    assert!(two.newest().is_some());
    let more: Vec<_> = (1..9).map(|fps| tiers.seat_viewer(&at(2), Wish { fps, ..SMALL }, 99).ok().unwrap()).collect();
    let got: Vec<u32> = more.iter().map(|seat| seat.wish.fps).collect();
    assert_eq!(got, [1, 2, 0, 0, 0, 0, 0, 0], "three renditions with the first one, which also serves the others");
    assert_eq!(tiers.viewers(), 9);
    let wide = Wish { width: 640, ..Wish::USUAL };
    let other = tiers.seat_for(&at(3), wide).unwrap();
    assert_eq!((other.wish, tiers.seat_for(&at(4), Wish { width: 100, ..wide }).err()), (wide, Some(Full::Kinds)));
    assert_eq!(tiers.seat_for(&at(4), SMALL).unwrap().wish, SMALL, "any client may join an existing one");
    let usual = tiers.seat_for(&at(2), Wish::USUAL).unwrap();
    assert_eq!(wishes(&tiers)[..2], [(Wish::USUAL, 1), (SMALL, 8)]);
    drop((more, one, two, other));
    assert_eq!(wishes(&tiers), [(Wish::USUAL, 1)]);
    drop(usual);
    let again = tiers.seat_for(&at(2), SMALL).unwrap();
    assert!(again.newest().is_none(), "a removed rendition keeps no picture");
}

#[test]
fn a_rendition_counts_for_its_oldest_client_until_that_one_leaves() {
    let tiers = Tiers::idle();
    let kind = |fps| Wish { fps, ..SMALL };
    let got = |host, fps| tiers.seat_for(&at(host), kind(fps)).map(|seat| seat.wish.fps);
    let first: Vec<_> = (1..4).map(|fps| tiers.seat_for(&at(2), kind(fps)).unwrap()).collect();
    let joined: Vec<_> = (1..4).map(|fps| tiers.seat_for(&at(3), kind(fps)).unwrap()).collect();
    // A client that subscribes again before it leaves still owns the rendition, so it cannot pass it on and keep using
    // it.
    let again: Vec<_> = (1..4).map(|fps| tiers.seat_for(&at(2), kind(fps)).unwrap()).collect();
    drop(first);
    assert_eq!((got(2, 9), got(3, 9)), (Ok(3), Ok(9)), "joined renditions do not count for the other one");
    drop(again);
    assert_eq!((got(2, 9), got(3, 9)), (Ok(9), Ok(3)), "now all three count for it");
    drop(joined);
    assert!(wishes(&tiers).is_empty());
}

#[test]
fn a_refused_rendition_is_replaced_by_the_closest_existing_one_and_never_by_a_wider_one() {
    let wish = |overlay: u32, width, fps| Wish { overlay: overlay == 1, width, fps };
    // The request, the existing renditions besides the default one, and the result.
    let usual = Some(Wish::USUAL);
    let table = [
        (wish(1, 0, 5), vec![], usual),
        (wish(1, 0, 5), vec![wish(1, 0, 4), wish(1, 0, 6), wish(1, 0, 9)], Some(wish(1, 0, 6))),
        (wish(1, 0, 5), vec![wish(1, 640, 5), wish(0, 0, 5)], usual),
        (wish(0, 0, 0), vec![wish(1, 320, 0)], usual),
        (wish(0, 0, 0), vec![wish(0, 320, 0), wish(1, 640, 0)], Some(wish(0, 320, 0))),
        (wish(0, 0, 0), vec![wish(0, 320, 0), wish(0, 640, 5)], Some(wish(0, 640, 5))),
        (wish(1, 640, 0), vec![wish(1, 641, 0), wish(1, 320, 0), wish(1, 100, 0)], Some(wish(1, 320, 0))),
        (wish(1, 640, 0), vec![wish(0, 640, 0), wish(1, 320, 0)], Some(wish(1, 320, 0))),
        (wish(1, 640, 0), vec![wish(0, 640, 0), wish(1, 1280, 0)], Some(wish(0, 640, 0))),
        (wish(0, 640, 0), vec![wish(1, 320, 0), wish(0, 1280, 0)], Some(wish(1, 320, 0))),
        (wish(1, 640, 10), vec![wish(1, 640, 5), wish(1, 640, 8)], Some(wish(1, 640, 8))),
        (wish(1, 640, 10), vec![wish(1, 640, 9), wish(1, 640, 0), wish(1, 640, 60)], Some(wish(1, 640, 60))),
        (wish(1, 320, 0), vec![wish(1, 640, 0), wish(0, 321, 1)], None),
        (wish(1, 320, 0), vec![], None),
    ];
    for (asked, made, comes) in table {
        assert_eq!(nearest(asked, made.iter().copied()), comes, "{asked:?} of {made:?}");
        assert_eq!(nearest(asked, made.iter().rev().copied()), comes, "in reverse order: {asked:?} of {made:?}");
    }
}

#[test]
fn each_picture_is_made_once_and_all_waiting_viewers_get_it_although_one_writes_slowly() {
    let (camera, tiers) = Camera::new();
    let take = |pause: Duration| {
        let seat = tiers.seat(Wish::USUAL).unwrap();
        let (end, mut seen, mut numbers) = (Instant::now() + Duration::from_secs(1), 0, Vec::new());
        while Instant::now() < end {
            let (version, jpeg) = seat.next(seen, LONG).expect("a picture");
            assert!(version > seen);
            seen = version;
            numbers.push((version, jpeg.picture().to_vec()));
            thread::sleep(pause);
        }
        numbers
    };
    let taken: Vec<_> = thread::scope(|scope| {
        let slow = scope.spawn(|| take(Duration::from_millis(400)));
        let quick: Vec<_> = (0..4).map(|_| scope.spawn(|| take(Duration::ZERO))).collect();
        scope.spawn(|| (1..).take_while(|_| !camera.stop.wait(Duration::from_millis(10))).for_each(|n| camera.show(n)));
        let taken = quick.into_iter().chain([slow]).map(|viewer| viewer.join().unwrap()).collect();
        camera.stop.set();
        taken
    });
    for numbers in &taken[..4] {
        // Every frame is shown once: the numbers rise, and each picture is the same for all viewers.
        assert!(numbers.is_sorted_by(|one, next| one.1 < next.1) && numbers.len() > 20, "{}", numbers.len());
        assert!(numbers.iter().all(|one| taken[0].iter().all(|other| (one.0 == other.0) == (one.1 == other.1))));
    }
    assert!((2..=4).contains(&taken[4].len()), "{}", taken[4].len());
}

#[test]
fn the_encoder_is_dropped_with_the_last_viewer_and_the_newest_picture_stays() {
    let (camera, tiers) = Camera::new();
    for number in 1..4 {
        let seats = [tiers.seat(Wish::USUAL).unwrap(), tiers.seat(Wish::USUAL).unwrap()];
        let seen = seats[0].newest().map_or(0, |(version, _)| version);
        camera.show(number);
        assert!(seats[1].next(seen, LONG).is_some());
        let [one, other] = seats;
        drop(one);
        camera.show(number + 10);
        assert!(other.next(seen + 1, LONG).is_some());
        drop(other);
        assert!(tiers.usual().take_encoder().is_none());
    }
    assert!(tiers.usual().newest().is_some());
}

#[test]
fn waiting_for_a_picture_that_does_not_come_ends_at_the_timeout() {
    let tiers = Tiers::idle();
    let begun = Instant::now();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| assert!(tiers.seat(SMALL).unwrap().next(0, Duration::from_millis(100)).is_none()));
        }
    });
    assert!(begun.elapsed() >= Duration::from_millis(100) && begun.elapsed() < Duration::from_secs(5));
}
