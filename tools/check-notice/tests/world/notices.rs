//! Complaints in every format, about what happened in a world and about what did not.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use jiff::tz::{Offset, TimeZone};

use super::logs::{paris, show};
use super::{Random, SPAN_S, World};

/// What is behind a complaint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truth {
    /// This person did it.
    Did(usize),
    /// It is made up.
    MadeUp,
}

/// A complaint as a mail.
#[derive(Debug, Clone)]
pub(crate) struct Notice {
    pub(crate) mail: String,
    pub(crate) truth: Truth,
    pub(crate) received: i64,
    pub(crate) address: IpAddr,
    pub(crate) case: &'static str,
}

/// What the complainant writes down.
struct Told {
    address: IpAddr,
    port: Option<u16>,
    udp: Option<bool>,
    peer: Option<(Ipv4Addr, u16)>,
    second: i64,
    /// How the hour is written: ISO 8601 and RFC 5322 like, with its zone or without.
    iso: String,
    long: String,
    french: String,
    received: i64,
    number: u64,
}

const FORMATS: [&str; 7] = [
    "acns-1.2",
    "acns-0.7",
    "xarf-v4",
    "x-arf-0.2",
    "arf",
    "french",
    "prose",
];

impl World {
    /// Makes up a complaint.
    pub(crate) fn notice(&self, random: &mut Random) -> Notice {
        let honest = random.chance(75) && !self.traffic.is_empty();
        let (mut told, truth, mut case) = if honest {
            self.seen(random)
        } else {
            self.made_up(random)
        };
        // The clock of the complainant.
        let skew = |random: &mut Random, at_most: i64| {
            let at_most = at_most.min(self.tolerance_s);
            random.between(-at_most, at_most + 1)
        };
        match random.below(4) {
            0 => {}
            1 => told.second += skew(random, 30),
            2 => told.second += skew(random, 900),
            _ => {
                told.second += skew(random, 7_200);
                if honest {
                    case = match self.tolerance_s {
                        7_200 => "skewed up to 2 h",
                        900 => "skewed up to 15 min",
                        _ => "skewed up to 5 s",
                    };
                }
            }
        }
        let missing_zone = random.chance(20);
        if missing_zone && honest {
            case = "zone missing";
        }
        self.write_hour(&mut told, missing_zone, random);
        for (field, percent) in [(0, 25), (1, 30), (2, 45)] {
            if random.chance(percent) {
                match field {
                    0 => told.port = None,
                    1 => told.udp = None,
                    _ => told.peer = None,
                }
            }
        }
        let format = *random.of(&FORMATS);
        Notice {
            mail: told.mail(format),
            truth,
            received: told.received,
            address: told.address,
            case,
        }
    }

    fn seen(&self, random: &mut Random) -> (Told, Truth, &'static str) {
        let traffic = random.of(&self.traffic);
        let second = random
            .between(traffic.from, traffic.to + 1)
            .min((traffic.to - 1).max(traffic.from));
        let case = if traffic.inner.is_some() {
            "behind the translator"
        } else {
            "own address"
        };
        let told = Told::new(traffic.address, second, random);
        let told = Told {
            port: Some(traffic.port),
            udp: Some(traffic.udp),
            peer: Some(traffic.peer),
            ..told
        };
        (told, Truth::Did(traffic.person), case)
    }

    fn made_up(&self, random: &mut Random) -> (Told, Truth, &'static str) {
        let (address, case) = match random.below(5) {
            0 => (
                Ipv4Addr::new(203, 0, 113, 100 + random.below(20) as u8),
                "made up: never used address",
            ),
            1 => (
                Ipv4Addr::new(192, 0, 2, random.below(200) as u8),
                "made up: foreign address",
            ),
            2 => (
                Ipv4Addr::new(203, 0, 113, 200 + random.below(2) as u8),
                "made up: translator",
            ),
            3 => (
                Ipv4Addr::new(198, 51, 100, 1 + random.below(20) as u8),
                "made up: session address",
            ),
            _ => (
                Ipv4Addr::new(203, 0, 113, 1 + random.below(24) as u8),
                "made up: leased address",
            ),
        };
        let mut told = Told::new(
            IpAddr::V4(address),
            self.start + random.between(0, SPAN_S),
            random,
        );
        told.port = Some(if random.chance(50) {
            40_000 + random.below(300) as u16
        } else {
            random.between(1_024, 65_000) as u16
        });
        told.udp = Some(random.chance(50));
        // Whoever makes up a peer does not know to whom our people really talked.
        told.peer = Some((Ipv4Addr::new(192, 0, 2, 77), 6_881));
        (told, Truth::MadeUp, case)
    }

    fn write_hour(&self, told: &mut Told, missing_zone: bool, random: &mut Random) {
        let second = told.second;
        if missing_zone {
            let minutes = *random.of(&[0, 60, 120, 330, -300, -480, 720, -210, 345]);
            let zone = TimeZone::fixed(Offset::from_seconds(minutes * 60).unwrap());
            told.iso = show(second, &zone, "%Y-%m-%dT%H:%M:%S");
            told.long = show(second, &zone, "%Y-%m-%d %H:%M:%S");
            told.french = show(second, &zone, "%d/%m/%Y \u{e0} %H:%M:%S");
            // In France the order of day and month is settled, the zone is not.
            return;
        }
        told.french = show(
            second,
            &paris(),
            "%d/%m/%Y \u{e0} %Hh%M:%S (heure de Paris)",
        );
        match random.below(3) {
            0 => {
                told.iso = show(second, &TimeZone::UTC, "%Y-%m-%dT%H:%M:%SZ");
                told.long = show(second, &TimeZone::UTC, "%a, %d %b %Y %H:%M:%S +0000");
            }
            1 => {
                told.iso = show(second, &paris(), "%Y-%m-%dT%H:%M:%S%:z");
                // An abbreviation that says less than it seems to.
                told.long = show(second, &paris(), "%a, %d %b %Y %H:%M:%S CET");
            }
            _ => {
                let zone = TimeZone::fixed(Offset::from_seconds(-5 * 3_600).unwrap());
                told.iso = show(second, &zone, "%Y-%m-%dT%H:%M:%S-05:00");
                told.long = show(second, &zone, "%b %d, %Y %H:%M UTC-5");
            }
        }
    }
}

impl Told {
    fn new(address: IpAddr, second: i64, random: &mut Random) -> Self {
        Self {
            address,
            port: None,
            udp: None,
            peer: None,
            second,
            iso: String::new(),
            long: String::new(),
            french: String::new(),
            received: second + random.between(600, 5 * 86_400),
            number: random.below(1_000_000),
        }
    }

    fn mail(&self, format: &str) -> String {
        let date = show(self.received, &TimeZone::UTC, "%a, %d %b %Y %H:%M:%S +0000");
        let head = format!(
            "From: Notices <notice@rights.example>\r\nTo: abuse@net.example\r\nDate: {date}\r\n\
             Message-ID: <{}@rights.example>\r\nMIME-Version: 1.0\r\n",
            self.number
        );
        let subject = "Subject: Notice of infringement\r\n";
        let plain = "Content-Type: text/plain; charset=utf-8\r\n\r\n";
        match format {
            "acns-1.2" | "acns-0.7" => format!(
                "{head}{subject}{plain}Dear Sir or Madam,\r\n\r\n{}\r\n",
                self.acns(format)
            ),
            "xarf-v4" => format!(
                "{head}{subject}Content-Type: multipart/mixed; boundary=x1\r\n\r\n--x1\r\nContent-Type: text/plain\r\n\r\n\
                 Please see the report.\r\n--x1\r\nContent-Type: application/json; name=xarf.json\r\n\r\n{}\r\n--x1--\r\n",
                self.xarf()
            ),
            "x-arf-0.2" => format!(
                "{head}{subject}X-XARF: PLAIN\r\nAuto-Submitted: auto-generated\r\n\
                 Content-Type: multipart/mixed; boundary=x1\r\n\r\n--x1\r\nContent-Type: text/plain\r\n\r\n\
                 An attack was seen.\r\n--x1\r\nContent-Type: text/plain; name=report.txt\r\n\r\n{}\r\n--x1--\r\n",
                self.yamlish()
            ),
            "arf" => format!(
                "{head}{subject}Content-Type: multipart/report; report-type=feedback-report; boundary=x1\r\n\r\n\
                 --x1\r\nContent-Type: text/plain\r\n\r\nThis is a spam report.\r\n--x1\r\n\
                 Content-Type: message/feedback-report\r\n\r\n{}\r\n--x1\r\nContent-Type: message/rfc822\r\n\r\n\
                 From: <a@b.example>\r\nSubject: spam\r\n\r\nspam 1.2.3.4\r\n--x1--\r\n",
                self.arf()
            ),
            "french" => format!("{head}Subject: Recommandation\r\n{plain}{}", self.french()),
            _ => format!("{head}{subject}{plain}{}", self.prose()),
        }
    }

    fn acns(&self, format: &str) -> String {
        let space = if format == "acns-0.7" {
            "http://www.movielabs.com/ACNS"
        } else {
            "http://www.acns.net/ACNS"
        };
        let port = self
            .port
            .map_or(String::new(), |port| format!("<Port>{port}</Port>"));
        let protocol = self.udp.map_or(String::new(), |udp| {
            format!("<Protocol>{}</Protocol>", if udp { 17 } else { 6 })
        });
        format!(
            "<Infringement xmlns=\"{space}\">\r\n<Case><ID>C{}</ID></Case><Complainant><Entity>Rights & Sons</Entity>\
             </Complainant>\r\n<Source><TimeStamp>{}</TimeStamp><IP_Address>{}</IP_Address>{port}{protocol}</Source>\r\n\
             <Content><Item><Title>A Film</Title><Hash Type=\"SHA1\">{:040x}</Hash></Item></Content></Infringement>",
            self.number,
            self.iso,
            self.address,
            self.number + 17
        )
    }

    fn xarf(&self) -> String {
        let mut text = format!(
            "{{\"xarf_version\": \"4.2.0\", \"report_id\": \"{}\", \"timestamp\": \"{}\", \"reporter\": {{\"org\": \"R\"}}, \
             \"source_identifier\": \"{}\", \"category\": \"connection\", \"type\": \"ddos\"",
            self.number, self.iso, self.address
        );
        if let Some(port) = self.port {
            let _ = write!(text, ", \"source_port\": {port}");
        }
        if let Some(udp) = self.udp {
            let _ = write!(
                text,
                ", \"protocol\": \"{}\"",
                if udp { "udp" } else { "tcp" }
            );
        }
        if let Some((peer, port)) = self.peer {
            let _ = write!(
                text,
                ", \"destination_ip\": \"{peer}\", \"destination_port\": {port}"
            );
        }
        text + "}"
    }

    fn yamlish(&self) -> String {
        let mut text = format!(
            "---\r\nReported-From: notice@rights.example\r\nReport-ID: {}\r\nCategory: abuse\r\nReport-Type: login-attack\r\n\
             Schema-URL: http://rights.example/schema\r\nVersion: 0.2\r\nSource-Type: ip-address\r\nSource: {}\r\nDate: {}\r\n",
            self.number, self.address, self.long
        );
        if let Some(port) = self.port {
            let _ = write!(text, "Source-Port: {port}\r\n");
        }
        if let Some((peer, port)) = self.peer {
            let _ = write!(text, "Destination: {peer}\r\nDestination-Port: {port}\r\n");
        }
        text
    }

    fn arf(&self) -> String {
        let port = self
            .port
            .map_or(String::new(), |port| format!("Source-Port: {port}\r\n"));
        format!(
            "Feedback-Type: abuse\r\nUser-Agent: x/1\r\nVersion: 1\r\nSource-IP: {}\r\n{port}Arrival-Date: {}\r\n",
            self.address, self.long
        )
    }

    fn french(&self) -> String {
        let port = self
            .port
            .map_or(String::new(), |port| format!("Port source : {port}\r\n"));
        format!(
            "Madame, Monsieur,\r\n\r\nLa Haute Autorit\u{e9} a \u{e9}t\u{e9} saisie de faits de mise \u{e0} disposition d'\u{153}uvres.\r\n\r\n\
             Num\u{e9}ro de dossier : {}\r\nDate et heure des faits : {}\r\nAdresse IP : {}\r\n{port}",
            self.number, self.french, self.address
        )
    }

    fn prose(&self) -> String {
        let port = self
            .port
            .map_or(String::new(), |port| format!("Port: {port}\r\n"));
        format!(
            "Hello,\r\n\r\nwe saw an attack from your network.\r\n\r\nSource IP: {}\r\n{port}Timestamp: {}\r\n\r\nRegards\r\n",
            self.address, self.long
        )
    }
}
