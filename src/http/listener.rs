//! What HTTP needs of the kernel: the listening socket, with everything set that accepted connections inherit from it,
//! and the machine's name.

use crate::sockaddr::{check, with_raw};
use anyhow::{Context, Result};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// A write that makes no progress for so long ends with what it has done.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(4);
/// A client that does not acknowledge, or keeps its window shut, for so long is gone.
const GONE_AFTER: Duration = Duration::from_secs(10);
/// Bytes that a client has not acknowledged, about two pictures of 1280x720: more would make a slow viewer see the past,
/// less would leave a long way empty. The kernel doubles it, for its own book-keeping.
const SEND_BUFFER: libc::c_int = 128 * 1024;
/// Bytes among them that wait to be sent. The writer goes on when half of them have left: so the next picture is chosen when
/// nearly all of this one is on its way (how old pictures are on a slow way: docs/PERFORMANCE.md).
const NOT_SENT: libc::c_int = 32 * 1024;
/// Connections that wait to be accepted. When there are more, the kernel drops what comes and the client tries again after
/// a second: a burst of a thousand must not make others wait. The kernel takes net.core.somaxconn where that is less.
const BACKLOG: libc::c_int = 1024;

/// Listens on `address`. The options come before `listen`, so that no connection is without them.
///
/// # Errors
/// When the address is taken, is not this machine's, or needs more rights.
pub fn listen(address: SocketAddr) -> Result<TcpListener> {
    open(address).with_context(|| format!("cannot listen on {address}"))
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: no pointers; the result is checked.
    let fd = check(unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: `fd` is a socket that was opened just now and that nobody else owns.
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

/// The name of this machine; empty when it has none. Asked of the kernel: under `ProcSubset=pid`, as the service runs,
/// there is no /proc/sys.
pub fn machine_name() -> String {
    let mut name = [0_u8; 256];
    // SAFETY: `name` is ours to write, all but its last byte, so that a name that was cut off ends as well.
    let result = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) };
    let length = name.iter().position(|&byte| byte == 0).filter(|_| result == 0).unwrap_or(0);
    String::from_utf8_lossy(&name[..length]).trim().to_owned()
}
