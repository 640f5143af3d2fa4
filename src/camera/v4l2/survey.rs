//! The properties of a device node. They are queried here, because the crate's enumeration unwraps values of the
//! driver.

use super::{
    CAPTURE, Control, Kernel, MAX_ITEMS, Node, NodeKind, Plain, call, controls, sys, text, vidioc, words, zeroed,
};
use crate::camera::negotiate::{self, FrameRate, Interval, Mode, ModeRequest, Offer, Size};
use anyhow::Result;
use std::io;
use std::path::Path;
use v4l::frameinterval::FrameIntervalEnum;
use v4l::framesize::FrameSizeEnum;

/// The properties of a device node.
#[derive(Debug, Clone)]
pub struct Survey {
    pub card: String,
    pub driver: String,
    /// The bus and port.
    pub bus: String,
    pub kind: NodeKind,
    /// The pixel formats of the device, including formats that namecam does not read.
    pub offers: Vec<Offer>,
    pub controls: Vec<Control>,
}

/// Queries a device node. This works while another program streams from the node.
///
/// # Errors
/// The node does not exist, may not be opened, or is not a V4L2 device.
pub fn survey(path: &Path, request: &ModeRequest) -> Result<Survey> {
    let node = Node::open(path).map_err(|error| words::explain(path, "open", &error))?;
    let mut survey = identify(&node).map_err(|error| words::explain(path, "ask", &error))?;
    survey.offers = offers(&node, request);
    survey.controls = controls::list(&node, &controls::Ids::default());
    Ok(survey)
}

/// True when a program uses a device node exclusively.
pub fn is_busy(path: &Path) -> bool {
    Node::open(path).is_err_and(|error| error.kind() == io::ErrorKind::ResourceBusy)
}

impl Survey {
    /// Why namecam cannot use the device, and what to do; `None` when it can.
    pub fn problem(&self, request: &ModeRequest) -> Option<String> {
        if let Some(problem) = self.kind.problem(&self.driver, request) {
            return Some(problem);
        }
        let remedy = words::remedy(&self.driver, request);
        self.bayer_only().then(|| format!("this is a bare sensor that sends only raw Bayer data; use {remedy}"))
    }

    /// True for a capture node with only raw Bayer formats.
    pub fn bayer_only(&self) -> bool {
        self.kind == NodeKind::Capture && negotiate::bayer_only(&self.offers)
    }
}

pub(super) fn identify(kernel: &dyn Kernel) -> io::Result<Survey> {
    let mut caps: sys::v4l2_capability = zeroed();
    call(kernel, vidioc::VIDIOC_QUERYCAP, &mut caps)?;
    // `capabilities` describes the whole device, so a webcam's metadata node claims there to capture pictures.
    let own = caps.capabilities & sys::V4L2_CAP_DEVICE_CAPS != 0;
    let (card, driver, bus) = (text(&caps.card), text(&caps.driver), text(&caps.bus_info));
    let kind = NodeKind::of(if own { caps.device_caps } else { caps.capabilities }, &driver);
    Ok(Survey { card, driver, bus, kind, offers: Vec::new(), controls: Vec::new() })
}

/// Queries items 0, 1, ... until the driver reports the end.
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
    // A driver that ignores the index returns the same item without end.
    items.dedup();
    items
}

pub(super) fn offers(kernel: &dyn Kernel, request: &ModeRequest) -> Vec<Offer> {
    let question = |index| sys::v4l2_fmtdesc { index, type_: CAPTURE, ..zeroed() };
    let fourccs = enumerate(kernel, vidioc::VIDIOC_ENUM_FMT, question, |item| Some(item.pixelformat));
    let offer = |fourcc: u32| {
        let question = |index| sys::v4l2_frmsizeenum { index, pixel_format: fourcc, ..zeroed() };
        let sizes = enumerate(kernel, vidioc::VIDIOC_ENUM_FRAMESIZES, question, size);
        let mode = |size: Size| {
            let (width, height) = size.nearest(request.width, request.height);
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

fn rates(kernel: &dyn Kernel, fourcc: u32, width: u32, height: u32) -> Vec<FrameRate> {
    let question = |index| sys::v4l2_frmivalenum { index, pixel_format: fourcc, width, height, ..zeroed() };
    let interval = |given: v4l::Fraction| Interval { numerator: given.numerator, denominator: given.denominator };
    enumerate(kernel, vidioc::VIDIOC_ENUM_FRAMEINTERVALS, question, |item| {
        Some(match FrameIntervalEnum::try_from(item).ok()? {
            FrameIntervalEnum::Discrete(one) => FrameRate::One(interval(one)),
            FrameIntervalEnum::Stepwise(all) => {
                FrameRate::Steps { shortest: interval(all.min), longest: interval(all.max) }
            }
        })
    })
}
