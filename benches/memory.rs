//! Measures the memory of each call of the recognizer in a process of its own: `cargo bench --bench memory`.
//! `src/memory.rs` uses these numbers. `cargo bench --profile dev --bench memory` gives the same numbers and builds
//! less. With `-- same FOLDER...` the bench runs the CNN on the pictures of the folders, once on each whole picture,
//! scaled to a width of 1280, and once in tiles, and prints the faces that only one of the two runs found.
#![allow(clippy::expect_used)] // a bench that cannot measure may fail

use namecam::config::{Config, Detector};
use namecam::image::{Rect, Rgb, still};
use namecam::recognition::dlib::Dlib;
use namecam::recognition::engine::Engine;
use namecam::recognition::models;
use std::path::Path;
use std::process::Command;

/// The parameters of a row: the operation, the detector, the width and height of the picture, and a number.
const ROWS: &[[&str; 5]] = &[
    ["look", "cnn", "160", "120", "1"],
    ["look", "cnn", "400", "400", "1"],
    ["look", "cnn", "640", "480", "1"],
    ["look", "cnn", "744", "720", "1"],
    ["look", "cnn", "640", "480", "2"],
    ["look", "cnn", "2560", "1440", "0.5"],
    ["look", "hog", "640", "480", "1"],
    ["look", "hog", "640", "480", "2"],
    ["look", "hog", "1280", "720", "1"],
    ["look", "hog", "3840", "2160", "1"],
    ["look", "hog", "3840", "2160", "2"],
    ["look", "hog", "7680", "4320", "0.9"],
    ["describe", "hog", "1280", "720", "1"],
    ["describe", "hog", "1280", "720", "4"],
    ["describe", "hog", "1280", "720", "16"],
    ["describe", "hog", "1280", "720", "32"],
    ["jitter", "hog", "1280", "720", "16"],
    ["jitter", "hog", "1280", "720", "100"],
    ["decode", "baseline", "9400", "6300", "1"],
    ["decode", "progressive", "9400", "6300", "1"],
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match &words[..] {
        [what, detector, width, height, number] => row(what, detector, width, height, number),
        [same, folders @ ..] if same == "same" => compare(folders),
        filter => {
            println!("what      by   picture     times     before MB   peak MB   kept MB   bytes a scaled pixel");
            let chosen = ROWS.iter().filter(|row| filter.iter().all(|word| row.contains(&word.as_str())));
            for row in chosen {
                let itself = std::env::current_exe().expect("a program");
                let status = Command::new(itself).args(row).status().expect("it starts");
                assert!(status.success(), "{row:?}");
            }
        }
    }
}

fn row(what: &str, detector: &str, width: &str, height: &str, number: &str) {
    namecam::os::process::share_one_heap();
    let (width, height): (u32, u32) = (width.parse().expect("a width"), height.parse().expect("a height"));
    let times: f64 = number.parse().expect("a number");
    let mut config = Config::defaults(Path::new(env!("CARGO_MANIFEST_DIR")));
    config.recognition.detector = if detector == "cnn" { Detector::Cnn } else { Detector::Hog };
    let files = models::check(&config).expect("the models are here: make setup");
    let mut dlib = Dlib::open(&files, u64::MAX).expect("models that dlib reads");
    namecam::recognition::dlib::set_blas_threads(1);
    let picture = noise(width, height);
    let file = if what == "decode" { jpeg(&picture, detector == "progressive") } else { Vec::new() };
    let before = kilobytes("VmRSS:");
    // Resets the peak in the kernel.
    std::fs::write("/proc/self/clear_refs", "5").expect("/proc/self/clear_refs");
    match what {
        "look" => drop(dlib.detect(&picture, times)),
        "decode" => drop(still::decode_still(&file).expect("a picture")),
        "describe" => drop(dlib.describe(&picture, &faces(&picture, times as usize), 1)),
        _ => drop(dlib.describe(&picture, &faces(&picture, 1), times as u32)),
    }
    let (peak, after) = (kilobytes("VmHWM:"), kilobytes("VmRSS:"));
    let mb = |kb: u64| kb as f64 * 1024.0 / 1e6;
    let scale = if what == "look" { times } else { 1.0 };
    let pixels = f64::from(width) * f64::from(height) * scale * scale;
    let a_pixel = (peak - before) as f64 * 1024.0 / pixels;
    println!(
        "{what:<9} {detector:<4} {:<10} {times:>6} {:>12.0} {:>9.0} {:>9.0} {a_pixel:>12.1}",
        format!("{width}x{height}"),
        mb(before),
        mb(peak),
        mb(after)
    );
}

fn compare(folders: &[String]) {
    let mut config = Config::defaults(Path::new(env!("CARGO_MANIFEST_DIR")));
    config.recognition.detector = Detector::Cnn;
    let files = models::check(&config).expect("the models are here: make setup");
    let [mut whole, mut tiles] = [u64::MAX, 2_040_000].map(|most| Dlib::open(&files, most).expect("models"));
    let (mut faces, mut only_whole, mut only_tiles, mut twice) = (0, 0, 0, 0);
    for entry in folders.iter().flat_map(|folder| std::fs::read_dir(folder).expect("a folder").flatten()) {
        let Some(rgb) = std::fs::read(entry.path()).ok().and_then(|bytes| still::decode(&bytes).ok()) else {
            continue;
        };
        let scale = 1280.0 / f64::from(rgb.width);
        let [on_whole, in_tiles] = [&mut whole, &mut tiles].map(|dlib| dlib.detect(&rgb, scale));
        let without = |these: &[Rect], those: &[Rect]| {
            these.iter().filter(|face| those.iter().all(|other| face.iou(*other) < 0.3)).count()
        };
        let doubles = |face: &&Rect| in_tiles.iter().filter(|other| face.iou(**other) > 0.3).count() > 1;
        let (lost, more, double) =
            (without(&on_whole, &in_tiles), without(&in_tiles, &on_whole), in_tiles.iter().filter(doubles).count());
        if lost + more + double > 0 {
            println!("{}: {lost} only on the whole, {more} only in tiles, {double} twice", entry.path().display());
        }
        (faces, only_whole) = (faces + on_whole.len(), only_whole + lost);
        (only_tiles, twice) = (only_tiles + more, twice + double);
    }
    println!(
        "{faces} faces on the whole: {only_whole} not found in tiles; {only_tiles} only in tiles; {twice} found twice"
    );
}

fn noise(width: u32, height: u32) -> Rgb {
    let mut state = 0x9e37_79b9_u32;
    let data = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    });
    Rgb { width, height, data: data.take(width as usize * height as usize * 3).collect() }
}

fn jpeg(rgb: &Rgb, progressive: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, 30);
    encoder.set_progressive(progressive);
    encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::R_4_4_4);
    let (width, height) = (rgb.width as u16, rgb.height as u16);
    encoder.encode(&rgb.data, width, height, jpeg_encoder::ColorType::Rgb).expect("a JPEG");
    bytes
}

fn faces(picture: &Rgb, count: usize) -> Vec<Rect> {
    let at = |n: usize| Rect {
        x: (n as i32 * 97) % (picture.width as i32 - 100),
        y: (n as i32 * 61) % (picture.height as i32 - 100),
        w: 100,
        h: 100,
    };
    (0..count).map(at).collect()
}

fn kilobytes(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc/self/status");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("a field");
    line.trim().trim_end_matches(" kB").parse().expect("kilobytes")
}
