//! Turns the text of an ini file into [`Setting`]s. The text is split into lines here, because rust-ini reports no line
//! numbers, joins some lines and stops at the first error. rust-ini parses each `key = value` line by itself.

use super::keys::{KEYS, Key, find};
use super::{Problems, without_secrets};
use ini::{Ini, ParseOption};
use std::path::{Path, PathBuf};

/// The value given for a key, and where it was given.
pub struct Setting {
    pub key: &'static Key,
    pub value: String,
    pub place: String,
    /// The folder at which a relative path starts.
    pub base: PathBuf,
}

/// Reads the settings of a file; errors are added to `problems`.
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

fn scan(file: &str, text: &str, base: &Path, problems: &mut Problems) -> Vec<Setting> {
    let mut section: Option<String> = None;
    let mut known_section = false;
    let mut settings: Vec<Setting> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let (place, line) = (format!("{file}:{}", number + 1), line.trim());
        if let Some(control) = line.chars().find(|c| c.is_control() && *c != '\t') {
            problems.add(&place, format!("contains the control character {}: remove it", control.escape_unicode()));
            continue;
        }
        if line.is_empty() || line.starts_with([';', '#']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let name = name.trim();
            known_section = KEYS.iter().any(|key| key.section == name);
            if !known_section {
                let meant = did_you_mean(name, sections());
                problems.add(
                    &place,
                    format!("[{name}]: no such section; {meant}the sections are {}", sections().join(", ")),
                );
            }
            section = Some(name.to_owned());
            continue;
        }
        let Some((name, _)) = line.split_once('=').map(|(name, value)| (name.trim(), value)) else {
            let line = without_secrets(line);
            problems
                .add(&place, format!("{line}: must be [section], key = value, or a comment that begins with ; or #"));
            continue;
        };
        match &section {
            None => problems.add(&place, format!("{name}: is before the first [section]; move it below one")),
            Some(_) if !known_section => {}
            Some(section) => match find(section, name) {
                None => {
                    let (meant, keys) = (did_you_mean(name, keys_of(section)), keys_of(section).join(", "));
                    problems.add(&place, format!("[{section}] {name}: no such key; {meant}the keys are {keys}"));
                }
                Some(key) => match (settings.iter().find(|s| std::ptr::eq(s.key, key)), value(line, name)) {
                    (Some(first), _) => {
                        let what = format!("[{section}] {name}: is given twice; the first is at {}", first.place);
                        problems.add(&place, what);
                    }
                    (None, Some(value)) => settings.push(Setting { key, value, place, base: base.to_owned() }),
                    (None, None) => problems.add(&place, format!("[{section}] {name}: its value cannot be read")),
                },
            },
        }
    }
    settings
}

/// The value of the key `name` on a line `name = value`. Quotes and backslashes have no special meaning.
fn value(line: &str, name: &str) -> Option<String> {
    let options = ParseOption { enabled_quote: false, enabled_escape: false, ..ParseOption::default() };
    let ini = Ini::load_from_str_opt(line, options).ok()?;
    ini.general_section().get(name).map(|value| value.trim().to_owned())
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
    // In a short word, so many edits would change nearly every letter.
    let near = nearest.filter(|name| slips(name) <= (typed.chars().count() / 2).min(MANY_SLIPS));
    near.map_or_else(String::new, |name| format!("did you mean {name}? "))
}

/// The edit distance of two words: insertions, deletions, substitutions and swaps of neighbouring letters.
fn slips(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // The distance is at least the difference of the lengths; this bounds the work for a long input.
    if a.len() > b.len() + MANY_SLIPS {
        return MANY_SLIPS + 1;
    }
    // Row i is about the first i letters of `a`, column j about the first j of `b`.
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
