//! Growth: threads, rates, the first calls of a program, what a thread costs. Prints Markdown; the plots
//! in `docs/plots/` are drawn from these tables.
//!
//! Each figure comes from a process of its own, with its collector as a thread of it; medians.
#![allow(clippy::unwrap_used, reason = "a bench that cannot set up has nothing to measure")]

use relay_benches::{
    Message, PATH, Singles, allocated, asked, cpu_seconds, in_memory, median, medians, on_disk,
    print_machine, status_mib, thread_cpu_nanos,
};
use relay_collect::{Options, Spawned};
use relay_log::{ByteSize, Relay};
use std::hint::black_box;
use std::path::Path;
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

const MESSAGES: u64 = 2_000_000;
const THREADS: [u64; 5] = [1, 2, 8, 64, 1_000];
const RATES: [u64; 4] = [10_000, 100_000, 1_000_000, 3_000_000];
/// How long a rate is kept up.
const FOR: Duration = Duration::from_secs(2);
const IDLE: u64 = 10_000;

fn main() {
    if let Some(arguments) = asked() {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let [what, dir, number] = arguments[..] else { panic!("a role, a directory, a number") };
        let (dir, number) = (Path::new(dir), number.parse().unwrap());
        return match what {
            "threads" => many(dir, number),
            "rate" => rate(dir, number),
            "cold" => cold(dir, number),
            "start" => start(dir, number),
            "idle" => idle(dir, number, true),
            _ => idle(dir, number, false),
        };
    }
    print_machine();
    print_threads();
    print_rates();
    print_cold();
    print_cost();
}

#[inline(always)]
fn call(message: Message, path: &str) {
    let Message { id, latency } = message;
    relay_log::info!("request handled id={id} latency={latency} path={path}");
}

fn set_up(dir: &Path) -> Spawned {
    let collector = relay_collect::spawn(Options::new(dir)).unwrap();
    Relay::builder(dir).channel("bench").init().unwrap();
    collector
}

fn run(role: &str, number: u64, in_memory_too: bool) -> Vec<f64> {
    let dir = if in_memory_too { in_memory() } else { on_disk() };
    relay_benches::run(&[role, &relay_benches::argument(&dir), &number.to_string()])
}

/// The medians of so many runs.
fn several(runs: usize, role: &str, number: u64) -> Vec<f64> {
    medians(&(0..runs).map(|_| run(role, number, false)).collect::<Vec<_>>())
}

/// The role: all messages, by so many threads.
fn many(dir: &Path, count: u64) {
    const BATCH: u64 = 200;
    let collector = set_up(dir);
    let (times, barrier) = (Mutex::new(Vec::new()), Barrier::new(count as usize + 1));
    let (mut begin, mut cpu) = (Instant::now(), 0.0);
    std::thread::scope(|scope| {
        for thread in 0..count {
            let (times, barrier) = (&times, &barrier);
            scope.spawn(move || {
                let (path, mut own) = (black_box(String::from(PATH)), Vec::new());
                barrier.wait();
                for batch in 0..MESSAGES / count / BATCH {
                    let before = thread_cpu_nanos();
                    let first = (thread << 32) + batch * BATCH;
                    (first..first + BATCH).for_each(|i| call(Message::number(i), &path));
                    own.push((thread_cpu_nanos() - before) / BATCH as f64);
                }
                times.lock().unwrap().extend(own);
            });
        }
        barrier.wait();
        (begin, cpu) = (Instant::now(), cpu_seconds());
    });
    let buffer = allocated(&dir.join("live")) as f64 / f64::from(1 << 20);
    collector.stop().unwrap();
    let millions = (MESSAGES / count / BATCH * BATCH * count) as f64 / 1e6;
    let speed = millions / begin.elapsed().as_secs_f64();
    let times = times.into_inner().unwrap();
    println!("{} {speed} {} {buffer}", median(times), (cpu_seconds() - cpu) / millions);
}

fn print_threads() {
    println!(
        "\n{MESSAGES} messages with three values by so many threads, on disk; medians of three."
    );
    println!(
        "CPU time of the calling thread in batches of 200; everything else is the whole process.\n"
    );
    println!("| threads | ns a call | M messages/s archived | CPU s a million | MiB of channel |");
    println!("|---:|---:|---:|---:|---:|");
    for threads in THREADS {
        let [call, speed, cpu, buffer] = several(3, "threads", threads)[..] else { continue };
        println!("| {threads} | {call:.1} | {speed:.2} | {cpu:.2} | {buffer:.0} |");
    }
}

/// The role: one thread keeps a rate up, in a group each millisecond.
fn rate(dir: &Path, rate: u64) {
    let collector = set_up(dir);
    let path = black_box(String::from(PATH));
    let group = rate / 1_000;
    let mut singles = Singles::with_room((rate * FOR.as_secs()) as usize);
    let (begin, cpu) = (Instant::now(), cpu_seconds());
    for millisecond in 0..FOR.as_millis() as u64 {
        let due = Duration::from_millis(millisecond);
        std::thread::sleep(due.saturating_sub(begin.elapsed()));
        for i in millisecond * group..(millisecond + 1) * group {
            let message = Message::number(i);
            singles.time(|| call(message, &path));
        }
    }
    let reached = (rate * FOR.as_secs()) as f64 / begin.elapsed().as_secs_f64();
    collector.stop().unwrap();
    let cpu = (cpu_seconds() - cpu) / (rate * FOR.as_secs()) as f64 * 1e6;
    let p = singles.percentiles();
    println!("{reached} {} {} {} {cpu}", p[0], p[1], p[3]);
}

fn print_rates() {
    println!(
        "\nOne thread, a group of calls each millisecond for {FOR:?}, on disk; medians of three."
    );
    println!(
        "Single calls, ns, two readings of the counter in them. CPU time is the whole process's, and a"
    );
    println!("thread that wakes a thousand times a second is in it.\n");
    println!("| messages/s | reached | p50 | p99 | p99.99 | CPU s a million |");
    println!("|---:|---:|---:|---:|---:|---:|");
    for rate in RATES {
        let [reached, p50, p99, p9999, cpu] = several(3, "rate", rate)[..] else { continue };
        println!("| {rate} | {reached:.0} | {p50:.0} | {p99:.0} | {p9999:.0} | {cpu:.2} |");
    }
}

/// The role: the first calls of a program, from a buffer of so many KiB; 0 for the default.
fn cold(dir: &Path, kib: u64) {
    const CALLS: [u64; 3] = [1_000, 10_000, 100_000];
    let collector = relay_collect::spawn(Options::new(dir)).unwrap();
    let builder = Relay::builder(dir).channel("bench");
    let before = Instant::now();
    let builder = if kib == 0 { builder } else { builder.buffer(ByteSize::kib(kib)) };
    builder.init().unwrap();
    let init = before.elapsed().as_secs_f64() * 1e6;
    let path = black_box(String::from(PATH));
    let mut singles = Singles::with_room(CALLS[2] as usize);
    let (begin, mut done, mut averages) = (Instant::now(), 0, Vec::new());
    for calls in CALLS {
        for i in done..calls {
            let message = Message::number(i);
            singles.time(|| call(message, &path));
        }
        done = calls;
        averages.push(begin.elapsed().as_nanos() as f64 / calls as f64);
    }
    collector.stop().unwrap();
    let p = singles.percentiles();
    println!("{init} {} {} {} {} {}", averages[0], averages[1], averages[2], p[3], p[4] / 1e3);
}

fn print_cold() {
    println!(
        "\nThe first calls after `init`, without a pause, on disk; medians of five processes.\n"
    );
    println!(
        "| buffer | `init`, µs | ns a call, first 1,000 | 10,000 | 100,000 | p99.99, ns | longest, µs |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for (name, kib) in [("64 KiB", 64), ("256 KiB", 256), ("default (4 MiB)", 0)] {
        let cells: String =
            several(5, "cold", kib).iter().map(|number| format!(" {number:.0} |")).collect();
        println!("| {name} |{cells}");
    }
}

/// The role: threads that log once and end, and threads that do not, in turn.
fn start(dir: &Path, count: u64) {
    let collector = set_up(dir);
    let time = |log: bool| {
        let before = Instant::now();
        std::thread::spawn(move || {
            if log {
                call(Message::number(1), PATH);
            }
        })
        .join()
        .unwrap();
        before.elapsed().as_nanos() as f64
    };
    let (with, without) = (0..count).map(|_| (time(true), time(false))).unzip();
    collector.stop().unwrap();
    println!("{} {}", median(with), median(without));
}

/// The role: threads that log once, or do not, and then do nothing.
fn idle(dir: &Path, count: u64, log: bool) {
    let collector = set_up(dir);
    let barrier = Barrier::new(count as usize + 1);
    let (live, before, begin) = (dir.join("live"), status_mib("RssAnon:"), Instant::now());
    let before_file = allocated(&live) as f64;
    std::thread::scope(|scope| {
        for _ in 0..count {
            let builder = std::thread::Builder::new().stack_size(64 << 10);
            let thread = builder.spawn_scoped(scope, || {
                if log {
                    call(Message::number(1), PATH);
                }
                barrier.wait();
                barrier.wait();
            });
            thread.unwrap();
        }
        barrier.wait();
        let started = begin.elapsed().as_secs_f64();
        let anonymous = (status_mib("RssAnon:") - before) * 1024.0 / count as f64;
        let file = (allocated(&live) as f64 - before_file) / 1024.0 / count as f64;
        // What they have logged is archived, and nothing is new any more.
        std::thread::sleep(Duration::from_secs(3));
        let (from, cpu) = (Instant::now(), cpu_seconds());
        std::thread::sleep(Duration::from_secs(10));
        let busy = (cpu_seconds() - cpu) / from.elapsed().as_secs_f64() * 100.0;
        println!("{} {anonymous} {file} {busy}", started * 1e6 / count as f64);
        barrier.wait();
    });
    collector.stop().unwrap();
}

fn print_cost() {
    let [with, without] = several(3, "start", 2_000)[..] else { return };
    println!(
        "\nA thread that logs once and ends: {:.1} µs from spawn to join; one that does not: {:.1} µs.",
        with / 1e3,
        without / 1e3
    );
    println!(
        "\n{IDLE} threads at once, idle after that, on tmpfs and on disk; their CPU time, the keeper's and\nthe collector's over 10 s:\n"
    );
    println!(
        "| | µs to start one | KiB of memory each | KiB of channel each | % of a core while idle |"
    );
    println!("|---|---:|---:|---:|---:|");
    for (name, role, fast) in [
        ("they do not log", "silent", true),
        ("each has logged once, tmpfs", "idle", true),
        ("each has logged once, disk", "idle", false),
    ] {
        let [start, anonymous, file, busy] = run(role, IDLE, fast)[..] else { continue };
        println!("| {name} | {start:.1} | {anonymous:.1} | {file:.1} | {busy:.2} |");
    }
}
