//! [`Hidden`]: replaces secrets, names of people and users, serial numbers and addresses in a report. Only known texts
//! and texts of a known form can be found, so the report leaves out lines that may contain names that are no longer
//! known.

use crate::config::{CameraSource, Config, Url, without_secrets};
use crate::gallery::list;
use crate::os::net::machine_name;
use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use unicode_normalization::UnicodeNormalization;

/// The most bytes that are read of a file of secrets or users.
const MAX_FILE: u64 = 256 << 10;
/// The most texts that are replaced.
const MAX_TEXTS: usize = 20_000;
/// The length from which a secret is replaced inside a word, too.
const MIN_INSIDE: usize = 4;
/// The length from which a part of a URL counts as a secret; "webhook" is shorter.
const MIN_PART: usize = 8;
/// The length from which an argument of a command counts as a secret.
const MIN_ARGUMENT: usize = 6;
/// Words in the names of parameters whose values are secrets, however short.
const SECRET_WORDS: [&str; 7] = ["auth", "key", "pass", "pw", "secret", "token", "user"];
/// Names of users and machines that identify nobody.
const COMMON: [&str; 14] = [
    "admin",
    "camera",
    "debian",
    "guest",
    "homeassistant",
    "localhost",
    "mqtt",
    "namecam",
    "pi",
    "raspberrypi",
    "root",
    "ubuntu",
    "user",
    "viewer",
];

/// The texts to replace, by their first letter.
#[derive(Default)]
pub struct Hidden {
    texts: HashMap<char, Vec<Known>>,
    count: usize,
}

struct Known {
    /// The text in lower case and NFC.
    letters: Vec<char>,
    /// True when the text is replaced only as a whole word.
    is_word: bool,
    stands: String,
}

impl Hidden {
    /// The names of the machine and of the user who runs the program, which no config has.
    pub fn of_machine() -> Hidden {
        let mut hidden = Hidden::default();
        hidden.name(&machine_name(), "(machine)");
        for variable in ["USER", "LOGNAME", "SUDO_USER"] {
            hidden.name(&std::env::var(variable).unwrap_or_default(), "(user)");
        }
        hidden
    }

    /// The texts that a config leads to: its secrets, the users, the people of the gallery. Also the sources that
    /// cannot be read, with the reason.
    pub fn of(config: &Config) -> (Hidden, Vec<String>) {
        let (mut hidden, mut missing) = (Hidden::of_machine(), Vec::new());
        let mut lines_of = |file: &Option<PathBuf>, what: &str| {
            let read = file.as_deref().map_or(Ok(String::new()), |file| {
                read(file).map_err(|error| format!("{what}, because {} cannot be read ({error})", file.display()))
            });
            let text = read.unwrap_or_else(|why| {
                missing.push(why);
                String::new()
            });
            text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>()
        };
        for secret in [
            lines_of(&config.mqtt.password_file, "the password for the broker"),
            lines_of(&config.webhook.secret_file, "the secret of the webhook"),
        ]
        .concat()
        {
            hidden.secret(&secret);
        }
        for line in lines_of(&config.http.password_file, "the names of users") {
            let mut parts = line.splitn(3, ':');
            hidden.name(parts.next().unwrap_or_default(), "(user)");
            hidden.secret(parts.nth(1).unwrap_or_default());
        }
        if let Some(Url { host, path, .. }) = &config.webhook.url {
            hidden.name(host, "(host)");
            path.split(['/', '?', '&', '=']).filter(|part| part.len() >= MIN_PART).for_each(|part| hidden.secret(part));
        }
        hidden.name(&config.mqtt.host, "(host)");
        config.http.hosts.iter().for_each(|host| hidden.name(host, "(host)"));
        hidden.name(&config.mqtt.user, "(user)");
        hidden.name(&config.mqtt.client_id, "(machine)");
        let pipe = if let CameraSource::Pipe(words) = &config.camera.source { &words[..] } else { &[] };
        for argument in [pipe, &config.exec.command[..]].into_iter().flat_map(|words| words.iter().skip(1)) {
            hidden.argument(argument);
        }
        match list::list(&config.gallery.path) {
            Ok(listing) => {
                for (number, (name, folder)) in (1..).zip(&listing.people) {
                    let own =
                        folder.paths.iter().filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
                    for name in [name.clone()].into_iter().chain(own) {
                        hidden.person(&name, number);
                    }
                }
            }
            Err(error) => missing.push(format!("the names of people ({error:#})")),
        }
        (hidden, missing)
    }

    /// Adds the possible secrets in an argument of a command, which may be a whole script: the hosts of URLs, values of
    /// parameters with a name in [`SECRET_WORDS`], and words of at least [`MIN_ARGUMENT`] bytes.
    fn argument(&mut self, argument: &str) {
        for word in argument.split(|c: char| c.is_whitespace() || "'\"`;|,()".contains(c)) {
            if let Some((_, rest)) = word.split_once("://") {
                let authority = rest.split(['/', '?']).next().unwrap_or_default();
                let host = authority.rsplit('@').next().unwrap_or_default();
                let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
                let host = host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(host, _)| host);
                self.name(host, "(host)");
            } else if word.starts_with('/') || (word.starts_with('-') && !word.contains('=')) {
                continue;
            }
            for pair in word.split(['?', '&']) {
                let (name, value) = pair.split_once('=').unwrap_or(("", pair));
                let name = name.to_lowercase();
                if SECRET_WORDS.iter().any(|word| name.contains(word)) {
                    self.secret(value);
                }
                let pieces = value.split(['=', '/', ':', '@']);
                pieces.filter(|piece| piece.len() >= MIN_ARGUMENT).for_each(|piece| self.secret(piece));
            }
        }
    }

    /// Adds a person, by the whole name and by each part of it.
    fn person(&mut self, name: &str, number: usize) {
        let stands = format!("person-{number}");
        self.add(name, true, &stands);
        let parts = name.split(|c: char| !c.is_alphanumeric()).filter(|part| *part != name);
        for part in parts {
            let least = if part.is_ascii() { 3 } else { 2 };
            if part.nfc().count() >= least {
                self.add(part, true, &stands);
            }
        }
    }

    /// Adds the name of a user or a machine.
    fn name(&mut self, name: &str, stands: &str) {
        let is_loopback = name.parse().is_ok_and(|address: IpAddr| address.is_loopback());
        if !COMMON.contains(&name.to_lowercase().as_str()) && !is_loopback {
            self.add(name, true, stands);
        }
    }

    fn secret(&mut self, text: &str) {
        self.add(text, text.chars().count() < MIN_INSIDE, "(secret)");
    }

    fn add(&mut self, text: &str, is_word: bool, stands: &str) {
        let letters: Vec<char> = text.trim().nfc().map(folded).collect();
        let Some(first) = letters.first().filter(|_| self.count < MAX_TEXTS) else { return };
        let known = self.texts.entry(*first).or_default();
        // Sorted by length, the longest first, so that a name with another name at its beginning is replaced as a
        // whole.
        let at = known.partition_point(|other| other.letters.len() >= letters.len());
        if !known.iter().any(|other| other.letters == letters) {
            known.insert(at, Known { letters, is_word, stands: stands.to_owned() });
            self.count += 1;
        }
    }

    /// `text` in NFC with all hidden texts replaced.
    pub fn hide(&self, text: &str) -> String {
        let shown: String = without_secrets(text).split_inclusive('\n').map(without_forms).collect();
        let letters: Vec<char> = shown.nfc().collect();
        let small: Vec<char> = letters.iter().copied().map(folded).collect();
        let (mut out, mut at) = (String::with_capacity(shown.len()), 0);
        while at < letters.len() {
            let known = self.texts.get(&small[at]).into_iter().flatten();
            match known.into_iter().find(|known| known.is_at(&small, at)) {
                Some(known) => {
                    out.push_str(&known.stands);
                    at += known.letters.len();
                }
                None => {
                    out.push(letters[at]);
                    at += 1;
                }
            }
        }
        out
    }
}

impl Known {
    fn is_at(&self, text: &[char], at: usize) -> bool {
        let end = at + self.letters.len();
        let alike = |a: char, b: char| {
            (a.is_ascii_alphabetic() && b.is_ascii_alphabetic()) || (a.is_ascii_digit() && b.is_ascii_digit())
        };
        let goes_on = || {
            let before = at.checked_sub(1).is_some_and(|before| alike(text[before], text[at]));
            before || text.get(end).is_some_and(|after| alike(text[end - 1], *after))
        };
        text.get(at..end).is_some_and(|part| part == self.letters) && !(self.is_word && goes_on())
    }
}

/// A letter in the form in which texts are compared.
fn folded(letter: char) -> char {
    letter.to_lowercase().next().unwrap_or(letter)
}

fn read(file: &Path) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    // O_NONBLOCK, because opening a FIFO would wait for a writer.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(file)?;
    file.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A line without serial numbers, home folders and network addresses.
fn without_forms(line: &str) -> String {
    let small = line.to_ascii_lowercase();
    for mark in ["serialnumber:", "serial number:", "serial no:"] {
        if let Some(at) = small.find(mark) {
            let end = if line.ends_with('\n') { "\n" } else { "" };
            return format!("{} (hidden){end}", &line[..at + mark.len()]);
        }
    }
    let line = without_component(line, "by-id/", "(hidden)");
    let line = without_component(&line, "/home/", "(user)");
    line.split_inclusive(char::is_whitespace).map(|word| without_addresses(&without_device(word))).collect()
}

/// `line` without the text from `mark` to the end of the word or folder. The suffix `-video-index...` of a camera
/// stays.
fn without_component(line: &str, mark: &str, stands: &str) -> String {
    let (mut shown, mut rest) = (String::new(), line);
    while let Some((before, after)) = rest.split_once(mark) {
        let is_end = |c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | ',' | ';' | ')');
        let (name, after) = after.split_at(after.find(is_end).unwrap_or(after.len()));
        let index = name.rfind("-video-index").map_or("", |at| &name[at..]);
        shown += &format!("{before}{mark}{stands}{index}");
        rest = after;
    }
    shown + rest
}

/// A word without the serial number in the name that udev gives to a camera.
fn without_device(word: &str) -> String {
    let Some(end) = word.find("-video-index") else { return word.to_owned() };
    match word[..end].find("usb-") {
        // After a dash, "usb-" is the port in a name of by-path.
        Some(at) if !word[..at].ends_with('-') => format!("{}usb-(hidden){}", &word[..at], &word[end..]),
        _ => word.to_owned(),
    }
}

/// A word without network addresses, except loopback addresses.
fn without_addresses(word: &str) -> String {
    let is_part = |c: char| c.is_ascii_hexdigit() || c == ':' || c == '.';
    let (mut shown, mut rest) = (String::new(), word);
    while let Some(at) = rest.find(is_part) {
        let (before, from) = rest.split_at(at);
        let (run, after) = from.split_at(from.find(|c| !is_part(c)).unwrap_or(from.len()));
        let begun = run.trim_start_matches(['.', ':']);
        // "::1" is an address. In ":10.0.0.5" the colon belongs to the text before the address.
        let begun = if hidden_address(run).is_some() || run.starts_with("::") { run } else { begun };
        let name = begun.trim_end_matches(['.', ':']);
        shown += before;
        shown += &run[..run.len() - begun.len()];
        shown += &hidden_address(name).unwrap_or_else(|| name.to_owned());
        shown += &begun[name.len()..];
        rest = after;
    }
    shown + rest
}

fn hidden_address(text: &str) -> Option<String> {
    let is_public = |ip: IpAddr| !ip.is_loopback() && !ip.is_unspecified();
    if let Ok(address) = text.parse::<SocketAddr>() {
        return is_public(address.ip()).then(|| format!("(address):{}", address.port()));
    }
    let groups: Vec<&str> = text.split(':').collect();
    // In messages about Ethernet frames, the kernel writes both addresses and a type in one word.
    let is_hardware = groups.len() >= 6 && groups.iter().all(|group| group.len() == 2);
    let is_address = is_hardware || text.parse().is_ok_and(is_public);
    is_address.then(|| "(address)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_a_known_form_are_hidden_and_similar_numbers_stay() {
        let hide = |text: &str| Hidden::default().hide(text);
        for (text, shown) in [
            (
                "source = /dev/v4l/by-id/usb-046d_C920_0F1E2D3C-video-index0",
                "source = /dev/v4l/by-id/(hidden)-video-index0",
            ),
            ("\"usb-046d_C920_0F1E2D3C-video-index0\",", "\"usb-(hidden)-video-index0\","),
            (
                "/dev/v4l/by-path/pci-0000:00:14.0-usb-0:1:1.0-video-index0",
                "/dev/v4l/by-path/pci-0000:00:14.0-usb-0:1:1.0-video-index0",
            ),
            ("usb 1-1: SerialNumber: 0F1E2D3C\nusb 1-1: x", "usb 1-1: SerialNumber: (hidden)\nusb 1-1: x"),
            ("Mfr=1, Product=2, SerialNumber=3", "Mfr=1, Product=2, SerialNumber=3"),
            ("/home/민호/gallery (x)", "/home/(user)/gallery (x)"),
            ("from 192.168.1.9, 2001:db8::7 and 203.0.113.9:4711.", "from (address), (address) and (address):4711."),
            ("[2001:db8::7]:80 a0:36:9f:00:12:ab", "[(address)]:80 (address)"),
            ("127.0.0.1:5000 0.0.0.0:80 [::1]:80 [::]:80", "127.0.0.1:5000 0.0.0.0:80 [::1]:80 [::]:80"),
            ("at 12:03:04, dlib 19.24.9, 6.1.0-18, usb 1-1:1.0", "at 12:03:04, dlib 19.24.9, 6.1.0-18, usb 1-1:1.0"),
            ("rtsp://anna:pw@cam/x?token=1", "rtsp://cam/x?..."),
            ("host:10.0.0.5:8883 is away", "host:(address):8883 is away"),
            ("MAC=b8:27:eb:00:12:ab:a0:36:9f:00:12:ab:08:00 x", "MAC=(address) x"),
        ] {
            assert_eq!(hide(text), shown);
        }
    }

    #[test]
    fn a_name_is_found_in_every_form_and_not_inside_another_word() {
        let mut hidden = Hidden::default();
        hidden.person("김민호", 1);
        hidden.person("Ann Lee", 2);
        hidden.person("이", 3);
        let decomposed: String = "김민호".nfd().collect();
        assert_ne!(decomposed, "김민호");
        assert_eq!(
            hidden.hide(&format!("김민호 {decomposed}/1.jpg 김민호가 이")),
            "person-1 person-1/1.jpg person-1가 person-3"
        );
        assert_eq!(
            hidden.hide("ANN LEE, ann_lee2.jpg, channel, sleeps"),
            "person-2, person-2_person-22.jpg, channel, sleeps"
        );
    }

    #[test]
    fn secrets_in_the_arguments_of_a_command_are_hidden_in_its_output() {
        let mut hidden = Hidden::default();
        for argument in [
            "-i",
            "rtsp://cam7.house.lan:554/x?user=anna&password=hx22&channel=1",
            "curl -s --pw tok123456 'http://b/c' | tee /tmp/x",
        ] {
            hidden.argument(argument);
        }
        let told = "Failed to resolve hostname cam7.house.lan: no password hx22, no tok123456 in /tmp/x at -i";
        let shown = hidden.hide(told);
        assert_eq!(shown, "Failed to resolve hostname (host): no password (secret), no (secret) in /tmp/x at -i");
    }

    #[test]
    fn a_secret_is_found_inside_a_word_too() {
        let mut hidden = Hidden::default();
        hidden.secret("hunter2");
        hidden.secret("ab");
        assert_eq!(hidden.hide("xhunter2y, cabs, ab=HUNTER2"), "x(secret)y, cabs, (secret)=(secret)");
    }
}
