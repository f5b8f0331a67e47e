//! The table of sub-buffers under random schedules (`ci/schedules.sh`): more threads and sub-buffers,
//! and longer lives, than [`super::models`] can try in every order.
//!
//! Writers lease, nest, grow, overwrite, close, park and find their blocks gone; a keeper retires,
//! warms and grows ahead; a collector archives with any lag. What must hold at every step: one owner, no
//! generation twice, every record counted. Here every access is sequentially consistent: what weaker
//! orders can do is what the models are for.

use super::slots::{Owned, Slot, Slots};
use super::sync::{AtomicU32, AtomicU64, Ordering::*};
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::RandomScheduler;
use shuttle::{Config, Runner, thread};
use std::sync::Arc;

/// What happens to the machine besides the common course.
#[derive(Clone, Copy)]
struct Moods {
    /// Writers overwrite what is not archived rather than wait.
    overwrite: bool,
    /// Blocks vanish, and allocations fail.
    misfortune: bool,
    /// The control: a writer that goes on writing after it has closed.
    trespass: bool,
}

struct Machine {
    slots: Slots<Vec<Slot>>,
    moods: Moods,
    /// Whether somebody is in a sub-buffer.
    inside: Vec<AtomicU32>,
    /// The last generation that each was had in.
    last: Vec<AtomicU64>,
    /// Records written into each.
    records: Vec<AtomicU64>,
    /// What the file says is ready, and what the collector says is archived.
    ready: Vec<AtomicU64>,
    archived: Vec<AtomicU64>,
    writing: AtomicU32,
}

fn words(n: usize) -> Vec<AtomicU64> {
    (0..n).map(|_| AtomicU64::new(0)).collect()
}

fn one_in(n: u32) -> bool {
    thread_rng().gen_range(0..n) == 0
}

impl Machine {
    fn new(n: usize, writers: u32, moods: Moods) -> Self {
        Self {
            slots: Slots::new((0..n).map(|_| Slot::default()).collect()),
            moods,
            inside: (0..n).map(|_| AtomicU32::new(0)).collect(),
            last: words(n),
            records: words(n),
            ready: words(n),
            archived: words(n),
            writing: AtomicU32::new(writers),
        }
    }

    fn enter(&self, index: u32) {
        assert_eq!(self.inside[index as usize].swap(1, SeqCst), 0, "two in one sub-buffer");
    }

    fn leave(&self, index: u32) {
        assert_eq!(self.inside[index as usize].swap(0, SeqCst), 1, "two in one sub-buffer");
    }

    /// Begins to use what was leased.
    fn begin(&self, owned: Owned, again: bool) -> Owned {
        self.enter(owned.index);
        let at = owned.index as usize;
        let last = self.last[at].swap(owned.generation, SeqCst);
        assert!(owned.generation > last || again && owned.generation == last, "a generation twice");
        assert_eq!(owned.prior, self.records[at].load(SeqCst), "records that were there before");
        owned
    }

    /// A sub-buffer by any way; waits where there is none.
    fn get(&self) -> Owned {
        loop {
            if one_in(3)
                && let Some(owned) = self.slots.unpark()
            {
                return self.begin(owned, true);
            }
            let warm = if one_in(2) { self.slots.lease_warm() } else { None };
            if let Some(owned) = warm.or_else(|| self.slots.lease()) {
                return self.begin(owned, false);
            }
            self.reclaim(if one_in(2) { 2 } else { u32::MAX });
            if one_in(2)
                && let Some(index) = self.grow()
            {
                return self.begin(self.slots.grown_leased(index), false);
            }
            if self.moods.overwrite
                && let Some(owned) = self.slots.overwrite()
            {
                return self.begin(owned, false);
            }
            thread::yield_now();
        }
    }

    fn grow(&self) -> Option<u32> {
        let index = self.slots.begin_growth()?;
        self.enter(index);
        self.leave(index);
        if self.moods.misfortune && one_in(6) {
            self.slots.not_grown(index);
            return None;
        }
        Some(index)
    }

    fn reclaim(&self, most: u32) {
        self.slots.reclaim(most, |index| self.archived[index as usize].load(SeqCst));
    }

    /// Writes, perhaps with another call in the middle, and leaves in one of the ways there are.
    fn write(&self, nesting: u32) {
        let owned = self.get();
        let at = owned.index as usize;
        if nesting < 2 && one_in(4) {
            self.write(nesting + 1);
        }
        if self.moods.misfortune && one_in(10) {
            self.leave(owned.index);
            self.slots.vanished(owned);
            return;
        }
        let records = thread_rng().gen_range(0..4);
        self.records[at].fetch_add(records, SeqCst);
        self.leave(owned.index);
        if one_in(4) {
            self.slots.park(owned.index, owned.generation, records);
        } else {
            self.ready[at].store(owned.generation, SeqCst);
            self.slots.close(owned.index, owned.generation, records);
        }
        if self.moods.trespass && one_in(8) {
            self.enter(owned.index);
            thread::yield_now();
            self.leave(owned.index);
        }
    }

    fn keep(&self) {
        while self.writing.load(SeqCst) > 0 {
            if let Some(index) = self.slots.begin_retirement(1) {
                self.enter(index);
                self.leave(index);
                self.slots.retired(index);
            }
            if one_in(3)
                && let Some(index) = self.grow()
            {
                self.slots.grown_free(index);
            }
            if one_in(2) {
                self.reclaim(u32::MAX);
            }
            let most = thread_rng().gen_range(0..6);
            self.slots.warm(most, |_, _| !(self.moods.misfortune && one_in(6)));
            thread::yield_now();
        }
    }

    fn collect(&self) {
        while self.writing.load(SeqCst) > 0 {
            for (ready, archived) in self.ready.iter().zip(&self.archived) {
                if one_in(2) {
                    archived.store(ready.load(SeqCst), SeqCst);
                }
            }
            thread::yield_now();
        }
    }

    /// Every sub-buffer can be had again, and no record is forgotten.
    fn all_come_back(&self) {
        let parked = std::iter::from_fn(|| self.slots.unpark());
        for owned in parked.collect::<Vec<_>>() {
            self.begin(owned, true);
            self.ready[owned.index as usize].store(owned.generation, SeqCst);
            self.leave(owned.index);
            self.slots.close(owned.index, owned.generation, 0);
        }
        for (ready, archived) in self.ready.iter().zip(&self.archived) {
            archived.store(ready.load(SeqCst), SeqCst);
        }
        self.reclaim(u32::MAX);
        assert_eq!(self.slots.backlog(), 0, "the backlog");
        while let Some(index) = self.slots.begin_growth() {
            self.slots.grown_free(index);
        }
        let all = self.inside.len();
        assert_eq!(self.slots.allocated() as usize, all, "a hole is forgotten");
        let leased =
            std::iter::from_fn(|| self.slots.lease()).map(|owned| self.begin(owned, false));
        assert_eq!(leased.count(), all, "a sub-buffer is lost");
    }
}

fn run(moods: Moods) {
    const WRITERS: u32 = 5;
    let machine = Arc::new(Machine::new(14, WRITERS, moods));
    let mut threads = Vec::new();
    for _ in 0..WRITERS {
        let machine = Arc::clone(&machine);
        threads.push(thread::spawn(move || {
            (0..8).for_each(|_| machine.write(0));
            machine.writing.fetch_sub(1, SeqCst);
        }));
    }
    for part in [Machine::keep, Machine::collect] {
        let machine = Arc::clone(&machine);
        threads.push(thread::spawn(move || part(&machine)));
    }
    threads.into_iter().for_each(|thread| thread.join().expect("a thread of the machine"));
    machine.all_come_back();
}

/// `RELAY_SEED` repeats a run, `RELAY_SCHEDULES` says how many schedules are tried.
fn schedules(moods: Moods) {
    let number = |name| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = number("RELAY_SEED").unwrap_or(now.map_or(1, |now| now.as_nanos() as u64));
    let schedules = number("RELAY_SCHEDULES").unwrap_or(1_000);
    println!("{schedules} schedules, RELAY_SEED={seed}");
    let mut config = Config::new();
    config.stack_size = 256 << 10;
    let scheduler = RandomScheduler::new_from_seed(seed, schedules as usize);
    Runner::new(scheduler, config).run(move || run(moods));
    let note = "seven threads, fourteen sub-buffers, three moods";
    println!("ATTACK|random schedules of the table of sub-buffers|{schedules}|0|0|0|0|0|{note}");
}

const CALM: Moods = Moods { overwrite: false, misfortune: false, trespass: false };

#[test]
fn growing_retiring_nesting_parking() {
    schedules(CALM);
}

#[test]
fn overwriting_too() {
    schedules(Moods { overwrite: true, ..CALM });
}

#[test]
fn with_blocks_that_vanish() {
    schedules(Moods { overwrite: true, misfortune: true, ..CALM });
}

#[test]
#[should_panic(expected = "two in one sub-buffer")]
fn control_a_writer_that_goes_on_after_it_has_closed() {
    schedules(Moods { trespass: true, ..CALM });
}
