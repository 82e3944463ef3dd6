//! Published samples: the facts in them are found, and what is valid but uncheckable is named so.

#![expect(clippy::unwrap_used, reason = "a test's way to fail")]

use std::path::PathBuf;

use check_notice::claim::{Claim, Format, Protocol};
use check_notice::evidence::{self, Finding, Missing, Verdict};
use check_notice::extract;
use check_notice::mail::Mail;
use check_notice::policy::Network;
use check_notice::records::Records;
use check_notice::time::show;

/// 2026-06-01, behind all dates in the samples.
const RECEIVED: i64 = 1_780_272_000;

fn data(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(path)
}

fn reports(folder: &str) -> Vec<(String, Claim)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(data(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let claims = extract::claims_of_document(&std::fs::read_to_string(&path).unwrap());
        assert_eq!(claims.len(), 1, "{name} is read");
        (name, claims.into_iter().next().unwrap())
    };
    files.into_iter().map(read).collect()
}

fn judge(claim: &Claim) -> Finding {
    evidence::judge(claim, &Records::default(), &Network::default(), RECEIVED).remove(0)
}

#[test]
fn all_xarf_4_samples_give_their_address_port_and_time() {
    let all = reports("xarf-spec/samples/v4");
    assert_eq!(all.len(), 32);
    let count = |test: &dyn Fn(&Claim) -> bool| all.iter().filter(|(_, claim)| test(claim)).count();
    assert_eq!(count(&|claim| claim.format == Format::Xarf4), 32);
    assert_eq!(count(&|claim| claim.events[0].time.is_some()), 32);
    assert_eq!(count(&|claim| claim.events[0].port.is_none()), 23);
    // The others name a host or a domain.
    assert_eq!(count(&|claim| claim.events[0].address.is_some()), 23);
    let (_, login) = all
        .iter()
        .find(|(name, _)| name == "connection-login-attack")
        .unwrap();
    let event = &login.events[0];
    assert_eq!(
        event.address.as_ref().unwrap().value.to_string(),
        "198.51.100.77"
    );
    assert_eq!(event.port.as_ref().unwrap().value, 45_621);
    assert_eq!(event.protocol.as_ref().unwrap().value, Protocol::TCP);
    assert_eq!(
        event.peer_address.as_ref().unwrap().value.to_string(),
        "203.0.113.22"
    );
    assert_eq!(event.peer_port.as_ref().unwrap().value, 22);
    let at = event.time.as_ref().unwrap().value.only_meaning().unwrap();
    assert_eq!(show(at.from), "2025-01-11T12:17:20Z");
}

#[test]
fn samples_whose_evidence_hash_is_wrong_are_contradicted_by_themselves() {
    let wrong = |claim: &Claim| {
        claim
            .faults
            .iter()
            .any(|fault| fault.what.contains("is not the hash of its payload"))
    };
    let all = reports("xarf-spec/samples/v4");
    assert_eq!(all.iter().filter(|(_, claim)| wrong(claim)).count(), 13);
    for (name, claim) in &all {
        if wrong(claim) {
            assert_eq!(judge(claim).verdict, Verdict::Contradicted, "{name}");
        }
    }
}

#[test]
fn the_official_peer_to_peer_sample_names_no_content_and_no_port() {
    let all = reports("xarf-spec/samples/v4");
    let (_, claim) = all
        .iter()
        .find(|(name, _)| name == "copyright-p2p")
        .unwrap();
    assert!(
        claim
            .faults
            .iter()
            .any(|fault| fault.what.contains("hash of an empty text")),
        "{claim:?}"
    );
    assert!(judge(claim).missing.contains(&Missing::SourcePort));
}

#[test]
fn valid_samples_without_a_port_are_called_uncheckable_for_that() {
    let all = reports("xarf-spec/samples/v4");
    let mut seen = 0;
    for (name, claim) in all.iter().filter(|(_, claim)| claim.faults.is_empty()) {
        let event = &claim.events[0];
        let expected = match (&event.address, &event.port) {
            (None, _) => Missing::Address,
            (Some(_), None) => Missing::SourcePort,
            (Some(_), Some(_)) => Missing::OwnRecords,
        };
        assert_eq!(
            judge(claim).verdict,
            Verdict::Uncheckable(expected),
            "{name}"
        );
        seen += usize::from(expected == Missing::SourcePort);
    }
    assert!(seen >= 5, "{seen}");
}

#[test]
fn all_xarf_3_samples_give_their_address_and_time() {
    let all = reports("xarf-spec/samples/v3");
    assert_eq!(all.len(), 4);
    for (name, claim) in &all {
        assert_eq!(claim.format, Format::Xarf3);
        assert!(claim.events[0].time.is_some(), "{name}");
    }
    let (_, ddos) = all
        .iter()
        .find(|(name, _)| name == "ddos_v3_sample")
        .unwrap();
    assert_eq!(
        ddos.events[0].address.as_ref().unwrap().value.to_string(),
        "172.16.254.10"
    );
    assert_eq!(ddos.events[0].port.as_ref().unwrap().value, 53);
    assert_eq!(ddos.events[0].peer_port.as_ref().unwrap().value, 80);
}

#[test]
fn arf_samples_give_what_their_expected_parse_has() {
    for name in ["001", "002", "003", "005"] {
        let raw = std::fs::read(data(&format!("mail-auth/resources/arf/{name}.eml"))).unwrap();
        let expected =
            std::fs::read_to_string(data(&format!("mail-auth/resources/arf/{name}.json"))).unwrap();
        let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
        let claims = extract::claims(&Mail::read(raw).unwrap());
        assert_eq!(claims.len(), 1, "{name}");
        assert_eq!(claims[0].format, Format::Arf);
        let event = &claims[0].events[0];
        let address = event.address.as_ref().map(|fact| fact.value.to_string());
        assert_eq!(address.as_deref(), expected["source_ip"].as_str(), "{name}");
        let port = event.port.as_ref().map_or(0, |fact| u64::from(fact.value));
        assert_eq!(Some(port), expected["source_port"].as_u64(), "{name}");
        if let Some(arrival) = expected["arrival_date"].as_i64() {
            let meanings = event.time.as_ref().unwrap().value.meanings();
            assert!(
                meanings.iter().any(|meaning| meaning.from == arrival),
                "{name} {meanings:?}"
            );
        }
    }
}

fn letter(text: &str) -> Claim {
    let raw = format!(
        "From: a@b.example\r\nSubject: Notice\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}"
    );
    extract::claims(&Mail::read(raw.into_bytes()).unwrap()).remove(0)
}

/// The shape of the notice that a provider published in 2019, whose copy was altered.
const ALTERED: &str = "> Notice ID: 22-1\r\n> Notice Date: 2019-02-28T10:00:00Z\r\n> \r\n> We report an infringement.\r\n\
> Evidentiary Information:\r\n> Infringers IP Address: 198.51.100.198\r\n> Initial Infringement Timestamp: 2019-02-27T08:06:44Z\r\n> \r\n\
> <Infringement xmlns=\"http://www.acns.net/ACNS\"><Case><ID>22-1</ID></Case><Source>\r\n\
> <TimeStamp>2019-03-10T08:06:44Z</TimeStamp><IP_Address>198.51.100.11</IP_Address><Port>6881</Port></Source>\r\n\
> <Content><Item><TimeStamp>2019-02-27T08:06:44Z</TimeStamp><Title>A & B</Title></Item></Content></Infringement>\r\n";

#[test]
fn prose_that_disagrees_with_its_form_contradicts_it() {
    let claim = letter(ALTERED);
    assert_eq!(claim.format, Format::Acns);
    let finding = judge(&claim);
    assert_eq!(finding.verdict, Verdict::Contradicted);
    let has = |text: &str| {
        finding
            .reasons
            .iter()
            .any(|reason| reason.what.contains(text))
    };
    assert!(has("two different facts as address"), "{finding:?}");
    assert!(has("two different facts as time"), "{finding:?}");
    assert!(has("later than the complaint"), "{finding:?}");
    // Mended, nothing speaks against it.
    let mended = ALTERED
        .replace("198.51.100.198", "198.51.100.11")
        .replace("2019-03-10", "2019-02-27");
    assert_eq!(
        judge(&letter(&mended)).verdict,
        Verdict::Uncheckable(Missing::OwnRecords)
    );
}

#[test]
fn an_entity_bomb_is_refused_and_not_grown() {
    let claim = letter(
        "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]>\r\n\
         <Infringement><Case><ID>&b;</ID></Case><Source><IP_Address>192.0.2.1</IP_Address></Source></Infringement>",
    );
    assert_eq!(claim.case.unwrap().value, "&b;");
}

#[test]
fn each_event_of_a_list_keeps_its_own_hour_and_port() {
    let (one, other) = (
        [
            "Source IP: 203.0.113.1",
            "Port: 1001",
            "Time: 2026-03-02 10:00:01 UTC",
        ],
        [
            "Source IP: 203.0.113.2",
            "Port: 1002",
            "Time: 2026-03-02 10:00:02 UTC",
        ],
    );
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let lines: Vec<&str> = [one, other]
            .iter()
            .flat_map(|event| order.map(|at| event[at]))
            .collect();
        let claim = letter(&format!(
            "We saw an attack.\r\n\r\n{}\r\n",
            lines.join("\r\n")
        ));
        assert_eq!(claim.events.len(), 2, "{lines:?}");
        for (event, last) in claim.events.iter().zip(1_u8..) {
            let address = event.address.as_ref().unwrap().value;
            assert_eq!(address.to_string(), format!("203.0.113.{last}"));
            assert_eq!(
                event.port.as_ref().unwrap().value,
                1_000 + u16::from(last),
                "{lines:?}"
            );
            let at = event.time.as_ref().unwrap().value.only_meaning().unwrap();
            assert!(show(at.from).ends_with(&format!("0{last}Z")), "{lines:?}");
        }
    }
}

#[test]
fn the_french_warning_of_2014_has_no_port_and_says_so() {
    let claim = letter(
        "Madame, Monsieur,\r\nL'Arcom a constat\u{e9} que, le 12 mars 2014 \u{e0} 14h05 (heure de Paris), une \u{153}uvre a \u{e9}t\u{e9} \
         mise \u{e0} disposition depuis votre abonnement.\r\nAdresse IP : 203.0.113.7\r\nFournisseur : Exemple\r\n",
    );
    assert_eq!(claim.format, Format::French);
    let event = &claim.events[0];
    assert_eq!(
        event.address.as_ref().unwrap().value.to_string(),
        "203.0.113.7"
    );
    let meaning = event.time.as_ref().unwrap().value.only_meaning().unwrap();
    assert_eq!(show(meaning.from), "2014-03-12T13:05:00Z");
    assert_eq!(
        judge(&claim).verdict,
        Verdict::Uncheckable(Missing::SourcePort)
    );
}
