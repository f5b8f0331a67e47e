//! Measuring on a machine that others use too: many short rounds, each of all variants in turn, so
//! that what the machine does meanwhile meets them all; medians of the rounds, and ratios of those.

use std::time::Instant;

/// One thing to be measured: a name, and what runs one batch of calls.
pub struct Variant<'a> {
    /// What the table calls it.
    pub name: &'static str,
    /// Runs `n` calls.
    pub batch: Box<dyn FnMut(u32) + 'a>,
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
}

/// Runs `rounds` rounds of every variant in turn, `calls` calls each.
#[must_use]
pub fn paired(variants: &mut [Variant<'_>], rounds: usize, calls: u32) -> Vec<Measured> {
    let mut times = vec![Vec::with_capacity(rounds); variants.len()];
    for round in 0..rounds + rounds / 10 {
        for (variant, times) in variants.iter_mut().zip(&mut times) {
            let start = Instant::now();
            (variant.batch)(calls);
            let nanos = start.elapsed().as_nanos() as f64 / f64::from(calls);
            // The first rounds warm up.
            if round >= rounds / 10 {
                times.push(nanos);
            }
        }
    }
    variants
        .iter()
        .zip(times)
        .map(|(variant, mut times)| {
            times.sort_by(f64::total_cmp);
            let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
            Measured { name: variant.name, median: at(0.5), p99: at(0.99) }
        })
        .collect()
}

/// Prints a table; `floor` is the row that the others are compared with.
pub fn print(title: &str, rows: &[Measured], floor: usize) {
    println!("\n{title}\n");
    println!("| | median ns a call | p99 of rounds | × {} |", rows[floor].name);
    println!("|---|---:|---:|---:|");
    for row in rows {
        let times = row.median / rows[floor].median;
        println!("| {} | {:.1} | {:.1} | {times:.2} |", row.name, row.median, row.p99);
    }
}
