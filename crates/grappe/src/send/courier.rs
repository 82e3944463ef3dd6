//! Hands sealed trains to the kernel, in order: right away, or, where whoever seals them cannot keep up and
//! processors are to spare, on a thread of its own, so that the next is sealed while the kernel still sends the last.
//!
//! Nothing is sent again here, and nothing waits long: a few trains are under way at most.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use flume::{Receiver, Sender, bounded, unbounded};
use grappe_os::udp::{MulticastSender, SendOutcome};

use super::threads::guarded;

/// From so many processors on, there is a thread for the kernel's part.
const PROCESSORS_APART: usize = 4;

/// Trains under way to such a thread: one that is being sent, and one that waits. What waits here can no
/// longer be slowed down.
const UNDER_WAY_MAX: usize = 2;

/// Takes trains: the group's socket, or what stands for it in a test.
pub(super) trait Outlet: Send + Sync + 'static {
    /// As [`MulticastSender::send_train`].
    fn send_train(&self, bytes: &[u8], segment: usize) -> io::Result<SendOutcome>;
}

impl Outlet for MulticastSender {
    fn send_train(&self, bytes: &[u8], segment: usize) -> io::Result<SendOutcome> {
        self.send_train(bytes, segment)
    }
}

/// How the bytes of a train are cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    /// Bytes in all.
    pub(super) len: usize,
    /// Bytes of each packet, but for the last, which may be shorter.
    pub(super) segment: usize,
    /// Symbols in all.
    pub(super) symbols: usize,
    /// Symbols in each packet, but for the last.
    pub(super) in_each: usize,
    /// Whether to fail is nothing but a loss.
    pub(super) may_fail: bool,
}

impl Cut {
    /// A packet alone.
    pub(super) const fn one(len: usize) -> Self {
        Self {
            len,
            segment: len,
            symbols: 1,
            in_each: 1,
            may_fail: false,
        }
    }
}

/// What became of trains.
struct Sent {
    outcome: io::Result<SendOutcome>,
    /// Their packets that never left this host, by symbols.
    refused: u64,
}

impl Sent {
    /// Adds what became of those that left after them.
    fn and(self, later: Self) -> Self {
        let outcome = match (self.outcome, later.outcome) {
            (Ok(first), Ok(second)) => Ok(followed_by(first, second)),
            (Err(error), _) | (_, Err(error)) => Err(error),
        };
        let refused = self.refused + later.refused;
        Self { outcome, refused }
    }
}

/// Hands trains over.
pub(super) struct Courier {
    outlet: Arc<dyn Outlet>,
    apart: Option<Apart>,
    in_hurry: bool,
    /// Packets that never left this host, by symbols.
    refused: u64,
}

/// The way over another thread.
struct Apart {
    trains: Sender<(Vec<u8>, Cut)>,
    sent: Receiver<(Vec<u8>, Sent)>,
    /// Buffers to seal into.
    spare: Vec<Vec<u8>>,
    thread: JoinHandle<()>,
}

impl Courier {
    /// A courier on a node with so many `processors`, for trains of `bytes_max` at most.
    ///
    /// # Errors
    ///
    /// When the system has no thread left.
    pub(super) fn start(
        outlet: Arc<dyn Outlet>,
        processors: usize,
        bytes_max: usize,
    ) -> io::Result<Self> {
        let is_rich = processors >= PROCESSORS_APART;
        let apart = is_rich.then(|| Apart::start(Arc::clone(&outlet), bytes_max));
        Ok(Self {
            outlet,
            apart: apart.transpose()?,
            in_hurry: false,
            refused: 0,
        })
    }

    /// Takes note whether whoever seals the trains cannot keep up.
    pub(super) const fn hurry(&mut self, in_hurry: bool) {
        self.in_hurry = in_hurry;
    }

    /// Sends what `train` holds; another buffer may be in its place afterwards. Answers what became of it, or,
    /// where it is still under way, of those before: no packets at all while nothing is known.
    ///
    /// # Errors
    ///
    /// What the kernel says, when it is more than a full queue, to this train or to one of the two before it.
    pub(super) fn send(&mut self, train: &mut Vec<u8>, cut: Cut) -> io::Result<SendOutcome> {
        let before = match &mut self.apart {
            Some(apart) => apart.collect(),
            None => NOTHING,
        };
        let sent = match &mut self.apart {
            // What is under way leaves first.
            Some(apart) if self.in_hurry || apart.is_busy() => apart.send(train, cut),
            _ => hand_over(&*self.outlet, train, cut),
        };
        let sent = before.and(sent);
        self.refused += sent.refused;
        sent.outcome
    }

    /// Takes note of packets that were not even tried, by symbols.
    pub(super) const fn given_up(&mut self, symbols: usize) {
        self.refused += symbols as u64;
    }

    /// Waits for what is under way. Answers how many packets never left this host, by symbols: its own
    /// queue or a firewall refused them, or the interface was down.
    pub(super) fn finish(self) -> u64 {
        self.refused + self.apart.map_or(0, Apart::finish)
    }
}

impl Apart {
    fn start(outlet: Arc<dyn Outlet>, bytes_max: usize) -> io::Result<Self> {
        let (trains, to_send) = bounded::<(Vec<u8>, Cut)>(UNDER_WAY_MAX);
        let (came_back, sent) = unbounded();
        let sending = move || {
            for (train, cut) in to_send {
                let became = guarded(|| hand_over(&*outlet, &train, cut));
                let became = became.unwrap_or_else(|words| Sent {
                    outcome: Err(internal_error(&words)),
                    refused: cut.symbols as u64,
                });
                if came_back.send((train, became)).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("send".into()).spawn(sending)?;
        Ok(Self {
            trains,
            sent,
            spare: vec![vec![0; bytes_max]; UNDER_WAY_MAX],
            thread,
        })
    }

    fn is_busy(&self) -> bool {
        self.spare.len() < UNDER_WAY_MAX
    }

    /// Takes back the buffers of what was sent meanwhile.
    fn collect(&mut self) -> Sent {
        let mut all = NOTHING;
        while let Ok((buffer, sent)) = self.sent.try_recv() {
            self.spare.push(buffer);
            all = all.and(sent);
        }
        all
    }

    /// Passes `train` on; where too much is under way, once there is less.
    fn send(&mut self, train: &mut Vec<u8>, cut: Cut) -> Sent {
        let mut before = NOTHING;
        if self.spare.is_empty()
            && let Ok((buffer, sent)) = self.sent.recv()
        {
            self.spare.push(buffer);
            before = sent;
        }
        let passed_on = self.spare.pop().is_some_and(|next| {
            let full = std::mem::replace(train, next);
            self.trains.send((full, cut)).is_ok()
        });
        match passed_on {
            true => before,
            false => before.and(Sent {
                outcome: Err(internal_error("its thread is gone")),
                refused: cut.symbols as u64,
            }),
        }
    }

    fn finish(self) -> u64 {
        drop(self.trains);
        let refused = self.sent.iter().map(|(_, sent)| sent.refused).sum();
        let ended = self.thread.join();
        debug_assert!(ended.is_ok(), "panics are caught");
        refused
    }
}

/// What became of no train at all.
const NOTHING: Sent = Sent {
    outcome: Ok(SendOutcome::Sent { packets: 0 }),
    refused: 0,
};

fn internal_error(words: &str) -> io::Error {
    io::Error::other(format!(
        "internal error while sending: {words}; please report this"
    ))
}

fn hand_over(outlet: &dyn Outlet, train: &[u8], cut: Cut) -> Sent {
    let outcome = match outlet.send_train(&train[..cut.len], cut.segment) {
        // The interface's MTU became smaller: lost like on any other way that takes no large packets.
        Err(error) if cut.in_each > 1 && is_too_large(&error) => Ok(SendOutcome::Refused {
            sent: 0,
            refused: cut.len.div_ceil(cut.segment),
        }),
        outcome => outcome,
    };
    let sent = match &outcome {
        Ok(SendOutcome::Sent { .. }) => cut.symbols,
        Ok(SendOutcome::Refused { sent, .. }) => cut.symbols.min(sent * cut.in_each),
        Err(_) => 0,
    };
    let refused = (cut.symbols - sent) as u64;
    let outcome = match outcome {
        // It says nothing of the way to the group.
        _ if cut.may_fail => NOTHING.outcome,
        outcome => outcome,
    };
    Sent { outcome, refused }
}

/// Whether `error` says that a packet is larger than the interface takes.
fn is_too_large(error: &io::Error) -> bool {
    // The latter from older kernels, for trains.
    let is_one_of = [rustix::io::Errno::MSGSIZE, rustix::io::Errno::INVAL];
    let code = error.raw_os_error();
    is_one_of.iter().any(|one| code == Some(one.raw_os_error()))
}

/// What became of two trains, of which the second left after the first.
pub(super) fn followed_by(first: SendOutcome, second: SendOutcome) -> SendOutcome {
    let counts = |outcome| match outcome {
        SendOutcome::Sent { packets } => (packets, 0),
        SendOutcome::Refused { sent, refused } => (sent, refused),
    };
    let ((sent, refused), (sent_next, refused_next)) = (counts(first), counts(second));
    match (sent + sent_next, refused + refused_next) {
        (packets, 0) => SendOutcome::Sent { packets },
        (sent, refused) => SendOutcome::Refused { sent, refused },
    }
}

#[cfg(test)]
mod tests;
