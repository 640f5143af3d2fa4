//! The existing device nodes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The nodes `video0`, `video1`, ... of a folder such as /dev, sorted by number.
pub fn nodes(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.strip_prefix("video")?.parse::<u32>().ok());
    let mut numbers: Vec<u32> = numbers.collect();
    numbers.sort_unstable();
    numbers.into_iter().map(|number| folder.join(format!("video{number}"))).collect()
}

/// The state of a node. It differs for a new node of the same name, and after a change of the node's group.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    path: PathBuf,
    inode: u64,
    changed_at: (i64, i64),
}

/// The configured node and all other nodes. An item that was not in an earlier list is a reason to open the camera
/// again.
pub fn seen(configured: &Path) -> Vec<Seen> {
    let look = |path: PathBuf| {
        let meta = fs::metadata(&path).ok()?;
        Some(Seen { path, inode: meta.ino(), changed_at: (meta.ctime(), meta.ctime_nsec()) })
    };
    nodes(Path::new("/dev")).into_iter().chain([configured.to_owned()]).filter_map(look).collect()
}
