//! Rounding of the numbers in JSON and metrics, so that they show 0.3 rather than 0.30000001192.

use serde::{Serialize, Serializer};

/// `value`, rounded to `decimals` decimals.
pub fn rounded(value: impl Into<f64>, decimals: i32) -> f64 {
    let per_one = 10f64.powi(decimals);
    (value.into() * per_one).round() / per_one
}

/// Serializes a field, which is a number or an `Option`, rounded to `DECIMALS` decimals:
/// `#[serde(serialize_with = "decimals::<3, _>")]`.
///
/// # Errors
/// The errors of the serializer `to`.
pub fn decimals<const DECIMALS: i32, S: Serializer>(
    field: &(impl Into<Option<f32>> + Copy),
    to: S,
) -> Result<S::Ok, S::Error> {
    (*field).into().map(|value| rounded(value, DECIMALS)).serialize(to)
}
