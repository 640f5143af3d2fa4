//! The cost of each part of a frame: `cargo bench --bench frame` measures milliseconds; `tools/instructions` counts the
//! instructions of the same parts for the processor of a board, one part per run: `frame PART TIMES`.
#![allow(clippy::unwrap_used)] // a bench that cannot read its picture may fail

use namecam::config;
use namecam::detection::{Sighting, State};
use namecam::frame::{Jpeg, Moment};
use namecam::image::jpeg::{self, Codec, Compressor};
use namecam::image::{Format, Raw, Rect, Rgb};
use namecam::stream::overlay::Painter;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

const SIZE: (u32, u32) = (1280, 720);
const QUALITY: u32 = 80;

/// A frame in each of its forms.
struct Bench {
    jpeg: Vec<u8>,
    yuyv: Vec<u8>,
    rgb: Rgb,
    canvas: Rgb,
    painter: Painter,
    faces: Vec<Sighting>,
    out: Vec<u8>,
    compressor: Compressor,
    portable: Compressor,
}

/// Two people from a real picture, at the default size of cameras.
fn bench() -> Bench {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/target/pictures/obama3.jpg");
    let whole = jpeg::decode(&std::fs::read(file).unwrap()).unwrap();
    let rgb = whole.cropped(Rect { x: 77, y: 200, w: SIZE.0, h: SIZE.1 });
    let mut jpeg = Vec::new();
    let mut compressor = Compressor::new(Codec::default(), QUALITY);
    compressor.compress(&rgb, &mut jpeg).unwrap();
    let luma = rgb.data.as_chunks::<3>().0.iter().map(|[_, green, _]| 16 + green / 2);
    let yuyv = luma.flat_map(|luma| [luma, 120]).collect();
    let face = |x, name: &str| Sighting {
        track: 1,
        since: Instant::now(),
        name: Some(name.into()),
        distance: Some(0.372),
        runner_up: None,
        nearest: None,
        rect: Rect { x, y: 112, w: 262, h: 262 },
        velocity: [0.0; 2],
        state: State::Named,
        evidence: Default::default(),
        view: None,
        stranger: None,
    };
    let painter = Painter::new(&config::Config::defaults(Path::new(".")).overlay);
    let portable = Compressor::new(Codec::JpegEncoder, QUALITY);
    let faces = vec![face(120, "Joe Biden"), face(584, "Barack Obama")];
    let canvas = rgb.clone();
    Bench { jpeg, yuyv, rgb, canvas, painter, faces, out: Vec::new(), compressor, portable }
}

type Part = (&'static str, fn(&mut Bench));

const PARTS: &[Part] = &[
    ("passthrough", |b| {
        // The copy from the camera's buffer by the camera thread, and the part that is sent to viewers.
        let tidy = jpeg::tidy(b.jpeg.clone()).unwrap();
        black_box(Jpeg::new(tidy.into(), Moment::now(), true));
    }),
    ("decode", |b| drop(black_box(jpeg::decode(&b.jpeg).unwrap()))),
    ("decode-zune", |b| drop(black_box(jpeg::forgiving::decode(&b.jpeg).unwrap()))),
    ("yuyv", |b| {
        let raw = Raw { bytes: &b.yuyv[..], width: SIZE.0, height: SIZE.1, stride: SIZE.0 * 2 };
        drop(black_box(Format::by_fourcc(b"YUYV").unwrap().to_rgb(raw).unwrap()));
    }),
    ("overlay", |b| {
        // On a copy, like a rendition.
        b.rgb.shrink_into(0, &mut b.canvas);
        b.painter.draw(&mut b.canvas, &b.faces, 1.0);
    }),
    ("encode", |b| b.compressor.compress(&b.rgb, &mut b.out).unwrap()),
    ("encode-rust", |b| b.portable.compress(&b.rgb, &mut b.out).unwrap()),
];

fn main() {
    let mut bench = bench();
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    if let [part, times] = &words[..] {
        let (_, run) = PARTS.iter().find(|(name, _)| name == part).unwrap();
        (0..times.parse::<u32>().unwrap()).for_each(|_| run(&mut bench));
        return;
    }
    println!("{}x{}, JPEG of {} bytes", SIZE.0, SIZE.1, bench.jpeg.len());
    for (name, run) in PARTS {
        let mut times: Vec<f64> = (0..51)
            .map(|_| {
                let start = Instant::now();
                run(&mut bench);
                start.elapsed().as_secs_f64() * 1000.0
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!("{name:<12} {:>8.3} ms", times[times.len() / 2]);
    }
}
