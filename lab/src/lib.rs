//! A cluster on one machine: real kernels' sockets, switches and shaped links, without the machines.
//!
//! The lab runs programs, ours and its rivals', in network namespaces; it knows nothing of the copy
//! protocol. It needs root. `lab/tests` and the `lab` binary are its only users; nothing of it ships.

pub mod bench;
pub mod content;
pub mod gather;
pub mod grappe;
pub mod inject;
pub mod leftovers;
pub mod limit;
pub mod net;
pub mod peers;
pub mod process;
pub mod shell;
pub mod slurm;
pub mod ssh;
pub mod start;
pub mod store;
pub mod tree;
pub mod watchdog;
