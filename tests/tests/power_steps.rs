//! The power goes before and after every system call of a program and of its collector, on a real ext4.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_tests::disk::alone;
use relay_tests::payload::{Random, seed};
use relay_tests::power::{Stage, Who};
use relay_tests::report::{Outcome, skipped};
use std::path::Path;

/// Cuts everywhere, or at so many places of each part that are drawn at random: `RELAY_LONG=1`.
fn attack(who: Who, name: &str, attack: &str) {
    if !alone(name, attack) {
        return;
    }
    let Some(stage) = Stage::new(Path::new(env!("CARGO_BIN_EXE_step"))) else {
        return skipped(attack, "an ext4 on a loop device cannot be made and mounted here");
    };
    let all = stage.cuts(who);
    // Small differences in time make some more.
    let all = if who == Who::Collector { all + all / 20 } else { all };
    let cuts = if std::env::var_os("RELAY_LONG").is_some() { all } else { 30.min(all) };
    let seed = seed();
    let mut random = Random::new(seed);
    let mut sum = Outcome::default();
    let (mut durable, mut tail, mut told) = (0, 0, 0);
    for part in 0..cuts {
        // One place of each part.
        let (from, to) = (part * all / cuts, (part + 1) * all / cuts);
        let at = from + random.below(to - from);
        let cut = stage.cut(who, at);
        assert!(cut.outcome.is_clean(), "RELAY_SEED={seed}, cut {at} of {all}: {:?}", cut.outcome);
        sum.add(&cut.outcome);
        (durable, tail, told) =
            (durable + cut.durable, tail + cut.tail, told + u64::from(cut.told));
    }
    sum.note = format!(
        "of {all} places; {durable} records durable; of the others {tail} gone, said by {told} audits"
    );
    sum.print(attack);
    // The control: what is not durable does go, or nothing was cut.
    assert!(durable > 0 && tail > 0, "RELAY_SEED={seed}: {sum:?}");
}

#[test]
fn at_every_system_call_of_a_program() {
    let name = "at_every_system_call_of_a_program";
    attack(Who::Producer, name, "power cut before and after every system call of a program");
}

#[test]
fn at_every_system_call_of_a_collector() {
    let name = "at_every_system_call_of_a_collector";
    attack(Who::Collector, name, "power cut before and after every system call of a collector");
}
