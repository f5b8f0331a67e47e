//! What one call costs, against the floor: tick, header and bare stores into a warm mapping.
#![allow(clippy::unwrap_used, reason = "a bench that cannot set up has nothing to measure")]

use relay_benches::{Variant, paired, print};
use relay_log::channel::{Config, OnFull, RawChannel};
use std::hint::black_box;

fn main() {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let mut config = Config::new(dir.path(), "bench");
    (config.max, config.on_full, config.keeper) = (Some(1 << 20), OnFull::Overwrite, false);
    let channel = RawChannel::create(config).unwrap();
    let mut writer = channel.writer();
    let payload = [7u8; 42];
    let mut variants = vec![
        Variant { name: "raw writer, 42 bytes", batch: Box::new(|n| (0..n).for_each(|_| { writer.write(black_box(&payload)).unwrap(); })) },
    ];
    let rows = paired(&mut variants, 2000, 500);
    print("warm calls", &rows, 0);
}
