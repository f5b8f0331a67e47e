//! The rows of a block in memory, before they are encoded and after they are decoded.

use crate::callsite::Callsite;
use crate::record::Kind;
use crate::rows::{Row, Run, Source, Span};
use std::sync::Arc;

/// Rows and what they refer to. Rows stand in the order they sort in ([`Row::order_ns`]); the rows of
/// one run stand in the order of their numbers, and the runs of one writer in the order of theirs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RowBuffer {
    /// Whose channels.
    pub sources: Vec<Source>,
    /// The runs that the rows belong to; a run may have no rows (bytes that held only anchors).
    pub runs: Vec<Run>,
    /// The callsites that rows name.
    pub callsites: Vec<Arc<Callsite>>,
    /// The spans that rows lie in, and those around them.
    pub spans: Vec<Span>,
    /// For each row, the index of its run.
    pub run: Vec<u32>,
    /// For each row, what it is.
    pub kind: Vec<Kind>,
    /// For each row, 1 + the index of its callsite; 0 for none.
    pub callsite: Vec<u32>,
    /// For each row, the span id; 0 for none.
    pub span: Vec<u64>,
    /// For each row, UTC nanoseconds.
    pub time_ns: Vec<i64>,
    /// For each row, where its payload ends in `payload`; it begins where the one before ends.
    pub end: Vec<usize>,
    /// The payloads, one after the other.
    pub payload: Vec<u8>,
}

impl RowBuffer {
    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.run.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.run.is_empty()
    }

    /// Appends a row. `callsite` is 1 + an index into `callsites`, 0 for none.
    #[inline]
    pub fn push(
        &mut self,
        run: u32,
        kind: Kind,
        callsite: u32,
        span: u64,
        time_ns: i64,
        payload: &[u8],
    ) {
        self.run.push(run);
        self.kind.push(kind);
        self.callsite.push(callsite);
        self.span.push(span);
        self.time_ns.push(time_ns);
        self.payload.extend_from_slice(payload);
        self.end.push(self.payload.len());
    }

    /// Appends rows, times and payloads, that are alike in all else.
    #[inline]
    pub fn extend<'a>(
        &mut self,
        run: u32,
        kind: Kind,
        callsite: u32,
        span: u64,
        rows: impl Iterator<Item = (i64, &'a [u8])>,
    ) {
        for (time_ns, payload) in rows {
            self.time_ns.push(time_ns);
            self.payload.extend_from_slice(payload);
            self.end.push(self.payload.len());
        }
        let len = self.end.len();
        self.run.resize(len, run);
        self.kind.resize(len, kind);
        self.callsite.resize(len, callsite);
        self.span.resize(len, span);
    }

    /// The payload of row `i`; empty when there is no such row.
    #[must_use]
    pub fn payload_of(&self, i: usize) -> &[u8] {
        let start = i.checked_sub(1).and_then(|before| self.end.get(before)).copied();
        let end = self.end.get(i).copied().unwrap_or_default();
        self.payload.get(start.unwrap_or_default()..end).unwrap_or_default()
    }

    /// Whether everything that rows, runs and spans name is there.
    pub(crate) fn refers_within(&self) -> bool {
        let within = |index: &u32, len: usize| (*index as usize) < len;
        let sources = self.sources.len();
        self.run.iter().all(|run| within(run, self.runs.len()))
            && self.callsite.iter().all(|c| within(c, self.callsites.len() + 1))
            && self.runs.iter().all(|run| within(&run.source, sources))
            && self.spans.iter().all(|span| within(&span.source, sources))
    }

    /// Empties the buffer and keeps its memory.
    pub fn clear(&mut self) {
        self.sources.clear();
        self.runs.clear();
        self.callsites.clear();
        self.spans.clear();
        self.run.clear();
        self.kind.clear();
        self.callsite.clear();
        self.span.clear();
        self.time_ns.clear();
        self.end.clear();
        self.payload.clear();
    }

    /// Walks the rows, with the numbers and sort times that follow from their runs.
    #[must_use]
    pub fn rows(&self) -> Rows<'_> {
        Rows { buffer: self, next: 0, seen: vec![(0, i64::MIN); self.runs.len()] }
    }
}

/// Walks the rows of a [`RowBuffer`].
#[derive(Debug, Clone)]
pub struct Rows<'a> {
    buffer: &'a RowBuffer,
    next: usize,
    /// For each run: how many of its rows came, and the largest time among them.
    seen: Vec<(u64, i64)>,
}

impl<'a> Iterator for Rows<'a> {
    type Item = Row<'a>;

    fn next(&mut self) -> Option<Row<'a>> {
        let (b, i) = (self.buffer, self.next);
        let run_index = *b.run.get(i)?;
        let run = b.runs.get(run_index as usize)?;
        let seen = self.seen.get_mut(run_index as usize)?;
        let time_ns = *b.time_ns.get(i)?;
        let number = run.first_number.wrapping_add(seen.0);
        *seen = (seen.0 + 1, seen.1.max(time_ns).max(run.floor_ns));
        self.next += 1;
        let callsite =
            b.callsite.get(i).and_then(|c| b.callsites.get((*c as usize).checked_sub(1)?));
        Some(Row {
            run: run_index,
            number,
            kind: *b.kind.get(i)?,
            time_ns,
            order_ns: seen.1,
            callsite,
            span: *b.span.get(i)?,
            payload: b.payload_of(i),
        })
    }
}
