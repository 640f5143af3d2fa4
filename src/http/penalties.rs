//! [`Penalties`]: who gave wrong passwords, and for how long such a one must wait.

use super::client::network;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// So many wrong passwords may come from an address before it must wait.
const TRIES: u32 = 5;
/// For so long.
const PENALTY: Duration = Duration::from_secs(10);
/// How many addresses are remembered.
const REMEMBERED: usize = 1024;
/// How many addresses the log names in the life of the program. The faults count them all.
const TOLD: usize = 64;

/// Addresses that wrong passwords came from.
#[derive(Default)]
pub struct Penalties {
    records: HashMap<IpAddr, Record>,
    told: HashSet<IpAddr>,
}

struct Record {
    count: u32,
    last: Instant,
}

impl Penalties {
    /// How long `who` must wait at `now`; `None` when it may try.
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

    /// Takes a wrong password down. True when it is worth a line that names `who`.
    pub fn note(&mut self, who: IpAddr, now: Instant) -> bool {
        let who = network(who);
        if self.records.len() >= REMEMBERED && !self.records.contains_key(&who) {
            // The one who has waited longest: others must not shorten the wait of one who tries now.
            let oldest = self.records.iter().min_by_key(|(_, record)| record.last).map(|(who, _)| *who);
            oldest.map(|oldest| self.records.remove(&oldest));
        }
        let record = self.records.entry(who).or_insert(Record { count: 0, last: now });
        record.count += 1;
        record.last = now;
        self.told.len() < TOLD && self.told.insert(who)
    }

    /// Forgets what `who` did: the password was right.
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
    fn who_asks_with_an_old_password_all_day_is_named_once() {
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
    fn however_many_others_fail_the_newest_wait_is_waited_out_and_all_is_bounded() {
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
