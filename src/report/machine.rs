//! The parts of the report that the system provides: the machine, the service, its journal, and kernel messages about
//! cameras.

use crate::config::{Config, instance, of_service};
use crate::memory::{self, Machine};
use crate::os::{board, process};
use crate::telemetry::faults::CAUSES;
use serde_json::Value;
use std::fmt::Write;
use std::path::Path;
use std::thread::available_parallelism;
use std::time::Duration;

/// How long a system program may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most bytes that are read of its output.
const MAX_OUTPUT: usize = 2 << 20;
/// The most lines that are requested of a journal.
const MAX_LINES: &str = "600";
/// The properties of the service in the report.
const PROPERTIES: &str = "Id,LoadState,ActiveState,SubState,Result,NRestarts,ExecMainStartTimestamp,ExecMainCode,ExecMainStatus,\
                          StatusText,MemoryCurrent,MemoryPeak,MemoryMax,TasksCurrent,CPUUsageNSec,WatchdogUSec,FragmentPath,DropInPaths";
/// Words in kernel messages about cameras and about problems that stop them.
const KERNEL_WORDS: [&str; 10] =
    ["uvc", "usb", "video", "oom", "out of memory", "voltage", "throttl", "i/o error", "mmc", "hung task"];
/// Prefixes of log lines that contain no text from outside except texts of a camera, a decoder or the kernel.
const LINES: [&str; 14] = [
    "camera: ",
    "recognition: ",
    "encoder: ",
    "namecam: ",
    "memory: ",
    "overlay: letters ",
    "settings: ",
    "by MQTT: ",
    "listening on ",
    "reloading ",
    "nothing was reloaded",
    "the config has ",
    "stopping",
    "cannot notify systemd",
];

/// The kernel, distribution, board, memory, disks and temperature.
pub fn machine(config: Option<&Config>) -> String {
    let mut text = String::new();
    let file =
        |path: &str| std::fs::read_to_string(path).ok().map(|text| text.trim_matches(['\0', '\n', ' ']).to_owned());
    let distribution = file("/etc/os-release").and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
        Some(line.trim_matches('"').to_owned())
    });
    let model = file("/sys/firmware/devicetree/base/model").or_else(|| {
        let part = |name: &str| file(&format!("/sys/class/dmi/id/{name}"));
        Some(format!("{} {}", part("sys_vendor")?, part("product_name")?))
    });
    let said = |value: Option<String>| value.unwrap_or_else(|| "the system does not say".to_owned());
    let machine = Machine::this();
    let limit = machine.limit().map(|limit| format!("{} usable, because {}", memory::mb(limit.usable), limit.what));
    let temperature = board::temperature(Path::new(board::ZONES)).map(|degrees| format!("{degrees:.1} °C"));
    let throttled = board::throttled().map(|why| if why.is_empty() { "no".to_owned() } else { why.join(" and ") });
    let processors = available_parallelism().ok().map(|count| count.to_string());
    for (what, value) in [
        ("kernel", board::kernel()),
        ("distribution", distribution),
        ("board", model),
        ("processors", processors),
        ("memory", limit),
        ("available memory", machine.available().map(memory::mb)),
        ("temperature", temperature),
        ("slowed down", throttled),
    ] {
        let _ = writeln!(text, "{what}: {}", said(value));
    }
    let state = config.and_then(|config| config.state_folder.as_deref());
    for (what, folder) in
        [("disk of the state folder", state), ("disk of the gallery", config.map(|config| &*config.gallery.path))]
    {
        // A folder that does not exist yet is created at the first write.
        let folder = folder.and_then(|folder| folder.ancestors().find(|folder| folder.is_dir()));
        let room = folder.and_then(board::disk);
        let room = room.map(|(free, all)| format!("{} free of {}", memory::mb(free), memory::mb(all)));
        let _ = writeln!(text, "{what}: {}", said(room));
    }
    text
}

fn ask(program: &str, arguments: &[&str]) -> Result<String, String> {
    process::output_of(program, arguments, MAX_OUTPUT, PATIENCE).map_err(|why| format!("{program}: {why}"))
}

/// The systemd unit that runs with this config, or that of the package.
pub fn unit(config: Option<&Config>) -> String {
    let name = config.and_then(|config| instance(config.file.as_deref()?));
    name.map_or("namecam.service".to_owned(), |name| format!("namecam@{name}.service"))
}

/// A property of the unit that runs with this config; `None` for a config that is not that of a service, and where
/// systemd does not say it.
pub fn property(config: &Config, name: &str) -> Option<String> {
    of_service(config.file.as_deref()?)?;
    let show = ["show", &unit(Some(config)), "--no-pager", "--value", "--property", name];
    ask("systemctl", &show).ok().map(|value| value.trim().to_owned())
}

/// The properties of the service. Its status text may contain names of people and addresses, which cannot be hidden
/// without a config.
pub fn service(unit: &str, has_config: bool) -> Result<String, String> {
    let text = ask("systemctl", &["show", unit, "--no-pager", &format!("--property={PROPERTIES}")])?;
    let lines = text.lines().filter(|line| has_config || !line.starts_with("StatusText="));
    Ok(lines.map(|line| format!("{line}\n")).collect())
}

/// The newest lines of the service in the journal.
pub fn journal(unit: &str) -> Result<String, String> {
    of_journal(unit, &journal_lines(&["--unit", unit])?)
}

/// The newest kernel messages about cameras.
pub fn kernel() -> Result<String, String> {
    let lines = journal_lines(&["--dmesg"]).and_then(|lines| {
        let lines: Vec<String> = lines.into_iter().map(|line| format!("{} {}", line.at, line.message)).collect();
        if lines.is_empty() {
            Err("journalctl: it shows no message of the kernel to this user".to_owned())
        } else {
            Ok(lines)
        }
    });
    let lines = lines.or_else(|journal| {
        let plain = ask("dmesg", &[]).map_err(|dmesg| format!("{journal}; {dmesg}"))?;
        Ok::<_, String>(plain.lines().map(str::to_owned).collect())
    })?;
    let about = |line: &&String| {
        let small = line.to_lowercase();
        KERNEL_WORDS.iter().any(|word| small.contains(word))
    };
    let lines: String = lines.iter().filter(about).map(|line| format!("{line}\n")).collect();
    if lines.is_empty() { Ok("no message about a camera, USB or memory\n".to_owned()) } else { Ok(lines) }
}

/// A line of the journal.
struct Line {
    at: String,
    from: String,
    message: String,
}

fn journal_lines(which: &[&str]) -> Result<Vec<Line>, String> {
    let how = [
        "--boot",
        "--lines",
        MAX_LINES,
        "--output=json",
        "--output-fields=MESSAGE,SYSLOG_IDENTIFIER",
        "--quiet",
        "--no-pager",
    ];
    let text = ask("journalctl", &[which, &how].concat())?;
    Ok(text.lines().filter_map(journal_line).collect())
}

fn journal_line(line: &str) -> Option<Line> {
    let fields: Value = serde_json::from_str(line).ok()?;
    let micros = fields["__REALTIME_TIMESTAMP"].as_str()?.parse().ok()?;
    let at = std::time::UNIX_EPOCH.checked_add(Duration::from_micros(micros))?;
    let from = fields["SYSLOG_IDENTIFIER"].as_str().unwrap_or_default().to_owned();
    // A message that is not text is an array of bytes.
    let message = fields["MESSAGE"].as_str()?.replace('\n', " ");
    Some(Line { at: crate::os::localtime::utc(at), from, message })
}

fn of_journal(unit: &str, lines: &[Line]) -> Result<String, String> {
    if lines.is_empty() {
        return Err(format!("the journal shows no line of {unit} to this user"));
    }
    let (mut text, mut left_out) = (String::new(), 0);
    for Line { at, from, message } in lines {
        let shown = match from.as_str() {
            "systemd" => Some(message.clone()),
            "namecam" => told(message),
            _ => None,
        };
        match shown {
            Some(message) => {
                let _ = writeln!(text, "{at} {from}: {message}");
            }
            None => left_out += 1,
        }
    }
    if left_out > 0 {
        let _ = writeln!(text, "({left_out} lines are left out, because they may name people, files or addresses)");
    }
    Ok(text)
}

/// A log line of namecam as the report shows it: the whole line, only its cause, or `None`. An old line may name people
/// who were forgotten since, and whose names cannot be found any more.
pub fn told(message: &str) -> Option<String> {
    // Other lines, such as those of a camera's program or of stills, may contain file names and text from outside.
    let is_whole = LINES.iter().any(|beginning| message.starts_with(beginning));
    let counts = message.strip_prefix("gallery ").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    if is_whole || counts {
        return Some(message.to_owned());
    }
    let cause = CAUSES.iter().map(|cause| cause.as_str()).find(|cause| message.starts_with(cause))?;
    Some(format!("{cause} (details are left out)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_that_of_the_config() {
        for (file, expected) in [
            (Some("/etc/namecam/namecam.ini"), "namecam.service"),
            (Some("/etc/namecam/garden.ini"), "namecam@garden.service"),
            (Some("/home/anna/garden.ini"), "namecam.service"),
            (None, "namecam.service"),
        ] {
            let mut config = Config::defaults("/".as_ref());
            config.file = file.map(Into::into);
            assert_eq!(unit(Some(&config)), expected);
        }
        assert_eq!(unit(None), "namecam.service");
    }

    #[test]
    fn a_log_line_is_shown_whole_by_its_cause_or_not_at_all() {
        let whole = ["camera: C920, MJPG 1280x720 at 30 fps", "gallery 3: 2 people, 5 pictures, 1 skipped", "stopping"];
        for line in whole {
            assert_eq!(told(line).as_deref(), Some(line));
        }
        let cause = "http: wrong user name or password (details are left out)";
        assert_eq!(told("http: wrong user name or password: x").as_deref(), Some(cause));
        for line in
            ["http: anna has logged in", "gallery: Anna/1.jpg: no face", "ffmpeg: Anna", "stills: Anna.jpg: x", ""]
        {
            assert_eq!(told(line), None, "{line}");
        }
    }

    #[test]
    fn a_journal_is_read_line_by_line_and_lines_that_are_left_out_are_counted() {
        let line = |from: &str, message: &str| {
            let fields = serde_json::json!({"__REALTIME_TIMESTAMP": "1700000000000000", "SYSLOG_IDENTIFIER": from, "MESSAGE": message});
            journal_line(&fields.to_string())
        };
        assert!(journal_line("{").is_none() && journal_line("{\"MESSAGE\": [1]}").is_none());
        let lines: Vec<Line> = [
            line("systemd", "Started x"),
            line("namecam", "stopping\nnow"),
            line("sh", "Anna"),
            line("namecam", "http: anna"),
        ]
        .into_iter()
        .flatten()
        .collect();
        let at = "2023-11-14T22:13:20+00:00";
        let expected = format!(
            "{at} systemd: Started x\n{at} namecam: stopping now\n(2 lines are left out, because they may name people, files or addresses)\n"
        );
        assert_eq!(of_journal("namecam.service", &lines).unwrap(), expected);
        assert!(of_journal("namecam@x.service", &[]).unwrap_err().contains("shows no line of namecam@x.service"));
    }

    #[test]
    fn this_machine_is_described() {
        let text = machine(None);
        assert!(text.starts_with("kernel: Linux ") && text.contains("\nprocessors: "), "{text}");
    }
}
