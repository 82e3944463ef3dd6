//! Writes the logs of a world, each line at its hour, and leaves out what a hole swallowed.

use std::fmt::Write as _;
use std::net::IpAddr;

use check_notice::net::Prefix;
use check_notice::records::{Kind, Reading, Records, SourceRules, Wanted};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Hold, LeaseLog, World, person_mac};

/// A line, with the second at which it is written.
type Line = (i64, String);

/// A file of records: name, rules, the lines that stay first, and records that may be several lines each.
#[derive(Clone)]
pub(crate) struct LogFile {
    name: String,
    rules: SourceRules,
    head: String,
    pub(crate) records: Vec<String>,
}

impl LogFile {
    /// Whether the order of its lines says more than their times do.
    pub(crate) fn order_tells(&self) -> bool {
        self.rules.kind == Kind::Kea
    }
}

/// Reads files with the product's readers.
pub(crate) fn read(files: &[LogFile], wanted: &Wanted) -> Records {
    let mut reading = Reading::new(wanted);
    for file in files {
        let text = file.head.clone() + &file.records.concat();
        reading
            .read(&file.name, file.rules.clone(), text.as_bytes())
            .unwrap();
    }
    reading.finish().unwrap()
}

impl World {
    /// The logs of this world; where it rotates them, each in two files.
    pub(crate) fn files(&self) -> Vec<LogFile> {
        let prefixes =
            |all: &[&str]| -> Vec<Prefix> { all.iter().map(|p| p.parse().unwrap()).collect() };
        let (kind, head, records) = self.lease_file();
        let mut rules = SourceRules::of(kind);
        rules.complete = true;
        rules.lease_s = Some(self.lease_s);
        rules.serves = prefixes(&["203.0.113.0/25", "10.0.0.0/24"]);
        if self.lease_log == LeaseLog::DnsmasqLocal {
            rules.zone = paris();
            let start = Timestamp::from_second(self.start).unwrap();
            rules.year = Some(start.to_zoned(TimeZone::UTC).year());
        }
        let mut files = Vec::new();
        let mut add = |name: &str, mut rules: SourceRules, head: &str, records: Vec<String>| {
            let halves: &[&[String]] = if self.rotated {
                let (one, other) = records.split_at(records.len() / 2);
                rules.log = Some(name.to_owned());
                &[one, other]
            } else {
                &[&records]
            };
            for (number, half) in halves.iter().enumerate() {
                files.push(LogFile {
                    name: format!("{name}.{number}"),
                    rules: rules.clone(),
                    head: head.to_owned(),
                    records: half.to_vec(),
                });
            }
        };
        add("leases", rules, head, records);
        let mut rules = SourceRules::of(Kind::Radius);
        rules.serves = prefixes(&["198.51.100.0/24", "2001:db8:1::/48"]);
        add("radius", rules, "", self.radius_file());
        let mut rules = SourceRules::of(Kind::Nat);
        rules.serves = prefixes(&["203.0.113.200/31"]);
        let (head, records) = self.nat_file();
        add("nat", rules, &head, records);
        if self.has_flows {
            let mut rules = SourceRules::of(Kind::Nfdump);
            rules.zone = paris();
            rules.serves = prefixes(&["203.0.113.0/25", "198.51.100.0/24", "2001:db8:1::/48"]);
            let head = "ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyte\n";
            add("flows", rules, head, self.flow_file());
        }
        files
    }

    fn kept(&self, hole: usize, mut lines: Vec<Line>) -> Vec<String> {
        lines.sort_by_key(|line| line.0);
        let swallowed = |at: i64| {
            self.holes[hole]
                .iter()
                .any(|(from, to)| (*from..*to).contains(&at))
        };
        lines
            .into_iter()
            .filter(|line| !swallowed(line.0))
            .map(|line| line.1)
            .collect()
    }

    fn lease_file(&self) -> (Kind, &'static str, Vec<String>) {
        let mut lines = Vec::new();
        for (address, holds) in &self.leases {
            for hold in holds {
                self.lease_lines(*address, &hold.shifted(self.clocks[0]), &mut lines);
            }
        }
        let kept = self.kept(0, lines);
        match self.lease_log {
            LeaseLog::Dhcpd => (Kind::Dhcpd, "", kept),
            LeaseLog::Dnsmasq | LeaseLog::DnsmasqLocal => (Kind::DnsmasqLog, "", kept),
            LeaseLog::Kea => {
                let head = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state\n";
                (Kind::Kea, head, kept)
            }
        }
    }

    fn lease_lines(&self, address: IpAddr, hold: &Hold, lines: &mut Vec<Line>) {
        let mac = person_mac(hold.person);
        let stamp = |at: i64| match self.lease_log {
            LeaseLog::DnsmasqLocal => show(at, &paris(), "%b %e %H:%M:%S"),
            _ => show(at, &TimeZone::UTC, "%Y-%m-%dT%H:%M:%SZ"),
        };
        let dhcpd = |at: i64, end: i64, state: &str| {
            let when = |at| show(at, &TimeZone::UTC, "%w %Y/%m/%d %H:%M:%S");
            format!(
                "lease {address} {{\n  starts {};\n  ends {};\n  cltt {};\n  binding state {state};\n  \
                 hardware ethernet {mac};\n}}\n",
                when(at),
                when(end),
                when(at)
            )
        };
        for at in &hold.grants {
            let end = at + self.lease_s;
            lines.push((
                *at,
                match self.lease_log {
                    LeaseLog::Dhcpd => dhcpd(*at, end, "active"),
                    LeaseLog::Kea => format!("{address},{mac},,{},{end},1,0,0,,0\n", self.lease_s),
                    _ => format!(
                        "{} gw dnsmasq-dhcp[7]: DHCPACK(eth0) {address} {mac} host\n",
                        stamp(*at)
                    ),
                },
            ));
        }
        if hold.released {
            let last = hold.grants[hold.grants.len() - 1];
            lines.push((
                hold.to,
                match self.lease_log {
                    LeaseLog::Dhcpd => dhcpd(last, hold.to, "free"),
                    // Kea writes a removed lease with the hour at which it was given.
                    LeaseLog::Kea => format!("{address},{mac},,0,{last},1,0,0,,0\n"),
                    _ => format!(
                        "{} gw dnsmasq-dhcp[7]: DHCPRELEASE(eth0) {address} {mac}\n",
                        stamp(hold.to)
                    ),
                },
            ));
        }
    }

    fn radius_file(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (address, holds) in &self.sessions {
            let attribute = match address {
                IpAddr::V4(_) => format!("Framed-IP-Address = {address}"),
                IpAddr::V6(_) => format!("Framed-IPv6-Prefix = {address}/64"),
            };
            for hold in holds {
                let hold = hold.shifted(self.clocks[1]);
                let mut packet = |at: i64, kind: &str| {
                    let stamp = show(at, &TimeZone::UTC, "%a %b %e %H:%M:%S %Y");
                    lines.push((at, format!(
                        "{stamp}\n\tAcct-Status-Type = {kind}\n\tAcct-Session-Id = \"{:08x}\"\n\t\
                         User-Name = \"person{}\"\n\t{attribute}\n\tAcct-Session-Time = {}\n\tEvent-Timestamp = \"{stamp} UTC\"\n\n",
                        hold.session, hold.person, at - hold.from
                    )));
                };
                packet(hold.from, "Start");
                for at in &hold.grants[1..] {
                    packet(*at, "Interim-Update");
                }
                packet(hold.to, "Stop");
            }
        }
        self.kept(1, lines)
    }

    fn nat_file(&self) -> (String, Vec<String>) {
        let inner = self
            .traffic
            .iter()
            .filter_map(|traffic| Some((traffic, traffic.inner?)));
        let lines = inner.map(|(t, inner)| {
            let protocol = if t.udp { "udp" } else { "tcp" };
            let mut line = format!(
                "{},{},{protocol},{inner},{},{},{}",
                t.from + self.clocks[2],
                t.to + self.clocks[2],
                t.port ^ 1,
                t.address,
                t.port
            );
            if self.nat_has_peers {
                let _ = write!(line, ",{},{}", t.peer.0, t.peer.1);
            }
            (t.to, line + "\n")
        });
        let more = if self.nat_has_peers {
            ",peer_ip,peer_port"
        } else {
            ""
        };
        let head = format!("start,end,proto,inside_ip,inside_port,outside_ip,outside_port{more}\n");
        (head, self.kept(2, lines.collect()))
    }

    fn flow_file(&self) -> Vec<String> {
        let lines = self.traffic.iter().filter(|t| t.inner.is_none()).map(|t| {
            let at = |second| show(second, &paris(), "%Y-%m-%d %H:%M:%S");
            let protocol = if t.udp { "UDP" } else { "TCP" };
            let (address, port, (peer, peer_port)) = (t.address, t.port, t.peer);
            let (from, to) = (at(t.from + self.clocks[3]), at(t.to + self.clocks[3]));
            let row = if t.from % 2 == 0 {
                format!("{from},{to},1.0,{address},{peer},{port},{peer_port},{protocol},.A..,0,0,9,999\n")
            } else {
                format!("{from},{to},1.0,{peer},{address},{peer_port},{port},{protocol},.A..,0,0,9,999\n")
            };
            (t.to, row)
        });
        self.kept(3, lines.collect())
    }
}

pub(crate) fn paris() -> TimeZone {
    TimeZone::get("Europe/Paris").unwrap()
}

pub(crate) fn show(second: i64, zone: &TimeZone, format: &str) -> String {
    Timestamp::from_second(second)
        .unwrap()
        .to_zoned(zone.clone())
        .strftime(format)
        .to_string()
}
