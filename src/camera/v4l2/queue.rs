//! The mmap queue: four buffers that alternate between the driver and namecam.

use super::{CAPTURE, Kernel, call, sys, vidioc, zeroed};
use std::ffi::c_int;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The number of buffers: enough that the driver has a buffer while another is copied, and few enough that no picture
/// gets old.
const BUFFERS: u32 = 4;
const MMAP: u32 = sys::v4l2_memory_V4L2_MEMORY_MMAP;
/// The greatest valid age of a time stamp: some drivers use another clock.
const MAX_AGE: Duration = Duration::from_secs(5);
/// A larger jump of the sequence number is a restart of the driver, not lost frames.
const MAX_GAP: u32 = 10_000;

/// The result of a dequeue.
pub(super) enum Take {
    /// A whole picture, with its age if the driver provides it, and the frames lost since the last one.
    Picture { bytes: Vec<u8>, age: Option<Duration>, dropped: u64 },
    /// A damaged picture, with the reason.
    Corrupt(String),
    /// No picture within the time-out.
    Nothing,
}

/// The running queue. Dropping it stops the camera and unmaps the buffers.
pub(super) struct Queue {
    kernel: Rc<dyn Kernel>,
    buffers: Vec<Mapping>,
    streaming: bool,
    /// The bytes of a whole raw picture; 0 for JPEG.
    whole: usize,
    sequence: Option<u32>,
    dropped: u64,
}

struct Mapping {
    start: *mut u8,
    length: usize,
}

impl Queue {
    /// Creates the buffers, queues them and starts the camera. An error names the operation that failed.
    pub fn start(kernel: Rc<dyn Kernel>, whole: usize) -> Result<Queue, (&'static str, io::Error)> {
        // From here on every return path runs `drop`.
        let mut queue = Queue { kernel, buffers: Vec::new(), streaming: false, whole, sequence: None, dropped: 0 };
        let count = queue.request(BUFFERS).map_err(|error| ("ask for buffers", error))?;
        for index in 0..count {
            queue.map(index).map_err(|error| ("map a buffer", error))?;
            queue.enqueue(index).map_err(|error| ("queue a buffer", error))?;
        }
        call(&*queue.kernel, vidioc::VIDIOC_STREAMON, &mut (CAPTURE as c_int)).map_err(|error| ("start", error))?;
        queue.streaming = true;
        Ok(queue)
    }

    /// The newest picture. Older pictures are dropped and counted.
    pub fn next(&mut self, timeout: Duration) -> io::Result<Take> {
        let failed = match self.wait(timeout)? {
            0 => return Ok(Take::Nothing),
            events => events & libc::POLLIN == 0,
        };
        let Some(mut newest) = self.dequeue()? else {
            // poll reports POLLERR alone at once each time, so without an error here the loop would be a busy loop.
            return if failed { Err(io::Error::other("the driver reports an error")) } else { Ok(Take::Nothing) };
        };
        let mut passed_over = 0;
        while passed_over < self.buffers.len() as u64 {
            let Some(newer) = self.dequeue()? else { break };
            self.enqueue(newest.index)?;
            newest = newer;
            passed_over += 1;
        }
        self.dropped += self.lost(newest.sequence).max(passed_over);
        let taken = self.take(&newest);
        self.enqueue(newest.index)?;
        Ok(taken)
    }

    fn wait(&self, timeout: Duration) -> io::Result<i16> {
        let deadline = Instant::now() + timeout;
        loop {
            match self.kernel.poll(deadline.saturating_duration_since(Instant::now())) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// How many frames were lost between the last frame and this one.
    fn lost(&mut self, sequence: u32) -> u64 {
        let last = self.sequence.replace(sequence);
        let gap = last.map_or(0, |last| sequence.wrapping_sub(last).saturating_sub(1));
        if gap <= MAX_GAP { gap.into() } else { 0 }
    }

    fn take(&mut self, buffer: &sys::v4l2_buffer) -> Take {
        let Some(mapping) = self.buffers.get(buffer.index as usize) else { return Take::Nothing };
        let used = buffer.bytesused as usize;
        if buffer.flags & sys::V4L2_BUF_FLAG_ERROR != 0 {
            return Take::Corrupt("the driver flags it as damaged".to_owned());
        }
        if used == 0 || used > mapping.length {
            return Take::Corrupt("its length is invalid".to_owned());
        }
        if used < self.whole {
            return Take::Corrupt(format!("shorter than the {} bytes of a whole picture", self.whole));
        }
        // SAFETY: the mapping has at least `used` bytes and lives as long as the queue; the buffer is dequeued, so the
        // driver does not write to it until it is queued again, which happens after this copy.
        let bytes = unsafe { std::slice::from_raw_parts(mapping.start, used) }.to_vec();
        Take::Picture { bytes, age: self.age(buffer), dropped: std::mem::take(&mut self.dropped) }
    }

    fn age(&self, buffer: &sys::v4l2_buffer) -> Option<Duration> {
        let clock = buffer.flags & sys::V4L2_BUF_FLAG_TIMESTAMP_MASK;
        if clock != sys::V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC {
            return None;
        }
        let micros = u32::try_from(buffer.timestamp.tv_usec).ok().filter(|&micros| micros < 1_000_000)?;
        let stamp = Duration::new(buffer.timestamp.tv_sec.try_into().ok()?, micros * 1000);
        self.kernel.monotonic().checked_sub(stamp).filter(|&age| age < MAX_AGE)
    }

    fn request(&self, count: u32) -> io::Result<u32> {
        let mut request = sys::v4l2_requestbuffers { count, type_: CAPTURE, memory: MMAP, ..zeroed() };
        call(&*self.kernel, vidioc::VIDIOC_REQBUFS, &mut request)?;
        match request.count {
            0 if count > 0 => Err(io::Error::from_raw_os_error(libc::ENOMEM)),
            given => Ok(given.min(32)),
        }
    }

    fn map(&mut self, index: u32) -> io::Result<()> {
        let mut buffer = blank(index);
        call(&*self.kernel, vidioc::VIDIOC_QUERYBUF, &mut buffer)?;
        let length = buffer.length as usize;
        // SAFETY: a union of integers and a raw pointer; for MMAP the driver fills in `offset`.
        let start = self.kernel.mmap(length, unsafe { buffer.m.offset })?;
        self.buffers.push(Mapping { start, length });
        Ok(())
    }

    fn enqueue(&self, index: u32) -> io::Result<()> {
        call(&*self.kernel, vidioc::VIDIOC_QBUF, &mut blank(index))
    }

    /// A filled buffer, if available. The descriptor is non-blocking.
    fn dequeue(&self) -> io::Result<Option<sys::v4l2_buffer>> {
        let mut buffer = blank(0);
        match call(&*self.kernel, vidioc::VIDIOC_DQBUF, &mut buffer) {
            Ok(()) if (buffer.index as usize) < self.buffers.len() => Ok(Some(buffer)),
            Ok(()) => Err(io::Error::other("the driver returned a buffer that does not exist")),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn blank(index: u32) -> sys::v4l2_buffer {
    sys::v4l2_buffer { index, type_: CAPTURE, memory: MMAP, ..zeroed() }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let complain = |doing, result: io::Result<()>| {
            if let Err(error) = result {
                // After unplugging, every call fails with this error.
                log::debug!("camera: {doing}: {error}");
            }
        };
        if self.streaming {
            complain("stop", call(&*self.kernel, vidioc::VIDIOC_STREAMOFF, &mut (CAPTURE as c_int)));
        }
        for mapping in self.buffers.drain(..) {
            // SAFETY: mapped by `map`; there are no references, because pictures are copies.
            complain("unmap", unsafe { self.kernel.munmap(mapping.start, mapping.length) });
        }
        // Frees the buffers, so that another format can be set on the same descriptor.
        complain("free the buffers", self.request(0).map(|_| ()));
    }
}
