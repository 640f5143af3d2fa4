//! Descriptors on a line: a picture at 0.3 is 0.3 away from one at 0.

use super::*;
use crate::recognition::descriptor::DESCRIPTOR_LEN;
use crate::recognition::detect::quality::Quality;
use crate::recognition::gallery::cache::Face;

fn pictures(at: &[f32]) -> Vec<Usable> {
    let picture = |(number, at): (usize, &f32)| {
        let mut descriptor = [0.0; DESCRIPTOR_LEN];
        descriptor[3] = *at;
        Usable { file: format!("{}.jpg", number + 1).into(), face: Face { descriptor, quality: Quality::default() } }
    };
    at.iter().enumerate().map(picture).collect()
}

/// "Alice 3: more like Bob" for each reported picture, with a question mark when it stays in use.
fn told(people: &[(&str, &[f32])]) -> Vec<String> {
    let albums: Vec<(&str, Vec<Usable>)> = people.iter().map(|(name, at)| (*name, pictures(at))).collect();
    let borrowed: Vec<(&str, &[Usable])> = albums.iter().map(|(name, album)| (*name, &album[..])).collect();
    let mut told: Vec<String> = misplaced(&borrowed)
        .into_iter()
        .map(|(person, picture, fate)| {
            let (reason, stays) = match fate {
                Fate::Skipped(reason) => (reason, ""),
                Fate::UsedBut(reason) => (reason, "?"),
                Fate::Used => unreachable!("it is not reported"),
            };
            let words: Vec<&str> = reason.split(' ').take(3).collect();
            format!("{} {}: {}{stays}", people[person].0, picture + 1, words.join(" "))
        })
        .collect();
    told.sort();
    told
}

#[test]
fn a_picture_in_the_wrong_folder_is_reported_with_its_person_in_any_order() {
    let bob = ("Bob", &[2.0, 2.3][..]);
    assert_eq!(told(&[("Alice", &[0.0, 0.2, 2.1]), bob]), ["Alice 3: more like Bob"]);
    assert_eq!(told(&[bob, ("Alice", &[2.1, 0.2, 0.0])]), ["Alice 1: more like Bob"]);
    assert_eq!(told(&[("Alice", &[0.0, 2.1]), bob]), ["Alice 2: more like Bob"]);
}

#[test]
fn most_pictures_of_a_folder_may_show_another_person() {
    let bob = ("Bob", &[2.0, 2.3][..]);
    assert_eq!(told(&[("Alice", &[0.0, 2.1, 2.2]), bob]), ["Alice 2: more like Bob", "Alice 3: more like Bob"]);
    // When all do, nothing in the folder contradicts.
    assert_eq!(told(&[("Alice", &[2.1, 2.2]), bob]), [""; 0]);
}

#[test]
fn two_exchanged_pictures_are_reported_when_others_confirm_it() {
    let exchanged = [("Alice", &[0.0, 0.1, 2.1][..]), ("Bob", &[2.0, 2.2, 0.2])];
    assert_eq!(told(&exchanged), ["Alice 3: more like Bob", "Bob 3: more like Alice"]);
    let all_stay = [1, 2].map(|at| format!("Alice {at}: more like Bob?"));
    let no_witness = told(&[("Alice", &[0.0, 2.1]), ("Bob", &[2.0, 0.2])]);
    assert_eq!((no_witness.len(), &no_witness[..2]), (4, &all_stay[..]));
}

#[test]
fn a_picture_unlike_all_others_is_left_out_and_a_pair_of_them_stays() {
    assert_eq!(told(&[("Alice", &[0.0, 0.5, 1.2])]), ["Alice 3: unlike the other"]);
    assert_eq!(told(&[("Alice", &[0.0, 0.5, 1.2, 1.3])]), [""; 0], "a child who grew up");
    assert_eq!(told(&[("Alice", &[0.0, 1.1, 0.55, 1.6])]), [""; 0], "each is close to the next one");
    assert_eq!(told(&[("Alice", &[0.0, 5.0])]), [""; 0], "which of them?");
}

#[test]
fn twins_keep_their_pictures() {
    assert_eq!(told(&[("Minho", &[0.0, 0.5]), ("Jiho", &[0.3, 0.45, 0.8])]), [""; 0]);
}
