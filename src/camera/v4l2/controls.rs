//! Controls of a camera, such as brightness, exposure and focus, under the names of v4l2-ctl.

use super::{Kernel, MAX_ITEMS, call, sys, text, vidioc, zeroed};
use crate::tuning::{Control, Unset, ctl_name};
use std::cell::OnceCell;
use std::io;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// The ids of the standard controls of a camera: brightness and the like, and those of exposure and lens.
const STANDARD: [RangeInclusive<u32>; 2] = [0x0098_0900..=0x0098_093f, 0x009a_0900..=0x009a_093f];
/// After this time no further id of [`STANDARD`] is tried: uvcvideo waits 5 s for a control that does not answer.
const PATIENCE: Duration = Duration::from_secs(6);

/// The ids of the controls of an open camera, found at the first question. A control that did not answer then is not
/// asked again.
#[derive(Default)]
pub(super) struct Ids(OnceCell<Vec<u32>>);

/// All controls with a numeric value, and buttons.
pub(super) fn list(kernel: &dyn Kernel, ids: &Ids) -> Vec<Control> {
    let ids = ids.0.get_or_init(|| find_ids(kernel));
    ids.iter().filter_map(|&id| describe(kernel, &query(kernel, id).ok()?)).collect()
}

fn query(kernel: &dyn Kernel, id: u32) -> io::Result<sys::v4l2_query_ext_ctrl> {
    let mut query = sys::v4l2_query_ext_ctrl { id, ..zeroed() };
    call(kernel, vidioc::VIDIOC_QUERY_EXT_CTRL, &mut query).map(|()| query)
}

fn find_ids(kernel: &dyn Kernel) -> Vec<u32> {
    let (mut ids, mut last) = (Vec::new(), 0);
    for _ in 0..MAX_ITEMS {
        match query(kernel, last | sys::V4L2_CTRL_FLAG_NEXT_CTRL) {
            // A driver that does not advance would cause an endless loop.
            Ok(next) if next.id > last => last = next.id,
            // Up to Linux 6.14, uvcvideo does not say which control did not answer, so the next one is unknown. The ids
            // that the camera lacks are refused at once.
            Err(error) if is_silence(&error) => {
                let begun = Instant::now();
                let others = STANDARD.into_iter().flatten().filter(|&id| id > last);
                let in_time = others.take_while(|_| begun.elapsed() < PATIENCE);
                ids.extend(in_time.filter(|&id| query(kernel, id).is_ok()));
                break;
            }
            _ => break,
        }
        ids.push(last);
    }
    ids
}

/// False for the end of the list, for a driver without controls and for an unplugged camera.
fn is_silence(error: &io::Error) -> bool {
    !matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOTTY | libc::ENODEV | libc::ENXIO))
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
        read_only: query.flags & sys::V4L2_CTRL_FLAG_READ_ONLY != 0,
    })
}

/// The existing items of a menu: drivers may leave out values between minimum and maximum.
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

/// Sets controls, and returns the controls that were not set. Booleans and menus come first and numbers last, each in
/// the given order: an automatic mode (auto_exposure) locks a number (exposure_time_absolute), and must be turned off
/// before the number is set.
pub(super) fn set(kernel: &dyn Kernel, ids: &Ids, wanted: &[(String, i64)]) -> Vec<Unset> {
    if wanted.is_empty() {
        return Vec::new();
    }
    let has = list(kernel, ids);
    let find = |name: &str| has.iter().find(|control| control.name == name);
    let mut wanted: Vec<(String, i64)> = wanted.iter().map(|(name, value)| (ctl_name(name), *value)).collect();
    wanted.sort_by_key(|(name, _)| find(name).is_none_or(is_number));
    let problem = |(name, value): (String, i64)| {
        let Some(control) = find(&name) else {
            let names: Vec<&str> = has.iter().map(|control| control.name.as_str()).collect();
            let why = format!("the camera has no control {name}; it has {}", names.join(", "));
            return Some(Unset { name, why });
        };
        let result = match i32::try_from(value) {
            Ok(value) => call(kernel, vidioc::VIDIOC_S_CTRL, &mut sys::v4l2_control { id: control.id, value }),
            Err(_) => Err(io::Error::from_raw_os_error(libc::ERANGE)),
        };
        let why = refusal(control, value, &result.err()?);
        Some(Unset { name, why })
    };
    wanted.into_iter().filter_map(problem).collect()
}

fn is_number(control: &Control) -> bool {
    control.kind == "integer"
}

/// Sets controls to their former values. A number that is unlocked now is set before an automatic mode locks it, and a
/// number that an automatic mode locks now is set after that mode.
pub(super) fn put_back(kernel: &dyn Kernel, ids: &Ids, before: &[(String, i64)]) -> Vec<Unset> {
    let numbers: Vec<String> = list(kernel, ids).into_iter().filter(is_number).map(|control| control.name).collect();
    let first: Vec<(String, i64)> = before.iter().filter(|(name, _)| numbers.contains(name)).cloned().collect();
    set(kernel, ids, &first);
    set(kernel, ids, before)
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
pub(super) fn faster(kernel: &dyn Kernel, ids: &Ids) -> Option<&'static str> {
    let has = list(kernel, ids);
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
