//! Judges the pictures of a gallery: poor ones, copies, pictures of another person. They are judged when all are
//! enrolled, so that the order of files does not matter, and by their descriptors only, so that a reload computes none
//! again.

mod misplaced;

use crate::recognition::descriptor::{euclidean, mean};
use crate::recognition::gallery::cache::Face;
use crate::recognition::gallery::curate::misplaced::{Group, People, alike, misplaced};
use std::sync::Arc;

/// Two pictures of a person at a smaller distance are copies of one photograph; different photographs of LFW hardly
/// ever are that near.
const COPY: f32 = 0.10;
/// Two pictures at a smaller distance show the same face at the same time.
const SAME_LOOK: f32 = 0.15;
/// Two pictures of a person at a larger distance are doubted. In LFW, 0.8 % of 1474 pairs of pictures of one person
/// are, and 99 % of pairs of two people.
const TWO_UNLIKE: f32 = 0.61;
/// How many pictures a warning about a folder names.
const NAMED: usize = 3;
/// When all pictures of a person are nearer to their mean, they hardly differ.
const ALL_ALIKE: f32 = 0.17;

/// A picture with one face.
#[derive(Debug, Clone)]
pub struct Usable {
    /// The name of the file, such as `Alice/1.jpg`.
    pub file: Arc<str>,
    pub face: Face,
}

impl Usable {
    fn distance(&self, other: &Usable) -> f32 {
        euclidean(&self.face.descriptor, &other.face.descriptor)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    Used,
    /// The picture is used, with a remark.
    UsedBut(String),
    /// The picture is not used, for this reason.
    Skipped(String),
}

impl Fate {
    pub fn is_used(&self) -> bool {
        !matches!(self, Fate::Skipped(_))
    }
}

/// The fate of each picture of each person. `people` has names and pictures.
pub fn judge(people: &People) -> Vec<Vec<Fate>> {
    let mut all: Vec<Vec<Fate>> = people.iter().map(|(_, pictures)| vec![Fate::Used; pictures.len()]).collect();
    for (person, picture, fate) in misplaced(people) {
        all[person][picture] = fate;
    }
    people.iter().zip(all).map(|((_, pictures), fates)| beside_each_other(pictures, fates)).collect()
}

/// Leaves out poor pictures when the person has good ones, and copies.
fn beside_each_other(pictures: &[Usable], mut fates: Vec<Fate>) -> Vec<Fate> {
    let good = |at: usize, fates: &[Fate]| fates[at].is_used() && pictures[at].face.quality.poor().is_none();
    let some_are_good = (0..pictures.len()).any(|at| good(at, &fates));
    for (at, picture) in pictures.iter().enumerate() {
        match picture.face.quality.poor().filter(|_| fates[at].is_used()) {
            Some(reason) if some_are_good => fates[at] = Fate::Skipped(reason),
            // A poor picture is better than a person who cannot be recognised.
            Some(reason) => fates[at] = Fate::UsedBut(format!("{reason}; there is no better one")),
            None => {}
        }
    }
    // Copies come last, because otherwise a poor picture could displace a better copy of itself. The first one of two
    // copies stays.
    for at in 0..pictures.len() {
        let earlier = (0..at).filter(|&other| fates[other].is_used());
        let near =
            earlier.map(|other| (pictures[at].distance(&pictures[other]), other)).min_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((distance, other)) = near.filter(|(distance, _)| *distance < COPY && fates[at].is_used()) {
            fates[at] = Fate::Skipped(format!("the same as {} ({distance:.2} apart)", pictures[other].file));
        }
    }
    fates
}

/// Leaves out pictures that show a face of `.not`, because an admin has said that this face is not the person. Two
/// looks at one face in a video are as near as that; two photographs of a person hardly ever are.
pub fn leave_out_never(pictures: &[Usable], never: &[Usable], fates: &mut [Fate]) {
    for (picture, fate) in pictures.iter().zip(fates) {
        let near = never.iter().map(|never| (picture.distance(never), never)).min_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((distance, never)) = near.filter(|(distance, _)| *distance < SAME_LOOK) {
            let why = format!("the same face as {} ({distance:.2} apart), which never gets a name", never.file);
            *fate = Fate::Skipped(why);
        }
    }
}

/// Leaves at most `most` pictures in use. The first one is the picture nearest to the mean of all; each further one is
/// the picture that differs most from those chosen so far. A picture that is unlike the first one is chosen last,
/// because it may show another person. For 56 people of LFW with 5 of 8 pictures chosen in this way, nine tenths of the
/// other pictures are within 0.43 of the mean of the chosen ones, and within 0.44 of the mean of the first five
/// pictures.
pub fn keep_the_most_different(pictures: &[Usable], fates: &mut [Fate], most: usize, why: &str) {
    let used: Vec<usize> = (0..pictures.len()).filter(|&at| fates[at].is_used()).collect();
    if used.len() <= most {
        return;
    }
    let middle = mean(used.iter().map(|&at| (pictures[at].face.descriptor, 1.0)));
    let apart = |at: usize| euclidean(&pictures[at].face.descriptor, &middle);
    let Some(first) = used.iter().copied().min_by(|&a, &b| apart(a).total_cmp(&apart(b))) else { return };
    let is_like_first = |at: usize| pictures[at].distance(&pictures[first]) <= TWO_UNLIKE;
    // The pictures that are not chosen, with the distance to the nearest chosen one.
    let mut rest: Vec<(usize, f32)> = used.into_iter().map(|at| (at, f32::INFINITY)).collect();
    let mut next = first;
    for _ in 0..most {
        rest.retain(|(at, _)| *at != next);
        rest.iter_mut().for_each(|(at, nearest)| *nearest = nearest.min(pictures[*at].distance(&pictures[next])));
        let rank = |(at, nearest): &(usize, f32)| (is_like_first(*at), *nearest);
        // Of two pictures that differ as much, the first one by name is chosen.
        let farthest = rest.iter().rev().map(|one| (rank(one), one.0));
        let farthest = farthest.max_by(|(a, _), (b, _)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let Some((_, at)) = farthest else { return };
        next = at;
    }
    rest.iter().for_each(|(at, _)| fates[*at] = Fate::Skipped(why.to_owned()));
}

/// True when a picture is good and not a copy of another one. It will be used, unless it shows another person.
pub fn adds<'a>(picture: &Usable, mut to: impl Iterator<Item = &'a Usable>) -> bool {
    picture.face.quality.poor().is_none() && !to.any(|other| picture.distance(other) < COPY)
}

/// Why the used pictures of a folder may show several people: they form groups that are not alike. All of them are
/// used, because twins, and a person as a child and as an adult, are as far apart as strangers. In LFW no folder of 3,
/// 4 or 5 pictures of one person forms several groups (0 of 1729). Of folders with three people 98 % do, of two people
/// with two pictures each 95 %, and with three and two pictures 97 %. A limit for the distance from the mean would tell
/// no more, and would depend on the number of pictures.
pub fn doubt(used: &[&Usable]) -> Option<String> {
    let groups = alike(used);
    let between = |one: &Group, other: &Group| {
        let pairs = one.iter().flat_map(|a| other.iter().map(move |b| (*a, *b)));
        pairs.map(|(a, b)| used[a].distance(used[b])).min_by(f32::total_cmp)
    };
    let across =
        groups.iter().enumerate().flat_map(|(at, one)| groups[..at].iter().filter_map(|two| between(one, two)));
    let apart = across.min_by(f32::total_cmp).filter(|apart| used.len() > 2 || *apart > TWO_UNLIKE)?;
    let first = groups.iter().filter_map(|group| group.iter().min()).map(|&at| used[at].file.to_string());
    let mut names: Vec<String> = first.collect();
    names.sort_unstable();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    names.extend((more > 0).then(|| format!("{more} more")));
    let (last, others) = names.split_last()?;
    let or_more = if used.len() > 2 { " or more" } else { "" };
    Some(format!("{} and {last} are {apart:.2} apart{or_more}: is this one person?", others.join(", ")))
}

/// Advice on pictures that would improve the recognition of a person, given the used pictures.
pub fn hint(used: &[&Usable]) -> Option<String> {
    match used {
        [] => None,
        [_] => Some(
            "only one picture: add two more, in other light or from another day, to improve recognition".to_owned(),
        ),
        _ => {
            let spread = spread(used)?;
            (used.len() > 2 && spread < ALL_ALIKE).then(|| {
                format!(
                    "all pictures are nearly the same (spread {spread:.2}): add one in another light, or with glasses"
                )
            })
        }
    }
}

/// The mean distance of pictures from their mean; `None` for fewer than two.
pub fn spread(used: &[&Usable]) -> Option<f32> {
    let mean = mean(used.iter().map(|picture| (picture.face.descriptor, 1.0)));
    let sum: f32 = used.iter().map(|picture| euclidean(&picture.face.descriptor, &mean)).sum();
    (used.len() > 1).then(|| sum / used.len() as f32)
}

/// The distance from a picture to the nearest other used picture of the person.
pub fn from_nearest(pictures: &[Usable], fates: &[Fate], at: usize) -> Option<f32> {
    let others = (0..pictures.len()).filter(|&other| other != at && fates[other].is_used());
    others.map(|other| pictures[at].distance(&pictures[other])).min_by(f32::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recognition::descriptor::DESCRIPTOR_LEN;
    use crate::recognition::detect::quality::Quality;

    const GOOD: Quality = Quality { width_px: 100, sharpness: 0.3, brightness: 120.0 };

    fn picture(file: &str, x: f32, y: f32, quality: Quality) -> Usable {
        let mut descriptor = [0.0; DESCRIPTOR_LEN];
        (descriptor[0], descriptor[1]) = (x, y);
        Usable { file: file.into(), face: Face { descriptor, quality } }
    }

    fn of(pictures: &[Usable]) -> Vec<Fate> {
        judge(&[("Alice", pictures)]).remove(0)
    }

    fn reason(fate: &Fate) -> &str {
        match fate {
            Fate::Used => "used",
            Fate::UsedBut(reason) | Fate::Skipped(reason) => reason,
        }
    }

    #[test]
    fn of_too_many_pictures_the_most_typical_and_the_most_different_ones_stay() {
        let pictures: Vec<Usable> =
            [0.0, 0.2, 0.22, 0.24, 0.4, 1.2].map(|x| picture(&format!("{x}"), x, 0.0, GOOD)).into();
        for (most, stay) in
            [(1, "0.4"), (2, "0 0.4"), (3, "0 0.2 0.4"), (5, "0 0.2 0.22 0.24 0.4"), (6, "0 0.2 0.22 0.24 0.4 1.2")]
        {
            let mut fates = vec![Fate::Used; pictures.len()];
            keep_the_most_different(&pictures, &mut fates, most, "too many");
            let used = pictures.iter().zip(&fates).filter(|(_, fate)| fate.is_used());
            assert_eq!(
                used.map(|(picture, _)| picture.file.to_string()).collect::<Vec<_>>().join(" "),
                stay,
                "{fates:?}"
            );
            assert!(fates.iter().all(|fate| fate.is_used() || reason(fate) == "too many"));
        }
    }

    #[test]
    fn a_picture_of_a_face_in_the_blocklist_is_left_out_while_that_face_is_there() {
        let pictures = [picture("1", 0.0, 0.0, GOOD), picture("2", 0.0, 0.3, GOOD)];
        let mut fates = vec![Fate::Used; 2];
        leave_out_never(&pictures, &[picture(".not/a", 0.0, 0.4, GOOD), picture(".not/b", 0.9, 0.0, GOOD)], &mut fates);
        assert_eq!(fates[0], Fate::Used);
        assert_eq!(reason(&fates[1]), "the same face as .not/a (0.10 apart), which never gets a name");
    }

    #[test]
    fn a_poor_picture_is_skipped_only_when_there_is_a_better_one() {
        let blurred = Quality { sharpness: 0.001, ..GOOD };
        let both = of(&[picture("a", 0.0, 0.0, GOOD), picture("b", 0.3, 0.0, blurred)]);
        assert_eq!(both[0], Fate::Used);
        assert!(!both[1].is_used() && reason(&both[1]).starts_with("blurred: sharpness 0.001"));
        let alone = of(&[picture("b", 0.3, 0.0, blurred)]);
        assert!(alone[0].is_used() && reason(&alone[0]).ends_with("there is no better one"));
        for (quality, word) in [
            (Quality { width_px: 41, ..GOOD }, "face is 41 px wide"),
            (Quality { brightness: 20.0, ..GOOD }, "too dark: light 20"),
            (Quality { brightness: 250.0, ..GOOD }, "too light: light 250"),
        ] {
            assert!(quality.poor().is_some_and(|reason| reason.starts_with(word)), "{word}");
        }
    }

    #[test]
    fn of_copies_the_first_stays_and_an_outlier_goes_whatever_the_order() {
        let pictures = [picture("a", 0.0, 0.0, GOOD), picture("b", 0.05, 0.0, GOOD), picture("c", 0.9, 0.0, GOOD)];
        let fates = of(&pictures);
        assert_eq!(fates[0], Fate::Used);
        assert_eq!(reason(&fates[1]), "the same as a (0.05 apart)");
        assert_eq!(
            reason(&fates[2]),
            "unlike the other pictures: 0.85 from the closest, 0.6 or less is good; if it shows this person, add a similar one"
        );
        let backwards: Vec<Usable> = pictures.iter().rev().cloned().collect();
        assert!(!of(&backwards)[0].is_used() && of(&backwards)[1].is_used());
    }

    #[test]
    fn of_two_copies_the_better_one_stays() {
        let narrow = Quality { width_px: 41, ..GOOD };
        let fates = of(&[picture("a", 0.0, 0.0, narrow), picture("b", 0.05, 0.0, GOOD)]);
        assert!(!fates[0].is_used() && fates[1] == Fate::Used, "{fates:?}");
        let both_poor = of(&[picture("a", 0.0, 0.0, narrow), picture("b", 0.05, 0.0, narrow)]);
        assert!(both_poor[0].is_used() && reason(&both_poor[1]).starts_with("the same as a"), "{both_poor:?}");
    }

    #[test]
    fn two_pictures_that_differ_both_stay_with_a_warning() {
        let pictures = [picture("a", 0.0, 0.0, GOOD), picture("b", 0.9, 0.0, GOOD)];
        assert_eq!(of(&pictures), [Fate::Used, Fate::Used]);
        let used: Vec<&Usable> = pictures.iter().collect();
        assert_eq!(doubt(&used).as_deref(), Some("a and b are 0.90 apart: is this one person?"));
        assert_eq!(doubt(&used[..1]), None);
        assert!(hint(&used[..1]).is_some_and(|hint| hint.starts_with("only one picture")));
        let alike = [0.0, 0.11, 0.22].map(|x| picture("c", x, 0.0, GOOD));
        assert!(
            hint(&alike.iter().collect::<Vec<_>>()).is_some_and(|hint| hint.contains("nearly the same (spread 0.07)"))
        );
    }

    #[test]
    fn a_folder_of_several_people_is_doubted_and_one_of_a_person_who_aged_is_not() {
        let doubt = |places: &[(f32, f32)]| {
            let names = ["a", "b", "c", "d", "e"];
            let pictures: Vec<Usable> =
                names.iter().zip(places).map(|(name, &(x, y))| picture(name, x, y, GOOD)).collect();
            assert!(of(&pictures).iter().all(Fate::is_used), "all are used");
            doubt(&pictures.iter().collect::<Vec<_>>())
        };
        let three = doubt(&[(0.0, 0.0), (0.86, 0.0), (0.43, 0.75)]);
        assert_eq!(three.as_deref(), Some("a, b and c are 0.86 apart or more: is this one person?"));
        let two_and_two = doubt(&[(0.0, 0.0), (0.9, 0.0), (0.2, 0.0), (0.9, 0.3)]);
        assert_eq!(two_and_two.as_deref(), Some("a and b are 0.70 apart or more: is this one person?"));
        let five = doubt(&[(0.0, 0.0), (0.9, 0.0), (1.8, 0.0), (2.7, 0.0), (3.6, 0.0)]);
        assert_eq!(five.as_deref(), Some("a, b, c and 2 more are 0.90 apart or more: is this one person?"));
        // Far apart, but connected by pictures in between: the person aged.
        assert_eq!(doubt(&[(0.0, 0.0), (0.5, 0.0), (1.0, 0.0)]), None);
        assert_eq!(doubt(&[(0.0, 0.0), (0.605, 0.0)]), None);
    }
}
