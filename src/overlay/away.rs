//! The picture that viewers see while the camera is away.

use super::{Painter, mix};
use crate::pixels::Rgb;

const BACKGROUND: [u8; 3] = [0x17, 0x1a, 0x1f];
const BRIGHT: [u8; 3] = [0xe6, 0xe8, 0xea];
const DIM: [u8; 3] = [0x9a, 0xa1, 0xa9];
const FAINT: [u8; 3] = [0x4a, 0x51, 0x5a];
/// The reason may take so many lines.
const MAX_REASON_LINES: usize = 3;

/// What there is to say about a camera that gives no pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Away {
    /// True when it has not given any yet because it is only just being opened.
    pub starting: bool,
    /// Why it is away.
    pub why: String,
    /// Since when, in words: `14:05`.
    pub since: String,
}

struct Line {
    text: String,
    px: u16,
    color: [u8; 3],
    /// Height with the distance to the next line, pixels.
    height: i64,
}

impl Painter {
    /// Fills the picture with what there is to say, calmly, in English and Korean.
    pub fn away(&mut self, rgb: &mut Rgb, away: &Away) {
        rgb.data.as_chunks_mut().0.fill(BACKGROUND);
        let large = (rgb.width / 22).min(rgb.height / 13).clamp(8, 200) as u16;
        let small = (large * 5 / 8).max(8);
        let room = i64::from(rgb.width) * 9 / 10;
        let (title, korean) = if away.starting {
            ("The camera is starting", "카메라를 켜는 중입니다")
        } else {
            ("The camera is away", "카메라를 찾을 수 없습니다")
        };
        let line =
            |text: &str, px: u16, color, height: u16| Line { text: text.into(), px, color, height: height.into() };
        let mut lines = vec![line(title, large, BRIGHT, large * 3 / 2)];
        if !self.lacks(large, korean) {
            lines.push(line(korean, large * 3 / 4, DIM, large * 3 / 2));
        }
        if !away.starting {
            let reason = self.wrapped(&away.why, small, room);
            lines.extend(reason.iter().map(|text| line(text, small, DIM, small * 3 / 2)));
            lines.push(line(&format!("since {}", away.since), small, DIM, small * 3 / 2));
        }

        let icon = i64::from(large) * 2;
        let height: i64 = lines.iter().map(|line| line.height).sum();
        let mut y = ((i64::from(rgb.height) - height - icon) / 2).max(0);
        camera(rgb, f64::from(rgb.width) / 2.0, y as f64, f64::from(large) * 1.4);
        y += icon;
        for line in lines {
            let x = (i64::from(rgb.width) - self.text_width(line.px, &line.text)) / 2;
            self.text(rgb, x as i32, y as i32, line.px, line.color, &line.text);
            y += line.height;
        }
    }

    /// The text in lines of at most `room` pixels, cut with an ellipsis where it takes too many.
    pub(super) fn wrapped(&mut self, text: &str, px: u16, room: i64) -> Vec<String> {
        let mut lines = vec![String::new()];
        for c in text.chars() {
            let Some(line) = lines.last_mut() else { break };
            line.push(c);
            if self.text_width(px, line) <= room {
                continue;
            }
            // A line breaks at its last space, or, in a long path, where it is full.
            let at = line.rfind(' ').filter(|at| *at > 0).unwrap_or(line.len() - c.len_utf8());
            let rest = line.split_off(at).trim_start().to_owned();
            if lines.len() == MAX_REASON_LINES {
                if let Some(last) = lines.last_mut() {
                    last.pop();
                    last.push('…');
                }
                return lines;
            }
            lines.push(rest);
        }
        lines
    }
}

/// A small camera, `height` pixels high, centred at `x`, its top at `y`: a rounded body and a lens.
fn camera(rgb: &mut Rgb, x: f64, y: f64, height: f64) {
    let (half_width, half_height) = (height * 0.7, height / 2.0);
    let (line, corner) = ((height / 14.0).max(1.0), height / 6.0);
    let center_y = y + half_height;
    let area = super::Area {
        left: (x - half_width) as i64 - 1,
        top: y as i64,
        right: (x + half_width) as i64 + 2,
        bottom: (y + height) as i64 + 2,
    };
    let area = area.within(super::Area::of(rgb));
    for (row, pixels) in area.lines(rgb).enumerate() {
        for (column, pixel) in pixels.iter_mut().enumerate() {
            let (dx, dy) = ((area.left as f64 + column as f64 - x).abs(), area.top as f64 + row as f64 - center_y);
            // Distances to the outlines; a pixel is covered as far as it lies within half a line of one.
            let (over_x, over_y) = (dx - half_width + line + corner, dy.abs() - half_height + line + corner);
            let body = length(over_x.max(0.0), over_y.max(0.0)) + over_x.max(over_y).min(0.0) - corner;
            let lens = length(dx, dy) - height * 0.22;
            let share = (line / 2.0 + 0.5 - body.abs().min(lens.abs())).clamp(0.0, 1.0);
            *pixel = mix(*pixel, FAINT, (share * 255.0) as u8);
        }
    }
}

/// Not `f64::hypot`, which needs glibc 2.35: what ships must run with 2.34 (tools/lean).
fn length(x: f64, y: f64) -> f64 {
    (x * x + y * y).sqrt()
}
