//! [`Film`]: scenes of one or two pictures, each shown through a slowly moving window.

use crate::image::{check_size, jpeg};
use anyhow::{Context, Result, anyhow};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use yuv::{YuvChromaSubsampling, YuvConversionMode, YuvPlanarImageMut, YuvRange, YuvStandardMatrix, rgb_to_yuv420};

const SCENE_S: u64 = 5;
/// The smallest share of a picture's height that the window shows, so that faces are rarely cut off. A picture that is
/// too narrow gets dark margins.
const MIN_SPAN: f64 = 0.85;
/// The largest ratio of height to width of a picture. Of a taller one only the upper part is used, because it shows
/// standing people.
const MAX_TALL: f64 = 1.25;
/// The size of the window at the two ends of a scene, as a share of the largest one that fits.
const WIDE: f64 = 0.96;
const NEAR: f64 = 0.8;
/// The amplitude of a camera shake, as a share of the window's width, so that no two frames are equal.
const SWAY: f64 = 0.004;

/// The range of luma and chroma.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// 0 to 255, for JPEG.
    FullRange,
    /// 16 to 235, as in the YUYV of cameras.
    LimitedRange,
}

impl Encoding {
    /// Two pixels of the margin: dark grey in either range.
    fn backdrop(self) -> [u8; 4] {
        match self {
            Encoding::FullRange => [28, 128, 28, 128],
            Encoding::LimitedRange => [40, 128, 40, 128],
        }
    }
}

/// A sequence of YUYV pictures, one per tick.
pub(super) struct Film {
    files: Vec<PathBuf>,
    width: u32,
    height: u32,
    scene_ticks: u64,
    encoding: Encoding,
    scene: Option<(u64, Vec<Pane>)>,
    sampler: Sampler,
}

impl Film {
    pub fn new(files: Vec<PathBuf>, width: u32, height: u32, fps: u32, encoding: Encoding) -> Film {
        let scene_ticks = SCENE_S * u64::from(fps.max(1));
        Film { files, width, height, scene_ticks, encoding, scene: None, sampler: Sampler::default() }
    }

    /// The width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// The bytes per line.
    pub fn stride(&self) -> u32 {
        self.width.div_ceil(2) * 4
    }

    /// The number of pictures.
    pub fn pictures(&self) -> usize {
        self.files.len()
    }

    /// Draws the picture of a tick into `out`, which is resized.
    ///
    /// # Errors
    /// When no picture can be read.
    pub fn draw(&mut self, tick: u64, out: &mut Vec<u8>) -> Result<()> {
        let scene = tick / self.scene_ticks;
        self.load(scene)?;
        let stride = self.stride() as usize;
        out.resize(stride * self.height as usize, 0);
        out.as_chunks_mut::<4>().0.fill(self.encoding.backdrop());
        let Some((_, panes)) = &self.scene else { return Ok(()) };
        let progress = (tick % self.scene_ticks) as f64 / self.scene_ticks as f64;
        let seconds = tick as f64 / self.scene_ticks as f64 * SCENE_S as f64;
        for pane in panes {
            self.sampler.draw(pane, pane.window(progress, seconds), out, stride);
        }
        Ok(())
    }

    /// Loads the pictures of a scene, if needed. A picture that cannot be read is left out from then on.
    ///
    /// # Errors
    /// When no picture is left, with the error of the last one.
    pub fn load(&mut self, scene: u64) -> Result<()> {
        if self.scene.as_ref().is_some_and(|(loaded, _)| *loaded == scene) {
            return Ok(());
        }
        // The old pictures are freed before the new ones are loaded.
        self.scene = None;
        loop {
            match self.panes(scene) {
                Ok(panes) => {
                    self.scene = Some((scene, panes));
                    return Ok(());
                }
                Err((file, error)) => {
                    let path = self.files.remove(file);
                    log::warn!("stills: {}: {error:#}", path.display());
                    if self.files.is_empty() {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// The panes of a scene, or the index of a file that cannot be shown, with the error.
    fn panes(&self, scene: u64) -> Result<Vec<Pane>, (usize, anyhow::Error)> {
        let cast = self.cast(scene);
        let half = self.width / 4 * 2;
        let places = if cast.len() == 1 { vec![(0, self.width)] } else { vec![(0, half), (half, self.width - half)] };
        let mut panes = Vec::new();
        for (file, (x, width)) in cast.into_iter().zip(places) {
            let path = self.files.get(file).map(PathBuf::as_path).unwrap_or(Path::new(""));
            let pane = Pane::read(path, (x, width, self.height), scene * 2 + u64::from(x > 0), self.encoding);
            panes.push(pane.map_err(|error| (file, error))?);
        }
        Ok(panes)
    }

    /// The pictures of a scene: each one alone, then beside the next one, which is from another folder if possible.
    fn cast(&self, scene: u64) -> Vec<usize> {
        let count = self.files.len();
        let first = (scene / 2 % count.max(1) as u64) as usize;
        if scene.is_multiple_of(2) || count < 2 {
            return vec![first];
        }
        let folder = |file: usize| self.files.get(file).and_then(|path| path.parent());
        let mut others = (1..count).map(|step| (first + step) % count);
        let other = others.find(|&file| folder(file) != folder(first)).unwrap_or((first + 1) % count);
        vec![first, other]
    }
}

/// A scaled picture: luma at full size, chroma at half the width and height.
struct Planes {
    luma: YuvPlane,
    blue: YuvPlane,
    red: YuvPlane,
}

struct YuvPlane {
    width: usize,
    height: usize,
    data: Vec<u8>,
}

/// One end of the window's path over a picture.
#[derive(Debug, Clone, Copy)]
struct PanView {
    /// The size of the window, as a share of the largest one.
    zoom: f64,
    /// The share of the free space to its left and above it, 0 to 1.
    x: f64,
    y: f64,
}

/// The visible part of a picture, in shares of its width and height.
#[derive(Debug, Clone, Copy)]
struct Window {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// A picture, its place on the screen, and the path of the window.
struct Pane {
    planes: Planes,
    /// The left edge and the width on the screen in pixels; even, because two pixels share their chroma.
    x: usize,
    width: usize,
    height: usize,
    largest: (f64, f64),
    ends: [PanView; 2],
    phase: f64,
}

impl Pane {
    fn read(path: &Path, (x, room, screen): (u32, u32, u32), seed: u64, encoding: Encoding) -> Result<Pane> {
        let picture = decode(path)?;
        let tallest = (f64::from(picture.width()) * MAX_TALL) as u32;
        let picture = picture.crop_imm(0, 0, picture.width(), picture.height().min(tallest.max(1)));
        let (w, h) = (f64::from(picture.width()), f64::from(picture.height()));
        let spanned = f64::from(screen) * w / (MIN_SPAN * h);
        let width = (spanned as u32 / 2 * 2).clamp(2, room.next_multiple_of(2));
        let shape = f64::from(width) / f64::from(screen);
        let window = if w / h < shape { (w, w / shape) } else { (h * shape, h) };
        // The smallest window shows the picture at its full resolution. A small picture is enlarged when drawn.
        let scale = (f64::from(width) / (window.0 * NEAR)).min(1.0);
        let side = |length: f64| (length * scale).round().max(2.0) as u32;
        let planes = Planes::of(&picture, side(w), side(h), encoding)?;

        let mut random = Random(seed);
        // Faces are mostly in the middle and in the upper half.
        let mut view = |zoom| PanView { zoom, x: random.between(0.35, 0.65), y: random.between(0.02, 0.22) };
        let mut ends = [view(WIDE), view(NEAR)];
        if random.between(0.0, 1.0) < 0.5 {
            ends.reverse();
        }
        let (phase, largest) = (random.between(0.0, 6.0), (window.0 / w, window.1 / h));
        let margin = (room.saturating_sub(width) / 2) & !1;
        Ok(Pane {
            planes,
            x: (x + margin) as usize,
            width: width as usize,
            height: screen as usize,
            largest,
            ends,
            phase,
        })
    }

    /// The window after this share of the scene.
    fn window(&self, progress: f64, seconds: f64) -> Window {
        let eased = progress * progress * (3.0 - 2.0 * progress);
        let [from, to] = self.ends;
        let between = |from: f64, to: f64| from + (to - from) * eased;
        let zoom = between(from.zoom, to.zoom);
        let (width, height) = (self.largest.0 * zoom, self.largest.1 * zoom);
        let sway = |speed: f64| SWAY * width * (seconds * speed + self.phase).sin();
        let place = |share: f64, free: f64, sway: f64| (share * free + sway).clamp(0.0, free);
        Window {
            x: place(between(from.x, to.x), 1.0 - width, sway(5.3)),
            y: place(between(from.y, to.y), 1.0 - height, sway(3.7)),
            width,
            height,
        }
    }
}

fn decode(path: &Path) -> Result<DynamicImage> {
    let bytes = std::fs::read(path)?;
    let mut reader = ImageReader::new(Cursor::new(&bytes)).with_guessed_format()?;
    if reader.format() == Some(ImageFormat::Jpeg) {
        jpeg::check(&bytes).map_err(|odd| anyhow!(odd))?;
    }
    reader.limits(Limits::default());
    let mut decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    check_size(width, height).map_err(|error| anyhow!(error))?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

impl Planes {
    fn of(picture: &DynamicImage, width: u32, height: u32, encoding: Encoding) -> Result<Planes> {
        let rgb = picture.thumbnail_exact(width, height).into_rgb8();
        let range = match encoding {
            Encoding::FullRange => YuvRange::Full,
            Encoding::LimitedRange => YuvRange::Limited,
        };
        let mut image = YuvPlanarImageMut::<u8>::alloc(width, height, YuvChromaSubsampling::Yuv420);
        let (matrix, mode) = (YuvStandardMatrix::Bt601, YuvConversionMode::Balanced);
        rgb_to_yuv420(&mut image, &rgb, width * 3, range, matrix, mode).context("cannot convert its colours")?;
        let plane = |data: &[u8], stride: u32, height: u32| YuvPlane {
            width: stride as usize,
            height: height as usize,
            data: data.to_vec(),
        };
        Ok(Planes {
            luma: plane(image.y_plane.borrow(), image.y_stride, height),
            blue: plane(image.u_plane.borrow(), image.u_stride, height.div_ceil(2)),
            red: plane(image.v_plane.borrow(), image.v_stride, height.div_ceil(2)),
        })
    }
}

/// Bilinear sampling in fixed point with 16 fractional bits: two lines are blended into one, which the compiler
/// vectorises, and then its pixels are sampled.
#[derive(Default)]
struct Sampler {
    line: Vec<u16>,
}

impl Sampler {
    fn draw(&mut self, pane: &Pane, window: Window, out: &mut [u8], stride: usize) {
        let planes = &pane.planes;
        for (y, line) in out.chunks_exact_mut(stride).enumerate() {
            let end = ((pane.x + pane.width) * 2).min(stride);
            let Some(line) = line.get_mut(pane.x * 2..end) else { return };
            let pairs = pane.width / 2;
            let line = line.as_chunks_mut::<4>().0;
            let down = window.y + window.height * (y as f64 + 0.5) / pane.height as f64;
            self.blend(&planes.luma, down);
            let mut luma = self.across(&planes.luma, window, pane.width);
            for pixels in line.iter_mut() {
                pixels[0] = luma.next();
                pixels[2] = luma.next();
            }
            for (plane, place) in [(&planes.blue, 1), (&planes.red, 3)] {
                self.blend(plane, down);
                let mut chroma = self.across(plane, window, pairs);
                for pixels in line.iter_mut() {
                    pixels[place] = chroma.next();
                }
            }
        }
    }

    /// Blends the two lines nearest to `down`, a share of the height.
    fn blend(&mut self, plane: &YuvPlane, down: f64) {
        let at = (down * plane.height as f64 - 0.5).clamp(0.0, (plane.height - 1) as f64);
        let above = at as usize;
        let weight = ((at - above as f64) * 256.0) as u16;
        let row = |y: usize| plane.data.get(y * plane.width..(y + 1) * plane.width).unwrap_or_default();
        let (above, below) = (row(above), row((above + 1).min(plane.height - 1)));
        self.line.resize(plane.width + 2, 0);
        // One more pixel at each end, so that sampling half a pixel beyond the edge is valid.
        for ((blended, &a), &b) in self.line[1..].iter_mut().zip(above).zip(below) {
            *blended = u16::from(a) * (256 - weight) + u16::from(b) * weight;
        }
        self.line[0] = self.line[1];
        self.line[plane.width + 1] = self.line[plane.width];
    }

    fn across(&self, plane: &YuvPlane, window: Window, pixels: usize) -> Across<'_> {
        let width = plane.width as f64 * 65536.0;
        let step = window.width * width / pixels as f64;
        // The line has an extra pixel in front, so an offset of minus half a pixel becomes plus half a pixel.
        let at = window.x * width + step / 2.0 + 32768.0;
        Across { line: &self.line, at: at as usize, step: step as usize }
    }
}

struct Across<'a> {
    line: &'a [u16],
    at: usize,
    step: usize,
}

impl Across<'_> {
    fn next(&mut self) -> u8 {
        let (whole, part) = (self.at >> 16, (self.at >> 8) as u32 & 255);
        self.at += self.step;
        let Some(&[a, b]) = self.line.get(whole..whole + 2) else { return 128 };
        ((u32::from(a) * (256 - part) + u32::from(b) * part + 32768) >> 16) as u8
    }
}

/// A reproducible random generator (splitmix64).
struct Random(u64);

impl Random {
    fn between(&mut self, from: f64, to: f64) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let share = ((bits ^ (bits >> 31)) >> 11) as f64 / (1u64 << 53) as f64;
        from + share * (to - from)
    }
}
