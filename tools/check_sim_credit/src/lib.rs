//! `check_sim_credit`: what a prepaid SIM has left, asked by USSD, understood, and judged in time.
//!
//! The library is the plan: bytes and figures in, decisions out. What touches a file stands in [`store`], [`spool`]
//! and [`history`]. The command line is in `main.rs`.

pub mod answer;
pub mod doctor;
pub mod history;
pub mod judge;
pub mod mmcli;
pub mod modem;
pub mod plugin;
pub mod range;
pub mod simulate;
pub mod spool;
pub mod store;
pub mod ussd;
