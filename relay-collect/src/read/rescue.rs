//! Rows that were to be read from a channel, and are in an archive by then.

use super::backlog::Stretch;
use super::store::{Archive, Depth, Store};
use relay_fmt::archive::read_block;
use relay_fmt::block::{BlockBuilder, RowBuffer};
use relay_fmt::rows::{ChannelId, Run};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The archives as they are now, looked at when something is missing.
#[derive(Debug)]
pub(crate) struct Rescue {
    store: Store,
    archives: Mutex<Vec<Archive>>,
}

impl Rescue {
    pub(crate) fn new(store: &Store) -> Self {
        Self { store: store.clone(), archives: Mutex::new(Vec::new()) }
    }

    /// Adds to `rows` the records of a channel that went to archives after it was looked at. Says what
    /// is in none: retention has deleted it, or the channel overwrites.
    pub(crate) fn add(
        &self,
        rows: RowBuffer,
        id: ChannelId,
        gone: &[&Stretch],
    ) -> Result<(RowBuffer, Option<String>), String> {
        let wanted: usize = gone.iter().map(|s| (s.last - s.first + 1) as usize).sum();
        let mut archives = self.archives.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = find(&archives, id, gone);
        if found.len() < wanted {
            let opened = self.store.archives(Depth::Quick).map_err(|error| error.to_string())?;
            *archives = opened.archives;
            found = find(&archives, id, gone);
        }
        drop(archives);
        let missing = wanted.saturating_sub(found.len());
        let problem = (missing > 0).then(|| {
            let (writer, first) = gone.first().map_or((0, 0), |s| (s.writer, s.first));
            format!(
                "{missing} records from number {first} of writer {writer} on went from their channel while it was read, and are in no archive"
            )
        });
        let own = (0..rows.len()).map(|row| At { part: found.parts.len(), row });
        let all = found.rows.into_iter().chain(own).collect();
        found.parts.push(rows);
        Ok((combine(&found.parts, all), problem))
    }
}

/// A row of one of several buffers.
#[derive(Debug, Clone, Copy)]
struct At {
    part: usize,
    row: usize,
}

/// Rows that are wanted, and the blocks that they are among.
#[derive(Debug, Default)]
struct Found {
    parts: Vec<RowBuffer>,
    rows: Vec<At>,
}

impl Found {
    fn len(&self) -> usize {
        self.rows.len()
    }
}

fn find(archives: &[Archive], id: ChannelId, gone: &[&Stretch]) -> Found {
    let mut found = Found::default();
    for block in archives.iter().flat_map(|a| a.blocks().map(move |block| (a, block))) {
        let (archive, facts) = (block.0, &block.1.header.facts);
        let meant = |run: &Run, first: u64, end: u64| {
            let source = facts.sources.get(run.source as usize);
            source.is_some_and(|source| source.id == id)
                && gone.iter().any(|s| s.writer == run.writer && s.first < end && first <= s.last)
        };
        let whole = |run: &Run| {
            meant(run, run.first_number, run.first_number.saturating_add(run.records.into()))
        };
        if !facts.runs.iter().any(whole) {
            continue;
        }
        // One that cannot be read has nothing; what is missing is said.
        let Ok(rows) = read_block(&archive.bytes, block.1) else { continue };
        let part = found.parts.len();
        for (at, row) in rows.rows().enumerate() {
            let run = rows.runs.get(row.run as usize);
            if run.is_some_and(|run| meant(run, row.number, row.number.saturating_add(1))) {
                found.rows.push(At { part, row: at });
            }
        }
        found.parts.push(rows);
    }
    found
}

/// Rows of several buffers as one, in time order.
fn combine(parts: &[RowBuffer], rows: Vec<At>) -> RowBuffer {
    let views: Vec<Vec<_>> = parts.iter().map(|part| part.rows().collect()).collect();
    let mut sorted: Vec<_> = rows
        .into_iter()
        .filter_map(|at| Some((at.part, views.get(at.part)?.get(at.row)?)))
        .collect();
    // Numbers decide where times are equal; they are those of one writer or do not matter.
    sorted.sort_by_key(|(_, row)| (row.order_ns, row.number));
    let mut builder = BlockBuilder::new();
    for part in parts {
        for span in &part.spans {
            if let Some(source) = part.sources.get(span.source as usize) {
                let source = builder.source(source);
                builder.span(relay_fmt::rows::Span { source, ..span.clone() });
            }
        }
    }
    // The run that each writer is in, and its next number.
    let mut open: HashMap<(u32, u64), (u32, u64)> = HashMap::new();
    for (part, row) in sorted {
        let Some(part) = parts.get(part) else { continue };
        let Some(run) = part.runs.get(row.run as usize) else { continue };
        let Some(source) = part.sources.get(run.source as usize) else { continue };
        let source = builder.source(source);
        let at = open.get(&(source, run.writer)).filter(|(_, next)| *next == row.number);
        let at = at.map_or_else(
            || {
                let (first_number, floor_ns) = (row.number, row.order_ns);
                builder.run(Run { source, first_number, floor_ns, records: 0, ..run.clone() })
            },
            |(at, _)| *at,
        );
        builder.run_mut(at).into_iter().for_each(|run| run.records += 1);
        open.insert((source, run.writer), (at, row.number + 1));
        let site = row.callsite.map(|site| builder.callsite(site));
        builder.push(at, row.kind, site, row.span, row.time_ns, row.payload);
    }
    builder.rows().clone()
}
