//! Where a search of the table of sub-buffers may begin.

use super::sync::{AtomicU64, Ordering::*};

/// A place below which there is nothing to be found, so that nobody has to look there.
///
/// Who has looked raises it, who leaves something lowers it. A raise counts only if nobody has
/// lowered it since the look began, also where lowering changed nothing: hence the count above the
/// index. Without it, what was left behind the back of somebody looking would never be found again.
#[derive(Debug)]
pub(super) struct Hint(AtomicU64);

impl Hint {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// What the hint says before a look, for [`Hint::raise`], and where to begin to look.
    pub(super) fn look(&self) -> (u64, u32) {
        let seen = self.0.load(Acquire);
        (seen, seen as u32)
    }

    /// Nothing was there below `to`.
    pub(super) fn raise(&self, seen: u64, to: u32) {
        let raised = seen & !u64::from(u32::MAX) | u64::from(to);
        let _ = self.0.compare_exchange(seen, raised, Relaxed, Relaxed);
    }

    /// Something is there at `index`, from before this call on.
    pub(super) fn lower(&self, index: u32) {
        let mut seen = self.0.load(Relaxed);
        loop {
            let lowered = (seen >> 32).wrapping_add(1) << 32 | u64::from(index.min(seen as u32));
            match self.0.compare_exchange(seen, lowered, Release, Relaxed) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }
}
