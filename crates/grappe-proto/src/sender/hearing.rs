//! The test of the group: which receivers hear it, and packets of which size.
//!
//! Soundings of several sizes go to the group while somebody who joined has not said that the largest
//! that matters arrived. Who has heard none that holds a symbol after a while gets its content through the
//! pipeline; where all have heard a jumbo frame, packets carry several symbols, for as long as they arrive.

use std::time::Duration;

use super::peer::{Large, Peer, Role};
use super::probe::Probing;
use super::{Output, Sender};
use crate::session::Transport;
use crate::units::{PeerId, Sequence, Time};
use crate::wire::report::Report;

/// How long a receiver has to hear a sounding: twenty times the way there and back of a slow network.
const TEST_MAX: Duration = Duration::from_millis(400);

/// Where nobody at all has heard one for so long, nobody will.
const TEST_MIN: Duration = Duration::from_millis(160);

/// Between soundings.
const SOUND: Duration = Duration::from_millis(20);

/// A packet that every network passes (RFC 791), to tell a small MTU from no multicast at all.
const SMALL: u16 = 576;

/// The largest packet tried: what interfaces call a jumbo frame.
const JUMBO: u16 = 9000;

/// How long a copy waits for a receiver to hear one of those, if it hears the group at all: three of them. They
/// go on for as long as the test of the group may last.
const JUMBO_TEST: Duration = Duration::from_millis(60);

/// Large packets that get lost for so long, so many symbols in them, while the beats between them arrive: of
/// every twenty less than one came. Twice in a row, the way takes them no more; once may be an outage.
const LARGE_LOST: Duration = Duration::from_millis(100);
const LARGE_LOST_SYMBOLS: u64 = 60;
const LARGE_LOST_ALL_BUT: u64 = 20;

/// A receiver that hears nothing of the group for so long, though beats always come, has lost it: switches
/// that nobody asks for memberships forget them.
const DEAF_MAX: Duration = Duration::from_secs(3);

impl Sender {
    /// Bytes of the IP packet that carries a symbol, which must arrive.
    fn packet_needed(&self) -> u16 {
        super::packet_bytes(self.setup.symbol_size) as u16
    }

    /// Bytes of the largest packet that is tried.
    fn largest(&self) -> u16 {
        JUMBO.min(u16::try_from(self.setup.mtu).unwrap_or(u16::MAX))
    }

    /// The same where it is a jumbo frame, which holds several symbols.
    fn jumbo(&self) -> Option<u16> {
        Some(self.largest()).filter(|bytes| self.symbols_in(*bytes) > 1)
    }

    /// How many symbols a packet of so many bytes carries.
    fn symbols_in(&self, bytes: u16) -> u8 {
        let body = u64::from(bytes).saturating_sub(super::packet_bytes(0));
        u8::try_from(body / u64::from(self.setup.symbol_size)).unwrap_or(u8::MAX)
    }

    /// Whether it is settled how content gets to a receiver.
    fn is_tested(&self, peer: &Peer, now: Time) -> bool {
        self.setup.transport != Transport::Auto
            || self.hears(peer) && self.is_sized(peer, now)
            || now.since(peer.tested_from) >= self.patience()
    }

    /// Whether it is settled if a receiver hears jumbo frames.
    fn is_sized(&self, peer: &Peer, now: Time) -> bool {
        let is_heard = |bytes| peer.way.heard_bytes >= Some(bytes);
        self.jumbo().is_none_or(is_heard) || now.since(peer.tested_from) >= JUMBO_TEST
    }

    /// How long a sounding is waited for.
    fn patience(&self) -> Duration {
        let somebody_hears = self.peers.iter().any(|peer| peer.way.heard_bytes.is_some());
        if somebody_hears { TEST_MAX } else { TEST_MIN }
    }

    fn hears(&self, peer: &Peer) -> bool {
        self.setup.transport == Transport::Multicast
            || peer.way.heard_bytes >= Some(self.packet_needed())
    }

    /// How many symbols fit a packet that every live receiver hears.
    pub(super) fn symbols_heard_together(&self) -> u8 {
        let heard = self.live().map(|peer| peer.way.heard_bytes.unwrap_or(0));
        let least = heard.min().unwrap_or(0).min(self.jumbo().unwrap_or(0));
        self.symbols_in(least).max(1)
    }

    /// Takes note of what a receiver got while packets are large. Where they get lost and the beats between them
    /// do not, the way does not take them any more, or never did: a member of the group can forge a sounding.
    pub(super) fn note_large(&mut self, id: PeerId, report: &Report, now: Time) {
        let (beats, needed) = (self.beats, self.packet_needed());
        let is_large = self.together > 1;
        let Some(peer) = self.peer_mut(id).filter(|peer| peer.is_live()) else {
            return;
        };
        let seen = Large {
            since: now,
            received: report.received,
            highest: report.highest,
            dropped: report.dropped,
            beats,
            is_suspicious: false,
        };
        // What a socket dropped had arrived.
        let is_known = |before: &Large| is_large && before.dropped == report.dropped;
        let Some(before) = peer.large.filter(is_known) else {
            peer.large = is_large.then_some(seen);
            return;
        };
        let beats = beats - before.beats;
        let received = report.received.saturating_sub(before.received);
        let sent = report.highest.0.saturating_sub(before.highest.0);
        let symbols = sent.saturating_sub(beats);
        if now.since(before.since) < LARGE_LOST || symbols < LARGE_LOST_SYMBOLS {
            return;
        }
        let do_beats_arrive = received * 2 >= beats;
        let is_suspicious =
            do_beats_arrive && received.saturating_sub(beats) * LARGE_LOST_ALL_BUT < symbols;
        peer.large = Some(Large {
            is_suspicious,
            ..seen
        });
        if is_suspicious && before.is_suspicious {
            peer.is_narrow = true;
            peer.way.heard_bytes = Some(needed);
            // What others did not store until now was in large packets as well.
            for peer in &mut self.peers {
                peer.storing_at = now;
            }
            self.refresh_floor();
            self.rate.begin_again(now, Sequence(self.sequence));
            self.probing = Probing::new(now);
        }
    }

    /// Whether the beginning has to wait for somebody's test.
    pub(super) fn is_testing(&self, now: Time, deadline: Time) -> bool {
        now < deadline + TEST_MAX && self.live().any(|peer| !self.is_tested(peer, now))
    }

    /// When the group is to be sounded again.
    pub(super) fn test_at(&self) -> Time {
        self.sound_at
    }

    /// Sounds the group while there is somebody to hear it whose test is not over.
    pub(super) fn sound(&mut self, now: Time) {
        if now < self.sound_at {
            return;
        }
        let is_large_due = |peer: &Peer| {
            let is_heard = peer.is_narrow || peer.way.heard_bytes >= self.jumbo();
            !peer.is_piped() && !is_heard && now.since(peer.tested_from) < TEST_MAX
        };
        let is_due =
            |peer: &Peer| !peer.is_piped() && !self.hears(peer) && !self.is_tested(peer, now);
        let (needed, is_small) = (self.packet_needed(), self.present().any(is_due));
        let is_large = self.setup.transport != Transport::Pipeline
            && self.jumbo().is_some()
            && self.present().any(is_large_due);
        if !is_large && !is_small {
            self.sound_at = Time::NEVER;
            return;
        }
        self.sound_at = now + SOUND;
        // The largest first: who hears it need not answer to the others.
        let largest =
            (is_large || self.is_joining() && self.largest() > needed).then_some(self.largest());
        let small = [needed, SMALL].into_iter().filter(|_| is_small);
        let sizes: Vec<u16> = largest.into_iter().chain(small).collect();
        for bytes in sizes {
            let sequence = Sequence(self.sequence);
            self.sequence += 1;
            self.rate
                .sent_beside(now, bytes.into(), Sequence(self.sequence));
            self.outputs.push_back(Output::Sounding {
                sequence,
                block: self.cursor.0,
                bytes,
            });
        }
    }

    /// A receiver heard a sounding.
    pub(super) fn heard(&mut self, id: PeerId, bytes: u16, now: Time) {
        let (largest, needed) = (self.largest(), self.packet_needed());
        if let Some(peer) = self.peer_mut(id) {
            // Nobody can have heard more than was tried, and what ceased to arrive is not tried again.
            let bytes = bytes.min(if peer.is_narrow { needed } else { largest });
            peer.way.heard_bytes = peer.way.heard_bytes.max(Some(bytes));
        }
        self.refresh_floor();
        self.admit_tested(now);
    }

    /// Content is to flow: decides how it gets to whom.
    pub(super) fn choose_ways(&mut self, now: Time) {
        let mut peers: Vec<&Peer> = self.live().collect();
        // Neighbours by name are neighbours in the rack more often than not. `n2` is before `n10`.
        peers.sort_by_key(|peer| (peer.name.len(), &*peer.name));
        let ids: Vec<PeerId> = peers.iter().map(|peer| peer.id).collect();
        for id in ids {
            if let Some(why) = self.reason_to_pipe(id) {
                self.pipe(id, why, now);
            }
        }
    }

    /// Receivers that came late, and whose test is over, wait for their turn or join the pipeline.
    pub(super) fn admit_tested(&mut self, now: Time) {
        let is_tested = |peer: &&Peer| peer.role == Role::Testing && self.is_tested(peer, now);
        let ids: Vec<PeerId> = self
            .present()
            .filter(is_tested)
            .map(|peer| peer.id)
            .collect();
        for id in ids {
            if let Some(why) = self.reason_to_pipe(id) {
                self.pipe(id, why, now);
                continue;
            }
            let Some(peer) = self.peer_mut(id) else {
                continue;
            };
            peer.role = Role::Waiting;
            if peer.is_prepared() {
                self.try_to_admit(id, now);
            }
        }
    }

    /// Receivers that no longer hear the group get the rest through the pipeline.
    pub(super) fn pipe_the_deaf(&mut self, now: Time) {
        if self.setup.transport != Transport::Auto {
            return;
        }
        // Of one that does not report either, nothing is known.
        let is_deaf = |peer: &&Peer| {
            now.since(peer.hearing_at) >= DEAF_MAX && now.since(peer.heard_at) < DEAF_MAX / 3
        };
        let deaf: Vec<PeerId> = self.live().filter(is_deaf).map(|peer| peer.id).collect();
        for id in deaf {
            let seconds = DEAF_MAX.as_secs();
            self.pipe(
                id,
                format!("heard nothing of the group for {seconds} s"),
                now,
            );
        }
    }

    /// Why a receiver gets its content through the pipeline, if it does.
    fn reason_to_pipe(&self, id: PeerId) -> Option<String> {
        let peer = self.peers.get(id.as_usize())?;
        if self.setup.transport == Transport::Pipeline {
            return Some("asked for".into());
        }
        if self.hears(peer) {
            return None;
        }
        Some(match peer.way.heard_bytes {
            None => format!(
                "hears no multicast: nothing in {} ms",
                self.patience().as_millis()
            ),
            Some(bytes) => format!(
                "hears multicast packets of {bytes} bytes, but none of {}: look at the MTU on the way",
                self.packet_needed()
            ),
        })
    }
}
