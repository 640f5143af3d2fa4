//! [`Veil`]: an area where a face without a name was found recently, although later passes do not find it.

use super::{Rect, Sightings};
use std::time::Instant;

/// The most areas that are kept, the newest ones.
const MAX_VEILS: usize = 64;
/// The overlap from which a face is the one that was in the area, whatever its track.
const SAME_PLACE: f32 = 0.5;

/// No track; tracks are counted from 1.
const NO_TRACK: u64 = 0;

/// An area that stays blurred until the pass that found it is stale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Veil {
    track: u64,
    rect: Rect,
    until: Instant,
}

impl Sightings {
    /// The areas of the pass before whose faces this pass does not find, so that the newest sightings contain all of
    /// them.
    pub fn keep_veils_of(&mut self, before: &Sightings) {
        if (before.width, before.height) != (self.width, self.height) {
            return;
        }
        let until = before.stale_at();
        let nameless = before.faces.iter().filter(|face| face.name.is_none());
        let lately = nameless.map(|face| Veil { track: face.track, rect: face.rect, until });
        let hidden = before.looked.iter().flat_map(|looked| looked.hidden());
        let hidden = hidden.map(|&rect| Veil { track: NO_TRACK, rect, until });
        let still_hidden = self.looked.as_ref().map_or(&[][..], |looked| looked.hidden());
        let found = |veil: &Veil| {
            let same = |rect: &Rect| rect.iou(veil.rect) > SAME_PLACE;
            self.faces.iter().any(|face| face.track == veil.track || same(&face.rect)) || still_hidden.iter().any(same)
        };
        let kept = before.veils.iter().copied().chain(lately).chain(hidden);
        let mut veils: Vec<Veil> = kept.filter(|veil| veil.until > self.captured_at && !found(veil)).collect();
        veils.drain(..veils.len().saturating_sub(MAX_VEILS));
        self.veils = veils;
    }

    /// The areas that must stay blurred at `now`.
    pub fn veiled_at(&self, now: Instant) -> impl Iterator<Item = Rect> {
        self.veils.iter().filter(move |veil| veil.until > now).map(|veil| veil.rect)
    }
}
