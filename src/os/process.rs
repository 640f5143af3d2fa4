//! The process: heap, priority of threads, end, terminal, user, child processes, processor.

use crate::sync::lock;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The nice value of the recognition thread: small, because the encoder may wait for a frame that this thread decodes.
const PATIENT: libc::c_int = 5;

/// The size in bytes from which a block is mapped separately and returned to the system when freed. It is below the 19
/// MiB of a password check.
const MAPPED_BYTES: libc::c_int = 16 << 20;
/// The free memory at the end of the heap that is kept: twice the largest size of blocks that glibc takes from the
/// heap.
const KEPT_BYTES: libc::c_int = 64 << 20;

/// How long a child may take to end after SIGTERM. Together with [`crate::sync::POLL`], this is less than the 600 ms
/// that namecam waits for its threads. If namecam ended first, the child's own children would stay.
const GRACE: Duration = Duration::from_millis(300);
/// How long namecam waits for a child that it has killed. A program of another user (sudo) cannot be killed, and one that
/// waits for a device or a disk ends later.
const KILLED_WITHIN: Duration = Duration::from_secs(5);
/// The most children that may be left over: killed, and not ended within [`KILLED_WITHIN`].
const MAX_LEFT_OVER: usize = 4;
/// The process ids of the children that are left over. They are not reaped, so no other process has these ids.
static LEFT_OVER: Mutex<Vec<libc::pid_t>> = Mutex::new(Vec::new());

/// Makes all threads allocate from one heap. It must be called before the first thread starts. By default glibc uses up
/// to eight heaps per processor. Each heap would keep the megabytes of a decoded frame, because the threads of viewers
/// take turns to decode.
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

/// Returns the free memory of the heap to the system, also that between blocks in use. Other threads cannot allocate
/// meanwhile.
pub fn give_back_memory() {
    // SAFETY: malloc_trim takes a number, and frees only what is free already.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// The most bytes of a program's stderr that are read.
const MAX_SAID: usize = 2000;

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
        // SAFETY: no pointers; the number is the id of a thread of this process, which ends only with the process.
        unsafe {
            libc::setpriority(libc::PRIO_PROCESS, thread as libc::id_t, libc::getpriority(libc::PRIO_PROCESS, 0))
        };
    }
}

/// The processor time that all threads of the process have taken.
pub fn cpu_time() -> Duration {
    let mut taken = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes only to `taken`; the clock exists on every Linux, and on an error `taken` stays 0.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut taken) };
    Duration::new(taken.tv_sec.try_into().unwrap_or(0), taken.tv_nsec.try_into().unwrap_or(0))
}

/// The resources that the process uses.
#[derive(Debug)]
pub struct Usage {
    /// The processor time of all threads.
    pub cpu: Duration,
    /// The memory in use.
    pub resident_bytes: u64,
    /// The address space in use.
    pub virtual_bytes: u64,
    /// The number of open file descriptors.
    pub open_files: usize,
    /// The most file descriptors that may be open; `u64::MAX` without a limit.
    pub most_open_files: u64,
}

impl Usage {
    /// The current use; `None` when the kernel does not report it.
    pub fn now() -> Option<Usage> {
        let read = |file: &str| std::fs::read_to_string(file).ok();
        let (status, limits) = (read("/proc/self/status")?, read("/proc/self/limits")?);
        // The first word after `name` in the line that begins with `name`.
        let word = |text: &'_ str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next().map(str::to_owned)
        };
        let bytes = |name| Some(word(&status, name)?.parse::<u64>().ok()? * 1024);
        Some(Usage {
            cpu: cpu_time(),
            resident_bytes: bytes("VmRSS:")?,
            virtual_bytes: bytes("VmSize:")?,
            // One descriptor belongs to the reading of the folder.
            open_files: std::fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1),
            most_open_files: word(&limits, "Max open files")?.parse().unwrap_or(u64::MAX),
        })
    }
}

/// Ends the process at once, without destructors and exit handlers, which may wait for a thread that hangs in dlib.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit only ends the process.
    unsafe { libc::_exit(code) }
}

/// Runs `ask` with the echo of the terminal at stdin turned off. Meanwhile Ctrl-C is a plain character, as in getpass:
/// otherwise the program would end and leave the echo turned off. Without a terminal this only runs `ask`.
pub fn without_echo<T>(ask: impl FnOnce() -> T) -> T {
    // SAFETY: `termios` is plain old data, for which zeros are a valid value; tcgetattr writes only to that value.
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

/// The most symbolic links that are followed from a file name to the file.
const MAX_LINKS: usize = 16;

/// The user and group of the first folder that does not belong to root, on the way from `file` along its symbolic
/// links. `None` when every folder belongs to root.
fn folders_owner(file: &Path) -> io::Result<Option<(u32, u32)>> {
    let mut file = file.to_owned();
    for _ in 0..MAX_LINKS {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let meta = std::fs::metadata(folder)?;
        if meta.uid() != 0 {
            return Ok(Some((meta.uid(), meta.gid())));
        }
        let Ok(target) = std::fs::read_link(&file) else { return Ok(None) };
        file = folder.join(target);
    }
    Err(io::Error::from_raw_os_error(libc::ELOOP))
}

/// Changes a process of root to the user who owns the folder of `file`. That user may replace `file` by a link to any
/// file; afterwards the process can read and write only files that the user may read and write. A new file belongs to
/// the user.
///
/// # Errors
/// The folder does not exist, or the kernel refuses the change.
pub fn act_as_owner_of_folder(file: &Path) -> io::Result<()> {
    // SAFETY: no pointers.
    if unsafe { libc::geteuid() } != 0 {
        return Ok(());
    }
    let Some((user, group)) = folders_owner(file)? else { return Ok(()) };
    // SAFETY: an empty list of groups is not read. The groups are set before the user, because the user may not change
    // them.
    let refused = unsafe {
        libc::setgroups(0, std::ptr::null()) != 0
            || libc::setresgid(group, group, group) != 0
            || libc::setresuid(user, user, user) != 0
    };
    if refused { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A child process and the processes that the child starts. Dropping this ends all of them.
#[derive(Debug)]
pub struct ProcessGroup {
    child: Child,
    asked: bool,
    /// True when the group was killed. From then on its id may belong to another group.
    killed: bool,
}

impl ProcessGroup {
    /// The group of `child`, which must lead a process group of its own.
    pub fn new(child: Child) -> ProcessGroup {
        ProcessGroup { child, asked: false, killed: false }
    }

    /// The process id of the child.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// True when the child has ended. The child is not reaped by this call, so its process id cannot be reused.
    pub fn has_ended(&self) -> bool {
        // SAFETY: siginfo_t is plain data, for which zeros are a valid value, and the kernel writes into it.
        unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
            libc::waitid(libc::P_PID, self.child.id(), &mut info, flags) == 0 && info.si_pid() != 0
        }
    }

    /// Waits for the child to end, at most `timeout`. Returns true when the child has ended.
    pub fn wait(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        while !self.has_ended() {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }

    /// Sends a signal to all processes of the group. Returns false when none of them may get it, because they run as
    /// another user, and when the group was killed.
    pub fn signal(&self, signal: libc::c_int) -> bool {
        // SAFETY: no pointers. The child leads its own group and is not reaped before `killed` is set, so no other group
        // has this id.
        !self.killed && unsafe { libc::kill(-(self.child.id() as libc::pid_t), signal) == 0 }
    }

    /// Asks the processes of the group to end, and waits a moment for the child, unless the group was killed.
    pub fn ask_to_end(&mut self) {
        if !self.asked && !self.killed {
            self.asked = true;
            self.signal(libc::SIGTERM);
            self.wait(GRACE);
        }
    }

    /// Kills the remaining processes of the group, and reaps the child. `None` when the child does not end within 5
    /// seconds, and at a second call.
    pub fn reap(&mut self) -> Option<ExitStatus> {
        self.reap_within(KILLED_WITHIN)
    }

    fn reap_within(&mut self, timeout: Duration) -> Option<ExitStatus> {
        if self.killed {
            return None;
        }
        let is_sent = self.signal(libc::SIGKILL);
        self.killed = true;
        if self.wait(timeout) {
            return self.child.wait().ok();
        }
        let why = if is_sent { "it waits for a device or a disk" } else { "it runs as another user" };
        log::warn!("process {} was killed and has not ended: {why}", self.id());
        lock(&LEFT_OVER).push(self.id() as libc::pid_t);
        None
    }
}

/// Checks that few killed programs are still there, before another one is started.
///
/// # Errors
/// The processes that have not ended.
pub fn check_left_over() -> Result<(), String> {
    let mut left = lock(&LEFT_OVER);
    // SAFETY: the ids are those of children that are not reaped; null means that the status is not wanted.
    left.retain(|id| unsafe { libc::waitpid(*id, std::ptr::null_mut(), libc::WNOHANG) == 0 });
    if left.len() < MAX_LEFT_OVER {
        return Ok(());
    }
    let ids: Vec<String> = left.iter().map(libc::pid_t::to_string).collect();
    Err(format!("{} programs were killed and have not ended (processes {}): end them", ids.len(), ids.join(", ")))
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if !self.killed {
            self.ask_to_end();
            self.reap();
        }
    }
}

/// True for a process with the rights of root.
pub fn is_root() -> bool {
    // SAFETY: no pointers.
    unsafe { libc::geteuid() == 0 }
}

/// Runs `program` and returns its standard output.
///
/// # Errors
/// The program cannot be started, fails, takes longer than `patience`, or prints more than `most` bytes.
pub fn output_of(program: &str, arguments: &[&str], most: usize, patience: Duration) -> Result<String, String> {
    check_left_over()?;
    let mut command = Command::new(program);
    command.args(arguments).env("LC_ALL", "C").process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "there is no such program".to_owned(),
        _ => format!("cannot be started: {error}"),
    })?;
    let (out, said) = (child.stdout.take(), child.stderr.take());
    let mut child = ProcessGroup::new(child);
    let (sends, read) = std::sync::mpsc::channel();
    // A thread ends when the child closes its end of the pipe, also because the child is killed.
    let read_all = |which: usize, from: Option<Box<dyn io::Read + Send>>, most: usize| {
        let sends = sends.clone();
        std::thread::Builder::new().spawn(move || {
            let mut bytes = Vec::new();
            let _ = from.map(|from| from.take(most as u64 + 1).read_to_end(&mut bytes));
            let _ = sends.send((which, bytes));
        })
    };
    read_all(0, out.map(|out| Box::new(out) as _), most).map_err(|error| error.to_string())?;
    read_all(1, said.map(|said| Box::new(said) as _), MAX_SAID).map_err(|error| error.to_string())?;
    let (deadline, mut texts) = (Instant::now() + patience, [Vec::new(), Vec::new()]);
    for _ in 0..texts.len() {
        let late = |_| format!("it does not answer within {} s", patience.as_secs());
        let (which, bytes) = read.recv_timeout(deadline.saturating_duration_since(Instant::now())).map_err(late)?;
        texts[which] = bytes;
        if which == 0 && texts[0].len() > most {
            return Err(format!("it says more than {most} bytes"));
        }
    }
    let has_ended = child.wait(deadline.saturating_duration_since(Instant::now()));
    let status = child.reap().filter(|_| has_ended);
    let [printed, said] = texts.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    match status {
        Some(status) if status.success() => Ok(printed),
        _ => Err(said.lines().next().unwrap_or("it fails and does not say why").to_owned()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::tests::child::{again, is_child};
    use std::process::Stdio;
    use std::thread;

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
    fn what_the_process_takes_grows_with_what_it_opens_and_does() {
        const THIS: &str = "what_the_process_takes_grows_with_what_it_opens_and_does";
        if !is_child() {
            // The test needs a process of its own, because other tests open files meanwhile.
            assert!(again(module_path!(), THIS).status().unwrap().success());
            return;
        }
        let before = Usage::now().unwrap();
        let files: Vec<_> = (0..5).map(|_| std::fs::File::open("/proc/self/status").unwrap()).collect();
        let memory = vec![1_u8; 32 << 20];
        let (begun, mut after) = (Instant::now(), Usage::now().unwrap());
        // The system counts the time of the processor in steps.
        while after.cpu <= before.cpu && begun.elapsed() < Duration::from_secs(30) {
            after = Usage::now().unwrap();
        }
        assert_eq!(after.open_files, before.open_files + files.len());
        assert!(after.resident_bytes >= before.resident_bytes + (30 << 20), "{before:?} {after:?}");
        assert!(after.virtual_bytes > after.resident_bytes, "{after:?}");
        assert!(after.cpu > before.cpu && after.most_open_files > after.open_files as u64, "{after:?}");
        assert_eq!(memory.iter().filter(|byte| **byte == 1).count(), 32 << 20);
    }

    #[cfg(target_env = "gnu")]
    #[test]
    fn free_memory_between_blocks_in_use_is_given_back() {
        const THIS: &str = "free_memory_between_blocks_in_use_is_given_back";
        if !is_child() {
            assert!(again(module_path!(), THIS).status().unwrap().success());
            return;
        }
        share_one_heap();
        let blocks: Vec<Vec<u8>> = (0..1024).map(|_| vec![1; 64 << 10]).collect();
        let kept: Vec<_> = blocks.into_iter().enumerate().filter(|(at, _)| at % 16 == 15).collect();
        let before = Usage::now().unwrap().resident_bytes;
        give_back_memory();
        let after = Usage::now().unwrap().resident_bytes;
        assert!(kept.len() == 64 && after + (40 << 20) < before, "{before} {after}");
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
        let mut command = again(module_path!(), "a_password_is_not_echoed_and_the_terminal_is_restored_afterwards");
        let output = command.stdin(Stdio::from(terminal)).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("true false true"), "{output:?}");
    }

    #[test]
    fn the_output_of_a_program_is_bounded_in_time_and_size() {
        let within = |script: &str, seconds| output_of("sh", &["-c", script], 100, Duration::from_secs(seconds));
        let ask = |script: &str| within(script, 30);
        assert_eq!(ask("echo a; echo b >&2").unwrap(), "a\n");
        assert_eq!(ask("echo no >&2; exit 1").unwrap_err(), "no");
        assert_eq!(ask("exit 1").unwrap_err(), "it fails and does not say why");
        assert_eq!(ask("yes").unwrap_err(), "it says more than 100 bytes");
        let begun = Instant::now();
        assert_eq!(within("sleep 60 & sleep 60", 1).unwrap_err(), "it does not answer within 1 s");
        assert!(begun.elapsed() < Duration::from_secs(30));
        assert_eq!(output_of("namecam-none", &[], 1, Duration::ZERO).unwrap_err(), "there is no such program");
    }

    #[test]
    fn a_group_whose_child_is_reaped_gets_no_signal() {
        let mut group = ProcessGroup::new(Command::new("true").process_group(0).spawn().unwrap());
        assert!(group.reap().is_some());
        group.ask_to_end();
        assert!(!group.asked && !group.signal(libc::SIGTERM) && group.reap().is_none());
    }

    #[test]
    fn a_child_that_a_kill_does_not_end_is_left_after_a_while_and_reaped_when_it_has_ended() {
        const THIS: &str = "a_child_that_a_kill_does_not_end_is_left_after_a_while_and_reaped_when_it_has_ended";
        if !is_child() {
            // The test needs a process of its own, because other tests start programs meanwhile.
            assert!(again(module_path!(), THIS).status().unwrap().success());
            return;
        }
        // These lead no group, so the signals do not reach them.
        let left: Vec<u32> = (0..MAX_LEFT_OVER)
            .map(|_| {
                assert_eq!(check_left_over(), Ok(()));
                let mut group = ProcessGroup::new(Command::new("sleep").arg("999").spawn().unwrap());
                assert_eq!(group.reap_within(Duration::from_millis(50)), None);
                group.id()
            })
            .collect();
        let told = check_left_over().unwrap_err();
        assert!(told.contains(&left[0].to_string()) && told.ends_with("end them"), "{told}");
        assert_eq!(output_of("true", &[], 1, Duration::from_secs(30)), Err(told));
        for id in left {
            // SAFETY: the child is not reaped.
            assert_eq!(unsafe { libc::kill(id as libc::pid_t, libc::SIGKILL) }, 0);
        }
        let begun = Instant::now();
        while !lock(&LEFT_OVER).is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(30));
            let _ = check_left_over();
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn only_the_thread_that_yields_gets_a_lower_priority_until_the_end() {
        const THIS: &str = "only_the_thread_that_yields_gets_a_lower_priority_until_the_end";
        if !is_child() {
            assert!(again(module_path!(), THIS).status().unwrap().success());
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
}
