//! Parses the command line into a [`Command`].

use crate::config::Origin;
use lexopt::prelude::{Long, Short, Value, ValueExt};
use std::ffi::OsString;
use std::path::PathBuf;

/// A parsed command line.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // SUBCOMMANDS documents each variant
pub enum Command {
    Run { origin: Origin, events: bool },
    Demo(Origin),
    Check { origin: Origin, json: bool },
    Probe { origin: Origin, device: Option<PathBuf>, measure: bool, json: bool },
    Report { origin: Origin, file: Option<PathBuf> },
    Record { origin: Origin, device: Option<PathBuf>, seconds: u32, file: PathBuf },
    Identify { origin: Origin, images: Vec<PathBuf>, json: bool },
    Passwd { origin: Origin, file: Option<PathBuf>, action: PasswdAction },
    Help(&'static str),
    Completions,
    Manual,
    SampleIni,
    Version,
}

/// The action of `passwd` on the password file.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // OWN_OPTIONS documents each variant
pub enum PasswdAction {
    Set { user: String, admin: bool },
    Token { name: String, admin: bool },
    Remove { name: String },
    List,
}

/// Wrong usage, as in sysexits.h.
pub const USAGE: u8 = 64;
/// A fault in the program itself, as in sysexits.h.
pub const FAULT: u8 = 70;
/// A bad config, as in sysexits.h; systemd does not restart on it.
pub const CONFIG: u8 = 78;

/// A subcommand: its name, its line in the overview, and its help, which is the usage, a blank line and the
/// description.
pub(crate) struct Subcommand {
    pub(crate) name: &'static str,
    what: &'static str,
    pub(crate) help: &'static str,
}

pub(crate) const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand {
        name: "run",
        what: "read the camera, name people, serve the stream",
        help: "\
namecam run [--config FILE] [--set section.key=value]... [--events]

Reads the camera, names the people it sees and serves the picture over HTTP until SIGTERM or Ctrl-C.
With --events it prints a line of JSON each time somebody comes, is named or leaves.
SIGHUP reloads config and gallery. The systemd unit runs this.
",
    },
    Subcommand {
        name: "check",
        what: "check the config, the models and the gallery",
        help: "\
namecam check [--config FILE] [--set section.key=value]... [--json]

Checks the config, the models and the gallery, and gives a verdict with a reason for each picture.
Exit status: 0 all good, 1 usable with warnings, 2 no usable model or gallery, 78 bad config.
",
    },
    Subcommand {
        name: "probe",
        what: "list the cameras and what they really deliver",
        help: "\
namecam probe [DEVICE] [--record SECONDS FILE] [--config FILE] [--set section.key=value]... [--no-measure] [--json]

Lists the cameras, their formats, sizes, rates and controls, and what namecam would choose with this config, and why.
Runs each candidate mode of every camera that is not in use for one second, and reports how many frames arrived and
how many of them were damaged; --no-measure skips this.
With --record it writes the buffers of a camera as they come, with times and errors, into a file that camera.source =
replay:FILE plays. It holds pictures of people, has 1 GiB at most, and is not written over a file that exists.
",
    },
    Subcommand {
        name: "identify",
        what: "name the people on a picture",
        help: "\
namecam identify [--config FILE] [--set section.key=value]... [--json] IMAGE...

Names the people on each picture, one line per picture; with --json one JSON object per line. Loads the gallery first.
Exit status: 0 all pictures were read, 1 some could not be read, 2 no models or gallery, 78 bad config.
",
    },
    Subcommand {
        name: "report",
        what: "write what an issue needs, without secrets and names, to a file",
        help: "\
namecam report [FILE] [--config FILE] [--set section.key=value]...

Writes one text file to attach to an issue: versions, the machine, the config, the camera, what a running namecam says,
its journal, and what the kernel says of cameras. Secrets, names of people, users and machines, addresses and serial
numbers are replaced or left out; it holds no picture. Root may read more. FILE is namecam-report.txt where none is
given, - prints the report, and a file that exists is not overwritten.
",
    },
    Subcommand {
        name: "demo",
        what: "run without a camera, on pictures that move",
        help: "\
namecam demo [--config FILE] [--set section.key=value]...

Like run, but shows moving pictures from a folder instead of a camera: the folder of camera.source = stills:FOLDER,
else the gallery.
",
    },
    Subcommand {
        name: "passwd",
        what: "add and remove users and tokens, change a password",
        help: "\
namecam passwd [--config FILE] [--file FILE] [--admin] USER | --token NAME | --remove NAME | --list

Writes USER to the password file (--file, else http.password_file of the config). On a terminal it asks for the
password; otherwise the password is the first line of its input. A viewer may watch. An admin (--admin) may also see
and change the gallery, see pictures of the faces in view, and change settings. A user or token that exists keeps its
role without --admin; to make an admin a viewer, remove them and add them again. A program logs in with a token in
place of a password: Authorization: Bearer TOKEN.
",
    },
];

/// An option of some subcommands: its name, its description and the subcommands that take it.
pub(crate) struct Own {
    pub(crate) option: &'static str,
    pub(crate) what: &'static str,
    pub(crate) of: &'static [&'static str],
}

pub(crate) const OWN_OPTIONS: &[Own] = &[
    Own { option: "--json", what: "print JSON, for scripts", of: &["check", "probe", "identify"] },
    Own { option: "--events", what: "print each event as a line of JSON", of: &["run"] },
    Own { option: "--no-measure", what: "do not run the cameras; list only what they advertise", of: &["probe"] },
    Own {
        option: "--record SECONDS",
        what: "record DEVICE, or the camera of the config, into FILE; 1 to 600 s",
        of: &["probe"],
    },
    Own {
        option: "--file FILE",
        what: "the password file; default: http.password_file of the config",
        of: &["passwd"],
    },
    Own { option: "--admin", what: "make the user or token an admin", of: &["passwd"] },
    Own { option: "--token NAME", what: "make a token for a program, and print it once", of: &["passwd"] },
    Own { option: "--remove NAME", what: "remove a user or a token", of: &["passwd"] },
    Own { option: "--list", what: "list the users and tokens", of: &["passwd"] },
];

/// The options of every subcommand, with their descriptions.
pub(crate) const OPTIONS: &[(&str, &str)] = &[
    ("--config FILE", "the config; default: ./namecam.ini, else /etc/namecam/namecam.ini, else the defaults"),
    ("--set section.key=value", "set a key, overriding the file; may be repeated"),
    ("-h, --help", "show this help; after a subcommand, the help of that subcommand"),
    ("-V, --version", "show the version and the libraries in use"),
];

/// The options of a subcommand; for "", the options that all subcommands share.
fn options(subcommand: &str) -> String {
    let own = OWN_OPTIONS.iter().filter(|own| own.of.contains(&subcommand)).map(|own| (own.option, own.what));
    let all = own.chain(OPTIONS.iter().copied());
    let list: String = all.map(|(option, what)| format!("  {option:<26} {what}\n")).collect();
    format!("\nOptions:\n{list}")
}

/// The help of a subcommand with its options; for "", the list of all subcommands.
pub fn help(subcommand: &str) -> String {
    let options = options(subcommand);
    if let Some(s) = SUBCOMMANDS.iter().find(|s| s.name == subcommand) {
        return format!("{}{options}", s.help);
    }
    let list: String = SUBCOMMANDS.iter().map(|s| format!("  {:<10} {}\n", s.name, s.what)).collect();
    format!(
        "namecam: a camera that recognises people and shows their names.\n\n\
         Usage: namecam SUBCOMMAND [OPTION]...\n\n{list}{options}"
    )
}

/// Parses the arguments after the program's name.
///
/// # Errors
/// Names the wrong argument and the help to read. The exit status is 64.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut subcommand = None;
    read(words, &mut subcommand).map_err(|error| match subcommand {
        Some(name) => format!("{error}; see namecam {name} --help"),
        None => format!("{error}; see namecam --help"),
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
            Long("completions") => return Ok(Command::Completions),
            Long("man") => return Ok(Command::Manual),
            Long("sample-ini") => return Ok(Command::SampleIni),
            Long("config") => given.origin.file = Some(value(&mut parser)?.into()),
            Long("set") => given.origin.sets.push(text(value(&mut parser)?)?),
            Long("json") => given.json = true,
            Long("events") => given.events = true,
            Long("no-measure") => given.no_measure = true,
            Long("record") => given.record = Some(text(value(&mut parser)?)?),
            Long("admin") => given.admin = true,
            Long("token") => given.token = Some(text(value(&mut parser)?)?),
            Long("remove") => given.remove = Some(text(value(&mut parser)?)?),
            Long("list") => given.list = true,
            Long("file") => given.file = Some(value(&mut parser)?.into()),
            Value(word) if subcommand.is_none() => *subcommand = Some(named(&word)?),
            Value(word) => given.words.push(word),
            other => return Err(other.unexpected().to_string()),
        }
    }
    given.command(subcommand.ok_or("no subcommand given")?)
}

fn named(word: &OsString) -> Result<&'static str, String> {
    let known = SUBCOMMANDS.iter().find(|s| *s.name == **word).map(|s| s.name);
    known.ok_or_else(|| format!("unknown subcommand {}", word.to_string_lossy()))
}

/// `namecam help`, optionally followed by a subcommand.
fn helped(parser: &mut lexopt::Parser) -> Result<Command, String> {
    match parser.next().map_err(|e| e.to_string())? {
        Some(Value(word)) => Ok(Command::Help(named(&word)?)),
        _ => Ok(Command::Help("")),
    }
}

/// A device given by its path or, as in `camera.source`, by its number.
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
    events: bool,
    no_measure: bool,
    record: Option<String>,
    admin: bool,
    token: Option<String>,
    remove: Option<String>,
    list: bool,
    file: Option<PathBuf>,
    words: Vec<OsString>,
}

impl Given {
    fn command(self, subcommand: &str) -> Result<Command, String> {
        let Given { origin, json, events, no_measure, record, admin, token, remove, list, file, words } = self;
        let options = [
            (json, "--json"),
            (events, "--events"),
            (no_measure, "--no-measure"),
            (record.is_some(), "--record SECONDS"),
            (admin, "--admin"),
            (token.is_some(), "--token NAME"),
            (remove.is_some(), "--remove NAME"),
            (list, "--list"),
            (file.is_some(), "--file FILE"),
        ];
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
            "probe" if record.is_some() => {
                let seconds = record.and_then(|text| text.parse().ok()).filter(|seconds| (1..=600).contains(seconds));
                let seconds = seconds.ok_or("--record takes a whole number of seconds from 1 to 600")?;
                let first =
                    words.next().ok_or("--record needs a file: namecam probe [DEVICE] --record SECONDS FILE")?;
                let (device, file) = match words.next() {
                    Some(file) => (Some(device(first)), file),
                    None => (None, first),
                };
                Command::Record { origin, device, seconds, file: file.into() }
            }
            "probe" => Command::Probe { origin, device: words.next().map(device), measure: !no_measure, json },
            "check" => Command::Check { origin, json },
            "report" => Command::Report { origin, file: words.next().map(PathBuf::from) },
            "passwd" => {
                let action = match (token, remove, list) {
                    (Some(name), None, false) => PasswdAction::Token { name, admin },
                    (None, Some(name), false) if !admin => PasswdAction::Remove { name },
                    (None, None, true) if !admin => PasswdAction::List,
                    (None, None, false) => {
                        let user = words.next().ok_or("passwd needs a user name: namecam passwd USER")?;
                        let user = user.into_string().map_err(|_| "the user name is not UTF-8")?;
                        PasswdAction::Set { user, admin }
                    }
                    _ => return Err("passwd takes one of USER, --token NAME, --remove NAME and --list".to_owned()),
                };
                Command::Passwd { origin, file, action }
            }
            "demo" => Command::Demo(origin),
            _ => Command::Run { origin, events },
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
    fn options_may_come_before_and_after_the_arguments() {
        let origin = Origin { file: Some("a.ini".into()), sets: vec!["camera.fps=5".into()], ..Origin::default() };
        let expected = Command::Identify { origin, images: vec!["x.jpg".into(), "y.jpg".into()], json: true };
        assert_eq!(parsed("identify --config a.ini x.jpg --json --set camera.fps=5 y.jpg").unwrap(), expected);
    }

    #[test]
    fn a_device_may_be_named_by_its_number() {
        let Command::Probe { device, .. } = parsed("probe 7").unwrap() else { panic!("not probe") };
        assert_eq!(device, Some("/dev/video7".into()));
    }

    #[test]
    fn wrong_usage_names_the_wrong_argument() {
        for (line, word) in [
            ("", "no subcommand given"),
            ("fly", "fly"),
            ("run fast", "fast"),
            ("run --fast", "--fast"),
            ("identify", "needs a picture"),
            ("run --json", "--json"),
            ("run --admin", "--admin"),
            ("check --no-measure", "--no-measure"),
            ("check --file x", "--file"),
            ("probe --record 0 x", "from 1 to 600"),
            ("probe --record 5", "needs a file"),
            ("probe --record 5 a b c", "does not take c"),
            ("check --list", "--list"),
            ("passwd", "needs a user name"),
            ("passwd --list --remove x", "one of"),
            ("passwd --list --admin", "one of"),
            ("passwd --list anna", "anna"),
            ("passwd --token x anna", "anna"),
            ("run --config", "--config"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.contains(word), "{line}: {error}");
            let subcommand = line.split(' ').next().filter(|first| !["", "fly"].contains(first));
            let help =
                subcommand.map_or("; see namecam --help".to_owned(), |name| format!("; see namecam {name} --help"));
            assert!(error.ends_with(&help) && error.matches("--help").count() == 1, "{line}: {error}");
        }
    }

    #[test]
    fn help_and_version_are_also_subcommands() {
        assert_eq!(parsed("help"), Ok(Command::Help("")));
        assert_eq!(parsed("help probe"), Ok(Command::Help("probe")));
        assert_eq!(parsed("version"), Ok(Command::Version));
        assert!(parsed("help fly").unwrap_err().contains("unknown subcommand fly"));
    }

    #[test]
    fn every_option_that_a_subcommand_takes_has_a_line_in_its_help_and_in_no_other() {
        for own in OWN_OPTIONS {
            for subcommand in SUBCOMMANDS {
                let words = format!("{} {} x y", subcommand.name, own.option.replace("FILE", "f").replace("NAME", "n"));
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
