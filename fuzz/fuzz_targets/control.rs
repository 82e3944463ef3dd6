//! Control messages of both directions: what is read is written again and read alike.
#![no_main]

use grappe_proto::limits::MANIFEST_BYTES_MAX;
use grappe_proto::receiver::Receiver;
use grappe_proto::units::Time;
use grappe_proto::wire::control::{ToReceiver, decode_to_receiver, decode_to_sender, encode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = decode_to_sender(bytes) {
        assert_eq!(decode_to_sender(&encode(&message)), Ok(message));
    }
    if let Ok(message) = decode_to_receiver(bytes) {
        if let ToReceiver::Welcome(welcome) = &message {
            assert!(welcome.manifest_len <= MANIFEST_BYTES_MAX);
            assert!(Receiver::new(welcome, Time::ZERO).is_ok());
        }
        assert_eq!(decode_to_receiver(&encode(&message)), Ok(message));
    }
});
