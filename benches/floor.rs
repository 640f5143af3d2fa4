//! Measures lower bounds of processor time for `tools/bench_stream.py`, and prints them as a line of JSON.
//!
//! - `floor codec CLIP.mjpeg SECONDS FPS`: libjpeg-turbo alone decodes each picture to RGB and encodes it again, at the
//!   given rate, so that caches are cold; with an FPS of 0, without pauses.
//! - `floor pass CLIP.mjpeg SECONDS`: prints its port, reads the JPEGs that ffmpeg plays, as namecam does, and writes
//!   each of them to one connection.
//! - `floor write BYTES VIEWERS SECONDS`: prints its port, and writes BYTES to each of VIEWERS connections 30 times a
//!   second.
#![allow(clippy::unwrap_used)] // a bench that cannot measure may fail

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use turbojpeg::{Compressor, Decompressor, Image, OutputBuf, PixelFormat, Subsamp};

/// The default of `stream.quality`.
const QUALITY: i32 = 80;
const FPS: u32 = 30;
/// The number of pictures before the measurement begins.
const WARM_UP: usize = 30;

/// The processor time of this thread.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn codec(clip: &str, limit: Duration, fps: u32) {
    let clip = std::fs::read(clip).unwrap();
    let mut starts: Vec<usize> =
        (0..clip.len() - 2).filter(|&at| clip[at..].starts_with(&[0xFF, 0xD8, 0xFF])).collect();
    starts.push(clip.len());
    let pictures: Vec<&[u8]> = starts.windows(2).map(|ends| &clip[ends[0]..ends[1]]).collect();
    let mut decoder = Decompressor::new().unwrap();
    let mut encoder = Compressor::new().unwrap();
    encoder.set_quality(QUALITY).unwrap();
    encoder.set_subsamp(Subsamp::Sub2x2).unwrap();
    let header = decoder.read_header(pictures[0]).unwrap();
    let (width, height) = (header.width, header.height);
    let mut pixels = vec![0; width * height * 3];
    let mut out = OutputBuf::new_owned();
    let (mut begun, mut from) = (Instant::now(), cpu());
    let (mut pictures, mut count) = (pictures.iter().cycle(), 0);
    while count < WARM_UP || begun.elapsed() < limit {
        let picture = pictures.next().unwrap();
        let image = Image { pixels: &mut pixels[..], width, pitch: width * 3, height, format: PixelFormat::RGB };
        decoder.decompress(picture, image).unwrap();
        let image = Image { pixels: &pixels[..], width, pitch: width * 3, height, format: PixelFormat::RGB };
        encoder.compress(image, &mut out).unwrap();
        count += 1;
        if count == WARM_UP {
            (begun, from) = (Instant::now(), cpu());
        } else if count > WARM_UP && fps > 0 {
            let due = Duration::from_secs(1) / fps * (count - WARM_UP) as u32;
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
        }
    }
    let took = (cpu() - from).as_secs_f64() * 1000.0;
    println!("{{\"ms_a_frame\": {:.3}}}", took / (count - WARM_UP) as f64);
}

fn pass(clip: &str, limit: Duration) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap());
    let mut viewer = listener.accept().unwrap().0;
    let words = "-loglevel error -re -stream_loop -1 -f mjpeg -framerate 30 -i CLIP -c copy -f mjpeg -";
    let words = words.split(' ').map(|word| if word == "CLIP" { clip } else { word });
    let mut player = Command::new("ffmpeg").args(words).stdout(Stdio::piped()).spawn().unwrap();
    let mut pipe = player.stdout.take().unwrap();
    let (mut bytes, mut filled, mut searched) = (vec![0; 1 << 20], 0, 0);
    let (mut begun, mut from, mut count) = (Instant::now(), cpu(), 0);
    while count < WARM_UP || begun.elapsed() < limit {
        filled += pipe.read(&mut bytes[filled..]).unwrap();
        // EOI, the end of a picture.
        while let Some(at) = bytes[searched..filled].windows(2).position(|pair| pair == [0xFF, 0xD9]) {
            let end = searched + at + 2;
            viewer.write_all(&bytes[..end]).unwrap();
            bytes.copy_within(end..filled, 0);
            (filled, searched, count) = (filled - end, 0, count + 1);
            if count == WARM_UP {
                (begun, from) = (Instant::now(), cpu());
            }
        }
        searched = filled.saturating_sub(1);
    }
    let took = (cpu() - from).as_secs_f64() * 1000.0;
    println!("{{\"ms_a_frame\": {:.3}}}", took / (count - WARM_UP) as f64);
    player.kill().unwrap();
    player.wait().unwrap();
}

fn write(bytes: usize, viewers: usize, limit: Duration) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap());
    let mut viewers: Vec<_> = (0..viewers).map(|_| listener.accept().unwrap().0).collect();
    let picture = vec![0; bytes];
    let (begun, from) = (Instant::now(), cpu());
    let mut count = 0;
    while begun.elapsed() < limit {
        for viewer in &mut viewers {
            viewer.write_all(&picture).unwrap();
        }
        count += 1;
        std::thread::sleep((Duration::from_secs(1) / FPS * count).saturating_sub(begun.elapsed()));
    }
    println!("{{\"ms_a_frame\": {:.3}}}", (cpu() - from).as_secs_f64() * 1000.0 / f64::from(count));
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let seconds = |text: &str| Duration::from_secs_f64(text.parse().unwrap());
    match words[..] {
        ["codec", clip, limit, fps] => codec(clip, seconds(limit), fps.parse().unwrap()),
        ["pass", clip, limit] => pass(clip, seconds(limit)),
        ["write", bytes, viewers, limit] => write(bytes.parse().unwrap(), viewers.parse().unwrap(), seconds(limit)),
        _ => println!("tools/bench_stream.py runs it: make bench"),
    }
}
