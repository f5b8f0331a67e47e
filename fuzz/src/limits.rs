//! Bounds of memory and time.

use crate::ALLOCATED;
use std::time::{Duration, Instant};

/// A mebibyte.
pub const MIB: usize = 1 << 20;

/// No single call takes longer than this, on a machine that does other things too.
const TOO_LONG: Duration = Duration::from_secs(10);

/// Calls `what`, which must not allocate more than `most` bytes at a time.
///
/// Other threads' allocations count too: there must be none.
///
/// # Panics
/// When it does, or when it takes very long.
pub fn within<T>(most: usize, what: impl FnOnce() -> T) -> T {
    let (started, before) = (Instant::now(), ALLOCATED.current_usage());
    ALLOCATED.reset_peak_usage();
    let done = what();
    let peak = ALLOCATED.peak_usage().saturating_sub(before);
    assert!(peak <= most, "{peak} bytes were allocated at a time, of {most}");
    let took = started.elapsed();
    assert!(took < TOO_LONG, "it took {took:?}");
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "bytes were allocated")]
    fn too_much_is_seen() {
        within(100 * MIB, || std::hint::black_box(vec![1u8; 101 * MIB]));
    }
}
