//! The level is global, so this test has a process of its own.

#![cfg(feature = "macros")]
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use relay_log::{__private::STATIC_MAX_LEVEL, Level, Relay};
use std::cell::Cell;

#[test]
fn a_disabled_statement_evaluates_nothing() {
    let evaluated = Cell::new(0);
    let argument = || evaluated.replace(evaluated.get() + 1);
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::builder(dir.path()).channel("levels").init().unwrap();
    for (level, name) in (0..).zip(["off", "error", "warn", "info", "debug", "trace"]) {
        relay.set_filter(name).unwrap();
        evaluated.set(0);
        relay_log::error!("{}", argument());
        relay_log::warn!(key = argument(); "message");
        relay_log::info!("{:x}", argument());
        relay_log::debug!(key:? = argument(); "{0:>1$}", "text", argument());
        relay_log::trace!("{x}", x = argument());
        // A computed level is evaluated all the same.
        let computed = || {
            argument();
            Level::Trace
        };
        relay_log::log!(computed(), "{}", argument());
        // At `debug` there are two arguments; at `trace` there are two statements.
        let enabled = [0, 1, 2, 3, 5, 7][usize::from(level.min(STATIC_MAX_LEVEL))];
        assert_eq!(evaluated.get(), 1 + enabled, "{level}");
    }
}
