//! Tests of pictures that arrive during and after a reload: how often the gallery is swapped, what is read, and what is
//! logged. The tests run second by second on a simulated clock, with real files.

use super::*;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::SystemTime;

/// A gallery, and a worker that takes a turn once a second.
struct Scene {
    gallery: PathBuf,
    folder: tempfile::TempDir,
    stage: &'static Stage,
    worker: Worker<'static>,
    start: Moment,
    second: u64,
    /// The second of each swap.
    swaps: Vec<u64>,
    /// The inode of the cache file, which changes with each write.
    caches: HashSet<(u64, i64)>,
}

impl Scene {
    /// An empty gallery, before the first reload.
    fn new() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let gallery = folder.path().join("gallery");
        fs::create_dir(&gallery).unwrap();
        let stage: &'static Stage = Box::leak(Box::new(stage(&gallery)));
        let mut worker = Worker::new(stage, quick);
        worker.caches = Some(folder.path().join("caches"));
        reload(&mut worker, |_| ());
        worker.enrolment = None;
        worker.memory.arrivals.stop();
        let start = Moment::now();
        Scene { gallery, folder, stage, worker, start, second: 0, swaps: Vec::new(), caches: HashSet::new() }
    }

    fn now(&self) -> Moment {
        let passed = Duration::from_secs(self.second);
        Moment { instant: self.start.instant + passed, wall: self.start.wall + passed }
    }

    fn reload(&mut self) {
        self.worker.begin_enrolment(EnrolmentCause::Reload, self.now());
        self.go_round();
    }

    fn go_round(&mut self) {
        loop {
            let (before, now) = (self.worker.generation, self.now());
            self.worker.enrol(now);
            if self.worker.generation != before {
                self.swaps.push(self.second);
                let caches = fs::read_dir(self.folder.path().join("caches")).into_iter().flatten().flatten();
                let stamps =
                    caches.map(|cache| cache.metadata().unwrap()).map(|cache| (cache.ino(), cache.mtime_nsec()));
                self.caches.extend(stamps);
            }
            if self.worker.enrolment.is_none() {
                return;
            }
        }
    }

    /// Lets `seconds` pass.
    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.second += 1;
            self.go_round();
        }
    }

    /// Runs until no file is awaited, for at most ten minutes.
    fn settle(&mut self) {
        for _ in 0..600 {
            if !self.worker.memory.arrivals.is_following() {
                return;
            }
            self.pass(1);
        }
        panic!("it is still followed");
    }

    /// Writes a file in place, now, as scp does.
    fn write(&self, file: &str, bytes: &[u8]) {
        self.write_at(file, bytes, self.now().wall);
    }

    fn write_at(&self, file: &str, bytes: &[u8], modified: SystemTime) {
        let path = self.gallery.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        File::options().append(true).open(path).unwrap().set_modified(modified).unwrap();
    }

    fn roster(&self) -> Arc<Roster> {
        self.stage.roster.newest().unwrap().1
    }

    fn verdict(&self, file: &str) -> String {
        let roster = self.roster();
        let found = roster.files().find(|picture| picture.file == file);
        found.map_or("not listed".to_owned(), |picture| picture.skipped.clone().unwrap_or("used".to_owned()))
    }

    fn bytes_read(&self) -> u64 {
        self.worker.memory.bytes_read
    }

    /// One line per gallery, and its remarks about files and people.
    fn log_lines(&self) -> usize {
        self.swaps.len() + self.worker.told.len()
    }
}

fn png(red: u32, side: u32) -> Vec<u8> {
    // Noise, which does not compress, and which differs for each `red`.
    let mut state = red.wrapping_mul(2_654_435_761) | 1;
    let picture = image::RgbImage::from_fn(side, side, |_, _| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        image::Rgb([(state >> 24) as u8, (state >> 16) as u8, (state >> 8) as u8])
    });
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

#[test]
fn three_hundred_people_who_are_copied_for_minutes_cost_a_few_swaps_and_each_file_is_read_once() {
    for (people, period, most_swaps) in [(300, 1, 7), (60, 4, 6), (60, 7, 10), (30, 20, 13)] {
        let mut scene = Scene::new();
        let (mut total, mut copied_at) = (0, 0);
        for person in 0..people {
            let bytes = png(person, 30);
            total += bytes.len() as u64;
            scene.write(&format!("Person {person:03}/1.png"), &bytes);
            copied_at = scene.second;
            if person == 0 {
                scene.reload();
            }
            scene.pass(period);
        }
        scene.settle();
        let last = *scene.swaps.last().unwrap();
        let (lines, caches) = (scene.log_lines(), scene.caches.len());
        println!(
            "{people}, one in {period} s: last at {copied_at}, swaps at {:?}, {lines} lines, {caches} caches",
            scene.swaps
        );
        assert_eq!(scene.roster().used(), people as usize);
        assert_eq!(scene.bytes_read(), total, "each file once");
        assert!(scene.swaps.len() <= most_swaps, "one in {period} s: {:?}", scene.swaps);
        assert!(scene.log_lines() <= scene.swaps.len() + REMARKS + 1, "{}", scene.log_lines());
        assert!((copied_at + 2..=copied_at + 60).contains(&last), "{last} {copied_at}");
        assert!(scene.caches.len() <= scene.swaps.len(), "{}", scene.caches.len());
    }
}

#[test]
fn a_large_picture_that_arrives_over_five_minutes_is_read_once_and_causes_one_swap() {
    let mut scene = Scene::new();
    let whole = png(1, 1400);
    let piece = whole.len() / 300;
    scene.write("Alice/1.png", &png(2, 30));
    scene.pass(10);
    scene.write("Bob/1.png", &whole[..piece]);
    scene.reload();
    for second in 2..=300 {
        scene.pass(1);
        scene.write("Bob/1.png", &whole[..if second == 300 { whole.len() } else { piece * second }]);
    }
    assert_eq!((scene.roster().used(), scene.swaps.len()), (1, 1));
    scene.settle();
    assert_eq!(scene.verdict("Bob/1.png"), "used");
    assert_eq!(scene.bytes_read(), (whole.len() + png(2, 30).len()) as u64);
    assert!(scene.swaps.len() == 2 && scene.swaps[1] - scene.swaps[0] <= 299 + 4, "{:?}", scene.swaps);
}

#[test]
fn a_large_picture_that_arrives_with_pauses_is_not_read_at_each_pause() {
    let mut scene = Scene::new();
    let whole = png(1, 700);
    scene.write("Bob/1.png", &whole[..1000]);
    scene.reload();
    for part in 1..=60 {
        scene.pass(5);
        scene.write("Bob/1.png", &whole[..whole.len() * part / 60]);
    }
    scene.settle();
    let times = scene.bytes_read() as f64 / whole.len() as f64;
    println!("read {times:.2} times, swaps {:?}", scene.swaps);
    assert_eq!(scene.verdict("Bob/1.png"), "used");
    assert!(times < 1.2 && scene.swaps.len() <= 2, "{times} {:?}", scene.swaps);
}

#[test]
fn an_unfinished_file_is_given_up_and_reported_after_thirty_seconds_without_a_write() {
    let mut scene = Scene::new();
    let half = png(1, 60)[..4000].to_vec();
    scene.write("Alice/1.png", &half[..2000]);
    scene.reload();
    assert!(scene.verdict("Alice/1.png").starts_with("still being copied"));
    assert!(scene.roster().warnings.is_empty(), "in a moment they may be untrue: {:?}", scene.roster().warnings);
    scene.pass(20);
    scene.write("Alice/1.png", &half);
    scene.pass(29);
    assert!(scene.verdict("Alice/1.png").starts_with("still being copied"));
    scene.settle();
    assert!(scene.verdict("Alice/1.png").starts_with("incomplete"), "{}", scene.verdict("Alice/1.png"));
    assert!((50..54).contains(&scene.second) && scene.swaps.len() == 2, "{} {:?}", scene.second, scene.swaps);
    assert_eq!(scene.bytes_read(), 6000, "each state once");
    assert!(
        scene.worker.told.iter().any(|line| line.contains("1.png is skipped: incomplete")),
        "{:?}",
        scene.worker.told
    );
    scene.reload();
    scene.settle();
    assert_eq!((scene.bytes_read(), scene.swaps.len()), (6000, 3), "a reload neither reads it nor waits for it again");
}

#[test]
fn awaited_files_that_are_deleted_are_not_listed_and_renamed_ones_are_read() {
    let mut scene = Scene::new();
    let whole = png(1, 30);
    scene.write("Alice/1.png", &whole[..100]);
    scene.write("Bob/1.png", &png(2, 30)[..100]);
    scene.write("Carol/1.png", &png(3, 30));
    scene.reload();
    scene.pass(1);
    fs::remove_file(scene.gallery.join("Alice/1.png")).unwrap();
    fs::rename(scene.gallery.join("Carol"), scene.gallery.join("Caroline")).unwrap();
    // Another file with an old time stamp replaces an awaited one.
    scene.write_at("new.png", &png(4, 30), scene.start.wall - Duration::from_secs(86_400));
    fs::rename(scene.gallery.join("new.png"), scene.gallery.join("Bob/1.png")).unwrap();
    scene.settle();
    let verdicts = ["Alice/1.png", "Bob/1.png", "Carol/1.png", "Caroline/1.png"].map(|file| scene.verdict(file));
    assert_eq!(verdicts, ["not listed", "used", "not listed", "used"]);
    assert!(scene.swaps.len() <= 3, "{:?}", scene.swaps);
    assert_eq!(scene.worker.memory.remembered(), 2);
}

#[test]
fn a_wrong_clock_neither_excludes_nor_delays_a_picture() {
    let clocks = |scene: &Scene| {
        let day = Duration::from_secs(86_400);
        [
            SystemTime::UNIX_EPOCH,
            scene.start.wall - day,
            scene.start.wall,
            scene.start.wall + day,
            scene.start.wall + 200_000 * day,
        ]
    };
    for at in 0..5 {
        let mut scene = Scene::new();
        let (whole, modified) = (png(1, 30), clocks(&scene)[at]);
        // A complete file and one that is being copied, by a program or a server with a wrong clock.
        scene.write_at("Alice/1.png", &png(2, 30), modified);
        scene.write_at("Bob/1.png", &whole[..100], modified);
        scene.reload();
        let young = at == 2;
        assert_eq!(scene.verdict("Alice/1.png") == "used", !young, "clock {at}: {}", scene.verdict("Alice/1.png"));
        for length in [200, 300, whole.len()] {
            scene.pass(1);
            scene.write_at("Bob/1.png", &whole[..length], modified);
        }
        scene.settle();
        assert_eq!([scene.verdict("Alice/1.png"), scene.verdict("Bob/1.png")], ["used", "used"], "clock {at}");
        assert!(scene.swaps.len() <= 3 && *scene.swaps.last().unwrap() <= 8, "clock {at}: {:?}", scene.swaps);
    }
}

#[test]
fn a_broken_file_that_looks_old_is_reported_at_once_and_causes_no_second_swap() {
    let mut scene = Scene::new();
    scene.write_at("Alice/1.png", &png(1, 30)[..100], SystemTime::UNIX_EPOCH);
    scene.reload();
    assert!(scene.verdict("Alice/1.png").starts_with("incomplete"));
    scene.settle();
    assert_eq!((scene.swaps.len(), scene.bytes_read()), (1, 100));
}

#[test]
fn a_picture_that_is_overwritten_after_the_reload_is_enrolled_whole() {
    let mut scene = Scene::new();
    let (old, new) = (png(1, 60), png(2, 60));
    scene.write("Alice/1.png", &old);
    scene.write("Bob/1.png", &png(3, 30));
    scene.pass(60);
    scene.write("Bob/1.png", &png(4, 30));
    scene.reload();
    let read = scene.bytes_read();
    // Overwrites an existing file as scp does: from the beginning, and the old rest stays until the end. The time stamp
    // is that of a server far behind.
    let long_ago = scene.start.wall - Duration::from_secs(86_400);
    for part in 1..=20 {
        scene.pass(1);
        let end = new.len() * part / 20;
        let mixed = [&new[..end], &old[end.min(old.len())..]].concat();
        scene.write_at("Alice/1.png", if part == 20 { &new } else { &mixed }, long_ago);
    }
    scene.settle();
    assert_eq!([scene.verdict("Alice/1.png"), scene.verdict("Bob/1.png")], ["used", "used"]);
    assert_eq!(scene.bytes_read() - read, (new.len() + png(4, 30).len()) as u64, "swaps {:?}", scene.swaps);
}

#[test]
fn a_folder_that_appears_soon_after_the_reload_is_enrolled() {
    let mut scene = Scene::new();
    scene.reload();
    assert_eq!(scene.roster().used(), 0);
    scene.pass(2);
    scene.write("Alice/1.png", &png(1, 30));
    // Carol's picture arrives 28 s later, Bob's after more than half a minute without changes.
    scene.pass(28);
    scene.write("Carol/1.png", &png(3, 30));
    scene.settle();
    let used = ("used".to_owned(), "used".to_owned(), 3);
    assert_eq!((scene.verdict("Alice/1.png"), scene.verdict("Carol/1.png"), scene.swaps.len()), used);
    scene.pass(60);
    scene.write("Bob/1.png", &png(2, 30));
    scene.pass(300);
    assert_eq!(scene.verdict("Bob/1.png"), "not listed", "that is for another reload");
    scene.reload();
    scene.settle();
    assert_eq!(scene.verdict("Bob/1.png"), "used");
}

#[test]
fn an_unchanged_gallery_is_swapped_once_per_reload_and_its_cache_is_written_once() {
    let mut scene = Scene::new();
    for person in 0..5 {
        scene.write(&format!("Person {person}/1.png"), &png(person, 30));
    }
    scene.write("Person 1/notes.txt", b"met in 2009");
    scene.pass(60);
    scene.reload();
    let read = scene.bytes_read();
    scene.settle();
    scene.reload();
    scene.settle();
    assert_eq!((scene.swaps.len(), scene.caches.len(), scene.bytes_read()), (2, 1, read));
}

#[test]
fn unreadable_files_do_not_delay_the_gallery_and_are_not_awaited() {
    let mut scene = Scene::new();
    scene.write("Alice/1.png", &png(1, 30));
    File::create(scene.gallery.join("Alice/2.png")).unwrap().set_len(crate::image::still::MAX_FILE_BYTES + 1).unwrap();
    scene.pass(60);
    scene.reload();
    scene.settle();
    assert_eq!(scene.verdict("Alice/2.png"), "larger than 64 MiB: scale it down");
    assert!(scene.swaps.len() <= 2 && scene.second <= 92, "{} {:?}", scene.second, scene.swaps);
}

#[test]
fn a_gallery_that_disappears_while_files_are_awaited_is_reported_once() {
    let mut scene = Scene::new();
    scene.write("Alice/1.png", &png(1, 30)[..100]);
    scene.reload();
    fs::rename(&scene.gallery, scene.gallery.with_extension("gone")).unwrap();
    let version = scene.stage.roster.newest().unwrap().0;
    scene.pass(100);
    assert_eq!(scene.stage.roster.newest().unwrap().0, version + 1);
    assert!(scene.roster().warnings[0].contains("cannot be read"));
    assert!(!scene.worker.memory.arrivals.is_following());
}

#[test]
fn a_gallery_that_disappears_while_it_is_read_does_not_count_as_empty() {
    let mut scene = Scene::new();
    scene.write("Alice/1.png", &png(1, 30));
    scene.reload();
    scene.pass(60);
    let (generation, people) = (scene.worker.generation, scene.roster().people.len());
    scene.worker.begin_enrolment(EnrolmentCause::Reload, scene.now());
    fs::rename(&scene.gallery, scene.gallery.with_extension("gone")).unwrap();
    scene.go_round();
    assert_eq!((scene.worker.generation, scene.roster().people.len(), people), (generation, 1, 1));
    assert!(scene.roster().warnings[0].contains("cannot be read"));
}

#[test]
fn a_file_that_changes_without_end_is_enrolled_as_it_is_after_an_hour() {
    let mut scene = Scene::new();
    scene.write("Alice/1.png", &png(1, 30));
    scene.write("Bob/1.png", &png(2, 30));
    scene.reload();
    for _ in 0..3599 {
        scene.pass(1);
        scene.write("Alice/1.png", &png(scene.second as u32, 30));
    }
    assert!(scene.worker.memory.arrivals.is_following());
    assert_eq!((scene.verdict("Bob/1.png"), scene.swaps.len()), ("used".to_owned(), 2), "{:?}", scene.swaps);
    scene.pass(1);
    assert_eq!((scene.verdict("Alice/1.png"), scene.swaps.len()), ("used".to_owned(), 3));
    assert!(!scene.worker.memory.arrivals.is_following());
}

#[test]
fn pictures_of_an_interrupted_reload_are_forgotten_when_they_are_gone() {
    let mut scene = Scene::new();
    scene.write("Alice/1.png", &png(1, 30));
    scene.write("Bob/1.png", &png(2, 30));
    scene.pass(60);
    scene.reload();
    scene.settle();
    scene.worker.begin_enrolment(EnrolmentCause::Reload, scene.now());
    if let Some((enrolment, ..)) = &mut scene.worker.enrolment {
        let Loaded { opened, .. } = scene.worker.engines.looking.as_mut().unwrap();
        assert!(enrolment.step(opened.engine.as_mut(), &mut scene.worker.memory, scene.start));
    }
    fs::remove_dir_all(scene.gallery.join("Alice")).unwrap();
    scene.reload();
    assert_eq!(scene.worker.memory.remembered(), 1);
    let removed = crate::recognition::gallery::cache::key_of(&png(1, 30));
    assert!(scene.worker.memory.cache.get(&removed).is_none(), "a face of somebody who was removed is kept");
}
