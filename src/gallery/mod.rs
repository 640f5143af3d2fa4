//! The gallery on disk: its people and pictures, and the changes that the page makes.

pub mod desk;
pub mod edit;
pub mod list;
pub mod slugs;
