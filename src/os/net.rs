//! The network: sockets whose options are set before they are bound or connected, which `std` does not offer, and the
//! host name.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A TCP socket of the address family of `address`, neither bound nor connected.
pub(crate) fn socket(address: SocketAddr) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: no pointers; the result is checked.
    let fd = check(unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: `fd` is a socket that was just opened and has no other owner.
    Ok(unsafe { TcpStream::from_raw_fd(fd) })
}

/// Sets an option whose type in C is an `int`.
pub(crate) fn set(socket: &TcpStream, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let (value, len) = (std::ptr::from_ref(&value).cast(), size_of_val(&value) as libc::socklen_t);
    // SAFETY: `value` points to `len` bytes that live through the call.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value, len) }).map(drop)
}

/// Binds `socket` to `address`. For port 0 the system chooses a port.
pub(crate) fn bind(socket: &TcpStream, address: SocketAddr) -> io::Result<()> {
    with_raw(address, |raw, len| {
        // SAFETY: `raw` is an address of `len` bytes that lives through the call.
        check(unsafe { libc::bind(socket.as_raw_fd(), raw, len) }).map(drop)
    })
}

/// False when no network interface has the address now, such as before the network is up. True when the system does not
/// say so.
pub(crate) fn is_of_this_machine(mut address: SocketAddr) -> bool {
    address.set_port(0);
    let bound = socket(address).and_then(|socket| bind(&socket, address));
    !bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
}

/// Listens on a bound socket, with room for `backlog` connections that wait to be accepted.
pub(crate) fn listen(socket: TcpStream, backlog: libc::c_int) -> io::Result<TcpListener> {
    // SAFETY: no pointers; the socket is open.
    check(unsafe { libc::listen(socket.as_raw_fd(), backlog) })?;
    Ok(TcpListener::from(OwnedFd::from(socket)))
}

/// Connects `socket` to `address`, within its write time-out.
pub(crate) fn connect(socket: &TcpStream, address: SocketAddr) -> io::Result<()> {
    with_raw(address, |raw, len| {
        // SAFETY: `raw` is an address of `len` bytes that lives through the call.
        check(unsafe { libc::connect(socket.as_raw_fd(), raw, len) }).map(drop)
    })
}

/// Calls `call` with the address in the kernel's form.
fn with_raw<T>(address: SocketAddr, call: impl FnOnce(*const libc::sockaddr, libc::socklen_t) -> T) -> T {
    match address {
        SocketAddr::V4(v4) => {
            let raw = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                sin_zero: [0; 8],
            };
            call(std::ptr::from_ref(&raw).cast(), size_of_val(&raw) as libc::socklen_t)
        }
        SocketAddr::V6(v6) => {
            let raw = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            };
            call(std::ptr::from_ref(&raw).cast(), size_of_val(&raw) as libc::socklen_t)
        }
    }
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The host name; empty when there is none. It comes from a system call, because the service runs with
/// `ProcSubset=pid`, which hides /proc/sys.
pub(crate) fn machine_name() -> String {
    let mut name = [0_u8; 256];
    // SAFETY: the call writes to all but the last byte of `name`, which stays 0 and terminates a truncated name.
    let result = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) };
    let length = name.iter().position(|&byte| byte == 0).filter(|_| result == 0).unwrap_or(0);
    String::from_utf8_lossy(&name[..length]).trim().to_owned()
}
