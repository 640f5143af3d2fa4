//! The temperatures of the processor, as Linux provides them.

use std::path::{Path, PathBuf};

/// The folder of the thermal zones of a board.
pub const ZONES: &str = "/sys/class/thermal";
/// The names of thermal zones of processors on Raspberry Pi, Jetson and PCs; other zones are batteries and wireless
/// cards.
const PROCESSORS: [&str; 6] = ["cpu", "soc", "x86_pkg", "gpu", "tj", "acpitz"];

/// A thermal zone of a processor.
pub struct Zone {
    /// Its folder.
    pub path: PathBuf,
    /// Its type.
    pub name: String,
    /// Its temperature.
    pub celsius: f32,
}

/// The zones of processors that can be read.
pub fn zones(folder: &Path) -> Vec<Zone> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let zone = |path: PathBuf| {
        let text = |name: &str| std::fs::read_to_string(path.join(name)).map(|text| text.trim().to_owned()).ok();
        let name = text("type").filter(|zone| is_processor(zone))?;
        let celsius = text("temp").and_then(|text| thousandths(&text))?;
        Some(Zone { path, name, celsius })
    };
    entries.filter_map(|entry| zone(entry.path())).collect()
}

fn is_processor(zone: &str) -> bool {
    let zone = zone.to_lowercase();
    PROCESSORS.iter().any(|name| zone.starts_with(name))
}

/// A number of thousandths, as files of the kernel hold it.
pub fn thousandths(text: &str) -> Option<f32> {
    text.parse::<i32>().ok().map(|value| value as f32 / 1000.0)
}
