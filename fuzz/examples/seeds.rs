//! Writes each target's first inputs beneath a directory, for a fuzzer to begin with.
//!
//! `cargo run -p relay-fuzz --example seeds -- DIR`
#![allow(clippy::unwrap_used, reason = "a tool that cannot write should say where")]

use std::path::Path;

fn main() {
    let dir = std::env::args_os().nth(1).unwrap();
    for target in relay_fuzz::TARGETS {
        let dir = Path::new(&dir).join(target.name);
        std::fs::create_dir_all(&dir).unwrap();
        for (n, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(dir.join(format!("seed{n}")), seed).unwrap();
        }
    }
}
