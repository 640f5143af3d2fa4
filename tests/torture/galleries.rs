//! Galleries that change all the time, and galleries of nonsense.

use crate::support::{Home, PATIENCE, picture};
use crate::watch::{Random, Usage, Watch};
use crate::{Fault, Figures};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

const SECOND: Option<Duration> = Some(Duration::from_millis(1100));

pub const RELOADS: Fault = Fault {
    name: "reloads",
    wrong: "SIGHUP comes again and again while pictures are copied, renamed and removed",
    does: "streams on; when it is quiet, the gallery at work is the one on disk",
    within: SECOND,
    waits: false,
    run: reloads,
};

fn reloads(full: bool) -> Figures {
    let tried: u64 = if full { 1000 } else { 15 };
    let home = Home::new("");
    let camera = home.still_camera("obama2.jpg");
    for (person, file) in [("Barack Obama", "obama.jpg"), ("Joe Biden", "biden.jpg")] {
        home.enrol(person, file);
    }
    home.write_config(&format!("[camera]\nsource = {camera}\n"));
    let running = home.run();
    running.until("the name", |running| running.names() == ["Barack Obama"]);
    let watch = Watch::of(running.address);
    // What the first half leaves in memory is what the second half must not add to.
    let (mut fifth, mut before) = (Usage::default(), Usage::default());
    let count = || running.state()["reloads"].as_u64().unwrap();
    let (over, first) = (AtomicBool::new(false), count());
    std::thread::scope(|scope| {
        scope.spawn(|| change(&home.path("gallery"), &over));
        for sent in 1..=tried {
            if sent == tried / 5 {
                fifth = Usage::of(running.pid());
            }
            if sent == tried / 2 {
                before = Usage::of(running.pid());
            }
            running.signal(libc::SIGHUP);
            // Signals that come at once are one: the next one waits until this one is being looked at.
            let begun = Instant::now();
            while count() - first + 3 < sent {
                assert!(begun.elapsed() < PATIENCE, "{sent}: {}", running.log());
                std::thread::sleep(Duration::from_millis(20));
            }
            std::thread::sleep(Duration::from_millis(30));
        }
        over.store(true, Relaxed);
    });
    let mut on_disk: Vec<String> = std::fs::read_dir(home.path("gallery"))
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    on_disk.sort();
    running.signal(libc::SIGHUP);
    running.until("the gallery on disk", |running| {
        let told: serde_json::Value = serde_json::from_slice(&running.get("/api/gallery").body).unwrap();
        let people = told["people"].as_array().unwrap().iter();
        people.map(|person| person["name"].as_str().unwrap()).eq(&on_disk)
    });
    running.until("the name again", |running| running.names() == ["Barack Obama"]);
    let seen = watch.end();
    assert_eq!(seen.breaks, 0);
    let remark = format!(
        "{} galleries were at work; {fifth} after a fifth of the reloads, *before* is after half of them",
        running.generation()
    );
    let after = Usage::after(running.pid(), before, full);
    Figures { tried, survived: tried, remark, ..Figures::default() }.seen(seen).held(before, after)
}

/// Copies, renames and removes pictures and people until it is over, and leaves Barack Obama.
fn change(gallery: &Path, over: &AtomicBool) {
    let mut random = Random(0x1234_5678);
    let sources = ["obama.jpg", "obama3.jpg", "biden.jpg"].map(|name| std::fs::read(picture(name)).unwrap());
    let people = ["Alice", "Bob", "민호"];
    while !over.load(Relaxed) {
        let person = |random: &mut Random| gallery.join(people[random.below(3) as usize]);
        let file = |random: &mut Random| format!("{}.jpg", random.below(4));
        let (one, other) = (person(&mut random), person(&mut random));
        // A file or folder that is not there is no fault of this.
        let _ = match random.below(6) {
            0 | 1 => {
                let bytes = &sources[random.below(3) as usize];
                let half = random.below(bytes.len() as u64) as usize;
                let name = one.join(file(&mut random));
                std::fs::create_dir_all(&one).and_then(|()| {
                    std::fs::write(&name, &bytes[..half])?;
                    random.pause(50);
                    std::fs::write(&name, bytes)
                })
            }
            2 => std::fs::rename(one.join(file(&mut random)), other.join(file(&mut random))),
            3 => std::fs::remove_file(one.join(file(&mut random))),
            4 => std::fs::rename(&one, &other),
            _ => std::fs::remove_dir_all(&one),
        };
        random.pause(60);
    }
}

pub const GALLERIES: Fault = Fault {
    name: "galleries",
    wrong: "the gallery has 10,000 files, none, circles of links, a FIFO, names of 255 bytes or not UTF-8, pictures of 65,535 pixels a side, files of 2 GB, folders nobody may read",
    does: "streams on; says of each what is wrong; the good pictures are used",
    within: SECOND,
    waits: false,
    run: galleries,
};

fn galleries(full: bool) -> Figures {
    let home = Home::new("");
    let camera = home.still_camera("obama2.jpg");
    home.write_config(&format!("[camera]\nsource = {camera}\n"));
    let running = home.run();
    let watch = Watch::of(running.address);
    let reload = || running.reload();
    running.until("the empty gallery", |running| {
        running.generation() > 0 || running.state()["recognition"]["taking_in"] == false
    });
    home.enrol("Barack Obama", "obama.jpg");
    reload();
    running.until("the name", |running| running.names() == ["Barack Obama"]);
    let gallery = home.path("gallery");
    // What the first time leaves in memory is what the second one must not add to.
    let (mut tried, mut before) = (0, None);
    for _ in 0..if full { 2 } else { 1 } {
        for (name, make) in NONSENSE {
            make(&gallery.join(name), full);
            reload();
            running.until("the name", |running| running.names() == ["Barack Obama"]);
            tried += 1;
        }
        running.until("what is wrong with each", |running| {
            let told: serde_json::Value = serde_json::from_slice(&running.get("/api/gallery").body).unwrap();
            let of_people =
                told["people"].as_array().unwrap().iter().flat_map(|person| person["pictures"].as_array().unwrap());
            let files: Vec<_> = of_people.chain(told["ignored"].as_array().unwrap()).collect();
            WRONG.iter().all(|(file, why)| {
                let mut of_it = files.iter().filter(|told| told["file"].as_str().unwrap().starts_with(file)).peekable();
                of_it.peek().is_some()
                    && of_it.all(|told| {
                        told["skipped"].as_str().is_some_and(|said| why.split('|').any(|why| said.contains(why)))
                    })
            })
        });
        for entry in std::fs::read_dir(&gallery).unwrap().flatten() {
            if entry.file_name() != "Barack Obama" {
                let _ = Command::new("chmod")
                    .args(["-R", "u+rwx"])
                    .arg(entry.path())
                    .stderr(std::process::Stdio::null())
                    .status();
                let gone = if entry.path().is_symlink() {
                    std::fs::remove_file(entry.path())
                } else {
                    std::fs::remove_dir_all(entry.path())
                };
                gone.unwrap();
            }
        }
        reload();
        running.until("the name", |running| running.names() == ["Barack Obama"]);
        before.get_or_insert_with(|| Usage::of(running.pid()));
    }
    let seen = watch.end();
    assert_eq!(seen.breaks, 0);
    let before = before.unwrap();
    let after = Usage::after(running.pid(), before, full);
    Figures { tried, survived: tried, ..Figures::default() }.seen(seen).held(before, after)
}

/// How the names of files of [`NONSENSE`] begin, and what is said of each: one of these.
const WRONG: &[(&str, &str)] = &[
    ("Many/", "not a JPEG or PNG|not examined: only 0 of the 50"),
    ("Circle/", "a symbolic link: copy the picture itself"),
    ("Link", "a symbolic link: copy the folder itself"),
    ("Fifo/", "not a regular file"),
    ("Names/x", "not a JPEG or PNG"),
    ("Names/..", "its name begins with a dot"),
    ("Names/\u{fffd}\u{fffd}.jpg", "its name is not UTF-8"),
    ("Pixels/1.png", "too large"),
    ("Pixels/2.jpg", "too large"),
    ("Bytes/", "larger than 64 MiB"),
    ("z", "its name is not UTF-8"),
];

/// The check sum of a chunk of a PNG.
fn crc32(bytes: &[u8]) -> u32 {
    let bit = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| bit(crc)))
}

type Make = fn(&Path, bool);

/// What is put into the gallery below a person, and how. The last word says whether at full scale.
const NONSENSE: &[(&str, Make)] = &[
    ("Many", |folder, full| {
        std::fs::create_dir(folder).unwrap();
        for number in 0..if full { 10_000 } else { 500 } {
            std::fs::write(folder.join(format!("{number}.jpg")), b"no picture").unwrap();
        }
    }),
    ("Circle", |folder, _| {
        std::fs::create_dir(folder).unwrap();
        symlink(folder, folder.join("circle")).unwrap();
        symlink("b.jpg", folder.join("a.jpg")).unwrap();
        symlink("a.jpg", folder.join("b.jpg")).unwrap();
    }),
    ("Link", |folder, _| symlink("Link", folder).unwrap()),
    ("Fifo", |folder, _| {
        std::fs::create_dir(folder).unwrap();
        assert!(Command::new("mkfifo").arg(folder.join("1.jpg")).status().unwrap().success());
    }),
    ("Names", |folder, _| {
        std::fs::create_dir(folder).unwrap();
        let long = [b"x".repeat(251), b".jpg".to_vec()].concat();
        for name in [&long[..], b"\xff\xfe.jpg", b"\n\x1b[31m.jpg", b"..jpg", b"%s%n.jpg"] {
            std::fs::write(folder.join(OsStr::from_bytes(name)), b"no picture").unwrap();
        }
        std::fs::create_dir(folder.parent().unwrap().join(OsStr::from_bytes(&b"y".repeat(255)))).unwrap();
        std::fs::create_dir(folder.parent().unwrap().join(OsStr::from_bytes(b"z\xff"))).unwrap();
    }),
    ("Pixels", |folder, _| {
        std::fs::create_dir(folder).unwrap();
        let mut png = std::fs::read(picture("astronaut.png")).unwrap();
        png[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
        let crc = crc32(&png[12..29]);
        png[29..33].copy_from_slice(&crc.to_be_bytes());
        std::fs::write(folder.join("1.png"), png).unwrap();
        let mut jpeg = std::fs::read(picture("obama.jpg")).unwrap();
        // The last one: those before it are of thumbnails.
        let at = jpeg.windows(2).rposition(|marker| marker == [0xff, 0xc0]).unwrap();
        jpeg[at + 5..at + 9].fill(0xff);
        std::fs::write(folder.join("2.jpg"), jpeg).unwrap();
    }),
    ("Bytes", |folder, _| {
        std::fs::create_dir(folder).unwrap();
        for name in ["1.jpg", "2.png"] {
            // Of no bytes on the disk.
            std::fs::File::create(folder.join(name)).unwrap().set_len(2 << 30).unwrap();
        }
    }),
    ("Forbidden", |folder, _| {
        std::fs::create_dir(folder).unwrap();
        std::fs::copy(picture("biden.jpg"), folder.join("1.jpg")).unwrap();
        assert!(Command::new("chmod").arg("000").arg(folder).status().unwrap().success());
    }),
];
