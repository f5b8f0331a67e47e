//! What nothing can be cheaper than: a tick, a header and bare stores into a warm mapping, published
//! with one release store. No lease, no check that there is room, no signal or fork is thought of. For
//! benches only.

use super::map::Mapping;
use super::tick;
use relay_fmt::record::{HEADER_LEN, Header, Kind, padded};
use std::sync::atomic::{AtomicU64, Ordering::Release};

/// A warm mapping to store into.
#[derive(Debug)]
pub struct Floor {
    map: Mapping,
    at: usize,
}

/// Bytes that are used in turn: what a sub-buffer has.
const BYTES: usize = 64 << 10;
/// Where records begin: the published word stands in front of them.
const START: usize = 64;

/// The tick that records carry on a machine whose counter is trusted: what single calls are timed with.
#[must_use]
#[inline(always)]
pub fn tick() -> u64 {
    tick::tsc()
}

impl Floor {
    /// A mapping of a new file in `dir`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(dir: &std::path::Path) -> std::io::Result<Self> {
        let path = dir.join("floor");
        let mut options = std::fs::OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).open(path)?;
        file.set_len(BYTES as u64)?;
        let map = Mapping::reserve(&file, BYTES)?;
        map.populate(0, BYTES)?;
        Ok(Self { map, at: START })
    }

    #[inline(always)]
    fn record(&mut self, len: usize, fill: impl FnOnce(*mut u8)) {
        let total = padded(HEADER_LEN + len);
        if self.at + total > BYTES {
            self.at = START;
        }
        let at = self.map.base().wrapping_add(self.at);
        let head = Header::word((HEADER_LEN + len) as u32, 1, Kind::Event, 7);
        // SAFETY: `at` has room for `total` bytes in the mapping, which is this object's alone.
        unsafe { at.cast::<u64>().write(head) };
        // SAFETY: as above.
        unsafe { at.cast::<u64>().wrapping_add(1).write(tick::tsc()) };
        fill(at.wrapping_add(HEADER_LEN));
        self.at += total;
        // SAFETY: the first word of the mapping, aligned.
        unsafe { AtomicU64::from_ptr(self.map.base().cast()) }.store(self.at as u64, Release);
    }

    /// A record without values.
    #[inline(always)]
    pub fn none(&mut self) {
        self.record(0, |_| {});
    }

    /// A record with a number, a float and a string.
    #[inline(always)]
    pub fn three(&mut self, id: u64, latency: f64, path: &str) {
        self.record(8 + 8 + 4 + path.len(), |at| {
            // SAFETY: the record has room for all three (the length above).
            unsafe { at.cast::<u64>().write_unaligned(id) };
            // SAFETY: as above.
            unsafe { at.wrapping_add(8).cast::<f64>().write_unaligned(latency) };
            // SAFETY: as above.
            unsafe { at.wrapping_add(16).cast::<u32>().write_unaligned(path.len() as u32) };
            // SAFETY: as above; the string lies elsewhere.
            unsafe { at.wrapping_add(20).copy_from_nonoverlapping(path.as_ptr(), path.len()) };
        });
    }
}
