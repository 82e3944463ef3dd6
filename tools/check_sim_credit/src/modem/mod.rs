//! Asking a modem oneself: for where no smsd owns the port, or has it closed.
//!
//! `port` opens a terminal that nobody else has, `lock` and `holder` see to that, `dialogue` asks on
//! it. All of it ends by a deadline: whatever the modem does, the port is given back. What the answer
//! says is `ussd`'s and `answer`'s business.

mod dialogue;
mod holder;
mod lock;
mod port;

pub use dialogue::{AskError, Conversation, Question, ask, command};
pub use holder::{Holder, holders};
pub use lock::{Lock, LockError};
pub use port::{Port, PortError};
