//! `probe --record`: writes the answers of the kernel to the queue into a file, as they come.

use super::{CaptureStream, Kernel, Node, start, sys, vidioc, words};
use crate::camera::Source;
use crate::camera::recording::{Entry, Head, Kind, MAX_BYTES, Writer};
use crate::config;
use crate::os::files;
use crate::sync::POLL;
use anyhow::{Context, Result, bail};
use std::cell::RefCell;
use std::ffi::c_void;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A [`Kernel`] that passes each call on to another kernel and records the answer.
pub(super) struct Recorder {
    kernel: Rc<dyn Kernel>,
    tape: RefCell<Tape>,
}

#[derive(Default)]
struct Tape {
    writer: Option<Writer>,
    started: Duration,
    /// The start and the length of each buffer, by the buffer's number.
    mapped: Vec<(*mut u8, usize)>,
    /// True when the last DQBUF returned a buffer.
    had_buffer: bool,
    buffers: u64,
    is_full: bool,
    failed: Option<io::Error>,
}

impl Tape {
    fn add(&mut self, now: Duration, entry: Entry, buffer: &[u8]) {
        let at_us = now.saturating_sub(self.started).as_micros().try_into().unwrap_or(u64::MAX);
        let Some(writer) = &mut self.writer else { return };
        if self.is_full || self.failed.is_some() {
            return;
        }
        match writer.add(Entry { at_us, ..entry }, buffer) {
            Ok(is_added) => {
                self.is_full = !is_added;
                self.buffers += u64::from(is_added && entry.kind == Kind::Buffer);
            }
            Err(error) => self.failed = Some(error),
        }
    }
}

/// True for an error after which the caller repeats the call.
fn is_asked_again(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Interrupted
}

fn errno(error: &io::Error) -> u32 {
    error.raw_os_error().and_then(|number| number.try_into().ok()).unwrap_or(libc::EIO.cast_unsigned())
}

impl Recorder {
    pub(super) fn new(kernel: Rc<dyn Kernel>) -> Rc<Recorder> {
        Rc::new(Recorder { kernel, tape: RefCell::default() })
    }

    /// Starts the recording: the answers from now on are written to `file`.
    pub(super) fn begin(&self, stream: &CaptureStream, file: std::fs::File) -> io::Result<()> {
        let mut tape = self.tape.borrow_mut();
        tape.started = self.kernel.monotonic();
        let largest = tape.mapped.iter().map(|&(_, length)| length).max().unwrap_or_default();
        let thousandths = stream.fps.map_or(0.0, |fps| fps * 1000.0).round() as u32;
        let head = Head {
            fourcc: stream.format.fourcc,
            width: stream.width,
            height: stream.height,
            stride: stream.stride,
            interval: (if thousandths == 0 { 0 } else { 1000 }, thousandths),
            buffer_bytes: largest.try_into().unwrap_or(u32::MAX),
            started_us: tape.started.as_micros().try_into().unwrap_or(u64::MAX),
            card: stream.about.card.clone(),
            driver: stream.about.driver.clone(),
        };
        tape.writer = Some(Writer::new(file, &head)?);
        Ok(())
    }

    /// Ends the recording. Returns the size of the file in bytes, the number of buffers in it, and the error that ended
    /// the writing, if any.
    pub(super) fn finish(&self) -> io::Result<(u64, u64, Option<io::Error>)> {
        let mut tape = self.tape.borrow_mut();
        let bytes = tape.writer.take().map_or(Ok(0), Writer::finish)?;
        Ok((bytes, tape.buffers, tape.failed.take()))
    }

    fn has_ended(&self) -> bool {
        let tape = self.tape.borrow();
        tape.is_full || tape.failed.is_some()
    }

    fn dequeued(&self, buffer: &sys::v4l2_buffer) {
        let now = self.kernel.monotonic();
        let mut tape = self.tape.borrow_mut();
        tape.had_buffer = true;
        let Some(&(start, length)) = tape.mapped.get(buffer.index as usize) else { return };
        let length = length.min(buffer.bytesused as usize);
        // SAFETY: the queue mapped so many bytes there and unmaps them after its last call; the buffer is dequeued, so
        // the driver does not write to it until it is queued again.
        let bytes = unsafe { std::slice::from_raw_parts(start, length) };
        let entry = Entry {
            bytes: length as u32,
            sequence: buffer.sequence,
            flags: buffer.flags,
            field: buffer.field,
            seconds: buffer.timestamp.tv_sec,
            micros: buffer.timestamp.tv_usec,
            ..Entry::other(Kind::Buffer, 0, buffer.bytesused)
        };
        tape.add(now, entry, bytes);
    }

    /// Records that DQBUF has no further buffer. This is recorded only when the last DQBUF returned a buffer.
    fn no_more(&self) {
        if std::mem::take(&mut self.tape.borrow_mut().had_buffer) {
            self.other(Kind::Empty, 0);
        }
    }

    fn other(&self, kind: Kind, value: u32) {
        let now = self.kernel.monotonic();
        self.tape.borrow_mut().add(now, Entry::other(kind, 0, value), &[]);
    }
}

impl Kernel for Recorder {
    unsafe fn ioctl(&self, request: vidioc::_IOC_TYPE, argument: *mut c_void) -> io::Result<()> {
        // SAFETY: as the caller guarantees.
        let result = unsafe { self.kernel.ioctl(request, argument) };
        match (request, &result) {
            // SAFETY: the argument of this request is a buffer, which the kernel has filled.
            (vidioc::VIDIOC_DQBUF, Ok(())) => self.dequeued(unsafe { &*argument.cast::<sys::v4l2_buffer>() }),
            (_, Err(error)) if is_asked_again(error) => {}
            (vidioc::VIDIOC_DQBUF, Err(error)) if error.kind() == io::ErrorKind::WouldBlock => self.no_more(),
            (vidioc::VIDIOC_DQBUF, Err(error)) => self.other(Kind::DequeueError, errno(error)),
            (vidioc::VIDIOC_QBUF, Err(error)) => self.other(Kind::EnqueueError, errno(error)),
            _ => {}
        }
        result
    }

    fn mmap(&self, length: usize, offset: u32) -> io::Result<*mut u8> {
        let start = self.kernel.mmap(length, offset)?;
        self.tape.borrow_mut().mapped.push((start, length));
        Ok(start)
    }

    unsafe fn munmap(&self, start: *mut u8, length: usize) -> io::Result<()> {
        self.tape.borrow_mut().mapped.retain(|&(known, _)| known != start);
        // SAFETY: as the caller guarantees.
        unsafe { self.kernel.munmap(start, length) }
    }

    fn poll(&self, timeout: Duration) -> io::Result<i16> {
        let result = self.kernel.poll(timeout);
        match &result {
            Ok(0) => self.other(Kind::TimeOut, 0),
            Ok(events) if events & libc::POLLIN == 0 => self.other(Kind::Polled, (*events).cast_unsigned().into()),
            Err(error) if !is_asked_again(error) => self.other(Kind::PollError, errno(error)),
            _ => {}
        }
        result
    }

    fn monotonic(&self) -> Duration {
        self.kernel.monotonic()
    }
}

/// Records the camera at `path` in the mode of the config for `span`. `tell` gets a line of text before the recording.
/// Returns a line about its result.
///
/// # Errors
/// The camera cannot be used, or the file exists or cannot be written. The entries that were written before the error
/// stay in the file.
pub fn record(
    path: &Path,
    camera: &config::Camera,
    file: &Path,
    span: Duration,
    tell: impl Fn(&str),
) -> Result<String> {
    let node = Node::open(path).map_err(|error| words::explain(path, "open", &error))?;
    record_with(Rc::new(node), path, camera, file, span, tell)
}

pub(super) fn record_with(
    kernel: Rc<dyn Kernel>,
    path: &Path,
    camera: &config::Camera,
    file: &Path,
    span: Duration,
    tell: impl Fn(&str),
) -> Result<String> {
    let recorder = Recorder::new(kernel);
    let mut stream = start(recorder.clone(), path, camera)?;
    let shown = file.display();
    let new = match files::create_private(file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("{shown} exists and is not overwritten; name another file")
        }
        new => new.with_context(|| format!("cannot write {shown}"))?,
    };
    recorder.begin(&stream, new).with_context(|| format!("cannot write {shown}"))?;
    let buffer = recorder.tape.borrow().mapped.iter().map(|&(_, length)| length).max().unwrap_or_default();
    let frames = span.as_secs_f64() * stream.fps.unwrap_or(60.0) + 4.0;
    let most = ((frames * buffer as f64) as u64).min(MAX_BYTES).div_ceil(1_000_000);
    let what = stream.describe();
    let zones = if camera.mask.is_empty() { "" } else { ", and also shows the zones of camera.mask" };
    tell(&format!(
        "recording {what} for {} s into {shown}, at most {most} MB; it holds pictures of people{zones}",
        span.as_secs()
    ));
    let (begun, mut ended) = (Instant::now(), None);
    while begun.elapsed() < span && ended.is_none() && !recorder.has_ended() {
        ended = stream.next(POLL).err();
    }
    let (bytes, buffers, failed) = recorder.finish().with_context(|| format!("cannot write {shown}"))?;
    if let Some(error) = failed {
        bail!("cannot write more to {shown} ({error}); the {buffers} buffers before that are in it");
    }
    let why = ended.map_or(String::new(), |why| format!("; it ends early: {why:#}"));
    let full = if recorder.tape.borrow().is_full { "; it is as large as it may be" } else { "" };
    Ok(format!("recorded {buffers} buffers, {} kB, into {shown}{why}{full}", bytes.div_ceil(1000)))
}
