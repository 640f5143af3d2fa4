//! A person's folder while it is taken in: her pictures in name order, as many as are wanted.

use crate::recognition::cache::Verdict;
use crate::recognition::gallery::{Candidate, Folder};
use crate::recognition::hygiene::{self, Fate, Usable};
use crate::roster::Picture;
use std::collections::VecDeque;

/// For each picture that may count, so many are looked at, or a folder of ten thousand pictures of the sea would be searched
/// to its end.
const LOOKED_AT: usize = 10;

/// What is known of a person so far.
#[derive(Debug)]
pub struct Draft {
    /// The folder's name.
    pub name: String,
    /// Pictures with one face.
    pub usable: Vec<Usable>,
    /// Files that cannot be used, and why.
    pub unusable: Vec<Picture>,
    /// Pictures that nobody has looked at yet.
    waiting: VecDeque<Candidate>,
    /// Which of the usable ones are good and no copies.
    counted: Vec<usize>,
    looked_at: usize,
    /// How many may be used; `None`: all.
    most: Option<usize>,
    /// How many of those that count turned out to be somebody else's.
    lost: usize,
}

impl Draft {
    /// Of a folder, of which `most` pictures may be used.
    pub fn new(name: String, folder: Folder, most: Option<usize>) -> Draft {
        let (waiting, unusable) = (folder.candidates.into(), folder.passed_over);
        Draft { name, usable: Vec::new(), unusable, waiting, counted: Vec::new(), looked_at: 0, most, lost: 0 }
    }

    /// How many pictures nobody has looked at yet.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// True when another picture is to be taken in. Poor ones, copies and somebody else's do not count.
    pub fn wants_more(&self) -> bool {
        !self.waiting.is_empty()
            && self.most.is_none_or(|most| {
                self.counted.len() < most + self.lost && self.looked_at < most.saturating_mul(LOOKED_AT)
            })
    }

    /// The next picture to take in.
    pub fn next_picture(&mut self) -> Option<Candidate> {
        let candidate = self.wants_more().then(|| self.waiting.pop_front())??;
        self.looked_at += 1;
        Some(candidate)
    }

    /// Takes in what a picture gave.
    pub fn take(&mut self, candidate: Candidate, verdict: Verdict) {
        match verdict {
            Ok(face) => {
                let picture = Usable { file: candidate.shown, face };
                if hygiene::adds(&picture, self.counted.iter().map(|&at| &self.usable[at])) {
                    self.counted.push(self.usable.len());
                }
                self.usable.push(picture);
            }
            Err(reason) => self.unusable.push(Picture::skipped(&*candidate.shown, reason)),
        }
    }

    /// Learns what became of its pictures beside those of others.
    pub fn learn(&mut self, fates: &[Fate]) {
        self.lost = self.counted.iter().filter(|&&at| !fates[at].is_used()).count();
    }

    /// Why nobody will look at what still waits, when `used` pictures are used.
    pub fn leave_the_rest(&mut self, used: usize) {
        let Some(most) = self.most else { return };
        let reason = if used < most {
            format!(
                "not looked at: of the {} pictures before it only {used} can be used; take others out",
                self.looked_at
            )
        } else {
            too_many(most)
        };
        let rest = self.waiting.drain(..).map(|candidate| Picture::skipped(&*candidate.shown, reason.as_str()));
        self.unusable.extend(rest);
    }
}

/// Why a good picture is not used.
pub fn too_many(most: usize) -> String {
    format!("more than {most} pictures (gallery.max_images_per_person)")
}
