//! Examples of Relay: numbered lessons in `lessons/`, and programs.
//!
//! * `cargo run --release --example demo`: what a newcomer runs first.
//! * `cargo run --release --example replay -- --dir logs --threads 4 FILE…`: text logs through Relay.
//! * `cargo run --release --example retrace -- --dir logs FILE…`: printed traces through `tracing`.

use anyhow::{Context, Result};
use std::io::Read;
use std::path::{Path, PathBuf};

pub mod shown;
pub mod trace;

/// A file's text, unpacked if its name ends in `.zst`.
///
/// # Errors
/// When it cannot be read, or is not text.
pub fn read(path: &Path) -> Result<String> {
    let file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    let mut text = String::new();
    if path.extension().is_some_and(|e| e == "zst") {
        zstd::Decoder::new(file)?.read_to_string(&mut text)
    } else {
        std::io::BufReader::new(file).read_to_string(&mut text)
    }
    .with_context(|| format!("{} is not text", path.display()))?;
    Ok(text)
}

/// The directory that a lesson works in: its first argument, `logs` without one.
#[must_use]
pub fn directory() -> PathBuf {
    std::env::args_os().nth(1).map_or_else(|| "logs".into(), PathBuf::from)
}
