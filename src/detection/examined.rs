//! [`Examined`]: the content of a frame that recognition has examined. It finds the areas of a later frame that show
//! something that has not been examined. With `overlay.unknown = blur` these areas are blurred.

use crate::image::{Rect, Rgb};

/// The most cells across a frame.
const ACROSS: u32 = 160;
/// The most lines of a cell that are read.
const LINES: u32 = 4;
/// The mean of a cell is stored in this fraction of a level of 255.
const PARTS: u32 = 64;
/// The number of cells, three per side, whose sum is compared: it reduces noise to a third.
const CELLS: i32 = 9;
/// The fractions of a level in such a sum.
const LEVEL: f32 = (CELLS * PARTS as i32) as f32;
/// The cells per side of a block. A block is blurred as a whole: a face as high as the frame is 9 blocks high.
const BLOCK: usize = 10;
/// The distance in cells around a changed cell that is blurred with it: the outlines of a moving face change most.
const AROUND: usize = 3;
/// The smallest difference in levels of 255 that counts as a change, even with little noise.
const LEAST: f32 = 0.5;
/// The number of standard deviations of noise from which a difference counts as a change. The noise is the median of
/// all cells; bright and textured cells have twice as much.
const TIMES_NOISE: f32 = 7.0;
/// The largest noise in levels, that of a camera at night.
const MOST_NOISE: f32 = 1.0;
/// The weight of a look in the moving average of the noise.
const NOISE_FOLLOWS: f32 = 0.1;
/// The weight of a look in the moving average of a cell is one in this many: the average of a fading cell lags behind
/// by this many times the change per look.
const USUAL_FOLLOWS: i32 = 16;

/// The content of the frame of a look, with statistics of the looks before.
#[derive(Debug)]
pub struct Examined {
    plane: CellPlane,
    /// The content of the look before.
    before: Option<CellPlane>,
    /// The moving average of the cells.
    usual: CellPlane,
    /// The standard deviation of noise in levels; `None` before the third look.
    noise: Option<f32>,
    /// The blocks that have just changed, or change gradually.
    unsettled: Vec<bool>,
    hidden: Vec<Rect>,
}

impl Examined {
    /// The content of `rgb`, all of which was examined. `hidden` are the areas of possible faces without a name;
    /// `before` is the look before.
    pub fn new(rgb: &Rgb, hidden: Vec<Rect>, before: Option<&Examined>) -> Examined {
        let plane = CellPlane::of(rgb);
        let Some(before) = before.filter(|before| before.plane.is_like(&plane)) else {
            let (usual, unsettled) = (plane.clone(), vec![true; plane.blocks().count()]);
            return Examined { plane, before: None, usual, noise: None, unsettled, hidden };
        };
        let noise = before.noise_until(&plane);
        let limits = limits(noise);
        let unsettled = plane.blocks_near(&plane.changed_from(&before.usual, limits.to_usual));
        let mut usual = before.usual.clone();
        let moved = plane.changed_from(&before.plane, limits.to_frame);
        for ((usual, now), moved) in usual.data.iter_mut().zip(&plane.data).zip(moved) {
            let share = if moved { 1 } else { USUAL_FOLLOWS };
            for (usual, now) in usual.iter_mut().zip(now) {
                let way = i32::from(*now) - i32::from(*usual);
                *usual += ((way + way.signum() * share / 2) / share) as i16;
            }
        }
        Examined { plane, before: Some(before.plane.clone()), usual, noise, unsettled, hidden }
    }

    /// The areas of possible faces without a name.
    pub fn hidden(&self) -> &[Rect] {
        &self.hidden
    }

    /// True when no area has just changed or changes gradually.
    pub fn is_settled(&self) -> bool {
        !self.unsettled.contains(&true)
    }

    /// The areas of a later frame that must be blurred: those that differ from this look, and those that were changing
    /// in this look.
    pub fn unseen_on(&self, rgb: &Rgb) -> Vec<Rect> {
        let plane = CellPlane::of(rgb);
        if !self.plane.is_like(&plane) {
            return plane.blocks().collect();
        }
        let changed = plane.blocks_near(&plane.changed_from(&self.plane, limits(self.noise).to_frame));
        let unseen = changed.into_iter().zip(&self.unsettled).map(|(changed, unsettled)| changed || *unsettled);
        plane.blocks().zip(unseen).filter(|(_, unseen)| *unseen).map(|(block, _)| block).collect()
    }

    /// The noise after the next look with `plane`. It is estimated from the difference between two successive changes:
    /// a fading picture changes steadily, and noise does not.
    fn noise_until(&self, plane: &CellPlane) -> Option<f32> {
        let Some(before) = &self.before else { return self.noise };
        let usual = median(sum_of(&[(plane, 1), (&self.plane, -2), (before, 1)])) as f32 / LEVEL;
        // The median of the absolute value of Gaussian noise is 0.67 of its deviation, and the deviation of this sum is
        // the square root of 6 times that of one value.
        let noise = (usual / 0.67 / 6_f32.sqrt()).min(MOST_NOISE);
        Some(self.noise.map_or(noise, |known| known + NOISE_FOLLOWS * (noise - known)))
    }
}

/// The difference from which a cell has changed.
struct Limits {
    /// Between two frames.
    to_frame: i32,
    /// Between the moving average and a frame.
    to_usual: i32,
}

fn limits(noise: Option<f32>) -> Limits {
    let limit = |deviations: f32| ((TIMES_NOISE * deviations * noise.unwrap_or(0.0)).max(LEAST) * LEVEL) as i32;
    // The moving average covers many frames and has little noise.
    Limits { to_frame: limit(2_f32.sqrt()), to_usual: limit(1.0) }
}

/// The mean colour of each cell of a picture.
#[derive(Debug, Clone)]
struct CellPlane {
    /// The width in cells.
    width: usize,
    /// The side of a cell in pixels.
    cell: u32,
    /// The width and height of the picture in pixels.
    size: (u32, u32),
    /// The values in fractions of a level, line by line.
    data: Vec<[i16; 3]>,
}

impl CellPlane {
    fn of(rgb: &Rgb) -> CellPlane {
        let cell = rgb.width.div_ceil(ACROSS).min(rgb.height).max(1);
        // The last cells of a line and of a column overlap their neighbours, because smaller cells would have more
        // noise.
        let starts = |end: u32| (0..end).step_by(cell as usize).map(move |start| start.min(end - cell));
        let pixels = rgb.data.as_chunks::<3>().0;
        let mut data = Vec::new();
        for top in starts(rgb.height) {
            let lines = (top..top + cell).step_by(cell.div_ceil(LINES) as usize);
            let read = lines.len() as u32 * cell;
            data.extend(starts(rgb.width).map(|left| {
                let mut sum = [0_u32; 3];
                for y in lines.clone() {
                    let from = y as usize * rgb.width as usize + left as usize;
                    for pixel in &pixels[from..from + cell as usize] {
                        (0..3).for_each(|i| sum[i] += u32::from(pixel[i]));
                    }
                }
                sum.map(|sum| (sum * PARTS / read) as i16)
            }));
        }
        CellPlane { width: starts(rgb.width).count(), cell, size: (rgb.width, rgb.height), data }
    }

    fn height(&self) -> usize {
        self.data.len() / self.width.max(1)
    }

    fn is_like(&self, other: &CellPlane) -> bool {
        self.size == other.size
    }

    /// The cells that differ from those of another plane of the same size by more than `limit`.
    fn changed_from(&self, other: &CellPlane, limit: i32) -> Vec<bool> {
        sum_of(&[(self, 1), (other, -1)]).into_iter().map(|difference| difference > limit).collect()
    }

    /// For each block, whether one of these cells is in or near it.
    fn blocks_near(&self, cells: &[bool]) -> Vec<bool> {
        let (width, height) = (self.width, self.height());
        let across = width.div_ceil(BLOCK);
        let mut blocks = vec![false; across * height.div_ceil(BLOCK)];
        let near = |at: usize, end: usize| at.saturating_sub(AROUND) / BLOCK..=(at + AROUND).min(end - 1) / BLOCK;
        for (at, _) in cells.iter().enumerate().filter(|(_, is_one)| **is_one) {
            for row in near(at / width, height) {
                near(at % width, width).for_each(|column| blocks[row * across + column] = true);
            }
        }
        blocks
    }

    /// The blocks, line by line, in pixels of the picture.
    fn blocks(&self) -> impl Iterator<Item = Rect> {
        let side = BLOCK as u32 * self.cell;
        let (width, height) = self.size;
        let starts = move |end: u32| (0..end).step_by(side as usize);
        starts(height).flat_map(move |y| {
            starts(width).map(move |x| Rect { x: x as i32, y: y as i32, w: side, h: side }.clipped(width, height))
        })
    }
}

/// The weighted sum of planes of one size. For each cell it is computed from the sum of the cell and its neighbours,
/// minus the change of the whole picture (light or exposure), in the colour with the largest value. The weights add up
/// to 0.
fn sum_of(planes: &[(&CellPlane, i32)]) -> Vec<i32> {
    let Some((first, _)) = planes.first() else { return Vec::new() };
    let mut largest = vec![0; first.data.len()];
    for color in 0..3 {
        let cell = |at: usize| planes.iter().map(|(plane, weight)| i32::from(plane.data[at][color]) * weight).sum();
        let sums: Vec<i32> = (0..first.data.len()).map(cell).collect();
        let common = median(sums.clone());
        for (largest, sum) in largest.iter_mut().zip(with_those_around(&sums, first.width)) {
            *largest = (sum - CELLS * common).abs().max(*largest);
        }
    }
    largest
}

/// The sum of each value and its 8 neighbours; at the edges, that of the closest value with 8 neighbours.
fn with_those_around(values: &[i32], width: usize) -> Vec<i32> {
    let three = |at: usize, end: usize| {
        let middle = at.clamp(1, end.max(3) - 2);
        [middle - 1, middle, middle + 1].map(|at| at.min(end - 1))
    };
    let mut across = Vec::with_capacity(values.len());
    for line in values.chunks_exact(width) {
        across.extend((0..width).map(|x| three(x, width).map(|x| line[x]).iter().sum::<i32>()));
    }
    let (height, across) = (values.len() / width, &across);
    let down = |y: usize| {
        let lines = three(y, height);
        (0..width).map(move |x| lines.map(|y| across[y * width + x]).iter().sum())
    };
    (0..height).flat_map(down).collect()
}

fn median(mut values: Vec<i32>) -> i32 {
    let middle = values.len() / 2;
    if values.is_empty() { 0 } else { *values.select_nth_unstable(middle).1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of a room, 330 pixels wide, whose edges do not coincide with those of cells or blocks. The noise
    /// has a deviation of about `noise`.
    fn room(seed: u32, noise: f64) -> Rgb {
        let mut state = seed.wrapping_mul(2_654_435_761) | 1;
        let mut uniform = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            f64::from(state) / f64::from(u32::MAX) - 0.5
        };
        let shade = |at: u32| f64::from(60 + at % 330 / 4 + at / 330 / 4);
        let mut gauss = || (uniform() + uniform() + uniform() + uniform()) * 3_f64.sqrt();
        let data =
            (0..330 * 250).flat_map(|at| [0; 3].map(|_: u8| at)).map(|at| (shade(at) + noise * gauss()).round() as u8);
        Rgb { width: 330, height: 250, data: data.collect() }
    }

    /// Draws stripes on an area of 40 x 40 pixels, `by` levels darker and lighter in the given colours.
    fn stripes(mut rgb: Rgb, by: [f64; 3]) -> Rgb {
        for (x, y) in (0..40).flat_map(|x| (0..40).map(move |y| (x, y))) {
            let at = rgb.offset(150 + x, 100 + y);
            for (value, by) in rgb.data[at..at + 3].iter_mut().zip(by) {
                let sign = if y / 10 % 2 == 0 { 1.0 } else { -1.0 };
                // The pixels of a fading photo do not all change at once.
                let fraction = f64::from((x * 7 + y * 13) % 16) / 16.0;
                *value = (f64::from(*value) + sign * by + fraction).floor() as u8;
            }
        }
        rgb
    }

    fn after(looks: impl IntoIterator<Item = Rgb>) -> Examined {
        let examined =
            looks.into_iter().fold(None, |before, rgb| Some(Examined::new(&rgb, Vec::new(), before.as_ref())));
        examined.unwrap()
    }

    fn covers_the_stripes(places: &[Rect]) -> bool {
        let covered = |x: i32, y: i32| {
            places.iter().any(|at| (at.x..at.x + at.w as i32).contains(&x) && (at.y..at.y + at.h as i32).contains(&y))
        };
        (150..190).all(|x| (100..140).all(|y| covered(x, y)))
    }

    #[test]
    fn an_idle_room_becomes_clear_and_stays_so_whatever_the_noise_and_the_light() {
        for noise in [0.0, 1.0, 4.0, 8.0] {
            let examined = after((1..12).map(|seed| room(seed, noise)));
            assert!(examined.is_settled(), "noise of {noise}");
            for seed in 20..40 {
                let mut frame = room(seed, noise);
                assert_eq!(examined.unseen_on(&frame), [], "noise of {noise}, frame {seed}");
                frame.data.iter_mut().for_each(|value| *value = value.saturating_add(20));
                assert_eq!(examined.unseen_on(&frame), [], "noise of {noise}, lighter frame {seed}");
            }
        }
    }

    #[test]
    fn a_new_object_is_unexamined_until_two_looks_have_seen_it_unchanged() {
        let (empty, there) = (room(1, 0.0), stripes(room(1, 0.0), [3.0; 3]));
        let once = |rgb: &Rgb| [rgb.clone(), rgb.clone()];
        assert!(covers_the_stripes(&after(once(&empty)).unseen_on(&there)));
        let first = after(once(&empty).into_iter().chain([there.clone()]));
        assert!(covers_the_stripes(&first.unseen_on(&there)) && !first.is_settled());
        let second = Examined::new(&there, Vec::new(), Some(&first));
        assert!(second.unseen_on(&there).is_empty() && second.is_settled());
        assert!(covers_the_stripes(&second.unseen_on(&empty)), "a person who leaves");
        assert!(after(once(&empty)).unseen_on(&there).len() < 20, "all else is clear");
    }

    #[test]
    fn a_change_of_colour_alone_is_a_change() {
        let colored = stripes(room(1, 0.0), [3.0, 0.0, -3.0]);
        assert!(covers_the_stripes(&after([room(1, 0.0), room(1, 0.0)]).unseen_on(&colored)));
    }

    #[test]
    fn a_fade_over_many_looks_is_unexamined_until_it_ends() {
        for (noise, step) in [(0.0, 0.1), (2.0, 0.4)] {
            let frame = |look: u32| stripes(room(look + 1, noise), [step * f64::from(look.min(100)); 3]);
            let mut examined = after((0..10).map(|seed| room(1000 + seed, noise)));
            for look in 0..250 {
                examined = Examined::new(&frame(look), Vec::new(), Some(&examined));
                let unseen = examined.unseen_on(&frame(look));
                match look {
                    25..100 => assert!(covers_the_stripes(&unseen), "noise of {noise}, look {look}: {unseen:?}"),
                    200.. => assert_eq!(unseen, [], "noise of {noise}, look {look}"),
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn a_picture_of_another_size_is_unexamined() {
        let examined = after([room(1, 0.0), room(1, 0.0)]);
        for (width, height) in [(331, 250), (1, 1), (1280, 720), (64, 2000)] {
            let rgb = Rgb::filled(width, height, [90; 3]);
            let area: u32 = examined.unseen_on(&rgb).iter().map(|block| block.w * block.h).sum();
            assert_eq!(area, width * height);
            assert!(!Examined::new(&rgb, Vec::new(), Some(&examined)).is_settled());
        }
    }
}
