//! The cache of descriptors: a file in the state directory, with the content of the pictures as keys. It may be deleted
//! at any time; a damaged one or one of another model is rebuilt.

use crate::os::files;
use crate::recognition::descriptor::{DESCRIPTOR_LEN, Descriptor};
use crate::recognition::detect::quality::Quality;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The SHA-256 of a picture file.
pub type PictureKey = [u8; 32];

pub fn key_of(bytes: &[u8]) -> PictureKey {
    Sha256::digest(bytes).into()
}

/// The result of a picture: its face, or why it has none.
pub type Verdict = Result<Face, String>;

/// The only face on a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Face {
    pub descriptor: Descriptor,
    pub quality: Quality,
}

impl Face {
    /// The descriptor, width, sharpness and brightness, little-endian.
    const BYTES: usize = DESCRIPTOR_LEN * 4 + 12;

    pub(in crate::recognition) fn to_bytes(self) -> Vec<u8> {
        let Quality { width_px, sharpness, brightness } = self.quality;
        let mut bytes: Vec<u8> = self.descriptor.iter().flat_map(|v| v.to_le_bytes()).collect();
        bytes.extend([width_px.to_le_bytes(), sharpness.to_le_bytes(), brightness.to_le_bytes()].as_flattened());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Face> {
        let words = bytes.as_chunks::<4>().0;
        let (numbers, [width, sharpness, brightness]) = words.split_last_chunk::<3>()?;
        let mut descriptor = [0.0; DESCRIPTOR_LEN];
        for (to, from) in descriptor.iter_mut().zip(numbers) {
            *to = f32::from_le_bytes(*from);
        }
        let quality = Quality {
            width_px: u32::from_le_bytes(*width),
            sharpness: f32::from_le_bytes(*sharpness),
            brightness: f32::from_le_bytes(*brightness),
        };
        Some(Face { descriptor, quality })
    }
}

/// The cache. Saving it drops the rows that the newest enrolment did not use.
#[derive(Debug)]
pub struct Cache {
    file: Option<PathBuf>,
    /// The model and the options; descriptors of different ones must not be mixed.
    tag: String,
    rows: HashMap<PictureKey, (Verdict, bool)>,
    changed: bool,
}

/// The number is increased when the format or the meaning of rows changes; 3: sharpness is measured at 32 pixels.
const MAGIC: &[u8] = b"namecam descriptors 3\n";
/// The largest size of the file: 100,000 pictures take 57 MB.
const MAX_BYTES: u64 = 256 << 20;

/// The folder of the cache: the state directory of the unit, else the cache folder of the user.
pub fn folder() -> Option<PathBuf> {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(state) = var("STATE_DIRECTORY") {
        // systemd separates several directories by colons; the first one is used.
        return state.to_string_lossy().split(':').next().map(PathBuf::from);
    }
    let user = var("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(PathBuf::from(var("HOME")?).join(".cache")));
    user.map(|folder| folder.join("namecam"))
}

impl Cache {
    /// Reads the cache from `folder`; without a folder it is in memory only. `tag` identifies the model and the
    /// options.
    pub fn open(folder: Option<&Path>, tag: &str) -> Cache {
        let file = folder.map(|folder| folder.join("descriptors"));
        let mut cache = Cache { file, tag: tag.to_owned(), rows: HashMap::new(), changed: false };
        let Some(file) = &cache.file else { return cache };
        match std::fs::metadata(file) {
            Ok(meta) if meta.is_file() && meta.len() <= MAX_BYTES => {}
            _ => return cache,
        }
        match std::fs::read(file).map(|bytes| parse(&bytes, tag)) {
            Ok(Some(rows)) => cache.rows = rows,
            Ok(None) => {
                log::info!("cache {} is of another version or model, or damaged; it is rebuilt", file.display());
                cache.changed = true;
            }
            Err(error) => log::warn!("cache {} cannot be read ({error}); it is rebuilt", file.display()),
        }
        cache
    }

    /// Begins another enrolment.
    pub fn begin(&mut self) {
        self.rows.values_mut().for_each(|(_, used)| *used = false);
    }

    pub fn get(&mut self, key: &PictureKey) -> Option<Verdict> {
        let (verdict, used) = self.rows.get_mut(key)?;
        *used = true;
        Some(verdict.clone())
    }

    pub fn put(&mut self, key: PictureKey, verdict: Verdict) {
        self.rows.insert(key, (verdict, true));
        self.changed = true;
    }

    /// Drops the rows that were not used since [`Cache::begin`], and writes the rest if anything has changed.
    ///
    /// # Errors
    /// As [`Cache::write`].
    pub fn save(&mut self) -> std::io::Result<()> {
        let before = self.rows.len();
        self.rows.retain(|_, (_, used)| *used);
        self.changed |= self.rows.len() != before;
        self.write()
    }

    /// Writes all rows if anything has changed, for a caller that does not know which ones are still needed.
    ///
    /// # Errors
    /// When the file cannot be written; the old one is kept, and the next call tries again.
    pub fn write(&mut self) -> std::io::Result<()> {
        if let Some(file) = self.file.as_ref().filter(|_| self.changed) {
            if let Some(folder) = file.parent() {
                std::fs::create_dir_all(folder)?;
            }
            // Descriptors are biometric data: no other user may read the file.
            files::replace(file, &format(&self.rows, &self.tag))?;
        }
        self.changed = false;
        Ok(())
    }
}

/// MAGIC, tag and line end, rows, SHA-256 of all of that. A row: key, kind (0 face, 1 reason), length, data.
fn format(rows: &HashMap<PictureKey, (Verdict, bool)>, tag: &str) -> Vec<u8> {
    let mut out = [MAGIC, tag.as_bytes(), b"\n"].concat();
    for (key, (verdict, _)) in rows {
        out.extend_from_slice(key);
        let (kind, data) = match verdict {
            Ok(face) => (0, face.to_bytes()),
            Err(reason) => (1, reason.as_bytes().to_vec()),
        };
        out.push(kind);
        out.extend_from_slice(&(data.len() as u32).to_le_bytes());
        out.extend_from_slice(&data);
    }
    let sum = Sha256::digest(&out);
    out.extend_from_slice(&sum);
    out
}

fn parse(bytes: &[u8], tag: &str) -> Option<HashMap<PictureKey, (Verdict, bool)>> {
    let (content, sum) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
    if Sha256::digest(content).as_slice() != sum {
        return None;
    }
    let mut rest = content.strip_prefix(MAGIC)?.strip_prefix(tag.as_bytes())?.strip_prefix(b"\n")?;
    let mut rows = HashMap::new();
    while !rest.is_empty() {
        let (key, after) = rest.split_first_chunk::<32>()?;
        let (&kind, after) = after.split_first()?;
        let (length, after) = after.split_first_chunk::<4>()?;
        let (data, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        let verdict = match kind {
            0 if data.len() == Face::BYTES => Ok(Face::from_bytes(data)?),
            1 => Err(String::from_utf8(data.to_vec()).ok()?),
            _ => return None,
        };
        rows.insert(*key, (verdict, false));
        rest = after;
    }
    Some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face() -> Face {
        let quality = Quality { width_px: 97, sharpness: 0.25, brightness: 120.5 };
        Face { descriptor: [0.25; DESCRIPTOR_LEN], quality }
    }

    #[test]
    fn saved_rows_are_read_again_and_unused_ones_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let mut cache = Cache::open(Some(folder.path()), "model");
        cache.put([1; 32], Ok(face()));
        cache.put([2; 32], Err("no face".into()));
        cache.save().unwrap();
        let mut cache = Cache::open(Some(folder.path()), "model");
        assert_eq!(cache.get(&[1; 32]), Some(Ok(face())));
        let mut cache = Cache::open(Some(folder.path()), "model");
        assert_eq!(cache.get(&[2; 32]), Some(Err("no face".into())));
        cache.save().unwrap();
        let mut cache = Cache::open(Some(folder.path()), "model");
        assert_eq!(cache.get(&[1; 32]), None);
        assert!(cache.get(&[2; 32]).is_some());
    }

    #[test]
    fn another_model_a_truncation_and_a_flipped_bit_cause_a_rebuild() {
        let folder = tempfile::tempdir().unwrap();
        let mut cache = Cache::open(Some(folder.path()), "model");
        cache.put([1; 32], Ok(face()));
        cache.save().unwrap();
        let file = folder.path().join("descriptors");
        let whole = std::fs::read(&file).unwrap();
        assert!(Cache::open(Some(folder.path()), "other").rows.is_empty());
        for position in [0, 30, 100, whole.len() - 1] {
            let mut flipped = whole.clone();
            flipped[position] ^= 4;
            std::fs::write(&file, flipped).unwrap();
            assert!(Cache::open(Some(folder.path()), "model").rows.is_empty());
        }
        for length in 0..whole.len() {
            assert!(parse(&whole[..length], "model").is_none());
        }
    }

    #[test]
    fn after_a_failed_write_the_next_one_writes_everything_and_no_incomplete_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let mut cache = Cache::open(Some(folder.path()), "model");
        cache.put([1; 32], Ok(face()));
        // A folder instead of the file makes the rename fail.
        std::fs::create_dir(folder.path().join("descriptors")).unwrap();
        cache.save().unwrap_err();
        assert!(!folder.path().join("descriptors.new").exists());
        std::fs::remove_dir(folder.path().join("descriptors")).unwrap();
        assert!(cache.get(&[1; 32]).is_some());
        cache.save().unwrap();
        assert!(Cache::open(Some(folder.path()), "model").get(&[1; 32]).is_some());
    }

    #[test]
    fn write_keeps_rows_that_another_gallery_may_need() {
        let folder = tempfile::tempdir().unwrap();
        let mut cache = Cache::open(Some(folder.path()), "model");
        cache.put([1; 32], Ok(face()));
        cache.save().unwrap();
        let mut other = Cache::open(Some(folder.path()), "model");
        other.put([2; 32], Err("no face".into()));
        other.write().unwrap();
        assert_eq!(Cache::open(Some(folder.path()), "model").rows.len(), 2);
    }
}
