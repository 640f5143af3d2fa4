//! `pipe:COMMAND`: a program that writes JPEGs to its standard output, as MJPEG or as a multipart stream.

mod messages;

use super::splitter::Splitter;
use super::{Captured, Shot, Source, SourceEnd};
use crate::frame::Moment;
use crate::image::Format;
use crate::os::process::{ProcessGroup, check_left_over};
use anyhow::{Context, Result, anyhow, bail};
use messages::Messages;
pub use messages::Said;
use std::cell::RefCell;
use std::fs;
use std::io::{ErrorKind, Read as _};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{ChildStderr, ChildStdout, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The most bytes that are read before they are split into pictures.
const MAX_READ: u64 = 1 << 20;
/// A program that ends after at most this many pictures was probably meant to go on.
const FEW_PICTURES: u64 = 3;
/// How long namecam waits for a program to end after its output has ended. On a busy machine a program ends later.
const ENDS_WITHIN: Duration = Duration::from_secs(1);
/// The size of the pipe: a whole picture fits, so the program need not wait for namecam.
const PIPE_SIZE: libc::c_int = 1 << 20;

/// The most bytes of messages that are read per second. A program that writes more has to wait.
const MESSAGES_A_SECOND: u64 = 64 << 10;
/// The most bytes of pictures that are read per second: more than any camera delivers.
const PICTURES_A_SECOND: u64 = 128 << 20;
/// The most bytes that are read per second until the program has written a picture.
const JUNK_A_SECOND: u64 = 4 << 20;

/// Limits how many bytes of an output of the program are read per second, so that a program that writes without end
/// does not use up a core.
struct Allowance {
    a_second: u64,
    left: u64,
    /// When `left` was last raised.
    since: Instant,
}

impl Allowance {
    /// The time whose bytes may be read at once.
    const SHARE: Duration = Duration::from_millis(100);

    fn new(a_second: u64) -> Allowance {
        Allowance { a_second, left: a_second / 10, since: Instant::now() }
    }

    /// The bytes that may be read now.
    fn now(&mut self) -> u64 {
        if self.since.elapsed() >= Self::SHARE {
            (self.left, self.since) = (self.a_second / 10, Instant::now());
        }
        self.left
    }

    fn used(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes as u64);
    }
}

/// A child process that writes JPEGs.
pub struct Pipe {
    program: String,
    // The outputs are closed before `child` is dropped, which waits for the program: a program of another user gets no
    // signal, and ends when it cannot write.
    stdout: ChildStdout,
    stderr: Option<ChildStderr>,
    child: ProcessGroup,
    pictures: Splitter,
    messages: Messages,
    picture_bytes: Allowance,
    message_bytes: Allowance,
}

/// Why the program `words` cannot be started, without starting it; `None` when it can.
pub fn trouble(words: &[String]) -> Option<String> {
    let program = words.first()?;
    let runs = |path: &Path| fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.mode() & 0o111 != 0);
    let there = if program.contains('/') {
        runs(Path::new(program))
    } else {
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
        std::env::split_paths(&path).any(|folder| runs(&folder.join(program)))
    };
    let file = program.contains('/') && Path::new(program).exists();
    (!there).then(|| match file {
        true => format!("pipe: '{program}' cannot be started: the file is not executable"),
        false => no_program(program),
    })
}

fn no_program(program: &str) -> String {
    format!("pipe: there is no program named '{program}'")
}

/// Starts `words`, a program and its arguments. `said` holds the messages of its earlier runs.
///
/// # Errors
/// The program does not exist or cannot be started.
pub fn open(words: &[String], said: &Rc<RefCell<Said>>) -> Result<Box<dyn Source>> {
    let (program, arguments) = words.split_first().context("pipe: has no command")?;
    if let Err(why) = check_left_over() {
        bail!("pipe: '{program}' is not started: {why}");
    }
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let parent = std::process::id();
    // SAFETY: between fork and exec only async-signal-safe functions are called, and nothing is allocated.
    unsafe { command.pre_exec(move || prepare_child(parent)) };
    let mut child = command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow!(no_program(program)),
        _ => anyhow!("pipe: '{program}' cannot be started: {error}"),
    })?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    // From here on, dropping `child` ends the process.
    let child = ProcessGroup::new(child);
    let stdout = stdout.context("pipe: no standard output")?;
    never_wait_for(&stdout)?;
    if let Some(stderr) = &stderr {
        never_wait_for(stderr)?;
    }
    // SAFETY: the descriptor is open. A failure is harmless: a smaller pipe is only slower.
    unsafe { libc::fcntl(stdout.as_raw_fd(), libc::F_SETPIPE_SZ, PIPE_SIZE) };
    let (program, messages) = (program.clone(), Messages::new(said));
    let (picture_bytes, message_bytes) = (Allowance::new(JUNK_A_SECOND), Allowance::new(MESSAGES_A_SECOND));
    let pictures = Splitter::default();
    Ok(Box::new(Pipe { program, child, stdout, stderr, pictures, messages, picture_bytes, message_bytes }))
}

/// Runs in the child before the program.
fn prepare_child(parent: u32) -> std::io::Result<()> {
    // SAFETY: the calls touch this process only.
    unsafe {
        // If namecam is killed, the kernel ends the program. The signal is bound to the thread that started the
        // program, the camera thread.
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if libc::getppid() as u32 != parent {
            libc::_exit(1);
        }
    }
    Ok(())
}

fn never_wait_for(file: &impl AsRawFd) -> Result<()> {
    let fd = file.as_raw_fd();
    // SAFETY: the descriptor is open for as long as `file` is borrowed.
    let done = unsafe {
        let flags = libc::fcntl(fd, libc::F_GETFL);
        flags >= 0 && libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) >= 0
    };
    if done { Ok(()) } else { Err(std::io::Error::last_os_error()).context("pipe: O_NONBLOCK") }
}

/// How much of the pipe's content was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    /// A part of the content; the pipe may hold more.
    Part,
    /// As many bytes as the allowance permits for now.
    Enough,
    /// All content that was available.
    All,
    /// All content, and the pipe has ended.
    End,
}

impl Source for Pipe {
    fn next(&mut self, timeout: Duration) -> Result<Shot> {
        if let Some(why) = self.pictures.take_broken() {
            return Ok(Shot::Corrupt(why.to_owned()));
        }
        let deadline = Instant::now() + timeout;
        loop {
            // Checked before reading, so that everything that an ended program wrote is read.
            let ended = self.child.has_ended();
            let read = self.read_stdout()?;
            self.read_stderr();
            if let Some((bytes, dropped)) = self.pictures.newest() {
                let (format, captured_at) = (Format::mjpg(), Moment::now());
                let captured = Captured { format, width: 0, height: 0, stride: 0, bytes, captured_at, dropped };
                return Ok(Shot::Picture(captured));
            }
            if read == Read::End || (ended && read == Read::All) {
                return Err(self.epitaph());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Shot::Nothing);
            }
            match read {
                Read::Part => {}
                Read::Enough => std::thread::sleep(left.min(Allowance::SHARE)),
                Read::All | Read::End => self.wait(left)?,
            }
        }
    }

    fn describe(&self) -> String {
        // The arguments are left out, because they may contain a password.
        format!("pipe: {}, process {}", self.program, self.child.id())
    }

    fn hints(&self) -> Vec<&str> {
        let junk = "between its pictures are bytes that belong to none of them; they are skipped";
        self.pictures.has_junk_between().then_some(junk).into_iter().collect()
    }

    fn why_nothing(&self) -> Option<String> {
        let program = &self.program;
        self.pictures.no_pictures().then(|| {
            format!(
                "{program} writes something other than JPEGs; make it write MJPEG (ffmpeg: -f mjpeg -; rpicam-vid: --codec mjpeg)"
            )
        })
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // Before the outputs are closed: SIGPIPE would end the program before it can put its camera in order.
        self.child.ask_to_end();
    }
}

impl Pipe {
    fn read_stdout(&mut self) -> Result<Read> {
        let most = self.picture_bytes.now().min(MAX_READ);
        if most == 0 {
            return Ok(Read::Enough);
        }
        let before = self.pictures.bytes.len();
        let read = (&mut self.stdout).take(most).read_to_end(&mut self.pictures.bytes);
        self.picture_bytes.used(self.pictures.bytes.len() - before);
        self.pictures.split();
        if self.pictures.whole() > 0 {
            self.picture_bytes.a_second = PICTURES_A_SECOND;
        }
        match read {
            Ok(length) if length as u64 == most => Ok(Read::Part),
            Ok(_) => Ok(Read::End),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Read::All),
            Err(error) => Err(error).with_context(|| format!("{}: its output cannot be read", self.program)),
        }
    }

    fn read_stderr(&mut self) {
        let Some(stderr) = &mut self.stderr else { return };
        let mut bytes = [0; 4096];
        // A program that floods its stderr must not delay its pictures.
        while self.message_bytes.now() > 0 {
            match stderr.read(&mut bytes) {
                Ok(0) => {
                    self.stderr = None;
                    return;
                }
                Ok(length) => {
                    self.message_bytes.used(length);
                    self.messages.take(&self.program, &bytes[..length]);
                }
                Err(_) => return,
            }
        }
    }

    fn wait(&mut self, timeout: Duration) -> Result<()> {
        let may_read = self.message_bytes.now() > 0;
        let stderr = self.stderr.as_ref().filter(|_| may_read).map_or(-1, AsRawFd::as_raw_fd);
        let timeout = if may_read { timeout } else { timeout.min(Allowance::SHARE) };
        let mut fds = [self.stdout.as_raw_fd(), stderr].map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        // Rounded up, because a time-out of 0 ms would cause a busy loop.
        let timeout = timeout.as_micros().div_ceil(1000) as libc::c_int;
        // SAFETY: `fds` is an array of two; the kernel ignores a descriptor of -1.
        let ready = unsafe { libc::poll(fds.as_mut_ptr(), 2, timeout) };
        let error = std::io::Error::last_os_error();
        if ready < 0 && error.kind() != ErrorKind::Interrupted {
            return Err(error).context("pipe: poll");
        }
        Ok(())
    }

    /// Why the pictures have ended.
    fn epitaph(&mut self) -> anyhow::Error {
        // A program that closes its output usually ends at once; its exit status is the better reason.
        let status = if self.child.wait(ENDS_WITHIN) { self.child.reap() } else { None };
        self.read_stderr();
        self.messages.finish(&self.program);
        let program = &self.program;
        let how = match status {
            None => format!("{program} closed its output"),
            Some(status) => match (status.code(), status.signal()) {
                (Some(0), _) if (1..=FEW_PICTURES).contains(&self.pictures.whole()) => {
                    let count = self.pictures.whole();
                    let pictures = if count == 1 { "picture" } else { "pictures" };
                    format!(
                        "{program} ended after {count} {pictures}; make it repeat (ffmpeg: -stream_loop -1, or a loop in a script)"
                    )
                }
                (Some(code), _) => format!("{program} ended with exit status {code}"),
                (None, Some(signal)) => format!("{program} was ended by signal {signal}"),
                (None, None) => format!("{program} ended"),
            },
        };
        let how = self.why_nothing().map_or(how.clone(), |why| format!("{how}: {why}"));
        if self.messages.last_words(Instant::now()).is_empty() {
            // A program without a message on stderr may have written its reason to the standard output, in place of
            // pictures.
            self.messages.take(&self.program, self.pictures.text_without_pictures());
            self.messages.finish(&self.program);
        }
        let last_words = self.messages.last_words(Instant::now()).to_owned();
        SourceEnd { how, last_words }.into()
    }
}

#[cfg(test)]
mod tests;
