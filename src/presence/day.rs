//! [`Day`]: the list of the visits of the last hours, ended and present ones. It is kept in memory only and has no
//! pictures.

use crate::sync::lock;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The most visits in the list, including those of people who are present.
const MOST: usize = 500;
/// How many renames, and how many faces named by an admin, are remembered.
const WORDS: usize = 32;

/// A visit as an entry of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct Stay {
    /// The number of the visit.
    pub visit: u64,
    /// The track that shows the person, or showed them last.
    pub track: u64,
    /// The person's name; for an ended visit, the last one.
    pub name: Option<Arc<str>>,
    /// The number of a remembered stranger (`recognition.remember_strangers_h`). It stays when the person gets a name.
    pub stranger: Option<u64>,
    /// When the person came.
    pub since: Instant,
    /// When their face was seen last.
    pub until: Instant,
    /// True until the visit has ended.
    pub is_present: bool,
    /// The smallest distance of the face to the pictures of the named person; `None` before it has a name.
    pub distance: Option<f32>,
    /// How many looks compared the face with the gallery.
    pub looks: u32,
    /// When the event `stranger` was published.
    pub stranger_at: Option<Instant>,
}

impl Stay {
    /// The fields whose change makes a new version of the list.
    fn mark(&self) -> (u64, Option<&str>, Option<u64>, bool) {
        (self.visit, self.name.as_deref(), self.stranger, self.stranger_at.is_some())
    }
}

/// The list of visits. The thread `presence` updates it. HTTP reads it, and records the changes that an admin makes to
/// names.
#[derive(Debug, Default)]
pub struct Day(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// In the order in which the visits ended.
    ended: VecDeque<Stay>,
    present: Vec<Stay>,
    /// The id of the newest event that `present` includes; `None` before the first update.
    newest: Option<u64>,
    /// Counts the changes of the list.
    version: u64,
    renames: VecDeque<Rename>,
    /// The tracks whose faces an admin has named.
    named: VecDeque<(u64, Arc<str>)>,
}

/// A person of the gallery who was renamed.
#[derive(Debug)]
struct Rename {
    from: Arc<str>,
    to: Arc<str>,
    /// True once the gallery in use no longer has a person of the old name.
    is_at_work: bool,
}

fn keep<T>(words: &mut VecDeque<T>, word: T) {
    words.push_back(word);
    if words.len() > WORDS {
        words.pop_front();
    }
}

impl Day {
    /// For the thread `presence`: adds the visits that ended, replaces the visits of those present after the event
    /// `newest`, and removes the visits that ended `hours` or more before `now`.
    pub fn take(&self, left: Vec<Stay>, present: Vec<Stay>, newest: u64, hours: u32, now: Instant) {
        let mut kept = lock(&self.0);
        let kept = &mut *kept;
        let mut is_changed =
            !left.is_empty() || !present.iter().map(Stay::mark).eq(kept.present.iter().map(Stay::mark));
        for mut stay in left {
            let named = kept.named.iter().rev().find(|(track, _)| *track == stay.track && stay.name.is_none());
            stay.name = named.map(|(_, name)| Arc::clone(name)).or(stay.name);
            kept.ended.push_back(stay);
        }
        (kept.present, kept.newest) = (present, Some(newest));
        let longest = Duration::from_secs(u64::from(hours) * 3600);
        let is_old = |stay: &Stay| now.saturating_duration_since(stay.until) >= longest;
        while kept.ended.front().is_some_and(is_old) || kept.ended.len() > MOST.saturating_sub(kept.present.len()) {
            kept.ended.pop_front();
            is_changed = true;
        }
        kept.version += u64::from(is_changed);
    }

    /// For the thread `presence`: updates names when another gallery is in use. `called` maps a name to the current
    /// name of the same person, usually the same name. It returns `None` for a person who is not in the gallery; their
    /// ended visits lose the name, and faces that an admin has named so do not get it.
    pub fn gallery_is(&self, called: impl Fn(&str) -> Option<Arc<str>>) {
        let mut kept = lock(&self.0);
        for stay in &mut kept.ended {
            stay.name = stay.name.take().and_then(|name| called(&name));
        }
        kept.named.retain_mut(|(_, name)| called(name).map(|now| *name = now).is_some());
        kept.renames.retain_mut(|rename| {
            let is_gone = called(&rename.from).as_ref() != Some(&rename.from);
            // The old name exists again, and belongs to another person.
            let is_over = rename.is_at_work && !is_gone;
            rename.is_at_work |= is_gone;
            !is_over
        });
        kept.version += 1;
    }

    /// For the thread `presence`: the old and new names of renamed people, the latest rename last.
    pub fn renames(&self) -> Vec<(Arc<str>, Arc<str>)> {
        lock(&self.0).renames.iter().map(|rename| (Arc::clone(&rename.from), Arc::clone(&rename.to))).collect()
    }

    /// Records that an admin has renamed a person. The rename takes effect when the gallery in use has the new name.
    pub fn rename(&self, from: &str, to: &str) {
        keep(&mut lock(&self.0).renames, Rename { from: from.into(), to: to.into(), is_at_work: false });
    }

    /// Records that an admin has named the face of a track. The name applies to the ended visits of the track, and to
    /// the ended unnamed visits of the same stranger.
    pub fn name(&self, track: u64, name: &str) {
        let mut kept = lock(&self.0);
        let name: Arc<str> = name.into();
        let of_track = kept.ended.iter().chain(&kept.present).filter(|stay| stay.track == track);
        let strangers: Vec<u64> = of_track.filter_map(|stay| stay.stranger).collect();
        for stay in &mut kept.ended {
            let is_known = stay.name.is_some();
            if stay.track == track || (!is_known && stay.stranger.is_some_and(|number| strangers.contains(&number))) {
                stay.name = Some(Arc::clone(&name));
            }
        }
        keep(&mut kept.named, (track, name));
        kept.version += 1;
    }

    /// Records that an admin has taken back the name of the face of a track. The ended visits that have it from
    /// [`Day::name`] lose it.
    pub fn unname(&self, track: u64) {
        let mut kept = lock(&self.0);
        let newest = kept.named.iter().rev().find(|(of, _)| *of == track);
        let Some(name) = newest.map(|(_, name)| Arc::clone(name)) else { return };
        kept.named.retain(|(of, _)| *of != track);
        let of_track = kept.ended.iter().chain(&kept.present).filter(|stay| stay.track == track);
        let strangers: Vec<u64> = of_track.filter_map(|stay| stay.stranger).collect();
        for stay in &mut kept.ended {
            let is_of_face = stay.track == track || stay.stranger.is_some_and(|number| strangers.contains(&number));
            if is_of_face && stay.name.as_deref() == Some(&*name) {
                stay.name = None;
            }
        }
        kept.version += 1;
    }

    /// Removes the ended visits of a person whom an admin has forgotten.
    pub fn forget(&self, person: &str) {
        let mut kept = lock(&self.0);
        kept.ended.retain(|stay| stay.name.as_deref() != Some(person));
        kept.named.retain(|(_, name)| &**name != person);
        kept.renames.retain(|rename| &*rename.from != person && &*rename.to != person);
        kept.version += 1;
    }

    /// The number of changes of the list.
    pub fn version(&self) -> u64 {
        lock(&self.0).version
    }

    /// All visits in the order of arrival, and the version of the list.
    pub fn stays(&self) -> (u64, Vec<Stay>) {
        let kept = lock(&self.0);
        let mut stays: Vec<Stay> = kept.ended.iter().chain(&kept.present).cloned().collect();
        stays.sort_by_key(|stay| (stay.since, stay.visit));
        (kept.version, stays)
    }

    /// The visits of those who are present, and the id of the newest event that this includes; `None` before the first
    /// update.
    pub fn present(&self) -> (Option<u64>, Vec<Stay>) {
        let kept = lock(&self.0);
        (kept.newest, kept.present.clone())
    }
}
