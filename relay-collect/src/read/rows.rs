//! From records of a live channel to sorted rows, as the collector makes them.

use super::live::Tail;
use super::split::{Place, Split};
use relay_fmt::block::{BlockBuilder, RowBuffer};
use relay_fmt::record::{Kind, split_inline};
use relay_fmt::rows::{Run, Span};
use std::collections::{HashMap, HashSet};

/// A run under construction, and what must come next to make it longer.
struct OpenRun {
    run: u32,
    place: Place,
}

/// Something of a writer, at a time.
#[derive(Debug)]
pub(crate) struct Timed<T> {
    pub(crate) writer: u64,
    pub(crate) number: u64,
    pub(crate) time_ns: i64,
    pub(crate) of: T,
}

/// Puts rows of a channel in the order of their times; those of one writer keep the order of their
/// numbers. Returns each with what its writer had come to before it, which is what its run says,
/// should it begin one. `floors` go on.
pub(crate) fn sort<T>(
    mut rows: Vec<Timed<T>>,
    floors: &mut HashMap<u64, i64>,
) -> Vec<(i64, Timed<T>)> {
    rows.sort_by_key(|row| (row.writer, row.number));
    let with_floor = rows.into_iter().map(|row| {
        let floor = floors.entry(row.writer).or_insert(i64::MIN);
        let before = *floor;
        *floor = before.max(row.time_ns);
        (before, row)
    });
    let mut sorted: Vec<_> = with_floor.collect();
    // Stable: the records of one writer keep their order.
    sorted.sort_by_key(|(floor, row)| row.time_ns.max(*floor));
    sorted
}

/// Builds the rows of what was split. Spans and floors of the channel go on.
pub(crate) fn build(tail: &mut Tail, split: Vec<Split<'_>>) -> RowBuffer {
    let rate = tail.rate();
    let rows = split.into_iter().map(|s| {
        let time_ns = s.anchor.real_of(s.record.header.tick, rate);
        Timed { writer: s.place.writer, number: s.place.number, time_ns, of: s }
    });
    let sorted = sort(rows.collect(), &mut tail.floors);
    let mut rows = Rows {
        tail,
        builder: BlockBuilder::new(),
        source: 0,
        runs: HashMap::new(),
        carried: HashSet::new(),
    };
    rows.source = rows.builder.source(&rows.tail.source);
    for (floor_ns, Timed { time_ns, of, .. }) in &sorted {
        rows.push(of, *floor_ns, *time_ns);
    }
    rows.builder.rows().clone()
}

struct Rows<'t> {
    tail: &'t mut Tail,
    builder: BlockBuilder,
    source: u32,
    /// The run that each writer is in.
    runs: HashMap<u64, OpenRun>,
    carried: HashSet<u64>,
}

impl Rows<'_> {
    fn push(&mut self, s: &Split<'_>, floor_ns: i64, time_ns: i64) {
        let run = self.run(s, floor_ns);
        let (mut kind, mut payload, mut span) = (s.record.kind, s.record.payload, 0);
        let mut site = self.tail.site(s.record.header.callsite);
        match (kind, payload.split_first_chunk::<8>()) {
            (Kind::InlineEvent, _) => {
                if let Ok((description, values)) = split_inline(payload)
                    && let Some(brought) = self.tail.inline_site(description)
                {
                    (kind, payload, site) = (Kind::Event, values, Some(brought));
                }
            }
            (
                Kind::SpanEvent
                | Kind::SpanNew
                | Kind::SpanEnter
                | Kind::SpanExit
                | Kind::SpanClose
                | Kind::SpanRecord
                | Kind::SpanFollows,
                Some((id, rest)),
            ) => {
                (span, payload) = (u64::from_le_bytes(*id), rest);
                self.span(kind, span, site.as_ref(), payload, time_ns);
            }
            _ => {}
        }
        // An event whose callsite is not known keeps its bytes.
        if site.is_none() && kind == Kind::Event {
            kind = Kind::Raw;
        }
        let site = site.map(|site| self.builder.callsite(&site));
        self.carry(span);
        self.builder.push(run, kind, site, span, time_ns, payload);
        if kind == Kind::SpanClose {
            self.tail.spans.remove(&span);
        }
    }

    /// The run of a record: its writer's last one, where it follows.
    fn run(&mut self, s: &Split<'_>, floor_ns: i64) -> u32 {
        let place = s.place;
        if let Some(open) = self.runs.get_mut(&place.writer) {
            let was = open.place;
            let same = (was.sub_buffer, was.generation) == (place.sub_buffer, place.generation);
            if same && was.number.wrapping_add(1) == place.number {
                open.place = place;
                let run = open.run;
                if let Some(run) = self.builder.run_mut(run) {
                    run.to = place.end;
                    run.records += 1;
                }
                return run;
            }
        }
        let run = self.builder.run(Run {
            source: self.source,
            sub_buffer: place.sub_buffer,
            generation: place.generation,
            from: s.from,
            to: place.end,
            prior_generations: s.prior,
            prior_records: s.prior_records,
            records: 1,
            writer: place.writer,
            first_number: place.number,
            tid: s.hand.tid,
            nesting: s.hand.nesting,
            thread: s.hand.thread.clone(),
            floor_ns,
        });
        self.runs.insert(place.writer, OpenRun { run, place });
        run
    }

    fn span(
        &mut self,
        kind: Kind,
        id: u64,
        site: Option<&std::sync::Arc<relay_fmt::callsite::Callsite>>,
        rest: &[u8],
        since_ns: i64,
    ) {
        match (kind, site, rest.split_first_chunk::<8>()) {
            (Kind::SpanNew, Some(callsite), Some((parent, values))) => {
                let span = Span {
                    source: self.source,
                    id,
                    parent: u64::from_le_bytes(*parent),
                    callsite: callsite.clone(),
                    values: values.to_vec(),
                    since_ns,
                };
                self.tail.spans.insert(id, span);
                self.carried.remove(&id);
            }
            (Kind::SpanRecord, ..) => {
                if let Some(span) = self.tail.spans.get_mut(&id) {
                    span.record(rest);
                    self.carried.remove(&id);
                }
            }
            _ => {}
        }
    }

    /// Sees to it that the rows have a span and those around it.
    fn carry(&mut self, mut id: u64) {
        // A hostile channel may close a circle of parents.
        for _ in 0..crate::render::MAX_SPANS {
            if id == 0 || !self.carried.insert(id) {
                return;
            }
            let Some(span) = self.tail.spans.get(&id) else {
                return;
            };
            let source = self.source;
            let span = Span { source, ..span.clone() };
            id = span.parent;
            self.builder.span(span);
        }
    }
}
