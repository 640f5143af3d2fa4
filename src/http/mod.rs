//! HTTP: [`ROUTES`], access control, and the dispatch of requests.
//!
//! For each request, the host, the route, the access, the method and the origin of a change are checked in this order,
//! and then the body is read. A preflight of [`cors`] is answered before the access is checked. Handlers use only the
//! types of [`message`]. [`server`] handles sockets, [`auth`] credentials, [`mjpeg`] and [`events`] endless responses.

mod account;
pub(crate) mod api;
pub mod auth;
mod client;
mod cors;
mod events;
mod listener;
mod login;
pub(crate) mod message;
mod metrics;
mod mjpeg;
mod openapi;
mod page;
mod report;
mod server;
mod settings;
mod teach;
mod tune;
mod typed;

use crate::config::Config;
use crate::detection::Sightings;
use crate::detection::chips::Chips;
use crate::gallery::desk::Desk;
use crate::gallery::slugs::Slugs;
use crate::image::Mask;
use crate::presence::bus::Bus;
use crate::presence::day::Day;
use crate::roster::Roster;
use crate::settings::Settings;
use crate::shares::{Client, Refusal, Shares, TakenPlace, kept};
use crate::stream::renditions::Renditions;
use crate::sync::{Latest, Stop};
use crate::telemetry::faults::Cause;
use crate::telemetry::health::Health;
use crate::tuning::Tuning;
use auth::access::{Access, AccessCheck, Credential, Who};
use auth::accounts::Accounts;
use client::holder;
use message::{Answer, Body, Request, Whole};
use openapi::TEXT;
use page::Page;
use serde_json::json;
use server::Handler;
pub(crate) use server::Server;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a viewer or a listener waits for a place. A page that is reloaded requests its stream before the server has
/// noticed the end of the old one, which it does at its second write after that.
const PLACE_WAIT: Duration = Duration::from_millis(2500);
/// The interval between attempts to get a place.
const PLACE_POLL: Duration = Duration::from_millis(50);

/// The inputs of HTTP, and the parts that it notifies.
pub(crate) struct Stage {
    /// The config; a newer one takes effect at once.
    pub config: Arc<Latest<Config>>,
    /// Makes the config changes of an admin.
    pub settings: Arc<Settings>,
    pub sightings: Arc<Latest<Sightings>>,
    pub roster: Arc<Latest<Roster>>,
    /// The chips of faces that were followed lately.
    pub chips: Arc<Latest<Chips>>,
    /// Passes changes of the gallery's files to recognition.
    pub desk: Arc<Desk>,
    /// Records renamed and forgotten people for MQTT.
    pub slugs: Arc<Slugs>,
    /// Passes questions about the camera to its thread.
    pub tuning: Arc<Tuning>,
    pub events: Arc<Bus>,
    /// The list of visits.
    pub day: Arc<Day>,
    pub renditions: Arc<Renditions>,
    pub health: Arc<Health>,
    pub stop: Arc<Stop>,
    /// The versions, as in `namecam --version`.
    pub versions: String,
    /// The folder of the sessions; with `None` they end with the program.
    pub state_folder: Option<PathBuf>,
}

impl Stage {
    /// The newest sightings, unless they are stale.
    fn faces_in_view(&self) -> Option<Arc<Sightings>> {
        self.look_in_view().map(|(_, sightings)| sightings)
    }

    /// The newest sightings with their version, unless they are stale or were made with another mask.
    fn look_in_view(&self) -> Option<(u64, Arc<Sightings>)> {
        let newest = self.sightings.newest().filter(|(_, sightings)| !sightings.is_stale(Instant::now()));
        newest.filter(|(_, sightings)| sightings.mask == self.mask())
    }

    /// The newest chips, unless they were made with another mask.
    fn chips(&self) -> Arc<Chips> {
        let newest = self.chips.newest().map(|(_, chips)| chips).filter(|chips| chips.mask == self.mask());
        newest.unwrap_or_default()
    }

    /// The mask in the config. Results that were made with another mask are not sent.
    fn mask(&self) -> Mask {
        self.config.newest().map(|(_, config)| config.camera.mask()).unwrap_or_default()
    }
}

/// Serves until the program ends, then returns within 0.3 s. `accounts` are the accounts of the first config.
pub(crate) fn run(server: Server, stage: Stage, accounts: Option<Accounts>) {
    match Site::new(stage, accounts) {
        Ok(site) => serve(&server, &Arc::new(site)),
        // The end of this thread ends the program.
        Err(error) => log::error!("http: {error:#}"),
    }
}

fn serve(server: &Server, site: &Arc<Site>) {
    server.serve(site, &site.stage.stop, || {
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
    uploads: Shares,
    thumbnails: Shares,
    lessons: teach::Lessons,
    watchers: mjpeg::Watchers,
    /// Locked while a report is made.
    reporting: Mutex<()>,
    /// How long a viewer waits for a place.
    place_wait: Duration,
}

/// The method of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET, or HEAD as GET without a body. The route changes nothing.
    Get,
    /// Changes something, as the body says.
    Post,
    /// Deletes what the path names.
    Delete,
}

impl Method {
    /// The name of the method in a request.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Delete => "DELETE",
        }
    }

    fn is(self, name: &str) -> bool {
        name == self.as_str() || (self == Method::Get && name == "HEAD")
    }

    /// True when the method changes something.
    pub fn changes(self) -> bool {
        self != Method::Get
    }
}

/// The body that a route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// No body; if there is one, it is not read.
    Nothing,
    /// The fields of an HTML form of this shape.
    Form(&'static str),
    /// JSON of this shape.
    Json(&'static str),
    /// A picture.
    Picture,
}

impl Takes {
    /// The `Content-Type` of the body.
    pub fn content_type(self) -> Option<&'static str> {
        match self {
            Takes::Nothing => None,
            Takes::Form(_) => Some("application/x-www-form-urlencoded"),
            Takes::Json(_) => Some("application/json"),
            Takes::Picture => Some("image/jpeg"),
        }
    }

    /// True when the route accepts a body of this type.
    fn accepts(self, content_type: &str) -> bool {
        self.content_type().is_some_and(|own| own.eq_ignore_ascii_case(content_type))
            || (self == Takes::Picture && content_type.eq_ignore_ascii_case("image/png"))
    }

    /// The largest body in bytes.
    fn most_bytes(self) -> Option<usize> {
        match self {
            Takes::Nothing => None,
            Takes::Form(_) | Takes::Json(_) => Some(16 << 10),
            Takes::Picture => Some(20 << 20),
        }
    }
}

/// The most uploads of pictures at a time: each takes memory while it arrives and is judged.
const MAX_UPLOADS: usize = 4;

/// A route of [`ROUTES`].
pub struct Route {
    /// The method.
    pub method: Method,
    /// The body that the route accepts.
    pub takes: Takes,
    /// The path; a final `{name}` matches any rest.
    pub path: &'static str,
    /// The value of the parameter `action` that selects the route, as in mjpg-streamer's `/?action=stream`.
    pub action: Option<&'static str>,
    /// Who may use it.
    pub access: Access,
    /// The description of the route; the table in docs/API.md is made from it.
    pub help: &'static str,
    /// The parameters of the query, as fields in the notation of shapes.txt.
    query: &'static [&'static str],
    /// The statuses of the route, beside those that all routes have, each with a content type or a shape of shapes.txt.
    gives: &'static [(u16, &'static str)],
    handler: RouteHandler,
}

type RouteHandler = for<'a> fn(&'a Site, &'a Request, &Who) -> Answer<'a>;

/// A route that reads.
const fn route(path: &'static str, access: Access, help: &'static str, handler: RouteHandler) -> Route {
    let (method, takes, action) = (Method::Get, Takes::Nothing, None);
    Route { method, takes, path, action, access, help, query: &[], gives: &[], handler }
}

impl Route {
    const fn gives(self, gives: &'static [(u16, &'static str)]) -> Route {
        Route { gives, ..self }
    }

    const fn asked(self, query: &'static [&'static str]) -> Route {
        Route { query, ..self }
    }
}

/// A route that changes something.
const fn change(method: Method, takes: Takes, route: Route) -> Route {
    Route { method, takes, ..route }
}

const STREAM: &str = "live stream, MJPEG; `?overlay=0`, `?width=PIXELS`, `?fps=N`, `?raw=1`";
const SNAPSHOT: &str =
    "newest picture, JPEG; `?strict=1`: 503 while the camera is not available; `?overlay=0`, `?width=PIXELS`";
const FACE: &str = "why the face of a track has its name or none, JSON";
const EVENTS: &str = "people who appear or leave, and the state of the camera, server-sent events; `?boxes=1`; `?typed=1`: visits, one event a change";
const VISITS: &str = "visits of the last hours, with begin and end, JSON";
const GALLERY: &str = "the people and pictures of the gallery, and why some pictures are not used, JSON";

const OF_STREAM: &[&str] =
    &["overlay?: 0 | 1", "width?: integer 64..8192", "fps?: integer 1..240", "raw?: 0 | 1", "t?: string"];
const OF_SNAPSHOT: &[&str] = &["strict?: 0 | 1", "overlay?: 0 | 1", "width?: integer 64..8192"];
const A_STREAM: &[(u16, &str)] =
    &[(200, "multipart/x-mixed-replace"), (200, "application/octet-stream"), (400, TEXT), (503, TEXT)];
const A_SNAPSHOT: &[(u16, &str)] = &[(200, JPEG), (400, TEXT), (503, TEXT)];
/// The responses to changes of the gallery.
const TAUGHT: &[(u16, &str)] = &[(200, "Taught"), (404, TEXT), (409, TEXT), (500, TEXT)];
const TAUGHT_OR_UNFIT: &[(u16, &str)] =
    &[(200, "Taught"), (404, TEXT), (409, TEXT), (422, "Unfit"), (500, TEXT), (503, TEXT)];
/// The responses about the camera and its trials.
const CAMERA: &[(u16, &str)] = &[(200, "Camera"), (503, TEXT), (504, TEXT)];
const TRIED: &[(u16, &str)] = &[(200, "Camera"), (409, TEXT), (422, TEXT), (503, TEXT), (504, TEXT)];
const HTML: &str = "text/html";
const JPEG: &str = "image/jpeg";

/// Every route. The first one that matches is used.
pub const ROUTES: &[Route] = &[
    Route { action: Some("stream"), ..route("/", Access::Picture, STREAM, mjpeg::stream).asked(OF_STREAM).gives(A_STREAM) },
    Route { action: Some("snapshot"), ..route("/", Access::Picture, SNAPSHOT, mjpeg::snapshot).asked(OF_SNAPSHOT).gives(A_SNAPSHOT) },
    route("/", Access::Viewer, "the page", |site, request, _| site.page.answer(request).into()).gives(&[(200, HTML)]),
    route("/video_feed", Access::Picture, STREAM, mjpeg::stream).asked(OF_STREAM).gives(A_STREAM),
    route("/stream.mjpg", Access::Picture, STREAM, mjpeg::stream).asked(OF_STREAM).gives(A_STREAM),
    route("/snapshot.jpg", Access::Picture, SNAPSHOT, mjpeg::snapshot).asked(OF_SNAPSHOT).gives(A_SNAPSHOT),
    route("/api/state", Access::Viewer, "camera, recognition, stream and faces, JSON", |site, request, who| {
        Whole::json(&api::state(&site.stage, who, site.watchers.watching(request))).into()
    })
    .asked(&["t?: string"])
    .gives(&[(200, "State")]),
    route("/api/faces/{track}", Access::Viewer, FACE, |site, request, who| {
        let track = request.path.trim_start_matches("/api/faces/");
        let face = api::face(&site.stage, track, who.role).map(|face| Whole::json(&face));
        face.unwrap_or_else(|| Whole::text(404, "No such face is in view. /api/state lists the current tracks.")).into()
    })
    .gives(&[(200, "FaceWithReason"), (404, TEXT)]),
    route("/api/events", Access::Viewer, EVENTS, events::events)
        .asked(&["boxes?: 0 | 1", "typed?: 0 | 1"])
        .gives(&[(200, "text/event-stream"), (400, TEXT), (503, TEXT)]),
    route("/api/visits", Access::Viewer, VISITS, |site, _, who| {
        Whole::json(&api::VisitsJson::of(&site.stage, &site.config(), who.role)).into()
    })
    .gives(&[(200, "Visits")]),
    route("/api/gallery", Access::Admin, GALLERY, |site, _, _| {
        let (_, roster) = site.stage.roster.newest().unwrap_or_default();
        Whole::json(&*roster).into()
    })
    .gives(&[(200, "Gallery")]),
    route("/api/config", Access::Admin, "the value of each key, and where it was given, JSON", |site, _, _| {
        Whole::json(&json!({ "values": site.config().in_use() })).into()
    })
    .gives(&[(200, "Config")]),
    route("/api/camera", Access::Admin, "the modes and controls of the camera, and the trial, JSON", tune::list)
        .gives(CAMERA),
    route("/api/health", Access::Admin, "temperature, throttling, disk and memory, JSON", |site, _, _| {
        Whole::json(&api::HealthJson::now(site.stage.state_folder.as_deref())).into()
    })
    .gives(&[(200, "Health")]),
    route("/api/report", Access::Admin, "the report of `namecam report`, as a file of text", report::report)
        .gives(&[(200, TEXT), (503, TEXT)]),
    change(
        Method::Post,
        Takes::Json("SettingsChange"),
        route(
            "/api/settings",
            Access::Admin,
            "change keys of the config: `{\"set\": {KEY: VALUE}, \"unset\": [KEY]}`",
            settings::change,
        )
        .gives(&[(200, "SettingsApplied"), (400, "Problems"), (409, "Problems"), (500, "Problems")]),
    ),
    change(
        Method::Post,
        Takes::Json("CameraTry"),
        route(
            "/api/camera/try",
            Access::Admin,
            "try controls, or a mode: `{\"controls\": {NAME: NUMBER}}`, `{\"mode\": {\"format\", \"width\", \"height\", \"fps\"}}`",
            tune::try_out,
        )
        .gives(TRIED),
    ),
    change(
        Method::Delete,
        Takes::Nothing,
        route("/api/camera/try", Access::Admin, "end the trial and put back the values before it", tune::put_back).gives(TRIED),
    ),
    route("/api/chips/{track}", Access::Admin, "the pictures of a face that is or was in view, JSON", teach::chips)
        .gives(&[(200, "Chips"), (404, TEXT)]),
    route("/chip.jpg", Access::Admin, "one of these pictures, JPEG; `?track=TRACK&number=NUMBER`", teach::chip)
        .asked(&["track: integer 0..18446744073709551615", "number: integer 0..18446744073709551615"])
        .gives(&[(200, JPEG), (400, TEXT), (404, TEXT)]),
    route("/picture.jpg", Access::Admin, "a picture of the gallery, JPEG; `?file=FILE&width=PIXELS`", teach::thumbnail)
        .asked(&["file: string", "width?: integer 32..1280"])
        .gives(&[(200, JPEG), (400, TEXT), (404, TEXT), (422, TEXT), (500, TEXT)]),
    change(
        Method::Post,
        Takes::Json("NameFace"),
        route("/api/faces/name", Access::Admin, "say who a face is: `{\"track\": NUMBER, \"name\": ...}`", teach::name)
            .gives(TAUGHT),
    ),
    change(
        Method::Post,
        Takes::Json("NotFace"),
        route(
            "/api/faces/not",
            Access::Admin,
            "say that a face must never get a name: `{\"track\": NUMBER}`",
            teach::not,
        )
        .gives(TAUGHT),
    ),
    change(
        Method::Post,
        Takes::Json("Nothing"),
        route(
            "/api/faces/enrol",
            Access::Admin,
            "say that the only person in view enrols before the camera: `{}`",
            teach::enrol,
        )
        .gives(&[(200, "Enrolling")]),
    ),
    change(
        Method::Post,
        Takes::Picture,
        route("/api/gallery/picture", Access::Admin, "add a picture; `?person=NAME`", teach::add_picture)
            .asked(&["person: string"])
            .gives(TAUGHT_OR_UNFIT),
    ),
    change(
        Method::Post,
        Takes::Json("MovePicture"),
        route(
            "/api/gallery/move",
            Access::Admin,
            "move a picture to another person: `{\"file\": ..., \"person\": ... or null}`",
            teach::move_picture,
        )
        .gives(TAUGHT),
    ),
    change(
        Method::Post,
        Takes::Json("DeletePicture"),
        route("/api/gallery/delete", Access::Admin, "delete a picture: `{\"file\": ...}`", teach::delete_picture)
            .gives(TAUGHT),
    ),
    change(
        Method::Post,
        Takes::Json("RenamePerson"),
        route(
            "/api/gallery/rename",
            Access::Admin,
            "rename a person: `{\"person\": ..., \"to\": ..., \"merge\": false}`",
            teach::rename,
        )
        .gives(TAUGHT),
    ),
    change(
        Method::Post,
        Takes::Json("ForgetPerson"),
        route(
            "/api/gallery/forget",
            Access::Admin,
            "delete a person and all data about them: `{\"person\": ...}`",
            teach::forget,
        )
        .gives(&[(200, "Receipt"), (404, TEXT), (409, TEXT), (500, TEXT)]),
    ),
    route("/api/openapi.json", Access::Viewer, "this API as OpenAPI 3.1, JSON", |_, request, _| {
        Whole::json(&openapi::document(&auth::cookies::name(request))).into()
    })
    .gives(&[(200, "application/json")]),
    route("/metrics", Access::Viewer, "metrics for Prometheus", |site, _, _| {
        let text = metrics::metrics(&site.stage).into_bytes();
        Whole::new("text/plain; version=0.0.4; charset=utf-8", Body::Bytes(text)).into()
    })
    .gives(&[(200, TEXT)]),
    route("/login", Access::Open, "the login page", |site, request, _| login::show(site, request))
        .asked(&["next?: string"])
        .gives(&[(200, HTML), (303, TEXT)]),
    change(
        Method::Post,
        Takes::Form("LogIn"),
        route("/login", Access::Open, "log in: `user`, `password`, `stay=1`, `next=PATH`", |site, request, _| {
            login::log_in(site, request)
        })
        .gives(&[(303, TEXT), (401, HTML), (429, HTML), (503, HTML)]),
    ),
    change(
        Method::Post,
        Takes::Nothing,
        route("/logout", Access::Open, "log out", |site, request, _| login::log_out(site, request))
            .gives(&[(303, TEXT)]),
    ),
    route("/api/sessions", Access::Viewer, "the sessions of the user, for an admin of all users, JSON", account::sessions)
        .gives(&[(200, "Sessions")]),
    change(
        Method::Delete,
        Takes::Nothing,
        route("/api/sessions/{id}", Access::Viewer, "end a session of the user, for an admin of any user", account::end_session)
            .gives(&[(200, "SessionEnded"), (404, TEXT)]),
    ),
    change(
        Method::Post,
        Takes::Json("PasswordChange"),
        route(
            "/api/password",
            Access::Viewer,
            "change the password of the user: `{\"old\": ..., \"new\": ...}`",
            account::password,
        )
        .gives(&[(200, "PasswordChanged"), (400, TEXT), (409, TEXT)]),
    ),
    route(
        "/manifest.webmanifest",
        Access::Open,
        "the name and the icon of the page on a home screen, JSON",
        |_, _, _| Whole::new("application/manifest+json", Body::Static(include_bytes!("page/manifest.json"))).into(),
    )
    .gives(&[(200, "application/manifest+json")]),
    route("/icon.svg", Access::Open, "the icon, SVG", |_, _, _| {
        Whole::new("image/svg+xml", Body::Static(include_bytes!("page/icon.svg"))).into()
    })
    .gives(&[(200, "image/svg+xml")]),
    route("/icon.png", Access::Open, "the icon, PNG, 512 x 512", |_, _, _| {
        Whole::new("image/png", Body::Static(include_bytes!("page/icon.png"))).into()
    })
    .gives(&[(200, "image/png")]),
    route("/healthz", Access::Open, "ok, or 503 with the reason", |site, _, _| match site.stage.health.trouble() {
        None => Whole::text(200, "ok").into(),
        Some(trouble) => Whole::text(503, trouble).into(),
    })
    .gives(&[(200, TEXT), (503, TEXT)]),
];

impl Site {
    fn new(stage: Stage, accounts: Option<Accounts>) -> anyhow::Result<Site> {
        let gate = Arc::new(AccessCheck::new(Arc::clone(&stage.health), accounts, stage.state_folder.as_deref())?);
        let (listeners, uploads, thumbnails, lessons) = Default::default();
        let watchers = mjpeg::Watchers::default();
        let (page, reporting, place_wait) = (Page::default(), Mutex::default(), PLACE_WAIT);
        let site = Site { stage, gate, page, listeners, uploads, thumbnails, lessons, watchers, reporting, place_wait };
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
        self.config_with_version().1
    }

    fn config_with_version(&self) -> (u64, Arc<Config>) {
        let newest = self.stage.config.newest();
        newest.unwrap_or_else(|| (0, Arc::new(Config::defaults(std::path::Path::new("")))))
    }

    /// Calls `take` until it succeeds, for up to `place_wait`.
    fn wait_for<T, E>(&self, take: impl Fn() -> Result<T, E>) -> Result<T, E> {
        self.wait_up_to(self.place_wait, take)
    }

    fn wait_up_to<T, E>(&self, patience: Duration, take: impl Fn() -> Result<T, E>) -> Result<T, E> {
        let deadline = Instant::now() + patience;
        loop {
            match take() {
                Err(_) if Instant::now() < deadline && !self.stage.stop.wait(PLACE_POLL) => {}
                taken => return taken,
            }
        }
    }

    /// Admits a request to one of the `routes` of its address.
    fn admit_to(
        &self,
        request: &Request,
        config: &Config,
        routes: &[&'static Route],
    ) -> Result<(AdmittedRequest, Option<usize>), Whole> {
        let by_method = routes.iter().find(|route| route.method.is(&request.method));
        let Some(&route) = by_method.or(routes.first()) else {
            let why = match request.param("action") {
                Some(_) if request.path == "/" => "No such action. There are /?action=stream and /?action=snapshot",
                _ => "Not found. The page is at /",
            };
            return Err(Whole::text(404, why));
        };
        let who = self.gate.admit(request, config, route.access).map_err(|refused| login::refuse(request, refused))?;
        if by_method.is_none() {
            let allowed =
                |route: &&Route| if route.method == Method::Get { "GET, HEAD" } else { route.method.as_str() };
            let allowed = routes.iter().map(allowed).collect::<Vec<_>>().join(", ");
            return Err(Whole::text(405, &format!("This address only allows {allowed}.")).with("Allow", allowed));
        }
        if route.method.changes() {
            // A login has its user name and password in the body, which counts like a program's header.
            let is_login = matches!(route.takes, Takes::Form(_));
            AccessCheck::check_origin(request, if is_login { Credential::Password } else { who.credential })?;
        }
        if let Some(wanted) = route.takes.content_type() {
            let sent = request.header("Content-Type").unwrap_or_default().split(';').next().unwrap_or_default();
            if !route.takes.accepts(sent.trim()) {
                let wanted = if route.takes == Takes::Picture { "image/jpeg or image/png" } else { wanted };
                return Err(Whole::text(415, &format!("Please send the body with Content-Type: {wanted}.")));
            }
        }
        let place = match route.takes {
            Takes::Picture => Some(self.upload_place(request, &who)?),
            _ => None,
        };
        Ok((AdmittedRequest { route, who, for_others: Vec::new(), _place: place }, route.takes.most_bytes()))
    }

    fn upload_place(&self, request: &Request, who: &Who) -> Result<TakenPlace, Whole> {
        let client = holder(request, who.user.as_deref());
        let place = self.wait_for(|| self.uploads.take(&client, MAX_UPLOADS));
        place.map_err(|refusal| self.no_place(&client, "pictures that are sent", MAX_UPLOADS, refusal))
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
}

/// A request that has been admitted.
pub(crate) struct AdmittedRequest {
    route: &'static Route,
    who: Who,
    /// The headers for pages of other origins.
    for_others: Vec<(&'static str, String)>,
    /// The place of an upload.
    _place: Option<TakenPlace>,
}

/// The routes that match the address of a request, with any method. An exact path takes precedence over a path with a
/// name.
fn routes_of(request: &Request) -> Vec<&'static Route> {
    let action = request.param("action");
    // The page has no action. Other paths ignore a parameter of this name.
    let has_action = |route: &&Route| route.path != "/" || route.action == action;
    let exact = ROUTES.iter().filter(|route| route.path == request.path).filter(has_action);
    let exact: Vec<&Route> = exact.collect();
    if !exact.is_empty() {
        return exact;
    }
    let named = |route: &&Route| route.path.split_once('{').is_some_and(|(folder, _)| request.path.starts_with(folder));
    ROUTES.iter().filter(named).collect()
}

impl Handler for Site {
    type Admitted = AdmittedRequest;

    fn admit(&self, request: &Request) -> Result<(AdmittedRequest, Option<usize>), Whole> {
        self.refresh();
        let config = self.config();
        self.gate.check_host(request, &config)?;
        let routes = routes_of(request);
        if let Some(answer) = cors::preflight(request, &config, &routes) {
            return Err(answer);
        }
        let for_others = cors::headers(request, &config, &routes);
        match self.admit_to(request, &config, &routes) {
            Ok((admitted, most)) => Ok((AdmittedRequest { for_others, ..admitted }, most)),
            Err(refusal) => {
                Err(for_others.into_iter().fold(refusal, |refusal, (name, value)| refusal.with(name, value)))
            }
        }
    }

    fn answer<'a>(
        &'a self,
        request: &'a Request,
        AdmittedRequest { route, who, for_others, _place }: AdmittedRequest,
    ) -> Answer<'a> {
        let answer = (route.handler)(self, request, &who);
        let answer = for_others.into_iter().fold(answer, |answer, (name, value)| answer.with(name, value));
        // Dashboards on other hosts and ports show the stream and snapshots.
        let answer = match route.access {
            Access::Picture => answer.with("Cross-Origin-Resource-Policy", "cross-origin".to_owned()),
            Access::Open | Access::Viewer | Access::Admin => answer,
        };
        match who.renewed_cookie {
            Some(cookie) => answer.with("Set-Cookie", cookie),
            None => answer,
        }
    }
}

#[cfg(test)]
mod tests;
