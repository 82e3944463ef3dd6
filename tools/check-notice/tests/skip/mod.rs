//! A test that cannot run here says so: on standard error, and in the file that `setup` collects.

use std::fs::OpenOptions;
use std::io::Write;

/// Names the file that collects what was skipped.
const LIST: &str = "GRAPPE_SKIPPED";

/// Says that the running test is skipped, and why.
pub(crate) fn skip(reason: &str) {
    let thread = std::thread::current();
    let line = format!("{}: {reason}", thread.name().unwrap_or("a test"));
    eprintln!("skipped: {line}");
    let Some(list) = std::env::var_os(LIST) else {
        return;
    };
    let opened = OpenOptions::new().create(true).append(true).open(list);
    // One write for each line: other tests write at the same time.
    let written = opened.and_then(|mut list| list.write_all(format!("{line}\n").as_bytes()));
    assert!(written.is_ok(), "{LIST} names a file that can be written");
}
