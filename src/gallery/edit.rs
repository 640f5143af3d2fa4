//! Changes to the files of the gallery. A change is on disk before its function returns. [`add`] writes all of its
//! pictures or none; other changes may fail half way. `http` decides who may make a change; in a shell, `cp`, `mv` and
//! `rm` have the same effect.

use super::list::{self, Candidate, Listing, NEVER};
use crate::os::files;
use std::ffi::OsStr;
use std::fs;
use std::io::{Error, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use unicode_normalization::UnicodeNormalization;

/// The most files in a folder that the page adds to, and the most people. More than that is a mistake.
const MAX_FILES: usize = 500;
const MAX_PEOPLE: usize = 2000;
/// The most bytes in the name of a person, as on most file systems.
const MAX_NAME: usize = 255;
/// A file that was not written to for this long is complete.
const SETTLED: Duration = Duration::from_secs(10);
/// Device names of Windows: a folder with such a name cannot be copied to Windows.
const RESERVED: [&str; 22] = [
    "con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9", "lpt1", "lpt2",
    "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
];

/// Why no change was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The name is not one that a folder may have.
    BadName(String),
    /// No person or picture has this name.
    NotFound(String),
    /// The name is taken, or there are too many people or files.
    Conflict(String),
    /// The file system refused it.
    Failed(String),
}

/// The owner of pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// A person of the gallery.
    Person(String),
    /// The blocklist: people who never get a name.
    Never,
}

/// A picture to be written.
#[derive(Debug, Clone, Copy)]
pub struct NewPicture<'a> {
    /// The name of the file without the ending.
    pub stem: &'a str,
    /// `jpg` or `png`.
    pub ending: &'a str,
    /// The content of the file.
    pub bytes: &'a [u8],
}

/// A file that was written: its name for display, and its path.
pub type Written = Candidate;

/// The name of a person in the form in which it is stored: NFC, without spaces around it.
///
/// # Errors
/// Why a folder cannot have the name.
pub fn person_name(text: &str) -> Result<String, Refusal> {
    let name: String = text.trim().nfc().collect();
    let bad = |why: &str| Err(Refusal::BadName(format!("{why}; choose another name")));
    let stem = name.split('.').next().unwrap_or_default().trim().to_lowercase();
    if name.is_empty() {
        return bad("the name is empty");
    }
    if name.len() > MAX_NAME {
        return bad("the name is longer than 255 bytes");
    }
    if let Some(sign) = name.chars().find(|c| matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|')) {
        return bad(&format!("the name contains {sign}"));
    }
    if name.ends_with('.') {
        return bad("the name ends with a dot");
    }
    if RESERVED.contains(&stem.as_str()) || list::is_left_behind(OsStr::new(&name)) {
        return bad("systems use this name for something else");
    }
    list::checked_name(OsStr::new(&name)).map_err(|why| {
        let why = why.split(':').next().unwrap_or_default().replacen("its", "the", 1);
        Refusal::BadName(format!("{why}; choose another name"))
    })
}

/// Writes pictures of a person, either all of them or none.
///
/// # Errors
/// See [`Refusal`]. When the disk is full, existing files are unchanged.
pub fn add(root: &Path, whose: &Whose, pictures: &[NewPicture]) -> Result<Vec<Written>, Refusal> {
    let listing = listing(root)?;
    let (folder, shown, is_new) = folder_for(root, &listing, whose)?;
    let there = if is_new { 0 } else { fs::read_dir(&folder).map_or(0, Iterator::count) };
    if there + pictures.len() > MAX_FILES {
        return Err(Refusal::Conflict(format!("{shown} has {there} files, and {MAX_FILES} are the most; delete some")));
    }
    if is_new {
        if listing.people.len() >= MAX_PEOPLE {
            return Err(Refusal::Conflict(format!("the gallery has {MAX_PEOPLE} people, the most; delete some")));
        }
        fs::create_dir(&folder).map_err(|error| failed(root, &shown, &error))?;
        files::sync_folder(root);
    }
    let mut written: Vec<Written> = Vec::new();
    for picture in pictures {
        let path = free_path(&folder, OsStr::new(picture.stem), Some(OsStr::new(picture.ending)));
        match path.and_then(|path| files::write_new(&path, picture.bytes).map(|()| path)) {
            Ok(path) => written.push(candidate(&shown, path)),
            Err(error) => {
                written.iter().for_each(|file| drop(fs::remove_file(&file.path)));
                if is_new {
                    let _ = fs::remove_dir(&folder);
                }
                return Err(failed(root, &shown, &error));
            }
        }
    }
    Ok(written)
}

/// Deletes a picture; `file` is its name in [`crate::roster::Roster`].
///
/// # Errors
/// See [`Refusal`].
pub fn remove_picture(root: &Path, file: &str) -> Result<(), Refusal> {
    let path = find(&listing(root)?, file)?;
    fs::remove_file(&path).map_err(|error| failed(root, file, &error))?;
    sync_parent(&path);
    leave_no_empty_folder(root, &path);
    Ok(())
}

/// Moves a picture to another person or to the blocklist.
///
/// # Errors
/// See [`Refusal`].
pub fn move_picture(root: &Path, file: &str, to: &Whose) -> Result<Written, Refusal> {
    let listing = listing(root)?;
    let path = find(&listing, file)?;
    let (folder, shown, is_new) = folder_for(root, &listing, to)?;
    if is_new {
        fs::create_dir(&folder).map_err(|error| failed(root, &shown, &error))?;
        files::sync_folder(root);
    }
    if path.parent() == Some(&folder) {
        return Ok(candidate(&shown, path));
    }
    let moved = move_into(&path, &folder).map_err(|error| {
        if is_new {
            let _ = fs::remove_dir(&folder);
        }
        failed(root, file, &error)
    })?;
    leave_no_empty_folder(root, &path);
    Ok(candidate(&shown, moved))
}

/// Renames a person. With `merge`, the new name may be that of another person, who then has the pictures of both.
/// Returns the complete pictures of the person.
///
/// # Errors
/// See [`Refusal`].
pub fn rename(root: &Path, name: &str, to: &str, merge: bool) -> Result<Vec<Written>, Refusal> {
    let listing = listing(root)?;
    let to = person_name(to)?;
    let folders = folders_of(&listing, name)?;
    let others = listing.people.get(&to).map(|folder| folder.paths.clone()).unwrap_or_default();
    let is_same = others == folders;
    if !others.is_empty() && !is_same && !merge {
        return Err(Refusal::Conflict(format!("{to} is in the gallery already")));
    }
    let target = others.first().filter(|_| !is_same).cloned().unwrap_or_else(|| root.join(&to));
    for folder in &folders {
        if *folder == target {
            continue;
        }
        let moved = match target.symlink_metadata() {
            Err(_) => fs::rename(folder, &target),
            Ok(there) if is_same_folder(folder, &there) => rename_by_another_name(root, folder, &target),
            Ok(there) if there.is_dir() => merge_into(folder, &target),
            // An entry of that name that is not a person's folder, such as a link, is not changed.
            Ok(_) => {
                return Err(Refusal::Conflict(format!("{to} is not a folder in the gallery; remove it first")));
            }
        };
        moved.map_err(|error| failed(root, name, &error))?;
    }
    files::sync_folder(root);
    let folder = list::list(root).ok().and_then(|mut listing| listing.people.remove(&to));
    let mut files = folder.map(|folder| folder.candidates).unwrap_or_default();
    files.retain(|file| is_settled(&file.path));
    Ok(files)
}

/// True when `there` describes the folder itself, as it does under another spelling of the name on a file system that
/// ignores case.
fn is_same_folder(folder: &Path, there: &fs::Metadata) -> bool {
    folder.symlink_metadata().is_ok_and(|folder| (folder.dev(), folder.ino()) == (there.dev(), there.ino()))
}

/// Changes the spelling of a folder's name on a file system that ignores case, where a rename from one spelling to
/// another may change nothing. After a power cut in between, the person has the other name and is still listed.
fn rename_by_another_name(root: &Path, folder: &Path, target: &Path) -> std::io::Result<()> {
    let other = free_path(root, target.file_name().unwrap_or_default(), None)?;
    fs::rename(folder, &other)?;
    fs::rename(&other, target).inspect_err(|_| drop(fs::rename(&other, folder)))
}

/// Moves everything in a folder into another one, and removes the folder.
fn merge_into(folder: &Path, target: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let free = free_path_of(&path, target)?;
        let is_left_behind = |path: &Path| path.file_name().is_some_and(list::is_left_behind);
        // When the target has such a file of a system too, it would count as a file of the user under another name.
        let is_spare = is_left_behind(&path) && !is_left_behind(&free);
        match path.symlink_metadata()?.is_dir() {
            _ if !is_spare => fs::rename(&path, &free)?,
            true => fs::remove_dir_all(&path)?,
            false => fs::remove_file(&path)?,
        }
    }
    files::sync_folder(target);
    fs::remove_dir(folder)
}

/// True for a file that was not written to for a while. A file that is being copied is not complete.
fn is_settled(file: &Path) -> bool {
    let written = fs::metadata(file).and_then(|metadata| metadata.modified());
    written.is_ok_and(|written| written.elapsed().is_ok_and(|age| age >= SETTLED))
}

/// Deletes a person with all their files; returns the number of files.
///
/// # Errors
/// See [`Refusal`]; some files may be deleted then.
pub fn remove_person(root: &Path, name: &str) -> Result<usize, Refusal> {
    let listing = listing(root)?;
    let mut count = 0;
    for folder in folders_of(&listing, name)? {
        count += files_below(&folder);
        // `remove_dir_all` deletes a symbolic link, not its target.
        fs::remove_dir_all(&folder).map_err(|error| failed(root, name, &error))?;
    }
    files::sync_folder(root);
    Ok(count)
}

/// The path of a picture; `file` is its name in [`crate::roster::Roster`]. Only pictures of people and of the blocklist
/// are found, so no name leads out of the gallery.
///
/// # Errors
/// When there is no such picture.
pub fn picture(root: &Path, file: &str) -> Result<PathBuf, Refusal> {
    find(&listing(root)?, file)
}

fn listing(root: &Path) -> Result<Listing, Refusal> {
    list::list(root).map_err(|error| Refusal::Failed(format!("{error:#}")))
}

fn find(listing: &Listing, file: &str) -> Result<PathBuf, Refusal> {
    let all = listing.people.values().chain([&listing.never]).flat_map(|folder| &folder.candidates);
    let found = all.into_iter().find(|candidate| &*candidate.shown == file);
    found
        .map(|candidate| candidate.path.clone())
        .ok_or_else(|| Refusal::NotFound(format!("{file} is not in the gallery")))
}

/// The NFC form of a name, as the gallery stores it.
pub fn composed(name: &str) -> String {
    name.nfc().collect()
}

fn folders_of(listing: &Listing, name: &str) -> Result<Vec<PathBuf>, Refusal> {
    let name = composed(name);
    let folder = listing.people.get(&name);
    folder.map(|folder| folder.paths.clone()).ok_or_else(|| Refusal::NotFound(format!("{name} is not in the gallery")))
}

/// The folder for new pictures, its name for display, and whether it must be created. When a folder with a decomposed
/// form of the name exists (macOS), that folder is used.
fn folder_for(root: &Path, listing: &Listing, whose: &Whose) -> Result<(PathBuf, String, bool), Refusal> {
    let name = match whose {
        Whose::Person(name) => person_name(name)?,
        Whose::Never => NEVER.to_owned(),
    };
    let there = listing.people.get(&name).and_then(|folder| folder.paths.first());
    let path = there.cloned().unwrap_or_else(|| root.join(&name));
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => Ok((path, name, false)),
        Ok(_) => Err(Refusal::Conflict(format!("{name} is not a folder in the gallery; remove it first"))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok((path, name, true)),
        Err(error) => Err(failed(root, &name, &error)),
    }
}

fn candidate(folder: &str, path: PathBuf) -> Written {
    let file = path.file_name().map(list::printable).unwrap_or_default();
    Candidate { shown: format!("{folder}/{file}").into(), path }
}

/// A path in the folder that does not exist yet.
fn free_path(folder: &Path, stem: &OsStr, ending: Option<&OsStr>) -> std::io::Result<PathBuf> {
    let numbered = |number: usize| {
        let mut name = stem.to_owned();
        if number > 1 {
            name.push(format!("-{number}"));
        }
        if let Some(ending) = ending {
            name.push(".");
            name.push(ending);
        }
        folder.join(name)
    };
    let free = (1..=MAX_FILES + 1).map(numbered).find(|path| path.symlink_metadata().is_err());
    free.ok_or_else(|| Error::new(ErrorKind::AlreadyExists, "the folder has too many files of this name; rename some"))
}

/// A path in the folder that does not exist yet, for a file with the name of `file`.
fn free_path_of(file: &Path, folder: &Path) -> std::io::Result<PathBuf> {
    free_path(folder, file.file_stem().unwrap_or_default(), file.extension())
}

/// Moves a file into a folder, under a name that is free there. Returns the new path.
fn move_into(file: &Path, folder: &Path) -> std::io::Result<PathBuf> {
    let target = free_path_of(file, folder)?;
    fs::rename(file, &target)?;
    sync_parent(file);
    files::sync_folder(folder);
    Ok(target)
}

/// Removes the folder of a deleted or moved picture when it is empty.
fn leave_no_empty_folder(root: &Path, picture: &Path) {
    if let Some(folder) = picture.parent().filter(|folder| *folder != root)
        && fs::remove_dir(folder).is_ok()
    {
        sync_parent(folder);
    }
}

fn sync_parent(file: &Path) {
    file.parent().into_iter().for_each(files::sync_folder);
}

fn files_below(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| if entry.file_type().is_ok_and(|kind| kind.is_dir()) { files_below(&entry.path()) } else { 1 })
        .sum()
}

fn failed(root: &Path, what: &str, error: &Error) -> Refusal {
    let remedy = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "the disk is full; delete something there first".to_owned()
        }
        ErrorKind::PermissionDenied => {
            // Folders that were copied with scp may be writable only for their owner.
            let folder = root.join(what.split('/').next().unwrap_or_default());
            let folder = shell_words::quote(&folder.to_string_lossy()).into_owned();
            format!("namecam may not write there; this allows it: sudo chmod -R g+w {folder}")
        }
        ErrorKind::ReadOnlyFilesystem => {
            "the disk is read-only, or the unit of the service lacks ReadWritePaths= for it".to_owned()
        }
        _ => error.to_string(),
    };
    Refusal::Failed(format!("{what}: {remedy}"))
}

#[cfg(test)]
mod tests;
