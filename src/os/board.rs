//! Properties of the board that the kernel reports: temperature, throttling, free space on a disk.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The folder in which Linux provides the temperatures of a board.
pub const ZONES: &str = "/sys/class/thermal";
/// The names of thermal zones of processors on Raspberry Pi, Jetson and PCs; other zones are batteries and wireless
/// cards.
const PROCESSORS: [&str; 6] = ["cpu", "soc", "x86_pkg", "gpu", "tj", "acpitz"];
/// The file in which the firmware of a Raspberry Pi reports low voltage and throttling.
const THROTTLED: &str = "/sys/devices/platform/soc/soc:firmware/get_throttled";
/// The folder of the board's sensors.
const SENSORS: &str = "/sys/class/hwmon";

/// The kernel: `Linux 6.1.0-18-arm64 aarch64`. It comes from a system call, because the service cannot see /proc/sys.
pub fn kernel() -> Option<String> {
    // SAFETY: `names` is plain old data, for which zeros are a valid value; uname writes only to `names`.
    let (failed, names) = unsafe {
        let mut names: libc::utsname = std::mem::zeroed();
        (libc::uname(&raw mut names), names)
    };
    let text = |name: &[libc::c_char]| {
        let bytes: Vec<u8> = name.iter().map(|&byte| byte as u8).take_while(|&byte| byte != 0).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    (failed == 0).then(|| format!("{} {} {}", text(&names.sysname), text(&names.release), text(&names.machine)))
}

/// True for the name of a thermal zone of a processor.
pub fn is_processor(zone: &str) -> bool {
    let zone = zone.to_lowercase();
    PROCESSORS.iter().any(|name| zone.starts_with(name))
}

/// Parses thousandths of a degree, as the kernel writes them, to degrees.
pub fn thousandths(text: &str) -> Option<f32> {
    text.parse::<i32>().ok().map(|value| value as f32 / 1000.0)
}

/// The temperature of the hottest processor, in degrees Celsius.
pub fn temperature(zones: &Path) -> Option<f32> {
    let read = |path: &Path, name: &str| std::fs::read_to_string(path.join(name)).ok();
    let of_zone = |path: &Path| {
        read(path, "type").filter(|zone| is_processor(zone.trim()))?;
        thousandths(read(path, "temp")?.trim())
    };
    let all = std::fs::read_dir(zones).ok()?.flatten();
    all.filter_map(|entry| of_zone(&entry.path())).max_by(f32::total_cmp)
}

/// Why the processor is slowed down now, or was slowed down since the board started: `power` and `heat`. `None` when
/// the board does not report this. On a Raspberry Pi 5 and under kernels other than Raspberry Pi's own, only `power` is
/// reported, and only while the voltage is low.
pub fn throttled() -> Option<Vec<&'static str>> {
    let flags = std::fs::read_to_string(THROTTLED).ok().and_then(|text| throttled_by(&text));
    flags.or_else(|| is_voltage_low(Path::new(SENSORS)).then(|| vec!["power"]))
}

/// True when the sensor of a Raspberry Pi has reported low voltage within the last two seconds.
fn is_voltage_low(sensors: &Path) -> bool {
    let is = |path: &Path, name: &str, value: &str| {
        std::fs::read_to_string(path.join(name)).is_ok_and(|text| text.trim() == value)
    };
    let mut all = std::fs::read_dir(sensors).into_iter().flatten().flatten().map(|entry| entry.path());
    all.any(|path| is(&path, "name", "rpi_volt") && is(&path, "in0_lcrit_alarm", "1"))
}

fn throttled_by(text: &str) -> Option<Vec<&'static str>> {
    let flags = u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()?;
    // Bit 0: low voltage. Bits 1 and 2: a slower clock because of low voltage or heat. Bit 3: a slower clock because of
    // heat. Bits 16 to 19: the same at any time since the board started.
    let (now_or_before, mut why) = (flags | flags >> 16, Vec::new());
    why.extend((now_or_before & 0b0001 != 0).then_some("power"));
    why.extend((now_or_before & 0b1100 != 0).then_some("heat"));
    Some(why)
}

/// The free bytes for this user on the file system of a folder, and its size in bytes.
pub fn disk(folder: &Path) -> Option<(u64, u64)> {
    let path = CString::new(folder.as_os_str().as_bytes()).ok()?;
    // SAFETY: `room` is plain old data, for which zeros are a valid value; statvfs reads the path and writes only to
    // `room`.
    let (failed, room) = unsafe {
        let mut room: libc::statvfs = std::mem::zeroed();
        (libc::statvfs(path.as_ptr(), &raw mut room), room)
    };
    // The fields are longs, 32 bits on small machines.
    #[allow(clippy::useless_conversion)]
    let bytes = |blocks: libc::fsblkcnt_t| u64::from(blocks).saturating_mul(u64::from(room.f_frsize));
    (failed == 0).then(|| (bytes(room.f_bavail), bytes(room.f_blocks)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hottest_processor_counts_and_other_zones_do_not() {
        let root = tempfile::tempdir().unwrap();
        for (n, (zone, temp)) in
            [("cpu-thermal", "48312"), ("soc-thermal", "51000"), ("battery", "70000"), ("gpu", "x")].iter().enumerate()
        {
            let folder = root.path().join(format!("thermal_zone{n}"));
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("type"), format!("{zone}\n")).unwrap();
            std::fs::write(folder.join("temp"), format!("{temp}\n")).unwrap();
        }
        assert_eq!(temperature(root.path()), Some(51.0));
        assert_eq!(temperature(&root.path().join("none")), None);
    }

    #[test]
    fn the_flags_of_a_raspberry_pi_are_power_and_heat() {
        for (text, why) in [
            ("0\n", &[][..]),
            ("0x50005", &["power", "heat"]),
            ("10000\n", &["power"]),
            ("80000", &["heat"]),
            ("20002", &[]),
        ] {
            assert_eq!(throttled_by(text).unwrap(), why, "{text}");
        }
        assert_eq!(throttled_by("no"), None);
    }

    #[test]
    fn low_voltage_is_reported_by_the_sensor_of_a_raspberry_pi() {
        let root = tempfile::tempdir().unwrap();
        let sensor = |number: u32, name: &str, alarm: &str| {
            let folder = root.path().join(format!("hwmon{number}"));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("name"), format!("{name}\n")).unwrap();
            std::fs::write(folder.join("in0_lcrit_alarm"), format!("{alarm}\n")).unwrap();
        };
        assert!(!is_voltage_low(&root.path().join("none")));
        sensor(0, "nvme", "1");
        sensor(1, "rpi_volt", "0");
        assert!(!is_voltage_low(root.path()));
        sensor(1, "rpi_volt", "1");
        assert!(is_voltage_low(root.path()));
    }

    #[test]
    fn a_disk_has_no_more_room_than_it_is_large() {
        let root = tempfile::tempdir().unwrap();
        let (free, all) = disk(root.path()).unwrap();
        assert!(free <= all && all > 1_000_000, "{free} of {all}");
        assert_eq!(disk(&root.path().join("none")), None);
    }
}
