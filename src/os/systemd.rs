//! systemd: notifications, the watchdog, and the request to the program's own port on which the watchdog depends.

use crate::os::net;
use crate::sync::lock;
use sd_notify::NotifyState;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Notifies systemd of the state of the service. Without systemd (no NOTIFY_SOCKET) the methods do nothing.
#[derive(Debug, Default)]
pub struct Notify {
    failed: AtomicBool,
}

impl Notify {
    /// Reads NOTIFY_SOCKET.
    pub fn new() -> Notify {
        Notify::default()
    }

    /// Notifies systemd that the start or a reload is complete, and sets the status line.
    pub fn ready(&self, status: &str) {
        self.send(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
    }

    /// Notifies systemd that a reload begins. [`Notify::ready`] ends the reload.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.send(&[NotifyState::Reloading, now]),
            Err(_) => self.send(&[NotifyState::Reloading]),
        }
    }

    /// Notifies systemd that the program ends.
    pub fn stopping(&self) {
        self.send(&[NotifyState::Stopping]);
    }

    /// Sets the status line of `systemctl status`.
    pub fn status(&self, text: &str) {
        self.send(&[NotifyState::Status(&one_line(text))]);
    }

    /// Feeds the watchdog. Without a call for WatchdogSec, systemd restarts the service.
    pub fn watchdog(&self) {
        self.send(&[NotifyState::Watchdog]);
    }

    fn send(&self, states: &[NotifyState<'_>]) {
        if let Err(error) = sd_notify::notify(states)
            && !self.failed.swap(true, Relaxed)
        {
            log::warn!("cannot notify systemd: {error}");
        }
    }
}

/// Replaces line ends, after which another assignment such as STOPPING=1 could begin. A status may contain text from
/// outside.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The time between two calls of [`Notify::watchdog`]: half of WatchdogSec. `None` without a watchdog.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|wait| wait / 2).filter(|interval| !interval.is_zero())
}

/// Requests `/healthz` from the program's own port over loopback. True when any HTTP response arrives within `timeout`.
///
/// The accept thread may hang while the port stays open, so only a response proves that it works. Meanwhile
/// `own_question` holds the local address of the connection, so that the server accepts it even when all connections
/// are in use. No other program can have that address at the same time.
///
/// Also true while no network interface has the address, because nobody can ask there, and a restart does not help.
pub fn probe_port(listening: SocketAddr, timeout: Duration, own_question: &Mutex<Option<SocketAddr>>) -> bool {
    let address = way_in(listening);
    if !net::is_of_this_machine(address) {
        return true;
    }
    let line = status_line(address, timeout, own_question);
    *lock(own_question) = None;
    line.is_some_and(|line| is_http_status(&line))
}

/// The address at which a program on this machine reaches the listening socket.
fn way_in(listening: SocketAddr) -> SocketAddr {
    let mut address = listening;
    match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        // A link-local address is used unchanged, because it is valid only with its scope.
        _ => {}
    }
    address
}

/// Connects to `to`, an address of this machine, from the same address. The local port is chosen and stored first,
/// because the server may accept the connection before `connect` returns.
fn connect(to: SocketAddr, timeout: Duration, own_question: &Mutex<Option<SocketAddr>>) -> io::Result<TcpStream> {
    let socket = net::socket(to)?;
    let mut own = to;
    own.set_port(0);
    // When no exclusive port is free, connect chooses a port, and the server treats the check like any other
    // connection.
    if net::bind(&socket, own).is_ok() {
        *lock(own_question) = Some(socket.local_addr()?);
    }
    // Linux applies this time-out to connect too.
    socket.set_write_timeout(Some(timeout))?;
    net::connect(&socket, to)?;
    Ok(socket)
}

/// The beginning of the response, up to the end of the status.
fn status_line(address: SocketAddr, timeout: Duration, own_question: &Mutex<Option<SocketAddr>>) -> Option<[u8; 12]> {
    let deadline = Instant::now() + timeout;
    let left = || Some(deadline.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero());
    let mut stream = connect(address, left()?, own_question).ok()?;
    stream.set_write_timeout(left()).ok()?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let (mut line, mut read) = ([0; 12], 0);
    while read < line.len() {
        // The time-out is set before each read, so that single late bytes do not extend the total time.
        stream.set_read_timeout(Some(left()?)).ok()?;
        match stream.read(&mut line[read..]) {
            Ok(0) => return None,
            Ok(n) => read += n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    Some(line)
}

fn is_http_status(line: &[u8; 12]) -> bool {
    line.starts_with(b"HTTP/1.") && line[8] == b' ' && line[9..].iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::tests::child::{again, is_child};
    use std::net::TcpListener;
    use std::os::unix::net::UnixDatagram;
    use std::thread;

    #[test]
    fn systemd_is_told_ready_reloading_stopping_and_one_line_of_status() {
        if is_child() {
            let notify = Notify::default();
            notify.ready("3 people");
            notify.reloading();
            notify.status("Eve\nSTOPPING=1");
            notify.watchdog();
            notify.stopping();
            println!("{:?}", watchdog_interval());
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut command = again(module_path!(), "systemd_is_told_ready_reloading_stopping_and_one_line_of_status");
        let output = command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "60000000").output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("Some(30s)"), "{output:?}");
        let heard = || {
            let mut buffer = [0; 200];
            let n = socket.recv(&mut buffer).unwrap();
            String::from_utf8_lossy(&buffer[..n]).into_owned()
        };
        assert_eq!(heard(), "READY=1\nSTATUS=3 people\n");
        assert!(heard().starts_with("RELOADING=1\nMONOTONIC_USEC="));
        assert_eq!(heard(), "STATUS=Eve STOPPING=1\n");
        assert_eq!(heard(), "WATCHDOG=1\n");
        assert_eq!(heard(), "STOPPING=1\n");
    }

    #[test]
    fn without_systemd_nothing_is_sent_and_nothing_is_due() {
        if is_child() {
            let notify = Notify::default();
            notify.ready("here");
            println!("{:?} {:?}", watchdog_interval(), notify.failed);
            return;
        }
        let output = again(module_path!(), "without_systemd_nothing_is_sent_and_nothing_is_due").output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("None false"), "{output:?}");
    }

    fn answers(address: SocketAddr, timeout: Duration) -> bool {
        probe_port(address, timeout, &Mutex::default())
    }

    /// A server that accepts one connection, responds and keeps it open.
    fn server(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(answer).unwrap();
            thread::sleep(Duration::from_secs(60));
        });
        address
    }

    #[test]
    fn a_port_works_when_it_responds_in_http_whatever_the_status() {
        let wait = Duration::from_secs(30);
        assert!(answers(server(b"HTTP/1.1 200 OK\r\n\r\n"), wait));
        assert!(answers(server(b"HTTP/1.0 503 Hung\r\n\r\n"), wait));
        assert!(!answers(server(b"SSH-2.0-OpenSSH_9.2\r\n"), wait));
    }

    #[test]
    fn the_server_knows_the_address_of_the_check_before_it_connects() {
        for host in ["127.0.0.1", "0.0.0.0", "127.0.0.9", "::1", "::"] {
            let Ok(listener) = TcpListener::bind((host, 0)) else {
                assert!(host.contains(':'), "only IPv6 may be missing");
                continue;
            };
            let (address, own_question) = (listener.local_addr().unwrap(), Mutex::default());
            let asks = || probe_port(address, Duration::from_secs(30), &own_question);
            let (answered, from, noted) = thread::scope(|scope| {
                let asking = scope.spawn(asks);
                let (mut stream, from) = listener.accept().unwrap();
                let noted = *own_question.lock().unwrap();
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                (asking.join().unwrap(), from, noted)
            });
            assert!(answered && noted == Some(from), "{host}: {noted:?} {from}");
            assert_eq!(*own_question.lock().unwrap(), None, "{host}: the address is no longer exempt");
        }
    }

    #[test]
    fn a_port_that_accepts_but_never_responds_does_not_work() {
        let began = Instant::now();
        assert!(!answers(server(b""), Duration::from_millis(200)));
        assert!(!answers(server(b"HTTP/1.1"), Duration::from_millis(200)));
        assert!(began.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_port_without_a_listener_does_not_work() {
        // The port of a connection: no other program gets it meanwhile.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(!answers(connection.local_addr().unwrap(), Duration::from_secs(1)));
    }

    #[test]
    fn an_address_that_the_machine_does_not_have_now_is_no_fault_of_the_port() {
        assert!(answers("192.0.2.77:80".parse().unwrap(), Duration::from_secs(1)));
    }

    #[test]
    fn a_link_local_address_is_checked_on_its_own_link() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert_eq!(way_in(address("[fe80::1%3]:80")), address("[fe80::1%3]:80"));
        assert_eq!(way_in(address("[::]:80")), address("[::1]:80"));
        assert_eq!(way_in(address("0.0.0.0:80")), address("127.0.0.1:80"));
        // The addresses that this machine has: number, link, ..., name.
        let addresses = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
        for line in addresses.lines().filter(|line| line.starts_with("fe80")) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let ip = Ipv6Addr::from(u128::from_str_radix(fields[0], 16).unwrap());
            let scope = u32::from_str_radix(fields[1], 16).unwrap();
            let listener = TcpListener::bind(std::net::SocketAddrV6::new(ip, 0, 0, scope)).unwrap();
            let address = listener.local_addr().unwrap();
            thread::spawn(move || listener.accept().unwrap().0.write_all(b"HTTP/1.1 200 OK\r\n\r\n"));
            assert!(answers(address, Duration::from_secs(30)), "{address}");
        }
    }
}
