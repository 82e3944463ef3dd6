//! Reports that do not tell the truth, sealed as properly as any.

use std::time::Duration;

use grappe_proto::fec::SymbolSet;
use grappe_proto::limits::SYMBOLS_PER_BLOCK_MAX;
use grappe_proto::seal::SealKey;
use grappe_proto::units::{BlockIndex, Sequence};
use grappe_proto::wire::data::{HEADER_LEN, TAG_LEN};
use grappe_proto::wire::report::{LACKS_MAX, Lack, REPORT_LEN_MAX, Report, ReportHeader};

use crate::random::Random;
use crate::scenario::Lie;

/// The queue that is claimed, and from which packet on: it shows only against a time without one.
const QUEUE: Duration = Duration::from_millis(40);
const QUEUED_FROM: Sequence = Sequence(2_000);

/// The queue that is claimed to be there every now and then, and how often.
const LONG_QUEUE: Duration = Duration::from_millis(230);
const LONG_QUEUE_EVERY: Duration = Duration::from_millis(240);

/// The report that says `lie` in the place of the honest `packet`.
pub(crate) fn twist(lie: Lie, packet: &[u8], key: &SealKey, random: &mut Random) -> Vec<u8> {
    let mut body = [0; REPORT_LEN_MAX];
    let body = &mut body[..packet.len() - HEADER_LEN - TAG_LEN];
    let Ok(mut header) = ReportHeader::read(packet) else {
        return packet.to_vec();
    };
    if key.open(header.sequence, packet, body).is_err() {
        return packet.to_vec();
    }
    let Ok(mut report) = Report::read(body) else {
        return packet.to_vec();
    };
    tell(lie, &mut report, &mut header.held, random);
    let mut body = Vec::new();
    report.emit(&mut body);
    let mut packet = vec![0; HEADER_LEN + body.len() + TAG_LEN];
    // The honest report never leaves, so its number is still unused on the wire.
    key.seal(&header.emit(), header.sequence, &body, &mut packet);
    packet
}

fn tell(lie: Lie, report: &mut Report, held: &mut u32, random: &mut Random) {
    match lie {
        Lie::LacksEverything => {
            report.stored_below = BlockIndex(0);
            report.lacks = (0..LACKS_MAX as u32).map(whole_block).collect();
        }
        Lie::LacksWhatItStored => {
            let stored = report.stored_below.0;
            let stored = stored.saturating_sub(LACKS_MAX as u32)..stored;
            report.lacks = stored.map(whole_block).collect();
        }
        Lie::ReceivedNothing => {
            (report.received, report.highest) = (0, Sequence(0));
            report.echo_received = 0;
        }
        // At the beats as well, or the reports would contradict themselves.
        Lie::LosesHalf => {
            report.received = report.received.min(report.highest.0 / 2);
            report.echo_received = (report.echo_received / 2).min(report.received);
            for beat in &mut report.earlier {
                beat.received_since /= 2;
            }
        }
        Lie::IsSlow => {
            report.highest = Sequence(report.highest.0 / 11);
            report.received = report.received.min(report.highest.0);
            report.echo_received = report.echo_received.min(report.received);
        }
        Lie::StoredEverything => {
            report.stored_below = BlockIndex(u32::MAX);
            report.lacks.clear();
        }
        Lie::HeardBeforeItReceived => report.echo_received = report.received + 1,
        Lie::SawTheFuture => report.highest = Sequence(u64::MAX),
        // Not in its reports.
        Lie::HearsAnySize => {}
        Lie::WaitsInQueue | Lie::HalfArrives | Lie::ArrivesFast if report.highest < QUEUED_FROM => {
        }
        Lie::WaitsInQueue => claim(report, held, QUEUE),
        Lie::ArrivesFast => {
            let since = report.echo.as_nanos() % LONG_QUEUE_EVERY.as_nanos() as u64;
            let drained = Duration::from_nanos(since / 20 * 17);
            claim(report, held, LONG_QUEUE.saturating_sub(drained));
        }
        Lie::HalfArrives => {
            claim(report, held, QUEUE);
            report.echo_received -=
                (report.echo_received - QUEUED_FROM.0.min(report.echo_received)) / 2;
        }
        Lie::Nonsense => {
            report.highest = Sequence(random.below(report.highest.0 + 1));
            report.received = random.next();
            report.dropped = random.next() as u32;
            report.stored_below = BlockIndex(random.next() as u32);
            report.lacks = (0..LACKS_MAX)
                .map(|_| whole_block(random.next() as u32))
                .collect();
        }
    }
}

/// Claims that the beat waited for `queue`, and as little time afterwards as can be: the sender knows when the report
/// comes.
fn claim(report: &mut Report, held: &mut u32, queue: Duration) {
    report.echo_at = report.echo_at + queue;
    let queue = u32::try_from(queue.as_nanos()).unwrap_or(u32::MAX);
    *held = held.saturating_sub(queue);
}

fn whole_block(block: u32) -> Lack {
    Lack {
        block: BlockIndex(block),
        need: SYMBOLS_PER_BLOCK_MAX as u8,
        missing: SymbolSet::first(SYMBOLS_PER_BLOCK_MAX),
    }
}
