//! `--events`: what happens, as it happens, for a program: one JSON object to a line on standard output.
//!
//! Each has `time` (seconds since 1970) and `event`; what else depends on the event.

use std::io::Write;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use grappe::announce::Call;
use grappe::receive;
use grappe::send;
use grappe_proto::receiver::Failure;
use serde_json::{Value, json};

/// Prints an event. A reader that went away is no reason to end a copy.
pub(crate) fn print(mut event: Value) {
    if let Some(fields) = event.as_object_mut() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let seconds = now.unwrap_or_default().as_millis() as f64 / 1000.0;
        fields.insert("time".into(), seconds.into());
    }
    let mut out = std::io::stdout().lock();
    let _closed = writeln!(out, "{event}").and_then(|()| out.flush());
}

/// Lets something through once a second.
#[derive(Debug, Default)]
pub(crate) struct Seconds {
    last: Option<Instant>,
}

impl Seconds {
    /// Whether a second has gone by since it last was.
    pub(crate) fn is_due(&mut self) -> bool {
        let is_due = self.last.is_none_or(|last| last.elapsed().as_secs() >= 1);
        if is_due {
            self.last = Some(Instant::now());
        }
        is_due
    }
}

/// What a receiver tells.
pub(crate) fn of_receiver(notice: &receive::Notice) -> Value {
    use receive::Notice;
    match notice {
        Notice::Listening => json!({"event": "listening"}),
        Notice::Joining(gather, heard) if heard.call == Call::Gather => json!({
            "event": "joining",
            "gather": gather.to_string(),
            "coordinator": heard.control.ip().to_string(),
            "key": heard.sender.fingerprint().to_string(),
        }),
        Notice::Joining(session, heard) => json!({
            "event": "joining",
            "session": session.to_string(),
            "sender": heard.control.ip().to_string(),
            "key": heard.sender.fingerprint().to_string(),
        }),
        Notice::Placed(session, names) => json!({
            "event": "placed",
            "session": session.to_string(),
            "names": names.iter().map(|it| String::from_utf8_lossy(it)).collect::<Vec<_>>(),
        }),
        Notice::Ended(session, Ok(done)) => json!({
            "event": "complete",
            "session": session.to_string(),
            "bytes": done.bytes,
            "files": done.files,
            "repaired": done.repaired,
            "dry_run": done.digest == [0; 32],
        }),
        Notice::Ended(session, Err(failure)) => {
            let (kind, reason) = match failure {
                Failure::Refused(reason) => ("refused", reason),
                Failure::Failed(reason) => ("failed", reason),
                Failure::SenderGone(reason) => ("sender-gone", reason),
            };
            json!({
                "event": kind,
                "session": session.to_string(),
                "reason": reason,
            })
        }
        Notice::Gathered(gather, result) => json!({
            "event": "gathered",
            "gather": gather.to_string(),
            "reason": result.as_ref().err().map(|failure| match failure {
                Failure::Refused(reason) | Failure::Failed(reason) | Failure::SenderGone(reason) => {
                    reason
                }
            }),
        }),
        Notice::Examined(heard, reason) => json!({
            "event": "examined",
            "sender": heard.control.ip().to_string(),
            "reason": reason,
        }),
        Notice::Untrusted(key, address) => json!({
            "event": "untrusted",
            "key": key.fingerprint().to_string(),
            "sender": address.to_string(),
        }),
        Notice::Note(text) => json!({"event": "note", "text": text}),
    }
}

/// What a sender tells.
pub(crate) fn of_sender(notice: &send::Notice<'_>) -> Value {
    use send::Notice;
    match notice {
        Notice::Announced {
            session,
            bytes,
            files,
            ..
        } => json!({
            "event": "announced",
            "session": session.to_string(),
            "bytes": bytes,
            "files": files,
        }),
        Notice::Event(event) => of_node(event),
        Notice::Stranger(address, reason) => json!({
            "event": "turned-away",
            "address": address.to_string(),
            "reason": reason,
        }),
        Notice::Progress(progress) => json!({
            "event": "progress",
            "stored_blocks": progress.stored_blocks,
            "sent_blocks": progress.sent_blocks,
            "content_blocks": progress.content_blocks,
            "receivers": progress.receivers,
            "rate": progress.rate,
        }),
        Notice::Receptions(receptions) => json!({
            "event": "received",
            "nodes": receptions.iter().map(|it| json!({"node": it.name, "bytes": it.bytes}))
                .collect::<Vec<_>>(),
        }),
        Notice::Waiting(text) => json!({"event": "waiting", "text": text}),
        Notice::Note(text) => json!({"event": "note", "text": text}),
    }
}

fn of_node(event: &send::Event) -> Value {
    use send::Event;
    match event {
        Event::Joined(node) => json!({"event": "joined", "node": node}),
        Event::JoinedLate(node) => json!({"event": "joined-late", "node": node}),
        Event::Demoted(node, reason) => json!({"event": "apart", "node": node, "reason": reason}),
        Event::Returned(node) => json!({"event": "returned", "node": node}),
        Event::Apart(count) => json!({"event": "sending-rest", "receivers": count}),
        Event::Refused(node, reason) => json!({"event": "refused", "node": node, "reason": reason}),
        Event::Started(count) => json!({"event": "started", "receivers": count}),
        Event::Prepared(count) => json!({"event": "prepared", "receivers": count}),
        Event::SentOnce => json!({"event": "sent-once"}),
        Event::Piped(node, reason) => json!({"event": "piped", "node": node, "reason": reason}),
        Event::PassedBy(node, reason) => {
            json!({"event": "passed-by", "node": node, "reason": reason})
        }
        Event::Unfed(node, reason) => json!({"event": "unfed", "node": node, "reason": reason}),
        Event::Complete(node) => json!({"event": "complete", "node": node}),
        Event::Gone(node, reason) => json!({"event": "gone", "node": node, "reason": reason}),
    }
}
