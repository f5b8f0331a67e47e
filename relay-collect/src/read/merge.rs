//! Many pieces, each sorted, as one sorted stream.
//!
//! A piece is a block of an archive or rows that were copied out of a live channel. A block is read
//! when its earliest row is next (its latest, backwards) and forgotten after its last. Where more of
//! them overlap in time than memory is for, they wait on shelves (`shelves.rs`).

use super::backlog::BacklogPiece;
use super::loaded::Loaded;
use super::prepare::{self, Read};
use super::queue::{Queue, Step};
use super::shelves::{Held, Shelf, Shelves};
use super::store::Archive;
use crate::query::Filter;
use relay_fmt::archive::BlockEntry;
use relay_fmt::block::RowBuffer;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fmt::Write as _;
use std::sync::Arc;

/// From where a piece's rows come.
#[derive(Debug)]
pub(crate) enum From {
    /// A block of an archive, by its place there: the last that goes closes the archive.
    Block(Arc<Archive>, usize),
    /// Rows in memory.
    Rows(Box<RowBuffer>),
    /// A part of what waits in a channel.
    Backlog(Box<BacklogPiece>),
}

/// A piece, not opened yet.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) from: From,
    pub(crate) min_ns: i64,
    pub(crate) max_ns: i64,
    /// Breaks ties: a writer's earlier rows are in a piece of a lower number.
    pub(crate) number: u64,
}

/// In which order rows come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// By time.
    Forward,
    /// The latest first.
    Backward,
    /// Piece by piece, whatever their times: one archive is open at a time. For who only counts. Parts
    /// of larger records come in their order: a writer's earlier rows are in a piece of a lower number.
    Pieces,
}

impl Turn {
    /// By time.
    pub(crate) const fn by_time(reverse: bool) -> Self {
        if reverse { Self::Backward } else { Self::Forward }
    }

    /// The key of a row of a piece of this number.
    pub(crate) const fn key(self, order_ns: i64, number: u64) -> Key {
        match self {
            Self::Forward => (!order_ns, !number),
            Self::Backward => (order_ns, number),
            Self::Pieces => (0, !number),
        }
    }

    /// The key of the first row of a piece.
    pub(crate) const fn first_key(self, piece: &Piece) -> Key {
        self.first_of((piece.min_ns, piece.max_ns), piece.number)
    }

    /// The same, of one that has rows between these times.
    pub(crate) const fn first_of(self, (min_ns, max_ns): (i64, i64), number: u64) -> Key {
        self.key(if matches!(self, Self::Backward) { max_ns } else { min_ns }, number)
    }
}

/// What rows are compared by; the greatest is next. Backwards that is the latest row; forwards all
/// bits are flipped, and it is the earliest.
pub(crate) type Key = (i64, u64);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    key: Key,
    slot: usize,
}

#[derive(Debug)]
struct Open {
    loaded: Loaded,
    number: u64,
    /// How many rows are left of those that are loaded.
    left: usize,
    /// Those that come behind them.
    shelf: Option<Shelf>,
    held: Option<Held>,
}

/// Where pieces come from, in the order they are needed in.
pub(crate) trait Feed {
    /// No row that is left comes before this; `None` when nothing is left.
    fn first(&mut self) -> Option<Key>;

    /// The next piece, read, with its number; `None` where what was next turned out to hold none.
    fn take(&mut self) -> Option<(u64, Read)>;
}

/// Reads pieces when they are asked for.
pub(crate) struct Direct<'q, 'a> {
    pub(crate) queue: &'q mut Queue<'a>,
    pub(crate) filter: Filter,
}

impl Feed for Direct<'_, '_> {
    fn first(&mut self) -> Option<Key> {
        self.queue.first()
    }

    fn take(&mut self) -> Option<(u64, Read)> {
        let Step::Piece(_, piece) = self.queue.step() else { return None };
        let number = piece.number;
        Some((number, self.queue.plan.count(prepare::read(piece, &self.filter, false))))
    }
}

/// Merges pieces.
pub(crate) struct Merge<'a> {
    feed: &'a mut dyn Feed,
    turn: Turn,
    shelves: &'a Shelves,
    open: Vec<Option<Open>>,
    free: Vec<usize>,
    heap: BinaryHeap<Head>,
    /// A slot whose last row was given, of those that are loaded.
    spent: Option<usize>,
    /// Blocks that could not be read.
    pub(crate) problems: Vec<String>,
}

impl Piece {
    /// A block of an archive; `None` where there is none.
    pub(crate) fn of(archive: &Arc<Archive>, at: usize, number: u64) -> Option<Self> {
        let facts = &archive.directory.blocks.get(at)?.header.facts;
        let (min_ns, max_ns) = (facts.min_order_ns, facts.max_order_ns);
        Some(Self { from: From::Block(Arc::clone(archive), at), min_ns, max_ns, number })
    }
}

impl<'a> Merge<'a> {
    pub(crate) fn new(feed: &'a mut dyn Feed, turn: Turn, shelves: &'a Shelves) -> Self {
        Self {
            feed,
            turn,
            shelves,
            open: Vec::new(),
            free: Vec::new(),
            heap: BinaryHeap::new(),
            spent: None,
            problems: Vec::new(),
        }
    }

    /// Moves to the next row: the rows that it is among, and which of them it is.
    pub(crate) fn next(&mut self) -> Option<(&Loaded, usize)> {
        self.advance(false).map(|(loaded, from, _)| (loaded, from))
    }

    /// Moves to the next rows that lie one after the other in a piece and have nothing between them:
    /// the rows that they are among, the first, and one past the last.
    ///
    /// Parts of larger records come alone, and backwards all do.
    pub(crate) fn next_run(&mut self) -> Option<(&Loaded, usize, usize)> {
        self.advance(true)
    }

    fn advance(&mut self, run: bool) -> Option<(&Loaded, usize, usize)> {
        if let Some(spent) = self.spent.take() {
            self.go_on(spent);
        }
        self.open_due();
        let (bound, run) = (self.second(), run && self.turn != Turn::Backward);
        let mut top = self.heap.peek_mut()?;
        let open = self.open.get_mut(top.slot)?.as_mut()?;
        let from = open.row(self.turn);
        let mut to = from + 1;
        open.left = open.left.saturating_sub(1);
        if run && !open.loaded.is_part(from) {
            while open.left > 0
                && !open.loaded.is_part(to)
                && bound.is_none_or(|bound| open.key(self.turn) > bound)
            {
                to += 1;
                open.left -= 1;
            }
        }
        let slot = top.slot;
        if open.left == 0 {
            PeekMut::pop(top);
            self.spent = Some(slot);
        } else {
            top.key = open.key(self.turn);
            drop(top);
        }
        let open = self.open.get(slot)?.as_ref()?;
        Some((&open.loaded, from, to))
    }

    /// The key of what comes after the piece whose row is next.
    fn second(&mut self) -> Option<Key> {
        let pending = self.feed.first();
        let open = self.heap.as_slice().iter().skip(1).take(2).map(|head| head.key);
        open.chain(pending).max()
    }

    /// Opens what can have a row before all that is open.
    fn open_due(&mut self) {
        while let Some(first) = self.feed.first() {
            if self.heap.peek().is_some_and(|head| head.key > first) {
                return;
            }
            if let Some((number, read)) = self.feed.take() {
                self.open(number, read);
            }
        }
    }

    fn open(&mut self, number: u64, read: Read) {
        let mut loaded = match read {
            Ok(Some(loaded)) => loaded,
            Ok(None) => return,
            Err(problem) => {
                self.problems.push(problem);
                return;
            }
        };
        self.problems.extend(loaded.problem.take());
        let bytes = loaded.bytes();
        if loaded.len() > 0 && !self.shelves.has_room(bytes) {
            self.shelves.shelve(&mut loaded, self.turn);
        }
        let (left, shelf) = (loaded.len(), loaded.shelf.take());
        if left == 0 && shelf.is_none() {
            return;
        }
        // Where it could not be put on a shelf, it is held all the same.
        let held = shelf.is_none().then(|| self.shelves.hold(bytes, true));
        let open = Open { loaded, number, left, shelf, held };
        let slot = self.free.pop().unwrap_or(self.open.len());
        let key = open.key(self.turn);
        match self.open.get_mut(slot) {
            Some(place) => *place = Some(open),
            None => self.open.push(Some(open)),
        }
        if left == 0 {
            self.go_on(slot);
        } else {
            self.heap.push(Head { key, slot });
        }
    }

    /// Goes on with a piece behind the rows of it that were loaded; where there are no more, it goes.
    fn go_on(&mut self, slot: usize) {
        let Some(place) = self.open.get_mut(slot) else { return };
        let next = place.as_mut().and_then(|open| {
            // Not two portions at a time.
            (open.loaded, open.held) = (Loaded::default(), None);
            open.shelf.as_mut()?.next()
        });
        match (next, place.as_mut()) {
            (Some(Ok(loaded)), Some(open)) => {
                open.held = Some(self.shelves.hold(loaded.bytes(), false));
                (open.left, open.loaded) = (loaded.len(), loaded);
                self.heap.push(Head { key: open.key(self.turn), slot });
            }
            (next, _) => {
                self.problems.extend(next.and_then(Result::err));
                *place = None;
                self.free.push(slot);
            }
        }
    }
}

impl Open {
    fn row(&self, turn: Turn) -> usize {
        if turn == Turn::Backward {
            self.left.saturating_sub(1)
        } else {
            self.loaded.len().saturating_sub(self.left)
        }
    }

    fn key(&self, turn: Turn) -> Key {
        let order_ns = self.loaded.order_ns(self.row(turn)).unwrap_or(0);
        turn.key(order_ns, self.number)
    }
}

/// Says which block cannot be read, and whose records it held.
pub(crate) fn unreadable(file: &str, block: &BlockEntry, why: &dyn std::fmt::Display) -> String {
    format!("{file}: {why}; it held {}", held(block))
}

/// Which records a block holds, by its header.
pub(crate) fn held(block: &BlockEntry) -> String {
    const SHOWN: usize = 8;
    let Ok(facts) = block.facts() else {
        return format!("{} records, and does not say whose", block.header.facts.rows);
    };
    let mut ranges: Vec<(u32, u64, u64, u64)> = Vec::new();
    for run in facts.runs.iter().filter(|run| run.records > 0) {
        let (from, of) = (run.first_number, (run.source, run.writer));
        let to = from.saturating_add(u64::from(run.records));
        match ranges.iter_mut().rev().find(|range| (range.0, range.1) == of) {
            Some(range) if range.3 == from => range.3 = to,
            _ => ranges.push((of.0, of.1, from, to)),
        }
    }
    let mut text = format!("{} records", facts.rows);
    for (source, writer, from, to) in ranges.iter().take(SHOWN) {
        let source = facts.sources.get(*source as usize);
        let (channel, pid) = source.map_or(("?", 0), |s| (s.channel.as_str(), s.pid));
        let last = to.saturating_sub(1);
        let _ = write!(text, ", {from}..={last} of writer {writer} (pid {pid}, channel {channel})");
    }
    if ranges.len() > SHOWN {
        let _ = write!(text, " and {} more ranges", ranges.len() - SHOWN);
    }
    text
}
