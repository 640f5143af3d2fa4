//! Measures how often names are right: `make accuracy`. All measurements use the program's own gallery, matcher and
//! tracks.

/// Prints a line about the progress to stderr.
macro_rules! tell {
    ($($words:tt)*) => { namecam::os::logging::tell(&format!($($words)*)) };
}

mod cohort;
mod crossing;
mod groups;
mod lfw;
mod pairs;
mod people;
mod plot;
mod remedies;
mod report;
mod tables;
mod video;
mod visits;

use anyhow::{Context, bail};
use namecam::config::Config;
use namecam::recognition::models::{self, ModelFiles};
use people::{Person, read_descriptors};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

const USAGE: &str = "usage:
  accuracy rates OF-PEOPLE [--pairs FILE] [--svg FILE]
  accuracy descriptors --lfw \"FOLDER ...\" --descriptors FILE.f32
  accuracy tables OF-PEOPLE [--rates FILE]
  accuracy groups OF-PEOPLE --lfw-descriptors FILE.f32 [--left-out \"WORD ...\"]
  accuracy remedies OF-PEOPLE --lfw-descriptors FILE.f32 [--svg FILE]
  accuracy cohort OF-PEOPLE --source TEXT --out FILE
  accuracy crossing --lfw \"FOLDER ...\" [--models FOLDER] [--frames FOLDER]
                    [--scenes N] [--people N,...] [--interval-ms MS,...] [--look-ms MS]
  accuracy video CLIP.mjpeg FPS TRUTH.csv ENROL-FOLDER INTERVAL_MS [LOOK_MS]
`rates` takes several sets of people: --descriptors \"FILE.f32 ...\"
OF-PEOPLE: [--descriptors FILE.f32] [--lfw FOLDER ...] [--without FILE.tsv] [--models FOLDER] [--recognizer FILE]";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["tables", ref options @ ..] => make_tables(&Options::read(options)?)?,
        ["cohort", ref options @ ..] => make_cohort(&Options::read(options)?)?,
        ["groups", ref options @ ..] => measure_groups(&Options::read(options)?)?,
        ["descriptors", ref options @ ..] => {
            let options = Options::read(options)?;
            let people = options.people(&models::check(&options.config)?)?;
            let pictures: usize = people.iter().map(|person| person.pictures.len()).sum();
            println!("{} people, {pictures} pictures with a face", people.len());
        }
        ["remedies", ref options @ ..] => measure_remedies(&Options::read(options)?)?,
        ["rates", ref options @ ..] => measure_rates(&Options::read(options)?)?,
        ["crossing", ref options @ ..] => crossing::run(options)?,
        ["video", clip, fps, truth, enrol, interval_ms, ref look_ms @ ..] if look_ms.len() <= 1 => {
            let (clip, truth, enrol) = (Path::new(clip), Path::new(truth), Path::new(enrol));
            let look = look_ms.first().map(|ms| ms.parse().map(Duration::from_millis)).transpose()?;
            video::watch(clip, fps.parse()?, truth, enrol, interval_ms.parse()?, look)?
        }
        _ => bail!("{USAGE}"),
    }
    Ok(())
}

/// The options of all commands except `crossing` and `video`.
struct Options {
    folders: Vec<PathBuf>,
    descriptors: Vec<PathBuf>,
    without: Option<PathBuf>,
    pairs: Option<PathBuf>,
    svg: PathBuf,
    rates: Option<PathBuf>,
    source: String,
    lfw_descriptors: Option<PathBuf>,
    left_out: String,
    out: Option<PathBuf>,
    config: Config,
}

impl Options {
    fn read(words: &[&str]) -> anyhow::Result<Options> {
        let mut options = Options {
            folders: Vec::new(),
            descriptors: Vec::new(),
            without: None,
            pairs: None,
            svg: PathBuf::from("target/accuracy/accuracy.svg"),
            rates: None,
            source: String::new(),
            lfw_descriptors: None,
            left_out: String::new(),
            out: None,
            config: Config::defaults(&std::env::current_dir()?),
        };
        for pair in words.chunks(2) {
            let &[option, value] = pair else { bail!("{USAGE}") };
            match option {
                "--lfw" => options.folders.extend(value.split_whitespace().map(PathBuf::from)),
                "--descriptors" => options.descriptors.extend(value.split_whitespace().map(PathBuf::from)),
                "--without" => options.without = Some(value.into()),
                "--pairs" => options.pairs = Some(value.into()),
                "--models" => options.config.models.path = std::path::absolute(value)?,
                "--recognizer" => options.config.models.recognizer = value.into(),
                "--svg" => options.svg = value.into(),
                "--rates" => options.rates = Some(value.into()),
                "--lfw-descriptors" => options.lfw_descriptors = Some(value.into()),
                "--left-out" => options.left_out = value.to_owned(),
                "--source" => options.source = value.to_owned(),
                "--out" => options.out = Some(value.into()),
                _ => bail!("{option}?\n{USAGE}"),
            }
        }
        Ok(options)
    }

    /// The sets of people by name: one set per file of descriptors, or a single set.
    fn sets(&self, files: &ModelFiles) -> anyhow::Result<Vec<(String, Vec<Person>)>> {
        let name = |file: &PathBuf| file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        match (&self.folders[..], &self.descriptors[..]) {
            ([], [_, _, ..]) => {
                let read = |file| Ok((name(file), read_descriptors(file, &files.sha256)?));
                self.descriptors.iter().map(read).collect()
            }
            (_, files_of) => Ok(vec![(files_of.first().map_or("people".to_owned(), name), self.people(files)?)]),
        }
    }

    /// The people to measure, with descriptors of the model in `files`.
    fn people(&self, files: &ModelFiles) -> anyhow::Result<Vec<Person>> {
        let mut people = match (&self.folders[..], &self.descriptors[..]) {
            ([], []) => bail!("whose? --descriptors or --lfw\n{USAGE}"),
            ([], [file]) => read_descriptors(file, &files.sha256)?,
            (_, [_, _, ..]) => bail!("one file of descriptors, please\n{USAGE}"),
            (folders, [file]) => lfw::describe(folders, files, file)?,
            (folders, []) => {
                // A file for each model and each set of pictures, so that their descriptors are not mixed.
                let name = format!("{}-{:016x}.f32", &files.sha256[..16], lfw::fingerprint(folders)?);
                lfw::describe(folders, files, &Path::new("target/accuracy").join(name))?
            }
        };
        if let Some(without) = &self.without {
            let text = std::fs::read_to_string(without)?;
            let known: HashSet<&str> = text.lines().filter_map(|line| line.split('\t').next()).collect();
            people.retain(|person| !known.contains(person.name.as_str()));
        }
        Ok(people)
    }
}

fn measure_rates(options: &Options) -> anyhow::Result<()> {
    let files = models::check(&options.config)?;
    let rates = models::rates(&files)?;
    let rates = rates.context("no rates are known of this recognizer: make tables RECOGNIZER=FILE makes them")?;
    let (mut points, sets) = (Vec::new(), options.sets(&files)?);
    let several = sets.len() > 1;
    for (set, people) in sets {
        println!("## {set}\n");
        if people.iter().any(|person| person.pictures.len() > 1) {
            let own = PathBuf::from(format!("target/accuracy/{set}.svg"));
            report::write(&people, &rates, options.pairs.as_deref(), if several { &own } else { &options.svg })?;
        }
        points.extend(groups::of_set(people, &set, &rates));
    }
    std::fs::write("target/accuracy/stated.svg", plot::stated(&points))?;
    Ok(())
}

fn measure_groups(options: &Options) -> anyhow::Result<()> {
    let files = models::check(&options.config)?;
    let lfw = options.lfw_descriptors.as_deref().with_context(|| format!("which? --lfw-descriptors\n{USAGE}"))?;
    let left_out: Vec<&str> = options.left_out.split_whitespace().collect();
    let (people, lfw) = (options.people(&files)?, read_descriptors(lfw, &files.sha256)?);
    let mut points = groups::cross_fit(people.clone(), lfw.clone(), &[]);
    if !left_out.is_empty() {
        points.extend(groups::cross_fit(people, lfw, &left_out));
    }
    std::fs::write(&options.svg, plot::stated(&points))?;
    Ok(())
}

fn measure_remedies(options: &Options) -> anyhow::Result<()> {
    let files = models::check(&options.config)?;
    let lfw = options.lfw_descriptors.as_deref().with_context(|| format!("which? --lfw-descriptors\n{USAGE}"))?;
    let fit = groups::Fit::new(options.people(&files)?, read_descriptors(lfw, &files.sha256)?, |_| false);
    remedies::write(&fit, &options.svg)
}

fn make_cohort(options: &Options) -> anyhow::Result<()> {
    let files = models::check(&options.config)?;
    let out = options.out.as_deref().with_context(|| format!("where to? --out\n{USAGE}"))?;
    cohort::make(&options.people(&files)?, &files.sha256, &options.source, out)
}

fn make_tables(options: &Options) -> anyhow::Result<()> {
    let files = models::check(&options.config)?;
    let people = options.people(&files)?;
    let cohort =
        models::cohort(&files)?.context("the recognizer has no cohort: make cohort RECOGNIZER=FILE makes it")?;
    tables::make(&people, &files.sha256, &cohort, options.rates.as_deref())
}
