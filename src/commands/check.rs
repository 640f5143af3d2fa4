//! `namecam check`: config, models and gallery, and what to do about them.

use super::{GOOD, UNUSABLE, WARNINGS, print};
use crate::config::{Config, Source};
use crate::recognition::enrol::Library;
use crate::recognition::{self, engine};
use crate::roster::{FaceNumbers, Picture, Roster};
use serde_json::{Value, json};
use std::fmt::Write as _;

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
                        "never": self.roster.never, "ignored": self.roster.ignored, "warnings": self.roster.warnings},
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
            let spread = person.spread.map_or(String::new(), |spread| format!(", spread {spread:.2}"));
            let _ = writeln!(out, "\n  {}: {} of {} used{spread}", person.name, person.used(), person.pictures.len());
            table(out, &person.pictures);
            if let Some(hint) = &person.hint {
                let _ = writeln!(out, "    -> {hint}");
            }
        }
        if !roster.never.is_empty() {
            let _ = writeln!(out, "\n  .not: whoever looks like these is never named");
            table(out, &roster.never);
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

/// A line a picture: the name, the numbers that it is judged by, and the verdict.
fn table(out: &mut String, pictures: &[Picture]) {
    if pictures.iter().any(|picture| picture.face.is_some()) {
        let _ =
            writeln!(out, "    {:<24} {:>5} {:>6} {:>5} {:>5}  verdict", "picture", "face", "sharp", "light", "own");
    }
    for picture in pictures {
        let name = picture.file.rsplit_once('/').map_or(picture.file.as_str(), |(_, name)| name);
        let numbers = picture.face.map_or(format!("{:>5} {:>6} {:>5} {:>5}", "-", "-", "-", "-"), |face| {
            let own = face.nearest_own.map_or("-".to_owned(), |own| format!("{own:.2}"));
            let FaceNumbers { width_px, sharpness, brightness, .. } = face;
            format!("{width_px:>5} {sharpness:>6.3} {brightness:>5.0} {own:>5}")
        });
        let verdict = match (&picture.skipped, &picture.note) {
            (Some(reason), _) => format!("skipped: {reason}"),
            (None, Some(note)) => format!("used, but {note}"),
            (None, None) => "good".to_owned(),
        };
        let _ = writeln!(out, "    {name:<24} {numbers}  {verdict}");
    }
}
