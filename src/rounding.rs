//! Rounding of the numbers in JSON and metrics, so that they show 0.3 rather than 0.30000001192.

use serde::{Serialize, Serializer};

/// `value`, rounded to this many decimals.
pub fn rounded(value: impl Into<f64>, decimals: i32) -> f64 {
    let per_one = 10f64.powi(decimals);
    (value.into() * per_one).round() / per_one
}

/// The same for a field: `#[serde(serialize_with = "decimals::<3, _>")]`. The field is a number or an `Option`.
///
/// # Errors
/// As `to`.
pub fn decimals<const DECIMALS: i32, S: Serializer>(
    field: &(impl Into<Option<f32>> + Copy),
    to: S,
) -> Result<S::Ok, S::Error> {
    (*field).into().map(|value| rounded(value, DECIMALS)).serialize(to)
}
