//! What a call costs the thread that makes it: in bursts that every queue takes, and flat out.

use crate::peer::{Peer, Row, find};
use crate::table::{lost, rounds, run};
use relay_benches::{Message, PATH, Singles, TITLES, median, medians};
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

/// Calls of a burst.
const BURST: u32 = 500;
const PAUSE: Duration = Duration::from_millis(4);
/// Bursts of each kind; the first ones warm up.
const BURSTS: usize = 120;
const WARM: usize = 20;
/// Single calls that are timed, in bursts of 200.
const SINGLES: usize = 100_000;
const FLAT_OUT: usize = 500_000;

fn set_up(name: &str, arguments: &[&str]) -> Peer {
    let [dir, fast, ..] = arguments else { panic!("two directories") };
    (find(name).set_up)(Path::new(dir), Path::new(fast))
}

fn bursts(call: impl Fn(Message)) -> f64 {
    let burst = || {
        std::thread::sleep(PAUSE);
        let start = Instant::now();
        (0..u64::from(BURST)).for_each(|i| call(Message::number(i)));
        start.elapsed().as_nanos() as f64 / f64::from(BURST)
    };
    median((0..BURSTS).map(|_| burst()).skip(WARM).collect())
}

/// The role: bursts of calls, and single calls in bursts.
pub(crate) fn burst(name: &str, arguments: &[&str]) {
    let peer = set_up(name, arguments);
    let path = black_box(String::from(PATH));
    let none = bursts(|_| (peer.none)());
    let one = bursts(|message| (peer.one)(message.id));
    let three = bursts(|message| (peer.three)(message.id, message.latency, &path));
    let mut singles = Singles::with_room(SINGLES);
    for i in 0..SINGLES as u64 {
        if i % 200 == 0 {
            std::thread::sleep(PAUSE / 2);
        }
        let message = Message::number(i);
        singles.time(|| (peer.three)(message.id, message.latency, &path));
    }
    (peer.end)();
    say([none, one, three].into_iter().chain(singles.percentiles()));
}

/// The role: one call after the other, as fast as they go.
pub(crate) fn flat_out(name: &str, arguments: &[&str]) {
    let peer = set_up(name, arguments);
    let path = black_box(String::from(PATH));
    let mut singles = Singles::with_room(FLAT_OUT);
    let start = Instant::now();
    for message in relay_benches::messages(FLAT_OUT as u64) {
        singles.time(|| (peer.three)(message.id, message.latency, &path));
    }
    let average = start.elapsed().as_nanos() as f64 / FLAT_OUT as f64;
    (peer.end)();
    say([average].into_iter().chain(singles.percentiles()));
}

fn say(numbers: impl Iterator<Item = f64>) {
    numbers.for_each(|number| print!("{number} "));
}

fn cells(numbers: &[f64]) -> String {
    numbers.iter().map(|number| format!(" {number:.0} |")).collect()
}

fn measure(role: &str, rows: &[Row]) -> Vec<(&'static str, Vec<f64>)> {
    let runs = rounds(3, rows, |row| {
        let outcome = run(role, row, &[]);
        outcome.numbers.into_iter().chain([outcome.arrived as f64]).collect()
    });
    rows.iter().zip(runs).map(|(row, runs)| (row.name, medians(&runs))).collect()
}

pub(crate) fn print(rows: &[Row]) {
    println!(
        "\nBursts of {BURST} calls every {PAUSE:?}: nanoseconds a call, and of single calls with three"
    );
    println!("values in bursts of 200. Two readings of the counter are in the single calls.\n");
    println!("| | no value | 1 value | 3 values | {TITLES} | lost |");
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    let made = (3 * BURSTS * BURST as usize + SINGLES) as f64;
    for (name, numbers) in measure("burst", rows) {
        let [batches @ .., _, _, _, _, _, arrived] = &numbers[..] else { continue };
        let batches: String = batches.iter().map(|nanos| format!(" {nanos:.1} |")).collect();
        let singles = cells(&numbers[3..8]);
        println!("| {name} |{batches}{singles} {} |", lost(made, *arrived));
    }
    println!("\nFlat out, {FLAT_OUT} calls with three values: nanoseconds a call.\n");
    println!("| | average | {TITLES} | lost |");
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    for (name, numbers) in measure("flat-out", rows) {
        let lost = lost(FLAT_OUT as f64, numbers[6]);
        println!("| {name} |{} {lost} |", cells(&numbers[..6]));
    }
}
