//! [`Roster`]: who is in the gallery, and what became of each picture. For `check`, the page and `/api/gallery`.

use serde::{Serialize, Serializer};

/// What became of one file of the gallery.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Picture {
    /// Its path below the gallery, `Alice/1.jpg`; unprintable bytes replaced.
    pub file: String,
    /// `None`: it is used. Otherwise why it is not, in words for a person.
    pub skipped: Option<String>,
    /// What should be known of a picture that is used.
    pub note: Option<String>,
    /// How well its face can be seen; `None` without one face.
    pub face: Option<FaceNumbers>,
}

impl Picture {
    /// A file that is not used, and why.
    pub fn skipped(file: impl Into<String>, reason: impl Into<String>) -> Picture {
        Picture { file: file.into(), skipped: Some(reason.into()), note: None, face: None }
    }

    /// True when somebody should look at it.
    pub fn is_doubtful(&self) -> bool {
        self.skipped.is_some() || self.note.is_some()
    }
}

/// The numbers that pictures are judged by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FaceNumbers {
    /// Width of the face, pixels.
    pub width_px: u32,
    /// How sharp it is; see `recognition::quality`.
    #[serde(serialize_with = "thousandths")]
    pub sharpness: f32,
    /// Mean luma, 0 to 255.
    #[serde(serialize_with = "tenths")]
    pub brightness: f32,
    /// Distance to the nearest other picture of the same person that is used; `None` without one.
    #[serde(serialize_with = "thousandths")]
    pub nearest_own: Option<f32>,
}

/// A folder of the gallery.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Person {
    /// The folder's name in NFC.
    pub name: String,
    /// Her pictures in name order.
    pub pictures: Vec<Picture>,
    /// The mean distance of those that are used from their mean; `None` of fewer than two.
    #[serde(serialize_with = "thousandths")]
    pub spread: Option<f32>,
    /// What could be done for her to be known better.
    pub hint: Option<String>,
}

impl Person {
    /// How many of her pictures are used.
    pub fn used(&self) -> usize {
        self.pictures.iter().filter(|picture| picture.skipped.is_none()).count()
    }
}

/// Within which distance a face gets a name, why, and how often that will be right.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Threshold {
    /// What distances are measured in.
    pub metric: &'static str,
    /// For one look at a face, against a person with as many pictures as most have.
    #[serde(serialize_with = "thousandths")]
    pub distance: f32,
    /// No name beyond that.
    #[serde(serialize_with = "thousandths")]
    pub outermost: f32,
    /// The share of strangers that may get a name; 0: no promise.
    #[serde(serialize_with = "millionths")]
    pub false_name_budget: f32,
    /// Whose measured rates that follows from; `None`: nothing is known of the recognition model.
    pub rates: Option<String>,
    /// The share of strangers of the gallery's own group that one look is expected to give a name; `None`: nobody is in the
    /// gallery.
    #[serde(serialize_with = "ten_thousandths")]
    pub strangers_named: Option<f32>,
    /// What that share does not exceed, as measured of groups of people.
    #[serde(serialize_with = "ten_thousandths")]
    pub strangers_named_at_most: Option<f32>,
    /// True when the people of the gallery are nearer to each other than those of any group that the cohort covers; `None`
    /// where they are too few to tell.
    pub denser_than_cohort: Option<bool>,
    /// The share of looks at known people that will give them their name, as measured.
    #[serde(serialize_with = "ten_thousandths")]
    pub known_named: Option<f32>,
    /// Why it is that distance, in words.
    pub why: String,
}

/// The gallery as it was loaded.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Roster {
    /// Counts the galleries since start: 1 is the first.
    pub generation: u64,
    /// In name order.
    pub people: Vec<Person>,
    /// Pictures in `.not`: who looks like them is never named.
    pub never: Vec<Picture>,
    /// What lies in the gallery but is nobody's picture, and why it is passed over.
    pub ignored: Vec<Picture>,
    /// What was wrong with the gallery as a whole.
    pub warnings: Vec<String>,
    /// The threshold at work; `None` before the first gallery.
    pub threshold: Option<Threshold>,
}

/// Whoever reads the JSON sees the number that decided, not 0.30000001192.
fn rounded<S: Serializer>(value: impl Into<Option<f32>>, per_one: f64, to: S) -> Result<S::Ok, S::Error> {
    value.into().map(|value| (f64::from(value) * per_one).round() / per_one).serialize(to)
}

fn tenths<S: Serializer>(value: &(impl Into<Option<f32>> + Copy), to: S) -> Result<S::Ok, S::Error> {
    rounded(*value, 10.0, to)
}

fn thousandths<S: Serializer>(value: &(impl Into<Option<f32>> + Copy), to: S) -> Result<S::Ok, S::Error> {
    rounded(*value, 1e3, to)
}

fn ten_thousandths<S: Serializer>(value: &(impl Into<Option<f32>> + Copy), to: S) -> Result<S::Ok, S::Error> {
    rounded(*value, 1e4, to)
}

fn millionths<S: Serializer>(value: &(impl Into<Option<f32>> + Copy), to: S) -> Result<S::Ok, S::Error> {
    rounded(*value, 1e6, to)
}

impl Roster {
    /// How many people have at least one picture that is used.
    pub fn known(&self) -> usize {
        self.people.iter().filter(|person| person.used() > 0).count()
    }

    /// How many pictures are used.
    pub fn used(&self) -> usize {
        self.people.iter().map(Person::used).sum()
    }

    /// Every file that was found.
    pub fn files(&self) -> impl Iterator<Item = &Picture> {
        let of_people = self.people.iter().flat_map(|person| &person.pictures);
        of_people.chain(&self.never).chain(&self.ignored)
    }

    /// A line for each file that is not used, or is used although something should be known of it.
    pub fn remarks(&self) -> impl Iterator<Item = String> {
        self.files().filter_map(|Picture { file, skipped, note, .. }| match (skipped, note) {
            (Some(reason), _) => Some(format!("{file} is skipped: {reason}")),
            (None, Some(note)) => Some(format!("{file} is used, but {note}")),
            (None, None) => None,
        })
    }

    /// How many files are not used.
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
        let pictures = vec![Picture { file: "Alice/1.jpg".into(), skipped: None, note, face: Some(face) }];
        Roster {
            people: vec![Person { name: "Alice".into(), pictures, spread: Some(0.207_000_02), hint: None }],
            never: vec![Picture::skipped(".not/poster.jpg", "no face found")],
            ignored: vec![Picture::skipped("stray.jpg", "lies beside the folders")],
            threshold: Some(Threshold {
                metric: "euclidean",
                distance: 0.487_001,
                outermost: 0.6,
                false_name_budget: 0.005,
                rates: None,
                strangers_named: Some(0.004_123_4),
                strangers_named_at_most: Some(0.012_4),
                denser_than_cohort: None,
                known_named: None,
                why: String::new(),
            }),
            ..Roster::default()
        }
    }

    #[test]
    fn numbers_are_rounded_where_somebody_reads_them() {
        let json = serde_json::to_value(roster()).unwrap().to_string();
        for part in [
            r#""sharpness":0.3,"brightness":120.3,"nearest_own":null"#,
            r#""spread":0.207,"#,
            r#""distance":0.487,"outermost":0.6,"false_name_budget":0.005,"rates":null,"strangers_named":0.0041,"strangers_named_at_most":0.0124,"denser_than_cohort":null,"known_named":null"#,
        ] {
            assert!(json.contains(part), "{part} in {json}");
        }
    }

    #[test]
    fn whatever_is_wrong_with_a_file_is_remarked_once() {
        let all = [
            "Alice/1.jpg is used, but face is 41 px wide",
            ".not/poster.jpg is skipped: no face found",
            "stray.jpg is skipped: lies beside the folders",
        ];
        assert!(roster().remarks().eq(all));
    }
}
