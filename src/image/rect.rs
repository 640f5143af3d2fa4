//! [`Rect`]: a rectangle of a picture.

/// A rectangle in pixels. It may extend beyond the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rect {
    /// The left edge.
    pub x: i32,
    /// The top edge.
    pub y: i32,
    /// Width in pixels.
    pub w: u32,
    /// Height in pixels.
    pub h: u32,
}

impl Rect {
    /// The rectangle clipped to a picture of `width` x `height` pixels; empty when it is outside.
    pub fn clipped(self, width: u32, height: u32) -> Rect {
        let cut = |start: i32, len: u32, limit: u32| {
            let limit = i64::from(limit);
            let from = i64::from(start).clamp(0, limit);
            let to = (i64::from(start) + i64::from(len)).clamp(from, limit);
            (from as i32, (to - from) as u32)
        };
        let ((x, w), (y, h)) = (cut(self.x, self.w, width), cut(self.y, self.h, height));
        Rect { x, y, w, h }
    }

    /// The intersection over union of two rectangles: 0 when they are apart, 1 when they are equal.
    pub fn iou(self, other: Rect) -> f32 {
        let overlap = |a: i32, a_len: u32, b: i32, b_len: u32| {
            let end = (i64::from(a) + i64::from(a_len)).min(i64::from(b) + i64::from(b_len));
            (end - i64::from(a.max(b))).max(0)
        };
        let shared = overlap(self.x, self.w, other.x, other.w) * overlap(self.y, self.h, other.y, other.h);
        let area = |r: Rect| i64::from(r.w) * i64::from(r.h);
        let union = area(self) + area(other) - shared;
        if union == 0 { 0.0 } else { shared as f32 / union as f32 }
    }

    /// The rectangle with a margin of `by` pixels on each side.
    pub fn grown(self, by: u32) -> Rect {
        let side = |start: i32| start.saturating_sub_unsigned(by);
        Rect { x: side(self.x), y: side(self.y), w: self.w + 2 * by, h: self.h + 2 * by }
    }

    /// The smallest rectangle that contains both rectangles.
    pub fn around(self, other: Rect) -> Rect {
        let end = |start: i32, length: u32| i64::from(start) + i64::from(length);
        let span = |a: i32, a_len: u32, b: i32, b_len: u32| {
            let start = a.min(b);
            (start, (end(a, a_len).max(end(b, b_len)) - i64::from(start)) as u32)
        };
        let ((x, w), (y, h)) = (span(self.x, self.w, other.x, other.w), span(self.y, self.h, other.y, other.h));
        Rect { x, y, w, h }
    }

    /// The rectangle scaled by `factor`.
    pub fn scaled(self, factor: f64) -> Rect {
        let scale = |v: f64| (v * factor).round();
        let (x, y) = (scale(f64::from(self.x)), scale(f64::from(self.y)));
        Rect { x: x as i32, y: y as i32, w: scale(f64::from(self.w)) as u32, h: scale(f64::from(self.h)) as u32 }
    }
}
