//! Tests the counts of `accuracy crossing` on scenes that are small enough to count by hand.
#![allow(clippy::unwrap_used)] // a test may panic

#[path = "../benches/accuracy/crossing/score.rs"]
#[allow(dead_code)] // the tables have more fields than these tests use
mod score;

use namecam::image::Rect;
use score::{Present, Role, Scene, Score, Shown};

const LEFT: Rect = Rect { x: 50, y: 50, w: 100, h: 100 };
const RIGHT: Rect = Rect { x: 350, y: 50, w: 100, h: 100 };

fn at(role: usize, face: Rect) -> Present {
    Present { role, visit: 1, face, visible: 1.0 }
}

fn on(track: u64, name: &str, rect: Rect) -> Shown {
    Shown { track, name: (!name.is_empty()).then(|| name.to_owned()), labelled: true, rect }
}

/// Scores a scene. Alice and Bob are in the gallery, and Carol is not. Recognition runs on each of the ten frames per
/// second.
fn count(truth: &[Vec<Present>], shown: &[Vec<Shown>]) -> Score {
    let roles = [("Alice", true), ("Bob", true), ("Carol", false)];
    let roles = roles.map(|(name, known)| Role { name: name.to_owned(), known });
    let looks: Vec<(usize, Vec<Shown>)> = shown.iter().cloned().enumerate().collect();
    let mut score = Score::default();
    score.add(&Scene { roles: &roles, truth, shown, looks: &looks, fps: 10.0 });
    score
}

#[test]
fn tracks_that_stay_in_place_when_people_cross_count_as_switches_and_wrong_names() {
    let truth = [vec![at(0, LEFT), at(1, RIGHT)], vec![at(0, RIGHT), at(1, LEFT)]];
    let boxes = vec![on(1, "Alice", LEFT), on(2, "Bob", RIGHT)];
    let score = count(&truth, &[boxes.clone(), boxes]);
    assert_eq!((score.tracks, score.switches, score.wrong, score.doubled), (2, 2, (1, 1), (0, 0)));
    assert_eq!((score.names, score.known_visits()), (4, 2), "each visit had both names");
    let followed = [vec![on(1, "Alice", LEFT), on(2, "Bob", RIGHT)], vec![on(1, "Alice", RIGHT), on(2, "Bob", LEFT)]];
    let score = count(&truth, &followed);
    assert_eq!((score.tracks, score.switches, score.wrong, score.names), (2, 0, (0, 0), 2));
}

#[test]
fn a_box_belongs_to_the_visible_face_and_not_to_the_hidden_one() {
    let hidden = Present { visible: 0.2, ..at(0, LEFT) };
    let before = at(1, Rect { x: 70, ..LEFT });
    let score = count(&[vec![hidden, before]], &[vec![on(1, "Alice", LEFT)]]);
    assert_eq!(score.wrong, (1, 1));
    let nobody_there = count(&[vec![at(0, RIGHT)]], &[vec![on(1, "Alice", LEFT)]]);
    assert_eq!((nobody_there.wrong, nobody_there.tracks), ((0, 0), 0));
}

#[test]
fn changes_of_a_label_count_from_the_first_name() {
    let labels = ["", "Alice", "", "Alice", "Alice", "Bob"];
    let truth = vec![vec![at(0, LEFT)]; labels.len()];
    let mut shown: Vec<Vec<Shown>> = labels.iter().map(|name| vec![on(1, name, LEFT)]).collect();
    let score = count(&truth, &shown);
    assert_eq!((score.named_tracks, score.changes, score.restless), (1, 3, 1));
    shown[2][0].labelled = false;
    let score = count(&truth, &shown);
    assert_eq!((score.named_tracks, score.changes, score.restless), (1, 1, 0));
    assert_eq!(count(&truth[..1], &[vec![on(1, "Bob", LEFT), on(2, "Bob", RIGHT)]]).doubled, (1, 1));
}

#[test]
fn the_wait_for_a_name_begins_when_a_face_is_complete_and_large_enough() {
    let cut = Present { visible: 0.6, ..at(0, LEFT) };
    let small = Present { face: Rect { w: 50, h: 50, ..RIGHT }, ..at(1, RIGHT) };
    let truth: Vec<Vec<Present>> = (0..6)
        .map(|frame| vec![if frame < 2 { cut } else { at(0, LEFT) }, if frame < 3 { small } else { at(1, RIGHT) }])
        .collect();
    let shown: Vec<Vec<Shown>> = (0..6).map(|frame| vec![on(1, if frame == 4 { "Alice" } else { "" }, LEFT)]).collect();
    let score = count(&truth, &shown);
    assert_eq!((score.wait(0.5), score.never, score.wait(0.95)), (Some(0.2), 1, None));
    assert_eq!(score.kept, (1, 0), "the name disappeared again");
}

#[test]
fn a_stranger_with_a_name_is_counted_once_per_visit() {
    let again = Present { visit: 2, ..at(2, LEFT) };
    let truth = [vec![at(2, LEFT)], vec![at(2, LEFT)], vec![], vec![again]];
    let shown = [vec![on(1, "Bob", LEFT)], vec![on(1, "Bob", LEFT)], vec![], vec![on(2, "", LEFT)]];
    assert_eq!(count(&truth, &shown).strangers, (1, 2));
}
