//! Compares the conversion of each raw format with ffmpeg's conversion of the same bytes of a photo.

use crate::support::picture;
use namecam::image::{FORMATS, Raw};
use std::io::Write as _;
use std::process::{Command, Stdio};

const WIDTH: u32 = 640;
const HEIGHT: u32 = 480;

/// The name in V4L2 and the name in ffmpeg.
const NAMES: &[(&[u8; 4], &str)] = &[
    (b"YUYV", "yuyv422"),
    (b"UYVY", "uyvy422"),
    (b"YVYU", "yvyu422"),
    (b"NV12", "nv12"),
    (b"NV21", "nv21"),
    (b"YU12", "yuv420p"),
    (b"YV12", "yuv420p"),
    (b"RGB3", "rgb24"),
    (b"BGR3", "bgr24"),
    (b"GREY", "gray"),
];

/// The raw output of ffmpeg, which gets `input` on stdin.
fn ffmpeg(args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("ffmpeg")
        .args(["-loglevel", "error"])
        .args(args)
        .args(["-f", "rawvideo", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("ffmpeg is there: make setup");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    output.stdout
}

/// Swaps the chroma planes, because ffmpeg writes U before V.
fn with_planes_swapped(mut bytes: Vec<u8>) -> Vec<u8> {
    let chroma = &mut bytes[(WIDTH * HEIGHT) as usize..];
    let half = chroma.len() / 2;
    chroma.rotate_left(half);
    bytes
}

#[test]
fn a_photo_in_every_raw_format_looks_as_converted_by_ffmpeg() {
    let (photo, size) = (picture("obama.jpg"), format!("{WIDTH}x{HEIGHT}"));
    let scale = format!("scale={WIDTH}:{HEIGHT}");
    // Without interpolation of chroma, as in namecam.
    let exact = "scale=flags=neighbor+accurate_rnd+full_chroma_int";
    for format in FORMATS.iter().filter(|format| !format.jpeg) {
        let (_, name) = NAMES.iter().find(|(fourcc, _)| **fourcc == format.fourcc).expect("a line in NAMES");
        let sent = ffmpeg(&["-i", photo.to_str().unwrap(), "-vf", &scale, "-pix_fmt", name], &[]);
        let raw = ["-f", "rawvideo", "-pix_fmt", name, "-s", &size, "-i", "-"];
        let theirs = ffmpeg(&[&raw[..], &["-vf", exact, "-pix_fmt", "rgb24"]].concat(), &sent);
        let sent = if format.fourcc == *b"YV12" { with_planes_swapped(sent) } else { sent };
        let stride = format.min_stride(WIDTH);
        // The narrower pictures have the same bytes, with the columns at the right as padding.
        for width in [WIDTH, WIDTH - 1, WIDTH - 38] {
            let ours = format.to_rgb(Raw { bytes: &sent[..], width, height: HEIGHT, stride }).unwrap();
            let lines = theirs.chunks_exact(WIDTH as usize * 3);
            let theirs: Vec<u8> = lines.flat_map(|line| &line[..width as usize * 3]).copied().collect();
            assert_eq!(ours.data.len(), theirs.len());
            let off: Vec<u8> = ours.data.iter().zip(&theirs).map(|(a, b)| a.abs_diff(*b)).collect();
            let mean = off.iter().map(|&o| f64::from(o)).sum::<f64>() / off.len() as f64;
            let worst = off.iter().max().unwrap();
            println!("{} {width}x{HEIGHT}: mean {mean:.2}, worst {worst}", format.name());
            assert!(mean <= 1.0 && *worst <= 8, "{} {width}x{HEIGHT}: mean {mean:.2}, worst {worst}", format.name());
        }
    }
}
