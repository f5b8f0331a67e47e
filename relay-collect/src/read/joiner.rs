//! Records that were larger than a sub-buffer, put together again.

use crate::render::Event;
use relay_fmt::block::RowBuffer;
use relay_fmt::callsite::Callsite;
use relay_fmt::record::{Fragment, Kind};
use relay_fmt::rows::{ChannelId, Run, Source};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Parts of one record, gathered until it is whole.
#[derive(Debug)]
struct Chain {
    source: Source,
    run: Run,
    callsite: Option<Arc<Callsite>>,
    kind: Kind,
    total: u64,
    time_ns: i64,
    order_ns: i64,
    /// The number of the part that was taken last.
    number: u64,
    /// From which byte of the record on the parts reach, and to which.
    from: u64,
    to: u64,
    /// In the order they came in.
    parts: Vec<Vec<u8>>,
}

/// Puts fragments together, by (channel, writer, consecutive numbers), in either direction.
#[derive(Debug, Default)]
pub(crate) struct Joiner {
    reverse: bool,
    open: HashMap<(ChannelId, u64), Chain>,
}

/// What came of a fragment: records, as buffers of one row each.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    /// A chain that ended before its record was whole.
    pub(crate) broken: Option<RowBuffer>,
    /// A whole record.
    pub(crate) whole: Option<RowBuffer>,
}

impl Joiner {
    pub(crate) fn new(reverse: bool) -> Self {
        Self { reverse, open: HashMap::new() }
    }

    /// Goes on forwards: with the records whose beginnings are here and whose ends are not.
    pub(crate) fn forward(mut self) -> Self {
        if std::mem::take(&mut self.reverse) {
            self.open.retain(|_, chain| chain.from == 0);
            for chain in self.open.values_mut() {
                chain.parts.reverse();
                // Backwards the first part that was taken is the record's latest.
                let before = (chain.parts.len() as u64).saturating_sub(1);
                chain.number = chain.number.wrapping_add(before);
            }
        }
        self
    }

    /// Takes an event of the kind [`Kind::Fragment`]; `None` when it does not parse.
    pub(crate) fn take(&mut self, event: &Event<'_>) -> Option<Joined> {
        let part = Fragment::parse(event.row.payload).ok()?;
        let key = (event.source.id, event.run.writer);
        let mut joined = Joined::default();
        let fits = |chain: &Chain| chain.continues(event.row.number, &part, self.reverse);
        if self.open.get(&key).is_some_and(|chain| !fits(chain)) {
            joined.broken = self.open.remove(&key).map(|chain| chain.row(self.reverse));
        }
        let chain = self.open.entry(key).or_insert_with(|| Chain {
            source: event.source.clone(),
            run: event.run.clone(),
            callsite: event.callsite.cloned(),
            kind: part.kind,
            total: part.total,
            time_ns: event.row.time_ns,
            order_ns: event.row.order_ns,
            number: event.row.number,
            from: part.offset,
            to: part.offset,
            parts: Vec::new(),
        });
        chain.add(event, &part, self.reverse);
        if chain.from == 0 && chain.to == chain.total {
            joined.whole = self.open.remove(&key).map(|chain| chain.row(self.reverse));
        }
        Some(joined)
    }

    /// The chains that will not be continued: those of channels that are not `alive`.
    pub(crate) fn finish(&mut self, alive: &HashSet<ChannelId>) -> Vec<RowBuffer> {
        let mut ended = Vec::new();
        let open = std::mem::take(&mut self.open);
        for (key, chain) in open {
            if alive.contains(&key.0) {
                self.open.insert(key, chain);
            } else {
                ended.push(chain);
            }
        }
        ended.sort_by_key(|chain| (chain.order_ns, chain.source.id, chain.run.writer));
        let reverse = self.reverse;
        ended.into_iter().map(|chain| chain.row(reverse)).collect()
    }
}

impl Chain {
    fn continues(&self, number: u64, part: &Fragment<'_>, reverse: bool) -> bool {
        let (next, meets) = if reverse {
            let end = part.offset.saturating_add(part.bytes.len() as u64);
            (self.number.wrapping_sub(1), end == self.from)
        } else {
            (self.number.wrapping_add(1), part.offset == self.to)
        };
        number == next && meets && (part.kind, part.total) == (self.kind, self.total)
    }

    fn add(&mut self, event: &Event<'_>, part: &Fragment<'_>, reverse: bool) {
        let len = part.bytes.len() as u64;
        if reverse {
            if self.parts.is_empty() {
                self.to = part.offset.saturating_add(len);
            }
            self.from = part.offset;
        } else {
            self.to = part.offset.saturating_add(len);
            // The record is there when its last part is.
            self.order_ns = event.row.order_ns;
        }
        self.number = event.row.number;
        self.parts.push(part.bytes.to_vec());
    }

    /// The record as a buffer of one row; where parts are missing, as one larger part.
    fn row(mut self, reverse: bool) -> RowBuffer {
        if reverse {
            self.parts.reverse();
        }
        let whole = self.from == 0 && self.to == self.total;
        let mut payload = Vec::new();
        if !whole {
            payload.extend_from_slice(&Fragment::prefix(self.total, self.from, self.kind));
        }
        payload.extend(self.parts.drain(..).flatten());
        let kind = if whole { self.kind } else { Kind::Fragment };
        let (span, payload) = match (kind, payload.split_first_chunk::<8>()) {
            (
                Kind::SpanEvent | Kind::SpanNew | Kind::SpanRecord | Kind::SpanFollows,
                Some((id, rest)),
            ) => (u64::from_le_bytes(*id), rest),
            _ => (0, &payload[..]),
        };
        let mut buffer = RowBuffer {
            sources: vec![self.source],
            runs: vec![Run {
                source: 0,
                first_number: self.number,
                floor_ns: self.order_ns,
                ..self.run
            }],
            ..RowBuffer::default()
        };
        let callsite = u32::from(self.callsite.is_some());
        buffer.callsites.extend(self.callsite);
        buffer.push(0, kind, callsite, span, self.time_ns, payload);
        buffer
    }
}
