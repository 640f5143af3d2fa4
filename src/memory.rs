//! How much memory recognition takes, and how much there is. dlib does not say what a call will allocate, and a program that
//! takes more than it may is killed; so what a config leads to is computed before it is at work, from what was measured
//! (`benches/memory.rs`), and compared with the limits of the control groups, of the process and of the machine.

use crate::config::{Config, Detector, Landmarks, Source};
use std::fmt;
use std::path::{Path, PathBuf};

/// A million bytes: what "MB" means in every message and table of namecam.
const MB: u64 = 1_000_000;

// Measured by `cargo bench --bench memory` on x86-64 with dlib 19.24 and OpenBLAS 0.3.21: the peak of one call less what the
// process had before. What dlib allocates does not depend on the processor.

/// Bytes a pixel of [`pyramid_px`] that the CNN takes: 264 to 270 were measured for 640x480 to 1280x960, with the copies of the
/// picture. Nearly all of it is the widest layer of dlib's network.
const CNN_BYTES_A_PIXEL: u64 = 280;
/// What the CNN takes beside that, for small pictures: 6 to 20 MB were measured.
const CNN_BYTES: u64 = 16 * MB;
/// Bytes a pixel, once scaled, that HOG takes: 11.5 to 14.4 were measured from 0.3 to 33 megapixels, with the copies of the
/// picture.
const HOG_BYTES_A_PIXEL: u64 = 16;
/// What dlib takes for 16 faces, or 16 shaken copies of one: it describes so many at once, and keeps the memory. 62 MB were
/// measured for 16, 66 MB for 32 faces, 71 MB for 100 copies.
const DESCRIBE_BYTES: u64 = 72 * MB;
/// Everything else: 55 MB were measured with the models, and a gallery, fonts and viewers come to that.
const REST_BYTES: u64 = 80 * MB;
/// Bytes a pixel of the camera's frame, for the frames that are under way: as captured, as RGB, drawn on, encoded.
const FRAME_BYTES_A_PIXEL: u64 = 24;
/// The longest side, in pixels, that a still picture is scaled to for HOG. Faces on it need a twentieth of that.
pub const STILL_SIDE: u32 = 1600;
const STILL_PX: u64 = (STILL_SIDE as u64).pow(2);
/// The longest side, in pixels, of a still picture that is kept while the detector is at work. The least face that HOG finds on
/// it is 120 pixels wide, and dlib's network is given faces at about 100, so neither uses what is left out.
pub const KEPT_SIDE: u32 = STILL_SIDE / 2 * 3;
/// A still picture of the gallery in three copies: as it is kept, turned where no face was found on it, and a tile of that.
const STILL_BYTES: u64 = 3 * 3 * (KEPT_SIDE as u64).pow(2);
/// What the program maps beyond the memory that it takes, which only RLIMIT_AS counts: 330 MB were measured (VmSize less VmRSS)
/// without viewers and 453 MB with 30, for libraries, stacks and the 134 MB that OpenBLAS asks for a buffer; and one more buffer.
const MAPPED_BYTES: u64 = 600 * MB;
/// What the model of 68 landmarks takes beyond that of 5.
const LANDMARKS_68_BYTES: u64 = 100 * MB;

/// The CNN is not given more pixels of the pyramid at once, however much memory there is: two tiles of this size (744x720)
/// hold a frame of 1280x720.
const CNN_MOST_PYRAMID_PX: u64 = 2_040_000;
/// Nor fewer (400x400): smaller tiles are mostly what they share with their neighbours.
pub const CNN_LEAST_PYRAMID_PX: u64 = 635_000;
/// No frame has more pixels.
const MOST_FRAME_PX: u64 = crate::pixels::MAX_PIXELS;

/// Where limits are read. Tests bring folders of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Where control groups are mounted.
    pub groups: PathBuf,
    /// What the kernel says of this process: `/proc/self`.
    pub process: PathBuf,
    /// The machine's memory, bytes; 0 where that is not known.
    pub ram: u64,
}

/// The least of all limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// How many bytes the program may take, with what it should leave to others already taken off.
    pub usable: u64,
    /// The limit and whose it is, for a person.
    pub what: String,
}

impl Machine {
    /// This machine and this process.
    pub fn this() -> Machine {
        Machine { groups: "/sys/fs/cgroup".into(), process: "/proc/self/".into(), ram: ram() }
    }

    /// The least of all limits; `None` where none is known.
    pub fn limit(&self) -> Option<Limit> {
        let mut limits = Vec::new();
        if self.ram > 0 {
            // A quarter is the kernel's and other programs'.
            limits.push(Limit { usable: self.ram / 4 * 3, what: format!("the machine has {}", mb(self.ram)) });
        }
        let cgroup = std::fs::read_to_string(self.process.join("cgroup")).unwrap_or_default();
        for line in cgroup.lines() {
            let mut parts = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
            if controllers.is_empty() {
                self.group_limits(&self.groups, path, &["memory.max", "memory.high"], &mut limits);
            } else if controllers.split(',').any(|controller| controller == "memory") {
                self.group_limits(&self.groups.join("memory"), path, &["memory.limit_in_bytes"], &mut limits);
            }
        }
        self.process_limits(&mut limits);
        limits.into_iter().min_by_key(|limit| limit.usable)
    }

    /// Those of the group at `path` below `root` and of all above it. A group that is not there is one of another
    /// container's view, and says nothing.
    fn group_limits(&self, root: &Path, path: &str, files: &[&str], limits: &mut Vec<Limit>) {
        let path = Path::new(path.trim_start_matches('/'));
        if path.components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
            return;
        }
        for group in path.ancestors() {
            for file in files {
                let text = std::fs::read_to_string(root.join(group).join(file)).unwrap_or_default();
                // No limit is the word "max", or in version 1 a number that no machine has.
                let Some(bytes) = text.trim().parse::<u64>().ok().filter(|bytes| *bytes < 1 << 50) else { continue };
                let whose = if group.as_os_str().is_empty() { "/".to_owned() } else { group.display().to_string() };
                // The kernel counts caches and buffers of sockets too, which it cannot always let go.
                limits.push(Limit { usable: bytes / 10 * 9, what: format!("{file} of {whose} is {}", mb(bytes)) });
            }
        }
    }

    /// `ulimit -d` and `-v`, or LimitDATA and LimitAS of a unit.
    fn process_limits(&self, limits: &mut Vec<Limit>) {
        let text = std::fs::read_to_string(self.process.join("limits")).unwrap_or_default();
        for (name, what, beyond) in
            [("Max data size", "RLIMIT_DATA", 0), ("Max address space", "RLIMIT_AS", MAPPED_BYTES)]
        {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let soft = line.and_then(|line| line.split_whitespace().next()).and_then(|word| word.parse::<u64>().ok());
            let Some(bytes) = soft else { continue };
            let less =
                if beyond > 0 { format!(", less {} for libraries and stacks", mb(beyond)) } else { String::new() };
            let usable = (bytes / 10 * 9).saturating_sub(beyond);
            limits.push(Limit { usable, what: format!("{what} is {}{less}", mb(bytes)) });
        }
    }
}

/// What a config leads to, on a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// How many pixels the detector is given at once, at most: of the scaled picture for HOG, of [`pyramid_px`] for the CNN.
    pub most_px: u64,
    /// How many pixels a frame may have. A driver or a program may give larger frames than the config asks for: what memory is
    /// left is shared out between them and the detector.
    pub most_frame_px: u64,
    /// What the program takes at most during a look, bytes.
    pub takes: u64,
    /// What it may take.
    pub limit: Option<Limit>,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "up to {} during a look", mb(self.takes))?;
        match &self.limit {
            Some(limit) => write!(f, ", of {} ({})", mb(limit.usable), limit.what),
            None => f.write_str("; no limit is known"),
        }
    }
}

/// What the config takes, and with how many pixels at once the detector must do.
///
/// # Errors
/// It does not fit: says which keys are too large, what they take, what there is, and what fits.
pub fn plan(config: &Config, machine: &Machine) -> Result<Plan, String> {
    let limit = machine.limit();
    let usable = limit.as_ref().map_or(u64::MAX, |limit| limit.usable);
    let (least, most) = bounds(config);
    let takes = |px| takes(config, px);
    if takes(least) > usable {
        let limit = limit.map(|limit| format!("{} ({})", mb(limit.usable), limit.what)).unwrap_or_default();
        return Err(format!(
            "{}: a look takes up to {}, and there are {limit}; {}",
            keys(config),
            mb(takes(least)),
            what_fits(config, usable)
        ));
    }
    let (_, a_pixel) = of_detector(config.recognition.detector);
    let spare = usable.saturating_sub(takes(least));
    // HOG has what it needs for frames as they were asked for. The CNN is slow with small tiles.
    let most_px = match config.recognition.detector {
        Detector::Hog => least + spare / 4 / a_pixel,
        Detector::Cnn => (least + spare / 8 * 7 / a_pixel).min(most),
    };
    let left = usable.saturating_sub(takes(most_px));
    let most_frame_px = (frame_px(config) + left / FRAME_BYTES_A_PIXEL).min(MOST_FRAME_PX);
    Ok(Plan { most_px, most_frame_px, takes: takes(most_px.min(most)), limit })
}

impl Plan {
    /// Refuses a frame that is larger than there is memory for.
    ///
    /// # Errors
    /// Says how large it is, how large it may be, and which keys to look at.
    pub fn check_frame(&self, width: u32, height: u32) -> Result<(), String> {
        if u64::from(width) * u64::from(height) <= self.most_frame_px {
            return Ok(());
        }
        let limit = self.limit.as_ref().map(|limit| format!(" ({})", limit.what)).unwrap_or_default();
        Err(format!(
            "a frame of {width}x{height} is larger than there is memory for{limit}: up to {:.1} megapixels fit; have the camera \
             or its program send smaller ones, or set [camera] width and height to the size that it sends, and namecam says \
             what fits",
            self.most_frame_px as f64 / 1e6
        ))
    }
}

/// What the program takes at most while the detector looks at `px` pixels.
fn takes(config: &Config, px: u64) -> u64 {
    let (fixed, a_pixel) = of_detector(config.recognition.detector);
    let landmarks = if config.recognition.landmarks == Landmarks::SixtyEight { LANDMARKS_68_BYTES } else { 0 };
    let frame = frame_px(config).saturating_mul(FRAME_BYTES_A_PIXEL);
    // The descriptor's network keeps its memory while the detector looks.
    REST_BYTES + DESCRIBE_BYTES + STILL_BYTES + landmarks + frame + fixed + px.saturating_mul(a_pixel)
}

fn of_detector(detector: Detector) -> (u64, u64) {
    match detector {
        Detector::Hog => (0, HOG_BYTES_A_PIXEL),
        Detector::Cnn => (CNN_BYTES, CNN_BYTES_A_PIXEL),
    }
}

/// With how many pixels at once the detector can do, and how many it would be given if there were memory without end.
fn bounds(config: &Config) -> (u64, u64) {
    let r = &config.recognition;
    match r.detector {
        Detector::Hog => {
            let px = scaled_px(config, r.detect_width, r.upsample).max(STILL_PX);
            (px, px)
        }
        // A picture of the gallery may take as much as a frame.
        Detector::Cnn => (CNN_LEAST_PYRAMID_PX, CNN_MOST_PYRAMID_PX),
    }
}

/// How many pixels dlib's pyramid of a picture has that is `width` x `height` pixels large: the picture and, beside and below
/// it, the picture five sixths as large, and so on, with a border around each. A network allocates for the rectangle around
/// all of them. As `compute_tiled_image_pyramid_details` of dlib 19.24 lays them out.
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
        // The rest fits into a second column, which goes up again.
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

/// How many pixels a frame has once it is scaled for the detector.
fn scaled_px(config: &Config, detect_width: u32, upsample: u32) -> u64 {
    let (width, height) = config.camera.turn().size(config.camera.width, config.camera.height);
    let (width, height) = (f64::from(width), f64::from(height));
    // A program may send frames of any size: those that are wide enough for the key cost the most.
    let frame = if matches!(config.camera.source, Source::Pipe(_)) { f64::INFINITY } else { width };
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

/// What to write in place of what does not fit.
fn what_fits(config: &Config, usable: u64) -> String {
    let fits = |detector: Detector, detect_width: u32, upsample: u32| {
        let mut other = config.clone();
        other.recognition.detector = detector;
        (other.recognition.detect_width, other.recognition.upsample) = (detect_width, upsample);
        takes(&other, bounds(&other).0) <= usable
    };
    let r = &config.recognition;
    let mut ways = Vec::new();
    // The widest that fits; 80 is the least that the key may be.
    let widest = (80..r.detect_width).collect::<Vec<u32>>();
    match widest.partition_point(|width| fits(r.detector, *width, r.upsample)) {
        0 => {}
        count => ways.push(format!("detect_width = {}", widest[count - 1])),
    }
    ways.extend(
        (0..r.upsample).rev().find(|u| fits(r.detector, r.detect_width, *u)).map(|u| format!("upsample = {u}")),
    );
    if r.detector == Detector::Cnn && fits(Detector::Hog, r.detect_width, r.upsample) {
        ways.push("detector = hog".to_owned());
    }
    match ways.is_empty() {
        false => format!("{} fits", ways.join(", or ")),
        true => {
            "that is too little for recognition: give it more memory, make [camera] width and height smaller, or set \
                 [recognition] enabled = no"
                .to_owned()
        }
    }
}

/// Bytes for a person: 1 MB is a million.
pub fn mb(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(MB))
}

/// The machine's memory. The unit's ProcSubset=pid hides /proc/meminfo.
fn ram() -> u64 {
    // SAFETY: `info` is plain old data, of which zeros are a value; sysinfo writes to nothing but it.
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
