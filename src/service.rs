//! What makes the program a service: signals, systemd's notifications and its watchdog.

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

/// How much less urgent than others, as `nice` has it: not much more, as the encoder may wait for what this thread decodes.
const PATIENT: libc::c_int = 5;

/// From this size on a block is mapped by itself and given back when it is freed: less than the 19 MiB of a password check.
const MAPPED_BYTES: libc::c_int = 16 << 20;
/// So much free memory at the end of the heap is kept: twice the largest size up to which glibc would let blocks come from it.
const KEPT_BYTES: libc::c_int = 64 << 20;

/// Makes all threads allocate from one heap, before the first of them does. glibc gives them up to eight a processor, and
/// each keeps the megabytes of a decoded frame, as viewers' threads take turns to decode.
///
/// glibc raises the size from which blocks are mapped to 32 MiB after the first such block is freed. The memory of a password
/// check would come from the heap then, and a request that waits for its answer would keep it there.
pub fn share_one_heap() {
    // SAFETY: mallopt takes two numbers and changes nothing but glibc's own.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES);
    }
}

/// The thread that called [`yield_to_others`]; 0 before that.
static PATIENT_THREAD: AtomicI32 = AtomicI32::new(0);

/// The thread that calls this leaves a busy processor to the others. Where that is refused, all goes on as before.
pub fn yield_to_others() {
    // On Linux a nice value is a thread's; 0 means the one that calls.
    // SAFETY: no pointers.
    let result = unsafe {
        PATIENT_THREAD.store(libc::gettid(), Relaxed);
        libc::setpriority(libc::PRIO_PROCESS, 0, PATIENT)
    };
    if result != 0 {
        log::debug!("no lower priority for this thread: {}", std::io::Error::last_os_error());
    }
}

/// The thread that called [`yield_to_others`] is as urgent as the one that calls this. At the end it may be the last one, and
/// the last one gives the memory back, in the kernel. Where that is refused (the unit's LimitNICE allows it), it takes longer.
pub fn yield_no_more() {
    let thread = PATIENT_THREAD.load(Relaxed);
    if thread != 0 {
        // SAFETY: no pointers; the number is a thread's of this process, as recognition's ends with the process only.
        unsafe {
            libc::setpriority(libc::PRIO_PROCESS, thread as libc::id_t, libc::getpriority(libc::PRIO_PROCESS, 0))
        };
    }
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// SIGTERM or SIGINT: end.
    Stop,
    /// SIGHUP: read config and gallery again.
    Reload,
}

#[derive(Debug, Default)]
struct Asked {
    stop: bool,
    reload: bool,
}

/// The signals that the program takes. Made by [`block_signals`].
#[derive(Debug)]
pub struct Signals {
    shared: Arc<(Mutex<Asked>, Condvar)>,
}

/// Blocks SIGTERM, SIGINT and SIGHUP in this thread and so in every thread that it starts later, and starts the one
/// thread that takes them. First thing in `main`: a thread that is older than this call could still be interrupted.
///
/// The first SIGTERM or SIGINT sets `stop` for every thread, and `within` later the process ends with exit status 0,
/// whatever its threads do: the one that asks [`Signals::wait`] may wait for a disk at that time.
/// A second SIGTERM or SIGINT ends the process there and then, with 128 and the number as its exit code.
/// Programs started from here inherit the blocked signals unless they are given an empty mask.
///
/// # Errors
/// When the handlers or the thread cannot be had.
pub fn block_signals(stop: Arc<Stop>, within: Duration) -> anyhow::Result<Signals> {
    const TAKEN: [i32; 3] = [SIGTERM, SIGINT, SIGHUP];
    mask(libc::SIG_BLOCK, &TAKEN).context("signals cannot be blocked")?;
    let mut incoming = signal_hook::iterator::Signals::new(TAKEN).context("signals cannot be taken")?;
    let shared = Arc::new((Mutex::new(Asked::default()), Condvar::new()));
    let signals = Signals { shared: Arc::clone(&shared) };
    let take = move || {
        // Only here are they let in, so that signal-hook's handler interrupts this thread and no other one.
        if let Err(error) = mask(libc::SIG_UNBLOCK, &TAKEN) {
            log::error!("signals cannot be taken: {error}");
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
    std::thread::Builder::new().name("signals".into()).spawn(take).context("no thread for signals")?;
    Ok(signals)
}

impl Signals {
    /// Waits for a signal, `timeout` at most. Several SIGHUPs before the call are one `Reload`; once it is time to
    /// stop, every call says `Stop` at once.
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

/// Ends the process at once: no destructors, no exit handlers, which may wait for a thread that hangs in dlib.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit does nothing but end the process.
    unsafe { libc::_exit(code) }
}

/// Runs `ask` while the terminal at stdin shows nothing of what is typed. Ctrl-C is a character meanwhile, as in
/// getpass: the program would end and leave a mute terminal behind. Without a terminal it just runs `ask`.
pub fn without_echo<T>(ask: impl FnOnce() -> T) -> T {
    // SAFETY: `termios` is plain old data, of which zeros are a value; tcgetattr writes to nothing but it.
    let (had, asked) = unsafe {
        let mut termios: libc::termios = std::mem::zeroed();
        (libc::tcgetattr(libc::STDIN_FILENO, &mut termios) == 0, termios)
    };
    if !had {
        return ask();
    }
    let mut mute = asked;
    mute.c_lflag &= !(libc::ECHO | libc::ISIG);
    // SAFETY: tcsetattr only reads the termios that it is given.
    unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSAFLUSH, &mute) };
    let answer = ask();
    // SAFETY: as above.
    unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSAFLUSH, &asked) };
    answer
}

/// The vector instructions that this processor has and namecam's libraries use.
pub fn simd() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    return if std::arch::is_x86_feature_detected!("avx2") { "AVX2" } else { "SSE2" };
    #[cfg(target_arch = "aarch64")]
    return "NEON";
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return "none";
}

/// Tells systemd how the service is. Without systemd (no NOTIFY_SOCKET) every call does nothing.
#[derive(Debug, Default)]
pub struct Notify {
    failed: AtomicBool,
}

impl Notify {
    /// Ready to tell whoever NOTIFY_SOCKET names.
    pub fn new() -> Notify {
        Notify::default()
    }

    /// Start, or a reload, is complete; `status` as in [`Notify::status`].
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

    /// A line for `systemctl status`.
    pub fn status(&self, text: &str) {
        self.send(&[NotifyState::Status(&one_line(text))]);
    }

    /// The program is well. Stays away for longer than WatchdogSec: systemd starts it again.
    pub fn watchdog(&self) {
        self.send(&[NotifyState::Watchdog]);
    }

    fn send(&self, states: &[NotifyState<'_>]) {
        if let Err(error) = sd_notify::notify(states)
            && !self.failed.swap(true, Relaxed)
        {
            log::warn!("systemd cannot be told how the service is: {error}");
        }
    }
}

/// A line end in a status would begin another assignment, such as STOPPING=1; names of people stand in it.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// How often [`Notify::watchdog`] is due: twice in the time that systemd waits. `None`: systemd does not wait for it.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|wait| wait / 2).filter(|interval| !interval.is_zero())
}

/// Asks the program's own port for `/healthz` over loopback. True when any HTTP answer comes within `timeout`.
///
/// An accept thread may hang while the port stays open: only an answer proves that it lives. While it asks, the address
/// of its own end stands in `own_question`, so that the server can let it in when it lets nobody else in. No other program
/// can have that address meanwhile.
pub fn probe_port(listening: SocketAddr, timeout: Duration, own_question: &Mutex<Option<SocketAddr>>) -> bool {
    let line = status_line(way_in(listening), timeout, own_question);
    *own_question.lock().unwrap_or_else(PoisonError::into_inner) = None;
    line.is_some_and(|line| is_http_status(&line))
}

/// Where a program on this machine finds what listens there.
fn way_in(listening: SocketAddr) -> SocketAddr {
    let mut address = listening;
    match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        // As it is: a link-local address is nothing without its link.
        _ => {}
    }
    address
}

/// Connects from the address that it connects to, as that is this machine's. The port is chosen and noted first: the
/// server may accept before `connect` returns.
fn connect(to: SocketAddr, timeout: Duration, own_question: &Mutex<Option<SocketAddr>>) -> io::Result<TcpStream> {
    let family = if to.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: no pointers; the result is checked.
    let fd = check(unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: `fd` is a socket that was opened just now and that nobody else owns.
    let stream = unsafe { TcpStream::from_raw_fd(fd) };
    let mut own = to;
    own.set_port(0);
    let bound = with_raw(own, |raw, len| {
        // SAFETY: `raw` is an address of `len` bytes that lives through the call.
        check(unsafe { libc::bind(fd, raw, len) })
    });
    // When no port is free for it alone, connect chooses one, and the question is a connection like any other.
    if bound.is_ok() {
        *own_question.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream.local_addr()?);
    }
    // Linux gives up a connect after this time too.
    stream.set_write_timeout(Some(timeout))?;
    with_raw(to, |raw, len| {
        // SAFETY: `raw` is an address of `len` bytes that lives through the call.
        check(unsafe { libc::connect(fd, raw, len) })
    })?;
    Ok(stream)
}

/// The first bytes of the answer, as many as a status has.
fn status_line(address: SocketAddr, timeout: Duration, own_question: &Mutex<Option<SocketAddr>>) -> Option<[u8; 12]> {
    let deadline = Instant::now() + timeout;
    let left = || Some(deadline.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero());
    let mut stream = connect(address, left()?, own_question).ok()?;
    stream.set_write_timeout(left()).ok()?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let (mut line, mut read) = ([0; 12], 0);
    while read < line.len() {
        // Anew before each read: a byte now and then must not prolong the whole.
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
