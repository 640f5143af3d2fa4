//! V4L2 cameras. This file and its folder are the only ones that know crate `v4l` and its bindings.
//!
//! Of the crate come the ioctl numbers, the structs and the decoding of sizes and intervals. Its enumeration and its
//! mmap stream are not used: they unwrap what a driver says (a card name cut inside a character, a colour space from
//! a newer kernel, a step of 0), and a panic ends the appliance.

mod controls;
mod queue;
mod words;

pub use controls::Control;
pub use words::{Kind, users_of};

use super::negotiate::{self, Choice, Interval, Mode, Offer, Rate, Size, Wish};
use super::{Captured, Shot, Source};
use crate::config;
use crate::frame::Moment;
use crate::pixels::{self, Format};
use anyhow::{Result, anyhow, bail};
use queue::{Queue, Take};
use std::ffi::{c_int, c_void};
use std::io;
use std::mem::size_of;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use v4l::frameinterval::FrameIntervalEnum;
use v4l::framesize::FrameSizeEnum;
use v4l::v4l_sys as sys;
use v4l::v4l2::vidioc;

/// Buffers of a single-planar capture device: the only kind that namecam asks for.
const CAPTURE: u32 = sys::v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE;
/// No enumeration is longer; a driver whose enumeration never ends must not hold up the camera.
const MAX_ITEMS: u32 = 256;

/// What is asked of the kernel: the seam at which the tests put a driver of their own.
trait Kernel {
    /// # Safety
    /// `argument` must point to the struct whose size the request number carries.
    unsafe fn ioctl(&self, request: vidioc::_IOC_TYPE, argument: *mut c_void) -> io::Result<()>;
    fn mmap(&self, length: usize, offset: u32) -> io::Result<*mut u8>;
    /// # Safety
    /// The mapping must come from `mmap` and be used no more.
    unsafe fn munmap(&self, start: *mut u8, length: usize) -> io::Result<()>;
    /// Waits once for a filled buffer; `revents` of poll(2), 0 after the timeout.
    fn poll(&self, timeout: Duration) -> io::Result<i16>;
    /// CLOCK_MONOTONIC, which buffers are stamped with.
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
        // SAFETY: the caller vouches for the argument; the descriptor is open as long as self lives.
        unsafe { v4l::v4l2::ioctl(self.0, request, argument) }
    }

    fn mmap(&self, length: usize, offset: u32) -> io::Result<*mut u8> {
        // Write permission is what drivers expect, even of those who only read.
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let (start, offset) = (std::ptr::null_mut(), offset.into());
        // SAFETY: the kernel chooses the address, so no memory of ours is replaced.
        let mapped = unsafe { v4l::v4l2::mmap(start, length, protection, libc::MAP_SHARED, self.0, offset) };
        mapped.map(|start| start.cast())
    }

    unsafe fn munmap(&self, start: *mut u8, length: usize) -> io::Result<()> {
        // SAFETY: the caller hands over a mapping of ours that nobody uses any more.
        unsafe { v4l::v4l2::munmap(start.cast(), length) }
    }

    fn poll(&self, timeout: Duration) -> io::Result<i16> {
        let timeout_ms = timeout.as_micros().div_ceil(1000).try_into().unwrap_or(c_int::MAX);
        let mut descriptor = libc::pollfd { fd: self.0, events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd, and the count says one.
        match unsafe { libc::poll(&mut descriptor, 1, timeout_ms) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(descriptor.revents),
        }
    }

    fn monotonic(&self) -> Duration {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `now` is ours to write; the clock exists on every Linux, and on an error it stays 0.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
        Duration::new(now.tv_sec.try_into().unwrap_or(0), now.tv_nsec.try_into().unwrap_or(0))
    }
}

/// # Safety
/// Only for plain C structs of integers, unions of them included, in which all zeros is a value.
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
    // SAFETY: Plain says that all zeros is a value.
    unsafe { std::mem::zeroed() }
}

/// One ioctl, again when a signal came between.
fn call<T: Plain>(kernel: &dyn Kernel, request: vidioc::_IOC_TYPE, argument: &mut T) -> io::Result<()> {
    // The kernel reads and writes as many bytes as the request number says.
    if (request >> 16) as usize & 0x3fff != size_of::<T>() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    loop {
        // SAFETY: the argument is a plain struct of the size that the request names.
        match unsafe { kernel.ioctl(request, (&raw mut *argument).cast()) } {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Text in a C array: up to the first 0, whatever bytes a driver put there.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).trim().to_owned()
}

/// What a device node says about itself.
#[derive(Debug, Clone)]
pub struct Survey {
    /// The camera's name.
    pub card: String,
    /// The driver's name.
    pub driver: String,
    /// Where it is plugged in.
    pub bus: String,
    /// What kind of node it is.
    pub kind: Kind,
    /// Its pixel formats, those included that namecam does not read.
    pub offers: Vec<Offer>,
    /// Its controls.
    pub controls: Vec<Control>,
}

/// Asks a device node what it is and has; possible while somebody else streams from it.
///
/// # Errors
/// In plain words: no such node, no permission, not a V4L2 device.
pub fn survey(path: &Path, wish: &Wish) -> Result<Survey> {
    let node = Node::open(path).map_err(|error| words::explain(path, "open", &error))?;
    let mut survey = identify(&node).map_err(|error| words::explain(path, "ask", &error))?;
    survey.offers = offers(&node, wish);
    survey.controls = controls::list(&node);
    Ok(survey)
}

fn identify(kernel: &dyn Kernel) -> io::Result<Survey> {
    let mut caps: sys::v4l2_capability = zeroed();
    call(kernel, vidioc::VIDIOC_QUERYCAP, &mut caps)?;
    // `capabilities` is of the whole device; a webcam's metadata node claims to capture there.
    let own = caps.capabilities & sys::V4L2_CAP_DEVICE_CAPS != 0;
    let kind = Kind::of(if own { caps.device_caps } else { caps.capabilities });
    let (card, driver, bus) = (text(&caps.card), text(&caps.driver), text(&caps.bus_info));
    Ok(Survey { card, driver, bus, kind, offers: Vec::new(), controls: Vec::new() })
}

/// Asks for item 0, 1, ... until the driver says that there are no more.
fn enumerate<T: Plain, R: PartialEq>(
    kernel: &dyn Kernel,
    request: vidioc::_IOC_TYPE,
    question: impl Fn(u32) -> T,
    read: impl Fn(T) -> Option<R>,
) -> Vec<R> {
    let answers = (0..MAX_ITEMS).map_while(|index| {
        let mut item = question(index);
        call(kernel, request, &mut item).ok().map(|()| item)
    });
    let mut items: Vec<R> = answers.filter_map(read).collect();
    // A driver that ignores the index says the same for ever.
    items.dedup();
    items
}

fn offers(kernel: &dyn Kernel, wish: &Wish) -> Vec<Offer> {
    let question = |index| sys::v4l2_fmtdesc { index, type_: CAPTURE, ..zeroed() };
    let fourccs = enumerate(kernel, vidioc::VIDIOC_ENUM_FMT, question, |item| Some(item.pixelformat));
    let offer = |fourcc: u32| {
        let question = |index| sys::v4l2_frmsizeenum { index, pixel_format: fourcc, ..zeroed() };
        let sizes = enumerate(kernel, vidioc::VIDIOC_ENUM_FRAMESIZES, question, size);
        let mode = |size: Size| {
            let (width, height) = size.nearest(wish.width, wish.height);
            Mode { size, rates: rates(kernel, fourcc, width, height) }
        };
        Offer { fourcc: fourcc.to_le_bytes(), modes: sizes.into_iter().map(mode).collect() }
    };
    fourccs.into_iter().map(offer).collect()
}

fn size(item: sys::v4l2_frmsizeenum) -> Option<Size> {
    Some(match FrameSizeEnum::try_from(item).ok()? {
        FrameSizeEnum::Discrete(one) => Size::One { width: one.width, height: one.height },
        FrameSizeEnum::Stepwise(all) => Size::Steps {
            min: (all.min_width, all.min_height),
            max: (all.max_width, all.max_height),
            step: (all.step_width, all.step_height),
        },
    })
}

fn rates(kernel: &dyn Kernel, fourcc: u32, width: u32, height: u32) -> Vec<Rate> {
    let question = |index| sys::v4l2_frmivalenum { index, pixel_format: fourcc, width, height, ..zeroed() };
    let interval = |given: v4l::Fraction| Interval { numerator: given.numerator, denominator: given.denominator };
    enumerate(kernel, vidioc::VIDIOC_ENUM_FRAMEINTERVALS, question, |item| {
        Some(match FrameIntervalEnum::try_from(item).ok()? {
            FrameIntervalEnum::Discrete(one) => Rate::One(interval(one)),
            FrameIntervalEnum::Stepwise(all) => Rate::Steps { shortest: interval(all.min), longest: interval(all.max) },
        })
    })
}

/// Opens the camera of the config and starts it.
///
/// # Errors
/// In plain words, with what to do about it: not there, not allowed, in use, not a camera, nothing that namecam reads.
pub fn open(camera: &config::Camera) -> Result<Box<dyn Source>> {
    let config::Source::Device(path) = &camera.source else {
        bail!("{} is not a V4L2 device", camera.source);
    };
    let node = Node::open(path).map_err(|error| words::explain(path, "open", &error))?;
    Ok(Box::new(start(Rc::new(node), path, camera)?))
}

fn start(kernel: Rc<dyn Kernel>, path: &Path, camera: &config::Camera) -> Result<Stream> {
    let about = identify(&*kernel).map_err(|error| words::explain(path, "ask", &error))?;
    let wish = Wish::of(camera);
    if let Some(problem) = about.kind.problem(&wish) {
        bail!("{}: {problem}", path.display());
    }
    let offers = offers(&*kernel, &wish);
    let choices =
        negotiate::rank(&offers, &wish).map_err(|why| anyhow!("{} ({}): {why}", path.display(), about.card))?;
    let mut refusal = anyhow!("{} takes none of its own formats", path.display());
    for choice in &choices {
        match Stream::start(&kernel, choice, camera, &about) {
            Ok(stream) => {
                log::debug!("camera: {}", choice.why);
                return Ok(stream);
            }
            Err(Refused::Answer(answer)) => refusal = anyhow!("{}: {answer}", path.display()),
            Err(Refused::Failed(doing, error)) => {
                refusal = words::explain(path, doing, &error);
                // A mode that the driver dislikes, or too much for the USB bus: another format may do.
                if !matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSPC)) {
                    break;
                }
            }
        }
        log::debug!("camera: {} is refused: {refusal}", choice.format.name());
    }
    Err(refusal)
}

/// Why a mode did not come about.
enum Refused {
    /// The driver answered with something else.
    Answer(String),
    /// What failed, and how.
    Failed(&'static str, io::Error),
}

/// A camera that runs.
struct Stream {
    queue: Queue,
    format: &'static Format,
    width: u32,
    height: u32,
    stride: u32,
    description: String,
}

impl Stream {
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
            Refused::Answer(format!("asked for {asked}, the driver answers {got}, which namecam does not read"))
        })?;
        let (width, height) = (pix.width, pix.height);
        pixels::check_size(width, height).map_err(Refused::Answer)?;
        // Some drivers leave bytesperline at 0, and for JPEG it means nothing.
        let stride = if format.jpeg { 0 } else { pix.bytesperline.max(format.min_stride(width)) };
        let interval = set_rate(&**kernel, choice.interval);
        controls::set(&**kernel, &camera.controls);
        let whole = format.min_size(width, height, stride);
        let queue = Queue::start(Rc::clone(kernel), whole).map_err(|(doing, error)| Refused::Failed(doing, error))?;
        // Some cameras forget their controls when they start; what goes wrong is said once, here.
        for warning in controls::set(&**kernel, &camera.controls) {
            log::warn!("camera: {warning}");
        }
        let fps = interval.and_then(Interval::fps).map_or("an unknown number of".to_owned(), negotiate::show_fps);
        let Survey { card, driver, bus, .. } = about;
        let description = format!("{card}, {} {width}x{height} at {fps} fps ({driver}, {bus})", format.name());
        Ok(Stream { queue, format, width, height, stride, description })
    }
}

impl Source for Stream {
    fn next(&mut self, timeout: Duration) -> Result<Shot> {
        let &mut Stream { format, width, height, stride, .. } = self;
        Ok(match self.queue.next(timeout).map_err(|error| words::lost(&error))? {
            Take::Nothing => Shot::Nothing,
            Take::Corrupt(why) => Shot::Corrupt(format!("{} {width}x{height}: {why}", format.name())),
            Take::Picture { bytes, age, dropped } => {
                let captured_at = age.map_or_else(Moment::now, Moment::ago);
                Shot::Picture(Captured { format, width, height, stride, bytes, captured_at, dropped })
            }
        })
    }

    fn describe(&self) -> String {
        self.description.clone()
    }
}

/// Asks for a format and returns the driver's answer, which is what counts.
fn set_format(kernel: &dyn Kernel, choice: &Choice) -> io::Result<sys::v4l2_pix_format> {
    let mut wanted = sys::v4l2_format { type_: CAPTURE, ..zeroed() };
    wanted.fmt.pix = sys::v4l2_pix_format {
        width: choice.width,
        height: choice.height,
        pixelformat: u32::from_le_bytes(choice.format.fourcc),
        field: sys::v4l2_field_V4L2_FIELD_ANY,
        // SAFETY: `wanted` is all zeros, which is a pix_format.
        ..unsafe { wanted.fmt.pix }
    };
    call(kernel, vidioc::VIDIOC_S_FMT, &mut wanted)?;
    // SAFETY: a union of plain structs, and the type is CAPTURE: the driver filled in `pix`.
    Ok(unsafe { wanted.fmt.pix })
}

/// Sets the rate where the driver can; the interval that it will keep, where it says.
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
            Err(error) => log::debug!("camera: the rate cannot be set: {error}"),
        }
    }
    Some(Interval { numerator: kept.numerator, denominator: kept.denominator })
}

#[cfg(test)]
mod tests;
