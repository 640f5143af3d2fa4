//! Values of the config with a syntax of their own.

use crate::image::Zone;
use std::fmt;
use std::path::PathBuf;

/// The source of frames.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum CameraSource {
    /// The path of a V4L2 device.
    Device(PathBuf),
    /// A program that writes JPEGs to its output, and its arguments.
    Pipe(Vec<String>),
    /// A folder of pictures that are panned.
    Stills(PathBuf),
    /// A recording of `probe --record`.
    Replay {
        /// The recording.
        file: PathBuf,
        /// True when the recording is played without end.
        begins_again: bool,
    },
    /// No source is set. This occurs only while the config is read.
    #[default]
    None,
}

/// The end of the value for a recording that is played without end.
const LOOP: &str = "?loop";

impl fmt::Display for CameraSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CameraSource::Device(path) => write!(f, "{}", path.display()),
            CameraSource::Pipe(words) => write!(f, "pipe:{}", shell_words::join(words)),
            CameraSource::Stills(folder) => write!(f, "stills:{}", folder.display()),
            CameraSource::Replay { file, begins_again } => {
                write!(f, "replay:{}{}", file.display(), if *begins_again { LOOP } else { "" })
            }
            CameraSource::None => f.write_str("none"),
        }
    }
}

impl CameraSource {
    /// The source in the form that viewers may see: without the arguments of a program, which may contain a password.
    pub fn public(&self) -> String {
        match self {
            CameraSource::Pipe(words) => format!("pipe:{}", words.first().map_or("", String::as_str)),
            other => other.to_string(),
        }
    }
}

/// `text` without the user, password and query of each URL in it, for logs and viewers.
pub fn without_secrets(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, address) = rest.split_at(at + 3);
        shown.push_str(before);
        let ends = |c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '<' | '>');
        let (address, after) = address.split_at(address.find(ends).unwrap_or(address.len()));
        // The user part is removed first, because a password may contain a ? that was not written as %3F.
        let address = address.rsplit_once('@').map_or(address, |(_, host)| host);
        let (address, query) = address.split_once('?').map_or((address, ""), |(address, _)| (address, "?..."));
        shown.push_str(address);
        shown.push_str(query);
        rest = after;
    }
    shown + rest
}

/// The error about a `camera.source` that is a URL or a shell command, with the value to write instead; `None` for any
/// other value.
pub fn no_source(text: &str) -> Option<String> {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    if scheme.is_some_and(|scheme| !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric())) {
        // Over TCP, ffmpeg gets no damaged pictures.
        let rtsp = if scheme == Some("rtsp") { "-rtsp_transport tcp " } else { "" };
        return Some(format!(
            "a URL needs a program that reads it; use pipe:ffmpeg -loglevel error {rtsp}-i {} -f mjpeg -q:v 4 -",
            without_secrets(text)
        ));
    }
    let word = shell_word(text.strip_prefix("pipe:")?)?;
    Some(format!(
        "no shell runs this command, so {word} would be passed as an argument; put the command into a script and use \
         pipe:sh /path/to/script"
    ))
}

/// The first word of `command` that is shell syntax and is not quoted.
fn shell_word(command: &str) -> Option<&str> {
    let mut from = 0;
    command.split_inclusive(char::is_whitespace).find_map(|piece| {
        let (before, word) = (&command[..from], piece.trim_end());
        from += piece.len();
        let file = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '&').starts_with(['<', '>']);
        let between = matches!(word, "|" | "|&" | "||" | "&&" | "&" | ";");
        // When the text before this word splits into whole words, the word is not inside quotes.
        ((file || between) && shell_words::split(before).is_ok()).then_some(word)
    })
}

/// Reads `camera.source`.
pub fn source(text: String) -> Option<CameraSource> {
    if no_source(&text).is_some() {
        return None;
    }
    if let Some(command) = text.strip_prefix("pipe:") {
        let words = shell_words::split(command).ok()?;
        return (!words.is_empty()).then_some(CameraSource::Pipe(words));
    }
    if let Some(folder) = text.strip_prefix("stills:") {
        return (!folder.is_empty()).then(|| CameraSource::Stills(folder.trim().into()));
    }
    if let Some(file) = text.strip_prefix("replay:").map(str::trim) {
        let name = file.strip_suffix(LOOP).unwrap_or(file);
        let begins_again = name != file;
        return (!name.is_empty()).then(|| CameraSource::Replay { file: name.into(), begins_again });
    }
    if text.is_empty() {
        return None;
    }
    let number = text.bytes().all(|b| b.is_ascii_digit());
    Some(CameraSource::Device(if number { format!("/dev/video{text}").into() } else { text.into() }))
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

/// The most zones of `camera.mask`.
const MAX_ZONES: usize = 16;

/// Reads `camera.mask`.
pub fn mask(text: String) -> Option<Vec<Zone>> {
    let zone = |text: &str| {
        let numbers = text.split(',').map(|number| number.parse().ok()).collect::<Option<Vec<f64>>>()?;
        Zone::of_percent(numbers.try_into().ok()?)
    };
    text.split_whitespace().map(zone).collect::<Option<Vec<_>>>().filter(|zones| zones.len() <= MAX_ZONES)
}

/// Reads `http.hosts`.
pub fn hosts(text: String) -> Option<Vec<String>> {
    let names = text.split(',').map(|name| name.trim().trim_end_matches('.').to_lowercase());
    let names: Vec<String> = names.filter(|name| !name.is_empty()).collect();
    // A browser sends a name in another script as punycode, and never a pattern.
    let is_sent = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    names.iter().all(|name| name.chars().all(is_sent)).then_some(names)
}

/// Reads `http.cors`: origins in the form that browsers send.
pub fn origins(text: String) -> Option<Vec<String>> {
    let origins = text.split(',').map(|origin| origin.trim().to_lowercase()).filter(|origin| !origin.is_empty());
    origins.map(|origin| sent_origin(&origin)).collect()
}

/// The origin in the form that browsers send, without the default port of its scheme.
fn sent_origin(origin: &str) -> Option<String> {
    let (scheme, rest) = origin.split_once("://")?;
    let usual_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return None,
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    Url::parse(&format!("http://{rest}")).filter(|_| !rest.contains(['/', '?', '%']))?;
    Some(format!("{scheme}://{}", rest.strip_suffix(usual_port).unwrap_or(rest)))
}

/// The address of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// True when the connection is encrypted.
    pub is_https: bool,
    /// The name or address of the host.
    pub host: String,
    /// The port; 80 or 443 when the address has none.
    pub port: u16,
    /// The path with the query, from the `/` on.
    pub path: String,
}

impl Url {
    /// Reads `http://HOST:PORT/PATH`, in a build with TLS also `https://`. `None` for any other scheme, and for an
    /// address with a user, a password or a fragment.
    pub fn parse(text: &str) -> Option<Url> {
        let (scheme, rest) = text.split_once("://")?;
        let is_https = match scheme {
            "http" => false,
            "https" => tls(true)?,
            _ => return None,
        };
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => rest.split_once(']').map(|(host, port)| (host, port.strip_prefix(':')))?,
            None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '%');
        let is_host = !host.is_empty() && host.chars().all(is_plain);
        let is_path = path.chars().all(|c| c.is_ascii_graphic() && c != '#');
        let usual = if is_https { 443 } else { 80 };
        let port = port.map_or(Some(usual), |port| port.parse().ok())?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        (is_host && is_path).then(|| Url { is_https, host: host.to_owned(), port, path })
    }

    /// Host and port, as in a `Host` header.
    pub fn authority(&self) -> String {
        let Url { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

/// Reads `mqtt.tls`.
pub fn tls(is_on: bool) -> Option<bool> {
    (!is_on || cfg!(feature = "tls")).then_some(is_on)
}

/// Reads `webhook.url`.
pub fn url(text: String) -> Option<Option<Url>> {
    if text.is_empty() { Some(None) } else { Url::parse(&text).map(Some) }
}

/// Reads `webhook.events` and `exec.events`.
pub fn event_kinds(text: String) -> Option<Vec<String>> {
    let words = text.split(',').map(|word| word.trim().to_lowercase()).filter(|word| !word.is_empty());
    let words: Vec<String> = words.collect();
    words.iter().all(|word| super::EVENT_WORDS.contains(&&**word)).then_some(words)
}

/// Reads `exec.command`.
pub fn command(text: String) -> Option<Vec<String>> {
    if shell_word(&text).is_some() { None } else { shell_words::split(&text).ok() }
}

/// Reads `mqtt.prefix`.
pub fn prefix(text: String) -> Option<String> {
    topic(text).filter(|topic| !topic.is_empty())
}

/// Reads `mqtt.discovery_prefix`.
pub fn topic(text: String) -> Option<String> {
    let odd = |c: char| matches!(c, '+' | '#') || c.is_control();
    let is_topic = !text.starts_with('/') && !text.ends_with('/') && !text.contains(odd) && text.len() <= 100;
    is_topic.then_some(text)
}

/// Reads `mqtt.client_id`.
pub fn client_id(text: String) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    (text.len() <= 64 && text.chars().all(is_plain)).then_some(text)
}

/// Reads `overlay.font`.
pub fn font(text: String) -> Option<Option<PathBuf>> {
    match text.as_str() {
        "" => None,
        "auto" => Some(None),
        _ => Some(Some(text.into())),
    }
}
