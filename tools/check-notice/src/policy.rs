//! What the operator says of the own network and of those who complain. Data; read from the file by `config`.

use crate::net::Prefix;
use crate::time::Seconds;

/// How far off a complainant's clock may be, in seconds, where nothing is known of it.
///
/// Two hours hold a wrong daylight saving rule together with a drifting clock.
pub const TOLERANCE_S: Seconds = 7_200;

/// How far the clocks of the operator's own logs may be apart, in seconds.
pub const LOG_TOLERANCE_S: Seconds = 5;

/// Facts about the network.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// All own addresses; empty if nobody said.
    pub own: Vec<Prefix>,
    /// Own addresses that were never in use.
    pub never_used: Vec<Prefix>,
    /// Own addresses of printers, switches and the like, which cannot do what complaints are about.
    pub incapable: Vec<Prefix>,
    /// Own addresses that several people share at once.
    pub shared: Vec<Prefix>,
    /// How far a complainant's clock may be off, in seconds.
    pub tolerance_s: Seconds,
    /// How far the clocks of the own logs may be apart, in seconds.
    pub log_tolerance_s: Seconds,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            own: Vec::new(),
            never_used: Vec::new(),
            incapable: Vec::new(),
            shared: Vec::new(),
            tolerance_s: TOLERANCE_S,
            log_tolerance_s: LOG_TOLERANCE_S,
        }
    }
}
