//! The model files that the config needs, and their checksums. dlib aborts on a truncated file, so only files with the
//! right SHA-256 are given to it.

use crate::config::{Config, Detector, Landmarks};
use crate::os::files::hex;
use crate::recognition::identify::cohort::{self, Cohort, DLIBS_OWN};
use crate::recognition::identify::rates::{self, Rates};
use anyhow::{Context, bail, ensure};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A model with a known checksum. The models are those of dlib's author, <http://dlib.net/files/>.
struct KnownModel {
    file: &'static str,
    sha256: &'static str,
}

const LANDMARKS_5: KnownModel = KnownModel {
    file: "shape_predictor_5_face_landmarks.dat",
    sha256: "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
};
const LANDMARKS_68: KnownModel = KnownModel {
    file: "shape_predictor_68_face_landmarks.dat",
    sha256: "fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f",
};
const CNN: KnownModel = KnownModel {
    file: "mmod_human_face_detector.dat",
    sha256: "4cb19393e2fbaf2b1609a9319ad5386618c886a6234ec1b971f3e87c85d87fe6",
};
const RESNET: KnownModel = KnownModel { file: "dlib_face_recognition_resnet_model_v1.dat", sha256: DLIBS_OWN };
/// Model files that have been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFiles {
    /// The model of the CNN detector; `None` for HOG, which is built into dlib.
    pub detector: Option<PathBuf>,
    /// The model of the landmark predictor.
    pub landmarks: PathBuf,
    /// The model of the descriptor network.
    pub recognizer: PathBuf,
    /// The SHA-256 of the model of the descriptor network.
    pub sha256: String,
    /// The identity of the models; descriptors of different models must not be compared.
    pub tag: String,
}

/// Checks the files that the config needs.
///
/// # Errors
/// The first file that is missing or invalid, and what to do.
pub fn check(config: &Config) -> anyhow::Result<ModelFiles> {
    let folder = &config.models.path;
    let detector = match config.recognition.detector {
        Detector::Hog => None,
        Detector::Cnn => Some(checked(folder, CNN.file, CNN.sha256)?),
    };
    let shape = match config.recognition.landmarks {
        Landmarks::Five => LANDMARKS_5,
        Landmarks::SixtyEight => LANDMARKS_68,
    };
    let landmarks = checked(folder, shape.file, shape.sha256)?;
    let name = config.models.recognizer.as_str();
    let sum = if name == RESNET.file { RESNET.sha256.to_owned() } else { own_sum(folder, name)? };
    let recognizer = checked(folder, name, &sum)?;
    let tag = format!("{sum} {}", config.recognition.landmarks.as_str());
    Ok(ModelFiles { detector, landmarks, recognizer, sha256: sum, tag })
}

/// The measured rates of the recognizer: from `MODEL.rates` and `MODEL.cohort` beside it, else the built-in ones for
/// dlib's own model, else `None`.
///
/// # Errors
/// When one of those files cannot be used, or exists without the other one; names the file.
pub fn rates(files: &ModelFiles) -> anyhow::Result<Option<Arc<Rates>>> {
    let [rates, cohort] = ["rates", "cohort"].map(|ending| beside(&files.recognizer, ending));
    let Some(members) = self::cohort(files)? else {
        ensure!(
            !rates.exists(),
            "{} needs {} beside it; create it with make cohort DESCRIPTORS=FILE RECOGNIZER=FILE",
            rates.display(),
            cohort.display()
        );
        return Ok(None);
    };
    match rates::read(&rates, &files.sha256, members)? {
        Some(rates) => Ok(Some(Arc::new(rates))),
        None if cohort.exists() => bail!(
            "{} needs {} beside it; create it with make tables RECOGNIZER=FILE LFW=\"FOLDER ...\"",
            cohort.display(),
            rates.display()
        ),
        None => Ok(Some(Arc::default())),
    }
}

/// The cohort of the recognizer: from `MODEL.cohort` beside it, else the built-in one for dlib's own model, else
/// `None`.
///
/// # Errors
/// When that file cannot be used; names the file.
pub fn cohort(files: &ModelFiles) -> anyhow::Result<Option<Arc<Cohort>>> {
    let own = cohort::read(&beside(&files.recognizer, "cohort"), &files.sha256)?.map(Arc::new);
    Ok(own.or_else(|| (files.sha256 == RESNET.sha256).then(Cohort::built_in)))
}

/// `MODEL.ending` beside a model.
fn beside(model: &Path, ending: &str) -> PathBuf {
    let mut name = model.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

fn checked(folder: &Path, name: &str, expected: &str) -> anyhow::Result<PathBuf> {
    let path = folder.join(name);
    let found = sha256_of(&path).with_context(|| {
        format!(
            "cannot read the model {}; run make setup to download the models (for 68 landmarks: make models-68)",
            path.display()
        )
    })?;
    if found != expected {
        bail!(
            "the model {} is damaged or another file: its SHA-256 is {found} instead of {expected}; download it again",
            path.display()
        );
    }
    Ok(path)
}

/// Reads the checksum of another recognition model from the file beside it, written by `sha256sum MODEL >
/// MODEL.sha256`.
fn own_sum(folder: &Path, name: &str) -> anyhow::Result<String> {
    let path = beside(&folder.join(name), "sha256");
    let text = std::fs::read_to_string(&path).with_context(|| {
        format!(
            "the model {name} needs its SHA-256 in {}; create it with sha256sum MODEL > MODEL.sha256",
            path.display()
        )
    })?;
    let sum = text.split_whitespace().next().unwrap_or_default().to_lowercase();
    if sum.len() != 64 || !sum.bytes().all(|b| b.is_ascii_hexdigit()) {
        bail!("{} does not begin with a SHA-256; create it with sha256sum MODEL > MODEL.sha256", path.display());
    }
    Ok(sum)
}

fn sha256_of(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => hasher.update(&buffer[..n]),
        }
    }
    Ok(hex(&hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(folder: &Path) -> Config {
        let mut config = Config::defaults(folder);
        config.models.path = folder.to_owned();
        config
    }

    #[test]
    fn a_missing_and_a_wrong_model_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let error = format!("{:#}", check(&config(folder.path())).unwrap_err());
        assert!(error.contains(LANDMARKS_5.file) && error.contains("make setup"), "{error}");
        std::fs::write(folder.path().join(LANDMARKS_5.file), b"short").unwrap();
        let error = format!("{:#}", check(&config(folder.path())).unwrap_err());
        assert!(error.contains(LANDMARKS_5.file) && error.contains("damaged"), "{error}");
    }

    #[test]
    fn the_real_models_pass() {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        check(&config(&models)).expect("the models are here: make setup");
    }

    #[test]
    fn another_recognizer_needs_its_checksum_beside_it() {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(models.join(LANDMARKS_5.file), folder.path().join(LANDMARKS_5.file)).unwrap();
        std::fs::write(folder.path().join("mine.dat"), b"abc").unwrap();
        let mut config = config(folder.path());
        config.models.recognizer = "mine.dat".into();
        assert!(check(&config).unwrap_err().to_string().contains("mine.dat.sha256"));
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        std::fs::write(folder.path().join("mine.dat.sha256"), format!("{sum}  mine.dat\n")).unwrap();
        assert!(check(&config).unwrap().tag.starts_with(sum));
    }
    #[test]
    fn rates_are_read_beside_a_model_and_dlibs_own_are_built_in_under_any_name() {
        let folder = tempfile::tempdir().unwrap();
        let files = |sha256: &str| ModelFiles {
            detector: None,
            landmarks: PathBuf::new(),
            recognizer: folder.path().join("mine.dat"),
            sha256: sha256.to_owned(),
            tag: String::new(),
        };
        let other = "0".repeat(64);
        assert_eq!(rates(&files(&other)).unwrap(), None);
        assert_eq!(rates(&files(RESNET.sha256)).unwrap().unwrap(), Arc::default());
        let text = rates::text(&Rates { within_variance: 0.08, ..Rates::default() }, &other, "a test");
        std::fs::write(folder.path().join("mine.dat.rates"), text).unwrap();
        let error = rates(&files(&other)).unwrap_err().to_string();
        assert!(error.contains("mine.dat.rates needs") && error.contains("make cohort"), "{error}");
        let cohort = cohort::bytes(&Cohort::built_in(), &other).unwrap();
        std::fs::write(folder.path().join("mine.dat.cohort"), &cohort).unwrap();
        assert_eq!(rates(&files(&other)).unwrap().unwrap().within_variance, 0.08);
        std::fs::rename(folder.path().join("mine.dat.rates"), folder.path().join("away")).unwrap();
        let error = rates(&files(&other)).unwrap_err().to_string();
        assert!(error.contains("mine.dat.cohort needs") && error.contains("make tables"), "{error}");
        std::fs::remove_file(folder.path().join("mine.dat.cohort")).unwrap();
        std::fs::rename(folder.path().join("away"), folder.path().join("mine.dat.rates")).unwrap();
        let error = rates(&files(RESNET.sha256)).unwrap_err().to_string();
        assert!(error.contains("mine.dat.rates:5: this is of the model"), "{error}");
    }
}
