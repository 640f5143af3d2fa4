//! The two states of a track, and each transition between them: [`Place`], what its place shows, and [`Naming`], whose it is.

use crate::recognition::identify::matcher::Compared;
use std::sync::Arc;

/// So many comparisons in a row must speak against a name before it goes.
pub const DOUBTS: u32 = 2;

/// What the place of a track has shown since its last description. The order is that of the variants: a place only becomes more
/// doubtful ([`Place::see`]) until a look describes its face (then it is `AsDescribed`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The face that was described: nobody can have come.
    AsDescribed,
    /// A face that may look otherwise.
    Changed,
    /// A face that may be another one.
    Displaced,
    /// The descriptor of a look was unlike the track's and nobody's, as with a hand before the face. It was passed over; the next
    /// one is not.
    PassedOver,
}

/// What a new look at a track's place shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    Same,
    /// Perhaps a hand before the face: it is passed over once.
    Doubtful,
    SomebodyElse,
}

impl Place {
    /// The detector found a face there, which looks as `seen` says.
    pub fn see(&mut self, seen: Place) {
        *self = (*self).max(seen);
    }

    /// What a look shows whose descriptor is unlike the track's and nobody's.
    pub fn shows(self) -> Shows {
        match self {
            Place::AsDescribed => Shows::Same,
            Place::Changed => Shows::Doubtful,
            Place::Displaced | Place::PassedOver => Shows::SomebodyElse,
        }
    }
}

/// Whose a track is. `NotCompared` becomes `NeverNamed` or `Claims` at the first comparison, and `NeverNamed` and `NoLonger`
/// become `Claims` when the gallery has a name. `Claims` becomes another `Claims` or `NoLonger` when comparisons speak against
/// the name [`DOUBTS`] times in a row, or the person has left the gallery.
#[derive(Debug, Clone, PartialEq)]
pub enum Naming {
    /// Not compared with the gallery yet.
    NotCompared,
    /// Compared, and has never had a name.
    NeverNamed,
    /// Has lost the name that it had.
    NoLonger,
    /// The evidence is for this name.
    Claims {
        name: Arc<str>,
        /// How many comparisons in a row spoke against it, fewer than [`DOUBTS`].
        doubts: u32,
        /// True while it bears the name, which no two tracks do.
        bears: bool,
    },
}

/// What a comparison did to the name of a track.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The name, or that there is none, is what the looks say.
    Found,
    /// The name stays although the looks alone would not give it, because they still compare so with the person.
    Kept(Arc<str>, Compared),
    /// The comparison spoke against the name, which stays for now.
    Doubted(Arc<str>, Compared),
    /// The name went; `None`: the person has left the gallery.
    Withdrawn(Arc<str>, Option<Compared>),
}

impl Naming {
    /// The name that the evidence is for.
    pub fn claim(&self) -> Option<&Arc<str>> {
        match self {
            Naming::Claims { name, .. } => Some(name),
            _ => None,
        }
    }

    /// True while it bears the name that it claims.
    pub fn bears(&self) -> bool {
        matches!(self, Naming::Claims { bears: true, .. })
    }

    /// True when the last comparison spoke against the name.
    pub fn is_doubted(&self) -> bool {
        matches!(self, Naming::Claims { doubts: 1.., .. })
    }

    /// Of the tracks that claim the name, this one bears it, or another one.
    pub fn settle(&mut self, is_bearer: bool) {
        if let Naming::Claims { bears, .. } = self {
            *bears = is_bearer;
        }
    }

    /// A comparison gave `wanted`. `own` is how the looks compare with the claimed person, `None` when they have left the gallery;
    /// `is_barred` when the looks are of what lies in `.not`. Only a `new_look` raises doubts.
    pub fn compare(
        &mut self,
        wanted: Option<&Arc<str>>,
        own: impl FnOnce(&str) -> Option<Compared>,
        is_barred: bool,
        new_look: bool,
    ) -> Outcome {
        let Naming::Claims { name, doubts, .. } = self else {
            match wanted {
                Some(wanted) => *self = Naming::claiming(wanted),
                None if *self == Naming::NotCompared => *self = Naming::NeverNamed,
                None => {}
            }
            return Outcome::Found;
        };
        if wanted == Some(name) {
            *doubts = 0;
            return Outcome::Found;
        }
        let own = own(name);
        if let Some(own) = own.filter(|own| wanted.is_none() && own.distance <= own.limit && !is_barred) {
            *doubts = 0;
            return Outcome::Kept(Arc::clone(name), own);
        }
        *doubts += u32::from(new_look);
        let name = Arc::clone(name);
        if let Some(own) = own.filter(|_| *doubts < DOUBTS) {
            return Outcome::Doubted(name, own);
        }
        *self = wanted.map_or(Naming::NoLonger, Naming::claiming);
        Outcome::Withdrawn(name, own)
    }

    fn claiming(name: &Arc<str>) -> Naming {
        Naming::Claims { name: Arc::clone(name), doubts: 0, bears: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_becomes_more_doubtful_and_never_less() {
        let mut place = Place::AsDescribed;
        for (seen, expected, shows) in [
            (Place::AsDescribed, Place::AsDescribed, Shows::Same),
            (Place::Changed, Place::Changed, Shows::Doubtful),
            (Place::AsDescribed, Place::Changed, Shows::Doubtful),
            (Place::PassedOver, Place::PassedOver, Shows::SomebodyElse),
            (Place::Displaced, Place::PassedOver, Shows::SomebodyElse),
        ] {
            place.see(seen);
            assert_eq!((place, place.shows()), (expected, shows));
        }
        assert_eq!(Place::Displaced.shows(), Shows::SomebodyElse);
    }

    #[test]
    fn a_name_goes_when_two_comparisons_in_a_row_speak_against_it_or_the_person_has_left_the_gallery() {
        let (alice, bob): (Arc<str>, Arc<str>) = ("Alice".into(), "Bob".into());
        let far = |_: &str| Some(Compared { distance: 0.7, limit: 0.6, rank: 0.0 });
        let near = |_: &str| Some(Compared { distance: 0.5, limit: 0.6, rank: 0.0 });
        let mut naming = Naming::NotCompared;
        assert_eq!(naming.compare(None, far, false, true), Outcome::Found);
        assert_eq!(naming, Naming::NeverNamed);
        naming.compare(Some(&alice), far, false, true);
        naming.settle(true);
        assert!(naming.bears() && naming.claim() == Some(&alice));
        // One doubt is taken back by a name that is kept; another gallery raises none.
        let doubted = |compare| Outcome::Doubted("Alice".into(), compare);
        let [is_far, is_near] = [far("Alice"), near("Alice")].map(Option::unwrap);
        assert_eq!(naming.compare(None, far, false, true), doubted(is_far));
        assert_eq!(naming.compare(None, near, false, true), Outcome::Kept(alice.clone(), is_near));
        assert!(!naming.is_doubted());
        assert_eq!(naming.compare(None, near, true, true), doubted(is_near), "it is barred");
        assert_eq!(naming.compare(None, far, false, false), doubted(is_far), "no new look");
        assert!(naming.bears() && naming.is_doubted());
        assert_eq!(naming.compare(Some(&bob), far, false, true), Outcome::Withdrawn(alice, Some(is_far)));
        assert_eq!(naming, Naming::Claims { name: bob.clone(), doubts: 0, bears: false });
        assert_eq!(naming.compare(None, |_| None, false, true), Outcome::Withdrawn(bob, None), "Bob has left");
        assert_eq!(naming, Naming::NoLonger);
        naming.compare(None, far, false, true);
        assert_eq!(naming, Naming::NoLonger, "it has had a name");
    }
}
