//! Writes what each corpus begins with: `cargo run -p relay-fuzz --example seeds`.
#![allow(clippy::unwrap_used, reason = "a program for whoever changes a format")]

use std::path::Path;

fn main() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (target, check, _) in relay_fuzz::TARGETS {
        let dir = corpus.join(target);
        std::fs::create_dir_all(&dir).unwrap();
        for (i, seed) in relay_fuzz::sample::seeds(target).iter().enumerate() {
            check(seed);
            std::fs::write(dir.join(format!("seed-{i}")), seed).unwrap();
        }
    }
}
