use super::*;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::thread;

/// Set in the child process that a test starts from its own binary, because signals and the environment belong to a
/// process.
const CHILD: &str = "NAMECAM_TEST_CHILD";

/// The command that runs a test in a child process.
fn again(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([&format!("service::tests::{test}"), "--exact", "--nocapture", "--test-threads=1"]);
    command.env(CHILD, "1").env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC").env_remove("WATCHDOG_PID");
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Reads the output of the child up to the line `wanted`.
fn expect(out: &mut impl Read, wanted: &str) {
    let (mut all, mut byte) = (Vec::new(), [0]);
    while !String::from_utf8_lossy(&all).lines().any(|line| line.ends_with(wanted)) || all.last() != Some(&b'\n') {
        assert!(out.read(&mut byte).unwrap() == 1, "ended before {wanted}: {}", String::from_utf8_lossy(&all));
        all.push(byte[0]);
    }
}

fn kill(child: &Child, signal: i32) {
    // SAFETY: sends a signal to a child that has not been reaped, so its number is still its own.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
}

#[test]
fn signals_become_events_interrupt_no_poll_and_the_second_stop_is_final() {
    if is_child() {
        let signals = block_signals(Arc::default(), Duration::from_secs(10)).unwrap();
        let (reader, _writer) = std::io::pipe().unwrap();
        let poll = thread::spawn(move || {
            use std::os::fd::AsRawFd;
            let mut waits = libc::pollfd { fd: reader.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: `waits` is one pollfd and lives through the call.
            unsafe { libc::poll(&mut waits, 1, 1000) }
        });
        println!("ready");
        assert_eq!(signals.wait(Duration::from_secs(10)), Some(Event::Reload));
        println!("reload");
        assert_eq!(signals.wait(Duration::from_secs(10)), Some(Event::Stop));
        assert_eq!(signals.wait(Duration::ZERO), Some(Event::Stop));
        assert_eq!(poll.join().unwrap(), 0, "the poll of another thread was interrupted");
        println!("stop");
        thread::sleep(Duration::from_secs(10));
        exit_now(1);
    }
    let mut child = again("signals_become_events_interrupt_no_poll_and_the_second_stop_is_final").spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    expect(&mut out, "ready");
    kill(&child, SIGHUP);
    expect(&mut out, "reload");
    kill(&child, SIGTERM);
    expect(&mut out, "stop");
    kill(&child, SIGINT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_stop_reaches_every_thread_and_ends_the_process_although_no_thread_waits_for_it() {
    if is_child() {
        let stop = Arc::<Stop>::default();
        let signals = block_signals(Arc::clone(&stop), Duration::from_millis(300)).unwrap();
        let looks = thread::spawn(move || println!("stopped {}", stop.wait(Duration::from_secs(60))));
        println!("ready");
        looks.join().unwrap();
        thread::sleep(Duration::from_secs(60));
        drop(signals);
    }
    let test = "a_stop_reaches_every_thread_and_ends_the_process_although_no_thread_waits_for_it";
    let mut child = again(test).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    expect(&mut out, "ready");
    kill(&child, SIGTERM);
    let told = Instant::now();
    expect(&mut out, "stopped true");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(told.elapsed() > Duration::from_millis(290) && told.elapsed() < Duration::from_secs(20));
}

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
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut command = again("systemd_is_told_ready_reloading_stopping_and_one_line_of_status");
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
    let output = again("without_systemd_nothing_is_sent_and_nothing_is_due").output().unwrap();
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
        thread::sleep(Duration::from_secs(2));
    });
    address
}

#[test]
fn a_port_works_when_it_responds_in_http_whatever_the_status() {
    let wait = Duration::from_secs(5);
    assert!(answers(server(b"HTTP/1.1 200 OK\r\n\r\n"), wait));
    assert!(answers(server(b"HTTP/1.0 503 Hung\r\n\r\n"), wait));
    assert!(!answers(server(b"SSH-2.0-OpenSSH_9.2\r\n"), wait));
}

#[test]
fn the_server_knows_the_address_of_the_check_before_it_connects() {
    for host in ["127.0.0.1", "0.0.0.0", "127.0.0.9", "::1", "::"] {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let (address, own_question) = (listener.local_addr().unwrap(), Mutex::default());
        let asks = || probe_port(address, Duration::from_secs(5), &own_question);
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
    assert!(began.elapsed() < Duration::from_millis(1500));
}

#[test]
fn a_port_without_a_listener_does_not_work() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(!answers(address, Duration::from_secs(1)));
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
        assert!(answers(address, Duration::from_secs(5)), "{address}");
    }
}

/// True when the terminal at stdin echoes its input.
fn echoes() -> bool {
    // SAFETY: `termios` is plain old data, which tcgetattr fills.
    unsafe {
        let mut termios: libc::termios = std::mem::zeroed();
        assert_eq!(libc::tcgetattr(0, &mut termios), 0);
        termios.c_lflag & libc::ECHO != 0
    }
}

#[test]
fn a_password_is_not_echoed_and_the_terminal_is_restored_afterwards() {
    if is_child() {
        let before = echoes();
        let during = without_echo(echoes);
        println!("{before} {during} {}", echoes());
        return;
    }
    use std::os::fd::{FromRawFd, OwnedFd};
    let (mut ours, mut terminal) = (0, 0);
    let none = std::ptr::null_mut();
    // SAFETY: openpty writes two descriptors, which have no other owner; it accepts null for the other results.
    let (_ours, terminal) = unsafe {
        assert_eq!(libc::openpty(&mut ours, &mut terminal, none, none.cast(), none.cast()), 0);
        (OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(terminal))
    };
    let mut command = again("a_password_is_not_echoed_and_the_terminal_is_restored_afterwards");
    let output = command.stdin(Stdio::from(terminal)).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("true false true"), "{output:?}");
}

#[test]
fn only_the_thread_that_yields_gets_a_lower_priority_until_the_end() {
    const THIS: &str = "only_the_thread_that_yields_gets_a_lower_priority_until_the_end";
    if !is_child() {
        assert!(again(THIS).status().unwrap().success());
        return;
    }
    let nice = |thread: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{thread}/stat")).unwrap();
        let behind_the_name = stat.rsplit_once(')').unwrap().1;
        behind_the_name.split_whitespace().nth(16).unwrap().parse::<i32>().unwrap()
    };
    let before = nice("thread-self");
    let (says, hears) = std::sync::mpsc::channel();
    thread::spawn(move || {
        yield_to_others();
        // SAFETY: no pointers.
        says.send(unsafe { libc::gettid() }).unwrap();
        thread::sleep(Duration::from_secs(60));
    });
    let patient = format!("self/task/{}", hears.recv().unwrap());
    assert_eq!((nice(&patient), nice("thread-self")), (before.max(5), before));
    // SAFETY: getrlimit writes into the one struct that it is given.
    let may_rise = unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        assert_eq!(libc::getrlimit(libc::RLIMIT_NICE, &mut limit), 0);
        libc::geteuid() == 0 || 20 - limit.rlim_cur as i64 <= i64::from(before)
    };
    yield_no_more();
    assert_eq!(nice(&patient), if may_rise { before } else { before.max(5) });
}
