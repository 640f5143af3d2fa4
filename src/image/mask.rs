//! [`Mask`]: the zones of the picture that are hidden from everybody.

use super::{Luma, Rgb, Turn};
use std::sync::Arc;

/// The number of parts of a side. A zone is measured in such parts.
const PARTS: u32 = 10_000;

/// A rectangle of the picture, in ten-thousandths of its width and height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone {
    left: u32,
    top: u32,
    right: u32,
    bottom: u32,
}

impl Zone {
    /// The zone with this left edge, top edge, width and height in percent. `None` when the zone is empty or extends
    /// beyond the picture.
    pub fn of_percent([left, top, width, height]: [f64; 4]) -> Option<Zone> {
        let side = |from: f64, length: f64| {
            // Rounded outwards; the margin of 1e-6 ignores the error of a decimal fraction in binary.
            let (from, to) = ((from * 100.0 + 1e-6).floor(), ((from + length) * 100.0 - 1e-6).ceil());
            let is_inside = from >= 0.0 && from < to && to <= f64::from(PARTS);
            is_inside.then_some((from as u32, to as u32))
        };
        let ((left, right), (top, bottom)) = (side(left, width)?, side(top, height)?);
        Some(Zone { left, top, right, bottom })
    }
}

/// Zones that are black in every picture that is shown, and for recognition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mask {
    zones: Arc<[Zone]>,
    /// The turn of the picture to which the zones apply: with another turn the same zones hide other parts of the
    /// scene.
    turn: Turn,
}

impl Mask {
    /// A mask of `zones` for a picture with this turn.
    pub fn new(zones: &[Zone], turn: Turn) -> Mask {
        if zones.is_empty() { Mask::default() } else { Mask { zones: zones.into(), turn } }
    }

    /// True when the mask hides nothing.
    pub fn is_empty(&self) -> bool {
        self.zones.is_empty()
    }

    /// Makes the zones of an upright picture black.
    pub fn apply(&self, rgb: &mut Rgb) {
        self.fill(&mut rgb.data, rgb.width, 3, rgb.height);
    }

    /// Makes the zones of a small plane of luma black.
    pub fn apply_to_luma(&self, luma: &mut Luma) {
        self.fill(&mut luma.data, luma.width, 1, luma.height);
    }

    /// Fills the zones with 0. Pixels that are partly in a zone are filled, too. `bytes` is the number of bytes per
    /// pixel.
    fn fill(&self, data: &mut [u8], width: u32, bytes: usize, height: u32) {
        let pixels = |side: u32, from: u32, to: u32| {
            let scaled = |part: u32| u64::from(part) * u64::from(side);
            ((scaled(from) / u64::from(PARTS)) as usize, scaled(to).div_ceil(u64::from(PARTS)) as usize)
        };
        for zone in &*self.zones {
            let ((left, right), (top, bottom)) =
                (pixels(width, zone.left, zone.right), pixels(height, zone.top, zone.bottom));
            let lines = data.chunks_exact_mut((width as usize * bytes).max(1));
            lines.take(bottom).skip(top).for_each(|line| line[left * bytes..right * bytes].fill(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_covers_each_pixel_that_is_partly_in_it_and_no_other() {
        let mask = Mask::new(&[Zone::of_percent([10.0, 50.0, 20.1, 50.0]).unwrap()], Turn::default());
        let mut rgb = Rgb::filled(20, 5, [9; 3]);
        mask.apply(&mut rgb);
        for (x, y) in (0..20).flat_map(|x| (0..5).map(move |y| (x, y))) {
            // The zone extends from 2 to 6.02 of 20 pixels, and from 2.5 of 5 lines.
            let is_in = (2..=6).contains(&x) && y >= 2;
            assert_eq!(rgb.pixel(x, y) == [0; 3], is_in, "{x} {y}");
        }
        let mut luma = Luma { width: 20, height: 5, data: vec![9; 100] };
        mask.apply_to_luma(&mut luma);
        assert!(luma.data.iter().zip(rgb.data.chunks(3)).all(|(luma, rgb)| *luma == rgb[0]));
        let whole = Mask::new(&[Zone::of_percent([0.0, 0.0, 100.0, 100.0]).unwrap()], Turn::default());
        whole.apply(&mut rgb);
        assert!(rgb.data.iter().all(|value| *value == 0));
        whole.apply(&mut Rgb { width: 0, height: 0, data: Vec::new() });
    }

    #[test]
    fn a_zone_beyond_the_picture_is_none_and_the_turn_counts_only_with_zones() {
        for wrong in [
            [-1.0, 0.0, 5.0, 5.0],
            [90.0, 0.0, 10.1, 5.0],
            [0.0, 0.0, 0.0, 5.0],
            [f64::NAN, 0.0, 1.0, 1.0],
            [0.0, 1.0, 1.0, f64::INFINITY],
        ] {
            assert_eq!(Zone::of_percent(wrong), None, "{wrong:?}");
        }
        let (zone, turned) = (Zone::of_percent([69.9, 0.0, 30.1, 33.3]).unwrap(), Turn { degrees: 90, mirror: false });
        assert_eq!(zone, Zone { left: 6990, top: 0, right: 10_000, bottom: 3330 });
        assert_ne!(Mask::new(&[zone], turned), Mask::new(&[zone], Turn::default()));
        assert_eq!(Mask::new(&[], turned), Mask::default());
    }
}
