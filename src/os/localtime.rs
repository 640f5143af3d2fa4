//! The local time of day, from the C library.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

unsafe extern "C" {
    /// Reads the time zone again if it has changed. The crate `libc` does not declare this function of the C library.
    fn tzset();
}

/// `at` in local time as `14:05`, with the date when it is not the date of `now`.
pub fn clock(at: SystemTime, now: SystemTime) -> String {
    let (at, now) = (broken_down(at), broken_down(now));
    let time = format!("{:02}:{:02}", at.tm_hour, at.tm_min);
    if (at.tm_year, at.tm_yday) == (now.tm_year, now.tm_yday) {
        return time;
    }
    format!("{:04}-{:02}-{:02} {time}", at.tm_year + 1900, at.tm_mon + 1, at.tm_mday)
}

/// The time of day at `since`, computed from the current clock, so that the result is right also when the clock was set
/// after `since`.
pub fn clock_since(since: Instant) -> String {
    let now = SystemTime::now();
    clock(now.checked_sub(since.elapsed()).unwrap_or(now), now)
}

/// Hour, minute and second of `at`, in local time.
pub fn time_of_day(at: SystemTime) -> [i32; 3] {
    let at = broken_down(at);
    [at.tm_hour, at.tm_min, at.tm_sec]
}

/// `at` in local time as `20231114-140503`, for the names of files.
pub fn stamp(at: SystemTime) -> String {
    let at = broken_down(at);
    let date = (at.tm_year + 1900) * 10_000 + (at.tm_mon + 1) * 100 + at.tm_mday;
    format!("{date:08}-{:02}{:02}{:02}", at.tm_hour, at.tm_min, at.tm_sec)
}

/// `at` as `2023-11-14T14:05:03+00:00`.
pub fn utc(at: SystemTime) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let seconds = libc::time_t::try_from(seconds).unwrap_or_default();
    // SAFETY: as in `broken_down`.
    let mut at: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: as in `broken_down`.
    unsafe { libc::gmtime_r(&raw const seconds, &raw mut at) };
    let date = format!("{:04}-{:02}-{:02}", at.tm_year + 1900, at.tm_mon + 1, at.tm_mday);
    format!("{date}T{:02}:{:02}:{:02}+00:00", at.tm_hour, at.tm_min, at.tm_sec)
}

fn broken_down(at: SystemTime) -> libc::tm {
    let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let seconds = libc::time_t::try_from(seconds).unwrap_or_default();
    // SAFETY: `tm` consists of numbers and a pointer that may be null, so all zeros is a valid value.
    let mut fields: libc::tm = unsafe { std::mem::zeroed() };
    // glibc's localtime_r reads the time zone only once in the life of a process, and the owner may set it later.
    // SAFETY: tzset takes nothing, and has its own lock; no thread changes the environment.
    unsafe { tzset() };
    // SAFETY: both pointers are to live values; localtime_r writes only to the second one. When it fails (a year that
    // does not fit), the zeroes stay.
    unsafe { libc::localtime_r(&raw const seconds, &raw mut fields) };
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_past_event_gets_its_time_by_the_current_clock() {
        let (ago, now) = (Duration::from_secs(600), SystemTime::now());
        let Some(since) = Instant::now().checked_sub(ago) else { return };
        let told = clock_since(since);
        // The minute, or even the date, may change in between.
        let right = [now, SystemTime::now()].map(|now| clock(now - ago, now));
        assert!(right.contains(&told), "{told}, not {right:?}");
    }

    #[test]
    fn a_time_zone_that_is_set_later_counts() {
        use crate::os::tests::child;
        let noon = UNIX_EPOCH + Duration::from_secs(1_700_000_000 / 86_400 * 86_400 + 43_200);
        if child::is_child() {
            let told = ["UTC", "KST-9", "UTC"].map(|zone| {
                // SAFETY: this process runs this test alone.
                unsafe { std::env::set_var("TZ", zone) };
                time_of_day(noon)[0]
            });
            assert_eq!(told, [12, 21, 12]);
            return;
        }
        let out = child::again(module_path!(), "a_time_zone_that_is_set_later_counts").output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
    }

    #[test]
    fn the_date_is_included_only_on_another_day() {
        // Noon in UTC: the same day in nearly every zone on earth.
        let noon = UNIX_EPOCH + Duration::from_secs(1_700_000_000 / 86_400 * 86_400 + 43_200);
        let today = clock(noon, noon + Duration::from_secs(60));
        assert!(today.len() == 5 && today.as_bytes()[2] == b':', "{today}");
        let earlier = clock(noon, noon + Duration::from_secs(3 * 86_400));
        let stamped = stamp(noon);
        assert!(
            stamped.starts_with("2023111") && stamped.len() == 15 && stamped.contains(&today.replace(':', "")),
            "{stamped}"
        );
        assert!(earlier.starts_with("2023-11-1") && earlier.ends_with(&today), "{earlier}");
    }
}
