//! Announcements, and the check of their signature, from anybody.
#![no_main]

use grappe::trust::PublicKey;
use grappe_proto::wire::announce::{Announcement, SIGNED_LEN};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok((announcement, signed, signature)) = Announcement::read(bytes) {
        assert_eq!(announcement.emit_signed_part(), signed);
        assert_eq!(signed.len(), SIGNED_LEN);
        let _forged = PublicKey::from_bytes(announcement.sender).verify(signed, &signature);
    }
});
