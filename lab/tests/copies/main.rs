//! The real binary on a cluster of namespaces: what a user may rely on, one behaviour per test.
//!
//! Needs root, otherwise every test prints why and returns. Only the command line is used. The binary is
//! that of this build, or `GRAPPE_BIN`; it must have been built before (`./setup test` does).

mod allocation;
mod deaths;
mod doctor;
mod enemies;
mod gathers;
mod launched_gathers;
mod launching;
mod manners;
mod networks;
mod pipeline;
mod recipes;
mod resuming;
mod stragglers;
mod trees;
mod trial;
mod wide;
