//! Forks in the windows of a channel's birth.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_tests::births::BIRTHS;
use std::process::{Command, Stdio};

/// RELAY_FORKS=n forks at one of n instructions; 1: at each.
#[test]
fn a_fork_at_any_instruction_of_a_birth() {
    let every = std::env::var("RELAY_FORKS").unwrap_or_else(|_| "250".into());
    let steps = BIRTHS.map(|(name, _)| {
        let mut step = Command::new(env!("CARGO_BIN_EXE_step"));
        let step = step.args(["births", name, &every]);
        step.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    for step in steps {
        let output = step.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        print!("{said}");
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    }
}
