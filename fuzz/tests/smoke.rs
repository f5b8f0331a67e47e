//! Replays the corpus of every target, and mutates it: the fuzzing that needs nothing but stable Rust.
//!
//! `RELAY_SEED` repeats a run, `RELAY_FUZZ` multiplies the number of mutations.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_fuzz::mutate::mutated;
use relay_fuzz::{TARGETS, Target};
use relay_tests::payload::{Random, seed};
use relay_tests::report::Outcome;
use std::path::Path;
use std::time::{Duration, Instant};

/// No input of a few kilobytes may take longer, on a loaded machine.
const SLOW: Duration = Duration::from_secs(20);

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut files: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Runs a target over an input; keeps the input of a finding.
fn judged(name: &str, target: Target, data: &[u8], outcome: &mut Outcome) {
    outcome.cases += 1;
    let started = Instant::now();
    let held = std::panic::catch_unwind(|| target(data)).is_ok();
    let slow = started.elapsed() > SLOW;
    outcome.crashes += u64::from(!held);
    outcome.hangs += u64::from(slow);
    if !held || slow {
        let kept = std::env::temp_dir().join(format!("relay-fuzz-{name}-{}", outcome.cases));
        std::fs::write(&kept, data).unwrap();
        println!("a finding in {name}: {}", kept.display());
    }
}

fn smoke(name: &str, target: Target, mutations: u64) -> bool {
    let (seed, mut outcome) = (seed(), Outcome::default());
    let (corpus, mut random) = (corpus(name), Random::new(seed));
    assert!(!corpus.is_empty());
    corpus.iter().for_each(|data| judged(name, target, data, &mut outcome));
    for _ in 0..mutations {
        judged(name, target, &mutated(&corpus, &mut random), &mut outcome);
    }
    outcome.note = format!("{} inputs of the corpus, seed {seed}", corpus.len());
    outcome.print(&format!("fuzz: {name}"));
    outcome.is_clean()
}

#[test]
fn every_target() {
    let times = std::env::var("RELAY_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let clean = TARGETS.map(|(name, target, mutations)| smoke(name, target, mutations * times));
    assert_eq!(clean, [true; TARGETS.len()], "findings");
}

/// The control: a target that a single byte breaks is found out.
#[test]
fn a_finding_is_found() {
    let target: Target = |data| assert!(!data.contains(&b'!'), "a finding");
    let (corpus, mut random) = ([b"harmless".to_vec()], Random::new(1));
    let broken = |data: Vec<u8>| std::panic::catch_unwind(|| target(&data)).is_err();
    assert!((0..5_000).any(|_| broken(mutated(&corpus, &mut random))));
}
