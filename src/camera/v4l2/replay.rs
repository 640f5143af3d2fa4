//! `replay:FILE`: a [`Kernel`] that gives the answers of a recording. The queue calls it like a device, so the queue
//! meets the same buffers, errors and pauses in the same order.

use super::{CAPTURE, CaptureStream, Kernel, monotonic_now, start_mode, sys, vidioc};
use crate::camera::Source;
use crate::camera::negotiate::{Choice, Interval};
use crate::camera::recording::{Entry, Head, Kind, Reader};
use crate::config;
use crate::image::Format;
use anyhow::{Result, anyhow};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::c_void;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// The shortest time of one round of a recording that is played without end.
const MIN_ROUND: Duration = Duration::from_millis(10);

struct Replay {
    head: Head,
    begins_again: bool,
    deck: RefCell<Deck>,
}

struct Deck {
    reader: Reader<BufReader<File>>,
    /// The entry for the next answer.
    next: Option<Entry>,
    /// CLOCK_MONOTONIC at the start of the current round.
    began: Duration,
    last_us: u64,
    /// The buffers that the driver has.
    queued: VecDeque<u32>,
    mapped: Vec<(*mut u8, usize)>,
}

impl Deck {
    fn read_next(&mut self) -> io::Result<()> {
        self.next = self.reader.next().map_err(io::Error::other)?;
        self.last_us = self.next.map_or(self.last_us, |entry| entry.at_us);
        Ok(())
    }

    fn due(&self, entry: &Entry) -> Duration {
        self.began + Duration::from_micros(entry.at_us)
    }

    /// Writes the bytes of `entry`, which is a buffer, into a buffer of the queue. `None` when no buffer is queued.
    fn fill(&mut self, entry: &Entry, started_us: u64) -> io::Result<Option<sys::v4l2_buffer>> {
        let Some(index) = self.queued.pop_front() else { return Ok(None) };
        let &(start, length) = self.mapped.get(index as usize).ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: mapped below with `length` bytes, and the queue reads only dequeued buffers.
        let bytes = unsafe { std::slice::from_raw_parts_mut(start, length) };
        self.reader.buffer(bytes).map_err(io::Error::other)?;
        let mut buffer = sys::v4l2_buffer {
            index,
            type_: CAPTURE,
            bytesused: entry.value,
            sequence: entry.sequence,
            flags: entry.flags,
            field: entry.field,
            ..super::zeroed()
        };
        let stamp = moved_stamp(entry, started_us, self.began);
        (buffer.timestamp.tv_sec, buffer.timestamp.tv_usec) = stamp;
        Ok(Some(buffer))
    }
}

/// The time stamp of a buffer, moved from the time of the recording to the time of the replay. A time stamp that is not
/// monotonic or not valid stays unchanged.
fn moved_stamp(entry: &Entry, started_us: u64, began: Duration) -> (i64, i64) {
    let is_monotonic = entry.flags & sys::V4L2_BUF_FLAG_TIMESTAMP_MASK == sys::V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    if !is_monotonic || !(0..1_000_000).contains(&entry.micros) {
        return (entry.seconds, entry.micros);
    }
    let micros = i128::from(entry.seconds) * 1_000_000 + i128::from(entry.micros);
    let moved = micros - i128::from(started_us) + began.as_micros() as i128;
    match i64::try_from(moved) {
        Ok(moved) => (moved.div_euclid(1_000_000), moved.rem_euclid(1_000_000)),
        Err(_) => (entry.seconds, entry.micros),
    }
}

fn errno(entry: &Entry) -> io::Error {
    io::Error::from_raw_os_error(entry.value.try_into().unwrap_or(libc::EIO))
}

fn no_more() -> io::Error {
    io::ErrorKind::WouldBlock.into()
}

impl Replay {
    fn dequeue(&self) -> io::Result<sys::v4l2_buffer> {
        let mut deck = self.deck.borrow_mut();
        let entry = deck.next.filter(|entry| entry.kind == Kind::Empty || deck.due(entry) <= monotonic_now());
        let entry = entry.ok_or_else(no_more)?;
        let answer = match entry.kind {
            Kind::Buffer => deck.fill(&entry, self.head.started_us)?.ok_or_else(no_more),
            Kind::DequeueError => Err(errno(&entry)),
            Kind::Empty => Err(no_more()),
            // The entry is the answer to another call.
            _ => return Err(no_more()),
        };
        deck.read_next()?;
        answer
    }

    fn enqueue(&self, index: u32) -> io::Result<()> {
        let mut deck = self.deck.borrow_mut();
        if let Some(entry) = deck.next.filter(|entry| entry.kind == Kind::EnqueueError) {
            deck.read_next()?;
            return Err(errno(&entry));
        }
        deck.queued.push_back(index);
        Ok(())
    }

    /// Waits until the next entry is due. `None` when it is not due within `timeout`.
    fn wait(&self, timeout: Duration) -> io::Result<Option<Entry>> {
        let mut deck = self.deck.borrow_mut();
        while deck.next.is_some_and(|entry| entry.kind == Kind::Empty) {
            deck.read_next()?;
        }
        if deck.next.is_none() {
            if !self.begins_again {
                return Err(io::Error::other("the recording has ended"));
            }
            let round = Duration::from_micros(deck.last_us) + self.pause();
            deck.began += round.max(MIN_ROUND);
            deck.reader.rewind().map_err(io::Error::other)?;
            deck.read_next()?;
        }
        let due = deck.next.map(|entry| deck.due(&entry));
        let left = due.map(|due| due.saturating_sub(monotonic_now()));
        drop(deck);
        std::thread::sleep(left.unwrap_or(timeout).min(timeout));
        let deck = self.deck.borrow();
        Ok(deck.next.filter(|_| left.is_some_and(|left| left <= timeout)))
    }

    /// The time between two frames.
    fn pause(&self) -> Duration {
        let (numerator, denominator) = self.head.interval;
        let fps = Interval { numerator, denominator }.fps();
        fps.map_or(MIN_ROUND, |fps| Duration::from_secs_f64((1.0 / fps).min(1.0)))
    }
}

impl Kernel for Replay {
    unsafe fn ioctl(&self, request: vidioc::_IOC_TYPE, argument: *mut c_void) -> io::Result<()> {
        let Head { fourcc, width, height, stride, interval, buffer_bytes, card, driver, .. } = &self.head;
        // SAFETY: `call` checks that each request has its struct; the unions hold the member that their type names.
        unsafe {
            match request {
                vidioc::VIDIOC_QUERYCAP => {
                    let caps = &mut *argument.cast::<sys::v4l2_capability>();
                    let copy = |to: &mut [u8], from: &str| {
                        let last = to.len() - 1;
                        to[..last].iter_mut().zip(from.bytes()).for_each(|(to, from)| *to = from);
                    };
                    copy(&mut caps.card, card);
                    copy(&mut caps.driver, driver);
                    copy(&mut caps.bus_info, "replay");
                    caps.capabilities = sys::V4L2_CAP_VIDEO_CAPTURE | sys::V4L2_CAP_STREAMING;
                }
                vidioc::VIDIOC_S_FMT => {
                    let pix = &mut (*argument.cast::<sys::v4l2_format>()).fmt.pix;
                    (pix.width, pix.height, pix.bytesperline) = (*width, *height, *stride);
                    (pix.pixelformat, pix.sizeimage) = (u32::from_le_bytes(*fourcc), *buffer_bytes);
                }
                vidioc::VIDIOC_G_PARM => {
                    let capture = &mut (*argument.cast::<sys::v4l2_streamparm>()).parm.capture;
                    (capture.timeperframe.numerator, capture.timeperframe.denominator) = *interval;
                }
                vidioc::VIDIOC_REQBUFS => self.deck.borrow_mut().queued.clear(),
                vidioc::VIDIOC_QUERYBUF => (*argument.cast::<sys::v4l2_buffer>()).length = *buffer_bytes,
                vidioc::VIDIOC_QBUF => return self.enqueue((*argument.cast::<sys::v4l2_buffer>()).index),
                vidioc::VIDIOC_DQBUF => *argument.cast::<sys::v4l2_buffer>() = self.dequeue()?,
                vidioc::VIDIOC_STREAMON => self.deck.borrow_mut().began = monotonic_now(),
                vidioc::VIDIOC_STREAMOFF => {}
                _ => return Err(io::Error::from_raw_os_error(libc::ENOTTY)),
            }
        }
        Ok(())
    }

    fn mmap(&self, length: usize, _offset: u32) -> io::Result<*mut u8> {
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: the kernel chooses the address of new memory.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        self.deck.borrow_mut().mapped.push((start.cast(), length));
        Ok(start.cast())
    }

    unsafe fn munmap(&self, start: *mut u8, length: usize) -> io::Result<()> {
        self.deck.borrow_mut().mapped.retain(|&(known, _)| known != start);
        // SAFETY: `mmap` above made the mapping, and nothing refers to it any more.
        match unsafe { libc::munmap(start.cast(), length) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn poll(&self, timeout: Duration) -> io::Result<i16> {
        let Some(entry) = self.wait(timeout)? else { return Ok(0) };
        let answer = match entry.kind {
            Kind::TimeOut => Ok(0),
            Kind::PollError | Kind::EnqueueError => Err(errno(&entry)),
            Kind::Polled => Ok(entry.value as i16 & !libc::POLLIN),
            Kind::Buffer | Kind::DequeueError | Kind::Empty => return Ok(libc::POLLIN),
        };
        self.deck.borrow_mut().read_next()?;
        answer
    }

    fn monotonic(&self) -> Duration {
        monotonic_now()
    }
}

/// Opens a recording as a camera. With `begins_again` the recording is played without end.
///
/// # Errors
/// The recording cannot be read, or has a pixel format that namecam does not read.
pub fn open(path: &Path, begins_again: bool, camera: &config::Camera) -> Result<Box<dyn Source>> {
    Ok(Box::new(play(path, begins_again, camera)?))
}

pub(super) fn play(path: &Path, begins_again: bool, camera: &config::Camera) -> Result<CaptureStream> {
    let (reader, choice) = opened(path).map_err(|why| anyhow!(why))?;
    let mut deck =
        Deck { next: None, began: Duration::ZERO, last_us: 0, queued: VecDeque::new(), mapped: Vec::new(), reader };
    deck.read_next()?;
    let replay = Replay { head: deck.reader.head.clone(), begins_again, deck: RefCell::new(deck) };
    // A recording has no controls.
    let camera = config::Camera { controls: Vec::new(), ..camera.clone() };
    start_mode(Rc::new(replay), path, &camera, &choice)
}

fn opened(path: &Path) -> Result<(Reader<BufReader<File>>, Choice), String> {
    let reader = Reader::open(path)?;
    let Head { fourcc, width, height, interval: (numerator, denominator), .. } = reader.head;
    let format = Format::by_fourcc(&fourcc)
        .ok_or_else(|| format!("replay: {}: namecam does not read its format", path.display()))?;
    Ok((reader, Choice::only(format, width, height, Interval { numerator, denominator })))
}

/// Why a recording cannot be played, without playing it; `None` when it can.
pub fn trouble(path: &Path) -> Option<String> {
    opened(path).err()
}
