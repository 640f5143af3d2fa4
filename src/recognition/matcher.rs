//! Who is nearest: an exact scan over a flat matrix of descriptors. At 100,000 pictures it takes milliseconds
//! (`make bench`), so there is no index that could be wrong.

use super::{DESCRIPTOR_LEN, Descriptor};
use crate::config::Metric;
use crate::sighting::Near;
use std::sync::Arc;

/// The descriptors of a gallery, a row a picture, rows of a person together.
#[derive(Debug, Clone)]
pub struct Matcher {
    metric: Metric,
    rows: Vec<f32>,
    /// Whose picture a row is, as an index into `people`.
    owners: Vec<u32>,
    files: Vec<Arc<str>>,
    people: Vec<Arc<str>>,
}

/// Who a probe looks like.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// The nearest person.
    pub best: Near,
    /// The second nearest person.
    pub runner_up: Option<Near>,
    /// The nearest picture.
    pub picture: Near,
}

impl Matcher {
    /// An empty gallery.
    pub fn new(metric: Metric) -> Matcher {
        Matcher { metric, rows: Vec::new(), owners: Vec::new(), files: Vec::new(), people: Vec::new() }
    }

    /// Adds a person with the files and descriptors of her pictures.
    pub fn add(&mut self, name: &str, pictures: impl IntoIterator<Item = (Arc<str>, Descriptor)>) {
        let owner = self.people.len() as u32;
        let before = self.owners.len();
        for (file, descriptor) in pictures {
            match self.metric {
                Metric::Euclidean => self.rows.extend_from_slice(&descriptor),
                Metric::Cosine => self.rows.extend_from_slice(&unit(&descriptor)),
            }
            self.owners.push(owner);
            self.files.push(file);
        }
        if self.owners.len() > before {
            self.people.push(name.into());
        }
    }

    /// What its distances are measured in.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// How many people there are.
    pub fn people(&self) -> usize {
        self.people.len()
    }

    /// How many pictures there are.
    pub fn pictures(&self) -> usize {
        self.owners.len()
    }

    /// The nearest person, the second nearest, and the nearest picture. `None` when the gallery is empty or the probe
    /// is not a number.
    pub fn find(&self, probe: &Descriptor) -> Option<Match> {
        let probe = match self.metric {
            Metric::Euclidean => *probe,
            Metric::Cosine => unit(probe),
        };
        // (score, row) of the best picture, and the score of the best picture of another person.
        let (mut best, mut second) = ((f32::INFINITY, usize::MAX), (f32::INFINITY, usize::MAX));
        for (row, descriptor) in self.rows.chunks_exact(DESCRIPTOR_LEN).enumerate() {
            let score = squared_distance(&probe, descriptor);
            if score < best.0 {
                if best.1 != usize::MAX && self.owners[row] != self.owners[best.1] {
                    second = best;
                }
                best = (score, row);
            } else if score < second.0 && self.owners[row] != self.owners[best.1] {
                second = (score, row);
            }
        }
        let person = |(score, row): (f32, usize)| {
            let owner = *self.owners.get(row)?;
            Some(Near { what: Arc::clone(&self.people[owner as usize]), distance: self.distance(score) })
        };
        let picture = Near { what: Arc::clone(self.files.get(best.1)?), distance: self.distance(best.0) };
        Some(Match { best: person(best)?, runner_up: person(second), picture })
    }

    /// From the squared distance that the scan compares to the distance that people see. For unit vectors
    /// |a - b|² = 2 (1 - cos), so the cosine distance 1 - cos is half of it.
    fn distance(&self, squared: f32) -> f32 {
        match self.metric {
            Metric::Euclidean => squared.sqrt(),
            Metric::Cosine => squared / 2.0,
        }
    }
}

fn unit(descriptor: &Descriptor) -> Descriptor {
    let length = descriptor.iter().map(|v| v * v).sum::<f32>().sqrt();
    descriptor.map(|v| v / length)
}

/// Eight sums side by side: the compiler makes one vector register of them.
fn squared_distance(a: &Descriptor, b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        for lane in 0..8 {
            let difference = a[lane] - b[lane];
            sums[lane] += difference * difference;
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(x: f32, y: f32) -> Descriptor {
        let mut d = [0.0; DESCRIPTOR_LEN];
        (d[0], d[127]) = (x, y);
        d
    }

    fn gallery(metric: Metric) -> Matcher {
        let mut matcher = Matcher::new(metric);
        matcher.add("Alice", [("a1".into(), descriptor(1.0, 0.0)), ("a2".into(), descriptor(0.9, 0.0))]);
        matcher.add("Nobody", []);
        matcher.add("Bob", [("b1".into(), descriptor(0.0, 1.0))]);
        matcher
    }

    #[test]
    fn the_runner_up_is_another_person_not_another_picture() {
        let found = gallery(Metric::Euclidean).find(&descriptor(0.8, 0.0)).unwrap();
        assert_eq!((&*found.best.what, &*found.picture.what), ("Alice", "a2"));
        assert!((found.best.distance - 0.1).abs() < 1e-6);
        let runner_up = found.runner_up.unwrap();
        assert_eq!(&*runner_up.what, "Bob");
        assert!((runner_up.distance - (0.64f32 + 1.0).sqrt()).abs() < 1e-6);
    }

    #[test]
    fn the_order_of_people_does_not_matter() {
        let found = gallery(Metric::Euclidean).find(&descriptor(0.1, 0.9)).unwrap();
        assert_eq!(&*found.best.what, "Bob");
        assert_eq!(&*found.runner_up.unwrap().what, "Alice");
    }

    #[test]
    fn the_cosine_distance_is_one_less_the_cosine_whatever_the_lengths() {
        let found = gallery(Metric::Cosine).find(&descriptor(3.0, 3.0)).unwrap();
        assert!((found.best.distance - (1.0 - 0.5f32.sqrt())).abs() < 1e-6);
    }

    #[test]
    fn an_empty_gallery_and_a_probe_of_nan_match_nobody() {
        assert_eq!(Matcher::new(Metric::Euclidean).find(&descriptor(0.0, 0.0)), None);
        assert_eq!(gallery(Metric::Euclidean).find(&[f32::NAN; DESCRIPTOR_LEN]), None);
        assert_eq!(gallery(Metric::Euclidean).people(), 2);
    }
}
