//! The real program on real sockets of the loopback interface: what a user types, sees and finds on
//! the disk afterwards.
//!
//! No root is needed; the few tests that mount a file system say so and pass where they may not.

mod causes;
mod changing;
mod copying;
mod deaths;
mod demo;
mod directories;
mod gather;
mod joining;
mod keys;
mod kills;
mod merging;
mod mounts;
mod pipeline;
mod ports;
mod program;
mod saying;
mod several;
mod skip;
mod stage;
mod strays;
mod streams;
mod supervision;
mod syncing;
mod tree;
