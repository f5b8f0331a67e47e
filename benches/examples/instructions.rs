//! Makes a number of warm calls of one kind, to be counted from outside: `instructions KIND COUNT`.
//! Prints how many minor page faults they took. Run by `ci/instructions.sh`.
#![allow(clippy::unwrap_used, reason = "there is nothing to count where it cannot set up")]

use relay_log::channel::{OnFull, floor::Floor};
use relay_log::{ByteSize, Relay};
use std::hint::black_box;
use tracing_subscriber::layer::SubscriberExt;

/// More than the buffer holds: the first lap faults the pages in.
const WARM: u64 = 40_000;

struct Nothing;

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Nothing {}

/// Minor page faults of this process so far.
fn faults() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name.split_whitespace().nth(7).and_then(|n| n.parse().ok()).unwrap()
}

fn repeat(count: u64, mut call: impl FnMut(u64, f64)) {
    let mut calls = |n: u64| (0..n).for_each(|i| call(black_box(i), black_box(0.25)));
    calls(WARM);
    let before = faults();
    calls(count);
    println!("{}", faults() - before);
}

fn traced(count: u64, path: &str, layer: impl Into<tracing::Dispatch>) {
    tracing::dispatcher::with_default(&layer.into(), || {
        repeat(count, |id, latency| tracing::info!(id, latency, path, "handled"));
    });
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let kind = arguments.next().unwrap_or_default();
    let count: u64 = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let mut floor = Floor::new(dir.path()).unwrap();
    let relay = Relay::builder(dir.path())
        .channel("bench")
        .buffer(ByteSize::mib(1))
        .buffer_max(ByteSize::mib(1))
        .on_full(OnFull::Overwrite)
        .keeper(false)
        .init()
        .unwrap();
    let path = black_box(String::from("/api/v1/items/4711xyz/"));
    let path = path.as_str();
    let registry = tracing_subscriber::registry();
    match kind.as_str() {
        "floor3" => repeat(count, |id, latency| floor.three(id, latency, path)),
        "floor0" => repeat(count, |_, _| floor.none()),
        "macro3" => repeat(count, |id, latency| {
            relay_log::info!("request handled id={id} latency={latency} path={path}");
        }),
        "macro1" => repeat(count, |id, _| relay_log::info!("request handled id={id}")),
        "macro0" => repeat(count, |_, _| relay_log::info!("request handled")),
        "off" => repeat(count, |id, _| relay_log::debug!("request handled id={id}")),
        "format3" => {
            let mut text = String::new();
            repeat(count, |id, latency| {
                use std::fmt::Write;
                text.clear();
                write!(text, "request handled id={id} latency={latency} path={path}").unwrap();
                black_box(&text);
            });
        }
        "log3" => repeat(count, |id, latency| {
            log::info!("request handled id={id} latency={latency} path={path}");
        }),
        "log0" => repeat(count, |_, _| log::info!("request handled")),
        "nothing3" => traced(count, path, registry.with(Nothing)),
        "tracing3" => traced(count, path, registry.with(relay.layer())),
        other => eprintln!("no such kind: {other:?}"),
    }
}
