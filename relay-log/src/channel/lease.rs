//! Leases: how a writer gets a sub-buffer, opens a generation in it, and leaves it.

use super::error::WriteError;
use super::identity::OnFull;
use super::layout::{self, Counter, SUB_HEADER_BYTES, State, low, sub, word};
use super::prefetch;
use super::shared::Channel;
use super::slots::Owned;
use super::sync::Ordering::{Acquire, Relaxed, Release};
use super::tick;
use super::waiting::Waiting;
use std::sync::atomic::fence;

/// Whether a call may wait for the collector; of calls, the least patient last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Patience {
    /// It does what the channel's policy says.
    Policy,
    /// It gets a sub-buffer past the cap: a call inside a call, a panic. Where the channel cannot grow,
    /// it too does what the policy says.
    PastTheCap,
    /// As that, and is discarded where it would wait: the collector's own thread, the keeper.
    Never,
    /// It gets what is never handed back, without waiting: few of those that are free and never the first,
    /// and growth only where there is plenty of room. A channel that cannot grow would hold nothing else
    /// in the end, and everybody would wait for a collector that has nothing to hand back.
    ForGood,
}

/// Of the sub-buffers that a channel keeps, one in so many may hold descriptions; more are grown.
const DESCRIBE_IN: u32 = 4;

/// A sub-buffer that is open for the caller to write.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opened {
    pub(crate) index: u32,
    pub(crate) generation: u64,
    /// Bytes committed already: not 0 when a parked sub-buffer is continued.
    pub(crate) committed: u32,
}

impl Channel {
    /// A sub-buffer with room for `need` bytes, or with all its room.
    pub(crate) fn open(&self, need: u32, patience: Patience) -> Result<Opened, WriteError> {
        if let Some(opened) = self.continue_parked(need) {
            return Ok(opened);
        }
        let opened = match self.acquire_warm(patience) {
            Some(owned) => self.begin(owned, State::Owned),
            None => self.acquire(need, patience)?,
        };
        self.wake_keeper();
        Ok(opened)
    }

    /// Asks for the memory that it takes to go from one sub-buffer to the next: without that each piece
    /// is waited for, one after the other, most of it from another processor.
    pub(crate) fn approach(&self, index: u32) {
        // Where no keeper makes any warm, all would be looked at, each time.
        if !self.is_warm() {
            return;
        }
        let Some(next) = self.slots.approach(index) else {
            return;
        };
        // Its header with both lease slots, and what is written first.
        let begin = self.map.at(self.offset(next));
        for line in 0..SUB_HEADER_BYTES / 64 + 3 {
            prefetch::to_write(begin.wrapping_add(64 * line));
        }
    }

    /// The common way: a sub-buffer that the keeper has just made ready. No system call.
    fn acquire_warm(&self, patience: Patience) -> Option<Owned> {
        let full = patience == Patience::Policy && !self.may_grow();
        (!full && self.is_warm()).then(|| self.slots.lease_warm()).flatten()
    }

    fn continue_parked(&self, need: u32) -> Option<Opened> {
        while let Some(owned) = self.slots.unpark() {
            let base = self.offset(owned.index);
            let committed = || self.map.u64(base + sub::COMMITTED).load(Acquire);
            if !self.is_there(owned.index, self.file.len())
                || layout::generation(committed()) != owned.generation
            {
                self.slots.vanished(owned);
                continue;
            }
            let committed = low(committed());
            let opened = Opened { index: owned.index, generation: owned.generation, committed };
            if committed.saturating_add(need) <= self.room() {
                self.set_state(opened.index, opened.generation, State::Owned);
                return Some(opened);
            }
            self.close(opened, 0);
        }
        None
    }

    fn acquire(&self, need: u32, patience: Patience) -> Result<Opened, WriteError> {
        let mut waiting: Option<Waiting<'_>> = None;
        loop {
            if let Some(owned) = self.acquire_now(patience) {
                return Ok(self.begin(owned, State::Owned));
            }
            match self.config.on_full {
                OnFull::Overwrite => {
                    let owned = self.overwrite().ok_or(WriteError::Discarded)?;
                    return Ok(self.begin(owned, State::Owned));
                }
                OnFull::Discard => return Err(WriteError::Discarded),
                OnFull::Block if patience == Patience::Never => return Err(WriteError::Discarded),
                OnFull::Block => {}
            }
            waiting.get_or_insert_with(|| Waiting::begin(self)).wait();
            // A thread that ended may have left one: the collector hands nothing back for it. At the cap
            // it is left alone: it may be what a call inside this one got past the cap, and whoever
            // filled that would have the channel grow with every signal.
            if self.may_grow()
                && let Some(opened) = self.continue_parked(need)
            {
                return Ok(opened);
            }
        }
    }

    /// The oldest that waits for the collector. Where none does, all are in use: another one past the
    /// cap, for a channel that may lose never waits.
    fn overwrite(&self) -> Option<Owned> {
        if let Some(owned) = self.slots.overwrite() {
            self.count(Counter::Overwritten, 1);
            return Some(owned);
        }
        self.acquire_now(Patience::PastTheCap)
    }

    /// A sub-buffer that is there, without waiting for anybody.
    fn acquire_now(&self, patience: Patience) -> Option<Owned> {
        let mut vanished = 0;
        loop {
            let owned = self.try_acquire(patience)?;
            if self.is_there(owned.index, self.file.len()) {
                return Some(owned);
            }
            self.slots.vanished(owned);
            vanished += 1;
            // Another one may be there, or this one can be had again. Where nothing helps (a file
            // system that allocates and does not mean it), it is a full disk.
            if vanished > self.slots.high() {
                return None;
            }
        }
    }

    /// One try to get a sub-buffer, without waiting for anybody.
    fn try_acquire(&self, patience: Patience) -> Option<Owned> {
        let cap = self.cap.load(Relaxed);
        if patience == Patience::Policy && self.slots.backlog() >= cap {
            self.reclaim(u32::MAX);
            if self.slots.backlog() >= cap {
                return None;
            }
        }
        let lease = || match patience {
            Patience::ForGood => self.lease_for_good(),
            _ => self.slots.lease(),
        };
        lease()
            .or_else(|| (self.reclaim(16) > 0).then(lease).flatten())
            .or_else(|| self.grow(patience))
            .or_else(|| (self.reclaim(u32::MAX) > 0).then(lease).flatten())
            .or_else(|| {
                // Nothing waits for the collector, so that waiting for it would have no end: whoever
                // has the others may never log again. What growth leaves alone is there for this.
                let policy = patience == Patience::Policy && self.slots.backlog() == 0;
                policy.then(|| self.grow(Patience::PastTheCap)).flatten()
            })
    }

    fn lease_for_good(&self) -> Option<Owned> {
        let few = self.descriptions.held() < (self.keep() / DESCRIBE_IN).max(1);
        few.then(|| self.slots.lease_but_first()).flatten()
    }

    fn set_state(&self, index: u32, generation: u64, state: State) {
        let at = self.offset(index) + sub::STATE;
        self.map.u64(at).store(word(generation, state as u32), Release);
    }

    /// Opens a new generation: state, lease slot, then `committed`, which makes it so.
    fn begin(&self, owned: Owned, state: State) -> Opened {
        let Owned { index, generation, prior } = owned;
        let base = self.offset(index);
        self.map.u64(base + sub::STATE).store(word(generation, state as u32), Relaxed);
        fence(Release); // open:A, pairs with the reader's fence: state before slot before committed
        let slot = base + sub::slot(generation);
        self.store(slot, generation);
        self.store(slot + 8, prior);
        self.store(slot + 16, tick::now(self.ticks()));
        // commit:B, generation g+1 with nothing in it. Until here generation g was readable.
        self.map.u64(base + sub::COMMITTED).store(word(generation, 0), Release);
        // commit:B before the bytes of this generation: a reader that copied any of them while it
        // took them for generation g's sees g+1 when it looks again. A release store alone holds
        // back only what comes before it.
        fence(Release);
        Opened { index, generation, committed: 0 }
    }

    /// Opens a sub-buffer for descriptions, if there is one without waiting: a record can bring its
    /// description itself. It is never handed back, so that nothing is overwritten for it.
    pub(crate) fn open_meta(&self) -> Option<Opened> {
        let owned = self.acquire_now(Patience::ForGood)?;
        self.descriptions.hold();
        Some(self.begin(owned, State::Meta))
    }

    /// Closes a sub-buffer to which the caller has added `records` numbered records since it was
    /// opened or continued.
    pub(crate) fn close(&self, opened: Opened, records: u64) {
        // The word in the file first: once the table says Ready, another thread may take it.
        self.set_state(opened.index, opened.generation, State::Ready);
        self.slots.close(opened.index, opened.generation, records);
    }

    /// Leaves a sub-buffer for the next lease to continue.
    pub(crate) fn park(&self, opened: Opened, records: u64) {
        self.set_state(opened.index, opened.generation, State::Parked);
        self.slots.park(opened.index, opened.generation, records);
        self.handed_back();
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
#[allow(clippy::unwrap_used, reason = "a test that fails should say where")]
mod tests {
    use super::super::config::Config;
    use super::super::layout::header;
    use super::*;
    use std::path::Path;
    use std::sync::mpsc;
    use std::time::Duration;

    /// Two sub-buffers, and a disk with nothing to grow into but what growth leaves alone.
    fn narrow(dir: &Path) -> Channel {
        let mut config = Config::new(dir, "narrow");
        (config.sub_buffer, config.initial, config.keeper) = (4096, 8192, false);
        let mut channel = Channel::create(config).unwrap();
        channel.reserve = u64::MAX / 2;
        channel
    }

    #[test]
    fn who_waits_continues_what_a_thread_that_ended_has_left() {
        let dir = tempfile::tempdir().unwrap();
        let channel = narrow(dir.path());
        let closed = channel.open(64, Patience::Policy).unwrap();
        let left = channel.open(64, Patience::Policy).unwrap();
        channel.close(closed, 0);
        let (said, hear) = mpsc::channel();
        std::thread::scope(|scope| {
            let channel = &channel;
            scope.spawn(move || said.send(channel.open(64, Patience::Policy).unwrap().index));
            while channel.map.u32(header::WAITERS).load(Acquire) == 0 {
                std::thread::yield_now();
            }
            channel.park(left, 0);
            let got = hear.recv_timeout(Duration::from_secs(60));
            // Lets it go on where it overlooks that.
            channel
                .map
                .u64(channel.offset(closed.index) + sub::ARCHIVED)
                .store(closed.generation, Release);
            assert_eq!(got, Ok(left.index));
        });
    }

    #[test]
    fn who_waits_at_the_cap_does_not_fill_what_calls_inside_it_got_past_the_cap() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::new(dir.path(), "full");
        (config.sub_buffer, config.initial, config.keeper) = (4096, 8192, false);
        config.max = Some(8192);
        let channel = &Channel::create(config).unwrap();
        let full = [0, 1].map(|_| channel.open(64, Patience::Policy).unwrap());
        full.iter().for_each(|opened| channel.close(*opened, 0));
        let (said, hear) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || said.send(channel.open(64, Patience::Policy).unwrap().index));
            while channel.map.u32(header::WAITERS).load(Acquire) == 0 {
                std::thread::yield_now();
            }
            let inside = channel.open(64, Patience::PastTheCap).unwrap();
            channel.park(inside, 0);
            // It looks whenever it is woken, and ten times a second.
            let waits = hear.recv_timeout(Duration::from_millis(300));
            for opened in full {
                let at = channel.offset(opened.index) + sub::ARCHIVED;
                channel.map.u64(at).store(opened.generation, Release);
            }
            assert_eq!(waits, Err(mpsc::RecvTimeoutError::Timeout));
            assert!(
                hear.recv().is_ok(),
                "it goes on as soon as the collector hands something back"
            );
        });
    }

    #[test]
    fn descriptions_leave_sub_buffers_for_records() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::new(dir.path(), "narrow");
        (config.sub_buffer, config.initial, config.keeper) = (4096, 8 * 4096, false);
        let mut channel = Channel::create(config).unwrap();
        channel.reserve = u64::MAX / 2;
        let open = || (0..20).map_while(|_| channel.open_meta().map(|opened| opened.index));
        assert_eq!(open().collect::<Vec<_>>(), [1, 2]);
        let records = [(); 6].map(|()| channel.open(64, Patience::Policy).unwrap());
        assert_eq!(records.map(|opened| opened.index), [0, 3, 4, 5, 6, 7]);
        // What comes back is for records again; with room enough there is more for descriptions.
        for opened in records {
            channel.close(opened, 0);
            let at = channel.offset(opened.index) + sub::ARCHIVED;
            channel.map.u64(at).store(opened.generation, Release);
        }
        assert_eq!(open().count(), 0);
        channel.reserve = 0;
        assert_eq!(channel.open_meta().map(|opened| opened.index), Some(8));
    }

    #[test]
    fn nobody_waits_for_threads_that_may_never_log_again() {
        let dir = tempfile::tempdir().unwrap();
        let channel = narrow(dir.path());
        let of_others = [0, 1].map(|_| channel.open(64, Patience::Policy).unwrap().index);
        let own = channel.open(64, Patience::Policy).unwrap();
        assert!(!of_others.contains(&own.index));
        // As soon as the collector can hand something back, it is waited for.
        channel.close(own, 0);
        assert_eq!(channel.acquire_now(Patience::Policy).map(|o| o.index), None);
    }
}
