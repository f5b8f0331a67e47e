//! Many pieces, each sorted, as one sorted stream.
//!
//! A piece is a block of an archive or rows that were copied out of a live channel. A block is read
//! when its earliest row is next (its latest, backwards) and forgotten after its last: memory is
//! bounded by the blocks that overlap in time, not by how many there are.

use super::loaded::Loaded;
use super::store::Archive;
use relay_fmt::archive::{BlockEntry, Error, read_block, read_body};
use relay_fmt::block::{BlockKind, RowBuffer, columns};
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fmt::Write as _;

/// From where a piece's rows come.
#[derive(Debug)]
pub(crate) enum From<'a> {
    /// A block of an archive.
    Block(&'a Archive, &'a BlockEntry),
    /// Rows in memory.
    Rows(Box<RowBuffer>),
}

/// A piece, not opened yet.
#[derive(Debug)]
pub(crate) struct Piece<'a> {
    pub(crate) from: From<'a>,
    pub(crate) min_ns: i64,
    pub(crate) max_ns: i64,
    /// Breaks ties: a writer's earlier rows are in a piece of a lower number.
    pub(crate) number: u64,
}

/// What rows are compared by; the greatest is next. Backwards that is the latest row; forwards all
/// bits are flipped, and it is the earliest.
type Key = (i64, u64);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    key: Key,
    slot: usize,
}

#[derive(Debug)]
struct Open {
    loaded: Loaded,
    number: u64,
    /// How many rows are left.
    left: usize,
}

/// Merges pieces.
#[derive(Debug)]
pub(crate) struct Merge<'a> {
    reverse: bool,
    /// The next one to be opened is the last.
    pending: Vec<Piece<'a>>,
    open: Vec<Option<Open>>,
    free: Vec<usize>,
    heap: BinaryHeap<Head>,
    /// A slot whose last row was given.
    spent: Option<usize>,
    /// What every message that is meant contains: blocks without it are not put together.
    needles: Vec<Vec<u8>>,
    /// Blocks that could not be read.
    pub(crate) problems: Vec<String>,
}

impl<'a> Merge<'a> {
    pub(crate) fn new(mut pieces: Vec<Piece<'a>>, reverse: bool) -> Self {
        pieces.sort_by_key(|piece| first_key(piece, reverse));
        Self {
            reverse,
            pending: pieces,
            open: Vec::new(),
            free: Vec::new(),
            heap: BinaryHeap::new(),
            spent: None,
            needles: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Leaves blocks out in which no message contains all of these.
    pub(crate) fn looking_for(mut self, needles: Vec<&[u8]>) -> Self {
        self.needles = needles.into_iter().map(<[u8]>::to_vec).collect();
        self
    }

    /// Reads the rows of a block; `None` when none of them can be meant.
    fn rows(&self, archive: &Archive, block: &BlockEntry) -> Result<Option<RowBuffer>, Error> {
        if !self.needles.is_empty() && block.header.kind == BlockKind::Columns as u8 {
            let body = read_body(&archive.bytes, block)?;
            // A body that cannot be searched is read, and then said to be damaged.
            let may = |needle: &Vec<u8>| columns::may_say(&body, needle).unwrap_or(true);
            if !self.needles.iter().all(may) {
                return Ok(None);
            }
        }
        read_block(&archive.bytes, block).map(Some)
    }

    /// Moves to the next row: the rows that it is among, and which of them it is.
    pub(crate) fn next(&mut self) -> Option<(&Loaded, usize)> {
        if let Some(spent) = self.spent.take() {
            self.open.get_mut(spent)?.take();
            self.free.push(spent);
        }
        self.open_due();
        let mut top = self.heap.peek_mut()?;
        let open = self.open.get_mut(top.slot)?.as_mut()?;
        let row = open.row(self.reverse);
        open.left = open.left.saturating_sub(1);
        let slot = top.slot;
        if open.left == 0 {
            PeekMut::pop(top);
            self.spent = Some(slot);
        } else {
            top.key = open.key(self.reverse);
            drop(top);
        }
        let open = self.open.get(slot)?.as_ref()?;
        Some((&open.loaded, row))
    }

    /// Opens what can have a row before all that is open.
    fn open_due(&mut self) {
        while let Some(piece) = self.pending.last() {
            let first = first_key(piece, self.reverse);
            if self.heap.peek().is_some_and(|head| head.key > first) {
                return;
            }
            if let Some(piece) = self.pending.pop() {
                self.open(piece);
            }
        }
    }

    fn open(&mut self, piece: Piece<'a>) {
        let rows = match piece.from {
            From::Rows(rows) => *rows,
            From::Block(archive, block) => match self.rows(archive, block) {
                Ok(Some(rows)) => rows,
                Ok(None) => return,
                Err(error) => {
                    self.problems.push(unreadable(&archive.name.file, block, &error));
                    return;
                }
            },
        };
        let loaded = Loaded::new(rows);
        let left = loaded.len();
        if left == 0 {
            return;
        }
        let open = Open { loaded, number: piece.number, left };
        let key = open.key(self.reverse);
        let slot = self.free.pop().unwrap_or(self.open.len());
        match self.open.get_mut(slot) {
            Some(place) => *place = Some(open),
            None => self.open.push(Some(open)),
        }
        self.heap.push(Head { key, slot });
    }
}

impl Open {
    fn row(&self, reverse: bool) -> usize {
        if reverse {
            self.left.saturating_sub(1)
        } else {
            self.loaded.len().saturating_sub(self.left)
        }
    }

    fn key(&self, reverse: bool) -> Key {
        let order_ns = self.loaded.order_ns(self.row(reverse)).unwrap_or(0);
        key(order_ns, self.number, reverse)
    }
}

fn key(order_ns: i64, number: u64, reverse: bool) -> Key {
    if reverse { (order_ns, number) } else { (!order_ns, !number) }
}

fn first_key(piece: &Piece<'_>, reverse: bool) -> Key {
    let order_ns = if reverse { piece.max_ns } else { piece.min_ns };
    key(order_ns, piece.number, reverse)
}

/// Says which block cannot be read, and whose records it held.
pub(crate) fn unreadable(file: &str, block: &BlockEntry, why: &dyn std::fmt::Display) -> String {
    format!("{file}: {why}; it held {}", held(block))
}

/// Which records a block holds, by its header.
pub(crate) fn held(block: &BlockEntry) -> String {
    const SHOWN: usize = 8;
    let facts = &block.header.facts;
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
