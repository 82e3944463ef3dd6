//! A judged mail as text for people and as JSON for ticket systems; and its exit code.
//!
//! The JSON is documented in docs/check-notice.md; its names do not change.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::check::word;
use super::error;
use check_notice::claim::Claim;
use check_notice::evidence::{Finding, Reason, Verdict};
use check_notice::leak::Leak;
use check_notice::records::Records;
use check_notice::sender::{Sender, SenderFinding};
use check_notice::signs::{Sign, printable};
use check_notice::time::{Seconds, show, show_length};

/// Everything about one mail.
pub(super) struct Report<'a> {
    pub(super) name: &'a str,
    pub(super) received: Seconds,
    pub(super) received_from: &'static str,
    pub(super) sender: &'a SenderFinding,
    pub(super) complainant: &'a str,
    pub(super) contact: Option<&'a str>,
    /// Nothing if the mail holds no complaint.
    pub(super) verdict: Option<Verdict>,
    pub(super) judged: Vec<(&'a Claim, Vec<Finding>)>,
    pub(super) signs: Vec<Sign>,
    pub(super) leaks: Vec<Leak>,
    /// What to show for a holder.
    pub(super) names: BTreeMap<String, String>,
    pub(super) records: &'a Records,
    pub(super) remarks: &'a [String],
}

/// The exit code of one mail.
pub(super) fn code(report: &Report<'_>) -> u8 {
    let good_sender = matches!(report.sender.verdict, Sender::Proven | Sender::Attested);
    if !report.leaks.is_empty() {
        error::INCIDENT
    } else if report.sender.verdict == Sender::Contradicted
        || report.verdict == Some(Verdict::Contradicted)
    {
        error::CONTRADICTED
    } else if report.verdict.is_none() {
        error::NO_COMPLAINT
    } else if !good_sender || matches!(report.verdict, Some(Verdict::Uncheckable(_))) {
        error::UNCHECKABLE
    } else {
        0
    }
}

fn verdict_text(verdict: Verdict) -> String {
    match verdict {
        Verdict::Uncheckable(missing) => format!("uncheckable: {} missing", missing.name()),
        other => word(other).to_owned(),
    }
}

fn sender_word(sender: Sender) -> &'static str {
    match sender {
        Sender::Proven => "proven",
        Sender::Attested => "attested",
        Sender::Unproven => "unproven",
        Sender::Contradicted => "contradicted",
    }
}

fn reason_line(out: &mut String, reason: &Reason) {
    let place = reason
        .place
        .map_or(String::new(), |place| format!(" [{place}]"));
    let record = reason
        .record
        .as_ref()
        .map_or(String::new(), |record| format!(" [{record}]"));
    let _ = writeln!(out, "    {}{place}{record}", printable(&reason.what));
}

/// For people.
pub(super) fn text(report: &Report<'_>) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}", printable(report.name));
    let _ = writeln!(
        out,
        "  received: {} ({})",
        show(report.received),
        report.received_from
    );
    let identity = report
        .sender
        .identity
        .as_ref()
        .map_or(String::new(), |name| format!(", {}", printable(name)));
    let _ = writeln!(
        out,
        "  sender: {}{identity}",
        sender_word(report.sender.verdict)
    );
    for reason in &report.sender.reasons {
        reason_line(&mut out, reason);
    }
    match report.verdict {
        None => out.push_str("  evidence: no complaint found\n"),
        Some(verdict) => {
            let _ = writeln!(out, "  evidence: {}", verdict_text(verdict));
        }
    }
    for (claim, findings) in &report.judged {
        let _ = writeln!(
            out,
            "  {}, {} event(s)",
            claim.format.name(),
            claim.events.len()
        );
        for remark in &claim.remarks {
            let _ = writeln!(out, "    {}", printable(remark));
        }
        for (index, finding) in findings.iter().enumerate() {
            let _ = writeln!(
                out,
                "   event {}: {}",
                index + 1,
                verdict_text(finding.verdict)
            );
            finding
                .reasons
                .iter()
                .for_each(|reason| reason_line(&mut out, reason));
            if let Some(holder) = finding.holder {
                let _ = writeln!(
                    out,
                    "    holder: {}",
                    shown(report, report.records.holder(holder))
                );
            }
            if let Some(margin) = &finding.margin {
                let _ = writeln!(
                    out,
                    "    same holder from -{} ({}) to +{} ({})",
                    show_length(margin.before_s),
                    margin.before_ends,
                    show_length(margin.after_s),
                    margin.after_ends
                );
            }
            let missing: Vec<&str> = finding
                .missing
                .iter()
                .map(|missing| missing.name())
                .collect();
            if !missing.is_empty() {
                let _ = writeln!(out, "    not stated: {}", missing.join(", "));
            }
        }
    }
    for sign in &report.signs {
        let _ = writeln!(out, "  sign: {} ({})", printable(&sign.what), sign.source);
    }
    for leak in &report.leaks {
        let _ = writeln!(
            out,
            "  INCIDENT: a true private fact ({}) in an unproven mail [{}]",
            printable(&leak.kind),
            leak.place
        );
    }
    if let Some(contact) = report.contact {
        let _ = writeln!(out, "  contact, from your configuration: {contact}");
    }
    for remark in report.remarks {
        let _ = writeln!(out, "  note: {}", printable(remark));
    }
    out
}

fn shown<'r>(report: &'r Report<'_>, holder: &str) -> &'r str {
    report.names.get(holder).map_or("", |name| name)
}

fn sender_json(report: &Report<'_>) -> Value {
    json!({
        "verdict": sender_word(report.sender.verdict),
        "identity": report.sender.identity,
        "reasons": report.sender.reasons,
    })
}

/// For programs: one line.
pub(super) fn json(report: &Report<'_>) -> String {
    let claims: Vec<Value> = report
        .judged
        .iter()
        .map(|(claim, findings)| {
            let events: Vec<Value> = claim.events.iter().map(Some).chain(std::iter::repeat(None)).zip(findings).map(|(event, finding)| {
                let missing: Vec<&str> = finding.missing.iter().map(|missing| missing.name()).collect();
                let fact = |f: Option<String>| f;
                json!({
                    "verdict": word(finding.verdict),
                    "missing_field": match finding.verdict { Verdict::Uncheckable(m) => Some(m.name()), _ => None },
                    "not_stated": missing,
                    "address": fact(event.and_then(|e| e.address.as_ref()).map(|f| f.value.to_string())),
                    "port": event.and_then(|e| e.port.as_ref()).map(|f| f.value),
                    "times": event.and_then(|e| e.time.as_ref()).map(|f| {
                        f.value.meanings().iter().map(|m| [show(m.from), show(m.to)]).collect::<Vec<_>>()
                    }),
                    "holder": finding.holder.map(|h| shown(report, report.records.holder(h))),
                    "holders": finding.holders.iter().map(|h| shown(report, report.records.holder(*h))).collect::<Vec<_>>(),
                    "margin": finding.margin,
                    "reasons": finding.reasons,
                })
            }).collect();
            json!({
                "format": claim.format,
                "case": claim.case.as_ref().map(|case| printable(&case.value)),
                "claims_to_be": claim.complainant.as_ref().map(|name| printable(&name.value)),
                "events": events,
                "remarks": claim.remarks,
            })
        })
        .collect();
    let value = json!({
        "version": 1,
        "name": report.name,
        "received": show(report.received),
        "received_from": report.received_from,
        "sender": sender_json(report),
        "complainant": report.complainant,
        "contact": report.contact,
        "evidence": report.verdict.map(word),
        "claims": claims,
        "signs": report.signs,
        "leaks": report.leaks,
        "remarks": report.remarks,
        "exit_code": code(report),
    });
    format!("{value}\n")
}
