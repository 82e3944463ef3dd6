//! (skeleton)
pub mod control;
pub mod files;
pub mod trust;
