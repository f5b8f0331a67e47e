//! Held between any two instructions while others write, switch and collect, a writer goes on and nothing is
//! lost, doubled or torn.
//!
//! `RELAY_HOLDS` of sixteen runs are made, each holding the writer at other images; where it is more than one, also
//! a run that holds it at all of them.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_tests::payload::{Random, seed};
use relay_tests::preempt::run;
use relay_tests::report::Outcome;
use relay_tests::script::scripts;
use std::path::Path;

const EXE: &str = env!("CARGO_BIN_EXE_step");

/// A run holds the writer at each so manieth image.
const EVERY: u64 = 16;

#[test]
fn a_writer_goes_on_after_others_have_been_at_work() {
    let seed = seed();
    let runs: u64 = std::env::var("RELAY_HOLDS").map_or(1, |n| n.parse().unwrap());
    let first = Random::new(seed).below(EVERY);
    let mut all = Outcome::default();
    for script in scripts() {
        let sparse = (0..runs).map(|i| (EVERY, (first + i) % EVERY));
        let dense = (runs > 1).then_some((1, 0));
        for (every, from) in dense.into_iter().chain(sparse) {
            let outcome = run(Path::new(EXE), script.name, every, from, seed + from);
            println!("{}", outcome.note);
            assert!(outcome.is_clean(), "seed {seed}, {every}, {from}: {outcome:?}");
            all.add(&outcome);
        }
    }
    all.note = format!("seed {seed}, {} of {EVERY} turns", runs.min(EVERY));
    all.print("writer stopped, others write and collect, it goes on");
    assert!(all.cases > 1_000, "held too rarely: {all:?}");
}
