//! Measures tracks and names on synthetic scenes with known ground truth: people walk in, cross, take each other's
//! place, leave and come again. Photographs of people are drawn on a still room; the JPEG frames take the same path as
//! the frames of a camera.

mod actor;
mod film;
mod score;
mod script;

use crate::people::Draw;
use crate::video::{Clip, Watched, look_at_all};
use actor::{Actor, SIDE, face_on_photograph};
use anyhow::{Context, bail, ensure};
use film::{FPS, Film};
use namecam::config::Config;
use namecam::detection::{Sighting, State};
use namecam::image::{Rect, Rgb, still};
use namecam::recognition;
use namecam::recognition::descriptor::Descriptor;
use namecam::recognition::engine::Engine;
use namecam::recognition::gallery::enrol::Library;
use namecam::stream::overlay::Painter;
use score::{Role, Scene, Score, Shown};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::ParseIntError;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// Pictures of each person that go into the gallery: the first ones by file name.
const ENROLLED: usize = 3;
/// The least number of the other pictures of a person, which are drawn in the scenes.
const PLAYING: usize = 2;
/// The most people in a scene.
const MOST_ROLES: usize = 3;

/// The limit of passes over a scene. Usually the second or third pass is the same as the one before.
const MOST_PASSES: usize = 9;

/// The options of the command.
struct Wanted {
    folders: Vec<PathBuf>,
    models: PathBuf,
    scenes: usize,
    /// People in the gallery.
    people: Vec<usize>,
    /// The duration of a look, the same on every machine.
    look: Duration,
    intervals_ms: Vec<u32>,
    /// The folder for some of the frames, as viewers would see them.
    frames: Option<PathBuf>,
}

/// A person with pictures in the folders.
struct Somebody {
    name: String,
    enrolled: Vec<PathBuf>,
    playing: Vec<PathBuf>,
}

/// A scene before recognition runs on it.
struct Take {
    cast: Vec<usize>,
    roles: Vec<Role>,
    film: Film,
}

/// Runs `accuracy crossing` with its options, such as `--lfw "FOLDER ..."`.
pub fn run(options: &[&str]) -> anyhow::Result<()> {
    let wanted = read_options(options)?;
    let people = people(&wanted.folders, wanted.people.iter().copied().max().unwrap_or_default() + MOST_ROLES)?;
    let mut config = Config::defaults(Path::new("/"));
    config.models.path = std::path::absolute(&wanted.models)?;
    let mut opened = recognition::open(&config)?;
    let mut memory = Memory::default();
    let mut scores: Vec<(usize, u32, Score)> = Vec::new();
    for &people_in in &wanted.people {
        scores.extend(wanted.intervals_ms.iter().map(|&interval_ms| (people_in, interval_ms, Score::default())));
    }
    // Each person is in one scene before any person is in a second one.
    let mut waiting = Vec::new();
    for number in 0..wanted.scenes {
        // The content of a scene depends on its number, and on the people who were in the scenes before it.
        let mut draw = Draw((number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let take = take(number, &people, &mut waiting, opened.engine.as_mut(), &mut draw)?;
        for &people_in in &wanted.people {
            let gallery = gallery(&people, &take, people_in, &mut draw)?;
            config.gallery.path = gallery.path().to_owned();
            let library = recognition::load(&config, &mut opened)?;
            for (.., interval_ms, score) in scores.iter_mut().filter(|(of, ..)| *of == people_in) {
                config.recognition.interval_ms = *interval_ms;
                let clip = Clip { frames: &take.film.frames, fps: FPS, look: Some(wanted.look) };
                let watched = watch(&clip, &config, opened.engine.as_mut(), &mut memory, &library)?;
                score.add(&scene(&take, &shown(&watched.shown), &looks(&watched)));
                if let Some(folder) = &wanted.frames {
                    let name = format!("scene{number}-{people_in}-{interval_ms}");
                    write_frames(folder, &name, &take, &watched, &config)?;
                }
            }
        }
        memory = Memory::default();
        tell!("scene {} of {}: {} frames", number + 1, wanted.scenes, take.film.frames.len());
    }
    write(&scores, &wanted);
    Ok(())
}

/// Repeats the clip until the engine computes nothing new. The frames on which the pipeline searches the whole picture
/// depend on the duration of its last search; a remembered answer takes no time on any machine, so that the last pass
/// is the same on all machines.
fn watch(
    clip: &Clip,
    config: &Config,
    engine: &mut dyn Engine,
    memory: &mut Memory,
    library: &Library,
) -> anyhow::Result<Watched> {
    for _ in 0..MOST_PASSES {
        let known = memory.faces.len();
        let watched = look_at_all(clip, config, &mut Remembering { engine, memory }, library)?;
        if memory.faces.len() == known {
            return Ok(watched);
        }
    }
    bail!("the scene was seen otherwise at each of {MOST_PASSES} passes")
}

fn read_options(options: &[&str]) -> anyhow::Result<Wanted> {
    let mut wanted = Wanted {
        folders: Vec::new(),
        models: "models".into(),
        scenes: 24,
        people: vec![10, 50],
        look: Duration::from_millis(60),
        intervals_ms: vec![100, 200, 333],
        frames: None,
    };
    for pair in options.chunks(2) {
        let &[option, value] = pair else { bail!("{}", crate::USAGE) };
        match option {
            "--lfw" => wanted.folders = value.split_whitespace().map(PathBuf::from).collect(),
            "--models" => wanted.models = value.into(),
            "--scenes" => wanted.scenes = value.parse()?,
            "--people" => wanted.people = numbers(value)?,
            "--look-ms" => wanted.look = Duration::from_millis(value.parse()?),
            "--interval-ms" => wanted.intervals_ms = numbers(value)?,
            "--frames" => wanted.frames = Some(value.into()),
            _ => bail!("{option}?\n{}", crate::USAGE),
        }
    }
    Ok(wanted)
}

fn numbers<T: FromStr<Err = ParseIntError>>(value: &str) -> Result<Vec<T>, ParseIntError> {
    value.split(',').map(str::parse).collect()
}

/// The people with enough pictures.
fn people(folders: &[PathBuf], least: usize) -> anyhow::Result<Vec<Somebody>> {
    let mut pictures: HashMap<String, Vec<PathBuf>> = HashMap::new();
    for folder in folders {
        for person in std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
            let person = person?.path();
            if !person.is_dir() {
                continue;
            }
            let mut files: Vec<PathBuf> =
                std::fs::read_dir(&person)?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
            files.sort();
            pictures
                .entry(person.file_name().unwrap_or_default().to_string_lossy().into_owned())
                .or_default()
                .extend(files);
        }
    }
    pictures.retain(|_, files| files.len() >= ENROLLED + PLAYING);
    let mut people: Vec<Somebody> = pictures
        .into_iter()
        .map(|(name, mut enrolled)| Somebody { name, playing: enrolled.split_off(ENROLLED), enrolled })
        .collect();
    people.sort_by(|a, b| a.name.cmp(&b.name));
    ensure!(
        people.len() >= least,
        "{} people with {} pictures or more: {least} are needed",
        people.len(),
        ENROLLED + PLAYING
    );
    Ok(people)
}

fn take(
    number: usize,
    people: &[Somebody],
    waiting: &mut Vec<usize>,
    engine: &mut dyn Engine,
    draw: &mut Draw,
) -> anyhow::Result<Take> {
    let walks = script::scene(number, draw);
    let (mut cast, mut actors) = (Vec::new(), Vec::new());
    while actors.len() < walks.len() {
        if waiting.is_empty() {
            *waiting = draw.some(people.len(), people.len());
            waiting.retain(|person| !cast.contains(person));
        }
        let Some(person) = waiting.pop() else { bail!("too few people whose faces can be found") };
        let photographs = photographs(&people[person].playing, engine)?;
        let clothes = std::array::from_fn(|_| 40.0 + draw.below(150) as f64);
        if photographs.len() >= PLAYING {
            cast.push(person);
            actors.push(Actor::new(photographs, clothes));
        }
    }
    let role =
        |(at, &person): (usize, &usize)| Role { name: people[person].name.clone(), known: (number + at) % 3 != 2 };
    let roles = cast.iter().enumerate().map(role).collect();
    Ok(Take { film: film::take(&actors, &walks, draw)?, cast, roles })
}

/// The photographs on which the detector finds a face at LFW's position.
fn photographs(files: &[PathBuf], engine: &mut dyn Engine) -> anyhow::Result<Vec<Rgb>> {
    let mut found = Vec::new();
    for file in files {
        let rgb = still::decode(&std::fs::read(file)?).map_err(|why| anyhow::anyhow!("{}: {why}", file.display()))?;
        let usable = (rgb.width, rgb.height) == (SIDE, SIDE)
            && engine.detect(&rgb, 1.0).iter().any(|face| face.iou(face_on_photograph()) > 0.4);
        if usable {
            found.push(rgb);
        }
    }
    Ok(found)
}

/// A gallery of `size` people: the known people of the scene and other people, without the strangers of the scene.
fn gallery(people: &[Somebody], take: &Take, size: usize, draw: &mut Draw) -> anyhow::Result<tempfile::TempDir> {
    let known = take.cast.iter().zip(&take.roles).filter(|(_, role)| role.known).map(|(person, _)| *person);
    let others = draw.some(people.len(), people.len()).into_iter().filter(|person| !take.cast.contains(person));
    let folder = tempfile::tempdir()?;
    for person in known.chain(others).take(size) {
        let own = folder.path().join(&people[person].name);
        std::fs::create_dir(&own)?;
        for file in &people[person].enrolled {
            std::fs::copy(file, own.join(file.file_name().unwrap_or_default()))?;
        }
    }
    Ok(folder)
}

fn shown(frames: &[Vec<Sighting>]) -> Vec<Vec<Shown>> {
    frames.iter().map(|faces| faces.iter().map(box_of).collect()).collect()
}

fn looks(watched: &Watched) -> Vec<(usize, Vec<Shown>)> {
    watched.looks.iter().map(|(frame, faces)| (*frame, faces.iter().map(box_of).collect())).collect()
}

fn box_of(face: &Sighting) -> Shown {
    let name = face.name.as_ref().map(|name| name.to_string());
    Shown { track: face.track, name, labelled: face.state != State::Seen, rect: face.rect }
}

fn scene<'a>(take: &'a Take, shown: &'a [Vec<Shown>], looks: &'a [(usize, Vec<Shown>)]) -> Scene<'a> {
    Scene { roles: &take.roles, truth: &take.film.truth, shown, looks, fps: FPS }
}

/// The answers of the engine by picture, because recognition runs on a scene several times.
#[derive(Default)]
struct Memory {
    faces: HashMap<u64, Vec<Rect>>,
    descriptors: HashMap<u64, Vec<Descriptor>>,
}

struct Remembering<'a> {
    engine: &'a mut dyn Engine,
    memory: &'a mut Memory,
}

fn key(picture: &Rgb, of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    (picture.width, picture.height, &picture.data, of).hash(&mut hasher);
    hasher.finish()
}

impl Engine for Remembering<'_> {
    fn detect(&mut self, picture: &Rgb, scale: f64) -> Vec<Rect> {
        let found = self.memory.faces.entry(key(picture, scale.to_bits()));
        found.or_insert_with(|| self.engine.detect(picture, scale)).clone()
    }

    fn describe(&mut self, picture: &Rgb, faces: &[Rect], jitters: u32) -> Vec<Descriptor> {
        let rects: Vec<_> = faces.iter().map(|face| (face.x, face.y, face.w, face.h)).collect();
        let found = self.memory.descriptors.entry(key(picture, (rects, jitters)));
        found.or_insert_with(|| self.engine.describe(picture, faces, jitters)).clone()
    }
}

/// Two frames a second as PNG, as viewers see them.
fn write_frames(folder: &Path, name: &str, take: &Take, watched: &Watched, config: &Config) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut painter = Painter::new(&config.overlay);
    for frame in (0..take.film.frames.len()).step_by((FPS / 2.0) as usize) {
        let mut rgb = namecam::image::jpeg::decode(&take.film.frames[frame]).map_err(|error| anyhow::anyhow!(error))?;
        painter.draw(&mut rgb, &watched.shown[frame], 1.0);
        let file = folder.join(format!("{name}-{frame:04}.png"));
        image::save_buffer(&file, &rgb.data, rgb.width, rgb.height, image::ColorType::Rgb8)?;
    }
    Ok(())
}

fn write(scores: &[(usize, u32, Score)], wanted: &Wanted) {
    println!("{} scenes, {FPS} frames a second; a look takes {} ms.\n", wanted.scenes, wanted.look.as_millis());
    println!(
        "| people | interval | tracks on faces | on another face than before | looks with a wrong name | frames with a \
         wrong name | looks, frames with a name twice | tracks with a name | changes of their labels | tracks with more \
         than one |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (people, interval_ms, score) in scores {
        let Score { looks, frames, tracks, switches, wrong, doubled, named_tracks, changes, restless, .. } = score;
        println!(
            "| {people} | {interval_ms} ms | {tracks} | {switches} | {} of {looks} | {} of {frames} | {}, {} | \
             {named_tracks} | {changes} | {restless} |",
            wrong.0, wrong.1, doubled.0, doubled.1
        );
    }
    println!(
        "\n| people | interval | visits of known people | tracks a visit | names a visit | name after: median | 95 % | \
         never | then on frames | strangers named |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (people, interval_ms, score) in scores {
        let visits = score.known_visits();
        let a_visit = |count: usize| count as f64 / visits.max(1) as f64;
        let wait = |share: f64| score.wait(share).map_or("never".to_owned(), |wait| format!("{wait:.2} s"));
        println!(
            "| {people} | {interval_ms} ms | {visits} | {:.2} | {:.2} | {} | {} | {} | {:.1} % ({}/{}) | {} of {} |",
            a_visit(score.visit_tracks),
            a_visit(score.names),
            wait(0.5),
            wait(0.95),
            score.never,
            score.kept.1 as f64 / score.kept.0.max(1) as f64 * 100.0,
            score.kept.1,
            score.kept.0,
            score.strangers.0,
            score.strangers.1
        );
    }
}
