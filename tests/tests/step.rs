//! Killed at every instruction, every returned record is there.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_tests::script::{Judge, Op, act, scripts};
use relay_tests::step::{birth, run};
use std::path::Path;

const EXE: &str = env!("CARGO_BIN_EXE_step");

#[test]
fn a_child_can_be_killed_at_every_instruction() {
    for script in scripts() {
        let stepped = run(Path::new(EXE), &script);
        assert!(stepped.outcome.is_clean(), "{:?}", stepped.outcome);
        assert!(stepped.images > script.ops.len() as u64, "too few images: {stepped:?}");
    }
}

#[test]
fn a_channel_is_alive_from_its_first_moment_in_the_directory() {
    let born = birth(Path::new(EXE));
    assert!(born.outcome.is_clean() && born.alive > 0, "{born:?}");
}

/// The judge itself: it must see a lost record, a changed byte, and a record too many.
#[test]
fn the_judge_sees_what_it_is_there_to_see() {
    let home = tempfile::tempdir().unwrap();
    let script = scripts().into_iter().find(|s| s.name == "switch").unwrap();
    let writes = script.ops.iter().filter(|op| matches!(op, Op::Write(..))).count();
    let live = home.path().join("live");
    act(&live, &script, &|_| {}, &|_| {});
    let entry = std::fs::read_dir(&live).unwrap().next().unwrap().unwrap();
    let image = std::fs::read(entry.path()).unwrap();
    let judged = |image: &[u8], done: usize| {
        let mut judge = Judge::new(script.clone());
        judge.done(done);
        judge.image(image);
        judge.outcome
    };
    assert!(judged(&image, writes).is_clean());
    assert!(judged(&image, writes - 1).is_clean(), "one may be in flight");
    assert!(!judged(&image, writes - 2).is_clean(), "two may not");
    let mut lost = image.clone();
    lost[4096 + 8..4096 + 11].fill(0);
    assert!(judged(&lost, writes).lost > 0, "a whole sub-buffer without a length");
    let mut torn = image;
    torn[4096 + 256 + 300] ^= 1;
    assert!(!judged(&torn, writes).is_clean(), "one bit");
}
