//! Runs detector, tracks and matcher on a clip of known people, in the time of the clip.

use anyhow::{Context, bail};
use namecam::config::Config;
use namecam::detection::{Sighting, Sightings, State};
use namecam::frame::{Frame, Moment};
use namecam::image::{Format, Raw, Turn};
use namecam::recognition;
use namecam::recognition::engine::Engine;
use namecam::recognition::gallery::enrol::Library;
use namecam::recognition::pipeline::Pipeline;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// A range of frames (both ends included), and the person who is on them; another name stands for no known person.
struct Scene {
    first: usize,
    last: usize,
    who: String,
}

/// A sequence of frames, as from a camera.
pub struct Clip<'a> {
    /// JPEGs.
    pub frames: &'a [Vec<u8>],
    /// Frames per second.
    pub fps: f64,
    /// The duration of a look; `None` for the measured time on this machine.
    pub look: Option<Duration>,
}

/// The results of recognition on a clip.
pub struct Watched {
    /// The faces on each frame of the stream.
    pub shown: Vec<Vec<Sighting>>,
    /// The number of the frame of each look, and the faces that the look found.
    pub looks: Vec<(usize, Vec<Sighting>)>,
}

/// Runs recognition on the clip as `namecam run` does, with one look every `interval_ms`, and prints when each person
/// was named.
pub fn watch(
    clip: &Path,
    fps: f64,
    truth: &Path,
    enrol: &Path,
    interval_ms: u32,
    look: Option<Duration>,
) -> anyhow::Result<()> {
    let frames = split(&std::fs::read(clip).with_context(|| format!("{} cannot be read", clip.display()))?);
    let scenes = read_truth(truth)?;
    let gallery = tempfile::tempdir()?;
    for entry in std::fs::read_dir(enrol)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let person = gallery.path().join(name.split('_').next().unwrap_or_default());
        std::fs::create_dir_all(&person)?;
        std::fs::copy(&path, person.join(&name))?;
    }
    let mut config = Config::defaults(Path::new("/"));
    config.gallery.path = gallery.path().to_owned();
    config.models.path = std::path::absolute("models")?;
    config.recognition.interval_ms = interval_ms;
    let mut opened = recognition::open(&config)?;
    let library = recognition::load(&config, &mut opened)?;
    let clip = Clip { frames: &frames, fps, look };
    let watched = look_at_all(&clip, &config, opened.engine.as_mut(), &library)?;
    report(&scenes, fps, &watched);
    Ok(())
}

/// Runs recognition on a clip as `namecam run` does, in the time of the clip.
pub fn look_at_all(
    clip: &Clip,
    config: &Config,
    engine: &mut dyn Engine,
    library: &Library,
) -> anyhow::Result<Watched> {
    let start = Moment::now();
    let mut pipeline = Pipeline::default();
    let (mut next_look, mut coming, mut current) = (Duration::ZERO, None, None::<Sightings>);
    let mut watched = Watched { shown: Vec::new(), looks: Vec::new() };
    for (seq, bytes) in clip.frames.iter().enumerate() {
        let now = Duration::from_secs_f64(seq as f64 / clip.fps);
        let captured_at = start.after(now);
        if coming.as_ref().is_some_and(|(ready, _)| *ready <= now) {
            current = coming.take().map(|(_, sightings)| sightings);
        }
        if coming.is_none() && now >= next_look {
            let (width, height) = namecam::image::jpeg::size(bytes).context("a frame is no JPEG")?;
            let raw = Raw { bytes: bytes.clone(), width, height, stride: 0 };
            let format = Format::by_fourcc(b"MJPG").context("MJPG")?;
            let frame = Frame::new(seq as u64, Moment::now(), format, raw, Turn::default());
            let began = Instant::now();
            let luma = frame.luma().ok();
            let motion = pipeline.motion(luma.as_ref(), (width, height));
            next_look = now + Duration::from_millis(u64::from(config.recognition.interval_ms));
            if !pipeline.need(&motion, captured_at.instant) {
                current = current.map(|mut seen| {
                    seen.faces.iter_mut().for_each(|face| face.velocity = [0.0; 2]);
                    Sightings { captured_at, ..seen }
                });
                watched.shown.push(current.as_ref().map(|seen| seen.faces.clone()).unwrap_or_default());
                continue;
            }
            let rgb = frame.rgb().map_err(|error| anyhow::anyhow!(error))?;
            let matcher = Some(&library.matcher);
            let faces = pipeline.look(engine, &rgb, &motion, matcher, &config.recognition, captured_at.instant);
            pipeline.remember(luma);
            let took = clip.look.unwrap_or_else(|| began.elapsed());
            let interval = Duration::from_millis(u64::from(config.recognition.interval_ms));
            let (width, height) = (rgb.width, rgb.height);
            let blurred_areas = Vec::new();
            let sightings = Sightings {
                frame: seq as u64,
                captured_at,
                took,
                interval,
                width,
                height,
                faces,
                blurred_areas,
                examined: None,
                mask: Default::default(),
            };
            if std::env::var_os("VERBOSE").is_some() {
                for face in &sightings.faces {
                    let (name, why) = (face.name.as_deref().unwrap_or("-"), &face.evidence.reason.text);
                    tell!(
                        "{seq:4} track {} {name} {:?} {} px at {}: {why}",
                        face.track,
                        face.state,
                        face.rect.w,
                        face.rect.x
                    );
                }
            }
            watched.looks.push((seq, sightings.faces.clone()));
            coming = Some((now + took, sightings));
        }
        let faces = current.as_ref().filter(|seen| !seen.is_stale(captured_at.instant));
        let mut shown = faces.map(|seen| seen.faces_at(captured_at.instant)).unwrap_or_default();
        if !shown.is_empty() {
            // The encoder does the same when it has faces to draw.
            let rgb = namecam::image::jpeg::decode(bytes).map_err(|error| anyhow::anyhow!(error))?;
            shown.retain(|face| face.is_there(&rgb));
        }
        watched.shown.push(shown);
    }
    Ok(watched)
}

fn report(scenes: &[Scene], fps: f64, watched: &Watched) {
    println!(
        "| frames | who | frames with the name | first name | looks with a wrong name | frames with a wrong name |"
    );
    println!("| ---: | :--- | ---: | ---: | ---: | ---: |");
    for Scene { first, last, who } in scenes {
        let named = |faces: &[Sighting]| faces.iter().any(|face| face.name.as_deref() == Some(who));
        let wrong = |faces: &[Sighting]| faces.iter().any(|face| face.name.as_deref().is_some_and(|name| name != who));
        let frames = watched.shown.get(*first..=*last).unwrap_or_default();
        let right = frames.iter().filter(|faces| named(faces)).count();
        let first_named = frames.iter().position(|faces| named(faces));
        let looks = watched.looks.iter().filter(|(frame, _)| (first..=last).contains(&frame));
        println!(
            "| {first} - {last} | {who} | {:.0} % | {} | {} | {} |",
            right as f64 / frames.len().max(1) as f64 * 100.0,
            first_named.map_or("never".to_owned(), |frames| format!("{:.2} s", frames as f64 / fps)),
            looks.filter(|(_, faces)| wrong(faces)).count(),
            frames.iter().filter(|faces| wrong(faces)).count(),
        );
    }
    println!();
    let mut labels: BTreeMap<u64, Vec<Option<String>>> = BTreeMap::new();
    for face in watched.shown.iter().flatten().filter(|face| face.state != State::Seen) {
        let label = face.name.as_ref().map(|name| name.to_string());
        let known = labels.entry(face.track).or_default();
        if known.last() != Some(&label) {
            known.push(label);
        }
    }
    for (track, labels) in labels {
        let words: Vec<&str> = labels.iter().map(|label| label.as_deref().unwrap_or("Unknown")).collect();
        println!("track {track}: {}", words.join(" -> "));
    }
}

fn read_truth(file: &Path) -> anyhow::Result<Vec<Scene>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let scenes = text.lines().skip(1).map(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        let [first, last, _, who] = cells[..] else { bail!("{line}: first_frame,last_frame,clip,who") };
        Ok(Scene { first: first.parse()?, last: last.parse()?, who: who.to_owned() })
    });
    scenes.collect()
}

/// Splits a file of concatenated JPEGs.
fn split(bytes: &[u8]) -> Vec<Vec<u8>> {
    let between = |pair: &(usize, &[u8])| pair.1 == [0xff, 0xd9, 0xff, 0xd8];
    let inner = bytes.windows(4).enumerate().filter(between).map(|(at, _)| at + 2);
    let starts: Vec<usize> = std::iter::once(0).chain(inner).chain([bytes.len()]).collect();
    starts.windows(2).map(|pair| bytes[pair[0]..pair[1]].to_vec()).collect()
}
