//! The sector's bytes: settings survive the round trip, damage is seen, and nothing panics.

use proptest::prelude::*;

use super::layout::*;
use super::*;

fn settings() -> Settings {
    Settings {
        text: Text::default(),
        wait: Wait::new(30, 0).unwrap(),
        soft_tries: 0,
        serial: None,
        chain: Chain::from_names(&DEFAULT_ORDER, None).unwrap(),
    }
}

fn any_method() -> impl Strategy<Value = Method> {
    prop_oneof![
        (0xb000_u16.., any::<u8>())
            .prop_map(|(port, value)| Method::Acpi(ResetPort { port, value })),
        Just(Method::Cf9),
        Just(Method::Cf9Full),
        Just(Method::Keyboard),
        Just(Method::Port92),
        Just(Method::Triple),
        Just(Method::Jump),
    ]
}

prop_compose! {
    fn any_settings()(
        text in "[ -~]{0,47}",
        delay in 1_u32..3000,
        jitter in 0_u32..600,
        soft_tries: u8,
        serial in prop::option::of((1_u16.., 1_u16..)),
        methods in prop::collection::vec(any_method(), 1..=5),
    ) -> Settings {
        Settings {
            text: Text::new(&text).unwrap(),
            wait: Wait::new(delay, jitter).unwrap(),
            soft_tries,
            serial: serial.map(|(port, divisor)| Serial { port, divisor }),
            chain: Chain::new(methods).unwrap(),
        }
    }
}

proptest! {
    #[test]
    fn settings_come_back_out_of_the_code(settings in any_settings()) {
        prop_assert_eq!(read(&settings.emit()), Some(Ours::Current(settings)));
    }

    #[test]
    fn one_wrong_bit_is_seen(settings in any_settings(), bit in 0..CODE_LEN * 8) {
        let mut code = settings.emit();
        code[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!matches!(read(&code), Some(Ours::Current(_) | Ours::OtherVersion(_))));
    }

    #[test]
    fn any_bytes_behind_a_right_checksum_are_borne(
        noise in prop::collection::vec(any::<u8>(), CODE_LEN),
        version in prop::option::of(any::<u8>()),
    ) {
        let mut code = settings().emit();
        let after = SETTINGS + 5;
        code[after..].copy_from_slice(&noise[after..]);
        if let Some(version) = version {
            code[SETTINGS + 4] = version;
        }
        let crc = crc32(&code[..CHECKSUM]);
        code[CHECKSUM..].copy_from_slice(&crc.to_le_bytes());
        let _any = read(&code);
    }

    /// No tool may take the sector for a file system, nor parted for an empty one.
    #[test]
    fn no_settings_look_like_a_bios_parameter_block(settings in any_settings()) {
        let code = settings.emit();
        prop_assert_eq!(&code[..3], &[0xeb, 0x58, 0x90]);
        prop_assert!(code[3..TEXT].iter().all(|byte| *byte == 0));
    }
}

#[test]
fn labels_are_where_the_records_say() {
    let code = settings::TEMPLATE;
    // cli; mov si, CHAIN: the interpreter. lidt: the triple fault. xor ax, ax; mov [472h], ax: the jump.
    let [low, high] = (BASE + 0x178).to_le_bytes();
    assert_eq!(
        code[usize::from(LABEL_CHAIN)..][..4],
        [0xfa, 0xbe, low, high]
    );
    assert_eq!(code[usize::from(LABEL_TRIPLE)..][..2], [0x0f, 0x01]);
    assert_eq!(
        code[usize::from(LABEL_JUMP)..][..5],
        [0x31, 0xc0, 0xa3, 0x72, 0x04]
    );
}

#[test]
fn the_template_holds_the_defaults() {
    let no_acpi = settings().emit();
    assert_eq!(no_acpi[..CHAIN], settings::TEMPLATE[..CHAIN]);
}

#[test]
fn names_of_methods_are_read_and_printed_alike() {
    for name in ["acpi", "cf9", "cf9-full", "kbc", "port92", "triple", "jump"] {
        assert_eq!(name.parse::<MethodName>().unwrap().to_string(), name);
    }
    assert!("warm".parse::<MethodName>().is_err());
}

#[test]
fn a_chain_too_long_or_empty_is_refused() {
    assert_eq!(Chain::new(vec![]), Err(ChainError::Empty));
    assert_eq!(
        Chain::from_names(&[MethodName::Acpi], None),
        Err(ChainError::Empty)
    );
    assert_eq!(
        Chain::new(vec![Method::Cf9; 6]),
        Err(ChainError::TooLong(12))
    );
    assert!(Chain::new(vec![Method::Keyboard; 10]).is_ok());
}

#[test]
fn serial_lines_have_names_and_rates() {
    assert_eq!(
        "com1".parse(),
        Ok(Serial {
            port: 0x3f8,
            divisor: 1
        })
    );
    assert_eq!(
        "com2:9600".parse(),
        Ok(Serial {
            port: 0x2f8,
            divisor: 12
        })
    );
    assert_eq!(
        "com2:9600".parse::<Serial>().unwrap().to_string(),
        "com2:9600"
    );
    for wrong in ["", "com5", "com1:", "com1:0", "com1:7", "com1:1", "com1:-1"] {
        assert!(wrong.parse::<Serial>().is_err(), "{wrong}");
    }
}
