//! Files: atomic replacement, and bytes as hexadecimal digits.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The state directory that systemd made for the unit.
pub fn state_folder_of_unit() -> Option<PathBuf> {
    // systemd separates several directories by colons; the first one is used.
    variable("STATE_DIRECTORY")?.to_string_lossy().split(':').next().map(PathBuf::from)
}

/// The state folder of the program for a user.
pub fn state_folder_of_user() -> Option<PathBuf> {
    let of_user = variable("XDG_STATE_HOME").map(PathBuf::from);
    let folder = of_user.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".local/state")))?;
    Some(folder.join("namecam"))
}

/// The folder of a file.
fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the folder of a file, accessible only to its owner, when the folder is missing.
///
/// # Errors
/// The folder cannot be made.
pub fn make_folder_of(file: &Path) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new(""));
    if folder.is_dir() { Ok(()) } else { DirBuilder::new().recursive(true).mode(0o700).create(folder) }
}

/// The end of the name of a file that [`replace`] has not finished. A copy that the owner made, such as `users.20261130`,
/// has another one.
pub const INCOMPLETE: &str = ".new";

/// Replaces the content of a file. After a power cut the file holds either the old bytes or the new bytes. Owner and
/// mode of the file stay. A new file can be read only by its owner, who is the owner of the folder if root writes it.
///
/// Only root can give a file away: what another user writes belongs to them, and gives nobody more rights than before.
///
/// # Errors
/// The folder is missing, the disk is full, or the file cannot be written. The old file stays.
pub fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(format!(".{}{INCOMPLETE}", std::process::id()));
    let beside = Path::new(&beside);
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    sweep(beside, |found| found.strip_prefix(&*name)?.strip_prefix('.')?.strip_suffix(INCOMPLETE)?.parse().ok());
    let write = || {
        let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
        let (mine, old) = (new.metadata()?, fs::metadata(file));
        if let Ok(whose) = old.as_ref().or(fs::metadata(folder_of(file)).as_ref()) {
            // The owner is set before the mode, because chown may clear mode bits.
            if (whose.uid(), whose.gid()) != (mine.uid(), mine.gid()) {
                fchown(&new, Some(whose.uid()), Some(whose.gid()))
                    .or_else(|why| if mine.uid() == 0 { Err(why) } else { Ok(()) })?;
            }
        }
        if let Ok(old) = old {
            // A group that the old file did not have belonged to its others.
            let group = if new.metadata()?.gid() == old.gid() { old.mode() } else { old.mode() << 3 };
            new.set_permissions(Permissions::from_mode(old.mode() & 0o707 | group & 0o070))?;
        }
        new.write_all(bytes)?;
        new.sync_all()?;
        fs::rename(beside, file)
    };
    write().inspect_err(|_| {
        // On a full disk, the incomplete file is removed.
        let _ = fs::remove_file(beside);
    })?;
    file.parent().into_iter().for_each(sync_folder);
    Ok(())
}

/// Makes a file that only its owner may read. The owner is the user who called sudo, else the user of the process.
///
/// # Errors
/// The file exists, or the folder is missing or cannot be written.
pub fn create_private(file: &Path) -> io::Result<File> {
    let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    let id = |name: &str| variable(name)?.to_str()?.parse().ok();
    if let (0, Some(user), Some(group)) = (new.metadata()?.uid(), id("SUDO_UID"), id("SUDO_GID")) {
        fchown(&new, Some(user), Some(group))?;
    }
    Ok(new)
}

/// Removes unfinished files of killed processes from the folder of `beside`: the file `beside`, and each file in whose
/// name `writer` finds the id of a process that does not run. A file that cannot be removed stays. No two threads write
/// the same file at once, so `beside` was left by a former process with the id of this one.
fn sweep(beside: &Path, writer: impl Fn(&str) -> Option<u32>) {
    for entry in fs::read_dir(folder_of(beside)).into_iter().flatten().flatten() {
        let number = entry.file_name().to_str().and_then(&writer);
        let is_mine = number == Some(std::process::id());
        if Some(&*entry.file_name()) == beside.file_name()
            || number.is_some_and(|number| !is_mine && !is_another_process(number))
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// True for a running process other than this one.
pub fn is_another_process(number: u32) -> bool {
    number != std::process::id() && Path::new("/proc").join(number.to_string()).exists()
}

/// The beginning of the name of a file that [`write_new`] has not finished.
pub const UNFINISHED: &str = ".namecam-";

/// Writes a new file, which gets its name only when it is complete. The umask and the folder decide who may read the
/// file.
///
/// # Errors
/// The file exists, the folder is missing, the disk is full, or the file cannot be written. Then no part of the file is
/// left.
pub fn write_new(file: &Path, bytes: &[u8]) -> io::Result<()> {
    if file.symlink_metadata().is_ok() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let beside = file.with_file_name(format!("{UNFINISHED}{}-{name}", std::process::id()));
    sweep(&beside, |found| found.strip_prefix(UNFINISHED)?.split_once('-')?.0.parse().ok());
    let write = || {
        let mut new = OpenOptions::new().write(true).create_new(true).open(&beside)?;
        new.write_all(bytes)?;
        new.sync_all()?;
        fs::rename(&beside, file)
    };
    write().inspect_err(|_| drop(fs::remove_file(&beside)))?;
    file.parent().into_iter().for_each(sync_folder);
    Ok(())
}

/// Makes the creation, renaming and deletion of files in a folder durable. Errors are ignored, because some file
/// systems cannot sync folders.
pub fn sync_folder(folder: &Path) {
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

/// The `N` bytes that `2 * N` hexadecimal digits stand for.
pub fn from_hex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let pairs = digits.as_bytes().as_chunks::<2>().0;
    if digits.len() != 2 * N || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_root_writes_belongs_to_the_owner_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cache");
        let is_root = std::os::unix::fs::chown(folder.path(), Some(65534), Some(65533)).is_ok();
        let me = fs::metadata(folder.path()).unwrap();
        assert_eq!(me.uid() == 65534, is_root);
        for mode in [0o600, 0o664] {
            replace(&file, b"new").unwrap();
            let new = fs::metadata(&file).unwrap();
            assert_eq!((new.uid(), new.gid(), new.mode() & 0o777), (me.uid(), me.gid(), mode));
            fs::set_permissions(&file, Permissions::from_mode(0o664)).unwrap();
        }
    }

    #[test]
    fn files_left_by_killed_processes_are_removed_and_files_of_running_processes_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (kept, new) = (folder.path().join("settings.ini"), folder.path().join("1.jpg"));
        // Files of a former process with the same id, of a process that has ended, and of a process that runs.
        for number in [std::process::id(), u32::MAX, 1] {
            for left in [format!("settings.ini.{number}.new"), format!("{UNFINISHED}{number}-1.jpg")] {
                fs::write(folder.path().join(left), "half").unwrap();
            }
        }
        for other in ["settings.ini.bak", "settings.ini.20261130", "sessions.4294967295.new", ".namecam-x-1.jpg"] {
            fs::write(folder.path().join(other), "of somebody else").unwrap();
        }
        replace(&kept, b"whole").unwrap();
        write_new(&new, b"whole").unwrap();
        assert_eq!((fs::read(&kept).unwrap(), fs::read(&new).unwrap()), (b"whole".to_vec(), b"whole".to_vec()));
        let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        let expected = [
            ".namecam-1-1.jpg",
            ".namecam-x-1.jpg",
            "1.jpg",
            "sessions.4294967295.new",
            "settings.ini",
            "settings.ini.1.new",
            "settings.ini.20261130",
            "settings.ini.bak",
        ];
        assert_eq!(left, expected);
    }
}
