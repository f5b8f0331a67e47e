//! The accounts of one channel.

use crate::live::source_of;
use crate::read::ranges::Ranges;
use relay_fmt::archive::{ChannelPosition, Final};
use relay_fmt::rows::{Run, Source};
use relay_log::channel::{ChannelReader, Counter, OnFull};
use std::collections::{BTreeMap, HashMap};

/// How far one sub-buffer is accounted for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sub {
    pub(super) generation: u64,
    /// Bytes of this generation.
    pub(super) bytes: u32,
    /// Numbered records up to here, earlier generations included.
    pub(super) total: u64,
}

/// What is known about one writer.
#[derive(Debug, Default)]
pub(super) struct Writer {
    /// Numbers that are accounted for.
    pub(super) have: Ranges,
    /// Numbers below this one were given.
    pub(super) given: u64,
    pub(super) thread: Vec<u8>,
    /// Where ranges of numbers begin and end: number to place, to say between which blocks a gap is.
    begins: BTreeMap<u64, String>,
    ends: BTreeMap<u64, String>,
    last: Option<(u64, String)>,
}

impl Writer {
    /// Takes records into account that stand at `place`. Returns how many are doubled.
    pub(super) fn add(&mut self, from: u64, records: u64, place: &str) -> u64 {
        let to = from.saturating_add(records);
        match &mut self.last {
            Some((end, at)) if *end == from => {
                *end = to;
                if at != place {
                    place.clone_into(at);
                }
            }
            _ => {
                // Only places at gaps are kept.
                if let Some((end, at)) = self.last.take() {
                    self.ends.insert(end, at);
                }
                self.begins.insert(from, place.to_owned());
                self.last = Some((to, place.to_owned()));
            }
        }
        self.given = self.given.max(to);
        self.have.add(from, to)
    }

    /// What is missing: ranges of numbers, and between which places.
    pub(super) fn gaps(&self) -> Vec<(u64, u64, Option<&str>, Option<&str>)> {
        let before = |at: u64| match &self.last {
            Some((end, place)) if *end == at => Some(place.as_str()),
            _ => self.ends.get(&at).map(String::as_str),
        };
        let gaps = self.have.gaps(self.given).into_iter();
        gaps.map(|(from, to)| (from, to, before(from), self.begins.get(&to).map(String::as_str)))
            .collect()
    }
}

/// The accounts of one channel.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) source: Option<Source>,
    pub(super) file: Option<String>,
    pub(super) subs: HashMap<u32, Sub>,
    /// Records of each sub-buffer that blocks held which cannot be read.
    pub(super) given: HashMap<u32, u64>,
    pub(super) writers: BTreeMap<u64, Writer>,
    pub(super) last_word: Option<Final>,
    pub(super) archived: u64,
    pub(super) doubled: u64,
    /// Records that sub-buffers lack, and where.
    pub(super) lacks: Vec<(u64, String)>,
    pub(super) doubts: Vec<String>,
    pub(super) live: bool,
    /// Whether it has sub-buffers that did not hold still.
    pub(super) unseen: bool,
    pub(super) waiting: u64,
    pub(super) waiting_bytes: u64,
    /// Bytes that were salvaged after the machine was started anew.
    pub(super) unproven_bytes: u64,
    /// Records that were discarded as configured.
    pub(super) discarded: u64,
    /// Whether it overwrites what was not archived, as configured.
    pub(super) overwrites: bool,
}

impl Account {
    /// The channel is in the live directory.
    pub(super) fn is_live(&mut self, reader: &ChannelReader) {
        let identity = reader.identity();
        self.source.get_or_insert_with(|| source_of(identity));
        self.live = true;
        self.overwrites = identity.on_full == OnFull::Overwrite;
        let counters = reader.status().map(|status| status.counters).unwrap_or_default();
        for counter in [Counter::DiscardedFull, Counter::DiscardedDisk] {
            let count = counters.get(counter as usize).copied().unwrap_or(0);
            self.discarded = self.discarded.saturating_add(count);
        }
    }

    fn lack(&mut self, records: u64, index: u32, generation: u64, place: &str) {
        if records > 0 {
            let what = format!(
                "{records} records of sub-buffer {index} before generation {generation}, seen at {place}"
            );
            self.lacks.push((records, what));
        }
    }

    /// Takes a run of a block into account.
    pub(super) fn run(&mut self, run: &Run, place: &str) {
        let records = u64::from(run.records);
        let sub = self.subs.get(&run.sub_buffer).copied().unwrap_or_default();
        let before = run.prior_generations.saturating_add(u64::from(run.prior_records));
        let after = Sub {
            generation: run.generation,
            bytes: run.to,
            total: before.saturating_add(records),
        };
        let (index, generation) = (run.sub_buffer, run.generation);
        let again = run.generation < sub.generation
            || (run.generation == sub.generation && run.from < sub.bytes);
        if again {
            self.doubts.extend((records == 0 && run.to > sub.bytes).then(|| {
                format!("bytes of sub-buffer {index}, generation {generation}, overlap at {place}")
            }));
            if after.generation == sub.generation && after.bytes > sub.bytes {
                self.subs.insert(index, after);
            }
        } else {
            self.lack(before.saturating_sub(sub.total), index, generation, place);
            if before < sub.total {
                self.doubts.push(format!(
                    "sub-buffer {index}, generation {generation}: {before} records come before it by its header, {} by the archives, at {place}",
                    sub.total
                ));
            }
            let begins = if run.generation == sub.generation { sub.bytes } else { 0 };
            if run.from > begins && before == sub.total {
                self.doubts.push(format!(
                    "bytes {begins}..{} of sub-buffer {index}, generation {generation}, are missing at {place}; no record was in them",
                    run.from
                ));
            }
            self.subs.insert(index, after);
        }
        let writer = self.writers.entry(run.writer).or_default();
        writer.thread.clone_from(&run.thread);
        let doubled = writer.add(run.first_number, records, place);
        self.doubled += doubled;
        self.archived += records - doubled.min(records);
    }

    /// A block that cannot be read held this run: its records were given.
    pub(super) fn given(&mut self, run: &Run) {
        let writer = self.writers.entry(run.writer).or_default();
        writer.thread.clone_from(&run.thread);
        let end = run.first_number.saturating_add(u64::from(run.records));
        writer.given = writer.given.max(end);
        let before = run.prior_generations.saturating_add(u64::from(run.prior_records));
        let given = self.given.entry(run.sub_buffer).or_insert(0);
        *given = before.saturating_add(u64::from(run.records)).max(*given);
    }

    /// An archive says where the channel stands. With `believed`, what came before was deleted by
    /// retention; else it must be what is accounted for.
    pub(super) fn positions(&mut self, position: &ChannelPosition, believed: bool, place: &str) {
        for at in &position.sub_buffers {
            let total = at.prior_generations.saturating_add(u64::from(at.records));
            let is = Sub { generation: at.generation, bytes: at.archived_bytes, total };
            let sub = self.subs.entry(at.index).or_default();
            if (is.generation, is.bytes) <= (sub.generation, sub.bytes) {
                continue;
            }
            let lacks = total.saturating_sub(sub.total);
            *sub = is;
            if !believed {
                self.lack(lacks, at.index, at.generation.saturating_add(1), place);
            }
        }
        for at in &position.writers {
            let writer = self.writers.entry(at.writer).or_default();
            writer.given = writer.given.max(at.next_number);
            if believed && writer.have.end() < at.next_number {
                let from = writer.have.end();
                writer.add(from, at.next_number - from, place);
            }
        }
    }
}
