//! Computes the descriptors of folders of people with the program's own engine, and keeps them in a file.

use crate::people::{Person, read_descriptors, write_descriptors};
use anyhow::{Context, ensure};
use namecam::image::{Rect, Rgb, still};
use namecam::recognition;
use namecam::recognition::dlib::{Dlib, set_blas_threads};
use namecam::recognition::engine::Engine;
use namecam::recognition::models::ModelFiles;
use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// Reads the descriptors from `file`, or computes those of the people in `folders` and writes them to `file`.
pub fn describe(folders: &[PathBuf], models: &ModelFiles, file: &Path) -> anyhow::Result<Vec<Person>> {
    if file.exists() {
        tell!("descriptors: {} (delete it to make them anew)", file.display());
        return read_descriptors(file, &models.sha256);
    }
    set_blas_threads(1);
    let mut engine = Dlib::open(models, u64::MAX)?;
    let mut people: Vec<Person> = Vec::new();
    let (mut done, mut faceless) = (0, 0);
    for (name, path) in pictures(folders)? {
        let Ok(rgb) = std::fs::read(&path).map_err(|e| e.to_string()).and_then(|bytes| still::decode(&bytes)) else {
            continue;
        };
        let faces = recognition::detect::verify::faces_on_still(&mut engine, &rgb);
        done += 1;
        if done % 200 == 0 {
            tell!("{done} pictures, {faceless} without a face");
        }
        let Some(face) = central(&rgb, &faces) else {
            faceless += 1;
            continue;
        };
        let descriptor = engine.describe(&rgb, &[face], 1).remove(0);
        let at = people.iter().position(|person| person.name == name).unwrap_or(people.len());
        if at == people.len() {
            people.push(Person { name, pictures: Vec::new() });
        }
        people[at].pictures.push((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), descriptor));
    }
    tell!("{done} pictures, {faceless} without a face");
    ensure!(!people.is_empty(), "there is no face on any picture of a person in {folders:?}");
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    write_descriptors(file, &people, &models.sha256)?;
    Ok(people)
}

/// The face nearest to the middle, where LFW's pictures have the named person.
fn central(rgb: &Rgb, faces: &[Rect]) -> Option<Rect> {
    let off = |face: &Rect| {
        let from_middle = |start: i32, length: u32, side: u32| start * 2 + length as i32 - side as i32;
        let (x, y) = (from_middle(face.x, face.w, rgb.width), from_middle(face.y, face.h, rgb.height));
        i64::from(x).pow(2) + i64::from(y).pow(2)
    };
    faces.iter().copied().min_by_key(off)
}

/// A hash of the names and sizes of all pictures, so that the file of their descriptors is not used for other pictures.
pub fn fingerprint(folders: &[PathBuf]) -> anyhow::Result<u64> {
    let mut hasher = DefaultHasher::new();
    for (name, path) in pictures(folders)? {
        (name, path.file_name(), std::fs::metadata(&path)?.len()).hash(&mut hasher);
    }
    Ok(hasher.finish())
}

/// The pictures with the names of their people: `NAME/FILE`, and files `NAME_NUMBER` beside these folders.
fn pictures(folders: &[PathBuf]) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let mut all = Vec::new();
    for folder in folders {
        for entry in std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
            let path = entry?.path();
            let text = |part: Option<&OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                let name = text(path.file_name());
                for picture in std::fs::read_dir(&path)? {
                    all.push((name.clone(), picture?.path()));
                }
            } else if let Some((name, _)) = text(path.file_stem()).rsplit_once('_') {
                all.push((name.to_owned(), path));
            }
        }
    }
    all.sort_by(|a, b| a.1.cmp(&b.1));
    Ok(all)
}
