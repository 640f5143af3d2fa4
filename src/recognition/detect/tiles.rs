//! Detection in tiles: a network allocates memory in proportion to the pixels that it gets at once. Tiles bound them,
//! whatever the size of the picture.
//!
//! The whole picture is scanned at a coarser scale at which it fits, and overlapping tiles are scanned at the wanted
//! scale, to find the faces that are too small for the coarse scan. The coarse scale belongs to the detector's pyramid,
//! so both scans together find the same sizes as one scan of the whole picture.

use crate::image::Rect;
use crate::memory::{CNN_LEAST_PYRAMID_PX, pyramid_px};

/// The steps of the detector's pyramid from the wanted scale down to the coarse one, which is 0.48 of it.
const COARSE: f64 = (5.0 / 6.0) * (5.0 / 6.0) * (5.0 / 6.0) * (5.0 / 6.0);
/// The width in pixels of the detector's window, which is that of the smallest box.
const WINDOW_PX: f64 = 80.0;
/// The widest box that is accepted from a tile, in pixels of the wanted scale. It is slightly wider than the narrowest
/// box of the coarse scan (80 / 0.48 = 166), so that one of the two finds a face between two steps of the pyramid.
const WIDEST_PX: f64 = 1.1 * WINDOW_PX / COARSE;
/// The overlap of two tiles in pixels of the wanted scale: the widest face that only tiles find (138), with a margin of
/// a quarter on either side, is complete on one of two neighbouring tiles.
const OVERLAP_PX: f64 = 208.0;
/// A tile reports the faces whose centre is on its side of the middle of an overlap, or up to this far beyond it,
/// because two tiles may place the centre of a face differently.
const BEYOND_PX: f64 = 24.0;
/// The overlap from which two boxes show the same face. It is the value in the model file, with which dlib merges the
/// boxes of a scan.
const SAME_FACE_IOU: f32 = 0.338;

/// The faces on a picture of `size` pixels at `scale`, in pixels of the picture. `look` detects the faces in a part of
/// the picture at a scale, also in pixels of the picture. It is never called for a part whose pyramid has more than
/// `most` pixels, except for rounding to whole pixels. `most` is at least [`CNN_LEAST_PYRAMID_PX`].
pub fn find(size: (u32, u32), scale: f64, most: u64, look: &mut impl FnMut(Rect, f64) -> Vec<Rect>) -> Vec<Rect> {
    let whole = Rect { x: 0, y: 0, w: size.0, h: size.1 };
    let (width, height) = (f64::from(size.0) * scale, f64::from(size.1) * scale);
    let most = most.max(CNN_LEAST_PYRAMID_PX);
    if pyramid_px(width, height) <= most {
        return look(whole, scale);
    }
    let mut faces = find(size, scale * COARSE, most, look);
    let (columns, rows) = grid(width, height, most);
    for row in &spans(height, rows) {
        for column in &spans(width, columns) {
            let (left, top) = ((column.from / scale).floor(), (row.from / scale).floor());
            let (right, bottom) = ((column.to / scale).ceil(), (row.to / scale).ceil());
            let (w, h) = ((right - left) as u32, (bottom - top) as u32);
            let tile = Rect { x: left as i32, y: top as i32, w, h };
            for face in look(tile.clipped(size.0, size.1), scale) {
                let middle = |start: i32, length: u32| (f64::from(start) + f64::from(length) / 2.0) * scale;
                let answers = column.answers(middle(face.x, face.w)) && row.answers(middle(face.y, face.h));
                let fits = f64::from(face.w) * scale <= WIDEST_PX;
                if answers && fits && !faces.iter().any(|other| face.iou(*other) > SAME_FACE_IOU) {
                    faces.push(face);
                }
            }
        }
    }
    faces
}

/// The span of a tile in one dimension, in scaled pixels, and the range of the centres of the faces that it reports.
struct TileSpan {
    from: f64,
    to: f64,
    first: f64,
    last: f64,
}

impl TileSpan {
    fn answers(&self, middle: f64) -> bool {
        (self.first..=self.last).contains(&middle)
    }
}

/// `count` overlapping spans of equal length that cover `length`. The outer ones also report faces beyond the edge.
fn spans(length: f64, count: u32) -> Vec<TileSpan> {
    let side = side(length, count);
    let inner = OVERLAP_PX / 2.0 - BEYOND_PX;
    let span = |at: u32| {
        let from = f64::from(at) * (side - OVERLAP_PX);
        let to = from + side;
        let first = if at == 0 { f64::NEG_INFINITY } else { from + inner };
        let last = if at + 1 == count { f64::INFINITY } else { to - inner };
        TileSpan { from, to, first, last }
    };
    (0..count).map(span).collect()
}

fn side(length: f64, count: u32) -> f64 {
    (length + f64::from(count - 1) * OVERLAP_PX) / f64::from(count)
}

/// The numbers of columns and rows of tiles for which no tile has a pyramid of more than `most` pixels and the total is
/// small.
fn grid(width: f64, height: f64, most: u64) -> (u32, u32) {
    let mut best = (f64::INFINITY, (1, 1));
    for rows in 1.. {
        let tall = side(height, rows);
        // With more columns, tiles would be mostly overlap.
        let columns = (1..).take_while(|columns| *columns == 1 || side(width, *columns) > 1.5 * OVERLAP_PX);
        if let Some(columns) = columns.into_iter().find(|columns| pyramid_px(side(width, *columns), tall) <= most) {
            let all_px = side(width, columns) * f64::from(columns) * tall * f64::from(rows);
            if all_px < best.0 {
                best = (all_px, (columns, rows));
            }
        }
        if tall < 1.5 * OVERLAP_PX {
            break;
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A detector that finds a face that is complete in the given part and has at least 80 scaled pixels, and whose
    /// boxes have the sizes of a pyramid like those of dlib's network.
    fn see(faces: &[Rect], part: Rect, scale: f64) -> Vec<Rect> {
        let whole = |face: &&Rect| {
            face.x >= part.x
                && face.y >= part.y
                && face.x + face.w as i32 <= part.x + part.w as i32
                && face.y + face.h as i32 <= part.y + part.h as i32
        };
        let seen = faces.iter().filter(whole).filter(|face| f64::from(face.w) * scale >= 76.0);
        seen.map(|face| {
            let steps = (f64::from(face.w) * scale / WINDOW_PX).ln() / 1.2f64.ln();
            let side = (WINDOW_PX * 1.2f64.powf(steps.round().max(0.0)) / scale).round() as u32;
            let shift = (side as i32 - face.w as i32) / 2;
            Rect { x: face.x - shift, y: face.y - shift, w: side, h: side }
        })
        .collect()
    }

    #[test]
    fn a_face_of_any_size_at_any_place_is_found_exactly_once_within_the_bound() {
        for (size, scale) in [((1280, 720), 1.0), ((640, 480), 2.0), ((4096, 2304), 1.0), ((720, 1280), 0.9)] {
            for most in [2_040_000, 1_200_000, CNN_LEAST_PYRAMID_PX] {
                let mut missed = Vec::new();
                for side in [80, 90, 110, 137, 150, 165, 180, 240, 380] {
                    let side = (f64::from(side) / scale).round() as u32;
                    let places = |along: u32, step| (0..=along - side).step_by(step).map(|at| at as i32);
                    let (columns, rows) =
                        (places(size.0, 73).collect::<Vec<_>>(), places(size.1, 67).collect::<Vec<_>>());
                    // Faces that do not touch are tested together.
                    let apart = (side as usize * 3 / 2).div_ceil(67);
                    for (first_x, first_y) in (0..apart).flat_map(|x| (0..apart).map(move |y| (x, y))) {
                        let faces: Vec<Rect> = rows
                            .iter()
                            .skip(first_y)
                            .step_by(apart)
                            .flat_map(|&y| {
                                let columns = columns.iter().skip(first_x).step_by(apart);
                                columns.map(move |&x| Rect { x, y, w: side, h: side })
                            })
                            .collect();
                        let mut look = |part: Rect, at_scale: f64| {
                            let px = pyramid_px(f64::from(part.w) * at_scale, f64::from(part.h) * at_scale);
                            assert!(px * 100 <= most * 102, "{part:?} at {at_scale} has {px} pixels");
                            see(&faces, part, at_scale)
                        };
                        let found = find(size, scale, most, &mut look);
                        let times = |face: &Rect| found.iter().filter(|other| other.iou(*face) > 0.0).count();
                        let is_found = |face: &Rect| found.iter().any(|other| other.iou(*face) >= 0.6);
                        missed.extend(faces.iter().copied().filter(|face| times(face) != 1 || !is_found(face)));
                        assert!(found.len() <= faces.len(), "a face is found twice");
                    }
                }
                assert!(missed.is_empty(), "{size:?} {scale} {most}: {} such as {:?}", missed.len(), missed[0]);
            }
        }
    }

    #[test]
    fn a_picture_that_fits_is_scanned_once_and_unchanged() {
        let mut asked = Vec::new();
        find((640, 480), 1.0, 2_040_000, &mut |part, scale| {
            asked.push((part, scale));
            Vec::new()
        });
        assert_eq!(asked, [(Rect { x: 0, y: 0, w: 640, h: 480 }, 1.0)]);
    }

    #[test]
    fn tiles_cost_less_than_twice_the_whole_at_the_defaults_and_cover_unusual_shapes() {
        for (size, scale, at_most) in
            [((1280, 720), 1.0, 1.5), ((640, 480), 2.0, 1.8), ((60_000, 30), 8.0, 3.0), ((30, 60_000), 8.0, 3.0)]
        {
            let whole = f64::from(size.0) * f64::from(size.1) * scale * scale;
            let (mut all, mut calls) = (0.0, 0);
            find(size, scale, 2_040_000, &mut |part, scale| {
                all += f64::from(part.w) * f64::from(part.h) * scale * scale;
                calls += 1;
                Vec::new()
            });
            assert!(all < at_most * whole && calls > 1, "{size:?}: {calls} calls, {} times", all / whole);
        }
    }
}
