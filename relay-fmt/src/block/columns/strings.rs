//! Columns of strings.
//!
//! A string is a [`pack`]ed reference into some bytes: those of the rows when encoding, those of the
//! text frame after decoding. A column begins, in the number frame, with a byte:
//!
//! | byte | what follows |
//! |---|---|
//! | 0 list | the strings |
//! | 1 dictionary | count, the distinct strings, for each value its index (a column of integers) |
//! | 2 constant | the string |
//!
//! Strings lie in the text frame. A second byte says how: 0, each ends with a line feed and holds
//! none; 1, one after the other, their lengths being a column of integers in the number frame.

use super::hash::{Found, Table, hash};
use super::ints;
use crate::bytes::{Cursor, Error, Result, put_varint};

const LIST: u8 = 0;
const DICTIONARY: u8 = 1;
const CONSTANT: u8 = 2;

/// A reference to `len` bytes from `start`.
#[inline]
pub(super) const fn pack(start: usize, len: usize) -> u64 {
    (start as u64) << 32 | len as u64
}

/// Start and length of a reference.
#[inline]
pub(super) const fn unpack(reference: u64) -> (usize, usize) {
    ((reference >> 32) as usize, reference as u32 as usize)
}

/// The bytes that a reference means; none when it reaches outside.
#[inline]
pub(super) fn slice(bytes: &[u8], reference: u64) -> &[u8] {
    let (start, len) = unpack(reference);
    bytes.get(start..start + len).unwrap_or_default()
}

/// Strings of up to so many bytes are copied as if they had so many: that takes a part of what copying any
/// number of bytes takes, and most are short.
const NEAR: usize = 32;

/// Appends the bytes that a reference means.
#[inline]
pub(super) fn append(out: &mut Vec<u8>, bytes: &[u8], reference: u64) {
    let (start, len) = unpack(reference);
    match bytes.get(start..).and_then(<[u8]>::first_chunk::<NEAR>) {
        Some(near) if len <= NEAR => {
            let end = out.len() + len;
            out.extend_from_slice(near);
            out.truncate(end);
        }
        _ => out.extend_from_slice(slice(bytes, reference)),
    }
}

/// Memory that encoding a column uses again for the next one.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    distinct: Vec<u64>,
    indexes: Vec<u64>,
    lengths: Vec<u64>,
    table: Table,
}

/// Where a column of strings goes.
#[derive(Debug)]
pub(super) struct Sink<'a> {
    /// The number frame.
    pub(super) number: &'a mut Vec<u8>,
    /// The text frame.
    pub(super) text: &'a mut Vec<u8>,
    /// For the columns of integers.
    pub(super) ints: &'a mut ints::Scratch,
}

/// Appends a column of references into `bytes`.
pub(super) fn put(sink: &mut Sink<'_>, bytes: &[u8], refs: &[u64], scratch: &mut Scratch) {
    if let Some(indexes) = put_texts(sink, bytes, refs, scratch) {
        ints::put(sink.number, indexes, sink.ints);
    }
}

/// Appends a column of references into `bytes` but for the indexes into its dictionary, which it
/// gives when there is one.
pub(super) fn put_texts<'s>(
    sink: &mut Sink<'_>,
    bytes: &[u8],
    refs: &[u64],
    scratch: &'s mut Scratch,
) -> Option<&'s [u64]> {
    if refs.is_empty() {
        return None;
    }
    if !find_distinct(bytes, refs, scratch) {
        sink.number.push(LIST);
        put_list(sink, bytes, refs, &mut scratch.lengths);
        return None;
    }
    if scratch.distinct.len() == 1 {
        sink.number.push(CONSTANT);
        put_list(sink, bytes, &scratch.distinct, &mut scratch.lengths);
        return None;
    }
    sink.number.push(DICTIONARY);
    put_varint(sink.number, scratch.distinct.len() as u64);
    put_list(sink, bytes, &scratch.distinct, &mut scratch.lengths);
    Some(&scratch.indexes)
}

/// Fills the scratch's dictionary, and says whether strings repeat enough for one.
fn find_distinct(bytes: &[u8], refs: &[u64], scratch: &mut Scratch) -> bool {
    // Where long columns repeat little, zstd finds what repeats nearby.
    let n = refs.len();
    let most = (if n < 1024 {
        n / 2
    } else if n < 1 << 14 {
        n * 2 / 5
    } else {
        n / 3
    })
    .max(1);
    scratch.distinct.clear();
    scratch.indexes.clear();
    scratch.table.reset(64);
    let mut last: (&[u8], u32) = (&[], u32::MAX);
    for (row, reference) in refs.iter().enumerate() {
        // Often a string is the one before, which a comparison shows sooner than a table.
        if last.1 != u32::MAX && slice(bytes, *reference) == last.0 {
            scratch.indexes.push(u64::from(last.1));
            continue;
        }
        let (string, next) = (slice(bytes, *reference), scratch.distinct.len() as u32);
        let distinct = &scratch.distinct;
        let same = |i: u32| distinct.get(i as usize).is_some_and(|r| slice(bytes, *r) == string);
        let index = match scratch.table.find(hash(string), next, same) {
            Found::Old(index) => index,
            Found::New if scratch.distinct.len() < most => {
                scratch.distinct.push(*reference);
                next
            }
            _ => return false,
        };
        last = (string, index);
        scratch.indexes.push(u64::from(index));
        // Nothing has repeated for long: nothing will.
        if row == 2048 && n > 8192 && scratch.distinct.len() > 1900 {
            return false;
        }
    }
    true
}

fn put_list(sink: &mut Sink<'_>, bytes: &[u8], refs: &[u64], lengths: &mut Vec<u64>) {
    let start = sink.text.len();
    for reference in refs {
        sink.text.extend_from_slice(slice(bytes, *reference));
        sink.text.push(b'\n');
    }
    let written = sink.text.get(start..).unwrap_or_default();
    if memchr::memchr_iter(b'\n', written).count() == refs.len() {
        return sink.number.push(0);
    }
    sink.number.push(1);
    sink.text.truncate(start);
    lengths.clear();
    for reference in refs {
        let string = slice(bytes, *reference);
        lengths.push(string.len() as u64);
        sink.text.extend_from_slice(string);
    }
    ints::put(sink.number, lengths, sink.ints);
}

/// The text frame while it is read, in order.
#[derive(Debug)]
pub(super) struct Text<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Text<'a> {
    /// The whole frame.
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The frame from a place on.
    pub(super) const fn starting_at(bytes: &'a [u8], at: usize) -> Option<Self> {
        if at > bytes.len() {
            return None;
        }
        Some(Self { bytes, at })
    }

    /// How much has been read.
    pub(super) const fn position(&self) -> usize {
        self.at
    }

    /// Whether all has been read.
    pub(super) const fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    fn take(&mut self, len: usize) -> Result<u64> {
        if len > self.bytes.len() - self.at {
            return Err(Error::new("a string reaches past its frame"));
        }
        let reference = pack(self.at, len);
        self.at += len;
        Ok(reference)
    }

    fn line(&mut self) -> Result<u64> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let len = memchr::memchr(b'\n', rest).ok_or(Error::new("a string does not end"))?;
        let reference = pack(self.at, len);
        self.at += len + 1;
        Ok(reference)
    }
}

/// Reads a column of `n` strings, as references into the text frame.
///
/// # Errors
/// When it is cut short or is not what [`put`] writes.
pub(super) fn get(number: &mut Cursor<'_>, text: &mut Text<'_>, n: usize) -> Result<Vec<u64>> {
    Ok(get_with(number, text, n, &mut ints::get)?.0)
}

/// Reads a column of `n` strings whose indexes are read in a way of their own; gives those, too,
/// when there is a dictionary.
///
/// # Errors
/// As [`get`].
pub(super) fn get_with(
    number: &mut Cursor<'_>,
    text: &mut Text<'_>,
    n: usize,
    get_indexes: &mut dyn FnMut(&mut Cursor<'_>, usize) -> Result<Vec<u64>>,
) -> Result<(Vec<u64>, Vec<u32>)> {
    let none = Vec::new();
    if n == 0 {
        return Ok((Vec::new(), none));
    }
    match number.u8()? {
        LIST => Ok((get_list(number, text, n)?, none)),
        CONSTANT if n <= ints::MAX_VALUES => {
            let one = get_list(number, text, 1)?;
            Ok((one.into_iter().cycle().take(n).collect(), none))
        }
        DICTIONARY => {
            let count = number.varint_len()?;
            if count > n {
                return Err(Error::new("a dictionary is larger than its column"));
            }
            let distinct = get_list(number, text, count)?;
            let mut values = get_indexes(number, n)?;
            let mut indexes = Vec::with_capacity(n);
            for v in &mut values {
                let found = usize::try_from(*v).ok().and_then(|i| distinct.get(i));
                indexes.push(*v as u32);
                *v = *found.ok_or(Error::new("a dictionary has no such string"))?;
            }
            Ok((values, indexes))
        }
        _ => Err(Error::new("a column of strings is of an unknown kind")),
    }
}

/// Passes over what a column of `n` strings has in the number frame.
///
/// # Errors
/// As [`ints::skip`].
pub(super) fn skip(number: &mut Cursor<'_>, n: usize) -> Result<()> {
    if n == 0 {
        return Ok(());
    }
    match number.u8()? {
        LIST => skip_list(number, n),
        CONSTANT => skip_list(number, 1),
        DICTIONARY => {
            let count = number.varint_len()?;
            skip_list(number, count)?;
            ints::skip(number, n)
        }
        _ => Err(Error::new("a column of strings is of an unknown kind")),
    }
}

fn skip_list(number: &mut Cursor<'_>, n: usize) -> Result<()> {
    match number.u8()? {
        0 => Ok(()),
        1 => ints::skip(number, n),
        _ => Err(Error::new("strings lie in an unknown way")),
    }
}

fn get_list(number: &mut Cursor<'_>, text: &mut Text<'_>, n: usize) -> Result<Vec<u64>> {
    match number.u8()? {
        0 if n <= text.bytes.len() - text.at => (0..n).map(|_| text.line()).collect(),
        1 => {
            let mut lengths = ints::get(number, n)?;
            for v in &mut lengths {
                let len = usize::try_from(*v).map_err(|_| Error::new("a string is too long"))?;
                *v = text.take(len)?;
            }
            Ok(lengths)
        }
        _ => Err(Error::new("strings lie in an unknown way")),
    }
}
