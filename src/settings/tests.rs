use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Settings with a new config file and state folder, and with `--set` options.
fn settings(config: &str, sets: &[&str]) -> (tempfile::TempDir, Settings) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("namecam.ini");
    fs::write(&file, config).unwrap();
    let sets = sets.iter().map(|set| (*set).to_owned()).collect();
    let origin = Origin { file: Some(file), sets, state_folder: Some(folder.path().join("state")) };
    let config = Arc::new(Latest::with(origin.load().unwrap()));
    (folder, Settings::new(origin, config))
}

fn change(set: &[(&str, &str)], unset: &[&str]) -> Change {
    serde_json::from_value(
        serde_json::json!({ "set": set.iter().copied().collect::<std::collections::BTreeMap<_, _>>(), "unset": unset }),
    )
    .unwrap()
}

fn told(refused: Refused) -> String {
    refused.problems().into_iter().map(|problem| format!("{}: {}\n", problem.place, problem.what)).collect()
}

#[test]
fn a_change_is_written_applied_and_reverted_and_reports_overridden_keys() {
    let sets = ["camera.fps=5"];
    let (folder, settings) = settings("[stream]\nquality = 60\n", &sets);
    let file = folder.path().join("state/settings.ini");
    let now = || settings.config.newest().unwrap();
    let set = change(&[("stream.quality", "70"), ("camera.fps", "9"), ("recognition.enabled", "no")], &[]);
    let applied = settings.change(&set).unwrap();
    assert_eq!(applied.applied, ["recognition.enabled", "stream.quality"]);
    assert_eq!((applied.overridden, applied.restart), (vec!["camera.fps".to_owned()], vec![]));
    let (version, config) = now();
    assert_eq!((version, config.stream.quality, config.camera.fps, config.recognition.enabled), (2, 70, 5, false));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // A change on the page also applies later edits of the config file, and names the keys that need a restart.
    fs::write(folder.path().join("namecam.ini"), "[http]\nbind = 127.0.0.1:1\n[stream]\nquality = 61\n").unwrap();
    let applied = settings.change(&change(&[], &["stream.quality"])).unwrap();
    assert_eq!((applied.applied, applied.restart), (vec!["stream.quality".to_owned()], vec!["http.bind".to_owned()]));
    let config = now().1;
    assert_eq!((config.stream.quality, config.http.bind.as_str()), (61, "127.0.0.1:5000"));
    let kept = fs::read_to_string(&file).unwrap();
    assert!(kept.contains("\nenabled = no\n") && !kept.contains("quality"), "{kept}");
    settings.reload().unwrap();
    assert!(!now().1.recognition.enabled, "a restart reads the same file");
}

#[test]
fn a_refused_change_alters_neither_the_file_nor_the_config() {
    let (folder, mut settings) = settings("", &[]);
    settings.machine.ram = 400_000_000;
    let (state, good) = (folder.path().join("state"), change(&[("overlay.unknown", "blur")], &[]));
    settings.change(&good).unwrap();
    let file = state.join("settings.ini");
    let refused = |change: &Change, reason: &str| {
        let (before, (version, _)) = (fs::read(&file).ok(), settings.config.newest().unwrap());
        let told = told(settings.change(change).unwrap_err());
        assert!(told.contains(reason), "{reason}: {told}");
        assert_eq!((fs::read(&file).ok(), settings.config.newest().unwrap().0), (before, version), "{reason}");
    };
    refused(&change(&[("overlay.unknown", "blurr")], &[]), "overlay.unknown: [overlay] unknown = blurr: must be show");
    // The whole config is checked, and the memory that it needs.
    fs::write(folder.path().join("namecam.ini"), "[camera]\nfps = 0\n").unwrap();
    refused(&good, "namecam.ini:2: [camera] fps = 0: must be");
    fs::write(folder.path().join("namecam.ini"), "").unwrap();
    refused(&change(&[("recognition.detector", "cnn"), ("recognition.upsample", "2")], &[]), "but only");
    fs::write(&file, b"; \xff\n").unwrap();
    refused(&good, "not UTF-8");
    fs::write(&file, "[overlay]\nunknown = blurr\n").unwrap();
    refused(&change(&[("stream.quality", "70")], &[]), "settings.ini:2: [overlay] unknown = blurr");
    settings.change(&good).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "[overlay]\nunknown = blur\n", "a change repairs its own key");
    fs::remove_dir_all(&state).unwrap();
    // Errors that also root gets: the folder is a file, and the disk is full.
    fs::write(&state, "").unwrap();
    refused(&good, "state/settings.ini: ");
    fs::remove_file(&state).unwrap();
    for (kind, words) in [
        (ErrorKind::StorageFull, "the disk is full"),
        (ErrorKind::ReadOnlyFilesystem, "the disk is read-only"),
        (ErrorKind::PermissionDenied, "/srv must belong to its user"),
    ] {
        assert!(cannot_write(Path::new("/srv/settings.ini"), &kind.into()).contains(words), "{words}");
    }
    let nowhere = Settings::new(Origin::default(), Arc::clone(&settings.config));
    assert!(told(nowhere.change(&good).unwrap_err()).contains("[state] path"));
}

#[test]
fn no_change_is_lost_when_several_come_at_once() {
    let (_folder, settings) = settings("", &[]);
    std::thread::scope(|scope| {
        for n in 0..4 {
            let settings = &settings;
            scope.spawn(move || {
                let key = ["stream.quality", "stream.width", "stream.max_fps", "camera.fps"][n];
                for value in 1..=20 {
                    settings.change(&change(&[(key, &format!("{value}"))], &[])).unwrap();
                }
            });
        }
    });
    let (version, config) = settings.config.newest().unwrap();
    let stream = &config.stream;
    assert_eq!((version, stream.quality, stream.width, stream.max_fps, config.camera.fps), (81, 20, 20, 20, 20));
    assert_eq!(settings.origin.load().unwrap(), *config, "the file says the same");
}

#[test]
fn an_order_of_mqtt_is_told_and_lasts_until_a_reload_or_a_change_of_its_key_that_was_written() {
    let (folder, settings) = settings("", &[]);
    let (state, key) = (folder.path().join("state"), "recognition.enabled");
    let told = || {
        let value = settings.config.newest().unwrap().1.in_use().into_iter().find(|value| value.key == key).unwrap();
        (value.value, value.source)
    };
    let (mqtt, page) =
        (("no".to_owned(), "MQTT".to_owned()), ("yes".to_owned(), format!("{}/settings.ini:4", state.display())));
    [false, true, false].into_iter().for_each(|enabled| settings.recognize(enabled).unwrap());
    assert_eq!(told(), mqtt);
    assert_eq!(settings.config.newest().unwrap().1.given.len(), 1, "former orders are not kept");
    let other = change(&[("stream.quality", "70")], &[]);
    settings.change(&other).unwrap();
    assert_eq!(told(), mqtt);
    let on = change(&[(key, "yes")], &[]);
    // Nothing can be written while the folder is a link to nowhere, and there is nothing to read.
    fs::remove_dir_all(&state).unwrap();
    std::os::unix::fs::symlink(folder.path().join("nowhere"), &state).unwrap();
    let refused = settings.change(&on).unwrap_err().problems();
    assert!(refused[0].what.contains("cannot be written"), "{refused:?}");
    fs::remove_file(&state).unwrap();
    settings.change(&other).unwrap();
    assert_eq!(told(), mqtt, "the refused change has not ended the order");
    fs::remove_dir_all(&state).unwrap();
    settings.change(&on).unwrap();
    assert_eq!(told(), page);
    settings.recognize(false).unwrap();
    assert_eq!(told(), mqtt);
    let kept = || settings.config.newest().unwrap().1.in_use().into_iter().find(|value| value.key == key).unwrap().kept;
    assert_eq!(kept().as_deref(), Some("yes"), "the file still has it");
    settings.reload().unwrap();
    assert_eq!(told(), page);
}
