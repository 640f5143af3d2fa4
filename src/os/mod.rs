//! What namecam asks of the operating system.

pub mod board;
pub mod files;
pub(crate) mod localtime;
pub mod logging;
pub(crate) mod net;
pub mod process;
pub(crate) mod signals;
pub(crate) mod systemd;

#[cfg(test)]
mod tests {
    pub(super) mod child;
}
