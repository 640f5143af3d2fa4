//! [`Roster`]: the people of the gallery, and the result of enrolling each picture. For `check`, the page and
//! `/api/gallery`.

use crate::rounding::decimals;
use serde::Serialize;

/// A file of the gallery, with the result of its enrolment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PictureReport {
    /// The path below the gallery, such as `Alice/1.jpg`; unprintable bytes are replaced.
    pub file: String,
    /// Why the picture is not used, as text; `None` when it is used.
    pub skipped: Option<String>,
    /// A remark about a picture that is used.
    pub note: Option<String>,
    /// The quality of the face; `None` unless the picture has exactly one face.
    pub face: Option<FaceNumbers>,
}

impl PictureReport {
    /// A file that is not used, with the reason.
    pub fn skipped(file: impl Into<String>, reason: impl Into<String>) -> PictureReport {
        PictureReport { file: file.into(), skipped: Some(reason.into()), note: None, face: None }
    }

    /// True when the file needs attention.
    pub fn is_doubtful(&self) -> bool {
        self.skipped.is_some() || self.note.is_some()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FaceNumbers {
    /// The width of the face in pixels.
    pub width_px: u32,
    /// The sharpness; see `recognition::quality`.
    #[serde(serialize_with = "decimals::<3, _>")]
    pub sharpness: f32,
    /// The mean luma, 0 to 255.
    #[serde(serialize_with = "decimals::<1, _>")]
    pub brightness: f32,
    /// The distance to the closest other used picture of the same person; `None` without one.
    #[serde(serialize_with = "decimals::<3, _>")]
    pub nearest_own: Option<f32>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Person {
    /// The name of the folder in NFC.
    pub name: String,
    /// The pictures of the person in name order.
    pub pictures: Vec<PictureReport>,
    /// The mean distance of the used pictures from their mean; `None` for fewer than two.
    #[serde(serialize_with = "decimals::<3, _>")]
    pub spread: Option<f32>,
    /// Advice on better pictures.
    pub hint: Option<String>,
}

impl Person {
    pub fn used(&self) -> usize {
        self.pictures.iter().filter(|picture| picture.skipped.is_none()).count()
    }
}

/// The distance up to which a face gets a name, with the reason and the expected error rates.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Threshold {
    /// The metric of distances.
    pub metric: &'static str,
    /// The threshold for a single descriptor and a person with the most common number of pictures.
    #[serde(serialize_with = "decimals::<3, _>")]
    pub distance: f32,
    /// The largest distance at which any face gets a name.
    #[serde(serialize_with = "decimals::<3, _>")]
    pub outermost: f32,
    /// The share of strangers who may wrongly get a name; 0 without a limit.
    #[serde(serialize_with = "decimals::<6, _>")]
    pub false_name_budget: f32,
    /// The name of the measured rates that were used; `None` when none are known for the recognition model.
    pub rates: Option<String>,
    /// The expected share of strangers of the gallery's own group who get a name from a single descriptor; `None` for
    /// an empty gallery.
    #[serde(serialize_with = "decimals::<6, _>")]
    pub strangers_named: Option<f32>,
    /// The upper bound of that share, measured with groups of people.
    #[serde(serialize_with = "decimals::<6, _>")]
    pub strangers_named_at_most: Option<f32>,
    /// True when the people of the gallery are more similar to each other than those of any group of the cohort; `None`
    /// with too few people to tell, and without a budget.
    pub denser_than_cohort: Option<bool>,
    /// The expected share of known people who get their name from a single descriptor, as measured.
    #[serde(serialize_with = "decimals::<4, _>")]
    pub known_named: Option<f32>,
    /// The reason for the distance, as text.
    pub why: String,
}

/// The result of enrolling the gallery.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Roster {
    /// The number of the gallery since the start, from 1.
    pub generation: u64,
    /// The people in name order.
    pub people: Vec<Person>,
    /// The pictures of the blocklist `.not`, whose people never get a name.
    pub never: Vec<PictureReport>,
    /// Files that are not in a person's folder, with the reason why they are ignored.
    pub ignored: Vec<PictureReport>,
    /// Warnings about the gallery as a whole.
    pub warnings: Vec<String>,
    /// The threshold in use; `None` before the first gallery.
    pub threshold: Option<Threshold>,
}

impl Roster {
    /// The number of people with at least one used picture.
    pub fn known(&self) -> usize {
        self.people.iter().filter(|person| person.used() > 0).count()
    }

    pub fn used(&self) -> usize {
        self.people.iter().map(Person::used).sum()
    }

    pub fn files(&self) -> impl Iterator<Item = &PictureReport> {
        let of_people = self.people.iter().flat_map(|person| &person.pictures);
        of_people.chain(&self.never).chain(&self.ignored)
    }

    /// A line for each file that is not used or has a remark.
    pub fn remarks(&self) -> impl Iterator<Item = String> {
        self.files().filter_map(|PictureReport { file, skipped, note, .. }| match (skipped, note) {
            (Some(reason), _) => Some(format!("{file} is skipped: {reason}")),
            (None, Some(note)) => Some(format!("{file} is used, but {note}")),
            (None, None) => None,
        })
    }

    /// The number of files that are not used.
    pub fn skipped(&self) -> usize {
        self.files().filter(|picture| picture.skipped.is_some()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roster() -> Roster {
        let face = FaceNumbers { width_px: 97, sharpness: 0.3, brightness: 120.26, nearest_own: None };
        let note = Some("face is 41 px wide".to_owned());
        let pictures = vec![PictureReport { file: "Alice/1.jpg".into(), skipped: None, note, face: Some(face) }];
        Roster {
            people: vec![Person { name: "Alice".into(), pictures, spread: Some(0.207_000_02), hint: None }],
            never: vec![PictureReport::skipped(".not/poster.jpg", "no face found")],
            ignored: vec![PictureReport::skipped("stray.jpg", "not in a person's folder")],
            threshold: Some(Threshold {
                metric: "euclidean",
                distance: 0.487_001,
                outermost: 0.6,
                false_name_budget: 0.005,
                rates: None,
                strangers_named: Some(0.000_001),
                strangers_named_at_most: Some(0.012_4),
                denser_than_cohort: None,
                known_named: None,
                why: String::new(),
            }),
            ..Roster::default()
        }
    }

    #[test]
    fn numbers_are_rounded_in_json() {
        let json = serde_json::to_value(roster()).unwrap().to_string();
        for part in [
            r#""sharpness":0.3,"brightness":120.3,"nearest_own":null"#,
            r#""spread":0.207,"#,
            r#""distance":0.487,"outermost":0.6,"false_name_budget":0.005,"rates":null,"strangers_named":1e-6,"strangers_named_at_most":0.0124,"denser_than_cohort":null,"known_named":null"#,
        ] {
            assert!(json.contains(part), "{part} in {json}");
        }
    }

    #[test]
    fn each_problem_of_a_file_is_remarked_once() {
        let all = [
            "Alice/1.jpg is used, but face is 41 px wide",
            ".not/poster.jpg is skipped: no face found",
            "stray.jpg is skipped: not in a person's folder",
        ];
        assert!(roster().remarks().eq(all));
    }
}
