//! The identity of a camera, by which it is found again when it is plugged in again and gets another number.

use super::nodes::nodes;
use super::{NodeKind, Survey};
use std::fs;
use std::path::{Path, PathBuf};

/// The properties that stay the same when a camera is plugged in again.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    card: String,
    driver: String,
    /// The port that the camera is plugged into.
    bus: String,
    /// The index among the nodes of the device: some devices have a second node, for example for infrared.
    index: Option<String>,
    usb: Option<Usb>,
    /// True when another device has the same model and serial number, so that only the port distinguishes them.
    has_twin: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Usb {
    vendor: String,
    product: String,
    /// The serial number. Many cameras have none; then only the port distinguishes two cameras of the same model.
    serial: Option<String>,
}

impl Usb {
    /// The USB device of a node whose folder in sysfs this is.
    fn of(folder: &Path) -> Option<Usb> {
        // `device` is the USB interface, and its parent is the device.
        let (vendor, product) = (read(folder, "device/../idVendor")?, read(folder, "device/../idProduct")?);
        Some(Usb { vendor, product, serial: read(folder, "device/../serial") })
    }
}

fn read(folder: &Path, file: &str) -> Option<String> {
    Some(fs::read_to_string(folder.join(file)).ok()?.trim().to_owned())
}

/// The folder of a node in sysfs.
fn folder_of(node: &Path, sys: &Path) -> PathBuf {
    // A by-id name is a link; sysfs uses the name of the node.
    let node = fs::canonicalize(node).unwrap_or_else(|_| node.to_owned());
    sys.join("class/video4linux").join(node.file_name().unwrap_or_default())
}

/// The other nodes with the USB model, serial number and index of the node whose folder in sysfs this is.
fn twins(folder: &Path) -> Vec<PathBuf> {
    let marks = |folder: &Path| Some((Usb::of(folder)?, read(folder, "index")));
    let (Some(own), Some(all)) = (marks(folder), folder.parent()) else { return Vec::new() };
    let others = fs::read_dir(all).into_iter().flatten().flatten().map(|entry| entry.path());
    others.filter(|other| other != folder && marks(other).as_ref() == Some(&own)).collect()
}

/// True when udev gives another node the same name in /dev/v4l/by-id. `sys` is the mount point of sysfs.
pub fn shares_name(node: &Path, sys: &Path) -> bool {
    !twins(&folder_of(node, sys)).is_empty()
}

impl Identity {
    fn of(about: &Survey, node: &Path, sys: &Path) -> Identity {
        let folder = folder_of(node, sys);
        // A camera with a second interface, for infrared, is no twin of itself.
        let device = |folder: &Path| fs::canonicalize(folder.join("device/..")).ok();
        let has_twin = twins(&folder).iter().any(|twin| device(twin) != device(&folder));
        let Survey { card, driver, bus, .. } = about.clone();
        Identity { card, driver, bus, index: read(&folder, "index"), usb: Usb::of(&folder), has_twin }
    }

    /// How reliably `other` is the same camera, from 0, the most reliable. `None` when it is another camera.
    fn same(&self, other: &Identity) -> Option<u8> {
        let alike = (&self.card, &self.driver, &self.index) == (&other.card, &other.driver, &other.index);
        let serial = |identity: &Identity| identity.usb.as_ref().is_some_and(|usb| usb.serial.is_some());
        let ways = [
            self.bus == other.bus && self.usb == other.usb,
            serial(self) && !self.has_twin && self.usb == other.usb,
            // A loopback camera (v4l2loopback) has no port: its bus is its number, and its name identifies it.
            self.bus.starts_with("platform:v4l2loopback") && self.usb.is_none() && other.usb.is_none(),
        ];
        ways.iter().position(|&way| alike && way).map(|way| way as u8)
    }
}

/// The last camera that ran, kept for the next opening.
pub struct LastCamera {
    dev: PathBuf,
    sys: PathBuf,
    /// The source of the config, and the camera that ran there.
    last: Option<(PathBuf, Identity)>,
}

impl Default for LastCamera {
    fn default() -> Self {
        LastCamera::new("/dev".into(), "/sys".into())
    }
}

impl LastCamera {
    /// `dev` is the folder of device nodes, `sys` the mount point of sysfs.
    pub(super) fn new(dev: PathBuf, sys: PathBuf) -> LastCamera {
        LastCamera { dev, sys, last: None }
    }

    /// Records that the camera of the config runs at `node`.
    pub(super) fn ran(&mut self, configured: &Path, node: &Path, about: &Survey) {
        self.last = Some((configured.to_owned(), Identity::of(about, node, &self.sys)));
    }

    /// The node at which to open the configured camera: the configured node, unless the camera that ran there is at
    /// another node now. The socket tells more than the serial number, because cheap cameras share one. When the camera
    /// is not found, any camera at the configured node is accepted. A name in /dev/v4l/by-path means the socket.
    pub(super) fn find(&self, configured: &Path, ask: impl Fn(&Path) -> Option<Survey>) -> PathBuf {
        let is_socket = configured.starts_with(self.dev.join("v4l/by-path"));
        let Some((_, last)) = self.last.as_ref().filter(|(source, _)| source == configured && !is_socket) else {
            return configured.to_owned();
        };
        let same = |node: &Path| {
            let about = ask(node).filter(|about| about.kind == NodeKind::Capture)?;
            last.same(&Identity::of(&about, node, &self.sys))
        };
        if same(configured) == Some(0) {
            return configured.to_owned();
        }
        let all = [configured.to_owned()].into_iter().chain(nodes(&self.dev));
        let found = all.filter_map(|node| Some((same(&node)?, node)));
        found.min_by_key(|&(way, _)| way).map_or_else(|| configured.to_owned(), |(_, node)| node)
    }
}
