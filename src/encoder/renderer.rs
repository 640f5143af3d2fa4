//! [`Renderer`]: makes the picture of a frame that viewers of one rendition get. It keeps what is costly to make: glyphs, a
//! canvas, the JPEG library's state.

use super::{Shared, Wish};
use crate::config::{self, Config, UnknownFaces};
use crate::frame::Frame;
use crate::jpeg::Compressor;
use crate::overlay::{Away, Painter, flatten, pixelate};
use crate::pixels::Rgb;
use crate::sighting::{Looked, Rect, Sighting, Sightings};
use std::sync::Arc;
use std::time::Instant;

/// All that decides what a picture of a frame looks like, beside the frame.
#[derive(Debug, Clone)]
pub(super) struct Look {
    /// The counter of the config.
    config: u64,
    /// In pixels; 0: as captured.
    width: u32,
    /// True when nobody knows where faces are that must be blurred.
    blind: bool,
    /// Where faces without a name were a moment ago, which must be blurred.
    veiled: Vec<Rect>,
    /// What the last look saw, when whatever it has not seen must be blurred.
    looked: Option<Arc<Looked>>,
    /// The faces with names, which need not be blurred where that is so.
    named: Vec<Sighting>,
    /// The faces that are drawn or blurred, where they have got to since the look that found them.
    faces: Vec<Sighting>,
}

impl PartialEq for Look {
    fn eq(&self, other: &Look) -> bool {
        let whole = |look: &Look| (look.config, look.width, look.blind, look.looked.as_ref().map(Arc::as_ptr));
        let same = |one: &[Sighting], other: &[Sighting]| {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.is_drawn_like(other))
        };
        whole(self) == whole(other)
            && self.veiled == other.veiled
            && same(&self.named, &other.named)
            && same(&self.faces, &other.faces)
    }
}

impl Look {
    fn is_plain(&self) -> bool {
        self.width == 0 && !self.blind && self.veiled.is_empty() && self.looked.is_none() && self.faces.is_empty()
    }
}

/// A picture that could not be made, and why.
#[derive(Debug, Clone)]
pub(super) enum Unrenderable {
    /// The frame cannot be decoded.
    Frame(String),
    /// The picture cannot be encoded.
    Picture(String),
}

pub(super) struct Renderer {
    shared: Arc<Shared>,
    painter: Option<Painter>,
    /// The newest look, unless it is stale.
    sightings: Option<Arc<Sightings>>,
    /// Everything is drawn here: the frame's own picture belongs to all who read it.
    canvas: Rgb,
    jpeg: Vec<u8>,
    compressor: Compressor,
    away: Option<AwayPicture>,
}

/// The picture of a camera that is away.
struct AwayPicture {
    says: Away,
    /// In pixels.
    size: (u32, u32),
    jpeg: Arc<Vec<u8>>,
}

impl Renderer {
    pub(super) fn new(shared: Arc<Shared>) -> Renderer {
        Renderer {
            shared,
            painter: None,
            sightings: None,
            canvas: Rgb { width: 0, height: 0, data: Vec::new() },
            jpeg: Vec::new(),
            compressor: Compressor::default(),
            away: None,
        }
    }

    /// Takes up what is new in config and sightings.
    pub(super) fn update(&mut self, config: &Config, now: Instant) {
        self.sightings =
            self.shared.stage.sightings.newest().map(|(_, sightings)| sightings).filter(|s| !s.is_stale(now));
        self.compressor.set(config.stream.encoder, config.stream.quality);
    }

    /// What a frame should look like for those who wish so.
    pub(super) fn look(&mut self, config: &Config, config_version: u64, frame: &Frame, wish: Wish) -> Look {
        let size = frame.upright_size();
        let width = shown_width(config, wish, size.0);
        let (veiled, named, faces) = (Vec::new(), Vec::new(), Vec::new());
        let mut look = Look { config: config_version, width, blind: false, veiled, looked: None, named, faces };
        // What was seen on a picture of another size (the camera was exchanged) says nothing about this one.
        let sightings = self.sightings.as_ref().filter(|s| (s.width, s.height) == size);
        if config.overlay.unknown == UnknownFaces::Blur {
            look.looked = sightings.and_then(|seen| seen.looked.clone());
            look.blind = look.looked.is_none();
            look.veiled.extend(sightings.iter().flat_map(|seen| seen.veiled_at(Instant::now())));
            look.veiled.extend(look.looked.iter().flat_map(|looked| looked.hidden()));
        }
        if let Some(sightings) = sightings {
            let painter = painter(&mut self.painter, &self.shared, &config.overlay);
            let drawn = |face: &Sighting| if wish.overlay { painter.draws(face) } else { painter.blurs(face) };
            look.faces = sightings.faces_at(frame.captured_at.instant);
            if look.looked.is_some() {
                look.named = look.faces.iter().filter(|face| face.name.is_some()).cloned().collect();
            }
            look.faces.retain(drawn);
        }
        look
    }

    /// Makes the picture. A camera's JPEG on which nothing is to be drawn is passed on as it is.
    pub(super) fn render(&mut self, config: &Config, frame: &Frame, look: &Look) -> Result<Arc<Vec<u8>>, Unrenderable> {
        let started = Instant::now();
        let private = config.overlay.unknown == UnknownFaces::Blur;
        if frame.format.jpeg && frame.turn.is_none() && !private && look.is_plain() {
            self.shared.stage.health.passed_through.add();
            return Ok(Arc::clone(&frame.bytes));
        }
        let rgb = frame.rgb().map_err(Unrenderable::Frame)?;
        check_size(&rgb, frame)?;
        let picture = if look.is_plain() {
            &*rgb
        } else {
            self.paint(config, &rgb, look);
            &self.canvas
        };
        self.compressor.compress(picture, &mut self.jpeg).map_err(Unrenderable::Picture)?;
        self.shared.stage.health.encode_took.set(started.elapsed());
        self.shared.stage.health.encoded.add();
        Ok(Arc::new(self.jpeg.clone()))
    }

    /// Puts the picture on the canvas, as large as viewers get it and with what is to be drawn.
    fn paint(&mut self, config: &Config, rgb: &Rgb, look: &Look) {
        rgb.shrink_into(look.width, &mut self.canvas);
        if look.blind {
            let everything = Rect { x: 0, y: 0, w: self.canvas.width, h: self.canvas.height };
            return pixelate(&mut self.canvas, everything);
        }
        let scale = f64::from(self.canvas.width) / f64::from(rgb.width);
        if let Some(looked) = &look.looked {
            let canvas = &mut self.canvas;
            let named = look.named.iter().filter(|face| face.is_surely_there(rgb));
            let kept: Vec<(Rect, Rgb)> = named.map(|face| kept(canvas, face.rect.scaled(scale))).collect();
            looked.unseen_on(rgb).into_iter().for_each(|block| flatten(canvas, block, scale));
            kept.iter().for_each(|(place, picture)| canvas.put(picture, place.x as u32, place.y as u32));
        }
        for place in &look.veiled {
            pixelate(&mut self.canvas, place.scaled(scale));
        }
        let painter = painter(&mut self.painter, &self.shared, &config.overlay);
        let faces = there(painter, look, rgb);
        painter.draw(&mut self.canvas, &faces, scale);
    }

    /// A picture that says that there is none of the camera, and why. It is encoded again when it says something else.
    pub(super) fn away(&mut self, config: &Config, says: &Away, wish: Wish) -> Result<Arc<Vec<u8>>, String> {
        let size = self.away_size(config, wish);
        if let Some(known) = self.away.as_ref().filter(|known| known.says == *says && known.size == size) {
            return Ok(Arc::clone(&known.jpeg));
        }
        (self.canvas.width, self.canvas.height) = size;
        self.canvas.data.resize(size.0 as usize * size.1 as usize * 3, 0);
        painter(&mut self.painter, &self.shared, &config.overlay).away(&mut self.canvas, says);
        self.compressor.set(config.stream.encoder, config.stream.quality);
        self.compressor.compress(&self.canvas, &mut self.jpeg)?;
        self.shared.stage.health.encoded.add();
        let jpeg = Arc::new(self.jpeg.clone());
        self.away = Some(AwayPicture { says: says.clone(), size, jpeg: Arc::clone(&jpeg) });
        Ok(jpeg)
    }

    /// As large as the last frame is for viewers; before the first, as the config wants it.
    fn away_size(&self, config: &Config, wish: Wish) -> (u32, u32) {
        let wanted = || config.camera.turn().size(config.camera.width, config.camera.height);
        let (width, height) = self.shared.stage.frames.newest().map_or_else(wanted, |(_, frame)| frame.upright_size());
        let shown = match shown_width(config, wish, width) {
            0 => width,
            width => width,
        };
        let height = u64::from(height) * u64::from(shown) / u64::from(width.max(1));
        (shown.clamp(1, 8192), (height as u32).clamp(1, 8192))
    }
}

/// A place of a picture, as far as it lies on it, and what is there.
fn kept(rgb: &Rgb, place: Rect) -> (Rect, Rgb) {
    let place = place.clipped(rgb.width, rgb.height);
    (place, rgb.cropped(place))
}

/// The faces that are drawn. A name does not stand on another scene until the next look; what is blurred is blurred in any
/// case.
fn there(painter: &Painter, look: &Look, rgb: &Rgb) -> Vec<Sighting> {
    look.faces.iter().filter(|face| painter.blurs(face) || face.is_there(rgb)).cloned().collect()
}

fn check_size(rgb: &Rgb, frame: &Frame) -> Result<(), Unrenderable> {
    if (rgb.width, rgb.height) == frame.upright_size() {
        return Ok(());
    }
    // Nobody could say where on it the faces are that must be blurred.
    Err(Unrenderable::Frame("it is not as large as its header says".to_owned()))
}

/// How wide a frame of `width` pixels is shown; 0: as captured.
fn shown_width(config: &Config, wish: Wish, width: u32) -> u32 {
    let smallest = [config.stream.width, wish.width].into_iter().filter(|limit| *limit > 0).min();
    smallest.filter(|limit| *limit < width).unwrap_or(0)
}

/// The painter for this `[overlay]`; another one when that has changed.
fn painter<'p>(slot: &'p mut Option<Painter>, shared: &Shared, overlay: &config::Overlay) -> &'p mut Painter {
    if slot.as_ref().is_some_and(|painter| painter.config() != overlay) {
        *slot = None;
    }
    slot.get_or_insert_with(|| shared.painter(overlay))
}
