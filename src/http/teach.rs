//! Changes of the gallery from the page: naming faces, barring faces, and editing the pictures of a person. All changes
//! are files in the gallery, so the page and a shell show the same state.

use super::Site;
use super::api::{self, ChipJson, EnrolJson, TaughtJson};
use super::message::{Answer, Body, Request, Whole, form};
use crate::detection::Sightings;
use crate::gallery::desk::{Change, Unfit};
use crate::gallery::edit::{self, NewPicture, Refusal, Whose, Written};
use crate::http::auth::access::Who;
use crate::http::auth::accounts::Role;
use crate::image::jpeg::{Codec, Compressor};
use crate::image::still;
use crate::memory::{self, Machine};
use crate::os::localtime;
use crate::roster::Roster;
use crate::sync::{POLL, lock};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

/// How long a request waits until recognition uses a change. After that, the response says that it is not at work yet.
pub(super) const AT_WORK_WITHIN: Duration = Duration::from_secs(20);
/// How long a request waits until a look shows the effect of a change on a face: the time of two looks.
const SHOWN_WITHIN: Duration = Duration::from_secs(3);
/// How long a picture waits for its judgement: a look may be running, and the picture is examined in up to three
/// rotations.
pub(super) const JUDGED_WITHIN: Duration = Duration::from_secs(20);
/// The widths of a thumbnail in pixels.
const THUMBNAIL_PX: std::ops::RangeInclusive<u32> = 32..=1280;
const USUAL_THUMBNAIL_PX: u32 = 160;
const THUMBNAIL_QUALITY: u32 = 85;
/// The most thumbnails that are made at a time: each may decode a picture of 64 megapixels.
const MAX_THUMBNAILS: usize = 1;
/// How long a thumbnail waits for earlier ones.
const THUMBNAIL_WITHIN: Duration = Duration::from_secs(20);

/// The body of a request as JSON, or the refusal that states the required shape.
pub(super) fn body<T: DeserializeOwned>(request: &Request, shape: &str) -> Result<T, Whole> {
    // serde also accepts a list for the fields of a struct.
    if !request.body.trim_ascii_start().starts_with(b"{") {
        return Err(Whole::text(400, &format!("The body must be {shape}.")));
    }
    let wrong = |error| Whole::text(400, &format!("The body must be {shape}: {error}"));
    serde_json::from_slice(&request.body).map_err(wrong)
}

fn refused(refusal: Refusal) -> Whole {
    let (status, why) = match refusal {
        Refusal::BadName(why) => (400, why),
        Refusal::NotFound(why) => (404, why),
        Refusal::Conflict(why) => (409, why),
        Refusal::Failed(why) => (500, why),
    };
    Whole::text(status, &why)
}

pub(super) fn answered<'a>(done: Result<Whole, Whole>) -> Answer<'a> {
    done.unwrap_or_else(|refusal| refusal).into()
}

/// The decoded value of the parameter `name`.
fn param(request: &Request, name: &str) -> Option<String> {
    form(request.query.as_bytes()).into_iter().find(|(given, _)| given == name).map(|(_, value)| value)
}

/// The body of POST `/api/faces/name` and `/api/faces/not`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaceIs {
    track: u64,
    name: Option<String>,
}

/// POST `/api/faces/name`: names the face of a track.
pub fn name<'a>(site: &'a Site, request: &'a Request, _: &Who) -> Answer<'a> {
    let named = || -> Result<Whole, Whole> {
        let shape = "{\"track\": NUMBER, \"name\": \"...\"}";
        let FaceIs { track, name: Some(name) } = body(request, shape)? else {
            return Err(Whole::text(400, &format!("The body must be {shape}.")));
        };
        let name = edit::person_name(&name).map_err(refused)?;
        teach(site, track, &Whose::Person(name.clone()), Some(&name))
    };
    answered(named())
}

/// POST `/api/faces/not`: adds the face of a track to the blocklist.
pub fn not<'a>(site: &'a Site, request: &'a Request, _: &Who) -> Answer<'a> {
    let barred = || -> Result<Whole, Whole> {
        let shape = "{\"track\": NUMBER}";
        let FaceIs { track, name: None } = body(request, shape)? else {
            return Err(Whole::text(400, &format!("The body must be {shape}.")));
        };
        teach(site, track, &Whose::Never, None)
    };
    answered(barred())
}

/// The body of POST `/api/faces/enrol`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Enrol {}

/// POST `/api/faces/enrol`: the only person in view enrols before the camera. The page derives its instructions from
/// the response.
pub fn enrol<'a>(site: &'a Site, request: &'a Request, _: &Who) -> Answer<'a> {
    let posing = || -> Result<Whole, Whole> {
        let Enrol {} = body(request, "{}")?;
        let (seen, chips) = (site.stage.faces_in_view(), site.stage.chips());
        let told = EnrolJson::of(seen.as_deref(), &chips, site.config().camera.mirror);
        if let Some(track) = told.track() {
            site.stage.desk.poses(track, Instant::now());
        }
        Ok(Whole::json(&told))
    };
    answered(posing())
}

/// Writes the chips of a track into the gallery, and waits for the effect on the name of its face.
fn teach(site: &Site, track: u64, whose: &Whose, name: Option<&str>) -> Result<Whole, Whole> {
    let chips = site.stage.chips();
    let chips = chips.of(track);
    if chips.is_empty() {
        let why = "There are no pictures of this face any more, or not yet. Wait until the person is in view again.";
        return Err(Whole::text(404, why));
    }
    let beginning = if name.is_some() { "camera" } else { "never" };
    let stem = format!("{beginning}-{}", localtime::stamp(SystemTime::now()));
    let picture = |jpeg| NewPicture { stem: &stem, ending: "jpg", bytes: jpeg };
    let pictures: Vec<NewPicture> = chips.iter().map(|chip| picture(&chip.jpeg)).collect();
    let before = roster(site);
    let (written, change) = edit(site, false, |root| {
        // When the face was named differently before, the files of that name are moved.
        let earlier: Vec<String> = if name.is_some() { site.lessons.take(track) } else { Vec::new() };
        let moved: Vec<Written> =
            earlier.iter().filter_map(|file| edit::move_picture(root, file, whose).ok()).collect();
        if moved.is_empty() { edit::add(root, whose, &pictures) } else { Ok(moved) }
    })?;
    if name.is_some() {
        site.lessons.keep(track, written.iter().map(|file| file.shown.to_string()).collect());
    }
    let taught = taken_in(site, &before, &written, change);
    let mut face = None;
    if taught.at_work {
        if let Some(name) = name {
            site.stage.day.name(track, name);
        }
        let is_so = |sightings: &Sightings| {
            let face = sightings.faces.iter().find(|face| face.track == track);
            face.is_none_or(|face| face.name.as_deref() == name)
        };
        face =
            wait_for_look(site, SHOWN_WITHIN, is_so).and_then(|sightings| api::face_in(&sightings, track, Role::Admin));
    }
    Ok(Whole::json(&TaughtJson { face, ..taught }))
}

/// The files that were written for the faces of the tracks that were named last.
#[derive(Default)]
pub struct Lessons(Mutex<VecDeque<(u64, Vec<String>)>>);

/// The most tracks in [`Lessons`].
const MAX_LESSONS: usize = 32;

impl Lessons {
    fn take(&self, track: u64) -> Vec<String> {
        let mut lessons = lock(&self.0);
        let at = lessons.iter().position(|(of, _)| *of == track);
        at.and_then(|at| lessons.remove(at)).map(|(_, files)| files).unwrap_or_default()
    }

    /// Records that the folder of a person has another name.
    fn rename(&self, from: &str, to: &str) {
        let renamed = |file: &str| Some(format!("{to}/{}", file.strip_prefix(from)?.strip_prefix('/')?));
        for file in lock(&self.0).iter_mut().flat_map(|(_, files)| files) {
            *file = renamed(file).unwrap_or_else(|| std::mem::take(file));
        }
    }

    /// Records that a file was deleted. Returns the track of which no file is left.
    fn delete(&self, file: &str) -> Option<u64> {
        let mut lessons = lock(&self.0);
        let at = lessons.iter().position(|(_, files)| files.iter().any(|of| of == file))?;
        lessons[at].1.retain(|of| of != file);
        if lessons[at].1.is_empty() { lessons.remove(at).map(|(track, _)| track) } else { None }
    }

    /// Forgets the files of a person.
    fn forget(&self, person: &str) {
        let is_theirs = |file: &String| file.split_once('/').is_some_and(|(folder, _)| folder == person);
        lock(&self.0).iter_mut().for_each(|(_, files)| files.retain(|file| !is_theirs(file)));
    }

    fn keep(&self, track: u64, files: Vec<String>) {
        let mut lessons = lock(&self.0);
        lessons.push_back((track, files));
        while lessons.len() > MAX_LESSONS {
            lessons.pop_front();
        }
    }
}

/// Changes the files of the gallery and notifies recognition. With `forgets`, no chip may stay.
fn edit(
    site: &Site,
    forgets: bool,
    how: impl FnOnce(&std::path::Path) -> Result<Vec<Written>, Refusal>,
) -> Result<(Vec<Written>, Change), Whole> {
    let root = site.config().gallery.path.clone();
    let edits = site.stage.desk.edit();
    let written = how(&root);
    drop(edits);
    if let Err(refusal) = &written {
        log::info!("gallery: a change from the page was refused: {refusal:?}");
    }
    // A change that failed half way has changed something, too.
    let paths = written.iter().flatten().map(|file| file.path.clone()).collect::<Vec<_>>();
    let change = site.stage.desk.changed(paths, forgets);
    written.map_err(refused).map(|written| (written, change))
}

fn roster(site: &Site) -> Arc<Roster> {
    site.stage.roster.newest().map(|(_, roster)| roster).unwrap_or_default()
}

/// Waits until a change is at work. Returns the results of its files, and the pictures that it displaced.
fn taken_in(site: &Site, before: &Roster, written: &[Written], change: Change) -> TaughtJson {
    let at_work = can_look(site) && site.stage.desk.wait(change, AT_WORK_WITHIN);
    let mut taught = TaughtJson {
        files: written.iter().map(|file| file.shown.to_string()).collect(),
        displaced: Vec::new(),
        pictures: Vec::new(),
        at_work,
        face: None,
    };
    if at_work {
        let after = roster(site);
        let was_used: HashSet<&str> =
            before.files().filter(|picture| picture.skipped.is_none()).map(|picture| picture.file.as_str()).collect();
        for picture in after.files() {
            if written.iter().any(|file| *file.shown == picture.file) {
                taught.pictures.push(picture.clone());
            } else if picture.skipped.is_some() && was_used.contains(picture.file.as_str()) {
                taught.displaced.push(picture.file.clone());
            }
        }
    }
    taught
}

/// True while recognition is on and can run.
fn can_look(site: &Site) -> bool {
    site.config().recognition.is_on(SystemTime::now()) && site.stage.health.recognition_error().is_none()
}

/// Waits for a look after a change for which `is_so` is true. Returns the newest sightings. Without a camera, and while
/// recognition is off or cannot run, there is no look.
fn wait_for_look(site: &Site, within: Duration, is_so: impl Fn(&Sightings) -> bool) -> Option<Arc<Sightings>> {
    let (deadline, mut seen, mut newest) = (Instant::now() + within, 0, None);
    let comes = || site.stage.health.camera_online() && can_look(site);
    while Instant::now() < deadline && !site.stage.stop.is_set() && comes() {
        let Some((version, sightings)) = site.stage.sightings.wait_newer(seen, POLL) else { continue };
        // The first sightings may be older than the change.
        let is_first = std::mem::replace(&mut seen, version) == 0;
        let is_done = !is_first && is_so(&sightings);
        newest = Some(sightings);
        if is_done {
            break;
        }
    }
    newest
}

/// The body of POST `/api/gallery/move`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    file: String,
    /// `None` for the blocklist.
    person: Option<String>,
}

/// POST `/api/gallery/move`.
pub fn move_picture<'a>(site: &'a Site, request: &'a Request, _: &Who) -> Answer<'a> {
    let moved = || {
        let Move { file, person } = body(request, "{\"file\": \"...\", \"person\": \"...\" or null}")?;
        let to = person.map_or(Whose::Never, Whose::Person);
        changed(site, |root| edit::move_picture(root, &file, &to).map(|written| vec![written]))
    };
    answered(moved())
}

/// The body of POST `/api/gallery/delete`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Delete {
    file: String,
}

/// POST `/api/gallery/delete`.
pub fn delete_picture<'a>(site: &'a Site, request: &'a Request, _: &Who) -> Answer<'a> {
    let deleted = || {
        let Delete { file } = body(request, "{\"file\": \"...\"}")?;
        changed(site, |root| {
            edit::remove_picture(root, &file)?;
            // What is left of a name that was given to a face is taken back with its last picture.
            if let Some(track) = site.lessons.delete(&file) {
                site.stage.day.unname(track);
            }
            Ok(Vec::new())
        })
    };
    answered(deleted())
}

/// The body of POST `/api/gallery/rename`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rename {
    person: String,
    to: String,
    #[serde(default)]
    merge: bool,
}

/// POST `/api/gallery/rename`.
pub fn rename<'a>(site: &'a Site, request: &'a Request, _: &Who) -> Answer<'a> {
    let renamed = || {
        let Rename { person, to, merge } = body(request, "{\"person\": \"...\", \"to\": \"...\", \"merge\": false}")?;
        let person = edit::composed(&person);
        changed(site, |root| {
            let moved = edit::rename(root, &person, &to, merge)?;
            let to = edit::person_name(&to)?;
            // Before recognition learns of the change, so that the person does not count as gone.
            site.stage.day.rename(&person, &to);
            site.stage.slugs.rename(&person, &to);
            site.lessons.rename(&person, &to);
            Ok(moved)
        })
    };
    answered(renamed())
}

fn changed(site: &Site, how: impl FnOnce(&std::path::Path) -> Result<Vec<Written>, Refusal>) -> Result<Whole, Whole> {
    let before = roster(site);
    let (written, change) = edit(site, false, how)?;
    Ok(Whole::json(&taken_in(site, &before, &written, change)))
}

/// The body of POST `/api/gallery/forget`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Forget {
    person: String,
}

/// POST `/api/gallery/forget`: deletes everything that is known of a person. The response is the receipt.
pub fn forget<'a>(site: &'a Site, request: &'a Request, _: &Who) -> Answer<'a> {
    let forgotten = || -> Result<Whole, Whole> {
        let Forget { person } = body(request, "{\"person\": \"...\"}")?;
        let person = edit::composed(&person);
        let before = roster(site);
        let described = before.people.iter().filter(|known| known.name == person).flat_map(|known| &known.pictures);
        let descriptors = described.filter(|picture| picture.face.is_some()).count();
        let chips = site.stage.chips.newest().map_or(0, |(_, chips)| chips.count());
        let mut files = 0;
        let (_, change) = edit(site, true, |root| {
            files = edit::remove_person(root, &person)?;
            site.stage.day.forget(&person);
            site.stage.slugs.forget(&person);
            Ok(Vec::new())
        })?;
        let taught = taken_in(site, &before, &[], change);
        site.lessons.forget(&person);
        // Waits, so that a forgotten person is not shown after the receipt, even with slow looks.
        wait_for_look(site, AT_WORK_WITHIN, |seen| {
            seen.faces.iter().all(|face| face.name.as_deref() != Some(&*person))
        });
        log::info!("gallery: a person was forgotten: {files} files, {descriptors} descriptors, {chips} chips");
        Ok(Whole::json(&json!({
            "person": person,
            "files": files,
            "descriptors": descriptors,
            "chips": chips,
            "at_work": taught.at_work,
            "told_by_mqtt": !site.config().mqtt.host.is_empty(),
        })))
    };
    answered(forgotten())
}

/// POST `/api/gallery/picture?person=NAME`: judges a picture, and stores it if it is good.
pub fn add_picture<'a>(site: &'a Site, request: &'a Request, _: &Who) -> Answer<'a> {
    let added = || -> Result<Whole, Whole> {
        let person = param(request, "person").unwrap_or_default();
        let whose = Whose::Person(edit::person_name(&person).map_err(refused)?);
        let ending = if request.body.starts_with(b"\x89PNG") { "png" } else { "jpg" };
        if !site.config().recognition.is_on(SystemTime::now()) {
            return Err(Whole::text(409, "Recognition is turned off, so no one can say whether the picture is good."));
        }
        match site.stage.desk.ask(request.body.clone(), JUDGED_WITHIN) {
            None => return Err(Whole::later(503, 10, "The picture was not judged in time; please try again.")),
            Some(Err(Unfit { why, faces })) => {
                return Err(Whole::json(&json!({ "skipped": why, "faces": faces })).with_status(422));
            }
            Some(Ok(())) => {}
        }
        let stem = format!("upload-{}", localtime::stamp(SystemTime::now()));
        let picture = NewPicture { stem: &stem, ending, bytes: &request.body };
        changed(site, |root| edit::add(root, &whose, &[picture]))
    };
    answered(added())
}

/// GET `/api/chips/TRACK`: the pictures of the face of a track.
pub fn chips<'a>(site: &'a Site, request: &'a Request, _: &Who) -> Answer<'a> {
    let Ok(track) = request.path.trim_start_matches("/api/chips/").parse() else {
        return Whole::text(404, "A track is a number. /api/state lists the current tracks.").into();
    };
    let (chips, is_mirrored) = (site.stage.chips(), site.config().camera.mirror);
    let chips: Vec<ChipJson> = chips.of(track).iter().map(|chip| ChipJson::of(chip, is_mirrored)).collect();
    Whole::json(&json!({ "chips": chips })).into()
}

/// GET `/chip.jpg?track=TRACK&number=NUMBER`.
pub fn chip<'a>(site: &'a Site, request: &'a Request, _: &Who) -> Answer<'a> {
    let number = |name: &str| param(request, name).and_then(|text| text.parse::<u64>().ok());
    let (Some(track), Some(at)) = (number("track"), number("number")) else {
        return Whole::text(400, "Please name a picture: ?track=TRACK&number=NUMBER, from 0.").into();
    };
    // Where nobody may see strangers, an admin must not see them here either.
    let is_named = || {
        let sightings = site.stage.faces_in_view();
        sightings.is_some_and(|seen| seen.faces.iter().any(|face| face.track == track && face.name.is_some()))
    };
    if site.config().overlay.blurs_for(true) && !is_named() {
        return Whole::text(403, "People without a name are blurred for everybody (overlay.unknown = blur).").into();
    }
    let chips = site.stage.chips();
    match chips.of(track).get(usize::try_from(at).unwrap_or(usize::MAX)) {
        Some(chip) => Whole::new("image/jpeg", Body::Bytes(chip.jpeg.clone())).into(),
        None => Whole::text(404, "There is no such picture any more.").into(),
    }
}

/// GET `/picture.jpg?file=FILE&width=PIXELS`: a picture of the gallery, scaled down.
pub fn thumbnail<'a>(site: &'a Site, request: &'a Request, _: &Who) -> Answer<'a> {
    let made = || -> Result<Whole, Whole> {
        let named = param(request, "file");
        let file = named.ok_or_else(|| Whole::text(400, "Please name a picture: ?file=FILE, as in /api/gallery."))?;
        let width = match param(request, "width") {
            None => USUAL_THUMBNAIL_PX,
            Some(text) => text.parse().ok().filter(|width| THUMBNAIL_PX.contains(width)).ok_or_else(|| {
                let (least, most) = (THUMBNAIL_PX.start(), THUMBNAIL_PX.end());
                Whole::text(400, &format!("width must be a whole number from {least} to {most}."))
            })?,
        };
        let client = super::client::holder(request, None);
        let place = site.wait_up_to(THUMBNAIL_WITHIN, || site.thumbnails.take(&client, MAX_THUMBNAILS));
        let _place = place.map_err(|_| Whole::later(503, 2, "Too many pictures at a time; please try again."))?;
        let path = edit::picture(&site.config().gallery.path, &file).map_err(refused)?;
        let unfit = |why: String| Whole::text(422, &why);
        let bytes = still::bytes_of(&path).map_err(unfit)?;
        memory::check_beside_a_look(still::decoding_bytes(&bytes), &site.config(), &Machine::this()).map_err(unfit)?;
        let rgb = still::decode_still(&bytes).map_err(unfit)?.rgb;
        let rgb = if rgb.width > width { rgb.shrunk(width) } else { rgb };
        let mut jpeg = Vec::new();
        let compressed = Compressor::new(Codec::default(), THUMBNAIL_QUALITY).compress(&rgb, &mut jpeg);
        compressed.map_err(|why| Whole::text(500, &why))?;
        Ok(Whole::new("image/jpeg", Body::Bytes(jpeg)))
    };
    answered(made())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_lesson_follow_the_name_of_their_person() {
        let lessons = Lessons::default();
        lessons.keep(7, ["Anna/camera-1.jpg", "Annabel/2.jpg"].map(str::to_owned).to_vec());
        lessons.rename("Anna", "Anne");
        assert_eq!(lessons.take(7), ["Anne/camera-1.jpg", "Annabel/2.jpg"]);
    }
}
