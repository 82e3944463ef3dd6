//! (skeleton)
pub mod control;
pub mod trust;
