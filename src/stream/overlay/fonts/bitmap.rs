//! Glyphs for a system without fonts: printable ASCII on 5x8 dots, and a box for all other characters.

use crate::stream::overlay::fonts::Glyph;

const COLUMNS: usize = 5;
const ROWS: usize = 8;
/// The rows above the base line; the lowest row is below it.
const ABOVE_BASE_LINE: usize = 7;

/// The glyphs from the space to the tilde: eight rows of five dots, with the top left dot in the highest bit.
#[rustfmt::skip]
const DOTS: [u64; 95] = [
    0x00_0000_0000, 0x21_0840_0080, 0x52_9400_0000, 0x52_beaf_a940, 0x23_e8e2_f880, 0xc6_4444_4c60,
    0x64_a88a_c9a0, 0x21_0800_0000, 0x11_1084_1040, 0x41_0421_1100, 0x01_2aea_9000, 0x01_09f2_1000,
    0x00_0000_3188, 0x00_01f0_0000, 0x00_0000_3180, 0x08_4444_4200, 0x74_675c_c5c0, 0x23_0842_11c0,
    0x74_4264_43e0, 0x74_4260_c5c0, 0x11_952f_8840, 0xfc_3c10_c5c0, 0x32_21e8_c5c0, 0xf8_4444_2100,
    0x74_62e8_c5c0, 0x74_62f0_8980, 0x03_1806_3000, 0x03_1806_3100, 0x11_1104_1040, 0x00_3e0f_8000,
    0x41_0411_1100, 0x74_4262_0080, 0x74_6f5b_c1c0, 0x74_63f8_c620, 0xf4_63e8_c7c0, 0x74_6108_45c0,
    0xe4_a318_cb80, 0xfc_21e8_43e0, 0xfc_21e8_4200, 0x74_6178_c5e0, 0x8c_63f8_c620, 0x71_0842_11c0,
    0x38_8421_4980, 0x8c_a98a_4a20, 0x84_2108_43e0, 0x8e_eb58_c620, 0x8e_7359_ce20, 0x74_6318_c5c0,
    0xf4_63e8_4200, 0x74_631a_c9a0, 0xf4_63ea_4a20, 0x7c_20e0_87c0, 0xf9_0842_1080, 0x8c_6318_c5c0,
    0x8c_6315_2880, 0x8c_635a_ee20, 0x8c_5445_4620, 0x8c_5442_1080, 0xf8_4444_43e0, 0x72_1084_21c0,
    0x84_1041_0420, 0x70_8421_09c0, 0x22_a200_0000, 0x00_0000_03e0, 0x41_0400_0000, 0x00_1c17_c5e0,
    0x84_3d18_c7c0, 0x00_1d08_45c0, 0x08_5f18_c5e0, 0x00_1d1f_c1c0, 0x32_51c4_2100, 0x00_1f18_bc2e,
    0x84_2d98_c620, 0x20_1842_11c0, 0x10_0c21_0a4c, 0x84_254c_5240, 0x61_0842_11c0, 0x00_355a_d6a0,
    0x00_2d98_c620, 0x00_1d18_c5c0, 0x00_3d18_fa10, 0x00_1f18_bc21, 0x00_2d98_4200, 0x00_1f07_07c0,
    0x42_3884_24c0, 0x00_2318_cda0, 0x00_2318_a880, 0x00_231a_d540, 0x00_22a2_2a20, 0x00_2318_bc2e,
    0x00_3e22_23e0, 0x11_0882_1040, 0x21_0842_1080, 0x41_0822_1100, 0x00_1151_0000,
];
/// Three dots on the base line.
const ELLIPSIS: u64 = 0b10101;
/// The box for other characters.
const BOX: u64 = 0xfc_6318_c7e0;

/// The glyph of `c` for text of `px` pixels per em.
pub(super) fn glyph(c: char, px: u16) -> Glyph {
    let index = u32::from(c).checked_sub(u32::from(' ')).map(|index| index as usize);
    let known = match c {
        '…' => Some(ELLIPSIS << COLUMNS),
        '\u{a0}' => Some(0),
        _ => index.and_then(|index| DOTS.get(index)).copied(),
    };
    let dots = known.unwrap_or(BOX);
    let dot = ((usize::from(px) + 3) / 8).max(1);
    let width = COLUMNS * dot;
    let mut coverage = vec![0; width * ROWS * dot];
    for (i, pixel) in coverage.iter_mut().enumerate() {
        let (column, row) = (i % width / dot, i / width / dot);
        let bit = (ROWS - 1 - row) * COLUMNS + (COLUMNS - 1 - column);
        *pixel = if dots >> bit & 1 == 1 { 255 } else { 0 };
    }
    Glyph {
        advance: (width + dot) as f32,
        left: 0,
        top: -((ABOVE_BASE_LINE * dot) as i32),
        width,
        coverage,
        missing: known.is_none(),
    }
}
