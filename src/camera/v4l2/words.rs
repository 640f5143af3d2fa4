//! Plain words for what a device node is and for what goes wrong with it.

use super::sys;
use crate::camera::negotiate::{Wish, csi_remedy};
use anyhow::{Error, anyhow};
use serde::Serialize;
use std::fs;
use std::io;
use std::path::Path;

/// The driver of cameras that another program feeds; that program has the node open as well.
pub const LOOPBACK: &str = "v4l2 loopback";

/// What a device node is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Pictures come out of it.
    Capture,
    /// Pictures come out of it, in a way that namecam does not read.
    MultiPlanar,
    /// A sensor's end of a chain that a program must set up first; the formats that it lists are not those that it has.
    MediaController,
    /// Data about pictures come out of it.
    Metadata,
    /// Pictures go in and come out: an encoder, a decoder, a scaler.
    Codec,
    /// Pictures go in.
    Output,
    /// Pictures come out of it, but only by read(2).
    NotStreaming,
    /// Radio, teletext, touch.
    Other,
}

impl Kind {
    /// By the capabilities of the node, and by what is known of two drivers whose capabilities say something else.
    pub(super) fn of(caps: u32, driver: &str) -> Kind {
        let has = |flag: u32| caps & flag != 0;
        // It captures what is put into its other node: the image processor of a Raspberry Pi.
        let processor = driver == "bcm2835-isp" && has(sys::V4L2_CAP_VIDEO_CAPTURE);
        // Older versions claim to be a codec besides what they are.
        let codec = has(sys::V4L2_CAP_VIDEO_M2M | sys::V4L2_CAP_VIDEO_M2M_MPLANE) && driver != LOOPBACK;
        if codec || processor {
            Kind::Codec
        } else if has(sys::V4L2_CAP_IO_MC) && has(sys::V4L2_CAP_VIDEO_CAPTURE | sys::V4L2_CAP_VIDEO_CAPTURE_MPLANE) {
            Kind::MediaController
        } else if has(sys::V4L2_CAP_TOUCH) {
            Kind::Other
        } else if has(sys::V4L2_CAP_VIDEO_CAPTURE) {
            if has(sys::V4L2_CAP_STREAMING) { Kind::Capture } else { Kind::NotStreaming }
        } else if has(sys::V4L2_CAP_VIDEO_CAPTURE_MPLANE) {
            Kind::MultiPlanar
        } else if has(sys::V4L2_CAP_META_CAPTURE | sys::V4L2_CAP_META_OUTPUT) {
            Kind::Metadata
        } else if has(sys::V4L2_CAP_VIDEO_OUTPUT | sys::V4L2_CAP_VIDEO_OUTPUT_MPLANE) {
            Kind::Output
        } else {
            Kind::Other
        }
    }

    /// What it is, for people.
    pub fn what(self) -> &'static str {
        match self {
            Kind::Capture => "capture",
            Kind::MultiPlanar => "capture, multi-planar only",
            Kind::MediaController => "capture, set up by a media controller",
            Kind::Metadata => "metadata",
            Kind::Codec => "codec or scaler",
            Kind::Output => "output",
            Kind::NotStreaming => "capture without streaming",
            Kind::Other => "not video",
        }
    }

    /// Why namecam cannot take pictures from it and what to do; `None` when it can.
    pub(super) fn problem(self, driver: &str, wish: &Wish) -> Option<String> {
        let other = "namecam probe lists those that are there";
        let remedy = || remedy(driver, wish);
        Some(match self {
            Kind::Capture => return None,
            Kind::MultiPlanar => {
                format!("this node is multi-planar only: a CSI camera or an image processor. Use {}", remedy())
            }
            Kind::MediaController => format!(
                "this node is a CSI camera, which another program must set up before it gives pictures. Use {}",
                remedy()
            ),
            Kind::Metadata => {
                format!("this node carries the metadata of a camera; the pictures are at another node, {other}")
            }
            Kind::Codec => format!("this node is a codec or a scaler, not a camera; {other}"),
            Kind::Output => format!(
                "this node takes pictures and gives none (a v4l2loopback does so until something is written to it); {other}"
            ),
            Kind::NotStreaming => format!("this camera does not stream; {other}"),
            Kind::Other => format!("this node is not a camera; {other}"),
        })
    }
}

/// The line of the config for a camera that V4L2 alone cannot read, by the driver of its board.
pub(super) fn remedy(driver: &str, wish: &Wish) -> String {
    if !driver.starts_with("tegra") {
        return csi_remedy(wish);
    }
    let Wish { width, height, fps, .. } = wish;
    let caps = format!("video/x-raw(memory:NVMM),width={width},height={height},framerate={fps}/1");
    let rest = "nvvidconv ! video/x-raw,format=I420 ! jpegenc ! fdsink";
    format!("source = pipe:gst-launch-1.0 -q nvarguscamerasrc ! {caps} ! {rest}")
}

/// What went wrong with a node, and what to do about it.
pub(super) fn explain(path: &Path, doing: &str, error: &io::Error) -> Error {
    let node = path.display();
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR) => anyhow!("no camera at {node}; namecam probe lists those that are there"),
        Some(libc::ENODEV | libc::ENXIO) => anyhow!("the camera at {node} is gone; is its cable in?"),
        Some(libc::EACCES | libc::EPERM) => {
            anyhow!("no permission for {node}; add the user to the group video: sudo usermod -aG video USER")
        }
        Some(libc::EBUSY) => match users_of(path).first() {
            Some(user) => anyhow!("{node} is in use by {user}"),
            None => anyhow!("{node} is in use by another program; sudo fuser -v {node} says by which"),
        },
        Some(libc::ENOSPC) => {
            anyhow!("no USB bandwidth left for {node}: use another port, format = mjpg, or a smaller width and height")
        }
        Some(libc::ENOTTY | libc::EINVAL) if doing == "ask" => anyhow!("{node} is no camera: it is not a V4L2 device"),
        _ => anyhow!("{node}: cannot {doing}: {error}"),
    }
}

/// What ended a stream.
pub(super) fn lost(error: &io::Error) -> Error {
    match error.raw_os_error() {
        Some(libc::ENODEV | libc::ENXIO) => anyhow!("the camera was unplugged"),
        Some(libc::EIO) => anyhow!("the camera stopped: {error}; a bad cable or too little power may be why"),
        _ => anyhow!("the camera stopped: {error}"),
    }
}

/// Other programs that have a node open, as far as one may look: `guvcview (pid 812)`.
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
