//! `check_sim_credit`: what a prepaid SIM has left, asked by USSD, understood, and judged in time.
//!
//! [`ussd`], [`answer`] and [`judge`] are pure: bytes in, figures and decisions out. What touches the world
//! stands in [`modem`], [`mmcli`], [`store`], [`spool`], [`history`] and [`doctor`]. The command line is
//! in `main.rs`.

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
