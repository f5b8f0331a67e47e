//! A channel as the collector knows it: how far it is archived, and what its records need.

use crate::looking::{Quiet, Restless, Unsettled};
use relay_fmt::archive::{
    Announce, ChannelPosition, Entry, Final, Positions, SubBufferPosition, WriterPosition,
};
use relay_fmt::callsite::Callsite;
use relay_fmt::record::{self, Kind, Lease, Record, Records};
use relay_fmt::rows::{ChannelId, Run, Source, Span};
use relay_fmt::time::{Anchor, RateEstimate};
use relay_log::channel::{ChannelReader, Identity, Sub, TickSource};
use rustix::io::Errno;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

/// Who writes at some place of a sub-buffer, and how its ticks become times.
#[derive(Debug, Clone)]
pub(crate) struct Hand {
    pub(crate) writer: u64,
    pub(crate) next_number: u64,
    pub(crate) tid: u32,
    pub(crate) nesting: u8,
    pub(crate) thread: Vec<u8>,
    pub(crate) anchor: Anchor,
}

impl Hand {
    /// Who a lease record says writes behind it.
    pub(crate) fn of(record: &Record<'_>) -> Result<Self, relay_fmt::Error> {
        let lease = Lease::parse(record.payload)?;
        let (mono_ns, real_ns) = (lease.mono_ns, lease.real_ns);
        Ok(Self {
            writer: lease.writer,
            next_number: lease.first_number,
            tid: lease.tid,
            nesting: lease.nesting,
            thread: lease.name.to_vec(),
            anchor: Anchor { tick: record.header.tick, mono_ns, real_ns },
        })
    }
}

/// How far one sub-buffer is archived.
#[derive(Debug, Clone, Default)]
pub(crate) struct SubPosition {
    pub(crate) generation: u64,
    pub(crate) bytes: u32,
    pub(crate) prior: u64,
    pub(crate) records: u32,
    /// Who writes at `bytes`; `None` after a restart: then it is read again from the start.
    pub(crate) hand: Option<Hand>,
}

/// How far one writer is archived.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriterState {
    pub(crate) next_number: u64,
    pub(crate) floor_ns: i64,
    /// When it last had a record, in the order of blocks.
    pub(crate) last_block: u64,
}

/// Positions of one channel: what the archive says, and nothing else.
#[derive(Debug, Clone, Default)]
pub(crate) struct Archived {
    /// Whose channel, where the archive has said so.
    pub(crate) source: Option<Source>,
    pub(crate) subs: HashMap<u32, SubPosition>,
    pub(crate) writers: HashMap<u64, WriterState>,
    pub(crate) spans: HashMap<u64, Span>,
    /// The last word about it, once it is finished.
    pub(crate) end: Option<Final>,
    pub(crate) blocks: u64,
    /// Since when its file is not there, though it is not finished.
    pub(crate) missed: Option<Instant>,
}

/// So many writers are remembered: of those that have ended, only the latest.
const WRITERS: usize = 65_536;

impl Archived {
    /// Takes a run into account that is in the archive.
    pub(crate) fn add_run(&mut self, run: &Run, max_ns: i64) {
        let sub = self.subs.entry(run.sub_buffer).or_default();
        if sub.generation < run.generation {
            *sub = SubPosition { generation: run.generation, ..SubPosition::default() };
        }
        // A block that was written again after an error says what is known already.
        if sub.generation == run.generation && sub.bytes < run.to {
            sub.prior = run.prior_generations;
            sub.bytes = run.to;
            sub.records = run.prior_records.saturating_add(run.records);
            sub.hand = None;
        }
        let block = self.blocks;
        let writer = self.writers.entry(run.writer).or_insert(WriterState {
            next_number: 0,
            floor_ns: i64::MIN,
            last_block: block,
        });
        let next = run.first_number.saturating_add(u64::from(run.records));
        writer.next_number = writer.next_number.max(next);
        writer.floor_ns = writer.floor_ns.max(max_ns).max(run.floor_ns);
        writer.last_block = block;
    }

    /// A block is complete: forgets writers that were heard of longest ago.
    pub(crate) fn end_block(&mut self) {
        self.blocks += 1;
        if self.writers.len() > WRITERS {
            let mut ages: Vec<u64> = self.writers.values().map(|w| w.last_block).collect();
            let middle = ages.len() / 2;
            let (_, median, _) = ages.select_nth_unstable(middle);
            let (median, newest) = (*median, self.blocks);
            // Who has a sub-buffer is running, or was heard of a moment ago.
            let hands = self.subs.values().filter_map(|sub| sub.hand.as_ref());
            let hold: HashSet<u64> = hands.map(|hand| hand.writer).collect();
            self.writers.retain(|writer, w| {
                w.last_block > median || w.last_block + 1 >= newest || hold.contains(writer)
            });
        }
    }

    /// The positions as an archive keeps them.
    pub(crate) fn to_entry(&self, source: &Source) -> ChannelPosition {
        let sub_buffers = self.subs.iter().map(|(index, sub)| SubBufferPosition {
            index: *index,
            generation: sub.generation,
            archived_bytes: sub.bytes,
            prior_generations: sub.prior,
            records: sub.records,
        });
        let writers = self.writers.iter().map(|(writer, state)| WriterPosition {
            writer: *writer,
            next_number: state.next_number,
            floor_ns: state.floor_ns,
        });
        let mut position = ChannelPosition {
            source: source.clone(),
            sub_buffers: sub_buffers.collect(),
            writers: writers.collect(),
            spans: self.spans.values().cloned().collect(),
        };
        position.sub_buffers.sort_by_key(|sub| sub.index);
        position.writers.sort_by_key(|writer| writer.writer);
        position.spans.sort_by_key(|span| span.id);
        position
    }

    /// The positions that an archive kept.
    pub(crate) fn from_entry(position: &ChannelPosition) -> Self {
        let subs = position.sub_buffers.iter().map(|sub| {
            let there = SubPosition {
                generation: sub.generation,
                bytes: sub.archived_bytes,
                prior: sub.prior_generations,
                records: sub.records,
                hand: None,
            };
            (sub.index, there)
        });
        let writers = position.writers.iter().map(|writer| {
            let state = WriterState {
                next_number: writer.next_number,
                floor_ns: writer.floor_ns,
                last_block: 0,
            };
            (writer.writer, state)
        });
        Self {
            source: Some(position.source.clone()),
            subs: subs.collect(),
            writers: writers.collect(),
            spans: position.spans.iter().map(|span| (span.id, span.clone())).collect(),
            ..Self::default()
        }
    }
}

/// The positions of several channels, as an entry of an archive.
pub(crate) fn positions_entry<'a>(
    lives: impl Iterator<Item = (&'a Source, &'a Archived)>,
) -> Entry {
    Entry::Positions(Positions {
        channels: lives.map(|(source, archived)| archived.to_entry(source)).collect(),
    })
}

/// A channel that the collector drains.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) reader: ChannelReader,
    pub(crate) file: String,
    pub(crate) source: Source,
    pub(crate) archived: Archived,
    pub(crate) rate: RateEstimate,
    pub(crate) alive: bool,
    /// By number.
    callsites: Vec<Option<Arc<Callsite>>>,
    /// Whether its program has ever asked for durability: then sub-buffers are handed back only once
    /// their block is synced. What was durable in the channel would be overwritten otherwise, while
    /// the disk does not have the archive yet.
    pub(crate) durable: bool,
    /// Whether something was handed back since the archive was synced.
    pub(crate) unsynced: bool,
    /// Everything committed until then is archived, UTC nanoseconds.
    pub(crate) archived_ns: u64,
    /// What the last look saw, and when: UTC nanoseconds.
    pub(crate) subs: Vec<Sub>,
    pub(crate) seen_ns: u64,
    pub(crate) quiet: Quiet,
    pub(crate) unsettled: Unsettled,
    pub(crate) restless: Restless,
    /// Blocks, when it was last told until when everything is durable.
    pub(crate) durable_blocks: u64,
    /// Whether a record named a callsite that was not described yet.
    pub(crate) missing: bool,
    /// How much of each sub-buffer with descriptions was read.
    described: HashMap<u32, u32>,
    inline: HashMap<Vec<u8>, Arc<Callsite>>,
    /// Whether something that was there at this look could not be read, or was not seen: it may fill any
    /// hole.
    pub(crate) unread: bool,
    /// The highest number of each writer that the last look showed behind a hole.
    pub(crate) shown: HashMap<u64, u64>,
    /// Generations that are set aside.
    pub(crate) poisoned: HashMap<u32, u64>,
}

/// The source that a channel's identity describes.
pub(crate) fn source_of(identity: &Identity) -> Source {
    Source {
        id: identity.id,
        channel: identity.name.clone(),
        pid: identity.pid,
        program: identity.program.clone(),
        host: identity.host.clone(),
        boot: identity.boot,
        opened_ns: i64::try_from(identity.opened.real_ns).unwrap_or(i64::MAX),
    }
}

/// A program with more callsites than this has records without them.
const CALLSITES: usize = 1 << 20;
/// Computed callsites that travel in records are remembered up to so many.
const INLINE: usize = 4096;

impl Live {
    pub(crate) fn new(reader: ChannelReader, file: String, archived: Archived) -> Self {
        let source = source_of(reader.identity());
        let status = reader.status().ok();
        let rate = status.map_or(relay_fmt::time::Rate::NANOSECOND, |status| status.rate);
        let mut rate = RateEstimate::new(rate);
        if reader.identity().ticks == TickSource::Tsc {
            rate.see(reader.identity().opened);
        }
        Self {
            reader,
            file,
            source,
            archived,
            rate,
            alive: true,
            durable: false,
            unsynced: false,
            // What an earlier collector has made durable stays so.
            archived_ns: status.map_or(0, |status| status.durable_ns),
            subs: Vec::new(),
            seen_ns: 0,
            quiet: Quiet::No,
            unsettled: Unsettled::default(),
            restless: Restless::default(),
            durable_blocks: 0,
            callsites: Vec::new(),
            missing: false,
            described: HashMap::new(),
            inline: HashMap::new(),
            unread: false,
            shown: HashMap::new(),
            poisoned: HashMap::new(),
        }
    }

    pub(crate) fn id(&self) -> ChannelId {
        self.source.id
    }

    pub(crate) fn announce(&self, seen_ns: i64) -> Entry {
        Entry::Announce(Announce { source: self.source.clone(), file: self.file.clone(), seen_ns })
    }

    /// What is not archived of a sub-buffer, in bytes.
    pub(crate) fn waiting(&self, sub: &Sub) -> u32 {
        if self.poisoned.get(&sub.index) == Some(&sub.generation) {
            return 0;
        }
        match self.archived.subs.get(&sub.index) {
            Some(at) if at.generation == sub.generation => sub.committed.saturating_sub(at.bytes),
            // A loss of power can take a channel back to what the archives have gone beyond: there was
            // a later generation only because all of this one was archived.
            Some(at) if at.generation > sub.generation => 0,
            _ => sub.committed,
        }
    }

    /// Reads descriptions of callsites that came since the last time.
    pub(crate) fn read_descriptions(&mut self, subs: &[Sub]) -> Result<(), Errno> {
        for sub in subs.iter().filter(|sub| sub.is_meta()) {
            let from = self.described.get(&sub.index).copied().unwrap_or(0);
            let Some(data) = self.reader.read(sub, from)? else { continue };
            for record in Records::new(&data.bytes, sub.generation).map_while(Result::ok) {
                if record.kind == Kind::Callsite
                    && let Ok((id, description)) = record::split_callsite(record.payload)
                    && let Ok(callsite) = Callsite::decode(description)
                {
                    self.add_callsite(id as usize, callsite);
                }
            }
            self.described.insert(sub.index, sub.committed);
        }
        Ok(())
    }

    fn add_callsite(&mut self, id: usize, callsite: Callsite) {
        if id >= CALLSITES {
            return;
        }
        if self.callsites.len() <= id {
            self.callsites.resize(id + 1, None);
        }
        if let Some(at) = self.callsites.get_mut(id) {
            *at = Some(Arc::new(callsite));
        }
    }

    /// The callsite of this number, if it was described.
    pub(crate) fn callsite(&self, id: u32) -> Option<&Arc<Callsite>> {
        self.callsites.get(id as usize)?.as_ref()
    }

    /// A callsite that travelled in a record.
    pub(crate) fn inline_callsite(&mut self, description: &[u8]) -> Option<Arc<Callsite>> {
        if let Some(known) = self.inline.get(description) {
            return Some(Arc::clone(known));
        }
        let callsite = Arc::new(Callsite::decode(description).ok()?);
        if self.inline.len() >= INLINE {
            self.inline.clear();
        }
        self.inline.insert(description.to_vec(), Arc::clone(&callsite));
        Some(callsite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn writer_at(last_block: u64) -> WriterState {
        WriterState { next_number: last_block + 1, floor_ns: 0, last_block }
    }

    fn hand_of(writer: u64) -> SubPosition {
        let anchor = Anchor { tick: 0, mono_ns: 0, real_ns: 0 };
        let hand = Hand { writer, next_number: 0, tid: 1, nesting: 0, thread: Vec::new(), anchor };
        SubPosition { hand: Some(hand), ..SubPosition::default() }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Whoever has a sub-buffer, and whoever was heard of in the newest block, is never forgotten, and
        /// of the others the latest stay. So nobody who still writes begins with a hole.
        #[test]
        fn who_still_writes_is_remembered(
            blocks in proptest::collection::vec(0u64..40, WRITERS + 1..WRITERS + 200),
            idle in proptest::collection::vec(0..WRITERS as u64, 0..50),
        ) {
            let mut archived = Archived { blocks: 40, ..Archived::default() };
            archived.writers = (0u64..).zip(blocks.iter().map(|at| writer_at(*at))).collect();
            archived.subs = (0u32..).zip(idle.iter().map(|writer| hand_of(*writer))).collect();
            archived.end_block();
            let kept = |writer: &u64| archived.writers.contains_key(writer);
            prop_assert!(idle.iter().all(kept));
            let at = |writer: &u64| blocks.get(*writer as usize).copied();
            let mut forgotten = (0..blocks.len() as u64).filter(|w| !kept(w)).collect::<Vec<_>>();
            prop_assert!(!forgotten.is_empty(), "it grows without end");
            forgotten.sort_unstable_by_key(at);
            let newest = forgotten.last().and_then(at);
            prop_assert!(newest.is_some_and(|at| at < 40));
            let older = |w: &u64| at(w) < newest && !idle.contains(w);
            prop_assert!(!archived.writers.keys().any(older), "one that is older was kept");
        }

        #[test]
        fn up_to_the_bound_all_are_remembered(writers in 0..=WRITERS) {
            let all = (0..writers as u64).map(|writer| (writer, writer_at(0)));
            let mut archived = Archived { writers: all.collect(), ..Archived::default() };
            archived.end_block();
            prop_assert_eq!(archived.writers.len(), writers);
        }
    }
}
