//! V4L2 cameras. Only this file and its folder use the crate `v4l` and the crate's bindings.
//!
//! The crate provides the ioctl numbers, the structs and the decoding of sizes and intervals. Its enumeration and its
//! mmap stream are not used: they unwrap values of the driver (a card name that is cut inside a character, a colour
//! space of a newer kernel, a step of 0), and a panic ends the program.

mod controls;
mod frame_pace;
mod identity;
mod nodes;
mod queue;
mod record;
pub mod replay;
mod survey;
mod words;

pub use identity::{LastCamera, shares_name};
pub use nodes::{Seen, nodes, seen};
pub use record::record;
pub use survey::{Survey, is_busy, survey};
pub use words::{LOOPBACK, NodeKind, users_of};

use super::negotiate::{self, Choice, Interval, ModeRequest, Offer};
use super::{Captured, Shot, Source};
use crate::config;
use crate::frame::Moment;
use crate::image::{Format, check_size};
use crate::rounding::rounded;
use crate::tuning::{Control, Equipment, Unset, ctl_name};
use anyhow::{Result, anyhow, bail};
use frame_pace::FramePace;
use queue::{Queue, Take};
use std::ffi::{c_int, c_void};
use std::fs;
use std::io;
use std::mem::size_of;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};
use survey::{identify, offers};
use v4l::v4l_sys as sys;
use v4l::v4l2::vidioc;

/// The buffer type of single-planar capture, the only one that namecam uses.
const CAPTURE: u32 = sys::v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE;
/// The most items of an enumeration, because a driver's enumeration may be endless.
const MAX_ITEMS: u32 = 256;

/// The system calls on a device. Tests replace them with a simulated driver.
trait Kernel {
    /// # Safety
    /// `argument` must point to the struct whose size the request number carries.
    unsafe fn ioctl(&self, request: vidioc::_IOC_TYPE, argument: *mut c_void) -> io::Result<()>;
    fn mmap(&self, length: usize, offset: u32) -> io::Result<*mut u8>;
    /// # Safety
    /// The mapping must come from `mmap` and must not be used afterwards.
    unsafe fn munmap(&self, start: *mut u8, length: usize) -> io::Result<()>;
    /// Waits once for a filled buffer. Returns `revents` of poll(2), or 0 after the time-out.
    fn poll(&self, timeout: Duration) -> io::Result<i16>;
    /// CLOCK_MONOTONIC, the clock of the buffers' time stamps.
    fn monotonic(&self) -> Duration;
}

/// An open device node.
struct Node(c_int);

impl Node {
    fn open(path: &Path) -> io::Result<Node> {
        if path.as_os_str().as_bytes().contains(&0) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        v4l::v4l2::open(path, libc::O_RDWR | libc::O_NONBLOCK | libc::O_CLOEXEC).map(Node)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Err(error) = v4l::v4l2::close(self.0) {
            log::debug!("camera: close: {error}");
        }
    }
}

impl Kernel for Node {
    unsafe fn ioctl(&self, request: vidioc::_IOC_TYPE, argument: *mut c_void) -> io::Result<()> {
        // SAFETY: the caller guarantees the argument; the descriptor is open as long as self lives.
        unsafe { v4l::v4l2::ioctl(self.0, request, argument) }
    }

    fn mmap(&self, length: usize, offset: u32) -> io::Result<*mut u8> {
        // Drivers expect write permission even for reading.
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let (start, offset) = (std::ptr::null_mut(), offset.into());
        // SAFETY: the kernel chooses the address, so no existing memory is replaced.
        let mapped = unsafe { v4l::v4l2::mmap(start, length, protection, libc::MAP_SHARED, self.0, offset) };
        mapped.map(|start| start.cast())
    }

    unsafe fn munmap(&self, start: *mut u8, length: usize) -> io::Result<()> {
        // SAFETY: the caller guarantees that the mapping came from `mmap` and is not used any more.
        unsafe { v4l::v4l2::munmap(start.cast(), length) }
    }

    fn poll(&self, timeout: Duration) -> io::Result<i16> {
        let timeout_ms = timeout.as_micros().div_ceil(1000).try_into().unwrap_or(c_int::MAX);
        let mut descriptor = libc::pollfd { fd: self.0, events: libc::POLLIN, revents: 0 };
        // SAFETY: the pointer is to one pollfd, and the count is one.
        match unsafe { libc::poll(&mut descriptor, 1, timeout_ms) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(descriptor.revents),
        }
    }

    fn monotonic(&self) -> Duration {
        monotonic_now()
    }
}

/// CLOCK_MONOTONIC.
fn monotonic_now() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes only to `now`; the clock exists on every Linux, and on an error `now` stays 0.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    Duration::new(now.tv_sec.try_into().unwrap_or(0), now.tv_nsec.try_into().unwrap_or(0))
}

/// # Safety
/// Only for C structs of integers, and unions of them, for which all zeros is a valid value.
unsafe trait Plain: Copy {}
macro_rules! plain {
    ($($name:ty),+ $(,)?) => {
        // SAFETY: structs of <linux/videodev2.h>, integers throughout; the pointers in their unions are raw.
        $(unsafe impl Plain for $name {})+
    };
}
plain!(c_int, sys::v4l2_capability, sys::v4l2_fmtdesc, sys::v4l2_frmsizeenum, sys::v4l2_frmivalenum, sys::v4l2_format);
plain!(sys::v4l2_streamparm, sys::v4l2_requestbuffers, sys::v4l2_buffer);
plain!(sys::v4l2_query_ext_ctrl, sys::v4l2_querymenu, sys::v4l2_control);

fn zeroed<T: Plain>() -> T {
    // SAFETY: Plain guarantees that all zeros is a valid value.
    unsafe { std::mem::zeroed() }
}

/// Executes an ioctl, and repeats it when a signal interrupts it.
fn call<T: Plain>(kernel: &dyn Kernel, request: vidioc::_IOC_TYPE, argument: &mut T) -> io::Result<()> {
    // The kernel reads and writes as many bytes as the request number encodes.
    if (request >> 16) as usize & 0x3fff != size_of::<T>() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    loop {
        // SAFETY: the argument is a plain struct of the size that the request encodes.
        match unsafe { kernel.ioctl(request, (&raw mut *argument).cast()) } {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// The text of a C array up to the first 0; invalid UTF-8 is replaced.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).trim().to_owned()
}

/// Opens the camera of the config and starts it.
///
/// # Errors
/// The device is missing, may not be opened, is in use, is not a camera or has no format that namecam reads. The
/// message says what to do.
pub fn open(camera: &config::Camera, memory: &mut LastCamera) -> Result<Box<dyn Source>> {
    let config::CameraSource::Device(configured) = &camera.source else {
        bail!("{} is not a V4L2 device", camera.source);
    };
    let path = memory.find(configured, |node| identify(&Node::open(node).ok()?).ok());
    let node = Node::open(&path).map_err(|error| words::explain(&path, "open", &error))?;
    let mut stream = start(Rc::new(node), &path, camera)?;
    memory.ran(configured, &path, &stream.about);
    // Resolved only after opening, because udev creates the by-id names a moment after the node.
    let elsewhere = path != *configured && fs::canonicalize(configured).ok() != fs::canonicalize(&path).ok();
    stream.moved = elsewhere.then(|| format!("the camera is now at {}", path.display()));
    Ok(Box::new(stream))
}

/// Opens a device in exactly this mode, for a measurement.
///
/// # Errors
/// As for [`open`]; also when the driver chooses another mode.
pub fn open_mode(path: &Path, camera: &config::Camera, choice: &Choice) -> Result<CaptureStream> {
    let node = Node::open(path).map_err(|error| words::explain(path, "open", &error))?;
    start_mode(Rc::new(node), path, camera, choice)
}

fn start_mode(kernel: Rc<dyn Kernel>, path: &Path, camera: &config::Camera, choice: &Choice) -> Result<CaptureStream> {
    let about = identify(&*kernel).map_err(|error| words::explain(path, "ask", &error))?;
    let stream = CaptureStream::start(&kernel, choice, camera, &about)
        .map_err(|refused| refused.explain(path, choice.format.jpeg))?;
    let &CaptureStream { format, width, height, .. } = &stream;
    if (format.fourcc, width, height) != (choice.format.fourcc, choice.width, choice.height) {
        bail!("the driver chose {} {width}x{height} instead", format.name());
    }
    Ok(stream)
}

fn start(kernel: Rc<dyn Kernel>, path: &Path, camera: &config::Camera) -> Result<CaptureStream> {
    let mut about = identify(&*kernel).map_err(|error| words::explain(path, "ask", &error))?;
    let request = ModeRequest::of(camera);
    about.offers = offers(&*kernel, &request);
    if let Some(problem) = about.problem(&request) {
        bail!("{}: {problem}", path.display());
    }
    let choices = negotiate::rank(&about.offers, &request)
        .map_err(|why| anyhow!("{} ({}): {why}", path.display(), about.card))?;
    let mut refusal =
        anyhow!("{} accepts none of the formats that it lists; try another format or size", path.display());
    let mut jpeg_tried = false;
    for choice in &choices {
        jpeg_tried |= choice.format.jpeg;
        match CaptureStream::start(&kernel, choice, camera, &about) {
            Ok(stream) => return Ok(stream),
            Err(refused) => {
                refusal = refused.explain(path, jpeg_tried);
                if refused.is_final() {
                    break;
                }
            }
        }
        log::debug!("camera: {} is refused: {refusal}", choice.format.name());
    }
    Err(refusal)
}

/// Why a mode could not be set.
enum Refused {
    /// The driver chose another format.
    Answer(String),
    /// The operation that failed, and the error.
    Failed(&'static str, io::Error),
}

impl Refused {
    /// The error, and what to do. `jpeg_tried` is true when a JPEG mode was refused, too.
    fn explain(&self, path: &Path, jpeg_tried: bool) -> anyhow::Error {
        match self {
            Refused::Answer(answer) => anyhow!("{}: {answer}", path.display()),
            Refused::Failed(doing, error) if self.is_bandwidth() => words::no_bandwidth(path, doing, error, jpeg_tried),
            Refused::Failed(doing, error) => words::explain(path, doing, error),
        }
    }

    /// False when another format may work: the driver refused this one, or the USB bus has too little bandwidth.
    fn is_final(&self) -> bool {
        matches!(self, Refused::Failed(_, error) if error.raw_os_error() != Some(libc::EINVAL) && !self.is_bandwidth())
    }

    /// True when the USB bus may have too little bandwidth. uvcvideo returns EIO when no setting of the camera is fast
    /// enough for the mode.
    fn is_bandwidth(&self) -> bool {
        let Refused::Failed(doing, error) = self else { return false };
        let is = |errno| error.raw_os_error() == Some(errno);
        is(libc::ENOSPC) || (*doing == "start" && is(libc::EIO))
    }
}

/// A running camera.
pub struct CaptureStream {
    kernel: Rc<dyn Kernel>,
    queue: Queue,
    about: Survey,
    format: &'static Format,
    width: u32,
    height: u32,
    stride: u32,
    /// The frames per second that the driver confirmed, if any.
    fps: Option<f64>,
    pace: FramePace,
    ids: controls::Ids,
    /// A hint that the camera is not at the configured node any more.
    moved: Option<String>,
    /// Why the frame rate is too low.
    slow: Option<String>,
    /// The controls of the config that could not be set, and were not set later.
    unset: Vec<Unset>,
}

impl CaptureStream {
    fn start(
        kernel: &Rc<dyn Kernel>,
        choice: &Choice,
        camera: &config::Camera,
        about: &Survey,
    ) -> Result<Self, Refused> {
        let pix = set_format(&**kernel, choice).map_err(|error| Refused::Failed("set the format", error))?;
        let fourcc = pix.pixelformat.to_le_bytes();
        let format = Format::by_fourcc(&fourcc).ok_or_else(|| {
            let (asked, got) = (choice.format.name(), negotiate::show_fourcc(&fourcc));
            Refused::Answer(format!("{asked} was requested, but the driver chose {got}, which namecam does not read"))
        })?;
        let (width, height) = (pix.width, pix.height);
        check_size(width, height).map_err(Refused::Answer)?;
        // Some drivers leave bytesperline at 0; for JPEG it has no meaning.
        let stride = if format.jpeg { 0 } else { pix.bytesperline.max(format.min_stride(width)) };
        let interval = set_rate(&**kernel, choice.interval);
        let ids = controls::Ids::default();
        controls::set(&**kernel, &ids, &camera.controls);
        let whole = format.min_size(width, height, stride);
        let queue = Queue::start(Rc::clone(kernel), whole).map_err(|(doing, error)| Refused::Failed(doing, error))?;
        // Some cameras reset their controls when they start, so the controls are set again. Only the errors of this
        // second time are reported.
        let unset = controls::set(&**kernel, &ids, &camera.controls);
        let fps = interval.and_then(Interval::fps);
        let (kernel, about, pace) = (Rc::clone(kernel), about.clone(), FramePace::of(fps));
        Ok(CaptureStream {
            kernel,
            queue,
            about,
            format,
            width,
            height,
            stride,
            fps,
            pace,
            ids,
            moved: None,
            slow: None,
            unset,
        })
    }

    /// The hint for a camera whose rate is too low, when automatic exposure may be the reason.
    pub fn slowed_by(&self) -> Option<String> {
        let setting = controls::faster(&*self.kernel, &self.ids)?;
        let fps = self.fps.map_or("the".to_owned(), |fps| format!("the {}", negotiate::show_fps(fps)));
        Some(format!(
            "the camera delivers fewer than {fps} fps requested: in dim light its automatic exposure takes longer. \
             Use more light, or set [camera] controls = {setting}"
        ))
    }

    /// Counts `frames` further frames, and sets or clears the hint about a low rate.
    fn keep_pace(&mut self, frames: u64) {
        match self.pace.count(frames, Instant::now()) {
            Some(true) => self.slow = self.slowed_by(),
            Some(false) => self.slow = None,
            None => {}
        }
    }
}

impl Source for CaptureStream {
    fn next(&mut self, timeout: Duration) -> Result<Shot> {
        let &mut CaptureStream { format, width, height, stride, .. } = self;
        Ok(match self.queue.next(timeout).map_err(|error| words::lost(&error))? {
            Take::Nothing => Shot::Nothing,
            Take::Corrupt(why) => {
                // The camera delivered it in time; the cable may have damaged it.
                self.keep_pace(1);
                Shot::Corrupt(format!("{} {width}x{height}: {why}", format.name()))
            }
            Take::Picture { bytes, age, dropped } => {
                self.keep_pace(dropped.saturating_add(1));
                let captured_at = age.map_or_else(Moment::now, Moment::ago);
                Shot::Picture(Captured { format, width, height, stride, bytes, captured_at, dropped })
            }
        })
    }

    fn describe(&self) -> String {
        let CaptureStream { format, width, height, about: Survey { card, driver, bus, .. }, .. } = self;
        let fps = self.fps.map_or("an unknown number of".to_owned(), negotiate::show_fps);
        format!("{card}, {} {width}x{height} at {fps} fps ({driver}, {bus})", format.name())
    }

    fn hints(&self) -> Vec<&str> {
        [&self.moved, &self.slow]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .chain(self.unset.iter().map(|unset| unset.why.as_str()))
            .collect()
    }

    fn equipment(&self) -> Option<Equipment> {
        let &CaptureStream { format, width, height, .. } = self;
        Some(Equipment {
            camera: self.describe(),
            format: format.name().into_owned(),
            width,
            height,
            fps: self.fps.map(|fps| rounded(fps, 3)),
            formats: self.about.offers.iter().map(Offer::json).collect(),
            controls: controls::list(&*self.kernel, &self.ids),
        })
    }

    fn set_controls(&mut self, wanted: &[(String, i64)]) -> Vec<Unset> {
        let refused = controls::set(&*self.kernel, &self.ids, wanted);
        let names = |list: &[Unset], name: &str| list.iter().any(|unset| unset.name == name);
        self.unset
            .retain(|old| names(&refused, &old.name) || !wanted.iter().any(|(name, _)| ctl_name(name) == old.name));
        refused
    }

    fn put_back(&mut self, before: &[(String, i64)], config: &[(String, i64)]) -> Vec<Unset> {
        let refused = controls::put_back(&*self.kernel, &self.ids, before);
        self.unset = controls::set(&*self.kernel, &self.ids, config);
        refused
    }
}

/// Requests a format and returns the one that the driver chose.
fn set_format(kernel: &dyn Kernel, choice: &Choice) -> io::Result<sys::v4l2_pix_format> {
    let mut wanted = sys::v4l2_format { type_: CAPTURE, ..zeroed() };
    wanted.fmt.pix = sys::v4l2_pix_format {
        width: choice.width,
        height: choice.height,
        pixelformat: u32::from_le_bytes(choice.format.fourcc),
        field: sys::v4l2_field_V4L2_FIELD_ANY,
        // SAFETY: `wanted` is all zeros, which is a valid pix_format.
        ..unsafe { wanted.fmt.pix }
    };
    call(kernel, vidioc::VIDIOC_S_FMT, &mut wanted)?;
    // SAFETY: a union of plain structs, and the type is CAPTURE: the driver filled in `pix`.
    Ok(unsafe { wanted.fmt.pix })
}

/// Sets the rate if the driver supports setting it. Returns the interval that the driver confirms, if any.
fn set_rate(kernel: &dyn Kernel, interval: Interval) -> Option<Interval> {
    let mut parameters = sys::v4l2_streamparm { type_: CAPTURE, ..zeroed() };
    call(kernel, vidioc::VIDIOC_G_PARM, &mut parameters).ok()?;
    // SAFETY: a union of plain structs, and the type is CAPTURE: the driver filled in `capture`.
    let capture = unsafe { &mut parameters.parm.capture };
    let before = capture.timeperframe;
    let mut kept = before;
    if capture.capability & sys::V4L2_CAP_TIMEPERFRAME != 0 {
        let Interval { numerator, denominator } = interval;
        capture.timeperframe = sys::v4l2_fract { numerator, denominator };
        match call(kernel, vidioc::VIDIOC_S_PARM, &mut parameters) {
            // SAFETY: as above.
            Ok(()) => kept = unsafe { parameters.parm.capture }.timeperframe,
            Err(error) => log::debug!("camera: cannot set the rate: {error}"),
        }
    }
    Some(Interval { numerator: kept.numerator, denominator: kept.denominator })
}

#[cfg(test)]
mod tests;
