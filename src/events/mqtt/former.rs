//! [`Former`]: under which topics a broker was told of this camera before the config named others, so that it keeps nothing there.
//!
//! The file `mqtt` of the state folder holds them.

use super::home::{self, Device};
use crate::config::Mqtt;
use crate::os::files;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The most former places that are remembered.
const MAX: usize = 4;

/// Where a broker was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    host: String,
    port: u16,
    /// What every topic begins with.
    pub root: String,
    /// The topic of the announcement.
    announced_at: Option<String>,
}

impl Place {
    pub fn of(mqtt: &Mqtt, device: &Device) -> Place {
        let (root, announced_at) = (device.root.clone(), device.announced_at.clone());
        Place { host: mqtt.host.clone(), port: mqtt.port(), root, announced_at }
    }

    /// Where its camera says whether it is online.
    pub fn status(&self) -> String {
        format!("{}/status", self.root)
    }
}

/// The places, the newest last.
#[derive(Debug, Default)]
pub struct Former {
    file: Option<PathBuf>,
    places: Vec<Place>,
}

impl Former {
    /// Those of the file; none when it cannot be read, which is logged.
    pub fn open(file: Option<PathBuf>) -> Former {
        let read = |file: &PathBuf| {
            let read = serde_json::from_slice(&std::fs::read(file).ok()?);
            read.inspect_err(|error| log::warn!("{}: {error}; it is written anew", file.display())).ok()
        };
        let places = file.as_ref().and_then(read).unwrap_or_default();
        Former { file, places }
    }

    /// The broker is told at `place` from now on. Returns the former places at the same broker.
    ///
    /// # Errors
    /// When the place cannot be kept; it holds until the program ends.
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

    /// The broker keeps nothing at `place` any more, or another camera is there.
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

/// The topics that `place` has and the device has not, with those of the people who have these slugs.
pub fn topics(place: &Place, device: &Device, slugs: &BTreeSet<String>) -> Vec<String> {
    let announced_at = place.announced_at.iter().filter(|at| device.announced_at.as_ref() != Some(at)).cloned();
    if place.root == device.root {
        return announced_at.collect();
    }
    let topic = |rest: &str| format!("{}/{rest}", place.root);
    let of_people = slugs.iter().flat_map(|slug| ["", "/last_seen"].map(|end| topic(&format!("person/{slug}{end}"))));
    announced_at.chain(of_people).chain(home::RETAINED.map(topic)).collect()
}
