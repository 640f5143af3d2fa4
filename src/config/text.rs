//! From the text of an ini file to [`Setting`]s. `rust-ini` parses; it knows no lines, stops at the first error
//! and takes what is no key of ours, so a scan of the same text finds the lines and everything that is wrong.

use super::keys::{KEYS, Key, find};
use super::{Problems, without_secrets};
use ini::{Ini, ParseOption};
use std::path::{Path, PathBuf};

/// A value that somebody gave for a key, and where.
pub struct Setting {
    pub key: &'static Key,
    pub value: String,
    pub place: String,
    /// The folder that a relative path starts at.
    pub base: PathBuf,
}

/// Reads a file's settings; what is wrong goes to `problems`.
pub fn read(file: &Path, bytes: &[u8], problems: &mut Problems) -> Vec<Setting> {
    let shown = file.display();
    let Ok(text) = std::str::from_utf8(bytes) else {
        let good = std::str::from_utf8(bytes).map_or_else(|e| e.valid_up_to(), str::len);
        let line = bytes[..good].iter().filter(|b| **b == b'\n').count() + 1;
        problems.add(&format!("{shown}:{line}"), "not UTF-8 text: save the file as UTF-8");
        return Vec::new();
    };
    let found = scan(&shown.to_string(), text.trim_start_matches('\u{feff}'), problems);
    let values = parse(&found);
    let base = std::path::absolute(file).ok().and_then(|f| f.parent().map(Path::to_owned)).unwrap_or_default();
    let settings = found.into_iter().zip(values);
    settings.map(|(f, value)| Setting { key: f.key, value, place: f.place, base: base.clone() }).collect()
}

struct Found {
    key: &'static Key,
    place: String,
    line: String,
}

fn scan(file: &str, text: &str, problems: &mut Problems) -> Vec<Found> {
    let mut section: Option<String> = None;
    let mut known_section = false;
    let mut found: Vec<Found> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let (place, line) = (format!("{file}:{}", number + 1), line.trim());
        if line.is_empty() || line.starts_with([';', '#']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let name = name.trim();
            known_section = KEYS.iter().any(|key| key.section == name);
            if !known_section {
                let meant = did_you_mean(name, sections());
                problems.add(&place, format!("[{name}]: no such section; {meant}there are {}", sections().join(", ")));
            }
            section = Some(name.to_owned());
            continue;
        }
        let Some((name, _)) = line.split_once('=').map(|(name, value)| (name.trim(), value)) else {
            let line = without_secrets(line);
            problems.add(&place, format!("{line}: neither [section], key = value, nor a comment (; or # first)"));
            continue;
        };
        match &section {
            None => problems.add(&place, format!("{name}: stands before the first [section]")),
            Some(_) if !known_section => {}
            Some(section) => match find(section, name) {
                None => {
                    let (meant, keys) = (did_you_mean(name, keys_of(section)), keys_of(section).join(", "));
                    problems.add(&place, format!("[{section}] {name}: no such key; {meant}there are {keys}"));
                }
                Some(key) => match found.iter().find(|f| std::ptr::eq(f.key, key)) {
                    Some(first) => {
                        let what = format!("[{section}] {name}: stands twice, first at {}", first.place);
                        problems.add(&place, what);
                    }
                    None => found.push(Found { key, place, line: line.to_owned() }),
                },
            },
        }
    }
    found
}

/// The values of the lines that the scan let through, by rust-ini.
fn parse(found: &[Found]) -> Vec<String> {
    let mut clean = String::new();
    for line in found {
        clean += &format!("[{}]\n{}\n", line.key.section, line.line);
    }
    let options = ParseOption { enabled_quote: false, enabled_escape: false, ..ParseOption::default() };
    let ini = Ini::load_from_str_opt(&clean, options).unwrap_or_default();
    let value = |f: &Found| {
        let sections = ini.section_all(Some(f.key.section));
        sections.into_iter().find_map(|section| section.get(f.key.name)).unwrap_or_default().trim().to_owned()
    };
    found.iter().map(value).collect()
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
        problems.add(place, format!("{path}: no such key; {meant}namecam.ini.example lists them"));
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

/// More slips than these make another word of it.
const MANY_SLIPS: usize = 2;

/// The name that is nearest to what was typed, as a question; nothing when none is near.
fn did_you_mean(typed: &str, names: Vec<String>) -> String {
    let slips = |name: &String| slips(typed, name);
    let nearest = names.into_iter().min_by_key(slips);
    // Of a short word nearly every letter would be a slip.
    let near = nearest.filter(|name| slips(name) <= (typed.chars().count() / 2).min(MANY_SLIPS));
    near.map_or_else(String::new, |name| format!("did you mean {name}? "))
}

/// How many slips lead from one word to the other: a letter too many, missing or wrong, or two that changed places.
fn slips(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // Each that is too many is one, and of a whole book nobody need count them.
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
