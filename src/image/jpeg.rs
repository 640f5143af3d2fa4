//! JPEG. A picture from a camera is parsed marker by marker ([`Walk`]), completed ([`tidy`]) and decoded ([`decode`]);
//! a picture for viewers is encoded ([`Compressor`]).

mod compressor;
mod exif;
pub mod forgiving;
mod layout;
mod portable;
#[cfg(feature = "turbojpeg")]
pub mod turbo;

use crate::image::{Luma, Rgb};
pub use compressor::{Codec, Compressor};
pub use exif::take_orientation;
use layout::Layout;

/// Decodes a JPEG to RGB.
///
/// libjpeg-turbo, if built in, needs little more than half the instructions on ARM. But its crate turns the library's
/// warnings into errors, such as those about stray bytes or a truncated scan, and it does not convert CMYK. When it
/// fails, the other decoder is tried.
///
/// # Errors
/// The error of the decoder.
pub fn decode(jpeg: &[u8]) -> Result<Rgb, String> {
    check(jpeg)?;
    #[cfg(feature = "turbojpeg")]
    if let Ok(rgb) = turbo::decode(jpeg) {
        return Ok(rgb);
    }
    forgiving::decode(jpeg)
}

/// Decodes only the luma, scaled down by `divisor` (1, 2, 4 or 8).
///
/// # Errors
/// The error of the decoder.
#[cfg(feature = "turbojpeg")]
pub fn luma(jpeg: &[u8], divisor: u32) -> Result<Luma, String> {
    turbo::luma(jpeg, divisor)
}

/// Decodes the luma, scaled down by `divisor`. The decoder of this build does not support smaller sizes, so the whole
/// picture is decoded and then scaled.
///
/// # Errors
/// The error of the decoder.
#[cfg(not(feature = "turbojpeg"))]
pub fn luma(jpeg: &[u8], _: u32) -> Result<Luma, String> {
    Ok(decode(jpeg)?.luma())
}

/// Refuses pictures on which zune-jpeg would panic, which would end the program; see [`layout`]. zune-jpeg is used here
/// and within the crate `image`, so this check must come before either of them decodes a JPEG from outside.
///
/// # Errors
/// The property of the picture that is not supported.
pub fn check(jpeg: &[u8]) -> Result<(), &'static str> {
    match Walk::new(0).go(jpeg) {
        Step::Broken(why) => Err(why),
        // A truncated picture: all of its bytes have been parsed.
        Step::More | Step::Scan | Step::End(_) => Ok(()),
    }
}

/// Turns a buffer of a camera into one complete JPEG: the last complete picture is used (some cameras put several into
/// a buffer), bytes before and after it are removed, and the standard Huffman tables are inserted if missing (UVC
/// allows cameras to omit them). A picture that is complete already is neither copied nor parsed to its end.
///
/// # Errors
/// Which part of the picture is missing.
pub fn tidy(mut bytes: Vec<u8>) -> Result<Vec<u8>, &'static str> {
    let mut best = None;
    let mut why = "it has no start (SOI)";
    let mut from = 0;
    while let Some(soi) = find_soi(&bytes, from) {
        let mut walk = Walk::new(soi);
        if let Err(broken) = walk.read_header(&bytes) {
            (why, from) = (broken, walk.retry());
            continue;
        }
        // SOI cannot occur within a scan, so it begins another picture.
        let next = find_soi(&bytes, walk.at).unwrap_or(bytes.len());
        let head = walk.head;
        match walk.end(&bytes[..next]) {
            Ok(end) => best = Some((soi, end, head)),
            Err(broken) => why = broken,
        }
        from = next;
    }
    let (soi, end, head) = best.ok_or(why)?;
    bytes.truncate(end);
    bytes.drain(..soi);
    if head.baseline && !head.has_tables {
        let at = head.scan_header - soi;
        bytes.splice(at..at, STANDARD_TABLES);
    }
    Ok(bytes)
}

/// The width and height in pixels from the header of the first picture; `None` without a complete header.
pub fn size(jpeg: &[u8]) -> Option<(u32, u32)> {
    let mut walk = Walk::new(find_soi(jpeg, 0)?);
    walk.read_header(jpeg).ok()?;
    walk.head.size
}

/// About how many bytes decoding takes, from the header of the first picture; 0 without a complete header. The decoder
/// keeps all coefficients of a picture of several scans. 3.6 bytes a pixel were measured for one scan and 9.5 for a
/// progressive picture (`benches/memory.rs`).
pub fn decoding_bytes(jpeg: &[u8]) -> u64 {
    let mut walk = Walk::new(find_soi(jpeg, 0).unwrap_or(0));
    let (Ok(()), Some((width, height))) = (walk.read_header(jpeg), walk.head.size) else { return 0 };
    let a_pixel = if walk.head.layout.has_one_scan() { 4 } else { 10 };
    u64::from(width) * u64::from(height) * a_pixel
}

/// The fewest bytes that a whole JPEG of this size has: each block of 8x8 pixels takes at least one bit. A damaged
/// header may contain any size, and decoding such a picture would take a second and 300 MB.
pub fn least_bytes(width: u32, height: u32) -> u64 {
    u64::from(width) * u64::from(height) / 512
}

/// The start of the next picture, at `from` or after it.
pub fn find_soi(bytes: &[u8], from: usize) -> Option<usize> {
    let tail = bytes.get(from..)?;
    // Each block has the same length and is scanned completely, so that the compiler vectorises the loop. The loop is
    // most of the cost of passing a frame through.
    let (firsts, seconds) = (tail.as_chunks::<64>().0, tail.get(1..)?.as_chunks::<64>().0);
    let is_soi = |(first, second): (&u8, &u8)| (*first == 0xFF) & (*second == 0xD8);
    let has_soi = |(a, b): &(&[u8; 64], &[u8; 64])| a.iter().zip(*b).fold(false, |found, pair| found | is_soi(pair));
    let free = 64 * firsts.iter().zip(seconds).take_while(|blocks| !has_soi(blocks)).count();
    let at = tail.get(free..)?.windows(2).position(|pair| pair == [0xFF, 0xD8])?;
    Some(from + free + at)
}

fn find_ff(bytes: &[u8], from: usize) -> Option<usize> {
    let tail = bytes.get(from..)?;
    // The same with shorter blocks, because on average one in 200 bytes matches.
    let has_ff = |block: &&[u8; 32]| block.iter().fold(false, |found, byte| found | (*byte == 0xFF));
    let free = 32 * tail.as_chunks().0.iter().take_while(|block| !has_ff(block)).count();
    let at = tail.get(free..)?.iter().position(|byte| *byte == 0xFF)?;
    Some(from + free + at)
}

/// An incremental parser that advances through a JPEG from marker to marker. Thumbnails inside segments are skipped.
/// `at` is the current position: the bytes before it are not read again.
#[derive(Debug)]
pub struct Walk {
    at: usize,
    retry: usize,
    in_scan: bool,
    head: Head,
}

#[derive(Debug, Clone, Copy, Default)]
struct Head {
    size: Option<(u32, u32)>,
    baseline: bool,
    has_tables: bool,
    /// The position of the first SOS; 0 before it is reached.
    scan_header: usize,
    /// The position of the EXIF data, if any.
    exif: Option<usize>,
    layout: Layout,
}

/// The result of a step of [`Walk`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The end of the bytes; more are needed.
    More,
    /// The beginning of coded picture data.
    Scan,
    /// The end of the picture, at this position.
    End(usize),
    /// Invalid bytes, with the reason.
    Broken(&'static str),
}

impl Walk {
    /// A parser that begins at the SOI at `soi`.
    pub fn new(soi: usize) -> Walk {
        Walk { at: soi + 2, retry: soi + 2, in_scan: false, head: Head::default() }
    }

    /// The position from which to search for the next picture when this picture is damaged.
    pub fn retry(&self) -> usize {
        self.retry
    }

    /// Adjusts the positions after `by` bytes before the picture were removed.
    pub fn moved(&mut self, by: usize) {
        self.at -= by;
        self.retry -= by;
        self.head.scan_header = self.head.scan_header.saturating_sub(by);
        self.head.exif = self.head.exif.map(|at| at - by);
    }

    /// Advances to the end of the picture or of the bytes. `bytes` must be the bytes of the previous call, with further
    /// bytes appended.
    pub fn go(&mut self, bytes: &[u8]) -> Step {
        loop {
            match self.step(bytes) {
                Step::Scan => {}
                step => return step,
            }
        }
    }

    fn read_header(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        match self.step(bytes) {
            Step::Scan => Ok(()),
            Step::Broken(why) => Err(why),
            Step::More | Step::End(_) => Err("it is truncated in its header"),
        }
    }

    /// The end of the picture after its scan was reached. When the bytes end with EOI, the rest is not parsed.
    fn end(&mut self, bytes: &[u8]) -> Result<usize, &'static str> {
        let padding = bytes.iter().rev().take_while(|&&byte| byte == 0).count();
        let end = bytes.len() - padding;
        if bytes.get(self.at..end).is_some_and(|scan| scan.ends_with(&[0xFF, 0xD9])) {
            return Ok(end);
        }
        match self.go(bytes) {
            Step::End(end) => Ok(end),
            Step::Broken(why) => Err(why),
            Step::More | Step::Scan => Err("it has no end (EOI)"),
        }
    }

    fn step(&mut self, bytes: &[u8]) -> Step {
        if self.in_scan && !self.leave_scan(bytes) {
            return Step::More;
        }
        loop {
            let (Some(&first), Some(&code)) = (bytes.get(self.at), bytes.get(self.at + 1)) else { return Step::More };
            match (first, code) {
                (0xFF, 0xFF) => self.at += 1,
                (0xFF, 0x01 | 0xD0..=0xD7) => self.at += 2,
                (0xFF, 0xD8) => return Step::Broken("another picture begins inside it"),
                (0xFF, 0xD9) if self.head.scan_header == 0 => return Step::Broken("it has no picture data (SOS)"),
                (0xFF, 0xD9) => return Step::End(self.at + 2),
                (0xFF, 0xC0..) => {
                    if let Some(step) = self.segment(code, bytes) {
                        return step;
                    }
                }
                _ => return Step::Broken("it has other bytes where a marker is required"),
            }
        }
    }

    /// Skips the segment at `at`; `Some` when the loop of `step` must return.
    fn segment(&mut self, code: u8, bytes: &[u8]) -> Option<Step> {
        let Some(&[high, low]) = bytes.get(self.at + 2..self.at + 4) else { return Some(Step::More) };
        let end = self.at + 2 + usize::from(u16::from_be_bytes([high, low]));
        if end < self.at + 4 {
            return Some(Step::Broken("it has a segment without a length"));
        }
        let Some(body) = bytes.get(self.at + 4..end) else { return Some(Step::More) };
        let head = &mut self.head;
        match code {
            0xC4 => head.has_tables = true,
            0xE1 if body.starts_with(exif::HEADER) => {
                head.exif = head.exif.or(Some(self.at + 4 + exif::HEADER.len()));
            }
            0xC8 | 0xCC => {}
            0xC0..=0xCF => {
                let &[_, h1, h0, w1, w0, ..] = body else { return Some(Step::Broken("its frame header is truncated")) };
                let (width, height) = (u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0]));
                if width == 0 || height == 0 {
                    return Some(Step::Broken("its frame header has no size"));
                }
                if head.size.replace((width.into(), height.into())).is_some() {
                    return Some(Step::Broken("it has two frame headers"));
                }
                head.baseline = code <= 0xC1;
                if let Err(odd) = head.layout.frame(code, body) {
                    return Some(Step::Broken(odd));
                }
            }
            0xDA if head.size.is_none() => return Some(Step::Broken("it has no frame header (SOF)")),
            0xDA => {
                if let Err(odd) = head.layout.scan(body) {
                    return Some(Step::Broken(odd));
                }
                if head.scan_header == 0 {
                    head.scan_header = self.at;
                }
            }
            _ => {}
        }
        self.in_scan = code == 0xDA;
        self.retry = self.at + 2;
        self.at = end;
        self.in_scan.then_some(Step::Scan)
    }

    /// Advances to the first marker that ends a scan; false when the bytes end before it.
    fn leave_scan(&mut self, bytes: &[u8]) -> bool {
        while let Some(ff) = find_ff(bytes, self.at) {
            self.at = ff;
            match bytes.get(ff + 1) {
                None => return false,
                Some(0xFF) => self.at += 1,
                // A stuffed zero, a restart marker or a damaged one; the decoder handles them.
                Some(0x00..=0xBF | 0xD0..=0xD7) => self.at += 2,
                Some(_) => {
                    (self.in_scan, self.retry) = (false, ff);
                    return true;
                }
            }
        }
        self.at = self.at.max(bytes.len());
        false
    }
}

/// The Huffman tables of ITU-T T.81, annex K.3 (tables K.3 to K.6), as one DHT segment. Motion JPEG may omit them.
#[rustfmt::skip]
const STANDARD_TABLES: [u8; 420] = [
    0xff, 0xc4, 0x01, 0xa2, 0x00, 0x00, 0x01, 0x05, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x10, 0x00, 0x02, 0x01, 0x03,
    0x03, 0x02, 0x04, 0x03, 0x05, 0x05, 0x04, 0x04, 0x00, 0x00, 0x01, 0x7d, 0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05,
    0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42,
    0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25,
    0x26, 0x27, 0x28, 0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49,
    0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74,
    0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96,
    0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7,
    0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8,
    0xd9, 0xda, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7,
    0xf8, 0xf9, 0xfa, 0x01, 0x00, 0x03, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x11, 0x00, 0x02, 0x01, 0x02, 0x04,
    0x04, 0x03, 0x04, 0x07, 0x05, 0x04, 0x04, 0x00, 0x01, 0x02, 0x77, 0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21,
    0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1,
    0x09, 0x23, 0x33, 0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19,
    0x1a, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49,
    0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74,
    0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95,
    0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6,
    0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7,
    0xd8, 0xd9, 0xda, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
    0xf9, 0xfa,
];

/// Parses any bytes as a JPEG, and decodes a small whole picture with each decoder.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    find_soi(bytes, 0);
    let Ok(mut jpeg) = tidy(bytes.to_vec()) else { return };
    take_orientation(&mut jpeg);
    // Larger pictures take long and run the same code.
    if check(&jpeg).is_ok() && size(&jpeg).is_some_and(|(width, height)| width * height <= 1 << 16) {
        for decoded in [decode(&jpeg), forgiving::decode(&jpeg)].into_iter().flatten() {
            assert_eq!(decoded.data.len(), (decoded.width * decoded.height * 3) as usize);
        }
        let _ = luma(&jpeg, 8);
    }
}

#[cfg(test)]
mod tests;
