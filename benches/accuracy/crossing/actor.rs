//! Draws a person from photographs on the picture of a room. The head is cut out of one photograph after the other with
//! soft edges, so that only the person moves; the clothes are a plain shape.

use namecam::image::{Rect, Rgb};

/// The width and height of LFW's pictures in pixels.
pub const SIDE: u32 = 250;
/// The detector's box on LFW's pictures, which have the face in the middle: x and y of its centre, and its width.
const FACE: [f64; 3] = [125.0, 128.0, 95.0];
/// The centre of the ellipse of head and hair, relative to the centre of the box, in face widths.
const HEAD: [f64; 2] = [0.0, -0.1];
const HEAD_RADII: [f64; 2] = [0.68, 0.88];
/// The centre of the ellipse of the shoulders, in the same units. Below it, the body goes straight down.
const BODY: [f64; 2] = [0.0, 2.05];
const BODY_RADII: [f64; 2] = [1.2, 1.3];
/// The width of the soft edges of head and body, in face widths.
const SOFT: f64 = 0.07;
/// The light of the room: the mean and the standard deviation of the luma of a head.
const LIGHT: [f64; 2] = [118.0, 48.0];

/// The photographs of a person, and the colour of the clothes.
pub struct Actor {
    photographs: Vec<Rgb>,
    clothes: [f64; 3],
}

/// The position of a person on a frame.
#[derive(Debug, Clone, Copy)]
pub struct Pose {
    /// The middle of the face in pixels.
    pub center: [f64; 2],
    /// The width of the face in pixels.
    pub width: f64,
    /// The two photographs that are shown, and the share of the second one.
    pub photographs: (usize, usize, f64),
}

impl Pose {
    /// The face, as the detector would box it.
    pub fn face(&self) -> Rect {
        let [x, y] = self.center.map(|middle| (middle - self.width / 2.0).round() as i32);
        let side = self.width.round() as u32;
        Rect { x, y, w: side, h: side }
    }

    /// The opacity of the head and that of the body at a point.
    fn covers(&self, x: f64, y: f64) -> (f64, f64) {
        let at = [(x - self.center[0]) / self.width, (y - self.center[1]) / self.width];
        let body = [at[0], (at[1] - BODY[1]).min(0.0) + BODY[1]];
        (soft_ellipse(at, HEAD, HEAD_RADII), soft_ellipse(body, BODY, BODY_RADII))
    }

    /// True if the person covers this point of the room.
    pub fn hides(&self, x: f64, y: f64) -> bool {
        let (head, body) = self.covers(x, y);
        head.max(body) > 0.5
    }
}

impl Actor {
    /// Photographs of a person of LFW, each [`SIDE`] pixels wide and high, and the colour of the clothes.
    pub fn new(photographs: Vec<Rgb>, clothes: [f64; 3]) -> Actor {
        Actor { photographs: photographs.into_iter().map(lit).collect(), clothes }
    }

    /// The number of photographs.
    pub fn photographs(&self) -> usize {
        self.photographs.len()
    }

    /// Draws the person on a picture.
    pub fn draw(&self, rgb: &mut Rgb, pose: &Pose) {
        let reach = pose.width * (BODY_RADII[0] + SOFT);
        let top = pose.center[1] + pose.width * (HEAD[1] - HEAD_RADII[1] - SOFT);
        let columns =
            (pose.center[0] - reach).max(0.0) as u32..(pose.center[0] + reach).clamp(0.0, rgb.width.into()) as u32;
        for y in top.max(0.0) as u32..rgb.height {
            for x in columns.clone() {
                let (head, body) = pose.covers(x.into(), y.into());
                if head + body <= 0.0 {
                    continue;
                }
                let at = rgb.offset(x, y);
                let photograph = self.head(pose, x.into(), y.into());
                let clothes = self.cloth(pose, x.into(), y.into());
                for i in 0..3 {
                    let under = f64::from(rgb.data[at + i]);
                    let dressed = under + (clothes[i] - under) * body;
                    rgb.data[at + i] = (dressed + (photograph[i] - dressed) * head).round().clamp(0.0, 255.0) as u8;
                }
            }
        }
    }

    fn head(&self, pose: &Pose, x: f64, y: f64) -> [f64; 3] {
        let (one, other, share) = pose.photographs;
        let from = |middle: f64, at: f64, center: f64| middle + (at - center) * FACE[2] / pose.width;
        let (x, y) = (from(FACE[0], x, pose.center[0]), from(FACE[1], y, pose.center[1]));
        let one = sample(&self.photographs[one], x, y);
        if share <= 0.0 {
            return one;
        }
        let other = sample(&self.photographs[other], x, y);
        std::array::from_fn(|i| one[i] + (other[i] - one[i]) * share)
    }

    /// The colour of the clothes at a point: darker towards the sides, with a seam in the middle.
    fn cloth(&self, pose: &Pose, x: f64, y: f64) -> [f64; 3] {
        let (across, down) = ((x - pose.center[0]) / pose.width, (y - pose.center[1]) / pose.width);
        let round = 1.0 - 0.35 * (across / BODY_RADII[0]).powi(2);
        let seam = if across.abs() < 0.03 && down > 1.1 { 0.8 } else { 1.0 };
        self.clothes.map(|color| color * round * seam)
    }
}

/// The face on a photograph of LFW.
pub fn face_on_photograph() -> Rect {
    Pose { center: [FACE[0], FACE[1]], width: FACE[2], photographs: (0, 0, 0.0) }.face()
}

/// 1 inside an ellipse, 0 outside, and a slope at its edge.
fn soft_ellipse(at: [f64; 2], middle: [f64; 2], radii: [f64; 2]) -> f64 {
    let [x, y]: [f64; 2] = std::array::from_fn(|i| (at[i] - middle[i]) / radii[i]);
    let beyond = ((x * x + y * y).sqrt() - 1.0) * radii[0].min(radii[1]);
    (0.5 - beyond / SOFT).clamp(0.0, 1.0)
}

/// The bilinear interpolation between four pixels.
fn sample(rgb: &Rgb, x: f64, y: f64) -> [f64; 3] {
    let (x, y) = (x.clamp(0.0, f64::from(rgb.width - 2)), y.clamp(0.0, f64::from(rgb.height - 2)));
    let (left, top) = (x as u32, y as u32);
    let (dx, dy) = (x - f64::from(left), y - f64::from(top));
    let corner = |dx: u32, dy: u32| rgb.pixel(left + dx, top + dy).map(f64::from);
    let corners = [corner(0, 0), corner(1, 0), corner(0, 1), corner(1, 1)];
    let shares = [(1.0 - dx) * (1.0 - dy), dx * (1.0 - dy), (1.0 - dx) * dy, dx * dy];
    std::array::from_fn(|i| corners.iter().zip(shares).map(|(corner, share)| corner[i] * share).sum())
}

/// Adapts a photograph to the light of the room, because news photographs differ much in light and contrast.
fn lit(mut rgb: Rgb) -> Rgb {
    let inside = |x: u32, y: u32| {
        let at = [(f64::from(x) - FACE[0]) / FACE[2], (f64::from(y) - FACE[1]) / FACE[2]];
        soft_ellipse(at, HEAD, HEAD_RADII) > 0.5
    };
    let all = (0..rgb.height).flat_map(|y| (0..rgb.width).map(move |x| (x, y)));
    let luma: Vec<f64> = all
        .filter(|&(x, y)| inside(x, y))
        .map(|(x, y)| rgb.pixel(x, y).map(f64::from))
        .map(|[red, green, blue]| 0.299 * red + 0.587 * green + 0.114 * blue)
        .collect();
    let count = luma.len().max(1) as f64;
    let mean = luma.iter().sum::<f64>() / count;
    let deviation = (luma.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count).sqrt();
    // Only half of the way, so that dark hair stays dark and no face becomes grey.
    let gain = (LIGHT[1] / deviation.max(1.0)).sqrt();
    let light = mean + (LIGHT[0] - mean) / 2.0;
    for value in &mut rgb.data {
        *value = (light + (f64::from(*value) - mean) * gain).round().clamp(0.0, 255.0) as u8;
    }
    rgb
}
