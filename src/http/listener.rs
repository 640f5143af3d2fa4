//! System calls of HTTP: the listening socket, with the options that accepted connections inherit, and the host name.

use crate::os::sockaddr::{check, with_raw};
use anyhow::{Context, Result};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
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

/// Listens on `address`. The options are set before `listen`, so that every connection has them.
///
/// # Errors
/// When the address is in use, is not this machine's, or needs more rights.
pub fn listen(address: SocketAddr) -> Result<TcpListener> {
    open(address).with_context(|| format!("cannot listen on {address}"))
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: no pointers; the result is checked.
    let fd = check(unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: `fd` is a socket that was just opened and has no other owner.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    set(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, &1)?;
    set(&socket, libc::SOL_SOCKET, libc::SO_KEEPALIVE, &1)?;
    set(&socket, libc::SOL_SOCKET, libc::SO_SNDBUF, &SEND_BUFFER)?;
    set(&socket, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, &NOT_SENT)?;
    let timeout = libc::timeval { tv_sec: SEND_TIMEOUT.as_secs() as libc::time_t, tv_usec: 0 };
    set(&socket, libc::SOL_SOCKET, libc::SO_SNDTIMEO, &timeout)?;
    set(&socket, libc::IPPROTO_TCP, libc::TCP_NODELAY, &1)?;
    let gone_after_ms = GONE_AFTER.as_millis() as libc::c_uint;
    set(&socket, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, &gone_after_ms)?;
    with_raw(address, |raw, len| {
        // SAFETY: `raw` is an address of `len` bytes that lives through the call.
        check(unsafe { libc::bind(socket.as_raw_fd(), raw, len) })
    })?;
    // SAFETY: no pointers; the socket is open.
    check(unsafe { libc::listen(socket.as_raw_fd(), BACKLOG) })?;
    Ok(TcpListener::from(socket))
}

fn set<T>(socket: &OwnedFd, level: libc::c_int, option: libc::c_int, value: &T) -> io::Result<()> {
    let (value, len) = (std::ptr::from_ref(value).cast(), size_of::<T>() as libc::socklen_t);
    // SAFETY: `value` points to `len` bytes that live through the call.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value, len) }).map(drop)
}

/// The host name; empty when there is none. It comes from a system call, because the service runs with
/// `ProcSubset=pid`, which hides /proc/sys.
pub fn machine_name() -> String {
    let mut name = [0_u8; 256];
    // SAFETY: the call writes to all but the last byte of `name`, which stays 0 and terminates a truncated name.
    let result = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) };
    let length = name.iter().position(|&byte| byte == 0).filter(|_| result == 0).unwrap_or(0);
    String::from_utf8_lossy(&name[..length]).trim().to_owned()
}
