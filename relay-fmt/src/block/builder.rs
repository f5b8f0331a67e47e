//! Gathers rows until a block is worth its while.

use super::columns::{self, Encoder, Precision};
use super::{BlockKind, Error, Facts, Filter, FilterBuilder, RowBuffer, Sections, encode, facts};
use crate::callsite::Callsite;
use crate::record::Kind;
use crate::rows::{ChannelId, Run, Source, Span};
use std::collections::HashMap;
use std::sync::Arc;

/// How a block is encoded.
///
/// | option | default |
/// |---|---|
/// | `kind` | [`BlockKind::Columns`] |
/// | `level` | 1 |
/// | `precision` | [`Precision::Nanos`] |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockOptions {
    /// How the rows lie in the block.
    pub kind: BlockKind,
    /// The zstd level.
    pub level: i32,
    /// How exactly times are kept.
    pub precision: Precision,
}

impl Default for BlockOptions {
    fn default() -> Self {
        Self { kind: BlockKind::Columns, level: 1, precision: Precision::Nanos }
    }
}

/// A block, ready for [`ArchiveWriter::block`](crate::archive::ArchiveWriter::block).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedBlock {
    /// How the rows lie in it.
    pub kind: BlockKind,
    /// What can be known about it without decompressing it.
    pub facts: Facts,
    /// The lengths of the frames in `body`.
    pub sections: Sections,
    /// What its text can contain: none, until somebody who knows how rows are shown puts one here
    /// ([`super::FilterBuilder`]).
    pub filter: Filter,
    /// The compressed rows.
    pub body: Vec<u8>,
}

/// Takes rows and what they refer to, each thing once, and gives a block.
///
/// Rows are pushed in the order they sort in, see [`RowBuffer`].
#[derive(Debug, Default)]
pub struct BlockBuilder {
    rows: RowBuffer,
    sources: HashMap<ChannelId, u32>,
    spans: HashMap<(u32, u64), u32>,
    callsites: HashMap<Arc<Callsite>, u32>,
    encoder: Kept,
    /// By address. The callsite is kept alive, so that no other one can get its address.
    addresses: HashMap<usize, (u32, Arc<Callsite>)>,
}

/// An encoder that keeps its memory from block to block, and what it was made for.
type Kept = Option<((i32, Precision), Box<Encoder>)>;

/// Encodes the rows of a [`BlockBuilder`].
#[derive(Debug)]
pub struct Encoding<'a> {
    rows: &'a RowBuffer,
    encoder: &'a mut Kept,
    options: BlockOptions,
}

impl<'a> Encoding<'a> {
    /// The block, as yet without a filter.
    ///
    /// # Errors
    /// As [`encode`].
    pub fn encode(self) -> Result<EncodedBlock, Error> {
        self.encode_sifted(None)
    }

    /// As [`Encoding::encode`]; adds what the rows of raw channels contain to a filter, which costs less than
    /// to add the rows themselves. What other rows contain, somebody adds who knows how they are shown.
    ///
    /// # Errors
    /// As [`encode`]; then some of it may have been added.
    pub fn encode_sifted(self, filter: Option<&mut FilterBuilder>) -> Result<EncodedBlock, Error> {
        let (payloads, order) = self.halves()?;
        payloads.encode(filter)?.with(order)
    }

    /// Two halves of the work, about two thirds and one third of it, which two threads can do at once.
    ///
    /// # Errors
    /// When there is no memory for zstd.
    pub fn halves(self) -> Result<(Payloads<'a>, Order<'a>), Error> {
        let (rows, options) = (self.rows, self.options);
        let (payloads, order) = match options.kind {
            BlockKind::Rows => (None, None),
            BlockKind::Columns => {
                let encoder = encoder(self.encoder, options)?;
                (Some(&mut encoder.payloads), Some(&mut encoder.order))
            }
        };
        Ok((
            Payloads { rows, encoder: payloads, options },
            Order { rows, encoder: order, done: None },
        ))
    }
}

/// The encoder that is kept, if it is for these options, or a new one.
fn encoder(kept: &mut Kept, options: BlockOptions) -> Result<&mut Encoder, Error> {
    let wanted = (options.level, options.precision);
    if let Some((made, _)) = kept
        && *made != wanted
    {
        *kept = None;
    }
    let (_, encoder) = match kept {
        Some(kept) => kept,
        None => {
            let new = Encoder::new(options.level)?.precision(options.precision);
            kept.insert((wanted, Box::new(new)))
        }
    };
    Ok(encoder)
}

/// What becomes of the rows' payloads.
#[derive(Debug)]
pub struct Payloads<'a> {
    rows: &'a RowBuffer,
    encoder: Option<&'a mut columns::Payloads>,
    options: BlockOptions,
}

/// What becomes of the rows' times and of where they come from.
#[derive(Debug)]
pub struct Order<'a> {
    rows: &'a RowBuffer,
    encoder: Option<&'a mut columns::Order>,
    /// The facts and the last frame.
    done: Option<Result<(Facts, Vec<u8>), Error>>,
}

/// A block but for what [`Order`] makes.
#[derive(Debug)]
pub struct Unordered {
    kind: BlockKind,
    sections: Sections,
    body: Vec<u8>,
}

impl Payloads<'_> {
    /// Encodes them, as [`Encoding::encode_sifted`].
    ///
    /// # Errors
    /// As that.
    pub fn encode(self, filter: Option<&mut FilterBuilder>) -> Result<Unordered, Error> {
        let (kind, mut body, mut sections) = (self.options.kind, Vec::new(), Sections::default());
        match self.encoder {
            Some(encoder) => drop(encoder.encode(self.rows, filter, &mut body)?),
            None => {
                if let Some(filter) = filter {
                    let rows = self.rows.kind.iter().enumerate();
                    let raw = rows.filter(|(_, kind)| **kind == Kind::Raw);
                    raw.for_each(|(row, _)| filter.add(self.rows.payload_of(row)));
                }
                sections = encode(self.rows, kind, self.options.level, &mut body)?;
            }
        }
        Ok(Unordered { kind, sections, body })
    }
}

impl Order<'_> {
    /// Encodes it; what comes of it, [`Unordered::with`] says.
    pub fn encode(&mut self) {
        self.done = Some(self.encoded());
    }

    fn encoded(&mut self) -> Result<(Facts, Vec<u8>), Error> {
        let mut frame = Vec::new();
        if let Some(encoder) = &mut self.encoder {
            encoder.encode(self.rows, &mut frame)?;
        }
        Ok((Facts::of(self.rows), frame))
    }
}

impl Unordered {
    /// The block, as yet without a filter. What was not encoded of the other half is encoded now.
    ///
    /// # Errors
    /// As [`Encoding::encode`].
    pub fn with(mut self, mut order: Order<'_>) -> Result<EncodedBlock, Error> {
        let done = order.done.take();
        let (facts, frame) = done.unwrap_or_else(|| order.encoded())?;
        self.body.extend_from_slice(&frame);
        if self.kind == BlockKind::Columns {
            self.sections.push(self.body.len())?;
        }
        let Self { kind, sections, body } = self;
        Ok(EncodedBlock { kind, facts, sections, filter: Filter::default(), body })
    }
}

fn index(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

impl BlockBuilder {
    /// An empty builder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The index of a source in this block; what it says of its first mention stays.
    pub fn source(&mut self, source: &Source) -> u32 {
        let sources = &mut self.rows.sources;
        *self.sources.entry(source.id).or_insert_with(|| {
            sources.push(source.clone());
            index(sources.len() - 1)
        })
    }

    /// Adds a run, whose `source` is an index that [`BlockBuilder::source`] gave; returns its index.
    pub fn run(&mut self, run: Run) -> u32 {
        debug_assert!((run.source as usize) < self.rows.sources.len(), "a run of no source");
        self.rows.runs.push(run);
        index(self.rows.runs.len() - 1)
    }

    /// A run that was added, to be made longer.
    pub fn run_mut(&mut self, run: u32) -> Option<&mut Run> {
        self.rows.runs.get_mut(run as usize)
    }

    /// The index of a callsite in this block.
    pub fn callsite(&mut self, callsite: &Arc<Callsite>) -> u32 {
        let address = Arc::as_ptr(callsite).addr();
        if let Some((known, _)) = self.addresses.get(&address) {
            return *known;
        }
        let callsites = &mut self.rows.callsites;
        let known = *self.callsites.entry(Arc::clone(callsite)).or_insert_with(|| {
            callsites.push(Arc::clone(callsite));
            index(callsites.len() - 1)
        });
        self.addresses.insert(address, (known, Arc::clone(callsite)));
        known
    }

    /// Adds a span, whose `source` is an index that [`BlockBuilder::source`] gave. A span that is
    /// there is replaced: the later description has the values that were recorded later.
    pub fn span(&mut self, span: Span) -> u32 {
        let spans = &mut self.rows.spans;
        let next = index(spans.len());
        let known = *self.spans.entry((span.source, span.id)).or_insert(next);
        match spans.get_mut(known as usize) {
            Some(there) => *there = span,
            None => spans.push(span),
        }
        known
    }

    /// Adds a row. `run` and `callsite` are indexes that the builder gave.
    #[inline]
    pub fn push(
        &mut self,
        run: u32,
        kind: Kind,
        callsite: Option<u32>,
        span: u64,
        time_ns: i64,
        payload: &[u8],
    ) {
        let callsite = callsite.map_or(0, |callsite| callsite.saturating_add(1));
        self.rows.push(run, kind, callsite, span, time_ns, payload);
    }

    /// Adds rows, times and payloads, that are alike in all else, as [`BlockBuilder::push`].
    #[inline]
    pub fn extend<'a>(
        &mut self,
        run: u32,
        kind: Kind,
        callsite: Option<u32>,
        span: u64,
        rows: impl Iterator<Item = (i64, &'a [u8])>,
    ) {
        let callsite = callsite.map_or(0, |callsite| callsite.saturating_add(1));
        self.rows.extend(run, kind, callsite, span, rows);
    }

    /// What the rows took in their channels so far, in bytes: payloads and a header each.
    #[must_use]
    pub fn raw_bytes(&self) -> u64 {
        facts::raw_bytes(&self.rows)
    }

    /// What has been gathered.
    #[must_use]
    pub const fn rows(&self) -> &RowBuffer {
        &self.rows
    }

    /// Whether nothing has been gathered, not even a run without rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.rows.runs.is_empty()
    }

    /// Encodes what has been gathered and begins anew, in the same memory.
    ///
    /// # Errors
    /// As [`encode`]; what has been gathered stays.
    pub fn finish(&mut self, options: &BlockOptions) -> Result<EncodedBlock, Error> {
        let block = self.ready(options).1.encode()?;
        self.clear();
        Ok(block)
    }

    /// What has been gathered, and what encodes it: so that somebody else can look at the rows meanwhile.
    /// It stays until [`BlockBuilder::clear`].
    pub fn ready(&mut self, options: &BlockOptions) -> (&RowBuffer, Encoding<'_>) {
        if options.precision == Precision::Micros {
            self.cut_times();
        }
        let (rows, encoder) = (&self.rows, &mut self.encoder);
        (rows, Encoding { rows, encoder, options: *options })
    }

    /// Cuts times to microseconds before anything is derived from them.
    fn cut_times(&mut self) {
        let cut = |time: &mut i64| *time = time.saturating_sub(time.rem_euclid(1_000));
        self.rows.time_ns.iter_mut().for_each(cut);
        self.rows.runs.iter_mut().for_each(|run| cut(&mut run.floor_ns));
    }

    /// Forgets what has been gathered and keeps the memory.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.sources.clear();
        self.spans.clear();
        self.callsites.clear();
        self.addresses.clear();
    }
}
