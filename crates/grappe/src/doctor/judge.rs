//! What the facts mean, and what to do: pure, so that each finding has its test.

use std::net::IpAddr;

use super::{
    Absent, Examination, Finding, Level, LocalFacts, NodeFacts, Purpose, Querier, SentPhase, Why,
};
use crate::network::packet_bytes;

#[cfg(test)]
mod tests;

/// The kernel's count of a buffer that bears a late processor for some milliseconds.
const BUFFER_ENOUGH: u64 = 8 << 20;

/// Loss that a calm link does not have.
const LOSS_PER_MILLE_MAX: u32 = 2;

/// Of what was flooded, the part that must show at an interface to be no other traffic.
const FLOOD_SHARE: f64 = 0.7;

/// Clocks further apart than this make times of files and logs hard to compare.
const CLOCK_MAX_US: u64 = 2_000_000;

/// A node that takes less than this share of the fastest is sent apart by a copy.
const SLOW_SHARE: f64 = 0.4;

/// What is to be told, in the order of a reader's questions: this node, the network, the others.
pub fn judge(local: &LocalFacts, examination: Option<&Examination>) -> Vec<Finding> {
    let mut findings = vec![interface(local), route(local), mtu(local), qdisc(local)];
    findings.push(buffer(local));
    findings.push(echo(local));
    let is_network = !local.network.interface.is_loopback;
    let floods = examination.filter(|_| is_network).and_then(floods);
    findings.push(querier(local, floods));
    if let Some(examination) = examination {
        nodes(local, examination, floods, &mut findings);
    }
    findings
}

/// A finding about this node.
fn here(
    check: &'static str,
    level: Level,
    text: impl Into<String>,
    advice: Option<String>,
) -> Finding {
    Finding {
        check,
        node: None,
        level,
        text: text.into(),
        advice,
    }
}

fn interface(local: &LocalFacts) -> Finding {
    let interface = &local.network.interface;
    let name = &interface.name;
    let speed = match local.speed_mbit {
        Some(mbit) => format!(", {mbit} Mbit/s"),
        None => String::new(),
    };
    let shown = format!("{name} ({}){speed}", interface.address);
    let check = "interface";
    if interface.is_loopback {
        let advice = "name the cluster's network with --interface".into();
        return here(
            check,
            Level::Note,
            format!("{shown} leads to this host only"),
            Some(advice),
        );
    }
    if local.is_multicast == Some(false) {
        let advice = format!("ip link set dev {name} multicast on");
        return here(
            check,
            Level::Bad,
            format!("{shown} may not send multicast"),
            Some(advice),
        );
    }
    if local.is_wireless {
        let text =
            format!("{shown} is a radio, which sends multicast slowly and without repetition");
        let advice = "name a wired interface with --interface".into();
        return here(check, Level::Bad, text, Some(advice));
    }
    here(check, Level::Good, shown, None)
}

fn route(local: &LocalFacts) -> Finding {
    let (group, name) = (local.network.group, &local.network.interface.name);
    let advice = Some(match group {
        IpAddr::V4(_) => format!("ip route add 224.0.0.0/4 dev {name}"),
        // Beside the routes of ff00::/8 that the kernel gives each interface (ip-route(8)).
        IpAddr::V6(_) => {
            let groups = groups(group);
            format!("ip -6 route add multicast {groups} dev {name} table local")
        }
    });
    match &local.route {
        Ok(chosen) if chosen == name => here(
            "route",
            Level::Good,
            format!("{group} goes by {name}"),
            None,
        ),
        Ok(chosen) => here(
            "route",
            Level::Note,
            format!("without --interface, {group} would go by {chosen}, not {name}"),
            advice,
        ),
        Err(reason) => here("route", Level::Note, reason.clone(), advice),
    }
}

fn mtu(local: &LocalFacts) -> Finding {
    let interface = &local.network.interface;
    let needed = packet_bytes(interface.family());
    if interface.mtu < needed {
        let text = format!(
            "{} takes packets of {} bytes, a copy needs {needed}",
            interface.name, interface.mtu
        );
        let advice = format!("ip link set dev {} mtu 1500", interface.name);
        return here("mtu", Level::Bad, text, Some(advice));
    }
    here("mtu", Level::Good, format!("{} bytes", interface.mtu), None)
}

fn qdisc(local: &LocalFacts) -> Finding {
    let name = &local.network.interface.name;
    match local.qdisc.as_deref() {
        None => here(
            "qdisc",
            Level::Note,
            "unknown: `tc` is not there, or does not say",
            None,
        ),
        Some(shaper @ ("tbf" | "htb" | "hfsc" | "cbq" | "netem" | "cake")) => here(
            "qdisc",
            Level::Note,
            format!("{shaper} limits or delays what leaves by {name}"),
            Some(format!("look at it: tc -s qdisc show dev {name}")),
        ),
        Some(plain) => here("qdisc", Level::Good, plain, None),
    }
}

fn buffer(local: &LocalFacts) -> Finding {
    match local.receive_buffer {
        Some(buffer) => buffer_finding(None, buffer),
        None => here(
            "buffers",
            Level::Note,
            "unknown: no socket could join a group",
            None,
        ),
    }
}

fn buffer_finding(node: Option<String>, (granted, wanted): (u64, u64)) -> Finding {
    // The kernel counts twice what was asked for.
    let (granted, wanted) = (granted / 2, wanted / 2);
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let advice = format!(
        "sysctl -w net.core.rmem_max={wanted}; and in /etc/sysctl.d/grappe.conf: \
         net.core.rmem_max = {wanted}"
    );
    let (level, text, advice) = if granted >= wanted {
        (Level::Good, format!("sockets get {}", mib(granted)), None)
    } else if 2 * granted >= BUFFER_ENOUGH {
        let text = format!(
            "sockets get {} of {}, which is enough on most days",
            mib(granted),
            mib(wanted)
        );
        (Level::Good, text, None)
    } else {
        let text = format!(
            "sockets get {} of {}: packets are lost whenever the processor is late",
            mib(granted),
            mib(wanted)
        );
        (Level::Bad, text, Some(advice))
    };
    Finding {
        check: "buffers",
        node,
        level,
        text,
        advice,
    }
}

fn echo(local: &LocalFacts) -> Finding {
    let name = &local.network.interface.name;
    match &local.echo {
        Ok(true) => here(
            "firewall",
            Level::Good,
            "lets a group's packets out and in",
            None,
        ),
        Ok(false) => here(
            "firewall",
            Level::Bad,
            format!(
                "a packet to a group did not come back by {name}: a rule of this node drops it"
            ),
            Some(firewall_advice(local)),
        ),
        Err(reason) => here(
            "firewall",
            Level::Bad,
            format!("a packet to a group could not leave by {name}: {reason}"),
            Some(format!(
                "look for rules for packets that leave by {name}: nft list ruleset"
            )),
        ),
    }
}

/// The rules that let copies in; shown for nftables' and iptables' users alike.
fn firewall_advice(local: &LocalFacts) -> String {
    let port = local.network.port;
    let groups = groups(local.network.group);
    let program = iptables(local);
    let family = match local.network.group {
        IpAddr::V4(_) => "ip",
        IpAddr::V6(_) => "ip6",
    };
    format!(
        "{program} -I INPUT -p udp -d {groups} --dport {port} -j ACCEPT (nftables: \
         {family} daddr {groups} udp dport {port} accept)"
    )
}

/// The program for the firewall of this version of IP.
fn iptables(local: &LocalFacts) -> &'static str {
    match local.network.group {
        IpAddr::V4(_) => "iptables",
        IpAddr::V6(_) => "ip6tables",
    }
}

/// The groups that copies of this one's network go to, and a few more.
fn groups(group: IpAddr) -> String {
    match group {
        IpAddr::V4(group) => {
            let [first, second, ..] = group.octets();
            format!("{first}.{second}.0.0/16")
        }
        IpAddr::V6(group) => {
            let [first, ..] = group.segments();
            format!("{first:x}::/16")
        }
    }
}

/// What switches listen to, to know the members of a group.
fn snooping(local: &LocalFacts) -> &'static str {
    match local.network.group {
        IpAddr::V4(_) => "IGMP",
        IpAddr::V6(_) => "MLD",
    }
}

fn querier(local: &LocalFacts, floods: Option<bool>) -> Finding {
    let enable = || {
        Some(
            "turn one on: a switch's `ip igmp snooping querier`, or for a Linux bridge: ip link set dev \
             BRIDGE type bridge mcast_querier 1"
                .into(),
        )
    };
    match (&local.querier, floods) {
        (Querier::Heard(address), _) if address.is_unspecified() => here(
            "querier",
            Level::Good,
            "a switch without an address asks for members",
            None,
        ),
        (Querier::Heard(address), _) => here(
            "querier",
            Level::Good,
            format!("{address} asks for members"),
            None,
        ),
        (Querier::Silent, Some(true)) => here(
            "querier",
            Level::Note,
            "nobody asks for members; none is needed as long as the switch floods",
            None,
        ),
        (Querier::Silent, Some(false)) => here(
            "querier",
            Level::Bad,
            "nobody asks for members, but the switch sends to members only: it forgets them after 260 s",
            enable(),
        ),
        (Querier::Silent, None) => here(
            "querier",
            Level::Note,
            "nobody asks for members: a switch that snoops forgets them after 260 s",
            enable(),
        ),
        (Querier::Unknown(reason), _) => {
            here("querier", Level::Note, format!("unknown: {reason}"), None)
        }
    }
}

/// Whether packets to a group that nobody joined reached any node's interface; unknown without nodes
/// that can tell.
fn floods(examination: &Examination) -> Option<bool> {
    let others = examination.nodes.iter().filter(|node| !node.is_own);
    let rises = others.filter_map(|node| {
        let bytes = |index: usize| node.measured.get(index)?.interface_bytes;
        let quiet = bytes(1)?.saturating_sub(bytes(0)?);
        let flood = bytes(3)?.saturating_sub(bytes(2)?);
        Some(flood.saturating_sub(quiet) as f64)
    });
    let largest = rises.fold(None, |largest: Option<f64>, rise| {
        Some(largest.map_or(rise, |largest| largest.max(rise)))
    })?;
    if examination.flood_bytes == 0 {
        return None;
    }
    Some(largest >= FLOOD_SHARE * examination.flood_bytes as f64)
}

fn nodes(
    local: &LocalFacts,
    examination: &Examination,
    floods: Option<bool>,
    findings: &mut Vec<Finding>,
) {
    match floods {
        Some(true) => findings.push(here(
            "flooding",
            Level::Note,
            "packets to a group that nobody joined reach the nodes: every port of the network carries \
             every copy",
            Some(format!(
                "turn on {} snooping together with a querier, or give the cluster a network of its own",
                snooping(local)
            )),
        )),
        Some(false) => findings.push(here(
            "flooding",
            Level::Good,
            "packets to a group that nobody joined do not reach the nodes",
            None,
        )),
        None => {}
    }
    for (address, key) in &examination.untrusted {
        findings.push(Finding {
            check: "key",
            node: Some(address.to_string()),
            level: Level::Bad,
            text: format!("its key {key} is not trusted here to receive"),
            advice: Some(
                "put its .pub line into the file of --trust, or the same key file on both".into(),
            ),
        });
    }
    findings.extend(
        examination
            .absent
            .iter()
            .map(|absent| missing(local, absent)),
    );
    // What this host hears of itself passes no link.
    let fastest = examination
        .nodes
        .iter()
        .filter(|node| !node.is_own)
        .filter_map(|node| knee(node, &examination.phases))
        .max();
    for node in &examination.nodes {
        node_findings(local, node, examination, fastest, findings);
    }
    if examination.nodes.iter().all(|node| node.is_own) && examination.absent.is_empty() {
        let who = match examination.nodes.is_empty() {
            true => "no node",
            false => "no other node",
        };
        findings.push(here(
            "nodes",
            Level::Note,
            format!("{who} answered: what lies between this node and others was not looked at"),
            Some("run `grappe receive` there, and name them with --nodes".into()),
        ));
    }
}

fn missing(local: &LocalFacts, absent: &Absent) -> Finding {
    let program = iptables(local);
    let version = match local.network.group {
        IpAddr::V4(_) => "IPv4",
        IpAddr::V6(_) => "IPv6",
    };
    let (text, advice) = match absent.why {
        Why::Nameless => (
            format!("its name has no {version} address, and it did not hear the announcement"),
            "write it into DNS or /etc/hosts, and run `grappe receive` there".into(),
        ),
        Why::Unresolved => (
            "its name could not be looked up in time, and it did not hear the announcement".into(),
            "see why DNS does not answer (/etc/resolv.conf), or write it into /etc/hosts; and run \
             `grappe receive` there"
                .into(),
        ),
        Why::NotListening => (
            format!("nothing listens there at UDP port {}", local.network.port),
            "run `grappe receive --into DIR` there, or start it for each copy with NODESET:DIR".into(),
        ),
        Why::Silent => (
            "did not answer: it is off, does not trust this node's key, has a release of grappe with \
             another protocol, or a firewall drops UDP to it or TCP to this node"
                .into(),
            format!(
                "see there whether `grappe receive` runs and says `ignored`, and what `grappe --version` \
                 says; here: {program} -I INPUT -p \
                 tcp -s ITS-ADDRESS -j ACCEPT; there: {program} -I INPUT -p udp --dport {} -j ACCEPT",
                local.network.port
            ),
        ),
    };
    Finding {
        check: "nodes",
        node: Some(absent.name.clone()),
        level: Level::Bad,
        text,
        advice: Some(advice),
    }
}

fn node_findings(
    local: &LocalFacts,
    node: &NodeFacts,
    examination: &Examination,
    fastest: Option<u64>,
    findings: &mut Vec<Finding>,
) {
    let about = |check, level, text: String, advice: Option<String>| Finding {
        check,
        node: Some(node.name.clone()),
        level,
        text,
        advice,
    };
    let ahead = node.clock_ahead_us;
    if ahead.unsigned_abs() > CLOCK_MAX_US {
        let text = format!("its clock is {:+.1} s from this one's", ahead as f64 / 1e6);
        let advice = "let chrony or systemd-timesyncd keep both: timedatectl set-ntp true".into();
        findings.push(about("clock", Level::Note, text, Some(advice)));
    }
    let buffer = buffer_finding(Some(node.name.clone()), node.here.receive_buffer);
    if buffer.level > Level::Good {
        findings.push(buffer);
    }
    let phases = &examination.phases;
    if arrived(node, phases, Purpose::Small) == Some(0) {
        findings.push(deaf(local, node, examination));
        return;
    }
    if arrived(node, phases, Purpose::Full) == Some(0) {
        let text = format!(
            "packets of {} bytes do not arrive, small ones do: something on the way takes less \
             (its {} takes {})",
            packet_bytes(local.network.interface.family()),
            node.here.interface,
            node.here.mtu
        );
        let advice = format!("there: ip link set dev {} mtu 1500", node.here.interface);
        findings.push(about("mtu", Level::Bad, text, Some(advice)));
        return;
    }
    if arrived(node, phases, Purpose::Jumbo) == Some(0) {
        let text = format!(
            "packets as large as this node's MTU of {} do not arrive; its {} has {}",
            local.network.interface.mtu, node.here.interface, node.here.mtu
        );
        findings.push(about(
            "mtu",
            Level::Note,
            text,
            Some("give all nodes and switches one MTU".into()),
        ));
    }
    findings.push(way(node, phases, fastest));
}

/// A node that is connected and hears nothing of the group.
fn deaf(local: &LocalFacts, node: &NodeFacts, examination: &Examination) -> Finding {
    let bytes = |index: usize| node.measured.get(index)?.interface_bytes;
    let rise = |from, to| Some(bytes(to)?.saturating_sub(bytes(from)?));
    let sent: u64 = examination
        .phases
        .iter()
        .filter(|phase| !matches!(phase.purpose, Purpose::Rate(_)))
        .map(|phase| u64::from(phase.packets) * u64::from(phase.packet_bytes))
        .sum();
    let at_interface = rise(1, 2).is_some_and(|rise| rise as f64 >= FLOOD_SHARE * sent as f64);
    let (check, text, advice) = if node.is_own {
        let text =
            "hears nothing of the group, although it runs here: a rule of this node drops it";
        ("firewall", text, firewall_advice(local))
    } else if at_interface {
        let text = "the group's packets reach its interface and are dropped there: by its firewall, or \
                    by rp_filter where the way back is another interface";
        (
            "firewall",
            text,
            format!("there: {}", firewall_advice(local)),
        )
    } else {
        let text = "hears nothing of the group, which does not reach its interface: the network between \
                    drops multicast";
        let snooping = snooping(local);
        let advice = format!(
            "on the switches: {snooping} snooping only together with a querier, no storm control for \
             multicast, both nodes in one VLAN"
        );
        ("multicast", text, advice)
    };
    Finding {
        check,
        node: Some(node.name.clone()),
        level: Level::Bad,
        text: text.into(),
        advice: Some(advice),
    }
}

/// How much gets through to a node that hears the group.
fn way(node: &NodeFacts, phases: &[SentPhase], fastest: Option<u64>) -> Finding {
    let knee = knee(node, phases);
    let shown = match knee {
        Some(rate) => format!("{} Mbit/s get through", rate / 1_000_000),
        None => "the rate was not measured".into(),
    };
    let (sent, received) = calm(node, phases);
    let lost = u64::from(sent.saturating_sub(received));
    let dropped = node.measured.last().map_or(0, |measured| measured.dropped);
    let loses = lost * 1000 > u64::from(sent) * u64::from(LOSS_PER_MILLE_MAX);
    let slow = match (knee, fastest) {
        (Some(own), Some(best)) => (own as f64) < SLOW_SHARE * best as f64,
        _ => false,
    };
    let interface = &node.here.interface;
    let (level, text, advice) = if loses {
        let percent = 100.0 * lost as f64 / f64::from(sent.max(1));
        let text = format!("{shown}, and {percent:.1} % are lost without any hurry");
        let advice = format!(
            "look for errors of cable and port, there: ip -s link show dev {interface}; ethtool -S \
             {interface}"
        );
        (Level::Bad, text, Some(advice))
    } else if slow {
        let text = format!("{shown}, far less than to others: a copy sends to it apart");
        let advice = format!("look at its link, there: ethtool {interface}");
        (Level::Note, text, Some(advice))
    } else if dropped > 0 {
        let text = format!("{shown}; beyond that its processor is late and its socket overflows");
        (Level::Good, text, None)
    } else {
        (
            Level::Good,
            format!("{shown}, nothing is lost without hurry"),
            None,
        )
    };
    Finding {
        check: "way",
        node: Some(node.name.clone()),
        level,
        text,
        advice,
    }
}

/// Packets of a phase for `purpose` that arrived; nothing where there was no such phase.
fn arrived(node: &NodeFacts, phases: &[SentPhase], purpose: Purpose) -> Option<u32> {
    let index = phases
        .iter()
        .position(|phase| phase.purpose == purpose && phase.packets > 0)?;
    Some(counted(node, index))
}

fn counted(node: &NodeFacts, index: usize) -> u32 {
    let last = node.measured.last();
    let phase = last.and_then(|measured| measured.phases.get(index));
    phase.map_or(0, |phase| phase.packets)
}

/// Packets of a copy's size that were sent without hurry, and those that arrived.
fn calm(node: &NodeFacts, phases: &[SentPhase]) -> (u32, u32) {
    let is_calm = |phase: &SentPhase| matches!(phase.purpose, Purpose::Full | Purpose::Calm);
    let calm = phases
        .iter()
        .enumerate()
        .filter(|(_, phase)| is_calm(phase));
    calm.fold((0, 0), |(sent, received), (index, phase)| {
        (
            sent + phase.packets,
            received + counted(node, index).min(phase.packets),
        )
    })
}

/// The highest rate at which packets arrived, in bits of IP packets a second.
fn knee(node: &NodeFacts, phases: &[SentPhase]) -> Option<u64> {
    let last = node.measured.last()?;
    let rates = phases.iter().zip(&last.phases).filter_map(|(sent, got)| {
        let is_rate = matches!(sent.purpose, Purpose::Rate(_));
        (is_rate && got.packets > 50 && got.span_us > 5_000).then(|| {
            let bits = u64::from(got.packets) * u64::from(sent.packet_bytes) * 8;
            bits.saturating_mul(1_000_000) / got.span_us
        })
    });
    rates.max()
}
