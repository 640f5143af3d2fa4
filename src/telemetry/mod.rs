//! The counters and states that the stages report, for `/api/state`, `/metrics` and the watchdog.

pub mod faults;
pub mod health;
pub mod latency;
pub mod reloads;
