//! The listening socket, with the options that accepted connections inherit.

use crate::os::net;
use anyhow::{Context, Result};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

/// How long a write may make no progress before it returns the number of bytes written so far.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(4);
/// How long a client may acknowledge nothing, or keep its window closed, before its connection is closed.
const GONE_AFTER: Duration = Duration::from_secs(10);
/// The size of the send buffer in bytes, about two pictures of 1280x720. A larger one delays the picture of a slow
/// viewer, a smaller one does not fill a connection with a long round trip. The kernel doubles it for its own overhead.
const SEND_BUFFER: libc::c_int = 128 * 1024;
/// The most unsent bytes in that buffer. The writer continues when half of them have been sent, so the next picture is
/// chosen when nearly all of this one is under way (docs/PERFORMANCE.md has the ages of pictures on a slow connection).
const NOT_SENT: libc::c_int = 32 * 1024;
/// The most connections that wait to be accepted. Beyond it, the kernel drops new ones, and their clients retry after a
/// second, so a burst of a thousand must fit. The kernel uses net.core.somaxconn when that is smaller.
const BACKLOG: libc::c_int = 1024;

/// Listens on `address`, also when the network is not up yet. `TcpListener::bind` would listen before the options are
/// set, and a client that connects in between, when the service starts again, would have a connection without time-outs.
///
/// # Errors
/// When the address is in use or needs more rights.
pub(crate) fn listen(address: SocketAddr) -> Result<TcpListener> {
    let listener = open(address).with_context(|| format!("cannot listen on {address}"))?;
    if !net::is_of_this_machine(address) {
        let ip = address.ip();
        log::warn!("[http] bind: {ip} is not an address of this machine now; the page can be opened when it is");
    }
    Ok(listener)
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = net::socket(address)?;
    // Without it, the port could not be used for a minute after a restart.
    net::set(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    // The address may come later, with the network, and go again with a cable.
    net::set(&socket, libc::IPPROTO_IP, libc::IP_FREEBIND, 1)?;
    net::set(&socket, libc::SOL_SOCKET, libc::SO_SNDBUF, SEND_BUFFER)?;
    net::set(&socket, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, NOT_SENT)?;
    net::set(&socket, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, GONE_AFTER.as_millis() as libc::c_int)?;
    socket.set_write_timeout(Some(SEND_TIMEOUT))?;
    // The end of a picture does not wait for an acknowledgement.
    socket.set_nodelay(true)?;
    net::bind(&socket, address)?;
    net::listen(socket, BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_the_machine_does_not_have_yet_can_be_listened_on() {
        // Addresses for documentation, which no machine has.
        for (address, needed) in [("192.0.2.77:0", true), ("[2001:db8::77]:0", false)] {
            let address = address.parse().unwrap();
            assert!(!needed || !net::is_of_this_machine(address));
            let result = listen(address);
            assert!(result.is_ok() || !needed && net::socket(address).is_err(), "{result:?}");
        }
        assert!(net::is_of_this_machine("127.0.0.1:0".parse().unwrap()));
    }
}
