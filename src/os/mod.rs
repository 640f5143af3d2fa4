//! What namecam asks of the operating system.

pub mod files;
pub mod localtime;
pub mod logging;
pub mod process;
pub mod signals;
pub mod sockaddr;
pub mod systemd;
