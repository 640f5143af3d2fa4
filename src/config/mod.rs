//! The config: sections of typed values, read from an ini file and `--set`. All problems are reported together.

pub(crate) mod change;
mod hours;
pub mod keys;
mod origin;
pub(crate) mod text;
mod values;

pub use change::Change;
pub use hours::Hours;
pub use origin::{Origin, instance, of_service};
pub use values::{CameraSource, Url, without_secrets};

use crate::image::jpeg::Codec;
use crate::image::{Mask, Turn, Zone};
use serde::Serialize;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// `[camera]`
#[derive(Debug, Clone, PartialEq, Default)]
#[allow(missing_docs)] // KEYS documents each field
pub struct Camera {
    pub source: CameraSource,
    pub format: String,
    pub width: u32,
    pub height: u32,
    pub fps: u32,
    pub rotate: u16,
    pub mirror: bool,
    pub mask: Vec<Zone>,
    pub controls: Vec<(String, i64)>,
    pub away_after_s: u32,
}

impl Camera {
    /// The rotation and mirroring of a captured frame.
    pub fn turn(&self) -> Turn {
        Turn { degrees: self.rotate, mirror: self.mirror }
    }

    /// The zones of the picture that are hidden from everybody.
    pub fn mask(&self) -> Mask {
        Mask::new(&self.mask, self.turn())
    }
}

/// Declares an enum whose variants are words of the config.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
        pub enum $name { #[default] $($(#[$vdoc])* $variant),+ }
        impl $name {
            fn from_word(word: String) -> Option<Self> {
                match word.as_str() { $($word => Some(Self::$variant),)+ _ => None }
            }
            /// The word of this variant in the config.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}

words!(
    /// How faces are found.
    Detector {
        /// Histograms of oriented gradients.
        Hog = "hog",
        /// dlib's convolutional network.
        Cnn = "cnn",
    }
);
words!(
    /// How a face is aligned.
    Landmarks {
        /// Corners of the eyes, and the nose.
        Five = "5",
        /// The whole outline.
        SixtyEight = "68",
    }
);
words!(
    /// The metric for the distance of two descriptors.
    Metric {
        /// Length of the difference.
        Euclidean = "euclidean",
        /// One less the cosine of the angle between them.
        Cosine = "cosine",
    }
);
words!(
    /// The templates of a person, with which a probe is compared.
    Templates {
        /// The mean of the person's pictures.
        Means = "means",
        /// Each of the person's pictures.
        Exemplars = "exemplars",
    }
);
words!(
    /// How faces without a name are shown.
    UnknownFaces {
        /// A box and a label.
        Show = "show",
        /// Nothing.
        Hide = "hide",
        /// They are blurred beyond recognition.
        Blur = "blur",
    }
);

/// `[recognition]`
#[derive(Debug, Clone, PartialEq, Default)]
#[allow(missing_docs)]
pub struct Recognition {
    pub enabled: bool,
    pub hours: Hours,
    pub interval_ms: u32,
    pub detector: Detector,
    pub detect_width: u32,
    pub upsample: u32,
    pub blas_threads: u32,
    pub landmarks: Landmarks,
    pub num_jitters: u32,
    pub metric: Metric,
    pub threshold: f32,
    pub cosine_threshold: f32,
    pub false_name_budget: f32,
    pub templates: Templates,
    pub remember_strangers_h: u32,
}

impl Recognition {
    /// True when recognition is to run at this time.
    pub fn is_on(&self, at: SystemTime) -> bool {
        self.enabled && self.hours.include_time(at)
    }

    /// The time at which recognition that is enabled but off goes on again, as `07:00`; `None` while it is on.
    pub fn off_until(&self, at: SystemTime) -> Option<String> {
        let is_off = self.enabled && !self.hours.include_time(at);
        self.hours.next_change(at).filter(|_| is_off)
    }

    /// The largest distance at which a face gets a name, in the configured metric.
    pub fn outermost(&self) -> f32 {
        match self.metric {
            Metric::Euclidean => self.threshold,
            Metric::Cosine => self.cosine_threshold,
        }
    }
}

/// `[events]`
#[derive(Debug, Clone, PartialEq, Default)]
#[allow(missing_docs)]
pub struct Events {
    pub presence_s: u32,
    pub stranger_looks: u32,
    pub stranger_s: u32,
    pub stranger_hours: Hours,
    pub visits_h: u32,
    pub pictures: bool,
}

/// `[gallery]`
#[derive(Debug, Clone, PartialEq, Default)]
#[allow(missing_docs)]
pub struct Gallery {
    pub path: PathBuf,
    pub max_images_per_person: u32,
}

/// `[mqtt]`
#[derive(Debug, Clone, PartialEq, Default)]
#[allow(missing_docs)]
pub struct Mqtt {
    /// The broker; empty: MQTT is off.
    pub host: String,
    /// The port of the broker; 0: the usual port, see [`Mqtt::port`].
    pub port: u16,
    pub tls: bool,
    /// The PEM file of the CAs; `None`: the CAs of the system.
    pub ca_file: Option<PathBuf>,
    pub user: String,
    pub password_file: Option<PathBuf>,
    pub prefix: String,
    /// The prefix of Home Assistant's topics; empty: nothing is announced to Home Assistant.
    pub discovery_prefix: String,
    /// The MQTT client id; empty: the name of the machine.
    pub client_id: String,
    pub control: bool,
}

impl Mqtt {
    /// The port of the broker.
    pub fn port(&self) -> u16 {
        match (self.port, self.tls) {
            (0, false) => 1883,
            (0, true) => 8883,
            (port, _) => port,
        }
    }
}

/// `[webhook]`
#[derive(Debug, Clone, PartialEq, Default)]
#[allow(missing_docs)]
pub struct Webhook {
    /// The address of the webhook; `None`: the webhook is off.
    pub url: Option<Url>,
    /// The PEM file of the CAs; `None`: the CAs of the system.
    pub ca_file: Option<PathBuf>,
    pub secret_file: Option<PathBuf>,
    /// The kinds of events that are sent; empty: all kinds.
    pub events: Vec<String>,
}

/// `[exec]`
#[derive(Debug, Clone, PartialEq, Default)]
#[allow(missing_docs)]
pub struct Exec {
    /// The program and its arguments; empty: no program is started.
    pub command: Vec<String>,
    /// The kinds of events that are sent; empty: all kinds.
    pub events: Vec<String>,
}

/// `[models]`
#[derive(Debug, Clone, PartialEq, Default)]
#[allow(missing_docs)]
pub struct Models {
    pub path: PathBuf,
    pub recognizer: String,
}

/// `[overlay]`
#[derive(Debug, Clone, PartialEq, Default)]
#[allow(missing_docs)]
pub struct Overlay {
    pub enabled: bool,
    pub show_distance: bool,
    pub unknown: UnknownFaces,
    pub blur_for_viewers: bool,
    pub box_color: [u8; 3],
    pub text_color: [u8; 3],
    /// The font of the labels; `None`: the fonts of the system.
    pub font: Option<PathBuf>,
}

impl Overlay {
    /// True when faces without a name are blurred in the pictures for an admin, or for a viewer. Faces that are blurred
    /// for admins are blurred for viewers, too.
    pub fn blurs_for(&self, is_admin: bool) -> bool {
        self.unknown == UnknownFaces::Blur || (self.blur_for_viewers && !is_admin)
    }
}

/// `[stream]`
#[derive(Debug, Clone, PartialEq, Default)]
#[allow(missing_docs)]
pub struct Stream {
    pub width: u32,
    pub quality: u32,
    pub max_fps: u32,
    pub max_viewers: u32,
    pub encoder: Codec,
}

/// `[http]`
#[derive(Debug, Clone, PartialEq, Default)]
#[allow(missing_docs)]
pub struct Http {
    pub bind: String,
    pub password_file: Option<PathBuf>,
    pub open: bool,
    pub hosts: Vec<String>,
    pub cors: Vec<String>,
}

/// `[state]`
#[derive(Debug, Clone, PartialEq, Default)]
#[allow(missing_docs)]
pub struct State {
    /// The state folder; `None`: see [`Config::state_folder`].
    pub path: Option<PathBuf>,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct Log {
    pub level: log::LevelFilter,
}

/// The whole config. A config in use never changes; a reload makes a new one.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct Config {
    pub camera: Camera,
    pub recognition: Recognition,
    pub gallery: Gallery,
    pub events: Events,
    pub mqtt: Mqtt,
    pub webhook: Webhook,
    pub exec: Exec,
    pub models: Models,
    pub overlay: Overlay,
    pub stream: Stream,
    pub http: Http,
    pub state: State,
    pub log: Log,
    /// The config file; `None` when there is no file and every key has its default.
    pub file: Option<PathBuf>,
    /// The folder of the files that namecam keeps: `state.path`, else the folder that systemd made for the unit, else
    /// the folder of the package or of the user.
    pub state_folder: Option<PathBuf>,
    /// The given values. Later values override earlier ones.
    pub given: Vec<Given>,
    /// Warnings about values that may not have the effect that the owner expects, as sentences for the log and for
    /// `check`.
    pub warnings: Vec<String>,
}

/// A value that was given for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The key, as `--set` takes it.
    pub key: String,
    /// The value, without secrets.
    pub value: String,
    /// File and line, `--set`, or `MQTT` for a value that lasts until the next reload.
    pub place: String,
}

/// A key with its value, the place where the value was given, and the allowed values.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InUse {
    /// The key, as `--set` takes it.
    pub key: String,
    /// The value, without secrets; of a key with `words`, one of these. Of a key with `restart` it may be newer than the
    /// value in use.
    pub value: String,
    /// File and line, `--set`, `MQTT` or `default`.
    pub source: String,
    /// The value in the settings file, if that has the key; `--set` or MQTT may give another one.
    pub kept: Option<String>,
    /// The default.
    pub default: &'static str,
    /// The allowed values, as text.
    pub allowed: String,
    /// The form of the value, as a word.
    pub kind: &'static str,
    /// The smallest allowed number.
    pub least: Option<f64>,
    /// The largest allowed number.
    pub most: Option<f64>,
    /// The allowed words of a key that takes only certain words; empty for other keys.
    pub words: &'static [&'static str],
    /// The description of the key.
    pub help: &'static str,
    /// True when a change needs a restart.
    pub restart: bool,
    /// True when the settings file may hold the key.
    pub in_settings: bool,
}

/// Words of `camera.format`: `auto` and every format that namecam reads.
pub(crate) const FORMAT_WORDS: &[&str] =
    &["auto", "mjpg", "jpeg", "nv12", "nv21", "yu12", "yv12", "rgb3", "bgr3", "yuyv", "uyvy", "yvyu", "grey"];

/// The part of an error message about TLS in a build without the feature `tls`.
const NO_TLS: &str = "this build has no TLS (the feature tls of cargo)";
/// The kinds of events, as `webhook.events` and `exec.events` name them.
pub(crate) const EVENT_WORDS: &[&str] =
    &["appeared", "named", "renamed", "withdrawn", "left", "stranger", "gallery", "camera"];

/// The config file and the state folder of the package.
const OF_PACKAGE: (&str, &str) = ("/etc/namecam/namecam.ini", "/var/lib/namecam");
/// The password file of the package.
const ACCOUNTS: &str = "/var/lib/namecam/users";
/// The password file in the config of the package's first version: a credential that the unit made from a file in
/// /etc/namecam.
const FORMER_ACCOUNTS: &str = "/run/credentials/namecam.service/users";

/// An error in the config, with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// File and line, `--set`, or the key of a change.
    pub place: String,
    /// The error and the allowed values.
    pub what: String,
}

impl Problem {
    /// The line of the file; `u32::MAX` for a problem without a line, so that it sorts last.
    fn line(&self) -> u32 {
        self.place.rsplit_once(':').and_then(|(_, line)| line.parse().ok()).unwrap_or(u32::MAX)
    }

    /// The sort key: file by file, line by line, and then the problems that are in no file.
    fn order(&self) -> (bool, String, u32) {
        let (line, file) = (self.line(), self.place.rsplit_once(':').map_or("", |(file, _)| file));
        (line == u32::MAX, file.to_owned(), line)
    }
}

/// All errors in the config.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(|p| format!("{}: {}", p.place, p.what)).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Problems {}

impl Problems {
    fn add(&mut self, place: &str, what: impl Into<String>) {
        self.0.push(Problem { place: place.to_owned(), what: what.into() });
    }
}

impl Config {
    /// The config with the default of every key. Relative paths start at `base`.
    pub fn defaults(base: &Path) -> Config {
        let mut config = Config {
            camera: Camera::default(),
            recognition: Recognition::default(),
            gallery: Gallery::default(),
            events: Events::default(),
            mqtt: Mqtt::default(),
            webhook: Webhook::default(),
            exec: Exec::default(),
            models: Models::default(),
            overlay: Overlay::default(),
            stream: Stream::default(),
            http: Http::default(),
            state: State::default(),
            log: Log { level: log::LevelFilter::Info },
            file: None,
            state_folder: None,
            given: Vec::new(),
            warnings: Vec::new(),
        };
        for key in keys::KEYS {
            let put = key.kind.parse(key.default, base).and_then(|value| key.put(&mut config, value));
            debug_assert!(put.is_some(), "the default of {} is not allowed", key.path());
        }
        config
    }

    fn apply(&mut self, settings: &[text::Setting], problems: &mut Problems) {
        for setting in settings {
            let key = setting.key;
            let value = if key.path() == "camera.source" {
                values::source(setting.value.clone()).map_or_else(String::new, |source| source.public())
            } else if key.path() == "exec.command" {
                setting.value.split_whitespace().next().unwrap_or_default().to_owned()
            } else {
                without_secrets(&setting.value)
            };
            self.given.push(Given { key: key.path(), value, place: setting.place.clone() });
            let value = key.kind.parse(&setting.value, &setting.base);
            if value.and_then(|value| key.put(self, value)).is_none() {
                let (given, wrong) = (without_secrets(&setting.value), wrong(key, &setting.value));
                let what = format!("[{}] {} = {given}: {wrong}", key.section, key.name);
                problems.add(&setting.place, what);
            }
            self.resolve(&setting.base);
        }
        // From a unit without credentials, systemd hides their folder, and it is an error to look there.
        if self.http.password_file.as_deref() == Some(Path::new(FORMER_ACCOUNTS))
            && !Path::new(FORMER_ACCOUNTS).exists()
        {
            self.http.password_file = Some(ACCOUNTS.into());
            self.warnings.push(format!(
                "[http] password_file = {FORMER_ACCOUNTS}: the unit has no such credential any more, and {ACCOUNTS} is used; \
                 write password_file = {ACCOUNTS}"
            ));
        }
        let is_https = self.webhook.url.as_ref().is_some_and(|url| url.is_https);
        for (ca_file, is_used, section, remedy) in [
            (&self.mqtt.ca_file, self.mqtt.tls, "mqtt", "tls = yes"),
            (&self.webhook.ca_file, is_https, "webhook", "an https:// address in url"),
        ] {
            if ca_file.is_some() && !is_used {
                self.warnings
                    .push(format!("[{section}] ca_file is not used, and nothing is encrypted, without {remedy}"));
            }
        }
        if self.mqtt.port() == 8883 && !self.mqtt.tls && !self.mqtt.host.is_empty() {
            let what = "[mqtt] port = 8883 is the port of TLS, and tls = no sends user and password in the clear; write tls = yes";
            self.warnings.push(what.to_owned());
        }
        let place_of = |section: &str, name: &str| {
            let found = settings.iter().rev().find(|s| (s.key.section, s.key.name) == (section, name));
            found.map_or_else(|| "default".to_owned(), |setting| setting.place.clone())
        };
        let loopback = self.bind_address().is_none_or(|address| address.ip().is_loopback());
        if !loopback && self.http.password_file.is_none() && !self.http.open {
            let what = format!(
                "[http] bind = {}: anyone on the network could watch; set password_file (namecam passwd writes one), \
                 or open = yes to allow that",
                self.http.bind
            );
            problems.add(&place_of("http", "bind"), what);
        }
    }

    /// Makes the paths of `camera.source` and `overlay.font` absolute.
    fn resolve(&mut self, base: &Path) {
        if let CameraSource::Stills(path) | CameraSource::Replay { file: path, .. } = &mut self.camera.source {
            *path = base.join(&*path);
        }
        if let Some(font) = &mut self.overlay.font {
            *font = base.join(&*font);
        }
    }

    /// The given value of each key, with its place. After a reload, the value of a key with `restart` may be newer than
    /// the value in use.
    pub fn in_use(&self) -> Vec<InUse> {
        let all = keys::KEYS.iter().map(|key| {
            let path = key.path();
            let given = self.given.iter().rev().find(|given| given.key == path);
            let value = given.map_or(key.default, |given| &given.value);
            let is_kept = |place| self.state_folder.as_deref().is_some_and(|folder| origin::is_settings(folder, place));
            let kept = self.given.iter().rev().find(|given| given.key == path && is_kept(&given.place));
            // A file may have a word in capitals.
            let word = key.kind.words().iter().find(|word| **word == value.to_lowercase());
            InUse {
                value: word.copied().unwrap_or(value).to_owned(),
                source: given.map_or("default", |given| &given.place).to_owned(),
                kept: kept.map(|given| given.value.clone()),
                default: key.default,
                allowed: allowed(key),
                kind: key.kind.word(),
                least: key.kind.range().map(|(least, _)| least),
                most: key.kind.range().map(|(_, most)| most),
                words: key.kind.words(),
                help: key.help,
                restart: key.restart,
                in_settings: key.in_settings,
                key: path,
            }
        });
        all.collect()
    }

    /// `http.bind` as an address.
    pub fn bind_address(&self) -> Option<SocketAddr> {
        self.http.bind.parse().ok()
    }

    /// Copies from `old` the values that cannot change without a restart. Returns the keys whose new values are
    /// ignored.
    pub fn keep_what_needs_a_restart(&mut self, old: &Config) -> Vec<String> {
        let kept = keys::KEYS.iter().filter(|key| key.restart && key.keep(self, old));
        kept.map(keys::Key::path).collect()
    }
}

/// The error about a wrong `value`, with the allowed values.
fn wrong(key: &keys::Key, value: &str) -> String {
    let source = key.path() == "camera.source";
    if let Some(what) = Some(value).filter(|_| source).and_then(values::no_source) {
        return what;
    }
    let comment = value.split_inclusive(char::is_whitespace).skip(1).any(|word| word.starts_with([';', '#']));
    let comment = if comment { "; put a comment on a line of its own" } else { "" };
    let quotes = if value.starts_with(['"', '\'']) { "; leave the quotes out" } else { "" };
    format!("must be {}{comment}{quotes}", allowed(key))
}

fn allowed(key: &keys::Key) -> String {
    match key.path().as_str() {
        "camera.source" => "a device, a number, pipe:COMMAND, stills:FOLDER or replay:FILE (close every quote)".to_owned(),
        "camera.mask" => {
            "empty, or LEFT,TOP,WIDTH,HEIGHT in percent of the picture, at most 16 such rectangles separated by spaces"
                .to_owned()
        }
        "camera.controls" => "name=NUMBER pairs separated by commas".to_owned(),
        // turbojpeg is a valid word, but this build lacks that encoder.
        "stream.encoder" if !cfg!(feature = "turbojpeg") => {
            "auto or jpeg-encoder; this build has no turbojpeg".to_owned()
        }
        "http.hosts" => {
            "host names separated by commas, as a browser sends them: no *, no port, and a name in another script as \
                         xn--... (python3 -c 'print(\"NAME\".encode(\"idna\").decode())')"
                .to_owned()
        }
        "http.cors" => {
            "origins separated by commas, or empty: http://HOST:PORT or https://HOST:PORT as the browser has it in its address \
             bar, without a path; the port only where it is there, and no *, such as http://mainsail.local, http://192.168.1.20:8080"
                .to_owned()
        }
        "mqtt.prefix" | "mqtt.discovery_prefix" => {
            "a topic: no + or #, no / at its beginning or end, 100 bytes at most".to_owned()
        }
        "mqtt.tls" if !cfg!(feature = "tls") => format!("no; {NO_TLS}"),
        "webhook.url" if !cfg!(feature = "tls") => {
            format!("http://HOST:PORT/PATH without user, password and #, or empty; {NO_TLS}")
        }
        "webhook.url" => {
            "https://HOST:PORT/PATH or http://HOST:PORT/PATH, without user, password and #, or empty".to_owned()
        }
        "webhook.events" | "exec.events" => {
            format!("kinds of events separated by commas ({}), or empty", EVENT_WORDS.join(", "))
        }
        "exec.command" => {
            "a program and its arguments (close every quote), or empty; no shell runs it: put a pipeline into a script"
                .to_owned()
        }
        "mqtt.client_id" => "ASCII letters, digits, - and _, 64 at most".to_owned(),
        _ => key.kind.allowed(),
    }
}

#[cfg(test)]
mod tests;
