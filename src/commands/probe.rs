//! The output of `namecam probe`: the cameras, the modes that they advertise and deliver, and the mode that namecam
//! would choose, with the reason.

mod measure;

use crate::camera::negotiate::{self, Choice, FrameRate, Interval, Mode, ModeRequest, Offer, Size};
use crate::camera::v4l2::{self, NodeKind, Survey};
use crate::camera::{pipe, stills};
use crate::config;
use crate::image::Format;
use crate::os::logging;
use crate::rounding::rounded;
use measure::Measured;
use serde_json::{Value, json};
use std::fmt::Write;
use std::fs;
use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A device node and its properties.
struct Device {
    path: PathBuf,
    /// The name that stays the same when the camera is plugged in again.
    lasting: Option<PathBuf>,
    used_by: Vec<String>,
    /// The properties, or why they cannot be read.
    survey: Result<Survey, String>,
    /// The mode that namecam would choose, or why the device cannot be used.
    choice: Result<Choice, String>,
    /// The measured modes.
    measured: Vec<Measured>,
    /// Why the device was not measured although it can be used.
    not_measured: Option<String>,
}

/// Describes `device`, or every `/dev/video*`, as text or JSON, with a hint when no device can be used. With `measure`,
/// runs each candidate mode for a second.
pub fn probe(device: Option<&Path>, camera: &config::Camera, measure: bool, json: bool) -> String {
    let request = ModeRequest::of(camera);
    let paths = device.map_or_else(|| v4l2::nodes(Path::new("/dev")), |path| vec![path.to_owned()]);
    let mut devices: Vec<Device> = paths.into_iter().map(|path| ask(path, &request)).collect();
    if measure {
        devices.iter_mut().for_each(|device| device.measure(camera, &request));
    }
    let hint = hint(&devices, &request);
    if json {
        let devices: Vec<Value> = devices.iter().map(as_json).collect();
        return format!("{:#}\n", json!({ "devices": devices, "hint": hint }));
    }
    let mut blocks: Vec<String> = devices.iter().map(as_text).collect();
    blocks.extend(hint.map(|hint| hint + "\n"));
    blocks.join("\n")
}

/// Records `device`, or the camera of the config, into `file` for `seconds` seconds.
///
/// # Errors
/// The camera cannot be used, or the file exists or cannot be written.
pub fn record(device: Option<&Path>, camera: &config::Camera, seconds: u32, file: &Path) -> anyhow::Result<()> {
    let path = match (device, &camera.source) {
        (Some(device), _) => device,
        (None, config::CameraSource::Device(path)) => path,
        (None, other) => {
            anyhow::bail!("{} is no device; name one: namecam probe DEVICE --record SECONDS FILE", other.public())
        }
    };
    let told = v4l2::record(path, camera, file, Duration::from_secs(seconds.into()), logging::tell)?;
    super::print(&format!("{told}\n"));
    Ok(())
}

/// Why the source of the config would deliver no picture now, without taking a picture; `None` when it would. A camera
/// in use is no problem, because namecam may be using it.
pub fn trouble(camera: &config::Camera) -> Option<String> {
    match &camera.source {
        config::CameraSource::Device(path) => {
            let request = ModeRequest::of(camera);
            let survey = v4l2::survey(path, &request).map_err(|error| error.to_string());
            survey.and_then(|survey| choose(&survey, &request)).err().filter(|_| !v4l2::is_busy(path))
        }
        config::CameraSource::Pipe(words) => pipe::trouble(words),
        config::CameraSource::Stills(folder) => stills::trouble(folder),
        config::CameraSource::Replay { file, .. } => v4l2::replay::trouble(file),
        config::CameraSource::None => None,
    }
}

/// True when there is no video device.
pub(super) fn no_camera_at_all() -> bool {
    v4l2::nodes(Path::new("/dev")).is_empty()
}

/// The link in `dev`/v4l to a node: by-id follows the camera, by-path follows the port that the camera is plugged into. A
/// name in by-id that several cameras share may become the name of another one. `sys` is the mount point of sysfs.
fn lasting_name(path: &Path, dev: &Path, sys: &Path) -> Option<PathBuf> {
    let node = fs::canonicalize(path).ok()?;
    let by_id = (!v4l2::shares_name(&node, sys)).then_some("v4l/by-id");
    by_id.into_iter().chain(["v4l/by-path"]).find_map(|folder| {
        let links = fs::read_dir(dev.join(folder)).ok()?.flatten().map(|entry| entry.path());
        links.filter(|link| fs::canonicalize(link).is_ok_and(|target| target == node)).min()
    })
}

fn ask(path: PathBuf, request: &ModeRequest) -> Device {
    let survey = v4l2::survey(&path, request).map_err(|error| error.to_string());
    let choice = survey.as_ref().map_err(Clone::clone).and_then(|survey| choose(survey, request));
    // Programs are listed only for cameras: other nodes may be open in many programs.
    let used_by = if survey.is_ok() || v4l2::is_busy(&path) { v4l2::users_of(&path) } else { Vec::new() };
    let lasting = lasting_name(&path, Path::new("/dev"), Path::new("/sys"));
    Device { path, lasting, used_by, survey, choice, measured: Vec::new(), not_measured: None }
}

fn choose(survey: &Survey, request: &ModeRequest) -> Result<Choice, String> {
    if let Some(problem) = survey.problem(request) {
        return Err(problem);
    }
    let ranked = negotiate::rank(&survey.offers, request)?;
    ranked.into_iter().next().ok_or_else(|| "it offers no modes".to_owned())
}

/// Advice when no device can be used.
fn hint(devices: &[Device], request: &ModeRequest) -> Option<String> {
    let remedy = format!(
        "A Raspberry Pi CSI camera needs {}. namecam demo runs without a camera.",
        negotiate::csi_remedy(request)
    );
    if devices.is_empty() {
        return Some(format!("No camera found: there is no /dev/video*. Plug in a USB camera and try again. {remedy}"));
    }
    devices.iter().all(|device| device.choice.is_err()).then(|| format!("None of these can be used directly. {remedy}"))
}

impl Device {
    fn what(&self, survey: &Survey) -> &'static str {
        if survey.bayer_only() { "capture, raw Bayer only" } else { survey.kind.what() }
    }

    /// Measures the modes of the device, and chooses a mode by the results.
    fn measure(&mut self, camera: &config::Camera, request: &ModeRequest) {
        let (Ok(survey), Ok(choice)) = (&self.survey, &mut self.choice) else { return };
        self.not_measured = measure::busy(&survey.driver, &self.used_by);
        if self.not_measured.is_some() {
            return;
        }
        let modes = measure::modes(&survey.offers, request);
        if stderr().is_terminal() {
            logging::tell(&format!("measuring {}, about {} s ...", self.path.display(), 2 * modes.len()));
        }
        // The controls of the config apply only to the camera of the config.
        let configured = matches!(&camera.source, config::CameraSource::Device(source)
            if fs::canonicalize(source).ok() == fs::canonicalize(&self.path).ok());
        let controls = if configured { camera.controls.clone() } else { Vec::new() };
        self.measured = measure::measure(&self.path, &config::Camera { controls, ..camera.clone() }, modes);
        match measure::best(&self.measured) {
            Some(best) => *choice = best,
            None => self.not_measured = self.measured.iter().find_map(|one| one.figures.as_ref().err().cloned()),
        }
    }

    /// The config lines that select this camera in the chosen mode.
    fn ini(&self, choice: &Choice) -> String {
        let source = self.lasting.as_ref().unwrap_or(&self.path).display();
        let format = choice.format.name().to_lowercase();
        let fps = choice.fps().round().clamp(1.0, 240.0);
        let Choice { width, height, .. } = choice;
        format!("[camera]\nsource = {source}\nformat = {format}\nwidth = {width}\nheight = {height}\nfps = {fps}\n")
    }
}

// Writing to a String cannot fail, so the results of write! are ignored below.

fn as_text(device: &Device) -> String {
    let mut text = format!("{}", device.path.display());
    if let Ok(Survey { card, driver, bus, .. }) = &device.survey {
        let _ = write!(text, "  {card} ({driver}, {bus})");
    }
    text.push('\n');
    if let Some(name) = &device.lasting {
        let _ = writeln!(text, "  {}", name.display());
    }
    if let Ok(survey) = &device.survey {
        let _ = writeln!(text, "  kind: {}", device.what(survey));
        if survey.kind == NodeKind::Capture {
            abilities(&mut text, survey);
        }
    }
    if !device.used_by.is_empty() {
        let _ = writeln!(text, "  in use by {}", device.used_by.join(", "));
    }
    if !device.measured.is_empty() {
        text.push_str("  measured:\n");
        text.extend(device.measured.iter().map(Measured::text));
    }
    if let Some(why) = &device.not_measured {
        let _ = writeln!(text, "  not measured: {why}");
    }
    match &device.choice {
        Ok(choice) => {
            let _ = writeln!(text, "  namecam would use {}: {}", choice.format.name(), choice.why);
            for line in device.ini(choice).lines() {
                let _ = writeln!(text, "      {line}");
            }
        }
        Err(why) => {
            let _ = writeln!(text, "  not usable: {why}");
        }
    }
    text
}

fn abilities(text: &mut String, survey: &Survey) {
    text.push_str("  formats:\n");
    for offer in &survey.offers {
        let what = Format::by_fourcc(&offer.fourcc).map_or("not read by namecam", |format| format.what);
        let _ = writeln!(text, "    {} ({what})", negotiate::show_fourcc(&offer.fourcc));
        // Cameras repeat the same rates for many sizes.
        for same in offer.modes.chunk_by(|a, b| a.rates == b.rates) {
            let sizes: Vec<String> = same.iter().map(|mode| show_size(mode.size)).collect();
            let _ = writeln!(text, "      {}: {}", sizes.join(" "), show_rates(same));
        }
    }
    if survey.controls.is_empty() {
        return;
    }
    text.push_str("  controls:\n");
    for control in &survey.controls {
        let now = control.value.map_or(String::new(), |value| format!(", now {value}"));
        let locked = if control.locked { ", locked" } else { "" };
        let range = if control.kind == "button" { "push".to_owned() } else { control.range() };
        let _ = writeln!(
            text,
            "    {} ({}): {range}; default {}{now}{locked}",
            control.name, control.kind, control.default
        );
    }
}

fn show_size(size: Size) -> String {
    match size {
        Size::One { width, height } => format!("{width}x{height}"),
        Size::Steps { min, max, step } => {
            format!("{}x{} to {}x{} in steps of {}x{}", min.0, min.1, max.0, max.1, step.0.max(1), step.1.max(1))
        }
    }
}

fn show_rates(modes: &[Mode]) -> String {
    let fps = |interval: Interval| interval.fps().map_or("?".to_owned(), negotiate::show_fps);
    let rates = modes.first().map_or(&[][..], |mode| &mode.rates);
    let rates: Vec<String> = rates
        .iter()
        .map(|rate| match *rate {
            FrameRate::One(interval) => fps(interval),
            FrameRate::Steps { shortest, longest } => format!("{} to {}", fps(longest), fps(shortest)),
        })
        .collect();
    if rates.is_empty() { "rates not listed".to_owned() } else { format!("{} fps", rates.join(", ")) }
}

fn as_json(device: &Device) -> Value {
    let survey = device.survey.as_ref().ok();
    let formats = survey.map_or_else(Vec::new, |survey| survey.offers.iter().map(Offer::json).collect());
    let choice = device.choice.as_ref().ok();
    json!({
        "device": device.path.to_string_lossy(),
        "lasting_name": device.lasting.as_ref().map(|path| path.to_string_lossy()),
        "card": survey.map(|survey| &survey.card),
        "driver": survey.map(|survey| &survey.driver),
        "bus": survey.map(|survey| &survey.bus),
        "kind": survey.map(|survey| survey.kind),
        "bayer_only": survey.map(Survey::bayer_only),
        "used_by": device.used_by,
        "formats": formats,
        "controls": survey.map_or(&[][..], |survey| &survey.controls),
        "measured": device.measured.iter().map(Measured::json).collect::<Vec<_>>(),
        "not_measured": device.not_measured,
        "choice": choice.map(|choice| json!({
            "format": choice.format.name(),
            "width": choice.width,
            "height": choice.height,
            "fps": rounded(choice.fps(), 3),
            "why": choice.why,
        })),
        "ini": choice.map(|choice| device.ini(choice)),
        "problem": device.choice.as_ref().err(),
    })
}

#[cfg(test)]
mod tests;
