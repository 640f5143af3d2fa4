//! [`Penalties`]: the addresses that sent wrong passwords, and how long each must wait.

use crate::http::client::network;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How many wrong passwords an address may send before it must wait.
const TRIES: u32 = 5;
/// How long it must wait.
const PENALTY: Duration = Duration::from_secs(10);
/// The most addresses that are remembered.
const REMEMBERED: usize = 1024;
/// The most addresses that are logged while the program runs. The faults count every wrong password.
const TOLD: usize = 64;

/// Addresses that sent wrong passwords.
#[derive(Default)]
pub struct Penalties {
    records: HashMap<IpAddr, PenaltyRecord>,
    told: HashSet<IpAddr>,
}

struct PenaltyRecord {
    count: u32,
    last: Instant,
}

impl Penalties {
    /// How long `who` must still wait at `now`; `None` when it may try.
    pub fn left(&mut self, who: IpAddr, now: Instant) -> Option<Duration> {
        let who = network(who);
        let record = self.records.get(&who).filter(|record| record.count >= TRIES)?;
        let left = PENALTY.saturating_sub(now.duration_since(record.last));
        if left.is_zero() {
            self.records.remove(&who);
            return None;
        }
        Some(left)
    }

    /// Records a wrong password. True when the log should name `who`.
    pub fn note(&mut self, who: IpAddr, now: Instant) -> bool {
        let who = network(who);
        if self.records.len() >= REMEMBERED && !self.records.contains_key(&who) {
            // The oldest record is dropped, so that other addresses cannot shorten a recent penalty.
            let oldest = self.records.iter().min_by_key(|(_, record)| record.last).map(|(who, _)| *who);
            oldest.map(|oldest| self.records.remove(&oldest));
        }
        let record = self.records.entry(who).or_insert(PenaltyRecord { count: 0, last: now });
        record.count += 1;
        record.last = now;
        self.told.len() < TOLD && self.told.insert(who)
    }

    /// Removes the record of `who` after a right password.
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
    fn a_client_that_sends_an_old_password_all_day_is_logged_once() {
        let (mut penalties, begun) = (Penalties::default(), Instant::now());
        let (mut lines, mut checks) = (0, 0);
        for second in (0..86_400).step_by(2) {
            let now = begun + Duration::from_secs(second);
            if penalties.left(address(1), now).is_none() {
                checks += 1;
                lines += u32::from(penalties.note(address(1), now));
            }
        }
        assert_eq!(lines, 1);
        assert_eq!(checks, 86_400_u32.div_ceil(18) * TRIES, "five tries in 8 s, then 10 s without");
    }

    #[test]
    fn however_many_others_fail_a_recent_penalty_is_kept_and_all_is_bounded() {
        let (mut penalties, now) = (Penalties::default(), Instant::now());
        let mut lines = 0;
        for number in 0..3 * REMEMBERED as u32 {
            let now = now + Duration::from_millis(number.into());
            let culprit = address(1 << 24 | number);
            for _ in 0..TRIES {
                lines += usize::from(penalties.note(culprit, now));
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
