//! The thin edge to the world: programs that are started and a name server that is asked.
//!
//! Nothing of a mail goes into a command line; bytes go through files in a folder of our own.

mod dns;
mod signers;

pub use self::dns::{DnsError, name_server, txt};
pub use self::signers::run_programs;
