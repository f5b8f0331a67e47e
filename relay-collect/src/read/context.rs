//! What the rows of a live channel need from the archives: the spans that they lie in, and the time
//! that their writers had come to.

use super::live::Tail;
use super::split::Split;
use super::store::Archive;
use relay_fmt::archive::{BlockEntry, Entry, read_block};
use relay_fmt::record::Kind;
use relay_fmt::rows::ChannelId;
use relay_fmt::time::Rate;
use std::collections::{HashMap, HashSet};

/// What is looked for.
#[derive(Debug)]
pub(crate) struct Wanted {
    id: ChannelId,
    /// For each writer, the time of its first row.
    floors: HashMap<u64, i64>,
    /// Spans that records name, and spans that begin.
    spans: HashSet<u64>,
    begun: HashSet<u64>,
}

/// Finds what is wanted; `archives` are those of the channel's name, the oldest first.
pub(crate) fn find(tail: &mut Tail, archives: &[&Archive], mut wanted: Wanted) {
    let (begun, known) = (&wanted.begun, &tail.spans);
    wanted.spans.retain(|id| *id != 0 && !begun.contains(id) && !known.contains_key(id));
    for archive in archives.iter().rev() {
        let positions = archive.entries.iter().rev().filter_map(|(at, entry)| {
            let Entry::Positions(positions) = entry else {
                return None;
            };
            let mut channels = positions.channels.iter();
            Some((*at, channels.find(|c| c.source.id == wanted.id)?))
        });
        let positions: Vec<_> = positions.collect();
        let mut positions = positions.into_iter().peekable();
        let blocks: Vec<&BlockEntry> = archive.blocks().collect();
        for block in blocks.into_iter().rev() {
            // They know all spans that were open then.
            if let Some((_, known)) = positions.next_if(|(at, _)| *at > block.offset) {
                for span in &known.spans {
                    tail.spans.entry(span.id).or_insert_with(|| span.clone());
                }
                wanted.spans.clear();
            }
            wanted.search(tail, archive, block);
            if wanted.floors.is_empty() && wanted.spans.is_empty() {
                return;
            }
        }
        for (_, known) in positions {
            if !wanted.spans.is_empty() {
                for span in &known.spans {
                    tail.spans.entry(span.id).or_insert_with(|| span.clone());
                }
                wanted.spans.clear();
            }
            for writer in &known.writers {
                if wanted.floors.remove(&writer.writer).is_some() {
                    tail.floors.insert(writer.writer, writer.floor_ns);
                }
            }
        }
    }
}

/// Raises what the writers of `split` have come to, above all that `blocks` hold of them and the
/// channel does not any more.
///
/// The collector may have computed later times than `tail` will, for its rate of the ticks is its own:
/// these rows must come behind.
pub(crate) fn raise(tail: &mut Tail, split: &[Split<'_>], blocks: &[(&Archive, &BlockEntry)]) {
    let mut first: HashMap<u64, u64> = HashMap::new();
    for place in split.iter().map(|s| s.place) {
        let number = first.entry(place.writer).or_insert(place.number);
        *number = place.number.min(*number);
    }
    if first.is_empty() {
        return;
    }
    for (_, block) in blocks {
        // What its rows say is shown, or why not.
        let Ok(facts) = block.facts() else { continue };
        for run in &facts.runs {
            let source = facts.sources.get(run.source as usize);
            if source.is_some_and(|source| source.id == tail.source.id)
                && first.get(&run.writer).is_some_and(|number| run.first_number < *number)
            {
                let floor = tail.floors.entry(run.writer).or_insert(i64::MIN);
                *floor = facts.max_order_ns.max(*floor);
            }
        }
    }
}

impl Wanted {
    /// What the rows of a channel need: nothing yet.
    pub(crate) fn new(id: ChannelId) -> Self {
        Self { id, floors: HashMap::new(), spans: HashSet::new(), begun: HashSet::new() }
    }

    /// Adds what these need. Whether any of them is about a span.
    pub(crate) fn add(&mut self, split: &[Split<'_>], rate: Rate) -> bool {
        let mut any = false;
        let mut begun: HashSet<u64> = HashSet::new();
        for s in split {
            let time_ns = s.anchor.real_of(s.record.header.tick, rate);
            let first = self.floors.entry(s.place.writer).or_insert(time_ns);
            *first = time_ns.min(*first);
            let span = match s.record.kind {
                Kind::SpanEvent
                | Kind::SpanNew
                | Kind::SpanEnter
                | Kind::SpanExit
                | Kind::SpanClose
                | Kind::SpanRecord
                | Kind::SpanFollows => s.record.payload.split_first_chunk::<8>(),
                _ => None,
            };
            let Some((id, rest)) = span else { continue };
            any = true;
            let id = u64::from_le_bytes(*id);
            if s.record.kind == Kind::SpanNew {
                begun.insert(id);
                let parent = rest.first_chunk::<8>().map(|parent| u64::from_le_bytes(*parent));
                self.spans.extend(parent.filter(|parent| !begun.contains(parent)));
            } else if !begun.contains(&id) {
                self.spans.insert(id);
            }
        }
        self.begun.extend(begun);
        any
    }

    fn search(&mut self, tail: &mut Tail, archive: &Archive, block: &BlockEntry) {
        let Ok(facts) = block.facts() else { return };
        let Some(source) = facts.sources.iter().position(|s| s.id == self.id) else {
            return;
        };
        let mut read = !self.spans.is_empty();
        for run in facts.runs.iter().filter(|run| run.source as usize == source) {
            let Some(first) = self.floors.get(&run.writer) else {
                continue;
            };
            if facts.max_order_ns > *first {
                read = true;
            } else {
                self.floors.remove(&run.writer);
            }
        }
        if !read {
            return;
        }
        let Ok(rows) = read_block(&archive.bytes, block) else {
            return;
        };
        let mut found = HashMap::new();
        for row in rows.rows() {
            let Some(run) = rows.runs.get(row.run as usize) else {
                continue;
            };
            if run.source as usize == source && self.floors.contains_key(&run.writer) {
                let most = found.entry(run.writer).or_insert(row.order_ns);
                *most = row.order_ns.max(*most);
            }
        }
        for (writer, floor_ns) in found {
            self.floors.remove(&writer);
            tail.floors.insert(writer, floor_ns);
        }
        for span in rows.spans.iter().filter(|s| s.source as usize == source) {
            self.spans.remove(&span.id);
            tail.spans.entry(span.id).or_insert_with(|| span.clone());
        }
    }
}
