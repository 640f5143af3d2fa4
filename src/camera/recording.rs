//! Recordings of a camera: the files that `probe --record` writes and `replay:FILE` reads. docs/RECORDING.md has the
//! layout. A recording is untrusted input: every number is checked before it is used, and one entry is in memory at a
//! time.

use crate::image::check_size;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The largest recording in bytes.
pub const MAX_BYTES: u64 = 1 << 30;
/// The most entries of a recording.
const MAX_ENTRIES: u64 = 1_000_000;
/// The largest buffer of a camera in bytes.
const MAX_BUFFER: u32 = 128 << 20;
/// The longest recording.
const MAX_US: u64 = 24 * 3600 * 1_000_000;
/// The largest error number of the kernel.
const MAX_ERRNO: u32 = 4095;
const MAGIC: [u8; 8] = *b"NAMECAMR";
const VERSION: u32 = 1;
const HEAD_BYTES: usize = 112;
const ENTRY_BYTES: usize = 48;

/// The head of a recording: the camera and its mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub fourcc: [u8; 4],
    pub width: u32,
    pub height: u32,
    /// The bytes from one line to the next; 0 for JPEG.
    pub stride: u32,
    /// The time between two frames in seconds, as a fraction.
    pub interval: (u32, u32),
    /// The bytes of each buffer of the driver.
    pub buffer_bytes: u32,
    /// CLOCK_MONOTONIC at the start, in microseconds.
    pub started_us: u64,
    pub card: String,
    pub driver: String,
}

/// The kind of an answer of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// DQBUF returned a buffer.
    Buffer = 1,
    /// poll returned nothing in time.
    TimeOut = 2,
    /// poll failed; the value is the error.
    PollError = 3,
    /// poll returned without a buffer; the value is `revents`.
    Polled = 4,
    /// DQBUF failed; the value is the error.
    DequeueError = 5,
    /// QBUF failed; the value is the error.
    EnqueueError = 6,
    /// DQBUF had no further buffer.
    Empty = 7,
}

const KINDS: [Kind; 7] =
    [Kind::Buffer, Kind::TimeOut, Kind::PollError, Kind::Polled, Kind::DequeueError, Kind::EnqueueError, Kind::Empty];

/// An answer of the kernel. The bytes of a buffer follow it in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub kind: Kind,
    /// The time of the answer, in microseconds since the start of the recording.
    pub at_us: u64,
    /// How many bytes of the buffer follow the entry.
    pub bytes: u32,
    /// For a buffer `bytesused`, which the driver may set wrongly; for other answers the value that [`Kind`] describes.
    pub value: u32,
    pub sequence: u32,
    pub flags: u32,
    pub field: u32,
    /// The time stamp of the driver.
    pub seconds: i64,
    pub micros: i64,
}

impl Entry {
    /// An answer other than a buffer.
    pub fn other(kind: Kind, at_us: u64, value: u32) -> Entry {
        Entry { kind, at_us, bytes: 0, value, sequence: 0, flags: 0, field: 0, seconds: 0, micros: 0 }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|part| part.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|part| part.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn text_at(bytes: &[u8], at: usize, most: usize) -> String {
    let text = bytes.get(at..at + most).unwrap_or_default();
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).collect()
}

impl Head {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.fourcc);
        let numbers = [self.width, self.height, self.stride, self.interval.0, self.interval.1, self.buffer_bytes];
        bytes.extend(numbers.into_iter().flat_map(u32::to_le_bytes));
        bytes.extend(self.started_us.to_le_bytes());
        for (text, most) in [(&self.card, 32), (&self.driver, 16)] {
            let end = bytes.len() + most;
            bytes.extend(text.bytes().take(most));
            bytes.resize(end, 0);
        }
        bytes.resize(HEAD_BYTES, 0);
        bytes
    }

    fn of(bytes: &[u8; HEAD_BYTES]) -> Result<Head, String> {
        if bytes[..8] != MAGIC {
            return Err("it is no recording of namecam probe --record".to_owned());
        }
        let version = u32_at(bytes, 8);
        if version != VERSION {
            return Err(format!("it is of version {version}, and this namecam reads version {VERSION}"));
        }
        let head = Head {
            fourcc: u32_at(bytes, 12).to_le_bytes(),
            width: u32_at(bytes, 16),
            height: u32_at(bytes, 20),
            stride: u32_at(bytes, 24),
            interval: (u32_at(bytes, 28), u32_at(bytes, 32)),
            buffer_bytes: u32_at(bytes, 36),
            started_us: u64_at(bytes, 40),
            card: text_at(bytes, 48, 32),
            driver: text_at(bytes, 80, 16),
        };
        check_size(head.width, head.height)?;
        if !(1..=MAX_BUFFER).contains(&head.buffer_bytes) {
            return Err(format!("its buffers have {} bytes; 1 to {MAX_BUFFER} are possible", head.buffer_bytes));
        }
        if head.stride > head.buffer_bytes {
            return Err(format!("a line has {} bytes, more than a buffer", head.stride));
        }
        Ok(head)
    }
}

impl Entry {
    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![self.kind as u8, 0, 0, 0];
        bytes.extend(self.bytes.to_le_bytes());
        bytes.extend(self.at_us.to_le_bytes());
        bytes.extend([self.value, self.sequence, self.flags, self.field].into_iter().flat_map(u32::to_le_bytes));
        bytes.extend([self.seconds, self.micros].into_iter().flat_map(i64::to_le_bytes));
        bytes
    }

    fn of(bytes: &[u8; ENTRY_BYTES], head: &Head, before_us: u64) -> Result<Entry, String> {
        let kind = KINDS.into_iter().find(|kind| *kind as u32 == u32_at(bytes, 0));
        let kind = kind.ok_or_else(|| format!("an entry has the unknown kind {}", u32_at(bytes, 0)))?;
        let entry = Entry {
            kind,
            bytes: u32_at(bytes, 4),
            at_us: u64_at(bytes, 8),
            value: u32_at(bytes, 16),
            sequence: u32_at(bytes, 20),
            flags: u32_at(bytes, 24),
            field: u32_at(bytes, 28),
            seconds: u64_at(bytes, 32).cast_signed(),
            micros: u64_at(bytes, 40).cast_signed(),
        };
        let most = if kind == Kind::Buffer { head.buffer_bytes.min(entry.value) } else { 0 };
        if entry.bytes > most {
            return Err(format!("an entry has {} bytes of a buffer, and at most {most} are possible", entry.bytes));
        }
        if entry.at_us < before_us || entry.at_us > MAX_US {
            return Err(format!("an entry is at {} us, after one at {before_us} us", entry.at_us));
        }
        let is_error = matches!(kind, Kind::PollError | Kind::DequeueError | Kind::EnqueueError);
        if is_error && !(1..=MAX_ERRNO).contains(&entry.value) {
            return Err(format!("an entry has the impossible error {}", entry.value));
        }
        Ok(entry)
    }
}

/// Writes a recording. When a write fails, the file is cut back to the last whole entry.
pub struct Writer {
    file: File,
    /// The bytes of whole entries.
    whole: u64,
    entries: u64,
}

impl Writer {
    /// Writes the head into an empty file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn new(mut file: File, head: &Head) -> io::Result<Writer> {
        file.write_all(&head.to_bytes())?;
        Ok(Writer { file, whole: HEAD_BYTES as u64, entries: 0 })
    }

    /// Adds an entry and the bytes of its buffer. Returns false, without adding it, when the recording has reached its
    /// largest size.
    ///
    /// # Errors
    /// The disk is full, or the file cannot be written. Then the entry is not in the file.
    pub fn add(&mut self, entry: Entry, buffer: &[u8]) -> io::Result<bool> {
        let bytes = (ENTRY_BYTES + buffer.len()) as u64;
        if self.whole + bytes > MAX_BYTES || self.entries >= MAX_ENTRIES {
            return Ok(false);
        }
        let written = self.file.write_all(&entry.to_bytes()).and_then(|()| self.file.write_all(buffer));
        if let Err(error) = written {
            self.take_back()?;
            return Err(error);
        }
        (self.whole, self.entries) = (self.whole + bytes, self.entries + 1);
        Ok(true)
    }

    /// Removes the part of an entry that was written before a write failed.
    fn take_back(&mut self) -> io::Result<()> {
        self.file.set_len(self.whole)
    }

    /// Writes the file to the disk, and returns its size in bytes.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(self) -> io::Result<u64> {
        self.file.sync_all()?;
        Ok(self.whole)
    }
}

/// Reads a recording, entry by entry.
pub struct Reader<R> {
    from: R,
    pub head: Head,
    /// The offset of the next entry. `end` is the size of the file.
    at: u64,
    end: u64,
    /// The unread bytes of a buffer before the next entry.
    unread: u32,
    before_us: u64,
    entries: u64,
    /// True when the last entry is not whole.
    is_cut: bool,
}

impl Reader<BufReader<File>> {
    /// Opens a file and checks all its entries.
    ///
    /// # Errors
    /// The message says where the file is wrong.
    pub fn open(path: &Path) -> Result<Self, String> {
        let told = |why: String| format!("replay: {}: {why}", path.display());
        // O_NONBLOCK: opening a FIFO does not wait for its writer.
        let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
        let file = opened.map_err(|error| told(error.to_string()))?;
        let meta = file.metadata().map_err(|error| told(error.to_string()))?;
        if !meta.is_file() {
            return Err(told("it is no file".to_owned()));
        }
        let mut reader = Reader::new(BufReader::new(file)).map_err(told)?;
        reader.check().map_err(told)?;
        if reader.is_cut {
            log::warn!("{}", told("its last entry is cut; what is before it is played".to_owned()));
        }
        Ok(reader)
    }
}

impl<R: Read + Seek> Reader<R> {
    /// Reads the head.
    pub fn new(mut from: R) -> Result<Reader<R>, String> {
        let end = from.seek(SeekFrom::End(0)).map_err(|error| error.to_string())?;
        if end > MAX_BYTES {
            return Err(format!("it has {end} bytes; a recording has at most {MAX_BYTES}"));
        }
        from.rewind().map_err(|error| error.to_string())?;
        let mut bytes = [0; HEAD_BYTES];
        from.read_exact(&mut bytes).map_err(|error| ended(&error, 0, end))?;
        let head = Head::of(&bytes).map_err(|why| format!("byte 0: {why}"))?;
        Ok(Reader { from, head, at: HEAD_BYTES as u64, end, unread: 0, before_us: 0, entries: 0, is_cut: false })
    }

    /// Reads all entries, and goes back to the first entry.
    fn check(&mut self) -> Result<(), String> {
        while self.next()?.is_some() {}
        self.rewind()
    }

    /// Goes back to the first entry.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn rewind(&mut self) -> Result<(), String> {
        self.from.seek(SeekFrom::Start(HEAD_BYTES as u64)).map_err(|error| error.to_string())?;
        (self.at, self.unread, self.before_us, self.entries) = (HEAD_BYTES as u64, 0, 0, 0);
        Ok(())
    }

    /// The next entry; `None` at the end.
    ///
    /// # Errors
    /// The message says where the file is wrong.
    pub fn next(&mut self) -> Result<Option<Entry>, String> {
        let (at, end) = (self.at, self.end);
        self.from.seek_relative(self.unread.into()).map_err(|error| error.to_string())?;
        self.unread = 0;
        if at == end {
            return Ok(None);
        }
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(format!("byte {at}: it has more than {MAX_ENTRIES} entries"));
        }
        if end - at < ENTRY_BYTES as u64 {
            return Ok(self.cut());
        }
        let mut bytes = [0; ENTRY_BYTES];
        self.from.read_exact(&mut bytes).map_err(|error| ended(&error, at, end))?;
        let entry = Entry::of(&bytes, &self.head, self.before_us).map_err(|why| format!("byte {at}: {why}"))?;
        let after = at + ENTRY_BYTES as u64 + u64::from(entry.bytes);
        if after > end {
            return Ok(self.cut());
        }
        (self.at, self.unread, self.before_us) = (after, entry.bytes, entry.at_us);
        Ok(Some(entry))
    }

    /// Ends the recording before an incomplete last entry: the program was stopped while it recorded, or the file was
    /// not copied to its end. The entries before it are used.
    fn cut(&mut self) -> Option<Entry> {
        (self.at, self.is_cut) = (self.end, true);
        None
    }

    /// Reads the buffer of the last entry into the beginning of `to`, which has room for it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn buffer(&mut self, to: &mut [u8]) -> Result<(), String> {
        let to = to.get_mut(..self.unread as usize).ok_or("its buffer is too large")?;
        self.from.read_exact(to).map_err(|error| error.to_string())?;
        self.unread = 0;
        Ok(())
    }
}

fn ended(error: &io::Error, at: u64, end: u64) -> String {
    if error.kind() != ErrorKind::UnexpectedEof {
        return error.to_string();
    }
    format!("byte {at}: the file is cut at {end} bytes; copy it again")
}

/// Reads any bytes as a recording, each entry with its buffer.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let Ok(mut reader) = Reader::new(io::Cursor::new(bytes)) else { return };
    let mut buffer = vec![0; bytes.len()];
    while let Ok(Some(entry)) = reader.next() {
        // `bytes` of an entry is never more than the file has.
        if reader.buffer(&mut buffer[..entry.bytes as usize]).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
