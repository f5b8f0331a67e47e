//! Signal handlers that log while a log call is under way.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_tests::storm::run;
use std::path::Path;

#[test]
fn handlers_log_at_every_instruction_of_a_log_call() {
    let calls = std::env::var("RELAY_CALLS").ok().and_then(|c| c.parse().ok()).unwrap_or(300);
    let outcome = run(Path::new(env!("CARGO_BIN_EXE_step")), calls);
    outcome.print("handlers that log, in handlers that log, at every instruction");
    assert!(outcome.is_clean() && outcome.cases > calls / 4, "{outcome:?}");
}
