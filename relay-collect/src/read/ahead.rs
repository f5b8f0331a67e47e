//! Pieces that are read ahead, by several threads, in the order they are needed in.
//!
//! Memory is bounded: a piece is not begun before nearly all in front of it were taken.

use super::merge::Piece;
use super::prepare::{self, Read};
use super::work::Work;
use crate::query::Filter;
use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How many pieces are ready or in work at most, for each thread.
const EACH: usize = 2;

/// Pieces, and what became of them.
pub(crate) struct Ahead<'a> {
    state: Mutex<State<'a>>,
    changed: Condvar,
    most: usize,
}

struct State<'a> {
    /// The last one is next.
    pieces: Vec<Piece<'a>>,
    /// The number of the next piece to be begun, and of the next one to be taken.
    begun: usize,
    taken: usize,
    ready: HashMap<usize, Read>,
    /// How many threads are left.
    threads: usize,
    stopped: bool,
}

impl<'a> Ahead<'a> {
    /// Pieces of which the last is needed first, for so many threads.
    pub(crate) fn new(pieces: Vec<Piece<'a>>, threads: usize) -> Self {
        let ready = HashMap::new();
        let state = State { pieces, begun: 0, taken: 0, ready, threads, stopped: false };
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
            self.lock().ready.insert(number, read);
            self.changed.notify_all();
        }
    }

    fn next(&self) -> Option<(usize, Piece<'a>)> {
        let mut state = self.lock();
        while !state.stopped && state.begun >= state.taken + self.most {
            state = self.wait(state);
        }
        if state.stopped {
            return None;
        }
        let piece = state.pieces.pop()?;
        state.begun += 1;
        Some((state.begun - 1, piece))
    }

    /// The next piece, as soon as it is read.
    pub(crate) fn take(&self) -> Read {
        let mut state = self.lock();
        let number = state.taken;
        loop {
            if let Some(read) = state.ready.remove(&number) {
                state.taken += 1;
                self.changed.notify_all();
                return read;
            }
            if state.threads == 0 {
                return Err("a block was not read: its thread ended".into());
            }
            state = self.wait(state);
        }
    }

    /// No more pieces are needed.
    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
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
