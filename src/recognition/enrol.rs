//! From the files of the gallery to a [`Library`]: one picture a step, beside the library that is at work, so that
//! neither the stream nor recognition waits for it.

use super::cache::{Cache, Key, Verdict};
use super::gallery::{self, Candidate, Listing};
use super::matcher::Matcher;
use super::{Descriptor, Engine, faces_on_still, outlook, picture};
use crate::config::Config;
use crate::roster::{Person, Picture, Roster};
use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A file that was written to so recently may still be growing.
const YOUNG: Duration = Duration::from_secs(2);
/// A file without its end that nobody has written to for so long is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A gallery that is ready to be asked.
#[derive(Debug)]
pub struct Library {
    /// Finds who is nearest.
    pub matcher: Matcher,
    /// What became of each file.
    pub roster: Roster,
}

/// What outlives one enrolment: the cache, and which files have not come whole yet.
#[derive(Debug)]
pub struct Memory {
    /// Descriptors by content.
    pub cache: Cache,
    /// Content hashes of files that have not changed since, and whether somebody asked since the last [`Memory::settle`].
    keys: HashMap<PathBuf, (Stamp, Key, bool)>,
    /// Files that the last enrolment found on their way.
    waiting: HashSet<PathBuf>,
    /// False where nobody looks again: then a file is judged as it is now.
    patient: bool,
}

/// Why a picture is not used yet.
const COMING: &str = "still being copied: it is tried again";

/// Changes whenever a file's content does: device, inode, length, times of change.
type Stamp = [i64; 7];

impl Memory {
    /// Nothing but the cache.
    pub fn new(cache: Cache) -> Memory {
        Memory { cache, keys: HashMap::new(), waiting: HashSet::new(), patient: true }
    }

    /// For whoever takes the gallery in once and ends.
    pub fn for_once(cache: Cache) -> Memory {
        Memory { patient: false, ..Memory::new(cache) }
    }

    /// True when a file that was waited for has come whole, has not grown for so long that it never will, or is gone.
    pub fn news_of_waiting(&self) -> bool {
        self.waiting.iter().any(|path| !read(path).is_ok_and(|file| file.is_on_its_way()))
    }

    /// The gallery is taken in: forgets files that are no longer in it, and writes the cache.
    ///
    /// # Errors
    /// When the cache cannot be written.
    pub fn settle(&mut self) -> std::io::Result<()> {
        self.keys.retain(|_, (_, _, used)| std::mem::take(used));
        self.cache.save()
    }

    /// Of how many files it knows the content.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.keys.len()
    }
}

/// A gallery on its way.
#[derive(Debug)]
pub struct Enrolment {
    jobs: VecDeque<(usize, Candidate)>,
    total: usize,
    drafts: Vec<Draft>,
    ignored: Vec<Picture>,
    folder: PathBuf,
    max_images: usize,
    jitters: u32,
    rule: crate::config::Recognition,
}

#[derive(Debug)]
struct Draft {
    name: String,
    used: Vec<(Arc<str>, Descriptor)>,
    pictures: Vec<Picture>,
}

impl Enrolment {
    /// Lists the gallery.
    ///
    /// # Errors
    /// When the folder is missing or cannot be read: the old library then stays.
    pub fn begin(config: &Config, memory: &mut Memory) -> anyhow::Result<Enrolment> {
        memory.waiting.clear();
        let Listing { people, ignored } = gallery::list(&config.gallery.path)?;
        let (mut jobs, mut drafts) = (VecDeque::new(), Vec::new());
        for (name, folder) in people {
            jobs.extend(folder.candidates.into_iter().map(|candidate| (drafts.len(), candidate)));
            drafts.push(Draft { name, used: Vec::new(), pictures: folder.passed_over });
        }
        Ok(Enrolment {
            total: jobs.len(),
            jobs,
            drafts,
            ignored,
            folder: config.gallery.path.clone(),
            max_images: config.gallery.max_images_per_person as usize,
            jitters: config.recognition.num_jitters,
            rule: config.recognition.clone(),
        })
    }

    /// How many pictures are done, and how many there are.
    pub fn progress(&self) -> (usize, usize) {
        (self.total - self.jobs.len(), self.total)
    }

    /// Takes the next picture in; false when there is none left.
    pub fn step(&mut self, engine: &mut dyn Engine, memory: &mut Memory) -> bool {
        let Some((owner, candidate)) = self.jobs.pop_front() else { return false };
        let draft = &mut self.drafts[owner];
        let verdict = if draft.used.len() >= self.max_images {
            Err(format!("more than {} pictures (gallery.max_images_per_person)", self.max_images))
        } else {
            judge(&candidate.path, self.jitters, engine, memory)
        };
        let skipped = match verdict {
            Ok(descriptor) => {
                draft.used.push((Arc::clone(&candidate.shown), descriptor));
                None
            }
            Err(reason) => Some(reason),
        };
        draft.pictures.push(Picture { file: candidate.shown.to_string(), skipped });
        true
    }

    /// The library, once every picture is done.
    pub fn finish(self, generation: u64) -> Library {
        let mut matcher = Matcher::new(&self.rule);
        let (mut warnings, mut people, mut somebody_comes) = (Vec::new(), Vec::new(), false);
        for mut draft in self.drafts {
            let comes = draft.pictures.iter().any(|picture| picture.skipped.as_deref() == Some(COMING));
            somebody_comes |= comes;
            // Whoever is still being copied is not warned about: in two seconds it would be untrue.
            if draft.used.is_empty() && !comes {
                let empty = draft.pictures.is_empty();
                let why = if empty { "the folder is empty" } else { "none of the pictures can be used" };
                warnings.push(format!("{} will not be recognised: {why}", draft.name));
            }
            draft.pictures.sort_by(|a, b| a.file.cmp(&b.file));
            matcher.add(&draft.name, draft.used);
            people.push(Person { name: draft.name, pictures: draft.pictures });
        }
        if matcher.people() == 0 && !somebody_comes {
            let folder = self.folder.display();
            warnings.push(format!("nobody is in the gallery: put pictures of a person into {folder}/NAME/ and reload"));
        }
        warnings.extend(outlook::near_pairs(&matcher));
        let threshold = Some(outlook::threshold(&matcher));
        Library { roster: Roster { generation, people, ignored: self.ignored, warnings, threshold }, matcher }
    }
}

/// The descriptor of the one face on a picture, or why it has none.
fn judge(path: &Path, jitters: u32, engine: &mut dyn Engine, memory: &mut Memory) -> Verdict {
    let metadata = std::fs::symlink_metadata(path).map_err(|e| format!("unreadable: {e}"))?;
    let stamp = stamp(&metadata);
    if let Some((known, key, used)) = memory.keys.get_mut(path)
        && *known == stamp
        && let Some(verdict) = memory.cache.get(key)
    {
        *used = true;
        return verdict;
    }
    let file = read(path)?;
    if memory.patient && file.is_on_its_way() {
        memory.waiting.insert(path.to_owned());
        return Err(COMING.to_owned());
    }
    memory.waiting.remove(path);
    let key = Cache::key(&file.bytes);
    memory.keys.insert(path.to_owned(), (stamp, key, true));
    if let Some(verdict) = memory.cache.get(&key) {
        return verdict;
    }
    let verdict = describe_the_one_face(&file.bytes, jitters, engine);
    memory.cache.put(key, verdict.clone());
    verdict
}

fn describe_the_one_face(bytes: &[u8], jitters: u32, engine: &mut dyn Engine) -> Verdict {
    let rgb = picture::decode(bytes)?;
    let faces = faces_on_still(engine, &rgb);
    match faces.len() {
        1 => {
            let described = engine.describe(&rgb, &faces, jitters).into_iter().next();
            let finite = described.filter(|d| d.iter().all(|v| v.is_finite()));
            finite.ok_or_else(|| "its face gives no descriptor".to_owned())
        }
        0 => Err("no face found: use a sharp picture from the front".to_owned()),
        n => Err(format!("{n} faces: cut it so that only this person is on it")),
    }
}

struct Content {
    bytes: Vec<u8>,
    /// Since it was written to. A board without a clock writes files from the future once it has the time: `None`.
    age: Option<Duration>,
}

impl Content {
    /// True while more of it may come.
    fn is_on_its_way(&self) -> bool {
        let younger_than = |limit| self.age.is_some_and(|age| age < limit);
        younger_than(YOUNG) || (younger_than(PATIENCE) && !picture::has_its_end(&self.bytes))
    }
}

/// Reads a file. A link is not followed, and a pipe in the place of a file is not waited for.
fn read(path: &Path) -> Result<Content, String> {
    let unreadable = |e: std::io::Error| format!("unreadable: {e}");
    let mut options = File::options();
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = options.read(true).open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err("not a regular file".to_owned());
    }
    if metadata.len() > picture::MAX_FILE_BYTES {
        return Err(format!("larger than {} MiB", picture::MAX_FILE_BYTES >> 20));
    }
    let age = metadata.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    file.take(picture::MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(Content { bytes, age })
}

fn stamp(m: &Metadata) -> Stamp {
    let [dev, ino, len] = [m.dev(), m.ino(), m.len()].map(u64::cast_signed);
    [dev, ino, len, m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec()]
}
