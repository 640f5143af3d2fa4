//! HTTP: [`ROUTES`], access control, and the dispatch of requests.
//!
//! For each request, the host, the route, the access and the method are checked in this order. Handlers use only the
//! types of [`message`]. [`server`] handles sockets, [`access`] passwords, [`mjpeg`] and [`events`] endless responses.

pub(crate) mod api;
pub mod auth;
mod client;
mod events;
mod listener;
mod message;
mod metrics;
mod mjpeg;
mod page;
mod server;

use crate::config::Config;
use crate::detection::Sightings;
use crate::roster::Roster;
use crate::shares::{Client, Refusal, Shares, kept};
use crate::stream::renditions::Renditions;
use crate::sync::{Latest, Stop};
use crate::telemetry::faults::Cause;
use crate::telemetry::health::Health;
use auth::access::{Access, AccessCheck, Who};
use auth::accounts::Accounts;
use message::{Answer, Body, Request, Whole};
use page::Page;
use server::Handler;
pub(crate) use server::Server;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a viewer or a listener waits for a place. A page that is reloaded requests its stream before the server
/// notices the end of the old one, which it does at the second write after that.
const PLACE_WAIT: Duration = Duration::from_millis(2500);
/// The interval at which it tries to get one.
const PLACE_POLL: Duration = Duration::from_millis(50);

/// What HTTP reads, and where it subscribes to pictures.
pub(crate) struct Stage {
    /// The config; a newer one takes effect at once.
    pub config: Arc<Latest<Config>>,
    pub sightings: Arc<Latest<Sightings>>,
    pub roster: Arc<Latest<Roster>>,
    pub renditions: Arc<Renditions>,
    pub health: Arc<Health>,
    pub stop: Arc<Stop>,
}

impl Stage {
    /// The newest sightings, unless they are stale.
    fn faces_in_view(&self) -> Option<Arc<Sightings>> {
        self.sightings.newest().map(|(_, sightings)| sightings).filter(|sightings| !sightings.is_stale(Instant::now()))
    }
}

/// Serves until the program ends, then returns within 0.3 s. `accounts` are those of the first config.
pub(crate) fn run(server: Server, stage: Stage, accounts: Option<Accounts>) {
    let site = match Site::new(stage, accounts) {
        Ok(site) => Arc::new(site),
        // The end of this thread ends the program.
        Err(error) => return log::error!("http: {error:#}"),
    };
    server.serve(&site, &site.stage.stop, || {
        site.stage.health.http_beat.beat();
        site.stage.health.ages.turn();
        site.stage.health.set_connections(server.connections());
        site.refresh();
        site.config().stream.max_viewers
    });
}

/// The state that all requests share.
pub(crate) struct Site {
    stage: Stage,
    gate: Arc<AccessCheck>,
    page: Page,
    listeners: Shares,
    watchers: mjpeg::Watchers,
    /// How long a viewer waits for a place.
    place_wait: Duration,
}

/// A route of [`ROUTES`], for GET and HEAD.
pub struct Route {
    /// The path; a final `*` matches any rest.
    pub path: &'static str,
    /// The value of the parameter `action` that selects the route, as in mjpg-streamer's `/?action=stream`.
    pub action: Option<&'static str>,
    /// Who may use it.
    pub access: Access,
    /// What it does; the table in docs/API.md is made from it.
    pub help: &'static str,
    handler: RouteHandler,
}

type RouteHandler = for<'a> fn(&'a Site, &'a Request, &Who) -> Answer<'a>;

const fn route(path: &'static str, access: Access, help: &'static str, handler: RouteHandler) -> Route {
    Route { path, action: None, access, help, handler }
}

const STREAM: &str = "live stream, MJPEG; `?overlay=0`, `?width=PIXELS`, `?fps=N`";
const SNAPSHOT: &str =
    "newest picture, JPEG; `?strict=1`: 503 while the camera is not available; `?overlay=0`, `?width=PIXELS`";
const FACE: &str = "why the face of a track has its name or none, JSON";
const EVENTS: &str = "people who appear or leave, and the state of the camera, server-sent events";
const GALLERY: &str = "the people and pictures of the gallery, and why some pictures are not used, JSON";

/// Every route. The first one that matches is used.
pub const ROUTES: &[Route] = &[
    Route { action: Some("stream"), ..route("/", Access::Viewer, STREAM, mjpeg::stream) },
    Route { action: Some("snapshot"), ..route("/", Access::Viewer, SNAPSHOT, mjpeg::snapshot) },
    route("/", Access::Viewer, "the page", |site, _, _| site.page.answer().into()),
    route("/video_feed", Access::Viewer, STREAM, mjpeg::stream),
    route("/stream.mjpg", Access::Viewer, STREAM, mjpeg::stream),
    route("/snapshot.jpg", Access::Viewer, SNAPSHOT, mjpeg::snapshot),
    route("/api/state", Access::Viewer, "camera, recognition, stream and faces, JSON", |site, request, who| {
        Whole::json(&api::state(&site.stage, who.role, site.watchers.watching(request))).into()
    }),
    route("/api/faces/*", Access::Viewer, FACE, |site, request, who| {
        let track = request.path.trim_start_matches("/api/faces/");
        let face = api::face(&site.stage, track, who.role).map(|face| Whole::json(&face));
        face.unwrap_or_else(|| Whole::text(404, "No such face is in view. /api/state lists the current tracks.")).into()
    }),
    route("/api/events", Access::Viewer, EVENTS, events::events),
    route("/api/gallery", Access::Admin, GALLERY, |site, _, _| {
        let (_, roster) = site.stage.roster.newest().unwrap_or_default();
        Whole::json(&*roster).into()
    }),
    route("/metrics", Access::Viewer, "metrics for Prometheus", |site, _, _| {
        let text = metrics::metrics(&site.stage).into_bytes();
        Whole::new("text/plain; version=0.0.4; charset=utf-8", Body::Bytes(text)).into()
    }),
    route("/healthz", Access::Open, "ok, or 503 with the reason", |site, _, _| match site.stage.health.trouble() {
        None => Whole::text(200, "ok").into(),
        Some(trouble) => Whole::text(503, trouble).into(),
    }),
];

impl Site {
    fn new(stage: Stage, accounts: Option<Accounts>) -> anyhow::Result<Site> {
        let gate = Arc::new(AccessCheck::new(Arc::clone(&stage.health), accounts)?);
        let (listeners, watchers) = (Shares::default(), mjpeg::Watchers::default());
        let (page, place_wait) = (Page::default(), PLACE_WAIT);
        let site = Site { stage, gate, page, listeners, watchers, place_wait };
        site.refresh();
        Ok(site)
    }

    /// Applies a newer config.
    fn refresh(&self) {
        if let Some((version, config)) = self.stage.config.newest() {
            self.gate.refresh(version, &config);
        }
    }

    fn config(&self) -> Arc<Config> {
        let newest = self.stage.config.newest().map(|(_, config)| config);
        newest.unwrap_or_else(|| Arc::new(Config::defaults(std::path::Path::new(""))))
    }

    /// Takes a place as soon as there is one, for up to `place_wait`.
    fn wait_for<T, E>(&self, take: impl Fn() -> Result<T, E>) -> Result<T, E> {
        let deadline = Instant::now() + self.place_wait;
        loop {
            match take() {
                Err(_) if Instant::now() < deadline && !self.stage.stop.wait(PLACE_POLL) => {}
                taken => return taken,
            }
        }
    }

    /// Refuses `client` one of the `total` places for `what`.
    fn no_place(&self, client: &Client, what: &str, total: usize, refusal: Refusal) -> Whole {
        let (why, remedy) = match refusal {
            Refusal::Full => (format!("all {total} places for {what} are in use"), ""),
            Refusal::Kept => (
                format!(
                    "{client} already has places for {what}, and the last {} of {total} are reserved for clients without one",
                    kept(total)
                ),
                "close another one, or ",
            ),
        };
        self.stage.health.faults.report(Cause::NoPlace, &why);
        Whole::later(503, 10, &format!("Sorry, {why}; please {remedy}try again later."))
    }

    fn dispatch<'a>(&'a self, request: &'a Request) -> Result<Answer<'a>, Whole> {
        self.refresh();
        let config = self.config();
        self.gate.check_host(request, &config)?;
        let action = request.param("action");
        let fits = |route: &&Route| {
            let path = match route.path.strip_suffix('*') {
                Some(folder) => request.path.starts_with(folder),
                None => route.path == request.path,
            };
            // The page has no action; other paths pass over a parameter of this name.
            path && if route.path == "/" { route.action == action } else { true }
        };
        let Some(route) = ROUTES.iter().find(fits) else {
            let why = match action {
                Some(_) if request.path == "/" => "No such action. There are /?action=stream and /?action=snapshot",
                _ => "Not found. The page is at /",
            };
            return Err(Whole::text(404, why));
        };
        let who = self.gate.admit(request, &config, route.access)?;
        if !["GET", "HEAD"].contains(&request.method.as_str()) {
            return Err(Whole::text(405, "This address only allows GET, HEAD.").with("Allow", "GET, HEAD"));
        }
        Ok((route.handler)(self, request, &who))
    }
}

impl Handler for Site {
    fn answer<'a>(&'a self, request: &'a Request) -> Answer<'a> {
        self.dispatch(request).unwrap_or_else(Answer::Whole)
    }
}

#[cfg(test)]
mod tests;
