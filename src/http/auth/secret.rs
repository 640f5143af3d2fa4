//! Random secrets.

use anyhow::{Result, anyhow};

/// 128 bits from the system's random number generator.
///
/// # Errors
/// When the system provides no random numbers.
pub fn random_128() -> Result<[u8; 16]> {
    argon2::password_hash::try_generate_salt()
        .map_err(|error| anyhow!("the system provides no random numbers: {error}"))
}
