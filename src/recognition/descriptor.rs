//! Descriptors of faces: their distances, and their means.

use crate::config::Metric;

/// The length of a descriptor of dlib's network.
pub const DESCRIPTOR_LEN: usize = 128;
/// The descriptor of a face from dlib's network: descriptors of the same person are close, those of others are far
/// apart.
pub type Descriptor = [f32; DESCRIPTOR_LEN];

/// The distance of two descriptors: euclidean, or 1 minus the cosine of their angle.
pub fn distance(metric: Metric, a: &Descriptor, b: &Descriptor) -> f32 {
    shown(metric, squared_distance(&prepared(metric, a), &prepared(metric, b)))
}

/// The form of a descriptor in which squared distances lead to distances of `metric`, see [`shown`].
pub fn prepared(metric: Metric, descriptor: &Descriptor) -> Descriptor {
    match metric {
        Metric::Euclidean => *descriptor,
        Metric::Cosine => unit(descriptor),
    }
}

/// The descriptor scaled to length 1.
pub fn unit(descriptor: &Descriptor) -> Descriptor {
    let length = descriptor.iter().map(|v| v * v).sum::<f32>().sqrt();
    descriptor.map(|v| v / length)
}

/// Sums in eight lanes, which the compiler keeps in a vector register.
pub fn squared_distance(a: &Descriptor, b: &Descriptor) -> f32 {
    let mut sums = [0.0f32; 8];
    for (a, b) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
        for lane in 0..8 {
            let difference = a[lane] - b[lane];
            sums[lane] += difference * difference;
        }
    }
    sums.iter().sum()
}

/// The euclidean distance of two descriptors.
pub fn euclidean(a: &Descriptor, b: &Descriptor) -> f32 {
    squared_distance(a, b).sqrt()
}

/// The distance that users see, from the squared distance of prepared descriptors. For unit vectors |a - b|² = 2 (1 -
/// cos), so the cosine distance 1 - cos is half of it.
pub fn shown(metric: Metric, squared: f32) -> f32 {
    match metric {
        Metric::Euclidean => squared.sqrt(),
        Metric::Cosine => squared / 2.0,
    }
}

/// The weighted mean of descriptors.
pub fn mean(of: impl Iterator<Item = (Descriptor, f32)>) -> Descriptor {
    let (mut sum, mut weights) = ([0.0; DESCRIPTOR_LEN], 0.0);
    for (descriptor, weight) in of {
        sum.iter_mut().zip(descriptor).for_each(|(sum, v)| *sum += v * weight);
        weights += weight;
    }
    sum.map(|v| v / weights)
}

/// The weighted mean of the squared distances of descriptors from `mean`.
pub fn spread(of: impl Iterator<Item = (Descriptor, f32)>, mean: &Descriptor) -> f32 {
    let (mut sum, mut weights) = (0.0, 0.0);
    for (descriptor, weight) in of {
        sum += squared_distance(&descriptor, mean) * weight;
        weights += weight;
    }
    sum / weights
}
