//! [`Desk`]: passes changes of the gallery and questions about pictures to recognition, and lets the caller wait for
//! the result.

use crate::sync::{lock, wait_while};
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// The most pictures that wait for an answer.
const MAX_QUESTIONS: usize = 8;
/// How long a person counts as posing after the last notice of the page; the page sends one twice a second.
const POSES_FOR: Duration = Duration::from_secs(3);

/// The judgement of a picture before it is stored: `Ok` when recognition would use it.
pub type Worth = Result<(), Unfit>;

/// Why a picture cannot be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Unfit {
    /// The reason, as text.
    pub why: String,
    /// The faces of a group picture: left, top, width and height as parts of the upright picture's width and height.
    pub faces: Vec<[f32; 4]>,
}

/// A picture that a user would like to add.
#[derive(Debug)]
pub struct Question {
    number: u64,
    /// The bytes of the file.
    bytes: Vec<u8>,
}

/// The number of a change; by default, of none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change(u64);

/// What recognition has to know about changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Files that are complete, because namecam wrote them.
    pub written: Vec<PathBuf>,
    /// True when a person was forgotten, so that no chip may stay.
    pub forgets: bool,
}

#[derive(Debug, Default)]
struct Left {
    /// The number of the newest change, and that of the newest one that is at work.
    made: u64,
    at_work: u64,
    /// The news since recognition asked last.
    news: News,
    asked: u64,
    questions: VecDeque<Question>,
    /// The answer to each question that a client waits for; `None` until recognition has answered.
    answers: BTreeMap<u64, Option<Worth>>,
    posing: Option<(u64, Instant)>,
}

/// Shared by HTTP and recognition.
#[derive(Debug, Default)]
pub struct Desk {
    edits: Mutex<()>,
    left: Mutex<Left>,
    changed: Condvar,
}

impl Question {
    /// The bytes. They can be taken once.
    pub fn take_bytes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

impl Desk {
    /// The lock for changes of the files: only the thread that holds it changes them.
    pub fn edit(&self) -> MutexGuard<'_, ()> {
        lock(&self.edits)
    }

    /// Records that files of the gallery have changed. The files in `written` are complete; recognition waits until
    /// others stop growing.
    pub fn changed(&self, written: impl IntoIterator<Item = PathBuf>, forgets: bool) -> Change {
        let mut left = lock(&self.left);
        left.made += 1;
        left.news.written.extend(written);
        left.news.forgets |= forgets;
        Change(left.made)
    }

    /// Waits until a change is at work. False when that takes longer than `patience`.
    pub fn wait(&self, change: Change, patience: Duration) -> bool {
        wait_while(&self.changed, lock(&self.left), patience, |left| left.at_work < change.0).at_work >= change.0
    }

    /// For recognition: the newest change, if it is newer than `before`, and the news since the last call.
    pub fn take_change(&self, before: Change) -> Option<(Change, News)> {
        let mut left = lock(&self.left);
        (left.made > before.0).then(|| (Change(left.made), std::mem::take(&mut left.news)))
    }

    /// For recognition: records that `change`, with all earlier ones, is at work.
    pub fn at_work(&self, change: Change) {
        lock(&self.left).at_work = change.0;
        self.changed.notify_all();
    }

    /// The judgement of a picture; `None` when recognition does not answer within `patience`, or too many callers wait.
    pub fn ask(&self, bytes: Vec<u8>, patience: Duration) -> Option<Worth> {
        let mut left = lock(&self.left);
        if left.answers.len() >= MAX_QUESTIONS {
            return None;
        }
        left.asked += 1;
        let number = left.asked;
        left.questions.push_back(Question { number, bytes });
        left.answers.insert(number, None);
        let is_open = |left: &mut Left| left.answers.get(&number).is_some_and(Option::is_none);
        let mut left = wait_while(&self.changed, left, patience, is_open);
        left.questions.retain(|question| question.number != number);
        left.answers.remove(&number)?
    }

    /// Records that the person of a track is enrolling before the camera.
    pub fn poses(&self, track: u64, now: Instant) {
        lock(&self.left).posing = Some((track, now));
    }

    /// For recognition: the track of the person who is enrolling before the camera.
    pub fn posing(&self, now: Instant) -> Option<u64> {
        let posing = lock(&self.left).posing;
        posing.filter(|(_, said)| now.saturating_duration_since(*said) < POSES_FOR).map(|(track, _)| track)
    }

    /// For recognition: the next picture to judge.
    pub fn next_question(&self) -> Option<Question> {
        lock(&self.left).questions.pop_front()
    }

    /// For recognition: answers a question.
    pub fn answer(&self, question: &Question, worth: Worth) {
        let mut left = lock(&self.left);
        // For another question no client waits any longer.
        if let Some(answer) = left.answers.get_mut(&question.number) {
            *answer = Some(worth);
        }
        drop(left);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::{while_stressed, woken};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn a_caller_waits_until_its_change_is_at_work() {
        let desk = Arc::new(Desk::default());
        assert_eq!(desk.take_change(Change::default()), None);
        let first = desk.changed([PathBuf::from("a")], true);
        let second = desk.changed([PathBuf::from("b")], false);
        assert!(!desk.wait(first, Duration::ZERO));
        let waiter = {
            let desk = Arc::clone(&desk);
            std::thread::spawn(move || woken(|long| desk.wait(second, long)))
        };
        // The caller waits by now.
        std::thread::sleep(Duration::from_millis(50));
        let (newest, news) = desk.take_change(Change::default()).unwrap();
        assert_eq!((newest, news), (second, News { written: vec!["a".into(), "b".into()], forgets: true }));
        assert_eq!(desk.take_change(newest), None, "it has been taken");
        desk.at_work(newest);
        assert!(waiter.join().unwrap() && desk.wait(first, Duration::ZERO));
    }

    #[test]
    fn a_picture_is_judged_by_recognition_or_not_at_all() {
        let desk = Arc::new(Desk::default());
        assert_eq!(desk.ask(vec![1], Duration::from_millis(5)), None, "nobody answers");
        assert!(desk.next_question().is_none(), "who no longer waits asks no longer");
        let asker = {
            let desk = Arc::clone(&desk);
            std::thread::spawn(move || woken(|long| desk.ask(vec![2], long)))
        };
        let question = loop {
            if let Some(question) = desk.next_question() {
                break question;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        assert_eq!(question.bytes, [2]);
        let unfit = Unfit { why: "no face".to_owned(), faces: Vec::new() };
        desk.answer(&question, Err(unfit.clone()));
        assert_eq!(asker.join().unwrap(), Some(Err(unfit)));
        // An answer that is late is for nobody.
        desk.answer(&question, Ok(()));
        assert!(lock(&desk.left).answers.is_empty());
    }

    #[test]
    fn of_many_who_change_the_gallery_and_ask_at_once_each_is_heard() {
        let (desk, goes_on, ended) = (Desk::default(), while_stressed(), AtomicBool::new(false));
        let unfit = |bytes: &[u8]| Unfit { why: format!("{bytes:?}"), faces: Vec::new() };
        std::thread::scope(|scope| {
            let recognition = scope.spawn(|| {
                let (mut last, mut written) = (Change::default(), Vec::new());
                loop {
                    let ends = ended.load(Ordering::Relaxed);
                    if let Some((change, news)) = desk.take_change(last) {
                        written.extend(news.written);
                        assert!(change.0 > last.0);
                        last = change;
                        desk.at_work(change);
                    }
                    if let Some(mut question) = desk.next_question() {
                        let bytes = question.take_bytes();
                        desk.answer(&question, Err(unfit(&bytes)));
                    } else if ends {
                        return written;
                    }
                    std::thread::yield_now();
                }
            });
            let client = |client: u8| {
                let desk = &desk;
                move || {
                    let mut rounds = 0_u32;
                    while rounds < 10 || goes_on() {
                        rounds += 1;
                        let bytes = [&[client][..], &rounds.to_le_bytes()].concat();
                        let change = desk.changed([PathBuf::from(format!("{client}/{rounds}"))], false);
                        // One who does not wait for the answer, and one who does.
                        desk.ask(vec![0], Duration::ZERO);
                        assert_eq!(woken(|long| desk.ask(bytes.clone(), long)), Some(Err(unfit(&bytes))));
                        assert!(woken(|long| desk.wait(change, long)));
                    }
                    (1..=rounds).map(move |round| PathBuf::from(format!("{client}/{round}")))
                }
            };
            let clients = [1, 2, 3].map(|number| scope.spawn(client(number)));
            let clients = clients.map(|client| client.join());
            // Also when a client has failed, so that recognition ends and the test does, too.
            ended.store(true, Ordering::Relaxed);
            let mut made: Vec<PathBuf> = clients.into_iter().flat_map(|made| made.unwrap()).collect();
            let mut written = recognition.join().unwrap();
            made.sort();
            written.sort();
            assert_eq!(made, written, "each file is told once");
        });
    }
}
