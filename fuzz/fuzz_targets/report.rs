//! Headers and bodies of reports: what is read is written again and read alike.
#![no_main]

use grappe_proto::wire::data::{HEADER_LEN, TAG_LEN};
use grappe_proto::wire::report::{REPORT_LEN_MAX, Report, ReportHeader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(header) = ReportHeader::read(bytes) {
        assert_eq!(header.emit()[..], bytes[..HEADER_LEN]);
    }
    if let Ok(report) = Report::read(bytes) {
        let mut written = Vec::new();
        report.emit(&mut written);
        assert!(HEADER_LEN + written.len() + TAG_LEN <= REPORT_LEN_MAX);
        assert_eq!(Report::read(&written), Ok(report));
    }
});
