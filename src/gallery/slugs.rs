//! [`Slugs`]: the ASCII names by which people are known outside. A slug stays when its person is renamed.
//!
//! The file `people` in the state folder records them. It is written only when MQTT publishes people. A rename on the
//! page also renames the person here. A folder that is renamed by hand is a new person, because its files do not
//! identify the old one.

use crate::os::files;
use crate::sync::lock;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The most former names of a person that are kept, beside the last one.
const MAX_EARLIER: usize = 8;
/// The most characters of a name in its slug.
const MAX_LETTERS: usize = 40;

/// A person and their slug.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    slug: String,
    /// `None` when the person is gone and their messages outside have yet to be deleted.
    name: Option<String>,
    /// The former name, until the gallery in use has the new one.
    former: Option<String>,
    /// The names before the former one, the latest first. The gallery in use may still have one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<String>,
}

impl Entry {
    /// The name and the former names, the latest first.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.name.iter().chain(&self.former).chain(&self.earlier).map(String::as_str)
    }

    /// Records that the person is gone.
    fn forget_names(&mut self) {
        (self.name, self.former) = (None, None);
        self.earlier.clear();
    }
}

/// A person with a slug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// ASCII letters, digits and `_`.
    pub slug: String,
    /// The name in the gallery in use.
    pub name: String,
}

/// The slugs of all people.
#[derive(Debug, Default)]
pub struct Slugs {
    file: Option<PathBuf>,
    table: Mutex<Vec<Entry>>,
}

impl Slugs {
    /// Reads the slugs of the file in the state folder. A file that cannot be parsed is logged and counts as empty.
    pub fn open(folder: Option<&Path>) -> Slugs {
        let file = folder.map(|folder| folder.join("people"));
        let read = |file: &PathBuf| {
            let bytes = std::fs::read(file).ok()?;
            let read = serde_json::from_slice(&bytes);
            read.inspect_err(|error| log::warn!("{}: {error}; it is written anew", file.display())).ok()
        };
        let table = file.as_ref().and_then(read).unwrap_or_default();
        Slugs { file, table: Mutex::new(table) }
    }

    /// Records that a person was renamed. When `to` is the name of another person, the two become one.
    pub fn rename(&self, name: &str, to: &str) {
        let mut table = lock(&self.table);
        if table.iter().any(|entry| entry.name.as_deref() == Some(to)) {
            return;
        }
        if let Some(entry) = table.iter_mut().find(|entry| entry.name.as_deref() == Some(name)) {
            entry.earlier.splice(0..0, entry.former.take());
            entry.earlier.truncate(MAX_EARLIER);
            entry.former = entry.name.replace(to.to_owned());
            self.write_or_log(&table);
        }
    }

    /// Records that a person was forgotten. The slug stays until their messages outside are deleted.
    pub fn forget(&self, name: &str) {
        let mut table = lock(&self.table);
        if let Some(entry) = table.iter_mut().find(|entry| entry.name.as_deref() == Some(name)) {
            entry.forget_names();
            self.write_or_log(&table);
        }
    }

    /// Gives each person in the gallery a slug. Returns them in the order in which they came. A person with a slug who is
    /// not in the gallery counts as gone.
    ///
    /// # Errors
    /// When the slugs cannot be written. They are kept in memory until the program ends.
    pub fn follow(&self, people: &[&str]) -> (Vec<Known>, Result<(), String>) {
        let mut table = lock(&self.table);
        let before = table.clone();
        for entry in &mut *table {
            let in_use = entry.names().position(|name| people.contains(&name));
            match in_use {
                None => entry.forget_names(),
                // The names before the one in use are over.
                Some(at) => {
                    entry.former = entry.former.take().filter(|_| at > 0);
                    entry.earlier.truncate(at.saturating_sub(1));
                }
            }
        }
        for name in people {
            if !table.iter().any(|entry| entry.names().any(|known| known == *name)) {
                let slug = free_slug(&table, name);
                table.retain(|entry| entry.slug != slug);
                table.push(Entry { slug, name: Some((*name).to_owned()), former: None, earlier: Vec::new() });
            }
        }
        let known = |name: &&str| {
            let entry = table.iter().find(|entry| entry.names().any(|known| known == *name))?;
            Some(Known { slug: entry.slug.clone(), name: (*name).to_owned() })
        };
        let mut known: Vec<Known> = people.iter().filter_map(known).collect();
        // In the order in which they came: the broker is told of a limited number, and who is among them stays there.
        known.sort_by_cached_key(|known| table.iter().position(|entry| entry.slug == known.slug));
        let kept = if *table == before { Ok(()) } else { self.write(&table) };
        (known, kept)
    }

    /// All people in the file, for the time before the first gallery is in use.
    pub fn all(&self) -> Vec<Known> {
        let table = lock(&self.table);
        let known = |entry: &Entry| Some(Known { slug: entry.slug.clone(), name: entry.name.clone()? });
        table.iter().filter_map(known).collect()
    }

    /// The slugs of people who are gone.
    pub fn gone(&self) -> BTreeSet<String> {
        lock(&self.table).iter().filter(|entry| entry.name.is_none()).map(|entry| entry.slug.clone()).collect()
    }

    /// Records that the messages about these people are deleted outside.
    pub fn are_taken_back(&self, slugs: &BTreeSet<String>) {
        let mut table = lock(&self.table);
        table.retain(|entry| entry.name.is_some() || !slugs.contains(&entry.slug));
        self.write_or_log(&table);
    }

    fn write_or_log(&self, table: &[Entry]) {
        if let Err(why) = self.write(table) {
            log::warn!("{why}");
        }
    }

    fn write(&self, table: &[Entry]) -> Result<(), String> {
        let Some(file) = &self.file else { return Ok(()) };
        let bytes = serde_json::to_vec_pretty(table).unwrap_or_default();
        let written = files::make_folder_of(file).and_then(|()| files::replace(file, &bytes));
        written.map_err(|error| format!("{}: {error}", file.display()))
    }
}

/// A free slug: the name in lower case if it is short and ASCII, else with the beginning of its SHA-256.
fn free_slug(table: &[Entry], name: &str) -> String {
    let letters = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
    let letters: String = letters.take(MAX_LETTERS).collect();
    let letters = letters.trim_matches('_');
    let hash = files::hex(&Sha256::digest(name)[..4]);
    let long = format!("{}_{hash}", if letters.is_empty() { "p" } else { letters });
    let is_plain = !letters.is_empty() && name.len() <= MAX_LETTERS && name.is_ascii();
    let is_free = |slug: &String| !table.iter().any(|entry| entry.slug == *slug && entry.name.is_some());
    let numbered = (2..).map(|number| format!("{long}_{number}"));
    let wanted = is_plain.then(|| letters.to_owned()).into_iter().chain([long.clone()]).chain(numbered);
    // There are more numbers than people.
    wanted.into_iter().find(is_free).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slugs(known: &[Known]) -> Vec<&str> {
        known.iter().map(|known| known.slug.as_str()).collect()
    }

    #[test]
    fn a_slug_is_ascii_readable_and_unique() {
        let table = Slugs::default();
        let people = ["Alice", "alice", "Barack Obama", "민호", "민수", "-", &"x".repeat(60)];
        let known = table.follow(&people).0;
        let begins = ["alice", "alice_", "barack_obama", "p_", "p_", "p_", "xxxx"];
        for (slug, begin) in slugs(&known).iter().zip(begins) {
            assert!(slug.starts_with(begin) && slug.len() <= 50, "{slug}");
            assert!(slug.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{slug}");
        }
        let all: BTreeSet<_> = slugs(&known).into_iter().collect();
        assert_eq!((all.len(), slugs(&known)[0], slugs(&known)[2]), (people.len(), "alice", "barack_obama"));
        assert_eq!(Slugs::default().follow(&people).0, known, "the same without a file");
    }

    #[test]
    fn a_slug_outlasts_a_rename_and_a_restart_and_stays_listed_until_its_messages_are_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Slugs::open(Some(folder.path()));
        let table = open();
        table.rename("Alice", "Alicia");
        assert!(!folder.path().join("people").exists(), "nothing is kept before somebody is told");
        assert_eq!(slugs(&table.follow(&["Alice", "Bob"]).0), ["alice", "bob"]);
        table.rename("Alice", "Alicia");
        // First the gallery in use still has the old name, then it has the new one.
        assert_eq!(slugs(&table.follow(&["Alice", "Bob"]).0), ["alice", "bob"]);
        let table = open();
        let known = table.follow(&["Alicia", "Bob"]).0;
        assert_eq!(known[0], Known { slug: "alice".into(), name: "Alicia".into() });
        assert!(table.gone().is_empty());
        let known = table.follow(&["Alice", "Alicia", "Bob"]).0;
        // Who comes later is behind the others.
        assert!(slugs(&known)[..2] == ["alice", "bob"] && known[2].slug.starts_with("alice_"), "{known:?}");
        // Two people are merged.
        table.rename("Bob", "Alicia");
        table.follow(&["Alice", "Alicia"]).1.unwrap();
        assert_eq!(table.gone(), ["bob".to_owned()].into());
        table.forget("Alice");
        let text = std::fs::read_to_string(folder.path().join("people")).unwrap();
        assert!(!text.contains("Alice\"") && text.contains("Alicia"), "{text}");
        let table = open();
        assert_eq!((table.gone().len(), table.all().len()), (2, 1));
        assert_eq!(slugs(&table.follow(&["Alicia", "Bob"]).0), ["alice", "bob"], "who comes again is who they were");
        table.are_taken_back(&table.gone());
        assert!(table.gone().is_empty() && open().gone().is_empty());
    }

    #[test]
    fn a_slug_outlasts_two_renames_before_the_gallery_in_use_has_the_first() {
        let folder = tempfile::tempdir().unwrap();
        // A file of the version before.
        std::fs::write(folder.path().join("people"), r#"[{"slug": "alice", "name": "Alice", "former": null}]"#)
            .unwrap();
        for in_use in ["Alice", "Alcie", "Alicia"] {
            let table = Slugs::open(Some(folder.path()));
            table.rename("Alice", "Alcie");
            table.rename("Alcie", "Alicia");
            let table = Slugs::open(Some(folder.path()));
            assert_eq!(slugs(&table.follow(&[in_use]).0), ["alice"], "{in_use}");
            // A new person with a name that is over.
            assert_eq!(slugs(&table.follow(&[in_use, "Bob"]).0), ["alice", "bob"]);
            assert_eq!(slugs(&table.follow(&["Alicia"]).0), ["alice"]);
            assert_eq!(table.gone(), ["bob".to_owned()].into());
            table.rename("Alicia", "Alice");
            assert_eq!(slugs(&table.follow(&["Alice"]).0), ["alice"]);
        }
        let text = std::fs::read_to_string(folder.path().join("people")).unwrap();
        assert!(!text.contains("Alicia") && !text.contains("Alcie"), "{text}");
        // Each of two people has a slug, also when one has a name that the other had before.
        let table = Slugs::open(Some(folder.path()));
        table.rename("Alice", "Alcie");
        table.rename("Alcie", "Alicia");
        let known = table.follow(&["Alice", "Alcie"]).0;
        assert_ne!(known[0].slug, known[1].slug, "{known:?}");
    }

    #[test]
    fn slugs_that_cannot_be_written_are_kept_in_memory_and_reported() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let table = Slugs::open(Some(&file));
        let (known, kept) = table.follow(&["Alice"]);
        assert!(slugs(&known) == ["alice"] && kept.is_err());
        assert!(table.follow(&["Alice"]).1.is_ok(), "once");
    }
}
