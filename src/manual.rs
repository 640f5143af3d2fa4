//! The man page namecam(1), a loop over the tables that `--help` and the sample ini are made of.

use crate::cli::{CONFIG, FAULT, OPTIONS, OWN_OPTIONS, SUBCOMMANDS, USAGE};
use crate::commands::{GOOD, UNUSABLE, WARNINGS};
use crate::config::keys::KEYS;

const EXIT_STATUS: &[(u8, &str)] = &[
    (GOOD, "Good. run: ended by a signal."),
    (WARNINGS, "check: usable, with warnings. identify: some picture was not readable. Else: it failed, and says why."),
    (UNUSABLE, "check: no usable model or gallery. identify: no models, or a gallery that cannot be read."),
    (USAGE, "Wrong usage."),
    (FAULT, "run, demo: a part of namecam has ended by itself. That is a fault in namecam; the log says which part."),
    (CONFIG, "The config is wrong. Every problem is told, with its line."),
];

const SIGNALS: &[(&str, &str)] = &[
    ("SIGTERM, SIGINT", "End, within a second."),
    (
        "SIGHUP",
        "Read config and gallery again, while the stream runs; done when reloads in /api/state has counted up; \
         reload_error there is null, or says what went wrong. A config that is wrong changes nothing.",
    ),
];

const FILES: &[(&str, &str)] = &[
    ("./namecam.ini, /etc/namecam/namecam.ini", "The config: the first of the two that is there."),
    ("/etc/namecam/users", "Who may watch, with hashes of passwords; namecam passwd writes it."),
    ("/etc/namecam/password", "The password of the user admin that the installation made up. Nothing reads it."),
    (
        "/var/lib/namecam/gallery",
        "The people: a folder each, with pictures. Members of the group namecam may write there.",
    ),
    (
        "/var/lib/namecam",
        "The service's state: descriptors of the gallery's pictures. They may be deleted at any time.",
    ),
    ("/usr/share/namecam/models", "dlib's models."),
    ("/usr/share/doc/namecam", "More to read, a config with every key, and examples for CSI cameras."),
];

const ENVIRONMENT: &[(&str, &str)] = &[(
    "STATE_DIRECTORY, XDG_CACHE_HOME",
    "Where descriptors are kept: in the first, else in namecam below the second.",
)];

/// The page, in the language of man(7).
pub fn page() -> String {
    let version = concat!("namecam ", env!("CARGO_PKG_VERSION"));
    let mut page = format!(
        ".\\\" Written by `make sample-ini`: src/manual.rs is what to change.\n\
         .TH NAMECAM 1 \"\" \"{}\" \"User Commands\"\n\
         .SH NAME\nnamecam \\- a camera that knows who it sees\n\
         .SH SYNOPSIS\n.B namecam\n.I SUBCOMMAND\n.RI [ OPTION ]...\n\
         .SH DESCRIPTION\nReads a camera, names the people that its gallery knows, and serves the picture over HTTP.\n",
        escaped(version)
    );
    let subcommands = SUBCOMMANDS.iter().filter_map(|s| s.help.split_once("\n\n"));
    page += &section("SUBCOMMANDS", subcommands);
    page += &section("OPTIONS", OPTIONS.iter().copied());
    page += &OWN_OPTIONS
        .iter()
        .map(|own| item(own.option, &format!("{}: {}", own.of.join(", "), own.what)))
        .collect::<String>();
    page += ".SH CONFIGURATION\nOne key a line; a comment is a whole line that begins with ; or #. Relative paths start at \
             the file's folder.\n";
    page += &keys();
    let statuses: Vec<(String, &str)> = EXIT_STATUS.iter().map(|(status, what)| (status.to_string(), *what)).collect();
    page += &section("EXIT STATUS", statuses.iter().map(|(status, what)| (status.as_str(), *what)));
    page += &section("SIGNALS", SIGNALS.iter().copied());
    page += &section("FILES", FILES.iter().copied());
    page += &section("ENVIRONMENT", ENVIRONMENT.iter().copied());
    page + ".SH SEE ALSO\n.BR systemctl (1),\n.BR journalctl (1),\n.BR v4l2\\-ctl (1)\n"
}

/// The keys of the config, under a heading for each section.
fn keys() -> String {
    let mut text = String::new();
    let mut section = "";
    for key in KEYS {
        if key.section != section {
            section = key.section;
            text += &format!(".SS [{section}]\n");
        }
        let restart = if key.restart { " Needs a restart." } else { "" };
        let what = format!("{} ({}).{restart}", key.help, key.kind.allowed());
        text += &item(format!("{} = {}", key.name, key.default).trim_end(), &what);
    }
    text
}

fn section<'a>(title: &str, items: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let items: String = items.map(|(tag, what)| item(tag, what)).collect();
    format!(".SH {title}\n{items}")
}

/// A tag in bold, and beside or below it what it means.
fn item(tag: &str, what: &str) -> String {
    format!(".TP\n\\fB{}\\fR\n{}\n", escaped(tag), escaped(what.trim_end()))
}

/// Text that roff prints as it stands. A hyphen would become a typographic one, which no shell takes for an option; a dot
/// or an apostrophe at the beginning of a line would be a command.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if !out.is_empty() {
            out.push('\n');
        }
        if line.starts_with(['.', '\'']) {
            out += "\\&";
        }
        for c in line.chars() {
            match c {
                '\\' => out += "\\e",
                '-' => out += "\\-",
                '"' => out += "\\(dq",
                '`' => out += "\\(ga",
                '^' => out += "\\(ha",
                '~' => out += "\\(ti",
                c => out.push(c),
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_reaches_the_reader_as_it_was_written() {
        for (text, roff) in [
            ("--set a=\"b\"", "\\-\\-set a=\\(dqb\\(dq"),
            (".hidden\n'quoted'", "\\&.hidden\n\\&'quoted'"),
            ("C:\\x ~ `y` ^", "C:\\ex \\(ti \\(gay\\(ga \\(ha"),
            ("a\n\nb", "a\nb"),
        ] {
            assert_eq!(escaped(text), roff);
        }
    }

    #[test]
    fn every_subcommand_option_and_key_is_on_the_page() {
        let page = page();
        let tags = SUBCOMMANDS.iter().filter_map(|s| s.help.lines().next());
        let options = OPTIONS.iter().map(|(option, _)| *option).chain(OWN_OPTIONS.iter().map(|own| own.option));
        for tag in tags.chain(options) {
            assert!(page.contains(&format!("\n\\fB{}\\fR\n", escaped(tag))), "{tag}");
        }
        for key in KEYS {
            assert!(page.contains(&format!("\n\\fB{} =", escaped(key.name))), "{}", key.path());
        }
        assert_eq!(page.matches(".SH SUBCOMMANDS").count(), 1);
        assert_eq!(page.matches("\\fBnamecam ").count(), SUBCOMMANDS.len());
    }
}
