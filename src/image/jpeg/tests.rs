use super::*;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

mod quirks;

/// A real picture, about 1600 pixels wide; `make setup` fetches it.
pub(super) fn obama() -> Rgb {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/target/pictures/obama3.jpg");
    decode(&std::fs::read(file).expect("run `make setup` first")).unwrap()
}

/// The peak signal-to-noise ratio of two pictures in decibels.
pub(super) fn psnr(one: &Rgb, other: &Rgb) -> f64 {
    assert_eq!((one.width, one.height), (other.width, other.height));
    let squares = one.data.iter().zip(&other.data).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    let mean = squares.sum::<f64>() / one.data.len() as f64;
    10.0 * (255.0 * 255.0 / mean.max(1e-9)).log10()
}

/// A picture with gradients in every channel, in which a wrong table or a lost block is visible.
fn pixels(width: u16, height: u16) -> Vec<u8> {
    let at = |x: u16, y: u16| [(x * 3) as u8, (y * 3) as u8, (x + y) as u8];
    (0..height).flat_map(|y| (0..width).flat_map(move |x| at(x, y))).collect()
}

fn encoded(width: u16, height: u16, set: impl Fn(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    let mut jpeg = Vec::new();
    let mut encoder = Encoder::new(&mut jpeg, 90);
    set(&mut encoder);
    encoder.encode(&pixels(width, height), width, height, ColorType::Rgb).unwrap();
    jpeg
}

fn plain() -> Vec<u8> {
    encoded(64, 48, |_| {})
}

/// The picture with another picture as thumbnail in its APP1 segment.
fn with_thumbnail() -> Vec<u8> {
    encoded(64, 48, |encoder| {
        let thumbnail = encoded(16, 16, |_| {});
        encoder.add_app_segment(1, [b"Exif\0\0".to_vec(), thumbnail].concat()).unwrap();
    })
}

/// The picture without Huffman tables, as many webcams send it.
fn without_tables(mut jpeg: Vec<u8>) -> Vec<u8> {
    let mut at = 2;
    while jpeg[at + 1] != 0xDA {
        let end = at + 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        if jpeg[at + 1] == 0xC4 {
            jpeg.drain(at..end);
        } else {
            at = end;
        }
    }
    jpeg
}

fn assert_close(jpeg: &[u8], width: u16, height: u16) {
    let rgb = decode(jpeg).unwrap();
    assert_eq!((rgb.width, rgb.height), (width.into(), height.into()));
    let differences = rgb.data.iter().zip(pixels(width, height)).map(|(&a, b)| u64::from(a.abs_diff(b)));
    let mean = differences.sum::<u64>() as f64 / rgb.data.len() as f64;
    assert!(mean < 4.0, "differs by {mean} on average");
}

#[test]
fn a_complete_picture_is_returned_in_the_same_memory() {
    let jpeg = plain();
    let (copy, memory) = (jpeg.clone(), jpeg.as_ptr());
    let tidied = tidy(jpeg).unwrap();
    assert_eq!((tidied.as_ptr(), &tidied), (memory, &copy));
}

#[test]
fn padding_and_garbage_around_a_picture_are_removed() {
    let jpeg = plain();
    for (before, after) in [(&b""[..], &[0; 500][..]), (b"rubbish", b"\xFFstale"), (b"\xFF", b"\xFF\xFF"), (b"", b"\0")]
    {
        assert_eq!(tidy([before, &jpeg, after].concat()).unwrap(), jpeg, "{before:?} {after:?}");
    }
}

#[test]
fn the_last_complete_picture_of_a_buffer_is_used() {
    let (old, new) = (encoded(32, 32, |_| {}), with_thumbnail());
    let half = old.len() / 2;
    for buffer in [
        [&old[..], &new].concat(),
        [&old[..half], &new].concat(),
        [&old[..2], &new].concat(),
        [&old[..8], &new].concat(),
        [&new[..], &old[..half]].concat(),
        [&old[..], b"\0\0", &new, &[0; 9]].concat(),
    ] {
        assert_eq!(size(&tidy(buffer.clone()).unwrap()), Some((64, 48)));
        assert!(tidy(buffer).unwrap() == new);
    }
}

#[test]
fn a_thumbnail_inside_is_not_used_as_the_picture() {
    let jpeg = with_thumbnail();
    assert_eq!(size(&jpeg), Some((64, 48)));
    assert_eq!(tidy(jpeg.clone()).unwrap(), jpeg);
}

#[test]
fn a_picture_without_huffman_tables_gets_the_standard_ones() {
    let bare = without_tables(plain());
    // libjpeg-turbo has the standard tables built in; browsers and the other decoder do not.
    assert!(forgiving::decode(&bare).is_err());
    let tidied = tidy(bare).unwrap();
    assert_close(&tidied, 64, 48);
    assert_eq!(decode(&tidied), decode(&plain()));
}

#[test]
fn every_truncation_is_refused_with_a_reason() {
    let jpeg = plain();
    for length in 0..jpeg.len() {
        let why = tidy(jpeg[..length].to_vec()).unwrap_err();
        assert!(why.starts_with("it "), "{length}: {why}");
    }
    assert_eq!(tidy(jpeg[..jpeg.len() - 2].to_vec()), Err("it has no end (EOI)"));
    assert_eq!(tidy(b"hello".to_vec()), Err("it has no start (SOI)"));
    assert_eq!(tidy(vec![0xFF, 0xD8, 0xFF, 0xE0, 0xFF, 0xFF, 1, 2]), Err("it is truncated in its header"));
    assert_eq!(tidy(vec![0xFF, 0xD8, 0xFF, 0xD9]), Err("it has no picture data (SOS)"));
    assert_eq!(tidy(vec![0xFF, 0xD8, 0xFF, 0xDA, 0, 2, 7, 0xFF, 0xD9]), Err("it has no frame header (SOF)"));
}

#[test]
fn arbitrary_bytes_cause_no_panic() {
    let jpeg = with_thumbnail();
    let mut seed = 1u32;
    for _ in 0..3000 {
        let mut broken = jpeg.clone();
        for _ in 0..4 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let at = (seed >> 8) as usize % broken.len();
            broken[at] = seed as u8;
        }
        if let Ok(tidied) = tidy(broken) {
            assert!(tidied.starts_with(&[0xFF, 0xD8]) && tidied.ends_with(&[0xFF, 0xD9]));
        }
    }
}

#[test]
fn parsing_byte_by_byte_has_the_same_result() {
    for jpeg in [with_thumbnail(), encoded(64, 48, |e| e.set_progressive(true)), without_tables(plain())] {
        let mut walk = Walk::new(0);
        for length in 2..jpeg.len() {
            assert_eq!(walk.go(&jpeg[..length]), Step::More);
        }
        assert_eq!(walk.go(&[&jpeg[..], b"next"].concat()), Step::End(jpeg.len()));
    }
}

#[test]
fn restart_markers_subsampling_odd_sizes_and_progressive_decode() {
    let set_sampling = |factor| move |e: &mut Encoder<&mut Vec<u8>>| e.set_sampling_factor(factor);
    for factor in [SamplingFactor::F_1_1, SamplingFactor::F_2_1, SamplingFactor::F_1_2, SamplingFactor::F_2_2] {
        for (width, height) in [(64, 48), (37, 23), (1, 1), (17, 8)] {
            let jpeg = encoded(width, height, set_sampling(factor));
            assert_close(&tidy(without_tables(jpeg)).unwrap(), width, height);
        }
    }
    assert_close(&tidy(encoded(61, 47, |e| e.set_restart_interval(2))).unwrap(), 61, 47);
    assert_close(&tidy(encoded(61, 47, |e| e.set_progressive(true))).unwrap(), 61, 47);
}

/// The headers of a picture with these components (number, sampling) and scans (numbers); zeros follow each scan.
fn laid_out(marker: u8, components: &[(u8, u8)], scans: &[&[u8]]) -> Vec<u8> {
    let model = plain();
    let sof = model.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    let sos = model.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
    let mut jpeg = model[..sof].to_vec();
    let count = components.len() as u8;
    jpeg.extend([0xFF, marker, 0, 8 + 3 * count, 8, 0, 20, 0, 40, count]);
    components.iter().for_each(|(number, sampling)| jpeg.extend([*number, *sampling, 0]));
    // The tables are between the frame header, which has 19 bytes for three components, and the scan header.
    jpeg.extend(&model[sof + 19..sos]);
    for scan in scans {
        let count = scan.len() as u8;
        jpeg.extend([0xFF, 0xDA, 0, 6 + 2 * count, count]);
        scan.iter().for_each(|number| jpeg.extend([*number, 0]));
        jpeg.extend([0, 63, 0]);
        jpeg.extend([0; 400]);
    }
    jpeg.extend([0xFF, 0xD9]);
    jpeg
}

#[test]
fn layouts_on_which_the_decoder_would_panic_are_refused_and_common_ones_are_not() {
    let cmyk = [(0, 0x11), (1, 0x11), (2, 0x11), (3, 0x22)];
    let colour = [(1, 0x22), (2, 0x11), (3, 0x11)];
    let (odd_scans, odd_sampling) = ("its scans do not match", "its colour sampling is not supported");
    // zune-jpeg panics on the first layout; the others are variations of it.
    for (jpeg, why) in [
        (laid_out(0xC0, &cmyk, &[&[0, 1, 2], &[0, 1, 2, 3]]), odd_sampling),
        (laid_out(0xC0, &cmyk, &[&[0], &[1], &[2], &[0, 1, 2, 3]]), odd_sampling),
        (laid_out(0xC2, &[(1, 0x11), (2, 0x22), (3, 0x11)], &[&[1, 2, 3]]), odd_sampling),
        (laid_out(0xC0, &colour, &[&[1, 2], &[1, 2, 3]]), odd_scans),
        (laid_out(0xC0, &colour, &[&[1, 2, 3], &[1]]), odd_scans),
        (laid_out(0xC0, &[(1, 0x33), (2, 0x11), (3, 0x11)], &[&[1, 2, 3]]), odd_sampling),
        (laid_out(0xC0, &[(1, 0x11), (2, 0x11)], &[&[1, 2]]), "it does not have 1, 3 or 4 colour components"),
    ] {
        assert_eq!(decode(&jpeg).unwrap_err(), why);
    }
    for jpeg in [
        laid_out(0xC0, &colour, &[&[1, 2, 3]]),
        laid_out(0xC0, &colour, &[&[1], &[2], &[3]]),
        laid_out(0xC2, &colour, &[&[1, 2, 3], &[2]]),
        laid_out(0xC0, &cmyk, &[&[0, 1, 2, 3]]),
        laid_out(0xC0, &[(1, 0x22)], &[&[1]]),
    ] {
        assert_eq!(check(&jpeg), Ok(()));
    }
}

#[test]
fn a_grey_picture_decodes_to_grey() {
    let mut jpeg = Vec::new();
    let grey: Vec<u8> = (0..40 * 30).map(|i| (i % 40 * 6) as u8).collect();
    Encoder::new(&mut jpeg, 95).encode(&grey, 40, 30, ColorType::Luma).unwrap();
    let rgb = decode(&tidy(without_tables(jpeg)).unwrap()).unwrap();
    for (i, &value) in grey.iter().enumerate() {
        let [r, g, b] = rgb.pixel(i as u32 % 40, i as u32 / 40);
        assert!(r == g && g == b && r.abs_diff(value) < 12, "{value} became {r} {g} {b}");
    }
}

#[test]
fn a_start_is_found_at_every_position() {
    for at in 0..200 {
        let mut bytes = vec![0xFF; 202];
        bytes[at + 1] = 0xD8;
        assert_eq!(find_soi(&bytes, 0), Some(at));
        assert_eq!(find_soi(&bytes, at), Some(at));
        assert_eq!(find_soi(&bytes, at + 1), None);
        assert_eq!(find_soi(&bytes[..at + 1], 0), None);
    }
}

#[test]
fn a_marker_is_found_at_every_position_and_the_first_of_two() {
    for at in 0..200 {
        let mut bytes = vec![0xFE; 200];
        assert_eq!(find_ff(&bytes, at), None);
        bytes[at] = 0xFF;
        bytes[(at + 45).min(199)] = 0xFF;
        for from in [0, at / 2, at] {
            assert_eq!(find_ff(&bytes, from), Some(at));
        }
    }
    assert_eq!(find_ff(&[], 0), None);
    assert_eq!(find_ff(&[0xFF], 1), None);
    assert_eq!(find_ff(&[0xFF], 2), None);
}
