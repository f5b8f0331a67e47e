//! Rows in memory, ready to be shown as events in the order they sort in.

use super::shelves::Shelf;
use crate::render::{Event, MAX_SPANS, SpanView};
use relay_fmt::block::RowBuffer;
use relay_fmt::callsite::Callsite;
use relay_fmt::record::{Kind, split_inline};
use relay_fmt::rows::{Row, Span};
use std::collections::HashMap;
use std::sync::Arc;

/// A block's rows, with what is needed to show any of them.
///
/// Unlike [`crate::render::View`] it owns its rows, so that many can be open at a time.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(super) buffer: RowBuffer,
    /// For each row, in the order they sort in.
    pub(super) order: Vec<Place>,
    /// For each (source, span id): the spans around it, the outermost first.
    chains: HashMap<(u32, u64), Vec<u32>>,
    /// The callsites that inline events bring, by their descriptions.
    inline: HashMap<Vec<u8>, Arc<Callsite>>,
    pub(super) lines: Option<Lines>,
    /// Where the rows are that are not here: then none is.
    pub(super) shelf: Option<Shelf>,
    /// How many rows were put together.
    pub(crate) read: usize,
    /// How many rows were left out before they were put together.
    pub(crate) excluded: u64,
    /// What is missing of the rows that should be here.
    pub(crate) problem: Option<String>,
    /// How many more rows are meant, which are not here.
    pub(crate) sure: u64,
    /// Whether its header said all that was asked.
    pub(crate) by_header: bool,
}

/// A row among others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Which row of the buffer; [`Place::NONE`] where only its line is left.
    pub(super) row: u32,
    pub(super) number: u64,
    /// What it sorts by.
    pub(super) order_ns: i64,
}

impl Place {
    pub(super) const NONE: u32 = u32::MAX;
}

/// What is to be written of rows.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) text: Vec<u8>,
    /// For each row, where its text ends; parts of larger records have none.
    pub(super) ends: Vec<usize>,
    /// Whether there are such parts.
    pub(super) parts: bool,
}

fn chains(spans: &[Span]) -> HashMap<(u32, u64), Vec<u32>> {
    let by_id: HashMap<(u32, u64), (u32, u64)> =
        (0u32..).zip(spans).map(|(i, span)| ((span.source, span.id), (i, span.parent))).collect();
    let chain = |(key, _): (&(u32, u64), _)| {
        let (mut chain, mut id) = (Vec::new(), key.1);
        while id != 0
            && chain.len() < MAX_SPANS
            && let Some((i, parent)) = by_id.get(&(key.0, id))
        {
            chain.push(*i);
            id = *parent;
        }
        chain.reverse();
        (*key, chain)
    };
    by_id.iter().map(chain).collect()
}

impl Loaded {
    pub(crate) fn new(buffer: RowBuffer) -> Self {
        Self::of(buffer, |_| true)
    }

    /// Of these rows only those that are to be kept, with the numbers and sort times of all.
    pub(crate) fn of_kept(buffer: RowBuffer, keep: &[bool]) -> Self {
        let all = buffer.len();
        let mut loaded = Self::of(buffer, |row| keep.get(row as usize) == Some(&true));
        loaded.excluded = (all - loaded.read) as u64;
        loaded
    }

    fn of(buffer: RowBuffer, keep: impl Fn(u32) -> bool) -> Self {
        let rows = (0u32..).zip(buffer.rows()).filter(|(i, _)| keep(*i));
        let place =
            |(row, of): (u32, Row<'_>)| Place { row, number: of.number, order_ns: of.order_ns };
        let mut order: Vec<Place> = rows.map(place).collect();
        // It is sorted, unless whoever wrote it did not keep to the format.
        order.sort_by_key(|place| place.order_ns);
        Self::put_together(buffer, order, None)
    }

    /// Rows that are in order, and what is to be written of them if that is known.
    pub(super) fn put_together(buffer: RowBuffer, order: Vec<Place>, lines: Option<Lines>) -> Self {
        let mut inline = HashMap::new();
        for (i, kind) in buffer.kind.iter().enumerate() {
            let unresolved = *kind == Kind::InlineEvent && buffer.callsite.get(i) == Some(&0);
            if unresolved
                && let Ok((description, _)) = split_inline(buffer.payload_of(i))
                && !inline.contains_key(description)
                && let Ok(callsite) = Callsite::decode(description)
            {
                inline.insert(description.to_vec(), Arc::new(callsite));
            }
        }
        let chains = chains(&buffer.spans);
        let read = order.len();
        Self {
            buffer,
            order,
            chains,
            inline,
            lines,
            shelf: None,
            read,
            excluded: 0,
            problem: None,
            sure: 0,
            by_header: false,
        }
    }

    /// Leaves only the rows that `keep` says, and notes where the text of each ends.
    pub(crate) fn set_lines(
        &mut self,
        text: Vec<u8>,
        ends: Vec<usize>,
        keep: &[bool],
        parts: bool,
    ) {
        let mut keep = keep.iter();
        self.order.retain(|_| keep.next() == Some(&true));
        // Where archives overlap in time, one of these is in memory for each.
        if !parts {
            self.buffer = RowBuffer::default();
            self.chains.clear();
        }
        self.lines = Some(Lines { text, ends, parts });
    }

    /// The text of the rows `from..to`, one after the other; `None` when the first one is a part of
    /// a larger record, or nothing was made of the rows.
    pub(crate) fn lines(&self, from: usize, to: usize) -> Option<&[u8]> {
        if self.is_part(from) {
            return None;
        }
        let lines = self.lines.as_ref()?;
        let end = |row: usize| lines.ends.get(row).copied();
        let start = from.checked_sub(1).and_then(end).unwrap_or(0);
        lines.text.get(start..end(to.checked_sub(1)?)?)
    }

    /// The text of one row; parts of larger records have an empty one.
    pub(super) fn line(&self, row: usize) -> Option<&[u8]> {
        let lines = self.lines.as_ref()?;
        let end = |row: usize| lines.ends.get(row).copied();
        lines.text.get(row.checked_sub(1).and_then(end).unwrap_or(0)..end(row)?)
    }

    /// Which row of the buffer the `i`th one is.
    pub(super) fn buffer_row(&self, i: usize) -> Option<usize> {
        self.order.get(i).map(|place| place.row as usize)
    }

    /// The spans, by their places in the buffer, that this one of a source lies in, with itself.
    pub(super) fn around(&self, source: u32, span: u64) -> &[u32] {
        self.chains.get(&(source, span)).map_or(&[], Vec::as_slice)
    }

    /// Whether the row is a part of a larger record, as far as lines need to know.
    pub(crate) fn is_part(&self, i: usize) -> bool {
        let kind = self.buffer_row(i).and_then(|row| self.buffer.kind.get(row));
        self.lines.as_ref().is_none_or(|lines| lines.parts) && kind == Some(&Kind::Fragment)
    }

    /// What the text that is to be written of rows takes in memory, in bytes.
    pub(crate) fn text_bytes(&self) -> usize {
        self.lines.as_ref().map_or(0, |lines| lines.text.capacity())
    }

    /// What the rows and their text take in memory, in bytes, nearly.
    pub(crate) fn bytes(&self) -> usize {
        let rows = &self.buffer;
        let columns = rows.run.capacity() * 4
            + rows.kind.capacity()
            + rows.callsite.capacity() * 4
            + (rows.span.capacity() + rows.time_ns.capacity() + rows.end.capacity()) * 8;
        let runs = rows.runs.iter().map(|run| size_of_val(run) + run.thread.len());
        let spans = rows.spans.iter().map(|span| size_of_val(span) + span.values.len());
        let ends =
            self.lines.as_ref().map_or(0, |lines| lines.ends.capacity() * size_of::<usize>());
        let chains = self.chains.values().map(|chain| 64 + chain.capacity() * 4).sum::<usize>();
        rows.payload.capacity()
            + columns
            + chains
            + runs.chain(spans).sum::<usize>()
            + self.order.capacity() * size_of::<Place>()
            + ends
            + self.text_bytes()
    }

    /// Leaves the rows to a shelf.
    pub(super) fn put_away(&mut self, shelf: Shelf) {
        self.buffer = RowBuffer::default();
        (self.order, self.lines) = (Vec::new(), None);
        (self.chains, self.inline) = (HashMap::new(), HashMap::new());
        self.shelf = Some(shelf);
    }

    /// How many rows are here; where they are on a shelf, none.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// What the `i`th row sorts by.
    pub(crate) fn order_ns(&self, i: usize) -> Option<i64> {
        self.order.get(i).map(|place| place.order_ns)
    }

    /// The `i`th row as an event. `spans` is memory for the spans around it.
    pub(crate) fn event<'v>(
        &'v self,
        i: usize,
        spans: &'v mut Vec<SpanView<'v>>,
    ) -> Option<Event<'v>> {
        let (b, Place { row, number, order_ns }) = (&self.buffer, *self.order.get(i)?);
        let at = row as usize;
        let site = |number: &u32| b.callsites.get((*number as usize).checked_sub(1)?);
        let row = Row {
            run: *b.run.get(at)?,
            number,
            kind: *b.kind.get(at)?,
            time_ns: *b.time_ns.get(at)?,
            order_ns,
            callsite: b.callsite.get(at).and_then(site),
            span: *b.span.get(at)?,
            payload: b.payload_of(at),
        };
        let run = b.runs.get(row.run as usize)?;
        let source = b.sources.get(run.source as usize)?;
        if row.span != 0
            && let Some(chain) = self.chains.get(&(run.source, row.span))
        {
            let views = chain.iter().filter_map(|i| b.spans.get(*i as usize));
            spans.extend(views.map(|span| SpanView { span }));
        }
        let mut event = Event::new(row, run, source, spans);
        if event.row.kind == Kind::InlineEvent
            && event.callsite.is_none()
            && let Ok((description, values)) = split_inline(event.row.payload)
        {
            event.callsite = self.inline.get(description);
            event.values = values;
        }
        Some(event)
    }
}
