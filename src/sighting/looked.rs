//! [`Looked`]: what the whole frame of a look showed. It tells which places of a later frame show something that no look
//! has examined. With `overlay.unknown = blur` these places are blurred.

use super::Rect;
use crate::pixels::Rgb;

/// A frame is divided into at most so many cells across.
const ACROSS: u32 = 160;
/// So many lines of a cell are read at most.
const LINES: u32 = 4;
/// A cell's mean is kept in so many parts of a level of 255.
const PARTS: u32 = 64;
/// Values are compared by the sum of so many cells, three a side: of noise, a third is left.
const CELLS: i32 = 9;
/// Parts of a level in such a sum.
const LEVEL: f32 = (CELLS * PARTS as i32) as f32;
/// A block has so many cells a side. It is blurred as a whole: a face as high as the frame becomes 9 blocks high.
const BLOCK: usize = 10;
/// Cells within so many cells of a changed one are blurred with it: of a face that moves, the outlines change most.
const AROUND: usize = 3;
/// In levels of 255: a smaller difference is not a change, however quiet the camera is.
const LEAST: f32 = 0.5;
/// A difference is a change when it is so many times the standard deviation that noise gives it. Noise is that of the
/// middle of all cells; bright and textured ones have two times as much.
const TIMES_NOISE: f32 = 7.0;
/// The noise of a camera at night, in levels: it is never taken for larger.
const MOST_NOISE: f32 = 1.0;
/// How fast the noise follows that of one look.
const NOISE_FOLLOWS: f32 = 0.1;
/// The usual value of a cell follows that of a look by one part in so many: a cell that fades stays so many times as far
/// behind as it changes from look to look.
const USUAL_FOLLOWS: i32 = 16;

/// What the frame of one look showed, and what the looks before say about it.
#[derive(Debug)]
pub struct Looked {
    plane: Plane,
    /// That of the look before.
    before: Option<Plane>,
    /// What the cells usually show.
    usual: Plane,
    /// The standard deviation of noise, in levels; `None` until three looks are done.
    noise: Option<f32>,
    /// The blocks that have just changed, or change little by little.
    unsettled: Vec<bool>,
    hidden: Vec<Rect>,
}

impl Looked {
    /// The whole of `rgb` has been looked at. `hidden` are the places where something looks like a face and bears no name.
    /// `before` is the look before this one.
    pub fn new(rgb: &Rgb, hidden: Vec<Rect>, before: Option<&Looked>) -> Looked {
        let plane = Plane::of(rgb);
        let Some(before) = before.filter(|before| before.plane.is_like(&plane)) else {
            let (usual, unsettled) = (plane.clone(), vec![true; plane.blocks().count()]);
            return Looked { plane, before: None, usual, noise: None, unsettled, hidden };
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
        Looked { plane, before: Some(before.plane.clone()), usual, noise, unsettled, hidden }
    }

    /// The places where something looks like a face and bears no name.
    pub fn hidden(&self) -> &[Rect] {
        &self.hidden
    }

    /// True when no place has just changed or changes little by little.
    pub fn is_settled(&self) -> bool {
        !self.unsettled.contains(&true)
    }

    /// The places of a later frame that must be blurred: those that do not show what this look saw there, and those that
    /// this look saw change.
    pub fn unseen_on(&self, rgb: &Rgb) -> Vec<Rect> {
        let plane = Plane::of(rgb);
        if !self.plane.is_like(&plane) {
            return plane.blocks().collect();
        }
        let changed = plane.blocks_near(&plane.changed_from(&self.plane, limits(self.noise).to_frame));
        let unseen = changed.into_iter().zip(&self.unsettled).map(|(changed, unsettled)| changed || *unsettled);
        plane.blocks().zip(unseen).filter(|(_, unseen)| *unseen).map(|(block, _)| block).collect()
    }

    /// The noise, when `plane` is that of the next look. It is learnt from how much a change differs from the change before
    /// it: a picture that fades changes steadily, and noise does not.
    fn noise_until(&self, plane: &Plane) -> Option<f32> {
        let Some(before) = &self.before else { return self.noise };
        let usual = median(sum_of(&[(plane, 1), (&self.plane, -2), (before, 1)])) as f32 / LEVEL;
        // The median of the size of gaussian noise is 0.67 of its deviation, and the deviation of this sum is the square root
        // of 6 times that of one value.
        let noise = (usual / 0.67 / 6_f32.sqrt()).min(MOST_NOISE);
        Some(self.noise.map_or(noise, |known| known + NOISE_FOLLOWS * (noise - known)))
    }
}

/// From which difference on a cell has changed.
struct Limits {
    /// From one frame to another.
    to_frame: i32,
    /// From what is usual to one frame.
    to_usual: i32,
}

fn limits(noise: Option<f32>) -> Limits {
    let limit = |deviations: f32| ((TIMES_NOISE * deviations * noise.unwrap_or(0.0)).max(LEAST) * LEVEL) as i32;
    // What is usual is the mean of many frames, and nearly without noise.
    Limits { to_frame: limit(2_f32.sqrt()), to_usual: limit(1.0) }
}

/// The mean colour of each cell of a picture.
#[derive(Debug, Clone)]
struct Plane {
    /// In cells.
    width: usize,
    /// The side of a cell in pixels.
    cell: u32,
    /// Width and height of the picture in pixels.
    size: (u32, u32),
    /// In parts of a level, line by line.
    data: Vec<[i16; 3]>,
}

impl Plane {
    fn of(rgb: &Rgb) -> Plane {
        let cell = rgb.width.div_ceil(ACROSS).min(rgb.height).max(1);
        // The last cells of a line and of a column begin early enough to be whole: smaller ones would have more noise.
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
        Plane { width: starts(rgb.width).count(), cell, size: (rgb.width, rgb.height), data }
    }

    fn height(&self) -> usize {
        self.data.len() / self.width.max(1)
    }

    fn is_like(&self, other: &Plane) -> bool {
        self.size == other.size
    }

    /// The cells that differ from those of another plane of this size by more than `limit`.
    fn changed_from(&self, other: &Plane, limit: i32) -> Vec<bool> {
        sum_of(&[(self, 1), (other, -1)]).into_iter().map(|difference| difference > limit).collect()
    }

    /// For each block, whether one of these cells is in it or near it.
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

/// The weighted sum of planes of one size: for each cell, of the sum of it and the cells around it, without what the whole
/// picture has in common (the light or the exposure), in the colour in which that is largest. The weights add up to 0.
fn sum_of(planes: &[(&Plane, i32)]) -> Vec<i32> {
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

/// The sum of each value and the 8 around it; at the edges, that of the next ones that have 8 around them.
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

    /// A room 330 pixels wide, of which no cell and no block ends at its edges, with noise of a deviation of about `noise`.
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

    /// Draws stripes on a place of 40 x 40 pixels, `by` levels darker and lighter in the colours named.
    fn stripes(mut rgb: Rgb, by: [f64; 3]) -> Rgb {
        for (x, y) in (0..40).flat_map(|x| (0..40).map(move |y| (x, y))) {
            let at = rgb.offset(150 + x, 100 + y);
            for (value, by) in rgb.data[at..at + 3].iter_mut().zip(by) {
                let sign = if y / 10 % 2 == 0 { 1.0 } else { -1.0 };
                // The pixels of a photo that fades do not all change at once.
                let fraction = f64::from((x * 7 + y * 13) % 16) / 16.0;
                *value = (f64::from(*value) + sign * by + fraction).floor() as u8;
            }
        }
        rgb
    }

    fn after(looks: impl IntoIterator<Item = Rgb>) -> Looked {
        let looked = looks.into_iter().fold(None, |before, rgb| Some(Looked::new(&rgb, Vec::new(), before.as_ref())));
        looked.unwrap()
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
            let looked = after((1..12).map(|seed| room(seed, noise)));
            assert!(looked.is_settled(), "noise of {noise}");
            for seed in 20..40 {
                let mut frame = room(seed, noise);
                assert_eq!(looked.unseen_on(&frame), [], "noise of {noise}, frame {seed}");
                frame.data.iter_mut().for_each(|value| *value = value.saturating_add(20));
                assert_eq!(looked.unseen_on(&frame), [], "noise of {noise}, lighter frame {seed}");
            }
        }
    }

    #[test]
    fn what_comes_is_unseen_until_two_looks_have_seen_it_alike() {
        let (empty, there) = (room(1, 0.0), stripes(room(1, 0.0), [3.0; 3]));
        let once = |rgb: &Rgb| [rgb.clone(), rgb.clone()];
        assert!(covers_the_stripes(&after(once(&empty)).unseen_on(&there)));
        let first = after(once(&empty).into_iter().chain([there.clone()]));
        assert!(covers_the_stripes(&first.unseen_on(&there)) && !first.is_settled());
        let second = Looked::new(&there, Vec::new(), Some(&first));
        assert!(second.unseen_on(&there).is_empty() && second.is_settled());
        assert!(covers_the_stripes(&second.unseen_on(&empty)), "a person who goes");
        assert!(after(once(&empty)).unseen_on(&there).len() < 20, "all else is clear");
    }

    #[test]
    fn a_change_of_colour_alone_is_a_change() {
        let colored = stripes(room(1, 0.0), [3.0, 0.0, -3.0]);
        assert!(covers_the_stripes(&after([room(1, 0.0), room(1, 0.0)]).unseen_on(&colored)));
    }

    #[test]
    fn a_fade_over_many_looks_stays_unseen_as_long_as_it_lasts_and_not_for_ever() {
        for (noise, step) in [(0.0, 0.1), (2.0, 0.4)] {
            let frame = |look: u32| stripes(room(look + 1, noise), [step * f64::from(look.min(100)); 3]);
            let mut looked = after((0..10).map(|seed| room(1000 + seed, noise)));
            for look in 0..250 {
                looked = Looked::new(&frame(look), Vec::new(), Some(&looked));
                let unseen = looked.unseen_on(&frame(look));
                match look {
                    25..100 => assert!(covers_the_stripes(&unseen), "noise of {noise}, look {look}: {unseen:?}"),
                    200.. => assert_eq!(unseen, [], "noise of {noise}, look {look}"),
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn nothing_of_a_picture_of_another_size_has_been_seen() {
        let looked = after([room(1, 0.0), room(1, 0.0)]);
        for (width, height) in [(331, 250), (1, 1), (1280, 720), (64, 2000)] {
            let rgb = Rgb::filled(width, height, [90; 3]);
            let area: u32 = looked.unseen_on(&rgb).iter().map(|block| block.w * block.h).sum();
            assert_eq!(area, width * height);
            assert!(!Looked::new(&rgb, Vec::new(), Some(&looked)).is_settled());
        }
    }
}
