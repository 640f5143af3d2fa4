//! Chooses the mode of a camera that is closest to the config. The functions here make no system calls.
//!
//! The criteria, in this order: colour before grey, the closest size, the closest rate, raw before JPEG (raw needs no
//! decoding), then the order of [`FORMATS`]. So JPEG is chosen exactly when raw is further from the configured rate.

use crate::config;
use crate::image::{FORMATS, Format};
use crate::rounding::rounded;
use serde_json::{Value, json};

/// The time between two frames: `numerator / denominator` seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// The numerator, in seconds.
    pub numerator: u32,
    pub denominator: u32,
}

impl Interval {
    /// The interval of a whole number of frames per second.
    pub fn of_fps(fps: u32) -> Interval {
        Interval { numerator: 1, denominator: fps }
    }

    /// Frames per second; `None` when the driver's fraction is invalid.
    pub fn fps(self) -> Option<f64> {
        let fine = self.numerator > 0 && self.denominator > 0;
        fine.then(|| f64::from(self.denominator) / f64::from(self.numerator))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    One {
        width: u32,
        height: u32,
    },
    /// Any size from `min` to `max` in these steps.
    Steps {
        min: (u32, u32),
        max: (u32, u32),
        /// Steps; 0 counts as 1.
        step: (u32, u32),
    },
}

impl Size {
    /// The size closest to the given one. A size outside the range is scaled into it first, to keep its aspect ratio.
    pub fn nearest(self, width: u32, height: u32) -> (u32, u32) {
        let (min, max, step) = match self {
            Size::One { width, height } => return (width, height),
            Size::Steps { min, max, step } => (min, max, step),
        };
        let (w, h) = (f64::from(width.max(1)), f64::from(height.max(1)));
        let down = (f64::from(max.0) / w).min(f64::from(max.1) / h).min(1.0);
        let up = (f64::from(min.0) / w).max(f64::from(min.1) / h).max(1.0);
        let scale = if down < 1.0 { down } else { up };
        (snap(w * scale, min.0, max.0, step.0), snap(h * scale, min.1, max.1, step.1))
    }
}

/// The value closest to `value` in `min, min + step, ... max`; of two equally close values, the larger one.
fn snap(value: f64, min: u32, max: u32, step: u32) -> u32 {
    let step = step.max(1);
    let last = max.saturating_sub(min) / step;
    let steps = ((value - f64::from(min)) / f64::from(step)).round().clamp(0.0, f64::from(last));
    min.saturating_add((steps as u32).saturating_mul(step))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameRate {
    One(Interval),
    /// Any interval between these two.
    Steps {
        /// The highest rate.
        shortest: Interval,
        /// The lowest rate.
        longest: Interval,
    },
}

impl FrameRate {
    /// The interval closest to `fps` frames per second; `None` when the driver's fractions are invalid.
    fn nearest(self, fps: u32) -> Option<Interval> {
        match self {
            FrameRate::One(interval) => interval.fps().map(|_| interval),
            FrameRate::Steps { shortest, longest } => Some(match (shortest.fps(), longest.fps()) {
                (Some(high), _) if f64::from(fps) > high => shortest,
                (_, Some(low)) if f64::from(fps) < low => longest,
                (None, None) => return None,
                _ => Interval::of_fps(fps),
            }),
        }
    }
}

/// A size, or a range of sizes, and its rates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mode {
    pub size: Size,
    /// The rates of the size, or of the closest size in a range; empty when the driver lists none.
    pub rates: Vec<FrameRate>,
}

/// A pixel format of a camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// V4L2's FourCC.
    pub fourcc: [u8; 4],
    /// The sizes of the format; empty when the driver lists none.
    pub modes: Vec<Mode>,
}

impl Offer {
    /// The JSON of the format, as docs/API.md specifies for `probe --json`.
    pub fn json(&self) -> Value {
        let fps = |interval: Interval| interval.fps().map(|fps| rounded(fps, 3));
        let modes = self.modes.iter().map(|mode| {
            let size = match mode.size {
                Size::One { width, height } => json!([width, height]),
                Size::Steps { min, max, step } => json!({ "min": min, "max": max, "step": step }),
            };
            let rates = mode.rates.iter().map(|rate| match *rate {
                FrameRate::One(interval) => json!(fps(interval)),
                FrameRate::Steps { shortest, longest } => json!({ "min": fps(longest), "max": fps(shortest) }),
            });
            json!({ "size": size, "fps": rates.collect::<Vec<_>>() })
        });
        let read = Format::by_fourcc(&self.fourcc).is_some();
        json!({ "format": show_fourcc(&self.fourcc), "read": read, "modes": modes.collect::<Vec<_>>() })
    }
}

/// The mode that the config requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModeRequest {
    /// The pixel format; `None` for the best available format.
    pub format: Option<[u8; 4]>,
    pub width: u32,
    pub height: u32,
    pub fps: u32,
}

impl ModeRequest {
    pub fn of(camera: &config::Camera) -> ModeRequest {
        let word = camera.format.to_uppercase();
        let format = FORMATS.iter().find(|format| format.name() == word).map(|format| format.fourcc);
        ModeRequest { format, width: camera.width, height: camera.height, fps: camera.fps.max(1) }
    }
}

/// A mode to request from the camera, with the reason.
#[derive(Debug, Clone)]
pub struct Choice {
    pub format: &'static Format,
    pub width: u32,
    pub height: u32,
    pub interval: Interval,
    /// Why this mode is the first of [`rank`]; empty for the other modes.
    pub why: String,
    rate_listed: bool,
}

impl Choice {
    /// The mode of a source that has only this mode.
    pub fn only(format: &'static Format, width: u32, height: u32, interval: Interval) -> Choice {
        Choice { format, width, height, interval, why: String::new(), rate_listed: true }
    }

    pub fn fps(&self) -> f64 {
        self.interval.fps().unwrap_or(0.0)
    }

    fn is_grey(&self) -> bool {
        self.format.fourcc == *b"GREY"
    }

    fn key(&self, request: &ModeRequest) -> impl Ord + use<> {
        let size = size_distance((self.width, self.height), request);
        let order = FORMATS.iter().position(|format| format.fourcc == self.format.fourcc);
        (self.is_grey(), size, rate_distance(self.fps(), request), !self.rate_listed, self.format.jpeg, order)
    }
}

/// The distance of a ratio from 1 in thousandths, and whether the ratio is below 1, so that the larger of two equally
/// close values is preferred.
fn distance(ratio: f64) -> (u32, bool) {
    ((ratio.ln().abs() * 1000.0).round() as u32, ratio < 1.0)
}

/// The distance of two sizes, to which area and aspect ratio contribute equally.
fn size_distance((width, height): (u32, u32), request: &ModeRequest) -> (u32, bool) {
    let (w, h) =
        (f64::from(width) / f64::from(request.width.max(1)), f64::from(height) / f64::from(request.height.max(1)));
    let (area, smaller) = distance(w * h);
    (area.saturating_add(distance(w / h).0), smaller)
}

/// The distance of a rate. A difference of up to 3 % does not count: 29.97 is 30.
fn rate_distance(fps: f64, request: &ModeRequest) -> (u32, bool) {
    match distance(fps / f64::from(request.fps)) {
        (0..30, _) => (0, false),
        far => far,
    }
}

/// The best mode of each format, the best one first.
///
/// # Errors
/// The camera has no format that namecam reads, or lacks the configured format. The message names the camera's formats.
pub fn rank(offers: &[Offer], request: &ModeRequest) -> Result<Vec<Choice>, String> {
    let readable = offers.iter().filter_map(|offer| Some((Format::by_fourcc(&offer.fourcc)?, offer)));
    let wanted = readable.filter(|(format, _)| request.format.is_none_or(|named| named == format.fourcc));
    let mut choices: Vec<Choice> = wanted.filter_map(|(format, offer)| best_of(format, offer, request)).collect();
    if choices.is_empty() {
        return Err(nothing_fits(offers, request));
    }
    choices.sort_by_cached_key(|choice| choice.key(request));
    if let Some((first, others)) = choices.split_first_mut() {
        first.why = why(first, others, request);
    }
    Ok(choices)
}

fn best_of(format: &'static Format, offer: &Offer, request: &ModeRequest) -> Option<Choice> {
    let unlisted = [Mode { size: Size::One { width: request.width, height: request.height }, rates: Vec::new() }];
    let modes = if offer.modes.is_empty() { &unlisted[..] } else { &offer.modes };
    let choices = modes.iter().map(|mode| {
        let (width, height) = mode.size.nearest(request.width, request.height);
        let listed = mode.rates.iter().filter_map(|rate| rate.nearest(request.fps));
        let listed = listed.min_by_key(|interval| rate_distance(interval.fps().unwrap_or(0.0), request));
        let (interval, rate_listed) = (listed.unwrap_or(Interval::of_fps(request.fps)), listed.is_some());
        Choice { format, width, height, interval, why: String::new(), rate_listed }
    });
    choices.filter(|choice| choice.width > 0 && choice.height > 0).min_by_key(|choice| choice.key(request))
}

/// Why `choice` ranks before all `others`.
fn why(choice: &Choice, others: &[Choice], request: &ModeRequest) -> String {
    let distance = |of: &Choice| (size_distance((of.width, of.height), request), rate_distance(of.fps(), request));
    let size = if (choice.width, choice.height) == (request.width, request.height) {
        "the requested size".to_owned()
    } else {
        format!("the size closest to {}x{}", request.width, request.height)
    };
    let rate = match distance(choice).1.0 {
        _ if !choice.rate_listed => "no rates are listed".to_owned(),
        0 => "the requested rate".to_owned(),
        _ => format!("the rate closest to {} fps", request.fps),
    };
    // Users ask why raw or JPEG was chosen, so the best mode of the other kind is compared first.
    let rival = others.iter().find(|other| other.format.jpeg != choice.format.jpeg).or(others.first());
    let behind = rival.and_then(|rival| {
        let name = rival.format.name();
        let ((size, rate), (its_size, its_rate)) = (distance(choice), distance(rival));
        if rival.is_grey() && !choice.is_grey() {
            Some(format!("{name} has no colour"))
        } else if its_size != size {
            Some(format!("{name} has {}x{}", rival.width, rival.height))
        } else if its_rate != rate {
            Some(format!("{name} has {} fps", show_fps(rival.fps())))
        } else if rival.rate_listed != choice.rate_listed {
            Some(format!("{name} lists no rates"))
        } else {
            (rival.format.jpeg && !choice.format.jpeg).then(|| format!("{name} must be decoded"))
        }
    });
    format!("{size}, {rate}{}", behind.map_or_else(String::new, |behind| format!("; {behind}")))
}

/// A rate as text: 30, 29.97.
pub fn show_fps(fps: f64) -> String {
    let hundredths = (fps * 100.0).round() / 100.0;
    format!("{hundredths}")
}

/// A FourCC as text.
pub fn show_fourcc(fourcc: &[u8; 4]) -> String {
    fourcc
        .iter()
        .map(|&b| if b.is_ascii_graphic() { char::from(b) } else { ' ' })
        .collect::<String>()
        .trim_end()
        .to_owned()
}

fn nothing_fits(offers: &[Offer], request: &ModeRequest) -> String {
    let names: Vec<String> = offers.iter().map(|offer| show_fourcc(&offer.fourcc)).collect();
    let has = names.join(", ");
    let readable = offers.iter().any(|offer| Format::by_fourcc(&offer.fourcc).is_some());
    match request.format {
        _ if offers.is_empty() => "it offers no pixel format; check that a camera is connected to it".to_owned(),
        Some(named) if readable => {
            format!("it has no {}; it has {has} (format = auto uses the best one)", show_fourcc(&named))
        }
        _ if bayer_only(offers) => format!("it sends only raw Bayer data ({has}); use {}", csi_remedy(request)),
        _ => {
            let reads: Vec<_> = FORMATS.iter().map(Format::name).collect();
            format!("it sends only {has}; namecam reads {}", reads.join(", "))
        }
    }
}

/// True when a camera has raw Bayer formats and no format that namecam reads.
pub fn bayer_only(offers: &[Offer]) -> bool {
    let readable = offers.iter().any(|offer| Format::by_fourcc(&offer.fourcc).is_some());
    !readable && offers.iter().any(|offer| is_bayer(&offer.fourcc))
}

/// V4L2's FourCCs of Bayer formats: 8 bit, 10 to 16 bit, packed, compressed.
fn is_bayer(fourcc: &[u8; 4]) -> bool {
    match fourcc {
        b"BA81" | b"GBRG" | b"GRBG" | b"RGGB" | b"BYR2" => true,
        [b'B' | b'G' | b'R', b'A' | b'B' | b'G' | b'Y', b'1', b'0' | b'2' | b'4' | b'6'] => true,
        [b'p', b'B' | b'G' | b'g' | b'R', a, b] => a == b && matches!(a, b'A' | b'C' | b'E'),
        [b'a' | b'b', b'B' | b'G' | b'g' | b'R', b'A', b'8'] => true,
        _ => false,
    }
}

/// The config line for a camera that needs libcamera.
pub fn csi_remedy(request: &ModeRequest) -> String {
    format!(
        "source = pipe:rpicam-vid --timeout 0 --nopreview --codec mjpeg --width {} --height {} --framerate {} --flush --output -",
        request.width, request.height, request.fps
    )
}

#[cfg(test)]
mod tests;
