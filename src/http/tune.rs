//! The camera from the page: its modes and controls, and trials of them. `/api/settings` saves a trial.

use super::Site;
use super::message::{Answer, Request, Whole};
use super::teach::{answered, body};
use crate::config::{CameraSource, FORMAT_WORDS};
use crate::http::auth::access::Who;
use crate::tuning::{self, Ask, Mode, Trouble, ctl_name};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The time limit for an answer of the camera thread, which answers between two frames.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);
/// The time limit for setting controls: each is a transfer over USB.
const SET_WITHIN: Duration = Duration::from_secs(5);
/// The time limit for a trial of a mode: opening the camera, 5 s for its first picture, 2 s of measurement.
const MEASURED_WITHIN: Duration = Duration::from_secs(15);
/// The most controls in one trial.
const MAX_CONTROLS: usize = 64;

#[derive(Serialize)]
struct CameraJson {
    source: String,
    kind: &'static str,
    /// Why there are neither modes nor controls.
    why: Option<&'static str>,
    #[serde(flatten)]
    answer: Option<tuning::Answer>,
}

/// The kind of a source, and why it has no modes and controls that namecam can set.
fn kind(source: &CameraSource) -> (&'static str, Option<&'static str>) {
    match source {
        CameraSource::Device(_) => ("device", None),
        CameraSource::Pipe(_) => (
            "pipe",
            Some(
                "The program of the pipe has the camera; its command in camera.source says the size, the rate and the rest.",
            ),
        ),
        CameraSource::Stills(_) => ("stills", Some("The pictures of a folder are shown; there is no camera.")),
        CameraSource::Replay { .. } => ("replay", Some("A recording is played; there is no camera.")),
        CameraSource::None => ("none", Some("camera.source is not set.")),
    }
}

fn asked(site: &Site, ask: Ask, patience: Duration) -> Result<Whole, Whole> {
    let source = &site.config().camera.source;
    let (kind, why) = kind(source);
    let json = |answer| Whole::json(&CameraJson { source: source.public(), kind, why, answer });
    match why {
        Some(_) if ask == Ask::List => return Ok(json(None)),
        Some(why) => return Err(Whole::text(409, why)),
        None => {}
    }
    let away = |why: &str| Whole::later(503, 2, &format!("The camera is not available: {why}."));
    if let Some(why) = site.stage.health.camera().error {
        return Err(away(&why));
    }
    match site.stage.tuning.ask(ask, patience) {
        Ok(answer) => Ok(json(Some(answer))),
        Err(Trouble::Away(why)) => Err(away(&why)),
        Err(Trouble::Busy) => Err(Whole::later(503, 5, "Something else is being tried; please try again.")),
        Err(Trouble::Late) => Err(Whole::later(504, 2, "The camera has not answered in time; please try again.")),
        Err(Trouble::Unfit(why)) => {
            Err(Whole::text(422, &format!("The camera cannot do that: {why}. What was before is put back.")))
        }
    }
}

/// GET `/api/camera`.
pub fn list<'a>(site: &'a Site, _: &'a Request, _: &Who) -> Answer<'a> {
    answered(asked(site, Ask::List, ANSWERED_WITHIN))
}

/// The description of the camera, as text for a report.
pub fn equipment(site: &Site) -> Result<String, String> {
    let text = |whole: &Whole| String::from_utf8_lossy(whole.body.bytes()).into_owned();
    let listed = asked(site, Ask::List, ANSWERED_WITHIN).map_err(|refusal| text(&refusal))?;
    let listed: serde_json::Value = serde_json::from_str(&text(&listed)).map_err(|error| error.to_string())?;
    Ok(format!("{listed:#}\n"))
}

/// DELETE `/api/camera/try`.
pub fn put_back<'a>(site: &'a Site, _: &'a Request, _: &Who) -> Answer<'a> {
    answered(asked(site, Ask::PutBack, SET_WITHIN))
}

/// The body of POST `/api/camera/try`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Trial {
    controls: Option<BTreeMap<String, i64>>,
    #[serde(default, deserialize_with = "mode_of_object")]
    mode: Option<Mode>,
}

/// A mode with the names of its fields; serde would also accept a list.
fn mode_of_object<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Mode>, D::Error> {
    let fields = Option::<serde_json::Map<String, serde_json::Value>>::deserialize(from)?;
    let mode = fields.map(|fields| Mode::deserialize(serde_json::Value::Object(fields))).transpose();
    mode.map_err(serde::de::Error::custom)
}

/// POST `/api/camera/try`.
pub fn try_out<'a>(site: &'a Site, request: &'a Request, _: &Who) -> Answer<'a> {
    let tried = || -> Result<Whole, Whole> {
        let shape = "{\"controls\": {NAME: NUMBER}} or {\"mode\": {\"format\": \"...\", \"width\": NUMBER, \"height\": NUMBER, \"fps\": NUMBER}}";
        match body(request, shape)? {
            Trial { controls: Some(controls), mode: None } if (1..=MAX_CONTROLS).contains(&controls.len()) => {
                let wanted = controls.into_iter().map(|(name, value)| (ctl_name(&name), value)).collect();
                asked(site, Ask::Controls(wanted), SET_WITHIN)
            }
            Trial { controls: None, mode: Some(mode) } => {
                let Mode { format, width, height, fps } = &mode;
                if !FORMAT_WORDS.contains(&format.as_str()) {
                    return Err(Whole::text(400, &format!("format must be one of {}.", FORMAT_WORDS.join(", "))));
                }
                let is_size = |side: &u32| (16..=16384).contains(side);
                if !is_size(width) || !is_size(height) || !(1..=240).contains(fps) {
                    return Err(Whole::text(400, "width and height must be from 16 to 16384, and fps from 1 to 240."));
                }
                asked(site, Ask::Mode(mode), MEASURED_WITHIN)
            }
            _ => Err(Whole::text(400, &format!("The body must be {shape}, with {MAX_CONTROLS} controls at most."))),
        }
    };
    answered(tried())
}
