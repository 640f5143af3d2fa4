use super::*;
use crate::image::jpeg;
use jpeg_encoder::{ColorType, Encoder};

const LONG: Duration = Duration::from_secs(60);

fn picture(width: u16) -> Vec<u8> {
    let mut jpeg = Vec::new();
    let pixels = vec![90; usize::from(width) * 16 * 3];
    Encoder::new(&mut jpeg, 80).encode(&pixels, width, 16, ColorType::Rgb).unwrap();
    jpeg
}

/// A folder in which scripts run, with `16.jpg`, `32.jpg` and `64.jpg`, each named by its width.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for width in [16, 32, 64] {
        std::fs::write(folder.path().join(format!("{width}.jpg")), picture(width)).unwrap();
    }
    folder
}

/// A script, in which `step NAME` waits until the test has taken that step.
fn script(folder: &Path, text: &str) -> Box<dyn Source> {
    let step = "step() { until [ -e \"$1\" ]; do sleep 0.02; done; }";
    let text = format!("cd '{}' || exit 9\n{step}\n{text}", folder.display());
    open(&["sh".to_owned(), "-c".to_owned(), text], &Rc::default()).unwrap()
}

fn take_step(folder: &Path, name: &str) {
    std::fs::write(folder.join(name), "").unwrap();
}

/// The next result other than `Nothing`.
fn next(source: &mut dyn Source) -> Result<Shot> {
    let start = Instant::now();
    loop {
        match source.next(Duration::from_millis(100))? {
            Shot::Nothing => assert!(start.elapsed() < LONG, "nothing came"),
            shot => return Ok(shot),
        }
    }
}

fn next_width(source: &mut dyn Source) -> (u32, u64) {
    match next(source).unwrap() {
        Shot::Picture(picture) => (jpeg::size(&picture.bytes).unwrap().0, picture.dropped),
        other => panic!("{other:?}"),
    }
}

/// True while the process runs. A zombie that its new parent has not yet reaped counts as ended.
fn runs(process: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    !matches!(stat.rsplit(')').next().and_then(|rest| rest.trim().chars().next()), None | Some('Z'))
}

fn wait_for_file(path: &Path) -> String {
    let start = Instant::now();
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.ends_with('\n') {
            return text.trim().to_owned();
        }
        assert!(start.elapsed() < LONG, "{} does not come", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn pictures_come_whole_one_after_the_other() {
    let folder = folder();
    let mut source = script(
        folder.path(),
        "cat 16.jpg; step a; cat 32.jpg; step b; head -c 300 64.jpg; sleep 0.3; tail -c +301 64.jpg; sleep 99",
    );
    for (width, step) in [(16, "a"), (32, "b"), (64, "c")] {
        assert_eq!(next_width(&mut *source), (width, 0));
        take_step(folder.path(), step);
    }
}

#[test]
fn the_newest_of_several_pictures_wins() {
    let folder = folder();
    let mut source = script(folder.path(), "cat 16.jpg 32.jpg 64.jpg; echo > done; sleep 99");
    wait_for_file(&folder.path().join("done"));
    assert_eq!(next_width(&mut *source), (64, 2));
}

#[test]
fn a_multipart_stream_is_read_and_its_heads_are_no_fault() {
    let folder = folder();
    let head = r"printf -- '--ffmpeg\r\nContent-type: image/jpeg\r\nContent-length: 5\r\n\r\n'";
    let mut source =
        script(folder.path(), &format!("for i in 16 32; do {head}; cat $i.jpg; echo; step a; done; sleep 99"));
    assert_eq!(next_width(&mut *source), (16, 0));
    take_step(folder.path(), "a");
    assert_eq!(next_width(&mut *source), (32, 0));
}

#[test]
fn bytes_between_whole_pictures_give_a_hint_and_a_truncated_picture_counts_as_damaged() {
    let folder = folder();
    let mut source = script(
        folder.path(),
        r"printf 'x\001\377\002'; sleep 0.2; printf '\003'; cat 16.jpg; step a; head -c 400 32.jpg; cat 64.jpg; sleep 99",
    );
    assert_eq!(next_width(&mut *source), (16, 0));
    assert!(source.hints().is_empty());
    take_step(folder.path(), "a");
    let shots = [next(&mut *source).unwrap(), next(&mut *source).unwrap()];
    assert!(shots.iter().any(|shot| matches!(shot, Shot::Corrupt(_))), "{shots:?}");
    assert!(shots.iter().any(|shot| matches!(shot, Shot::Picture(p) if p.bytes == picture(64))), "{shots:?}");
}

#[test]
fn whole_pictures_with_any_tail_are_not_damaged() {
    let folder = folder();
    for tail in [
        r"printf 'dhav\001\002\003\004'",
        r"printf '\377\331'",
        r"printf '\000\000\377\000\377'",
        "head -c 5000 /dev/urandom | tr -d '\\377'",
    ] {
        let text = format!("while :; do cat 16.jpg; {tail}; sleep 0.05; done");
        let mut source = script(folder.path(), &text);
        for _ in 0..5 {
            assert_eq!(next_width(&mut *source).0, 16, "{tail}");
        }
        assert!(source.hints().len() <= 1, "{tail}");
    }
}

#[test]
fn a_program_that_never_writes_a_picture_uses_no_memory() {
    let mut splitter = Splitter::default();
    for _ in 0..100 {
        splitter.bytes.extend_from_slice(&[0xFF; 10_000]);
        splitter.split();
        assert!(splitter.bytes.len() <= 1);
    }
    assert!(splitter.no_pictures() && splitter.take_broken().is_none());
    // An endless picture.
    let jpeg = picture(16);
    splitter.bytes.extend_from_slice(&jpeg[..jpeg.len() - 2]);
    for _ in 0..40 {
        splitter.bytes.resize(splitter.bytes.len() + (1 << 20), 1);
        splitter.split();
        assert!(splitter.bytes.len() <= 33 << 20);
    }
    assert_eq!(splitter.take_broken(), Some("a picture over 32 MiB"));
    splitter.bytes.extend_from_slice(&jpeg);
    splitter.split();
    assert_eq!(splitter.newest(), Some((jpeg, 0)));
}

#[test]
fn a_program_that_ends_is_reported_with_its_status_and_last_message() {
    let folder = folder();
    let mut source = script(folder.path(), "cat 16.jpg; echo one >&2; echo 'no such camera' >&2; exit 3");
    assert_eq!(next_width(&mut *source), (16, 0));
    let error = next(&mut *source).unwrap_err();
    assert_eq!(error.to_string(), "sh ended with exit status 3: no such camera");
    let mut source = script(folder.path(), "kill -9 $$");
    assert_eq!(next(&mut *source).unwrap_err().to_string(), "sh was ended by signal 9");
    let mut source = script(folder.path(), "echo '401 Unauthorized: http://me:secret@camera/'");
    assert_eq!(
        next(&mut *source).unwrap_err().to_string(),
        "sh ended with exit status 0: 401 Unauthorized: http://camera/"
    );
    let mut source = script(folder.path(), "cat 16.jpg");
    next_width(&mut *source);
    let once = "sh ended after 1 picture; make it repeat (ffmpeg: -stream_loop -1, or a loop in a script)";
    assert_eq!(next(&mut *source).unwrap_err().to_string(), once);
    let mut source = script(folder.path(), "exec >&-; sleep 99");
    assert_eq!(next(&mut *source).unwrap_err().to_string(), "sh closed its output");
}

#[test]
fn for_a_program_that_writes_something_other_than_jpegs_the_user_is_told_what_to_change() {
    let folder = folder();
    let wrong =
        "sh writes something other than JPEGs; make it write MJPEG (ffmpeg: -f mjpeg -; rpicam-vid: --codec mjpeg)";
    // A parameter set of H.264 that contains the first bytes of a JPEG.
    let h264 = r"printf '\000\000\000\001\147\144\377\330\377\001'";
    for (text, why) in [
        ("yes 'a line'", Some(wrong)),
        (&*format!("{h264}; sleep 99"), Some(wrong)),
        ("head -c 300 64.jpg; cat 64.jpg; sleep 99", None),
        ("tail -c +100 64.jpg; cat 64.jpg; sleep 99", None),
        ("sleep 99", None),
    ] {
        let mut source = script(folder.path(), text);
        let begun = Instant::now();
        let seen = |source: &mut dyn Source| match source.next(Duration::from_millis(100)) {
            Ok(Shot::Picture(_)) => true,
            _ => source.why_nothing().is_some(),
        };
        let patience = if text == "sleep 99" { Duration::from_millis(300) } else { LONG };
        while begun.elapsed() < patience && !seen(&mut *source) {}
        assert_eq!(source.why_nothing().as_deref(), why, "{text}");
    }
    let mut source = script(folder.path(), h264);
    while !matches!(source.next(Duration::from_millis(100)), Err(error) if error.to_string().ends_with(wrong)) {}
}

#[test]
fn an_unknown_program_is_named() {
    let folder = folder();
    let picture = folder.path().join("16.jpg").display().to_string();
    for (program, starts) in
        [("namecam-no-such-program", false), ("/no/such", false), ("true", true), ("/bin/sh", true)]
    {
        let words = [program.to_owned()];
        let told = format!("pipe: there is no program named '{program}'");
        assert_eq!(trouble(&words), (!starts).then(|| told.clone()));
        assert_eq!(open(&words, &Rc::default()).err().map(|error| error.to_string()), (!starts).then_some(told));
    }
    assert_eq!(
        trouble(std::slice::from_ref(&picture)),
        Some(format!("pipe: '{picture}' cannot be started: the file is not executable"))
    );
}

#[test]
fn no_process_of_a_program_is_left_when_it_is_dropped() {
    let folder = folder();
    // The second program ignores SIGTERM, and has a child.
    for text in
        ["echo $$ > a; sleep 999 & echo $! > b; wait", "trap '' TERM; echo $$ > a; sleep 999 & echo $! > b; wait"]
    {
        let source = script(folder.path(), text);
        let processes = ["a", "b"].map(|name| wait_for_file(&folder.path().join(name)));
        assert!(processes.iter().all(|process| runs(process)));
        let start = Instant::now();
        drop(source);
        // The program has 300 ms to end; a busy machine takes longer, and the program itself 999 s.
        assert!(start.elapsed() < LONG, "{:?}", start.elapsed());
        assert!(!Path::new(&format!("/proc/{}", processes[0])).exists(), "a zombie is left");
        let patience = Instant::now();
        while runs(&processes[1]) {
            assert!(patience.elapsed() < LONG, "an orphan is left");
            std::thread::sleep(Duration::from_millis(5));
        }
        for name in ["a", "b"] {
            std::fs::remove_file(folder.path().join(name)).unwrap();
        }
    }
}

#[test]
fn a_program_that_gets_no_signal_ends_because_its_output_is_closed() {
    let folder = folder();
    // It leaves its group, so that no signal to the group reaches it, as if it ran as another user.
    let text = "exec perl -e 'setpgrp 0, getpgrp getppid; open F, \">\", \"a\"; print F \"$$\\n\"; close F; while (1) { print \"x\" x 4096 }'";
    let source = script(folder.path(), text);
    let process = wait_for_file(&folder.path().join("a"));
    let start = Instant::now();
    drop(source);
    assert!(start.elapsed() < LONG && !Path::new(&format!("/proc/{process}")).exists(), "{:?}", start.elapsed());
}

#[test]
fn a_program_that_hangs_or_floods_its_stderr_does_not_block() {
    let folder = folder();
    let mut source = script(folder.path(), "yes 'a line' >&2");
    for _ in 0..3 {
        let start = Instant::now();
        assert!(matches!(source.next(Duration::from_millis(100)), Ok(Shot::Nothing)));
        assert!(start.elapsed() < LONG);
    }
}

/// The processor time of this thread.
fn thread_cpu() -> Duration {
    // SAFETY: clock_gettime writes into the one struct that it is given.
    unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        assert_eq!(libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time), 0);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
}

#[test]
fn a_program_that_floods_its_outputs_takes_a_small_part_of_a_core() {
    let folder = folder();
    for flood in ["yes 'a line' >&2", "yes", "while :; do cat 64.jpg; done >/dev/null & yes 'a line' >&2 & yes"] {
        let mut source = script(folder.path(), flood);
        let (begun, before) = (Instant::now(), thread_cpu());
        while begun.elapsed() < Duration::from_secs(2) {
            let _ = source.next(Duration::from_millis(200));
        }
        let share = (thread_cpu() - before).as_secs_f64() / begun.elapsed().as_secs_f64();
        assert!(share < 0.2, "{flood}: {share:.2} core");
    }
}

#[test]
fn a_child_gets_signals_that_its_parent_blocks() {
    let folder = folder();
    let blocked = std::thread::spawn(move || {
        // SAFETY: the mask is initialised before use and belongs to this thread.
        unsafe {
            let mut mask = std::mem::zeroed();
            libc::sigfillset(&mut mask);
            libc::pthread_sigmask(libc::SIG_SETMASK, &mask, std::ptr::null_mut());
        }
        let source = script(folder.path(), "trap 'echo got > got' TERM; echo $$ > ready; while :; do sleep 0.01; done");
        let program = wait_for_file(&folder.path().join("ready")).parse().unwrap();
        // Not by drop, after which it has 300 ms.
        // SAFETY: sends a signal to a child that is not reaped before the source is dropped.
        assert_eq!(unsafe { libc::kill(program, libc::SIGTERM) }, 0);
        let got = wait_for_file(&folder.path().join("got"));
        drop(source);
        got
    });
    assert_eq!(blocked.join().unwrap(), "got");
}
