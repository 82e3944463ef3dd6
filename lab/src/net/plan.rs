//! What a cluster shall look like, and the commands that make it so.
//!
//! Only words here: nothing is run. Uses tbf, bridge, veth and iptables because these are the parts that
//! every kernel has; netem and fq often are not there.

use std::time::Duration;

use super::INTERFACE;

/// How long hosts may take to answer the switch's question for members, in its unit.
const QUERY_RESPONSE_CENTISECONDS: u64 = 100;

/// How long they may take when one left, in the same unit. The switch asks twice.
const LAST_MEMBER_CENTISECONDS: u64 = 10;

/// What a cluster shall look like.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// How many nodes, 1 to 250.
    pub nodes: u8,
    /// Rate of each link in each direction, in Mbit/s of whole Ethernet frames; `None` is unshaped.
    pub link_mbit: Option<u32>,
    /// Rate of the last node's link where it is another, in the same unit.
    pub slow_mbit: Option<u32>,
    /// Share of packets that each node loses on arrival, independently of the others, in percent.
    pub loss_percent: f64,
    /// IGMP snooping on the switch, with a querier; otherwise multicast floods to all nodes.
    pub snooping: bool,
    /// How many nodes, the last ones, multicast does not reach.
    pub deaf: u8,
    /// Nodes have IPv6 addresses and no others: one of their own, and that of the link.
    pub ipv6: bool,
    /// Packets travel, and are lost, one by one instead of in offloaded trains.
    pub split: bool,
    /// Bytes of the largest IP packet that every link takes: 1500, or 9000 for jumbo frames.
    pub mtu: u32,
}

/// What Ethernet takes unless it is told otherwise.
const MTU: u32 = 1500;

impl Plan {
    /// The plainest cluster of this many nodes: unshaped, lossless, flooding.
    #[must_use]
    pub fn of(nodes: u8) -> Self {
        Self {
            nodes,
            link_mbit: None,
            slow_mbit: None,
            loss_percent: 0.0,
            snooping: false,
            deaf: 0,
            ipv6: false,
            split: false,
            mtu: MTU,
        }
    }

    /// How long the network takes to behave as planned, once it is built.
    ///
    /// A new querier lets everything flood for one response interval. Worse than the flood: hosts then
    /// hear each other's IGMPv2 reports and keep back their own, so the switch never learns of them.
    pub(super) fn settling(&self) -> Duration {
        if self.snooping {
            Duration::from_millis(QUERY_RESPONSE_CENTISECONDS * 10 + 200)
        } else {
            Duration::ZERO
        }
    }

    fn filter(&self) -> &'static str {
        if self.ipv6 { "ip6tables" } else { "iptables" }
    }

    /// Whether multicast does not reach the node of this number.
    #[must_use]
    pub const fn is_deaf(&self, number: u8) -> bool {
        number > self.nodes.saturating_sub(self.deaf)
    }

    fn mbit_of(&self, number: u8) -> Option<u32> {
        let slow = (number == self.nodes).then_some(self.slow_mbit).flatten();
        slow.or(self.link_mbit)
    }

    /// The node's addresses, and its interfaces up.
    fn address_commands(&self, node: &str, number: u8) -> Vec<String> {
        let up = [
            format!("ip -n {node} link set {INTERFACE} up"),
            format!("ip -n {node} link set lo up"),
        ];
        let mut lines = Vec::new();
        if self.ipv6 {
            // Nobody else is on this switch: without a search for duplicates addresses are valid at once.
            lines.push(format!(
                "ip netns exec {node} sysctl -qw net.ipv6.conf.{INTERFACE}.accept_dad=0"
            ));
            lines.extend(up);
            lines.push(format!(
                "ip -n {node} addr add {}/64 dev {INTERFACE} nodad",
                address_v6(number)
            ));
        } else {
            lines.push(format!(
                "ip -n {node} addr add {}/24 brd + dev {INTERFACE}",
                address(number)
            ));
            lines.extend(up);
            lines.push(format!(
                "ip -n {node} route add 224.0.0.0/4 dev {INTERFACE}"
            ));
        }
        lines
    }

    pub(super) fn switch_commands(&self, switch: &str) -> Vec<String> {
        let snooping = u8::from(self.snooping);
        let mut lines = vec![
            format!("ip netns add {switch}"),
            format!("ip -n {switch} link add bridge0 type bridge mcast_snooping {snooping}"),
        ];
        if self.snooping {
            // 10 s by default; see `settling`.
            let set = format!("ip -n {switch} link set bridge0 type bridge");
            lines.push(format!(
                "{set} mcast_query_response_interval {QUERY_RESPONSE_CENTISECONDS}"
            ));
            // 1 s by default: for twice that, who left a group still gets its packets.
            lines.push(format!(
                "{set} mcast_last_member_interval {LAST_MEMBER_CENTISECONDS}"
            ));
            lines.push(format!("{set} mcast_querier 1"));
        }
        if self.ipv6 {
            // Who asks for members needs an address for that, and needs it at once.
            lines.push(format!(
                "ip netns exec {switch} sysctl -qw net.ipv6.conf.bridge0.accept_dad=0"
            ));
        }
        lines.push(format!("ip -n {switch} link set bridge0 up"));
        lines
    }

    pub(super) fn node_commands(&self, switch: &str, node: &str, number: u8) -> Vec<String> {
        let port = format!("port{number}");
        let mut lines = vec![
            format!("ip netns add {node}"),
            format!("ip -n {switch} link add {port} type veth peer name {INTERFACE} netns {node}"),
            format!("ip -n {switch} link set {port} master bridge0 up"),
        ];
        if self.mtu != MTU {
            let mtu = self.mtu;
            lines.push(format!("ip -n {switch} link set {port} mtu {mtu}"));
            lines.push(format!("ip -n {node} link set {INTERFACE} mtu {mtu}"));
        }
        lines.extend(self.address_commands(node, number));
        if let Some(mbit) = self.mbit_of(number) {
            // A host queues megabytes before its card, a switch port less than one.
            let shape = format!("root tbf rate {mbit}mbit burst 128k");
            lines.push(format!(
                "tc -n {node} qdisc add dev {INTERFACE} {shape} limit 16mb"
            ));
            lines.push(format!(
                "tc -n {switch} qdisc add dev {port} {shape} limit 512kb"
            ));
        }
        if self.loss_percent > 0.0 {
            let share = self.loss_percent / 100.0;
            lines.push(format!(
                "ip netns exec {node} {} -A INPUT -i {INTERFACE} \
                 -m statistic --mode random --probability {share} -j DROP",
                self.filter()
            ));
        }
        if self.split {
            lines.push(format!(
                "ip netns exec {node} ethtool -K {INTERFACE} tx-udp-segmentation off gso off tso off gro on"
            ));
        }
        if self.is_deaf(number) {
            lines.push(format!(
                "ip netns exec {node} {} -A INPUT -i {INTERFACE} -d {} -j DROP",
                self.filter(),
                if self.ipv6 {
                    "ff10::/12"
                } else {
                    "224.0.0.0/4"
                }
            ));
        }
        lines
    }
}

pub(super) fn address(number: u8) -> String {
    format!("10.77.0.{number}")
}

/// In a prefix for local use (RFC 4193).
pub(super) fn address_v6(number: u8) -> String {
    format!("fd77::{number:x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(plan: &Plan) -> String {
        plan.node_commands("switch", "node", 3).join("\n")
    }

    #[test]
    fn a_plain_plan_shapes_and_drops_nothing() {
        let lines = lines(&Plan::of(3));
        assert!(lines.contains("10.77.0.3/24"));
        assert!(
            !lines.contains("tbf") && !lines.contains("iptables") && !lines.contains("ethtool")
        );
    }

    #[test]
    fn a_shaped_link_is_shaped_in_both_directions() {
        let lines = lines(&Plan {
            link_mbit: Some(200),
            ..Plan::of(3)
        });
        assert!(lines.contains("tc -n node qdisc add dev e0 root tbf rate 200mbit"));
        assert!(lines.contains("tc -n switch qdisc add dev port3 root tbf rate 200mbit"));
    }

    #[test]
    fn jumbo_frames_are_told_to_both_ends_of_a_link() {
        let jumbo = lines(&Plan {
            mtu: 9000,
            ..Plan::of(3)
        });
        assert!(jumbo.contains("ip -n switch link set port3 mtu 9000"));
        assert!(jumbo.contains("ip -n node link set e0 mtu 9000"));
        assert!(!lines(&Plan::of(3)).contains("mtu"));
    }

    #[test]
    fn a_node_has_addresses_of_one_version_only() {
        let six = lines(&Plan {
            ipv6: true,
            loss_percent: 1.0,
            ..Plan::of(3)
        });
        assert!(six.contains("fd77::3/64") && six.contains("ip6tables"));
        assert!(
            !six.contains("10.77") && !six.contains("224.0.0.0"),
            "{six}"
        );
        assert!(!lines(&Plan::of(3)).contains("fd77"));
    }

    #[test]
    fn only_the_last_node_is_slow() {
        let plan = Plan {
            link_mbit: Some(200),
            slow_mbit: Some(20),
            ..Plan::of(4)
        };
        let rate_of = |number| plan.node_commands("switch", "node", number).join("\n");
        assert!(rate_of(3).contains("rate 200mbit"));
        assert!(rate_of(4).contains("rate 20mbit"));
    }

    #[test]
    fn multicast_is_kept_from_the_last_nodes_only() {
        let plan = Plan {
            deaf: 2,
            ..Plan::of(4)
        };
        let drops = |number| {
            let lines = plan.node_commands("switch", "node", number).join("\n");
            lines.contains("-d 224.0.0.0/4 -j DROP")
        };
        assert_eq!([1, 2, 3, 4].map(drops), [false, false, true, true]);
    }

    #[test]
    fn loss_is_given_to_iptables_as_a_probability() {
        assert!(
            lines(&Plan {
                loss_percent: 1.0,
                ..Plan::of(3)
            })
            .contains("--probability 0.01")
        );
    }
}
