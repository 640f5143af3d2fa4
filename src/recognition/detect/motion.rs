//! Motion detection: compares a small plane of luma with that of the last look. Sensor noise, flicker and automatic
//! exposure do not count as motion; a distant face does.

use crate::image::{Luma, Rect};

/// The smallest difference in levels of 255 that counts as motion, even with little noise.
const LEAST: f32 = 5.0;
/// The number of standard deviations of noise from which a cell has changed. Noise exceeds it in one cell in a million.
const TIMES_NOISE: f32 = 6.0;
/// The median of the absolute value of Gaussian noise, in standard deviations.
const MEDIAN: f32 = 0.67;
/// The least noise that is stored; it gives the limit LEAST. A noise near 0 would not grow again.
const LEAST_NOISE: f32 = LEAST * MEDIAN / TIMES_NOISE;
/// The weight of a look in the moving average of the noise.
const FOLLOWS: f32 = 0.1;
/// The initial noise of a cell, which is the mean of many pixels.
const MOST_AT_FIRST: f32 = 2.0;
/// The fewest changed cells of a place: a face of 40 pixels covers more than a dozen.
const CELLS: usize = 3;
/// The most places; more are merged into one.
const PLACES: usize = 6;
/// The share of changed cells from which the whole scene has changed, such as after a cut or when a light goes on. At
/// cuts, 0.85 to 0.97 changed; between looks in a room, with a head close by, and during a pan, up to 0.46.
const ANOTHER: f32 = 0.6;
/// When the average share of changed cells exceeds this, as with a camera that is carried around, such a change does
/// not count as a new scene.
const RESTLESS: f32 = 0.3;

#[derive(Debug, Clone, PartialEq)]
pub enum Motion {
    /// Unknown: there is no earlier frame.
    Unknown,
    Everywhere,
    /// These places have changed, in pixels of the frame; empty without motion.
    At(Vec<Rect>),
}

impl Motion {
    pub fn is_none(&self) -> bool {
        matches!(self, Motion::At(places) if places.is_empty())
    }
}

#[derive(Debug, Default)]
pub struct MotionGate {
    reference: Option<Luma>,
    /// The noise of a cell without motion.
    noise: f32,
    /// The average share of changed cells.
    unrest: f32,
}

impl MotionGate {
    /// The motion from the last [remembered](MotionGate::remember) frame to `luma`, on a frame of `size` pixels.
    pub fn compare(&mut self, luma: &Luma, size: (u32, u32)) -> Motion {
        let known = self.reference.as_ref().filter(|known| (known.width, known.height) == (luma.width, luma.height));
        let Some(known) = known.filter(|known| !known.data.is_empty()) else { return Motion::Unknown };
        let mut differences: Vec<f32> =
            known.data.iter().zip(&luma.data).map(|(old, new)| f32::from(*new) - f32::from(*old)).collect();
        // A change that all cells have in common is one of light or exposure.
        let common = median(&differences);
        differences.iter_mut().for_each(|difference| *difference = (*difference - common).abs());
        // While less than half of the picture moves, the median is that of cells without motion.
        let usual = median(&differences);
        // With more motion, the noise is not updated.
        self.noise += match self.noise {
            0.0 => usual.min(MOST_AT_FIRST),
            known => FOLLOWS * (usual.min(known * 2.0) - known),
        };
        self.noise = self.noise.max(LEAST_NOISE);
        let limit = (TIMES_NOISE * self.noise / MEDIAN).max(LEAST);
        let changed: Vec<bool> = differences.iter().map(|difference| *difference > limit).collect();
        let share = changed.iter().filter(|changed| **changed).count() as f32 / changed.len() as f32;
        let is_another = share >= ANOTHER && self.unrest < RESTLESS;
        self.unrest += FOLLOWS * (share - self.unrest);
        if is_another { Motion::Everywhere } else { Motion::At(places(&changed, luma.width as usize, size)) }
    }

    /// Stores the frame of a look for comparison with later ones; `None` clears it.
    pub fn remember(&mut self, luma: Option<Luma>) {
        self.reference = luma;
    }
}

/// The boxes of the changed cells, in pixels of a frame of `size`.
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

/// All changed cells that are connected with `start`, across gaps of one cell: their number, and left, top, right,
/// bottom.
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

    /// A room with noise of about two levels; `light` is added to all cells, and `person` is a box of cells.
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
        let mut gate = MotionGate::default();
        assert_eq!(gate.compare(&reference, SIZE), Motion::Unknown);
        gate.remember(Some(reference));
        gate.compare(luma, SIZE)
    }

    #[test]
    fn noise_and_a_change_of_exposure_are_no_motion() {
        for seed in 2..40 {
            assert!(after(room(1, 0, None), &room(seed, 0, None)).is_none(), "{seed}");
            assert!(after(room(1, 0, None), &room(seed, 25, None)).is_none(), "{seed}, lighter");
        }
    }

    #[test]
    fn noise_that_comes_at_dusk_after_a_day_without_any_is_no_motion() {
        let (by_day, mut gate) = (room(1, 0, None), MotionGate::default());
        gate.remember(Some(by_day.clone()));
        gate.compare(&room(2, 0, None), SIZE);
        (0..1500).for_each(|_| assert!(gate.compare(&by_day, SIZE).is_none()));
        let at_night: Vec<bool> = (3..300).map(|seed| gate.compare(&room(seed, 0, None), SIZE).is_none()).collect();
        assert!(at_night[100..].iter().all(|is_none| *is_none), "{at_night:?}");
    }

    #[test]
    fn a_small_face_that_appears_is_located() {
        let Motion::At(places) = after(room(1, 0, None), &room(2, 0, Some([30, 20, 5, 5]))) else { panic!() };
        assert_eq!(places.len(), 1);
        assert!(places[0].iou(Rect { x: 240, y: 160, w: 40, h: 40 }) > 0.6, "{places:?}");
    }

    #[test]
    fn a_person_who_stands_still_is_no_motion_and_one_who_walks_leaves_two_places() {
        let there = Some([10, 20, 8, 12]);
        assert!(after(room(1, 0, there), &room(2, 0, there)).is_none());
        let Motion::At(places) = after(room(1, 0, there), &room(2, 0, Some([60, 20, 8, 12]))) else { panic!() };
        assert_eq!(places.len(), 2);
    }

    #[test]
    fn a_change_of_scene_differs_from_a_person_close_by_unless_every_look_has_one() {
        let near = |side: usize| Some([side, 0, 36, 60]);
        assert!(
            matches!(after(room(1, 0, None), &room(2, 0, near(0))), Motion::At(_)),
            "a person covers nearly half of it"
        );
        let dark = Luma { width: 80, height: 60, data: (0..4800).map(|at| (at * 37 % 60) as u8).collect() };
        let mut gate = MotionGate::default();
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
