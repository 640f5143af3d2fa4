//! `stills:FOLDER`: a camera that moves over the pictures of a folder, one after the other.

use super::{Captured, Shot, Source};
use crate::config::Camera;
use crate::frame::Moment;
use crate::image::jpeg::{Codec, Compressor};
use crate::image::{Format, Rect, Rgb, check_size, still};
use anyhow::{Context, Result, anyhow, ensure};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The most pictures that are used.
const MAX_FILES: usize = 10_000;
/// How long each picture is shown, in seconds.
const SCENE_S: u64 = 5;
/// The height of a picture, as a share of the frame's. What does not fit is the room in which the frame moves.
const ENLARGED: f64 = 1.15;
/// The largest ratio of height to width. Of a taller picture only the upper part is used, because it shows standing
/// people.
const MAX_TALL: f64 = 1.25;
/// The colour beside a picture that is narrower than the frame: dark grey.
const MARGIN: [u8; 3] = [28; 3];
const JPEG_QUALITY: u32 = 85;

/// Panned pictures, of which one is in memory. The frame of a tick is always the same.
struct Stills {
    files: Vec<PathBuf>,
    format: &'static Format,
    width: u32,
    height: u32,
    fps: u32,
    compressor: Compressor,
    started: Instant,
    tick: u64,
    /// The number of the scene and its picture, which is larger than a frame.
    scene: Option<(u64, Rgb)>,
}

/// Opens `folder` with the size and the rate of `camera`.
///
/// # Errors
/// When the folder or all of its pictures cannot be read.
pub fn open(camera: &Camera, folder: &Path) -> Result<Box<dyn Source>> {
    Ok(Box::new(Stills::open(camera, folder)?))
}

/// The error of [`open`], without reading the pictures.
pub fn trouble(folder: &Path) -> Option<String> {
    some_pictures(folder).err().map(|error| format!("{error:#}"))
}

fn some_pictures(folder: &Path) -> Result<Vec<PathBuf>> {
    let files = pictures(folder)?;
    ensure!(!files.is_empty(), "stills: {} has no picture files", folder.display());
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
    let is_picture = |path: &PathBuf| still::may_be_a_picture(path) && path.is_file();
    Ok(all.filter(is_picture).take(MAX_FILES).collect())
}

impl Stills {
    fn open(camera: &Camera, folder: &Path) -> Result<Stills> {
        let Camera { width, height, .. } = *camera;
        check_size(width, height).map_err(|error| anyhow!("stills: {error}"))?;
        let files = some_pictures(folder)?;
        let fourcc = if ["mjpg", "jpeg"].contains(&camera.format.as_str()) { b"MJPG" } else { b"RGB3" };
        let format = Format::by_fourcc(fourcc).context("stills: not a known format")?;
        let (fps, compressor) = (camera.fps.max(1), Compressor::new(Codec::default(), JPEG_QUALITY));
        let (started, tick, scene) = (Instant::now(), 0, None);
        let mut stills = Stills { files, format, width, height, fps, compressor, started, tick, scene };
        stills.frame(0).with_context(|| format!("stills: no picture in {} can be read", folder.display()))?;
        Ok(stills)
    }

    /// The frame of a tick. A picture that cannot be read is left out from then on.
    fn frame(&mut self, tick: u64) -> Result<Rgb> {
        let scene = tick / (SCENE_S * u64::from(self.fps));
        let picture = match self.scene.take().filter(|(number, _)| *number == scene) {
            Some((_, picture)) => picture,
            None => self.next_picture(scene)?,
        };
        let at = |room: u32| to_and_fro(tick, room) as i32;
        let (x, y) = (at(picture.width - self.width), at(picture.height - self.height));
        let frame = picture.cropped(Rect { x, y, w: self.width, h: self.height });
        self.scene = Some((scene, picture));
        Ok(frame)
    }

    fn next_picture(&mut self, scene: u64) -> Result<Rgb> {
        loop {
            let file = (scene % self.files.len().max(1) as u64) as usize;
            let path = self.files.get(file).context("no picture is left")?;
            match still::read(path) {
                Ok(still) => return Ok(enlarged(&still.rgb, self.width, self.height)),
                Err(why) => log::warn!("stills: {}: {why}", path.display()),
            }
            self.files.remove(file);
        }
    }
}

/// The picture with [`ENLARGED`] times the height of a frame and at least its width.
fn enlarged(rgb: &Rgb, width: u32, height: u32) -> Rgb {
    let of = |side: u32, ratio: f64| (f64::from(side) * ratio).ceil() as u32;
    let h = rgb.height.min(of(rgb.width, MAX_TALL));
    // A part of the frame's shape, so that a strip is not enlarged to millions of pixels.
    let w = rgb.width.min(of(h, f64::from(width) / f64::from(height)));
    let part = rgb.cropped(Rect { x: ((rgb.width - w) / 2) as i32, y: 0, w, h });
    let tall = of(height, ENLARGED);
    let wide = of(tall, f64::from(w) / f64::from(h));
    let mut picture = Rgb::filled(wide.max(width), tall, MARGIN);
    picture.put(&part.resized(wide, tall), (picture.width - wide) / 2, 0);
    picture
}

/// The place after `tick` steps of one pixel, which turn round at both ends of `room`.
fn to_and_fro(tick: u64, room: u32) -> u64 {
    let room = u64::from(room);
    let step = tick % (2 * room).max(1);
    step.min(2 * room - step)
}

impl Source for Stills {
    fn next(&mut self, timeout: Duration) -> Result<Shot> {
        let fps = f64::from(self.fps);
        let early = Duration::from_secs_f64(self.tick as f64 / fps).saturating_sub(self.started.elapsed());
        std::thread::sleep(early.min(timeout));
        if early > timeout {
            return Ok(Shot::Nothing);
        }
        // The schedule counts from the start, so that it does not drift. A late call skips frames.
        let tick = self.tick.max((self.started.elapsed().as_secs_f64() * fps) as u64);
        let dropped = tick - self.tick;
        self.tick = tick + 1;
        let captured_at = Moment::now();
        let rgb = self.frame(tick)?;
        let Rgb { width, height, .. } = rgb;
        let (bytes, stride) = if self.format.jpeg {
            let mut jpeg = Vec::new();
            self.compressor.compress(&rgb, &mut jpeg).map_err(|error| anyhow!("stills: {error}"))?;
            (jpeg, 0)
        } else {
            (rgb.data, width * 3)
        };
        Ok(Shot::Picture(Captured { format: self.format, width, height, stride, bytes, captured_at, dropped }))
    }

    fn describe(&self) -> String {
        let Stills { width, height, fps, .. } = self;
        format!("{} panned pictures, {} {width}x{height} at {fps} fps", self.files.len(), self.format.name())
    }
}

#[cfg(test)]
mod tests;
