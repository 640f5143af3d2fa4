//! Descriptors of a folder of people, made by the program's own engine once and kept beside the build.

use crate::people::{Person, read_descriptors, write_descriptors};
use anyhow::Context;
use namecam::config::Config;
use namecam::pixels::Rgb;
use namecam::recognition::{self, picture};
use namecam::sighting::Rect;
use std::path::{Path, PathBuf};

/// Reads the descriptors of `file`, or makes them of `folders` (a folder a person in each) and writes them there.
pub fn describe(folders: &[PathBuf], models: &Path, file: &Path) -> anyhow::Result<Vec<Person>> {
    if file.exists() {
        tell!("descriptors: {} (delete it to make them anew)", file.display());
        return read_descriptors(file);
    }
    let mut config = Config::defaults(Path::new("/"));
    config.models.path = std::path::absolute(models)?;
    let mut opened = recognition::open(&config)?;
    let mut people: Vec<Person> = Vec::new();
    let (mut done, mut faceless) = (0, 0);
    for path in pictures(folders)? {
        let name = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
        let Ok(rgb) = std::fs::read(&path).map_err(|e| e.to_string()).and_then(|bytes| picture::decode(&bytes)) else {
            continue;
        };
        let faces = recognition::faces_on_still(opened.engine.as_mut(), &rgb);
        done += 1;
        if done % 200 == 0 {
            tell!("{done} pictures, {faceless} without a face");
        }
        let Some(face) = central(&rgb, &faces) else {
            faceless += 1;
            continue;
        };
        let descriptor = opened.engine.describe(&rgb, &[face], 1).remove(0);
        let at = people.iter().position(|person| person.name == name).unwrap_or(people.len());
        if at == people.len() {
            people.push(Person { name, pictures: Vec::new() });
        }
        people[at].pictures.push((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), descriptor));
    }
    tell!("{done} pictures, {faceless} without a face");
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    write_descriptors(file, &people)?;
    Ok(people)
}

/// On LFW's pictures, the person who is meant stands in the middle.
fn central(rgb: &Rgb, faces: &[Rect]) -> Option<Rect> {
    let off = |face: &Rect| {
        let from_middle = |start: i32, length: u32, side: u32| start * 2 + length as i32 - side as i32;
        let (x, y) = (from_middle(face.x, face.w, rgb.width), from_middle(face.y, face.h, rgb.height));
        i64::from(x).pow(2) + i64::from(y).pow(2)
    };
    faces.iter().copied().min_by_key(off)
}

fn pictures(folders: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for folder in folders {
        for person in std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
            let person = person?.path();
            if person.is_dir() {
                all.extend(
                    std::fs::read_dir(person)?.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?,
                );
            }
        }
    }
    all.sort();
    Ok(all)
}
