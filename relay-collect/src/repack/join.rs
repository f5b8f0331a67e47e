//! Blocks that follow each other become one.

use relay_fmt::block::{BlockBuilder, RowBuffer, Rows};
use relay_fmt::rows::{ChannelId, Row, Source, Span};
use std::collections::{HashMap, HashSet};

/// What a span is to rows: whose, and its id.
type SpanKey = (ChannelId, u64);

/// Blocks to become one, with what must not change for their rows.
#[derive(Debug, Default)]
pub(super) struct Group {
    blocks: Vec<RowBuffer>,
    spans: HashMap<SpanKey, Span>,
    /// Spans that rows name and no block describes.
    missing: HashSet<SpanKey>,
    sources: HashMap<ChannelId, Source>,
}

impl Group {
    /// Whether there are none yet.
    pub(super) const fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Adds a block, or gives it back: where it describes a span or a source otherwise than the
    /// blocks before it, rows would be shown with what was not known when they were written.
    pub(super) fn add(&mut self, rows: RowBuffer) -> Result<(), Box<RowBuffer>> {
        let spans = spans(&rows);
        let missing = missing(&rows, &spans);
        let differs = spans.iter().any(|(key, span)| {
            self.missing.contains(key)
                || self.spans.get(key).is_some_and(|known| !same(known, span))
        });
        let other =
            |source: &Source| self.sources.get(&source.id).is_some_and(|known| known != source);
        let unknown = missing.iter().any(|key| self.spans.contains_key(key));
        if differs || unknown || rows.sources.iter().any(other) {
            return Err(Box::new(rows));
        }
        self.spans.extend(spans);
        self.missing.extend(missing);
        self.sources.extend(rows.sources.iter().map(|source| (source.id, source.clone())));
        self.blocks.push(rows);
        Ok(())
    }

    /// Fills an empty builder with the rows of all blocks, by sort time, those of earlier blocks first.
    pub(super) fn fill(self, builder: &mut BlockBuilder) {
        let mut parts: Vec<Part<'_>> =
            self.blocks.iter().map(|b| Part::begin(b, builder)).collect();
        loop {
            let heads = parts
                .iter()
                .enumerate()
                .filter_map(|(at, part)| part.next.as_ref().map(|row| (row.order_ns, at)));
            let Some((_, at)) = heads.min() else { break };
            if let Some(part) = parts.get_mut(at) {
                part.push(builder);
            }
        }
    }
}

/// The spans that a block describes.
fn spans(rows: &RowBuffer) -> HashMap<SpanKey, Span> {
    let key = |span: &Span| Some((rows.sources.get(span.source as usize)?.id, span.id));
    rows.spans.iter().filter_map(|span| Some((key(span)?, span.clone()))).collect()
}

/// The spans that rows or other spans name and that are not among these.
fn missing(rows: &RowBuffer, spans: &HashMap<SpanKey, Span>) -> HashSet<SpanKey> {
    let of_run = |run: &u32| rows.runs.get(*run as usize).map(|run| run.source);
    let named = rows.span.iter().zip(&rows.run).map(|(id, run)| (of_run(run), *id));
    let parents = rows.spans.iter().map(|span| (Some(span.source), span.parent));
    let named = named.chain(parents).filter(|(_, id)| *id != 0);
    let keys = named.filter_map(|(source, id)| Some((rows.sources.get(source? as usize)?.id, id)));
    keys.filter(|key| !spans.contains_key(key)).collect()
}

/// Whether two descriptions of a span of one source say the same.
fn same(a: &Span, b: &Span) -> bool {
    *a == Span { source: a.source, ..b.clone() }
}

/// A block on its way into the builder.
struct Part<'a> {
    rows: Rows<'a>,
    next: Option<Row<'a>>,
    /// The builder's index of each run.
    runs: Vec<u32>,
}

impl<'a> Part<'a> {
    fn begin(block: &'a RowBuffer, builder: &mut BlockBuilder) -> Self {
        let sources: Vec<u32> = block.sources.iter().map(|s| builder.source(s)).collect();
        let source = |of: u32| sources.get(of as usize).copied().unwrap_or_default();
        let runs = block.runs.iter().cloned().map(|mut run| {
            run.source = source(run.source);
            builder.run(run)
        });
        let runs = runs.collect();
        for span in &block.spans {
            builder.span(Span { source: source(span.source), ..span.clone() });
        }
        let mut rows = block.rows();
        Self { next: rows.next(), rows, runs }
    }

    /// Pushes the next row.
    fn push(&mut self, builder: &mut BlockBuilder) {
        let Some(row) = std::mem::replace(&mut self.next, self.rows.next()) else { return };
        let callsite = row.callsite.map(|site| builder.callsite(site));
        let run = self.runs.get(row.run as usize).copied().unwrap_or_default();
        builder.push(run, row.kind, callsite, row.span, row.time_ns, row.payload);
    }
}
