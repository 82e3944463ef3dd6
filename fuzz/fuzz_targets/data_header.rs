//! Headers of data packets and bodies of beats, from anybody.
#![no_main]

use grappe_proto::wire::data::{Beat, HEADER_LEN, Header};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(header) = Header::read(bytes) {
        assert_eq!(header.emit()[..], bytes[..HEADER_LEN]);
    }
    if let Ok(beat) = Beat::read(bytes) {
        assert_eq!(beat.emit()[..], *bytes);
    }
});
