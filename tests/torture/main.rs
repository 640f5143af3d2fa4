//! Faults of every kind, with a viewer connected all the time. `cargo test --test torture` tries each a few times; `TORTURE=full`,
//! which `make torture` sets, tries each as often as docs/RELIABILITY.md says, and writes its table. `cargo test --test torture
//! WORD` tries those whose names contain the word. Each is a function in [`FAULTS`].

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[allow(dead_code)] // as appliance uses it
#[path = "../appliance/support.rs"]
mod support;

#[allow(dead_code)] // as appliance uses it
#[path = "../appliance/broker.rs"]
mod broker;

mod camera;
mod changes;
mod clients;
mod files;
mod galleries;
mod kills;
mod limits;
mod peers;
mod shim;
mod watch;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use watch::{Seen, Usage};

/// Something that goes wrong.
pub struct Fault {
    name: &'static str,
    /// What goes wrong.
    wrong: &'static str,
    /// What namecam does.
    does: &'static str,
    /// The longest gap that a viewer may have.
    within: Option<Duration>,
    /// Whether it mostly waits, so that it may be tried beside another one.
    waits: bool,
    /// Tries it, as often as docs/RELIABILITY.md says when true. It panics when something is lost that must not be.
    run: fn(bool) -> Figures,
}

/// What came of a fault.
#[derive(Debug, Default)]
pub struct Figures {
    tried: u64,
    survived: u64,
    /// What was acknowledged and is gone.
    lost: u64,
    /// The longest gap of a viewer that is connected all the time.
    gap: Option<Duration>,
    /// How late the machine woke a thread meanwhile, at most.
    late: Duration,
    before: Usage,
    after: Usage,
    /// What else there is to say.
    remark: String,
}

impl Figures {
    /// That a viewer has seen this.
    pub fn seen(mut self, seen: Seen) -> Figures {
        self.gap = Some(self.gap.unwrap_or_default().max(seen.gap));
        self.late = self.late.max(seen.late);
        self
    }

    pub fn held(self, before: Usage, after: Usage) -> Figures {
        Figures { before, after, ..self }
    }

    /// What is worse than it should be. At the short scale others use the processors, memory has not settled, and a machine that is late
    /// by itself is no fault.
    fn misses(&self, fault: &Fault, full: bool) -> Vec<&'static str> {
        let allowed = |within: Duration| if full { within } else { 5 * within + 2 * self.late };
        let late = fault.within.is_some_and(|within| self.gap.is_none_or(|gap| gap > allowed(within)));
        let holds = full && !self.after.is_within(self.before);
        let all = [
            (late, "gap"),
            (holds, "more is held"),
            (self.survived < self.tried, "not survived"),
            (self.lost > 0, "lost"),
        ];
        all.into_iter().filter(|(is, _)| *is).map(|(_, what)| what).collect()
    }
}

const FAULTS: &[Fault] = &[
    kills::KILL_9,
    kills::AT_EACH_WRITE,
    changes::LOGINS_KILLED,
    files::CUT,
    files::DISK,
    files::IDLE,
    camera::LOST,
    camera::DAMAGED,
    camera::CHILD,
    limits::DEVICE_HANGS,
    galleries::RELOADS,
    galleries::GALLERIES,
    limits::DESCRIPTORS,
    limits::THREADS,
    limits::MEMORY,
    limits::CLOCK,
    limits::DLIB_THROWS,
    limits::DLIB_HANGS,
    changes::WHILE_DLIB_THROWS,
    changes::WHILE_DLIB_HANGS,
    clients::VIEWERS,
    clients::HALF_OPEN,
    clients::SHAPES,
    peers::PEERS,
];

/// A fault, what came of it or why it failed, and how long that took.
type Tried = (&'static Fault, Result<Figures, String>, Duration);

/// The lines around the table.
const BEGIN: &str = "<!-- figures, written by `make torture` -->\n";
const END: &str = "<!-- end of figures -->\n";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, rest @ ..] = &arguments[..]
        && word == "feed"
    {
        camera::feed(rest);
        return ExitCode::SUCCESS;
    }
    if arguments.iter().any(|word| word == "--list") {
        FAULTS.iter().for_each(|fault| println!("{}: test", fault.name));
        return ExitCode::SUCCESS;
    }
    let words: Vec<&String> = arguments.iter().filter(|word| !word.starts_with('-')).collect();
    let is_meant = |fault: &&Fault| words.is_empty() || words.iter().any(|word| fault.name.contains(word.as_str()));
    let full = std::env::var("TORTURE").is_ok_and(|value| value == "full");
    let begun = Instant::now();
    let done: Mutex<Vec<Tried>> = Mutex::default();
    // Two at a time: one thread tries those that work, and then helps the other one with those that wait.
    let of =
        |waits: bool| FAULTS.iter().filter(is_meant).filter(move |fault| fault.waits == waits).collect::<VecDeque<_>>();
    let (waiting, working) = (Mutex::new(of(true)), of(false));
    std::thread::scope(|scope| {
        for mut own in [VecDeque::new(), working] {
            let (done, waiting) = (&done, &waiting);
            scope.spawn(move || {
                while let Some(fault) = own.pop_front().or_else(|| waiting.lock().unwrap().pop_front()) {
                    let begun = Instant::now();
                    let result = std::panic::catch_unwind(AssertUnwindSafe(|| (fault.run)(full)));
                    let result = result.map_err(|why| {
                        let text = why.downcast_ref::<String>().map(String::as_str);
                        text.or(why.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
                    });
                    let misses = result.as_ref().map(|figures| figures.misses(fault, full)).unwrap_or_default();
                    println!("torture {}: {:.1} s, {result:?} {misses:?}", fault.name, begun.elapsed().as_secs_f64());
                    let tried = (fault, result, begun.elapsed());
                    let mut done = done.lock().unwrap();
                    if full {
                        write_line(&tried);
                    }
                    done.push(tried);
                }
            });
        }
    });
    let done = done.into_inner().unwrap();
    let is_good = |fault: &Fault, result: &Result<Figures, String>| {
        result.as_ref().is_ok_and(|figures| figures.misses(fault, full).is_empty())
    };
    let failed = done.iter().filter(|(fault, result, _)| !is_good(fault, result)).count();
    println!("torture: {} tried, {failed} failed, in {:.0} s", done.len(), begun.elapsed().as_secs_f64());
    if !full && words.is_empty() {
        let (_, table, _) = page();
        if FAULTS.iter().any(|fault| !table.contains(&begin_of_row(fault))) {
            println!("torture: the table of docs/RELIABILITY.md has other faults: TORTURE=full writes it anew");
            return ExitCode::FAILURE;
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// docs/RELIABILITY.md: what is before its table, the table, and what is after it.
fn page() -> (String, String, String) {
    let page = std::fs::read_to_string(support::repo().join("docs/RELIABILITY.md")).expect("docs/RELIABILITY.md");
    let (before, rest) = page.split_once(BEGIN).expect("the table's begin");
    let (table, after) = rest.split_once(END).expect("the table's end");
    (before.to_owned(), table.to_owned(), after.to_owned())
}

/// Writes the line of what was tried, as soon as that is done: a run that is interrupted leaves the lines that it has.
fn write_line(tried: &Tried) {
    let (before, old, after) = page();
    let page = format!("{before}{BEGIN}{}{END}{after}", table(&old, tried));
    std::fs::write(support::repo().join("docs/RELIABILITY.md"), page).unwrap();
}

fn begin_of_row(fault: &Fault) -> String {
    format!("| {} | {} | {} |", fault.name, fault.wrong, fault.does)
}

/// The table: a new line for what was tried, and the `old` ones for the others.
fn table(old: &str, (tried, result, took): &Tried) -> String {
    let printed = |program: &str, words: &[&str]| {
        let output = Command::new(program).args(words).output().expect("a program of every system");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').nth(1).unwrap_or_default().to_owned();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let where_when =
        format!("{}, {} {cores} cores, load {load}", printed("date", &["-u", "+%F"]), std::env::consts::ARCH);
    let mut table = String::from(
        "| name | what goes wrong | what namecam does | tried | survived | lost | longest gap | MB, descriptors, threads: before | after | took | when, where |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for fault in FAULTS {
        if tried.name != fault.name {
            let row = old.lines().find(|line| line.starts_with(&format!("| {} |", fault.name)));
            row.into_iter().for_each(|row| table += &format!("{row}\n"));
            continue;
        }
        let _ = write!(table, "{} ", begin_of_row(fault));
        let _ = match result {
            Ok(figures) => {
                let late = match figures.misses(fault, true).contains(&"gap") {
                    true => format!("; a sleep took {:.2} s too long", figures.late.as_secs_f64()),
                    false => String::new(),
                };
                let gap = figures.gap.map(|gap| format!("{:.2} s{late}", gap.as_secs_f64()));
                let gap = gap.unwrap_or("none watches".to_owned());
                let held = |usage: Usage| if usage == Usage::default() { "-".to_owned() } else { usage.to_string() };
                let (before, after) = (held(figures.before), held(figures.after));
                let remark = if figures.remark.is_empty() { String::new() } else { format!(" ({})", figures.remark) };
                let Figures { tried, survived, lost, .. } = figures;
                let misses = figures.misses(fault, true);
                let misses = if misses.is_empty() { String::new() } else { format!(" **{}**", misses.join(", ")) };
                write!(table, "{tried} | {survived} | {lost}{remark}{misses} | {gap} | {before} | {after}")
            }
            Err(why) => write!(table, "**FAILED**: {} | | | | |", why.lines().next().unwrap_or_default()),
        };
        let _ = writeln!(table, " | {:.0} s | {where_when} |", took.as_secs_f64());
    }
    table
}
