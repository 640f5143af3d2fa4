//! [`Quality`]: the size, sharpness and brightness of a face.

use crate::detection::Flaw;
use crate::image::{Rect, Rgb};

/// Faces are measured at this width in pixels, so that the sharpness of a wider face does not depend on its distance to
/// the camera. No detector finds faces that are much narrower.
const SIDE: u32 = 32;

/// Faces that are narrower than this, in pixels, are poor: dlib's network expects 150 pixels with some margin around
/// the face.
const NARROW_PX: u32 = 60;
/// Faces that are less sharp, darker or brighter than these limits are poor. Of 282 faces of 100 people of LFW,
/// sharpness is 0.23 to 2.7 (median 0.82) and brightness 63 to 174 (median 123): none is poor. After a Gaussian blur of
/// 2 % of their width, faces have a sharpness of 0.27 and a distance of 0.31 from the original; after 3 %, 0.12 and
/// 0.42 (medians of 47 faces of 90 to 130 pixels; 43 faces of 54 to 78 pixels have the same).
const BLURRED: f32 = 0.15;
const DARK: f32 = 40.0;
const LIGHT: f32 = 220.0;

/// The quality of a face.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Quality {
    /// The width of the face in pixels of the picture.
    pub width_px: u32,
    /// The variance of the second derivative of the luma divided by the variance of the luma, of the face at 32 pixels:
    /// 0 for a smooth slope, about 1 for fine detail.
    pub sharpness: f32,
    /// The mean luma, 0 to 255.
    pub brightness: f32,
}

impl Quality {
    pub fn of(rgb: &Rgb, face: Rect) -> Quality {
        let part = rgb.cropped(face);
        // When the edge of the picture cuts the face, the visible part is scaled like the whole.
        let side = u64::from(part.width) * u64::from(SIDE) / u64::from(face.w.max(1));
        let small = part.shrunk((side as u32).max(1));
        let (width, height) = (small.width as usize, small.height as usize);
        let luma: Vec<f32> = small.data.as_chunks::<3>().0.iter().map(|[r, g, b]| luma(*r, *g, *b)).collect();
        if width < 3 || height < 3 {
            return Quality { width_px: face.w, sharpness: 0.0, brightness: mean(&luma) };
        }
        let inner = (1..height - 1).flat_map(|y| (1..width - 1).map(move |x| y * width + x));
        let second: Vec<f32> = inner
            .map(|at| luma[at - 1] + luma[at + 1] + luma[at - width] + luma[at + width] - 4.0 * luma[at])
            .collect();
        // The divisor is at least 1, so that a face without contrast has a sharpness of 0.
        let sharpness = variance(&second) / variance(&luma).max(1.0);
        Quality { width_px: face.w, sharpness, brightness: mean(&luma) }
    }

    /// What makes a face hard to recognise; `None` for a good one.
    pub fn flaw(&self) -> Option<Flaw> {
        let Quality { width_px, sharpness, brightness } = *self;
        let flaws = [
            (Flaw::Small, width_px < NARROW_PX),
            (Flaw::Blurred, sharpness < BLURRED),
            (Flaw::Dark, brightness < DARK),
            (Flaw::Bright, brightness > LIGHT),
        ];
        flaws.into_iter().find_map(|(flaw, is)| is.then_some(flaw))
    }

    /// The flaw as text, with the measured value; `None` for a good face.
    pub fn poor(&self) -> Option<String> {
        let Quality { width_px, sharpness, brightness } = *self;
        Some(match self.flaw()? {
            Flaw::Small => format!("face is {width_px} px wide, {NARROW_PX} or more are good"),
            Flaw::Dark => format!("too dark: light {brightness:.0} of 255, {DARK} or more is good"),
            Flaw::Bright => format!("too light: light {brightness:.0} of 255, {LIGHT} or less is good"),
            Flaw::Blurred => format!("blurred: sharpness {sharpness:.3}, {BLURRED} or more is good"),
            Flaw::Turned => return None,
        })
    }
}

/// The luma of ITU-R BT.601.
fn luma(r: u8, g: u8, b: u8) -> f32 {
    0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b)
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len().max(1) as f32
}

fn variance(values: &[f32]) -> f32 {
    let mean = mean(values);
    values.iter().map(|value| (value - mean) * (value - mean)).sum::<f32>() / values.len().max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Like a face, it has detail of all sizes, the more contrast the larger: grey squares upon each other.
    fn textured() -> Rgb {
        let side = 192;
        let mut rgb = Rgb::filled(side, side, [0; 3]);
        for (x, y) in (0..side).flat_map(|y| (0..side).map(move |x| (x, y))) {
            let grey = |(size, contrast): (u32, u32)| {
                let cell = (x / size).wrapping_mul(0x9e37_79b1) ^ (y / size).wrapping_mul(0x85eb_ca6b) ^ size;
                (cell.wrapping_mul(0xc2b2_ae35) >> 16) % contrast
            };
            let value = [(48, 96), (24, 64), (12, 40), (6, 28), (3, 18), (1, 9)].map(grey).iter().sum::<u32>() as u8;
            let at = rgb.offset(x, y);
            rgb.data[at..at + 3].fill(value);
        }
        rgb
    }

    /// Each pixel becomes the mean of the pixels around it, up to 5 % of the picture's width to each side.
    fn blurred(rgb: &Rgb) -> Rgb {
        let reach = (rgb.width / 20) as i32;
        let mut out = rgb.clone();
        for (x, y) in (0..rgb.height as i32).flat_map(|y| (0..rgb.width as i32).map(move |x| (x, y))) {
            let side = 2 * reach as u32 + 1;
            let around = rgb.cropped(Rect { x: x - reach, y: y - reach, w: side, h: side });
            let sum: u32 = around.data.iter().map(|value| u32::from(*value)).sum();
            let at = rgb.offset(x as u32, y as u32);
            out.data[at..at + 3].fill((sum / around.data.len() as u32) as u8);
        }
        out
    }

    fn sharpness(rgb: &Rgb) -> f32 {
        Quality::of(rgb, Rect { x: 0, y: 0, w: rgb.width, h: rgb.height }).sharpness
    }

    #[test]
    fn a_face_is_as_sharp_near_by_as_far_away() {
        let near = textured();
        let at = |width| sharpness(&near.shrunk(width));
        let all = [192, 150, 96, 64, 48].map(at);
        assert!(all.iter().all(|far| (far / all[0] - 1.0).abs() < 0.25), "{all:?}");
        let blurred = [192, 96].map(|width| sharpness(&blurred(&near.shrunk(width))));
        assert!(blurred.iter().all(|less| less * 4.0 < all[0]), "{blurred:?} {all:?}");
        assert_eq!(sharpness(&Rgb::filled(90, 90, [120; 3])), 0.0);
    }

    #[test]
    fn a_face_that_the_edge_cuts_is_measured_like_a_whole_one() {
        let rgb = textured();
        let whole = sharpness(&rgb);
        let cut = Quality::of(&rgb, Rect { x: -96, y: 0, w: 192, h: 192 });
        assert!((cut.sharpness / whole - 1.0).abs() < 0.25 && cut.width_px == 192, "{cut:?} {whole}");
    }
}
