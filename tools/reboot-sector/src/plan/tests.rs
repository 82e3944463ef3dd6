//! Plans: what may be written where, and that nothing but code changes.

use proptest::prelude::*;

use super::*;
use crate::sector::layout::CODE_LEN;
use crate::sector::{Chain, DEFAULT_ORDER, Settings, Text, Wait};

fn disk() -> Facts {
    Facts {
        name: "sda".into(),
        kind: Kind::Disk,
        model: Some("Tiny".into()),
        serial: Some("S1".into()),
        size_bytes: 1 << 20,
        sector_bytes: 512,
        read_only: false,
        busy: false,
        uses: Vec::new(),
        member_of: None,
    }
}

fn used(kind: UseKind, whole: bool) -> Facts {
    let on = if whole { "sda" } else { "sda1" }.to_owned();
    Facts {
        busy: true,
        uses: vec![Use { kind, on, whole }],
        ..disk()
    }
}

fn request(activate: bool) -> Request {
    let settings = Settings {
        text: Text::default(),
        wait: Wait::new(30, 0).unwrap(),
        soft_tries: 0,
        serial: None,
        chain: Chain::from_names(&DEFAULT_ORDER, None).unwrap(),
    };
    Request {
        code: settings.emit(),
        activate,
    }
}

const CODE_ONLY: Restoration = Restoration {
    whole: false,
    replace: false,
};
const WHOLE: Restoration = Restoration {
    whole: true,
    replace: false,
};

/// A head with a table of one partition.
fn head() -> Vec<u8> {
    let mut head = vec![0; filesystem::HEAD_LEN];
    head[440..444].copy_from_slice(&[1, 2, 3, 4]);
    head[450] = 0x83;
    head[458] = 9;
    head[510..512].copy_from_slice(&MARK_BYTES);
    head
}

#[test]
fn disks_are_admitted_while_partitions_are_in_use() {
    let any = Expectation::default();
    assert_eq!(admit(&disk(), &any), Ok(vec![]));
    for kind in [
        UseKind::Mount("/".into()),
        UseKind::Swap,
        UseKind::Holder("dm-0".into()),
    ] {
        assert_eq!(admit(&used(kind.clone(), false), &any).unwrap().len(), 1);
        assert!(matches!(
            admit(&used(kind, true), &any),
            Err(Refusal::InUse(_))
        ));
    }
}

#[test]
fn what_is_no_fit_disk_is_refused() {
    let cases = [
        Facts {
            kind: Kind::Partition { of: "sda".into() },
            ..disk()
        },
        Facts {
            kind: Kind::Unfit("a CD-ROM"),
            ..disk()
        },
        Facts {
            read_only: true,
            ..disk()
        },
        Facts {
            sector_bytes: 4096,
            ..disk()
        },
        Facts {
            size_bytes: 511,
            ..disk()
        },
        Facts {
            busy: true,
            ..disk()
        },
        Facts {
            member_of: Some("an MD member"),
            ..disk()
        },
    ];
    for facts in cases {
        assert!(admit(&facts, &Expectation::default()).is_err(), "{facts:?}");
    }
}

#[test]
fn the_wrong_disk_is_refused() {
    let expect = |serial: Option<&str>, size_bytes| Expectation {
        serial: serial.map(str::to_owned),
        size_bytes,
    };
    assert!(admit(&disk(), &expect(Some("S1"), Some(1 << 20))).is_ok());
    assert!(matches!(
        admit(&disk(), &expect(Some("S2"), None)),
        Err(Refusal::Serial { .. })
    ));
    assert!(matches!(
        admit(&disk(), &expect(None, Some(5))),
        Err(Refusal::Size { .. })
    ));
    let nameless = Facts {
        serial: None,
        ..disk()
    };
    assert!(matches!(
        admit(&nameless, &expect(Some("S1"), None)),
        Err(Refusal::Serial { .. })
    ));
}

#[test]
fn a_blank_disk_gets_the_mark_and_a_wiped_one_does_not() {
    let plan = install(&[0; 1024], &request(false)).unwrap();
    assert_eq!(plan.new[MARK..], MARK_BYTES);
    let mut wiped = head();
    wiped[510] = 0;
    assert_eq!(install(&wiped, &request(false)), Err(Refusal::Unmarked));
}

#[test]
fn file_systems_are_refused_unless_a_table_makes_them_leftovers() {
    let mut ext = vec![0; filesystem::HEAD_LEN];
    ext[1080..1082].copy_from_slice(&[0x53, 0xef]);
    assert_eq!(
        install(&ext, &request(false)),
        Err(Refusal::FileSystem("ext2, ext3 or ext4"))
    );
    let mut leftover = head();
    leftover[1080..1082].copy_from_slice(&[0x53, 0xef]);
    assert!(install(&leftover, &request(false)).is_ok());
    let mut member = head();
    member[4096..4100].copy_from_slice(&[0xfc, 0x4e, 0x2b, 0xa9]);
    assert_eq!(
        install(&member, &request(false)),
        Err(Refusal::FileSystem("an MD member"))
    );
    let mut luks = head();
    luks[..6].copy_from_slice(b"LUKS\xba\xbe");
    assert_eq!(
        install(&luks, &request(false)),
        Err(Refusal::FileSystem("LUKS"))
    );
}

#[test]
fn only_an_inactive_table_is_activated_and_only_when_asked() {
    assert_eq!(install(&head(), &request(false)).unwrap().new[446], 0);
    assert_eq!(install(&head(), &request(true)).unwrap().new[446], 0x80);
    let mut second = head();
    second[462] = 0x80;
    second[466] = 0x83;
    second[474] = 1;
    assert_eq!(install(&second, &request(true)).unwrap().new[446], 0);
    assert_eq!(
        install(&[0; 512], &request(true)),
        Err(Refusal::NothingToActivate)
    );
}

#[test]
fn restoring_keeps_a_table_that_changed_unless_all_is_asked_for() {
    let backup: Record = *head().first_chunk().unwrap();
    let mut now = head();
    now[..CODE_LEN].copy_from_slice(&request(false).code);
    now[450] = 0x82;
    let code_only = restore(&now, &backup, CODE_ONLY).unwrap();
    assert_eq!(code_only.new[..CODE_LEN], backup[..CODE_LEN]);
    assert_eq!(code_only.new[CODE_LEN..], now[CODE_LEN..512]);
    assert_eq!(restore(&now, &backup, WHOLE).unwrap().new, backup);
}

#[test]
fn restoring_takes_back_the_active_flag_and_the_mark_that_were_set() {
    for (before, activate) in [(head(), true), (vec![0; 512], false)] {
        let plan = install(&before, &request(activate)).unwrap();
        assert_ne!(plan.new[CODE_LEN..], plan.old[CODE_LEN..]);
        let back = restore(&plan.new, &plan.old, CODE_ONLY).unwrap();
        assert_eq!(back.new[..], before[..512]);
    }
    // Another flag than ours is somebody else's.
    let mut second = head();
    second[462..478].copy_from_slice(&[0x80, 0, 0, 0, 0x83, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
    let mut now = second.clone();
    now[446] = 0x80;
    let backup: Record = *second.first_chunk().unwrap();
    assert_eq!(restore(&now, &backup, CODE_ONLY).unwrap().new[446], 0x80);
}

#[test]
fn restoring_spares_a_file_system_made_since() {
    let backup: Record = *head().first_chunk().unwrap();
    let mut xfs = vec![0; filesystem::HEAD_LEN];
    xfs[..4].copy_from_slice(b"XFSB");
    let replace = true;
    for whole in [false, true] {
        let refused = Err(Refusal::FileSystem("XFS"));
        assert_eq!(
            restore(&xfs, &backup, Restoration { whole, replace }),
            refused
        );
    }
}

#[test]
fn restoring_spares_code_of_others_unless_it_may_be_replaced() {
    let backup: Record = *head().first_chunk().unwrap();
    let with = |start: &[u8]| {
        let mut now = head();
        now[..start.len()].copy_from_slice(start);
        now
    };
    let replace = Restoration {
        replace: true,
        ..CODE_ONLY
    };
    for (start, name) in [(&[0xeb, 0x63, 0x90][..], "GRUB 2"), (&[0x90], "unknown")] {
        let now = with(start);
        for wanted in [CODE_ONLY, WHOLE] {
            let refused = Err(Refusal::OtherCode(name.to_owned()));
            assert_eq!(restore(&now, &backup, wanted), refused);
        }
        let plan = restore(&now, &backup, replace).unwrap();
        assert_eq!(plan.new, backup);
        assert_eq!(plan.notes, [format!("replaces: {name}")]);
        // It is there already: nothing is lost.
        let same: Record = *now.first_chunk().unwrap();
        assert!(restore(&now, &same, CODE_ONLY).unwrap().is_done());
    }
    let mut damaged = with(&request(false).code);
    damaged[100] ^= 1;
    for ours in [with(&request(false).code), damaged, head()] {
        assert_eq!(restore(&ours, &backup, CODE_ONLY).unwrap().new, backup);
    }
}

#[test]
fn unknown_bytes_without_a_mark_are_not_taken_for_a_blank_disk() {
    let mut archive = vec![0; 1024];
    archive[..9].copy_from_slice(b"etc/fstab");
    let refused = Err(Refusal::Implausible);
    assert_eq!(install(&archive, &request(false)), refused);
}

#[test]
fn an_active_flag_on_a_gpt_disk_is_warned_of() {
    let mut gpt = head();
    gpt[450] = mbr::PROTECTIVE;
    let notes = install(&gpt, &request(true)).unwrap().notes;
    assert!(notes.iter().any(|note| note.contains("UEFI")), "{notes:?}");
}

proptest! {
    #[test]
    fn nothing_but_code_ever_changes(
        noise in prop::collection::vec(any::<u8>(), 512),
        kinds in prop::collection::vec(prop_oneof![Just(0), Just(0x83), Just(0xee), any::<u8>()], 4),
        marked in prop::bool::weighted(0.9),
        plausible in prop::bool::weighted(0.9),
    ) {
        let mut old = noise;
        for (index, kind) in kinds.into_iter().enumerate() {
            let at = ENTRIES + index * ENTRY_LEN;
            old[at + 4] = kind;
            if plausible {
                old[at] &= 0x80;
                old[at + 12] |= 1;
            }
        }
        if marked {
            old[MARK..].copy_from_slice(&MARK_BYTES);
        }
        if let Ok(plan) = install(&old, &request(false)) {
            prop_assert_eq!(&plan.new[..CODE_LEN], &request(false).code[..]);
            let blank = mbr::read(&plan.old).scheme() == Scheme::None;
            let end = if blank { MARK } else { 512 };
            prop_assert_eq!(&plan.new[CODE_LEN..end], &old[CODE_LEN..end]);
            // And back again.
            let back = restore(&plan.new, &plan.old, WHOLE).unwrap();
            prop_assert_eq!(&back.new[..], &old[..]);
        }
    }
}
