//! Pieces that are read ahead, by several threads, in the order they are needed in.
//!
//! Memory is bounded: a piece is not begun before nearly all in front of it were taken, nor an archive opened
//! before its first piece is. A thread that panics ends all: who waits for its pieces goes on panicking.

use super::merge::{Feed, Key, Piece, Turn};
use super::plan::Plan;
use super::prepare::{self, Read};
use super::queue::{Queue, Step};
use super::shelves::Shelves;
use super::work::Work;
use crate::query::Filter;
use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How many pieces are ready or in work at most, for each thread.
const EACH: usize = 2;
/// Nothing is begun while text that is ready takes so much, in bytes, unless it is needed next.
const READY: usize = 32 << 20;

/// Pieces, and what became of them.
pub(crate) struct Ahead<'a> {
    state: Mutex<State<'a>>,
    changed: Condvar,
    most: usize,
    turn: Turn,
    shelves: &'a Shelves,
}

struct State<'a> {
    queue: Queue<'a>,
    /// The keys and numbers of the pieces that were begun and not taken.
    begun: VecDeque<(Key, u64)>,
    /// How many were taken.
    taken: usize,
    ready: HashMap<usize, Read>,
    /// What their text takes in memory.
    bytes: usize,
    stopped: bool,
    /// What a thread panicked with.
    panicked: Option<Box<dyn Any + Send>>,
}

fn bytes(read: &Read) -> usize {
    let loaded = read.as_ref().ok().and_then(Option::as_ref);
    loaded.map_or(0, super::loaded::Loaded::text_bytes)
}

impl<'a> Ahead<'a> {
    /// What is in a queue, for so many threads. Pieces for which there is no room are shelved by them.
    pub(crate) fn new(queue: Queue<'a>, threads: usize, turn: Turn, shelves: &'a Shelves) -> Self {
        let state = State {
            queue,
            begun: VecDeque::new(),
            taken: 0,
            ready: HashMap::new(),
            bytes: 0,
            stopped: false,
            panicked: None,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            most: threads * EACH,
            turn,
            shelves,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'g>(&self, guard: MutexGuard<'g, State<'a>>) -> MutexGuard<'g, State<'a>> {
        self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads pieces until there are no more. A panic is kept for who takes them.
    pub(crate) fn run<W: Work>(&self, filter: Filter, work: &mut W) {
        // Nobody sees what is half done of this: it is all given up.
        let ended = panic::catch_unwind(AssertUnwindSafe(|| self.run_on(filter, work)));
        if let Err(why) = ended {
            let mut state = self.lock();
            state.panicked.get_or_insert(why);
            state.stopped = true;
        }
        // Who waits sees that nothing is left.
        self.changed.notify_all();
    }

    fn run_on<W: Work>(&self, mut filter: Filter, work: &mut W) {
        while let Some((number, piece)) = self.next() {
            let read = prepare::tally(&piece, &filter, work).unwrap_or_else(|| {
                let mut read = prepare::read(piece, &filter, W::COUNTS);
                if let Ok(Some(loaded)) = &mut read {
                    prepare::work(loaded, &mut filter, work);
                    if loaded.len() > 0 && !self.shelves.has_room(loaded.bytes()) {
                        self.shelves.shelve(loaded, self.turn);
                    }
                }
                read
            });
            let mut state = self.lock();
            state.bytes += bytes(&read);
            state.ready.insert(number, read);
            drop(state);
            self.changed.notify_all();
        }
    }

    fn next(&self) -> Option<(usize, Piece)> {
        let mut state = self.lock();
        loop {
            let many = state.begun.len() >= self.most;
            let large = state.bytes >= READY && !state.begun.is_empty();
            if state.stopped {
                return None;
            }
            if many || large {
                state = self.wait(state);
                continue;
            }
            match state.queue.step() {
                Step::End => return None,
                Step::Opened => {}
                Step::Piece(key, piece) => {
                    state.begun.push_back((key, piece.number));
                    return Some((state.taken + state.begun.len() - 1, piece));
                }
            }
        }
    }

    /// What the queue planned and found damaged; it is to be asked at the end.
    ///
    /// # Panics
    /// When a thread did.
    pub(crate) fn finish(self) -> (Plan, Vec<String>) {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = state.panicked {
            panic::resume_unwind(why);
        }
        state.queue.finish()
    }

    /// No more pieces are needed.
    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }
}

impl Feed for &Ahead<'_> {
    fn first(&mut self) -> Option<Key> {
        let state = self.lock();
        state.begun.front().map(|(key, _)| *key).or_else(|| state.queue.first())
    }

    /// The next piece, as soon as it is read. Panics when a thread did: it may be the one that had it.
    fn take(&mut self) -> Option<(u64, Read)> {
        let mut state = self.lock();
        loop {
            if let Some(why) = state.panicked.take() {
                drop(state);
                panic::resume_unwind(why);
            }
            let at = state.taken;
            if let Some(read) = state.ready.remove(&at) {
                state.taken += 1;
                state.bytes -= bytes(&read);
                let (_, number) = state.begun.pop_front()?;
                let read = state.queue.plan.count(read);
                self.changed.notify_all();
                return Some((number, read));
            }
            if state.begun.is_empty() && state.queue.first().is_none() {
                return None;
            }
            state = self.wait(state);
        }
    }
}

/// Ends the threads when it goes.
pub(crate) struct Stop<'l, 'a>(pub(crate) &'l Ahead<'a>);

impl Drop for Stop<'_, '_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::super::merge::Merge;
    use super::super::queue::Later;
    use super::super::snapshot::of_rows;
    use super::super::store::Voids;
    use super::*;
    use crate::render::Event;
    use crate::render::fixture;
    use relay_fmt::record::Kind;
    use std::path::Path;

    /// Panics at the event of this number, and says of the others that they are to be written.
    struct Fails(u64);

    impl Work for Fails {
        fn event(&mut self, event: &Event<'_>, _: &mut Vec<u8>) -> bool {
            assert_ne!(event.row.number, self.0, "this one is wrong");
            true
        }
    }

    /// How many rows come of twenty pieces of one row each, with two threads.
    fn rows(fails: u64) -> usize {
        let pieces = (0..20u64).filter_map(|number| {
            let mut rows = fixture::buffer();
            rows.runs[0].first_number = number;
            rows.push(0, Kind::Raw, 0, 0, number as i64, b"x");
            of_rows(rows, number)
        });
        let (filter, voids) = (Filter::new(), Voids::default());
        let later = Later { filter: &filter, voids: &voids, dir: Path::new(""), known: 0 };
        let queue = Queue::new(pieces.collect(), &[], later, Turn::Forward);
        let shelves = Shelves::new(usize::MAX, None);
        let pool = Ahead::new(queue, 2, Turn::Forward, &shelves);
        let mut seen = 0;
        std::thread::scope(|scope| {
            for _ in 0..2 {
                let (pool, filter) = (&pool, filter.clone());
                scope.spawn(move || pool.run(filter, &mut Fails(fails)));
            }
            let _stop = Stop(&pool);
            let mut feed = &pool;
            let mut merge = Merge::new(&mut feed, Turn::Forward, &shelves);
            while merge.next().is_some() {
                seen += 1;
            }
        });
        pool.finish();
        seen
    }

    #[test]
    fn a_panic_of_a_thread_is_one_of_all() {
        assert_eq!(rows(u64::MAX), 20);
        for fails in 0..20 {
            let why = panic::catch_unwind(|| rows(fails)).unwrap_err();
            let why = why.downcast::<String>().unwrap();
            assert!(why.contains("this one is wrong"), "{why}");
        }
    }
}
