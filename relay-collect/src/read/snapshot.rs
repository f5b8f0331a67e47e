//! Everything that a store holds at one moment, as one stream.
//!
//! Live channels are copied out first, then the archives are opened: what the collector moves
//! meanwhile is seen in both, and what both hold is taken from the archive.

use super::ahead::{self, Ahead};
use super::backlog::BacklogPiece;
use super::context::{self, Wanted};
use super::covered::Covered;
use super::drain::{WorkSink, drain, drain_lines};
use super::joiner::Joiner;
use super::live::Tail;
use super::looks::{Found, Grabbed, Left, find_all};
use super::merge::{Direct, From, Merge, Piece, Turn};
use super::plan::{self, Plan};
use super::queue::{Later, Queue};
use super::rescue::Rescue;
use super::shelves::Shelves;
use super::split::split;
use super::store::{self, Archive, Archives, Closed, Depth, Store, Voids, When};
use super::work::Work;
use crate::query::Filter;
use crate::render::Event;
use relay_fmt::archive::{Brief, Summary};
use relay_fmt::block::RowBuffer;
use relay_fmt::rows::{ChannelId, Source};
use std::collections::HashSet;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

/// What [`Snapshot::events`] gives events to; it ends the walk with [`ControlFlow::Break`].
pub type Sink<'s> = dyn FnMut(&Event<'_>) -> ControlFlow<()> + 's;

/// What a store held at one moment.
#[derive(Debug)]
pub struct Snapshot {
    archives: Vec<Arc<Archive>>,
    /// Their places among all.
    places: Vec<usize>,
    /// Those that are opened when they are needed.
    closed: Vec<Closed>,
    voids: Voids,
    dir: PathBuf,
    /// The rows of live channels that are in no archive.
    live: Vec<RowBuffer>,
    /// The same, where it is more than is copied at once.
    backlog: Vec<BacklogPiece>,
    /// Records of which only parts were there.
    joiner: Joiner,
    /// Channels whose processes were there.
    alive: HashSet<ChannelId>,
    /// How many threads read blocks.
    threads: usize,
    shelves: Shelves,
    /// What is damaged, a sentence each: records are missing from what is shown.
    pub problems: Vec<String>,
    /// What else is to be said, a sentence each.
    pub notes: Vec<String>,
    /// Which blocks were read so far.
    pub plan: Plan,
}

/// The archives of a channel's name.
fn own<'a>(archives: &'a [Arc<Archive>], source: &Source) -> Vec<&'a Archive> {
    archives
        .iter()
        .map(AsRef::as_ref)
        .filter(|archive| archive.name.channel == source.channel)
        .collect()
}

impl Snapshot {
    /// Takes a snapshot.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn take(store: &Store) -> io::Result<Self> {
        Self::take_where(store, None, When::Later).map(|(snapshot, _)| snapshot)
    }

    /// Takes a snapshot of what `filter` may mean: archives are not opened that the catalogue shows to
    /// hold nothing of it. Only what this filter means, or less, is to be asked of it.
    ///
    /// # Errors
    /// As [`Snapshot::take`].
    pub fn take_for(store: &Store, filter: &Filter) -> io::Result<Self> {
        Self::take_where(store, Some(filter), When::Later).map(|(snapshot, _)| snapshot)
    }

    /// Takes a snapshot, with all archives open, and hands over the channels for who wants to go on
    /// reading them.
    pub(crate) fn take_with_tails(store: &Store) -> io::Result<(Self, Vec<Tail>)> {
        Self::take_where(store, None, When::Now)
    }

    /// Archives without a channel that lives are opened at this time.
    fn take_where(
        store: &Store,
        filter: Option<&Filter>,
        dead: When,
    ) -> io::Result<(Self, Vec<Tail>)> {
        let (mut notes, mut problems, mut plan) = (Vec::new(), Vec::new(), Plan::default());
        let found = find_all(store, &mut notes, &mut problems)?;
        // What archives hold of a channel that lives must not be shown a second time.
        let live: HashSet<ChannelId> = found.iter().map(Found::id).collect();
        let wanted = &mut |summary: &Summary| {
            if summary.sources.iter().any(|source| live.contains(&source.id)) {
                When::Now
            } else if filter.is_none_or(|filter| plan.admits_archive(summary, filter)) {
                dead
            } else {
                When::Never
            }
        };
        let found_archives = store.find(Depth::Quick, wanted)?;
        let store::Found { opened, places, closed, voids } = found_archives;
        let Archives { archives, unreadable, .. } = opened;
        plan.archives_opened += archives.len() as u64;
        let covered = Covered::of(&archives, &live, &mut problems);
        for (name, why) in unreadable {
            let path = store.archive_dir().join(&name.file);
            problems.push(format!("{}: {why}", path.display()));
        }
        archives.iter().for_each(|archive| damages(&mut problems, archive));
        let mut snapshot = Self {
            archives: archives.into_iter().map(Arc::new).collect(),
            places,
            closed,
            voids,
            dir: store.archive_dir().to_owned(),
            live: Vec::new(),
            backlog: Vec::new(),
            joiner: Joiner::default(),
            alive: HashSet::new(),
            threads: store.most_threads(),
            shelves: store.shelves(),
            problems,
            notes,
            plan,
        };
        let rescue = Arc::new(Rescue::new(store));
        let tails = found.into_iter().map(|found| match found {
            Found::Copied(grabbed) => snapshot.add(&covered, *grabbed),
            Found::Left(left) => snapshot.add_backlog(*left, &covered, &rescue),
        });
        let tails = tails.collect();
        Ok((snapshot, tails))
    }

    fn add(&mut self, covered: &Covered, grabbed: Grabbed) -> Tail {
        let Grabbed { mut tail, subs, alive } = grabbed;
        let id = tail.source.id;
        if alive {
            self.alive.insert(id);
        }
        let problems = &mut self.problems;
        let split = split(&mut tail, &subs, problems, |place| covered.has(id, place));
        let mut wanted = Wanted::new(id);
        wanted.add(&split, tail.rate());
        let archives = own(&self.archives, &tail.source);
        context::find(&mut tail, &archives, wanted);
        let rows = super::rows::build(&mut tail, split);
        if !rows.is_empty() {
            self.live.push(rows);
        }
        tail
    }

    fn add_backlog(&mut self, left: Left, covered: &Covered, rescue: &Arc<Rescue>) -> Tail {
        let Left { mut tail, backlog, alive } = left;
        if alive {
            self.alive.insert(tail.source.id);
        }
        let archives = own(&self.archives, &tail.source);
        self.backlog.extend(backlog.pieces(&mut tail, &archives, covered, rescue));
        tail
    }

    /// The archives that were opened when it was taken.
    pub(crate) fn archives(&self) -> impl Iterator<Item = &Archive> {
        self.archives.iter().map(AsRef::as_ref)
    }

    /// What was gathered of records whose other parts may come.
    pub(crate) fn into_joiner(self) -> Joiner {
        self.joiner.forward()
    }

    pub(crate) fn live(&self) -> &[RowBuffer] {
        &self.live
    }

    pub(crate) fn backlog(&self) -> &[BacklogPiece] {
        &self.backlog
    }

    /// Gives all events that `filter` means to `sink`: in time order, stable within each writer, or
    /// backwards.
    ///
    /// Damaged blocks are added to [`Snapshot::problems`].
    pub fn events(&mut self, filter: &mut Filter, reverse: bool, sink: &mut Sink<'_>) {
        self.see_live_fields(filter);
        let (live, backlog) = (std::mem::take(&mut self.live), std::mem::take(&mut self.backlog));
        let wanted = filter.clone();
        let pieces = self.pieces(live, backlog, filter);
        let known = self.shelves.blocks();
        let later = Later { filter: &wanted, voids: &self.voids, dir: &self.dir, known };
        let turn = Turn::by_time(reverse);
        let mut queue = Queue::new(pieces, &self.closed, later, turn);
        let mut feed = Direct { queue: &mut queue, filter: wanted.clone() };
        let mut merge = Merge::new(&mut feed, turn, &self.shelves);
        self.joiner = Joiner::new(reverse);
        let (alive, notes, joiner) = (&self.alive, &mut self.notes, &mut self.joiner);
        drain(&mut merge, joiner, filter, alive, notes, sink);
        let problems = std::mem::take(&mut merge.problems);
        drop(merge);
        self.problems.extend(problems);
        let finished = queue.finish();
        self.finish(finished);
    }

    /// Takes what is known once all is read.
    fn finish(&mut self, (plan, problems): (Plan, Vec<String>)) {
        self.problems.extend(problems);
        self.plan.add(&plan);
        self.shelves.count(&mut self.plan);
        self.notes.extend(self.shelves.note());
    }

    /// The earliest and the latest time, in UTC nanoseconds, that what `filter` means may have, as far
    /// as that is known without reading blocks.
    #[must_use]
    pub fn range_ns(&self, filter: &Filter) -> Option<(i64, i64)> {
        let join = |a: (i64, i64), b: (i64, i64)| (a.0.min(b.0), a.1.max(b.1));
        // What old headers do not know must not make the range a day longer.
        let of = |facts: &Brief| match facts.times {
            Some(times) => (times.min_ns, times.max_ns),
            None => (facts.min_order_ns, facts.max_order_ns),
        };
        let of_archive = |archive: &Archive| {
            let admitted = plan::admitted(archive, filter, &mut Plan::default());
            let blocks = admitted.iter().filter_map(|at| archive.directory.blocks.get(*at));
            blocks.map(|block| of(&block.header.facts)).reduce(join)
        };
        let opened = self.archives.iter().filter_map(|archive| of_archive(archive));
        // One after the other: they are opened again when they are read, which says what is wrong.
        let closed = self.closed.iter().filter_map(|closed| {
            let archive = closed.open(&self.voids).ok().flatten()?;
            of_archive(&archive)
        });
        let blocks = opened.chain(closed);
        let live =
            self.live.iter().flat_map(RowBuffer::rows).map(|row| (row.time_ns, row.order_ns));
        let backlog = self.backlog.iter().map(|piece| (piece.min_ns, piece.max_ns));
        let all = blocks.chain(live).chain(backlog).reduce(join)?;
        Some(filter.narrow_ns(all))
    }

    /// Gives all events that `filter` means to the works, one for each thread, which are made by
    /// `make`, and what they write to `out`, in time order or backwards. Returns the works.
    ///
    /// Works that only count ([`Work::IN_ORDER`]) get them archive by archive.
    ///
    /// Damaged blocks are added to [`Snapshot::problems`].
    ///
    /// # Panics
    /// When a work does.
    pub fn work<W: Work>(
        &mut self,
        filter: &Filter,
        reverse: bool,
        make: &dyn Fn() -> W,
        out: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Vec<W> {
        self.see_live_fields(filter);
        let (live, backlog) = (std::mem::take(&mut self.live), std::mem::take(&mut self.backlog));
        let pieces = self.pieces(live, backlog, filter);
        let known = self.shelves.blocks();
        let later = Later { filter, voids: &self.voids, dir: &self.dir, known };
        let turn = if W::IN_ORDER { Turn::by_time(reverse) } else { Turn::Pieces };
        let queue = Queue::new(pieces, &self.closed, later, turn);
        let threads = queue.at_most(self.threads);
        let mut works: Vec<W> = (0..=threads).map(|_| make()).collect();
        let Some((own, others)) = works.split_first_mut() else { return works };
        let pool = Ahead::new(queue, threads, turn, &self.shelves);
        let (alive, notes) = (&self.alive, &mut self.notes);
        let problems = std::thread::scope(|scope| {
            // Also where a thread cannot be had: the others end, and this panics.
            let _stop = ahead::Stop(&pool);
            for work in others {
                let (pool, filter) = (&pool, filter.clone());
                scope.spawn(move || pool.run(filter, work));
            }
            let mut feed = &pool;
            let mut merge = Merge::new(&mut feed, turn, &self.shelves);
            let mut filter = filter.clone();
            let mut sink = WorkSink::new(own, out);
            drain_lines(
                &mut merge,
                &mut Joiner::new(turn == Turn::Backward),
                &mut filter,
                alive,
                notes,
                &mut sink,
            );
            std::mem::take(&mut merge.problems)
        });
        self.problems.extend(problems);
        let finished = pool.finish();
        self.finish(finished);
        works
    }

    /// What can hold what `filter` means, of archives that are open and of channels.
    fn pieces(
        &mut self,
        live: Vec<RowBuffer>,
        backlog: Vec<BacklogPiece>,
        filter: &Filter,
    ) -> Vec<Piece> {
        let plan = &mut self.plan;
        let mut pieces = Vec::new();
        for (archive, place) in self.archives.iter().zip(&self.places) {
            let admitted = plan::admitted(archive, filter, plan);
            let piece = |at| Piece::of(archive, at, plan::number(*place, at));
            pieces.extend(admitted.into_iter().filter_map(piece));
        }
        let some = |rows: &RowBuffer| rows.sources.iter().any(|source| of_filter(filter, source));
        for rows in live.into_iter().filter(some) {
            plan.live += 1;
            // Behind all blocks.
            pieces.extend(of_rows(rows, plan::LIVE + plan.live));
        }
        for piece in backlog.into_iter().filter(|piece| of_filter(filter, &piece.source())) {
            plan.live += 1;
            let (min_ns, max_ns, number) = (piece.min_ns, piece.max_ns, plan::LIVE + plan.live);
            pieces.push(Piece { from: From::Backlog(Box::new(piece)), min_ns, max_ns, number });
        }
        pieces
    }
}

/// Whether what this source wrote may be meant.
fn of_filter(filter: &Filter, source: &Source) -> bool {
    filter.may_match_source(&source.channel, source.pid)
}

/// A piece of rows in memory; `None` when there are none.
pub(crate) fn of_rows(rows: RowBuffer, number: u64) -> Option<Piece> {
    let mut times = rows.rows().map(|row| row.order_ns);
    let first = times.next()?;
    let (min_ns, max_ns) = times.fold((first, first), |(a, b), t| (a.min(t), b.max(t)));
    let from = From::Rows(Box::new(rows));
    Some(Piece { from, min_ns, max_ns, number })
}

/// Says what is damaged of an archive.
pub(crate) fn damages(problems: &mut Vec<String>, archive: &Archive) {
    for damage in &archive.damages {
        let (file, at, len) = (&archive.name.file, damage.offset, damage.len);
        let held = damage
            .block
            .as_ref()
            .map_or(String::new(), |block| format!("; there were {}", super::merge::held(block)));
        let error = &damage.error;
        problems.push(format!("{file}: {len} bytes at byte {at} are damaged: {error}{held}"));
    }
}
