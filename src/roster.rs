//! [`Roster`]: who is in the gallery, and what became of each picture. For `check`, the page and `/api/gallery`.

use serde::Serialize;

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
    pub sharpness: f32,
    /// Mean luma, 0 to 255.
    pub brightness: f32,
    /// Distance to the nearest other picture of the same person that is used; `None` without one.
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
    pub distance: f32,
    /// No name beyond that.
    pub outermost: f32,
    /// The share of strangers that may get a name; 0: no promise.
    pub false_name_budget: f32,
    /// The share of strangers that one look will give a name, measured on LFW; `None`: nobody is in the gallery.
    pub strangers_named: Option<f32>,
    /// The share of looks at known people that will give them their name, measured on LFW.
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

    /// How many files are not used.
    pub fn skipped(&self) -> usize {
        self.files().filter(|picture| picture.skipped.is_some()).count()
    }
}
