//! Rotates a picture upright ([`Turn`]) and scales it down ([`Rgb::shrunk`]).

use crate::image::{Rect, Rgb};

/// The rotation that makes a picture upright: first clockwise, then mirrored left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turn {
    /// Clockwise: 0, 90, 180 or 270 degrees.
    pub degrees: u16,
    /// True when mirrored.
    pub mirror: bool,
}

/// The side of a tile in pixels. A tile and its source lines fit into the first-level cache.
const TILE: usize = 32;

impl Turn {
    /// True when there is nothing to do.
    pub fn is_none(self) -> bool {
        self == Turn::default()
    }

    /// This turn, and `next` after it, as one.
    pub fn then(self, next: Turn) -> Turn {
        // A turn after a mirror is the opposite turn before it.
        let degrees = if self.mirror { self.degrees + 360 - next.degrees } else { self.degrees + next.degrees };
        Turn { degrees: degrees % 360, mirror: self.mirror != next.mirror }
    }

    /// The size of a turned picture.
    pub fn size(self, width: u32, height: u32) -> (u32, u32) {
        if self.degrees % 180 == 90 { (height, width) } else { (width, height) }
    }

    /// The turned picture.
    pub fn apply(self, rgb: Rgb) -> Rgb {
        match self.degrees {
            90 | 270 => self.quarter(&rgb),
            180 => half(rgb, !self.mirror, true),
            _ => half(rgb, self.mirror, false),
        }
    }

    /// A quarter turn exchanges lines and columns. It works in tiles; otherwise each pixel would cause a cache miss.
    fn quarter(self, rgb: &Rgb) -> Rgb {
        let (from_width, from_height) = (rgb.width as usize, rgb.height as usize);
        let flip_lines = (self.degrees == 90) != self.mirror;
        let flip_columns = self.degrees == 270;
        let mut data = vec![0; rgb.data.len()];
        let from = rgb.data.as_chunks::<3>().0;
        let lines = data.as_chunks_mut::<3>().0.chunks_mut(from_height * TILE);
        for (band, to) in lines.enumerate() {
            for left in (0..from_height).step_by(TILE) {
                let right = (left + TILE).min(from_height);
                for (line, to) in to.chunks_exact_mut(from_height).enumerate() {
                    let y = band * TILE + line;
                    let column = if flip_columns { from_width - 1 - y } else { y };
                    for (x, pixel) in (left..right).zip(&mut to[left..right]) {
                        let row = if flip_lines { from_height - 1 - x } else { x };
                        *pixel = from[row * from_width + column];
                    }
                }
            }
        }
        Rgb { width: rgb.height, height: rgb.width, data }
    }
}

/// The picture with its lines and columns in the same or the reverse order.
fn half(mut rgb: Rgb, flip_columns: bool, flip_lines: bool) -> Rgb {
    let line = rgb.width as usize;
    let pixels = rgb.data.as_chunks_mut::<3>().0;
    match (flip_columns, flip_lines) {
        (false, false) => {}
        (true, true) => pixels.reverse(),
        (true, false) => pixels.chunks_exact_mut(line.max(1)).for_each(<[_]>::reverse),
        (false, true) => {
            let (top, bottom) = pixels.split_at_mut(line * (rgb.height as usize / 2));
            let upwards = bottom.chunks_exact_mut(line.max(1)).rev();
            top.chunks_exact_mut(line.max(1)).zip(upwards).for_each(|(a, b)| a.swap_with_slice(b));
        }
    }
    rgb
}

impl Rgb {
    /// The part of the picture within `rect`, which is clipped to the picture.
    pub fn cropped(&self, rect: Rect) -> Rgb {
        let Rect { x, y, w: width, h: height } = rect.clipped(self.width, self.height);
        let mut data = Vec::with_capacity(width as usize * height as usize * 3);
        for line in 0..height {
            let from = self.offset(x as u32, y as u32 + line);
            data.extend_from_slice(&self.data[from..from + width as usize * 3]);
        }
        Rgb { width, height, data }
    }

    /// Copies a smaller picture into this one with its top left corner at `x`, `y`; parts beyond the edge are left out.
    pub fn put(&mut self, part: &Rgb, x: u32, y: u32) {
        let bytes = part.width.min(self.width.saturating_sub(x)) as usize * 3;
        let lines = if bytes > 0 { part.height.min(self.height.saturating_sub(y)) } else { 0 };
        for line in 0..lines {
            let (from, to) = (part.offset(0, line), self.offset(x, y + line));
            self.data[to..to + bytes].copy_from_slice(&part.data[from..from + bytes]);
        }
    }

    /// The picture scaled down to `width` pixels; see [`Rgb::shrink_into`].
    pub fn shrunk(&self, width: u32) -> Rgb {
        let mut small = Rgb { width: 0, height: 0, data: Vec::new() };
        self.shrink_into(width, &mut small);
        small
    }

    /// Scales the picture down to `width` pixels and the proportional height into `to`, whose buffer is reused. Each
    /// pixel is the mean of exactly the area that it covers. It never enlarges: a `width` of 0 or beyond the picture's, or a
    /// picture without lines, makes a copy.
    pub fn shrink_into(&self, width: u32, to: &mut Rgb) {
        to.data.clear();
        if width == 0 || width >= self.width || self.height == 0 {
            (to.width, to.height) = (self.width, self.height);
            to.data.extend_from_slice(&self.data);
            return;
        }
        let (w, h) = (u64::from(self.width), u64::from(self.height));
        let height = ((h * u64::from(width) + w / 2) / w).max(1) as u32;
        (to.width, to.height) = (width, height);
        to.data.reserve(width as usize * height as usize * 3);

        let columns = spans(self.width, width);
        let line = self.width as usize * 3;
        let mut sums = vec![0.0_f32; line];
        for span in spans(self.height, height) {
            sums.fill(0.0);
            for y in span.first..=span.last {
                let weight = span.weight(y);
                for (sum, &value) in sums.iter_mut().zip(&self.data[y * line..(y + 1) * line]) {
                    *sum += f32::from(value) * weight;
                }
            }
            let sums = sums.as_chunks::<3>().0;
            for span in &columns {
                // Adding half a level first rounds to the nearest value.
                let mut mean = [0.5_f32; 3];
                for (x, sums) in (span.first..).zip(&sums[span.first..=span.last]) {
                    let weight = span.weight(x);
                    for (mean, sum) in mean.iter_mut().zip(sums) {
                        *mean += sum * weight;
                    }
                }
                to.data.extend(mean.map(|value| value as u8));
            }
        }
    }
}

/// The lines (or columns) that a line of the smaller picture covers, the first and the last of them partly.
struct Span {
    first: usize,
    last: usize,
    head: f32,
    full: f32,
    tail: f32,
}

impl Span {
    /// The weight of line `i` in the mean.
    fn weight(&self, i: usize) -> f32 {
        if i == self.first {
            self.head
        } else if i == self.last {
            self.tail
        } else {
            self.full
        }
    }
}

/// The lines of `from` that each of `to` lines covers, `to <= from`.
fn spans(from: u32, to: u32) -> Vec<Span> {
    let (from, to) = (u64::from(from), u64::from(to));
    // Each line is divided into `to` parts, so that all positions are whole numbers; a smaller line covers `from`
    // parts.
    let share = |parts: u64| parts as f32 / from as f32;
    let span = |i: u64| {
        let (start, end) = (i * from, (i + 1) * from);
        let (first, last) = (start / to, (end - 1) / to);
        let head = end.min((first + 1) * to) - start;
        let tail = end - start.max(last * to);
        Span { first: first as usize, last: last as usize, head: share(head), full: share(to), tail: share(tail) }
    };
    (0..to).map(span).collect()
}
