//! Records that cannot be read whole: a holder in a form of its own, a damaged row. Whoever they hide must not
//! turn a true complaint into a false one.

#![expect(clippy::unwrap_used, reason = "a test's way to fail")]

mod complaint;

use std::fmt::Write as _;

use check_notice::evidence::{Finding, Missing, Verdict};
use check_notice::records::{Kind, Reading, Records, SourceRules, Wanted};
use check_notice::time::{Interval, show};

use complaint::{ADDRESS, holder, judged_with};

/// 2026-03-02T00:00:00Z.
const DAY: i64 = 1_772_409_600;
const NOON: i64 = DAY + 12 * 3_600;
/// As dnsmasq writes the address of an InfiniBand port: its kind before it, 20 bytes.
const INFINIBAND: &str = "20-a0:00:02:20:fe:80:00:00:00:00:00:00:f4:52:14:03:00:7b:cb:a1";

fn records(kind: Kind, text: impl AsRef<[u8]>) -> Records {
    let mut rules = SourceRules::of(kind);
    rules.lease_s = Some(7_200);
    rules.complete = true;
    rules.gap_s = Some(3_600);
    rules.serves = vec!["203.0.113.0/24".parse().unwrap()];
    let all = Interval::new(0, 4_000_000_000);
    let wanted = Wanted::from([(ADDRESS.parse().unwrap(), vec![all])]);
    let mut reading = Reading::new(&wanted);
    reading.read("log", rules, text.as_ref()).unwrap();
    reading.finish().unwrap()
}

/// Judges a complaint about a second and a port.
fn judged(records: &Records, at: i64) -> Finding {
    judged_with(Some(6881), records, at)
}

fn named(records: &Records, at: i64) -> Option<&str> {
    holder(judged(records, at), records)
}

#[track_caller]
fn expect_own_records(finding: &Finding, word: &str) {
    let verdict = Verdict::Uncheckable(Missing::OwnRecords);
    assert_eq!(finding.verdict, verdict, "{:#?}", finding.reasons);
    let told = finding
        .reasons
        .iter()
        .any(|reason| reason.what.contains(word));
    assert!(told, "{word}: {:#?}", finding.reasons);
}

/// A log of dnsmasq with a sign of life each ten minutes, and a line at noon.
fn dnsmasq(line: &str) -> Records {
    let mut text = String::new();
    for step in 0..144 {
        let at = DAY + step * 600;
        let other = "DHCPACK(eth0) 203.0.113.250 02:00:00:00:00:ff other";
        writeln!(text, "{} gw dnsmasq-dhcp[7]: {other}", show(at)).unwrap();
        if at == NOON && !line.is_empty() {
            writeln!(text, "{} gw dnsmasq-dhcp[7]: {line}", show(at)).unwrap();
        }
    }
    records(Kind::DnsmasqLog, &text)
}

#[test]
fn a_holder_with_another_hardware_address_than_ethernet_s_is_one() {
    let at = NOON + 600;
    let log = dnsmasq(&format!("DHCPACK(ib0) {ADDRESS} {INFINIBAND} node7"));
    assert_eq!(named(&log, at).unwrap(), format!("client:{INFINIBAND}"));
    assert_eq!(log.sources[0].bad_lines, 0);
    // None was there before it came.
    assert_eq!(judged(&log, NOON - 3_600).verdict, Verdict::Contradicted);
    assert_eq!(judged(&dnsmasq(""), at).verdict, Verdict::Contradicted);
}

#[test]
fn a_holder_whom_a_lease_does_not_tell_from_others_is_a_stranger() {
    for hardware in [" <null> node7", ""] {
        let log = dnsmasq(&format!("DHCPACK(ib0) {ADDRESS}{hardware}"));
        expect_own_records(&judged(&log, NOON + 600), "stranger");
    }
    // Given back by somebody who cannot be read: it may be anybody's.
    let log = dnsmasq(&format!("DHCPRELEASE(ib0) {ADDRESS} <null> node7"));
    assert_eq!(judged(&log, NOON + 600).verdict, Verdict::Contradicted);
}

#[test]
fn a_line_about_no_address_that_can_be_read_is_a_hole() {
    let log = dnsmasq("DHCPACK(eth0) 203.0.113.\u{fffd} 02:00:00:00:00:07 node7");
    assert_eq!(log.sources[0].bad_lines, 1);
    for at in [NOON, NOON + 600, NOON + 7_200] {
        expect_own_records(&judged(&log, at), "cannot be read");
    }
    // Its lease was over by then.
    assert_eq!(judged(&log, NOON + 7_400).verdict, Verdict::Contradicted);
    assert_eq!(judged(&log, NOON - 600).verdict, Verdict::Contradicted);
    // The margin of another holder ends there.
    let log = dnsmasq(&format!(
        "DHCPACK(eth0) {ADDRESS} 02:00:00:00:00:07 node7\n{} gw dnsmasq-dhcp[7]: DHCPACK(eth0) x y z",
        show(NOON + 3_600)
    ));
    let finding = judged(&log, NOON + 600);
    assert_eq!(finding.verdict, Verdict::Consistent, "{finding:#?}");
    assert!(finding.margin.unwrap().after_s <= 3_000);
}

#[test]
fn leases_of_dhcpd_without_a_hardware_address_are_somebody_s() {
    let lease = |address: &str, step: i64, who: &str| {
        let time = |at: i64| format!("epoch {at}");
        let at = DAY + step * 600;
        format!(
            "lease {address} {{\n  starts {};\n  ends {};\n  binding state active;\n{who}}}\n",
            time(at),
            time(at + 7_200)
        )
    };
    let log = |who: &str, address: &str| {
        let mut text = String::new();
        for step in 0..144 {
            text += &lease(
                "203.0.113.250",
                step,
                "  hardware ethernet 02:00:00:00:00:ff;\n",
            );
            if step == 72 {
                text += &lease(address, step, who);
            }
        }
        records(Kind::Dhcpd, &text)
    };
    let infiniband = "  hardware infiniband a0:00:02:20:fe:80:00:00:00:00:00:00:f4:52:14:03;\n";
    assert_eq!(
        named(&log(infiniband, ADDRESS), NOON + 600).unwrap(),
        "client:infiniband a0:00:02:20:fe:80:00:00:00:00:00:00:f4:52:14:03"
    );
    let uid = "  uid \"\\377\\000\\003node7\";\n";
    assert_eq!(
        named(&log(uid, ADDRESS), NOON + 600).unwrap(),
        "client:uid \"\\377\\000\\003node7\""
    );
    expect_own_records(&judged(&log("", ADDRESS), NOON + 600), "stranger");
    let hole = log(uid, "203.0.113.x");
    expect_own_records(&judged(&hole, NOON + 600), "cannot be read");
    assert_eq!(judged(&hole, NOON - 600).verdict, Verdict::Contradicted);
}

/// Leases of dhcpd, one each ten minutes; what is made of the one at noon stands in its place, a block that
/// begins and ends with a line end.
fn dhcpd(made: impl Fn(&str) -> Vec<u8>) -> Records {
    let mut text = Vec::new();
    for step in 0..144 {
        let at = DAY + step * 600;
        let (address, last) = if step == 72 {
            (ADDRESS, "07")
        } else {
            ("203.0.113.250", "ff")
        };
        let block = format!(
            "lease {address} {{\n  starts epoch {at};\n  ends epoch {};\n  binding state active;\n  \
             hardware ethernet 02:00:00:00:00:{last};\n  client-hostname \"node\";\n}}\n",
            at + 7_200
        );
        text.extend(if step == 72 {
            made(&block)
        } else {
            block.into_bytes()
        });
    }
    records(Kind::Dhcpd, &text)
}

#[test]
fn leases_of_dhcpd_that_are_cut_or_damaged_are_holes() {
    let whole = dhcpd(|block| block.as_bytes().to_vec());
    assert_eq!(named(&whole, NOON + 600).unwrap(), "mac:02:00:00:00:00:07");
    let with = |from: &'static str, to: &'static [u8]| {
        dhcpd(move |block| {
            let at = block.find(from).unwrap();
            let rest = &block[at + from.len()..];
            [&block.as_bytes()[..at], to, rest.as_bytes()].concat()
        })
    };
    for (from, to) in [
        // Cut, with and without its hours.
        ("  client-hostname \"node\";\n}\n", &b""[..]),
        ("  starts epoch", b"lease"),
        // A line that is no text.
        ("lease 203", b"lease 2\xff3"),
        ("lease", b"le\xffse"),
        ("lease", b"leese"),
        ("starts", b"st\xffrts"),
        ("binding state active", b"binding st\xffte active"),
        ("hardware", b"h\xffrdware"),
        ("}", b"\xff"),
    ] {
        let hole = with(from, to);
        let case = format!("{from:?} {:?}", String::from_utf8_lossy(to));
        assert!(hole.sources[0].bad_lines > 0, "{case}");
        assert_eq!(named(&hole, NOON + 600), None, "{case}");
        let found = judged(&hole, NOON + 600);
        let verdict = Verdict::Uncheckable(Missing::OwnRecords);
        assert_eq!(found.verdict, verdict, "{case}");
        let before = judged(&hole, NOON - 3_600);
        assert_eq!(before.verdict, Verdict::Contradicted, "{case}");
    }
    // What is not read may be damaged.
    let known = with("\"node", b"\"n\xffde");
    assert_eq!(named(&known, NOON + 600).unwrap(), "mac:02:00:00:00:00:07");
    // Cut by the end of the file.
    let text = "lease 203.0.113.250 {\n  starts epoch 1772452800;\n  ends epoch 1772460000;\n  \
                binding state active;\n}\nlease 203.0.113.7 {\n  starts epoch 1772452800;\n";
    let cut = records(Kind::Dhcpd, text);
    assert_eq!(cut.sources[0].bad_lines, 1);
    expect_own_records(&judged(&cut, NOON), "cannot be read");
    // Braces and hours of other statements are no lost leases.
    let other = "failover peer \"x\" state {\n  my state normal at 1 2026/03/02 12:00:00;\n}\n\
                 host ada {\n  dynamic;\n  hardware ethernet 02:00:00:00:00:0a;\n}\n";
    assert_eq!(records(Kind::Dhcpd, other).sources[0].bad_lines, 0);
}

#[test]
fn leases_of_dnsmasq_without_an_end_and_those_of_ipv6_are_no_holes() {
    let file = |row: &str| {
        let mut text = String::new();
        for step in 0..144 {
            let end = DAY + step * 600 + 7_200;
            writeln!(text, "{end} 02:00:00:00:00:ff 203.0.113.250 other *").unwrap();
            if step == 72 {
                writeln!(text, "{row}").unwrap();
            }
        }
        records(Kind::DnsmasqLeases, &text)
    };
    for row in [
        "0 02:00:00:00:00:08 203.0.113.8 printer *",
        "1772460000 7 2001:db8::8 ada 00:01:00:01:2c:00:00:00:02:00:00:00:00:0a",
        "0 T7 2001:db8::9 * *",
        "duid 00:01:00:01:2c:00:00:00:02:00:00:00:00:01",
    ] {
        let log = file(row);
        assert_eq!(log.sources[0].bad_lines, 0, "{row}");
        let found = judged(&log, NOON);
        assert_eq!(found.verdict, Verdict::Contradicted, "{row}");
    }
    // Who holds it for ever may have begun at any time.
    let log = file("0 02:00:00:00:00:07 203.0.113.7 printer *");
    assert_ne!(judged(&log, NOON).verdict, Verdict::Contradicted);
    expect_own_records(&judged(&file("0 02:00"), NOON), "cannot be read");
}

#[test]
fn leases_of_kea_without_a_hardware_address_are_somebody_s() {
    let log = |row: &dyn Fn(i64) -> String| {
        let mut text = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context\n".to_owned();
        for step in 0..144 {
            let end = DAY + step * 600 + 7_200;
            writeln!(
                text,
                "203.0.113.250,02:00:00:00:00:ff,,7200,{end},1,0,0,,0,"
            )
            .unwrap();
            if step == 72 {
                writeln!(text, "{}", row(end)).unwrap();
            }
        }
        records(Kind::Kea, &text)
    };
    let known = log(&|end| format!("{ADDRESS},,ff:00:03,7200,{end},1,0,0,,0,"));
    assert_eq!(named(&known, NOON + 600).unwrap(), "client:ff:00:03");
    let unknown = log(&|end| format!("{ADDRESS},,,7200,{end},1,0,0,,0,"));
    expect_own_records(&judged(&unknown, NOON + 600), "stranger");
    for row in ["203.0.113.x,,ff:00:03,7200,END,1,0,0,,0,", "203.0"] {
        let hole = log(&|end| row.replace("END", &end.to_string()));
        expect_own_records(&judged(&hole, NOON + 600), "cannot be read");
        assert_eq!(judged(&hole, NOON - 7_200).verdict, Verdict::Contradicted);
    }
}

#[test]
fn accounting_of_an_address_that_cannot_be_read_is_a_hole() {
    let log = |address: &str| {
        let mut text = String::new();
        for step in 0..144 {
            let at = DAY + step * 600;
            let address = if step == 72 { address } else { "203.0.113.250" };
            write!(
                text,
                "Mon Mar  2 12:00:00 2026 UTC\n\tAcct-Status-Type = Stop\n\tAcct-Session-Time = 300\n\tAcct-Session-Id = \"{step}\"\n\
                 \tUser-Name = \"ada\"\n\tFramed-IP-Address = {address}\n\tEvent-Timestamp = {at}\n\n"
            )
            .unwrap();
        }
        let text = text.replace("Mon Mar  2 12:00:00 2026 UTC\n", "Mon\n");
        records(Kind::Radius, &text)
    };
    assert_eq!(
        judged(&log("203.0.113.251"), NOON).verdict,
        Verdict::Contradicted
    );
    let hole = log("203.0.113.x");
    assert_eq!(hole.sources[0].bad_lines, 1);
    expect_own_records(&judged(&hole, NOON), "cannot be read");
}

/// A table with a row each ten minutes, one more at noon, and then once more the head line.
fn table(kind: Kind, head: &str, row: &str, damaged: &str) -> Records {
    let mut text = format!("{head}\n");
    for step in 0..144 {
        let at = (DAY + step * 600).to_string();
        writeln!(text, "{}", row.replace("AT", &at)).unwrap();
        if step == 72 && !damaged.is_empty() {
            writeln!(text, "{}", damaged.replace("AT", &at)).unwrap();
        }
    }
    writeln!(text, "{head}").unwrap();
    records(kind, &text)
}

#[test]
fn rows_of_traffic_that_cannot_be_read_are_holes() {
    let nat = "start,end,proto,inside_ip,inside_port,outside_ip,outside_port";
    let flows = "ts,te,sa,da,sp,dp,pr";
    let cases: [(Kind, &str, &str, &[&str]); 2] = [
        (
            Kind::Nat,
            nat,
            "AT,AT,UDP,10.0.0.8,443,203.0.113.8,443",
            &[
                "AT,AT,UDP,10.0.0.7,6881,203.0.113.x,6881",
                "AT,AT,UDP,10.0.0.x,6881,203.0.113.7,6881",
                "AT,AT,UDP,10.0.0.7,6881,203.0.113.7,688x",
                "at,AT,UDP,10.0.0.7,6881,203.0.113.7,6881",
                "AT,AT,UDP",
            ],
        ),
        (
            Kind::Nfdump,
            flows,
            "AT,AT,203.0.113.8,192.0.2.1,443,7000,UDP",
            &[
                "AT,AT,203.0.113.x,192.0.2.1,6881,7000,UDP",
                "AT,AT,203.0.113.7,192.0.2.1,688x,7000,UDP",
                "AT,?,203.0.113.7,192.0.2.1,6881,7000,UDP",
                "?,AT,203.0.113.7,192.0.2.1,6881,7000,UDP",
            ],
        ),
    ];
    for (kind, head, row, damaged) in cases {
        let whole = table(kind, head, row, "");
        assert_eq!(whole.sources[0].bad_lines, 0, "{kind:?}");
        assert_eq!(judged(&whole, NOON).verdict, Verdict::Contradicted);
        for line in damaged {
            let hole = table(kind, head, row, line);
            assert_eq!(hole.sources[0].bad_lines, 1, "{line}");
            expect_own_records(&judged(&hole, NOON), "cannot be read");
            let before = judged(&hole, NOON - 4 * 3_600);
            assert_eq!(before.verdict, Verdict::Contradicted, "{line}");
        }
    }
    // What has no port, as ICMP, is not damaged.
    for port in ["0", "", "-", "8.0"] {
        let icmp = format!("AT,AT,ICMP,10.0.0.7,{port},203.0.113.7,{port}");
        let log = table(
            Kind::Nat,
            nat,
            "AT,AT,UDP,10.0.0.8,443,203.0.113.8,443",
            &icmp,
        );
        assert_eq!(log.sources[0].bad_lines, 0, "{port}");
        assert_eq!(judged(&log, NOON).verdict, Verdict::Contradicted);
    }
}
