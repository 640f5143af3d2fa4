//! Enrolment: turns the files of the gallery into a [`Library`], one picture per step, while the old library is in use,
//! so that neither the stream nor recognition waits.

pub(in crate::recognition) mod arrivals;
mod draft;

use crate::config::Config;
use crate::frame::Moment;
use crate::gallery::desk::{Unfit, Worth};
use crate::gallery::list::{self, Listing};
use crate::image::still::{self, Still};
use crate::image::{Rect, Rgb};
use crate::recognition::detect::quality::Quality;
use crate::recognition::detect::tilt::tilted;
use crate::recognition::detect::verify::{faces_on_still, is_found_again};
use crate::recognition::engine::Engine;
use crate::recognition::gallery::cache::{Cache, Face, PictureKey, Verdict, key_of};
use crate::recognition::gallery::curate::{self, Fate, Usable};
use crate::recognition::identify::expected;
use crate::recognition::identify::matcher::Matcher;
use crate::recognition::identify::rates::Rates;
use crate::roster::{FaceNumbers, Person, PictureReport, Roster};
use arrivals::{Arrivals, EnrolmentCause, Stamp, stamp};
use draft::{Draft, too_many};
use std::collections::HashMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An enrolled gallery.
#[derive(Debug)]
pub struct Library {
    /// Finds the closest person.
    pub matcher: Matcher,
    /// The result of each file.
    pub roster: Roster,
}

/// State that is kept between enrolments: the cache, and the files that are still being copied.
#[derive(Debug)]
pub(in crate::recognition) struct EnrolmentMemory {
    /// The descriptors by content.
    pub cache: Cache,
    /// The files that are still being copied.
    pub arrivals: Arrivals,
    /// The content hashes of unchanged files, and whether the newest enrolment used them.
    keys: HashMap<PathBuf, (Stamp, PictureKey, bool)>,
    /// False for a single enrolment, which processes each file as it is.
    patient: bool,
    /// The bytes of pictures that have been read.
    #[cfg(test)]
    pub(in crate::recognition) bytes_read: u64,
}

/// The reason for a picture that is not used yet.
pub(in crate::recognition) const COMING: &str = "still being copied; it will be read again";

/// The warning about a model without measured rates, with which no budget can be kept.
const NOT_MEASURED: &str = "no error rates are known for this recognizer, so only the threshold decides about names; \
     `make tables RECOGNIZER=FILE LFW=\"FOLDER ...\"` measures them and writes FILE.rates beside the model";

impl EnrolmentMemory {
    pub fn new(cache: Cache) -> EnrolmentMemory {
        EnrolmentMemory {
            cache,
            arrivals: Arrivals::default(),
            keys: HashMap::new(),
            patient: true,
            #[cfg(test)]
            bytes_read: 0,
        }
    }

    pub fn for_once(cache: Cache) -> EnrolmentMemory {
        EnrolmentMemory { patient: false, ..EnrolmentMemory::new(cache) }
    }

    /// Begins an enrolment; the files that an aborted one used are not counted.
    fn begin(&mut self) {
        self.keys.values_mut().for_each(|(_, _, used)| *used = false);
        self.cache.begin();
    }

    /// Ends an enrolment: drops files that are not in the gallery any more, and writes the cache.
    ///
    /// # Errors
    /// When the cache cannot be written.
    pub fn settle(&mut self) -> std::io::Result<()> {
        self.keys.retain(|_, (_, _, used)| *used);
        self.cache.save()
    }

    /// The number of files with a known content hash.
    #[cfg(test)]
    pub(in crate::recognition) fn remembered(&self) -> usize {
        self.keys.len()
    }
}

/// An enrolment in progress.
#[derive(Debug)]
pub(in crate::recognition) struct Enrolment {
    /// The people, followed by the blocklist.
    drafts: Vec<Draft>,
    /// The index of the draft whose pictures are being enrolled.
    at: usize,
    /// The numbers of processed pictures and of all pictures.
    progress: (usize, usize),
    /// A digest of the files and their results.
    found: DefaultHasher,
    ignored: Vec<PictureReport>,
    config: Config,
    /// The measured rates of the recognition model.
    rates: Option<Arc<Rates>>,
}

impl Enrolment {
    /// Lists the gallery.
    ///
    /// # Errors
    /// When the folder is missing or cannot be read; the old library stays in use, and no file is waited for.
    pub fn begin(
        config: &Config,
        rates: Option<Arc<Rates>>,
        memory: &mut EnrolmentMemory,
        cause: EnrolmentCause,
        now: Moment,
    ) -> anyhow::Result<Enrolment> {
        let listing = list::list(&config.gallery.path).inspect_err(|_| memory.arrivals.stop())?;
        memory.begin();
        memory.arrivals.begin(cause, now.instant);
        let found = digest_of(&listing);
        let Listing { people, never, ignored } = listing;
        let most = Some(config.gallery.max_images_per_person as usize);
        let people = people.into_iter().map(|(name, folder)| Draft::new(name, folder, most));
        let drafts: Vec<Draft> = people.chain([Draft::new(list::NEVER.to_owned(), never, None)]).collect();
        Ok(Enrolment {
            progress: (0, drafts.iter().map(Draft::waiting).sum()),
            drafts,
            at: 0,
            found,
            ignored,
            config: config.clone(),
            rates,
        })
    }

    pub fn progress(&self) -> (usize, usize) {
        self.progress
    }

    /// Enrols the next picture; false when none is left.
    pub fn step(&mut self, engine: &mut dyn Engine, memory: &mut EnrolmentMemory, now: Moment) -> bool {
        while let Some(draft) = self.drafts.get_mut(self.at) {
            let Some(candidate) = draft.next_picture() else {
                self.at += 1;
                continue;
            };
            let verdict = judge(&candidate.path, self.config.recognition.num_jitters, engine, memory, now);
            candidate.shown.hash(&mut self.found);
            verdict.as_ref().map(|face| face.to_bytes()).hash(&mut self.found);
            draft.take(candidate, verdict);
            self.progress.0 += 1;
            return true;
        }
        false
    }

    /// The digest; two enrolments of a config with the same digest have the same library.
    pub fn digest(&self) -> u64 {
        self.found.finish()
    }

    /// The library, after every picture was processed.
    pub fn finish(mut self, generation: u64) -> Library {
        let mut matcher = Matcher::new(&self.config.recognition, self.rates.clone());
        let most = self.config.gallery.max_images_per_person as usize;
        let never = self.drafts.pop();
        let people: Vec<_> = self.drafts.iter().map(|draft| (draft.name.as_str(), &draft.usable[..])).collect();
        let mut fates = curate::judge(&people);
        for (draft, fates) in self.drafts.iter().zip(&mut fates) {
            let never = never.as_ref().map_or(&[][..], |never| &never.usable);
            curate::leave_out_never(&draft.usable, never, fates);
            curate::keep_the_most_different(&draft.usable, fates, most, &too_many(most));
        }
        let (mut warnings, mut people, mut somebody_comes) = (Vec::new(), Vec::new(), false);
        for (mut draft, fates) in self.drafts.into_iter().zip(fates) {
            draft.leave_the_rest(fates.iter().filter(|fate| fate.is_used()).count());
            let comes = draft.unusable.iter().any(|picture| picture.skipped.as_deref() == Some(COMING));
            somebody_comes |= comes;
            let used: Vec<&Usable> = used(&draft.usable, &fates).collect();
            // A person whose pictures are still being copied gets no warning, because it would soon be wrong.
            if used.is_empty() && !comes {
                let empty = draft.usable.is_empty() && draft.unusable.is_empty();
                let why = if empty {
                    "the folder is empty; add pictures"
                } else {
                    "none of the pictures can be used; see the reason of each"
                };
                warnings.push(format!("{} will not be recognised: {why}", draft.name));
            }
            matcher.add(&draft.name, used.iter().map(|picture| (Arc::clone(&picture.file), picture.face.descriptor)));
            warnings.extend(curate::doubt(&used).map(|doubt| format!("{}: {doubt}", draft.name)));
            let (spread, hint) = (curate::spread(&used), curate::hint(&used));
            people.push(Person { pictures: pictures(&draft, fates), name: draft.name, spread, hint });
        }
        warnings.extend(expected::near_pairs(&matcher));
        let never = never.map(|draft| {
            let described = || draft.usable.iter().map(|picture| (Arc::clone(&picture.file), picture.face.descriptor));
            warnings.extend(expected::near_never(&matcher, described()));
            matcher.add_not(described());
            let fates = draft.usable.iter().map(|_| Fate::Used).collect();
            pictures(&draft, fates)
        });
        if matcher.people() == 0 && !somebody_comes {
            let folder = self.config.gallery.path.display();
            warnings
                .push(format!("the gallery has no people: put pictures of a person into {folder}/NAME/ and reload"));
        }
        if self.rates.is_none() && self.config.recognition.false_name_budget > 0.0 && matcher.people() > 0 {
            warnings.push(NOT_MEASURED.to_owned());
        }
        let threshold = expected::threshold(&matcher);
        warnings.extend(expected::doubts(&threshold));
        let (never, ignored) = (never.unwrap_or_default(), self.ignored);
        Library { roster: Roster { generation, people, never, ignored, warnings, threshold: Some(threshold) }, matcher }
    }
}

fn digest_of(listing: &Listing) -> DefaultHasher {
    let mut digest = DefaultHasher::new();
    listing.people.keys().for_each(|name| name.hash(&mut digest));
    let folders = || listing.people.values().chain([&listing.never]);
    folders().flat_map(|folder| &folder.candidates).for_each(|candidate| candidate.shown.hash(&mut digest));
    let passed_over = folders().flat_map(|folder| &folder.passed_over).chain(&listing.ignored);
    passed_over.for_each(|picture| (&picture.file, &picture.skipped).hash(&mut digest));
    digest
}

fn used<'a>(usable: &'a [Usable], fates: &'a [Fate]) -> impl Iterator<Item = &'a Usable> {
    usable.iter().zip(fates).filter(|(_, fate)| fate.is_used()).map(|(picture, _)| picture)
}

/// All files of a person with their results, in name order.
fn pictures(draft: &Draft, fates: Vec<Fate>) -> Vec<PictureReport> {
    let own: Vec<_> = (0..fates.len()).map(|at| curate::from_nearest(&draft.usable, &fates, at)).collect();
    let judged = draft.usable.iter().zip(fates).zip(own).map(|((picture, fate), nearest_own)| {
        let Quality { width_px, sharpness, brightness } = picture.face.quality;
        let (skipped, note) = match fate {
            Fate::Used => (None, None),
            Fate::UsedBut(note) => (None, Some(note)),
            Fate::Skipped(reason) => (Some(reason), None),
        };
        let face = Some(FaceNumbers { width_px, sharpness, brightness, nearest_own });
        PictureReport { file: picture.file.to_string(), skipped, note, face }
    });
    let mut all: Vec<PictureReport> = judged.chain(draft.unusable.iter().cloned()).collect();
    all.sort_by(|a, b| a.file.cmp(&b.file));
    all
}

/// The only face on a picture, or why there is none. A file that may still be growing, or whose result is known, is not
/// read.
fn judge(path: &Path, jitters: u32, engine: &mut dyn Engine, memory: &mut EnrolmentMemory, now: Moment) -> Verdict {
    let EnrolmentMemory { cache, arrivals, keys, patient, .. } = memory;
    let metadata = std::fs::symlink_metadata(path).map_err(unreadable)?;
    let found = stamp(&metadata);
    let known = keys.get_mut(path).filter(|(known, ..)| *known == found).and_then(|(_, key, used)| {
        *used = true;
        cache.get(key)
    });
    if *patient && (arrivals.waits_for(path, found, now) || (known.is_none() && !arrivals.meet(path, &metadata, now))) {
        return Err(COMING.to_owned());
    }
    if let Some(known) = known {
        return known;
    }
    let (file, before, bytes) = read(path).inspect_err(|_| arrivals.refused(path))?;
    #[cfg(test)]
    {
        memory.bytes_read += bytes.len() as u64;
    }
    if *patient {
        // A file that was written to meanwhile may have been read partly in its old and partly in its new state.
        let after = file.metadata().map_err(unreadable)?;
        if stamp(&after) != before && !arrivals.meet(path, &after, now) {
            return Err(COMING.to_owned());
        }
    }
    let key = key_of(&bytes);
    keys.insert(path.to_owned(), (before, key, true));
    let known = cache.get(&key);
    if *patient && !still::has_its_end(&bytes) {
        let incomplete = Err(still::INCOMPLETE.to_owned());
        if known.is_none() {
            cache.put(key, incomplete.clone());
        }
        return if arrivals.lacks_its_end(path, now) { Err(COMING.to_owned()) } else { incomplete };
    }
    arrivals.has_come(path);
    known.unwrap_or_else(|| {
        let verdict = describe_the_one_face(bytes, jitters, engine);
        cache.put(key, verdict.clone());
        verdict
    })
}

/// The angle by which a picture without a face is rotated to either side, because HOG finds only upright faces.
const TILTS_DEGREES: [f32; 2] = [15.0, -15.0];

const NO_FACE: &str =
    "no face found: use a sharp, upright picture from the front with an uncovered face at least 60 px wide";

fn describe_the_one_face(bytes: Vec<u8>, jitters: u32, engine: &mut dyn Engine) -> Verdict {
    let still = still::decode_still(&bytes)?;
    // Frees up to 64 MB before the detector allocates its memory.
    drop(bytes);
    let faces = faces_on_still(engine, &still.rgb);
    describe_one_of(&still, &faces, jitters, engine)
}

fn describe_one_of(still: &Still, faces: &[Rect], jitters: u32, engine: &mut dyn Engine) -> Verdict {
    let rgb = &still.rgb;
    let verdict = match faces[..] {
        [face] => describe(rgb, face, jitters, engine),
        [] => TILTS_DEGREES
            .iter()
            .find_map(|degrees| {
                let turned = tilted(rgb, *degrees);
                let faces = faces_on_still(engine, &turned);
                let [face] = faces[..] else { return None };
                // With three rotations a false detection, such as a collar, is more likely than with one.
                is_found_again(engine, &turned, face).then(|| describe(&turned, face, jitters, engine))
            })
            .unwrap_or_else(|| Err(NO_FACE.to_owned())),
        ref several => Err(format!("{} faces: crop to this person", several.len())),
    };
    verdict.map(|mut face| {
        let width_px = face.quality.width_px;
        face.quality.width_px = still.on_whole(Rect { w: width_px, ..Rect::default() }).w;
        face
    })
}

/// The judgement of a file as a picture of a person. The descriptor is discarded.
pub(in crate::recognition) fn worth(bytes: Vec<u8>, jitters: u32, engine: &mut dyn Engine) -> Worth {
    let alone = |why| Unfit { why, faces: Vec::new() };
    let still = still::decode_still(&bytes).map_err(alone)?;
    drop(bytes);
    let faces = faces_on_still(engine, &still.rgb);
    let (width, height) = (still.rgb.width as f32, still.rgb.height as f32);
    let part = |face: &Rect| {
        let [x, y, w, h] = [face.x as f32, face.y as f32, face.w as f32, face.h as f32];
        [x / width, y / height, w / width, h / height]
    };
    let several = if faces.len() > 1 { faces.iter().take(MAX_CHOICES).map(part).collect() } else { Vec::new() };
    let face = describe_one_of(&still, &faces, jitters, engine).map_err(|why| Unfit { why, faces: several })?;
    face.quality.poor().map_or(Ok(()), |why| Err(alone(why)))
}

/// The most faces of a group picture that are returned for a choice.
const MAX_CHOICES: usize = 32;

fn describe(rgb: &Rgb, face: Rect, jitters: u32, engine: &mut dyn Engine) -> Verdict {
    let described = engine.describe(rgb, &[face], jitters).into_iter().next();
    let finite = described.filter(|descriptor| descriptor.iter().all(|v| v.is_finite()));
    let descriptor =
        finite.ok_or_else(|| "no descriptor can be computed for its face; use another picture".to_owned())?;
    Ok(Face { descriptor, quality: Quality::of(rgb, face) })
}

/// Reads a file without following a link or blocking on a named pipe. The stamp is that of the file before it was read.
fn read(path: &Path) -> Result<(File, Stamp, Vec<u8>), String> {
    let mut options = File::options();
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = options.read(true).open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err("not a regular file".to_owned());
    }
    still::check_length(metadata.len())?;
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // A file that grows meanwhile is read again later.
    (&file).take(still::MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok((file, stamp(&metadata), bytes))
}

fn unreadable(error: std::io::Error) -> String {
    format!("unreadable: {error}")
}

#[cfg(test)]
mod tests;
