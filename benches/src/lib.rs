//! Measuring on a machine that others use too: many short rounds, each of all variants in turn, so
//! that what the machine does meanwhile meets them all; medians of the rounds, and ratios of those.
//!
//! `ci/bench.sh` runs everything; `ci/bench.sh --record` writes what comes out into
//! `docs/measurements.md` and draws the plots from there.

mod machine;
mod messages;
mod paired;
mod percentile;
mod place;
pub mod recorded;
mod role;
pub mod svg;
mod usage;

pub use machine::print_machine;
pub use messages::{Message, PATH, messages};
pub use paired::{Measured, Variant, paired, print};
pub use percentile::{SHARES, Singles, TITLES, at, nanos_per_tick, sorted};
pub use place::{argument, in_memory, on_disk};
pub use role::{asked, median, medians, run, run_with};
pub use usage::{
    allocated, bytes, cpu_seconds, minor_faults, peak_mib, status_mib, sync, thread_cpu_nanos,
};
