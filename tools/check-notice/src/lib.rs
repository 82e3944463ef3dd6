//! Judges complaints that reach an abuse desk: who truly sent this, and do our own records agree?
//!
//! A plan, pure wherever it can be: bytes in, findings out. Not a filter, not a ticket system, no legal
//! verdict; nothing here follows a link, opens an attachment or sends a mail. The program around it is
//! `main.rs`, the edge to programs and the network `world`.
#![forbid(unsafe_code)]

pub mod claim;
pub mod config;
pub mod evidence;
pub mod extract;
pub mod leak;
pub mod ledger;
pub mod mail;
pub mod net;
pub mod policy;
pub mod records;
pub mod scan;
pub mod sender;
pub mod signs;
pub mod time;
pub mod world;
