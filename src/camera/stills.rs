//! `stills:FOLDER`: pans and zooms over the pictures of a folder, like a moving camera.

use super::scene::{Encoding, Film};
use super::{Captured, Shot, Source};
use crate::config::Camera;
use crate::frame::Moment;
use crate::image::{Format, check_size};
use anyhow::{Context, Result, anyhow, ensure};
use jpeg_encoder::{Encoder, ImageBuffer, JpegColorType, SamplingFactor};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The most pictures that are used.
const MAX_FILES: usize = 10_000;
const JPEG_QUALITY: u8 = 85;

/// Panned pictures. The picture of a tick is always the same.
struct Stills {
    film: Film,
    format: &'static Format,
    fps: u32,
    started: Instant,
    tick: u64,
    spare: Vec<u8>,
}

/// Opens `folder` with the size and the rate of `camera`.
///
/// # Errors
/// When the folder or all of its pictures cannot be read.
pub fn open(camera: &Camera, folder: &Path) -> Result<Box<dyn Source>> {
    check_size(camera.width, camera.height).map_err(|error| anyhow!("stills: {error}"))?;
    let files = some_pictures(folder)?;
    let (format, encoding) = match camera.format.as_str() {
        "mjpg" => (Format::mjpg(), Encoding::FullRange),
        _ => (Format::by_fourcc(b"YUYV").context("stills: YUYV is not a known format")?, Encoding::LimitedRange),
    };
    let mut film = Film::new(files, camera.width, camera.height, camera.fps, encoding);
    film.load(0).with_context(|| format!("stills: no picture in {} can be read", folder.display()))?;
    let (fps, started) = (camera.fps.max(1), Instant::now());
    Ok(Box::new(Stills { film, format, fps, started, tick: 0, spare: Vec::new() }))
}

/// The error of [`open`], without reading the pictures.
pub fn trouble(folder: &Path) -> Option<String> {
    some_pictures(folder).err().map(|error| format!("{error:#}"))
}

fn some_pictures(folder: &Path) -> Result<Vec<PathBuf>> {
    let files = pictures(folder)?;
    ensure!(!files.is_empty(), "stills: {} has no .jpg, .jpeg or .png files", folder.display());
    Ok(files)
}

/// The pictures of the folder and its subfolders, in name order.
fn pictures(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = |folder: &Path| -> std::io::Result<Vec<PathBuf>> {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
        let hidden = |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        paths.retain(|path| !hidden(path));
        paths.sort();
        Ok(paths)
    };
    let top = entries(folder).with_context(|| format!("stills: {} cannot be read", folder.display()))?;
    let all =
        top.into_iter().flat_map(|path| if path.is_dir() { entries(&path).unwrap_or_default() } else { vec![path] });
    let is_picture = |path: &PathBuf| {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        matches!(extension.as_str(), "jpg" | "jpeg" | "png") && path.is_file()
    };
    Ok(all.filter(is_picture).take(MAX_FILES).collect())
}

impl Source for Stills {
    fn next(&mut self, timeout: Duration) -> Result<Shot> {
        let due = Duration::from_nanos((u128::from(self.tick) * 1_000_000_000 / u128::from(self.fps)) as u64);
        let early = due.saturating_sub(self.started.elapsed());
        std::thread::sleep(early.min(timeout));
        if early > timeout {
            return Ok(Shot::Nothing);
        }
        // The schedule counts from the start, so that it does not drift. A late call skips pictures.
        let now = (self.started.elapsed().as_nanos() * u128::from(self.fps) / 1_000_000_000) as u64;
        let tick = now.max(self.tick);
        let dropped = tick - self.tick;
        self.tick = tick + 1;
        let captured_at = Moment::now();
        let (width, height) = self.film.size();
        let (stride, bytes) = if self.format.jpeg {
            self.film.draw(tick, &mut self.spare)?;
            (0, encode(&self.spare, width, height)?)
        } else {
            let mut bytes = Vec::new();
            self.film.draw(tick, &mut bytes)?;
            (self.film.stride(), bytes)
        };
        Ok(Shot::Picture(Captured { format: self.format, width, height, stride, bytes, captured_at, dropped }))
    }

    fn describe(&self) -> String {
        let (width, height) = self.film.size();
        let (format, fps) = (self.format.name(), self.fps);
        format!("{} panned pictures, {format} {width}x{height} at {fps} fps", self.film.pictures())
    }
}

/// A YUYV picture for the JPEG encoder.
struct Yuyv<'a> {
    bytes: &'a [u8],
    width: u16,
    height: u16,
}

impl ImageBuffer for Yuyv<'_> {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        JpegColorType::Ycbcr
    }

    fn width(&self) -> u16 {
        self.width
    }

    fn height(&self) -> u16 {
        self.height
    }

    fn fill_buffers(&self, y: u16, [luma, blue, red, _]: &mut [Vec<u8>; 4]) {
        let stride = usize::from(self.width).div_ceil(2) * 4;
        let line = self.bytes.chunks_exact(stride).nth(y.into()).unwrap_or_default();
        let before = luma.len();
        for pair in line.as_chunks::<4>().0 {
            luma.extend_from_slice(&[pair[0], pair[2]]);
            blue.extend_from_slice(&[pair[1]; 2]);
            red.extend_from_slice(&[pair[3]; 2]);
        }
        // An odd width ends in the middle of a pair.
        for plane in [luma, blue, red] {
            plane.truncate(before + usize::from(self.width));
        }
    }
}

fn encode(yuyv: &[u8], width: u32, height: u32) -> Result<Vec<u8>> {
    let mut jpeg = Vec::with_capacity(yuyv.len() / 8);
    let mut encoder = Encoder::new(&mut jpeg, JPEG_QUALITY);
    // The subsampling of USB cameras.
    encoder.set_sampling_factor(SamplingFactor::F_2_1);
    let (width, height) = (u16::try_from(width)?, u16::try_from(height)?);
    encoder.encode_image(Yuyv { bytes: yuyv, width, height }).context("stills: the picture cannot be encoded")?;
    Ok(jpeg)
}

#[cfg(test)]
mod tests;
