//! Which bytes of live channels are in archives.

use super::split::Place;
use super::store::Archive;
use relay_fmt::archive::Entry;
use relay_fmt::rows::ChannelId;
use std::collections::HashMap;

/// For each sub-buffer of each channel, how far it is archived.
#[derive(Debug, Default)]
pub(crate) struct Covered {
    subs: HashMap<(ChannelId, u32), (u64, u32)>,
}

impl Covered {
    pub(crate) fn of(archives: &[Archive]) -> Self {
        let mut covered = Self::default();
        for archive in archives {
            for (_, entry) in &archive.entries {
                let Entry::Positions(positions) = entry else {
                    continue;
                };
                // What was archived, also where retention has deleted it since.
                for channel in &positions.channels {
                    for sub in &channel.sub_buffers {
                        let id = channel.source.id;
                        covered.add(id, sub.index, sub.generation, sub.archived_bytes);
                    }
                }
            }
            for block in archive.blocks() {
                let facts = &block.header.facts;
                for run in &facts.runs {
                    if let Some(source) = facts.sources.get(run.source as usize) {
                        covered.add(source.id, run.sub_buffer, run.generation, run.to);
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

    /// Whether a record is in an archive.
    pub(crate) fn has(&self, id: ChannelId, place: &Place) -> bool {
        let at = self.subs.get(&(id, place.sub_buffer));
        at.is_some_and(|at| (place.generation, place.end) <= *at)
    }
}
