//! Lines of text in any script with the system's fonts; only this file and its folder use ab_glyph and memmap2.

mod bitmap;
mod line;
mod shape;

pub(super) use line::{Line, joiner, shown};

use ab_glyph::{Font, FontRef, Glyph as AtPoint, GlyphId, OutlinedGlyph, PxScaleFactor, point};
use memmap2::Mmap;
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// The folders of the system's fonts; `~/.fonts` is added.
const FOLDERS: &[&str] = &["/usr/share/fonts", "/usr/local/share/fonts"];
/// The depth to which folders are searched.
const MAX_DEPTH: u32 = 6;
/// The most directory entries that are read.
const MAX_ENTRIES: usize = 8192;
/// The most font files that are searched for a character, the preferred ones first.
const MAX_FILES: usize = 256;
/// The most fonts of a collection that are used.
const MAX_FACES: u32 = 64;
/// The most drawn glyphs that are kept. They take a few hundred KB.
const MAX_GLYPHS: usize = 1024;
/// The most lines that are kept. [`MAX_CHARS`] is the most characters whose font is kept.
const MAX_LINES: usize = 128;
const MAX_CHARS: usize = 4096;

/// The preferred file names without extension, the best first: sans-serif fonts with many characters before fonts with
/// few characters, and fonts with Hangul first, because one font for the whole label looks better than two. Nanum's
/// regular weight is too thin for small text on a picture. FreeSans comes late, because it lacks conjuncts and places
/// marks badly in Thai and Devanagari.
const PREFERRED: &[&str] = &[
    "NanumGothicBold",
    "NanumGothic",
    "NanumBarunGothic",
    "NotoSansCJK-Regular",
    "NotoSansCJKkr-Regular",
    "NotoSansKR-Regular",
    "UnDotum",
    "DejaVuSans",
    "NotoSans-Regular",
    "LiberationSans-Regular",
    "Loma",
    "Garuda",
    "FreeSans",
    "DroidSansFallbackFull",
    "wqy-microhei",
    "unifont",
];
/// Fonts with one of these words in their name are used only when no other font has the character.
const SPECIAL: &[&str] =
    &["bold", "italic", "oblique", "mono", "coding", "thin", "light", "black", "condensed", "serif"];

/// A drawn glyph: its coverage of each pixel.
#[derive(Debug, Default)]
pub(super) struct Glyph {
    /// The distance to the next glyph in pixels, for a glyph that comes from no font.
    pub(super) advance: f32,
    /// The pixels from the pen to the left edge.
    pub(super) left: i32,
    /// The pixels from the base line to the top edge; negative is above.
    pub(super) top: i32,
    /// Width in pixels.
    pub(super) width: usize,
    /// The coverage per pixel, 0 to 255, line by line.
    pub(super) coverage: Vec<u8>,
    /// True for a box, when no font has the character.
    pub(super) missing: bool,
}

/// The fonts in the order of preference, and the lines and glyphs that were drawn recently. Clones share the files.
#[derive(Clone)]
pub(super) struct Fonts {
    pub(super) files: Arc<[FontFile]>,
    /// The lines by size and text.
    pub(super) lines: HashMap<u16, HashMap<String, Arc<Line>>>,
    /// The glyphs by font, number of the glyph in the font, and size.
    glyphs: HashMap<(FaceAt, u16, u16), Arc<Glyph>>,
    /// For each character the first font that has it, if any.
    faces: HashMap<char, Option<FaceAt>>,
}

/// The position of a font: the index of its file, and the number of the font in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct FaceAt {
    file: usize,
    face: u32,
}

pub(super) struct FontFile {
    path: PathBuf,
    /// The mapped file. It is mapped at first use; `None` when the mapping fails.
    map: OnceLock<Option<Mmap>>,
}

impl Fonts {
    /// The configured font `named`, if any, before the system's fonts. A configured font that cannot be read is logged
    /// and left out.
    pub(super) fn of_system(named: Option<&Path>) -> Fonts {
        let mut folders: Vec<PathBuf> = FOLDERS.iter().map(PathBuf::from).collect();
        folders.extend(std::env::var_os("HOME").map(|home| Path::new(&home).join(".fonts")));
        Self::in_folders(named, &folders)
    }

    /// Like [`Fonts::of_system`], with the fonts in `folders`.
    pub(super) fn in_folders(named: Option<&Path>, folders: &[PathBuf]) -> Fonts {
        let mut found = Vec::new();
        let mut entries = 0;
        for folder in folders {
            find(folder, 0, &mut entries, &mut found);
        }
        found.sort_by_cached_key(|path| (rank(path), path.clone()));
        found.truncate(MAX_FILES);
        let mut files: Vec<FontFile> = found.into_iter().map(FontFile::at).collect();
        if let Some(path) = named {
            let file = FontFile::at(path.to_owned());
            if file.faces().next().is_some() {
                files.insert(0, file);
            } else {
                log::warn!(
                    "[overlay] font = {}: this is not a readable font; the system's fonts are used instead",
                    path.display()
                );
            }
        }
        Fonts { files: files.into(), lines: HashMap::new(), glyphs: HashMap::new(), faces: HashMap::new() }
    }

    /// The line of `text`, which must come from [`shown`], with `px` pixels per em.
    pub(super) fn line(&mut self, text: &str, px: u16) -> Arc<Line> {
        if let Some(line) = self.lines.get(&px).and_then(|lines| lines.get(text)) {
            return Arc::clone(line);
        }
        let line = Arc::new(Line::of(self, text, px));
        if self.lines.values().map(HashMap::len).sum::<usize>() >= MAX_LINES {
            self.lines.clear();
        }
        self.lines.entry(px).or_default().insert(text.to_owned(), Arc::clone(&line));
        line
    }

    /// The first font that has `c` and can draw it.
    fn face_of(&mut self, c: char) -> Option<FaceAt> {
        if let Some(found) = self.faces.get(&c) {
            return *found;
        }
        let faces = self
            .files
            .iter()
            .enumerate()
            .flat_map(|(file, fonts)| fonts.faces().map(move |(face, font)| (FaceAt { file, face }, font)));
        let found = faces.into_iter().find(|(_, font)| has(font, c)).map(|(at, _)| at);
        if self.faces.len() >= MAX_CHARS {
            self.faces.clear();
        }
        self.faces.insert(c, found);
        found
    }

    /// The font at `at`, and its file.
    fn font(&self, at: FaceAt) -> Option<(FontRef<'_>, &[u8])> {
        let bytes = self.files.get(at.file)?.bytes();
        Some((FontRef::try_from_slice_and_index(bytes, at.face).ok()?, bytes))
    }

    /// A glyph of a font for text of `px` pixels per em. The result is empty when the glyph has no outline.
    fn glyph(&mut self, at: FaceAt, id: u16, px: u16) -> Arc<Glyph> {
        if let Some(glyph) = self.glyphs.get(&(at, id, px)) {
            return Arc::clone(glyph);
        }
        let glyph = Arc::new(self.font(at).and_then(|(font, _)| draw(&font, GlyphId(id), px)).unwrap_or_default());
        if self.glyphs.len() >= MAX_GLYPHS {
            self.glyphs.clear();
        }
        self.glyphs.insert((at, id, px), Arc::clone(&glyph));
        glyph
    }
}

impl FontFile {
    fn at(path: PathBuf) -> FontFile {
        FontFile { path, map: OnceLock::new() }
    }

    /// The content of the file; empty when the file cannot be read.
    fn bytes(&self) -> &[u8] {
        self.map.get_or_init(|| map(&self.path)).as_deref().unwrap_or_default()
    }

    /// Every font in the file and its number. Parsing reads only the table of contents, so it is repeated each time.
    fn faces(&self) -> impl Iterator<Item = (u32, FontRef<'_>)> {
        let bytes = self.bytes();
        let number = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
        // A collection begins with a tag, a version, the number of its fonts, and their offsets.
        let collection = bytes.starts_with(b"ttcf");
        let count = if collection { number(8).unwrap_or(0).min(MAX_FACES) } else { 1 };
        // ttf-parser assumes that a font begins within its file.
        let begins_inside = move |i: &u32| !collection || number(12 + 4 * *i as usize) < Some(bytes.len() as u32);
        (0..count).filter(begins_inside).filter_map(|i| Some((i, FontRef::try_from_slice_and_index(bytes, i).ok()?)))
    }
}

fn map(path: &Path) -> Option<Mmap> {
    let file = File::open(path).ok()?;
    let about = file.metadata().ok()?;
    // Offsets in fonts have 32 bits. Only regular files are opened, because opening a FIFO would block.
    if !about.is_file() || about.len() >= u64::from(u32::MAX) {
        return None;
    }
    // SAFETY: the mapping is private and read-only. A program that may write to the system's fonts could truncate the
    // file, which would end the process; package managers replace files instead.
    unsafe { Mmap::map(&file) }.ok()
}

fn find(folder: &Path, depth: u32, entries: &mut usize, found: &mut Vec<PathBuf>) {
    let Ok(listing) = std::fs::read_dir(folder) else { return };
    for entry in listing.flatten() {
        *entries += 1;
        if *entries > MAX_ENTRIES {
            return;
        }
        let (path, kind) = (entry.path(), entry.file_type());
        if kind.is_ok_and(|kind| kind.is_dir()) {
            if depth < MAX_DEPTH {
                find(&path, depth + 1, entries, found);
            }
        } else if path.extension().and_then(|ending| ending.to_str()).is_some_and(is_font) {
            found.push(path);
        }
    }
}

fn is_font(ending: &str) -> bool {
    ["ttf", "otf", "ttc"].iter().any(|known| ending.eq_ignore_ascii_case(known))
}

/// The rank of a font. Fonts with smaller ranks are searched earlier.
fn rank(path: &Path) -> (usize, bool) {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    // Noto Sans and Lohit have a font for each script.
    let of_script = stem.starts_with("NotoSans") && stem.ends_with("-Regular") || stem.starts_with("Lohit-");
    let known = |name: &&str| stem == **name || of_script && *name == "NotoSans-Regular";
    let place = PREFERRED.iter().position(known).unwrap_or(PREFERRED.len());
    let lower = stem.to_lowercase();
    (place, SPECIAL.iter().any(|part| lower.contains(part)))
}

/// True when `font` has `c` and can draw it.
fn has(font: &FontRef<'_>, c: char) -> bool {
    let id = font.glyph_id(c);
    // A letter without an outline is a coloured bitmap. Another font may have an outline for it.
    id != GlyphId(0) && (c.is_whitespace() || line::joiner(c) || draw(font, id, 16).is_some())
}

/// The pixels of a glyph of `font`; `None` when the glyph has no outline or invalid data.
fn draw(font: &FontRef<'_>, id: GlyphId, px: u16) -> Option<Glyph> {
    let scale = scale(font, px)?;
    let px = f32::from(px);
    let outline = font.outline(id)?;
    let factor = PxScaleFactor { horizontal: scale, vertical: scale };
    let outlined = OutlinedGlyph::new(AtPoint { id, scale: px.into(), position: point(0.0, 0.0) }, outline, factor);
    let bounds = outlined.px_bounds();
    if !(bounds.width() <= 8.0 * px && bounds.height() <= 8.0 * px) {
        return None;
    }
    let (width, height) = (bounds.width() as usize, bounds.height() as usize);
    let mut coverage = vec![0; width * height];
    outlined.draw(|x, y, share| {
        if let Some(pixel) = coverage.get_mut(y as usize * width + x as usize) {
            *pixel = (share * 255.0 + 0.5) as u8;
        }
    });
    Some(Glyph { left: bounds.min.x as i32, top: bounds.min.y as i32, width, coverage, ..Glyph::default() })
}

/// The pixels per unit of `font`. The scale comes from the em rather than from ascent and descent as in ab_glyph, so
/// that the sizes of different fonts match.
fn scale(font: &FontRef<'_>, px: u16) -> Option<f32> {
    font.units_per_em().filter(|units| *units >= 1.0).map(|units| f32::from(px) / units)
}
