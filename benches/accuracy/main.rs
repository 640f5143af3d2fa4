//! How often namecam is right: `make accuracy`. Everything goes through the program's own gallery, matcher and tracks.

/// A line for whoever waits, on stderr.
macro_rules! tell {
    ($($words:tt)*) => { namecam::logging::tell(&format!($($words)*)) };
}

mod lfw;
mod pairs;
mod people;
mod plot;
mod report;
mod tables;
mod video;
mod visits;

use anyhow::bail;
use people::read_descriptors;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

const USAGE: &str = "usage:
  accuracy rates [--descriptors FILE.f32 | --lfw FOLDER ...] [--without FILE.tsv] [--pairs FILE] [--models FOLDER] [--svg FILE]
  accuracy tables FILE.f32
  accuracy video CLIP.mjpeg FPS TRUTH.csv ENROL-FOLDER INTERVAL_MS";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["tables", file] => tables::print(&read_descriptors(Path::new(file))?),
        ["rates", ref options @ ..] => rates(options)?,
        ["video", clip, fps, truth, enrol, interval_ms] => {
            let (clip, truth, enrol) = (Path::new(clip), Path::new(truth), Path::new(enrol));
            video::watch(clip, fps.parse()?, truth, enrol, Path::new("models"), interval_ms.parse()?)?
        }
        _ => bail!("{USAGE}"),
    }
    Ok(())
}

fn rates(options: &[&str]) -> anyhow::Result<()> {
    let (mut folders, mut descriptors, mut without, mut pairs) = (Vec::new(), None, None, None);
    let (mut models, mut svg) = (PathBuf::from("models"), PathBuf::from("target/accuracy/accuracy.svg"));
    for pair in options.chunks(2) {
        let &[option, value] = pair else { bail!("{USAGE}") };
        match option {
            "--lfw" => folders.extend(value.split_whitespace().map(PathBuf::from)),
            "--descriptors" => descriptors = Some(PathBuf::from(value)),
            "--without" => without = Some(PathBuf::from(value)),
            "--pairs" => pairs = Some(PathBuf::from(value)),
            "--models" => models = value.into(),
            "--svg" => svg = value.into(),
            _ => bail!("{option}?\n{USAGE}"),
        }
    }
    let mut people = match &descriptors {
        Some(file) if folders.is_empty() => read_descriptors(file)?,
        file => {
            let cache = file.clone().unwrap_or_else(|| PathBuf::from("target/accuracy/descriptors.f32"));
            lfw::describe(&folders, &models, &cache)?
        }
    };
    if let Some(file) = without {
        let text = std::fs::read_to_string(file)?;
        let known: HashSet<&str> = text.lines().filter_map(|line| line.split('\t').next()).collect();
        people.retain(|person| !known.contains(person.name.as_str()));
    }
    report::write(&people, pairs.as_deref(), &svg)
}
