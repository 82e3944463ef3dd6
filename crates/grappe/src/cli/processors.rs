//! How many processors a command makes use of.

use std::thread::available_parallelism;

use clap::Args;

/// The flag of whatever takes part in copies.
#[derive(Debug, Args)]
pub(crate) struct ProcessorArguments {
    /// Share work out as on a node with so many processors: from four on, what one thread cannot do
    /// alone, others help with [default: those that this process may use]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    processors: Option<u16>,
}

impl ProcessorArguments {
    /// The number to make use of.
    pub(crate) fn count(&self) -> usize {
        self.processors.map_or_else(usable, usize::from)
    }
}

/// How many processors this process may use (sched_getaffinity(2), cgroups(7)).
pub(crate) fn usable() -> usize {
    available_parallelism().map_or(1, usize::from)
}
