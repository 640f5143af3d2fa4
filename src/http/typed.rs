//! `/api/events?typed=1`: each [`crate::presence::event::Event`], once, with its id; and once who is present.

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

/// The events of a batch up to an id, as they are sent.
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

/// After which event a listener begins who asks for typed events: after the one of `Last-Event-ID`, as browsers send it when they
/// connect again, else after the newest one whose outcome is known.
pub fn begin(site: &Site, request: &Request) -> u64 {
    let last = request.header("Last-Event-ID").and_then(|id| id.trim().parse().ok());
    let newest = || site.stage.day.present().0.filter(|_| last.is_none());
    newest().unwrap_or_else(|| site.stage.events.begin_after(last))
}

/// Sends the events after `seen` until `who` is no longer admitted. Between those of before it began and those of later it says who
/// is present.
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
            if !site.gate.is_still_admitted(who) {
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
