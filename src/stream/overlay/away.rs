//! The notice that viewers see while the camera is unavailable.

use crate::image::Rgb;
use crate::stream::overlay::{MAX_LINE, Painter, shown};

const BACKGROUND: [u8; 3] = [0x17, 0x1a, 0x1f];
const BRIGHT: [u8; 3] = [0xe6, 0xe8, 0xea];
const DIM: [u8; 3] = [0x9a, 0xa1, 0xa9];
/// The most lines of the reason.
const MAX_REASON_LINES: usize = 3;

/// The text of the notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Away {
    /// True while the camera is being opened for the first time.
    pub starting: bool,
    /// Why the camera is unavailable.
    pub why: String,
    /// The time since which the camera is unavailable, as text: `14:05`.
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

        let height: i64 = lines.iter().map(|line| line.height).sum();
        let mut y = ((i64::from(rgb.height) - height) / 2).max(0);
        for line in lines {
            let x = (i64::from(rgb.width) - self.text_width(line.px, &line.text)) / 2;
            self.text(rgb, x as i32, y as i32, line.px, line.color, &line.text);
            y += line.height;
        }
    }

    /// The text in lines of at most `room` pixels, cut with an ellipsis after the last allowed line.
    pub(super) fn wrapped(&mut self, text: &str, px: u16, room: i64) -> Vec<String> {
        let mut rest = shown(text, MAX_REASON_LINES * MAX_LINE);
        let mut lines = Vec::new();
        while lines.len() < MAX_REASON_LINES {
            let whole = self.fonts.line(&rest, px);
            if whole.width <= room {
                break;
            }
            if lines.len() + 1 == MAX_REASON_LINES {
                rest = self.cut(&rest, px, room);
                break;
            }
            let fitting = whole.cuts.partition_point(|(_, width)| *width <= room as f32);
            let full = fitting.checked_sub(1).and_then(|at| whole.cuts.get(at)).map_or(rest.len(), |(end, _)| *end);
            // A line breaks at its last space, or at its end when it has no space.
            let at = rest[..full].rfind(' ').filter(|at| *at > 0).unwrap_or(full);
            let next = rest.split_off(at).trim_start().to_owned();
            lines.push(std::mem::replace(&mut rest, next));
        }
        lines.push(rest);
        lines
    }
}
