//! What holds for any picture: the conversions are compared with a slow reading of each format by its definition.

use super::*;
use crate::fuzz::{Random, holds};
use proptest::prelude::*;

/// How far a channel may be from its definition in 4:2:0 and 4:2:2. The other formats are exact.
const TOLERANCE: f64 = 3.0;

/// A raw picture with bytes that follow from a seed, so that a failure is told in one line.
#[derive(Debug, Clone, Copy)]
struct Made {
    fourcc: [u8; 4],
    width: u32,
    height: u32,
    stride: u32,
    seed: u64,
    /// Only bytes of 0 and 255, the worst for sums that overflow.
    extreme: bool,
}

impl Made {
    /// So many bytes in an allocation that ends with them: AddressSanitizer tells of a read beyond.
    fn bytes(&self, count: usize) -> Box<[u8]> {
        let mut random = Random(self.seed | 1);
        (0..count).map(|_| random.next() as u8).map(|v| if self.extreme { v / 128 * 255 } else { v }).collect()
    }

    fn raw<'a>(&self, bytes: &'a [u8]) -> Raw<&'a [u8]> {
        Raw { bytes, width: self.width, height: self.height, stride: self.stride }
    }

    fn format(&self) -> &'static Format {
        format(&self.fourcc)
    }

    /// The fewest bytes of a line.
    fn least_stride(&self) -> u64 {
        let width = u64::from(self.width);
        match &self.fourcc {
            b"RGB3" | b"BGR3" => 3 * width,
            b"YUYV" | b"UYVY" | b"YVYU" => 4 * width.div_ceil(2),
            _ => width,
        }
    }

    fn is_planar(&self) -> bool {
        matches!(&self.fourcc, b"NV12" | b"NV21" | b"YU12" | b"YV12")
    }

    fn size(&self) -> u128 {
        let (stride, height) = (u128::from(self.stride), u128::from(self.height));
        let chroma = if self.is_planar() { stride.div_ceil(2) * 2 * height.div_ceil(2) } else { 0 };
        stride * height + chroma
    }

    /// The position of a pixel's luma, or of its green.
    fn luma_at(&self, x: u32, y: u32) -> usize {
        let [x, line] = [x as usize, y as usize * self.stride as usize];
        line + match &self.fourcc {
            b"RGB3" | b"BGR3" => 3 * x + 1,
            b"YUYV" | b"YVYU" => 2 * x,
            b"UYVY" => 2 * x + 1,
            _ => x,
        }
    }

    /// The positions of a pixel's U and V.
    fn chroma_at(&self, x: u32, y: u32) -> [usize; 2] {
        let [pair, y, stride, height] = [x / 2, y, self.stride, self.height].map(|v| v as usize);
        let (half, line, planes) = (stride.div_ceil(2), y / 2, stride * height);
        match &self.fourcc {
            b"YUYV" => [1, 3].map(|at| y * stride + 4 * pair + at),
            b"YVYU" => [3, 1].map(|at| y * stride + 4 * pair + at),
            b"UYVY" => [0, 2].map(|at| y * stride + 4 * pair + at),
            b"NV12" => [0, 1].map(|at| planes + line * 2 * half + 2 * pair + at),
            b"NV21" => [1, 0].map(|at| planes + line * 2 * half + 2 * pair + at),
            b"YU12" => [0, 1].map(|plane| planes + plane * half * height.div_ceil(2) + line * half + pair),
            b"YV12" => [1, 0].map(|plane| planes + plane * half * height.div_ceil(2) + line * half + pair),
            other => panic!("no chroma in {other:?}"),
        }
    }

    /// Red, green and blue of a pixel, and how far the conversion may be off. For a luma below 16 the vector code of the crate
    /// `yuv` takes 16 (`lifts_black`), and its plain loop takes the value itself. Both results are accepted.
    fn pixel(&self, bytes: &[u8], x: u32, y: u32, lifts_black: bool) -> ([f64; 3], f64) {
        let luma = self.luma_at(x, y);
        match &self.fourcc {
            b"GREY" => ([f64::from(bytes[luma]); 3], 0.0),
            b"RGB3" => ([luma - 1, luma, luma + 1].map(|at| f64::from(bytes[at])), 0.0),
            b"BGR3" => ([luma + 1, luma, luma - 1].map(|at| f64::from(bytes[at])), 0.0),
            _ => {
                // BT.601, limited range.
                let [u, v] = self.chroma_at(x, y).map(|at| f64::from(bytes[at]) - 128.0);
                let least = if lifts_black { 16 } else { 0 };
                let luma = 255.0 / 219.0 * (f64::from(bytes[luma].max(least)) - 16.0);
                let [red, blue] = [1.402 * v, 1.772 * u].map(|of| of * 255.0 / 224.0);
                let green = -(0.299 * red + 0.114 * blue) / 0.587;
                ([red, green, blue].map(|of| (luma + of).clamp(0.0, 255.0)), TOLERANCE)
            }
        }
    }
}

fn fourccs() -> impl Strategy<Value = [u8; 4]> {
    let raw = FORMATS.iter().filter(|format| !format.jpeg).map(|format| format.fourcc);
    prop::sample::select(raw.collect::<Vec<_>>())
}

/// A picture with a stride that its format allows.
fn pictures() -> impl Strategy<Value = Made> {
    let widths = prop_oneof![1..=9_u32, 1..=80_u32, 120..=350_u32];
    let padding = prop_oneof![0..=3_u32, 0..=70_u32];
    (fourccs(), widths, 1..=19_u32, padding, any::<u64>(), any::<bool>()).prop_map(
        |(fourcc, width, height, padding, seed, extreme)| {
            let made = Made { fourcc, width, height, stride: 0, seed, extreme };
            Made { stride: made.least_stride() as u32 + padding, ..made }
        },
    )
}

#[test]
fn each_pixel_is_what_its_format_says_for_any_size_stride_and_bytes() {
    let worst = std::cell::RefCell::new(std::collections::BTreeMap::new());
    holds(1500, pictures(), |made| {
        let bytes = made.bytes(made.size() as usize);
        let rgb = made.format().to_rgb(made.raw(&bytes)).unwrap();
        assert_eq!((rgb.width, rgb.height), (made.width, made.height));
        for (x, y) in (0..made.height).flat_map(|y| (0..made.width).map(move |x| (x, y))) {
            let got = rgb.pixel(x, y);
            let off = |lifts_black: bool| {
                let (expected, tolerance) = made.pixel(&bytes, x, y, lifts_black);
                let off = got.iter().zip(expected).map(|(&g, e)| (f64::from(g) - e).abs()).fold(0.0, f64::max);
                (off, expected, tolerance)
            };
            let (off, expected, tolerance) =
                [off(false), off(true)].into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
            assert!(off <= tolerance, "at {x},{y}: {got:?} for {expected:?}");
            let mut worst = worst.borrow_mut();
            let worst: &mut f64 = worst.entry(made.format().name()).or_default();
            *worst = off.max(*worst);
        }
    });
    println!("so many levels off at most: {:?}", worst.borrow());
}

#[test]
fn the_small_plane_of_luma_is_the_mean_of_every_other_line_of_each_square() {
    holds(300, (pictures(), any::<bool>()), |(made, wide)| {
        // A divisor of 8, too.
        let width = if wide { made.width + 640 } else { made.width };
        let made = Made { width, stride: 0, ..made };
        let made = Made { stride: made.least_stride() as u32, ..made };
        let bytes = made.bytes(made.size() as usize);
        let luma = made.format().to_luma(made.raw(&bytes)).unwrap();
        let divisor = [(640, 8), (320, 4), (160, 2), (0, 1)].into_iter().find(|(from, _)| width >= *from).unwrap().1;
        assert_eq!((luma.width, luma.height), ((width / divisor).max(1), (made.height / divisor).max(1)));
        for (at, &got) in (0..).zip(&luma.data) {
            let (left, top) = (at % luma.width * divisor, at / luma.width * divisor);
            let lines = (top..(top + divisor).min(made.height)).step_by(2);
            let of = lines.flat_map(|y| (left..left + divisor).map(move |x| (x, y)));
            let values: Vec<u32> = of.map(|(x, y)| u32::from(bytes[made.luma_at(x, y)])).collect();
            assert_eq!(u32::from(got), values.iter().sum::<u32>() / values.len() as u32, "{at}");
        }
    });
}

#[test]
fn what_lies_before_and_after_the_bytes_of_a_picture_changes_nothing() {
    holds(500, (pictures(), 0..70_usize), |(made, around)| {
        let bytes = made.bytes(made.size() as usize);
        let within = |value: u8| {
            let all = [&vec![value; around][..], &bytes, &vec![value; around][..]].concat();
            // What a driver sends after the picture is ignored.
            let converted = |end: usize| {
                let raw = made.raw(&all[around..end]);
                (made.format().to_rgb(raw).unwrap(), made.format().to_luma(raw).unwrap())
            };
            [converted(around + bytes.len()), converted(all.len())]
        };
        let [dark, bright] = [within(0), within(255)];
        assert!(dark == bright && dark[0] == dark[1]);
    });
}

#[test]
fn a_picture_is_refused_exactly_when_its_size_its_stride_or_its_bytes_are_impossible() {
    let sides = || prop_oneof![0..=9_u32, 0..=70_u32, 65_530..=65_540_u32, any::<u32>()];
    let strides = prop_oneof![0..=9_u32, 0..=300_u32, 65_530..=200_000_u32, any::<u32>()];
    let counts = prop_oneof![(0..=3000_usize).prop_map(Some), Just(None)];
    // With just enough bytes, or one too few, where they are not too many to make; else any number of them.
    let shapes = (fourccs(), sides(), sides(), strides, counts, any::<bool>(), any::<bool>());
    let taken = std::cell::Cell::new(0);
    holds(20_000, shapes, |(fourcc, width, height, stride, count, least, short)| {
        let made = Made { fourcc, width, height, stride, seed: 1, extreme: false };
        let stride = if least { made.least_stride().min(u64::from(u32::MAX)) as u32 } else { stride };
        let made = Made { stride, ..made };
        let pixels = u64::from(width) * u64::from(height);
        let possible = pixels > 0
            && pixels <= MAX_PIXELS
            && width.max(height) <= 4 * MAX_SIDE
            && u64::from(stride) >= made.least_stride();
        let exact = made.size().saturating_sub(u128::from(short)).min(200_000) as usize;
        let bytes = vec![7; count.unwrap_or(exact)];
        let good = possible && bytes.len() as u128 >= made.size();
        assert_eq!(made.format().to_rgb(made.raw(&bytes)).is_ok(), good);
        assert_eq!(made.format().to_luma(made.raw(&bytes)).is_ok(), good);
        taken.set(taken.get() + u32::from(good));
    });
    assert!(taken.get() > 500, "only {} were possible", taken.get());
}

fn turns() -> impl Strategy<Value = Turn> {
    (0..4_u16, any::<bool>()).prop_map(|(quarters, mirror)| Turn { degrees: quarters * 90, mirror })
}

#[test]
fn two_turns_are_the_one_turn_that_is_both() {
    holds(500, (1..=70_u32, 1..=70_u32, turns(), turns()), |(width, height, first, second)| {
        let picture = numbered(width, height);
        assert_eq!(first.then(second).apply(picture.clone()), second.apply(first.apply(picture)));
    });
}

#[test]
fn a_part_that_is_cut_out_anywhere_has_the_pixels_of_its_place_and_can_be_put_back() {
    let side = || prop_oneof![-20..90_i32, any::<i32>()];
    let length = || prop_oneof![0..90_u32, any::<u32>()];
    let rects = (side(), side(), length(), length()).prop_map(|(x, y, w, h)| Rect { x, y, w, h });
    holds(2000, (1..=70_u32, 1..=70_u32, rects), |(width, height, rect)| {
        let picture = numbered(width, height);
        let part = picture.cropped(rect);
        let inside = |x: u32, y: u32| {
            let is_in =
                |at: u32, from: i32, length: u32| (0..i64::from(length)).contains(&(i64::from(at) - i64::from(from)));
            is_in(x, rect.x, rect.w) && is_in(y, rect.y, rect.h)
        };
        let all = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let expected: Vec<u8> = all.filter(|&(x, y)| inside(x, y)).flat_map(|(x, y)| picture.pixel(x, y)).collect();
        assert_eq!(part.data, expected);
        let mut black = Rgb::filled(width, height, [0; 3]);
        let place = rect.clipped(width, height);
        black.put(&part, place.x as u32, place.y as u32);
        for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
            assert_eq!(black.pixel(x, y), if inside(x, y) { picture.pixel(x, y) } else { [0; 3] });
        }
    });
}
