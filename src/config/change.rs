//! [`Change`]: a change of the settings file by an admin.

use super::{Config, Problems, keys, text, wrong};
use crate::config::keys::Key;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The first line of a settings file that namecam writes.
const ABOUT: &str = "; The settings that were changed on the page. They count more than the config file.\n";

/// New values for keys, and keys that get back the value of the config file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Values by key, as `--set` takes them.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// The keys to remove from the settings file.
    #[serde(default)]
    pub unset: BTreeSet<String>,
}

impl Change {
    /// The keys of the change.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.set.keys().chain(&self.unset)
    }

    /// The text of the settings file after the change.
    ///
    /// # Errors
    /// The problems of the change itself; the place of each problem is the key.
    pub fn applied_to(&self, settings: &str) -> Result<String, Problems> {
        let mut problems = Problems::default();
        let mut changes: Vec<(&'static Key, Option<&str>)> = Vec::new();
        for path in self.keys() {
            let value = self.set.get(path).map(|value| value.trim());
            match key(path).and_then(|key| check(key, value).map(|()| key)) {
                Ok(key) => changes.push((key, value)),
                Err(what) => problems.add(path, what),
            }
        }
        if let Some(both) = self.set.keys().find(|path| self.unset.contains(*path)) {
            problems.add(both, "is both in set and in unset");
        }
        if changes.is_empty() && problems.0.is_empty() {
            problems.add("set", "names no key");
        }
        if !problems.0.is_empty() {
            return Err(problems);
        }
        let begun = if settings.trim().is_empty() { ABOUT } else { settings };
        Ok(text::rewritten(begun, &changes))
    }
}

/// Reads any bytes as the JSON of a change, and applies the change.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    if let Ok(change) = serde_json::from_slice::<Change>(bytes) {
        let _ = change.applied_to("[overlay]\nunknown = blur\n");
    }
}

/// The key with this path, if the settings file may hold it.
fn key(path: &str) -> Result<&'static Key, String> {
    let key = path.split_once('.').and_then(|(section, name)| keys::find(section, name));
    match key {
        None => Err("no such key; /api/config lists them".to_owned()),
        Some(key) if !key.in_settings => Err("may only be in the config file; change it there".to_owned()),
        Some(key) => Ok(key),
    }
}

fn check(key: &Key, value: Option<&str>) -> Result<(), String> {
    let Some(value) = value else { return Ok(()) };
    if value.contains(char::is_control) {
        return Err("contains a control character; remove it".to_owned());
    }
    let mut config = Config::defaults(Path::new("/"));
    let put = key.kind.parse(value, Path::new("/")).and_then(|value| key.put(&mut config, value));
    put.ok_or_else(|| format!("[{}] {} = {value}: {}", key.section, key.name, wrong(key, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(set: &[(&str, &str)], unset: &[&str]) -> Change {
        let set = set.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Change { set: set.collect(), unset: unset.iter().map(|key| (*key).to_owned()).collect() }
    }

    #[test]
    fn a_change_touches_its_own_lines_and_leaves_comments_and_other_keys() {
        let first = change(&[("overlay.unknown", "blur"), ("stream.quality", " 70 "), ("overlay.enabled", "no")], &[]);
        let begun = first.applied_to("").unwrap();
        let written = "\n[overlay]\nenabled = no\nunknown = blur\n\n[stream]\nquality = 70\n";
        assert_eq!(begun, format!("{ABOUT}{written}"));
        let own = "\u{feff}; mine\r\n[overlay]\r\n; strangers\r\nunknown : show\r\n; for the stream\r\n\r\n[stream]\r\nquality=1\r\n\
                   [overlay]\nbox_color = ff0000\nunknown = hide";
        let second = change(&[("overlay.unknown", "blur"), ("stream.width", "640")], &["stream.quality"]);
        assert_eq!(
            second.applied_to(own).unwrap(),
            "; mine\n[overlay]\n; strangers\nunknown = blur\n; for the stream\n\n[stream]\nwidth = 640\n[overlay]\nbox_color = ff0000\n"
        );
        let emptied = change(&[("camera.controls", "")], &["overlay.unknown"]).applied_to(own).unwrap();
        assert!(!emptied.contains("unknown") && emptied.ends_with("\n[camera]\ncontrols =\n"), "{emptied}");
    }

    #[test]
    fn every_wrong_key_and_value_is_named_with_what_is_allowed() {
        let set = [
            ("stream.quality", "400"),
            ("http.open", "yes"),
            ("camera.zoom", "1"),
            ("quality", "1"),
            ("camera.controls", "a=1\n[http]\nopen = yes"),
        ];
        let problems = change(&set, &["gallery.path", "stream.quality"]).applied_to("").unwrap_err().to_string();
        for told in [
            "stream.quality: [stream] quality = 400: must be a whole number from 1 to 100",
            "http.open: may only be in the config file",
            "camera.zoom: no such key",
            "quality: no such key",
            "camera.controls: contains a control character",
            "gallery.path: may only be in the config file",
            "stream.quality: is both",
        ] {
            assert!(problems.contains(told), "{told}: {problems}");
        }
        assert_eq!(change(&[], &[]).applied_to("").unwrap_err().to_string(), "set: names no key");
    }
}
