//! Verification of detected faces.

use crate::image::{Rect, Rgb, Turn};
use crate::recognition::engine::{Detect, Engine};

/// The faces on a still picture from left to right. HOG occasionally detects a face in a collar or a flag, and the
/// crate does not provide its score. So when several are detected, each must be detected again on a crop at other
/// scales.
pub fn faces_on_still(engine: &mut dyn Engine, rgb: &Rgb) -> Vec<Rect> {
    let mut faces = engine.detect(rgb, Detect::Still { side: engine.still_side() }.scale(rgb.width, rgb.height));
    if faces.len() > 1 {
        faces.retain(|&face| is_found_again(engine, rgb, face));
    }
    faces
}

/// The widths in pixels to which a face on a crop is scaled, slightly above the detector's 80. On pictures of groups,
/// real faces were found in 7 or 8 of these 8 crops (plain and mirrored), false ones in 2, 3 and 5.
const AGAIN_WIDTHS: [f64; 4] = [84.0, 92.0, 97.0, 105.0];
const AGAIN_AT_LEAST: usize = 6;

/// On how many of these crops a face must be detected before it may be taught. Of 348 photographs of LFW, 347 were
/// detected on 7 or 8 crops; of 12 crops of a patch on a space suit, which is sometimes detected as a face, none was.
const SURELY_AT_LEAST: usize = 7;

/// True when the detector finds the face on most of 8 crops around it, at other scales and mirrored.
pub fn is_found_again(engine: &mut dyn Engine, rgb: &Rgb, face: Rect) -> bool {
    times_found_again(engine, rgb, face) >= AGAIN_AT_LEAST
}

/// The same with a higher limit, for a face that may be taught: a false one would stay in the gallery.
pub fn is_surely_a_face(engine: &mut dyn Engine, rgb: &Rgb, face: Rect) -> bool {
    times_found_again(engine, rgb, face) >= SURELY_AT_LEAST
}

fn times_found_again(engine: &mut dyn Engine, rgb: &Rgb, face: Rect) -> usize {
    let around = face.grown(face.w / 2).clipped(rgb.width, rgb.height);
    let as_it_is = rgb.cropped(around);
    let here = Rect { x: face.x - around.x, y: face.y - around.y, ..face };
    let mirrored = Turn { degrees: 0, mirror: true }.apply(as_it_is.clone());
    let there = Rect { x: around.w as i32 - here.x - here.w as i32, ..here };
    let mut times = 0;
    for (cut, place) in [(&as_it_is, here), (&mirrored, there)] {
        for width in AGAIN_WIDTHS {
            let found = engine.detect(cut, width / f64::from(face.w.max(1)));
            times += usize::from(found.iter().any(|again| again.iou(place) > 0.4));
        }
    }
    times
}
