//! How much memory recognition needs, and how much is available. dlib does not say how much a call will allocate, and
//! the kernel kills a program that exceeds its limit. So the memory that a config needs is computed before the config
//! is used, from measurements (`benches/memory.rs`), and compared with the limits of the control groups, the process
//! and the machine.

use crate::config::{CameraSource, Config, Detector, Landmarks};
use crate::image::still::KEPT_SIDE;
use std::fmt;
use std::path::{Path, PathBuf};

/// A million bytes, which is what "MB" means in every message and table of namecam.
const MB: u64 = 1_000_000;

// Measured by `cargo bench --bench memory` on x86-64 with dlib 19.24 and OpenBLAS 0.3.21: the peak of one call minus
// the memory of the process before it. dlib's allocations do not depend on the processor.

/// The CNN's bytes per pixel of [`pyramid_px`]: 264 to 270 were measured for 640x480 to 1280x960, with the copies of
/// the picture. Nearly all of it is the widest layer of dlib's network.
const CNN_BYTES_A_PIXEL: u64 = 280;
/// The CNN's memory beyond [`CNN_BYTES_A_PIXEL`], which counts for small pictures: 6 to 20 MB were measured.
const CNN_BYTES: u64 = 16 * MB;
/// HOG's bytes per pixel of the scaled picture: 11.5 to 14.4 were measured from 0.3 to 33 megapixels, with the copies
/// of the picture.
const HOG_BYTES_A_PIXEL: u64 = 16;
/// dlib's memory for 16 faces, or 16 jittered copies of one: it computes 16 descriptors at once, and keeps the
/// memory. 62 MB were measured for 16 faces, 66 MB for 32, 71 MB for 100 copies.
const DESCRIBE_BYTES: u64 = 72 * MB;
/// All other memory: 55 MB were measured with the models open; the rest is for a gallery, fonts and viewers.
const REST_BYTES: u64 = 80 * MB;
/// Bytes per pixel of the camera's frame, for all copies in use: captured, as RGB, with the overlay, encoded.
const FRAME_BYTES_A_PIXEL: u64 = 24;
/// The longest side in pixels to which a still picture is scaled for HOG. HOG finds a face from a twentieth of this
/// length.
pub const STILL_SIDE: u32 = 1600;
const STILL_PX: u64 = (STILL_SIDE as u64).pow(2);
/// The memory of a still picture of the gallery in three copies: the picture, a rotated copy when no face was found,
/// and a tile of the rotated copy.
const STILL_BYTES: u64 = 3 * 3 * (KEPT_SIDE as u64).pow(2);
/// Address space beyond the memory in use, which only RLIMIT_AS counts. 330 MB were measured (VmSize minus VmRSS)
/// without viewers and 453 MB with 30, for libraries, stacks and OpenBLAS's buffer of 134 MB; one more buffer is added.
const MAPPED_BYTES: u64 = 600 * MB;
/// Private mappings beyond the memory in use, which only RLIMIT_DATA counts. 287 MB were measured (VmData minus
/// RssAnon) without viewers and 412 MB with 30, most of it OpenBLAS's buffers and stacks; one more buffer is added.
const PRIVATE_BYTES: u64 = 550 * MB;
/// The largest buffer that OpenBLAS maps for a thread, on x86-64; on ARM it is smaller.
const BLAS_BUFFER_BYTES: u64 = 135 * MB;
/// The memory of the program with the models of 5 landmarks open, before it has described 16 faces at once: 73 MB were
/// measured.
const OPEN_BYTES: u64 = 80 * MB;
/// The memory of the model of 68 landmarks beyond that of 5.
const LANDMARKS_68_BYTES: u64 = 100 * MB;

/// The most pixels of the pyramid that the CNN gets at once, however much memory there is: two tiles of this size
/// (744x720) cover a frame of 1280x720.
const CNN_MOST_PYRAMID_PX: u64 = 2_040_000;
/// The fewest pixels of the pyramid that the CNN gets at once, for tiles of 400x400 pixels: smaller tiles consist
/// mostly of their overlap.
pub const CNN_LEAST_PYRAMID_PX: u64 = 635_000;
/// The most pixels of a frame.
const MOST_FRAME_PX: u64 = crate::image::MAX_PIXELS;

/// The files from which limits are read; tests use their own folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The mount point of the control groups.
    pub groups: PathBuf,
    /// The kernel's folder of this process: `/proc/self`.
    pub process: PathBuf,
    /// The machine's memory in bytes; 0 when unknown.
    pub ram: u64,
}

/// The lowest limit on memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The bytes that the program may use, after a reserve for others.
    pub usable: u64,
    /// The limit and the file or resource that sets it, for messages.
    pub what: String,
}

impl Machine {
    /// This machine and this process.
    pub fn this() -> Machine {
        Machine { groups: "/sys/fs/cgroup".into(), process: "/proc/self/".into(), ram: ram() }
    }

    /// The lowest limit; `None` when none is known.
    pub fn limit(&self) -> Option<Limit> {
        let mut limits = Vec::new();
        if self.ram > 0 {
            // A quarter is left to the kernel and other programs.
            limits.push(Limit { usable: self.ram / 4 * 3, what: format!("the machine has {}", mb(self.ram)) });
        }
        for group in self.groups() {
            for (file, bytes) in group.limits() {
                let what = format!("{file} of {} is {}", group.name, mb(bytes));
                // The kernel also counts caches and socket buffers, which it cannot always free.
                limits.push(Limit { usable: bytes / 10 * 9, what });
            }
        }
        self.process_limits(&mut limits);
        limits.into_iter().min_by_key(|limit| limit.usable)
    }

    /// The bytes that are free now or that the kernel can free, in the machine or in a control group, whichever has
    /// fewer. `None` when they are not known, for instance because the unit's ProcSubset=pid hides /proc/meminfo.
    pub fn available(&self) -> Option<u64> {
        let meminfo = std::fs::read_to_string(self.process.join("../meminfo")).unwrap_or_default();
        let machine = number_after(&meminfo, "MemAvailable:").map(|kilobytes| kilobytes * 1024);
        let groups = self.groups().into_iter().filter_map(|group| {
            let limit = group.limits().map(|(_, bytes)| bytes).min()?;
            let used = group.read(group.used).trim().parse::<u64>().ok()?;
            // The cache of files that were not read lately, which the kernel frees easily.
            let spare = number_after(&group.read("memory.stat"), group.spare).unwrap_or(0);
            Some(limit.saturating_sub(used.saturating_sub(spare)))
        });
        groups.chain(machine).min()
    }

    /// The bytes of memory that the process has in use.
    pub fn used(&self) -> Option<u64> {
        let status = std::fs::read_to_string(self.process.join("status")).ok()?;
        number_after(&status, "VmRSS:").map(|kilobytes| kilobytes * 1024)
    }

    /// The memory control groups of the process and their ancestors. A group that does not exist here belongs to
    /// another container's view; its files are empty.
    fn groups(&self) -> Vec<Group> {
        let cgroup = std::fs::read_to_string(self.process.join("cgroup")).unwrap_or_default();
        let mut groups = Vec::new();
        for line in cgroup.lines() {
            let mut parts = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
            let path = Path::new(path.trim_start_matches('/'));
            if path.components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
                continue;
            }
            let is_unified = controllers.is_empty();
            if !is_unified && controllers.split(',').all(|controller| controller != "memory") {
                continue;
            }
            groups.extend(path.ancestors().map(|group| {
                let name = if group.as_os_str().is_empty() { "/".to_owned() } else { group.display().to_string() };
                if is_unified {
                    let (maxima, used, spare) = (&["memory.max", "memory.high"][..], "memory.current", "inactive_file");
                    Group { folder: self.groups.join(group), name, maxima, used, spare }
                } else {
                    let folder = self.groups.join("memory").join(group);
                    let (maxima, used) = (&["memory.limit_in_bytes"][..], "memory.usage_in_bytes");
                    Group { folder, name, maxima, used, spare: "total_inactive_file" }
                }
            }));
        }
        groups
    }

    /// Adds the limits of `ulimit -d` and `-v`, or LimitDATA and LimitAS of a unit.
    fn process_limits(&self, limits: &mut Vec<Limit>) {
        let text = std::fs::read_to_string(self.process.join("limits")).unwrap_or_default();
        for (name, what, beyond) in
            [("Max data size", "RLIMIT_DATA", PRIVATE_BYTES), ("Max address space", "RLIMIT_AS", MAPPED_BYTES)]
        {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let soft = line.and_then(|line| line.split_whitespace().next()).and_then(|word| word.parse::<u64>().ok());
            let Some(bytes) = soft else { continue };
            let usable = (bytes / 10 * 9).saturating_sub(beyond);
            let what = format!("{what} is {}, less {} for libraries and stacks", mb(bytes), mb(beyond));
            limits.push(Limit { usable, what });
        }
    }
}

/// A memory control group of either version.
struct Group {
    folder: PathBuf,
    /// The path of the group, for messages.
    name: String,
    /// The files with limits.
    maxima: &'static [&'static str],
    /// The file with the memory in use.
    used: &'static str,
    /// The name in `memory.stat` of the part of the memory in use that the kernel frees easily.
    spare: &'static str,
}

impl Group {
    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.join(file)).unwrap_or_default()
    }

    /// The limits of the group and their files. "max" means no limit; version 1 uses a huge number.
    fn limits(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let number = |file: &&'static str| Some((*file, self.read(file).trim().parse::<u64>().ok()?));
        self.maxima.iter().filter_map(number).filter(|(_, bytes)| *bytes < 1 << 50)
    }
}

/// The number in the line that begins with the word `name`.
fn number_after(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().map(str::split_whitespace);
    lines.find_map(|mut words| (words.next() == Some(name)).then(|| words.next()?.parse().ok())?)
}

/// Checks that the system grants the address space that opening the models requests. When the system refuses OpenBLAS's
/// buffer, OpenBLAS requests it again without end.
///
/// # Errors
/// The bytes that the system refuses, and the limits that may be the reason.
pub fn check_opening(config: &Config) -> Result<(), String> {
    // One buffer per thread, and the size of another buffer for the models and dlib's network.
    let blocks = u64::from(config.recognition.blas_threads) + 1;
    if may_map(BLAS_BUFFER_BYTES, blocks) {
        return Ok(());
    }
    Err(format!(
        "opening the models asks for up to {} of address space, which the system refuses: raise ulimit -d and -v (LimitDATA \
         and LimitAS of the unit), or free memory where vm.overcommit_memory is 2",
        mb(blocks * BLAS_BUFFER_BYTES)
    ))
}

/// A message when too little memory is available now, although the config fits. `None` when the memory suffices or is
/// not known.
pub fn shortage(config: &Config, machine: &Machine) -> Option<String> {
    let needed = OPEN_BYTES + landmark_bytes(config);
    let available = machine.available().filter(|available| *available < needed)?;
    Some(format!("the models need about {} of memory, but {} are available now", mb(needed), mb(available)))
}

/// True when the system grants `blocks` mappings of `bytes` each at the same time. Nothing is written to the mappings,
/// so they take no memory.
fn may_map(bytes: u64, blocks: u64) -> bool {
    let length = bytes as usize;
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let mut mapped = Vec::new();
    for _ in 0..blocks {
        // SAFETY: without an address or a file, mmap makes a new mapping that nothing else refers to.
        let block = unsafe { libc::mmap(std::ptr::null_mut(), length, access, kind, -1, 0) };
        if block == libc::MAP_FAILED {
            break;
        }
        mapped.push(block);
    }
    let granted = mapped.len() as u64 == blocks;
    for block in mapped {
        // SAFETY: the mapping was made above with this length, and no reference to it exists.
        unsafe { libc::munmap(block, length) };
    }
    granted
}

/// The memory plan of a config on a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The most pixels that the detector gets at once: of the scaled picture for HOG, of [`pyramid_px`] for the CNN.
    pub most_px: u64,
    /// The most pixels of a frame. A driver or a program may deliver larger frames than configured; the remaining
    /// memory is divided between them and the detector.
    pub most_frame_px: u64,
    /// The peak memory during a look, in bytes.
    pub takes: u64,
    /// The limit.
    pub limit: Option<Limit>,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "needs up to {}", mb(self.takes))?;
        match &self.limit {
            Some(limit) => write!(f, " of {} available ({})", mb(limit.usable), limit.what),
            None => f.write_str("; no limit is known"),
        }
    }
}

/// The memory that the config needs, and the pixels that the detector may get at once.
///
/// # Errors
/// The config does not fit. The message names the keys, the memory they need, the limit and values that fit.
pub fn plan(config: &Config, machine: &Machine) -> Result<Plan, String> {
    let limit = machine.limit();
    let usable = limit.as_ref().map_or(u64::MAX, |limit| limit.usable);
    let (least, most) = bounds(config);
    let takes = |px| takes(config, px);
    if takes(least) > usable {
        let limit = limit.map(|limit| format!("{} ({})", mb(limit.usable), limit.what)).unwrap_or_default();
        return Err(format!(
            "{}: recognition needs up to {}, but only {limit} is available; {}",
            keys(config),
            mb(takes(least)),
            what_fits(config, usable)
        ));
    }
    let (_, a_pixel) = of_detector(config.recognition.detector);
    let spare = usable.saturating_sub(takes(least));
    // HOG needs memory only for frames of the configured size, so it gets less of the spare memory than the CNN, which
    // is slow with small tiles.
    let most_px = match config.recognition.detector {
        Detector::Hog => least + spare / 4 / a_pixel,
        Detector::Cnn => (least + spare / 8 * 7 / a_pixel).min(most),
    };
    let left = usable.saturating_sub(takes(most_px));
    let most_frame_px = (frame_px(config) + left / FRAME_BYTES_A_PIXEL).min(MOST_FRAME_PX);
    Ok(Plan { most_px, most_frame_px, takes: takes(most_px.min(most)), limit })
}

/// Refuses to decode a picture that takes `bytes` while a look may run.
///
/// # Errors
/// The memory that the picture takes, and the memory that is free.
pub fn check_beside_a_look(bytes: u64, config: &Config, machine: &Machine) -> Result<(), String> {
    // Meanwhile recognition may take what it has planned. A look has no copies of a still picture.
    let planned = config.recognition.enabled.then(|| plan(config, machine).ok()).flatten();
    let planned = planned.and_then(|plan| Some((plan.limit?.usable + STILL_BYTES).saturating_sub(plan.takes)));
    match planned.into_iter().chain(machine.available()).min() {
        Some(free) if free < bytes => {
            let (takes, free) = (mb(bytes), mb(free));
            Err(format!("too large to be shown: it takes {takes} of memory, and {free} are free; scale it down"))
        }
        _ => Ok(()),
    }
}

impl Plan {
    /// Refuses a frame that needs more memory than is available.
    ///
    /// # Errors
    /// The size of the frame, the largest that fits, and the keys to change.
    pub fn check_frame(&self, width: u32, height: u32) -> Result<(), String> {
        if u64::from(width) * u64::from(height) <= self.most_frame_px {
            return Ok(());
        }
        let limit = self.limit.as_ref().map(|limit| format!(" ({})", limit.what)).unwrap_or_default();
        Err(format!(
            "a frame of {width}x{height} needs more memory than is available{limit}: up to {:.1} megapixels fit; make the \
             camera or its program send smaller frames, or set [camera] width and height to the size that it sends to learn \
             what fits",
            self.most_frame_px as f64 / 1e6
        ))
    }
}

/// The peak memory of the program when the detector gets `px` pixels.
fn takes(config: &Config, px: u64) -> u64 {
    let (fixed, a_pixel) = of_detector(config.recognition.detector);
    let landmarks = landmark_bytes(config);
    let frame = frame_px(config).saturating_mul(FRAME_BYTES_A_PIXEL);
    // The network of the descriptor keeps its memory while the detector runs.
    REST_BYTES + DESCRIBE_BYTES + STILL_BYTES + landmarks + frame + fixed + px.saturating_mul(a_pixel)
}

fn landmark_bytes(config: &Config) -> u64 {
    if config.recognition.landmarks == Landmarks::SixtyEight { LANDMARKS_68_BYTES } else { 0 }
}

fn of_detector(detector: Detector) -> (u64, u64) {
    match detector {
        Detector::Hog => (0, HOG_BYTES_A_PIXEL),
        Detector::Cnn => (CNN_BYTES, CNN_BYTES_A_PIXEL),
    }
}

/// The fewest pixels that the detector must get at once, and the most that it can use.
fn bounds(config: &Config) -> (u64, u64) {
    let r = &config.recognition;
    match r.detector {
        Detector::Hog => {
            let px = scaled_px(config, r.detect_width, r.upsample).max(STILL_PX);
            (px, px)
        }
        // The same bounds hold for frames and for pictures of the gallery, which may need as many pixels as a frame.
        Detector::Cnn => (CNN_LEAST_PYRAMID_PX, CNN_MOST_PYRAMID_PX),
    }
}

/// The number of pixels of dlib's pyramid for a picture of `width` x `height` pixels. The pyramid holds the picture and
/// copies that shrink by five sixths each, laid out beside and below each other with a border around each. A network
/// allocates memory for the rectangle around all of them. The layout is that of `compute_tiled_image_pyramid_details`
/// of dlib 19.24.
pub fn pyramid_px(width: f64, height: f64) -> u64 {
    const PADDING: f64 = 10.0;
    const OUTER_PADDING: f64 = 11.0;
    const LEAST_HEIGHT: f64 = 5.0;
    let down = |side: f64| (side * 5.0 / 6.0).floor();
    let sides = std::iter::successors(Some((width, height)), |(w, h)| Some((down(*w), down(*h))));
    let sides: Vec<(f64, f64)> = sides.take_while(|(w, h)| *w >= 1.0 && *h >= LEAST_HEIGHT).collect();
    if sides.is_empty() {
        return 0;
    }
    let total = sides.iter().map(|(_, h)| h + PADDING).sum::<f64>() - 2.0 * PADDING;
    let (mut column, mut last_width) = (0.0, 0.0);
    for (w, h) in &sides {
        // The remaining copies fit into a second column, from bottom to top.
        if *w <= width - last_width - PADDING && (column - height) * 2.0 >= total - height {
            break;
        }
        column += h + PADDING;
        last_width = *w;
    }
    ((column - PADDING + 2.0 * OUTER_PADDING) * (width + 2.0 * OUTER_PADDING)) as u64
}

fn frame_px(config: &Config) -> u64 {
    (u64::from(config.camera.width) * u64::from(config.camera.height)).min(MOST_FRAME_PX)
}

/// The number of pixels of a frame that is scaled for the detector.
fn scaled_px(config: &Config, detect_width: u32, upsample: u32) -> u64 {
    let (width, height) = config.camera.turn().size(config.camera.width, config.camera.height);
    let (width, height) = (f64::from(width), f64::from(height));
    // A program or a recording may deliver frames of any size; frames that are at least as wide as `detect_width` cost
    // the most.
    let frame = if matches!(config.camera.source, CameraSource::Pipe(_) | CameraSource::Replay { .. }) {
        f64::INFINITY
    } else {
        width
    };
    let scaled = frame.min(f64::from(detect_width)) * f64::from(1 << upsample);
    (scaled * scaled * height / width).ceil() as u64
}

fn keys(config: &Config) -> String {
    let r = &config.recognition;
    format!(
        "[recognition] detector = {}, detect_width = {}, upsample = {} with [camera] width = {}, height = {}",
        r.detector.as_str(),
        r.detect_width,
        r.upsample,
        config.camera.width,
        config.camera.height
    )
}

/// Values that fit, as advice.
fn what_fits(config: &Config, usable: u64) -> String {
    let fits = |detector: Detector, detect_width: u32, upsample: u32| {
        let mut other = config.clone();
        other.recognition.detector = detector;
        (other.recognition.detect_width, other.recognition.upsample) = (detect_width, upsample);
        takes(&other, bounds(&other).0) <= usable
    };
    let r = &config.recognition;
    let mut ways = Vec::new();
    // The largest width that fits; 80 is the smallest value of the key.
    let width = (80..r.detect_width).rev().find(|width| fits(r.detector, *width, r.upsample));
    ways.extend(width.map(|width| format!("detect_width = {width}")));
    let upsample = (0..r.upsample).rev().find(|upsample| fits(r.detector, r.detect_width, *upsample));
    ways.extend(upsample.map(|upsample| format!("upsample = {upsample}")));
    if r.detector == Detector::Cnn && fits(Detector::Hog, r.detect_width, r.upsample) {
        ways.push("detector = hog".to_owned());
    }
    match ways.is_empty() {
        false => format!("{} fits", ways.join(", or ")),
        true => "that is too little for recognition: provide more memory, reduce [camera] width and height, or set \
                 [recognition] enabled = no"
            .to_owned(),
    }
}

/// Bytes as megabytes, rounded up; 1 MB is a million bytes.
pub fn mb(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(MB))
}

/// The machine's memory in bytes; 0 when unknown. It comes from sysinfo, because the unit's ProcSubset=pid hides
/// /proc/meminfo.
fn ram() -> u64 {
    // SAFETY: `info` is plain old data, for which zeros are a valid value; sysinfo writes only to `info`.
    let (failed, info) = unsafe {
        let mut info: libc::sysinfo = std::mem::zeroed();
        (libc::sysinfo(&mut info), info)
    };
    if failed != 0 {
        return 0;
    }
    // The fields are longs, 32 bits on small machines.
    #[allow(clippy::useless_conversion)]
    u64::from(info.totalram).saturating_mul(u64::from(info.mem_unit.max(1)))
}

#[cfg(test)]
mod tests;
