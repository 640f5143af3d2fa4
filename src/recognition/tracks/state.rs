//! The two states of a track and their transitions: [`Place`], what is seen at its place, and [`Naming`], whose face it
//! is.

use crate::recognition::identify::matcher::Compared;
use std::sync::Arc;

/// How many comparisons in a row must speak against a name before it is withdrawn.
pub const DOUBTS: u32 = 2;

/// What was seen at the place of a track since its last description. The variants are in the order of doubt:
/// [`Place::see`] only increases the doubt, until a look describes the face and the place is `AsDescribed` again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The described face: no other person can have come.
    AsDescribed,
    /// A face that may look different.
    Changed,
    /// A face that may be another one.
    Displaced,
    /// The descriptor of a look was unlike the track's face and unlike everybody, as with a hand before the face. That
    /// look was ignored; the next one will not be.
    PassedOver,
}

/// What a new look at a track's place shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    Same,
    /// Possibly a hand before the face: such a look is ignored once.
    Doubtful,
    SomebodyElse,
}

impl Place {
    /// Records what the detector has seen at the place.
    pub fn see(&mut self, seen: Place) {
        *self = (*self).max(seen);
    }

    /// The meaning of a look whose descriptor is unlike the track's face and unlike everybody.
    pub fn shows(self) -> Shows {
        match self {
            Place::AsDescribed => Shows::Same,
            Place::Changed => Shows::Doubtful,
            Place::Displaced | Place::PassedOver => Shows::SomebodyElse,
        }
    }
}

/// The name of a track. `NotCompared` becomes `NeverNamed` or `Claims` at the first comparison. `NeverNamed` and
/// `NoLonger` become `Claims` when a comparison gives a name. `Claims` becomes another `Claims` or `NoLonger` when
/// [`DOUBTS`] comparisons in a row speak against the name, or when the person has left the gallery.
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
        /// How many latest comparisons in a row spoke against the name, fewer than [`DOUBTS`].
        doubts: u32,
        /// True while the track has the name, which no two tracks have at a time.
        bears: bool,
    },
}

/// The effect of a comparison on the name of a track.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The track has the name that the looks give, or none when they give none.
    Found,
    /// The looks alone would not give the name, but it is kept because they are still near enough to the person.
    Kept(Arc<str>, Compared),
    /// The comparison spoke against the name, which is kept for now.
    Doubted(Arc<str>, Compared),
    /// The name is withdrawn; without `Compared`, because the person has left the gallery.
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

    /// True while the track has the name that it claims.
    pub fn bears(&self) -> bool {
        matches!(self, Naming::Claims { bears: true, .. })
    }

    /// True when the last comparison spoke against the name.
    pub fn is_doubted(&self) -> bool {
        matches!(self, Naming::Claims { doubts: 1.., .. })
    }

    /// Records whether this track, of those that claim the name, has it.
    pub fn settle(&mut self, is_bearer: bool) {
        if let Naming::Claims { bears, .. } = self {
            *bears = is_bearer;
        }
    }

    /// Processes a comparison that gave the name `wanted`. `own` compares the looks with the claimed person, and
    /// returns `None` when they have left the gallery. `is_barred` is true when a picture of `.not` is nearest. Only a
    /// `new_look` raises doubts.
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
    fn a_name_is_withdrawn_after_two_doubts_in_a_row_or_when_the_person_has_left_the_gallery() {
        let (alice, bob): (Arc<str>, Arc<str>) = ("Alice".into(), "Bob".into());
        let far = |_: &str| Some(Compared { distance: 0.7, limit: 0.6, rank: 0.0 });
        let near = |_: &str| Some(Compared { distance: 0.5, limit: 0.6, rank: 0.0 });
        let mut naming = Naming::NotCompared;
        assert_eq!(naming.compare(None, far, false, true), Outcome::Found);
        assert_eq!(naming, Naming::NeverNamed);
        naming.compare(Some(&alice), far, false, true);
        naming.settle(true);
        assert!(naming.bears() && naming.claim() == Some(&alice));
        // A kept name clears a doubt; another gallery raises none.
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
