//! `/metrics`: the state of the program in the Prometheus text format 0.0.4.

use super::Stage;
use crate::os::process;
use crate::rounding::rounded;
use crate::telemetry::health::{Connections, Health};
use crate::telemetry::latency::SinceStart;
use std::fmt::{Display, Write};
use std::time::{SystemTime, UNIX_EPOCH};

/// The response of `/metrics`.
pub fn metrics(stage: &Stage) -> String {
    let health = &*stage.health;
    let roster = stage.roster.newest().map(|(_, roster)| roster).unwrap_or_default();
    let seconds = |ms: Option<f64>| ms.map_or(f64::NAN, |ms| ms / 1000.0);
    let mut page = Metrics::default();
    let version = [(env!("CARGO_PKG_VERSION"), 1)];
    page.labelled("build_info", "the version of the running program", "gauge", "version", version);
    page.gauge("uptime_seconds", "seconds since the program started", health.started.elapsed().as_secs());
    page.gauge("healthy", "1, or 0 while a loop hangs or no model can be used", u8::from(health.trouble().is_none()));
    page.gauge("camera_online", "1 while the camera delivers frames", u8::from(health.camera_online()));
    page.gauge("camera_fps", "frames per second from the camera", rounded(health.capture_fps.per_second(), 1));
    page.counter("camera_frames_total", "frames from the camera", health.frames.get());
    page.counter("camera_dropped_total", "frames that were replaced by a newer one before use", health.dropped.get());
    page.counter("camera_corrupt_total", "damaged frames", health.corrupt.get());
    page.counter("looks_total", "looks: runs of recognition over a frame", health.looks.get());
    page.counter("still_total", "frames without motion, for which recognition was skipped", health.still.get());
    page.gauge(
        "look_interval_seconds",
        "time from the start of one look to the next",
        health.pace().interval.as_secs_f64(),
    );
    page.gauge("look_seconds", "duration of the last look", seconds(health.look_took.ms()));
    page.gauge("faces", "faces in view", stage.faces_in_view().map_or(0, |s| s.faces.len()));
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
    page.gauge("stream_fps", "pictures per second offered to viewers", rounded(health.stream_fps.per_second(), 1));
    page.counter("encoded_total", "encoded pictures", health.encoded.get());
    page.counter(
        "passed_through_total",
        "pictures that were sent as the camera encoded them",
        health.passed_through.get(),
    );
    page.counter("repeated_total", "pictures that were sent again, because nothing had changed", health.repeated.get());
    page.gauge("encode_seconds", "duration of the last encoding", seconds(health.encode_took.ms()));
    let Connections { waiting, idle, answering, streaming, refused, closed_early, most: _ } = health.connections();
    page.labelled(
        "connections",
        "open connections by state: waiting for the first request, idle between requests, answering, streaming",
        "gauge",
        "state",
        [("waiting", waiting), ("idle", idle), ("answering", answering), ("streaming", streaming)],
    );
    page.counter("connections_refused_total", "connections that were refused", refused);
    page.counter("connections_closed_early_total", "connections that were closed for newer ones", closed_early);
    page.histograms("picture_age_seconds", "latency of each step of a picture from capture to write", health);
    let loops = [
        ("capture", health.capture_beat.age()),
        ("recognition", health.recognition_beat.age()),
        ("encoder", health.encoding.age()),
        ("http", health.http_beat.age()),
    ];
    let ages = loops.map(|(name, age)| (name, age.as_secs_f64()));
    page.labelled("heartbeat_age_seconds", "time since the last round of each loop", "gauge", "loop", ages);
    let sinks = [("lines", &health.lines), ("webhook", &health.webhook), ("exec", &health.exec)];
    let sent = sinks.map(|(name, sink)| (name, sink.sent.get()));
    page.labelled("events_sent_total", "events that a sink has taken", "counter", "sink", sent);
    let dropped = sinks.map(|(name, sink)| (name, sink.dropped.get()));
    page.labelled("events_dropped_total", "events that a sink has not taken in time", "counter", "sink", dropped);
    let mqtt = &health.mqtt;
    page.gauge(
        "mqtt_connected",
        "1 while an MQTT broker is connected",
        u8::from(mqtt.connected.load(std::sync::atomic::Ordering::Relaxed)),
    );
    page.counter("mqtt_connections_total", "connections that the MQTT broker accepted", mqtt.connections.get());
    page.counter("mqtt_published_total", "messages that the MQTT broker acknowledged", mqtt.published.get());
    page.counter(
        "mqtt_missed_total",
        "events that were no longer kept when the MQTT broker was there",
        mqtt.missed.get(),
    );
    page.counter("mqtt_skipped_total", "messages from the MQTT broker that were too large", mqtt.skipped.get());
    let faults = health.faults.all().into_iter().map(|fault| (fault.cause.as_str(), fault.count));
    page.labelled("faults_total", "faults by cause", "counter", "cause", faults);
    page.process(health);
    page.0
}

#[derive(Default)]
struct Metrics(String);

impl Metrics {
    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.single(name, help, "gauge", value);
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.single(name, help, "counter", value);
    }

    /// The process metrics of Prometheus' own clients, under the same names. Values that the kernel does not provide
    /// are left out.
    fn process(&mut self, health: &Health) {
        let Some(usage) = process::Usage::now() else { return };
        // The start time is computed from the present setting of the clock. Whole seconds keep it constant while the
        // clock is slewed.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started = now.saturating_sub(health.started.elapsed());
        let page = &mut self.0;
        for (name, help, kind, value) in [
            ("cpu_seconds_total", "processor time of all threads", "counter", usage.cpu.as_secs_f64()),
            ("resident_memory_bytes", "memory in use", "gauge", usage.resident_bytes as f64),
            ("virtual_memory_bytes", "address space in use", "gauge", usage.virtual_bytes as f64),
            ("open_fds", "open file descriptors", "gauge", usage.open_files as f64),
            ("max_fds", "the most file descriptors that may be open", "gauge", usage.most_open_files as f64),
            ("start_time_seconds", "when the process started, since 1970", "gauge", started.as_secs_f64().round()),
        ] {
            let _ =
                writeln!(page, "# HELP process_{name} {help}\n# TYPE process_{name} {kind}\nprocess_{name} {value}");
        }
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

    fn single(&mut self, name: &str, help: &str, kind: &str, value: impl Display) {
        self.about(name, help, kind);
        let _ = writeln!(self.0, "namecam_{name} {value}");
    }

    /// A metric with a sample for each value of `label`. The values are words of the program, without characters that
    /// would have to be escaped.
    fn labelled<V: Display>(
        &mut self,
        name: &str,
        help: &str,
        kind: &str,
        label: &str,
        samples: impl IntoIterator<Item = (&'static str, V)>,
    ) {
        self.about(name, help, kind);
        for (word, value) in samples {
            let _ = writeln!(self.0, "namecam_{name}{{{label}=\"{word}\"}} {value}");
        }
    }
}
