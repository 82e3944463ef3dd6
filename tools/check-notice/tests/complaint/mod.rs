//! A complaint about one address at one second, judged by a provider whose clocks are right within five
//! seconds. The records that it meets are made by each test.

use check_notice::evidence::{Finding, judge};
use check_notice::extract;
use check_notice::mail::Mail;
use check_notice::policy::Network;
use check_notice::records::Records;
use check_notice::time::show;

/// The address of the complaint.
pub(crate) const ADDRESS: &str = "203.0.113.7";

/// Judges a complaint about the second `at` and, where records tell them apart, a port.
pub(crate) fn judged_with(port: Option<u16>, records: &Records, at: i64) -> Finding {
    let port = port.map_or_else(String::new, |port| format!("Source Port: {port}\r\n"));
    let mail = format!(
        "From: a@b.example\r\nSubject: Notice\r\n\r\nInfringement\r\nSource IP: {ADDRESS}\r\n{port}\
         Timestamp: {}\r\n",
        show(at)
    );
    let network = Network {
        own: vec!["203.0.113.0/24".parse().unwrap()],
        tolerance_s: 5,
        log_tolerance_s: 5,
        ..Network::default()
    };
    let claims = extract::claims(&Mail::read(mail.into_bytes()).unwrap());
    judge(&claims[0], records, &network, at + 86_400).remove(0)
}

/// Whom the finding names.
pub(crate) fn holder(finding: Finding, records: &Records) -> Option<&str> {
    finding.holder.map(|holder| records.holder(holder))
}
