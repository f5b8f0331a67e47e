//! Which bytes of live channels are in archives.

use super::merge::unreadable;
use super::split::Place;
use super::store::Archive;
use relay_fmt::archive::Entry;
use relay_fmt::rows::ChannelId;
use std::collections::{HashMap, HashSet};

/// For each sub-buffer of each channel, how far it is archived.
#[derive(Debug, Default)]
pub(crate) struct Covered {
    subs: HashMap<(ChannelId, u32), (u64, u32)>,
    /// For each writer of each channel, the number behind its last archived record.
    writers: HashMap<(ChannelId, u64), u64>,
}

impl Covered {
    /// What archives hold of these channels: of others nobody asks, and most archives are theirs.
    ///
    /// What cannot be read goes to `problems`.
    pub(crate) fn of(
        archives: &[Archive],
        live: &HashSet<ChannelId>,
        problems: &mut Vec<String>,
    ) -> Self {
        if live.is_empty() {
            return Self::default();
        }
        let mut covered = Self::default();
        for archive in archives {
            for (_, entry) in &archive.entries {
                let Entry::Positions(positions) = entry else {
                    continue;
                };
                // What was archived, also where retention has deleted it since.
                for channel in positions.channels.iter().filter(|c| live.contains(&c.source.id)) {
                    for writer in &channel.writers {
                        let id = channel.source.id;
                        covered.add_numbers(id, writer.writer, writer.next_number);
                    }
                    for sub in &channel.sub_buffers {
                        let id = channel.source.id;
                        covered.add(id, sub.index, sub.generation, sub.archived_bytes);
                    }
                }
            }
            for block in archive.blocks() {
                let facts = match block.facts() {
                    Ok(facts) => facts,
                    Err(error) => {
                        problems.push(unreadable(&archive.name.file, block, &error));
                        continue;
                    }
                };
                if !facts.sources.iter().any(|source| live.contains(&source.id)) {
                    continue;
                }
                for run in &facts.runs {
                    let source = facts.sources.get(run.source as usize);
                    if let Some(source) = source.filter(|source| live.contains(&source.id)) {
                        covered.add(source.id, run.sub_buffer, run.generation, run.to);
                        let end = run.first_number.saturating_add(run.records.into());
                        covered.add_numbers(source.id, run.writer, end);
                    }
                }
            }
        }
        covered
    }

    fn add(&mut self, id: ChannelId, sub: u32, generation: u64, to: u32) {
        let at = self.subs.entry((id, sub)).or_insert((generation, to));
        // A generation that another one follows is archived wholly, or it was given up.
        *at = (generation, to).max(*at);
    }

    fn add_numbers(&mut self, id: ChannelId, writer: u64, next: u64) {
        let at = self.writers.entry((id, writer)).or_insert(next);
        *at = next.max(*at);
    }

    /// Whether all records are in archives that end at a byte of a sub-buffer.
    pub(crate) fn has_bytes(&self, id: ChannelId, sub: u32, generation: u64, end: u32) -> bool {
        self.subs.get(&(id, sub)).is_some_and(|at| (generation, end) <= *at)
    }

    /// The number behind the last archived record of a writer, if a part of this generation of a
    /// sub-buffer is archived.
    pub(crate) fn next(
        &self,
        id: ChannelId,
        sub: u32,
        generation: u64,
        writer: u64,
    ) -> Option<u64> {
        let part = self.subs.get(&(id, sub)).is_some_and(|at| at.0 == generation);
        part.then(|| self.writers.get(&(id, writer)).copied()).flatten()
    }

    /// Whether a record is in an archive.
    pub(crate) fn has(&self, id: ChannelId, place: &Place) -> bool {
        self.has_bytes(id, place.sub_buffer, place.generation, place.end)
    }
}
