//! Pictures in the wrong folder: those that are far from the rest of their own, and near to somebody else's.

use super::hygiene::{Fate, Usable, distance};
use std::borrow::Borrow;

/// Two pictures that are further apart are of two people, by dlib's own rule. On LFW, of three pictures of a person
/// 0.15 % are further from both others; of somebody else's, 98.9 % are.
pub const UNLIKE: f32 = 0.6;
/// A picture is somebody else's when it is nearer to hers by this than to the others of its own folder,
const MORE_LIKE_BY: f32 = 0.15;
/// and as near as this. With these three, on 10 and 200 people of LFW: of pictures in a wrong folder 98 % are found where
/// the person has two or more others, 95 % (80 %) where she has one; of those in their own, 0.2 % are left out.
const LIKE: f32 = 0.5;
/// Of one person, so many pictures are compared with each other, and so many groups that stand apart with everybody's:
/// the work grows with the square.
const COMPARED: usize = 200;
const SUSPECTS: usize = 500;

/// People by name, with their pictures.
pub type People<'a> = [(&'a str, &'a [Usable])];

/// Pictures of one person that are alike, as indices.
pub type Group = Vec<usize>;

struct Suspect {
    person: usize,
    group: Group,
    /// How far the nearest of her other pictures is.
    own: f32,
    /// Person and picture that it is nearer to, and how near.
    other: (usize, usize, f32),
}

/// Person, picture, and what becomes of it. It stays, with a note, where nobody can say which one is wrong.
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
            "more like {} than like {name}: {apart:.2} from {}, {own:.2} from the nearest other of {name}",
            theirs.0, theirs.1[*other].file
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

/// Pictures that are like no other of their folder, where others are like each other.
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
            "unlike the other pictures: {own:.2} from the nearest, up to {UNLIKE} is good; if it is her, add a second \
             one like it"
        );
        (person, picture, Fate::Skipped(reason))
    })
}

/// Groups of pictures in each of which one leads to the other by steps of [`UNLIKE`].
pub fn alike<P: Borrow<Usable>>(pictures: &[P]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (at, picture) in pictures.iter().take(COMPARED).enumerate() {
        let is_like = |other: &usize| apart(pictures[*other].borrow(), picture.borrow()) <= UNLIKE;
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
    // Where all of a person's groups are suspects, as when two people's pictures were exchanged, most of them are right.
    for (person, groups) in groups.iter().enumerate() {
        let total: usize = groups.iter().map(Vec::len).sum();
        let all = suspects.iter().filter(|suspect| suspect.person == person).count() == groups.len();
        if let Some(most) = groups.iter().find(|group| all && group.len() * 2 > total) {
            suspects.retain(|suspect| suspect.person != person || suspect.group != *most);
        }
    }
    suspects
}

/// Person, picture and distance of the picture of somebody else that is nearest to the group.
fn nearest_of_others(people: &People, person: usize, group: &Group) -> Option<(usize, usize, f32)> {
    let own = |at: &usize| &people[person].1[*at];
    let others = people.iter().enumerate().filter(|(other, _)| *other != person);
    let pictures = others
        .flat_map(|(other, (_, pictures))| pictures.iter().enumerate().map(move |(at, picture)| (other, at, picture)));
    let nearest = pictures.filter_map(|(other, at, picture)| {
        let distance = group.iter().map(|own_at| apart(own(own_at), picture)).min_by(f32::total_cmp)?;
        Some((other, at, distance))
    });
    nearest.min_by(|a, b| a.2.total_cmp(&b.2))
}

fn nearest(pictures: &[Usable], of: usize, passes: impl Fn(usize) -> bool) -> Option<f32> {
    let others = pictures.iter().take(COMPARED).enumerate().filter(|(other, _)| passes(*other));
    others.map(|(_, picture)| apart(&pictures[of], picture)).min_by(f32::total_cmp)
}

fn apart(a: &Usable, b: &Usable) -> f32 {
    distance(&a.face.descriptor, &b.face.descriptor)
}

#[cfg(test)]
mod tests;
