//! Tables and variables of a firmware: the reset register, boot options and where ours goes among them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reboot_sector::efi;
use reboot_sector::firmware::boot_option::LoadOption;
use reboot_sector::firmware::boot_order::{Variables, put_last};
use reboot_sector::firmware::fadt::reset_register;

fuzz_target!(|bytes: &[u8]| {
    let _reset = reset_register(bytes);
    if let Some(option) = LoadOption::read(bytes) {
        let _again = LoadOption::read(&option.emit());
    }
    let order = bytes
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    let before = Variables {
        order,
        options: [(0, bytes.to_vec())].into(),
    };
    if let Ok(change) = put_last(&before, &efi::option(None)) {
        let after = change.order.unwrap_or(before.order);
        assert_eq!(after.last(), Some(&change.number));
        assert!(after.len() > 1);
    }
});
