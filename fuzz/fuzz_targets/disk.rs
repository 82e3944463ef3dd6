//! First sectors of disks of others: reports, plans, GPT headers, backups.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reboot_sector::backup::Backup;
use reboot_sector::efi;
use reboot_sector::efi::found::{Firmware, Found};
use reboot_sector::plan::{Request, install};
use reboot_sector::report;
use reboot_sector::sector::layout::CODE_LEN;
use reboot_sector::table::filesystem::tail_sign;
use reboot_sector::table::gpt::{GptError, Header};

fuzz_target!(|bytes: &[u8]| {
    let header = Header::read(bytes.get(512..).unwrap_or_default());
    let gpt = header.and_then(|header| {
        let partitions = header.partitions(bytes.get(1024..).unwrap_or_default())?;
        Ok((header, partitions))
    });
    let found = Found::judge(Some(bytes), Firmware::Elsewhere);
    let _report = report::judge(bytes, 512, &gpt, Some(found));
    let _none = report::judge(bytes, 4096, &Err(GptError::Absent), None);
    let request = Request {
        code: [0xeb; CODE_LEN],
        activate: bytes.first() == Some(&1),
    };
    if let Ok(plan) = install(bytes, &request) {
        assert_eq!(plan.old[CODE_LEN..446], plan.new[CODE_LEN..446]);
        assert_eq!(plan.old[..], bytes[..512]);
    }
    let _settings = efi::read(bytes);
    let _member = tail_sign(bytes.len() as u64, bytes);
    if let Ok(text) = str::from_utf8(bytes) {
        let _backup = Backup::read_text(text);
    }
});
