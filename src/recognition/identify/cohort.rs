//! The cohort: descriptors that stand for many groups of people and belong to no real person, and the normalisation of
//! distances by them.
//!
//! dlib's network places the faces of some groups of people nearer to each other than those of other groups, so the
//! meaning of a distance depends on the template and the probe. A distance is therefore compared with the distances
//! from the template, and from the probe, to their nearest members of the cohort. This is adaptive symmetric score
//! normalisation (AS-norm; Matejka et al., Analysis of Score Normalization in Multilingual Speaker Recognition,
//! Interspeech 2017).

use crate::config::Metric;
use crate::os::files::hex;
use crate::recognition::descriptor::{DESCRIPTOR_LEN, Descriptor, shown, squared_distance, unit};
use anyhow::{Context, anyhow, bail, ensure};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// How many of the nearest members normalise a distance. Of the values from 10 to 60, measured on people who are in
/// neither the cohort nor the tables, 60 names most known people at the same rate of named strangers.
const NEAREST: usize = 60;
/// The least standard deviation of those distances, as a part of their mean. A descriptor that is equally far from all
/// members would otherwise turn a small difference into a large score.
const LEAST_DEVIATION: f32 = 0.01;
/// The first line of a file. It changes with the format.
const MAGIC: &str = "namecam cohort 1";
/// The allowed number of members in a file. Fewer members do not represent the groups; each member costs time at every
/// look.
const MEMBERS: std::ops::RangeInclusive<usize> = 2 * NEAREST..=4096;
/// The largest size of a file.
const MAX_BYTES: u64 = 1 << 20;
/// The remedy in error messages about a file.
const REMEDY: &str = "make it anew (make cohort DESCRIPTORS=FILE RECOGNIZER=FILE), or remove it";
/// The SHA-256 of the recognition model whose rates are built in.
pub const DLIBS_OWN: &str = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30";
/// The cohort of dlib's own model, made by `make cohort`.
const BUILT_IN: &[u8] = include_bytes!("cohort/dlib.cohort");

/// Descriptors that stand for people who are not in the gallery.
#[derive(Debug)]
pub struct Cohort {
    /// The origin of the cohort, as text for users.
    pub source: String,
    members: Vec<Descriptor>,
    /// The members scaled to length 1, for cosine distances; computed at the first use.
    units: OnceLock<Vec<Descriptor>>,
    /// The normal of each member among the other members, for each metric; computed at the first use.
    own_normals: [OnceLock<Vec<Normal>>; 2],
}

impl PartialEq for Cohort {
    fn eq(&self, other: &Cohort) -> bool {
        self.source == other.source && self.members == other.members
    }
}

/// The mean and the deviation of the distances from a descriptor to its nearest members of the cohort.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normal {
    /// The mean of the distances.
    pub mean: f32,
    /// The standard deviation of the distances.
    pub deviation: f32,
}

impl Normal {
    /// The normalised score of a `distance` between two descriptors with these normals: the number of deviations
    /// between the distance and the mean distance of strangers, averaged over both normals. Smaller is nearer.
    pub fn score(self, other: Normal, distance: f32) -> f32 {
        0.5 * ((distance - self.mean) / self.deviation + (distance - other.mean) / other.deviation)
    }

    /// The distance at which two descriptors with these normals have that score.
    pub fn distance_at(self, other: Normal, score: f32) -> f32 {
        let offset = self.mean / self.deviation + other.mean / other.deviation;
        (2.0 * score + offset) / (1.0 / self.deviation + 1.0 / other.deviation)
    }

    /// The normal of the distances to members, which may be in any order.
    pub(in crate::recognition) fn of(distances: Vec<f32>) -> Normal {
        Normal::and_reach(distances).0
    }

    /// The normal, and the distance beyond which members do not affect it.
    pub(in crate::recognition) fn and_reach(mut distances: Vec<f32>) -> (Normal, f32) {
        let (nearest, reach) = match distances.len() {
            // Without members every score is NaN, and no name is given.
            0 => return (Normal { mean: f32::NAN, deviation: f32::NAN }, f32::INFINITY),
            all if all > NEAREST => {
                let (nearest, next, _) = distances.select_nth_unstable_by(NEAREST, f32::total_cmp);
                (nearest, *next)
            }
            _ => (&mut distances[..], f32::INFINITY),
        };
        let count = nearest.len() as f32;
        let mean = nearest.iter().sum::<f32>() / count;
        let variance = nearest.iter().map(|d| (d - mean) * (d - mean)).sum::<f32>() / count;
        (Normal { mean, deviation: variance.sqrt().max(mean * LEAST_DEVIATION) }, reach)
    }
}

impl Cohort {
    /// A cohort of these members. `source` is their origin, as text for users.
    pub fn new(source: String, members: Vec<Descriptor>) -> Cohort {
        Cohort { source, members, units: OnceLock::new(), own_normals: Default::default() }
    }

    /// The cohort of dlib's own recognition model.
    pub fn built_in() -> Arc<Cohort> {
        static COHORT: OnceLock<Arc<Cohort>> = OnceLock::new();
        // A test parses it, so the error does not occur; an empty cohort names nobody.
        let empty = |_| Cohort::new(String::new(), Vec::new());
        Arc::clone(COHORT.get_or_init(|| Arc::new(parse(BUILT_IN, DLIBS_OWN).unwrap_or_else(empty))))
    }

    /// The members, prepared for distances of `metric`.
    pub fn members(&self, metric: Metric) -> &[Descriptor] {
        match metric {
            Metric::Euclidean => &self.members,
            Metric::Cosine => self.units.get_or_init(|| self.members.iter().map(unit).collect()),
        }
    }

    /// The normal of a descriptor among the members and `strangers`. All descriptors are prepared for `metric`.
    pub fn normal(&self, metric: Metric, prepared: &Descriptor, strangers: &[Descriptor]) -> Normal {
        Normal::of(self.distances(metric, prepared, strangers))
    }

    /// The distances from a descriptor to the members, followed by those to `strangers`. All descriptors are prepared
    /// for `metric`.
    pub(in crate::recognition) fn distances(
        &self,
        metric: Metric,
        prepared: &Descriptor,
        strangers: &[Descriptor],
    ) -> Vec<f32> {
        let members = self.members(metric).iter().chain(strangers);
        members.map(|member| shown(metric, squared_distance(prepared, member))).collect()
    }

    /// The normal of each member among the other members. The members act as strangers in estimates for a gallery.
    pub fn own_normals(&self, metric: Metric) -> &[Normal] {
        let members = self.members(metric);
        let normal = |(at, member): (usize, &Descriptor)| {
            let others = members.iter().enumerate().filter(|(other, _)| *other != at);
            Normal::of(others.map(|(_, other)| shown(metric, squared_distance(member, other))).collect())
        };
        self.own_normals[metric as usize].get_or_init(|| members.iter().enumerate().map(normal).collect())
    }
}

/// Reads the cohort of the model whose SHA-256 is `sha256`; `None` when the file does not exist.
///
/// # Errors
/// When the file is for another model, is truncated, or is not in the format of [`bytes`]. The error names the file and
/// the remedy.
pub fn read(path: &Path, sha256: &str) -> anyhow::Result<Option<Cohort>> {
    let Some(bytes) = content(path, MAX_BYTES, REMEDY)? else { return Ok(None) };
    parse(&bytes, sha256).map(Some).map_err(|error| anyhow!("{}: {error}; {REMEDY}", path.display()))
}

/// The content of a file beside a model, of at most `most` bytes; `None` when the file does not exist.
///
/// # Errors
/// When the file is longer or cannot be read. The error names the file, and may contain `remedy`.
pub(super) fn content(path: &Path, most: u64, remedy: &str) -> anyhow::Result<Option<Vec<u8>>> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(anyhow!("{} cannot be read: {error}", path.display())),
    };
    let mut bytes = Vec::new();
    let length = file.take(most + 1).read_to_end(&mut bytes);
    let length = length.with_context(|| format!("{} cannot be read; {remedy}", path.display()))?;
    ensure!(length as u64 <= most, "{} is longer than {most} bytes; {remedy}", path.display());
    Ok(Some(bytes))
}

/// Parses the format of [`bytes`]: lines `label: value`, an empty line, and 128 signed bytes per member, in units of
/// `step`.
///
/// # Errors
/// Describes what is wrong with the file.
pub fn parse(bytes: &[u8], sha256: &str) -> anyhow::Result<Cohort> {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n").context("its header has no end")?;
    let header = std::str::from_utf8(&bytes[..end]).context("its header is no text")?;
    let (mut lines, body) = (header.lines(), &bytes[end + 2..]);
    let first = lines.next().unwrap_or_default();
    ensure!(first == MAGIC, "its first line must be {MAGIC:?}");
    let mut value = |label: &str| {
        let line = lines.next().unwrap_or_default();
        let value = line.strip_prefix(label).and_then(|rest| rest.strip_prefix(": "));
        value.map(str::to_owned).with_context(|| format!("a line {label:?} must follow, not {line:.60?}"))
    };
    let (source, model, step, members, body_sha256) =
        (value("source")?, value("model")?, value("step")?, value("members")?, value("sha256")?);
    if model != sha256 {
        bail!("it is of the model with SHA-256 {model}, and the one beside it has {sha256}");
    }
    let step: f32 = step.parse().ok().filter(|step: &f32| *step > 0.0 && *step < 1.0).context("step is no number")?;
    let members: usize = members
        .parse()
        .ok()
        .filter(|count| MEMBERS.contains(count))
        .with_context(|| format!("members must be a number from {} to {}", MEMBERS.start(), MEMBERS.end()))?;
    ensure!(
        body.len() == members * DESCRIPTOR_LEN,
        "{} bytes must follow the header, and {} do",
        members * DESCRIPTOR_LEN,
        body.len()
    );
    ensure!(hex(&Sha256::digest(body)) == body_sha256, "it is damaged: its SHA-256 is another one");
    let rows = body.as_chunks::<DESCRIPTOR_LEN>().0.iter();
    Ok(Cohort::new(source, rows.map(|row| row.map(|byte| f32::from(byte.cast_signed()) * step)).collect()))
}

/// The content of the file of a cohort. It depends only on the members, the source and the model.
///
/// # Errors
/// When [`parse`] would refuse the file.
pub fn bytes(cohort: &Cohort, sha256: &str) -> anyhow::Result<Vec<u8>> {
    let largest = cohort.members.iter().flatten().fold(0.0f32, |largest, v| largest.max(v.abs()));
    let step = largest / 127.0;
    let body: Vec<u8> = cohort.members.iter().flatten().map(|v| ((v / step).round() as i8).cast_unsigned()).collect();
    let header = format!(
        "{MAGIC}\nsource: {}\nmodel: {sha256}\nstep: {step:e}\nmembers: {}\nsha256: {}\n\n",
        cohort.source.replace('\n', " "),
        cohort.members.len(),
        hex(&Sha256::digest(&body))
    );
    let file = [header.into_bytes(), body].concat();
    parse(&file, sha256)?;
    Ok(file)
}

/// Parses any bytes as a cohort.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let _ = parse(bytes, DLIBS_OWN);
}

#[cfg(test)]
pub(in crate::recognition) mod tests {
    use super::*;

    /// The mean of the built-in cohort. Tests place their descriptors around it, where real descriptors are.
    pub fn center() -> Descriptor {
        let cohort = Cohort::built_in();
        crate::recognition::descriptor::mean(cohort.members.iter().map(|member| (*member, 1.0)))
    }

    #[test]
    fn the_built_in_cohort_can_be_read_and_is_small() {
        let cohort = parse(BUILT_IN, DLIBS_OWN).unwrap();
        assert!(cohort.members.len() >= 1000 && BUILT_IN.len() <= 200_000, "{} bytes", BUILT_IN.len());
        assert!(cohort.source.contains("FairFace") && cohort.source.contains("CC BY 4.0"), "{}", cohort.source);
        assert_eq!(bytes(&cohort, DLIBS_OWN).unwrap(), BUILT_IN);
    }

    #[test]
    fn a_file_that_is_cut_short_damaged_or_of_another_model_is_refused_with_its_name_and_a_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.dat.cohort");
        assert!(read(&path, DLIBS_OWN).unwrap().is_none());
        let head = BUILT_IN.windows(2).position(|pair| pair == b"\n\n").unwrap();
        let header = String::from_utf8(BUILT_IN[..head + 2].to_vec()).unwrap();
        let with = |from: &str, to: &str| {
            let changed = header.replacen(from, to, 1);
            assert_ne!(changed, header, "{from}");
            [changed.as_bytes(), &BUILT_IN[head + 2..]].concat()
        };
        let step = header.lines().find(|line| line.starts_with("step: ")).unwrap();
        let mut flipped = BUILT_IN.to_vec();
        flipped[head + 1000] ^= 1;
        for (bytes, said) in [
            (BUILT_IN[..BUILT_IN.len() - 1].to_vec(), "bytes must follow"),
            (BUILT_IN[..head].to_vec(), "no end"),
            (Vec::new(), "no end"),
            ([BUILT_IN, b"x"].concat(), "bytes must follow"),
            (flipped, "damaged"),
            (with(MAGIC, "namecam cohort 2"), "first line"),
            (with("model: 5", "model: 6"), "SHA-256 65"),
            (with(step, "step: NaN"), "step is no number"),
            (with(step, "step: inf"), "step is no number"),
            (with("members: ", "members: 9"), "members must be"),
            (vec![b' '; 2 << 20], "longer than"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let error = read(&path, DLIBS_OWN).unwrap_err().to_string();
            assert!(error.contains("mine.dat.cohort") && error.contains(said), "{said}: {error}");
            assert!(error.contains("make cohort"), "{error}");
        }
    }

    #[test]
    fn a_score_and_the_distance_that_has_it_are_each_others_inverse() {
        let (a, b) = (Normal { mean: 0.6, deviation: 0.03 }, Normal { mean: 0.5, deviation: 0.02 });
        for distance in [0.2, 0.45, 0.6] {
            assert!((a.distance_at(b, a.score(b, distance)) - distance).abs() < 1e-6);
        }
        assert_eq!(a.score(b, 0.55), b.score(a, 0.55));
    }

    #[test]
    fn a_descriptor_among_neighbours_is_nearer_to_the_cohort_and_one_without_a_cohort_has_no_score() {
        let cohort = Cohort::built_in();
        let far = cohort.members[0].map(|v| v * 3.0);
        let normal = |descriptor: &Descriptor| cohort.normal(Metric::Euclidean, descriptor, &[]);
        assert!(normal(&cohort.members[0]).mean < normal(&far).mean);
        let equal = Cohort::new(String::new(), vec![[0.1; DESCRIPTOR_LEN]; 200]);
        let normal = equal.normal(Metric::Euclidean, &[0.0; DESCRIPTOR_LEN], &[]);
        assert!((normal.deviation - normal.mean * LEAST_DEVIATION).abs() < 1e-6);
        let empty = Cohort::new(String::new(), Vec::new());
        assert!(empty.normal(Metric::Cosine, &far, &[]).score(normal, 0.1).is_nan());
    }
}
