//! Server-sent events: faces that appear or leave, and the state of the camera; with `?boxes=1` the boxes of each look.

use super::client::holder;
use super::message::{Answer, Request, StreamAnswer, Wire};
use super::{PLACE_WAIT, Site, api, typed};
use crate::detection::{Sightings, State};
use crate::http::auth::access::Who;
use crate::http::auth::accounts::Role;
use crate::sync::POLL;
use serde::Serialize;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most listeners at a time.
const MAX_LISTENERS: usize = 32;
/// The longest time between two writes, so that both ends notice a broken connection. The server notices it at the
/// second write.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(1);
const _: () = assert!(PLACE_WAIT.as_millis() > 2 * KEEP_ALIVE.as_millis() + 2 * POLL.as_millis());

/// The stream of events for one listener.
pub fn events<'a>(site: &'a Site, request: &Request, who: &Who) -> Answer<'a> {
    let flags = request.flag("boxes", false).and_then(|boxes| Ok((boxes, request.flag("typed", false)?)));
    let (boxes, is_typed) = match flags {
        Ok(flags) => flags,
        Err(refusal) => return refusal.into(),
    };
    let (who, client) = (who.clone(), holder(request, who.user.as_deref()));
    let typed = is_typed.then(|| typed::begin(site, request));
    let place = match site.wait_for(|| site.listeners.take(&client, MAX_LISTENERS)) {
        Ok(place) => place,
        Err(refusal) => return site.no_place(&client, "listeners", MAX_LISTENERS, refusal).into(),
    };
    Answer::Stream(StreamAnswer {
        content_type: "text/event-stream",
        headers: Vec::new(),
        first: b"retry: 2000\n\n",
        run: Box::new(move |wire| {
            let _place = place;
            match typed {
                Some(seen) => typed::tell(site, &who, seen, wire),
                None => tell(site, &who, boxes, wire),
            }
        }),
    })
}

/// The properties of faces whose change is an event.
type ShownFaces = Vec<(u64, Option<Arc<str>>, State)>;

fn scene(sightings: Option<&Sightings>) -> ShownFaces {
    let faces = sightings.map(|sightings| sightings.faces.as_slice()).unwrap_or_default();
    let mut scene: ShownFaces = faces.iter().map(|face| (face.track, face.name.clone(), face.state)).collect();
    // Sorted, because a change of the order is not an event.
    scene.sort_by_key(|(track, ..)| *track);
    scene
}

/// Sends events while `who` is admitted.
fn tell(site: &Site, who: &Who, boxes: bool, wire: &mut dyn Wire) -> io::Result<()> {
    let stage = &site.stage;
    let (mut seen, mut sent) = (0, Instant::now());
    let (mut told_scene, mut told_camera, mut told_look) = (None, None, None);
    let mut checked = sent;
    while !stage.stop.is_set() {
        if checked.elapsed() >= KEEP_ALIVE {
            checked = Instant::now();
            if !site.gate.is_still_admitted(who, &site.config()) {
                break;
            }
        }
        let mut text = String::new();
        let camera = stage.health.camera().error;
        if told_camera.as_ref() != Some(&camera) {
            text += &event("camera", &api::CameraEvent { online: camera.is_none(), error: camera.as_deref() })?;
            told_camera = Some(camera);
        }
        // The look is read once, so that the faces and the boxes are of the same look.
        let (number, sightings) = stage.look_in_view().unzip();
        let scene = scene(sightings.as_deref());
        if told_scene.as_ref() != Some(&scene) {
            text += &event("faces", &api::faces(sightings.as_deref(), who.role))?;
            told_scene = Some(scene);
        }
        if boxes && told_look != Some(number) {
            text += &event("boxes", &sightings.map(|seen| boxes_of(site, &seen, who)).unwrap_or_default())?;
            told_look = Some(number);
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

/// The boxes of a look, limited to what `who` may see.
fn boxes_of(site: &Site, seen: &Sightings, who: &Who) -> api::BoxesEvent {
    api::BoxesEvent::of(seen, site.config().overlay.blurs_for(who.role == Role::Admin))
}

fn event(name: &str, data: &impl Serialize) -> io::Result<String> {
    Ok(format!("event: {name}\ndata: {}\n\n", serde_json::to_string(data)?))
}
