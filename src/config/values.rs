//! Values that are more than a word or a number.

use std::fmt;
use std::path::PathBuf;

/// Where pictures come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Source {
    /// A V4L2 device: a path.
    Device(PathBuf),
    /// A program that prints JPEGs, and its arguments.
    Pipe(Vec<String>),
    /// A folder of pictures that are moved about.
    Stills(PathBuf),
    /// Not yet set; only while the config is being read.
    #[default]
    None,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Device(path) => write!(f, "{}", path.display()),
            Source::Pipe(words) => write!(f, "pipe:{}", shell_words::join(words)),
            Source::Stills(folder) => write!(f, "stills:{}", folder.display()),
            Source::None => f.write_str("none"),
        }
    }
}

impl Source {
    /// The source as everybody may see it: the arguments of a program may hold a password.
    pub fn public(&self) -> String {
        match self {
            Source::Pipe(words) => format!("pipe:{}", words.first().map_or("", String::as_str)),
            other => other.to_string(),
        }
    }
}

/// Reads `camera.source`.
pub fn source(text: String) -> Option<Source> {
    if let Some(command) = text.strip_prefix("pipe:") {
        let words = shell_words::split(command).ok()?;
        return (!words.is_empty()).then_some(Source::Pipe(words));
    }
    if let Some(folder) = text.strip_prefix("stills:") {
        return (!folder.is_empty()).then(|| Source::Stills(folder.trim().into()));
    }
    if text.is_empty() {
        return None;
    }
    let number = text.bytes().all(|b| b.is_ascii_digit());
    Some(Source::Device(if number { format!("/dev/video{text}").into() } else { text.into() }))
}

/// Reads `camera.controls`.
pub fn controls(text: String) -> Option<Vec<(String, i64)>> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=')?;
            let name = name.trim();
            (!name.is_empty()).then_some(())?;
            Some((name.to_owned(), value.trim().parse().ok()?))
        })
        .collect()
}

/// Reads `http.hosts`.
pub fn hosts(text: String) -> Option<Vec<String>> {
    let names = text.split(',').map(|name| name.trim().trim_end_matches('.').to_lowercase());
    let names: Vec<String> = names.filter(|name| !name.is_empty()).collect();
    names.iter().all(|name| !name.contains(|c: char| c.is_whitespace() || c == '/' || c == ':')).then_some(names)
}

/// Reads `overlay.font`.
pub fn font(text: String) -> Option<Option<PathBuf>> {
    match text.as_str() {
        "" => None,
        "auto" => Some(None),
        _ => Some(Some(text.into())),
    }
}
