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
    /// In the picture that begins at the first of `bytes`; `None` between two pictures.
    walk: Option<Walk>,
    newest: Option<Vec<u8>>,
    dropped: u64,
    broken: u32,
    why: &'static str,
    /// Text since the last picture, bytes.
    text: usize,
    /// What stands between these two pictures has been counted as broken.
    told: bool,
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

    /// Splits what was read.
    pub fn split(&mut self) {
        loop {
            let Some(walk) = &mut self.walk else {
                if self.find_start() {
                    continue;
                }
                return;
            };
            match walk.go(&self.bytes) {
                Step::More | Step::Scan if self.bytes.len() > MAX_PICTURE => {
                    self.give_up("a picture over 32 MiB", self.bytes.len());
                }
                Step::More | Step::Scan => return,
                Step::Broken(why) => {
                    let retry = walk.retry();
                    self.give_up(why, retry);
                }
                Step::End(end) => {
                    // The picture keeps the memory it was read into; only what was read of the next one moves.
                    let mut rest = Vec::with_capacity(end.max(self.bytes.len() - end));
                    rest.extend_from_slice(&self.bytes[end..]);
                    self.bytes.truncate(end);
                    let picture = std::mem::replace(&mut self.bytes, rest);
                    self.dropped += u64::from(self.newest.replace(picture).is_some());
                    (self.walk, self.text, self.told) = (None, 0, false);
                }
            }
        }
    }

    /// Skips what stands before the next picture; true when one begins.
    fn find_start(&mut self) -> bool {
        let start = find_soi(&self.bytes, 0);
        // The last byte may be half an SOI.
        let skipped = start.unwrap_or(self.bytes.len() - usize::from(self.bytes.ends_with(&[0xFF])));
        let between = &self.bytes[..skipped];
        let is_text = |byte: &u8| matches!(byte, b'\t' | b'\r' | b'\n' | b' '..=b'~');
        self.text += between.iter().filter(|byte| is_text(byte)).count();
        let rubbish = between.iter().any(|byte| *byte != 0 && !is_text(byte)) || self.text > MAX_PART_HEAD;
        if rubbish && !self.told {
            self.tell("bytes that are no picture");
        }
        self.bytes.drain(..skipped);
        self.walk = start.map(|_| Walk::new(0));
        start.is_some()
    }

    fn give_up(&mut self, why: &'static str, skipped: usize) {
        self.tell(why);
        self.bytes.drain(..skipped);
        self.walk = None;
    }

    fn tell(&mut self, why: &'static str) {
        self.why = why;
        self.told = true;
        self.broken = (self.broken + 1).min(MAX_BROKEN);
    }
}
