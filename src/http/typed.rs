//! `/api/events?typed=1`: each [`crate::presence::event::Event`], once, with its id.

use super::Site;
use super::events::KEEP_ALIVE;
use super::message::{Request, Wire};
use crate::http::auth::access::Who;
use crate::sync::POLL;
use std::io;
use std::time::Instant;

/// After which event a listener begins who asks for typed events: after the one of `Last-Event-ID`, as browsers send it when they
/// connect again, else after the newest one.
pub fn begin(site: &Site, request: &Request) -> Option<u64> {
    let last = request.header("Last-Event-ID").and_then(|id| id.trim().parse().ok());
    (request.param("typed") == Some("1")).then(|| site.stage.events.begin_after(last))
}

/// Sends the events after `seen` until `who` is no longer admitted.
pub fn tell(site: &Site, who: &Who, mut seen: u64, wire: &mut dyn Wire) -> io::Result<()> {
    let (mut sent, mut checked) = (Instant::now(), Instant::now());
    while !site.stage.stop.is_set() {
        if checked.elapsed() >= KEEP_ALIVE {
            checked = Instant::now();
            if !site.gate.is_still_admitted(who) {
                break;
            }
        }
        let batch = site.stage.events.wait_after(seen, POLL);
        let mut text = String::new();
        if batch.missed > 0 {
            text += &format!("event: missed\ndata: {{\"missed\":{}}}\n\n", batch.missed);
        }
        for event in &batch.events {
            seen = event.id;
            let (kind, data) = (event.kind.as_str(), serde_json::to_string(&**event)?);
            text += &format!("id: {seen}\nevent: {kind}\ndata: {data}\n\n");
        }
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
