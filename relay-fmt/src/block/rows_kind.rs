//! Kind Rows: three zstd frames.
//!
//! 1. what rows refer to ([`super::meta`]);
//! 2. the small columns: for each row its run, kind, callsite, span, shape, time, and the lengths that
//!    the third frame does not tell;
//! 3. the texts of log lines, one a line as in a text file, then all other payload bytes.
//!
//! Byte table: `docs/format/archive.md`, "Kind 1".

use super::error::{Result, malformed};
use super::shape::{Expect, Shape};
use super::{RowBuffer, Sections, meta, zstd_frame};
use crate::bytes::{Cursor, put_varint, unzigzag, zigzag};
use crate::record::Kind;

/// The text has a length of its own, since it has a newline in it.
const HAS_LENGTH: u8 = 0x10;
/// Bytes follow the text; they lie with the other bytes and have a length.
const HAS_TAIL: u8 = 0x20;

/// The most that the first frame may decompress to, in bytes.
const MAX_META: u64 = 64 << 20;

/// Refuses rows whose columns do not belong together, so that what is encoded can be decoded.
fn check(rows: &RowBuffer) -> Result<()> {
    let n = rows.len();
    let lists = [n, rows.runs.len(), rows.callsites.len(), rows.spans.len(), rows.sources.len()];
    if lists.iter().any(|len| *len > meta::MAX_LIST) {
        return malformed("a block has too many rows, runs, callsites or spans");
    }
    if rows.runs.iter().map(|run| run.thread.len()).sum::<usize>() > meta::MAX_NAMES {
        return malformed("the thread names of a block are too long");
    }
    let columns = [rows.kind.len(), rows.callsite.len(), rows.span.len(), rows.time_ns.len()];
    if columns.iter().any(|len| *len != n) || rows.end.len() != n {
        return malformed("the columns of a row buffer differ in length");
    }
    let mut before = 0;
    for end in &rows.end {
        if *end < before {
            return malformed("the payloads of a row buffer run backwards");
        }
        before = *end;
    }
    if before != rows.payload.len() {
        return malformed("the payloads of a row buffer do not fill it");
    }
    references(rows)
}

fn references(rows: &RowBuffer) -> Result<()> {
    if !rows.refers_within() {
        return malformed("a row, run or span refers to something that is not there");
    }
    Ok(())
}

/// Appends a column: 0 and the value when all rows have the same one, else 1 and a varint each.
fn put_column(out: &mut Vec<u8>, values: impl Iterator<Item = u64> + Clone) {
    let mut rest = values.clone();
    match rest.next() {
        Some(first) if rest.all(|value| value == first) => {
            out.push(0);
            put_varint(out, first);
        }
        _ => {
            out.push(1);
            values.for_each(|value| put_varint(out, value));
        }
    }
}

fn take_column(input: &mut Cursor<'_>, rows: usize) -> Result<Vec<u64>> {
    match input.u8()? {
        0 => {
            let value = input.varint()?;
            Ok(vec![value; rows])
        }
        1 if rows > input.rest().len() => malformed("a column is cut short"),
        1 => Ok((0..rows).map(|_| input.varint()).collect::<Result<_, crate::Error>>()?),
        _ => malformed("a column is of an unknown kind"),
    }
}

/// The payloads, taken apart.
#[derive(Default)]
struct Parts {
    shapes: Vec<u8>,
    lengths: Vec<u8>,
    texts: Vec<u8>,
    others: Vec<u8>,
}

impl Parts {
    fn of(rows: &RowBuffer) -> Self {
        let mut parts = Self::default();
        parts.texts.reserve(rows.payload.len() + rows.len());
        let expect: Vec<Expect> = rows.callsites.iter().map(|c| Expect::of(c)).collect();
        for (i, (kind, callsite)) in rows.kind.iter().zip(&rows.callsite).enumerate() {
            let expect = (*callsite as usize).checked_sub(1).and_then(|c| expect.get(c));
            let expect = expect.copied().unwrap_or(Expect::Nothing);
            let (shape, text, rest) = expect.shape(*kind, rows.payload_of(i));
            parts.push(shape, text, rest);
        }
        parts
    }

    fn push(&mut self, shape: Shape, text: &[u8], rest: &[u8]) {
        let mut flags = 0;
        if shape != Shape::Opaque {
            if memchr::memchr(b'\n', text).is_some() {
                flags |= HAS_LENGTH;
                put_varint(&mut self.lengths, text.len() as u64);
            }
            self.texts.extend_from_slice(text);
            self.texts.push(b'\n');
        }
        if shape == Shape::Opaque || !rest.is_empty() {
            flags |= HAS_TAIL;
            put_varint(&mut self.lengths, rest.len() as u64);
            self.others.extend_from_slice(rest);
        }
        self.shapes.push(shape.to_u8() | flags);
    }
}

/// Appends the body of a block of kind Rows.
pub(crate) fn encode(rows: &RowBuffer, level: i32, out: &mut Vec<u8>) -> Result<Sections> {
    check(rows)?;
    let (mut lists, mut small) = (Vec::new(), Vec::new());
    meta::put_meta(&mut lists, rows);
    if lists.len() as u64 > MAX_META {
        return malformed("a block refers to too much");
    }
    let mut parts = Parts::of(rows);
    put_varint(&mut small, rows.len() as u64);
    let mut before = 0i64;
    for time in &rows.time_ns {
        put_varint(&mut small, zigzag(time.wrapping_sub(before)));
        before = *time;
    }
    put_column(&mut small, rows.run.iter().map(|run| u64::from(*run)));
    put_column(&mut small, rows.kind.iter().map(|kind| *kind as u64));
    put_column(&mut small, rows.callsite.iter().map(|callsite| u64::from(*callsite)));
    put_column(&mut small, rows.span.iter().copied());
    put_column(&mut small, parts.shapes.iter().map(|shape| u64::from(*shape)));
    small.extend_from_slice(&parts.lengths);
    put_varint(&mut small, parts.texts.len() as u64);
    parts.texts.append(&mut parts.others);
    let mut sections = Sections::default();
    for content in [&lists, &small, &parts.texts] {
        sections.push(zstd_frame::compress(content, level, out)?)?;
    }
    Ok(sections)
}

/// Reads the body of a block of kind Rows; no frame of it may hold more than `most` bytes.
pub(crate) fn decode(body: &[u8], most: u64) -> Result<RowBuffer> {
    let mut input = Cursor::new(body);
    let lists = zstd_frame::take(&mut input, most.min(MAX_META))?;
    let mut rows = meta::take_meta(&lists)?;
    let small = zstd_frame::take(&mut input, most)?;
    let bytes = zstd_frame::take(&mut input, most)?;
    if !input.is_empty() {
        return malformed("a block has something behind its frames");
    }
    columns(&small, &bytes, &mut rows)?;
    references(&rows)?;
    Ok(rows)
}

fn columns(small: &[u8], bytes: &[u8], rows: &mut RowBuffer) -> Result<()> {
    let mut input = Cursor::new(small);
    let n = meta::count(&mut input, 1)?;
    rows.time_ns.reserve(n);
    let mut before = 0i64;
    for _ in 0..n {
        before = before.wrapping_add(unzigzag(input.varint()?));
        rows.time_ns.push(before);
    }
    let narrow = |values: Vec<u64>| values.into_iter().map(meta::narrow).collect::<Result<_>>();
    rows.run = narrow(take_column(&mut input, n)?)?;
    for kind in take_column(&mut input, n)? {
        let Some(kind) = u8::try_from(kind).ok().and_then(Kind::from_u8) else {
            return malformed("a row is of an unknown kind");
        };
        rows.kind.push(kind);
    }
    rows.callsite = narrow(take_column(&mut input, n)?)?;
    rows.span = take_column(&mut input, n)?;
    let shapes = take_column(&mut input, n)?;
    payloads(input, &shapes, bytes, rows)
}

fn payloads(
    mut lengths: Cursor<'_>,
    shapes: &[u64],
    bytes: &[u8],
    rows: &mut RowBuffer,
) -> Result<()> {
    // The length of the texts stands behind the lengths: walk those once to find it.
    let mut ahead = lengths.clone();
    for shape in shapes {
        for flag in [HAS_LENGTH, HAS_TAIL] {
            if shape & u64::from(flag) != 0 {
                ahead.varint()?;
            }
        }
    }
    let texts_len = ahead.varint_len()?;
    if !ahead.is_empty() {
        return malformed("the columns of a block have something left over");
    }
    let mut others = Cursor::new(bytes);
    let mut texts = Cursor::new(others.bytes(texts_len)?);
    rows.payload.reserve(bytes.len());
    rows.end.reserve(shapes.len());
    for shape in shapes {
        let shape = u8::try_from(*shape).or_else(|_| malformed("a shape is unknown"))?;
        payload(shape, &mut lengths, &mut texts, &mut others, &mut rows.payload)?;
        rows.end.push(rows.payload.len());
    }
    if !texts.is_empty() || !others.is_empty() {
        return malformed("the payloads of a block have something left over");
    }
    Ok(())
}

fn payload(
    number: u8,
    lengths: &mut Cursor<'_>,
    texts: &mut Cursor<'_>,
    others: &mut Cursor<'_>,
    out: &mut Vec<u8>,
) -> Result<()> {
    let Some(shape) = Shape::from_u8(number & 0x0f).filter(|_| number & 0xc0 == 0) else {
        return malformed("a shape is unknown");
    };
    if shape != Shape::Opaque {
        let length = if number & HAS_LENGTH != 0 {
            lengths.varint_len()?
        } else {
            let newline = memchr::memchr(b'\n', texts.rest());
            newline.ok_or(crate::Error::new("a text does not end"))?
        };
        let text = texts.bytes(length)?;
        if texts.u8()? != b'\n' {
            return malformed("a text does not end where it should");
        }
        shape.put(meta::narrow(length as u64)?, out);
        out.extend_from_slice(text);
    } else if number & HAS_LENGTH != 0 {
        return malformed("a payload without text has a length of its text");
    }
    if number & HAS_TAIL != 0 {
        let length = lengths.varint_len()?;
        out.extend_from_slice(others.bytes(length)?);
    }
    Ok(())
}
