//! The frame in front of a block's body.

use super::directory::lists_budget;
use crate::block::zstd_frame;
use crate::block::{EncodedBlock, Error, Facts, Filter, Sections, Target, Times, meta};
use crate::bytes::{Cursor, put_prefixed, put_varint, unzigzag, zigzag};
use crate::rows::Source;
use std::borrow::Cow;
use std::ops::Range;

type Result<T, E = Error> = std::result::Result<T, E>;

/// Lists longer than this are compressed, in bytes.
const COMPRESS_FROM: usize = 1 << 10;
/// Flag: the lists are a zstd frame.
const COMPRESSED: u8 = 1;
/// Flag: [`Facts::events_only`].
const EVENTS_ONLY: u8 = 2;

/// What stands in front of a block's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockHeader {
    /// The block's number in its archive, from 0.
    pub sequence: u64,
    /// How the rows lie in it, as a number that may be unknown.
    pub kind: u8,
    /// The checksum of the block header before it, or of the file header: a chain.
    pub previous_crc: u32,
    /// The checksum of the body.
    pub body_crc: u32,
    /// Bytes of the body.
    pub body_len: u64,
    /// The frames of the body.
    pub sections: Sections,
    /// The kind of the filter over the block's text, see [`Filter::kind`]; the filter itself is read
    /// when it is needed: [`super::read_filter`].
    pub filter_kind: u8,
    /// What is known about the rows, but for lists: [`BlockEntry::facts`].
    pub facts: Brief,
}

/// What a block header says about the rows of its block in a few bytes. The lists, of which the runs are
/// long, stay encoded until somebody asks: [`BlockEntry::facts`], [`BlockEntry::names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brief {
    /// As [`Facts::rows`].
    pub rows: u64,
    /// As [`Facts::raw_bytes`], in bytes.
    pub raw_bytes: u64,
    /// As [`Facts::min_order_ns`], UTC nanoseconds.
    pub min_order_ns: i64,
    /// As [`Facts::max_order_ns`], UTC nanoseconds.
    pub max_order_ns: i64,
    /// As [`Facts::times`].
    pub times: Option<Times>,
    /// As [`Facts::level_mask`].
    pub level_mask: u8,
    /// As [`Facts::events_only`].
    pub events_only: bool,
}

impl From<&Facts> for Brief {
    fn from(facts: &Facts) -> Self {
        let Facts {
            rows,
            raw_bytes,
            min_order_ns,
            max_order_ns,
            times,
            level_mask,
            events_only,
            ..
        } = *facts;
        Self { rows, raw_bytes, min_order_ns, max_order_ns, times, level_mask, events_only }
    }
}

/// A block header and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockEntry {
    /// Where the header's frame begins, in bytes from the start of the file.
    pub offset: u64,
    /// Bytes of that frame; the body follows.
    pub header_len: u64,
    /// The checksum of the header.
    pub crc: u32,
    /// The header.
    pub header: BlockHeader,
    /// The header as it stands in the file but for its filter: for the directory, and for who asks
    /// for its lists.
    pub(crate) bare: Box<[u8]>,
}

impl BlockEntry {
    /// Where the body begins, in bytes from the start of the file.
    #[must_use]
    pub const fn body_offset(&self) -> u64 {
        self.offset.saturating_add(self.header_len)
    }

    /// One past the last byte of the body.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.body_offset().saturating_add(self.header.body_len)
    }

    /// All that the header says about the rows: its lists are decoded.
    ///
    /// # Errors
    /// When the lists are not what the format says. Nobody has looked at them when an archive was opened
    /// by its directory; [`super::scan()`] has.
    pub fn facts(&self) -> Result<Facts> {
        // An honest file is honest up to here.
        let budget = &mut lists_budget(self.end());
        let parts = Parts::take(&self.bare)?;
        parts.facts(&parts.lists(budget)?, budget)
    }

    /// Whose channels and which targets the rows have, without what takes longer.
    ///
    /// # Errors
    /// As [`BlockEntry::facts`], as far as it is looked at.
    pub fn names(&self) -> Result<(Vec<Source>, Vec<Target>)> {
        let lists = Parts::take(&self.bare)?.lists(&mut lists_budget(self.end()))?;
        let mut input = Cursor::new(&lists);
        let sources = meta::take_sources(&mut input)?;
        meta::skip_runs(&mut input)?;
        Ok((sources, meta::take_targets(&mut input)?))
    }
}

impl BlockHeader {
    /// The header of a block that is the `sequence`th and follows the header `previous_crc`.
    pub(crate) fn of(block: &EncodedBlock, sequence: u64, previous_crc: u32) -> Self {
        Self {
            sequence,
            kind: block.kind as u8,
            previous_crc,
            body_crc: crc32fast::hash(&block.body),
            body_len: block.body.len() as u64,
            sections: block.sections.clone(),
            filter_kind: block.filter.kind,
            facts: (&block.facts).into(),
        }
    }

    /// The header with these bytes for its filter; the lists are those of `facts`.
    pub(crate) fn encode(&self, facts: &Facts, filter: &[u8]) -> Result<Vec<u8>> {
        let lists = lists(facts);
        let compress = lists.len() > COMPRESS_FROM;
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let flags = flag(compress, COMPRESSED) | flag(facts.events_only, EVENTS_ONLY);
        let mut out = vec![flags, self.kind];
        out.extend_from_slice(&self.previous_crc.to_le_bytes());
        out.extend_from_slice(&self.body_crc.to_le_bytes());
        for number in [self.sequence, self.body_len, facts.rows, facts.raw_bytes] {
            put_varint(&mut out, number);
        }
        put_varint(&mut out, zigzag(facts.min_order_ns));
        let range = facts.max_order_ns.wrapping_sub(facts.min_order_ns);
        put_varint(&mut out, range.cast_unsigned());
        out.push(facts.level_mask);
        put_varint(&mut out, self.sections.0.len() as u64);
        for len in &self.sections.0 {
            put_varint(&mut out, u64::from(*len));
        }
        out.push(self.filter_kind);
        put_prefixed(&mut out, filter);
        if compress {
            let mut frame = Vec::new();
            zstd_frame::compress(&lists, 3, &mut frame)?;
            put_prefixed(&mut out, &frame);
        } else {
            put_prefixed(&mut out, &lists);
        }
        if let Some(times) = facts.times {
            // Mostly nothing: only clocks that were set back make them differ from the sort times.
            for (sort, own) in
                [(facts.min_order_ns, times.min_ns), (facts.max_order_ns, times.max_ns)]
            {
                put_varint(&mut out, sort.wrapping_sub(own).cast_unsigned());
            }
        }
        Ok(out)
    }

    /// Reads a header, and leaves its lists alone.
    pub(crate) fn decode(content: &[u8]) -> Result<Self> {
        Ok(Parts::take(content)?.header)
    }

    /// Reads a header and looks at its lists, too. What those take in memory is taken from `budget`, in
    /// bytes.
    pub(crate) fn decode_whole(content: &[u8], budget: &mut u64) -> Result<Self> {
        let parts = Parts::take(content)?;
        parts.facts(&parts.lists(budget)?, budget)?;
        Ok(parts.header)
    }

    /// The filter of a header, and where its bytes and their length stand in it.
    pub(crate) fn filter(content: &[u8]) -> Result<(Filter, Range<usize>)> {
        let mut input = Cursor::new(content);
        input.bytes(10)?;
        for _ in 0..6 {
            input.varint()?;
        }
        input.u8()?;
        for _ in 0..meta::count(&mut input, 1)? {
            input.varint()?;
        }
        let kind = input.u8()?;
        let at = content.len() - input.rest().len();
        let bytes = input.prefixed()?.to_vec();
        Ok((Filter { kind, bytes }, at..content.len() - input.rest().len()))
    }

    /// A header without the bytes of its filter.
    pub(crate) fn bare(content: &[u8]) -> Result<Box<[u8]>> {
        let (_, at) = Self::filter(content)?;
        let (head, tail) = (content.get(..at.start), content.get(at.end..));
        Ok([head.unwrap_or_default(), &[0], tail.unwrap_or_default()].concat().into())
    }
}

/// A header, and its lists as they are stored.
struct Parts<'a> {
    header: BlockHeader,
    compressed: bool,
    stored: &'a [u8],
}

impl<'a> Parts<'a> {
    fn take(content: &'a [u8]) -> Result<Self> {
        let mut input = Cursor::new(content);
        let (flags, kind) = (input.u8()?, input.u8()?);
        let (previous_crc, body_crc) = (input.u32()?, input.u32()?);
        let (sequence, body_len) = (input.varint()?, input.varint()?);
        let (rows, raw_bytes) = (input.varint()?, input.varint()?);
        let min_order_ns = unzigzag(input.varint()?);
        let max_order_ns = min_order_ns.wrapping_add(input.varint()?.cast_signed());
        let level_mask = input.u8()?;
        let mut sections = Sections::default();
        for _ in 0..meta::count(&mut input, 1)? {
            sections.0.push(meta::narrow(input.varint()?)?);
        }
        let (filter_kind, _) = (input.u8()?, input.prefixed()?);
        let stored = input.prefixed()?;
        let mut times = None;
        if rows > 0 && !input.rest().is_empty() {
            let (min, max) = (input.varint()?, input.varint()?);
            let min_ns = min_order_ns.wrapping_sub(min.cast_signed());
            let max_ns = max_order_ns.wrapping_sub(max.cast_signed());
            times = Some(Times { min_ns, max_ns });
        }
        let events_only = flags & EVENTS_ONLY != 0;
        let facts =
            Brief { rows, raw_bytes, min_order_ns, max_order_ns, times, level_mask, events_only };
        let header = BlockHeader {
            sequence,
            kind,
            previous_crc,
            body_crc,
            body_len,
            sections,
            filter_kind,
            facts,
        };
        Ok(Self { header, compressed: flags & COMPRESSED != 0, stored })
    }

    fn lists(&self, budget: &mut u64) -> Result<Cow<'a, [u8]>> {
        let lists = if self.compressed {
            zstd_frame::take(&mut Cursor::new(self.stored), *budget)?.into()
        } else {
            Cow::Borrowed(self.stored)
        };
        charge(budget, lists.len() as u64)?;
        Ok(lists)
    }

    fn facts(&self, lists: &[u8], budget: &mut u64) -> Result<Facts> {
        let Brief { rows, raw_bytes, min_order_ns, max_order_ns, times, level_mask, events_only } =
            self.header.facts;
        let lists = take_lists(lists)?;
        // Long thread names are stored once and copied for each run.
        charge(budget, lists.runs.iter().map(|run| run.thread.len() as u64).sum())?;
        Ok(Facts {
            rows,
            raw_bytes,
            min_order_ns,
            max_order_ns,
            times,
            level_mask,
            events_only,
            ..lists
        })
    }
}

fn charge(budget: &mut u64, bytes: u64) -> Result<()> {
    let too_large =
        Error::TooLarge { what: "the lists of the block headers", bytes, most: *budget };
    *budget = budget.checked_sub(bytes).ok_or(too_large)?;
    Ok(())
}

fn lists(facts: &Facts) -> Vec<u8> {
    let mut out = Vec::new();
    meta::put_sources(&mut out, &facts.sources);
    meta::put_runs(&mut out, &facts.runs);
    meta::put_targets(&mut out, &facts.targets);
    put_varint(&mut out, facts.digests.len() as u64);
    for digest in &facts.digests {
        out.extend_from_slice(&digest.to_le_bytes());
    }
    out
}

fn take_lists(bytes: &[u8]) -> Result<Facts> {
    let mut input = Cursor::new(bytes);
    let sources = meta::take_sources(&mut input)?;
    let runs = meta::take_runs(&mut input)?;
    let targets = meta::take_targets(&mut input)?;
    let count = meta::count(&mut input, 8)?;
    let digests: Result<Vec<u64>, crate::Error> = (0..count).map(|_| input.u64()).collect();
    if runs.iter().any(|run| run.source as usize >= sources.len()) {
        return Err(crate::Error::new("a run names a source that is not there").into());
    }
    Ok(Facts {
        rows: 0,
        raw_bytes: 0,
        min_order_ns: 0,
        max_order_ns: 0,
        times: None,
        level_mask: 0,
        events_only: false,
        sources,
        runs,
        targets,
        digests: digests?,
    })
}
