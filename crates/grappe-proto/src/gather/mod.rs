//! The gather: every node has a part, every node needs all parts.
//!
//! `plan` compares the parts and says what travels from where, `shares` divides the links' rate among
//! those who send at one time, `coordinator` is the machine that leads a gather from the first greeting
//! to the last result. None of them moves a byte: each turn is an ordinary copy, sent by a member.

pub mod coordinator;
mod flow;
pub mod plan;
pub mod shares;

pub use self::flow::is_turn_of;

#[cfg(test)]
mod tests;
