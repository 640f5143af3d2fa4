//! Finds pictures in the wrong folder: those that are far from the others of their folder and close to those of another
//! person.

use crate::recognition::gallery::curate::{Fate, Usable};
use std::borrow::Borrow;

/// The distance above which two pictures show two people, as in dlib's documentation. On LFW, of three pictures of a
/// person 0.15 % are further from both others; of pictures of another person, 98.9 % are.
const UNLIKE: f32 = 0.6;
/// A picture shows another person when it is closer to that person's pictures by this than to the others of its folder,
const MORE_LIKE_BY: f32 = 0.15;
/// and at most this far from them. With these three values, on 10 and 200 people of LFW, 98 % of the pictures in a
/// wrong folder are found when the person has two or more others, and 95 % (80 %) with one other; 0.2 % of those in the
/// right folder are left out.
const LIKE: f32 = 0.5;
/// The most pictures of a person that are compared with each other, and the most separate groups that are compared with
/// all people, because the work grows with the square.
const COMPARED: usize = 200;
const SUSPECTS: usize = 500;

/// The people by name, with their pictures.
pub type People<'a> = [(&'a str, &'a [Usable])];

/// Similar pictures of a person, as indices.
pub type Group = Vec<usize>;

struct Suspect {
    person: usize,
    group: Group,
    /// The distance to the closest other picture of the person.
    own: f32,
    /// The other person and picture that it is closer to, and the distance.
    other: (usize, usize, f32),
}

/// The misplaced pictures: the indices of person and picture, and the fate. A picture stays in use, with a remark, when
/// it is unclear which picture is wrong.
pub fn misplaced(people: &People) -> Vec<(usize, usize, Fate)> {
    let mut groups: Vec<Vec<Group>> = people.iter().map(|(_, pictures)| alike(pictures)).collect();
    let suspects = suspects(people, &groups);
    let is_suspect = |person: usize, picture: usize| {
        suspects.iter().any(|suspect| suspect.person == person && suspect.group.contains(&picture))
    };
    let mut fates = Vec::new();
    for Suspect { person, group, own, other: (whose, other, apart) } in &suspects {
        let all = groups[*person].iter().flatten().all(|&picture| is_suspect(*person, picture));
        let (name, theirs) = (people[*person].0, people[*whose]);
        let reason = format!(
            "more like {} than like {name}: {apart:.2} from {}, {own:.2} from the closest other picture of {name}; move it \
            if it shows {}",
            theirs.0, theirs.1[*other].file, theirs.0
        );
        let certain = !all && !is_suspect(*whose, *other);
        let fate = if certain { Fate::Skipped(reason) } else { Fate::UsedBut(reason) };
        fates.extend(group.iter().map(|&picture| (*person, picture, fate.clone())));
    }
    for (person, picture, _) in fates.iter().filter(|(_, _, fate)| !fate.is_used()) {
        groups[*person].retain(|group| !group.contains(picture));
    }
    fates.extend(groups.iter().enumerate().flat_map(|(person, groups)| unlike(people, person, groups)));
    fates
}

/// Pictures that are unlike all others of their folder, when others are similar to each other.
fn unlike<'a>(
    people: &'a People,
    person: usize,
    groups: &'a [Group],
) -> impl Iterator<Item = (usize, usize, Fate)> + 'a {
    let some_agree = groups.iter().any(|group| group.len() > 1);
    let alone = groups.iter().filter(move |group| some_agree && group.len() == 1).flatten();
    alone.map(move |&picture| {
        let own = nearest(people[person].1, picture, |other| other != picture).unwrap_or_default();
        let reason = format!(
            "unlike the other pictures: {own:.2} from the closest, {UNLIKE} or less is good; if it shows this person, add \
             a similar one"
        );
        (person, picture, Fate::Skipped(reason))
    })
}

/// Groups of pictures that are connected by distances of at most [`UNLIKE`].
pub fn alike<P: Borrow<Usable>>(pictures: &[P]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (at, picture) in pictures.iter().take(COMPARED).enumerate() {
        let is_like = |other: &usize| pictures[*other].borrow().distance(picture.borrow()) <= UNLIKE;
        let like = |group: &Group| group.iter().any(is_like);
        let (joined, others): (Vec<Group>, Vec<Group>) = groups.into_iter().partition(like);
        groups = others;
        groups.push(joined.into_iter().flatten().chain([at]).collect());
    }
    groups
}

fn suspects(people: &People, groups: &[Vec<Group>]) -> Vec<Suspect> {
    let several = groups.iter().enumerate().filter(|(_, groups)| groups.len() > 1);
    let all = several.flat_map(|(person, groups)| groups.iter().map(move |group| (person, group)));
    let suspect = |(person, group): (usize, &Group)| {
        let pictures = people[person].1;
        let own = group.iter().filter_map(|&picture| nearest(pictures, picture, |other| !group.contains(&other)));
        let own = own.min_by(f32::total_cmp)?;
        let other = nearest_of_others(people, person, group)?;
        (other.2 < (own - MORE_LIKE_BY).min(LIKE)).then(|| Suspect { person, group: group.clone(), own, other })
    };
    let mut suspects: Vec<Suspect> = all.take(SUSPECTS).filter_map(suspect).collect();
    // When all groups of a person are suspects, as after exchanging pictures of two people, most of them are right.
    for (person, groups) in groups.iter().enumerate() {
        let total: usize = groups.iter().map(Vec::len).sum();
        let all = suspects.iter().filter(|suspect| suspect.person == person).count() == groups.len();
        if let Some(most) = groups.iter().find(|group| all && group.len() * 2 > total) {
            suspects.retain(|suspect| suspect.person != person || suspect.group != *most);
        }
    }
    suspects
}

/// The closest picture of another person to the group: the person, the picture and the distance.
fn nearest_of_others(people: &People, person: usize, group: &Group) -> Option<(usize, usize, f32)> {
    let own = |at: &usize| &people[person].1[*at];
    let others = people.iter().enumerate().filter(|(other, _)| *other != person);
    let pictures = others
        .flat_map(|(other, (_, pictures))| pictures.iter().enumerate().map(move |(at, picture)| (other, at, picture)));
    let nearest = pictures.filter_map(|(other, at, picture)| {
        let distance = group.iter().map(|own_at| own(own_at).distance(picture)).min_by(f32::total_cmp)?;
        Some((other, at, distance))
    });
    nearest.min_by(|a, b| a.2.total_cmp(&b.2))
}

fn nearest(pictures: &[Usable], of: usize, passes: impl Fn(usize) -> bool) -> Option<f32> {
    let others = pictures.iter().take(COMPARED).enumerate().filter(|(other, _)| passes(*other));
    others.map(|(_, picture)| pictures[of].distance(picture)).min_by(f32::total_cmp)
}

#[cfg(test)]
mod tests;
