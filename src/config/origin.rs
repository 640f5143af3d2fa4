//! The origin of the config's values: the defaults, the config file, the settings file, `--set`. Later origins override
//! earlier ones.

use super::{Config, OF_PACKAGE, Problem, Problems, text};
use crate::os::files;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The name of the settings file in the state folder, whose values override the values of the config file.
const SETTINGS: &str = "settings.ini";

/// The files and options from which the config is read. A reload reads the same file and `--set` options again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// `--config FILE`.
    pub file: Option<PathBuf>,
    /// `--set section.key=value`, in order. They also apply after a reload.
    pub sets: Vec<String>,
    /// The state folder of a running namecam, which stays the same until a restart.
    pub state_folder: Option<PathBuf>,
}

impl Origin {
    /// Reads the config.
    ///
    /// # Errors
    /// Every problem, each with file, line, key and the allowed values.
    pub fn load(&self) -> Result<Config, Problems> {
        self.load_with(None)
    }

    /// The settings file; `None` without a state folder.
    pub fn settings_file(&self) -> Option<PathBuf> {
        self.state_folder.as_deref().map(|folder| folder.join(SETTINGS))
    }

    /// Reads the config, with `changed` in place of the text of the settings file.
    ///
    /// # Errors
    /// As [`Origin::load`].
    pub fn load_with(&self, changed: Option<&str>) -> Result<Config, Problems> {
        let mut problems = Problems::default();
        let file = self.file.clone().or_else(|| {
            let usual = ["namecam.ini", OF_PACKAGE.0];
            usual.iter().map(PathBuf::from).find(|path| path.exists())
        });
        let mut given = Vec::new();
        if let Some(file) = &file {
            match std::fs::read(file) {
                Ok(bytes) => given = text::read(file, &bytes, &mut problems),
                Err(error) => problems.add(&file.display().to_string(), format!("cannot be read: {error}")),
            }
        }
        let sets: Vec<text::Setting> = self.sets.iter().filter_map(|set| text::read_set(set, &mut problems)).collect();
        let path = given.iter().chain(&sets).rfind(|setting| setting.key.path() == "state.path");
        let path = path.filter(|setting| !setting.value.is_empty()).map(|setting| setting.base.join(&setting.value));
        let state_folder = self.state_folder.clone().or(path).or_else(|| usual_state_folder(file.as_deref()));
        given
            .extend(state_folder.as_deref().map(|folder| settings(folder, changed, &mut problems)).unwrap_or_default());
        given.extend(sets);
        let folder = file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        let base = std::path::absolute(if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
        let mut config = Config::defaults(&base.unwrap_or_default());
        (config.file, config.state_folder) = (file, state_folder);
        config.apply(&given, &mut problems);
        problems.0.sort_by_key(Problem::order);
        if problems.0.is_empty() { Ok(config) } else { Err(problems) }
    }
}

/// True for a place in the settings file of this state folder, as [`super::Given`] has it.
pub(super) fn is_settings(state_folder: &Path, place: &str) -> bool {
    let file = state_folder.join(SETTINGS).display().to_string();
    place.strip_prefix(&file).is_some_and(|line| line.starts_with(':'))
}

/// The state folder of a config that names none. A command in a shell has no STATE_DIRECTORY. With the config of a
/// service it uses the state folder of that service.
fn usual_state_folder(file: Option<&Path>) -> Option<PathBuf> {
    files::state_folder_of_unit().or_else(|| of_service(file?)).or_else(files::state_folder_of_user)
}

/// The state folder of the service with this config: namecam.service, or `namecam@NAME.service` with
/// /etc/namecam/NAME.ini.
pub fn of_service(file: &Path) -> Option<PathBuf> {
    let state = OF_PACKAGE.1;
    if whole(file) == Path::new(OF_PACKAGE.0) {
        Some(state.into())
    } else {
        Some(format!("{state}-{}", instance(file)?).into())
    }
}

/// The path of a file from the root: in /etc/namecam, namecam.ini is the config of the service too.
fn whole(file: &Path) -> PathBuf {
    std::path::absolute(file).unwrap_or_else(|_| file.to_owned())
}

/// The NAME of `namecam@NAME.service`, which runs with this config, /etc/namecam/NAME.ini; `None` for another config and
/// for that of namecam.service.
pub fn instance(file: &Path) -> Option<String> {
    let (of_package, file) = (Path::new(OF_PACKAGE.0), whole(file));
    let is_beside = file.parent() == of_package.parent() && file.extension() == of_package.extension();
    file.file_stem().filter(|_| is_beside && file != of_package)?.to_str().map(str::to_owned)
}

/// The values in the settings file. A settings file that cannot be used is a problem like one in the config file,
/// because the file may hold values that protect people, such as `overlay.unknown = blur`.
fn settings(folder: &Path, changed: Option<&str>, problems: &mut Problems) -> Vec<text::Setting> {
    let file = folder.join(SETTINGS);
    let bytes = match changed.map_or_else(|| std::fs::read(&file), |text| Ok(text.into())) {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Vec::new(),
        Err(error) => {
            let remedy = if error.kind() == ErrorKind::PermissionDenied { "; run this with sudo" } else { "" };
            problems.add(&file.display().to_string(), format!("cannot be read: {error}{remedy}"));
            return Vec::new();
        }
    };
    let given = text::read(&file, &bytes, problems);
    for setting in given.iter().filter(|setting| !setting.key.in_settings) {
        let (section, name) = (setting.key.section, setting.key.name);
        let what = format!("[{section}] {name}: may only be in the config file; move it there");
        problems.add(&setting.place, what);
    }
    given
}
