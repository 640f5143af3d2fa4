//! [`Tiers`]: who wants pictures of the stream, and in which renditions. While nobody does, nothing is decoded and nothing
//! encoded; those who want the same share every picture.

use crate::encoder::{Rendition, Stage};
use crate::health::lock;
use crate::shares::{self, Client, Place, Refusal, Shares};
use std::cmp::Reverse;
use std::ops::Deref;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

pub use crate::encoder::Wish;

/// Kinds of picture beside the usual one that are made at a time: each is encoded by itself.
pub const MAX_SPECIAL: usize = 4;
/// The smallest picture that can be asked for, pixels across.
pub const MIN_WIDTH: u32 = 64;
/// The largest picture that can be asked for, pixels across; frames are never enlarged.
pub const MAX_WIDTH: u32 = 8192;
/// The most pictures a second that can be asked for.
pub const MAX_FPS: u32 = 240;

/// Every kind of picture that somebody wants.
pub struct Tiers {
    usual: Arc<Rendition>,
    special: Mutex<Vec<Kind>>,
    viewers: Shares,
}

/// A kind beside the usual one. It is never without a client: it goes with its last one.
struct Kind {
    tier: Arc<Rendition>,
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
    pub fn new(stage: Stage) -> Tiers {
        Tiers { usual: Rendition::usual(stage), special: Mutex::default(), viewers: Shares::default() }
    }

    /// Makes no pictures, for want of a config: tests publish theirs.
    #[cfg(test)]
    pub(crate) fn idle() -> Tiers {
        let stage = Stage {
            config: Arc::default(),
            frames: Arc::default(),
            sightings: Arc::default(),
            health: Arc::default(),
            stop: Arc::default(),
        };
        stage.health.camera_is_online("test", "MJPG", 4, 4);
        Tiers::new(stage)
    }

    /// Wants pictures as `asked` for as long as the seat is kept; [the nearest](nearest) that are made when `client` may
    /// have no further kind made.
    ///
    /// # Errors
    /// When those that are made are all wider.
    pub fn seat_for(&self, client: &Client, asked: Wish) -> Result<Seat<'_>, Full> {
        self.sit(client, asked, None)
    }

    /// The same for a viewer of the stream, of which there may be `max`.
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
                special.push(Kind { tier: self.usual.another(wish), clients: Vec::new() });
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
    pub fn wanted(&self) -> Vec<Arc<Rendition>> {
        let special = lock(&self.special);
        let all = std::iter::once(&self.usual).chain(special.iter().map(|kind| &kind.tier));
        all.filter(|tier| tier.seats() > 0).map(Arc::clone).collect()
    }

    /// The kind that is as the config says.
    #[cfg(test)]
    pub(crate) fn usual(&self) -> &Rendition {
        &self.usual
    }
}

/// Of the kinds that are `made` and the usual one, which always can be, the nearest to what was asked: none that is wider, one
/// with the same overlay before others, then the widest, then one that is as fast and no faster than need be. A faster one is
/// nearer than a slower one because the stream can leave pictures out.
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
    tier: Arc<Rendition>,
    client: Client,
    /// Held until the seat is dropped.
    _viewer: Option<Place>,
}

impl Deref for Seat<'_> {
    type Target = Rendition;

    fn deref(&self) -> &Rendition {
        &self.tier
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut special = lock(&self.tiers.special);
        let is_last = self.tier.seats.fetch_sub(1, Relaxed) == 1;
        if let Some(kind) = special.iter_mut().find(|kind| Arc::ptr_eq(&kind.tier, &self.tier)) {
            // The newest of the client's own, so that it holds the kind as long as it has a seat.
            let own = kind.clients.iter().rposition(|client| *client == self.client);
            own.map(|at| kind.clients.remove(at));
        }
        special.retain(|kind| !kind.clients.is_empty());
        let encoder = is_last.then(|| self.tier.take_encoder());
        drop(special);
        // Megabytes, which are freed outside the lock.
        drop(encoder);
    }
}

#[cfg(test)]
mod tests;
