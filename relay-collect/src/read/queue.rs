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
    /// Archives that were opened, and how many of their blocks are known.
    open: Vec<(Weak<Archive>, usize)>,
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
    /// About so many blocks of these archives are known at a time, and [`FEWEST`] more of each archive.
    pub(crate) known: usize,
}

/// So many blocks of an archive are known at least when it is open.
const FEWEST: usize = 8;

#[derive(Debug)]
struct Due<'a> {
    key: Key,
    what: What<'a>,
}

#[derive(Debug)]
enum What<'a> {
    Piece(Box<Piece>),
    Archive(&'a Closed),
    Rest(Rest<'a>),
}

/// Blocks of an archive that is opened again for them: what is known of all blocks of thousands of archives
/// would be too much.
#[derive(Debug)]
struct Rest<'a> {
    closed: &'a Closed,
    /// Their places in it, the next last.
    blocks: Vec<u32>,
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
            What::Rest(ref rest) => rest.blocks.len(),
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
            Some(Due { what: What::Rest(rest), .. }) => {
                self.open_again(rest);
                Step::Opened
            }
        }
    }

    fn open(&mut self, closed: &'a Closed) {
        let Later { filter, voids, dir, .. } = self.later;
        self.plan.archives_opened += 1;
        let archive = match closed.open(voids) {
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
        let mut blocks: Vec<u32> =
            admitted.iter().filter_map(|at| u32::try_from(*at).ok()).collect();
        blocks.sort_by_key(|at| self.key_of(closed, &archive, *at));
        self.push(archive, Rest { closed, blocks });
    }

    fn open_again(&mut self, rest: Rest<'a>) {
        self.plan.archives_again += 1;
        let why = match rest.closed.open(self.later.voids) {
            Ok(Some(archive)) => return self.push(archive, rest),
            Ok(None) => "it is empty now".to_owned(),
            Err(error) => error.to_string(),
        };
        let (path, left) = (self.later.dir.join(&rest.closed.name.file), rest.blocks.len());
        self.problems.push(format!("{}: {why}; {left} blocks were left", path.display()));
    }

    /// By which a block of an archive is in the queue.
    fn key_of(&self, closed: &Closed, archive: &Archive, at: u32) -> Option<Key> {
        let facts = &archive.directory.blocks.get(at as usize)?.header.facts;
        let times = (facts.min_order_ns, facts.max_order_ns);
        Some(self.turn.first_of(times, plan::number(closed.place, at as usize)))
    }

    /// Queues blocks of an archive that was opened; where that would be too many, the next of them.
    fn push(&mut self, mut archive: Archive, mut rest: Rest<'a>) {
        let closed = rest.closed;
        self.open.retain(|(archive, _)| archive.strong_count() > 0);
        let known: usize = self.open.iter().map(|(_, blocks)| blocks).sum();
        // A part of what is left, so that it never is nothing.
        let share = self.later.known.saturating_sub(known) / 8;
        let mut blocks = rest.blocks.split_off(rest.blocks.len().saturating_sub(share.max(FEWEST)));
        if let Some(next) = rest.blocks.last()
            && let Some(key) = self.key_of(closed, &archive, *next)
        {
            self.due.push(Due { key, what: What::Rest(rest) });
        }
        blocks.sort_unstable();
        let blocks: Vec<usize> = blocks.into_iter().map(|at| at as usize).collect();
        // Nobody asks for the others any more.
        archive.keep(&blocks);
        let archive = Arc::new(archive);
        self.open.push((Arc::downgrade(&archive), blocks.len()));
        for (at, number) in (0..).zip(blocks) {
            let Some(piece) = Piece::of(&archive, at, plan::number(closed.place, number)) else {
                continue;
            };
            let key = self.turn.first_key(&piece);
            self.due.push(Due { key, what: What::Piece(Box::new(piece)) });
        }
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
