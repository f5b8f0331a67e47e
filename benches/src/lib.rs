//! Measuring on a machine that others use too: many short rounds, each of all variants in turn, so
//! that what the machine does meanwhile meets them all; medians of the rounds, and ratios of those.

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

fn at(sorted: &[f64], share: f64) -> f64 {
    sorted.get(((sorted.len().saturating_sub(1)) as f64 * share) as usize).copied().unwrap_or(0.0)
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
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

/// Times `calls` single calls: p50, p99, p99.9, p99.99 and the longest, nanoseconds.
#[must_use]
pub fn percentiles(calls: u32, mut f: impl FnMut(u32)) -> [u64; 5] {
    let mut times = Vec::with_capacity(calls as usize);
    for i in 0..calls {
        let start = Instant::now();
        f(i);
        times.push(start.elapsed().as_nanos() as f64);
    }
    let times = sorted(times);
    [0.5, 0.99, 0.999, 0.9999, 1.0].map(|share| at(&times, share) as u64)
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

/// Says what machine this is.
pub fn print_machine() {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    println!("{model}, {cores} cores, Linux {}", kernel.trim().split('-').next().unwrap_or(""));
}
