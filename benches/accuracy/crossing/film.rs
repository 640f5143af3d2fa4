//! Renders a scene as a camera would see it: a still room with sensor noise, people who sway as they walk and whose
//! photographs change; and records the true position of each face.

use super::actor::{Actor, Pose};
use super::score::Present;
use super::script::{WIDTH, Walk};
use crate::people::Draw;
use namecam::image::Rgb;
use namecam::image::jpeg::{Codec, Compressor};
use std::f64::consts::TAU;

/// Height of the picture in pixels.
const HEIGHT: u32 = 480;
/// Frames per second.
pub const FPS: f64 = 15.0;
/// The mean distance of the middle of a face from the top edge, in pixels.
const EYE_LEVEL: f64 = 190.0;
/// The duration of a photograph in seconds, and the part of it in which the next one is blended in.
const PHOTOGRAPH_S: f64 = 0.6;
const FADE_S: f64 = 0.25;
/// The JPEG quality of the frames, which is that of a typical camera.
const QUALITY: u32 = 90;
/// The points per side of a face at which its visibility is sampled.
const POINTS: u32 = 12;
/// The duration of the empty room at the end of a scene, in seconds.
const AFTER_S: f64 = 0.5;

/// The frames of a scene and their ground truth.
pub struct Film {
    /// JPEGs.
    pub frames: Vec<Vec<u8>>,
    /// The people on each frame.
    pub truth: Vec<Vec<Present>>,
}

/// Renders a scene; each of the `actors` has one of the `walks`.
pub fn take(actors: &[Actor], walks: &[Walk], draw: &mut Draw) -> anyhow::Result<Film> {
    let (room, noise) = (room(draw), Noise::new(draw));
    let seconds = walks.iter().map(Walk::end).fold(0.0, f64::max) + AFTER_S;
    let phases: Vec<f64> = walks.iter().map(|_| draw.below(1000) as f64 / 1000.0).collect();
    let mut far_first: Vec<usize> = (0..walks.len()).collect();
    far_first.sort_by(|&a, &b| walks[a].width.total_cmp(&walks[b].width));
    let mut film = Film { frames: Vec::new(), truth: Vec::new() };
    let (mut visits, mut there) = (vec![0; walks.len()], vec![false; walks.len()]);
    let mut compressor = Compressor::new(Codec::JpegEncoder, QUALITY);
    for frame in 0..(seconds * FPS) as usize {
        let second = frame as f64 / FPS;
        let mut rgb = room.clone();
        let mut poses = Vec::new();
        for &role in &far_first {
            let pose = pose(&walks[role], phases[role], actors[role].photographs(), second);
            visits[role] += usize::from(pose.is_some() && !there[role]);
            there[role] = pose.is_some();
            if let Some(pose) = pose {
                actors[role].draw(&mut rgb, &pose);
                poses.push((role, pose));
            }
        }
        noise.add(&mut rgb, draw);
        let mut jpeg = Vec::new();
        compressor.compress(&rgb, &mut jpeg).map_err(|error| anyhow::anyhow!(error))?;
        film.frames.push(jpeg);
        let present = poses.iter().enumerate().map(|(at, (role, pose))| Present {
            role: *role,
            visit: visits[*role],
            face: pose.face(),
            visible: visible(pose, &poses[at + 1..]),
        });
        film.truth.push(present.collect());
    }
    Ok(film)
}

/// The pose of a person at a moment; `None` outside the picture.
fn pose(walk: &Walk, phase: f64, photographs: usize, second: f64) -> Option<Pose> {
    let wave = |hertz: f64| (TAU * (hertz * second + phase)).sin();
    let width = walk.width * (1.0 + 0.03 * wave(0.23));
    let step = if walk.walks(second) { 0.03 * width * wave(1.8) } else { 0.0 };
    let center = [walk.x(second)? + 0.04 * width * wave(0.4), EYE_LEVEL + walk.height + step];
    let age = second / PHOTOGRAPH_S + phase;
    let fade = 1.0 - (1.0 - age.fract()) * PHOTOGRAPH_S / FADE_S;
    let number = age as usize;
    Some(Pose { center, width, photographs: (number % photographs, (number + 1) % photographs, fade.max(0.0)) })
}

/// The share of a face that is in the picture and not hidden by the people `before` it.
fn visible(pose: &Pose, before: &[(usize, Pose)]) -> f32 {
    let face = pose.face();
    let points = (0..POINTS * POINTS).map(|at| {
        let point = |from: i32, length: u32, at: u32| {
            f64::from(from) + f64::from(length) * (f64::from(at) + 0.5) / f64::from(POINTS)
        };
        (point(face.x, face.w, at % POINTS), point(face.y, face.h, at / POINTS))
    });
    let seen = points.filter(|&(x, y)| {
        let inside = (0.0..WIDTH).contains(&x) && (0.0..f64::from(HEIGHT)).contains(&y);
        inside && !before.iter().any(|(_, other)| other.hides(x, y))
    });
    seen.count() as f32 / (POINTS * POINTS) as f32
}

/// Draws a wall that is lighter at one side, a floor, and a door.
fn room(draw: &mut Draw) -> Rgb {
    let mut rgb = Rgb::filled(WIDTH as u32, HEIGHT, [0; 3]);
    let tint: [f64; 3] = std::array::from_fn(|_| 110.0 + draw.below(60) as f64);
    let door = 60 + draw.below(480) as u32;
    for (x, y) in (0..HEIGHT).flat_map(|y| (0..WIDTH as u32).map(move |x| (x, y))) {
        let light = 0.8 + 0.3 * f64::from(x) / WIDTH - 0.2 * f64::from(y) / f64::from(HEIGHT);
        let shade = match (x, y) {
            (_, 420..) => 0.6,
            (x, 60..) if (door..door + 110).contains(&x) => 0.85,
            _ => 1.0,
        };
        let at = rgb.offset(x, y);
        (0..3).for_each(|i| rgb.data[at + i] = (tint[i] * light * shade) as u8);
    }
    rgb
}

/// Sensor noise: random offsets of about three steps, which are added to the values of the pixels.
struct Noise(Vec<i8>);

impl Noise {
    const LENGTH: usize = 1 << 18;

    fn new(draw: &mut Draw) -> Noise {
        // The sum of six uniform numbers is close to a normal distribution.
        Noise((0..Noise::LENGTH).map(|_| (0..6).map(|_| draw.below(5) as i8 - 2).sum::<i8>()).collect())
    }

    /// Adds noise to a frame, from another part of the sequence on each frame.
    fn add(&self, rgb: &mut Rgb, draw: &mut Draw) {
        let mut at = draw.below(Noise::LENGTH);
        for line in rgb.data.chunks_exact_mut(WIDTH as usize * 3) {
            // A random offset per line, so that the noise of a line is not a shifted copy of that of the line above.
            at = (at + draw.below(Noise::LENGTH)) % Noise::LENGTH;
            let noise = self.0.iter().cycle().skip(at);
            line.iter_mut().zip(noise).for_each(|(value, noise)| *value = value.saturating_add_signed(*noise));
        }
    }
}
