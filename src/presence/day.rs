//! [`Day`]: who was here in the last hours, and who is. It is in memory alone and has no pictures.

use crate::sync::lock;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The most stays, with those of the people who are present.
const MOST: usize = 500;
/// Of so many renamings, and of so many faces that were named, word is kept.
const WORDS: usize = 32;

/// A visit, as it is listed.
#[derive(Debug, Clone, PartialEq)]
pub struct Stay {
    /// The number of the visit.
    pub visit: u64,
    /// The track that shows the person, or did so last.
    pub track: u64,
    /// The name; the last one where the visit has ended.
    pub name: Option<Arc<str>>,
    /// The number of a stranger who is remembered (`recognition.remember_strangers_h`), also where they have got a name.
    pub stranger: Option<u64>,
    /// When the person came.
    pub since: Instant,
    /// When their face was seen last.
    pub until: Instant,
    /// True until the visit has ended.
    pub is_present: bool,
    /// The smallest distance to the pictures of the person whose name it is.
    pub distance: Option<f32>,
    /// How many looks were compared with the gallery.
    pub looks: u32,
    /// When the event `stranger` was told.
    pub stranger_at: Option<Instant>,
}

impl Stay {
    /// What makes the list another one.
    fn mark(&self) -> (u64, Option<&str>, Option<u64>, bool) {
        (self.visit, self.name.as_deref(), self.stranger, self.stranger_at.is_some())
    }
}

/// Who was here and who is. The thread `presence` tells it, HTTP reads it, and tells what an admin says of people.
#[derive(Debug, Default)]
pub struct Day(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// In the order in which they ended.
    ended: VecDeque<Stay>,
    present: Vec<Stay>,
    /// The id of the newest event that `present` knows; `None` before the first.
    newest: Option<u64>,
    /// Counts the changes of the list.
    version: u64,
    renames: VecDeque<Rename>,
    /// Tracks whose face an admin has named.
    named: VecDeque<(u64, Arc<str>)>,
}

/// A person of the gallery has another name.
#[derive(Debug)]
struct Rename {
    from: Arc<str>,
    to: Arc<str>,
    /// True once the gallery at work has nobody of the old name.
    is_at_work: bool,
}

fn keep<T>(words: &mut VecDeque<T>, word: T) {
    words.push_back(word);
    if words.len() > WORDS {
        words.pop_front();
    }
}

impl Day {
    /// For the thread `presence`: those who have left, and who is present after the event `newest`. Those who left more than `hours`
    /// before `now` are forgotten.
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

    /// For the thread `presence`: another gallery is at work. `called` says under which name it has the person of a name: under
    /// that one, as a rule; `None` where they are not in it, and then their visits have no name.
    pub fn gallery_is(&self, called: impl Fn(&str) -> Option<Arc<str>>) {
        let mut kept = lock(&self.0);
        for stay in &mut kept.ended {
            stay.name = stay.name.take().and_then(|name| called(&name));
        }
        kept.renames.retain_mut(|rename| {
            let is_gone = called(&rename.from).as_ref() != Some(&rename.from);
            // Somebody else may get the old name later.
            let is_over = rename.is_at_work && !is_gone;
            rename.is_at_work |= is_gone;
            !is_over
        });
        kept.version += 1;
    }

    /// For the thread `presence`: which people were renamed, the last one last.
    pub fn renames(&self) -> Vec<(Arc<str>, Arc<str>)> {
        lock(&self.0).renames.iter().map(|rename| (Arc::clone(&rename.from), Arc::clone(&rename.to))).collect()
    }

    /// An admin has renamed a person. It counts when the gallery at work has the new name.
    pub fn rename(&self, from: &str, to: &str) {
        keep(&mut lock(&self.0).renames, Rename { from: from.into(), to: to.into(), is_at_work: false });
    }

    /// An admin has said whose the face of a track is: so are the visits of that track that have ended, and those of a stranger with
    /// the same number.
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

    /// An admin has forgotten a person: their visits that have ended go.
    pub fn forget(&self, person: &str) {
        let mut kept = lock(&self.0);
        kept.ended.retain(|stay| stay.name.as_deref() != Some(person));
        kept.named.retain(|(_, name)| &**name != person);
        kept.renames.retain(|rename| &*rename.from != person && &*rename.to != person);
        kept.version += 1;
    }

    /// Counts the changes of the list.
    pub fn version(&self) -> u64 {
        lock(&self.0).version
    }

    /// All stays, those who came first at first, and the version of the list.
    pub fn stays(&self) -> (u64, Vec<Stay>) {
        let kept = lock(&self.0);
        let mut stays: Vec<Stay> = kept.ended.iter().chain(&kept.present).cloned().collect();
        stays.sort_by_key(|stay| (stay.since, stay.visit));
        (kept.version, stays)
    }

    /// Who is present, and the id of the newest event of which that is the outcome; `None` before the first.
    pub fn present(&self) -> (Option<u64>, Vec<Stay>) {
        let kept = lock(&self.0);
        (kept.newest, kept.present.clone())
    }
}
