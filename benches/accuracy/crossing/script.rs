//! The paths of the people in a synthetic scene: in, to a place, past each other, out, and in again.

use crate::people::Draw;

/// Width of the picture in pixels.
pub const WIDTH: f64 = 640.0;
/// The distance from the edge of the picture, in face widths, at which a person is not visible.
const OUTSIDE: f64 = 1.5;

/// The path of a person: the position of the middle of the face over time.
#[derive(Debug, Clone)]
pub struct Walk {
    /// Width of the face in pixels.
    pub width: f64,
    /// The offset of the face from the mean height of all faces, in pixels; positive is lower.
    pub height: f64,
    /// Pixels per second.
    speed: f64,
    /// Pairs of seconds and pixels from the left edge, in order of time.
    keys: Vec<(f64, f64)>,
}

/// An edge of the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Side {
    Left,
    Right,
}

impl Walk {
    fn new(width: f64, speed: f64, height: f64) -> Walk {
        Walk { width, height, speed: speed * width, keys: Vec::new() }
    }

    fn outside(&self, side: Side) -> f64 {
        match side {
            Side::Left => -OUTSIDE * self.width,
            Side::Right => WIDTH + OUTSIDE * self.width,
        }
    }

    /// Comes in at a side, `after` seconds after the end of the path so far.
    fn enter(mut self, side: Side, after: f64) -> Walk {
        let at = self.end() + after;
        self.keys.push((at, self.outside(side)));
        self
    }

    /// Walks to a place.
    fn to(mut self, x: f64) -> Walk {
        let (at, from) = self.keys.last().copied().unwrap_or((0.0, x));
        self.keys.push((at + (x - from).abs() / self.speed, x));
        self
    }

    /// Stands still.
    fn wait(mut self, seconds: f64) -> Walk {
        let (at, x) = self.keys.last().copied().unwrap_or_default();
        self.keys.push((at + seconds, x));
        self
    }

    fn leave(self, side: Side) -> Walk {
        let x = self.outside(side);
        self.to(x)
    }

    /// The second at which the path ends.
    pub fn end(&self) -> f64 {
        self.keys.last().map_or(0.0, |(at, _)| *at)
    }

    /// The middle of the face in pixels from the left edge; `None` while the person is not visible.
    pub fn x(&self, second: f64) -> Option<f64> {
        let pair = self.keys.windows(2).find(|pair| (pair[0].0..pair[1].0).contains(&second))?;
        let ((from_s, from), (to_s, to)) = (pair[0], pair[1]);
        let x = from + (to - from) * (second - from_s) / (to_s - from_s);
        (self.outside(Side::Left)..self.outside(Side::Right)).contains(&x).then_some(x)
    }

    /// True while the person walks.
    pub fn walks(&self, second: f64) -> bool {
        self.keys.windows(2).any(|pair| (pair[0].0..pair[1].0).contains(&second) && pair[0].1 != pair[1].1)
    }

    fn mirrored(mut self) -> Walk {
        self.keys.iter_mut().for_each(|(_, x)| *x = WIDTH - *x);
        self
    }
}

/// The paths of the two or three people of scene `number`. A person with a wider face is nearer and hides the others.
pub fn scene(number: usize, draw: &mut Draw) -> Vec<Walk> {
    let mut between = |from: f64, to: f64| from + (to - from) * draw.below(1001) as f64 / 1000.0;
    let mut walk = |from: f64, to: f64| {
        let (width, speed, height) = (between(from, to), between(1.8, 3.2), between(-15.0, 25.0));
        Walk::new(width, speed, height)
    };
    use Side::{Left, Right};
    let walks = match number % 4 {
        // A person stands; another person passes in front, and comes back to stand beside the first one.
        0 => vec![
            walk(65.0, 90.0).enter(Left, 0.2).to(270.0).wait(7.0).leave(Left),
            walk(100.0, 140.0).enter(Right, 2.5).leave(Left).enter(Left, 1.5).to(470.0).wait(2.0).leave(Right),
        ],
        // Two people cross, stand on the side from which the other person came, and cross again.
        1 => vec![
            walk(90.0, 120.0).enter(Left, 0.2).to(470.0).wait(2.0).to(170.0).wait(1.5).leave(Left),
            walk(65.0, 85.0).enter(Right, 0.5).to(170.0).wait(2.0).to(470.0).wait(1.5).leave(Right),
        ],
        // Two people stand side by side; a third person passes in front of both.
        2 => vec![
            walk(60.0, 75.0).enter(Left, 0.2).to(200.0).wait(7.5).leave(Left),
            walk(70.0, 85.0).enter(Right, 0.8).to(440.0).wait(6.5).leave(Right),
            walk(105.0, 140.0).enter(Right, 3.5).to(320.0).wait(1.0).leave(Left),
        ],
        // A person leaves, and another person takes the same place at once; then the first person comes again.
        _ => vec![
            walk(90.0, 110.0)
                .enter(Left, 0.2)
                .to(320.0)
                .wait(3.0)
                .leave(Right)
                .enter(Right, 2.5)
                .to(400.0)
                .wait(2.0)
                .leave(Right),
            walk(90.0, 110.0).enter(Left, 3.7).to(320.0).wait(3.0).leave(Left),
        ],
    };
    if (number / 4).is_multiple_of(2) { walks } else { walks.into_iter().map(Walk::mirrored).collect() }
}
