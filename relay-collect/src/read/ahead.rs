//! Pieces that are read ahead, by several threads, in the order they are needed in.
//!
//! Memory is bounded: a piece is not begun before nearly all in front of it were taken, nor an archive opened
//! before its first piece is.

use super::merge::{Feed, Key, Piece};
use super::plan::Plan;
use super::prepare::{self, Read};
use super::queue::{Queue, Step};
use super::work::Work;
use crate::query::Filter;
use std::collections::{HashMap, VecDeque};
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
    /// How many threads are left.
    threads: usize,
    stopped: bool,
}

fn bytes(read: &Read) -> usize {
    let loaded = read.as_ref().ok().and_then(Option::as_ref);
    loaded.map_or(0, super::loaded::Loaded::text_bytes)
}

impl<'a> Ahead<'a> {
    /// What is in a queue, for so many threads.
    pub(crate) fn new(queue: Queue<'a>, threads: usize) -> Self {
        let state = State {
            queue,
            begun: VecDeque::new(),
            taken: 0,
            ready: HashMap::new(),
            bytes: 0,
            threads,
            stopped: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), most: threads * EACH }
    }

    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'g>(&self, guard: MutexGuard<'g, State<'a>>) -> MutexGuard<'g, State<'a>> {
        self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads pieces until there are no more.
    pub(crate) fn run<W: Work>(&self, mut filter: Filter, work: &mut W) {
        let _left = Left(self);
        while let Some((number, piece)) = self.next() {
            let read = prepare::tally(&piece, &filter, work).unwrap_or_else(|| {
                let mut read = prepare::read(piece, &filter, W::COUNTS);
                if let Ok(Some(loaded)) = &mut read {
                    prepare::work(loaded, &mut filter, work);
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
    pub(crate) fn finish(self) -> (Plan, Vec<String>) {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).queue.finish()
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

    /// The next piece, as soon as it is read.
    fn take(&mut self) -> Option<(u64, Read)> {
        let mut state = self.lock();
        loop {
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
            if state.threads == 0 {
                // None of what is left is read by anybody.
                state.begun.clear();
                while !matches!(state.queue.step(), Step::End) {}
                return Some((0, Err("a block was not read: its thread ended".into())));
            }
            state = self.wait(state);
        }
    }
}

/// Tells who waits when a thread ends, however it does.
struct Left<'l, 'a>(&'l Ahead<'a>);

impl Drop for Left<'_, '_> {
    fn drop(&mut self) {
        self.0.lock().threads -= 1;
        self.0.changed.notify_all();
    }
}

/// Ends the threads when it goes.
pub(crate) struct Stop<'l, 'a>(pub(crate) &'l Ahead<'a>);

impl Drop for Stop<'_, '_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}
