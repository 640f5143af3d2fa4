//! The EXIF orientation of a JPEG.

use super::{Walk, find_soi};
use crate::image::Turn;

/// The beginning of an APP1 segment with EXIF data.
pub(super) const HEADER: &[u8] = b"Exif\0\0";
/// The tag of the orientation in the first directory of EXIF data (CIPA DC-008).
const ORIENTATION: u16 = 0x0112;
/// The type of a value of two bytes.
const SHORT: u16 = 3;

/// The turn that makes the picture upright, from its EXIF orientation. The orientation in the JPEG is set to 1
/// (upright), so that no program turns the picture again. A picture without a valid orientation counts as upright.
pub fn take_orientation(jpeg: &mut [u8]) -> Turn {
    let Some((at, big_endian)) = find(jpeg) else { return Turn::default() };
    let (low, high) = if big_endian { (at + 1, at) } else { (at, at + 1) };
    let turn = |degrees, mirror| Turn { degrees, mirror };
    let found = match (jpeg[high], jpeg[low]) {
        (0, 2) => turn(0, true),
        (0, 3) => turn(180, false),
        (0, 4) => turn(180, true),
        (0, 5) => turn(90, true),
        (0, 6) => turn(90, false),
        (0, 7) => turn(270, true),
        (0, 8) => turn(270, false),
        _ => return Turn::default(),
    };
    jpeg[low] = 1;
    found
}

/// The position of the two bytes of the orientation, and whether they are big-endian.
fn find(jpeg: &[u8]) -> Option<(usize, bool)> {
    let mut walk = Walk::new(find_soi(jpeg, 0)?);
    walk.read_header(jpeg).ok()?;
    let tiff_at = walk.head.exif?;
    let tiff = jpeg.get(tiff_at..)?;
    let big_endian = match tiff.first_chunk()? {
        b"II*\0" => false,
        b"MM\0*" => true,
        _ => return None,
    };
    let u16_at = |at: usize| {
        let bytes = *tiff.get(at..)?.first_chunk()?;
        Some(if big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    };
    let u32_at = |at: usize| {
        let bytes = *tiff.get(at..)?.first_chunk()?;
        Some(if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    };
    let directory = u32_at(4)? as usize;
    let entries = usize::from(u16_at(directory)?);
    // An entry has a tag, a type, a count, and the value or its offset.
    let entry = (0..entries)
        .map(|entry| directory.saturating_add(2 + entry * 12))
        .find(|at| u16_at(*at) == Some(ORIENTATION))?;
    let is_one_short = u16_at(entry + 2)? == SHORT && u32_at(entry + 4)? == 1;
    u16_at(entry + 8)?;
    is_one_short.then_some((tiff_at + entry + 8, big_endian))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Rgb;
    use crate::image::jpeg::{Codec, Compressor, decode};

    /// EXIF data with an orientation in the second of two entries.
    fn exif(value: u8, big_endian: bool) -> Vec<u8> {
        let tiff: [u8; 38] = if big_endian {
            *b"MM\0*\0\0\0\x08\0\x02\x01\x10\0\x02\0\0\0\x01\0\0\0\0\x01\x12\0\x03\0\0\0\x01\0V\0\0\0\0\0\0"
        } else {
            *b"II*\0\x08\0\0\0\x02\0\x10\x01\x02\0\x01\0\0\0\0\0\0\0\x12\x01\x03\0\x01\0\0\0V\0\0\0\0\0\0\0"
        };
        let mut segment = b"\xff\xe1\0\x2eExif\0\0".to_vec();
        segment.extend(tiff.map(|byte| if byte == b'V' { value } else { byte }));
        segment
    }

    /// A picture of four colours, stored as by a camera that writes the orientation `value`.
    fn stored(value: u8) -> Rgb {
        let mut rgb = Rgb::filled(64, 32, [0; 3]);
        for (at, pixel) in rgb.data.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            *pixel = match (at % 64 < 32, at / 64 < 16) {
                (true, true) => [250, 0, 0],
                (false, true) => [0, 250, 0],
                (true, false) => [0, 0, 250],
                (false, false) => [250, 250, 250],
            };
        }
        let undo = |degrees, mirror| Turn { degrees, mirror };
        let undo = match value {
            2 => undo(0, true),
            3 => undo(180, false),
            4 => undo(180, true),
            5 => undo(90, true),
            6 => undo(270, false),
            7 => undo(270, true),
            8 => undo(90, false),
            _ => undo(0, false),
        };
        undo.apply(rgb)
    }

    #[test]
    fn each_orientation_is_taken_out_of_the_picture_and_becomes_a_turn_that_makes_it_upright() {
        for value in 0..=9 {
            for big_endian in [false, true] {
                let mut jpeg = Vec::new();
                Compressor::new(Codec::default(), 90).compress(&stored(value), &mut jpeg).unwrap();
                jpeg.splice(2..2, exif(value, big_endian));
                let turn = take_orientation(&mut jpeg);
                let upright = turn.apply(decode(&jpeg).unwrap());
                assert_eq!((upright.width, upright.height), (64, 32), "{value}");
                let near =
                    |x, y, color: [u8; 3]| upright.pixel(x, y).iter().zip(color).all(|(a, b)| a.abs_diff(b) < 30);
                assert!(near(8, 8, [250, 0, 0]) && near(56, 8, [0, 250, 0]) && near(8, 24, [0, 0, 250]), "{value}");
                assert_eq!(take_orientation(&mut jpeg), Turn::default(), "{value}: turned once more");
            }
        }
    }

    #[test]
    fn truncated_or_wrong_exif_data_cause_no_panic() {
        let mut whole = Vec::new();
        Compressor::new(Codec::default(), 90).compress(&stored(6), &mut whole).unwrap();
        let exif = exif(6, false);
        whole.splice(2..2, exif.iter().copied());
        for length in 0..whole.len() {
            let mut cut = whole[..length].to_vec();
            take_orientation(&mut cut);
        }
        for at in 2..2 + exif.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut other = whole.clone();
                other[at] = value;
                take_orientation(&mut other);
            }
        }
    }

    #[test]
    fn two_turns_in_a_row_equal_one_turn() {
        let picture = stored(1);
        let turns =
            || [0, 90, 180, 270].into_iter().flat_map(|degrees| [false, true].map(|mirror| Turn { degrees, mirror }));
        for (first, next) in turns().flat_map(|first| turns().map(move |next| (first, next))) {
            let one_by_one = next.apply(first.apply(picture.clone()));
            assert_eq!(first.then(next).apply(picture.clone()), one_by_one, "{first:?} {next:?}");
        }
    }
}
