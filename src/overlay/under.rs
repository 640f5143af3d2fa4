//! [`Under`]: what a picture showed where something was drawn on it.

use super::Area;
use crate::pixels::Rgb;

/// The pixels that were drawn over, area by area.
#[derive(Debug, Default)]
pub(super) struct Under {
    areas: Vec<Area>,
    pixels: Vec<[u8; 3]>,
}

impl Under {
    /// Forgets what it has.
    pub(super) fn clear(&mut self) {
        self.areas.clear();
        self.pixels.clear();
    }

    /// Keeps what the picture shows in the area, which is going to be drawn on.
    pub(super) fn keep(&mut self, rgb: &mut Rgb, area: Area) {
        self.areas.push(area);
        area.lines(rgb).for_each(|line| self.pixels.extend_from_slice(line));
    }

    /// Puts it back, the last first: areas may lie over each other.
    pub(super) fn put_back(&mut self, rgb: &mut Rgb) {
        let mut end = self.pixels.len();
        for area in self.areas.drain(..).rev() {
            let start = end - area.lines(rgb).map(|line| line.len()).sum::<usize>();
            let mut pixels = &self.pixels[start..end];
            for line in area.lines(rgb) {
                let (kept, rest) = pixels.split_at(line.len());
                line.copy_from_slice(kept);
                pixels = rest;
            }
            end = start;
        }
    }
}
