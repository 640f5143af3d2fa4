use super::*;

fn numbered(width: u32, height: u32) -> Rgb {
    let data = (0..width * height).flat_map(|i| [i as u8, (i >> 8) as u8, 7]).collect();
    Rgb { width, height, data }
}

fn reds(rgb: &Rgb) -> Vec<u8> {
    rgb.data.chunks(3).map(|pixel| pixel[0]).collect()
}

/// A picture in colour: luma rises along it, chroma by blocks of 2x2, so that every mistake in a plane's layout shows.
struct Golden {
    width: u32,
    height: u32,
}

impl Golden {
    fn luma(&self, x: u32, y: u32) -> u8 {
        (40 + (x * 13 + y * 29) % 170) as u8
    }

    fn chroma(x: u32, y: u32) -> [u8; 2] {
        [(100 + (x * 11 + y * 7) % 60) as u8, (90 + (x * 5 + y * 17) % 70) as u8]
    }

    /// BT.601, limited range, by the textbook. `lines` says how many lines share their chroma.
    fn expected(&self, x: u32, y: u32, lines: u32) -> [f64; 3] {
        let luma = 1.164_383 * (f64::from(self.luma(x, y)) - 16.0);
        let [u, v] = Self::chroma(x / 2, y / lines).map(|c| f64::from(c) - 128.0);
        [luma + 1.596_027 * v, luma - 0.391_762 * u - 0.812_968 * v, luma + 2.017_232 * u]
            .map(|channel| channel.clamp(0.0, 255.0))
    }

    fn planes(&self, stride: u32, interleaved: bool) -> Vec<u8> {
        // What stands in the padding is nobody's business: bright, so that it shows when it is read.
        let mut bytes = vec![255; planes_420(stride, self.height)];
        for y in 0..self.height {
            for x in 0..self.width {
                bytes[(y * stride + x) as usize] = self.luma(x, y);
            }
        }
        let half = stride.div_ceil(2);
        let (u_at, v_at) = (stride * self.height, stride * self.height + half * self.height.div_ceil(2));
        for y in 0..self.height.div_ceil(2) {
            for x in 0..self.width.div_ceil(2) {
                let [u, v] = Self::chroma(x, y);
                let at = if interleaved {
                    [u_at + y * half * 2 + x * 2, u_at + y * half * 2 + x * 2 + 1]
                } else {
                    [u_at + y * half + x, v_at + y * half + x]
                };
                bytes[at[0] as usize] = u;
                bytes[at[1] as usize] = v;
            }
        }
        bytes
    }

    fn packed(&self, stride: u32) -> Vec<u8> {
        let mut bytes = vec![255; (stride * self.height) as usize];
        for y in 0..self.height {
            for pair in 0..self.width.div_ceil(2) {
                let [u, v] = Self::chroma(pair, y);
                let at = (y * stride + pair * 4) as usize;
                bytes[at..at + 4].copy_from_slice(&[self.luma(pair * 2, y), u, self.luma(pair * 2 + 1, y), v]);
            }
        }
        bytes
    }

    fn check(&self, fourcc: &[u8; 4], stride: u32, bytes: &[u8]) {
        let format = Format::by_fourcc(fourcc).unwrap();
        let raw = Raw { bytes, width: self.width, height: self.height, stride };
        let rgb = format.to_rgb(raw).unwrap();
        assert_eq!((rgb.width, rgb.height), (self.width, self.height));
        assert_eq!(rgb.data.len(), (self.width * self.height * 3) as usize);
        let lines = if fourcc == b"YUYV" { 1 } else { 2 };
        for y in 0..self.height {
            for x in 0..self.width {
                let (got, expected) = (rgb.pixel(x, y), self.expected(x, y, lines));
                let off = got.iter().zip(expected).map(|(&g, e)| (f64::from(g) - e).abs()).fold(0.0, f64::max);
                assert!(
                    off <= 3.0,
                    "{} {}x{} at {x},{y}: {got:?} for {expected:?}",
                    format.name(),
                    self.width,
                    self.height
                );
            }
        }
    }
}

/// Sizes about the widths of vector registers, even and odd.
const SIZES: [(u32, u32); 6] = [(1, 1), (2, 2), (5, 3), (16, 4), (33, 7), (150, 9)];

#[test]
fn yuyv_becomes_the_golden_picture_with_padded_lines_and_odd_sizes() {
    for (width, height) in SIZES {
        let (golden, tight) = (Golden { width, height }, width.div_ceil(2) * 4);
        for stride in [tight, tight + 8, tight + 62] {
            golden.check(b"YUYV", stride, &golden.packed(stride));
        }
    }
}

#[test]
fn nv12_and_yu12_become_the_golden_picture_with_padded_lines_and_odd_sizes() {
    for (width, height) in SIZES {
        let golden = Golden { width, height };
        for stride in [width, width + 1, width + 2, width + 62] {
            golden.check(b"NV12", stride, &golden.planes(stride, true));
            golden.check(b"YU12", stride, &golden.planes(stride, false));
        }
    }
}

#[test]
fn grey_becomes_the_golden_picture_with_padded_lines_and_odd_sizes() {
    for (width, height, stride) in [(1, 1, 1), (3, 2, 3), (3, 2, 5), (33, 7, 64)] {
        let mut bytes = vec![255; (stride * height) as usize];
        for (i, pixel) in (0..width * height).enumerate() {
            bytes[(pixel / width * stride + pixel % width) as usize] = i as u8;
        }
        let raw = Raw { bytes: &bytes[..], width, height, stride };
        let rgb = Format::by_fourcc(b"GREY").unwrap().to_rgb(raw).unwrap();
        let expected: Vec<u8> = (0..width * height).flat_map(|i| [i as u8; 3]).collect();
        assert_eq!(rgb, Rgb { width, height, data: expected });
    }
}

#[test]
fn mjpg_becomes_the_picture_that_was_encoded_at_odd_sizes_too() {
    for (width, height) in [(1_u16, 1_u16), (17, 33), (64, 48)] {
        // Slow gradients, which JPEG keeps nearly exactly.
        let color = |x: u32, y: u32| [(60 + x * 2) as u8, (80 + y * 2) as u8, 120];
        let size = (u32::from(width), u32::from(height));
        let data: Vec<u8> = (0..size.0 * size.1).flat_map(|i| color(i % size.0, i / size.0)).collect();
        let mut jpeg = Vec::new();
        let encoder = jpeg_encoder::Encoder::new(&mut jpeg, 98);
        encoder.encode(&data, width, height, jpeg_encoder::ColorType::Rgb).unwrap();
        let raw = Raw { bytes: &jpeg[..], width: size.0, height: size.1, stride: 0 };
        let rgb = Format::mjpg().to_rgb(raw).unwrap();
        assert_eq!((rgb.width, rgb.height), size);
        let off = rgb.data.iter().zip(&data).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(off <= Some(6), "{width}x{height}: {off:?} levels off");
    }
}

#[test]
fn a_picture_that_is_too_short_or_impossible_is_refused_and_said_why() {
    let yuyv = Format::by_fourcc(b"YUYV").unwrap();
    let refused = |width, height, stride, len: usize| {
        yuyv.to_rgb(Raw { bytes: &vec![0; len][..], width, height, stride }).unwrap_err()
    };
    assert!(refused(4, 2, 8, 15).contains("needs 16 bytes, got 15"));
    assert!(refused(4, 2, 7, 16).contains("stride of 7"));
    assert!(refused(0, 2, 8, 16).contains("no pixels"));
    assert!(refused(60_000, 60_000, 120_000, 0).contains("too large"));
}

#[test]
fn turning_moves_each_pixel_to_where_it_belongs() {
    // 0 1 2
    // 3 4 5
    let turned = |degrees, mirror| reds(&Turn { degrees, mirror }.apply(numbered(3, 2)));
    assert_eq!(turned(0, false), [0, 1, 2, 3, 4, 5]);
    assert_eq!(turned(90, false), [3, 0, 4, 1, 5, 2]);
    assert_eq!(turned(180, false), [5, 4, 3, 2, 1, 0]);
    assert_eq!(turned(270, false), [2, 5, 1, 4, 0, 3]);
    assert_eq!(turned(0, true), [2, 1, 0, 5, 4, 3]);
    assert_eq!(turned(90, true), [0, 3, 1, 4, 2, 5]);
    assert_eq!(turned(180, true), [3, 4, 5, 0, 1, 2]);
    assert_eq!(turned(270, true), [5, 2, 4, 1, 3, 0]);
}

#[test]
fn turning_is_the_same_for_pictures_larger_than_a_tile() {
    let picture = numbered(71, 101);
    for (degrees, mirror) in [(90, false), (90, true), (180, false), (180, true), (270, false), (270, true), (0, true)]
    {
        let turned = Turn { degrees, mirror }.apply(picture.clone());
        for y in 0..turned.height {
            for x in 0..turned.width {
                let x0 = if mirror { turned.width - 1 - x } else { x };
                let (from_x, from_y) = match degrees {
                    90 => (y, picture.height - 1 - x0),
                    180 => (picture.width - 1 - x0, picture.height - 1 - y),
                    270 => (picture.width - 1 - y, x0),
                    _ => (x0, y),
                };
                assert_eq!(turned.pixel(x, y), picture.pixel(from_x, from_y), "{degrees} {mirror} at {x},{y}");
            }
        }
    }
}

#[test]
fn a_shrunk_pixel_is_the_mean_of_the_area_that_it_covers() {
    let data = [0, 100, 20, 60].map(|v| [v, v, v]).concat();
    let half = Rgb { width: 2, height: 2, data }.shrunk(1);
    assert_eq!((half.width, half.height, half.pixel(0, 0)), (1, 1, [45; 3]));
    // Three columns to two: the middle one is shared.
    let third = Rgb { width: 3, height: 1, data: [[0; 3], [90; 3], [210; 3]].concat() }.shrunk(2);
    assert_eq!((third.pixel(0, 0), third.pixel(1, 0)), ([30; 3], [170; 3]));
}

#[test]
fn shrinking_is_exact_at_any_ratio() {
    let data: Vec<u8> = (0..97 * 53 * 3_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let picture = Rgb { width: 97, height: 53, data };
    let small = picture.shrunk(31);
    assert_eq!((small.width, small.height), (31, 17));
    let overlap = |i: u32, j: u32, from: u32, to: u32| {
        let (start, end) = ((i * from).max(j * to), ((i + 1) * from).min((j + 1) * to));
        f64::from(end.saturating_sub(start)) / f64::from(from)
    };
    for (x, y) in [(0, 0), (30, 16), (15, 8), (7, 3)] {
        let mut mean = 0.0;
        for from_y in 0..53 {
            for from_x in 0..97 {
                let share = overlap(x, from_x, 97, 31) * overlap(y, from_y, 53, 17);
                mean += f64::from(picture.pixel(from_x, from_y)[1]) * share;
            }
        }
        assert!((f64::from(small.pixel(x, y)[1]) - mean).abs() <= 0.51, "at {x},{y}");
    }
}

#[test]
fn nothing_is_ever_enlarged_and_strips_keep_a_line() {
    let picture = numbered(40, 30);
    assert_eq!(picture.shrunk(0), picture);
    assert_eq!(picture.shrunk(40), picture);
    assert_eq!(picture.shrunk(4000), picture);
    assert_eq!((Rgb::filled(1000, 1, [9; 3]).shrunk(3)), Rgb::filled(3, 1, [9; 3]));
    assert_eq!((Rgb::filled(1, 700, [9; 3]).shrunk(1)).height, 700);
}
