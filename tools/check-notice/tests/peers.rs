//! Mails signed by real programs, then altered: opendkim, dkimpy, openssl, gpg, and a real name server.
//!
//! Each test starts what it needs in a folder of its own and stops it by its number.

#[expect(clippy::unwrap_used, reason = "a test bench that fails loudly")]
mod bench;
mod skip;

use bench::{Bench, MAIL, NameServer, NoNames};
use check_notice::ledger::Ledger;
use check_notice::sender::keys::Seen;
use skip::skip;

/// A bench, or nothing where a program is missing.
macro_rules! bench {
    ($($program:literal),*) => {{
        let missing: Vec<&str> = [$($program),*].into_iter().filter(|program| !bench::has(program)).collect();
        if !missing.is_empty() {
            skip(&format!("needs {}", missing.join(", ")));
            return;
        }
        Bench::new()
    }};
}

#[test]
fn a_mail_signed_by_opendkim_is_proven_and_each_alteration_is_seen() {
    let bench = bench!("opendkim", "opendkim-testmsg", "openssl");
    bench.rsa_key("rights.example");
    let signed = bench.opendkim("rights.example", MAIL);
    bench.configure("dkim_keys = 'keys'\n");
    let expect = |mail: &str, verdict: &str, reason: &str| bench.expect(mail, &[], verdict, reason);
    expect(&signed, "proven", "is valid, with the key from file");
    expect(
        &bench.opendkim_sha1("rights.example", MAIL),
        "unproven",
        "SHA-1, which proves nothing",
    );
    expect(
        &signed.replace("198.51.100.7", "198.51.100.8"),
        "contradicted",
        "the body is not the one that was signed",
    );
    expect(
        &signed.replace("Subject: Notice", "Subject: Other"),
        "contradicted",
        "does not fit its fields",
    );
    expect(
        &signed.replace(
            "From: Notices",
            "From: <boss@bank.example>\r\nFrom: Notices",
        ),
        "contradicted",
        "2 fields `From`",
    );
    expect(
        &signed.replace("@rights.example>\r\nTo", "@bank.example>\r\nTo"),
        "unproven",
        "does not fit its fields",
    );
    // The key is gone: that says nothing against the mail.
    std::fs::write(bench.path("keys"), "").unwrap();
    expect(&signed, "unproven", "its key is not available");
    std::fs::write(
        bench.path("keys"),
        "s1._domainkey.rights.example v=DKIM1; k=rsa; p=\n",
    )
    .unwrap();
    expect(&signed, "unproven", "its key is not available");
}

#[test]
fn a_mail_signed_by_dkimpy_with_a_length_has_its_tail_caught() {
    let bench = bench!("/usr/bin/python3", "openssl");
    if !bench.has_dkimpy() {
        skip("needs python3-dkim");
        return;
    }
    bench.rsa_key("rights.example");
    bench.configure("dkim_keys = 'keys'\n");
    for ed25519 in [false, true] {
        let signed = bench.dkimpy("rights.example", MAIL, false, ed25519);
        bench.expect(&signed, &[], "proven", "is valid");
    }
    // Valid, but of a domain that may not speak for the one in From.
    std::fs::write(
        bench.path("other"),
        std::fs::read_to_string(bench.path("keys"))
            .unwrap()
            .replace("rights.", "sub.rights."),
    )
    .unwrap();
    bench.configure("dkim_keys = 'other'\n");
    let foreign = bench.dkimpy("sub.rights.example", MAIL, false, false);
    bench.expect(&foreign, &[], "unproven", "not the domain of From");
    bench.configure("dkim_keys = 'other'\n[[complainant]]\nname = 'rights'\ndomains = ['rights.example']\nsigners = ['sub.rights.example']\n");
    bench.expect(&foreign, &[], "proven", "is valid");
    bench.configure("dkim_keys = 'keys'\n");
    let signed = bench.dkimpy("rights.example", MAIL, true, false);
    bench.expect(&signed, &[], "proven", "is valid");
    let longer = format!("{signed}Pay here: https://pay.example/\r\n");
    bench.expect(&longer, &[], "unproven", "were added unsigned (l=)");
}

#[test]
fn a_signed_mail_sent_on_to_others_is_a_replay() {
    let bench = bench!("opendkim", "opendkim-testmsg", "openssl");
    bench.rsa_key("rights.example");
    let signed = bench.opendkim("rights.example", MAIL);
    bench.configure("dkim_keys = 'keys'\n[trust]\nrecipients = ['abuse@net.example']\n");
    bench.expect(&signed, &[], "proven", "is valid");
    bench.configure("dkim_keys = 'keys'\n[trust]\nrecipients = ['abuse@other.example']\n");
    bench.expect(&signed, &[], "unproven", "none of our addresses (replay)");
    // A second To on top is not the signed one, however well it fits.
    bench.expect(
        &format!("To: abuse@other.example\r\n{signed}"),
        &[],
        "unproven",
        "a field `To` was added unsigned",
    );
    bench.expect(
        &format!("Subject: Pay at once\r\n{signed}"),
        &[],
        "unproven",
        "a field `Subject` was added unsigned",
    );
}

#[test]
fn a_stamp_keeps_a_mail_provable_after_its_key_is_gone() {
    let bench = bench!("opendkim", "openssl", "dnsmasq");
    bench.rsa_key("rights.example");
    let signed = bench.opendkim("rights.example", MAIL);
    let Some(server) = NameServer::start(&bench) else {
        skip("dnsmasq could not serve names here");
        return;
    };
    bench.configure(&format!(
        "ledger = 'ledger'\nname_server = '{}'\n",
        server.address()
    ));
    bench.expect(&signed, &["--online"], "proven", "with the key from DNS");
    bench.expect(&signed, &[], "unproven", "its key is not available");
    let (code, out) = bench.run(&["stamp", "mail", "--config", "config"], &signed);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("1 of 1 key(s)"), "{out}");
    drop(server);
    bench.expect(&signed, &[], "proven", "with the key from stamp of");
    // Delivery adds fields on top; that changes nothing.
    bench.expect(
        &format!("Delivered-To: abuse@net.example\r\n{signed}"),
        &[],
        "proven",
        "with the key from stamp of",
    );
    bench.expect(
        &signed.replace("6881", "6882"),
        &[],
        "contradicted",
        "the body is not the one",
    );
}

#[test]
fn authentication_results_count_only_from_the_own_border() {
    let bench = bench!("openssl");
    bench.configure("[trust]\nauthserv_ids = ['mx.net.example']\nborder = ['mx.net.example']\n");
    let received =
        "Received: from out.rights.example by mx.net.example; Mon, 2 Mar 2026 12:00:00 +0000\r\n";
    let results = "Authentication-Results: mx.net.example; dkim=pass header.d=rights.example\r\n";
    bench.expect(
        &format!("{results}{received}{MAIL}"),
        &[],
        "attested",
        "found rights.example valid",
    );
    bench.expect(
        &format!("{received}{results}{MAIL}"),
        &[],
        "unproven",
        "forged, ignored",
    );
    bench.expect(
        &format!("{results}{MAIL}"),
        &[],
        "unproven",
        "forged, ignored",
    );
    let foreign = results.replace("mx.net.example", "mx.evil.example");
    bench.expect(
        &format!("{foreign}{received}{MAIL}"),
        &[],
        "unproven",
        "is not trusted: ignored",
    );
    let other = results.replace("header.d=rights.example", "header.d=evil.example");
    bench.expect(&format!("{other}{received}{MAIL}"), &[], "unproven", "");
    // The sender's own words in a field of ours begin no result.
    let quoted = results.replace(
        "dkim=pass",
        "spf=fail smtp.mailfrom=\"x; dkim=pass header.d=rights.example\"; dkim=fail",
    );
    bench.expect(&format!("{quoted}{received}{MAIL}"), &[], "unproven", "");
}

#[test]
fn results_that_were_kept_at_delivery_attest_a_mail_later() {
    let bench = bench!("openssl");
    bench.configure(
        "ledger = 'ledger'\n[trust]\nauthserv_ids = ['mx.net.example']\nborder = ['mx.net.example']\n",
    );
    let received =
        "Received: from out.rights.example by mx.net.example; Mon, 2 Mar 2026 12:00:00 +0000\r\n";
    let results =
        "Authentication-Results: mx.net.example; dmarc=pass header.from=rights.example\r\n";
    let (code, out) = bench.run(
        &["stamp", "mail", "--config", "config"],
        &format!("{results}{received}{MAIL}"),
    );
    assert_eq!(code, 0, "{out}");
    // Exported from a mailbox without the fields that delivery wrote.
    bench.expect(MAIL, &[], "attested", "kept at delivery");
    // A field that a stranger wrote below is not kept.
    let mail = MAIL.replace("<1@", "<2@");
    let (_, out) = bench.run(
        &["stamp", "mail", "--config", "config"],
        &format!("{received}{results}{mail}"),
    );
    assert!(out.contains("0 result(s)"), "{out}");
    bench.expect(&mail, &[], "unproven", "no signature");
}

#[test]
fn a_forwarder_is_believed_by_its_seal_if_it_is_named() {
    let bench = bench!("/usr/bin/python3", "openssl");
    if !bench.has_dkimpy() {
        skip("needs python3-dkim");
        return;
    }
    bench.rsa_key("rights.example");
    bench.add_key_of("rights.example", "lists.example");
    let signed = bench.dkimpy("rights.example", MAIL, false, false);
    // The list changes the subject: the author's signature breaks.
    let results = "Authentication-Results: mx.lists.example; dkim=pass header.d=rights.example\r\n";
    let changed = signed.replace("Subject: Notice", "Subject: [list] Notice");
    let sealed = bench.arc("lists.example", &format!("{results}{changed}"));
    let trusted = "[trust]\narc_sealers = ['lists.example']\n";
    bench.configure("dkim_keys = 'keys'\n");
    bench.expect(&sealed, &[], "contradicted", "does not fit its fields");
    bench.configure(&format!("dkim_keys = 'keys'\n{trusted}"));
    bench.expect(&sealed, &[], "attested", "does not fit its fields");
    // Without the author's key the seal stands alone.
    let keys = std::fs::read_to_string(bench.path("keys")).unwrap();
    let lists: String = keys
        .lines()
        .filter(|line| line.contains("lists"))
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(bench.path("keys"), lists).unwrap();
    bench.configure("dkim_keys = 'keys'\n");
    bench.expect(&sealed, &[], "unproven", "is not trusted by configuration");
    bench.configure(&format!("dkim_keys = 'keys'\n{trusted}"));
    bench.expect(
        &sealed,
        &[],
        "attested",
        "the forwarder lists.example found rights.example valid",
    );
    let cases = [
        (
            "dkim=pass header.d=rights",
            "dkim=pass header.d=bights",
            "does not fit",
        ),
        (
            "Subject: [list]",
            "Subject: [other]",
            "does not fit the mail",
        ),
        ("ARC-Seal: i=1", "ARC-Seal: i=2", "not numbered"),
    ];
    for (from, to, reason) in cases {
        let altered = sealed.replace(from, to);
        assert_ne!(altered, sealed, "{from}");
        bench.expect(&altered, &[], "unproven", reason);
    }
    // The author's signature has the body's hash in it, which needs no key.
    bench.expect(
        &sealed.replace("198.51.100.7", "198.51.100.8"),
        &[],
        "contradicted",
        "does not fit the mail",
    );
    bench.configure(trusted);
    bench.expect(&sealed, &[], "unproven", "its key is not available");
}

#[test]
fn smime_is_proven_by_a_pinned_certificate_as_of_receipt() {
    let bench = bench!("openssl");
    bench.certificate("notice@rights.example");
    let signed = bench.smime(MAIL);
    bench.configure(
        "[[complainant]]\nname = 'rights'\nsmime_ca = 'cert.pem'\naddresses = ['notice@rights.example']\n",
    );
    bench.expect(&signed, &[], "proven", "S/MIME: valid by the pinned rights");
    bench.expect(
        &signed.replace("198.51.100.7", "198.51.100.8"),
        &[],
        "contradicted",
        "not the one that was signed",
    );
    bench.expect(
        &signed.replace("notice@rights", "boss@bank"),
        &[],
        "unproven",
        "but From is another address",
    );
    let around = signed.replacen(
        "Content-Type: multipart/signed",
        "Content-Type: text/plain\r\nContent-Type: multipart/signed",
        1,
    );
    let (_, out) = bench.check(&around, &[]);
    assert!(out.contains("\"verdict\":\"unproven\""), "{out}");
    // Judged at a time at which the certificate was not valid yet.
    bench.expect(
        &signed,
        &["--received", "2001-01-01T00:00:00Z"],
        "unproven",
        "no pinned certificate leads to its signer",
    );
    bench.configure("");
    bench.expect(
        &signed,
        &[],
        "unproven",
        "no pinned certificate leads to its signer",
    );
}

#[test]
fn pgp_is_proven_by_a_pinned_key_alone() {
    let bench = bench!("gpg", "gpgv");
    let print = bench.pgp_key("notice@rights.example");
    let pin = format!(
        "[[complainant]]\nname = 'rights'\npgp = '{print}'\npgp_keyring = 'ring.gpg'\naddresses = ['notice@rights.example']\n"
    );
    bench.configure(&pin);
    let signed = bench.clearsign(MAIL, "SHA256");
    bench.expect(&signed, &[], "proven", "PGP: valid by the pinned rights");
    bench.expect(
        &signed.replace("198.51.100.7", "198.51.100.8"),
        &[],
        "contradicted",
        "not the one that was signed",
    );
    bench.expect(
        &format!("{signed}Pay at https://pay.example/\r\n"),
        &[],
        "unproven",
        "outside of the signed block",
    );
    // Lines that no signature covers, inside of the block.
    let comment = "-----BEGIN PGP SIGNATURE-----\r\nComment: Source IP: 198.51.100.9\r\n";
    bench.expect(
        &signed.replace("-----BEGIN PGP SIGNATURE-----\r\n", comment),
        &[],
        "unproven",
        "outside of the signed block",
    );
    let weak = bench.clearsign(MAIL, "SHA1");
    let (_, out) = bench.check(&weak, &[]);
    // Newer versions refuse SHA-1: then it says nothing. It is never called forged.
    assert!(!out.contains("not the one that was signed"), "{out}");
    assert!(
        out.contains("weak hash") || out.contains("PGP: says nothing"),
        "{out}"
    );
    let (content, signature) = bench.detached(MAIL);
    let mime = bench::pgp_mime(MAIL, &content, &signature);
    bench.expect(&mime, &[], "proven", "PGP: valid by the pinned rights");
    bench.expect(
        &mime.replace("198.51.100.7", "198.51.100.8"),
        &[],
        "contradicted",
        "not the one that was signed",
    );
    // A part more, which readers show and no signature covers.
    let more = "--b1\r\nContent-Type: text/plain\r\n\r\nPay at https://pay.example/\r\n--b1--";
    let (_, out) = bench.check(&mime.replace("--b1--", more), &[]);
    assert!(out.contains("\"verdict\":\"unproven\""), "{out}");
    let twice = mime.replace(
        "Content-Type: multipart/signed",
        "Content-Type: text/plain\r\nContent-Type: multipart/signed",
    );
    let (_, out) = bench.check(&twice, &[]);
    assert!(out.contains("\"verdict\":\"unproven\""), "{out}");
    bench.configure(&pin.replace(&print, &"0".repeat(40)));
    bench.expect(&signed, &[], "unproven", "its key is not pinned");
}

#[test]
fn lines_in_the_armour_of_a_signed_block_are_unsigned() {
    let bench = bench!("gpg", "gpgv");
    let print = bench.pgp_key("notice@rights.example");
    bench.configure(&format!(
        "[[complainant]]\nname = 'rights'\npgp = '{print}'\npgp_keyring = 'ring.gpg'\naddresses = ['notice@rights.example']\n"
    ));
    let signed = bench.clearsign(MAIL, "SHA256");
    let begin = "-----BEGIN PGP SIGNATURE-----";
    let with = |lines: &str| signed.replace(begin, &format!("{begin}\r\n{lines}"));
    for usual in [
        "Version: GnuPG v1.4.12 (MingW32)",
        "Version: OpenPGP.js v4.10.10\r\nComment: https://openpgpjs.org",
        "Comment: GPGTools - https://gpgtools.org",
        "Version: PGP 8.0\r\nCharset: us-ascii",
        "Comment: Using GnuPG with Mozilla - http://enigmail.mozdev.org/",
    ] {
        bench.expect(
            &with(usual),
            &[],
            "proven",
            "PGP: valid by the pinned rights",
        );
    }
    let forged = "IP Address: 198.51.100.7\r\nPort: 4444\r\nTimestamp: 2026-03-02 11:00:00 UTC\r\n";
    for unsigned in [
        forged.to_owned(),
        // What looks like the armour's beginning begins nothing.
        format!("{forged}X: {begin}"),
        "Comment: Pay EUR 500 at https://pay.example/".to_owned(),
        "Version: pay at https://pay.example/".to_owned(),
        "Comment: Using GnuPG with Thunderbird - https://pay.example/".to_owned(),
    ] {
        bench.expect(
            &with(&unsigned),
            &[],
            "unproven",
            "outside of the signed block",
        );
    }
}

#[test]
fn a_signature_part_of_pgp_holds_its_armour_and_nothing_else() {
    let bench = bench!("gpg", "gpgv");
    let print = bench.pgp_key("notice@rights.example");
    let pin = format!(
        "[[complainant]]\nname = 'rights'\npgp = '{print}'\npgp_keyring = 'ring.gpg'\naddresses = ['notice@rights.example']\n"
    );
    bench.configure(&pin);
    let (content, signature) = bench.detached(MAIL);
    let mime = bench::pgp_mime(MAIL, &content, &signature);
    let head = "Content-Type: application/pgp-signature\r\n\r\n";
    // What programs write around it by themselves.
    let usual = "Content-Type: application/pgp-signature; name=\"OpenPGP_signature.asc\"\r\n\
        Content-Description: OpenPGP digital signature\r\n\
        Content-Disposition: attachment; filename=\"OpenPGP_signature.asc\"\r\n\r\n";
    let armour = "-----BEGIN PGP SIGNATURE-----\r\n";
    let wordy = format!(
        "{armour}Version: GnuPG v2.0.22 (GNU/Linux)\r\nComment: Using GnuPG with Thunderbird - https://www.enigmail.net/\r\n"
    );
    // As Python's library has it in each part.
    let python = head.replacen("\r\n", "\r\nMIME-Version: 1.0\r\n", 1);
    for usual in [usual, &python] {
        let quiet = mime.replace(head, usual).replace(armour, &wordy);
        bench.expect(&quiet, &[], "proven", "PGP: valid by the pinned rights");
    }
    let unlicensed =
        "PGP Desktop 9.0.2 (Build 2424) - not licensed for commercial use: www.pgp.com";
    let version = |version: &str| mime.replace(armour, &format!("{armour}Version: {version}\r\n"));
    bench.expect(
        &version(unlicensed),
        &[],
        "proven",
        "PGP: valid by the pinned rights",
    );
    for other in [
        unlicensed.replace("Build 2424", "Build of IP 198.51.100.200"),
        unlicensed.replace("9.0.2", "198.51.100.200"),
        unlicensed.replace("pgp.com", "pay.example"),
    ] {
        bench.expect(&version(&other), &[], "unproven", "it covers only a part");
    }
    let form = "<Infringement><Source><TimeStamp>2026-03-02T11:00:00Z</TimeStamp>\
        <IP_Address>198.51.100.200</IP_Address><Port>4444</Port></Source></Infringement>\r\n";
    for (from, to) in [
        (
            head,
            head.replacen("\r\n", "\r\nMIME-Version: 1.0 or IP\r\n", 1),
        ),
        // gpgv skips text before the armour.
        (
            head,
            format!("Content-Type: text/pgp-signature\r\n\r\n{form}"),
        ),
        (head, format!("Content-Type: text/plain\r\n\r\n{form}")),
        (head, format!("{head}{form}")),
        ("\r\n--b1--", format!("\r\n{form}\r\n--b1--")),
        (
            head,
            head.replace("\r\n\r\n", "\r\nX-Note: IP 198.51.100.200\r\n\r\n"),
        ),
        (armour, format!("{armour}Comment: IP 198.51.100.200\r\n")),
        (
            armour,
            format!("{armour}Comment: Pay at https://pay.example/\r\n"),
        ),
        (armour, format!("{armour}IP Address: 198.51.100.200\r\n")),
    ] {
        let altered = mime.replace(from, &to);
        assert_ne!(altered, mime, "{from}");
        bench.expect(&altered, &[], "unproven", "it covers only a part");
    }
}

#[test]
fn a_pgp_mail_to_others_is_a_replay() {
    let bench = bench!("gpg", "gpgv");
    let print = bench.pgp_key("notice@rights.example");
    let (content, signature) = bench.detached(MAIL);
    let mime = bench::pgp_mime(MAIL, &content, &signature);
    let own = |address: &str| {
        bench.configure(&format!(
            "[trust]\nrecipients = ['{address}']\n[[complainant]]\nname = 'rights'\npgp = '{print}'\n\
             pgp_keyring = 'ring.gpg'\naddresses = ['notice@rights.example']\n"
        ));
    };
    own("abuse@net.example");
    bench.expect(&mime, &[], "proven", "does not cover the Subject");
    own("abuse@other.example");
    bench.expect(&mime, &[], "unproven", "none of our addresses (replay)");
}

#[test]
fn smime_to_others_or_with_words_around_its_signature_is_no_proof() {
    let bench = bench!("openssl");
    bench.certificate("notice@rights.example");
    let signed = bench.smime(MAIL);
    let own = |address: &str| {
        bench.configure(&format!(
            "[trust]\nrecipients = ['{address}']\n[[complainant]]\nname = 'rights'\nsmime_ca = 'cert.pem'\n\
             addresses = ['notice@rights.example']\n"
        ));
    };
    own("abuse@other.example");
    bench.expect(&signed, &[], "unproven", "none of our addresses (replay)");
    own("abuse@net.example");
    bench.expect(&signed, &[], "proven", "S/MIME: valid by the pinned rights");
    let kind = "\r\nContent-Type: application/pkcs7-signature";
    let python = signed.replace(kind, &format!("\r\nMIME-Version: 1.0{kind}"));
    assert_ne!(python, signed);
    bench.expect(&python, &[], "proven", "S/MIME: valid by the pinned rights");
    let at = signed.rfind("\r\n\r\nMI").unwrap();
    let words = format!(
        "{}\r\n\r\nIP 198.51.100.200{}",
        &signed[..at],
        &signed[at..]
    );
    let (_, out) = bench.check(&words, &[]);
    assert!(out.contains("\"verdict\":\"unproven\""), "{out}");
    // The text inside of the signature, which only programs read.
    let opaque = bench.smime_with(MAIL, &["-nodetach"]);
    bench.expect(&opaque, &[], "proven", "S/MIME: valid by the pinned rights");
    let words = opaque.replacen("\r\n\r\n", "\r\n\r\nIP 198.51.100.200\r\n", 1);
    let (_, out) = bench.check(&words, &[]);
    assert!(out.contains("\"verdict\":\"unproven\""), "{out}");
}

#[test]
fn smime_of_a_stranger_under_the_same_authority_proves_nothing() {
    let bench = bench!("openssl");
    bench.authority();
    bench.issue("evil@evil.example");
    let evil = bench.smime(&MAIL.replace("notice@rights", "evil@evil"));
    bench.issue("notice@rights.example");
    let good = bench.smime(MAIL);
    let pin = |file: &str, whom: &str| {
        bench.configure(&format!(
            "[[complainant]]\nname = 'other'\nsmime_ca = 'ca.pem'\naddresses = ['notice@other.example']\n\
             [[complainant]]\nname = 'rights'\nsmime_ca = '{file}'\n{whom}\n"
        ));
    };
    // The certificate of the signer may be pinned itself.
    for file in ["ca.pem", "cert.pem"] {
        for whom in [
            "addresses = ['notice@rights.example']",
            "domains = ['rights.example']",
        ] {
            pin(file, whom);
            bench.expect(&good, &[], "proven", "S/MIME: valid by the pinned rights");
            bench.expect(&evil, &[], "unproven", "S/MIME: says nothing");
        }
    }
    // Whoever is pinned has to be named.
    bench.configure("[[complainant]]\nname = 'rights'\nsmime_ca = 'ca.pem'\n");
    let (code, out) = bench.check(&good, &[]);
    assert_eq!(code, 2, "{out}");
    assert!(out.contains("`rights`"), "{out}");
}

#[test]
fn what_the_border_found_valid_does_not_outweigh_what_is_unsigned() {
    let bench = bench!("/usr/bin/python3", "openssl");
    if !bench.has_dkimpy() {
        skip("needs python3-dkim");
        return;
    }
    bench.rsa_key("rights.example");
    let trust = |recipient: &str| {
        format!(
            "[trust]\nauthserv_ids = ['mx.net.example']\nborder = ['mx.net.example']\nrecipients = ['{recipient}']\n"
        )
    };
    let whole = bench.dkimpy("rights.example", MAIL, false, false);
    let part = bench.dkimpy("rights.example", MAIL, true, false);
    let tail = "Source IP: 198.51.100.200\r\nTimestamp: 2026-03-02 11:00:00 UTC\r\n";
    for (how, header) in [("dkim", "header.d"), ("dmarc", "header.from")] {
        let border = format!(
            "Authentication-Results: mx.net.example; {how}=pass {header}=rights.example\r\n\
             Received: from out.rights.example by mx.net.example; Mon, 2 Mar 2026 12:00:00 +0000\r\n"
        );
        // With the key, and without it: what a signature covers is to be seen without.
        for keys in ["dkim_keys = 'keys'\n", ""] {
            bench.configure(&format!("{keys}{}", trust("abuse@net.example")));
            let verdict = if keys.is_empty() {
                "attested"
            } else {
                "proven"
            };
            bench.expect(
                &format!("{border}{whole}"),
                &[],
                verdict,
                "found rights.example valid",
            );
            bench.expect(
                &format!("{border}{part}"),
                &[],
                verdict,
                "found rights.example valid",
            );
            bench.expect(
                &format!("{border}{part}{tail}"),
                &[],
                "unproven",
                "unsigned (l=)",
            );
            bench.expect(
                &format!("Subject: Pay at once\r\n{border}{whole}"),
                &[],
                "unproven",
                "a field `Subject` was added unsigned",
            );
            bench.configure(&format!("{keys}{}", trust("abuse@other.example")));
            bench.expect(&format!("{border}{whole}"), &[], "unproven", "(replay)");
        }
        // Without any signature the border is believed, but for whom it was written to.
        bench.configure(&trust("abuse@net.example"));
        bench.expect(
            &format!("{border}{MAIL}"),
            &[],
            "attested",
            "found rights.example valid",
        );
        bench.configure(&trust("abuse@other.example"));
        bench.expect(&format!("{border}{MAIL}"), &[], "unproven", "(replay)");
    }
}

#[test]
fn what_a_signature_that_we_refuse_leaves_out_stops_the_border_s_word_too() {
    let bench = bench!("openssl");
    let hash = format!("{}=", "A".repeat(43));
    let border = "Authentication-Results: mx.net.example; dkim=pass header.d=rights.example\r\n\
         Received: from out.rights.example by mx.net.example; Mon, 2 Mar 2026 12:00:00 +0000\r\n";
    let trust = |recipient: &str| {
        bench.configure(&format!(
            "[trust]\nauthserv_ids = ['mx.net.example']\nborder = ['mx.net.example']\nrecipients = ['{recipient}']\n"
        ));
    };
    for (tags, word) in [
        ("a=rsa-sha1", "SHA-1"),
        ("a=rsa-sha256; x=1000", "had expired"),
    ] {
        let signed = |fields: &str| {
            format!(
                "{border}DKIM-Signature: v=1; {tags}; d=rights.example; s=k; h={fields}; bh={hash}; b=AAAA\r\n{MAIL}"
            )
        };
        trust("abuse@net.example");
        let whole = signed("from:to:subject:date");
        bench.expect(&whole, &[], "attested", word);
        let added = format!("Subject: Pay at once\r\n{whole}");
        bench.expect(&added, &[], "unproven", "a field `Subject` was added");
        let unsigned = signed("from:to:date");
        bench.expect(&unsigned, &[], "unproven", "a field `Subject` was added");
        bench.expect(&signed("from:subject"), &[], "unproven", "(replay)");
        // Of another domain it says nothing of From's.
        let foreign = unsigned.replace("d=rights.example; s", "d=relay.example; s");
        bench.expect(&foreign, &[], "attested", word);
        trust("abuse@other.example");
        bench.expect(&whole, &[], "unproven", "(replay)");
    }
}

#[test]
fn a_key_that_was_withdrawn_before_the_mail_came_proves_nothing() {
    let bench = bench!("opendkim", "openssl");
    bench.rsa_key("rights.example");
    let signed = bench.opendkim("rights.example", MAIL);
    let server = NoNames::start();
    bench.configure(&format!(
        "ledger = 'ledger'\nname_server = '{}'\n",
        server.address
    ));
    let keys = std::fs::read_to_string(bench.path("keys")).unwrap();
    let (name, record) = keys.lines().next().unwrap().split_once(' ').unwrap();
    let seen = |record: &str, at: i64| {
        let seen = Seen {
            name: name.to_owned(),
            record: record.to_owned(),
            at: Some(at),
            from: "stamp",
        };
        let mut ledger = Ledger::open(&bench.path("ledger")).unwrap();
        ledger.stamp("another mail", at, &[], &[seen]).unwrap();
    };
    let day = |day: i64| format!("2026-03-{day:02}T12:00:00Z");
    // 2026-03-02T12:00:00Z.
    let (first, a_day) = (1_772_452_800, 86_400);
    seen(record, first);
    let came = |on: i64| bench.check(&signed, &["--received", &day(on)]).1;
    for on in 1..5 {
        assert!(came(on).contains("with the key from stamp"), "{on}");
    }
    let later = came(9);
    assert!(later.contains("\"verdict\":\"unproven\""), "{later}");
    assert!(later.contains("long before"), "{later}");
    // A key of another time does not keep from asking.
    let asked = ["--received", "2026-03-09T12:00:00Z", "--online"];
    bench.expect(&signed, &asked, "unproven", "its key is not available");
    assert!(server.asked() > 0);
    seen("v=DKIM1; p=", first + a_day);
    assert!(came(2).contains("with the key from stamp"));
    let later = came(4);
    assert!(later.contains("\"verdict\":\"unproven\""), "{later}");
    assert!(later.contains("withdrawn"), "{later}");
    // That there is no key any more is kept when a mail is stamped.
    let now = jiff::Timestamp::now().as_second();
    seen(record, now - 60);
    bench.expect(&signed, &[], "proven", "with the key from stamp");
    let (code, out) = bench.run(&["stamp", "mail", "--config", "config"], &signed);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("0 of 1 key(s)"), "{out}");
    assert!(out.contains("has no key"), "{out}");
    bench.expect(&signed, &[], "unproven", "withdrawn");
}
