//! A simulated driver that answers ioctls from memory, records them, and fails where a test requires it.

use super::super::*;
use std::cell::{RefCell, RefMut};
use std::collections::VecDeque;

pub const BUFFER_LENGTH: u32 = 4096;

/// The FourCC, the smallest size, the largest size and the step.
type Range = ([u8; 4], [(u32, u32); 3]);

/// The mutable state of [`Driver`]; tests change it before and while the queue runs.
#[derive(Default)]
pub struct State {
    pub capabilities: u32,
    pub device_caps: u32,
    pub driver: Vec<u8>,
    pub card: Vec<u8>,
    pub bus: Vec<u8>,
    pub formats: Vec<[u8; 4]>,
    /// The FourCC, the width, the height and the rate in tenths of a frame per second; 0 when no rate is listed.
    pub modes: Vec<([u8; 4], u32, u32, u32)>,
    pub ranges: Vec<Range>,
    /// The FourCC and the bytesperline that S_FMT returns instead of the requested ones.
    pub answers: VecDeque<([u8; 4], u32)>,
    /// The errors of the next calls of this name.
    pub failures: Vec<(&'static str, i32)>,
    /// The number of calls after which every call fails.
    pub unplugged: bool,
    pub revents: Option<i16>,
    pub controls: Vec<sys::v4l2_query_ext_ctrl>,
    /// A control, a value and a second control: while the first control has the value, the second one is locked.
    pub locks: Vec<(u32, i32, u32)>,
    /// Controls that do not answer.
    pub silent: Vec<u32>,
    pub set: Vec<(u32, i32)>,
    /// Control numbers and their current values; other controls have the value 7.
    pub values: Vec<(u32, i32)>,
    pub log: Vec<String>,
    pub mapped: Vec<(*mut u8, usize)>,
    queued: VecDeque<u32>,
    filled: VecDeque<sys::v4l2_buffer>,
    pix: Option<sys::v4l2_pix_format>,
    interval: (u32, u32),
}

pub struct Driver(RefCell<State>);

impl Driver {
    /// A webcam with these modes and single-planar capture.
    pub fn webcam(modes: &[(&[u8; 4], u32, u32, u32)]) -> Rc<Driver> {
        let capture = sys::V4L2_CAP_VIDEO_CAPTURE | sys::V4L2_CAP_STREAMING;
        let mut formats: Vec<_> = modes.iter().map(|mode| *mode.0).collect();
        formats.dedup();
        let modes = modes.iter().map(|&(fourcc, w, h, fps)| (*fourcc, w, h, fps * 10)).collect();
        let capabilities = capture | sys::V4L2_CAP_DEVICE_CAPS | sys::V4L2_CAP_META_CAPTURE;
        // A card name that is cut inside a character, as by the kernel at 31 bytes.
        let (driver, card, bus) = (b"fake".into(), b"Caf\xc3\xa9 \xed".into(), b"usb-1".into());
        let state =
            State { capabilities, device_caps: capture, driver, card, bus, formats, modes, ..Default::default() };
        Rc::new(Driver(RefCell::new(state)))
    }

    pub fn state(&self) -> RefMut<'_, State> {
        self.0.borrow_mut()
    }

    /// Fills the next buffer; false when none is queued.
    pub fn fill(&self, bytes: &[u8], sequence: u32, change: impl FnOnce(&mut sys::v4l2_buffer)) -> bool {
        let mut state = self.state();
        let Some(index) = state.queued.pop_front() else { return false };
        let (start, length) = state.mapped[index as usize];
        assert!(bytes.len() <= length);
        // SAFETY: mapped below with `length` bytes, and the queue reads only dequeued buffers.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), start, bytes.len()) };
        let mut buffer = sys::v4l2_buffer { index, sequence, bytesused: bytes.len() as u32, ..zeroed() };
        change(&mut buffer);
        state.filled.push_back(buffer);
        true
    }

    pub fn names(&self) -> Vec<String> {
        self.state().log.clone()
    }
}

fn error(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

fn name(request: vidioc::_IOC_TYPE) -> &'static str {
    match request {
        vidioc::VIDIOC_QUERYCAP => "QUERYCAP",
        vidioc::VIDIOC_ENUM_FMT => "ENUM_FMT",
        vidioc::VIDIOC_ENUM_FRAMESIZES => "ENUM_FRAMESIZES",
        vidioc::VIDIOC_ENUM_FRAMEINTERVALS => "ENUM_FRAMEINTERVALS",
        vidioc::VIDIOC_S_FMT => "S_FMT",
        vidioc::VIDIOC_G_PARM => "G_PARM",
        vidioc::VIDIOC_S_PARM => "S_PARM",
        vidioc::VIDIOC_REQBUFS => "REQBUFS",
        vidioc::VIDIOC_QUERYBUF => "QUERYBUF",
        vidioc::VIDIOC_QBUF => "QBUF",
        vidioc::VIDIOC_DQBUF => "DQBUF",
        vidioc::VIDIOC_STREAMON => "STREAMON",
        vidioc::VIDIOC_STREAMOFF => "STREAMOFF",
        vidioc::VIDIOC_QUERY_EXT_CTRL => "QUERY_EXT_CTRL",
        vidioc::VIDIOC_QUERYMENU => "QUERYMENU",
        vidioc::VIDIOC_G_CTRL => "G_CTRL",
        vidioc::VIDIOC_S_CTRL => "S_CTRL",
        _ => "?",
    }
}

impl State {
    fn trouble(&mut self, name: &'static str) -> io::Result<()> {
        if let Some(at) = self.failures.iter().position(|(failing, _)| *failing == name) {
            return Err(error(self.failures.remove(at).1));
        }
        if self.unplugged { Err(error(libc::ENODEV)) } else { Ok(()) }
    }

    /// The modes of one format, or of one format and size.
    fn modes_of(&self, fourcc: u32, size: Option<(u32, u32)>) -> Vec<([u8; 4], u32, u32, u32)> {
        let fits = |mode: &&([u8; 4], u32, u32, u32)| {
            mode.0 == fourcc.to_le_bytes() && size.is_none_or(|size| size == (mode.1, mode.2))
        };
        self.modes.iter().filter(fits).copied().collect()
    }

    fn negotiation(&mut self, request: vidioc::_IOC_TYPE, argument: *mut c_void) -> io::Result<()> {
        let einval = || error(libc::EINVAL);
        // SAFETY: `call` checks that each request has its struct; the unions hold the member that their type names.
        unsafe {
            match request {
                vidioc::VIDIOC_QUERYCAP => {
                    let caps = &mut *argument.cast::<sys::v4l2_capability>();
                    caps.driver[..self.driver.len()].copy_from_slice(&self.driver);
                    caps.card[..self.card.len()].copy_from_slice(&self.card);
                    caps.bus_info[..self.bus.len()].copy_from_slice(&self.bus);
                    (caps.capabilities, caps.device_caps) = (self.capabilities, self.device_caps);
                }
                vidioc::VIDIOC_ENUM_FMT => {
                    let item = &mut *argument.cast::<sys::v4l2_fmtdesc>();
                    assert_eq!(item.type_, 1);
                    item.pixelformat = u32::from_le_bytes(*self.formats.get(item.index as usize).ok_or_else(einval)?);
                }
                vidioc::VIDIOC_ENUM_FRAMESIZES => {
                    let item = &mut *argument.cast::<sys::v4l2_frmsizeenum>();
                    let fourcc = item.pixel_format.to_le_bytes();
                    if let Some(&(_, [min, max, step])) = self.ranges.iter().find(|range| range.0 == fourcc) {
                        item.type_ = 3;
                        item.__bindgen_anon_1.stepwise = sys::v4l2_frmsize_stepwise {
                            min_width: min.0,
                            max_width: max.0,
                            step_width: step.0,
                            min_height: min.1,
                            max_height: max.1,
                            step_height: step.1,
                        };
                        return Ok(());
                    }
                    let modes = self.modes_of(item.pixel_format, None);
                    let &(_, width, height, _) = modes.get(item.index as usize).ok_or_else(einval)?;
                    item.type_ = 1;
                    item.__bindgen_anon_1.discrete = sys::v4l2_frmsize_discrete { width, height };
                }
                vidioc::VIDIOC_ENUM_FRAMEINTERVALS => {
                    let item = &mut *argument.cast::<sys::v4l2_frmivalenum>();
                    let modes = self.modes_of(item.pixel_format, Some((item.width, item.height)));
                    let rate = modes.get(item.index as usize).filter(|mode| mode.3 > 0);
                    let &(_, _, _, denominator) = rate.ok_or_else(einval)?;
                    item.type_ = 1;
                    item.__bindgen_anon_1.discrete = sys::v4l2_fract { numerator: 10, denominator };
                }
                vidioc::VIDIOC_S_FMT => {
                    let format = &mut *argument.cast::<sys::v4l2_format>();
                    assert_eq!(format.type_, 1);
                    if let Some((fourcc, stride)) = self.answers.pop_front() {
                        format.fmt.pix.pixelformat = u32::from_le_bytes(fourcc);
                        format.fmt.pix.bytesperline = stride;
                    }
                    self.pix = Some(format.fmt.pix);
                }
                vidioc::VIDIOC_G_PARM | vidioc::VIDIOC_S_PARM => {
                    let parameters = &mut *argument.cast::<sys::v4l2_streamparm>();
                    assert_eq!(parameters.type_, 1);
                    let capture = &mut parameters.parm.capture;
                    if request == vidioc::VIDIOC_S_PARM {
                        self.interval = (capture.timeperframe.numerator, capture.timeperframe.denominator);
                    }
                    capture.capability = sys::V4L2_CAP_TIMEPERFRAME;
                    (capture.timeperframe.numerator, capture.timeperframe.denominator) = self.interval;
                }
                _ => return self.control(request, argument),
            }
        }
        Ok(())
    }

    fn is_locked(&self, id: u32) -> bool {
        self.locks.iter().any(|&(by, value, locked)| locked == id && self.values.contains(&(by, value)))
    }

    fn control(&mut self, request: vidioc::_IOC_TYPE, argument: *mut c_void) -> io::Result<()> {
        let einval = || error(libc::EINVAL);
        // SAFETY: as above.
        unsafe {
            match request {
                vidioc::VIDIOC_QUERY_EXT_CTRL => {
                    let query = &mut *argument.cast::<sys::v4l2_query_ext_ctrl>();
                    let asked = query.id & !sys::V4L2_CTRL_FLAG_NEXT_CTRL;
                    let is_next = asked != query.id;
                    let fits = |id: u32| if is_next { id > asked } else { id == asked };
                    let control = self.controls.iter().find(|control| fits(control.id)).ok_or_else(einval)?;
                    if self.silent.contains(&control.id) {
                        return Err(error(libc::EIO));
                    }
                    *query = *control;
                    if self.is_locked(query.id) {
                        query.flags |= sys::V4L2_CTRL_FLAG_INACTIVE;
                    }
                }
                vidioc::VIDIOC_QUERYMENU => {
                    let item = &mut *argument.cast::<sys::v4l2_querymenu>();
                    if item.index == 2 {
                        return Err(einval());
                    }
                    let mut name = [0; 32];
                    name[..4].copy_from_slice(b"Item");
                    item.__bindgen_anon_1.name = name;
                }
                vidioc::VIDIOC_G_CTRL => {
                    let asked = &mut *argument.cast::<sys::v4l2_control>();
                    let known = self.values.iter().find(|(id, _)| *id == asked.id);
                    asked.value = known.map_or(7, |&(_, value)| value);
                }
                vidioc::VIDIOC_S_CTRL => {
                    let wanted = *argument.cast::<sys::v4l2_control>();
                    let control = self.controls.iter().find(|control| control.id == wanted.id).ok_or_else(einval)?;
                    if !(control.minimum..=control.maximum).contains(&wanted.value.into()) {
                        return Err(error(libc::ERANGE));
                    }
                    if self.is_locked(wanted.id) {
                        return Err(error(libc::EACCES));
                    }
                    self.set.push((wanted.id, wanted.value));
                    self.values.retain(|&(id, _)| id != wanted.id);
                    self.values.push((wanted.id, wanted.value));
                }
                _ => return Err(error(libc::ENOTTY)),
            }
        }
        Ok(())
    }

    fn queue(&mut self, request: vidioc::_IOC_TYPE, argument: *mut c_void) -> io::Result<()> {
        if matches!(request, vidioc::VIDIOC_STREAMON | vidioc::VIDIOC_STREAMOFF) {
            // SAFETY: as above.
            assert_eq!(unsafe { *argument.cast::<c_int>() }, 1);
            return Ok(());
        }
        if request == vidioc::VIDIOC_REQBUFS {
            // SAFETY: as above.
            let asked = unsafe { &*argument.cast::<sys::v4l2_requestbuffers>() };
            assert_eq!((asked.type_, asked.memory), (1, 1));
            self.queued.clear();
            return Ok(());
        }
        // SAFETY: as above.
        let buffer = unsafe { &mut *argument.cast::<sys::v4l2_buffer>() };
        assert_eq!((buffer.type_, buffer.memory), (1, 1));
        match request {
            vidioc::VIDIOC_QUERYBUF => {
                buffer.length = BUFFER_LENGTH;
                buffer.m.offset = buffer.index * BUFFER_LENGTH;
            }
            vidioc::VIDIOC_QBUF => {
                assert!(!self.queued.contains(&buffer.index), "buffer {} is queued twice", buffer.index);
                self.queued.push_back(buffer.index);
            }
            _ => *buffer = self.filled.pop_front().ok_or_else(|| error(libc::EAGAIN))?,
        }
        Ok(())
    }
}

impl Kernel for Driver {
    unsafe fn ioctl(&self, request: vidioc::_IOC_TYPE, argument: *mut c_void) -> io::Result<()> {
        let (mut state, name) = (self.state(), name(request));
        state.log.push(name.to_owned());
        state.trouble(name)?;
        match name {
            "REQBUFS" | "QUERYBUF" | "QBUF" | "DQBUF" | "STREAMON" | "STREAMOFF" => state.queue(request, argument),
            _ => state.negotiation(request, argument),
        }
    }

    fn mmap(&self, length: usize, offset: u32) -> io::Result<*mut u8> {
        let mut state = self.state();
        state.log.push("mmap".to_owned());
        state.trouble("mmap")?;
        assert_eq!(offset, state.mapped.len() as u32 * BUFFER_LENGTH);
        let start = Box::into_raw(vec![0u8; length].into_boxed_slice()).cast::<u8>();
        state.mapped.push((start, length));
        Ok(start)
    }

    unsafe fn munmap(&self, start: *mut u8, length: usize) -> io::Result<()> {
        let mut state = self.state();
        state.log.push("munmap".to_owned());
        let at = state.mapped.iter().position(|&mapping| mapping == (start, length)).unwrap();
        state.mapped.remove(at);
        // SAFETY: allocated by `mmap` above with this length, and removed from the list just now.
        drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(start, length)) });
        state.trouble("munmap")
    }

    fn poll(&self, _timeout: Duration) -> io::Result<i16> {
        let mut state = self.state();
        state.trouble("poll")?;
        let ready = if state.filled.is_empty() { 0 } else { libc::POLLIN };
        Ok(state.revents.unwrap_or(ready))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(1000)
    }
}
