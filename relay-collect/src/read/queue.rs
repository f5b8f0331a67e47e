//! Pieces in the order they are needed in, and archives that are opened when their first piece may be.

use super::merge::{Key, Piece, Turn};
use super::plan::{self, Plan};
use super::store::{Archive, Closed, Voids};
use crate::query::Filter;
use std::collections::BinaryHeap;
use std::path::Path;
use std::sync::{Arc, Weak};

/// What is to be read, the next first.
#[derive(Debug)]
pub(crate) struct Queue<'a> {
    turn: Turn,
    due: BinaryHeap<Due<'a>>,
    later: Later<'a>,
    /// Archives that were opened.
    open: Vec<Weak<Archive>>,
    /// What became of blocks.
    pub(crate) plan: Plan,
    /// Of archives that were opened, what is damaged.
    pub(crate) problems: Vec<String>,
}

/// What is needed to open archives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Later<'a> {
    pub(crate) filter: &'a Filter,
    pub(crate) voids: &'a Voids,
    pub(crate) dir: &'a Path,
}

#[derive(Debug)]
struct Due<'a> {
    key: Key,
    what: What<'a>,
}

#[derive(Debug)]
enum What<'a> {
    Piece(Box<Piece>),
    Archive(&'a Closed),
}

impl PartialEq for Due<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Due<'_> {}

impl PartialOrd for Due<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

impl<'a> Queue<'a> {
    /// These pieces, and what is in these archives.
    pub(crate) fn new(
        pieces: Vec<Piece>,
        closed: &'a [Closed],
        later: Later<'a>,
        turn: Turn,
    ) -> Self {
        let of_piece = |piece: Piece| {
            let key = turn.first_key(&piece);
            Due { key, what: What::Piece(Box::new(piece)) }
        };
        let of_archive = |closed: &'a Closed| {
            // Before all its blocks, whichever of them is the first.
            let (order_ns, number) = match turn {
                Turn::Backward => {
                    (closed.times.max_ns, plan::number(closed.place, u32::MAX as usize))
                }
                Turn::Forward | Turn::Pieces => {
                    (closed.times.min_ns, plan::number(closed.place, 0))
                }
            };
            Due { key: turn.key(order_ns, number), what: What::Archive(closed) }
        };
        let pieces = pieces.into_iter().map(of_piece);
        let due = pieces.chain(closed.iter().map(of_archive)).collect();
        let (open, problems) = (Vec::new(), Vec::new());
        Self { turn, due, later, open, plan: Plan::default(), problems }
    }

    /// No row that is left comes before this.
    pub(crate) fn first(&self) -> Option<Key> {
        self.due.peek().map(|due| due.key)
    }

    /// How many pieces there can be; more are as good as `most`.
    pub(crate) fn at_most(&self, most: usize) -> usize {
        let of = |due: &Due<'_>| match due.what {
            What::Piece(_) => 1,
            // What is said of it may be wrong; somebody is to read it.
            What::Archive(closed) => usize::try_from(closed.blocks).unwrap_or(usize::MAX).max(1),
        };
        self.due.iter().fold(0, |sum: usize, due| sum.saturating_add(of(due)).min(most))
    }

    /// Opens the next archive if one is next, else takes the next piece.
    pub(crate) fn step(&mut self) -> Step {
        match self.due.pop() {
            None => Step::End,
            Some(Due { key, what: What::Piece(piece) }) => Step::Piece(key, *piece),
            Some(Due { what: What::Archive(closed), .. }) => {
                self.open(closed);
                Step::Opened
            }
        }
    }

    fn open(&mut self, closed: &Closed) {
        let Later { filter, voids, dir } = self.later;
        self.plan.archives_opened += 1;
        let mut archive = match closed.open(voids) {
            Ok(Some(archive)) => archive,
            Ok(None) => return,
            Err(error) => {
                let path = dir.join(&closed.name.file);
                self.problems.push(format!("{}: {error}", path.display()));
                return;
            }
        };
        super::snapshot::damages(&mut self.problems, &archive);
        let of_rows = archive.blocks().map(|block| &block.header.facts).filter(|f| f.rows > 0);
        let (min_ns, max_ns) = of_rows.fold((i64::MAX, i64::MIN), |(min, max), facts| {
            (min.min(facts.min_order_ns), max.max(facts.max_order_ns))
        });
        if min_ns < closed.times.min_ns || max_ns > closed.times.max_ns {
            self.problems.push(format!(
                "{}: it holds other times than the catalogue says, and may stand in the wrong place; the catalogue is to be deleted",
                closed.name.file
            ));
        }
        let admitted = plan::admitted(&archive, filter, &mut self.plan);
        // Nobody asks for the others any more.
        archive.keep(&admitted);
        let archive = Arc::new(archive);
        for (at, number) in (0..).zip(admitted) {
            let Some(piece) = Piece::of(&archive, at, plan::number(closed.place, number)) else {
                continue;
            };
            let key = self.turn.first_key(&piece);
            self.due.push(Due { key, what: What::Piece(Box::new(piece)) });
        }
        self.open.push(Arc::downgrade(&archive));
        self.open.retain(|archive| archive.strong_count() > 0);
        self.plan.archives_at_once = self.plan.archives_at_once.max(self.open.len() as u64);
    }

    /// What was planned, and what was found damaged. What was not needed is counted as that.
    pub(crate) fn finish(mut self) -> (Plan, Vec<String>) {
        for due in self.due {
            if let What::Archive(closed) = due.what {
                self.plan.archives_not_needed += 1;
                self.plan.blocks += closed.blocks;
                self.plan.rows = self.plan.rows.saturating_add(closed.rows);
            }
        }
        (self.plan, self.problems)
    }
}

/// What [`Queue::step`] did.
#[derive(Debug)]
pub(crate) enum Step {
    /// There is no more.
    End,
    /// An archive was opened: its pieces are in the queue now.
    Opened,
    /// This is the next piece.
    Piece(Key, Piece),
}
