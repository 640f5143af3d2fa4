//! [`Evidence`]: why a face has its name, or none.

use crate::sighting::{Near, round3};
use serde_json::{Value, json};
use std::sync::Arc;

/// The evidence for or against a name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence {
    /// The distance to the closest person up to which the face gets a name; `None` without people in the gallery.
    pub limit: Option<f32>,
    /// The normalised score of the closest person, and the score up to which the face gets a name; `None` without a
    /// budget.
    pub score: Option<(f32, f32)>,
    /// By how much the score of the second person is greater than that of the first; without a budget, the distance. `None` where
    /// there is no second one, or where the face keeps a name that is not the first one's.
    pub margin: Option<f32>,
    /// The closest pictures of the gallery, at most three, the closest first.
    pub pictures: Vec<Near>,
    /// The number of passes whose descriptors were compared with the gallery.
    pub looks: u32,
    /// The number of independent descriptors to which those are equivalent.
    pub effective_looks: f32,
    /// The width of the face in pixels of the frame, at the last comparison.
    pub width_px: u32,
    /// The sharpness of the face at that comparison; see `recognition::quality`.
    pub sharpness: f32,
    /// The reason as text.
    pub reason: String,
}

impl Evidence {
    /// The JSON of `/api/faces/TRACK` and `identify --json`. File names of the gallery are included only for an
    /// `admin`.
    pub fn json(&self, admin: bool) -> Value {
        let pictures = self.pictures.iter().map(|near| {
            let file = admin.then(|| Arc::clone(&near.what));
            json!({"file": file, "distance": round3(near.distance)})
        });
        json!({
            "threshold": self.limit.map(round3),
            "score": self.score.map(|(score, _)| round3(score)),
            "score_limit": self.score.map(|(_, limit)| round3(limit)),
            "margin": self.margin.map(round3),
            "nearest_pictures": pictures.collect::<Vec<_>>(),
            "looks": self.looks,
            "effective_looks": round3(self.effective_looks),
            "width_px": self.width_px,
            "sharpness": round3(self.sharpness),
            "why": self.reason,
        })
    }
}
