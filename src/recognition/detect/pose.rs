//! The direction of a face, computed from its landmarks.

use crate::detection::chips::Pose;

/// The pose of a face with dlib's 5 or 68 landmarks. `None` for another number of landmarks, or when both eyes are at
/// the same point.
pub fn of(landmarks: &[[f32; 2]]) -> Option<Pose> {
    // The indices of the outer eye corner on the left of the picture, of the other outer eye corner, and of the lower
    // end of the nose.
    let at = match landmarks.len() {
        5 => [2, 0, 4],
        68 => [36, 45, 33],
        _ => return None,
    };
    let [left, right, nose] = at.map(|at: usize| landmarks[at]);
    let along = [right[0] - left[0], right[1] - left[1]];
    let from = [nose[0] - (left[0] + right[0]) / 2.0, nose[1] - (left[1] + right[1]) / 2.0];
    let squared = along[0] * along[0] + along[1] * along[1];
    let pose = Pose {
        turn: (from[0] * along[0] + from[1] * along[1]) / squared,
        nod: (from[1] * along[0] - from[0] * along[1]) / squared,
    };
    (squared > 0.0).then_some(pose)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pose_is_the_offset_of_the_nose_from_the_eyes_at_any_tilt() {
        let face = |nose: [f32; 2]| [[140.0, 100.0], [120.0, 100.0], [60.0, 100.0], [80.0, 100.0], nose];
        assert_eq!(of(&face([100.0, 140.0])), Some(Pose { turn: 0.0, nod: 0.5 }));
        assert_eq!(of(&face([116.0, 132.0])), Some(Pose { turn: 0.2, nod: 0.4 }));
        // The same, rotated by a right angle.
        let leaning = face([116.0, 132.0]).map(|[x, y]| [-y, x]);
        assert_eq!(of(&leaning), Some(Pose { turn: 0.2, nod: 0.4 }));
        let mut many = [[0.0; 2]; 68];
        (many[36], many[45], many[33]) = ([60.0, 100.0], [140.0, 100.0], [84.0, 140.0]);
        assert_eq!(of(&many), Some(Pose { turn: -0.2, nod: 0.5 }));
        assert_eq!((of(&[[1.0; 2]; 5]), of(&[])), (None, None));
    }
}
