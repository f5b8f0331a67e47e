//! Encoding a block.

use super::choose::{SEQUENCE_TRIAL, TRIAL};
use super::classes::Class;
use super::floats::{self, Width};
use super::frames::{DILIGENT, FRAMES, Streams};
use super::layout::Layout;
use super::order::Order;
use super::program::Of;
use super::relate::{Block, Finder};
use super::scan::Scan;
use super::{MAX_PAYLOAD, MAX_ROWS, ints, strings, tables};
use crate::block::{FilterBuilder, RowBuffer};
use crate::bytes::{Error, Result, put_prefixed, put_varint};
use zstd::zstd_safe::CCtx;

/// How exactly times are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// As they are.
    #[default]
    Nanos,
    /// Cut to whole microseconds, which takes about half the bytes.
    Micros,
}

/// What became of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// How many rows there are.
    pub rows: usize,
    /// How many ways of putting rows together were found.
    pub classes: usize,
    /// How many columns.
    pub columns: usize,
    /// Bytes of the compressed frames: tables and classes, strings, numbers, times and runs.
    pub frames: [usize; FRAMES],
    /// The same before compression.
    pub streams: [usize; FRAMES],
}

/// Encodes blocks, one after the other, in the same memory.
pub struct Encoder {
    pub(in crate::block) payloads: Payloads,
    pub(in crate::block) order: Order,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").field("level", &self.payloads.level).finish_non_exhaustive()
    }
}

/// Appends the body of a block to `out`, compressed at this zstd level.
///
/// # Errors
/// When the buffer's vectors do not agree, or it holds more than [`MAX_ROWS`] or [`MAX_PAYLOAD`].
pub fn encode(rows: &RowBuffer, level: i32, out: &mut Vec<u8>) -> Result<Summary> {
    Encoder::new(level)?.encode(rows, out)
}

impl Encoder {
    /// An encoder that compresses at this zstd level.
    ///
    /// # Errors
    /// When there is no memory for zstd.
    pub fn new(level: i32) -> Result<Self> {
        Ok(Self { payloads: Payloads::new(level)?, order: Order::new(level)? })
    }

    /// Keeps times as exactly as this. Default: [`Precision::Nanos`].
    #[must_use]
    pub fn precision(mut self, precision: Precision) -> Self {
        self.order.set_precision(precision);
        self
    }

    /// Appends the body of a block to `out`.
    ///
    /// # Errors
    /// As [`encode`].
    pub fn encode(&mut self, rows: &RowBuffer, out: &mut Vec<u8>) -> Result<Summary> {
        self.encode_sifted(rows, None, out)
    }

    /// Appends the body of a block to `out`, and adds what the rows of raw channels contain to a filter, which
    /// costs less than to add the rows themselves.
    ///
    /// # Errors
    /// As [`encode`]; then it may be that nothing was added, or a part.
    pub fn encode_sifted(
        &mut self,
        rows: &RowBuffer,
        filter: Option<&mut FilterBuilder>,
        out: &mut Vec<u8>,
    ) -> Result<Summary> {
        let mut summary = self.payloads.encode(rows, filter, out)?;
        let ([.., frame], [.., stream]) = (&mut summary.frames, &mut summary.streams);
        (*frame, *stream) = self.order.encode(rows, out)?;
        Ok(summary)
    }
}

/// Encodes all of blocks but their last frames.
pub(in crate::block) struct Payloads {
    level: i32,
    scan: Scan,
    streams: Streams,
    layout: Layout,
    finder: Finder,
    room: Vec<u64>,
    ints: ints::Scratch,
    strings: strings::Scratch,
    context: CCtx<'static>,
}

impl Payloads {
    fn new(level: i32) -> Result<Self> {
        Ok(Self {
            level,
            scan: Scan::default(),
            streams: Streams::default(),
            layout: Layout::default(),
            finder: Finder::default(),
            room: Vec::new(),
            ints: ints::Scratch::default(),
            strings: strings::Scratch::default(),
            context: CCtx::try_create().ok_or(Error::new("no memory for zstd"))?,
        })
    }

    /// Appends all of a body but the last frame, as [`Encoder::encode_sifted`].
    ///
    /// # Errors
    /// As [`encode`].
    pub(in crate::block) fn encode(
        &mut self,
        rows: &RowBuffer,
        filter: Option<&mut FilterBuilder>,
        out: &mut Vec<u8>,
    ) -> Result<Summary> {
        check(rows)?;
        self.streams.clear();
        self.scan.run(rows, &mut self.ints.compressor, filter);
        tables::put_meta(rows, &mut self.streams.meta)?;
        // What the last frame has of them it writes itself.
        let mut number = Vec::new();
        let (text, ints) = (&mut self.streams.text, &mut self.ints);
        let mut sink = strings::Sink { number: &mut number, text, ints };
        tables::put_names(rows, &mut sink, &mut self.strings)?;
        // A search needs neither times nor runs: it skips their frame and their strings.
        put_varint(&mut self.streams.meta, rows.len() as u64);
        put_varint(&mut self.streams.meta, self.streams.text.len() as u64);
        self.layout.arrange(&self.scan, &mut self.ints);
        self.put_classes();
        self.put_columns(&rows.payload);
        let [meta, text, number] = self.streams.pack(&mut self.context, self.level, out)?;
        let s = &self.streams;
        Ok(Summary {
            rows: rows.len(),
            classes: self.scan.classes.list.len(),
            columns: self.layout.columns.len(),
            frames: [meta, text, number, 0],
            streams: [s.meta.len(), s.text.len(), s.number.len(), 0],
        })
    }

    /// The classes, the most frequent first, and the sequence of the rows' classes.
    fn put_classes(&mut self) {
        let (classes, meta) = (&self.scan.classes, &mut self.streams.meta);
        let mut by_rows: Vec<(usize, &Class)> = classes.list.iter().enumerate().collect();
        by_rows.sort_by_key(|(_, class)| std::cmp::Reverse(class.rows));
        put_varint(meta, by_rows.len() as u64);
        put_varint(meta, self.layout.columns.len() as u64);
        let mut rank = vec![0u64; by_rows.len()];
        let mut columns = Vec::new();
        let mut next = 0u32;
        for (place, (number, class)) in by_rows.iter().enumerate() {
            if let Some(rank) = rank.get_mut(*number) {
                *rank = place as u64;
            }
            meta.push(class.kind as u8);
            put_varint(meta, u64::from(class.callsite));
            put_prefixed(meta, classes.program(class));
            for column in self.layout.of_class(*number) {
                columns.push(i64::from(*column).wrapping_sub(i64::from(next)) as u64);
                next = column + 1;
            }
        }
        ints::put(meta, &columns, &mut self.ints);
        self.room.clear();
        let ranks = self.scan.class.iter().map(|c| rank.get(*c as usize).copied());
        self.room.extend(ranks.map(Option::unwrap_or_default));
        self.ints.trial_len = SEQUENCE_TRIAL;
        ints::put(meta, &self.room, &mut self.ints);
        self.ints.trial_len = TRIAL;
    }

    fn put_columns(&mut self, payload: &[u8]) {
        let Streams { number, text, .. } = &mut self.streams;
        let block = Block { scan: &self.scan, layout: &self.layout };
        self.finder.begin(block, self.level >= DILIGENT);
        for (n, column) in self.layout.columns.iter().enumerate() {
            let cells = self.layout.cells(column);
            match column.of {
                Of::Int => self.finder.put(block, n, cells, number, &mut self.ints),
                Of::Single => {
                    floats::put(number, cells, Width::Single, &mut self.ints, &mut self.room);
                }
                Of::Double => {
                    floats::put(number, cells, Width::Double, &mut self.ints, &mut self.room);
                }
                Of::Str => {
                    let ints = &mut self.ints;
                    let mut sink = strings::Sink { number, text, ints };
                    let scratch = &mut self.strings;
                    let indexes = strings::put_texts(&mut sink, payload, cells, scratch);
                    if let Some(indexes) = indexes {
                        self.finder.put(block, n, indexes, sink.number, sink.ints);
                        self.finder.know(n, indexes);
                    }
                }
            }
        }
    }
}

/// Checks what decoding relies on.
fn check(rows: &RowBuffer) -> Result<()> {
    let n = rows.len();
    let lengths =
        [rows.kind.len(), rows.callsite.len(), rows.span.len(), rows.time_ns.len(), rows.end.len()];
    if lengths.iter().any(|len| *len != n) {
        return Err(Error::new("the columns of a row buffer differ in length"));
    }
    if n > MAX_ROWS || rows.payload.len() > MAX_PAYLOAD {
        return Err(Error::new("a block holds too much"));
    }
    let ends = rows.end.last().copied().unwrap_or_default() == rows.payload.len();
    if !ends || !rows.end.is_sorted() {
        return Err(Error::new("the payloads of a row buffer do not follow each other"));
    }
    if !rows.refers_within() {
        return Err(Error::new("a row, run or span refers to something that is not there"));
    }
    Ok(())
}

impl std::fmt::Debug for Payloads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Payloads").field("level", &self.level).finish_non_exhaustive()
    }
}
