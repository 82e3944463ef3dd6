//! Jobs of one receiver: preparing, storing, verifying and placing, with real bytes where there are
//! any; the disk decides how long they take.

use std::rc::Rc;
use std::time::Duration;

use grappe_proto::fec::SymbolSet;
use grappe_proto::receiver::{Input, Job, Prepared};
use grappe_proto::units::{BlockIndex, Time};
use grappe_proto::wire::control::Done;

use super::ReceiverNode;
use crate::event::Event;
use crate::outside::Outside;

/// Verifying and placing take so long, and preparing where no fault says otherwise.
pub(super) const JOB_TIME: Duration = Duration::from_millis(2);

impl ReceiverNode {
    pub(super) fn begin(&mut self, now: Time, job: Job, outside: &mut Outside) {
        let done_at = match job {
            Job::Store { block, present } => {
                let len = self.block_len(block);
                self.check_store(now, block, len, present, outside);
                self.backlog += 1;
                self.backlog_max = self.backlog_max.max(self.backlog);
                self.disk.work(now, u64::from(len))
            }
            Job::Prepare => now + self.prepares_for,
            Job::EndStream { .. } | Job::Verify { .. } | Job::Place => now + JOB_TIME,
        };
        outside.agenda.plan(
            done_at,
            Event::ReceiverJob {
                node: self.node,
                life: outside.lives[self.node],
                job,
            },
        );
    }

    /// A job that was begun is done.
    pub(crate) fn job_done(&mut self, now: Time, job: Job, outside: &mut Outside) {
        let Some(machine) = &self.machine else { return };
        let stream = machine.stream().clone();
        let input = match job {
            Job::Prepare => {
                let prepared = match &mut self.store {
                    Some(store) => store.prepare(&stream),
                    None => Ok(outside.content.stream.clone()),
                };
                let have = self.journal.clone();
                Input::Prepared(prepared.map(|stream| Prepared { stream, have }))
            }
            Job::Store { block, .. } => {
                self.maybe_spoil(block, outside);
                self.backlog -= 1;
                Input::Stored(block)
            }
            Job::EndStream { .. } => Input::Failed("nothing here comes from a pipe".into()),
            Job::Verify { digests_hash } => Input::Verified(match &self.store {
                Some(store) => store.wrong_blocks(&stream, digests_hash),
                None => std::mem::take(&mut self.spoilt).into_iter().collect(),
            }),
            Job::Place => Input::Placed(Done {
                bytes: outside.content.bytes,
                files: 1,
                digest: self
                    .store
                    .as_ref()
                    .map_or(outside.content.copy, |store| store.copy(&stream))
                    .0,
                ..Done::default()
            }),
        };
        self.input(now, input, outside);
    }

    fn check_store(
        &mut self,
        now: Time,
        block: BlockIndex,
        len: u32,
        present: SymbolSet,
        outside: &mut Outside,
    ) {
        if let Some(store) = &mut self.store
            && let Err(wrong) = store.store(block, len, present)
        {
            outside.violation(now, || format!("receiver {}: {wrong}", self.node));
        }
    }

    fn maybe_spoil(&mut self, block: BlockIndex, outside: &Outside) {
        let content = outside.content.stream.content_blocks();
        if content.contains(&block) && self.spoils.remove(&(block.0 - content.start.0)) {
            match &mut self.store {
                Some(store) => store.spoil(block),
                None => _ = self.spoilt.insert(block),
            }
        }
    }

    /// A receiver that says it is complete must have the sender's bytes.
    pub(super) fn compare(&self, now: Time, outside: &mut Outside) {
        let Some(store) = &self.store else { return };
        let content = Rc::clone(&outside.content);
        for block in (0..content.stream.block_count()).map(BlockIndex) {
            if store.block(block) != Some(&content.block(block)[..]) {
                outside.violation(now, || {
                    format!(
                        "receiver {} is complete with a wrong block {block}",
                        self.node
                    )
                });
            }
        }
    }

    fn block_len(&self, block: BlockIndex) -> u32 {
        self.machine
            .as_ref()
            .and_then(|machine| machine.stream().block_len(block))
            .unwrap_or(0)
    }
}
