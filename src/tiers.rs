//! [`Tiers`]: who wants pictures, and of which kind. While nobody does, nothing is decoded and nothing encoded; those who
//! want the same share every picture.

use crate::frame::Jpeg;
use crate::health::lock;
use crate::latest::Latest;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Kinds of picture beside the usual one that are made at a time: each is encoded by itself.
pub const MAX_SPECIAL: usize = 4;
/// The smallest picture that can be asked for, pixels across.
pub const MIN_WIDTH: u32 = 64;
/// The largest picture that can be asked for, pixels across; frames are never enlarged.
pub const MAX_WIDTH: u32 = 8192;
/// The most pictures a second that can be asked for.
pub const MAX_FPS: u32 = 240;

/// What somebody wants to see. The usual: everything as the config says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// False: without boxes and names. What is blurred stays blurred.
    pub overlay: bool,
    /// No wider than that, in pixels; 0: as the config says.
    pub width: u32,
    /// No more pictures a second than that; 0: as the config says.
    pub fps: u32,
}

impl Wish {
    /// Everything as the config says.
    pub const USUAL: Wish = Wish { overlay: true, width: 0, fps: 0 };
}

/// One kind of picture, and the newest one of it.
#[derive(Debug)]
pub struct Tier {
    /// What these pictures are.
    pub wish: Wish,
    /// Pictures for viewers.
    pub jpegs: Latest<Jpeg>,
    /// How many want them. Written under the lock of the table only.
    seats: AtomicUsize,
}

impl Tier {
    fn new(wish: Wish) -> Arc<Tier> {
        Arc::new(Tier { wish, jpegs: Latest::default(), seats: AtomicUsize::new(0) })
    }

    /// How many want its pictures.
    pub fn seats(&self) -> usize {
        self.seats.load(Relaxed)
    }
}

/// Every kind of picture that somebody wants.
#[derive(Debug)]
pub struct Tiers {
    usual: Arc<Tier>,
    table: Mutex<Table>,
    changed: Condvar,
    viewers: AtomicUsize,
}

#[derive(Debug, Default)]
struct Table {
    special: Vec<Arc<Tier>>,
    /// Counts those who came.
    arrivals: u64,
}

impl Default for Tiers {
    fn default() -> Tiers {
        let usual = Tier::new(Wish::USUAL);
        Tiers { usual, table: Mutex::default(), changed: Condvar::new(), viewers: AtomicUsize::new(0) }
    }
}

/// Why somebody gets no seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// There are as many viewers as there may be.
    Viewers,
    /// There are as many kinds of picture as there may be.
    Kinds,
}

impl Tiers {
    /// Wants such pictures for as long as the seat is kept.
    ///
    /// # Errors
    /// When so many other kinds are made already.
    pub fn seat(&self, wish: Wish) -> Result<Seat<'_>, Full> {
        let mut table = lock(&self.table);
        let special = table.special.iter().find(|tier| tier.wish == wish);
        let tier = match special {
            _ if wish == Wish::USUAL => Arc::clone(&self.usual),
            Some(tier) => Arc::clone(tier),
            None if table.special.len() >= MAX_SPECIAL => return Err(Full::Kinds),
            None => {
                let tier = Tier::new(wish);
                table.special.push(Arc::clone(&tier));
                tier
            }
        };
        tier.seats.fetch_add(1, Relaxed);
        table.arrivals += 1;
        self.changed.notify_all();
        Ok(Seat { tiers: self, tier, viewer: false })
    }

    /// The same for a viewer of the stream.
    ///
    /// # Errors
    /// When there are `max` already, or as [`Tiers::seat`].
    pub fn seat_viewer(&self, wish: Wish, max: usize) -> Result<Seat<'_>, Full> {
        let taken = self.viewers.fetch_update(Relaxed, Relaxed, |n| (n < max).then_some(n + 1));
        taken.map_err(|_| Full::Viewers)?;
        match self.seat(wish) {
            Ok(mut seat) => {
                seat.viewer = true;
                Ok(seat)
            }
            Err(full) => {
                self.viewers.fetch_sub(1, Relaxed);
                Err(full)
            }
        }
    }

    /// The pictures that are as the config says.
    pub fn usual(&self) -> &Latest<Jpeg> {
        &self.usual.jpegs
    }

    /// How many watch the stream.
    pub fn viewers(&self) -> usize {
        self.viewers.load(Relaxed)
    }

    /// The kinds that somebody wants now, the usual one first, and the number of those who ever came.
    pub fn wanted(&self) -> (Vec<Arc<Tier>>, u64) {
        let table = lock(&self.table);
        let all = std::iter::once(&self.usual).chain(&table.special);
        (all.filter(|tier| tier.seats() > 0).map(Arc::clone).collect(), table.arrivals)
    }

    /// Waits until somebody wants pictures, `timeout` at most; true when somebody does.
    pub fn wait(&self, timeout: Duration) -> bool {
        let is_idle = |table: &mut Table| self.usual.seats() == 0 && table.special.is_empty();
        let waited = self.changed.wait_timeout_while(lock(&self.table), timeout, is_idle);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Waits until somebody has come since there had been `arrivals`, `timeout` at most.
    pub fn wait_arrival(&self, arrivals: u64, timeout: Duration) {
        let nobody = |table: &mut Table| table.arrivals == arrivals;
        drop(self.changed.wait_timeout_while(lock(&self.table), timeout, nobody));
    }
}

/// Somebody wants pictures, see [`Tiers::seat`].
#[derive(Debug)]
pub struct Seat<'a> {
    tiers: &'a Tiers,
    tier: Arc<Tier>,
    viewer: bool,
}

impl Seat<'_> {
    /// The pictures.
    pub fn jpegs(&self) -> &Latest<Jpeg> {
        &self.tier.jpegs
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut table = lock(&self.tiers.table);
        self.tier.seats.fetch_sub(1, Relaxed);
        table.special.retain(|tier| tier.seats() > 0);
        if self.viewer {
            self.tiers.viewers.fetch_sub(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Wish = Wish { width: 320, ..Wish::USUAL };

    fn wishes(tiers: &Tiers) -> Vec<(Wish, usize)> {
        tiers.wanted().0.iter().map(|tier| (tier.wish, tier.seats())).collect()
    }

    #[test]
    fn the_viewer_beyond_the_limit_is_refused_and_a_place_is_given_back() {
        let tiers = Tiers::default();
        let one = tiers.seat_viewer(Wish::USUAL, 1);
        assert_eq!((one.is_ok(), tiers.seat_viewer(SMALL, 1).err()), (true, Some(Full::Viewers)));
        drop(one);
        assert!(!tiers.wait(Duration::ZERO) && wishes(&tiers).is_empty());
        assert!(tiers.seat_viewer(Wish::USUAL, 1).is_ok());
    }

    #[test]
    fn the_same_wish_is_the_same_kind_and_kinds_are_bounded_but_for_the_usual_one() {
        let tiers = Tiers::default();
        let (one, two) = (tiers.seat(SMALL).unwrap(), tiers.seat_viewer(SMALL, 9).unwrap());
        one.jpegs().publish(Arc::new(Jpeg::new(b"x", crate::frame::Moment::now(), true)));
        assert!(two.jpegs().newest().is_some());
        let more: Vec<_> = (1..9).map(|fps| tiers.seat_viewer(Wish { fps, ..SMALL }, 9)).collect();
        assert_eq!(more.iter().filter(|seat| seat.is_ok()).count(), MAX_SPECIAL - 1);
        assert_eq!(tiers.viewers(), MAX_SPECIAL, "who was refused does not count");
        let usual = tiers.seat(Wish::USUAL).unwrap();
        assert_eq!(wishes(&tiers)[..2], [(Wish::USUAL, 1), (SMALL, 2)]);
        drop((more, one, two));
        assert_eq!(wishes(&tiers), [(Wish::USUAL, 1)]);
        drop(usual);
        let again = tiers.seat(SMALL).unwrap();
        assert!(again.jpegs().newest().is_none(), "what was made for others has gone with them");
    }

    #[test]
    fn whoever_comes_is_noticed_at_once() {
        let tiers = Tiers::default();
        let arrivals = tiers.wanted().1;
        let begun = std::time::Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(20));
                let seat = tiers.seat(SMALL);
                std::thread::sleep(Duration::from_millis(100));
                drop(seat);
            });
            tiers.wait_arrival(arrivals, Duration::from_secs(10));
            assert!(tiers.wait(Duration::from_secs(10)));
        });
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
