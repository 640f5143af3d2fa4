//! Server-sent events: who comes and who goes.

use super::Site;
use super::accounts::Role;
use super::message::{Answer, Stream, Whole, Wire};
use super::state;
use crate::sighting::{Sightings, State};
use crate::stop::POLL;
use serde_json::json;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How many may listen.
const MAX_LISTENERS: usize = 32;
/// A comment line comes at least so often, so that both ends notice when the other has gone.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A listener's place, given back on drop.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// The stream of events for one listener.
pub fn events<'a>(site: &'a Site, role: Role) -> Answer<'a> {
    let taken = site.listeners.fetch_update(Relaxed, Relaxed, |n| (n < MAX_LISTENERS).then_some(n + 1));
    if taken.is_err() {
        return Whole::later(503, 10, &format!("{MAX_LISTENERS} listen already; please try again later.")).into();
    }
    let place = Place(&site.listeners);
    Answer::Stream(Stream {
        content_type: "text/event-stream",
        first: b"retry: 2000\n\n",
        run: Box::new(move |wire| {
            let _place = place;
            tell(site, role, wire)
        }),
    })
}

/// What makes an event when it changes.
type Scene = Vec<(u64, Option<Arc<str>>, State)>;

fn scene(sightings: Option<&Sightings>) -> Scene {
    let faces = sightings.map(|sightings| sightings.faces.as_slice()).unwrap_or_default();
    let mut scene: Scene = faces.iter().map(|face| (face.track, face.name.clone(), face.state)).collect();
    // A set: two people who change sides are the same two people.
    scene.sort_by_key(|(track, ..)| *track);
    scene
}

fn tell(site: &Site, role: Role, wire: &mut dyn Wire) -> io::Result<()> {
    let stage = &site.stage;
    let (mut seen, mut sent) = (0, Instant::now());
    let (mut told_scene, mut told_camera) = (None, None);
    while !stage.stop.is_set() {
        let mut text = String::new();
        let camera = stage.health.camera().error;
        if told_camera.as_ref() != Some(&camera) {
            let data = json!({"online": camera.is_none(), "error": camera});
            text += &format!("event: camera\ndata: {data}\n\n");
            told_camera = Some(camera);
        }
        let sightings = state::current(stage);
        let scene = scene(sightings.as_deref());
        if told_scene.as_ref() != Some(&scene) {
            let data = state::faces(sightings.as_deref(), role);
            text += &format!("event: faces\ndata: {data}\n\n");
            told_scene = Some(scene);
        }
        if text.is_empty() && sent.elapsed() >= KEEP_ALIVE {
            text += ": still here\n\n";
        }
        if !text.is_empty() {
            wire.send(&[text.as_bytes()])?;
            sent = Instant::now();
        }
        if let Some((version, _)) = stage.sightings.wait_newer(seen, POLL) {
            seen = version;
        }
    }
    Ok(())
}
