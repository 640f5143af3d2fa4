//! HTTP: [`ROUTES`], access control, and the dispatch of requests.
//!
//! For each request, the host, the route, the access and the method are checked in this order. Handlers use only the
//! types of [`message`]. [`server`] handles sockets, [`access`] passwords, [`mjpeg`] and [`events`] endless responses.

pub(crate) mod api;
pub mod auth;
mod client;
mod events;
mod listener;
pub mod message;
mod metrics;
mod mjpeg;
mod page;
pub mod server;

use crate::config::Config;
use crate::detection::Sightings;
use crate::roster::Roster;
use crate::shares::{Client, Refusal, Shares, kept};
use crate::stream::renditions::Renditions;
use crate::sync::{Latest, Stop};
use crate::telemetry::faults::Cause;
use crate::telemetry::health::Health;
use auth::access::{Access, AccessCheck, Who};
use message::{Answer, Body, Request, Whole};
use page::Page;
use server::Handler;
pub use server::Server;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What HTTP reads, and where it subscribes to pictures.
pub struct Stage {
    /// The config; a newer one takes effect at once.
    pub config: Arc<Latest<Config>>,
    /// The faces that recognition found.
    pub sightings: Arc<Latest<Sightings>>,
    /// The people in the gallery.
    pub roster: Arc<Latest<Roster>>,
    /// The renditions, and the subscriptions to them.
    pub renditions: Arc<Renditions>,
    /// Counters and heartbeats.
    pub health: Arc<Health>,
    /// Set when the program ends.
    pub stop: Arc<Stop>,
}

impl Stage {
    /// The newest sightings, unless they are stale.
    fn faces_in_view(&self) -> Option<Arc<Sightings>> {
        self.sightings.newest().map(|(_, sightings)| sightings).filter(|sightings| !sightings.is_stale(Instant::now()))
    }
}

/// Serves until the program ends, then returns within 0.3 s.
pub fn run(server: Server, stage: Stage) {
    let site = match Site::new(stage) {
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

/// A route of [`ROUTES`].
pub struct Route {
    /// The path; a final `*` matches any rest.
    pub path: &'static str,
    /// The value of the parameter `action` that selects the route, as in mjpg-streamer's `/?action=stream`.
    pub action: Option<&'static str>,
    /// The method; GET includes HEAD.
    pub method: &'static str,
    /// Who may use it.
    pub access: Access,
    /// What it does; the table in docs/API.md is made from it.
    pub help: &'static str,
    handler: for<'a> fn(&'a Site, &'a Request, &Who) -> Answer<'a>,
}

macro_rules! route {
    ($method:ident $path:literal $(?action=$action:literal)?, $access:ident, $help:expr, $handler:expr) => {
        Route {
            path: $path,
            action: route!(@action $($action)?),
            method: stringify!($method),
            access: Access::$access,
            help: $help,
            handler: $handler,
        }
    };
    (@action) => { None };
    (@action $action:literal) => { Some($action) };
}

const STREAM: &str = "live stream, MJPEG; `?overlay=0`, `?width=PIXELS`, `?fps=N`";
const SNAPSHOT: &str =
    "newest picture, JPEG; `?strict=1`: 503 while the camera is not available; `?overlay=0`, `?width=PIXELS`";

/// Every route. The first one that matches is used.
pub const ROUTES: &[Route] = &[
    route!(GET "/" ?action="stream", Viewer, STREAM, |site, request, who| mjpeg::stream(site, request, who)),
    route!(GET "/" ?action="snapshot", Viewer, SNAPSHOT, |site, request, who| mjpeg::snapshot(site, request, who)),
    route!(GET "/", Viewer, "the page", |site, _, _| site.page.answer().into()),
    route!(GET "/video_feed", Viewer, STREAM, |site, request, who| mjpeg::stream(site, request, who)),
    route!(GET "/stream.mjpg", Viewer, STREAM, |site, request, who| mjpeg::stream(site, request, who)),
    route!(GET "/snapshot.jpg", Viewer, SNAPSHOT, |site, request, who| {
        mjpeg::snapshot(site, request, who)
    }),
    route!(GET "/api/state", Viewer, "camera, recognition, stream and faces, JSON", |site, request, who| {
        Whole::json(&api::state(&site.stage, who.role, site.watchers.watching(request))).into()
    }),
    route!(GET "/api/faces/*", Viewer, "why the face of a track has its name or none, JSON", |site, request, who| {
        let track = request.path.trim_start_matches("/api/faces/");
        let face = api::face(&site.stage, track, who.role).map(|face| Whole::json(&face));
        face.unwrap_or_else(|| Whole::text(404, "No such face is in view. /api/state lists the current tracks.")).into()
    }),
    route!(GET "/api/events", Viewer, "people who appear or leave, and the state of the camera, server-sent events", |site, request, who| {
        events::events(site, request, who)
    }),
    route!(GET "/api/gallery", Admin, "the people and pictures of the gallery, and why some pictures are not used, JSON", |site, _, _| {
        let (_, roster) = site.stage.roster.newest().unwrap_or_default();
        Whole::json(&*roster).into()
    }),
    route!(GET "/metrics", Viewer, "metrics for Prometheus", |site, _, _| {
        let text = metrics::metrics(&site.stage).into_bytes();
        Whole::new("text/plain; version=0.0.4; charset=utf-8", Body::Bytes(text)).into()
    }),
    route!(GET "/healthz", Open, "ok, or 503 with the reason", |site, _, _| match site.stage.health.trouble() {
        None => Whole::text(200, "ok").into(),
        Some(trouble) => Whole::text(503, &trouble).into(),
    }),
];

impl Site {
    fn new(stage: Stage) -> anyhow::Result<Site> {
        let gate = Arc::new(AccessCheck::new(Arc::clone(&stage.health))?);
        let (listeners, watchers) = (Shares::default(), mjpeg::Watchers::default());
        let (page, place_wait) = (Page::default(), mjpeg::PLACE_WAIT);
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
            path && (route.action.is_none() || route.action == action)
        };
        let Some(route) = ROUTES.iter().find(fits) else {
            return Err(Whole::text(404, "Not found. The page is at /"));
        };
        let who = self.gate.admit(request, &config, route.access)?;
        if request.method != route.method && request.method != "HEAD" {
            let allow = format!("{}, HEAD", route.method);
            return Err(Whole::text(405, &format!("This address only allows {allow}.")).with("Allow", allow));
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
