//! [`Tiers`]: who wants pictures, and of which kind. While nobody does, nothing is decoded and nothing encoded; those who
//! want the same share every picture.
//!
//! Whoever waits for a picture makes it, when nobody is at it already: one viewer needs no other thread, and of several the
//! first makes what all of them get. She has let go of it before she writes to her client, so that a slow one holds up
//! nobody: the next who comes back takes her place.

use crate::frame::Jpeg;
use crate::health::lock;
use crate::shares::{self, Client, Place, Refusal, Shares};
use std::cmp::Reverse;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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

/// The encoder, as those see it who want pictures.
pub trait Maker: Send + Sync {
    /// Pictures of one kind, from now on.
    fn pictures(&self, wish: Wish) -> Box<dyn Pictures>;
}

/// Pictures of one kind, one after the other.
pub trait Pictures: Send {
    /// Makes a picture of what is newer than the last one; waits for it no longer than `patience`.
    fn next(&mut self, patience: Duration) -> Option<Arc<Jpeg>>;
}

/// One kind of picture, and the newest one of it.
pub struct Tier {
    /// What these pictures are.
    pub wish: Wish,
    maker: Arc<dyn Maker>,
    newest: Mutex<Newest>,
    changed: Condvar,
    /// How many want them. Written under the lock of the table only.
    seats: AtomicUsize,
}

#[derive(Default)]
struct Newest {
    /// Counts the pictures.
    version: u64,
    jpeg: Option<Arc<Jpeg>>,
    /// Taken by whoever makes the next one.
    pictures: Option<Box<dyn Pictures>>,
    /// True while somebody does.
    in_work: bool,
    /// How many wait for her.
    waiting: usize,
}

impl Tier {
    fn new(wish: Wish, maker: &Arc<dyn Maker>) -> Arc<Tier> {
        let (maker, newest) = (Arc::clone(maker), Mutex::default());
        Arc::new(Tier { wish, maker, newest, changed: Condvar::new(), seats: AtomicUsize::new(0) })
    }

    /// How many want its pictures.
    pub fn seats(&self) -> usize {
        self.seats.load(Relaxed)
    }

    /// The newest picture, if there has been one, and its counter (from 1).
    pub fn newest(&self) -> Option<(u64, Arc<Jpeg>)> {
        let newest = lock(&self.newest);
        newest.jpeg.clone().map(|jpeg| (newest.version, jpeg))
    }

    /// A picture newer than the one with counter `seen` (0: any), made here or by somebody else; waits for it for
    /// `timeout` at most, and as long as it takes to make it.
    pub fn next(&self, seen: u64, timeout: Duration) -> Option<(u64, Arc<Jpeg>)> {
        let deadline = Instant::now() + timeout;
        let mut newest = lock(&self.newest);
        loop {
            if newest.version > seen {
                return newest.jpeg.clone().map(|jpeg| (newest.version, jpeg));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            if newest.in_work {
                newest = self.wait(newest, left);
                continue;
            }
            let made = self.make(newest, left);
            if made.is_some() {
                return made;
            }
            newest = lock(&self.newest);
        }
    }

    fn wait<'a>(&self, mut newest: MutexGuard<'a, Newest>, timeout: Duration) -> MutexGuard<'a, Newest> {
        newest.waiting += 1;
        let mut newest = self.changed.wait_timeout(newest, timeout).unwrap_or_else(PoisonError::into_inner).0;
        newest.waiting -= 1;
        newest
    }

    /// Makes the next picture, outside the lock. Those who wait get it; without one, the first of them tries in her turn.
    fn make(&self, mut newest: MutexGuard<'_, Newest>, patience: Duration) -> Option<(u64, Arc<Jpeg>)> {
        newest.in_work = true;
        let pictures = newest.pictures.take();
        drop(newest);
        let mut pictures = pictures.unwrap_or_else(|| self.maker.pictures(self.wish));
        let jpeg = pictures.next(patience);
        let mut newest = lock(&self.newest);
        (newest.in_work, newest.pictures) = (false, Some(pictures));
        let old = jpeg.as_ref().and_then(|jpeg| newest.put(jpeg));
        let (version, waiting) = (newest.version, newest.waiting);
        drop(newest);
        if waiting > 0 {
            self.changed.notify_all();
        }
        // What may be hundreds of kilobytes is freed outside the lock, and after the others are on their way.
        drop(old);
        jpeg.map(|jpeg| (version, jpeg))
    }

    /// Shows viewers a picture that somebody else made.
    #[cfg(test)]
    pub(crate) fn publish(&self, jpeg: &Arc<Jpeg>) {
        lock(&self.newest).put(jpeg);
        self.changed.notify_all();
    }
}

impl Newest {
    /// Returns the picture that was the newest so far.
    fn put(&mut self, jpeg: &Arc<Jpeg>) -> Option<Arc<Jpeg>> {
        self.version += 1;
        self.jpeg.replace(Arc::clone(jpeg))
    }
}

/// Every kind of picture that somebody wants.
pub struct Tiers {
    maker: Arc<dyn Maker>,
    usual: Arc<Tier>,
    special: Mutex<Vec<Kind>>,
    viewers: Shares,
}

/// A kind beside the usual one. It is never without a client: it goes with its last one.
struct Kind {
    tier: Arc<Tier>,
    /// The client of each seat, in the order they came. The first one holds the place of the kind.
    clients: Vec<Client>,
}

/// Why somebody gets no seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// There is no place for one more viewer, or none for this client.
    Viewers(Refusal),
    /// There is no place for one more kind of picture, and each that is made is wider than asked.
    Kinds,
}

impl Tiers {
    /// Nobody wants any yet.
    pub fn new(maker: impl Maker + 'static) -> Tiers {
        let maker: Arc<dyn Maker> = Arc::new(maker);
        let usual = Tier::new(Wish::USUAL, &maker);
        Tiers { maker, usual, special: Mutex::default(), viewers: Shares::default() }
    }

    /// Wants pictures as `asked` for as long as the seat is kept; [the nearest](nearest) that are made when `client` may
    /// have no further kind made.
    ///
    /// # Errors
    /// When those that are made are all wider.
    pub fn seat_for(&self, client: &Client, asked: Wish) -> Result<Seat<'_>, Full> {
        self.sit(client, asked, None)
    }

    /// The same for a viewer of the stream, of whom there may be `max`.
    ///
    /// # Errors
    /// When there is no place for `client`, or as [`Tiers::seat_for`].
    pub fn seat_viewer(&self, client: &Client, asked: Wish, max: usize) -> Result<Seat<'_>, Full> {
        let place = self.viewers.take(client, max).map_err(Full::Viewers)?;
        self.sit(client, asked, Some(place))
    }

    fn sit(&self, client: &Client, asked: Wish, viewer: Option<Place>) -> Result<Seat<'_>, Full> {
        let mut special = lock(&self.special);
        let made = special.iter().map(|kind| kind.tier.wish);
        let holders = special.iter().filter_map(|kind| kind.clients.first());
        let may_add = shares::may_take(client, holders, MAX_SPECIAL).is_ok();
        let wish = if may_add { Some(asked) } else { nearest(asked, made) }.ok_or(Full::Kinds)?;
        let tier = if wish == Wish::USUAL {
            Arc::clone(&self.usual)
        } else {
            let at = special.iter().position(|kind| kind.tier.wish == wish).unwrap_or_else(|| {
                special.push(Kind { tier: Tier::new(wish, &self.maker), clients: Vec::new() });
                special.len() - 1
            });
            special[at].clients.push(client.clone());
            Arc::clone(&special[at].tier)
        };
        tier.seats.fetch_add(1, Relaxed);
        Ok(Seat { tiers: self, tier, client: client.clone(), _viewer: viewer })
    }

    /// Exactly such pictures, for a client that wants no others.
    #[cfg(test)]
    pub(crate) fn seat(&self, wish: Wish) -> Result<Seat<'_>, Full> {
        let client = Client { address: None, user: Some(format!("{wish:?}").into()) };
        let seat = self.seat_for(&client, wish)?;
        if seat.wish == wish { Ok(seat) } else { Err(Full::Kinds) }
    }

    /// How many watch the stream.
    pub fn viewers(&self) -> usize {
        self.viewers.taken()
    }

    /// The kinds that somebody wants now, the usual one first.
    pub fn wanted(&self) -> Vec<Arc<Tier>> {
        let special = lock(&self.special);
        let all = std::iter::once(&self.usual).chain(special.iter().map(|kind| &kind.tier));
        all.filter(|tier| tier.seats() > 0).map(Arc::clone).collect()
    }

    /// The kind that is as the config says.
    #[cfg(test)]
    pub(crate) fn usual(&self) -> &Tier {
        &self.usual
    }
}

/// Of the kinds that are `made` and the usual one, which always can be, the nearest to what was asked: none that is wider, one
/// with the same overlay before others, then the widest, then one that is as fast and no faster than need be. A faster one is
/// nearer than a slower one because whoever watches can leave pictures out.
pub fn nearest(asked: Wish, made: impl Iterator<Item = Wish>) -> Option<Wish> {
    let most = |limit: u32| if limit == 0 { u32::MAX } else { limit };
    let (width, fps) = (most(asked.width), most(asked.fps));
    made.chain([Wish::USUAL]).filter(|kind| most(kind.width) <= width).min_by_key(|kind| {
        let pace = most(kind.fps);
        (kind.overlay != asked.overlay, Reverse(most(kind.width)), pace < fps, pace.abs_diff(fps))
    })
}

/// Somebody wants pictures, see [`Tiers::seat_for`].
pub struct Seat<'a> {
    tiers: &'a Tiers,
    tier: Arc<Tier>,
    client: Client,
    /// Held until the seat is dropped.
    _viewer: Option<Place>,
}

impl Deref for Seat<'_> {
    type Target = Tier;

    fn deref(&self) -> &Tier {
        &self.tier
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut special = lock(&self.tiers.special);
        if self.tier.seats.fetch_sub(1, Relaxed) == 1 {
            // The frame that the last picture was made of goes with those who wanted it.
            drop(lock(&self.tier.newest).pictures.take());
        }
        if let Some(kind) = special.iter_mut().find(|kind| Arc::ptr_eq(&kind.tier, &self.tier)) {
            // The newest of the client's own, so that it holds the kind as long as it has a seat.
            let own = kind.clients.iter().rposition(|client| *client == self.client);
            own.map(|at| kind.clients.remove(at));
        }
        special.retain(|kind| !kind.clients.is_empty());
    }
}

#[cfg(test)]
pub(crate) mod tests;
