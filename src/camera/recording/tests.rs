use super::*;
use std::io::Cursor;

fn head() -> Head {
    Head {
        fourcc: *b"YUYV",
        width: 8,
        height: 4,
        stride: 16,
        interval: (1, 30),
        buffer_bytes: 100,
        started_us: 7_000_000,
        card: "Café".to_owned(),
        driver: "fake".to_owned(),
    }
}

fn entries() -> Vec<(Entry, Vec<u8>)> {
    let buffer = |at_us: u64, bytes: u32, value: u32| Entry {
        bytes,
        sequence: at_us as u32,
        flags: 0x2000,
        seconds: -1,
        micros: i64::MAX,
        ..Entry::other(Kind::Buffer, at_us, value)
    };
    vec![
        (buffer(10, 64, 64), vec![1; 64]),
        (Entry::other(Kind::Empty, 11, 0), vec![]),
        (Entry::other(Kind::TimeOut, 200_000, 0), vec![]),
        (buffer(200_001, 100, 4000), vec![2; 100]),
        (buffer(200_001, 0, 0), vec![]),
        (Entry::other(Kind::Polled, 200_002, 8), vec![]),
        (Entry::other(Kind::PollError, 200_003, 5), vec![]),
        (Entry::other(Kind::EnqueueError, 200_004, 5), vec![]),
        (Entry::other(Kind::DequeueError, 200_005, 19), vec![]),
    ]
}

/// The bytes of a recording of these entries.
fn written() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let mut writer = Writer::new(File::create(&path).unwrap(), &head()).unwrap();
    for (entry, buffer) in entries() {
        assert!(writer.add(entry, &buffer).unwrap());
    }
    let bytes = writer.finish().unwrap();
    let written = std::fs::read(path).unwrap();
    assert_eq!(written.len() as u64, bytes);
    written
}

/// All entries with their buffers, or the error.
fn read(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, String> {
    let mut reader = Reader::new(Cursor::new(bytes))?;
    let mut all = Vec::new();
    while let Some(entry) = reader.next()? {
        let mut buffer = vec![0; entry.bytes as usize];
        reader.buffer(&mut buffer)?;
        all.push((entry, buffer));
    }
    Ok(all)
}

#[test]
fn a_recording_is_read_as_it_was_written() {
    let bytes = written();
    let mut reader = Reader::new(Cursor::new(&bytes)).unwrap();
    assert_eq!(reader.head, head());
    assert_eq!(read(&bytes).unwrap(), entries());
    // The reader skips a buffer that is not read, and a recording can be read twice.
    reader.check().unwrap();
    assert_eq!(reader.next().unwrap().unwrap(), entries()[0].0);
    assert_eq!(reader.next().unwrap().unwrap(), entries()[1].0);
}

#[test]
fn a_truncated_file_is_played_up_to_its_last_whole_entry_and_refused_without_a_head() {
    let bytes = written();
    let mut ends = vec![HEAD_BYTES];
    for (_, buffer) in entries() {
        ends.push(ends[ends.len() - 1] + ENTRY_BYTES + buffer.len());
    }
    for end in 0..bytes.len() {
        match read(&bytes[..end]) {
            Ok(read) => assert_eq!(read, entries()[..ends.iter().rposition(|whole| *whole <= end).unwrap()]),
            Err(why) => assert!(end < HEAD_BYTES && why.contains(&format!("cut at {end} bytes")), "{end}: {why}"),
        }
    }
}

#[test]
fn absurd_numbers_are_refused_and_no_flipped_bit_makes_it_panic() {
    let bytes = written();
    let with = |at: usize, value: &[u8]| {
        let mut changed = bytes.clone();
        changed[at..at + value.len()].copy_from_slice(value);
        read(&changed).unwrap_err()
    };
    let first = HEAD_BYTES;
    for (at, value, what) in [
        (0, &b"RIFF"[..], "no recording"),
        (8, &[2, 0, 0, 0], "of version 2"),
        (16, &[0xff; 4], "byte 0: "),
        (16, &[0; 4], "byte 0: "),
        (24, &[0xff; 4], "a line has 4294967295 bytes"),
        (36, &[0xff; 4], "buffers have 4294967295 bytes"),
        (36, &[0; 4], "buffers have 0 bytes"),
        (first, &[9], "unknown kind 9"),
        (first + 1, &[1], "unknown kind"),
        (first + 4, &[0xff; 4], "4294967295 bytes of a buffer, and at most 64"),
        (first + 8, &[0xff; 8], "after one at 0 us"),
        (bytes.len() - ENTRY_BYTES + 8, &[0; 8], "an entry is at 0 us, after one at"),
        (bytes.len() - ENTRY_BYTES + 16, &[0xff; 4], "the impossible error 4294967295"),
        (bytes.len() - ENTRY_BYTES + 16, &[0; 4], "the impossible error 0"),
        (bytes.len() - ENTRY_BYTES + 4, &[1], "1 bytes of a buffer, and at most 0"),
    ] {
        let why = with(at, value);
        assert!(why.contains(what) && why.starts_with("byte "), "{at}: {why}");
    }
    for bit in 0..8 * bytes.len() {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok(read) = read(&changed) {
            assert!(read.len() <= entries().len() && read.iter().all(|(_, buffer)| buffer.len() <= 1 << 20));
        }
    }
}

#[test]
fn a_recording_stays_within_its_bounds_and_a_full_disk_leaves_whole_entries() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let mut writer = Writer::new(File::create(&path).unwrap(), &head()).unwrap();
    let (entry, buffer) = entries().remove(0);
    assert!(writer.add(entry, &buffer).unwrap());
    writer.entries = MAX_ENTRIES;
    assert!(!writer.add(entry, &buffer).unwrap());
    (writer.entries, writer.whole) = (1, MAX_BYTES - 10);
    assert!(!writer.add(entry, &buffer).unwrap());
    // An entry that cannot be written whole is removed.
    writer.whole = (HEAD_BYTES + ENTRY_BYTES + buffer.len()) as u64;
    let kept = writer.whole;
    writer.file.write_all(&entry.to_bytes()[..20]).unwrap();
    assert_eq!(path.metadata().unwrap().len(), kept + 20);
    writer.take_back().unwrap();
    assert_eq!(path.metadata().unwrap().len(), kept);
    assert_eq!(read(&std::fs::read(&path).unwrap()).unwrap(), entries()[..1]);
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let error = Writer::new(full, &head()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
}

#[test]
fn only_a_file_is_opened_and_the_error_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let open = |path: &Path| Reader::open(path).err().unwrap();
    assert!(open(&path).starts_with(&format!("replay: {}: ", path.display())));
    assert!(open(Path::new("/dev/zero")).ends_with("it is no file"));
    std::fs::write(&path, "hello").unwrap();
    assert!(open(&path).ends_with("byte 0: the file is cut at 5 bytes; copy it again"), "{}", open(&path));
    std::fs::write(&path, written()).unwrap();
    assert_eq!(Reader::open(&path).unwrap().head, head());
    File::options().write(true).open(&path).unwrap().set_len(MAX_BYTES + 1).unwrap();
    assert!(open(&path).contains("at most 1073741824"), "{}", open(&path));
}
