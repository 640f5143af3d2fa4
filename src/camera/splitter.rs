//! [`Splitter`]: JPEGs out of a stream of bytes.

use crate::jpeg::{Step, Walk, find_soi};

/// A picture that is larger than this is given up: no camera has one.
const MAX_PICTURE: usize = 32 << 20;
/// Text between pictures up to this length, bytes, is the head of a multipart stream's part.
const MAX_PART_HEAD: usize = 1024;
/// At most so many broken pictures wait to be told.
const MAX_BROKEN: u32 = 1000;

/// Finds the pictures in a stream and keeps the newest.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    /// What was read and is not yet split: the reader appends, [`Splitter::split`] takes.
    pub bytes: Vec<u8>,
    /// What of `bytes` has been split; moved out of the way once a read, since each move costs as much as all of them.
    from: usize,
    /// In the picture that begins at `from`; `None` between two pictures.
    walk: Option<Walk>,
    newest: Option<Vec<u8>>,
    dropped: u64,
    broken: u32,
    why: &'static str,
    /// Text since the last picture, bytes.
    text: usize,
    /// What stands between these two pictures has been counted as broken.
    told: bool,
    /// A whole picture has come.
    whole: bool,
    /// What came before the first picture was none.
    rubbish_first: bool,
}

impl Splitter {
    /// The newest whole picture that was not taken yet, and how many it left behind.
    pub fn newest(&mut self) -> Option<(Vec<u8>, u64)> {
        Some((self.newest.take()?, std::mem::take(&mut self.dropped)))
    }

    /// One of the broken pictures that were not told yet: what is wrong with it.
    pub fn take_broken(&mut self) -> Option<&'static str> {
        self.broken = self.broken.checked_sub(1)?;
        Some(self.why)
    }

    /// True when what came so far is something else than pictures, whole or broken.
    pub fn no_pictures(&self) -> bool {
        self.rubbish_first && !self.whole
    }

    /// Splits what was read.
    pub fn split(&mut self) {
        while self.step() {}
        self.bytes.drain(..self.from);
        if let Some(walk) = &mut self.walk {
            walk.moved(self.from);
        }
        self.from = 0;
    }

    /// Goes to the next start or end of a picture; false when the bytes end before it.
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
                (self.walk, self.text, self.told, self.whole) = (None, 0, false, true);
            }
        }
        true
    }

    /// The bytes up to `end`.
    fn take(&mut self, end: usize) -> Vec<u8> {
        let rest = self.bytes.len() - end;
        if rest > end - self.from {
            let picture = self.bytes[self.from..end].to_vec();
            self.from = end;
            return picture;
        }
        // The picture keeps the memory it was read into; only what was read of the next one moves.
        let mut next = Vec::with_capacity(end.max(rest));
        next.extend_from_slice(&self.bytes[end..]);
        self.bytes.truncate(end);
        self.bytes.drain(..self.from);
        self.from = 0;
        std::mem::replace(&mut self.bytes, next)
    }

    /// Skips what stands before the next picture; true when one begins.
    fn find_start(&mut self) -> bool {
        let start = find_soi(&self.bytes, self.from);
        // The last byte may be half an SOI.
        let half = usize::from(self.bytes.len() > self.from && self.bytes.ends_with(&[0xFF]));
        let end = start.unwrap_or(self.bytes.len() - half);
        let between = &self.bytes[self.from..end];
        let is_text = |byte: &u8| matches!(byte, b'\t' | b'\r' | b'\n' | b' '..=b'~');
        self.text += between.iter().filter(|byte| is_text(byte)).count();
        let rubbish = between.iter().any(|byte| *byte != 0 && !is_text(byte)) || self.text > MAX_PART_HEAD;
        if rubbish && !self.told {
            self.rubbish_first |= !self.whole;
            self.tell("bytes that are no picture");
        }
        self.from = end;
        self.walk = start.map(Walk::new);
        start.is_some()
    }

    /// Goes on behind a broken picture, at `from`.
    fn give_up(&mut self, why: &'static str, from: usize) {
        self.tell(why);
        (self.from, self.walk) = (from, None);
    }

    fn tell(&mut self, why: &'static str) {
        self.why = why;
        self.told = true;
        self.broken = (self.broken + 1).min(MAX_BROKEN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn rubbish_that_looks_like_starts_and_tiny_pictures_are_split_in_no_time() {
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
            // A minute and more when each piece moves all bytes behind it.
            assert!(begun.elapsed() < Duration::from_secs(5), "{:?} for {piece:?}", begun.elapsed());
        }
    }
}
