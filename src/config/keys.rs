//! [`KEYS`]: the one table of the config. Parser, `--help`, sample ini, man page and README are loops over it.

use super::{Config, Detector, Landmarks, Metric, Templates, UnknownFaces, values};
use crate::jpeg::Codec;
use std::path::PathBuf;

/// What a value must look like. Printed as the allowed range, and checked by [`Kind::parse`].
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Free text.
    Text,
    /// A file or folder; relative ones start at the config file's folder.
    Path,
    /// Like `Path`, and may be empty.
    PathOrNone,
    /// yes or no.
    YesNo,
    /// A whole number from .. to.
    Whole(u32, u32),
    /// A number from .. to.
    Number(f32, f32),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// RRGGBB in hexadecimal digits.
    Color,
    /// ADDRESS:PORT.
    Address,
}

/// A value that has the right form.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of `Text` and `OneOf`.
    Text(String),
    /// Of `Path`, made absolute; `None` where it may be empty and is.
    Path(Option<PathBuf>),
    /// Of `YesNo`.
    YesNo(bool),
    /// Of `Whole`.
    Whole(u32),
    /// Of `Number`.
    Number(f32),
    /// Of `Color`.
    Color([u8; 3]),
}

impl Kind {
    /// The allowed values, in words.
    pub fn allowed(self) -> String {
        match self {
            Kind::Text => "text".to_owned(),
            Kind::Path => "a file or folder".to_owned(),
            Kind::PathOrNone => "a file, or empty".to_owned(),
            Kind::YesNo => "yes or no".to_owned(),
            Kind::Whole(from, to) => format!("a whole number from {from} to {to}"),
            Kind::Number(from, to) => format!("a number from {from} to {to}"),
            Kind::OneOf(words) => words.join(" or "),
            Kind::Color => "six hexadecimal digits, red green blue".to_owned(),
            Kind::Address => "ADDRESS:PORT, such as 127.0.0.1:5000 or [::1]:5000".to_owned(),
        }
    }

    /// Reads `text` as a value of this kind; `None` when it is not one.
    pub fn parse(self, text: &str, base: &std::path::Path) -> Option<Value> {
        let lower = text.to_lowercase();
        Some(match self {
            Kind::Text => Value::Text(text.to_owned()),
            Kind::Path if text.is_empty() => return None,
            Kind::PathOrNone if text.is_empty() => Value::Path(None),
            Kind::Path | Kind::PathOrNone => Value::Path(Some(base.join(text))),
            Kind::YesNo => match lower.as_str() {
                "yes" | "true" | "on" => Value::YesNo(true),
                "no" | "false" | "off" => Value::YesNo(false),
                _ => return None,
            },
            Kind::Whole(from, to) => Value::Whole(text.parse().ok().filter(|n| (from..=to).contains(n))?),
            Kind::Number(from, to) => Value::Number(text.parse().ok().filter(|n| (from..=to).contains(n))?),
            Kind::OneOf(words) => Value::Text((*words.iter().find(|word| **word == lower)?).to_owned()),
            Kind::Color => {
                let digits = text.strip_prefix('#').unwrap_or(text);
                let plain = digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit());
                let [_, r, g, b] = u32::from_str_radix(digits, 16).ok().filter(|_| plain)?.to_be_bytes();
                Value::Color([r, g, b])
            }
            Kind::Address => {
                text.parse::<std::net::SocketAddr>().ok()?;
                Value::Text(text.to_owned())
            }
        })
    }
}

/// One line of the table.
pub struct Key {
    /// Its section, without brackets.
    pub section: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What it is when nobody sets it, as it would stand in the file.
    pub default: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// What it does, for a stranger.
    pub help: &'static str,
    /// True when a change needs a restart.
    pub restart: bool,
    put: Put,
}

type Put = fn(&mut Config, Value) -> Option<()>;

impl Key {
    /// Puts a value that [`Kind::parse`] gave for this key into its place; `None` if its form is another.
    pub fn put(&self, config: &mut Config, value: Value) -> Option<()> {
        (self.put)(config, value)
    }

    /// `section.name`, as `--set` takes it.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }
}

/// A line of the table: place, default, kind, help.
macro_rules! key {
    ($section:ident.$name:ident = $default:literal, $kind:expr, $form:ident $(=> $make:expr)?, $help:literal $(, $restart:ident)?) => {
        Key {
            section: stringify!($section),
            name: stringify!($name),
            default: $default,
            kind: $kind,
            help: $help,
            restart: key!(@restart $($restart)?),
            put: |config, value| {
                let Value::$form(value) = value else { return None };
                config.$section.$name = key!(@make value $($make)?);
                Some(())
            },
        }
    };
    (@restart) => { false };
    (@restart restart) => { true };
    (@make $value:ident) => { $value };
    (@make $value:ident $make:expr) => { $make($value)? };
}

/// Every key of the config, in the order of the sample ini.
pub const KEYS: &[Key] = &[
    key!(camera.source = "/dev/video0", Kind::Text, Text => values::source, "a device, its number or its /dev/v4l/by-id path; pipe:COMMAND for a program that prints JPEGs; stills:FOLDER for moving pictures"),
    key!(camera.format = "auto", Kind::OneOf(super::FORMAT_WORDS), Text, "the pixel format to ask the camera for"),
    key!(
        camera.width = "1280",
        Kind::Whole(16, 16384),
        Whole,
        "the width to ask the camera for, pixels; the nearest that it has is taken"
    ),
    key!(camera.height = "720", Kind::Whole(16, 16384), Whole, "the height to ask the camera for, pixels"),
    key!(camera.fps = "30", Kind::Whole(1, 240), Whole, "the frames a second to ask the camera for"),
    key!(camera.rotate = "0", Kind::OneOf(&["0", "90", "180", "270"]), Text => |text: String| text.parse().ok(), "turn the picture clockwise, degrees"),
    key!(camera.mirror = "no", Kind::YesNo, YesNo, "mirror the picture, left to right"),
    key!(camera.controls = "", Kind::Text, Text => values::controls, "controls to set on the camera: name=value, a comma between, v4l2-ctl's names"),
    key!(recognition.enabled = "yes", Kind::YesNo, YesNo, "look for faces at all"),
    key!(
        recognition.interval_ms = "200",
        Kind::Whole(0, 60_000),
        Whole,
        "the time from the start of one look to the next, milliseconds; 0: as often as possible; longer while the board is hot or behind"
    ),
    key!(recognition.detector = "hog", Kind::OneOf(&["hog", "cnn"]), Text => Detector::from_word, "hog is fast and sees frontal faces; cnn sees more and is many times slower"),
    key!(
        recognition.detect_width = "640",
        Kind::Whole(80, 4096),
        Whole,
        "faces are looked for on a picture of this width, pixels; with upsample 1 and a lens of 60 degrees, 640 reaches 2 metres, 1280 4; smaller is faster"
    ),
    key!(
        recognition.upsample = "1",
        Kind::Whole(0, 2),
        Whole,
        "how often that picture is doubled: 0 sees faces from 80 pixels, 1 from 40, 2 from 20; done where something moves and where faces are known"
    ),
    key!(
        recognition.blas_threads = "1",
        Kind::Whole(1, 64),
        Whole,
        "OpenBLAS threads; more than 1 helps only on an idle machine",
        restart
    ),
    key!(recognition.landmarks = "5", Kind::OneOf(&["5", "68"]), Text => Landmarks::from_word, "landmarks to align a face by: 5 (free) or 68 (its model is not for commercial use)"),
    key!(
        recognition.num_jitters = "1",
        Kind::Whole(1, 100),
        Whole,
        "how many shaken copies of a face are averaged; 100 is 100 times slower"
    ),
    key!(recognition.metric = "euclidean", Kind::OneOf(&["euclidean", "cosine"]), Text => Metric::from_word, "how the distance of two faces is measured"),
    key!(recognition.threshold = "0.6", Kind::Number(0.0, 2.0), Number, "no name beyond this euclidean distance"),
    key!(recognition.cosine_threshold = "0.07", Kind::Number(0.0, 2.0), Number, "no name beyond this cosine distance"),
    key!(
        recognition.false_name_budget = "0.005",
        Kind::Number(0.0, 0.5),
        Number,
        "the share of strangers who may wrongly get a name at one visit, for identify in one picture; the more people there are, the nearer a face must be; 0: the thresholds alone decide"
    ),
    key!(recognition.templates = "means", Kind::OneOf(&["means", "exemplars"]), Text => Templates::from_word, "what a person is compared by; a false_name_budget of 0 implies exemplars, every picture by itself"),
    key!(
        recognition.remember_strangers_h = "0",
        Kind::Whole(0, 720),
        Whole,
        "hours; a descriptor of each unknown person who is seen well is kept in memory for so long, so that strangers who look like each other get fewer wrong names; 0: nothing is kept"
    ),
    key!(gallery.path = "gallery", Kind::Path, Path => std::convert::identity, "the people: a folder each, named like the person, with her pictures in it"),
    key!(
        gallery.max_images_per_person = "5",
        Kind::Whole(1, 1000),
        Whole,
        "at most so many pictures of a person, the first in name order"
    ),
    key!(models.path = "models", Kind::Path, Path => std::convert::identity, "the folder with dlib's models", restart),
    key!(
        models.recognizer = "dlib_face_recognition_resnet_model_v1.dat",
        Kind::Text,
        Text,
        "the recognition model in that folder; another one than dlib's needs its sum in FILE.sha256 and, for a false_name_budget, its cohort in FILE.cohort and its rates in FILE.rates",
        restart
    ),
    key!(overlay.enabled = "yes", Kind::YesNo, YesNo, "draw boxes and names into the picture"),
    key!(overlay.show_distance = "yes", Kind::YesNo, YesNo, "write the distance behind the name"),
    key!(overlay.unknown = "show", Kind::OneOf(&["show", "hide", "blur"]), Text => UnknownFaces::from_word, "what is done with faces of people who are not in the gallery; blur also blurs what no look has examined yet, and the whole picture while recognition cannot look; faces that the detector does not see are not blurred"),
    key!(overlay.box_color = "00ff00", Kind::Color, Color, "the colour of boxes and labels, RRGGBB"),
    key!(overlay.text_color = "000000", Kind::Color, Color, "the colour of the text in a label, RRGGBB"),
    key!(overlay.font = "auto", Kind::Text, Text => values::font, "a .ttf, .otf or .ttc file, or auto for those of the system"),
    key!(
        stream.width = "0",
        Kind::Whole(0, 8192),
        Whole,
        "scale the picture down to this width, pixels; 0: as captured"
    ),
    key!(stream.quality = "80", Kind::Whole(1, 100), Whole, "JPEG quality"),
    key!(
        stream.max_fps = "0",
        Kind::Whole(0, 240),
        Whole,
        "at most so many pictures a second for viewers; 0: as many as the camera gives"
    ),
    key!(
        stream.max_viewers = "32",
        Kind::Whole(1, 250),
        Whole,
        "at most so many viewers of the stream; the last quarter of the places is kept for clients that have none"
    ),
    key!(stream.encoder = "auto", Kind::OneOf(Codec::WORDS), Text => |text: String| Codec::from_word(&text), "the JPEG encoder; auto takes turbojpeg, or jpeg-encoder in a build without that"),
    key!(
        http.bind = "127.0.0.1:5000",
        Kind::Address,
        Text,
        "where to listen; 0.0.0.0:5000 for the whole network, which needs password_file or open",
        restart
    ),
    key!(http.password_file = "", Kind::PathOrNone, Path => Some, "who may watch: a line user:role:hash each, written by namecam passwd"),
    key!(http.open = "no", Kind::YesNo, YesNo, "yes: anybody on the network may watch without a password"),
    key!(http.hosts = "", Kind::Text, Text => values::hosts, "further names by which the page may be asked for, a comma between"),
    key!(log.level = "info", Kind::OneOf(&["error", "warn", "info", "debug", "trace"]), Text => |text: String| text.parse().ok(), "how much is logged"),
];

/// The key with this section and name.
pub fn find(section: &str, name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.section == section && key.name == name)
}

/// The sample ini: every key at its default, with what it does and may be.
pub fn sample() -> String {
    let mut text = String::from(
        "; namecam.ini: every key with its default. One key a line; a comment is a whole line that begins with ; or #.\n\
         ; Relative paths start at this file's folder. SIGHUP reads it again; what needs a restart says so.\n",
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
