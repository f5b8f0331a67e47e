//! Every target over its corpus, its seeds, and mutations of both: a fuzzer's first second.
//!
//! `RELAY_SEED` repeats a run, `RELAY_FUZZ_MS` says how long each target is mutated, in milliseconds.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_fuzz::mutate::mutate;
use relay_fuzz::{TARGETS, Target};
use relay_tests::payload::{Random, seed};
use relay_tests::report::Outcome;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let mut files: Vec<_> =
        std::fs::read_dir(dir).into_iter().flatten().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).chain((target.seeds)()).collect()
}

/// Runs a target; keeps the input where it fails.
fn attempt(target: &Target, input: &[u8], what: &str) -> bool {
    let fine = catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_ok();
    if !fine {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.input", target.name));
        std::fs::write(&file, input).unwrap();
        println!("{}: {what} fails: {}", target.name, file.display());
    }
    fine
}

fn fuzz(target: &Target, seed: u64, time: Duration) -> Outcome {
    let (corpus, mut outcome) = (corpus(target), Outcome::default());
    for (n, input) in corpus.iter().enumerate() {
        outcome.cases += 1;
        outcome.crashes += u64::from(!attempt(target, input, &format!("input {n}")));
    }
    let started = Instant::now();
    // Each round has a seed of its own, so that the machine's load does not change what is tried.
    for round in 0.. {
        if started.elapsed() > time || outcome.crashes > 0 {
            break;
        }
        let mut random = Random::new(seed.wrapping_add(round).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut pick = || &corpus[random.below(corpus.len() as u64) as usize];
        let (mut input, other) = (pick().clone(), pick());
        mutate(&mut input, other, &mut random);
        outcome.cases += 1;
        let what = format!("round {round} of RELAY_SEED={seed}");
        outcome.crashes += u64::from(!attempt(target, &input, &what));
    }
    outcome
}

/// A target with a fault that only a changed length shows.
const PLANTED: Target = Target {
    name: "planted",
    run: |input| assert!(input.len() < 2 || usize::from(input[1]) <= input.len() - 2),
    seeds: || vec![b"\0\x04four".to_vec()],
};

fn the_driver_finds_what_was_planted(seed: u64) {
    let mut found = fuzz(&PLANTED, seed, Duration::from_secs(20));
    assert_eq!(found.crashes, 1, "the driver finds nothing");
    found.note = "a length that is believed".into();
    found.print("CONTROL fuzz target with a fault, must crash");
}

/// One test, since what is allocated is counted for the whole process.
#[test]
fn every_target_holds() {
    let millis = std::env::var("RELAY_FUZZ_MS").ok().and_then(|ms| ms.parse().ok()).unwrap_or(800);
    let (seed, mut all) = (seed(), Outcome::default());
    println!("RELAY_SEED={seed}");
    for target in TARGETS {
        let outcome = fuzz(target, seed, Duration::from_millis(millis));
        println!("{}: {} inputs", target.name, outcome.cases);
        all.add(&outcome);
    }
    all.note = format!("{} targets, seed {seed}", TARGETS.len());
    all.print("fuzz targets, mutated without guidance");
    assert!(all.is_clean(), "{all:?}");
    the_driver_finds_what_was_planted(seed);
}
