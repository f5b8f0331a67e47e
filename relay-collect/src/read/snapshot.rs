//! Everything that a store holds at one moment, as one stream.
//!
//! Live channels are copied out first, then the archives are opened: what the collector moves
//! meanwhile is seen in both, and what both hold is taken from the archive.

use super::ahead::{self, Ahead};
use super::context;
use super::covered::Covered;
use super::joiner::Joiner;
use super::live::{SubBytes, Tail};
use super::loaded::Loaded;
use super::merge::{From, Merge, Piece};
use super::plan::{self, Plan};
use super::prepare;
use super::split::split;
use super::store::{Archive, Archives, Channels, Depth, Store};
use super::work::Work;
use crate::query::Filter;
use crate::render::Event;
use crate::unproven;
use relay_fmt::archive::{BlockEntry, Summary};
use relay_fmt::block::RowBuffer;
use relay_fmt::record::Kind;
use relay_fmt::rows::ChannelId;
use relay_log::channel::Sub;
use std::collections::HashSet;
use std::io;
use std::ops::ControlFlow;

/// What [`Snapshot::events`] gives events to; it ends the walk with [`ControlFlow::Break`].
pub type Sink<'s> = dyn FnMut(&Event<'_>) -> ControlFlow<()> + 's;

/// What a store held at one moment.
#[derive(Debug)]
pub struct Snapshot {
    archives: Vec<Archive>,
    /// The rows of live channels that are in no archive.
    live: Vec<RowBuffer>,
    /// Records of which only parts were there.
    joiner: Joiner,
    /// Channels whose processes were there.
    alive: HashSet<ChannelId>,
    /// What is damaged, a sentence each: records are missing from what is shown.
    pub problems: Vec<String>,
    /// What else is to be said, a sentence each.
    pub notes: Vec<String>,
    /// Which blocks were read so far.
    pub plan: Plan,
}

/// No more threads than this read blocks: each has some of them in memory.
const THREADS: usize = 4;

/// Live channels as they were grabbed.
#[derive(Debug)]
pub(crate) struct Grabbed {
    pub(crate) tail: Tail,
    pub(crate) subs: Vec<SubBytes>,
    pub(crate) alive: bool,
}

/// Opens and grabs all live channels.
pub(crate) fn grab_all(store: &Store, notes: &mut Vec<String>) -> io::Result<Vec<Grabbed>> {
    let Channels { channels, refused } = store.channels()?;
    notes.extend(refused.iter().map(|(file, why)| format!("{file}: {why}")));
    let mut all = Vec::new();
    for (file, reader) in channels {
        let alive = reader.is_alive().unwrap_or(true);
        let waiting = |sub: &Sub| if sub.archived == sub.generation { 0 } else { sub.committed };
        if let Some(unproven) = unproven::of(&reader, waiting) {
            notes.push(format!("{file}: {}", unproven::text(&unproven)));
        }
        let mut tail = Tail::new(file, reader);
        let subs = tail.grab(false)?;
        all.push(Grabbed { tail, subs, alive });
    }
    Ok(all)
}

impl Snapshot {
    /// Takes a snapshot.
    ///
    /// # Errors
    /// When a directory or a channel cannot be read.
    pub fn take(store: &Store) -> io::Result<Self> {
        Self::take_with_tails(store).map(|(snapshot, _)| snapshot)
    }

    /// Takes a snapshot of what `filter` may mean: archives are not opened that the catalogue shows to
    /// hold nothing of it. Only what this filter means, or less, is to be asked of it.
    ///
    /// # Errors
    /// As [`Snapshot::take`].
    pub fn take_for(store: &Store, filter: &Filter) -> io::Result<Self> {
        Self::take_where(store, Some(filter)).map(|(snapshot, _)| snapshot)
    }

    /// Takes a snapshot, and hands over the channels for who wants to go on reading them.
    pub(crate) fn take_with_tails(store: &Store) -> io::Result<(Self, Vec<Tail>)> {
        Self::take_where(store, None)
    }

    fn take_where(store: &Store, filter: Option<&Filter>) -> io::Result<(Self, Vec<Tail>)> {
        let (mut notes, mut plan) = (Vec::new(), Plan::default());
        let grabbed = grab_all(store, &mut notes)?;
        // What archives hold of a channel that lives must not be shown a second time.
        let live: HashSet<ChannelId> = grabbed.iter().map(|g| g.tail.source.id).collect();
        let wanted = &mut |summary: &Summary| {
            summary.sources.iter().any(|source| live.contains(&source.id))
                || filter.is_none_or(|filter| plan.admits_archive(summary, filter))
        };
        let Archives { archives, unreadable, .. } = store.archives_with(Depth::Quick, wanted)?;
        let covered = Covered::of(&archives);
        let problems = damages(&archives, &unreadable);
        let mut snapshot = Self {
            archives,
            live: Vec::new(),
            joiner: Joiner::default(),
            alive: HashSet::new(),
            problems,
            notes,
            plan,
        };
        let tails = grabbed.into_iter().map(|g| snapshot.add(&covered, g));
        let tails = tails.collect();
        Ok((snapshot, tails))
    }

    fn add(&mut self, covered: &Covered, grabbed: Grabbed) -> Tail {
        let Grabbed { mut tail, subs, alive } = grabbed;
        let id = tail.source.id;
        if alive {
            self.alive.insert(id);
        }
        let notes = &mut self.notes;
        let split = split(&mut tail, &subs, notes, |place| covered.has(id, place));
        let name = &tail.source.channel;
        let own: Vec<_> = self.archives.iter().filter(|a| a.name.channel == *name).collect();
        context::find(&mut tail, &own, &split);
        let rows = super::rows::build(&mut tail, split);
        if !rows.is_empty() {
            self.live.push(rows);
        }
        tail
    }

    /// The archives.
    #[must_use]
    pub fn archives(&self) -> &[Archive] {
        &self.archives
    }

    /// What was gathered of records whose other parts may come.
    pub(crate) fn into_joiner(self) -> Joiner {
        self.joiner.forward()
    }

    pub(crate) fn live(&self) -> &[RowBuffer] {
        &self.live
    }

    /// Gives all events that `filter` means to `sink`: in time order, stable within each writer, or
    /// backwards.
    ///
    /// Damaged blocks are added to [`Snapshot::problems`].
    pub fn events(&mut self, filter: &mut Filter, reverse: bool, sink: &mut Sink<'_>) {
        let live = std::mem::take(&mut self.live);
        let pieces = pieces(&self.archives, live, filter, &mut self.plan);
        let (wanted, plan) = (filter.clone(), &mut self.plan);
        let opener = Box::new(move |piece| plan.count(prepare::read(piece, &wanted, false)));
        let mut merge = Merge::new(pieces, reverse, opener);
        self.joiner = Joiner::new(reverse);
        let (alive, notes, joiner) = (&self.alive, &mut self.notes, &mut self.joiner);
        drain(&mut merge, joiner, filter, alive, notes, sink);
        let problems = std::mem::take(&mut merge.problems);
        drop(merge);
        self.problems.extend(problems);
    }

    /// The earliest and the latest time, in UTC nanoseconds, that what `filter` means may have, as far
    /// as that is known without reading blocks.
    #[must_use]
    pub fn range_ns(&self, filter: &Filter) -> Option<(i64, i64)> {
        let blocks = plan::admitted(&self.archives, filter, &mut Plan::default());
        let blocks = blocks.iter().map(|(_, _, block)| &block.header.facts);
        let blocks = blocks.map(|facts| (facts.min_order_ns, facts.max_order_ns));
        let live =
            self.live.iter().flat_map(RowBuffer::rows).map(|row| (row.time_ns, row.order_ns));
        let all = blocks.chain(live).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
        Some(filter.narrow_ns(all))
    }

    /// Gives all events that `filter` means to the works, one for each thread, which are made by
    /// `make`, and what they write to `out`, in time order or backwards. Returns the works.
    ///
    /// Damaged blocks are added to [`Snapshot::problems`].
    pub fn work<W: Work>(
        &mut self,
        filter: &Filter,
        reverse: bool,
        make: &dyn Fn() -> W,
        out: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Vec<W> {
        let live = std::mem::take(&mut self.live);
        let mut pieces = pieces(&self.archives, live, filter, &mut self.plan);
        super::merge::sort(&mut pieces, reverse);
        let ahead = pieces.iter().map(Piece::ahead).collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS);
        let threads = threads.min(pieces.len());
        let mut works: Vec<W> = (0..=threads).map(|_| make()).collect();
        let Some((own, others)) = works.split_first_mut() else { return works };
        let pool = Ahead::new(pieces, threads);
        let (alive, notes, plan) = (&self.alive, &mut self.notes, &mut self.plan);
        let problems = std::thread::scope(|scope| {
            for work in others {
                let (pool, filter) = (&pool, filter.clone());
                scope.spawn(move || pool.run(filter, work));
            }
            let _stop = ahead::Stop(&pool);
            let opener = Box::new(|_| plan.count(pool.take()));
            let mut merge = Merge::new(ahead, reverse, opener);
            let mut filter = filter.clone();
            let mut sink = WorkSink { work: own, text: Vec::new(), out };
            drain_lines(
                &mut merge,
                &mut Joiner::new(reverse),
                &mut filter,
                alive,
                notes,
                &mut sink,
            );
            std::mem::take(&mut merge.problems)
        });
        self.problems.extend(problems);
        works
    }
}

/// Gives single events to a work, and what it writes to `out`.
struct WorkSink<'s, W> {
    work: &'s mut W,
    text: Vec<u8>,
    out: &'s mut dyn FnMut(&[u8]) -> ControlFlow<()>,
}

impl<W: Work> WorkSink<'_, W> {
    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        self.text.clear();
        if self.work.event(event, &mut self.text) {
            return (self.out)(&self.text);
        }
        ControlFlow::Continue(())
    }
}

fn drain_lines<W: Work>(
    merge: &mut Merge<'_>,
    joiner: &mut Joiner,
    filter: &mut Filter,
    alive: &HashSet<ChannelId>,
    notes: &mut Vec<String>,
    sink: &mut WorkSink<'_, W>,
) {
    while let Some((loaded, from, to)) = merge.next_run() {
        let flow = match loaded.lines(from, to) {
            Some(lines) => (sink.out)(lines),
            None => pass(loaded, from, joiner, filter, notes, &mut |event| sink.event(event)),
        };
        if flow.is_break() {
            return;
        }
    }
    for row in joiner.finish(alive) {
        if incomplete(row, filter, notes, &mut |event| sink.event(event)).is_break() {
            return;
        }
    }
}

fn drain(
    merge: &mut Merge<'_>,
    joiner: &mut Joiner,
    filter: &mut Filter,
    alive: &HashSet<ChannelId>,
    notes: &mut Vec<String>,
    sink: &mut Sink<'_>,
) {
    while let Some((loaded, row)) = merge.next() {
        if pass(loaded, row, joiner, filter, notes, sink).is_break() {
            return;
        }
    }
    for row in joiner.finish(alive) {
        if incomplete(row, filter, notes, sink).is_break() {
            return;
        }
    }
}

/// Gives one row to `sink`, if it is meant; parts of a record once they are whole.
pub(crate) fn pass(
    loaded: &Loaded,
    row: usize,
    joiner: &mut Joiner,
    filter: &mut Filter,
    notes: &mut Vec<String>,
    sink: &mut Sink<'_>,
) -> ControlFlow<()> {
    let mut spans = Vec::new();
    let Some(event) = loaded.event(row, &mut spans) else {
        return ControlFlow::Continue(());
    };
    if event.row.kind == Kind::Fragment
        && let Some(joined) = joiner.take(&event)
    {
        if let Some(broken) = joined.broken {
            incomplete(broken, filter, notes, sink)?;
        }
        return match joined.whole {
            Some(whole) => single(whole, filter, sink).map_continue(|_| ()),
            None => ControlFlow::Continue(()),
        };
    }
    if filter.matches(&event) {
        return sink(&event);
    }
    ControlFlow::Continue(())
}

/// Gives the only row of a buffer to `sink`; whether it was meant.
fn single(row: RowBuffer, filter: &mut Filter, sink: &mut Sink<'_>) -> ControlFlow<(), bool> {
    let loaded = Loaded::new(row);
    let mut spans = Vec::new();
    let Some(event) = loaded.event(0, &mut spans) else {
        return ControlFlow::Continue(false);
    };
    if !filter.matches(&event) {
        return ControlFlow::Continue(false);
    }
    sink(&event).map_continue(|()| true)
}

/// Gives what there is of a record whose other parts are missing.
pub(crate) fn incomplete(
    row: RowBuffer,
    filter: &mut Filter,
    notes: &mut Vec<String>,
    sink: &mut Sink<'_>,
) -> ControlFlow<()> {
    let (source, run) = (row.sources.first(), row.runs.first());
    let note = source.zip(run).map(|(source, run)| {
        let (channel, pid, writer, number) =
            (&source.channel, source.pid, run.writer, run.first_number);
        format!(
            "channel {channel}, pid {pid}: record {number} of writer {writer} is incomplete: its other parts are missing"
        )
    });
    if single(row, filter, sink)? {
        notes.extend(note);
    }
    ControlFlow::Continue(())
}

/// What can hold what `filter` means.
pub(crate) fn pieces<'a>(
    archives: &'a [Archive],
    live: Vec<RowBuffer>,
    filter: &Filter,
    plan: &mut Plan,
) -> Vec<Piece<'a>> {
    let piece = |(number, archive, block): (u64, &'a Archive, &'a BlockEntry)| {
        let facts = &block.header.facts;
        let (min_ns, max_ns) = (facts.min_order_ns, facts.max_order_ns);
        Piece { from: From::Block(archive, block), min_ns, max_ns, number }
    };
    let admitted = plan::admitted(archives, filter, plan);
    let mut pieces: Vec<_> = admitted.into_iter().map(piece).collect();
    for rows in live {
        plan.live += 1;
        // Behind all blocks.
        pieces.extend(of_rows(rows, plan.blocks + plan.live));
    }
    pieces
}

/// A piece of rows in memory; `None` when there are none.
pub(crate) fn of_rows<'a>(rows: RowBuffer, number: u64) -> Option<Piece<'a>> {
    let mut times = rows.rows().map(|row| row.order_ns);
    let first = times.next()?;
    let (min_ns, max_ns) = times.fold((first, first), |(a, b), t| (a.min(t), b.max(t)));
    let from = From::Rows(Box::new(rows));
    Some(Piece { from, min_ns, max_ns, number })
}

fn damages(archives: &[Archive], unreadable: &[(super::ArchiveName, String)]) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, why) in unreadable {
        problems.push(format!("{}: {why}", name.file));
    }
    for archive in archives {
        for damage in &archive.damages {
            let (file, at, len) = (&archive.name.file, damage.offset, damage.len);
            let held = damage.block.as_ref().map_or(String::new(), |block| {
                format!("; there were {}", super::merge::held(block))
            });
            let error = &damage.error;
            problems.push(format!("{file}: {len} bytes at byte {at} are damaged: {error}{held}"));
        }
    }
    problems
}
