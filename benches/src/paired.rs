//! Variants in turn, many short rounds, and medians of the ratios round by round.

use crate::percentile::{at, sorted};
use std::time::Instant;

/// One thing to be measured: a name, and what runs one batch of calls.
pub struct Variant<'a> {
    name: &'static str,
    batch: Box<dyn FnMut(u32) + 'a>,
}

impl<'a> Variant<'a> {
    /// `batch(n)` makes `n` calls.
    pub fn new(name: &'static str, batch: impl FnMut(u32) + 'a) -> Self {
        Self { name, batch: Box::new(batch) }
    }
}

impl std::fmt::Debug for Variant<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Variant").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What was measured of a variant, nanoseconds a call.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// What the table calls it.
    pub name: &'static str,
    /// The median of the rounds.
    pub median: f64,
    /// The 99th percentile of the rounds.
    pub p99: f64,
    /// The median of the ratios to the first variant, round by round.
    pub ratio: f64,
}

/// Runs `rounds` rounds of every variant in turn, `calls` calls each. The first tenth warms up.
#[must_use]
pub fn paired(variants: &mut [Variant<'_>], rounds: usize, calls: u32) -> Vec<Measured> {
    let mut times = vec![Vec::with_capacity(rounds); variants.len()];
    for round in 0..rounds + rounds / 10 {
        for (variant, times) in variants.iter_mut().zip(&mut times) {
            let start = Instant::now();
            (variant.batch)(calls);
            let nanos = start.elapsed().as_nanos() as f64 / f64::from(calls);
            if round >= rounds / 10 {
                times.push(nanos);
            }
        }
    }
    let first = times.first().cloned().unwrap_or_default();
    let measured = variants.iter().zip(times).map(|(variant, times)| {
        let ratios = times.iter().zip(&first).map(|(time, first)| time / first).collect();
        let (ratios, times) = (sorted(ratios), sorted(times));
        Measured {
            name: variant.name,
            median: at(&times, 0.5),
            p99: at(&times, 0.99),
            ratio: at(&ratios, 0.5),
        }
    });
    measured.collect()
}

/// Prints a table; `floor` is the row that the others are compared with.
pub fn print(title: &str, rows: &[Measured], floor: usize) {
    let name = rows.get(floor).map_or("", |row| row.name);
    println!("\n{title}\n");
    println!("| | median ns a call | p99 of batches | × {name} |");
    println!("|---|---:|---:|---:|");
    for row in rows {
        println!("| {} | {:.1} | {:.1} | {:.2} |", row.name, row.median, row.p99, row.ratio);
    }
}
