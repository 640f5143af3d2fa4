//! The gallery on disk: the pictures of each person in order, and the ignored files with the reason. Only names and
//! types of files are examined here; `enrol.rs` reads their content.

use crate::image::still::may_be_a_picture;
use crate::os::files;
use crate::roster::PictureReport;
use anyhow::Context;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::DirEntry;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use unicode_normalization::UnicodeNormalization;

/// A file that may be a picture of a person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// The name for display, such as `Alice/1.jpg`.
    pub shown: Arc<str>,
    pub path: PathBuf,
}

/// The folder of a person (or several, when their names have the same NFC form).
#[derive(Debug, Default)]
pub struct Folder {
    /// The paths of the folder or folders.
    pub paths: Vec<PathBuf>,
    /// The pictures in name order.
    pub candidates: Vec<Candidate>,
    /// Files that are not pictures, with the reason.
    pub passed_over: Vec<PictureReport>,
}

#[derive(Debug, Default)]
pub struct Listing {
    /// The people by name in NFC.
    pub people: BTreeMap<String, Folder>,
    /// The blocklist `.not`: people who never get a name.
    pub never: Folder,
    /// Files that are not in a person's folder, with the reason.
    pub ignored: Vec<PictureReport>,
}

/// The most people, and the most files per folder. More than that is a mistake.
const MAX_ENTRIES: usize = 100_000;
/// The folder of the blocklist.
pub const NEVER: &str = ".not";
/// Why a folder in a person's folder is ignored.
const A_FOLDER: &str = "a folder inside a person's folder is not read: move its pictures up";

/// Names of files and folders that operating systems, file managers, NAS devices and sync programs create, in lower
/// case.
const LEFT_BEHIND: [&str; 29] = [
    "lost+found",
    "@eadir",
    "@tmp",
    "#recycle",
    "#snapshot",
    "$recycle.bin",
    "recycler",
    "system volume information",
    "thumbs.db",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "desktop.ini",
    "folder.htt",
    "icon\r",
    "picasa.ini",
    ".picasa.ini",
    ".ds_store",
    ".localized",
    ".appledouble",
    ".temporaryitems",
    ".apdisk",
    ".documentrevisions-v100",
    ".fseventsd",
    ".spotlight-v100",
    ".directory",
    ".nomedia",
    ".stfolder",
    ".stignore",
    ".stversions",
];
/// Prefixes of such names: unfinished files of namecam, resource forks, trash folders, files that a program keeps open,
/// git.
const LEFT_BEHIND_BEGINNINGS: [&str; 9] =
    [files::UNFINISHED, "._", ".trash", ".fuse_hidden", ".nfs", ".~lock.", ".goutputstream-", ".sync", ".git"];

/// Lists the gallery.
///
/// # Errors
/// When the folder is missing or cannot be read.
pub fn list(root: &Path) -> anyhow::Result<Listing> {
    let mut listing = Listing::default();
    for entry in entries(root).with_context(|| format!("gallery {} cannot be read", root.display()))? {
        let shown = printable(&entry.file_name());
        if shown == NEVER {
            match not_a_folder(&entry) {
                None => read_never(&entry.path(), &mut listing.never),
                Some(reason) => listing.ignored.push(PictureReport::skipped(shown, reason)),
            }
            continue;
        }
        match folder_name(&entry) {
            Ok(Some(name)) => {
                let folder = listing.people.entry(name).or_default();
                folder.paths.push(entry.path());
                read_folder(&entry.path(), &shown, folder);
            }
            Ok(None) => {}
            Err(reason) => listing.ignored.push(PictureReport::skipped(shown, reason)),
        }
    }
    for folder in listing.people.values_mut().chain([&mut listing.never]) {
        folder.candidates.sort();
    }
    Ok(listing)
}

fn entries(folder: &Path) -> std::io::Result<Vec<DirEntry>> {
    let mut entries: Vec<DirEntry> = std::fs::read_dir(folder)?.take(MAX_ENTRIES).collect::<Result<_, _>>()?;
    entries.retain(|entry| !is_left_behind(&entry.file_name()));
    entries.sort_by_key(DirEntry::file_name);
    Ok(entries)
}

/// Why `.not` is not read; `None` when it is. The user must learn that the blocklist has no effect.
fn not_a_folder(entry: &DirEntry) -> Option<String> {
    let kind = match entry.file_type() {
        Ok(kind) if kind.is_dir() => return None,
        Ok(kind) if kind.is_symlink() => "a symbolic link, which is not followed: copy the folder itself".to_owned(),
        Ok(_) => "not a folder: create a folder of this name and put the pictures into it".to_owned(),
        Err(error) => error.to_string(),
    };
    Some(format!("{kind}; until then people on the blocklist may get a name"))
}

/// True for a file or folder that a system created; it is ignored silently.
pub(super) fn is_left_behind(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_lowercase();
    LEFT_BEHIND.contains(&name.as_str()) || LEFT_BEHIND_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

/// The name of the person; `None` for a file that is clearly not a picture, such as a README.
fn folder_name(entry: &DirEntry) -> Result<Option<String>, String> {
    let kind = entry.file_type().map_err(|e| e.to_string())?;
    let name = checked_name(&entry.file_name())?;
    if kind.is_symlink() {
        return Err("a symbolic link: copy the folder itself".to_owned());
    }
    if kind.is_file() {
        let file = entry.path();
        let stray = file.extension().is_some() && may_be_a_picture(&file);
        return if stray { Err("not in a person's folder: move it into one".to_owned()) } else { Ok(None) };
    }
    if !kind.is_dir() {
        return Err("neither a folder nor a regular file".to_owned());
    }
    Ok(Some(name))
}

fn read_folder(path: &Path, shown_folder: &str, folder: &mut Folder) {
    let entries = match entries(path) {
        Ok(entries) => entries,
        Err(error) => {
            folder
                .passed_over
                .push(PictureReport::skipped(shown_folder, format!("the folder cannot be read: {error}")));
            return;
        }
    };
    for entry in entries {
        let shown = format!("{shown_folder}/{}", printable(&entry.file_name()));
        match picture_file(&entry) {
            Ok(()) => folder.candidates.push(Candidate { shown: shown.into(), path: entry.path() }),
            Err(reason) => folder.passed_over.push(PictureReport::skipped(shown, reason)),
        }
    }
}

/// Reads `.not`, which may contain pictures and folders of pictures.
fn read_never(path: &Path, never: &mut Folder) {
    for entry in entries(path).unwrap_or_default() {
        let name = printable(&entry.file_name());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) && checked_name(&entry.file_name()).is_ok() {
            read_folder(&entry.path(), &format!("{NEVER}/{name}"), never);
        }
    }
    read_folder(path, NEVER, never);
    // `.not` may contain folders, so they are not reported.
    never
        .passed_over
        .retain(|picture| picture.skipped.as_deref() != Some(A_FOLDER) || picture.file.matches('/').count() > 1);
}

fn picture_file(entry: &DirEntry) -> Result<(), String> {
    checked_name(&entry.file_name())?;
    let kind = entry.file_type().map_err(|e| e.to_string())?;
    if kind.is_symlink() {
        return Err("a symbolic link: copy the picture itself".to_owned());
    }
    if kind.is_dir() {
        return Err(A_FOLDER.to_owned());
    }
    if !kind.is_file() {
        return Err("not a regular file".to_owned());
    }
    if !may_be_a_picture(&entry.path()) {
        return Err("not a picture: keep only JPEG and PNG files here".to_owned());
    }
    Ok(())
}

/// The name in NFC, or why it is invalid. Characters that hide or reverse the surrounding text are refused.
pub(super) fn checked_name(name: &OsStr) -> Result<String, String> {
    let Some(name) = name.to_str() else { return Err("its name is not UTF-8: rename it".to_owned()) };
    let name: String = name.nfc().collect();
    if name.starts_with('.') {
        return Err("its name begins with a dot: rename it".to_owned());
    }
    if name.len() > 255 {
        return Err("its name is longer than 255 bytes: rename it".to_owned());
    }
    if name.chars().any(deceives) {
        return Err("its name contains control or direction characters: rename it".to_owned());
    }
    if name.trim() != name {
        return Err("its name begins or ends with a space: rename it".to_owned());
    }
    Ok(name)
}

fn deceives(c: char) -> bool {
    let direction =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || direction || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// The name for display, with unprintable and misleading characters replaced.
pub(super) fn printable(name: &OsStr) -> String {
    name.to_string_lossy().nfc().map(|c| if deceives(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    fn touch(root: &Path, file: impl AsRef<Path>) {
        let path = root.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"x").unwrap();
    }

    fn reasons(listing: &Listing) -> String {
        let all = listing.ignored.iter().chain(listing.people.values().flat_map(|f| &f.passed_over));
        all.map(|p| format!("{}: {}\n", p.file, p.skipped.as_deref().unwrap_or_default())).collect()
    }

    #[test]
    fn a_folder_is_a_person_with_pictures_in_name_order() {
        let root = tempfile::tempdir().unwrap();
        for file in
            ["Alice/b.PNG", "Alice/a.jpg", "Alice/c.jpeg", "Alice/notes.txt", "README.md", "stray.jpg", "lost+found/x"]
        {
            touch(root.path(), file);
        }
        let listing = list(root.path()).unwrap();
        let shown: Vec<&str> = listing.people["Alice"].candidates.iter().map(|c| &*c.shown).collect();
        assert_eq!(shown, ["Alice/a.jpg", "Alice/b.PNG", "Alice/c.jpeg"]);
        assert_eq!(listing.people.len(), 1, "lost+found is not a person");
        let reasons = reasons(&listing);
        assert!(reasons.contains("stray.jpg: not in a person's folder"), "{reasons}");
        assert!(reasons.contains("notes.txt: not a picture"), "{reasons}");
        assert!(!reasons.contains("README"), "{reasons}");
    }

    #[test]
    fn files_that_systems_create_are_ignored_silently_and_a_hidden_picture_is_reported() {
        let root = tempfile::tempdir().unwrap();
        for file in
            [".DS_Store", "Thumbs.db", "DESKTOP.INI", "._1.jpg", ".Trash-1000/1.jpg", "@eaDir/1.jpg", ".directory"]
        {
            touch(root.path(), file);
            touch(root.path(), format!("Alice/{file}"));
        }
        touch(root.path(), "Alice/1.jpg");
        touch(root.path(), "Alice/.2.jpg");
        let listing = list(root.path()).unwrap();
        assert_eq!(listing.people.keys().collect::<Vec<_>>(), ["Alice"]);
        assert_eq!(listing.people["Alice"].candidates.len(), 1);
        assert_eq!(reasons(&listing), "Alice/.2.jpg: its name begins with a dot: rename it\n");
    }

    #[test]
    fn a_file_is_opened_whatever_ending_of_a_picture_it_has_or_none() {
        let root = tempfile::tempdir().unwrap();
        for file in ["1.jfif", "2.JPE", "3.webp", "4", "5.mp4", "6.jpg.txt"] {
            touch(root.path(), Path::new("Alice").join(file));
        }
        touch(root.path(), "LICENSE");
        let listing = list(root.path()).unwrap();
        let shown: Vec<&str> = listing.people["Alice"].candidates.iter().map(|c| &*c.shown).collect();
        assert_eq!(shown, ["Alice/1.jfif", "Alice/2.JPE", "Alice/3.webp", "Alice/4"]);
        assert_eq!(reasons(&listing).lines().count(), 2, "{}", reasons(&listing));
    }

    #[test]
    fn a_decomposed_hangul_name_is_the_same_person_as_the_composed_one() {
        let root = tempfile::tempdir().unwrap();
        let decomposed: String = "민호".nfd().collect();
        touch(root.path(), format!("{decomposed}/1.jpg"));
        touch(root.path(), "민호/2.jpg");
        let listing = list(root.path()).unwrap();
        assert_eq!(listing.people.keys().collect::<Vec<_>>(), ["민호"]);
        assert_eq!(listing.people["민호"].candidates.len(), 2);
    }

    #[test]
    fn hostile_names_are_ignored_with_a_reason() {
        let root = tempfile::tempdir().unwrap();
        touch(root.path(), "bell\u{7}/1.jpg");
        touch(root.path(), "gpj.\u{202e}ecilA/1.jpg");
        touch(root.path(), ".hidden/1.jpg");
        touch(root.path(), OsStr::from_bytes(b"\xff\xfe/1.jpg"));
        touch(root.path(), "Bob/.1.jpg");
        std::os::unix::fs::symlink("/etc", root.path().join("Eve")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.path().join("Bob/2.jpg")).unwrap();
        let listing = list(root.path()).unwrap();
        assert_eq!(listing.people.keys().collect::<Vec<_>>(), ["Bob"]);
        assert!(listing.people["Bob"].candidates.is_empty());
        assert_eq!(listing.ignored.len(), 5, "{}", reasons(&listing));
        assert!(!reasons(&listing).contains(['\u{7}', '\u{202e}']));
    }

    #[test]
    fn the_blocklist_may_contain_pictures_and_folders() {
        let root = tempfile::tempdir().unwrap();
        for file in
            [".not/poster.jpg", ".not/Delivery man/1.jpg", ".not/Delivery man/notes.txt", ".not/.x.jpg", ".nots/1.jpg"]
        {
            touch(root.path(), file);
        }
        let listing = list(root.path()).unwrap();
        let shown: Vec<&str> = listing.never.candidates.iter().map(|c| &*c.shown).collect();
        assert_eq!(shown, [".not/Delivery man/1.jpg", ".not/poster.jpg"]);
        let passed_over: Vec<&str> = listing.never.passed_over.iter().map(|p| p.file.as_str()).collect();
        assert_eq!(passed_over, [".not/Delivery man/notes.txt", ".not/.x.jpg"]);
        assert!(listing.people.is_empty() && listing.ignored[0].file == ".nots");
    }

    #[test]
    fn a_blocklist_that_is_not_a_folder_is_reported_with_the_consequence() {
        let root = tempfile::tempdir().unwrap();
        touch(root.path(), "Alice/1.jpg");
        std::os::unix::fs::symlink("Alice", root.path().join(".not")).unwrap();
        let listing = list(root.path()).unwrap();
        let link = ".not: a symbolic link, which is not followed: copy the folder itself; until then";
        assert!(reasons(&listing).starts_with(link) && listing.never.candidates.is_empty(), "{}", reasons(&listing));
        std::fs::remove_file(root.path().join(".not")).unwrap();
        touch(root.path(), ".not");
        let listing = list(root.path()).unwrap();
        assert!(reasons(&listing).starts_with(".not: not a folder: create a folder"), "{}", reasons(&listing));
    }

    #[test]
    fn a_missing_folder_is_an_error_that_names_it() {
        assert!(list(Path::new("/nowhere/gallery")).unwrap_err().to_string().contains("/nowhere/gallery"));
    }
}
