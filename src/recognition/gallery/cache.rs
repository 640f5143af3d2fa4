//! The cache of descriptors: a file per gallery in the state folder, with the hashes of pictures as keys. The files may
//! be deleted at any time; a damaged file, or one of another model, is rebuilt. Descriptors are biometric data, so the
//! file of a deleted gallery is deleted by the next run with any gallery.

use crate::os::files::{self, hex};
use crate::recognition::descriptor::{DESCRIPTOR_LEN, Descriptor};
use crate::recognition::detect::quality::Quality;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
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

/// The gallery whose descriptors a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Owner {
    /// The folder of the gallery, absolute and without symbolic links.
    gallery: PathBuf,
    /// The mount point of its file system.
    mount: PathBuf,
}

impl Owner {
    fn of(gallery: &Path) -> io::Result<Owner> {
        let gallery = fs::canonicalize(gallery)?;
        if !gallery.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Owner { mount: mount_point(&gallery)?, gallery })
    }

    /// The name of the cache file. Sixteen digits suffice, because the file contains the whole owner, which is
    /// compared.
    fn file_name(&self) -> String {
        format!("{NAME}-{}", &hex(&Sha256::digest(self.to_bytes()))[..DIGITS])
    }

    /// True when the gallery was deleted or moved. A gallery is not deleted while its file system is not mounted, or
    /// when it cannot be examined.
    fn is_gone(&self) -> bool {
        let is_mounted = || mount_point(&self.mount).is_ok_and(|mount| mount == self.mount);
        match Owner::of(&self.gallery) {
            Ok(found) => found != *self && is_mounted(),
            Err(error) => {
                matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) && is_mounted()
            }
        }
    }

    /// Both paths, each preceded by its length, because a path may contain any byte except 0.
    fn to_bytes(&self) -> Vec<u8> {
        let parts = [&self.gallery, &self.mount].map(|path| path.as_os_str().as_bytes());
        parts.iter().flat_map(|path| [&(path.len() as u32).to_le_bytes()[..], path].concat()).collect()
    }

    /// The owner at the beginning of `bytes`, and the rest.
    fn from_bytes(bytes: &[u8]) -> Option<(Owner, &[u8])> {
        let path = |bytes: &'_ [u8]| -> Option<(PathBuf, usize)> {
            let (length, rest) = bytes.split_first_chunk::<4>()?;
            let path = rest.get(..u32::from_le_bytes(*length) as usize)?;
            Some((OsStr::from_bytes(path).into(), 4 + path.len()))
        };
        let (gallery, length) = path(bytes)?;
        let rest = &bytes[length..];
        let (mount, length) = path(rest)?;
        Some((Owner { gallery, mount }, &rest[length..]))
    }
}

/// The mount point of the file system of `path`, an absolute path without symbolic links.
fn mount_point(path: &Path) -> io::Result<PathBuf> {
    let device = fs::metadata(path)?.dev();
    let same = |folder: &&Path| fs::metadata(folder).is_ok_and(|found| found.dev() == device);
    Ok(path.ancestors().take_while(same).last().unwrap_or(path).to_owned())
}

/// The cache of a gallery. Saving it drops the rows that the newest enrolment did not use.
#[derive(Debug)]
pub struct Cache {
    /// `None` without a folder or a gallery; the rows are in memory only then.
    file: Option<PathBuf>,
    /// `None` when the gallery does not exist.
    owner: Option<Owner>,
    /// The model and the options; descriptors of different ones must not be mixed.
    tag: String,
    rows: HashMap<PictureKey, (Verdict, bool)>,
    changed: bool,
}

/// The number changes with the format or the meaning of rows. Since 4, a file belongs to a gallery.
const MAGIC: &[u8] = b"namecam descriptors 4\n";
/// The largest size of a file, and of all files together: 100,000 pictures take 57 MB.
const MAX_BYTES: u64 = 256 << 20;
/// The most files. When there are more, those with the oldest modification are deleted.
const MAX_FILES: usize = 32;
/// The most bytes before the rows: MAGIC and two paths.
const MAX_HEAD: u64 = 3 * 4096;
/// The prefix of file names. Version 0.1.0 had one file of this name for all galleries.
const NAME: &str = "descriptors";
/// The number of hexadecimal digits after the prefix.
const DIGITS: usize = 16;

/// The folder of the cache: the state folder of the systemd unit, or else the cache folder of the user.
pub fn folder() -> Option<PathBuf> {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(state) = var("STATE_DIRECTORY") {
        // systemd separates several folders by colons; the first one is used.
        return state.to_string_lossy().split(':').next().map(PathBuf::from);
    }
    let user = var("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(PathBuf::from(var("HOME")?).join(".cache")));
    user.map(|folder| folder.join("namecam"))
}

/// Deletes the cache of `gallery` in `folder`. The next enrolment describes all pictures again.
///
/// # Errors
/// When the file cannot be deleted.
pub fn forget(folder: &Path, gallery: &Path) -> io::Result<()> {
    Owner::of(gallery).map_or(Ok(()), |owner| delete(&folder.join(owner.file_name())))
}

impl Cache {
    /// A cache without a file and without a gallery.
    pub fn in_memory() -> Cache {
        Cache { file: None, owner: None, tag: String::new(), rows: HashMap::new(), changed: false }
    }

    /// Reads the cache of `gallery` from `folder`, and deletes the caches of galleries that are gone; without a folder
    /// the cache is in memory only. `tag` identifies the model and the options.
    pub fn open(folder: Option<&Path>, gallery: &Path, tag: &str) -> Cache {
        let owner = Owner::of(gallery).ok();
        let mut cache = Cache { owner, tag: tag.to_owned(), ..Cache::in_memory() };
        let Some(folder) = folder else { return cache };
        cache.file = cache.owner.as_ref().map(|owner| folder.join(owner.file_name()));
        if let Err(error) = sweep(folder, cache.file.as_deref()) {
            log::warn!("{error}");
        }
        let (Some(file), Some(owner)) = (&cache.file, &cache.owner) else { return cache };
        match fs::metadata(file) {
            Ok(meta) if meta.is_file() && meta.len() <= MAX_BYTES => {}
            _ => return cache,
        }
        match fs::read(file).map(|bytes| parse(&bytes, owner, tag)) {
            Ok(Some(rows)) => cache.rows = rows,
            Ok(None) => {
                log::info!("cache {} is of another version or model, or damaged; it is rebuilt", file.display());
                cache.changed = true;
            }
            Err(error) => log::warn!("cache {} cannot be read ({error}); it is rebuilt", file.display()),
        }
        cache
    }

    /// True when this is the cache of the gallery at the path `gallery` with these options.
    pub fn is_of(&self, gallery: &Path, tag: &str) -> bool {
        self.tag == tag && self.owner == Owner::of(gallery).ok()
    }

    /// Begins an enrolment: marks all rows as unused.
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

    /// Drops the rows that were not used since [`Cache::begin`], writes the rest if anything has changed, and deletes
    /// the caches of galleries that are gone.
    ///
    /// # Errors
    /// As [`Cache::write`], or when a file cannot be deleted.
    pub fn save(&mut self) -> io::Result<()> {
        let before = self.rows.len();
        self.rows.retain(|_, (_, used)| *used);
        self.changed |= self.rows.len() != before;
        self.write()?;
        self.file.as_deref().and_then(Path::parent).map_or(Ok(()), |folder| sweep(folder, self.file.as_deref()))
    }

    /// Writes all rows if anything has changed, including rows that may turn out to be unused. Without rows there is no
    /// file.
    ///
    /// # Errors
    /// When the file cannot be written; the old file is kept, and the next call tries again.
    pub fn write(&mut self) -> io::Result<()> {
        if let (Some(file), Some(owner), true) = (&self.file, &self.owner, self.changed) {
            let bytes = format(&self.rows, owner, &self.tag);
            if self.rows.is_empty() || bytes.len() as u64 > MAX_BYTES {
                delete(file)?;
            } else {
                file.parent().map_or(Ok(()), fs::create_dir_all)?;
                // Descriptors are biometric data: no other user may read the file.
                files::replace(file, &bytes)?;
            }
            if bytes.len() as u64 > MAX_BYTES {
                return Err(io::Error::other(format!("it would be larger than {} MiB", MAX_BYTES >> 20)));
            }
        }
        self.changed = false;
        Ok(())
    }
}

/// Deletes the caches in `folder` whose gallery is gone, those of another version, and incomplete files that a killed
/// program left. `own` is not deleted. Of the other caches the newest stay, up to the bounds.
fn sweep(folder: &Path, own: Option<&Path>) -> io::Result<()> {
    let mut kept = Vec::new();
    let mut result = Ok(());
    // A folder that does not exist yet has no files.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let (true, Some(writer)) = (own != Some(&path), writer_of(&entry.file_name())) else { continue };
        let Some(metadata) = entry.metadata().ok().filter(fs::Metadata::is_file) else { continue };
        if writer.is_some_and(files::is_another_process) {
            continue;
        }
        match owner_of(&path).filter(|_| writer.is_none()) {
            Some(owner) if !owner.is_gone() => kept.push((metadata.modified().ok(), metadata.len(), path)),
            owner => {
                if let Some(owner) = owner {
                    log::info!("the gallery {} is gone; its descriptors are deleted", owner.gallery.display());
                }
                result = result.and(delete(&path));
            }
        }
    }
    kept.sort_by(|a, b| b.cmp(a));
    let mut bytes = own.and_then(|own| fs::metadata(own).ok()).map_or(0, |own| own.len());
    for (at, (_, length, path)) in kept.iter().enumerate() {
        bytes = bytes.saturating_add(*length);
        if at + 1 >= MAX_FILES || bytes > MAX_BYTES {
            result = result.and(delete(path));
        }
    }
    result
}

/// The number of the process that writes an incomplete file, which is at the end of its name, see [`files::replace`];
/// `Some(None)` for a complete file, and `None` for a file that is not a cache.
fn writer_of(name: &OsStr) -> Option<Option<u32>> {
    let rest = name.to_str()?.strip_prefix(NAME)?;
    let (digits, writer) = rest.split_once('.').map_or((rest, None), |(digits, writer)| (digits, Some(writer)));
    let is_hash = |digits: &str| digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !(digits.is_empty() || digits.strip_prefix('-').is_some_and(is_hash)) {
        return None;
    }
    // Former versions wrote the number alone.
    let number = |writer: &str| writer.strip_suffix(files::INCOMPLETE).unwrap_or(writer).parse().ok();
    writer.map(number).map_or(Some(None), |writer| writer.map(Some))
}

/// The owner of a cache file; `None` when it is of another version or cannot be read.
fn owner_of(file: &Path) -> Option<Owner> {
    let mut head = Vec::new();
    File::open(file).ok()?.take(MAX_HEAD).read_to_end(&mut head).ok()?;
    Some(Owner::from_bytes(head.strip_prefix(MAGIC)?)?.0)
}

/// Deletes a file, unless another process has deleted it.
fn delete(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io::Error::new(error.kind(), format!("cannot delete {}: {error}", file.display())))
        }
        _ => Ok(()),
    }
}

/// The format of a file: MAGIC, owner, tag, line end, rows, SHA-256 of all of that. A row: key, kind (0 face, 1
/// reason), length, data.
fn format(rows: &HashMap<PictureKey, (Verdict, bool)>, owner: &Owner, tag: &str) -> Vec<u8> {
    let mut out = [MAGIC, &owner.to_bytes(), tag.as_bytes(), b"\n"].concat();
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

fn parse(bytes: &[u8], owner: &Owner, tag: &str) -> Option<HashMap<PictureKey, (Verdict, bool)>> {
    let (content, sum) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
    if Sha256::digest(content).as_slice() != sum {
        return None;
    }
    let (found, rest) = Owner::from_bytes(content.strip_prefix(MAGIC)?)?;
    let mut rest = rest.strip_prefix(tag.as_bytes())?.strip_prefix(b"\n")?;
    if found != *owner {
        return None;
    }
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

/// Parses a cache with any bytes as rows and a valid checksum: either all rows are read, or none.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let owner = Owner { gallery: "/gallery".into(), mount: "/".into() };
    let mut file = [MAGIC, &owner.to_bytes()[..], b"tag\n", bytes].concat();
    file.extend(Sha256::digest(&file));
    if let Some(rows) = parse(&file, &owner, "tag") {
        let again = parse(&format(&rows, &owner, "tag"), &owner, "tag").map(|rows| rows.len());
        assert_eq!(again, Some(rows.len()));
    }
    parse(bytes, &owner, "tag");
    Owner::from_bytes(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder for caches and galleries with these names.
    fn scene(galleries: &[&str]) -> (tempfile::TempDir, Vec<PathBuf>) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("caches")).unwrap();
        let galleries: Vec<PathBuf> = galleries.iter().map(|name| root.path().join(name)).collect();
        galleries.iter().for_each(|gallery| fs::create_dir_all(gallery).unwrap());
        (root, galleries)
    }

    fn caches(root: &tempfile::TempDir) -> PathBuf {
        root.path().join("caches")
    }

    fn open(root: &tempfile::TempDir, gallery: &Path) -> Cache {
        Cache::open(Some(&caches(root)), gallery, "model")
    }

    /// Runs an enrolment of these pictures; returns how many were described.
    fn run(root: &tempfile::TempDir, gallery: &Path, pictures: &[u8]) -> usize {
        let mut cache = open(root, gallery);
        cache.begin();
        let unknown: Vec<_> = pictures.iter().filter(|picture| cache.get(&[**picture; 32]).is_none()).collect();
        unknown.iter().for_each(|picture| cache.put([**picture; 32], Ok(face())));
        cache.save().unwrap();
        unknown.len()
    }

    fn files_in(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    fn face() -> Face {
        let quality = Quality { width_px: 97, sharpness: 0.25, brightness: 120.5 };
        Face { descriptor: [0.25; DESCRIPTOR_LEN], quality }
    }

    #[test]
    fn saved_rows_are_read_again_and_unused_ones_are_dropped() {
        let (root, galleries) = scene(&["gallery"]);
        let mut cache = open(&root, &galleries[0]);
        cache.put([1; 32], Ok(face()));
        cache.put([2; 32], Err("no face".into()));
        cache.save().unwrap();
        let mut cache = open(&root, &galleries[0]);
        assert_eq!(cache.get(&[1; 32]), Some(Ok(face())));
        let mut cache = open(&root, &galleries[0]);
        assert_eq!(cache.get(&[2; 32]), Some(Err("no face".into())));
        cache.save().unwrap();
        let mut cache = open(&root, &galleries[0]);
        assert_eq!(cache.get(&[1; 32]), None);
        assert!(cache.get(&[2; 32]).is_some());
    }

    #[test]
    fn alternating_galleries_describe_no_picture_twice_and_each_drops_only_its_own_rows() {
        let (root, galleries) = scene(&["one", "two", "empty"]);
        let [one, two, empty] = &galleries[..] else { panic!() };
        assert_eq!((run(&root, one, &[1, 2, 9]), run(&root, two, &[3, 9]), run(&root, empty, &[])), (3, 2, 0));
        assert_eq!(files_in(&caches(&root)).len(), 2, "an empty gallery has no file");
        assert_eq!((run(&root, one, &[1, 2, 9]), run(&root, two, &[3, 9]), run(&root, empty, &[])), (0, 0, 0));
        run(&root, one, &[1]);
        let has = |gallery: &Path, picture: u8| open(&root, gallery).get(&[picture; 32]).is_some();
        assert!(has(one, 1) && !has(one, 2) && !has(one, 9) && has(two, 3) && has(two, 9));
        run(&root, one, &[]);
        assert_eq!(files_in(&caches(&root)), [Owner::of(two).unwrap().file_name()], "the pictures of one are gone");
    }

    #[test]
    fn a_gallery_has_one_cache_for_all_its_paths() {
        let (root, galleries) = scene(&["gallery", "other"]);
        let link = root.path().join("link");
        std::os::unix::fs::symlink(&galleries[0], &link).unwrap();
        let relative: PathBuf = std::env::current_dir().unwrap().components().skip(1).map(|_| "..").collect();
        let relative = relative.join(galleries[0].strip_prefix("/").unwrap());
        assert_eq!(run(&root, &galleries[0], &[1, 2]), 2);
        for same in [&link, &relative, &galleries[0].join("."), &galleries[1].join("../gallery/"), &link.join(".")] {
            assert_eq!(run(&root, same, &[1, 2]), 0, "{}", same.display());
        }
        // Now the link leads to another gallery.
        let was = open(&root, &link);
        assert!(was.is_of(&link, "model") && was.is_of(&galleries[0], "model") && !was.is_of(&link, "other"));
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&galleries[1], &link).unwrap();
        assert!(!was.is_of(&link, "model"));
        assert_eq!((run(&root, &link, &[3]), run(&root, &galleries[0], &[1, 2])), (1, 0));
    }

    #[test]
    fn the_cache_of_a_deleted_or_moved_gallery_is_deleted_by_the_next_run() {
        let (root, galleries) = scene(&["gone", "moved", "a file", "stays"]);
        let stays = Owner::of(&galleries[3]).unwrap().file_name();
        for (at, gallery) in galleries.iter().enumerate() {
            run(&root, gallery, &[at as u8]);
        }
        assert_eq!(files_in(&caches(&root)).len(), 4);
        fs::remove_dir(&galleries[0]).unwrap();
        fs::rename(&galleries[1], root.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(root.path().join("elsewhere"), &galleries[1]).unwrap();
        fs::remove_dir(&galleries[2]).unwrap();
        fs::write(&galleries[2], "").unwrap();
        let mut last = open(&root, &galleries[3]);
        assert_eq!(files_in(&caches(&root)), std::slice::from_ref(&stays));
        // A program that keeps running deletes them with each gallery that it enrols.
        let (another, more) = scene(&["more"]);
        run(&root, &more[0], &[7]);
        assert_eq!(files_in(&caches(&root)).len(), 2);
        drop(another);
        last.begin();
        assert!(last.get(&[3; 32]).is_some());
        last.save().unwrap();
        assert_eq!(files_in(&caches(&root)), [stays]);
        fs::remove_dir(&galleries[3]).unwrap();
        let mut none = open(&root, &galleries[3]);
        assert_eq!(files_in(&caches(&root)), [""; 0], "its own gallery is gone");
        none.put([1; 32], Ok(face()));
        none.save().unwrap();
        assert_eq!(files_in(&caches(&root)), [""; 0]);
    }

    #[test]
    fn a_gallery_whose_file_system_is_not_mounted_is_not_gone() {
        let (root, galleries) = scene(&["stick/gallery", "stays"]);
        let root_path = root.path().canonicalize().unwrap();
        let mount = mount_point(&root_path).unwrap();
        let owner = |gallery: &str, mount: PathBuf| Owner { gallery: root_path.join(gallery), mount };
        assert!(!owner("stick/gallery", mount.clone()).is_gone());
        assert!(owner("stick/other", mount.clone()).is_gone());
        // No file system is mounted at these paths, so the galleries are on another one.
        for place in ["stick", "stick/gallery", "nowhere"] {
            let unmounted = owner("stick/gallery", root_path.join(place));
            assert!(!unmounted.is_gone(), "{place}");
            assert!(!owner(&format!("{place}/other"), root_path.join(place)).is_gone(), "{place}");
            assert_ne!(unmounted.file_name(), Owner::of(&galleries[0]).unwrap().file_name());
        }
        // /proc is another file system than /.
        assert_eq!(mount_point(Path::new("/proc/self/fd")).unwrap(), Path::new("/proc"));
        assert!(Owner { gallery: "/proc/gallery".into(), mount: "/proc".into() }.is_gone());
    }

    #[test]
    fn the_file_of_0_1_0_and_incomplete_files_of_killed_programs_are_deleted_and_no_others() {
        let (root, galleries) = scene(&["gallery"]);
        let own = Owner::of(&galleries[0]).unwrap().file_name();
        let write = |name: &str| fs::write(caches(&root).join(name), "namecam descriptors 3\nAlice").unwrap();
        // No process has a number as large as that; 1 always runs.
        let (dead, running, this) = (u32::MAX, 1, std::process::id());
        for name in ["descriptors", "descriptors-0123456789abcdef"] {
            write(name);
            for writer in [dead, running, this] {
                ["", ".new"].iter().for_each(|end| write(&format!("{name}.{writer}{end}")));
            }
        }
        let others = ["descriptors-1", "descriptors.old", "descriptors.txt", "descriptors2", "rates"];
        others.iter().for_each(|name| write(name));
        fs::create_dir(caches(&root).join("descriptors-00000000000000ff")).unwrap();
        run(&root, &galleries[0], &[1]);
        let mut expected = others.map(str::to_owned).to_vec();
        expected.extend(
            [
                "descriptors-00000000000000ff",
                "descriptors.1",
                "descriptors.1.new",
                "descriptors-0123456789abcdef.1",
                "descriptors-0123456789abcdef.1.new",
            ]
            .map(str::to_owned),
        );
        expected.push(own);
        expected.sort();
        assert_eq!(files_in(&caches(&root)), expected);
    }

    #[test]
    fn the_files_written_last_stay_up_to_the_bounds() {
        let names: Vec<String> = (0..MAX_FILES + 5).map(|at| format!("gallery {at}")).collect();
        let (root, galleries) = scene(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let file = |at: usize| caches(&root).join(Owner::of(&galleries[at]).unwrap().file_name());
        for (at, gallery) in galleries.iter().enumerate() {
            run(&root, gallery, &[1]);
            let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(at as u64);
            File::options().append(true).open(file(at)).unwrap().set_modified(long_ago).unwrap();
        }
        run(&root, &galleries[0], &[1]);
        assert_eq!(files_in(&caches(&root)).len(), MAX_FILES);
        assert!(file(0).exists() && !file(5).exists() && file(6).exists());
        // A sparse file takes no disk space.
        File::options().append(true).open(file(20)).unwrap().set_len(MAX_BYTES - 5000).unwrap();
        let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(20);
        File::options().append(true).open(file(20)).unwrap().set_modified(long_ago).unwrap();
        run(&root, &galleries[0], &[1]);
        assert!(file(0).exists() && file(36).exists() && !file(20).exists() && !file(19).exists());
    }

    #[test]
    fn another_model_a_truncation_and_a_flipped_bit_cause_a_rebuild() {
        let (root, galleries) = scene(&["gallery"]);
        run(&root, &galleries[0], &[1]);
        let owner = Owner::of(&galleries[0]).unwrap();
        let file = caches(&root).join(owner.file_name());
        let whole = fs::read(&file).unwrap();
        assert!(Cache::open(Some(&caches(&root)), &galleries[0], "other").rows.is_empty());
        for position in [0, 24, 30, 100, whole.len() - 1] {
            let mut flipped = whole.clone();
            flipped[position] ^= 4;
            fs::write(&file, flipped).unwrap();
            assert!(open(&root, &galleries[0]).rows.is_empty());
        }
        for length in 0..whole.len() {
            assert!(parse(&whole[..length], &owner, "model").is_none());
        }
        assert_eq!(parse(&whole, &owner, "model").unwrap().len(), 1);
        assert!(parse(&whole, &Owner { gallery: "/other".into(), ..owner }, "model").is_none());
    }

    #[test]
    fn after_a_failed_write_the_next_one_writes_everything_and_no_incomplete_file_stays() {
        let (root, galleries) = scene(&["gallery"]);
        let name = Owner::of(&galleries[0]).unwrap().file_name();
        let mut cache = open(&root, &galleries[0]);
        cache.put([1; 32], Ok(face()));
        // A folder instead of the file makes the rename fail.
        fs::create_dir(caches(&root).join(&name)).unwrap();
        cache.save().unwrap_err();
        assert_eq!(files_in(&caches(&root)), std::slice::from_ref(&name));
        fs::remove_dir(caches(&root).join(name)).unwrap();
        assert!(cache.get(&[1; 32]).is_some());
        cache.save().unwrap();
        assert!(open(&root, &galleries[0]).get(&[1; 32]).is_some());
    }

    #[test]
    fn write_keeps_rows_that_the_enrolment_has_not_reached() {
        let (root, galleries) = scene(&["gallery"]);
        run(&root, &galleries[0], &[1]);
        let mut other = open(&root, &galleries[0]);
        other.begin();
        other.put([2; 32], Err("no face".into()));
        other.write().unwrap();
        assert_eq!(open(&root, &galleries[0]).rows.len(), 2);
    }
}
