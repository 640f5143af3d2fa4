//! `stills:FOLDER`: a simulated camera that pans along the pictures of a folder, placed side by side. The camera never
//! jumps from one picture to the next, so the faces of a picture are still visible when the faces of the next picture
//! appear.

use super::{Captured, Shot, Source};
use crate::config::Camera;
use crate::frame::Moment;
use crate::image::jpeg::{Codec, Compressor};
use crate::image::{Format, Rect, Rgb, check_size, still};
use anyhow::{Context, Result, anyhow, ensure};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The most pictures that are used.
const MAX_FILES: usize = 10_000;
/// The seconds in which the camera moves from the middle of a picture to the middle of the next one.
const SCENE_S: u64 = 8;
/// The least distance between the middles of two pictures, as a share of the frame's width: two faces fit into the
/// frame, and three do not.
const APART: f64 = 0.7;
/// The height of a picture, as a share of the frame's height. The frame moves up and down within the excess.
const ENLARGED: f64 = 1.15;
/// The largest ratio of height to width. Only the upper part of a taller picture is used: tall pictures show standing
/// people.
const MAX_TALL: f64 = 1.25;
/// The colour beside a picture that is narrower than the frame: dark grey.
const MARGIN: [u8; 3] = [28; 3];
const JPEG_QUALITY: u32 = 85;

/// The source: panned pictures, of which a few are in memory. A frame depends only on its tick.
struct Stills {
    files: Vec<PathBuf>,
    format: &'static Format,
    width: u32,
    height: u32,
    fps: u32,
    compressor: Compressor,
    started: Instant,
    tick: u64,
    /// The number of the scene, which is the way from one picture to the next. `hung` holds the pictures of the scene:
    /// the previous picture, the scene's own picture and the two after it.
    scene: u64,
    hung: VecDeque<Rgb>,
}

/// How many pictures belong to a scene.
const HUNG: usize = 4;
/// The index of the scene's own picture among them.
const OWN: usize = 1;

/// Opens `folder` with the size and the rate of `camera`.
///
/// # Errors
/// The folder or all of its pictures cannot be read.
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

/// The pictures of the folder and its subfolders, in name order: the first picture of each subfolder, then the second
/// of each, and so on. The pictures of one subfolder may show one person, and such pictures must not be neighbours.
fn pictures(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = |folder: &Path| -> std::io::Result<Vec<PathBuf>> {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
        let hidden = |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        paths.retain(|path| !hidden(path));
        paths.sort();
        Ok(paths)
    };
    let top = entries(folder).with_context(|| format!("stills: {} cannot be read", folder.display()))?;
    let is_picture = |path: &PathBuf| still::may_be_a_picture(path) && path.is_file();
    let mut all: Vec<(usize, PathBuf)> = Vec::new();
    for path in top {
        let of_one = if path.is_dir() { entries(&path).unwrap_or_default() } else { vec![path] };
        all.extend(of_one.into_iter().filter(is_picture).enumerate().take(MAX_FILES - all.len()));
    }
    all.sort_by_key(|(round, _)| *round);
    Ok(all.into_iter().map(|(_, path)| path).collect())
}

impl Stills {
    fn open(camera: &Camera, folder: &Path) -> Result<Stills> {
        let Camera { width, height, .. } = *camera;
        check_size(width, height).map_err(|error| anyhow!("stills: {error}"))?;
        let files = some_pictures(folder)?;
        let fourcc = if ["mjpg", "jpeg"].contains(&camera.format.as_str()) { b"MJPG" } else { b"RGB3" };
        let format = Format::by_fourcc(fourcc).context("stills: not a known format")?;
        let (fps, compressor) = (camera.fps.max(1), Compressor::new(Codec::default(), JPEG_QUALITY));
        let (started, tick, scene, hung) = (Instant::now(), 0, 0, VecDeque::new());
        let mut stills = Stills { files, format, width, height, fps, compressor, started, tick, scene, hung };
        stills.frame(0).with_context(|| format!("stills: no picture in {} can be read", folder.display()))?;
        Ok(stills)
    }

    /// The frame of a tick. A picture that cannot be read is not used again.
    fn frame(&mut self, tick: u64) -> Result<Rgb> {
        let ticks = SCENE_S * u64::from(self.fps);
        self.hang(tick / ticks)?;
        let own = &self.hung[OWN.min(self.hung.len() - 1)];
        let y = to_and_fro(tick, own.height - self.height) as i32;
        let mut frame = Rgb::filled(self.width, self.height, MARGIN);
        if self.hung.len() == 1 {
            let x = to_and_fro(tick, own.width.saturating_sub(self.width)) as i32;
            let margin = self.width.saturating_sub(own.width) / 2;
            frame.put(&own.cropped(Rect { x, y, w: own.width.min(self.width), h: self.height }), margin, 0);
            return Ok(frame);
        }
        let apart = |a: usize, b: usize| self.apart(&self.hung[a], &self.hung[b]);
        // The distance of each picture's middle from the middle of the scene's own picture.
        let middles = [-apart(0, 1), 0, apart(1, 2), apart(1, 2) + apart(2, 3)];
        let way = (i128::from(tick % ticks) * i128::from(middles[2]) / i128::from(ticks)) as i64;
        for (picture, middle) in self.hung.iter().zip(middles) {
            let left = middle - way + i64::from(self.width / 2) - i64::from(picture.width / 2);
            let [from, to] = [left, left + i64::from(picture.width)].map(|x| x.clamp(0, self.width.into()));
            if from < to {
                let part = Rect { x: (from - left) as i32, y, w: (to - from) as u32, h: self.height };
                frame.put(&picture.cropped(part), from as u32, 0);
            }
        }
        Ok(frame)
    }

    /// The distance between the middles of two neighbouring pictures, in pixels.
    fn apart(&self, a: &Rgb, b: &Rgb) -> i64 {
        let least = (f64::from(self.width) * APART).ceil() as i64;
        i64::from((a.width + b.width).div_ceil(2)).max(least)
    }

    /// Reads the pictures of `scene` that are not in memory from the last scene. A single picture has no neighbours.
    fn hang(&mut self, scene: u64) -> Result<()> {
        let wanted = |files: usize| if files == 1 { 1 } else { HUNG };
        let passed = scene.wrapping_sub(self.scene);
        if passed < HUNG as u64 && self.hung.len() == HUNG {
            self.hung.drain(..passed as usize);
        } else if passed != 0 {
            self.hung.clear();
        }
        self.scene = scene;
        while self.hung.len() < wanted(self.files.len()) {
            ensure!(!self.files.is_empty(), "no picture is left");
            let files = self.files.len();
            // The first picture is the one before the scene's own. `files` is added so that the difference is not
            // negative.
            let file = ((scene % files as u64) as usize + files - OWN + self.hung.len()) % files;
            match still::read(&self.files[file]) {
                Ok(still) => self.hung.push_back(enlarged(&still.rgb, self.width, self.height)),
                Err(why) => {
                    log::warn!("stills: {}: {why}", self.files[file].display());
                    self.files.remove(file);
                    // The places of the other pictures have changed.
                    self.hung.clear();
                }
            }
        }
        Ok(())
    }
}

/// The picture scaled to [`ENLARGED`] times the height of a frame.
fn enlarged(rgb: &Rgb, width: u32, height: u32) -> Rgb {
    let of = |side: u32, ratio: f64| (f64::from(side) * ratio).ceil() as u32;
    let h = rgb.height.min(of(rgb.width, MAX_TALL));
    // The part is at most as wide as the frame's shape, so that a strip is not enlarged to millions of pixels.
    let w = rgb.width.min(of(h, f64::from(width) / f64::from(height)));
    let part = rgb.cropped(Rect { x: ((rgb.width - w) / 2) as i32, y: 0, w, h });
    let tall = of(height, ENLARGED);
    part.resized(of(tall, f64::from(w) / f64::from(h)).max(1), tall)
}

/// The position after `tick` steps of one pixel. The direction reverses at both ends of `room`.
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
