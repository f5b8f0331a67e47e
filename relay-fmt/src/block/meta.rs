//! What rows refer to, as bytes: sources, runs, callsites, spans.
//!
//! Runs lie column by column, numbers as differences to the run before, since the runs of a block
//! are alike: `docs/format/archive.md`, "Lists".

use super::error::{Error, Result, malformed};
use super::{RowBuffer, Target};
use crate::bytes::{Cursor, put_prefixed, put_varint, unzigzag, zigzag};
use crate::callsite::Callsite;
use crate::rows::{ChannelId, Run, Source, Span};
use std::collections::HashMap;
use std::sync::Arc;

/// Reads a count of things that take at least `each` bytes: never more than the bytes can hold.
pub(crate) fn count(input: &mut Cursor<'_>, each: usize) -> Result<usize> {
    let count = input.varint_len()?;
    if count > input.rest().len() / each.max(1) {
        return malformed("a count is larger than its bytes can hold");
    }
    if count > MAX_LIST {
        let (what, bytes) = ("a list of a block", count as u64);
        return Err(Error::TooLarge { what, bytes, most: MAX_LIST as u64 });
    }
    Ok(count)
}

/// The most rows that a block can have, and the longest list of anything: what a few bytes of a
/// compressed block can make of themselves in memory stays within some hundred MiB.
pub(crate) const MAX_LIST: usize = 1 << 22;

pub(crate) fn narrow(value: u64) -> Result<u32> {
    u32::try_from(value).or_else(|_| malformed("a number is larger than 32 bits"))
}

pub(crate) fn put_source(out: &mut Vec<u8>, source: &Source) {
    out.extend_from_slice(&source.id.0);
    out.extend_from_slice(&source.boot);
    put_varint(out, u64::from(source.pid));
    put_varint(out, zigzag(source.opened_ns));
    for text in [&source.channel, &source.program, &source.host] {
        put_prefixed(out, text.as_bytes());
    }
}

pub(crate) fn take_source(input: &mut Cursor<'_>) -> Result<Source> {
    let (id, boot) = (ChannelId(input.array()?), input.array()?);
    let (pid, opened_ns) = (narrow(input.varint()?)?, unzigzag(input.varint()?));
    let mut text = || input.text().map(str::to_owned);
    let (channel, program, host) = (text()?, text()?, text()?);
    Ok(Source { id, channel, pid, program, host, boot, opened_ns })
}

pub(crate) fn put_sources(out: &mut Vec<u8>, sources: &[Source]) {
    put_varint(out, sources.len() as u64);
    sources.iter().for_each(|source| put_source(out, source));
}

pub(crate) fn take_sources(input: &mut Cursor<'_>) -> Result<Vec<Source>> {
    let count = count(input, 37)?;
    (0..count).map(|_| take_source(input)).collect()
}

pub(crate) fn put_targets(out: &mut Vec<u8>, targets: &[Target]) {
    put_varint(out, targets.len() as u64);
    for target in targets {
        out.push(target.level_mask);
        put_prefixed(out, target.name.as_bytes());
    }
}

pub(crate) fn take_targets(input: &mut Cursor<'_>) -> Result<Vec<Target>> {
    let mut targets = Vec::new();
    for _ in 0..count(input, 2)? {
        let level_mask = input.u8()?;
        targets.push(Target { name: input.text()?.to_owned(), level_mask });
    }
    Ok(targets)
}

/// The numbers of a run that are stored as differences, in the order they are stored in.
const DELTAS: usize = 13;

fn numbers(run: &Run) -> [u64; DELTAS] {
    [
        u64::from(run.source),
        u64::from(run.sub_buffer),
        run.generation,
        u64::from(run.from),
        u64::from(run.to.wrapping_sub(run.from)),
        run.prior_generations,
        u64::from(run.prior_records),
        u64::from(run.records),
        run.writer,
        run.first_number,
        u64::from(run.tid),
        u64::from(run.nesting),
        run.floor_ns.cast_unsigned(),
    ]
}

fn run_of(numbers: [u64; DELTAS], thread: &[u8]) -> Result<Run> {
    let [
        source,
        sub_buffer,
        generation,
        from,
        length,
        prior_generations,
        prior_records,
        records,
        writer,
        first_number,
        tid,
        nesting,
        floor,
    ] = numbers;
    let from = narrow(from)?;
    Ok(Run {
        source: narrow(source)?,
        sub_buffer: narrow(sub_buffer)?,
        generation,
        from,
        to: from.wrapping_add(narrow(length)?),
        prior_generations,
        prior_records: narrow(prior_records)?,
        records: narrow(records)?,
        writer,
        first_number,
        tid: narrow(tid)?,
        nesting: u8::try_from(nesting).or_else(|_| malformed("a nesting is too deep"))?,
        thread: thread.to_vec(),
        floor_ns: floor.cast_signed(),
    })
}

/// Appends runs: count, [`DELTAS`] columns of differences, then the thread names: a table of the
/// different ones and an index each.
pub(crate) fn put_runs(out: &mut Vec<u8>, runs: &[Run]) {
    put_varint(out, runs.len() as u64);
    let all: Vec<[u64; DELTAS]> = runs.iter().map(numbers).collect();
    for column in 0..DELTAS {
        let mut before = 0u64;
        for value in all.iter().filter_map(|numbers| numbers.get(column)) {
            put_varint(out, zigzag(value.wrapping_sub(before).cast_signed()));
            before = *value;
        }
    }
    let (mut table, mut index_of) = (Vec::new(), HashMap::new());
    let mut indexes = Vec::new();
    for run in runs {
        let index = *index_of.entry(&run.thread).or_insert_with(|| {
            table.push(&run.thread);
            table.len() as u64 - 1
        });
        put_varint(&mut indexes, index);
    }
    put_varint(out, table.len() as u64);
    table.iter().for_each(|name| put_prefixed(out, name));
    out.extend_from_slice(&indexes);
}

pub(crate) fn take_runs(input: &mut Cursor<'_>) -> Result<Vec<Run>> {
    let count_runs = count(input, DELTAS + 1)?;
    let mut all = vec![[0u64; DELTAS]; count_runs];
    for column in 0..DELTAS {
        let mut before = 0u64;
        for value in all.iter_mut().filter_map(|numbers| numbers.get_mut(column)) {
            before = before.wrapping_add(unzigzag(input.varint()?).cast_unsigned());
            *value = before;
        }
    }
    let table: Vec<&[u8]> =
        (0..count(input, 1)?).map(|_| input.prefixed()).collect::<Result<_, crate::Error>>()?;
    let mut runs = Vec::with_capacity(count_runs);
    // Runs share names: without a bound a long name, stored once, would be copied for each run.
    let mut copied = 0usize;
    for numbers in all {
        let Some(thread) = table.get(input.varint_len()?) else {
            return malformed("a run names a thread that is not there");
        };
        copied = copied.saturating_add(thread.len());
        if copied > MAX_NAMES {
            return malformed("the thread names of a block are too long");
        }
        runs.push(run_of(numbers, thread)?);
    }
    Ok(runs)
}

/// Goes past runs without looking at them.
pub(crate) fn skip_runs(input: &mut Cursor<'_>) -> Result<()> {
    let runs = count(input, DELTAS + 1)?;
    for _ in 0..runs * DELTAS {
        input.varint()?;
    }
    for _ in 0..count(input, 1)? {
        input.prefixed()?;
    }
    for _ in 0..runs {
        input.varint()?;
    }
    Ok(())
}

/// The most that the thread names of a block take in memory, in bytes.
pub(crate) const MAX_NAMES: usize = 16 << 20;

pub(crate) fn put_callsites(out: &mut Vec<u8>, callsites: &[Arc<Callsite>]) {
    put_varint(out, callsites.len() as u64);
    let mut one = Vec::new();
    for callsite in callsites {
        one.clear();
        callsite.encode(&mut one);
        put_prefixed(out, &one);
    }
}

pub(crate) fn take_callsites(input: &mut Cursor<'_>) -> Result<Vec<Arc<Callsite>>> {
    let count = count(input, 12)?;
    let one = |_| Ok(Arc::new(Callsite::decode(input.prefixed()?)?));
    (0..count).map(one).collect()
}

/// Appends spans; their callsites are found in, or added to, `callsites` by address or content.
pub(crate) fn put_spans(out: &mut Vec<u8>, spans: &[Span], callsites: &mut Vec<Arc<Callsite>>) {
    let mut index_of: HashMap<Arc<Callsite>, usize> = HashMap::new();
    for (index, callsite) in callsites.iter().enumerate() {
        index_of.entry(Arc::clone(callsite)).or_insert(index);
    }
    put_varint(out, spans.len() as u64);
    for span in spans {
        let index = *index_of.entry(Arc::clone(&span.callsite)).or_insert_with(|| {
            callsites.push(Arc::clone(&span.callsite));
            callsites.len() - 1
        });
        put_varint(out, u64::from(span.source));
        put_varint(out, span.id);
        put_varint(out, span.parent);
        put_varint(out, index as u64);
        put_varint(out, zigzag(span.since_ns));
        put_prefixed(out, &span.values);
    }
}

pub(crate) fn take_spans(input: &mut Cursor<'_>, callsites: &[Arc<Callsite>]) -> Result<Vec<Span>> {
    let mut spans = Vec::new();
    for _ in 0..count(input, 6)? {
        let (source, id) = (narrow(input.varint()?)?, input.varint()?);
        let parent = input.varint()?;
        let Some(callsite) = callsites.get(input.varint_len()?) else {
            return malformed("a span names a callsite that is not there");
        };
        let (callsite, since_ns) = (Arc::clone(callsite), unzigzag(input.varint()?));
        let values = input.prefixed()?.to_vec();
        spans.push(Span { source, id, parent, callsite, values, since_ns });
    }
    Ok(spans)
}

/// Appends everything that rows refer to. The callsites of spans stand behind those of rows.
pub(crate) fn put_meta(out: &mut Vec<u8>, rows: &RowBuffer) {
    put_sources(out, &rows.sources);
    put_runs(out, &rows.runs);
    let (mut callsites, mut spans) = (rows.callsites.clone(), Vec::new());
    put_spans(&mut spans, &rows.spans, &mut callsites);
    put_varint(out, rows.callsites.len() as u64);
    put_callsites(out, &callsites);
    out.extend_from_slice(&spans);
}

/// Reads what [`put_meta`] wrote, which must fill `bytes`.
pub(crate) fn take_meta(bytes: &[u8]) -> Result<RowBuffer> {
    let mut input = Cursor::new(bytes);
    let sources = take_sources(&mut input)?;
    let runs = take_runs(&mut input)?;
    let of_rows = input.varint_len()?;
    let mut callsites = take_callsites(&mut input)?;
    let spans = take_spans(&mut input, &callsites)?;
    if of_rows > callsites.len() || !input.is_empty() {
        return malformed("the lists of a block do not end where they should");
    }
    callsites.truncate(of_rows);
    let known = |source: u32| (source as usize) < sources.len();
    if !runs.iter().all(|r| known(r.source)) || !spans.iter().all(|s| known(s.source)) {
        return malformed("a run or span names a source that is not there");
    }
    Ok(RowBuffer { sources, runs, callsites, spans, ..RowBuffer::default() })
}
