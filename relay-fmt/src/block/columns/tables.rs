//! The tables of a block: sources, callsites, runs, spans; and what each row has besides its payload.

use super::encode::Precision;
use super::ints;
use super::strings::{self, Sink, Text};
use crate::block::RowBuffer;
use crate::bytes::{Cursor, Error, Result, put_prefixed, put_varint, unzigzag, zigzag};
use crate::callsite::Callsite;
use crate::rows::{ChannelId, Run, Source, Span};
use std::collections::HashMap;
use std::sync::Arc;

/// The most runs and the most spans of a block.
const MAX_TABLE: usize = 1 << 20;
/// What decoding gives up a callsite for.
const MAX_FIELDS: usize = 1024;

/// Numbers of callsites, those that only spans have after those that rows may have.
type Numbers<'a> = HashMap<&'a Callsite, usize>;

/// The numbers of callsites that spans have, and those of them that no rows may have.
fn number(rows: &RowBuffer) -> (Numbers<'_>, Vec<&Callsite>) {
    let mut numbers = Numbers::new();
    if !rows.spans.is_empty() {
        for (n, callsite) in rows.callsites.iter().enumerate() {
            numbers.entry(callsite).or_insert(n);
        }
    }
    let mut extra: Vec<&Callsite> = Vec::new();
    for span in &rows.spans {
        let next = rows.callsites.len() + extra.len();
        numbers.entry(&span.callsite).or_insert_with(|| {
            extra.push(&span.callsite);
            next
        });
    }
    (numbers, extra)
}

/// Appends sources and callsites.
///
/// # Errors
/// When a callsite has too many fields.
pub(super) fn put_meta(rows: &RowBuffer, meta: &mut Vec<u8>) -> Result<()> {
    put_varint(meta, rows.sources.len() as u64);
    for source in &rows.sources {
        meta.extend_from_slice(&source.id.0);
        meta.extend_from_slice(&source.boot);
        put_prefixed(meta, source.channel.as_bytes());
        put_prefixed(meta, source.program.as_bytes());
        put_prefixed(meta, source.host.as_bytes());
        put_varint(meta, u64::from(source.pid));
        put_varint(meta, zigzag(source.opened_ns));
    }
    let (_, extra) = number(rows);
    put_varint(meta, rows.callsites.len() as u64);
    put_varint(meta, extra.len() as u64);
    let mut description = Vec::new();
    for callsite in rows.callsites.iter().map(|c| &**c).chain(extra) {
        if callsite.fields.len() > MAX_FIELDS {
            return Err(Error::new("a callsite has too many fields"));
        }
        description.clear();
        callsite.encode(&mut description);
        put_prefixed(meta, &description);
    }
    Ok(())
}

/// Reads what [`put_meta`] wrote: sources, callsites of rows, callsites of spans only.
///
/// # Errors
/// When something is cut short or unknown.
pub(super) fn get_meta(input: &mut Cursor<'_>, rows: &mut RowBuffer) -> Result<Vec<Arc<Callsite>>> {
    for _ in 0..input.varint_len()? {
        rows.sources.push(Source {
            id: ChannelId(input.array()?),
            boot: input.array()?,
            channel: input.text()?.to_owned(),
            program: input.text()?.to_owned(),
            host: input.text()?.to_owned(),
            pid: small(input.varint()?)?,
            opened_ns: unzigzag(input.varint()?),
        });
    }
    let (count, extra) = (input.varint_len()?, input.varint_len()?);
    let read = |input: &mut Cursor<'_>| Callsite::decode(input.prefixed()?).map(Arc::new);
    for _ in 0..count {
        rows.callsites.push(read(input)?);
    }
    (0..extra).map(|_| read(input)).collect()
}

fn small(value: u64) -> Result<u32> {
    u32::try_from(value).map_err(|_| Error::new("a number of a table is too large"))
}

/// A column of a table's rows, by what it takes from each.
type Get<T> = fn(&T) -> u64;

const RUN: [Get<Run>; 12] = [
    |r| u64::from(r.source),
    |r| u64::from(r.sub_buffer),
    |r| r.generation,
    |r| u64::from(r.from),
    |r| u64::from(r.to).wrapping_sub(u64::from(r.from)),
    |r| r.prior_generations,
    |r| u64::from(r.prior_records),
    |r| u64::from(r.records),
    |r| r.writer,
    |r| r.first_number,
    |r| u64::from(r.tid) << 8 | u64::from(r.nesting),
    |r| r.floor_ns as u64,
];

const SPAN: [Get<Span>; 4] =
    [|s| u64::from(s.source), |s| s.id, |s| s.parent, |s| s.since_ns as u64];

/// Appends runs, spans, and the rows' times, runs and spans.
///
/// # Errors
/// When there are too many.
pub(super) fn put_order(
    rows: &RowBuffer,
    precision: Precision,
    order: &mut Vec<u8>,
    ints: &mut ints::Scratch,
) -> Result<()> {
    if rows.runs.len().max(rows.spans.len()) > MAX_TABLE {
        return Err(Error::new("a block holds too many runs or spans"));
    }
    let (callsites, _) = number(rows);
    let mut room = Vec::with_capacity(rows.len());
    put_varint(order, rows.runs.len() as u64);
    for get in RUN {
        put_column(order, &mut room, ints, rows.runs.iter().map(get));
    }
    put_varint(order, rows.spans.len() as u64);
    for get in SPAN {
        put_column(order, &mut room, ints, rows.spans.iter().map(get));
    }
    let numbers = rows.spans.iter().map(|s| callsites.get(&*s.callsite));
    put_column(order, &mut room, ints, numbers.map(|n| n.map_or(0, |n| *n as u64)));
    put_varint(order, rows.len() as u64);
    let unit = unit(&rows.time_ns, precision);
    put_varint(order, unit as u64);
    if unit == 1 {
        put_column(order, &mut room, ints, rows.time_ns.iter().map(|t| *t as u64));
    } else {
        put_column(order, &mut room, ints, rows.time_ns.iter().map(|t| t.div_euclid(unit) as u64));
    }
    put_column(order, &mut room, ints, rows.run.iter().map(|r| u64::from(*r)));
    ints::put(order, &rows.span, ints);
    Ok(())
}

/// Appends what of the strings of runs and spans goes behind what [`put_order`] writes, and their texts.
///
/// # Errors
/// When they are too long.
pub(super) fn put_names(
    rows: &RowBuffer,
    sink: &mut Sink<'_>,
    strings: &mut strings::Scratch,
) -> Result<()> {
    put_bytes(rows.runs.iter().map(|r| &r.thread[..]), sink, strings)?;
    put_bytes(rows.spans.iter().map(|s| &s.values[..]), sink, strings)
}

fn put_column(
    order: &mut Vec<u8>,
    room: &mut Vec<u64>,
    ints: &mut ints::Scratch,
    values: impl Iterator<Item = u64>,
) {
    room.clear();
    room.extend(values);
    ints::put(order, room, ints);
}

fn put_bytes<'a>(
    all: impl Iterator<Item = &'a [u8]>,
    sink: &mut Sink<'_>,
    scratch: &mut strings::Scratch,
) -> Result<()> {
    let (mut bytes, mut refs) = (Vec::new(), Vec::new());
    for one in all {
        refs.push(strings::pack(bytes.len(), one.len()));
        bytes.extend_from_slice(one);
    }
    if bytes.len() > super::MAX_PAYLOAD {
        return Err(Error::new("the spans or threads of a block hold too much"));
    }
    strings::put(sink, &bytes, &refs, scratch);
    Ok(())
}

/// What all times are multiples of, after they were cut to the precision.
fn unit(times: &[i64], precision: Precision) -> i64 {
    let units = [1_000_000_000, 1_000_000, 1000];
    let whole = units.into_iter().find(|unit| times.iter().all(|t| t % unit == 0));
    match precision {
        Precision::Nanos => whole.unwrap_or(1),
        Precision::Micros => whole.unwrap_or(1000),
    }
}

/// Reads what [`put_order`] and [`put_names`] wrote; `extra` are the callsites that only spans have.
///
/// # Errors
/// When something is cut short, a number is too large for its place, or names what is not there.
pub(super) fn get_order(
    input: &mut Cursor<'_>,
    text_frame: &[u8],
    text: &mut Text<'_>,
    extra: &[Arc<Callsite>],
    rows: &mut RowBuffer,
) -> Result<()> {
    get_runs(input, rows)?;
    get_spans(input, extra, rows)?;
    let n = input.varint_len()?;
    if n > super::MAX_ROWS {
        return Err(Error::new("a block has too many rows"));
    }
    let unit =
        i64::try_from(input.varint()?).map_err(|_| Error::new("a time unit is too large"))?;
    let times = ints::get(input, n)?.into_iter();
    rows.time_ns = times.map(|t| (t as i64).wrapping_mul(unit)).collect();
    rows.run = smalls(ints::get(input, n)?)?;
    rows.span = ints::get(input, n)?;
    let names = get_bytes(input, text, rows.runs.len())?;
    for (run, name) in rows.runs.iter_mut().zip(names) {
        run.thread = strings::slice(text_frame, name).to_vec();
    }
    let values = get_bytes(input, text, rows.spans.len())?;
    for (span, value) in rows.spans.iter_mut().zip(values) {
        span.values = strings::slice(text_frame, value).to_vec();
    }
    if !rows.refers_within() {
        return Err(Error::new("a row, run or span refers to something that is not there"));
    }
    Ok(())
}

/// Strings of a table; few bytes may stand for very many, which are refused.
fn get_bytes(input: &mut Cursor<'_>, text: &mut Text<'_>, n: usize) -> Result<Vec<u64>> {
    let refs = strings::get(input, text, n)?;
    let total: usize = refs.iter().map(|r| strings::unpack(*r).1).sum();
    if total > super::MAX_PAYLOAD {
        return Err(Error::new("the spans or threads of a block hold too much"));
    }
    Ok(refs)
}

/// The length of a table.
fn table_len(input: &mut Cursor<'_>) -> Result<usize> {
    let n = input.varint_len()?;
    if n > MAX_TABLE {
        return Err(Error::new("a block has too many runs or spans"));
    }
    Ok(n)
}

fn smalls(values: Vec<u64>) -> Result<Vec<u32>> {
    values.into_iter().map(small).collect()
}

fn get_runs(input: &mut Cursor<'_>, rows: &mut RowBuffer) -> Result<()> {
    let n = table_len(input)?;
    let mut column = || ints::get(input, n).map(Vec::into_iter);
    let (mut source, mut sub_buffer, mut generation) = (column()?, column()?, column()?);
    let (mut from, mut len, mut prior_generations) = (column()?, column()?, column()?);
    let (mut prior_records, mut records, mut writer) = (column()?, column()?, column()?);
    let (mut first_number, mut tid, mut floor) = (column()?, column()?, column()?);
    for _ in 0..n {
        let next = |column: &mut std::vec::IntoIter<u64>| column.next().unwrap_or_default();
        let start = next(&mut from);
        let tid = next(&mut tid);
        rows.runs.push(Run {
            source: small(next(&mut source))?,
            sub_buffer: small(next(&mut sub_buffer))?,
            generation: next(&mut generation),
            from: small(start)?,
            to: small(start.wrapping_add(next(&mut len)))?,
            prior_generations: next(&mut prior_generations),
            prior_records: small(next(&mut prior_records))?,
            records: small(next(&mut records))?,
            writer: next(&mut writer),
            first_number: next(&mut first_number),
            tid: small(tid >> 8)?,
            nesting: tid as u8,
            thread: Vec::new(),
            floor_ns: next(&mut floor) as i64,
        });
    }
    Ok(())
}

fn get_spans(input: &mut Cursor<'_>, extra: &[Arc<Callsite>], rows: &mut RowBuffer) -> Result<()> {
    let n = table_len(input)?;
    let (source, id, parent) = (ints::get(input, n)?, ints::get(input, n)?, ints::get(input, n)?);
    let (since, number) = (ints::get(input, n)?, ints::get(input, n)?);
    let ids = source.into_iter().zip(id).zip(parent);
    for (((source, id), parent), (since, number)) in ids.zip(since.into_iter().zip(number)) {
        let number = usize::try_from(number).ok();
        let callsite = number.and_then(|n| {
            let own = rows.callsites.get(n);
            own.or_else(|| extra.get(n.checked_sub(rows.callsites.len())?))
        });
        let callsite = callsite.ok_or(Error::new("a span has no callsite"))?;
        rows.spans.push(Span {
            source: small(source)?,
            id,
            parent,
            callsite: Arc::clone(callsite),
            values: Vec::new(),
            since_ns: since as i64,
        });
    }
    Ok(())
}
