//! Why a face has a name or none, in words for people.

use crate::detection::Near;
use crate::recognition::identify::matcher::{Compared, Match};
use crate::recognition::identify::rule::Decision;

/// Of one comparison with the gallery, where `looks` says what was compared: "1 look", "5 looks".
pub fn of_match(found: Option<&Match>, looks: &str) -> String {
    let Some(found) = found else { return "Nobody is in the gallery to compare with.".to_owned() };
    let (name, limit, second) = (&found.best.what, found.limit, found.runner_up.as_ref());
    let [distance, needed] = apart(found.best.distance, limit);
    let next = second.map_or_else(String::new, |Near { what, distance }| format!(", {what} {distance:.2}"));
    match found.decision {
        Decision::Named => {
            let next =
                second.map_or_else(String::new, |Near { what, distance }| format!(" Next: {what} {distance:.2}."));
            format!("{name} {distance}; {needed} or less was needed ({looks}).{next}")
        }
        // People are ranked by score: the next one may be at a shorter distance.
        Decision::TooFar if second.is_some_and(|second| second.distance < found.best.distance) => {
            format!("No match. Most alike by score: {name} {distance}{next}; needed {needed} ({looks}).")
        }
        Decision::TooFar => format!("No match. Closest: {name} {distance}{next}; needed {needed} ({looks})."),
        Decision::Between => format!("No name: too little between {name} {distance}{next} ({looks})."),
        Decision::Barred => format!("No name: most alike is {name} {distance}, which is in .not ({looks})."),
    }
}

pub fn looks(total: u32, effective: f32) -> String {
    match total {
        1 => "1 look".to_owned(),
        _ => format!("{total} looks, worth {effective:.1}"),
    }
}

/// A name that is kept although the looks alone would not give it.
pub fn kept(name: &str, distance: f32, limit: f32) -> String {
    let [distance, limit] = apart(distance, limit);
    format!("{name} by earlier looks; {distance} now, and a name is kept up to {limit}.")
}

pub fn withdrawn(name: &str, own: Option<Compared>) -> String {
    match own {
        Some(Compared { distance, limit, .. }) => {
            let [distance, limit] = apart(distance, limit);
            format!("No longer {name}: the last looks are at {distance}, more than {limit}.")
        }
        None => format!("{name} is no longer in the gallery."),
    }
}

pub fn borne_by_another(name: &str, track: u64) -> String {
    format!("Looks like {name}, but track {track} looks more like {name}.")
}

/// Two distances with as many digits as tell one from the other: two, or three.
fn apart(distance: f32, limit: f32) -> [String; 2] {
    let digits = if format!("{distance:.2}") == format!("{limit:.2}") { 3 } else { 2 };
    [distance, limit].map(|value| format!("{value:.digits$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(decision: Decision, best: (&str, f32), limit: f32, second: Option<(&str, f32)>) -> String {
        let near = |(what, distance): (&str, f32)| Near { what: what.into(), distance };
        let (best, runner_up) = (near(best), second.map(near));
        let found = Match { best, limit, score: None, runner_up, margin: None, pictures: Vec::new(), decision };
        of_match(Some(&found), &looks(1, 1.0))
    }

    #[test]
    fn the_sentence_names_the_nearest_people_and_what_was_needed() {
        let (ben, dad) = (("Ben", 0.553), Some(("Dad", 0.571)));
        assert_eq!(found(Decision::TooFar, ben, 0.418, None), "No match. Closest: Ben 0.55; needed 0.42 (1 look).");
        assert_eq!(
            found(Decision::TooFar, ben, 0.418, dad),
            "No match. Closest: Ben 0.55, Dad 0.57; needed 0.42 (1 look)."
        );
        assert_eq!(
            found(Decision::Named, ben, 0.58, dad),
            "Ben 0.55; 0.58 or less was needed (1 look). Next: Dad 0.57."
        );
        assert_eq!(
            found(Decision::Between, ben, 0.58, dad),
            "No name: too little between Ben 0.55, Dad 0.57 (1 look)."
        );
        let barred = found(Decision::Barred, (".not/1.jpg", 0.4), 0.5, None);
        assert_eq!(barred, "No name: most alike is .not/1.jpg 0.40, which is in .not (1 look).");
        assert_eq!(of_match(None, "1 look"), "Nobody is in the gallery to compare with.");
    }

    #[test]
    fn closest_is_said_only_of_the_shortest_distance_and_equal_numbers_get_a_third_digit() {
        let nearer = found(Decision::TooFar, ("Ben", 0.712), 0.6, Some(("Dad", 0.652)));
        assert_eq!(nearer, "No match. Most alike by score: Ben 0.71, Dad 0.65; needed 0.60 (1 look).");
        let equal = found(Decision::TooFar, ("Ben", 0.423), 0.418, None);
        assert_eq!(equal, "No match. Closest: Ben 0.423; needed 0.418 (1 look).");
        assert_eq!(looks(5, 3.24), "5 looks, worth 3.2");
    }
}
