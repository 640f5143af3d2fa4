use super::*;
use std::fs;

const GB: u64 = 1 << 30;

/// A machine whose process is in the group `group`, with the limits `files` below the mount point of the groups.
fn machine(group: &str, files: &[(&str, &str)], ram: u64) -> (tempfile::TempDir, Machine) {
    let folder = tempfile::tempdir().unwrap();
    let (groups, process) = (folder.path().join("groups"), folder.path().join("self"));
    fs::create_dir_all(&process).unwrap();
    fs::write(process.join("cgroup"), group).unwrap();
    for (file, text) in files {
        let file = groups.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let machine = Machine { groups, process, ram };
    (folder, machine)
}

fn config(detector: Detector, width: u32, detect_width: u32, upsample: u32) -> Config {
    let mut config = Config::defaults(Path::new("/"));
    (config.camera.width, config.camera.height) = (width, width / 16 * 9);
    config.recognition.detector = detector;
    (config.recognition.detect_width, config.recognition.upsample) = (detect_width, upsample);
    config
}

const OWN: &str = "0::/system.slice/namecam.service\n";

#[test]
fn the_lowest_limit_of_the_group_and_its_ancestors_counts() {
    let files = [
        ("system.slice/namecam.service/memory.max", "1073741824\n"),
        ("system.slice/namecam.service/memory.high", "max\n"),
        ("system.slice/memory.max", "700000000\n"),
        ("memory.max", "800000000\n"),
        ("other.slice/memory.max", "1000\n"),
    ];
    let (_folder, machine) = machine(OWN, &files, 8 * GB);
    let limit = machine.limit().unwrap();
    assert_eq!(limit, Limit { usable: 630_000_000, what: "memory.max of system.slice is 700 MB".to_owned() });
}

#[test]
fn every_kind_of_limit_is_read() {
    for (group, file, text, what) in [
        (
            OWN,
            "system.slice/namecam.service/memory.max",
            "500000000",
            "memory.max of system.slice/namecam.service is 500 MB",
        ),
        (
            OWN,
            "system.slice/namecam.service/memory.high",
            "500000000",
            "memory.high of system.slice/namecam.service is 500 MB",
        ),
        ("0::/\n", "memory.max", "500000000", "memory.max of / is 500 MB"),
        (
            "5:cpu:/x\n4:memory,hugetlb:/a/b\n0::/\n",
            "memory/a/memory.limit_in_bytes",
            "500000000",
            "memory.limit_in_bytes of a is 500 MB",
        ),
    ] {
        let (_folder, machine) = machine(group, &[(file, text)], 8 * GB);
        assert_eq!(machine.limit().unwrap().what, what);
    }
    let (_folder, machine) = machine(OWN, &[], GB);
    assert_eq!(machine.limit().unwrap(), Limit { usable: GB / 4 * 3, what: "the machine has 1074 MB".to_owned() });
    let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                  Max data size             unlimited            unlimited            bytes     \n\
                  Max address space         1000000000           unlimited            bytes     \n";
    fs::write(machine.process.join("limits"), limits).unwrap();
    // RLIMIT_AS also counts mappings that use no memory.
    let what = "RLIMIT_AS is 1000 MB, less 600 MB for libraries and stacks".to_owned();
    assert_eq!(machine.limit().unwrap(), Limit { usable: 300_000_000, what });
    // RLIMIT_DATA also counts private mappings that use no memory: OpenBLAS's buffers and stacks.
    let limits = limits.replace("size             unlimited", "size             700000000");
    fs::write(machine.process.join("limits"), limits).unwrap();
    let what = "RLIMIT_DATA is 700 MB, less 550 MB for libraries and stacks".to_owned();
    assert_eq!(machine.limit().unwrap(), Limit { usable: 80_000_000, what });
}

#[test]
fn available_memory_is_the_least_of_machine_and_groups_and_counts_unused_file_caches_as_free() {
    let files = [
        ("system.slice/namecam.service/memory.max", "200000000\n"),
        ("system.slice/namecam.service/memory.current", "190000000\n"),
        ("system.slice/namecam.service/memory.stat", "anon 150000000\nfile 40000000\ninactive_file 30000000\n"),
        ("system.slice/memory.max", "max\n"),
        ("system.slice/memory.current", "900000000\n"),
    ];
    let (folder, own) = machine(OWN, &files, 8 * GB);
    assert_eq!(own.available(), Some(40_000_000));
    let config = Config::defaults(Path::new("/"));
    let word = "the models need about 80 MB of memory, but 40 MB are available now";
    assert_eq!(shortage(&config, &own).as_deref(), Some(word));
    fs::write(folder.path().join("meminfo"), "MemTotal: 900000 kB\nMemAvailable:     20000 kB\n").unwrap();
    assert_eq!(own.available(), Some(20_480_000));
    let first = [
        ("memory/a/memory.limit_in_bytes", "300000000"),
        ("memory/a/memory.usage_in_bytes", "295000000"),
        ("memory/a/memory.stat", "inactive_file 1\ntotal_inactive_file 5000000\n"),
        ("memory/memory.limit_in_bytes", "9223372036854771712"),
    ];
    let (_folder, first) = machine("4:memory:/a\n0::/\n", &first, 8 * GB);
    assert_eq!(first.available(), Some(10_000_000));
    let (_folder, unknown) = machine(OWN, &[], 8 * GB);
    assert_eq!((unknown.available(), shortage(&config, &unknown)), (None, None));
    assert!(Machine::this().available().is_some());
}

#[test]
fn a_picture_is_decoded_beside_a_look_only_where_both_fit() {
    let config = |detector| config(detector, 1280, 0, 0);
    let max = ("system.slice/namecam.service/memory.max", "1073741824\n");
    let (_folder, unit) = machine(OWN, &[max], 8 * GB);
    let check = |megapixels: u64, detector, machine: &Machine| {
        check_beside_a_look(megapixels * 10 * MB, &config(detector), machine)
    };
    assert_eq!(check(59, Detector::Hog, &unit), Ok(()));
    assert_eq!(check(12, Detector::Cnn, &unit), Ok(()));
    let refused = check(59, Detector::Cnn, &unit).unwrap_err();
    assert!(refused.starts_with("too large to be shown: it takes 590 MB of memory, and 2"), "{refused}");
    let current = ("system.slice/namecam.service/memory.current", "900000000\n");
    let (_folder, busy) = machine(OWN, &[max, current], 8 * GB);
    assert!(check(59, Detector::Hog, &busy).unwrap_err().contains("174 MB are free"));
    // The smallest unit in which the CNN runs has room for the pictures of a phone, which have one scan.
    let least = takes(&config(Detector::Cnn), CNN_LEAST_PYRAMID_PX) * 10 / 9 + 10;
    let (_folder, small) = machine(OWN, &[(max.0, &least.to_string())], 8 * GB);
    assert_eq!(check_beside_a_look(4 * 12 * MB, &config(Detector::Cnn), &small), Ok(()));
}

#[test]
fn the_page_about_hardware_says_what_the_limits_of_the_process_leave() {
    let page = include_str!("../../docs/HARDWARE.md");
    for (limit, beyond) in [("`ulimit -d`", PRIVATE_BYTES), ("`ulimit -v`", MAPPED_BYTES)] {
        let words = format!("nine tenths of {limit} less {}", mb(beyond));
        assert!(page.contains(&words), "{words}");
    }
}

#[test]
fn models_are_not_opened_where_openblas_would_ask_for_its_buffer_without_end() {
    const LIMIT: &str = "NAMECAM_TEST_LIMIT";
    let mut config = Config::defaults(Path::new("/"));
    if std::env::var_os(LIMIT).is_some() {
        println!("{:?}", check_opening(&config));
        return;
    }
    assert_eq!(check_opening(&config), Ok(()));
    let this = "memory::tests::models_are_not_opened_where_openblas_would_ask_for_its_buffer_without_end";
    let said = |limit: &str| {
        let shell = format!("ulimit {limit} && exec \"$0\" {this} --exact --nocapture --test-threads=1");
        let mut command = std::process::Command::new("sh");
        command.arg("-c").arg(shell).arg(std::env::current_exe().unwrap());
        // Otherwise OpenBLAS takes a buffer for each further processor before `main`.
        command.env(LIMIT, "").env("OPENBLAS_NUM_THREADS", "1");
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    for limit in ["-d", "-v"] {
        let refused = said(&format!("{limit} 250000"));
        assert!(refused.contains("asks for up to 270 MB of address space"), "{limit}: {refused}");
    }
    let granted = said("-d 600000");
    assert!(granted.contains("Ok(())"), "{granted}");
    config.recognition.blas_threads = 4;
    assert_eq!(check_opening(&config), Ok(()));
}

#[test]
fn mappings_are_granted_or_refused_as_a_whole() {
    assert!(may_map(MB, 3) && may_map(MB, 0));
    // No machine has so much address space.
    assert!(!may_map(1 << 46, 3));
}

#[test]
fn a_missing_or_meaningless_value_is_no_limit() {
    let files = [("memory.max", "max"), ("memory/memory.limit_in_bytes", "9223372036854771712")];
    for group in ["", "nonsense", "0::/../../etc\n4:memory:/\n", "0::/gone/away\n4:memory:/gone"] {
        let (_folder, machine) = machine(group, &files, 0);
        assert_eq!(machine.limit(), None, "{group}");
        let plan = plan(&config(Detector::Hog, 4096, 4096, 2), &machine).expect("no limit is known");
        assert!(plan.to_string().contains("no limit is known"), "{plan}");
    }
}

#[test]
fn this_machine_has_memory() {
    let limit = Machine::this().limit().expect("sysinfo(2) answers");
    assert!(limit.usable > 100_000_000 && limit.usable < 1 << 50, "{limit:?}");
}

/// A machine with the memory limit of the systemd unit.
fn unit() -> (tempfile::TempDir, Machine) {
    let unit = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/namecam.service")).unwrap();
    let max = unit.lines().find_map(|line| line.strip_prefix("MemoryMax=")).expect("a limit").trim_end_matches('G');
    let max = (max.parse::<u64>().expect("whole gigabytes") * GB).to_string();
    machine(OWN, &[("system.slice/namecam.service/memory.max", &max)], 8 * GB)
}

#[test]
fn both_detectors_fit_into_the_unit_at_the_defaults_and_the_cnn_with_any_key() {
    let (_folder, unit) = unit();
    let hog = plan(&Config::defaults(Path::new("/")), &unit).unwrap();
    assert!(hog.takes < 300_000_000 && hog.most_px > 10_000_000, "{hog:?}");
    for (width, detect_width, upsample) in
        [(640, 640, 1), (1280, 640, 1), (1280, 1280, 1), (1280, 640, 2), (4096, 4096, 2)]
    {
        let plan = plan(&config(Detector::Cnn, width, detect_width, upsample), &unit).unwrap();
        // Large frames leave less memory for a tile.
        let least = if width > 1280 { CNN_MOST_PYRAMID_PX / 10 * 8 } else { CNN_MOST_PYRAMID_PX };
        assert!(plan.most_px >= least && plan.takes < 967_000_000, "{plan:?}");
    }
}

#[test]
fn the_cnn_gets_smaller_tiles_when_memory_is_short_and_is_refused_when_even_those_do_not_fit() {
    let cnn = config(Detector::Cnn, 1280, 640, 1);
    let of = |ram| plan(&cnn, &machine(OWN, &[], ram).1);
    let small = of(700_000_000).unwrap();
    assert!((CNN_LEAST_PYRAMID_PX..CNN_MOST_PYRAMID_PX).contains(&small.most_px), "{small:?}");
    assert!(small.takes <= 700_000_000 / 4 * 3, "{small:?}");
    let refused = of(380_000_000).unwrap_err();
    for told in ["detector = cnn", "the machine has 380 MB", "detector = hog fits"] {
        assert!(refused.contains(told), "{told}: {refused}");
    }
}

#[test]
fn a_refusal_of_hog_names_the_keys_the_memory_the_limit_and_values_that_fit() {
    let (_folder, unit) = unit();
    let asked = config(Detector::Hog, 3840, 4096, 2);
    let refused = plan(&asked, &unit).unwrap_err();
    for told in [
        "detect_width = 4096, upsample = 2",
        "memory.max of system.slice/namecam.service is 1074 MB",
        "upsample = 1 fits",
    ] {
        assert!(refused.contains(told), "{told}: {refused}");
    }
    let widest = refused.split("; detect_width = ").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
    let widest: u32 = widest.parse().unwrap();
    assert!(plan(&config(Detector::Hog, 3840, widest, 2), &unit).is_ok(), "{refused}");
    assert!(plan(&config(Detector::Hog, 3840, widest + 1, 2), &unit).is_err(), "{refused}");
    assert!(plan(&config(Detector::Hog, 3840, 4096, 1), &unit).is_ok(), "{refused}");
}

#[test]
fn only_frames_of_a_program_may_be_wider_than_configured() {
    let mut config = config(Detector::Hog, 1280, 4096, 2);
    assert_eq!(scaled_px(&config, 4096, 2), 5120 * 2880);
    config.camera.source = CameraSource::Pipe(vec!["cat".to_owned()]);
    assert_eq!(scaled_px(&config, 4096, 2), 16384 * 9216);
    config.camera.source = CameraSource::None;
    config.camera.rotate = 90;
    assert_eq!(scaled_px(&config, 640, 1), (1280.0 * 1280.0 * 1280.0 / 720.0f64).ceil() as u64);
}

#[test]
fn a_pyramid_has_as_many_pixels_as_in_dlib() {
    // The sizes of the tensors that dlib 19.24 makes for such pictures.
    for (width, height, px) in [(640.0, 480.0, 1_179_684), (744.0, 720.0, 2_025_304), (160.0, 120.0, 89_362)] {
        assert_eq!(pyramid_px(width, height), px, "{width}x{height}");
    }
    // A thin picture needs almost twice as many pixels as a picture of the usual shape with the same area.
    assert!(pyramid_px(30.0, 18_000.0) > pyramid_px(900.0, 600.0) * 9 / 5);
    assert_eq!(pyramid_px(0.0, 0.0), 0);
}

#[test]
fn frames_and_detector_together_fit_however_large_the_frames_are() {
    for (detector, width, detect_width, upsample, ram) in [
        (Detector::Hog, 1280, 640, 1, 450_000_000),
        (Detector::Hog, 1280, 640, 1, GB),
        (Detector::Hog, 1280, 4096, 1, GB * 2),
        (Detector::Cnn, 1280, 640, 1, GB),
        (Detector::Cnn, 3840, 640, 1, GB * 2),
    ] {
        let mut config = config(detector, width, detect_width, upsample);
        config.camera.source = CameraSource::Pipe(vec!["cat".to_owned()]);
        let plan = plan(&config, &machine(OWN, &[], ram).1).unwrap();
        // The size of the frames changes only their own memory.
        let (_, a_pixel) = of_detector(detector);
        let with_both = takes(&config, 0) - frame_px(&config) * FRAME_BYTES_A_PIXEL
            + plan.most_frame_px * FRAME_BYTES_A_PIXEL
            + plan.most_px * a_pixel;
        assert!(with_both <= ram / 4 * 3, "{with_both}: {plan:?}");
        assert!(plan.most_px >= bounds(&config).0, "the configured detection is not reduced: {plan:?}");
    }
}

#[test]
fn somewhat_larger_frames_than_configured_are_accepted_and_huge_ones_are_refused_with_the_reason() {
    let config = Config::defaults(Path::new("/"));
    // A board with 512 MB, part of which is used by the kernel and the graphics.
    let board = plan(&config, &machine(OWN, &[], 430_000_000).1).unwrap();
    assert_eq!(board.check_frame(1920, 1080), Ok(()));
    let (_folder, unit) = unit();
    let plan = plan(&config, &unit).unwrap();
    assert_eq!(plan.check_frame(4056, 3040), Ok(()));
    let refused = plan.check_frame(3000, 9000).unwrap_err();
    for told in ["3000x9000", "[camera] width and height", "is 1074 MB"] {
        assert!(refused.contains(told), "{told}: {refused}");
    }
}
