//! What namecam asks of the operating system.

pub mod files;
pub mod localtime;
pub mod logging;
pub(crate) mod net;
pub mod process;
pub mod signals;
pub mod systemd;
