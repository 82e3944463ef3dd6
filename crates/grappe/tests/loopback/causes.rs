//! What held a copy back, as the report names it, where the sender's source is slow. A slow link and a disk that
//! stands still need parts of the machine, and are named in tests of the lab.

use std::path::Path;
use std::process::Command;

use crate::program::{Running, node};
use crate::stage::Stage;

#[test]
fn a_slow_source_is_named() {
    let stage = Stage::new();
    let _receivers = [stage.receiver("n0"), stage.receiver("n1")];
    let send = stage.send_to(2, &[Path::new("-")]);
    let slowly = "for part in 1 2 3 4 5 6 7 8 9 10; do head -c 400000 /dev/zero; sleep 0.1; done";
    let mut fed = Command::new("sh");
    fed.args(["-c", &format!("({slowly}) | \"$@\""), "sh"])
        .arg(send.get_program())
        .args(send.get_args())
        .env_remove("GRAPPE_KEY");
    let report = Running::start(&mut fed).end().with_code(0).report();
    assert_eq!(report["bytes"], 4_000_000);
    for name in ["n0", "n1"] {
        assert_eq!(node(&report, name)["limited_by"], "sender", "{report}");
    }
}
