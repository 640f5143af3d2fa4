//! Texts for the kinds of device nodes and their errors.

use super::sys;
use crate::camera::negotiate::{ModeRequest, csi_remedy};
use anyhow::{Error, anyhow};
use serde::Serialize;
use std::fs;
use std::io;
use std::path::Path;

/// The driver of loopback cameras. Another program feeds such a camera, and has its node open as well.
pub const LOOPBACK: &str = "v4l2 loopback";

/// The kind of a device node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeKind {
    Capture,
    /// Captures pictures in the multi-planar API, which namecam does not use.
    MultiPlanar,
    /// Captures from a pipeline that a program must set up first. The formats that the node lists are not the formats
    /// that it can deliver.
    MediaController,
    Metadata,
    /// Encodes, decodes or scales.
    Codec,
    Output,
    /// Captures pictures by read(2) only.
    NotStreaming,
    /// Radio, teletext, touch.
    Other,
}

impl NodeKind {
    /// The kind of a node with these capabilities, with exceptions for two drivers whose capabilities are misleading.
    pub(super) fn of(caps: u32, driver: &str) -> NodeKind {
        let has = |flag: u32| caps & flag != 0;
        // The image processor of a Raspberry Pi, which processes the pictures that are written to its other node.
        let processor = driver == "bcm2835-isp" && has(sys::V4L2_CAP_VIDEO_CAPTURE);
        // Older versions of v4l2loopback also claim to be a codec.
        let codec = has(sys::V4L2_CAP_VIDEO_M2M | sys::V4L2_CAP_VIDEO_M2M_MPLANE) && driver != LOOPBACK;
        if codec || processor {
            NodeKind::Codec
        } else if has(sys::V4L2_CAP_IO_MC) && has(sys::V4L2_CAP_VIDEO_CAPTURE | sys::V4L2_CAP_VIDEO_CAPTURE_MPLANE) {
            NodeKind::MediaController
        } else if has(sys::V4L2_CAP_TOUCH) {
            NodeKind::Other
        } else if has(sys::V4L2_CAP_VIDEO_CAPTURE) {
            if has(sys::V4L2_CAP_STREAMING) { NodeKind::Capture } else { NodeKind::NotStreaming }
        } else if has(sys::V4L2_CAP_VIDEO_CAPTURE_MPLANE) {
            NodeKind::MultiPlanar
        } else if has(sys::V4L2_CAP_META_CAPTURE | sys::V4L2_CAP_META_OUTPUT) {
            NodeKind::Metadata
        } else if has(sys::V4L2_CAP_VIDEO_OUTPUT | sys::V4L2_CAP_VIDEO_OUTPUT_MPLANE) {
            NodeKind::Output
        } else {
            NodeKind::Other
        }
    }

    /// The kind as text.
    pub fn what(self) -> &'static str {
        match self {
            NodeKind::Capture => "capture",
            NodeKind::MultiPlanar => "capture, multi-planar only",
            NodeKind::MediaController => "capture, set up by a media controller",
            NodeKind::Metadata => "metadata",
            NodeKind::Codec => "codec or scaler",
            NodeKind::Output => "output",
            NodeKind::NotStreaming => "capture without streaming",
            NodeKind::Other => "not video",
        }
    }

    /// Why namecam cannot take pictures from such a node, and what to do; `None` when it can.
    pub(super) fn problem(self, driver: &str, request: &ModeRequest) -> Option<String> {
        let other = "run namecam probe to list the cameras";
        let remedy = || remedy(driver, request);
        Some(match self {
            NodeKind::Capture => return None,
            NodeKind::MultiPlanar => {
                format!("this node is multi-planar only: a CSI camera or an image processor. Use {}", remedy())
            }
            NodeKind::MediaController => format!(
                "this node is a CSI camera, which another program must set up before it delivers pictures. Use {}",
                remedy()
            ),
            NodeKind::Metadata => {
                format!("this node has only the metadata of a camera; the pictures are at another node; {other}")
            }
            NodeKind::Codec => format!("this node is a codec or a scaler, not a camera; {other}"),
            NodeKind::Output => format!(
                "this node only outputs pictures (a v4l2loopback does so until a program writes to it); {other}"
            ),
            NodeKind::NotStreaming => format!("this camera does not stream; {other}"),
            NodeKind::Other => format!("this node is not a camera; {other}"),
        })
    }
}

/// The config line for a camera that V4L2 alone cannot read, by the driver of its board.
pub(super) fn remedy(driver: &str, request: &ModeRequest) -> String {
    if !driver.starts_with("tegra") {
        return csi_remedy(request);
    }
    let ModeRequest { width, height, fps, .. } = request;
    let caps = format!("video/x-raw(memory:NVMM),width={width},height={height},framerate={fps}/1");
    let rest = "nvvidconv ! video/x-raw,format=I420 ! jpegenc ! fdsink";
    format!("source = pipe:gst-launch-1.0 -q nvarguscamerasrc ! {caps} ! {rest}")
}

/// The error of a node, and what to do.
pub(super) fn explain(path: &Path, doing: &str, error: &io::Error) -> Error {
    let node = path.display();
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR) => anyhow!("no camera at {node}; run namecam probe to list the cameras"),
        Some(libc::ENODEV | libc::ENXIO) => anyhow!("the camera at {node} was unplugged; check its cable"),
        // The rights of a node give EACCES; EPERM is the answer of a device policy.
        Some(libc::EPERM) => anyhow!(
            "the device policy of the service or container does not allow {node}; restart it: sudo systemctl restart namecam"
        ),
        Some(libc::EACCES) => {
            anyhow!(
                "no permission for {node}; add the user to the group video (sudo usermod -aG video USER) and log in again"
            )
        }
        Some(libc::EBUSY) => match users_of(path).first() {
            Some(user) => anyhow!("{node} is in use by {user}; close that program"),
            None => anyhow!("{node} is in use by another program; find it with sudo fuser -v {node}"),
        },
        Some(libc::ENOTTY | libc::EINVAL) if doing == "ask" => {
            anyhow!("{node} is not a camera: it is not a V4L2 device")
        }
        _ => anyhow!("{node}: cannot {doing}: {error}"),
    }
}

/// The error of a mode for which the USB bus may have too little bandwidth, and what to do.
pub(super) fn no_bandwidth(path: &Path, doing: &str, error: &io::Error, jpeg_tried: bool) -> Error {
    let node = path.display();
    let remedy = if jpeg_tried {
        "a smaller size or rate, or another USB controller"
    } else {
        "format = mjpg, a smaller size, or another port"
    };
    match error.raw_os_error() {
        Some(libc::ENOSPC) => anyhow!("no USB bandwidth left for {node}; use {remedy}"),
        _ => anyhow!("{node}: cannot {doing}: {error}; try {remedy}"),
    }
}

/// The error that ended a stream.
pub(super) fn lost(error: &io::Error) -> Error {
    match error.raw_os_error() {
        Some(libc::ENODEV | libc::ENXIO) => anyhow!("the camera was unplugged"),
        Some(libc::EIO) => anyhow!("the camera stopped: {error}; check its cable and power supply"),
        _ => anyhow!("the camera stopped: {error}"),
    }
}

/// The other programs that have a node open, as far as permissions allow: `guvcview (pid 812)`.
pub fn users_of(path: &Path) -> Vec<String> {
    let Ok(node) = fs::canonicalize(path) else { return Vec::new() };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let others = pids.filter(|&pid| pid != std::process::id());
    let holds = |pid: &u32| {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        descriptors.into_iter().any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == node))
    };
    let name = |pid: u32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        format!("{} (pid {pid})", name.trim())
    };
    others.filter(holds).map(name).collect()
}
