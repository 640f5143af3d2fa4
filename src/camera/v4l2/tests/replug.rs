//! Tests that a camera that is unplugged and plugged in again is found by its identity and leaves no resources behind.

use super::driver::Driver;
use super::*;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

/// Simulated folders /dev and /sys, and the drivers of the nodes.
struct Machine {
    root: tempfile::TempDir,
    drivers: HashMap<PathBuf, Rc<Driver>>,
    memory: LastCamera,
}

impl Machine {
    fn new() -> Machine {
        let root = tempfile::tempdir().unwrap();
        let (dev, sys) = (root.path().join("dev"), root.path().join("sys"));
        fs::create_dir_all(&dev).unwrap();
        fs::create_dir_all(sys.join("class/video4linux")).unwrap();
        Machine { memory: LastCamera::new(dev, sys), drivers: HashMap::new(), root }
    }

    fn node(&self, name: &str) -> PathBuf {
        self.root.path().join("dev").join(name)
    }

    /// Plugs in a camera; `usb` holds its vendor, product and serial number, separated by spaces.
    fn plug(&mut self, name: &str, card: &str, bus: &str, usb: Option<&str>) {
        let driver = Driver::webcam(RAW);
        (driver.state().card, driver.state().bus) = (card.into(), bus.into());
        let (node, sys) = (self.node(name), self.root.path().join("sys"));
        fs::write(&node, "").unwrap();
        let device = sys.join("devices").join(name).join("1-1:1.0");
        let class = sys.join("class/video4linux").join(name);
        fs::create_dir_all(&device).unwrap();
        fs::create_dir_all(&class).unwrap();
        symlink(&device, class.join("device")).unwrap();
        fs::write(class.join("index"), "0\n").unwrap();
        for (file, value) in ["idVendor", "idProduct", "serial"].iter().zip(usb.unwrap_or_default().split_whitespace())
        {
            fs::write(device.parent().unwrap().join(file), format!("{value}\n")).unwrap();
        }
        self.drivers.insert(node, driver);
    }

    fn unplug(&mut self, name: &str) {
        let node = self.node(name);
        fs::remove_file(&node).unwrap();
        fs::remove_dir_all(self.root.path().join("sys/class/video4linux").join(name)).unwrap();
        fs::remove_dir_all(self.root.path().join("sys/devices").join(name)).unwrap();
        self.drivers.remove(&node);
    }

    fn ask(&self, node: &Path) -> Option<Survey> {
        let node = fs::canonicalize(node).ok()?;
        identify(&**self.drivers.get(&node)?).ok()
    }

    /// The node at which the camera of this source is found. A camera that is found counts as running from then on.
    fn found(&mut self, source: &Path) -> String {
        let node = self.memory.find(source, |node| self.ask(node));
        if let Some(about) = self.ask(&node) {
            self.memory.ran(source, &node, &about);
        }
        node.file_name().unwrap().to_str().unwrap().to_owned()
    }
}

#[test]
fn a_camera_is_followed_to_its_new_number_and_the_configured_node_has_priority() {
    let mut machine = Machine::new();
    let source = machine.node("video0");
    machine.plug("video0", "C920", "usb-1", Some("046d 082d ABC"));
    machine.plug("video1", "C270", "usb-2", Some("046d 0825 DEF"));
    assert_eq!(machine.found(&source), "video0");
    machine.unplug("video0");
    assert_eq!(machine.found(&source), "video0", "another camera is not it");
    machine.plug("video2", "C920", "usb-1", Some("046d 082d ABC"));
    assert_eq!(machine.found(&source), "video2", "the same socket");
    machine.unplug("video2");
    machine.plug("video0", "C920", "usb-7", Some("046d 082d ABC"));
    assert_eq!(machine.found(&source), "video0", "back where the config has it, at another socket");
    machine.unplug("video0");
    machine.plug("video3", "C920", "usb-3", Some("046d 082d ABC"));
    machine.plug("video4", "C920", "usb-7", Some("046d 082d ABC"));
    assert_eq!(machine.found(&source), "video4", "the socket tells more than the serial number");
}

#[test]
fn another_camera_at_the_configured_node_is_used_only_when_the_known_camera_is_missing() {
    let mut machine = Machine::new();
    let source = machine.node("video0");
    machine.plug("video0", "C920", "usb-1", Some("046d 082d ABC"));
    machine.found(&source);
    machine.unplug("video0");
    machine.plug("video0", "C270", "usb-2", Some("046d 0825 DEF"));
    machine.plug("video5", "C920", "usb-9", Some("046d 082d ABC"));
    assert_eq!(machine.found(&source), "video5", "two cameras changed their numbers");
    machine.unplug("video5");
    assert_eq!(machine.found(&source), "video0", "what the user has put there");
    machine.plug("video5", "C920", "usb-9", Some("046d 082d ABC"));
    assert_eq!(machine.found(&source), "video0", "and from then on it is that one");
}

#[test]
fn without_serial_numbers_only_the_port_distinguishes_two_equal_cameras() {
    let mut machine = Machine::new();
    let source = machine.node("video0");
    machine.plug("video0", "cheap", "usb-1", Some("1234 5678"));
    machine.plug("video1", "cheap", "usb-2", Some("1234 5678"));
    machine.found(&source);
    machine.unplug("video0");
    assert_eq!(machine.found(&source), "video0", "its twin is not it");
    machine.plug("video3", "cheap", "usb-1", Some("1234 5678"));
    assert_eq!(machine.found(&source), "video3");
}

#[test]
fn of_two_cameras_with_one_serial_number_the_one_in_the_same_socket_is_used() {
    let mut machine = Machine::new();
    let source = machine.node("video0");
    machine.plug("video0", "cheap", "usb-1", Some("1234 5678 ABC"));
    machine.found(&source);
    machine.unplug("video0");
    machine.plug("video0", "cheap", "usb-2", Some("1234 5678 ABC"));
    machine.plug("video2", "cheap", "usb-1", Some("1234 5678 ABC"));
    assert_eq!(machine.found(&source), "video2");
    machine.unplug("video2");
    machine.unplug("video0");
    machine.plug("video3", "cheap", "usb-2", Some("1234 5678 ABC"));
    assert_eq!(machine.found(&source), "video0", "its twin, which was there while it ran, is not it");
}

#[test]
fn a_name_in_by_path_means_the_socket() {
    let mut machine = Machine::new();
    fs::create_dir_all(machine.node("v4l/by-path")).unwrap();
    let source = machine.node("v4l/by-path/usb-1");
    machine.plug("video0", "C920", "usb-1", Some("046d 082d ABC"));
    symlink(machine.node("video0"), &source).unwrap();
    assert_eq!(machine.found(&source), "usb-1");
    machine.unplug("video0");
    machine.plug("video1", "C920", "usb-2", Some("046d 082d ABC"));
    assert_eq!(machine.found(&source), "usb-1", "the user has named a socket, which is empty");
}

#[test]
fn a_lasting_name_that_has_vanished_is_followed_too_and_metadata_nodes_are_skipped() {
    let mut machine = Machine::new();
    machine.plug("video0", "C920", "usb-1", Some("046d 082d ABC"));
    let source = machine.node("by-id");
    symlink(machine.node("video0"), &source).unwrap();
    assert_eq!(machine.found(&source), "by-id");
    machine.unplug("video0");
    machine.plug("video1", "C920", "usb-1", Some("046d 082d ABC"));
    machine.plug("video2", "C920", "usb-1", Some("046d 082d ABC"));
    machine.drivers[&machine.node("video1")].state().device_caps = sys::V4L2_CAP_META_CAPTURE;
    assert_eq!(machine.found(&source), "video2");
}

#[test]
fn a_loopback_is_known_by_its_name_and_a_new_source_is_unknown() {
    let mut machine = Machine::new();
    let source = machine.node("video0");
    machine.plug("video0", "door", "platform:v4l2loopback-000", None);
    machine.found(&source);
    machine.unplug("video0");
    machine.plug("video1", "garden", "platform:v4l2loopback-001", None);
    machine.plug("video2", "door", "platform:v4l2loopback-002", None);
    assert_eq!(machine.found(&source), "video2");
    let other = machine.node("video7");
    assert_eq!(machine.found(&other), "video7", "what ran at another source is not looked for");
}

#[test]
fn a_thousand_cameras_that_are_plugged_and_unplugged_leave_nothing_behind() {
    let driver = Driver::webcam(RAW);
    // The ends in turn: unplugged while running, refused at each step of the start, stopped normally.
    let steps = ["poll", "STREAMON", "QBUF", "mmap", "QUERYBUF", "REQBUFS", "S_FMT", "QUERYCAP"];
    for round in 0..1000 {
        let step = steps.get(round % (steps.len() + 1));
        driver.state().failures = step.map(|&step| (step, libc::ENODEV)).into_iter().collect();
        if let Ok(mut stream) = begin(&driver, &camera()) {
            assert_eq!(stream.next(PATIENCE).is_err(), step == Some(&"poll"));
        }
        assert!(driver.state().mapped.is_empty(), "round {round}");
    }
    assert_eq!(Rc::strong_count(&driver), 1, "the device is still open");
}

#[test]
fn a_thousand_attempts_leave_no_descriptor_open() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let source = config::CameraSource::Device(file.path().into());
    let (camera, mut memory) = (config::Camera { source, ..camera() }, LastCamera::default());
    let open_files = || {
        let descriptors = fs::read_dir("/proc/self/fd").unwrap().flatten();
        descriptors.filter(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == file.path())).count()
    };
    let before = open_files();
    for _ in 0..1000 {
        assert!(open(&camera, &mut memory).err().unwrap().to_string().ends_with("is not a V4L2 device"));
    }
    assert_eq!((before, open_files()), (1, 1), "the test's own");
}
