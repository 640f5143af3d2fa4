//! `run --events`: each event as a line of JSON on the standard output.

use super::Stage;
use crate::sync::POLL;
use crate::telemetry::faults::Cause;
use std::io::Write;

/// The body of the thread. Returns on [`crate::sync::Stop`]. A slow reader delays no other part, and gets a line with
/// the number of events that it missed.
pub fn run(stage: &Stage, out: &mut dyn Write) {
    let mut seen = 0;
    while !stage.stop.is_set() {
        let batch = stage.bus.wait_after(seen, POLL);
        seen = batch.events.last().map_or(seen, |event| event.id);
        let mut text = String::new();
        if batch.missed > 0 {
            stage.health.lines.dropped.add_many(batch.missed);
            text += &format!("{{\"kind\":\"missed\",\"missed\":{}}}\n", batch.missed);
        }
        for event in &batch.events {
            text += &serde_json::to_string(&**event).unwrap_or_default();
            text.push('\n');
        }
        if text.is_empty() {
            continue;
        }
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            stage.health.faults.report(Cause::Lines, &format!("{error}; no more events are written"));
            while !stage.stop.wait(POLL) {}
        }
        stage.health.lines.sent.add_many(batch.events.len() as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{event, stage};
    use super::*;
    use crate::presence::event::Kind;
    use crate::sync::lock;
    use std::io;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    #[derive(Clone, Default)]
    struct Out(Arc<Mutex<Vec<u8>>>);

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut all = lock(&self.0);
            if all.len() > 100_000 {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            all.extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn each_event_is_a_line_and_an_output_that_is_gone_is_a_fault() {
        let stage = Arc::new(stage(|_| {}));
        let out = Out::default();
        stage.bus.publish((0..300).map(|_| event(Kind::Named, "Alice\n")).collect());
        let running = {
            let (stage, mut out) = (Arc::clone(&stage), out.clone());
            std::thread::spawn(move || run(&stage, &mut out))
        };
        let lines = |count: usize| {
            for _ in 0..6000 {
                let text = String::from_utf8(lock(&out.0).clone()).unwrap();
                if text.matches('\n').count() >= count {
                    return text.lines().map(str::to_owned).collect::<Vec<_>>();
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            panic!("fewer than {count} lines");
        };
        let told = lines(257);
        assert_eq!(told[0], "{\"kind\":\"missed\",\"missed\":44}");
        let first: serde_json::Value = serde_json::from_str(&told[1]).unwrap();
        assert_eq!((&first["id"], &first["kind"], &first["name"]), (&45.into(), &"named".into(), &"Alice\n".into()));
        stage.bus.publish(vec![event(Kind::Left, "Alice")]);
        assert!(lines(258)[257].starts_with("{\"id\":301,\"kind\":\"left\""));
        // Until the output takes no more, and some more.
        let (mut rounds, mut left) = (0, 3);
        while left > 0 {
            assert!(rounds < 2000, "it takes all");
            (rounds, left) = (rounds + 1, left - usize::from(!stage.health.faults.all().is_empty()));
            stage.bus.publish((0..200).map(|_| event(Kind::Named, "Alice")).collect());
            std::thread::sleep(Duration::from_millis(30));
        }
        assert!(!running.is_finished(), "the end of a thread would end the program");
        let faults = stage.health.faults.all();
        assert_eq!((faults.len(), faults[0].cause, faults[0].count), (1, Cause::Lines, 1));
        stage.stop.set();
        running.join().unwrap();
    }
}
