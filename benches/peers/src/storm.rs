//! The tail of single calls while somebody syncs all file systems every 100 ms: file systems protect
//! pages that they write back, and a store into such a page waits.
//!
//! The same thread times as many times nothing, and as many times bare stores into a warm mapping, in turn
//! with the calls and in the same run: what those show is what the machine does to any code.

use crate::peer::{Row, find};
use crate::table::{lost, run};
use relay_benches::{Message, PATH, SHARES, Singles, TITLES, in_memory};
use relay_log::channel::floor::Floor;
use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

const CALLS: u64 = 600_000;
/// Calls are made in groups of so many, one group each tenth of a millisecond.
const GROUP: u64 = 20;
const EVERY: Duration = Duration::from_micros(100);
const SYNC_EVERY: Duration = Duration::from_millis(100);

/// The role: percentiles of calls, then those of bare stores and of nothing.
pub(crate) fn play(name: &str, arguments: &[&str]) {
    let [dir, fast, ..] = arguments else { panic!("two directories") };
    let peer = (find(name).set_up)(Path::new(dir), Path::new(fast));
    let path = black_box(String::from(PATH));
    let room = || Singles::with_room(CALLS as usize);
    let (mut calls, mut stores, mut nothing) = (room(), room(), room());
    let memory = in_memory();
    let mut floor = Floor::new(memory.path()).unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Relaxed) {
                relay_benches::sync();
                std::thread::sleep(SYNC_EVERY);
            }
        });
        let mut due = Instant::now();
        for group in 0..CALLS / GROUP {
            while Instant::now() < due {
                std::hint::spin_loop();
            }
            due += EVERY;
            let messages = || (group * GROUP..(group + 1) * GROUP).map(Message::number);
            // Whoever comes first finds what others have left of the caches.
            for turn in group..group + 3 {
                match turn % 3 {
                    0 => {
                        messages().for_each(|m| calls.time(|| (peer.three)(m.id, m.latency, &path)))
                    }
                    1 => {
                        messages().for_each(|m| stores.time(|| floor.three(m.id, m.latency, &path)))
                    }
                    _ => messages().for_each(|_| nothing.time(|| ())),
                }
            }
        }
        over.store(true, Relaxed);
    });
    (peer.end)();
    for number in [calls, stores, nothing].into_iter().flat_map(Singles::percentiles) {
        print!("{number} ");
    }
}

fn cells(numbers: &[f64]) -> String {
    numbers.iter().map(|nanos| format!(" {:.2} |", nanos / 1e3)).collect()
}

pub(crate) fn print(rows: &[Row]) {
    println!(
        "\n{CALLS} calls with three values, {GROUP} each {EVERY:?}, all file systems synced every"
    );
    println!(
        "{SYNC_EVERY:?} beside them: microseconds of single calls. In turn with them, in the same"
    );
    println!(
        "thread, as many times bare stores of the same values into a warm mapping on tmpfs, and"
    );
    println!("nothing: what the machine does to any code.\n");
    println!("| | writes | {TITLES} | stores: p99.99 | max | nothing: p99.99 | max | lost |");
    println!("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for row in rows {
        let outcome = run("storm", *row, &[]);
        let (calls, controls) = outcome.numbers.split_at(SHARES.len());
        let (stores, nothing) = controls.split_at(SHARES.len());
        let lost = lost(CALLS as f64, outcome.arrived as f64);
        let writes = if row.in_the_call { "in the call" } else { "elsewhere" };
        let controls = cells(&stores[3..]) + &cells(&nothing[3..]);
        println!("| {} | {writes} |{}{controls} {lost} |", row.name, cells(calls));
    }
}
