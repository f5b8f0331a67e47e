//! The tail of single calls while somebody syncs all file systems every 100 ms: file systems protect
//! pages that they write back, and a store into such a page waits.
//!
//! Between the calls the same thread times as many times nothing: what those show is the machine.

use crate::peer::{Row, find};
use crate::table::{lost, run};
use relay_benches::{Message, PATH, Singles, TITLES};
use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

const CALLS: u64 = 600_000;
/// Calls are made in groups of so many, one group each tenth of a millisecond.
const GROUP: u64 = 20;
const EVERY: Duration = Duration::from_micros(100);
const SYNC_EVERY: Duration = Duration::from_millis(100);

/// The role: percentiles of calls, then those of nothing.
pub(crate) fn play(name: &str, arguments: &[&str]) {
    let [dir, fast, ..] = arguments else { panic!("two directories") };
    let peer = (find(name).set_up)(Path::new(dir), Path::new(fast));
    let path = black_box(String::from(PATH));
    let room = || Singles::with_room(CALLS as usize);
    let (mut calls, mut nothing, over) = (room(), room(), AtomicBool::new(false));
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
            for i in group * GROUP..(group + 1) * GROUP {
                let message = Message::number(i);
                calls.time(|| (peer.three)(message.id, message.latency, &path));
            }
            (0..GROUP).for_each(|_| nothing.time(|| ()));
        }
        over.store(true, Relaxed);
    });
    (peer.end)();
    for number in calls.percentiles().into_iter().chain(nothing.percentiles()) {
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
        "{SYNC_EVERY:?} beside them: microseconds of single calls, and of the same thread timing"
    );
    println!("nothing in between, which is the machine's share.\n");
    println!("| | writes | {TITLES} | nothing: p99.99 | max | lost |");
    println!("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    for row in rows {
        let outcome = run("storm", *row, &[]);
        let (calls, nothing) = outcome.numbers.split_at(5);
        let lost = lost(CALLS as f64, outcome.arrived as f64);
        let writes = if row.in_the_call { "in the call" } else { "elsewhere" };
        println!("| {} | {writes} |{}{} {lost} |", row.name, cells(calls), cells(&nothing[3..]));
    }
}
