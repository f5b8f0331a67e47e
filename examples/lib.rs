//! Examples of Relay: numbered lessons in `lessons/`, and two programs.
//!
//! * `cargo run --release --example demo`: what a newcomer runs first.
//! * `cargo run --release --example replay -- --dir logs --threads 4 FILE…`: text logs through Relay.

use std::path::PathBuf;

pub mod shown;

/// The directory that a lesson works in: its first argument, `logs` without one.
#[must_use]
pub fn directory() -> PathBuf {
    std::env::args_os().nth(1).map_or_else(|| "logs".into(), PathBuf::from)
}
