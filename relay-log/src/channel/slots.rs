//! Who may use which sub-buffer: the writer's own table, in its private memory.
//!
//! The file only publishes what is decided here, so nothing that another process scribbles into it
//! can make two threads own one sub-buffer. Each entry is one word, generation and status, and moves
//! by compare-and-swap:
//!
//! ```text
//!          begin_growth           grown            lease
//! Absent ---------------> Growing ------> Free(g) -------> Leased(g+1)
//!   ^  ^                     |             ^  |              |      |
//!   |  +---------------------+             |  | retire       | close| park
//!   |        not_grown            reclaim  |  v              v      v
//!   +----- Retiring <----------------------|--+          Ready(g+1) Parked(g+1)
//!           retired                        |                 |      |  unpark: Leased(g+1)
//!                                          +-----------------+
//! ```
//!
//! Free also means checked: `warm` moves Free(g) to Warm(g), `cool` moves it back, and whatever takes
//! a free one takes a warm one too, a lease the warm ones first. Whoever warms does not own it
//! meanwhile: checking a sub-buffer disturbs nobody who leases it in between, and then the mark, which
//! is for the generation that was checked, is not set.
//!
//! `reclaim` happens when the collector has put the generation into an archive. A sub-buffer with
//! callsite descriptions is leased and never closed. One whose blocks somebody has taken away goes
//! from Leased to Absent. `retire` remembers the generation in
//! `generation_floor`, so that a sub-buffer that comes back after its blocks were punched out never
//! repeats one.
//!
//! Source of the idea: generations as in printk's ring buffer and in systems with tagged pointers;
//! here they also make a position in the channel unique for ever.

use super::hint::Hint;
use super::prefetch;
use super::sync::{AtomicU32, AtomicU64, Ordering::*};

/// Status of an entry, in the low byte of its word; the generation stands above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Status {
    Absent = 0,
    Growing = 1,
    Free = 2,
    Leased = 3,
    Ready = 4,
    Parked = 5,
    Retiring = 6,
    /// Free, and seen to be there a moment ago: a lease need not ask the kernel.
    Warm = 7,
}

const fn word(generation: u64, status: Status) -> u64 {
    generation << 8 | status as u64
}

const fn is(word: u64, status: Status) -> bool {
    word & 0xff == status as u64
}

const fn generation(word: u64) -> u64 {
    word >> 8
}

const fn is_free(word: u64) -> bool {
    is(word, Status::Free) || is(word, Status::Warm)
}

/// One sub-buffer. All zero is [`Status::Absent`].
#[derive(Debug)]
pub(crate) struct Slot {
    word: AtomicU64,
    /// Numbered records in all generations, but those of who holds it now.
    records: AtomicU64,
    /// When it was closed, in the order of all closings.
    order: AtomicU64,
}

#[cfg(any(loom, shuttle))]
impl Default for Slot {
    fn default() -> Self {
        Self { word: AtomicU64::new(0), records: AtomicU64::new(0), order: AtomicU64::new(0) }
    }
}

/// An absent entry that was not always absent: a hole in the file, to be filled before it grows.
const HOLE: u64 = word(1, Status::Absent);

/// The table. `T` is where the slots lie: a mapping in programs, a vector in models.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slots: T,
    /// One past the highest entry that was ever not absent.
    high: AtomicU32,
    /// How many are ready and not reclaimed.
    backlog: AtomicU32,
    /// How many are holes, at least.
    holes: AtomicU32,
    free: Hint,
    warm: Hint,
    parked: Hint,
    /// Where the next partial reclaim looks.
    cursor: AtomicU32,
    /// No generation up to this one may be given to a sub-buffer that comes back.
    generation_floor: AtomicU64,
    closings: AtomicU64,
}

/// A sub-buffer that the caller now owns alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owned {
    pub(crate) index: u32,
    pub(crate) generation: u64,
    /// Numbered records in its earlier generations.
    pub(crate) prior: u64,
}

impl<T: AsRef<[Slot]>> Slots<T> {
    /// A table over slots that are all absent.
    pub(crate) fn new(slots: T) -> Self {
        Self {
            slots,
            high: AtomicU32::new(0),
            backlog: AtomicU32::new(0),
            holes: AtomicU32::new(0),
            free: Hint::new(),
            warm: Hint::new(),
            parked: Hint::new(),
            cursor: AtomicU32::new(0),
            generation_floor: AtomicU64::new(0),
            closings: AtomicU64::new(0),
        }
    }

    fn slot(&self, index: u32) -> &Slot {
        &self.slots.as_ref()[index as usize]
    }

    /// One past the highest sub-buffer in use.
    pub(crate) fn high(&self) -> u32 {
        self.high.load(Acquire)
    }

    /// How many were ever closed.
    pub(crate) fn closings(&self) -> u64 {
        self.closings.load(Relaxed)
    }

    /// How many wait for the collector.
    pub(crate) fn backlog(&self) -> u32 {
        self.backlog.load(Relaxed)
    }

    fn shift(&self, index: u32, from: u64, to: u64) -> bool {
        self.slot(index).word.compare_exchange(from, to, AcqRel, Relaxed).is_ok()
    }

    fn own(&self, index: u32, from: u64) -> Option<Owned> {
        let next = generation(from) + 1;
        let slot = self.slot(index);
        slot.word.compare_exchange(from, word(next, Status::Leased), AcqRel, Relaxed).ok()?;
        Some(Owned { index, generation: next, prior: slot.records.load(Relaxed) })
    }

    /// Leases the lowest free sub-buffer, if there is one.
    pub(crate) fn lease(&self) -> Option<Owned> {
        self.lowest(&self.free, is_free)
    }

    /// As [`Slots::lease`], but never the first one of the table, which is never retired either.
    pub(crate) fn lease_but_first(&self) -> Option<Owned> {
        let (_, start) = self.free.look();
        (start.max(1)..self.high()).find_map(|index| {
            let now = self.slot(index).word.load(Relaxed);
            if is_free(now) { self.own(index, now) } else { None }
        })
    }

    /// Asks for the memory that it takes to close a sub-buffer and to lease a warm one. Returns which one
    /// that may be.
    pub(crate) fn approach(&self, index: u32) -> Option<u32> {
        prefetch::to_write(self.slot(index));
        prefetch::to_write(&raw const self.closings);
        prefetch::to_write(&raw const self.backlog);
        let (_, start) = self.warm.look();
        let next = (start..self.high()).find(|index| {
            let now = self.slot(*index).word.load(Relaxed);
            is(now, Status::Warm)
        });
        next.inspect(|next| prefetch::to_write(self.slot(*next)))
    }

    /// Leases the lowest warm sub-buffer, if there is one.
    pub(crate) fn lease_warm(&self) -> Option<Owned> {
        self.lowest(&self.warm, |now| is(now, Status::Warm))
    }

    fn lowest(&self, hint: &Hint, wanted: impl Fn(u64) -> bool) -> Option<Owned> {
        let (seen, start) = hint.look();
        let high = self.high();
        for index in start..high {
            let word = || self.slot(index).word.load(Relaxed);
            // One that is warmed or cooled in between is looked at again: passed over, it would be
            // behind the hint.
            let mut now = word();
            while wanted(now) {
                if let Some(owned) = self.own(index, now) {
                    hint.raise(seen, index + 1);
                    return Some(owned);
                }
                now = word();
            }
        }
        hint.raise(seen, start.max(high));
        None
    }

    /// Sees to the free sub-buffers: the lowest `most` are warm if `there` says so of them, which is
    /// told whether they are already, and all others are not. One thread at a time.
    pub(crate) fn warm(&self, most: u32, there: impl Fn(u32, bool) -> bool) {
        let (_, start) = self.free.look();
        let mut free = 0;
        for index in start..self.high() {
            let now = self.slot(index).word.load(Acquire);
            if !is_free(now) {
                continue;
            }
            free += 1;
            let good = free <= most && there(index, is(now, Status::Warm));
            let to = if good { Status::Warm } else { Status::Free };
            // Where somebody leases it meanwhile, there is nothing to be said.
            if !is(now, to) && self.shift(index, now, word(generation(now), to)) && good {
                self.warm.lower(index);
            }
        }
    }

    /// Takes back what `archived(index)` says is in an archive, looking at `most` entries.
    /// Returns how many came back.
    pub(crate) fn reclaim(&self, most: u32, archived: impl Fn(u32) -> u64) -> u32 {
        let high = self.high();
        let mut found = 0;
        if high == 0 || self.backlog() == 0 {
            return 0;
        }
        for i in 0..most.min(high) {
            // Who looks at all does so alone: two that share the cursor would each see a part.
            let at = if most >= high { i } else { self.cursor.fetch_add(1, Relaxed) % high };
            let now = self.slot(at).word.load(Acquire);
            if is(now, Status::Ready) && archived(at) == generation(now) {
                found += u32::from(self.free(at, now));
            }
        }
        found
    }

    fn free(&self, index: u32, ready: u64) -> bool {
        let freed = self.shift(index, ready, word(generation(ready), Status::Free));
        if freed {
            self.backlog.fetch_sub(1, Relaxed);
            self.free.lower(index);
        }
        freed
    }

    /// Takes the sub-buffer that has waited longest for the collector.
    pub(crate) fn overwrite(&self) -> Option<Owned> {
        loop {
            let oldest = (0..self.high())
                .map(|index| (index, self.slot(index).word.load(Acquire)))
                .filter(|(_, now)| is(*now, Status::Ready))
                .min_by_key(|(index, _)| self.slot(*index).order.load(Relaxed));
            let (index, now) = oldest?;
            if let Some(owned) = self.own(index, now) {
                self.backlog.fetch_sub(1, Relaxed);
                return Some(owned);
            }
        }
    }

    /// Closes a leased sub-buffer with `records` more numbered records in it: it waits for the
    /// collector.
    pub(crate) fn close(&self, index: u32, held: u64, records: u64) {
        let slot = self.slot(index);
        slot.records.fetch_add(records, Relaxed);
        slot.order.store(self.closings.fetch_add(1, Relaxed), Relaxed);
        self.backlog.fetch_add(1, Relaxed);
        let closed = self.shift(index, word(held, Status::Leased), word(held, Status::Ready));
        debug_assert!(closed, "only its owner closes a sub-buffer");
    }

    /// Leaves a leased sub-buffer, with `records` more in it, for whoever comes next.
    pub(crate) fn park(&self, index: u32, held: u64, records: u64) {
        self.slot(index).records.fetch_add(records, Relaxed);
        let parked = self.shift(index, word(held, Status::Leased), word(held, Status::Parked));
        debug_assert!(parked, "only its owner parks a sub-buffer");
        self.parked.lower(index);
    }

    /// Continues a parked sub-buffer, in the generation it was left in.
    pub(crate) fn unpark(&self) -> Option<Owned> {
        let (seen, start) = self.parked.look();
        let high = self.high();
        for index in start..high {
            let now = self.slot(index).word.load(Acquire);
            let to = word(generation(now), Status::Leased);
            if is(now, Status::Parked) && self.shift(index, now, to) {
                self.parked.raise(seen, index + 1);
                let prior = self.slot(index).records.load(Relaxed);
                return Some(Owned { index, generation: generation(now), prior });
            }
        }
        self.parked.raise(seen, start.max(high));
        None
    }

    /// Whether there is a parked one, as far as can be seen without taking it.
    pub(crate) fn has_parked(&self) -> bool {
        let (_, start) = self.parked.look();
        (start..self.high()).any(|i| is(self.slot(i).word.load(Acquire), Status::Parked))
    }

    /// Claims an absent entry for the caller to allocate; `None` when the table is full.
    pub(crate) fn begin_growth(&self) -> Option<u32> {
        let growing = word(0, Status::Growing);
        if self.holes.load(Relaxed) > 0 {
            let claim = |index: &u32| {
                self.slot(*index).word.load(Relaxed) == HOLE && self.shift(*index, HOLE, growing)
            };
            if let Some(index) = (0..self.high()).find(claim) {
                self.holes.fetch_sub(1, Relaxed);
                return Some(index);
            }
        }
        loop {
            let high = self.high();
            if high as usize >= self.slots.as_ref().len() {
                return None;
            }
            // The entry first, and never one that is a hole by now: holes are counted. Then whoever
            // is here raises `high`, also for somebody who was stopped in between.
            let claimed = self.shift(high, 0, growing);
            let _ = self.high.compare_exchange(high, high + 1, AcqRel, Relaxed);
            if claimed {
                return Some(high);
            }
        }
    }

    /// The claimed entry is allocated: the caller leases it at once.
    pub(crate) fn grown_leased(&self, index: u32) -> Owned {
        let generation = self.generation_floor.load(Acquire) + 1;
        let slot = self.slot(index);
        slot.word.store(word(generation, Status::Leased), Release);
        Owned { index, generation, prior: slot.records.load(Relaxed) }
    }

    /// The claimed entry is allocated: anyone may lease it.
    pub(crate) fn grown_free(&self, index: u32) {
        let generation = self.generation_floor.load(Acquire);
        self.slot(index).word.store(word(generation, Status::Free), Release);
        self.free.lower(index);
    }

    /// The claimed entry could not be allocated.
    pub(crate) fn not_grown(&self, index: u32) {
        // Counted before it can be claimed, so that the count is never below what is there.
        self.holes.fetch_add(1, Relaxed);
        self.slot(index).word.store(HOLE, Release);
    }

    /// Claims the highest free entry that is not among the first `keep` for retirement.
    pub(crate) fn begin_retirement(&self, keep: u32) -> Option<u32> {
        for index in (keep..self.high()).rev() {
            let now = self.slot(index).word.load(Acquire);
            let retiring = word(generation(now), Status::Retiring);
            if is_free(now) && self.shift(index, now, retiring) {
                self.generation_floor.fetch_max(generation(now), AcqRel);
                return Some(index);
            }
        }
        None
    }

    /// The blocks of the claimed entry are given back.
    pub(crate) fn retired(&self, index: u32) {
        // Counted before it can be claimed, so that the count is never below what is there.
        self.holes.fetch_add(1, Relaxed);
        self.slot(index).word.store(HOLE, Release);
    }

    /// The blocks of a leased entry are not there, whoever took them: it is a hole, to be grown again.
    pub(crate) fn vanished(&self, owned: Owned) {
        self.generation_floor.fetch_max(owned.generation, AcqRel);
        self.retired(owned.index);
    }

    /// The sub-buffers that are allocated.
    pub(crate) fn indexes(&self) -> impl Iterator<Item = u32> {
        let there = |i: &u32| {
            let now = self.slot(*i).word.load(Relaxed);
            !is(now, Status::Absent) && !is(now, Status::Growing)
        };
        (0..self.high()).filter(there)
    }

    /// How many sub-buffers are allocated.
    pub(crate) fn allocated(&self) -> u32 {
        self.indexes().count() as u32
    }

    /// How many are free, counting up to `most`.
    pub(crate) fn free_up_to(&self, most: u32) -> u32 {
        let (_, start) = self.free.look();
        let free = |i: &u32| is_free(self.slot(*i).word.load(Relaxed));
        (start..self.high()).filter(free).take(most as usize).count() as u32
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    fn table(n: usize) -> Slots<Vec<Slot>> {
        let slot = || Slot {
            word: AtomicU64::new(0),
            records: AtomicU64::new(0),
            order: AtomicU64::new(0),
        };
        Slots::new((0..n).map(|_| slot()).collect())
    }

    #[test]
    fn a_sub_buffer_goes_round() {
        let slots = table(4);
        assert_eq!(slots.lease(), None);
        let grown = slots.begin_growth().unwrap();
        let first = slots.grown_leased(grown);
        assert_eq!((first.index, first.generation, first.prior), (0, 1, 0));
        slots.close(0, 1, 10);
        assert_eq!(slots.backlog(), 1);
        assert_eq!(slots.reclaim(8, |_| 0), 0, "not archived yet");
        assert_eq!(slots.reclaim(8, |_| 1), 1);
        let again = slots.lease().unwrap();
        assert_eq!((again.index, again.generation, again.prior), (0, 2, 10));
        slots.park(0, 2, 0);
        assert_eq!(slots.lease(), None, "parked is not free");
        assert!(slots.has_parked());
        assert_eq!(slots.unpark().unwrap(), again);
        assert_eq!((slots.unpark(), slots.has_parked()), (None, false));
    }

    #[test]
    fn a_retired_sub_buffer_never_repeats_a_generation() {
        let slots = table(2);
        let a = slots.begin_growth().unwrap();
        let b = slots.begin_growth().unwrap();
        assert_eq!(slots.begin_growth(), None, "the table is full");
        slots.grown_leased(a);
        slots.grown_leased(b);
        slots.close(b, 1, 3);
        slots.reclaim(8, |_| 1);
        assert_eq!(slots.begin_retirement(1), Some(b));
        slots.retired(b);
        assert_eq!(slots.allocated(), 1);
        assert_eq!(slots.begin_retirement(1), None, "what is in use stays");
        assert_eq!(slots.begin_growth(), Some(b));
        let back = slots.grown_leased(b);
        assert_eq!((back.generation, back.prior), (2, 3));
    }

    #[test]
    fn whatever_was_parked_is_continued() {
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let slots = table(3);
            for _ in 0..3 {
                let i = slots.begin_growth().unwrap();
                slots.grown_leased(i);
            }
            order.iter().for_each(|index| slots.park(*index, 1, 1));
            let mut back: Vec<u32> = (0..3).map(|_| slots.unpark().unwrap().index).collect();
            back.sort_unstable();
            assert_eq!(back, [0, 1, 2]);
        }
    }

    #[test]
    fn the_oldest_is_overwritten() {
        let slots = table(3);
        for _ in 0..3 {
            let i = slots.begin_growth().unwrap();
            slots.grown_leased(i);
        }
        for index in [1, 2, 0] {
            slots.close(index, 1, 1);
        }
        assert_eq!(slots.overwrite().unwrap().index, 1);
        assert_eq!(slots.overwrite().unwrap().index, 2);
        assert_eq!(slots.backlog(), 1);
    }
}
