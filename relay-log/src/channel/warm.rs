//! Whether a sub-buffer is there: asked by a lease itself, or a moment ahead of it by the keeper.
//!
//! Asking takes two system calls, and waits where another thread changes the mappings of the process.
//! So the keeper asks ahead for the next few ([`Channel::keep_warm`]), and a lease that finds one of
//! those asks nothing. What the keeper has seen counts for [`HOLDS_NS`] and not longer, however late it
//! is itself: who cuts the file or punches a hole into it is noticed by every lease that comes later
//! than that. Our own punching cannot come in between at all: it takes the sub-buffer out of the table
//! before it touches it, and a mark is for one generation.

use super::shared::Channel;
use super::sync::Ordering::{Acquire, Release};
use super::tick;
use rustix::io::Errno;

/// So long what the keeper has seen counts, in nanoseconds. Where many threads want to run, one that
/// sleeps for a millisecond comes back after ten.
const HOLDS_NS: u64 = 20_000_000;
/// It looks again at what it has seen when that is so old.
const AGAIN_NS: u64 = HOLDS_NS / 4;
/// It keeps so many bytes ready, in so many sub-buffers; more where they are used up faster.
const READY_BYTES: u32 = 512 << 10;
const READY: std::ops::RangeInclusive<u32> = 2..=8;

impl Channel {
    /// Faults a sub-buffer's pages in at once. `false` where a store would be a SIGBUS: somebody has
    /// cut the file or punched a hole into it, and the disk is full. `len` is the file's length, asked
    /// for just now, where it is known.
    pub(super) fn is_there(&self, index: u32, len: Option<u64>) -> bool {
        let (at, size) = (self.offset(index), self.identity.sub_buffer as usize);
        let populated = self.map.populate(at, size);
        // Other errors only say that the kernel does not know the question.
        let fault = populated.is_err_and(|e| Errno::from_io_error(&e) == Some(Errno::FAULT));
        // In the page where a file ends, stores go nowhere without a signal.
        !fault && len.is_none_or(|len| len >= (at + size) as u64)
    }

    /// Makes the lowest free sub-buffers ready for who comes next: `spare` or more.
    pub(crate) fn keep_warm(&self, spare: u32) {
        let ready = (READY_BYTES / self.identity.sub_buffer).clamp(*READY.start(), *READY.end());
        let at = tick::now(self.ticks());
        let again = !self.warmed_within(AGAIN_NS);
        let len = again.then(|| self.file.len()).flatten();
        self.slots.warm(spare.max(ready), |index, warm| {
            (warm && !again) || self.is_there(index, len.or_else(|| self.file.len()))
        });
        if again {
            // Only now: what is no longer there is no longer warm for who sees this.
            self.warmed.store(at, Release);
        }
    }

    /// Whether what the keeper has made ready still counts. Pairs with [`Channel::keep_warm`].
    pub(super) fn is_warm(&self) -> bool {
        self.warmed_within(HOLDS_NS)
    }

    fn warmed_within(&self, ns: u64) -> bool {
        let warmed = self.warmed.load(Acquire);
        let now = tick::now(self.ticks());
        warmed != 0
            && self.rate().nanos(now.wrapping_sub(warmed).cast_signed()).cast_unsigned() <= ns
    }
}
