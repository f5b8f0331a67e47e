//! Models of the protocol, run by loom in every order that two or three threads can have
//! (`ci/loom.sh`).
//!
//! The first half runs the real table of [`super::slots`]: never two owners of one sub-buffer, no
//! generation twice, the backlog right, and nothing lost at the end. The second half models the words
//! of the file as the documentation in [`super`] orders them, each with a control: without the order
//! that the model is there for, it must fail.

use super::slots::{Owned, Slot, Slots};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering::*, fence};
use loom::thread;

struct Table {
    slots: Slots<Vec<Slot>>,
    /// What lies in each sub-buffer: loom says when two threads are in one at once.
    data: Vec<UnsafeCell<u64>>,
    /// What the collector has written into each.
    archived: Vec<AtomicU64>,
}

impl Table {
    fn new(n: usize, grown: usize) -> Self {
        let table = Self {
            slots: Slots::new((0..n).map(|_| Slot::default()).collect()),
            data: (0..n).map(|_| UnsafeCell::new(0)).collect(),
            archived: (0..n).map(|_| AtomicU64::new(0)).collect(),
        };
        for _ in 0..grown {
            let index = table.slots.begin_growth().expect("there is room");
            table.slots.grown_free(index);
        }
        table
    }

    /// Uses a sub-buffer as its only owner: loom fails where there are two, or where one does not
    /// see what the one before did.
    fn write(&self, owned: Owned) {
        self.data[owned.index as usize].with_mut(|_| ());
    }

    fn close(&self, owned: Owned, records: u64) {
        self.slots.close(owned.index, owned.generation, records);
    }

    fn archive(&self, owned: Owned) {
        // One collector writes it, so it only goes up.
        self.archived[owned.index as usize].fetch_max(owned.generation, Release);
    }

    fn reclaim(&self) -> u32 {
        self.slots.reclaim(u32::MAX, |index| self.archived[index as usize].load(Acquire))
    }

    /// Everything that is allocated can be leased, in no generation that was had before.
    fn all_come_back(&self, expected: u32, above: &[Owned]) {
        self.reclaim();
        assert_eq!(self.slots.backlog(), 0, "the backlog");
        assert_eq!(self.slots.allocated(), expected, "allocated");
        for _ in 0..expected {
            let owned = self.slots.unpark().or_else(|| self.slots.lease());
            let owned = owned.expect("a sub-buffer is lost");
            self.write(owned);
            for other in above.iter().filter(|o| o.index == owned.index) {
                assert!(owned.generation > other.generation, "a generation is there twice");
            }
        }
        assert_eq!(self.slots.lease(), None, "one too many");
    }
}

fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    builder.check(f);
}

fn all<T: 'static>(threads: Vec<thread::JoinHandle<T>>) -> Vec<T> {
    threads.into_iter().map(|t| t.join().expect("a thread of the model")).collect()
}

#[test]
fn a_sub_buffer_has_one_owner() {
    model(|| {
        let table = Arc::new(Table::new(2, 2));
        let cycle = |table: Arc<Table>| {
            thread::spawn(move || {
                let owned = table.slots.lease().expect("two for two");
                table.write(owned);
                table.close(owned, 1);
                table.archive(owned);
                table.reclaim();
                owned
            })
        };
        let had = all(vec![cycle(Arc::clone(&table)), cycle(Arc::clone(&table))]);
        table.all_come_back(2, &had);
    });
}

#[test]
fn what_is_freed_while_another_leases_is_found_again() {
    model(|| {
        let table = Arc::new(Table::new(3, 3));
        let first = table.slots.lease().expect("three");
        table.write(first);
        table.close(first, 1);
        table.archive(first);
        let freeing = Arc::clone(&table);
        let freeing = thread::spawn(move || {
            freeing.reclaim();
        });
        let second = table.slots.lease().expect("three");
        table.write(second);
        table.close(second, 1);
        table.archive(second);
        freeing.join().expect("the thread that frees");
        table.all_come_back(3, &[]);
    });
}

#[test]
fn what_is_parked_is_continued_and_none_forgotten() {
    model(|| {
        let table = Arc::new(Table::new(2, 2));
        let part = |table: Arc<Table>| {
            thread::spawn(move || {
                let owned = table.slots.unpark().or_else(|| table.slots.lease());
                let owned = owned.expect("two for two");
                table.write(owned);
                table.slots.park(owned.index, owned.generation, 1);
            })
        };
        all(vec![part(Arc::clone(&table)), part(Arc::clone(&table))]);
        let mut records = 0;
        while let Some(owned) = table.slots.unpark() {
            table.write(owned);
            records += owned.prior;
            table.close(owned, 0);
            table.archive(owned);
        }
        assert_eq!(records, 2, "a parked sub-buffer is forgotten");
        table.all_come_back(2, &[]);
    });
}

#[test]
fn overwriting_and_reclaiming_agree_on_who_has_it() {
    model(|| {
        let table = Arc::new(Table::new(2, 2));
        for _ in 0..2 {
            let owned = table.slots.lease().expect("two");
            table.write(owned);
            table.close(owned, 1);
            table.archive(owned);
        }
        let taking = Arc::clone(&table);
        let taking = thread::spawn(move || {
            taking.slots.overwrite().inspect(|owned| {
                taking.write(*owned);
                taking.close(*owned, 1);
                taking.archive(*owned);
            })
        });
        table.reclaim();
        if let Some(owned) = table.slots.lease() {
            table.write(owned);
            table.close(owned, 1);
            table.archive(owned);
        }
        taking.join().expect("the thread that overwrites");
        table.all_come_back(2, &[]);
    });
}

#[test]
fn a_retired_sub_buffer_comes_back_in_a_later_generation() {
    model(|| {
        let table = Arc::new(Table::new(2, 2));
        let used = table.slots.lease().expect("two");
        table.close(used, 1);
        table.archive(used);
        table.reclaim();
        let keeper = Arc::clone(&table);
        let keeper = thread::spawn(move || {
            if let Some(index) = keeper.slots.begin_retirement(0) {
                keeper.data[index as usize].with_mut(|_| ());
                keeper.slots.retired(index);
            }
        });
        let get = || {
            let grow = || table.slots.begin_growth().map(|i| table.slots.grown_leased(i));
            table.slots.lease().or_else(grow)
        };
        let mut had = vec![used];
        for _ in 0..2 {
            if let Some(owned) = get() {
                table.write(owned);
                table.close(owned, 1);
                table.archive(owned);
                had.push(owned);
            }
        }
        keeper.join().expect("the keeper");
        while table.slots.allocated() < 2 {
            let index = table.slots.begin_growth().expect("a hole is forgotten");
            table.slots.grown_free(index);
        }
        table.all_come_back(2, &had);
    });
}

#[test]
fn growing_at_once_fills_every_hole() {
    model(|| {
        let table = Arc::new(Table::new(3, 1));
        let hole = table.slots.begin_retirement(0).expect("one is free");
        table.slots.retired(hole);
        let grow = |table: Arc<Table>| {
            thread::spawn(move || {
                let index = table.slots.begin_growth().expect("three for two");
                table.data[index as usize].with_mut(|_| ());
                table.slots.grown_free(index);
            })
        };
        all(vec![grow(Arc::clone(&table)), grow(Arc::clone(&table))]);
        assert_eq!(table.slots.high(), 2, "a hole is left and the file grows");
        let last = table.slots.begin_growth().expect("one is left");
        assert_eq!(last, 2);
        table.slots.not_grown(last);
        assert_eq!(table.slots.begin_growth(), Some(2), "what could not be grown is tried again");
        table.slots.grown_free(2);
        assert_eq!(table.slots.begin_growth(), None);
        table.all_come_back(3, &[]);
    });
}

#[test]
fn holes_are_counted_right_when_three_grow() {
    model(|| {
        let table = Arc::new(Table::new(4, 1));
        let hole = table.slots.begin_retirement(0).expect("one is free");
        table.slots.retired(hole);
        let grow = |table: &Table| {
            let index = table.slots.begin_growth().expect("four for three");
            table.data[index as usize].with_mut(|_| ());
            table.slots.grown_free(index);
        };
        let others = (0..2).map(|_| Arc::clone(&table));
        let others = others.map(|table| thread::spawn(move || grow(&table))).collect();
        grow(&table);
        all(others);
        assert_eq!(table.slots.high(), 3);
        let hole = table.slots.begin_retirement(0).expect("three are free");
        table.slots.retired(hole);
        assert_eq!(table.slots.begin_growth(), Some(hole), "a hole is forgotten");
    });
}

#[test]
fn what_is_warmed_and_cooled_meanwhile_is_leased_all_the_same() {
    model(|| {
        let table = Arc::new(Table::new(2, 2));
        let keeper = Arc::clone(&table);
        let keeper = thread::spawn(move || {
            keeper.slots.warm(1, |_, _| true);
            keeper.slots.warm(0, |_, _| true);
        });
        let mut had = Vec::new();
        for _ in 0..2 {
            let owned = table.slots.lease_warm().or_else(|| table.slots.lease());
            let owned = owned.expect("one is hidden by its mark");
            table.write(owned);
            table.close(owned, 1);
            table.archive(owned);
            had.push(owned);
        }
        keeper.join().expect("the keeper");
        table.all_come_back(2, &had);
    });
}

#[test]
fn what_was_warm_is_not_warm_in_another_generation() {
    model(|| {
        let table = Arc::new(Table::new(1, 1));
        let keeper = Arc::clone(&table);
        let keeper = thread::spawn(move || {
            let seen = std::cell::Cell::new(0);
            keeper.slots.warm(1, |_, _| {
                seen.set(keeper.archived[0].load(Acquire));
                true
            });
            seen.get()
        });
        let first = table.slots.lease_warm().or_else(|| table.slots.lease());
        let first = first.expect("one is free");
        table.close(first, 1);
        table.archive(first);
        table.reclaim();
        let again = table.slots.lease_warm();
        let seen = keeper.join().expect("the keeper");
        // Warm in its second life only if it was checked then.
        assert!(again.is_none() || seen == first.generation, "an old mark on a new generation");
    });
}

/// One sub-buffer as the file has it: `committed`, the slot of each parity, one word of bytes.
struct Words {
    committed: AtomicU64,
    slots: [AtomicU64; 2],
    bytes: AtomicU64,
}

/// What the model leaves out, to see that it is needed.
#[derive(Clone, Copy, PartialEq)]
enum Without {
    Nothing,
    CommitRelease,
    OpenRelease,
    OpenFence,
    ReadAgain,
}

const fn committed(generation: u64, len: u64) -> u64 {
    generation << 24 | len
}

impl Words {
    /// Generation 1 has been written and committed.
    fn new() -> Self {
        Self {
            committed: AtomicU64::new(committed(1, 1)),
            slots: [AtomicU64::new(0), AtomicU64::new(1)],
            bytes: AtomicU64::new(1),
        }
    }

    /// A writer opens `generation` over what was there and commits one record, whose bytes are the
    /// generation.
    fn write(&self, generation: u64, without: Without) {
        let order = |skipped| if without == skipped { Relaxed } else { Release };
        self.slots[(generation & 1) as usize].store(generation, Relaxed);
        self.committed.store(committed(generation, 0), order(Without::OpenRelease));
        if without != Without::OpenFence {
            fence(Release);
        }
        self.bytes.store(generation, Relaxed);
        self.committed.store(committed(generation, 1), order(Without::CommitRelease));
    }

    /// A reader reads what there is, and checks what it must be.
    fn read(&self, without: Without) {
        let before = self.committed.load(Acquire);
        let generation = before >> 24;
        let slot = self.slots[(generation & 1) as usize].load(Relaxed);
        let bytes = self.bytes.load(Relaxed);
        fence(Acquire);
        let again = self.committed.load(Relaxed);
        if again >> 24 != generation && without != Without::ReadAgain {
            return; // void
        }
        assert_eq!(slot, generation, "the slot of another generation");
        if before & 0xff_ffff == 1 {
            assert_eq!(bytes, generation, "torn: bytes of another generation");
        }
    }
}

fn reading(without: Without) {
    model(move || {
        let words = Arc::new(Words::new());
        let reader = Arc::clone(&words);
        let reader = thread::spawn(move || reader.read(without));
        words.write(2, without);
        words.write(3, without);
        reader.join().expect("the reader");
    });
}

#[test]
fn what_is_read_is_of_one_generation() {
    reading(Without::Nothing);
}

#[test]
#[should_panic(expected = "torn")]
fn control_without_release_in_commit() {
    reading(Without::CommitRelease);
}

#[test]
#[should_panic(expected = "the slot of another generation")]
fn control_without_release_in_open() {
    reading(Without::OpenRelease);
}

#[test]
#[should_panic(expected = "torn")]
fn control_without_the_fence_after_open() {
    reading(Without::OpenFence);
}

#[test]
#[should_panic(expected = "of another generation")]
fn control_without_reading_committed_again() {
    reading(Without::ReadAgain);
}

/// A waiter and the collector, as in `Waiting::wait` and `ChannelReader::wake_writers`. The mutex is
/// the kernel's lock around a futex: a waiter compares the word and falls asleep in one step. The
/// fences are what a locked instruction of the waiter and system calls of the collector amount to.
fn handshake(bumps: bool, counts: bool) {
    model(move || {
        let words = Arc::new([AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0)]);
        let sleeping = Arc::new(loom::sync::Mutex::new(false));
        let (theirs, kernel) = (Arc::clone(&words), Arc::clone(&sleeping));
        let collector = thread::spawn(move || {
            let [archived, freed, waiters] = &*theirs;
            archived.store(1, Release);
            fence(SeqCst);
            if waiters.load(Acquire) != 0 {
                if bumps {
                    freed.fetch_add(1, Release);
                }
                *kernel.lock().expect("the kernel") = false;
            }
        });
        let [archived, freed, waiters] = &*words;
        let before = freed.load(Acquire);
        if counts {
            waiters.fetch_add(1, Release);
        }
        fence(SeqCst);
        if archived.load(Acquire) == 0 {
            let mut sleeping = sleeping.lock().expect("the kernel");
            *sleeping = freed.load(Acquire) == before;
        }
        collector.join().expect("the collector");
        let asleep = *sleeping.lock().expect("the kernel");
        assert!(!asleep, "asleep for as long as the wait is bounded");
    });
}

#[test]
fn no_wake_is_lost() {
    handshake(true, true);
}

#[test]
#[should_panic(expected = "asleep")]
fn control_a_waiter_that_does_not_say_so() {
    handshake(true, false);
}

#[test]
#[should_panic(expected = "asleep")]
fn control_a_collector_that_does_not_change_the_word() {
    handshake(false, true);
}
