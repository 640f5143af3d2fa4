//! [`Shim`]: what stands between namecam and the kernel (shim.cpp), and obeys a test.

use crate::support::{Home, repo};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::Command;

/// An order, by its place in the file that shim.cpp maps.
#[derive(Clone, Copy)]
pub enum Order {
    /// Changes of files until the fault.
    Countdown,
    /// 0: the program ends at the fault; else the errno with which it and all later changes are refused.
    How,
    /// Not 0 while changes are refused.
    Refusing,
    /// How many changes there were.
    Changes,
    /// Seconds that are added to the time of day.
    ClockS,
    /// 1: no thread can be started.
    Threads,
    /// 1: dlib hangs, 2: it throws.
    Dlib,
    /// Not 0 once the fault has come.
    Reached,
    /// 1: the device hangs when a picture is taken from it.
    Device,
    /// The length of the device's JPEG.
    JpegBytes,
}

/// The orders of one running namecam, which counts changes below its home.
pub struct Shim(File);

impl Shim {
    /// The program of `home` with the shim, and what obeys.
    pub fn of(home: &Home) -> (Command, Shim) {
        let library = repo().join("target/tmp/torture-shim.so");
        static BUILT: std::sync::Once = std::sync::Once::new();
        BUILT.call_once(|| {
            std::fs::create_dir_all(library.parent().unwrap()).unwrap();
            let source = repo().join("tests/torture/shim.cpp");
            let arguments = ["-std=c++17", "-O1", "-fexceptions", "-shared", "-fPIC", "-o"];
            let status = Command::new("c++").args(arguments).arg(&library).arg(source).arg("-ldl").status();
            assert!(status.expect("a C++ compiler: make setup").success());
        });
        let orders = home.put("orders", &[0; 80]);
        let mut command = home.command();
        command.env("LD_PRELOAD", library).env("TORTURE_ORDERS", &orders).env("TORTURE_BELOW", home.path(""));
        (command, Shim(File::options().read(true).write(true).open(orders).unwrap()))
    }

    pub fn set(&self, order: Order, value: i64) {
        self.0.write_all_at(&value.to_ne_bytes(), order as u64 * 8).unwrap();
    }

    pub fn get(&self, order: Order) -> i64 {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, order as u64 * 8).unwrap();
        i64::from_ne_bytes(bytes)
    }
}
