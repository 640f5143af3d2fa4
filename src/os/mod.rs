//! The functions of the operating system that namecam uses.

pub mod board;
pub mod files;
pub(crate) mod localtime;
pub mod logging;
pub(crate) mod net;
pub mod process;
pub(crate) mod signals;
pub(crate) mod systemd;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
mod tls;
pub(crate) mod wire;

#[cfg(test)]
pub(crate) mod tests {
    pub(crate) mod child;
}
