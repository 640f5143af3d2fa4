//! Turns the text of an ini file into [`Setting`]s. rust-ini gets each line alone: in a whole file it would join a line
//! that ends in a backslash with the next line, stop at the first error, and give no line numbers.

use super::keys::{KEYS, Key, find};
use super::{Problems, without_secrets};
use ini::{Ini, ParseOption};
use std::path::{Path, PathBuf};

/// A value is the text on its line: quotes and backslashes have no special meaning.
const VERBATIM: ParseOption = ParseOption {
    enabled_quote: false,
    enabled_escape: false,
    enabled_indented_mutiline_value: false,
    enabled_preserve_key_leading_whitespace: false,
};

/// A value given for a key, with its place.
pub struct Setting {
    pub key: &'static Key,
    pub value: String,
    pub place: String,
    /// The folder at which a relative path starts.
    pub base: PathBuf,
}

/// Reads the settings of a file. Errors are added to `problems`.
pub fn read(file: &Path, bytes: &[u8], problems: &mut Problems) -> Vec<Setting> {
    let shown = file.display();
    let Ok(text) = std::str::from_utf8(bytes) else {
        let good = std::str::from_utf8(bytes).map_or_else(|e| e.valid_up_to(), str::len);
        let line = bytes[..good].iter().filter(|b| **b == b'\n').count() + 1;
        problems.add(&format!("{shown}:{line}"), "not UTF-8 text: save the file as UTF-8");
        return Vec::new();
    };
    let base = std::path::absolute(file).ok().and_then(|f| f.parent().map(Path::to_owned)).unwrap_or_default();
    scan(&shown.to_string(), text.trim_start_matches('\u{feff}'), &base, problems)
}

/// Reads any bytes as a config file, and checks that the rewritten file has the same number of settings.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let mut problems = Problems::default();
    let settings = read(Path::new("namecam.ini"), bytes, &mut problems);
    for setting in &settings {
        setting.key.kind.parse(&setting.value, &setting.base);
    }
    if let Ok(text) = std::str::from_utf8(bytes).map(|text| rewritten(text, &[])) {
        let again = read(Path::new("namecam.ini"), text.as_bytes(), &mut Problems::default());
        assert_eq!(again.len(), settings.len(), "{text:?}");
    }
}

fn scan(file: &str, text: &str, base: &Path, problems: &mut Problems) -> Vec<Setting> {
    let mut section: Option<String> = None;
    let mut settings: Vec<Setting> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let (place, line) = (format!("{file}:{number}"), line.trim());
        if let Some(control) = line.chars().find(|c| c.is_control() && *c != '\t') {
            problems.add(&place, format!("contains the control character {}: remove it", control.escape_unicode()));
            continue;
        }
        let Ok(parsed) = Ini::load_from_str_opt(line, VERBATIM) else {
            let line = without_secrets(line);
            problems
                .add(&place, format!("{line}: must be [section], key = value, or a comment that begins with ; or #"));
            continue;
        };
        for (name, values) in &parsed {
            if let Some(name) = name {
                if keys_of(name).is_empty() {
                    let (meant, sections) = (did_you_mean(name, sections()), sections().join(", "));
                    problems.add(&place, format!("[{name}]: no such section; {meant}the sections are {sections}"));
                }
                section = Some(name.to_owned());
            }
            for (name, value) in values {
                match key_for(section.as_deref(), name, &settings) {
                    Ok(Some(key)) => {
                        let (place, base) = (place.clone(), base.to_owned());
                        settings.push(Setting { key, value: value.trim().to_owned(), place, base });
                    }
                    Ok(None) => {}
                    Err(what) => problems.add(&place, what),
                }
            }
        }
    }
    settings
}

/// The text of a file with new values for some keys; `None` removes a key. Every other line stays unchanged.
pub fn rewritten(text: &str, changes: &[(&'static Key, Option<&str>)]) -> String {
    let mut lines: Vec<String> = text.trim_start_matches('\u{feff}').lines().map(str::to_owned).collect();
    for (key, value) in changes {
        // The lines that give the key, and the end of the section's last setting: comments after it may belong to the
        // next section.
        let (mut section, mut given, mut end) = (None, Vec::new(), None);
        for (at, line) in lines.iter().enumerate() {
            let Ok(parsed) = Ini::load_from_str_opt(line.trim(), VERBATIM) else { continue };
            for (begun, values) in &parsed {
                section = begun.map(str::to_owned).or(section);
                let is_key = values.contains_key(key.name);
                if section.as_deref() == Some(key.section) && (begun.is_some() || !values.is_empty()) {
                    end = Some(at + 1);
                    given.extend(is_key.then_some(at));
                }
            }
        }
        if let Some(value) = value {
            let line = format!("{} = {value}", key.name).trim_end().to_owned();
            match (given.first(), end) {
                (Some(at), _) => lines[*at] = line,
                (None, Some(end)) => lines.insert(end, line),
                (None, None) => lines.extend([String::new(), format!("[{}]", key.section), line]),
            }
        }
        for at in given.into_iter().skip(usize::from(value.is_some())).rev() {
            lines.remove(at);
        }
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

/// The key `name` of `section`; `None` in an unknown section, which is reported only once.
fn key_for(section: Option<&str>, name: &str, settings: &[Setting]) -> Result<Option<&'static Key>, String> {
    let section = section.ok_or_else(|| format!("{name}: is before the first [section]; move it below one"))?;
    let Some(key) = find(section, name) else {
        let keys = keys_of(section);
        if keys.is_empty() {
            return Ok(None);
        }
        let listed = keys.join(", ");
        return Err(format!("[{section}] {name}: no such key; {}the keys are {listed}", did_you_mean(name, keys)));
    };
    match settings.iter().find(|setting| std::ptr::eq(setting.key, key)) {
        Some(first) => Err(format!("[{section}] {name}: is given twice; the first is at {}", first.place)),
        None => Ok(Some(key)),
    }
}

/// Reads `section.key=value` of `--set`.
pub fn read_set(set: &str, problems: &mut Problems) -> Option<Setting> {
    let place = "--set";
    let Some((path, value)) = set.split_once('=') else {
        problems.add(place, format!("{}: must be section.key=value", without_secrets(set)));
        return None;
    };
    let key = path.trim().split_once('.').and_then(|(section, name)| find(section, name));
    let Some(key) = key else {
        let path = path.trim();
        let meant = did_you_mean(path, KEYS.iter().map(Key::path).collect());
        problems.add(place, format!("{path}: no such key; {meant}namecam --sample-ini lists every key"));
        return None;
    };
    let base = std::env::current_dir().unwrap_or_default();
    Some(Setting { key, value: value.trim().to_owned(), place: place.to_owned(), base })
}

fn sections() -> Vec<String> {
    let mut names: Vec<String> = KEYS.iter().map(|key| key.section.to_owned()).collect();
    names.dedup();
    names
}

fn keys_of(section: &str) -> Vec<String> {
    KEYS.iter().filter(|key| key.section == section).map(|key| key.name.to_owned()).collect()
}

/// The largest edit distance at which a name is suggested.
const MANY_SLIPS: usize = 2;

/// "did you mean NAME? " with the name closest to `typed`; empty when none is close.
fn did_you_mean(typed: &str, names: Vec<String>) -> String {
    let slips = |name: &String| slips(typed, name);
    let nearest = names.into_iter().min_by_key(slips);
    // In a short word, two edits would change nearly every letter.
    let near = nearest.filter(|name| slips(name) <= (typed.chars().count() / 2).min(MANY_SLIPS));
    near.map_or_else(String::new, |name| format!("did you mean {name}? "))
}

/// The edit distance of two words: insertions, deletions, substitutions and swaps of neighbouring letters.
fn slips(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // The distance is at least the difference of the lengths. This check bounds the work for a long input.
    if a.len() > b.len() + MANY_SLIPS {
        return MANY_SLIPS + 1;
    }
    // Row i stands for the first i letters of `a`, column j for the first j letters of `b`.
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let wrong = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = wrong.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && (a[i - 1], a[i - 2]) == (b[j - 2], b[j - 1]) {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
