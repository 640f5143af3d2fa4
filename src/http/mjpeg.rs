//! The MJPEG stream and the snapshot, in the default rendition or the requested one.

use super::client::holder;
use super::message::{Answer, Body, Request, StreamAnswer, Whole, Wire};
use super::{PLACE_WAIT, Site};
use crate::config::Config;
use crate::frame::Jpeg;
use crate::http::auth::access::Who;
use crate::http::auth::accounts::Role;
use crate::shares::Client;
use crate::stream::renditions::{Full, MAX_FPS, MAX_SPECIAL, MAX_WIDTH, MIN_WIDTH, RenditionSpec, Subscription};
use crate::sync::{POLL, lock};
use crate::telemetry::faults::Cause;
use std::io;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant, UNIX_EPOCH};

/// A viewer gets the last picture again when no newer one arrives within this time.
const REPEAT: Duration = Duration::from_secs(1);
const _: () = assert!(PLACE_WAIT.as_millis() > 2 * REPEAT.as_millis() + 2 * POLL.as_millis());
/// The oldest picture that a snapshot or a new viewer gets at once.
const FRESH: Duration = Duration::from_millis(250);
/// How long a client waits for the first picture of a camera that is being opened before it gets the notice. The notice
/// has the size in the config, and programs such as OpenCV and ffmpeg keep the size of the first picture.
const FIRST_WAIT: Duration = Duration::from_secs(3);
/// How long a snapshot waits for a new picture.
const SNAPSHOT_WAIT: Duration = Duration::from_secs(3);
/// The oldest picture that a snapshot returns when no new one arrives in time.
const SNAPSHOT_OLDEST: Duration = Duration::from_secs(10);

/// The oldest notice that a snapshot returns at once. While the camera is unavailable, each rendition in use has a new one
/// every second.
const NOTICE_OLDEST: Duration = Duration::from_secs(2);

/// The interval at which a client that waits for the first picture checks again.
const TOO_EARLY: Duration = Duration::from_millis(20);

/// The longest key in bytes. The page's keys are shorter; a request with a longer one is treated as having none.
const MAX_KEY: usize = 32;

/// The keys of the streams that were requested with `?t=KEY`. A page asks whether its own stream is still sent, because
/// a browser does not report the end of a stream that has shown a picture.
#[derive(Default)]
pub struct Watchers(Mutex<Vec<Weak<str>>>);

impl Watchers {
    /// Whether a stream with the key of this request is being sent; `None` when the request has no key.
    pub fn watching(&self, request: &Request) -> Option<bool> {
        key(request).map(|key| lock(&self.0).iter().filter_map(Weak::upgrade).any(|watcher| *watcher == *key))
    }

    /// The key of a stream that begins; it counts until it is dropped.
    fn enter(&self, request: &Request) -> Option<Arc<str>> {
        let key: Arc<str> = key(request)?.into();
        let mut watchers = lock(&self.0);
        watchers.retain(|watcher| watcher.strong_count() > 0);
        watchers.push(Arc::downgrade(&key));
        Some(key)
    }
}

fn key(request: &Request) -> Option<&str> {
    request.param("t").filter(|key| (1..=MAX_KEY).contains(&key.len()))
}

/// The MJPEG stream of one viewer.
pub fn stream<'a>(site: &'a Site, request: &Request, who: &Who) -> Answer<'a> {
    let (asked, raw) = match spec(request).and_then(|spec| Ok((spec, request.flag("raw", false)?))) {
        Ok(wishes) => wishes,
        Err(refusal) => return refusal.into(),
    };
    let (config, client) = (site.config(), holder(request, who.user.as_deref()));
    let (spec, max) = (resolved(asked, &config, who.role), config.stream.max_viewers as usize);
    let subscription = match site.wait_for(|| site.stage.renditions.subscribe_viewer(&client, spec, max)) {
        Ok(subscription) => subscription,
        Err(full) => return not_subscribed(site, &client, full, max).into(),
    };
    let fps = if is_faster(subscription.spec, spec) { spec.fps } else { subscription.spec.fps };
    let (watcher, who) = (site.watchers.enter(request), who.clone());
    Answer::Stream(StreamAnswer {
        // Safari is reported to hand no multipart stream to a script.
        content_type: if raw { "application/octet-stream" } else { "multipart/x-mixed-replace; boundary=frame" },
        headers: rendition(asked, spec, RenditionSpec { fps, ..subscription.spec }),
        first: b"--frame\r\n",
        run: Box::new(move |wire| {
            let _watcher = watcher;
            show(site, &subscription, &who, (asked, spec), wire)
        }),
    })
}

/// The rendition that a request asks for: `?overlay=0`, `?width=PIXELS`, `?fps=N`.
fn spec(request: &Request) -> Result<RenditionSpec, Whole> {
    let number = |name: &str, least: u32, most: u32| {
        let Some(text) = request.param(name) else { return Ok(0) };
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| Whole::text(400, &format!("{name} must be a whole number from {least} to {most}.")))
    };
    let overlay = request.flag("overlay", true)?;
    let (width, fps) = (number("width", MIN_WIDTH, MAX_WIDTH)?, number("fps", 1, MAX_FPS)?);
    Ok(RenditionSpec { overlay, width, fps, blur: false })
}

/// The rendition that a request results in. A limit that is not below the config's, or below the largest possible one,
/// is dropped (0), so that requests for what the default rendition provides share it. The role decides on `blur`, which
/// is not set when all pictures are blurred, so that admins and viewers share them.
fn resolved(asked: RenditionSpec, config: &Config, role: Role) -> RenditionSpec {
    let (stream, overlay) = (&config.stream, &config.overlay);
    let limit = |asked: u32, own: u32, most: u32| if asked >= if own == 0 { most } else { own } { 0 } else { asked };
    let (width, fps) = (limit(asked.width, stream.width, MAX_WIDTH), limit(asked.fps, stream.max_fps, MAX_FPS));
    let blur = overlay.blurs_for(role == Role::Admin) && !overlay.blurs_for(true);
    RenditionSpec { overlay: asked.overlay, width, fps, blur }
}

/// True when the role may see this picture under the present config. A picture from before a reload may show faces that
/// must be blurred now, or areas that are hidden now.
fn may_see(role: Role, jpeg: &Jpeg, config: &Config) -> bool {
    let is_masked = !jpeg.live || jpeg.mask == config.camera.mask();
    is_masked && (jpeg.hides_strangers || !config.overlay.blurs_for(role == Role::Admin))
}

/// True when a rendition has more pictures per second than `wanted`, so that the viewer skips some.
fn is_faster(kind: RenditionSpec, wanted: RenditionSpec) -> bool {
    wanted.fps > 0 && (kind.fps == 0 || kind.fps > wanted.fps)
}

/// The headers that describe the rendition that is sent, and the one that was requested when it differs.
fn rendition(asked: RenditionSpec, spec: RenditionSpec, sent: RenditionSpec) -> Vec<(&'static str, String)> {
    let words = |RenditionSpec { overlay, width, fps, blur }| {
        let blur = if blur { "; blur=1" } else { "" };
        format!("overlay={}; width={width}; fps={fps}{blur}", u8::from(overlay))
    };
    let mut headers = vec![("X-Namecam-Rendition", words(sent))];
    if sent != spec {
        headers.push(("X-Namecam-Instead-Of", words(RenditionSpec { blur: spec.blur, ..asked })));
    }
    headers
}

fn not_subscribed(site: &Site, client: &Client, full: Full, max: usize) -> Whole {
    match full {
        Full::Viewers(refusal) => site.no_place(client, "viewers (stream.max_viewers)", max, refusal),
        Full::Kinds => {
            let why = format!(
                "no rendition in use is narrow enough, and {client} cannot have another one made now: at most {MAX_SPECIAL} are \
                 made besides the default one"
            );
            site.stage.health.faults.report(Cause::NoPlace, &why);
            let remedy = "please request one that /api/state lists under stream.tiers, or try again later";
            Whole::later(503, 10, &format!("Sorry, {why}; {remedy}."))
        }
    }
}

/// Sends each picture in one write; pictures that are encoded during a write are skipped. Ends when a new config
/// requires another rendition than `spec`: when its pictures are wider than `asked`, or when strangers begin or cease
/// to be blurred for `who`. A client that reconnects gets the new rendition. Also ends when `who` is no longer
/// admitted.
fn show(
    site: &Site,
    subscription: &Subscription<'_>,
    who: &Who,
    (asked, spec): (RenditionSpec, RenditionSpec),
    wire: &mut dyn Wire,
) -> io::Result<()> {
    let (stage, begun) = (&site.stage, Instant::now());
    let has_usual_width = asked.width > 0 && subscription.spec.width == 0;
    let pause = if is_faster(subscription.spec, asked) { Duration::from_secs(1) / asked.fps } else { Duration::ZERO };
    let mut next_at = begun;
    // An old picture, encoded for an earlier viewer, is not sent first.
    let stale = |(_, jpeg): &(u64, Arc<Jpeg>)| jpeg.captured_at.instant + FRESH < begun;
    let mut seen = subscription.newest().filter(stale).map_or(0, |(version, _)| version);
    let mut sent = begun;
    let mut checked = begun;
    while !stage.stop.is_set() {
        if checked.elapsed() >= REPEAT {
            checked = Instant::now();
            if !site.gate.is_still_admitted(who, &site.config()) {
                break;
            }
        }
        let early = next_at.saturating_duration_since(Instant::now());
        if !early.is_zero() {
            stage.stop.wait(early.min(POLL));
            continue;
        }
        // When a camera begins to deliver, the newest picture is the notice until the first frame is encoded.
        let comes = stage.health.camera_is_starting() || stage.health.camera_online();
        let awaits_first = sent == begun && begun.elapsed() < FIRST_WAIT && comes;
        // Before the first picture of this rendition, there is none to repeat.
        let due = if seen == 0 || awaits_first { POLL } else { REPEAT.saturating_sub(sent.elapsed()) };
        let newer = subscription.next(seen, due.min(POLL));
        // A picture that was encoded before the viewer connected does not count as late.
        let fresh = newer.as_ref().is_some_and(|(_, jpeg)| jpeg.made_at >= begun);
        let next = newer.or_else(|| subscription.newest().filter(|_| sent.elapsed() >= REPEAT));
        if let Some((version, _)) = next.as_ref().filter(|(_, jpeg)| awaits_first && !jpeg.live) {
            seen = *version;
            stage.stop.wait(TOO_EARLY);
            continue;
        }
        if let Some((version, jpeg)) = next {
            (seen, sent) = (version, Instant::now());
            // The config is read after the picture was made, so that no picture from before a reload is sent after it.
            let config = site.config();
            let now = resolved(asked, &config, who.role);
            if now.blur != spec.blur || (has_usual_width && now.width > 0) {
                break;
            }
            if !may_see(who.role, &jpeg, &config) {
                continue;
            }
            next_at = if next_at + pause > sent { next_at + pause } else { sent + pause };
            wire.send(&jpeg.part())?;
            if fresh {
                stage.health.ages.picture_written(&jpeg);
            }
        }
    }
    Ok(())
}

/// The newest picture. Waits for a new one when the last one is old.
pub fn snapshot<'a>(site: &'a Site, request: &'a Request, who: &Who) -> Answer<'a> {
    let (stage, begun) = (&site.stage, Instant::now());
    let strict = match request.flag("strict", false) {
        Ok(strict) => strict,
        Err(refusal) => return refusal.into(),
    };
    let asked = match spec(request) {
        // A frame rate does not apply to a single picture.
        Ok(spec) => RenditionSpec { fps: 0, ..spec },
        Err(refusal) => return refusal.into(),
    };
    let (spec, client) = (resolved(asked, &site.config(), who.role), holder(request, who.user.as_deref()));
    let subscription = match stage.renditions.subscribe_for(&client, spec) {
        Ok(subscription) => subscription,
        Err(full) => return not_subscribed(site, &client, full, 0).into(),
    };
    loop {
        // The time is read before the picture, so that a picture that comes in time is not missed.
        let is_late = begun.elapsed() >= SNAPSHOT_WAIT;
        // Starting is read first: a camera that begins to deliver between the two reads counts as online, and its notice as old.
        let (starting, online) = (stage.health.camera_is_starting(), stage.health.camera_online());
        if strict && !online {
            return away(site);
        }
        let newest = subscription.newest();
        let version = newest.as_ref().map_or(0, |(version, _)| *version);
        if let Some((_, jpeg)) = newest.filter(|(_, jpeg)| may_see(who.role, jpeg, &site.config())) {
            let age = jpeg.captured_at.instant.elapsed();
            let fresh = jpeg.captured_at.instant + FRESH >= begun;
            // An older notice may be from the start, or from an earlier time without a camera.
            let is_current = age < NOTICE_OLDEST;
            let right = if online { fresh && jpeg.live } else { !jpeg.live && !starting && is_current };
            if right || (is_late && age < SNAPSHOT_OLDEST && (jpeg.live || !strict)) {
                return picture(jpeg, rendition(asked, spec, RenditionSpec { fps: 0, ..subscription.spec })).into();
            }
        }
        if is_late || stage.stop.is_set() {
            return away(site);
        }
        subscription.next(version, POLL);
    }
}

fn away(site: &Site) -> Answer<'static> {
    let why = site.stage.health.camera().error;
    let why = why.map_or_else(
        || "no picture arrived in time; please try again".to_owned(),
        |error| format!("the camera is not available: {error}"),
    );
    Whole::later(503, 3, &why).into()
}

fn picture(jpeg: Arc<Jpeg>, headers: Vec<(&'static str, String)>) -> Whole {
    let since = jpeg.captured_at.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    let timestamp = format!("{}.{:06}", since.as_secs(), since.subsec_micros());
    Whole { headers, ..Whole::new("image/jpeg", Body::Picture(jpeg)) }.with("X-Timestamp", timestamp)
}
