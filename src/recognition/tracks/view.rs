//! What a face looks like, in 16 x 16 shades of grey: enough to tell that the same thing is still there, at no cost.

use crate::pixels::Rgb;
use crate::sighting::Rect;

const SIDE: u32 = 16;

/// The luma of a face, scaled to 16 x 16, less its mean, at length 1.
#[derive(Debug, Clone)]
pub struct View(Vec<f32>);

impl View {
    /// Of the part of `rect` that lies on the picture, by the point in the middle of each cell and four around it.
    pub fn of(rgb: &Rgb, rect: Rect) -> View {
        let rect = rect.clipped(rgb.width, rgb.height);
        if rect.w == 0 || rect.h == 0 {
            return View(Vec::new());
        }
        let cell = |from: i32, length: u32, at: u32, eighths: u32| {
            from as u32 + ((at * 8 + eighths) * length / (SIDE * 8)).min(length - 1)
        };
        let mut values: Vec<f32> = (0..SIDE * SIDE)
            .map(|at| {
                let points = [(4, 4), (2, 2), (6, 2), (2, 6), (6, 6)];
                let luma = points.map(|(dx, dy)| {
                    let (x, y) = (cell(rect.x, rect.w, at % SIDE, dx), cell(rect.y, rect.h, at / SIDE, dy));
                    let [r, g, b] = rgb.pixel(x, y).map(f32::from);
                    0.299 * r + 0.587 * g + 0.114 * b
                });
                luma.iter().sum::<f32>() / 5.0
            })
            .collect();
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        values.iter_mut().for_each(|v| *v -= mean);
        let length = values.iter().map(|v| v * v).sum::<f32>().sqrt().max(1.0);
        values.iter_mut().for_each(|v| *v /= length);
        View(values)
    }

    /// How alike two views are: 1 for the same, 0 for nothing in common.
    pub fn likeness(&self, other: &View) -> f32 {
        self.0.iter().zip(&other.0).map(|(a, b)| a * b).sum()
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
    fn the_same_in_another_light_is_alike_and_something_else_is_not() {
        let rect = Rect { x: -20, y: 0, w: 220, h: 200 };
        let view = View::of(&striped(true, 200), rect);
        assert!(view.likeness(&View::of(&striped(true, 120), rect)) > 0.99);
        assert!(view.likeness(&View::of(&striped(false, 200), rect)) < 0.3);
        assert!(view.likeness(&View::of(&striped(true, 200), Rect { x: 500, ..rect })) < 0.3);
    }
}
