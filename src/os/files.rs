//! Files: the one atomic replacement, and digests as text.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

/// Replaces the content of a file, so that after a power cut it holds either the old bytes or the new ones. Owner and mode stay;
/// a new file can be read by its owner only.
///
/// # Errors
/// When the folder is missing, the disk is full, or the file cannot be written. The old file stays then.
pub fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = Path::new(&beside);
    let write = || {
        let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
        if let Ok(old) = fs::metadata(file) {
            // The owner is set before the mode, because chown may clear mode bits. It differs only when root writes.
            if (old.uid(), old.gid()) != (new.metadata()?.uid(), new.metadata()?.gid()) {
                fchown(&new, Some(old.uid()), Some(old.gid()))?;
            }
            new.set_permissions(Permissions::from_mode(old.mode() & 0o777))?;
        }
        new.write_all(bytes)?;
        new.sync_all()?;
        fs::rename(beside, file)
    };
    write().inspect_err(|_| {
        // On a full disk, the incomplete file is removed.
        let _ = fs::remove_file(beside);
    })?;
    // Syncing the folder makes the rename durable. A file system that cannot sync folders is no error.
    if let Some(folder) = file.parent() {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
