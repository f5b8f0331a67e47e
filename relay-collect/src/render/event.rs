//! A row together with what it refers to.

use relay_fmt::block::RowBuffer;
use relay_fmt::bytes::{Cursor, Error, Result};
use relay_fmt::callsite::{Callsite, Level, Values};
use relay_fmt::message::write_message;
use relay_fmt::record::{Fragment, Kind, split_inline};
use relay_fmt::rows::{Row, Run, Source, Span};
use relay_fmt::value::{FieldValue, Value};
use std::collections::HashMap;
use std::io::Write as _;
use std::sync::Arc;

/// How many spans around a row are looked at, the innermost first.
///
/// It bounds the work that a chain without end (damaged parents) can cause.
pub const MAX_SPANS: usize = 64;

/// A span around an event.
#[derive(Debug, Clone, Copy)]
pub struct SpanView<'a> {
    /// What the block says about it.
    pub span: &'a Span,
}

impl<'a> SpanView<'a> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        &self.span.callsite.name
    }

    /// Its values. Where a field comes twice, the last one counts.
    #[must_use]
    pub fn values(&self) -> Values<'a> {
        self.span.callsite.values(&self.span.values)
    }
}

/// A row with its run, its source and the spans around it: all that a line of output shows.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    /// The row.
    pub row: Row<'a>,
    /// Its callsite: the row's own, or the one that an inline event brings.
    pub callsite: Option<&'a Arc<Callsite>>,
    /// Its values, laid out as the callsite says; for a raw record, its bytes.
    pub values: &'a [u8],
    /// Who wrote it.
    pub run: &'a Run,
    /// Whose channel it came through.
    pub source: &'a Source,
    /// The spans that it lies in, the outermost first; for a row about a span, that one is the last.
    pub spans: &'a [SpanView<'a>],
}

/// The name that `kind` has in output; `None` for an ordinary event.
#[must_use]
pub const fn kind_name(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Event | Kind::SpanEvent | Kind::InlineEvent => return None,
        Kind::SpanNew => "span_new",
        Kind::SpanEnter => "span_enter",
        Kind::SpanExit => "span_exit",
        Kind::SpanClose => "span_close",
        Kind::SpanRecord => "span_record",
        Kind::SpanFollows => "span_follows",
        Kind::Fragment => "fragment",
        Kind::Raw => "raw",
        Kind::Lease | Kind::Anchor | Kind::Callsite => "internal",
    })
}

/// Whether `kind` tells about a span rather than about something that happened in one.
#[must_use]
pub const fn is_span(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::SpanNew
            | Kind::SpanEnter
            | Kind::SpanExit
            | Kind::SpanClose
            | Kind::SpanRecord
            | Kind::SpanFollows
    )
}

/// The value of this name, or of this index where there is no name. Where it comes twice, the last
/// one counts; what does not parse ends the values.
pub(crate) fn last_value<'a>(values: Values<'a>, name: &str) -> Option<Value<'a>> {
    let same = |field: &FieldValue<'_>| match field.index {
        Some(i) if field.name.is_empty() => name.parse() == Ok(i),
        _ => field.name == name,
    };
    values.map_while(Result::ok).filter(same).last().map(|field| field.value)
}

fn after_parent(payload: &[u8]) -> &[u8] {
    payload.get(8..).unwrap_or_default()
}

impl<'a> Event<'a> {
    /// Puts an event together. For an inline event without a callsite of its own, [`View`] finds it.
    #[must_use]
    pub fn new(row: Row<'a>, run: &'a Run, source: &'a Source, spans: &'a [SpanView<'a>]) -> Self {
        let values = match row.kind {
            Kind::SpanNew => after_parent(row.payload),
            Kind::SpanFollows => &[],
            _ => row.payload,
        };
        Self { callsite: row.callsite, values, row, run, source, spans }
    }

    /// The callsite that level, target and place are taken from: the event's, else, for a row about
    /// a span, the span's.
    #[must_use]
    pub fn place(&self) -> Option<&'a Arc<Callsite>> {
        let span = || {
            let last = self.spans.last().filter(|_| is_span(self.row.kind))?;
            (last.span.id == self.row.span).then_some(&last.span.callsite)
        };
        self.callsite.or_else(span)
    }

    /// The level: of [`Event::place`]; of a raw record that is a JSON object, what that says.
    #[must_use]
    pub fn level(&self) -> Option<Level> {
        match self.place() {
            Some(place) => Some(place.level),
            None if self.row.kind == Kind::Raw => super::level::of_message(self.values),
            None => None,
        }
    }

    /// The span that this one follows from, for such a row.
    #[must_use]
    pub fn follows(&self) -> Option<u64> {
        let is = self.row.kind == Kind::SpanFollows;
        is.then(|| Cursor::new(self.row.payload).u64().ok()).flatten()
    }

    /// The event's values; `None` where it has none, or no callsite to say what they are.
    #[must_use]
    pub fn fields(&self) -> Option<Values<'a>> {
        use Kind::{Event, InlineEvent, SpanEvent, SpanNew, SpanRecord};
        let has = matches!(self.row.kind, Event | SpanEvent | InlineEvent | SpanNew | SpanRecord);
        let callsite = self.callsite.filter(|_| has)?;
        Some(callsite.values(self.values))
    }

    /// Appends the message, byte for byte: what the template gives, a raw record's bytes, or the
    /// name of the span that the row is about.
    ///
    /// # Errors
    /// When an event has no callsite or a value does not parse; what was appended until then stays.
    pub fn write_message(&self, out: &mut Vec<u8>) -> Result<()> {
        match self.row.kind {
            Kind::Raw => out.extend_from_slice(self.values),
            Kind::Fragment => self.write_fragment(out)?,
            kind if is_span(kind) => {
                let name = self.place().map_or("", |c| c.name.as_str());
                out.extend_from_slice(name.as_bytes());
            }
            _ => {
                let callsite = self.callsite;
                let callsite = callsite.ok_or(Error::new("an event has no readable callsite"))?;
                write_message(callsite, self.values, out)?;
            }
        }
        Ok(())
    }

    /// A part whose other parts are missing: raw bytes as they are, else a sentence.
    fn write_fragment(&self, out: &mut Vec<u8>) -> Result<()> {
        let part = Fragment::parse(self.values)?;
        if part.kind == Kind::Raw {
            out.extend_from_slice(part.bytes);
            return Ok(());
        }
        let end = part.offset + part.bytes.len() as u64;
        let (from, total) = (part.offset, part.total);
        let _ = write!(out, "bytes {from}..{end} of a record of {total}");
        Ok(())
    }
}

/// The events of a buffer: its rows joined with what they refer to.
///
/// ```
/// use relay_collect::render::View;
/// let buffer = relay_fmt::block::RowBuffer::default();
/// let view = View::new(&buffer);
/// assert_eq!(view.events().count(), 0);
/// ```
#[derive(Debug)]
pub struct View<'a> {
    buffer: &'a RowBuffer,
    /// For each (source, span id): the chain that ends in it.
    chains: HashMap<(u32, u64), Vec<SpanView<'a>>>,
    /// The callsites of inline events that nobody has resolved yet, by their descriptions.
    inline: HashMap<&'a [u8], Arc<Callsite>>,
}

impl<'a> View<'a> {
    /// Looks at `buffer`: chains its spans, and decodes the callsites that inline events bring.
    #[must_use]
    pub fn new(buffer: &'a RowBuffer) -> Self {
        let key = |s: &Span| (s.source, s.id);
        let by_id: HashMap<_, _> = buffer.spans.iter().map(|s| (key(s), s)).collect();
        let chains = by_id.iter().map(|(key, span)| {
            let mut chain = vec![SpanView { span }];
            let mut parent = span.parent;
            while parent != 0 && chain.len() < MAX_SPANS {
                let Some(span) = by_id.get(&(key.0, parent)) else {
                    break;
                };
                chain.push(SpanView { span });
                parent = span.parent;
            }
            chain.reverse();
            (*key, chain)
        });
        let mut view = Self { buffer, chains: chains.collect(), inline: HashMap::new() };
        view.resolve_inline();
        view
    }

    fn resolve_inline(&mut self) {
        let kinds = self.buffer.kind.iter().zip(&self.buffer.callsite);
        for (i, (kind, callsite)) in kinds.enumerate() {
            if *kind != Kind::InlineEvent || *callsite != 0 {
                continue;
            }
            let Ok((description, _)) = split_inline(self.buffer.payload_of(i)) else {
                continue;
            };
            if self.inline.contains_key(description) {
                continue;
            }
            if let Ok(callsite) = Callsite::decode(description) {
                self.inline.insert(description, Arc::new(callsite));
            }
        }
    }

    /// The row as an event; `None` when it refers to a run or source that the buffer does not have.
    #[must_use]
    pub fn event<'v>(&'v self, row: Row<'v>) -> Option<Event<'v>> {
        let run = self.buffer.runs.get(row.run as usize)?;
        let source = self.buffer.sources.get(run.source as usize)?;
        let chain = match row.span {
            0 => None,
            id => self.chains.get(&(run.source, id)),
        };
        let mut event = Event::new(row, run, source, chain.map_or(&[], Vec::as_slice));
        if event.row.kind == Kind::InlineEvent
            && event.callsite.is_none()
            && let Ok((description, values)) = split_inline(event.row.payload)
        {
            event.callsite = self.inline.get(description);
            event.values = values;
        }
        Some(event)
    }

    /// All events, in the buffer's order.
    pub fn events(&self) -> impl Iterator<Item = Event<'_>> {
        self.buffer.rows().filter_map(|row| self.event(row))
    }
}
