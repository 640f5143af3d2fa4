//! Tests with the deviations of cameras from plain JPEG, applied to a real picture: each decoder must show that
//! picture.

use super::*;
use crate::image::Rect;

type Decoder = (&'static str, fn(&[u8]) -> Result<Rgb, String>);

/// Both decoders, and the choice between them.
const DECODERS: &[Decoder] = &[
    ("zune-jpeg", forgiving::decode),
    #[cfg(feature = "turbojpeg")]
    ("libjpeg-turbo", turbo::decode),
    ("the choice", decode),
];

fn source(x: i32, w: u32, h: u32) -> Rgb {
    obama().cropped(Rect { x, y: 220, w, h })
}

fn camera(rgb: &Rgb, set: impl Fn(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    let mut jpeg = Vec::new();
    let mut encoder = Encoder::new(&mut jpeg, 92);
    // The sampling that USB cameras use.
    encoder.set_sampling_factor(SamplingFactor::F_2_1);
    set(&mut encoder);
    encoder.encode(&rgb.data, rgb.width as u16, rgb.height as u16, ColorType::Rgb).unwrap();
    jpeg
}

/// Checks that each decoder makes `rgb` of the bytes that a camera sent.
fn shows(what: &str, sent: Vec<u8>, rgb: &Rgb) {
    let tidied = tidy(sent).unwrap_or_else(|why| panic!("{what}: {why}"));
    shown_by(|_| true, what, &tidied, rgb);
}

/// Checks that the decoders with these names make `rgb` of `jpeg`.
fn shown_by(wanted: impl Fn(&str) -> bool, what: &str, jpeg: &[u8], rgb: &Rgb) {
    for (name, decode) in DECODERS.iter().filter(|(name, _)| wanted(name)) {
        let shown = decode(jpeg).unwrap_or_else(|why| panic!("{what}, {name}: {why}"));
        let close = psnr(&shown, rgb);
        assert!(close > 33.0, "{what}, {name}: {close:.1} dB");
    }
}

/// `count` lines, beginning with the line `from`.
fn lines(rgb: &Rgb, from: u32, count: u32) -> Rgb {
    rgb.cropped(Rect { x: 0, y: from as i32, w: rgb.width, h: count })
}

/// The result of each decoder for bytes that are no whole picture.
fn answers(bytes: &[u8]) -> impl Iterator<Item = (&'static str, Result<Rgb, String>)> {
    DECODERS.iter().map(move |(name, decode)| (*name, decode(bytes)))
}

#[test]
fn a_picture_without_huffman_tables_after_another_picture_or_with_padding_is_shown() {
    let (rgb, other) = (source(300, 640, 480), source(500, 640, 480));
    let (jpeg, old) = (camera(&rgb, |_| {}), camera(&other, |_| {}));
    let end = jpeg.len() - 2;
    for (what, sent) in [
        ("as it is", jpeg.clone()),
        ("no DHT", without_tables(jpeg.clone())),
        ("a whole one before it", [&old[..], &jpeg].concat()),
        ("half of one before it", [&old[..old.len() / 2], &jpeg].concat()),
        ("half of one behind it", [&jpeg[..], &old[..old.len() / 2]].concat()),
        ("zeros behind EOI", [&jpeg[..], &[0; 5000]].concat()),
        ("ones behind EOI", [&jpeg[..], &[0xFF; 5000]].concat()),
        ("a stale buffer behind EOI", [&jpeg[..], &old[old.len() / 3..]].concat()),
        ("a byte before EOI", [&jpeg[..end], &[7], &jpeg[end..]].concat()),
        ("many before EOI", [&jpeg[..end], &[0; 200], &jpeg[end..]].concat()),
        ("fill before EOI", [&jpeg[..end], &[0xFF; 5], &jpeg[end..]].concat()),
    ] {
        let tidied = tidy(sent).unwrap();
        // libjpeg-turbo only warns of many bytes between the scan and EOI, but its crate makes an error of the warning.
        let warned = what == "many before EOI";
        shown_by(|name| !(warned && name == "libjpeg-turbo"), what, &tidied, &rgb);
    }
}

#[test]
fn restart_markers_are_followed_in_a_picture_that_has_them_too() {
    let rgb = source(300, 333, 241);
    for interval in [1, 4, 21, 1000] {
        shows(&format!("every {interval}"), camera(&rgb, |encoder| encoder.set_restart_interval(interval)), &rgb);
    }
    // The published file has full chroma, a restart interval, and thumbnails in its metadata.
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/target/pictures/obama3.jpg");
    let published = std::fs::read(file).unwrap();
    assert!(published.windows(4).any(|four| four == [0xFF, 0xDD, 0, 4]), "it has a restart interval");
    shows("as published", published, &obama());
}

#[test]
fn the_beginning_of_a_truncated_picture_is_shown_and_never_counts_as_a_whole_picture() {
    let rgb = source(300, 640, 480);
    let jpeg = camera(&rgb, |_| {});
    let half = &jpeg[..jpeg.len() / 2];
    assert_eq!(tidy(half.to_vec()), Err("it has no end (EOI)"));
    // Some cameras append EOI to a truncated picture.
    let ended = [half, &[0xFF, 0xD9]].concat();
    assert_eq!(tidy(ended.clone()).unwrap(), ended);
    for bytes in [half, &ended] {
        for (name, answer) in answers(bytes) {
            if name == "libjpeg-turbo" {
                assert!(answer.unwrap_err().contains("remature end"), "{name}");
                continue;
            }
            let shown = answer.unwrap();
            let (above, below) = (psnr(&lines(&shown, 0, 160), &lines(&rgb, 0, 160)), psnr(&shown, &rgb));
            assert!(above > 33.0 && below < 20.0, "{name}: {above:.1} and {below:.1} dB");
        }
    }
}

#[test]
fn damage_between_restart_markers_stays_between_them() {
    let rgb = source(300, 640, 480);
    // A restart at the start of each line of blocks, which are 8 high.
    let mut jpeg = camera(&rgb, |encoder| encoder.set_restart_interval(40));
    let is_restart = |two: &[u8]| two[0] == 0xFF && matches!(two[1], 0xD0..=0xD7);
    let restarts: Vec<usize> = (0..jpeg.len() - 1).filter(|&at| is_restart(&jpeg[at..at + 2])).collect();
    assert_eq!(restarts.len(), 59);
    jpeg[restarts[10] + 9..restarts[10] + 40].fill(0x55);
    for (name, answer) in answers(&jpeg) {
        let shown = answer.unwrap_or_else(|why| panic!("{name}: {why}"));
        let near = |from, count| psnr(&lines(&shown, from, count), &lines(&rgb, from, count));
        let (above, hurt, below) = (near(0, 80), near(88, 8), near(104, 376));
        assert!(above > 33.0 && hurt < 30.0 && below > 33.0, "{name}: {above:.1}, {hurt:.1}, {below:.1} dB");
    }
}

#[test]
fn a_picture_with_a_wrong_size_is_refused_before_memory_is_allocated() {
    let jpeg = camera(&source(300, 64, 48), |_| {});
    let sof = jpeg.windows(2).position(|two| two == [0xFF, 0xC0]).unwrap();
    let mut huge = jpeg.clone();
    huge[sof + 5..sof + 9].copy_from_slice(&[0xF0; 4]);
    for (name, answer) in answers(&huge) {
        let why = answer.unwrap_err();
        assert!(why.contains("too large") || why.contains("limit"), "{name}: {why}");
    }
}

#[test]
fn every_sampling_at_even_and_odd_sizes_and_grey() {
    let factors = [SamplingFactor::F_1_1, SamplingFactor::F_2_1, SamplingFactor::F_1_2, SamplingFactor::F_2_2];
    for (w, h) in [(640, 480), (333, 241), (17, 13), (1, 1)] {
        let rgb = source(300, w, h);
        for factor in factors {
            shows(&format!("{factor:?} {w}x{h}"), camera(&rgb, |e| e.set_sampling_factor(factor)), &rgb);
        }
        let grey: Vec<u8> = rgb.data.as_chunks::<3>().0.iter().map(|[_, green, _]| *green).collect();
        let mut jpeg = Vec::new();
        Encoder::new(&mut jpeg, 92).encode(&grey, w as u16, h as u16, ColorType::Luma).unwrap();
        let grey = Rgb { width: w, height: h, data: grey.iter().flat_map(|&v| [v; 3]).collect() };
        shows(&format!("grey {w}x{h}"), jpeg, &grey);
    }
}
