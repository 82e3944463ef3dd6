//! A receiver in the pipeline: it fetches whole blocks from a source that the sender names, and may be
//! a source itself.

use std::net::IpAddr;

use super::{Input, Output, Phase, Receiver};
use crate::content::block_set::BlockSet;
use crate::units::{BlockIndex, Time};
use crate::wire::control::ToSender;

/// Where blocks are fetched from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Tells this source from those before.
    pub number: u32,
    /// Its address; the unspecified one is the sender's own.
    pub address: IpAddr,
    /// Its TCP port; zero is that of the control connection.
    pub port: u16,
}

impl Receiver {
    /// Takes a block into account that was fetched and opened, `len` bytes long. Says whether it is wanted:
    /// then a job to store it follows.
    pub fn accept_block(&mut self, block: BlockIndex, len: u32, now: Time) -> bool {
        self.heard_at = now;
        if !self.is_as_long(block, len) || !matches!(self.phase, Phase::Manifest | Phase::Content) {
            return false;
        }
        let symbols = self.symbols(block);
        let Some(present) = self.window.insert_whole(block, symbols) else {
            return false;
        };
        self.news = true;
        self.outputs
            .push_back(Output::Job(super::Job::Store { block, present }));
        true
    }

    /// Whether `len` is how long `block` is: whoever gives another length gives what is of no use.
    pub fn is_as_long(&self, block: BlockIndex, len: u32) -> bool {
        let place = self.stream.place(block);
        place.is_some_and(|place| place.len() == len)
    }

    /// Whether blocks are fetched, rather than heard.
    pub const fn is_piped(&self) -> bool {
        self.source.is_some()
    }

    /// The sender names a source.
    pub(super) fn pull(&mut self, source: Source) {
        if self.source.is_none() {
            // What came of blocks that are not whole is worth less than the room that it takes.
            self.window.begin_turn(BlockIndex(0));
            self.outputs.push_back(Output::Discard);
        }
        self.source = Some(source);
        if std::mem::replace(&mut self.hears, false) {
            self.outputs.push_back(Output::Hear(false));
        }
        self.fetch();
    }

    /// Asks the source for what is lacking at present.
    pub(super) fn fetch(&mut self) {
        let Some(source) = self.source else { return };
        let all = match self.phase {
            Phase::Manifest => self.stream.manifest_blocks(),
            Phase::Content => self.all_blocks(),
            // Said again once it is known.
            _ => return,
        };
        let mut blocks = BlockSet::new();
        for run in self.window.lacking_whole(all) {
            blocks.insert_range(run);
        }
        if !blocks.is_empty() {
            self.outputs.push_back(Output::Pull { source, blocks });
        }
    }

    /// The source is of no use; the sender names another.
    pub(super) fn unfed(&mut self, number: u32, reason: String) {
        if (self.source).is_some_and(|source| source.number == number) {
            self.outputs
                .push_back(Output::Control(ToSender::Unfed { number, reason }));
        }
    }

    /// Others' connections are taken at this port.
    pub(super) fn serving(&mut self, port: u16) {
        self.outputs
            .push_back(Output::Control(ToSender::Serving { port }));
    }
}

impl Input {
    /// What the driver says when the source named by `number` failed.
    pub fn unfed(number: u32, reason: impl Into<String>) -> Self {
        Self::Unfed {
            number,
            reason: reason.into(),
        }
    }
}
