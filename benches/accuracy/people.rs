//! The descriptors of people on which rates are measured, with one or more pictures per person.

use anyhow::{Context, bail, ensure};
use namecam::recognition::descriptor::{DESCRIPTOR_LEN, Descriptor};
use namecam::recognition::identify::cohort::DLIBS_OWN;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A person with the descriptors of their pictures.
#[derive(Clone)]
pub struct Person {
    pub name: String,
    /// The file name and the descriptor of each picture.
    pub pictures: Vec<(String, Descriptor)>,
}

impl Person {
    /// The group of a person who is named GROUP_NUMBER.
    pub fn group(&self) -> Option<&str> {
        let parts = self.name.rsplit_once('_').filter(|(_, number)| number.parse::<u64>().is_ok());
        parts.map(|(group, _)| group)
    }
}

/// Reads a file with 128 little-endian f32 per picture. Beside it, the same name with `.tsv` has a line per picture:
/// the name of the person, the file, and possibly more. The same name with `.model` has the SHA-256 of the model, which
/// must be `model_sha256`; without this file, the descriptors are of dlib's own model.
pub fn read_descriptors(file: &Path, model_sha256: &str) -> anyhow::Result<Vec<Person>> {
    let model = match std::fs::read_to_string(file.with_extension("model")) {
        Ok(model) => model.trim().to_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => DLIBS_OWN.to_owned(),
        Err(error) => bail!("{}: {error}", file.display()),
    };
    if model != model_sha256 {
        bail!("{} is of another model (SHA-256 {model}): name another file, or delete it", file.display());
    }
    let bytes = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let list: PathBuf = file.with_extension("tsv");
    let text = std::fs::read_to_string(&list).with_context(|| format!("{} cannot be read", list.display()))?;
    let rows = bytes.chunks_exact(DESCRIPTOR_LEN * 4);
    ensure!(rows.len() == text.lines().count(), "{} and {} differ in rows", file.display(), list.display());
    let mut people: BTreeMap<&str, Vec<(String, Descriptor)>> = BTreeMap::new();
    for (row, line) in rows.zip(text.lines()) {
        let mut cells = line.split('\t');
        let (name, picture) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
        let mut descriptor = [0.0; DESCRIPTOR_LEN];
        for (to, from) in descriptor.iter_mut().zip(row.as_chunks::<4>().0) {
            *to = f32::from_le_bytes(*from);
        }
        people.entry(name).or_default().push((picture.to_owned(), descriptor));
    }
    Ok(people.into_iter().map(|(name, pictures)| Person { name: name.to_owned(), pictures }).collect())
}

/// Writes the files that [`read_descriptors`] reads.
pub fn write_descriptors(file: &Path, people: &[Person], model_sha256: &str) -> anyhow::Result<()> {
    let (mut bytes, mut text) = (Vec::new(), String::new());
    for person in people {
        for (picture, descriptor) in &person.pictures {
            bytes.extend(descriptor.iter().flat_map(|v| v.to_le_bytes()));
            text += &format!("{}\t{picture}\n", person.name);
        }
    }
    // The descriptors are written last, because the other files are not used without them.
    std::fs::write(file.with_extension("model"), model_sha256)?;
    std::fs::write(file.with_extension("tsv"), text)?;
    std::fs::write(file, bytes).with_context(|| format!("{} cannot be written", file.display()))
}

/// The mean of descriptors.
pub fn mean<'a>(of: impl Iterator<Item = &'a Descriptor>) -> Descriptor {
    let (mut sum, mut count) = ([0.0; DESCRIPTOR_LEN], 0.0);
    for descriptor in of {
        sum.iter_mut().zip(descriptor).for_each(|(sum, v)| *sum += v);
        count += 1.0;
    }
    sum.map(|v| v / count)
}

/// A xorshift generator, which gives the same draws for the same seed.
pub struct Draw(pub u64);

impl Draw {
    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit.max(1)
    }

    /// `count` different numbers below `limit`, in random order.
    pub fn some(&mut self, count: usize, limit: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..limit).collect();
        for at in 0..count.min(limit) {
            let other = at + self.below(limit - at);
            all.swap(at, other);
        }
        all.truncate(count);
        all
    }
}
