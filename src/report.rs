//! The report of `namecam report` and `/api/report`: a text to attach to an issue. The caller provides the data of the
//! camera and of a running namecam; this part collects the rest. The report identifies nobody.

mod hidden;
mod machine;

use crate::config::{Config, InUse, Problems, keys};
use crate::os::{localtime, process};
use hidden::Hidden;
pub use machine::property;
use serde_json::Value;
use std::fmt::Write;
use std::time::SystemTime;

/// The largest report in bytes; the limits of its parts add up to less.
#[cfg(test)]
const MAX_BYTES: usize = 256 << 10;
/// The commit from which the program was built, if the build sets it.
const COMMIT: Option<&str> = option_env!("NAMECAM_COMMIT");
/// Keys whose values may reveal an address or a credential.
const PRIVATE_KEYS: [&str; 7] =
    ["http.cors", "http.hosts", "mqtt.client_id", "mqtt.host", "mqtt.prefix", "mqtt.user", "webhook.url"];
/// The stages whose faults have details without names of people: texts of cameras, decoders and the board.
const PLAIN_FAULTS: [&str; 4] = ["camera: ", "recognition: ", "encoder: ", "namecam: "];

/// The inputs of a report.
pub struct Subject<'a> {
    /// The versions, as in `namecam --version`.
    pub versions: String,
    /// The config, or its problems when it is invalid.
    pub config: Result<&'a Config, &'a Problems>,
    /// The description of the camera, or why there is none.
    pub camera: Result<String, String>,
    /// The JSON of `/api/state` of a running namecam.
    pub state: Result<Value, String>,
    /// The text of `/metrics` of a running namecam.
    pub metrics: Result<String, String>,
}

/// Which end of a part is kept when the part is too long.
#[derive(Clone, Copy, PartialEq)]
enum Keep {
    First,
    Last,
}

/// The text of the report.
pub fn text(subject: Subject) -> String {
    let config = subject.config.ok();
    let (hidden, missing) = config.map_or_else(|| (Hidden::of_machine(), Vec::new()), Hidden::of);
    let mut text = format!("namecam report of {}\n", localtime::utc(SystemTime::now()));
    text += "It holds no picture. Secrets, names of people, users and machines, addresses and serial numbers are replaced or\n\
             left out, as far as they are known. Please read it before you attach it.\n";
    if !process::is_root() {
        text += "It was made without the rights of root. sudo namecam report also tells what of the journal, the kernel and the\n\
                 camera this user may not read, and what files hide from this user.\n";
    }
    for what in &missing {
        text += &hidden.hide(&format!("Not looked up: {what}.\n"));
    }
    let unit = machine::unit(config);
    let journal = match config {
        Some(_) => machine::journal(&unit),
        None => Err("left out: without a config nobody knows what must not be in it".to_owned()),
    };
    let commit = COMMIT.unwrap_or("the build does not say");
    let parts = [
        ("versions", 2, Keep::First, Ok(format!("{}commit: {commit}\n", subject.versions))),
        ("machine", 4, Keep::First, Ok(machine::machine(config))),
        ("config", 40, Keep::First, Ok(subject.config.map_or_else(problems, values))),
        ("camera", 48, Keep::First, subject.camera),
        ("state", 32, Keep::First, subject.state.map(|state| format!("{:#}\n", without_people(state)))),
        ("metrics", 48, Keep::First, subject.metrics),
        ("service", 4, Keep::First, machine::service(&unit, config.is_some())),
        ("journal", 40, Keep::Last, journal),
        ("kernel", 24, Keep::Last, machine::kernel()),
    ];
    for (title, kib, keep, part) in parts {
        let part = part.unwrap_or_else(|why| format!("not there: {}\n", why.trim_end().replace('\n', " ")));
        let _ = write!(text, "\n== {title} ==\n{}", cut(&hidden.hide(&part), kib << 10, keep));
    }
    text
}

/// The first or last whole lines of `text`, at most `most` bytes.
fn cut(text: &str, most: usize, keep: Keep) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    // Leaves room for the note.
    let (most, lines) = (most - 100, text.split_inclusive('\n'));
    let mut bytes = 0;
    let mut fits = |line: &&str| {
        bytes += line.len();
        bytes <= most
    };
    let kept: Vec<&str> = match keep {
        Keep::First => lines.take_while(&mut fits).collect(),
        Keep::Last => {
            let mut kept: Vec<&str> = lines.rev().take_while(&mut fits).collect();
            kept.reverse();
            kept
        }
    };
    let kept = kept.concat();
    let note = format!("(cut: {} of {} bytes are left out here)\n", text.len() - kept.len(), text.len());
    if keep == Keep::First { kept + &note } else { note + &kept }
}

/// Each key with its value and its source.
fn values(config: &Config) -> String {
    let file =
        config.file.as_ref().map_or("none; every key has its default".to_owned(), |file| file.display().to_string());
    let mut text = format!("file: {file}\n");
    config.warnings.iter().for_each(|warning| text += &format!("warning: {warning}\n"));
    for InUse { key, value, source, default, .. } in config.in_use() {
        let is_private = PRIVATE_KEYS.contains(&key.as_str()) && value != default;
        let value = if is_private { "(hidden)" } else { &value };
        let _ = writeln!(text, "{}  ({source})", format!("{key} = {value}").trim_end());
    }
    text
}

/// The places of the problems of a config. An invalid line may be a secret, so only the names of known keys are shown.
fn problems(problems: &Problems) -> String {
    let mut text = String::from("it cannot be used:\n");
    for problem in &problems.0 {
        let named = problem.what.strip_prefix('[').and_then(|rest| rest.split_once("] "));
        let named = named.map(|(section, rest)| (section, rest.split([' ', ':', '=']).next().unwrap_or_default()));
        let known = named.filter(|(section, name)| keys::find(section, name).is_some());
        let key = known.map_or_else(String::new, |(section, name)| format!(" [{section}] {name}"));
        let _ = writeln!(text, "{}:{key} is wrong (namecam check says how)", problem.place);
    }
    text
}

/// `/api/state` without the faces, the user and the details that may contain names.
fn without_people(mut state: Value) -> Value {
    let Some(fields) = state.as_object_mut() else { return Value::Null };
    let faces = fields.get("faces").and_then(Value::as_array).map_or(0, Vec::len);
    fields.insert("faces".to_owned(), faces.into());
    for name in ["user", "role"] {
        fields.remove(name);
    }
    for fault in fields.get_mut("faults").and_then(Value::as_array_mut).into_iter().flatten() {
        let is_plain =
            fault["cause"].as_str().is_some_and(|cause| PLAIN_FAULTS.iter().any(|stage| cause.starts_with(stage)));
        if !is_plain && let Some(fault) = fault.as_object_mut() {
            fault.remove("detail");
        }
    }
    state
}

#[cfg(test)]
mod tests;
