//! [`Veils`]: places where a face without a name was a moment ago, though the newest look does not find it.

use crate::sighting::{Rect, Sightings};
use std::sync::Arc;
use std::time::Instant;

/// At most so many places are kept, the newest.
const MAX_PLACES: usize = 64;
/// A face that covers a place by so much is the one that was there, whatever its track.
const SAME_PLACE: f32 = 0.5;

/// Keeps a face blurred that one look misses, until the look that found it is stale.
#[derive(Default)]
pub(super) struct Veils {
    newest: Option<(u64, Arc<Sightings>)>,
    places: Vec<Place>,
}

struct Place {
    track: u64,
    rect: Rect,
    seen: Arc<Sightings>,
}

impl Veils {
    /// Takes the newest sightings with their counter; without any, forgets everything.
    pub(super) fn update(&mut self, newest: Option<(u64, Arc<Sightings>)>, now: Instant) {
        let Some((version, sightings)) = newest else {
            *self = Veils::default();
            return;
        };
        if self.newest.as_ref().is_none_or(|(seen, _)| *seen != version) {
            if let Some((_, old)) = self.newest.replace((version, Arc::clone(&sightings))) {
                let nameless = old.faces.iter().filter(|face| face.name.is_none());
                let place = |face: &crate::sighting::Sighting| {
                    let seen = Arc::clone(&old);
                    Place { track: face.track, rect: face.rect, seen }
                };
                self.places.extend(nameless.map(place));
            }
            let found = |place: &Place| {
                let same = |rect: Rect| rect.iou(place.rect) > SAME_PLACE;
                sightings.faces.iter().any(|face| face.track == place.track || same(face.rect))
            };
            self.places.retain(|place| !found(place));
            self.places.drain(..self.places.len().saturating_sub(MAX_PLACES));
        }
        self.places.retain(|place| !place.seen.is_stale(now));
    }

    /// The places on frames of this width and height.
    pub(super) fn places(&self, size: (u32, u32)) -> impl Iterator<Item = Rect> {
        let fits = move |place: &&Place| (place.seen.width, place.seen.height) == size;
        self.places.iter().filter(fits).map(|place| place.rect)
    }
}
