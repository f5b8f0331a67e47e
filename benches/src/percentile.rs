//! Times of single calls, in ticks of the processor's counter, and their percentiles.

use relay_log::channel::floor::tick;
use std::time::{Duration, Instant};

/// Which percentiles tables show; the last one is the longest call.
pub const SHARES: [f64; 5] = [0.5, 0.99, 0.999, 0.9999, 1.0];

/// The columns of [`SHARES`].
pub const TITLES: &str = "p50 | p99 | p99.9 | p99.99 | max";

/// The value at a share of sorted values.
#[must_use]
pub fn at(sorted: &[f64], share: f64) -> f64 {
    sorted.get(((sorted.len().saturating_sub(1)) as f64 * share) as usize).copied().unwrap_or(0.0)
}

/// Sorts.
#[must_use]
pub fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// Nanoseconds of a tick, by the clock of the system.
#[must_use]
pub fn nanos_per_tick() -> f64 {
    let (start, first) = (Instant::now(), tick());
    while start.elapsed() < Duration::from_millis(50) {
        std::hint::spin_loop();
    }
    start.elapsed().as_nanos() as f64 / (tick() - first) as f64
}

/// Single calls that are timed. Both readings of the counter are in the times.
#[derive(Debug)]
pub struct Singles {
    ticks: Vec<u64>,
    nanos_per_tick: f64,
}

impl Singles {
    /// Room for so many calls, touched, so that noting them faults nothing in.
    #[must_use]
    pub fn with_room(calls: usize) -> Self {
        let mut ticks = vec![1; calls];
        ticks.clear();
        Self { ticks, nanos_per_tick: nanos_per_tick() }
    }

    /// Times a call.
    #[inline(always)]
    pub fn time(&mut self, call: impl FnOnce()) {
        let before = tick();
        call();
        self.ticks.push(tick() - before);
    }

    /// The percentiles [`SHARES`], nanoseconds.
    #[must_use]
    pub fn percentiles(self) -> [f64; 5] {
        let times = self.ticks.iter().map(|&ticks| ticks as f64 * self.nanos_per_tick).collect();
        let times = sorted(times);
        SHARES.map(|share| at(&times, share))
    }
}
