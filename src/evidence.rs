//! [`Evidence`]: why a face has the name that it has, or none.

use crate::sighting::{Near, round3};
use serde_json::{Value, json};
use std::sync::Arc;

/// What speaks for and against a name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence {
    /// Within which distance of the nearest person a name is given; `None` when there is nobody to compare with.
    pub limit: Option<f32>,
    /// The normalised score of the nearest person, and up to which score a name is given; `None` without a budget.
    pub score: Option<(f32, f32)>,
    /// By how much the score of the second person is greater than that of the first; without a budget, the distance. `None` where
    /// there is no second one, or where the face keeps a name that is not the first one's.
    pub margin: Option<f32>,
    /// The nearest pictures of the gallery, three at most, the nearest first.
    pub pictures: Vec<Near>,
    /// How many looks have been compared with the gallery.
    pub looks: u32,
    /// How many independent looks those are worth.
    pub effective_looks: f32,
    /// Width of the face in pixels of the frame, at the last look that was compared.
    pub width_px: u32,
    /// How sharp the face was there; see `recognition::quality`.
    pub sharpness: f32,
    /// Why it is named or not, in words.
    pub reason: String,
}

impl Evidence {
    /// As `/api/faces/TRACK` and `identify --json` show it. `admin`: file names of the gallery may be shown.
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
