//! Records as they stand in a sub-buffer.
//!
//! ```text
//!  byte  0        3    4    5          8                16
//!        +--------+----+----+----------+----------------+-----------------+---------+
//!        | length |gen |kind| callsite | tick           | payload         | padding |
//!        +--------+----+----+----------+----------------+-----------------+---------+
//!        |<------------------------ length -------------------------------->|
//!        |<------------------------ a multiple of 8 ----------------------------------->|
//! ```
//!
//! `gen` repeats the low bits of the lease generation, so that bytes of an earlier life of the
//! sub-buffer are never taken for records. A record exists if and only if the sub-buffer's
//! `committed` covers its end. Byte table: `docs/format/record.md`.

use crate::bytes::{Cursor, Error, Result, put_prefixed, put_varint};

/// Bytes of a record header.
pub const HEADER_LEN: usize = 16;
/// Records begin at multiples of this.
pub const ALIGN: usize = 8;
/// The largest length that a header can state, in bytes.
pub const MAX_LEN: usize = (1 << 24) - 1;
/// The largest callsite number; 0 means that the record names none.
pub const MAX_CALLSITE: u32 = (1 << 24) - 1;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// Opens a lease: who writes the records that follow ([`Lease`]).
    Lease = 1,
    /// Ties the tick to the clocks ([`crate::time::Anchor`]).
    Anchor = 2,
    /// Describes a callsite (in sub-buffers of the role `Meta` only).
    Callsite = 3,
    /// An event: values laid out as its callsite says.
    Event = 4,
    /// An event inside a span: `u64` span id, then as [`Kind::Event`].
    SpanEvent = 5,
    /// A span begins: `u64` id, `u64` parent (0: none), then values.
    SpanNew = 6,
    /// A span is entered: `u64` id.
    SpanEnter = 7,
    /// A span is left: `u64` id.
    SpanExit = 8,
    /// A span ends: `u64` id.
    SpanClose = 9,
    /// Values of a span recorded later: `u64` id, then values.
    SpanRecord = 10,
    /// A span follows from another: `u64` id, `u64` the other.
    SpanFollows = 11,
    /// A part of a record too large for one sub-buffer ([`Fragment`]).
    Fragment = 12,
    /// Bytes of a raw channel.
    Raw = 13,
    /// An event that brings its callsite: prefixed description, then as [`Kind::Event`].
    InlineEvent = 14,
}

impl Kind {
    /// The kind of this number.
    #[must_use]
    pub const fn from_u8(kind: u8) -> Option<Self> {
        Some(match kind {
            1 => Self::Lease,
            2 => Self::Anchor,
            3 => Self::Callsite,
            4 => Self::Event,
            5 => Self::SpanEvent,
            6 => Self::SpanNew,
            7 => Self::SpanEnter,
            8 => Self::SpanExit,
            9 => Self::SpanClose,
            10 => Self::SpanRecord,
            11 => Self::SpanFollows,
            12 => Self::Fragment,
            13 => Self::Raw,
            14 => Self::InlineEvent,
            _ => return None,
        })
    }

    /// Whether the record has a number in its writer's stream. Leases and anchors have none.
    #[must_use]
    pub const fn is_numbered(self) -> bool {
        !matches!(self, Self::Lease | Self::Anchor | Self::Callsite)
    }
}

/// The first sixteen bytes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Length in bytes, header included, padding not.
    pub len: u32,
    /// Low eight bits of the lease generation.
    pub generation: u8,
    /// What the record is, as a number that may be unknown.
    pub kind: u8,
    /// The callsite's number in this process, 0 for none.
    pub callsite: u32,
    /// Raw tick of the channel's clock.
    pub tick: u64,
}

impl Header {
    /// The first eight bytes as one word; the tick is the second word.
    #[inline]
    #[must_use]
    pub const fn word(len: u32, generation: u8, kind: Kind, callsite: u32) -> u64 {
        len as u64 | (generation as u64) << 24 | (kind as u64) << 32 | (callsite as u64) << 40
    }

    /// Both words as bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        let word = u64::from(self.len) & 0xff_ffff
            | u64::from(self.generation) << 24
            | u64::from(self.kind) << 32
            | u64::from(self.callsite) << 40;
        let mut out = [0; HEADER_LEN];
        let (head, tail) = out.split_at_mut(8);
        head.copy_from_slice(&word.to_le_bytes());
        tail.copy_from_slice(&self.tick.to_le_bytes());
        out
    }

    /// Takes the two words apart.
    #[must_use]
    pub const fn from_words(word: u64, tick: u64) -> Self {
        Self {
            len: (word & 0xff_ffff) as u32,
            generation: (word >> 24) as u8,
            kind: (word >> 32) as u8,
            callsite: (word >> 40) as u32,
            tick,
        }
    }
}

/// The bytes that a record of this length occupies.
#[inline]
#[must_use]
pub const fn padded(len: usize) -> usize {
    (len + (ALIGN - 1)) & !(ALIGN - 1)
}

/// A record borrowed from a sub-buffer's bytes.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Its header.
    pub header: Header,
    /// Its kind, known.
    pub kind: Kind,
    /// What follows the header.
    pub payload: &'a [u8],
    /// Where it begins, in bytes from the start of what [`Records`] was given.
    pub offset: usize,
    /// Where the next one begins.
    pub end: usize,
}

/// Walks the records of one generation.
///
/// Ends at the end of the bytes, or with an error at the first thing that is no record: what
/// follows it cannot be trusted, and nothing of it is returned.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    bytes: &'a [u8],
    generation: u8,
    offset: usize,
}

impl<'a> Records<'a> {
    /// Walks `bytes`, whose records must carry the low bits of `generation`.
    #[must_use]
    pub const fn new(bytes: &'a [u8], generation: u64) -> Self {
        Self { bytes, generation: generation as u8, offset: 0 }
    }

    /// Where the next record begins: what lies before has been returned.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    #[inline]
    fn read(&mut self) -> Result<Record<'a>> {
        let rest = self.bytes.get(self.offset..).unwrap_or_default();
        let mut input = Cursor::new(rest);
        let header = Header::from_words(input.u64()?, input.u64()?);
        let len = header.len as usize;
        if len < HEADER_LEN {
            return Err(Error::new("a record is shorter than its header"));
        }
        if header.generation != self.generation {
            return Err(Error::new("a record belongs to another generation"));
        }
        let kind = Kind::from_u8(header.kind).ok_or(Error::new("a record has an unknown kind"))?;
        // With the padding, so that one comparison is enough for both.
        let padded = rest.get(..padded(len)).ok_or(Error::new("a length reaches past the end"))?;
        let payload = padded.get(HEADER_LEN..len).unwrap_or_default();
        let end = self.offset + padded.len();
        let record = Record { header, kind, payload, offset: self.offset, end };
        self.offset = end;
        Ok(record)
    }

    /// The next record if nothing but its tick and its payload tells it from `record`, the one before it.
    ///
    /// Most records are like the one before, and one comparison shows that they are records at all.
    #[inline]
    pub fn next_like(&mut self, record: &Record<'a>) -> Option<Record<'a>> {
        let len = record.end.checked_sub(record.offset)?;
        let bytes = self.bytes.get(self.offset..)?.get(..len)?;
        let (word, behind) = bytes.split_first_chunk::<8>()?;
        let Header { len: used, generation, callsite, .. } = record.header;
        if u64::from_le_bytes(*word) != Header::word(used, generation, record.kind, callsite) {
            return None;
        }
        let (tick, _) = behind.split_first_chunk::<8>()?;
        let header = Header { tick: u64::from_le_bytes(*tick), ..record.header };
        let (offset, end) = (self.offset, self.offset + len);
        self.offset = end;
        let payload = bytes.get(HEADER_LEN..used as usize)?;
        Some(Record { header, kind: record.kind, payload, offset, end })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.offset >= self.bytes.len() {
            return None;
        }
        let read = self.read();
        if read.is_err() {
            self.bytes = &[];
        }
        Some(read)
    }
}

/// Who writes the records that follow, and from which number on.
///
/// Stands first in every generation, and again wherever another writer continues a sub-buffer that
/// an ended thread left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease<'a> {
    /// The writer: one per thread and nesting, never used again within the channel.
    pub writer: u64,
    /// How many leases this writer had before this one.
    pub sequence: u64,
    /// The number of the next numbered record.
    pub first_number: u64,
    /// The kernel's thread id.
    pub tid: u32,
    /// 0 for a thread's own stream; for what its signal handlers log, how many calls are in the middle:
    /// 255 stands for more.
    pub nesting: u8,
    /// The thread's name, cut to 64 bytes; empty when it has none.
    pub name: &'a [u8],
    /// The clocks at this moment; the tick is the record's.
    pub mono_ns: u64,
    /// UTC nanoseconds since 1970.
    pub real_ns: u64,
}

impl<'a> Lease<'a> {
    /// The longest name that is kept, in bytes.
    pub const MAX_NAME: usize = 64;

    /// Reads the payload of a [`Kind::Lease`] record.
    ///
    /// # Errors
    /// When it is cut short.
    pub fn parse(payload: &'a [u8]) -> Result<Self> {
        let mut input = Cursor::new(payload);
        Ok(Self {
            writer: input.u64()?,
            sequence: input.u64()?,
            first_number: input.u64()?,
            mono_ns: input.u64()?,
            real_ns: input.u64()?,
            tid: input.u32()?,
            nesting: input.u8()?,
            name: {
                let n = usize::from(input.u8()?);
                input.bytes(n)?
            },
        })
    }
}

/// A part of a record that is larger than a sub-buffer.
///
/// The parts of one record have consecutive numbers in one writer's stream; `callsite` and `tick`
/// of their headers are the record's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// Length of the whole payload in bytes.
    pub total: u64,
    /// Where these bytes belong in it.
    pub offset: u64,
    /// The record's kind.
    pub kind: Kind,
    /// The bytes.
    pub bytes: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// Bytes in front of the part itself.
    pub const PREFIX: usize = 24;

    /// Reads the payload of a [`Kind::Fragment`] record.
    ///
    /// # Errors
    /// When it is cut short, says a kind that cannot be fragmented, or reaches past its total.
    pub fn parse(payload: &'a [u8]) -> Result<Self> {
        let mut input = Cursor::new(payload);
        let (total, offset, kind) = (input.u64()?, input.u64()?, input.u64()?);
        let kind = u8::try_from(kind)
            .ok()
            .and_then(Kind::from_u8)
            .filter(|k| k.is_numbered() && *k != Kind::Fragment)
            .ok_or(Error::new("a fragment is of a kind that is never fragmented"))?;
        let bytes = input.rest();
        match offset.checked_add(bytes.len() as u64) {
            Some(end) if end <= total => Ok(Self { total, offset, kind, bytes }),
            _ => Err(Error::new("a fragment reaches past the record's end")),
        }
    }

    /// The bytes in front of a part.
    #[must_use]
    pub fn prefix(total: u64, offset: u64, kind: Kind) -> [u8; 24] {
        let mut out = [0; 24];
        let words = [total, offset, kind as u64];
        for (to, word) in out.chunks_exact_mut(8).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        out
    }
}

/// Splits the payload of a [`Kind::InlineEvent`] into callsite description and values.
///
/// # Errors
/// When the description reaches past the end.
pub fn split_inline(payload: &[u8]) -> Result<(&[u8], &[u8])> {
    let mut input = Cursor::new(payload);
    Ok((input.prefixed()?, input.rest()))
}

/// Begins the payload of a [`Kind::InlineEvent`].
pub fn put_inline(out: &mut Vec<u8>, description: &[u8]) {
    put_prefixed(out, description);
}

/// The payload of a [`Kind::Callsite`] record: its number, then the description.
pub fn put_callsite(out: &mut Vec<u8>, id: u32, description: &[u8]) {
    put_varint(out, u64::from(id));
    out.extend_from_slice(description);
}

/// Splits the payload of a [`Kind::Callsite`] record into number and description.
///
/// # Errors
/// When the number is cut short or too large.
pub fn split_callsite(payload: &[u8]) -> Result<(u32, &[u8])> {
    let mut input = Cursor::new(payload);
    let id = u32::try_from(input.varint()?).ok().filter(|id| (1..=MAX_CALLSITE).contains(id));
    Ok((id.ok_or(Error::new("a callsite number is out of range"))?, input.rest()))
}

const _: () = {
    assert!(HEADER_LEN.is_multiple_of(ALIGN));
    assert!(Header::word(MAX_LEN as u32, 0xff, Kind::Event, MAX_CALLSITE) == 0xffff_ff04_ffff_ffff);
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn put(out: &mut Vec<u8>, generation: u8, kind: Kind, payload: &[u8]) {
        let len = HEADER_LEN + payload.len();
        let header =
            Header { len: len as u32, generation, kind: kind as u8, callsite: 7, tick: 99 };
        out.extend_from_slice(&header.to_bytes());
        out.extend_from_slice(payload);
        out.resize(padded(out.len()), 0);
    }

    #[test]
    fn records_come_back_up_to_the_first_thing_that_is_none() {
        let mut bytes = Vec::new();
        put(&mut bytes, 3, Kind::Event, b"one");
        put(&mut bytes, 3, Kind::Raw, b"");
        let whole = bytes.len();
        put(&mut bytes, 2, Kind::Event, b"of an earlier life");
        let mut records = Records::new(&bytes, 256 + 3);
        let first = records.next().unwrap().unwrap();
        assert_eq!((first.payload, first.header.callsite, first.header.tick), (&b"one"[..], 7, 99));
        assert!(records.next().unwrap().unwrap().payload.is_empty());
        assert!(records.next().unwrap().is_err());
        assert!(records.next().is_none());
        assert_eq!(records.offset(), whole);
    }

    proptest! {
        /// Whoever asks for the likes of a record first gets what whoever asks for each gets.
        #[test]
        fn likes_are_the_records_that_come_anyway(
            all in prop::collection::vec((0u8..2, 0usize..2, 1usize..4), 0..12),
            cut in 0usize..40, turned in any::<(prop::sample::Index, u8)>(),
        ) {
            let mut bytes = Vec::new();
            for (kind, more, times) in all {
                let (kind, payload) = ([Kind::Event, Kind::Raw][usize::from(kind)], [7; 13]);
                (0..times).for_each(|_| put(&mut bytes, 3, kind, &payload[..12 + more]));
            }
            bytes.truncate(bytes.len().saturating_sub(cut));
            if !bytes.is_empty() {
                let at = turned.0.index(bytes.len());
                bytes[at] ^= turned.1;
            }
            let each: Vec<_> = Records::new(&bytes, 3).map_while(Result::ok).collect();
            let (mut records, mut likes) = (Records::new(&bytes, 3), Vec::new());
            while let Some(Ok(record)) = records.next() {
                likes.push(record);
                while let Some(like) = records.next_like(&record) {
                    likes.push(like);
                }
            }
            prop_assert_eq!(format!("{likes:?}"), format!("{each:?}"));
        }

        #[test]
        fn any_bytes_end(bytes: Vec<u8>, generation: u64) {
            prop_assert!(Records::new(&bytes, generation).count() <= bytes.len() / HEADER_LEN + 1);
        }

        #[test]
        fn header_words_and_bytes_agree(len in 0u32..1 << 24, generation: u8, callsite in 0u32..1 << 24, tick: u64) {
            let word = Header::word(len, generation, Kind::SpanNew, callsite);
            let header = Header::from_words(word, tick);
            prop_assert_eq!(header, Header { len, generation, kind: 6, callsite, tick });
            prop_assert_eq!(&header.to_bytes()[..8], &word.to_le_bytes()[..]);
        }
    }
}
