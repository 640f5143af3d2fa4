//! The command line: words in, a [`Command`] out.

use crate::config::Origin;
use lexopt::prelude::{Long, Short, Value, ValueExt};
use std::ffi::OsString;
use std::path::PathBuf;

/// What the user wants.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // each is a subcommand, see HELP
pub enum Command {
    Run(Origin),
    Demo(Origin),
    Check { origin: Origin, json: bool },
    Probe { origin: Origin, device: Option<PathBuf>, measure: bool, json: bool },
    Identify { origin: Origin, images: Vec<PathBuf>, json: bool },
    Passwd { origin: Origin, file: Option<PathBuf>, user: String, admin: bool },
    Help(&'static str),
    Manual,
    SampleIni,
    Version,
}

/// Wrong usage, as in sysexits.h.
pub const USAGE: u8 = 64;
/// A fault in the program itself, as in sysexits.h.
pub const FAULT: u8 = 70;
/// A bad config, as in sysexits.h; systemd does not restart on it.
pub const CONFIG: u8 = 78;

/// A subcommand's name, its line in the overview, and its help: the usage, a blank line, and what there is to say.
pub(crate) struct Subcommand {
    name: &'static str,
    what: &'static str,
    pub(crate) help: &'static str,
}

pub(crate) const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand {
        name: "run",
        what: "read the camera, name the people, serve the stream",
        help: "\
namecam run [--config FILE] [--set section.key=value]...

Reads the camera, names the people it sees and serves the picture over HTTP until SIGTERM or Ctrl-C.
SIGHUP reads config and gallery again. The systemd unit runs this.
",
    },
    Subcommand {
        name: "check",
        what: "say whether config, models and gallery are good",
        help: "\
namecam check [--config FILE] [--set section.key=value]... [--json]

Reads the config, checks the models and takes in the gallery, and gives a verdict and a reason for each picture.
Exit status: 0 all good, 1 usable but with warnings, 2 no usable model or gallery, 78 bad config.
",
    },
    Subcommand {
        name: "probe",
        what: "list the cameras and what they really give",
        help: "\
namecam probe [DEVICE] [--config FILE] [--set section.key=value]... [--no-measure] [--json]

Lists the cameras, their formats, sizes, rates and controls, and what namecam would choose with this config, and why.
Runs the modes in question of each camera that nobody uses, a second each, and says how many pictures came, and how
many of them were broken; --no-measure leaves that out.
",
    },
    Subcommand {
        name: "identify",
        what: "say who is on a picture",
        help: "\
namecam identify [--config FILE] [--set section.key=value]... [--json] IMAGE...

Says who is on each picture, a line a picture; with --json a JSON object a line. Takes the gallery in first.
Exit status: 0 all pictures were read, 1 some were not, 2 no models or gallery, 78 bad config.
",
    },
    Subcommand {
        name: "demo",
        what: "run on moving pictures, without a camera",
        help: "\
namecam demo [--config FILE] [--set section.key=value]...

Like run, but the camera is a folder of pictures that move: the one that camera.source names as stills:FOLDER,
else the gallery itself.
",
    },
    Subcommand {
        name: "passwd",
        what: "add a user who may watch, or change a password",
        help: "\
namecam passwd [--config FILE] [--file FILE] [--admin] USER

Writes USER into the password file (--file, else http.password_file of the config). The password is asked for on a
terminal, else it is the first line of the input. A viewer may watch; --admin: an admin also sees the gallery.
",
    },
];

/// An option that some subcommands have, what it does, and which those are.
pub(crate) struct Own {
    pub(crate) option: &'static str,
    pub(crate) what: &'static str,
    pub(crate) of: &'static [&'static str],
}

pub(crate) const OWN_OPTIONS: &[Own] = &[
    Own { option: "--json", what: "prints JSON, for scripts", of: &["check", "probe", "identify"] },
    Own { option: "--no-measure", what: "runs no camera, and lists what they promise", of: &["probe"] },
    Own {
        option: "--file FILE",
        what: "the password file; without it http.password_file of the config",
        of: &["passwd"],
    },
    Own { option: "--admin", what: "makes an admin of the user, who also sees the gallery", of: &["passwd"] },
];

/// The options of every subcommand, each with what it does.
pub(crate) const OPTIONS: &[(&str, &str)] = &[
    ("--config FILE", "the config; without it ./namecam.ini, else /etc/namecam/namecam.ini, else defaults"),
    ("--set section.key=value", "sets one key, whatever the file says; may be given several times"),
    ("-h, --help", "this text; after a subcommand: about that"),
    ("-V, --version", "the version, and the libraries at work"),
];

/// The options that a subcommand has; those of all of them for "".
fn options(subcommand: &str) -> String {
    let own = OWN_OPTIONS.iter().filter(|own| own.of.contains(&subcommand)).map(|own| (own.option, own.what));
    let all = own.chain(OPTIONS.iter().copied());
    let list: String = all.map(|(option, what)| format!("  {option:<26} {what}\n")).collect();
    format!("\nOptions:\n{list}")
}

/// The overview.
pub fn overview() -> String {
    let list: String = SUBCOMMANDS.iter().map(|s| format!("  {:<10} {}\n", s.name, s.what)).collect();
    let options = options("");
    format!("namecam: a camera that knows who it sees.\n\nUsage: namecam SUBCOMMAND [OPTION]...\n\n{list}{options}")
}

/// The help of a subcommand with its options; the overview for "".
pub fn help(subcommand: &str) -> String {
    match SUBCOMMANDS.iter().find(|s| s.name == subcommand) {
        Some(s) => format!("{}{}", s.help, options(s.name)),
        None => overview(),
    }
}

/// Reads the words behind the program's name.
///
/// # Errors
/// Says which word is wrong, and which help is about it: exit status 64.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut subcommand = None;
    read(words, &mut subcommand).map_err(|error| match subcommand {
        Some(name) => format!("{error}; namecam {name} --help says how it is used"),
        None => format!("{error}; namecam --help lists what there is"),
    })
}

fn read(words: impl IntoIterator<Item = OsString>, subcommand: &mut Option<&'static str>) -> Result<Command, String> {
    let mut parser = lexopt::Parser::from_args(words);
    let mut given = Given::default();
    let text = |value: OsString| value.string().map_err(|e| e.to_string());
    while let Some(arg) = parser.next().map_err(|e| e.to_string())? {
        let value = |parser: &mut lexopt::Parser| parser.value().map_err(|e| e.to_string());
        match arg {
            Short('h') | Long("help") => return Ok(Command::Help(subcommand.unwrap_or(""))),
            Value(word) if subcommand.is_none() && word == "help" => return helped(&mut parser),
            Value(word) if subcommand.is_none() && word == "version" => return Ok(Command::Version),
            Short('V') | Long("version") => return Ok(Command::Version),
            Long("man") => return Ok(Command::Manual),
            Long("sample-ini") => return Ok(Command::SampleIni),
            Long("config") => given.origin.file = Some(value(&mut parser)?.into()),
            Long("set") => given.origin.sets.push(text(value(&mut parser)?)?),
            Long("json") => given.json = true,
            Long("no-measure") => given.no_measure = true,
            Long("admin") => given.admin = true,
            Long("file") => given.file = Some(value(&mut parser)?.into()),
            Value(word) if subcommand.is_none() => *subcommand = Some(named(&word)?),
            Value(word) => given.words.push(word),
            other => return Err(other.unexpected().to_string()),
        }
    }
    given.command(subcommand.ok_or("a subcommand is missing")?)
}

fn named(word: &OsString) -> Result<&'static str, String> {
    let known = SUBCOMMANDS.iter().find(|s| *s.name == **word).map(|s| s.name);
    known.ok_or_else(|| format!("there is no subcommand {}", word.to_string_lossy()))
}

/// `namecam help`, and perhaps of what.
fn helped(parser: &mut lexopt::Parser) -> Result<Command, String> {
    match parser.next().map_err(|e| e.to_string())? {
        Some(Value(word)) => Ok(Command::Help(named(&word)?)),
        _ => Ok(Command::Help("")),
    }
}

/// A device by its path or, as in `camera.source`, by its number.
fn device(word: OsString) -> PathBuf {
    match word.to_str().and_then(|text| text.parse::<u32>().ok()) {
        Some(number) => format!("/dev/video{number}").into(),
        None => word.into(),
    }
}

#[derive(Default)]
struct Given {
    origin: Origin,
    json: bool,
    no_measure: bool,
    admin: bool,
    file: Option<PathBuf>,
    words: Vec<OsString>,
}

impl Given {
    fn command(self, subcommand: &str) -> Result<Command, String> {
        let Given { origin, json, no_measure, admin, file, words } = self;
        let options =
            [(json, "--json"), (no_measure, "--no-measure"), (admin, "--admin"), (file.is_some(), "--file FILE")];
        let takes = |option| OWN_OPTIONS.iter().any(|own| own.option == option && own.of.contains(&subcommand));
        if let Some((_, option)) = options.iter().find(|(given, option)| *given && !takes(*option)) {
            return Err(format!("{subcommand} does not take {option}"));
        }
        let mut words = words.into_iter();
        let command = match subcommand {
            "identify" => {
                let images: Vec<PathBuf> = words.by_ref().map(PathBuf::from).collect();
                if images.is_empty() {
                    return Err("identify needs a picture: namecam identify IMAGE...".to_owned());
                }
                Command::Identify { origin, images, json }
            }
            "probe" => Command::Probe { origin, device: words.next().map(device), measure: !no_measure, json },
            "check" => Command::Check { origin, json },
            "passwd" => {
                let user = words.next().ok_or("passwd needs a name: namecam passwd USER")?;
                let user = user.into_string().map_err(|_| "the user's name is not UTF-8")?;
                Command::Passwd { origin, file, user, admin }
            }
            "demo" => Command::Demo(origin),
            _ => Command::Run(origin),
        };
        if let Some(word) = words.next() {
            return Err(format!("{subcommand} does not take {}", word.to_string_lossy()));
        }
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn options_may_stand_before_and_behind_the_words() {
        let origin = Origin { file: Some("a.ini".into()), sets: vec!["camera.fps=5".into()] };
        let expected = Command::Identify { origin, images: vec!["x.jpg".into(), "y.jpg".into()], json: true };
        assert_eq!(parsed("identify --config a.ini x.jpg --json --set camera.fps=5 y.jpg").unwrap(), expected);
    }

    #[test]
    fn a_device_may_be_named_by_its_number() {
        let Command::Probe { device, .. } = parsed("probe 7").unwrap() else { panic!("not probe") };
        assert_eq!(device, Some("/dev/video7".into()));
    }

    #[test]
    fn wrong_usage_says_which_word_is_wrong() {
        for (line, word) in [
            ("", "a subcommand is missing"),
            ("fly", "fly"),
            ("run fast", "fast"),
            ("run --fast", "--fast"),
            ("identify", "needs a picture"),
            ("run --json", "--json"),
            ("run --admin", "--admin"),
            ("check --no-measure", "--no-measure"),
            ("check --file x", "--file"),
            ("run --config", "--config"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.contains(word), "{line}: {error}");
            let subcommand = line.split(' ').next().filter(|first| !["", "fly"].contains(first));
            let help = subcommand.map_or("; namecam --help ".to_owned(), |name| format!("; namecam {name} --help "));
            assert!(error.contains(&help) && error.matches("--help").count() == 1, "{line}: {error}");
        }
    }

    #[test]
    fn help_and_version_may_be_asked_for_by_words_too() {
        assert_eq!(parsed("help"), Ok(Command::Help("")));
        assert_eq!(parsed("help probe"), Ok(Command::Help("probe")));
        assert_eq!(parsed("version"), Ok(Command::Version));
        assert!(parsed("help fly").unwrap_err().contains("no subcommand fly"));
    }

    #[test]
    fn every_option_that_a_subcommand_takes_has_a_line_in_its_help_and_in_no_other() {
        for own in OWN_OPTIONS {
            for subcommand in SUBCOMMANDS {
                let words = format!("{} {} x y", subcommand.name, own.option.replace("FILE", "f"));
                let refused = format!("{} does not take {}", subcommand.name, own.option);
                let takes = own.of.contains(&subcommand.name);
                assert_eq!(!parsed(&words).is_err_and(|error| error.starts_with(&refused)), takes, "{words}");
                let line = format!("\n  {:<26} {}\n", own.option, own.what);
                assert_eq!(help(subcommand.name).contains(&line), takes, "{words}");
            }
        }
    }

    #[test]
    fn every_subcommand_has_a_help_that_begins_with_its_usage() {
        for subcommand in SUBCOMMANDS {
            assert!(help(subcommand.name).starts_with(&format!("namecam {}", subcommand.name)));
            assert_eq!(parsed(&format!("{} --help", subcommand.name)), Ok(Command::Help(subcommand.name)));
        }
        assert!(help("").contains("identify"));
    }
}
