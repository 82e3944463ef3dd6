//! The seconds around which a wrong person could be named: where leases change hands, clocks go back, and
//! logs pause. Every second is tried.

#![expect(clippy::unwrap_used, reason = "a test's way to fail")]

mod complaint;

use std::fmt::Write as _;

use check_notice::evidence::{Finding, Missing, Verdict, judge};
use check_notice::extract;
use check_notice::mail::Mail;
use check_notice::policy::Network;
use check_notice::records::{Kind, Reading, Records, SourceRules, Wanted};
use check_notice::time::show;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use complaint::{ADDRESS, holder, judged_with};

/// 2026-03-02T00:00:00Z.
const DAY: i64 = 1_772_409_600;
/// 2025-10-26T00:00:00Z; at 01:00 the clocks of Paris go from 03:00 back to 02:00.
const NIGHT: i64 = 1_761_436_800;

const ADA: &str = "02:00:00:00:00:0a";
const BOB: &str = "02:00:00:00:00:0b";

/// A log of dnsmasq with a sign of life each minute, and these events.
fn log(start: i64, zone: &TimeZone, events: &[(i64, &str, &str)]) -> String {
    let mut lines: Vec<(i64, String)> = (0..24 * 60)
        .map(|minute| {
            let text = "DHCPACK(eth0) 203.0.113.250 02:00:00:00:00:ff other";
            (start + minute * 60, text.to_owned())
        })
        .collect();
    for (at, word, who) in events {
        lines.push((*at, format!("{word}(eth0) {ADDRESS} {who} host")));
    }
    lines.sort();
    let mut text = String::new();
    for (at, line) in lines {
        let local = Timestamp::from_second(at).unwrap().to_zoned(zone.clone());
        let stamp = local.strftime("%b %e %H:%M:%S");
        writeln!(text, "{stamp} gw dnsmasq-dhcp[7]: {line}").unwrap();
    }
    text
}

fn records(text: &str, zone: &TimeZone, year: i16) -> Records {
    let mut rules = SourceRules::of(Kind::DnsmasqLog);
    rules.zone = zone.clone();
    rules.year = Some(year);
    rules.lease_s = Some(7_200);
    rules.serves = vec!["203.0.113.0/24".parse().unwrap()];
    let wanted = Wanted::new();
    let mut reading = Reading::new(&wanted);
    reading.read("log", rules, text.as_bytes()).unwrap();
    reading.finish().unwrap()
}

/// Judges a complaint about a second.
fn judged(records: &Records, at: i64) -> Finding {
    judged_with(None, records, at)
}

fn named(records: &Records, at: i64) -> Option<&str> {
    holder(judged(records, at), records)
}

#[test]
fn within_the_tolerance_of_a_change_of_hands_nobody_is_named() {
    let change = DAY + 12 * 3_600;
    for released in [false, true] {
        let mut events = vec![
            (change - 3_000, "DHCPACK", ADA),
            (change, "DHCPACK", BOB),
            (change + 3_000, "DHCPACK", BOB),
        ];
        if released {
            events.push((change, "DHCPRELEASE", ADA));
        }
        let records = records(&log(DAY, &TimeZone::UTC, &events), &TimeZone::UTC, 2026);
        for off in -40..=40 {
            let expected = match off {
                ..-10 => Some(format!("mac:{ADA}")),
                11.. => Some(format!("mac:{BOB}")),
                _ => None,
            };
            assert_eq!(
                named(&records, change + off).map(str::to_owned),
                expected,
                "{off} s"
            );
        }
        let finding = judged(&records, change);
        assert_eq!(
            finding.verdict,
            Verdict::Uncheckable(Missing::ClockAccuracy)
        );
        assert_eq!(finding.holders.len(), 2);
        // The margin says how near the other is.
        let margin = judged(&records, change - 60).margin.unwrap();
        assert!((50..=60).contains(&margin.after_s), "{margin:?}");
    }
}

#[test]
fn in_the_night_that_has_an_hour_twice_the_wrong_one_is_never_named() {
    let paris = TimeZone::get("Europe/Paris").unwrap();
    // Ada at 02:10, Bob at 02:50, Ada again at 02:20 an hour later by the sun.
    let (first, second, third) = (NIGHT + 600, NIGHT + 3_000, NIGHT + 3_600 + 1_200);
    let events = [
        (first, "DHCPACK", ADA),
        (second, "DHCPACK", BOB),
        (third, "DHCPACK", ADA),
    ];
    let records = records(&log(NIGHT - 12 * 3_600, &paris, &events), &paris, 2025);
    let mut uncheckable = 0;
    for at in (first..third + 7_200).step_by(7) {
        let truth = match at {
            _ if at < second => ADA,
            _ if at < third => BOB,
            _ => ADA,
        };
        match named(&records, at) {
            None => uncheckable += 1,
            Some(name) => assert_eq!(name, format!("mac:{truth}"), "{}", show(at)),
        }
        assert_ne!(
            judged(&records, at).verdict,
            Verdict::Contradicted,
            "{}",
            show(at)
        );
    }
    assert!(uncheckable > 0);
}

#[test]
fn a_pause_of_the_log_names_nobody_and_denies_nothing() {
    let change = DAY + 12 * 3_600;
    let events = [
        (change - 9_000, "DHCPACK", ADA),
        (change - 5_400, "DHCPACK", ADA),
        // Bob came, and the line is lost.
        (change + 3_600, "DHCPACK", BOB),
    ];
    let whole = log(DAY, &TimeZone::UTC, &events);
    let kept: String = whole
        .lines()
        .filter(|line| !("Mar  2 10:40".."Mar  2 11:30").contains(&&line[..12]))
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(kept.len() < whole.len());
    let (whole, kept) = (
        records(&whole, &TimeZone::UTC, 2026),
        records(&kept, &TimeZone::UTC, 2026),
    );
    let asked = DAY + 11 * 3_600;
    assert_eq!(named(&whole, asked).unwrap(), format!("mac:{ADA}"));
    for at in (asked - 1_100..asked + 1_700).step_by(11) {
        let finding = judged(&kept, at);
        assert_eq!(
            finding.verdict,
            Verdict::Uncheckable(Missing::OwnRecords),
            "{}",
            show(at)
        );
        assert_eq!(finding.holder, None);
    }
    // Nobody held it before Ada came, and the log shows that it was written then.
    assert_eq!(
        judged(&whole, DAY + 4 * 3_600).verdict,
        Verdict::Contradicted
    );
}

#[test]
fn a_stranger_whom_the_server_met_is_not_the_last_holder() {
    let at = DAY + 12 * 3_600;
    let events = [(at, "DHCPACK", ADA), (at + 5, "DHCPDECLINE", ADA)];
    let records = records(&log(DAY, &TimeZone::UTC, &events), &TimeZone::UTC, 2026);
    let finding = judged(&records, at + 600);
    assert_eq!(finding.verdict, Verdict::Uncheckable(Missing::OwnRecords));
    assert!(
        finding
            .reasons
            .iter()
            .any(|reason| reason.what.contains("stranger"))
    );
}

#[test]
fn hours_without_a_zone_are_not_guessed() {
    let wanted = Wanted::new();
    let read = |zone_stated, text: &str| {
        let rules = SourceRules {
            zone_stated,
            year: Some(2026),
            ..SourceRules::of(Kind::DnsmasqLog)
        };
        Reading::new(&wanted)
            .read("log", rules, text.as_bytes())
            .map_err(|error| error.to_string())
    };
    let line = |hour: &str| format!("{hour} gw dnsmasq-dhcp[7]: DHCPACK(eth0) {ADDRESS} {ADA} h\n");
    for bare in ["Mar  2 10:00:00", "2026-03-02T10:00:00"] {
        assert!(read(false, &line(bare)).unwrap_err().contains("set `zone`"));
        assert_eq!(read(true, &line(bare)), Ok(()));
    }
    assert_eq!(read(false, &line("2026-03-02T10:00:00+01:00")), Ok(()));
}

/// The one lease of a file of the present, from 10:20 to 14:20, and later signs of life.
#[test]
fn hours_of_which_no_record_tells_leave_everybody_unnamed() {
    let wanted = Wanted::new();
    let block = |address: &str, day: u8, from: &str, to: &str, who: &str| {
        format!(
            "lease {address} {{\n  starts 1 2026/03/{day:02} {from};\n  ends 1 2026/03/{day:02} {to};\n  \
             binding state active;\n  hardware ethernet {who};\n}}\n"
        )
    };
    let text = block(ADDRESS, 2, "10:20:00", "14:20:00", ADA)
        + &block("203.0.113.8", 3, "20:20:00", "23:20:00", BOB);
    let mut reading = Reading::new(&wanted);
    let rules = SourceRules::of(Kind::Dhcpd);
    reading
        .read("dhcpd.leases", rules, text.as_bytes())
        .unwrap();
    let records = reading.finish().unwrap();
    let finding = |hour: &str| {
        let mail = format!(
            "From: a@b.example\r\nSubject: Notice\r\n\r\nInfringement\r\nSource IP: {ADDRESS}\r\n\
             Timestamp: 2026-03-02 {hour}\r\n"
        );
        let network = Network {
            own: vec!["203.0.113.0/24".parse().unwrap()],
            tolerance_s: 5,
            ..Network::default()
        };
        let claims = extract::claims(&Mail::read(mail.into_bytes()).unwrap());
        judge(&claims[0], &records, &network, DAY + 7 * 86_400).remove(0)
    };
    assert!(finding("12:00:00 UTC").holder.is_some());
    let unnamed = finding("12:00:00");
    assert_eq!(unnamed.holder, None, "{unnamed:?}");
    assert_eq!(unnamed.verdict, Verdict::Uncheckable(Missing::OwnRecords));
}

#[test]
fn lines_without_a_year_are_not_guessed() {
    let rules = |year| SourceRules {
        year,
        ..SourceRules::of(Kind::DnsmasqLog)
    };
    let wanted = Wanted::new();
    let read = |year, text: &str| {
        Reading::new(&wanted)
            .read("log", rules(year), text.as_bytes())
            .map_err(|error| error.to_string())
    };
    let line =
        |day: &str| format!("{day} 10:00:00 gw dnsmasq-dhcp[7]: DHCPACK(eth0) {ADDRESS} {ADA} h\n");
    assert!(
        read(None, &line("Mar  2"))
            .unwrap_err()
            .contains("set `year`")
    );
    assert_eq!(read(Some(2026), &line("Mar  2")), Ok(()));
    let both = line("Dec 31") + &line("Jan  1");
    assert!(read(Some(2026), &both).unwrap_err().contains("New Year"));
}

#[test]
fn a_session_that_names_the_device_is_one_holder_with_its_lease() {
    let at = DAY + 12 * 3_600;
    let leases = log(
        DAY,
        &TimeZone::UTC,
        &[
            (at - 3_600, "DHCPACK", ADA),
            (at, "DHCPACK", ADA),
            (at + 3_600, "DHCPACK", ADA),
        ],
    );
    let mut sessions = String::new();
    for (kind, second, lasted) in [("Start", at - 3_000, 0), ("Stop", at + 3_000, 6_000)] {
        let local = Timestamp::from_second(second)
            .unwrap()
            .to_zoned(TimeZone::UTC);
        let stamp = local.strftime("%a %b %e %H:%M:%S %Y");
        writeln!(
            sessions,
            "{stamp}\n\tAcct-Status-Type = {kind}\n\tAcct-Session-Id = \"1\"\n\tUser-Name = \"ada\"\n\t\
             Framed-IP-Address = {ADDRESS}\n\tCalling-Station-Id = \"02-00-00-00-00-0A\"\n\tAcct-Session-Time = {lasted}\n"
        )
        .unwrap();
    }
    let wanted = Wanted::new();
    let mut reading = Reading::new(&wanted);
    let mut rules = SourceRules::of(Kind::DnsmasqLog);
    (rules.year, rules.lease_s) = (Some(2026), Some(7_200));
    rules.serves = vec!["203.0.113.0/24".parse().unwrap()];
    reading.read("leases", rules, leases.as_bytes()).unwrap();
    let rules = SourceRules::of(Kind::Radius);
    reading.read("detail", rules, sessions.as_bytes()).unwrap();
    let records = reading.finish().unwrap();
    assert_eq!(
        named(&records, at),
        Some("user:ada"),
        "{:?}",
        judged(&records, at)
    );
}
