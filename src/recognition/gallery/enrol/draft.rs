//! The enrolment of a person's folder: processes the pictures in name order, until there are enough to choose from.

use crate::gallery::list::{Candidate, Folder};
use crate::recognition::gallery::cache::Verdict;
use crate::recognition::gallery::curate::{self, Usable};
use crate::roster::PictureReport;
use std::collections::VecDeque;

/// The pictures that are examined per allowed picture, so that a large folder without faces is not read completely.
const LOOKED_AT: usize = 10;
/// The number of good pictures per allowed picture among which the most different ones are chosen.
const CHOICE: usize = 3;

#[derive(Debug)]
pub struct Draft {
    /// The name of the folder.
    pub name: String,
    /// Pictures with one face.
    pub usable: Vec<Usable>,
    /// Files that cannot be used, with the reason.
    pub unusable: Vec<PictureReport>,
    waiting: VecDeque<Candidate>,
    /// The usable pictures that are good and not copies.
    counted: Vec<usize>,
    looked_at: usize,
    /// The most pictures to use; `None` for all.
    most: Option<usize>,
}

impl Draft {
    /// A draft of a folder of which at most `most` pictures are used.
    pub fn new(name: String, folder: Folder, most: Option<usize>) -> Draft {
        let (waiting, unusable) = (folder.candidates.into(), folder.passed_over);
        Draft { name, usable: Vec::new(), unusable, waiting, counted: Vec::new(), looked_at: 0, most }
    }

    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The next picture to examine; `None` when there are enough. Poor pictures and copies do not count.
    pub fn next_picture(&mut self) -> Option<Candidate> {
        let is_enough = |most: usize| {
            self.counted.len() >= most.saturating_mul(CHOICE) || self.looked_at >= most.saturating_mul(LOOKED_AT)
        };
        if self.most.is_some_and(is_enough) {
            return None;
        }
        let candidate = self.waiting.pop_front()?;
        self.looked_at += 1;
        Some(candidate)
    }

    pub fn take(&mut self, candidate: Candidate, verdict: Verdict) {
        match verdict {
            Ok(face) => {
                let picture = Usable { file: candidate.shown, face };
                if curate::adds(&picture, self.counted.iter().map(|&at| &self.usable[at])) {
                    self.counted.push(self.usable.len());
                }
                self.usable.push(picture);
            }
            Err(reason) => self.unusable.push(PictureReport::skipped(&*candidate.shown, reason)),
        }
    }

    /// Skips the remaining pictures, with the reason, when `used` pictures are used.
    pub fn leave_the_rest(&mut self, used: usize) {
        let Some(most) = self.most else { return };
        let reason = if used < most {
            format!(
                "not examined: only {used} of the {} pictures before it can be used; remove the unusable ones",
                self.looked_at
            )
        } else {
            too_many(most)
        };
        let rest = self.waiting.drain(..).map(|candidate| PictureReport::skipped(&*candidate.shown, reason.as_str()));
        self.unusable.extend(rest);
    }
}

/// Why a good picture is not used.
pub fn too_many(most: usize) -> String {
    format!("more than {most} pictures (gallery.max_images_per_person); those that differ most are used")
}
