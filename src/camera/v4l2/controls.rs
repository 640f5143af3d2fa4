//! Controls of a camera, such as brightness, exposure and focus, with the names of v4l2-ctl.

use super::{Kernel, MAX_ITEMS, call, sys, text, vidioc, zeroed};
use serde::Serialize;
use std::io;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Control {
    /// The V4L2 number.
    #[serde(skip)]
    pub id: u32,
    /// The name, as in `camera.controls`.
    pub name: String,
    /// The type: integer, boolean, menu, button, ...
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub min: i64,
    pub max: i64,
    pub step: u64,
    pub default: i64,
    /// The current value; `None` when it cannot be read.
    pub value: Option<i64>,
    /// The items of a menu: value and meaning.
    pub menu: Vec<(i64, String)>,
    /// True when it cannot be set, either now, because of another control, or ever.
    pub locked: bool,
}

impl Control {
    /// The allowed values as text.
    pub fn range(&self) -> String {
        if self.menu.is_empty() {
            let step = if self.step > 1 { format!(" in steps of {}", self.step) } else { String::new() };
            return format!("{} to {}{step}", self.min, self.max);
        }
        let items: Vec<String> = self.menu.iter().map(|(value, meaning)| format!("{value} {meaning}")).collect();
        items.join(", ")
    }
}

/// All controls with a numeric value, and buttons.
pub(super) fn list(kernel: &dyn Kernel) -> Vec<Control> {
    let mut controls = Vec::new();
    let mut id = 0;
    for _ in 0..MAX_ITEMS {
        let mut query = sys::v4l2_query_ext_ctrl { id: id | sys::V4L2_CTRL_FLAG_NEXT_CTRL, ..zeroed() };
        // A driver that does not advance would cause an endless loop.
        if call(kernel, vidioc::VIDIOC_QUERY_EXT_CTRL, &mut query).is_err() || query.id <= id {
            break;
        }
        id = query.id;
        controls.extend(describe(kernel, &query));
    }
    controls
}

fn describe(kernel: &dyn Kernel, query: &sys::v4l2_query_ext_ctrl) -> Option<Control> {
    let kind = match query.type_ {
        sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER => "integer",
        sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_BOOLEAN => "boolean",
        sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_MENU | sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER_MENU => "menu",
        sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_BUTTON => "button",
        sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_BITMASK => "bitmask",
        _ => return None,
    };
    if query.flags & sys::V4L2_CTRL_FLAG_DISABLED != 0 {
        return None;
    }
    let readable = query.flags & sys::V4L2_CTRL_FLAG_WRITE_ONLY == 0 && kind != "button";
    let mut now = sys::v4l2_control { id: query.id, value: 0 };
    let value = (readable && call(kernel, vidioc::VIDIOC_G_CTRL, &mut now).is_ok()).then(|| i64::from(now.value));
    let locks = sys::V4L2_CTRL_FLAG_READ_ONLY | sys::V4L2_CTRL_FLAG_INACTIVE | sys::V4L2_CTRL_FLAG_GRABBED;
    Some(Control {
        id: query.id,
        name: ctl_name(&text(&query.name.map(|c| c.to_ne_bytes()[0]))),
        kind,
        min: query.minimum,
        max: query.maximum,
        step: query.step,
        default: query.default_value,
        value,
        menu: if kind == "menu" { menu(kernel, query) } else { Vec::new() },
        locked: query.flags & locks != 0,
    })
}

/// The existing items of a menu: drivers leave out some values between minimum and maximum.
fn menu(kernel: &dyn Kernel, query: &sys::v4l2_query_ext_ctrl) -> Vec<(i64, String)> {
    let numbers = query.type_ == sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER_MENU;
    let indices = (query.minimum.max(0)..=query.maximum).take(MAX_ITEMS as usize);
    let item = |index: i64| {
        let mut item = sys::v4l2_querymenu { id: query.id, index: index.try_into().ok()?, ..zeroed() };
        call(kernel, vidioc::VIDIOC_QUERYMENU, &mut item).ok()?;
        let meaning = item.__bindgen_anon_1;
        // SAFETY: a union of bytes and an integer; every bit pattern is a valid value of both.
        let meaning = unsafe { if numbers { meaning.value.to_string() } else { text(&meaning.name) } };
        Some((index, meaning))
    };
    indices.filter_map(item).collect()
}

/// The name in v4l2-ctl: "White Balance, Auto" becomes white_balance_auto.
pub(super) fn ctl_name(title: &str) -> String {
    let words = title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_").to_ascii_lowercase()
}

/// Sets controls in the given order (auto_exposure before exposure_time); returns the errors for the log.
pub(super) fn set(kernel: &dyn Kernel, wanted: &[(String, i64)]) -> Vec<String> {
    let has = if wanted.is_empty() { Vec::new() } else { list(kernel) };
    let problem = |(name, value): &(String, i64)| {
        let name = ctl_name(name);
        let Some(control) = has.iter().find(|control| control.name == name) else {
            let names: Vec<&str> = has.iter().map(|control| control.name.as_str()).collect();
            return Some(format!("the camera has no control {name}; it has {}", names.join(", ")));
        };
        let result = match i32::try_from(*value) {
            Ok(value) => call(kernel, vidioc::VIDIOC_S_CTRL, &mut sys::v4l2_control { id: control.id, value }),
            Err(_) => Err(io::Error::from_raw_os_error(libc::ERANGE)),
        };
        Some(refusal(control, *value, &result.err()?))
    };
    wanted.iter().filter_map(problem).collect()
}

fn refusal(control: &Control, value: i64, error: &io::Error) -> String {
    let setting = format!("{} = {value} was refused", control.name);
    match error.raw_os_error() {
        Some(libc::EINVAL | libc::ERANGE) => format!("{setting}: allowed values are {}", control.range()),
        Some(libc::EACCES | libc::EBUSY) => {
            format!("{setting}: it is read-only, or locked by another control (turn off its automatic mode first)")
        }
        _ => format!("{setting}: {error}"),
    }
}

/// The setting that keeps automatic exposure from reducing the frame rate; `None` when it does not do so now.
pub(super) fn faster(kernel: &dyn Kernel) -> Option<&'static str> {
    let has = list(kernel);
    let value = |names: [&str; 2]| has.iter().find(|c| names.contains(&c.name.as_str())).and_then(|c| c.value);
    // The names of newer and older kernels; 1 is the manual mode of this menu.
    let automatic = value(["auto_exposure", "exposure_auto"]).map(|mode| mode != 1);
    let longer = value(["exposure_dynamic_framerate", "exposure_auto_priority"]).map(|on| on != 0);
    match (automatic, longer) {
        (Some(false), _) | (_, Some(false)) | (None, None) => None,
        (_, Some(true)) if has.iter().any(|c| c.name == "exposure_auto_priority") => Some("exposure_auto_priority=0"),
        (_, Some(true)) => Some("exposure_dynamic_framerate=0"),
        (Some(true), None) if has.iter().any(|c| c.name == "exposure_auto") => Some("exposure_auto=1"),
        (Some(true), None) => Some("auto_exposure=1"),
    }
}
