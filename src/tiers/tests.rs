use super::*;
use crate::frame::Moment;
use std::sync::atomic::AtomicU64;
use std::thread;

const SMALL: Wish = Wish { width: 320, ..Wish::USUAL };
const LONG: Duration = Duration::from_secs(10);

/// Makes no pictures: tests publish theirs.
pub(crate) struct Idle;

impl Maker for Idle {
    fn pictures(&self, _: Wish) -> Box<dyn Pictures> {
        Box::new(Idle)
    }
}

impl Pictures for Idle {
    fn next(&mut self, patience: Duration) -> Option<Arc<Jpeg>> {
        thread::sleep(patience.min(Duration::from_millis(5)));
        None
    }
}

/// Makes a picture every 10 ms, and counts who makes some at the same time and how many there are.
#[derive(Clone, Default)]
struct Clock(Arc<(AtomicU64, AtomicU64, AtomicU64)>);

impl Maker for Clock {
    fn pictures(&self, _: Wish) -> Box<dyn Pictures> {
        self.0.2.fetch_add(1, Relaxed);
        Box::new(self.clone())
    }
}

impl Pictures for Clock {
    fn next(&mut self, _: Duration) -> Option<Arc<Jpeg>> {
        assert_eq!(self.0.0.fetch_add(1, Relaxed), 0, "one makes pictures at a time");
        thread::sleep(Duration::from_millis(10));
        self.0.0.fetch_sub(1, Relaxed);
        let number = self.0.1.fetch_add(1, Relaxed) + 1;
        // Now and then there is none, and somebody else must take over.
        (!number.is_multiple_of(3))
            .then(|| Arc::new(Jpeg::new(Arc::new(number.to_le_bytes().to_vec()), Moment::now(), true)))
    }
}

fn wishes(tiers: &Tiers) -> Vec<(Wish, usize)> {
    tiers.wanted().iter().map(|tier| (tier.wish, tier.seats())).collect()
}

#[test]
fn the_viewer_beyond_the_limit_is_refused_and_a_place_is_given_back() {
    let tiers = Tiers::new(Idle);
    let one = tiers.seat_viewer(Wish::USUAL, 1);
    assert_eq!((one.is_ok(), tiers.seat_viewer(SMALL, 1).err()), (true, Some(Full::Viewers)));
    drop(one);
    assert!(wishes(&tiers).is_empty());
    assert!(tiers.seat_viewer(Wish::USUAL, 1).is_ok());
}

#[test]
fn the_same_wish_is_the_same_kind_and_kinds_are_bounded_but_for_the_usual_one() {
    let tiers = Tiers::new(Idle);
    let (one, two) = (tiers.seat(SMALL).unwrap(), tiers.seat_viewer(SMALL, 9).ok().unwrap());
    one.publish(&Arc::new(Jpeg::new(Arc::new(b"x".to_vec()), Moment::now(), true)));
    assert!(two.newest().is_some());
    let more: Vec<_> = (1..9).map(|fps| tiers.seat_viewer(Wish { fps, ..SMALL }, 9)).collect();
    assert_eq!(more.iter().filter(|seat| seat.is_ok()).count(), MAX_SPECIAL - 1);
    assert_eq!(tiers.viewers(), MAX_SPECIAL, "who was refused does not count");
    let usual = tiers.seat(Wish::USUAL).unwrap();
    assert_eq!(wishes(&tiers)[..2], [(Wish::USUAL, 1), (SMALL, 2)]);
    drop((more, one, two));
    assert_eq!(wishes(&tiers), [(Wish::USUAL, 1)]);
    drop(usual);
    let again = tiers.seat(SMALL).unwrap();
    assert!(again.newest().is_none(), "what was made for others has gone with them");
}

#[test]
fn each_picture_is_made_once_and_everybody_who_waits_gets_it_though_one_writes_slowly() {
    let clock = Clock::default();
    let tiers = Tiers::new(clock.clone());
    let take = |pause: Duration| {
        let seat = tiers.seat(Wish::USUAL).unwrap();
        let (end, mut seen, mut numbers) = (Instant::now() + Duration::from_secs(1), 0, Vec::new());
        while Instant::now() < end {
            let (version, jpeg) = seat.next(seen, LONG).expect("a picture");
            assert!(version > seen);
            seen = version;
            numbers.push(jpeg.picture().to_vec());
            thread::sleep(pause);
        }
        numbers
    };
    let taken: Vec<_> = thread::scope(|scope| {
        let slow = scope.spawn(|| take(Duration::from_millis(400)));
        let quick: Vec<_> = (0..4).map(|_| scope.spawn(|| take(Duration::ZERO))).collect();
        quick.into_iter().chain([slow]).map(|viewer| viewer.join().unwrap()).collect()
    });
    let made = clock.0.1.load(Relaxed);
    let shown = made - made / 3;
    for numbers in &taken[..4] {
        let missed = shown - numbers.len() as u64;
        assert!(numbers.is_sorted() && numbers.len() > 20 && missed <= 8, "{} of {shown}", numbers.len());
    }
    assert!((2..=4).contains(&taken[4].len()), "{}", taken[4].len());
}

#[test]
fn what_was_kept_to_make_pictures_goes_with_the_last_viewer_and_the_newest_picture_stays() {
    let clock = Clock::default();
    let tiers = Tiers::new(clock.clone());
    for begun in 1..4 {
        let seats = [tiers.seat(Wish::USUAL).unwrap(), tiers.seat(Wish::USUAL).unwrap()];
        let seen = seats[0].newest().map_or(0, |(version, _)| version);
        assert!(seats[1].next(seen, LONG).is_some());
        assert_eq!(clock.0.2.load(Relaxed), begun);
    }
    assert!(tiers.usual().newest().is_some());
}

#[test]
fn who_waits_for_a_picture_that_does_not_come_waits_no_longer_than_she_said() {
    let tiers = Tiers::new(Idle);
    let begun = Instant::now();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| assert!(tiers.seat(SMALL).unwrap().next(0, Duration::from_millis(100)).is_none()));
        }
    });
    assert!(begun.elapsed() >= Duration::from_millis(100) && begun.elapsed() < Duration::from_secs(5));
}
