//! What one call costs, against the floor: tick, header and bare stores into a warm mapping.
//!
//! The channel is a ring that overwrites, so that nothing has to be collected and its memory stays
//! warm; the cost of going from one sub-buffer to the next is in the figures. Prints Markdown.
#![allow(clippy::unwrap_used, reason = "a bench that cannot set up has nothing to measure")]

use relay_benches::{
    Measured, Message, PATH, Singles, TITLES, Variant, asked, in_memory, nanos_per_tick, paired,
    print, print_machine, run_with,
};
use relay_log::channel::floor::{Floor, tick};
use relay_log::channel::{Config, OnFull, RawChannel};
use relay_log::{ByteSize, Relay};
use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;
use tracing_subscriber::layer::SubscriberExt;

const ROUNDS: usize = 1_500;
const CALLS: u32 = 400;

/// Calls `f` with values that the compiler does not know.
#[inline(always)]
fn each(n: u32, mut f: impl FnMut(u64, f64)) {
    (0..n).for_each(|i| f(black_box(u64::from(i)), black_box(0.25)));
}

/// A layer that does nothing: what `tracing` itself costs.
struct Nothing;

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Nothing {}

/// A ring, and what is logged goes there.
fn ring(dir: &Path) -> Relay {
    Relay::builder(dir)
        .channel("bench")
        .buffer_max(ByteSize::mib(1))
        .on_full(OnFull::Overwrite)
        .keeper(false)
        .init()
        .unwrap()
}

fn main() {
    if asked().is_some() {
        return monotonic();
    }
    let dir = in_memory();
    print_machine();
    warm(dir.path(), &ring(dir.path()));
    without_counter();
    singles(&String::from(PATH));
}

fn warm(dir: &Path, relay: &Relay) {
    let mut config = Config::new(dir.join("live"), "raw");
    (config.max, config.on_full, config.keeper) = (Some(1 << 20), OnFull::Overwrite, false);
    let channel = RawChannel::create(config).unwrap();
    let mut writer = channel.writer();
    let (mut floor, mut bare) = (Floor::new(dir).unwrap(), Floor::new(dir).unwrap());
    let payload = [7u8; 42];
    let path = String::from(PATH);
    let mut text = String::new();
    let registry = || tracing_subscriber::registry();
    let with_relay = tracing::Dispatch::new(registry().with(relay.layer()));
    let with_nothing = tracing::Dispatch::new(registry().with(Nothing));
    let (appender, _guard) =
        tracing_appender::non_blocking(std::fs::File::create(dir.join("text")).unwrap());
    let fmt = tracing_subscriber::fmt().with_writer(appender).with_ansi(false).finish();
    let with_appender = tracing::Dispatch::new(fmt);
    let traced = |n: u32, dispatch: &tracing::Dispatch| {
        tracing::dispatcher::with_default(dispatch, || {
            each(n, |id, latency| tracing::info!(id, latency, path = path.as_str(), "handled"));
        });
    };
    let mut variants = vec![
        Variant::new("floor, 3 values", |n| each(n, |id, latency| floor.three(id, latency, &path))),
        Variant::new("floor, no value", |n| (0..n).for_each(|_| bare.none())),
        Variant::new("reading the counter", |n| (0..n).for_each(|_| _ = black_box(tick()))),
        Variant::new("raw writer, 42 bytes", |n| {
            (0..n).for_each(|_| writer.write(black_box(&payload)).unwrap());
        }),
        Variant::new("relay_log::info!, 3 arguments", |n| {
            each(n, |id, latency| {
                relay_log::info!("request handled id={id} latency={latency} path={path}");
            });
        }),
        Variant::new("relay_log::info!, 1 argument", |n| {
            each(n, |id, _| relay_log::info!("request handled id={id}"));
        }),
        Variant::new("relay_log::info!, no argument", |n| {
            (0..n).for_each(|_| relay_log::info!("request handled"));
        }),
        Variant::new("relay_log::debug!, disabled", |n| {
            each(n, |id, _| relay_log::debug!("request handled id={id}"));
        }),
        Variant::new("format! into a reused buffer", |n| {
            each(n, |id, latency| {
                text.clear();
                write!(text, "request handled id={id} latency={latency} path={path}").unwrap();
                black_box(&text);
            });
        }),
        Variant::new("log::info!, 3 arguments", |n| {
            each(n, |id, latency| {
                log::info!("request handled id={id} latency={latency} path={path}");
            });
        }),
        Variant::new("log::info!, no argument", |n| {
            (0..n).for_each(|_| log::info!("request handled"));
        }),
        Variant::new("tracing::info!, 3 fields, a layer that does nothing", |n| {
            traced(n, &with_nothing);
        }),
        Variant::new("tracing::info!, 3 fields, Relay's layer", |n| traced(n, &with_relay)),
        Variant::new("tracing::info!, 3 fields, tracing-appender non_blocking", |n| {
            traced(n, &with_appender);
        }),
    ];
    let rows = paired(&mut variants, ROUNDS, CALLS);
    print("Warm calls, batches of 400", &rows, 0);
    aims(&rows);
    net(&rows);
}

/// What is left of a call without reading the counter, in time and in cycles of the counter. What it
/// executes is counted by `ci/instructions.sh`.
fn net(rows: &[Measured]) {
    let of = |name: &str| rows.iter().find(|row| row.name == name).unwrap().median;
    let (tick, cycles) = (of("reading the counter"), 1.0 / nanos_per_tick());
    println!("\nNet of the tick; the counter makes {cycles:.2} cycles a nanosecond\n");
    println!("| | ns | cycles |\n|---|---:|---:|");
    for name in [
        "reading the counter",
        "floor, no value",
        "floor, 3 values",
        "raw writer, 42 bytes",
        "relay_log::info!, no argument",
        "relay_log::info!, 1 argument",
        "relay_log::info!, 3 arguments",
        "log::info!, no argument",
        "log::info!, 3 arguments",
        "tracing::info!, 3 fields, Relay's layer",
    ] {
        let net = if name == "reading the counter" { tick } else { of(name) - tick };
        println!("| {name} | {net:.1} | {:.0} |", net * cycles);
    }
}

const MONOTONIC: [&str; 3] =
    ["clock_gettime alone", "relay_log::info!, 3 arguments", "log::info!, 3 arguments"];

/// The role: a program whose processor's counter is not trusted. Prints medians and 99th percentiles.
fn monotonic() {
    let dir = in_memory();
    ring(dir.path());
    let path = String::from(PATH);
    let [clock, macros, log] = MONOTONIC;
    let mut variants = vec![
        Variant::new(clock, |n| (0..n).for_each(|_| _ = black_box(Instant::now()))),
        Variant::new(macros, |n| {
            each(n, |id, latency| {
                relay_log::info!("request handled id={id} latency={latency} path={path}");
            });
        }),
        Variant::new(log, |n| {
            each(n, |id, latency| {
                log::info!("request handled id={id} latency={latency} path={path}");
            });
        }),
    ];
    for row in paired(&mut variants, ROUNDS, CALLS) {
        print!("{} {} {} ", row.median, row.p99, row.ratio);
    }
}

fn without_counter() {
    let numbers = run_with(&[("RELAY_CLOCK", "monotonic")], &["monotonic"]);
    let rows = MONOTONIC.iter().zip(numbers.chunks_exact(3));
    let rows = rows.map(|(name, n)| Measured { name, median: n[0], p99: n[1], ratio: n[2] });
    let title = "Where the counter is not trusted (`RELAY_CLOCK=monotonic`): CLOCK_MONOTONIC";
    print(title, &rows.collect::<Vec<_>>(), 0);
}

/// What is aimed for, and what came of it.
fn aims(rows: &[Measured]) {
    let of = |name: &str| rows.iter().find(|row| row.name == name).unwrap().median;
    let (floor, none) = (of("floor, 3 values"), of("floor, no value"));
    let nothing = of("tracing::info!, 3 fields, a layer that does nothing");
    let layer = of("tracing::info!, 3 fields, Relay's layer");
    let appender = of("tracing::info!, 3 fields, tracing-appender non_blocking");
    let formatted = of("format! into a reused buffer") + floor;
    let aims = [
        ("macro, 3 arguments - floor, ns", of("relay_log::info!, 3 arguments") - floor, 2.5),
        ("macro, no argument - its floor, ns", of("relay_log::info!, no argument") - none, 2.0),
        (
            "`log::info!`, 3 arguments / (floor + `format!`)",
            of("log::info!, 3 arguments") / formatted,
            1.15,
        ),
        ("`log::info!`, constant / its floor", of("log::info!, no argument") / none, 1.5),
        (
            "(`tracing`, 3 fields - a layer that does nothing) / floor",
            (layer - nothing) / floor,
            3.0,
        ),
        ("`tracing`, 3 fields / tracing-appender", layer / appender, 0.1),
    ];
    println!("\n| | aim, at most | here | |\n|---|---:|---:|---|");
    for (what, here, most) in aims {
        let met = if here <= most { "met" } else { "**not met**" };
        println!("| {what} | {most} | {here:.2} | {met} |");
    }
}

/// Single calls, and nothing, which is what reading the counter twice and the machine are.
fn singles(path: &str) {
    const CALLS: usize = 1_000_000;
    let time = |call: &dyn Fn(Message)| {
        let mut singles = Singles::with_room(CALLS);
        for message in relay_benches::messages(CALLS as u64) {
            singles.time(|| call(message));
        }
        singles.percentiles()
    };
    let rows = [
        ("nothing", time(&|_| ())),
        (
            "relay_log::info!, 3 arguments",
            time(&|Message { id, latency }| {
                relay_log::info!("request handled id={id} latency={latency} path={path}");
            }),
        ),
        (
            "log::info!, 3 arguments",
            time(&|Message { id, latency }| {
                log::info!("request handled id={id} latency={latency} path={path}");
            }),
        ),
    ];
    println!("\nSingle calls, ns, two readings of the counter in them\n");
    println!("| | {TITLES} |\n|---|---:|---:|---:|---:|---:|");
    for (name, p) in rows {
        let cells: String = p.iter().map(|nanos| format!(" {nanos:.0} |")).collect();
        println!("| {name} |{cells}");
    }
}
