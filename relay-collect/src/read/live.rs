//! What is committed in a live channel, copied out and turned into rows.
//!
//! MUST: what is seen of a writer has no hole that is not there. Sub-buffers are looked at one after
//! the other, so a record may be missed whose successor, in another sub-buffer, is seen. Therefore
//! all are looked at twice: whatever precedes a record of the first look was committed before the
//! second look began, so it is in the second look, or it is in an archive already. Of each writer
//! only what is not behind its last record of the first look counts.

use super::backlog::Backlog;
use super::store::{Store, at};
use crate::live::source_of;
use relay_fmt::callsite::Callsite;
use relay_fmt::record::{self, Kind, Records};
use relay_fmt::rows::{Source, Span};
use relay_fmt::time::{Anchor, Rate, RateEstimate};
use relay_log::channel::{ChannelReader, Scan, Sub, TickSource};
use rustix::io::Errno;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;

/// A program with more callsites than this has records without them.
const CALLSITES: usize = 1 << 20;
/// Computed callsites that travel in records are remembered up to so many.
const INLINE: usize = 4096;

/// A live channel that is read, once or again and again.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) reader: Arc<ChannelReader>,
    pub(crate) source: Source,
    pub(crate) file: String,
    /// Descriptions, by number.
    sites: Vec<Option<Arc<Callsite>>>,
    /// How much of each sub-buffer with descriptions was read.
    described: HashMap<u32, u32>,
    inline: HashMap<Vec<u8>, Arc<Callsite>>,
    /// Open spans.
    pub(crate) spans: HashMap<u64, Span>,
    /// For each writer, the largest time of its earlier rows.
    pub(crate) floors: HashMap<u64, i64>,
    rate: RateEstimate,
    /// What each sub-buffer looked like when it was read last.
    seen: HashMap<u32, (u64, u32)>,
    /// Sub-buffers that did not hold still when it was looked at last: what is in them is not shown.
    busy: Vec<u32>,
}

/// The bytes of one generation of one sub-buffer, from its start.
#[derive(Debug)]
pub(crate) struct SubBytes {
    pub(crate) sub: Sub,
    pub(crate) bytes: Vec<u8>,
    /// How many of them the first look saw.
    pub(crate) first: u32,
}

/// A sub-buffer that was looked at twice.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) sub: Sub,
    /// How many of its bytes the first look saw.
    pub(crate) first: u32,
}

impl Tail {
    pub(crate) fn new(file: String, reader: ChannelReader) -> Self {
        let rate = reader.status().map_or(Rate::NANOSECOND, |status| status.rate);
        let mut rate = RateEstimate::new(rate);
        if reader.identity().ticks == TickSource::Tsc {
            rate.see(reader.identity().opened);
        }
        Self {
            source: source_of(reader.identity()),
            reader: Arc::new(reader),
            file,
            sites: Vec::new(),
            described: HashMap::new(),
            inline: HashMap::new(),
            spans: HashMap::new(),
            floors: HashMap::new(),
            rate,
            seen: HashMap::new(),
            busy: Vec::new(),
        }
    }

    /// The same channel, with what is known of its callsites: to read it a second time.
    pub(crate) fn again(&self) -> Self {
        Self {
            reader: Arc::clone(&self.reader),
            source: self.source.clone(),
            file: self.file.clone(),
            sites: self.sites.clone(),
            described: self.described.clone(),
            inline: HashMap::new(),
            spans: HashMap::new(),
            floors: HashMap::new(),
            rate: self.rate,
            seen: HashMap::new(),
            busy: Vec::new(),
        }
    }

    /// Looks twice at what is committed and not archived. With `changed`, only at the sub-buffers that
    /// have changed since the last time.
    pub(crate) fn look(&mut self, changed: bool) -> Result<Vec<Seen>, Errno> {
        let before = self.reader.scan()?;
        let first: HashMap<u32, &Sub> = before.iter().map(|sub| (sub.index, sub)).collect();
        let Scan { subs, busy } = self.reader.scan_again(&before)?;
        self.busy = busy;
        let mut all = Vec::new();
        for sub in subs {
            let same = self.seen.get(&sub.index) == Some(&(sub.generation, sub.committed));
            let archived = sub.is_ready() && sub.archived == sub.generation;
            if sub.is_meta() || archived || sub.committed == 0 || (changed && same) {
                continue;
            }
            let was = first.get(&sub.index).filter(|was| was.generation == sub.generation);
            all.push(Seen { sub, first: was.map_or(0, |was| was.committed) });
        }
        Ok(all)
    }

    /// What the system said when it was read, with its path.
    pub(crate) fn unreadable(&self, store: &Store, errno: Errno) -> io::Error {
        at(&store.live_dir().join(&self.file), &errno.into())
    }

    /// What the last look could not see, in words.
    pub(crate) fn unseen(&self) -> Option<String> {
        let busy = self.busy.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
        let file = &self.file;
        (!busy.is_empty()).then(|| {
            format!("live/{file}: sub-buffers {busy} did not hold still and are not shown")
        })
    }

    /// Copies out what was looked at.
    pub(crate) fn grab(&mut self, seen: Vec<Seen>) -> Result<Vec<SubBytes>, Errno> {
        let mut grabbed = Vec::new();
        for Seen { sub, first } in seen {
            // One that went on to another generation is in an archive, or it was given up.
            let Some(data) = self.reader.read(&sub, 0)? else { continue };
            if first == sub.committed {
                self.seen.insert(sub.index, (sub.generation, sub.committed));
            }
            grabbed.push(SubBytes { sub, bytes: data.bytes, first });
        }
        // A description is committed before the first record that needs it.
        self.describe()?;
        Ok(grabbed)
    }

    /// Sees what is in them, and leaves the bytes where they are.
    pub(crate) fn backlog(
        &mut self,
        seen: &[Seen],
        notes: &mut Vec<String>,
    ) -> Result<Backlog, Errno> {
        let backlog = Backlog::of(self, seen, notes)?;
        for Seen { sub, first } in seen.iter().filter(|seen| seen.first == seen.sub.committed) {
            self.seen.insert(sub.index, (sub.generation, *first));
        }
        self.describe()?;
        Ok(backlog)
    }

    fn describe(&mut self) -> Result<(), Errno> {
        for sub in self.reader.scan()?.iter().filter(|sub| sub.is_meta()) {
            let from = self.described.get(&sub.index).copied().unwrap_or(0);
            if from == sub.committed {
                continue;
            }
            let Some(data) = self.reader.read(sub, from)? else {
                continue;
            };
            for record in Records::new(&data.bytes, sub.generation).map_while(Result::ok) {
                if record.kind == Kind::Callsite
                    && let Ok((id, description)) = record::split_callsite(record.payload)
                    && let Ok(callsite) = Callsite::decode(description)
                {
                    self.add_site(id as usize, callsite);
                }
            }
            self.described.insert(sub.index, sub.committed);
        }
        Ok(())
    }

    fn add_site(&mut self, id: usize, callsite: Callsite) {
        if id >= CALLSITES {
            return;
        }
        if self.sites.len() <= id {
            self.sites.resize(id + 1, None);
        }
        if let Some(at) = self.sites.get_mut(id) {
            *at = Some(Arc::new(callsite));
        }
    }

    pub(crate) fn site(&self, id: u32) -> Option<Arc<Callsite>> {
        self.sites.get(id as usize)?.clone()
    }

    pub(crate) fn inline_site(&mut self, description: &[u8]) -> Option<Arc<Callsite>> {
        if let Some(known) = self.inline.get(description) {
            return Some(Arc::clone(known));
        }
        let callsite = Arc::new(Callsite::decode(description).ok()?);
        if self.inline.len() >= INLINE {
            self.inline.clear();
        }
        let kept = Arc::clone(&callsite);
        self.inline.insert(description.to_vec(), kept);
        Some(callsite)
    }

    pub(crate) fn see(&mut self, anchor: Anchor) {
        self.rate.see(anchor);
    }

    pub(crate) const fn rate(&self) -> Rate {
        self.rate.rate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use relay_log::channel::{Config, RawChannel};

    /// That a word never rests cannot be had reliably; what such a look leaves behind can.
    #[test]
    fn what_does_not_hold_still_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let channel = RawChannel::create(Config::new(dir.path(), "app")).unwrap();
        channel.writer().write(b"one").unwrap();
        let file = channel.file_name();
        let reader = ChannelReader::open(dir.path(), file.as_ref(), None).unwrap();
        let mut tail = Tail::new(file.clone(), reader);
        tail.busy = vec![3, 17];
        let said = tail.unseen().unwrap();
        let expected =
            format!("live/{file}: sub-buffers 3, 17 did not hold still and are not shown");
        assert_eq!(said, expected);
        // Only the last look counts.
        assert_eq!(tail.look(false).unwrap().len(), 1);
        assert_eq!(tail.unseen(), None);
    }
}
