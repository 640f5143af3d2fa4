//! [`Former`]: the topics that this camera used at a broker before the config changed. Retained messages there are to
//! be deleted.
//!
//! The file `mqtt` in the state folder records them.

use super::home::{self, Device};
use crate::config::Mqtt;
use crate::os::files;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The most former places that are remembered.
const MAX: usize = 4;

/// A broker and the topics that this camera uses, or used, there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    host: String,
    port: u16,
    /// The prefix of every topic.
    pub root: String,
    /// The topic of the announcement.
    announced_at: Option<String>,
}

impl Place {
    pub fn of(mqtt: &Mqtt, device: &Device) -> Place {
        let (root, announced_at) = (device.root.clone(), device.announced_at.clone());
        Place { host: mqtt.host.clone(), port: mqtt.port(), root, announced_at }
    }

    /// The topic of the status of the camera there.
    pub fn status(&self) -> String {
        format!("{}/status", self.root)
    }
}

/// The places, the newest last. The last one is in use.
#[derive(Debug, Default)]
pub struct Former {
    file: Option<PathBuf>,
    places: Vec<Place>,
}

impl Former {
    /// Reads the places of the file. A file that cannot be parsed is logged and counts as empty.
    pub fn open(file: Option<PathBuf>) -> Former {
        let read = |file: &PathBuf| {
            let read = serde_json::from_slice(&std::fs::read(file).ok()?);
            read.inspect_err(|error| log::warn!("{}: {error}; it is written anew", file.display())).ok()
        };
        let places = file.as_ref().and_then(read).unwrap_or_default();
        Former { file, places }
    }

    /// Records that `place` is used from now on. Returns the former places at the same broker.
    ///
    /// # Errors
    /// When the file cannot be written. The places are kept in memory until the program ends.
    pub fn begin(&mut self, place: &Place) -> (Vec<Place>, Result<(), String>) {
        let before = self.places.clone();
        self.places.retain(|former| former != place);
        self.places.push(place.clone());
        let surplus = self.places.len().saturating_sub(MAX + 1);
        self.places.drain(..surplus);
        let kept = if self.places == before { Ok(()) } else { self.write() };
        let is_here = |former: &&Place| *former != place && former.host == place.host && former.port == place.port;
        (self.places.iter().filter(is_here).cloned().collect(), kept)
    }

    /// Removes a place where no retained message is left, or that another camera uses now.
    pub fn forget(&mut self, place: &Place) -> Result<(), String> {
        self.places.retain(|former| former != place);
        self.write()
    }

    fn write(&self) -> Result<(), String> {
        let Some(file) = &self.file else { return Ok(()) };
        let bytes = serde_json::to_vec_pretty(&self.places).unwrap_or_default();
        let written = files::make_folder_of(file).and_then(|()| files::replace(file, &bytes));
        written.map_err(|error| format!("{}: {error}", file.display()))
    }
}

/// The topics of `place` that the device does not use, including those of the people with these slugs.
pub fn topics(place: &Place, device: &Device, slugs: &BTreeSet<String>) -> Vec<String> {
    let announced_at = place.announced_at.iter().filter(|at| device.announced_at.as_ref() != Some(at)).cloned();
    if place.root == device.root {
        return announced_at.collect();
    }
    let topic = |rest: &str| format!("{}/{rest}", place.root);
    let of_people = slugs.iter().flat_map(|slug| ["", "/last_seen"].map(|end| topic(&format!("person/{slug}{end}"))));
    announced_at.chain(of_people).chain(home::RETAINED.map(topic)).collect()
}
