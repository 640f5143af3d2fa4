//! Cameras that come and go, that deliver nonsense, and programs in place of a camera that do not behave.

use crate::support::{Home, PATIENCE, Running};
use crate::watch::{Random, Usage, Watch};
use crate::{Fault, Figures};
use image::codecs::jpeg::JpegEncoder;
use std::io::Write;
use std::time::{Duration, Instant};

/// The longest gap that a viewer may have: the last picture comes again after a second.
const GAP: Option<Duration> = Some(Duration::from_millis(1100));

fn number(running: &Running, key: &str) -> u64 {
    running.state()["camera"][key].as_u64().unwrap()
}

pub const LOST: Fault = Fault {
    name: "camera-lost",
    wrong: "the program that delivers pictures ends, is killed, or closes its output",
    does: "sends the last picture or a notice every second; starts the program again after 0.2 to 3 s",
    within: GAP,
    waits: true,
    run: lost,
};

fn lost(full: bool) -> Figures {
    let (homes, losses) = if full { (10, 100) } else { (1, 4) };
    let all: Vec<Figures> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..homes).map(|at| scope.spawn(move || lost_often(at, losses, full))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no loss")).collect()
    });
    let tried = homes * losses;
    let gap = all.iter().filter_map(|figures| figures.gap).max().unwrap();
    let late = all.iter().map(|figures| figures.late).max().unwrap();
    let worst = all.into_iter().max_by_key(|figures| figures.after.memory_kib * 1000 / figures.before.memory_kib);
    Figures { tried, survived: tried, gap: Some(gap), late, ..worst.unwrap() }
}

fn lost_often(at: u64, losses: u64, full: bool) -> Figures {
    let home = Home::new("");
    home.still_camera("obama.jpg");
    let (jpeg, starts) = (home.path("camera.jpg"), home.path("starts"));
    let end = ["exit 1", "kill -9 $$", "exec >&-; sleep 0.2", "exec 2>&-; exit 0"][at as usize % 4];
    let script = format!(
        "printf x >>{}; for i in 1 2 3 4; do cat {}; sleep 0.05; done; {end}",
        starts.display(),
        jpeg.display()
    );
    home.write_config(&format!("[camera]\nsource = pipe:sh -c '{script}'\n[recognition]\nenabled = no\n"));
    let running = home.run();
    running.until("pictures", |running| number(running, "frames") > 0);
    let watch = Watch::of(running.address);
    let count = || std::fs::metadata(&starts).map_or(0, |file| file.len());
    let patience = PATIENCE + Duration::from_secs(5) * losses as u32;
    let begun = Instant::now();
    let mut before = None;
    while count() <= losses {
        if count() > losses / 3 {
            before.get_or_insert_with(|| Usage::of(running.pid()));
        }
        assert!(begun.elapsed() < patience, "{} of {losses} losses: {}", count(), running.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    let frames = number(&running, "frames");
    running.until("it is back", |running| number(running, "frames") > frames);
    let seen = watch.end();
    assert_eq!(seen.breaks, 0);
    let before = before.unwrap();
    Figures::default().seen(seen).held(before, Usage::after(running.pid(), before, full))
}

pub const DAMAGED: Fault = Fault {
    name: "frames-damaged",
    wrong: "frames are truncated, empty, of another size or format, no JPEG at all, or have flipped bits",
    does: "shows those that can be decoded, counts the others as damaged, shows the next good one",
    within: GAP,
    waits: false,
    run: damaged,
};

/// Of so many frames one is good, so that it shows whether the camera goes on.
const GOOD_ONE_IN: u64 = 10;

fn damaged(full: bool) -> Figures {
    let tried: u64 = if full { 100_000 } else { 1500 };
    let home = Home::new("");
    let me = std::env::current_exe().unwrap();
    let config = |count: u64, seed: u64| {
        let source = format!("pipe:{} feed {count} {seed}", me.display());
        // A frame that is turned is decoded, whatever is drawn on it.
        format!("[camera]\nsource = {source}\nrotate = 90\n[recognition]\nenabled = no\n")
    };
    let is_over = |count: u64, seed: u64| {
        std::fs::read_to_string(home.path("fed")).is_ok_and(|text| text == format!("{count} {seed}"))
    };
    let first = if full { 5000 } else { 300 };
    home.write_config(&config(first, 7));
    let running = home.run();
    let watch = Watch::of(running.address);
    running.until("the first frames", |_| is_over(first, 7));
    let counts = || ["frames", "corrupt", "dropped"].map(|key| number(&running, key));
    let (at_first, first_usage) = (counts(), Usage::of(running.pid()));
    let feed = |count: u64, seed: u64| {
        home.write_config(&config(count, seed));
        running.signal(libc::SIGHUP);
        let begun = Instant::now();
        while !is_over(count, seed) {
            let patience = Duration::from_secs(if full { 1800 } else { 180 });
            assert!(begun.elapsed() < patience, "{:?} {}", counts(), running.log());
            std::thread::sleep(Duration::from_millis(200));
        }
    };
    // What the first half leaves in memory is what the second half must not add to.
    feed(tried / 2, 3);
    let before = Usage::of(running.pid());
    feed(tried / 2, 5);
    let [frames, corrupt, dropped] = counts();
    running.until("good frames again", |running| number(running, "frames") > frames + 20);
    let seen = watch.end();
    assert_eq!(seen.breaks, 0, "{}", running.log());
    assert!(corrupt > at_first[1], "{:?}", counts());
    let [frames, corrupt, dropped] = [frames - at_first[0], corrupt - at_first[1], dropped.saturating_sub(at_first[2])];
    let remark = format!(
        "{frames} taken, {corrupt} refused as damaged, {dropped} passed over for newer ones; {first_usage} after the first {first}, \
         *before* is after half of them"
    );
    let after = Usage::after(running.pid(), before, full);
    Figures { tried, survived: tried, remark, ..Figures::default() }.seen(seen).held(before, after)
}

/// The program in place of a camera: so many frames by a seed, nine of ten damaged; good ones then, after it has said so in `fed`.
pub fn feed(words: &[String]) {
    let [count, seed] = words else { panic!("feed COUNT SEED") };
    let mut random = Random(seed.parse().unwrap());
    let sizes = [(320, 240), (64, 48), (1000, 30), (16, 16), (17, 33), (640, 480)];
    let good: Vec<Vec<u8>> = sizes.iter().map(|&(width, height)| jpeg(width, height, 80)).collect();
    let count: u64 = count.parse().unwrap();
    let mut out = std::io::stdout().lock();
    for number in 0..count {
        let mut bytes = good[random.below(good.len() as u64) as usize].clone();
        if number % GOOD_ONE_IN != 0 {
            damage(&mut bytes, &mut random);
        }
        if out.write_all(&bytes).and_then(|()| out.flush()).is_err() {
            return;
        }
        std::thread::sleep(Duration::from_millis(if number % GOOD_ONE_IN == 0 { 5 } else { 1 }));
    }
    std::fs::write("fed", format!("{count} {seed}")).unwrap();
    while out.write_all(&good[0]).and_then(|()| out.flush()).is_ok() {
        std::thread::sleep(Duration::from_millis(40));
    }
}

/// A JPEG with some detail.
fn jpeg(width: u32, height: u32, quality: u8) -> Vec<u8> {
    let shade = |x, y| image::Rgb([(x * 7 % 256) as u8, (y * 5 % 256) as u8, ((x ^ y) % 256) as u8]);
    let picture = image::RgbImage::from_fn(width, height, shade);
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(&picture).unwrap();
    bytes
}

fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    let length = bytes.len() as u64;
    let any = |random: &mut Random| random.below(length) as usize;
    match random.below(10) {
        0 => bytes.truncate(any(random)),
        1 => bytes.clear(),
        2 => {
            for _ in 0..1 + random.below(20) {
                bytes[any(random)] ^= 1 << random.below(8);
            }
        }
        3 => {
            // Within the head, where sizes and tables are.
            for _ in 0..3 {
                bytes[random.below(600.min(length)) as usize] = random.below(256) as u8;
            }
        }
        4 => {
            // Another size than the data has, up to 65535 pixels.
            if let Some(at) = bytes.windows(2).position(|marker| marker == [0xff, 0xc0]) {
                for byte in &mut bytes[at + 5..at + 9] {
                    *byte = random.below(256) as u8;
                }
            }
        }
        5 => {
            // Without one of its tables.
            let marker = [0xc4, 0xdb, 0xda][random.below(3) as usize];
            if let Some(at) = bytes.windows(2).position(|found| found == [0xff, marker]) {
                let end = at + 2 + usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
                bytes.drain(at..end.min(bytes.len()));
            }
        }
        6 => {
            let (from, to) = (any(random), any(random));
            bytes[from.min(to)..from.max(to)].fill(0);
        }
        7 => *bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".iter().copied().chain((0..200).map(|_| 0x55)).collect(),
        8 => {
            let other = jpeg(32, 32, 30);
            let at = any(random);
            bytes.splice(at..at, other);
        }
        _ => {
            // Raw pixels, as of a camera in another format.
            let raw: Vec<u8> = (0..320 * 24).map(|_| random.below(256) as u8).collect();
            *bytes = raw;
        }
    }
}

pub const CHILD: Fault = Fault {
    name: "child",
    wrong: "the program in place of a camera floods its outputs, never delivers, ignores signals, leaves grandchildren",
    does: "reads within a bound; ends the whole group when another source is configured; no process is left",
    within: GAP,
    waits: true,
    run: child,
};

fn child(full: bool) -> Figures {
    let home = Home::new("");
    home.still_camera("obama.jpg");
    let good = home.looping_camera(&home.path("camera.jpg"));
    let jpeg = home.path("camera.jpg").display().to_string();
    let scripts = [
        "cat /dev/zero".to_owned(),
        format!("cat {jpeg}; cat /dev/urandom"),
        "while true; do echo lens cap on >&2; done".to_owned(),
        format!("trap \"\" TERM INT HUP; while true; do cat {jpeg}; sleep 0.05; done"),
        format!("sleep MARK & sleep MARK & while true; do cat {jpeg}; sleep 0.05; done"),
        "sleep MARK & exit 0".to_owned(),
        "printf x; sleep MARK".to_owned(),
    ];
    let write = |source: &str| {
        home.write_config(&format!("[camera]\nsource = {source}\naway_after_s = 5\n[recognition]\nenabled = no\n"));
    };
    write(&good);
    let running = home.run();
    running.until("pictures", |running| number(running, "frames") > 10);
    let watch = Watch::of(running.address);
    let mut tried = 0;
    let mut before = None;
    let (times, lasts) = if full { (10, 2000) } else { (1, 500) };
    for time in 0..times {
        for (at, script) in scripts.iter().enumerate() {
            let mark = format!("{}.{time}{at}", 100_000 + running.pid());
            write(&format!("pipe:sh -c '{}'", script.replace("MARK", &mark)));
            running.signal(libc::SIGHUP);
            std::thread::sleep(Duration::from_millis(lasts));
            write(&good);
            running.signal(libc::SIGHUP);
            let frames = number(&running, "frames");
            running.until("the good camera", |running| {
                number(running, "frames") > frames + 5 && running.state()["camera"]["online"] == true
            });
            running.until("no process is left", |_| !is_running(&mark));
            tried += 1;
        }
        before.get_or_insert_with(|| Usage::of(running.pid()));
    }
    let seen = watch.end();
    assert_eq!(seen.breaks, 0);
    let before = before.unwrap();
    Figures { tried, survived: tried, ..Figures::default() }
        .seen(seen)
        .held(before, Usage::after(running.pid(), before, full))
}

/// True when a process has this word among its arguments.
fn is_running(word: &str) -> bool {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let mut commands = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok());
    commands.any(|command| command.contains(word))
}
