//! The choice of pictures of a folder, with an engine that reads the descriptor from the first pixel: red and green are
//! the coordinates of a face in a plane, in hundredths.

use super::*;
use crate::recognition::descriptor::{DESCRIPTOR_LEN, Descriptor};
use std::fs;
use std::time::{Duration, SystemTime};

struct Plane {
    described: usize,
}

impl Engine for Plane {
    fn detect(&mut self, picture: &Rgb, _: f64) -> Vec<Rect> {
        vec![Rect { x: 0, y: 0, w: picture.width, h: picture.height }]
    }

    fn describe(&mut self, picture: &Rgb, faces: &[Rect], _: u32) -> Vec<Descriptor> {
        self.described += faces.len();
        let [x, y, _] = picture.pixel(0, 0);
        let mut descriptor = [0.0; DESCRIPTOR_LEN];
        (descriptor[0], descriptor[1]) = (f32::from(x) / 100.0, f32::from(y) / 100.0);
        vec![descriptor; faces.len()]
    }
}

/// A face of `width` pixels, sharp and of medium brightness.
fn put(root: &Path, file: &str, width: u32, [x, y]: [u8; 2]) {
    let pixel = |column: u32, line: u32| match (column, line) {
        (0, 0) => image::Rgb([x, y, 0]),
        _ => image::Rgb([if (column / 8 + line / 8) & 1 == 0 { 90 } else { 160 }; 3]),
    };
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    image::RgbImage::from_fn(width, width, pixel).save(&path).unwrap();
    let file = File::options().append(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(86_400)).unwrap();
}

/// The gallery with at most `most` pictures per person, and the number of computed descriptors.
fn enrol(root: &Path, most: u32) -> (Library, usize) {
    let mut config = Config::defaults(root);
    config.gallery.path = root.to_owned();
    config.gallery.max_images_per_person = most;
    let (mut plane, mut memory) = (Plane { described: 0 }, EnrolmentMemory::new(Cache::in_memory()));
    let now = Moment::now();
    let mut enrolment =
        Enrolment::begin(&config, Some(Arc::default()), &mut memory, EnrolmentCause::Reload, now).unwrap();
    while enrolment.step(&mut plane, &mut memory, now) {}
    (enrolment.finish(1), plane.described)
}

/// For each picture of a person in name order, `used` or the reason why it is not.
fn verdicts(library: &Library, name: &str) -> Vec<String> {
    let person = library.roster.people.iter().find(|person| person.name == name).unwrap();
    let verdict = |picture: &PictureReport| picture.skipped.clone().unwrap_or_else(|| "used".to_owned());
    person.pictures.iter().map(verdict).collect()
}

#[test]
fn a_copy_and_a_poor_picture_do_not_replace_a_good_one() {
    let root = tempfile::tempdir().unwrap();
    for (file, width, at) in [("1", 80, 10), ("2", 80, 11), ("3", 40, 60), ("4", 80, 40), ("5", 80, 70), ("6", 80, 100)]
    {
        put(root.path(), &format!("Alice/{file}.png"), width, [at, 0]);
    }
    let (library, described) = enrol(root.path(), 3);
    let said = verdicts(&library, "Alice");
    assert_eq!([&said[0], &said[4], &said[5]], ["used"; 3], "those that differ most: {said:?}");
    assert!(said[1].starts_with("the same as Alice/1.png") && said[2].starts_with("face is 40 px wide"), "{said:?}");
    let more = "more than 3 pictures (gallery.max_images_per_person); those that differ most are used";
    assert_eq!(described, 6);
    assert_eq!(said.iter().filter(|verdict| *verdict == more).count(), 1, "{said:?}");
}

#[test]
fn a_picture_of_another_person_displaces_no_picture() {
    let root = tempfile::tempdir().unwrap();
    for (file, at) in [("1", [0, 0]), ("2", [200, 20]), ("3", [30, 0]), ("4", [0, 30]), ("5", [30, 30])] {
        put(root.path(), &format!("Alice/{file}.png"), 80, at);
    }
    for (file, at) in [("1", [200, 0]), ("2", [230, 0])] {
        put(root.path(), &format!("Bob/{file}.png"), 80, at);
    }
    let (library, described) = enrol(root.path(), 4);
    let said = verdicts(&library, "Alice");
    assert!(said[1].starts_with("more like Bob than like Alice"), "{said:?}");
    assert_eq!([&said[0], &said[2], &said[3], &said[4]], ["used"; 4], "{said:?}");
    assert_eq!(described, 7);
}

#[test]
fn of_a_huge_folder_only_the_beginning_is_examined() {
    let root = tempfile::tempdir().unwrap();
    for number in 0..25 {
        // Each file differs, so that none is found in the cache.
        put(root.path(), &format!("Alice/{number:02}.png"), 80 + number, [10, 0]);
    }
    let (library, described) = enrol(root.path(), 2);
    let said = verdicts(&library, "Alice");
    assert_eq!((said[0].as_str(), described), ("used", 20));
    assert!(said[19].starts_with("the same as Alice/00.png"), "{said:?}");
    assert_eq!(said[24], "not examined: only 1 of the 20 pictures before it can be used; remove the unusable ones");
}

#[test]
fn a_picture_in_not_that_would_hide_a_person_gives_a_warning() {
    let root = tempfile::tempdir().unwrap();
    for (file, at) in [
        ("Alice/1", [0, 0]),
        ("Alice/2", [30, 0]),
        ("Bob/1", [0, 200]),
        (".not/poster", [15, 31]),
        (".not/postman", [200, 200]),
    ] {
        put(root.path(), &format!("{file}.png"), 80, at);
    }
    let (library, _) = enrol(root.path(), 5);
    let expected = "Alice and .not/poster.png are 0.31 apart: a face that looks more like that picture stays unknown. Take it \
                    out if it shows Alice; else more pictures of Alice help";
    assert_eq!(library.roster.warnings, [expected]);
}

#[test]
fn a_folder_of_several_people_gives_a_warning_and_is_used() {
    let root = tempfile::tempdir().unwrap();
    for (file, at) in [("dad", [0, 0]), ("mom", [86, 0]), ("son", [43, 75])] {
        put(root.path(), &format!("Family/{file}.png"), 80, at);
    }
    put(root.path(), "Bob/1.png", 80, [250, 250]);
    let (library, _) = enrol(root.path(), 5);
    assert_eq!(verdicts(&library, "Family"), ["used"; 3]);
    let expected =
        "Family: Family/dad.png, Family/mom.png and Family/son.png are 0.86 apart or more: is this one person?";
    assert_eq!(library.roster.warnings, [expected]);
}
