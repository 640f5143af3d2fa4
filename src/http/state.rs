//! The state of the program, as JSON and as Prometheus metrics.

use super::Stage;
use crate::detection::{Sightings, round3};
use crate::http::auth::accounts::Role;
use crate::stream::renditions::RenditionSpec;
use crate::telemetry::faults::Fault;
use crate::telemetry::health::{Connections, Health, Heartbeat};
use crate::telemetry::latency::{Percentiles, SinceStart};
use serde_json::{Value, json};
use std::fmt::{Display, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// The response of `/api/state`. `watching` tells whether the stream of the requesting page is being sent; `None` when
/// the request has no key.
pub fn state(stage: &Stage, role: Role, watching: Option<bool>) -> Value {
    let health = &stage.health;
    let connections = health.connections();
    let camera = health.camera();
    let (gallery_version, roster) = stage.roster.newest().unwrap_or_default();
    let config = stage.config.newest().map(|(_, config)| config);
    let recognition = config.as_ref().map(|config| config.recognition.clone()).unwrap_or_default();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_s": health.started.elapsed().as_secs(),
        "camera": {
            "source": camera.source,
            "online": camera.error.is_none(),
            "format": camera.format,
            "width": camera.width,
            "height": camera.height,
            "fps": round1(health.capture_fps.per_second()),
            "frames": health.frames.get(),
            "dropped": health.dropped.get(),
            "corrupt": health.corrupt.get(),
            "age_ms": health.frame_age().map(millis),
            "error": camera.error,
            "hint": camera.hint,
        },
        "recognition": {
            "interval_ms": recognition.interval_ms,
            "looks": health.looks.get(),
            "last_ms": health.look_took.ms(),
            "age_ms": health.look_age().map(millis),
            "threshold": round3(roster.threshold.as_ref().map_or(recognition.outermost(), |t| t.distance)),
            "people": roster.known(),
            "pictures": roster.used(),
            "skipped": roster.skipped(),
            "generation": roster.generation,
            "still": health.still.get(),
            "pace_ms": health.pace().interval.as_millis() as u64,
            "pace_why": health.pace().slowed.map(|(_, why)| why),
            "threshold_why": roster.threshold.as_ref().map(|threshold| &threshold.why),
            "expected": roster.threshold.as_ref().map(|threshold| json!({
                "strangers_named": threshold.strangers_named.map(round4),
                "strangers_named_at_most": threshold.strangers_named_at_most.map(round4),
                "denser_than_cohort": threshold.denser_than_cohort,
                "known_named": threshold.known_named.map(round4),
            })),
            "strangers_remembered": health.strangers_remembered.load(Relaxed),
            "rates": roster.threshold.as_ref().and_then(|threshold| threshold.rates.as_ref()),
            "enabled": recognition.enabled,
            "taking_in": recognition.enabled && is_taking_in(health, gallery_version),
            "gallery_version": gallery_version,
        },
        "stream": {
            "viewers": stage.renditions.viewers(),
            "fps": round1(health.stream_fps.per_second()),
            "encoded": health.encoded.get(),
            "passed_through": health.passed_through.get(),
            "repeated": health.repeated.get(),
            "encode_ms": health.encode_took.ms(),
            "encoder": config.as_ref().map(|config| config.stream.encoder.as_str()),
            "age_ms": ages(health),
            "tiers": renditions(stage),
            "watching": watching,
        },
        "connections": {
            "waiting": connections.waiting,
            "idle": connections.idle,
            "answering": connections.answering,
            "streaming": connections.streaming,
            "refused": connections.refused,
            "closed_early": connections.closed_early,
        },
        "faces": faces(current(stage).as_deref(), role),
        "reloads": health.reloads.ended(),
        "reload_error": health.reloads.error(),
        "faults": faults(health, role),
    })
}

/// The faults since the start. A detail may name files, so it is for admins only.
fn faults(health: &Health, role: Role) -> Vec<Value> {
    let shown = |fault: Fault| {
        json!({
            "cause": fault.cause.as_str(),
            "count": fault.count,
            "last_s": fault.last.elapsed().as_secs(),
            "detail": (role == Role::Admin).then_some(fault.detail),
        })
    };
    health.faults.all().into_iter().map(shown).collect()
}

/// True while pictures of the gallery are enrolled; before the first gallery, also while the models are opened.
fn is_taking_in(health: &Health, gallery_version: u64) -> bool {
    health.taking_in.load(Relaxed) || (gallery_version == 0 && health.recognition_error().is_none())
}

/// The renditions that have subscriptions.
fn renditions(stage: &Stage) -> Value {
    let wanted = stage.renditions.wanted().into_iter();
    let shown = wanted.map(|rendition| {
        let RenditionSpec { overlay, width, fps } = rendition.spec;
        json!({ "overlay": overlay, "width": width, "fps": fps, "wanted_by": rendition.subscriptions() })
    });
    Value::Array(shown.collect())
}

/// The recent latency of each step of a picture, from capture to write.
fn ages(health: &Health) -> Value {
    let steps = health.ages.named().map(|(name, ages)| {
        let lately = ages.lately();
        let figure = |of: fn(Percentiles) -> f64| lately.map(|figures| round2(of(figures)));
        let shown = json!({
            "p50": figure(|f| f.p50),
            "p95": figure(|f| f.p95),
            "p99": figure(|f| f.p99),
            "max": figure(|f| f.max),
        });
        (name.to_owned(), shown)
    });
    Value::Object(steps.into_iter().collect())
}

/// The newest sightings, unless they are stale.
pub fn current(stage: &Stage) -> Option<Arc<Sightings>> {
    stage.sightings.newest().map(|(_, sightings)| sightings).filter(|sightings| !sightings.is_stale(Instant::now()))
}

/// A share, rounded to four decimals.
pub fn round4(share: f32) -> f64 {
    (f64::from(share) * 10_000.0).round() / 10_000.0
}

/// The face of a track, with the evidence for its name; `None` when it is not in view.
pub fn face(stage: &Stage, track: &str, role: Role) -> Option<Value> {
    let track: u64 = track.parse().ok()?;
    let sightings = current(stage)?;
    let face = sightings.faces.iter().find(|face| face.track == track)?;
    let only = Sightings { faces: vec![face.clone()], ..(*sightings).clone() };
    let mut shown = faces(Some(&only), role).get(0)?.clone();
    if let (Some(shown), Value::Object(evidence)) = (shown.as_object_mut(), face.evidence_json(role == Role::Admin)) {
        shown.extend(evidence);
    }
    Some(shown)
}

/// The faces for `/api/state`.
pub fn faces(sightings: Option<&Sightings>, role: Role) -> Value {
    let Some(sightings) = sightings else { return json!([]) };
    let age_ms = millis(sightings.captured_at.elapsed());
    let shown = sightings.faces.iter().map(|face| {
        let mut shown = json!({ "track": face.track });
        let rest = face.json(sightings.width, sightings.height, role == Role::Admin);
        if let (Some(shown), Value::Object(rest)) = (shown.as_object_mut(), rest) {
            shown.extend(rest);
            shown.insert("state".to_owned(), face.state.as_str().into());
            shown.insert("age_ms".to_owned(), age_ms.into());
        }
        shown
    });
    Value::Array(shown.collect())
}

fn millis(age: Duration) -> u64 {
    age.as_millis() as u64
}

fn round1(rate: f64) -> f64 {
    (rate * 10.0).round() / 10.0
}

fn round2(ms: f64) -> f64 {
    (ms * 100.0).round() / 100.0
}

/// The response of `/metrics`, in the Prometheus text format 0.0.4.
pub fn metrics(stage: &Stage) -> String {
    let health = &*stage.health;
    let roster = stage.roster.newest().map(|(_, roster)| roster).unwrap_or_default();
    let seconds = |ms: Option<f64>| ms.map_or(f64::NAN, |ms| ms / 1000.0);
    let mut page = Metrics::default();
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    page.labelled("build_info", "the version of the running program", "gauge", &[(&version, 1)]);
    page.gauge("uptime_seconds", "seconds since the program started", health.started.elapsed().as_secs());
    page.gauge("healthy", "1, or 0 while a loop hangs or no model can be used", u8::from(health.trouble().is_none()));
    page.gauge("camera_online", "1 while the camera delivers frames", u8::from(health.camera_online()));
    page.gauge("camera_fps", "frames per second from the camera", round1(health.capture_fps.per_second()));
    page.counter("camera_frames_total", "frames from the camera", health.frames.get());
    page.counter("camera_dropped_total", "frames that were replaced by a newer one before use", health.dropped.get());
    page.counter("camera_corrupt_total", "damaged frames", health.corrupt.get());
    page.counter("looks_total", "recognition passes", health.looks.get());
    page.counter("still_total", "frames without motion, for which recognition was skipped", health.still.get());
    page.gauge(
        "look_interval_seconds",
        "time from the start of one recognition pass to the next",
        health.pace().interval.as_secs_f64(),
    );
    page.gauge("look_seconds", "duration of the last recognition pass", seconds(health.look_took.ms()));
    page.gauge("faces", "faces in view", current(stage).map_or(0, |s| s.faces.len()));
    page.gauge("gallery_people", "people who can be recognised", roster.known());
    page.gauge("gallery_pictures", "pictures that are used for them", roster.used());
    page.gauge("gallery_skipped", "files in the gallery that are not used", roster.skipped());
    page.gauge("gallery_generation", "versions of the gallery since the start", roster.generation);
    page.counter("reloads_total", "completed reloads, successful or not", health.reloads.ended());
    page.gauge(
        "reload_failed",
        "1 when the last reload, or the start, had an error",
        u8::from(health.reloads.error().is_some()),
    );
    page.gauge("viewers", "viewers of the stream", stage.renditions.viewers());
    page.gauge("stream_fps", "pictures per second offered to viewers", round1(health.stream_fps.per_second()));
    page.counter("encoded_total", "encoded pictures", health.encoded.get());
    page.counter(
        "passed_through_total",
        "pictures that were sent as the camera encoded them",
        health.passed_through.get(),
    );
    page.counter("repeated_total", "pictures that were sent again, because nothing had changed", health.repeated.get());
    page.gauge("encode_seconds", "duration of the last encoding", seconds(health.encode_took.ms()));
    connections(&mut page, health);
    page.histograms("picture_age_seconds", "latency of each step of a picture from capture to write", health);
    heartbeats(&mut page, health);
    let faults = health.faults.all();
    let labels: Vec<_> = faults.iter().map(|fault| ([("cause", fault.cause.as_str())], fault.count)).collect();
    let samples: Vec<_> = labels.iter().map(|(labels, count)| (&labels[..], *count)).collect();
    page.labelled("faults_total", "faults by cause", "counter", &samples);
    page.0
}

fn connections(page: &mut Metrics, health: &Health) {
    let Connections { waiting, idle, answering, streaming, refused, closed_early, most: _ } = health.connections();
    let samples = [
        (&[("state", "waiting")][..], waiting),
        (&[("state", "idle")][..], idle),
        (&[("state", "answering")][..], answering),
        (&[("state", "streaming")][..], streaming),
    ];
    page.labelled(
        "connections",
        "open connections by state: waiting for the first request, idle between requests, answering, streaming",
        "gauge",
        &samples,
    );
    page.counter("connections_refused_total", "connections that were refused", refused);
    page.counter("connections_closed_early_total", "connections that were closed for newer ones", closed_early);
}

fn heartbeats(page: &mut Metrics, health: &Health) {
    let age = |beat: &Heartbeat| beat.age().as_secs_f64();
    let samples = [
        (&[("loop", "capture")][..], age(&health.capture_beat)),
        (&[("loop", "recognition")][..], age(&health.recognition_beat)),
        (&[("loop", "encoder")][..], health.encoding.age().as_secs_f64()),
        (&[("loop", "http")][..], age(&health.http_beat)),
    ];
    page.labelled("heartbeat_age_seconds", "time since the last round of each loop", "gauge", &samples);
}

#[derive(Default)]
struct Metrics(String);

impl Metrics {
    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.labelled(name, help, "gauge", &[(&[], value)]);
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.labelled(name, help, "counter", &[(&[], value)]);
    }

    fn about(&mut self, name: &str, help: &str, kind: &str) {
        let _ = writeln!(self.0, "# HELP namecam_{name} {help}\n# TYPE namecam_{name} {kind}");
    }

    fn histograms(&mut self, name: &str, help: &str, health: &Health) {
        self.about(name, help, "histogram");
        let page = &mut self.0;
        for (step, ages) in health.ages.named() {
            let SinceStart { below, count, sum } = ages.since_start();
            let bounds = below.iter().map(|(end, count)| (end.as_secs_f64().to_string(), *count));
            for (end, count) in bounds.chain([("+Inf".to_owned(), count)]) {
                let _ = writeln!(page, "namecam_{name}_bucket{{step=\"{step}\",le=\"{end}\"}} {count}");
            }
            let _ = writeln!(page, "namecam_{name}_sum{{step=\"{step}\"}} {}", sum.as_secs_f64());
            let _ = writeln!(page, "namecam_{name}_count{{step=\"{step}\"}} {count}");
        }
    }

    fn labelled<V: Display>(&mut self, name: &str, help: &str, kind: &str, samples: &[(&[(&str, &str)], V)]) {
        self.about(name, help, kind);
        let page = &mut self.0;
        for (labels, value) in samples {
            let _ = write!(page, "namecam_{name}");
            if let [(label, text)] = labels {
                let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                let _ = write!(page, "{{{label}=\"{text}\"}}");
            }
            let _ = writeln!(page, " {value}");
        }
    }
}
