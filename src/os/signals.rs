//! Signals: SIGTERM and SIGINT end the program, SIGHUP reloads config and gallery.

use super::process::{exit_now, yield_no_more};
use crate::sync::Stop;
use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// The request of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// End: SIGTERM or SIGINT.
    Stop,
    /// Reload config and gallery: SIGHUP.
    Reload,
}

/// The receiver of the signals that the program handles. [`handle_signals`] makes it.
#[derive(Debug)]
pub struct Signals {
    events: Receiver<Event>,
}

/// Starts the thread that handles SIGTERM, SIGINT and SIGHUP.
///
/// The first SIGTERM or SIGINT sets `stop` for every thread, and `within` later the process ends with exit status 0,
/// whatever its threads do: the thread that calls [`Signals::wait`] may be waiting for a disk.
/// A second SIGTERM or SIGINT ends the process at once, with exit status 128 plus the signal's number.
///
/// # Errors
/// The signals cannot be handled or the thread cannot be started.
pub fn handle_signals(stop: Arc<Stop>, within: Duration) -> anyhow::Result<Signals> {
    let incoming = signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGHUP]).context("cannot handle signals")?;
    let (sender, events) = channel();
    let take = move || take(incoming, &sender, &stop, within);
    std::thread::Builder::new().name("signals".into()).spawn(take).context("cannot start the thread for signals")?;
    Ok(Signals { events })
}

fn take(mut incoming: signal_hook::iterator::Signals, sender: &Sender<Event>, stop: &Stop, within: Duration) -> ! {
    for signal in incoming.forever() {
        let event = if signal == SIGHUP { Event::Reload } else { Event::Stop };
        // The other end is dropped only when the process ends.
        let _ = sender.send(event);
        if event == Event::Stop {
            break;
        }
    }
    yield_no_more();
    stop.set();
    let deadline = Instant::now() + within;
    while Instant::now() < deadline {
        if let Some(signal) = incoming.pending().find(|signal| *signal != SIGHUP) {
            exit_now(128 + signal);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    exit_now(0)
}

impl Signals {
    /// Waits for a signal, at most `timeout`. Several SIGHUPs before the call are one `Reload`. A stop has priority
    /// over them.
    pub fn wait(&self, timeout: Duration) -> Option<Event> {
        let first = self.events.recv_timeout(timeout).ok()?;
        let more: Vec<Event> = self.events.try_iter().collect();
        Some(if more.contains(&Event::Stop) { Event::Stop } else { first })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::tests::child::{again, is_child};
    use std::io::Read;
    use std::process::Child;
    use std::thread;

    /// Reads the output of the child up to the line `wanted`.
    fn expect(out: &mut impl Read, wanted: &str) {
        let (mut all, mut byte) = (Vec::new(), [0]);
        while !String::from_utf8_lossy(&all).lines().any(|line| line.ends_with(wanted)) || all.last() != Some(&b'\n') {
            assert!(out.read(&mut byte).unwrap() == 1, "ended before {wanted}: {}", String::from_utf8_lossy(&all));
            all.push(byte[0]);
        }
    }

    fn kill(child: &Child, signal: i32) {
        // SAFETY: the child has not been reaped, so its process id still belongs to it.
        assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
    }

    #[test]
    fn signals_become_events_and_the_second_stop_is_final() {
        if is_child() {
            let signals = handle_signals(Arc::default(), Duration::from_secs(60)).unwrap();
            println!("ready");
            assert_eq!(signals.wait(Duration::from_secs(60)), Some(Event::Reload));
            println!("reload");
            assert_eq!(signals.wait(Duration::from_secs(60)), Some(Event::Stop));
            println!("stop");
            thread::sleep(Duration::from_secs(60));
            exit_now(1);
        }
        let mut child = again(module_path!(), "signals_become_events_and_the_second_stop_is_final").spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        expect(&mut out, "ready");
        kill(&child, SIGHUP);
        expect(&mut out, "reload");
        kill(&child, SIGTERM);
        expect(&mut out, "stop");
        kill(&child, SIGINT);
        assert_eq!(child.wait().unwrap().code(), Some(130));
    }

    #[test]
    fn a_stop_reaches_every_thread_and_ends_the_process_although_no_thread_waits_for_it() {
        if is_child() {
            let stop = Arc::<Stop>::default();
            let signals = handle_signals(Arc::clone(&stop), Duration::from_secs(3)).unwrap();
            let looks = thread::spawn(move || println!("stopped {}", stop.wait(Duration::from_secs(60))));
            println!("ready");
            looks.join().unwrap();
            thread::sleep(Duration::from_secs(60));
            drop(signals);
        }
        let test = "a_stop_reaches_every_thread_and_ends_the_process_although_no_thread_waits_for_it";
        let mut child = again(module_path!(), test).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        expect(&mut out, "ready");
        kill(&child, SIGTERM);
        let told = Instant::now();
        expect(&mut out, "stopped true");
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert!(told.elapsed() > Duration::from_millis(2900) && told.elapsed() < Duration::from_secs(40));
    }
}
