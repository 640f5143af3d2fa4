//! `/api/events?typed=1`: sends each [`crate::presence::event::Event`] once, with its id, and once the list of those
//! present.

use super::events::KEEP_ALIVE;
use super::message::{Request, Wire};
use super::{Site, api};
use crate::http::auth::access::Who;
use crate::presence::bus::Batch;
use crate::sync::POLL;
use serde::Serialize;
use std::io;
use std::time::{Duration, Instant};

/// The event `present`.
#[derive(Serialize)]
struct PresentEvent {
    present: usize,
    online: bool,
    reason: Option<String>,
    visits: Vec<api::VisitJson>,
}

/// The text of the events of a batch with ids up to `most`.
fn written(batch: &Batch, most: u64) -> io::Result<String> {
    let mut text = String::new();
    if batch.missed > 0 {
        text += &format!("event: missed\ndata: {{\"missed\":{}}}\n\n", batch.missed);
    }
    for event in batch.events.iter().filter(|event| event.id <= most) {
        let (id, kind, data) = (event.id, event.kind.as_str(), serde_json::to_string(&**event)?);
        text += &format!("id: {id}\nevent: {kind}\ndata: {data}\n\n");
    }
    Ok(text)
}

/// The id after which a listener of typed events begins: that of `Last-Event-ID`, which browsers send when they
/// reconnect, or else that of the newest event that the list of those present includes.
pub fn begin(site: &Site, request: &Request) -> u64 {
    let last = request.header("Last-Event-ID").and_then(|id| id.trim().parse().ok());
    let newest = || site.stage.day.present().0.filter(|_| last.is_none());
    newest().unwrap_or_else(|| site.stage.events.begin_after(last))
}

/// Sends the events after `seen` while `who` is admitted. The list of those present is sent after the earlier events
/// and before the later ones.
pub fn tell(site: &Site, who: &Who, mut seen: u64, wire: &mut dyn Wire) -> io::Result<()> {
    let (mut sent, mut checked) = (Instant::now(), Instant::now());
    let (newest, stays) = site.stage.day.present();
    let newest = newest.unwrap_or_else(|| site.stage.events.begin_after(None)).max(seen);
    let config = site.config();
    let camera = site.stage.health.camera().error;
    let present = PresentEvent {
        present: stays.len(),
        online: camera.is_none(),
        reason: camera,
        visits: api::visits(&site.stage, &config, stays, who.role),
    };
    let batch = site.stage.events.wait_after(seen, Duration::ZERO);
    let mut text = written(&batch, newest)?;
    text += &format!("event: present\ndata: {}\n\n", serde_json::to_string(&present)?);
    wire.send(&[text.as_bytes()])?;
    seen = newest;
    while !site.stage.stop.is_set() {
        if checked.elapsed() >= KEEP_ALIVE {
            checked = Instant::now();
            if !site.gate.is_still_admitted(who, &site.config()) {
                break;
            }
        }
        let batch = site.stage.events.wait_after(seen, POLL);
        let mut text = written(&batch, u64::MAX)?;
        seen = batch.events.last().map_or(seen, |event| event.id);
        if text.is_empty() && sent.elapsed() >= KEEP_ALIVE {
            text += ": still here\n\n";
        }
        if !text.is_empty() {
            wire.send(&[text.as_bytes()])?;
            sent = Instant::now();
        }
    }
    Ok(())
}
