//! [`KEYS`]: the table of the config's keys, from which the parser, the sample ini, the man page and docs/CONFIG.md are
//! made.

use super::{Config, Detector, Hours, Landmarks, Metric, Templates, UnknownFaces, values};
use crate::image::jpeg::Codec;
use std::path::PathBuf;

/// The form of a value. [`ValueKind::allowed`] prints it, [`ValueKind::parse`] checks it.
#[derive(Debug, Clone, Copy)]
pub enum ValueKind {
    /// Free text.
    Text,
    /// A file or folder; a relative path starts at the config file's folder.
    Path,
    /// Like `Path`, and may be empty.
    PathOrNone,
    /// yes or no.
    YesNo,
    /// A whole number between two limits, both allowed.
    Whole(u32, u32),
    /// A number between two limits, both allowed.
    Number(f32, f32),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// RRGGBB in hexadecimal digits.
    Color,
    /// ADDRESS:PORT.
    Address,
    /// Spans of the local day; an empty value means always.
    Hours,
}

/// A parsed value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// The value of `Text`, `OneOf` and `Address`.
    Text(String),
    /// The value of `Path` and `PathOrNone`, made absolute; `None` for an empty `PathOrNone`.
    Path(Option<PathBuf>),
    YesNo(bool),
    Whole(u32),
    Number(f32),
    Color([u8; 3]),
    Hours(Hours),
}

impl ValueKind {
    /// The allowed values as text.
    pub fn allowed(self) -> String {
        match self {
            ValueKind::Text => "text".to_owned(),
            ValueKind::Path => "a file or folder".to_owned(),
            ValueKind::PathOrNone => "a file, or empty".to_owned(),
            ValueKind::YesNo => "yes or no".to_owned(),
            ValueKind::Whole(from, to) => format!("a whole number from {from} to {to}"),
            ValueKind::Number(from, to) => format!("a number from {from} to {to}"),
            ValueKind::OneOf([first @ .., last]) if !first.is_empty() => format!("{} or {last}", first.join(", ")),
            ValueKind::OneOf(words) => words.concat(),
            ValueKind::Color => "six hexadecimal digits, red green blue".to_owned(),
            ValueKind::Address => "ADDRESS:PORT, such as 127.0.0.1:5000 or [::1]:5000".to_owned(),
            ValueKind::Hours => "empty, or FROM-TO as 07:00-22:00, several separated by commas".to_owned(),
        }
    }

    /// The name of the form in `/api/config`.
    pub fn word(self) -> &'static str {
        match self {
            ValueKind::Text => "text",
            ValueKind::Path | ValueKind::PathOrNone => "path",
            ValueKind::YesNo => "yes_no",
            ValueKind::Whole(..) => "whole",
            ValueKind::Number(..) => "number",
            ValueKind::OneOf(_) => "word",
            ValueKind::Color => "color",
            ValueKind::Address => "address",
            ValueKind::Hours => "hours",
        }
    }

    /// The smallest and the largest allowed number.
    pub fn range(self) -> Option<(f64, f64)> {
        match self {
            ValueKind::Whole(from, to) => Some((from.into(), to.into())),
            ValueKind::Number(from, to) => Some((from.into(), to.into())),
            _ => None,
        }
    }

    /// The allowed words of `OneOf`; empty for other forms.
    pub fn words(self) -> &'static [&'static str] {
        if let ValueKind::OneOf(words) = self { words } else { &[] }
    }

    /// Parses `text` as a value of this kind; `None` when the text is no such value.
    pub(crate) fn parse(self, text: &str, base: &std::path::Path) -> Option<Value> {
        let lower = text.to_lowercase();
        Some(match self {
            ValueKind::Text => Value::Text(text.to_owned()),
            ValueKind::Path if text.is_empty() => return None,
            ValueKind::PathOrNone if text.is_empty() => Value::Path(None),
            ValueKind::Path | ValueKind::PathOrNone => {
                let path = base.join(text);
                // Quotes and a comment would be part of the path, which is hardly meant unless such a file exists.
                let odd = text.starts_with(['"', '\'']) || text.contains(" ;") || text.contains(" #");
                if odd && !path.exists() {
                    return None;
                }
                Value::Path(Some(path))
            }
            ValueKind::YesNo => match lower.as_str() {
                "yes" | "true" | "on" => Value::YesNo(true),
                "no" | "false" | "off" => Value::YesNo(false),
                _ => return None,
            },
            ValueKind::Whole(from, to) => Value::Whole(text.parse().ok().filter(|n| (from..=to).contains(n))?),
            ValueKind::Number(from, to) => Value::Number(text.parse().ok().filter(|n| (from..=to).contains(n))?),
            ValueKind::OneOf(words) => Value::Text((*words.iter().find(|word| **word == lower)?).to_owned()),
            ValueKind::Color => {
                let digits = text.strip_prefix('#').unwrap_or(text);
                let plain = digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit());
                let [_, r, g, b] = u32::from_str_radix(digits, 16).ok().filter(|_| plain)?.to_be_bytes();
                Value::Color([r, g, b])
            }
            ValueKind::Address => {
                text.parse::<std::net::SocketAddr>().ok()?;
                Value::Text(text.to_owned())
            }
            ValueKind::Hours => Value::Hours(Hours::parse(text)?),
        })
    }
}

/// One key of the config.
pub struct Key {
    /// The section, without brackets.
    pub section: &'static str,
    /// The name within the section.
    pub name: &'static str,
    /// The default, as it is written in a file.
    pub default: &'static str,
    /// The form of the value.
    pub kind: ValueKind,
    /// The description for a user who does not know the code.
    pub help: &'static str,
    /// True when a change needs a restart.
    pub restart: bool,
    /// True when the settings file may hold the key, so that an admin may change it on the page. Such a key holds no
    /// path, command, address or password.
    pub in_settings: bool,
    put: fn(&mut Config, Value) -> Option<()>,
    keep: fn(&mut Config, &Config) -> bool,
}

impl Key {
    /// Stores a value that [`ValueKind::parse`] returned for this key; `None` when the value is not allowed.
    pub(crate) fn put(&self, config: &mut Config, value: Value) -> Option<()> {
        (self.put)(config, value)
    }

    /// Copies the value of this key from `old` to `new`; true when they differed.
    pub(crate) fn keep(&self, new: &mut Config, old: &Config) -> bool {
        (self.keep)(new, old)
    }

    /// `section.name`, as `--set` takes it.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }
}

/// Makes a [`Key`] from its path, default, kind, form, conversion, help and marks: `restart`, `settings`.
macro_rules! key {
    ($section:ident.$name:ident = $default:literal, $kind:expr, $form:ident $(=> $make:expr)?, $help:literal $(, $mark:ident)*) => {
        Key {
            section: stringify!($section),
            name: stringify!($name),
            default: $default,
            kind: $kind,
            help: $help,
            restart: false $(|| key!(@is_restart $mark))*,
            in_settings: false $(|| key!(@is_settings $mark))*,
            put: |config, value| {
                let Value::$form(value) = value else { return None };
                config.$section.$name = key!(@make value $($make)?);
                Some(())
            },
            keep: |new, old| {
                let differs = new.$section.$name != old.$section.$name;
                new.$section.$name.clone_from(&old.$section.$name);
                differs
            },
        }
    };
    (@is_restart restart) => { true };
    (@is_restart settings) => { false };
    (@is_settings restart) => { false };
    (@is_settings settings) => { true };
    (@make $value:ident) => { $value };
    (@make $value:ident $make:expr) => { $make($value)? };
}

/// Every key of the config, in the order of the sample ini.
pub const KEYS: &[Key] = &[
    key!(camera.source = "/dev/video0", ValueKind::Text, Text => values::source, "the camera: a device path, its number or its /dev/v4l/by-id path; pipe:COMMAND for a program that writes JPEGs to its output; stills:FOLDER for a folder of pictures that are panned; replay:FILE for a recording of namecam probe --record, replay:FILE?loop without end"),
    key!(
        camera.format = "auto",
        ValueKind::OneOf(super::FORMAT_WORDS),
        Text,
        "the pixel format to request from the camera",
        settings
    ),
    key!(
        camera.width = "1280",
        ValueKind::Whole(16, 16384),
        Whole,
        "the width to request from the camera, in pixels; the nearest supported size is used",
        settings
    ),
    key!(
        camera.height = "720",
        ValueKind::Whole(16, 16384),
        Whole,
        "the height to request from the camera, in pixels",
        settings
    ),
    key!(
        camera.fps = "30",
        ValueKind::Whole(1, 240),
        Whole,
        "the frames per second to request from the camera",
        settings
    ),
    key!(camera.rotate = "0", ValueKind::OneOf(&["0", "90", "180", "270"]), Text => |text: String| text.parse().ok(), "rotate the picture clockwise, in degrees", settings),
    key!(camera.mirror = "no", ValueKind::YesNo, YesNo, "mirror the picture left to right", settings),
    key!(camera.mask = "", ValueKind::Text, Text => values::mask, "what nobody is to see: rectangles of the picture as it is shown, each LEFT,TOP,WIDTH,HEIGHT in percent, separated by spaces; black everywhere; the camera's JPEGs are then encoded anew", settings),
    key!(camera.controls = "", ValueKind::Text, Text => values::controls, "camera controls to set: name=value pairs separated by commas, with the names that v4l2-ctl shows", settings),
    key!(
        camera.away_after_s = "15",
        ValueKind::Whole(5, 3600),
        Whole,
        "the seconds that the camera may take for its first two pictures before it is opened again, or its program is started again; later, three times its longest pause of the last 10 to 20 minutes counts, and 5 s at least",
        settings
    ),
    key!(recognition.enabled = "yes", ValueKind::YesNo, YesNo, "detect and name faces", settings),
    key!(
        recognition.hours = "",
        ValueKind::Hours,
        Hours,
        "when recognition runs, in local time, over midnight too; at other times it is off, as with enabled = no; empty: always",
        settings
    ),
    key!(
        recognition.interval_ms = "200",
        ValueKind::Whole(0, 60_000),
        Whole,
        "the time from the start of one look for faces to the start of the next, in milliseconds; 0: as often as possible; slows down while the board is hot or cannot keep up",
        settings
    ),
    key!(recognition.detector = "hog", ValueKind::OneOf(&["hog", "cnn"]), Text => Detector::from_word, "hog is fast and finds frontal faces; cnn finds more faces and is many times slower", settings),
    key!(
        recognition.detect_width = "640",
        ValueKind::Whole(80, 4096),
        Whole,
        "the width to which a frame is scaled before faces are detected, in pixels; with upsample 1 and a 60-degree lens, 640 reaches 2 metres and 1280 reaches 4; smaller is faster",
        settings
    ),
    key!(
        recognition.upsample = "1",
        ValueKind::Whole(0, 2),
        Whole,
        "how many times that frame is doubled in size: 0 finds faces from 80 pixels, 1 from 40, 2 from 20; only where something moves or a face was found before",
        settings
    ),
    key!(
        recognition.blas_threads = "1",
        ValueKind::Whole(1, 64),
        Whole,
        "the number of OpenBLAS threads; more than 1 helps only on an idle machine",
        restart
    ),
    key!(recognition.landmarks = "5", ValueKind::OneOf(&["5", "68"]), Text => Landmarks::from_word, "the landmarks that align a face: 5, or 68 (its model is not licensed for commercial use)", settings),
    key!(
        recognition.num_jitters = "1",
        ValueKind::Whole(1, 100),
        Whole,
        "how many slightly shifted copies of a face are averaged into one descriptor; 100 takes 100 times as long",
        settings
    ),
    key!(recognition.metric = "euclidean", ValueKind::OneOf(&["euclidean", "cosine"]), Text => Metric::from_word, "how the distance between two faces is measured", settings),
    key!(
        recognition.threshold = "0.6",
        ValueKind::Number(0.0, 2.0),
        Number,
        "the largest euclidean distance at which a face gets a name",
        settings
    ),
    key!(
        recognition.cosine_threshold = "0.07",
        ValueKind::Number(0.0, 2.0),
        Number,
        "the largest cosine distance at which a face gets a name",
        settings
    ),
    key!(
        recognition.false_name_budget = "0.005",
        ValueKind::Number(0.0, 0.5),
        Number,
        "the share of strangers who may wrongly get a name, per visit of about five looks (identify: per picture); the more people the gallery has, the closer a match must be; 0: only the threshold decides",
        settings
    ),
    key!(recognition.templates = "means", ValueKind::OneOf(&["means", "exemplars"]), Text => Templates::from_word, "what a face is compared with: the mean of a person's pictures, or each picture (exemplars); false_name_budget = 0 implies exemplars", settings),
    key!(
        recognition.remember_strangers_h = "0",
        ValueKind::Whole(0, 720),
        Whole,
        "hours; a descriptor of each unknown person who is seen well is kept in memory for so long, so that strangers who look like each other get fewer wrong names; 0: nothing is kept",
        settings
    ),
    key!(gallery.path = "gallery", ValueKind::Path, Path => std::convert::identity, "the gallery: one folder per person, named after them, with their pictures in it"),
    key!(
        gallery.max_images_per_person = "5",
        ValueKind::Whole(1, 1000),
        Whole,
        "the most pictures to use per person; of more, those that differ most are used, out of the first good ones in name order, three times as many",
        settings
    ),
    key!(
        events.presence_s = "10",
        ValueKind::Whole(3, 3600),
        Whole,
        "the seconds that a person who is no longer seen still counts as present: a turned head is no leaving; at least the time of two looks",
        settings
    ),
    key!(
        events.stranger_looks = "10",
        ValueKind::Whole(1, 1000),
        Whole,
        "how many comparisons with the gallery must leave a person unknown before the event stranger is sent; 10 take about 4 seconds at the default interval",
        settings
    ),
    key!(
        events.stranger_s = "0",
        ValueKind::Whole(0, 3600),
        Whole,
        "the seconds that an unknown person must have been present before the event stranger is sent",
        settings
    ),
    key!(
        events.stranger_hours = "",
        ValueKind::Hours,
        Hours,
        "from when to when the event stranger is sent, in local time, over midnight too; empty: always",
        settings
    ),
    key!(
        events.visits_h = "24",
        ValueKind::Whole(0, 24),
        Whole,
        "hours; who was here in this time is listed on the page, unknown people too, without pictures and in memory only, at most 500 visits; 0: nothing is kept",
        settings
    ),
    key!(
        events.pictures = "no",
        ValueKind::YesNo,
        YesNo,
        "yes: a picture of the face goes to the MQTT broker with the events named, renamed and stranger, and is kept there; none where strangers are blurred for anybody"
    ),
    key!(
        mqtt.host = "",
        ValueKind::Text,
        Text,
        "the name or address of an MQTT broker, which is told who is there, by name; empty: none is"
    ),
    key!(mqtt.port = "0", ValueKind::Whole(0, 65535), Whole => |port: u32| port.try_into().ok(), "its port; 0: 1883, or 8883 with tls"),
    key!(mqtt.tls = "no", ValueKind::YesNo, YesNo => values::tls, "yes: the connection is encrypted, and the certificate of the broker must be of a CA that is trusted, and for mqtt.host"),
    key!(mqtt.ca_file = "", ValueKind::PathOrNone, Path => Some, "the file with the certificate of the CA that is trusted for tls, PEM; empty: the CAs of the system"),
    key!(mqtt.user = "", ValueKind::Text, Text, "the user name for the broker"),
    key!(mqtt.password_file = "", ValueKind::PathOrNone, Path => Some, "the file whose first line is the password for the broker"),
    key!(mqtt.prefix = "namecam", ValueKind::Text, Text => values::prefix, "the first part of each topic; client_id is the second"),
    key!(mqtt.discovery_prefix = "homeassistant", ValueKind::Text, Text => values::topic, "the topic under which Home Assistant looks for devices; empty: nothing is announced"),
    key!(mqtt.client_id = "", ValueKind::Text, Text => values::client_id, "the name of this camera for the broker, in topics and in Home Assistant; each camera needs another one; empty: the name of the machine"),
    key!(
        mqtt.control = "no",
        ValueKind::YesNo,
        YesNo,
        "yes: anybody who may write to the broker may switch recognition off and on and reload"
    ),
    key!(webhook.url = "", ValueKind::Text, Text => values::url, "the address to which each event is sent by POST, as JSON, with names: https://HOST:PORT/PATH or http://; empty: none is"),
    key!(webhook.ca_file = "", ValueKind::PathOrNone, Path => Some, "the file with the certificate of the CA that is trusted for https, PEM; empty: the CAs of the system"),
    key!(webhook.secret_file = "", ValueKind::PathOrNone, Path => Some, "the file with the secret that signs what is sent: HMAC-SHA256 in the header X-Namecam-Signature"),
    key!(webhook.events = "", ValueKind::Text, Text => values::event_kinds, "which kinds of events are sent, separated by commas, such as named, left, stranger; empty: all"),
    key!(exec.command = "", ValueKind::Text, Text => values::command, "the program that is started for each event, and its arguments; the values of the event, with names, are in its environment; no shell runs it; empty: none is"),
    key!(exec.events = "", ValueKind::Text, Text => values::event_kinds, "for which kinds of events it is started, separated by commas; empty: all"),
    key!(models.path = "models", ValueKind::Path, Path => std::convert::identity, "the folder that holds dlib's models", restart),
    key!(
        models.recognizer = "dlib_face_recognition_resnet_model_v1.dat",
        ValueKind::Text,
        Text,
        "the recognition model in that folder; a model other than dlib's needs its checksum in FILE.sha256 and, for a false_name_budget, its cohort in FILE.cohort and its rates in FILE.rates",
        restart
    ),
    key!(overlay.enabled = "yes", ValueKind::YesNo, YesNo, "draw boxes and names on the picture", settings),
    key!(overlay.show_distance = "yes", ValueKind::YesNo, YesNo, "show the distance after the name", settings),
    key!(overlay.unknown = "show", ValueKind::OneOf(&["show", "hide", "blur"]), Text => UnknownFaces::from_word, "what to do with the faces of people who are not in the gallery; blur also blurs areas that have not been examined yet, and the whole picture while recognition does not run; a face that the detector misses is not blurred", settings),
    key!(
        overlay.blur_for_viewers = "no",
        ValueKind::YesNo,
        YesNo,
        "yes: viewers see the faces of people who are not in the gallery blurred, as with unknown = blur; admins see them as unknown says",
        settings
    ),
    key!(overlay.box_color = "00ff00", ValueKind::Color, Color, "the colour of boxes and labels, RRGGBB", settings),
    key!(overlay.text_color = "000000", ValueKind::Color, Color, "the colour of label text, RRGGBB", settings),
    key!(overlay.font = "auto", ValueKind::Text, Text => values::font, "the font for labels: a .ttf, .otf or .ttc file, or auto for the system's fonts"),
    key!(
        stream.width = "0",
        ValueKind::Whole(0, 8192),
        Whole,
        "the width to which the picture is scaled down, in pixels; 0: as captured",
        settings
    ),
    key!(stream.quality = "80", ValueKind::Whole(1, 100), Whole, "the JPEG quality", settings),
    key!(
        stream.max_fps = "0",
        ValueKind::Whole(0, 240),
        Whole,
        "the most frames per second that a viewer gets; 0: every frame of the camera",
        settings
    ),
    key!(
        stream.max_viewers = "32",
        ValueKind::Whole(1, 250),
        Whole,
        "the most viewers at a time; the last quarter of the places is reserved for clients that do not watch yet",
        settings
    ),
    key!(stream.encoder = "auto", ValueKind::OneOf(Codec::WORDS), Text => |text: String| Codec::from_word(&text), "the JPEG encoder; auto: turbojpeg, or jpeg-encoder in a build without it"),
    key!(
        http.bind = "127.0.0.1:5000",
        ValueKind::Address,
        Text,
        "the address to listen on; 0.0.0.0:5000 opens it to the whole network, which requires password_file or open",
        restart
    ),
    key!(http.password_file = "", ValueKind::PathOrNone, Path => Some, "the file of users who may watch, one user:role:hash line per user; namecam passwd writes it"),
    key!(http.open = "no", ValueKind::YesNo, YesNo, "yes: anyone on the network may watch without a password"),
    key!(http.hosts = "", ValueKind::Text, Text => values::hosts, "further host names at which the page may be reached, separated by commas"),
    key!(http.cors = "", ValueKind::Text, Text => values::origins, "the origins whose pages may read streams, snapshots and GET /api by script, as Mainsail and Fluidd do, separated by commas, such as http://mainsail.local; empty: none"),
    key!(state.path = "", ValueKind::PathOrNone, Path => Some, "the folder where namecam keeps what it writes: the sessions of the page, the ids of events, the names of topics, and settings.ini, which counts more than this file; the cache of descriptors is not in it; empty: the one that systemd makes for the service, else that of the service with this config (/var/lib/namecam, or /var/lib/namecam-NAME for /etc/namecam/NAME.ini), else ~/.local/state/namecam", restart),
    key!(log.level = "info", ValueKind::OneOf(&["error", "warn", "info", "debug", "trace"]), Text => |text: String| text.parse().ok(), "how much to log", settings),
];

/// The key with this section and name.
pub fn find(section: &str, name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.section == section && key.name == name)
}

/// The sample ini: every key with its default, its help and its allowed values.
pub fn sample() -> String {
    let mut text = String::from(
        "; namecam.ini: every key with its default. One key per line; a comment is a whole line that begins with ; or #.\n\
         ; Relative paths start at this file's folder. SIGHUP reloads it; keys that need a restart say so.\n",
    );
    let mut section = "";
    for key in KEYS {
        if key.section != section {
            section = key.section;
            text += &format!("\n[{section}]\n");
        }
        let restart = if key.restart { " Needs a restart." } else { "" };
        text += &format!("; {} ({}).{restart}\n", key.help, key.kind.allowed());
        text += format!("{} = {}", key.name, key.default).trim_end();
        text.push('\n');
    }
    text
}
