//! [`Settings`]: changes of the config while namecam runs, by a reload, by an admin on the page and by MQTT.

use crate::config::{Change, Config, Given, Origin, Problem, Problems};
use crate::memory::{self, Machine};
use crate::os::{files, logging};
use crate::sync::{Latest, lock};
use serde::Serialize;
use std::io::{Error, ErrorKind};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// The origin of the config and the slot in which the config is published.
#[derive(Debug)]
pub struct Settings {
    origin: Origin,
    config: Arc<Latest<Config>>,
    machine: Machine,
    /// Locked from the reading of the files to the publishing of the config, so that no change is lost when two come at
    /// once. The value is the order to turn recognition on or off that was given since the last reload, if any.
    changing: Mutex<Option<bool>>,
}

/// The key that MQTT changes, and the place of its value in [`Config::given`].
const ORDERED: (&str, &str) = ("recognition.enabled", "MQTT");

/// Why a config is refused. The former config stays in use, and no file has changed.
#[derive(Debug)]
pub enum Refused {
    /// The config, or a change of it, has these problems.
    Wrong(Problems),
    /// The config needs more memory than is available.
    TooLarge(String),
    /// The settings file cannot be read or written.
    File(String),
}

/// The effect of a change.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// The keys whose new values are in use.
    pub applied: Vec<String>,
    /// The keys that a `--set` option overrides. Their new values are in the file but not in use.
    pub overridden: Vec<String>,
    /// The keys of the config file that have changed since the start and need a restart.
    pub restart: Vec<String>,
}

impl Settings {
    /// Settings for `config`, which was read from `origin`.
    pub fn new(origin: Origin, config: Arc<Latest<Config>>) -> Settings {
        Settings { origin, config, machine: Machine::this(), changing: Mutex::default() }
    }

    /// Reads the config again and publishes it.
    ///
    /// # Errors
    /// Why the config is refused.
    pub fn reload(&self) -> Result<(), Refused> {
        let mut ordered = lock(&self.changing);
        let new = self.origin.load().map_err(Refused::Wrong)?;
        let (new, restart) = self.checked(new)?;
        *ordered = None;
        for key in restart {
            log::warn!("{key} has changed; to apply it, restart namecam (sudo systemctl restart namecam)");
        }
        self.publish(new);
        Ok(())
    }

    /// Writes a change into the settings file, and publishes the config that results.
    ///
    /// # Errors
    /// Why the change is refused. Then neither the file nor the config has changed.
    pub fn change(&self, change: &Change) -> Result<Applied, Refused> {
        let mut ordered = lock(&self.changing);
        let no_folder =
            || Refused::File("there is no folder for settings; give one as [state] path in the config file".into());
        let file = self.origin.settings_file().ok_or_else(no_folder)?;
        let text = match std::fs::read(&file) {
            Ok(bytes) => {
                String::from_utf8(bytes).map_err(|_| refused(&file, "not UTF-8 text: save the file as UTF-8"))?
            }
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(refused(&file, &format!("cannot be read: {error}"))),
        };
        let text = change.applied_to(&text).map_err(Refused::Wrong)?;
        let new = self.origin.load_with(Some(&text)).map_err(Refused::Wrong)?;
        let by_set = |key: &String| {
            let last = new.given.iter().rfind(|given| given.key == *key);
            last.is_some_and(|given| given.place == "--set")
        };
        let (overridden, applied): (_, Vec<String>) = change.keys().cloned().partition(by_set);
        let order = ordered.filter(|_| !applied.iter().any(|key| key == ORDERED.0));
        let mut new = new;
        obey(order, &mut new);
        let (new, restart) = self.checked(new)?;
        let written = files::make_folder_of(&file).and_then(|()| files::replace(&file, text.as_bytes()));
        written.map_err(|error| refused(&file, &cannot_write(&file, &error)))?;
        *ordered = order;
        log::info!("settings: {} changed on the page", change.keys().cloned().collect::<Vec<_>>().join(", "));
        self.publish(new);
        Ok(Applied { applied, overridden, restart })
    }

    /// Turns recognition on or off until the next reload, or until an admin sets `recognition.enabled` on the page.
    ///
    /// # Errors
    /// Recognition would need more memory than is available.
    pub fn recognize(&self, enabled: bool) -> Result<(), Refused> {
        let mut ordered = lock(&self.changing);
        let Some((_, old)) = self.config.newest() else { return Ok(()) };
        let mut new = (*old).clone();
        obey(Some(enabled), &mut new);
        let (new, _) = self.checked(new)?;
        *ordered = Some(enabled);
        self.publish(new);
        Ok(())
    }

    /// The config with the former values of the keys that need a restart, and the changed keys among these.
    fn checked(&self, mut new: Config) -> Result<(Config, Vec<String>), Refused> {
        let kept = self.config.newest().map(|(_, old)| new.keep_what_needs_a_restart(&old)).unwrap_or_default();
        if new.recognition.enabled {
            let plan = memory::plan(&new, &self.machine).map_err(Refused::TooLarge)?;
            log::info!("memory: {plan}");
        }
        Ok((new, kept))
    }

    fn publish(&self, new: Config) {
        new.warnings.iter().for_each(|warning| log::warn!("{warning}"));
        if self.config.newest().is_none_or(|(_, old)| old.stream.encoder != new.stream.encoder) {
            log::info!("encoder: {}", new.stream.encoder.as_str());
        }
        logging::set_level(new.log.level);
        self.config.publish(Arc::new(new));
    }
}

/// Applies the order of MQTT, if any, which counts more than every other value.
fn obey(order: Option<bool>, config: &mut Config) {
    let Some(enabled) = order else { return };
    config.recognition.enabled = enabled;
    config.given.retain(|given| given.place != ORDERED.1);
    let (key, value, place) = (ORDERED.0, if enabled { "yes" } else { "no" }, ORDERED.1);
    config.given.push(Given { key: key.to_owned(), value: value.to_owned(), place: place.to_owned() });
}

impl Refused {
    /// The reasons, each with its place in the config.
    pub fn problems(self) -> Vec<Problem> {
        let one = |what: String| vec![Problem { place: String::new(), what }];
        match self {
            Refused::Wrong(problems) => problems.0,
            Refused::TooLarge(what) | Refused::File(what) => one(what),
        }
    }
}

fn refused(file: &Path, what: &str) -> Refused {
    Refused::File(format!("{}: {what}", file.display()))
}

fn cannot_write(file: &Path, error: &Error) -> String {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "the disk is full; delete something there first".to_owned()
        }
        ErrorKind::ReadOnlyFilesystem => {
            "the disk is read-only, or the unit of the service lacks ReadWritePaths= for it".to_owned()
        }
        ErrorKind::PermissionDenied => {
            let folder = file.parent().unwrap_or(Path::new("")).display();
            format!("namecam may not write there; {folder} must belong to its user")
        }
        _ => format!("cannot be written: {error}"),
    }
}

#[cfg(test)]
mod tests;
