//! Rows that were to be read from a channel, and are in an archive by then.

use super::backlog::Stretch;
use super::rows::{Timed, sort};
use super::store::{Archive, Depth, Store};
use relay_fmt::archive::{Summary, read_block};
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
    ///
    /// `floors` is what its writers had come to before. The collector may have computed later times
    /// than those by which the rows behind them were put in order: they are not later than these.
    pub(crate) fn add(
        &self,
        rows: RowBuffer,
        id: ChannelId,
        floors: HashMap<u64, i64>,
        gone: &[&Stretch],
    ) -> Result<(RowBuffer, Option<String>), String> {
        let wanted: usize = gone.iter().map(|s| (s.last - s.first + 1) as usize).sum();
        let mut archives = self.archives.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = find(&archives, id, gone);
        if found.len() < wanted {
            let wanted = &mut |summary: &Summary| summary.sources.iter().any(|s| s.id == id);
            let opened = self
                .store
                .archives_with(Depth::Quick, wanted)
                .map_err(|error| error.to_string())?;
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
        let part = found.parts.len();
        let own = (0..rows.len()).map(|row| At { part, row, max_ns: i64::MAX });
        let all = found.rows.into_iter().chain(own).collect();
        found.parts.push(rows);
        Ok((combine(&found.parts, all, floors), problem))
    }
}

/// A row of one of several buffers.
#[derive(Debug, Clone, Copy)]
struct At {
    part: usize,
    row: usize,
    /// Its time is not later.
    max_ns: i64,
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
        // As below: what is missing is said.
        let (archive, Ok(facts)) = (block.0, block.1.facts()) else { continue };
        let meant = |run: &Run, first: u64, end: u64| {
            let source = facts.sources.get(run.source as usize);
            source.filter(|source| source.id == id)?;
            gone.iter().find(|s| s.writer == run.writer && s.first < end && first <= s.last)
        };
        let whole = |run: &Run| {
            meant(run, run.first_number, run.first_number.saturating_add(run.records.into()))
                .is_some()
        };
        if !facts.runs.iter().any(whole) {
            continue;
        }
        // One that cannot be read has nothing; what is missing is said.
        let Ok(rows) = read_block(&archive.bytes, block.1) else { continue };
        let part = found.parts.len();
        for (at, row) in rows.rows().enumerate() {
            let Some(run) = rows.runs.get(row.run as usize) else { continue };
            if let Some(of) = meant(run, row.number, row.number.saturating_add(1)) {
                found.rows.push(At { part, row: at, max_ns: of.max_ns });
            }
        }
        found.parts.push(rows);
    }
    found
}

/// Rows of several buffers as one, in time order.
fn combine(parts: &[RowBuffer], rows: Vec<At>, mut floors: HashMap<u64, i64>) -> RowBuffer {
    let views: Vec<Vec<_>> = parts.iter().map(|part| part.rows().collect()).collect();
    let timed = rows.into_iter().filter_map(|at| {
        let part = parts.get(at.part)?;
        let row = views.get(at.part)?.get(at.row)?;
        let run = part.runs.get(row.run as usize)?;
        let (writer, number, time_ns) = (run.writer, row.number, row.time_ns.min(at.max_ns));
        Some(Timed { writer, number, time_ns, of: (part, run, row) })
    });
    let sorted = sort(timed.collect(), &mut floors);
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
    for (floor_ns, Timed { number, time_ns, of: (part, run, row), .. }) in sorted {
        let Some(source) = part.sources.get(run.source as usize) else { continue };
        let source = builder.source(source);
        let at = open.get(&(source, run.writer)).filter(|(_, next)| *next == number);
        let at = at.map_or_else(
            || {
                builder.run(Run {
                    source,
                    first_number: number,
                    floor_ns,
                    records: 0,
                    ..run.clone()
                })
            },
            |(at, _)| *at,
        );
        builder.run_mut(at).into_iter().for_each(|run| run.records += 1);
        open.insert((source, run.writer), (at, number + 1));
        let site = row.callsite.map(|site| builder.callsite(site));
        builder.push(at, row.kind, site, row.span, time_ns, row.payload);
    }
    builder.rows().clone()
}
