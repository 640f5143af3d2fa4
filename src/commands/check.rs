//! `namecam check`: config, models and gallery, and what to do about them.

mod table;

use super::{GOOD, UNUSABLE, WARNINGS, print};
use crate::config::{Config, Source};
use crate::recognition::enrol::Library;
use crate::recognition::{self, engine};
use crate::roster::{Picture, Roster};
use serde_json::{Value, json};
use table::{Table, paragraph};

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
    } else if roster.files().any(Picture::is_doubtful) || !roster.warnings.is_empty() {
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
        let config = self.config;
        let file =
            config.file.as_ref().map_or("none: every key at its default".to_owned(), |f| f.display().to_string());
        let mut out = paragraph("config     ", &format!("{file}: good"));
        let models = config.models.path.display();
        let models = match &self.models_error {
            Some(error) => error.clone(),
            None => format!("{models}: good (dlib {}, {})", engine::DLIB, engine::blas()),
        };
        out.push_str(&paragraph("models     ", &models));
        if let Some(threshold) = &self.roster.threshold {
            let text = format!("{:.3} {}: {}", threshold.distance, threshold.metric, threshold.why);
            out.push_str(&paragraph("threshold  ", &text));
            if let (Some(strangers), Some(known)) = (threshold.strangers_named, threshold.known_named) {
                let (strangers, known) = (strangers * 1000.0, known * 100.0);
                let text = format!(
                    "expect {strangers:.1} of 1000 strangers with a name, and {known:.0} of 100 people named at the \
                     first look, by {}",
                    threshold.rates.as_deref().unwrap_or_default()
                );
                out.push_str(&paragraph("           ", &text));
            }
        }
        self.gallery(&mut out);
        out.push_str(match self.status {
            GOOD => "good: ready to run\n",
            WARNINGS => "usable, but see the warnings and the pictures that are skipped or doubtful\n",
            _ if self.models_error.is_some() => "unusable: no model, so nobody can be recognised\n",
            _ => "unusable: nobody is in the gallery, so nobody can be recognised\n",
        });
        out
    }

    fn gallery(&self, out: &mut String) {
        let roster = &self.roster;
        let folder = self.config.gallery.path.display();
        let state = if let Some(error) = &self.gallery_error {
            error.clone()
        } else if self.models_error.is_some() {
            format!("{folder}: not looked at without models")
        } else {
            let (people, used, skipped) = (roster.known(), roster.used(), roster.skipped());
            format!("{folder}: {people} people, {used} pictures used, {skipped} skipped")
        };
        out.push_str(&paragraph("gallery    ", &state));
        let mut table = Table::default();
        for person in &roster.people {
            let spread = person.spread.map(|spread| format!(", spread {spread:.2}")).unwrap_or_default();
            let title = format!("{}: {} of {} used{spread}", person.name, person.used(), person.pictures.len());
            table.section(&title, &person.pictures, person.hint.as_deref());
        }
        if !roster.never.is_empty() {
            table.section(".not: whoever looks like these is never named", &roster.never, None);
        }
        if !roster.ignored.is_empty() {
            table.section("in nobody's folder", &roster.ignored, None);
        }
        out.push_str(&table.text());
        for warning in &roster.warnings {
            out.push_str(&paragraph("warning: ", warning));
        }
    }
}
