//! `[exec]`: starts a program for each event. The fields of the event are environment variables, and no shell is
//! involved.

use super::{Reader, Stage};
use crate::config::Exec;
use crate::os::process::ProcessGroup;
use crate::presence::event::Event;
use crate::sync::POLL;
use crate::telemetry::faults::Cause;
use crate::telemetry::health::Sink;
use serde_json::Value;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The most programs that run at a time; further events wait on the bus.
const MOST: usize = 4;
/// How long a program may run.
const LONGEST: Duration = Duration::from_secs(30);
/// How often the thread checks whether programs have ended, while some run.
const SOON: Duration = Duration::from_millis(50);
/// The variables of namecam's own environment that the program gets.
const PASSED_ON: [&str; 5] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ"];

struct Running {
    group: ProcessGroup,
    begun: Instant,
    /// True when the program took too long. It keeps its place until it has ended.
    is_late: bool,
}

/// The body of the thread. On [`crate::sync::Stop`] it kills the programs and returns.
pub fn run(stage: &Stage) {
    let sink = &stage.health.exec;
    let (mut reader, mut running) = (Reader::new(stage, sink), Vec::<Running>::new());
    while !stage.stop.is_set() {
        let config = stage.config.newest().map(|(_, config)| config);
        let exec = config.as_ref().map(|config| &config.exec).filter(|exec| !exec.command.is_empty());
        end_those_that_are_over(&mut running, stage, sink);
        let Some(exec) = exec else {
            reader.skip();
            stage.stop.wait(POLL);
            continue;
        };
        if running.len() >= MOST {
            stage.stop.wait(SOON);
            continue;
        }
        let Some(event) = reader.next(&exec.events, if running.is_empty() { POLL } else { SOON }) else { continue };
        match start(exec, &event) {
            Ok(group) => running.push(Running { group, begun: Instant::now(), is_late: false }),
            Err(why) => {
                stage.health.faults.report(Cause::Exec, &why);
                sink.dropped.add();
            }
        }
    }
    // All at once: namecam ends soon, and one that cannot be killed must not keep the others.
    running.iter().for_each(|program| _ = program.group.signal(libc::SIGKILL));
    running.iter_mut().for_each(|program| _ = program.group.reap());
}

fn end_those_that_are_over(running: &mut Vec<Running>, stage: &Stage, sink: &Sink) {
    let failed = |why: &str| {
        stage.health.faults.report(Cause::Exec, why);
        sink.dropped.add();
    };
    running.retain_mut(|program| {
        if program.group.has_ended() {
            let status = program.group.reap();
            match status {
                _ if program.is_late => {}
                Some(status) if status.success() => sink.sent.add(),
                Some(status) => failed(&format!("the program ended with {status}")),
                None => failed("the end of the program is not known"),
            }
            return false;
        }
        if !program.is_late && program.begun.elapsed() >= LONGEST {
            program.is_late = true;
            let seconds = LONGEST.as_secs();
            failed(&match program.group.signal(libc::SIGKILL) {
                true => format!("the program was killed: it had not ended after {seconds} s"),
                false => format!(
                    "the program has not ended after {seconds} s, and cannot be killed: it runs as another user"
                ),
            });
        }
        true
    });
}

fn start(exec: &Exec, event: &Event) -> Result<ProcessGroup, String> {
    let (program, arguments) = exec.command.split_first().ok_or("there is no command")?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.envs(variables(event)).process_group(0);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    child.map(ProcessGroup::new).map_err(|error| format!("'{program}' cannot be started: {error}"))
}

/// The environment variables of an event: `NAMECAM_KIND` and so on for its fields, empty for null, and `NAMECAM_EVENT`
/// with its JSON.
fn variables(event: &Event) -> Vec<(String, String)> {
    let Ok(json) = serde_json::to_value(event) else { return Vec::new() };
    let mut variables = vec![("NAMECAM_EVENT".to_owned(), json.to_string())];
    for (field, value) in json.as_object().into_iter().flatten() {
        let text = match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        variables.push((format!("NAMECAM_{}", field.to_uppercase()), text.replace('\0', "")));
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::super::tests::{event, stage};
    use super::*;
    use crate::presence::event::Kind;
    use std::path::Path;
    use std::sync::Arc;

    fn words(command: &[&str]) -> Vec<String> {
        command.iter().map(|word| (*word).to_owned()).collect()
    }

    fn until(what: &str, so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !so() {
            assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn running(command: Vec<String>) -> (Arc<Stage>, std::thread::JoinHandle<()>) {
        let stage = Arc::new(stage(|config| config.exec = Exec { command, events: Vec::new() }));
        let thread = {
            let stage = Arc::clone(&stage);
            std::thread::spawn(move || run(&stage))
        };
        (stage, thread)
    }

    #[test]
    fn a_program_gets_the_event_in_its_environment_and_no_shell_sees_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let script = "printf '%s|%s|%s|%s|%s\\n' \"$NAMECAM_KIND\" \"$NAMECAM_NAME\" \"$NAMECAM_FORMER\" \"$NAMECAM_PRESENT\" \"$1\" >\"$0.part\"; mv \"$0.part\" \"$0\"";
        let (stage, thread) = running(words(&["sh", "-c", script, out.to_str().unwrap(), "$(id) $NAMECAM_NAME"]));
        stage.bus.publish(vec![event(Kind::Named, "$(touch x); Alice' \"")]);
        until("the program has run", || stage.health.exec.sent.get() == 1);
        assert_eq!(std::fs::read_to_string(&out).unwrap(), "named|$(touch x); Alice' \"||1|$(id) $NAMECAM_NAME\n");
        assert!(!Path::new("x").exists());
        let fields = variables(&event(Kind::Left, "Alice"));
        let (name, json) = &fields[0];
        assert!(name == "NAMECAM_EVENT" && json.contains("\"kind\":\"left\""), "{json}");
        assert!(fields.contains(&("NAMECAM_VISIT".to_owned(), "3".to_owned())), "{fields:?}");
        stage.stop.set();
        thread.join().unwrap();
    }

    #[test]
    fn a_program_that_cannot_be_killed_keeps_its_place_until_it_ends_and_is_reported_once() {
        let stage = stage(|_| ());
        let sink = &stage.health.exec;
        // It leads no group, so no signal reaches it.
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let stdin = child.stdin.take();
        let begun = Instant::now().checked_sub(LONGEST).unwrap();
        let mut running = vec![Running { group: ProcessGroup::new(child), begun, is_late: false }];
        for _ in 0..3 {
            end_those_that_are_over(&mut running, &stage, sink);
            assert_eq!((running.len(), sink.dropped.get()), (1, 1));
        }
        assert!(stage.health.faults.all()[0].detail.contains("cannot be killed"), "{:?}", stage.health.faults.all());
        drop(stdin);
        assert!(running[0].group.wait(Duration::from_secs(30)));
        end_those_that_are_over(&mut running, &stage, sink);
        assert_eq!((running.len(), sink.dropped.get(), sink.sent.get()), (0, 1, 0));
    }

    #[test]
    fn four_programs_run_at_a_time_and_failures_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        let script = "touch \"$0/$NAMECAM_ID\"; exec sleep 60";
        let (stage, thread) = running(words(&["sh", "-c", script, folder.path().to_str().unwrap()]));
        stage.bus.publish((0..9).map(|_| event(Kind::Named, "Alice")).collect());
        let started = || std::fs::read_dir(folder.path()).unwrap().count();
        until("four have started", || started() == 4);
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!((started(), stage.health.exec.sent.get()), (4, 0));
        let begun = Instant::now();
        stage.stop.set();
        thread.join().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(20), "the programs end with namecam");
        let (stage, thread) = running(words(&["false"]));
        stage.bus.publish(vec![event(Kind::Named, "Alice")]);
        until("the failure is counted", || stage.health.exec.dropped.get() == 1);
        assert!(stage.health.faults.all()[0].detail.contains("exit status: 1"), "{:?}", stage.health.faults.all());
        stage.stop.set();
        thread.join().unwrap();
        let (stage, thread) = running(words(&["/no/such/program", "x"]));
        stage.bus.publish(vec![event(Kind::Named, "Alice"), event(Kind::Named, "Alice")]);
        until("both failures are counted", || stage.health.exec.dropped.get() == 2);
        let faults = stage.health.faults.all();
        assert!(
            faults[0].count == 2 && faults[0].detail.contains("'/no/such/program' cannot be started"),
            "{faults:?}"
        );
        stage.stop.set();
        thread.join().unwrap();
    }
}
