//! [`Renderer`]: renders and encodes the picture of a frame for one rendition. A renderer keeps data that is expensive
//! to create: glyphs, a canvas, and the state of the JPEG library.

use crate::config::{self, Config};
use crate::detection::{Examined, Sighting, Sightings};
use crate::frame::Frame;
use crate::image::jpeg::Compressor;
use crate::image::{Rect, Rgb};
use crate::stream::encoder::{RenditionSpec, Shared};
use crate::stream::overlay::{Away, Painter, flatten, pixelate};
use std::sync::Arc;
use std::time::Instant;

/// Everything besides the frame that determines a picture.
#[derive(Debug, Clone)]
pub(super) struct Appearance {
    config: u64,
    /// The width in pixels; `None`: as captured.
    width: Option<u32>,
    /// True when faces without a name must be blurred. The next three fields are empty otherwise.
    private: bool,
    /// The current and recent positions of faces without a name.
    blurred: Vec<Rect>,
    /// The areas that the last look examined; all other areas are blurred. `None`: the whole picture is blurred,
    /// because the positions of faces are unknown.
    examined: Option<Arc<Examined>>,
    /// The faces with names. In areas that were not examined, such a face stays clear while it is surely still there.
    named: Vec<Sighting>,
    /// The faces with boxes, at their positions in this frame.
    faces: Vec<Sighting>,
}

impl PartialEq for Appearance {
    fn eq(&self, other: &Appearance) -> bool {
        // Destructured, so that the compiler reports a new field that is not compared here.
        let Appearance { config, width, private, blurred, examined, named, faces } = self;
        let same = |one: &[Sighting], other: &[Sighting]| {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.is_drawn_like(other))
        };
        (*config, *width, *private) == (other.config, other.width, other.private)
            && examined.as_ref().map(Arc::as_ptr) == other.examined.as_ref().map(Arc::as_ptr)
            && *blurred == other.blurred
            && same(named, &other.named)
            && same(faces, &other.faces)
    }
}

impl Appearance {
    /// True when strangers are blurred.
    pub(super) fn hides_strangers(&self) -> bool {
        self.private
    }

    /// True when nothing is drawn on the frame, so that a camera's JPEG can be passed on.
    fn is_plain(&self) -> bool {
        self.width.is_none() && !self.private && self.faces.is_empty()
    }
}

/// Why a picture could not be made.
#[derive(Debug, Clone)]
pub(super) enum Unrenderable {
    Frame(String),
    Picture(String),
}

pub(super) struct Renderer {
    shared: Arc<Shared>,
    painter: Option<Painter>,
    /// The picture to draw on. The picture of the frame itself is shared and never changed.
    canvas: Rgb,
    compressor: Compressor,
}

impl Renderer {
    pub(super) fn new(shared: Arc<Shared>) -> Renderer {
        Renderer {
            shared,
            painter: None,
            canvas: Rgb { width: 0, height: 0, data: Vec::new() },
            compressor: Compressor::default(),
        }
    }

    /// The appearance of a frame in a rendition.
    pub(super) fn appearance(
        &mut self,
        config: &Config,
        config_version: u64,
        frame: &Frame,
        spec: RenditionSpec,
    ) -> Appearance {
        let size = frame.upright_size();
        let width = scaled_width(config, spec, size.0);
        let private = spec.blur || config.overlay.blurs_for(true);
        let (blurred, named, faces) = (Vec::new(), Vec::new(), Vec::new());
        let mut appearance =
            Appearance { config: config_version, width, private, blurred, examined: None, named, faces };
        let now = Instant::now();
        // Faces from a frame of another size (another camera) do not apply to this frame.
        let applies = |seen: &Sightings| !seen.is_stale(now) && (seen.width, seen.height) == size;
        let sightings = self.shared.stage.sightings.newest().map(|(_, seen)| seen).filter(|seen| applies(seen));
        let sightings = sightings.as_deref();
        let Some(sightings) = sightings else { return appearance };
        appearance.faces = sightings.faces_at(frame.captured_at.instant);
        if private {
            appearance.examined.clone_from(&sightings.examined);
            appearance.blurred.extend(sightings.blurred_at(now));
            appearance.blurred.extend(appearance.examined.iter().flat_map(|examined| examined.hidden()));
            let (named, strangers): (Vec<_>, Vec<_>) =
                std::mem::take(&mut appearance.faces).into_iter().partition(|face| face.name.is_some());
            appearance.blurred.extend(strangers.iter().map(|face| face.rect));
            appearance.named.clone_from(&named);
            appearance.faces = named;
        }
        let painter = painter(&mut self.painter, &self.shared, &config.overlay);
        appearance.faces.retain(|face| spec.overlay && painter.draws(face));
        appearance
    }

    /// Encodes the picture. A JPEG of the camera without an overlay is used unchanged.
    pub(super) fn render(
        &mut self,
        config: &Config,
        frame: &Frame,
        appearance: &Appearance,
    ) -> Result<Arc<Vec<u8>>, Unrenderable> {
        let started = Instant::now();
        if frame.format.jpeg && frame.turn.is_none() && frame.mask.is_empty() && appearance.is_plain() {
            self.shared.stage.health.passed_through.add();
            return Ok(Arc::clone(&frame.bytes));
        }
        let rgb = frame.rgb().map_err(Unrenderable::Frame)?;
        if (rgb.width, rgb.height) != frame.upright_size() {
            // The positions of faces to blur would be unknown.
            return Err(Unrenderable::Frame("its size differs from its header".to_owned()));
        }
        let picture = if appearance.is_plain() {
            &*rgb
        } else {
            self.paint(config, &rgb, appearance);
            &self.canvas
        };
        let jpeg = encoded(&mut self.compressor, config, picture).map_err(Unrenderable::Picture)?;
        self.shared.stage.health.encode_took.set(started.elapsed());
        self.shared.stage.health.encoded.add();
        Ok(jpeg)
    }

    /// Scales the frame onto the canvas and draws the overlay.
    fn paint(&mut self, config: &Config, rgb: &Rgb, appearance: &Appearance) {
        rgb.shrink_into(appearance.width.unwrap_or(rgb.width), &mut self.canvas);
        if appearance.private && appearance.examined.is_none() {
            let everything = Rect { x: 0, y: 0, w: self.canvas.width, h: self.canvas.height };
            return pixelate(&mut self.canvas, everything);
        }
        let scale = f64::from(self.canvas.width) / f64::from(rgb.width);
        if let Some(examined) = &appearance.examined {
            let canvas = &mut self.canvas;
            let named = appearance.named.iter().filter(|face| face.is_surely_there(rgb));
            let kept: Vec<(Rect, Rgb)> = named.map(|face| kept(canvas, face.rect.scaled(scale))).collect();
            examined.unseen_on(rgb).into_iter().for_each(|block| flatten(canvas, block, scale));
            kept.iter().for_each(|(place, picture)| canvas.put(picture, place.x as u32, place.y as u32));
        }
        for place in &appearance.blurred {
            pixelate(&mut self.canvas, place.scaled(scale));
        }
        let painter = painter(&mut self.painter, &self.shared, &config.overlay);
        // After a change of scene, boxes and names are not drawn until the next look.
        let there = appearance.faces.iter().filter(|face| face.is_there(rgb));
        painter.draw(&mut self.canvas, there, scale);
    }

    /// The picture of the notice that the camera is unavailable.
    pub(super) fn away(&mut self, config: &Config, says: &Away, spec: RenditionSpec) -> Result<Arc<Vec<u8>>, String> {
        let (width, height) = self.away_size(config, spec);
        (self.canvas.width, self.canvas.height) = (width, height);
        self.canvas.data.resize(width as usize * height as usize * 3, 0);
        painter(&mut self.painter, &self.shared, &config.overlay).away(&mut self.canvas, says);
        self.shared.stage.health.encoded.add();
        encoded(&mut self.compressor, config, &self.canvas)
    }

    /// The size of the last frame in this rendition; before the first frame, the size in the config.
    fn away_size(&self, config: &Config, spec: RenditionSpec) -> (u32, u32) {
        let wanted = || config.camera.turn().size(config.camera.width, config.camera.height);
        let (width, height) = self.shared.stage.frames.newest().map_or_else(wanted, |(_, frame)| frame.upright_size());
        let shown = scaled_width(config, spec, width).unwrap_or(width);
        let height = u64::from(height) * u64::from(shown) / u64::from(width.max(1));
        (shown.clamp(1, 8192), (height as u32).clamp(1, 8192))
    }
}

fn encoded(compressor: &mut Compressor, config: &Config, picture: &Rgb) -> Result<Arc<Vec<u8>>, String> {
    let mut jpeg = Vec::new();
    compressor.set(config.stream.encoder, config.stream.quality);
    compressor.compress(picture, &mut jpeg)?;
    Ok(Arc::new(jpeg))
}

/// The rectangle `place` clipped to the picture, and its pixels.
fn kept(rgb: &Rgb, place: Rect) -> (Rect, Rgb) {
    let place = place.clipped(rgb.width, rgb.height);
    (place, rgb.cropped(place))
}

/// The width to which a frame with a width of `width` pixels is scaled down; `None`: shown as captured.
fn scaled_width(config: &Config, spec: RenditionSpec, width: u32) -> Option<u32> {
    let smallest = [config.stream.width, spec.width].into_iter().filter(|limit| *limit > 0).min();
    smallest.filter(|limit| *limit < width)
}

/// The painter for this `[overlay]`, replaced when the section has changed.
fn painter<'p>(slot: &'p mut Option<Painter>, shared: &Shared, overlay: &config::Overlay) -> &'p mut Painter {
    if slot.as_ref().is_some_and(|painter| painter.config() != overlay) {
        *slot = None;
    }
    slot.get_or_insert_with(|| shared.painter(overlay))
}
