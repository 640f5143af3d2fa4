//! Authentication and authorisation: accounts, password checks and their order, penalties, and the access of each
//! route.

pub mod access;
pub mod accounts;
pub(super) mod checks;
pub(crate) mod cookies;
mod origin;
pub(super) mod penalties;
pub(super) mod secret;
pub(crate) mod sessions;
