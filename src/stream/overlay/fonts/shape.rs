//! Turns a piece of text into the glyphs of a font, joined, reordered and placed as its script requires, with the
//! HarfBuzz of the system; only this file uses HarfBuzz. The library is loaded for the first text that needs it, so
//! that boards that never show such a name save its 0.8 MB. Without the library, letters are drawn one by one.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ops::Range;
use std::sync::OnceLock;

/// A script as HarfBuzz names it: its ISO 15924 tag.
pub(super) type Script = u32;

/// A glyph of a font and its place, in the units of the font.
pub(super) struct Shaped {
    /// The number of the glyph in the font.
    pub(super) id: u16,
    /// The index of the first character that the glyph stands for.
    pub(super) from: usize,
    /// The distance to the next glyph.
    pub(super) advance: i32,
    /// How far the glyph is moved to the right.
    pub(super) right: i32,
    /// How far the glyph is moved up.
    pub(super) up: i32,
}

/// The library, whose binary interface has not changed since its first stable version.
const LIBRARY: &CStr = c"libharfbuzz.so.0";
const READONLY: c_int = 1;
const LEFT_TO_RIGHT: c_int = 4;
const RIGHT_TO_LEFT: c_int = 5;
const REMOVE_DEFAULT_IGNORABLES: c_int = 8;
const COMMON: Script = u32::from_be_bytes(*b"Zyyy");
const INHERITED: Script = u32::from_be_bytes(*b"Zinh");
const UNKNOWN: Script = u32::from_be_bytes(*b"Zzzz");

/// An object of the library.
type Object = *mut c_void;

/// `hb_glyph_info_t`.
#[repr(C)]
struct GlyphInfo {
    codepoint: u32,
    mask: u32,
    cluster: u32,
    private: [u32; 2],
}

/// `hb_glyph_position_t`.
#[repr(C)]
struct GlyphPosition {
    x_advance: i32,
    y_advance: i32,
    x_offset: i32,
    y_offset: i32,
    private: u32,
}

/// The functions of the library.
struct HarfBuzz {
    unicode: Object,
    unicode_script: unsafe extern "C" fn(Object, u32) -> Script,
    blob_create:
        unsafe extern "C" fn(*const c_char, c_uint, c_int, Object, Option<unsafe extern "C" fn(Object)>) -> Object,
    face_create: unsafe extern "C" fn(Object, c_uint) -> Object,
    font_create: unsafe extern "C" fn(Object) -> Object,
    font_set_funcs: unsafe extern "C" fn(Object),
    buffer_create: unsafe extern "C" fn() -> Object,
    buffer_add: unsafe extern "C" fn(Object, *const u32, c_int, c_uint, c_int),
    buffer_set_direction: unsafe extern "C" fn(Object, c_int),
    buffer_set_script: unsafe extern "C" fn(Object, Script),
    buffer_set_flags: unsafe extern "C" fn(Object, c_int),
    shape: unsafe extern "C" fn(Object, Object, *const c_void, c_uint),
    glyph_infos: unsafe extern "C" fn(Object, *mut c_uint) -> *const GlyphInfo,
    glyph_positions: unsafe extern "C" fn(Object, *mut c_uint) -> *const GlyphPosition,
    buffer_destroy: unsafe extern "C" fn(Object),
    font_destroy: unsafe extern "C" fn(Object),
    face_destroy: unsafe extern "C" fn(Object),
    blob_destroy: unsafe extern "C" fn(Object),
}

// SAFETY: `unicode` is HarfBuzz's own table, which is never changed or freed and may be read by any thread.
unsafe impl Send for HarfBuzz {}
// SAFETY: as above.
unsafe impl Sync for HarfBuzz {}

/// The library; `None` when the system has none.
fn harfbuzz() -> Option<&'static HarfBuzz> {
    static LOADED: OnceLock<Option<HarfBuzz>> = OnceLock::new();
    let load = || {
        let loaded = HarfBuzz::load();
        if loaded.is_none() {
            log::warn!("overlay: letters of some scripts are not joined; to join them, install libharfbuzz0b");
        }
        loaded
    };
    LOADED.get_or_init(load).as_ref()
}

impl HarfBuzz {
    fn load() -> Option<HarfBuzz> {
        // SAFETY: the name is a C string. The library stays loaded for as long as the process.
        let library = unsafe { libc::dlopen(LIBRARY.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if library.is_null() {
            return None;
        }
        // SAFETY: each function is given the type that hb.h declares for its name.
        unsafe {
            let unicode_default: unsafe extern "C" fn() -> Object = function(library, c"hb_unicode_funcs_get_default")?;
            Some(HarfBuzz {
                unicode: unicode_default(),
                unicode_script: function(library, c"hb_unicode_script")?,
                blob_create: function(library, c"hb_blob_create")?,
                face_create: function(library, c"hb_face_create")?,
                font_create: function(library, c"hb_font_create")?,
                font_set_funcs: function(library, c"hb_ot_font_set_funcs")?,
                buffer_create: function(library, c"hb_buffer_create")?,
                buffer_add: function(library, c"hb_buffer_add_codepoints")?,
                buffer_set_direction: function(library, c"hb_buffer_set_direction")?,
                buffer_set_script: function(library, c"hb_buffer_set_script")?,
                buffer_set_flags: function(library, c"hb_buffer_set_flags")?,
                shape: function(library, c"hb_shape")?,
                glyph_infos: function(library, c"hb_buffer_get_glyph_infos")?,
                glyph_positions: function(library, c"hb_buffer_get_glyph_positions")?,
                buffer_destroy: function(library, c"hb_buffer_destroy")?,
                font_destroy: function(library, c"hb_font_destroy")?,
                face_destroy: function(library, c"hb_face_destroy")?,
                blob_destroy: function(library, c"hb_blob_destroy")?,
            })
        }
    }
}

/// A function of a loaded library; `None` when the library has no function of this name.
///
/// # Safety
/// `library` is a handle of `dlopen`, and `F` is the type of the function.
unsafe fn function<F: Copy>(library: Object, name: &CStr) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<Object>()) };
    // SAFETY: the library is loaded, and the name is a C string.
    let address = unsafe { libc::dlsym(library, name.as_ptr()) };
    // SAFETY: an address that is not null is the address of the function, and has the size of `F`.
    (!address.is_null()).then(|| unsafe { std::mem::transmute_copy(&address) })
}

/// The script of a character. `None` without the library, and for a character that takes the script of the text around
/// it.
pub(super) fn script(c: char) -> Option<Script> {
    let harfbuzz = harfbuzz()?;
    // SAFETY: the table exists for as long as the process, and the character is passed by value.
    let script = unsafe { (harfbuzz.unicode_script)(harfbuzz.unicode, c.into()) };
    (![COMMON, INHERITED, UNKNOWN].contains(&script)).then_some(script)
}

/// The glyphs of the characters in `range` of `text`, from left to right; `None` without the library. `font` is a font
/// file, and `face` the number of the font in it. The rest of the text decides how the characters at both ends are
/// joined.
pub(super) fn shape(
    font: &[u8],
    face: u32,
    text: &[char],
    range: Range<usize>,
    script: Option<Script>,
    right_to_left: bool,
) -> Option<Vec<Shaped>> {
    let hb = harfbuzz()?;
    let (size, count) = (c_uint::try_from(font.len()).ok()?, c_int::try_from(text.len()).ok()?);
    let (start, len) = (c_uint::try_from(range.start).ok()?, c_int::try_from(range.len()).ok()?);
    if range.end > text.len() {
        return None;
    }
    let direction = if right_to_left { RIGHT_TO_LEFT } else { LEFT_TO_RIGHT };
    // SAFETY: `font` and `text` outlive every object made here: each is destroyed before the end of the block, in the
    // reverse order. HarfBuzz reads within `size` bytes and `count` characters, which have the size and alignment of
    // its code points, and `range` is within them. A failed allocation gives an inert object, which is valid in every
    // call. The arrays of glyphs belong to the buffer, have `glyphs` and `places` entries, and are copied before it
    // goes.
    unsafe {
        let blob = (hb.blob_create)(font.as_ptr().cast(), size, READONLY, std::ptr::null_mut(), None);
        let face = (hb.face_create)(blob, face);
        let font = (hb.font_create)(face);
        (hb.font_set_funcs)(font);
        let buffer = (hb.buffer_create)();
        (hb.buffer_add)(buffer, text.as_ptr().cast(), count, start, len);
        (hb.buffer_set_direction)(buffer, direction);
        (hb.buffer_set_script)(buffer, script.unwrap_or(COMMON));
        (hb.buffer_set_flags)(buffer, REMOVE_DEFAULT_IGNORABLES);
        (hb.shape)(font, buffer, std::ptr::null(), 0);
        let (mut glyphs, mut places) = (0, 0);
        let first_glyph = (hb.glyph_infos)(buffer, &mut glyphs);
        let first_place = (hb.glyph_positions)(buffer, &mut places);
        let shaped = (0..glyphs.min(places) as usize).map(|i| {
            let (glyph, place) = (&*first_glyph.add(i), &*first_place.add(i));
            Shaped {
                id: u16::try_from(glyph.codepoint).unwrap_or(0),
                from: glyph.cluster as usize,
                advance: place.x_advance,
                right: place.x_offset,
                up: place.y_offset,
            }
        });
        let shaped = shaped.collect();
        (hb.buffer_destroy)(buffer);
        (hb.font_destroy)(font);
        (hb.face_destroy)(face);
        (hb.blob_destroy)(blob);
        Some(shaped)
    }
}
