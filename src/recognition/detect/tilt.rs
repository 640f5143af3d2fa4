//! Rotates a picture by a few degrees, for faces that are tilted too much for the detector.

use crate::image::Rgb;

/// The picture rotated clockwise by `degrees` around its centre, at the same size; areas from beyond its edges are
/// black.
pub fn tilted(rgb: &Rgb, degrees: f32) -> Rgb {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let (middle_x, middle_y) = (rgb.width as f32 / 2.0, rgb.height as f32 / 2.0);
    let mut turned = Rgb::filled(rgb.width, rgb.height, [0; 3]);
    let pixels = turned.data.as_chunks_mut::<3>().0.iter_mut().enumerate();
    for (at, pixel) in pixels {
        let (x, y) = ((at as u32 % rgb.width) as f32 - middle_x, (at as u32 / rgb.width) as f32 - middle_y);
        let (from_x, from_y) = (x * cos + y * sin + middle_x, y * cos - x * sin + middle_y);
        if let Some(color) = between(rgb, from_x, from_y) {
            *pixel = color;
        }
    }
    turned
}

/// The colour at a position between four pixels.
fn between(rgb: &Rgb, x: f32, y: f32) -> Option<[u8; 3]> {
    let inside = x >= 0.0 && y >= 0.0 && x < rgb.width as f32 - 1.0 && y < rgb.height as f32 - 1.0;
    if !inside {
        return None;
    }
    let (left, top) = (x as u32, y as u32);
    let (right_part, lower_part) = (x - left as f32, y - top as f32);
    let corners = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(dx, dy)| rgb.pixel(left + dx, top + dy));
    let mix = |channel: usize| {
        let [a, b, c, d] = corners.map(|corner| f32::from(corner[channel]));
        let (upper, lower) = (a + (b - a) * right_part, c + (d - c) * right_part);
        (upper + (lower - upper) * lower_part).round() as u8
    };
    Some([mix(0), mix(1), mix(2)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotating_clockwise_moves_the_right_side_down() {
        let mut rgb = Rgb::filled(101, 101, [10; 3]);
        for (x, y) in (88..93).flat_map(|x| (48..53).map(move |y| (x, y))) {
            let at = rgb.offset(x, y);
            rgb.data[at..at + 3].copy_from_slice(&[250, 0, 0]);
        }
        let turned = tilted(&rgb, 90.0);
        assert_eq!(turned.pixel(50, 90), [250, 0, 0]);
        assert_eq!(turned.pixel(90, 50), [10; 3]);
        assert_eq!(tilted(&rgb, 15.0).pixel(0, 0), [0; 3]);
        assert_eq!(tilted(&Rgb::filled(1, 1, [9; 3]), 15.0).data, [0; 3]);
    }
}
