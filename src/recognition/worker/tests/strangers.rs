//! Tests of strangers: people without a name are remembered, count as members of the cohort, and are forgotten.

use super::*;
use crate::recognition::identify::strangers::Unnamed;
use crate::recognition::identify::strangers::tests::dense;

/// Detects every picture as a face, with the descriptor of the person whose number is the red of the first pixel.
struct Numbered;

impl Engine for Numbered {
    fn detect(&mut self, picture: &Rgb, _: f64) -> Vec<Rect> {
        vec![Rect { x: 0, y: 0, w: picture.width, h: picture.height }]
    }

    fn describe(&mut self, rgb: &Rgb, faces: &[Rect], _: u32) -> Vec<Descriptor> {
        let people = dense();
        faces.iter().map(|_| people[usize::from(rgb.data[0])]).collect()
    }
}

fn numbered(config: &Config) -> anyhow::Result<Opened> {
    let landmarks = config.recognition.landmarks.as_str().to_owned();
    Ok(Opened { engine: Box::new(Numbered), tag: landmarks, rates: Some(Arc::default()) })
}

/// A gallery of the first five people, after the others have passed six times.
fn after_passers_by<'a>(stage: &'a Stage, root: &Path, now: Instant) -> Worker<'a> {
    for person in 0..5 {
        put(root, &format!("{person}/1.png"), person);
    }
    let mut worker = Worker::new(stage, numbered);
    reload(&mut worker, |config| config.recognition.remember_strangers_h = 24);
    take_all_in(&mut worker);
    for pass in 0..6 {
        pass_by(&mut worker, &dense()[5..], now);
        worker.keep_strangers(now + NORMALISE_EVERY * (pass + 1));
    }
    worker
}

fn pass_by(worker: &mut Worker, people: &[Descriptor], now: Instant) {
    let (_, matcher) = worker.library.as_ref().unwrap();
    people.iter().for_each(|person| worker.strangers.remember(matcher, &Unnamed::of_looks(*person, &[], now)));
}

fn remembered(worker: &Worker) -> (usize, usize, usize) {
    let counting = worker.library.as_ref().unwrap().1.strangers();
    (worker.strangers.count(), worker.stage.health.strangers_remembered.load(Relaxed), counting)
}

fn warnings(stage: &Stage) -> (Option<bool>, usize) {
    let roster = stage.roster.newest().unwrap().1;
    let doubts = roster.warnings.iter().filter(|warning| warning.contains("nearer to each other than in the groups"));
    (roster.threshold.as_ref().unwrap().denser_than_cohort, doubts.count())
}

#[test]
fn a_reload_forgets_no_stranger_and_another_engine_forgets_all() {
    let root = tempfile::tempdir().unwrap();
    let stage = stage(root.path());
    let mut worker = after_passers_by(&stage, root.path(), Instant::now());
    let count = worker.strangers.count();
    assert!(count > 40, "{count}");
    assert_eq!(remembered(&worker), (count, count, count));
    reload(&mut worker, |_| ());
    take_all_in(&mut worker);
    assert_eq!(remembered(&worker), (count, count, count));
    reload(&mut worker, |config| config.recognition.landmarks = Landmarks::SixtyEight);
    assert_eq!(worker.strangers.count(), count);
    take_all_in(&mut worker);
    worker.keep_strangers(Instant::now());
    assert_eq!(remembered(&worker), (0, 0, 0));
}

#[test]
fn with_the_key_at_0_or_recognition_off_all_are_forgotten_at_once() {
    for set in [
        |config: &mut Config| config.recognition.remember_strangers_h = 0,
        |config: &mut Config| {
            config.recognition.enabled = false;
        },
    ] {
        let root = tempfile::tempdir().unwrap();
        let stage = stage(root.path());
        let now = Instant::now();
        let mut worker = after_passers_by(&stage, root.path(), now);
        assert!(worker.next_normalise > now + Duration::from_secs(1));
        reload(&mut worker, set);
        worker.keep_strangers(now + Duration::from_secs(1));
        assert_eq!(remembered(&worker), (0, 0, 0));
    }
}

#[test]
fn a_dense_gallery_is_no_longer_denser_than_the_cohort_with_remembered_strangers() {
    let root = tempfile::tempdir().unwrap();
    let stage = stage(root.path());
    let now = Instant::now();
    let mut worker = after_passers_by(&stage, root.path(), now);
    assert_eq!(warnings(&stage), (Some(false), 0));
    // Hours later the strangers are forgotten, and the warning appears once.
    let later = now + Duration::from_secs(25 * 3600);
    worker.keep_strangers(later);
    assert_eq!(remembered(&worker), (0, 0, 0));
    assert_eq!(warnings(&stage), (Some(true), 1));
}

#[test]
fn scores_are_normalised_again_every_30_s_and_only_a_changed_roster_is_published() {
    let root = tempfile::tempdir().unwrap();
    let stage = stage(root.path());
    let now = Instant::now();
    let mut worker = after_passers_by(&stage, root.path(), now);
    let next = worker.next_normalise;
    let version = stage.roster.newest().unwrap().0;
    let (count, _, counting) = remembered(&worker);
    let somebody =
        crate::recognition::identify::cohort::Cohort::built_in().members(crate::config::Metric::Euclidean)[900];
    pass_by(&mut worker, &[somebody], now);
    worker.keep_strangers(next - Duration::from_secs(1));
    assert_eq!(remembered(&worker), (count + 1, count + 1, counting));
    worker.keep_strangers(next);
    assert_eq!(remembered(&worker).2, counting + 1);
    assert_eq!(stage.roster.newest().unwrap().0, version, "somebody of a group that is elsewhere changes no rate");
}
