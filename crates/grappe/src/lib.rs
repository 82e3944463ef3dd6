//! (skeleton)
pub mod trust;
