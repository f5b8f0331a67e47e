//! Makes a number of warm calls of one kind, to be counted from outside: `instructions KIND COUNT`.
#![allow(clippy::unwrap_used, reason = "there is nothing to count where it cannot set up")]

use relay_log::channel::{OnFull, floor::Floor};
use relay_log::{ByteSize, Relay};
use std::hint::black_box;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let kind = arguments.next().unwrap_or_default();
    let count: u64 = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let mut floor = Floor::new(dir.path()).unwrap();
    Relay::builder(dir.path())
        .channel("bench")
        .buffer(ByteSize::mib(1))
        .buffer_max(ByteSize::mib(1))
        .on_full(OnFull::Overwrite)
        .keeper(false)
        .init()
        .unwrap();
    let path = black_box(String::from("/api/v1/items/4711xyz/"));
    let path = path.as_str();
    let repeat = |call: &mut dyn FnMut(u64, f64)| {
        // The first lap faults the pages in.
        for i in 0..40_000 + count {
            call(black_box(i), black_box(0.25));
        }
    };
    match kind.as_str() {
        "floor3" => repeat(&mut |id, latency| floor.three(id, latency, path)),
        "floor0" => repeat(&mut |_, _| floor.none()),
        "macro3" => repeat(&mut |id, latency| {
            relay_log::info!("request handled id={id} latency={latency} path={path}");
        }),
        "macro0" => repeat(&mut |_, _| relay_log::info!("request handled")),
        "log3" => repeat(&mut |id, latency| {
            log::info!("request handled id={id} latency={latency} path={path}");
        }),
        "log0" => repeat(&mut |_, _| log::info!("request handled")),
        other => eprintln!("no such kind: {other:?}"),
    }
}
