//! Why a face has a name or none, in words for people.

use super::matcher::{Compared, Match, Matcher};
use super::rule::Standing;
use std::fmt::Write;

/// Of one comparison with the gallery, where `looks` says what was compared: "1 look", "5 looks".
pub fn of_match(found: Option<&Match>, matcher: &Matcher, looks: &str) -> String {
    let Some(found) = found else { return "there is nobody in the gallery to compare with".to_owned() };
    let (name, distance, limit) = (&found.best.what, found.best.distance, found.limit);
    let mut words = match found.standing {
        Standing::Named => format!("{looks} at {distance:.3} from {name}, within {limit:.3}"),
        Standing::TooFar => {
            format!("no match: {looks} at {distance:.3} from {name}, the closest; needed {limit:.3}")
        }
        Standing::Between => format!("nearly as near to a second person as to {name} ({distance:.3})"),
        Standing::Barred => format!("nearest to {name} ({distance:.3}), which shall not be named"),
    };
    if let Some(second) = &found.runner_up {
        let _ = write!(words, "; next is {} at {:.3}", second.what, second.distance);
    }
    let rule = matcher.rule();
    if rule.budget() > 0.0 && matches!(found.standing, Standing::Named | Standing::TooFar) {
        let why = if found.limit < rule.outermost() { "false_name_budget" } else { "threshold" };
        let _ = write!(words, " ({why}, {} people)", matcher.people());
    }
    words
}

/// How many looks, in words.
pub fn looks(total: u32, effective: f32) -> String {
    match total {
        1 => "1 look".to_owned(),
        _ => format!("the mean of {total} looks (worth {effective:.1})"),
    }
}

/// A name that is kept although the looks alone would not give it.
pub fn kept(name: &str, distance: f32, limit: f32) -> String {
    format!("named {name} by earlier looks; {distance:.3} now, and kept up to {limit:.3}")
}

/// A name that is gone.
pub fn withdrawn(name: &str, own: Option<Compared>) -> String {
    match own {
        Some(Compared { distance, limit, .. }) => {
            format!("no longer {name}: the last looks are at {distance:.3}, more than {limit:.3}")
        }
        None => format!("{name} is not in the gallery any more"),
    }
}

/// A name that another track bears.
pub fn borne_by_another(name: &str, track: u64) -> String {
    format!("looks like {name}, but track {track} is nearer to {name}")
}
