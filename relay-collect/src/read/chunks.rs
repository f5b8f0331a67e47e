//! Parts of a piece as bytes, and rows again from those.
//!
//! Nobody else ever reads these bytes: they have no version, and lie in a file without a name
//! (`shelves.rs`). Where lines were made of the rows, those are in it; rows only as far as somebody will
//! still ask for them: parts of larger records, or all where no lines were made.

use super::loaded::{Lines, Loaded, Place};
use super::merge::Turn;
use relay_fmt::block::{self, BlockKind, MAX_CONTENT, RowBuffer};
use relay_fmt::bytes::{Cursor, put_prefixed, put_varint, unzigzag, zigzag};
use std::collections::HashMap;
use std::ops::Range;

/// What a row takes in memory beside its text, in bytes: its place, and where its line ends.
const BESIDE: usize = size_of::<Place>() + size_of::<usize>();
/// What a row takes that is kept as such, beside its payload: the columns of a buffer.
const COLUMNS: usize = 33;
/// The rows themselves are compressed once more with all the rest.
const LEVEL: i32 = 1;

/// The rows of a piece in portions that take about so many bytes in memory, at least one row each, in the
/// order in which they are needed; within a portion rows are in their own order.
pub(crate) fn portions(loaded: &Loaded, turn: Turn, bytes: usize) -> Vec<Range<usize>> {
    let all = loaded.len();
    let at = |i: usize| if turn == Turn::Backward { all - 1 - i } else { i };
    let (mut portions, mut from, mut taken) = (Vec::new(), 0, 0);
    for i in 0..all {
        let row = cost(loaded, at(i));
        if i > from && taken + row > bytes {
            portions.push(from..i);
            (from, taken) = (i, 0);
        }
        taken += row;
    }
    portions.push(from..all);
    if turn == Turn::Backward {
        portions.iter_mut().for_each(|part| *part = all - part.end..all - part.start);
    }
    portions
}

fn cost(loaded: &Loaded, row: usize) -> usize {
    let line = loaded.line(row).map_or(0, <[u8]>::len);
    let payload = || loaded.buffer_row(row).map(|at| loaded.buffer.payload_of(at).len() + COLUMNS);
    let kept = loaded.lines.is_none() || loaded.is_part(row);
    BESIDE + line + if kept { payload().unwrap_or(0) } else { 0 }
}

/// Appends some rows of a piece.
///
/// # Errors
/// When its rows refer to what is not there, or to too much.
pub(crate) fn put(
    loaded: &Loaded,
    rows: Range<usize>,
    out: &mut Vec<u8>,
) -> Result<(), block::Error> {
    let order = loaded.order.get(rows.clone()).unwrap_or_default();
    put_varint(out, order.len() as u64);
    let (mut order_before, mut number_before) = (0i64, 0u64);
    for place in order {
        put_varint(out, zigzag(place.order_ns.wrapping_sub(order_before)));
        let number = place.number.wrapping_sub(number_before);
        put_varint(out, zigzag(number.cast_signed()));
        (order_before, number_before) = (place.order_ns, place.number);
    }
    let kept: Vec<usize> =
        rows.clone().filter(|row| loaded.lines.is_none() || loaded.is_part(*row)).collect();
    put_varint(out, kept.len() as u64);
    if !kept.is_empty() {
        kept.iter().for_each(|row| put_varint(out, (row - rows.start) as u64));
        let (buffer, mut body) = (part_of(loaded, &kept)?, Vec::new());
        block::encode(&buffer, BlockKind::Rows, LEVEL, &mut body)?;
        put_prefixed(out, &body);
    }
    out.push(u8::from(loaded.lines.is_some()));
    if loaded.lines.is_some() {
        for row in rows.clone() {
            put_varint(out, loaded.line(row).map_or(0, <[u8]>::len) as u64);
        }
        rows.for_each(|row| out.extend_from_slice(loaded.line(row).unwrap_or_default()));
    }
    Ok(())
}

/// The rows that [`put`] appended.
///
/// # Errors
/// When the bytes are others.
pub(crate) fn take(bytes: &[u8]) -> Result<Loaded, block::Error> {
    let mut input = Cursor::new(bytes);
    let all = input.varint_len()?;
    if all > bytes.len() {
        return Err(relay_fmt::Error::new("there cannot be so many rows").into());
    }
    let mut order: Vec<Place> = Vec::with_capacity(all);
    let (mut order_ns, mut number) = (0i64, 0u64);
    for _ in 0..all {
        order_ns = order_ns.wrapping_add(unzigzag(input.varint()?));
        number = number.wrapping_add(unzigzag(input.varint()?).cast_unsigned());
        order.push(Place { row: Place::NONE, number, order_ns });
    }
    let kept = input.varint_len()?;
    for row in 0..kept {
        if let Some(place) = order.get_mut(input.varint_len()?) {
            place.row = u32::try_from(row).unwrap_or(Place::NONE);
        }
    }
    let buffer = if kept > 0 {
        block::decode(BlockKind::Rows as u8, input.prefixed()?, MAX_CONTENT)?
    } else {
        RowBuffer::default()
    };
    let lines = match input.u8()? {
        0 => None,
        _ => Some(take_lines(input, all, kept > 0)?),
    };
    Ok(Loaded::put_together(buffer, order, lines))
}

fn take_lines(mut input: Cursor<'_>, rows: usize, parts: bool) -> Result<Lines, relay_fmt::Error> {
    let (mut ends, mut end) = (Vec::with_capacity(rows), 0usize);
    for _ in 0..rows {
        end = end.saturating_add(input.varint_len()?);
        ends.push(end);
    }
    let text = input.bytes(end)?.to_vec();
    Ok(Lines { text, ends, parts })
}

/// Some rows, with what they refer to and nothing else.
fn part_of(loaded: &Loaded, rows: &[usize]) -> Result<RowBuffer, relay_fmt::Error> {
    let all = &loaded.buffer;
    let mut part = RowBuffer::default();
    let (mut sources, mut runs) = (HashMap::new(), HashMap::new());
    let (mut callsites, mut spans) = (HashMap::new(), HashMap::new());
    let missing = || relay_fmt::Error::new("a row refers to something that is not there");
    for row in rows {
        let at = loaded.buffer_row(*row).ok_or_else(missing)?;
        let (run, kind, callsite, span, time_ns) = columns(all, at).ok_or_else(missing)?;
        let of = all.runs.get(run as usize).ok_or_else(missing)?;
        let source = all.sources.get(of.source as usize).ok_or_else(missing)?;
        let source = put_once(&mut sources, of.source, &mut part.sources, || source.clone());
        let here = put_once(&mut runs, run, &mut part.runs, || {
            let mut of = of.clone();
            of.source = source;
            of
        });
        let site = match callsite.checked_sub(1) {
            None => 0,
            Some(index) => {
                let site = all.callsites.get(index as usize).ok_or_else(missing)?;
                1 + put_once(&mut callsites, index, &mut part.callsites, || site.clone())
            }
        };
        // Those around it are of the same channel.
        for index in loaded.around(of.source, span) {
            let span = all.spans.get(*index as usize).ok_or_else(missing)?;
            put_once(&mut spans, *index, &mut part.spans, || {
                let mut span = span.clone();
                span.source = source;
                span
            });
        }
        part.push(here, kind, site, span, time_ns, all.payload_of(at));
    }
    Ok(part)
}

type Columns = (u32, relay_fmt::record::Kind, u32, u64, i64);

fn columns(rows: &RowBuffer, at: usize) -> Option<Columns> {
    Some((
        *rows.run.get(at)?,
        *rows.kind.get(at)?,
        *rows.callsite.get(at)?,
        *rows.span.get(at)?,
        *rows.time_ns.get(at)?,
    ))
}

/// Where something is in a list that it is put into when it is first asked for.
fn put_once<T>(
    known: &mut HashMap<u32, u32>,
    index: u32,
    list: &mut Vec<T>,
    make: impl FnOnce() -> T,
) -> u32 {
    *known.entry(index).or_insert_with(|| {
        list.push(make());
        list.len() as u32 - 1
    })
}

#[cfg(test)]
mod tests {
    use super::super::prepare;
    use super::*;
    use crate::query::Filter;
    use crate::render::{Format, Options, Renderer, fixture};
    use proptest::prelude::*;
    use relay_fmt::rows::ChannelId;

    /// Rows of every kind, of two channels and three writers, with spans and what inline events bring.
    fn rows(bytes: &[u8], picks: &[(usize, u32, i64)]) -> RowBuffer {
        let of = fixture::everywhere(bytes);
        let mut all = RowBuffer { callsites: of.callsites.clone(), ..RowBuffer::default() };
        for source in 0..2u32 {
            let mut another = of.sources[0].clone();
            another.id = ChannelId([source as u8; 16]);
            all.sources.push(another);
            for mut span in of.spans.clone() {
                span.source = source;
                span.values.extend(fixture::int(0, source.into()));
                all.spans.push(span);
            }
        }
        for run in 0..3u32 {
            let mut another = of.runs[0].clone();
            (another.source, another.writer) = (run % 2, run.into());
            all.runs.push(another);
        }
        let mut time_ns = fixture::TIME;
        for (row, run, step) in picks {
            let at = row % of.len();
            time_ns += step;
            let (kind, callsite, span) = (of.kind[at], of.callsite[at], of.span[at]);
            all.push(*run, kind, callsite, span, time_ns, of.payload_of(at));
        }
        all
    }

    fn renderer() -> Renderer {
        Renderer::new(&Options::default().format(Format::Json).spans(true))
    }

    /// All that is known of a row, or its line.
    fn shown(loaded: &Loaded, row: usize) -> String {
        let place = loaded.order[row];
        let of = (place.order_ns, place.number, loaded.is_part(row));
        if let Some(lines) = loaded.lines(row, row + 1) {
            return format!("{of:?} {}", String::from_utf8_lossy(lines));
        }
        let mut spans = Vec::new();
        let event = loaded.event(row, &mut spans).unwrap();
        let mut line = Vec::new();
        renderer().render(&event, &mut line);
        let values: Vec<_> =
            event.spans.iter().map(|view| (view.span.id, &view.span.values)).collect();
        let (row, writer, id, site) =
            (&event.row, event.run.writer, event.source.id, event.callsite);
        let is = (row.kind, row.time_ns, row.span, row.payload);
        format!(
            "{of:?} {is:?} {writer} {id} {site:?} {values:?} {}",
            String::from_utf8_lossy(&line)
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]
        #[test]
        fn rows_come_back(
            bytes in prop::collection::vec(any::<u8>(), 0..40),
            picks in prop::collection::vec((0usize..99, 0u32..3, -9i64..99), 1..60),
            (size, made, turn) in (0usize..4000, any::<bool>(), any::<bool>()),
        ) {
            let mut loaded = Loaded::new(rows(&bytes, &picks));
            if made {
                prepare::work(&mut loaded, &mut Filter::new().spans(true), &mut renderer());
            }
            let all = loaded.len();
            let turn = Turn::by_time(turn);
            let mut expected: Vec<String> = (0..all).map(|row| shown(&loaded, row)).collect();
            if turn == Turn::Backward {
                expected.reverse();
            }
            let mut found = Vec::new();
            for rows in portions(&loaded, turn, size) {
                let mut bytes = Vec::new();
                put(&loaded, rows.clone(), &mut bytes).unwrap();
                let portion = take(&bytes).unwrap();
                prop_assert_eq!(portion.len(), rows.len());
                let parts = (0..portion.len()).any(|row| portion.is_part(row));
                if made && !parts && rows.len() > 1 {
                    prop_assert!(portion.bytes() <= size, "{} of {}", portion.bytes(), size);
                }
                let mut lines: Vec<String> =
                    (0..portion.len()).map(|row| shown(&portion, row)).collect();
                if turn == Turn::Backward {
                    lines.reverse();
                }
                found.append(&mut lines);
            }
            prop_assert_eq!(expected, found);
        }

        #[test]
        fn any_bytes_are_taken_or_refused(bytes: Vec<u8>) {
            let _ = take(&bytes);
        }
    }
}
