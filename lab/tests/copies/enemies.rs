//! Copies under attack by a host on the same network that forges, damages and replays packets.

use lab::inject::Injected;
use lab::net::Plan;
use lab::process::Process;

use crate::trial::{COPY_MAX, Trial};

const ATTACK_SECONDS: &str = "6";

#[test]
fn forged_damaged_and_replayed_packets_change_nothing() {
    let plan = Plan {
        link_mbit: Some(200),
        split: true, // the enemy handles single packets
        ..Plan::of(4)
    };
    let Some(trial) = Trial::new(&plan) else {
        return;
    };
    let file = trial.file("content", 48 << 20);
    let _receivers = trial.receivers(&[2, 3]);
    let mut attack = trial.cluster.node(4).command(env!("CARGO_BIN_EXE_lab"));
    attack.args(["inject", "--seconds", ATTACK_SECONDS]);
    let mut attack = Process::start(attack, trial.store.path(), "inject").unwrap();

    trial.copy(1, &file, &[2, 3]);

    attack.finish(COPY_MAX).unwrap();
    let injected: Injected = serde_json::from_str(&attack.output()).unwrap();
    assert!(
        injected.damaged > 0 && injected.invented > 0 && injected.replayed > 0,
        "the attack came to nothing: {injected:?}"
    );
}
