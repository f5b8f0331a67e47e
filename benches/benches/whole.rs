//! The whole way: from the call until it is archived (Relay) or in the file (tracing-appender).
//! Each in a process of its own, since loggers are global. Prints Markdown.
#![allow(clippy::unwrap_used, reason = "a bench that cannot set up has nothing to measure")]

use relay_benches::print_machine;
use relay_collect::Options;
use relay_log::Relay;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

const MESSAGES: u64 = 4_000_000;
const PATH: &str = "/api/v1/items/4711xyz9";
const WAYS: [&str; 5] = [
    "relay macros",
    "relay log",
    "relay tracing",
    "tracing-appender, blocks",
    "tracing-appender, drops",
];

/// Runs `f` in so many threads, all messages together.
fn threads(count: u64, f: impl Fn(u64, f64) + Sync) {
    std::thread::scope(|scope| {
        for _ in 0..count {
            // Ids and latencies that look like those of a service: no two alike, nothing to be guessed.
            scope.spawn(|| {
                (0..MESSAGES / count).for_each(|i| {
                    let mixed = (i ^ 0x5eed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    let id = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32;
                    f(id, (id % 250_000) as f64 / 1_000.0);
                });
            });
        }
    });
}

fn relay(dir: &Path, way: &str, count: u64) {
    use tracing_subscriber::layer::SubscriberExt;
    let collector = relay_collect::spawn(Options::new(dir)).unwrap();
    let relay = Relay::builder(dir).channel("bench").init().unwrap();
    match way {
        "relay macros" => threads(count, |id, latency| {
            relay_log::info!("request handled id={id} latency={latency} path={PATH}");
        }),
        "relay log" => threads(count, |id, latency| {
            log::info!("request handled id={id} latency={latency} path={PATH}");
        }),
        _ => {
            let subscriber = tracing_subscriber::registry().with(relay.layer());
            tracing::subscriber::set_global_default(subscriber).unwrap();
            threads(count, |id, latency| tracing::info!(id, latency, path = PATH, "handled"));
        }
    }
    collector.stop().unwrap();
}

fn appender(dir: &Path, lossy: bool, count: u64) {
    let file = std::fs::File::create(dir.join("text.log")).unwrap();
    let builder = tracing_appender::non_blocking::NonBlockingBuilder::default().lossy(lossy);
    let (writer, guard) = builder.finish(file);
    let subscriber = tracing_subscriber::fmt().with_writer(writer).with_ansi(false).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    threads(count, |id, latency| {
        tracing::info!("request handled id={id} latency={latency} path={PATH}");
    });
    drop(guard);
}

/// Bytes of files in a directory and below.
fn bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

/// The role of a process that is measured: it prints seconds and CPU seconds.
fn play(way: &str, count: u64, dir: &Path) {
    let start = Instant::now();
    match way {
        "tracing-appender, blocks" => appender(dir, false, count),
        "tracing-appender, drops" => appender(dir, true, count),
        _ => relay(dir, way, count),
    }
    let seconds = start.elapsed().as_secs_f64();
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let cpu = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
    println!("{seconds} {cpu}");
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, way, count, dir] = &arguments[..] {
        return play(way, count.parse().unwrap(), Path::new(dir));
    }
    print_machine();
    println!(
        "\n{MESSAGES} messages with three values; medians of three runs, on the disk of the machine\n"
    );
    println!("| | threads | M messages/s | CPU s a million | bytes a message |");
    println!("|---|---:|---:|---:|---:|");
    for count in [1, 2] {
        for way in WAYS {
            let mut runs: Vec<[f64; 3]> = (0..3).map(|_| run(way, count)).collect();
            runs.sort_by(|a, b| a[0].total_cmp(&b[0]));
            let [seconds, cpu, size] = runs[1];
            let millions = MESSAGES as f64 / 1e6;
            println!(
                "| {way} | {count} | {:.2} | {:.2} | {:.1} |",
                millions / seconds,
                cpu / millions,
                size / MESSAGES as f64
            );
        }
    }
}

fn run(way: &str, count: u64) -> [f64; 3] {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.arg(way).arg(count.to_string()).arg(dir.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut parts = text.split_whitespace().map(|part| part.parse::<f64>().unwrap());
    let mut next = || parts.next().unwrap();
    // Of Relay the archives: the channel is empty by then, and goes with the next collector.
    let archive = dir.path().join("archive");
    let kept = if archive.is_dir() { archive } else { dir.path().to_owned() };
    [next(), next(), bytes(&kept) as f64]
}
