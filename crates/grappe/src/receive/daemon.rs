//! The daemon's own task: which announcements are followed, and what its user is told.
//!
//! How one session goes is in `session`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use grappe_proto::gather::is_turn_of;
use grappe_proto::receiver::Failure;
use grappe_proto::units::SessionId;
use grappe_proto::wire::control::Done;
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};

use super::Notice;
use super::member;
use super::memory::{Copies, Strangers};
use super::session::{Ended, Node, take_part};
use crate::announce::{Call, Heard};
use crate::trust::{Role, TrustFile};

/// Sessions at one time; more are heard again when one has ended.
const SESSIONS_MAX: usize = 16;

/// The result of a session.
type Outcome = Result<Done, Failure>;

/// The daemon.
pub(super) struct Daemon<'a> {
    node: Arc<Node>,
    trust: TrustFile,
    once: bool,
    /// The gather that alone is taken part in.
    only: Option<SessionId>,
    copies: Copies,
    strangers: Strangers,
    /// What threads and sessions tell.
    told: mpsc::Receiver<Notice>,
    notice: &'a mut dyn FnMut(Notice),
}

impl<'a> Daemon<'a> {
    pub(super) fn new(
        node: Node,
        trust: TrustFile,
        once: bool,
        only: Option<SessionId>,
        told: mpsc::Receiver<Notice>,
        notice: &'a mut dyn FnMut(Notice),
    ) -> Self {
        Self {
            node: Arc::new(node),
            trust,
            once,
            only,
            copies: Copies::default(),
            strangers: Strangers::default(),
            told,
            notice,
        }
    }

    /// Follows what is `heard` until `stop` holds a reason, nothing can be heard any more, or one
    /// session has ended if only one is wanted. Answers the result of the last one.
    pub(super) async fn run(
        mut self,
        mut heard: mpsc::Receiver<Heard>,
        mut stop: watch::Receiver<Option<String>>,
    ) -> Option<Outcome> {
        let mut sessions: JoinSet<Ended> = JoinSet::new();
        let mut heard_by: HashMap<Id, Heard> = HashMap::new();
        let mut last = None;
        loop {
            // A gather consists of copies.
            let gathers = heard_by.values().any(|heard| heard.call == Call::Gather);
            let session_limit = match (self.once, gathers) {
                (true, false) => 1,
                _ => SESSIONS_MAX,
            };
            tokio::select! {
                changed = stop.changed() => {
                    if changed.is_err() || stop.borrow_and_update().is_some() {
                        break;
                    }
                }
                Some(notice) = self.told.recv() => (self.notice)(notice),
                Some(ended) = sessions.join_next_with_id() => {
                    let Some((heard, ended)) = self.attempt_of(ended, &mut heard_by) else {
                        continue;
                    };
                    let was_welcome = ended.was_welcome;
                    let result = self.ended(&heard, ended);
                    // A copy for others, or one that is no more, is not the one that is waited for.
                    if self.once && !was_welcome {
                        continue;
                    }
                    last = Some(result);
                    if self.once && sessions.is_empty() {
                        return last;
                    }
                }
                heard = heard.recv(), if sessions.len() < session_limit => {
                    // Without the listening thread a daemon would only seem to be one.
                    let Some(heard) = heard else { break };
                    let is_other = self.only.is_some_and(|only| match heard.call {
                        Call::Gather => only != heard.session,
                        Call::Copy => !gathers,
                    });
                    if is_other || self.is_own(&heard) || !self.is_trusted(&heard) {
                        continue;
                    }
                    // Whoever copies something else meanwhile does not mean this member.
                    let is_wanted = |only| heard.call == Call::Gather || is_turn_of(only, heard.session);
                    if !self.only.is_none_or(is_wanted) {
                        continue;
                    }
                    if let Some(claim) = self.copies.begin(&heard) {
                        let (node, stop) = (Arc::clone(&self.node), stop.clone());
                        let task = match heard.call {
                            Call::Copy => sessions.spawn(take_part(node, heard, claim, stop)),
                            Call::Gather => {
                                sessions.spawn(member::take_part(node, heard, claim, stop))
                            }
                        };
                        heard_by.insert(task.id(), heard);
                    }
                }
            }
        }
        while let Some(ended) = sessions.join_next_with_id().await {
            if let Some((heard, ended)) = self.attempt_of(ended, &mut heard_by) {
                last = Some(self.ended(&heard, ended));
            }
        }
        self.pass_on();
        last
    }

    /// Whether it is a copy that this very node sends.
    fn is_own(&self, heard: &Heard) -> bool {
        let own = self.node.own_copies.lock();
        let own = own.unwrap_or_else(PoisonError::into_inner);
        own.contains(&heard.session.0)
    }

    fn is_trusted(&mut self, heard: &Heard) -> bool {
        let role = self.trust.role_of(&heard.sender);
        // Who calls to a gather hears what everybody has, and has everybody send.
        let wanted = |role: &Role| match heard.call {
            Call::Copy => role.may_send(),
            Call::Gather => role.may_send() && role.may_receive(),
        };
        if role.as_ref().is_some_and(wanted) {
            return true;
        }
        let (key, address) = (heard.sender, heard.control.ip());
        let notice = Notice::Untrusted(key, address);
        self.tell_of_stranger(address, key.fingerprint().to_string(), notice);
        false
    }

    fn ended(&mut self, heard: &Heard, ended: Ended) -> Outcome {
        let Ended {
            result,
            was_proved,
            was_welcome,
            was_examination,
        } = ended;
        // A connection that failed says little: the next announcement is followed again, a few times.
        let is_over =
            was_welcome || was_examination || !matches!(result, Err(Failure::SenderGone(_)));
        self.copies.end(heard, is_over);
        // What the session told comes before its end.
        self.pass_on();
        let notice = match heard.call {
            Call::Copy => Notice::Ended(heard.session, result.clone()),
            Call::Gather => Notice::Gathered(heard.session, result.clone().map(drop)),
        };
        match &result {
            Err(Failure::SenderGone(reason)) if was_examination => {
                let reason = Some(reason.clone()).filter(|reason| !reason.is_empty());
                (self.notice)(Notice::Examined(*heard, reason));
            }
            Err(Failure::SenderGone(reason)) if !was_proved => {
                let matter = format!("{} {reason}", heard.session);
                self.tell_of_stranger(heard.control.ip(), matter, notice);
            }
            _ => (self.notice)(notice),
        }
        result
    }

    fn tell_of_stranger(&mut self, address: IpAddr, matter: String, notice: Notice) {
        let told = self.strangers.tell(address, matter, notice, Instant::now());
        if let Some(notice) = told {
            (self.notice)(notice);
        }
    }

    /// Passes on what threads and sessions have told so far.
    fn pass_on(&mut self) {
        while let Ok(notice) = self.told.try_recv() {
            (self.notice)(notice);
        }
    }

    /// Which attempt a task was, and its end. One that panicked counts as failed.
    fn attempt_of(
        &mut self,
        ended: Result<(Id, Ended), JoinError>,
        heard_by: &mut HashMap<Id, Heard>,
    ) -> Option<(Heard, Ended)> {
        match ended {
            Ok((id, ended)) => Some((heard_by.remove(&id)?, ended)),
            Err(error) => {
                let text = "internal error: a session ended unexpectedly; please report this";
                (self.notice)(Notice::Note(text.into()));
                self.copies.end(&heard_by.remove(&error.id())?, false);
                None
            }
        }
    }
}
