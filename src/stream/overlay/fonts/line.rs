//! The layout of a line of text: the font of each part, and the position of each glyph.
//!
//! The direction of the line is the direction of its first letter. Parts of the other direction, and numbers, are
//! placed by the bidirectional algorithm of Unicode (UAX #9). Scripts that join, stack or reorder letters are shaped by
//! HarfBuzz, if the system has HarfBuzz.

use super::shape::{self, Script, Shaped};
use super::{FaceAt, Fonts, Glyph, bitmap, scale};
use ab_glyph::Font;
use std::ops::Range;
use std::sync::Arc;
use unicode_bidi::{BidiInfo, Level, ParagraphBidiInfo};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// A line of text of one size.
#[derive(Debug, Default)]
pub(in crate::stream::overlay) struct Line {
    /// The glyphs, each with the pixels from the start of the line to its pen, to the right and down.
    pub(in crate::stream::overlay) glyphs: Vec<(i64, i64, Arc<Glyph>)>,
    /// The width in pixels.
    pub(in crate::stream::overlay) width: i64,
    /// True when no font has some character of the text.
    pub(in crate::stream::overlay) lacks: bool,
    /// The offsets in bytes at which the text may be cut, in ascending order, each with the approximate width of the
    /// text before it. No offset is inside a letter with its marks or inside a ligature.
    pub(in crate::stream::overlay) cuts: Vec<(usize, f32)>,
}

/// Characters that follow each other and have the same direction, script and font.
struct Run {
    chars: Range<usize>,
    level: Level,
    script: Option<Script>,
    /// `None` when no font has the character.
    face: Option<FaceAt>,
}

/// The text that is drawn for `text`: without characters that hide or reorder others, and with letters and accents
/// composed where Unicode has the composed letter. The function is idempotent. `most` is the largest number of
/// characters.
pub(in crate::stream::overlay) fn shown(text: &str, most: usize) -> String {
    text.chars().filter_map(printable).take(most).nfc().collect()
}

/// The character that is drawn for `c`: none for a character that hides or reorders others, a space for every kind of
/// space, and the replacement character for a character without a shape.
fn printable(c: char) -> Option<char> {
    match c {
        c if joiner(c) => Some(c),
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' => None,
        '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => None,
        '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' => None,
        '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}' => None,
        c if c.is_control() => Some(char::REPLACEMENT_CHARACTER),
        '\u{e000}'..='\u{f8ff}' | '\u{f0000}'.. => Some(char::REPLACEMENT_CHARACTER),
        c if c.is_whitespace() || c == '\u{2800}' => Some(' '),
        c => Some(c),
    }
}

/// True for the characters that join or separate the letters around them and have no shape. Names in Persian and in
/// scripts of India need these characters.
pub(in crate::stream::overlay) fn joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// True for a character that belongs to the preceding character.
fn follows(c: char) -> bool {
    is_combining_mark(c) || joiner(c) || matches!(c, '\u{e33}' | '\u{eb3}')
}

/// True for characters whose glyphs are drawn one after the other as they are in the font: Latin, Greek, Cyrillic,
/// punctuation, kana, Han and Hangul.
fn is_simple(c: char) -> bool {
    matches!(c,
        ..'\u{300}' | '\u{370}'..'\u{483}' | '\u{48a}'..'\u{530}' | '\u{1e00}'..'\u{2000}'
        | '\u{3000}'..'\u{302a}' | '\u{3030}'..'\u{3099}' | '\u{309b}'..'\u{a000}' | '\u{ac00}'..'\u{d7b0}'
        | '\u{2010}'..'\u{2028}' | '\u{2030}'..'\u{2060}' | '\u{20a0}'..'\u{20d0}' | '\u{ff00}'..'\u{fff0}')
}

impl Line {
    /// Lays out `text`, which must come from [`shown`], with `px` pixels per em.
    pub(super) fn of(fonts: &mut Fonts, text: &str, px: u16) -> Line {
        let chars: Vec<char> = text.chars().collect();
        // The offset of each character, and the offset of the end.
        let offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let levels = ParagraphBidiInfo::new(text, None).levels;
        let levels: Vec<Level> = offsets.iter().filter_map(|at| levels.get(*at).copied()).collect();
        let runs = runs(fonts, &chars, &levels);

        let mut line = Line::default();
        // The width of the glyphs, stored at the first character that they stand for.
        let mut widths = vec![None; chars.len()];
        let mut pen = 0.0_f32;
        for at in BidiInfo::reorder_visual(&runs.iter().map(|run| run.level).collect::<Vec<_>>()) {
            line.draw(fonts, &chars, &runs[at], px, &mut pen, &mut widths);
        }
        line.width = pen.ceil() as i64;

        let mut before = 0.0;
        for (i, width) in widths.iter().enumerate() {
            if let Some(width) = width {
                if i > 0 && !follows(chars[i]) {
                    line.cuts.push((offsets[i], before));
                }
                before += width;
            }
        }
        line
    }

    /// Adds the glyphs of a run at the pen.
    fn draw(
        &mut self,
        fonts: &mut Fonts,
        chars: &[char],
        run: &Run,
        px: u16,
        pen: &mut f32,
        widths: &mut [Option<f32>],
    ) {
        let most = 4.0 * f32::from(px);
        let found = run.face.and_then(|at| {
            let (font, bytes) = fonts.font(at)?;
            Some((at, scale(&font, px)?, shaped(&font, bytes, at.face, chars, run)))
        });
        let Some((face, scale, shaped)) = found else {
            for i in run.chars.clone() {
                let glyph = Arc::new(bitmap::glyph(chars[i], px));
                self.lacks |= glyph.missing;
                widths[i] = Some(glyph.advance);
                let advance = glyph.advance;
                self.glyphs.push((pen.round() as i64, 0, glyph));
                *pen += advance;
            }
            return;
        };
        for Shaped { id, from, advance, right, up } in shaped {
            let advance = (advance as f32 * scale).clamp(-most, most);
            let (right, up) = ((right as f32 * scale).clamp(-most, most), (up as f32 * scale).clamp(-most, most));
            let glyph = fonts.glyph(face, id, px);
            if !glyph.coverage.is_empty() {
                self.glyphs.push(((*pen + right).round() as i64, (-up).round() as i64, glyph));
            }
            *pen += advance;
            if let Some(width) = widths.get_mut(from) {
                *width = Some(width.unwrap_or(0.0) + advance);
            }
        }
    }
}

/// The glyphs of a run from left to right.
fn shaped(font: &ab_glyph::FontRef<'_>, bytes: &[u8], face: u32, chars: &[char], run: &Run) -> Vec<Shaped> {
    let text = chars.get(run.chars.clone()).unwrap_or_default();
    let right_to_left = run.level.is_rtl();
    let is_shaped = right_to_left || !text.iter().all(|c| is_simple(*c));
    let shape = || shape::shape(bytes, face, chars, run.chars.clone(), run.script, right_to_left);
    if let Some(shaped) = Some(()).filter(|()| is_shaped).and_then(|()| shape()) {
        return shaped;
    }
    let one = |(i, c): (usize, &char)| {
        let id = font.glyph_id(*c);
        let advance = font.h_advance_unscaled(id) as i32;
        Shaped { id: id.0, from: run.chars.start + i, advance, right: 0, up: 0 }
    };
    let glyphs = text.iter().enumerate().map(one);
    if right_to_left { glyphs.rev().collect() } else { glyphs.collect() }
}

/// Divides the text into runs.
fn runs(fonts: &mut Fonts, chars: &[char], levels: &[Level]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut start = 0;
    while let (Some(first), Some(level)) = (chars.get(start), levels.get(start)) {
        let marks = chars[start + 1..].iter().zip(&levels[start + 1..]);
        let end = start + 1 + marks.take_while(|(c, at)| follows(**c) && *at == level).count();
        // Simple letters need no script, so that HarfBuzz is not loaded for them, and use the first font that has them.
        let simple = is_simple(*first);
        let own = if simple { None } else { shape::script(*first) };
        let last = runs.last();
        let script = own.or(last.and_then(|run| run.script));
        // Within a script the font of the preceding text is kept, so that a word is not drawn with two fonts.
        let kept = last
            .filter(|_| !simple)
            .filter(|run| own.is_none() || run.script.is_none() || own == run.script)
            .and_then(|run| run.face);
        let letter = &chars[start..end];
        for (range, face) in faces(fonts, letter, kept, start) {
            match runs.last_mut() {
                Some(run)
                    if run.level == *level && run.face == face && (run.script == script || run.script.is_none()) =>
                {
                    run.chars.end = range.end;
                    run.script = script;
                }
                _ => runs.push(Run { chars: range, level: *level, script, face }),
            }
        }
        start = end;
    }
    runs
}

/// The fonts for a letter and its marks. One font is used if possible: `kept`, or else the first of the characters' own
/// fonts that has all of them. Otherwise each character gets its own font.
fn faces(
    fonts: &mut Fonts,
    letter: &[char],
    kept: Option<FaceAt>,
    start: usize,
) -> Vec<(Range<usize>, Option<FaceAt>)> {
    let firsts: Vec<Option<FaceAt>> = letter.iter().map(|c| fonts.face_of(*c)).collect();
    let whole = kept.into_iter().chain(firsts.iter().flatten().copied()).find(|at| {
        let font = fonts.font(*at);
        font.is_some_and(|(font, _)| letter.iter().all(|c| joiner(*c) || super::has(&font, *c)))
    });
    match whole {
        Some(face) => vec![(start..start + letter.len(), Some(face))],
        None => firsts.into_iter().enumerate().map(|(i, face)| (start + i..start + i + 1, face)).collect(),
    }
}
