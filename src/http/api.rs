//! The JSON of HTTP, in the shapes of docs/API.md. `/api/gallery` is a [`crate::roster::Roster`]. `namecam identify
//! --json` prints the same faces.

use super::Stage;
use crate::config::{Config, Events, Overlay, UnknownFaces};
use crate::detection::chips::{Chip, Chips, Pose};
use crate::detection::{self, Because, Flaw, Near, Sighting, Sightings};
use crate::frame::Moment;
use crate::http::auth::access::Who;
use crate::http::auth::accounts::Role;
use crate::http::auth::sessions::Session;
use crate::memory::Machine;
use crate::os::board;
use crate::presence::day::Stay;
use crate::roster::PictureReport;
use crate::rounding::{decimals, rounded};
use crate::stream::renditions::RenditionSpec;
use crate::telemetry::faults;
use crate::telemetry::health::Connections;
use crate::telemetry::latency::Percentiles;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A session of `/api/sessions`.
#[derive(Serialize)]
pub struct SessionJson {
    id: String,
    user: String,
    from: String,
    stays: bool,
    begun_s: u64,
    used_s: u64,
    own: bool,
}

impl SessionJson {
    /// `own` is true for the session of this request.
    pub fn of(id: String, session: &Session, own: bool) -> SessionJson {
        let age_s = |since| SystemTime::now().duration_since(since).unwrap_or_default().as_secs();
        SessionJson {
            id,
            user: session.user.to_string(),
            from: session.from.clone(),
            stays: session.stays,
            begun_s: age_s(session.begun),
            used_s: age_s(session.used),
            own,
        }
    }
}

/// A chip of `/api/chips/TRACK`.
#[derive(Serialize)]
pub struct ChipJson {
    captured_at: f64,
    width_px: u32,
    #[serde(serialize_with = "decimals::<3, _>")]
    sharpness: f32,
    #[serde(serialize_with = "decimals::<1, _>")]
    brightness: f32,
    flaw: Option<Flaw>,
    pose: Option<PoseJson>,
}

impl ChipJson {
    pub fn of(chip: &Chip, is_mirrored: bool) -> ChipJson {
        let Chip { captured_at, width_px, sharpness, brightness, flaw, pose, .. } = *chip;
        let (captured_at, pose) = (unix_seconds(captured_at.instant), pose.map(|pose| PoseJson::of(pose, is_mirrored)));
        ChipJson { captured_at, width_px, sharpness, brightness, flaw, pose }
    }
}

/// The direction of a face.
#[derive(Serialize)]
struct PoseJson {
    /// How far the face is turned to the person's own left.
    #[serde(serialize_with = "decimals::<2, _>")]
    left: f32,
    /// How far the face is turned down.
    #[serde(serialize_with = "decimals::<2, _>")]
    down: f32,
}

impl PoseJson {
    /// The left of a person who looks into the camera is the right of the picture, unless the picture is mirrored.
    fn of(pose: Pose, is_mirrored: bool) -> PoseJson {
        PoseJson { left: if is_mirrored { -pose.turn } else { pose.turn }, down: pose.nod }
    }
}

/// `/api/faces/enrol`.
#[derive(Serialize)]
pub struct EnrolJson {
    /// The number of faces that the last look found.
    faces: usize,
    /// The face, if there is exactly one.
    face: Option<FaceJson>,
    pose: Option<PoseJson>,
    chips: Vec<ChipJson>,
}

impl EnrolJson {
    pub fn of(seen: Option<&Sightings>, chips: &Chips, is_mirrored: bool) -> EnrolJson {
        // A face that the last look missed turns away, or another face has just been found in its place.
        let is_found = |face: &&Sighting| face.evidence.flaw != Some(Flaw::Turned);
        let found: Vec<u64> =
            seen.iter().flat_map(|seen| &seen.faces).filter(is_found).map(|face| face.track).collect();
        let (Some(seen), [track]) = (seen, &found[..]) else {
            return EnrolJson { faces: found.len(), face: None, pose: None, chips: Vec::new() };
        };
        EnrolJson {
            faces: 1,
            face: face_in(seen, *track, Role::Admin),
            pose: chips.pose(*track).map(|pose| PoseJson::of(pose, is_mirrored)),
            chips: chips.of(*track).iter().map(|chip| ChipJson::of(chip, is_mirrored)).collect(),
        }
    }

    /// The track of the face, if there is exactly one.
    pub fn track(&self) -> Option<u64> {
        self.face.as_ref().and_then(|face| face.track)
    }
}

/// `/api/visits`.
#[derive(Serialize)]
pub struct VisitsJson {
    /// The same number as `visits_version` of `/api/state`.
    pub version: u64,
    /// The current time.
    pub now: f64,
    /// `events.visits_h`
    pub hours: u32,
    /// The conditions of the event `stranger`.
    pub alert: AlertJson,
    /// The visits in the order of arrival.
    pub visits: Vec<VisitJson>,
}

/// `events.stranger_looks`, `events.stranger_s` and `events.stranger_hours`.
#[derive(Serialize)]
pub struct AlertJson {
    looks: u32,
    after_s: u32,
    hours: Option<String>,
}

/// A visit.
#[derive(Serialize)]
pub struct VisitJson {
    visit: u64,
    track: u64,
    name: Option<Arc<str>>,
    /// Only for roles that may see strangers.
    stranger: Option<u64>,
    since: f64,
    until: f64,
    still_present: bool,
    #[serde(serialize_with = "decimals::<3, _>")]
    distance: Option<f32>,
    looks: u32,
    stranger_at: Option<f64>,
    /// The number of chips of the face; only for an admin.
    chips: Option<usize>,
}

impl VisitsJson {
    pub fn of(stage: &Stage, config: &Config, role: Role) -> VisitsJson {
        let (version, stays) = stage.day.stays();
        let Events { stranger_looks, stranger_s, stranger_hours, visits_h, .. } = &config.events;
        let is_kept = *visits_h > 0;
        VisitsJson {
            version,
            now: unix_seconds(Instant::now()),
            hours: *visits_h,
            alert: AlertJson {
                looks: *stranger_looks,
                after_s: *stranger_s,
                hours: Some(stranger_hours.to_string()).filter(|hours| !hours.is_empty()),
            },
            visits: visits(stage, config, stays.into_iter().filter(|_| is_kept), role),
        }
    }
}

/// The JSON of visits, limited to what `role` may see.
pub fn visits(stage: &Stage, config: &Config, stays: impl IntoIterator<Item = Stay>, role: Role) -> Vec<VisitJson> {
    let is_admin = role == Role::Admin;
    // Whether a stranger was here before is not shown to roles from which strangers are hidden.
    let sees_strangers = !config.overlay.blurs_for(is_admin);
    let chips = stage.chips();
    let visit = |stay: Stay| VisitJson {
        visit: stay.visit,
        track: stay.track,
        stranger: stay.stranger.filter(|_| sees_strangers && stay.name.is_none()),
        name: stay.name,
        since: unix_seconds(stay.since),
        until: unix_seconds(stay.until),
        still_present: stay.is_present,
        distance: stay.distance,
        looks: stay.looks,
        stranger_at: stay.stranger_at.map(unix_seconds),
        chips: is_admin.then(|| chips.of(stay.track).len()),
    };
    stays.into_iter().map(visit).collect()
}

/// The response to a change of the gallery.
#[derive(Serialize)]
pub struct TaughtJson {
    /// The files that were written.
    pub files: Vec<String>,
    /// The result of each of these files; empty until the change is at work.
    pub pictures: Vec<PictureReport>,
    /// The pictures that are no longer used because of the change.
    pub displaced: Vec<String>,
    /// True when the change is at work.
    pub at_work: bool,
    /// The taught face after the change.
    pub face: Option<FaceJson>,
}

/// `/api/state`.
#[derive(Serialize)]
pub struct StateJson {
    version: &'static str,
    role: &'static str,
    user: Option<String>,
    uptime_s: u64,
    now: f64,
    camera: CameraJson,
    recognition: RecognitionJson,
    overlay: OverlayJson,
    stream: StreamJson,
    connections: Connections,
    faces: Vec<FaceJson>,
    visits_version: u64,
    reloads: u64,
    reload_error: Option<String>,
    faults: Vec<FaultJson>,
}

#[derive(Serialize)]
struct CameraJson {
    source: String,
    online: bool,
    format: String,
    width: u32,
    height: u32,
    #[serde(serialize_with = "decimals::<1, _>")]
    fps: f32,
    frames: u64,
    dropped: u64,
    corrupt: u64,
    age_ms: Option<u64>,
    error: Option<String>,
    hint: Option<String>,
}

#[derive(Serialize)]
struct RecognitionJson {
    interval_ms: u32,
    looks: u64,
    last_ms: Option<f64>,
    age_ms: Option<u64>,
    #[serde(serialize_with = "decimals::<3, _>")]
    threshold: f32,
    people: usize,
    pictures: usize,
    skipped: usize,
    generation: u64,
    still: u64,
    pace_ms: u64,
    pace_why: Option<String>,
    threshold_why: Option<String>,
    expected: Option<ExpectedJson>,
    strangers_remembered: usize,
    rates: Option<String>,
    enabled: bool,
    off_until: Option<String>,
    taking_in: bool,
    gallery_version: u64,
}

#[derive(Serialize)]
struct ExpectedJson {
    #[serde(serialize_with = "decimals::<6, _>")]
    strangers_named: Option<f32>,
    #[serde(serialize_with = "decimals::<6, _>")]
    strangers_named_at_most: Option<f32>,
    denser_than_cohort: Option<bool>,
    #[serde(serialize_with = "decimals::<4, _>")]
    known_named: Option<f32>,
}

/// The settings with which a client draws boxes itself, for its role.
#[derive(Serialize)]
struct OverlayJson {
    enabled: bool,
    show_distance: bool,
    unknown: &'static str,
    box_color: String,
    text_color: String,
}

#[derive(Serialize)]
struct StreamJson {
    viewers: usize,
    #[serde(serialize_with = "decimals::<1, _>")]
    fps: f32,
    encoded: u64,
    passed_through: u64,
    repeated: u64,
    encode_ms: Option<f64>,
    encoder: Option<&'static str>,
    age_ms: AgesJson,
    tiers: Vec<Tier>,
    watching: Option<bool>,
}

#[derive(Serialize)]
struct AgesJson {
    published: Percentiles,
    encoded: Percentiles,
    written: Percentiles,
    total: Percentiles,
}

#[derive(Serialize)]
struct Tier {
    #[serde(flatten)]
    spec: RenditionSpec,
    wanted_by: usize,
}

#[derive(Serialize)]
struct FaultJson {
    cause: &'static str,
    count: u64,
    last_s: u64,
    detail: Option<String>,
}

/// A face. The fields of a track are absent in `identify --json`, the evidence in `/api/state`.
#[derive(Serialize)]
pub struct FaceJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    track: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<f64>,
    name: Option<Arc<str>>,
    #[serde(serialize_with = "decimals::<3, _>")]
    distance: Option<f32>,
    #[serde(serialize_with = "decimals::<3, _>")]
    threshold: Option<f32>,
    runner_up: Option<PersonJson>,
    nearest: Option<Picture>,
    r#box: [i64; 4],
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_ms: Option<u64>,
    #[serde(flatten)]
    evidence: Option<EvidenceJson>,
}

#[derive(Serialize)]
struct PersonJson {
    name: Arc<str>,
    #[serde(serialize_with = "decimals::<3, _>")]
    distance: f32,
}

#[derive(Serialize)]
struct Picture {
    /// Only for an admin.
    file: Option<Arc<str>>,
    #[serde(serialize_with = "decimals::<3, _>")]
    distance: f32,
}

#[derive(Serialize)]
struct EvidenceJson {
    because: Because,
    person: Option<Arc<str>>,
    flaw: Option<Flaw>,
    #[serde(serialize_with = "decimals::<3, _>")]
    score: Option<f32>,
    #[serde(serialize_with = "decimals::<3, _>")]
    score_limit: Option<f32>,
    #[serde(serialize_with = "decimals::<3, _>")]
    margin: Option<f32>,
    nearest_pictures: Vec<Picture>,
    looks: u32,
    #[serde(serialize_with = "decimals::<3, _>")]
    effective_looks: f32,
    width_px: u32,
    #[serde(serialize_with = "decimals::<3, _>")]
    sharpness: f32,
    why: String,
}

/// `/api/health`: the state of the board.
#[derive(Serialize)]
pub struct HealthJson {
    temperature_c: Option<f32>,
    throttled: Option<Vec<&'static str>>,
    disk: Option<RoomJson>,
    memory: Option<MemoryJson>,
}

#[derive(Serialize)]
struct RoomJson {
    path: String,
    free_bytes: u64,
    total_bytes: u64,
}

#[derive(Serialize)]
struct MemoryJson {
    used_bytes: u64,
    usable_bytes: Option<u64>,
    limit: Option<String>,
}

impl HealthJson {
    /// The current state. `state_folder` is on the disk whose space is shown.
    pub fn now(state_folder: Option<&Path>) -> HealthJson {
        let machine = Machine::this();
        // A folder that does not exist yet is created at the first write.
        let folder = state_folder.and_then(|folder| folder.ancestors().find(|folder| folder.is_dir()));
        let disk = folder.and_then(|folder| {
            let (free_bytes, total_bytes) = board::disk(folder)?;
            Some(RoomJson { path: folder.display().to_string(), free_bytes, total_bytes })
        });
        let memory = machine.used().map(|used_bytes| {
            let limit = machine.limit();
            let usable_bytes = limit.as_ref().map(|limit| limit.usable);
            MemoryJson { used_bytes, usable_bytes, limit: limit.map(|limit| limit.what) }
        });
        let temperature_c = board::temperature(Path::new(board::ZONES));
        HealthJson { temperature_c, throttled: board::throttled(), disk, memory }
    }
}

/// The event `camera`.
#[derive(Serialize)]
pub struct CameraEvent<'a> {
    /// True while frames arrive.
    pub online: bool,
    /// Why no frames arrive.
    pub error: Option<&'a str>,
}

/// The event `boxes`: the data with which a client draws the boxes of a look on later frames. Without recent sightings,
/// all fields are null or empty.
#[derive(Serialize, Default)]
pub struct BoxesEvent {
    width: Option<u32>,
    height: Option<u32>,
    captured_at: Option<f64>,
    stale_at: Option<f64>,
    faces: Vec<BoxJson>,
}

#[derive(Serialize)]
struct BoxJson {
    track: u64,
    name: Option<Arc<str>>,
    state: &'static str,
    #[serde(serialize_with = "decimals::<3, _>")]
    distance: Option<f32>,
    /// Not clipped, because clients extrapolate the box.
    r#box: [i64; 4],
    velocity: [f64; 2],
    /// The [`detection::view::View`] as base64.
    view: Option<String>,
}

impl BoxesEvent {
    /// The event for these sightings. With `blurs`, unnamed faces are blurred for the client. Until a look has examined
    /// the whole frame, the whole picture is blurred, and there are no boxes.
    pub fn of(seen: &Sightings, blurs: bool) -> BoxesEvent {
        let hidden = blurs && seen.examined.is_none();
        let stamp = |at: Moment| at.wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as f64 / 1e6;
        let faces = seen.faces.iter().filter(|_| !hidden).map(|face| BoxJson {
            track: face.track,
            name: face.name.clone(),
            state: state_word(face.state),
            distance: face.distance,
            r#box: [face.rect.x.into(), face.rect.y.into(), face.rect.w.into(), face.rect.h.into()],
            velocity: face.velocity.map(|pixels| rounded(pixels, 1)),
            view: face
                .view
                .as_ref()
                .filter(|_| face.name.is_some() || !blurs)
                .map(|view| STANDARD.encode(view.colors())),
        });
        BoxesEvent {
            width: Some(seen.width),
            height: Some(seen.height),
            captured_at: Some(stamp(seen.captured_at)),
            stale_at: Some(stamp(seen.stale_at())),
            faces: faces.collect(),
        }
    }
}

fn state_word(state: detection::State) -> &'static str {
    match state {
        detection::State::Seen => "seen",
        detection::State::Named => "named",
        detection::State::Unknown => "unknown",
    }
}

/// The JSON of `/api/state`. `watching` is true while the stream of the requesting page is being sent; `None` when the
/// request has no key.
pub fn state(stage: &Stage, who: &Who, watching: Option<bool>) -> StateJson {
    let role = who.role;
    let health = &stage.health;
    let (camera, pace) = (health.camera(), health.pace());
    let (gallery_version, roster) = stage.roster.newest().unwrap_or_default();
    let threshold = roster.threshold.as_ref();
    let config = stage.config.newest().map(|(_, config)| config);
    let recognition = config.as_ref().map(|config| config.recognition.clone()).unwrap_or_default();
    // True before the first gallery, while the models are opened.
    let opening = gallery_version == 0 && health.recognition_error().is_none();
    let [published, encoded, written, total] = health.ages.named().map(|(_, ages)| ages.lately());
    let tiers = stage.renditions.wanted().into_iter();
    StateJson {
        version: env!("CARGO_PKG_VERSION"),
        role: role.as_str(),
        user: who.user.clone(),
        uptime_s: health.started.elapsed().as_secs(),
        now: unix_seconds(Instant::now()),
        camera: CameraJson {
            source: camera.source,
            online: camera.error.is_none(),
            format: camera.format,
            width: camera.width,
            height: camera.height,
            fps: health.capture_fps.per_second(),
            frames: health.frames.get(),
            dropped: health.dropped.get(),
            corrupt: health.corrupt.get(),
            age_ms: health.frame_age().map(millis),
            error: camera.error,
            hint: camera.hint,
        },
        recognition: RecognitionJson {
            interval_ms: recognition.interval_ms,
            looks: health.looks.get(),
            last_ms: health.look_took.ms(),
            age_ms: health.look_age().map(millis),
            threshold: threshold.map_or(recognition.outermost(), |threshold| threshold.distance),
            people: roster.known(),
            pictures: roster.used(),
            skipped: roster.skipped(),
            generation: roster.generation,
            still: health.still.get(),
            pace_ms: millis(pace.interval),
            pace_why: pace.slowed.map(|(_, why)| why),
            threshold_why: threshold.map(|threshold| threshold.why.clone()),
            expected: threshold.map(|threshold| ExpectedJson {
                strangers_named: threshold.strangers_named,
                strangers_named_at_most: threshold.strangers_named_at_most,
                denser_than_cohort: threshold.denser_than_cohort,
                known_named: threshold.known_named,
            }),
            strangers_remembered: health.strangers_remembered.load(Relaxed),
            rates: threshold.and_then(|threshold| threshold.rates.clone()),
            enabled: recognition.enabled,
            off_until: recognition.off_until(SystemTime::now()),
            taking_in: recognition.is_on(SystemTime::now()) && (health.taking_in.load(Relaxed) || opening),
            gallery_version,
        },
        overlay: OverlayJson::of(&config.as_ref().map(|config| config.overlay.clone()).unwrap_or_default(), role),
        stream: StreamJson {
            viewers: stage.renditions.viewers(),
            fps: health.stream_fps.per_second(),
            encoded: health.encoded.get(),
            passed_through: health.passed_through.get(),
            repeated: health.repeated.get(),
            encode_ms: health.encode_took.ms(),
            encoder: config.map(|config| config.stream.encoder.as_str()),
            age_ms: AgesJson { published, encoded, written, total },
            tiers: tiers.map(|(tier, wanted_by)| Tier { spec: tier.spec, wanted_by }).collect(),
            watching,
        },
        connections: health.connections(),
        faces: faces(stage.faces_in_view().as_deref(), role),
        visits_version: stage.day.version(),
        reloads: health.reloads.ended(),
        reload_error: health.reloads.error(),
        faults: health.faults.all().into_iter().map(|fault| FaultJson::of(fault, role)).collect(),
    }
}

impl OverlayJson {
    fn of(overlay: &Overlay, role: Role) -> OverlayJson {
        let color = |[red, green, blue]: [u8; 3]| format!("#{red:02x}{green:02x}{blue:02x}");
        let unknown = if overlay.blurs_for(role == Role::Admin) { UnknownFaces::Blur } else { overlay.unknown };
        OverlayJson {
            enabled: overlay.enabled,
            show_distance: overlay.show_distance,
            unknown: unknown.as_str(),
            box_color: color(overlay.box_color),
            text_color: color(overlay.text_color),
        }
    }
}

impl FaultJson {
    fn of(fault: faults::Fault, role: Role) -> FaultJson {
        FaultJson {
            cause: fault.cause.as_str(),
            count: fault.count,
            last_s: fault.last.elapsed().as_secs(),
            detail: (role == Role::Admin).then_some(fault.detail),
        }
    }
}

/// The faces of `/api/state` and of the event `faces`.
pub fn faces(sightings: Option<&Sightings>, role: Role) -> Vec<FaceJson> {
    let all = sightings.into_iter().flat_map(|sightings| sightings.faces.iter().map(move |face| (sightings, face)));
    all.map(|(sightings, face)| FaceJson::of_track(sightings, face, role)).collect()
}

/// `/api/faces/TRACK`: the face of a track, with the evidence for its name; `None` when it is not in view.
pub fn face(stage: &Stage, track: &str, role: Role) -> Option<FaceJson> {
    face_in(&*stage.faces_in_view()?, track.parse().ok()?, role)
}

/// The face of a track, with the evidence for its name; `None` when `sightings` does not contain it.
pub fn face_in(sightings: &Sightings, track: u64, role: Role) -> Option<FaceJson> {
    let face = sightings.faces.iter().find(|face| face.track == track)?;
    let evidence = Some(EvidenceJson::of(&face.evidence, role));
    Some(FaceJson { evidence, ..FaceJson::of_track(sightings, face, role) })
}

impl FaceJson {
    /// A face of a still picture of `size`, with the evidence for its name.
    pub fn of_still(face: &Sighting, size: (u32, u32)) -> FaceJson {
        FaceJson {
            evidence: Some(EvidenceJson::of(&face.evidence, Role::Admin)),
            ..FaceJson::of(face, size, Role::Admin)
        }
    }

    /// A face of a look.
    fn of_track(sightings: &Sightings, face: &Sighting, role: Role) -> FaceJson {
        FaceJson {
            track: Some(face.track),
            since: Some(unix_seconds(face.since)),
            state: Some(state_word(face.state)),
            age_ms: Some(millis(sightings.captured_at.instant.elapsed())),
            ..FaceJson::of(face, (sightings.width, sightings.height), role)
        }
    }

    fn of(face: &Sighting, (width, height): (u32, u32), role: Role) -> FaceJson {
        let rect = face.rect.clipped(width, height);
        FaceJson {
            track: None,
            since: None,
            name: face.name.clone(),
            distance: face.distance,
            threshold: face.evidence.reason.limit,
            runner_up: face.runner_up.clone().map(|Near { what, distance }| PersonJson { name: what, distance }),
            nearest: face.nearest.as_ref().map(|near| Picture::of(near, role)),
            r#box: [rect.x.into(), rect.y.into(), rect.w.into(), rect.h.into()],
            state: None,
            age_ms: None,
            evidence: None,
        }
    }
}

impl Picture {
    fn of(near: &Near, role: Role) -> Picture {
        Picture { file: (role == Role::Admin).then(|| Arc::clone(&near.what)), distance: near.distance }
    }
}

impl EvidenceJson {
    fn of(evidence: &detection::Evidence, role: Role) -> EvidenceJson {
        EvidenceJson {
            because: evidence.reason.because,
            person: evidence.reason.person.clone(),
            flaw: evidence.flaw,
            score: evidence.score.map(|(score, _)| score),
            score_limit: evidence.score.map(|(_, limit)| limit),
            margin: evidence.margin,
            nearest_pictures: evidence.pictures.iter().map(|near| Picture::of(near, role)).collect(),
            looks: evidence.looks,
            effective_looks: evidence.effective_looks,
            width_px: evidence.width_px,
            sharpness: evidence.sharpness,
            why: evidence.reason.text.clone(),
        }
    }
}

/// The wall-clock time of an instant, in seconds since 1970 with three decimals. It is computed from the present
/// setting of the clock, because a board without a real-time clock gets the time only after the start.
fn unix_seconds(at: Instant) -> f64 {
    let now = SystemTime::now();
    let at = now.checked_sub(at.elapsed()).unwrap_or(now);
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as f64 / 1000.0
}

fn millis(age: Duration) -> u64 {
    age.as_millis() as u64
}
