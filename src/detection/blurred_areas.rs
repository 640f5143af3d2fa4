//! [`BlurredArea`]: an area where a face without a name was found recently, although later looks do not find it.

use crate::detection::Sightings;
use crate::image::Rect;
use std::time::Instant;

/// The most areas that are kept, the newest ones.
const MAX_AREAS: usize = 64;
/// The overlap from which a face is the one that was in the area, whatever its track.
const SAME_PLACE: f32 = 0.5;

/// No track; tracks are counted from 1.
const NO_TRACK: u64 = 0;

/// An area that stays blurred until the look that found it is stale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlurredArea {
    track: u64,
    rect: Rect,
    until: Instant,
}

impl Sightings {
    /// The areas of the look before whose faces this look does not find, so that the newest sightings contain all of
    /// them.
    pub fn keep_blurred_areas_of(&mut self, before: &Sightings) {
        if (before.width, before.height) != (self.width, self.height) {
            return;
        }
        let until = before.stale_at().instant;
        let nameless = before.faces.iter().filter(|face| face.name.is_none());
        let lately = nameless.map(|face| BlurredArea { track: face.track, rect: face.rect, until });
        let hidden = before.examined.iter().flat_map(|examined| examined.hidden());
        let hidden = hidden.map(|&rect| BlurredArea { track: NO_TRACK, rect, until });
        let still_hidden = self.examined.as_ref().map_or(&[][..], |examined| examined.hidden());
        let found = |area: &BlurredArea| {
            let same = |rect: &Rect| rect.iou(area.rect) > SAME_PLACE;
            self.faces.iter().any(|face| face.track == area.track || same(&face.rect)) || still_hidden.iter().any(same)
        };
        let kept = before.blurred_areas.iter().copied().chain(lately).chain(hidden);
        let mut blurred_areas: Vec<BlurredArea> =
            kept.filter(|area| area.until > self.captured_at.instant && !found(area)).collect();
        blurred_areas.drain(..blurred_areas.len().saturating_sub(MAX_AREAS));
        self.blurred_areas = blurred_areas;
    }

    /// The areas that must stay blurred at `now`.
    pub fn blurred_at(&self, now: Instant) -> impl Iterator<Item = Rect> {
        self.blurred_areas.iter().filter(move |area| area.until > now).map(|area| area.rect)
    }
}
