//! What one call costs, against the floor: tick, header and bare stores into a warm mapping.
//!
//! The channel is a ring that overwrites, so that nothing has to be collected and its memory stays
//! warm; the cost of going from one sub-buffer to the next is in the figures.
#![allow(clippy::unwrap_used, reason = "a bench that cannot set up has nothing to measure")]

use relay_benches::{Variant, paired, print};
use relay_log::channel::{Config, OnFull, RawChannel};
use relay_log::{ByteSize, Relay};
use std::fmt::Write;
use std::hint::black_box;

fn main() {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let mut config = Config::new(dir.path().join("live"), "floor");
    (config.max, config.on_full, config.keeper) = (Some(1 << 20), OnFull::Overwrite, false);
    let channel = RawChannel::create(config).unwrap();
    let mut writer = channel.writer();
    Relay::builder(dir.path())
        .channel("bench")
        .buffer_max(ByteSize::mib(1))
        .on_full(OnFull::Overwrite)
        .keeper(false)
        .init()
        .unwrap();
    let payload = [7u8; 42];
    let path = String::from("/api/v1/items/4711xyz");
    let mut text = String::new();
    let each = |f: &mut dyn FnMut(u64, f64), n: u32| {
        (0..n).for_each(|i| f(black_box(u64::from(i)), black_box(0.25)));
    };
    let mut variants = vec![
        Variant {
            name: "raw writer, 42 bytes",
            batch: Box::new(|n| (0..n).for_each(|_| writer.write(black_box(&payload)).unwrap())),
        },
        Variant {
            name: "relay_log::info!, 3 arguments",
            batch: Box::new(|n| {
                each(
                    &mut |id, latency| {
                        relay_log::info!("request handled id={id} latency={latency} path={path}");
                    },
                    n,
                );
            }),
        },
        Variant {
            name: "relay_log::info!, 0 arguments",
            batch: Box::new(|n| (0..n).for_each(|_| relay_log::info!("request handled"))),
        },
        Variant {
            name: "log::info!, 3 arguments",
            batch: Box::new(|n| {
                each(
                    &mut |id, latency| {
                        log::info!("request handled id={id} latency={latency} path={path}");
                    },
                    n,
                );
            }),
        },
        Variant {
            name: "log::info!, 0 arguments",
            batch: Box::new(|n| (0..n).for_each(|_| log::info!("request handled"))),
        },
        Variant {
            name: "format! into a reused buffer, 3 arguments",
            batch: Box::new(|n| {
                each(
                    &mut |id, latency| {
                        text.clear();
                        write!(text, "request handled id={id} latency={latency} path={path}")
                            .unwrap();
                        black_box(&text);
                    },
                    n,
                );
            }),
        },
    ];
    let rows = paired(&mut variants, 2000, 500);
    print("warm calls", &rows, 0);
}
