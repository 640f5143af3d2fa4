//! [`Penalties`]: the addresses that sent wrong passwords, and how long each must wait.

use crate::http::auth::checks::Mark;
use crate::http::client::network;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How many different wrong passwords an address may send before it must wait.
const TRIES: usize = 5;
/// How long the address must wait.
const PENALTY: Duration = Duration::from_secs(10);
/// The most addresses that are remembered.
const REMEMBERED: usize = 1024;
/// The most addresses that are logged during the run of the program. The faults count every wrong password.
const TOLD: usize = 64;

/// Addresses that sent wrong passwords.
#[derive(Default)]
pub struct Penalties {
    records: HashMap<IpAddr, PenaltyRecord>,
    told: HashSet<IpAddr>,
}

struct PenaltyRecord {
    /// The different wrong passwords since the last penalty. A repeated one does not count: a program with an old
    /// password must not lock out the people behind its address.
    wrong: Vec<Mark>,
    /// When the newest of them was sent.
    last: Instant,
    /// The number of all wrong passwords, including repeated ones.
    count: u64,
}

impl Penalties {
    /// How long `who` must still wait at `now`; `None` when it may try.
    pub fn left(&mut self, who: IpAddr, now: Instant) -> Option<Duration> {
        let record = self.records.get_mut(&network(who)).filter(|record| record.wrong.len() >= TRIES)?;
        let left = PENALTY.saturating_sub(now.duration_since(record.last));
        if left.is_zero() {
            record.wrong.clear();
            return None;
        }
        Some(left)
    }

    /// True when `who` has sent this wrong password before, since its last penalty.
    pub fn is_known(&self, who: IpAddr, mark: &Mark) -> bool {
        self.records.get(&network(who)).is_some_and(|record| record.wrong.contains(mark))
    }

    /// Records a wrong password. Returns how many `who` has sent when the log should say so: the first, the tenth, the
    /// hundredth and so on.
    pub fn note(&mut self, who: IpAddr, mark: Mark, now: Instant) -> Option<u64> {
        let who = network(who);
        if self.records.len() >= REMEMBERED && !self.records.contains_key(&who) {
            // The oldest record is dropped, so that other addresses cannot shorten a recent penalty.
            let oldest = self.records.iter().min_by_key(|(_, record)| record.last).map(|(who, _)| *who);
            oldest.map(|oldest| self.records.remove(&oldest));
        }
        let record =
            self.records.entry(who).or_insert_with(|| PenaltyRecord { wrong: Vec::new(), last: now, count: 0 });
        record.count += 1;
        if !record.wrong.contains(&mark) && record.wrong.len() < TRIES {
            record.wrong.push(mark);
            record.last = now;
        }
        let is_told = self.told.contains(&who) || (self.told.len() < TOLD && self.told.insert(who));
        let is_power = record.count.checked_ilog10().is_some_and(|digits| 10u64.pow(digits) == record.count);
        (is_told && is_power).then_some(record.count)
    }

    /// Removes the record of `who` after a correct password.
    pub fn forgive(&mut self, who: IpAddr) {
        self.records.remove(&network(who));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn address(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(number).into()
    }

    #[test]
    fn a_program_that_sends_an_old_password_all_day_locks_nobody_out_and_is_logged_at_powers_of_ten() {
        let (mut penalties, begun) = (Penalties::default(), Instant::now());
        let mut told = Vec::new();
        for second in (0..86_400).step_by(2) {
            let now = begun + Duration::from_secs(second);
            assert_eq!(penalties.left(address(1), now), None, "the others behind its address may try");
            assert_eq!(penalties.is_known(address(1), &[1; 32]), second > 0);
            told.extend(penalties.note(address(1), [1; 32], now));
        }
        assert_eq!(told, [1, 10, 100, 1000, 10_000]);
        assert!(!penalties.is_known(address(1), &[2; 32]) && !penalties.is_known(address(2), &[1; 32]));
    }

    #[test]
    fn five_different_wrong_passwords_cost_ten_seconds_and_then_the_count_starts_again() {
        let (mut penalties, now) = (Penalties::default(), Instant::now());
        for number in 0..TRIES {
            assert_eq!(penalties.left(address(1), now), None);
            penalties.note(address(1), [number as u8; 32], now);
        }
        assert_eq!(penalties.left(address(1), now), Some(PENALTY));
        penalties.note(address(1), [9; 32], now + PENALTY / 2);
        assert_eq!(penalties.left(address(1), now + PENALTY / 2), Some(PENALTY / 2));
        assert_eq!(penalties.left(address(1), now + PENALTY), None);
        assert!(!penalties.is_known(address(1), &[0; 32]), "it is checked again, and counts again");
    }

    #[test]
    fn a_recent_penalty_is_kept_however_many_others_fail_and_the_table_is_bounded() {
        let (mut penalties, now) = (Penalties::default(), Instant::now());
        let mut lines = 0;
        for number in 0..3 * REMEMBERED as u32 {
            let now = now + Duration::from_millis(number.into());
            let culprit = address(1 << 24 | number);
            for wrong in 0..TRIES {
                lines += usize::from(penalties.note(culprit, [wrong as u8; 32], now).is_some());
            }
            assert!(penalties.left(culprit, now).is_some());
            let earlier = address(1 << 24 | number.saturating_sub(REMEMBERED as u32 - 1));
            assert!(penalties.left(earlier, now).is_some(), "{number}");
        }
        assert_eq!((penalties.records.len(), penalties.told.len(), lines), (REMEMBERED, TOLD, TOLD));
        penalties.forgive(address(1 << 24 | (3 * REMEMBERED as u32 - 1)));
        assert_eq!(penalties.records.len(), REMEMBERED - 1);
    }
}
