//! The subcommands that end when they are done.

use crate::camera::probe;
use crate::config::{Config, Source};
use crate::http::accounts::{Role, passwd as write_account};
use crate::logging;
use crate::pixels::Rgb;
use crate::recognition::enrol::Library;
use crate::recognition::{self, Opened, engine, picture};
use crate::roster::Roster;
use crate::sighting::Sighting;
use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{IsTerminal, Read, Write, stderr, stdin, stdout};
use std::path::{Path, PathBuf};

/// Everything is good.
pub const GOOD: u8 = 0;
/// It works, but something should be looked after.
pub const WARNINGS: u8 = 1;
/// There is no usable model or gallery.
pub const UNUSABLE: u8 = 2;

/// Prints to stdout; a reader that has gone away (`| head`) is no error.
fn print(text: &str) {
    let mut out = stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// `namecam check`: the exit status.
pub fn check(config: &Config, json: bool) -> u8 {
    let opened = recognition::open(config);
    let models_error = opened.as_ref().err().map(|error| format!("{error:#}"));
    let library = opened.and_then(|mut opened| recognition::load(config, &mut opened));
    let (roster, gallery_error) = match library {
        Ok(Library { roster, .. }) => (roster, None),
        Err(error) => (Roster::default(), models_error.is_none().then(|| format!("{error:#}"))),
    };
    let mut roster = roster;
    roster.warnings.extend(warnings_of(config));
    let status = if models_error.is_some() || roster.used() == 0 {
        UNUSABLE
    } else if roster.skipped() > 0 || !roster.warnings.is_empty() {
        WARNINGS
    } else {
        GOOD
    };
    let report = Report { config, models_error, gallery_error, roster, status };
    print(&if json { format!("{}\n", report.json()) } else { report.text() });
    status
}

/// What `run` would live with, but hardly anybody wants: files that the config names and that are not there.
fn warnings_of(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(Err(error)) = config.overlay.font.as_ref().map(std::fs::File::open) {
        warnings.push(format!("[overlay] font cannot be read ({error}): the fonts of the system are used"));
    }
    if let Source::Stills(folder) = &config.camera.source
        && let Err(error) = std::fs::read_dir(folder)
    {
        warnings.push(format!("[camera] source: {} cannot be read: {error}", folder.display()));
    }
    warnings
}

struct Report<'a> {
    config: &'a Config,
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
            "models": {"path": self.config.models.path, "error": self.models_error},
            "threshold": self.roster.threshold,
            "gallery": {"path": self.config.gallery.path, "error": self.gallery_error, "people": self.roster.people,
                        "ignored": self.roster.ignored, "warnings": self.roster.warnings},
        })
    }

    fn text(&self) -> String {
        let mut out = String::new();
        let config = self.config;
        let file =
            config.file.as_ref().map_or("none: every key at its default".to_owned(), |f| f.display().to_string());
        let _ = writeln!(out, "config     {file}: good");
        match &self.models_error {
            Some(error) => {
                let _ = writeln!(out, "models     {error}");
            }
            None => {
                let _ = writeln!(
                    out,
                    "models     {}: good (dlib {}, {})",
                    config.models.path.display(),
                    engine::DLIB,
                    engine::blas()
                );
            }
        }
        if let Some(threshold) = &self.roster.threshold {
            let _ = writeln!(out, "threshold  {:.3} {}: {}", threshold.distance, threshold.metric, threshold.why);
            if let (Some(strangers), Some(known)) = (threshold.strangers_named, threshold.known_named) {
                let (strangers, known) = (strangers * 1000.0, known * 100.0);
                let _ = writeln!(
                    out,
                    "           expect {strangers:.1} of 1000 strangers with a name, and {known:.0} of 100 people named at the first look"
                );
            }
        }
        self.gallery(&mut out);
        out.push_str(match self.status {
            GOOD => "good: ready to run\n",
            WARNINGS => "usable, but see the warnings and the pictures that are skipped\n",
            _ if self.models_error.is_some() => "unusable: no model, so nobody can be recognised\n",
            _ => "unusable: nobody is in the gallery, so nobody can be recognised\n",
        });
        out
    }

    fn gallery(&self, out: &mut String) {
        let roster = &self.roster;
        let folder = self.config.gallery.path.display();
        if let Some(error) = &self.gallery_error {
            let _ = writeln!(out, "gallery    {error}");
            return;
        }
        if self.models_error.is_some() {
            let _ = writeln!(out, "gallery    {folder}: not looked at without models");
            return;
        }
        let counts =
            format!("{} people, {} pictures used, {} skipped", roster.known(), roster.used(), roster.skipped());
        let _ = writeln!(out, "gallery    {folder}: {counts}");
        for person in &roster.people {
            let _ = writeln!(out, "\n  {}: {} of {} used", person.name, person.used(), person.pictures.len());
            for picture in &person.pictures {
                let verdict = picture.skipped.as_ref().map_or("used".to_owned(), |reason| format!("skipped: {reason}"));
                let name = picture.file.split_once('/').map_or(picture.file.as_str(), |(_, name)| name);
                let _ = writeln!(out, "    {name:<28} {verdict}");
            }
        }
        for file in &roster.ignored {
            let _ = writeln!(out, "\n  {}: ignored: {}", file.file, file.skipped.as_deref().unwrap_or_default());
        }
        out.push('\n');
        for warning in &roster.warnings {
            let _ = writeln!(out, "warning: {warning}");
        }
    }
}

/// `namecam identify`: the exit status.
pub fn identify(config: &Config, images: &[PathBuf], json: bool) -> u8 {
    let loaded = recognition::open(config).and_then(|mut opened| {
        let library = recognition::load(config, &mut opened)?;
        Ok((opened, library))
    });
    let (mut opened, library) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            logging::tell(&format!("namecam: {error:#}"));
            return UNUSABLE;
        }
    };
    let mut status = GOOD;
    for image in images {
        let found = who_is_on(image, &mut opened, &library, config);
        if found.is_err() {
            status = WARNINGS;
        }
        let shown = image.display().to_string();
        print(&if json { json_line(&shown, &found) } else { text_line(&shown, &found) });
    }
    status
}

type Found = Result<(Rgb, Vec<Sighting>), String>;

fn who_is_on(image: &Path, opened: &mut Opened, library: &Library, config: &Config) -> Found {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(image).map_err(|e| e.to_string())?;
    file.take(picture::MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    let rgb = picture::decode(&bytes)?;
    let engine = opened.engine.as_mut();
    let faces = recognition::faces_on_still(engine, &rgb);
    let faces = recognition::identify(engine, &library.matcher, config.recognition.num_jitters, &rgb, &faces);
    Ok((rgb, faces))
}

fn json_line(image: &str, found: &Found) -> String {
    let value = match found {
        Ok((rgb, faces)) => {
            let faces: Vec<Value> = faces.iter().map(|face| explained(face, rgb)).collect();
            json!({"file": image, "faces": faces, "error": null})
        }
        Err(error) => json!({"file": image, "faces": [], "error": error}),
    };
    format!("{value}\n")
}

/// A face as `/api/state` shows it, and why it has its name or none.
fn explained(face: &Sighting, rgb: &Rgb) -> Value {
    let mut shown = face.json(rgb.width, rgb.height, true);
    if let (Some(shown), Value::Object(evidence)) = (shown.as_object_mut(), face.evidence_json(true)) {
        shown.extend(evidence);
    }
    shown
}

fn text_line(image: &str, found: &Found) -> String {
    let who = match found {
        Err(error) => format!("unreadable: {}", error.trim_start_matches("unreadable: ")),
        Ok((_, faces)) if faces.is_empty() => "no face".to_owned(),
        Ok((_, faces)) => {
            let label = |face: &Sighting| {
                let name = face.name.as_deref().unwrap_or("Unknown");
                face.distance.map_or(name.to_owned(), |distance| format!("{name} {distance:.3}"))
            };
            faces.iter().map(label).collect::<Vec<_>>().join(", ")
        }
    };
    format!("{image}: {who}\n")
}

/// `namecam probe`.
pub fn probe(config: &Config, device: Option<&Path>, measure: bool, json: bool) {
    print(&probe::probe(device, &config.camera, measure, json));
}

/// True for a copy that systemd hands to a service; it comes and goes with the service, and nobody else sees it.
pub fn is_credential(file: &Path) -> bool {
    file.starts_with("/run/credentials")
}

/// `namecam passwd`.
///
/// # Errors
/// When there is no file to write to, no password, or the file cannot be written.
pub fn passwd(config: &Config, file: Option<&Path>, user: &str, admin: bool) -> anyhow::Result<()> {
    let file = file.or(config.http.password_file.as_deref());
    let file = file.context("which file? give --file FILE, or set http.password_file in the config")?;
    if is_credential(file) {
        bail!(
            "{} is a copy that systemd makes for the service; give --file with the file that the unit names, such as \
             /etc/namecam/users",
            file.display()
        );
    }
    let password = if stdin().is_terminal() { ask_twice(user)? } else { first_line()? };
    let role = if admin { Role::Admin } else { Role::Viewer };
    write_account(file, user, role, &password)?;
    logging::tell(&format!("{user} may watch now; if namecam is running, restart it (systemctl restart namecam)"));
    Ok(())
}

fn first_line() -> anyhow::Result<String> {
    let mut line = String::new();
    stdin().read_line(&mut line).context("the password cannot be read")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn ask_twice(user: &str) -> anyhow::Result<String> {
    let ask = |prompt: &str| -> anyhow::Result<String> {
        let _ = write!(stderr(), "{prompt}");
        let line = crate::service::without_echo(first_line);
        logging::tell("");
        line
    };
    let password = ask(&format!("Password for {user}: "))?;
    if password != ask("Once more: ")? {
        bail!("the two are not the same; nothing was changed");
    }
    Ok(password)
}

/// `namecam --version`.
pub fn version() -> String {
    let simd = crate::service::simd();
    let encoder = "jpeg-encoder";
    format!(
        "namecam {}\ndlib {}, {}\nJPEG: {encoder}\nSIMD: {simd}\n",
        env!("CARGO_PKG_VERSION"),
        engine::DLIB,
        engine::blas()
    )
}
