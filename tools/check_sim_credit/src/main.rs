//! The program `check_sim_credit`: hands the command line to the library. Decides nothing itself.

fn main() {}
