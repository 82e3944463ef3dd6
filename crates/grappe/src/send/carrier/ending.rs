//! The end of a copy at its sender: threads that end, what the user is still told, and the report.

use std::sync::atomic::Ordering;
use std::time::Duration;

use grappe_proto::content::survey::Survey;
use grappe_proto::sender::Summary;
use grappe_proto::units::PeerId;

use super::super::threads::join_in_time;
use super::super::{Notice, Receptions, SendReport};
use super::Carrier;

/// How long the end waits for threads that may hang on a file system.
const END_PATIENCE: Duration = Duration::from_secs(3);

/// When one packet of so many never left this host, the user is told.
const REFUSED_TOLD: u64 = 100;

impl Carrier {
    pub(super) fn wind_up(
        mut self,
        summary: Summary,
        notice: &mut dyn FnMut(Notice<'_>),
    ) -> SendReport {
        notice(Notice::Receptions(Receptions(&self.machine)));
        self.peers.clear();
        self.piping.stop();
        self.requests = None;
        self.listening.store(false, Ordering::Relaxed);
        if let Some(control) = self.control.take() {
            control.stop();
        }
        let left = join_in_time(std::mem::take(&mut self.threads), END_PATIENCE);
        if !left.is_empty() {
            let text = format!(
                "a file system does not answer; left behind what waits for it: {}",
                left.join(", ")
            );
            notice(Notice::Note(&text));
        }
        let refused = self.transmitter.finish();
        if refused > 0 && refused.saturating_mul(REFUSED_TOLD) >= summary.packets_sent {
            let text = format!(
                "{refused} of {} packets did not leave this node: its own link or queue was in the way",
                summary.packets_sent
            );
            notice(Notice::Note(&text));
        }
        let source = &self.content.source;
        let mut skipped = source.skipped().to_vec();
        skipped.extend(source.problems());
        let laid = self.content.laid();
        let selected_bytes = (0..laid.layout.block_count())
            .map(|block| u64::from(laid.layout.block_len(block)))
            .sum();
        let name = |peer: &PeerId| self.names.get(peer).cloned().unwrap_or_default();
        let mut surveys: Vec<(String, Survey)> = std::mem::take(&mut self.told)
            .into_iter()
            .map(|(peer, survey)| (name(&peer), survey))
            .collect();
        surveys.sort_by(|left, right| left.0.cmp(&right.0));
        SendReport {
            session: self.session,
            surveys,
            selected_bytes,
            bytes: self.content.bytes(),
            files: source.manifest().file_count().into(),
            elapsed: summary.elapsed,
            hash: self.hash.filter(|_| self.surveys.is_none()),
            nodes: summary.nodes,
            missing: summary.missing,
            skipped,
            cancelled: summary.cancelled,
            packets: (summary.packets_sent, summary.packets_repair),
            cipher: self.welcome.suite,
            symbol_size: self.welcome.symbol_size,
            packets_refused: refused,
        }
    }
}
