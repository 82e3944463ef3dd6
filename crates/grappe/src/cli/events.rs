//! `--events`: what happens, as it happens, for a program: one JSON object to a line on standard output.
//!
//! Each has `time` (seconds since 1970) and `event`; what else depends on the event. The tables of
//! `docs/operations.md` are held to this by a test.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use grappe::announce::Call;
use grappe::receive;
use grappe::send;
use grappe_proto::receiver::Failure;
use serde_json::{Value, json};

use super::error::{CommandError, say};
use super::lines::Lines;
use super::output;

/// How long the end waits for whoever reads events, and does not at the moment.
const READER_MAX: Duration = Duration::from_secs(10);

const UNREAD: &str = "nobody reads them";

/// Where events go, for all that tell any. One that cannot be written, or is not read, holds up no copy and
/// ends none.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    lines: Arc<Lines>,
    loss: Loss,
}

/// Whether an event was lost.
#[derive(Clone, Debug, Default)]
struct Loss(Arc<AtomicBool>);

impl Loss {
    fn has_come(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Says it, the first time.
    fn come(&self, reason: &str) {
        if !self.0.swap(true, Ordering::Relaxed) {
            say(format_args!("cannot write the events: {reason}"));
        }
    }
}

impl Events {
    /// Starts the thread that writes.
    ///
    /// # Errors
    ///
    /// When the system has no thread left.
    pub(crate) fn start() -> Result<Self, CommandError> {
        let loss = Loss::default();
        let of_writing = loss.clone();
        let mut has_failed = false;
        let write = move |line: &str| {
            // A part of a line may be there: nothing can stand behind it.
            if !has_failed && let Err(error) = output::written(line) {
                has_failed = true;
                of_writing.come(&error.to_string());
            }
        };
        let lines = Lines::start("events", write).map_err(|error| {
            CommandError::failed(format_args!("--events: cannot start a thread: {error}"))
        })?;
        let lines = Arc::new(lines);
        Ok(Self { lines, loss })
    }

    /// Prints an event; never waits for its reader.
    pub(crate) fn print(&self, event: Value) {
        // Newer progress comes soon.
        if self.lines.is_late() && event["event"] == "progress" {
            return;
        }
        if let Some(lost) = self.lines.take_lost() {
            let text = format!("{lost} event(s) were not read in time, and are lost");
            let note = line(json!({"event": "note", "text": text}));
            let _full_again = self.lines.tell(note);
        }
        if !self.lines.tell(line(event)) {
            self.loss.come(UNREAD);
        }
    }

    /// Waits for whoever reads them, for a while, and answers whether all were written.
    pub(crate) fn finish(&self) -> bool {
        if !self.lines.flush(READER_MAX) {
            self.loss.come(UNREAD);
        }
        !self.loss.has_come()
    }
}

/// An event with its time, as a line.
fn line(mut event: Value) -> String {
    if let Some(fields) = event.as_object_mut() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let seconds = now.unwrap_or_default().as_millis() as f64 / 1000.0;
        fields.insert("time".into(), seconds.into());
    }
    format!("{event}\n")
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
        Notice::OtherVersion(address, version) => json!({
            "event": "other-version",
            "version": version,
            "sender": address.to_string(),
        }),
        Notice::Note(text) => json!({"event": "note", "text": text}),
    }
}

/// What became of the command of `--exec` that ran for a session.
pub(crate) fn of_command(session: &str, result: Result<(), String>) -> Value {
    json!({
        "event": "exec",
        "session": session,
        "failed": result.err(),
    })
}

/// What a sender tells, if it is for programs.
pub(crate) fn of_sender(notice: &send::Notice<'_>) -> Option<Value> {
    use send::Notice;
    Some(match notice {
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
        Notice::Event(event) => return of_node(event),
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
        // As many lines as nodes, several times a second, are for pictures.
        Notice::Receptions(_) => return None,
        Notice::Waiting(text) => json!({"event": "waiting", "text": text}),
        Notice::Note(text) => json!({"event": "note", "text": text}),
    })
}

fn of_node(event: &send::Event) -> Option<Value> {
    use send::Event;
    Some(match event {
        Event::Joined(node) => json!({"event": "joined", "node": node}),
        Event::JoinedLate(node) => json!({"event": "joined-late", "node": node}),
        Event::Demoted(node, reason) => json!({"event": "apart", "node": node, "reason": reason}),
        Event::Returned(node) => json!({"event": "returned", "node": node}),
        Event::Apart(count) => json!({"event": "sending-rest", "receivers": count}),
        Event::Refused(node, reason) => json!({"event": "refused", "node": node, "reason": reason}),
        Event::Started(count) => json!({"event": "started", "receivers": count}),
        // Of the turns of a gather, which the coordinator lets begin.
        Event::Prepared(_) => return None,
        Event::SentOnce => json!({"event": "sent-once"}),
        Event::Piped(node, reason) => json!({"event": "piped", "node": node, "reason": reason}),
        Event::PassedBy(node, reason) => {
            json!({"event": "passed-by", "node": node, "reason": reason})
        }
        Event::Unfed(node, reason) => json!({"event": "unfed", "node": node, "reason": reason}),
        Event::Complete(node) => json!({"event": "complete", "node": node}),
        Event::Gone(node, reason) => json!({"event": "gone", "node": node, "reason": reason}),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::{Ipv4Addr, SocketAddr};

    use grappe::announce::Heard;
    use grappe::send::Progress;
    use grappe::trust::PublicKey;
    use grappe_proto::units::SessionId;
    use grappe_proto::wire::control::Done;

    use super::*;

    type Row = (String, BTreeSet<String>);

    /// The events of the table below `heading`: each with its fields.
    fn documented(heading: &str) -> BTreeSet<Row> {
        const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations.md");

        let page = std::fs::read_to_string(PAGE).expect("the page is part of the repository");
        let below = page.split_once(heading).expect("the heading is there").1;
        let table = below.lines().skip_while(|line| !line.starts_with("| `"));
        let words = |cell: &str| -> BTreeSet<String> {
            let words = cell.split('`').skip(1).step_by(2);
            words.map(str::to_owned).collect()
        };
        table
            .take_while(|line| line.starts_with('|'))
            .map(|line| {
                let mut cells = line.split('|').skip(1);
                let event = words(cells.next().expect("a row has cells"));
                let event = event.into_iter().next().expect("an event has a name");
                (event, words(cells.next().expect("a row has cells")))
            })
            .collect()
    }

    fn told(events: impl IntoIterator<Item = Value>) -> BTreeSet<Row> {
        let row = |event: Value| {
            let fields = event.as_object().expect("an object");
            let name = fields["event"].as_str().expect("a text").to_owned();
            let others = fields.keys().filter(|key| *key != "event");
            (name, others.cloned().collect())
        };
        events.into_iter().map(row).collect()
    }

    /// Does not build with a new one: add it here, and to the list of the test.
    const fn is_listed(notice: &receive::Notice) {
        use receive::Notice;
        match notice {
            Notice::Listening
            | Notice::Joining(..)
            | Notice::Placed(..)
            | Notice::Ended(..)
            | Notice::Gathered(..)
            | Notice::Examined(..)
            | Notice::Untrusted(..)
            | Notice::OtherVersion(..)
            | Notice::Note(_) => (),
        }
    }

    /// The same for what a sender tells. What of it is not for programs has no place in the list.
    const fn is_listed_of_sender(notice: &send::Notice<'_>) {
        use send::{Event, Notice};
        match notice {
            Notice::Announced { .. }
            | Notice::Stranger(..)
            | Notice::Progress(_)
            | Notice::Receptions(_)
            | Notice::Waiting(_)
            | Notice::Note(_)
            | Notice::Event(
                Event::Joined(_)
                | Event::JoinedLate(_)
                | Event::Demoted(..)
                | Event::Returned(_)
                | Event::Apart(_)
                | Event::Refused(..)
                | Event::Started(_)
                | Event::Prepared(_)
                | Event::SentOnce
                | Event::Piped(..)
                | Event::PassedBy(..)
                | Event::Unfed(..)
                | Event::Complete(_)
                | Event::Gone(..),
            ) => (),
        }
    }

    #[test]
    fn the_page_has_every_event_of_a_receiver_with_its_fields() {
        use receive::Notice;

        let session = SessionId([1; 16]);
        let key = PublicKey::from_bytes([2; 32]);
        let heard = |call| Heard {
            call,
            session,
            sender: key,
            control: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
        };
        let why = || "why".to_owned();
        let notices = [
            Notice::Listening,
            Notice::Joining(session, heard(Call::Copy)),
            Notice::Joining(session, heard(Call::Gather)),
            Notice::Placed(session, vec![b"name".to_vec()]),
            Notice::Ended(session, Ok(Done::default())),
            Notice::Ended(session, Err(Failure::Refused(why()))),
            Notice::Ended(session, Err(Failure::Failed(why()))),
            Notice::Ended(session, Err(Failure::SenderGone(why()))),
            Notice::Gathered(session, Ok(())),
            Notice::Examined(heard(Call::Copy), None),
            Notice::Untrusted(key, Ipv4Addr::LOCALHOST.into()),
            Notice::OtherVersion(Ipv4Addr::LOCALHOST.into(), 7),
            Notice::Note(why()),
        ];
        notices.iter().for_each(is_listed);
        let events = notices.iter().map(of_receiver);
        let events = events.chain([of_command("session", Ok(()))]);
        assert_eq!(documented("Of a receiver:"), told(events));
    }

    #[test]
    fn the_page_has_every_event_of_a_sender_with_its_fields() {
        use send::{Event, Notice};

        let (node, why) = (|| "node".to_owned(), || "why".to_owned());
        let events = [
            Event::Joined(node()),
            Event::JoinedLate(node()),
            Event::Demoted(node(), why()),
            Event::Returned(node()),
            Event::Apart(1),
            Event::Refused(node(), why()),
            Event::Started(1),
            Event::SentOnce,
            Event::Piped(node(), why()),
            Event::PassedBy(node(), why()),
            Event::Unfed(node(), why()),
            Event::Complete(node()),
            Event::Gone(node(), why()),
        ];
        let progress = Progress {
            stored_blocks: 0,
            sent_blocks: 0,
            content_blocks: 1,
            planned_blocks: 1,
            allowed: 1,
            knee: None,
            packets: (0, 0),
            receivers: 1,
            rate: 1,
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let others = [
            Notice::Announced {
                session: SessionId([1; 16]),
                control: address,
                bytes: 1,
                files: 1,
            },
            Notice::Stranger(address, "why"),
            Notice::Progress(progress),
            Notice::Waiting("why"),
            Notice::Note("why"),
        ];
        let notices = events.iter().map(Notice::Event).chain(others);
        let events = notices.map(|notice| {
            is_listed_of_sender(&notice);
            of_sender(&notice).expect("it is for programs")
        });
        assert_eq!(documented("Of a sender, whose last line"), told(events));
    }
}
