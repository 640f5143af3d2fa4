mod properties;

use super::*;

fn numbered(width: u32, height: u32) -> Rgb {
    let data = (0..width * height).flat_map(|i| [i as u8, (i >> 8) as u8, 7]).collect();
    Rgb { width, height, data }
}

fn reds(rgb: &Rgb) -> Vec<u8> {
    rgb.data.chunks(3).map(|pixel| pixel[0]).collect()
}

/// A picture in colour: luma rises along it, chroma by blocks of 2x2, so that every error in a plane's layout is
/// visible.
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

    /// BT.601, limited range, by its definition. `lines` is the number of lines that share their chroma.
    fn expected(&self, x: u32, y: u32, lines: u32) -> [f64; 3] {
        let luma = 1.164_383 * (f64::from(self.luma(x, y)) - 16.0);
        let [u, v] = Self::chroma(x / 2, y / lines).map(|c| f64::from(c) - 128.0);
        [luma + 1.596_027 * v, luma - 0.391_762 * u - 0.812_968 * v, luma + 2.017_232 * u]
            .map(|channel| channel.clamp(0.0, 255.0))
    }

    /// The value of padding bytes: bright, so that it is visible when it is read.
    fn padding(&self, format: &Format, stride: u32) -> Vec<u8> {
        vec![255; format.min_size(self.width, self.height, stride)]
    }

    /// 4:2:0; `first` and `second` are the chroma channels (U is 0, V is 1) in their order.
    fn planes(&self, format: &Format, stride: u32, interleaved: bool, [first, second]: [usize; 2]) -> Vec<u8> {
        let mut bytes = self.padding(format, stride);
        for y in 0..self.height {
            for x in 0..self.width {
                bytes[(y * stride + x) as usize] = self.luma(x, y);
            }
        }
        let half = stride.div_ceil(2);
        let (first_at, second_at) = (stride * self.height, stride * self.height + half * self.height.div_ceil(2));
        for y in 0..self.height.div_ceil(2) {
            for x in 0..self.width.div_ceil(2) {
                let chroma = Self::chroma(x, y);
                let at = if interleaved {
                    [first_at + y * half * 2 + x * 2, first_at + y * half * 2 + x * 2 + 1]
                } else {
                    [first_at + y * half + x, second_at + y * half + x]
                };
                bytes[at[0] as usize] = chroma[first];
                bytes[at[1] as usize] = chroma[second];
            }
        }
        bytes
    }

    /// 4:2:2; `order` gives the positions of the left luma, U, the right luma and V in the four bytes.
    fn pairs(&self, format: &Format, stride: u32, order: [usize; 4]) -> Vec<u8> {
        let mut bytes = self.padding(format, stride);
        for y in 0..self.height {
            for pair in 0..self.width.div_ceil(2) {
                let [u, v] = Self::chroma(pair, y);
                let at = (y * stride + pair * 4) as usize;
                for (place, value) in order.into_iter().zip([self.luma(pair * 2, y), u, self.luma(pair * 2 + 1, y), v])
                {
                    bytes[at + place] = value;
                }
            }
        }
        bytes
    }

    /// `lines` is the number of lines that share their chroma.
    fn check(&self, format: &Format, stride: u32, bytes: &[u8], lines: u32) {
        let raw = Raw { bytes, width: self.width, height: self.height, stride };
        let rgb = format.to_rgb(raw).unwrap();
        assert_eq!((rgb.width, rgb.height), (self.width, self.height));
        assert_eq!(rgb.data.len(), (self.width * self.height * 3) as usize);
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

/// Even and odd sizes near the widths of vector registers, each with several strides.
fn shapes(format: &'static Format) -> impl Iterator<Item = (u32, u32, u32)> {
    let sizes = [(1, 1), (2, 2), (5, 3), (16, 4), (33, 7), (150, 9)];
    let padded = |(width, height)| [0, 1, 2, 8, 62].map(|more| (width, height, format.min_stride(width) + more));
    sizes.into_iter().flat_map(padded)
}

fn format(fourcc: &[u8; 4]) -> &'static Format {
    Format::by_fourcc(fourcc).unwrap()
}

/// Packed pairs of pixels: the FourCC, and the order of Y, U, Y, V in memory.
const PAIRS: [(&[u8; 4], [usize; 4]); 3] = [(b"YUYV", [0, 1, 2, 3]), (b"UYVY", [1, 0, 3, 2]), (b"YVYU", [0, 3, 2, 1])];

/// Planes: the FourCC, whether U and V share a plane, and their order.
const PLANES: [(&[u8; 4], bool, [usize; 2]); 4] =
    [(b"NV12", true, [0, 1]), (b"NV21", true, [1, 0]), (b"YU12", false, [0, 1]), (b"YV12", false, [1, 0])];

/// Formats without loss: the FourCC, the colour that the format can represent, and its bytes in memory.
type Exact = (&'static [u8; 4], fn([u8; 3]) -> [u8; 3], fn([u8; 3]) -> Vec<u8>);
const EXACT: [Exact; 3] = [
    (b"RGB3", |color| color, |color| color.to_vec()),
    (b"BGR3", |color| color, |[r, g, b]| vec![b, g, r]),
    (b"GREY", |[red, ..]| [red; 3], |[red, ..]| vec![red]),
];

#[test]
fn each_raw_format_has_a_picture_with_known_colours() {
    let tested =
        PAIRS.iter().map(|row| row.0).chain(PLANES.iter().map(|row| row.0)).chain(EXACT.iter().map(|row| row.0));
    let tested: Vec<[u8; 4]> = tested.copied().collect();
    for format in FORMATS.iter().filter(|format| !format.jpeg) {
        assert!(tested.contains(&format.fourcc), "add a row for {} to PAIRS, PLANES or EXACT", format.name());
    }
}

#[test]
fn packed_pairs_become_the_golden_picture_with_padded_lines_and_odd_sizes() {
    for (fourcc, order) in PAIRS {
        let format = format(fourcc);
        for (width, height, stride) in shapes(format) {
            let golden = Golden { width, height };
            golden.check(format, stride, &golden.pairs(format, stride, order), 1);
        }
    }
}

#[test]
fn planes_become_the_golden_picture_with_padded_lines_and_odd_sizes() {
    for (fourcc, interleaved, order) in PLANES {
        let format = format(fourcc);
        for (width, height, stride) in shapes(format) {
            let golden = Golden { width, height };
            golden.check(format, stride, &golden.planes(format, stride, interleaved, order), 2);
        }
    }
}

#[test]
fn rgb_and_grey_are_exact_with_padded_lines_and_odd_sizes() {
    for (fourcc, shown, sent) in EXACT {
        for (width, height, stride) in shapes(format(fourcc)) {
            let mut picture = numbered(width, height);
            let mut bytes = vec![255; (stride * height) as usize];
            for (i, color) in picture.data.as_chunks_mut().0.iter_mut().enumerate() {
                let (x, y) = (i as u32 % width, i as u32 / width);
                let color_bytes = sent(*color);
                let at = y as usize * stride as usize + x as usize * color_bytes.len();
                bytes[at..at + color_bytes.len()].copy_from_slice(&color_bytes);
                *color = shown(*color);
            }
            let raw = Raw { bytes: &bytes[..], width, height, stride };
            assert_eq!(format(fourcc).to_rgb(raw).unwrap(), picture, "{} {width}x{height}", format(fourcc).name());
        }
    }
}

#[test]
fn bytes_that_a_driver_sends_after_the_picture_are_ignored() {
    for format in FORMATS.iter().filter(|format| !format.jpeg) {
        let (width, height, stride) = (6, 4, format.min_stride(6) + 2);
        let exact: Vec<u8> = (0..format.min_size(width, height, stride)).map(|i| (i * 37) as u8).collect();
        let pages = [&exact[..], &[255; 4096]].concat();
        let rgb = |bytes| format.to_rgb(Raw { bytes, width, height, stride }).unwrap();
        assert_eq!(rgb(&pages[..]), rgb(&exact[..]), "{}", format.name());
    }
}

#[test]
fn jpeg_becomes_the_picture_that_was_encoded_at_odd_sizes_too() {
    for (width, height) in [(1_u16, 1_u16), (17, 33), (64, 48)] {
        // Smooth gradients, which JPEG preserves nearly exactly.
        let color = |x: u32, y: u32| [(60 + x * 2) as u8, (80 + y * 2) as u8, 120];
        let size = (u32::from(width), u32::from(height));
        let data: Vec<u8> = (0..size.0 * size.1).flat_map(|i| color(i % size.0, i / size.0)).collect();
        let mut jpeg = Vec::new();
        let encoder = jpeg_encoder::Encoder::new(&mut jpeg, 98);
        encoder.encode(&data, width, height, jpeg_encoder::ColorType::Rgb).unwrap();
        let raw = Raw { bytes: &jpeg[..], width: size.0, height: size.1, stride: 0 };
        for format in FORMATS.iter().filter(|format| format.jpeg) {
            let rgb = format.to_rgb(raw).unwrap();
            assert_eq!((rgb.width, rgb.height), size);
            let off = rgb.data.iter().zip(&data).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(off <= Some(6), "{} {width}x{height}: {off:?} levels off", format.name());
        }
    }
}

#[test]
fn a_picture_that_is_too_short_or_impossible_is_refused_with_the_reason() {
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
fn turning_moves_each_pixel_to_its_place() {
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
    // The part of a face that is beyond the lower edge.
    let nothing = picture.cropped(Rect { x: 5, y: 30, w: 20, h: 20 });
    assert_eq!((nothing.width, nothing.height, nothing.shrunk(3)), (20, 0, nothing.clone()));
}
