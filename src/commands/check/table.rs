//! The gallery as a table: one line per picture, no wider than a terminal.

use crate::roster::PictureReport;

/// The most columns of a line, unless a single word is longer.
const WIDTH: usize = 100;
/// The columns of a file name.
const NAME: usize = 22;
const HEAD: &str = "    picture                face px  sharp  light    own  verdict\n";

/// The table of all pictures.
#[derive(Default)]
pub struct TextTable(String);

impl TextTable {
    /// Adds the pictures of a folder.
    pub fn section(&mut self, title: &str, pictures: &[PictureReport], hint: Option<&str>) {
        self.0.push_str(&format!("\n  {title}\n"));
        for picture in pictures {
            let verdict = match (&picture.skipped, &picture.note) {
                (Some(reason), _) => format!("skipped: {reason}"),
                (None, Some(note)) => format!("used, but {note}"),
                (None, None) => "good".to_owned(),
            };
            self.0.push_str(&paragraph(&row(picture), &verdict));
        }
        if let Some(hint) = hint {
            self.0.push_str(&paragraph("    hint: ", hint));
        }
    }

    /// The table with its head and a legend; empty without pictures.
    pub fn text(self) -> String {
        if self.0.is_empty() {
            return self.0;
        }
        let legend = "sharp: sharpness of the face, 0 smooth, about 1 with fine detail; light: its mean brightness, 0 to 255; own: \
                      distance to the closest other picture of this person";
        format!("\n{HEAD}{}\n{}\n", self.0, paragraph("    ", legend))
    }
}

/// The columns of a picture before its verdict.
fn row(picture: &PictureReport) -> String {
    let name = picture.file.split_once('/').map_or(picture.file.as_str(), |(_, name)| name);
    let name = cut(name, NAME);
    let padding = " ".repeat(NAME - columns(&name));
    let numbers = match &picture.face {
        None => format!("{:>7}  {:>5}  {:>5}  {:>5}", "-", "-", "-", "-"),
        Some(face) => {
            let own = face.nearest_own.map_or("-".to_owned(), |own| format!("{own:.2}"));
            format!("{:>7}  {:>5.3}  {:>5.0}  {own:>5}", face.width_px, face.sharpness, face.brightness)
        }
    };
    format!("    {name}{padding} {numbers}  ")
}

/// `text` after `lead`, wrapped between words. Further lines are indented to the beginning of the text.
pub fn paragraph(lead: &str, text: &str) -> String {
    let indent = columns(lead);
    let (mut out, mut at) = (lead.to_owned(), indent);
    for (number, word) in text.split(' ').enumerate() {
        if number > 0 && at + 1 + columns(word) > WIDTH {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            at = indent;
        } else if number > 0 {
            out.push(' ');
            at += 1;
        }
        out.push_str(word);
        at += columns(word);
    }
    out.push('\n');
    out
}

/// `text` in at most `most` columns, shortened in the middle so that the file extension remains.
fn cut(text: &str, most: usize) -> String {
    if columns(text) <= most {
        return text.to_owned();
    }
    let (half, chars) = ((most - 1) / 2, text.chars().collect::<Vec<_>>());
    let fitting = |chars: &mut dyn Iterator<Item = &char>| {
        let mut room = half;
        let fits = chars.take_while(|c| room.checked_sub(width(**c)).inspect(|left| room = *left).is_some());
        fits.copied().collect::<Vec<char>>()
    };
    let (first, last) = (fitting(&mut chars.iter()), fitting(&mut chars.iter().rev()));
    first.into_iter().chain(['\u{2026}']).chain(last.into_iter().rev()).collect()
}

fn columns(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// Hangul, kana and Han take two columns in a terminal.
fn width(c: char) -> usize {
    let wide = matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{20000}'..='\u{3fffd}');
    1 + usize::from(wide)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roster::FaceNumbers;

    /// The column at which the verdict begins.
    const VERDICT: usize = 57;

    fn table() -> String {
        let face = FaceNumbers { width_px: 130, sharpness: 0.051, brightness: 142.4, nearest_own: Some(0.312) };
        let used = PictureReport { file: "민호/1.jpg".into(), skipped: None, note: None, face: Some(face) };
        let long = "민호/민호가 바닷가에서 찍은 아주 긴 이름의 사진.jpg";
        let mut table = TextTable::default();
        let pictures = [used, PictureReport::skipped(long, "too blurred ".repeat(12))];
        table.section("민호: 1 of 2 used", &pictures, Some("only one picture"));
        table.text()
    }

    #[test]
    fn the_columns_are_aligned_in_every_script() {
        let text = table();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(columns(HEAD.split("verdict").next().unwrap()), VERDICT);
        assert_eq!(lines[4], "    1.jpg                      130  0.051    142   0.31  good");
        let (before, _) = lines[5].split_once("skipped").unwrap();
        assert!(columns(before) == VERDICT && before.contains('\u{2026}') && before.contains("사진.jpg"), "{before}");
        assert!(lines[6].starts_with(&" ".repeat(VERDICT)) && !lines[6].trim().is_empty());
    }

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        let text = table() + &paragraph("warning: ", &"바닷가에서 ".repeat(40));
        assert!(text.lines().all(|line| columns(line) <= WIDTH), "{text}");
        assert!(text.lines().any(|line| columns(line) > WIDTH - 12), "{text}");
    }
}
