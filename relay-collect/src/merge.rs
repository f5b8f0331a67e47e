//! From what was taken out of sub-buffers to the rows of one block, in time order.
//!
//! The records of one writer keep the order of their numbers, whatever the clock says; between
//! writers the time decides. Each writer is one queue of parts, and a heap knows whose next row is
//! the earliest.

use crate::live::{Hand, Live};
use crate::take::Taken;
use relay_fmt::block::BlockBuilder;
use relay_fmt::record::{self, Kind, Record, Records};
use relay_fmt::rows::{Run, Span};
use relay_fmt::time::{Anchor, Rate};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

/// A part on its way into the block.
#[derive(Debug, Clone, Copy)]
struct PartAt {
    taken: usize,
    part: usize,
}

/// One writer's parts, in the order of their numbers.
struct Queue<'a> {
    live: usize,
    parts: std::vec::IntoIter<PartAt>,
    records: Records<'a>,
    run: u32,
    /// Where the run stands in [`Merge::runs`].
    run_at: usize,
    hand: Hand,
    rate: Rate,
    /// The largest time so far.
    floor_ns: i64,
    next: Option<(Record<'a>, i64)>,
}

/// A run of a block, and where it came from: to take it into account once the block is written.
#[derive(Debug, Clone)]
pub(crate) struct MergedRun {
    /// Index of its channel.
    pub(crate) live: usize,
    pub(crate) run: Run,
    /// The largest time of its writer up to its end.
    pub(crate) max_ns: i64,
}

/// Everything that goes into one block: channels, and what was taken out of each.
pub(crate) struct Merge<'a> {
    pub(crate) lives: &'a mut [Live],
    /// What was taken, with the index of its channel.
    pub(crate) taken: &'a [(usize, Taken)],
    pub(crate) builder: &'a mut BlockBuilder,
    /// Spans that the block has already.
    spans: HashSet<(usize, u64)>,
    sources: Vec<u32>,
    closed: Vec<(usize, u64)>,
    /// For each channel, by callsite number, 1 + the block's index of it.
    sites: Vec<Vec<u32>>,
    runs: Vec<MergedRun>,
}

impl<'a> Merge<'a> {
    pub(crate) fn new(
        lives: &'a mut [Live],
        taken: &'a [(usize, Taken)],
        builder: &'a mut BlockBuilder,
    ) -> Self {
        let sites = vec![Vec::new(); lives.len()];
        let sources = lives
            .iter()
            .enumerate()
            .map(|(live, l)| {
                let used = taken.iter().any(|(of, _)| *of == live);
                if used { builder.source(&l.source) } else { u32::MAX }
            })
            .collect();
        Self {
            lives,
            taken,
            builder,
            spans: HashSet::new(),
            sources,
            closed: Vec::new(),
            sites,
            runs: Vec::new(),
        }
    }

    /// Fills the builder. Returns the block's runs.
    pub(crate) fn run(mut self) -> Vec<MergedRun> {
        let mut queues = self.queues();
        let mut heap: BinaryHeap<Reverse<(i64, usize)>> = BinaryHeap::new();
        for (i, queue) in queues.iter_mut().enumerate() {
            if self.advance(queue) {
                heap.push(Reverse((queue.order(), i)));
            }
        }
        while let Some(Reverse((_, i))) = heap.pop() {
            let Some(queue) = queues.get_mut(i) else { continue };
            // As long as this writer stays the earliest, the heap is left alone.
            let limit = heap.peek().map_or((i64::MAX, usize::MAX), |Reverse(next)| *next);
            loop {
                self.emit(queue, |order| (order, i) <= limit);
                if !self.advance(queue) {
                    break;
                }
                if (queue.order(), i) > limit {
                    heap.push(Reverse((queue.order(), i)));
                    break;
                }
            }
        }
        for (live, span) in std::mem::take(&mut self.closed) {
            if let Some(live) = self.lives.get_mut(live) {
                live.archived.spans.remove(&span);
            }
        }
        self.runs
    }

    fn queues(&self) -> Vec<Queue<'a>> {
        let mut of: HashMap<(usize, u64), Vec<PartAt>> = HashMap::new();
        let mut order = Vec::new();
        for (t, (live, taken)) in self.taken.iter().enumerate() {
            for (p, part) in taken.parts.iter().enumerate() {
                let key = (*live, part.hand.writer);
                let parts = of.entry(key).or_insert_with(|| {
                    order.push(key);
                    Vec::new()
                });
                parts.push(PartAt { taken: t, part: p });
            }
        }
        let mut queues = Vec::new();
        for key in order {
            let Some(mut parts) = of.remove(&key) else { continue };
            parts.sort_by_key(|at| self.part(*at).map(|(_, part)| part.hand.next_number));
            let Some((_, first)) = parts.first().and_then(|at| self.part(*at)) else { continue };
            let Some(live) = self.lives.get(key.0) else { continue };
            let floor = live.archived.writers.get(&key.1).map_or(i64::MIN, |w| w.floor_ns);
            queues.push(Queue {
                live: key.0,
                parts: parts.into_iter(),
                records: Records::new(&[], 0),
                run: 0,
                run_at: 0,
                hand: first.hand.clone(),
                rate: live.rate.rate(),
                floor_ns: floor,
                next: None,
            });
        }
        queues
    }

    fn part(&self, at: PartAt) -> Option<(&'a Taken, &'a crate::take::Part)> {
        let (_, taken) = self.taken.get(at.taken)?;
        Some((taken, taken.parts.get(at.part)?))
    }

    /// Moves to the writer's next numbered record, if it is not there already; `false` when there is none.
    fn advance(&mut self, queue: &mut Queue<'a>) -> bool {
        while queue.next.is_none() {
            queue.next = queue.read();
            if queue.next.is_none() {
                let Some(at) = queue.parts.next() else { return false };
                self.begin(queue, at);
            }
        }
        true
    }

    /// Begins a part of a writer: a run of the block.
    fn begin(&mut self, queue: &mut Queue<'a>, at: PartAt) {
        let Some((taken, part)) = self.part(at) else { return };
        let run = Run {
            source: self.sources.get(queue.live).copied().unwrap_or(0),
            sub_buffer: taken.sub.index,
            generation: taken.sub.generation,
            from: part.from,
            to: part.to,
            prior_generations: taken.sub.prior,
            prior_records: part.prior_records,
            records: part.records,
            writer: part.hand.writer,
            first_number: part.hand.next_number,
            tid: part.hand.tid,
            nesting: part.hand.nesting,
            thread: part.hand.thread.clone(),
            floor_ns: queue.floor_ns,
        };
        queue.records = Records::new(taken.bytes_of(part), taken.sub.generation);
        queue.hand = part.hand.clone();
        queue.run_at = self.runs.len();
        let (live, max_ns) = (queue.live, queue.floor_ns);
        self.runs.push(MergedRun { live, run: run.clone(), max_ns });
        queue.run = self.builder.run(run);
    }

    /// Pushes the writer's next record as a row, and with it those behind it that are like it, as long as
    /// what they sort by `may_go`.
    fn emit(&mut self, queue: &mut Queue<'a>, may_go: impl Fn(i64) -> bool) {
        let Some((record, time_ns)) = queue.next.take() else { return };
        queue.floor_ns = queue.floor_ns.max(time_ns);
        // Lines of raw channels have no callsite.
        let bare = record.kind == Kind::Raw && record.header.callsite == 0;
        let known = match record.kind {
            Kind::Event => self.callsite(queue.live, record.header.callsite),
            _ => None,
        };
        if bare || known.is_some() {
            let kind = record.kind;
            let (run, rows) = (queue.run, queue.alike((record, time_ns), may_go));
            self.builder.extend(run, kind, known, 0, rows);
        } else {
            self.emit_one(queue, &record, time_ns);
        }
        if let Some(run) = self.runs.get_mut(queue.run_at) {
            run.max_ns = queue.floor_ns;
        }
    }

    /// Pushes a record of any kind as a row.
    fn emit_one(&mut self, queue: &Queue<'a>, record: &Record<'a>, time_ns: i64) {
        let (kind, span, payload, inline) = self.take_apart(queue.live, record, time_ns);
        let callsite = match inline {
            Some(description) => {
                let site =
                    self.lives.get_mut(queue.live).and_then(|l| l.inline_callsite(description));
                site.map(|site| self.builder.callsite(&site))
            }
            None => self.callsite(queue.live, record.header.callsite),
        };
        // An event whose callsite is not known keeps its bytes.
        let kind = if callsite.is_none() && kind == Kind::Event { Kind::Raw } else { kind };
        if span != 0 {
            self.carry_span(queue.live, span);
        }
        self.builder.push(queue.run, kind, callsite, span, time_ns, payload);
    }

    /// The block's index of a channel's callsite.
    fn callsite(&mut self, live: usize, id: u32) -> Option<u32> {
        let known = self.sites.get(live)?.get(id as usize).copied().unwrap_or(0);
        if let Some(known) = known.checked_sub(1) {
            return Some(known);
        }
        let callsite = self.lives.get(live)?.callsite(id)?;
        let index = self.builder.callsite(callsite);
        let sites = self.sites.get_mut(live)?;
        if sites.len() <= id as usize {
            sites.resize(id as usize + 1, 0);
        }
        *sites.get_mut(id as usize)? = index + 1;
        Some(index)
    }

    /// Kind, span, payload and inline callsite of a row, from a record; keeps account of spans.
    fn take_apart(
        &mut self,
        live: usize,
        record: &Record<'a>,
        time_ns: i64,
    ) -> (Kind, u64, &'a [u8], Option<&'a [u8]>) {
        let whole = (record.kind, 0, record.payload, None);
        let id = record.payload.split_first_chunk::<8>();
        match (record.kind, id) {
            (Kind::InlineEvent, _) => record::split_inline(record.payload)
                .map_or(whole, |(site, values)| (Kind::Event, 0, values, Some(site))),
            (
                Kind::SpanEvent | Kind::SpanEnter | Kind::SpanExit | Kind::SpanFollows,
                Some((id, rest)),
            ) => (record.kind, u64::from_le_bytes(*id), rest, None),
            (Kind::SpanClose, Some((id, rest))) => {
                let id = u64::from_le_bytes(*id);
                self.closed.push((live, id));
                (record.kind, id, rest, None)
            }
            (Kind::SpanNew, Some((id, rest))) => {
                let id = u64::from_le_bytes(*id);
                self.new_span(live, id, record.header.callsite, rest, time_ns);
                (record.kind, id, rest, None)
            }
            (Kind::SpanRecord, Some((id, rest))) => {
                let id = u64::from_le_bytes(*id);
                let spans = self.lives.get_mut(live).map(|live| &mut live.archived.spans);
                if let Some(span) = spans.and_then(|spans| spans.get_mut(&id)) {
                    span.record(rest);
                    self.spans.remove(&(live, id));
                }
                (record.kind, id, rest, None)
            }
            _ => whole,
        }
    }

    fn new_span(&mut self, live: usize, id: u64, callsite: u32, rest: &[u8], since_ns: i64) {
        let source = self.sources.get(live).copied().unwrap_or(0);
        let Some(live) = self.lives.get_mut(live) else { return };
        let Some(callsite) = live.callsite(callsite).cloned() else { return };
        let Some((parent, values)) = rest.split_first_chunk::<8>() else { return };
        let parent = u64::from_le_bytes(*parent);
        let values = values.to_vec();
        live.archived.spans.insert(id, Span { source, id, parent, callsite, values, since_ns });
    }

    /// Sees to it that the block has a span and those around it.
    fn carry_span(&mut self, live: usize, span: u64) {
        let mut id = span;
        // A hostile channel may close a circle of parents.
        for _ in 0..64 {
            if id == 0 || !self.spans.insert((live, id)) {
                return;
            }
            let source = self.sources.get(live).copied().unwrap_or(0);
            let spans = self.lives.get(live).map(|live| &live.archived.spans);
            let Some(known) = spans.and_then(|spans| spans.get(&id)) else { return };
            id = known.parent;
            self.builder.span(Span { source, ..known.clone() });
        }
    }
}

impl<'a> Queue<'a> {
    /// What the next row sorts by.
    fn order(&self) -> i64 {
        self.next.as_ref().map_or(i64::MAX, |(_, time)| (*time).max(self.floor_ns))
    }

    #[inline]
    fn time_of(&self, record: &Record<'_>) -> i64 {
        self.hand.anchor.real_of(record.header.tick, self.rate)
    }

    /// The next numbered record of the part, and its time.
    #[inline]
    fn read(&mut self) -> Option<(Record<'a>, i64)> {
        for record in self.records.by_ref().map_while(Result::ok) {
            match record.kind {
                Kind::Anchor => {
                    if let Ok(anchor) = Anchor::parse(record.header.tick, record.payload) {
                        self.hand.anchor = anchor;
                    }
                }
                kind if kind.is_numbered() => return Some((record, self.time_of(&record))),
                _ => {}
            }
        }
        None
    }

    /// Times and payloads of an event, or a line, and of those of its callsite that follow in the part and
    /// whose order `may_go`. The first that does not is `next` then.
    fn alike(
        &mut self,
        first: (Record<'a>, i64),
        may_go: impl Fn(i64) -> bool,
    ) -> impl Iterator<Item = (i64, &'a [u8])> {
        let (kind, callsite) = (first.0.kind, first.0.header.callsite);
        let (mut before, mut first) = (first.0, Some((first.1, first.0.payload)));
        std::iter::from_fn(move || {
            first.take().or_else(|| {
                let (record, time_ns) = match self.records.next_like(&before) {
                    Some(record) => (record, self.time_of(&record)),
                    None => self.read()?,
                };
                let order = time_ns.max(self.floor_ns);
                let like = record.kind == kind && record.header.callsite == callsite;
                if !(like && may_go(order)) {
                    self.next = Some((record, time_ns));
                    return None;
                }
                (self.floor_ns, before) = (order, record);
                Some((time_ns, record.payload))
            })
        })
    }
}
