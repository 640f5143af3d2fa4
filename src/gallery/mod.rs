//! The gallery on disk: who is in it, and the changes that the page makes.

pub mod desk;
pub mod edit;
pub mod list;
pub mod slugs;
