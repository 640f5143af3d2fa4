//! Tests another recognition model: it has its own checksum and rates, and its descriptors are not mixed with those of
//! dlib's model.

use crate::support::{Home, picture, repo};
use namecam::os::files::hex;
use namecam::recognition::identify::cohort::{self, Cohort};
use namecam::recognition::identify::rates::{self, Rates};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::os::unix::fs::symlink;

const LANDMARKS: &str = "shape_predictor_5_face_landmarks.dat";
const RESNET: &str = "dlib_face_recognition_resnet_model_v1.dat";

/// A home with dlib's models and `mine.dat`, a copy of the recognition model that differs in one weight.
fn with_another_model() -> (Home, String) {
    let home = Home::new("");
    std::fs::create_dir(home.path("models")).unwrap();
    for name in [LANDMARKS, RESNET] {
        symlink(repo().join("models").join(name), home.path("models").join(name))
            .expect("models are there: make setup");
    }
    let mut bytes = std::fs::read(repo().join("models").join(RESNET)).expect("models are there: make setup");
    let at = a_weight(&bytes);
    bytes[at] ^= 1;
    home.put("models/mine.dat", &bytes);
    let sum = hex(&Sha256::digest(&bytes));
    home.put("models/mine.dat.sha256", format!("{sum}  mine.dat\n").as_bytes());
    home.enrol("Barack Obama", "obama.jpg");
    home.enrol("Joe Biden", "biden.jpg");
    (home, sum)
}

/// The position of a weight in the middle of dlib's file: the first of twenty little-endian floats of a small
/// magnitude.
fn a_weight(bytes: &[u8]) -> usize {
    let is_weight = |four: &[u8]| (0x30..0x40).contains(&(four[3] & 0x7f));
    let middle = bytes.len() / 2;
    let many = bytes[middle..].windows(80).position(|weights| weights.chunks(4).all(is_weight));
    middle + many.expect("twenty weights in a row")
}

fn run(home: &Home, recognizer: &str, words: &[&str]) -> (Option<i32>, String, String) {
    let mut command = home.command();
    let set =
        [("models.path", home.path("models").display().to_string()), ("models.recognizer", recognizer.to_owned())];
    command.args(words);
    for (key, value) in set {
        command.args(["--set", &format!("{key}={value}")]);
    }
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn check(home: &Home, recognizer: &str) -> Value {
    let (_, stdout, stderr) = run(home, recognizer, &["check", "--json"]);
    serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"))
}

/// The first face on another picture of Obama.
fn obama(home: &Home, recognizer: &str) -> (Value, String) {
    let (_, stdout, stderr) = run(home, recognizer, &["identify", "--json", picture("obama2.jpg").to_str().unwrap()]);
    let line: Value = serde_json::from_str(stdout.trim()).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"));
    (line["faces"][0].clone(), stderr)
}

#[test]
fn another_model_uses_the_budget_if_it_has_rates_and_otherwise_the_threshold() {
    let (home, sum) = with_another_model();
    let checked = check(&home, "mine.dat");
    let warnings = checked["gallery"]["warnings"].to_string();
    assert!(warnings.contains("make tables RECOGNIZER=FILE"), "{warnings}");
    let threshold = &checked["threshold"];
    assert_eq!((&threshold["rates"], &threshold["false_name_budget"]), (&Value::Null, &0.0.into()), "{threshold}");
    assert_eq!(
        (obama(&home, "mine.dat").0["threshold"].as_f64(), &threshold["strangers_named"]),
        (Some(0.6), &Value::Null)
    );

    home.put("models/mine.dat.rates", rates::text(&Rates::default(), &sum, "a test").as_bytes());
    home.put("models/mine.dat.cohort", &cohort::bytes(&Cohort::built_in(), &sum).unwrap());
    let checked = check(&home, "mine.dat");
    let threshold = &checked["threshold"];
    assert_eq!(threshold["rates"], "mine.dat.rates", "{checked}");
    assert!(threshold["false_name_budget"].as_f64().is_some_and(|budget| budget > 0.0), "{threshold}");
    assert!(threshold["strangers_named"].as_f64().is_some_and(|share| share <= 0.005), "{threshold}");
    let (face, _) = obama(&home, "mine.dat");
    assert!(face["name"] == "Barack Obama" && face["threshold"].as_f64().unwrap() < 0.6, "{face}");
    assert!(face["score"].as_f64() < face["score_limit"].as_f64(), "{face}");
    let (_, text, _) = run(&home, "mine.dat", &["check"]);
    assert!(
        text.split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .contains("a visit of several looks more (from mine.dat.rates)"),
        "{text}"
    );
}

#[test]
fn rates_of_another_model_and_damaged_ones_are_refused_like_a_wrong_model() {
    let (home, sum) = with_another_model();
    let whole = rates::text(&Rates::default(), &sum, "a test");
    let members = cohort::bytes(&Cohort::built_in(), &sum).unwrap();
    home.put("models/mine.dat.cohort", &members);
    let of_dlib = rates::text(&Rates::default(), &"0".repeat(64), "a test");
    let cut = whole[..whole.len() / 2].to_owned();
    for (text, said) in [(of_dlib, "mine.dat.rates:5: this is of the model"), (cut, "mine.dat.rates:")] {
        home.put("models/mine.dat.rates", text.as_bytes());
        let (status, stdout, _) = run(&home, "mine.dat", &["check"]);
        // Long words are on lines of their own.
        let words = stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(status == Some(2) && words.contains(said) && words.contains("make tables"), "{status:?} {stdout}");
    }
    home.put("models/mine.dat.rates", whole.as_bytes());
    let of_dlib = cohort::bytes(&Cohort::built_in(), &"0".repeat(64)).unwrap();
    for (bytes, said) in [(&of_dlib[..], "it is of the model"), (&members[..members.len() / 2], "bytes must follow")] {
        home.put("models/mine.dat.cohort", bytes);
        let (status, stdout, _) = run(&home, "mine.dat", &["check"]);
        let words = stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(status == Some(2) && words.contains("mine.dat.cohort"), "{status:?} {stdout}");
        assert!(words.contains(said) && words.contains("make cohort"), "{stdout}");
    }
    assert_eq!(obama(&home, RESNET).0["name"], "Barack Obama", "dlib's own model is not affected");
}

#[test]
fn descriptors_of_different_models_are_not_compared() {
    let (home, _) = with_another_model();
    obama(&home, RESNET);
    let (of_dlib, log) = obama(&home, RESNET);
    assert!(!log.contains("is rebuilt"), "{log}");
    let (of_mine, log) = obama(&home, "mine.dat");
    assert!(log.contains("of another version or model") && of_mine["name"] == "Barack Obama", "{log}");
    let (again, log) = obama(&home, RESNET);
    assert!(log.contains("of another version or model"), "{log}");
    assert_eq!(again["distance"], of_dlib["distance"]);
}
