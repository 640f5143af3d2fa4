//! [`Renditions`]: the subscriptions to renditions of the stream. Without subscriptions nothing is decoded or encoded;
//! subscriptions to the same rendition share every picture.

use crate::shares::{self, Client, Place, Refusal, Shares};
use crate::stream::encoder::{Rendition, Stage};
use crate::sync::lock;
use std::cmp::Reverse;
use std::ops::Deref;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

pub use crate::stream::encoder::RenditionSpec;

/// The most renditions at a time besides the default one; each is encoded separately.
pub const MAX_SPECIAL: usize = 4;
/// The smallest width in pixels that can be requested.
pub const MIN_WIDTH: u32 = 64;
/// The largest width in pixels that can be requested; frames are never enlarged.
pub const MAX_WIDTH: u32 = 8192;
/// The most pictures per second that can be requested.
pub const MAX_FPS: u32 = 240;

/// Every rendition that has subscriptions.
pub struct Renditions {
    usual: Arc<Rendition>,
    special: Mutex<Vec<RenditionKind>>,
    viewers: Shares,
}

/// A rendition besides the default one. It is removed with its last subscription.
struct RenditionKind {
    rendition: Arc<Rendition>,
    /// The client of each subscription, in order. The rendition counts for the first one.
    clients: Vec<Client>,
}

/// Why a subscription is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// There is no place for another viewer, or none for this client.
    Viewers(Refusal),
    /// There is no place for another rendition, and every existing one is wider than requested.
    Kinds,
}

impl Renditions {
    /// A table without subscriptions.
    pub fn new(stage: Stage) -> Renditions {
        Renditions { usual: Rendition::usual(stage), special: Mutex::default(), viewers: Shares::default() }
    }

    /// A table that encodes nothing, because it has no config; tests publish their own pictures.
    #[cfg(test)]
    pub(crate) fn idle() -> Renditions {
        let stage = Stage {
            config: Arc::default(),
            frames: Arc::default(),
            sightings: Arc::default(),
            health: Arc::default(),
            stop: Arc::default(),
        };
        stage.health.camera_is_online("test", "MJPG", 4, 4);
        Renditions::new(stage)
    }

    /// Subscribes to the rendition `asked` until the result is dropped; to [the closest](nearest) existing one when
    /// `client` may not add another.
    ///
    /// # Errors
    /// When all existing ones are wider.
    pub fn subscribe_for(&self, client: &Client, asked: RenditionSpec) -> Result<Subscription<'_>, Full> {
        self.sit(client, asked, None)
    }

    /// The same for a viewer of the stream; there may be at most `max` viewers.
    ///
    /// # Errors
    /// When there is no place for `client`; also as [`Renditions::seat_for`].
    pub fn subscribe_viewer(
        &self,
        client: &Client,
        asked: RenditionSpec,
        max: usize,
    ) -> Result<Subscription<'_>, Full> {
        let place = self.viewers.take(client, max).map_err(Full::Viewers)?;
        self.sit(client, asked, Some(place))
    }

    fn sit(&self, client: &Client, asked: RenditionSpec, viewer: Option<Place>) -> Result<Subscription<'_>, Full> {
        let mut special = lock(&self.special);
        let made = special.iter().map(|kind| kind.rendition.spec);
        let holders = special.iter().filter_map(|kind| kind.clients.first());
        let may_add = shares::may_take(client, holders, MAX_SPECIAL).is_ok();
        let spec = if may_add { Some(asked) } else { nearest(asked, made) }.ok_or(Full::Kinds)?;
        let rendition = if spec == RenditionSpec::USUAL {
            Arc::clone(&self.usual)
        } else {
            let at = special.iter().position(|kind| kind.rendition.spec == spec).unwrap_or_else(|| {
                special.push(RenditionKind { rendition: self.usual.another(spec), clients: Vec::new() });
                special.len() - 1
            });
            special[at].clients.push(client.clone());
            Arc::clone(&special[at].rendition)
        };
        rendition.subscriptions.fetch_add(1, Relaxed);
        Ok(Subscription { renditions: self, rendition, client: client.clone(), _viewer: viewer })
    }

    /// A subscription to exactly this rendition, by a new client.
    #[cfg(test)]
    pub(crate) fn subscribe(&self, spec: RenditionSpec) -> Result<Subscription<'_>, Full> {
        let client = Client { address: None, user: Some(format!("{spec:?}").into()) };
        let subscription = self.subscribe_for(&client, spec)?;
        if subscription.spec == spec { Ok(subscription) } else { Err(Full::Kinds) }
    }

    /// The number of viewers.
    pub fn viewers(&self) -> usize {
        self.viewers.taken()
    }

    /// The renditions with subscriptions, the default one first.
    pub fn wanted(&self) -> Vec<Arc<Rendition>> {
        let special = lock(&self.special);
        let all = std::iter::once(&self.usual).chain(special.iter().map(|kind| &kind.rendition));
        all.filter(|rendition| rendition.subscriptions() > 0).map(Arc::clone).collect()
    }

    /// The default rendition.
    #[cfg(test)]
    pub(crate) fn usual(&self) -> &Rendition {
        &self.usual
    }
}

/// The rendition closest to `asked` among those that are `made` and the default one, which is always available. None
/// may be wider; one with the same overlay is preferred, then the widest, then the slowest that is fast enough. A
/// faster one is closer than a slower one, because the stream can skip pictures.
pub fn nearest(asked: RenditionSpec, made: impl Iterator<Item = RenditionSpec>) -> Option<RenditionSpec> {
    let most = |limit: u32| if limit == 0 { u32::MAX } else { limit };
    let (width, fps) = (most(asked.width), most(asked.fps));
    made.chain([RenditionSpec::USUAL]).filter(|kind| most(kind.width) <= width).min_by_key(|kind| {
        let pace = most(kind.fps);
        (kind.overlay != asked.overlay, Reverse(most(kind.width)), pace < fps, pace.abs_diff(fps))
    })
}

/// A subscription; see [`Renditions::seat_for`].
pub struct Subscription<'a> {
    renditions: &'a Renditions,
    rendition: Arc<Rendition>,
    client: Client,
    /// The viewer's place, held until drop.
    _viewer: Option<Place>,
}

impl Deref for Subscription<'_> {
    type Target = Rendition;

    fn deref(&self) -> &Rendition {
        &self.rendition
    }
}

impl Drop for Subscription<'_> {
    fn drop(&mut self) {
        let mut special = lock(&self.renditions.special);
        let is_last = self.rendition.subscriptions.fetch_sub(1, Relaxed) == 1;
        if let Some(kind) = special.iter_mut().find(|kind| Arc::ptr_eq(&kind.rendition, &self.rendition)) {
            // Removes the client's newest entry, so that the rendition counts for the client as long as it has a
            // subscription.
            let own = kind.clients.iter().rposition(|client| *client == self.client);
            own.map(|at| kind.clients.remove(at));
        }
        special.retain(|kind| !kind.clients.is_empty());
        let encoder = is_last.then(|| self.rendition.take_encoder());
        drop(special);
        // Megabytes, which are freed without the lock.
        drop(encoder);
    }
}

#[cfg(test)]
mod tests;
