//! [`Tuning`]: the channel by which an admin asks for the camera's formats and controls, and tries controls and a mode.
//! The camera thread answers between two frames.

use crate::sync::{lock, wait_while};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// A control of a camera.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Control {
    /// The V4L2 control id.
    #[serde(skip)]
    pub id: u32,
    /// The name, as in `camera.controls`.
    pub name: String,
    /// The type: integer, boolean, menu, button, ...
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub min: i64,
    pub max: i64,
    pub step: u64,
    pub default: i64,
    /// The current value; `None` when it cannot be read.
    pub value: Option<i64>,
    /// The items of a menu: value and meaning.
    pub menu: Vec<(i64, String)>,
    /// True when the control cannot be set now, because of another control, or can never be set.
    pub locked: bool,
    /// True when the control can never be set.
    pub read_only: bool,
}

impl Control {
    /// The allowed values as text.
    pub fn range(&self) -> String {
        if self.menu.is_empty() {
            let step = if self.step > 1 { format!(" in steps of {}", self.step) } else { String::new() };
            return format!("{} to {}{step}", self.min, self.max);
        }
        let items: Vec<String> = self.menu.iter().map(|(value, meaning)| format!("{value} {meaning}")).collect();
        items.join(", ")
    }
}

/// The name that v4l2-ctl gives to a control: "White Balance, Auto" becomes white_balance_auto.
pub fn ctl_name(title: &str) -> String {
    let words = title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_").to_ascii_lowercase()
}

/// A control that was not set, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unset {
    pub name: String,
    pub why: String,
}

/// A control that the driver set to another value than the requested one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    pub name: String,
    pub asked: i64,
    pub value: i64,
}

/// A mode to try, with the values of the keys of `[camera]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mode {
    pub format: String,
    pub width: u32,
    pub height: u32,
    pub fps: u32,
}

/// The mode, the formats and the controls of a running camera.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Equipment {
    /// The camera's name, mode, driver and port, as text.
    pub camera: String,
    pub format: String,
    pub width: u32,
    pub height: u32,
    /// The frames per second that the driver confirmed, if any.
    pub fps: Option<f64>,
    /// The formats, as in `namecam probe --json`.
    pub formats: Vec<Value>,
    pub controls: Vec<Control>,
}

/// The measurement of a mode over a few seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// The frames per second that arrived.
    pub fps: f64,
    /// The milliseconds from the beginning of the trial to the first picture.
    pub first_ms: u64,
    /// The processor time of the whole program per frame, in milliseconds.
    pub cpu_ms: f64,
}

/// The trial under way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrialState {
    /// The controls that are tried. `before` has the values that will be put back.
    pub controls: BTreeMap<String, i64>,
    pub before: BTreeMap<String, i64>,
    pub mode: Option<Mode>,
    /// The seconds until the former controls and mode are put back.
    pub ends_in_s: u64,
    /// The config keys and values that make the trial permanent.
    pub settings: BTreeMap<&'static str, String>,
}

/// The answer of the camera thread.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Answer {
    #[serde(flatten)]
    pub equipment: Equipment,
    pub trial: Option<TrialState>,
    pub refused: Vec<Unset>,
    pub changed: Vec<Changed>,
    pub measured: Option<Measured>,
}

/// A question to the camera thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    List,
    /// Set these controls for the time of the trial.
    Controls(Vec<(String, i64)>),
    /// Open the camera in this mode, and measure the mode.
    Mode(Mode),
    /// End the trial: put back the former controls and mode.
    PutBack,
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Another question is under way.
    Busy,
    /// The camera thread has not answered in time.
    Late,
    /// The camera delivers no pictures.
    Away(String),
    /// The camera cannot do this; the former controls and mode are put back.
    Unfit(String),
}

/// The number of a question that the camera thread has taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ticket(u64);

#[derive(Debug, Default)]
struct Slot {
    /// True while a thread waits for the answer.
    is_taken: bool,
    number: u64,
    question: Option<Ask>,
    answer: Option<Result<Answer, Trouble>>,
}

/// A slot for one question at a time, shared by HTTP and the camera thread.
#[derive(Debug, Default)]
pub struct Tuning {
    slot: Mutex<Slot>,
    changed: Condvar,
}

impl Tuning {
    /// Asks the camera thread and waits for its answer.
    ///
    /// # Errors
    /// Another question is under way or no answer comes for `patience`, or the camera is away or refuses.
    pub fn ask(&self, ask: Ask, patience: Duration) -> Result<Answer, Trouble> {
        let deadline = Instant::now() + patience;
        let mut slot = wait_while(&self.changed, lock(&self.slot), patience, |slot| slot.is_taken);
        if slot.is_taken {
            return Err(Trouble::Busy);
        }
        let number = slot.number + 1;
        *slot = Slot { is_taken: true, number, question: Some(ask), answer: None };
        let left = deadline.saturating_duration_since(Instant::now());
        let mut slot = wait_while(&self.changed, slot, left, |slot| slot.answer.is_none());
        let answer = slot.answer.take().unwrap_or(Err(Trouble::Late));
        *slot = Slot { number, ..Slot::default() };
        drop(slot);
        self.changed.notify_all();
        answer
    }

    /// The next question, for the camera thread.
    pub fn next(&self) -> Option<(Ticket, Ask)> {
        let mut slot = lock(&self.slot);
        let number = slot.number;
        slot.question.take().map(|ask| (Ticket(number), ask))
    }

    /// Answers a question, for the camera thread. An answer that no thread waits for is dropped.
    pub fn answer(&self, ticket: Ticket, answer: Result<Answer, Trouble>) {
        let mut slot = lock(&self.slot);
        if slot.is_taken && slot.number == ticket.0 {
            slot.answer = Some(answer);
            drop(slot);
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::{while_stressed, woken};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    fn next(tuning: &Tuning) -> (Ticket, Ask) {
        loop {
            if let Some(question) = tuning.next() {
                return question;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn one_question_at_a_time_is_answered_and_a_late_answer_is_dropped() {
        let tuning = Arc::new(Tuning::default());
        assert_eq!(tuning.ask(Ask::List, Duration::from_millis(5)), Err(Trouble::Late));
        assert!(tuning.next().is_none(), "who no longer waits asks no longer");
        let asker = {
            let tuning = Arc::clone(&tuning);
            std::thread::spawn(move || woken(|long| tuning.ask(Ask::PutBack, long)))
        };
        let (ticket, ask) = next(&tuning);
        assert_eq!(ask, Ask::PutBack);
        assert_eq!(tuning.ask(Ask::List, Duration::from_millis(5)), Err(Trouble::Busy));
        tuning.answer(Ticket(ticket.0 - 1), Err(Trouble::Late));
        tuning.answer(ticket, Ok(Answer::default()));
        assert_eq!(asker.join().unwrap(), Ok(Answer::default()));
        tuning.answer(ticket, Ok(Answer::default()));
        assert_eq!(tuning.ask(Ask::List, Duration::from_millis(5)), Err(Trouble::Late), "not the old answer");
    }

    #[test]
    fn of_many_who_ask_at_once_each_gets_the_answer_to_its_own_question() {
        let (tuning, goes_on, ended) = (Tuning::default(), while_stressed(), AtomicBool::new(false));
        let of = |number: i64| Answer {
            refused: vec![Unset { name: number.to_string(), why: String::new() }],
            ..Answer::default()
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut old = Ticket(0);
                while !ended.load(Ordering::Relaxed) {
                    let Some((ticket, ask)) = tuning.next() else {
                        std::thread::yield_now();
                        continue;
                    };
                    let Ask::Controls(controls) = ask else { panic!("{ask:?}") };
                    // An answer to the question before, which is for nobody.
                    tuning.answer(old, Ok(of(-1)));
                    tuning.answer(ticket, Ok(of(controls[0].1)));
                    old = ticket;
                }
            });
            let ask = |asker: i64| {
                let tuning = &tuning;
                move || {
                    let mut rounds = 0;
                    while rounds < 10 || goes_on() {
                        rounds += 1;
                        let number = asker * 1_000_000 + rounds;
                        let question = || Ask::Controls(vec![(String::new(), number)]);
                        assert_eq!(woken(|long| tuning.ask(question(), long)), Ok(of(number)));
                        // One that gives up at once may leave its question, or get the answer, or find another one's.
                        match tuning.ask(question(), Duration::from_micros(20)) {
                            Ok(answer) => assert_eq!(answer, of(number)),
                            Err(trouble) => assert!(matches!(trouble, Trouble::Busy | Trouble::Late), "{trouble:?}"),
                        }
                    }
                }
            };
            let askers = [1, 2, 3].map(|asker| scope.spawn(ask(asker)));
            let askers = askers.map(|asker| asker.join());
            // Also when an asker has failed, so that the thread that answers ends and the test does, too.
            ended.store(true, Ordering::Relaxed);
            askers.into_iter().for_each(|asked| asked.unwrap());
        });
    }
}
