//! Still pictures: decodes the bytes of a file to an upright [`Rgb`], and checks whether the file is complete.

use crate::image::{Rect, Rgb, check_size, jpeg};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};
use std::fmt::Display;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

/// The longest side in pixels of the copy of a still picture that is kept during detection. The smallest face that HOG
/// finds on it is 120 pixels wide, and dlib's network gets faces of about 100 pixels, so neither needs more detail.
pub const KEPT_SIDE: u32 = 2400;
/// The largest picture file in bytes; a larger one is not read into memory.
pub const MAX_FILE_BYTES: u64 = 64 << 20;

/// The extensions of files that are opened as pictures. The content of a file decides its format. The list includes
/// formats that namecam does not read, so that the message can name the format of a file.
const ENDINGS: [&str; 20] = [
    "jpg", "jpeg", "jpe", "jfif", "jif", "jfi", "pjpeg", "pjp", "jps", "mpo", "png", "apng", "webp", "heic", "heif",
    "avif", "gif", "bmp", "tif", "tiff",
];

/// True for a file with an extension of pictures, or without an extension.
pub fn may_be_a_picture(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_none_or(|ending| ENDINGS.contains(&ending.as_str()))
}

/// The message about a picture without its end.
pub const INCOMPLETE: &str = "incomplete: its end is missing; copy it again";

/// The largest decoded picture, which must fit into the memory of a board.
const MAX_DECODED_BYTES: u64 = 200_000_000;

/// A still picture in the size that is kept during detection.
#[derive(Debug, Clone)]
pub struct Still {
    /// The picture, with sides of at most [`KEPT_SIDE`].
    pub rgb: Rgb,
    /// The width and height of the whole upright picture.
    pub size: (u32, u32),
}

impl Still {
    /// Converts a rectangle on `rgb` to pixels of the whole picture.
    pub fn on_whole(&self, rect: Rect) -> Rect {
        rect.scaled(f64::from(self.size.0) / f64::from(self.rgb.width.max(1)))
    }
}

/// Decodes a JPEG or PNG, whatever its file extension, and rotates it by its EXIF orientation.
///
/// # Errors
/// Why the picture cannot be used, as text for the user.
pub fn decode(bytes: &[u8]) -> Result<Rgb, String> {
    let (rgb, orientation) = decode_as_stored(bytes)?;
    Ok(upright(rgb, orientation))
}

/// Like [`decode`], but scales the picture down to [`KEPT_SIDE`]. A picture of 60 megapixels takes 180 MB, which would
/// be too much in addition to the memory of a detector.
///
/// # Errors
/// As [`decode`].
pub fn decode_still(bytes: &[u8]) -> Result<Still, String> {
    let (whole, orientation) = decode_as_stored(bytes)?;
    let (width, height) = (whole.width, whole.height);
    let longest = u64::from(width.max(height));
    let kept = if longest > u64::from(KEPT_SIDE) {
        whole.shrunk((u64::from(width) * u64::from(KEPT_SIDE) / longest).max(1) as u32)
    } else {
        whole
    };
    let as_stored = (kept.width, kept.height);
    let rgb = upright(kept, orientation);
    let size = if (rgb.width, rgb.height) == as_stored { (width, height) } else { (height, width) };
    Ok(Still { rgb, size })
}

/// Reads and decodes a picture file; see [`decode_still`].
///
/// # Errors
/// As [`decode`], and why the file cannot be read.
pub fn read(file: &Path) -> Result<Still, String> {
    decode_still(&bytes_of(file)?)
}

/// The bytes of a picture file.
///
/// # Errors
/// The file cannot be read or is too large.
pub fn bytes_of(file: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = File::open(file).map_err(|error| error.to_string())?;
    check_length(file.metadata().map_err(|error| error.to_string())?.len())?;
    // A file that grows, and a pipe, may have more bytes than their length says.
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    check_length(bytes.len() as u64)?;
    Ok(bytes)
}

/// Checks the length of a picture file.
///
/// # Errors
/// The file is too large.
pub fn check_length(bytes: u64) -> Result<(), String> {
    if bytes <= MAX_FILE_BYTES {
        return Ok(());
    }
    Err(format!("larger than {} MiB: scale it down", MAX_FILE_BYTES >> 20))
}

/// About how many bytes [`decode_still`] allocates for this picture, from its header; 0 for a picture that it refuses.
pub fn decoding_bytes(bytes: &[u8]) -> u64 {
    let Ok(reader) = ImageReader::new(Cursor::new(bytes)).with_guessed_format() else { return 0 };
    match reader.format() {
        Some(ImageFormat::Jpeg) => jpeg::decoding_bytes(bytes),
        // The picture as it is stored, and as RGB.
        Some(ImageFormat::Png) => reader.into_decoder().map_or(0, |decoder| {
            let (width, height) = decoder.dimensions();
            decoder.total_bytes().saturating_add(3 * u64::from(width) * u64::from(height))
        }),
        _ => 0,
    }
}

impl Rgb {
    /// The picture scaled to this size, larger or smaller. [`Rgb::shrunk`] gives a better smaller picture.
    pub fn resized(self, width: u32, height: u32) -> Rgb {
        of_dynamic(dynamic(self).thumbnail_exact(width, height))
    }
}

fn dynamic(rgb: Rgb) -> DynamicImage {
    // The buffer has as many pixels as its size.
    DynamicImage::ImageRgb8(RgbImage::from_raw(rgb.width, rgb.height, rgb.data).unwrap_or_default())
}

fn of_dynamic(picture: DynamicImage) -> Rgb {
    let rgb = picture.into_rgb8();
    Rgb { width: rgb.width(), height: rgb.height(), data: rgb.into_raw() }
}

fn upright(rgb: Rgb, orientation: Orientation) -> Rgb {
    if orientation == Orientation::NoTransforms {
        return rgb;
    }
    let mut picture = dynamic(rgb);
    picture.apply_orientation(orientation);
    of_dynamic(picture)
}

fn decode_as_stored(bytes: &[u8]) -> Result<(Rgb, Orientation), String> {
    if !has_its_end(bytes) {
        return Err(INCOMPLETE.to_owned());
    }
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| e.to_string())?;
    let format = reader.format();
    match format {
        Some(ImageFormat::Jpeg) => jpeg::check(bytes).map_err(unreadable)?,
        Some(ImageFormat::Png) => {}
        Some(other) => return Err(format!("{other:?} pictures are not supported: save it as JPEG or PNG")),
        None => return Err("not a JPEG or PNG picture: save it as one of these".to_owned()),
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    reader.limits(limits);
    let broken = |e: image::ImageError| match e {
        // The size in the header may be wrong, but no memory is allocated for it.
        ImageError::Limits(_) => {
            "unreadable: its header has a size that is too large; scale it down, or copy it again".to_owned()
        }
        other => unreadable(other.to_string().trim().trim_end_matches('.').replace('\n', " ")),
    };
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    check_size(width, height)?;
    if decoder.total_bytes() > MAX_DECODED_BYTES {
        return Err(format!("{width}x{height} pixels are too many: scale it down to at most 60 megapixels"));
    }
    let orientation = decoder.orientation().map_err(broken)?;
    if format == Some(ImageFormat::Jpeg) {
        // The decoder of the stream reads some JPEGs that the decoder of the crate `image` does not read, for example
        // JPEGs with a scan for each colour.
        return Ok((jpeg::decode(bytes).map_err(unreadable)?, orientation));
    }
    Ok((of_dynamic(DynamicImage::from_decoder(decoder).map_err(broken)?), orientation))
}

/// Reads any bytes as a picture of the gallery.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let size = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map(ImageReader::into_dimensions);
    // Larger pictures take long and run the same code.
    if size.is_ok_and(|size| size.is_ok_and(|(width, height)| u64::from(width) * u64::from(height) <= 1 << 16)) {
        let _ = decode_still(bytes);
    }
    has_its_end(bytes);
}

fn unreadable(why: impl Display) -> String {
    format!("unreadable: {why}; copy it again, or save it again as JPEG")
}

/// False for a JPEG or PNG without its end, which may still be copied. True for all other files.
pub fn has_its_end(bytes: &[u8]) -> bool {
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
    if bytes.is_empty() || PNG.starts_with(bytes) || bytes == [0xff] {
        return false;
    }
    if bytes.starts_with(PNG) {
        return png_has_its_end(&bytes[PNG.len()..]);
    }
    if bytes.starts_with(&[0xff, 0xd8]) {
        return jpeg_has_its_end(&bytes[2..]);
    }
    true
}

/// Skips the chunks (length, type, data, checksum) up to the last one.
fn png_has_its_end(mut chunks: &[u8]) -> bool {
    while let Some((head, rest)) = chunks.split_at_checked(8) {
        if &head[4..] == b"IEND" {
            return true;
        }
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        match rest.get(length.saturating_add(4)..) {
            Some(rest) => chunks = rest,
            None => return false,
        }
    }
    false
}

/// Skips the segments up to the first scan, so that the end of a thumbnail in a segment does not count, and searches
/// for the end marker after them.
fn jpeg_has_its_end(mut segments: &[u8]) -> bool {
    loop {
        match *segments {
            [0xff, 0xff, ..] => segments = &segments[1..],
            [0xff, 0xd9, ..] => return true,
            [0xff, marker, high, low, ..] => {
                let length = usize::from(u16::from_be_bytes([high, low]));
                let Some(rest) = segments.get(2 + length..) else { return false };
                if marker == 0xda {
                    return rest.windows(2).any(|pair| pair == [0xff, 0xd9]);
                }
                segments = rest;
            }
            [] | [0xff] | [0xff, _] | [0xff, _, _] => return false,
            // Not a marker: the file is damaged, and waiting does not help.
            _ => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A baseline JPEG of 48x32 pixels, 4:2:0, with a scan for each colour (jpegtran -scans): red, and blue from the
    /// middle.
    #[rustfmt::skip]
    const SCAN_FOR_EACH_COLOUR: [u8; 392] = [
        0xff, 0xd8, 0xff, 0xe0, 0x00, 0x10, 0x4a, 0x46, 0x49, 0x46, 0x00, 0x01, 0x01, 0x00, 0x00, 0x01, 0x00, 0x01, 0x00, 0x00, 0xff, 0xdb, 0x00, 0x43,
        0x00, 0x0d, 0x09, 0x0a, 0x0b, 0x0a, 0x08, 0x0d, 0x0b, 0x0a, 0x0b, 0x0e, 0x0e, 0x0d, 0x0f, 0x13, 0x20, 0x15, 0x13, 0x12, 0x12, 0x13, 0x27, 0x1c,
        0x1e, 0x17, 0x20, 0x2e, 0x29, 0x31, 0x30, 0x2e, 0x29, 0x2d, 0x2c, 0x33, 0x3a, 0x4a, 0x3e, 0x33, 0x36, 0x46, 0x37, 0x2c, 0x2d, 0x40, 0x57, 0x41,
        0x46, 0x4c, 0x4e, 0x52, 0x53, 0x52, 0x32, 0x3e, 0x5a, 0x61, 0x5a, 0x50, 0x60, 0x4a, 0x51, 0x52, 0x4f, 0xff, 0xdb, 0x00, 0x43, 0x01, 0x0e, 0x0e,
        0x0e, 0x13, 0x11, 0x13, 0x26, 0x15, 0x15, 0x26, 0x4f, 0x35, 0x2d, 0x35, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f,
        0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f,
        0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0x4f, 0xff, 0xc0, 0x00, 0x11, 0x08, 0x00, 0x20, 0x00, 0x30, 0x03,
        0x01, 0x22, 0x00, 0x02, 0x11, 0x01, 0x03, 0x11, 0x01, 0xff, 0xc4, 0x00, 0x16, 0x00, 0x01, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x05, 0xff, 0xc4, 0x00, 0x14, 0x10, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xda, 0x00, 0x08, 0x01, 0x01, 0x00, 0x00, 0x3f, 0x00, 0xc8, 0x04, 0x40, 0xb4, 0x11, 0x02, 0xd0,
        0x44, 0x0b, 0x41, 0x10, 0x3f, 0xff, 0xc4, 0x00, 0x16, 0x01, 0x01, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x06, 0x05, 0x07, 0xff, 0xc4, 0x00, 0x18, 0x11, 0x01, 0x00, 0x03, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x05, 0x43, 0x81, 0xc1, 0xff, 0xda, 0x00, 0x08, 0x01, 0x02, 0x11, 0x00, 0x3f, 0x00, 0x98, 0x45, 0x01, 0x66, 0x74, 0x89, 0x9d,
        0x91, 0x40, 0x59, 0x9d, 0x22, 0x7f, 0xff, 0xc4, 0x00, 0x15, 0x01, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x06, 0x07, 0xff, 0xc4, 0x00, 0x18, 0x11, 0x01, 0x00, 0x03, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x06, 0x43, 0x81, 0xc1, 0xff, 0xda, 0x00, 0x08, 0x01, 0x03, 0x11, 0x00, 0x3f, 0x00, 0x72, 0x37, 0x21, 0xaf, 0x78, 0x34, 0xa4,
        0x8d, 0xc8, 0x6b, 0xde, 0x0d, 0x3f, 0xff, 0xd9,
    ];

    #[test]
    #[cfg(feature = "turbojpeg")]
    fn a_scan_for_each_colour_is_read_as_the_stream_reads_it() {
        let still = decode(&SCAN_FOR_EACH_COLOUR).unwrap();
        assert_eq!(still, jpeg::decode(&SCAN_FOR_EACH_COLOUR).unwrap());
        let near =
            |x, color: [u8; 3]| (0..32).all(|y| still.pixel(x, y).iter().zip(color).all(|(a, b)| a.abs_diff(b) < 40));
        assert!(near(6, [230, 30, 30]) && near(40, [30, 60, 220]), "{:?} {:?}", still.pixel(6, 8), still.pixel(40, 8));
    }

    fn encoded(format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::new_rgb8(40, 30).write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn a_complete_picture_is_complete_and_each_truncation_of_it_is_not() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png] {
            let bytes = encoded(format);
            assert!(has_its_end(&bytes), "{format:?}");
            // The last chunk of a PNG is identified by its first 8 of 12 bytes.
            let shortest = bytes.len() - if format == ImageFormat::Png { 4 } else { 0 };
            for length in 0..shortest {
                assert!(!has_its_end(&bytes[..length]), "{format:?} {length}");
            }
        }
    }

    #[test]
    fn the_end_of_a_thumbnail_is_not_the_end_of_the_picture() {
        let whole = encoded(ImageFormat::Jpeg);
        let mut thumbnail = vec![0xff, 0xe1, 0, 6];
        thumbnail.extend([0xff, 0xd8, 0xff, 0xd9]);
        let picture = [&whole[..2], &thumbnail, &whole[2..]].concat();
        assert!(has_its_end(&picture));
        assert!(!has_its_end(&picture[..picture.len() - 2]));
    }

    #[test]
    fn a_large_picture_is_scaled_down_and_upright_and_rectangles_are_converted_to_its_own_pixels() {
        let mut bytes = Cursor::new(Vec::new());
        let picture = image::RgbImage::from_fn(4800, 1200, |x, _| image::Rgb([if x < 2400 { 200 } else { 20 }; 3]));
        DynamicImage::ImageRgb8(picture).write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
        let plain = decode_still(bytes.get_ref()).unwrap();
        assert_eq!((plain.rgb.width, plain.rgb.height, plain.size), (KEPT_SIDE, 600, (4800, 1200)));
        // EXIF: rotated by 90 degrees, so that the left half is the upper one.
        let mut exif = vec![0xff, 0xe1, 0, 34];
        exif.extend(b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0");
        let turned = decode_still(&[&bytes.get_ref()[..2], &exif, &bytes.get_ref()[2..]].concat()).unwrap();
        assert_eq!((turned.rgb.width, turned.rgb.height, turned.size), (600, KEPT_SIDE, (1200, 4800)));
        assert!(turned.rgb.pixel(300, 100)[0] > 150 && turned.rgb.pixel(300, 2300)[0] < 70);
        let place = turned.on_whole(Rect { x: 10, y: 20, w: 30, h: 40 });
        assert_eq!(place, Rect { x: 20, y: 40, w: 60, h: 80 });
        let small = decode_still(&encoded(ImageFormat::Png)).unwrap();
        assert_eq!((small.rgb, small.size), (decode(&encoded(ImageFormat::Png)).unwrap(), (40, 30)));
    }

    #[test]
    fn a_file_that_is_too_large_is_not_called_incomplete() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.jpg");
        std::fs::write(&file, encoded(ImageFormat::Jpeg)).unwrap();
        let set_length = |bytes| File::options().write(true).open(&file).unwrap().set_len(bytes).unwrap();
        let size = |file| read(file).map(|still| still.size);
        set_length(MAX_FILE_BYTES);
        assert_eq!(size(&file), Ok((40, 30)));
        set_length(MAX_FILE_BYTES + 1);
        assert_eq!(size(&file), Err("larger than 64 MiB: scale it down".to_owned()));
        // Its length is not known before it is read.
        assert_eq!(size(Path::new("/dev/zero")), Err("larger than 64 MiB: scale it down".to_owned()));
    }

    #[test]
    fn the_memory_for_decoding_is_computed_from_the_header() {
        const PX: u64 = 40 * 30;
        let mut jpeg = encoded(ImageFormat::Jpeg);
        assert_eq!(decoding_bytes(&jpeg), 4 * PX);
        assert_eq!(decoding_bytes(&SCAN_FOR_EACH_COLOUR), 10 * 48 * 32);
        let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        jpeg[frame + 1] = 0xc2;
        assert_eq!(decoding_bytes(&jpeg), 10 * PX, "progressive");
        assert_eq!(decoding_bytes(&encoded(ImageFormat::Png)), 6 * PX);
        assert_eq!((decoding_bytes(b""), decoding_bytes(b"GIF89a.........."), decoding_bytes(&jpeg[..20])), (0, 0, 0));
    }

    #[test]
    fn a_small_file_that_would_fill_the_memory_is_refused() {
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::new_rgba16(6000, 6000).write_to(&mut bytes, ImageFormat::Png).unwrap();
        assert!(decode(bytes.get_ref()).unwrap_err().contains("scale it down"));
    }

    #[test]
    fn files_that_are_no_pictures_are_refused_with_the_reason() {
        assert!(decode(b"").unwrap_err().starts_with("incomplete"));
        assert!(decode(b"Dear diary").unwrap_err().starts_with("not a JPEG or PNG picture"));
        assert!(decode(b"GIF89a..........").unwrap_err().starts_with("Gif pictures are not supported"));
        let whole = encoded(ImageFormat::Png);
        assert!(decode(&whole[..50]).unwrap_err().starts_with("incomplete"));
        let mut broken = whole;
        broken[40..50].fill(0);
        assert!(decode(&broken).unwrap_err().starts_with("unreadable"));
        let mut odd = encoded(ImageFormat::Jpeg);
        let frame = odd.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        odd[frame + 9] = 2;
        assert!(decode(&odd).unwrap_err().starts_with("unreadable: it does not have 1, 3 or 4 colour components"));
    }

    #[test]
    fn for_every_bad_file_the_reason_says_what_to_do() {
        let lying = [
            &b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\x02\0\0\0\x9b\xab\x9c\x31"[..],
            b"\0\0\0\0IEND\xae\x42\x60\x82",
        ];
        let no_scan: &[u8] = b"\xff\xd8\xff\xfe\0\x02\xff\xd9";
        for (bytes, what_to_do) in [
            (&b""[..], "copy it again"),
            (b"<html>404</html>", "save it as one of these"),
            (b"RIFF\x24\0\0\0WEBPVP8 ", "save it as JPEG or PNG"),
            (&lying.concat(), "or copy it again"),
            (no_scan, "copy it again, or save it again as JPEG"),
        ] {
            let reason = decode(bytes).unwrap_err();
            assert!(reason.ends_with(what_to_do), "{reason}");
        }
    }
}
