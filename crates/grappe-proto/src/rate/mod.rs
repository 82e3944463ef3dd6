//! How fast to send: `control` finds the rate that the slowest receiver and the network take,
//! `pacer` spreads packets at that rate.
//!
//! Both compute; neither sleeps nor sends.

mod control;
mod entry;
mod pacer;
mod queue;
mod rival;
mod sent;
mod whose;

pub use self::control::{Observation, RateControl, RateLimits};
pub use self::pacer::{BURST, BURST_SHARED, Pacer};
pub use self::queue::Echo;
