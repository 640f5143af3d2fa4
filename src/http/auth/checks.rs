//! [`Checks`]: the order in which passwords are checked.
//!
//! A check takes 0.1 s and 19 MB on a small board, so only one runs at a time. Before a check, nothing distinguishes an
//! owner from an attacker: an address can be forged (`X-Forwarded-For`), and an order by user name would reveal through
//! timing which names exist. The order therefore depends on connections, which cannot be forged:
//!
//! - Of the waiting requests, the newest and the oldest are checked alternately.
//! - A client that learns that its password is wrong can ask again. That response is therefore held back while other
//!   requests wait; when none wait, one held response is sent at a time. An attacker's connections, up to [`MOST`],
//!   soon wait for responses rather than for checks.
//! - Each waiting request occupies a connection, and behind a proxy all connections have one address. At most [`MOST`]
//!   requests wait: a further one releases the oldest held response, or is refused when there is none.
//!
//! A request waits for the current check and one more, unless newer requests arrive; in any case for at most twice as
//! many checks as requests waited when it arrived.

use crate::sync::{lock, wait};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// The most waiting checks per client, not counting those with the same user name and password: a program that sends
/// several requests at once waits for one check.
const WAITING_PER_CLIENT: usize = 5;
/// The most requests that wait for a check or a held response. The server allows more connections per address than
/// that, so that requests without a check still get one.
pub const MOST: usize = 128;
/// The interval between held responses: long enough for the client of the last one to ask again.
const PACE: Duration = Duration::from_millis(100);

/// The hash by which a user name and a password are remembered.
pub type Mark = [u8; 32];

/// Why a password is not checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unchecked {
    /// Another request has settled the result.
    Settled,
    /// The client has as many waiting requests as allowed.
    TooMany,
    /// As many requests wait as allowed.
    Full,
    TooLong,
}

/// Runs one check at a time, in the order that the module describes.
#[derive(Default)]
pub struct Checks {
    line: Mutex<WaitingLine>,
    changed: Condvar,
}

/// Permission to check a password; ends on drop.
pub struct CheckTurn<'a>(&'a Checks);

impl Checks {
    /// Waits for a turn until `deadline`, or until the result is `settled`.
    ///
    /// # Errors
    /// Why no turn is given.
    pub fn wait(
        &self,
        client: Option<IpAddr>,
        mark: Mark,
        deadline: Instant,
        settled: impl Fn() -> bool,
    ) -> Result<CheckTurn<'_>, Unchecked> {
        let mut line = lock(&self.line);
        let held = line.held.len();
        let id = line.arrive(client, mark)?;
        if line.held.len() < held {
            self.changed.notify_all();
        }
        loop {
            if line.now == Some(id) {
                return Ok(CheckTurn(self));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let settled = settled();
            if settled || left.is_zero() {
                line.waiting.retain(|waiter| waiter.id != id);
                return Err(if settled { Unchecked::Settled } else { Unchecked::TooLong });
            }
            line = wait(&self.changed, line, left);
        }
    }

    /// Returns when the client may learn that its password was wrong, at the latest at `deadline`.
    pub fn hold_back(&self, deadline: Instant) {
        let mut line = lock(&self.line);
        let id = line.hold();
        loop {
            let now = Instant::now();
            let at = line.answer_at(id, now).unwrap_or(deadline).min(deadline);
            if at <= now {
                line.let_go(id, now);
                drop(line);
                return self.changed.notify_all();
            }
            line = wait(&self.changed, line, at - now);
        }
    }
}

impl Drop for CheckTurn<'_> {
    fn drop(&mut self) {
        lock(&self.0.line).hand_on();
        self.0.changed.notify_all();
    }
}

/// The current check, the waiting requests and the held responses.
#[derive(Default)]
struct WaitingLine {
    last_id: u64,
    /// The request that has the turn.
    now: Option<u64>,
    /// The waiting requests in the order of arrival; empty while no request has the turn.
    waiting: VecDeque<Waiter>,
    /// True when the newest request is next.
    newest_next: bool,
    /// Held responses to wrong passwords, in the order of their checks. A response that was removed from here may be
    /// sent.
    held: VecDeque<u64>,
    /// When the next held response may be sent.
    next_answer: Option<Instant>,
}

struct Waiter {
    id: u64,
    client: Option<IpAddr>,
    mark: Mark,
}

impl WaitingLine {
    fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Adds a request of `client`. When as many wait as allowed, the oldest held response is released.
    fn arrive(&mut self, client: Option<IpAddr>, mark: Mark) -> Result<u64, Unchecked> {
        let others = self.waiting.iter().filter(|waiter| waiter.client == client && waiter.mark != mark);
        if others.count() >= WAITING_PER_CLIENT {
            return Err(Unchecked::TooMany);
        }
        if self.waiting.len() + self.held.len() >= MOST {
            self.held.pop_front().ok_or(Unchecked::Full)?;
        }
        let id = self.new_id();
        self.waiting.push_back(Waiter { id, client, mark });
        if self.now.is_none() {
            self.hand_on();
        }
        Ok(id)
    }

    /// Ends the turn and gives it to the next request.
    fn hand_on(&mut self) {
        let next = if self.newest_next { self.waiting.pop_back() } else { self.waiting.pop_front() };
        self.newest_next = !self.newest_next;
        self.now = next.map(|waiter| waiter.id);
    }

    /// Holds back the response to a wrong password.
    fn hold(&mut self) -> u64 {
        let id = self.new_id();
        self.held.push_back(id);
        id
    }

    /// When the response of `id` may be sent; `None` while that depends on other requests.
    fn answer_at(&self, id: u64, now: Instant) -> Option<Instant> {
        if !self.held.contains(&id) {
            return Some(now);
        }
        let is_next = self.now.is_none() && self.held.front() == Some(&id);
        is_next.then(|| self.next_answer.map_or(now, |at| at.max(now)))
    }

    /// Sends the response of `id`.
    fn let_go(&mut self, id: u64, now: Instant) {
        self.held.retain(|held| *held != id);
        self.next_answer = Some(now + PACE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    /// An event of [`Attack`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    enum CheckEvent {
        Attacker,
        Owner,
        EndOfCheck,
        Look,
    }

    /// A simulation of attackers who send a request, wait for the response and send the next from a new address. Its
    /// clock counts milliseconds.
    struct Attack {
        line: WaitingLine,
        start: Instant,
        check: u64,
        events: std::collections::BTreeSet<(u64, u64, CheckEvent)>,
        number: u64,
        owner: Option<u64>,
        checks: usize,
    }

    impl Attack {
        fn at(&mut self, time: u64, event: CheckEvent) {
            self.number += 1;
            self.events.insert((time, self.number, event));
        }

        /// `None`: refused.
        fn ask(&mut self, time: u64) -> Option<u64> {
            let idle = self.line.now.is_none();
            let address = Ipv4Addr::from_bits(self.number as u32).into();
            let id = self.line.arrive(Some(address), [0; 32]).ok()?;
            if idle {
                self.at(time + self.check, CheckEvent::EndOfCheck);
            }
            Some(id)
        }

        /// The number of checks before the owner's, including the current one, and the number of requests that waited
        /// when the owner's arrived at `owner`.
        fn of(attackers: u64, arrivals: impl Fn(u64) -> u64, check: u64, owner: u64) -> (usize, usize) {
            let (line, events) = (WaitingLine::default(), Default::default());
            let mut attack = Attack { line, start: Instant::now(), check, events, number: 0, owner: None, checks: 0 };
            let mut waited = 0;
            (0..attackers).for_each(|i| attack.at(arrivals(i), CheckEvent::Attacker));
            attack.at(owner, CheckEvent::Owner);
            while let Some((time, number, event)) = attack.events.pop_first() {
                match event {
                    CheckEvent::Attacker => drop(attack.ask(time)),
                    CheckEvent::Owner => {
                        waited = attack.line.waiting.len();
                        attack.checks = usize::from(attack.line.now.is_some());
                        attack.owner = Some(attack.ask(time).unwrap());
                    }
                    CheckEvent::EndOfCheck => {
                        attack.line.hold();
                        attack.line.hand_on();
                        if attack.line.now.is_some() {
                            attack.at(time + check, CheckEvent::EndOfCheck);
                            attack.checks += 1;
                        }
                    }
                    CheckEvent::Look => {}
                }
                if attack.owner.is_some() && attack.line.now == attack.owner {
                    // The owner's check was counted too, unless it began at once.
                    return (attack.checks.saturating_sub(1), waited);
                }
                let now = attack.start + Duration::from_millis(time);
                let Some(front) = attack.line.held.front().copied() else { continue };
                match attack.line.answer_at(front, now) {
                    Some(at) if at <= now => {
                        attack.line.let_go(front, now);
                        // The round trip takes up to 20 ms.
                        attack.at(time + 1 + number * 7 % 20, CheckEvent::Attacker);
                        attack.at(time + PACE.as_millis() as u64, CheckEvent::Look);
                    }
                    Some(at) => attack.at((at - attack.start).as_millis() as u64, CheckEvent::Look),
                    None => {}
                }
            }
            panic!("the owner's password is never checked");
        }
    }

    #[test]
    fn at_most_two_checks_precede_the_owners_however_many_attackers_keep_asking() {
        for check in [10, 30, 100] {
            for owner in (50..40_000).step_by(211) {
                let (before, _) = Attack::of(100, |i| i / 4, check, owner);
                assert!(before <= 2, "{before} checks of {check} ms before that of the owner at {owner} ms");
            }
        }
    }

    #[test]
    fn newer_requests_delay_an_owner_by_at_most_twice_the_number_of_waiting_ones() {
        // One request arrives every 50 ms and a check takes 100 ms: after 12 s as many wait as allowed.
        for owner in (75..12_000).step_by(450) {
            let (before, waited) = Attack::of(1000, |i| 50 * i, 100, owner);
            assert!(before <= 2 * waited + 2, "{before} checks before that of the owner at {owner} ms behind {waited}");
        }
    }

    #[test]
    fn a_client_may_have_five_waiting_requests_besides_those_with_the_same_password() {
        let mut line = WaitingLine::default();
        let client = |i: u8| Some(IpAddr::from([192, 0, 2, i]));
        line.arrive(client(9), [9; 32]).unwrap();
        let first: Vec<u64> = (0..5).filter_map(|i| line.arrive(client(1), [i; 32]).ok()).collect();
        assert_eq!((first.len(), line.arrive(client(1), [5; 32])), (5, Err(Unchecked::TooMany)));
        assert!(line.arrive(client(2), [5; 32]).is_ok(), "another client");
        // The newest, and then the oldest.
        line.hand_on();
        line.hand_on();
        assert!(line.arrive(client(1), [6; 32]).is_ok(), "a place is free again");
        let mut line = WaitingLine::default();
        assert!((0..50).all(|_| line.arrive(client(1), [1; 32]).is_ok()), "they share the result of the first check");
    }

    #[test]
    fn at_the_limit_a_further_request_releases_the_oldest_response_or_is_refused() {
        let (mut line, now) = (WaitingLine::default(), Instant::now());
        let ask =
            |line: &mut WaitingLine, i: u16| line.arrive(Some(IpAddr::from([10, 0, (i >> 8) as u8, i as u8])), [0; 32]);
        ask(&mut line, 0).unwrap();
        let held: Vec<u64> = (0..MOST).map(|_| line.hold()).collect();
        assert_eq!(line.answer_at(held[0], now), None, "while a password is checked");
        ask(&mut line, 1).unwrap();
        assert_eq!((line.answer_at(held[0], now), line.answer_at(held[1], now)), (Some(now), None));
        assert_eq!(line.waiting.len() + line.held.len(), MOST);
        let more = (2..1000).filter(|&i| ask(&mut line, i).is_ok()).count();
        assert_eq!((more, line.waiting.len(), line.held.len()), (MOST - 1, MOST, 0));
        assert_eq!(ask(&mut line, 1000), Err(Unchecked::Full));
        line.hand_on();
        assert!(ask(&mut line, 1000).is_ok(), "a place is free again");
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn a_request_that_times_out_does_not_take_the_turn_and_a_settled_one_needs_none() {
        let checks = Checks::default();
        let ask = |longest, settled| checks.wait(None, [0; 32], Instant::now() + longest, || settled);
        let first = ask(Duration::ZERO, false);
        assert_eq!(ask(Duration::from_millis(10), false).err(), Some(Unchecked::TooLong));
        assert_eq!(ask(LONG, true).err(), Some(Unchecked::Settled));
        assert!(first.is_ok() && lock(&checks.line).waiting.is_empty());
        drop(first);
        drop(ask(Duration::ZERO, false).unwrap());
        assert_eq!(lock(&checks.line).now, None);
    }

    #[test]
    fn a_wrong_password_is_reported_at_once_when_none_wait_else_after_them_or_at_the_deadline() {
        let checks = Arc::new(Checks::default());
        let until = Instant::now() + LONG;
        checks.hold_back(until);
        assert!(Instant::now() + LONG / 2 < until, "at once");
        let turn = checks.wait(None, [0; 32], until, || false).unwrap();
        checks.hold_back(Instant::now() + Duration::from_millis(10));
        assert!(lock(&checks.line).held.is_empty(), "at the deadline");
        let held: Vec<_> = (0..3)
            .map(|_| {
                let checks = Arc::clone(&checks);
                std::thread::spawn(move || checks.hold_back(until))
            })
            .collect();
        while lock(&checks.line).held.len() < 3 {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(200));
        assert!(held.iter().all(|thread| !thread.is_finished()));
        let begun = Instant::now();
        drop(turn);
        held.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(begun.elapsed() >= 2 * PACE, "one after the other");
        assert!(Instant::now() < until);
    }
}
