//! [`View`]: the appearance of a face in 16 x 16 colours. It shows cheaply whether the same object is still there.

use crate::image::{Rect, Rgb};

const SIDE: u32 = 16;
/// The search moves a box in steps of its width divided by OFF, at most STEPS times.
const OFF: u32 = 16;
const STEPS: u32 = 4;

/// The appearance of a face and its surroundings: two grids of 16 x 16 cells in red, green and blue. They are not
/// normalised, because light hardly changes between looks and people also differ in colour.
#[derive(Debug, Clone)]
pub struct View {
    /// The face with a margin of half its width, which includes hair, neck and collar.
    around: Cells,
    /// The face alone.
    face: Cells,
}

impl View {
    /// The appearance of the face in `rect` and its surroundings, clipped to the picture.
    pub fn of(rgb: &Rgb, rect: Rect) -> View {
        View { around: Cells::around(rgb, rect), face: Cells::of(rgb, rect) }
    }

    /// The similarity of this view and the picture at `rect`, or near it, because the box may be slightly wrong. The
    /// search ends when the similarity reaches `enough`.
    pub fn likeness_at(&self, rgb: &Rgb, rect: Rect, enough: f32) -> f32 {
        most_alike(rect, enough, |rect| self.around.likeness(&Cells::around(rgb, rect)))
    }

    /// The colours of the face and its surroundings, for clients that compare them themselves: red, green and blue of each
    /// cell, line by line.
    pub fn colors(&self) -> Vec<u8> {
        self.around.0.iter().flatten().map(|color| color.round() as u8).collect()
    }

    /// Like [`View::likeness_at`], of the face alone.
    pub fn likeness_of_face_at(&self, rgb: &Rgb, rect: Rect, enough: f32) -> f32 {
        most_alike(rect, enough, |rect| self.face.likeness(&Cells::of(rgb, rect)))
    }
}

/// The largest similarity near `rect`: moves step by step to a larger one, until it reaches `enough`.
fn most_alike(rect: Rect, enough: f32, likeness: impl Fn(Rect) -> f32) -> f32 {
    let step = (rect.w / OFF).max(1) as i32;
    let likeness = |[dx, dy, larger]: [i32; 3]| {
        likeness(Rect {
            x: rect.x.saturating_add((dx - larger) * step),
            y: rect.y.saturating_add((dy - larger) * step),
            w: rect.w.saturating_add_signed(2 * larger * step),
            h: rect.h.saturating_add_signed(2 * larger * step),
        })
    };
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

/// A part of a picture in 16 x 16 colours.
#[derive(Debug, Clone)]
struct Cells(Vec<[f32; 3]>);

impl Cells {
    fn around(rgb: &Rgb, rect: Rect) -> Cells {
        Cells::of(rgb, rect.grown(rect.w / 2))
    }

    /// The cells of `rect`, each sampled at its centre and four points around it.
    fn of(rgb: &Rgb, rect: Rect) -> Cells {
        let rect = rect.clipped(rgb.width, rgb.height);
        if rect.w == 0 || rect.h == 0 {
            return Cells(Vec::new());
        }
        let place = |from: i32, length: u32, at: u32, eighths: u32| {
            from as usize + ((at * 8 + eighths) * length / (SIDE * 8)).min(length - 1) as usize
        };
        let (pixels, width) = (rgb.data.as_chunks::<3>().0, rgb.width as usize);
        // The columns are the same for each line and computed once: with blur, this runs for every named face on every
        // shown frame.
        let columns: [[usize; 3]; SIDE as usize] =
            std::array::from_fn(|at| [2, 4, 6].map(|eighths| place(rect.x, rect.w, at as u32, eighths)));
        let cells = (0..SIDE).flat_map(|at| {
            let line = |eighths| &pixels[place(rect.y, rect.h, at, eighths) * width..][..width];
            let [upper, middle, lower] = [2, 4, 6].map(line);
            columns.map(|[left, center, right]| {
                let points = [middle[center], upper[left], upper[right], lower[left], lower[right]];
                std::array::from_fn(|i| f32::from(points.iter().map(|point| u16::from(point[i])).sum::<u16>()) / 5.0)
            })
        });
        Cells(cells.collect())
    }

    /// The similarity of two parts: 1 when they are equal, 0 when they differ by as much as the cells within a part.
    fn likeness(&self, other: &Cells) -> f32 {
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
    fn the_same_object_is_similar_when_shifted_or_lighter_and_another_one_is_not() {
        let rect = Rect { x: -20, y: 0, w: 220, h: 200 };
        let cells = Cells::around(&striped(true, 200), rect);
        assert!(cells.likeness(&Cells::around(&striped(true, 190), rect)) > 0.98);
        let (face, off) = (Rect { x: 60, y: 60, w: 64, h: 64 }, Rect { x: 68, y: 60, w: 64, h: 64 });
        let (room, view) = (striped(true, 200), View::of(&striped(true, 200), face));
        assert!(view.likeness_at(&room, off, 1.0) > 0.99 && view.around.likeness(&Cells::around(&room, off)) < 0.9);
        assert!(cells.likeness(&Cells::around(&striped(false, 200), rect)) < 0.3);
        assert!(cells.likeness(&Cells::around(&striped(true, 200), Rect { x: 500, ..rect })) < 0.3);
    }

    #[test]
    fn another_face_in_the_same_surroundings_is_not_similar() {
        let face = Rect { x: 70, y: 70, w: 60, h: 60 };
        let (one, mut other) = (striped(true, 200), striped(true, 200));
        other.put(&Rgb::filled(60, 60, [150; 3]), 70, 70);
        let view = View::of(&one, face);
        let (around, alone) = (view.likeness_at(&other, face, 1.0), view.likeness_of_face_at(&other, face, 1.0));
        assert!(around > 0.8 && alone < 0.7, "{around} {alone}");
        assert!(view.likeness_of_face_at(&one, Rect { x: 76, ..face }, 1.0) > 0.9);
    }

    #[test]
    fn a_cell_is_the_mean_of_its_five_points_wherever_the_face_is() {
        let data = (0..90_u32 * 70 * 3).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let rgb = Rgb { width: 90, height: 70, data };
        for rect in [[20, 10, 40, 40], [-15, -9, 30, 33], [60, 40, 50, 60], [0, 0, 3, 2], [89, 69, 1, 1]] {
            let [x, y, w, h] = rect;
            let face = Rect { x, y, w: w as u32, h: h as u32 };
            let whole = face.grown(face.w / 2).clipped(90, 70);
            let cells = Cells::around(&rgb, face);
            assert_eq!(cells.0.len(), 256);
            for (at, cell) in (0..).zip(&cells.0) {
                let point = |dx, dy| {
                    let along =
                        |length: u32, at: u32, eighths: u32| ((at * 8 + eighths) * length / 128).min(length - 1);
                    let (x, y) = (along(whole.w, at % 16, dx), along(whole.h, at / 16, dy));
                    rgb.pixel(whole.x as u32 + x, whole.y as u32 + y)
                };
                let points = [point(4, 4), point(2, 2), point(6, 2), point(2, 6), point(6, 6)];
                let mean = |i: usize| points.iter().map(|point| f32::from(point[i])).sum::<f32>() / 5.0;
                assert_eq!(*cell, [mean(0), mean(1), mean(2)], "cell {at} of {rect:?}");
            }
        }
    }
}
