//! The parts of a service: signals, systemd's notifications and watchdog, process priorities and the heap.

use crate::sockaddr::{check, with_raw};
use crate::stop::Stop;
use anyhow::Context;
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::FromRawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The nice value of the recognition thread: small, because the encoder may wait for a frame that this thread decodes.
const PATIENT: libc::c_int = 5;

/// The size in bytes from which a block is mapped separately and returned to the system when freed. It is below the 19
/// MiB of a password check.
const MAPPED_BYTES: libc::c_int = 16 << 20;
/// The free memory at the end of the heap that is kept: twice the largest size of blocks that glibc takes from the
/// heap.
const KEPT_BYTES: libc::c_int = 64 << 20;

/// Makes all threads allocate from one heap; called before the first thread starts. glibc would use up to eight heaps
/// per processor. Each would keep the megabytes of a decoded frame, because the threads of viewers take turns to
/// decode.
///
/// By default glibc raises the size from which blocks are mapped, up to 32 MiB, when such a block is freed. The memory
/// of a password check would then come from the heap, and a held response would keep it from being returned.
pub fn share_one_heap() {
    // SAFETY: mallopt takes two numbers and changes only glibc's settings.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES);
    }
}

/// The thread that called [`yield_to_others`]; 0 before that.
static PATIENT_THREAD: AtomicI32 = AtomicI32::new(0);

/// Lowers the priority of the calling thread. A refusal is ignored.
pub fn yield_to_others() {
    // On Linux a nice value belongs to a thread; 0 means the calling thread.
    // SAFETY: no pointers.
    let result = unsafe {
        PATIENT_THREAD.store(libc::gettid(), Relaxed);
        libc::setpriority(libc::PRIO_PROCESS, 0, PATIENT)
    };
    if result != 0 {
        log::debug!("cannot lower the priority of this thread: {}", std::io::Error::last_os_error());
    }
}

/// Restores the priority of the thread that called [`yield_to_others`]. When the process ends, the last thread frees
/// the memory in the kernel, and that thread may be this one. Without permission (the unit's LimitNICE grants it), the
/// end takes longer.
pub fn yield_no_more() {
    let thread = PATIENT_THREAD.load(Relaxed);
    if thread != 0 {
        // SAFETY: no pointers; the number is that of a thread of this process, which ends only with the process.
        unsafe {
            libc::setpriority(libc::PRIO_PROCESS, thread as libc::id_t, libc::getpriority(libc::PRIO_PROCESS, 0))
        };
    }
}

/// The request of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// End: SIGTERM or SIGINT.
    Stop,
    /// Reload config and gallery: SIGHUP.
    Reload,
}

#[derive(Debug, Default)]
struct Asked {
    stop: bool,
    reload: bool,
}

/// The signals that the program handles. Made by [`block_signals`].
#[derive(Debug)]
pub struct Signals {
    shared: Arc<(Mutex<Asked>, Condvar)>,
}

/// Blocks SIGTERM, SIGINT and SIGHUP in this thread, and so in every thread that it starts later, and starts the thread
/// that handles them. It must be called before other threads start, because earlier threads could still be interrupted.
///
/// The first SIGTERM or SIGINT sets `stop` for every thread, and `within` later the process ends with exit status 0,
/// whatever its threads do: the thread that calls [`Signals::wait`] may be waiting for a disk.
/// A second SIGTERM or SIGINT ends the process at once, with exit status 128 plus the signal's number.
/// Child processes inherit the blocked signals unless they get an empty mask.
///
/// # Errors
/// When the signals cannot be blocked, or the handlers or the thread cannot be installed.
pub fn block_signals(stop: Arc<Stop>, within: Duration) -> anyhow::Result<Signals> {
    const TAKEN: [i32; 3] = [SIGTERM, SIGINT, SIGHUP];
    mask(libc::SIG_BLOCK, &TAKEN).context("cannot block signals")?;
    let mut incoming = signal_hook::iterator::Signals::new(TAKEN).context("cannot handle signals")?;
    let shared = Arc::new((Mutex::new(Asked::default()), Condvar::new()));
    let signals = Signals { shared: Arc::clone(&shared) };
    let take = move || {
        // The signals are unblocked only here, so that signal-hook's handler interrupts only this thread.
        if let Err(error) = mask(libc::SIG_UNBLOCK, &TAKEN) {
            log::error!("cannot handle signals: {error}");
            exit_now(1);
        }
        for signal in incoming.forever() {
            let (asked, changed) = &*shared;
            let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
            match signal {
                SIGHUP => asked.reload = true,
                _ => asked.stop = true,
            }
            changed.notify_all();
            if asked.stop {
                break;
            }
        }
        yield_no_more();
        stop.set();
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            if let Some(signal) = incoming.pending().find(|signal| *signal != SIGHUP) {
                exit_now(128 + signal);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        exit_now(0)
    };
    std::thread::Builder::new().name("signals".into()).spawn(take).context("cannot start the thread for signals")?;
    Ok(signals)
}

impl Signals {
    /// Waits for a signal, at most `timeout`. Several SIGHUPs before the call are one `Reload`. After a stop, every
    /// call returns `Stop` at once.
    pub fn wait(&self, timeout: Duration) -> Option<Event> {
        let (asked, changed) = &*self.shared;
        let asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        let nothing = |asked: &mut Asked| !asked.stop && !asked.reload;
        let (mut asked, _) =
            changed.wait_timeout_while(asked, timeout, nothing).unwrap_or_else(PoisonError::into_inner);
        if asked.stop {
            return Some(Event::Stop);
        }
        std::mem::take(&mut asked.reload).then_some(Event::Reload)
    }
}

fn mask(how: i32, signals: &[i32]) -> std::io::Result<()> {
    // SAFETY: `set` is plain old data that sigemptyset fills before anything reads it; no pointer outlives the calls.
    let failed = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in signals {
            libc::sigaddset(&mut set, *signal);
        }
        libc::pthread_sigmask(how, &set, std::ptr::null_mut())
    };
    if failed == 0 { Ok(()) } else { Err(std::io::Error::from_raw_os_error(failed)) }
}

/// Ends the process at once, without destructors and exit handlers, which may wait for a thread that hangs in dlib.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit only ends the process.
    unsafe { libc::_exit(code) }
}

/// Runs `ask` with the echo of the terminal at stdin turned off. Ctrl-C is a plain character meanwhile, as in getpass:
/// otherwise the program would end and leave the echo turned off. Without a terminal it only runs `ask`.
pub fn without_echo<T>(ask: impl FnOnce() -> T) -> T {
    // SAFETY: `termios` is plain old data, of which zeros are a value; tcgetattr writes only to it.
    let (had, asked) = unsafe {
        let mut termios: libc::termios = std::mem::zeroed();
        (libc::tcgetattr(libc::STDIN_FILENO, &mut termios) == 0, termios)
    };
    if !had {
        return ask();
    }
    let mut mute = asked;
    mute.c_lflag &= !(libc::ECHO | libc::ISIG);
    // SAFETY: tcsetattr only reads the given termios.
    unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSAFLUSH, &mute) };
    let answer = ask();
    // SAFETY: as above.
    unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSAFLUSH, &asked) };
    answer
}

/// The vector instructions of this processor that namecam's libraries use.
pub fn simd() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    return if std::arch::is_x86_feature_detected!("avx2") { "AVX2" } else { "SSE2" };
    #[cfg(target_arch = "aarch64")]
    return "NEON";
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return "none";
}

/// Notifies systemd of the state of the service. Without systemd (no NOTIFY_SOCKET) the calls do nothing.
#[derive(Debug, Default)]
pub struct Notify {
    failed: AtomicBool,
}

impl Notify {
    /// Reads NOTIFY_SOCKET.
    pub fn new() -> Notify {
        Notify::default()
    }

    /// The start or a reload is complete; `status` as in [`Notify::status`].
    pub fn ready(&self, status: &str) {
        self.send(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
    }

    /// A reload begins; [`Notify::ready`] ends it.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.send(&[NotifyState::Reloading, now]),
            Err(_) => self.send(&[NotifyState::Reloading]),
        }
    }

    /// The program ends.
    pub fn stopping(&self) {
        self.send(&[NotifyState::Stopping]);
    }

    /// Sets the status line of `systemctl status`.
    pub fn status(&self, text: &str) {
        self.send(&[NotifyState::Status(&one_line(text))]);
    }

    /// Feeds the watchdog. When no call comes for WatchdogSec, systemd restarts the service.
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

/// How often [`Notify::watchdog`] is due: twice per WatchdogSec. `None` without a watchdog.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|wait| wait / 2).filter(|interval| !interval.is_zero())
}

/// Requests `/healthz` from the program's own port over loopback. True when any HTTP response arrives within `timeout`.
///
/// The accept thread may hang while the port stays open, so only a response proves that it works. Meanwhile
/// `own_question` holds the local address of the connection, so that the server accepts it even when all connections
/// are in use. No other program can have that address at the same time.
pub fn probe_port(listening: SocketAddr, timeout: Duration, own_question: &Mutex<Option<SocketAddr>>) -> bool {
    let line = status_line(way_in(listening), timeout, own_question);
    *own_question.lock().unwrap_or_else(PoisonError::into_inner) = None;
    line.is_some_and(|line| is_http_status(&line))
}

/// The address at which a program on this machine reaches the listening socket.
fn way_in(listening: SocketAddr) -> SocketAddr {
    let mut address = listening;
    match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        // A link-local address is used unchanged, because it needs its scope.
        _ => {}
    }
    address
}

/// Connects to `to` from the same address, which is this machine's. The port is chosen and stored first, because the
/// server may accept before `connect` returns.
fn connect(to: SocketAddr, timeout: Duration, own_question: &Mutex<Option<SocketAddr>>) -> io::Result<TcpStream> {
    let family = if to.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: no pointers; the result is checked.
    let fd = check(unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: `fd` is a socket that was just opened and has no other owner.
    let stream = unsafe { TcpStream::from_raw_fd(fd) };
    let mut own = to;
    own.set_port(0);
    let bound = with_raw(own, |raw, len| {
        // SAFETY: `raw` is an address of `len` bytes that lives through the call.
        check(unsafe { libc::bind(fd, raw, len) })
    });
    // When no exclusive port is free, connect chooses one, and the check is a connection like any other.
    if bound.is_ok() {
        *own_question.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream.local_addr()?);
    }
    // Linux applies this time-out to connect too.
    stream.set_write_timeout(Some(timeout))?;
    with_raw(to, |raw, len| {
        // SAFETY: `raw` is an address of `len` bytes that lives through the call.
        check(unsafe { libc::connect(fd, raw, len) })
    })?;
    Ok(stream)
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
        // Set before each read, so that a byte now and then does not extend the total time.
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
mod tests;
