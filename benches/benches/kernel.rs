//! What warm calls ask of the kernel: system calls (counted by `strace`) and minor faults, by the
//! thread that logs, for a million calls. Prints Markdown.
//!
//! The thread marks the calls with a system call of its own before and after them, `sched_yield`.
#![allow(clippy::unwrap_used, reason = "a bench that cannot set up has nothing to measure")]

use relay_benches::{
    Message, PATH, allocated, asked, in_memory, minor_faults, on_disk, print_machine,
};
use relay_log::channel::OnFull;
use relay_log::{ByteSize, Relay};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const CALLS: u64 = 1_000_000;

fn calls() {
    let path = black_box(String::from(PATH));
    for Message { id, latency } in relay_benches::messages(CALLS) {
        relay_log::info!("request handled id={id} latency={latency} path={path}");
    }
}

/// The same, half a million a second: the collector and the keeper can be ahead.
fn paced() {
    let path = black_box(String::from(PATH));
    let begin = Instant::now();
    for group in 0..CALLS / 50 {
        while begin.elapsed() < Duration::from_micros(100 * group) {
            std::hint::spin_loop();
        }
        for Message { id, latency } in (group * 50..(group + 1) * 50).map(Message::number) {
            relay_log::info!("request handled id={id} latency={latency} path={path}");
        }
    }
}

/// The role: prints the minor faults of a million calls, after a million that warm up.
fn play(dir: &Path, way: &str) {
    let builder = Relay::builder(dir).channel("bench");
    let ring = way == "ring";
    let (collector, calls): (_, fn()) = if ring {
        builder.buffer_max(ByteSize::mib(1)).on_full(OnFull::Overwrite).init().unwrap();
        (None, calls)
    } else {
        let collector = relay_collect::spawn(relay_collect::Options::new(dir)).unwrap();
        builder.init().unwrap();
        (Some(collector), paced)
    };
    calls();
    let before = minor_faults();
    std::thread::yield_now();
    calls();
    std::thread::yield_now();
    println!("{}", minor_faults() - before);
    collector.map_or(Ok(()), relay_collect::Spawned::stop).unwrap();
}

/// System calls between the marks of a trace, by the thread that made the marks.
fn between_marks(trace: &str) -> BTreeMap<String, u64> {
    let parsed = trace.lines().filter_map(|line| {
        let (thread, rest) = line.trim_start().split_once(char::is_whitespace)?;
        let name = rest.trim_start().split('(').next()?;
        Some((thread, name))
    });
    let parsed: Vec<(&str, &str)> = parsed.collect();
    let mut marks = parsed.iter().enumerate().filter(|(_, (_, name))| *name == "sched_yield");
    let (Some((begin, (thread, _))), Some((end, _))) = (marks.next(), marks.next()) else {
        panic!("no marks in the trace")
    };
    let mut counts = BTreeMap::new();
    for (of, name) in &parsed[begin + 1..end] {
        if of == thread && name.chars().all(|c| c.is_alphanumeric() || c == '_') {
            *counts.entry((*name).to_owned()).or_default() += 1;
        }
    }
    counts
}

/// Runs the role under `strace`; says which system calls, or why it does not.
fn traced(way: &str, dir: &TempDir) -> String {
    let trace = dir.path().join("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-o"]).arg(&trace).arg(std::env::current_exe().unwrap());
    match command.args(["--role", way]).arg(dir.path()).output() {
        Ok(output) if output.status.success() => {
            let counts = between_marks(&std::fs::read_to_string(&trace).unwrap());
            let said: Vec<String> = counts.iter().map(|(name, n)| format!("{n} {name}")).collect();
            if said.is_empty() { "0".into() } else { said.join(", ") }
        }
        Ok(output) => format!("strace: {}", output.status),
        Err(error) => format!("strace: {error}"),
    }
}

fn main() {
    if let Some(arguments) = asked() {
        return play(Path::new(&arguments[1]), &arguments[0]);
    }
    print_machine();
    println!(
        "\nSystem calls and minor faults of the calling thread in {CALLS} warm calls with three values:"
    );
    println!("a ring of 1 MiB that overwrites, flat out; and collected, 500,000 a second.\n");
    println!("| | system calls | minor faults | MiB of channel |\n|---|---:|---:|---:|");
    for way in ["ring", "collected"] {
        for (place, dir) in [("tmpfs", in_memory as fn() -> TempDir), ("disk", on_disk)] {
            let calls = traced(way, &dir());
            let dir = dir();
            let faults = relay_benches::run(&[way, &relay_benches::argument(&dir)]);
            let live = allocated(&dir.path().join("live")) as f64 / f64::from(1 << 20);
            println!("| {way}, {place} | {calls} | {:.0} | {live:.1} |", faults[0]);
        }
    }
}
