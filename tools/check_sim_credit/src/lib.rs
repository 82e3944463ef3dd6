//! `check_sim_credit`: what a prepaid SIM has left, asked by USSD, understood, and judged in time.
//!
//! The library is the plan: bytes and figures in, decisions out. What touches a port, a file or
//! another program stands at its edge, in rooms that say so ([`modem`], [`spool`], [`store`]).
//! The command line is in `main.rs` and `cli/`.

pub mod answer;
pub mod ussd;
