//! The stream and the snapshot.

use super::Site;
use super::message::{Answer, Body, Request, Stream, Whole, Wire};
use crate::frame::Jpeg;
use crate::stop::POLL;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

/// A viewer gets the last picture again when none is newer for so long.
const REPEAT: Duration = Duration::from_secs(1);
/// How old the picture may be that a snapshot or a new viewer gets at once.
const FRESH: Duration = Duration::from_millis(250);
/// How long a snapshot waits for a fresh picture.
const SNAPSHOT_WAIT: Duration = Duration::from_secs(3);
/// The oldest picture that a snapshot gives when no fresh one comes in time.
const SNAPSHOT_OLDEST: Duration = Duration::from_secs(10);

/// MJPEG for one viewer.
pub fn stream<'a>(site: &'a Site) -> Answer<'a> {
    let max = site.config().stream.max_viewers as usize;
    let Some(hold) = site.stage.demand.hold_as_viewer(max) else {
        let text = format!("{max} viewers watch already, which is stream.max_viewers; please try again later.");
        return Whole::later(503, 10, &text).into();
    };
    Answer::Stream(Stream {
        content_type: "multipart/x-mixed-replace; boundary=frame",
        first: b"--frame\r\n",
        run: Box::new(move |wire| {
            let _hold = hold;
            show(site, wire)
        }),
    })
}

/// One write a picture; pictures that come during a write are missed.
fn show(site: &Site, wire: &mut dyn Wire) -> io::Result<()> {
    let (stage, begun) = (&site.stage, Instant::now());
    // What was encoded for a viewer of an hour ago is no first picture.
    let stale = |(_, jpeg): &(u64, Arc<Jpeg>)| jpeg.captured_at.instant + FRESH < begun;
    let mut seen = stage.jpegs.newest().filter(stale).map_or(0, |(version, _)| version);
    let mut sent = begun;
    while !stage.stop.is_set() {
        let due = REPEAT.saturating_sub(sent.elapsed());
        let newer = stage.jpegs.wait_newer(seen, due.min(POLL));
        let fresh = newer.is_some();
        let next = newer.or_else(|| stage.jpegs.newest().filter(|_| sent.elapsed() >= REPEAT));
        if let Some((version, jpeg)) = next {
            (seen, sent) = (version, Instant::now());
            wire.send(jpeg.part())?;
            if fresh {
                stage.health.ages.picture_written(&jpeg);
            }
        }
    }
    Ok(())
}

/// The newest picture, waited for when there is none from now.
pub fn snapshot<'a>(site: &'a Site, request: &'a Request) -> Answer<'a> {
    let (stage, asked) = (&site.stage, Instant::now());
    let strict = request.param("strict") == Some("1");
    let _hold = stage.demand.hold();
    loop {
        let online = stage.health.camera_online();
        if strict && !online {
            return away(site);
        }
        let newest = stage.jpegs.newest();
        let version = newest.as_ref().map_or(0, |(version, _)| *version);
        if let Some((_, jpeg)) = newest {
            let age = jpeg.captured_at.instant.elapsed();
            let fresh = jpeg.captured_at.instant + FRESH >= asked;
            // A camera that is away has one picture, that says so; it stays the right one.
            let right = if online { fresh && (jpeg.live || !strict) } else { !jpeg.live };
            if right || (asked.elapsed() >= SNAPSHOT_WAIT && age < SNAPSHOT_OLDEST && (jpeg.live || !strict)) {
                return picture(jpeg).into();
            }
        }
        if asked.elapsed() >= SNAPSHOT_WAIT || stage.stop.is_set() {
            return away(site);
        }
        stage.jpegs.wait_newer(version, POLL);
    }
}

fn away(site: &Site) -> Answer<'static> {
    let why = site.stage.health.camera().error;
    let why = why.map_or_else(|| "no picture came in time".to_owned(), |error| format!("the camera is away: {error}"));
    Whole::later(503, 3, &why).into()
}

fn picture(jpeg: Arc<Jpeg>) -> Whole {
    let since = jpeg.captured_at.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    let timestamp = format!("{}.{:06}", since.as_secs(), since.subsec_micros());
    Whole::new("image/jpeg", Body::Picture(jpeg)).with("X-Timestamp", timestamp)
}
