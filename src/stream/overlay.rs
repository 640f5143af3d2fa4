//! [`Painter`]: draws boxes and labels on an RGB picture, with names in any script.
//!
//! A label has the name on its left and the distance on its right, whatever the script. The name is a line of its own,
//! whose direction is the direction of its first letter, so that no character of a name can reorder the distance.

mod away;
mod fonts;

pub use away::Away;

use crate::config::{self, UnknownFaces};
use crate::detection::{Sighting, State};
use crate::image::{Rect, Rgb};
use fonts::{Fonts, Glyph, Line, joiner, shown};

/// The most characters of a line that are drawn. No picture is wide enough for more.
const MAX_LINE: usize = 512;
/// The cells per side of the mosaic of a blurred face.
const MOSAIC: i64 = 8;
/// How far the mosaic extends beyond the box on each side, as a share of the box's size: the box does not include chin,
/// brow and ears.
const MOSAIC_MARGIN: f64 = 0.2;

/// Draws according to `[overlay]`. Holds the fonts, which clones share, and recently drawn glyphs.
#[derive(Clone)]
pub struct Painter {
    config: config::Overlay,
    fonts: Fonts,
}

impl Painter {
    /// A painter for this `[overlay]`. A font that cannot be read is logged, and the system's fonts are used instead.
    pub fn new(config: &config::Overlay) -> Painter {
        let fonts = Fonts::of_system(config.font.as_deref());
        Painter { config: config.clone(), fonts }
    }

    /// The section `[overlay]` of this painter.
    pub fn config(&self) -> &config::Overlay {
        &self.config
    }

    /// True when both painters share the same fonts.
    #[cfg(test)]
    pub(crate) fn shares_fonts_with(&self, other: &Painter) -> bool {
        std::sync::Arc::ptr_eq(&self.fonts.files, &other.fonts.files)
    }

    /// True when this face gets a box.
    pub fn draws(&self, face: &Sighting) -> bool {
        self.config.enabled && (face.name.is_some() || self.config.unknown == UnknownFaces::Show)
    }

    /// Draws the boxes and labels of `faces` on the picture, which is `scale` times as large as the frame of the faces.
    pub fn draw<'f>(&mut self, rgb: &mut Rgb, faces: impl IntoIterator<Item = &'f Sighting>, scale: f64) {
        let style = LabelStyle::for_height(rgb.height);
        let (width, height) = (rgb.width, rgb.height);
        let visible = |face: &&Sighting| {
            let rect = face.rect.scaled(scale).clipped(width, height);
            rect.w > 0 && rect.h > 0
        };
        let faces: Vec<&Sighting> = faces.into_iter().filter(|face| self.draws(face)).filter(visible).collect();
        // All boxes are drawn before the first label, so that no line crosses a name.
        for face in &faces {
            for side in sides(face.rect.scaled(scale), style.line) {
                side.fill(rgb, self.config.box_color);
            }
        }
        // The labels of faces with a name get the better places, and are on top when labels overlap.
        let (named, others): (Vec<&Sighting>, _) =
            faces.iter().filter(|face| face.state != State::Seen).partition(|face| face.name.is_some());
        let mut labels: Vec<(Area, Caption)> = Vec::new();
        for face in named.into_iter().chain(others) {
            let label = self.label(rgb, face, face.rect.scaled(scale), &style, &labels);
            labels.push(label);
        }
        for (area, caption) in labels.iter().rev() {
            area.fill(rgb, self.config.box_color);
            let base = area.top + (style.label - i64::from(style.px)) / 2 + base_line(style.px);
            let color = self.config.text_color;
            let mut pen = Pen { x: area.left + style.padding, base, color };
            for part in caption {
                pen.x += put(rgb, *area, pen, &self.fonts.line(part, style.px));
            }
        }
    }

    /// The label of a face and its position: the first place inside the picture and without another label, of these:
    /// above the box, inside at its top, below it, inside at its bottom. When all are taken, the first place inside the
    /// picture. The label is moved sideways into the picture where necessary.
    fn label(
        &mut self,
        rgb: &Rgb,
        face: &Sighting,
        rect: Rect,
        style: &LabelStyle,
        others: &[(Area, Caption)],
    ) -> (Area, Caption) {
        let (width, height) = (i64::from(rgb.width), i64::from(rgb.height));
        let caption = self.caption(face, style.px, width - 2 * style.padding);
        let long = self.caption_width(style.px, &caption) + 2 * style.padding;
        let left = i64::from(rect.x).min(width - long).max(0);
        let bx = Area::of_rect(rect).within(Area::of(rgb));
        let tops = [bx.top - style.label, bx.top, bx.bottom, bx.bottom - style.label];
        let places = tops.map(|top| Area { left, top, right: left + long, bottom: top + style.label });
        let fits = |place: &&Area| place.top >= 0 && place.bottom <= height;
        let is_free = |place: &&Area| others.iter().all(|(other, _)| !place.meets(*other));
        let inside = || places.iter().find(fits);
        let place = places.iter().filter(fits).find(is_free).or_else(inside).unwrap_or(&places[1]);
        (*place, caption)
    }

    /// The text of a label that fits into `room` pixels. A name that is too long is cut at its end.
    fn caption(&mut self, face: &Sighting, px: u16, room: i64) -> Caption {
        let mut name = shown(face.name.as_deref().unwrap_or("Unknown"), MAX_LINE);
        if name.chars().all(|c| c == ' ' || joiner(c)) {
            name = char::REPLACEMENT_CHARACTER.to_string();
        }
        let mut distance = match face.distance.filter(|_| self.config.show_distance) {
            Some(distance) => format!(" dist:{distance:.3}"),
            None => String::new(),
        };
        let mut long = self.fonts.line(&distance, px).width;
        if self.fonts.line(&name, px).width + long > room {
            if long > room / 2 {
                distance.clear();
                long = 0;
            }
            name = self.cut(&name, px, room - long);
        }
        [name, distance]
    }

    /// The width of a caption in pixels.
    fn caption_width(&mut self, px: u16, caption: &Caption) -> i64 {
        caption.iter().map(|part| self.fonts.line(part, px).width).sum()
    }

    /// As much of the beginning of `text` as fits into `room` pixels, followed by an ellipsis. Without room for a
    /// letter, the result is the ellipsis alone.
    fn cut(&mut self, text: &str, px: u16, room: i64) -> String {
        let line = self.fonts.line(text, px);
        let room_for_text = (room - self.fonts.line("…", px).width) as f32;
        let mut count = line.cuts.partition_point(|(_, width)| *width <= room_for_text);
        let mut step = 1;
        while let Some((end, _)) = count.checked_sub(1).and_then(|at| line.cuts.get(at)) {
            let short = format!("{}…", &text[..*end]);
            // A letter may be wider where its word is cut. The steps grow, so that few lines are tried.
            if self.fonts.line(&short, px).width <= room {
                return short;
            }
            count = count.saturating_sub(step);
            step *= 2;
        }
        "…".to_owned()
    }

    /// Draws a line of text of `px` pixels per em with its top left corner at `x`, `y`. Returns its width in pixels.
    pub fn text(&mut self, rgb: &mut Rgb, x: i32, y: i32, px: u16, color: [u8; 3], text: &str) -> i64 {
        let pen = Pen { x: x.into(), base: i64::from(y) + base_line(px), color };
        put(rgb, Area::of(rgb), pen, &self.fonts.line(&shown(text, MAX_LINE), px))
    }

    /// The width of a line of text in pixels.
    pub fn text_width(&mut self, px: u16, text: &str) -> i64 {
        self.fonts.line(&shown(text, MAX_LINE), px).width
    }

    /// True when no font has some character of `text`, which would be drawn as a box.
    pub fn lacks(&mut self, px: u16, text: &str) -> bool {
        self.fonts.line(&shown(text, MAX_LINE), px).lacks
    }
}

/// The name and the distance of a label, as [`shown`] returns them.
type Caption = [String; 2];

/// Draws a line and returns its width in pixels.
fn put(rgb: &mut Rgb, clip: Area, pen: Pen, line: &Line) -> i64 {
    for (right, down, glyph) in &line.glyphs {
        let (x, y) = (pen.x + right + i64::from(glyph.left), pen.base + down + i64::from(glyph.top));
        clip.blend(rgb, x, y, glyph, pen.color);
    }
    line.width
}

/// The position and style of a line of text.
#[derive(Clone, Copy)]
struct Pen {
    x: i64,
    base: i64,
    color: [u8; 3],
}

/// The pixels from the top of a line of text to its base line. The value is the same for all fonts, so that fonts can
/// be mixed in a line.
fn base_line(px: u16) -> i64 {
    i64::from(px) * 7 / 8
}

/// Sizes in pixels that depend on the height of a picture.
struct LabelStyle {
    /// The width of the lines of a box.
    line: i64,
    /// The size of the text.
    px: u16,
    /// The height of a label.
    label: i64,
    /// The margin on the left and right of the text.
    padding: i64,
}

impl LabelStyle {
    fn for_height(height: u32) -> LabelStyle {
        let px = (10 + height / 72).min(96);
        let line = ((height + 180) / 360).max(2);
        LabelStyle { line: line.into(), px: px as u16, label: (px + px / 3).into(), padding: (px / 3).into() }
    }
}

/// A part of a picture, from `left` and `top` up to but excluding `right` and `bottom`. It may extend beyond the
/// picture.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Area {
    left: i64,
    top: i64,
    right: i64,
    bottom: i64,
}

impl Area {
    /// The whole picture.
    fn of(rgb: &Rgb) -> Area {
        Area { left: 0, top: 0, right: rgb.width.into(), bottom: rgb.height.into() }
    }

    fn of_rect(rect: Rect) -> Area {
        let (left, top) = (i64::from(rect.x), i64::from(rect.y));
        Area { left, top, right: left + i64::from(rect.w), bottom: top + i64::from(rect.h) }
    }

    fn within(self, other: Area) -> Area {
        let (left, top) = (self.left.max(other.left), self.top.max(other.top));
        let (right, bottom) = (self.right.min(other.right).max(left), self.bottom.min(other.bottom).max(top));
        Area { left, top, right, bottom }
    }

    fn meets(self, other: Area) -> bool {
        self.left < other.right && other.left < self.right && self.top < other.bottom && other.top < self.bottom
    }

    /// The pixels of the area line by line, clipped to the picture.
    fn lines(self, rgb: &mut Rgb) -> impl Iterator<Item = &mut [[u8; 3]]> {
        let area = self.within(Area::of(rgb));
        let (top, height) = (area.top as usize, (area.bottom - area.top) as usize);
        let columns = area.left as usize..area.right as usize;
        let lines = rgb.data.as_chunks_mut().0.chunks_exact_mut((rgb.width as usize).max(1));
        lines.skip(top).take(height).map(move |line| line.get_mut(columns.clone()).unwrap_or_default())
    }

    fn fill(self, rgb: &mut Rgb, color: [u8; 3]) {
        let mut lines = self.lines(rgb);
        let Some(first) = lines.next() else { return };
        first.fill(color);
        lines.for_each(|line| line.copy_from_slice(first));
    }

    /// Fills the area with its mean colour.
    fn flatten(self, rgb: &mut Rgb) {
        let (mut sums, mut count) = ([0_u64; 3], 0);
        for line in self.lines(rgb) {
            count += line.len() as u64;
            for pixel in line {
                (0..3).for_each(|i| sums[i] += u64::from(pixel[i]));
            }
        }
        self.fill(rgb, sums.map(|sum| (sum / count.max(1)) as u8));
    }

    /// Blends a glyph with its top left corner at `x`, `y`, clipped to the area.
    fn blend(self, rgb: &mut Rgb, x: i64, y: i64, glyph: &Glyph, color: [u8; 3]) {
        let height = glyph.coverage.len().checked_div(glyph.width).unwrap_or(0);
        let whole = Area { left: x, top: y, right: x + glyph.width as i64, bottom: y + height as i64 };
        let shown = whole.within(self).within(Area::of(rgb));
        let (skip_x, skip_y) = ((shown.left - x).max(0) as usize, (shown.top - y).max(0) as usize);
        let rows = glyph.coverage.chunks_exact(glyph.width.max(1)).skip(skip_y);
        for (line, row) in shown.lines(rgb).zip(rows) {
            for (pixel, &share) in line.iter_mut().zip(row.iter().skip(skip_x)) {
                match share {
                    0 => {}
                    255 => *pixel = color,
                    _ => *pixel = mix(*pixel, color, share),
                }
            }
        }
    }
}

/// Blends `share`/255 of `over` with `under`.
fn mix(under: [u8; 3], over: [u8; 3], share: u8) -> [u8; 3] {
    let share = u32::from(share);
    std::array::from_fn(|i| ((u32::from(over[i]) * share + u32::from(under[i]) * (255 - share) + 127) / 255) as u8)
}

/// The four lines of a box, which are inside `rect`.
fn sides(rect: Rect, line: i64) -> [Area; 4] {
    let all = Area::of_rect(rect);
    let sides = [
        Area { bottom: all.top + line, ..all },
        Area { top: all.bottom - line, ..all },
        Area { right: all.left + line, ..all },
        Area { left: all.right - line, ..all },
    ];
    sides.map(|side| side.within(all))
}

/// Blurs the face at `rect` and its surroundings: a few cells are filled with their mean colours, so no detail can be
/// recovered.
pub fn pixelate(rgb: &mut Rgb, rect: Rect) {
    let grow = |len: u32| (f64::from(len) * MOSAIC_MARGIN).ceil() as i64;
    let (dx, dy, face) = (grow(rect.w), grow(rect.h), Area::of_rect(rect));
    let wide = Area { left: face.left - dx, top: face.top - dy, right: face.right + dx, bottom: face.bottom + dy };
    // Small faces get fewer cells, because each cell needs some pixels.
    let cell = ((wide.right - wide.left).max(wide.bottom - wide.top) / MOSAIC).max(4);
    let area = wide.within(Area::of(rgb));
    for top in (area.top..area.bottom).step_by(cell as usize) {
        for left in (area.left..area.right).step_by(cell as usize) {
            Area { left, top, right: left + cell, bottom: top + cell }.within(area).flatten(rgb);
        }
    }
}

/// Fills `rect` with its mean colour. `rect` is in pixels of a picture of which `rgb` is `scale` times the size.
pub fn flatten(rgb: &mut Rgb, rect: Rect, scale: f64) {
    let Area { left, top, right, bottom } = Area::of_rect(rect);
    // Rounded outwards, so that no gap is left between two rectangles.
    let start = |at: i64| (at as f64 * scale).floor() as i64;
    let end = |at: i64| (at as f64 * scale).ceil() as i64;
    Area { left: start(left), top: start(top), right: end(right), bottom: end(bottom) }.flatten(rgb);
}

#[cfg(test)]
mod tests;
