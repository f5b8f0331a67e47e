//! One call for `log` and `tracing`.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]
#![cfg(feature = "tracing")]

mod common;

use common::{messages, read};
use relay_log::{InitError, Relay};
use tracing::{debug, info};

#[test]
fn one_call_sets_up_both_worlds() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::builder(dir.path()).channel("both").filter("info").init_tracing().unwrap();
    assert!(!tracing::enabled!(tracing::Level::DEBUG));
    info!("from tracing");
    log::info!("from log");
    relay.set_filter("debug").unwrap();
    debug!("more from tracing");
    log::debug!("more from log");
    let again = Relay::builder(dir.path()).init_tracing();
    assert!(matches!(again, Err(InitError::AlreadySet)));
    let events = read(&dir.path().join("live"));
    let expected = ["from tracing", "from log", "more from tracing", "more from log"];
    assert_eq!(messages(&events, |e| e.callsite().target == "tracing_init"), expected);
}
