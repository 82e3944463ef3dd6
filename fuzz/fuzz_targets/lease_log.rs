//! Logs of the operator's: a damaged or foreign file must not bring the reader down. The first byte tells
//! the format.
#![no_main]

use check_notice::records::{Kind, Reading, SourceRules, Wanted, kind_of};
use check_notice::time::Interval;
use libfuzzer_sys::fuzz_target;

const KINDS: [Kind; 7] = [
    Kind::Dhcpd,
    Kind::DnsmasqLeases,
    Kind::DnsmasqLog,
    Kind::Kea,
    Kind::Radius,
    Kind::Nat,
    Kind::Nfdump,
];

fuzz_target!(|bytes: &[u8]| {
    let Some((first, text)) = bytes.split_first() else {
        return;
    };
    let _seen = kind_of("log", text);
    let mut rules = SourceRules::of(KINDS[usize::from(*first) % KINDS.len()]);
    rules.year = Some(2026);
    let address = std::net::IpAddr::from([192, 0, 2, 1]);
    let all = Interval::new(i64::MIN / 4, i64::MAX / 4);
    let wanted = Wanted::from([(address, vec![all])]);
    let mut reading = Reading::new(&wanted);
    // Twice the same part of one log: nothing may depend on that.
    rules.log = Some("log".to_owned());
    for name in ["log.1", "log"] {
        if reading.read(name, rules.clone(), text).is_err() {
            return;
        }
    }
    let Ok(records) = reading.finish() else {
        return;
    };
    for lease in records.leases(address, all) {
        assert!(lease.possible.from <= lease.possible.to);
        assert!(lease.sure.is_none_or(|sure| sure.from <= sure.to));
    }
    let _covered = records.logs[0].coverage.covers(Interval::new(0, 60));
});
