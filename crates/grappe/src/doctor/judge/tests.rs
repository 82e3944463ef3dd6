//! Each finding from the facts that make it.

use grappe_os::udp::Interface;
use grappe_proto::wire::examine::{Here, Measured, Phase};

use super::*;
use crate::network::{ANNOUNCE_GROUP, Network, PORT, TTL};

fn local() -> LocalFacts {
    let interface = Interface {
        name: "e0".into(),
        index: 2,
        address: [10, 0, 0, 1].into(),
        mtu: 1500,
        is_loopback: false,
    };
    LocalFacts {
        network: Network {
            interface,
            group: ANNOUNCE_GROUP.into(),
            port: PORT,
            ttl: TTL,
        },
        is_multicast: Some(true),
        is_wireless: false,
        speed_mbit: Some(1000),
        route: Ok("e0".into()),
        qdisc: Some("fq_codel".into()),
        receive_buffer: Some((64 << 20, 64 << 20)),
        echo: Ok(true),
        querier: Querier::Heard([10, 0, 0, 254].into()),
    }
}

const SENT: [(Purpose, u32); 4] = [
    (Purpose::Small, 20),
    (Purpose::Full, 20),
    (Purpose::Calm, 400),
    (Purpose::Rate(1_000_000_000), 5_000),
];

/// A node to which everything came but for what `change` does to the counts.
fn node(name: &str, change: impl FnOnce(&mut Measured)) -> NodeFacts {
    let phases = SENT.iter().map(|(_, packets)| Phase {
        packets: *packets,
        bytes: u64::from(*packets) * 1469,
        span_us: 60_000,
    });
    let mut last = Measured {
        phases: phases.collect(),
        dropped: 0,
        interface_bytes: Some(900_000),
    };
    change(&mut last);
    let bytes = |bytes| Measured {
        interface_bytes: Some(bytes),
        ..Measured::default()
    };
    NodeFacts {
        name: name.into(),
        is_own: false,
        here: Here {
            interface: "eth0".into(),
            mtu: 1500,
            receive_buffer: (64 << 20, 64 << 20),
            ..Here::default()
        },
        clock_ahead_us: 30,
        measured: vec![bytes(0), bytes(2_000), bytes(700_000), bytes(702_000), last],
    }
}

fn examination(nodes: Vec<NodeFacts>) -> Examination {
    let phases = SENT.iter().map(|(purpose, packets)| SentPhase {
        purpose: *purpose,
        packet_bytes: if *purpose == Purpose::Small { 92 } else { 1497 },
        packets: *packets,
    });
    Examination {
        nodes,
        phases: phases.collect(),
        flood_bytes: 1 << 20,
        ..Examination::default()
    }
}

/// What is told beyond what is as it should be.
fn told(local: &LocalFacts, examination: Option<&Examination>) -> Vec<(&'static str, Level)> {
    let findings = judge(local, examination).into_iter();
    let remarkable = findings.filter(|finding| finding.level > Level::Good);
    remarkable
        .map(|finding| (finding.check, finding.level))
        .collect()
}

#[test]
fn a_healthy_cluster_has_nothing_to_be_told() {
    let all = examination(vec![node("n1", |_| {}), node("n2", |_| {})]);
    assert_eq!(told(&local(), Some(&all)), []);
    let ways = judge(&local(), Some(&all));
    let ways: Vec<_> = ways
        .iter()
        .filter(|finding| finding.check == "way")
        .collect();
    assert_eq!(ways.len(), 2);
    assert!(ways[0].text.contains("998 Mbit/s"), "{}", ways[0].text);
}

#[test]
fn each_fault_of_this_node_is_found_alone_and_has_its_command() {
    type Change = fn(&mut LocalFacts);
    let faults: [(Change, &str, Level, &str); 8] = [
        (
            |facts| facts.network.interface.mtu = 1400,
            "mtu",
            Level::Bad,
            "ip link set dev e0 mtu",
        ),
        (
            |facts| facts.is_multicast = Some(false),
            "interface",
            Level::Bad,
            "multicast on",
        ),
        (
            |facts| facts.is_wireless = true,
            "interface",
            Level::Bad,
            "--interface",
        ),
        (
            |facts| facts.route = Ok("eth9".into()),
            "route",
            Level::Note,
            "ip route add",
        ),
        (
            |facts| facts.qdisc = Some("tbf".into()),
            "qdisc",
            Level::Note,
            "tc -s qdisc",
        ),
        (
            |facts| facts.receive_buffer = Some((425_984, 64 << 20)),
            "buffers",
            Level::Bad,
            "net.core.rmem_max=33554432",
        ),
        (
            |facts| facts.echo = Ok(false),
            "firewall",
            Level::Bad,
            "239.255.0.0/16",
        ),
        (
            |facts| facts.querier = Querier::Silent,
            "querier",
            Level::Note,
            "mcast_querier 1",
        ),
    ];
    for (change, check, level, command) in faults {
        let mut facts = local();
        change(&mut facts);
        assert_eq!(told(&facts, None), [(check, level)]);
        let findings = judge(&facts, None);
        let advice = findings.iter().find_map(|finding| finding.advice.clone());
        assert!(advice.unwrap().contains(command), "{check}");
    }
}

#[test]
fn a_missing_querier_is_bad_only_where_the_switch_snoops() {
    let mut facts = local();
    facts.querier = Querier::Silent;
    let quiet = examination(vec![node("n1", |_| {})]);
    assert_eq!(told(&facts, Some(&quiet)), [("querier", Level::Bad)]);
    let mut flooded = node("n1", |_| {});
    flooded.measured[3].interface_bytes = Some(700_000 + (1 << 20));
    let flooded = examination(vec![flooded]);
    let expected = [("querier", Level::Note), ("flooding", Level::Note)];
    assert_eq!(told(&facts, Some(&flooded)), expected);
}

#[test]
fn a_deaf_node_is_told_from_a_network_that_drops() {
    let deaf = |measured: &mut Measured| measured.phases.clear();
    // 630 kB were sent, and 698 kB came to the interface.
    let behind_a_firewall = examination(vec![node("n1", deaf)]);
    assert_eq!(
        told(&local(), Some(&behind_a_firewall)),
        [("firewall", Level::Bad)]
    );
    let mut cut_off = node("n1", deaf);
    cut_off.measured[2].interface_bytes = Some(4_000);
    cut_off.measured[3].interface_bytes = Some(4_000);
    assert_eq!(
        told(&local(), Some(&examination(vec![cut_off]))),
        [("multicast", Level::Bad)]
    );
}

#[test]
fn what_this_host_hears_of_itself_is_no_measure_of_the_network() {
    let mut facts = local();
    facts.querier = Querier::Silent;
    let own = |change: fn(&mut Measured)| NodeFacts {
        is_own: true,
        ..node("n1", change)
    };
    // Alone it says nothing of a switch, although no flood came by its interface.
    let alone = examination(vec![own(|_| {})]);
    let expected = [("querier", Level::Note), ("nodes", Level::Note)];
    assert_eq!(told(&facts, Some(&alone)), expected);
    // No link is as fast, and the others are not slow for that.
    let faster = own(|measured| measured.phases[3].span_us = 6_000);
    let both = examination(vec![faster, node("n2", |_| {})]);
    assert_eq!(told(&local(), Some(&both)), []);
    // What it does not hear was dropped here.
    let deaf = own(|measured| measured.phases.clear());
    let findings = judge(&local(), Some(&examination(vec![deaf, node("n2", |_| {})])));
    let bad = findings.iter().find(|finding| finding.level == Level::Bad);
    assert_eq!(bad.map(|finding| finding.check), Some("firewall"));
    assert!(!bad.unwrap().advice.as_ref().unwrap().contains("there: "));
}

#[test]
fn what_is_wrong_with_a_node_is_told_with_its_name() {
    let lossy = node("n1", |measured| measured.phases[2].packets = 390);
    let slow = node("n2", |measured| measured.phases[3].span_us = 600_000);
    let small = node("n3", |measured| {
        measured.phases[1..].fill(Phase::default());
    });
    let mut late = node("n4", |_| {});
    late.clock_ahead_us = -3_000_000;
    late.here.receive_buffer = (425_984, 64 << 20);
    let all = examination(vec![lossy, slow, small, late]);
    let findings = judge(&local(), Some(&all));
    let of = |name: &str| {
        let findings = findings
            .iter()
            .filter(|finding| finding.level > Level::Good);
        let own = findings.filter(|finding| finding.node.as_deref() == Some(name));
        own.map(|finding| finding.check).collect::<Vec<_>>()
    };
    assert_eq!(of("n1"), ["way"]);
    assert_eq!(of("n2"), ["way"]);
    assert_eq!(of("n3"), ["mtu"]);
    assert_eq!(of("n4"), ["clock", "buffers"]);
}

#[test]
fn advice_is_for_the_version_of_ip_that_copies_travel_by() {
    let advice = |group: IpAddr| {
        let mut facts = local();
        facts.network.group = group;
        facts.route = Err("no route".into());
        facts.echo = Ok(false);
        let mut cut_off = node("n1", |measured| measured.phases.clear());
        cut_off.measured[2].interface_bytes = Some(4_000);
        let mut all = examination(vec![cut_off]);
        let absent = |why| Absent {
            name: "n9".into(),
            why,
        };
        all.absent = vec![absent(Why::Nameless), absent(Why::Silent)];
        let findings = judge(&facts, Some(&all)).into_iter();
        let text = findings.map(|it| format!("{}; {}\n", it.text, it.advice.unwrap_or_default()));
        text.collect::<String>()
    };
    let six = advice(crate::network::ANNOUNCE_GROUP_V6.into());
    let of_six = "ip -6 route add multicast ff15::/16 dev e0 table local";
    for words in [of_six, "no IPv6 address", "here: ip6tables", "MLD snooping"] {
        assert!(six.contains(words), "{six}");
    }
    for words in ["IPv4", " iptables", "224.0.0.0", "IGMP"] {
        assert!(!six.contains(words), "{words} in {six}");
    }
    let four = advice(ANNOUNCE_GROUP.into());
    for words in ["IPv6", "ip6tables", "ip -6", "MLD"] {
        assert!(!four.contains(words), "{words} in {four}");
    }
}

#[test]
fn nodes_that_do_not_answer_say_what_is_known() {
    let absent = |why| Absent {
        name: "n9".into(),
        why,
    };
    let mut all = examination(Vec::new());
    all.absent = vec![
        absent(Why::Nameless),
        absent(Why::NotListening),
        absent(Why::Silent),
        absent(Why::Unresolved),
    ];
    all.untrusted = vec![([10, 0, 0, 7].into(), "SHA256:abc".into())];
    let findings = judge(&local(), Some(&all));
    let bad = findings
        .iter()
        .filter(|finding| finding.level == Level::Bad);
    let advice: Vec<_> = bad.map(|finding| finding.advice.clone().unwrap()).collect();
    assert_eq!(advice.len(), 5);
    assert!(advice[0].contains("--trust") && advice[2].contains("grappe receive --into"));
    assert!(advice[4].contains("DNS"));
}
