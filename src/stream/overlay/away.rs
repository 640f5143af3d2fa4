//! The notice that viewers see while the camera is unavailable.

use crate::image::Rgb;
use crate::stream::overlay::{Painter, mix};

const BACKGROUND: [u8; 3] = [0x17, 0x1a, 0x1f];
const BRIGHT: [u8; 3] = [0xe6, 0xe8, 0xea];
const DIM: [u8; 3] = [0x9a, 0xa1, 0xa9];
const FAINT: [u8; 3] = [0x4a, 0x51, 0x5a];
/// The most lines of the reason.
const MAX_REASON_LINES: usize = 3;

/// The text of the notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Away {
    /// True while the camera is being opened for the first time.
    pub starting: bool,
    /// Why it is unavailable.
    pub why: String,
    /// Since when, as text: `14:05`.
    pub since: String,
}

struct TextLine {
    text: String,
    px: u16,
    color: [u8; 3],
    /// The height including the distance to the next line, in pixels.
    height: i64,
}

impl Painter {
    /// Fills the picture with the notice in English and Korean.
    pub fn away(&mut self, rgb: &mut Rgb, away: &Away) {
        rgb.data.as_chunks_mut().0.fill(BACKGROUND);
        let large = (rgb.width / 22).min(rgb.height / 13).clamp(8, 200) as u16;
        let small = (large * 5 / 8).max(8);
        let room = i64::from(rgb.width) * 9 / 10;
        let (title, korean) = if away.starting {
            ("The camera is starting", "카메라를 시작하는 중입니다")
        } else {
            ("The camera is not available", "카메라를 사용할 수 없습니다")
        };
        let line =
            |text: &str, px: u16, color, height: u16| TextLine { text: text.into(), px, color, height: height.into() };
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

    /// The text in lines of at most `room` pixels, cut with an ellipsis after the last allowed line.
    pub(super) fn wrapped(&mut self, text: &str, px: u16, room: i64) -> Vec<String> {
        let mut lines = vec![String::new()];
        for c in text.chars() {
            let Some(line) = lines.last_mut() else { break };
            line.push(c);
            if self.text_width(px, line) <= room {
                continue;
            }
            // A line breaks at its last space, or where it is full when it has none.
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

/// Draws a camera symbol of `height` pixels, centred at `x` with its top at `y`: a rounded body and a lens.
fn camera(rgb: &mut Rgb, x: f64, y: f64, height: f64) {
    let (half_width, half_height) = (height * 0.7, height / 2.0);
    let (line, corner) = ((height / 14.0).max(1.0), height / 6.0);
    let center_y = y + half_height;
    let area = crate::stream::overlay::Area {
        left: (x - half_width) as i64 - 1,
        top: y as i64,
        right: (x + half_width) as i64 + 2,
        bottom: (y + height) as i64 + 2,
    };
    let area = area.within(crate::stream::overlay::Area::of(rgb));
    for (row, pixels) in area.lines(rgb).enumerate() {
        for (column, pixel) in pixels.iter_mut().enumerate() {
            let (dx, dy) = ((area.left as f64 + column as f64 - x).abs(), area.top as f64 + row as f64 - center_y);
            // The distances to the outlines; a pixel is covered by its share within half a line's width.
            let (over_x, over_y) = (dx - half_width + line + corner, dy.abs() - half_height + line + corner);
            let body = length(over_x.max(0.0), over_y.max(0.0)) + over_x.max(over_y).min(0.0) - corner;
            let lens = length(dx, dy) - height * 0.22;
            let share = (line / 2.0 + 0.5 - body.abs().min(lens.abs())).clamp(0.0, 1.0);
            *pixel = mix(*pixel, FAINT, (share * 255.0) as u8);
        }
    }
}

/// Replaces `f64::hypot`, which needs glibc 2.35; releases must run with 2.34 (tools/lean).
fn length(x: f64, y: f64) -> f64 {
    (x * x + y * y).sqrt()
}
