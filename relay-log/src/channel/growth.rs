//! Growing and giving back: blocks of the file are allocated before a byte is touched, and punched out
//! where nothing is needed.

use super::birth;
use super::identity::OnFull;
use super::layout::Counter;
use super::lease::Patience;
use super::shared::Channel;
use super::slots::Owned;
use super::sync::Ordering::Relaxed;
use rustix::io::Errno;

impl Channel {
    /// Sets the size that is kept allocated, in bytes; at least two sub-buffers. A larger one is
    /// allocated now, as far as the disk allows, or until another size is set meanwhile; what is
    /// beyond a smaller one is given back when the channel is idle. The cap is raised to it where it
    /// is lower, and is never lowered.
    pub fn resize(&self, bytes: u64) {
        self.set_keep(bytes);
        self.grow_to_keep(u32::MAX);
    }

    /// As [`Channel::resize`], without allocating anything.
    pub(super) fn set_keep(&self, bytes: u64) {
        let size = u64::from(self.identity.sub_buffer);
        let subs = u32::try_from(bytes.div_ceil(size)).unwrap_or(u32::MAX / 2).max(2);
        self.keep.store(subs, Relaxed);
        if subs > self.cap.load(Relaxed) {
            self.set_cap(u64::from(subs) * size);
        }
        self.count(Counter::Resized, 1);
    }

    /// Allocates up to `most` of the sub-buffers that are missing from what is to be kept. Returns
    /// whether it is worth going on: more are missing, and the disk has given these.
    pub(super) fn grow_to_keep(&self, most: u32) -> bool {
        let keep = self.keep();
        let missing = keep.saturating_sub(self.slots.allocated());
        let now = missing.min(most);
        let grown = (0..now).take_while(|_| self.keep() == keep && self.grow_ahead()).count();
        if grown > 0 {
            self.handed_back();
        }
        grown as u32 == now && missing > now
    }

    /// Sub-buffers that stay allocated.
    pub(crate) fn keep(&self) -> u32 {
        self.keep.load(Relaxed)
    }

    /// Whether what waits for the collector leaves room to grow.
    pub(crate) fn may_grow(&self) -> bool {
        self.slots.backlog() < self.cap.load(Relaxed)
    }

    /// Whether somebody who waits could have a sub-buffer now.
    pub(super) fn has_room(&self) -> bool {
        self.may_grow() && (self.slots.free_up_to(1) > 0 || self.slots.has_parked())
    }

    /// Whether a record that nobody waits for would find room.
    pub(super) fn takes_more(&self) -> bool {
        self.config.on_full == OnFull::Overwrite || self.slots.free_up_to(1) > 0
    }

    /// Allocates one more sub-buffer and leases it.
    pub(super) fn grow(&self, patience: Patience) -> Option<Owned> {
        let index = self.slots.begin_growth()?;
        if self.allocate(index, patience) {
            return Some(self.slots.grown_leased(index));
        }
        self.slots.not_grown(index);
        None
    }

    /// Allocates one more sub-buffer for whoever comes; the keeper's way of growing.
    pub(crate) fn grow_ahead(&self) -> bool {
        let Some(index) = self.slots.begin_growth() else {
            return false;
        };
        if !self.allocate(index, Patience::Policy) {
            self.slots.not_grown(index);
            return false;
        }
        let _ = self.map.populate(self.offset(index), self.identity.sub_buffer as usize);
        self.slots.grown_free(index);
        true
    }

    pub(super) fn allocate(&self, index: u32, patience: Patience) -> bool {
        let size = u64::from(self.identity.sub_buffer);
        let done = self.file.with(|fd| {
            let wanted = self.reserve.saturating_add(size);
            let enough = match patience {
                Patience::Policy => birth::free_bytes(fd) >= wanted,
                // Where little is left, it is left for what is handed back.
                Patience::ForGood => {
                    let limit = birth::file_size_limit().saturating_sub(self.offset(index) as u64);
                    birth::free_bytes(fd).min(limit) >= wanted
                }
                Patience::PastTheCap | Patience::Never => true,
            };
            let room = if enough { Ok(()) } else { Err(Errno::NOSPC) };
            room.and_then(|()| self.file.grow(fd, self.offset(index) as u64, size))
        });
        let done = done.is_ok();
        self.count(if done { Counter::Grown } else { Counter::AllocFailed }, 1);
        done
    }

    /// Gives the blocks of the highest sub-buffer back if it is free and not among the first `keep`.
    pub(crate) fn shrink(&self, keep: u32) -> bool {
        use rustix::fs::FallocateFlags as Flags;
        let Some(index) = self.slots.begin_retirement(keep) else {
            return false;
        };
        let size = u64::from(self.identity.sub_buffer);
        // The length stays: whoever maps or reads the file finds a hole, not an end.
        let punch = Flags::PUNCH_HOLE | Flags::KEEP_SIZE;
        let at = self.offset(index) as u64;
        let punched = self.file.with(|fd| rustix::fs::fallocate(fd, punch, at, size));
        if punched.is_ok() {
            self.count(Counter::Shrunk, 1);
        }
        self.slots.retired(index);
        punched.is_ok()
    }
}
