//! The whole way: from the first call until everything is on the disk. Relay's archives are sealed by
//! then; files of the others are written, and synced by us.

use crate::peer::{Row, find};
use crate::table::{lost, rounds, run};
use relay_benches::{PATH, cpu_seconds, medians, peak_mib};
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

/// So many, unless `RELAY_MESSAGES` says how many.
const MESSAGES: u64 = 2_000_000;
/// Wakes its thread for each message: with all of them it would take as long as all others together.
const SLOW: &str = "slog-async, blocks";

fn messages(name: &str) -> u64 {
    let all = std::env::var("RELAY_MESSAGES").map_or(MESSAGES, |n| n.parse().unwrap());
    if name == SLOW { all / 10 } else { all }
}

/// The role: seconds until written and until synced, CPU seconds, peak memory.
pub(crate) fn play(name: &str, arguments: &[&str]) {
    let [dir, fast, count] = arguments else { panic!("two directories, threads") };
    let count: u64 = count.parse().unwrap();
    let each = messages(name) / count;
    let peer = (find(name).set_up)(Path::new(dir), Path::new(fast));
    let (start, cpu) = (Instant::now(), cpu_seconds());
    std::thread::scope(|scope| {
        for _ in 0..count {
            let three = peer.three;
            scope.spawn(move || {
                let path = black_box(String::from(PATH));
                for message in relay_benches::messages(each) {
                    three(message.id, message.latency, &path);
                }
            });
        }
    });
    (peer.end)();
    let written = start.elapsed().as_secs_f64();
    for file in std::fs::read_dir(dir).unwrap().flatten() {
        if file.metadata().unwrap().is_file() {
            std::fs::File::open(file.path()).unwrap().sync_all().unwrap();
        }
    }
    let synced = start.elapsed().as_secs_f64();
    println!("{written} {synced} {} {}", cpu_seconds() - cpu, peak_mib());
}

pub(crate) fn print(rows: &[Row]) {
    println!(
        "\n{} messages with three values, {} of {SLOW}, on disk; medians of three runs.\n",
        messages(""),
        messages(SLOW)
    );
    println!(
        "| | threads | M messages/s until written | until synced | CPU s a million | peak MiB | bytes a message | lost |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    for threads in ["1", "2"] {
        let runs = rounds(3, rows, |row| {
            let outcome = run("whole", row, &[threads]);
            let [written, synced, cpu, peak] = outcome.numbers[..] else { panic!("four numbers") };
            // What was dropped has not made its way: only what has arrived counts.
            let (arrived, millions) = (outcome.arrived as f64, outcome.arrived as f64 / 1e6);
            let bytes = outcome.bytes as f64 / arrived;
            vec![millions / written, millions / synced, cpu / millions, peak, bytes, arrived]
        });
        for (row, runs) in rows.iter().zip(runs) {
            let [written, synced, cpu, peak, bytes, arrived] = medians(&runs)[..] else { continue };
            let lost = lost(messages(row.name) as f64, arrived);
            println!(
                "| {} | {threads} | {written:.2} | {synced:.2} | {cpu:.2} | {peak:.0} | {bytes:.1} | {lost} |",
                row.name
            );
        }
    }
}
