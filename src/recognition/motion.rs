//! Whether anything moved, and where: a small plane of luma against the one that was looked at last. Sensor noise, flicker
//! and automatic exposure are not motion; a face far away is.

use crate::pixels::Luma;
use crate::sighting::Rect;

/// Below this difference, in steps of 255, nothing is believed to have moved, however quiet the camera is.
const LEAST: f32 = 5.0;
/// A cell has changed when its difference is so many times the usual one. Of noise, one cell in a million is.
const TIMES_NOISE: f32 = 6.0;
/// How fast the usual difference follows that of one look.
const FOLLOWS: f32 = 0.1;
/// The noise of a cell, which is the mean of many pixels, is believed to be no larger before anything is known.
const MOST_AT_FIRST: f32 = 2.0;
/// A single cell is a spark; a face of 40 pixels covers more than a dozen.
const CELLS: usize = 3;
/// More places than that are one place.
const PLACES: usize = 6;
/// Where so large a share of the cells has changed it is another picture: a camera woke up, a light went on, a film was cut.
/// At such cuts 0.85 to 0.97 changed; from look to look in a room or before a head, and as a camera pans, up to 0.46.
const ANOTHER: f32 = 0.6;
/// But not where so much changes from look to look as a rule, as before a camera that is carried about: that is no news.
const RESTLESS: f32 = 0.3;

/// What moved since the last look.
#[derive(Debug, Clone, PartialEq)]
pub enum Motion {
    /// Nobody knows: there is nothing to compare with.
    Unknown,
    /// Everything at once: nothing is where it was.
    Everywhere,
    /// So many places, in pixels of the frame; none: nothing moved.
    At(Vec<Rect>),
}

impl Motion {
    /// True when nothing moved.
    pub fn is_none(&self) -> bool {
        matches!(self, Motion::At(places) if places.is_empty())
    }
}

/// Compares frames.
#[derive(Debug, Default)]
pub struct Gate {
    reference: Option<Luma>,
    /// The usual difference of a cell where nothing moves.
    noise: f32,
    /// The share of cells that change as a rule.
    unrest: f32,
}

impl Gate {
    /// What moved from the last frame that was [remembered](Gate::remember) to `luma`, on a frame of `size` pixels.
    pub fn compare(&mut self, luma: &Luma, size: (u32, u32)) -> Motion {
        let known = self.reference.as_ref().filter(|known| (known.width, known.height) == (luma.width, luma.height));
        let Some(known) = known.filter(|known| !known.data.is_empty()) else { return Motion::Unknown };
        let mut differences: Vec<f32> =
            known.data.iter().zip(&luma.data).map(|(old, new)| f32::from(*new) - f32::from(*old)).collect();
        // What all cells have in common is the light or the exposure.
        let common = median(&differences);
        differences.iter_mut().for_each(|difference| *difference = (*difference - common).abs());
        // As long as less than half of the picture moves, the median is that of cells where nothing does.
        let usual = median(&differences);
        // And where more moves, what is usual is not learnt from it.
        self.noise += match self.noise {
            0.0 => usual.min(MOST_AT_FIRST),
            known => FOLLOWS * (usual.min(known * 2.0) - known),
        };
        // The median of the size of gaussian noise is 0.67 of its deviation.
        let limit = (TIMES_NOISE * self.noise / 0.67).max(LEAST);
        let changed: Vec<bool> = differences.iter().map(|difference| *difference > limit).collect();
        let share = changed.iter().filter(|changed| **changed).count() as f32 / changed.len() as f32;
        let is_another = share >= ANOTHER && self.unrest < RESTLESS;
        self.unrest += FOLLOWS * (share - self.unrest);
        if is_another { Motion::Everywhere } else { Motion::At(places(&changed, luma.width as usize, size)) }
    }

    /// This frame is looked at: later ones are compared with it. `None`: with nothing.
    pub fn remember(&mut self, luma: Option<Luma>) {
        self.reference = luma;
    }
}

/// The boxes of what changed, in pixels of a frame of `size`.
fn places(changed: &[bool], width: usize, size: (u32, u32)) -> Vec<Rect> {
    let height = changed.len() / width;
    let (cell_w, cell_h) = (f64::from(size.0) / width as f64, f64::from(size.1) / height as f64);
    let mut seen = vec![false; changed.len()];
    let mut found = Vec::new();
    for start in 0..changed.len() {
        if !changed[start] || seen[start] {
            continue;
        }
        let (cells, [left, top, right, bottom]) = flood(changed, &mut seen, width, start);
        if cells >= CELLS {
            let scaled = |cells: usize, of: f64| cells as f64 * of;
            let (x, y) = (scaled(left, cell_w), scaled(top, cell_h));
            let (w, h) = (scaled(right + 1 - left, cell_w), scaled(bottom + 1 - top, cell_h));
            found.push(Rect { x: x as i32, y: y as i32, w: w.ceil() as u32, h: h.ceil() as u32 });
        }
    }
    if found.len() > PLACES { found.into_iter().reduce(Rect::around).into_iter().collect() } else { found }
}

/// All changed cells that hang together with `start`, gaps of one cell included: how many, and left, top, right, bottom.
fn flood(changed: &[bool], seen: &mut [bool], width: usize, start: usize) -> (usize, [usize; 4]) {
    let height = changed.len() / width;
    let (mut open, mut cells) = (vec![start], 0);
    let mut bounds = [start % width, start / width, start % width, start / width];
    seen[start] = true;
    while let Some(at) = open.pop() {
        let (x, y) = (at % width, at / width);
        cells += 1;
        bounds = [bounds[0].min(x), bounds[1].min(y), bounds[2].max(x), bounds[3].max(y)];
        for ny in y.saturating_sub(2)..=(y + 2).min(height - 1) {
            for nx in x.saturating_sub(2)..=(x + 2).min(width - 1) {
                let next = ny * width + nx;
                if changed[next] && !seen[next] {
                    seen[next] = true;
                    open.push(next);
                }
            }
        }
    }
    (cells, bounds)
}

fn median(values: &[f32]) -> f32 {
    let mut values = values.to_vec();
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f32::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: (u32, u32) = (640, 480);

    /// A room with noise of about two steps; `light` is added to all, and `person` is a box of cells.
    fn room(seed: u32, light: i32, person: Option<[usize; 4]>) -> Luma {
        let mut state = seed.wrapping_mul(747_796_405) | 1;
        let mut noise = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (0..4).map(|part| (state >> (part * 8) & 0xff) as i32).sum::<i32>() / 80 - 6
        };
        let cell = |at: usize, noise: i32| {
            let (x, y) = (at % 80, at / 80);
            let inside =
                person.is_some_and(|[left, top, w, h]| (left..left + w).contains(&x) && (top..top + h).contains(&y));
            let shade = if inside { 150 } else { 60 + (x as i32 + y as i32) / 2 };
            (shade + light + noise).clamp(0, 255) as u8
        };
        Luma { width: 80, height: 60, data: (0..4800).map(|at| cell(at, noise())).collect() }
    }

    fn after(reference: Luma, luma: &Luma) -> Motion {
        let mut gate = Gate::default();
        assert_eq!(gate.compare(&reference, SIZE), Motion::Unknown);
        gate.remember(Some(reference));
        gate.compare(luma, SIZE)
    }

    #[test]
    fn noise_and_another_exposure_are_no_motion() {
        for seed in 2..40 {
            assert!(after(room(1, 0, None), &room(seed, 0, None)).is_none(), "{seed}");
            assert!(after(room(1, 0, None), &room(seed, 25, None)).is_none(), "{seed}, lighter");
        }
    }

    #[test]
    fn a_small_face_that_comes_is_found_where_it_is() {
        let Motion::At(places) = after(room(1, 0, None), &room(2, 0, Some([30, 20, 5, 5]))) else { panic!() };
        assert_eq!(places.len(), 1);
        assert!(places[0].iou(Rect { x: 240, y: 160, w: 40, h: 40 }) > 0.6, "{places:?}");
    }

    #[test]
    fn whoever_stands_still_does_not_move_and_whoever_goes_leaves_two_places() {
        let there = Some([10, 20, 8, 12]);
        assert!(after(room(1, 0, there), &room(2, 0, there)).is_none());
        let Motion::At(places) = after(room(1, 0, there), &room(2, 0, Some([60, 20, 8, 12]))) else { panic!() };
        assert_eq!(places.len(), 2);
    }

    #[test]
    fn another_picture_is_told_from_somebody_near_unless_it_is_another_one_at_each_look() {
        let near = |side: usize| Some([side, 0, 36, 60]);
        assert!(
            matches!(after(room(1, 0, None), &room(2, 0, near(0))), Motion::At(_)),
            "somebody covers nearly half of it"
        );
        let dark = Luma { width: 80, height: 60, data: (0..4800).map(|at| (at * 37 % 60) as u8).collect() };
        let mut gate = Gate::default();
        gate.remember(Some(dark.clone()));
        let lit = |look: u32| room(look, 0, near(20));
        assert_eq!(gate.compare(&lit(0), SIZE), Motion::Everywhere, "the light goes on");
        let mut another = 1;
        for look in 1..20 {
            let (before, now) = if look % 2 == 0 { (dark.clone(), lit(look)) } else { (lit(look), dark.clone()) };
            gate.remember(Some(before));
            another += u32::from(gate.compare(&now, SIZE) == Motion::Everywhere);
        }
        assert!((2..=5).contains(&another), "{another} of 20");
    }

    #[test]
    fn a_picture_of_another_size_is_compared_with_nothing() {
        let other = Luma { width: 40, height: 30, data: vec![0; 1200] };
        assert_eq!(after(room(1, 0, None), &other), Motion::Unknown);
    }
}
