//! `namecam check`: reports the state of config, models and gallery, and how to fix problems.

mod table;

use super::{GOOD, UNUSABLE, WARNINGS, is_anothers, print};
use crate::camera::pipe;
use crate::commands::probe;
use crate::config::{Camera, CameraSource, Config, InUse, keys};
use crate::events::{mqtt, webhook};
use crate::memory::{self, Machine, Plan, mb};
use crate::recognition::gallery::enrol::Library;
use crate::recognition::{self, dlib};
use crate::report;
use crate::roster::{PictureReport, Roster};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use table::{TextTable, paragraph};

/// Runs `namecam check`, and returns the exit status.
pub fn check(config: &Config, json: bool) -> u8 {
    let plan = memory::plan(config, &Machine::this()).ok();
    let opened = recognition::open(config);
    let models_error = opened.as_ref().err().map(|error| format!("{error:#}"));
    let library = opened.and_then(|mut opened| recognition::load(config, &mut opened));
    let (roster, gallery_error) = match library {
        Ok(Library { roster, .. }) => (roster, None),
        Err(error) => (Roster::default(), models_error.is_none().then(|| format!("{error:#}"))),
    };
    let mut roster = roster;
    let camera = probe::trouble(&config.camera);
    roster.warnings.extend(warnings_of(config));
    if report::property(config, "ProtectHome").as_deref() == Some("yes") {
        roster.warnings.extend(hidden_from_service(config));
    }
    let memory_max = report::property(config, "MemoryMax").and_then(|bytes| bytes.parse().ok());
    let mqtt = (!config.mqtt.host.is_empty()).then(|| mqtt::try_out(config));
    roster.warnings.extend(mqtt.iter().filter_map(|tried| tried.as_ref().err()).map(|why| format!("[mqtt] {why}")));
    let waits = waits_for_one(&config.camera, probe::no_camera_at_all());
    if let Some(trouble) = camera.as_ref().filter(|_| !waits) {
        roster.warnings.push(format!("[camera] source: {trouble}"));
    }
    let status = if models_error.is_some() || roster.used() == 0 {
        UNUSABLE
    } else if roster.files().any(PictureReport::is_doubtful) || !roster.warnings.is_empty() {
        WARNINGS
    } else {
        GOOD
    };
    let report = Report { config, plan, memory_max, camera, waits, mqtt, models_error, gallery_error, roster, status };
    print(&if json { format!("{}\n", report.json()) } else { report.text() });
    status
}

/// Warnings about the config, and about files that the config names and that cannot be read, although `run` works
/// without them.
fn warnings_of(config: &Config) -> Vec<String> {
    let mut warnings = config.warnings.clone();
    if let Some(Err(error)) = config.overlay.font.as_ref().map(std::fs::File::open) {
        warnings.push(format!("[overlay] font cannot be read ({error}); the system's fonts are used instead"));
    }
    warnings.extend(webhook::trouble(&config.webhook).map(|why| format!("[webhook] {why}; nothing is sent")));
    if let Some(why) = pipe::trouble(&config.exec.command) {
        warnings.push(format!("[exec] command: {}", why.trim_start_matches("pipe: ")));
    }
    let users = config.http.password_file.as_ref();
    if let Some(file) = users.filter(|file| is_anothers(file, std::fs::File::open(file))) {
        warnings.push(format!(
            "[http] password_file: no permission to read {}; run sudo namecam check to check it too",
            file.display()
        ));
    }
    warnings
}

/// Warnings about files and folders that `ProtectHome=yes` in the unit of a service hides from it.
fn hidden_from_service(config: &Config) -> Vec<String> {
    let paths = [
        ("[gallery] path", Some(&config.gallery.path)),
        ("[models] path", Some(&config.models.path)),
        ("[state] path", config.state_folder.as_ref()),
        ("[overlay] font", config.overlay.font.as_ref()),
        ("[http] password_file", config.http.password_file.as_ref()),
        ("[mqtt] ca_file", config.mqtt.ca_file.as_ref()),
        ("[webhook] ca_file", config.webhook.ca_file.as_ref()),
    ];
    let hidden = ["/home", "/root", "/run/user"].map(Path::new);
    let warning = |(key, path): (&str, Option<&PathBuf>)| {
        let path = path?;
        let (folder, path) = (hidden.iter().find(|hidden| path.starts_with(hidden))?.display(), path.display());
        Some(format!("{key} = {path}: the unit of the service hides {folder}; docs/CONFIG.md says what to do"))
    };
    paths.into_iter().filter_map(warning).collect()
}

/// True when the config has the default camera and no camera is plugged in. Such a machine waits for a camera, which is
/// no problem to report.
fn waits_for_one(camera: &Camera, none_is_there: bool) -> bool {
    let usual = keys::find("camera", "source").map(|key| key.default);
    none_is_there && matches!(&camera.source, CameraSource::Device(path) if path.to_str() == usual)
}

struct Report<'a> {
    config: &'a Config,
    /// The memory plan; `None` when recognition is off and would not fit.
    plan: Option<Plan>,
    /// The most bytes that the unit of the service gives it. The plan does not know it in a shell.
    memory_max: Option<u64>,
    /// Why the camera would deliver no frames.
    camera: Option<String>,
    /// True when the only reason is that no camera is plugged in and the config has the default one.
    waits: bool,
    /// Whether the MQTT broker can be used; `None` without a broker.
    mqtt: Option<Result<(), String>>,
    models_error: Option<String>,
    gallery_error: Option<String>,
    roster: Roster,
    status: u8,
}

impl Report<'_> {
    fn json(&self) -> Value {
        let verdict = ["good", "usable with warnings", "unusable"][usize::from(self.status.min(2))];
        json!({
            "verdict": verdict,
            "config": self.config.file,
            "values": self.config.in_use(),
            "camera": {"source": self.config.camera.source.public(), "problem": self.camera},
            "mqtt": self.mqtt.as_ref().map(|tried| json!({"host": self.config.mqtt.host, "problem": tried.as_ref().err()})),
            "models": {"path": self.config.models.path, "error": self.models_error},
            "memory": self.plan.as_ref().map(|plan| json!({
                "takes_bytes": plan.takes,
                "usable_bytes": plan.limit.as_ref().map(|limit| limit.usable),
                "limit": plan.limit.as_ref().map(|limit| &limit.what),
            })),
            "threshold": self.roster.threshold,
            "gallery": {"path": self.config.gallery.path, "error": self.gallery_error, "people": self.roster.people,
                        "never": self.roster.never, "ignored": self.roster.ignored, "warnings": self.roster.warnings},
        })
    }

    fn text(&self) -> String {
        let config = self.config;
        let file = config
            .file
            .as_ref()
            .map_or("no config file; every key has its default".to_owned(), |f| f.display().to_string());
        let mut out = paragraph("config     ", &format!("{file}: good"));
        let given = config.in_use().into_iter().filter(|value| value.source != "default");
        // Values from the config file are left out. Values from elsewhere override the file and are easily overlooked.
        let elsewhere = given.filter(|value| !value.source.starts_with(&file));
        for InUse { key, value, source, .. } in elsewhere {
            out.push_str(&paragraph("           ", &format!("{key} = {value} ({source})")));
        }
        let camera = config.camera.source.public();
        let state = match &self.camera {
            Some(_) if self.waits => "no camera is plugged in; namecam run waits for one",
            Some(_) => "see the warning below",
            None => "good (no picture was taken)",
        };
        out.push_str(&paragraph("camera     ", &format!("{camera}: {state}")));
        if let Some(tried) = &self.mqtt {
            let state = if tried.is_ok() { "good (the broker lets it in)" } else { "see the warning below" };
            out.push_str(&paragraph("mqtt       ", &format!("{}:{}: {state}", config.mqtt.host, config.mqtt.port())));
        }
        let models = config.models.path.display();
        let models = match &self.models_error {
            Some(error) => error.clone(),
            None => format!("{models}: good (dlib {}, {})", dlib::DLIB, dlib::blas()),
        };
        out.push_str(&paragraph("models     ", &models));
        if let Some(plan) = &self.plan {
            let of_unit = |bytes| format!("; this counts in this shell, and MemoryMax of the service is {}", mb(bytes));
            let of_unit = self.memory_max.map(of_unit).unwrap_or_default();
            out.push_str(&paragraph("memory     ", &format!("{plan}{of_unit}")));
        }
        if let Some(threshold) = &self.roster.threshold {
            let text = format!("{:.3} {}: {}", threshold.distance, threshold.metric, threshold.why);
            out.push_str(&paragraph("threshold  ", &text));
            if let Some(known) = threshold.known_named {
                let rates = threshold.rates.as_deref().unwrap_or_default();
                let text = format!(
                    "about {:.0} of 100 known people get their name with a single picture; at the camera one look names \
                     fewer, and a visit of several looks more (from {rates})",
                    known * 100.0
                );
                out.push_str(&paragraph("           ", &text));
            }
        }
        self.gallery(&mut out);
        out.push_str(match self.status {
            GOOD => "good: ready to run\n",
            WARNINGS => "usable, but some pictures or settings need attention; see above\n",
            _ if self.models_error.is_some() => "unusable: the models cannot be loaded, so no one can be recognised\n",
            _ => "unusable: the gallery has no usable picture, so no one can be recognised\n",
        });
        out
    }

    fn gallery(&self, out: &mut String) {
        let roster = &self.roster;
        let folder = self.config.gallery.path.display();
        let state = if let Some(error) = &self.gallery_error {
            error.clone()
        } else if self.models_error.is_some() {
            format!("{folder}: not checked, because the models cannot be loaded")
        } else {
            let (people, used, skipped) = (roster.known(), roster.used(), roster.skipped());
            format!("{folder}: {people} people, {used} pictures used, {skipped} skipped")
        };
        out.push_str(&paragraph("gallery    ", &state));
        let mut table = TextTable::default();
        for person in &roster.people {
            let spread = person.spread.map(|spread| format!(", spread {spread:.2}")).unwrap_or_default();
            let title = format!("{}: {} of {} used{spread}", person.name, person.used(), person.pictures.len());
            table.section(&title, &person.pictures, person.hint.as_deref());
        }
        if !roster.never.is_empty() {
            table.section(".not: people who never get a name", &roster.never, None);
        }
        if !roster.ignored.is_empty() {
            table.section("not in a person's folder", &roster.ignored, None);
        }
        out.push_str(&table.text());
        for warning in &roster.warnings {
            out.push_str(&paragraph("warning: ", warning));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_below_home_are_named_because_a_service_does_not_see_them() {
        let mut config = Config::defaults(Path::new("/etc/namecam"));
        config.state_folder = Some("/var/lib/namecam".into());
        assert!(hidden_from_service(&config).is_empty());
        (config.gallery.path, config.models.path) = ("/home/pi/gallery".into(), "/homes/models".into());
        (config.state_folder, config.overlay.font) = (Some("/run/user/1000/x".into()), Some("/root/a.ttf".into()));
        let told = hidden_from_service(&config);
        assert!(
            told[0].starts_with("[gallery] path = /home/pi/gallery: the unit of the service hides /home;"),
            "{told:?}"
        );
        let keys = told.iter().map(|line| line.split(" =").next().unwrap_or_default());
        assert_eq!(keys.collect::<Vec<_>>(), ["[gallery] path", "[state] path", "[overlay] font"]);
    }

    #[test]
    fn a_machine_without_a_camera_waits_for_one_unless_the_config_names_another() {
        let mut camera = Config::defaults(Path::new("/")).camera;
        assert!(waits_for_one(&camera, true) && !waits_for_one(&camera, false));
        camera.source = CameraSource::Device("/dev/video9".into());
        assert!(!waits_for_one(&camera, true));
        camera.source = CameraSource::Pipe(vec!["ffmpeg".into()]);
        assert!(!waits_for_one(&camera, true));
    }
}
