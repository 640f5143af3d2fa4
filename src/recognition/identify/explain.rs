//! The reason why a face has a name or none, as text for users and as [`Because`].

use crate::detection::{Because, Near, Reason};
use crate::recognition::identify::matcher::{Compared, Match};
use crate::recognition::identify::rule::Decision;
use crate::rounding::rounded;
use std::sync::Arc;

/// The reason for the result of a comparison with the gallery after `looks` looks.
pub fn of_match(found: Option<&Match>, looks: u32) -> Reason {
    let Some(found) = found else {
        let text = "Nobody is in the gallery to compare with.".to_owned();
        return Reason { because: Because::EmptyGallery, text, ..Reason::default() };
    };
    let (name, limit, second) = (&found.best.what, found.limit, found.runner_up.as_ref());
    let looks = words(looks);
    let [distance, needed] = apart(found.best.distance, limit);
    let second_words = second.map(|Near { what, distance }| format!("{what} {}", in_words(*distance, 2)));
    let next = second_words.as_ref().map_or_else(String::new, |second| format!(", {second}"));
    let (because, text) = match found.decision {
        Decision::Named => {
            let next = second_words.map_or_else(String::new, |second| format!(" Next: {second}."));
            (Because::Named, format!("{name} {distance}; {needed} or less was needed ({looks}).{next}"))
        }
        Decision::TooFar => {
            let because = if found.is_near { Because::Near } else { Because::Far };
            // People are ranked by score, so the second person may be at a shorter distance.
            let is_closest = second.is_none_or(|second| second.distance >= found.best.distance);
            let closest = if is_closest { "Closest" } else { "Most alike by score" };
            (because, format!("No match. {closest}: {name} {distance}{next}; {needed} or less was needed ({looks})."))
        }
        Decision::Between => {
            (Because::Between, format!("No name: too little between {name} {distance}{next} ({looks})."))
        }
        Decision::Barred => {
            (Because::Barred, format!("No name: most alike is a picture in .not, {distance} ({looks})."))
        }
    };
    let person = (found.decision != Decision::Barred).then(|| Arc::clone(name));
    Reason { because, person, distance: Some(found.best.distance), limit: Some(limit), text }
}

/// The reason before a decision, after `looks` looks.
pub fn deciding(so_far: &Reason, looks: u32) -> Reason {
    let text = format!("Not decided yet ({} so far).", words(looks));
    Reason { because: Because::Deciding, text, ..so_far.clone() }
}

/// The reason for a name that is kept although the looks alone would not give it.
pub fn kept(name: &Arc<str>, own: Compared) -> Reason {
    let [distance, limit] = apart(own.distance, own.limit);
    let text = format!("{name} by earlier looks; {distance} now, and a name is kept up to {limit}.");
    of_person(Because::Kept, name, own, text)
}

/// The reason for a name that is withdrawn when the next comparison speaks against it too.
pub fn doubted(name: &Arc<str>, own: Compared) -> Reason {
    let [distance, limit] = apart(own.distance, own.limit);
    let text = if own.distance > own.limit {
        format!("{name} by earlier looks; {distance} now, more than {limit}: the next look decides.")
    } else {
        format!("{name} by earlier looks; somebody else is more alike now: the next look decides.")
    };
    of_person(Because::Doubted, name, own, text)
}

pub fn withdrawn(name: &Arc<str>, own: Option<Compared>) -> Reason {
    let Some(own) = own else {
        let text = format!("{name} is no longer in the gallery.");
        return Reason { because: Because::LeftGallery, person: Some(Arc::clone(name)), text, ..Reason::default() };
    };
    let [distance, limit] = apart(own.distance, own.limit);
    let text = if own.distance > own.limit {
        format!("No longer {name}: the last looks are at {distance}, more than {limit}.")
    } else {
        format!("No longer {name}: the last looks are more like somebody else.")
    };
    of_person(Because::Withdrawn, name, own, text)
}

/// The reason for a face whose name another track has. `so_far` is the reason by the looks alone.
pub fn borne_by_another(so_far: &Reason, name: &Arc<str>, track: u64) -> Reason {
    let text = format!("Looks like {name}, but track {track} looks more like {name}.");
    Reason { because: Because::BorneByAnother, person: Some(Arc::clone(name)), text, ..so_far.clone() }
}

fn of_person(because: Because, name: &Arc<str>, own: Compared, text: String) -> Reason {
    Reason { because, person: Some(Arc::clone(name)), distance: Some(own.distance), limit: Some(own.limit), text }
}

fn words(looks: u32) -> String {
    if looks == 1 { "1 look".to_owned() } else { format!("{looks} looks") }
}

/// Two distances with two decimals, or with three when they would be equal otherwise.
fn apart(distance: f32, limit: f32) -> [String; 2] {
    let digits = if in_words(distance, 2) == in_words(limit, 2) { 3 } else { 2 };
    [distance, limit].map(|value| in_words(value, digits))
}

/// A distance as the page shows it. The page gets it with three decimals, and rounding twice may give another digit.
fn in_words(distance: f32, digits: usize) -> String {
    format!("{:.digits$}", rounded(distance, 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(decision: Decision, best: (&str, f32), limit: f32, second: Option<(&str, f32)>) -> Reason {
        let near = |(what, distance): (&str, f32)| Near { what: what.into(), distance };
        let (best, runner_up) = (near(best), second.map(near));
        let is_near = best.distance <= 0.66;
        let found =
            Match { best, limit, is_near, score: None, runner_up, margin: None, pictures: Vec::new(), decision };
        of_match(Some(&found), 1)
    }

    fn found(decision: Decision, best: (&str, f32), limit: f32, second: Option<(&str, f32)>) -> String {
        reason(decision, best, limit, second).text
    }

    #[test]
    fn the_sentence_names_the_nearest_people_and_what_was_needed() {
        let (ben, dad) = (("Ben", 0.553), Some(("Dad", 0.571)));
        let needed = "0.42 or less was needed (1 look).";
        assert_eq!(found(Decision::TooFar, ben, 0.418, None), format!("No match. Closest: Ben 0.55; {needed}"));
        assert_eq!(
            found(Decision::TooFar, ben, 0.418, dad),
            format!("No match. Closest: Ben 0.55, Dad 0.57; {needed}")
        );
        assert_eq!(
            found(Decision::Named, ben, 0.58, dad),
            "Ben 0.55; 0.58 or less was needed (1 look). Next: Dad 0.57."
        );
        assert_eq!(
            found(Decision::Between, ben, 0.58, dad),
            "No name: too little between Ben 0.55, Dad 0.57 (1 look)."
        );
        assert_eq!(of_match(None, 1).text, "Nobody is in the gallery to compare with.");
    }

    #[test]
    fn only_the_shortest_distance_is_called_closest_and_equal_numbers_get_a_third_digit() {
        let nearer = found(Decision::TooFar, ("Ben", 0.712), 0.6, Some(("Dad", 0.652)));
        assert_eq!(nearer, "No match. Most alike by score: Ben 0.71, Dad 0.65; 0.60 or less was needed (1 look).");
        let equal = found(Decision::TooFar, ("Ben", 0.423), 0.418, None);
        assert_eq!(equal, "No match. Closest: Ben 0.423; 0.418 or less was needed (1 look).");
        // 0.5548 is 0.555 in JSON, which the page rounds to 0.56.
        let twice = found(Decision::TooFar, ("Ben", 0.85), 0.5548, None);
        assert_eq!(twice, "No match. Closest: Ben 0.85; 0.56 or less was needed (1 look).");
        assert_eq!(words(5), "5 looks");
    }

    #[test]
    fn the_numbers_of_a_reason_are_those_of_its_text() {
        let own = Compared { distance: 0.47, limit: 0.52, rank: 0.0 };
        let alice: Arc<str> = "Alice".into();
        let far = Compared { distance: 0.61, ..own };
        for (reason, because, shown) in [
            (kept(&alice, own), Because::Kept, ["0.47", "0.52"]),
            (withdrawn(&alice, Some(far)), Because::Withdrawn, ["0.61", "0.52"]),
            (reason(Decision::TooFar, ("Alice", 0.61), 0.52, None), Because::Near, ["0.61", "0.52"]),
            (reason(Decision::TooFar, ("Alice", 0.81), 0.52, None), Because::Far, ["0.81", "0.52"]),
            (reason(Decision::Named, ("Alice", 0.31), 0.52, None), Because::Named, ["0.31", "0.52"]),
        ] {
            assert_eq!((reason.because, reason.person.as_deref()), (because, Some("Alice")));
            let numbers = [reason.distance, reason.limit].map(|number| format!("{:.2}", number.unwrap_or_default()));
            assert_eq!(numbers, shown);
            assert!(shown.iter().all(|number| reason.text.contains(number)), "{reason:?}");
        }
    }

    #[test]
    fn a_viewer_does_not_learn_the_file_of_a_picture_in_not() {
        let barred = reason(Decision::Barred, (".not/boss.jpg", 0.4), 0.5, None);
        assert_eq!(barred.text, "No name: most alike is a picture in .not, 0.40 (1 look).");
        assert_eq!((barred.because, barred.person), (Because::Barred, None));
    }
}
