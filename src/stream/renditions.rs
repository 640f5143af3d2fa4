//! [`Renditions`]: the subscriptions to renditions of the stream. Without subscriptions nothing is decoded or encoded.
//! Subscriptions to the same rendition share every picture.

use crate::shares::{Client, Refusal, Shares, TakenPlace, may_take};
use crate::stream::encoder::{Rendition, Stage};
use crate::sync::lock;
use std::cmp::Reverse;
use std::ops::Deref;
use std::sync::{Arc, Mutex};

pub use crate::stream::encoder::RenditionSpec;

/// The most renditions at a time besides the default renditions. Each rendition is encoded separately.
pub const MAX_SPECIAL: usize = 4;
/// The smallest width in pixels that can be requested.
pub const MIN_WIDTH: u32 = 64;
/// The largest width in pixels that can be requested. Frames are never enlarged.
pub const MAX_WIDTH: u32 = 8192;
/// The most pictures per second that can be requested.
pub const MAX_FPS: u32 = 240;

/// Every rendition that has subscriptions.
pub struct Renditions {
    /// The default rendition, which also exists without subscriptions.
    usual: Arc<Rendition>,
    /// The renditions with subscriptions, the default one first.
    wanted: Mutex<Vec<Wanted>>,
    viewers: Shares,
}

struct Wanted {
    rendition: Arc<Rendition>,
    /// The client of each subscription, in order. A rendition besides the default ones counts for the first client.
    clients: Vec<Client>,
}

/// Why a subscription is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// There is no place for another viewer, or no place for this client.
    Viewers(Refusal),
    /// There is no place for another rendition, and every existing rendition is wider than requested or not blurred as
    /// requested.
    Kinds,
}

impl Renditions {
    pub fn new(stage: Stage) -> Renditions {
        Renditions { usual: Rendition::usual(stage), wanted: Mutex::default(), viewers: Shares::default() }
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

    /// Subscribes to the rendition `asked` until the result is dropped. When `client` may not add a rendition,
    /// subscribes to [the closest](nearest) existing one.
    ///
    /// # Errors
    /// No existing rendition fits.
    pub fn subscribe_for(&self, client: &Client, asked: RenditionSpec) -> Result<Subscription<'_>, Full> {
        self.sit(client, asked, None)
    }

    /// Like [`Renditions::subscribe_for`], for a viewer of the stream. There may be at most `max` viewers.
    ///
    /// # Errors
    /// There is no place for `client`, or no existing rendition fits.
    pub fn subscribe_viewer(
        &self,
        client: &Client,
        asked: RenditionSpec,
        max: usize,
    ) -> Result<Subscription<'_>, Full> {
        let place = self.viewers.take(client, max).map_err(Full::Viewers)?;
        self.sit(client, asked, Some(place))
    }

    fn sit(&self, client: &Client, asked: RenditionSpec, viewer: Option<TakenPlace>) -> Result<Subscription<'_>, Full> {
        let mut wanted = lock(&self.wanted);
        let special = wanted.iter().filter(|one| !one.rendition.spec.is_usual());
        let holders = special.clone().filter_map(|one| one.clients.first());
        let may_add = may_take(client, holders, MAX_SPECIAL).is_ok();
        let made = special.map(|one| one.rendition.spec);
        let spec = if may_add { Some(asked) } else { nearest(asked, made) }.ok_or(Full::Kinds)?;
        let at = wanted.iter().position(|one| one.rendition.spec == spec).unwrap_or_else(|| {
            let (at, rendition) = match spec {
                RenditionSpec::USUAL => (0, Arc::clone(&self.usual)),
                _ => (wanted.len(), self.usual.another(spec)),
            };
            wanted.insert(at, Wanted { rendition, clients: Vec::new() });
            at
        });
        wanted[at].clients.push(client.clone());
        let rendition = Arc::clone(&wanted[at].rendition);
        Ok(Subscription { renditions: self, rendition, client: client.clone(), _viewer: viewer })
    }

    /// A subscription to exactly this rendition, by a new client.
    #[cfg(test)]
    pub(crate) fn subscribe(&self, spec: RenditionSpec) -> Result<Subscription<'_>, Full> {
        let client = Client { address: None, user: Some(format!("{spec:?}").into()) };
        let subscription = self.subscribe_for(&client, spec)?;
        if subscription.spec == spec { Ok(subscription) } else { Err(Full::Kinds) }
    }

    pub fn viewers(&self) -> usize {
        self.viewers.taken()
    }

    /// The renditions with subscriptions, the default one first, each with the number of its subscriptions.
    pub fn wanted(&self) -> Vec<(Arc<Rendition>, usize)> {
        lock(&self.wanted).iter().map(|one| (Arc::clone(&one.rendition), one.clients.len())).collect()
    }

    #[cfg(test)]
    pub(crate) fn usual(&self) -> &Rendition {
        &self.usual
    }
}

/// The rendition closest to `asked`, from the renditions `made` and the default one, which is always available with and
/// without `blur`. A rendition that is wider or less blurred than `asked` does not fit. The order of preference: the
/// same blur, the same overlay, the largest width, the lowest rate that is high enough, the highest other rate. A rate
/// that is too high is better than one that is too low, because the stream can skip pictures.
pub fn nearest(asked: RenditionSpec, made: impl Iterator<Item = RenditionSpec>) -> Option<RenditionSpec> {
    let most = |limit: u32| if limit == 0 { u32::MAX } else { limit };
    let (width, fps) = (most(asked.width), most(asked.fps));
    let usual = RenditionSpec { blur: asked.blur, ..RenditionSpec::USUAL };
    let fits = |kind: &RenditionSpec| most(kind.width) <= width && (kind.blur || !asked.blur);
    made.chain([usual]).filter(fits).min_by_key(|kind| {
        let pace = most(kind.fps);
        (
            kind.blur != asked.blur,
            kind.overlay != asked.overlay,
            Reverse(most(kind.width)),
            pace < fps,
            pace.abs_diff(fps),
        )
    })
}

/// A subscription to a rendition. Dropping it ends the subscription.
pub struct Subscription<'a> {
    renditions: &'a Renditions,
    rendition: Arc<Rendition>,
    client: Client,
    /// The viewer's place, held until drop.
    _viewer: Option<TakenPlace>,
}

impl Deref for Subscription<'_> {
    type Target = Rendition;

    fn deref(&self) -> &Rendition {
        &self.rendition
    }
}

impl Drop for Subscription<'_> {
    fn drop(&mut self) {
        let mut wanted = lock(&self.renditions.wanted);
        let Some(at) = wanted.iter().position(|one| Arc::ptr_eq(&one.rendition, &self.rendition)) else { return };
        let clients = &mut wanted[at].clients;
        // Removes the client's newest entry, so that the rendition counts for the client as long as the client has a
        // subscription.
        if let Some(own) = clients.iter().rposition(|client| *client == self.client) {
            clients.remove(own);
        }
        if clients.is_empty() {
            wanted.remove(at);
            let encoder = self.rendition.take_encoder();
            drop(wanted);
            // The encoder takes megabytes, which are freed without the lock.
            drop(encoder);
        }
    }
}

#[cfg(test)]
mod tests;
