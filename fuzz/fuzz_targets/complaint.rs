//! A mail of anybody: header, parts, complaint formats, signatures, signs; judged without records.
#![no_main]

use check_notice::evidence;
use check_notice::extract;
use check_notice::mail::Mail;
use check_notice::policy::Network;
use check_notice::records::Records;
use check_notice::sender::keys::KeyFile;
use check_notice::sender::{Trust, believed, judge, programs};
use check_notice::signs;
use libfuzzer_sys::fuzz_target;

/// 2026-06-01.
const RECEIVED: i64 = 1_780_272_000;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mail) = Mail::read(bytes.to_vec()) else {
        return;
    };
    let trust = Trust {
        authserv_ids: vec!["mx.net.example".to_owned()],
        border: vec!["mx.net.example".to_owned()],
        recipients: vec!["abuse@net.example".to_owned()],
        arc_sealers: vec!["lists.example".to_owned()],
        ..Trust::default()
    };
    let keys = KeyFile::read("s._domainkey.a.example v=DKIM1; k=rsa; p=AAAA\n");
    let sender = judge(&mail, &trust, &keys, &[], &[], RECEIVED);
    assert!(sender.identity.is_none() || !believed(&mail, &trust).is_empty());
    let _signed = programs::signed(&mail);
    let claims = extract::claims(&mail);
    for claim in &claims {
        for finding in evidence::judge(claim, &Records::default(), &Network::default(), RECEIVED) {
            assert!(finding.holder.is_none());
        }
    }
    let _signs = signs::look(&mail, &claims, &sender, RECEIVED, &trust.recipients);
});
