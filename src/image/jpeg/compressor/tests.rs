use super::*;
use crate::image::Rect;
use crate::image::jpeg::tests::{obama, psnr};
use crate::image::jpeg::{decode, tidy};

/// Every codec of this build.
fn codecs() -> Vec<Codec> {
    let mut found: Vec<Codec> = Codec::WORDS.iter().filter_map(|word| Codec::from_word(word)).collect();
    found.dedup();
    found
}

fn encoded(codec: Codec, quality: u32, rgb: &Rgb) -> Vec<u8> {
    let mut jpeg = b"old".to_vec();
    Compressor::new(codec, quality).compress(rgb, &mut jpeg).unwrap();
    jpeg
}

/// The bodies of the segments with this marker, up to the scan.
fn segments(jpeg: &[u8], wanted: u8) -> Vec<&[u8]> {
    let (mut at, mut found) = (2, Vec::new());
    loop {
        assert_eq!(jpeg[at], 0xFF);
        let (code, length) = (jpeg[at + 1], usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]])));
        if code == wanted {
            found.push(&jpeg[at + 4..at + 2 + length]);
        }
        if code == 0xDA {
            return found;
        }
        at += 2 + length;
    }
}

/// The picture as each decoder reads it. The decoders are independent of each other, and no decoder is by the authors
/// of both encoders.
fn decoded(jpeg: &[u8]) -> Vec<Rgb> {
    let by_image = image::load_from_memory_with_format(jpeg, image::ImageFormat::Jpeg).unwrap().to_rgb8();
    let (width, height) = by_image.dimensions();
    vec![
        decode(jpeg).unwrap(),
        Rgb { width, height, data: by_image.into_raw() },
        #[cfg(feature = "turbojpeg")]
        turbo::decode(jpeg).unwrap(),
    ]
}

#[test]
fn each_library_makes_plain_jfif_of_any_size_that_each_decoder_reads() {
    let whole = obama();
    for codec in codecs() {
        for (w, h) in [(1, 1), (17, 13), (16, 16), (15, 17), (333, 241), (640, 480), (1000, 2)] {
            let rgb = whole.cropped(Rect { x: 300, y: 250, w, h });
            assert_eq!((rgb.width, rgb.height), (w, h));
            let jpeg = encoded(codec, 90, &rgb);
            let name = format!("{} {w}x{h}", codec.as_str());
            assert_eq!(segments(&jpeg, 0xE0)[0][..5], *b"JFIF\0", "{name}");
            // Baseline, 8 bits, three components, the second and third with half the width and height.
            let frame = segments(&jpeg, 0xC0)[0];
            let factors = [frame[7], frame[10], frame[13]];
            assert_eq!((frame[0], frame[5], factors), (8, 3, [0x22, 0x11, 0x11]), "{name}");
            assert!(segments(&jpeg, 0xC2).is_empty() && segments(&jpeg, 0xDD).is_empty(), "{name}");
            assert_eq!(tidy(jpeg.clone()).unwrap(), jpeg, "{name}");
            for (number, again) in decoded(&jpeg).into_iter().enumerate() {
                let close = psnr(&again, &rgb);
                assert!(close > 30.0, "{name}, decoder {number}: {close:.1} dB");
            }
        }
    }
}

#[test]
fn a_higher_quality_is_larger_and_closer_to_the_picture() {
    let rgb = obama().cropped(Rect { x: 300, y: 200, w: 320, h: 240 });
    for codec in codecs() {
        let of = |quality| {
            let jpeg = encoded(codec, quality, &rgb);
            (jpeg.len(), psnr(&decode(&jpeg).unwrap(), &rgb))
        };
        let [low, middle, high] = [20, 80, 95].map(of);
        assert!(low.0 < middle.0 && middle.0 < high.0, "{} {low:?} {middle:?} {high:?}", codec.as_str());
        assert!(low.1 < middle.1 && middle.1 < high.1, "{} {low:?} {middle:?} {high:?}", codec.as_str());
    }
}

#[test]
fn the_libraries_agree_on_what_a_quality_means() {
    let rgb = obama().cropped(Rect { x: 300, y: 200, w: 640, h: 480 });
    let of = |codec| {
        let jpeg = encoded(codec, 80, &rgb);
        (jpeg.len() as f64, psnr(&decode(&jpeg).unwrap(), &rgb))
    };
    let (one, other) = (of(Codec::default()), of(Codec::JpegEncoder));
    assert!((one.0 / other.0 - 1.0).abs() < 0.1 && (one.1 - other.1).abs() < 1.0, "{one:?} {other:?}");
}

#[test]
fn one_compressor_takes_pictures_of_all_sizes_and_libraries_in_turn() {
    let whole = obama();
    let mut compressor = Compressor::default();
    let mut jpeg = Vec::new();
    for (w, h) in [(640, 480), (16, 16), (64, 700), (640, 480)] {
        let rgb = whole.cropped(Rect { x: 100, y: 100, w, h });
        for codec in codecs() {
            compressor.set(codec, 80);
            compressor.compress(&rgb, &mut jpeg).unwrap();
            assert_eq!(jpeg, encoded(codec, 80, &rgb), "{} {w}x{h}", codec.as_str());
        }
    }
}

#[test]
fn a_picture_too_large_for_jpeg_is_refused_with_advice_and_the_next_one_is_taken() {
    for codec in codecs() {
        let mut compressor = Compressor::new(codec, 80);
        let mut jpeg = Vec::new();
        for (width, height) in [(70_000, 1), (1, 65_501)] {
            let wide = Rgb::filled(width, height, [9; 3]);
            assert!(compressor.compress(&wide, &mut jpeg).unwrap_err().contains("stream.width"));
        }
        let widest = Rgb::filled(65_500, 1, [9; 3]);
        compressor.compress(&widest, &mut jpeg).unwrap();
        assert_eq!(crate::image::jpeg::size(&jpeg), Some((65_500, 1)));
    }
}

#[test]
fn auto_is_the_fastest_built_in_library_and_the_word_of_a_missing_library_is_refused() {
    let turbojpeg = cfg!(feature = "turbojpeg");
    assert_eq!(Codec::default().as_str(), if turbojpeg { "turbojpeg" } else { "jpeg-encoder" });
    assert_eq!(Codec::from_word("auto"), Some(Codec::default()));
    assert_eq!(Codec::from_word("turbojpeg").is_some(), turbojpeg);
    assert_eq!(Codec::from_word("jpeg-encoder"), Some(Codec::JpegEncoder));
    assert_eq!(Codec::from_word("mozjpeg"), None);
    for codec in codecs() {
        assert_eq!(Codec::from_word(codec.as_str()), Some(codec));
    }
}
