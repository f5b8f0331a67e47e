//! Going from one sub-buffer to the next: the calls in which that happens, apart from all others.
//! Prints Markdown.
//!
//! Calls come in groups at a steady rate, so that the keeper and the collector can be ahead. With and
//! without the keeper in turn, each in a process of its own; medians of the runs, and the longest of all.
#![allow(clippy::unwrap_used, reason = "a bench that cannot set up has nothing to measure")]

use relay_benches::{
    argument, asked, at, in_memory, median, nanos_per_tick, on_disk, print_machine, sorted,
};
use relay_log::channel::floor::tick;
use relay_log::channel::{Config, OnFull, RawChannel};
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Records of a run, in groups of so many, one group each tenth of a millisecond.
const RECORDS: u64 = 2_000_000;
const GROUP: u64 = 50;
const EVERY: Duration = Duration::from_micros(100);
const ROUNDS: usize = 3;

/// A row: what it is called, the role that it is, and where its live directory stands.
type Row = (&'static str, &'static str, fn() -> TempDir);

const ROWS: [Row; 5] = [
    ("collected, tmpfs", "kept", in_memory),
    ("collected, tmpfs, no keeper", "alone", in_memory),
    ("collected, disk", "kept", on_disk),
    ("collected, disk, no keeper", "alone", on_disk),
    ("a ring of 1 MiB that overwrites, tmpfs", "ring", in_memory),
];

/// The role: prints how many switches there were, their median, 99th percentile and maximum, and the
/// median of the other calls, nanoseconds.
fn play(way: &str, dir: &Path) {
    let mut config = Config::new(dir.join("live"), "bench");
    config.keeper = way == "kept";
    if way == "ring" {
        (config.max, config.on_full) = (Some(1 << 20), OnFull::Overwrite);
    }
    let collector =
        (way != "ring").then(|| relay_collect::spawn(relay_collect::Options::new(dir)).unwrap());
    let channel = RawChannel::create(config).unwrap();
    let mut writer = channel.writer();
    let payload = black_box([7u8; 42]);
    let (mut switches, mut others) = (Vec::new(), Vec::new());
    let mut due = Instant::now();
    for _ in 0..RECORDS / GROUP {
        while Instant::now() < due {
            std::hint::spin_loop();
        }
        due += EVERY;
        for _ in 0..GROUP {
            let (leases, before) = (writer.leases(), tick());
            writer.write(&payload).unwrap();
            let ticks = tick() - before;
            let times = if writer.leases() == leases { &mut others } else { &mut switches };
            times.push(ticks as f64);
        }
    }
    collector.map_or(Ok(()), relay_collect::Spawned::stop).unwrap();
    let (count, nanos) = (switches.len(), nanos_per_tick());
    let (switches, others) = (sorted(switches), sorted(others));
    let nanos = |sorted: &[f64], share: f64| at(sorted, share) * nanos;
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| nanos(&switches, share));
    println!("{count} {p50} {p99} {max} {}", nanos(&others, 0.5));
}

fn main() {
    if let Some(arguments) = asked() {
        return play(&arguments[0], Path::new(&arguments[1]));
    }
    print_machine();
    println!(
        "\n{RECORDS} records of 42 bytes, {GROUP} each {EVERY:?}: the calls that go from one sub-buffer of\n64 KiB to the next, ns, two readings of the counter in them; medians of {ROUNDS} runs, and the longest of all.\n"
    );
    println!(
        "| | switches | median | p99 | max | other calls, median | a switch adds to each record |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|");
    let mut runs = vec![Vec::new(); ROWS.len()];
    for _ in 0..ROUNDS {
        for ((_, way, place), runs) in ROWS.iter().zip(&mut runs) {
            let dir = place();
            runs.push(relay_benches::run(&[way, &argument(&dir)]));
        }
    }
    for ((name, ..), runs) in ROWS.iter().zip(runs) {
        let column = |i: usize| runs.iter().map(|run| run[i]).collect::<Vec<_>>();
        let [count, p50, p99, other] = [0, 1, 2, 4].map(|i| median(column(i)));
        let longest = column(3).into_iter().fold(0.0, f64::max);
        let adds = (p50 - other) * count / RECORDS as f64;
        println!(
            "| {name} | {count} | {p50:.0} | {p99:.0} | {longest:.0} | {other:.0} | {adds:.2} |"
        );
    }
}
