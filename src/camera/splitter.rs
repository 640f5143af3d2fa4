//! [`Splitter`]: splits a stream of bytes into JPEGs.

use crate::image::jpeg::{Step, Walk, find_soi};

/// The most bytes of a picture; a larger one is dropped.
const MAX_PICTURE: usize = 32 << 20;
/// The most bytes of text between pictures that count as the head of a part of a multipart stream.
const MAX_PART_HEAD: usize = 1024;
/// The most damaged pictures that wait to be reported.
const MAX_BROKEN: u32 = 1000;
/// The most bytes of text before the first picture that are kept, to be shown when no picture follows.
const MAX_FIRST_TEXT: usize = 300;

/// Bytes that belong to no picture are reported until this many whole pictures have come after them.
const JUNK_COUNTS_FOR: u64 = 1000;

/// Finds the pictures in a stream and keeps the newest one.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    /// The bytes that are not yet split: the reader appends bytes, and [`Splitter::split`] consumes them.
    pub bytes: Vec<u8>,
    /// The number of bytes that have been split. They are removed once per read, because each removal moves all the
    /// others.
    from: usize,
    /// The position in the picture that begins at `from`; `None` between two pictures.
    walk: Option<Walk>,
    newest: Option<Vec<u8>>,
    dropped: u64,
    broken: u32,
    why: &'static str,
    /// The bytes of text since the last picture.
    text: usize,
    /// True after a damaged picture, up to the next whole one, so that the rest of the damaged picture is not counted
    /// again.
    damaged: bool,
    /// The number of whole pictures.
    whole: u64,
    /// True when the first bytes were no picture.
    junk_first: bool,
    /// The number of whole pictures when bytes that belong to no picture came last, after a whole one.
    junk_at: Option<u64>,
    /// The beginning of the text before the first picture.
    first_text: Vec<u8>,
}

impl Splitter {
    /// Takes the newest whole picture, with the number of older ones that were dropped.
    pub fn newest(&mut self) -> Option<(Vec<u8>, u64)> {
        Some((self.newest.take()?, std::mem::take(&mut self.dropped)))
    }

    /// Takes the reason for a damaged picture that was not reported yet.
    pub fn take_broken(&mut self) -> Option<&'static str> {
        self.broken = self.broken.checked_sub(1)?;
        Some(self.why)
    }

    /// True when the stream so far contains no pictures, whole or damaged.
    pub fn no_pictures(&self) -> bool {
        self.junk_first && self.whole == 0
    }

    /// True when bytes that belong to no picture came between two of the last pictures.
    pub fn has_junk_between(&self) -> bool {
        self.junk_at.is_some_and(|at| self.whole - at < JUNK_COUNTS_FOR)
    }

    /// The number of whole pictures so far.
    pub fn whole(&self) -> u64 {
        self.whole
    }

    /// The text with which the stream began, when no picture followed.
    pub fn text_without_pictures(&self) -> &[u8] {
        if self.whole == 0 && !self.junk_first { &self.first_text } else { &[] }
    }

    /// Splits the bytes that were read.
    pub fn split(&mut self) {
        while self.step() {}
        self.bytes.drain(..self.from);
        if let Some(walk) = &mut self.walk {
            walk.moved(self.from);
        }
        self.from = 0;
    }

    /// Advances to the next start or end of a picture; false when the bytes end before it.
    fn step(&mut self) -> bool {
        let Some(walk) = &mut self.walk else { return self.find_start() };
        match walk.go(&self.bytes) {
            Step::More | Step::Scan if self.bytes.len() - self.from > MAX_PICTURE => {
                self.give_up("a picture over 32 MiB", self.bytes.len());
            }
            Step::More | Step::Scan => return false,
            Step::Broken(why) => {
                let retry = walk.retry();
                self.give_up(why, retry);
            }
            Step::End(end) => {
                let picture = self.take(end);
                self.dropped += u64::from(self.newest.replace(picture).is_some());
                (self.walk, self.text, self.damaged) = (None, 0, false);
                self.whole += 1;
            }
        }
        true
    }

    /// Takes the bytes up to `end`.
    fn take(&mut self, end: usize) -> Vec<u8> {
        let rest = self.bytes.len() - end;
        if rest > end - self.from {
            let picture = self.bytes[self.from..end].to_vec();
            self.from = end;
            return picture;
        }
        // The picture keeps its memory; only the bytes of the next one are moved.
        let mut next = Vec::with_capacity(end.max(rest));
        next.extend_from_slice(&self.bytes[end..]);
        self.bytes.truncate(end);
        self.bytes.drain(..self.from);
        self.from = 0;
        std::mem::replace(&mut self.bytes, next)
    }

    /// Skips the bytes before the next picture. Returns true when a picture begins.
    fn find_start(&mut self) -> bool {
        let start = find_soi(&self.bytes, self.from);
        // The last byte may be the first half of an SOI marker.
        let half = usize::from(self.bytes.len() > self.from && self.bytes.ends_with(&[0xFF]));
        let end = start.unwrap_or(self.bytes.len() - half);
        let between = &self.bytes[self.from..end];
        let is_text = |byte: &u8| matches!(byte, b'\t' | b'\r' | b'\n' | b' '..=b'~');
        self.text += between.iter().filter(|byte| is_text(byte)).count();
        let junk = between.iter().any(|byte| *byte != 0 && !is_text(byte)) || self.text > MAX_PART_HEAD;
        if self.whole == 0 && !self.damaged {
            self.junk_first |= junk;
            let room = MAX_FIRST_TEXT.saturating_sub(self.first_text.len());
            self.first_text.extend(between.iter().take(room));
        } else {
            self.junk_at = Some(self.whole).filter(|_| junk && !self.damaged).or(self.junk_at);
        }
        self.from = end;
        self.walk = start.map(Walk::new);
        start.is_some()
    }

    /// Counts a damaged picture, and continues at `from`.
    fn give_up(&mut self, why: &'static str, from: usize) {
        self.tell(why);
        (self.from, self.walk) = (from, None);
    }

    fn tell(&mut self, why: &'static str) {
        self.why = why;
        self.damaged = true;
        self.broken = (self.broken + 1).min(MAX_BROKEN);
    }
}

/// Splits any bytes, in pieces of any size, and checks that each picture begins and ends as a JPEG does.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    let mut splitter = Splitter::default();
    for piece in bytes.chunks(usize::from(*piece).max(1) * 7) {
        splitter.bytes.extend_from_slice(piece);
        splitter.split();
        if let Some((picture, _)) = splitter.newest() {
            assert!(picture.starts_with(b"\xff\xd8") && picture.len() <= MAX_PICTURE);
        }
        splitter.take_broken();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn bytes_that_look_like_starts_and_tiny_pictures_are_split_in_linear_time() {
        let tiny = b"\xFF\xD8\xFF\xC0\0\x0B\x08\0\x08\0\x08\x01\x01\x11\0\xFF\xDA\0\x08\x01\x01\0\0\x3F\0\xFF\xD9";
        for (piece, pictures) in [(&b"\xFF\xD8"[..], 0), (&b"\xFF\xD8\xFF\xE0"[..], 0), (tiny, 100_000)] {
            let (mut splitter, begun) = (Splitter::default(), Instant::now());
            splitter.bytes = piece.repeat(if pictures > 0 { pictures } else { 2 << 20 });
            splitter.split();
            let found = splitter.newest().map_or(0, |(picture, dropped)| {
                assert_eq!(picture, piece);
                dropped as usize + 1
            });
            assert_eq!(found, pictures);
            // If each piece moved all bytes after it, this would take more than a minute.
            assert!(begun.elapsed() < Duration::from_secs(30), "{:?} for {piece:?}", begun.elapsed());
        }
    }
}
