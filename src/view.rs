//! [`View`]: what a face looks like, in 16 x 16 colours: enough to tell that the same thing is still there, at no cost.

use crate::pixels::Rgb;
use crate::sighting::Rect;

const SIDE: u32 = 16;
/// A box is moved by one part in so many of its width, so often at most.
const OFF: u32 = 16;
const STEPS: u32 = 4;

/// A face in 16 x 16 cells of red, green and blue, as they are: from look to look light hardly changes, and people differ
/// in colour too.
#[derive(Debug, Clone)]
pub struct View(Vec<[f32; 3]>);

impl View {
    /// Of a face in `rect` with its hair, neck and collar, half its width around it, as far as that lies on the picture: by
    /// the point in the middle of each cell and four around it.
    pub fn of(rgb: &Rgb, rect: Rect) -> View {
        let rect = rect.grown(rect.w / 2).clipped(rgb.width, rgb.height);
        if rect.w == 0 || rect.h == 0 {
            return View(Vec::new());
        }
        let cell = |from: i32, length: u32, at: u32, eighths: u32| {
            from as u32 + ((at * 8 + eighths) * length / (SIDE * 8)).min(length - 1)
        };
        let cells = (0..SIDE * SIDE).map(|at| {
            let mut sum = [0.0; 3];
            for (dx, dy) in [(4, 4), (2, 2), (6, 2), (2, 6), (6, 6)] {
                let (x, y) = (cell(rect.x, rect.w, at % SIDE, dx), cell(rect.y, rect.h, at / SIDE, dy));
                sum.iter_mut().zip(rgb.pixel(x, y)).for_each(|(sum, value)| *sum += f32::from(value) / 5.0);
            }
            sum
        });
        View(cells.collect())
    }

    /// How alike this view and what is at `rect` are, where the box may be a little off. `enough` is enough: it is not looked
    /// for a better place then.
    pub fn likeness_at(&self, rgb: &Rgb, rect: Rect, enough: f32) -> f32 {
        let step = (rect.w / OFF).max(1) as i32;
        let moved = |[dx, dy, larger]: [i32; 3]| Rect {
            x: rect.x.saturating_add((dx - larger) * step),
            y: rect.y.saturating_add((dy - larger) * step),
            w: rect.w.saturating_add_signed(2 * larger * step),
            h: rect.h.saturating_add_signed(2 * larger * step),
        };
        let likeness = |off: [i32; 3]| self.likeness(&View::of(rgb, moved(off)));
        // From where it should be, step by step to where it is most alike.
        let (mut best, mut at) = (likeness([0; 3]), [0; 3]);
        for _ in 0..STEPS {
            if best >= enough {
                break;
            }
            let around = (0..6).map(|way| {
                let mut off = at;
                off[way / 2] += if way % 2 == 0 { 1 } else { -1 };
                (likeness(off), off)
            });
            match around.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(more, _)| *more > best) {
                Some((more, off)) => (best, at) = (more, off),
                None => break,
            }
        }
        best
    }

    /// How alike two views are: 1 for the same, 0 when they differ by as much as their cells do among each other.
    pub fn likeness(&self, other: &View) -> f32 {
        let count = self.0.len().max(1) as f32;
        let mut mean = [0.0; 3];
        self.0.iter().for_each(|cell| (0..3).for_each(|i| mean[i] += cell[i] / count));
        let apart = |a: &[f32; 3], b: &[f32; 3]| (0..3).map(|i| (a[i] - b[i]) * (a[i] - b[i])).sum::<f32>();
        let among: f32 = self.0.iter().map(|cell| apart(cell, &mean)).sum();
        let between: f32 = self.0.iter().zip(&other.0).map(|(a, b)| apart(a, b)).sum();
        if self.0.is_empty() || other.0.is_empty() { 0.0 } else { 1.0 - between / (2.0 * among).max(count) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn striped(vertical: bool, light: u8) -> Rgb {
        let mut rgb = Rgb::filled(200, 200, [light; 3]);
        for (x, y) in (0..200).flat_map(|y| (0..200).map(move |x| (x, y))) {
            if (if vertical { x } else { y }) / 40 % 2 == 0 {
                let at = rgb.offset(x, y);
                rgb.data[at..at + 3].fill(light / 2);
            }
        }
        rgb
    }

    #[test]
    fn the_same_is_alike_a_little_off_or_lighter_and_something_else_is_not() {
        let rect = Rect { x: -20, y: 0, w: 220, h: 200 };
        let view = View::of(&striped(true, 200), rect);
        assert!(view.likeness(&View::of(&striped(true, 190), rect)) > 0.98);
        let (face, off) = (Rect { x: 60, y: 60, w: 64, h: 64 }, Rect { x: 68, y: 60, w: 64, h: 64 });
        let (room, view) = (striped(true, 200), View::of(&striped(true, 200), face));
        assert!(view.likeness_at(&room, off, 1.0) > 0.99 && view.likeness(&View::of(&room, off)) < 0.9);
        assert!(view.likeness(&View::of(&striped(false, 200), rect)) < 0.3);
        assert!(view.likeness(&View::of(&striped(true, 200), Rect { x: 500, ..rect })) < 0.3);
    }
}
